"""The notebook linter finds each departure it is there for."""

import json

import pytest
from conftest import ROOT

from tools import notebooks as tool


@pytest.fixture
def chapter(tmp_path):
    """``chapter(change)``: problems of the template after a change to its dict."""

    def lint(change=lambda nb: None, name="98_my_chapter.ipynb"):
        notebook = json.loads(tool._notebook("98", "My chapter"))
        change(notebook)
        path = tmp_path / name
        path.write_text(json.dumps(notebook))
        return tool.lint(path, ROOT / "book" / "references.bib")

    return lint


def cell(notebook, start):
    return next(c for c in notebook["cells"] if "".join(c["source"]).startswith(start))


def test_the_template_is_clean(chapter):
    assert chapter() == []


def set_source(start, text):
    return lambda nb: cell(nb, start).update(source=[text])


def add_after(start, kind, text, tags=()):
    def change(nb):
        place = nb["cells"].index(cell(nb, start)) + 1
        new = {"cell_type": kind, "id": "new", "metadata": {"tags": list(tags)}, "source": [text]}
        nb["cells"].insert(place, new | ({"outputs": [], "execution_count": None} if kind == "code" else {}))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_source("# 98", "# My chapter"), "does not begin with"),
        (set_source("# 98", "# 98 · My chapter"), "**Time:**"),
        (set_source("## In this", "## In this chapter you will\n\n- one\n- two"), "three to six promises"),
        (set_source("PROFILE", 'PROFILE = "smoke"'), "parameters cell"),
        (lambda nb: cell(nb, "subject").update(outputs=[{"output_type": "stream"}]), "outputs are committed"),
        (lambda nb: cell(nb, "subject").update(source=["x = 1\n"] * 16), "16 lines of code"),
        (set_source("subject", "y = " + "1 + " * 40 + "1"), "characters, at most 100"),
        (set_source("subject", "import os"), "outside the import cell"),
        (set_source("subject", "%matplotlib inline"), "not plain Python"),
        (set_source("subject", "plt.show()"), "has no place"),
        (add_after("subject", "code", "x = 1"), "no word between"),
        (lambda nb: cell(nb, "again")["metadata"].update(tags=[]), "no cell tagged failure"),
        (lambda nb: cell(nb, "error")["metadata"].update(tags=[]), "without the tag claim"),
        (set_source("error", "name = 'x'\nclaims.check(name, 1, at_least=0)"), "must be a literal"),
        (lambda nb: cell(nb, "def my_mean")["metadata"].update(tags=[]), "tagged exercise"),
        (set_source("def my_mean", "x = 1"), "a stub that returns None"),
        (lambda nb: cell(nb, "quizzes")["metadata"].update(tags=[]), "tagged quiz"),
        (set_source("## What you saw", "## The end"), 'no section "## What you saw"'),
        (set_source("claims.receipt", "pass"), "no claims.receipt()"),
        (
            set_source("## References", "## References\n\n- [x](https://doi.org/10.9999/none)"),
            "not in book/references.bib",
        ),
        (set_source("## References", "## References\n\nnone"), "hold no link"),
        (set_source("Drag", "```{note}\nx\n```\n:::{tip}\n:::"), "site-only directive"),
        (set_source("Drag", "<b>bold</b>"), "raw HTML"),
        (lambda nb: nb["cells"][0].pop("id"), "cell ids"),
        (lambda nb: cell(nb, "subject")["metadata"].update(tags=["fancy"]), "unknown tag"),
        (lambda nb: nb["metadata"]["kernelspec"].update(name="my-env"), "kernel is not python3"),
    ],
)
def test_each_departure_is_found(chapter, change, said):
    problems = chapter(change)
    assert any(said in p for p in problems), problems


def test_a_misnamed_file_is_found(chapter):
    assert any("is not NN_slug" in p for p in chapter(name="98-My Chapter.ipynb"))


def test_an_existing_chapter_is_not_overwritten(tmp_path):
    for folder in ("notebooks", "medsr_course/teaching/exercises", "medsr_course/teaching/quizzes"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "notebooks" / "98_other.ipynb").write_text("{}")
    with pytest.raises(SystemExit, match="exists already"):
        tool.new("98", "my_chapter", "My chapter", root=tmp_path)
    assert not (tmp_path / "medsr_course" / "teaching" / "exercises" / "ch98.py").exists()
