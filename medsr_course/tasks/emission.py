r"""PET with a guide: activity on real anatomy, counts, Bowsher's prior, and lesions that only one of two images shows.

Images are square slices ``(size, size)`` with pixels of 2 mm; activity is in units of normal white matter's. A
reconstruction is of :func:`physics.tomography.emission_system` and may be of several count vectors at a time, one in
each column.

Sources: Bowsher *et al.*, IEEE Nucl. Sci. Symp. (2004), for the choice of neighbours; De Pierro, *IEEE Trans. Med.
Imaging* 14 (1995) 132, for the step that stays positive and never makes the penalised likelihood worse.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import LinearOperator

from medsr_course import runtime
from medsr_course.physics import grid, tomography
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.types import Array, ArrayLike, Mask

STEP = 2.0  # mm, side of a pixel
SIZE = 104  # pixels along a side
VIEWS = 60
FWHM = 2.5  # pixels: 5 mm, what a brain PET's detectors blur by
COUNTS = 5e5  # in a slice
UPTAKE = {0: 0.0, 1: 0.2, 2: 4.0, 3: 1.0, 4: 4.0, 5: 0.5, 6: 0.2, 7: 0.5, 8: 0.5, 9: 1.0}  # label → activity
KINDS = ("PET only", "both", "MR only")
HOT, DARK = 4.0, 0.6  # a lesion's activity; its T1w signal in parts of white matter's
RADIUS = 6.0  # mm


@dataclass(frozen=True, eq=False)
class Phantom:
    """A slice of one person: ``activity`` (the truth), ``anatomy`` (a T1w slice), and where what is.

    ``lesions`` holds a mask for each of :data:`KINDS`, ``rings`` the white matter around each, ``tissues`` masks of
    pixels that are wholly "grey", "white" or "fluid", lesions and rings left out. All (size, size).
    """

    activity: Array
    anatomy: Array
    lesions: Mapping[str, Mask]
    rings: Mapping[str, Mask]
    tissues: Mapping[str, Mask]
    brain: Mask


def phantom(subject: Subject, key: int | str | None = None, *, height: float = 0.62) -> Phantom:
    """Activity and anatomy of a cohort subject, with three lesions in its white matter, one of each kind.

    ``height`` says which axial slice, in parts of the volume; ``key`` (by default the subject's id) deals out the
    places.
    """
    assert subject.labels is not None
    k = round(height * (subject.labels.shape[2] - 1))
    labels = volumes.to_stack(subject.labels)[k]
    mr = volumes.to_stack(subject.contrasts["T1w"])[k]
    shares = {number: _coarser(labels == number) for number in UPTAKE}
    anatomy = _coarser(mr / grid.intensity(mr)[1])
    activity = np.sum([UPTAKE[number] * share for number, share in shares.items()], axis=0)
    white = shares[3] + shares[9] > 0.99
    brain = shares[1] + shares[2] + shares[3] + shares[4] + shares[9] > 0.5
    lesions, rings = {}, {}
    places = _places(white, len(KINDS))
    order = runtime.rng("lesions", subject.id if key is None else key).permutation(len(KINDS))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    normal = float(np.median(anatomy[white]))
    for kind, k in zip(KINDS, order, strict=True):
        away = STEP * np.hypot(rows - places[k][0], columns - places[k][1])
        share = np.clip((RADIUS - away) / STEP + 0.5, 0, 1)
        lesions[kind] = away <= RADIUS
        rings[kind] = (away > RADIUS + 4) & (away < RADIUS + 10) & white
        if kind != "MR only":
            activity = activity * (1 - share) + HOT * share
        if kind != "PET only":
            anatomy = anatomy * (1 - share) + DARK * normal * share
    free = ~np.any([*(ndimage.binary_dilation(one, iterations=5) for one in lesions.values())], axis=0)
    whole = {"grey": shares[2] + shares[4], "white": shares[3], "fluid": shares[1]}
    tissues = {name: (share > 0.95) & free & brain for name, share in whole.items()}
    return Phantom(activity, anatomy, lesions, rings, tissues, brain)


def _coarser(image: ArrayLike) -> Array:
    """Means over 2 × 2 pixels of 1 mm, the field's middle, (SIZE, SIZE)."""
    image = np.asarray(image, float)
    h, w = (side // 2 * 2 for side in image.shape)
    small = image[:h, :w].reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3))
    out = np.zeros((SIZE, SIZE))
    rows, columns = (min(SIZE, side) for side in small.shape)
    top, left = ((SIZE - rows) // 2, (SIZE - columns) // 2)
    cut_rows, cut_columns = ((small.shape[0] - rows) // 2, (small.shape[1] - columns) // 2)
    out[top : top + rows, left : left + columns] = small[
        cut_rows : cut_rows + rows, cut_columns : cut_columns + columns
    ]
    return out


def _places(white: Mask, count: int, apart: float = 24.0) -> list[tuple[int, int]]:
    """The middles of the widest white matter, ``apart`` mm or more from each other."""
    depth = ndimage.distance_transform_edt(white)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    places = []
    for _ in range(count):
        place = np.unravel_index(depth.argmax(), depth.shape)
        places.append((int(place[0]), int(place[1])))
        depth = np.where(np.hypot(rows - place[0], columns - place[1]) * STEP < apart, 0, depth)
    return places


def camera(activity: Array, counts: float = COUNTS) -> LinearOperator:
    """The PET camera for a slice: ``camera(x) @ x.ravel()`` are the expected counts, ``counts`` in all."""
    per_unit = counts / (activity.sum() * VIEWS)
    angles = np.arange(VIEWS) * 180 / VIEWS
    return tomography.emission_system(SIZE, angles, fwhm=FWHM, counts_per_unit=per_unit)


def neighbours(anatomy: Array, keep: int = 4, reach: int = 1) -> sparse.csr_array:
    """Which pixels the prior ties together: each with the ``keep`` most alike of its neighbours in the anatomy.

    Neighbours lie within ``reach`` pixels along each axis. Returns a symmetric matrix (pixels, pixels): 1 where two
    pixels chose each other, 1/2 where one chose the other, else 0.
    """
    h, w = anatomy.shape
    index = np.arange(h * w).reshape(h, w)
    padded = np.pad(np.asarray(anatomy, float), reach, constant_values=np.inf)
    steps = [(i, j) for i in range(2 * reach + 1) for j in range(2 * reach + 1) if (i, j) != (reach, reach)]
    gaps = np.stack([np.abs(padded[i : i + h, j : j + w] - anatomy) for i, j in steps])
    best = np.argsort(gaps, axis=0, kind="stable")[:keep]
    there = np.array([(i - reach) * w + j - reach for i, j in steps])
    inside = np.isfinite(np.take_along_axis(gaps, best, 0))
    one = np.broadcast_to(index, best.shape)[inside]
    other = one + there[best[inside]]
    chosen = sparse.csr_array((np.ones(one.size), (one, other)), shape=(h * w, h * w))
    return sparse.csr_array((chosen + chosen.T) / 2)


def map_em(
    system: LinearOperator, counts: ArrayLike, iterations: int, ties: sparse.csr_array, strength: float
) -> Array:
    r"""MLEM with a quadratic penalty :math:`\frac{\beta}{4}\sum_{jk} W_{jk}(x_j - x_k)^2` (De Pierro 1995).

    Parameters
    ----------
    system : LinearOperator (m, n)
    counts : array (m,) or (m, columns)
    iterations : int
    ties : sparse array (n, n)
        W, symmetric: :func:`neighbours`.
    strength : float
        β, in parts of the mean sensitivity; 0 is plain MLEM.

    Returns
    -------
    array (n,) or (n, columns)
    """
    y = np.asarray(counts, float)
    y = y.reshape(len(y), -1)
    sensitivity = (system.T @ np.ones(system.shape[0]))[:, None]
    beta = strength * float(sensitivity.mean())
    degree = np.asarray(ties.sum(axis=1)).reshape(-1, 1)
    x = np.ones((system.shape[1], y.shape[1]))
    for _ in range(iterations):
        expected = np.maximum(system @ x, 1e-12)
        c = x * (system.T @ (y / expected))
        b = sensitivity - beta * (degree * x + ties @ x)
        a = 2 * beta * degree
        # The root of a x² + b x − c, in the form that is exact for a = 0, too.
        root = np.sqrt(b**2 + 4 * a * c)
        x = np.where(b > 0, 2 * c / np.maximum(b + root, 1e-30), (root - b) / np.maximum(2 * a, 1e-30))
    return x if np.ndim(counts) == 2 else x[:, 0]


def filtered(images: Array, fwhm: float) -> Array:
    """Images ``(h, w, n)``, each blurred by a Gaussian ``fwhm`` pixels wide, 0 for none: clinics do it after MLEM."""
    sigma = fwhm / np.sqrt(8 * np.log(2))
    return ndimage.gaussian_filter(images, (sigma, sigma, 0))


def error(images: Array, truth: Phantom) -> float:
    """Root-mean-square error of images ``(h, w, n)`` inside the brain, in units of white matter's activity."""
    return float(np.sqrt(np.mean((images - truth.activity[..., None])[truth.brain] ** 2)))


def contrast(image: Array, lesion: Mask, ring: Mask) -> Array:
    """How far a lesion stands out of the white matter around it, in the image's unit; image (h, w) or (h, w, n)."""
    return image[lesion].mean(axis=0) - image[ring].mean(axis=0)
