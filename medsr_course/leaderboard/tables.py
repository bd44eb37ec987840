"""Rows as CSV files, written and read."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from medsr_course import runtime
from medsr_course.leaderboard.board import COSTS, Board, Row

_DECIBELS = ("psnr", "gain", "over", "least", "mean_gain")  # what their columns begin with
_WHOLE = ("scale", "parameters")  # columns of whole numbers


def write(path: Path, rows: Iterable[Row], columns: Sequence[str], note: str) -> None:
    """Write the ``columns`` of rows, whole or not at all; ``note`` becomes a first line that starts with ``#``.

    Decibels are written to 0.001, other numbers to four digits.
    """
    with runtime.atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {note}\n")
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _shown(key, value) for key, value in row.items()} for row in rows)


def rounded(rows: Iterable[Row]) -> list[Row]:
    """Returns rows with the numbers that :func:`write` writes, so that what is made of both is the same."""
    return [{k: float(_shown(k, v)) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def _shown(key: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return f"{value:.3f}" if key.startswith(_DECIBELS) else f"{value:.4g}"


def read(path: Path, board: Board) -> tuple[list[Row], str]:
    """Returns the rows that :func:`write` wrote of a board, and the note.

    Metrics, costs and whole numbers are numbers, None where nothing was measured; all else is text.
    """
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    rows: list[Row] = list(csv.DictReader(lines))
    for row in rows:
        row |= {key: float(row[key]) if row[key] else None for key in (*board.metrics, *COSTS)}
        row |= {key: int(row[key]) for key in _WHOLE if row.get(key)}
    return rows, first.removeprefix("# ")
