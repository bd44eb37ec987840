"""Results written: the image, the same grid without a network, their difference, and a list with checksums.

Files appear whole or not at all, none is replaced unless that is asked for, and never the scan itself.
"""

import csv
import gzip
import hashlib
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medsr_course import runtime
from medsr_course.pipeline import bids, dicom, memory, stamping
from medsr_course.pipeline.enhancing import Result, finer_header
from medsr_course.pipeline.memory import blocks
from medsr_course.pipeline.plan import Plan
from medsr_course.pipeline.scansource import NIFTI, Source, Stored
from medsr_course.runtime import CourseError
from medsr_course.scans.scanfiles.errors import reason
from medsr_course.types import Array

LIST = "outputs.tsv"
COLUMNS = ("path", "sha256", "bytes", "what", "scan")  # the last where many scans share a folder
LEVEL = 1  # of compression: a higher one takes several times as long for a tenth less
COMMENT = 6  # code of a NIfTI extension in plain text


def names(source: Source, out: Path, plan: Plan) -> list[Path]:
    """Returns the image files that a plan writes for an output name, the result first; of DICOM, a folder a series.

    Raises
    ------
    CourseError
        If nothing can be written under such a name.
    """
    if source.scan:
        return bids.names(source.scan, out, plan)
    ending = next((ending for ending in NIFTI[::-1] if out.name.lower().endswith(ending)), None)
    if ending is None and source.kind == "dicom" and not out.suffix:
        dicom.check(source.frames, plan.options.task)
        return [out / name for name in dicom.NAMES]
    if ending is None:
        series = ", and that of a DICOM result, a folder, has no ending" if source.kind == "dicom" else ""
        raise CourseError(f"{out}: a NIfTI result's name ends in .nii.gz or .nii{series}")
    if plan.options.task == "segment":
        return [out]
    stem = out.name[: -len(ending)]
    return [out, *(out.with_name(f"{stem}_desc-{what}{out.name[len(stem) :]}") for what in ("zip", "added"))]


def check(source: Source, out: Path, plan: Plan, *, force: bool = False) -> None:
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
        if file.exists() and not force:
            raise CourseError(f"{file} exists: choose another name, or replace it with --force")
    folder = runtime.writable_folder(files[0].parent if source.scan else out.parent, "output")
    free = shutil.disk_usage(folder).free
    if free < plan.disk:
        raise CourseError(
            f"{folder} has {memory.text(free)} of disk free, and this takes {memory.text(plan.disk)}: "
            "free some, or choose a folder on another disk"
        )


def write(result: Result, source: Source, out: Path, *, stamp: bool = False, force: bool = False) -> list[Path]:
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
    force : bool
        Replace files that are there.

    Returns
    -------
    list of Path
        What was written, the result first, the list last.
    """
    out = Path(out)
    check(source, out, result.plan, force=force)
    files = names(source, out, result.plan)
    if stamp and result.labels is None:
        result = stamping.stamp(result, extremes(result.image.dataobj)[1])
    images = [result.image, result.zip, result.added] if result.labels is None else [result.labels]
    whats = ["result", f"without a network: {result.provenance['without_network']}", "result − the one without"]
    if files[0].parent == out:
        written = dicom.write_series(result, source, out, stamp=stamp, force=force)
        return [*written, record(out, [(file, whats[dicom.NAMES.index(file.parent.name)]) for file in written])]
    whole = source.stored if result.labels is None else Stored(np.dtype(np.uint8))
    about: dict[str, Any] = dict(result.provenance) | {f"read_{k}": note for k, note in enumerate(source.notes, 1)}
    scalings = [fitting(whole, *extremes(image.dataobj)) for image in images]

    def save(k: int) -> None:
        told = {"what": whats[k], **about}
        _nifti(files[k], images[k].dataobj, scalings[k], finer_header(result.source, result.plan), told)

    with ThreadPoolExecutor(min(len(files), runtime.cpu_count())) as pool:  # packing lets other threads run
        list(pool.map(save, range(len(files))))
    rows = [(file, what) for file, what in zip(files, whats, strict=False)]
    if source.scan:
        sidecars = bids.describe(result, source.scan, out, files)
        return [*files, *sidecars, record(out, [*rows, *((file, "sidecar") for file in sidecars)])]
    return [*files, record(out.parent, rows)]


def extremes(data: Any) -> tuple[float, float]:
    """Returns the least and the greatest value of an image, read in parts."""
    low, high = np.inf, -np.inf
    for part in blocks(data.shape[2], data.shape[0] * data.shape[1]):
        values = data[..., part]
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high


def fitting(stored: Stored, low: float, high: float) -> Stored:
    """Returns how to store values from ``low`` to ``high`` as the original did, nothing clipped, nothing wrapped.

    Type, slope and intercept stay where all values fit. Where they do not, 8-bit numbers become 16-bit ones (they
    could not hold what is added), others keep their type with a slope and intercept that fit.

    >>> fitting(Stored(np.dtype(np.int16)), -5, 1200)
    Stored(dtype=dtype('int16'), slope=1.0, inter=0.0)
    """
    dtype = stored.dtype
    if dtype.kind == "f":
        return Stored(dtype)
    if dtype.itemsize == 8:
        dtype = np.dtype(f"{dtype.kind}4")
    options = [dtype] + ([np.dtype(np.int16)] if dtype.itemsize == 1 else [])
    for dtype in options:
        limits = np.iinfo(dtype)
        least, most = sorted(((low - stored.inter) / stored.slope, (high - stored.inter) / stored.slope))
        if limits.min <= np.rint(least) and np.rint(most) <= limits.max:
            return Stored(dtype, stored.slope, stored.inter)
    # A millionth of the range stays free: slope and intercept are rounded to float32.
    span = float(limits.max) - float(limits.min)
    slope = float(np.float32((high - low) / span * (1 + 1e-6))) or 1.0
    return Stored(dtype, slope, float(np.float32(low - slope * (float(limits.min) + 5e-7 * span))))


def _nifti(path: Path, data: Any, stored: Stored, header: Any, told: dict[str, Any]) -> None:
    """One image, in pieces: a large one never lies in memory."""
    try:
        with runtime.atomic_write(path) as part, open(part, "wb") as file:
            if path.name.lower().endswith(".gz"):
                # No name and no time inside: the same image gives the same bytes.
                with gzip.GzipFile("", "wb", compresslevel=LEVEL, fileobj=file, mtime=0) as packed:
                    _content(packed, data, stored, header, told)
            else:
                _content(file, data, stored, header, told)
    except OSError as error:
        raise CourseError(f"{path} cannot be written: {reason(error)}") from None


def _content(file: Any, data: Any, stored: Stored, header: Any, told: dict[str, Any]) -> None:
    """Header, what was done, and the numbers, block by block."""
    from nibabel.nifti1 import Nifti1Extension

    header.set_data_dtype(stored.dtype)
    original = bytes(header["descrip"].item()).decode("latin-1").rstrip("\0 ")
    header["descrip"] = (
        f"{told['software']} {told['task']} {told['network']} {told['version']} {told['checksum'][:8]} {told['engine']}"
    )[:79]
    told = told | ({"original_description": original} if original else {})
    note = json.dumps({"medsr": told}, ensure_ascii=False, indent=1)
    header.extensions.append(Nifti1Extension(COMMENT, note.encode("utf-8")))
    header.set_data_offset(0)
    header["magic"] = header.single_magic
    start = io.BytesIO()
    header.write_to(start)
    head = bytearray(start.getvalue())
    # nibabel leaves these to the writing of data.
    offset = -(-len(head) // 16) * 16
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = offset, stored.slope, stored.inter
    head[: header.template_dtype.itemsize] = header.binaryblock
    file.write(bytes(head).ljust(offset, b"\0"))
    for part in blocks(data.shape[2], data.shape[0] * data.shape[1]):
        file.write(numbers(data[..., part], stored, header.endianness).tobytes(order="F"))


def numbers(values: Array, stored: Stored, endianness: Literal["<", ">"] = "<") -> Array:
    """Returns the numbers that stand for values in a file."""
    if stored.dtype.kind != "f":
        limits = np.iinfo(stored.dtype)
        values = values.astype(np.float64) if stored.dtype.itemsize > 2 else values
        values = np.clip(np.rint((values - stored.inter) / stored.slope), limits.min, limits.max)
    return values.astype(stored.dtype.newbyteorder(endianness))


def listed(folder: Path) -> dict[str, dict[str, str]]:
    """Returns what a folder's ``outputs.tsv`` lists, by path; nothing where there is none."""
    if not (folder / LIST).exists():
        return {}
    with open(folder / LIST, newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file, delimiter="\t") if row.get("path")}


def enter(folder: Path, rows: dict[str, dict[str, str]]) -> Path:
    """Enters rows into a folder's ``outputs.tsv``, by path; what is listed there already stays."""
    path, rows = folder / LIST, listed(folder) | rows
    with runtime.atomic_write(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", extrasaction="ignore")
        table.writeheader()
        table.writerows(rows[place] for place in sorted(rows))
    return path


def record(folder: Path, files: list[tuple[Path, str]]) -> Path:
    """Enters files into a folder's ``outputs.tsv``, each with its checksum."""
    rows = {}
    for name, what in files:
        place = name.relative_to(folder).as_posix()
        rows[place] = dict(zip(COLUMNS, (place, checksum(name), str(name.stat().st_size), what), strict=False))
    return enter(folder, rows)


def checksum(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
