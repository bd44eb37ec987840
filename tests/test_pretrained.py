"""Shipped networks: cards, checksums, ONNX against Keras, any input right or refused in one line."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import require

from medsr_course import acquisition, classical, metrics, pretrained, resources, training, volumes

NAMES = pretrained.names()


@pytest.fixture(scope="module")
def coarse():
    """Three slices of the template, four times too coarse, odd sides: in the unit of its file."""
    image = resources.template("t1")
    from medsr_course import scanfiles

    return acquisition.kspace_crop(volumes.axial_slices(scanfiles.read(image), 3)[:, :228, :196], 4)


def test_there_is_the_network_of_chapter_00():
    assert "espcn-x4" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_a_reader_must_know(name):
    card = pretrained.card(name)
    for key in ("recipe", "data", "seed", "steps", "curve", "metrics", "intended_use", "not_for", "licence"):
        assert card[key] not in (None, "", [], {}), key
    assert set(card["files"]) == {f"{name}.weights.h5", f"{name}.onnx"}
    assert resources.path("weights", f"{name}.weights.h5").stat().st_size < 2e6
    assert name in training.recipes()
    assert not {"sub-66", "sub-71"} & set(card["trained_on"].get("ds002748", []))


@pytest.mark.parametrize("name", NAMES)
def test_onnx_equals_keras(name, coarse):
    card = pretrained.card(name)
    model = pretrained.load(name)
    by_keras = pretrained.enhance(model.predict_on_batch, coarse, card["scale"], card["data_consistency"])
    by_onnx = pretrained.super_resolve(name, coarse)
    np.testing.assert_allclose(by_onnx, by_keras, atol=1e-5 * coarse.max())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("h", "w"), [(32, 32), (31, 27), (5, 8), (1, 1)])
def test_any_size_and_the_measured_part_stays(name, h, w):
    scale = pretrained.card(name)["scale"]
    stack = np.random.default_rng(0).random((2, h, w)) * 900
    out = pretrained.super_resolve(name, stack)
    assert out.shape == (2, scale * h, scale * w)
    assert out.dtype == np.float32
    np.testing.assert_allclose(acquisition.kspace_crop(out, scale), stack, atol=1e-5 * 900)


@pytest.mark.parametrize("name", NAMES)
def test_unit_does_not_matter(name, coarse):
    out = pretrained.super_resolve(name, coarse)
    np.testing.assert_allclose(pretrained.super_resolve(name, coarse * 1e-3), out * 1e-3, atol=1e-8 * out.max())
    whole = np.round(coarse).astype(np.int16)
    np.testing.assert_allclose(
        pretrained.super_resolve(name, whole), pretrained.super_resolve(name, whole * 1.0), atol=1e-3
    )


@pytest.mark.parametrize("name", NAMES)
def test_signed_data_keep_their_zero(name, coarse):
    """HU-like data: shifting the input shifts the output (up to the percentile that sets the scale)."""
    hounsfield = coarse - 1000
    out = pretrained.super_resolve(name, hounsfield) + 1000
    assert metrics.psnr(pretrained.super_resolve(name, coarse), out) > 45


def test_intensity_rule():
    positive = np.linspace(0, 100, 1001)
    offset, scale = pretrained.intensity(positive)
    assert offset == 0
    assert scale == pytest.approx(99.5, abs=0.2)
    offset, scale = pretrained.intensity(positive - 50)
    assert offset == pytest.approx(-49.5)
    assert scale == pytest.approx(99)
    ringing = np.r_[positive, -2]
    assert pretrained.intensity(ringing)[0] == 0
    assert pretrained.intensity(np.zeros(5)) == (0.0, 0.0)


@pytest.mark.parametrize("value", [0.0, 5.0, -5.0])
def test_constant_images_stay_constant(value):
    stack = np.full((1, 32, 32), value)
    # The network takes what lies beyond the image for zero; samples further from the border than it sees do not.
    inner = pretrained.super_resolve("espcn-x4", stack)[:, 36:-36, 36:-36]
    np.testing.assert_allclose(inner, value, atol=0.02 * abs(value) + 1e-6)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (np.zeros((4, 4)), r"\(n, h, w\)"),
        (np.zeros((1, 4, 4, 1)), r"\(n, h, w\)"),
        (np.zeros((0, 4, 4)), r"\(n, h, w\)"),
        (np.full((1, 4, 4), np.nan), "NaN"),
        (np.full((1, 4, 4), np.inf), "infinite"),
        (np.zeros((1, 4, 4), complex), "real"),
        (np.array([[["a"]]]), "real"),
    ],
)
def test_bad_input_is_refused_in_one_line(stack, message):
    with pytest.raises(ValueError, match=message) as caught:
        pretrained.super_resolve("espcn-x4", stack)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_refused():
    for name in ("espcn-x3", "nonsense", "../espcn-x4"):
        with pytest.raises(pretrained.WeightError, match="espcn-x4"):
            pretrained.super_resolve(name, np.zeros((1, 4, 4)))
    with pytest.raises(training.TrainingError, match="espcn-x4"):
        training.train_weight("nonsense")


@pytest.mark.parametrize("suffix", [".onnx", ".weights.h5"])
def test_an_altered_weight_is_refused(suffix, tmp_path, monkeypatch):
    shutil.copytree(resources.path("weights"), tmp_path / "weights")
    file = tmp_path / "weights" / f"espcn-x4{suffix}"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    monkeypatch.setattr(resources, "path", lambda *parts: tmp_path.joinpath(*parts))
    use = pretrained.load if suffix == ".weights.h5" else lambda n: pretrained.super_resolve(n, np.ones((1, 4, 4)))
    with pytest.raises(pretrained.WeightError, match="checksum"):
        use("espcn-x4")


def test_keras_serves_where_there_is_no_onnx(tmp_path, monkeypatch, coarse):
    expected = pretrained.super_resolve("espcn-x4", coarse)
    shutil.copytree(resources.path("weights"), tmp_path / "weights")
    card = tmp_path / "weights" / "espcn-x4.json"
    about = json.loads(card.read_text(encoding="utf-8"))
    del about["files"]["espcn-x4.onnx"]
    card.write_text(json.dumps(about), encoding="utf-8")
    monkeypatch.setattr(resources, "path", lambda *parts: tmp_path.joinpath(*parts))
    np.testing.assert_allclose(pretrained.super_resolve("espcn-x4", coarse), expected, atol=1e-5 * coarse.max())


def test_null_run_is_zero_filling(monkeypatch, coarse):
    monkeypatch.setenv("MEDSR_NULL", "1")
    np.testing.assert_allclose(
        pretrained.super_resolve("espcn-x4", coarse), classical.zero_fill(coarse, 4), atol=1e-5 * coarse.max()
    )


def test_gain_on_the_template(coarse):
    """The network has learned something, by the same numbers as the chapter's."""
    from medsr_course import scanfiles

    target = volumes.axial_slices(scanfiles.read(resources.template("t1")), 3)[:, :228, :196]
    base = metrics.psnr(target, classical.zero_fill(coarse, 4))
    assert metrics.psnr(target, pretrained.super_resolve("espcn-x4", coarse)) > base + 0.3


def test_batches_are_bounded(monkeypatch):
    monkeypatch.setattr(pretrained, "BATCH_PIXELS", 100)
    seen = []

    def network(batch):
        seen.append(batch.shape)
        return np.repeat(np.repeat(0 * batch, 2, axis=1), 2, axis=2)

    pretrained.enhance(network, np.random.default_rng(0).random((5, 8, 8)), 2)
    side = 8 + 2 * pretrained.EDGE
    assert seen == [(1, side, side, 1)] * 5


@pytest.mark.parametrize("name", NAMES)
def test_a_bright_edge_is_no_cliff(name):
    """An image that is bright up to its border gets no rim from the padding of convolutions."""
    flat = np.full((1, 20, 23), 100.0, np.float32)
    flat[0, 9:11, 10:12] += 1
    assert np.abs(pretrained.super_resolve(name, flat) - 100).max() < 2


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_keras_backends_agree(backend):
    """The same weights on another backend, in a process of its own, give ONNX Runtime's residual."""
    require(backend, importlib.util.find_spec(backend), f"needs the extra [{backend}]: pip install {backend}")
    code = (
        "import numpy as np; from medsr_course import pretrained\n"
        "x = np.random.default_rng(0).random((1, 20, 21, 1), 'f4')\n"
        f"for name in {NAMES!r}:\n"
        " gap = np.asarray(pretrained.load(name).predict_on_batch(x)) - pretrained._network(name)(x)\n"
        " print(float(np.abs(gap).max()))"
    )
    environment = dict(os.environ, KERAS_BACKEND=backend, MEDSR_NULL="")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert max(map(float, done.stdout.split())) < 1e-5
