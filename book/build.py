"""Build the website: executed chapters, pages, solutions, measured tables → book/_build/html.

    python -m book.build [--profile smoke|lesson|full] [--unexecuted] [--links] [--picture]

The source that Sphinx reads is assembled in ``book/_build/source``: the pages of this folder, the
executed copies of the chapters, and what is generated from the package and from ``results/``. The site
asks nothing from any other server. A page that is no longer made is gone from the next site, and a site stays as it is
until the next one is whole.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from book import appendix, archive, chinese, copies, icons, landing, libraries, pages
from medsr_course import resources
from medsr_course.runtime import PROFILES, CourseError
from medsr_course.teaching import notebooks

BOOK = pages.BOOK
SETTINGS = ("conf.py", "_toc.yml", "references.bib")
MARK = ".medsr-book"  # in a folder that a build made


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
        Default ``book/_build``; gets the folders ``source``, ``doctrees`` and ``html``. Another folder must be new,
        empty, or of an earlier build.
    quiet : bool
        Say nothing but what is wrong.

    Raises
    ------
    CourseError
        When the folder holds other files, a chapter fails, or Sphinx has a warning.
    """
    target = _own(Path(output or BOOK / "_build"))
    source, made, html = target / "source", target / "html.new", target / "html"
    for folder in (source, made):
        shutil.rmtree(folder, ignore_errors=True)
    handed = _assemble(source, profile, execute, quiet)
    _sphinx("html", source, made, target / "doctrees", quiet)
    for name, text in handed.items():
        _write(made / "_sources" / "notebooks" / name, text)
    if (source / archive.NAME).exists():
        shutil.copy2(source / archive.NAME, made)
    icons.keep_shown(made)
    shutil.rmtree(html, ignore_errors=True)
    made.rename(html)
    return html


def check_links(output: "str | os.PathLike[str] | None" = None) -> None:
    """Ask every address that the pages link to; ``CourseError`` names those that do not answer. Needs a network."""
    target = _own(Path(output or BOOK / "_build"))
    source = target / "source"
    shutil.rmtree(source, ignore_errors=True)
    _assemble(source, "lesson", False, True)
    _sphinx("linkcheck", source, target / "links", target / "doctrees-links", False)


def _own(target: Path) -> Path:
    """The folder of a build, marked as such; an error where it holds what no build made."""
    mine = target == BOOK / "_build" or (target / MARK).exists()
    if target.exists() and not (mine or (target.is_dir() and not any(target.iterdir()))):
        raise CourseError(f"{target} holds what no build made, and a build deletes: choose a new or empty folder")
    target.mkdir(parents=True, exist_ok=True)
    (target / MARK).touch()
    return target


def _assemble(source: Path, profile: str, execute: bool, quiet: bool) -> dict[str, str]:
    """Write all that Sphinx reads; returns the notebooks as they are handed out, by their file names."""
    (source / "generated").mkdir(parents=True)
    for written in [BOOK / name for name in SETTINGS] + sorted(BOOK.glob("*.md")):
        shutil.copy2(written, source)
    shutil.copytree(BOOK / "_static", source / "_static")
    figures = source / "_static" / "figures"
    figures.mkdir()

    loaded = libraries.place(source / "extra")
    listed = pages.chapters()
    (source / "notebooks").mkdir()
    handed = {}
    for notebook in listed:
        if execute and not quiet:
            print(f"{notebook.stem} …", flush=True)
        path = _executed(notebook, profile) if execute else notebook
        handed[notebook.name] = copies.handed_out(path.read_text(encoding="utf-8"))
        _write(source / "notebooks" / notebook.name, copies.shown(handed[notebook.name], figures, loaded))

    size = archive.write(source / archive.NAME)
    _write(source / "generated" / "hero.html", landing.hero(handed))
    _write(source / "generated" / "map.md", landing.course_map(listed))
    _write(source / "solutions.md", pages.solutions(listed))
    _fill(source / "networks.md", pages.networks(source))
    _write(source / "results.md", pages.results(source))
    _fill(source / "leaderboard.md", pages.leaderboards(source))
    _fill(source / "index.md", landing.facts(listed, size))
    _fill(source / "glossary.md", appendix.glossary(listed))
    to_chapters = appendix.links(listed)
    _fill(source / "article-corrected.md", {"{{ARTICLE}}": appendix.article(listed), **to_chapters})
    _fill(source / "law.md", to_chapters)
    chinese.fill(source, listed, size)
    if "teach" in pages.contents():  # the edition without solutions has no pages for teachers
        from classroom import site

        site.write(source)
    _fill(source / "own-image.md", {"{{OWN}}": libraries.own_image(loaded), **to_chapters})
    return handed


def _executed(notebook: Path, profile: str) -> Path:
    done = notebooks.execute(notebook.stem.split("_")[0], profile)
    if done.error:
        raise CourseError(f"{notebook.name} failed in profile {profile}: {done.error}")
    return done.path


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


def _sphinx(builder: str, source: Path, output: Path, doctrees: Path, quiet: bool) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", builder]
    command += ["-d", str(doctrees), str(source), str(output)]
    # One thread and no bytecode beside conf.py; the site's Python needs nothing of the notebooks.
    settings = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "MEDSR_BUILT": _built()}
    done = subprocess.run(command, env=settings, capture_output=True, text=True)
    said = done.stderr.strip()
    if done.returncode:
        raise CourseError(f"Sphinx found something to mend:\n{said or done.stdout.strip()}")
    if said and not quiet:
        print(said)


def _built() -> str:
    """For the foot of every page: the day of the build, and the commit where there is one."""
    about = resources.provenance()
    commit = f" from commit {about['commit']}" if about["commit"] else ""
    return f"Built on {about['date']}{commit}{', and changed since' if about['changed'] else ''}."


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
    parser.add_argument("--output", type=Path, help="folder instead of book/_build: new, empty, or of an earlier build")
    parser.add_argument("--links", action="store_true", help="build nothing; ask every address that the pages link to")
    parser.add_argument("--picture", action="store_true", help="make the README's picture again, and nothing else")
    options = parser.parse_args()
    try:
        if options.picture:
            picture(BOOK / "_static" / "landing.png")
            return 0
        if options.links:
            check_links(options.output)
            return 0
        site = build(options.profile, execute=not options.unexecuted, output=options.output)
    except CourseError as error:
        print(f"book: {error}", file=sys.stderr)
        return 1
    print(f"the site is in {site}: open {site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
