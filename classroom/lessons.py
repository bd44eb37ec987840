"""The six lessons: read from ``lessons.yml``, and made into a notebook, slides and a handout.

    python -m classroom.lessons 3 [--output out/lesson-3]

The notebook holds the cells of the lesson's chapters that carry the tag ``core``, in the order of the chapters.
"""

import argparse
import copy
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from classroom import pages
from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.teaching import notebooks

FOLDER = Path(__file__).resolve().parent
MINUTES = 90
WORDS_A_MINUTE = 150
LEFT_OUT = "*This cell is from a part of the chapter that is left out. What follows needs it.*"
TIMES = FOLDER.parent / "results" / "lessons.csv"  # made by tools.lessons


@dataclass(frozen=True)
class Question:
    """A question with one right answer: ``wrong`` maps each other answer to the misconception behind it."""

    asks: str
    right: str
    why: str
    wrong: dict[str, str]

    @property
    def answers(self) -> list[str]:
        """All answers in the order of the alphabet, which gives nothing away."""
        return sorted([self.right, *self.wrong])


@dataclass(frozen=True)
class Lesson:
    """A lesson of 90 minutes.

    ``vote`` is asked before anything is shown. ``steps`` are (minutes, what, text), ``debrief`` are questions to the
    class, ``tickets`` the exit ticket; ``blind`` says what those do who know no Python.
    """

    number: int
    title: str
    chapters: tuple[str, ...]
    goal: str
    vote: Question
    steps: tuple[tuple[int, str, str], ...]
    debrief: tuple[str, ...]
    tickets: tuple[Question, ...]
    skip: str
    blind: str


def question(entry: dict[str, Any]) -> Question:
    """A question from its entry in a YAML file."""
    return Question(**{key: entry[key] for key in ("asks", "right", "why", "wrong")})


def lessons() -> dict[int, Lesson]:
    """Number → lesson, from ``lessons.yml``."""
    listed = yaml.safe_load((FOLDER / "lessons.yml").read_text(encoding="utf-8"))
    made = {}
    for number, entry in enumerate(listed, 1):
        steps = tuple((int(minutes), what, text) for minutes, what, text in entry.pop("steps"))
        asked = {"vote": question(entry.pop("vote")), "tickets": tuple(map(question, entry.pop("tickets")))}
        lists = {key: tuple(entry.pop(key)) for key in ("chapters", "debrief")}
        made[number] = Lesson(number, steps=steps, **asked, **lists, **entry)
    return made


def find(number: int) -> Lesson:
    """The lesson with a number; :class:`CourseError` where there is none."""
    known = lessons()
    if number not in known:
        raise CourseError(f"there is no lesson {number}; there are: {', '.join(map(str, known))}")
    return known[number]


# --- the notebook ---------------------------------------------------------------------------------


def core(chapter: Path) -> list[dict[str, Any]]:
    """The cells of a chapter that carry the tag ``core``.

    Prose that follows a cell which is left out begins with its first heading: what stands before tells of that cell.
    Code that does so, unless it sets the chapter up, gets a sentence that says why it is there.
    """
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    kept: list[dict[str, Any]] = []
    before = True
    for number, cell in enumerate(cells):
        tagged = "core" in cell["metadata"].get("tags", [])
        code = cell["cell_type"] == "code"
        if tagged and code and not before and not re.match(r"import |from |PROFILE = ", "".join(cell["source"])):
            kept.append(_markdown(f"left-out-{number}", LEFT_OUT) | {"metadata": {"tags": ["core"]}})
        if tagged:
            kept.append(cell if before or code else _from_heading(cell))
        before = tagged
    return kept


def _from_heading(cell: dict[str, Any]) -> dict[str, Any]:
    text = "".join(cell["source"])
    heading = re.search(r"^#{1,6} ", text, flags=re.M)
    return cell | {"source": text[heading.start() :].splitlines(keepends=True)} if heading else cell


def notebook(lesson: Lesson) -> dict[str, Any]:
    """The lesson as a notebook: a title, the vote, and the core cells of its chapters; as yet not executed.

    Raises
    ------
    CourseError
        If none of its chapters has core cells.
    """
    there = notebooks.chapters()
    parts = {name: there[name] for name in lesson.chapters if name in there and core(there[name])}
    if not parts:
        raise CourseError(f"no chapter of lesson {lesson.number} has cells with the tag core")
    first = json.loads(next(iter(parts.values())).read_text(encoding="utf-8"))
    cells = [_markdown("title", pages.opening(lesson))]
    for name, path in parts.items():
        cells.append(_markdown(f"chapter-{name}", f"# From chapter {name}\n\nThe whole chapter: `{path.name}`."))
        for cell in copy.deepcopy(core(path)):
            # One cell of parameters a notebook, for papermill; ids are unique in a notebook.
            tags = [tag for tag in cell["metadata"]["tags"] if tag != "parameters" or name == next(iter(parts))]
            cell["metadata"]["tags"] = tags
            cell["id"] = f"{name}-{cell['id']}"
            cells.append(cell)
    missing = [name for name in lesson.chapters if name not in parts]
    if missing:
        cells.append(_markdown("missing", f"Not in this notebook: chapter {', '.join(missing)}."))
    cells.append(_markdown("ticket", pages.ticket(lesson)))
    return {**{key: first[key] for key in ("metadata", "nbformat", "nbformat_minor")}, "cells": _one_profile(cells)}


def _one_profile(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the later cells that set the profile: the first one holds for the whole notebook."""
    kept, seen = [], False
    for cell in cells:
        sets = cell["cell_type"] == "code" and re.match(r"PROFILE = ", "".join(cell["source"]))
        if not (sets and seen):
            kept.append(cell)
        seen = seen or bool(sets)
    return kept


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}


def words(lesson: Lesson) -> int:
    """Words of prose in the lesson's notebook."""
    texts = ("".join(cell["source"]) for cell in notebook(lesson)["cells"] if cell["cell_type"] == "markdown")
    return sum(len(text.split()) for text in texts)


def reading(lesson: Lesson) -> float:
    """Minutes to read the notebook's prose, at 150 words a minute."""
    return words(lesson) / WORDS_A_MINUTE


# --- files ----------------------------------------------------------------------------------------


def write(number: int, output: Path) -> list[Path]:
    """Write notebook, slides and handout of a lesson into a folder; returns their paths."""
    lesson = find(number)
    runtime.writable_folder(output, "--output")
    stem = output / f"lesson-{number}"
    text = json.dumps(notebook(lesson), indent=1, ensure_ascii=False) + "\n"
    return [
        runtime.write_text(stem.with_suffix(".ipynb"), text),
        runtime.write_text(Path(f"{stem}-slides.html"), pages.slides(lesson)),
        runtime.write_text(Path(f"{stem}-handout.html"), pages.handout(lesson)),
        runtime.write_text(Path(f"{stem}-teacher.html"), pages.guide(lesson)),
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course.py lesson", description="Make the files of a lesson.")
    parser.add_argument("number", type=int, help="1 to 6")
    parser.add_argument("--output", type=Path, help="folder; by default out/lesson-NUMBER")
    options = parser.parse_args(arguments)
    output = options.output or Path("out") / f"lesson-{options.number}"
    try:
        for path in write(options.number, output):
            print(path)
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    print("Open the notebook in JupyterLab; the pages open in any browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
