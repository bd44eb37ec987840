"""BIDS datasets: scans found with what their sidecars say, results as a derivative dataset that is valid."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import require

from medsr_course.pipeline import Options, enhancing, outputs
from medsr_course.pipeline import plan as planning
from medsr_course.runtime import CourseError
from medsr_course.scans import bids, scansource

SIDECAR = {"MagneticFieldStrength": 3, "EchoTime": 0.005, "PatientName": "Zoë", "AcquisitionTime": "10:11:12"}


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def scan_file(path, shape=(20, 18, 4), sizes=(1, 1, 5), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).integers(10, 500, shape).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([*sizes, 1.0])), path)
    return path


@pytest.fixture
def dataset(tmp_path):
    """Two subjects, one with two sessions, and one scan that was read by somebody before."""
    root = tmp_path / "raw"
    put(root / "dataset_description.json", {"Name": "Two", "BIDSVersion": "1.10.0", "License": "CC0",
                                            "Authors": ["A"], "DatasetDOI": "doi:10.1/x"})  # fmt: skip
    put(root / "T1w.json", SIDECAR)
    scan_file(root / "sub-01" / "ses-1" / "anat" / "sub-01_ses-1_T1w.nii.gz", seed=1)
    scan_file(root / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_acq-fine_run-1_FLAIR.nii.gz", seed=2)
    scan_file(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz", seed=3)
    put(root / "sub-02" / "anat" / "sub-02_T1w.json", {"EchoTime": 0.007, "SkullStripped": True, "SliceThickness": 5})
    scan_file(root / "derivatives" / "other" / "sub-02" / "anat" / "sub-02_desc-x_T1w.nii.gz")
    return root


def enhanced(scan, out, force=False, **options):
    source = scansource.read_scan(scan)
    plan = planning.plan(source.image, Options(axes="in-plane", quality="fast", **options), sidecar=source.sidecar)
    outputs.check(source, out, plan, force=force)
    return outputs.write(enhancing.run(source.image, plan, progress=False), source, out, force=force)


def valid(folder):
    """Errors that bids-validator finds, each as its code and place."""
    program = Path(sys.executable).with_name("bids-validator-deno")
    program = str(program) if program.exists() else shutil.which("bids-validator-deno")
    require("bids-validator", program, "needs bids-validator-deno: python -m pip install bids-validator-deno")
    done = subprocess.run([program, str(folder), "--format", "json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] == "error"]


def told(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_scans_of_a_dataset(dataset):
    scan_file(dataset / "sub-02" / "func" / "sub-02_task-rest_bold.nii.gz")
    found = bids.scans(dataset)
    assert [scan.inside for scan in found] == [
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_acq-fine_run-1_FLAIR.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
    ]
    assert found[1].entities == {"sub": "01", "ses": "2", "acq": "fine", "run": "1"}
    assert found[1].suffix == "FLAIR"
    assert [scan.suffix for scan in bids.scans(dataset, ("func",))] == ["bold"]


INHERITED = [
    ({"T1w.json": 1}, 1),
    ({"T1w.json": 1, "sub-01/sub-01_T1w.json": 2}, 2),
    ({"T1w.json": 1, "sub-01/ses-1/sub-01_ses-1_T1w.json": 3, "sub-01/sub-01_T1w.json": 2}, 3),
    ({"sub-01/ses-1/anat/sub-01_ses-1_T1w.json": 4, "T1w.json": 1}, 4),
    ({"acq-fine_T1w.json": 5, "T1w.json": 1}, 1),  # of another acquisition
    ({"T2w.json": 6}, None),
    ({"sub-01/ses-2/sub-01_T1w.json": 7}, None),  # beside it, not above
    ({"sub-01/sub-02_T1w.json": 8}, None),
    ({"T1w.json": 1, "ses-1_T1w.json": 9}, 9),  # the more particular of one folder
    ({"xT1w.json": 10}, None),
]


@pytest.mark.parametrize(("files", "expected"), INHERITED)
def test_sidecars_are_inherited(tmp_path, files, expected):
    scan_file(tmp_path / "sub-01" / "ses-1" / "anat" / "sub-01_ses-1_T1w.nii.gz")
    for name, value in files.items():
        put(tmp_path / name, {"FlipAngle": value, f"Of{value}": True})
    (scan,) = bids.scans(tmp_path)
    assert scan.sidecar.get("FlipAngle") == expected
    if expected == 3:
        assert {"Of1", "Of2", "Of3"} <= set(scan.sidecar)


def test_results_are_a_valid_dataset(dataset, tmp_path):
    out = tmp_path / "out"
    for scan in bids.scans(dataset):
        enhanced(scan, out)
    assert not valid(dataset), "the source"
    assert not valid(out)
    images = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.nii.gz"))
    assert images == [
        f"sub-{stem}_res-x2_desc-{what}_{suffix}.nii.gz"
        for stem, suffix in (
            ("01/ses-1/anat/sub-01_ses-1", "T1w"),
            ("01/ses-2/anat/sub-01_ses-2_acq-fine_run-1", "FLAIR"),
            ("02/anat/sub-02", "T1w"),
        )
        for what in ("added", "medsr", "zip")
    ]


def test_what_the_sidecars_say(dataset, tmp_path):
    first, _, last = bids.scans(dataset)
    for scan, stripped in ((first, False), (last, True)):
        for path in enhanced(scan, tmp_path / "out"):
            if path.suffix == ".json":
                about = told(path)
                assert about["Sources"] == [f"bids:raw:{scan.inside}"]
                assert about["SkullStripped"] is stripped
                assert about["MagneticFieldStrength"] == 3
                assert about["EchoTime"] == (0.007 if stripped else 0.005)
                assert "0.5 × 0.5 × 5 mm" in about["Resolution"]
                assert about["Provenance"]["network"] == "espcn-x2"
                assert "not for diagnosis" in about["Description"]
                assert not {"PatientName", "AcquisitionTime"} & set(about)


def test_the_description_of_the_dataset(dataset, tmp_path):
    for out in (tmp_path / "out", dataset / "derivatives" / "medsr"):
        enhanced(bids.scans(dataset)[2], out)
        about = told(out / "dataset_description.json")
        assert about["DatasetType"] == "derivative"
        assert about["GeneratedBy"][0]["Name"] == "medsr"
        assert about["License"] == "CC0"
        assert about["SourceDatasets"][0]["DOI"] == "doi:10.1/x"
        assert (out / about["DatasetLinks"]["raw"]).resolve() == dataset.resolve()
        assert str(tmp_path) not in (out / "dataset_description.json").read_text(encoding="utf-8")
    assert not valid(dataset)


def test_a_derivative_dataset_is_added_to(dataset, tmp_path):
    out = tmp_path / "out"
    theirs = {"Name": "Mine", "BIDSVersion": "1.9.0", "DatasetType": "derivative", "Funding": ["x"],
              "GeneratedBy": [{"Name": "other"}]}  # fmt: skip
    put(out / "dataset_description.json", theirs)
    (out / "README").write_text("mine", encoding="utf-8")
    first, second, _ = bids.scans(dataset)
    enhanced(first, out)
    before = (out / "dataset_description.json").read_bytes()
    enhanced(second, out)
    assert (out / "dataset_description.json").read_bytes() == before
    about = json.loads(before)
    assert [about[key] for key in ("Name", "BIDSVersion", "Funding")] == ["Mine", "1.9.0", ["x"]]
    assert [each["Name"] for each in about["GeneratedBy"]] == ["other", "medsr"]
    assert (out / "README").read_text(encoding="utf-8") == "mine"
    listed = (out / "outputs.tsv").read_text(encoding="utf-8").splitlines()
    assert len(listed) == 1 + 2 * 6


def test_nothing_is_overwritten_without_force(dataset, tmp_path):
    scan, out = bids.scans(dataset)[0], tmp_path / "out"
    files = enhanced(scan, out)
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(CourseError, match="--force"):
        enhanced(scan, out)
    assert {path: path.read_bytes() for path in files} == before
    assert {path: path.read_bytes() for path in enhanced(scan, out, force=True)} == before


WRONG = {
    "the dataset itself": (lambda raw, tmp: raw, "the dataset itself"),
    "another raw dataset": (lambda raw, tmp: put(tmp / "o" / "dataset_description.json", {"Name": "x"}) or tmp / "o",
                            "no derivative"),
    "results of another": (lambda raw, tmp: put(tmp / "o" / "dataset_description.json", {
        "DatasetType": "derivative", "DatasetLinks": {"raw": "../other"}}) or tmp / "o", "another dataset"),
    "no JSON": (lambda raw, tmp: (tmp / "o").mkdir() or (tmp / "o" / "dataset_description.json").write_text("{") and
                tmp / "o", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_folders_that_results_do_not_belong_in(dataset, tmp_path, case):
    make, message = WRONG[case]
    out = make(dataset, tmp_path)
    before = sorted(path for path in out.rglob("*"))
    with pytest.raises(CourseError, match=message) as caught:
        enhanced(bids.scans(dataset)[0], out)
    assert "\n" not in str(caught.value)
    assert sorted(path for path in out.rglob("*")) == before


def test_folders_that_are_no_dataset(tmp_path):
    with pytest.raises(CourseError, match="is it a BIDS dataset"):
        bids.scans(tmp_path)
    scan_file(tmp_path / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    (tmp_path / "T1w.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(CourseError, match=r"T1w\.json"):
        bids.scans(tmp_path)


NAMED = [
    ("sub-01_T1w", {}, "sub-01_res-x2_desc-medsr_T1w"),
    ("sub-01_T1w", {"keep_grid": True}, "sub-01_desc-medsr_T1w"),
    ("sub-01_T1w", {"task": "denoise"}, "sub-01_desc-medsr_T1w"),
    ("sub-01_space-T1w_res-2_desc-preproc_T2w", {}, "sub-01_space-T1w_res-2x2_desc-preprocmedsr_T2w"),
    ("sub-01_res-2_T2w", {"task": "denoise"}, "sub-01_res-2_desc-medsr_T2w"),
    ("sub-01_T1w", {"task": "segment"}, "sub-01_desc-medsr_dseg"),
]


@pytest.mark.parametrize(("name", "options", "expected"), NAMED)
def test_names(tmp_path, name, options, expected):
    scan_file(tmp_path / "sub-01" / "anat" / f"{name}.nii.gz")
    (scan,) = bids.scans(tmp_path)
    source = scansource.read_scan(scan)
    plan = planning.plan(source.image, Options(axes="in-plane", **options))
    assert outputs.names(source, tmp_path / "out", plan)[0].name == f"{expected}.nii.gz"
