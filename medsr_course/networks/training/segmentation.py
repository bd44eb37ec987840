"""Segmentation: labelled patches, turned, zoomed and shaded anew each time one is cut; the recipes, and the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.networks.pretrained import segment_with
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import (
    BETWEEN,
    Slices,
    magnitude_noise,
    refuse_nothing,
    scaled_slices,
    stacked,
)
from medsr_course.networks.training.recipe import Recipe, Task
from medsr_course.networks.training.sources import TEST_SUBJECTS, subjects
from medsr_course.physics.grid import IN_HEAD
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import segmentation
from medsr_course.types import Array

COHORT = 24  # subjects, those for validation and test among them
FILTERS = [12, 24, 48, 64]
_recipe = partial(
    Recipe, task="segmentation", architecture="unet", share={"cohort": 1.0}, batch=8, size=96, learning_rate=3e-3
)
RECIPES = {
    "unet-tissue": _recipe(
        "U-Net for tissue",
        settings={"classes": 5, "filters": FILTERS},
        steps=3600,
        options={"question": "tissue", "contrast": "T1w"},
    ),
    "unet-lesion": _recipe(
        "U-Net for lesions",
        settings={"classes": 2, "filters": FILTERS},
        steps=3000,
        options={"question": "lesion", "contrast": "FLAIR", "rare": 0.35},
    ),
}
CLASSES = {"tissue": list(segmentation.TISSUES), "lesion": ["no lesion", "lesion"]}
INTENDED_USE = {
    "tissue": "Teaching: to see what a small U-Net makes of the T1-weighted axial slices of a head, and what super-"
    "resolution changes in it.",
    "lesion": "Teaching: to see how rare things are learned, on FLAIR slices of the synthetic cohort.",
}
NOT_FOR = (
    "Diagnosis, volumetry of patients, or any decision about a person: it has seen invented heads only, and its errors "
    "on real ones are unknown where nobody labelled them."
)


@dataclass(frozen=True)
class Change:
    """What is done at random to a patch: so that one network fits many heads, coils and protocols."""

    turn: float = 15.0  # degrees, either way
    zoom: float = 1.5  # larger or smaller by up to this factor, log-uniformly: pixels need not be exactly 1 mm
    gamma: float = 1.4  # contrast is raised to a power drawn log-uniformly from 1/gamma … gamma
    gain: float = 0.15  # of brightness as a whole, in parts
    shade: float = 0.25  # smooth change of brightness across the patch, in parts
    soft: float = 0.8  # largest standard deviation of a blur, pixels; half of the patches get none
    noise: float = 0.04  # largest standard deviation of magnitude noise, in parts of the intensity scale


@dataclass
class Labelled:
    """Batches of labelled patches, float32 (batch, size, size, 1), and the classes of their pixels."""

    images: Slices  # slices divided by their intensity scale
    labels: Sequence[Array]  # the class of each pixel
    _: KW_ONLY
    size: int = 96  # side of a patch
    batch: int = 8
    change: Change | None = None  # none: patches are cut straight, as they are
    rare: int | None = None  # a class that is rare; ``share`` of the patches are centred on one of its pixels
    share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_nothing(self.images)
        self._inside = [np.flatnonzero(np.asarray(image[::4, ::4]) > IN_HEAD) for image in self.images]
        self._some = [i for i, where in enumerate(self._inside) if where.size]
        spots = [] if self.rare is None else [(i, np.argwhere(y == self.rare)) for i, y in enumerate(self.labels)]
        self._spots = [(i, where) for i, where in spots if len(where)]

    def __call__(self, k: int) -> tuple[Array, Array]:
        rng = np.random.default_rng([self.seed, 3, k])
        patches, classes = stacked(self._one(rng) for _ in range(self.batch))
        return patches[..., None], classes

    def _one(self, rng):
        if self._spots and rng.random() < self.share:
            i, where = self._spots[rng.integers(len(self._spots))]
            centre = where[rng.integers(len(where))] + rng.integers(-self.size // 3, self.size // 3 + 1, 2)
        else:
            i = self._some[rng.integers(len(self._some))]
            spot = self._inside[i][rng.integers(self._inside[i].size)]
            centre = 4 * np.array(divmod(int(spot), -(-self.images[i].shape[1] // 4)))
        image, labels, size, change = self.images[i], self.labels[i], self.size, self.change
        matrix = np.eye(2)
        if change is not None:
            angle, zoom = np.deg2rad(rng.uniform(-1, 1) * change.turn), change.zoom ** rng.uniform(-1, 1)
            matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        if rng.random() < 0.5:
            matrix[:, 1] *= -1
        reach = np.abs(matrix).sum(axis=1) * size / 2 + 2  # what of the slice the patch can touch
        low = np.maximum(np.floor(centre - reach), 0).astype(int)
        part = tuple(slice(a, max(int(b), a + 1)) for a, b in zip(low, centre + reach, strict=True))
        offset = centre - low - matrix @ np.full(2, (size - 1) / 2)
        options = {"output_shape": (size, size), "mode": "constant"}
        patch = ndimage.affine_transform(image[part].astype(np.float32), matrix, offset, order=1, **options)
        classes = ndimage.affine_transform(labels[part], matrix, offset, order=0, **options)
        if change is not None:
            patch = self._changed(patch, rng)
        return patch.astype(np.float32), classes.astype(np.int32)

    def _changed(self, patch, rng):
        change = self.change
        axis = np.linspace(-1, 1, self.size, dtype=np.float32)
        slopes = rng.uniform(-1, 1, 3) * change.shade
        shade = slopes[0] * axis[:, None] + slopes[1] * axis + slopes[2] * axis[:, None] * axis
        patch = np.maximum(patch, 0) ** change.gamma ** rng.uniform(-1, 1)
        patch = patch * np.exp(shade + rng.uniform(-1, 1) * change.gain)
        if rng.random() < 0.5:
            patch = ndimage.gaussian_filter(patch, rng.uniform(0, change.soft))
        sigma = rng.uniform(0, change.noise) * (rng.random() < 0.7)
        return magnitude_noise(patch, sigma, rng)


def truth(subject: Subject, question: str, cut: Callable[..., Array] = volumes.to_stack) -> Array:
    """Returns the labels of a subject for "tissue" or "lesion", as a stack (n, h, w) of uint8; ``cut`` makes stacks."""
    if question == "tissue":
        return segmentation.tissues(cut(subject.labels).astype(np.uint8))
    return (cut(subject.lesions).astype(np.uint8) > 0).astype(np.uint8)


def material(
    people: Sequence[Subject], question: str, contrast: str, count: int = 60
) -> tuple[list[Array], list[Array]]:
    """Returns slices of subjects, float16 (h, w), divided by the intensity scale of their scan, and their classes."""
    images: list[Array] = []
    labels: list[Array] = []
    cut = partial(volumes.axial_slices, n=count, between=BETWEEN)
    for subject in runtime.progress(people, "slices", unit="subject"):
        images += list(scaled_slices(subject.contrasts[contrast], count))
        labels += list(truth(subject, question, cut))
    return images, labels


def overlap_loss(target: Any, logits: Any) -> Any:
    """Returns cross-entropy plus soft Dice: the first counts pixels, the second makes up for how rare a class is."""
    from medsr_course.networks import losses

    return losses.cross_entropy(target, logits) + losses.soft_dice(target, logits)


class Segmentation(Task):
    """From a patch to the class of each pixel; the options:

    * ``question``, ``contrast``: "tissue" or "lesion", and in which contrast of the cohort;
    * ``change``: settings of :class:`Change`;
    * ``rare``: share of the patches that are centred near a lesion.
    """

    name, recipes = "segmentation", RECIPES
    defaults = {"question": "tissue", "contrast": "T1w", "change": {}, "rare": 0.5}

    def gather(self, recipe: Recipe) -> tuple[tuple, None, dict[str, list[str]]]:
        options, people = self.options(recipe), subjects("cohort", "train", COHORT)
        samples = material(people, options["question"], options["contrast"])
        return samples, None, {"cohort": [subject.id for subject in people]}

    def batches(self, recipe: Recipe, samples: tuple, weights: None) -> Labelled:
        options = self.options(recipe)
        return Labelled(
            *samples,
            size=recipe.size,
            batch=recipe.batch,
            change=Change(**options["change"]),
            rare=1 if options["question"] == "lesion" else None,
            share=options["rare"],
            seed=recipe.seed,
        )

    def loss(self, recipe: Recipe) -> dict[str, Any]:
        return {"loss": overlap_loss}

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        options = self.options(recipe)
        return {"contrast": options["contrast"], "classes": CLASSES[options["question"]]}

    def augmentation(self, recipe: Recipe) -> dict[str, Any]:
        return asdict(Change(**self.options(recipe)["change"]))

    def measure(self, model: Model, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """Means over the cohort's validation and test subjects."""
        rows, options = {}, self.options(recipe)
        question, contrast = options["question"], options["contrast"]
        for split in ("validation", "test"):
            people = subjects("cohort", split, COHORT if split == "validation" else TEST_SUBJECTS)
            found = [_of_subject(model.predict_on_batch, subject, question, contrast) for subject in people]
            mean = {key: float(np.nanmean([row[key] for row in found])) for key in found[0]}
            short = {key: float(f"{value:.4g}") for key, value in mean.items()}
            rows[f"cohort {split}, {contrast}"] = {"subjects": len(found), **short}
        return rows

    def uses(self, recipe: Recipe) -> tuple[str, str]:
        return INTENDED_USE[self.options(recipe)["question"]], NOT_FOR


def _of_subject(network, subject, question, contrast):
    scan = volumes.to_stack(subject.contrasts[contrast])
    middle = slice(int(0.35 * len(scan)), int(0.72 * len(scan)), 3 if question == "tissue" else 1)
    wanted = truth(subject, question)[middle]
    found = segment_with(network, scan[middle])
    if question == "tissue":
        return {f"Dice {segmentation.TISSUES[k]}": segmentation.dice(wanted, found, k) for k in segmentation.BRAIN}
    hits, alarms = segmentation.detected(wanted == 1, found == 1)
    right = [hit for _, hit in hits]
    return {
        "Dice lesion": segmentation.dice(wanted, found, 1),
        "lesions found (%)": 100 * float(np.mean(right)) if right else float("nan"),
        "false alarms": float(alarms),
    }


TASK = Segmentation()
