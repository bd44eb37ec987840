"""Chapter 12: its definitions against the package, its physics claims each with something wrong; exercises; layout."""

import numpy as np
import pytest
from conftest import code_cells, exercises_of, quiz_numbers, taught
from scipy import ndimage

from medsr_course import resources, runtime
from medsr_course.physics import acquisition, grid, interpolation, metrics
from medsr_course.tasks import planting, superresolution
from medsr_course.teaching import claims
from medsr_course.teaching.exercises import ch12
from medsr_course.teaching.exercises._core import Wrong

NOTEBOOK = resources.checkout() / "notebooks" / "12_srgan.ipynb"
WANTED = {"disc", "around", "places", "evidence", "hidden", "wilson", "without", "detail", "icnr"}


@pytest.fixture(scope="module")
def chapter():
    """Functions and constants of the laboratory, without running the rest of the chapter."""
    space = {
        "np": np,
        "ndimage": ndimage,
        "acquisition": acquisition,
        "interpolation": interpolation,
        "grid": grid,
        "runtime": runtime,
        "SCALE": 4,
        "REACH": 16,
    }
    space["yy"], space["xx"] = np.mgrid[-16:17, -16:17]
    space["RADIUS"] = np.hypot(space["yy"], space["xx"])
    return taught("12", space, WANTED)


def test_discs_have_the_area_of_their_diameter(chapter):
    for size in (1, 2, 3):
        assert chapter["disc"](size).sum() == pytest.approx(np.pi * (size * 4 / 2) ** 2, rel=0.06)


def test_evidence_is_the_contrast(chapter):
    white = np.ones((64, 64), bool)
    for size in (1, 2, 3):
        image = np.full((64, 64), 50.0)
        chapter["around"](image, (30, 33))[:] += 0.3 * 50 * chapter["disc"](size)
        seen = chapter["evidence"](image, (30, 33), size, white, 50)
        assert seen == pytest.approx(0.3, rel=0.2)
        assert chapter["evidence"](image, (30, 33), size, white, 25) == pytest.approx(2 * seen)
        assert abs(chapter["evidence"](image, (18, 18), size, white, 50)) < 0.02  # nothing there


def test_places_lie_in_white_matter_and_apart(chapter):
    white = np.zeros((120, 120), bool)
    white[10:110, 20:100] = True
    spots = chapter["places"](white, 8, np.random.default_rng(0))
    assert len(spots) == 8
    assert all(white[i - 7 : i + 8, j - 7 : j + 8].all() for i, j in spots)
    gaps = [np.hypot(*(a - b)) for k, a in enumerate(spots) for b in spots[:k]]
    assert min(gaps) > 24
    assert chapter["places"](np.zeros((64, 64), bool), 8, np.random.default_rng(0)) == []


def test_wilson(chapter):
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20."""
    for hits, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        rate, below, above = chapter["wilson"](hits, trials)
        assert rate == pytest.approx(hits / trials)
        assert (below, above) == pytest.approx((low, high), abs=2e-4)
    wald = 1.96 * np.sqrt(0.0 / 20)  # wrong: no width at 0
    assert chapter["wilson"](0, 20)[2] > wald


def test_what_is_hidden_is_hidden(chapter):
    x = np.random.default_rng(0).random((2, 32, 36))
    unseen = chapter["hidden"](x)
    assert np.abs(acquisition.kspace_crop(unseen, 4)).max() < 1e-12
    low = acquisition.kspace_crop(x, 4)
    assert metrics.low_band_residual(low, x + 5 * unseen, 4) < 1e-12
    wrong = x - interpolation.cubic(low, 4)  # wrong: an interpolator that leaks
    assert np.abs(acquisition.kspace_crop(wrong, 4)).max() > 1e-3


def test_what_is_drawn_unseen_is_told_by_energy_and_correlation():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((2, 64, 64))
    low = interpolation.zero_fill(acquisition.kspace_crop(truth, 4), 4)
    energy, fits, error = superresolution.in_null_space(truth, low + 0.5 * (truth - low), 4)
    assert (energy, fits, error) == pytest.approx((0.25, 1, 0.25))
    energy, fits, error = superresolution.in_null_space(truth, low, 4)  # ZIP: nothing is drawn
    assert (energy, fits, error) == pytest.approx((0, 0, 1), abs=1e-6)
    other = rng.standard_normal(truth.shape)
    other *= np.sqrt(np.mean(truth**2) / np.mean(other**2))
    energy, fits, error = superresolution.in_null_space(truth, other, 4)
    assert abs(fits) < 0.05
    assert error == pytest.approx(1 + energy - 2 * fits * np.sqrt(energy))
    seen = superresolution.in_null_space(truth, other + 9 * low, 4)  # the measured band does not count
    assert seen == pytest.approx((energy, fits, error), abs=1e-6)
    wrong = np.corrcoef(truth.ravel(), (other + 9 * low).ravel())[0, 1]  # of the whole images
    assert wrong > 0.2
    with pytest.raises(ValueError, match="nothing"):
        superresolution.in_null_space(np.ones((1, 16, 16)), truth[:1, :16, :16], 4)


def test_the_mean_of_what_is_plausible_draws_as_much_as_it_knows():
    """E = ρ² for a conditional mean, and not for a sample."""
    rng = np.random.default_rng(0)
    known = rng.standard_normal(100_000)
    truth, sample = known + rng.standard_normal((2, known.size))
    for guess, equal in ((known, True), (sample, False)):
        energy = np.mean(guess**2) / np.mean(truth**2)
        assert (abs(energy - np.corrcoef(guess, truth)[0, 1] ** 2) < 0.02) == equal


def test_icnr_starts_without_a_checkerboard(chapter):
    from medsr_course.networks import models

    chapter |= {"ops": models.keras.ops, "he": models.keras.initializers.HeNormal(0)}
    image = np.random.default_rng(0).random((1, 16, 20, 2)).astype("f4")
    share = {}
    for name in ("icnr", "he"):
        network = models.espcn(4, filters=8, depth=3, noise_map=True, seed=0)
        *body, last = network.get_weights()
        network.set_weights([*body, np.asarray(chapter[name](last.shape))])
        share[name] = superresolution.checkerboard(network.predict(image, verbose=0)[..., 0], 4)
    assert share["icnr"] < 1e-10
    assert share["he"] > 0.01  # wrong: a kernel for each fine pixel
    with pytest.raises(ValueError, match="divide"):
        superresolution.checkerboard(np.ones((1, 10, 8)), 4)


def test_targets_of_any_shape_stand_out_by_their_contrast():
    ground, white = np.full((33, 33), 5.0), np.ones((33, 33), bool)
    for shape in ("lesion", "vessel"):
        figure = planting.shape(shape, 2, 4)
        for contrast in (1, -2):
            seen = planting.stands_out(ground + contrast * figure, figure, white)
            assert seen == pytest.approx(contrast, rel=0.35)  # a vessel fades out
        assert planting.stands_out(ground, figure, white) == 0
    assert np.isnan(planting.stands_out(ground, figure, ~white))
    vessel = planting.shape("vessel", 1, 4)
    assert vessel.sum() > 2 * planting.shape("lesion", 1, 4).sum()  # it goes on
    assert vessel[0].max() < 0.05  # and fades out


def test_a_plausible_guess_doubles_the_error():
    rng = np.random.default_rng(0)
    truth, guess = rng.standard_normal((2, 100_000))
    assert np.mean((truth - guess) ** 2) == pytest.approx(2 * np.mean(truth**2), rel=0.03)
    assert np.mean((truth - truth) ** 2) == 0  # wrong: a guess that knows


def test_the_mean_of_edges_has_less_detail(chapter):
    x = np.arange(64)
    edges = np.array([np.tanh((x - 28 - k) / 0.8) for k in range(8)])
    assert chapter["detail"](edges.mean(axis=0)) < 0.5 * chapter["detail"](edges[0])
    costs = [np.mean((edges - guess) ** 2) for guess in edges] / np.mean((edges - edges.mean(axis=0)) ** 2)
    assert costs.mean() == pytest.approx(2)  # of a guess drawn at random, on average
    assert costs[5] < 1.9  # the one in the figure
    same = np.array([edges[0]] * 8)  # wrong: nothing to be unsure of
    assert chapter["detail"](same.mean(axis=0)) == pytest.approx(chapter["detail"](edges[0]))


def test_noise_of_the_right_amplitudes_costs_three_decibels():
    rng = np.random.default_rng(0)
    target = ndimage.gaussian_filter(rng.random((4, 64, 64)), (0, 1, 1)) - 0.4
    zipped = interpolation.zero_fill(acquisition.kspace_crop(target, 4), 4)
    phase = np.exp(1j * np.angle(np.fft.fft2(rng.standard_normal(target.shape))))
    forged = zipped + np.fft.ifft2(np.abs(np.fft.fft2(target - zipped)) * phase).real
    assert metrics.spectrum_error(target, forged, 4) < 0.05
    assert metrics.psnr(target, zipped) - metrics.psnr(target, forged) == pytest.approx(3, abs=0.4)
    assert metrics.spectrum_error(target, zipped, 4) > 0.9  # wrong: no noise


def test_taken_out_lesions_are_gone(chapter):
    rng = np.random.default_rng(0)
    image = 100 + rng.standard_normal((64, 64))
    lesion = np.hypot(*(np.mgrid[:64, :64] - 32)) <= 4
    image[lesion] += 60
    clean = chapter["without"](image, lesion, ~lesion, rng)
    assert abs(clean[lesion].mean() - 100) < 2
    assert 0.3 < clean[lesion].std() < 3
    far = ~ndimage.binary_dilation(lesion, iterations=3)
    assert (clean[far] == image[far]).all()


def test_exercises_and_quiz_are_there():
    names = exercises_of("12")
    assert names == {"12-player-losses", "12-detection", "12-consistent"}
    assert quiz_numbers("12") == pytest.approx([2, 12])


def _from_the_top(empty, lesions, false_alarms):
    threshold = sorted(empty)[-int(false_alarms * len(empty))]
    return threshold, (lesions > threshold).mean()


def _no_less_than(empty, lesions, false_alarms):
    threshold = np.quantile(empty, 1 - false_alarms, method="higher")
    return threshold, (lesions >= threshold).mean()


@pytest.mark.parametrize("right", [ch12.detection_rate, _from_the_top, _no_less_than])
def test_a_right_threshold_is_accepted_whatever_the_dice(right):
    for seed in range(300):
        rng = np.random.default_rng(seed)
        count, alarms = [(400, 0.05), (333, 0.1), (1001, 0.02)][seed % 3]
        empty, lesions = rng.normal(0.01, 0.05, count), rng.normal(0.09, 0.06, count // 3)
        ch12._judge_detection(*right(empty, lesions, alarms), empty, lesions, alarms)
        with pytest.raises(Wrong, match="two-sided|asked for"):
            ch12._judge_detection(*right(empty, lesions, alarms / 2), empty, lesions, alarms)
        threshold, rate = right(empty, lesions, alarms)
        with pytest.raises(Wrong, match="missed"):
            ch12._judge_detection(threshold, 1 - rate, empty, lesions, alarms)


def test_most_of_a_half_voxel_spot_is_hidden(chapter):
    """What the quiz says; of a whole voxel most is seen."""
    share = {}
    for size in (0.25, 0.5, 1):
        image = np.zeros((1, 128, 128))
        chapter["around"](image[0], (64, 64))[:] = chapter["disc"](size)
        share[size] = (chapter["hidden"](image) ** 2).sum() / (image**2).sum()
    assert share[0.25] > 0.9
    assert share[0.5] > 0.6
    assert share[1] < 0.4


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "without the opponent",
        "in the null space: correlation",
        "ICNR",
        "pays in PSNR",
        "spectrum error",
        "by the judge",
        "null space",
        "changes nobody's image",
    ):
        assert words in text


def test_the_judge_teaches_nobody():
    """In the chapter, too: the players know only the teacher."""
    source = next(source for source in code_cells("12") if "def players(" in source)
    assert "eye(" in source
    assert "judge" not in source
