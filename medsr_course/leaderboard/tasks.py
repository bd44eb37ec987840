"""Boards of tasks other than super-resolution: rows of a task's methods, and their tables in ``results/``.

A task has its board in ``medsr_course/leaderboard/STEM.py``, a :class:`Board` named ``BOARD``; ``medsr leaderboard
--task STEM`` calls :func:`run` with that stem. Nothing has to be entered anywhere: :func:`names` lists the modules of
this folder.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np

from medsr_course import resources, runtime
from medsr_course.leaderboard import report, statistics
from medsr_course.runtime import CourseError

SUPER_RESOLUTION = "super-resolution"  # what `medsr leaderboard` measures when no task is named
LABELS = ("method", "title", "data", "setting", "subject")  # what every row has beside its metrics
COSTS = {"parameters": ("parameters", ",.0f"), "seconds_per_megavoxel": ("s per Mvoxel", ".3f")}  # what a row may have
_NO_BOARDS = ("entries", "measuring", "methods", "report", "statistics", "tasks")
_ARROWS = {"up": "↑", "down": "↓"}


@dataclass(frozen=True)
class Board:
    """Methods of a task on the same data.

    Attributes
    ----------
    task : str
        The stem of its module and files, ``"denoising"``.
    title : str
        Heading on the site, ``"Denoising"``.
    intro : str
        A paragraph or more of Markdown: what is measured, on what, and what a number means.
    metrics : dict of str to (str, str, str)
        Column of a row → heading with its unit, format, and which way is better: ``("PSNR (dB)", ".2f", "up")``. The
        methods are compared by the first.
    reference : str
        Name of the method that the others are compared with.
    measure : callable
        ``measure()`` gives the rows, a list of dicts: :data:`LABELS`, a number (or None: not measured) for every
        metric, and, if they are known, :data:`COSTS`. ``data`` says which subjects these are (``"cohort, test"``,
        ``"real MR, test"``), ``setting`` under what condition (``"6 % noise"``, ``"R = 4"``; may be empty). Where a
        subject has several scans, rows also have ``contrast`` (or ``scan``): a difference is taken scan by scan. Any
        other column is kept in the CSV.

    Raises
    ------
    ValueError
        If a metric is not (heading, format, "up" or "down").
    """

    task: str
    title: str
    intro: str
    metrics: dict
    reference: str
    measure: Callable

    def __post_init__(self):
        if not self.metrics:
            raise ValueError(f"board {self.task!r} has no metrics")
        for column, about in self.metrics.items():
            if len(about) != 3 or about[2] not in _ARROWS:
                raise ValueError(f'metric {column!r} must be (heading, format, "up" or "down"), not {about!r}')


def names():
    """Tasks that have a board, super-resolution not among them.

    Returns
    -------
    list of str
    """
    found = {module.name for module in iter_modules([str(Path(__file__).parent)])}
    return sorted(found - set(_NO_BOARDS))


def board(stem):
    """The board of a task.

    Raises
    ------
    CourseError
        If there is none.
    """
    if stem not in names():
        raise CourseError(f"--task {stem!r} is unknown: choose one of {', '.join([SUPER_RESOLUTION, *names()])}")
    return import_module(f"medsr_course.leaderboard.{stem}").BOARD


def run(stem, output=None):
    """Measure a task's board, and write ``leaderboard-STEM.csv`` (all rows) and ``leaderboard-STEM.md`` (the tables).

    Nothing is written before all is measured.

    Parameters
    ----------
    stem : str
        One of :func:`names`.
    output : path, optional
        Folder; by default ``results`` of the course.

    Returns
    -------
    board : Board
    rows : list of dict
    folder : Path

    Raises
    ------
    CourseError
        Unknown task, a null run, a folder that cannot be written: before anything is measured.
    """
    chosen = board(stem)
    if runtime.is_null():
        raise CourseError("the leaderboard measures the shipped weights as they are: unset MEDSR_NULL")
    folder = report.writable(output or (resources.checkout() or Path.cwd()) / "results")
    rows = chosen.measure()
    check(chosen, rows)
    note = f"Measured by `medsr leaderboard --task {stem}`: {report.provenance()}. {_who(rows)}"
    page = text(chosen, rows, note)
    report.write_rows(folder / f"leaderboard-{stem}.csv", rows, _columns(chosen, rows), note)
    report.write_text(folder / f"leaderboard-{stem}.md", page)
    return chosen, rows, folder


def check(board, rows):
    """See that rows are what :class:`Board` asks for.

    Raises
    ------
    ValueError
        No rows, a missing column, a metric that is no finite number, the same row twice, an unknown reference.
    """
    if not rows:
        raise ValueError(f"board {board.task!r} measured nothing")
    seen = set()
    for row in rows:
        for column in (*LABELS, *board.metrics):
            if column not in row:
                raise ValueError(f"board {board.task!r}: a row of {row.get('method')!r} has no {column!r}")
        for column in board.metrics:
            if row[column] is not None and not math.isfinite(row[column]):
                raise ValueError(f"board {board.task!r}: {row['method']!r} has {column} = {row[column]}")
        if (*_place(row), row["method"]) in seen:
            raise ValueError(f"board {board.task!r}: {row['method']!r} is there twice for {_place(row)}")
        seen.add((*_place(row), row["method"]))
    if board.reference not in {row["method"] for row in rows}:
        raise ValueError(f"board {board.task!r}: no row of the reference {board.reference!r}")


def _place(row):
    """What two methods must share to be compared."""
    return tuple(row.get(key, "") for key in ("data", "setting", "subject", "contrast", "scan"))


def _columns(board, rows):
    every = dict.fromkeys(key for row in rows for key in row)
    other = [key for key in every if key not in (*LABELS, *board.metrics, *COSTS)]
    return [*LABELS, *other, *board.metrics, *(key for key in COSTS if key in every)]


def _who(rows):
    """Which subjects, by data."""
    people = {}
    for row in rows:
        people.setdefault(row["data"], {})[row["subject"]] = None
    return "; ".join(f"{data}: {', '.join(own)}" for data, own in people.items()) + "."


def means(board, rows):
    """Means over subjects, a subject's scans averaged first, and the difference to the reference.

    Parameters
    ----------
    board : Board
    rows : list of dict

    Returns
    -------
    dict
        (data, setting) → list of dict, one per method: ``method, title, subjects``, a mean (or None) for every metric,
        ``difference``: of the first metric to the reference's, paired scan by scan, as ``(mean, low, high)``, the 95 %
        bootstrap interval over subjects (None for low and high with fewer than three; None for the reference itself
        and where it was not measured), and :data:`COSTS` (None if unknown; the median of the seconds).
    """
    first = next(iter(board.metrics))
    base = {_place(row): row[first] for row in rows if row["method"] == board.reference}
    found = {}
    for row in rows:
        where = found.setdefault((row["data"], row["setting"]), {})
        where.setdefault(row["method"], []).append(row)
    result = {}
    for where, methods in found.items():
        for name, own in methods.items():
            line = {"method": name, "title": own[0]["title"], "subjects": len({row["subject"] for row in own})}
            for column in board.metrics:
                values = _by_subject((row["subject"], row[column]) for row in own)
                line[column] = float(np.mean(values)) if values else None
            pairs = [(row["subject"], row[first], base.get(_place(row))) for row in own if name != board.reference]
            kept = [(who, a - b) for who, a, b in pairs if a is not None and b is not None]
            line["difference"] = statistics.interval(_by_subject(kept))
            for key in COSTS:
                values = [row[key] for row in own if row.get(key) not in (None, "")]
                line[key] = np.median(values).item() if values else None
            result.setdefault(where, []).append(line)
    return result


def _by_subject(pairs):
    """Mean of each subject's values, None left out."""
    people = {}
    for subject, value in pairs:
        if value is not None:
            people.setdefault(subject, []).append(value)
    return [float(np.mean(values)) for values in people.values()]


def tables(board, rows):
    """The board as tables of text, one per data and setting.

    Returns
    -------
    list of (str, list of str, list of list of str)
        Heading, columns, cells.
    """
    heading, form, _ = next(iter(board.metrics.values()))
    titles = {row["method"]: row["title"] for row in rows}
    unit = heading[heading.find("(") :] if "(" in heading else ""
    against = f"{heading.removesuffix(unit).strip()} over {titles[board.reference]} {unit}".strip()
    made = []
    for (data, setting), lines in means(board, rows).items():
        costs = [key for key in COSTS if any(line[key] is not None for line in lines)]
        columns = ["method", *(f"{about[0]} {_ARROWS[about[2]]}" for about in board.metrics.values()), against]
        columns += [COSTS[key][0] for key in costs]
        cells = []
        for line in lines:
            row = [line["title"]]
            row += ["–" if line[c] is None else f"{line[c]:{about[1]}}" for c, about in board.metrics.items()]
            row.append(report.shown(line["difference"], form))
            row += [
                "–" if line[k] is None else f"{line[k]:,.0f}" if k == "parameters" else f"{line[k]:.3f}" for k in costs
            ]
            cells.append(row)
        people = max(line["subjects"] for line in lines)
        where = f"{data}: {setting}" if setting else data
        made.append((f"{where} ({people} subject{'s' * (people > 1)})", columns, cells))
    return made


def text(board, rows, note):
    """The board as Markdown."""
    lines = [f"# {board.title}", "", board.intro.strip(), "", note, ""]
    lines += ["↑: more is better, ↓: less is better. Means over subjects; in brackets the 95 % bootstrap interval over"]
    lines += ["subjects of the paired difference, where there are three or more."]
    for heading, columns, cells in tables(board, rows):
        lines += ["", f"## {heading}", "", *report.table(columns, cells)]
    return "\n".join(lines) + "\n"
