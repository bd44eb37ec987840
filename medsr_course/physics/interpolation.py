"""Super-resolution without learning: interpolation, zero-filling, wavelets.

Every method takes ``(n, h, w)`` (any leading axes), signed or not, in any unit, and returns
``(n, scale·h, scale·w)`` on the grid of :mod:`medsr_course.physics.grid`: sample 0 stays in place, HR sample *i*
lies at LR coordinate *i / scale*. All of them are linear, preserve constants and keep float32.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import fft

from medsr_course.physics import grid
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.types import Array, ArrayLike, Stack

BORDERS = {"mirror": "reflect", "edge": "edge", "wrap": "wrap"}
WINDOWS = ("hamming", "tukey", "fermi")

# -- interpolation kernels -------------------------------------------------------------------------
# Functions of the distance t in LR samples. Their half width is their support.


def box(t: ArrayLike) -> Array:
    """Nearest neighbour: 1 within half a sample. At exactly ±½ two samples tie and share: ½ each.

    >>> box([0, 0.5, 0.6])
    array([1. , 0.5, 0. ])
    """
    t = np.abs(t)
    return np.where(np.isclose(t, 0.5), 0.5, np.where(t < 0.5, 1.0, 0.0))


def tent(t: ArrayLike) -> Array:
    """Linear interpolation: 1 − |t| within one sample."""
    return np.clip(1 - np.abs(t), 0, None)


def keys(t: ArrayLike, a: float = -0.5) -> Array:
    r"""Cubic convolution (Keys 1981, eq. 15): a = −½ reproduces every parabola.

    :math:`(a+2)|t|^3 - (a+3)|t|^2 + 1` up to 1, then :math:`a(|t|^3 - 5|t|^2 + 8|t| - 4)` up to 2.

    >>> keys([0, 0.5, 1.5])
    array([ 1.    ,  0.5625, -0.0625])
    """
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def lanczos_kernel(t: ArrayLike, lobes: int = 3) -> Array:
    r"""The ideal sinc, faded out by the main lobe of a wider sinc (Duchon 1979): sinc(t)·sinc(t/lobes).

    >>> lanczos_kernel([0, 1.5, 3]).round(3)
    array([ 1.   , -0.135,  0.   ])
    """
    t = np.asarray(t, float)
    return np.where(np.abs(t) < lobes, np.sinc(t) * np.sinc(t / lobes), 0.0)


def spline_kernel(t: ArrayLike) -> Array:
    r"""Cubic B-spline (Unser 1999). It smooths: :func:`spline` sharpens the samples first to make up for it.

    :math:`2/3 - t^2 + |t|^3/2` up to 1, then :math:`(2 - |t|)^3/6` up to 2.

    >>> spline_kernel([0, 1, 2]).round(4)
    array([0.6667, 0.1667, 0.    ])
    """
    t = np.abs(t)
    return np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6)


KERNELS = {"nearest": (box, 1), "linear": (tent, 1), "cubic": (keys, 2), "lanczos": (lanczos_kernel, 3)}


def taps(kernel: Callable[[Array], Array], support: int, scale: int) -> Array:
    """Weights of the LR neighbours for each HR sample within one LR step, ``(scale, 2·support)``.

    Row *p*: ``kernel``, a function of the distance in LR samples and 0 from ``support`` on, at LR samples
    ``−support + 1 … support`` for the HR sample at *p / scale*. Rows sum to 1, so that constants stay constant (Lanczos
    needs the division).

    >>> taps(tent, 1, 2)
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    at = np.arange(scale)[:, None] / scale
    neighbours = np.arange(1 - support, support + 1)
    weights = kernel(at - neighbours)
    return weights / weights.sum(axis=1, keepdims=True)


def interpolate(
    stack: Stack, scale: int, kernel: Callable[[Array], Array], support: int, border: str = "mirror"
) -> Stack:
    r"""Interpolate both image axes by convolution with a kernel: :math:`y_i = \sum_n x_n\, k(i/s - n)`.

    Parameters
    ----------
    stack : array (..., h, w)
        Real or complex; float32 stays float32, integers become float64.
    scale : int
    kernel, support
        See :func:`taps`.
    border : {"mirror", "edge", "wrap"}
        What is assumed beyond the border: the image mirrored at its last sample, the last sample
        repeated, or the image again (which is what every Fourier method assumes).

    >>> interpolate(np.array([[0.0, 4.0]]), 2, tent, 1, "edge")[0]
    array([0., 2., 4., 4.])
    """
    if border not in BORDERS:
        raise ValueError(f"border must be one of {', '.join(BORDERS)}, not {border!r}")
    weights = taps(kernel, support, grid.padded_size(1, scale))
    out = _convolve_axis(_floating(stack), weights, -2, BORDERS[border])
    return _convolve_axis(out, weights, -1, BORDERS[border])


def nearest(stack: Stack, scale: int, border: str = "mirror", ties: str = "mean") -> Stack:
    """Nearest neighbour; see :func:`interpolate`.

    At even scales some HR samples lie exactly midway between two LR samples. ``ties="mean"`` shares
    them, so that the image stays in place (and ×2 becomes linear interpolation); ``"low"`` takes
    the lower neighbour: only values of the input occur, as label maps need, but the image moves by
    half an HR sample.

    >>> nearest(np.array([[1, 5]]), 2, ties="low")[0]
    array([1, 1, 5, 5])
    """
    if ties not in ("mean", "low"):
        raise ValueError(f"ties must be 'mean' or 'low', not {ties!r}")
    if ties == "mean":
        return interpolate(stack, scale, *KERNELS["nearest"], border)
    h, w = np.shape(stack)[-2:]
    rows, columns = (np.ceil(grid.positions(n, scale) - 0.5).astype(int).clip(0, n - 1) for n in (h, w))
    return np.asarray(stack)[..., rows[:, None], columns]


def linear(stack: Stack, scale: int, border: str = "mirror") -> Stack:
    """Bilinear interpolation, kernel :func:`tent`; see :func:`interpolate`."""
    return interpolate(stack, scale, *KERNELS["linear"], border)


def cubic(stack: Stack, scale: int, border: str = "mirror") -> Stack:
    """Bicubic interpolation (Keys 1981, a = −½), kernel :func:`keys`; see :func:`interpolate`.

    >>> cubic(np.array([[0.0, 1.0, 4.0, 9.0, 16.0]]), 2)[0, 2:6]  # a parabola stays one
    array([1.  , 2.25, 4.  , 6.25])
    """
    return interpolate(stack, scale, *KERNELS["cubic"], border)


def lanczos(stack: Stack, scale: int, border: str = "mirror") -> Stack:
    """Lanczos interpolation with three lobes (Duchon 1979), :func:`lanczos_kernel`; see :func:`interpolate`."""
    return interpolate(stack, scale, *KERNELS["lanczos"], border)


def spline(stack: Stack, scale: int, border: str = "mirror") -> Stack:
    """Cubic B-spline interpolation, what SciPy, SPM and ITK call cubic (Unser 1999).

    A recursive filter first finds the coefficients whose B-splines pass through the samples: every
    sample has some influence everywhere, and the result is nearer to the sinc than four neighbours
    allow. Kernel :func:`spline_kernel`; see :func:`interpolate`.

    >>> spline(np.array([[0.0, 3.0, 1.0]]), 2)[0, ::2].round(6) + 0.0  # the samples themselves
    array([0., 3., 1.])
    """
    from scipy import ndimage

    modes = {"mirror": "mirror", "edge": "nearest", "wrap": "grid-wrap"}
    if border not in modes:
        raise ValueError(f"border must be one of {', '.join(modes)}, not {border!r}")
    stack = _floating(stack)
    if border == "edge":  # SciPy's filter repeats the last sample only approximately: give it room
        room = [(0, 0)] * (stack.ndim - 2) + [(12, 12)] * 2
        inner = slice(12 * scale, -12 * scale)
        return spline(np.pad(stack, room, mode="edge"), scale)[..., inner, inner]
    coefficients = stack
    for axis in (-2, -1):
        if stack.shape[axis] > 1:
            coefficients = ndimage.spline_filter1d(coefficients, 3, axis, output=stack.dtype, mode=modes[border])
    return interpolate(coefficients, scale, spline_kernel, 2, border)


# -- Fourier ---------------------------------------------------------------------------------------


def zero_fill(stack: Stack, scale: int, window: str | None = None, strength: float = 1.0) -> Stack:
    r"""Zero-filling (ZIP): Fourier interpolation, the exact inverse of ``acquisition.kspace_crop``.

    :math:`y = s\, F_{sh,\,sw}^H\, Z\, F_{h,w}\, x` with unitary transforms F and Z, which pads with zeros.
    Complex ``(..., h, w)`` stays complex, real stays real, and signed. A ``window`` fades k-space out before its edge,
    against ringing: see :func:`window_response`.

    >>> zero_fill(np.array([[1.0, -1.0]]), 2)[0].round(6) + 0.0
    array([ 1.,  0., -1.,  0.])
    """
    if window is not None:
        stack = apply_window(stack, window, strength)
    h, w = np.shape(stack)[-2:]
    out = grid.pad_axis(stack, grid.padded_size(h, scale), -2)
    return grid.pad_axis(out, grid.padded_size(w, scale), -1)


def zero_fill_adjoint(stack: Stack, scale: int) -> Stack:
    """Adjoint of :func:`zero_fill` (without window): ``(..., h, w)`` to ``(..., h / scale, w / scale)``."""
    h, w = np.shape(stack)[-2:]
    out = grid.pad_axis_adjoint(stack, grid.cropped_size(h, scale), -2)
    return grid.pad_axis_adjoint(out, grid.cropped_size(w, scale), -1)


def hidden(image: Stack, scale: int) -> Stack:
    """The part of an image ``(..., h, w)`` that no scan ``scale`` × coarser sees, its null space: x − Z C x.

    C is :func:`acquisition.kspace_crop`, Z :func:`zero_fill`.

    >>> float(abs(hidden(np.ones((1, 8, 8)), 2)).max())
    0.0
    """
    return image - zero_fill(kspace_crop(image, scale), scale)


def window_response(name: str, frequency: ArrayLike, strength: float = 1.0) -> Array:
    """Weight that a window gives to a frequency; 1 at frequency 0.

    Parameters
    ----------
    name : {"hamming", "tukey", "fermi"}
        Hamming: a raised cosine that ends at 0.08. Tukey: flat, then a cosine down to 0 over the outer
        ``strength`` of the band (1: a Hann window). Fermi: flat, then a smooth step (Bernstein, King &
        Zhou 2004, section 13.1), here at 1 − 0.3·strength and 0.1·strength wide.
    frequency : array
        As a fraction of the highest one measured, −1 … 1.
    strength : float
        0 … 1; at 0 every window is 1 everywhere.

    >>> window_response("hamming", np.array([0.0, 1.0]))
    array([1.  , 0.08])
    """
    if name not in WINDOWS:
        raise ValueError(f"window must be one of {', '.join(WINDOWS)}, not {name!r}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie between 0 and 1, not {strength!r}")
    f = np.abs(np.asarray(frequency, float))
    if strength == 0:
        return np.ones_like(f)
    if name == "hamming":
        return 1 - 0.46 * strength * (1 - np.cos(np.pi * f))
    if name == "tukey":
        return 0.5 + 0.5 * np.cos(np.pi * np.clip((f - (1 - strength)) / strength, 0, 1))
    edge, width = 1 - 0.3 * strength, 0.1 * strength
    return (1 + np.exp(-edge / width)) / (1 + np.exp((f - edge) / width))


def apply_window(stack: Stack, name: str, strength: float = 1.0) -> Stack:
    """Multiply k-space of ``(..., h, w)`` by :func:`window_response` along both axes; the mean stays."""
    return weighted(stack, lambda frequency: window_response(name, frequency, strength))


def weighted(stack: Stack, response: Callable[[Array], Array]) -> Stack:
    """Multiply k-space of ``(..., h, w)``, along both axes, by what ``response`` gives to frequencies from −1 to 1.

    >>> weighted(np.array([[1.0, -1.0], [1.0, -1.0]]), lambda frequency: 1 - abs(frequency) / 2)
    array([[ 0.5, -0.5],
           [ 0.5, -0.5]])
    """
    out = _floating(stack)
    for axis in (-2, -1):
        weight = response(2 * fft.fftfreq(out.shape[axis]))
        weight = weight.reshape([-1 if a == axis else 1 for a in (-2, -1)])
        out = fft.ifft(fft.fft(out, axis=axis) * weight, axis=axis)
    return _like(out, stack)


# -- wavelets --------------------------------------------------------------------------------------


def wavelet_zero_pad(stack: Stack, scale: int, wavelet: str = "bior4.4") -> Stack:
    """Wavelet zero-padding: the image as approximation coefficients, all detail coefficients zero.

    With the details at zero an inverse wavelet transform inserts zeros and convolves with the synthesis
    low-pass filter: one more interpolation kernel, repeated per octave. That filter sits *between* the
    fine samples or is lop-sided for most wavelets (Haar: half a fine voxel), so that the result would be
    displaced: its centre of mass is measured and shifted back, by a Fourier shift where the offset is
    no whole number of samples.

    ``wavelet`` is a name PyWavelets has; the default is the CDF 9/7 of JPEG 2000, symmetric about a sample. The image
    is continued periodically, as in :func:`zero_fill`. A ``scale`` that is no power of two is a ``ValueError``.

    >>> wavelet_zero_pad(np.full((2, 2), 3.0), 2)[0].round(6)
    array([3., 3., 3., 3.])
    """
    octaves = grid.padded_size(1, scale).bit_length() - 1
    if scale != 2**octaves:
        raise ValueError(f"a wavelet transform doubles: scale must be 2, 4, 8 …, not {scale!r}")
    out = _floating(stack)
    for _ in range(octaves):
        for axis in (-2, -1):
            out = shift(_synthesis(out, wavelet, axis), -wavelet_offset(wavelet), axis)
    return _like(out, stack)


def wavelet_offset(wavelet: str) -> float:
    """How far one octave of uncorrected wavelet zero-padding moves an image, in fine samples.

    >>> round(wavelet_offset("haar"), 6)
    0.5
    """
    impulse = np.zeros(64)
    impulse[16] = 1.0
    response = _synthesis(impulse, wavelet, -1)
    return float((np.arange(128) @ response) / response.sum() - 32)


def shift(stack: Stack, samples: float, axis: int) -> Stack:
    r"""Move ``stack`` periodically by any number of samples towards higher indices.

    By the Fourier shift, :math:`\hat y_k = \hat x_k\, e^{-2\pi i k d/N}`. Whole numbers are moved
    exactly. The coefficient at −N/2 of an even side stands for ±N/2 together and gets their mean phase,
    cos(π·samples): the result of a real input is real.

    >>> shift(np.array([[1.0, 2.0, 3.0]]), 1, -1)
    array([[3., 1., 2.]])
    """
    stack = _floating(stack)
    if abs(samples - round(samples)) < 1e-9:
        return np.roll(stack, round(samples), axis)
    n = stack.shape[axis]
    phase = np.exp(-2j * np.pi * fft.fftfreq(n) * samples)
    if n % 2 == 0:
        phase[n // 2] = np.cos(np.pi * samples)
    spectrum = fft.fft(np.moveaxis(stack, axis, -1)) * phase
    return _like(np.moveaxis(fft.ifft(spectrum), -1, axis), stack)


def _synthesis(x: Array, wavelet: str, axis: int) -> Array:
    import pywt

    # An orthonormal low-pass filter has gain √2 at frequency 0: undone, so that constants stay.
    return pywt.idwt(x * np.sqrt(2).astype(x.real.dtype), None, wavelet, mode="periodization", axis=axis)


# -- shared ----------------------------------------------------------------------------------------


def _convolve_axis(x: Array, weights: Array, axis: int, mode: Any) -> Array:
    scale, width = weights.shape
    x = np.moveaxis(x, axis, -1)
    n, support = x.shape[-1], width // 2
    if n == 1:
        mode = "edge"  # one sample has nothing to mirror
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(support - 1, support)], mode=mode)
    out = np.zeros((*x.shape[:-1], n * scale), x.dtype)
    for phase in range(scale):
        for tap in np.flatnonzero(weights[phase]):
            out[..., phase::scale] += weights[phase, tap].astype(x.real.dtype) * padded[..., tap : tap + n]
    return np.moveaxis(out, -1, axis)


def _floating(stack: ArrayLike) -> Array:
    stack = np.asarray(stack)
    return stack if np.issubdtype(stack.dtype, np.inexact) else stack.astype(np.float64)


def _like(result: Array, stack: ArrayLike) -> Array:
    """Real where the input was real, and of its precision."""
    stack = _floating(stack)
    result = result if np.iscomplexobj(stack) else np.real(result)
    return result.astype(stack.dtype, copy=False)
