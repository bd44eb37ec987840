"""The measurement protocol: what is compared with what, and by which numbers, wherever the course compares methods.

Ten axial slices of a scan are made coarser by k-space cropping, with or without noise; a method makes them fine
again; every score is of the whole stack of one scan. The classical methods are in :data:`METHODS`, by name.

>>> METHODS["zip"](np.ones((1, 3, 4), np.float32), 2).shape
(1, 6, 8)
"""

from dataclasses import dataclass, field

import numpy as np

from medsr_course import runtime
from medsr_course.physics import checks, coils, grid, interpolation, metrics
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.noise import add_complex_noise, noise_sigma
from medsr_course.scans import volumes
from medsr_course.tasks import pairs
from medsr_course.types import Array, Image, Mask, Stack, Upscale

KINDS = ("signed", *coils.KINDS)  # of the coarse image: a signed crop, or what a file holds, see physics.coils
CONDITIONS = {  # scale → (kind, noise in %) of what is measured, the headline first; CT is "signed" alone
    2: (("rician", 0), ("signed", 0), ("rician", 3), ("chi", 3), ("interpolated", 6)),
    4: (("rician", 0), ("signed", 0)),
}
CT_RANGE = 400.0  # HU: the data range of PSNR and SSIM for CT


@dataclass(frozen=True, eq=False)
class Pair(pairs.Pair):
    """A fine stack and what a coarse scan holds of it, ``given`` (n, h / scale, w / scale).

    ``contrast`` "CT" is judged over a range of 400 HU, everything else over the target's maximum. ``sigma`` is the
    standard deviation of the noise that was added to each slice, in each channel of each of ``coils`` coils.
    """

    contrast: str = ""
    sigma: Array | float = field(default=0.0, kw_only=True)
    coils: int = field(default=1, kw_only=True)

    def scores(self, result: Stack) -> dict[str, float]:
        """Returns all numbers of the protocol, see :func:`scores`."""
        return scores(self.target, result, self.given, contrast=self.contrast, head=self.head)

    def psnrs(self, result: Stack) -> dict[str, float]:
        """Returns ``psnr`` and ``psnr_head`` alone, which are quick to compute."""
        return psnrs(self.target, result, contrast=self.contrast, head=self.head)

    def better(self, result: Stack, base: Stack) -> float:
        """Returns the share of slices, 0 to 1, in which ``result`` has a smaller squared error than ``base``."""
        errors = [np.mean((image - self.target.astype(float)) ** 2, axis=(1, 2)) for image in (result, base)]
        return float(np.mean(errors[0] < errors[1]))


def pair(
    image: Image, scale: int, *, noise: float = 0.0, key: int | str = 0, contrast: str = "", kind: str | None = None
) -> Pair:
    """Target ``(10, scale·h, scale·w)`` and coarse stack ``(10, h, w)`` of one scan, both float32.

    Parameters
    ----------
    image : nibabel image
    scale : int
    noise : float
        In %, see :func:`noise.noise_sigma`: complex Gaussian on the coarse stack, then the magnitude.
    key : int or str
        Of the scan: same key, same noise, same phase.
    contrast : str
        See :class:`Pair`.
    kind : {"rician", "signed", "chi", "interpolated"}, optional
        By default what a file holds: "rician", and of CT, which has no magnitudes, "signed".
        "signed": the crop of the target's own k-space, with values of both signs, which no file of MR holds (with
        noise, its magnitude). The others are stored magnitudes of a complex object (:func:`coils.stored`), with or
        without noise. "interpolated" is band-limited further; its target is the full grid none the less.

    Raises
    ------
    ValueError
        There is no such kind, or CT is to be a magnitude.
    """
    kind = kind or ("signed" if contrast == "CT" else "rician")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if contrast == "CT" and kind != "signed":
        raise ValueError(f'CT has values of both signs, not magnitudes: kind must be "signed", not {kind!r}')
    target = grid.trim(volumes.axial_slices(image), scale)
    if kind != "signed":
        given = coils.stored(target, scale, key, noise=noise, kind=kind).astype(np.float32)
        sigma = noise_sigma(kspace_crop(coils.object_of(target, key), scale), noise) if noise else 0.0
        heard = coils.COILS if kind == "chi" else 1
        return Pair(target, given, contrast, pixel_size=volumes.pixel_size(image), sigma=sigma, coils=heard)
    coarse = kspace_crop(target, scale)
    sigma = noise_sigma(coarse, noise)
    if noise:
        coarse = np.abs(add_complex_noise(coarse, noise, runtime.rng("evaluation", key, round(noise * 1000))))
    return Pair(target, coarse.astype(np.float32), contrast, pixel_size=volumes.pixel_size(image), sigma=sigma)


def scores(
    target: Stack,
    result: Stack,
    coarse: Stack,
    *,
    contrast: str = "",
    pixel_size: float = 1.0,
    head: Mask | None = None,
) -> dict[str, float]:
    """All numbers of the protocol for one result ``(n, scale·h, scale·w)``; ``coarse`` ``(n, h, w)`` was measured.

    ``contrast`` is that of :class:`Pair`, ``pixel_size`` the target's, mm; ``head`` tells where the head is, by default
    :func:`metrics.head_mask` of the target.

    Returns ``psnr`` and ``psnr_head`` (dB; all voxels, and inside the head), ``ssim``, ``hfen``, and ``low_band``: how
    far the result, cropped again, is from what was measured, in parts of it.
    """
    span = CT_RANGE if contrast == "CT" else None
    scale = target.shape[-1] // coarse.shape[-1]
    return {
        **psnrs(target, result, contrast=contrast, pixel_size=pixel_size, head=head),
        "ssim": metrics.ssim(target, result, data_range=span),
        "hfen": metrics.hfen(target, result),
        "low_band": metrics.low_band_residual(coarse, result, scale),
    }


def psnrs(
    target: Stack, result: Stack, *, contrast: str = "", pixel_size: float = 1.0, head: Mask | None = None
) -> dict[str, float]:
    """``psnr`` and ``psnr_head`` of :func:`scores` alone, which are quick to compute."""
    span = CT_RANGE if contrast == "CT" else None
    head = metrics.head_mask(target, pixel_size) if head is None else head
    return {
        "psnr": metrics.psnr(target, result, data_range=span),
        "psnr_head": metrics.psnr(target, result, data_range=span, mask=head),
    }


# ---------------------------------------------------------------- classical methods


@dataclass(frozen=True)
class Method:
    """A way to make an image finer, ``apply(stack, scale)``; its title is for tables and figures.

    ``scales`` are those it can do, None for any; ``parameters`` those of a trained network.
    """

    name: str
    title: str
    apply: Upscale
    scales: tuple[int, ...] | None = None
    learned: bool = False
    parameters: int = 0

    def __call__(self, stack: Stack, scale: int) -> Stack:
        """Make ``(n, h, w)`` finer: ``(n, scale·h, scale·w)``, same unit, sample 0 in place.

        ``ValueError`` if the method cannot do this scale.
        """
        if not self.can(scale):
            able = ", ".join(f"×{s}" for s in self.scales or ())
            raise ValueError(f"{self.title} cannot do ×{scale}, only {able}")
        return self.apply(stack, scale)

    def can(self, scale: int | None) -> bool:
        """Whether the method can do this scale; None stands for any."""
        return scale is None or self.scales is None or scale in self.scales


def _zip_hamming(stack: Stack, scale: int) -> Stack:
    return interpolation.zero_fill(stack, scale, window="hamming")


METHODS = {
    method.name: method
    for method in (
        Method("nearest", "nearest", interpolation.nearest),
        Method("linear", "linear", interpolation.linear),
        Method("cubic", "cubic", interpolation.cubic),
        Method("spline", "cubic B-spline", interpolation.spline),
        Method("lanczos", "Lanczos", interpolation.lanczos),
        Method("zip", "ZIP", interpolation.zero_fill),
        Method("zip-hamming", "ZIP, Hamming", _zip_hamming),
        Method("wavelet", "wavelet padding", interpolation.wavelet_zero_pad, scales=(2, 4, 8)),
    )
}


def names(scale: int | None = None) -> list[str]:
    """Returns the names of the classical methods, or of those that can do a scale.

    >>> names(scale=3)
    ['nearest', 'linear', 'cubic', 'spline', 'lanczos', 'zip', 'zip-hamming']
    """
    return [method.name for method in METHODS.values() if method.can(scale)]


def checkerboard(image: Stack, scale: int) -> float:
    """Share of an image's energy in a pattern that repeats from coarse pixel to coarse pixel, 0 … 1.

    The pattern is what the ``scale``² fine pixels of a coarse one have in common all over the stack, beside the coarse
    pixel's mean: what a sub-pixel layer leaves whose kernels differ from fine pixel to fine pixel (Odena et al. 2016).
    Sides must divide by ``scale`` (``ValueError``); 0 for an image of zeros.

    >>> x = np.tile([1.0, -1.0], (1, 4, 2))
    >>> checkerboard(x, 2), round(checkerboard(x.repeat(2, axis=1).repeat(2, axis=2), 2), 6)
    (1.0, 0.0)
    """
    image = checks.finite(image, "the image")
    n, h, w = image.shape if image.ndim == 3 else (1, *image.shape)
    if h % scale or w % scale:
        raise ValueError(f"the sides {h} and {w} do not divide by {scale}")
    inner = image.reshape(n, h // scale, scale, w // scale, scale)
    pattern = (inner - inner.mean(axis=(2, 4), keepdims=True)).mean(axis=(0, 1, 3))
    energy = float(np.mean(image**2))
    return float(np.mean(pattern**2)) / energy if energy else 0.0


def in_null_space(target: Stack, image: Stack, scale: int) -> tuple[float, float, float]:
    r"""What an image holds in the null space of the crop, beside what the target holds there: x - Z C x of both.

    Returns the energy, in parts of the target's, E; the correlation with the target's part, ρ; and the squared error
    in parts of the target's energy, :math:`1 + E - 2\rho\sqrt{E}`. The mean of all that is plausible has
    :math:`E = \rho^2`. ``ValueError`` where the target holds nothing there.

    >>> x = np.random.default_rng(0).random((1, 16, 16))
    >>> [round(value, 6) for value in in_null_space(x, x, 2)]
    [1.0, 1.0, 0.0]
    """
    true = interpolation.hidden(checks.finite(target, "the target"), scale)
    own = interpolation.hidden(checks.finite(image, "the image"), scale)
    whole, energy, both = float(np.sum(true**2)), float(np.sum(own**2)), float(np.sum(true * own))
    if not whole:
        raise ValueError("the target holds nothing in the null space")
    correlation = both / np.sqrt(whole * max(energy, 1e-6 * whole))  # what is that faint is rounding
    return energy / whole, float(correlation), float(np.sum((true - own) ** 2)) / whole
