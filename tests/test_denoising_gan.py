"""A discriminator that sees the noisy image, too, and the noise power spectrum."""

import numpy as np
import pytest
from scipy import ndimage

from medsr_course.networks import models, pretrained, training
from medsr_course.networks.training import adversarial, denoising
from medsr_course.physics import metrics


class Noisy:
    """A degradation of scale 1: the clean slice, and its magnitude with noise."""

    scale = 1

    def pair(self, image, rng):
        real, imaginary = 0.05 * rng.standard_normal((2, *image.shape), dtype=np.float32)
        return np.hypot(image + real, imaginary), image, 0.05


@pytest.fixture(scope="module")
def batches():
    slices = [image.astype(np.float32) for image in training.dead_leaves(3, 48)]
    return training.Patches(slices, Noisy(), size=24, batch=2, pool=4, noise_map=True)


def generator():
    keras = models.keras
    image = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", use_bias=False)(image)
    return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", use_bias=False)(x))


def test_a_conditional_discriminator_learns_at_scale_1(batches):
    judge = models.pair_discriminator(filters=4)
    made, before = generator(), [w.copy() for w in judge.get_weights()]
    start = [w.copy() for w in made.get_weights()]
    history = adversarial.fit(made, judge, None, batches, 2, adversarial.Players(margin=2, conditional=True), every=1)
    assert np.isfinite(history).all()
    assert len(history) == 2
    for old, model in ((before, judge), (start, made)):
        assert any((a != b).any() for a, b in zip(old, model.get_weights(), strict=True))


def test_another_discriminator_is_refused(batches):
    conditional = adversarial.Players(conditional=True)
    with pytest.raises(ValueError, match="shape"):
        adversarial.fit(generator(), models.discriminator(filters=4), None, batches, 1, conditional)


def test_what_it_is_shown(batches):
    """First channel: the true image, then the made one; second channel: the noisy image they belong to, both times."""
    seen = []

    class Watched:
        def __init__(self, model):
            self.model = model

        def __call__(self, *args, **kwargs):
            return self.model(*args, **kwargs)

        def __getattr__(self, name):
            return getattr(self.model, name)

        def train_on_batch(self, images, labels, **options):
            seen.append((images, labels))
            return self.model.train_on_batch(images, labels, **options)

    noisy, residual, *_ = batches(0)
    judge = Watched(models.pair_discriminator(filters=4))
    adversarial.fit(generator(), judge, None, batches, 1, adversarial.Players(margin=2, conditional=True))
    (images, labels), inner = seen[0], np.s_[:, 2:-2, 2:-2]
    assert images.shape == (4, 20, 20, 2)
    np.testing.assert_array_equal(labels[:, 0], [1, 1, 0, 0])
    np.testing.assert_allclose(images[:2, ..., 0], (noisy[..., :1] + residual)[inner][..., 0], atol=1e-6)
    for half in (images[:2], images[2:]):
        np.testing.assert_array_equal(half[..., 1], noisy[inner][..., 0])
    assert np.abs(images[2:, ..., 0] - images[:2, ..., 0]).max() > 1e-3


def test_noise_power_spectrum_of_white_noise():
    """Flat, σ²·a²; the object does not count, nor does the number of realisations, but for the scatter."""
    rng = np.random.default_rng(0)
    thing = 50 * rng.random((40, 48))
    for n in (2, 64):
        frequency, power = metrics.noise_power_spectrum(thing + rng.normal(0, 2, (n, 40, 48)), pixel_size=0.5)
        assert frequency[-1] == pytest.approx(1.0)
        assert power.mean() == pytest.approx(4 * 0.25, rel=0.1 if n == 2 else 0.03)


def test_noise_power_spectrum_of_filtered_noise():
    """A filter multiplies it by its transfer function's square."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, (64, 48, 48))
    soft = ndimage.gaussian_filter(noise, (0, 1, 1), mode="wrap")
    frequency, before = metrics.noise_power_spectrum(noise)
    after = metrics.noise_power_spectrum(soft)[1]
    low = frequency < 0.3
    transfer = np.exp(-2 * (np.pi * frequency) ** 2)
    np.testing.assert_allclose((after / before)[low], transfer[low] ** 2, rtol=0.15)


def test_one_realisation_has_no_noise_power_spectrum():
    with pytest.raises(ValueError, match="two realisations"):
        metrics.noise_power_spectrum(np.zeros((1, 8, 8)))


def test_what_the_conditional_judge_looks_at():
    """Brightness moves its verdict little; a tenth of that as noise taken away, much."""
    judge = models.pair_discriminator(filters=8)
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((1, 40, 40, 1)), (0, 2, 2, 0)).astype(np.float32)
    noise = 0.05 * rng.standard_normal(image.shape).astype(np.float32)

    def verdict(image, noisy):
        return float(np.asarray(judge(np.concatenate([image, noisy], axis=-1)))[0, 0])

    start = verdict(image, image)
    brighter = abs(verdict(image + 0.05, image + 0.05) - start)
    assert abs(verdict(image, image + noise) - start) > 3 * brighter
    for h, w in ((9, 17), (32, 33)):
        assert judge(np.zeros((2, h, w, 2), np.float32)).shape == (2, 1)


def test_the_card_tells_of_three_games():
    card = pretrained.card("dncnn-gan-magnitude")
    start = pretrained.card(card.start)
    assert (card.architecture, card.settings) == (start.architecture, start.settings)
    assert card.task == "denoising"
    recipe = denoising.RECIPES["dncnn-gan-magnitude"]
    assert list(card.seeds) == [str(seed) for seed in recipe.seeds]
    assert card.curve == card.seeds[str(card.seed)]["curve"]
    for entry in card.seeds.values():
        assert np.shape(entry["curve"])[1] == len(card.curve_columns)
        assert entry["curve"][-1][0] == recipe.steps
        losses = [row["PSNR loss (dB)"] for row in entry["trade"].values()]
        assert 0.3 < np.mean(losses) < 2
    sharp = card.perception["cohort test, T1w"]
    assert sharp["spectrum error"] < 0.5 * sharp["spectrum error, start"]


def test_against_itself_nothing_is_lost_or_won():
    name = "dncnn-magnitude-stage1"
    rng = np.random.default_rng(0)
    image = 100 * ndimage.gaussian_filter(rng.random((2, 48, 52)), (0, 2, 2)).astype(np.float32)
    row = denoising.trade(pretrained.network(name), name, {"one": image})
    assert row["PSNR loss (dB)"] == 0
    assert row["spectrum error"] == row["spectrum error, start"] > 0
    assert row["perceptual distance"] == row["perceptual distance, start"] > 0


def test_there_is_no_such_recipe():
    with pytest.raises(training.TrainingError, match="no recipe"):
        training.train("dncnn-colour")
