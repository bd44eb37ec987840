"""The teachers' pages of the site: what stands in a page as ``{{TIMES}}``, ``{{RUBRIC}}`` and ``{{LESSONS}}``."""

from pathlib import Path

from classroom import lessons, pages


def write(source: Path) -> None:
    """Fill the teachers' pages in the source of a site."""
    made = {"{{TIMES}}": times(), "{{RUBRIC}}": pages.rubric(), "{{LESSONS}}": plans()}
    for page in sorted(source.glob("teach*.md")):
        text = page.read_text(encoding="utf-8")
        for place, part in made.items():
            text = text.replace(place, part)
        page.write_text(text, encoding="utf-8")


def times() -> str:
    """A table of the lessons: chapters, minutes to read, seconds to run."""
    measured = {row["lesson"]: row for row in pages.measured()}
    lines = ["| lesson | chapters | reading (computed) | running (measured) |", "|---|---|---:|---:|"]
    for number, lesson in lessons.lessons().items():
        row = measured.get(str(number))
        running = f"{float(row['seconds']):.0f} s in `{row['profile']}`" if row else "not measured yet"
        name = f"{number} · {lesson.title}"
        lines.append(f"| {name} | {', '.join(lesson.chapters)} | {lessons.reading(lesson):.0f} min | {running} |")
    where = sorted({f"{row['machine']}, {row['date']}" for row in measured.values()})
    note = f"Measured on: {'; '.join(where)}. " if where else ""
    return "\n".join([*lines, "", f"{note}Reading: words of the notebook at {lessons.WORDS_A_MINUTE} a minute."])


def plans() -> str:
    """The six lesson plans, each folded with its keys."""
    parts = []
    for lesson in lessons.lessons().values():
        fold = ["`````{dropdown} Plan, with keys", pages.guide_body(lesson), "`````"]
        head = f"## Lesson {lesson.number} · {lesson.title}"
        parts += [head, f"Chapters {', '.join(lesson.chapters)}. {lesson.goal}", pages.times(lesson), "\n".join(fold)]
    return "\n\n".join(parts)
