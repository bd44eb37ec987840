"""A new chapter from the files in ``template/``, in which ``@NUMBER@`` and ``@TITLE@`` are replaced."""

import re
from pathlib import Path

from tools.notebooks.lint import NUMBER, ROOT

TEMPLATE = Path(__file__).parent / "template"


def new(number: str, slug: str, title: str, root: Path = ROOT) -> list[str]:
    """Write a chapter that passes the linter, with its exercises, quiz and place in the book.

    Returns the names of the files written or changed. Nothing is overwritten: ``SystemExit`` says what is in the way.
    """
    if not re.fullmatch(NUMBER, number) or not re.fullmatch(r"[a-z0-9_]+", slug):
        raise SystemExit('usage: python -m tools.notebooks new 06 spatial_transforms "Title"')
    teaching = root / "medsr_course" / "teaching"
    files = {
        root / "notebooks" / f"{number}_{slug}.ipynb": "notebook.ipynb",
        teaching / "exercises" / f"ch{number}.py": "exercises.py",
        teaching / "quizzes" / f"ch{number}.py": "quiz.py",
    }
    taken = [path for path in files if path.exists()] + sorted((root / "notebooks").glob(f"{number}_*.ipynb"))
    if taken:
        raise SystemExit(f"{taken[0].relative_to(root)} exists already: choose another number")
    for path, template in files.items():
        path.write_text(filled(template, number, title), encoding="utf-8")
    contents = root / "book" / "_toc.yml"
    _add_to_contents(contents, f"{number}_{slug}")
    return [str(path.relative_to(root)) for path in (*files, contents)]


def filled(template: str, number: str, title: str) -> str:
    """Return the text of a file of the template for this chapter."""
    text = (TEMPLATE / template).read_text(encoding="utf-8")
    return text.replace("@NUMBER@", number).replace("@TITLE@", title.replace("\\", "\\\\").replace('"', '\\"'))


def _add_to_contents(contents, stem):
    """List the chapter in the book's table of contents, before the first chapter of a higher number."""
    lines = contents.read_text(encoding="utf-8").splitlines(keepends=True)
    entry = re.compile(rf"( *- file: .*?/){NUMBER}_\w+\s*$")
    number = stem.split("_")[0]
    entries = [(k, match) for k, match in enumerate(map(entry.match, lines)) if match]
    later = [k for k, match in entries if match[2] > number]
    place = later[0] if later and later[0] == entries[0][0] else max(k for k, e in entries if e[2] < number) + 1
    lines.insert(place, f"{entries[0][1][1]}{stem}\n")
    contents.write_text("".join(lines), encoding="utf-8")
