"""Does a small network generalise? Curves, shifts and new sites of chapter 14, to results/generalisation.csv and .md.

    python -m tools.generalisation [--only PART …] [--seeds 3] [--steps 400]

Every number is a person's gain over zero-filling (dB), of a network trained on other people. Cohort networks are judged
by the twenty test people of the first 120; real scans are those for development, and the people change places: everyone
is judged by networks that never saw them. Rows of the same length of training stay, so an interrupted run goes on.
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.networks import models, pretrained, training
from medsr_course.networks.framework import keras, ops
from medsr_course.physics import grid, interpolation, metrics
from medsr_course.scans import datasets, volumes
from medsr_course.scans.datasets import real
from medsr_course.tasks.sites import Site
from medsr_course.types import Array, Image, Stack
from tools import command

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "results" / "generalisation.csv"
COLUMNS = ["part", "setting", "tested on", "number", "seed", "person", "gain", "steps"]
HOME, AWAY = Site(), Site(noise=4)  # the sites of chapter 14
BRIGHT = (0.25, 0.8)  # the part of a head that slices are taken from
NATIVE = 0.28  # of the 3 T partners' grid: the scanner filled the rest with zeros
People = dict[str, list[Stack]]  # person → stacks (n, h, w), each divided by its intensity scale
Row = dict[str, Any]


# ---------------------------------------------------------------- people


def scaled(stack: Array) -> Stack:
    return grid.trim((stack / grid.intensity(stack)[1]).astype(np.float32), 2)


def slices(image: Image, n: int = 8) -> Stack:
    return scaled(volumes.axial_slices(image, n=n, between=BRIGHT))


@cache
def cohort(split: str, contrast: str) -> People:
    """Train: sixteen people of the first 24; test: the twenty of the first 120."""
    count, n = (120, 2) if split == "test" else (24, 8)
    people = datasets.load("cohort", n_subjects=count, split=split)
    return {subject.id: [slices(subject.contrasts[contrast], n)] for subject in people}


@cache
def ds002748() -> People:
    return {s.id: [slices(s.contrasts["T1w"])] for s in datasets.load("ds002748")}


@cache
def partners() -> People:
    """The 3 T scans of three patients, on about the grid they were measured on."""
    people: People = {}
    for subject in real.partners_3t().select("train"):
        for image in subject.contrasts.values():
            stack = np.moveaxis(np.asarray(image.dataobj, np.float32), 2, 0)
            for axis in (1, 2):
                stack = grid.crop_axis(stack, round(NATIVE * stack.shape[axis]), axis)
            people.setdefault(subject.id, []).append(scaled(np.abs(stack)))
    return people


@cache
def low_field() -> People:
    """The same patients at 0.055 T: magnitudes of their raw k-space."""
    heads = [head for head in datasets.low_field_heads() if head.split == "train"]
    return {h.id: [scaled(np.abs(h.raw(c).images()[:, 0, 0])) for c in sorted(h.files)] for h in heads}


def of(people: People, names: Sequence[str]) -> list[Array]:
    """All slices of these people, one after the other."""
    return [image for name in names for stack in people[name] for image in stack]


def turn(people: People, seed: int) -> list[str]:
    """Their names, in an order of this seed."""
    names = sorted(people)
    return [names[i] for i in np.random.default_rng([14, seed]).permutation(len(names))]


def folds(people: People, count: int, seed: int) -> tuple[list[str], list[str]]:
    """Names to train on and to be judged by: fold ``seed`` of ``count``; over all folds everyone is judged once."""
    names = turn(people, 0)
    judged = names[seed % count :: count]
    return [name for name in names if name not in judged], judged


# ---------------------------------------------------------------- training and judging


def patches(material: Sequence[Array], site: Site, seed: int, turns: bool = True) -> training.Patches:
    """Patches of these slices as a site stores them, turned and mirrored before that, or not."""
    site = replace(site, turns=turns)
    return training.Patches(material, site, balanced=True, seed=seed, size=20, pool=32)  # type: ignore[arg-type]


def new(seed: int) -> keras.Model:
    return models.espcn(2, filters=24, depth=4, seed=seed)


def fit(model: keras.Model, batches: Callable[[int], tuple], steps: int, rate: float = 4e-3) -> keras.Model:
    training.fit(model, batches, steps, learning_rate=rate, margin=4)
    return model


def judged(model: keras.Model, people: People, site: Site) -> dict[str, float]:
    """Each person's gain over zero-filling, dB, mean over their stacks."""

    def network(batch: Array) -> Array:
        return ops.convert_to_numpy(model(batch))

    found = {}
    for name, stacks in people.items():
        gains = []
        for k, stack in enumerate(stacks):
            given = site.given(stack, f"{name} {k}")
            made = pretrained.super_resolve_with(network, given, 2, None)
            gains.append(metrics.psnr(stack, made) - metrics.psnr(stack, interpolation.zero_fill(given, 2)))
        found[name] = float(np.mean(gains))
    return found


def only(people: People, names: Sequence[str]) -> People:
    return {name: people[name] for name in names}


# ---------------------------------------------------------------- the parts


Found = Iterator[tuple[str, str, int, dict[str, float]]]  # setting, tested on, number, gain of each person


def curve(seed: int, steps: int) -> Found:
    """Training people against gain: the cohort, and real heads (three folds, four people judged in each)."""
    train, real_heads = cohort("train", "T1w"), ds002748()
    names = turn(train, seed)
    others, mine = folds(real_heads, 3, seed)
    for how, turns in {"as they are": False, "turned": True}.items():
        for count in (1, 4, 16):
            model = fit(new(seed), patches(of(train, names[:count]), HOME, seed, turns), steps)
            yield how, "cohort", count, judged(model, cohort("test", "T1w"), HOME)
        for count in (1, 4, 8):
            model = fit(new(seed), patches(of(real_heads, others[:count]), HOME, seed, turns), steps)
            yield how, "ds002748", count, judged(model, only(real_heads, mine), HOME)


AUGMENTED = {
    "as they are": HOME,
    "turned and mirrored": replace(HOME, turns=True),
    "contrast": replace(HOME, gamma=2.0, inverted=0.3),
    "noise": replace(HOME, noises=(0.0, 6.0)),
    "all three": replace(HOME, turns=True, gamma=2.0, inverted=0.3, noises=(0.0, 6.0)),
    "without phase": replace(HOME, phase=False),
    "pairs mirrored": replace(HOME, pairs_mirrored=True),
}


def augmentation(seed: int, steps: int) -> Found:
    """Two training people, varied in seven ways, judged at home and in two other conditions."""
    train = cohort("train", "T1w")
    for title, site in AUGMENTED.items():
        model = fit(new(seed), patches(of(train, turn(train, seed)[:2]), site, seed, site.turns), steps)
        yield title, "home", 2, judged(model, cohort("test", "T1w"), HOME)
        yield title, "another contrast", 2, judged(model, cohort("test", "T2w"), HOME)
        yield title, "3 % noise", 2, judged(model, cohort("test", "T1w"), replace(HOME, noise=3))


def imbalance(seed: int, steps: int) -> Found:
    """Twenty slices of the common kind for one of the rare kind, and what re-weighting and more scans bring."""
    common, rare = cohort("train", "T1w"), cohort("train", "T2w")
    names = turn(common, seed)
    usual = patches(of(common, names), HOME, seed)
    few = patches(of(rare, names[:1]), AWAY, seed + 100)
    many = patches(of(rare, names), AWAY, seed + 200)
    ways: dict[str, Callable[[int], tuple]] = {
        "1 : 20": training.Mixed([usual, few], (20 / 21, 1 / 21), seed=seed),
        "1 : 20, re-weighted": training.Mixed([usual, few], (20 / 21, 1 / 21), (1, 20), seed=seed),
        "1 : 20, over-sampled": training.Mixed([usual, few], (0.5, 0.5), seed=seed),
        "as many people of each": training.Mixed([usual, many], (0.5, 0.5), seed=seed),
        "the rare kind alone": few,
    }
    for title, batches in ways.items():
        model = fit(new(seed), batches, steps)
        yield title, "common", 16, judged(model, cohort("test", "T1w"), HOME)
        yield title, "rare", 16, judged(model, cohort("test", "T2w"), AWAY)


def leakage(seed: int, steps: int) -> Found:
    """The same number of slices, of other people or of the very people that are judged (every second slice)."""
    for title, people in (("ds002748", ds002748()), ("cohort", cohort("train", "T1w"))):
        others, mine = folds(people, 4, seed)
        seen = [image for name in mine for image in people[name][0][::2]]
        unseen = {name: [people[name][0][1::2]] for name in mine}
        clean = of(people, others)[:: len(of(people, others)) // len(seen)][: len(seen)]
        for how, material in (("other people", clean), ("the same people", seen)):
            model = fit(new(seed), patches(material, HOME, seed), steps)
            yield how, title, len(material), judged(model, unseen, HOME)


def domain(seed: int, steps: int) -> Found:
    """Invented heads, real heads, patients at 3 T, the same patients at 0.055 T: trained on one, judged on all."""
    sources = {"ds002748": (ds002748(), 3), "3 T partners": (partners(), 3), "0.055 T": (low_field(), 3)}
    invented = of(cohort("train", "T1w"), sorted(cohort("train", "T1w")))
    model = fit(new(seed), patches(invented, HOME, seed), steps)
    yield "cohort", "cohort", 16, judged(model, cohort("test", "T1w"), HOME)
    for name, (people, count) in sources.items():
        yield "cohort", name, 16, judged(model, only(people, folds(people, count, seed)[1]), HOME)
    for title, (people, count) in sources.items():
        others, _ = folds(people, count, seed)
        model = fit(new(seed), patches(of(people, others), HOME, seed), steps)
        yield title, "cohort", len(others), judged(model, cohort("test", "T1w"), HOME)
        for name, (strangers, parts) in sources.items():
            names = [n for n in folds(strangers, parts, seed)[1] if n not in others]
            yield title, name, len(others), judged(model, only(strangers, names), HOME)


def adaptation(seed: int, steps: int) -> Found:
    """A network from home meets a new site with 1, 3 or 10 people: alone, or with half of each batch from home."""
    home, away = cohort("train", "T1w"), cohort("train", "T2w")
    names = turn(home, seed)
    new_people = of(away, names[6:]), cohort("test", "T2w"), "another site", AWAY
    yield from _adapted(of(home, names[:6]), new_people, seed, steps)
    others, mine = folds(ds002748(), 6, seed)
    yield from _adapted(
        of(home, names), (of(ds002748(), others), only(ds002748(), mine), "ds002748", HOME), seed, steps
    )


def _adapted(material, place, seed, steps):
    slices_there, people_there, title, site = place
    usual = patches(material, HOME, seed)
    start = fit(new(seed), usual, steps).get_weights()

    def scores(model, how, count):
        yield how, title, count, judged(model, people_there, site)
        yield how, f"home, before {title}", count, judged(model, cohort("test", "T1w"), HOME)

    model = new(seed)
    model.set_weights(start)
    yield from scores(model, "as it came", 0)
    for count in (1, 3, 10):
        there = patches(slices_there[: 8 * count], site, seed + 100)
        mixed = training.Mixed([usual, there], (0.5, 0.5), seed=seed)
        ways = {"new scans alone": (there, steps), "half of them old": (mixed, steps)}
        if count == 10:
            ways["half of them old, twice as long"] = mixed, 2 * steps
        for how, (batches, length) in ways.items():
            model = new(seed)
            model.set_weights(start)
            yield from scores(fit(model, batches, length), how, count)


PARTS: dict[str, Callable[[int, int], Found]] = {
    part.__name__: part for part in (curve, augmentation, imbalance, leakage, domain, adaptation)
}


def measured(part: str, seed: int, steps: int) -> Iterator[Row]:
    """The rows of one part and seed: one for every person judged."""
    for setting, tested, number, gains in PARTS[part](seed, steps):
        about = {"part": part, "setting": setting, "tested on": tested, "number": number, "seed": seed, "steps": steps}
        print(part, seed, setting, tested, number, f"{np.mean(list(gains.values())):+.3f}", flush=True)
        for person, gain in gains.items():
            yield about | {"person": person, "gain": f"{gain:.4f}"}


# ---------------------------------------------------------------- the page

ABOUT = {
    "curve": "Learning curves: training people against gain.",
    "augmentation": "Two training people, used in seven ways.",
    "imbalance": "A rare kind of scan: T2w with 4 % noise, from one person, one pair in 21.",
    "leakage": "The same number of slices of other people, or of the very people that are judged.",
    "domain": "Trained on one kind of heads, judged on all. The same patients lay in the 3 T and in the 0.055 T "
    "scanner, four slices a contrast.",
    "adaptation": "A network from home, fine-tuned with 1, 3 or 10 people of a new site. `home, before X`: the cohort, "
    "judged by the network that goes to X.",
}


def page(rows: Sequence[Row]) -> str:
    """A table for each part: mean over people of their means over seeds, and its 95 % interval."""
    seeds = sorted({int(row["seed"]) for row in rows})
    lines = [
        "# Generalisation of a small network",
        "",
        f"Made by `python -m tools.generalisation`: {models.espcn(2, filters=24, depth=4).count_params():,} weights "
        f"(ESPCN ×2), {rows[0]['steps']} steps, {len(seeds)} seeds. Gain over zero-filling in dB, full field. A "
        "person's number is the mean over seeds, the interval Student's t over people. Cohort people all warp one "
        "template. Real scans are those for development: ds002748 (CC0), low field and its 3 T partners (CC0). "
        "Training slices are turned and mirrored, but where the table says how they are used.",
    ]
    for part, about in ABOUT.items():
        found: dict[tuple[str, str, int], dict[str, list[float]]] = {}
        for row in rows:
            if row["part"] == part:
                key = row["setting"], row["tested on"], int(row["number"])
                found.setdefault(key, {}).setdefault(row["person"], []).append(float(row["gain"]))
        if not found:
            continue
        lines += ["", f"## {part.capitalize()}", "", about, ""]
        lines += [
            "| setting | judged on | number | people | gain (dB) | 95 % interval |",
            "|---|---|---:|---:|---:|---|",
        ]
        for (setting, tested, number), people in found.items():
            mean, low, high = metrics.student_interval([float(np.mean(gains)) for gains in people.values()])
            ends = f"{low:+.3f} … {high:+.3f}" if len(people) > 1 else "–"
            cells = [setting, tested, number, len(people), f"{mean:+.3f}", ends]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    where = resources.provenance()
    lines += ["", f"{where['system']} {where['machine']}, commit {where['commit']}, {where['date']}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(PARTS), metavar="PART")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--output", type=Path, default=TABLE)
    options = parser.parse_args()
    runtime.start("lesson", 0)
    rows: list[Row] = []
    if options.output.exists():
        with open(options.output, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["steps"] == str(options.steps)]
    done = {(row["part"], str(row["seed"])) for row in rows}
    for seed in options.seeds:
        for part in options.only or PARTS:
            if (part, str(seed)) not in done:
                rows += measured(part, seed, options.steps)
                runtime.write_table(options.output, COLUMNS, rows)
                runtime.write_text(options.output.with_suffix(".md"), page(rows))


if __name__ == "__main__":
    command.run(main)
