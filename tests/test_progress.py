"""Progress files: what exercises write, what marks make of honest and of hostile files."""

import csv
import json
import os

import pytest
from typer.testing import CliRunner

from medsr_course import cli
from medsr_course.runtime import CourseError
from medsr_course.teaching import exercises, progress
from medsr_course.teaching.exercises import _core

NAME = exercises.names()[0]


@pytest.fixture
def said(monkeypatch):
    heard = []
    monkeypatch.setattr(_core, "_say", lambda text, colour="": heard.append(text))
    return heard


def kernel(monkeypatch, there=True):
    shell = type("Shell", (), {"kernel": object() if there else None})()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)


def test_tries_are_counted_and_the_first_right_day_stays(tmp_path, monkeypatch, said):
    file = tmp_path / "new" / "progress.json"
    monkeypatch.setenv("MEDSR_RECORD", str(file))
    kernel(monkeypatch)
    exercise = exercises.find(NAME)
    exercises.check(NAME, lambda *args, **kwargs: None)
    assert not file.exists()  # not answered is not a try
    exercises.check(NAME, next(iter(exercise.mistakes.values())))
    assert progress.read(file).records[NAME] == progress.Record(1)
    exercises.check(NAME, exercise.reference)
    day = progress.read(file).records[NAME].right
    assert day
    exercises.check(NAME, next(iter(exercise.mistakes.values())))
    assert progress.read(file).records[NAME] == progress.Record(3, day)
    assert progress.read(file).solved == {NAME}
    assert "Not written" not in "".join(said)


def test_outside_a_notebook_and_with_0_nothing_is_recorded(tmp_path, monkeypatch, said):
    file = tmp_path / "progress.json"
    monkeypatch.setenv("MEDSR_RECORD", str(file))
    kernel(monkeypatch, there=False)
    exercises.check(NAME, exercises.find(NAME).reference)
    assert not file.exists()
    monkeypatch.setenv("MEDSR_RECORD", "0")
    kernel(monkeypatch)
    exercises.check(NAME, exercises.find(NAME).reference)
    assert progress.path() is None


def test_a_disk_that_refuses_does_not_hide_the_verdict(tmp_path, monkeypatch, said):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDSR_RECORD", str(tmp_path / "file" / "progress.json"))
    kernel(monkeypatch)
    exercises.check(NAME, exercises.find(NAME).reference)
    assert said[0].startswith(f"✓ {NAME}: right.")
    assert "Not written" in said[0]


def honest(folder, student, solved, tries=2):
    names = exercises.names()
    records = {name: progress.Record(tries, "2026-11-27" if k < solved else "") for k, name in enumerate(names)}
    progress.write(records, folder / f"{student}.json")


def body(**entry):
    return json.dumps({"format": progress.FORMAT, "exercises": {NAME: entry}})


HOSTILE = {
    "empty": "",
    "no-json": "{",
    "a-list": "[]",
    "another-format": '{"format": "x", "exercises": {}}',
    "no-exercises": json.dumps({"format": progress.FORMAT}),
    "deep": "[" * 100_000,
    "infinite": body(tries=float("inf"), right=""),
    "huge-number": body(tries=10**30, right=""),
    "too-many-digits": f'{{"format": 1{"0" * 10_000}}}',
    "a-true": body(tries=True, right=""),
    "a-fraction": body(tries=1.5, right=""),
    "no-day": body(tries=1, right="yesterday"),
    "formula-day": body(tries=1, right="=1+1"),
    "bytes": "ÿþ",
}


def test_marks_of_honest_and_hostile_files(tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    honest(folder, "anna", 3)
    honest(folder, "=cmd|calc", 1)
    for name, text in HOSTILE.items():
        (folder / f"x-{name}.json").write_bytes(text.encode("latin-1"))
    (folder / "x-large.json").write_text(" " * (progress.MOST_BYTES + 1))
    (folder / "x-folder.json").mkdir()
    (folder / "notes.txt").write_text("not a progress file")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "x-pipe.json")  # whoever opens it for reading waits for ever
        (folder / "x-link.json").symlink_to(folder / "anna.json")
    output = tmp_path / "marks.csv"
    done = CliRunner().invoke(cli.app, ["marks", str(folder), "--output", str(output)])
    assert done.exit_code == 1  # some could not be read
    with output.open(encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert rows["anna"]["solved"] == "3"
    assert rows["anna"]["tries"] == str(2 * len(exercises.names()))
    assert rows["'=cmd|calc"]["solved"] == "1"
    strange = {name: row for name, row in rows.items() if name.startswith("x-")}
    assert len(strange) >= len(HOSTILE) + 2
    assert all(row["trouble"] and row["solved"] == "0" for row in strange.values())
    assert "notes" not in rows
    assert all(ord(sign) >= 32 for row in rows.values() for value in row.values() for sign in value)


def test_exercises_that_nobody_knows_do_not_count(tmp_path):
    records = {f"99-invented-{k}": progress.Record(1, "2026-11-27") for k in range(50)}
    progress.write(records, tmp_path / "x.json")
    progress.table([progress.read(tmp_path / "x.json")], exercises.names(), tmp_path / "marks.csv")
    with (tmp_path / "marks.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["solved"], row["unknown"]) == ("0", "50")


def test_no_folder_and_no_file_are_one_line(tmp_path):
    with pytest.raises(CourseError, match="no folder"):
        progress.collect(tmp_path / "nowhere")
    with pytest.raises(CourseError, match=r"no \.json"):
        progress.collect(tmp_path)


def test_progress_on_the_command_line(tmp_path, monkeypatch):
    file, copy = tmp_path / "progress.json", tmp_path / "anna.json"
    monkeypatch.setenv("MEDSR_RECORD", str(file))
    progress.write({NAME: progress.Record(2, "2026-11-27")}, file)
    done = CliRunner().invoke(cli.app, ["progress", "--output", str(copy)])
    assert done.exit_code == 0
    assert f"✓ {NAME}  2 tries, right 2026-11-27" in done.stdout
    assert f"1 of {len(exercises.names())} solved" in done.stdout
    assert progress.read(copy).solved == {NAME}
    again = CliRunner().invoke(cli.app, ["progress", "--output", str(copy)])
    assert isinstance(again.exception, CourseError)
    file.write_text("{")
    assert "move it away" in str(CliRunner().invoke(cli.app, ["progress"]).exception)
