"""Wrapped Markdown: one width, the same page."""

import json
import textwrap

import pytest

from medsr_course.teaching import notebooks
from tools.notebooks.wrap import WIDTH, rendering, wrap, wrapped

LONG = " ".join(["A sentence of some length, which says nothing in particular, and says it twice."] * 3)


def test_a_paragraph_is_filled_and_stays_one():
    text = "one\ntwo\n" + LONG
    assert wrapped(text) == "\n".join(textwrap.wrap(text, WIDTH))
    assert wrapped(wrapped(text)) == wrapped(text)


def test_lists_keep_their_structure():
    text = f"Here:\n\n- {LONG}\n- short\n  - {LONG}\n\n10. {LONG}"
    lines = wrapped(text).split("\n")
    assert [line[:4] for line in lines if line[:1] in ("-", "1") or line[:3] == "  -"] == [
        "- A ",
        "- sh",
        "  - ",
        "10. ",
    ]
    assert lines[3].startswith("  ")  # what goes on stands under what it belongs to
    assert max(map(len, lines)) <= WIDTH
    assert rendering("\n".join(lines)) == rendering(text)


@pytest.mark.parametrize(
    "kept",
    [
        f"# {LONG}",
        f"| a | b |\n|---|---|\n| {LONG} | x |",
        f"```python\n{LONG}\n```",
        f"    {LONG}",
        f"$$\n{LONG}\n$$",
        f"[{LONG}](https://doi.org/10.1000/1)",
        f"`{LONG}`",
        f"${LONG}$",
    ],
)
def test_what_may_not_be_broken_is_not(kept):
    assert wrapped(kept) == kept


def test_a_line_never_begins_with_what_would_be_markup():
    filler = "x" * (WIDTH - 2)
    for word in ("-", "+", "*", "1.", "1)", "#", ">", "=", "|"):
        text = f"{filler} {word} then more words"
        assert rendering(wrapped(text)) == rendering(text)
        assert not any(line.startswith(word) for line in wrapped(text).split("\n"))


def test_hard_breaks_and_quotations_stay():
    for text in (f"first  \nsecond {LONG}", f"first\\\nsecond {LONG}", f"> {LONG}\n> and more", f"- > {LONG}"):
        assert rendering(wrapped(text)) == rendering(text)
        assert max(map(len, wrapped(text).split("\n"))) <= WIDTH


@pytest.mark.parametrize("chapter", list(notebooks.chapters()))
def test_every_chapter_looks_as_before(chapter):
    for cell in json.loads(notebooks.chapters()[chapter].read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            new = wrapped(text)  # raises where the page would change
            assert rendering(new) == rendering(text)
            assert wrapped(new) == new


def test_a_notebook_is_wrapped_in_place_and_once(tmp_path):
    path = tmp_path / "98_my_chapter.ipynb"
    path.write_text(
        json.dumps({"cells": [{"cell_type": "markdown", "source": [LONG]}, {"cell_type": "code", "source": [LONG]}]})
    )
    assert wrap(path)
    assert not wrap(path)
    prose, code = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert "".join(prose["source"]) == wrapped(LONG)
    assert "".join(code["source"]) == LONG
