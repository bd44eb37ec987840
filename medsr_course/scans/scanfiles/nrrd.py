"""NRRD files, read: three axes of numbers in space, header and data in one file (teem.sourceforge.net/nrrd)."""

import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course.scans import volumes
from medsr_course.scans.scanfiles import ScanError, memory
from medsr_course.scans.scanfiles.errors import reason
from medsr_course.types import Array

if TYPE_CHECKING:  # nibabel is loaded where it is used
    import nibabel

_SIGNS = {  # of the axes of a space, towards Right, Anterior, Superior
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
}
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    "float": "f4",
    "double": "f8",
}
_MOST_HEADER = 1 << 20  # bytes
REMEDY = "convert it to NIfTI, e.g. with 3D Slicer"


def read(path: Path) -> tuple["nibabel.Nifti1Image", np.dtype[Any]]:
    """Reads an NRRD file of one volume.

    Returns
    -------
    (nibabel.Nifti1Image, dtype)
        float32, its affine in mm, RAS+; the type of the numbers in the file.

    Raises
    ------
    ScanError
        In one line: damaged, data in another file, colours or vectors, no place in space, NaN.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ScanError(f"{path.name} cannot be read: {reason(error)}") from None
    head = re.match(rb"NRRD000\d\r?\n(.*?)\r?\n\r?\n", content[:_MOST_HEADER], re.DOTALL)
    if not head:
        raise ScanError(f"{path.name} is no NRRD file with its data in it: {REMEDY}")
    lines = head[1].decode("utf-8", "replace").splitlines()
    pairs = (line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#"))
    fields = {key.strip().lower(): value.strip() for key, value in pairs}
    try:
        shape, affine, dtype = _described(path, fields)
        data = _data(path, fields, content[head.end() :], shape, dtype)
    except (ValueError, KeyError, zlib.error) as error:
        raise ScanError(f"{path.name}: its header or data cannot be used ({error}): {REMEDY}") from None
    if not np.isfinite(data).all():
        raise ScanError(f"{path.name} holds NaN or infinite voxels: replace them, and {REMEDY}")
    image = volumes.make_image(data, affine)
    image.header.set_sform(affine, 1)
    return image, dtype.newbyteorder("=")


def _described(path: Path, fields: dict[str, str]) -> tuple[tuple[int, ...], Array, np.dtype[Any]]:
    """Shape, affine and type of the numbers."""
    if "data file" in fields or "datafile" in fields:
        raise ScanError(f"{path.name} keeps its data in another file: {REMEDY}")
    shape = tuple(int(size) for size in fields["sizes"].split())
    if len(shape) != 3 or min(shape) < 1:
        raise ScanError(f"{path.name} has {len(shape)} axes {shape}, not three of one volume: {REMEDY}")
    space = fields.get("space", "").lower()
    if space not in _SIGNS or "space directions" not in fields:
        raise ScanError(f"{path.name} does not say where it lies in the body: {REMEDY}")
    steps = [_vector(text) for text in re.findall(r"\([^)]*\)", fields["space directions"])]
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(steps)
    affine[:3, 3] = _vector(fields.get("space origin", "(0,0,0)"))
    affine[:3] *= np.array(_SIGNS[space])[:, None]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ScanError(f"{path.name}: its axes do not span a volume: {REMEDY}")
    order = "<" if fields.get("endian", "little") == "little" else ">"
    return shape, affine, np.dtype(order + _TYPES[fields["type"].lower()])


def _vector(text: str) -> list[float]:
    return [float(number) for number in text.strip("()").split(",")]


def _data(path: Path, fields: dict[str, str], packed: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    size = int(np.prod(shape)) * dtype.itemsize
    memory.need(path.name, size + 4 * int(np.prod(shape)))
    encoding = fields.get("encoding", "raw").lower()
    if encoding in ("gzip", "gz"):
        packer = zlib.decompressobj(31)
        packed = packer.decompress(packed, size + 1)
        if not packer.eof:  # where its checksum stands
            raise ScanError(f"{path.name} is cut short, or longer than its header says: fetch it again")
    elif encoding != "raw":
        raise ScanError(f"{path.name} is encoded as {encoding!r}: {REMEDY}")
    if len(packed) < size:
        raise ScanError(f"{path.name} is cut short: {len(packed)} of {size} bytes are there: fetch it again")
    return np.frombuffer(packed, dtype, int(np.prod(shape))).reshape(shape, order="F").astype(np.float32)
