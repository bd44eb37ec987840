"""From incomplete k-space to an image: masks, compressed sensing, data consistency (one coil).

Images are complex ``(..., h, w)``; k-space is unitary and centred (:func:`acquisition.to_kspace`). Rows are read out
in full; lines of **phase encoding**, the columns of k-space, are left out, all rows alike: a mask is ``(w,)``, True
where a line was measured, its middle at ``w // 2``. Noise of "p %" is that of :func:`noise.noise_sigma`: a
unitary transform leaves it the same in k-space and image.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import fft

from medsr_course import runtime
from medsr_course.physics import metrics
from medsr_course.physics.acquisition import from_kspace, to_kspace
from medsr_course.physics.noise import noise_sigma
from medsr_course.scans import volumes
from medsr_course.tasks import pairs
from medsr_course.types import Array, Image, Mask, Rng

INNER = 3  # iterations of total variation inside each of FISTA's; more gain at most 0.1 dB, at a large λ more
CALIBRATION = 0.32  # of the measured lines lie side by side in the middle: 8 % of all lines at R = 4, 4 % at R = 8


# ---------------------------------------------------------------------- what is measured, and where


def smooth_phase(shape: tuple[int, int], rng: Rng, *, strength: float = 1.0) -> Array:
    r"""A smooth phase such as coils, flow and field inhomogeneity leave in an image, simulated: complex64, modulus 1.

    :math:`e^{i\tau\varphi}`, φ a random plane and parabola and three wide bumps, in all about ±π·strength.

    >>> float(np.abs(smooth_phase((8, 9), np.random.default_rng(0))).max().round(4))
    1.0
    """
    y, x = (np.linspace(-1, 1, n)[:, None] if i == 0 else np.linspace(-1, 1, n) for i, n in enumerate(shape))
    a = rng.normal(0, 0.6, 6)
    angle = a[0] * x + a[1] * y + a[2] * x * y + a[3] * x**2 + a[4] * y**2 + rng.uniform(-np.pi, np.pi)
    for _ in range(3):
        (cy, cx), width = rng.uniform(-0.8, 0.8, 2), rng.uniform(0.3, 0.8)
        angle = angle + rng.normal(0, 0.8) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2))
    return np.exp(1j * strength * angle).astype(np.complex64)


def cartesian_mask(
    width: int, factor: float, rng: Rng, *, calibration: float = CALIBRATION, power: float = 3.0
) -> Mask:
    """A random choice of phase-encoding lines, denser towards the middle (Lustig, Donoho & Pauly 2007).

    Parameters
    ----------
    width : int
        Lines of full k-space.
    factor : float
        R: ``round(width / R)`` lines are measured. ``ValueError`` if it is below 1 or leaves no line.
    rng : numpy.random.Generator
    calibration : float
        Part of the measured lines that lie side by side in the middle.
    power : float
        Density of the others falls as (1 − |k|)^power towards the edge.

    >>> int(cartesian_mask(200, 4, np.random.default_rng(0)).sum())
    50
    """
    lines = round(width / factor)
    if factor < 1 or lines < 1:
        raise ValueError(f"factor must lie between 1 and the number of lines, {width}, not {factor!r}")
    middle = max(1, round(calibration * lines))
    mask = middle_mask(width, middle)
    k = np.abs(np.arange(width) - width // 2) / (width / 2)
    density = np.where(mask, 0, (1 - k) ** power + 0.01)
    if lines > middle:
        mask[rng.choice(width, lines - middle, replace=False, p=density / density.sum())] = True
    return mask


def lines_mask(width: int, factor: float, rng: Rng, pattern: str) -> Mask:
    """The mask that comparisons are made with: "random" (:func:`cartesian_mask`), or as many lines from the "middle".

    Both draw the same random numbers, so that what is drawn after them is the same, too.
    """
    if pattern not in ("random", "middle"):
        raise ValueError(f"pattern must be random or middle, not {pattern!r}")
    mask = cartesian_mask(width, factor, rng)
    return mask if pattern == "random" else middle_mask(width, int(mask.sum()))


def middle_mask(width: int, lines: int) -> Mask:
    """So many lines side by side in the middle: an honest coarser image, the plainest way to spend the same minutes.

    >>> np.flatnonzero(middle_mask(8, 3)).tolist()
    [3, 4, 5]
    """
    if not 1 <= lines <= width:
        raise ValueError(f"lines must lie between 1 and {width}, not {lines!r}")
    mask = np.zeros(width, bool)
    first = width // 2 - lines // 2
    mask[first : first + lines] = True
    return mask


def regular_mask(width: int, factor: int, *, calibration: int = 0) -> Mask:
    """Every ``factor``-th line, with ``calibration`` more side by side in the middle: the mask of parallel imaging.

    >>> np.flatnonzero(regular_mask(8, 4)).tolist()
    [0, 4]
    """
    mask = (np.arange(width) - width // 2) % factor == 0
    first = width // 2 - calibration // 2
    mask[first : first + calibration] = True
    return mask


def measure(image: Array, mask: Mask | bool, *, noise: float = 0.0, rng: Rng | None = None) -> Array:
    """K-space of an image where the mask lets it be measured, with complex Gaussian noise: :math:`y = m (F x + n)`.

    Complex ``(..., h, w)``, 0 where nothing was measured. The mask is ``(w,)``, or anything that broadcasts against the
    image. Noise is in % of the image's 99.5th percentile, in each channel, and needs ``rng``.

    >>> measure(np.ones((1, 3)), np.array([True, True, False])).real.round(4) + 0.0
    array([[0.    , 1.7321, 0.    ]])
    """
    kspace = to_kspace(image)
    if noise:
        if rng is None:
            raise ValueError("noise needs a random number generator: pass rng")
        sigma = noise_sigma(image, noise)
        kspace = kspace + sigma * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
    return (kspace * mask).astype(np.result_type(np.asarray(image).dtype, np.complex64))


@dataclass(frozen=True, eq=False)
class Pair(pairs.Pair):
    """Magnitudes and their incomplete k-space ``given``, complex64 (n, h, w), 0 but in the lines of ``mask`` (w,)."""

    mask: Mask

    def scores(self, result: Array) -> dict[str, float]:
        """Returns the :func:`scores` of a result."""
        return scores(self.target, result)


def scores(target: Array, result: Array) -> dict[str, float]:
    """Returns ``psnr`` (dB), ``ssim`` and ``hfen`` of a result's magnitudes, both ``(n, h, w)``."""
    found = np.abs(result)
    return {name: getattr(metrics, name)(target, found) for name in ("psnr", "ssim", "hfen")}


def pair(
    image: Image,
    factor: float,
    *,
    noise: float = 1.0,
    key: int | str = 0,
    slices: int = 10,
    pattern: str = "random",
) -> Pair:
    """Incomplete k-space as if a scan were being measured: what methods of reconstruction are compared on.

    A magnitude image has no phase: a smooth one is **simulated**, another for each slice. Without it k-space would be
    symmetric and half of it superfluous.

    Parameters
    ----------
    image : nibabel image
        Magnitudes.
    factor : float
        R; one mask for all slices (:func:`cartesian_mask`). Phase encoding runs along x.
    noise : float
        In % of each slice's 99.5th percentile, in each channel.
    key : int or str
        Of the random numbers: same key, same mask, phase and noise.
    slices : int
        Evenly spread axial slices.
    pattern : {"random", "middle"}
        Of :func:`lines_mask`: of the same k-space, with the same noise.
    """
    target = volumes.axial_slices(image, n=slices)
    rng = runtime.rng("kspace", key, round(10 * factor), round(1000 * noise))
    mask = lines_mask(target.shape[-1], factor, rng, pattern)
    phase = np.stack([smooth_phase(target.shape[1:], rng) for _ in target])
    kspace = measure(target * phase, mask, noise=noise, rng=rng)
    return Pair(target, kspace, mask, pixel_size=volumes.pixel_size(image))


def zero_filled(kspace: Array) -> Array:
    """The image :math:`F^H y`, with 0 in place of what was not measured."""
    return from_kspace(kspace)


def keep_measured(image: Array, kspace: Array, mask: Mask, trust: float = 1.0) -> Array:
    r"""Data consistency: put the measured samples back into the k-space of a complex image ``(..., h, w)``.

    :math:`\hat k = k_x + \tau\, m (y - k_x)`, τ being ``trust``. With τ = 1 ("hard") the measured samples come back
    exactly; between 0 and 1 ("soft") they are a mean of both, right where the measurement is noisy, too (Schlemper et
    al. 2018, eq. 6, with λ = τ / (1 − τ)).
    """
    found = to_kspace(image)
    return from_kspace(found + trust * mask * (kspace - found)).astype(np.asarray(image).dtype, copy=False)


# ---------------------------------------------------------------------------- compressed sensing


def wavelet_shrink(
    image: Array, threshold: float, *, wavelet: str = "db4", levels: int = 3, shift: tuple[int, int] = (0, 0)
) -> Array:
    r"""Soft thresholding of the detail coefficients of an orthonormal wavelet transform, periodic.

    The proximal step of λ‖Ψx‖₁ over the details, :math:`d \mapsto \max(1 - \lambda/|d|, 0)\, d`: magnitudes of complex
    coefficients shrink, phases stay. A side that is not divisible by 2^levels is continued periodically and cut again;
    there are fewer levels where the image ``(..., h, w)`` is too small for them. The grid of the transform is moved by
    ``shift`` first: moved anew in every iteration, no place of the image keeps an edge of the wavelets' blocks
    (Figueiredo & Nowak 2003).

    >>> wavelet_shrink(np.full((16, 16), 3.0), 0.1)[0, :3].round(6)
    array([3., 3., 3.])
    """
    import pywt

    if threshold == 0:  # PyWavelets would divide 0 by 0
        return np.asarray(image)
    moved = np.roll(image, shift, (-2, -1))
    h, w = moved.shape[-2:]
    levels = max(1, min(levels, pywt.dwt_max_level(min(h, w), wavelet)))
    room = [(0, 0)] * (moved.ndim - 2) + [(0, -n % 2**levels) for n in (h, w)]
    approximation, *details = pywt.wavedec2(np.pad(moved, room, mode="wrap"), wavelet, "periodization", levels)
    details = [tuple(pywt.threshold(d, threshold, "soft") for d in level) for level in details]
    back = pywt.waverec2([approximation, *details], wavelet, "periodization")[..., :h, :w]
    return np.roll(back, (-shift[0], -shift[1]), (-2, -1)).astype(moved.dtype, copy=False)


def tv_prox(
    image: Array, weight: float, *, iterations: int = 20, dual: Array | None = None, axes: Sequence[int] = (-2, -1)
) -> tuple[Array, Array | None]:
    r"""Total-variation denoising of a complex image: the minimiser of ½‖x − y‖² + λ TV(x), λ being ``weight``.

    :math:`TV(x) = \sum \sqrt{|\partial_y x|^2 + |\partial_x x|^2}` with one magnitude for real and imaginary part, by
    accelerated projected gradients on the dual (Beck & Teboulle 2009b; Chambolle 2004). Differences are taken along
    ``axes``: three of a volume. Returns the image and the dual ``(len(axes), *shape)``, which another call may start
    from.

    >>> tv_prox(np.array([[0.0, 0.0, 9.0, 9.0]]), 1.0, iterations=200)[0].round(2)  # λ per pixel of the plateau
    array([[0.5, 0.5, 8.5, 8.5]])
    """
    image = np.asarray(image)
    if weight == 0:
        return image, dual
    p = np.zeros((len(axes), *image.shape), image.dtype) if dual is None else dual
    q, t = p, 1.0
    for _ in range(iterations):
        # 4 for each axis bounds the squared norm of the gradient.
        step = q + _gradient(image - weight * _gradient_adjoint(q, axes), axes) / (4 * len(axes) * weight)
        new = step / np.maximum(np.sqrt((np.abs(step) ** 2).sum(axis=0)), 1)
        after = (1 + np.sqrt(1 + 4 * t * t)) / 2
        q, p, t = new + float((t - 1) / after) * (new - p), new, after
    return image - weight * _gradient_adjoint(p, axes), p


def total_variation(image: Array) -> float:
    r"""Sum over pixels of the gradient's length, :math:`\sum \sqrt{|\partial_y x|^2 + |\partial_x x|^2}`, (h, w).

    >>> total_variation(np.array([[0.0, 3.0], [4.0, 3.0]]))
    6.0
    """
    d = _gradient(np.asarray(image), (-2, -1))
    return float(np.sqrt(np.abs(d[0]) ** 2 + np.abs(d[1]) ** 2).sum())


def _gradient(x: Array, axes: Sequence[int]) -> Array:
    d = np.zeros((len(axes), *x.shape), x.dtype)
    for part, axis in zip(d, axes, strict=True):
        np.moveaxis(part, axis, 0)[:-1] = np.diff(np.moveaxis(x, axis, 0), axis=0)
    return d


def _gradient_adjoint(p: Array, axes: Sequence[int]) -> Array:
    out = np.zeros(p.shape[1:], p.dtype)
    for part, axis in zip(p, axes, strict=True):
        along, into = np.moveaxis(part, axis, 0)[:-1], np.moveaxis(out, axis, 0)
        into[:-1] -= along
        into[1:] += along
    return out


def compressed_sensing(kspace: Array, mask: Mask, weight: float, *, prior: str = "tv", iterations: int = 100) -> Array:
    r"""Compressed sensing by FISTA (Lustig et al. 2007; Beck & Teboulle 2009a).

    Minimises :math:`\tfrac12\|m F x - y\|^2 + \lambda\,\Phi(x)`, Φ the total variation or the ℓ₁ norm of wavelet
    details. Wavelets are moved in every iteration (translation-invariant shrinkage: not quite the minimiser any more,
    and better).

    Parameters
    ----------
    kspace : complex array (n, h, w) or (h, w)
        0 where nothing was measured. The result has its shape and precision.
    mask : bool array (w,)
    weight : float
        λ in parts of the intensity scale, the 99.5th percentile of the zero-filled magnitudes.
    prior : {"tv", "wavelet"}
    iterations : int

    >>> image, mask = np.ones((8, 8)), middle_mask(8, 2)
    >>> float(np.abs(compressed_sensing(measure(image, mask), mask, 0.01, iterations=5)).mean().round(2))
    1.0
    """
    if not np.isfinite(kspace).all():
        raise ValueError("k-space holds NaN or infinite values: set lines that were not measured to 0")
    if prior not in ("tv", "wavelet"):
        raise ValueError(f"prior must be 'tv' or 'wavelet', not {prior!r}")
    start = zero_filled(kspace).astype(np.asarray(kspace).dtype, copy=False)
    unit = float(np.percentile(np.abs(start), 99.5)) or 1.0
    # Rows are complete: only the transform along phase encoding is left, and it need not be centred.
    lines = np.fft.ifftshift(mask)

    def solved(image: Array) -> Array:
        measured = fft.fft(image, axis=-1)
        return fista(
            image,
            lambda z: fft.ifft(lines * fft.fft(z, axis=-1) - measured, axis=-1),
            weight,
            prior=prior,
            iterations=iterations,
        )

    slices = start.reshape(-1, *start.shape[-2:]) / unit
    with ThreadPoolExecutor(runtime.cpu_count()) as pool:
        return unit * np.stack(list(pool.map(solved, slices))).reshape(start.shape)


def fista(
    start: Array,
    gradient: Callable[[Array], Array],
    weight: float,
    *,
    prior: str = "tv",
    iterations: int = 100,
    axes: Sequence[int] = (-2, -1),
    inner: int = INNER,
) -> Array:
    r"""FISTA with step 1: :math:`x \leftarrow \mathrm{prox}_{\lambda\Phi}(z - \nabla f(z))`, z run on from two images.

    ``gradient`` is that of a data term whose curvature is 1 at most; ``start`` a complex image ``(h, w)``; λ and Φ are
    ``weight`` and ``prior``, as in :func:`compressed_sensing`; ``axes`` are those of :func:`tv_prox`, ``inner`` its
    iterations.
    """
    rng, dual = np.random.default_rng(0), None
    x, z, t = start, start, 1.0
    for _ in range(iterations):
        step = z - gradient(z)
        if prior == "tv":  # its own iteration goes on from where the last one ended
            new, dual = tv_prox(step, weight, iterations=inner, dual=dual, axes=axes)
        else:
            down, right = rng.integers(0, 8, 2).tolist()
            new = wavelet_shrink(step, weight, shift=(down, right))
        after = (1 + np.sqrt(1 + 4 * t * t)) / 2
        z, x, t = new + float((t - 1) / after) * (new - x), new, after
    return x


def conjugate_gradients(
    normal: Callable[[Array], Array], right: Array, iterations: int, watch: Callable[[Array], object] | None = None
) -> Array:
    """Solves ``normal(x) = right`` for a Hermitian operator without negative eigenvalues, from 0 on.

    >>> conjugate_gradients(lambda x: 2 * x, np.array([4.0 + 2j]), 3)
    array([2.+1.j])
    """
    x = np.zeros_like(right)
    r = p = right
    energy = np.vdot(r, r).real
    for _ in range(iterations):
        if energy == 0:
            break
        ap = normal(p)
        a = energy / np.vdot(p, ap).real
        x, r = x + a * p, r - a * ap
        before, energy = energy, np.vdot(r, r).real
        p = r + energy / before * p
        if watch is not None:
            watch(x)
    return x


def __getattr__(name: str) -> Callable:
    """SENSE, which is at home in :mod:`parallel`, is found under its former address, too."""
    if name == "sense":
        from medsr_course.tasks import parallel

        return parallel.sense
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
