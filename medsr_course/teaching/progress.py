"""Which exercises a student has solved: a small file that ``exercises.check`` writes, and marks from many such files.

The file holds no name and no answer: exercise → how often it was tried and on which day it was first right. A file can
be edited by whoever has it, so marks made of such files are a help for teachers and no examination.
"""

import datetime
import json
import os
import stat
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsr_course import runtime
from medsr_course.runtime import CourseError

FORMAT = "medsr-progress 1"
VARIABLE = "MEDSR_RECORD"  # another file than the usual one, or 0 to record nothing
MOST_BYTES = 1 << 20
MOST_TRIES = 1_000_000


@dataclass(frozen=True)
class Record:
    """One exercise: how often it was tried, and the first day on which it was right (ISO 8601), "" where it was not."""

    tries: int
    right: str = ""


@dataclass(frozen=True)
class Marks:
    """A student's file: its name without ``.json``, exercise → record, and ``trouble`` where it could not be read."""

    student: str
    records: Mapping[str, Record]
    trouble: str = ""

    @property
    def solved(self) -> set[str]:
        """Names of the exercises that were right."""
        return {name for name, record in self.records.items() if record.right}


def path() -> Path | None:
    """The file of this user, which need not exist; None where nothing is to be recorded."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "0":
        return None
    if chosen:
        return runtime.folder_setting(VARIABLE)
    from platformdirs import user_data_path

    try:
        found = user_data_path("medsr-course", appauthor=False) / "progress.json"
    except RuntimeError:  # a user without a home folder; older versions of platformdirs leave the "~" in it
        return None
    return found if found.is_absolute() else None


def record(name: str, right: bool) -> None:
    """Write down that an exercise was tried, and whether the answer was right.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    file = path()
    if file is None:
        return
    with runtime.locked(file.with_suffix(".lock")):
        known = dict(read(file).records) if file.exists() else {}
        before = known.get(name, Record(0))
        day = before.right or (str(datetime.date.today()) if right else "")
        known[name] = Record(min(before.tries + 1, MOST_TRIES), day)
        write(known, file)


def write(records: Mapping[str, Record], file: Path) -> None:
    """Write a progress file, whole or not at all."""
    entries = {name: {"tries": one.tries, "right": one.right} for name, one in sorted(records.items())}
    runtime.write_text(file, json.dumps({"format": FORMAT, "exercises": entries}, indent=1) + "\n")


def read(file: Path) -> Marks:
    """Read a progress file; whatever is wrong with it is told in ``trouble``, and nothing of it is then taken.

    Links, devices and large files are not opened; numbers and days must be what they claim to be.
    """
    try:
        return Marks(file.stem, _records(_content(file)))
    except (OSError, ValueError, RecursionError, TypeError, KeyError) as error:
        return Marks(file.stem, {}, _plain(f"{type(error).__name__}: {error}")[:120])


def _content(file: Path) -> Any:
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as opened:
        about = os.fstat(opened.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no ordinary file")
        data = opened.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
    return json.loads(data.decode("utf-8"), parse_constant=_refuse)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number of tries")


def _records(content: Any) -> dict[str, Record]:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"it does not say that its format is {FORMAT}")
    entries = content["exercises"]
    if not isinstance(entries, dict):
        raise ValueError("its exercises are no table")
    found = {}
    for name, entry in entries.items():
        tries, right = entry["tries"], entry["right"]
        if type(tries) is not int or not 0 < tries <= MOST_TRIES:
            raise ValueError(f"{name}: tries must be a number from 1 to {MOST_TRIES}")
        if not isinstance(right, str) or (right and datetime.date.fromisoformat(right).isoformat() != right):
            raise ValueError(f"{name}: right must be a day or empty")
        found[name] = Record(tries, right)
    return found


# --- marks ----------------------------------------------------------------------------------------


def collect(folder: Path) -> list[Marks]:
    """Read all ``*.json`` of a folder, by the names of the files.

    Raises
    ------
    CourseError
        If there is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise CourseError(f"{folder} is no folder: give the one with the students' files")
    files = sorted(file for file in folder.iterdir() if file.suffix == ".json")
    if not files:
        raise CourseError(f"{folder} holds no .json file: students hand in the file that `medsr progress` names")
    return [read(file) for file in files]


def table(marks: Iterable[Marks], exercises: Iterable[str], output: Path) -> None:
    """Write marks as CSV: a row for each student, with the number solved, tries, and 1 or 0 for each exercise.

    Exercises that the course does not have are counted in a column of their own, and not as solved.
    """
    known = list(exercises)
    rows = []
    for one in marks:
        solved = {name: int(name in one.solved) for name in known}
        tries = sum(record.tries for record in one.records.values())
        unknown = len(set(one.records) - set(known))
        row = {"student": cell(one.student), "solved": sum(solved.values()), "tries": tries, "unknown": unknown}
        rows.append(row | solved | {"trouble": cell(one.trouble)})
    runtime.write_table(output, ["student", "solved", "tries", "unknown", *known, "trouble"], rows)


def cell(text: str) -> str:
    """Text for a cell of a spreadsheet: on one line, and never a formula.

    >>> cell("=HYPERLINK(1)"), cell("anna")
    ("'=HYPERLINK(1)", 'anna')
    """
    text = _plain(text)
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@") else text


def _plain(text: str) -> str:
    """Text without control characters, and without those that turn the writing round."""
    kept = ("�" if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") else sign for sign in text)
    return "".join(kept)
