"""Chapter 11b: its physics and invariant claims, each with an implementation that is wrong in one point; layout."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught

from medsr_course import resources, runtime
from medsr_course.physics import acquisition, coils, metrics
from medsr_course.tasks import low_field, parallel, partial_fourier, reconstruction
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "11b_raw_data.ipynb"
WANTED = ("turned", "my_maps", "alike", "my_homodyne")


@pytest.fixture(scope="module")
def chapter():
    """Functions that the chapter itself defines, by name, without running the rest of it."""
    space = {"np": np, "acquisition": acquisition, "parallel": parallel}
    return taught("11b", space, WANTED)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def head():
    """Folded bands inside an ellipse, in air."""
    y, x = np.mgrid[:72, :64]
    bands = np.sin(x / 4.1 + 2.2 * np.sin(y / 9)) + np.cos(y / 3.7 + np.sin(x / 11))
    return np.where(((x - 32) / 26) ** 2 + ((y - 36) / 30) ** 2 < 1, 2 + np.tanh(4 * bands), 0.0)


@pytest.fixture(scope="module")
def case(head):
    runtime.start("smoke", 0)
    return parallel.case(head, 3, coils=5, key="test")


@pytest.mark.parametrize("shape", [(8, 10), (7, 10), (9, 11)])
def test_the_other_transform_turns_the_image(chapter, shape, rng):
    k = coils.complex_noise(shape, rng)
    one, other = acquisition.from_kspace(k), acquisition.to_kspace(k)
    assert np.allclose(chapter["turned"](one), other)
    assert not np.allclose(one[::-1], other)  # flipped along one axis: the mirror image
    assert np.allclose(one[::-1, ::-1], other) == all(n % 2 for n in shape)  # even sides move by a sample


def test_my_maps_are_those_of_the_package(chapter, case):
    mine, value = chapter["my_maps"](case.kspace)
    maps, eigenvalue = parallel.espirit(case.kspace)
    inside = case.target > 0.1 * case.target.max()
    assert np.allclose(np.clip(value, 0, 1), eigenvalue, atol=1e-4)
    assert chapter["alike"](mine, maps)[inside].min() > 1 - 1e-4
    other, _ = chapter["my_maps"](case.kspace, kernel=4)
    assert chapter["alike"](other, maps)[inside].min() < 1 - 1e-4


def test_maps_are_true(chapter, case):
    """The claim on likeness would fail for maps whose coils change places, and for maps of magnitudes alone."""
    maps, _ = parallel.espirit(case.kspace)
    inside = case.target > 0.1 * case.target.max()
    assert np.percentile(chapter["alike"](maps, case.maps)[inside], 1) > 0.999
    for wrong in (maps[::-1], np.abs(maps)):
        assert np.percentile(chapter["alike"](wrong, case.maps)[inside], 1) < 0.9


def test_my_homodyne_is_that_of_the_package(chapter, head, rng):
    for width in (64, 63):
        image = head[:, :width] * reconstruction.smooth_phase((72, width), rng)
        mask = partial_fourier.partial_mask(width, 0.625)
        k = reconstruction.measure(image, mask)
        found = chapter["my_homodyne"](k, int(mask.sum()))
        assert np.allclose(found, partial_fourier.homodyne(k, mask), atol=1e-5)
        assert np.abs(found - acquisition.from_kspace(k)).max() > 0.05


def test_order_of_the_methods(case):
    """What the chapter claims in decibels; without the maps' conjugate, or with maps of another order, it is lost."""
    maps, _ = parallel.espirit(case.kspace)
    image = {
        "combined": parallel.combined(case.kspace, maps),
        "least squares": parallel.least_squares(case.kspace, maps, case.mask, 8),
        "shuffled": parallel.least_squares(case.kspace, maps[::-1], case.mask, 8),
    }
    score = {title: metrics.psnr(case.target, np.abs(x)) for title, x in image.items()}
    assert score["least squares"] > score["combined"] + 1
    assert score["shuffled"] < score["least squares"] - 1


def test_samples_put_aside_judge(case, rng):
    aside = parallel.put_aside(case.mask, rng, share=0.2)
    assert not aside[parallel.middle(aside.shape, 24)].any()
    assert not (aside & ~case.mask).any()
    truth = parallel.heard(case.target, case.maps)  # another phase than the measured one: a wrong image
    right = parallel.least_squares(case.kspace, case.maps, case.mask, 30)
    assert parallel.prediction_error(0 * case.target, case.maps, case.kspace, aside) == pytest.approx(1)
    assert parallel.prediction_error(right, case.maps, case.kspace, aside) < 0.1
    assert parallel.prediction_error(np.abs(right), case.maps, case.kspace, aside) > 0.3
    assert truth.shape == case.kspace.shape


def test_a_head_tells_which_way_round_it_is(head, rng):
    lesion = head.copy()
    lesion[20:30, 12:22] = 4
    partner = np.kron(lesion, np.ones((3, 3)))[4:, 7:]
    noisy = np.abs(lesion + 0.2 * coils.complex_noise(lesion.shape, rng))
    for turn, way in ((np.s_[:, :], "right"), (np.s_[:, ::-1], "left and right swapped"), (np.s_[::-1], "upside down")):
        found = low_field.likeness(noisy[turn], partner)
        assert max(found, key=found.get) == way
    with pytest.raises(ValueError, match="no head"):
        low_field.boxed(np.zeros((8, 8)))


def test_exercises_and_quiz_are_there():
    assert exercises_of("11b") == {
        "11b-oversampling",
        "11b-combine",
        "11b-mirror-weights",
    }
    assert quiz_numbers("11b") == pytest.approx([256])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "true sensitivities",
        "least squares over combined",
        "sparsity over least squares",
        "Real brain, R = 8",
        "Low-field heads that are most like their partner",
        "POCS over zero-filling",
        "homodyne over zero-filling",
    ):
        assert words in text
