"""Many scans: a BIDS folder, as a BIDS App, or a folder of files; each by itself, all of them alike.

What each becomes is the same bytes as alone, on one engine, whatever else runs beside it; with ``memory``, as alone with
``--max-memory`` of its share. A scan is made in a hidden folder, and put in place when it is whole. One that is listed in
``outputs.tsv``, with the checksums that its files have, is done: the same command again does the rest.
"""

import contextlib
import csv
import functools
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsr_course import __version__, runtime
from medsr_course.pipeline import domain, enhancing, memory, outputs, processes, scansource
from medsr_course.pipeline import plan as planning
from medsr_course.runtime import CourseError
from medsr_course.scans.scanfiles.memory import free

if TYPE_CHECKING:
    from rich.table import Table

TABLE = "medsr.csv"
LEVELS = ("participant", "group")
SOME, CAUTION, REFUSED = 5, 3, 4  # exit codes
_LOCK = ".medsr.lock"
_RUN = ".medsr-run-"
_USUAL = 3 << 29  # bytes that a process takes for a scan of usual size, where nobody says how many there are
_SHOWN = 40  # rows of a table on the screen


@dataclass(frozen=True)
class Outcome:
    """What became of a scan: a row of the table.

    ``outcome`` is "written", "refused", "failed", "planned" or "not done"; ``treatment`` says what the scan gets,
    ``asked`` what was asked for; ``output`` and ``sha256`` are of the result.
    """

    scan: str
    outcome: str
    verdict: str = ""
    reasons: str = ""
    treatment: str = ""
    asked: str = ""
    seconds: float = 0.0
    peak_mib: int = 0
    output: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Job:
    """One scan's part of a batch; a process may be handed it, on another machine, too."""

    scan: str
    path: Path
    part: Path  # a folder of its own
    target: str  # where the result belongs in OUT
    options: planning.Options
    stamp: bool = False
    force: bool = False
    dry: bool = False
    software: str = field(default=__version__)

    @property
    def asked(self) -> str:
        """What was asked for, in words."""
        o = self.options
        kept = ", input's grid" * o.keep_grid + ", stamped" * self.stamp
        return f"{o.task} scale {o.scale or 'auto'}, {o.axes}, {o.quality}{kept}; medsr {self.software}"


def is_batch(folder: Path) -> bool:
    """Returns whether a path is a folder of scans, not one scan."""
    return folder.is_dir() and (is_bids(folder) or bool(_files(folder)))


def is_bids(folder: Path) -> bool:
    """Returns whether a folder is laid out by BIDS."""
    return (folder / "dataset_description.json").is_file() or any(path.is_dir() for path in folder.glob("sub-*"))


def find(folder: Path, participants: Sequence[str] = (), sessions: Sequence[str] = ()) -> dict[str, Path]:
    """Returns the scans of a folder by name, BIDS names or those of the files.

    Parameters
    ----------
    folder : path
    participants, sessions : sequences of str
        Labels, with ``sub-`` and ``ses-`` or without; all by default.

    Raises
    ------
    CourseError
        If there is none, or a label that nobody has.
    """
    if not is_bids(folder):
        if participants or sessions:
            raise CourseError(f"{folder} is no BIDS folder: leave --participant-label and --session-label out")
        return {path.name: path for path in _files(folder)}
    found = sorted(path for sub in folder.glob("sub-*") for path in sub.glob("**/anat/*") if _is_scan(path))
    for option, prefix, labels in (("participant", "sub-", participants), ("session", "ses-", sessions)):
        wanted = {prefix + label.removeprefix(prefix) for label in labels}
        there = {part for path in found for part in path.relative_to(folder).parts[:-1] if part.startswith(prefix)}
        if missing := sorted(wanted - there):
            raise CourseError(f"--{option}-label {missing[0].removeprefix(prefix)}: {folder} has no scan of {missing[0]}")
        found = [path for path in found if not wanted or wanted & set(path.relative_to(folder).parts)]
    if not found:
        raise CourseError(f"{folder} holds no sub-…/anat/sub-…_T1w.nii.gz or the like: check the folder")
    return {_stem(path): path for path in found}


def _is_scan(path: Path) -> bool:
    known = path.name.startswith("sub-") and path.name.lower().endswith(scansource.NIFTI)
    return known and not _stem(path).endswith(("_mask", "_dseg", "_roi", "_probseg"))


def _files(folder: Path) -> list[Path]:
    known = (*scansource.NIFTI, *scansource.NRRD)
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(known) and path.name[0] != ".")


def _stem(path: Path) -> str:
    return scansource.Source(path, "nifti", None).stem  # type: ignore[arg-type]


def run(
    folder: Path,
    out: Path,
    options: planning.Options,
    *,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    policy: str = "uniform",
    cpus: int | None = None,
    most: int | None = None,
    scheduler: str = "",
    stamp: bool = False,
    force: bool = False,
    dry: bool = False,
) -> list[Outcome]:
    """Treats the scans of a folder, and enters what became of each into :data:`TABLE` as soon as it is known.

    Parameters
    ----------
    folder, out : path
    options : plan.Options
        For all of them.
    participants, sessions : sequences of str
        Labels, for a BIDS folder.
    policy : {"uniform", "per-scan"}
        All alike, or none; or each as it would be alone.
    cpus, most : int, optional
        Cores and bytes for all processes together.
    scheduler : str
        Address of a Dask scheduler, whose workers do it instead.
    stamp, force, dry : bool
        As for one scan; ``force`` does again what is done.

    Returns
    -------
    list of Outcome
        Of all scans, those that were done before, too.

    Raises
    ------
    CourseError
        If not all of them can be treated alike (nothing is written then), or folders or labels are wrong.
    """
    scans = find(folder, participants, sessions)
    if out.resolve() == folder.resolve():
        raise CourseError(f"{out} is the folder of the scans: choose another folder for the results")
    runtime.writable_folder(out, "OUT")
    cpus = min(cpus or runtime.cpu_count(), len(scans))
    if most is not None and not scheduler:
        cpus = max(1, min(cpus, most // (2 * memory.BASE)))
        options = replace(options, max_memory=min(options.max_memory or most, most // cpus))
    elif not scheduler:
        cpus = max(1, min(cpus, (free() or _USUAL * cpus) // _USUAL))
    with run_folder(out) as place:
        jobs = {
            name: Job(name, path, place / str(number), _target(path.relative_to(folder)), options, stamp, force, dry)
            for number, (name, path) in enumerate(scans.items())
        }
        pool = functools.partial(processes.each, count=cpus, cpus=max(1, runtime.cpu_count() // cpus))
        if scheduler:
            from medsr_course.pipeline import cluster

            pool = functools.partial(cluster.each, address=scheduler)
        done = {} if force else _finished(out, jobs)
        todo = [job for name, job in jobs.items() if name not in done]
        outcomes = done | {job.scan: Outcome(job.scan, "not done", asked=job.asked) for job in todo}
        if dry or policy == "uniform" and len(jobs) > 1:
            outcomes |= dict(_each(pool, examine, todo, "looking at the scans"))
            if policy == "uniform":
                _all_alike(out, list(outcomes.values()), force)
        if not dry:
            for name, outcome in _each(pool, treat, todo, "treating the scans"):
                outcomes[name] = _put(out, jobs[name], outcome)
        return [outcomes[name] for name in jobs]


def _target(path: Path) -> str:
    stem = _stem(path)
    if path.parent != Path():
        entities, _, suffix = stem.rpartition("_")
        stem = f"{entities}_desc-medsr_{suffix}"
    return (path.parent / f"{stem}.nii.gz").as_posix()


def _each(pool: Any, function: Any, jobs: list[Job], what: str) -> Iterator[tuple[str, Outcome]]:
    with contextlib.closing(pool(function, jobs)) as answers:  # interrupted: its processes end at once
        for job, answer in runtime.progress(answers, what, total=len(jobs), unit="scan"):
            lost = Outcome(job.scan, "failed", reasons="its process ended: too little memory, or a damaged file")
            yield job.scan, replace(Outcome(**answer) if answer else lost, asked=job.asked)


def _all_alike(out: Path, outcomes: list[Outcome], force: bool) -> None:
    known = {one.scan: one for one in outcomes if one.outcome != "failed"}
    verdicts = {name: domain.Verdict("refused" if one.outcome == "refused" else "in domain") for name, one in known.items()}
    batch = domain.mixed(verdicts, {name: one.treatment for name, one in known.items()}, "uniform")
    if batch.stops:
        odd = {one.name for one in batch.odd}
        for one in outcomes:
            if one.outcome in ("planned", "refused"):
                _enter(out, replace(one, outcome="not done" if one.scan not in odd else "treated otherwise"))
        raise CourseError(f"{batch.words} ({out / TABLE} lists them)")


def examine(job: Job) -> dict[str, Any]:
    """Says what would become of a scan, as a dict of :class:`Outcome`."""
    return _guarded(job, False)


def treat(job: Job) -> dict[str, Any]:
    """Treats a scan, and writes into its own folder; returns what became of it, as a dict of :class:`Outcome`."""
    return _guarded(job, True)


def _guarded(job: Job, write: bool) -> dict[str, Any]:
    began = time.perf_counter()
    processes.forget_peak()
    try:
        outcome = _work(job, write)
    except planning.Refusal as error:
        outcome = Outcome(job.scan, "refused", "refused", str(error))
    except (CourseError, ValueError) as error:
        outcome = Outcome(job.scan, "failed", reasons=str(error))
    except MemoryError:
        outcome = Outcome(job.scan, "failed", reasons="too little memory: give more with --mem-gb, or fewer --n-cpus")
    except Exception as error:  # one scan stops no other, whatever is wrong with it
        outcome = Outcome(job.scan, "failed", reasons=f"{type(error).__name__}: {error}")
    words = " ".join(outcome.reasons.replace(str(job.path.parent), "").split())[:500]
    seconds = round(time.perf_counter() - began, 2)
    return asdict(replace(outcome, reasons=words, seconds=seconds, peak_mib=processes.peak_mib()))


def _work(job: Job, write: bool) -> Outcome:
    if job.software != __version__:
        raise CourseError(f"this machine has medsr {__version__}, not {job.software}: install the same one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = scansource.read(job.path)
    plan = planning.plan(source.image, job.options, sidecar=source.sidecar, name=job.path.name)
    o = plan.options
    words = "; ".join(reason.words for reason in plan.verdict.reasons)
    treatment = f"{o.task} ×{o.scale} {o.axes}, {plan.network}, {o.quality}"
    outcome = Outcome(job.scan, "planned", plan.verdict.status, words, treatment)
    if plan.verdict.status == "refused" and not job.force:
        return replace(outcome, outcome="refused")
    if not write:
        return outcome
    target = job.part / job.target
    shutil.rmtree(job.part, ignore_errors=True)  # of a worker that was killed
    job.part.mkdir()
    target.parent.mkdir(parents=True, exist_ok=True)
    result = enhancing.run(source.image, plan, progress=False, folder=job.part)
    outputs.write(result, source, target, stamp=job.stamp)
    return replace(outcome, outcome="written", output=job.target, sha256=outputs.checksum(target))


def _put(out: Path, job: Job, outcome: Outcome) -> Outcome:
    """Puts a scan's files in their place, and enters what became of it."""
    if outcome.outcome == "written":
        try:
            with runtime.locked(out / _LOCK):
                _publish(out, job)
        except (CourseError, OSError) as error:
            outcome = replace(outcome, outcome="failed", reasons=str(error), output="", sha256="")
    _enter(out, outcome)
    return outcome


def _publish(out: Path, job: Job) -> None:
    lists = job.part.rglob(outputs.LIST)
    rows = {(file.parent / path).relative_to(job.part).as_posix(): row
            for file in lists for path, row in outputs.listed(file.parent).items()}  # fmt: skip
    known = outputs.listed(out)
    for path in rows:
        ours = path in known and known[path]["scan"] == job.scan
        if (out / path).exists() and not job.force:
            if not (ours and outputs.checksum(out / path) == known[path]["sha256"]):
                raise CourseError(f"{path} is in OUT already: choose another folder, or replace it with --force")
    # First the list: what is put in place is never without its line, even if this process is killed in between.
    outputs.enter(out, {path: row | {"path": path, "scan": job.scan} for path, row in rows.items()})
    for path in rows:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (job.part / path).replace(out / path)


def _finished(out: Path, jobs: dict[str, Job]) -> dict[str, Outcome]:
    """The scans that were done before, by what was asked for now, and whose files are what they were then."""
    files: dict[str, list[dict[str, str]]] = {}
    for row in outputs.listed(out).values():
        files.setdefault(row.get("scan") or "", []).append(row)
    done = {one.scan: one for one in read(out) if one.outcome == "written" and one.scan in jobs}
    for name, one in done.items():
        if one.asked != jobs[name].asked:
            raise CourseError(f"{out} has {name} by other options ({one.asked}): choose another folder, or take --force")
    return {name: one for name, one in done.items() if files.get(name) and all(
        (out / row["path"]).is_file() and outputs.checksum(out / row["path"]) == row["sha256"] for row in files[name]
    )}  # fmt: skip


def read(out: Path) -> list[Outcome]:
    """Returns the rows of a folder's table, none where there is no table."""
    kinds: dict[str, Any] = {one.name: {"seconds": float, "peak_mib": int}.get(one.name, str) for one in fields(Outcome)}
    if not (out / TABLE).exists():
        return []
    with open(out / TABLE, newline="", encoding="utf-8") as file:
        return [Outcome(**{key: kind(row[key]) for key, kind in kinds.items()}) for row in csv.DictReader(file)]


def _enter(out: Path, outcome: Outcome) -> None:
    with runtime.locked(out / _LOCK):  # several runs may share OUT, each with its participants
        rows = {one.scan: one for one in read(out)} | {outcome.scan: outcome}
        with runtime.atomic_write(out / TABLE) as part, open(part, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [one.name for one in fields(Outcome)], lineterminator="\n")
            table.writeheader()
            table.writerows(asdict(rows[name]) for name in sorted(rows))


@contextlib.contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """Makes a hidden folder for what is not finished, gone at the end; those of processes that were killed go first."""
    with contextlib.ExitStack() as held:
        with runtime.locked(parent / _LOCK):
            for left in parent.glob(f"{_RUN}*"):
                with contextlib.suppress(CourseError, OSError):
                    with runtime.locked(left / "lock", busy="its run goes on"):
                        pass
                    shutil.rmtree(left, ignore_errors=True)
            place = Path(tempfile.mkdtemp(prefix=_RUN, dir=parent))
            held.callback(shutil.rmtree, place, ignore_errors=True)
            held.enter_context(runtime.locked(place / "lock"))
        yield place


def command(folder: Path, out: Path, level: str, options: planning.Options, **how: Any) -> int:
    """Does what the command line asks for, shows a table, and returns the exit code."""
    from rich.console import Console

    if level not in LEVELS:
        raise CourseError(f"{level}: the third word is participant, or group")
    if level == "group":
        from medsr_course.pipeline import report

        print(f"written   {report.group(read(out), out / 'report.html')}")
        return 0
    outcomes = run(folder.absolute(), out.absolute(), options, **how)
    Console(highlight=False, markup=False).print(table(outcomes))
    return exit_code(outcomes)


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Returns 0, 3 with caution, 4 if all were refused, 1 if all failed, 5 if some were not done."""
    found = Counter(one.outcome for one in outcomes)
    total = found.total()
    if found["refused"] == total:
        return REFUSED
    if found["failed"] + found["refused"] == total:
        return 1
    if found["failed"] or found["refused"]:
        return SOME
    return CAUTION if any(one.verdict == "caution" for one in outcomes) else 0


def table(outcomes: list[Outcome]) -> "Table":
    """Returns a table for the screen: all scans, of many those that need a look."""
    from rich.table import Table

    shown = outcomes
    if len(outcomes) > _SHOWN:
        shown = [one for one in outcomes if one.outcome not in ("written", "planned") or one.verdict != "in domain"]
    counts = Counter(one.outcome for one in outcomes)
    made = Table(title=", ".join(f"{count} {what}" for what, count in sorted(counts.items())), title_justify="left")
    for column in ("scan", "outcome", "verdict", "reasons", "s", "MiB", "output"):
        made.add_column(column, justify="right" if column in ("s", "MiB") else "left", overflow="fold")
    for one in shown[:_SHOWN]:
        numbers = f"{one.seconds:.1f}", str(one.peak_mib)
        made.add_row(one.scan, one.outcome, one.verdict, one.reasons, *numbers, one.output)
    if len(shown) > _SHOWN:
        made.caption = f"and {len(shown) - _SHOWN} more"
    return made
