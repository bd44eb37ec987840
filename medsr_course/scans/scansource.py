"""Scans of any kind read: the image, how its file stores it, and what is known of how it was taken."""

import json
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course.scans import archives, bids, scanfiles
from medsr_course.scans.scanfiles import ScanError, derived, nifti, nrrd
from medsr_course.scans.scanfiles.errors import NotFiniteError, SeveralVolumesError
from medsr_course.scans.scanfiles.frames import Frame
from medsr_course.scans.scanfiles.storing import Stored
from medsr_course.types import PathLike

if TYPE_CHECKING:  # nibabel is loaded where it is used
    import nibabel

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr")
MOST_FILES = 50_000  # in a .zip


@dataclass(frozen=True, eq=False)
class Source:
    """A scan as it came.

    ``kind`` is "nifti", "nrrd", "dicom" or "bids"; ``image`` is 3-D, float32, finite, its affine in mm; ``sidecar`` has
    the names of BIDS (SliceThickness in mm, Modality …); ``frames`` are the slices of a DICOM series, each with its
    file's header, in the image's order; ``scan`` is the place in a BIDS dataset; ``notes`` say what was changed while
    reading.
    """

    path: Path
    kind: str
    image: "nibabel.Nifti1Image"
    stored: Stored = Stored()
    sidecar: dict[str, Any] = field(default_factory=dict)
    frames: tuple[Frame, ...] = ()
    scan: bids.Scan | None = None
    notes: tuple[str, ...] = ()


def read(path: PathLike) -> Source:
    """Reads a scan: a NIfTI or NRRD file, or a DICOM series, as a folder or a ``.zip``; none is changed.

    Raises
    ------
    ScanError
        In one line, what is wrong with it and what to do.
    """
    path = Path(path)
    if not path.exists():
        raise ScanError(f"{path} does not exist: check the name and the folder")
    if path.is_dir() or path.name.lower().endswith(".zip"):
        return _dicom(path)
    if path.name.lower().endswith(NRRD):
        image, dtype = nrrd.read(path)
        return Source(path, "nrrd", image, Stored(dtype))
    return _nifti(path)


def read_scan(scan: bids.Scan) -> Source:
    """Reads a scan of a BIDS dataset, with all that its sidecars say."""
    return replace(_nifti(scan.path), kind="bids", sidecar=scan.sidecar, scan=scan)


def _nifti(path: Path) -> Source:
    import nibabel

    notes = []
    try:
        image = scanfiles.read(path, flat=True)
    except SeveralVolumesError as error:
        name, count = error.args
        raise ScanError(f"{name} is 4-D: {count} volumes: save the one you want as a file of its own, "
                        "e.g. with nibabel: image.slicer[..., 0]") from None  # fmt: skip
    except NotFiniteError as error:
        image = scanfiles.read(path, flat=True, fill=0)
        notes.append(f"{error.args[1]} voxels are NaN or infinite: read as 0")
    original = nibabel.load(path)
    assert isinstance(original, nibabel.Nifti1Pair)
    raw = original.header
    proxy: Any = original.dataobj  # loading takes slope and intercept out of the header
    stored = Stored(raw.get_data_dtype().newbyteorder("="), float(proxy.slope), float(proxy.inter))
    header = _in_mm(raw, image)
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    image = kind(np.asanyarray(image.dataobj), image.affine, header)
    return Source(path, "nifti", image, stored, _sidecar(path), notes=tuple(notes))


def _in_mm(raw: Any, image: Any) -> Any:
    """A file's header for its one volume: both transforms and its description stay, in mm; extensions go."""
    header = raw.copy()
    header.extensions.clear()  # they speak of the original's grid, and may name a person
    factor = nifti.unit_in_mm(header)
    header["pixdim"][1:4] *= factor
    for key in ("srow_x", "srow_y", "srow_z", "qoffset_x", "qoffset_y", "qoffset_z"):
        header[key] *= factor
    header.set_xyzt_units("mm")
    header.set_data_shape(image.shape)
    header.set_data_dtype(np.float32)
    header.set_slope_inter(1, 0)
    return header


def _sidecar(path: Path) -> dict[str, Any]:
    """What a BIDS sidecar beside a file says; nothing where there is none, or it cannot be read."""
    name = path.name
    for ending in NIFTI[::-1]:
        name = name.removesuffix(ending)
    try:
        found = json.loads(path.with_name(f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _dicom(path: Path) -> Source:
    if path.is_dir():
        return _series(path, path)
    with tempfile.TemporaryDirectory(prefix="medsr-") as folder:
        unpacked = Path(folder, path.name)  # by which messages call it
        unpacked.mkdir()
        _unzip(path, unpacked)
        return _series(path, unpacked)


def _series(path: Path, folder: Path) -> Source:
    image, frames = scanfiles.read_series(folder, flat=True)
    return Source(path, "dicom", image, Stored(np.dtype(np.int16)), derived.sidecar(frames), tuple(frames))


def _unzip(path: Path, folder: Path) -> None:
    """Writes the files of an archive into a folder, under numbers: no name in it is trusted."""
    budget = archives.budget(path, folder)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MOST_FILES:
                raise ScanError(f"{path.name} holds {len(members)} files, more than {MOST_FILES}: unpack it, and keep "
                                "one series")  # fmt: skip
            for number, member in enumerate(members):
                with archive.open(member) as packed, open(folder / f"{number:06d}", "xb") as file:
                    while piece := packed.read(1 << 20):
                        budget -= len(piece)
                        if budget < 0:
                            raise ScanError(f"{path.name} grows beyond what is free or sensible: unpack it by hand")
                        file.write(piece)
    except ScanError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ScanError(f"{path.name} is no archive that can be unpacked ({error}): fetch it again") from None
