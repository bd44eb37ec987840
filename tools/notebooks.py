"""The anatomy of a chapter: a template that makes one, and the linter that holds it.

python tools/notebooks.py lint [NOTEBOOK …]
python tools/notebooks.py new 06 spatial_transforms "Spatial transforms and many frames"
"""

import ast
import hashlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = ['PROFILE = "lesson"  # smoke, lesson or full', "SEED = 0"]
TAGS = {"parameters", "long", "failure", "claim", "exercise", "quiz"}
LINES, LONG_LINES, WIDTH = 15, 25, 100


# --- the linter -----------------------------------------------------------------------------------


def lint(path, bibliography=None):
    """All departures of a notebook from the chapter anatomy, as sentences that say where."""
    path = Path(path)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [_Cell(k, raw) for k, raw in enumerate(notebook["cells"])]
    bibliography = bibliography or ROOT / "book" / "references.bib"
    problems = []
    for rule in (_form, _opening, _rhythm, _parts, _closing):
        problems += rule(path, notebook, cells)
    problems += _references(cells, bibliography)
    return problems


class _Cell:
    def __init__(self, index, raw):
        self.index = index
        self.code = raw["cell_type"] == "code"
        self.source = "".join(raw["source"])
        self.tags = set(raw["metadata"].get("tags", []))
        self.raw = raw
        self.where = f"cell {index + 1}"

    @property
    def lines(self):
        return self.source.rstrip().splitlines()


def _form(path, notebook, cells):
    if not re.fullmatch(r"(\d\d|A\d)_[a-z0-9_]+\.ipynb", path.name):
        yield f"the name {path.name} is not NN_slug.ipynb"
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"
    ids = [c.raw.get("id") for c in cells]
    if None in ids or len(set(ids)) != len(ids):
        yield "cell ids are missing or not unique"
    for cell in cells:
        if cell.code and (cell.raw.get("outputs") or cell.raw.get("execution_count")):
            yield f"{cell.where}: outputs are committed; clear them"
        for tag in cell.tags - TAGS:
            yield f"{cell.where}: unknown tag {tag!r}; there are {', '.join(sorted(TAGS))}"
        if cell.code:
            yield from _code(cell)
        else:
            yield from _prose(cell)


def _code(cell):
    limit = LONG_LINES if "long" in cell.tags else LINES
    if len(cell.lines) > limit:
        yield f"{cell.where}: {len(cell.lines)} lines of code, at most {limit}"
    for line in cell.lines:
        if len(line) > WIDTH:
            yield f"{cell.where}: a line of {len(line)} characters, at most {WIDTH}"
    if not cell.source.strip():
        yield f"{cell.where}: empty"
        return
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        yield f"{cell.where}: not plain Python ({error.msg})"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("plt.show", "warnings.filterwarnings"):
            yield f"{cell.where}: {ast.unparse(node.func)} has no place in a chapter"


def _prose(cell):
    if not cell.source.strip():
        yield f"{cell.where}: empty"
    body = re.sub(r"```.*?```|`[^`]*`", "", cell.source, flags=re.S)
    if re.search(r"^:::|^\{[a-z]+\}|\{(cite|ref|numref|eq|doc)\}", body, flags=re.M):
        yield f"{cell.where}: a site-only directive; markdown here is CommonMark with $math$"
    if re.search(r"<[a-zA-Z/][^>@:]*>", body):
        yield f"{cell.where}: raw HTML; markdown here is CommonMark with $math$"
    if re.search(r"\\\(|\\\[", body):
        yield f"{cell.where}: write math between dollar signs"


def _opening(path, notebook, cells):
    number = path.name.split("_")[0]
    first = cells[0].source if cells and not cells[0].code else ""
    if not re.match(rf"# {number} · \S", first):
        yield f'cell 1 does not begin with "# {number} · Title"'
    if "**Time:**" not in first or "**Before this:**" not in first:
        yield 'cell 1 does not say "**Time:** …" and "**Before this:** …"'
    second = cells[1].source if len(cells) > 1 else ""
    promises = re.findall(r"^[-*] ", second, flags=re.M)
    if not second.startswith("## In this chapter you will") or not 3 <= len(promises) <= 6:
        yield 'cell 2 is not "## In this chapter you will" with three to six promises'
    tagged = [c for c in cells if "parameters" in c.tags]
    if len(tagged) != 1 or tagged[0].index != 2 or [x.rstrip() for x in tagged[0].lines] != PARAMETERS:
        yield "cell 3 is not the parameters cell: " + " / ".join(PARAMETERS)
    imports = next((c for c in cells[3:] if c.code), None)
    if imports is None or not imports.source.rstrip().endswith("runtime.start(PROFILE, SEED)"):
        yield "the first code cell after the parameters is not the imports, ending in runtime.start(PROFILE, SEED)"
    for cell in cells:
        if cell.code and cell is not imports and re.search(r"^(import|from) ", cell.source, flags=re.M):
            yield f"{cell.where}: an import outside the import cell"


def _rhythm(path, notebook, cells):
    for before, after in zip(cells[3:], cells[4:], strict=False):
        if before.code and after.code:
            yield f"{after.where}: follows a code cell with no word between (predict → run → interpret)"
    code = sum(c.code for c in cells)
    if len(cells) - code < code:
        yield f"{code} code cells and only {len(cells) - code} of prose"


def _parts(path, notebook, cells):
    def count(tag):
        return sum(tag in c.tags for c in cells)

    if not count("failure"):
        yield "no cell tagged failure: every chapter lets something fail on purpose"
    if not count("claim"):
        yield "no cell tagged claim"
    if not 2 <= count("exercise") <= 4:
        yield f"{count('exercise')} cells tagged exercise, and there should be two to four"
    if count("quiz") != 1:
        yield f"{count('quiz')} cells tagged quiz, and there should be one"
    for cell in cells:
        named = re.findall(r"claims\.(check|skip)\(\s*(.)", cell.source) if cell.code else []
        if named and "claim" not in cell.tags:
            yield f"{cell.where}: makes a claim without the tag claim"
        if any(quote not in "\"'" for _, quote in named):
            yield f"{cell.where}: the name of a claim must be a literal"
        if "exercise" in cell.tags:
            yield from _exercise(cell)


def _exercise(cell):
    tree = ast.parse(cell.source)
    stubs = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    if not stubs or not all(ast.unparse(s.body[-1]) in ("return None", "...", "pass") for s in stubs):
        yield f"{cell.where}: an exercise holds a stub that returns None"
    if "exercises.check(" not in cell.source:
        yield f"{cell.where}: an exercise ends with exercises.check(…)"


def _closing(path, notebook, cells):
    headings = [(c.index, line[3:].strip()) for c in cells if not c.code for line in c.lines if line.startswith("## ")]
    names = [name for _, name in headings]
    order = ["Exercises", "Quiz", "What you saw", "References"]
    places = [names.index(name) if name in names else None for name in order]
    for name, place in zip(order, places, strict=True):
        if place is None:
            yield f'no section "## {name}"'
    if None not in places and places != sorted(places):
        yield f"the closing sections are not in the order {', '.join(order)}"
    if not any(c.code and "claims.receipt()" in c.source for c in cells):
        yield '"What you saw" has no claims.receipt()'
    if names and (names[-1] != "References" or cells[-1].code):
        yield "the last cell is not the references"


def _references(cells, bibliography):
    text = bibliography.read_text(encoding="utf-8").lower()
    links = re.findall(r"\]\((https?://[^)\s]+)\)", cells[-1].source)
    if not links:
        yield "the references hold no link"
    for link in links:
        plain = re.sub(r"^https?://(dx\.)?(doi\.org/)?", "", link.lower()).rstrip("/")
        if plain not in text:
            yield f"{link} is not in book/references.bib"


# --- the template ---------------------------------------------------------------------------------


def new(number, slug, title, root=ROOT):
    """Write a chapter that passes the linter, with its exercises, quiz and place in the book."""
    if not re.fullmatch(r"\d\d|A\d", number) or not re.fullmatch(r"[a-z0-9_]+", slug):
        raise SystemExit('usage: python tools/notebooks.py new 06 spatial_transforms "Title"')
    notebook = root / "notebooks" / f"{number}_{slug}.ipynb"
    package = root / "medsr_course"
    files = {
        notebook: _notebook(number, title),
        package / "teaching" / "exercises" / f"ch{number}.py": _EXERCISES.format(number=number),
        package / "teaching" / "quizzes" / f"ch{number}.py": _QUIZ.format(number=number),
    }
    taken = [f for f in files if f.exists()] + sorted((root / "notebooks").glob(f"{number}_*.ipynb"))
    if taken:
        raise SystemExit(f"{taken[0].relative_to(root)} exists already: choose another number")
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    _add_to_contents(root / "book" / "_toc.yml", notebook.stem)
    for path in (*files, root / "book" / "_toc.yml"):
        print(path.relative_to(root))


def _add_to_contents(contents, stem):
    """List the chapter in the book's table of contents, before the first chapter of a higher number."""
    lines = contents.read_text(encoding="utf-8").splitlines(keepends=True)
    entries = [(k, m) for k, line in enumerate(lines) if (m := re.match(r"( *- file: .*?/)(\w\w)_\w+\s*$", line))]
    later = [k for k, entry in entries if entry[2] > stem[:2]]
    place = later[0] if later and later[0] == entries[0][0] else max(k for k, e in entries if e[2] < stem[:2]) + 1
    lines.insert(place, f"{entries[0][1][1]}{stem}\n")
    contents.write_text("".join(lines), encoding="utf-8")


def _notebook(number, title):
    cells = []
    for kind, tags, source in _CELLS:
        text = source.strip().replace("@NUMBER@", number).replace("@TITLE@", title)
        name = hashlib.sha256(f"{len(cells)}{text}".encode()).hexdigest()[:8]
        cell = {"cell_type": kind, "id": name, "metadata": {"tags": tags} if tags else {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell | {"source": text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    meta = {"kernelspec": kernel, "language_info": {"name": "python"}}
    book = {"cells": cells, "metadata": meta, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


_CELLS = [
    (
        "markdown",
        [],
        """
# @NUMBER@ · @TITLE@

Begin with a picture or a question that makes one want to go on.

**Time:** about 20 minutes to read and run · **Before this:** chapter 05.
""",
    ),
    (
        "markdown",
        [],
        """
## In this chapter you will

- make a slice twice too coarse;
- bring it back, and see what is lost;
- measure the loss.
""",
    ),
    ("code", ["parameters"], "\n".join(PARAMETERS)),
    ("markdown", [], "Everything the chapter uses."),
    (
        "code",
        [],
        """
import numpy as np

from medsr_course import runtime
from medsr_course.physics import acquisition, interpolation, metrics
from medsr_course.scans import datasets, volumes
from medsr_course.teaching import claims, exercises, figures, quizzes, viewers

runtime.start(PROFILE, SEED)
""",
    ),
    (
        "markdown",
        [],
        """
## A first section

Say what should happen, and why: half of k-space is thrown away, so fine detail must go.
""",
    ),
    (
        "code",
        [],
        """
subject = datasets.load("mni152")[0]
fine = volumes.axial_slices(subject.contrasts["T1w"], n=1)
fine = acquisition.kspace_crop(fine[:, :228, :196], 1)
coarse = acquisition.kspace_crop(fine, 2)
back = interpolation.zero_fill(coarse, 2)
figures.show({"fine": fine[0], "back from ×2": back[0]}, "A slice before and after.", pixel_size=1)
""",
    ),
    (
        "markdown",
        [],
        """
Say what is seen, and what surprised. Then let something fail on purpose: throwing detail away twice
does not bring it back.
""",
    ),
    (
        "code",
        ["failure"],
        """
again = interpolation.zero_fill(acquisition.kspace_crop(back, 2), 2)
once, twice = metrics.psnr(fine, back), metrics.psnr(fine, again)
print(f"{once:.2f} dB, and no better the second time: {twice:.2f} dB")
""",
    ),
    ("markdown", [], "Drag the divider."),
    (
        "code",
        [],
        """
viewers.compare({"fine": fine[0], "back": back[0]}, caption="Fine, and back from ×2.")
""",
    ),
    ("markdown", [], "State what the chapter claims, measured here."),
    (
        "code",
        ["claim"],
        """
error = np.abs(acquisition.kspace_crop(back, 2) - coarse).max() / coarse.max()
claims.check("Zero-filling keeps every measured sample", error, at_most=1e-5, kind="physics")
""",
    ),
    (
        "markdown",
        [],
        """
## Exercises

1. Return the mean of a stack.
""",
    ),
    (
        "code",
        ["exercise"],
        """
def my_mean(stack):
    return None


exercises.check("@NUMBER@-mean", my_mean)
""",
    ),
    ("markdown", [], "2. Return how many samples a side of `n` has after zero-filling by `scale`."),
    (
        "code",
        ["exercise"],
        """
def my_size(n, scale):
    return None


exercises.check("@NUMBER@-size", my_size)
""",
    ),
    ("markdown", [], "## Quiz"),
    ("code", ["quiz"], 'quizzes.show("@NUMBER@")'),
    (
        "markdown",
        [],
        """
## What you saw

The promises again, as results.
""",
    ),
    ("code", [], "claims.receipt()"),
    (
        "markdown",
        [],
        """
## References

- [Wang et al. 2004, structural similarity](https://doi.org/10.1109/TIP.2003.819861)
""",
    ),
]

_EXERCISES = '''"""Exercises of chapter {number}."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer


def _check_mean(fn):
    stack = np.random.default_rng().normal(3, 1, (2, 5, 4))
    got = answer(fn, stack)
    if np.ndim(got):
        raise Wrong("the mean of the whole stack is one number, and yours is an array")
    if np.isclose(got, np.median(stack)):
        raise Wrong("that is the median; the mean adds everything up and divides")
    if not np.isclose(got, stack.mean()):
        raise Wrong("the number is not the sum of all voxels divided by how many there are")


def my_mean(stack):
    return stack.mean()


def _check_size(fn):
    for n, scale in ((5, 2), (8, 3), (7, 4)):
        got = answer(fn, n, scale)
        if got == n:
            raise Wrong("that is the size before zero-filling")
        if got == n // scale:
            raise Wrong("that is what cropping leaves; zero-filling makes the grid finer")
        if got != n * scale:
            raise Wrong(f"{{n}} samples at scale {{scale}} become {{n * scale}}, not {{got}}")


def my_size(n, scale):
    return n * scale


EXERCISES = [
    Exercise(
        "{number}-mean",
        "Return the mean of a stack.",
        _check_mean,
        "NumPy arrays have a method for it.",
        my_mean,
        alternatives=(lambda stack: np.sum(stack) / np.size(stack),),
        mistakes={{
            "median": lambda stack: np.median(stack),
            "per slice": lambda stack: stack.mean(axis=(1, 2)),
            "sum": lambda stack: stack.sum(),
        }},
    ),
    Exercise(
        "{number}-size",
        "Return the number of samples after zero-filling.",
        _check_size,
        "Zero-filling by 2 gives two samples where there was one.",
        my_size,
        alternatives=(lambda n, scale: sum(n for _ in range(scale)),),
        mistakes={{
            "unchanged": lambda n, scale: n,
            "cropping": lambda n, scale: n // scale,
            "one short": lambda n, scale: n * scale - 1,
        }},
    ),
]
'''

_QUIZ = '''"""Quiz of chapter {number}."""

from medsr_course.teaching.quizzes._core import choice, numeric

QUESTIONS = [
    choice(
        "What does zero-filling add to k-space?",
        ("Zeros", "The finer grid shows the same frequencies, more smoothly."),
        {{
            "New detail": "No measurement was added: frequencies that were not measured stay zero.",
            "Noise": "Nothing random is added.",
        }},
    ),
    choice(
        "Which sample stays in place?",
        ("Sample 0", "The course's grids share their first sample."),
        {{"The centre": "Block-averaged grids share their centre; these do not.", "None": "Sample 0 does."}},
    ),
    numeric(
        "A 128 × 128 slice is zero-filled by 2. How many pixels has the result?",
        lambda: (2 * 128) ** 2,
        tolerance=0.5,
        feedback="Both sides double, so there are four times as many pixels.",
    ),
]
'''


def main(arguments):
    if arguments[:1] == ["new"] and len(arguments) == 4:
        new(*arguments[1:])
        return 0
    if arguments[:1] != ["lint"]:
        print(__doc__)
        return 2
    paths = [Path(a) for a in arguments[1:]] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    problems = [f"{path.name}: {problem}" for path in paths for problem in lint(path)]
    print("\n".join(problems) or f"{len(paths)} notebooks, nothing to mend")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
