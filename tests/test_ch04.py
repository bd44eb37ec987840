"""Chapter 04: exercises, quiz, and one wrong implementation for each claim about physics."""

import json

import numpy as np
import pytest
from scipy import ndimage, stats

from medsr_course.physics import acquisition, coils, interpolation, metrics
from medsr_course.physics.noise import background_noise, chi_mean, estimate, noise_sigma
from medsr_course.scans import datasets, volumes
from medsr_course.teaching.exercises import _core
from medsr_course.teaching.exercises.ch04 import EXERCISES
from medsr_course.teaching.quizzes._core import questions


@pytest.fixture(scope="module")
def hr():
    template = datasets.load("mni152")[0].contrasts["T1w"]
    return volumes.axial_slices(template)[:, 1:231, 1:195]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_exercises_know_right_from_wrong(exercise):
    assert _core.verdict(exercise.name, lambda *a: None)[0] == "unanswered"
    for right in (exercise.reference, *exercise.alternatives):
        assert _core.verdict(exercise.name, right) == ("right", "right.")
    messages = []
    for name, wrong in exercise.mistakes.items():
        status, message = _core.verdict(exercise.name, wrong)
        assert status == "wrong", name
        assert "stopped with" not in message, name
        messages.append(message)
    assert len(messages) >= 3
    assert len(set(messages)) == len(messages)


def test_quiz_numbers():
    asked = questions("04")
    json.dumps(asked)
    right = [a["range"] for q in asked for a in q["answers"] if a.get("type") == "range" and a["correct"]]
    for (low, high), value in zip(right, (64, 10.027, 12.245), strict=True):
        assert low <= value <= high


def test_wrong_physics_would_fail_the_claims(hr):
    rng = np.random.default_rng(0)
    # noise of a crop that forgets the normalisation
    noise = rng.standard_normal((20, 66, 66))
    assert abs(2 * acquisition.kspace_crop(noise, 2).std() * 2 - 1) > 0.03
    # Gaussian instead of Rician background
    assert abs(np.abs(rng.standard_normal(100_000)).mean() / np.sqrt(np.pi / 2) - 1) > 0.01
    # Gaussian noise of constant variance instead of counts
    fake = 16 + 3 * rng.standard_normal(100_000)
    assert abs(fake.var() / fake.mean() - 1) > 0.03
    # half a voxel put right in the wrong direction
    coarse = interpolation.zero_fill(acquisition.block_average(hr, 2), 2)
    wrong = interpolation.shift(interpolation.shift(coarse, -0.5, -1), -0.5, -2)
    assert metrics.psnr(hr, wrong) < metrics.psnr(hr, coarse)
    # a rendering that is not monotone changes the AUC, a monotone one does not
    white, grey = rng.normal(1, 1, 500), rng.normal(0, 1, 500)

    def auc(f):
        return stats.mannwhitneyu(f(white), f(grey)).statistic / (grey.size * white.size)

    assert auc(np.exp) == auc(np.positive)
    assert abs(auc(np.abs) - auc(np.positive)) > 0.01


def test_parseval_needs_the_unitary_transform(hr):
    fine = acquisition.to_kspace(hr)
    kept = acquisition.to_kspace(interpolation.zero_fill(acquisition.kspace_crop(hr, 2), 2))
    mse = (np.abs(fine - kept) ** 2).sum() / hr.size
    expected = metrics.psnr(hr, interpolation.zero_fill(acquisition.kspace_crop(hr, 2), 2))
    assert np.isclose(10 * np.log10(hr.max() ** 2 / mse), expected, atol=1e-3)
    unnormalised = (np.abs(np.fft.fft2(hr)) ** 2).sum()
    assert not np.isclose(unnormalised, (hr**2).sum(), rtol=0.5)


def test_blur_keeps_ring_correlation(hr):
    brain = hr[2].astype(float)
    frequency, frc = metrics.frc(brain, ndimage.gaussian_filter(brain, 3 / 2.355))
    assert frc[frequency < 0.35].min() > 0.9


# ---------------------------------------------------------------- what a file holds


def test_claims_of_stored_images_fail_without_phase_or_magnitude(hr):
    signed, stored = acquisition.kspace_crop(hr, 2), coils.stored(hr, 2, "lesson 04")
    assert (signed < 0).mean() >= 0.14
    assert (stored < 0).mean() < 0.14  # the claim's share, taken of the stored image
    assert (acquisition.block_average(hr, 2) < 0).mean() < 0.14  # of another degradation

    def apart(image):
        return np.linalg.norm(signed - image) / np.linalg.norm(image)

    assert apart(stored) >= 0.01
    assert apart(acquisition.kspace_crop(hr.copy(), 2)) < 0.01  # the magnitude's own crop, without a phase


@pytest.mark.parametrize("n", [2, 8, 32])
def test_claim_of_the_air_of_coils_fails_for_a_mean_and_for_one_coil(n):
    rng = np.random.default_rng(0)
    noise = coils.complex_noise((n, 60_000), rng)
    right = np.sqrt((np.abs(noise) ** 2).sum(axis=0)).mean()
    assert abs(right / chi_mean(0, 1, n) - 1) < 0.01
    for wrong in (
        np.abs(noise).mean(),
        np.sqrt((np.abs(noise) ** 2).mean(axis=0)).mean(),
        np.abs(noise.sum(axis=0)).mean(),
    ):
        assert abs(wrong / chi_mean(0, 1, n) - 1) > 0.01
    assert abs(right / (np.sqrt(2 * n) * np.sqrt(np.pi) / 2) - 1) > 0.01  # Rice's constant for every N


@pytest.mark.parametrize("n", [1, 2, 8, 32])
def test_claims_of_tissue_under_coils_fail_for_the_formula_of_one_coil(n):
    rng, truth = np.random.default_rng(0), np.full(400_000, 24.0)
    square = sum((part + rng.standard_normal(truth.size)) ** 2 for part in (truth, *np.zeros(2 * n - 1)))
    lift, formula = (np.sqrt(square) - truth).mean(), chi_mean(24.0, 1.0, n) - 24
    assert abs(lift - formula) < 0.02
    if n > 1:
        assert abs(lift - (chi_mean(24.0, 1.0, 1) - 24)) > 0.02  # wrong: Rice's mean for every N
        assert np.sqrt(square.mean() - 2) - 24 > 0.02  # wrong: 2σ² taken off, not 2Nσ²
    assert abs(np.sqrt(square.mean() - 2 * n) - 24) < 0.02


def test_claim_of_the_g_factor_fails_for_plain_addition():
    s = coils.sensitivities((56, 48))
    upper, lower = s[:, :28], s[:, 28:]
    alike = (upper * lower).sum(axis=0)
    folded = np.random.default_rng(0).standard_normal((400, *upper.shape))
    one, other = ((folded * part).sum(axis=1) for part in (upper, lower))
    g = 1 / np.sqrt(1 - alike**2)
    right = ((one - alike * other) / (1 - alike**2)).std(axis=0)
    assert np.abs(right / g - 1).mean() < 0.06
    assert np.abs(one.std(axis=0) / g - 1).mean() > 0.06  # coils combined, but not unfolded
    assert np.abs((one - alike * other).std(axis=0) / g - 1).mean() > 0.06  # the scale forgotten


def test_claim_of_interpolated_noise_fails_for_linear_interpolation():
    rng, side, n = np.random.default_rng(0), 183, 61
    x = np.pi * np.maximum(np.arange(7), 1e-9) / side
    kernel = np.sin(n * x) / (n * np.sin(x))

    def gap(rows):
        return max(abs(np.mean(rows * np.roll(rows, d, -1)) / rows.var() - kernel[d]) for d in range(7))

    coarse = rng.standard_normal((4000, n))
    assert gap(interpolation.zero_fill(coarse[:, None], 3)[:, ::3].squeeze(1)) < 0.03
    linear = np.stack([np.interp(np.arange(side) / 3, np.arange(n), row) for row in coarse])
    for wrong in (linear, rng.standard_normal((2000, side)), np.repeat(coarse, 3, axis=-1)):
        assert gap(wrong) > 0.03


def test_claim_of_the_noise_estimate_fails_for_an_estimator_of_one_coil(hr):
    fine = hr[::2]
    sigma = noise_sigma(fine, 3)
    for kind in coils.KINDS:
        file = coils.magnitude(coils.object_of(fine, "a"), sigma, np.random.default_rng(0), kind)
        found = estimate(file)
        assert found.kind == kind
        assert abs(found.sigma / sigma.mean() - 1) < 0.1
        if kind == "chi":
            assert abs(background_noise(file) / sigma.mean() - 1) > 0.1


def test_piesno_agrees_where_it_is_told_the_coils():
    from dipy.denoise.noise_estimate import piesno

    y, x = np.mgrid[:96, :96] - 48
    head = np.where(np.hypot(x, y) < 34, 100 + 20 * np.sin(x / 3), 0.0)[None]
    for kind, count in {"rician": 1, "chi": coils.COILS}.items():
        seen = coils.object_of(head, "again")
        again = np.concatenate([coils.magnitude(seen, 3.0, np.random.default_rng(n), kind) for n in range(12)])
        ours = estimate(again).sigma
        told = [float(np.mean(piesno(np.moveaxis(again, 0, -1), N=n))) for n in (count, 1)]
        assert abs(told[0] / ours - 1) < 0.1
        assert kind == "rician" or told[1] / ours > 1.5  # wrong: one coil, where there are eight
