"""What is said of a file that cannot be used as it is."""

import errno
import warnings
from collections.abc import Iterable, Sequence

from medsr_course.runtime import CourseError

CONVERT = "convert the scan again, e.g. with dcm2niix"

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EACCES: "you have no permission: change it (chmod), or copy the file elsewhere",
    errno.EPERM: "you have no permission: change it (chmod), or copy the file elsewhere",
    errno.EROFS: "the disk is read-only: choose another folder",
}


class ScanError(CourseError):
    """A scan file that cannot be read or written: what was wrong, and the remedy."""


class SeveralVolumesError(ScanError):
    """A 4-D file of which no volume was chosen; its arguments are the file's name and the number of volumes."""

    def __str__(self) -> str:
        return "{} is 4-D: {} volumes: choose one, e.g. scanfiles.read(path, volume=0)".format(*self.args)


class NotFiniteError(ScanError):
    """Voxels that are NaN or infinite; its arguments are the file's name and their number."""

    def __str__(self) -> str:
        return "{}: {} voxels are NaN or infinite: read it with fill=0 to put 0 there".format(*self.args)


class ScanWarning(UserWarning):
    """A scan file that was read, with something the reader should be aware of."""


def warn(message: str, depth: int = 1) -> None:
    """Warn the caller of a reader, ``depth`` calls above this one, in one line."""
    warnings.warn(message, ScanWarning, stacklevel=2 + depth)


def reason(error: OSError) -> str:
    """Return what an OSError means for a reader, and what to do."""
    return _REASONS.get(error.errno or 0, f"{first_line(error)}: check the file and the disk")


def first_line(error: BaseException, most: int = 120) -> str:
    """Return the first line of an error's message that says something, cut to ``most`` characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):  # a heading
        lines.pop(0)
    line = lines[0] if lines else type(error).__name__
    return line if len(line) <= most else line[: most - 1] + "…"


def millimetres(values: Iterable[float]) -> str:
    """Return sizes as text, ``0.9 × 1.1 × 2.5 mm``."""
    return " × ".join(f"{value:g}" for value in values) + " mm"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return the first ``most`` names as text, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
