"""The command ``medsr``, as a reader types it."""

import errno
import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

from medsr_course import runtime


def medsr(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "medsr_course", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        env=dict(os.environ, PYTHONIOENCODING="utf-8", **environment),
    )


def one_line_error(done):
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert 1 <= len(lines) <= 2
    return done.stderr


def test_doctor_json():
    done = medsr("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["ok"] is True
    assert {"Python", "Core packages", "Keras", "Trained networks", "Cache"} <= {f["what"] for f in found["findings"]}
    assert all(f["remedy"] for f in found["findings"] if f["status"] == "problem")


def test_doctor_names_the_remedy_where_something_is_wrong(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = medsr("doctor", MEDSR_CACHE=str(blocked))
    assert done.returncode == 1
    assert "✗ Cache" in done.stdout
    assert "MEDSR_CACHE" in done.stdout


@pytest.mark.notebook
@pytest.mark.xdist_group("chapter-05")
def test_run_writes_claims_and_timings(tmp_path):
    done = medsr("run", "05", "--profile", "smoke", "--output", str(tmp_path / "out"))
    rows = json.loads((tmp_path / "out" / "claims.json").read_text(encoding="utf-8"))
    timings = json.loads((tmp_path / "out" / "timings.json").read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows
    assert all(set(row) >= {"chapter", "claim", "kind", "value", "bound", "ok"} for row in rows)
    assert all(row["ok"] is not False for row in rows)
    assert timings[0]["chapter"] == "05"
    assert timings[0]["seconds"] > 0
    assert timings[0]["peak_mib"] > 50
    assert list((tmp_path / "out").glob("05_*.ipynb"))


@pytest.mark.notebook
@pytest.mark.xdist_group("chapter-05")
def test_null_run_fails(tmp_path):
    done = medsr("run", "05", "--profile", "smoke", "--output", str(tmp_path), MEDSR_NULL="1")
    rows = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert done.returncode == 1
    learned = [row for row in rows if row["kind"] == "learned"]
    assert learned
    assert not any(row["ok"] for row in learned)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "77"), "there is no chapter 77"),
        (("run", "05", "--profile", "quick"), "choose one of smoke, lesson, full"),
        (("data", "make", "brains"), "medsr data make cohort"),
        (("data", "get", "nonsense"), "nonsense"),
    ],
)
def test_mistakes_are_one_line(words, said, tmp_path):
    assert said in one_line_error(medsr(*words, MEDSR_CACHE=str(tmp_path)))


def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert "--output" in one_line_error(medsr("run", "05", "--output", str(tmp_path / "file" / "out")))


def test_help_tells_the_exit_codes():
    done = medsr("--help")
    assert done.returncode == 0
    told = [line.split(maxsplit=1)[0] for line in done.stdout.split("Exit codes:")[1].strip().splitlines()]
    assert told == ["0", "1", "2", "3", "4", "5", "130"]
    assert medsr("run", "--nonsense").returncode == 2


def test_verbose_tells_what_is_made_and_found_again(tmp_path):
    words = ("data", "make", "cohort", "--subjects", "1")
    told = medsr("--verbose", *words, MEDSR_CACHE=str(tmp_path), MEDSR_PROGRESS="0")
    assert told.returncode == 0
    assert "medsr_course.scans" in told.stderr
    assert str(tmp_path) in told.stderr
    silent = medsr(*words, MEDSR_CACHE=str(tmp_path))
    assert "already" in silent.stdout
    assert silent.stderr == ""


def test_data_list_names_licences():
    done = medsr("data", "list")
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("mni152", "cohort", "ds002748"))
    assert "CC0" in done.stdout


def test_clean_leaves_what_is_not_the_courses(tmp_path):
    (tmp_path / "executed").mkdir()
    (tmp_path / "executed" / "x").write_text("x")
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "srcnn-x2.npz").write_text("half")
    (tmp_path / "mine.txt").write_text("mine")
    done = medsr("data", "clean", "--yes", MEDSR_CACHE=str(tmp_path))
    assert done.returncode == 0
    assert "executed, training" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert "holds nothing" in medsr("data", "clean", "--yes", MEDSR_CACHE=str(tmp_path)).stdout


def test_clean_knows_every_folder_of_the_cache():
    """What the package and its tools keep in the cache, is freed."""
    sources = [p for folder in ("medsr_course", "tools") for p in (ROOT / folder).rglob("*.py")]
    named = {name for p in sources for name in re.findall(r'cache_dir\(\) / "(\w+)"', p.read_text(encoding="utf-8"))}
    assert named == set(runtime.CACHED)


def test_a_full_disk_is_one_line_whatever_is_written(monkeypatch, capsys):
    from medsr_course import cli

    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/file")

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("medsr: no space left on the disk of /somewhere/file")
    assert len(said.splitlines()) == 1
