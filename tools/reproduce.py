"""Shipped weights made again from nothing, beside what their cards say, to results/reproduction.csv and .md.

    python -m tools.reproduce [NAME …]

As ``make weights NAME=…`` does, but into a folder of its own: what is shipped stays. Recipes that start from another
weight take the one that is shipped. Rows of other networks stay.
"""

import argparse
import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medsr_course.networks import pretrained
from medsr_course.networks.training.weights import train_weight
from tools import command

NAME = "reproduction"
WITHIN = 0.1  # dB: a weight made again is as good as the shipped one


def again(name: str) -> list[dict[str, Any]]:
    """Trains one network anew; a row for every gain on its card."""
    shipped = pretrained.card(name)
    with TemporaryDirectory() as folder:
        made = train_weight(name, folder)
    about = {"steps": made.steps, "seconds": made.seconds, "precision": made.precision} | command.provenance()
    return [
        {"network": name, "data": data, "card": row["gain (dB)"], "again": made.metrics[data]["gain (dB)"]} | about
        for data, row in shipped.metrics.items()
        if "gain (dB)" in row and data in made.metrics
    ]


def page(rows: list[dict[str, Any]]) -> str:
    """The page: for each network how long it took, the largest difference, and every gain twice."""
    text = "# Weights made again\n\nMade by `python -m tools.reproduce`: shipped networks trained from nothing, beside "
    text += f"what their cards say. Asked is that no gain differs by more than {WITHIN} dB.\n"
    for name in dict.fromkeys(row["network"] for row in rows):
        mine = [row for row in rows if row["network"] == name]
        first = mine[0]
        most = max(abs(float(row["again"]) - float(row["card"])) for row in mine)
        text += (
            f"\n## {name}\n\n{first['steps']} steps in {first['seconds']} s ({first['precision']}; {first['machine']}, "
            f"commit {first['commit']}, {first['date']}). Largest difference of a gain: **{most:.2f} dB**.\n\n"
            "| measured on | card (dB) | again (dB) |\n|---|---:|---:|\n"
        )
        text += "".join(f"| {r['data']} | {float(r['card']):+.2f} | {float(r['again']):+.2f} |\n" for r in mine)
    return text


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", default=["srcnn-x2", "lstm-z4"])
    parser.add_argument("--output", type=Path, default=command.RESULTS)
    wanted = parser.parse_args()
    for name in wanted.name:
        path = wanted.output / f"{NAME}.csv"
        kept = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
        rows = [row for row in kept if row["network"] != name] + again(name)
        command.write(wanted.output, NAME, rows, page(rows))
        print(f"{name}: {path}")


if __name__ == "__main__":
    command.run(main)
