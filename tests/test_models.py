"""Networks and training: shapes, the zero start, scaling, learning, and going on after a kill."""

import numpy as np
import pytest

from medsr_course import classical, models, pretrained, training

SMALL = {"filters": 8, "depth": 3}


def trained_a_little(scale, seed=0):
    """A network whose weights are no longer zero anywhere."""
    model = models.espcn(scale, **SMALL)
    rng = np.random.default_rng(seed)
    model.set_weights([w + 0.1 * rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    return model


@pytest.mark.parametrize(("h", "w"), [(8, 8), (9, 13), (1, 2)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_height_and_width(scale, h, w):
    model = models.espcn(scale, **SMALL)
    assert model.predict_on_batch(np.ones((2, h, w, 1), np.float32)).shape == (2, scale * h, scale * w, 1)


def test_depth_to_space_puts_channel_0_on_sample_0():
    x = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 2, 3, 4)
    out = np.asarray(models.DepthToSpace(2)(x))[0, ..., 0]
    np.testing.assert_array_equal(out[::2, ::2], x[0, ..., 0])
    np.testing.assert_array_equal(out[::2, 1::2], x[0, ..., 1])
    np.testing.assert_array_equal(out[1::2, ::2], x[0, ..., 2])


def test_untrained_network_is_zero_filling(rng):
    stack = rng.random((2, 9, 12)).astype(np.float32)
    out = pretrained.enhance(models.espcn(2, **SMALL).predict_on_batch, stack, 2)
    np.testing.assert_allclose(out, classical.zero_fill(stack, 2), atol=1e-6)


def test_output_scales_with_input(rng):
    model = trained_a_little(2)
    x = rng.random((1, 12, 12, 1)).astype(np.float32)
    np.testing.assert_allclose(model.predict_on_batch(7 * x), 7 * model.predict_on_batch(x), rtol=1e-4, atol=1e-5)


def test_brightness_adds_no_detail(rng):
    model = trained_a_little(2)
    x = rng.random((1, 20, 20, 1)).astype(np.float32)
    inner = np.s_[:, 10:-10, 10:-10]  # beyond the border, where the padding is a difference
    np.testing.assert_allclose(model.predict_on_batch(x + 3)[inner], model.predict_on_batch(x)[inner], atol=1e-4)


def test_overfits_eight_patches(rng):
    x = rng.random((8, 8, 8, 1)).astype(np.float32)
    y = 0.1 * rng.standard_normal((8, 16, 16, 1)).astype(np.float32)
    model = models.espcn(2, filters=32, depth=3)
    training.fit(model, lambda k: (x, y), 400, learning_rate=1e-2)
    left = np.mean((model.predict_on_batch(x) - y) ** 2) / np.mean(y**2)
    assert left < 0.3, f"{left:.0%} of the residual is left"


@pytest.fixture(scope="module")
def patches():
    slices = [np.random.default_rng(k).random((48, 40)).astype(np.float32) for k in range(3)]
    return training.Patches(slices, training.Degradation(2), size=8, batch=4, per_slice=2)


def test_a_batch_depends_on_seed_and_number_alone(patches):
    for first, again in zip(patches(5), patches(5), strict=True):
        np.testing.assert_array_equal(first, again)
    assert not np.array_equal(patches(5)[0], patches(6)[0])


def test_pair_is_coarse_and_what_zero_filling_misses():
    image = np.random.default_rng(0).random((24, 32)).astype(np.float32)
    plain = training.Degradation(4, noise=(1e-9, 1e-8), shrink=1.0, gamma=1.0, inverted=0.0)
    coarse, residual = plain.pair(image, np.random.default_rng(1))
    fine = classical.zero_fill(coarse, 4) + residual
    # Up to a flip or rotation (made before the degradation), the sum is the slice itself.
    assert sorted(fine.shape) == [24, 32]
    np.testing.assert_allclose(np.sort(fine.ravel()), np.sort(image.ravel()), atol=1e-5)


def test_resumed_training_equals_uninterrupted(patches, tmp_path):
    straight, resumed = (models.espcn(2, **SMALL) for _ in range(2))
    whole = training.fit(straight, patches, 12, every=4)
    training.fit(resumed, patches, 12, every=4, checkpoint=tmp_path / "c.npz", stop_after=7)
    again = models.espcn(2, seed=99, **SMALL)  # what a new process starts with does not matter
    history = training.fit(again, patches, 12, every=4, checkpoint=tmp_path / "c.npz")
    assert history[-1][0] == whole[-1][0] == 12
    for a, b in zip(straight.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_checkpoint_of_another_network_is_refused(patches, tmp_path):
    training.fit(models.espcn(2, **SMALL), patches, 2, checkpoint=tmp_path / "c.npz")
    before = (tmp_path / "c.npz").read_bytes()
    with pytest.raises(training.TrainingError, match="another network"):
        training.fit(models.espcn(2, filters=4, depth=3), patches, 2, checkpoint=tmp_path / "c.npz")
    assert (tmp_path / "c.npz").read_bytes() == before


def test_a_loss_that_is_not_a_number_is_reported():
    bad = np.full((1, 8, 8, 1), np.nan, np.float32), np.zeros((1, 16, 16, 1), np.float32)
    with pytest.raises(training.TrainingError, match="learning rate"):
        training.fit(models.espcn(2, **SMALL), lambda k: bad, 2)


def test_no_steps_no_change(patches):
    model = trained_a_little(2)
    before = model.get_weights()
    assert training.fit(model, patches, 0) == []
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.fixture
def rng():
    return np.random.default_rng(0)
