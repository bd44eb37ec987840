"""The concept test: its sheet, its key, and the gain of a class.

    python -m classroom.concepts sheet [--key] [--output FILE]
    python -m classroom.concepts gain before.csv after.csv

A table has a line for each student: a code of their own, then twenty letters A to D ("-" for no answer). The unit is
the student: gains are computed for each, and the interval (Student's t) is over students.
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from classroom import pages
from classroom.lessons import FOLDER, Question, question
from medsr_course import runtime
from medsr_course.physics import metrics
from medsr_course.runtime import CourseError

FEW = 20  # students: below, an interval is a small-sample statement


@dataclass(frozen=True)
class Gain:
    """What a class gained.

    ``before`` and ``after`` are mean shares of right answers; ``gain`` is the mean over students of (after − before) /
    (1 − before), with its 95 % interval; ``of_means`` the same of the two means (Hake 1998, doi:10.1119/1.18809).
    ``left_out`` says who could not be counted, and why; ``items`` holds for each question both shares.
    """

    students: int
    before: float
    after: float
    gain: float
    low: float
    high: float
    of_means: float
    left_out: tuple[str, ...]
    items: tuple[tuple[float, float], ...]


def questions() -> list[Question]:
    """The twenty questions, in their order."""
    return [question(entry) for entry in _entries()]


def _entries() -> list[dict]:
    return yaml.safe_load((FOLDER / "concept-test.yml").read_text(encoding="utf-8"))


def letters() -> str:
    """The right answers, a letter for each question."""
    return "".join(pages.LETTERS[one.answers.index(one.right)] for one in questions())


def read(path: Path) -> dict[str, np.ndarray]:
    """Student → array of True for right answers.

    Raises
    ------
    CourseError
        If there is no such file, a line has not twenty answers, or a student stands there twice.
    """
    right = letters()
    found: dict[str, np.ndarray] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CourseError(f"{path} cannot be read ({error}): give a CSV file") from None
    for number, line in enumerate(lines, 1):
        student, answers = line[0].strip(), [answer.strip().upper() for answer in line[1:]]
        if number == 1 and student.lower() in ("student", "code"):
            continue
        if len(answers) != len(right) or not set(answers) <= {*"ABCD", "-", ""}:
            raise CourseError(f"{path}, line {number}: {len(right)} answers, each A, B, C, D or -, are wanted")
        if student in found:
            raise CourseError(f"{path}, line {number}: {student} stands there twice")
        found[student] = np.array([answer == letter for answer, letter in zip(answers, right, strict=True)])
    return found


def gain(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> Gain:
    """The gain of those who took the test twice.

    Raises
    ------
    CourseError
        If fewer than two students can be counted.
    """
    both = [student for student in before if student in after]
    able = [student for student in both if not before[student].all()]
    left_out = [f"{student}: only one test" for student in sorted(before.keys() ^ after.keys())]
    left_out += [f"{student}: all right before, so nothing to gain" for student in both if student not in able]
    if len(able) < 2:
        raise CourseError("fewer than two students took the test twice: a gain needs two")
    first, last = (np.array([table[student] for student in able]) for table in (before, after))
    start, end = first.mean(axis=1), last.mean(axis=1)
    mean, low, high = metrics.student_interval((end - start) / (1 - start))
    of_means = (end.mean() - start.mean()) / (1 - start.mean())
    items = tuple(zip(first.mean(axis=0).tolist(), last.mean(axis=0).tolist(), strict=True))
    return Gain(len(able), start.mean(), end.mean(), mean, low, high, of_means, tuple(left_out), items)


def told(found: Gain) -> str:
    """The gain in words, and the questions that gained least."""
    few = f" (a small sample: {found.students} students)" if found.students < FEW else ""
    lines = [
        f"{found.students} students: {100 * found.before:.0f} % right before, {100 * found.after:.0f} % after.",
        f"Normalised gain, mean over students: {found.gain:.2f} ({found.low:.2f} to {found.high:.2f}, 95 %){few}.",
        f"Gain of the two means: {found.of_means:.2f}.",
    ]
    changes = [after - before for before, after in found.items]
    lines += ["", "Questions that gained least:"]
    for number in np.argsort(changes, kind="stable")[:5]:
        before, after = found.items[number]
        lines.append(f"  {number + 1:2d}  {100 * before:3.0f} % → {100 * after:3.0f} %  {questions()[number].asks}")
    return "\n".join([*lines, *(f"not counted: {line}" for line in found.left_out)])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The concept test.")
    commands = parser.add_subparsers(dest="what", required=True)
    sheet = commands.add_parser("sheet", help="the test as a page")
    sheet.add_argument("--key", action="store_true", help="with the right answers and the ideas behind the others")
    sheet.add_argument("--output", type=Path, default=Path("concept-test.html"))
    gained = commands.add_parser("gain", help="the gain of a class")
    gained.add_argument("before", type=Path)
    gained.add_argument("after", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.what == "sheet":
            print(runtime.write_text(options.output, pages.sheet(questions(), options.key)))
        else:
            print(told(gain(read(options.before), read(options.after))))
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
