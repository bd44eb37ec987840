r"""Can the lesion be seen? Reading studies with model observers, on patches whose place is known.

Discs are planted into half of many places in white matter, the slices are made coarse and restored, and an *observer*
gives each patch a number: the larger, the surer of a lesion. Two linear observers are here. The matched filter
(non-prewhitening) knows the mean lesion; the channelised Hotelling observer (Yao and Barrett 1992; Gallas and Barrett
2003) also knows how the background varies, as seen through a few smooth channels. Each learns from some people and is
judged on others, by the area under the ROC curve of each person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special, stats

from medsr_course import runtime
from medsr_course.physics import coils, grid
from medsr_course.runtime import CourseError
from medsr_course.scans import phantom, volumes
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import planting
from medsr_course.types import Array, Stack, Upscale

BETWEEN = (0.4, 0.72)  # of the head's height: where slices are taken
REACH = 6  # coarse voxels from the centre of a patch to its edge
WIDTH = 2.0  # of the channels, coarse voxels: chosen on the cohort's validation people
COARSE, TRUTH = "LR", "HR"  # image types that no method makes


@dataclass(frozen=True)
class Task:
    """What is looked for: a bright disc ``size`` coarse voxels across, brighter than its surroundings by ``contrast``.

    The slices are made ``scale`` times coarser as stored magnitudes with ``noise`` (%).
    """

    size: float = 0.5
    contrast: float = 0.4
    scale: int = 2
    noise: float = 3.0
    modality: str = "FLAIR"


@dataclass(frozen=True, eq=False)
class Cases:
    """The cases of one person: ``patches`` by image type, (n, side, side) each; ``lesion`` (n,), whether it has one."""

    person: str
    patches: dict[str, Array]
    lesion: Array


def cases(
    subject: Subject,
    task: Task,
    methods: Mapping[str, Upscale],
    *,
    slices: int = 10,
    each: int = 8,
) -> Cases:
    """Plant lesions into half of a person's places, make the slices coarse, restore them, cut out patches.

    Parameters
    ----------
    subject : Subject
        With labels, as the cohort's.
    task : Task
    methods : dict of str to callable
        Image type → ``method(coarse stack, scale)``. "LR" and "HR", coarse and fine truth, are always there.
    slices, each : int
        How many axial slices, and places in each where they have room.

    Returns
    -------
    Cases
        Patches in parts of the white matter's signal, each less its own mean: a reader judges contrast, not level.

    Raises
    ------
    CourseError
        If the subject has no labels.
    """
    scale, labels = task.scale, subject.labels
    if labels is None:
        raise CourseError(f"{subject.id} has no labels: without them nobody knows where its white matter is")
    fine = grid.trim(volumes.axial_slices(subject.contrasts[task.modality], slices, BETWEEN), scale)
    white = grid.trim(np.round(volumes.axial_slices(labels, slices, BETWEEN)) == phantom.NUMBER["white matter"], scale)
    level = float(np.median(fine[white]))
    rng = runtime.rng("observer", subject.id)
    spots = [(k, i, j) for k, mask in enumerate(white) for i, j in places(mask, each, scale, rng)]
    lesion = rng.permutation(np.arange(len(spots)) % 2 == 0)
    planted, reach = fine.copy(), planting.REACH * scale
    disc = task.contrast * level * planting.shape("lesion", task.size, scale)
    for (k, i, j), there in zip(spots, lesion, strict=True):
        planted[k, i - reach : i + reach + 1, j - reach : j + reach + 1] += there * disc
    coarse = coils.stored(planted, scale, subject.id, noise=task.noise).astype(np.float32)
    patches = {COARSE: cut_out(coarse, spots, scale), TRUTH: cut_out(planted, spots, 1, REACH * scale)}
    for name, method in methods.items():
        patches[name] = cut_out(method(coarse, scale), spots, 1, REACH * scale)
    return Cases(subject.id, {name: _relative(found, level) for name, found in patches.items()}, lesion)


def places(white: Array, count: int, scale: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Choose centres in a slice's white matter, on samples of the coarse grid, apart by more than a patch.

    Parameters
    ----------
    white : bool array (h, w)
        On the fine grid.
    count, scale : int
    rng : numpy.random.Generator

    Returns
    -------
    list of (int, int)
        Rows and columns on the fine grid, ``count`` of them or as many as there is room for.
    """
    inner, edge = ndimage.binary_erosion(white, iterations=2 * scale), REACH * scale
    inner[:edge] = inner[-edge - 1 :] = inner[:, :edge] = inner[:, -edge - 1 :] = False
    free = scale * np.argwhere(inner[::scale, ::scale])
    chosen: list[tuple[int, int]] = []
    for i, j in rng.permutation(free).tolist():
        if all(np.hypot(i - a, j - b) > 1.5 * edge for a, b in chosen):
            chosen.append((i, j))
    return chosen[:count]


def cut_out(stack: Stack, spots: Sequence[tuple[int, int, int]], step: int, reach: int = REACH) -> Array:
    """Returns the patches around places of the fine grid, (n, side, side), from a stack ``step`` times coarser."""
    return np.stack(
        [
            stack[k, i // step - reach : i // step + reach + 1, j // step - reach : j // step + reach + 1]
            for k, i, j in spots
        ]
    )


def _relative(patches: Array, level: float) -> Array:
    return ((patches - patches.mean(axis=(1, 2), keepdims=True)) / level).astype(np.float32)


# ---------------------------------------------------------------- observers


def laguerre_gauss(side: int, width: float, count: int = 6) -> Array:
    r"""Smooth round channels, :math:`e^{-\pi r^2 / a^2} L_j(2 \pi r^2 / a^2)` (Gallas and Barrett 2003).

    Parameters
    ----------
    side : int
        Of the patch, in pixels, odd.
    width : float
        a, in pixels.
    count : int

    Returns
    -------
    array (side², count)
        Orthonormal where the patch is large and finely sampled.
    """
    rows, columns = np.ogrid[:side, :side]
    square = 2 * np.pi * ((rows - side // 2) ** 2 + (columns - side // 2) ** 2).ravel() / width**2
    return np.stack(
        [np.sqrt(2) / width * np.exp(-square / 2) * special.eval_laguerre(j, square) for j in range(count)], axis=1
    )


def matched_filter(side: int, radius: float) -> Array:
    """Returns the template (side²,) of a reader who knows the disc only: its mean less that of the ring around it.

    Parameters
    ----------
    side : int
        Of the patch, in pixels, odd.
    radius : float
        Of the disc, in pixels; a pixel at least is inside.
    """
    rows, columns = np.ogrid[:side, :side]
    distance = np.hypot(rows - side // 2, columns - side // 2).ravel()
    disc = planting.disc(distance, 2 * radius)
    ring = (distance > radius + 0.7) & (distance < 3 * radius + 1.5)
    return disc / disc.sum() - ring / ring.sum()


def hotelling(patches: Array, lesion: Array, channels: Array) -> Array:
    """Returns the template (side²,) of the Hotelling observer that sees patches through channels (side², count)."""
    seen = patches.reshape(len(patches), -1).astype(float) @ channels
    classes = seen[lesion], seen[~lesion]
    scatter = sum(np.cov(values, rowvar=False) for values in classes) / 2
    return channels @ np.linalg.solve(scatter, classes[0].mean(axis=0) - classes[1].mean(axis=0))


def ratings(patches: Array, template: Array) -> Array:
    """Returns what a linear observer says of each patch, (n,)."""
    return patches.reshape(len(patches), -1) @ template


def auc_of_distance(distance: float) -> float:
    """Returns the AUC of two normal distributions of equal spread whose means lie ``distance`` spreads apart.

    >>> round(auc_of_distance(0), 2), round(auc_of_distance(2**0.5), 3)
    (0.5, 0.841)
    """
    return float(stats.norm.cdf(distance / np.sqrt(2)))


def study(
    taught: Sequence[Cases], judged: Sequence[Cases], size: float = 0.5, width: float = WIDTH
) -> dict[str, dict[str, list[float]]]:
    """Teach both observers on some people, judge them on others.

    Parameters
    ----------
    taught, judged : sequences of Cases
        No person in both.
    size : float
        Of the lesions, coarse voxels.
    width : float
        Of the channels, coarse voxels.

    Returns
    -------
    dict
        Observer ("matched filter", "Hotelling") → image type → the AUC of each judged person.

    Raises
    ------
    ValueError
        If a person is in both.
    """
    both = {person.person for person in taught} & {person.person for person in judged}
    if both:
        raise ValueError(f"{', '.join(sorted(both))} would judge an observer that learnt from the same person")
    lesion = np.concatenate([person.lesion for person in taught])
    found: dict[str, dict[str, list[float]]] = {"matched filter": {}, "Hotelling": {}}
    for kind in judged[0].patches:
        learnt = np.concatenate([person.patches[kind] for person in taught])
        side = learnt.shape[1]
        unit = (side - 1) / (2 * REACH)  # pixels in a coarse voxel
        templates = (
            matched_filter(side, size * unit / 2),
            hotelling(learnt, lesion, laguerre_gauss(side, width * unit)),
        )
        for name, template in zip(found, templates, strict=True):
            rated = [ratings(person.patches[kind], template) for person in judged]
            found[name][kind] = [
                planting.auc(values[person.lesion], values[~person.lesion])
                for values, person in zip(rated, judged, strict=True)
            ]
    return found
