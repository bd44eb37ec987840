"""What an image is like: what its values are, whether it resembles a head, whether that has a face.

Each slice gives ten numbers (:data:`FEATURES`), a scan their medians; :func:`distance` is that of Mahalanobis. Which
images it tells from heads: ``results/domain.md``.
"""

import numpy as np
from scipy import ndimage

from medsr_course.physics import acquisition, grid, interpolation
from medsr_course.types import Array, Stack

FEATURES = {
    "kurtosis": "log kurtosis of the fine detail inside the object",
    "follows edges": "correlation of fine detail with edges",
    "quiet half": "share of fine detail in the quieter half, logit",
    "detail": "log10 share of the power that is fine detail",
    "slope": "slope of the spectrum, power of frequency",
    "dark": "share of the field that is dark",
    "median": "median inside the object, parts of the scale",
    "spread": "interquartile range inside the object, parts of the scale",
    "ellipse": "overlap of the object with an ellipse",
    "mirror": "likeness to its own mirror image",
}
LEAST = 32  # pixels along a side, below which nothing is measured


def features(stack: Stack) -> Array | None:
    """Returns the ten numbers of a scan's slices (n, h, w), or None where no slice holds an object to measure."""
    scale = grid.intensity(stack)[1]
    if min(stack.shape[1:]) < LEAST or scale <= 0:
        return None
    found = [row for one in grid.trim(np.asarray(stack, float) / scale, 2) if (row := _of_slice(one)) is not None]
    return np.median(found, axis=0) if found else None


def _of_slice(image: Array) -> Array | None:
    soft = ndimage.gaussian_filter(image, 1.5)
    parts, count = ndimage.label(soft > grid.IN_HEAD)
    if not count:
        return None
    whole = ndimage.binary_fill_holes(parts == 1 + np.bincount(parts.ravel())[1:].argmax())
    inside = ndimage.binary_erosion(whole, iterations=3)
    if inside.sum() < 200:
        return None
    low = interpolation.zero_fill(acquisition.kspace_crop(image[None], 2), 2)[0]
    high = image - low
    edges = np.log(ndimage.gaussian_gradient_magnitude(low, 1.5)[inside] + 1e-4)
    energy = ndimage.gaussian_filter(high**2, 1.5)[inside] + 1e-10
    detail, values = high[inside] ** 2 + 1e-12, image[inside]
    quiet = np.clip(np.sort(energy)[: energy.size // 2].sum() / energy.sum(), 1e-3, 0.499)
    lower, middle, upper = np.percentile(values, [25, 50, 75])
    follows = np.corrcoef(edges, np.log(energy))[0, 1] if np.ptp(edges) and np.ptp(energy) else 0.0
    return np.array([
        np.log(np.mean(detail**2) / detail.mean() ** 2),
        follows,
        np.log(quiet / (0.5 - quiet)),
        np.log10(detail.mean() / np.mean(values**2)),
        _slope(image * ndimage.gaussian_filter(inside.astype(float), 2)),
        np.mean(image < grid.IN_HEAD),
        middle,
        upper - lower,
        *_shape(whole, soft),
    ])  # fmt: skip


def _slope(image: Array) -> float:
    """Power of frequency that the spectrum falls with, between a tenth and eight tenths of the band."""
    h, w = image.shape
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None]) * 2
    place = np.digitize(radius.ravel(), np.geomspace(0.1, 0.8, 13))
    power = np.bincount(place, np.abs(np.fft.rfft2(image)).ravel() ** 2, 14)[1:13] / np.bincount(place, None, 14)[1:13]
    return float(np.polyfit(np.arange(12) * np.log(8) / 12, np.log(power + 1e-12), 1)[0])


def _shape(whole: Array, soft: Array) -> tuple[float, float]:
    """Overlap (Dice) with the ellipse of equal second moments, and correlation with the mirror image, either way."""
    y, x = np.nonzero(whole)
    centre = np.array([y.mean(), x.mean()])
    spread = np.cov(np.stack([y, x])) + 1e-6 * np.eye(2)
    rows, columns = np.indices(whole.shape)
    off = np.stack([rows - centre[0], columns - centre[1]])
    ellipse = np.einsum("ihw,ij,jhw->hw", off, np.linalg.inv(spread), off) <= 4
    alike = []
    for axis in (0, 1):
        shift = [0.0, 0.0]
        shift[axis] = 2 * centre[axis] - (whole.shape[axis] - 1)
        mirrored = ndimage.shift(np.flip(soft, axis), shift, order=1)
        a, b = soft[whole], mirrored[whole]
        alike.append(np.corrcoef(a, b)[0, 1] if np.ptp(a) and np.ptp(b) else 0.0)
    return 2 * (whole & ellipse).sum() / (whole.sum() + ellipse.sum()), max(alike)


def distance(values: Array, mean: Array, covariance: Array) -> float:
    """Returns the Mahalanobis distance, divided by the root of the number of features: about 1 for what was fitted."""
    away = values - mean
    return float(np.sqrt(away @ np.linalg.solve(covariance, away) / len(away)))


def middle(data: Array, axis: int, count: int) -> Stack:
    """Returns up to ``count`` slices of (x, y, z) across an axis, from its middle; the other axes keep their order."""
    size = data.shape[axis]
    index = np.unique(np.linspace(0.35 * size, 0.72 * size, count).astype(int).clip(0, size - 1))
    return np.moveaxis(np.take(data, index, axis=axis), axis, 0).astype(np.float32)


def values(stack: Stack) -> str:
    """Returns what the values are: magnitude, empty, labels, phase, ct, signed, or quantitative (as mm²/s)."""
    low, high = np.percentile(stack, [0.1, 99.9])
    if stack.min() == stack.max():
        return "empty"
    left, right = stack[..., 1:], stack[..., :-1]
    sample = stack.ravel()[:: max(1, stack.size // 20000)]
    values, counts = np.unique(sample, return_counts=True)
    usual = values[counts.argmax()]
    some = (left != usual) | (right != usual)
    if some.any() and np.mean(left[some] == right[some]) > 0.6:
        return "labels"
    if np.mean(np.abs(left - right) > 0.8 * (high - low)) > 0.008:
        return "phase"
    if grid.intensity(stack)[0]:
        return "ct" if np.percentile(stack, 0.5) < -500 and high < 5000 else "signed"
    return "quantitative" if 2e-4 < high < 1e-2 else "magnitude"


def face(data: Array, sizes: Array) -> bool:
    """Returns whether the front edge at the height of the nose is about as far forward as the forehead.

    Of the middle sagittal slices of (x, y, z), RAS; a skull-stripped, a defaced or a cropped head has none there.
    """
    planes = middle(data, 0, 6)[:, :: max(1, round(2 / sizes[1])), :: max(1, round(2 / sizes[2]))]
    step = sizes[1:] * [max(1, round(2 / size)) for size in sizes[1:]]
    if min(planes.shape[1:]) < 16 or (scale := grid.intensity(planes)[1]) <= 0:
        return False
    soft = ndimage.gaussian_filter(planes, (0, *(2 / step)))
    bright = ndimage.binary_opening((soft > 0.15 * scale).any(axis=0))
    rows = np.flatnonzero(bright.sum(axis=0) * step[0] > 30)
    if not rows.size:
        return False
    below = (rows[-1] - np.arange(bright.shape[1])) * step[1]  # mm below the vertex
    front = np.where(bright.any(axis=0), bright.shape[0] - bright[::-1].argmax(axis=0), 0) * step[0]
    forehead, nose = front[(below > 30) & (below < 60)], front[(below > 100) & (below < 150)]
    return bool(forehead.size and nose.size and np.mean(nose > np.median(forehead) - 15) > 0.5)
