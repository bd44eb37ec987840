"""Build the website: executed chapters, pages, solutions, measured tables → book/_build/html.

python book/build.py [--profile smoke|lesson|full] [--unexecuted] [--picture]

The source that Sphinx reads is assembled in ``book/_build/source``: the pages of this folder, the
executed copies of the chapters, and what is generated from the package and from ``results/``. The site
asks nothing from any other server.
"""

import argparse
import csv
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from medsr_course.runtime import PROFILES, CourseError
from medsr_course.teaching import notebooks

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
LONG_TABLE = 40  # lines
SETTINGS = ("conf.py", "_toc.yml", "references.bib")
# jupyterquiz falls back on this address where MathJax has not loaded yet; ours is on the site itself.
CDN = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-svg.js"


def build(profile="lesson", *, execute=True, output=None, quiet=False):
    """Build the site and return the folder of its pages.

    Parameters
    ----------
    profile : {"smoke", "lesson", "full"}
        How long the chapters train. Executed copies that are still valid are used again.
    execute : bool
        False shows the chapters without outputs: to look at the pages quickly.
    output : path, optional
        Default ``book/_build``; gets the folders ``source``, ``doctrees`` and ``html``.
    quiet : bool
        Say nothing but what is wrong.

    Raises
    ------
    CourseError
        When a chapter fails, or Sphinx has a warning.
    """
    output = Path(output or BOOK / "_build")
    source = output / "source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "generated").mkdir(parents=True)
    for page in [BOOK / name for name in SETTINGS] + sorted(BOOK.glob("*.md")):
        shutil.copy2(page, source)
    shutil.copytree(BOOK / "_static", source / "_static")

    listed = chapters()
    (source / "notebooks").mkdir()
    for notebook in listed:
        if execute and not quiet:
            print(f"{notebook.stem} …", flush=True)
        text = notebook.read_text(encoding="utf-8")
        if execute:
            text = _executed(notebook, profile).read_text(encoding="utf-8")
        _write(source / "notebooks" / notebook.name, for_site(text))

    _write(source / "generated" / "hero.html", hero(source / "notebooks"))
    _write(source / "generated" / "map.md", course_map(listed))
    _write(source / "solutions.md", solutions(listed))
    _write(source / "networks.md", networks())
    _write(source / "results.md", results(source))
    page = (source / "leaderboard.md").read_text(encoding="utf-8")
    _write(source / "leaderboard.md", page.replace("{{BOARDS}}", leaderboards(source)))
    index = (source / "index.md").read_text(encoding="utf-8")
    start = f"[{title(listed[0])}](notebooks/{listed[0].name})" if listed else "the chapters are being written"
    _write(source / "index.md", index.replace("{{START}}", start))
    _sphinx(source, output, quiet)
    return output / "html"


def chapters():
    """Notebooks that ``_toc.yml`` lists, in its order; a clear error where one is missing."""
    names = [name for name in contents() if name.startswith("notebooks/")]
    found = [ROOT / f"{name}.ipynb" for name in names]
    missing = [path.name for path in found if not path.exists()]
    if missing:
        raise CourseError(f"book/_toc.yml lists {', '.join(missing)}, which notebooks/ does not hold")
    return found


def contents():
    """Pages in the order of ``_toc.yml``."""
    table = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    return [entry["file"] for part in table["parts"] for entry in part["chapters"]]


def _executed(notebook, profile):
    done = notebooks.execute(notebook.stem.split("_")[0], profile)
    if done.error:
        raise CourseError(f"{notebook.name} failed in profile {profile}: {done.error}")
    return done.path


def for_site(text):
    """An executed notebook as the site shows and hands it out.

    Without the cell that papermill injects and its records, and with no address of another server.
    """
    notebook = json.loads(text)
    notebook["cells"] = [
        cell for cell in notebook["cells"] if "injected-parameters" not in cell["metadata"].get("tags", [])
    ]
    for cell in notebook["cells"]:
        cell["metadata"] = {key: cell["metadata"][key] for key in ("tags",) if key in cell["metadata"]}
    notebook["metadata"].pop("papermill", None)
    return json.dumps(notebook, indent=1, ensure_ascii=False).replace(CDN, "../_static/mathjax/tex-chtml.js")


def title(notebook):
    """Title of a chapter: its first heading, "05 · Interpolation …"."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        found = re.search(r"^# (.+)$", "".join(cell["source"]), re.M) if cell["cell_type"] == "markdown" else None
        if found:
            return found[1].strip()
    raise CourseError(f"{notebook.name} has no title: begin with '# {notebook.stem[:2]} · Title'")


def hero(folder):
    """The picture on the landing page: chapter 00's viewer, or one made here where it was not run."""
    for notebook in sorted(folder.glob("00_*.ipynb")):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                body = "".join(output.get("data", {}).get("text/html", ""))
                if "medsr-viewer" in body and "&quot;compare&quot;" in body:
                    return f'<div class="medsr-hero">{_before_and_after(body)}</div>'
    return f'<div class="medsr-hero">{_plain_hero()}</div>'


def _before_and_after(viewer):
    """The viewer with its first image, the coarse one, on the left and the network's on the right."""
    titles = re.findall(r'<img alt="([^"]*)"', viewer)
    right = next((k for k, name in enumerate(titles) if name.startswith("network")), len(titles) - 1)
    return re.sub(r"(&quot;start&quot;: )\[\d+, \d+\]", rf"\g<1>[0, {right}]", viewer)


def _plain_hero():
    from unittest import mock

    from medsr_course.physics import acquisition, interpolation
    from medsr_course.scans import datasets, volumes
    from medsr_course.teaching import viewers

    image = datasets.load("mni152")[0].contrasts["T1w"]
    fine = volumes.axial_slices(image, n=1)[:, :232, :196]
    coarse = acquisition.kspace_crop(fine, 4)
    shown = {"Four times too coarse": coarse[0], "Zero-filled": interpolation.zero_fill(coarse, 4)[0], "Full": fine[0]}
    with mock.patch("IPython.display.display") as display:
        viewers.compare(
            shown,
            caption="A brain template with one sixteenth of its measurements left. Drag the divider.",
            pixel_size=volumes.pixel_size(image),
            start=("Four times too coarse", "Full"),
        )
    return display.call_args.args[0]["text/html"]


def picture(path):
    """The README's picture: chapter 00's slice, measured coarsely and brought back."""
    from medsr_course.networks import pretrained
    from medsr_course.physics import acquisition, interpolation
    from medsr_course.scans import datasets, volumes
    from medsr_course.teaching import figures

    truth = volumes.axial_slices(datasets.load("mni152")[0].contrasts["T1w"])[:, :228, :196]
    coarse = acquisition.kspace_crop(truth, 4)
    zipped, network = interpolation.zero_fill(coarse, 4), pretrained.super_resolve("espcn-x4", coarse)
    panels = {
        "measured: 4 mm pixels": coarse,
        "zero-filled (ZIP)": zipped,
        "network": network,
        "truth: 1 mm pixels": truth,
    }
    fig, axes = figures.subplots(1, 4, size=(10, 3.4))
    for ax, (name, stack) in zip(axes, panels.items(), strict=True):
        rows, columns = stack.shape[1:]
        shift = (228 / rows - 1) / 2  # sample 0 stays in place
        extent = (-0.5 - shift, 195.5 - shift, -0.5 - shift, 227.5 - shift)
        ax.imshow(stack[6], vmin=0, vmax=truth.max(), cmap="gray", origin="lower", extent=extent)
        ax.set(title=name, xlim=(22, 172), ylim=(32, 202), xticks=[], yticks=[])
    fig.savefig(path, dpi=110, facecolor="white")


def course_map(listed):
    """Parts and chapters of the course, those not yet written marked as planned."""
    there = {notebook.stem: notebook for notebook in listed}
    lines, part = [], None
    with (BOOK / "course.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["part"] != part:
                part = row["part"]
                lines += ["", f"**{part}**", ""]
            if row["slug"] in there:
                name = title(there[row["slug"]])
                lines.append(f"- [{name}](notebooks/{row['slug']}.ipynb) – {row['summary']}")
            else:
                name = f"{row['number']} · {row['title']}"
                text = f"{html.escape(name)} – {html.escape(row['summary'])} *(planned)*"
                lines.append(f'- <span class="medsr-planned">{text}</span>')
    return "\n".join(lines) + "\n"


def solutions(listed):
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
        lines += ["", f"## {title(notebook)}", "", f"[To the chapter](notebooks/{notebook.name})"]
        for name in names:
            exercise = exercises.find(name)
            lines += ["", f"### {name}", "", _plain(exercise.task), ""]
            lines += ["```{admonition} Hint", ":class: dropdown tip", _plain(exercise.hint), "```", ""]
            lines += ["````{admonition} Solution", ":class: dropdown", "```python"]
            lines += [exercise.source().rstrip(), "```", "````"]
    return "\n".join(lines) + "\n"


def _plain(text):
    """Text in which only `code` is markup, as MyST source."""
    parts = re.split(r"(`[^`]*`)", text)
    escaped = (part if part.startswith("`") else re.sub(r"([\\*_<\[\]$#|])", r"\\\1", part) for part in parts)
    return "".join(escaped)


def networks():
    """The cards of the shipped networks: what they are for, what they were made from, what they gain."""
    from medsr_course.networks import pretrained

    lines = [
        "# The trained networks",
        "",
        "Each network ships with a card, a JSON file beside its weights: this page shows the cards. Gains of those",
        "for super-resolution are over zero-filling, by the measurement protocol of the",
        "[leaderboard](leaderboard.md). What the others are compared with stands in their columns, and there.",
    ]
    cards = [pretrained.card(name) for name in pretrained.names(task=None)]
    for card in sorted(cards, key=lambda card: (card.task != SR, card.task, card.name)):
        share = ", ".join(f"{source} {100 * part:.0f} %" for source, part in card.share.items())
        facts = {
            "Task": card.task,
            "Weights": card.provenance(),
            "Parameters": f"{card.parameters:,}",
            "Made by": f"`{card.recipe}`" + (f", starting from `{card.start}`" if card.start else ""),
            "Training": f"{card.steps} steps of {card.batch}, {card.seconds} s on two cores, seed {card.seed}",
            "Data": "; ".join(_plain(text) for text in card.data),
            "Share of each": _plain(share) if len(card.share) > 1 else "",
            "Licence": card.licence,
            "Meant for": _plain(card.intended_use),
            "**Not for**": _plain(card.not_for),
        }
        lines += ["", f"## {_plain(card.title)} (`{card.name}`)", ""]
        lines += [f"- {key}: {value}" for key, value in facts.items() if value]
        lines += ["", *(_gains(card) if card.task == SR else _measured(card.metrics))]
    return "\n".join(lines) + "\n"


SR = "super-resolution"


def _gains(card):
    """Table of a super-resolution network's gains, and those of its twin."""
    twin = card.twin["metrics"] if card.twin else {}
    rows = {
        group: {
            "ZIP (dB)": f"{row['zip (dB)']:.2f}",
            "gain (dB)": f"{row['gain (dB)']:+.2f}",
            "inside the head (dB)": f"{row['gain_head (dB)']:+.2f}",
            **({"gain without real scans (dB)": f"{twin[group]['gain (dB)']:+.2f}"} if group in twin else {}),
        }
        for group, row in card.metrics.items()
    }
    return _measured(rows)


def _measured(rows):
    """Table of a card's metrics: group → column → value."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = ["| " + " | ".join(["measured on", *map(_plain, columns)]) + " |", "|---|" + "---:|" * len(columns)]
    for group, row in rows.items():
        lines.append("| " + " | ".join([_plain(group), *(str(row.get(key, "")) for key in columns)]) + " |")
    return lines


def results(source):
    """Measured tables and figures of ``results/``, shown as they were committed."""
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
        heading = path.stem.replace("_", " ").replace("-", " ").capitalize()
        if path.suffix == ".md":
            text = _section(path)
            lines += ["", text if text.startswith("##") else f"## {heading}\n\n{text}"]
        elif path.suffix == ".csv" and path.name not in described:
            lines += [] if path.with_suffix(".md") in files else ["", f"## {heading}"]
            lines += ["", _short_table(path, target)]
        elif path.suffix in (".png", ".svg") and path.name not in described:
            lines += ["", f"![{heading}](results/{path.name})"]
    if not files:
        lines += ["", "No measurement has been committed yet."]
    return "\n".join(lines) + "\n"


def leaderboards(source):
    """What ``medsr leaderboard`` and its like committed: every ``results/leaderboard*.md``, its files beside it."""
    folder, target = ROOT / "results", source / "results"
    target.mkdir(exist_ok=True)
    for path in folder.glob("leaderboard*"):
        if path.suffix in (".png", ".svg", ".csv"):
            shutil.copy2(path, target)
    lines = []
    for path in sorted(folder.glob("leaderboard*.md"), key=lambda path: path.stem):
        lines += [_section(path), ""]
        tables = [p.name for end in ("", "-means", "-tests") for p in folder.glob(f"{path.stem}{end}.csv")]
        if tables:
            lines += ["All values: " + ", ".join(f"{{download}}`{name} <results/{name}>`" for name in tables) + ".", ""]
    return "\n".join(lines) if lines else "Nothing has been measured yet: `medsr leaderboard` does it."


def _section(path):
    """A text of ``results/`` as part of a page: headings one level down, pictures where the page finds them."""
    text = path.read_text(encoding="utf-8").strip()
    text = re.sub(r"^(#+) ", r"#\1 ", text, flags=re.M)
    return re.sub(r"\]\((?!\w+:|results/)(\S+\.(?:png|svg))\)", r"](results/\1)", text)


def _short_table(path, target):
    """The table, or a link to its file where a page of it would be scrolled and not read."""
    text = _table(path)
    if text.count("\n") <= LONG_TABLE:
        return text
    shutil.copy2(path, target)
    return f"All values: {{download}}`{path.name} <results/{path.name}>`."


def _table(path):
    with path.open(encoding="utf-8", newline="") as file:
        rows = [[cell.replace("|", "\\|") for cell in row] for row in csv.reader(file) if row]
    notes = [row[0] for row in rows if row[0].startswith("#")]
    rows = [row for row in rows if not row[0].startswith("#")]
    lines = [f"{' '.join(note.lstrip('# ') for note in notes)}\n"] if notes else []
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(len(lines) - len(rows) + 1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def _sphinx(source, output, quiet):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    command += ["-d", str(output / "doctrees"), str(source), str(output / "html")]
    # One thread and no bytecode beside conf.py; the site's Python needs nothing of the notebooks.
    done = subprocess.run(command, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True)
    said = done.stderr.strip()
    if done.returncode:
        raise CourseError(f"Sphinx found something to mend:\n{said or done.stdout.strip()}")
    if said and not quiet:
        print(said)


def _write(path, text):
    path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description="Build the website of the course.")
    parser.add_argument("--profile", choices=PROFILES, default="lesson", help="how long the chapters train")
    parser.add_argument("--unexecuted", action="store_true", help="show the chapters without their outputs")
    parser.add_argument("--output", type=Path, help="folder instead of book/_build")
    parser.add_argument("--picture", action="store_true", help="make the README's picture again, and nothing else")
    options = parser.parse_args()
    try:
        if options.picture:
            picture(BOOK / "_static" / "landing.png")
            return 0
        pages = build(options.profile, execute=not options.unexecuted, output=options.output)
    except CourseError as error:
        print(f"book: {error}", file=sys.stderr)
        return 1
    print(f"the site is in {pages}: open {pages / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
