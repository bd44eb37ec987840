"""The workflows in ``.github``: valid, limited, able to read only, and calling commands that exist."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))


def valid(*files, schema="vendor.github-workflows"):
    """Whether the files fit a schema that check-jsonschema brings along, and what it says."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def loaded(name):
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))


def commands(workflow):
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_workflows_fit_the_schema(schema):
    assert {path.stem for path in FILES} >= {"tests", "pages", "weekly"}
    fits, said = valid(*FILES, schema=schema)
    assert fits, said


def test_the_schema_finds_a_mistake(tmp_path):
    wrong = loaded("tests")
    wrong["jobs"]["test"]["runs_on"] = wrong["jobs"]["test"].pop("runs-on")
    (tmp_path / "wrong.yml").write_text(yaml.safe_dump(wrong))
    assert not valid(tmp_path / "wrong.yml")[0]


def test_tests_run_on_every_supported_python_and_system():
    matrix = loaded("tests")["jobs"]["test"]["strategy"]["matrix"]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert matrix["python"] == re.findall(r"Python :: (3\.\d+)", text)
    assert [system.split("-")[0] for system in matrix["system"]] == ["ubuntu", "macos", "windows"]


def test_a_workflow_may_read_and_only_publishing_may_write_pages():
    for path in FILES:
        assert loaded(path.stem)["permissions"] == {"contents": "read"}, path.name
    jobs = loaded("pages")["jobs"]
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}


def test_the_weekly_run_takes_the_newest_versions_and_asks_for_links():
    weekly = loaded("weekly")
    assert "schedule" in weekly[True]  # YAML reads the key "on" as true
    said = "\n".join(commands(weekly))
    assert "--upgrade" in said
    assert "requirements.lock" not in "\n".join(commands({"jobs": {"newest": weekly["jobs"]["newest"]}}))
    assert "book.build --links" in said


def test_workflows_use_actions_of_github_alone_and_keep_no_secret():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"uses: (\w+)/", text)) <= {"actions"}, path.name
        assert "secrets." not in json.dumps(loaded(path.stem)), path.name
