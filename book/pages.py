"""The pages of the website that are made, not written: one function each, from the package and from ``results/``.

Each gives MyST Markdown. What comes from a name, a card or a table goes through :func:`plain` or :func:`cell`, so that
it is text on the page and never markup.
"""

import csv
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from book import charts
from medsr_course import resources
from medsr_course.runtime import CourseError

if TYPE_CHECKING:
    from medsr_course.networks.pretrained import Card
    from medsr_course.teaching.exercises import Exercise

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
LONG_TABLE = 40  # lines
SR = "super-resolution"


def plain(text: object) -> str:
    """Text in which only `code` is markup, as MyST source."""
    parts = re.split(r"(`[^`\n]*`)", str(text))
    return "".join(part if k % 2 else re.sub(r"([\\`*_<\[\]{}$#|])", r"\\\1", part) for k, part in enumerate(parts))


def cell(value: object) -> str:
    """A value as a cell of a table: :func:`plain`, on one line."""
    return re.sub(r"(?<!\\)\|", r"\\|", plain(" ".join(str(value).split())))


def table(head: Iterable[object], rows: Iterable[Iterable[object]], numbers: bool = False) -> list[str]:
    """Lines of a Markdown table, every value escaped; with ``numbers``, all columns but the first to the right."""
    titles = [cell(value) for value in head]
    rule = ["---", *(["---:" if numbers else "---"] * (len(titles) - 1))]
    return [f"| {' | '.join(titles)} |", f"|{'|'.join(rule)}|", *(f"| {' | '.join(map(cell, row))} |" for row in rows)]


# --- the chapters ---------------------------------------------------------------------------------


def contents() -> list[str]:
    """Pages in the order of ``_toc.yml``."""
    listed = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    return [entry["file"] for part in listed["parts"] for entry in part["chapters"]]


def chapters() -> list[Path]:
    """Notebooks that ``_toc.yml`` lists, in its order; a clear error where one is missing."""
    found = [ROOT / f"{name}.ipynb" for name in contents() if name.startswith("notebooks/")]
    missing = [path.name for path in found if not path.exists()]
    if missing:
        raise CourseError(f"book/_toc.yml lists {', '.join(missing)}, which notebooks/ does not hold")
    return found


def title(notebook: Path) -> str:
    """Title of a chapter: its first heading, "05 · Interpolation …"."""
    for block in cells(notebook):
        found = re.search(r"^# (.+)$", "".join(block["source"]), re.M) if block["cell_type"] == "markdown" else None
        if found:
            return found[1].strip()
    raise CourseError(f"{notebook.name} has no title: begin with '# {notebook.stem[:2]} · Title'")


def rows(name: str) -> list[dict[str, str]]:
    """A table of this folder, ``name`` without ``.csv``: column → text, for each row."""
    with (BOOK / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cells(notebook: Path) -> list[dict[str, Any]]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]


def link(notebook: Path) -> str:
    """A link to a chapter, by its title."""
    return f"[{plain(title(notebook))}](notebooks/{notebook.name})"


# --- the pages ------------------------------------------------------------------------------------


def solutions(listed: list[Path]) -> str:
    """Solutions of all exercises, folded, from the source that the checkers are tested with."""
    from medsr_course.teaching import exercises

    lines = [
        "# Solutions",
        "",
        "Try first: an exercise that you have worked at for ten minutes teaches more than ten that you have read.",
        "In a notebook, `exercises.hint(name)` gives a hint before you look here.",
    ]
    for notebook in listed:
        number = notebook.stem.split("_")[0]
        names = [name for name in exercises.names() if name.startswith(f"{number}-")]
        if not names:
            continue
        lines += ["", f"## {plain(title(notebook))}", "", f"[To the chapter](notebooks/{notebook.name})"]
        for name in names:
            exercise = exercises.find(name)
            lines += ["", f"### {name}", "", plain(exercise.task), ""]
            lines += ["```{admonition} Hint", ":class: dropdown tip", plain(exercise.hint), "```", ""]
            lines += _solution(exercise)
    return "\n".join(lines) + "\n"


def _solution(exercise: "Exercise") -> list[str]:
    """A solution, folded; in the edition without solutions, that there is none."""
    try:
        source = exercise.source().rstrip()
    except CourseError as error:
        return [f"*{plain(str(error).capitalize())}.*"]
    return ["````{admonition} Solution", ":class: dropdown", "```python", source, "```", "````"]


def networks(source: Path) -> dict[str, str]:
    """The cards of the shipped networks: what they are for, what they were made from, what they gain.

    Parameters
    ----------
    source : path
        Gets a folder ``weights`` with what the page hands out.

    Returns
    -------
    dict
        Place of ``networks.md`` → text.
    """
    from medsr_course.networks import pretrained

    cards = [pretrained.card(name) for name in pretrained.names(task=None)]
    cards.sort(key=lambda card: (card.task != SR, card.task, card.name))
    overview = [
        "| network | task | parameters | gain (dB) | files |",
        "|---|---|---:|---:|---|",
    ]
    (source / "weights").mkdir()
    for card in cards:
        gain = card.metrics.get("cohort test", {}).get("gain (dB)") if card.task == SR else None
        words = map(cell, (card.task, f"{card.parameters:,}", "–" if gain is None else f"{gain:+.2f}"))
        network = f"[{cell(card.title)}](#{_anchor(card)})"
        overview.append(f"| {network} | {' | '.join(words)} | {_files(card, source / 'weights')} |")
    lines: list[str] = []
    for card in cards:
        share = ", ".join(f"{source} {100 * part:.0f} %" for source, part in card.share.items())
        facts = {
            "Task": card.task,
            "Weights": card.provenance(),
            "Parameters": f"{card.parameters:,}",
            "Made by": f"`{card.recipe}`" + (f", starting from `{card.start}`" if card.start else ""),
            "Training": f"{card.steps} steps of {card.batch}, {card.seconds} s on two cores, seed {card.seed}",
            "Data": "; ".join(card.data),
            "Share of each": share if len(card.share) > 1 else "",
            "Licence": card.licence,
            "Meant for": card.intended_use,
            "**Not for**": card.not_for,
        }
        lines += ["", f"({_anchor(card)})=", f"## {plain(card.title)} (`{card.name}`)", ""]
        lines += [f"- {key}: {plain(value)}" for key, value in facts.items() if value]
        lines += ["", *(_gains(card) if card.task == SR else _measured(card.metrics))]
    return {"{{OVERVIEW}}": "\n".join(overview), "{{CARDS}}": "\n".join(lines)}


def _anchor(card: "Card") -> str:
    return "network-" + re.sub(r"[^a-z0-9]+", "-", card.name.lower())


def _files(card: "Card", target: Path) -> str:
    """Links to a network's .onnx file and card, which are copied to ``target``; only to those that are here."""
    links = []
    for file in (resources.path("weights") / f"{card.name}{end}" for end in (".onnx", ".json")):
        if file.exists():
            shutil.copy2(file, target)
            size = f" ({file.stat().st_size / 1e6:.1f} MB)" if file.suffix == ".onnx" else ""
            links.append(f"{{download}}`{file.suffix[1:]} <weights/{file.name}>`{size}")
    return ", ".join(links)


MORE = {  # of a super-resolution network's numbers, where the card has them; an interval is over twenty people
    "least gain (dB)": "+.2f",
    "gain, from (dB)": "+.2f",
    "gain, to (dB)": "+.2f",
    "slices better than ZIP (%)": ".0f",
}


def _gains(card: "Card") -> list[str]:
    """Table of a super-resolution network's gains, and those of its twin."""
    twin = card.twin["metrics"] if card.twin else {}
    rows = {
        group: {
            "ZIP (dB)": f"{row['zip (dB)']:.2f}",
            "gain (dB)": f"{row['gain (dB)']:+.2f}",
            "inside the head (dB)": f"{row['gain_head (dB)']:+.2f}",
            **{key: f"{row[key]:{form}}" for key, form in MORE.items() if key in row},
            **({"gain without real scans (dB)": f"{twin[group]['gain (dB)']:+.2f}"} if group in twin else {}),
        }
        for group, row in card.metrics.items()
    }
    return _measured(rows)


def _measured(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Table of a card's metrics: group → column → value."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    body = ([group, *(row.get(key, "") for key in columns)] for group, row in rows.items())
    return table(["measured on", *columns], body, numbers=True)


def results(source: Path) -> str:
    """Measured tables and figures of ``results/``, shown as they were committed; figures go to ``source/results``."""
    folder, target = ROOT / "results", source / "results"
    lines = [
        "# Measured results",
        "",
        "Each table was made by a command, on the machine and day that it names, and is kept with the course.",
        "Building this site does not compute it again.",
    ]
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "leaderboard"))]
    files.sort(key=lambda path: (path.with_suffix(""), path.suffix != ".md"))  # a text before its table
    target.mkdir()
    described = ""
    for path in files:
        if path.suffix in (".png", ".svg"):
            shutil.copy2(path, target)
        if path.suffix == ".md":
            described += path.read_text(encoding="utf-8")
    for path in files:
        heading = plain(path.stem.replace("_", " ").replace("-", " ").capitalize())
        if path.suffix == ".md":
            text = _section(path)
            lines += ["", text if text.startswith("##") else f"## {heading}\n\n{text}"]
        elif path.suffix == ".csv" and path.name not in described:
            lines += [] if path.with_suffix(".md") in files else ["", f"## {heading}"]
            lines += ["", _short_table(path, target)]
        elif path.suffix in (".png", ".svg") and path.name not in described:
            lines += ["", f"![{heading}](<results/{path.name}>)"]
    if not files:
        lines += ["", "No measurement has been committed yet."]
    return "\n".join(lines) + "\n"


def leaderboards(source: Path) -> dict[str, str]:
    """What ``medsr leaderboard`` and its like committed: every ``results/leaderboard*.md``, its files beside it.

    Returns the places of ``leaderboard.md`` → an overview of the boards, the figure of gain against time, the boards.
    """
    folder, target = ROOT / "results", source / "results"
    target.mkdir(exist_ok=True)
    for path in folder.glob("leaderboard*"):
        if path.suffix in (".png", ".svg", ".csv"):
            shutil.copy2(path, target)
    texts = {path: _section(path) for path in sorted(folder.glob("leaderboard*.md"), key=lambda path: path.stem)}
    if not texts:
        nothing = "Nothing has been measured yet: `medsr leaderboard` does it."
        return {"{{OVERVIEW}}": "", "{{GAIN}}": "", "{{BOARDS}}": nothing}
    overview = ["| board | measured on | tables | all values |", "|---|---|---:|---|"]
    boards = []
    for path, text in texts.items():
        names = [p.name for end in ("", "-means", "-tests") for p in folder.glob(f"{path.stem}{end}.csv")]
        files = ", ".join(f"{{download}}`{name} <results/{name}>`" for name in names)
        name = (re.findall(r"^## (.+)$", text, re.M) or [path.stem])[0]
        day = (re.findall(r"\b20\d\d-\d\d-\d\d\b", text) or ["–"])[0]
        count = len(re.findall(r"^\|[-:| ]+\|$", text, re.M))
        overview.append(f"| [{name}](#{path.stem}) | {day} | {count} | {files} |")
        boards += [f"({path.stem})=", text, ""]
    gain = charts.gain_against_time(folder / "leaderboard.csv", target)
    return {"{{OVERVIEW}}": "\n".join(overview), "{{GAIN}}": gain, "{{BOARDS}}": "\n".join(boards)}


def _section(path: Path) -> str:
    """A text of ``results/`` as part of a page: headings a level down, pictures where the page finds them, no HTML."""
    parts = re.split(r"(`[^`]*`)", path.read_text(encoding="utf-8").strip())
    text = "".join(part if k % 2 else re.sub(r"(?<!\\)<(?=[A-Za-z/!?])", r"\<", part) for k, part in enumerate(parts))
    text = re.sub(r"^(#+) ", r"#\1 ", text, flags=re.M)
    return re.sub(r"\]\((?!\w+:|results/)(\S+\.(?:png|svg))\)", r"](results/\1)", text)


def _short_table(path: Path, target: Path) -> str:
    """The table, or a link to its file where a page of it would be scrolled and not read."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    notes = [row[0].lstrip("# ") for row in rows if row[0].startswith("#")]
    head, *body = [row for row in rows if not row[0].startswith("#")]
    if len(body) + 2 <= LONG_TABLE:
        return "\n".join(([f"{plain(' '.join(notes))}\n"] if notes else []) + table(head, body))
    shutil.copy2(path, target)
    return f"All values: {{download}}`{path.name} <results/{path.name}>`."
