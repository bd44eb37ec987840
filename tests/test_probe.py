"""The laboratory of planted lesions, and ``medsr probe``: what is left, lost, invented, wherever a result lies."""

import json

import nibabel
import numpy as np
import pytest
from conftest import changed, taught, turned
from scipy import ndimage

from medsr_course.cli import app
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import sensitivity
from medsr_course.physics import interpolation
from medsr_course.runtime import CourseError
from medsr_course.scans import scanfiles, volumes
from medsr_course.tasks import planting, probe, probing


def head(shape=(88, 96, 30), sizes=(2.0, 2.0, 4.0), level=600.0):
    """An even head with a brighter half, a little noise, turned in the world."""
    index = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum((axis / reach) ** 2 for axis, reach in zip(index, (0.9, 0.9, 1.4), strict=True)) < 1
    rng = np.random.default_rng(0)
    data = inside * level * (1 + 0.3 * np.tanh(4 * index[0])) + 4 * rng.standard_normal(shape)
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = -40, 11, 7
    return nibabel.Nifti1Image(np.abs(ndimage.gaussian_filter(data, (0.6, 0.6, 0))).astype(np.float32), affine)


@pytest.fixture(scope="module")
def made():
    return probing.make(head())


def finer(image, method=interpolation.zero_fill, scale=2):
    return volumes.from_stack(method(volumes.to_stack(image), scale), image, scale=scale)


def test_it_is_chapter_12s_laboratory():
    space = {"np": np, "ndimage": ndimage, "SCALE": 4}
    constants = ("REACH", "SCALE", "yy, xx", "RADIUS", "SIZES, CONTRASTS, REACH", "NOISE, VISIBLE")
    chapter = taught("12", space, ("disc", "evidence", "around", "wilson"), constants)
    assert tuple(chapter["SIZES"]) == planting.SIZES
    assert chapter["CONTRASTS"] == planting.CONTRASTS
    assert chapter["VISIBLE"] == planting.VISIBLE
    rng = np.random.default_rng(1)
    image, white = rng.random((33, 33)), rng.random((33, 33)) > 0.3
    for size in planting.SIZES:
        np.testing.assert_allclose(planting.shape("lesion", size, 4), chapter["disc"](size), atol=1e-12)
        theirs = chapter["evidence"](image, (16, 16), size, white, 2.0)
        assert planting.evidence(image, size, 4, beside=white) / 2.0 == pytest.approx(theirs)
    np.testing.assert_allclose(planting.wilson(7, 40), chapter["wilson"](7, 40), atol=2e-5)


def test_targets_lie_apart_inside_the_head_and_each_kind_as_often(made):
    _, control, key = made
    stack, rows = volumes.to_stack(control), key["targets"]
    kinds = {}
    for row in rows:
        kinds.setdefault((row["kind"], row["size"], row["contrast"]), []).append(row)
        k, i, j = row["place"]
        assert stack[k, i // 2, j // 2] > 100
    lesions = [len(v) for (kind, *_), v in kinds.items() if kind == "lesion"]
    assert len(lesions) == 24
    assert max(lesions) - min(lesions) <= 1
    places = np.array([row["place"] for row in rows])
    for n, place in enumerate(places):
        near = np.abs(places - place)[:, 0] < 3
        near[n] = False
        assert np.hypot(*(places - place)[near, 1:].T).min(initial=99) >= 2 * planting.REACH * 2


def test_nothing_changes_but_at_targets_and_the_key_holds_no_image(made):
    scan, control, key = made
    change = np.abs(volumes.to_stack(scan) - volumes.to_stack(control))
    far = np.ones(change.shape, bool)
    for row in key["targets"]:
        if row["kind"] != "empty":
            k, i, j = row["place"]
            far[k, i // 2 - 6 : i // 2 + 7, j // 2 - 6 : j // 2 + 7] = False
    assert change[far].max() < 0.05 * change.max()
    assert change.max() > 50
    assert len(json.dumps(key)) < 100_000
    assert not {"scan", "control", "name", "file"} & set(key)


def test_zip_scores_what_the_key_says_of_zip_and_cubic_less(made):
    scan, control, key = made
    found = probing.score(key, finer(scan), finer(control))
    assert found["shift"] == [0, 0]
    assert found["gain"] == pytest.approx(1, abs=1e-3)
    for row in found["lesions"] + found["patterns"]:
        assert row["kept"]["result"][0] == pytest.approx(row["kept"]["zip"][0], abs=1e-3)
    assert found["lost"][0] == found["invented"][0] == 0
    cubic = probing.score(key, finer(scan, interpolation.cubic), finer(control, interpolation.cubic))
    assert cubic["patterns"][2]["kept"]["result"][2] < found["patterns"][2]["kept"]["result"][1]
    beyond, within = found["patterns"][0], found["patterns"][3]
    assert (beyond["measured"], within["measured"]) == (False, True)
    assert abs(beyond["kept"]["result"][0]) < 0.05
    assert within["kept"]["result"][0] > 0.95


@pytest.mark.parametrize(
    ("header", "values", "shift"),
    [(0.5, 0.5, 0.0), (0.5, 0.0, -0.5), (0.0, 0.5, 0.5), (0.0, 0.3, 0.3)],
    ids=["edges kept in both", "in the header alone", "in the values alone", "by no rule"],
)
def test_a_result_is_read_where_its_values_lie(made, header, values, shift):
    scan, control, key = made
    found = probing.score(key, *(changed(finer(image), header, values) for image in (scan, control)))
    assert found["shift"] == pytest.approx([shift, shift], abs=0.04)
    assert ("agree" in found["notes"][0]) == (shift == 0)
    assert ("(scale − 1)/2" in found["notes"][0]) == (abs(shift) == 0.5)
    assert ("no known rule" in found["notes"][0]) == (shift == 0.3)
    for row in (*found["lesions"], *found["patterns"][2:]):
        assert row["kept"]["result"][0] == pytest.approx(row["kept"]["zip"][0], abs=0.03)


@pytest.mark.parametrize("codes", ["LPS", "ASR", "PIL"])
def test_any_orientation_gives_the_same_score(made, codes):
    scan, control, key = made
    there = probing.score(key, *(turned(finer(x), codes) for x in (scan, control)))
    here = probing.score(key, *(finer(x) for x in (scan, control)))
    assert there["lesions"][1]["kept"]["result"] == pytest.approx(here["lesions"][1]["kept"]["result"], abs=1e-4)
    assert there["shift"] == here["shift"]


def test_a_header_that_lies_is_named_and_the_array_read_all_the_same(made):
    scan, control, key = made
    bad = [nibabel.Nifti1Image(np.asarray(finer(x).dataobj), np.diag([9, 9, 9, 1.0])) for x in (scan, control)]
    found = probing.score(key, *bad)
    assert "header is wrong" in found["notes"][0]
    assert found["lesions"][2]["kept"]["result"][0] == pytest.approx(found["lesions"][2]["kept"]["zip"][0], abs=1e-3)


def test_rescaled_intensities_are_noticed_and_undone(made):
    scan, control, key = made

    def scaled(image):
        return nibabel.Nifti1Image(np.asarray(finer(image).dataobj) / 1000, image.affine @ np.diag([0.5, 0.5, 1, 1]))

    found = probing.score(key, scaled(scan), scaled(control))
    assert found["gain"] == pytest.approx(0.001, rel=0.02)
    assert found["lesions"][3]["kept"]["result"][0] == pytest.approx(found["lesions"][3]["kept"]["zip"][0], abs=0.03)


def test_what_is_erased_is_lost_and_what_is_drawn_is_invented(made):
    scan, control, key = made
    erased = probing.score(key, finer(control), finer(control))  # a software that removes every target
    assert erased["lost"][0] > 0.9
    assert all(row["kept"]["result"][0] == 0 for row in erased["lesions"])

    def draws(image):
        fine = np.array(finer(image).dataobj)
        for row in key["targets"]:
            if row["kind"] == "empty":
                k, i, j = row["place"]
                fine[j - 2 : j + 3, i - 2 : i + 3, k] *= 1.3
        return nibabel.Nifti1Image(fine, finer(image).affine)

    assert probing.score(key, draws(scan), draws(control))["invented"][0] > 0.9


def test_results_of_something_else_are_refused(made):
    scan, control, key = made
    fine = finer(scan)
    with pytest.raises(CourseError, match="no key"):
        probing.score({"format": "?"}, fine, fine)
    with pytest.raises(CourseError, match="different grids"):
        probing.score(key, fine, control)
    away = nibabel.Nifti1Image(np.zeros((5, 5, 5), np.float32), np.eye(4))
    with pytest.raises(CourseError, match="does not lie where"):
        probing.score(key, away, away)
    with pytest.raises(CourseError, match="nothing to do"):
        probing.score(key, *(nibabel.Nifti1Image(-np.asarray(fine.dataobj), fine.affine),) * 2)
    with pytest.raises(CourseError, match="quiet places"):
        probing.make(head((16, 16, 3)))
    with pytest.raises(CourseError, match="2 or more"):
        probing.make(head(), scale=1)


def test_signed_data_keep_their_sign():
    image = head()
    signed = nibabel.Nifti1Image(np.asarray(image.dataobj) - 300, image.affine)
    scan, control, key = probing.make(signed)
    assert np.asarray(scan.dataobj).min() < -250
    found = probing.score(key, finer(scan), finer(control))
    assert found["lesions"][3]["kept"]["result"][0] > 0.85


def test_the_command_writes_scores_and_refuses_to_overwrite(tmp_path):
    from typer.testing import CliRunner

    def call(*words):
        return CliRunner().invoke(app, ["probe", *map(str, words)])

    nibabel.save(head(), tmp_path / "secret-name.nii.gz")
    done = call("make", tmp_path / "secret-name.nii.gz", tmp_path / "out")
    assert done.exit_code == 0, done.output
    files = [tmp_path / "out" / name for name in (probe.SCAN, probe.CONTROL, probe.KEY)]
    assert "secret" not in files[2].read_text(encoding="utf-8")
    again = call("make", tmp_path / "secret-name.nii.gz", tmp_path / "out")
    assert isinstance(again.exception, CourseError)
    assert "exists" in str(again.exception)
    for path in files[:2]:
        scanfiles.write(finer(scanfiles.read(path)), path.with_name(f"fine_{path.name}"))
    results = [path.with_name(f"fine_{path.name}") for path in files[:2]]
    words = call("score", files[2], *results)
    assert "called a lesion" in words.output
    assert "Invented: 0%" in words.output
    numbers = json.loads(call("score", files[2], *results, "--json").output, parse_constant=pytest.fail)
    assert numbers["scale"] == 2
    assert isinstance(call("score", results[0], *results).exception, CourseError)


def test_the_sensitivity_map_is_dark_for_a_method_that_does_not_care(monkeypatch):
    stack = np.random.default_rng(0).random((2, 12, 10)).astype(np.float32)
    monkeypatch.setattr(sensitivity, "super_resolve", lambda name, x: interpolation.zero_fill(x, 2))
    assert sensitivity.spread(stack, 2).max() < 1e-3
    lopsided = interpolation.zero_fill(stack, 2).shape
    monkeypatch.setattr(
        sensitivity,
        "super_resolve",
        lambda name, x: np.arange(20 * 24).reshape(1, *(2 * np.array(x.shape[1:]))) + 0 * interpolation.zero_fill(x, 2),
    )
    assert sensitivity.spread(stack, 2).shape == lopsided
    assert sensitivity.spread(stack, 2).min() >= 0
    assert sensitivity.spread(stack, 2).max() > 1


def test_what_is_known_of_the_map_is_for_these_networks():
    assert sensitivity.known(7) == {}
    for scale in (2, 4):
        found = sensitivity.known(scale)
        if found:
            assert set(found["networks"]) == {f"{name}-x{scale}" for name in sensitivity.NETWORKS}
            assert found["people"] if "people" in found else found["lost"]["people"] >= 2
            assert 0 <= found["lost"]["mean"] <= 1
    assert all(pretrained.card(f"{name}-x2") for name in sensitivity.NETWORKS)
