"""Shipped networks: cards, checksums, ONNX against Keras, any input right or refused in one line."""

import json
import shutil

import numpy as np
import pytest

from medsr_course import resources
from medsr_course.networks import pretrained, training
from medsr_course.networks.pretrained import Use, engines
from medsr_course.physics import acquisition, grid, interpolation, metrics, noise
from medsr_course.scans import volumes

NAMES = pretrained.names()


@pytest.fixture(scope="module")
def coarse():
    """Three slices of the template, four times too coarse, odd sides: in the unit of its file."""
    image = resources.template("t1")
    from medsr_course.scans import scanfiles

    return acquisition.kspace_crop(volumes.axial_slices(scanfiles.read(image), 3)[:, :228, :196], 4)


def test_there_is_the_network_of_chapter_00():
    assert "espcn-x4" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_a_reader_must_know(name):
    card = pretrained.card(name)
    for key in ("recipe", "data", "seed", "steps", "curve", "metrics", "intended_use", "not_for", "licence"):
        assert getattr(card, key) not in (None, "", [], {}), key
    assert set(card.files) == {f"{name}.weights.h5", f"{name}.onnx"}
    assert resources.path("weights", f"{name}.weights.h5").stat().st_size < 2e6
    assert card.recipe.endswith(name)
    assert name in training.recipes()
    assert not {"sub-66", "sub-71"} & set(card.trained_on.get("ds002748", []))


def in_float32(monkeypatch):
    """As where there is no engine for bfloat16."""
    monkeypatch.setattr(engines, "has_bfloat16", lambda: False)
    engines.session.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_onnx_equals_keras(name, coarse, monkeypatch):
    in_float32(monkeypatch)
    card = pretrained.card(name)
    model = pretrained.load(name)
    by_keras = pretrained.super_resolve_with(model.predict_on_batch, coarse, **pretrained.usage(card))
    by_onnx = pretrained.super_resolve(name, coarse)
    np.testing.assert_allclose(by_onnx, by_keras, atol=1e-5 * coarse.max())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("h", "w"), [(32, 32), (31, 27), (5, 8), (1, 1)])
def test_any_size_and_the_measured_part_stays(name, h, w):
    scale = pretrained.card(name).usage["scale"]
    stack = np.random.default_rng(0).random((2, h, w)) * 900 - 300  # signed, as a crop of k-space is
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
    assert metrics.psnr(pretrained.super_resolve(name, coarse), out) > 38


def test_intensity_rule():
    positive = np.linspace(0, 100, 1001)
    offset, scale = grid.intensity(positive)
    assert offset == 0
    assert scale == pytest.approx(99.5, abs=0.2)
    offset, scale = grid.intensity(positive - 50)
    assert offset == pytest.approx(-49.5)
    assert scale == pytest.approx(99)
    ringing = np.r_[positive, -2]
    assert grid.intensity(ringing)[0] == 0
    assert grid.intensity(np.zeros(5)) == (0.0, 0.0)


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
    in_float32(monkeypatch)
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
        pretrained.super_resolve("espcn-x4", coarse), interpolation.zero_fill(coarse, 4), atol=1e-5 * coarse.max()
    )


def test_gain_on_the_template(coarse):
    """The network has learned something, by the same numbers as the chapter's."""
    from medsr_course.scans import scanfiles

    target = volumes.axial_slices(scanfiles.read(resources.template("t1")), 3)[:, :228, :196]
    base = metrics.psnr(target, interpolation.zero_fill(coarse, 4))
    assert metrics.psnr(target, pretrained.super_resolve("espcn-x4", coarse)) > base + 0.3


def test_batches_are_bounded(monkeypatch):
    monkeypatch.setattr(pretrained.common, "BATCH_PIXELS", 100)
    seen = []

    def network(batch):
        seen.append(batch.shape)
        return np.repeat(np.repeat(0 * batch, 2, axis=1), 2, axis=2)

    pretrained.super_resolve_with(network, np.random.default_rng(0).random((5, 8, 8)), 2)
    side = 8 + 2 * pretrained.EDGE
    assert seen == [(1, side, side, 1)] * 5


@pytest.mark.parametrize("name", NAMES)
def test_a_bright_edge_is_no_cliff(name):
    """An image that is bright up to its border gets no rim from the padding of convolutions."""
    flat = np.full((1, 20, 23), 100.0, np.float32)
    flat[0, 9:11, 10:12] += 1
    assert np.abs(pretrained.super_resolve(name, flat) - 100).max() < 3


def nearest(batch):
    """A stand-in for a network: not consistent with the measurement at all."""
    return np.repeat(np.repeat(batch[..., :1], 2, axis=1), 2, axis=2)


@pytest.fixture(scope="module")
def noisy():
    """A disc with 3 % complex noise, as a magnitude, and the noise's standard deviation in its unit."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :90]
    disc = 500.0 * (np.hypot(y - 48, x - 45) < 25)
    return np.abs(disc + 15 * (rng.standard_normal((2, 96, 90)) + 1j * rng.standard_normal((2, 96, 90)))), 15.0


def off_measurement(out, stack):
    return np.linalg.norm(acquisition.kspace_crop(out, 2) - stack) / np.linalg.norm(stack)


def test_soft_consistency_weighs_both_by_their_variance(noisy):
    stack, sigma = noisy
    none, hard = (pretrained.super_resolve_with(nearest, stack, 2, mode) for mode in (None, "hard"))
    unit = grid.intensity(stack)[1]
    assert off_measurement(hard, stack) < 1e-5
    assert off_measurement(none, stack) > 0.1
    measured = noise.estimate(stack).sigma / unit
    assert measured == pytest.approx(sigma / unit, rel=0.05)
    for own in (0.003, 0.03, 0.3):
        soft = pretrained.super_resolve_with(nearest, stack, 2, "soft", own_error=own)
        kept = measured**2 / (measured**2 + own**2)
        np.testing.assert_allclose(soft, hard + kept * (none - hard), atol=1e-4 * unit)


def test_soft_consistency_between_its_two_ends(noisy):
    stack, _ = noisy
    none, hard = (pretrained.super_resolve_with(nearest, stack, 2, mode) for mode in (None, "hard"))
    soft = pretrained.super_resolve_with(
        nearest, stack, 2, "soft", own_error=1e-6
    )  # σ is large beside the network's error
    np.testing.assert_allclose(soft, none, atol=1e-3)
    soft = pretrained.super_resolve_with(nearest, stack, 2, "soft", own_error=1e3)
    np.testing.assert_allclose(soft, hard, atol=1e-3)


@pytest.mark.parametrize("own_error", [0.0, 0.01])
def test_soft_is_hard_where_there_is_no_noise(noisy, own_error):
    y, x = np.mgrid[:96, :90]
    clean = np.maximum(500.0 - 15 * np.hypot(y - 48, x - 45), 0)[None]
    for stack in (clean, noisy[0] - 300):  # magnitudes without noise; signed data, of whose noise nothing is known
        soft = pretrained.super_resolve_with(nearest, stack, 2, "soft", own_error=own_error, use=Use(unknown=0))
        np.testing.assert_array_equal(soft, pretrained.super_resolve_with(nearest, stack, 2, "hard"))


def test_signed_data_have_their_own_consistency(noisy):
    stack, _ = noisy
    for given, expected in ((stack, None), (stack - 300, "hard")):
        out = pretrained.super_resolve_with(nearest, given, 2, None, of_signed="hard")
        np.testing.assert_array_equal(out, pretrained.super_resolve_with(nearest, given, 2, expected))


def test_an_unknown_consistency_is_refused(noisy):
    with pytest.raises(ValueError, match="hard, soft") as caught:
        pretrained.super_resolve_with(nearest, noisy[0], 2, "Hard")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 12, 15), (1, 31, 20)])
def test_networks_on_zip_get_the_zero_filled_image(shape):
    from medsr_course.networks import models

    stack = np.random.default_rng(0).random(shape).astype(np.float32) * 300
    seen = []

    def network(batch):
        seen.append(batch)
        return 0.1 * batch

    out = pretrained.super_resolve_with(network, stack, 3, None, zero_filled=True)
    zipped = interpolation.zero_fill(stack, 3)
    np.testing.assert_allclose(out, 1.1 * zipped, rtol=1e-4, atol=1e-3)
    edge, (_, h, w) = 3 * pretrained.EDGE, zipped.shape
    inner = seen[0][:, edge : edge + h, edge : edge + w, 0] * grid.intensity(stack)[1]
    np.testing.assert_allclose(inner, zipped, rtol=1e-4, atol=1e-3)
    for name in models.ON_ZIP:
        model = models.build(name, scale=3)
        np.testing.assert_allclose(pretrained.super_resolve_with(model, stack, 3, zero_filled=True), zipped, atol=1e-3)


def test_a_noise_map_is_the_measured_noise(noisy):
    stack, _ = noisy
    unit = grid.intensity(stack)[1]
    seen = []

    def network(batch):
        seen.append(batch)
        return 0 * nearest(batch)

    pretrained.super_resolve_with(network, stack, 2, noise_map=True)
    assert seen[0].shape[-1] == 2
    np.testing.assert_allclose(seen[0][..., 1] * unit, noise.estimate(stack).sigma, rtol=1e-5)


def test_a_swapped_weight_is_refused(tmp_path, monkeypatch):
    """Another network's file under this name, whatever it holds."""
    shutil.copytree(resources.path("weights"), tmp_path / "weights")
    shutil.copy(tmp_path / "weights" / "espcn-x4.weights.h5", tmp_path / "weights" / "espcn-x4.onnx")
    monkeypatch.setattr(resources, "path", lambda *parts: tmp_path.joinpath(*parts))
    with pytest.raises(pretrained.WeightError, match="checksum") as caught:
        pretrained.super_resolve("espcn-x4", np.ones((1, 4, 4)))
    assert "\n" not in str(caught.value)
    with pytest.raises(pretrained.WeightError, match="checksum"):
        pretrained.verify("espcn-x4")
