r"""The index rule of the course: where samples lie when a grid becomes finer or coarser; and its intensity scale.

Sample 0 stays in place; the voxel size is multiplied or divided by the scale *s*; so HR index of LR
sample *i* is *s·i*. All functions are linear, work on real, signed and complex arrays along one axis,
and preserve the mean (the coefficient of frequency 0 keeps its value as a mean).

Even sizes have a coefficient at −N/2 with no partner at +N/2. Going up, it is split into halves at
±N/2; going down to *a* samples, the coefficients at ±a/2 are summed onto −a/2. Then
``crop(pad(x, s), s) == x`` for every size, odd or even.

With the unitary DFT :math:`U_n` these are :math:`\sqrt{a/n}\,U_a^H C\,U_n` and
:math:`\sqrt{n/a}\,U_n^H Z\,U_a`; their adjoints transpose :math:`C` and :math:`Z`.
"""

import numpy as np
from scipy import fft

from medsr_course.physics import checks
from medsr_course.types import Array, ArrayLike, Stack

IN_HEAD = 0.06  # in parts of the intensity scale: a pixel above it is taken to lie in the head


def padded_size(size: int, scale: int) -> int:
    """Number of samples after zero-filling by the integer ``scale``: s·n."""
    return size * _check_scale(scale)


def cropped_size(size: int, scale: int) -> int:
    """Number of samples after k-space cropping, n/s; ``ValueError`` where ``size`` is not divisible."""
    scale = _check_scale(scale)
    if size % scale:
        raise ValueError(f"a side of {size} is not divisible by {scale}: trim it at the high end first")
    return size // scale


def trim(stack: Stack, scale: int) -> Stack:
    """Drop the last rows and columns of ``(..., h, w)`` until both sides divide by ``scale``."""
    h, w = stack.shape[-2:]
    return stack[..., : h - h % scale, : w - w % scale]


def positions(size: int, scale: int) -> Array:
    """Coordinates i/s, in LR samples, of the HR samples of a grid made finer by ``scale``.

    >>> positions(2, 2)
    array([0. , 0.5, 1. , 1.5])
    """
    return np.arange(padded_size(size, scale)) / scale


def pad_axis(x: ArrayLike, size: int, axis: int) -> Array:
    """Fourier interpolation of ``x`` to ``size`` ≥ its own samples along ``axis``.

    >>> pad_axis(np.array([1.0, -1.0]), 4, 0).round(6) + 0.0  # half a wave at −N/2 and half at +N/2: a cosine
    array([ 1.,  0., -1.,  0.])
    """
    return _resize(x, size, axis, split=0.5)


def pad_axis_adjoint(y: ArrayLike, size: int, axis: int) -> Array:
    """Adjoint of :func:`pad_axis`: takes the padded array back to ``size`` samples."""
    return _resize(y, size, axis, split=0.5, adjoint=True)


def crop_axis(x: ArrayLike, size: int, axis: int) -> Array:
    """Keep the ``size`` lowest frequencies of ``x`` along ``axis``.

    >>> crop_axis(np.array([1.0, 0.0, -1.0, 0.0]), 2, 0).round(6)
    array([ 1., -1.])
    """
    return _resize(x, size, axis, split=1.0)


def crop_axis_adjoint(y: ArrayLike, size: int, axis: int) -> Array:
    """Adjoint of :func:`crop_axis`: takes the cropped array back to ``size`` samples."""
    return _resize(y, size, axis, split=1.0, adjoint=True)


def intensity(stack: ArrayLike) -> tuple[float, float]:
    """Offset and scale that bring a stack to a network's range: ``(stack − offset) / scale``.

    Magnitudes: 0 and the 99.5th percentile of the positive voxels. Signed data (HU): the 0.5th percentile, and
    the span from there to the 99.5th. The little undershoot of a magnitude image beside sharp edges, below a tenth
    of its range, does not make it signed. The scale is 0 for a stack of one value; one that is empty, complex, or holds
    NaN or infinite values is a ``ValueError``.

    >>> intensity(np.array([0.0, 4.0, 4.0])), intensity(np.array([-1000.0, -1000.0, 1000.0, 1000.0]))
    ((0.0, 4.0), (-1000.0, 2000.0))
    """
    stack = np.asarray(stack)
    checks.finite(stack, "the stack")
    stack = stack.astype(np.uint8) if stack.dtype == bool else stack
    low, high = np.percentile(stack, [0.5, 99.5])
    if low < -0.1 * max(high, 0):
        return float(low), float(high - low)
    positive = stack[stack > 0]
    return 0.0, float(np.percentile(positive, 99.5)) if positive.size else 0.0


def _resize(x: ArrayLike, size: int, axis: int, split: float, adjoint: bool = False) -> Array:
    """All four maps: they differ in which edge weight and normalisation they use."""
    x = np.asarray(x)
    n = x.shape[axis]
    small, large = min(n, size), max(n, size)
    if small == large:
        return x.copy()
    spectrum = np.moveaxis(fft.fft(x, axis=axis), axis, -1)
    out = np.zeros((*spectrum.shape[:-1], size), spectrum.dtype)
    up, half = (small + 1) // 2, small // 2  # coefficients 0 … up−1 and −half … −1
    out[..., :up] = spectrum[..., :up]
    out[..., size - half :] = spectrum[..., n - half :]
    if small % 2 == 0:
        if size > n:  # one coefficient becomes two
            out[..., half] = out[..., size - half] = split * spectrum[..., n - half]
        else:  # two become one
            weight = 0.5 if adjoint and split == 0.5 else 1.0
            out[..., size - half] = weight * (spectrum[..., half] + spectrum[..., n - half])
    # fft/ifft carry 1/size; the operators preserve the mean, so scale by size/n; an adjoint has
    # the factor of the forward map, which is n/size seen from here.
    factor = 1.0 if adjoint else size / n
    result = fft.ifft(np.moveaxis(out, -1, axis), axis=axis) * factor
    if np.iscomplexobj(x):
        return result
    return result.real.astype(np.result_type(x.dtype, np.float32), copy=False)


def _check_scale(scale: int) -> int:
    if int(scale) != scale or scale < 1:
        raise ValueError(f"scale must be a whole number of at least 1, not {scale!r}")
    return int(scale)
