"""The doctor tells what will be used, and one wrong setting does not hide the rest."""

import errno
import json
import os
import sys

import pytest

from medsr_course import doctor, runtime


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


def test_keras_is_told_as_it_will_be(settings, monkeypatch):
    there = ["tensorflow", "torch"]
    monkeypatch.setattr(doctor, "find_spec", lambda name: name in there)
    monkeypatch.setattr(doctor, "_version", lambda name: "9.9")
    assert "9.9 on tensorflow; installed" in doctor._keras().detail
    settings.write_text(json.dumps({"backend": "torch", "floatx": "float32"}))
    found = doctor._keras()
    assert (found.status, "on torch, chosen by keras.json" in found.detail) == ("ok", True)
    settings.write_text(json.dumps({"backend": "jax"}))
    found = doctor._keras()
    assert (found.status, found.remedy) == ("problem", "install jax, or change keras.json")
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # has the last word
    assert doctor._keras().status == "ok"
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    found = doctor._keras()
    assert found.status == "problem"
    assert "theano, chosen by KERAS_BACKEND" in found.detail
    there.clear()
    assert doctor._keras().status == "note"


@pytest.mark.parametrize(
    "setting", [{"image_data_format": "channels_first"}, {"floatx": "float16"}, {"epsilon": 0.1}], ids=str
)
def test_settings_that_change_results_are_named(settings, setting):
    settings.write_text(json.dumps({"backend": "tensorflow", **setting}))
    found = doctor._keras()
    assert found.status == "problem"
    assert f"keras.json sets {next(iter(setting))} {next(iter(setting.values()))}" in found.detail
    assert found.where == str(settings)


@pytest.mark.parametrize("content", ["", "{", "[]", '"torch"', "\0", '{"backend": null}'])
def test_settings_that_keras_passes_over_are_passed_over(settings, content):
    settings.write_text(content)
    assert "on tensorflow;" in doctor._keras().detail


def test_one_wrong_setting_is_one_finding_among_the_others(monkeypatch):
    monkeypatch.setenv("MEDSR_REAL_DATA", "/no/such/folder")
    monkeypatch.setattr(doctor, "_weights", lambda: doctor.Finding("Trained networks", "ok", ""))
    found = {f.what: f for f in doctor.report()}
    assert found["Real scans"].status == "problem"
    assert "MEDSR_REAL_DATA" in found["Real scans"].detail
    assert {"Python", "Keras", "Cache", "Synthetic cohort", "Chromium"} <= set(found)


def test_a_folder_without_scans_is_no_folder_of_real_scans(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSR_REAL_DATA", str(tmp_path))
    assert doctor._real_scans().status == "note"
    (tmp_path / "head_T1w.nii.gz").touch()
    assert doctor._real_scans().status == "ok"


def test_a_user_without_a_home_gets_a_line_for_each_thing_that_wants_one(monkeypatch):
    monkeypatch.delenv("MEDSR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(doctor, "_weights", lambda: doctor.Finding("Trained networks", "ok", ""))
    found = {f.what: f for f in doctor.report()}
    for name in ("Cache", "Synthetic cohort"):
        assert found[name].status == "problem"
        assert "MEDSR_CACHE" in found[name].detail
    assert found["Python"].status == "ok"


def test_a_cache_that_is_only_read_is_a_note(monkeypatch, tmp_path):
    def read_only(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor.Path, "write_text", read_only)
    found = doctor._disk()
    assert (found.status, "used" in found.detail) == ("note", True)


def test_a_kernel_whose_python_is_gone_is_a_problem(monkeypatch, tmp_path):
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setattr(KernelSpecManager, "find_kernel_specs", lambda self: {"python3": str(tmp_path)})
    for argv, status in (
        ([sys.executable], "ok"),
        (["/gone/bin/python"], "problem"),
        ([], "problem"),
        (None, "problem"),
    ):
        (tmp_path / "kernel.json").write_text(json.dumps({"argv": argv}))
        assert doctor._kernel().status == status


def test_memory_is_what_a_container_may_use(monkeypatch):
    monkeypatch.setattr(doctor, "_machine_memory_gib", lambda: 64.0)
    monkeypatch.setattr(doctor.Path, "read_text", lambda path: "max" if "max" in path.name else str(5 << 30))
    assert doctor._memory_gib() == 5
    monkeypatch.setattr(doctor.Path, "read_text", lambda path: str(1 << 62))
    assert doctor._memory_gib() == 64


def test_the_report_shows_no_path_where_all_is_well(monkeypatch):
    monkeypatch.setattr(doctor, "_weights", lambda: doctor.Finding("Trained networks", "ok", ""))
    assert [f for f in doctor.report() if f.status == "ok" and str(runtime.cache_dir()) in f.detail] == []
