"""Exercises of chapter 02b: models that generate, agents that act."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped


def free_energy(v, W, a, b):
    """Free energy (n,) of visible states v (n, visible) of a restricted Boltzmann machine."""
    return -v @ a - np.logaddexp(0, v @ W + b).sum(1)


def _energy_by_enumeration(v, W, a, b):
    states = (np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1).astype(float)
    exponent = (v @ a)[:, None] + (v @ W + b) @ states.T
    top = exponent.max(1)
    return -top - np.log(np.exp(exponent - top[:, None]).sum(1))


_ENERGY_MISTAKES = {
    "sign": (
        lambda v, W, a, b: -free_energy(v, W, a, b),
        "the sign is wrong: probable states have a low free energy.",
    ),
    "no visible bias": (
        lambda v, W, a, b: -np.logaddexp(0, v @ W + b).sum(1),
        "the visible bias is missing: −a·v belongs to it.",
    ),
    "no hidden bias": (
        lambda v, W, a, b: free_energy(v, W, a, 0 * b),
        "the hidden bias b is missing inside the logarithm.",
    ),
    "hidden units all on": (
        lambda v, W, a, b: -v @ a - (v @ W + b).sum(1),
        "this is the energy with all hidden units on; each one must be summed over 0 *and* 1.",
    ),
    "best hidden state": (
        lambda v, W, a, b: -v @ a - np.maximum(v @ W + b, 0).sum(1),
        "this takes the best hidden state only; the logarithm of the sum over both is softer.",
    ),
    "logarithm outside": (
        lambda v, W, a, b: -v @ a - np.log(1 + np.exp((v @ W + b).sum(1))),
        "sum over the hidden units outside the logarithm: independent units multiply, logs add.",
    ),
}


def _check_energy(fn):
    rng = np.random.default_rng(22)
    for n, visible, hidden in ((5, 7, 4), (3, 4, 9)):
        v = rng.integers(2, size=(n, visible)).astype(float)
        W, a, b = rng.normal(size=(visible, hidden)), rng.normal(size=visible), rng.normal(size=hidden)
        got = np.asarray(answer(fn, v.copy(), W.copy(), a.copy(), b.copy()))
        shaped(got, (n,), f"one number per row of v is asked for, shape {(n,)}; yours has shape {{}}.")
        if np.allclose(got, free_energy(v, W, a, b), atol=1e-6):
            continue
        recognise(got, ((wrong(v, W, a, b), why) for wrong, why in _ENERGY_MISTAKES.values()), atol=1e-6)
        raise Wrong("the numbers differ from −log Σ_h exp(−E(v, h)): write that sum for one hidden unit first.")


def returns(rewards, gamma):
    """Discounted sum of the rewards from each step on, shape (steps,)."""
    total, out = 0.0, np.zeros(len(rewards))
    for t in reversed(range(len(rewards))):
        total = rewards[t] + gamma * total
        out[t] = total
    return out


def _returns_by_matrix(rewards, gamma):
    steps = np.arange(len(rewards))
    ahead = steps[None, :] - steps[:, None]
    return np.where(ahead >= 0, float(gamma) ** np.maximum(ahead, 0), 0) @ np.asarray(rewards)


_RETURNS_MISTAKES = {
    "looks back": (
        lambda rewards, gamma: returns(rewards[::-1], gamma)[::-1],
        "these sums look back; an action can only earn what comes after it.",
    ),
    "not discounted": (
        lambda rewards, gamma: returns(rewards, 1.0),
        "gamma is not used: a reward k steps ahead counts γ to the power k.",
    ),
    "discounted from the start": (
        lambda rewards, gamma: returns(rewards * gamma ** np.arange(len(rewards)), 1.0),
        "the discount counts from the beginning of the game; count from step t instead.",
    ),
    "reward of now missing": (
        lambda rewards, gamma: returns(rewards, gamma) - rewards,
        "the reward of step t itself is missing.",
    ),
    "whole game for all": (
        lambda rewards, gamma: np.full(len(rewards), returns(rewards, gamma)[0]),
        "every step got the whole game's return; rewards before t are not to its credit.",
    ),
}


def _check_returns(fn):
    rng = np.random.default_rng(23)
    for steps, gamma in ((6, 0.9), (9, 0.5)):
        rewards = rng.normal(size=steps)
        got = np.asarray(answer(fn, rewards.copy(), gamma))
        shaped(got, (steps,), f"one return per step is asked for, shape {(steps,)}; yours has shape {{}}.")
        if np.allclose(got, returns(rewards, gamma), atol=1e-9):
            continue
        recognise(got, ((wrong(rewards, gamma), why) for wrong, why in _RETURNS_MISTAKES.values()), atol=1e-9)
        raise Wrong("the last return is the last reward; each earlier one is its reward plus γ times the next return.")


EXERCISES = [
    Exercise(
        name="02b-free-energy",
        task="free_energy(v, W, a, b) → F (n,) with exp(−F) = Σ_h exp(−E(v, h))",
        check=_check_energy,
        hint="One hidden unit with drive x contributes exp(0) + exp(x). np.logaddexp(0, x) is log(1 + exp(x)), safely.",
        reference=free_energy,
        alternatives=(_energy_by_enumeration,),
        mistakes={name: wrong for name, (wrong, _) in _ENERGY_MISTAKES.items()},
    ),
    Exercise(
        name="02b-returns",
        task="returns(rewards, gamma) → discounted sum of the rewards from each step on, shape (steps,)",
        check=_check_returns,
        hint="Walk backwards: the return of a step is its reward plus gamma times the return of the next step.",
        reference=returns,
        alternatives=(_returns_by_matrix,),
        mistakes={name: wrong for name, (wrong, _) in _RETURNS_MISTAKES.items()},
    ),
]
