"""The Chinese pages, filled from ``data/chinese.csv``; ``{{zh:index.lead}}`` in a page stands for the text of that key.

Every text is marked with its language, for the right font and the right voice.
"""

import re
import shutil
from pathlib import Path

from book import fonts, pages
from medsr_course.commands import chinese

PLACE = re.compile(r"\{\{zh:([\w.]+)\}\}")
PICTURE = ("measured", "zip", "network", "truth")


def text(key: str) -> str:
    """A text of the catalogue, as Markdown that names its language."""
    return marked(chinese.speaker("zh").text(key))


def marked(words: str) -> str:
    """Words in Chinese, as Markdown; from this class docutils makes ``lang="zh-Hans"``."""
    return f"[{words}]{{.language-zh-Hans}}"


def filled(page: str, listed: list[Path]) -> str:
    """A Chinese page with its texts, and the summaries of the chapters where it has ``{{CHAPTERS}}``."""
    page = page.replace("{{ALT}}", chinese.speaker("zh").text("picture.alt"))
    return PLACE.sub(lambda found: text(found[1]), page).replace("{{CHAPTERS}}", summaries(listed))


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


def fill(source: Path, listed: list[Path]) -> None:
    """Fill the Chinese pages of a site's source, and draw their picture."""
    for page in sorted(source.glob("zh*.md")):
        page.write_text(filled(page.read_text(encoding="utf-8"), listed), encoding="utf-8")
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
