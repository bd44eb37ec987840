"""Scan files in and out: NIfTI and DICOM, read right or refused in one clear line.

Every reader returns a ``nibabel.Nifti1Image`` in mm with finite float32 data ``(x, y, z)`` and an affine
that can be inverted; every refusal is a :class:`ScanError` that says what was wrong and what to do.
"""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import volumes

_UNITS_IN_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
# No deflate stream holds more than 1032 bytes per byte: a header that promises more is wrong.
_MOST_PER_BYTE = 1032
_CONVERT = "convert the scan again, e.g. with dcm2niix"


class ScanError(CourseError):
    """A scan file that cannot be read or written: what was wrong, and the remedy."""


def read(path, *, volume=None, fill=None, labels=False, flat=False):
    """Read a NIfTI file (``.nii`` or ``.nii.gz``), checked.

    Parameters
    ----------
    path : str or Path
    volume : int, optional
        Which volume of a 4-D file to take, counted from 0. A 4-D file of one volume needs no choice.
    fill : float, optional
        Value to put in place of voxels that are NaN or infinite; without it such a file is refused.
    labels : bool
        The file holds whole-number labels: they come back as int16 (or int32 where needed).
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
    """
    path = Path(path)
    image = _open(path, flat)
    affine = _affine(path, image)
    if labels:
        data = _as_labels(path, _data(path, image, volume, None))
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            data = np.array(_data(path, image, volume, np.float32), dtype=np.float32, order="F")
        finite = np.isfinite(data)
        if not finite.all():
            if fill is None:
                raise ScanError(
                    f"{path.name}: {finite.size - finite.sum()} voxels are NaN or infinite: "
                    "read it with fill=0 to put 0 there"
                )
            data[~finite] = fill
    return _image(data, affine, image.header)


def _open(path, flat):
    """The image in a file, in memory whole; its data are not yet decoded."""
    import nibabel
    from nibabel.imageglobals import LoggingOutputSuppressor

    size, handle = _handle(path)
    with handle:
        try:
            start = handle.read(540)
            header_class = _header_class(path, start)
            # nibabel mends faults of a header without a word; look at it before it does.
            header = header_class(start[: header_class.template_dtype.itemsize], check=False)
            _check_header(path, header, flat)
            needed = _bytes_needed(path, header)
            if needed > size * _MOST_PER_BYTE:
                raise ScanError(
                    f"{path.name}: its header promises {needed} bytes, but the file is short: copy or download it again"
                )
            raw = bytearray(start)
            while len(raw) < needed and (chunk := handle.read(min(1 << 24, needed - len(raw)))):
                raw += chunk
            # Read on to the end: only there does gzip compare its checksum.
            while handle.read(1 << 24):
                pass
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ScanError(f"{path.name} is cut short or damaged ({error}): copy or download it again") from None
        except MemoryError:
            raise ScanError(f"{path.name} does not fit into memory: crop it, or use a larger machine") from None
        except OSError as error:
            raise ScanError(f"{path.name} cannot be read: {_reason(error)}") from None
    if len(raw) < needed:
        raise ScanError(f"{path.name} is cut short: {len(raw)} of {needed} bytes are there: copy or download it again")
    image_class = nibabel.Nifti2Image if header_class is nibabel.Nifti2Header else nibabel.Nifti1Image
    try:
        with LoggingOutputSuppressor():
            image = image_class.from_bytes(raw)
    except Exception as error:  # whatever a wild header makes nibabel say
        raise ScanError(f"{path.name}: its header cannot be used ({_first_line(error)}): {_CONVERT}") from None
    return image


def _handle(path):
    """Size on disk and an open, uncompressing file."""
    try:
        if path.is_dir():
            raise ScanError(f"{path} is a folder: name one NIfTI file, or read_dicom for a DICOM series")
        if not path.exists():
            raise ScanError(f"{path} does not exist: check the name and the folder")
        size = path.stat().st_size
        with open(path, "rb") as file:
            magic = file.read(132)
        if size == 0:
            raise ScanError(f"{path.name} is empty: copy or download it again")
        if magic[128:] == b"DICM":
            raise ScanError(f"{path.name} is a DICOM file: read its folder with scanfiles.read_dicom")
        return size, (gzip.open if magic[:2] == b"\x1f\x8b" else open)(path, "rb")
    except OSError as error:
        raise ScanError(f"{path.name} cannot be opened: {_reason(error)}") from None


def _header_class(path, start):
    import nibabel

    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order)
        if size == 348 and start[344:348] == b"n+1\0" and len(start) >= 348:
            return nibabel.Nifti1Header
        if size == 540 and start[4:8] == b"n+2\0" and len(start) >= 540:
            return nibabel.Nifti2Header
    if start[344:347] == b"ni1" or start[4:7] == b"ni2":
        raise ScanError(f"{path.name} is half of a .hdr/.img pair: {_CONVERT} (one .nii.gz file)")
    if start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):
        raise ScanError(f"{path.name} is Analyze 7.5 or a damaged NIfTI header, with no sure left and right: "
                        f"{_CONVERT}")  # fmt: skip
    raise ScanError(f"{path.name} is not a NIfTI file, whatever its name says: {_CONVERT}")


def _check_header(path, header, flat):
    """Refuse what nibabel would mend silently or trip over."""
    name = path.name
    count = int(header["dim"][0])
    dims = [int(size) for size in header["dim"][1 : count + 1]]
    if not 1 <= count <= 7 or min(dims) < 1:
        raise ScanError(f"{name}: its header gives impossible dimensions {dims or count}: {_CONVERT}")
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
        raise ScanError(f"{name}: its data type (code {int(header['datatype'])}) is unknown: {_CONVERT}") from None
    if dtype.kind == "c":
        raise ScanError(f"{name} is complex: save its magnitude (numpy.abs) as float32")
    if dtype.kind not in "iuf":
        raise ScanError(f"{name} holds colours, not intensities: save one channel, or a grey version, of it")
    if not np.isfinite(header["vox_offset"]) or header["vox_offset"] < 0:
        raise ScanError(f"{name}: its header puts the data at byte {header['vox_offset']}: {_CONVERT}")
    if int(header["sform_code"]) == 0:
        sizes = np.array(header["pixdim"][1:4], dtype=float)
        if not (np.isfinite(sizes).all() and (sizes > 0).all()):
            raise ScanError(
                f"{name}: its voxel size is {_numbers(sizes)}: no scan has that; {_CONVERT}, or correct the header"
            )


def _bytes_needed(path, header):
    count = int(np.prod([int(n) for n in header["dim"][1 : int(header["dim"][0]) + 1]], dtype=object))
    return int(header["vox_offset"]) + count * header.get_data_dtype().itemsize


def _affine(path, image):
    """The file's affine, in mm, or a refusal."""
    affine = np.array(image.affine, dtype=float)
    if not np.isfinite(affine).all():
        raise ScanError(f"{path.name}: its affine holds NaN or infinity: {_CONVERT}")
    try:
        factor = _UNITS_IN_MM.get(image.header.get_xyzt_units()[0], 1.0)
    except KeyError:  # a unit code that does not exist
        factor = 1.0
    affine[:3] *= factor
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if (sizes < 1e-6).any():
        raise ScanError(
            f"{path.name}: its voxel size is {_numbers(sizes)}: no scan has that; {_CONVERT}, or correct the header"
        )
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-4:
        raise ScanError(
            f"{path.name}: its affine is singular (two axes point the same way): {_CONVERT}, or correct the header"
        )
    return affine


def _data(path, image, volume, dtype):
    """The array as stored, scale factors applied, made 3-D."""
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 4:
        count = shape[3]
        if volume is None:
            raise ScanError(f"{path.name} is 4-D: {count} volumes: choose one, e.g. scanfiles.read(path, volume=0)")
        if not 0 <= volume < count:
            raise ScanError(f"{path.name} has volumes 0 to {count - 1}, not {volume}: choose one of them")
    elif volume not in (None, 0):
        raise ScanError(f"{path.name} has one volume only: leave volume out")
    try:
        stored = image.dataobj
        data = stored[:, :, :, volume] if len(shape) == 4 else np.asarray(stored, dtype=dtype)
    except MemoryError:
        raise ScanError(f"{path.name} does not fit into memory: crop it, or use a larger machine") from None
    except Exception as error:
        raise ScanError(f"{path.name}: its data cannot be read ({_first_line(error)}): {_CONVERT}") from None
    return data.reshape((*shape, 1)[:3])


def _as_labels(path, data):
    whole = np.rint(data)
    if not np.array_equal(whole, data):
        raise ScanError(f"{path.name} holds fractions, not whole-number labels: is it a label image?")
    small = whole.min() >= -(2**15) and whole.max() < 2**15
    return whole.astype(np.int16 if small else np.int32, order="F")


def _image(data, affine, header):
    """A NIfTI-1 image in mm that keeps description and coordinate codes."""
    import nibabel

    like = nibabel.Nifti1Image(np.zeros((1, 1, 1), np.uint8), affine)
    like.header["descrip"] = header["descrip"]
    like.header["sform_code"], like.header["qform_code"] = header["sform_code"], header["qform_code"]
    return volumes.make_image(data, affine, like=like)


def read_dicom(source, *, series=None, flat=False):
    """Read one DICOM series as a volume.

    Slices are sorted and spaced by their positions in the patient (not by file name, number or slice
    thickness); rescale slope and intercept are applied, so CT comes in HU.

    Parameters
    ----------
    source : folder, file, or list of files
        A folder is searched with its subfolders; files that are not DICOM are passed over.
    series : str, optional
        SeriesInstanceUID, or SeriesDescription, to choose where there are several.
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
        not a stack of slices: in one line, with the remedy.
    """
    slices, where = _dicom_series(source, series)
    _check_dicom(slices, where)
    row, column, normal = _dicom_axes(slices[0])
    slices.sort(key=lambda item: float(np.dot(normal, item.ImagePositionPatient)))
    first = np.array(slices[0].ImagePositionPatient, float)
    step = _dicom_step(slices, normal, where, flat)

    down, across = (float(value) for value in slices[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.column_stack([row * across, column * down, step, first])
    affine[:2] *= -1  # LPS to RAS
    data = np.empty((slices[0].Columns, slices[0].Rows, len(slices)), np.float32, order="F")
    for index, item in enumerate(slices):
        data[..., index] = _dicom_pixels(item)
    if not np.isfinite(data).all():
        raise ScanError(f"{where}: its rescale slope or intercept is not a number: {_CONVERT}")
    image = volumes.make_image(data, affine)
    image.header.set_sform(affine, 1)  # scanner coordinates
    return image


def _dicom_series(source, series):
    """Headers of the one series meant, and what to call it in messages."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    if isinstance(source, (str, Path)):
        source = Path(source)
        if not source.exists():
            raise ScanError(f"{source} does not exist: check the name and the folder")
        files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
        where = source.name
    else:
        files = [Path(file) for file in source]
        where = "the series"
    found = {}
    for path in files:
        try:
            item = pydicom.dcmread(path, stop_before_pixels=True)
        except InvalidDicomError:
            continue
        except OSError as error:
            raise ScanError(f"{path.name} cannot be opened: {_reason(error)}") from None
        except Exception as error:
            raise ScanError(f"{path.name} is damaged ({_first_line(error)}): copy or export it again") from None
        if "Rows" in item and "Columns" in item:  # DICOMDIR, reports and the like have none
            item.filename = str(path)
            found.setdefault(str(item.get("SeriesInstanceUID", "")), []).append(item)
    if not found:
        raise ScanError(f"{where} holds no DICOM images: name the folder of one exported series")
    if series is not None:
        found = {uid: items for uid, items in found.items() if series in (uid, items[0].get("SeriesDescription"))}
        if not found:
            raise ScanError(f"{where} has no series {series!r}: leave series out to see what there is")
    if len(found) > 1:
        listed = ", ".join(
            f"{items[0].get('SeriesDescription') or uid} ({len(items)} images)"
            for uid, items in list(found.items())[:6]
        )
        raise ScanError(f"{where} holds {len(found)} series: {listed}: choose one with series= (description or UID)")
    return next(iter(found.values())), where


def _check_dicom(slices, where):
    """Refuse what is not a stack of parallel grey slices of one size."""
    for item in slices:
        name = Path(item.filename).name
        if int(item.get("NumberOfFrames") or 1) > 1 or "MOSAIC" in (item.get("ImageType") or ()):
            raise ScanError(f"{where}: {name} holds several slices in one file: {_CONVERT}")
        if int(item.get("SamplesPerPixel", 1)) != 1:
            raise ScanError(f"{where}: {name} is in colour (a screenshot?): leave it out of the folder")
        for keyword, count in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
            value = item.get(keyword)
            if value is None or len(value) != count or not np.isfinite(np.array(value, float)).all():
                raise ScanError(
                    f"{where}: {name} has no {keyword} (an X-ray, a screenshot, a secondary capture?): "
                    "only slices placed in the patient make a volume"
                )
        if min(float(value) for value in item.PixelSpacing) <= 0:
            raise ScanError(f"{where}: {name} has a PixelSpacing of 0: {_CONVERT}")
    first = slices[0]
    orientation = np.array(first.ImageOrientationPatient, float)
    row, column = orientation[:3], orientation[3:]
    if np.abs([row @ row - 1, column @ column - 1, row @ column]).max() > 1e-2:
        raise ScanError(f"{where}: its ImageOrientationPatient is not two unit vectors: {_CONVERT}")
    for item in slices[1:]:
        if np.abs(np.array(item.ImageOrientationPatient, float) - orientation).max() > 1e-3:
            raise ScanError(
                f"{where} holds slices of several orientations (a localiser?): keep those of one orientation"
            )
        same = (item.Rows, item.Columns) == (first.Rows, first.Columns)
        if not same or not np.allclose(item.PixelSpacing, first.PixelSpacing, rtol=1e-3):
            raise ScanError(f"{where} holds slices of several sizes: keep those of one size")


def _dicom_axes(item):
    orientation = np.array(item.ImageOrientationPatient, float)
    row, column = (v / np.linalg.norm(v) for v in (orientation[:3], orientation[3:]))
    return row, column, np.cross(row, column)


def _dicom_step(slices, normal, where, flat):
    """Vector in mm (LPS) from a slice to the next; slices are sorted."""
    places = np.array([item.ImagePositionPatient for item in slices], float)
    if len(slices) == 1:
        thickness = float(slices[0].get("SliceThickness") or 0)
        if not flat or not thickness > 0:
            remedy = "it names no SliceThickness either" if flat else "read it as one slice with flat=True"
            raise ScanError(f"{where} is a single slice, not a volume: {remedy}")
        return normal * thickness
    gaps = np.diff(places @ normal)
    usual = float(np.median(gaps))
    if gaps.min() < 1e-3 or gaps.min() < 0.01 * usual:
        raise ScanError(
            f"{where} has several images at one place (echoes, time points, a copy?): keep one image per place"
        )
    if np.abs(gaps - usual).max() > max(0.02 * usual, 0.01):
        missing = int(np.rint(gaps / usual).sum()) - len(gaps)
        raise ScanError(
            f"{where} has uneven slice distances, {gaps.min():.2f} to {gaps.max():.2f} mm"
            + (f" ({missing} slice{'s' * (missing > 1)} missing?)" if missing > 0 else "")
            + ": copy or export the series again"
        )
    step = (places[-1] - places[0]) / (len(slices) - 1)
    # A tilted gantry shifts each slice by the same amount: a sheared affine. Anything else is no volume.
    if np.abs(places - (places[0] + np.arange(len(slices))[:, None] * step)).max() > 0.1:
        raise ScanError(f"{where}: its slices do not lie on one line: {_CONVERT}")
    return step


def _dicom_pixels(item):
    """(column, row) values of a slice in its rescaled unit."""
    import pydicom

    name = Path(item.filename).name
    try:
        whole = pydicom.dcmread(item.filename)
        pixels = whole.pixel_array
    except MemoryError:
        raise
    except Exception as error:
        packed = getattr(getattr(item, "file_meta", None), "TransferSyntaxUID", None)
        if packed is not None and packed.is_compressed:
            raise ScanError(f"{name} is compressed ({packed.name}): {_CONVERT}") from None
        raise ScanError(f"{name} is damaged ({_first_line(error)}): copy or export it again") from None
    slope, intercept = whole.get("RescaleSlope"), whole.get("RescaleIntercept")
    slope = 1.0 if slope is None else float(slope)
    return pixels.T.astype(np.float32) * np.float32(slope) + np.float32(intercept or 0)


def write(image, path, overwrite=False):
    """Write a NIfTI file so that it is there whole or not at all.

    The same image gives the same bytes. Affine, units and coordinate codes go with it; data are stored in
    their own type, unscaled.

    Parameters
    ----------
    image : nibabel image, 3-D
    path : str or Path
        Ends in ``.nii`` or ``.nii.gz``; its folder exists.
    overwrite : bool
        Replace a file that is there already.

    Returns
    -------
    Path

    Raises
    ------
    ScanError
        No such folder, name taken, disk full, not writable, NaN in the data. Nothing is left behind.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ScanError(f"{path.name}: a scan's name ends in .nii.gz or .nii")
    if not path.parent.is_dir():
        raise ScanError(f"the folder {path.parent} does not exist: make it first")
    if path.is_dir():
        raise ScanError(f"{path} is a folder: choose another name")
    if path.exists() and not overwrite:
        raise ScanError(f"{path} exists: choose another name, or overwrite it with overwrite=True")
    data = np.asanyarray(image.dataobj)
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise ScanError(f"{path.name} would hold NaN or infinite voxels: replace them (numpy.nan_to_num)")
    content = volumes.make_image(data, image.affine, like=image).to_bytes()
    try:
        with runtime.atomic_write(path) as part, open(part, "wb") as file:
            if path.name.endswith(".gz"):
                # No name and no time inside: the same image gives the same bytes.
                with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
                    packed.write(content)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ScanError(f"{path} cannot be written: {_reason(error)}") from None
    return path


def _reason(error):
    """What an OSError means for a reader, and what to do."""
    import errno

    return {
        errno.ENOSPC: "the disk is full: free some space",
        errno.EDQUOT: "the disk quota is used up: free some space",
        errno.EACCES: "you have no permission: change it (chmod), or copy the file elsewhere",
        errno.EPERM: "you have no permission: change it (chmod), or copy the file elsewhere",
        errno.EROFS: "the disk is read-only: choose another folder",
    }.get(error.errno, f"{_first_line(error)}: check the file and the disk")


def _first_line(error):
    return (str(error) or type(error).__name__).splitlines()[0]


def _numbers(values):
    return " × ".join(f"{value:g}" for value in values) + " mm"
