"""Two feature networks, trained here, so that nothing has to be downloaded: one teaches, the other only judges.

They differ in architecture and in task, so that what flatters one need not flatter the other:

* ``features-tissue``, for the perceptual loss, names the tissue of each pixel;
* ``features-judge``, for measuring, names a patch's contrast and what was done to it.

Only the encoder is kept; the layer that answers the question is thrown away after the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import BETWEEN, TrainingError, scaled_slices, stacked
from medsr_course.networks.training.recipe import Recipe, Task
from medsr_course.networks.training.sources import subjects
from medsr_course.physics import grid
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.interpolation import zero_fill
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.types import Array, Rng

DAMAGES = ("none", "zero-filled", "blurred", "noisy")
ANSWERS = {"tissue": 10, "contrast and damage": 4 * len(DAMAGES)}  # question → possible answers
REACH = 16  # pixels around a patch: what is done to it needs surroundings
_recipe = partial(Recipe, task="features", steps=1500, share={"cohort": 1.0}, size=64, precision="float32")
RECIPES = {
    "features-tissue": _recipe(
        "Features for tissue",
        architecture="tissue_features",
        settings={"filters": [16, 32, 48]},
        options={"question": "tissue"},
    ),
    "features-judge": _recipe(
        "Features that judge",
        architecture="contrast_features",
        settings={"filters": [24, 40, 56, 64]},
        learning_rate=4e-3,
        seed=1,
        options={"question": "contrast and damage"},
    ),
}
INTENDED_USE = {
    "tissue": "The perceptual loss of srgan-x4: distances between its feature maps.",
    "contrast and damage": "Measuring perceptual distance. Nothing is trained with it: a judge must not "
    "be the teacher.",
}


@dataclass
class Questions:
    """Batches of patches with the right answers.

    Returns
    -------
    patches : float32 array (batch, size, size, 1)
    answers : int32 array (batch, size, size) or (batch,)
        The tissue of each pixel; or, of each patch, the number of its contrast times four plus that of its damage.
    """

    subjects: Sequence[Subject]  # with labels
    question: str  # {"tissue", "contrast and damage"}
    size: int  # side of a patch in pixels
    batch: int  # patches in a batch
    seed: int = 0
    count: int = 40  # slices of each scan

    def __post_init__(self) -> None:
        self.slices: list[tuple[int, Array, Array]] = []
        for subject in runtime.progress(self.subjects, "slices", unit="subject"):
            if subject.labels is None:
                raise TrainingError(f"{subject.id} has no tissue labels to train on")
            labels = volumes.axial_slices(subject.labels, n=self.count, between=BETWEEN).astype(np.uint8)
            for number, image in enumerate(subject.contrasts.values()):
                pairs = zip(scaled_slices(image, self.count), labels, strict=True)
                self.slices += [(number, *pair) for pair in pairs if pair[1][REACH:-REACH:4, REACH:-REACH:4].any()]

    def __call__(self, k: int) -> tuple[Array, Array]:
        rng = np.random.default_rng([self.seed, k])
        patches, answers = stacked(self._one(rng) for _ in range(self.batch))
        return patches[..., None], answers

    def _one(self, rng):
        contrast, image, labels = self.slices[rng.integers(len(self.slices))]
        size, reach = self.size, REACH
        inside = np.argwhere(labels[reach:-reach:4, reach:-reach:4] > 0)
        centre = 4 * inside[rng.integers(len(inside))] + reach
        i, j = (int(np.clip(c - size // 2, reach, n - size - reach)) for c, n in zip(centre, image.shape, strict=True))
        wide = np.s_[i - reach : i + size + reach, j - reach : j + size + reach]
        patch, label = image[wide].astype(np.float32), labels[wide]
        turn, mirror = int(rng.integers(4)), rng.random() < 0.5
        patch, label = (np.rot90(x, turn) for x in (patch, label))
        if mirror:
            patch, label = patch[:, ::-1], label[:, ::-1]
        patch = patch * np.exp(rng.normal(0, 0.1))
        inner = np.s_[reach:-reach, reach:-reach]
        if self.question == "tissue":
            patch = np.maximum(patch, 0) ** np.exp(rng.uniform(-0.25, 0.25))
            patch = patch + rng.uniform(0, 0.03) * rng.standard_normal(patch.shape)
            return patch[inner].astype(np.float32), label[inner].astype(np.int32)
        damage = int(rng.integers(len(DAMAGES)))
        return damaged(patch, damage, rng)[inner].astype(np.float32), np.int32(contrast * len(DAMAGES) + damage)


def damaged(patch: Array, damage: int, rng: Rng) -> Array:
    """Returns a patch with one of :data:`DAMAGES` done to a patch, by its number."""
    if damage == 1:
        scale = int(rng.integers(2, 5))
        whole = grid.trim(patch, scale)
        result = patch.copy()
        result[: whole.shape[0], : whole.shape[1]] = zero_fill(kspace_crop(whole, scale), scale)
        return result
    if damage == 2:
        return ndimage.gaussian_filter(patch, rng.uniform(0.7, 2.0))
    if damage == 3:
        return patch + rng.uniform(0.02, 0.08) * rng.standard_normal(patch.shape)
    return patch


def with_answer(encoder: Model, question: str) -> Model:
    """Returns the encoder with the layers that answer: logits of each pixel, or of the patch."""
    from medsr_course.networks.layers import DepthToSpace
    from medsr_course.networks.models import keras

    layers, answers = keras.layers, ANSWERS[question]
    image = keras.Input(encoder.input_shape[1:])
    maps = encoder(image)
    if question == "tissue":
        votes = []
        for level, x in enumerate(maps):  # one vote of each level, on the fine grid
            x = layers.Conv2D(answers * 4**level, 1, dtype="float32")(x)
            votes.append(DepthToSpace(2**level, dtype="float32")(x) if level else x)
        out = layers.Add(dtype="float32")(votes)
    else:
        pooled = [layers.GlobalAveragePooling2D(dtype="float32")(x) for x in maps]
        x = layers.Concatenate(dtype="float32")(pooled)
        # Means of feature maps differ little from patch to patch: brought to one scale, they can be told apart.
        out = layers.Dense(answers, dtype="float32")(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(image, out, name=encoder.name)


def cross_entropy(target: Any, output: Any) -> Any:
    """Returns the mean cross-entropy of each sample."""
    from medsr_course.networks.models import keras

    loss = keras.ops.sparse_categorical_crossentropy(keras.ops.cast(target, "int32"), output, from_logits=True)
    return keras.ops.mean(keras.ops.reshape(loss, (keras.ops.shape(loss)[0], -1)), axis=1)


def accuracy(model: Model, questions: Questions, batches: int = 20) -> tuple[float, float]:
    """Returns the share of right answers on batches of other subjects, and that of always giving the commonest."""
    right, every = [], []
    for k in range(batches):
        patches, answers = questions(10**6 + k)
        guess = np.asarray(model.predict_on_batch(patches)).argmax(-1)
        right.append((guess == answers).mean())
        every.append(answers.ravel())
    return float(np.mean(right)), float(np.bincount(np.concatenate(every)).max() / sum(a.size for a in every))


class Features(Task):
    """From a patch to the answer to a ``question``, the only option; the encoder ships, without its answers."""

    name, recipes = "features", RECIPES
    defaults = {"question": "tissue"}

    def gather(self, recipe: Recipe) -> tuple[Sequence[Subject], None, dict[str, list[str]]]:
        people = subjects("cohort", "train")
        return people, None, {"cohort": [subject.id for subject in people]}

    def build(self, recipe: Recipe) -> Model:
        return with_answer(super().build(recipe), self.options(recipe)["question"])

    def batches(self, recipe: Recipe, samples: Sequence[Subject], weights: None, count: int = 40) -> Questions:
        question, shape = self.options(recipe)["question"], {"size": recipe.size, "batch": recipe.batch}
        return Questions(samples, question, **shape, seed=recipe.seed, count=count)

    def loss(self, recipe: Recipe) -> dict[str, Any]:
        return {"loss": cross_entropy}

    def kept(self, model: Model, recipe: Recipe) -> Model:
        """Returns the encoder."""
        return next((layer for layer in model.layers if layer.name == recipe.architecture), model)

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        return {"question": self.options(recipe)["question"]}

    def measure(self, model: Model, recipe: Recipe) -> dict[str, dict[str, Any]]:
        people = subjects("cohort", "test")
        right, commonest = accuracy(model, self.batches(recipe, people, None, count=10))
        answers = {"right answers (%)": right, "always the commonest answer (%)": commonest}
        percent = {name: round(100 * share, 1) for name, share in answers.items()}
        return {"cohort test": {"subjects": len(people), **percent}}

    def uses(self, recipe: Recipe) -> tuple[str, str]:
        never = "Anything outside this course: it names tissues, contrasts and damages of synthetic heads."
        return INTENDED_USE[self.options(recipe)["question"]], never


TASK = Features()
