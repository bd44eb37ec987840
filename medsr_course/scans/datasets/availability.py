"""What data there is, under which licence, whether it is here, and whether it is sound."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medsr_course import resources, runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue, scanfiles
from medsr_course.scans.datasets.real import real_folder
from medsr_course.scans.datasets.synthetic import cohort_folder, cohort_size


@dataclass(frozen=True)
class Source:
    """A row of :func:`available`: a data set, its licence, and whether it is here."""

    name: str
    what: str
    licence: str
    where: str
    present: bool


def available() -> list[Source]:
    """Returns every data set of the course.

    Returns
    -------
    list of Source
        ``where`` is the folder of what is here, else what to do to get it.
    """
    rows = [
        Source(
            "mni152",
            "average of 152 brains, T1-weighted, 1 mm, with tissue labels",
            "MNI notice: use, copy and modify freely, keep the notice",
            "comes with nilearn",
            True,
        )
    ]
    made = cohort_size()
    rows.append(
        Source(
            "cohort",
            "synthetic brains in four contrasts with labels and lesions"
            + (f"; {made} made with seed 0" if made else ""),
            "as the course, and the MNI notice",
            str(cohort_folder()) if made else "`medsr data make cohort`",
            made > 0,
        )
    )
    real = real_folder()
    for item in catalogue.entries().values():
        local = real / item.name if real and item.name == "ds002748" else None
        here = local if local and local.is_dir() else item.path if item.present else None
        size = f" ({item.size / 1e6:.1f} MB)" if item.size else ""
        where = str(here) if here else f"`medsr data get {item.name}`{size}"
        rows.append(Source(item.name, item.what, item.licence, where, here is not None))
    return rows


def check(name: str | None = None) -> Iterator[tuple[str, bool, str]]:
    """Verify data sets that are here: downloads by checksum, the others by reading every file.

    Parameters
    ----------
    name : str, optional
        One data set; all that are here when none is named.

    Yields
    ------
    (str, bool, str)
        What was checked, whether it is sound, and a word on it.
    """
    rows = {row.name: row for row in available()}
    if name is not None and name not in rows:
        raise CourseError(f"there is no data set {name!r}: choose one of {', '.join(rows)}")
    for row in rows.values():
        if name not in (None, row.name) or not (row.present or name):
            continue
        if not row.present:
            yield row.name, False, f"not here: {row.where}"
        elif row.name == "cohort":
            for folder in sorted(runtime.cache_dir().glob("cohort-v*-seed*")):
                yield folder.name, *_check_files(sorted(folder.rglob("sub-*.nii.gz")))
        elif row.name == "mni152":
            yield row.name, *_check_files([resources.template(part) for part in ("t1", "gm", "wm")])
        elif catalogue.entry(row.name).present:
            try:
                yield row.name, True, catalogue.verify(row.name)
            except CourseError as error:
                yield row.name, False, str(error)
        else:
            yield row.name, *_check_files(sorted(Path(row.where).rglob("sub-*.nii.gz")))


def _check_files(paths: Iterable[Path]) -> tuple[bool, str]:
    paths = list(paths)
    for path in runtime.progress(paths, "checking", unit="file"):
        try:
            scanfiles.read(path)
        except CourseError as error:
            return False, f"{error} (delete {path}, it will be made or fetched again)"
    return True, f"{len(paths)} files read"
