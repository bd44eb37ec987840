"""A font with Chinese signs for the figures of the site: one of this machine, or Noto Sans SC from npm."""

from pathlib import Path

from book import libraries
from medsr_course import runtime
from medsr_course.runtime import CourseError

KNOWN = ("Noto Sans SC", "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", "Hiragino Sans GB",
         "WenQuanYi Micro Hei", "SimHei")  # fmt: skip
PACKAGE = "@expo-google-fonts/noto-sans-sc"


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
    """Noto Sans SC as a file in the cache; errors as of :func:`libraries.library`."""
    kept = runtime.cache_dir() / "libraries" / "NotoSansSC-Regular.ttf"
    if not kept.exists():
        (content,) = libraries.library(PACKAGE).values()
        with runtime.atomic_write(kept) as part:
            part.write_bytes(content)
    return kept
