"""Batches from several sources: groups of scans, or the old hospital's beside the new one's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medsr_course.networks.training.loop import Batches
from medsr_course.types import Array


@dataclass(frozen=True)
class Mixed:
    """Batches whose samples come from several sources, each sample from one that is drawn for it.

    Batch number k depends on the seed and k alone, as that of ``Patches``, so an interrupted training goes on as if
    nothing had happened. The sources' batches are of one size.

    Parameters
    ----------
    sources : sequence of callable
        ``source(k)`` returns images, targets and weights: ``Patches`` of each group.
    shares : sequence of float
        The probability of each source; they add up to 1.
    weights : sequence of float, optional
        What the loss of each source's samples is multiplied by; by default 1.
    seed : int
    """

    sources: Sequence[Batches]
    shares: Sequence[float]
    weights: Sequence[float] | None = None
    seed: int = 0

    def __call__(self, k: int) -> tuple[Array, Array, Array]:
        made = [source(k) for source in self.sources]
        drawn = np.random.default_rng([self.seed, 2, k]).choice(len(made), size=len(made[0][0]), p=self.shares)
        image, target, weight = (
            np.stack([made[source][part][i] for i, source in enumerate(drawn)]) for part in range(3)
        )
        if self.weights is not None:
            weight = weight * np.asarray(self.weights, np.float32)[drawn]
        return image, target, weight
