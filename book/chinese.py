"""The Chinese pages, filled from ``data/chinese.csv``; ``{{zh:index.lead}}`` in a page stands for the text of that key.

Every text is marked with its language, for the right font and the right voice.
"""

import re
import shutil
from pathlib import Path

from book import fonts, landing, pages
from medsr_course.commands import chinese

PLACE = re.compile(r"\{\{zh:([\w.]+)\}\}")
PICTURE = ("measured", "zip", "network", "truth")


def text(key: str, **values: str) -> str:
    """A text of the catalogue with its values, as Markdown that names its language."""
    words = chinese.speaker("zh").text(key)
    return marked(words.format(**values) if values else words)


def marked(words: str) -> str:
    """Words in Chinese, as Markdown; from this class docutils makes ``lang="zh-Hans"``."""
    return f"[{words}]{{.language-zh-Hans}}"


def filled(page: str, listed: list[Path], size: int = 0) -> str:
    """A Chinese page with its texts, and what it leaves a place for.

    Parameters
    ----------
    page : str
        Its ``{{CHAPTERS}}`` become summaries of the chapters, its ``{{GET}}`` the ways to get the course.
    listed : list of path
        The chapters.
    size : int
        Of the archive ``course.zip`` in bytes; 0 where there is none.
    """
    chapters, hours = landing.length(listed)
    page = page.replace("{{ALT}}", chinese.speaker("zh").text("picture.alt"))
    page = page.replace("{{LONG}}", text("index.long", chapters=chapters, hours=hours))
    page = page.replace("{{START}}", pages.link(listed[0]) if listed else "[How to use this course](how-to-use.md)")
    page = page.replace("{{GET}}", _get(size))
    return PLACE.sub(lambda found: text(found[1]), page).replace("{{CHAPTERS}}", summaries(listed))


def _get(size: int) -> str:
    ways = []
    if size:
        ways.append(f'{text("get.archive", size=f"{size / 1e6:.0f}")} <a href="course.zip">course.zip</a>')
    if landing.repository():
        ways.append(f"{text('get.clone')} `git clone {landing.repository()}`")
    return " · ".join(ways) or text("get.ask")


def summaries(listed: list[Path]) -> str:
    """A heading, a link and a summary for each chapter, those not yet written marked as planned."""
    there = {notebook.stem: notebook for notebook in listed}
    lines: list[str] = []
    for row in pages.rows("course"):
        key = f"chapter.{row['number']}"
        heading = f"{row['number']} · {chinese.speaker('zh').text(f'{key}.title')}"
        lines += [f"## {marked(heading)}", "", text(f"{key}.summary"), ""]
        notebook = there.get(row["slug"])
        lines += [pages.link(notebook) if notebook else f"*{pages.plain(row['title'])} (planned)*", ""]
    return "\n".join(lines)


def fill(source: Path, listed: list[Path], size: int = 0) -> None:
    """Fill the Chinese pages of a site's source, and draw their picture."""
    for page in sorted(source.glob("zh*.md")):
        page.write_text(filled(page.read_text(encoding="utf-8"), listed, size), encoding="utf-8")
    picture(source / "_static" / "landing-zh.png")


def picture(path: Path) -> None:
    """The landing page's picture with Chinese words; a copy of the English one where no font has the signs."""
    from book import build

    font = fonts.chinese()
    if font is None:
        shutil.copy2(path.with_name("landing.png"), path)
        return
    import matplotlib.pyplot as plt

    titles = [chinese.speaker("zh").text(f"picture.{name}") for name in PICTURE]
    with plt.rc_context({"font.sans-serif": [font, "DejaVu Sans"]}):
        build.picture(path, titles)
