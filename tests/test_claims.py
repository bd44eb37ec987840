"""Claims: what they record, when they hold, and that a missing one is found."""

import errno
import json
import math
import os

import pytest

from medsr_course import runtime
from medsr_course.teaching import claims


@pytest.fixture(autouse=True)
def fresh():
    runtime.start("smoke", 0)
    yield
    runtime.start("lesson", 0)


def test_bounds_are_inclusive_and_both_sides_count():
    assert claims.check("a", 1.0, at_least=1.0).ok
    assert not claims.check("b", 0.999, at_least=1.0).ok
    assert claims.check("c", 2.0, at_least=1, at_most=2).ok
    assert not claims.check("d", 2.1, at_least=1, at_most=2).ok


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_fails(value):
    assert not claims.check("x", value, at_least=-1e300, at_most=None).ok
    failed = claims.check("y", value, at_most=1e300)
    assert not failed.ok
    json.dumps(failed._repr_mimebundle_(), allow_nan=False)  # what a kernel sends


def test_bound_of_the_profile():
    bound = {"smoke": 0.1, "lesson": 5.0, "full": 9.0}
    assert claims.check("x", 1.0, at_least=bound).ok
    runtime.start("lesson")
    assert not claims.check("x", 1.0, at_least=bound).ok


def test_a_claim_needs_a_bound_and_a_known_kind():
    with pytest.raises(ValueError, match="needs a bound"):
        claims.check("x", 1)
    with pytest.raises(ValueError, match="kind must be"):
        claims.check("x", 1, at_least=0, kind="hope")


def notebook(tmp_path, *cells):
    rows = [
        {"cell_type": "code", "metadata": {"tags": ["claim"]}, "source": s, "outputs": o, "execution_count": None}
        for s, o in cells
    ]
    path = tmp_path / "07_x.ipynb"
    path.write_text(json.dumps({"cells": rows, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def recorded(claim):
    return [{"output_type": "display_data", "metadata": {}, "data": claim._repr_mimebundle_()}]


def test_collect_finds_what_was_recorded_and_what_is_missing(tmp_path):
    made = claims.check("made", 2, at_least=1, kind="physics")
    path = notebook(
        tmp_path,
        ('claims.check("made", 2, at_least=1, kind="physics")', recorded(made)),
        ('x = 1\nclaims.check(\n    "missing",\n    x, at_least=1)', []),
    )
    rows = {row["claim"]: row for row in claims.collect(path)}
    assert rows["made"]["ok"] is True
    assert rows["made"]["chapter"] == "07"
    assert set(rows["made"]) >= {"chapter", "claim", "kind", "value", "bound", "ok"}
    assert rows["missing"]["ok"] is False


def test_a_value_that_is_missing_needs_a_reason():
    assert claims.check("c", None, at_least=1, why="needs PyTorch").ok is None
    with pytest.raises(ValueError, match="why"):
        claims.check("c", None, at_least=1)


def test_a_skipped_claim_is_neither_true_nor_false(tmp_path):
    left = claims.skip("on real scans", "no real scans here")
    row = claims.collect(notebook(tmp_path, ('claims.skip("on real scans", "…")', recorded(left))))[0]
    assert row["ok"] is None
    assert row["why"] == "no real scans here"


def test_steps_are_zero_in_a_null_run(monkeypatch):
    assert runtime.steps(smoke=3, lesson=30, full=300) == 3
    monkeypatch.setenv("MEDSR_NULL", "1")
    assert runtime.steps(smoke=3, lesson=30, full=300) == 0


def test_random_numbers_depend_on_seed_and_purpose():
    first = runtime.rng("noise", 1).random()
    assert first != runtime.rng("noise", 2).random()
    runtime.start("smoke", 1)
    assert first != runtime.rng("noise", 1).random()


def test_unknown_profile_is_one_clear_line():
    with pytest.raises(runtime.CourseError, match="choose one of smoke, lesson, full"):
        runtime.start("quick")


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    with runtime.atomic_write(path) as part:
        part.write_text("old")
        assert not path.exists()

    def interrupted():
        with runtime.atomic_write(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    with runtime.atomic_write(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_file_under_way_has_a_name_nobody_can_foresee(tmp_path):
    with runtime.atomic_write(tmp_path / "x") as one, runtime.atomic_write(tmp_path / "x") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "x").read_text() == "one"


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, where):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    def write():
        with runtime.atomic_write(path) as part:
            part.write_text("new")

    monkeypatch.setattr(os, where, full)
    with pytest.raises(OSError, match="No space left"):
        write()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_relative_cache_is_one_folder_for_all(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSR_CACHE", "cache")
    monkeypatch.setenv("MEDSR_REAL_DATA", "scans")
    assert runtime.cache_dir() == tmp_path / "cache"
    assert runtime.folder_settings() == {
        "MEDSR_CACHE": str(tmp_path / "cache"),
        "MEDSR_REAL_DATA": str(tmp_path / "scans"),
    }
    with pytest.raises(runtime.CourseError, match="give the full path"):
        runtime.start("smoke")  # in a notebook that JupyterLab runs: nobody made it absolute


def test_without_a_home_the_cache_must_be_named(monkeypatch):
    for variable in ("HOME", "MEDSR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(runtime.CourseError, match="no home folder.*MEDSR_CACHE"):
        runtime.cache_dir()
    monkeypatch.setenv("MEDSR_CACHE", "~/cache")
    with pytest.raises(runtime.CourseError, match="no home folder: give the full path"):
        runtime.cache_dir()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no such thing here")
def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic link"), runtime.locked(tmp_path / ".lock"):
        pass
    assert not (tmp_path / "victim").exists()
