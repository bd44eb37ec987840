"""DICOM pixels, decoded and checked against what the header promises."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medsr_course import runtime
from medsr_course.scans.scanfiles.errors import CONVERT, ScanError, first_line
from medsr_course.scans.scanfiles.frames import Frame
from medsr_course.scans.scanfiles.headers import DicomFile, text, whole, whole_number

if TYPE_CHECKING:  # pydicom is loaded where it is used
    from pydicom import Dataset
    from pydicom.uid import UID

_JPEG_2000 = "pylibjpeg pylibjpeg-openjpeg"
_JPEG_LS = "pyjpegls"
_JPEG = "python-gdcm"
_PLUGINS = {  # transfer syntax → the packages that decode it; all are in the extra "dicom"
    "1.2.840.10008.1.2.4.50": _JPEG,
    "1.2.840.10008.1.2.4.51": _JPEG,
    "1.2.840.10008.1.2.4.57": _JPEG,
    "1.2.840.10008.1.2.4.70": _JPEG,
    "1.2.840.10008.1.2.4.80": _JPEG_LS,
    "1.2.840.10008.1.2.4.81": _JPEG_LS,
    "1.2.840.10008.1.2.4.90": _JPEG_2000,
    "1.2.840.10008.1.2.4.91": _JPEG_2000,
    "1.2.840.10008.1.2.4.201": _JPEG_2000,
    "1.2.840.10008.1.2.4.202": _JPEG_2000,
    "1.2.840.10008.1.2.4.203": _JPEG_2000,
}
_RLE = "1.2.840.10008.1.2.5"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_MOST_PER_RLE_BYTE = 64  # two bytes make 128 at most
_MOST_PER_DEFLATED_BYTE = 1032


def values(frames: list[Frame]) -> Iterator[npt.NDArray[np.float32]]:
    """Decode slices of one file.

    Parameters
    ----------
    frames : list of Frame
        All of the same file.

    Yields
    ------
    float32 array (row, column)
        Of each frame in turn, in its rescaled unit.

    Raises
    ------
    ScanError
        Cut short, damaged, or packed in a way that nothing installed here unpacks; without the file's name.
    """
    item = _with_pixels(frames[0])
    syntax = _syntax(item)
    decoder = _decoder(syntax)
    _check_length(item, syntax, check_size(frames[0].file))
    decoded: tuple[int, npt.NDArray[Any]] | None = None
    for frame in frames:
        if decoded is None or decoded[0] != frame.index:
            decoded = (frame.index, _decode(item, syntax, decoder, frame.index))
        pixels = decoded[1]
        if frame.tile is not None:
            top, left = frame.tile
            pixels = pixels[top : top + frame.rows, left : left + frame.columns]
        if pixels.shape != (frame.rows, frame.columns):
            raise ScanError(f"is damaged: its pixels are {pixels.shape}, not {(frame.rows, frame.columns)}")
        with np.errstate(over="ignore", invalid="ignore"):
            yield pixels.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)


def _with_pixels(frame: Frame) -> "Dataset":
    try:
        item = whole(frame.file.path)
    except OSError as error:
        raise ScanError(f"cannot be opened: {first_line(error)}") from None
    except ScanError as error:
        raise ScanError(f"is damaged ({error}): copy or export it again") from None
    if not any(keyword in item for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ScanError("is damaged (it holds no pixels): copy or export it again")
    return item


def _decoder(syntax: "UID") -> Any:
    """pydicom's decoder of a transfer syntax, or a refusal that names the package to install."""
    from pydicom.pixels import get_decoder

    if not syntax.is_transfer_syntax:
        raise ScanError(f"is packed in a way that is not known (transfer syntax {syntax}): {CONVERT}")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ScanError(f"is packed in a way that cannot be read here ({syntax.name}): {CONVERT}") from None
    if not decoder.is_available:
        package = _PLUGINS.get(str(syntax))
        remedy = f"install what unpacks it (python -m pip install {package}), or " if package else ""
        raise ScanError(f"is compressed ({syntax.name}): {remedy}{CONVERT}")
    return decoder


def check_size(file: DicomFile) -> int:
    """Refuse a file too small for the image it promises, before memory is taken; bytes of its unpacked pixels.

    Raises
    ------
    ScanError
        Numbers that cannot be, or a file cut short; without the file's name.
    """
    item = file.item
    bits = whole_number(item, "BitsAllocated", None, least=1, most=64)
    stored = whole_number(item, "BitsStored", bits, least=1, most=64)
    high = whole_number(item, "HighBit", stored - 1, least=0, most=63)
    whole_number(item, "PixelRepresentation", 0, least=0, most=1)
    rows = whole_number(item, "Rows", None, least=1, most=65535)
    columns = whole_number(item, "Columns", None, least=1, most=65535)
    count = whole_number(item, "NumberOfFrames", 1, least=0, most=2**31) or 1
    if bits not in (8, 16, 32, 64):
        raise ScanError(f"has {bits} bits per voxel, which no scan has: {CONVERT}")
    if stored > bits or high != stored - 1:
        raise ScanError(f"keeps {stored} of {bits} bits, up to bit {high}: {CONVERT}")
    expected = rows * columns * count * bits // 8
    size, syntax = file.path.stat().st_size, _syntax(item)
    most = size * {_RLE: _MOST_PER_RLE_BYTE, _DEFLATED: _MOST_PER_DEFLATED_BYTE}.get(syntax, 1)
    if expected > most and syntax.is_transfer_syntax and (syntax in (_RLE, _DEFLATED) or not syntax.is_compressed):
        raise ScanError(f"is damaged: {size} bytes cannot hold {expected} bytes of pixels: copy or export it again")
    return expected


def _syntax(item: "Dataset") -> "UID":
    from pydicom.uid import UID

    return UID(text(item.file_meta, "TransferSyntaxUID"))


def _check_length(item: "Dataset", syntax: "UID", expected: int) -> None:
    """Refuse unpacked pixels of another length than the header promises."""
    try:
        keywords = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
        found = next(item[keyword].value for keyword in keywords if keyword in item)
        memoryview(found)
    except Exception as error:
        raise ScanError(f"is damaged (its pixels: {first_line(error)}): copy or export it again") from None
    size = len(found)
    if not syntax.is_encapsulated:
        if size < expected:
            raise ScanError(f"is damaged: {size} of {expected} bytes of pixels are there: copy or export it again")
        if any(memoryview(found)[expected : expected + 64]) and size - expected > 1 or size >= 2 * expected + 2:
            raise ScanError(f"is damaged: it holds {size} bytes of pixels, not {expected}: copy or export it again")


def _decode(item: "Dataset", syntax: "UID", decoder: Any, index: int) -> npt.NDArray[Any]:
    """One frame, as stored."""
    try:
        if str(syntax) in _PLUGINS:
            _check_stream(item, index)
            with runtime.hushed():  # the libraries report to stderr themselves
                return decoder.as_array(item, index=index, raw=True)[0]
        return decoder.as_array(item, index=index, raw=True)[0]
    except MemoryError:
        raise
    except Exception as error:
        line = first_line(error)
        if syntax.is_compressed:
            raise ScanError(
                f"is compressed ({syntax.name}) and damaged, or not to be unpacked here ({line}): {CONVERT}"
            ) from None
        raise ScanError(f"is damaged ({line}): copy or export it again") from None


def _check_stream(item: "Dataset", index: int) -> None:
    """Refuse a packed frame of another size than the header's: decoders believe it and take the memory."""
    from pydicom.encaps import get_frame

    count = whole_number(item, "NumberOfFrames", 1, least=0, most=2**31) or 1
    stream = get_frame(item.PixelData, index, number_of_frames=count)
    if stream[:2] == b"\xff\xd8" and b"\xff\xd9" not in stream[-64:]:  # CharLS takes minutes to find out
        raise ValueError("its packed pixels are cut short")
    stated = _stated_size(stream)
    header = (int(item.Rows), int(item.Columns))
    if stated != header:
        found = "no image" if stated is None else f"an image of {stated[0]} × {stated[1]}"
        raise ValueError(f"it packs {found}, not {header[0]} × {header[1]}")


def _stated_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, JPEG-LS or JPEG 2000 stream."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0:
        width, height, left, top = (
            int.from_bytes(stream[start + at : start + at + 4], "big") for at in (8, 12, 16, 20)
        )
        return height - top, width - left
    at = 2 if stream[:2] == b"\xff\xd8" else len(stream)
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:  # a filler
            at += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return int.from_bytes(stream[at + 5 : at + 7], "big"), int.from_bytes(stream[at + 7 : at + 9], "big")
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None
