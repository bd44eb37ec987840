"""Licences of every package in requirements.lock, as the installed packages state them: ``python -m tools.licences``.

Exits with 1 where one is under the GPL or AGPL, or states nothing. What a wheel carries inside it is not always what
its metadata state; :data:`REFUSED` names packages known for that.
"""

import importlib.metadata
import re
import sys
from pathlib import Path
from typing import NamedTuple

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
# For packages that are not installed on every system or Python, or whose metadata state nothing. Those of colorama,
# namex and axe-playwright-python, which carries axe-core, are from the licence files that they are installed with. The
# others are what is generally known of them, not yet held against the versions in the lock: what an installed package
# states goes first, see :func:`stated`.
STATED = {
    "aiohappyeyeballs": "PSF-2.0",
    "aiohttp": "Apache-2.0 AND MIT",
    "aiosignal": "Apache-2.0",
    "appnope": "BSD-2-Clause",
    "axe-playwright-python": "MIT AND MPL-2.0",
    "colorama": "BSD-3-Clause",
    "frozenlist": "Apache-2.0",
    "multidict": "Apache-2.0",
    "namex": "Apache-2.0",
    "propcache": "Apache-2.0",
    "pywinpty": "MIT",
    "yarl": "Apache-2.0",
}
REFUSED = {"finufft": "its wheels carry FFTW, which is under the GPL"}
ALLOWED = {  # packages whose statement names the GPL or LGPL, and why they are in the lock all the same
    "docutils": "only its Emacs mode is under the GPL, and the wheel does not carry it",
}


class Row(NamedTuple):
    """A package of the lock: name, version there, licence, and what is wrong with it, or ""."""

    name: str
    version: str
    licence: str
    problem: str


def locked(text: str) -> dict[str, str]:
    """Name → version of what a lock pins; the last one where systems or Pythons have different versions."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, flags=re.M))


def stated(name: str) -> str:
    """The licence that an installed package states, else that of :data:`STATED`, else ""."""
    try:
        about = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return STATED.get(name, "")
    classifiers = [
        text.split(" :: ")[-1] for text in about.get_all("Classifier") or () if text.startswith("License ::")
    ]
    written = ([line for line in (about.get_all("License") or [""])[0].splitlines() if line.strip()] or [""])[0]
    written = "" if written == "UNKNOWN" else written
    return (
        ", ".join(about.get_all("License-Expression") or ())
        or ", ".join(classifiers)
        or written
        or STATED.get(name, "")
    )


def problem(name: str, licence: str) -> str:
    """What keeps a package out of the lock, or ""."""
    if name in REFUSED:
        return REFUSED[name]
    if not licence:
        return "states no licence: read it, and add it to tools/licences.py"
    if name not in ALLOWED and re.search(r"GPL|General Public", licence):
        return "not to be in the lock: replace it, or give the reason in tools/licences.py"
    return ""


def table(text: str) -> list[Row]:
    """A row for each package that the text of a lock pins, by name."""
    rows = []
    for name, version in sorted(locked(text).items()):
        licence = stated(name)
        rows.append(Row(name, version, licence, problem(name, licence)))
    return rows


def main() -> int:
    """Print the table; returns the exit code."""
    rows = table(LOCK.read_text(encoding="utf-8"))
    for row in rows:
        print(f"{row.name:<28} {row.version:<14} {row.licence}" + (f"\n    ✗ {row.problem}" if row.problem else ""))
    return int(any(row.problem for row in rows))


if __name__ == "__main__":
    sys.exit(main())
