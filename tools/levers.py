"""What do the ways to use a network with a noisy image gain? On development scans alone, to results/levers.csv and .md.

    python -m tools.levers [--network srresnet-x2 …] [--slices 4] [--condition NAME …]

Coarse images as files hold them, with noise of one coil, of eight, or interpolated, with their air or with it set to
zero. Every number is PSNR inside the head over the best of ZIP, ZIP + Gaussian and ZIP + NLM, each at its best strength
for that very scan (of NLM's every second is tried), the magnitude's bias taken off or not, whichever is better, with
the true noise known to them. Rows of the same weights stay, unless ``--fresh`` asks for them anew. Choices are written
where they are used: ``USE`` in ``networks/pretrained/superresolution.py`` and ``data_consistency`` in the cards.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.leaderboard import methods
from medsr_course.networks import pretrained
from medsr_course.networks.training import sources
from medsr_course.physics import metrics
from medsr_course.physics.interpolation import zero_fill
from medsr_course.scans import datasets
from medsr_course.tasks import superresolution
from medsr_course.types import Image, Stack
from tools import command

ROOT = Path(__file__).resolve().parents[1]
USE = pretrained.USE


@dataclass(frozen=True)
class Condition:
    """Noise of a kind and strength in %, and whether the air was set to zero."""

    kind: str
    percent: int
    masked: bool = False

    @property
    def title(self) -> str:
        return f"{self.kind} {self.percent} %" + self.masked * ", masked"


CONDITIONS = [
    Condition(kind, percent, masked)
    for kind, percents, masked in (
        ("rician", (0, 1, 3, 6), False),
        ("chi", (1, 3, 6), False),
        ("interpolated", (3, 6), False),
        ("rician", (1, 3, 6), True),
        ("chi", (3,), True),
        ("interpolated", (3,), True),
    )
    for percent in percents
]
LEVERS: dict[str, dict[str, Any]] = {  # title → arguments of super_resolve_with that differ from how it is used
    "as it is used": {},
    "consistency: none": {"data_consistency": None},
    "consistency: soft": {"data_consistency": "soft"},
    "consistency: hard": {"data_consistency": "hard"},
    "no noise told": {"most_noise": 0.0},
    "grid of the file": {"use": replace(USE, native=False)},
    "native grid": {"use": replace(USE, native=True)},
    "floor of all coils": {"use": replace(USE, one_coil=False)},
    "floor of one coil": {"use": replace(USE, one_coil=True)},
    "unknown noise: least": {"use": replace(USE, unknown=0.0)},
    "unknown noise: half way": {"use": replace(USE, unknown=0.5)},
    "unknown noise: most": {"use": replace(USE, unknown=1.0)},
    "all that the head tells": {"use": replace(USE, head=1.0)},
    "noise below 0.5 %: none": {"use": replace(USE, least=0.005)},
    "noise below 1 %: none": {"use": replace(USE, least=0.01)},
    "noise below 2 %: none": {"use": replace(USE, least=0.02)},
    "best (eight symmetries)": {"quality": "best"},
}


def matters(lever: str, condition: Condition) -> bool:
    """Tells whether a lever can change anything."""
    if "grid" in lever:
        return condition.kind == "interpolated"
    if lever.startswith("floor"):
        return condition.kind == "chi"
    if lever.startswith(("unknown", "all that the head")):
        return condition.masked or condition.percent == 0
    if lever.startswith("noise below"):
        return condition.kind == "rician" and condition.percent <= 3
    return True


@cache
def scans() -> list[tuple[str, str, Image]]:
    """Person, name and image of each development scan."""
    found = []
    for subject in sources.subjects("ds002748", "validation"):
        found.append((subject.id, f"{subject.id} T1w", subject.contrasts["T1w"]))
    for subject in datasets.load("real-scans"):
        for contrast, image in subject.contrasts.items():
            if subject.split == "validation" and contrast != "CT":
                found.append((subject.id, f"{subject.id} {contrast}", image))
    for subject, contrast in zip(sources.subjects("cohort", "validation", 24), datasets.CONTRASTS, strict=True):
        found.append((subject.id, f"{subject.id} {contrast}", subject.contrasts[contrast]))  # heads in air
    return found


def pair(name: str, image: Image, scale: int, condition: Condition, slices: int) -> superresolution.Pair:
    """A pair of some slices under a condition."""
    made = superresolution.pair(image, scale, noise=condition.percent, key=name, kind=condition.kind)
    some = np.linspace(0, len(made.given) - 1, slices).round().astype(int)
    target, given = made.target[some], made.given[some]
    sigma = made.sigma[some] if condition.percent else 0.0
    if condition.masked:
        mask = metrics.head_mask(target, made.pixel_size)
        target, given = target * mask, given * mask[:, ::scale, ::scale]
    return replace(made, target=target, given=given, sigma=sigma)


def rival(made: superresolution.Pair, scale: int) -> tuple[float, float]:
    """PSNR inside the head of ZIP, and of the best filter at its best strength."""
    zipped = zero_fill(made.given, scale)
    plain = made.psnrs(zipped)["psnr_head"]
    found = [plain]
    if np.any(made.sigma):
        for name in ("zip-gaussian", "zip-nlm"):
            kept, unbiased = methods.FILTERS[name], methods.FILTERS[f"{name}-unbiased"]
            for strength in kept.strengths[:: 2 if name == "zip-nlm" else 1]:
                smooth = kept.apply(zipped, made.sigma, strength)
                found += [made.psnrs(one.finish(smooth, made))["psnr_head"] for one in (kept, unbiased)]
    return plain, max(found)


def result(name: str, stack: Stack, lever: str) -> Stack:
    """What a network makes of a stack with a lever."""
    about = pretrained.card(name)
    return pretrained.super_resolve_with(
        pretrained.network(name), stack, **{**pretrained.usage(about), **LEVERS[lever]}
    )


def measure(network: str, condition: Condition, slices: int) -> Iterator[dict[str, str]]:
    """One row for each scan and lever."""
    scale = pretrained.card(network).usage["scale"]
    for person, name, image in scans():
        made = pair(name, image, scale, condition, slices)
        plain, best = rival(made, scale)
        for lever in LEVERS:
            if matters(lever, condition):
                value = made.psnrs(result(network, made.given, lever))["psnr_head"]
                yield {
                    "network": network,
                    "weights": pretrained.card(network).checksum[:12],
                    "condition": condition.title,
                    "lever": lever,
                    "person": person,
                    "scan": name,
                    "slices": str(slices),
                    "zip": f"{plain:.3f}",
                    "over zip": f"{value - plain:.3f}",
                    "over the best": f"{value - best:.3f}",
                }


def page(rows: list[dict[str, str]]) -> str:
    """The table for readers: mean over persons (the least of all scans), over the best filter."""
    where = resources.provenance()
    lines = [
        "# Levers of use",
        "",
        "Made by `python -m tools.levers` from development scans alone: "
        f"{', '.join(dict.fromkeys(row['scan'] for row in rows))} (sub- with four digits: validation subjects of the "
        "cohort). PSNR inside the head, dB, over the best of ZIP, ZIP + Gaussian and ZIP + NLM, each at its best "
        "strength for that very scan (of NLM's every second is tried) and told the true noise: mean over persons "
        "(least of all scans).",
    ]
    for network in dict.fromkeys(row["network"] for row in rows):
        mine = [row for row in rows if row["network"] == network]
        conditions = list(dict.fromkeys(row["condition"] for row in mine))
        lines += [
            "",
            f"## {network}",
            "",
            "| lever | " + " | ".join(conditions) + " |",
            "|---|" + "---:|" * len(conditions),
        ]
        for lever in LEVERS:
            cells = [cell([r for r in mine if (r["condition"], r["lever"]) == (c, lever)]) for c in conditions]
            lines.append(f"| {lever} | " + " | ".join(cells) + " |")
        lines += ["", f"Weights {mine[0]['weights']}; {mine[0]['slices']} slices of each scan."]
    lines += ["", f"{where['system']} {where['machine']}, commit {where['commit']}, {where['date']}."]
    return "\n".join(lines) + "\n"


def cell(rows: list[dict[str, str]]) -> str:
    """Mean over persons (least), or nothing."""
    people = defaultdict(list)
    for row in rows:
        people[row["person"]].append(float(row["over the best"]))
    if not people:
        return ""
    mean = np.mean([np.mean(values) for values in people.values()])
    return f"{mean:+.2f} ({min(min(values) for values in people.values()):+.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", nargs="+", default=["srresnet-x2"])
    parser.add_argument("--condition", nargs="+", choices=[c.title for c in CONDITIONS], metavar="NAME")
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--fresh", action="store_true", help="measure again what the table holds")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "levers.csv")
    options = parser.parse_args()
    rows: list[dict[str, str]] = []
    if options.output.exists() and not options.fresh:
        with options.output.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    for network in options.network:
        weights = pretrained.card(network).checksum[:12]
        rows = [row for row in rows if row["network"] != network or row["weights"] == weights]
        known = {row["condition"] for row in rows if row["network"] == network}
        wanted = [c for c in CONDITIONS if c.title in (options.condition or [c.title]) and c.title not in known]
        for condition in runtime.progress(wanted, network, unit="condition"):
            rows += measure(network, condition, options.slices)
            write(rows, options.output)
    print(f"written to {options.output}")


def write(rows: list[dict[str, str]], table: Path) -> None:
    """The rows and their page; old files or new ones, never half of one."""
    order = [condition.title for condition in CONDITIONS]
    rows = sorted(rows, key=lambda row: (row["network"], order.index(row["condition"])))
    runtime.write_table(table, list(rows[0]), rows)
    runtime.write_text(table.with_suffix(".md"), page(rows))


if __name__ == "__main__":
    command.run(main)
