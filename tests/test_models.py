"""Networks: shapes, the zero start, scaling, learning, on every scale and any height and width."""

import numpy as np
import pytest

from medsr_course.networks import models, pretrained, training
from medsr_course.physics import acquisition, interpolation

SMALL = {
    "srcnn": {"filters": (16, 8), "sizes": (5, 1, 3)},
    "fsrcnn": {"d": 16, "s": 8, "m": 1},
    "espcn": {"filters": 16, "depth": 3},
    "vdsr": {"filters": 16, "depth": 4},
    "drcn": {"filters": 16, "recursions": 2},
    "srresnet": {"filters": 16, "blocks": 1},
    "swinir": {"filters": 16, "groups": 1, "window": 4},
    "liif": {"filters": 16, "blocks": 1, "width": 16},
}
EVERY = [*models.superresolution.ARCHITECTURES, "swinir", "liif"]


def build(name, scale, **settings):
    return models.build(name, scale=scale, **{**SMALL[name], **settings})


def disturbed(name, scale, seed=0, **settings):
    """A network whose weights are no longer zero anywhere."""
    model = build(name, scale, **settings)
    rng = np.random.default_rng(seed)
    model.set_weights([w + 0.1 * rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def entry(name, scale, shape, channels=1):
    """Random input of a network for coarse images of ``(n, h, w)``."""
    n, h, w = shape
    factor = scale if name in models.ON_ZIP else 1
    return np.random.default_rng(0).random((n, factor * h, factor * w, channels)).astype(np.float32)


def test_there_are_small_settings_for_every_network():
    assert set(SMALL) == set(EVERY)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", EVERY)
def test_any_height_and_width(name, scale):
    model = disturbed(name, scale)
    for h, w in ((8, 8), (9, 13), (1, 2)):
        out = np.asarray(model(entry(name, scale, (2, h, w))))
        assert out.shape == (2, scale * h, scale * w, 1)
        assert out.any()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", EVERY)
def test_untrained_network_is_zero_filling(name, scale):
    model, stack = build(name, scale), np.random.default_rng(0).random((2, 9, 12)).astype(np.float32)
    out = pretrained.super_resolve_with(model, stack, scale, zero_filled=name in models.ON_ZIP)
    np.testing.assert_allclose(out, interpolation.zero_fill(stack, scale), atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", EVERY)
def test_output_scales_with_input(name, scale):
    model, x = disturbed(name, scale), entry(name, scale, (1, 7, 10))
    once, seven = np.asarray(model(x)), np.asarray(model(7 * x))
    np.testing.assert_allclose(seven, 7 * once, rtol=1e-4, atol=1e-4 * np.abs(once).max())


@pytest.mark.parametrize("name", EVERY)
def test_brightness_adds_no_detail(name):
    model, x = disturbed(name, 2), entry(name, 2, (1, 40, 41))
    inner = np.s_[:, 30:-30, 30:-30]  # beyond the border, where the padding is a difference
    plain, brighter = np.asarray(model(x))[inner], np.asarray(model(x + 3))[inner]
    np.testing.assert_allclose(brighter, plain, atol=1e-4 * np.abs(plain).max())


@pytest.mark.parametrize("name", EVERY)
def test_a_noise_map_is_read_and_scales_along(name):
    model, x = disturbed(name, 2, noise_map=True), entry(name, 2, (1, 9, 10), channels=2)
    out = np.asarray(model(x))
    assert out.shape == (1, 18, 20, 1)
    np.testing.assert_allclose(np.asarray(model(7 * x)), 7 * out, rtol=1e-4, atol=1e-4 * np.abs(out).max())
    assert np.abs(np.asarray(model(x * (1, 0))) - out).max() > 1e-3 * np.abs(out).max()
    assert not np.asarray(build(name, 2, noise_map=True)(x)).any()


@pytest.mark.parametrize("name", EVERY)
def test_the_seed_decides_the_weights(name):
    first, again, other = (build(name, 2, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", EVERY)
def test_mixed_precision_has_the_same_weights_in_float32(name):
    plain = disturbed(name, 2)
    with training.precision("mixed_bfloat16"):
        mixed = build(name, 2)
    assert [(w.shape, w.dtype) for w in mixed.get_weights()] == [(w.shape, w.dtype) for w in plain.get_weights()]
    assert {w.dtype for w in mixed.get_weights()} == {np.dtype(np.float32)}
    mixed.set_weights(plain.get_weights())
    x = entry(name, 2, (1, 12, 12))
    exact, rough = np.asarray(plain(x)), np.asarray(mixed(x))
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()


@pytest.fixture(scope="module")
def eight():
    """Eight coarse patches of discs, and what zero-filling misses of them."""
    y, x = np.mgrid[:16, :16]
    rng = np.random.default_rng(0)
    fine = np.stack([np.hypot(y - a, x - b) < r for a, b, r in rng.uniform(4, 12, (8, 3)) * (1, 1, 0.5)])
    fine = fine.astype(np.float32)
    coarse = acquisition.kspace_crop(fine, 2)
    zipped = interpolation.zero_fill(coarse, 2)
    return coarse, zipped, fine - zipped


@pytest.mark.parametrize("name", EVERY)
def test_overfits_eight_patches(name, eight):
    coarse, zipped, residual = (x[..., None] for x in eight)
    model = build(name, 2)
    x = zipped if name in models.ON_ZIP else coarse
    training.fit(model, lambda k: (x, residual), 300, learning_rate=1e-2)
    left = np.mean((np.asarray(model(x)) - residual) ** 2) / np.mean(residual**2)
    assert left < 0.3, f"{left:.0%} of the residual is left"


@pytest.mark.parametrize("name", EVERY)
def test_scales_that_do_not_exist_are_refused(name):
    with pytest.raises(ValueError, match="scale must be at least 2, not 1"):
        models.build(name, scale=1)


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("espcn", {"depth": 1}, "depth"),
        ("vdsr", {"depth": 1}, "depth"),
        ("drcn", {"recursions": 0}, "recursions"),
        ("srresnet", {"blocks": 0}, "blocks"),
        ("fsrcnn", {"m": 0}, "m must"),
        ("swinir", {"groups": 0}, "groups"),
        ("swinir", {"heads": 5}, "heads"),
        ("liif", {"blocks": 0}, "blocks"),
    ],
)
def test_networks_without_layers_are_refused(name, settings, word):
    with pytest.raises(ValueError, match=word):
        models.build(name, scale=2, **settings)


def test_unknown_networks_are_refused_with_those_there_are():
    with pytest.raises(ValueError, match="srresnet"):
        models.build("resnet", scale=2)


def test_discriminator_gives_a_logit_to_each_patch():
    judge = models.discriminator(filters=4)
    for side in (32, 45):
        assert judge(np.zeros((3, side, side, 1), np.float32)).shape == (3, 1)
