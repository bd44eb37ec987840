"""Chapter 18: its definitions against the package, its physics claims each with something wrong; exercises; layout."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught

from medsr_course import resources
from medsr_course.networks import models, pretrained, training
from medsr_course.networks.framework import keras
from medsr_course.networks.pretrained import diffusion, plug_and_play
from medsr_course.networks.training import single
from medsr_course.physics import grid, interpolation, metrics
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "18_beyond_cnns.ipynb"
WANTED = {"my_windows", "my_weights", "my_window_attention", "my_step", "my_field", "my_siren", "my_iteration"}


@pytest.fixture(scope="module")
def chapter():
    space = {"np": np, "keras": keras, "interpolation": interpolation, "kspace_crop": kspace_crop, "SCALE": 4}
    return taught("18", space, WANTED)


def randomised(model, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [w.shape for w in model.get_weights()]
    model.set_weights([rng.standard_normal(s) / np.sqrt(max(np.prod(s[:-1]), 1)) for s in shapes])
    return model


def disc(size=96):
    y, x = np.mgrid[:size, :size] - size / 2
    image = np.where(np.hypot(y, x) < 0.4 * size, 0.6, 0.0) + 0.3 * (np.hypot(y - 9, x + 7) < 0.1 * size)
    return kspace_crop(image[None].astype(np.float32), 1)


# ---------------------------------------------------------------- attention


def _attention(heads=2, window=4, shift=0, seed=0):
    layer = models.attention.WindowAttention(heads, window, shift)
    layer.build((None, None, None, 6))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.standard_normal(w.shape) for w in layer.get_weights()])
    return layer


def _heads(layer):
    qkv, out, bias, sharpness = layer.get_weights()
    parts, size = np.split(qkv, 3 * layer.heads, axis=1), layer.window**2
    own = [np.concatenate(parts[k :: layer.heads], axis=1) for k in range(layer.heads)]
    return [(own[k], bias[k][layer.offsets].reshape(size, size), sharpness[k]) for k in range(layer.heads)], out


def test_window_attention_is_the_package_s(chapter):
    layer = _attention()
    heads, out = _heads(layer)
    x = np.random.default_rng(1).standard_normal((8, 12, 6)).astype(np.float32)
    mine = chapter["my_window_attention"](x, heads, out, 4)
    theirs = chapter["my_windows"](np.asarray(layer(x[None]))[0], 4)
    np.testing.assert_allclose(mine, theirs, atol=1e-4 * np.abs(theirs).max())
    wrong = [(own, bias.T, sharp) for own, bias, sharp in heads]  # wrong: offsets turned round
    assert np.abs(chapter["my_window_attention"](x, wrong, out, 4) - theirs).max() > 0.01 * np.abs(theirs).max()


def test_windows_see_themselves_only_and_shifted_ones_their_neighbours():
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 6)).astype(np.float32)
    pushed = x.copy()
    pushed[0, 3, 3] += 1
    for shift, reached in ((0, 4), (2, 6)):
        layer = _attention(shift=shift)
        change = np.abs(np.asarray(layer(pushed)) - np.asarray(layer(x)))[0].max(axis=-1)
        rows = np.flatnonzero(change.max(axis=1) > 1e-5)
        assert (rows.min(), rows.max()) == ((0, 3) if shift == 0 else (2, 5)), (shift, reached)


def test_attention_scales_with_its_input_and_layer_normalisation_would_not():
    layer = _attention()
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 6)).astype(np.float32)
    once, seven = np.asarray(layer(x)), np.asarray(layer(7 * x))
    np.testing.assert_allclose(seven, 7 * once, atol=1e-3 * np.abs(seven).max())
    normalised = keras.layers.LayerNormalization()
    wrong = np.asarray(layer(normalised(7 * x)))  # wrong: what SwinIR has before each layer
    assert np.abs(wrong - 7 * np.asarray(layer(normalised(x)))).max() > np.abs(once).max()


# ---------------------------------------------------------------- diffusion


def test_one_step_is_the_package_s_and_exact_for_the_true_velocity(chapter):
    clean, noise = np.random.default_rng(0).standard_normal((2, 1, 4, 5, 16))
    for now in (1.0, 0.7, 0.2):
        alpha, sigma = diffusion.mixed(now)
        x, velocity = alpha * clean + sigma * noise, alpha * noise - sigma * clean
        for then in (0.0, now / 2):
            alpha, sigma = diffusion.mixed(then)
            np.testing.assert_allclose(chapter["my_step"](x, velocity, now, then), alpha * clean + sigma * noise)
            np.testing.assert_allclose(diffusion.step(x, velocity, now, then), alpha * clean + sigma * noise, atol=1e-5)
        straight = x - now * velocity  # wrong: a straight line leaves the circle
        assert np.abs(straight - clean).max() > 0.01


def test_layouts_are_those_of_the_sub_pixel_layer():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 16)).astype(np.float32)
    from medsr_course.networks.layers import DepthToSpace

    fine = diffusion.to_fine(x, 4)
    np.testing.assert_array_equal(fine, np.asarray(DepthToSpace(4)(x)))
    np.testing.assert_array_equal(diffusion.to_coarse(fine, 4), x)


def test_a_network_that_knows_the_residual_samples_it_and_the_seed_decides_the_noise():
    coarse = np.abs(kspace_crop(disc(), 4))
    truth = np.random.default_rng(3).standard_normal((16,)).astype(np.float32)

    def oracle(batch):
        image, x, level = batch
        alpha, sigma = (part[:, None, None] for part in diffusion.mixed(level))
        return (alpha * x - truth) / np.maximum(sigma, 1e-6)  # v, where the clean residual is known

    made = pretrained.sample_with(oracle, coarse, 4, unit=0.01, steps=5, samples=2)
    np.testing.assert_allclose(made[0], made[1], atol=1e-4)
    added = (made[0] - interpolation.zero_fill(coarse, 4)) / grid.intensity(coarse)[1]
    np.testing.assert_allclose(added[0, 8:12, 8:12].ravel(), 0.01 * truth, atol=1e-4)

    def lost(batch):
        return 0 * batch[1]

    one, again, other = (pretrained.sample_with(lost, coarse, 4, unit=0.01, steps=3, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    with pytest.raises(ValueError, match="at least 1"):
        pretrained.sample_with(lost, coarse, 4, unit=0.01, steps=0)


def test_the_untrained_network_tells_no_velocity_and_reads_all_that_it_is_given():
    model = models.build("diffusion", scale=2, filters=(8, 12), blocks=(1, 1))
    rng = np.random.default_rng(0)
    entries = [rng.random(shape).astype(np.float32) for shape in ((2, 7, 9, 1), (2, 7, 9, 4), (2, 1))]
    assert not np.asarray(model(entries)).any()
    out = np.asarray(randomised(model)(entries))
    assert out.shape == (2, 7, 9, 4)
    for k in range(3):
        changed = [x + (0.3 * rng.random(x.shape).astype(np.float32) if i == k else 0) for i, x in enumerate(entries)]
        assert np.abs(np.asarray(model(changed)) - out).max() > 1e-3 * np.abs(out).max()


def test_its_batches_hold_the_velocity_of_what_they_mix():
    recipe = training.recipes()["diffusion-x4"]
    task = training.TASKS["diffusion"]
    slices = [disc(256)[0] + 0.1 for _ in range(2)]
    (coarse, noisy, level), velocity = task.batches(recipe, slices, None)(0)
    assert coarse.shape[1:] == (24, 24, 1)
    assert noisy.shape == velocity.shape == (16, 24, 24, 16)
    alpha, sigma = (part[..., None, None] for part in diffusion.mixed(level))
    clean, noise = alpha * noisy - sigma * velocity, sigma * noisy + alpha * velocity
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert abs((clean * noise).mean()) < 0.02
    assert np.abs(np.sort(level[:, 0]) - (np.arange(16) + 0.5) / 16).max() < 0.5 / 16 + 1e-6


# ---------------------------------------------------------------- implicit, and one scan alone


def test_field_is_the_package_s_and_its_weights_fit_every_scale(chapter):
    model = randomised(models.build("liif", scale=4, filters=8, blocks=1, width=8))
    layer = next(one for one in model.layers if hasattr(one, "waves"))
    own = {weight.name: np.asarray(weight) for weight in layer.weights}
    features = np.random.default_rng(0).standard_normal((5, 6, 8)).astype(np.float32)
    theirs = np.asarray(layer(features[None]))[0]
    np.testing.assert_allclose(chapter["my_field"](features, own, 4), theirs, atol=1e-4 * np.abs(theirs).max())
    turned = np.asarray(layer(features[None])).reshape(5, 6, 4, 4).swapaxes(2, 3).reshape(5, 6, 16)
    assert np.abs(turned - theirs).max() > 0.01 * np.abs(theirs).max()  # wrong: columns first
    other = models.build("liif", scale=2, filters=8, blocks=1, width=8)
    other.set_weights(model.get_weights())
    x = np.random.default_rng(1).random((1, 9, 9, 1)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(other(x)), np.asarray(model(x))[:, ::2, ::2], atol=1e-5)


def test_fields_of_sines(chapter):
    places = single.on_grid(5, 7)
    assert places.shape == (35, 2)
    assert (places[0] == -1).all()
    assert (places[-1] == 1).all()
    mine, theirs = chapter["my_siren"](15.0), models.build("siren", frequency=15.0)
    np.testing.assert_allclose(mine.predict_on_batch(places[None]), theirs.predict_on_batch(places[None]), atol=1e-5)


def test_misfit_is_that_of_the_crop():
    fine, coarse = np.random.default_rng(0).random((1, 16, 24)), np.random.default_rng(1).random((1, 4, 6))
    loss = single.misfit((4, 6), (16, 24))(coarse.astype(np.float32), fine.reshape(1, -1, 1).astype(np.float32))
    assert float(loss[0]) == pytest.approx(np.mean((kspace_crop(fine, 4) - coarse) ** 2), rel=1e-4)
    assert float(loss[0]) != pytest.approx(np.mean((fine[:, ::4, ::4] - coarse) ** 2), rel=0.05)  # wrong: every fourth


def test_a_field_keeps_what_was_measured():
    coarse = np.abs(kspace_crop(disc(), 4))
    made = single.field(coarse[0], 4, 3)
    assert made.shape == (96, 96)
    np.testing.assert_allclose(kspace_crop(made[None], 4), coarse, atol=1e-4)


def test_zero_shot_keeps_the_unit_and_refuses_odd_scales():
    coarse = 700 * np.abs(kspace_crop(disc(160), 4))
    made = single.zero_shot(coarse, 4, 2)
    assert made.shape == (1, 160, 160)
    assert metrics.psnr(700 * disc(160), made) > metrics.psnr(700 * disc(160), 0 * made) + 10
    with pytest.raises(ValueError, match="multiple of 2"):
        single.zero_shot(coarse, 3, 2)


# ---------------------------------------------------------------- plug and play


def test_iterations_are_the_package_s_and_keep_what_was_measured(chapter):
    chapter["denoiser"] = pretrained.network("dncnn-magnitude")
    coarse = np.abs(kspace_crop(disc(), 4))
    coarse /= grid.intensity(coarse)[1]
    x = interpolation.zero_fill(coarse, 4)
    for sigma in np.geomspace(0.1, 0.02, 3):
        x = chapter["my_iteration"](x, coarse, sigma)
    made = plug_and_play.plug_and_play(coarse, 4, strengths=(0.1, 0.02), steps=3)
    np.testing.assert_allclose(x, made, atol=2e-3)
    np.testing.assert_allclose(kspace_crop(made, 4), coarse, atol=1e-5)
    loose = plug_and_play.denoised(pretrained.network("dncnn-magnitude"), x, 0.1)  # wrong: nothing put back
    assert np.abs(kspace_crop(loose, 4) - coarse).max() > 1e-3


def test_plug_and_play_of_nothing_is_nothing():
    assert not plug_and_play.plug_and_play(np.zeros((1, 8, 8)), 4).any()


# ---------------------------------------------------------------- equal time, layout


def test_the_families_share_all_but_network_steps_and_rate():
    names = ("twin-x4", "swinir-x4", "liif-x4", "diffusion-x4")
    recipes = [training.recipes()[name] for name in names]
    for field in ("share", "size", "batch", "margin", "precision", "seed"):
        assert len({str(getattr(recipe, field)) for recipe in recipes}) == 1, field
    degradations = {str(training.TASKS[r.task].options(r)["degradation"]) for r in recipes}
    assert len(degradations) == 1


def test_exercises_and_quiz_are_there():
    assert exercises_of("18") == {"18-windows", "18-step", "18-measured"}
    assert quiz_numbers("18") == pytest.approx([16, 2])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("window attention", "My step", "spectrum error", "null space", "that one sample keeps",
                  "field trained at ×4", "Plug and play beats ZIP", "equal processor time"):  # fmt: skip
        assert words in text


def test_the_shipped_diffusion_network_is_the_same_in_keras_and_onnx():
    rng = np.random.default_rng(0)
    entries = [rng.random(shape).astype(np.float32) for shape in ((1, 9, 11, 1), (1, 9, 11, 16), (1, 1))]
    by_keras = pretrained.load("diffusion-x4").predict_on_batch(entries)
    by_onnx = pretrained.network("diffusion-x4")(entries)
    np.testing.assert_allclose(by_onnx, by_keras, atol=1e-4 * np.abs(by_keras).max())
    card = pretrained.verify("diffusion-x4")
    assert set(card.files) == {"diffusion-x4.weights.h5", "diffusion-x4.onnx"}
    assert card.training["processor_seconds"] > 0


def test_the_table_of_the_families_is_made_of_rows():
    from medsr_course.networks.training import sources
    from tools import beyond

    shared = {"gain_head": 0.5, "spectrum_error": 0.6, "seconds": 0.1}
    rows = []
    for k, name in enumerate(beyond.TITLES):
        for scan in ("a", "b"):
            group = f"{sources.COHORT_TEST}, T1w"
            rows.append({"group": group, "scan": scan, "method": name, "gain": 1.0 - 0.1 * k, **shared})
        rows.append({"group": "real test: head, T1w", "scan": "head T1w", "method": name, "gain": 0.3, **shared})
    spots = [
        {"group": "", "method": "one", "spot": 0.2, "size": s, "kept": 0.5, "lesion": "lesion"} for s in (0.5, 1, 2, 3)
    ]
    page = beyond.report(rows + spots, [{"network": "plug", "learning_rate": "", "setting": "0.2", "gain": "0.5"}])
    assert "| window attention | 2 | +0.90 (+0.90 … +0.90) | +0.50 (+0.50 … +0.50) | -0.10 (-0.10 … -0.10) |" in page
    assert "| test: head, T1w (head T1w) | +0.30 |" in page
    assert "| diffusion, one sample | 50% | 50% | 50% | 50% | 100.0% (51.0%–100.0%) |" in page
    assert "| plug | 0.2 | +0.50 |" in page
