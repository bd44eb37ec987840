"""Everything the syllabus promises for a chapter that exists is done in a cell that can be named."""

import json
from collections import Counter

import pytest

from book import pages
from medsr_course.teaching import notebooks


@pytest.mark.parametrize("chapter", list(notebooks.chapters()))
def test_each_phrase_of_the_syllabus_has_its_cell(chapter):
    wanted = [row for row in pages.rows("coverage") if row["chapter"] == chapter]
    cells = json.loads(notebooks.chapters()[chapter].read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    sources += [" ".join(text.split()) for text in sources]  # prose is wrapped
    missing = [row["phrase"] for row in wanted if not row["where"] or not any(row["where"] in text for text in sources)]
    assert wanted, f"book/coverage.csv has no row for chapter {chapter}"
    assert missing == [], "name a text that stands in the cell, in the column 'where' of book/coverage.csv"


def test_no_phrase_stands_twice():
    seen = Counter((row["chapter"], row["phrase"]) for row in pages.rows("coverage"))
    assert [entry for entry, count in seen.items() if count > 1] == []
