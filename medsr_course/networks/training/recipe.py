"""What decides a shipped weight (:class:`Recipe`), and what a task adds to what all trainings share (:class:`Task`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from medsr_course.networks.pretrained import Card, usage
from medsr_course.networks.training import adversarial, sources
from medsr_course.networks.training.loop import Batches, Model, fit
from medsr_course.networks.training.pairs import TrainingError
from medsr_course.physics import metrics
from medsr_course.scans import phantom
from medsr_course.types import Image


@dataclass(frozen=True)
class Recipe:
    """All that decides a shipped weight."""

    title: str  # the name readers see
    task: str  # a key of :data:`registry.TASKS`
    architecture: str  # this and the settings are for ``models.build``
    settings: dict[str, Any]
    steps: int  # training steps
    share: dict[str, float] = field(default_factory=lambda: dict(sources.SHARE))  # data set → its share of the samples
    batch: int = 16  # samples in a batch
    size: int = 32  # side of a sample, in pixels of the network's input
    margin: int = 4  # pixels at a sample's border that the loss leaves out: there the network lacks surroundings
    learning_rate: float = 2e-3  # the peak of the schedule, see :func:`fit`
    schedule: int | None = None  # of a stage that ends before its schedule does, see :func:`fit`
    precision: str = "auto"  # what the training computes in, see :func:`precision`; the weights are float32
    seed: int = 0  # seed of the initial weights and of the batches
    # Other seeds with which the training is done again: their curves and scores are in the card, to show the spread
    repeats: tuple[int, ...] = ()
    # The weight from which the training starts: a shipped one, or that of a stage (:func:`pretrained.is_stage`)
    start: str | None = None
    version: str = "1.0"  # of the weights
    players: adversarial.Players | None = None  # adversarial training with these settings
    options: dict[str, Any] = field(default_factory=dict)  # what only this task needs, see its ``defaults``

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of the shipped weight, then those of its repeats."""
        return (self.seed, *self.repeats)


SHARED = ("title", "task", "architecture", "settings", "share", "seed", "batch", "start")  # fields of recipe and card


class Task:
    """What a task adds to a training; :mod:`registry` calls these methods in the order in which they stand here.

    A new task overrides ``batches``, ``usage``, ``measure`` and ``uses``, and of the others what differs.
    """

    name: str  # as cards name the task
    recipes: dict[str, Recipe]  # the shipped weights of this task
    defaults: dict[str, Any] = {}  # the options a recipe may set, with their defaults
    sources: dict[str, str] = sources.SOURCES  # data set → what a card states of it

    def options(self, recipe: Recipe) -> dict[str, Any]:
        """Returns the recipe's options and the defaults of the others; :class:`TrainingError` for an unknown one."""
        unknown = set(recipe.options) - set(self.defaults)
        if unknown:
            known = ", ".join(self.defaults) or "none"
            raise TrainingError(f"{self.name} has no option {', '.join(sorted(unknown))}; there are: {known}")
        return {**self.defaults, **recipe.options}

    def gather(self, recipe: Recipe) -> tuple[Any, Any, dict[str, list[str]]]:
        """Returns samples, the probability of each, and data set → subjects; see :func:`sources.material`."""
        return sources.material(recipe.share)

    def build(self, recipe: Recipe) -> Model:
        """Returns the network to be trained, with fresh weights."""
        from medsr_course.networks import models

        return models.build(recipe.architecture, seed=recipe.seed, **recipe.settings)

    def begin(self, model: Model, start: Model) -> None:
        """Puts the weights from which the training starts into the network."""
        model.set_weights(start.get_weights())

    def batches(self, recipe: Recipe, samples: Any, weights: Any) -> Batches:
        """Returns ``batches(k)``, for :func:`fit`, from what :meth:`gather` returned."""
        raise NotImplementedError

    def loss(self, recipe: Recipe) -> dict[str, Any]:
        """Returns what the training minimises, as keyword arguments of :func:`fit`: ``margin`` or ``loss``."""
        return {"margin": recipe.margin}

    def players(self, recipe: Recipe) -> adversarial.Players:
        """Returns the settings of an adversarial training, with the recipe's learning rate and margin."""
        players = recipe.players or adversarial.Players()
        return replace(players, learning_rate=recipe.learning_rate, **self.loss(recipe))

    def teach(self, model: Model, recipe: Recipe, samples: Any, weights: Any, **options: Any) -> list[tuple]:
        """Trains the network in place; returns the curve. ``options``, as ``checkpoint``, are for :func:`fit`."""
        batches = self.batches(recipe, samples, weights)
        if recipe.players is not None:
            return adversarial.teach(model, batches, recipe.steps, self.players(recipe), seed=recipe.seed, **options)
        options |= {"learning_rate": recipe.learning_rate, "schedule": recipe.schedule, **self.loss(recipe)}
        return fit(model, batches, recipe.steps, **options)

    def gain(self, model: Model, recipe: Recipe, image: Image) -> float:
        """Returns the gain over the classical method on a few slices of one scan, in dB."""
        raise NotImplementedError

    def development(self, recipe: Recipe) -> Callable[[Model], float] | None:
        """Returns what a training is watched by: the mean :meth:`gain` on two validation subjects of the cohort (T1w).

        None where the task has no gain in dB.
        """
        if type(self).gain is Task.gain:
            return None
        people = sources.subjects("cohort", "validation")[:2]
        return lambda model: float(np.mean([self.gain(model, recipe, s.contrasts["T1w"]) for s in people]))

    def kept(self, model: Model, recipe: Recipe) -> Model:
        """Returns the part of the trained network that ships."""
        return model

    def exported(self, model: Model) -> Model:
        """Returns the part of the shipped network that becomes the .onnx file."""
        return model

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        """Returns how the network is used, as the card's ``usage`` (:mod:`pretrained.cards` lists the keys)."""
        raise NotImplementedError

    def how(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        """Returns the keyword arguments with which the task's ``…_with`` function uses the network."""
        return usage(self.card("", recipe, model))

    def multiplications(self, recipe: Recipe, model: Model) -> int | None:
        """Returns the real multiplications per pixel of the image, where they are counted."""
        return None

    def augmentation(self, recipe: Recipe) -> dict[str, Any]:
        """Returns what is done at random to the samples."""
        return {}

    def training(self, recipe: Recipe) -> dict[str, Any]:
        """Returns what else decides the training and belongs into the card."""
        return {}

    def card(self, name: str, recipe: Recipe, model: Model) -> Card:
        """Returns all of a network's card that is certain before the training."""
        intended_use, not_for = self.uses(recipe)
        players = {"players": asdict(self.players(recipe))} if recipe.players else {}
        return Card(
            format=2,
            name=name,
            **{key: getattr(recipe, key) for key in SHARED},
            parameters=self.kept(model, recipe).count_params(),
            multiplications_per_pixel=self.multiplications(recipe, model),
            usage=self.usage(recipe, model),
            data=[self.sources[source] for source in recipe.share],
            trained_on={},
            augmentation=self.augmentation(recipe),
            cohort_version=phantom.VERSION,
            steps=0,
            seconds=0,
            training={**self.training(recipe), **players},
            curve_columns=list(adversarial.COLUMNS if players else ("step", "loss")),
            curve=[],
            metrics={},
            intended_use=intended_use,
            not_for=not_for,
            recipe=f"make weights NAME={name}",
            licence="MIT",
            version=recipe.version,
            files={},
        )

    def measure(self, model: Model, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """Returns the card's numbers: group of scans → quantity → value."""
        raise NotImplementedError

    def perception(self, name: str, model: Model, recipe: Recipe) -> dict[str, Any]:
        """Returns what PSNR does not see, of a network trained adversarially: group of scans → numbers."""
        raise NotImplementedError

    def uses(self, recipe: Recipe) -> tuple[str, str]:
        """Returns what the network is for, and what it is not for."""
        raise NotImplementedError


ENOUGH = 20  # subjects: of fewer no interval is given


def summary(rows: Sequence[dict[str, float]], count: str) -> dict[str, Any]:
    """Returns the means of some scans' numbers, quantity → value, as a card states them; without a unit they are dB.

    ``count`` is what the number of rows is called, e.g. "subjects". Of ``gain`` also the least, and of twenty subjects
    or more the 95 % interval of the mean (Student's t).
    """
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    found = {key if "(" in key else f"{key} (dB)": float(np.mean(values)) for key, values in columns.items()}
    if "gain" in columns:
        found["least gain (dB)"] = min(columns["gain"])
        if len(rows) >= ENOUGH:
            _, found["gain, from (dB)"], found["gain, to (dB)"] = metrics.student_interval(columns["gain"])
    return {count: len(rows), **{key: round(value, 2) for key, value in found.items()}}


def summaries(
    groups: dict[str, dict[str, Image]], measured: Callable[[dict[str, Image]], list[dict[str, float]]], end: str = ""
) -> dict[str, dict[str, Any]]:
    """Returns group title + ``end`` → :func:`summary` of what ``measured(group)`` finds, a row each subject.

    After them :data:`sources.COHORT_TEST` + ``end``, of all the cohort's test subjects together.
    """
    found, together = {}, []
    for title, group in groups.items():
        rows = measured(group)
        found[f"{title}{end}"] = summary(rows, "subjects")
        together += rows if title.startswith(sources.COHORT_TEST) else []
    return found | ({f"{sources.COHORT_TEST}{end}": summary(together, "subjects")} if together else {})
