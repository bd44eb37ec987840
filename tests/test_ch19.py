"""Chapter 19: its definitions against the package, its physics claims each with something wrong; exercises; layout."""

import heapq

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught
from scipy import stats

from medsr_course import resources, runtime
from medsr_course.tasks import observing, planting
from medsr_course.teaching import claims
from medsr_course.teaching.exercises import ch19

NOTEBOOK = resources.checkout() / "notebooks" / "19_capstone_your_own_scan.ipynb"
WANTED = {"my_hotelling", "waits", "rates", "expected", "simulated", "ppv"}


@pytest.fixture(scope="module")
def chapter():
    """What the chapter defines of observers and queues, without running the rest."""
    space = {"np": np, "stats": stats, "heapq": heapq, "runtime": runtime, "COUNT": 60_000}
    return taught("19", space, WANTED, constants=("MINUTES, LOAD", "PREVALENCE"))


def white_noise(template, signal, cases=20_000):
    """AUC of a template for a signal in white noise."""
    noise = np.random.default_rng(1).standard_normal((2 * cases, signal.size))
    return planting.auc((noise[:cases] + signal) @ template, noise[cases:] @ template)


def test_my_observer_is_the_packages_and_reaches_theory(chapter):
    rng = np.random.default_rng(0)
    channels = observing.laguerre_gauss(13, 5.0)
    signal = 1.5 * channels[:, 0] / np.linalg.norm(channels[:, 0])
    patches, lesion = rng.standard_normal((8000, 169)), np.arange(8000) % 2 == 0
    patches[lesion] += signal
    mine = chapter["my_hotelling"](patches, lesion, channels)
    np.testing.assert_allclose(mine, observing.hotelling(patches.reshape(-1, 13, 13), lesion, channels), rtol=1e-8)
    theory = observing.auc_of_distance(np.linalg.norm(signal))
    assert white_noise(mine, signal) == pytest.approx(theory, abs=0.01)
    wrong = chapter["my_hotelling"](patches, rng.permutation(lesion), channels)  # wrong: shuffled answers
    assert white_noise(wrong, signal) < theory - 0.1


def test_varying_backgrounds_are_where_the_covariance_pays(chapter):
    """A template of the mean difference alone, without the covariance, is the wrong implementation."""
    rng = np.random.default_rng(0)
    channels = observing.laguerre_gauss(13, 5.0)

    def patches(count):
        slow = rng.standard_normal((count, 1)) * 6 * (channels[:, 0] + channels[:, 1])
        found = rng.standard_normal((count, 169)) + slow
        lesion = np.arange(count) % 2 == 0
        found[lesion] += 2 * channels[:, 0]
        return found, lesion

    (first, there), (second, truth) = patches(4000), patches(4000)
    areas = []
    for template in (
        chapter["my_hotelling"](first, there, channels),
        first[there].mean(axis=0) - first[~there].mean(axis=0),
    ):
        rated = second @ template
        areas.append(planting.auc(rated[truth], rated[~truth]))
    assert areas[0] > areas[1] + 0.05


def test_first_come_first_served_and_priority_by_hand(chapter):
    arrival, reading = np.array([0.0, 1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0, 5.0])
    nobody = np.zeros(4, bool)
    assert chapter["waits"](nobody, arrival, reading).tolist() == [0, 4, 8, 12]
    last = np.array([False, False, False, True])
    assert chapter["waits"](last, arrival, reading).tolist() == [0, 9, 13, 2]  # a reading begun is finished
    idle = chapter["waits"](nobody[:2], np.array([0.0, 100.0]), reading[:2])
    assert idle.tolist() == [0, 0]


@pytest.mark.parametrize(("hit", "alarm"), [(1.0, 0.0), (0.5, 0.5), (0.9, 0.1), (0.0, 0.0)])
def test_waits_are_cobhams(chapter, hit, alarm):
    sick, well, everybody = chapter["simulated"](0.1, hit, alarm)
    theory = chapter["expected"](0.1, hit, alarm)
    assert sick == pytest.approx(theory[0], rel=0.15)
    assert well == pytest.approx(theory[1], rel=0.15)
    assert everybody == pytest.approx(0.1 * theory[0] + 0.9 * theory[1], rel=0.15)


def test_a_worklist_that_ignores_flags_is_found_out(chapter):
    """Wrong: everybody in the order of arrival, whatever the AI says."""
    rng = np.random.default_rng(0)
    arrival, reading = np.cumsum(rng.exponential(12.5, 40_000)), rng.exponential(10, 40_000)
    sick = rng.random(40_000) < 0.1
    ignored = chapter["waits"](np.zeros(40_000, bool), arrival, reading)
    assert ignored[sick].mean() > 3 * chapter["expected"](0.1, 1.0, 0.0)[0]


def test_theory_of_triage(chapter):
    fifo = 0.8 * 10 / 0.2
    for prevalence in (0.01, 0.3):
        assert chapter["expected"](prevalence, 0.5, 0.5)[0] == pytest.approx(fifo)  # a coin
        for auc in (0.6, 0.9):
            sick, well = chapter["expected"](prevalence, *chapter["rates"](auc))
            assert prevalence * sick + (1 - prevalence) * well == pytest.approx(fifo)  # all together: as before
            assert sick < fifo < well
    hit, alarm = chapter["rates"](0.9)
    rng = np.random.default_rng(0)
    gap = np.sqrt(2) * stats.norm.ppf(0.9)
    assert (rng.standard_normal(100_000) + gap > gap / 2).mean() == pytest.approx(hit, abs=0.01)
    assert hit + alarm == pytest.approx(1)


def test_ppv_counts_people(chapter):
    rng = np.random.default_rng(0)
    ill = rng.random(400_000) < 0.02
    flagged = rng.random(400_000) < np.where(ill, 0.9, 0.1)
    assert chapter["ppv"](0.02, 0.9, 0.1) == pytest.approx(ill[flagged].mean(), abs=0.01)
    wrong = 0.9 / (0.9 + 0.1)  # without the prevalence
    assert abs(wrong - ill[flagged].mean()) > 0.5


def test_the_exercise_agrees_with_the_chapter(chapter):
    missed, extra = ch19.missed_patient(0.8, 10.0, 0.2)
    flagged = chapter["expected"](0.2, 1.0, 0.0)  # a perfect AI flags the sick, a fifth; the healthy are the others
    assert missed == pytest.approx(flagged[1])
    assert extra == pytest.approx(missed - 40)
    assert ch19.what_a_flag_means(0.03, 0.8, 0.1)[0] == pytest.approx(chapter["ppv"](0.03, 0.8, 0.1))
    assert ch19.area_under_roc(np.array([2, 3]), np.array([1, 2])) == planting.auc([2, 3], [1, 2])


def test_exercises_and_quiz_are_there():
    assert exercises_of("19") == {"19-flag", "19-auc", "19-missed"}
    assert quiz_numbers("19") == pytest.approx([100 * 9 / 108])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("Shell and Python", "Exit codes", "Hotelling", "Perfect triage", "Coin-flip", "PPV", "cheat"):
        assert words in text
