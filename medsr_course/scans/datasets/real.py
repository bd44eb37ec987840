"""Real scans: a folder of them for development, and one brain that anybody can download."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from medsr_course import resources, runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue
from medsr_course.scans.datasets import folders
from medsr_course.scans.datasets.subjects import Reader, Subject, Subjects
from medsr_course.types import Array

CASE = "stroke-brain"


def real_folder() -> Path | None:
    """Returns the folder of real scans: ``MEDSR_REAL_DATA``, else ``../shared/data/real``; or None.

    Raises
    ------
    CourseError
        If ``MEDSR_REAL_DATA`` names something that is no folder.
    """
    chosen = runtime.folder_setting("MEDSR_REAL_DATA")
    if chosen:
        if not chosen.is_dir():
            raise CourseError(f"MEDSR_REAL_DATA names {chosen}, which is not a folder: correct or unset it")
        return chosen
    root = resources.checkout()
    folder = root.parent / "shared" / "data" / "real" if root else None
    return folder if folder and folder.is_dir() else None


def real_slice() -> Array:
    """Returns a slice of one real head, (256, 256), float32 in [0, 1], that every machine with the course has.

    Coronal and T1-weighted, without skull, an example that DIPY's wheel carries (BSD-3); the size of its pixels is not
    stated. No network of the course was trained on it, or chosen by it.
    """
    return np.load(resources.real_slice()).astype(np.float32)


def ds002748() -> Subjects:
    """Returns real brains, CC0: those in :func:`real_folder` where it has them, else one from the network."""
    real = real_folder()
    if real and (real / "ds002748").is_dir():
        subjects = folders.subjects_in(real / "ds002748", {})
        for subject in subjects:
            subject.split = "validation" if subject.id in ("sub-66", "sub-71") else "train"
        if subjects:
            return Subjects(subjects, "ds002748")
    path = catalogue.fetch("ds002748")
    return Subjects([Subject("sub-71", {"T1w": folders.reader(path)}, split="validation")], "ds002748")


def real_scans() -> Subjects:
    """Returns the scans beside ds002748, NAME_CONTRAST.nii.gz, for validation or for tests.

    For validation are ``stroke-brain``, and ``stroke-head`` since it taught how unknown noise is used.

    Raises
    ------
    CourseError
        If there are none.
    """
    real = real_folder()
    files = sorted(real.glob("*_*.nii.gz")) if real else []
    if not files:
        raise CourseError(
            "there are no real scans here: put NAME_T1w.nii.gz … into a folder and name it in MEDSR_REAL_DATA"
        )
    splits = dict.fromkeys((CASE, "stroke-head"), "validation")
    return Subjects([Subject(p, c, split=splits.get(p, "test")) for p, c in _people(files).items()], "real-scans")


def case() -> Subject | None:
    """Returns the real case that the chapters follow, or None where this machine has not its scans.

    It is ``stroke-brain``: one brain in three contrasts (T1w, T2w, FLAIR) on one grid of 1 mm, for development. Of all
    scans here it carries furthest: it has a position in the world, contrasts that show different things, and every
    board has it. Its files are public (VolumeRenderingData, MIT); they name no person, no scanner and no age.
    """
    real = real_folder()
    return real_scans()[CASE] if real and any(real.glob(f"{CASE}_*.nii.gz")) else None


def _people(files: Iterable[Path], between: str = "_") -> dict[str, dict[str, Reader]]:
    """Person → contrast → what reads it, of files PERSON_CONTRAST.nii.gz."""
    people: dict[str, dict[str, Reader]] = {}
    for path in files:
        person, _, contrast = path.name.removesuffix(".nii.gz").rpartition(between)
        people.setdefault(person, {})[contrast] = folders.reader(path)
    return people


def beside(folder: str, pattern: str) -> list[Path]:
    """Returns the files of a folder beside the real scans, none where it is not there."""
    real = real_folder()
    return sorted((real.parent / folder).glob(pattern)) if real else []


def clinical() -> Subjects:
    """Returns what clinics store, for training: two visits of one patient, native 2-D, and a child's whole head.

    They lie in a folder ``clinical`` beside :func:`real_folder`; empty where that is not there.
    """
    names = {"T1W": "T1w", "T2W": "T2w"}
    people = {
        visit: {names.get(contrast, contrast): reader for contrast, reader in contrasts.items()}
        for visit, contrasts in _people(beside("clinical", "ms-long01_*_*.nii.gz")).items()
    }
    for path in beside("clinical", "t1w-child_*.nii.gz"):
        people["t1w-child"] = {"T1w": folders.reader(path)}
    return Subjects([Subject(p, c, split="train") for p, c in people.items()], "clinical")


def partners_3t() -> Subjects:
    """Returns the 3 T scans of the patients whose low-field k-space is in a folder ``lowfield`` beside the real scans.

    Four slices each, which the scanner interpolated; sub04 is for tests.
    """
    people = _people(beside("lowfield", "ulf-sub*_3T_*.nii.gz"), "_3T_")
    splits = {"ulf-sub04": "test"}
    return Subjects([Subject(p, c, split=splits.get(p, "train")) for p, c in people.items()], "partners-3t")
