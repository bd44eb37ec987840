"""``medsr enhance`` and ``medsr serve`` on the command line."""

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from medsr_course.runtime import CourseError

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def enhance(
    scan: Annotated[Path, typer.Argument(metavar="IN", help="NIfTI or NRRD file, DICOM folder or .zip.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The result: out.nii.gz, or, for DICOM, a folder for series.")
    ],
    task: Annotated[str, typer.Option(help="super-resolution, denoise, thin-slices or segment")] = "super-resolution",
    scale: Annotated[int | None, typer.Option(help="How many times finer; 2 in-plane, 4 through-plane.")] = None,
    axes: Annotated[str, typer.Option(help="in-plane, through-plane, or auto: from the voxel sizes.")] = "auto",
    quality: Annotated[str, typer.Option(help="fast, standard or best")] = "standard",
    keep_grid: Annotated[bool, typer.Option("--keep-grid", help="Return the result on the input's grid.")] = False,
    max_memory: Annotated[str, typer.Option(help="Take no more, e.g. 2G; work in smaller parts instead.")] = "",
    report: Annotated[bool, typer.Option("--report", help="Write a report beside the result, one HTML file.")] = False,
    with_identifiers: Annotated[
        bool, typer.Option("--with-identifiers", help="Name the scan's file and header in the report.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    stamp: Annotated[bool, typer.Option("--stamp", help="Mark every slice as research, in a corner.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace results; go on with a scan out of domain.")] = False,
    level: Annotated[str, typer.Argument(metavar="[participant|group]", help="For a folder of scans: see below.")] = "",
    participant_label: Annotated[list[str] | None, typer.Option(help="Only these; several with spaces.")] = None,
    session_label: Annotated[list[str] | None, typer.Option(help="Only these; several with spaces.")] = None,
    policy: Annotated[str, typer.Option(help="All scans alike or none: uniform; or per-scan.")] = "uniform",
    n_cpus: Annotated[int | None, typer.Option(min=1, help="Cores for all scans together.")] = None,
    mem_gb: Annotated[float | None, typer.Option(min=0.1, help="Memory for all scans together.")] = None,
    language: Annotated[str, typer.Option(help="Of the warnings: en or zh; by default the system's.")] = "",
    scheduler: Annotated[str, typer.Option(help="Dask scheduler whose workers do it, e.g. tcp://host:8786.")] = "",
) -> None:
    """Make a scan finer, cleaner, thinner or segmented, in its place in the world; or all scans of a folder.

    A BIDS folder, or one of NIfTI files, is treated scan by scan (participant); group makes a page for all results.

    Exit codes: 0 in domain; 3 caution, the result is written; 4 refused, nothing is written; 5 some of a folder failed.
    """
    from medsr_course.commands import chinese
    from medsr_course.pipeline import batch, enhancing, outputs
    from medsr_course.pipeline import plan as planning
    from medsr_course.scans import scansource

    say = chinese.speaker(language)
    options = planning.Options(task, scale, axes, quality, keep_grid, size(max_memory))
    if level or scheduler or participant_label or session_label or batch.is_batch(scan):
        if with_identifiers:
            raise CourseError("--with-identifiers is for one scan: leave it out for a folder")
        labels = {"participants": participant_label or (), "sessions": session_label or ()}
        many = {"policy": policy, "cpus": n_cpus, "most": mem_gb and int(mem_gb * 1e9), "scheduler": scheduler}
        flags = {"stamp": stamp, "report": report, "force": force, "dry": dry_run}
        raise typer.Exit(batch.command(scan, out, level or "participant", options, **labels, **many, **flags))
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            source = scansource.read(scan)
        plan = planning.plan(source.image, options, sidecar=source.sidecar, name=scan.name)
    except planning.Refusal as error:
        print(f"medsr: refused: {error}", file=sys.stderr)
        raise typer.Exit(batch.REFUSED) from None
    lines = [*say.plan(plan), *(f"note      {line}" for line in (*source.notes, *(str(w.message) for w in told)))]
    print("\n".join(lines))
    if plan.verdict.status == "refused" and not force:
        print(f"medsr: {say.text('enhance.refused')}", file=sys.stderr)
        raise typer.Exit(batch.REFUSED)
    if not dry_run:
        page = outputs.report_name(out) if report else None
        outputs.check(source, out, plan, page=page, force=force)
        try:
            result = enhancing.run(source.image, plan, folder=out.parent)
        except ValueError as error:  # values no network can work with
            raise CourseError(f"{scan.name}: {error}") from None
        files = outputs.write(
            result, source, out, stamp=stamp, page=page, with_identifiers=with_identifiers, force=force
        )
        for path in dict.fromkeys(path.parent if path.suffix == ".dcm" else path for path in files):
            print(f"written   {path}")
        if "kept" in result.provenance:
            print(f"kept      {result.provenance['kept']}")
    if plan.verdict.status != "in domain":
        raise typer.Exit(batch.CAUTION)


def size(text: str) -> int | None:
    """Returns bytes written as a number with K, M, G or T behind it, None for "".

    >>> size("2G"), size("")
    (2147483648, None)
    """
    if not text:
        return None
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = UNITS.get(number[-1:], 1)
    try:
        value = int(float(number.rstrip("KMGT")) * unit)
    except (ValueError, OverflowError):
        value = 0
    if value <= 0:
        raise CourseError(f"--max-memory {text}: give bytes, or e.g. 800M or 2G")
    return value


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback need TLS before it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8765,
    allow_host: Annotated[list[str] | None, typer.Option(help="Another name under which it may be asked.")] = None,
    max_memory: Annotated[str, typer.Option(help="For a scan at a time.")] = "4G",
    max_upload: Annotated[str, typer.Option(help="Largest file taken.")] = "1G",
) -> None:
    """Serve a page on this machine where a scan is uploaded and its result fetched.

    Without the page: curl -H "Authorization: Bearer TOKEN" -F scan=@scan.nii.gz http://127.0.0.1:8765/scans gives an
    id; with the same header, …/scans/ID says how far it is, and …/scans/ID/result gives a .zip, once.
    """
    from medsr_course.pipeline import service

    limits = service.Limits(upload=size(max_upload) or 0, memory=size(max_memory) or 0)
    service.serve(host, port, tuple(allow_host or ()), limits)


class Labels(typer.core.TyperCommand):
    """A command whose options for labels take several values, as those of BIDS Apps do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeats the option before each of its values."""
        option, spread = "", list[str]()
        for word in args:
            if word in ("--participant-label", "--session-label"):
                option = word
            elif not option or word.startswith("-"):
                option = ""
            elif spread[-1] != option:
                spread.append(option)
            spread.append(word)
        return super().parse_args(ctx, spread)
