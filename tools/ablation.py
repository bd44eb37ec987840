"""Which lever makes a network trained on synthetic images work on real ones? Trains one small network per row.

    python -m tools.ablation [--steps 1500] [--only ROW …]

Every row changes one thing of the same recipe (ESPCN ×2, without added noise) and is measured on *signed* input, of
cohort subjects it never saw and of the development scans; results/ablation.csv keeps the rows, so that an interrupted
run goes on.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.networks import training
from medsr_course.networks.training import sources, superresolution
from tools import command

ROOT = Path(__file__).resolve().parents[1]
LEVERS = dict(superresolution.HARD, noisy=0.0)
COHORT, MIXED = {"cohort": 1.0}, {"cohort": 0.85, "dead-leaves": 0.15}
ROWS: dict[str, tuple[dict[str, float], dict[str, Any]]] = {  # title → (data, degradation)
    "cohort, no lever": (COHORT, {"reference_noise": (1e-6, 2e-6), "shrink": 1.0, "gamma": 1.0, "inverted": 0.0}),
    "cohort, all levers": (COHORT, LEVERS),
    "… without noise of the reference": (COHORT, {**LEVERS, "reference_noise": (1e-6, 2e-6)}),
    "… without shrinking": (COHORT, {**LEVERS, "shrink": 1.0}),
    "… without k-space windows": (COHORT, {**LEVERS, "window": 0.0}),
    "… without reslicing": (COHORT, {**LEVERS, "resliced": 0.0}),
    "… without 8 bits": (COHORT, {**LEVERS, "bits": 0.0}),
    "… without change of contrast": (COHORT, {**LEVERS, "gamma": 1.0, "inverted": 0.0}),
    "cohort and dead leaves, all levers": (MIXED, LEVERS),
    "ds002748, all levers": ({"ds002748": 1.0}, LEVERS),
    "all three, all levers": (sources.SHARE, LEVERS),
}
GROUPS = {
    "cohort": lambda title: title.startswith("cohort"),
    "cohort T1w": lambda title: title == "cohort test, T1w",
    "ds002748": lambda title: title.startswith("ds002748"),
    "stroke-brain": lambda title: title.startswith("real validation"),
}


def measure(title: str, steps: int) -> dict[str, float]:
    """Train the network of one row; returns its gain over ZIP in dB, mean over the scans of each group."""
    share, degradation = ROWS[title]
    recipe = superresolution.RECIPES["espcn-x2"]
    settings = {**recipe.settings, "noise_map": False}
    options = {"degradation": degradation, "data_consistency": "hard"}
    recipe = replace(recipe, settings=settings, options=options)
    model, _ = training.train("espcn-x2", recipe=recipe, share=share, steps=steps)
    found = {}
    for group, images in sources.measured_on().items():
        if not group.startswith("real test"):
            found[group] = [r["gain"] for r in superresolution.gains(model.predict_on_batch, images, 2)]
    means = {k: np.mean(sum((v for g, v in found.items() if holds(g)), [])) for k, holds in GROUPS.items()}
    return {k: round(float(v), 2) for k, v in means.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--only", nargs="*", choices=list(ROWS), metavar="ROW")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "ablation.csv")
    arguments = parser.parse_args()
    done = {}
    if arguments.output.exists():
        with open(arguments.output, encoding="utf-8", newline="") as file:
            done = {row["row"]: row for row in csv.DictReader(file) if row["steps"] == str(arguments.steps)}
    for title in arguments.only or ROWS:
        if title in done:
            continue
        print(title, flush=True)
        where = resources.provenance()
        done[title] = {
            "row": title,
            **measure(title, arguments.steps),
            "steps": arguments.steps,
            "machine": f"{where['machine']}, {where['cores']} cores",
            "commit": where["commit"],
            "date": where["date"],
        }
        print("  ", {k: done[title][k] for k in GROUPS}, flush=True)
        runtime.write_table(arguments.output, list(done[title]), (done[row] for row in ROWS if row in done))


if __name__ == "__main__":
    command.run(main)
