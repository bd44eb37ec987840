"""Results in NIfTI files, stored as the scan they were made of, in pieces: a large one never lies in memory."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medsr_course.scans import spool, volumes
from medsr_course.scans.scanfiles.writing import new_file
from medsr_course.types import Array, Image

COMMENT = 6  # code of a NIfTI extension in plain text


@dataclass(frozen=True, eq=False)
class Stored:
    """How a file holds its values: value = slope · number + inter, numbers of type ``dtype``."""

    dtype: np.dtype[Any] = np.dtype(np.float32)
    slope: float = 1.0
    inter: float = 0.0


def finer_header(like: Image, shape: tuple[int, ...]) -> Any:
    """Returns an image's header for a finer grid, both transforms in it, so that neither becomes the other's.

    Rotation and origin keep their very bytes: sample 0 stays, and steps are divided.
    """
    import nibabel

    header = like.header.copy() if isinstance(like.header, nibabel.Nifti1Header) else None
    if header is None:
        header = volumes.make_image(np.zeros((1, 1, 1), np.uint8), like.affine).header
    header.set_data_shape(shape)
    for axis, (fine, coarse) in enumerate(zip(shape, like.shape, strict=True)):
        header["pixdim"][1 + axis] /= fine / coarse
        for row in ("srow_x", "srow_y", "srow_z"):
            header[row][axis] /= fine / coarse
    for stale in ("cal_min", "cal_max", "slice_code", "slice_start", "slice_end", "slice_duration"):
        header[stale] = 0  # a window for other values; when other slices were taken
    return header


def extremes(data: Any) -> tuple[float, float]:
    """Returns the least and the greatest value of an image, read in parts."""
    low, high = np.inf, -np.inf
    for values in spool.parts(data):
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


def write(path: Path, data: Any, stored: Stored, header: Any, told: Mapping[str, Any]) -> None:
    """Writes a NIfTI file whole or not at all.

    Parameters
    ----------
    path : Path
        A file that is there is replaced.
    data : array (x, y, z), or a proxy of one
    stored : Stored
        How the original holds its values: see :func:`fitting`.
    header : nibabel header
        For these data; it is changed.
    told : mapping
        What was done, with ``software``, ``task``, ``network``, ``version``, ``checksum`` and ``engine``: the
        description has these in short, an extension of the header all of it.
    """
    from nibabel.nifti1 import Nifti1Extension

    stored = fitting(stored, *extremes(data))
    header.set_data_dtype(stored.dtype)
    original = bytes(header["descrip"].item()).decode("latin-1").rstrip("\0 ")
    short = [str(told[key]) for key in ("software", "task", "network", "version", "checksum", "engine")]
    header["descrip"] = " ".join([*short[:4], short[4][:8], short[5]])[:79]
    told = {**told, **({"original_description": original} if original else {})}
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
    with new_file(path) as file:
        file.write(bytes(head).ljust(offset, b"\0"))
        for part in spool.parts(data):
            file.write(numbers(part, stored, header.endianness).tobytes(order="F"))


def numbers(values: Array, stored: Stored, endianness: Literal["<", ">"] = "<") -> Array:
    """Returns the numbers that stand for values in a file."""
    if stored.dtype.kind != "f":
        limits = np.iinfo(stored.dtype)
        values = values.astype(np.float64) if stored.dtype.itemsize > 2 else values
        values = np.clip(np.rint((values - stored.inter) / stored.slope), limits.min, limits.max)
    return values.astype(stored.dtype.newbyteorder(endianness))
