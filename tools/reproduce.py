"""Shipped weights made again from nothing, beside what their cards say, to results/reproduction.csv and .md.

    python -m tools.reproduce [NAME …]

As ``make weights NAME=…`` does, but into a folder of its own: what is shipped stays. Recipes that start from another
weight take the one that is shipped. Rows of other networks stay. Without a name nothing is trained: the page is made
anew, beside what the cards say now.
"""

import argparse
import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medsr_course import runtime
from medsr_course.networks import pretrained
from medsr_course.networks.training.weights import train_weight
from tools import command

NAME = "reproduction"
WITHIN = 0.1  # dB: a weight made again is as good as the shipped one


def again(name: str) -> list[dict[str, Any]]:
    """Trains one network anew; a row for every gain of it that is on the shipped card, too."""
    with TemporaryDirectory() as folder:
        made = train_weight(name, folder)
    about = {"steps": made.steps, "seconds": made.seconds, "precision": made.precision} | command.provenance()
    return [
        {"network": name, "data": data, "again": made.metrics[data]["gain (dB)"]} | about
        for data, row in pretrained.card(name).metrics.items()
        if "gain (dB)" in row and data in made.metrics
    ]


def shipped(row: dict[str, Any]) -> float:
    """The gain of a row's network on the same data by its card, in dB."""
    return float(pretrained.card(row["network"]).metrics[row["data"]]["gain (dB)"])


def page(rows: list[dict[str, Any]]) -> str:
    """The page: for each network how long it took, the largest difference, and every gain twice."""
    text = "# Weights made again\n\nMade by `python -m tools.reproduce`: shipped networks trained from nothing, beside "
    text += f"what their cards say. Asked is that no gain differs by more than {WITHIN} dB.\n"
    for name in dict.fromkeys(row["network"] for row in rows):
        mine = [row for row in rows if row["network"] == name]
        first = mine[0]
        most = max(abs(float(row["again"]) - shipped(row)) for row in mine)
        text += (
            f"\n## {name}\n\n{first['steps']} steps in {first['seconds']} s ({first['precision']}; {first['machine']}, "
            f"commit {first['commit']}, {first['date']}). Largest difference of a gain: **{most:.2f} dB**.\n\n"
            "| measured on | card (dB) | again (dB) |\n|---|---:|---:|\n"
        )
        text += "".join(f"| {r['data']} | {shipped(r):+.2f} | {float(r['again']):+.2f} |\n" for r in mine)
    return text


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*")
    parser.add_argument("--output", type=Path, default=command.RESULTS)
    wanted = parser.parse_args()
    table = wanted.output / f"{NAME}.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines())) if table.exists() else []
    for name in wanted.name:
        rows = [row for row in rows if row["network"] != name] + again(name)
        command.write(wanted.output, NAME, rows, page(rows))
    runtime.write_text(table.with_suffix(".md"), page(rows))


if __name__ == "__main__":
    command.run(main)
