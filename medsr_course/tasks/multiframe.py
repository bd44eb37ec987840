"""Several coarse frames of one object, each shifted by another fraction of a pixel: simulate, register, fuse.

A frame sees the object through a *detector* and keeps every ``scale``-th sample. Images are ``(..., h, w)``,
real, in any unit, and taken to repeat beyond their borders, so that every operator is diagonal or nearly so
in Fourier space. A shift ``(dy, dx)`` is in fine samples: the frame starts so far down and right in the object.

Detectors:

* ``"box"`` – each coarse sample is the mean over the ``scale`` fine samples it covers: the pixels of a digital
  detector, or slices of that thickness. Sample 0 covers fine samples 0 … scale − 1.
* ``"kspace"`` – the measured band of k-space and nothing else (:func:`acquisition.kspace_crop`).
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import fft

from medsr_course.physics import checks, grid, interpolation
from medsr_course.types import Array, Stack

DETECTORS = ("box", "kspace")

Scale = int | tuple[int, int]
Shifts = Sequence[Sequence[float]] | Array  # (dy, dx) of each frame


def observe(stack: Stack, scale: Scale, shifts: Shifts, detector: str = "box") -> Array:
    r"""Noise-free frames of an object: :math:`y_k = D\, S_k\, x`, S the shift and D the detector.

    Parameters
    ----------
    stack : array (..., h, w)
    scale : int or (int, int)
        Coarsening along rows and columns; the sides must be divisible.
    shifts : sequence of (dy, dx)
        In fine samples, one pair per frame; fractions are allowed.
    detector : {"box", "kspace"}

    Returns
    -------
    array (frames, ..., h / scale, w / scale)

    >>> observe(np.array([[0.0, 1.0, 2.0, 3.0]]), (1, 2), [(0, 0), (0, 1)])
    array([[[0.5, 2.5]],
           [[1.5, 1.5]]])
    """
    if not len(shifts):
        raise ValueError("no shift was given: without frames there is nothing to see")
    sy, sx = _scales(scale)
    return np.stack([_measure(_move(stack, (-dy, -dx)), sy, sx, detector) for dy, dx in shifts])


def observe_adjoint(frames: Array, scale: Scale, shifts: Shifts, detector: str = "box") -> Stack:
    """Adjoint of :func:`observe`: ``(frames, ..., h, w)`` to the sum over frames ``(..., scale·h, scale·w)``."""
    sy, sx = _scales(scale)
    back = [_move(_spread(y, sy, sx, detector), d) for y, d in zip(frames, shifts, strict=True)]
    return np.sum(back, axis=0)


def back_project(
    frames: Array,
    scale: Scale,
    shifts: Shifts,
    iterations: int,
    *,
    detector: str = "box",
    start: Stack | None = None,
    step: float | None = None,
    watch: Callable[[Stack, Array], object] | None = None,
) -> Stack:
    r"""Iterative back-projection (Irani & Peleg 1991): give the object what its simulated frames lack.

    :math:`x \leftarrow x + \tau \sum_k A_k^T (y_k - A_k x)`, which is gradient descent on
    :math:`\tfrac12 \sum_k \|A_k x - y_k\|^2` (Landweber's iteration). Stop early where there is noise.

    Parameters
    ----------
    frames : array (frames, ..., h, w)
    scale, shifts, detector
        As in :func:`observe`.
    iterations : int
    start : array (..., scale·h, scale·w), optional
        By default 0.
    step : float, optional
        τ; by default scale_y·scale_x / frames, which makes the largest eigenvalue of the box 1. Less than twice that
        converges.
    watch : callable, optional
        ``watch(x, residual)`` after each simulation, before the correction; True stops.

    >>> x, shifts = np.array([[0.0, 1.0, 2.0, 3.0]]), [(0, 0), (0, 1)]
    >>> found = back_project(observe(x, (1, 2), shifts), (1, 2), shifts, 200)
    >>> bool(np.allclose(observe(found, (1, 2), shifts), observe(x, (1, 2), shifts)))
    True
    """
    sy, sx = _scales(scale)
    frames = np.asarray(frames)
    step = sy * sx / len(frames) if step is None else step
    if start is None:
        start = np.zeros((*frames.shape[1:-2], frames.shape[-2] * sy, frames.shape[-1] * sx), frames.dtype)
    x = start
    for _ in range(iterations):
        residual = frames - observe(x, scale, shifts, detector)
        if watch is not None and watch(x, residual):
            break
        x = x + step * observe_adjoint(residual, scale, shifts, detector)
    return x


def fuse(
    frames: Array,
    scale: Scale,
    shifts: Shifts,
    damping: float,
    *,
    detector: str = "box",
    towards: Stack | None = None,
    roughness: bool = False,
) -> Stack:
    r"""The object that explains all frames best, in one step: damped joint least squares.

    Minimises :math:`\sum_k \|A_k x - y_k\|^2 + \lambda \|D(x - z)\|^2`. On a periodic grid each coarse
    frequency mixes only with its scale_y·scale_x aliases, so that one small system per coarse frequency solves
    it exactly (Tsai & Huang 1984).

    Parameters
    ----------
    frames, scale, shifts, detector
        As in :func:`back_project`, whose shape the result has.
    damping : float
        λ > 0. With noise σ and an object of variance ρ², σ²/ρ².
    towards : array (..., scale·h, scale·w), optional
        z: what to fall back to where the frames say nothing; by default 0.
    roughness : bool
        D: the gradient instead of the identity; λ then weighs changes between neighbours.

    >>> x, shifts = np.array([[0.0, 1.0, 2.0, 1.0]]).repeat(4, 0), [(0, 0), (0, 1), (1, 0), (1, 1)]
    >>> fuse(observe(x, 2, shifts), 2, shifts, 1e-6)[0].round(3) + 0.0
    array([0., 1., 2., 1.])
    """
    sy, sx = _scales(scale)
    frames = np.asarray(frames)
    if damping <= 0:
        raise ValueError("damping must be above 0: some frequencies may not be in any frame")
    h, w = frames.shape[-2], frames.shape[-1]
    fy, fx = fft.fftfreq(h * sy), fft.fftfreq(w * sx)
    response = _response(fy, sy, detector)[:, None] * _response(fx, sx, detector)
    model = np.stack([_aliases(response * _phase(fy, dy)[:, None] * _phase(fx, dx), sy, sx) for dy, dx in shifts], -2)
    model = model / np.sqrt(sy * sx)  # (h, w, frames, aliases), between unitary transforms
    weight = np.array(damping)
    if roughness:
        weight = damping * (4 * np.sin(np.pi * fy)[:, None] ** 2 + 4 * np.sin(np.pi * fx) ** 2 + 1e-6)
    weight = _aliases(np.broadcast_to(weight, (h * sy, w * sx)), sy, sx)
    measured = np.moveaxis(fft.fft2(frames, norm="ortho"), 0, -1)
    seen = np.einsum("hwka,...hwk->...hwa", model.conj(), measured)
    if towards is not None:
        seen = seen + weight * _aliases(fft.fft2(towards, norm="ortho"), sy, sx)
    normal = np.einsum("hwka,hwkb->hwab", model.conj(), model)
    index = np.arange(sy * sx)
    normal[..., index, index] += weight
    solved = np.linalg.solve(normal, seen[..., None])[..., 0]
    result = fft.ifft2(_unalias(solved, sy, sx), norm="ortho")
    return result.real.astype(frames.dtype, copy=False)


def register(reference: Array, moved: Array, upsample: int = 100) -> Array:
    r"""Shift of ``moved`` against ``reference``, by the peak of their correlation (Guizar-Sicairos et al. 2008).

    Returns (dy, dx) in samples of the images, to 1/``upsample`` of one: ``moved`` started so far down and right in the
    object, as in :func:`observe` (there in fine samples); the maximum of
    :math:`\mathcal F^{-1}(\hat x\, \overline{\hat y})`. An image of one value, which could lie anywhere, is a
    ``ValueError``.

    >>> x = np.random.default_rng(0).random((16, 16))
    >>> register(x, np.roll(x, (-3, 2), (0, 1)))
    array([ 3., -2.])
    """
    from skimage.registration import phase_cross_correlation

    for image in (reference, moved):
        if np.ptp(checks.finite(image, "the image")) == 0:
            raise ValueError("an image of one value cannot be registered: it could lie anywhere")
    shift, _, _ = phase_cross_correlation(reference, moved, upsample_factor=upsample, normalization=None)
    return np.asarray(shift, float)


def _scales(scale: Scale) -> tuple[int, int]:
    sy, sx = scale if isinstance(scale, (tuple, list)) else (scale, scale)
    return grid.padded_size(1, sy), grid.padded_size(1, sx)


def _move(stack: Stack, shift: Sequence[float]) -> Stack:
    for samples, axis in zip(shift, (-2, -1), strict=True):
        if samples:
            stack = interpolation.shift(stack, samples, axis)
    return np.asarray(stack)


def _measure(stack, sy, sx, detector):
    h, w = stack.shape[-2:]
    a, b = grid.cropped_size(h, sy), grid.cropped_size(w, sx)
    if detector == "box":
        return stack.reshape(*stack.shape[:-2], a, sy, b, sx).mean(axis=(-3, -1))
    _known(detector)
    return grid.crop_axis(grid.crop_axis(stack, a, -2), b, -1)


def _spread(frame, sy, sx, detector):
    h, w = np.shape(frame)[-2:]
    if detector == "box":
        return np.repeat(np.repeat(frame, sy, axis=-2), sx, axis=-1) / (sy * sx)
    _known(detector)
    return grid.crop_axis_adjoint(grid.crop_axis_adjoint(frame, h * sy, -2), w * sx, -1)


def _known(detector):
    if detector not in DETECTORS:
        raise ValueError(f"detector must be one of {', '.join(DETECTORS)}, not {detector!r}")


def _response(frequency, scale, detector):
    """Transfer function of a detector at frequencies in cycles per fine sample."""
    if detector == "box":
        return np.exp(2j * np.pi * np.outer(frequency, np.arange(scale))).mean(axis=1)
    _known(detector)
    size = frequency.size // scale
    return (np.abs(frequency) * frequency.size <= size / 2 + 1e-9).astype(complex)


def _phase(frequency, samples):
    """Factor of a move by −samples, as :func:`interpolation.shift` does it."""
    phase = np.exp(2j * np.pi * frequency * samples)
    n = frequency.size
    if n % 2 == 0 and abs(samples - round(samples)) > 1e-9:
        phase[n // 2] = np.cos(np.pi * samples)
    return phase


def _aliases(spectrum, sy, sx):
    """(..., sy·h, sx·w) to (..., h, w, sy·sx): the frequencies that fall together on the coarse grid."""
    *lead, height, width = spectrum.shape
    h, w = height // sy, width // sx
    split = spectrum.reshape(*lead, sy, h, sx, w)
    return np.moveaxis(split, (-4, -2), (-2, -1)).reshape(*lead, h, w, sy * sx)


def _unalias(groups, sy, sx):
    """Inverse of :func:`_aliases`."""
    *lead, h, w, _ = groups.shape
    split = np.moveaxis(groups.reshape(*lead, h, w, sy, sx), (-2, -1), (-4, -2))
    return split.reshape(*lead, sy * h, sx * w)
