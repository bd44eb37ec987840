"""The slices of a DICOM file, each with its place: one, those of an enhanced multi-frame file, or of a mosaic."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medsr_course.scans.scanfiles.errors import CONVERT, ScanError
from medsr_course.scans.scanfiles.headers import DicomFile, numbers, text, whole_number

if TYPE_CHECKING:  # pydicom is loaded where it is used
    from pydicom import Dataset

_PLACED = (("ImagePositionPatient", 3, -1e7), ("ImageOrientationPatient", 6, -1.1), ("PixelSpacing", 2, 0.0))
# Which of the dimensions that number an enhanced file's frames say where a frame lies, not which image it is of.
_DIMENSIONS_OF_PLACE = {0x00209057, 0x00200032, 0x00209111, 0x00209113, 0x00201041}
_SORTING = (
    "EchoTime",
    "EffectiveEchoTime",
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "AcquisitionNumber",
    "AcquisitionTime",
    "InstanceNumber",
)
_NO_SCANS = {
    "1.2.840.10008.5.1.4.1.1.481.2": "a radiotherapy dose",
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "a label map",
}


@dataclass
class Frame:
    """A slice: where it lies in the patient (LPS, mm) and where its pixels are in the file."""

    file: DicomFile
    index: int  # frame of the file
    rows: int
    columns: int
    position: npt.NDArray[np.float64]
    orientation: npt.NDArray[np.float64]
    spacing: npt.NDArray[np.float64]
    slope: float = 1.0
    intercept: float = 0.0
    thickness: float = 0.0
    decimals: int = 15  # with which its position was written
    kind: str = ""  # ImageType: tells a magnitude from a phase image
    order: tuple[Any, ...] = ()  # sorts images of one place: echo, time point, number
    tile: tuple[int, int] | None = None  # first row and column in a mosaic


def frames(file: DicomFile) -> list[Frame]:
    """The slices of a file.

    Raises
    ------
    ScanError
        Colour, no place in the patient, numbers that cannot be, several slices without their places; without the
        file's name.
    """
    item = file.item
    _check_kind(item)
    rows = whole_number(item, "Rows", None, least=1, most=65535)
    columns = whole_number(item, "Columns", None, least=1, most=65535)
    count = whole_number(item, "NumberOfFrames", 1, least=0, most=2**31) or 1
    groups = _sequence(item, "PerFrameFunctionalGroupsSequence")
    mosaic = "MOSAIC" in text(item, "ImageType").split("\\")
    if groups is not None and not mosaic:
        return _enhanced(file, rows, columns, count, groups)
    if count > 1:
        raise ScanError(f"it holds several slices in one file, without their places: {CONVERT}")
    one = _frame(file, 0, rows, columns, [item])
    return _tiles(one) if mosaic else [one]


def _check_kind(item: "Dataset") -> None:
    kind = _NO_SCANS.get(text(item, "SOPClassUID"))
    if kind:
        raise ScanError(f"it is {kind}, not a scan: leave it out of the folder")
    colours = text(item, "PhotometricInterpretation").strip().upper()
    if whole_number(item, "SamplesPerPixel", 1, least=1, most=65535) != 1 or (
        colours and not colours.startswith("MONOCHROME")
    ):
        raise ScanError(
            f"it is in colour ({colours or 'several samples per pixel'}; a screenshot?): leave it out of the folder"
        )
    if "ModalityLUTSequence" in item:
        raise ScanError(f"its values go through a table (ModalityLUTSequence): {CONVERT}")


def _sequence(item: "Dataset", keyword: str) -> "list[Dataset] | None":
    """The items of a sequence, or None where it is missing, empty or none."""
    try:
        value = item.get(keyword)
        found = list(value) if value else []
        return found if found and all(hasattr(each, "file_meta") or hasattr(each, "get") for each in found) else None
    except Exception:
        raise ScanError(f"its {keyword} cannot be read") from None


def _frame(file: DicomFile, index: int, rows: int, columns: int, sources: "list[Dataset]") -> Frame:
    """A slice whose elements stand in the first of ``sources`` that has them."""
    placed = {}
    for keyword, count, least in _PLACED:
        value, spoilt = None, None
        for source in sources:
            try:
                value = numbers(source, keyword, count, least=least)
            except ScanError as error:
                spoilt = error
            if value is not None:
                break
        if value is None:
            raise ScanError(
                str(spoilt)
                if spoilt
                else f"it has no {keyword} (an X-ray, a screenshot, a secondary capture?): "
                "only slices placed in the patient make a volume"
            )
        placed[keyword] = value
    spacing = placed["PixelSpacing"]
    if spacing.min() <= 0:
        raise ScanError(f"it has a PixelSpacing of 0: {CONVERT}")
    if spacing.min() < 1e-6 or spacing.max() > 1e4:
        raise ScanError(f"its PixelSpacing cannot be: {spacing[0]:g}, {spacing[1]:g} mm")
    slope = _first(sources, "RescaleSlope", most=1e30)
    if slope is not None and np.float32(slope) == 0:
        raise ScanError(f"its RescaleSlope is {slope:g}, which would wipe the image: {CONVERT}")
    return Frame(
        file,
        index,
        rows,
        columns,
        placed["ImagePositionPatient"],
        placed["ImageOrientationPatient"],
        spacing,
        1.0 if slope is None else slope,
        _first(sources, "RescaleIntercept", most=1e30) or 0.0,
        abs(_first(sources, "SliceThickness") or 0.0),
        _decimals(sources),
        next((kind for source in sources if (kind := text(source, "FrameType") or text(source, "ImageType"))), ""),
        ((), *(_lenient(sources, keyword) for keyword in _SORTING), str(file.path), index),
    )


def _first(sources: "list[Dataset]", keyword: str, most: float = 1e7) -> float | None:
    """A number from the first source that has it."""
    for source in sources:
        value = numbers(source, keyword, least=-most, most=most)
        if value is not None:
            return float(value[0])
    return None


def _lenient(sources: "list[Dataset]", keyword: str) -> float:
    """A number that only sorts: 0 where it cannot be read."""
    try:
        return _first(sources, keyword) or 0.0
    except ScanError:
        return 0.0


def _decimals(sources: "list[Dataset]") -> int:
    """Decimals with which a position was written; 15 where it was not written as text."""
    for source in sources:
        written = text(source, "ImagePositionPatient")
        if written:
            parts = written.split("\\")
            if any("e" in part.lower() for part in parts):
                return 15
            return max(len(part.partition(".")[2].strip().rstrip("0")) for part in parts)
    return 15


def _enhanced(file: DicomFile, rows: int, columns: int, count: int, groups: "list[Dataset]") -> list[Frame]:
    """Slices of an enhanced multi-frame file: places and scale factors of each frame, else those all share."""
    item = file.item
    if len(groups) != count:
        raise ScanError(f"it describes {len(groups)} frames, but holds {count}: copy or export it again")
    shared = _sequence(item, "SharedFunctionalGroupsSequence") or []
    pointers = [
        whole_number(each, "DimensionIndexPointer", 0, least=0, most=2**32)
        for each in _sequence(item, "DimensionIndexSequence") or []
    ]
    out = []
    for index, group in enumerate(groups):
        sources = [inner for outer in (group, *shared[:1]) for inner in _inner(outer)]
        frame = _frame(file, index, rows, columns, [*sources, item])
        frame.order = (_dimensions(sources, pointers), *frame.order[1:])
        out.append(frame)
    return out


def _inner(group: "Dataset") -> "list[Dataset]":
    """First items of the standard sequences in a functional group."""
    found = []
    for tag in list(group.keys()):  # noqa: SIM118 (a Dataset yields elements)
        if tag.is_private:
            continue
        try:
            value = group[tag].value
        except Exception:
            continue
        if group[tag].VR == "SQ" and value:
            found.append(value[0])
    return found


def _dimensions(sources: "list[Dataset]", pointers: list[int]) -> tuple[float, ...]:
    """Which image a frame is of, as the file's dimensions number it; where it lies is left out."""
    for source in sources:
        try:
            values = [float(value) for value in source.get("DimensionIndexValues") or ()]
        except Exception:
            continue
        if len(values) == len(pointers) and values:
            return tuple(value for value, tag in zip(values, pointers, strict=True) if tag not in _DIMENSIONS_OF_PLACE)
    return ()


def _tiles(mosaic: Frame) -> list[Frame]:
    """Slices of a Siemens mosaic: tiles of a square, row by row, placed by the scanner's private header.

    The header's ImagePositionPatient is the corner of an image as large as the mosaic around the slice's centre.
    """
    count, normal = _mosaic_header(mosaic.file.item)
    side = math.isqrt(count - 1) + 1
    if mosaic.rows % side or mosaic.columns % side:
        raise ScanError(
            f"it holds several slices in one file ({count}), but its sides are no multiple of {side}: {CONVERT}"
        )
    rows, columns = mosaic.rows // side, mosaic.columns // side
    along, down = mosaic.orientation[:3], mosaic.orientation[3:]
    distance = _first([mosaic.file.item], "SpacingBetweenSlices") or mosaic.thickness
    if distance <= 0:
        raise ScanError(f"it holds several slices in one file, and names no distance between them: {CONVERT}")
    if abs(abs(float(np.dot(normal, np.cross(along, down)))) - 1) > 0.05:
        raise ScanError(f"it holds several slices in one file, whose normal is not that of the image: {CONVERT}")
    down_mm, across_mm = mosaic.spacing
    corner = (
        mosaic.position + along * across_mm * (mosaic.columns - columns) / 2 + down * down_mm * (mosaic.rows - rows) / 2
    )
    return [
        Frame(
            mosaic.file,
            0,
            rows,
            columns,
            corner + k * distance * normal,
            mosaic.orientation,
            mosaic.spacing,
            mosaic.slope,
            mosaic.intercept,
            mosaic.thickness,
            kind=mosaic.kind,
            order=mosaic.order,
            tile=(k // side * rows, k % side * columns),
        )
        for k in range(count)
    ]


def _mosaic_header(item: "Dataset") -> tuple[int, npt.NDArray[np.float64]]:
    """Number of slices in a mosaic and the direction they follow each other in."""
    from nibabel.nicom import csareader

    try:
        private = csareader.get_csa_header(item, "image") or {"tags": {}}
        count = int(csareader.get_n_mosaic(private) or item[0x0019, 0x100A].value)
        normal = np.array(csareader.get_slice_normal(private), float)
    except Exception:
        count, normal = 0, np.zeros(3)
    if not 1 <= count <= 4096 or normal.shape != (3,) or not np.isfinite(normal).all():
        raise ScanError(f"it holds several slices in one file (a mosaic), but not how many and where: {CONVERT}")
    return count, normal
