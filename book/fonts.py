"""A font with Chinese signs for the figures of the site: one of this machine, or Noto Sans SC from npm."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from medsr_course import runtime
from medsr_course.runtime import CourseError

KNOWN = ("Noto Sans SC", "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", "Hiragino Sans GB",
         "WenQuanYi Micro Hei", "SimHei")  # fmt: skip
PACKAGE, VERSION = "@expo-google-fonts/noto-sans-sc", "0.4.3"  # MIT, and the font itself OFL-1.1
FILE = "package/400Regular/NotoSansSC_400Regular.ttf"
SHA512 = "9rAwdFTFHbO/u6Cs0gj2jZbW74TGIiaFNQnXYH2s5wA1bzVkwbaviL4t8YUV642eGYjg86eH6DkAEQmfNHDncQ=="


def chinese() -> str | None:
    """Name of a font that Matplotlib can draw Chinese with; None where there is none and none can be had."""
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    found = next((name for name in KNOWN if name in there), None)
    if found:
        return found
    try:
        file = fetched()
    except CourseError as error:
        print(f"book: {error}; figures of the Chinese pages keep their English words")
        return None
    font_manager.fontManager.addfont(file)
    return font_manager.FontProperties(fname=file).get_name()


def fetched() -> Path:
    """Noto Sans SC in the cache, fetched once by npm.

    Raises
    ------
    CourseError
        Without npm or a network, or where the package is not the one that was written down.
    """
    kept = runtime.cache_dir() / "libraries" / "NotoSansSC-Regular.ttf"
    if kept.exists():
        return kept
    npm = shutil.which("npm")
    if npm is None:
        raise CourseError("no Chinese font is installed, and npm, which would fetch one, is not here")
    with tempfile.TemporaryDirectory() as folder:
        words = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise CourseError(f"npm could not fetch {PACKAGE}: {done.stderr.strip()[-200:] or 'no reason given'}")
        digest = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
        if digest != SHA512:
            raise CourseError(f"{PACKAGE} has another checksum than book/fonts.py holds")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archives[0]) as archive, runtime.atomic_write(kept) as part:
            content = archive.extractfile(FILE)
            assert content is not None  # the checksum was right
            part.write_bytes(content.read())
    return kept
