"""How long does each lesson's notebook run? ``python -m tools.lessons [1 2 …] [--profile lesson]``

Executes the notebooks that ``python course.py lesson`` makes and writes ``results/lessons.csv`` and
``results/lessons.md``. Lessons that are not named keep their rows.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from classroom import lessons, pages
from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.teaching import notebooks
from tools import command

ROOT = Path(__file__).resolve().parent.parent


def measure(number: int, profile: str, beside: str) -> dict[str, Any]:
    """A row of the table: one lesson executed; ``beside`` says what else ran."""
    lesson = lessons.find(number)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "lesson.ipynb"
        source.write_text(json.dumps(lessons.notebook(lesson)), encoding="utf-8")
        done = notebooks.execute_file(source, Path(folder) / "executed.ipynb", profile)
    if done["error"]:
        raise CourseError(f"lesson {number}: {done['error']}")
    facts = {"lesson": str(number), "profile": profile, "seconds": done["seconds"], "peak_mib": done["peak_mib"]}
    return facts | {"words": lessons.words(lesson), "beside": beside} | command.provenance()


def page(rows: list[dict[str, Any]]) -> str:
    """The table in Markdown."""
    lines = [
        "# Lessons: running and reading",
        "",
        "Running is measured: the lesson's notebook from start to end, on the machine that the row names. Reading is",
        f"computed: the words of its prose at {lessons.WORDS_A_MINUTE} a minute.",
        "",
        "| lesson | profile | running (s) | peak memory (MiB) | words | reading (min) | machine | date |",
        "|---|---|---:|---:|---:|---:|---|---|",
    ]
    for row in rows:
        minutes = int(row["words"]) / lessons.WORDS_A_MINUTE
        cells = [row["lesson"], row["profile"], f"{float(row['seconds']):.0f}", f"{float(row['peak_mib']):.0f}"]
        cells += [str(row["words"]), f"{minutes:.0f}", row["machine"], f"{row['date']}, commit {row['commit']}"]
        lines.append(f"| {' | '.join(cells)} |")
    notes = sorted({row["beside"] for row in rows if row.get("beside")})
    return "\n".join([*lines, *(f"\n{note}" for note in notes)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", type=int, nargs="*", help="lessons; all when none is named")
    parser.add_argument("--profile", choices=runtime.PROFILES, default="lesson")
    parser.add_argument("--beside", default="", help="a sentence on what else ran on the machine")
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    runtime.writable_folder(options.output, "--output")
    rows = {row["lesson"]: dict(row) for row in pages.measured()}
    for number in options.numbers or list(lessons.lessons()):
        rows[str(number)] = measure(number, options.profile, options.beside)
        print(f"lesson {number}: {rows[str(number)]['seconds']} s, {rows[str(number)]['peak_mib']} MiB", flush=True)
        ordered = [rows[name] for name in sorted(rows)]
        command.write(options.output, "lessons", ordered, page(ordered))


if __name__ == "__main__":
    command.run(main)
