"""Measure a board and write its files, each whole or not at all."""

import math
from pathlib import Path

from medsr_course import resources, runtime
from medsr_course.leaderboard import boards, tables
from medsr_course.leaderboard.board import Board, Row
from medsr_course.leaderboard.scans import Request
from medsr_course.runtime import CourseError

ALL = Request()


def board(task: str) -> Board:
    """Returns the board of a task; a :class:`CourseError` where there is none."""
    known = boards.every()
    if task not in known:
        raise CourseError(f"--task {task!r} is unknown: choose one of {', '.join(known)}")
    return known[task]


def run(task: str, output: Path | None = None, request: Request = ALL) -> tuple[Board, list[Row], Path]:
    """Measure a task's board, then write its rows, its page and what else it has.

    Parameters
    ----------
    task : str
    output : path, optional
        Folder; by default ``results`` of the course for a whole board, ``out/leaderboard`` for a part of one.
    request : Request, optional
        What is measured; by default all.

    Raises
    ------
    CourseError
        Unknown task, method or data, no scans, a null run, a folder that cannot be written: before anything is
        measured.
    ValueError
        Rows that are not as :class:`Board` asks: before anything is written.
    """
    chosen = board(task)
    if runtime.is_null():
        raise CourseError("the leaderboard measures the shipped weights as they are: unset MEDSR_NULL")
    root = resources.checkout() or Path.cwd()
    folder = runtime.writable_folder(output or root / ("results" if request.whole else "out/leaderboard"), "--output")
    rows = chosen.measure(request)
    check(chosen, rows)
    where = resources.provenance()
    commit = f"commit {where['commit']}{' with changes' * where['changed']}; " if where["commit"] else ""
    note = "Measured by `medsr leaderboard" + ("`: " if task == boards.DEFAULT else f" --task {task}`: ")
    note += "{system} {machine}, {cores} cores, Python {python}; ".format(**where)
    note += f"{commit}{where['date']}. {chosen.about(request, rows)}"
    written = tables.rounded(rows)  # all files say what the rows' file says
    page = chosen.page(written, note)
    chosen.write_more(written, folder, note)
    tables.write(folder / f"{chosen.stem}.csv", written, chosen.columns(written), note)
    runtime.write_text(folder / f"{chosen.stem}.md", page)
    return chosen, rows, folder


def check(board: Board, rows: list[Row]) -> None:
    """Raise a ValueError unless rows are as :class:`Board` asks.

    That is: some rows, no column missing, metrics finite or None, no row twice, the reference among the methods.
    """
    wrong = f"board {board.task!r}"
    if not rows:
        raise ValueError(f"{wrong} measured nothing")
    seen = set()
    for row in rows:
        for column in (*board.labels, *board.metrics):
            if column not in row:
                raise ValueError(f"{wrong}: a row of {row.get('method')!r} has no {column!r}")
        for column in board.metrics:
            if row[column] is not None and not math.isfinite(row[column]):
                raise ValueError(f"{wrong}: {row['method']!r} has {column} = {row[column]}")
        place = (*board.place(row), row["method"])
        if place in seen:
            raise ValueError(f"{wrong}: {row['method']!r} is there twice for {place}")
        seen.add(place)
    if board.reference not in {row["method"] for row in rows}:
        raise ValueError(f"{wrong}: no row of the reference {board.reference!r}")
