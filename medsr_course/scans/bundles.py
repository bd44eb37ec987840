"""Data to carry to machines without a network: the cohort and downloads, in a folder and out of it again.

``cohort/NAME`` holds a cohort as the cache does, ``mirror/NAME/FILENAME`` a download where ``MEDSR_MIRROR`` expects it.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue


def write(folder: Path, names: Sequence[str] = ()) -> Iterator[str]:
    """Put the cohorts of the cache, and downloads of the catalogue, into a folder.

    Parameters
    ----------
    folder : path
        Made if need be. Files that lie there already, in equal size, are not copied again.
    names : sequence of str
        Of the catalogue; fetched first where they are not here. Mind their licences: the list shows them.

    Yields
    ------
    str
        One line for each thing that is there.

    Raises
    ------
    CourseError
        If there is nothing to bundle, or the folder cannot be written.
    """
    items = [catalogue.entry(name) for name in names]
    cohorts = sorted(runtime.cache_dir().glob("cohort-*"))
    if not cohorts and not items:
        raise CourseError("there is no cohort to bundle yet: run `medsr data make cohort` first")
    runtime.writable_folder(folder, "folder")
    for source in cohorts:
        yield f"{source.name}: {_copied(source, folder / 'cohort' / source.name):.0f} MiB"
    for item in items:
        catalogue.fetch(item.name)
        target = folder / "mirror" / item.name / item.filename
        _copy(item.path, target)
        yield f"{item.name}: {target.stat().st_size / 2**20:.0f} MiB, licence {item.licence}"


def read(folder: Path) -> Iterator[str]:
    """Put what :func:`write` made into this user's cache; downloads are verified as from any mirror.

    Yields
    ------
    str
        One line for each thing that is there.

    Raises
    ------
    CourseError
        If the folder holds no bundle.
    """
    cohorts = sorted((folder / "cohort").glob("cohort-*"))
    downloads = [path.name for path in sorted((folder / "mirror").glob("*")) if path.name in catalogue.entries()]
    if not cohorts and not downloads:
        raise CourseError(
            f"{folder} holds no data of a bundle: give the full path of the folder that has cohort/ in it"
        )
    for source in cohorts:
        yield f"{source.name}: {_copied(source, runtime.cache_dir() / source.name):.0f} MiB"
    os.environ["MEDSR_MIRROR"] = str((folder / "mirror").absolute())
    for name in downloads:
        yield f"{name}: {catalogue.fetch(name)}"


def _copied(source: Path, target: Path) -> float:
    """Copy the files of a folder; the size of them all in MiB."""
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    for path in runtime.progress(files, source.name):
        _copy(path, target / path.relative_to(source))
    return sum(path.stat().st_size for path in files) / 2**20


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all, unless one of its size lies there."""
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with runtime.atomic_write(target) as part:
        shutil.copyfile(source, part)
