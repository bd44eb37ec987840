"""Batches for networks that read a coarse image and a fine guide of another contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import another_contrast, refuse_nothing
from medsr_course.physics import coils, grid
from medsr_course.physics.interpolation import zero_fill
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.types import Array

BETWEEN = (0.25, 0.8)  # which part of a scan training slices are taken from
Slices = tuple[Array, Array]  # of a person: fine slices of the contrast, and of its guide, (n, h, w) each


def slices(subject: Subject, n: int = 12, *, contrast: str = "T2w", guide: str = "T1w") -> Slices:
    """Axial slices of two contrasts of a person, each divided by its own intensity scale."""
    both = (volumes.axial_slices(subject.contrasts[name], n=n, between=BETWEEN) for name in (contrast, guide))
    one, other = (stack / grid.intensity(stack)[1] for stack in both)
    return one.astype(np.float32), other.astype(np.float32)


@dataclass
class GuidedPatches:
    """Batches of coarse patches with patches of a guide, and the residual over zero-filling, by their number.

    Each slice is turned, mirrored, brought to another contrast and made coarse once, as a file holds it. ``guides``:

    * "own": of the same person;
    * "another": of the next person, the same slice, so that nothing in it fits;
    * "none": zeros.
    """

    people: Sequence[Slices]
    scale: int
    _: KW_ONLY
    guides: str = "own"
    size: int = 24  # side of a coarse patch
    batch: int = 16
    gamma: float = 1.3  # both contrasts are raised to powers drawn log-uniformly from 1/gamma … gamma
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_nothing(self.people, "people")
        if self.guides not in ("own", "another", "none"):
            raise ValueError(f'guides must be "own", "another" or "none", not {self.guides!r}')
        rng = np.random.default_rng([self.seed, 0])
        self.pairs = []
        for k, (fine, own) in enumerate(self.people):
            other = self.people[(k + 1) % len(self.people)][1]
            for j, image in enumerate(fine):
                if image.max() > grid.IN_HEAD:  # not above the head
                    guide = other[j] if self.guides == "another" else own[j] * (self.guides != "none")
                    self.pairs.append(self._pair(image, guide, rng))

    def _pair(self, image, guide, rng):
        turns, mirror, key = int(rng.integers(4)), rng.random() < 0.5, int(rng.integers(2**31))
        image, guide = (np.rot90(x, turns)[:, :: -1 if mirror else 1] for x in (image, guide))
        image, guide = (another_contrast(grid.trim(x, self.scale), self.gamma, 0.0, rng) for x in (image, guide))
        coarse = coils.stored(image[None], self.scale, key)[0].astype(np.float32)
        centres = np.argwhere(coarse > grid.IN_HEAD)
        return coarse, guide.astype(np.float32), (image - zero_fill(coarse, self.scale)).astype(np.float32), centres

    def __call__(self, k: int) -> tuple[list[Array], Array]:
        rng = np.random.default_rng([self.seed, 1, k])
        coarse, guides, residuals = [], [], []
        for image, guide, residual, centres in (self.pairs[j] for j in rng.integers(len(self.pairs), size=self.batch)):
            middle = centres[rng.integers(len(centres))] if len(centres) else np.array(image.shape) // 2
            i, j = (
                int(np.clip(c - self.size // 2, 0, n - self.size)) for c, n in zip(middle, image.shape, strict=True)
            )
            s, size = self.scale, self.size
            fine = np.s_[s * i : s * (i + size), s * j : s * (j + size)]
            coarse.append(image[i : i + size, j : j + size])
            guides.append(guide[fine])
            residuals.append(residual[fine])
        return [np.stack(coarse)[..., None], np.stack(guides)[..., None]], np.stack(residuals)[..., None]


def super_resolve(model: Model, coarse: Array, guide: Array) -> Array:
    """Returns the fine stack of a coarse one ``(n, h, w)`` and a guide ``(n, s·h, s·w)``, divided by its scale."""
    unit = grid.intensity(coarse)[1]
    entries = [(coarse / unit).astype(np.float32)[..., None], guide.astype(np.float32)[..., None]]
    residual = np.concatenate([model.predict_on_batch([x[k : k + 1] for x in entries]) for k in range(len(coarse))])
    return zero_fill(coarse, guide.shape[-1] // coarse.shape[-1]) + unit * residual[..., 0]
