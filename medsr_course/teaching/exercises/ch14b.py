"""Exercises of chapter 14b: the conformal factor, Monte-Carlo dropout, a floor without truth."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped


def _check_conformal(fn):
    rng = np.random.default_rng()
    for count, level in ((14, 0.8), (19, 0.9), (30, 0.75), (39, 0.95)):
        scores = rng.gamma(4, 1, count)
        got = float(answer(fn, scores.copy(), level))
        if np.isclose(got, conformal(scores, level)):
            continue
        _judge_conformal(got, scores, level)
    few = rng.gamma(4, 1, 3)
    got = float(answer(fn, few.copy(), 0.8))
    if np.isclose(got, few.max()):
        raise Wrong(
            "three people are too few for 80 %: there is no fourth smallest, so return infinity, not the largest"
        )
    if not np.isinf(got):
        raise Wrong("with three people and a level of 80 % the only factor that keeps the promise is infinity")


def _judge_conformal(got, scores, level):
    ranked, n = np.sort(scores), len(scores)
    k = int(np.ceil((n + 1) * level - 1e-9))
    known = [
        (np.quantile(scores, level), "that is the quantile of the n people at hand; count the next person too, n + 1"),
        (
            ranked[k - 2],
            "one place too low: the k-th smallest is at index k − 1 of the sorted scores, k = ⌈(n + 1)·level⌉",
        ),
        (ranked[::-1][k - 1], "that is the k-th largest, too small for most people; take the k-th smallest"),
        (ranked.max(), "the largest score covers more people than needed: take the k-th smallest"),
        (scores[k - 1], "sort the scores first: they come in any order"),
    ]
    recognise(got, known)
    raise Wrong(f"for these {n} scores and {level:.0%} the factor is the {k}-th smallest, {ranked[k - 1]:.3f}")


def conformal(scores, level):
    k = int(np.ceil((len(scores) + 1) * level - 1e-9))
    return np.sort(scores)[k - 1] if k <= len(scores) else np.inf


def _conformal_by_counting(scores, level):
    ranked = [*sorted(scores), np.inf]
    return next(s for place, s in enumerate(ranked, 1) if place / (len(scores) + 1) >= level - 1e-9)


def _check_dropout(fn):
    rng = np.random.default_rng()
    for n, p, passes, rate in ((6, 40, 25, 0.4), (9, 60, 31, 0.2)):
        features, weights = rng.normal(1, 1, (n, p)), rng.normal(0, 1, p)
        masks = rng.random((passes, p)) >= rate
        got = answer(fn, features.copy(), weights.copy(), masks.copy(), rate)
        try:
            got = np.array([np.asarray(part, float) for part in got])
        except (TypeError, ValueError):
            raise Wrong(f"return two arrays, the mean and the standard deviation, each of {n} numbers") from None
        _judge_dropout(
            shaped(got, (2, n), f"return two arrays of {n} numbers, not of shape {{}}"), features, weights, masks, rate
        )


def _judge_dropout(got, features, weights, masks, rate):
    want = np.array(mc_dropout(features, weights, masks, rate))
    if np.allclose(got, want, rtol=1e-6):
        return
    sample = np.sqrt(len(masks) / (len(masks) - 1))
    if np.allclose(got, want * [[1], [sample]], rtol=1e-6):
        return  # the divisor passes − 1 is as good
    recognise(got[0], [
        (want[0] * (1 - rate), "divide the features that are kept by 1 − rate; without that the mean is too small"),
        (want[0] * (1 - rate) / rate, "divide by the share that is kept, 1 − rate, not by the share that is dropped"),
        (features @ weights, "dropout is off in your mean: average over the passes, each with its mask"),
        (mc_dropout(features, weights, ~masks, rate)[0], "True in a mask means kept, but you drop those features"),
    ], rtol=1e-6)  # fmt: skip
    if np.allclose(got[0], want[0], rtol=1e-6):
        if np.allclose(got[1], want[1] ** 2, rtol=1e-6) or np.allclose(got[1], (want[1] * sample) ** 2, rtol=1e-6):
            raise Wrong("the mean is right; you return the variance: take its square root")
        raise Wrong("the mean is right; the standard deviation should be taken over passes, one number per voxel")
    raise Wrong("the mean over passes is (features · mask / (1 − rate)) @ weights, averaged over the masks")


def mc_dropout(features, weights, masks, rate):
    passes = np.array([(features * mask / (1 - rate)) @ weights for mask in masks])
    return passes.mean(axis=0), passes.std(axis=0)


def _dropout_at_once(features, weights, masks, rate):
    passes = features @ (masks * weights / (1 - rate)).T
    return passes.mean(axis=1), passes.std(axis=1, ddof=1)


def _dropout_with(change):
    def wrong(features, weights, masks, rate):
        return change(*mc_dropout(features, weights, masks, rate), features, weights, masks, rate)

    return wrong


def _check_floor(fn):
    rng = np.random.default_rng()
    for shape in ((2, 7, 9), (1, 12, 5)):
        truth = rng.normal(5, 2, shape)
        first, second = (truth + rng.normal(0, 0.7, shape) for _ in range(2))
        got = float(np.mean(answer(fn, first.copy(), second.copy())))
        _judge_floor(got, first, second)


def _judge_floor(got, first, second):
    want = error_floor(first, second)
    if np.isclose(got, want):
        return
    recognise(got, [
        (4 * want, "both results may be wrong: if the truth is half-way between them, the error is a quarter"),
        (2 * want, "that is right only if all error is independent noise; the bound that always holds is half of it"),
        (np.sqrt(want), "that is a root-mean-square error; return the mean squared error"),
        (abs(np.mean(first - second)) ** 2 / 4, "square first, then average: differences of both signs cancel"),
        (0.0, "0 is also a lower bound, but not the largest: two results that differ cannot both be right"),
    ])  # fmt: skip
    raise Wrong(f"which truth lies nearest to both results? The mean squared error to it is {want:.4f} here")


def error_floor(first, second):
    return np.mean((first - second) ** 2) / 4


def _floor_by_the_middle(first, second):
    middle = (first + second) / 2  # the truth that would be nearest to both
    return (np.mean((first - middle) ** 2) + np.mean((second - middle) ** 2)) / 2


EXERCISES = [
    Exercise(
        name="14b-conformal",
        task="Given one score per person and a level, return the factor that covers the next person.",
        check=_check_conformal,
        hint="k = ⌈(n + 1) · level⌉; np.sort puts the k-th smallest at index k − 1. What if k is larger than n?",
        reference=conformal,
        alternatives=(_conformal_by_counting,),
        mistakes={
            "the quantile of those at hand": lambda scores, level: np.quantile(scores, level),
            "one too small": lambda scores, level: np.sort(scores)[int(np.ceil((len(scores) + 1) * level - 1e-9)) - 2],
            "never infinite": lambda scores, level: min(conformal(scores, level), scores.max()),
            "the largest": lambda scores, level: scores.max(),
            "from above": lambda scores, level: np.sort(scores)[::-1][int(np.ceil((len(scores) + 1) * level)) - 1],
        },
    ),
    Exercise(
        name="14b-dropout",
        task="Return mean and standard deviation over passes of a last layer with dropout.",
        check=_check_dropout,
        hint="One pass is (features * mask / (1 - rate)) @ weights; stack the passes, then axis=0.",
        reference=mc_dropout,
        alternatives=(_dropout_at_once,),
        mistakes={
            "not rescaled": _dropout_with(lambda m, s, f, w, masks, rate: (m * (1 - rate), s * (1 - rate))),
            "dropout off": _dropout_with(lambda m, s, f, w, masks, rate: (f @ w, s)),
            "mask turned round": lambda f, w, masks, rate: mc_dropout(f, w, ~masks, rate),
            "variance": _dropout_with(lambda m, s, f, w, masks, rate: (m, s**2)),
            "spread of voxels": _dropout_with(lambda m, s, f, w, masks, rate: (m, np.full_like(m, m.std()))),
        },
    ),
    Exercise(
        name="14b-floor",
        task="Return a floor under the mean squared error of two results of one head.",
        check=_check_floor,
        hint="Which of all possible truths is nearest to both results? How far is each result from it?",
        reference=error_floor,
        alternatives=(_floor_by_the_middle,),
        mistakes={
            "the whole difference": lambda a, b: np.mean((a - b) ** 2),
            "half of it": lambda a, b: np.mean((a - b) ** 2) / 2,
            "its root": lambda a, b: np.sqrt(np.mean((a - b) ** 2)) / 2,
            "averaged before squaring": lambda a, b: np.mean(a - b) ** 2 / 4,
        },
    ),
]
