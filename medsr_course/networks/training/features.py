"""Two feature networks, trained here, so that nothing has to be downloaded: one teaches, the other only judges.

They differ in architecture and in task, so that what flatters one need not flatter the other:

* ``features-tissue``, for the perceptual loss, names the tissue of each pixel;
* ``features-judge``, for measuring, names a patch's contrast and what was done to it.

Only the encoder is kept; the layer that answers the question is thrown away after the training.
"""

import time
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.networks.training.loop import fit
from medsr_course.networks.training.pairs import scaled_slices
from medsr_course.networks.training.sources import SOURCES, subjects
from medsr_course.physics import grid
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.interpolation import zero_fill
from medsr_course.scans import volumes

DAMAGES = ("none", "zero-filled", "blurred", "noisy")
REACH = 16  # pixels around a patch: what is done to it needs surroundings


@dataclass(frozen=True)
class FeatureRecipe:
    """All that decides a feature network.

    Attributes
    ----------
    architecture, settings
        For ``models.build``.
    question : {"tissue", "contrast and damage"}
        What it is trained to answer.
    size : int
        Side of a patch.
    """

    title: str
    architecture: str
    question: str
    steps: int
    settings: dict = field(default_factory=dict)
    batch: int = 16
    size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0


RECIPES = {
    "features-tissue": FeatureRecipe(
        "Features for tissue", "tissue_features", "tissue", steps=1500, settings={"filters": [16, 32, 48]}
    ),
    "features-judge": FeatureRecipe(
        "Features that judge",
        "contrast_features",
        "contrast and damage",
        steps=1500,
        settings={"filters": [24, 40, 56, 64]},
        learning_rate=4e-3,
        seed=1,
    ),
}


INTENDED_USE = {
    "features-tissue": "The perceptual loss of srgan-x4: distances between its feature maps.",
    "features-judge": "Measuring perceptual distance. Nothing is trained with it: a judge must not be the teacher.",
}


class Questions:
    """Batches of patches with the right answers: ``questions(k)`` is batch number k.

    Parameters
    ----------
    subjects : sequence of Subject
        With labels.
    recipe : FeatureRecipe
    count : int
        Slices of each scan.
    """

    def __init__(self, subjects, recipe, count=40):
        self.recipe, self.slices = recipe, []
        self.contrasts = list(subjects[0].contrasts)
        for subject in runtime.progress(subjects, "slices", unit="subject"):
            labels = volumes.axial_slices(subject.labels, n=count, between=(0.2, 0.9)).astype(np.uint8)
            for number, image in enumerate(subject.contrasts.values()):
                pairs = zip(scaled_slices(image, count), labels, strict=True)
                self.slices += [(number, *pair) for pair in pairs if pair[1][REACH:-REACH:4, REACH:-REACH:4].any()]

    def __call__(self, k):
        rng = np.random.default_rng([self.recipe.seed, k])
        patches, answers = zip(*(self._one(rng) for _ in range(self.recipe.batch)), strict=True)
        return np.stack(patches)[..., None], np.stack(answers)

    def _one(self, rng):
        contrast, image, labels = self.slices[rng.integers(len(self.slices))]
        size, reach = self.recipe.size, REACH
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
        if self.recipe.question == "tissue":
            patch = np.maximum(patch, 0) ** np.exp(rng.uniform(-0.25, 0.25))
            patch = patch + rng.uniform(0, 0.03) * rng.standard_normal(patch.shape)
            return patch[inner].astype(np.float32), label[inner].astype(np.int32)
        damage = int(rng.integers(len(DAMAGES)))
        return damaged(patch, damage, rng)[inner].astype(np.float32), np.int32(contrast * len(DAMAGES) + damage)


def damaged(patch, damage, rng):
    """One of :data:`DAMAGES` done to a patch, by its number."""
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


def with_answer(encoder, question, answers):
    """The encoder with the layer that answers: logits of each pixel, or of the patch."""
    from medsr_course.networks.layers import DepthToSpace
    from medsr_course.networks.models import keras

    layers = keras.layers
    if question == "tissue":
        votes = []
        for level, x in enumerate(encoder.outputs):  # one vote of each level, on the fine grid
            x = layers.Conv2D(answers * 4**level, 1, dtype="float32")(x)
            votes.append(DepthToSpace(2**level, dtype="float32")(x) if level else x)
        out = layers.Add(dtype="float32")(votes)
    else:
        pooled = [layers.GlobalAveragePooling2D(dtype="float32")(x) for x in encoder.outputs]
        x = layers.Concatenate(dtype="float32")(pooled)
        # Means of feature maps differ little from patch to patch: brought to one scale, they can be told apart.
        out = layers.Dense(answers, dtype="float32")(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(encoder.inputs, out, name=encoder.name)


def accuracy(model, questions, batches=20):
    """Share of right answers on batches of other subjects, and that of always giving the commonest answer."""
    right, every = [], []
    for k in range(batches):
        patches, answers = questions(10**6 + k)
        guess = np.asarray(model.predict_on_batch(patches)).argmax(-1)
        right.append((guess == answers).mean())
        every.append(answers.ravel())
    return float(np.mean(right)), float(np.bincount(np.concatenate(every)).max() / sum(a.size for a in every))


def train(name, learners, examinees, *, steps=None, checkpoint=None):
    """Train a feature network.

    Parameters
    ----------
    name : str
        One of :data:`RECIPES`.
    learners, examinees : sequences of Subject
        With labels: for training, and for the examination afterwards.

    Returns
    -------
    keras.Model
        The encoder, in float32.
    about : dict
        What a card says of the training.
    """
    from medsr_course.networks import models
    from medsr_course.networks.models import keras

    recipe = RECIPES[name]
    questions, unseen = Questions(learners, recipe), Questions(examinees, recipe, count=10)
    answers = 10 if recipe.question == "tissue" else len(questions.contrasts) * len(DAMAGES)
    encoder = models.build(recipe.architecture, seed=recipe.seed, **recipe.settings)
    model = with_answer(encoder, recipe.question, answers)

    def cross_entropy(target, output):
        loss = keras.ops.sparse_categorical_crossentropy(keras.ops.cast(target, "int32"), output, from_logits=True)
        return keras.ops.mean(keras.ops.reshape(loss, (keras.ops.shape(loss)[0], -1)), axis=1)

    began = time.perf_counter()
    curve = fit(
        model,
        questions,
        recipe.steps if steps is None else steps,
        learning_rate=recipe.learning_rate,
        loss=cross_entropy,
        checkpoint=checkpoint,
    )
    right, commonest = accuracy(model, unseen)
    return encoder, {
        "parameters": encoder.count_params(),
        "usage": {"question": recipe.question},
        "seed": recipe.seed,
        "steps": recipe.steps if steps is None else steps,
        "batch": recipe.batch,
        "trained_on": {"cohort": [s.id for s in learners]},
        "seconds": round(time.perf_counter() - began),
        "curve": [[step, float(f"{value:.4g}")] for step, value in curve],
        "metrics": {
            "cohort test": {
                "subjects": len(examinees),
                "right answers (%)": round(100 * right, 1),
                "always the commonest answer (%)": round(100 * commonest, 1),
            }
        },
    }


def make(name, *, steps=None, checkpoint=None):
    """Train a feature network on the cohort.

    Returns
    -------
    keras.Model
        The encoder, in float32.
    about : dict
        Its card, as far as it is not about files.
    """
    from medsr_course.scans import phantom

    recipe = RECIPES[name]
    encoder, trained = train(
        name, subjects("cohort", "train"), subjects("cohort", "test"), steps=steps, checkpoint=checkpoint
    )
    return encoder, {
        "title": recipe.title,
        "task": "features",
        "architecture": recipe.architecture,
        "settings": recipe.settings,
        "data": [SOURCES["cohort"]],
        "share": {"cohort": 1.0},
        "cohort_version": phantom.VERSION,
        **trained,
        "intended_use": INTENDED_USE[name],
        "not_for": "Anything outside this course: it names tissues, contrasts and damages of synthetic heads.",
    }
