"""Families of networks at equal processor time: ``python -m tools.beyond`` writes ``results/beyond.md`` and ``.csv``.

``--grid`` first tries learning rates: each family for a third of a minute of processor time with each, judged on development
scans; it writes ``results/beyond-grid.csv``, and the recipes have the best.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.networks import training
from medsr_course.networks.pretrained import diffusion, usage
from medsr_course.networks.training import sources, superresolution
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.recipe import Recipe
from tools import command

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("twin-x4", "swinir-x4", "liif-x4", "diffusion-x4")
RATES = (1e-3, 2e-3, 4e-3)
GRID_SECONDS = 20  # of processor time
Row = dict[str, Any]


def tried(name: str, material: tuple[Any, Any]) -> list[Row]:
    """Trains one family with each learning rate, for the same processor time, and judges it on development scans."""
    recipe, rows = training.recipes()[name], []
    task = training.TASKS[recipe.task]
    samples, weights = material
    with training.precision(recipe.precision):
        steps = _steps(task, recipe, samples, weights)
        for rate in RATES:
            one = replace(recipe, learning_rate=rate, steps=steps)
            model, began = task.build(one), time.process_time()
            loss = task.teach(model, one, samples, weights)[-1][1]
            seconds = time.process_time() - began
            rows.append({"network": name, "learning_rate": rate, "steps": steps, "processor_seconds": seconds,
                         "loss": loss, "gain": judged(model, one)})  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def _steps(task: training.Task, recipe: Recipe, samples: Any, weights: Any) -> int:
    """How many steps fit into :data:`GRID_SECONDS`, by what forty cost more than ten: starting is left out."""
    spent = {}
    for count in (10, 40):
        began = time.process_time()
        task.teach(task.build(recipe), replace(recipe, steps=count), samples, weights)
        spent[count] = time.process_time() - began
    seconds = (spent[40] - spent[10]) / 30
    print(recipe.title, f"{1000 * seconds:.0f} ms of processor time a step", flush=True)
    return round(GRID_SECONDS / seconds)


def judged(model: Model, recipe: Recipe) -> float:
    """Mean gain over ZIP on development scans, dB; of a diffusion network, that of the mean of four samples."""
    task = training.TASKS[recipe.task]
    if recipe.task != "diffusion":
        found = task.development(recipe)
        assert found
        return found(model)
    how = usage(task.card("", recipe, model))
    draw = diffusion.drawing(model.predict_on_batch, rng=np.random.default_rng(0), **how)
    rows = superresolution.gains(
        lambda batch: np.mean([draw(batch) for _ in range(4)], axis=0),
        sources.development(), 4, slices=3, data_consistency=None)  # fmt: skip
    return float(np.mean([row["gain"] for row in rows]))


def main() -> None:
    """Try, or measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", action="store_true", help="try learning rates, train nothing that ships")
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    if options.grid:
        material = sources.material(sources.BROAD)[:2]
        rows = [row for name in FAMILIES for row in tried(name, material)]
        columns = list(rows[0])
        runtime.write_table(options.output / "beyond-grid.csv", columns, rows)


if __name__ == "__main__":
    command.run(main)
