"""The course as one file, ``course.zip``, which the site offers: what git tracks, as it is now."""

import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "course.zip"
FOLDER = "medsr-course"  # what it unpacks to
PACKED = {".gz", ".h5", ".onnx", ".png"}  # would not get smaller


def write(path: Path) -> int:
    """Write the archive and return its size in bytes; the same files give the same bytes.

    Without git nobody can tell the course's files from a reader's own: then nothing is written, and the size is 0.
    """
    listed = tracked()
    if not listed:
        return 0
    with zipfile.ZipFile(path, "w") as archive:
        for name in listed:
            file = ROOT / name
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}", (2020, 1, 1, 0, 0, 0))
            entry.external_attr = (0o755 if file.stat().st_mode & 0o100 else 0o644) << 16
            entry.compress_type = zipfile.ZIP_STORED if file.suffix in PACKED else zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return path.stat().st_size


def tracked() -> list[str]:
    """Paths from the root of all files that git tracks; none without git or in a folder that is no checkout."""
    if not (ROOT / ".git").exists():
        return []
    try:
        said = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True).stdout
    except OSError:
        return []
    return sorted(name for name in said.split("\0") if name and (ROOT / name).is_file())
