"""Data sets of the catalogue, as their authors lay them out."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import archives, catalogue, volumes
from medsr_course.scans.catalogue import Entry
from medsr_course.scans.datasets.folders import reader
from medsr_course.scans.datasets.subjects import Subject, Subjects
from medsr_course.types import Image


def loader(item: Entry) -> Callable[[], Subjects]:
    """Returns a function that unpacks what was downloaded for a catalogue entry, and lists its subjects."""

    def load() -> Subjects:
        if not item.present:
            raise CourseError(f"{item.name} is not here: `medsr data get {item.name}` downloads it first")
        subjects = _LAYOUTS[item.loader or ""](item)
        if not subjects:
            raise CourseError(f"{item.path} holds no scan where {item.home} says: fetch it again with force=True")
        return Subjects(subjects, item.name)

    return load


def unpacked(item: Entry) -> Path:
    """Folder with the contents of a downloaded tar file; unpacked once."""
    target = item.path.with_name(catalogue.UNPACKED)
    if target.is_dir():
        return target
    try:
        with runtime.locked(item.path.with_name(".lock")):
            return target if target.is_dir() else archives.unpack(item.path, target)
    except OSError as error:
        raise CourseError(f"{item.path} cannot be unpacked: {runtime.disk_trouble(error, target.parent)}") from None


def _ixi(item: Entry) -> list[Subject]:
    contrast = item.filename.split("-")[1].split(".")[0] + "w"
    files = sorted(unpacked(item).rglob("IXI*.nii.gz"))
    return [Subject(path.name.split("-")[0], {contrast: reader(path)}) for path in files]


def _decathlon(item: Entry) -> list[Subject]:
    root = unpacked(item)
    subjects = []
    for path in sorted(root.rglob("imagesTr/[!.]*.nii.gz")):
        labels = path.parent.with_name("labelsTr") / path.name
        read = reader(labels, labels=True) if labels.is_file() else None
        subjects.append(Subject(path.name.split(".")[0], {"T1w": reader(path)}, labels=read))
    return subjects


def _neurite_oasis_2d(item: Entry) -> list[Subject]:
    subjects = []
    for folder in sorted(unpacked(item).rglob("OASIS_*")):
        if (image := folder / "slice_norm.nii.gz").is_file():
            labels = folder / "slice_seg24.nii.gz"
            read = reader(labels, labels=True, flat=True) if labels.is_file() else None
            subjects.append(Subject(folder.name, {"T1w": reader(image, flat=True)}, labels=read))
    return subjects


def _brainweb(item: Entry) -> list[Subject]:
    """Bytes, x fastest, 1 mm; sample 0 at (−90, −126, −72) mm, as BrainWeb's page says."""
    shape = (181, 217, 181)

    def read() -> Image:
        try:
            with gzip.open(item.path) as file:
                raw = file.read(int(np.prod(shape)) + 1)  # one more than there should be, and no more than that
            data = np.frombuffer(raw, np.uint8).reshape(shape).T
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise CourseError(f"{item.path} is not BrainWeb's raw format ({error}): look at {item.home}") from None
        affine = np.eye(4)
        affine[:3, 3] = -90, -126, -72
        return volumes.make_image(data.astype(np.float32), affine)

    return [Subject("brainweb", {"T1w": read})]


_LAYOUTS = {
    "ixi": _ixi,
    "decathlon": _decathlon,
    "neurite-oasis-2d": _neurite_oasis_2d,
    "brainweb": _brainweb,
}
