"""What was measured once and is kept in ``results/``, for a machine that has not the scans."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources
from medsr_course.leaderboard import engine, tables
from medsr_course.leaderboard.board import Row
from medsr_course.runtime import CourseError
from medsr_course.types import Array

Gains = dict[tuple[str, str], dict[str, float]]


def gains(method: str, scale: int, split: str = "", data: str = "", setting: str = "stored") -> tuple[Gains, str]:
    """Returns how far a method was ahead of ZIP on each real scan, and where and when that was measured.

    Parameters
    ----------
    method : str
        A row's ``method``, such as "srresnet-x2".
    scale : int
    split, data : str, optional
        "validation" or "test"; "ds002748" or "real-scans". By default all real scans.
    setting : str
        Kind of input, see :func:`pairs.setting`.

    Returns
    -------
    gains : dict
        (subject, contrast) → ``psnr`` and ``psnr_head`` of the method minus those of ZIP, dB; ``better``, the share of
        slices nearer to the truth than with ZIP, %.
    note : str
        Machine, commit and date of the measurement.

    Raises
    ------
    CourseError
        Without ``results/``, as where only the wheel is installed.

    >>> found, note = gains("espcn-x4", 4, data="ds002748", setting="signed")
    >>> sorted(contrast for _, contrast in found)
    ['T1w', 'T1w']
    """
    rows, note = tables.read(_file("leaderboard"), engine.board("super-resolution"))
    found: Gains = {}
    zips: Gains = {}
    for row in rows:
        wanted = row["scale"] == scale and row["setting"] == setting and row["data"] != "cohort"
        wanted = wanted and split in ("", row["split"]) and data in ("", row["data"])
        if wanted and row["method"] in ("zip", method):
            into = zips if row["method"] == "zip" else found
            into[row["subject"], row["contrast"]] = row
    differences = {
        k: {key: row[key] - zips[k][key] for key in ("psnr", "psnr_head")} | {"better": row["better"]}
        for k, row in found.items()
    }
    return differences, note.split(". ")[0]


def of_subject(task: str, subject: str) -> tuple[list[Row], str]:
    """Returns the rows of a board, ``results/leaderboard-TASK.csv``, of one subject, and where and when.

    ``CourseError`` without ``results/``.

    >>> of_subject("segmentation", "stroke-brain")[0][0]["title"]
    'U-Net on LR, pixels as blocks'
    """
    rows, note = tables.read(_file(f"leaderboard-{task}"), engine.board(task))
    return [row for row in rows if row["subject"] == subject], note.split(". ")[0]


def table(name: str) -> tuple[list[dict[str, str]], str]:
    """Returns the rows of ``results/NAME.csv``, all values as text, and the last line of ``NAME.md``: where and when.

    ``CourseError`` without ``results/``, or where a command of ``tools/`` has not made the table yet.
    """
    path = _file(name)
    return _read(path), path.with_suffix(".md").read_text(encoding="utf-8").strip().splitlines()[-1]


def rows(name: str, part: str) -> tuple[list[dict[str, str]], str]:
    """Returns a part of a table that a command of ``tools`` keeps in ``results/``, and where and when it was measured.

    Parameters
    ----------
    name, part : str
        Of the table, ``results/NAME.csv``, and what its column ``part`` says; its other columns are those of
        ``results/bench.csv``: ``what``, ``value``, ``unit``, ``machine``, ``commit``, ``date``.

    Raises
    ------
    CourseError
        Without ``results/``, or without such a part.

    >>> found, note = rows("bench", "start-up")
    >>> found[0]["what"], found[0]["unit"]
    ('import NumPy', 's')
    """
    found = [row for row in _read(_file(name)) if row["part"] == part]
    if not found:
        raise CourseError(f"results/{name}.csv has no part {part!r}: make it again")
    where = dict.fromkeys("{machine}, commit {commit}, {date}".format(**row) for row in found)
    return found, "; ".join(where)


def by_seed(rows: Iterable[Mapping[str, Any]], column: str = "gain") -> Array:
    """Returns the numbers of one network, trained with several seeds: ``(seeds, people)``, in the order of the rows.

    >>> by_seed([{"seed": seed, "gain": 0.1 * (k + 1)} for seed in (0, 1) for k in range(3)]).round(1)
    array([[0.1, 0.2, 0.3],
           [0.1, 0.2, 0.3]])
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(str(row["seed"]), []).append(float(row[column]))
    return np.array(list(found.values()), ndmin=2)


def _file(name: str) -> Path:
    """Where a stored table lies; a clear error where it does not."""
    root = resources.checkout()
    path = root / "results" / f"{name}.csv" if root else None
    if path is None or not path.exists():
        raise CourseError(f"results/{name}.csv is not here: use a checkout of the course, or its command of tools/")
    return path


def _read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
