"""A DICOM series as a volume: which series, which of its volumes, in what order, and where."""

import os
import warnings
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medsr_course.scans import volumes
from medsr_course.scans.scanfiles import frames, headers, memory, pixels
from medsr_course.scans.scanfiles.errors import CONVERT, ScanError, listed, warn
from medsr_course.scans.scanfiles.frames import Frame
from medsr_course.scans.scanfiles.headers import DicomFile, text
from medsr_course.types import Array, PathLike

if TYPE_CHECKING:  # nibabel is loaded where it is used
    import nibabel

_MOST_LISTED = 12


def read_dicom(
    source: PathLike | Iterable[PathLike],
    *,
    series: str | None = None,
    volume: int | None = None,
    flat: bool = False,
) -> "nibabel.Nifti1Image":
    """Read one DICOM series as a volume: single slices, an enhanced multi-frame file, or a Siemens mosaic.

    Slices are sorted and spaced by their positions in the patient (not by file name, number or slice
    thickness); rescale slope and intercept are applied, so CT comes in HU. A tilted gantry gives a sheared affine.

    Parameters
    ----------
    source : folder, file, or list of files
        A folder is searched with its subfolders; files that are not DICOM are passed over.
    series : str, optional
        SeriesInstanceUID, or SeriesDescription, to choose where there are several.
    volume : int, optional
        Which of several images at each place (echoes, time points, magnitude and phase) to take, counted from 0.
    flat : bool
        Accept a single slice; its thickness is the header's.

    Returns
    -------
    nibabel.Nifti1Image
        float32 (column, row, slice) as DICOM orders them, affine in mm RAS (DICOM itself is LPS).

    Raises
    ------
    ScanError
        No DICOM, several series, missing or repeated slices, several orientations, colour, a kind that is
        not a stack of slices, a damaged file: in one line, with the remedy.

    Warns
    -----
    ScanWarning
        If DICOM files without an image (a report, an index) lie beside the series; they are left out.
    """
    return _read(source, series, volume, flat)[0]


def read_series(
    source: PathLike | Iterable[PathLike],
    *,
    series: str | None = None,
    volume: int | None = None,
    flat: bool = False,
) -> "tuple[nibabel.Nifti1Image, list[Frame]]":
    """Read one DICOM series as :func:`read_dicom` does, with the slices it was made of.

    Returns
    -------
    (nibabel.Nifti1Image, list of Frame)
        The image, and for each slice of it, in the image's order, its place and its file's header.
    """
    return _read(source, series, volume, flat)


def _read(
    source: PathLike | Iterable[PathLike], series: str | None, volume: int | None, flat: bool
) -> "tuple[nibabel.Nifti1Image, list[Frame]]":
    """Image and slices of a series; warns the caller of its caller."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about faults that are checked here, too
        files, where, others = _series(source, series)
        image, found = _volume(files, where, volume, flat)
    if others:
        plural = "s" if len(others) > 1 else ""
        warn(f"{where}: {len(others)} file{plural} without a DICOM image left out: {listed(others)}", depth=2)
    return image, found


def _series(source: PathLike | Iterable[PathLike], series: str | None) -> tuple[list[DicomFile], str, list[str]]:
    """Files of the one series meant, what to call it in messages, and what else was found."""
    if isinstance(source, str | os.PathLike):
        source = Path(source)
        try:
            if not source.exists():
                raise ScanError(f"{source} does not exist: check the name and the folder")
            paths = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
        except (OSError, ValueError) as error:
            raise ScanError(f"{source} cannot be searched ({error}): check the name and the folder") from None
        where = source.name or source.absolute().name
    else:
        paths = [Path(file) for file in source]
        where = "the series"
    found = headers.find(paths)
    if found.damaged:
        told = listed([f"{name} ({what})" for name, what in found.damaged])
        number = len(found.damaged)
        raise ScanError(
            f"{where}: {number} of {len(paths)} file{'s' * (len(paths) > 1)} cannot be used, damaged or cut short: "
            f"{told}: copy or export again, or move away what is no part of the series"
        )
    if not found.images:
        beside = f" (only {listed(found.others)})" if found.others else ""
        raise ScanError(f"{where} holds no DICOM images{beside}: name the folder of one exported series")
    return _chosen(found.images, where, series), where, found.others


def _chosen(images: list[DicomFile], where: str, series: str | None) -> list[DicomFile]:
    known: dict[str, list[DicomFile]] = {}
    for file in images:
        known.setdefault(text(file.item, "SeriesInstanceUID"), []).append(file)
    titles = {uid: text(items[0].item, "SeriesDescription") for uid, items in known.items()}
    if series is not None:
        known = {uid: items for uid, items in known.items() if series in (uid, titles[uid])}
        if not known:
            raise ScanError(f"{where} has no series {series!r}: leave series out to see what there is")
    if len(known) > 1:
        all_titles = [titles[uid] for uid in known]
        told = [
            f"{titles[uid]} ({len(items)} images)"
            if titles[uid] and all_titles.count(titles[uid]) == 1
            else f"{titles[uid]} {uid or 'without a UID'} ({len(items)} images)".strip()
            for uid, items in known.items()
        ]
        raise ScanError(
            f"{where} holds {len(known)} series: {listed(told, _MOST_LISTED)}: "
            "choose one with series= (description or UID)"
        )
    return next(iter(known.values()))


def _volume(
    files: list[DicomFile], where: str, volume: int | None, flat: bool
) -> "tuple[nibabel.Nifti1Image, list[Frame]]":
    """The image of a series' files and its slices."""
    found: list[Frame] = []
    for file in files:
        try:
            found += frames.frames(file)
        except ScanError as error:
            raise ScanError(f"{_named(where, file)}: {error}") from None
    _check_same(found, where)
    row, column, normal = _axes(found[0])
    found = _one_volume(found, normal, volume, where)
    step = _step(found, normal, where, flat)

    down, across = found[0].spacing
    affine = np.eye(4)
    affine[:3] = np.column_stack([row * across, column * down, step, found[0].position])
    affine[:2] *= -1  # LPS to RAS
    image = volumes.make_image(_values(found, where), affine)
    image.header.set_sform(affine, 1)  # scanner coordinates
    return image, found


def _named(where: str, file: DicomFile) -> str:
    return where if where == file.name else f"{where}: {file.name}"


def _values(found: list[Frame], where: str) -> Array:
    """(column, row, slice) values in their rescaled unit."""
    shape = (found[0].columns, found[0].rows, len(found))
    files = {frame.file.path: frame.file for frame in found}
    for file in files.values():
        try:
            pixels.check_size(file)
        except ScanError as error:
            raise ScanError(f"{_named(where, file)} {error}") from None
    largest = max(path.stat().st_size for path in files)
    memory.need(where, 4 * shape[0] * shape[1] * shape[2] + largest, "read fewer slices, or use a larger machine")
    try:
        data = np.empty(shape, np.float32, order="F")
        order = sorted(range(len(found)), key=lambda k: (str(found[k].file.path), found[k].index))
        for _, group in groupby(order, key=lambda k: found[k].file.path):
            places = list(group)
            name = _named(where, found[places[0]].file)
            try:
                for k, slice_ in zip(places, pixels.values([found[k] for k in places]), strict=True):
                    data[..., k] = slice_.T
            except ScanError as error:
                raise ScanError(f"{name} {error}") from None
    except MemoryError:
        raise ScanError(f"{where} does not fit into memory: read fewer slices, or use a larger machine") from None
    if not np.isfinite(data).all():
        raise ScanError(f"{where}: its values are NaN or infinite once rescaled: {CONVERT}")
    return data


def _check_same(found: list[Frame], where: str) -> None:
    """Refuse what is not a stack of parallel slices of one size."""
    first = found[0]
    row, column = first.orientation[:3], first.orientation[3:]
    if np.abs([row @ row - 1, column @ column - 1, row @ column]).max() > 1e-2:
        raise ScanError(f"{where}: its ImageOrientationPatient is not two unit vectors: {CONVERT}")
    for frame in found[1:]:
        if np.abs(frame.orientation - first.orientation).max() > 1e-3:
            raise ScanError(
                f"{where} holds slices of several orientations (a localiser?): keep those of one orientation"
            )
        same = (frame.rows, frame.columns) == (first.rows, first.columns)
        if not same or not np.allclose(frame.spacing, first.spacing, rtol=1e-3, atol=0):
            raise ScanError(f"{where} holds slices of several sizes: keep those of one size")


def _axes(frame: Frame) -> tuple[Array, Array, Array]:
    row, column = (v / np.linalg.norm(v) for v in (frame.orientation[:3], frame.orientation[3:]))
    return row, column, np.cross(row, column)


def _one_volume(found: list[Frame], normal: Array, volume: int | None, where: str) -> list[Frame]:
    """One slice for each place, sorted along the normal."""
    found = sorted(found, key=lambda frame: float(np.dot(normal, frame.position)))
    heights = np.array([frame.position for frame in found]) @ normal
    gaps = np.diff(heights)
    usual = float(np.median(gaps[gaps > 1e-3])) if (gaps > 1e-3).any() else 0.0
    breaks = np.flatnonzero((gaps >= 1e-3) & (gaps >= 0.01 * usual)) + 1
    places = [list(group) for group in np.split(np.arange(len(found)), breaks)]
    counts = {len(group) for group in places}
    if counts == {1}:
        if volume not in (None, 0):
            raise ScanError(f"{where} has one volume only: leave volume out")
        return found
    several = f"{where} has several images at one place"
    if len(counts) > 1:
        raise ScanError(
            f"{several} (echoes, time points, a copy?), from {min(counts)} to {max(counts)}: keep one image per place"
        )
    count = counts.pop()
    sorted_places = [sorted((found[k] for k in group), key=lambda frame: (frame.order[0], frame.kind, frame.order[1:]))
                     for group in places]  # fmt: skip
    kinds = [{place[k].kind for place in sorted_places} for k in range(count)]
    if volume is None:
        told = listed(
            [f"volume={k}: {'/'.join(sorted(kind)[0].split(chr(92))[2:]) or '?'}" for k, kind in enumerate(kinds)], 4
        )
        raise ScanError(
            f"{several} (echoes, time points, a copy?): keep one image per place, or choose one of {count} ({told})"
        )
    if not 0 <= volume < count:
        raise ScanError(f"{where} has volumes 0 to {count - 1}, not {volume}: choose one of them")
    if len(kinds[volume]) > 1:
        raise ScanError(f"{where}: volume {volume} would mix images of several kinds: keep one image per place")
    return [place[volume] for place in sorted_places]


def _step(found: list[Frame], normal: Array, where: str, flat: bool) -> Array:
    """Vector in mm (LPS) from a slice to the next; slices are sorted."""
    places = np.array([frame.position for frame in found])
    if len(found) == 1:
        thickness = found[0].thickness
        if not flat or not thickness > 0:
            remedy = "it names no SliceThickness either" if flat else "read it as one slice with flat=True"
            raise ScanError(f"{where} is a single slice, not a volume: {remedy}")
        return normal * thickness
    gaps = np.diff(places @ normal)
    usual = float(np.median(gaps))
    step = (places[-1] - places[0]) / (len(found) - 1)
    off = places - (places[0] + np.arange(len(found))[:, None] * step)
    # A position written with few decimals is off by up to half of the last one, and so are both ends of the line.
    rounding = min(10.0 ** -max(frame.decimals for frame in found), 0.2 * float(step @ normal))
    even = np.abs(gaps - usual).max() <= max(0.02 * usual, 0.01) or np.abs(off @ normal).max() <= rounding
    if not even:
        raise ScanError(
            f"{where} has uneven slice distances, {gaps.min():.2f} to {gaps.max():.2f} mm" + _why_uneven(found, gaps)
        )
    # A tilted gantry shifts each slice by the same amount: a sheared affine. Anything else is no volume.
    if np.abs(off).max() > max(0.1, rounding):
        raise ScanError(f"{where}: its slices do not lie on one line: {CONVERT}")
    return step


def _why_uneven(found: list[Frame], gaps: Array) -> str:
    """What may be behind uneven distances, and the remedy."""
    groups: dict[float, list[str]] = {}
    for frame in found:
        groups.setdefault(frame.thickness, []).append(frame.file.name)
    if 1 < len(groups) <= 4:
        told = "; ".join(f"{thick:g} mm: {names[0]} to {names[-1]}" for thick, names in groups.items())
        return f" (slices of several thicknesses, {told}): give the files of one thickness, as a list"
    missing = int(np.rint(gaps / np.sort(gaps)[(len(gaps) - 1) // 2]).sum()) - len(gaps)
    plural = "s" if missing > 1 else ""
    return (f" ({missing} slice{plural} missing?)" if missing > 0 else "") + ": copy or export the series again"
