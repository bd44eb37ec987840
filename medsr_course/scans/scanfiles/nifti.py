"""NIfTI files, ``.nii`` and ``.nii.gz``, read right or refused."""

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from medsr_course.scans import volumes
from medsr_course.scans.scanfiles import memory
from medsr_course.scans.scanfiles.errors import (
    CONVERT,
    NotFiniteError,
    ScanError,
    SeveralVolumesError,
    first_line,
    millimetres,
    reason,
    warn,
)
from medsr_course.types import Array, PathLike

if TYPE_CHECKING:  # nibabel is loaded where it is used
    import nibabel

_UNITS_IN_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
# No deflate stream holds more than 1032 bytes per byte: a header that promises more is wrong.
_MOST_PER_BYTE = 1032
_MOST_BEHIND = 1 << 24  # bytes after the last voxel that are read past; more is no longer a remark or padding
_CHUNK = 1 << 24


def read(
    path: PathLike,
    *,
    volume: int | None = None,
    fill: float | None = None,
    labels: bool = False,
    flat: bool = False,
) -> "nibabel.Nifti1Image":
    """Read a NIfTI file (``.nii`` or ``.nii.gz``), checked.

    Parameters
    ----------
    path : str or Path
    volume : int, optional
        Which volume of a 4-D file to take, counted from 0. A 4-D file of one volume needs no choice.
    fill : float, optional
        Value to put in place of voxels that are NaN or infinite; without it such a file is refused.
    labels : bool
        The file holds whole-number labels: they come back as int16 (or int32 where needed). Values a rounded
        scale factor has moved by less than 0.001 count as whole.
    flat : bool
        Take a 2-D file as a volume of one slice; without it such a file is refused.

    Returns
    -------
    nibabel.Nifti1Image
        3-D, float32 (labels: integer), in the file's intensity unit with its scale factors applied; affine
        in mm, the file's own orientation (see :func:`volumes.to_ras`).

    Raises
    ------
    ScanError
        In one line, what is wrong with the file and what to do.

    Warns
    -----
    ScanWarning
        If the file does not tell left from right (both coordinate codes 0); its codes stay 0.
    """
    path = Path(path)
    image = _open(path, flat, volume)
    affine = _affine(path, image)
    data = _data(path, image, None if labels else np.float32)
    if not labels:
        with np.errstate(over="ignore", invalid="ignore"):
            data = np.array(data, dtype=np.float32, order="F")
    finite = np.isfinite(data)
    if not finite.all():
        if fill is None:
            raise NotFiniteError(path.name, finite.size - np.count_nonzero(finite))
        data = np.where(finite, data, fill)
    data = _as_labels(path, data) if labels else np.asfortranarray(data, dtype=np.float32)
    if not (int(image.header["sform_code"]) or int(image.header["qform_code"])):
        warn(
            f"{path.name} does not tell left from right (both coordinate codes are 0): the usual order is assumed; "
            "compare it with the original scan"
        )
    return _image(data, affine, image.header)


def _open(path: Path, flat: bool, volume: int | None) -> Any:
    """The image in a file, in memory, of a 4-D file the one volume; its data are not yet decoded."""
    import nibabel
    from nibabel.imageglobals import logger

    size, handle = _handle(path)
    with handle:
        try:
            start = handle.read(540)
            header_class = _header_class(path, start)
            # nibabel mends faults of a header without a word; look at it before it does.
            header = header_class(start[: header_class.template_dtype.itemsize], check=False)
            dims = _check_header(path, header, flat)
            volume = _chosen(path, dims, volume)
            voxels = math.prod(dims[:3])
            each = voxels * header.get_data_dtype().itemsize
            begin, end = (int(header["vox_offset"]) + each * count for count in (0, (*dims, 1, 1, 1)[3]))
            if end > size * _MOST_PER_BYTE:
                raise ScanError(
                    f"{path.name}: its header promises {end} bytes, but the file is short: copy or download it again"
                )
            packed = isinstance(handle, gzip.GzipFile)
            if not packed:
                _check_end(path, size, end)
            # As stored, twice (nibabel keeps its own), then as float64 and float32.
            memory.need(path.name, 2 * each + 12 * voxels)
            handle.seek(begin + each * volume)
            raw = bytearray()
            while len(raw) < each and (chunk := handle.read(min(_CHUNK, each - len(raw)))):
                raw += chunk
            # Read on to the end: only there does gzip compare its checksum.
            while packed and handle.tell() <= end + _MOST_BEHIND and handle.read(_CHUNK):
                pass
            _check_end(path, handle.tell() if packed else size, end)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ScanError(f"{path.name} is cut short or damaged ({error}): copy or download it again") from None
        except MemoryError:
            raise ScanError(f"{path.name} does not fit into memory: crop it, or use a larger machine") from None
        except OSError as error:
            raise ScanError(f"{path.name} cannot be read: {reason(error)}") from None
    if len(dims) == 4:  # the header of this one volume: nibabel never looks at more
        header["dim"] = [3, *dims[:3], 1, 1, 1, 1]
    header["vox_offset"] = len(header.binaryblock) + 4
    image_class = nibabel.Nifti2Image if header_class is nibabel.Nifti2Header else nibabel.Nifti1Image
    told, logger.disabled = logger.disabled, True  # of what it mends, on stderr
    try:
        return image_class.from_bytes(bytes(header.binaryblock) + b"\0\0\0\0" + raw)
    except Exception as error:  # whatever a wild header makes nibabel say
        raise ScanError(f"{path.name}: its header cannot be used ({first_line(error)}): {CONVERT}") from None
    finally:
        logger.disabled = told


def _check_end(path: Path, size: int, end: int) -> None:
    """Refuse a file that stops before its last voxel, or goes on for long behind it."""
    if size < end:
        raise ScanError(f"{path.name} is cut short: {size} of {end} bytes are there: copy or download it again")
    if size > end + _MOST_BEHIND:
        raise ScanError(
            f"{path.name} goes on for more than {_MOST_BEHIND >> 20} MiB behind its last voxel: "
            "its header does not describe it, so copy or download it again"
        )


def _handle(path: Path) -> tuple[int, IO[bytes] | gzip.GzipFile]:
    """Size on disk and an open, uncompressing file."""
    try:
        if path.is_dir():
            raise ScanError(f"{path} is a folder: name one NIfTI file, or read_dicom for a DICOM series")
        if not path.exists():
            raise ScanError(f"{path} does not exist: check the name and the folder")
        if not path.is_file():
            raise ScanError(f"{path} is no file but a device or a pipe: name a NIfTI file")
        size = path.stat().st_size
        with open(path, "rb") as file:
            magic = file.read(132)
        if size == 0:
            raise ScanError(f"{path.name} is empty: copy or download it again")
        if magic[128:] == b"DICM":
            raise ScanError(f"{path.name} is a DICOM file: read its folder with scanfiles.read_dicom")
        return size, (gzip.open if magic[:2] == b"\x1f\x8b" else open)(path, "rb")
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL byte
        why = reason(error) if isinstance(error, OSError) else first_line(error)
        raise ScanError(f"{path.name} cannot be opened: {why}") from None


def _header_class(path: Path, start: bytes) -> Any:
    import nibabel

    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order)
        if size == 348 and start[344:348] == b"n+1\0" and len(start) >= 348:
            return nibabel.Nifti1Header
        if size == 540 and start[4:8] == b"n+2\0" and len(start) >= 540:
            return nibabel.Nifti2Header
    if start[344:347] == b"ni1" or start[4:7] == b"ni2":
        raise ScanError(f"{path.name} is half of a .hdr/.img pair: {CONVERT} (one .nii.gz file)")
    if start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):
        raise ScanError(f"{path.name} is Analyze 7.5 or a damaged NIfTI header, with no sure left and right: "
                        f"{CONVERT}")  # fmt: skip
    raise ScanError(f"{path.name} is not a NIfTI file, whatever its name says: {CONVERT}")


def _check_header(path: Path, header: Any, flat: bool) -> list[int]:
    """Refuse what nibabel would mend silently or trip over; the image's dimensions."""
    name = path.name
    count = int(header["dim"][0])
    dims = [int(size) for size in header["dim"][1 : count + 1]]
    if not 1 <= count <= 7 or min(dims) < 1:
        raise ScanError(f"{name}: its header gives impossible dimensions {dims or count}: {CONVERT}")
    while len(dims) > 3 and dims[-1] == 1:
        dims.pop()
    if len(dims) == 1 or (len(dims) == 2 and not flat):
        remedy = "it is no image" if len(dims) == 1 else "read it as one slice with flat=True"
        raise ScanError(f"{name} is {len(dims)}-D {tuple(dims)}, not a volume: {remedy}")
    if len(dims) > 4:
        raise ScanError(f"{name} is {len(dims)}-D {tuple(dims)}: save one 3-D volume of it")
    try:
        dtype = header.get_data_dtype()
    except Exception:
        raise ScanError(f"{name}: its data type (code {int(header['datatype'])}) is unknown: {CONVERT}") from None
    if dtype.kind == "c":
        raise ScanError(f"{name} is complex: save its magnitude (numpy.abs) as float32")
    if dtype.kind not in "iuf":
        raise ScanError(f"{name} holds colours, not intensities: save one channel, or a grey version, of it")
    stated = int(header["bitpix"])
    if stated not in (0, 8 * dtype.itemsize):
        raise ScanError(
            f"{name}: its header gives {stated} bits per voxel, but its data type {dtype.name} has "
            f"{8 * dtype.itemsize}: {CONVERT}"
        )
    offset, first = float(header["vox_offset"]), len(header.binaryblock) + 4
    if not (first <= offset < 1 << 60 and offset == int(offset)):
        where = "inside the header" if 0 <= offset < first else "where none can be"
        raise ScanError(f"{name}: its header puts the data at byte {offset:g}, {where}: {CONVERT}")
    if int(header["sform_code"]) == 0:
        sizes = np.array(header["pixdim"][1:4], dtype=float)
        if not (np.isfinite(sizes).all() and (sizes > 0).all()):
            raise ScanError(
                f"{name}: its voxel size is {millimetres(sizes)}: no scan has that; {CONVERT}, or correct the header"
            )
    return dims


def _chosen(path: Path, dims: list[int], volume: int | None) -> int:
    """Which volume of the file is meant, from 0."""
    if len(dims) == 4:
        if volume is None:
            raise SeveralVolumesError(path.name, dims[3])
        if not 0 <= volume < dims[3]:
            raise ScanError(f"{path.name} has volumes 0 to {dims[3] - 1}, not {volume}: choose one of them")
    elif volume not in (None, 0):
        raise ScanError(f"{path.name} has one volume only: leave volume out")
    return volume or 0


def unit_in_mm(header: Any) -> float:
    """Returns how many mm the unit of a header's lengths has; 1 where it names none, or one that does not exist."""
    try:
        return _UNITS_IN_MM.get(header.get_xyzt_units()[0], 1.0)
    except KeyError:
        return 1.0


def _affine(path: Path, image: Any) -> Array:
    """The file's affine, in mm, or a refusal."""
    affine = np.array(image.affine, dtype=float)
    if not np.isfinite(affine).all():
        raise ScanError(f"{path.name}: its affine holds NaN or infinity: {CONVERT}")
    affine[:3] *= unit_in_mm(image.header)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if (sizes < 1e-6).any():
        raise ScanError(
            f"{path.name}: its voxel size is {millimetres(sizes)}: no scan has that; {CONVERT}, or correct the header"
        )
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-4:
        raise ScanError(
            f"{path.name}: its affine is singular (two axes point the same way): {CONVERT}, or correct the header"
        )
    return affine


def _data(path: Path, image: Any, dtype: type | None) -> Array:
    """The array as stored, scale factors applied, made 3-D."""
    try:
        data = np.asarray(image.dataobj, dtype=dtype)
    except MemoryError:
        raise ScanError(f"{path.name} does not fit into memory: crop it, or use a larger machine") from None
    except Exception as error:
        raise ScanError(f"{path.name}: its data cannot be read ({first_line(error)}): {CONVERT}") from None
    return data.reshape((*data.shape, 1)[:3])


def _as_labels(path: Path, data: Array) -> Array:
    whole = np.rint(data)
    if np.abs(whole - data).max() > 1e-3:
        raise ScanError(f"{path.name} holds fractions, not whole-number labels: is it a label image?")
    least, most = int(whole.min()), int(whole.max())
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min <= least and most <= np.iinfo(dtype).max:
            return whole.astype(dtype, order="F")
    raise ScanError(f"{path.name} holds labels from {least} to {most}, more than 32 bits can: number them anew")


def _image(data: Array, affine: Array, header: Any) -> "nibabel.Nifti1Image":
    """A NIfTI-1 image in mm that keeps description and coordinate codes."""
    import nibabel

    like = nibabel.Nifti1Image(np.zeros((1, 1, 1), np.uint8), affine)
    like.header["descrip"] = header["descrip"]
    like.header["sform_code"], like.header["qform_code"] = header["sform_code"], header["qform_code"]
    return volumes.make_image(data, affine, like=like)
