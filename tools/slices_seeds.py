"""Is the order of chapter 10's networks one of chance? ``python -m tools.slices_seeds`` → ``results/slices-seeds.*``.

The recipes of the three networks for thick slices, shortened to equally many steps, trained once with each of some
seeds, which decide first weights and batches; measured on the cohort's twenty test people, whom no network has seen.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from medsr_course import resources, runtime
from medsr_course.leaderboard import markdown, stored
from medsr_course.networks.training import registry, sources
from medsr_course.networks.training.thick_slices import gain
from medsr_course.physics import metrics
from medsr_course.types import Array, Image
from tools import command

NAMES = ("convlstm-z4", "cnn25d-z4", "lstm-z4")
ROWS = 16  # of each slice


def measure(name: str, seed: int, steps: int, people: dict[str, Image]) -> Iterator[dict[str, Any]]:
    """Trains one network; a row for each person."""
    recipe = replace(registry.find(name), seed=seed)
    task = registry.TASKS[recipe.task]
    checkpoint = runtime.cache_dir() / "training" / f"{name}-{steps}-seed{seed}.npz"
    model, card = registry.train(name, recipe=recipe, steps=steps, checkpoint=checkpoint)
    where = command.provenance()
    for scan, image in people.items():
        found = gain(model.predict_on_batch, image, rows=ROWS, **task.how(recipe, model))
        yield {
            "network": name,
            "title": recipe.title.split(",")[0],
            "parameters": card.parameters,
            "steps": steps,
            "seconds": card.training["processor_seconds"],
            "seed": seed,
            "scan": scan,
            "gain": found["gain"],
            **where,
        }
    checkpoint.unlink(missing_ok=True)


def of_seeds(rows: list[dict[str, Any]], name: str) -> Array:
    """The gains of one network, (seeds, people)."""
    return stored.by_seed(row for row in rows if row["network"] == name)


def page(rows: list[dict[str, Any]]) -> str:
    """Each network's gain by seed, and the differences, paired by person."""
    gains = {name: of_seeds(rows, name) for name in NAMES}
    seeds, people = gains[NAMES[0]].shape
    titles = {row["network"]: row["title"] for row in rows}
    table = []
    for name, values in gains.items():
        row = next(row for row in rows if row["network"] == name)
        each = [f"{value:+.2f}" for value in values.mean(axis=1)]
        spread = f"{values.mean(axis=1).std(ddof=1):.3f}" if seeds > 1 else "–"
        table.append([titles[name], f"{row['parameters']:,}", f"{row['seconds']}", *each, spread])
    heads = ["network", "parameters", "processor seconds of a training", *(f"seed {k}" for k in range(seeds))]
    lines = [
        "# Thick slices: three trainings of each network",
        "",
        f"The networks of chapter 10, each trained {seeds} times with {rows[0]['steps']} steps of its recipe; the seed "
        f"decides first weights and batches. Gain over back-projection (dB), mean over {people} test people of the "
        f"cohort, each in one contrast, the middle {ROWS} rows of each slice. Spread: standard deviation over seeds.",
        "",
        *markdown.table([*heads, "spread"], table),
        "",
        "Differences between networks, paired by person: the mean with its 95 % interval over people (Student's t).",
        "",
    ]
    table = []
    for one, other in ((NAMES[0], NAMES[1]), (NAMES[0], NAMES[2])):
        for seed, values in enumerate(gains[one] - gains[other]):
            three = "{:+.2f} ({:+.2f} … {:+.2f})".format(*metrics.student_interval(values))
            table.append([f"{titles[one]} − {titles[other]}", str(seed), three])
    lines += [*markdown.table(["difference", "seed", "dB"], table), ""]
    return "\n".join([*lines, resources.made_by("python -m tools.slices_seeds"), ""])


def main() -> None:
    """Trains, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=command.RESULTS)
    options = parser.parse_args()
    people = {scan: image for group in sources.cohort_test().values() for scan, image in group.items()}
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for name in NAMES:
            rows += measure(name, seed, options.steps, people)
            print(f"{name}, seed {seed}: {of_seeds(rows, name)[-1].mean():+.2f} dB", flush=True)
    command.write(options.output, "slices-seeds", rows, page(rows))


if __name__ == "__main__":
    command.run(main)
