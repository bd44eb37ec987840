"""Build the website: executed chapters, pages, solutions, measured tables → book/_build/html.

    python -m book.build [--profile smoke|lesson|full] [--unexecuted] [--picture]

The source that Sphinx reads is assembled in ``book/_build/source``: the pages of this folder, the
executed copies of the chapters, and what is generated from the package and from ``results/``. The site
asks nothing from any other server.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from book import appendix, chinese, libraries, pages
from medsr_course.runtime import PROFILES, CourseError
from medsr_course.teaching import notebooks

BOOK = pages.BOOK
SETTINGS = ("conf.py", "_toc.yml", "references.bib")
# jupyterquiz falls back on this address where MathJax has not loaded yet; ours is on the site itself.
CDN = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-svg.js"


def build(
    profile: str = "lesson",
    *,
    execute: bool = True,
    output: "str | os.PathLike[str] | None" = None,
    quiet: bool = False,
) -> Path:
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
    target = Path(output or BOOK / "_build")
    source = target / "source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "generated").mkdir(parents=True)
    for written in [BOOK / name for name in SETTINGS] + sorted(BOOK.glob("*.md")):
        shutil.copy2(written, source)
    shutil.copytree(BOOK / "_static", source / "_static")

    loaded = libraries.place(source / "extra")
    listed = pages.chapters()
    (source / "notebooks").mkdir()
    for notebook in listed:
        if execute and not quiet:
            print(f"{notebook.stem} …", flush=True)
        text = notebook.read_text(encoding="utf-8")
        if execute:
            text = _executed(notebook, profile).read_text(encoding="utf-8")
        _write(source / "notebooks" / notebook.name, for_site(text, loaded))

    _write(source / "generated" / "hero.html", pages.hero(source / "notebooks"))
    _write(source / "generated" / "map.md", pages.course_map(listed))
    _write(source / "solutions.md", pages.solutions(listed))
    _write(source / "networks.md", pages.networks())
    _write(source / "results.md", pages.results(source))
    _fill(source / "leaderboard.md", {"{{BOARDS}}": pages.leaderboards(source)})
    start = pages.link(listed[0]) if listed else "the chapters are being written"
    _fill(source / "index.md", {"{{START}}": start})
    _fill(source / "glossary.md", appendix.glossary(listed))
    to_chapters = appendix.links(listed)
    _fill(source / "article-corrected.md", {"{{ARTICLE}}": appendix.article(listed), **to_chapters})
    _fill(source / "law.md", to_chapters)
    chinese.fill(source, listed)
    if "teach" in pages.contents():  # the edition without solutions has no pages for teachers
        from classroom import site

        site.write(source)
    _fill(source / "own-image.md", {"{{OWN}}": libraries.own_image(loaded), **to_chapters})
    _sphinx(source, target, quiet)
    return target / "html"


def _executed(notebook: Path, profile: str) -> Path:
    done = notebooks.execute(notebook.stem.split("_")[0], profile)
    if done.error:
        raise CourseError(f"{notebook.name} failed in profile {profile}: {done.error}")
    return done.path


def for_site(text: str, loaded: Mapping[str, int]) -> str:
    """An executed notebook as the site shows and hands it out.

    Without the cell that papermill injects and its records, and with no address of another server. After a cell
    tagged ``volume`` comes a place for whole volumes; ``loaded`` from :func:`libraries.place`.
    """
    notebook = json.loads(text)
    notebook["cells"] = [
        cell for cell in notebook["cells"] if "injected-parameters" not in cell["metadata"].get("tags", [])
    ]
    for cell in notebook["cells"]:
        if "volume" in cell["metadata"].get("tags", []):
            cell["source"] = "".join(cell["source"]) + "\n\n" + libraries.whole_volume(loaded, "../")
        cell["metadata"] = {key: cell["metadata"][key] for key in ("tags",) if key in cell["metadata"]}
    notebook["metadata"].pop("papermill", None)
    return json.dumps(notebook, indent=1, ensure_ascii=False).replace(CDN, "../_static/mathjax/tex-chtml.js")


TITLES = ("measured: 4 mm pixels", "zero-filled (ZIP)", "network", "truth: 1 mm pixels")


def picture(path: Path, titles: Sequence[str] = TITLES) -> None:
    """The README's picture: chapter 00's slice, measured coarsely and brought back."""
    from medsr_course.networks import pretrained
    from medsr_course.physics import coils, interpolation
    from medsr_course.scans import datasets, volumes
    from medsr_course.teaching import figures

    truth = volumes.axial_slices(datasets.load("mni152")[0].contrasts["T1w"])[:, :228, :196]
    coarse = coils.stored(truth, 4, "template").astype("float32")
    zipped, network = interpolation.zero_fill(coarse, 4), pretrained.super_resolve("espcn-x4", coarse)
    panels = dict(zip(titles, (coarse, zipped, network, truth), strict=True))
    fig, axes = figures.subplots(1, 4, size=(10, 3.4))
    for ax, (name, stack) in zip(axes, panels.items(), strict=True):
        rows, columns = stack.shape[1:]
        shift = (228 / rows - 1) / 2  # sample 0 stays in place
        extent = (-0.5 - shift, 195.5 - shift, -0.5 - shift, 227.5 - shift)
        ax.imshow(stack[6], vmin=0, vmax=truth.max(), cmap="gray", origin="lower", extent=extent)
        ax.set(title=name, xlim=(22, 172), ylim=(32, 202), xticks=[], yticks=[])
    fig.savefig(path, dpi=110, facecolor="white")


def _sphinx(source: Path, output: Path, quiet: bool) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    command += ["-d", str(output / "doctrees"), str(source), str(output / "html")]
    # One thread and no bytecode beside conf.py; the site's Python needs nothing of the notebooks.
    done = subprocess.run(command, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True)
    said = done.stderr.strip()
    if done.returncode:
        raise CourseError(f"Sphinx found something to mend:\n{said or done.stdout.strip()}")
    if said and not quiet:
        print(said)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _fill(page: Path, made: Mapping[str, str]) -> None:
    """Put what is made in the places that a written page leaves for it."""
    text = page.read_text(encoding="utf-8")
    for place, part in made.items():
        text = text.replace(place, part)
    _write(page, text)


def main() -> int:
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
        site = build(options.profile, execute=not options.unexecuted, output=options.output)
    except CourseError as error:
        print(f"book: {error}", file=sys.stderr)
        return 1
    print(f"the site is in {site}: open {site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
