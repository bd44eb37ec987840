"""The package as a whole: light, layered, documented, and whole when installed from a wheel."""

import doctest
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import medsr_course

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(m.name for m in pkgutil.walk_packages(medsr_course.__path__, "medsr_course."))


def python(*words, **kwargs):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300, **kwargs)


def test_import_is_light():
    code = (
        "import numpy, sys, time; t = time.perf_counter(); import medsr_course; "
        "s = time.perf_counter() - t; heavy = {'tensorflow', 'keras', 'nilearn', 'matplotlib', 'scipy', 'skimage'}; "
        "print(s, sorted(heavy & set(sys.modules)))"
    )
    seconds, loaded = python("-c", code).stdout.split(maxsplit=1)
    assert float(seconds) < 0.5
    assert loaded.strip() == "[]"


def test_numpy_side_loads_no_framework():
    code = (
        "import sys; from medsr_course.physics import acquisition, grid, interpolation, metrics; "
        "from medsr_course.scans import catalogue, datasets, phantom, scanfiles, volumes; "
        "from medsr_course.teaching import figures, viewers; from medsr_course.leaderboard import methods; "
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = python("-c", code)
    assert done.stdout.strip() == "set()", done.stderr


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No medsr_course attribute nonsense"):
        _ = medsr_course.nonsense


def test_layers():
    done = python("-c", "from importlinter.cli import lint_imports_command as c; c()", cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [m for m in MODULES if "__main__" not in m])
def test_doctests(name, monkeypatch):
    monkeypatch.setenv("MEDSR_NULL", "")
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_are_documented(name):
    if name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    if "._" in name or name.startswith(("medsr_course.teaching.exercises.ch", "medsr_course.teaching.quizzes.ch")):
        return
    bare = [
        f"{name}.{key}"
        for key, value in vars(module).items()
        if not key.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "") == name
        and not value.__doc__
    ]
    assert bare == []


@pytest.mark.slow
def test_wheel_runs_outside_the_checkout(tmp_path):
    """The wheel holds data and weights, and ``medsr doctor`` works where there is no checkout."""
    built = python("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "installed"
    python("-m", "pip", "install", "-q", "--no-deps", "--target", str(place), str(wheel))
    environment = dict(os.environ, PYTHONPATH=str(place), MEDSR_CACHE=str(tmp_path / "cache"))
    done = python("-m", "medsr_course", "doctor", "--json", cwd=tmp_path, env=environment)
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert found["checkout"] == ""
    assert any(f["what"] == "Trained networks" and "espcn-x4" in f["detail"] for f in found["findings"])
    refused = python("-m", "medsr_course", "run", "05", cwd=tmp_path, env=environment)
    assert refused.returncode == 1
    assert refused.stderr.startswith("medsr: the chapters are not part of the installed package")
