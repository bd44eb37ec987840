"""Every notebook: anatomy, a run in profile smoke, and a null run in which nothing learned holds."""

import json
import os

import pytest

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
