r"""Several coils and any Cartesian mask: sensitivities from the scan itself, and images by least squares or sparsity.

The model is :math:`y_c = m F (s_c x) + n`, with the sensitivities s of the coils c and a mask m on k-space ``(h, w)``.
Sensitivities may be 0 outside the body: there the image is 0, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft

from medsr_course import runtime
from medsr_course.physics import acquisition
from medsr_course.physics.acquisition import from_kspace, to_kspace
from medsr_course.physics.coils import complex_noise
from medsr_course.physics.noise import noise_sigma
from medsr_course.scans import volumes
from medsr_course.tasks import reconstruction
from medsr_course.types import Array, Image, Mask, Rng

CONSISTENT = 4  # steps of conjugate gradients in :func:`consistent`


def scattered_mask(
    shape: tuple[int, int], factor: float, rng: Rng, *, calibration: int = 24, power: float = 2.0
) -> Mask:
    """Random single samples, denser towards the middle: for scans in which both axes are phase-encoded.

    ``round(h·w/factor)`` samples of ``(h, w)``; the middle ``calibration`` × ``calibration`` are measured in full, the
    density of the others falls as (1 − |k|)^power, and nothing is measured in the corners.

    >>> int(scattered_mask((40, 30), 4, np.random.default_rng(0), calibration=8).sum())
    300
    """
    h, w = shape
    count = round(h * w / factor)
    mask = np.zeros(shape, bool)
    mask[middle(shape, calibration)] = True
    if not mask.sum() <= count < h * w:
        raise ValueError(
            f"factor {factor} leaves {count} of {h} × {w} samples: choose it between 1 and fewer than those"
        )
    y, x = (2 * (np.arange(n) - n // 2) / n for n in shape)
    radius = np.hypot(y[:, None], x)
    density = np.where(mask | (radius >= 1), 0, np.maximum(1 - radius, 0) ** power + 0.03).ravel()
    more = rng.choice(h * w, count - int(mask.sum()), replace=False, p=density / density.sum())
    mask.ravel()[more] = True
    return mask


def middle(shape: tuple[int, int], size: int) -> tuple[slice, slice]:
    """The square of ``size`` samples around k = 0, as an index of the last two axes.

    >>> middle((8, 9), 4)
    (slice(2, 6, None), slice(2, 6, None))
    """
    if not 1 <= size <= min(shape):
        raise ValueError(f"the middle must be between 1 and {min(shape)} samples wide, not {size}")
    first = [n // 2 - size // 2 for n in shape]
    return slice(first[0], first[0] + size), slice(first[1], first[1] + size)


@dataclass(frozen=True, eq=False)
class Case:
    """A slice heard by several coils, with the truth.

    ``target`` magnitudes (h, w), ``maps`` (coils, h, w) with Σ|s|² = 1, ``mask`` (h, w), ``kspace`` (coils, h, w): 0
    where nothing was measured.
    """

    target: Array
    maps: Array
    mask: Mask
    kspace: Array


def case(
    target: Array, factor: float, *, coils: int = 8, noise: float = 1.0, key: int | str = 0, pattern: str = "scattered"
) -> Case:
    """A magnitude slice ``(h, w)`` as several coils would measure it, with a smooth phase: both are **simulated**.

    ``noise`` is in % of the 99.5th percentile, in each channel of each coil; the same ``key`` gives the same phase,
    mask and noise. ``pattern`` of the mask: "scattered" (:func:`scattered_mask`), or whole lines, "random" or "middle"
    (:func:`reconstruction.lines_mask`).
    """
    rng = runtime.rng("coils", key, round(10 * factor), round(1000 * noise))
    image = target * reconstruction.smooth_phase(target.shape, rng)
    maps = acquisition.coil_sensitivities(target.shape, coils)
    maps = maps / acquisition.sum_of_squares(maps)
    if pattern == "scattered":
        mask = scattered_mask(target.shape, factor, rng)
    else:
        mask = np.broadcast_to(reconstruction.lines_mask(target.shape[-1], factor, rng, pattern), target.shape)
    sigma = noise_sigma(target, noise)
    whole = heard(image, maps) + sigma * complex_noise(maps.shape, rng)
    return Case(target, maps, mask, (mask * whole).astype(np.complex64))


def cases(image: Image, factor: float, *, slices: int = 10, key: int | str = 0, **options: Any) -> list[Case]:
    """A :func:`case` of each of some evenly spread axial slices of magnitudes; ``options`` are its."""
    stack = volumes.axial_slices(image, n=slices)
    return [case(slice_, factor, key=f"{key}, slice {k}", **options) for k, slice_ in enumerate(stack)]


def put_aside(mask: Mask, rng: Rng, *, share: float = 0.1, calibration: int = 24) -> Mask:
    """A random share of the measured samples outside the middle, to judge by: True where one is put aside."""
    aside = mask & (rng.random(mask.shape) < share)
    aside[middle(mask.shape, calibration)] = False
    return aside


def prediction_error(image: Array, maps: Array, kspace: Array, aside: Mask) -> float:
    r"""How badly an image predicts samples that its method never saw: :math:`\|F(sx) - y\|^2 / \|y\|^2` over them.

    1 is no better than predicting 0. The samples' own noise is in it, so that a perfect image does not reach 0. Without
    a full scan to compare with, this is what can be measured.
    """
    gap = (heard(image, maps) - kspace) * aside
    return float((np.abs(gap) ** 2).sum() / (np.abs(kspace * aside) ** 2).sum())


# ---------------------------------------------------------------------------------- sensitivities


def espirit(
    kspace: Array, *, calibration: int = 24, kernel: int = 6, threshold: float = 0.02, least: float = 0.9
) -> tuple[Array, Array]:
    r"""Sensitivities from the middle of k-space (ESPIRiT, Uecker et al. 2014).

    Patches of ``kernel`` × ``kernel`` samples of all coils lie in a subspace: its singular values beyond ``threshold``
    of the largest. In the image, belonging to it is a condition pixel by pixel, :math:`G(r)\,s(r) = s(r)`; the maps are
    the eigenvectors of G for the largest eigenvalue, which is 1 where there is signal and one map explains it.

    Parameters
    ----------
    kspace : complex array (coils, h, w)
        The middle ``calibration`` × ``calibration`` measured in full.
    calibration, kernel : int
    threshold : float
    least : float
        Where the eigenvalue is smaller, as in air, the maps are 0.

    Returns
    -------
    maps : complex array (coils, h, w)
        :math:`\sum_c |s_c|^2 = 1`, or 0 outside the body; their phase relative to the strongest mixture of the coils,
        so that the image has what is left.
    eigenvalue : array (h, w)
        0 … 1.

    Raises
    ------
    ValueError
        A middle that is too small for the kernel, or not measured in full.
    """
    coils, h, w = np.shape(kspace)
    block = np.asarray(kspace)[(slice(None), *middle((h, w), calibration))]
    if calibration < 2 * kernel:
        raise ValueError(f"{calibration} samples of calibration are too few for kernels of {kernel}: twice as many")
    if not np.isfinite(block).all() or not (block != 0).any(axis=0).all():
        raise ValueError(f"the middle {calibration} × {calibration} samples must all be measured: lower calibration")
    patches = np.lib.stride_tricks.sliding_window_view(block, (kernel, kernel), axis=(1, 2))
    rows = patches.transpose(1, 2, 0, 3, 4).reshape(-1, coils * kernel**2)
    values, vectors = np.linalg.eigh(rows.T @ rows.conj())  # squares of the singular values; conjugated patches
    inside = vectors[:, values > threshold**2 * values[-1]]
    pair = _operator((inside @ inside.conj().T).reshape(coils, kernel, kernel, coils, kernel, kernel), (h, w))
    eigenvalues, eigenvectors = np.linalg.eigh(pair)
    maps = np.moveaxis(eigenvectors[..., -1], -1, 0)
    flat = block.reshape(coils, -1)
    strongest = np.linalg.eigh(flat @ flat.conj().T)[1][:, -1]
    maps = maps * np.exp(-1j * np.angle(np.tensordot(strongest.conj(), maps, 1)))
    value = np.clip(eigenvalues[..., -1], 0, 1)
    return (maps * (value > least)).astype(np.result_type(block.dtype, np.complex64)), value


def _operator(projection: Array, shape: tuple[int, int]) -> Array:
    """G(r), Hermitian (h, w, coils, coils): what the projection of patches is in the image.

    Its entries depend on the distance of two samples of a patch only, so that they are summed over equal distances
    first: one small array for each pair of coils, zero-padded and transformed.
    """
    coils, kernel = projection.shape[:2]
    wide = np.zeros((coils, coils, 2 * kernel - 1, 2 * kernel - 1), complex)
    for i in range(kernel):
        for j in range(kernel):
            wide[..., kernel - 1 - i : 2 * kernel - 1 - i, kernel - 1 - j : 2 * kernel - 1 - j] += projection[
                :, :, :, :, i, j
            ].transpose(0, 3, 1, 2)
    padded = np.zeros((coils, coils, *shape), complex)
    rows, columns = ((np.arange(2 * kernel - 1) - kernel + 1) % n for n in shape)
    padded[:, :, rows[:, None], columns] = wide / kernel**2
    image = fft.fftshift(fft.ifft2(padded, norm="forward"), axes=(-2, -1))
    return np.moveaxis(image, (0, 1), (-2, -1))


# ----------------------------------------------------------------------------------------- images


def heard(image: Array, maps: Array, mask: Mask | bool = True) -> Array:
    """K-space ``(coils, h, w)`` of an image ``(h, w)`` as the coils hear it, 0 where nothing is measured."""
    return mask * to_kspace(maps * image)


def combined(kspace: Array, maps: Array) -> Array:
    r"""The adjoint of :func:`heard`: :math:`\sum_c \bar s_c F^H y_c`; of full k-space, the best image if Σ|s|² = 1."""
    return (np.conj(maps) * from_kspace(kspace)).sum(axis=0)


def heard_again(maps: Array, mask: Mask) -> Callable[[Array], Array]:
    r"""Returns :math:`A^H A`, from image to image ``(h, w)``: :func:`combined` of :func:`heard`, without their shifts.

    A shift of the image commutes with leaving samples out, so k-space need not be centred; where all rows of the mask
    are alike, the readout need not be transformed at all.

    >>> maps, mask = np.full((2, 3, 4), np.sqrt(0.5)), np.array([False, True, True, False])
    >>> image = np.arange(12.0).reshape(3, 4)
    >>> bool(np.allclose(heard_again(maps, mask)(image), combined(heard(image, maps, mask), maps)))
    True
    """
    kept = np.fft.ifftshift(np.broadcast_to(mask, np.shape(maps)[-2:]))
    axes: tuple[int, ...] = (-2, -1)
    if (kept == kept[:1]).all():
        kept, axes = kept[:1], (-1,)
    conjugated = np.conj(maps)

    def again(x: Array) -> Array:
        kspace = fft.fftn(maps * x, axes=axes, overwrite_x=True)
        return (conjugated * fft.ifftn(kept * kspace, axes=axes, overwrite_x=True)).sum(axis=0)

    return again


def consistent(image: Array, seen: Array, again: Callable[[Array], Array], trust: float) -> Array:
    r"""Data consistency with several coils: :math:`\arg\min_u \|A u - y\|^2 + \lambda \|u - x\|^2`, x ``image`` (h, w).

    ``seen`` is :math:`A^H y` (:func:`combined`), ``again`` :func:`heard_again`, and λ = (1 − trust) / trust, as for one
    coil in :func:`reconstruction.keep_measured`. :data:`CONSISTENT` steps of conjugate gradients from the image on,
    which is close (MoDL, Aggarwal, Mani & Jacob 2019).

    >>> maps, mask = np.ones((1, 1, 4)), np.array([True, False, True, True])
    >>> kspace, again = mask * to_kspace(np.array([[1.0, 2, 3, 4]])), heard_again(maps, mask)
    >>> one = reconstruction.keep_measured(np.zeros((1, 4), complex), kspace, mask, 0.8)
    >>> bool(np.allclose(one, consistent(np.zeros((1, 4)), combined(kspace[None], maps), again, 0.8)))
    True
    """
    damping = (1 - trust) / trust
    right = seen - again(image)
    return image + reconstruction.conjugate_gradients(lambda x: again(x) + damping * x, right, CONSISTENT)


def least_squares(
    kspace: Array,
    maps: Array,
    mask: Mask,
    iterations: int = 10,
    *,
    damping: float = 0.0,
    watch: Callable[[Array], object] | None = None,
) -> Array:
    r"""SENSE for any mask: conjugate gradients on :math:`(A^H A + \lambda I) x = A^H y` (Pruessmann et al. 2001).

    Starts at 0, so that few iterations regularise, too. ``kspace`` and ``maps`` are complex ``(coils, h, w)``, ``mask``
    broadcasts against ``(h, w)``. Returns a complex image ``(h, w)``, 0 where no coil hears anything.

    >>> maps, image = np.array([[[0.6, 0.0]], [[0.8j, 0.0]]]), np.array([[5.0, 0.0]])
    >>> np.abs(least_squares(heard(image, maps), maps, np.ones((1, 2), bool))).round(6)
    array([[5., 0.]])
    """
    _check(kspace, maps)
    again = heard_again(maps, mask)
    right = combined(mask * kspace, maps)
    return reconstruction.conjugate_gradients(lambda x: again(x) + damping * x, right, iterations, watch)


def sparse(
    kspace: Array, maps: Array, mask: Mask, weight: float, *, prior: str = "wavelet", iterations: int = 60
) -> Array:
    r"""Compressed sensing with several coils: :math:`\tfrac12\|A x - y\|^2 + \lambda\Phi(x)` by FISTA.

    ``weight`` is λ in parts of the 99.5th percentile of :func:`combined`; ``prior`` "wavelet" (ℓ₁ of the details:
    L1-ESPIRiT with maps of :func:`espirit`) or "tv". Arrays as those of :func:`least_squares`.
    """
    _check(kspace, maps)
    start = combined(mask * kspace, maps)
    unit = float(np.percentile(np.abs(start), 99.5)) or 1.0

    start, again = start / unit, heard_again(maps, mask)
    return unit * reconstruction.fista(start, lambda x: again(x) - start, weight, prior=prior, iterations=iterations)


def sense(kspace: Array, sensitivities: Array, factor: int) -> tuple[Array, Array]:
    r"""SENSE for regular undersampling: unfold each group of aliased pixels (Pruessmann et al. 1999).

    :math:`\hat x = (C^H C)^{-1} C^H y` and :math:`g_a = \sqrt{[(C^H C)^{-1}]_{aa} [C^H C]_{aa}}` for each group, C its
    sensitivities (coils × R). Where no coil hears anything, as outside the body, the image is 0 and g is 1.

    Parameters
    ----------
    kspace : complex array (coils, h, w)
        Zero but in every ``factor``-th column, the middle one among them (:func:`reconstruction.regular_mask`).
    sensitivities : complex array (coils, h, w)
        ``ValueError`` if they cannot tell some pixels apart.
    factor : int
        Divides w, and does not exceed the number of coils; ``ValueError`` otherwise.

    Returns
    -------
    image : complex array (h, w)
    g : array (h, w)
        Geometry factor: how much more noise than √R alone, at least 1.

    >>> coils, image = np.array([[[1, 2, 0]], [[0, 1, 0]]]), np.array([[3, 4, 0]])  # nothing is heard of the last pixel
    >>> sense(to_kspace(coils * image), coils, 1)[0].real.round(6) + 0.0
    array([[3., 4., 0.]])
    """
    coils, h, w = np.shape(sensitivities)
    if np.shape(kspace) != (coils, h, w) or not (np.isfinite(kspace).all() and np.isfinite(sensitivities).all()):
        raise ValueError(f"expected finite k-space {coils, h, w} for these sensitivities, got {np.shape(kspace)}")
    if w % factor or factor > coils:
        raise ValueError(
            f"factor must divide the width, {w}, and not exceed the number of coils, {coils}; got {factor}"
        )
    # Pixels w/R apart fall on one another: with every R-th line, the zero-filled image shows the sum of them / R.
    groups = np.moveaxis(np.reshape(sensitivities, (coils, h, factor, w // factor)), 0, -2)  # (h, R, coils, w/R)
    model = np.moveaxis(groups, (1, 2), (-1, -2))  # (h, w/R, coils, R)
    folded = factor * np.moveaxis(from_kspace(kspace), 0, -1)[:, : w // factor]  # (h, w/R, coils)
    # The middle line is k = 0 and pixel w/2 has no phase, so a replica w/R away is added with its sign unchanged.
    normal = np.einsum("hwca,hwcb->hwab", model.conj(), model)
    index = np.arange(factor)
    power = normal[..., index, index].real
    silent = power <= 1e-14 * power.max()
    normal[..., index, index] += silent * (power.max() or 1.0)
    if (np.linalg.matrix_rank(normal, hermitian=True) < factor).any():
        raise ValueError(f"the coils cannot tell apart pixels that fall on one another at factor {factor}: lower it")
    inverse = np.linalg.inv(normal)
    image = np.einsum("hwab,hwcb,hwc->hwa", inverse, model.conj(), folded)
    g = np.sqrt(np.einsum("hwaa->hwa", inverse).real * np.einsum("hwaa->hwa", normal).real)
    return tuple(np.moveaxis(a, -1, 1).reshape(h, w) for a in (image, g))


def _check(kspace: Array, maps: Array) -> None:
    if np.ndim(maps) != 3 or np.shape(kspace) != np.shape(maps):
        raise ValueError(f"k-space {np.shape(kspace)} and maps {np.shape(maps)} must both be (coils, h, w)")
    if not (np.isfinite(kspace).all() and np.isfinite(maps).all()):
        raise ValueError("k-space or maps hold NaN or infinite values: set samples that were not measured to 0")
