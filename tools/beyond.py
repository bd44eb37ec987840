"""Families of networks at equal processor time: ``python -m tools.beyond`` writes ``results/beyond.md`` and ``.csv``.

Before the weights were made, ``--grid`` trained each family for a third of a minute of processor time with each of
three learning rates, judged on development scans; ``--settings`` tries those of what is not trained before, on
validation subjects. Both write ``results/beyond-grid.csv``. Recipes and defaults have the best of each.
"""

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.leaderboard import markdown
from medsr_course.networks import pretrained, training
from medsr_course.networks.pretrained import diffusion, plug_and_play, usage
from medsr_course.networks.training import single, sources, superresolution
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.recipe import Recipe
from medsr_course.physics import interpolation, metrics
from medsr_course.scans import datasets
from medsr_course.tasks import planting
from medsr_course.tasks import superresolution as exam
from medsr_course.types import Stack
from tools import command

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("twin-x4", "swinir-x4", "liif-x4", "diffusion-x4")
RATES = (1e-3, 2e-3, 4e-3)
GRID_SECONDS = 20  # of processor time
SCALE, SAMPLES, MIDDLE = 4, 8, slice(4, 6)  # the two middle slices of the protocol's ten
FIELD_STEPS = 120  # of a field of sines, for each slice
LOOKS = 1  # at report scans, by which version of this file
TITLES = {
    "twin-x4": "CNN twin",
    "swinir-x4": "window attention",
    "liif-x4": "implicit field",
    "one": "diffusion, one sample",
    "mean": "diffusion, mean of eight",
    "plug": "plug and play",
    "zero": "zero-shot",
    "siren": "field of sines",
}
SLOW = ("zero", "siren")  # trained on each scan anew: of the cohort alone
GRID_COLUMNS = ("network", "learning_rate", "setting", "steps", "processor_seconds", "loss", "gain")
Row = dict[str, Any]


def tried(name: str) -> list[Row]:
    """Trains one family with each learning rate, for the same processor time, and judges it on development scans."""
    recipe, rows = training.recipes()[name], []
    task = training.TASKS[recipe.task]
    samples, weights, _ = task.gather(recipe)
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


def settings() -> list[Row]:
    """Gains of plug and play and of a field of sines by their settings, on validation subjects of the cohort."""
    people = datasets.load("cohort", n_subjects=24).select("validation")
    pairs = [_pair(s.contrasts[datasets.CONTRASTS[k % 4]], f"{s.id} validation") for k, s in enumerate(people)]
    rows = []
    for first, last, steps in ((0.1, 0.01, 8), (0.2, 0.02, 8), (0.4, 0.02, 8), (0.2, 0.02, 16), (0.4, 0.02, 16)):
        options: dict[str, Any] = {"strengths": (first, last), "steps": steps}
        gains = [_gain(p, plug_and_play.plug_and_play(p.given, SCALE, **options)) for p in pairs]
        what = f"{first} to {last}, {steps} steps"
        rows.append({"network": "plug", "setting": what, "gain": float(np.mean(gains))})
    for frequency in (10.0, 20.0, 30.0, 45.0):
        ones = [replace(pair, target=pair.target[1:2], given=pair.given[1:2]) for pair in pairs]
        gains = [_gain(p, single.field(p.given[0], SCALE, FIELD_STEPS, frequency=frequency)[None]) for p in ones]
        rows.append({"network": "siren", "setting": f"{frequency:g}", "gain": float(np.mean(gains))})
    return rows


def _pair(image: Any, key: str) -> exam.Pair:
    """The two middle slices of a scan, as the protocol makes them."""
    whole = exam.pair(image, SCALE, key=key)
    return replace(whole, target=whole.target[MIDDLE], given=whole.given[MIDDLE])


def _gain(pair: exam.Pair, image: Stack) -> float:
    base = interpolation.zero_fill(pair.given, SCALE)
    return metrics.psnr(pair.target, image) - metrics.psnr(pair.target, base)


def methods() -> dict[str, Callable[[Stack], Stack]]:
    """Name and function of everything that is compared; all samples of diffusion come from one call."""

    def shipped(name: str) -> Callable[[Stack], Stack]:
        return lambda stack: pretrained.super_resolve(name, stack)

    found: dict[str, Callable[[Stack], Stack]] = {name: shipped(name) for name in FAMILIES[:3]}
    found["one"] = lambda stack: pretrained.sample("diffusion-x4", stack)[0]
    found["mean"] = lambda stack: pretrained.sample("diffusion-x4", stack, SAMPLES).mean(axis=0)
    found["plug"] = lambda stack: plug_and_play.plug_and_play(stack, SCALE)
    found["zero"] = lambda stack: single.zero_shot(stack, SCALE)
    found["siren"] = lambda stack: np.stack([single.field(one, SCALE, FIELD_STEPS) for one in stack])
    return found


def measured(image: Any, key: str, names: list[str]) -> list[Row]:
    """Rows of one scan: gains over ZIP, the spectrum, and processor seconds per slice."""
    pair, rows = _pair(image, key), []
    base = pair.psnrs(interpolation.zero_fill(pair.given, SCALE))
    for name in names:
        began = time.process_time()
        made = methods()[name](pair.given)
        seconds = (time.process_time() - began) / len(made)
        found = pair.psnrs(made)
        rows.append(
            {
                "scan": key,
                "method": name,
                "gain": found["psnr"] - base["psnr"],
                "gain_head": found["psnr_head"] - base["psnr_head"],
                "spectrum_error": metrics.spectrum_error(pair.target, made, SCALE),
                "seconds": seconds,
            }
        )
    return rows


def lesions(count: int = 4) -> list[Row]:
    """What of discs is kept, and spots at places without any, on test subjects of the cohort."""
    rows = []
    people = datasets.load("cohort", n_subjects=sources.TEST_SUBJECTS, split="test")[:count]
    for person in runtime.progress(people, "lesions", unit="subject"):
        key = f"{person.id} FLAIR"
        given = exam.pair(person.contrasts["FLAIR"], SCALE, key=key).given
        put = planting.targets(given, SCALE, key, repeats=2, apart=1)
        planted = planting.plant(given, put, SCALE, key)
        for name in ("twin-x4", "one", "mean"):
            plain, change = methods()[name](given), methods()[name](planted)
            for target in put:
                k, i, j = target.place
                reach = planting.REACH * SCALE
                here = np.s_[k, i - reach : i + reach + 1, j - reach : j + reach + 1]
                spot = planting.evidence(plain[here], 1, SCALE) / target.level
                row = {"lesion": target.kind, "size": target.size, "method": name, "scan": key, "spot": spot}
                if target.kind == "lesion":
                    row["kept"] = planting.kept(target, change[here] - plain[here], SCALE)
                rows.append(row)
    return rows


def _interval(values: list[float]) -> str:
    middle, low, high = metrics.student_interval(values)
    return f"{middle:+.2f} ({low:+.2f} … {high:+.2f})"


INTRO = (
    "×4, stored input, the two middle slices of the protocol's ten. Gains over ZIP in dB; of the cohort's test "
    "subjects, one contrast each, the mean over people (95 %, Student's t)."
)
REAL = f"Full field. Single scans, so points and no intervals. Looks at report scans (test): {LOOKS}."
DISCS = (
    "FLAIR of test people. *Kept*: of the contrast of a disc, mean, by its diameter in coarse voxels. *Spots*: places "
    "without a disc where 10 % of the signal stands out (Wilson's interval; places of one head are alike)."
)
CHOSEN = (
    "Gain over ZIP (dB): of networks after a third of a minute of processor time, on development scans (diffusion: the "
    "mean of four samples); of the others on four validation subjects of the cohort."
)


def report(rows: list[Row], grid: list[dict[str, str]]) -> str:
    """The tables as Markdown."""
    lines = ["# Beyond CNNs: families at equal processor time", "", INTRO, "", "## Test people of the cohort", ""]
    lines += _people([row for row in rows if row["group"].startswith(sources.COHORT_TEST)])
    lines += ["", "## What the networks were given", "", *_given(), "", "## Real scans", "", REAL, ""]
    lines += _real([row for row in rows if row["group"] and not row["group"].startswith(sources.COHORT_TEST)])
    lines += ["", "## Discs put in, and places without any", "", DISCS, "", *_discs([r for r in rows if "spot" in r])]
    lines += ["", "## What was chosen, and by what", "", CHOSEN, ""]
    cells = [[row["network"], row["learning_rate"] or row["setting"], f"{float(row['gain']):+.2f}"] for row in grid]
    lines += markdown.table(["network", "learning rate, or setting", "gain"], cells)
    return "\n".join([*lines, "", resources.made_by("python -m tools.beyond"), ""])


def _people(rows: list[Row]) -> list[str]:
    """All methods on the cohort, with paired differences to the CNN twin."""
    twin = {row["scan"]: row["gain"] for row in rows if row["method"] == "twin-x4"}
    cells = []
    for name, title in TITLES.items():
        own = [row for row in rows if row["method"] == name]
        columns = [[row["gain"] for row in own], [row["gain_head"] for row in own]]
        columns.append([row["gain"] - twin[row["scan"]] for row in own])
        means = [f"{np.mean([row[key] for row in own]):.2f}" for key in ("spectrum_error", "seconds")]
        cells.append([title, str(len(own)), *map(_interval, columns), *means])
    head = ["method", "people", "gain", "inside the head", "over the CNN twin", "spectrum error", "s per slice"]
    return markdown.table(head, cells)


def _given() -> list[str]:
    cells = []
    for card in map(pretrained.card, FAMILIES):
        minutes = f"{card.training['processor_seconds'] / 60:.1f}"
        cells.append(
            [card.title, f"{card.parameters:,}", f"{card.steps:,}", str(card.batch), minutes, str(card.precision)]
        )
    return markdown.table(["network", "weights", "steps", "batch", "processor minutes", "precision"], cells)


def _real(rows: list[Row]) -> list[str]:
    names, cells = [name for name in TITLES if name not in SLOW], []
    for scan in dict.fromkeys((row["group"], row["scan"]) for row in rows):
        gains = {row["method"]: row["gain"] for row in rows if (row["group"], row["scan"]) == scan}
        cells.append([f"{scan[0].removeprefix('real ')} ({scan[1]})", *(f"{gains[name]:+.2f}" for name in names)])
    return markdown.table(["scan", *(TITLES[name] for name in names)], cells)


def _discs(rows: list[Row]) -> list[str]:
    cells = []
    for name in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == name]
        kept = [np.mean([row["kept"] for row in own if "kept" in row and row["size"] == s]) for s in planting.SIZES]
        hits = sum(abs(row["spot"]) > planting.VISIBLE for row in own)
        spots = "{:.1%} ({:.1%}–{:.1%})".format(*planting.wilson(hits, len(own)))
        cells.append([TITLES[name], *(f"{value:.0%}" for value in kept), spots])
    return markdown.table(["method", *(f"{size:g}" for size in planting.SIZES), "spots"], cells)


def _read(table: Path) -> list[dict[str, str]]:
    """What was tried before, row by row; nothing where there is no such file."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8") as file:
        return [dict.fromkeys(GRID_COLUMNS, "") | row for row in csv.DictReader(file)]


def main() -> None:
    """Try, or measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", action="store_true", help="try learning rates, train nothing that ships")
    parser.add_argument("--settings", action="store_true", help="try settings of what is not trained before")
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    table = options.output / "beyond-grid.csv"
    if options.grid or options.settings:
        kept = [row for row in _read(table) if bool(row["learning_rate"]) != options.grid]
        found = [row for name in FAMILIES for row in tried(name)] if options.grid else settings()
        runtime.write_table(table, GRID_COLUMNS, [*found, *kept] if options.grid else [*kept, *found])
        return
    rows = []
    for group, scans in sources.measured_on().items():
        cohort = group.startswith(sources.COHORT_TEST)
        names = [name for name in TITLES if cohort or name not in SLOW]
        for key, image in {} if group.endswith("CT") else scans.items():
            rows += [{"group": group, **row} for row in measured(image, key, names)]
    rows += [{"group": "", **row} for row in lesions()]
    command.write(options.output, "beyond", rows, report(rows, _read(table)))


if __name__ == "__main__":
    command.run(main)
