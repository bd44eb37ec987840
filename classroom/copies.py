"""Copies of the course: a bundle for a room without a network, and an edition without solutions.

python -m classroom.copies bundle FOLDER [DATA SET …]
python -m classroom.copies edition FOLDER
"""

import argparse
import base64
import re
import shutil
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import bundles
from medsr_course.teaching import notebooks

ROOT = Path(__file__).resolve().parent.parent
MADE = {".venv", ".git", "__pycache__", "_build", "out", "wheels", ".pytest_cache", ".ruff_cache", ".mypy_cache"}
KEPT_BACK = ("classroom/", "tests/", ".ci/", "book/teach", "book/solutions")  # from the edition without solutions
TEACHERS = re.compile(r" +- file: teach\S*\n")  # in book/_toc.yml
EXERCISES = re.compile(r"medsr_course/teaching/exercises/ch\w+\.py")

GUIDE = """A bundle of the course, made by `python course.py bundle`

On each machine (Python 3.11 to 3.13, of the kind that the bundle was made on), copy the folder course/ to the disk.
In it, run with the full path of this folder:

    python course.py setup {folder}
    python course.py lab

{plan_b}In this folder
{contents}
"""
PLAN_B = {"site": "site/index.html is the whole course to read, in any browser",
          "executed": "executed/ holds notebooks with all their outputs"}  # fmt: skip


def files() -> list[str]:
    """The course's own files, relative to its folder: what git knows, or without git all but what is made."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout:
        return [line for line in done.stdout.splitlines() if (ROOT / line).is_file()]
    found = (path.relative_to(ROOT) for path in sorted(ROOT.rglob("*")) if path.is_file())
    return [path.as_posix() for path in found if not MADE & set(path.parts)]


def copy(target: Path, change: Callable[[str, str], str | None] = lambda name, text: text) -> int:
    """Copy the course's files into a new folder; returns how many.

    Parameters
    ----------
    target : path
        Must not exist, or be empty.
    change : callable
        From a file's name and its text (files that are no text are copied as they are) to the text to write, or None
        to leave the file out.

    Raises
    ------
    CourseError
        If the folder holds something already, or cannot be written.
    """
    if target.exists() and any(target.iterdir()):
        raise CourseError(f"{target} is not empty: name a new folder")
    runtime.writable_folder(target, "folder")
    count = 0
    for name in files():
        source, place = ROOT / name, target / name
        try:
            text: str | None = source.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            text = None
        changed = change(name, text or "")
        if changed is None:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
        if text is not None and changed != text:
            place.write_text(changed, encoding="utf-8")
        count += 1
    return count


# --- without solutions ----------------------------------------------------------------------------


def edition(target: Path) -> int:
    """Write the course without what gives solutions away; returns the number of files.

    The checkers need the solutions, so they stay in the package, packed: nobody reads them by chance, and whoever wants
    to can unpack them. Tests, teachers' pages and keys are left out.
    """
    return copy(target, without_solutions)


def without_solutions(name: str, text: str) -> str | None:
    """A file of the course as the edition has it; None for one that it has not."""
    if name.startswith(KEPT_BACK):
        return None
    if EXERCISES.fullmatch(name):
        return packed(text)
    if name == "book/_toc.yml":
        return TEACHERS.sub("", text)
    return text


def packed(source: str) -> str:
    """A module that does what ``source`` does, without showing how."""
    text = base64.b85encode(zlib.compress(source.encode(), 9)).decode()
    lines = "\n".join(f'    b"{line}"' for line in textwrap.wrap(text, 110))
    return (
        '"""Exercises and their checkers, packed: this edition of the course shows no solutions."""\n\n'
        f"import base64\nimport zlib\n\nPACKED = (\n{lines}\n)\n"
        'exec(compile(zlib.decompress(base64.b85decode(PACKED)), "<packed>", "exec"))\n'
    )


# --- to carry -------------------------------------------------------------------------------------


def bundle(folder: Path, names: list[str]) -> Iterator[str]:
    """Fill a folder that holds ``wheels`` with all else; a line for each part.

    Raises
    ------
    CourseError
        If there is no cohort, a name is not in the catalogue, or the folder cannot be written.
    """
    runtime.writable_folder(folder, "folder")
    contents = ["wheels    the pinned packages"]
    shutil.rmtree(folder / "course", ignore_errors=True)
    contents.append(f"course    the course, {copy(folder / 'course')} files")
    contents += [f"data      {line}" for line in bundles.write(folder / "data", names)]
    contents.append(f"executed  {_executed(folder / 'executed')}")
    contents.append(f"site      {_site(folder / 'site')}")
    there = [text for name, text in PLAN_B.items() if (folder / name).is_dir() and any((folder / name).iterdir())]
    plan_b = f"If that cannot be: {', and '.join(there)}.\n\n" if there else ""
    listed = "\n".join(f"    {line}" for line in contents)
    text = GUIDE.format(folder="/full/path/of/this/folder", plan_b=plan_b, contents=listed)
    runtime.write_text(folder / "README.txt", text)
    yield from contents


def _executed(folder: Path) -> str:
    """Copies of the chapters that were executed here and are still valid."""
    folder.mkdir(exist_ok=True)
    missing, count = [], 0
    for name in notebooks.chapters():
        found = notebooks.kept(name)
        if found:
            shutil.copy(found.path, folder)
            count += 1
        else:
            missing.append(name)
    text = f"{count} executed chapters"
    return text + (f"; missing: {', '.join(missing)} (`medsr run` makes them)" if missing else "")


def _site(folder: Path) -> str:
    built = ROOT / "book" / "_build" / "html"
    shutil.rmtree(folder, ignore_errors=True)
    if not (built / "index.html").exists():
        return "not built here: run `python course.py book` and bundle again"
    shutil.copytree(built, folder)
    return "the whole site; open site/index.html"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course.py", description="Copies of the course.")
    parser.add_argument("what", choices=("bundle", "edition"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="data sets of the catalogue, for a bundle")
    options = parser.parse_args(arguments)
    try:
        if options.what == "edition":
            print(f"{edition(options.folder)} files in {options.folder}: the course without solutions")
        else:
            for line in bundle(options.folder, options.names):
                print(line)
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
