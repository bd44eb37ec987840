"""What a lesson looks like: its guide, its slides, its handout, as Markdown and as pages that need no network."""

import csv
import html
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from classroom.lessons import Lesson, Question

FOLDER = Path(__file__).resolve().parent
LETTERS = "ABCDEFGH"
KINDS = {"vote": "Vote", "show": "Show", "pairs": "Pairs", "debrief": "Debrief", "ticket": "Exit ticket"}


# --- parts, as Markdown ---------------------------------------------------------------------------


def asked(question: "Question", number: int | None = None) -> str:
    """A question with its answers, and nothing that gives the right one away."""
    lines = [f"**{number}.** {question.asks}" if number else question.asks, ""]
    lines += [f"- **{letter}** {answer}" for letter, answer in zip(LETTERS, question.answers, strict=False)]
    return "\n".join(lines)


def key(question: "Question") -> str:
    """The right answer and why, and the idea behind each wrong one."""
    letter = dict(zip(question.answers, LETTERS, strict=False))
    lines = [f"- **{letter[question.right]}** {question.right}. *Right:* {question.why}"]
    lines += [f"- {letter[answer]} {answer}. {why}" for answer, why in question.wrong.items()]
    return "\n".join(lines)


def opening(lesson: "Lesson") -> str:
    """The first cell of the lesson's notebook."""
    return "\n\n".join([f"# Lesson {lesson.number} · {lesson.title}", lesson.goal, "**Vote.** " + asked(lesson.vote)])


def ticket(lesson: "Lesson") -> str:
    """The last cell of the lesson's notebook: the exit ticket, without its key."""
    return "\n\n".join(["# Exit ticket", *(asked(one, k) for k, one in enumerate(lesson.tickets, 1))])


def times(lesson: "Lesson") -> str:
    """How long reading and running take: one computed from words, the other measured."""
    from classroom import lessons

    words = lessons.words(lesson)
    text = f"Reading: {words} words, {lessons.reading(lesson):.0f} minutes at {lessons.WORDS_A_MINUTE} words a minute."
    for row in measured():
        if row["lesson"] == str(lesson.number):
            seconds, peak = float(row["seconds"]), float(row["peak_mib"])
            text += f" Running in profile `{row['profile']}`, measured: {seconds:.0f} s and {peak:.0f} MiB."
    return text


def measured() -> list[dict[str, str]]:
    """Rows of ``results/lessons.csv``, which ``python -m tools.lessons`` makes; none where it was not run."""
    from classroom.lessons import TIMES

    if not TIMES.exists():
        return []
    with TIMES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def guide_body(lesson: "Lesson") -> str:
    """The plan of a lesson, keys included, under headings in bold."""
    rows = [f"| {minutes} | {KINDS[what]} | {text} |" for minutes, what, text in lesson.steps]
    parts = [
        "**Vote**",
        asked(lesson.vote),
        "After the lesson has shown it:",
        key(lesson.vote),
        "**Ninety minutes**",
        "\n".join(["| minutes | | |", "|---:|---|---|", *rows]),
        "**Debrief**",
        "\n".join(f"- {question}" for question in lesson.debrief),
        "**Exit ticket, with its key**",
        *(f"{asked(one, k)}\n\n{key(one)}" for k, one in enumerate(lesson.tickets, 1)),
        "**What to skip, and without Python**",
        lesson.skip,
        f"Without Python: {lesson.blind}",
    ]
    return "\n\n".join(parts)


def rubric() -> str:
    """The rubric for a project, as a table in Markdown."""
    with (FOLDER / "rubric.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- pages ----------------------------------------------------------------------------------------


def render(markdown: str) -> str:
    """Markdown as HTML; raw HTML in it stays text."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)


def page(title: str, body: str) -> str:
    """A page for paper and screen that loads nothing."""
    return _fill("page.html", title, body)


def slides(lesson: "Lesson") -> str:
    """Slides: arrow keys turn them, and the browser prints one a sheet."""
    shown = [text for _, what, text in lesson.steps if what == "show"]
    work = [f"## {KINDS[what]} · {minutes} minutes" for minutes, what, _ in lesson.steps if what == "pairs"]
    pairs = [text for _, what, text in lesson.steps if what == "pairs"]
    parts = [
        f"# {lesson.title}\n\nLesson {lesson.number}. {lesson.goal}",
        f"## Vote\n\n{asked(lesson.vote)}",
        *(f"## Look\n\n{text}" for text in shown),
        f"## Vote again\n\n{asked(lesson.vote)}",
        f"## So it was\n\n{key(lesson.vote)}",
        *(f"{head}\n\n{text}" for head, text in zip(work, pairs, strict=True)),
        "## Debrief\n\n" + "\n".join(f"- {question}" for question in lesson.debrief),
        *(f"## Exit ticket\n\n{asked(one, k)}" for k, one in enumerate(lesson.tickets, 1)),
    ]
    body = "\n".join(f"<section>{render(part)}</section>" for part in parts)
    return _fill("slides.html", f"Lesson {lesson.number} · {lesson.title}", body)


def handout(lesson: "Lesson") -> str:
    """One sheet for each student: the vote, room for two answers, the tasks, the exit ticket."""
    tasks = [text for _, what, text in lesson.steps if what == "pairs"]
    parts = [
        f"# Lesson {lesson.number} · {lesson.title}",
        "Name: ______________________________",
        lesson.goal,
        f"## Before\n\n{asked(lesson.vote)}",
        "My answer first: ____    after talking: ____    because: ______________________________",
        "## Together\n\n" + "\n\n".join(tasks),
        "## For the talk\n\n" + "\n".join(f"- {question}" for question in lesson.debrief),
        ticket(lesson).replace("# Exit ticket", "## Exit ticket"),
    ]
    return page(f"Lesson {lesson.number}: handout", render("\n\n".join(parts)))


def guide(lesson: "Lesson") -> str:
    """The teacher's page, with keys."""
    head = f"# Lesson {lesson.number} · {lesson.title}\n\nChapters {', '.join(lesson.chapters)}. {lesson.goal}"
    text = "\n\n".join([head, times(lesson), guide_body(lesson)])
    return page(f"Lesson {lesson.number}: for the teacher", render(text))


def sheet(questions: Iterable["Question"], keys: bool) -> str:
    """The concept test as a page: to hand out, or with its key."""
    parts = ["# Concept test", "" if keys else "Code: ____________    Date: ____________    One answer each."]
    for number, one in enumerate(questions, 1):
        parts += [asked(one, number), *([key(one)] if keys else [])]
    return page("Concept test", render("\n\n".join(parts)))


def _fill(name: str, title: str, body: str) -> str:
    text = (FOLDER / "templates" / name).read_text(encoding="utf-8")
    return text.replace("{{TITLE}}", html.escape(title)).replace("{{BODY}}", body)
