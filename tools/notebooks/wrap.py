"""Markdown of notebooks wrapped at one width, its rendering unchanged.

Paragraphs are set anew, those of lists and quotations too. Headings, tables, code, blocks of math and references stay
as they are; a link, a formula, a piece of code is never broken.
"""

import json
import re
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

WIDTH = 100
# Never broken: code, math, images and links, addresses, and a run of anything but blanks.
ATOM = re.compile(r"(?:(`+).+?\1|\$\$.+?\$\$|\$(?:\\.|[^$\\])+?\$|!?\[[^\]]*\]\([^)]*\)|<[^>\s]+>|\S)+", re.S)
# Would be markup of its own at the beginning of a line: no line is broken before it.
MARKUP = re.compile(r"[-+*>#|=:]+$|[>#|=]|\d+[.)]$|```|~~~|\$\$|<")
MARKERS = re.compile(r"(?:[ ]*(?:>|[-*+](?=\s)|\d+[.)](?=\s)))*[ ]*")


def wrap(path: Path) -> bool:
    """Wrap the Markdown of a notebook in place; returns whether it changed."""
    text = Path(path).read_text(encoding="utf-8")
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = wrapped("".join(cell["source"])).splitlines(keepends=True)
    new = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if new != text:
        Path(path).write_text(new, encoding="utf-8")
    return new != text


@cache
def wrapped(source: str, width: int = WIDTH) -> str:
    """Return Markdown with every paragraph wrapped at ``width`` characters.

    A line is longer only where it cannot be broken. Raises ``ValueError`` where the rendering would change.
    """
    lines = source.split("\n")
    for token in reversed(_parser().parse(source)):
        if token.type == "paragraph_open":
            first, after = token.map
            lines[first:after] = _paragraph(lines[first:after], width, token.level > 0)
    new = "\n".join(lines)
    if rendering(new) != rendering(source):
        raise ValueError(f"wrapping would change how this is shown: {source[:200]!r}")
    return new


def rendering(source: str) -> list[tuple]:
    """Return all that decides how Markdown is shown: its tokens, with line breaks that show as blanks made blanks."""
    return [part for token in _parser().parse(source) for part in _shown(token)]


@cache
def _parser():
    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)


def _shown(token: Token):
    if token.type != "inline":
        yield token.type, token.tag, token.content, token.info, token.level, token.hidden, str(token.attrs)
        return
    text = ""
    for child in token.children:
        if child.type in ("text", "softbreak"):
            text += child.content or " "
            continue
        yield "text", re.sub(r"\s+", " ", text)
        text = ""
        yield child.type, child.tag, child.content, child.markup, str(child.attrs)
    yield "text", re.sub(r"\s+", " ", text)


def _paragraph(lines, width, inside):
    """The lines of a paragraph set anew; ``inside`` a list or a quotation the markers before it stay."""
    start = MARKERS.match(lines[0])[0] if inside else ""
    later = re.sub(r"[^> ]", " ", start)
    bare = [lines[0][len(start) :]] + [_without_markers(line, later) for line in lines[1:]]
    made = [start]
    for piece in re.split(r"(?<=[ ]{2})\n|(?<=\\)\n", "\n".join(bare)):  # a hard break stays
        hard = re.search(r"([ ]{2,}|)$", piece)[0]
        for word in ATOM.finditer(piece):
            word = word[0]
            line = made[-1]
            if line in (start, later):
                made[-1] += word
            elif len(line) + 1 + len(word) > width and not MARKUP.match(word):
                made.append(later + word)
            else:
                made[-1] += " " + word
        made[-1] += hard
        made.append(later)
    made.pop()
    made[-1] = made[-1].rstrip()
    return made


def _without_markers(line, later):
    return re.sub(r"^[ >]*", "", line) if ">" in later else line.lstrip()
