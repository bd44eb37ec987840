"""Chapter 04: exercises, quiz, and one wrong implementation for each claim about physics."""

import json

import numpy as np
import pytest
from scipy import ndimage, stats

from medsr_course.physics import acquisition, interpolation, metrics
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
