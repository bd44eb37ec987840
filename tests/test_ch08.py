"""Chapter 08: its definitions against the package, its counting against cases whose answer is known; its promises."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught
from scipy import ndimage

from medsr_course import resources, runtime
from medsr_course.networks import models
from medsr_course.physics import metrics
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "08_gan_denoising.ipynb"
WANTED = {
    "my_judge",
    "my_players",
    "my_step",
    "my_nps",
    "fine_detail",
    "repeatable",
    "effective",
    "count_answers",
    "spots",
}


@pytest.fixture(scope="module")
def chapter():
    """Functions that the chapter defines, without running the rest of it."""
    keras = models.keras
    space = {
        "np": np,
        "keras": keras,
        "layers": keras.layers,
        "ops": keras.ops,
        "runtime": runtime,
        "verdict": keras.losses.BinaryCrossentropy(from_logits=True),
    } | {"PLACES": 8, "GAMES": 8, "DICE": 4, "DOUBT": 0.8}
    return taught("08", space, WANTED)


def test_my_judge_is_that_of_the_package(chapter):
    mine, theirs = chapter["my_judge"](filters=4), models.pair_discriminator(filters=4, seed=3)
    mine.set_weights(theirs.get_weights())
    pair = np.random.default_rng(0).random((3, 17, 20, 2)).astype(np.float32)
    a, b = (np.asarray(judge.predict_on_batch(pair)) for judge in (mine, theirs))
    np.testing.assert_allclose(a, b, atol=1e-5)
    swapped = np.asarray(mine.predict_on_batch(pair[..., ::-1]))  # wrong: the channels the other way round
    assert np.abs(swapped - b).max() > 1e-3


def test_each_player_stands_still_while_the_other_learns(chapter):
    keras = models.keras
    noisy_in = keras.Input((None, None, 1))
    generator = keras.Model(noisy_in, keras.layers.Conv2D(1, 3, padding="same")(noisy_in))
    judge = chapter["my_judge"](filters=2)
    side = chapter["my_players"](generator, judge, 1e-2, {"pixel": 1.0, "adversarial": 1.0})
    noisy, residual = np.random.default_rng(0).random((2, 2, 16, 16, 1)).astype(np.float32)

    def values(model):
        return [w.copy() for w in model.get_weights()]

    moved = {}
    for player, train in (("generator", side.train_on_batch), ("judge", judge.train_on_batch)):

        def watched(*args, train=train, player=player, **options):
            before = values(generator), values(judge)
            result = train(*args, **options)
            after = values(generator), values(judge)
            moved[player] = [
                any((a != b).any() for a, b in zip(x, y, strict=True)) for x, y in zip(before, after, strict=True)
            ]
            return result

        (side if player == "generator" else judge).train_on_batch = watched
    assert np.isfinite(chapter["my_step"](generator, judge, side, noisy, residual)).all()
    assert moved == {"generator": [True, False], "judge": [False, True]}


def test_my_noise_power_spectrum(chapter):
    images = np.random.default_rng(0).normal(5, 2, (8, 16, 16))
    mine = chapter["my_nps"](images, 0.5)
    radius = np.rint(16 * np.hypot(*np.meshgrid(*[np.fft.fftfreq(16)] * 2))).astype(int)
    rings = [mine[radius == k].mean() for k in range(1, 9)]
    np.testing.assert_allclose(rings, metrics.noise_power_spectrum(images, pixel_size=0.5)[1], rtol=1e-9)
    variance = images.var(axis=0, ddof=1).mean()
    assert mine.sum() / (16 * 0.5) ** 2 == pytest.approx(variance)  # Parseval: its integral is the variance
    biased = mine * 7 / 8  # wrong: divided by n
    assert biased.sum() / (16 * 0.5) ** 2 != pytest.approx(variance, rel=0.05)


def test_coloured_noise_is_not_white():
    noise = np.random.default_rng(0).normal(0, 1, (32, 32, 32))
    frequency, white = metrics.noise_power_spectrum(noise)
    soft = metrics.noise_power_spectrum(ndimage.gaussian_filter(noise, (0, 0.7, 0.7)))[1]  # wrong: filtered
    high = frequency > 0.25
    assert 0.9 < white[high].mean() / white[~high].mean() < 1.1
    assert soft[high].mean() / soft[~high].mean() < 0.5


def test_what_is_the_same_in_every_scan_is_repeatable(chapter):
    rng = np.random.default_rng(0)
    thing = np.repeat(rng.normal(size=(1, 32, 32)), 64, axis=0)
    noise = rng.normal(size=(64, 32, 32))
    for images, share in ((thing, 1.0), (noise, 0.0), (thing + noise, 0.5)):
        assert chapter["repeatable"](images) == pytest.approx(share, abs=0.05)


def test_the_cut_edges_of_a_region_are_no_detail(chapter):
    ramp = np.linspace(0, 100, 64) * np.ones((1, 64, 64))
    stripes = np.cos(np.arange(64) * np.pi * 0.8) * np.ones((1, 64, 64))
    fine = chapter["fine_detail"]
    assert fine(ramp).std() < 1e-3 * ramp.std()
    assert fine(stripes).std() > 0.3 * stripes.std()
    f = np.hypot(*np.meshgrid(*[np.fft.fftfreq(64)] * 2, indexing="ij"))
    bare = np.fft.ifft2(np.fft.fft2(ramp) * (f > 0.25)).real  # wrong: no window
    assert bare.std() > 0.05 * ramp.std()


class Sampler:
    """A generator that throws its dice as Bayes' rule says, or not at all."""

    def __init__(self, collapsed):
        self.collapsed = collapsed

    def predict_on_batch(self, asked):
        noisy = asked[..., :8]
        gumbel = 0 if self.collapsed else np.random.default_rng(0).gumbel(size=noisy.shape)
        return np.eye(8)[(noisy / 0.8**2 + gumbel).argmax(-1)]


def test_answers_are_counted(chapter):
    found, belief, wrong = chapter["count_answers"](Sampler(collapsed=False), rows=40, throws=400)
    np.testing.assert_allclose(found, belief, rtol=0.05)
    assert wrong.max() < 0.08  # a sample of 400 throws is never quite Bayes' shares
    found, _, wrong = chapter["count_answers"](Sampler(collapsed=True), rows=10, throws=50)
    np.testing.assert_allclose(found, 1)
    assert wrong.min() > 0.2
    assert chapter["effective"](np.full(8, 1 / 8)) == pytest.approx(8)


def test_exercises_and_quiz_are_there():
    names = exercises_of("08")
    assert names == {"08-for-the-judge", "08-noise-power", "08-effective-answers"}
    assert quiz_numbers("08") == pytest.approx([2.25, 1.384], abs=1e-3)


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "Unseen, sharp scans: PSNR",
        "Unseen, sharp scans: its spectrum error",
        "Real, sharp scans: its spectrum",
        "answers",
        "The control, with no adversary",
        "neither this scan's noise nor its missing detail",
    ):
        assert words in text


def test_the_judge_network_teaches_nobody():
    from medsr_course.networks import training

    taught = [r.players.features for r in training.recipes().values() if r.players]
    assert taught
    assert "features-judge" not in taught
