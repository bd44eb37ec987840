"""Profile, seed, null run, cache folder, progress: how a chapter is being run.

A notebook says once, in its first cell, ``runtime.start(PROFILE, SEED)``; everything else asks here.
"""

import contextlib
import csv
import errno
import hashlib
import logging
import os
import secrets
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

FOLDER_SETTINGS = ("MEDSR_CACHE", "MEDSR_REAL_DATA")  # environment variables
PROFILES = ("smoke", "lesson", "full")
CACHED = ("bench", "downloads", "executed", "leaderboard", "service", "training")  # in the cache, beside the cohorts


class CourseError(RuntimeError):
    """Something the reader can mend: one or two lines that say what was wrong and what to do.

    Shown without a traceback by the command line and in notebooks.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class BusyError(CourseError):
    """Another process is at it."""


@dataclass
class _State:
    profile: str = "lesson"
    seed: int = 0
    cpus: int | None = None


_state = _State()
# Functions that clear what a module remembers of an earlier run in the same kernel
at_start: list[Callable[[], None]] = []


def start(profile: str = "lesson", seed: int = 0) -> None:
    """Set the profile and the seed of this kernel, and keep the frameworks quiet.

    Parameters
    ----------
    profile : {"smoke", "lesson", "full"}
        How long trainings last: see :func:`steps`.
    seed : int
        Seed of NumPy's global generator, for the reader's own code. The package never draws from global
        generators: see :func:`rng`; networks take their seed as an argument.
    """
    if profile not in PROFILES:
        raise CourseError(f"profile {profile!r} is unknown: choose one of {', '.join(PROFILES)}")
    _refuse_relative_settings()
    _state.profile, _state.seed = profile, int(seed)
    np.random.seed(_state.seed)  # noqa: NPY002 (for code of the reader that uses the global generator)
    quiet_frameworks()
    for forget in at_start:
        forget()


def quiet_frameworks() -> None:
    """Silence start-up chatter of TensorFlow and known-harmless warnings of its dependencies."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", message=".*np.object.*", category=FutureWarning)
    logging.getLogger("tensorflow").addFilter(_not_about_retracing)


def _not_about_retracing(record: logging.LogRecord) -> bool:
    """A chapter that builds many small networks compiles each one once, which is no waste."""
    return "retracing" not in record.getMessage()


@contextmanager
def hushed() -> Iterator[None]:
    """Keep from the reader what compiled libraries write to stderr while they load (``with hushed(): import …``).

    TensorFlow reports there, below Python and whatever its log level, that it found no GPU.
    """
    saved = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def profile() -> str:
    """The profile of this run: ``"smoke"``, ``"lesson"`` or ``"full"``."""
    return _state.profile


def seed() -> int:
    """The seed given to :func:`start`."""
    return _state.seed


def is_null() -> bool:
    """True in a null run (``MEDSR_NULL=1``): nothing is trained, shipped weights are re-initialised.

    A claim that still holds then was never evidence of learning.
    """
    return os.environ.get("MEDSR_NULL", "") not in ("", "0")


def steps(*, smoke: int, lesson: int, full: int) -> int:
    """Training length for the current profile; 0 in a null run.

    >>> start("smoke")
    >>> steps(smoke=10, lesson=1000, full=100000)
    10
    """
    if is_null():
        return 0
    return {"smoke": smoke, "lesson": lesson, "full": full}[_state.profile]


def rng(*key: int | str) -> np.random.Generator:
    """An independent random generator for a purpose.

    Parameters
    ----------
    *key : int or str
        What the numbers are for; the same key gives the same numbers. With no key, the seed of the
        run alone.

    Returns
    -------
    numpy.random.Generator

    >>> float(rng("noise", 3).random()) == float(rng("noise", 3).random())
    True
    """
    words = [_state.seed]
    for part in key:
        words += [part] if isinstance(part, int) else list(str(part).encode())
    return np.random.default_rng(np.random.SeedSequence(words))


def cache_dir() -> Path:
    """Folder for downloads and the generated cohort: ``MEDSR_CACHE``, else the system's user cache."""
    chosen = folder_setting("MEDSR_CACHE")
    if chosen:
        return chosen
    from platformdirs import user_cache_path

    try:
        found = user_cache_path("medsr-course", appauthor=False)
    except RuntimeError:  # newer versions of platformdirs
        found = Path()
    if not found.is_absolute():  # older ones leave the "~" in it
        raise CourseError("this user has no home folder to keep a cache in: name a folder in MEDSR_CACHE")
    return found


def folder_setting(variable: str) -> Path | None:
    """Returns the folder that an environment variable names, as a full path, or None where it is not set.

    Raises
    ------
    CourseError
        If it begins with ``~`` and this user has no home folder.

    >>> folder_setting("MEDSR_THAT_NOBODY_SETS") is None
    True
    """
    chosen = os.environ.get(variable)
    if not chosen:
        return None
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError:
        raise CourseError(f"{variable} is {chosen}, but this user has no home folder: give the full path") from None


def folder_settings() -> dict[str, str]:
    """Returns the folders that the environment names, as full paths: what a process in another folder must be given."""
    found = {variable: folder_setting(variable) for variable in FOLDER_SETTINGS}
    return {variable: str(folder) for variable, folder in found.items() if folder}


def _refuse_relative_settings() -> None:
    """A notebook's kernel works in another folder than the command line: a relative path would mean two places."""
    for variable in FOLDER_SETTINGS:
        chosen = os.environ.get(variable, "")
        if chosen and not chosen.startswith("~") and not Path(chosen).is_absolute():
            raise CourseError(f"{variable} is {chosen}, another folder for each notebook: give the full path")


def writable_folder(folder: str | os.PathLike[str], option: str) -> Path:
    """Make a folder for results if need be, and find out before the work begins whether it can be written.

    Parameters
    ----------
    folder : path
    option : str
        What names it, for the message: ``"--output"``.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    CourseError
        If it cannot be made or written, or its disk is full.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(1 << 18))
            probe.flush()
    except OSError as error:
        raise CourseError(f"cannot write to {folder} ({error.strerror or error}): choose another {option}") from None
    return folder


# What a full or a locked disk says
DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


def disk_trouble(error: OSError, place: str | os.PathLike[str]) -> str:
    """Returns in one line what an ``OSError`` at a place in the cache means, and the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no space left on the disk of {place}: it is full; free some space, or set MEDSR_CACHE to another disk"
    if error.errno in DISK_TROUBLE:
        return f"{place} cannot be written ({error.strerror}): set MEDSR_CACHE to another folder"
    return f"{place}: {error.strerror or error}: check the disk, or set MEDSR_CACHE to another folder"


@contextmanager
def locked(path: str | os.PathLike[str], busy: str = "") -> Iterator[None]:
    """Let one process at a time into a block; the lock falls when its holder ends, however it ends.

    Parameters
    ----------
    path : path
        A file made for the purpose, in a folder made if need be; it stays behind, empty.
    busy : str
        The message of the CourseError raised where another process is inside; by default this one waits.

    Raises
    ------
    BusyError
        If another process is inside and ``busy`` is given.
    OSError
        If the file cannot be made, or is a link.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o666), "r+b") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK if busy else msvcrt.LK_LOCK, 1)
                    break
                except OSError:  # LK_LOCK gives up after ten seconds
                    if busy:
                        raise BusyError(busy) from None
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
            except BlockingIOError:
                raise BusyError(busy) from None
            yield  # closing the file lets go


def flush_to_disk(path: str | os.PathLike[str]) -> None:
    """Have a file's bytes, or a folder's list of names, on the disk before going on: a power cut keeps them."""
    folder = os.path.isdir(path)
    if folder and os.name == "nt":  # no such thing there
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not folder or error.errno in DISK_TROUBLE:  # some file systems cannot do it for folders
            raise
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file whole or not at all: what stood there before stays until all is written.

    Parameters
    ----------
    path : path
        The file.

    Yields
    ------
    Path
        Another name in the same folder, hidden, random and of this process alone, to write under. It takes the file's
        place at the end of the ``with`` block, and is removed where that block fails.

    Raises
    ------
    OSError
        If it cannot be put in place.
    """
    path = Path(path)
    # A name nobody can foresee, made for us alone: what is written never goes through somebody's link.
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    part.touch(exist_ok=False)
    try:
        yield part
        flush_to_disk(part)
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # a disk that refuses this refused more before
            part.unlink(missing_ok=True)


def checksum(path: str | os.PathLike[str], kind: str = "sha256") -> str:
    """Returns the checksum of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes a text file in UTF-8, whole or not at all; returns ``path``."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], delimiter: str = ",") -> None:
    """Writes rows, by the names of columns, as a table with a heading, whole or not at all."""
    with atomic_write(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n", extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


def progress(iterable: Iterable[T], description: str = "", total: int | None = None, unit: str = "it") -> Iterable[T]:
    """Wrap a loop in a progress bar with time left (Jupyter or terminal).

    ``MEDSR_PROGRESS=0`` turns all bars off, as the tests and the website do.
    """
    off = os.environ.get("MEDSR_PROGRESS", "1") == "0"
    if off:
        return iterable
    from tqdm.auto import tqdm

    return tqdm(iterable, desc=description, total=total, unit=unit, leave=False)


def cpu_count() -> int:
    """Processor cores this process may use."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    return min(count, _state.cpus or count)


def use_cpus(count: int | None) -> None:
    """Have :func:`cpu_count` return at most ``count`` in this process: one of several that share the machine."""
    _state.cpus = count
