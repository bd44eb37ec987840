"""The command ``medsr``: doctor, run, leaderboard, data, enhance, serve, probe, audit, progress, marks."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medsr_course import __version__, runtime
from medsr_course.commands import checks, classroom, enhance
from medsr_course.runtime import CourseError

if TYPE_CHECKING:
    from rich.console import Console

    from medsr_course.teaching.notebooks import Executed

EXIT_CODES = """\b
Exit codes:
  0    success
  1    something that can be mended, or a chapter or claim that failed
  2    wrong usage
  3    enhance: written, but with caution; audit: something to look at
  4    enhance: refused, nothing written; audit: something is wrong
  5    enhance: some of a folder's scans failed
  130  interrupted; the same command goes on from there"""

app = typer.Typer(
    help="The course *Deep learning for medical super-resolution imaging* on the command line.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Data sets: list, download, generate, verify, free.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.command(cls=enhance.Labels)(enhance.enhance)
app.command()(enhance.serve)
app.add_typer(checks.probe_app, name="probe")
app.command()(checks.audit)
app.command()(classroom.progress)
app.command()(classroom.marks)


def main() -> None:
    """Entry point: a mistake the reader can mend is one or two lines and exit code 1; see :data:`EXIT_CODES`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a pipe in a legacy code page must not stop on "✓"
            stream.reconfigure(errors="replace")
    try:
        app()
    except CourseError as error:
        print(f"medsr: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in runtime.DISK_TROUBLE:
            raise
        print(f"medsr: {runtime.disk_trouble(error, error.filename or runtime.cache_dir())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nmedsr: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Tell on stderr what is downloaded, made, kept and found again.")
    ] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
        logger = logging.getLogger("medsr_course")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Tell what this machine has, what works, and what to do about what does not."""
    from medsr_course import doctor as examination

    found = examination.as_dict()
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        marks = {"ok": "✓", "note": "–", "problem": "✗"}
        for row in found["findings"]:
            remedy = f"\n    → {row['remedy']}" if row["remedy"] else ""
            where = f" ({row['where']})" if row["where"] else ""
            print(f"{marks[row['status']]} {row['what']}: {row['detail']}{where}{remedy}")
    if not found["ok"]:
        raise typer.Exit(1)


@app.command()
def run(
    chapter: Annotated[list[str] | None, typer.Argument(help="Chapters, e.g. 05; all when none is named.")] = None,
    profile: Annotated[str, typer.Option(help="smoke, lesson or full")] = "lesson",
    output: Annotated[Path, typer.Option(help="Folder for notebooks, claims.json and timings.json.")] = Path("out"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Execute even where a valid executed copy is kept.")] = False,
) -> None:
    """Execute chapters; exit 1 when one fails, or a claim fails or is missing."""
    from rich import progress

    from medsr_course.teaching import durations, notebooks

    failed, bad = False, []
    console = _console()
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        for at in notebooks.run(chapter or (), profile, output, fresh=fresh):
            if at.done is None:
                if profile == "full":
                    console.print(durations.at_most(at.chapter), soft_wrap=True)
                bar.update(task, description=at.source.stem, total=at.total)
                continue
            failed |= bool(at.done.error)
            bad += [row for row in at.claims if row["ok"] is False]
            console.print(_summary(at.done, at.claims))
            bar.advance(task)
    for row in bad:
        outcome = row["why"] or f"{row['value']:.3g}"
        console.print(f"✗ {row['chapter']} {row['claim']}: {outcome} ({row['bound'] or row['kind']})", soft_wrap=True)
    if failed or bad:
        raise typer.Exit(1)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, markup=False)


def _summary(done: "Executed", rows: Sequence[Mapping[str, Any]]) -> str:
    held = sum(row["ok"] is True for row in rows)
    open_ = sum(row["ok"] is None for row in rows)
    text = f"{done.chapter}  {done.seconds:6.1f} s  {done.peak_mib:6.0f} MiB  {held}/{len(rows) - open_} claims hold"
    text += f", {open_} not measured here" if open_ else ""
    text += "  (kept copy)" if done.reused else ""
    return text + (f"\n    stopped: {done.error}" if done.error else "")


@app.command()
def leaderboard(
    task: Annotated[str, typer.Option(help="Another task's board, e.g. denoising.")] = "",
    scale: Annotated[list[int] | None, typer.Option(help="2 or 4; both when none is given.")] = None,
    data: Annotated[str, typer.Option(help="cohort, real or all (real where they are here).")] = "all",
    methods: Annotated[str, typer.Option(help="Names with commas, e.g. srresnet-x2,cubic; all when none.")] = "",
    output: Annotated[
        Path | None, typer.Option(help="Folder; by default results, or out/leaderboard for a part of the whole.")
    ] = None,
    cohort_seed: Annotated[int, typer.Option(help="Seed of the cohort.")] = 0,
    subjects: Annotated[
        int, typer.Option(min=6, max=1000, help="Cohort size; every sixth is a test subject, and made.")
    ] = 120,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what was measured before.")] = False,
) -> None:
    """Every method on the same scans: a table, paired tests and a figure; goes on where it was interrupted.

    Kinds of input: "stored" is what a file holds, the magnitude of a complex coarse image (the headline); "signed" is
    the crop of the magnitude's own k-space, which no file holds; then stored images with noise of one coil, of eight
    coils, or of a coarser native grid (interpolated). Gains are over ZIP of the same image. Twenty synthetic test
    subjects, one contrast each, give the intervals (Student's t, over people); real scans are shown one by one.
    """
    from rich.table import Table

    from medsr_course.leaderboard import boards, engine
    from medsr_course.leaderboard.scans import SCALES, Request

    if task not in ("", boards.DEFAULT) and (scale or methods or data != "all" or fresh):
        raise CourseError("--scale, --data, --methods and --fresh are for super-resolution: leave them out")
    scales = tuple(sorted(set(scale or SCALES)))
    if not set(scales) <= set(SCALES):
        raise CourseError(f"--scale {scales[0] if scales[0] not in SCALES else scales[-1]}: choose 2 or 4")
    wanted = [name.strip() for name in methods.split(",") if name.strip()]
    console = _console()
    request = Request(
        data, scales, wanted, cohort_seed, subjects, fresh, lambda line: console.print(line, soft_wrap=True)
    )
    board, rows, folder = engine.run(task or boards.DEFAULT, output, request)
    for heading, columns, cells in board.tables(rows):
        table = Table(title=heading, title_justify="left")
        for column in columns:
            table.add_column(column, justify="left" if column == "method" else "right")
        for row in cells:
            table.add_row(*row)
        console.print(table)
    console.print(f"written to {folder}: {board.stem}{', '.join(board.files)}", soft_wrap=True)


@data_app.command("list")
def data_list() -> None:
    """What data there is, under which licence, and what of it is here."""
    from medsr_course.scans import datasets

    for row in datasets.available():
        mark = "✓" if row.present else "–"
        print(f"{mark} {row.name:<16} {row.what}\n    licence {row.licence}; {row.where}")


@data_app.command("get")
def data_get(
    name: str,
    force: Annotated[bool, typer.Option("--force", help="Download again what is here already.")] = False,
    sha256: Annotated[str | None, typer.Option(help="Checksum, where the catalogue has none.")] = None,
    accept_unverified: Annotated[bool, typer.Option("--accept-unverified", help="Go without a checksum.")] = False,
) -> None:
    """Download a data set; goes on where an earlier download stopped."""
    from medsr_course.scans import catalogue

    print(catalogue.fetch(name, force, sha256=sha256, accept_unverified=accept_unverified))


@data_app.command("make")
def data_make(
    name: Annotated[str, typer.Argument(help="cohort")],
    subjects: Annotated[int, typer.Option(min=1, max=1000, help="How many subjects.")] = 24,
    seed: Annotated[int, typer.Option(help="Seed of the cohort.")] = 0,
) -> None:
    """Generate the synthetic cohort; makes what is missing."""
    import time

    from medsr_course.scans import datasets

    if name != "cohort":
        raise CourseError(f"only the cohort is made here, not {name!r}: try `medsr data make cohort`")
    before, began = datasets.cohort_size(seed=seed, n_subjects=subjects), time.perf_counter()
    datasets.load("cohort", n_subjects=subjects, seed=seed)
    seconds, made = time.perf_counter() - began, subjects - before
    if made <= 0:
        print(f"{subjects} subjects were there already.")
    else:
        print(f"{made} subjects in {seconds:.0f} s: {made / seconds:.3f} subjects per second.")


@data_app.command("bundle")
def data_bundle(
    folder: Annotated[Path, typer.Argument(help="Where to, e.g. on a USB stick.")],
    name: Annotated[list[str] | None, typer.Argument(help="Data sets of the catalogue to add.")] = None,
) -> None:
    """Copy the cohort, and data sets of the catalogue, into a folder for machines without a network."""
    from medsr_course.scans import bundles

    for line in bundles.write(folder, name or ()):
        print(line)


@data_app.command("unbundle")
def data_unbundle(folder: Annotated[Path, typer.Argument(help="The folder that `medsr data bundle` made.")]) -> None:
    """Copy what such a folder holds into the cache, and verify downloads."""
    from medsr_course.scans import bundles

    for line in bundles.read(folder):
        print(line)


@data_app.command("check")
def data_check(
    name: Annotated[str | None, typer.Argument(help="One data set; all present when none is named.")] = None,
) -> None:
    """Verify what is in the cache against checksums."""
    from medsr_course.scans import datasets

    bad = 0
    for what, ok, detail in datasets.check(name):
        print(f"{'✓' if ok else '✗'} {what}: {detail}")
        bad += not ok
    if bad:
        raise typer.Exit(1)


@data_app.command("clean")
def data_clean(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Free the cache: downloads, cohorts, executed notebooks, measured rows, unfinished trainings and benchmarks.

    What a service was given and did not hand out goes, too.
    """
    import shutil

    folder = runtime.cache_dir()
    # Only the course's own folders: MEDSR_CACHE may point at a folder with other things in it.
    own = [folder / name for name in runtime.CACHED if (folder / name).is_dir()] + sorted(folder.glob("cohort-*"))
    size = sum(p.stat().st_size for child in own for p in child.rglob("*") if p.is_file()) / 2**20
    if not own:
        print(f"{folder} holds nothing of the course.")
        return
    named = ", ".join(child.name for child in own)
    if not yes and not typer.confirm(f"Delete {size:.0f} MiB in {folder} ({named})?"):
        raise typer.Exit(1)
    for child in own:
        shutil.rmtree(child, ignore_errors=True)
    print(f"Freed {size:.0f} MiB: {named}.")
