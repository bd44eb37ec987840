"""Where files that belong to the course are, for a checkout and for a wheel alike; and where a number was measured."""

import datetime
import platform
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medsr_course import runtime
from medsr_course.runtime import CourseError

_PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """Root folder of the course's checkout, or None when only the wheel is installed."""
    root = _PACKAGE.parent
    return root if (root / "notebooks").is_dir() and (root / "pyproject.toml").is_file() else None


def provenance() -> dict[str, Any]:
    """Where and when a number is measured, for what is written into ``results/``.

    Returns
    -------
    dict
        ``system`` (Linux), ``machine`` (x86_64), ``cores`` that this process may use, ``python``, ``commit`` (short;
        empty without git), ``changed`` (whether code or data differ from that commit), ``date`` (ISO 8601).
    """
    root = checkout() or Path.cwd()

    def git(*words: str) -> str:
        try:
            return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True).stdout.strip()
        except OSError:
            return ""

    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": runtime.cpu_count(),
        "python": platform.python_version(),
        "commit": git("rev-parse", "--short", "HEAD"),
        "changed": bool(git("status", "--porcelain", "--", "medsr_course", "data")),
        "date": datetime.date.today().isoformat(),
    }


def made_by(command: str) -> str:
    """Returns the line that ends a page of ``results/``: by what command it was made, when, and where."""
    where = "{date}, commit {commit}, {system} {machine}, Python {python}".format(**provenance())
    return f"Made by `{command}`, {where}."


def path(*parts: str) -> Path:
    """Path of a file or folder under ``data/``.

    A checkout has it beside the package; a wheel carries a copy inside it.

    >>> path("weights").name
    'weights'

    Raises
    ------
    CourseError
        If there is no such file: the installation is incomplete.
    """
    root = checkout()
    base = root / "data" if root else _PACKAGE / "_data"
    found = base.joinpath(*parts)
    if not found.exists():
        raise CourseError(f"{'/'.join(parts)} is missing from {base}: reinstall the course")
    return found


def template(name: str) -> Path:
    """Path of one of nilearn's ICBM 2009a files: ``"t1"``, ``"gm"`` or ``"wm"``."""
    return _inside("nilearn", f"datasets/data/mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")


def real_slice() -> Path:
    """Path of DIPY's coronal slice of one real head, T1-weighted and stripped of its skull."""
    return _inside("dipy", "data/files/t1_coronal_slice.npy")


def _inside(package: str, name: str) -> Path:
    """A file that another package carries, found without importing it, which may take seconds."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise CourseError(f"{package} is not installed: run `make lab`, or `pip install medsr-course[course]`")
    found = Path(spec.origin).parent / name
    if not found.exists():
        raise CourseError(f"this {package} has no {found.name}: install the version in requirements.lock")
    return found
