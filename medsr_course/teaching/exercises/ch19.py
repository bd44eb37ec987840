"""Exercises of chapter 19: what a flag means, the area under the ROC curve, what triage costs those it misses."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_flag(fn):
    rng = np.random.default_rng()
    for _ in range(4):
        prevalence, hit, alarm = rng.uniform(0.01, 0.3), rng.uniform(0.6, 0.95), rng.uniform(0.02, 0.2)
        got = shaped(answer(fn, prevalence, hit, alarm), (2,), "return two numbers, (ppv, missed)", float)
        _judge_flag(got, prevalence, hit, alarm)


def _judge_flag(got, p, hit, alarm):
    want = np.array(what_a_flag_means(p, hit, alarm))
    if np.allclose(got, want, rtol=1e-6):
        return
    if np.allclose(got, want[::-1], rtol=1e-6):
        raise Wrong("both numbers are right, but in the wrong order: the flagged come first")
    if np.isclose(got[0], hit):
        raise Wrong("that is the hit rate: the share of the ill who are flagged, not of the flagged who are ill")
    if np.isclose(got[0], hit / (hit + alarm)):
        raise Wrong("the prevalence is missing: healthy people are more than ill ones, and give most alarms")
    if not np.isclose(got[0], want[0], rtol=1e-6):
        raise Wrong(f"the share of the flagged who are ill is {want[0]:.4f} here, and yours is {got[0]:.4f}")
    if np.isclose(got[1], 1 - want[1]):
        raise Wrong("the first is right; the second is the share of the unflagged who are healthy")
    if np.isclose(got[1], 1 - hit):
        raise Wrong("the first is right; the second is the share of the ill who are missed: divide by the unflagged")
    raise Wrong(f"the first is right; of the unflagged {want[1]:.4f} are ill here, and yours is {got[1]:.4f}")


def what_a_flag_means(prevalence, hit, alarm):
    true, false = prevalence * hit, (1 - prevalence) * alarm
    missed, cleared = prevalence * (1 - hit), (1 - prevalence) * (1 - alarm)
    return true / (true + false), missed / (missed + cleared)


def _flag_by_counting(prevalence, hit, alarm):
    people = np.array([[prevalence * hit, prevalence * (1 - hit)], [(1 - prevalence) * alarm, 0]])
    people[1, 1] = 1 - people.sum()
    return people[0] / people.sum(axis=0)


def _check_auc(fn):
    rng = np.random.default_rng()
    for ties in (False, True):
        sick, healthy = rng.normal(1, 1, 23), rng.normal(0, 1, 31)
        if ties:
            sick, healthy = np.round(2 * sick), np.round(2 * healthy)
        got = answer(fn, sick.copy(), healthy.copy())
        if np.ndim(got):
            raise Wrong("return one number, not an array")
        _judge_auc(float(got), sick, healthy)


def _judge_auc(got, sick, healthy):
    want = area_under_roc(sick, healthy)
    pairs = sick[:, None] - healthy
    if np.isclose(got, want):
        return
    if np.isclose(got, 1 - want):
        raise Wrong("that is the share in which the healthy one is rated higher")
    if np.isclose(got, (pairs > 0).mean()):
        raise Wrong("right except for ties: a pair with equal ratings counts half, and yours counts nothing")
    if np.isclose(got, (pairs >= 0).mean()):
        raise Wrong("right except for ties: a pair with equal ratings counts half, and yours counts as a success")
    middle = np.median(np.concatenate([sick, healthy]))
    if np.isclose(got, np.concatenate([sick > middle, healthy <= middle]).mean()):
        raise Wrong("that is the share of right answers at one threshold; the AUC has none: compare all pairs")
    raise Wrong(f"the share of pairs is {want:.4f} here, and yours is {got:.4f}")


def area_under_roc(sick, healthy):
    difference = sick[:, None] - healthy[None, :]
    return np.mean(difference > 0) + np.mean(difference == 0) / 2


def _auc_by_ranks(sick, healthy):
    from scipy import stats

    ranks = stats.rankdata(np.concatenate([sick, healthy]))[: len(sick)]
    return (ranks.sum() - len(sick) * (len(sick) + 1) / 2) / (len(sick) * len(healthy))


def _accuracy(sick, healthy):
    middle = np.median(np.concatenate([sick, healthy]))
    return np.concatenate([sick > middle, healthy <= middle]).mean()


def _check_missed(fn):
    rng = np.random.default_rng()
    for _ in range(4):
        load, minutes, flagged = rng.uniform(0.5, 0.95), rng.uniform(3, 20), rng.uniform(0.05, 0.4)
        got = shaped(answer(fn, load, minutes, flagged), (2,), "return two numbers, (missed, extra)", float)
        _judge_missed(got, load, minutes, flagged)


def _judge_missed(got, load, minutes, flagged):
    want = np.array(missed_patient(load, minutes, flagged))
    if np.allclose(got, want, rtol=1e-6):
        return
    rest = load * minutes
    if np.isclose(got[0], rest / (1 - load * flagged)):
        raise Wrong("that is the wait of the flagged: she is not flagged, so she also waits for all who come later")
    if np.isclose(got[0], rest / (1 - load)):
        raise Wrong("that is the wait without any AI: with one, flagged cases overtake her")
    if np.isclose(got[0], want[0] / load):
        raise Wrong("you start from the mean reading time: the reader is busy only a share `load` of the time")
    if not np.isclose(got[0], want[0], rtol=1e-6):
        raise Wrong(f"she waits {want[0]:.2f} minutes here, and yours is {got[0]:.2f}")
    if np.isclose(got[1], want[0] / (rest / (1 - load))):
        raise Wrong("her wait is right; the extra should be a difference in minutes, and yours is a ratio")
    if np.isclose(got[1], want[0] - rest / (1 - load * flagged)):
        raise Wrong("her wait is right; compare it with no AI at all, not with those who were flagged")
    raise Wrong(f"her wait is right; it is {want[1]:.2f} minutes longer than without AI, and yours is {got[1]:.2f}")


def missed_patient(load, minutes, flagged):
    rest = load * minutes  # of the reading that a new case meets
    missed = rest / ((1 - load * flagged) * (1 - load))
    return missed, missed - rest / (1 - load)


def _missed_by_conservation(load, minutes, flagged):
    everybody, first = load * minutes / (1 - load), load * minutes / (1 - load * flagged)
    missed = (everybody - flagged * first) / (1 - flagged)  # the mean of all cases stays as it was
    return missed, missed - everybody


EXERCISES = [
    Exercise(
        "19-flag",
        "Return (ppv, missed): the share of the flagged who are ill, and of the unflagged who are ill.",
        _check_flag,
        "Count a thousand people in four groups: ill or not, flagged or not. Then divide within a row or a column.",
        what_a_flag_means,
        alternatives=(_flag_by_counting,),
        mistakes={
            "hit rate": lambda p, hit, alarm: (hit, what_a_flag_means(p, hit, alarm)[1]),
            "no prevalence": lambda p, hit, alarm: (hit / (hit + alarm), what_a_flag_means(p, hit, alarm)[1]),
            "missed of the ill": lambda p, hit, alarm: (what_a_flag_means(p, hit, alarm)[0], 1 - hit),
            "healthy of the unflagged": lambda p, hit, alarm: (
                what_a_flag_means(p, hit, alarm)[0],
                1 - what_a_flag_means(p, hit, alarm)[1],
            ),
            "order": lambda p, hit, alarm: what_a_flag_means(p, hit, alarm)[::-1],
        },
    ),
    Exercise(
        "19-auc",
        "Return the share of pairs in which the sick one is rated higher, ties half.",
        _check_auc,
        "sick[:, None] - healthy[None, :] holds the difference of every pair.",
        area_under_roc,
        alternatives=(_auc_by_ranks,),
        mistakes={
            "ties lost": lambda sick, healthy: np.mean(sick[:, None] > healthy),
            "ties won": lambda sick, healthy: np.mean(sick[:, None] >= healthy),
            "other way round": lambda sick, healthy: 1 - area_under_roc(sick, healthy),
            "accuracy": _accuracy,
        },
    ),
    Exercise(
        "19-missed",
        "Return (missed, extra): the mean wait of a patient whom triage missed, and how much longer that is.",
        _check_missed,
        "She is one of the others in Cobham's formula. Without an AI nobody is flagged: set f = 0.",
        missed_patient,
        alternatives=(_missed_by_conservation,),
        mistakes={
            "flagged": lambda load, minutes, f: (load * minutes / (1 - load * f), 0.0),
            "no AI": lambda load, minutes, f: (load * minutes / (1 - load), 0.0),
            "mean reading": lambda load, minutes, f: tuple(x / load for x in missed_patient(load, minutes, f)),
            "ratio": lambda load, minutes, f: (missed_patient(load, minutes, f)[0], 1 / (1 - load * f)),
            "against the flagged": lambda load, minutes, f: (
                missed_patient(load, minutes, f)[0],
                missed_patient(load, minutes, f)[0] - load * minutes / (1 - load * f),
            ),
        },
    ),
]
