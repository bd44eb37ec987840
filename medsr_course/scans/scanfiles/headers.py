"""DICOM files found and opened, their numbers checked.

Whatever pydicom raises on a damaged file ends here in one line; a file that looks like DICOM is never passed over
without a word.
"""

import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course.scans.scanfiles import memory
from medsr_course.scans.scanfiles.errors import ScanError, first_line, reason
from medsr_course.types import Array

if TYPE_CHECKING:  # pydicom is loaded where it is used
    from pydicom import Dataset
    from pydicom.uid import UID

_DICOM_ENDINGS = {".dcm", ".dicom", ".ima"}
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MOST_INFLATED = 1 << 29


@dataclass
class DicomFile:
    """A DICOM file that holds an image, opened up to its pixels."""

    path: Path
    item: "Dataset"

    @property
    def name(self) -> str:
        """Its file name."""
        return self.path.name


@dataclass
class Found:
    """What a search for DICOM images found."""

    images: list[DicomFile]
    damaged: list[tuple[str, str]]  # (file name, what is wrong)
    others: list[str]  # names of DICOM files without an image, and of files that may have been DICOM


def find(files: Iterable[Path]) -> Found:
    """Open every file as far as its pixels and sort out the images.

    A file with the ending of DICOM that is none, one cut off in its header and an image without a size count as
    damaged; reports, indices and the like as others. Files of other kinds are passed over.
    """
    found = Found([], [], [])
    for path in files:
        try:
            item = header(path)
            if item is None:
                if path.suffix.lower() in _DICOM_ENDINGS:
                    found.damaged.append((path.name, "empty" if path.stat().st_size == 0 else "not DICOM inside"))
                elif path.suffix == "" or path.suffix[1:].isdigit():
                    found.others.append(path.name)
            elif "Rows" in item and "Columns" in item:
                found.images.append(DicomFile(path, item))
            elif _is_image(item):
                found.damaged.append((path.name, "its header is cut off or incomplete"))
            else:
                found.others.append(path.name)
        except ScanError as error:
            found.damaged.append((path.name, str(error)))
        except OSError as error:
            found.damaged.append((path.name, reason(error)))
    return found


def _is_image(item: "Dataset") -> bool:
    """Whether a DICOM file without rows and columns should have had an image."""
    kind = text(item, "SOPClassUID") or text(item.file_meta, "MediaStorageSOPClassUID")
    if not kind:
        return True  # not even its kind is there: it is cut off right at the start
    from pydicom.uid import UID

    name = UID(kind).name
    return "Image" in name and "Storage" in name


def header(path: Path) -> "Dataset | None":
    """A DICOM file up to its pixels, or None for another kind of file.

    Files without the preamble of 128 bytes (older exports) are recognised by their first element.

    Raises
    ------
    ScanError
        What is wrong with the file, without its name.
    OSError
        If it cannot be opened.
    """
    previous = 0

    def stop(tag: int, vr: str | None, length: int) -> bool:
        # Elements come in rising order; what goes back (zeros behind a broken copy) is no element any more.
        nonlocal previous
        back, previous = tag < previous or tag == 0, tag
        return back or tag >= 0x7FE00008

    return _parsed(path, stop)


def whole(path: Path) -> "Dataset":
    """A DICOM file with its pixels; nothing behind them is read."""
    item = _parsed(path, lambda tag, vr, length: tag > 0x7FE00010 or tag == 0)
    if item is None:
        raise ScanError("not DICOM any more")
    return item


def _parsed(path: Path, stop: Any) -> "Dataset | None":
    from pydicom.filereader import read_partial

    with open(path, "rb") as file:
        start = file.read(2048)
        if start[128:132] != b"DICM" and not _starts_like_dicom(start):
            return None
        memory.need("", os.path.getsize(path))
        if _DEFLATED in start[132:]:
            _check_inflated(start + file.read())
        file.seek(0)
        try:
            item = read_partial(file, stop, force=True)
            if not text(item.file_meta, "TransferSyntaxUID"):
                item.file_meta.TransferSyntaxUID = _encoding(item)
        except MemoryError:
            raise ScanError("does not fit into memory, or is damaged") from None
        except Exception as error:
            raise ScanError(first_line(error)) from None
    return item


def _starts_like_dicom(start: bytes) -> bool:
    """Whether a file without the preamble begins with an element of the first groups."""
    for order in ("little", "big"):
        group = int.from_bytes(start[:2], order)
        number = int.from_bytes(start[2:4], order)
        if group in (2, 8) and number < 0x200 and len(start) >= 8:
            explicit = start[4:6].isalpha() and start[4:6].isupper()
            if explicit or int.from_bytes(start[4:8], order) < 1024:
                return True
    return False


def _encoding(item: "Dataset") -> "UID":
    """Transfer syntax of a file that names none, as its elements were read."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = item.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little or little is None else ExplicitVRBigEndian


def _check_inflated(raw: bytes) -> None:
    """Refuse a deflated file that grows beyond measure, before pydicom unpacks it whole."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    most = min(_MOST_INFLATED, (memory.free() or _MOST_INFLATED) // 4)
    # Where the deflated part begins is known only after the file's first group: take its stated length.
    begin = 144 + int.from_bytes(raw[140:144], "little")
    size, rest = 0, raw[begin:]
    try:
        while rest and not inflate.eof:
            size += len(inflate.decompress(rest, 1 << 20))
            rest = inflate.unconsumed_tail
            if size > most:
                raise ScanError(f"unpacks to more than {most >> 20} MiB: not one image")
    except zlib.error:
        pass  # pydicom has its own word for it


def text(item: "Dataset", keyword: str) -> str:
    """An element as text, "" where it is missing or cannot be read."""
    try:
        value = item.get(keyword)
        if value is None or isinstance(value, bytes):
            return ""
        return "\\".join(map(str, value)) if not isinstance(value, str) and hasattr(value, "__iter__") else str(value)
    except Exception:
        return ""


def numbers(item: "Dataset", keyword: str, count: int = 1, *, least: float = -1e7, most: float = 1e7) -> Array | None:
    """The numbers of an element, or None where it is missing or empty.

    Parameters
    ----------
    item : pydicom Dataset
    keyword : str
        Name of the element.
    count : int
        How many numbers it has to hold.
    least, most : float
        Range that each must lie in.

    Raises
    ------
    ScanError
        Text, another count, NaN, infinity, or outside the range; without the file's name.
    """
    try:
        value = item.get(keyword)
    except Exception as error:
        raise ScanError(f"its {keyword} is no number ({first_line(error)})") from None
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        return None
    several = value if hasattr(value, "__iter__") and not isinstance(value, str | bytes) else [value]
    try:
        found = np.array([float(each) for each in several])
    except Exception:
        raise ScanError(f"its {keyword} is no number: {first_line(ValueError(several[0]), 40)}") from None
    if len(found) != count:
        raise ScanError(f"its {keyword} holds {len(found)} numbers, not {count}")
    if not (np.isfinite(found).all() and found.min() >= least and found.max() <= most):
        raise ScanError(f"its {keyword} cannot be: {', '.join(f'{each:g}' for each in found)}")
    return found


def whole_number(item: "Dataset", keyword: str, default: int | None, *, least: int, most: int) -> int:
    """The whole number of an element, or ``default`` where it is missing.

    Raises
    ------
    ScanError
        No whole number, outside the range, or missing without a default.
    """
    found = numbers(item, keyword, least=least, most=most)
    if found is None:
        if default is None:
            raise ScanError(f"it has no {keyword}")
        return default
    if found[0] != int(found[0]):
        raise ScanError(f"its {keyword} is no whole number: {found[0]:g}")
    return int(found[0])
