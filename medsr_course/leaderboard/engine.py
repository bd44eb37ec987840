"""Measure a board and write its files, each whole or not at all."""

import math
from pathlib import Path

from medsr_course import resources, runtime
from medsr_course.leaderboard import boards, tables
from medsr_course.leaderboard.board import Board, Row
from medsr_course.leaderboard.scans import Request
from medsr_course.runtime import CourseError


def board(task: str) -> Board:
    """Returns the board of a task.

    Raises
    ------
    CourseError
        If there is none.
    """
    known = boards.every()
    if task not in known:
        raise CourseError(f"--task {task!r} is unknown: choose one of {', '.join(known)}")
    return known[task]


def run(task: str, output: Path | str | None = None, request: Request | None = None) -> tuple[Board, list[Row], Path]:
    """Measure a task's board, then write its rows, its page and what else it has.

    Parameters
    ----------
    task : str
        One of :func:`boards.every`.
    output : path, optional
        Folder; by default ``results`` of the course for a whole board, ``out/leaderboard`` for a part of one.
    request : Request, optional
        What is measured; by default all.

    Returns
    -------
    board : Board
    rows : list of dict
    folder : Path

    Raises
    ------
    CourseError
        Unknown task, method or data, no scans, a null run, a folder that cannot be written: before anything is
        measured.
    ValueError
        Rows that are not as :class:`Board` asks: before anything is written.
    """
    chosen, request = board(task), request or Request()
    if runtime.is_null():
        raise CourseError("the leaderboard measures the shipped weights as they are: unset MEDSR_NULL")
    root = resources.checkout() or Path.cwd()
    folder = _writable(Path(output or root / ("results" if request.whole else "out/leaderboard")))
    rows = chosen.measure(request)
    check(chosen, rows)
    command = "medsr leaderboard" + ("" if task == boards.DEFAULT else f" --task {task}")
    note = f"Measured by `{command}`: {provenance()}. {chosen.about(request, rows)}"
    page = chosen.page(rows, note)
    chosen.write_more(rows, folder, note)
    tables.write(folder / f"{chosen.stem}.csv", rows, chosen.columns(rows), note)
    _write(folder / f"{chosen.stem}.md", page)
    return chosen, rows, folder


def check(board: Board, rows: list[Row]) -> None:
    """See that rows are as :class:`Board` asks.

    Raises
    ------
    ValueError
        No rows, a missing column, a metric that is no finite number, the same row twice, an unknown reference.
    """
    if not rows:
        raise ValueError(f"board {board.task!r} measured nothing")
    seen = set()
    for row in rows:
        for column in (*board.labels, *board.metrics):
            if column not in row:
                raise ValueError(f"board {board.task!r}: a row of {row.get('method')!r} has no {column!r}")
        for column in board.metrics:
            if row[column] is not None and not math.isfinite(row[column]):
                raise ValueError(f"board {board.task!r}: {row['method']!r} has {column} = {row[column]}")
        place = (*board.place(row), row["method"])
        if place in seen:
            raise ValueError(f"board {board.task!r}: {row['method']!r} is there twice for {place}")
        seen.add(place)
    if board.reference not in {row["method"] for row in rows}:
        raise ValueError(f"board {board.task!r}: no row of the reference {board.reference!r}")


def provenance() -> str:
    """Returns machine, commit and day in a line."""
    where = resources.provenance()
    commit = f"commit {where['commit']}{' with changes' * where['changed']}; " if where["commit"] else ""
    machine = "{system} {machine}, {cores} cores, Python {python}".format(**where)
    return f"{machine}; {commit}{where['date']}"


def _writable(folder: Path) -> Path:
    """Make a folder that files can be written into."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "leaderboard.tmp", "")
        (folder / "leaderboard.tmp").unlink()
    except OSError as error:
        raise CourseError(f"cannot write into {folder} ({error.strerror}): choose another --output") from None
    return folder


def _write(path: Path, text: str) -> None:
    with runtime.atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
