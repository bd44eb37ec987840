"""BIDS folders, one's own and others': subjects, sessions, contrasts, label images and their names."""

import functools
import glob
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medsr_course.runtime import CourseError
from medsr_course.scans import scanfiles
from medsr_course.scans.datasets import tables
from medsr_course.scans.datasets.subjects import CONTRASTS, SPLITS, Reader, Subject, Subjects
from medsr_course.types import PathLike

_ENDINGS = (".nii", ".nii.gz")


def bids(path: PathLike) -> Subjects:
    """Returns the subjects of a folder laid out by BIDS, your own for example.

    Parameters
    ----------
    path : path
        The folder that holds ``sub-…/anat/sub-…_T1w.nii.gz``, with sessions or without. A column ``split`` of its
        ``participants.tsv`` is kept to; whoever is not named there is a test subject.

    Raises
    ------
    CourseError
        If there is no such folder, no scan in it, or a table that cannot be used: in a line that names the file.
    """
    try:
        folder = Path(path).expanduser()
    except RuntimeError:
        raise CourseError(f"{path}: this user has no home folder: give the full path") from None
    if not folder.is_dir():
        raise CourseError(f"{folder} is not a folder: give the folder that holds sub-…")
    subjects = subjects_in(folder, _participant_splits(folder))
    if not subjects:
        raise CourseError(
            f"{folder} holds no sub-…/anat/sub-…_T1w.nii.gz or the like: is it a BIDS folder? "
            "A single scan is read with scanfiles.read"
        )
    return Subjects(subjects, folder.name)


def subjects_in(folder: Path, splits: dict[str, str]) -> list[Subject]:
    """Returns subjects (and sessions) of a BIDS folder; those in ``splits`` only, where it is not empty."""
    subjects = []
    for person in sorted(path for path in folder.glob("sub-*") if path.is_dir()):
        if splits and person.name not in splits:
            continue
        places = [person, *sorted(path for path in person.glob("ses-*") if path.is_dir())]
        for place in places:
            contrasts = _contrasts(place / "anat")
            if not contrasts:
                continue
            inside = place.relative_to(folder)
            labels = _derived(folder, inside, "*_dseg")
            lesions = _derived(folder, inside, "*_label-lesion*_mask")
            subjects.append(
                Subject(
                    "_".join(inside.parts),
                    {name: reader(path) for name, path in contrasts.items()},
                    labels=reader(labels, labels=True) if labels else None,
                    lesions=reader(lesions, labels=True) if lesions else None,
                    split=splits.get(person.name, "test"),
                    label_names=_label_names(labels) if labels else {},
                )
            )
    return subjects


def reader(path: Path, **options: Any) -> Reader:
    """Returns a function that reads a scan file with :func:`scanfiles.read` and these options."""
    return functools.partial(scanfiles.read, path, **options)


def _contrasts(anat: Path) -> dict[str, Path]:
    """Contrast name → file. Of several of one contrast (run-2 …) the first has the plain name."""
    found: dict[str, Path] = {}
    for path in sorted(anat.glob("sub-*.nii*")):
        entities, _, suffix = path.name.split(".nii")[0].rpartition("_")
        if path.name.endswith(_ENDINGS) and not suffix.endswith(("mask", "dseg", "roi")):
            extra = [part for part in entities.split("_") if not part.startswith(("sub-", "ses-"))]
            found["_".join([*extra, suffix]) if suffix in found else suffix] = path
    return {name: found[name] for name in (*(c for c in CONTRASTS if c in found), *found)}


def _derived(folder: Path, inside: Path, pattern: str) -> Path | None:
    """The first label image of a kind among the derivatives of a subject."""
    found = folder.glob(f"derivatives/*/{glob.escape(inside.as_posix())}/anat/{pattern}.nii*")
    return next(iter(sorted(path for path in found if path.name.endswith(_ENDINGS))), None)


def _label_names(labels: Path) -> dict[int, str]:
    """Names from the ``dseg.tsv`` beside a label image, or anywhere above it in its derivative."""
    for folder in labels.parents[:4]:
        for table in (folder / f"{labels.name.split('.nii')[0]}.tsv", folder / "dseg.tsv"):
            rows = tables.read(table)
            if rows:
                return dict(_named(table, rows))
    return {}


def _named(table: Path, rows: list[dict[str, str]]) -> Iterator[tuple[int, str]]:
    name = next((column for column in ("name", "abbreviation") if column in rows[0]), None)
    if name is None or "index" not in rows[0]:
        raise CourseError(f"{table}: its columns are {', '.join(rows[0])}: a table of labels has index and name")
    seen: dict[int, str] = {}
    for row in rows:
        if tables.is_missing(row["index"]):
            continue
        try:
            value = float(row["index"])
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value == int(value)):
            raise CourseError(f"{table}: the index {row['index']!r} is no whole number: correct it")
        if seen.setdefault(int(value), row[name]) != row[name]:
            raise CourseError(f"{table}: the index {int(value)} has two names: keep one")
        yield int(value), row[name]


def _participant_splits(folder: Path) -> dict[str, str]:
    """Splits from a column ``split`` of ``participants.tsv``, where there is one."""
    # A person the table does not name is still a subject.
    splits = {path.name: "test" for path in folder.glob("sub-*") if path.is_dir()}
    table = folder / "participants.tsv"
    rows = tables.read(table)
    if not rows or "split" not in rows[0]:
        return splits
    if "participant_id" not in rows[0]:
        raise CourseError(f"{table}: its columns are {', '.join(rows[0])}: whose split is it? Name participant_id")
    seen: dict[str, str] = {}
    for row in rows:
        person, split = row["participant_id"], row["split"].lower()
        if tables.is_missing(person) or tables.is_missing(split):
            continue
        if split not in SPLITS:
            raise CourseError(f"{table}: split {row['split']!r} is unknown: use {', '.join(SPLITS)}")
        person = person if person.startswith("sub-") else f"sub-{person}"
        if seen.setdefault(person, split) != split:
            raise CourseError(f"{table}: {person} is in two splits, {seen[person]} and {split}: keep one")
    return splits | seen
