"""``medsr probe``: known things planted into a scan, and in words what any software left of them.

The laboratory itself is in :mod:`medsr_course.tasks.probing`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import scanfiles
from medsr_course.tasks import probing
from medsr_course.types import Image

SCAN, CONTROL, KEY = "probe_scan.nii.gz", "probe_control.nii.gz", "probe_key.json"


def make(image: Image, folder: Path, *, scale: int = 2, seed: int = 0, plane: str | None = None) -> list[Path]:
    """Writes scan, control and key of :func:`medsr_course.tasks.probing.make`; returns their paths.

    Raises
    ------
    CourseError
        If one is there already, or the scan has no room for what is planted.
    """
    files = [runtime.writable_folder(folder, "OUT") / name for name in (SCAN, CONTROL, KEY)]
    for file in files:
        if file.exists():
            raise CourseError(f"{file} exists: choose another folder")
    scan, control, key = probing.make(image, scale=scale, seed=seed, plane=plane)
    scanfiles.write(scan, files[0])
    scanfiles.write(control, files[1])
    runtime.write_text(files[2], json.dumps(key, indent=1) + "\n")
    return files


def read_key(path: Path) -> dict[str, Any]:
    """Returns a key that :func:`make` wrote."""
    try:
        key = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseError(f"{path} cannot be read as a key ({error}): name the {KEY} of `medsr probe make`") from None
    if not isinstance(key, dict):
        raise CourseError(f"{path} is no key: name the {KEY} of `medsr probe make`")
    return key


def lines(found: Mapping[str, Any]) -> list[str]:
    """Returns a score in words and tables, for a terminal."""

    def share(value, low, high, *_):
        return "    –          " if np.isnan(value) else f"{value:4.0%} ({low:.0%}–{high:.0%})".ljust(16)

    out = [f"Lesions, and how much of their contrast is left (ZIP: the same without a network; ×{found['scale']})"]
    out.append("  voxels across   contrast left     ZIP               called a lesion   ZIP")
    for row in found["lesions"]:
        cells = [row["kept"]["result"], row["kept"]["zip"], row["called"]["result"], row["called"]["zip"]]
        out.append(
            f"  {row['size']:<4g} ({row['planted']:>3})      " + "  ".join(share(*cell) for cell in cells).rstrip()
        )
    out += ["Fine patterns", "  period, voxels  amplitude left    ZIP"]
    for row in found["patterns"]:
        cells = [share(*row["kept"]["result"]), share(*row["kept"]["zip"])]
        end = "" if row["measured"] else "beyond what a coarse scan measures"
        out.append(f"  {row['period']:<4g} ({row['planted']:>3})      " + "  ".join([*cells, end]).rstrip())
    for name, words in (
        ("lost", "lesions that ZIP shows are not called in the result"),
        ("gained", "lesions that ZIP does not show are called in the result"),
        ("invented", "empty places of the control hold a spot that the scan does not show"),
    ):
        *rate, trials = found[name]
        out.append(f"{name.capitalize()}: {share(*rate).strip()} of {trials} {words}.")
    out += [f"Note: {note}." for note in found["notes"]]
    out.append(
        "Intervals (95 %, Student's t and Wilson) are over the targets of one scan, all in quiet places of a head: for "
        "a claim about people, probe scans of several. Voxels are those of the coarse scan."
    )
    return out
