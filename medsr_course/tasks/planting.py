r"""Chapter 12's laboratory for any scan: lesions and fine patterns put into it, and how much of each a method shows.

A lesion is a disc in one slice, brighter or darker than its surroundings by a known part of their signal; a pattern is
a patch of stripes or dots. They are drawn on a grid ``scale`` × finer, taken through the forward model and added to a
coarse scan as a file holds it, :math:`|c\,e^{i\varphi} + \mathrm{crop}(L\,e^{i\varphi})|`, φ a smooth phase. Sizes and
periods are in coarse voxels, all other lengths in fine ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, stats

from medsr_course import runtime
from medsr_course.physics import coils, grid, metrics
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.types import Array, ArrayLike, Stack

SIZES = (0.5, 1.0, 2.0, 3.0)  # diameters of lesions, coarse voxels
CONTRASTS = (0.15, 0.3, 0.6)  # of lesions, in parts of the signal around them
PERIODS = (1.25, 1.5, 3.0, 4.0)  # of patterns, coarse voxels: no coarse scan measures those below 2
PATTERNS = ("rows", "columns", "dots")
PATTERN_CONTRAST = 0.3
VISIBLE = 0.1  # in parts of the surrounding signal: nobody calls a fainter spot a lesion
REACH = 4  # coarse voxels from the centre of a target to where nothing of it is left
QUIET = 0.25  # share of the places in a head that count as quiet
FEWEST = 48  # targets without which rates say nothing


@dataclass(frozen=True)
class Target:
    """One thing at one place: a "lesion", a pattern of :data:`PATTERNS`, or "empty", where nothing is planted.

    ``place`` is slice, row and column on the fine grid; ``size`` the diameter, or the period, in coarse voxels;
    ``contrast`` in parts of ``level``, the signal around it, below 0 for a dark lesion.
    """

    kind: str
    place: tuple[int, int, int]
    size: float
    contrast: float
    level: float


def offsets(scale: int) -> tuple[Array, Array]:
    """Rows and columns, in fine voxels from the centre, of the square patch that holds a target.

    >>> [axis.shape for axis in offsets(2)]
    [(17, 1), (1, 17)]
    """
    reach = REACH * scale
    rows, columns = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    return rows, columns


def disc(distance: Array, diameter: float) -> Array:
    """A disc of contrast 1, its rim shared between pixels, by each pixel's ``distance`` from its centre.

    >>> disc(np.array([0.0, 1.0, 2.0]), 2)
    array([1. , 0.5, 0. ])
    """
    return np.clip(diameter / 2 - distance + 0.5, 0, 1)


def shape(kind: str, size: float, scale: int) -> Array:
    """A target of contrast 1 on its fine patch: a disc with its rim shared between pixels, or waves that fade out.

    A "vessel" is a straight line along the rows, ``size`` coarse voxels across, that fades out at its ends.

    >>> float(shape("lesion", 1, 4).sum().round(1)), float(abs(shape("rows", 4, 2).sum()).round(6))
    (13.1, 0.0)
    """
    rows, columns = offsets(scale)
    radius = np.hypot(rows, columns)
    if kind == "lesion":
        return disc(radius, size * scale)
    if kind == "empty":
        return np.zeros(radius.shape)
    wave = [np.cos(2 * np.pi * axis / (size * scale)) for axis in (rows, columns)]
    inside = np.cos(np.pi / 2 * np.minimum(radius / (REACH * scale), 1)) ** 2
    if kind == "vessel":
        return inside * disc(np.abs(columns), size * scale)
    made = inside * {"rows": wave[0] + 0 * columns, "columns": wave[1] + 0 * rows, "dots": wave[0] * wave[1]}[kind]
    return made - inside * made.sum() / inside.sum()


def evidence(patch: Array, size: float, scale: int, beside: Array | None = None) -> float:
    """Chapter 12's detector: the mean inside the disc less that of the ring around it, in the unit of the patch.

    ``beside`` (bool, as ``patch``) keeps the ring to what it marks, say white matter.

    >>> round(evidence(5 + shape("lesion", 2, 4), 2, 4), 2)
    0.94
    """
    radius, distance = size * scale / 2, np.hypot(*offsets(scale))
    ring = (radius + 1.5 < distance) & (radius + 5 > distance)
    ring = ring if beside is None else ring & beside
    return float(patch[max(radius, 1) >= distance].mean() - patch[ring].mean())


def stands_out(patch: Array, figure: Array, tissue: Array) -> float:
    """:func:`evidence` for a figure of any shape, in the unit of the patch: the mean inside it less that beside it.

    Inside is where ``figure`` (of contrast 1, as ``patch``) is above a half; beside, what lies 2 to 4 pixels off it and
    belongs to ``tissue`` (bool). NaN where nothing of that tissue is beside it.

    >>> figure = shape("vessel", 1, 4)
    >>> round(stands_out(5 - 2 * figure, figure, figure < 1), 1)
    -1.5
    """
    inside = figure > 0.5
    grown = [ndimage.binary_dilation(inside, iterations=n) for n in (1, 4)]
    beside = grown[1] & ~grown[0] & tissue
    return float(patch[inside].mean() - patch[beside].mean()) if beside.any() else float("nan")


def kept(target: Target, change: Array, scale: int) -> float:
    """What of a target a method shows, 1 for all of it; ``change`` is its result with all targets less that without.

    Lesions: their :func:`evidence`, in parts of what was planted. Patterns: the projection on the planted wave; below
    0 where bright and dark changed places.
    """
    planted = shape(target.kind, target.size, scale) * target.contrast * target.level
    if target.kind == "lesion":
        return evidence(change, target.size, scale) / evidence(planted, target.size, scale)
    return float((change * planted).sum() / (planted**2).sum())


def targets(coarse: Stack, scale: int, key: int | str = 0, *, repeats: int = 5, apart: int = 3) -> list[Target]:
    """Choose quiet places in the head of a coarse stack, and what is planted there, each kind as often as any other.

    Parameters
    ----------
    coarse : array (n, h, w)
    scale : int
    key : int or str
        Same key, same targets.
    repeats : int
        How many of each lesion (size × contrast × bright or dark) and of each pattern, where the head has room; and
        twelve times as many empty places.
    apart : int
        Slices from which on two targets may lie above each other; 1 where slices know nothing of each other.

    Raises
    ------
    ValueError
        If fewer than :data:`FEWEST` find room.
    """
    kinds: list[tuple[str, float, float]] = [
        ("lesion", size, sign * contrast) for size in SIZES for contrast in CONTRASTS for sign in (1, -1)
    ]
    kinds += [(pattern, period, PATTERN_CONTRAST) for pattern in PATTERNS for period in PERIODS]
    kinds += [("empty", 0.0, 0.0)] * 12
    rng = runtime.rng("targets", key)
    local, quiet = _quiet(coarse)
    chosen: list[tuple[int, int, int]] = []
    for k, i, j in rng.permutation(np.argwhere(quiet)).tolist():
        if _is_free((k, i, j), chosen, apart):
            chosen.append((k, i, j))
            if len(chosen) == repeats * len(kinds):
                break
    if len(chosen) < FEWEST:
        raise ValueError(f"only {len(chosen)} quiet places in the head, fewer than {FEWEST}: take a larger scan")
    order = [kinds[i] for _ in range(repeats) for i in rng.permutation(len(kinds))]
    return [
        Target(kind, (k, scale * i, scale * j), size, contrast, float(local[k, i, j]))
        for (k, i, j), (kind, size, contrast) in zip(chosen, order, strict=False)
    ]


def _quiet(coarse: Stack) -> tuple[Stack, Array]:
    """Local signal over the intensity offset, and where a head is even enough for a spot to be seen."""
    offset, unit = grid.intensity(coarse)
    window = (1, 2 * REACH - 1, 2 * REACH - 1)
    values = np.asarray(coarse, float) - offset
    local = ndimage.uniform_filter(values, window)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(values**2, window) - local**2, 0))
    head = metrics.head_mask(coarse) & (local > 0.3 * unit)
    head &= ndimage.minimum_filter(head, (1, 2 * REACH + 1, 2 * REACH + 1), mode="constant")
    if not head.any():
        return local, head
    uneven = np.divide(spread, local, out=np.full_like(local, np.inf), where=head)
    return local, head & (uneven <= np.quantile(uneven[head], QUIET))


def _is_free(place: Sequence[int], chosen: Sequence[Sequence[int]], apart: int) -> bool:
    """Whether no other target of this slice or those near it reaches this one's patch."""
    if not chosen:
        return True
    step = np.abs(np.asarray(chosen) - place)
    return not bool(((step[:, 0] < apart) & (np.hypot(step[:, 1], step[:, 2]) < 2 * REACH)).any())


def plant(coarse: Stack, put: Iterable[Target], scale: int, key: int | str = 0) -> Stack:
    """Put targets into a coarse stack, through the forward model.

    Parameters
    ----------
    coarse : array (n, h, w)
        Magnitudes, or signed data (CT), to which the cropped targets are added as they are.
    put : iterable of Target
    scale : int
    key : int or str
        Of the phase.

    Returns
    -------
    float32 array (n, h, w)
    """
    planted = np.array(coarse, np.float32)
    h, w = (scale * side for side in coarse.shape[1:])
    signed = float(np.min(coarse)) < 0
    turn = np.ones((h, w)) if signed else np.exp(1j * coils.smooth_phase((h, w), runtime.rng("phase", key)))
    layers: dict[int, Array] = {}
    reach = REACH * scale
    for target in put:
        k, i, j = target.place
        layer = layers.setdefault(k, np.zeros((h, w)))
        patch = shape(target.kind, target.size, scale) * target.contrast * target.level
        layer[i - reach : i + reach + 1, j - reach : j + reach + 1] += patch
    for k, layer in layers.items():
        added = coarse[k] * turn[::scale, ::scale] + kspace_crop(layer * turn, scale)
        planted[k] = added if signed else np.abs(added)
    return planted


# ---------------------------------------------------------------- how sure


def wilson(hits: int, trials: int) -> tuple[float, float, float]:
    """A rate and its 95 % interval, honest for few trials and near 0 and 1 (Wilson 1927); NaN for no trials.

    >>> [round(x, 3) for x in wilson(0, 10)]
    [0.0, 0.0, 0.278]
    """
    if not trials:
        return (float("nan"),) * 3
    found = stats.binomtest(int(hits), int(trials)).proportion_ci(0.95, "wilson")
    return float(hits / trials), float(found.low), float(found.high)


def auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """How often a positive's value is above a negative's, ties half: the area under the ROC curve; NaN without both.

    >>> auc([2, 3], [1, 2])
    0.875
    """
    positive, negative = np.asarray(positive, float), np.asarray(negative, float)
    if not positive.size or not negative.size:
        return float("nan")
    return float(stats.mannwhitneyu(positive, negative).statistic / (positive.size * negative.size))


def roc(positive: ArrayLike, negative: ArrayLike) -> tuple[Array, Array]:
    """The ROC curve: shares of negatives and of positives above every threshold, both from 1 to 0.

    >>> [side.tolist() for side in roc([2, 3], [1, 2])]
    [[1.0, 0.5, 0.0, 0.0], [1.0, 1.0, 0.5, 0.0]]
    """
    positive, negative = np.sort(np.asarray(positive, float)), np.sort(np.asarray(negative, float))
    limits = np.unique(np.concatenate([positive, negative]))
    above = [1 - np.searchsorted(values, limits, "right") / len(values) for values in (negative, positive)]
    return np.concatenate([[1.0], above[0]]), np.concatenate([[1.0], above[1]])
