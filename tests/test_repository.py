"""What may not be in the repository, and what CONTRIBUTING.md promises."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

from medsr_course import __version__
from medsr_course.scans import catalogue
from medsr_course.teaching import notebooks

SKIPPED = {".venv", ".git", "__pycache__", "_build", "chapters", "out", ".pytest_cache", ".ruff_cache", "node_modules"}


def committed():
    """Files of the checkout: what git tracks, or, without git, all but what is made."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout:
        return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]
    return [p for p in ROOT.rglob("*") if p.is_file() and not SKIPPED & set(p.relative_to(ROOT).parts)]


def texts():
    for path in committed():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_scans_and_no_foreign_lock_files():
    names = [p.name for p in committed()]
    assert [n for n in names if re.search(r"\.(nii|nii\.gz|dcm|mgz)$", n)] == []
    assert [n for n in names if n in ("uv.lock", "poetry.lock", "package-lock.json")] == []


def test_no_registry_addresses_and_no_paths_of_a_machine():
    address = re.compile(r"--(extra-)?index" + r"-url [^$\s]|files\.python" + r"hosted\.org|pypi" + r"\.org/simple")
    machine = re.compile(r"(?<![\w.])/(home|Users|root" + r"|work)/\w+")
    found = [
        f"{p.relative_to(ROOT)}: {m[0]}" for p, text in texts() for r in (address, machine) for m in r.finditer(text)
    ]
    assert found == []


def test_the_lock_pins_name_version_and_hash():
    text = (ROOT / "requirements.lock").read_text()
    assert "http" + "://" not in text
    assert "https" + "://" not in text
    entries = re.split(r"\n(?=[a-zA-Z])", text.strip())
    assert len(entries) > 100
    assert [e.splitlines()[0] for e in entries if "==" not in e or "--hash=sha256:" not in e] == []


def test_readme_and_changelog_know_every_chapter():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    here = re.findall(r"^\| [IV]+ .*\| (.*) \|$", readme, flags=re.M)
    numbered = [n for n in notebooks.chapters() if n[:2].isdigit()]
    assert [n for row in here for n in re.findall(r"\d\d[a-z]?", row)] == numbered
    named = re.findall(r"\b((?:\d\d|A\d)[a-z]?) \(", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert set(notebooks.chapters()) <= set(named)


def test_versions_agree():
    """The package is at, or on the way from, the newest release; to be cited is that release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.search(r"^## (\d+\.\d+\.\d+) – (\d{4}-\d\d-\d\d)$", changes, flags=re.M)
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert project["version"] == __version__
    assert f"\nversion: {released[1]}\ndate-released: {released[2]}\n" in cited
    if __version__ != released[1]:
        assert ".dev" in __version__
        assert "## Unreleased" in changes[: released.start()]


def test_weights_stay_small():
    files = [p for p in (ROOT / "data" / "weights").rglob("*") if p.is_file()]
    sizes = {p.name: p.stat().st_size for p in files}
    for name in {p.name.split(".")[0] for p in files}:
        assert sizes.get(f"{name}.onnx", 0) + sizes[f"{name}.weights.h5"] <= 8 * 2**20, name
    assert sum(sizes.values()) <= 48 * 2**20


def test_every_module_stays_readable():
    long = {p.name: n for p in (ROOT / "medsr_course").rglob("*.py") if (n := len(p.read_text().splitlines())) > 600}
    assert long == {}


def test_style():
    for words in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run([sys.executable, "-m", "ruff", *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.notebook
def test_contributing_to_the_letter(tmp_path):
    """The commands that CONTRIBUTING.md gives for a new chapter yield one that lints and runs."""
    copy = followed("A new chapter", tmp_path)[0]
    assert "chapters/98_my_chapter" in (copy / "book" / "_toc.yml").read_text().replace("notebooks/", "chapters/")
    assert (copy / "out" / "claims.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("title", "name"), [("A new network", "my_net-x2"), ("A new task", "negative")])
def test_contributing_a_network_or_a_task_to_the_letter(tmp_path, title, name):
    """The commands that CONTRIBUTING.md gives for them yield a recipe that trains."""
    _, told = followed(title, tmp_path)
    assert f"{name}: 20 steps" in told


def test_contributing_a_data_set_to_the_letter(tmp_path):
    """The commands that CONTRIBUTING.md gives for it yield a data set that downloads, verifies and loads."""
    copy, told = followed("A new data set", tmp_path)
    assert "✓ tiny-heads: sha256 agrees with the copy that the loader was written with" in told
    assert "<Subjects tiny-heads: 2 subjects (2 test), contrasts T1w>" in told
    entries = {row["name"]: row for row in json.loads((copy / "data" / "catalogue.json").read_text(encoding="utf-8"))}
    assert list(entries)[:-1] == list(catalogue.entries())
    assert catalogue.Entry(**entries["tiny-heads"]).checksum
    words = [sys.executable, "-m", "ruff", "format", "--check", "medsr_course/scans/datasets"]
    done = subprocess.run(words, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def followed(title, folder):
    """Follow the commands of a section of CONTRIBUTING.md in a copy of the checkout; the copy, and what they print."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split(f"## {title}\n")[1]
    commands = re.search(r"```bash\n(.*?)```", section, flags=re.S)[1]
    copy = folder / "course"
    for path in committed():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    environment = dict(
        os.environ, PYTHONPATH=str(copy), PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    done = subprocess.run(["bash", "-ec", commands], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return copy, done.stdout
