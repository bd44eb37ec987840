"""The notebook linter finds each departure it is there for."""

import json

import pytest
from conftest import ROOT

from tools.notebooks import new
from tools.notebooks.lint import EXERCISES, lint


@pytest.fixture
def chapter(tmp_path):
    """``chapter(change)``: problems of the template after a change to its dict."""

    def problems(change=lambda nb: None, name="98_my_chapter.ipynb"):
        notebook = json.loads(new.filled("notebook.ipynb", "98", "My chapter"))
        change(notebook)
        path = tmp_path / name
        path.write_text(json.dumps(notebook))
        return lint(path, ROOT / "book" / "references.bib")

    return problems


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
        (lambda nb: cell(nb, f"{EXERCISES}\n\ndef my_mean")["metadata"].update(tags=[]), "tagged exercise"),
        (set_source(f"{EXERCISES}\n\ndef my_mean", f"{EXERCISES}x = 1"), "a stub that returns None"),
        (set_source(f"{EXERCISES}\n\ndef my_mean", "def my_mean(x):\n    return None"), "an exercise begins with"),
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
        (set_source("subject", "x.append(1), y.append(2)"), "several things in one expression"),
        (set_source("subject", "ax.plot(x) if len(x) else None"), "several things in one expression"),
        (set_source("subject", "f = lambda x, k=k: x + k"), "a lambda with a default"),
        (set_source("subject", "def f(x, k=k):\n    return x + k"), "f keeps a variable in a default"),
        (set_source("subject", "rows = [[x for x in row] for row in table]"), "a comprehension inside"),
        (set_source("subject", "best = max(min(x for x in row) for row in table)"), "a comprehension inside"),
        (set_source("subject", "xs = [x for row in table for x in row]"), "a comprehension with several for"),
        (set_source("subject", "if (n := len(x)) > 1:\n    print(n)"), "inside an expression"),
        (set_source("subject", "y = 1 if a else 2 if b else 3"), "a condition inside a condition"),
        (set_source("subject", "import keras"), "medsr_course.networks.framework"),
        (set_source("subject", "with runtime.hushed():\n    pass"), "medsr_course.networks.framework"),
    ],
)
def test_each_departure_is_found(chapter, change, said):
    problems = chapter(change)
    assert any(said in p for p in problems), problems


@pytest.mark.parametrize(
    "plain",
    [
        "f = lambda x: x + 1",
        "def f(x, k=3):\n    return x + k",
        "rows = [f(row) for row in table]",
        "x.append(1)\ny.append(2)",
        "y = 1 if a else 2",
    ],
)
def test_plain_code_passes(chapter, plain):
    assert chapter(set_source("subject", plain)) == []


def test_a_question_stands_right_before_the_cell_that_answers_it(chapter):
    def change(nb):
        add_after("subject", "code", "x = 1")(nb)
        cell(nb, "subject")["metadata"]["tags"] = ["predict"]

    assert chapter(change) == []


def test_two_for_pass_in_a_long_cell(chapter):
    def change(nb):
        cell(nb, "subject")["metadata"]["tags"] = ["long"]
        set_source("subject", "xs = [x for row in table for x in row]")(nb)

    assert chapter(change) == []


def test_unwrapped_prose_is_found_once_the_rule_is_on(chapter, monkeypatch):
    wide = set_source("Drag", "word " * 40)
    monkeypatch.setattr("tools.notebooks.lint.WRAPPED", False)
    assert chapter(wide) == []
    monkeypatch.setattr("tools.notebooks.lint.WRAPPED", True)
    assert chapter() == []
    assert any("not wrapped at 100" in p for p in chapter(wide))


def test_a_misnamed_file_is_found(chapter):
    assert any("is not NN_slug" in p for p in chapter(name="98-My Chapter.ipynb"))


@pytest.mark.parametrize(("number", "before"), [("02b", "02_b"), ("98", "05_e"), ("A1", "98_z")])
def test_a_chapter_finds_its_place_in_the_contents(tmp_path, number, before):
    names = ["01_a", "02_b", "03_c", "05_e", *(["98_z"] if number == "A1" else [])]
    for folder in ("notebooks", "book", "medsr_course/teaching/exercises", "medsr_course/teaching/quizzes"):
        (tmp_path / folder).mkdir(parents=True)
    contents = tmp_path / "book" / "_toc.yml"
    contents.write_text("".join(f"  - file: chapters/{name}\n" for name in names))
    new.new(number, "my_chapter", "My chapter", root=tmp_path)
    listed = [line.split("/")[1] for line in contents.read_text().splitlines()]
    assert listed.index(f"{number}_my_chapter") == listed.index(before) + 1
    assert lint(tmp_path / "notebooks" / f"{number}_my_chapter.ipynb", ROOT / "book" / "references.bib") == []


def test_an_existing_chapter_is_not_overwritten(tmp_path):
    for folder in ("notebooks", "medsr_course/teaching/exercises", "medsr_course/teaching/quizzes"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "notebooks" / "98_other.ipynb").write_text("{}")
    with pytest.raises(SystemExit, match="exists already"):
        new.new("98", "my_chapter", "My chapter", root=tmp_path)
    assert not (tmp_path / "medsr_course" / "teaching" / "exercises" / "ch98.py").exists()
