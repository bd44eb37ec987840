"""Profile, seed, null run, cache folder, progress: how a chapter is being run.

A notebook says once, in its first cell, ``runtime.start(PROFILE, SEED)``; everything else asks here.
"""

import logging
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PROFILES = ("smoke", "lesson", "full")
CACHED = ("bench", "downloads", "executed", "leaderboard", "training")  # folders of the cache, beside the cohorts


class CourseError(RuntimeError):
    """Something the reader can mend: one or two lines that say what was wrong and what to do.

    Shown without a traceback by the command line and in notebooks.
    """

    def _render_traceback_(self):
        return [f"{type(self).__name__}: {self}"]


@dataclass
class _State:
    profile: str = "lesson"
    seed: int = 0


_state = _State()
at_start: list = []  # functions that clear what a module remembers of an earlier run in the same kernel


def start(profile="lesson", seed=0):
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
    _state.profile, _state.seed = profile, int(seed)
    np.random.seed(_state.seed)  # noqa: NPY002 (for code of the reader that uses the global generator)
    quiet_frameworks()
    for forget in at_start:
        forget()


def quiet_frameworks():
    """Silence start-up chatter of TensorFlow and known-harmless warnings of its dependencies."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", message=".*np.object.*", category=FutureWarning)
    logging.getLogger("tensorflow").addFilter(_not_about_retracing)


def _not_about_retracing(record):
    """A chapter that builds many small networks compiles each one once, which is no waste."""
    return "retracing" not in record.getMessage()


@contextmanager
def hushed():
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


def profile():
    """The profile of this run: ``"smoke"``, ``"lesson"`` or ``"full"``."""
    return _state.profile


def seed():
    """The seed given to :func:`start`."""
    return _state.seed


def is_null():
    """True in a null run (``MEDSR_NULL=1``): nothing is trained, shipped weights are re-initialised.

    A claim that still holds then was never evidence of learning.
    """
    return os.environ.get("MEDSR_NULL", "") not in ("", "0")


def steps(*, smoke, lesson, full):
    """Training length for the current profile; 0 in a null run.

    >>> start("smoke")
    >>> steps(smoke=10, lesson=1000, full=100000)
    10
    """
    if is_null():
        return 0
    return {"smoke": smoke, "lesson": lesson, "full": full}[_state.profile]


def rng(*key):
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


def cache_dir():
    """Folder for downloads and the generated cohort: ``MEDSR_CACHE``, else the system's user cache."""
    chosen = os.environ.get("MEDSR_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("medsr-course", appauthor=False)


@contextmanager
def atomic_write(path):
    """Write a file whole or not at all: what stood there before stays until all is written.

    Parameters
    ----------
    path : path
        The file.

    Yields
    ------
    Path
        Another name in the same folder, hidden and of this process alone, to write under. It takes the file's place at
        the end of the ``with`` block, and is removed where that block fails.

    Raises
    ------
    OSError
        If it cannot be put in place.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def progress(iterable, description="", total=None, unit="it"):
    """Wrap a loop in a progress bar with time left (Jupyter or terminal).

    ``MEDSR_PROGRESS=0`` turns all bars off, as the tests and the website do.
    """
    off = os.environ.get("MEDSR_PROGRESS", "1") == "0"
    if off:
        return iterable
    from tqdm.auto import tqdm

    return tqdm(iterable, desc=description, total=total, unit=unit, leave=False)


def cpu_count():
    """Processor cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
