"""Rows as CSV files, written and read."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from medsr_course import runtime
from medsr_course.leaderboard.board import COSTS, Board, Row

_DECIBELS = ("psnr", "gain", "over", "least", "mean_gain")  # what their columns begin with
_WHOLE = ("scale", "noise", "parameters")  # columns of whole numbers


def write(path: Path, rows: Iterable[Row], columns: Sequence[str], note: str) -> None:
    """Write a table whole or not at all.

    Parameters
    ----------
    path : Path
    rows : iterable of dict
        Decibels are written to 0.001, other numbers to four digits.
    columns : sequence of str
        Columns of the table; what else a row has is left out.
    note : str
        Becomes a first line that starts with ``#``.
    """
    with runtime.atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {note}\n")
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _shown(key, value) for key, value in row.items()} for row in rows)


def _shown(key: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return f"{value:.3f}" if key.startswith(_DECIBELS) else f"{value:.4g}"


def read(path: Path, board: Board) -> tuple[list[Row], str]:
    """Read the rows of a board.

    Parameters
    ----------
    path : Path
        A file that :func:`write` wrote.
    board : Board

    Returns
    -------
    rows : list of dict
        Metrics, costs and whole numbers as numbers (None where nothing was measured), all else as text.
    note : str
    """
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    rows: list[Row] = list(csv.DictReader(lines))
    for row in rows:
        for key in (*board.metrics, *COSTS, *board.conditions):
            if key in _WHOLE or key not in board.conditions:
                row[key] = (int if key in _WHOLE else float)(row[key]) if row.get(key) else None
    return rows, first.removeprefix("# ")
