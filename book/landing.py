"""The landing page: its picture, its map of the course, and what it says of length, size and gain."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from book import copies
from book.pages import cells, link, plain, rows

WORDS_A_MINUTE = 150  # of a text with formulas, read in a foreign language
NETWORK = "srresnet-x2"  # whose gain the page names


def hero(handed: Mapping[str, str]) -> str:
    """HTML of the landing page's picture: chapter 00's viewer, or one made here where it was not run.

    Parameters
    ----------
    handed : dict of str to str
        Notebooks as the site hands them out: file name → text.
    """
    for notebook in (text for name, text in handed.items() if name.startswith("00_")):
        for block in json.loads(notebook)["cells"]:
            for output in block.get("outputs", []):
                body = "".join(output.get("data", {}).get("text/html", ""))
                if "medsr-viewer" in body and "&quot;compare&quot;" in body:
                    return f'<div class="medsr-hero">{_before_and_after(copies.inside(body))}</div>'
    return f'<div class="medsr-hero">{_template_viewer()}</div>'


def _before_and_after(viewer: str) -> str:
    """The viewer with its first image, the coarse one, on the left and the network's on the right."""
    titles = re.findall(r'<img alt="([^"]*)"', viewer)
    right = next((k for k, name in enumerate(titles) if name.startswith("network")), len(titles) - 1)
    return re.sub(r"(&quot;start&quot;: )\[\d+, \d+\]", rf"\g<1>[0, {right}]", viewer)


def _template_viewer() -> str:
    from medsr_course.physics import coils, interpolation
    from medsr_course.scans import datasets, volumes
    from medsr_course.teaching import viewers

    image = datasets.load("mni152")[0].contrasts["T1w"]
    fine = volumes.axial_slices(image, n=1)[:, :232, :196]
    coarse = coils.stored(fine, 4, "template").astype("float32")
    viewer = viewers.compare(
        {"Four times too coarse": coarse[0], "Zero-filled": interpolation.zero_fill(coarse, 4)[0], "Full": fine[0]},
        caption="A brain template with one sixteenth of its measurements left. Drag the divider.",
        pixel_size=volumes.pixel_size(image),
        start=("Four times too coarse", "Full"),
    )
    return viewer.html


def course_map(listed: list[Path]) -> str:
    """Parts and chapters of the course, those not yet written marked as planned."""
    there = {notebook.stem: notebook for notebook in listed}
    lines: list[str] = []
    part = None
    for row in rows("course"):
        if row["part"] != part:
            part = row["part"]
            lines += ["", f"**{plain(part)}**", ""]
        if row["slug"] in there:
            lines.append(f"- {link(there[row['slug']])} – {plain(row['summary'])}")
        else:
            text = f"{plain(row['number'])} · {plain(row['title'])} – {plain(row['summary'])} *(planned)*"
            lines.append(f'- <span class="medsr-planned">{text}</span>')
    return "\n".join(lines) + "\n"


def facts(listed: list[Path], size: int) -> dict[str, str]:
    """What the landing page leaves a place for: place → text.

    Parameters
    ----------
    listed : list of path
        The chapters.
    size : int
        Of the archive ``course.zip`` in bytes; 0 where there is none.
    """
    start = f"notebooks/{listed[0].stem}" if listed else "how-to-use"
    chapters, hours = length(listed)
    number = honest_number()
    return {
        "{{START}}": start,
        "{{CHAPTERS}}": chapters,
        "{{HOURS}}": hours,
        "{{NUMBER}}": f"What to expect\n: {number}" if number else "",
        "{{GET}}": _get(size),
        "{{PLANNED}}": "A chapter marked *planned* is not written yet." if len(listed) < len(rows("course")) else "",
    }


def length(listed: list[Path]) -> tuple[str, str]:
    """How many chapters there are, and how many hours it takes to read them."""
    hours = sum(words(notebook) for notebook in listed) / WORDS_A_MINUTE / 60
    return str(len(listed)), f"{hours:.0f}"


def words(notebook: Path) -> int:
    """Words of a chapter's text; code, outputs, exercises and quiz not counted."""
    written = ("".join(block["source"]) for block in cells(notebook) if block["cell_type"] == "markdown")
    return sum(len(text.split()) for text in written)


def honest_number() -> str:
    """The gain of a shipped network on real scans that chose nothing, from ``results/``, and what that is in error."""
    from medsr_course.leaderboard import methods, stored

    found, note = stored.gains(NETWORK, 2, split="test", data="real-scans")
    gains = [row["psnr"] for row in found.values()]
    if not gains:
        return ""
    least, most = (f"{gain:+.2f}".replace("-", "−") for gain in (min(gains), max(gains)))
    share = [f"{100 * (1 - 10 ** (-gain / 10)):.0f}".replace("-", "−") for gain in (min(gains), max(gains))]
    name, day = plain(methods.title(NETWORK)), note.split("; ")[-1]
    return (
        f"**{least} to {most} dB.** That is what {name} gained over zero-filling on {len(gains)} real scans which had "
        f"taught it nothing: {share[0]} to {share[1]} % less squared error. It was measured on {day}. Zero-filling is "
        "what any scanner can do. Papers report larger gains over weaker opponents; [how we measure](leaderboard.md) "
        "says why they cannot be compared."
    )


def repository() -> str:
    """The address of the course's repository; empty where it has none yet."""
    return os.environ.get("MEDSR_REPO_URL", "").rstrip("/")


def _get(size: int) -> str:
    """How to get the course: the archive where there is one, the repository where its address is known."""
    ways = []
    if size:
        ways.append(f'Download <a href="course.zip">course.zip</a> ({size / 1e6:.0f} MB) and unpack it.')
    if repository():
        ways.append(f"{'Or' if size else 'With git:'} `git clone {repository()}`.")
    return " ".join(ways) or "Ask whoever gave you this site for the course's folder."
