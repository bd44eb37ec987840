"""Many scans: a BIDS folder, as a BIDS App, or a folder of files; each by itself, all of them alike.

What a scan becomes is the same bytes as alone, on one engine, whatever else runs beside it; where memory is bounded,
as alone with ``--max-memory`` of its share. It is made in a hidden folder, and put in place when it is whole. A scan is
done where its files are in ``outputs.tsv`` with the checksums they have: the same command again does the rest. Several
runs may share a folder, each with its participants.
"""

import contextlib
import csv
import functools
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsr_course import __version__, runtime
from medsr_course.pipeline import enhancing, memory, outputs
from medsr_course.pipeline import plan as planning
from medsr_course.pipeline import report as reports
from medsr_course.runtime import CourseError
from medsr_course.scans import bids, domain, scansource
from medsr_course.scans.scanfiles.memory import free
from medsr_course.workers import cluster, processes
from medsr_course.workers.folders import LOCK, run_folder

if TYPE_CHECKING:
    from rich.table import Table

TABLE = "medsr.csv"
SOME, CAUTION, REFUSED = 5, 3, 4  # exit codes
_USUAL = 3 << 29  # bytes for each process, where nobody says how many there are
_SHOWN = 40  # rows of a table on the screen
_SCAN = re.compile(r"\.(nii|nii\.gz|nrrd|nhdr)$", re.IGNORECASE)
_LABELS = ("mask", "dseg", "probseg", "roi")  # suffixes of BIDS that are no scans


@dataclass(frozen=True)
class Outcome:
    """What became of a scan, a row of the table; no more of a person than the scan's own name.

    ``outcome`` is "written", "refused", "failed", "planned", "odd" (it would be treated otherwise than the others) or
    "not done"; ``treatment`` is what the scan gets, ``asked`` what was asked for; ``output`` and ``sha256`` are of the
    result, ``added`` and ``consistency`` in % as in its report.
    """

    scan: str
    outcome: str = "not done"
    verdict: str = ""
    reasons: str = ""
    treatment: str = ""
    asked: str = ""
    seconds: float = 0.0
    peak_mib: int = 0
    output: str = ""
    sha256: str = ""
    added: str = ""
    consistency: str = ""


_COLUMNS = tuple(one.name for one in fields(Outcome))


@dataclass(frozen=True)
class Job:
    """What a process must know to treat a scan; ``part`` is a folder for it alone, where its result gets ``target``."""

    name: str
    scan: Path | bids.Scan
    part: Path
    target: Path
    options: planning.Options
    stamp: bool = False
    report: bool = False
    force: bool = False
    software: str = __version__

    @property
    def asked(self) -> str:
        """What was asked for, in words."""
        o, flags = self.options, " on its own grid" * self.options.keep_grid + " stamped" * self.stamp
        return f"{o.task} {o.axes} scale {o.scale or 'auto'} {o.quality}{flags}, medsr {self.software}"


def is_batch(folder: Path) -> bool:
    """Returns whether a path is a folder of scans, not one scan."""
    return folder.is_dir() and (_is_bids(folder) or any(_SCAN.search(path.name) for path in folder.iterdir()))


def _is_bids(folder: Path) -> bool:
    return (folder / "dataset_description.json").is_file() or any(path.is_dir() for path in folder.glob("sub-*"))


def find(
    folder: Path, participants: Collection[str] = (), sessions: Collection[str] = ()
) -> Mapping[str, Path | bids.Scan]:
    """Returns the scans of a folder by name, as BIDS or their files have it.

    Parameters
    ----------
    folder : path
    participants, sessions : collections of str
        Labels, with ``sub-`` and ``ses-`` or without; all by default.

    Raises
    ------
    CourseError
        If there is no scan, or none of a label.
    """
    if not folder.is_dir():
        raise CourseError(f"{folder} is no folder: check the name")
    if not _is_bids(folder):
        if participants or sessions:
            raise CourseError(f"{folder} is no BIDS folder: leave --participant-label and --session-label out")
        files = sorted(path for path in folder.iterdir() if _SCAN.search(path.name) and path.name[0] != ".")
        if not files:
            raise CourseError(f"{folder} holds neither NIfTI files nor sub-…/anat/sub-…_T1w.nii.gz: check the name")
        return {path.name: path for path in files}
    found = [scan for scan in bids.scans(folder) if scan.suffix not in _LABELS]
    for option, key, labels in (("participant", "sub", participants), ("session", "ses", sessions)):
        wanted = {label.removeprefix(f"{key}-") for label in labels}
        for label in sorted(wanted - {scan.entities.get(key) for scan in found}):
            raise CourseError(f"--{option}-label {label}: {folder} has no scan of {key}-{label}")
        found = [scan for scan in found if not wanted or scan.entities.get(key) in wanted]
    return {_SCAN.sub("", scan.path.name): scan for scan in found}


def run(
    folder: Path,
    out: Path,
    options: planning.Options,
    *,
    participants: Collection[str] = (),
    sessions: Collection[str] = (),
    policy: str = "uniform",
    cpus: int | None = None,
    most: int | None = None,
    scheduler: str = "",
    stamp: bool = False,
    report: bool = False,
    force: bool = False,
    dry: bool = False,
) -> list[Outcome]:
    """Treats the scans of a folder, and enters into :data:`TABLE` what became of each as soon as it is known.

    Parameters
    ----------
    folder, out : path
    options : plan.Options
        For all of them.
    participants, sessions : collections of str
        As for :func:`find`.
    policy : {"uniform", "per-scan"}
        All alike or none; or each as it would be alone.
    cpus, most : int, optional
        Cores and bytes for all processes together.
    scheduler : str
        Address of a Dask scheduler, whose workers do it instead.
    stamp, report, force, dry : bool
        As for one scan; ``force`` does again what is done.

    Returns
    -------
    list of Outcome
        Of all scans, those that were done before, too.

    Raises
    ------
    CourseError
        If not all can be treated alike (none is then), or a folder or label is wrong.
    """
    if policy not in domain.POLICIES:
        raise CourseError(f"--policy {policy}: choose one of {', '.join(domain.POLICIES)}")
    scans = find(folder, participants, sessions)
    if out.resolve() == folder.resolve():
        raise CourseError(f"{out} is the folder of the scans: choose another one for the results")
    if not dry:
        runtime.writable_folder(out, "OUT")
    cpus = cpus or runtime.cpu_count()
    room = most // (2 * memory.BASE) if most else (free() or _USUAL * cpus) // _USUAL
    count = max(1, min(cpus, len(scans), room))
    pool = functools.partial(processes.each, count=count, cpus=cpus // count)
    if scheduler:
        pool = functools.partial(cluster.each, address=scheduler)
    elif most:
        options = replace(options, max_memory=min(options.max_memory or most, most // count))
    with tempfile.TemporaryDirectory() if dry else run_folder(out) as place:
        jobs = {}
        for k, (name, scan) in enumerate(scans.items()):
            target = Path(_SCAN.sub(".nii.gz", name)) if isinstance(scan, Path) else Path()
            jobs[name] = Job(name, scan, Path(place) / str(k), target, options, stamp, report, force)
        found = {name: Outcome(name, asked=job.asked) for name, job in jobs.items()} | _finished(out, jobs, force)
        todo = [jobs[name] for name, one in found.items() if one.outcome != "written"]
        alike = policy == "uniform" and len(jobs) > 1
        if dry or alike:
            found |= {job.name: outcome for job, outcome in _each(pool, examine, todo, "look")}
        if alike:
            _all_alike(out, found, dry)
        if dry:
            return list(found.values())
        first = next(iter(scans.values()), None)
        if isinstance(first, bids.Scan):
            bids.introduce(first, out)
        for job, outcome in _each(pool, treat, [job for job in todo if found[job.name].outcome != "failed"], "treat"):
            found[job.name] = _put(out, job, outcome)
        _enter(out, *(one for one in found.values() if one.outcome == "failed"))
    return list(found.values())


def _each(pool: Any, function: Any, jobs: list[Job], what: str) -> Iterator[tuple[Job, Outcome]]:
    lost = {"outcome": "failed", "reasons": "its process ended: too little memory, or a damaged file"}
    with contextlib.closing(pool(function, jobs)) as answers:  # interrupted: its processes end at once
        for job, answer in runtime.progress(answers, what, total=len(jobs), unit="scan"):
            yield job, Outcome(**(answer or lost) | {"scan": job.name, "asked": job.asked})


def _all_alike(out: Path, found: dict[str, Outcome], dry: bool) -> None:
    known = {name: one for name, one in found.items() if one.outcome != "failed"}
    kinds = {name: "refused" if one.outcome == "refused" else "in domain" for name, one in known.items()}
    verdicts = {name: domain.Verdict(kind) for name, kind in kinds.items()}
    batch = domain.mixed(verdicts, {name: one.treatment for name, one in known.items()}, "uniform")
    if batch.stops and not dry:
        _enter(out, *(replace(known[one.name], outcome="odd") for one in batch.odd))
    if batch.stops:
        raise CourseError(batch.words + ("" if dry else f". {out / TABLE} says why"))


def examine(job: Job) -> dict[str, Any]:
    """Returns what would become of a scan, as a dict of :class:`Outcome`."""
    return _guarded(job, False)


def treat(job: Job) -> dict[str, Any]:
    """Treats a scan, writes into its own folder, and returns what became of it, as a dict of :class:`Outcome`."""
    return _guarded(job, True)


def _guarded(job: Job, write: bool) -> dict[str, Any]:
    began = time.perf_counter()
    processes.forget_peak()
    try:
        outcome = _treated(job, write)
    except planning.Refusal as error:
        outcome = Outcome(job.name, "refused", "refused", str(error))
    except MemoryError:
        outcome = Outcome(job.name, "failed", reasons="too little memory: give more, or take fewer --n-cpus")
    except Exception as error:  # one scan stops no other, whatever is wrong with it
        told = str(error) if isinstance(error, CourseError | ValueError) else f"{type(error).__name__}: {error}"
        outcome = Outcome(job.name, "failed", reasons=told)
    words = outcome.reasons
    for place in (_path(job).parent, job.part):
        words = words.replace(f"{place}{os.sep}", "")
    words = " ".join(words.split())[:500]
    seconds = round(time.perf_counter() - began, 2)
    return asdict(replace(outcome, reasons=words, seconds=seconds, peak_mib=processes.peak_mib()))


def _treated(job: Job, write: bool) -> Outcome:
    if job.software != __version__:
        raise CourseError(f"this machine has medsr {__version__}, not {job.software}: install the same one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = scansource.read(job.scan) if isinstance(job.scan, Path) else scansource.read_scan(job.scan)
    plan = planning.plan(source.image, job.options, sidecar=source.sidecar, name=_path(job).name)
    o, words = plan.options, "; ".join(reason.words for reason in plan.verdict.reasons)
    treatment = f"{o.task} {o.axes} ×{o.scale} {o.quality}, {plan.network}"
    outcome = Outcome(job.name, "planned", plan.verdict.status, words, treatment)
    if plan.verdict.status == "refused" and not job.force:
        return replace(outcome, outcome="refused")
    if not write:
        return outcome
    shutil.rmtree(job.part, ignore_errors=True)  # of a worker that was lost
    job.part.mkdir()
    result = enhancing.run(source.image, plan, progress=False, folder=job.part)
    target = job.part / job.target
    page = outputs.report_name(outputs.names(source, target, plan)[0]) if job.report else None
    file, *_ = outputs.write(result, source, target, stamp=job.stamp, page=page)
    found = reports.numbers(result)
    added, consistency = (f"{found[key]:.3g}" if key in found else "" for key in ("added", "consistency"))
    output = file.relative_to(job.part).as_posix()
    outcome = replace(outcome, outcome="written", output=output, sha256=runtime.checksum(file))
    return replace(outcome, added=added, consistency=consistency)


def _path(job: Job) -> Path:
    return job.scan if isinstance(job.scan, Path) else job.scan.path


def _put(out: Path, job: Job, outcome: Outcome) -> Outcome:
    """Puts a scan's files in their place, and enters what became of it."""
    if outcome.outcome == "written":
        try:
            with runtime.locked(out / LOCK):
                _publish(out, job)
        except (CourseError, OSError) as error:
            outcome = replace(outcome, outcome="failed", reasons=str(error), output="", sha256="")
    _enter(out, outcome)
    return outcome


def _publish(out: Path, job: Job) -> None:
    rows = outputs.listed(job.part)
    known = outputs.listed(out)
    for path in rows:
        ours = path in known and known[path]["scan"] == job.name
        if (out / path).exists() and not (job.force or ours and runtime.checksum(out / path) == known[path]["sha256"]):
            raise CourseError(f"{path} is in OUT already: choose another folder, or replace it with --force")
    # The list comes first: nothing in place is without its line, even where this process is killed in between.
    outputs.enter(out, {path: row | {"scan": job.name} for path, row in rows.items()})
    for path in rows:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (job.part / path).replace(out / path)


def _finished(out: Path, jobs: dict[str, Job], force: bool) -> dict[str, Outcome]:
    """The scans that were done before, as is asked now, whose files are what they were then."""
    done = [] if force else [one for one in read(out) if one.outcome == "written" and one.scan in jobs]
    for one in done:
        if one.asked != jobs[one.scan].asked:
            raise CourseError(
                f"{out} has {one.scan} by other options ({one.asked}): choose another OUT, or take --force"
            )
    files: dict[str | None, list[bool]] = {one.scan: [] for one in done}
    for path, row in outputs.listed(out).items():
        if row.get("scan") in files:
            same = (out / path).is_file() and runtime.checksum(out / path) == row["sha256"]
            files[row["scan"]].append(same)
    return {one.scan: one for one in done if files[one.scan] and all(files[one.scan])}


def read(out: Path) -> list[Outcome]:
    """Returns the rows of a folder's table, none where there is no table."""
    if not (out / TABLE).exists():
        return []
    with open(out / TABLE, newline="", encoding="utf-8") as file:
        rows = [Outcome(**{key: row[key] for key in _COLUMNS}) for row in csv.DictReader(file)]  # type: ignore[arg-type]
    return [replace(one, seconds=float(one.seconds), peak_mib=int(one.peak_mib)) for one in rows]


def _enter(out: Path, *outcomes: Outcome) -> None:
    with runtime.locked(out / LOCK):
        rows = {one.scan: one for one in (*read(out), *outcomes)}
        runtime.write_table(out / TABLE, _COLUMNS, (asdict(rows[name]) for name in sorted(rows)))


def command(folder: Path, out: Path, level: str, options: planning.Options, **how: Any) -> int:
    """Does what the command line asks for, shows a table, and returns the exit code."""
    from rich.console import Console

    if level == "group":
        print(f"written   {group(out)}")
        kinds = sorted({one.treatment for one in read(out) if one.outcome == "written"})
        if len(kinds) > 1:  # jobs of an array do not know of each other
            print(f"medsr: treated differently ({'; '.join(kinds)}): compare only scans of one kind", file=sys.stderr)
        return SOME if len(kinds) > 1 else 0
    if level != "participant":
        raise CourseError(f"{level}: the third word is participant or group")
    outcomes = run(folder.absolute(), out.absolute(), options, **how)
    Console(highlight=False, markup=False).print(table(outcomes))
    return exit_code(outcomes)


def group(out: Path) -> Path:
    """Writes a page over the scans of a results' folder, worst first; names are shown where they are BIDS's."""
    rows: list[dict[str, Any]] = []
    for one in read(out):
        status = one.outcome if one.outcome == "failed" else "refused" if one.outcome == "odd" else one.verdict
        numbers = {key: float(value) for key in ("added", "consistency") if (value := getattr(one, key))}
        row = {"scan": one.scan, "status": status, "why": one.reasons, "seconds": one.seconds, **numbers}
        page = outputs.report_name(Path(one.output)) if one.output else None
        rows.append(row | ({"report": page} if page and (out / page).is_file() else {}))
    if not rows:
        raise CourseError(f"{out} holds no results: run the level participant first")
    return reports.group(rows, out / "group.html", with_identifiers=all(row["scan"].startswith("sub-") for row in rows))


def exit_code(outcomes: list[Outcome]) -> int:
    """Returns 0; 3 if a scan asks for caution; 5 if some failed or were refused; 4 if all were refused, else 1."""
    bad = [one.outcome for one in outcomes if one.outcome in ("failed", "refused")]
    if len(bad) == len(outcomes):
        return 1 if "failed" in bad else REFUSED
    return SOME if bad else CAUTION if any(one.verdict != "in domain" for one in outcomes) else 0


def table(outcomes: list[Outcome]) -> "Table":
    """Returns a table for the screen: all scans, or of many those that need a look."""
    from rich.table import Table

    plain = ("written", "in domain"), ("planned", "in domain")
    shown = [one for one in outcomes if len(outcomes) <= _SHOWN or (one.outcome, one.verdict) not in plain]
    counts = Counter(one.outcome for one in outcomes)
    made = Table(title=", ".join(f"{count} {what}" for what, count in sorted(counts.items())), title_justify="left")
    for column in ("scan", "outcome", "verdict", "reasons", "seconds", "MiB", "output"):
        made.add_column(column, justify="right" if column in ("seconds", "MiB") else "left", overflow="fold")
    for one in shown[:_SHOWN]:
        words = one.scan, one.outcome, one.verdict, one.reasons
        made.add_row(*words, f"{one.seconds:.1f}", str(one.peak_mib), one.output)
    made.caption = f"and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else None
    return made
