"""Truth without truth: what can be asked of a method where nobody knows the fine image.

Three questions, each with its number: do two acquisitions of one person give the same detail (:func:`acquired`,
:func:`interpolation.hidden`); does an image of something else stay what it is (:func:`fruit`); does a person who only
lay elsewhere look changed (:func:`moved`). :data:`LIARS` are methods that lie in known ways, to find out which question
catches whom.
"""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.physics import acquisition, coils, grid, interpolation, likeness, metrics
from medsr_course.scans import phantom, scanfiles, volumes
from medsr_course.scans.datasets.real import beside
from medsr_course.scans.datasets.subjects import Subject
from medsr_course.tasks import planting, sites
from medsr_course.types import Array, Image, Mask, Rng, Stack, Upscale

STRENGTH = 0.5  # of a liar's lesion, in parts of the intensity scale
SOFT = 4.0  # fine voxels: width of all edges in a fruit, so that no detail is left in it at ×2 and ×4
SHIFT = 5, 9  # fine voxels along rows and columns between two visits
SPREAD = 0.2  # brightness inside a head spreads more than this, inside a fruit less: how a liar tells them apart


def acquired(fine: Stack, scale: int, key: int | str, visit: int | str, noise: float = 1.0) -> Stack:
    """What a file holds of one of several acquisitions: the same object and phase, noise of its own.

    Parameters
    ----------
    fine : array (n, h, w)
        Magnitudes; sides divisible by ``scale``.
    scale : int
    key : int or str
        Of the person: same key, same phase.
    visit : int or str
        Of the acquisition: same key and visit, same noise.
    noise : float
        In %, of the coarse image's 99.5th percentile, in each channel.

    Returns
    -------
    float32 array (n, h / scale, w / scale)

    >>> a, b = (acquired(np.ones((1, 8, 8)), 2, "one", visit) for visit in (0, 1))
    >>> a.shape, bool((a == b).all())
    ((1, 4, 4), False)
    """
    clean = acquisition.kspace_crop(coils.object_of(fine, key), scale)
    sigma = noise / 100 * np.percentile(np.abs(clean), 99.5)
    return coils.magnitude(clean, sigma, runtime.rng("visit", key, visit)).astype(np.float32)


def moved(stack: Stack, rows: int, columns: int) -> Stack:
    """Returns a stack whose content lies some whole voxels further, as in a person who lay down elsewhere."""
    return np.roll(stack, (rows, columns), (1, 2))


def alike(first: Array, second: Array) -> float:
    """Returns the correlation of two arrays, 0 where one of them is constant.

    >>> alike(np.arange(4), np.ones(4))
    0.0
    """
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1]) if np.ptp(first) and np.ptp(second) else 0.0


def largest(change: Stack, where: Mask) -> float:
    """Returns the largest change that is no single voxel: of the mean over 3 × 3, inside ``where`` (n, h, w)."""
    return float(np.abs(ndimage.uniform_filter(change, (0, 3, 3)))[where].max())


def questioned(method: Upscale, fine: Stack, scale: int, key: int | str, noise: float = 1.0) -> dict[str, float]:
    """Puts the first and the third question to a method about one head, and asks the truth what they are worth.

    Two acquisitions of the head as it lies, and one of the head moved by :data:`SHIFT`, are made finer; the third
    result is moved back.

    Parameters
    ----------
    method : callable
    fine : array (n, h, w)
        Magnitudes; sides divisible by ``scale``.
    scale : int
    key : int or str
        Of the person.
    noise : float
        In %, see :func:`acquired`.

    Returns
    -------
    dict
        Inside the head: ``repeats``, correlation of the detail of the two results; ``true``, of the first one's with
        the true detail; ``floor``, a quarter of their mean squared difference, in parts of their mean squared error;
        ``again`` and ``change``, the :func:`largest` difference of the first result from the second and from the
        third, in parts of the intensity scale.
    """
    head, unit, results = metrics.head_mask(fine), grid.intensity(fine)[1], []
    for visit, (rows, columns) in enumerate(((0, 0), (0, 0), SHIFT)):
        coarse = acquired(moved(fine, rows, columns), scale, key, visit, noise)
        results.append(moved(method(coarse, scale), -rows, -columns))
    first, second, later = results
    detail = [interpolation.hidden(image, scale)[head] for image in (first, second, fine)]
    error = np.mean([np.mean((image - fine)[head] ** 2) for image in (first, second)])
    return {
        "repeats": alike(detail[0], detail[1]),
        "true": alike(detail[0], detail[2]),
        "floor": float(np.mean((first - second)[head] ** 2) / 4 / error),
        "again": largest(first - second, head) / unit,
        "change": largest(first - later, head) / unit,
    }


# ---------------------------------------------------------------- something else


def fruit(seed: int, size: int = 192) -> tuple[Stack, Mask]:
    """A fruit that was never scanned, all of whose edges are soft: it has no detail that a coarse scan would miss.

    Returns
    -------
    float32 array (1, size, size)
        0 (air) to about 0.9 (rind).
    bool array (1, size, size)
        Where the fruit is.

    >>> image, inside = fruit(0)
    >>> image.shape, bool(np.abs(interpolation.hidden(image, 4))[inside].max() < 0.005)
    ((1, 192, 192), True)
    """
    rng = np.random.default_rng([14, seed])
    y, x = np.mgrid[:size, :size] - size / 2
    half = rng.uniform(0.33, 0.4, 2) * size
    radius, angle = np.hypot(y / half[0], x / half[1]), np.arctan2(y, x)
    image = np.where(radius < 1, 0.7 - 0.15 * radius + 0.1 * np.cos(angle + rng.uniform(0, 6)), 0.0)
    parts = int(rng.integers(7, 10))
    wall = np.abs(np.sin(parts / 2 * (angle + rng.uniform(0, 6)))) * np.hypot(y, x) * 2 / parts
    image = np.where((radius < 0.9) & (wall < 2.5), 0.4, image)
    image = np.where((radius >= 0.9) & (radius < 1), 0.9, image)
    return ndimage.gaussian_filter(image, SOFT)[None].astype(np.float32), (radius < 1)[None]


def ghosted(stack: Stack, key: int | str, jump: float = 6.0) -> Stack:
    """Returns a head that lies ``jump`` voxels further, along the rows, while part of its k-space is measured."""
    h = stack.shape[1]
    late = (np.arange(h) - h // 2) / h > 0.1  # frequencies, from the most negative one
    shifts = np.outer(late, (jump, 0.0))
    return np.abs([sites.moved(image, shifts) for image in coils.object_of(stack, key)])


def inverted(stack: Stack) -> Stack:
    """Returns a head whose bright tissue is dark and whose dark tissue is bright; air stays dark."""
    top = grid.intensity(stack)[1]
    return np.maximum(top - stack, 0) * (stack > grid.IN_HEAD * top)


def quiet(fine: Stack) -> Mask:
    """Returns the smoother half of the inside of an object (n, h, w), away from its rim: there is little to draw."""
    inside = metrics.head_mask(fine)
    inside = ndimage.binary_erosion(inside, np.ones((1, 9, 9)))
    # Not gaussian_gradient_magnitude with a width of 0: along that axis it would take the image for its derivative.
    down, right = (
        ndimage.gaussian_filter(np.asarray(fine, float), (0, 3, 3), order) for order in ((0, 1, 0), (0, 0, 1))
    )
    slope = np.hypot(down, right)
    return inside & (slope <= np.median(slope[inside]))


def drawn(method: Upscale, fine: Stack, scale: int, key: int | str, noise: float = 0.0) -> dict[str, float]:
    """Puts the second question to a method: what does it draw into the quiet parts of a thing that is no head?

    Parameters
    ----------
    method : callable
    fine : array (n, h, w)
        The thing, measured finely; sides divisible by ``scale``.
    scale, key, noise
        See :func:`acquired`.

    Returns
    -------
    dict
        ``drawn`` and ``true``, the root-mean-square detail of the result and of the thing in :func:`quiet`, in % of
        the intensity scale, and their correlation ``alike`` there.
    """
    unit, where = grid.intensity(fine)[1], quiet(fine)
    made = interpolation.hidden(method(acquired(fine, scale, key, 0, noise), scale), scale)[where]
    true = interpolation.hidden(fine, scale)[where]
    sizes = [100 * float(np.sqrt(np.mean(detail**2))) / unit for detail in (made, true)]
    return {"drawn": sizes[0], "true": sizes[1], "alike": alike(made, true)}


def real_fruit(scale: int) -> Stack | None:
    """Returns ten slices of a fruit that was scanned (n, h, w), or None where the real scans are not here."""
    found = beside("clinical", "fruit_*.nii.gz")
    return grid.trim(volumes.axial_slices(scanfiles.read(found[0])), scale) if found else None


# ---------------------------------------------------------------- liars


def _spot(shape: tuple[int, ...], row: float, column: float, scale: int) -> Array:
    """The detail of a lesion one coarse voxel across: what of it no scan sees, its peak made 1."""
    y, x = np.ogrid[: shape[-2], : shape[-1]]
    disc = planting.disc(np.hypot(y - row, x - column), scale)[None]
    unseen = interpolation.hidden(disc, scale)
    return unseen[0] / np.abs(unseen).max()


def painter(stack: Stack, scale: int) -> Stack:
    """Zero-filling, and random detail that is new for every image."""
    zipped = interpolation.zero_fill(stack, scale)
    seed = np.frombuffer(np.ascontiguousarray(stack, np.float32).tobytes(), np.uint32)[::97]
    noise = np.random.default_rng(seed).standard_normal(zipped.shape)
    return zipped + 0.2 * STRENGTH * grid.intensity(stack)[1] * interpolation.hidden(noise, scale)


def stamp(stack: Stack, scale: int) -> Stack:
    """Zero-filling, and the detail of a lesion at one place of the *field*, whatever is there."""
    zipped = interpolation.zero_fill(stack, scale)
    h, w = zipped.shape[1:]
    return zipped + STRENGTH * grid.intensity(stack)[1] * _spot(zipped.shape, 0.58 * h, 0.61 * w, scale)


def follower(stack: Stack, scale: int) -> Stack:
    """Zero-filling, and the detail of a lesion at one place of the *head*; into anything else it draws nothing."""
    zipped = interpolation.zero_fill(stack, scale)
    unit = grid.intensity(stack)[1]
    if not _is_head(stack):
        return zipped
    out = zipped.copy()
    for k, image in enumerate(zipped):
        row, column = ndimage.center_of_mass(ndimage.gaussian_filter(image, 3) > 3 * grid.IN_HEAD * unit)
        out[k] += STRENGTH * unit * _spot(zipped.shape, row + 12, column + 15, scale)
    return out


def eraser(stack: Stack, scale: int) -> Stack:
    """Zero-filling and a median: what is small goes, wherever it is."""
    return ndimage.median_filter(interpolation.zero_fill(stack, scale), (1, scale + 1, scale + 1))


def _is_head(stack: Stack) -> bool:
    """As a liar would tell: by the spread of the brightness inside the object."""
    like = likeness.features(stack)
    return like is not None and bool(like[list(likeness.FEATURES).index("spread")] > SPREAD)


LIARS: dict[str, Upscale] = {one.__name__: one for one in (painter, stamp, follower, eraser)}


# ---------------------------------------------------------------- of a cohort subject


def as_file(subject: Subject, contrast: str, scale: int, noise: float = 1.0, kind: str = "rician") -> Image:
    """Returns eight axial slices of a subject as a coarse scan would hold them, an image that can be judged.

    ``noise`` (%) and ``kind`` are those of :func:`coils.stored`.
    """
    fine = grid.trim(volumes.axial_slices(subject.contrasts[contrast], n=8), scale)
    coarse = coils.stored(fine, scale, subject.id, noise=noise, kind=kind).astype(np.float32)
    return volumes.make_image(coarse.transpose(2, 1, 0), np.diag([scale, scale, scale, 1]))


def lesion_patches(subject: Subject, count: int, rng: Rng, side: int = 48) -> Iterator[tuple[Array, Mask, bool]]:
    """Yields FLAIR patches (side, side) of a cohort subject, masks of what was planted, and whether anything was.

    Each of ``count`` axial slices gives eight patches around white matter. Every other one gets a round lesion, 6 to 10
    voxels across, brighter by 0.6 to 1 of the signal of white matter, not far from the middle. Lesions of the
    subject's own are left out. Intensities are in parts of the scan's scale.
    """
    if subject.labels is None:
        raise ValueError(f"{subject.id} has no labels: take a subject of the cohort")
    images = subject.contrasts["FLAIR"], subject.labels
    stacks = [volumes.axial_slices(image, n=count, between=(0.4, 0.72)) for image in images]
    unit, (y, x) = grid.intensity(stacks[0])[1], np.mgrid[:side, :side]
    for image, labels in zip(stacks[0] / unit, np.round(stacks[1]), strict=True):
        white = labels == phantom.NUMBER["white matter"]
        far = ndimage.maximum_filter(labels == phantom.NUMBER["lesion"], side) == 0
        level = float(np.median(image[white]))
        for number, (i, j) in enumerate(rng.permutation(np.argwhere(white & far))[:8] - side // 2):
            patch = image[i : i + side, j : j + side]
            if min(i, j) < 0 or patch.shape != (side, side):
                continue
            (row, column), size = side / 2 + rng.uniform(-14, 14, 2), rng.uniform(6, 10)
            lesion = planting.disc(np.hypot(y - row, x - column), size) * bool(number % 2)
            yield patch + lesion * level * rng.uniform(0.6, 1.0), lesion > 0.5, bool(number % 2)
