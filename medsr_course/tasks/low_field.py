"""A low-field head beside its 3 T partner: which way round it is, and how noisy."""

import numpy as np

from medsr_course.types import Array

SIDE = 64  # of the grid on which two heads are compared
WAYS = ("right", "turned by 180°", "left and right swapped", "upside down")


def boxed(image: Array, side: int = SIDE) -> Array:
    """The rectangle around a head, on ``side`` × ``side`` pixels, its 99th percentile 1: magnitudes ``(h, w)``.

    The rectangle holds every row and column of which a tenth is brighter than 15 % of the 99th percentile.

    >>> head = np.zeros((40, 30)); head[5:35, 8:24] = 2
    >>> float(boxed(head).min().round(1))
    1.0
    """
    from skimage.transform import resize

    inside = image > 0.15 * np.percentile(image, 99)
    rows, columns = (np.flatnonzero(inside.mean(axis=axis) > 0.1) for axis in (1, 0))
    if not (rows.size and columns.size):
        raise ValueError("there is no head in this image: it is all but empty")
    cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return resize(cut / (np.percentile(cut, 99) or 1.0), (side, side), anti_aliasing=True)


def likeness(image: Array, partner: Array) -> dict[str, float]:
    """Pearson's correlation of two heads (:func:`boxed`), for each of four :data:`WAYS` to hold the first one.

    The two need not be registered, nor have one contrast; the highest of the four tells which way round ``image`` is,
    where the head itself is not symmetric.
    """
    own, other = boxed(image), boxed(partner).ravel()
    ways = (own, own[::-1, ::-1], own[:, ::-1], own[::-1])
    return {name: float(np.corrcoef(way.ravel(), other)[0, 1]) for name, way in zip(WAYS, ways, strict=True)}


def noise_percent(images: Array, border: int = 8) -> float:
    """Noise of complex images ``(..., h, w)``: σ of a channel in % of the 99.5th percentile of the magnitudes.

    σ is measured in a frame of ``border`` pixels, which must hold air alone.

    >>> rng = np.random.default_rng(0)
    >>> image = np.zeros((64, 64)); image[20:44, 20:44] = 1
    >>> bool(abs(noise_percent(image + 0.05 * (rng.normal(size=(64, 64)) + 1j * rng.normal(size=(64, 64)))) - 5) < 1)
    True
    """
    frame = np.ones(images.shape[-2:], bool)
    frame[border:-border, border:-border] = False
    sigma = np.sqrt((np.abs(images[..., frame]) ** 2).mean() / 2)
    return float(100 * sigma / np.percentile(np.abs(images), 99.5))
