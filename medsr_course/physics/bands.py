r"""Which part of its band an image fills: whether an axis was interpolated, told from the image alone.

Two ways to make a grid finer leave two traces. *Zero-filling* leaves the outer band empty: at the end of the native
band the power falls by a step, below what its own trend leads one to expect, to a floor. *Linear and cubic reslicing*
treats samples between the old grid points otherwise than those on them: the mean absolute second difference becomes
periodic along the axis (Gallagher 2005, doi:10.1109/CRV.2005.33). A filter of the raw data is neither: its spectrum
falls smoothly and has no floor.

How often they are wrong: ``results/domain.md``.
"""

import numpy as np
from scipy import ndimage

from medsr_course.types import Array, Mask, Stack

LEAST = 24  # samples along an axis, below which nothing is told
STEP = 5.0, 13.0  # dB below the trend, with a floor behind it and without; native scans: below 4.8, filtered ones 10.5
PERIODIC = 6.0, 0.15  # times the median of its spectrum, and amplitude; scans that were not: below 4.9, 0.145
_GRID = np.linspace(0.02, 1, 99)  # of the Nyquist frequency
_LAST = 0.86  # of the band: a step beyond it cannot be told from a filter's end


def inside(stack: Stack, level: float) -> Mask:
    """Returns where the head is in (n, h, w), four pixels from its border; ``level`` is the intensity scale."""
    bright = ndimage.gaussian_filter(stack, (0, 2, 2)) > 0.15 * level
    filled = np.stack([ndimage.binary_fill_holes(one) for one in bright])
    return ndimage.binary_erosion(filled, np.ones((1, 3, 3), bool), iterations=4)


def filled(stack: Stack, head: Mask) -> float:
    """Returns which part of the band along axis 1 of (n, h, w) holds power, 1 where its end shows no step.

    ``head`` is :func:`inside`. A zoom of less than 1.2 is not told.

    >>> from medsr_course.physics import grid
    >>> rng = np.random.default_rng(0)
    >>> native = 100 + 10 * rng.standard_normal((2, 96, 96))
    >>> fine = grid.pad_axis(native, 192, 1)
    >>> filled(native, inside(native, 100)), round(filled(fine, inside(fine, 100)), 1)
    (1.0, 0.5)
    """
    if stack.shape[1] < LEAST or head.sum() < 200:
        return 1.0
    return _end(_spectrum(stack, head))


def resliced(stack: Stack, head: Mask) -> bool:
    """Returns whether axis 1 of (n, h, w) was resampled between its grid points by linear or cubic interpolation.

    >>> rng = np.random.default_rng(0)
    >>> native = 100 + 10 * rng.standard_normal((2, 64, 64))
    >>> fine = ndimage.zoom(native, (1, 1.5, 1), order=1)
    >>> resliced(native, inside(native, 100)), resliced(fine, inside(fine, 100))
    (False, True)
    """
    if stack.shape[1] < LEAST or head.sum() < 200:
        return False
    bend, within = np.abs(np.diff(stack, 2, axis=1)), head[:, 1:-1]
    count = within.sum(axis=(0, 2))
    known = np.flatnonzero(count > 0.2 * count.max())
    first, last = known[0], known[-1] + 1
    mean = (bend * within).sum(axis=(0, 2))[first:last] / np.maximum(count[first:last], 1)
    if len(mean) < 20 or not mean.any():
        return False
    curve = np.log(mean + 1e-3 * mean.mean())
    curve -= ndimage.gaussian_filter1d(curve, 2.0)
    wave = np.abs(np.fft.rfft(curve * np.hanning(len(curve)))) / np.sqrt(len(curve))
    fast = wave[np.arange(len(wave)) > 0.15 * len(curve)]
    ratio, least = PERIODIC
    return bool(fast.max() > max(ratio * np.median(fast), least))


def _spectrum(stack: Stack, head: Mask) -> Array:
    """Power in dB along axis 1 at :data:`_GRID`, over frequencies of the other axis that any native grid holds."""
    weight = ndimage.gaussian_filter(head.astype(np.float32), (0, 2, 2))
    detail = (stack - ndimage.gaussian_filter(stack, (0, 3, 3))) * weight
    power = (np.abs(np.fft.fft2(detail)) ** 2).sum(axis=0)
    across = np.abs(np.fft.fftfreq(power.shape[1]))
    along = power[:, (across > 0.05) & (across < 0.24)].mean(axis=1)
    half = len(along) // 2
    both = (along[1 : half + 1] + along[: -half - 1 : -1]) / 2
    curve = np.interp(_GRID, np.arange(1, half + 1) / (len(along) / 2), both)
    return 10 * np.log10(ndimage.uniform_filter1d(curve, 3, mode="nearest") + 1e-14 * curve.max() + 1e-300)


def _end(curve: Array) -> float:
    """Where the power falls below its trend by a step and stays there, in parts of the band; 1 where it does not."""
    (best, sure), end = STEP, 1.0
    for i in range(30, int(np.searchsorted(_GRID, _LAST))):
        slope = np.polyfit(np.arange(23), curve[i - 25 : i - 2], 1)[0]  # dB per sample, before the step
        before, after = curve[i - 7 : i - 1].mean(), curve[i + 4 : i + 10].mean()
        step = before - after + 11 * min(slope, 0)
        fall = (after - curve[-4:].mean()) / (len(curve) - i - 9)  # dB per sample, behind the step
        floor = step > sure or fall < 0.6 * (before - after) / 11
        if step > best and floor and curve[i + 4 :].max() < before - 0.6 * step:
            best, end = step, float(_GRID[i] - 0.02)
    return end
