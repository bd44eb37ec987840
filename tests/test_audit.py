"""``medsr audit``: what is wrong with a result is found, and what is right is not called wrong."""

import json

import nibabel
import numpy as np
import pytest
from conftest import changed, turned
from scipy import ndimage

from medsr_course.cli import app
from medsr_course.physics import coils, interpolation
from medsr_course.runtime import CourseError
from medsr_course.scans import scanfiles, volumes
from medsr_course.tasks import audit


@pytest.fixture(scope="module")
def scans():
    """A fine image of blobs of all sizes, and the coarse scan stored of it, both turned a little in the world."""
    rng = np.random.default_rng(0)
    shape = (96, 88, 20)
    power = sum(s * ndimage.gaussian_filter(rng.standard_normal(shape), s) for s in (0.5, 1, 2, 4, 8))
    index = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = ndimage.gaussian_filter((sum(axis**2 for axis in index) < 0.8).astype(float), 0.7)
    fine = (inside * np.clip(500 + 120 * power, 0, None)).astype(np.float32)
    angle = 0.2
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[:3, :3] = (
        np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]) @ affine[:3, :3]
    )
    affine[:3, 3] = 5, -70, 12
    image = volumes.make_image(fine, affine)
    stack = coils.stored(volumes.to_stack(image), 2, "audit", noise=1).astype(np.float32)
    return volumes.from_stack(stack, image, scale=0.5), image


def result(coarse, method=interpolation.lanczos):
    return volumes.from_stack(method(volumes.to_stack(coarse), 2), coarse, scale=2)


def statuses(coarse, image):
    found = audit.audit(coarse, image)
    return {finding.code: finding for finding in found}, audit.worst(found)


def test_the_truth_and_an_honest_method_pass(scans):
    coarse, fine = scans
    for image in (fine, result(coarse)):
        found, worst = statuses(coarse, image)
        assert worst == 0, found
        assert "in place" in found["header"].words
    assert 0.5 < statuses(coarse, fine)[0]["consistency"].values[0] < 5


@pytest.mark.parametrize(
    ("header", "values", "wrong", "says"),
    [
        (0.5, 0.5, [], "edges of the field"),
        (0.5, 0.0, ["position"], "(f − 1)/2"),
        (0.0, 0.5, ["position"], "(f − 1)/2"),
        (0.0, 0.3, ["position"], "+0.30, +0.30"),
        (3.0, 3.0, ["header"], "by no known rule"),
    ],
    ids=["edges kept in both", "half a voxel in the header", "half a voxel in the values", "by no rule", "far away"],
)
def test_where_a_result_lies(scans, header, values, wrong, says):
    coarse, _ = scans
    found, worst = statuses(coarse, changed(result(coarse), header, values))
    assert [code for code, finding in found.items() if finding.status == "wrong"] == wrong
    assert worst == (4 if wrong else 0)
    assert says in " ".join(finding.words for finding in found.values())
    assert found["consistency"].status == "ok"  # what is measured of the values does not suffer from where they lie


@pytest.mark.parametrize("codes", ["LPS", "SAR", "AIL"])
def test_orientation_is_no_fault(scans, codes):
    coarse, _ = scans
    assert statuses(coarse, turned(result(coarse), codes))[1] == 0


@pytest.mark.parametrize(
    ("code", "do"),
    [
        ("intensity", lambda data: 3 * data),
        ("intensity", lambda data: data + 60),
        ("clipped", lambda data: np.minimum(data, 600)),
        ("levels", lambda data: np.round(data / 20) * 20),
        ("negative", lambda data: data - 300 * (data < 20)),
        ("spectrum", lambda data: data + 25 * (np.indices(data.shape)[:2].sum(axis=0) % 2)),
    ],
    ids=["scaled", "an offset", "clipped", "rounded", "below 0", "a chequerboard"],
)
def test_what_became_of_the_values(scans, code, do):
    coarse, fine = scans
    found, worst = statuses(coarse, changed(fine, do=do))
    assert found[code].status == "caution"
    assert worst >= 3


def test_zero_filling_is_no_finer_and_another_anatomy_contradicts_the_scan(scans):
    coarse, fine = scans
    found, _ = statuses(coarse, result(coarse, interpolation.zero_fill))
    assert found["spectrum"].status == "caution"
    assert "no finer" in found["spectrum"].words
    assert found["consistency"].values[0] < 0.5
    spots = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal(fine.shape), (2, 2, 0))
    found, worst = statuses(coarse, changed(fine, do=lambda data: data * (1 + spots / spots.std() * 0.25)))
    assert (found["consistency"].status, worst) == ("wrong", 4)
    assert "contradicts" in found["consistency"].words


def test_grids_that_do_not_fit_are_named(scans):
    coarse, fine = scans
    assert statuses(coarse, coarse)[0]["grid"].status == "caution"
    cut = nibabel.Nifti1Image(np.asarray(fine.dataobj)[:80], fine.affine)
    found, _ = statuses(coarse, cut)
    assert found["grid"].status == "caution"
    assert "not measured" in found["consistency"].words
    spun = fine.affine.copy()
    spun[:3, :3] = (
        np.array([[np.cos(0.02), -np.sin(0.02), 0], [np.sin(0.02), np.cos(0.02), 0], [0, 0, 1]]) @ spun[:3, :3]
    )
    assert statuses(coarse, nibabel.Nifti1Image(np.asarray(fine.dataobj), spun))[0]["grid"].status == "wrong"
    away = fine.affine.copy()
    away[0, 3] += 5000
    with pytest.raises(CourseError, match="same part of the world"):
        audit.audit(coarse, nibabel.Nifti1Image(np.asarray(fine.dataobj), away))
    with pytest.raises(CourseError, match="nothing to do"):
        audit.audit(coarse, nibabel.Nifti1Image(-np.asarray(fine.dataobj), fine.affine))


def test_through_plane_results_are_checked_as_far_as_that_goes(scans):
    coarse, _ = scans
    data = ndimage.zoom(np.asarray(coarse.dataobj), (1, 1, 2), order=3, grid_mode=True, mode="nearest")
    affine = volumes.scaled_affine(coarse.affine, 2, (2,))
    affine[:3, 3] -= affine[:3, 2] * 0.5
    found, _ = statuses(coarse, nibabel.Nifti1Image(data, affine))
    assert "edges" in found["header"].words
    assert found["position"].status == "ok"
    assert "not measured" in found["consistency"].words


def test_the_command_says_it_in_words_in_json_and_by_its_exit_code(scans, tmp_path):
    from typer.testing import CliRunner

    coarse, _ = scans
    paths = [tmp_path / name for name in ("in.nii.gz", "good.nii.gz", "bad.nii.gz")]
    for path, image in zip(paths, (coarse, result(coarse), changed(result(coarse), 0.5)), strict=True):
        scanfiles.write(image, path)
    good, bad = (CliRunner().invoke(app, ["audit", str(paths[0]), str(path)]) for path in paths[1:])
    assert (good.exit_code, bad.exit_code) == (0, 4), good.output
    assert "✗ position" in bad.output
    told = CliRunner().invoke(app, ["audit", str(paths[0]), str(paths[2]), "--json"])
    rows = json.loads(told.output, parse_constant=pytest.fail)
    assert {row["code"]: row["status"] for row in rows}["position"] == "wrong"
