"""Every notebook: anatomy, a run in profile smoke, and a null run in which nothing learned holds."""

import errno
import json
import os
from pathlib import Path

import pytest

from medsr_course import runtime
from medsr_course.teaching import claims, notebooks
from tools.notebooks.lint import lint

CHAPTERS = notebooks.chapters()
# A worker of its own for each chapter: what runs it twice finds the executed copy.
EACH = pytest.mark.parametrize(
    "chapter", [pytest.param(c, marks=pytest.mark.xdist_group(f"chapter-{c}")) for c in CHAPTERS]
)


@pytest.fixture(autouse=True)
def one_thread_each(monkeypatch):
    """Two notebooks run at a time on two cores; two greedy ones would only hinder each other."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "1")


@EACH
def test_anatomy(chapter):
    assert lint(CHAPTERS[chapter]) == []


@pytest.mark.notebook
@EACH
def test_runs_and_every_claim_holds(chapter):
    done = notebooks.execute(chapter, "smoke", timeout=300)
    assert done.error == ""
    rows = claims.collect(done.path, CHAPTERS[chapter])
    assert rows
    assert [row for row in rows if row["ok"] is False] == []
    open_ = [row["claim"] for row in rows if row["ok"] is None]
    if "real" in os.environ.get("MEDSR_REQUIRE", ""):
        assert open_ == [], "real scans are required here, and these claims were left open"
    assert loud_outputs(done.path) == []


@pytest.mark.notebook
@EACH
def test_null_run_fails_what_needs_learning(chapter, monkeypatch):
    """With nothing learned, ``learned`` claims are false and all the others hold as before."""
    monkeypatch.setenv("MEDSR_NULL", "1")
    done = notebooks.execute(chapter, "smoke", timeout=300)
    assert done.error == ""
    rows = claims.collect(done.path, CHAPTERS[chapter])
    assert [r["claim"] for r in rows if r["kind"] == "missing"] == []
    assert [r["claim"] for r in rows if r["kind"] == "learned" and r["ok"]] == []
    assert [r["claim"] for r in rows if r["kind"] in ("physics", "invariant") and r["ok"] is False] == []


def loud_outputs(path):
    """What an executed notebook wrote to stderr, and warnings it shows."""
    found = []
    for k, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        for output in cell.get("outputs", []):
            text = "".join(output.get("text", ""))
            if output.get("name") == "stderr" or "Warning" in text:
                found.append((k, text[:300]))
    return found


@pytest.fixture
def halves(tmp_path, monkeypatch):
    """A course whose chapter 02 is in two halves, and what is executed of it, in order."""
    for name in ("02b_more", "01_first", "02_half", "12_last", "A1_appendix", "A1b_more"):
        source = 'claims.check("c", 1, at_least=0)'
        cells = [{"cell_type": "code", "metadata": {"tags": ["claim"]}, "source": source, "outputs": []}]
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))
    executed = []

    def execute(chapter, profile, fresh):
        executed.append(chapter)
        return notebooks.Executed(chapter, notebooks.chapters()[chapter], 1.0, 2.0, "", False)

    monkeypatch.setattr(notebooks, "folder", lambda: tmp_path)
    monkeypatch.setattr(notebooks, "execute", execute)
    return executed


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["02"], ["02", "02b"]),
        (["2"], ["02", "02b"]),
        (["02b"], ["02b"]),
        (["2b"], ["02b"]),
        (["12", "1"], ["01", "12"]),
        (["A1"], ["A1", "A1b"]),
        (["A1b"], ["A1b"]),
        ([], ["01", "02", "02b", "12", "A1", "A1b"]),
    ],
)
def test_a_number_asks_for_both_halves_of_a_chapter(halves, wanted, chosen):
    assert list(notebooks.select(wanted)) == chosen


@pytest.mark.parametrize("wrong", ["3", "02a", "2c", "002", "", "[0-9]"])
def test_a_chapter_that_is_not_there_is_named(halves, wrong):
    with pytest.raises(runtime.CourseError, match=r"there is no chapter .*; there are: 01, 02, 02b, 12, A1, A1b"):
        notebooks.select(["1", wrong])


def test_a_run_tells_where_it_stands_and_keeps_whole_tables(halves, tmp_path):
    out = tmp_path / "out"
    told = []
    for at in notebooks.run(["02"], "smoke", out):
        told.append((at.chapter, at.total, at.done is not None, len(at.claims)))
    assert told == [("02", 2, False, 0), ("02", 2, True, 1), ("02b", 2, False, 0), ("02b", 2, True, 1)]
    assert halves == ["02", "02b"]
    rows = json.loads((out / "claims.json").read_text(encoding="utf-8"))
    assert [(row["chapter"], row["claim"], row["ok"]) for row in rows] == [("02", "c", False), ("02b", "c", False)]
    timings = json.loads((out / "timings.json").read_text(encoding="utf-8"))
    assert [row["chapter"] for row in timings] == ["02", "02b"]
    assert sorted(p.name for p in out.glob("*.ipynb")) == ["02_half.ipynb", "02b_more.ipynb"]


def test_two_runs_do_not_write_into_one_folder(halves, tmp_path):
    first = notebooks.run(["01"], "smoke", tmp_path / "out")
    next(first)
    with pytest.raises(runtime.CourseError, match="another run writes into .*--output"):
        next(notebooks.run(["12"], "smoke", tmp_path / "out"))
    assert not (tmp_path / "out" / "claims.json").exists()
    list(first)
    assert len(list(notebooks.run(["12"], "smoke", tmp_path / "out"))) == 2


def test_a_kept_copy_is_used_again_and_the_log_tells(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    chapter, source = next(iter(CHAPTERS.items()))
    store = tmp_path / "executed" / f"{chapter}-smoke-{notebooks._key(source, 'smoke')}"
    store.mkdir(parents=True)
    (store / source.name).write_text("{}")
    (store / "facts.json").write_text('{"seconds": 1.5, "peak_mib": 2, "error": ""}')
    with caplog.at_level("INFO", logger="medsr_course"):
        done = notebooks.execute(chapter, "smoke")
    assert done == notebooks.Executed(chapter, store / source.name, 1.5, 2, "", reused=True)
    assert str(store) in caplog.text


def test_a_failed_fresh_run_does_not_leave_its_copy_as_a_valid_one(tmp_path, monkeypatch):
    import papermill

    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    chapter = next(iter(CHAPTERS))
    monkeypatch.setattr(papermill, "execute_notebook", lambda source, target, *_, **__: target.write_text("{}"))
    assert not notebooks.execute(chapter, "smoke").reused
    assert notebooks.execute(chapter, "smoke").reused

    def slow(source, target, *_, **__):
        target.write_text("{}")
        raise TimeoutError

    monkeypatch.setattr(papermill, "execute_notebook", slow)
    assert "longer than" in notebooks.execute(chapter, "smoke", fresh=True).error
    assert not notebooks.execute(chapter, "smoke").reused


def test_a_folder_that_cannot_be_written_is_found_out_first(halves, tmp_path, monkeypatch):
    def read_only(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(runtime.tempfile, "TemporaryFile", read_only)
        with pytest.raises(runtime.CourseError, match=r"cannot write to .*--output"):
            next(notebooks.run(["01"], "smoke", tmp_path / "out"))
    (tmp_path / "other" / "claims.json").mkdir(parents=True)
    for place in (tmp_path / "other", tmp_path):  # the second one is where the chapters are
        with pytest.raises(runtime.CourseError, match="choose another --output"):
            next(notebooks.run(["01"], "smoke", place))
    assert halves == []


def test_a_disk_that_fills_up_while_a_chapter_runs_costs_nothing_written_before(halves, tmp_path, monkeypatch):
    list(notebooks.run(["01"], "smoke", tmp_path / "out"))
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    again = notebooks.run(["01"], "smoke", tmp_path / "out")
    next(again)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(runtime.CourseError, match=r"No space left.*--output"):
        next(again)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_in_the_output_folder_is_replaced_and_not_followed(halves, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").write_text("mine")
    for name in ("claims.json", "01_first.ipynb"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "victim")
    list(notebooks.run(["01"], "smoke", tmp_path / "out"))
    assert (tmp_path / "victim").read_text() == "mine"


def test_the_kernel_is_given_full_paths(tmp_path, monkeypatch):
    """It works in the folder of the chapters, where a relative MEDSR_CACHE would be another one."""
    import papermill

    seen = {}

    def stand_in(source, target, *args, **options):
        seen.update({name: os.environ.get(name) for name in runtime.FOLDER_SETTINGS})
        target.write_text("{}")

    monkeypatch.setattr(papermill, "execute_notebook", stand_in)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    monkeypatch.setenv("MEDSR_CACHE", "cache")
    monkeypatch.setenv("MEDSR_REAL_DATA", "real")
    done = notebooks.execute(next(iter(CHAPTERS)), "smoke", fresh=True)
    assert done.path.is_relative_to(tmp_path / "cache")
    assert seen == {"MEDSR_CACHE": str(tmp_path / "cache"), "MEDSR_REAL_DATA": str(tmp_path / "real")}
    assert os.environ["MEDSR_CACHE"] == "cache"


def test_an_executed_copy_belongs_to_the_data_it_saw(tmp_path, monkeypatch):
    """A claim left open where there were no real scans is measured once there are some."""
    source = next(iter(CHAPTERS.values()))
    keys = [notebooks._key(source, "smoke")]
    monkeypatch.setattr(notebooks.datasets, "real_folder", lambda: tmp_path)
    keys.append(notebooks._key(source, "smoke"))
    monkeypatch.setenv("MEDSR_NULL", "1")
    keys.append(notebooks._key(source, "smoke"))
    assert len(set(keys)) == 3
    assert notebooks._key(source, "lesson") not in keys


@pytest.mark.parametrize(
    ("changed", "other"), [("quizzes/ch05.py", False), ("quizzes/ch04.py", True), ("claims.py", False)]
)
def test_an_executed_copy_outlives_what_only_other_chapters_use(monkeypatch, changed, other):
    before, read = notebooks._key(CHAPTERS["05"], "smoke"), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * p.as_posix().endswith(f"teaching/{changed}"))
    assert (notebooks._key(CHAPTERS["05"], "smoke") == before) == other
