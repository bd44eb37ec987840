"""What a board is: the methods of a task on the same data, compared with a reference."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from medsr_course.leaderboard import markdown, statistics
from medsr_course.leaderboard.methods import BEST
from medsr_course.leaderboard.scans import Request, Scan

Row = dict[str, Any]
COSTS = ("parameters", "seconds_per_megavoxel")  # columns that a row may have beside its metrics


@dataclass(frozen=True)
class Board:
    """The methods of a task on the same data.

    A subclass may change what is a class attribute or a method here; super-resolution does.

    Attributes
    ----------
    task : str
        Name on the command line and in file names, ``"denoising"``.
    title, intro : str
        Heading on the site, and Markdown below it: what is measured, on what, and what a number means.
    metrics : dict of str to (str, str, str)
        Column of a row → heading with its unit, format, and which way is better: ``("PSNR (dB)", ".2f", "up")``. The
        methods are compared by the first. A ValueError if one is something else.
    reference : str
        Name of the method that the others are compared with.
    measure : callable
        ``measure(request)`` returns the rows, a list of dicts: :attr:`labels`, a number (or None: not measured) for
        every metric, and, if they are known, :data:`COSTS`. ``data`` is the group of subjects (``"cohort, test"``),
        ``setting`` the condition (``"R = 4"``; may be empty). Where a subject has several scans, rows also have
        ``contrast`` (or ``scan``): a difference is taken scan by scan. Any other column is kept in the CSV file.
    """

    task: str
    title: str
    intro: str
    metrics: dict[str, tuple[str, str, str]]
    reference: str
    measure: Callable[[Request], list[Row]]

    labels: ClassVar[tuple[str, ...]] = ("method", "title", "data", "setting", "subject")  # columns that every row has
    conditions: ClassVar[tuple[str, ...]] = ("setting",)  # columns that, with the group, say what is in one table
    files: ClassVar[tuple[str, ...]] = (".csv", ".md")  # what is written, by the ends of the names
    counts_reference: ClassVar[bool] = False  # whether the reference, too, has differences: to itself
    every_rival: ClassVar[bool] = True  # whether differences need all methods of :attr:`over` measured on a scan

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError(f"board {self.task!r} has no metrics")
        for column, about in self.metrics.items():
            if len(about) != 3 or about[2] not in markdown.ARROWS:
                raise ValueError(f'metric {column!r} must be (heading, format, "up" or "down"), not {about!r}')

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return f"leaderboard-{self.task}"

    @property
    def over(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """What differences are counted from: column → name, methods (the best of them on each scan counts)."""
        return {"difference": (self.reference, (self.reference,))}

    @property
    def compared(self) -> dict[str, str]:
        """Metrics of which differences are taken → what is appended to the columns of :attr:`over`."""
        return {next(iter(self.metrics)): ""}

    def group(self, row: Row) -> str:
        """Returns the group of subjects that a row belongs to."""
        return row["data"]

    def where(self, row: Row) -> tuple:
        """Returns the group and conditions of a row: what is in one table."""
        return self.group(row), *(row[column] for column in self.conditions)

    def place(self, row: Row) -> tuple:
        """Returns what two rows must share for their methods to be compared."""
        return *self.where(row), *(row.get(key, "") for key in ("data", "subject", "contrast", "scan"))

    def columns(self, rows: Iterable[Row]) -> list[str]:
        """Returns the columns of the CSV file of all rows."""
        every = dict.fromkeys(key for row in rows for key in row)
        other = [key for key in every if key not in (*self.labels, *self.metrics, *COSTS)]
        return [*self.labels, *other, *self.metrics, *(key for key in COSTS if key in every)]

    def about(self, request: Request, rows: Iterable[Row]) -> str:
        """Returns a sentence on who is measured, from what identifies the scans in the rows."""
        people: dict[str, dict[str, None]] = {}
        for row in rows:
            people.setdefault(self.group(row), {})[row["subject"]] = None
        return "; ".join(f"{data}: {', '.join(own)}" for data, own in people.items()) + "."

    def tables(self, rows: list[Row]) -> list[markdown.Table]:
        """Returns the tables that the command prints."""
        return markdown.tables(self, statistics.means(self, rows))

    def page(self, rows: list[Row], note: str) -> str:
        """Returns the Markdown page that the site shows."""
        return markdown.page(self, statistics.means(self, rows), note)

    def write_more(self, rows: list[Row], folder: Path, note: str) -> None:
        """Writes the files of :attr:`files` beyond the rows and the page; none here."""


@dataclass(frozen=True)
class Entry:
    """One method of a board, ready to run; ``more`` are further columns of its rows."""

    name: str
    title: str
    apply: Callable[..., Any]
    parameters: int = 0
    more: Row = field(default_factory=dict)

    def best(self) -> "Entry":
        """Returns the same network used with quality "best"; ``apply`` must take ``quality``."""
        apply = partial(self.apply, quality="best")
        return replace(self, name=self.name + BEST, title=f"{self.title}, best", apply=apply)

    def row(self, scan: Scan, setting: str, given: Any, scores: Callable[[Any], Row], voxels: int) -> Row:
        """Returns the row of this method on a scan: ``scores`` of what it makes of ``given``, and the seconds."""
        result, seconds = timed(self.apply, given)
        about: Row = {"method": self.name, "title": self.title, "data": scan.group, "setting": setting}
        about |= {"subject": scan.subject, "contrast": scan.contrast, **scores(result), "parameters": self.parameters}
        return about | self.more | {"seconds_per_megavoxel": seconds / (voxels / 1e6)}


def timed(call: Callable, *given: Any) -> tuple[Any, float]:
    """Returns the result of a call and the seconds that it took."""
    began = time.perf_counter()
    return call(*given), time.perf_counter() - began
