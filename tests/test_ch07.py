"""Chapter 07: its own functions, and its physics and invariant claims, each with an implementation that is wrong."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught

from medsr_course import resources
from medsr_course.networks import pretrained
from medsr_course.physics import grid, noise
from medsr_course.tasks import denoising
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "07_autoencoder_denoising.ipynb"
WANTED = ("Cloud", "squeeze", "tiles", "my_dncnn", "blind_spot", "at_hidden", "add_to", "squared", "repaired")


@pytest.fixture(scope="module")
def chapter():
    """Functions and classes that the chapter itself defines, by name, without running the rest of it."""
    from medsr_course.networks import models
    from medsr_course.networks.pretrained import denoise_with

    keras = models.keras
    space = {"np": np, "keras": keras, "layers": keras.layers, "ops": keras.ops, "SEED": 0}
    space |= {"denoise_with": denoise_with, "denoising": denoising, "grid": grid, "pretrained": pretrained}
    space |= {"from_squares": noise.from_squares}
    return taught("07", space, WANTED)


@pytest.fixture(scope="module")
def pair():
    """A disc in air with 6 % of Rician noise."""
    y, x = np.mgrid[:80, :84] - 40
    return denoising.pair(np.where(np.hypot(x, y) < 30, 100.0, 0.0)[None].astype(np.float32), 6)


def test_tiles_cut_squares(chapter):
    stack = np.arange(2 * 70 * 100).reshape(2, 70, 100)
    cut = chapter["tiles"](stack).reshape(2, 2, 3, 32, 32)
    assert np.array_equal(cut[1, 1, 2], stack[1, 32:64, 64:96])


def test_my_dncnn_is_that_of_the_package(chapter):
    from medsr_course.networks import models

    mine, theirs = chapter["my_dncnn"](8, 4), models.build("dncnn", filters=8, depth=4)
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.2, w.shape) for w in mine.get_weights()]
    x = rng.normal(size=(1, 21, 26, 1)).astype(np.float32)
    mine.set_weights(weights), theirs.set_weights(weights)
    a, b = (np.asarray(model(x)) for model in (mine, theirs))
    assert np.abs(a - b).max() < 1e-6 * np.abs(b).max()
    np.testing.assert_allclose(np.asarray(mine(2 * x)), 2 * a, atol=1e-5 * np.abs(a).max())
    theirs.set_weights([weights[0] * 1.1, *weights[1:]])
    assert np.abs(a - np.asarray(theirs(x))).max() > 1e-2 * np.abs(b).max()


def test_an_untrained_network_leaves_the_image_alone(chapter, pair):
    model = chapter["my_dncnn"](8, 3)
    assert np.array_equal(chapter["denoise_with"](model.predict_on_batch, pair.given), pair.given)
    model.set_weights([np.full_like(w, 0.1) for w in model.get_weights()])
    assert not np.allclose(chapter["denoise_with"](model.predict_on_batch, pair.given), pair.given)


def test_the_cloud_draws_in_training_only_and_knows_its_divergence(chapter):
    cloud = chapter["Cloud"](2.0)
    both = np.concatenate([np.full((4000, 3), 1.5), np.full((4000, 3), np.log(0.25))], axis=1).astype(np.float32)
    assert np.array_equal(np.asarray(cloud(both)), both[:, :3])
    drawn = np.asarray(cloud(both, training=True))
    assert abs(drawn.mean() - 1.5) < 0.03
    assert abs(drawn.std() - 0.5) < 0.02
    expected = 3 * (0.25 + 1.5**2 - 1 - np.log(0.25)) / 2  # of N(1.5, 0.25) from N(0, 1), three times
    assert float(cloud.losses[-1]) == pytest.approx(2 * expected, rel=1e-4)


def test_a_hidden_pixel_is_that_of_a_neighbour(chapter):
    noisy = np.random.default_rng(0).normal(size=(3, 20, 20, 1)).astype(np.float32)
    shown, target, _ = chapter["blind_spot"](lambda k: (noisy, None, np.ones(3)), share=0.1)(0)
    hidden = target[..., 1:] > 0
    assert 0.05 < hidden.mean() < 0.15
    assert np.array_equal(shown[~hidden], noisy[~hidden])
    assert (shown != noisy)[hidden].all()  # never the pixel itself
    np.testing.assert_allclose((shown + target[..., :1])[hidden], noisy[hidden], atol=1e-6)
    around = np.stack(
        [np.roll(noisy, s, (1, 2)) for s in ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))]
    )
    assert (np.abs(around - shown).min(axis=0) == 0)[hidden].all()


def test_the_blind_loss_looks_at_hidden_pixels_only(chapter):
    target = np.zeros((1, 4, 4, 2), np.float32)
    target[0, 1, 1] = 3.0, 1.0
    output = np.full((1, 4, 4, 1), 7.0, np.float32)
    assert float(np.asarray(chapter["at_hidden"](target, output))[0]) == pytest.approx((7 - 3) ** 2 / 2)


def test_targets_as_what_to_add(chapter):
    noisy, target = np.full((1, 2, 2, 1), 3.0), np.full((1, 2, 2, 1), 5.0)
    batches = lambda k: (noisy, target, None)  # noqa: E731
    assert np.all(chapter["add_to"](batches)(0)[1] == 2)
    given, add, _ = chapter["squared"](batches)(0)
    assert np.all(given == 9)
    assert np.all(given + add == 25)


def test_repaired_takes_the_bias_of_squares_off(chapter, pair):
    """With a network that knows the mean square, air comes out black, and the disc at its true brightness."""
    unit = grid.intensity(pair.given)[1]
    mean_square = (pair.target**2 + 2 * pair.sigma**2) / unit**2

    class Knows:
        @staticmethod
        def predict_on_batch(batch):
            known = np.pad(mean_square, ((0, 0), (16, 16), (16, 16)), mode="wrap")[..., None]
            return known - batch

    made = chapter["repaired"](Knows)(pair)
    np.testing.assert_allclose(made, pair.target, atol=0.05)
    bias = noise.rician_mean(pair.target, pair.sigma) - pair.target
    assert bias.max() > 1  # without it


def test_exercises_and_quiz_are_there():
    assert exercises_of("07") == {"07-signal-behind", "07-hide", "07-tune"}
    assert quiz_numbers("07") == pytest.approx([8 * np.sqrt(np.pi / 2)])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "at an edge of those tried",
        "DnCNN trained here beats the best filter",
        "Shipped networks beat the best filter",
        "At every level and for both kinds",
        "Noise2Noise stays behind clean targets",
        "Given 9 %, a network for 3 %",
        "learns the Rician mean",
        "Real test scans, every level",
        "Noise of 0.3 to 1 %",
        "its own grid is ahead of the file's grid",
        "Low field, shield: trained on real repetitions",
        "Low field, shield: over the best filter",
    ):
        assert words in text
