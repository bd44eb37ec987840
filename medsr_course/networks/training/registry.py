"""All tasks, all recipes, and the one way from a recipe to a network and its card."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from medsr_course.networks.pretrained import Card, load
from medsr_course.networks.training.loop import Model, Watch, precision
from medsr_course.networks.training.pairs import TrainingError
from medsr_course.networks.training.recipe import Recipe, Task

# Modules of this package, one per task, each with a TASK; a network comes after those its training needs.
MODULES = ("features", "superresolution", "diffusion", "denoising", "thick_slices", "segmentation", "reconstruction")
_found = [import_module(f"medsr_course.networks.training.{module}").TASK for module in MODULES]
TASKS: dict[str, Task] = {task.name: task for task in _found}


def recipes() -> dict[str, Recipe]:
    """Returns name → recipe of every weight that can be made."""
    return {name: recipe for task in TASKS.values() for name, recipe in task.recipes.items()}


def find(name: str) -> Recipe:
    """Returns the recipe of that name; raises :class:`TrainingError` where there is none."""
    found = recipes()
    if name not in found:
        raise TrainingError(f"there is no recipe {name!r}; there are: {', '.join(found)}")
    return found[name]


def train(
    name: str,
    *,
    recipe: Recipe | None = None,
    steps: int | None = None,
    share: dict[str, float] | None = None,
    checkpoint: Path | None = None,
) -> tuple[Model, Card]:
    """Train the network of a recipe.

    Parameters
    ----------
    name : str
        One of :func:`recipes`; ``recipe`` is another than the one of that name.
    steps, share : optional
        Another length, or other data, than the recipe's.
    checkpoint : path, optional
        File from which the training goes on after an interruption.

    Returns
    -------
    keras.Model
        In float32, without the optimizer.
    Card
        Without numbers and files.

    Raises
    ------
    TrainingError
        If there is no such recipe, or its data are not here, or the loss is not finite.
    """
    recipe = recipe or find(name)
    recipe = replace(recipe, steps=steps or recipe.steps, share=share or recipe.share)
    task = TASKS[recipe.task]
    samples, weights, trained_on = task.gather(recipe)
    gain = task.development(recipe)
    watch = Watch(gain) if gain else None
    with precision(recipe.precision) as computed_in:
        trained = task.build(recipe)
        if recipe.start:
            task.begin(trained, load(recipe.start))
        began, worked = time.perf_counter(), time.process_time()
        curve = task.teach(trained, recipe, samples, weights, checkpoint=checkpoint, watch=watch)
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
    model = task.build(recipe)
    model.set_weights(trained.get_weights())
    card = task.card(name, recipe, model)
    card = replace(
        card,
        training={**card.training, "processor_seconds": round(worked - (watch.seconds if watch else 0))},
        trained_on=trained_on,
        steps=curve[-1][0],
        precision=computed_in,
        seconds=round(seconds),
        curve=_short(curve),
        development=_short(watch.rows if watch else []),
    )
    return model, card


def make(
    name: str, *, steps: int | None = None, share: dict[str, float] | None = None, checkpoint: Path | None = None
) -> tuple[Model, Card]:
    """Train the network of a recipe, once with each of its seeds, and measure it; see :func:`train`.

    Returns the part of the network that ships, of the recipe's first seed, and its card, without files.
    """
    recipe = find(name)
    task, seeds, made = TASKS[recipe.task], {}, []
    for seed in recipe.seeds:
        one, part = replace(recipe, seed=seed), _of_seed(checkpoint, seed) if recipe.repeats else checkpoint
        model, card = train(name, recipe=one, steps=steps, share=share, checkpoint=part)
        seen = task.perception(name, model, one) if recipe.players else None
        trade = {group: row for group, row in (seen or {}).items() if group.startswith("cohort")}
        seeds[str(seed)] = {"seconds": card.seconds, "curve": card.curve, "trade": trade}
        made.append((model, replace(card, perception=seen)))
    model, card = made[0]
    for seed in recipe.seeds if recipe.repeats else ():
        if part := _of_seed(checkpoint, seed):
            part.unlink(missing_ok=True)
    card = replace(card, metrics=task.measure(model, recipe), seeds=seeds if recipe.repeats else None)
    return task.kept(model, recipe), card


def _of_seed(checkpoint: Path | None, seed: int) -> Path | None:
    return checkpoint and checkpoint.with_name(f"{checkpoint.stem}-{seed}{checkpoint.suffix}")


def _short(rows: list[tuple]) -> list[list]:
    return [[step, *(float(f"{value:.4g}") for value in values)] for step, *values in rows]
