"""``medsr probe`` and ``medsr audit`` on the command line: for those who trust no network, ours included."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

probe_app = typer.Typer(
    help="Plant known things into a scan; score what any software left of them.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@probe_app.command("make")
def probe_make(
    scan: Annotated[Path, typer.Argument(metavar="IN", help="The coarse scan, as your software would get it.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for scan, control and key.")],
    scale: Annotated[int, typer.Option(help="How many times finer, in-plane, your software makes it.")] = 2,
    seed: Annotated[int, typer.Option(help="Another seed, other places.")] = 0,
    plane: Annotated[
        str, typer.Option(help="axial, sagittal or coronal; by default across the longest voxel edge.")
    ] = "",
) -> None:
    """Write the scan with lesions and fine patterns in it, a control without, and the key."""
    from medsr_course.runtime import CourseError
    from medsr_course.scans import scansource, volumes
    from medsr_course.tasks import probe

    if plane and plane not in volumes.PLANES:
        raise CourseError(f"--plane {plane}: choose one of {', '.join(volumes.PLANES)}")
    files = probe.make(scansource.read(scan).image, out, scale=scale, seed=seed, plane=plane or None)
    for path in files:
        print(f"written   {path}")
    print(
        "Run your software on scan and control with the same options, then: medsr probe score KEY RESULT CONTROL_RESULT"
    )


@probe_app.command("score")
def probe_score(
    key: Annotated[Path, typer.Argument(help="probe_key.json")],
    result: Annotated[Path, typer.Argument(help="What the software made of the scan.")],
    control: Annotated[Path, typer.Argument(metavar="CONTROL_RESULT", help="What it made of the control.")],
    as_json: AsJson = False,
) -> None:
    """Tell what survived, what was lost, what was invented; beside it the same for zero-filling, without a network."""
    from medsr_course.scans import scansource
    from medsr_course.tasks import probe, probing

    found = probing.score(probe.read_key(key), scansource.read(result).image, scansource.read(control).image)
    print(_json(found) if as_json else "\n".join(probe.lines(found)))


def audit(
    scan: Annotated[Path, typer.Argument(metavar="IN", help="The scan.")],
    result: Annotated[Path, typer.Argument(metavar="OUT", help="What any software made of it.")],
    as_json: AsJson = False,
) -> None:
    """Check a result's place in the world, its consistency with the scan, its spectrum and its intensities.

    Exit codes: 0 nothing to say against it; 3 something to look at; 4 something is wrong.
    """
    from medsr_course.scans import scansource
    from medsr_course.tasks import audit as audits

    found = audits.audit(scansource.read(scan).image, scansource.read(result).image)
    if as_json:
        print(_json([asdict(finding) for finding in found]))
    else:
        marks = {"ok": "✓", "caution": "–", "wrong": "✗"}
        print("\n".join(f"{marks[finding.status]} {finding.code}: {finding.words}" for finding in found))
    if audits.worst(found):
        raise typer.Exit(audits.worst(found))


def _json(found: Any) -> str:
    """Strict JSON: what was not measured, NaN, is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and value != value else value

    return json.dumps(plain(found), indent=2, ensure_ascii=False, default=float)
