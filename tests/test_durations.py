"""Profile "full" says how long it will take before it begins."""

import json
import os

import pytest

from medsr_course import resources, runtime
from medsr_course.teaching import durations, notebooks


@pytest.mark.parametrize("chapter", notebooks.chapters())
def test_every_chapter_can_be_told(chapter):
    assert durations.at_most(chapter, 100).startswith("PROFILE full: ")


def test_the_longest_training_sets_the_bound():
    source = notebooks.chapters()["09"]
    assert max(durations.ratios(source)) == 50  # 40,000 steps for 800
    assert "up to 50 times as many steps" in durations.at_most("09", 300)
    assert "Lesson took 5 minutes here, so expect up to 4.2 hours" in durations.at_most("09", 300)
    assert durations.at_most("99") == ""


def test_what_this_machine_measured_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    assert "Lesson may take 6 minutes on two cores" in durations.at_most("09")
    for age, seconds in ((200, 900.0), (100, 30.0)):
        facts = tmp_path / "executed" / f"09-lesson-{age}" / "facts.json"
        facts.parent.mkdir(parents=True)
        facts.write_text(json.dumps({"seconds": seconds}))
        os.utime(facts, (1e9 - age, 1e9 - age))
    assert durations.measured("09") == 30
    assert "Lesson took 30 s here, so expect up to 25 minutes" in durations.at_most("09")


def test_a_notebook_says_it_in_profile_full_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    monkeypatch.setenv("JPY_SESSION_NAME", str(resources.checkout() / "notebooks" / "09_cnn_super_resolution.ipynb"))
    try:
        runtime.start("lesson")
        assert capsys.readouterr().out == ""
        runtime.start("full")
        assert "up to 50 times" in capsys.readouterr().out
        monkeypatch.setenv("JPY_SESSION_NAME", "Untitled.ipynb")
        runtime.start("full")
        assert capsys.readouterr().out == ""
    finally:
        runtime.start("lesson")
