"""Chapter 14: its definitions against the package, each with something wrong; sites, mixtures, motion; layout."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught
from scipy import stats

from medsr_course import resources, runtime
from medsr_course.physics import acquisition, coils, grid, interpolation
from medsr_course.tasks.sites import Site, moved, windowed
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "14_does_it_generalise.ipynb"


@pytest.fixture(scope="module")
def chapter():
    space = {"np": np, "coils": coils, "acquisition": acquisition, "grid": grid, "windowed": windowed}
    return taught("14", space, {"my_coarse", "my_moved", "fitted"})


@pytest.fixture(scope="module")
def head():
    """Folded bands inside an ellipse, in 0 … 1."""
    y, x = np.mgrid[:96, :100] - 48
    bands = np.sin(x / 4.1 + 2.2 * np.sin(y / 7)) + np.cos(y / 3.7)
    return np.where((x / 40) ** 2 + (y / 44) ** 2 < 1, 0.7 + 0.3 * np.tanh(4 * bands), 0.0).astype(np.float32)


def test_my_coarse_is_that_of_the_package(chapter, head):
    site = Site(noise=3, window=0.7)
    mine = chapter["my_coarse"](head, site, np.random.default_rng(1))
    theirs = site.made(head, np.random.default_rng(1))
    assert np.abs(mine - theirs).max() < 1e-5 * theirs.max()
    for wrong in (Site(noise=3), Site(window=0.7), Site(noise=3, window=0.7, kind="chi")):
        assert np.abs(mine - wrong.made(head, np.random.default_rng(1))).max() > 1e-2 * theirs.max()


def test_my_moved_is_that_of_the_package_and_a_shift_where_the_head_stays(chapter):
    rng = np.random.default_rng(0)
    image, shifts = rng.normal(size=(13, 11)), rng.normal(size=(13, 2))
    assert np.abs(chapter["my_moved"](image, shifts) - moved(image, shifts)).max() < 1e-12
    whole = np.tile([3.0, -2.0], (13, 1))
    assert np.abs(moved(image, whole) - np.roll(image, (3, -2), (0, 1))).max() < 1e-12
    assert np.abs(moved(image, -whole) - np.roll(image, (3, -2), (0, 1))).max() > 0.1  # the other way
    with pytest.raises(ValueError, match="one shift"):
        moved(image, shifts[:-1])


def test_motion_keeps_the_energy_and_its_ghosts_are_one_cycle_apart(head):
    """A phase in k-space changes no amplitude; swinging every 8 lines puts ghosts h / 8 rows off."""
    point = np.zeros((96, 96))
    point[48, 48] = 1
    swing = 0.5 * np.sin(2 * np.pi * np.arange(96) / 8)
    image = np.abs(moved(point, np.stack([swing, 0 * swing], axis=1)))
    assert np.isclose((image**2).sum(), 1)
    for row in (36, 60):  # J₁ is odd: a ghost of a point has a zero in its middle
        assert (image[row - 2 : row + 3] ** 2).sum() > 0.1
    assert (image[40:45] ** 2).sum() < 0.02
    across = np.abs(moved(point, np.stack([0 * swing, swing], axis=1)))  # wrong axis: no ghosts at that column alone
    assert np.abs(across - image).max() > 0.05


def test_a_window_takes_the_outermost_lines_away(head):
    image = head.astype(complex)
    assert np.allclose(windowed(image, 0.0), image)
    kspace = acquisition.to_kspace(windowed(image, 1.0))
    assert np.abs(kspace[0]).max() < 1e-9
    assert np.isclose(kspace[48, 50], acquisition.to_kspace(image)[48, 50])
    with pytest.raises(ValueError, match="between 0 and 1"):
        windowed(image, 2)


def test_pairs_lie_on_one_grid_but_for_mirrored_ones(head):
    def shift_error(site):
        errors = []
        for seed in range(12):
            coarse, fine, known = site.pair(head, np.random.default_rng(seed))
            assert known == 0.0
            assert fine.shape == tuple(2 * n for n in coarse.shape)
            zipped = interpolation.zero_fill(coarse[None], 2)[0]
            errors.append(np.mean((zipped - fine) ** 2))
        return max(errors)

    good = shift_error(Site())
    assert shift_error(Site(turns=True)) < 1.5 * good
    assert shift_error(Site(pairs_mirrored=True)) > 2 * good  # half of them one fine pixel off


def test_a_site_stores_magnitudes_and_repeats_itself(head):
    stack = np.stack([head, head[::-1]])
    sites = [Site(noise=noise, kind=kind) for noise in (0, 5) for kind in coils.KINDS]
    for site in (*sites, Site(phase=False)):
        given = site.given(stack, "someone")
        assert given.dtype == np.float32
        assert given.min() >= 0
        assert np.array_equal(given, site.given(stack, "someone"))
    assert not np.array_equal(Site(noise=5).given(stack, "someone"), Site(noise=5).given(stack, "another"))


def test_mixed_batches_take_each_sample_from_one_source():
    from medsr_course.networks.training import Mixed

    def source(value):
        def batch(k):
            return np.full((16, 4, 4, 1), value), np.full((16, 8, 8, 1), value + 100 * k), np.ones(16, np.float32)

        return batch

    mixed = Mixed([source(1), source(2)], (0.75, 0.25), (1, 20), seed=3)
    drawn = np.concatenate([mixed(k)[0][:, 0, 0, 0] for k in range(40)])
    assert stats.binomtest(int((drawn == 2).sum()), drawn.size, 0.25).pvalue > 1e-3
    image, target, weight = mixed(5)
    assert np.array_equal(target[:, 0, 0, 0] - 500, image[:, 0, 0, 0])  # a sample's parts stay together
    assert np.array_equal(weight, np.where(image[:, 0, 0, 0] == 2, 20, 1))
    again = Mixed([source(1), source(2)], (0.75, 0.25), (1, 20), seed=3)(5)
    assert all(np.array_equal(a, b) for a, b in zip(mixed(5), again, strict=True))


def test_the_law_is_fitted(chapter):
    counts = np.array([1, 2, 4, 8])

    def root(n):
        return -1 / np.sqrt(n)

    law = chapter["fitted"](counts, 0.8 - 0.5 / np.sqrt(counts), root)
    assert law(16) == pytest.approx(0.8 - 0.5 / 4)
    wrong = chapter["fitted"](counts, 0.8 - 0.5 / np.sqrt(counts), np.log2)  # another law
    assert wrong(16) != pytest.approx(0.8 - 0.5 / 4, abs=0.01)


def test_coin_flips_of_unseen_people_are_right_half_the_time():
    """The chapter's second claim is a law: whatever is predicted, a fresh coin agrees with probability ½."""
    rng = np.random.default_rng(0)
    coins = rng.integers(0, 2, (12, 40))
    for answers in (np.ones_like(coins), rng.integers(0, 2, coins.shape)):
        assert stats.binomtest(int((answers == coins).sum()), coins.size, 0.5).pvalue > 0.001
    leaky = coins.copy()
    leaky[:3] = 1 - leaky[:3]  # three people of twelve are unknown, the others were in the training
    assert stats.binomtest(int((leaky == coins).sum()), coins.size, 0.5).pvalue < 0.001


def test_stored_tables_say_where_they_come_from():
    from medsr_course.leaderboard import stored

    rows, note = stored.table("generalisation")
    assert {row["part"] for row in rows} == {"curve", "augmentation", "imbalance", "leakage", "domain", "adaptation"}
    assert "commit" in note
    with pytest.raises(runtime.CourseError, match="tools"):
        stored.table("nothing-of-that-name")


def test_nobody_is_judged_by_a_network_that_met_them():
    from tools.generalisation import folds, turn

    people = dict.fromkeys(f"p{k:02d}" for k in range(12))
    for count in (3, 4, 6):
        once = []
        for fold in range(count):
            others, mine = folds(people, count, fold)
            assert not set(others) & set(mine)
            assert set(others) | set(mine) == set(people)
            once += mine
        assert sorted(once) == sorted(people)
    assert turn(people, 1) != turn(people, 2)


def test_exercises_and_quiz_are_there():
    names = exercises_of("14")
    assert names == {"14-split", "14-worst-group", "14-nod"}
    numbers = quiz_numbers("14")
    assert numbers == pytest.approx([20, 18.5 / 21])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "split by slice: share of right answers",
        "split by person",
        "All training people instead of one",
        "Mirroring finished pairs costs",
        "rare kind",
        "The worst mismatch falls below ZIP",
        "real people of ds002748",
        "Ghosts",
        "ringing",
        "It forgets, at home",
        "Old scans in half of the batch",
    ):
        assert words in text
