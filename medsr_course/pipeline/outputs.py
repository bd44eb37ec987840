"""Results written: the image, the same grid without a network, their difference, a report, a list with checksums.

Files appear whole or not at all, none is replaced unless that is asked for, and never the scan itself.
"""

import csv
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from medsr_course import runtime
from medsr_course.pipeline import memory, report
from medsr_course.pipeline.enhancing import Result
from medsr_course.pipeline.plan import Plan
from medsr_course.runtime import CourseError
from medsr_course.scans import bids, stamping, volumes
from medsr_course.scans.scanfiles import derived, storing
from medsr_course.scans.scansource import NIFTI, Source
from medsr_course.types import Image

LIST = "outputs.tsv"
COLUMNS = ("path", "sha256", "bytes", "what", "scan")  # the last where many scans share a folder


def names(source: Source, out: Path, plan: Plan) -> list[Path]:
    """Returns the image files that a plan writes for an output name, the result first; of DICOM, a folder a series.

    Raises
    ------
    CourseError
        If nothing can be written under such a name.
    """
    if source.scan:
        finer = f"{'x' if plan.options.axes == 'in-plane' else 'z'}{plan.options.scale}" if plan.is_finer else ""
        return bids.names(source.scan, out, finer=finer, labels=plan.options.task == "segment")
    stem, ending = _split(out)
    if not ending and source.kind == "dicom" and not out.suffix:
        derived.check(source.frames, plan.options.task)
        return [out / name for name in derived.NAMES]
    if not ending:
        series = ", and that of a DICOM result, a folder, has no ending" if source.kind == "dicom" else ""
        raise CourseError(f"{out}: a NIfTI result's name ends in .nii.gz or .nii{series}")
    if plan.options.task == "segment":
        return [out]
    return [out, *(out.with_name(f"{stem}_desc-{what}{ending}") for what in ("zip", "added"))]


def report_name(result: Path) -> Path:
    """Returns where the report on a result lies: beside it."""
    return result.with_name(f"{_split(result)[0]}_report.html")


def _split(out: Path) -> tuple[str, str]:
    """A name and its ending, "" where that is none of NIfTI."""
    ending = next((ending for ending in NIFTI[::-1] if out.name.lower().endswith(ending)), "")
    end = len(out.name) - len(ending)
    return out.name[:end], out.name[end:]


def check(source: Source, out: Path, plan: Plan, *, page: Path | None = None, force: bool = False) -> None:
    """Finds out before the work begins whether its result can be written.

    Raises
    ------
    CourseError
        If a file is there already and ``force`` is not given, the folder cannot be written, or its disk is too full.
    """
    files = names(source, out, plan)
    for file in files:
        if source.path.resolve() in file.resolve().parents:
            raise CourseError(f"{out} lies in the folder of the scan itself: choose another one")
        wrong = file.is_dir() == file.name.lower().endswith(NIFTI)
        if file.exists() and (wrong or file.resolve() == source.path.resolve()):
            raise CourseError(f"{file} is {'a folder' if file.is_dir() else 'the scan itself'}: choose another name")
    taken = [file for file in (*files, page) if file and file.exists()]
    if taken and not force:
        raise CourseError(f"{taken[0]} exists: choose another name, or replace it with --force")
    folder = runtime.writable_folder(files[0].parent if source.scan else out.parent, "output")
    free = shutil.disk_usage(folder).free
    if free < plan.disk:
        raise CourseError(
            f"{folder} has {memory.text(free)} of disk free, and this takes {memory.text(plan.disk)}: "
            "free some, or choose a folder on another disk"
        )


def write(
    result: Result,
    source: Source,
    out: Path,
    *,
    stamp: bool = False,
    page: Path | None = None,
    with_identifiers: bool = False,
    force: bool = False,
) -> list[Path]:
    """Writes a result and what belongs to it, and lists them in ``outputs.tsv``.

    Parameters
    ----------
    result : Result
    source : Source
        What it was made of.
    out : path
        ``….nii`` or ``….nii.gz``, or, for a DICOM source, a folder for derived series.
    stamp : bool
        Write into a corner of every slice of the result, not into what it is compared with, what it is.
    page : path, optional
        Of a report; by default there is none.
    with_identifiers : bool
        As for :func:`report.html`.
    force : bool
        Replace files that are there.

    Returns
    -------
    list of Path
        What was written, the result first, then the list, the report last.
    """
    check(source, out, result.plan, page=page, force=force)
    files = _images(result, source, out, stamp=stamp, force=force)
    if page:
        report.write(result, page, with_identifiers=with_identifiers)
        record(out if source.scan else out.parent, {page: "report"})
        files.append(page)
    return files


def _images(result: Result, source: Source, out: Path, *, stamp: bool, force: bool) -> list[Path]:
    """Writes the images and their sidecars, and lists them."""
    plan, provenance = result.plan, dict(result.provenance)
    images = [result.image, result.zip, result.added] if result.labels is None else [result.labels]
    if stamp and result.labels is None:
        images[0] = stamping.stamp(result.image, plan.order, storing.extremes(result.image.dataobj)[1])
    whats = ["estimated by a network", f"without a network: {provenance['without_network']}", "added by the network"]
    files = dict(zip(names(source, out, plan), whats, strict=False))
    if out in [file.parent for file in files]:
        described = dict(zip(whats, images, strict=True))
        written = derived.write_series(
            described, source.frames, source.image, out, provenance=provenance, stamp=stamp, force=force
        )
        return [*written, record(out, {file: files[file.parent] for file in written})]
    stored = source.stored if result.labels is None else storing.Stored(np.dtype(np.uint8))
    provenance |= {f"read_{k}": note for k, note in enumerate(source.notes, 1)}

    def save(image: Image, path: Path) -> None:
        header = storing.finer_header(result.source, plan.shape)
        storing.write(path, image.dataobj, stored, header, {"what": files[path], **provenance})

    with ThreadPoolExecutor(min(len(files), runtime.cpu_count())) as pool:  # packing lets other threads run
        list(pool.map(save, images, files))
    if not source.scan:
        return [*files, record(out.parent, files)]
    sizes = volumes.voxel_sizes(result.image)
    told = " × ".join(f"{size:.4g}" for size in sizes)
    told = f"voxels of {told} mm, {plan.options.axes} {plan.options.scale} times finer than measured"
    sidecars = bids.describe(
        source.scan,
        out,
        files,
        provenance=result.provenance,
        resolution=told if plan.is_finer else "",
        spacing=float(sizes[plan.order[0]]) if plan.options.axes == "through-plane" else None,
    )
    return [*files, *sidecars, record(out, files | dict.fromkeys(sidecars, "sidecar"))]


def listed(folder: Path) -> dict[str, dict[str, str]]:
    """Returns what a folder's ``outputs.tsv`` lists, by path; nothing where there is none."""
    if not (folder / LIST).exists():
        return {}
    with open(folder / LIST, newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file, delimiter="\t") if row.get("path")}


def enter(folder: Path, rows: Mapping[str, dict[str, str]]) -> Path:
    """Enters rows into a folder's ``outputs.tsv``, by path; what is listed there already stays."""
    rows = listed(folder) | dict(rows)
    runtime.write_table(folder / LIST, COLUMNS, (rows[place] for place in sorted(rows)), "\t")
    return folder / LIST


def record(folder: Path, files: Mapping[Path, str]) -> Path:
    """Enters files into a folder's ``outputs.tsv``, each with its checksum."""
    rows = {}
    for name, what in files.items():
        place = name.relative_to(folder).as_posix()
        rows[place] = dict(zip(COLUMNS, (place, runtime.checksum(name), str(name.stat().st_size), what), strict=False))
    return enter(folder, rows)
