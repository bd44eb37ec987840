"""course.py: what a reader with a bare machine types first."""

import os
import shutil
import subprocess
import sys
import threading
import time
import types
from collections import namedtuple
from pathlib import Path

import pytest
from conftest import ROOT

import course as script

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The script, as if its checkout were an empty folder."""
    module = script
    for name, value in {
        "ROOT": str(tmp_path),
        "VENV": str(tmp_path / ".venv"),
        "PYTHON": str(tmp_path / ".venv" / "bin" / "python"),
        "LOCK": str(tmp_path / "requirements.lock"),
        "STAMP": str(tmp_path / ".venv" / "medsr-installed"),
        "TURN": str(tmp_path / ".setup.lock"),
    }.items():
        monkeypatch.setattr(module, name, value)
    (tmp_path / "requirements.lock").write_text("nothing")
    (tmp_path / "pyproject.toml").write_text("")
    return module


def test_only_the_standard_library():
    text = (ROOT / "course.py").read_text()
    imported = {line.split()[1] for line in text.splitlines() if line.strip().startswith("import ")}
    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)


def test_usage_names_every_command(course, capsys):
    assert course.main(["nonsense"]) == 2
    said = capsys.readouterr().out
    assert all(name in said for name in ("lab", "test", "book", "bench", "weights"))


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0), (2, 7, 18)])
def test_python_outside_the_range_is_one_line(course, version, monkeypatch, capsys):
    monkeypatch.setattr(course.sys, "version_info", version)
    monkeypatch.setattr(course.shutil, "which", lambda name: None)
    try:
        code = course.main(["lab"])
    finally:
        monkeypatch.undo()
    assert code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"Python {version[0]}.{version[1]}" in line
    assert "3.11 to 3.13" in line


def test_a_supported_python_elsewhere_is_used(course, monkeypatch):
    monkeypatch.setattr(course.sys, "version_info", (3, 10, 4))
    monkeypatch.setattr(course.shutil, "which", lambda name: "/x/python3.12" if name == "python3.12" else None)
    called = []
    monkeypatch.setattr(course.subprocess, "call", lambda words: called.append(words) or 7)
    with pytest.raises(SystemExit) as stop:
        course.use_supported_python(["lab", "--no-browser"])
    assert stop.value.code == 7
    assert called[0][0] == "/x/python3.12"
    assert called[0][2:] == ["lab", "--no-browser"]


def test_no_venv_module_is_one_line(course, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert course.main(["lab"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "python3-venv" in line


def test_no_disk_space_is_one_line_and_nothing_is_made(course, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(course.shutil, "disk_usage", lambda folder: Usage(10**12, 10**12, 10**8))
    assert course.main(["lab"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "0.1 GiB free" in line
    assert not (tmp_path / ".venv").exists()


def failing_pip(course, monkeypatch, message):
    process = types.SimpleNamespace(stderr=iter([message + "\n"]), wait=lambda: 1)
    monkeypatch.setattr(course.subprocess, "Popen", lambda *args, **kwargs: process)
    with pytest.raises(course.SetupError) as failure:
        course.pip(sys.executable, "install", "x")
    return str(failure.value)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("NewConnectionError: Failed to establish a new connection", "check the network"),
        ("ERROR: No matching distribution found for numpy==9", "check the network"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "the disk filled up"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES: hash mismatch", "wrong hash"),
        ("ERROR: something else entirely", "something else entirely"),
    ],
)
def test_pip_failures_are_put_into_words(course, monkeypatch, message, said):
    assert said in failing_pip(course, monkeypatch, message)


def test_no_network_for_real(course, tmp_path):
    """pip itself, told to ask a port where nobody answers."""
    environment = dict(
        os.environ, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0", PIP_CONFIG_FILE=os.devnull
    )
    environment.pop("PIP_FIND_LINKS", None)
    code = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport course as m\n"
        "try:\n m.pip(sys.executable, 'download', '-d', '.', 'surely-not-there')\n"
        "except m.SetupError as e:\n print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert "check the network" in done.stdout, done.stderr


def test_set_up_runs_once_and_again_when_the_lock_changes(course, monkeypatch, tmp_path):
    steps = []
    monkeypatch.setattr(course, "pip", lambda *words: steps.append("pip"))
    monkeypatch.setattr(course, "make_environment", lambda: (tmp_path / ".venv").mkdir(exist_ok=True))
    monkeypatch.setattr(course.subprocess, "call", lambda *a, **k: 0)
    monkeypatch.setattr(course.subprocess, "run", lambda *a, **k: types.SimpleNamespace(returncode=0, stderr=""))
    course.set_up()
    assert steps == ["pip", "pip"]
    course.set_up()
    assert steps == ["pip", "pip"]
    Path(course.LOCK).write_text("something newer")
    course.set_up()
    assert len(steps) == 4


def test_an_interrupted_set_up_is_not_taken_for_a_finished_one(course, monkeypatch, tmp_path, capsys):
    def interrupted(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr(course, "make_environment", lambda: (tmp_path / ".venv").mkdir())
    monkeypatch.setattr(course, "pip", interrupted)
    assert course.main(["lab"]) == 130
    assert course.stamp() is None
    assert "goes on from here" in capsys.readouterr().err


def test_two_set_ups_at_once_install_once(course, monkeypatch, tmp_path, capsys):
    inside, most = [], []

    def pip(*words):
        inside.append(words)
        most.append(len(inside))
        time.sleep(0.3)
        inside.remove(words)

    monkeypatch.setattr(course, "pip", pip)
    monkeypatch.setattr(course, "make_environment", lambda: (tmp_path / ".venv").mkdir(exist_ok=True))
    monkeypatch.setattr(course.subprocess, "call", lambda *a, **k: 0)
    monkeypatch.setattr(course.subprocess, "run", lambda *a, **k: types.SimpleNamespace(returncode=0, stderr=""))
    threads = [threading.Thread(target=course.set_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1]  # the lock's packages and the course, each once
    assert course.stamp() == course.fingerprint()
    assert capsys.readouterr().out.count("waiting") == 1


def test_a_killed_set_up_leaves_no_lock_behind(course, tmp_path):
    code = (
        f"import os, sys\nsys.path.insert(0, {str(ROOT)!r})\nimport course\n"
        f"course.TURN = {course.TURN!r}\nwith course.turn():\n print('in', flush=True)\n os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "in\n"
    with course.turn():
        pass


def test_a_folder_that_cannot_be_written_is_one_line(course, monkeypatch, capsys):
    monkeypatch.setattr(course, "TURN", os.path.join(course.ROOT, "nowhere", ".setup.lock"))
    assert course.main(["lab"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "writable" in line


def test_packages_of_the_readers_own_path_do_not_come_in(course, monkeypatch, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("numpy.py", "pip.py", "sitecustomize.py"):
        (foreign / name).write_text("raise SystemExit(9)")
    monkeypatch.setenv("PYTHONPATH", str(foreign))
    monkeypatch.setenv("PYTHONHOME", str(foreign))
    monkeypatch.setattr(course, "PYTHON", sys.executable)
    monkeypatch.setattr(course, "VENV", sys.prefix)
    assert course.run_python("-c", "import numpy, os; assert 'PYTHONPATH' not in os.environ") == 0
    assert course.environment_works()
    course.pip(sys.executable, "list")
    assert os.environ["PYTHONPATH"] == str(foreign)


def test_lab_arguments_are_passed_on(course, monkeypatch):
    monkeypatch.setenv("LAB_ARGS", '--no-browser --port=8899 --x="a b"')
    said = []
    monkeypatch.setattr(course, "run_python", lambda *words: said.extend(words) or 0)
    course.lab([])
    assert said[-3:] == ["--no-browser", "--port=8899", "--x=a b"]
    assert os.path.join("notebooks", "00_start_here.ipynb") in said


def test_lab_makes_the_cohort_first_where_asked(course, monkeypatch, capsys):
    monkeypatch.setattr(course, "run_python", lambda *words: said.append(words) or 0)
    said = []
    course.lab(["--cohort", "--no-browser"])
    assert said[0][-2:] == ("make", "cohort")
    assert said[1][-1] == "--no-browser"
    assert "--cohort" not in said[1]
    course.lab([])
    assert "lab --cohort" in capsys.readouterr().out
    monkeypatch.setattr(course, "run_python", lambda *words: 1)  # no room on the disk
    assert course.lab(["--cohort"]) == 1


def test_kernel_is_that_of_this_environment():
    """The kernel that notebooks start in has this environment's prefix."""
    from jupyter_client.manager import run_kernel

    with run_kernel(kernel_name="python3") as client:
        answers = []
        client.execute_interactive(
            "import sys; print(sys.prefix)",
            timeout=60,
            output_hook=lambda m: answers.append(m["content"].get("text", "")),
        )
    assert "".join(answers).strip() == sys.prefix


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_without_variables_asks_for_the_defaults(tmp_path):
    """Make hands on variables that nobody set as empty ones."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "course.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport course as m\n"
        "m.set_up = lambda: None; m.run_python = lambda *words: print(*words) or 0\n"
        "sys.exit(m.main(sys.argv[1:]))\n"
    )
    unset = ("PROFILE", "NAME", "LAB_ARGS", "TEST_ARGS", "MAKEFLAGS", "MAKELEVEL")  # the tests run under make, too
    environment = {k: v for k, v in os.environ.items() if k not in unset}

    def make(*words):
        done = subprocess.run(["make", *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1].split()

    assert make("book")[-2:] == ["--profile", "lesson"]
    assert make("book", "PROFILE=smoke")[-2:] == ["--profile", "smoke"]
    assert make("test")[:2] == ["-m", "pytest"]
    assert make("test", "TEST_ARGS=tests/test_grid.py")[-1] == "tests/test_grid.py"
    assert make("weights", "NAME=espcn-x4")[-1] == "espcn-x4"
    assert make("weights") == ["-m", "medsr_course.networks.training"]
    assert make("lab", "LAB_ARGS=--no-browser --port=8899")[-2:] == ["--no-browser", "--port=8899"]


# --- for teachers ---------------------------------------------------------------------------------


@pytest.fixture
def without_setting_up(course, monkeypatch):
    """The script with nothing to install; what it would run is collected."""
    ran = []
    monkeypatch.setattr(course, "set_up", lambda: ran.append(("set up", os.environ.get("PIP_FIND_LINKS"))))
    monkeypatch.setattr(course, "run_python", lambda *words: ran.append(words) or 0)
    monkeypatch.setattr(course, "download", lambda folder: ran.append(("download", folder)))
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")
    return ran


def test_setting_up_from_a_bundle_takes_its_full_path(course, without_setting_up, tmp_path, monkeypatch):
    (tmp_path / "stick" / "wheels").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert course.main(["setup", "stick"]) == 0
    assert without_setting_up[0] == ("set up", str(tmp_path / "stick" / "wheels"))
    assert without_setting_up[1][-1] == str(tmp_path / "stick" / "data")
    assert os.environ["PIP_NO_INDEX"] == "1"


def test_a_folder_that_is_no_bundle_is_one_line(course, without_setting_up, tmp_path, capsys):
    assert course.main(["setup", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "full path" in line
    assert without_setting_up == []


def test_a_bundle_lies_outside_the_course_and_has_a_name(course, without_setting_up, tmp_path, capsys):
    for words in (["bundle"], ["bundle", str(tmp_path / "inside")]):
        assert course.main(words) == 1
        assert "outside" in capsys.readouterr().err
    outside = tmp_path.parent / f"{tmp_path.name}-stick"
    assert course.main(["bundle", str(outside), "ds002748"]) == 0
    assert without_setting_up[-2:] == [
        ("download", str(outside / "wheels")),
        ("-m", "classroom.copies", "bundle", str(outside), "ds002748"),
    ]


def test_lesson_and_edition_are_handed_on(course, without_setting_up, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert course.main(["lesson", "3"]) == 0
    assert without_setting_up[-1] == ("-m", "classroom.lessons", "3")
    assert course.main(["edition", "students"]) == 0
    assert without_setting_up[-1] == ("-m", "classroom.copies", "edition", str(tmp_path / "students"))


def test_a_relative_folder_of_packages_that_is_not_there_is_told(course, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "classroom-wheels")
    with pytest.raises(course.SetupError, match="give the full path"):
        course.pip(sys.executable, "--version")
    monkeypatch.setenv("PIP_NO_INDEX", "")
    course.check_links()  # with a network pip may pass over it
