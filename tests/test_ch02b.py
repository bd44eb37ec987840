"""Chapter 02b: its own definitions against independent ones, and a wrong answer for each of its claims."""

import numpy as np
import pytest
from conftest import exercises_of, taught
from scipy.special import expit, logsumexp, softmax

from medsr_course import resources, runtime
from medsr_course.teaching import claims, quizzes

NOTEBOOK = resources.checkout() / "notebooks" / "02b_generate_and_act.ipynb"
NUMPY_ONLY = {
    *("flip", "contrastive_divergence", "log_likelihood", "dbn_log_likelihood", "Net", "adam", "voxels"),
    *("modes_covered", "muscles", "energies", "quality", "scores_of", "best_fixed", "state", "play_scanner", "bands"),
    *("q_learning", "reinforce", "rms", "pairs"),
}


@pytest.fixture(scope="module")
def chapter():
    """What the chapter defines in NumPy, by name, without running the rest of it."""
    space = {"np": np, "expit": expit, "logsumexp": logsumexp, "softmax": softmax, "runtime": runtime}
    constants = {"SIDE, BUDGET", "HIDDEN, PATCH", "STATES", "ANGLES", "CENTRES", "ky, kx", "Net.adam"}
    taught("02b", space, NUMPY_ONLY, constants | {"SECTOR", "frequency", "radius", "direction"})
    runtime.start("smoke", 0)
    return space


@pytest.fixture(scope="module")
def machine():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 12)), rng.normal(size=5), rng.normal(size=12)


def every_state(n):
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)


def test_rbm_likelihood_is_exact(chapter, machine):
    W, a, b = machine
    v = every_state(5)
    joint = (v @ a)[:, None] + (chapter["STATES"] @ b)[None] + v @ W @ chapter["STATES"].T  # −E(v, h), all states
    log_p = logsumexp(joint, axis=1) - logsumexp(joint)
    mine = [chapter["log_likelihood"](state[None], W, a, b) for state in v]
    assert np.allclose(mine, log_p)
    assert np.isclose(np.exp(mine).sum(), 1)


def test_a_stack_is_normalised_and_starts_as_its_rbm(chapter, machine):
    W, a, b = machine
    v, rng = every_state(5), np.random.default_rng(1)
    upside_down = chapter["dbn_log_likelihood"](v, W, a, W.T, b, a)
    assert np.isclose(upside_down, chapter["log_likelihood"](v, W, a, b))
    top = rng.normal(size=(12, 5)), rng.normal(size=12), rng.normal(size=5)
    each = [chapter["dbn_log_likelihood"](state[None], W, a, *top) for state in v]
    assert np.isclose(np.exp(each).sum(), 1)
    wrong = chapter["dbn_log_likelihood"](v, W, a, W.T, 0 * b, a)  # a bias forgotten: not the same model
    assert not np.isclose(wrong, chapter["log_likelihood"](v, W, a, b), atol=1e-3)


def test_contrastive_divergence_raises_the_exact_likelihood(chapter):
    rng = np.random.default_rng(2)
    v = np.repeat(rng.integers(2, size=(2000, 1)), 6, 1)  # six pixels, mostly alike; were they always, CD-1 would fail:
    v = np.where(rng.random(v.shape) < 0.2, 1 - v, v).astype(float)  # one step cannot cross from all-off to all-on
    W, a, b = rng.normal(0, 0.01, (6, 12)), np.zeros(6), np.zeros(12)
    before = chapter["log_likelihood"](v, W, a, b)
    chapter["contrastive_divergence"](v, W, a, b, 1000, rng)
    assert before == pytest.approx(-6 * np.log(2), abs=0.05)
    assert chapter["log_likelihood"](v, W, a, b) > before + 0.2


def test_gradients_of_the_small_network(chapter):
    rng = np.random.default_rng(3)
    net = chapter["Net"]((3, 8, 8, 2), rng, 1e-3)
    net.w, net.b = [w.astype(float) for w in net.w], [b.astype(float) + 0.1 for b in net.b]
    x, g = rng.normal(size=(4, 3)).astype("f4"), rng.normal(size=(4, 2))
    net(x)
    by_hand, step = net.back(g, learn=False), np.zeros_like(x)
    step[1, 2] = 1e-2
    numeric = ((net(x + step) - net(x - step)) * g).sum() / 2e-2
    assert by_hand[1, 2] == pytest.approx(numeric, rel=1e-2, abs=1e-3)


def test_modes_are_counted(chapter):
    centres = chapter["CENTRES"]
    assert chapter["modes_covered"](chapter["voxels"](800, np.random.default_rng(0))) == 8
    assert chapter["modes_covered"](np.tile(centres[:3], (50, 1))) == 3
    assert chapter["modes_covered"](np.zeros((100, 2))) == 0


def test_parseval_needs_whole_sectors(chapter):
    images, sector = chapter["muscles"](3, "parseval"), chapter["SECTOR"]
    cost = chapter["energies"](images)
    kept = np.isin(sector, (-1, 2, 9))
    error = ((np.fft.ifft2(np.fft.fft2(images) * kept).real - images) ** 2).mean((1, 2))
    left = cost.sum(1) - cost[:, 2] - cost[:, 9]
    assert np.allclose(error, left, rtol=1e-3)
    assert not np.allclose(error, left + cost[:, 3], rtol=1e-3)  # one sector too many left out
    opposite = np.roll(sector[::-1, ::-1], 1, (0, 1))
    inside = np.hypot(chapter["ky"], chapter["kx"]) < 31
    assert (sector == opposite)[inside].all()  # both halves of a frequency belong to one sector: real images stay real


def test_nobody_beats_the_oracle(chapter):
    cost = chapter["energies"](chapter["muscles"](60, "oracle"))
    oracle = chapter["scores_of"](np.argsort(-cost, 1)[:, :6], cost)
    fixed = chapter["scores_of"](np.array(chapter["best_fixed"](cost)), cost)
    luck = chapter["scores_of"](np.random.default_rng(0).random(cost.shape).argsort(1)[:, :6], cost)
    assert (oracle >= fixed - 1e-6).all()
    assert fixed[-1] > luck[-1]


def test_rewards_are_what_the_image_gains_and_no_sector_is_measured_twice(chapter):
    cost = chapter["energies"](chapter["muscles"](20, "rewards"))
    rng = np.random.default_rng(0)
    states, actions, rewards = chapter["play_scanner"](lambda s: rng.random((len(s), 16)), cost)
    assert all(len(set(game)) == 6 for game in actions.T)
    curve = chapter["scores_of"](actions.T, cost)
    assert rewards.sum(0).mean() == pytest.approx(curve[-1] - curve[0], abs=1e-3)
    assert (states[0] == 0).all()  # it knows nothing before it has measured


@pytest.mark.parametrize("learn", ["q_learning", "reinforce"])
def test_agents_learn_what_they_can_see(chapter, learn):
    cost = np.full((64, 16), 1e-4)
    cost[:, [3, 11, 5, 7, 14, 0]] = 0.02  # the same six sectors in everybody
    net = chapter[learn](cost, 250)
    _, actions, _ = chapter["play_scanner"](net, cost)
    assert len({3, 11, 5, 7, 14, 0} & set(actions[:, 0])) >= 5


def test_centre_out_is_not_best_where_energy_lies_outside(chapter):
    brain = np.random.default_rng(0).normal(size=(3, 64, 64)).cumsum(1)
    cost = chapter["bands"](np.abs(brain))
    out = chapter["scores_of"](np.arange(6), cost)
    wrong = chapter["scores_of"](np.arange(15, 9, -1), cost)  # from the rim inwards
    assert out[-1] > wrong[-1] + 3


def test_a_cheating_decoder_is_caught(chapter):
    rng = np.random.default_rng(4)
    training, unseen = rng.random((40, 30, 26)), rng.random((10, 30, 26))
    one, copies = training[[3] * 50], training[rng.choice(40, 50)]
    assert chapter["rms"](one, training).min(1).max() == 0  # perfectly close …
    assert chapter["pairs"](one) == 0  # … and all alike
    assert chapter["pairs"](copies) / chapter["pairs"](unseen) == pytest.approx(1, abs=0.1)  # close and diverse …
    new = unseen + rng.normal(0, 0.01, unseen.shape)
    far = [chapter["rms"](unseen, made).min(1).mean() for made in (copies, new)]
    assert far[0] > 10 * far[1]  # … but nothing in it is like an unseen slice


def test_a_stack_that_was_not_trained_adds_nothing(chapter, machine):
    W, a, b = machine
    v = every_state(5)
    gain = chapter["dbn_log_likelihood"](v, W, a, W.T, b, a) - chapter["log_likelihood"](v, W, a, b)
    assert abs(gain) < 1e-9


def test_it_claims_what_the_syllabus_asks():
    assert exercises_of("02b") == {"02b-free-energy", "02b-returns"}
    assert 3 <= len(quizzes.questions("02b")) <= 6
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("RBM", "second layer", "autoencoder", "VAE", "cover an unseen subject", "differ from each other"):
        assert words in text
    for words in ("GAN", "Q-learning beats", "REINFORCE beats", "Brains"):
        assert words in text
