"""Distillation: a small network is taught by a large one's answers (Hinton, Vinyals & Dean 2015).

With the squared error, λ parts teacher and 1 − λ parts truth in the loss are the same as one target,
``λ · told + (1 − λ) · truth``: the teacher's answer is near the mean of what is possible, so the target is less noisy.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from medsr_course import runtime
from medsr_course.networks.training.loop import Batches
from medsr_course.networks.training.pairs import Degradation, refuse_nothing
from medsr_course.physics import grid, interpolation
from medsr_course.types import Array

MARGIN = 12  # coarse pixels between a slice's border and the centre of a patch


class Lesson(NamedTuple):
    """A coarse slice with its noise map, (h, w, 2); what ZIP misses, (s·h, s·w), and the teacher's guess at it."""

    image: Array
    truth: Array
    told: Array


def lessons(
    slices: Sequence[Array],
    teacher: Callable[[Array], Array],
    degradation: Degradation,
    count: int,
    key: str = "lesson",
) -> list[Lesson]:
    """Makes pairs, one slice after the other, and asks the teacher once for each.

    Parameters
    ----------
    slices : sequence of array (h, w)
        Fine slices, each divided by its scan's intensity scale.
    teacher : callable
        (1, h, w, 2) to the residual over zero-filling, (1, s·h, s·w, 1).
    degradation : Degradation
    count : int
    key : str
        Same key and same seed of the run (:func:`runtime.start`), same pairs.

    Raises
    ------
    TrainingError
        Where there are no slices.
    """
    refuse_nothing(slices)
    made = []
    for k in range(count):
        coarse, fine, noise = degradation.pair(np.asarray(slices[k % len(slices)], np.float32), runtime.rng(key, k))
        image = np.stack([coarse, np.full_like(coarse, noise)], axis=-1).astype(np.float32)
        truth = fine - interpolation.zero_fill(coarse[None], degradation.scale)[0]
        made.append(Lesson(image, truth, np.asarray(teacher(image[None]))[0, ..., 0]))
    return made


def batches(pairs: Sequence[Lesson], trust: float, *, seed: int = 0, batch: int = 16) -> Batches:
    """Returns what :func:`training.fit` draws from: patches of 24 coarse pixels, centred in the head.

    ``trust`` is λ, from 0 (the truth alone) to 1 (the teacher alone); batch number k of a seed has the same patches
    whatever it is.
    """
    refuse_nothing(pairs, "lessons")
    scale, side = pairs[0].truth.shape[0] // pairs[0].image.shape[0], 2 * MARGIN

    def drawn(k: int) -> tuple[Array, Array]:
        rng = np.random.default_rng([seed, k])
        inputs, targets = [], []
        for j in rng.integers(len(pairs), size=batch):
            image, truth, told = pairs[j]
            inside = np.argwhere(image[MARGIN:-MARGIN, MARGIN:-MARGIN, 0] > grid.IN_HEAD)
            y, x = inside[rng.integers(len(inside))]
            here = np.s_[scale * y : scale * (y + side), scale * x : scale * (x + side)]
            inputs.append(image[y : y + side, x : x + side])
            targets.append(trust * told[here] + (1 - trust) * truth[here])
        return np.stack(inputs), np.stack(targets)[..., None]

    return drawn
