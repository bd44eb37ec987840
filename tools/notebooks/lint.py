"""What a chapter must be: its anatomy, the length of its cells, plain code, wrapped prose."""

import ast
import json
import re
from pathlib import Path
from urllib.parse import unquote

from tools.notebooks.wrap import WIDTH, wrapped

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = ['PROFILE = "lesson"  # smoke, lesson or full', "SEED = 0"]
NUMBER = r"((?:\d\d|A\d)[a-z]?)"  # 02b is the second half of chapter 02
# core: shown in a lesson; volume: the site shows a whole volume after it
TAGS = {"parameters", "long", "failure", "claim", "predict", "exercise", "quiz", "core", "volume"}
EXERCISES = "from medsr_course.teaching import exercises\n"
LINES, LONG_LINES = 15, 25
WRAPPED = True  # whether prose that ``wrap`` would change is a departure
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
QUIET = "take keras, layers and ops from medsr_course.networks.framework, which loads them quietly"


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
    if not re.fullmatch(rf"{NUMBER}_[a-z0-9_]+\.ipynb", path.name):
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
        for departure in _plain(node, "long" in cell.tags):
            yield f"{cell.where}: {departure}"


def _plain(node, long):
    """What a beginner stumbles on: each of these has a plain form, in CONTRIBUTING.md."""
    match node:
        case ast.Expr(value=ast.Tuple() | ast.IfExp() | ast.BoolOp() | ast.Compare()):
            yield f"`{ast.unparse(node)}` does several things in one expression: give each a line of its own"
        case ast.Lambda(args=ast.arguments(defaults=[_, *_])):
            yield "a lambda with a default: write a function that is given the value and returns a function"
        case ast.FunctionDef(args=ast.arguments(args=names, defaults=values)):
            pairs = zip(reversed(names), reversed(values), strict=False)
            if any(isinstance(value, ast.Name) and value.id == name.arg for name, value in pairs):
                yield f"{node.name} keeps a variable in a default: write a function that is given the value"
        case ast.NamedExpr():
            yield "an assignment inside an expression (:=): assign first"
        case ast.IfExp(body=ast.IfExp()) | ast.IfExp(orelse=ast.IfExp()) | ast.IfExp(test=ast.IfExp()):
            yield "a condition inside a condition: write if and else"
        case ast.Import(names=[ast.alias(name="keras"), *_]) | ast.ImportFrom(module="keras"):
            yield QUIET
        case ast.Attribute(attr="hushed"):
            yield QUIET
    if isinstance(node, COMPREHENSIONS):
        if any(isinstance(part, COMPREHENSIONS) for part in ast.walk(node) if part is not node):
            yield "a comprehension inside a comprehension: write a loop, or a function for the inner one"
        if len(node.generators) > (2 if long else 1):
            yield "a comprehension with several for: write a loop (two for pass in a cell tagged long)"


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
    if WRAPPED and wrapped(cell.source) != cell.source:
        yield f"{cell.where}: prose is not wrapped at {WIDTH} characters; python -m tools.notebooks wrap does it"


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
        source = cell.source.removeprefix(EXERCISES) if "exercise" in cell.tags else cell.source
        if cell.code and cell is not imports and re.search(r"^(import|from) ", source, flags=re.M):
            yield f"{cell.where}: an import outside the import cell"


def _rhythm(path, notebook, cells):
    for before, after in zip(cells[3:], cells[4:], strict=False):
        if before.code and after.code and not {"predict"} & {*before.tags, *after.tags}:  # a question is words, too
            yield f"{after.where}: follows a code cell with no word between (predict → run → interpret)"
    code = sum(c.code and "predict" not in c.tags for c in cells)
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
    if not cell.source.startswith(EXERCISES):
        yield f"{cell.where}: an exercise begins with {EXERCISES!r}, so that a fresh kernel can say what it lacks"
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
        plain = re.sub(r"^https?://(dx\.)?(doi\.org/)?", "", unquote(link).lower()).rstrip("/")
        if plain not in text:
            yield f"{link} is not in book/references.bib"
