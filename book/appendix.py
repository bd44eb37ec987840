"""The pages of the appendix that are made from tables: the glossary, and where each part of the article went.

``glossary.csv`` holds one term a row; ``article.csv`` one statement of the article a row, with what to look for in
``coverage.csv`` and among the chapter's claims. Chapters that are not there yet are marked as planned.
"""

import ast
import html
import re
import unicodedata
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from myst_parser.slugs import github_slugify, unique_slug

from book import pages

PLANNED = "(planned)"
SOURCES = "in words, with sources"  # what a statement about history can have instead of a claim


def numbered(listed: list[Path]) -> dict[str, Path]:
    """Chapters by number, ``"05"`` → its notebook."""
    return {notebook.stem.split("_")[0]: notebook for notebook in listed}


def links(listed: list[Path]) -> dict[str, str]:
    """What a written page puts for each chapter: ``{{05}}`` → a link to it, or its number and that it is planned."""
    there = numbered(listed)
    numbers = [row["number"] for row in pages.rows("course")]
    shown = {
        n: f"[chapter {n}](notebooks/{there[n].name})" if n in there else f"chapter {n} {PLANNED}" for n in numbers
    }
    return {f"{{{{{number}}}}}": text for number, text in shown.items()}


# --- the glossary ---------------------------------------------------------------------------------


def glossary(listed: list[Path]) -> dict[str, str]:
    """What fills the glossary's page: place → the number of terms, the terms, and their index by pinyin."""
    terms = pages.rows("glossary")
    return {
        "{{COUNT}}": str(len(terms)),
        "{{TERMS}}": by_english(terms, numbered(listed)),
        "{{PINYIN}}": by_pinyin(terms),
    }


def by_english(terms: list[dict[str, str]], there: dict[str, Path]) -> str:
    """The terms by their English names, as a glossary of Sphinx; ``there``: the notebooks by number."""
    lines = ["```{glossary}"]
    for term in terms:
        number = term["chapter"]
        chapter = f"[{number}](notebooks/{there[number].name})" if number in there else f"{number} {PLANNED}"
        others = f"; also {zh(term['also'])}" if term["also"] else ""
        article = f"; article: {term['section']}" if term["section"] else ""
        lines += [term["english"], f"  {zh(term['chinese'])} (*{term['pinyin']}*{others}).\\"]
        lines += [f"  {pages.plain(term['definition'])} *(Chapter {chapter}{article}.)*", ""]
    return "\n".join([*lines[:-1], "```"])


def by_pinyin(terms: list[dict[str, str]]) -> str:
    """The same terms by the pinyin of their Chinese names, a list for each initial."""
    lines = []
    ordered = sorted(terms, key=lambda term: spelt(term["pinyin"]))
    for initial, group in groupby(ordered, key=lambda term: spelt(term["pinyin"])[0][0][0].upper()):
        lines += ["", f"### {initial if initial.isalpha() else '0–9'}", ""]
        lines += [f"- {zh(term['chinese'])} *{term['pinyin']}* – {{term}}`{term['english']}`" for term in group]
    return "\n".join(lines[1:])


def spelt(pinyin: str) -> tuple[list[str], str]:
    """Key that sorts pinyin syllable by syllable, first without tones."""
    bare = unicodedata.normalize("NFD", pinyin.lower())
    return "".join(sign for sign in bare if not unicodedata.combining(sign)).split(), pinyin


def zh(text: str) -> str:
    """Chinese text as HTML that names its language, for the right font and the right voice."""
    return f'<span lang="zh-Hans">{html.escape(text)}</span>'


# --- the article ----------------------------------------------------------------------------------


class Place(NamedTuple):
    """A section of a chapter: its heading and anchor, the text of its cells, and the claims that they check."""

    heading: str
    anchor: str
    texts: list[str]
    claims: list[str]


class Traced(NamedTuple):
    """A row of ``article.csv`` and where its chapter treats it; ``notebook`` is None where that is planned."""

    row: dict[str, str]
    notebook: Path | None
    places: list[Place]
    claims: list[str]


def article(listed: list[Path]) -> str:
    """Table: section of the article → chapter and its section → claim or task."""
    lines = ["| § | the article on | where the course does it | claim or task |", "|---|---|---|---|"]
    titles = {row["number"]: row["title"] for row in pages.rows("course")}
    section = ""
    for row, notebook, found, claims in traced(listed):
        number, shown, section = row["chapter"], "" if row["section"] == section else row["section"], row["section"]
        if notebook:
            parts = [f"[{pages.cell(p.heading)}](notebooks/{notebook.name}#{p.anchor})" for p in found[:2]]
            where = f"[{number}](notebooks/{notebook.name}): {'; '.join(parts)}"
            task = row["task"] if row["task"] in ("", SOURCES) else f"exercise `{row['task']}`"
            proof = "; ".join([*map(pages.cell, dict.fromkeys(claims[:2])), *([task] if task else [])])
        else:
            where, proof = f"{number} · {pages.cell(titles[number])}", PLANNED
        lines.append(f"| {shown} | {pages.cell(row['says'])} | {where} | {proof} |")
    return "\n".join(lines)


def traced(listed: list[Path]) -> list[Traced]:
    """Every row of ``article.csv`` with the sections of its chapter and the claims that its two patterns find.

    ``coverage`` is sought in the phrases of ``coverage.csv``, whose cells name the sections; ``claim`` in the titles of
    the chapter's claims. Where ``claim`` is empty, the claims are those of the sections.
    """
    there = numbered(listed)
    sections = {number: places(notebook) for number, notebook in there.items()}
    covered = pages.rows("coverage")
    found = []
    for row in pages.rows("article"):
        number, own = row["chapter"], sections.get(row["chapter"], [])
        phrases = [entry for entry in covered if entry["chapter"] == number]
        cells = [entry["where"] for entry in phrases if re.search(row["coverage"], entry["phrase"])]
        hit = [place for place in own if any(cell in text for cell in cells for text in place.texts)]
        wanted = own if row["claim"] else hit
        claims = [title for place in wanted for title in place.claims if re.search(row["claim"], title)]
        found.append(Traced(row, there.get(number), hit, claims))
    return found


def places(notebook: Path) -> list[Place]:
    """The sections of a chapter, in its order."""
    found = [Place(notebook.stem, "", [], [])]
    slugs: list[str] = []
    for block in pages.cells(notebook):
        source, written = "".join(block["source"]), block["cell_type"] == "markdown"
        for part in re.split(r"^(?=#{1,3} )", source, flags=re.M) if written else [source]:
            heading = re.match(r"#+ (.+)", part) if written else None
            if heading:
                slugs.append(unique_slug(github_slugify(re.sub(r"[`*$]", "", heading[1].strip())), slugs))
                found.append(Place(heading[1].strip(), slugs[-1], [], []))
            found[-1].texts.extend((part, " ".join(part.split())))
            found[-1].claims.extend([] if written else claim_titles(part))
    return found


def claim_titles(source: str) -> list[str]:
    """Titles of the claims that a cell checks, those that stand there word for word."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:  # a magic
        return []
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "claims.check"]
    first = [call.args[0] for call in calls if call.args]
    return [str(title.value) for title in first if isinstance(title, ast.Constant)]
