"""Chapter 14b: its definitions against the package, its physics claims each with something wrong; exercises; layout."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught
from scipy import ndimage, stats

from medsr_course import resources
from medsr_course.physics import grid, interpolation, likeness
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.tasks import planting, trust
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "14b_can_i_trust_it.ipynb"
WANTED = {"my_numbers", "my_fit", "my_distance", "my_reliability", "my_conformal", "finds_errors"}


@pytest.fixture(scope="module")
def chapter():
    space = {
        "np": np,
        "ndimage": ndimage,
        "grid": grid,
        "interpolation": interpolation,
        "kspace_crop": kspace_crop,
        "likeness": likeness,
        "planting": planting,
    }
    return taught("14b", space, WANTED)


def head(seed=0, size=96):
    """A round thing with some texture, scale about 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2
    image = np.where(np.hypot(y / 0.4, x / 0.34) < size, 0.7, 0.0)
    image = image * (1 + 0.2 * ndimage.gaussian_filter(rng.standard_normal(image.shape), 2) / 0.14)
    return ndimage.gaussian_filter(image, 0.8)[None].astype(np.float32)


# ---------------------------------------------------------------- the chapter's own definitions


def test_four_numbers_are_the_package_s(chapter):
    names = ("kurtosis", "detail", "dark", "median")
    image = head()
    scaled = np.asarray(image[0], float) / grid.intensity(image)[1]
    theirs = likeness.features(image)[[list(likeness.FEATURES).index(name) for name in names]]
    np.testing.assert_allclose(chapter["my_numbers"](scaled), theirs, atol=1e-6)
    assert np.abs(chapter["my_numbers"](ndimage.gaussian_filter(scaled, 1)) - theirs).max() > 0.1  # wrong: smoothed


def test_distance_is_the_package_s(chapter):
    values = np.random.default_rng(0).normal(0, [1, 5, 0.1], (40, 3))
    mean, spread = chapter["my_fit"](values)
    far = np.array([1.0, 5.0, 0.1])
    assert chapter["my_distance"](far, mean, spread) == pytest.approx(likeness.distance(far, mean, spread))
    each = [chapter["my_distance"](one, mean, spread) ** 2 for one in values]
    assert np.mean(each) == pytest.approx(1, abs=0.05)
    assert np.linalg.norm(far - mean) > 3  # wrong: a plain distance, in which one number drowns the others


def test_reliability_of_honest_and_boastful_error_bars(chapter):
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.5, 3, 200_000)
    error = sigma * rng.standard_normal(sigma.size)
    predicted, true = chapter["my_reliability"](sigma, error)
    np.testing.assert_allclose(predicted, true, rtol=0.03)
    predicted, true = chapter["my_reliability"](sigma / 3, error)  # wrong: too small
    assert (true > 2.5 * predicted).all()


def test_conformal_keeps_its_promise_and_a_quantile_does_not(chapter):
    rng = np.random.default_rng(0)
    draws = rng.gamma(3, 1, (4000, 15))
    kept = [row[14] <= chapter["my_conformal"](row[:14], 0.8) for row in draws]
    assert np.mean(kept) == pytest.approx(12 / 15, abs=0.02)
    plain = [row[14] <= np.quantile(row[:14], 0.8) for row in draws]  # wrong: the next person is not counted
    assert np.mean(plain) < 12 / 15 - 0.015
    assert np.isinf(chapter["my_conformal"](np.arange(3.0), 0.8))


def test_the_bound_that_chance_allows():
    """Of 20 people, 14 calibrated at 80 %: fewer covered than the bound has a chance below 1 in 200."""
    chance = stats.betabinom(20, 12, 3)
    assert chance.cdf(chance.ppf(0.005) - 1) < 0.005
    rng = np.random.default_rng(1)
    people = rng.random((4000, 34))
    covered = (people[:, 14:] <= np.sort(people[:, :14], axis=1)[:, 11:12]).sum(axis=1)
    assert covered.mean() == pytest.approx(chance.mean(), abs=0.1)
    assert covered.std() == pytest.approx(chance.std(), rel=0.06)


# ---------------------------------------------------------------- truth without truth


def test_spread_and_shared_error_make_up_the_members_error():
    rng = np.random.default_rng(0)
    truth, members = rng.normal(size=500), rng.normal(1, 1, (5, 500))
    mean = members.mean(axis=0)
    whole = np.mean((members - truth) ** 2)
    assert np.mean((mean - truth) ** 2) + np.mean(members.var(axis=0)) == pytest.approx(whole)
    wrong = np.mean((mean - truth) ** 2) + np.mean(members.var(axis=0, ddof=1))  # wrong: divided by M − 1
    assert wrong > 1.02 * whole


def test_acquisitions_share_phase_and_not_noise():
    fine = head()
    one, again, other = (trust.acquired(fine, 2, "a", visit) for visit in (0, 0, 1))
    clean = trust.acquired(fine, 2, "a", 0, noise=0.0)
    np.testing.assert_array_equal(one, again)
    assert 0 < np.abs(one - other).max() < 0.15
    bright = clean > 0.3  # in air, noise has a mean that both share
    assert abs(trust.alike((one - clean)[bright], (other - clean)[bright])) < 0.1
    assert np.abs(clean - trust.acquired(fine, 2, "b", 0, noise=0.0)).max() > 1e-3  # another phase


def test_a_fruit_has_no_detail_and_a_head_has():
    for seed in range(3):
        image, inside = trust.fruit(seed)
        assert np.abs(interpolation.hidden(image, 4)[inside]).max() < 0.005
        assert inside.mean() > 0.3
    assert np.abs(interpolation.hidden(head(), 4)).max() > 0.02  # wrong: something with edges


def test_quiet_is_what_is_smooth_whatever_its_brightness():
    y, x = np.mgrid[:80, :80]
    inside = np.hypot(y - 40, x - 40) < 36
    rough = 0.1 * np.sin(x / 1.5) * np.sin(y / 1.5) * (x < 40)  # on the dark half
    fine = np.where(inside, np.where(x < 40, 0.4, 1.0) + rough, 0)[None].astype(np.float32)
    where = trust.quiet(fine)[0]
    assert where[:, 46:].sum() > 0.9 * where.sum()  # the bright half is the smooth one


def test_the_floor_lies_below_the_error_and_is_reached():
    rng = np.random.default_rng(0)
    truth, first, second = rng.normal(size=(3, 2, 9, 9))
    error = (np.mean((first - truth) ** 2) + np.mean((second - truth) ** 2)) / 2
    assert np.mean((first - second) ** 2) / 4 <= error
    middle = (first + second) / 2
    reached = (np.mean((first - middle) ** 2) + np.mean((second - middle) ** 2)) / 2
    assert np.mean((first - second) ** 2) / 4 == pytest.approx(reached)
    assert np.mean((first - second) ** 2) > reached  # wrong: without the quarter it is no floor


def test_who_is_caught_by_which_question():
    fine = np.kron(head(size=96), np.ones((1, 2, 2)))
    fine = ndimage.gaussian_filter(fine, (0, 1, 1)) * (1 + 0.5 * (np.mgrid[:192, :192][1] > 96))[None]
    image, inside = trust.fruit(0)
    found = {}
    for name, method in {"zip": interpolation.zero_fill, **trust.LIARS}.items():
        one = trust.questioned(method, fine, 4, "a")
        made = method(trust.acquired(image, 4, "fruit", 0), 4)
        found[name] = np.array([one["again"], trust.largest(made - image, inside), one["change"]])
    times = {name: values / found["zip"] for name, values in found.items()}
    assert times["painter"][0] > 2
    assert times["stamp"][0] < 1.2
    assert times["stamp"][1:].min() > 2
    assert times["follower"].max() < 1.3
    assert times["eraser"].max() < 1.3


def test_liars_but_the_eraser_hide_in_the_null_space():
    coarse = trust.acquired(head(), 4, "a", 0)
    for name in ("painter", "stamp", "follower"):
        again = kspace_crop(trust.LIARS[name](coarse, 4), 4)
        assert np.abs(again - coarse).max() < 1e-4 * coarse.max(), name
    assert np.abs(kspace_crop(trust.eraser(coarse, 4), 4) - coarse).max() > 1e-3 * coarse.max()


def test_a_moved_head_comes_back():
    fine = head()
    back = trust.moved(trust.moved(fine, *trust.SHIFT), *(-step for step in trust.SHIFT))
    np.testing.assert_array_equal(back, fine)


def test_roc_is_a_curve_with_the_area_of_the_auc():
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(1, 1, 60), rng.normal(0, 1, 80)
    alarms, hits = planting.roc(positive, negative)
    area = -np.trapezoid(hits, alarms)
    assert area == pytest.approx(planting.auc(positive, negative))
    assert (np.diff(alarms) <= 0).all()
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (1, 1, 0, 0)


# ---------------------------------------------------------------- explanations


def test_gradient_of_a_network_is_its_response(chapter):
    from medsr_course.networks import models
    from medsr_course.networks.framework import gradient, ops
    from medsr_course.networks.pretrained import sensitivity

    model = models.espcn(2, filters=4, depth=3)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.3, w.shape) for w in model.get_weights()])
    x = rng.random((1, 12, 12, 1)).astype(np.float32)
    grad = gradient(lambda batch: model(batch)[0, 10, 11, 0], x)
    value = float(ops.convert_to_numpy(model(x))[0, 10, 11, 0])
    assert (grad * x).sum() == pytest.approx(value, abs=1e-4)
    pushed = x.copy()
    pushed[0, 5, 5, 0] += 1e-3
    change = (float(ops.convert_to_numpy(model(pushed))[0, 10, 11, 0]) - value) / 1e-3
    assert change == pytest.approx(grad[0, 5, 5, 0], abs=0.02)
    twin = sensitivity.shuffled(model)
    for old, new in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(np.sort(old.ravel()), np.sort(new.ravel()))
    other = gradient(lambda batch: twin(batch)[0, 10, 11, 0], x)
    assert np.abs(other - grad).max() > 0.05 * np.abs(grad).max()


# ---------------------------------------------------------------- layout


def test_exercises_and_quiz_are_there():
    assert exercises_of("14b") == {"14b-conformal", "14b-dropout", "14b-floor"}
    assert quiz_numbers("14b") == pytest.approx([23, 1])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("AUC of my detector", "disagreement", "Calibrated on voxels", "After the shift", "SRGAN's detail",
                  "fruit", "visits", "shuffling the weights", "Grad-CAM's peak"):  # fmt: skip
        assert words in text
