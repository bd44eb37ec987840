"""The chapters as notebooks: finding them, executing them once, keeping the executed copies.

A chapter in two halves is ``02_….ipynb`` and ``02b_….ipynb``: "02" asks for both, "02b" for the second alone.

``medsr run``, the tests and the website share executed copies: one is valid as long as the notebook,
the package, ``data/``, the lock, the profile and the kind of run (null or not) are the same.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsr_course import resources, runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue, datasets
from medsr_course.teaching import claims

_OF_A_CHAPTER = re.compile(r"ch[0-9A]\d*b?\.py")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Executed:
    """An executed copy of a chapter: its file, how long it took, its peak memory, its error or ""."""

    chapter: str
    path: Path
    seconds: float
    peak_mib: float
    error: str
    reused: bool


@dataclass(frozen=True)
class Progress:
    """Where :func:`run` stands: a chapter that begins (``done`` is None), or one that is done, and its claims."""

    chapter: str
    source: Path
    total: int
    done: Executed | None = None
    claims: tuple[dict[str, Any], ...] = ()


def folder() -> Path:
    """The folder of the chapters; a clear error outside a checkout."""
    root = resources.checkout()
    if root is None:
        raise CourseError("the chapters are not part of the installed package: run this from a checkout of the course")
    return root / "notebooks"


def chapters() -> dict[str, Path]:
    """Chapter → notebook, in the order of the course: ``{"00": Path(…), …}``."""
    return {path.stem.split("_")[0]: path for path in sorted(folder().glob("[0-9A]*_*.ipynb"))}


def select(wanted: Sequence[str] = ()) -> dict[str, Path]:
    """The chapters asked for (``["5", "00"]``), or all, in the order of the course; "2" gives both halves, 02 and 02b.

    Raises
    ------
    CourseError
        If there is no such chapter.
    """
    known = chapters()
    if not wanted:
        return known
    chosen, unknown = set(), []
    for word in map(str, wanted):
        name = re.sub(r"^\d(?!\d)", r"0\g<0>", word)
        both = re.fullmatch(r"A?\d+", name)
        halves = {key for key in known if key == name or (both and re.fullmatch(f"{name}[a-z]", key))}
        chosen |= halves
        unknown += [] if halves else [name]
    if unknown:
        raise CourseError(f"there is no chapter {', '.join(unknown)}; there are: {', '.join(known)}")
    return {key: path for key, path in known.items() if key in chosen}


def run(
    wanted: Sequence[str] = (), profile: str = "lesson", output: Path = Path("out"), *, fresh: bool = False
) -> Iterator[Progress]:
    """Execute chapters one after the other and write what they showed.

    Parameters
    ----------
    wanted, profile, fresh
        As in :func:`select` and :func:`execute`.
    output : path
        Folder that gets the executed notebooks, ``claims.json`` and ``timings.json``; the tables are whole after
        each chapter.

    Yields
    ------
    Progress
        When a chapter begins, and again when it is done.

    Raises
    ------
    CourseError
        If there is no such chapter, or the folder cannot be written, or another run writes into it.
    """
    chosen = select(wanted)
    output = runtime.writable_folder(output, "--output")
    for name in ("claims.json", "timings.json", *(source.name for source in chosen.values())):
        if (output / name).is_dir() or (output / name).resolve() == folder() / name:
            raise CourseError(f"{output / name} is a folder or the chapter itself: choose another --output")
    rows: list[dict[str, Any]] = []
    timings: list[dict[str, Any]] = []
    busy = f"another run writes into {output}: choose another --output"
    with contextlib.ExitStack() as held:
        with _writing_to(output):
            held.enter_context(runtime.locked(output / ".lock", busy=busy))
        for chapter, source in chosen.items():
            yield Progress(chapter, source, len(chosen))
            done = execute(chapter, profile, fresh=fresh)
            made = claims.collect(done.path, source)
            rows += made
            timings.append({"chapter": chapter, "seconds": done.seconds, "peak_mib": done.peak_mib})
            with _writing_to(output):
                with runtime.atomic_write(output / source.name) as part:
                    shutil.copyfile(done.path, part)
                _write_json(output / "claims.json", rows)
                _write_json(output / "timings.json", timings)
            yield Progress(chapter, source, len(chosen), done, tuple(made))


@contextlib.contextmanager
def _writing_to(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CourseError(f"cannot write to {output} ({error.strerror or error}): choose another --output") from None


def _write_json(path: Path, value: list[dict[str, Any]]) -> None:
    with runtime.atomic_write(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def execute(chapter: str, profile: str = "lesson", *, fresh: bool = False, timeout: float | None = None) -> Executed:
    """Execute a chapter with papermill, or hand back the valid executed copy.

    Parameters
    ----------
    chapter : str
        ``"05"``.
    profile : {"smoke", "lesson", "full"}
    fresh : bool
        Execute even where a valid copy is kept.
    timeout : float, optional
        Seconds a single cell may take.

    Returns
    -------
    Executed
        A chapter that failed is returned too, with its error; it is not kept for reuse.
    """
    if profile not in runtime.PROFILES:
        raise CourseError(f"profile {profile!r} is unknown: choose one of {', '.join(runtime.PROFILES)}")
    source = select([chapter])[chapter]
    found = kept(chapter, profile)
    if found and not fresh:
        _log.info("chapter %s: the executed copy %s is valid and used again", chapter, found.path)
        return found
    store = _store(chapter, source, profile)
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(f"cannot write to {store} ({error.strerror}): set MEDSR_CACHE to a writable folder") from None
    return _execute(chapter, source, store, profile, timeout)


def kept(chapter: str, profile: str = "lesson") -> Executed | None:
    """The executed copy of a chapter that is kept and still valid; None where there is none."""
    source = select([chapter])[chapter]
    store = _store(chapter, source, profile)
    copy, facts = store / source.name, store / "facts.json"
    if not (facts.exists() and copy.exists()):
        return None
    return Executed(chapter, copy, **json.loads(facts.read_text()), reused=True)


def _store(chapter: str, source: Path, profile: str) -> Path:
    return runtime.cache_dir() / "executed" / f"{chapter}-{profile}-{_key(source, profile)}"


def _execute(chapter: str, source: Path, store: Path, profile: str, timeout: float | None) -> Executed:
    # A name of its own, so that two processes never write the same file; kept only when complete.
    working = store / f"{source.stem}.{os.getpid()}.ipynb"
    facts = execute_file(source, working, profile, timeout=timeout)
    final, told = store / source.name, store / "facts.json"
    told.unlink(missing_ok=True)  # they tell of the copy that is replaced now
    working.replace(final)
    if not facts["error"]:
        with runtime.atomic_write(told) as part:
            part.write_text(json.dumps(facts))
        _log.info("chapter %s: the executed copy is kept as %s", chapter, final)
    return Executed(chapter, final, **facts, reused=False)


def execute_file(source: Path, target: Path, profile: str, *, timeout: float | None = None) -> dict[str, Any]:
    """Execute any notebook with a cell of parameters, in the folder of the chapters.

    Parameters
    ----------
    source, target : path
        The notebook, and where its executed copy goes.
    profile : {"smoke", "lesson", "full"}
    timeout : float, optional
        Seconds a single cell may take.

    Returns
    -------
    dict
        ``seconds``, ``peak_mib`` (memory of the kernel) and ``error``, "" where there was none.
    """
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # the kernel of this environment
    import papermill

    began, error = time.perf_counter(), ""
    # The kernel works in the chapters' folder: a relative path would be another one there.
    settings = {
        "MEDSR_PROGRESS": "0",
        "MEDSR_UNATTENDED": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    } | runtime.folder_settings()
    with _environment(**settings), _PeakMemory() as memory:
        try:
            papermill.execute_notebook(
                source, target, {"PROFILE": profile}, kernel_name="python3", progress_bar=False,
                cwd=folder(), execution_timeout=timeout,
                extra_arguments=["--IPKernelApp.log_level=50"],  # nothing about unencrypted local TCP
            )  # fmt: skip
        except papermill.PapermillExecutionError as failure:
            error = f"{failure.ename}: {failure.evalue}"
        except TimeoutError:
            error = f"a cell took longer than {timeout} s"
    return {"seconds": round(time.perf_counter() - began, 1), "peak_mib": round(memory.mib), "error": error}


def _key(source: Path, profile: str) -> str:
    """Hash of everything that an executed copy depends on: all but the exercises and quizzes of other chapters."""
    root = resources.checkout()
    digest = hashlib.sha256(f"{profile} null={runtime.is_null()}".encode())
    downloaded = [name for name, entry in catalogue.entries().items() if entry.present]
    digest.update(f"real={datasets.real_folder()} {downloaded}".encode())  # claims about real scans need them
    assert root is not None  # select found the chapter in it
    files = [source, root / "requirements.lock"]
    own = f"ch{source.name.split('_')[0]}.py"
    package = (p for p in (root / "medsr_course").rglob("*") if p.suffix in (".py", ".js", ".css"))
    files += sorted(p for p in package if p.name == own or not _OF_A_CHAPTER.fullmatch(p.name))
    files += sorted(p for p in (root / "data").rglob("*") if p.is_file())
    for path in files:
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Environment variables for the kernel, put back afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class _PeakMemory:
    """Peak resident memory of this process's children, sampled while the block runs."""

    def __enter__(self) -> "_PeakMemory":
        self.mib, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        me = psutil.Process()
        while not self._stop.wait(0.25):
            total = 0
            with contextlib.suppress(psutil.Error):
                for child in me.children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        total += child.memory_info().rss
            self.mib = max(self.mib, total / 2**20)
