"""A study plan with eight faults, and what each of them does to a number.

:data:`PLAN` is the text, sentence by sentence; :data:`FAULTS` says which sentences are at fault. The functions below
simulate the study twice, as it should be and as planned, in the simplest model in which the fault shows.
"""

import numpy as np
from scipy import stats

from medsr_course.types import Array, Rng

PLAN = (
    "Question: do radiologists tell patients with white-matter lesions better on FineHead's images than on originals?",
    "The ethics board approves this plan before the first scan is looked at.",
    "Scans: all adult FLAIR scans of one year at Lakeside, as the board allows; none of them taught the network.",
    "Truth: two neuroradiologists who see all later scans and take no other part; a third decides where they differ.",
    "We take twelve patients, because they can be read in one day.",
    "Six of the twelve have lesions; the share of positive readings that is right is reported as that of the clinic.",
    "Four readers, of 5 to 20 years' experience, read alone.",
    "The name FineHead stands in the corner of its images.",
    "Each reader sees all originals in the morning, and all of FineHead's images in the afternoon of that day.",
    "Readers rate every case from 0, surely healthy, to 100, surely a lesion.",
    "For each kind of image, the rating that counts as positive is the one with most right answers in this study.",
    "The main result is one difference, FineHead less original, and is named here, before the reading.",
    "Each patient has twenty slices; intervals are computed over all 240 slices.",
    "A case that a reader calls unreadable stays in, and counts as wrong.",
    "After the reading, cases on which FineHead did badly are looked at again; those that look unusual are left out.",
    "FineHead is better if the lower end of a one-sided 95 % interval is above zero; the upper end is not reported.",
    "Reading time and three lesion sizes are secondary, and are tested with Holm's correction.",
    "All results are published, whatever they say, harm included.",
    "Northlight pays for the study, sees no data before it is finished, and is named in the paper.",
)
FAULTS = {
    5: "no reason for the number of patients",
    6: "a predictive value without the clinic's prevalence",
    8: "readers are not blinded",
    9: "no time between the two readings, and a fixed order",
    11: "a threshold chosen on the cases that it is judged by",
    13: "the slice as unit",
    15: "cases excluded after the results are known",
    16: "a one-sided interval",
}


def coverage(between: float, within: float, people: int, slices: int, runs: int, rng: Rng) -> tuple[float, float]:
    """How often a 95 % interval holds the true mean, over people and over all slices.

    Parameters
    ----------
    between, within : float
        Standard deviations between people, and between slices of a person.
    people, slices : int
        Of a study, and of a person.
    runs : int
        Studies simulated.

    Returns
    -------
    float, float
        Shares of the studies; the unit is the person in the first, the slice in the second.
    """
    persons = rng.normal(0, between, (runs, people, 1))
    values = persons + rng.normal(0, within, (runs, people, slices))
    return _covers(values.mean(axis=2)), _covers(values.reshape(runs, -1))


def _covers(values: Array) -> float:
    n = values.shape[1]
    half = stats.t.isf(0.025, n - 1) * values.std(axis=1, ddof=1) / np.sqrt(n)
    return float(np.mean(np.abs(values.mean(axis=1)) <= half))


def chosen_threshold(cases: int, runs: int, rng: Rng) -> tuple[float, float]:
    """Share of right answers of ratings that know nothing: at a threshold of other cases, and at the best one here.

    Half of ``cases`` have a lesion. The first number is 0.5 but for chance.
    """
    ratings = rng.standard_normal((2, runs, cases))
    lesion = np.arange(cases) % 2 == 0
    shares = []
    for one in ratings:
        called = one[..., None, :] >= one[..., :, None]  # each rating as a threshold
        shares.append((called == lesion).mean(axis=-1))
    best = shares[0].argmax(axis=-1)
    limits = np.take_along_axis(ratings[0], best[:, None], axis=1)
    return float(np.mean((ratings[1] >= limits) == lesion)), float(shares[0].max(axis=-1).mean())


def fixed_order(memory: float, readers: int, patients: int, runs: int, rng: Rng) -> tuple[float, float]:
    """Mean difference in right answers, second kind of image less first, of two kinds that are equally good.

    Of a case seen before, a reader remembers the right answer with a chance of ``memory``. In the first number half of
    the readers begin with the second kind; in the second number all begin with the first.
    """
    first = rng.random((runs, readers, patients)) < 0.7
    second = (rng.random(first.shape) < 0.7) | (rng.random(first.shape) < memory)
    later = (second.mean(axis=2) - first.mean(axis=2)).astype(float)
    swapped = np.where(np.arange(readers) % 2 == 0, later, -later)
    return float(swapped.mean()), float(later.mean())


def wishful(shift: float, patients: int, runs: int, rng: Rng) -> tuple[float, float]:
    """Gain in hit rate of two kinds of images that are equally good, blinded and not.

    A reader who knows which images are new calls a lesion ``shift`` standard deviations earlier on them. The false
    alarms rise as well, which a hit rate does not show.
    """
    evidence = rng.normal(1.0, 1.0, (2, runs, patients))  # of patients with a lesion, for either kind of image
    hits = evidence > 0.5
    return float(hits[1].mean() - hits[0].mean()), float((evidence[1] > 0.5 - shift).mean() - hits[0].mean())


def excluded(share: float, patients: int, runs: int, rng: Rng) -> tuple[float, float]:
    """Mean gain, in standard deviations, of a method that gains nothing: of all cases, and without its worst ones."""
    gains = np.sort(rng.standard_normal((runs, patients)), axis=1)
    return float(gains.mean()), float(gains[:, round(share * patients) :].mean())


def one_sided(patients: int, runs: int, rng: Rng) -> tuple[float, float]:
    """How often a method that gains nothing is called better: by a two-sided and by a one-sided 95 % interval."""
    gains = rng.standard_normal((runs, patients))
    t = gains.mean(axis=1) / gains.std(axis=1, ddof=1) * np.sqrt(patients)
    edges = stats.t.isf([0.025, 0.05], patients - 1)
    return float(np.mean(t > edges[0])), float(np.mean(t > edges[1]))


def predictive_value(hit: float, alarm: float, prevalence: float) -> float:
    """The share of positive readings that is right (Bayes)."""
    return prevalence * hit / (prevalence * hit + (1 - prevalence) * alarm)


def too_few(effect: float, patients: int, runs: int, rng: Rng) -> tuple[float, float]:
    """What a true gain of ``effect`` standard deviations looks like in a study of so many patients.

    Returns
    -------
    float, float
        The share of studies that find it (95 % interval above 0), and the mean gain that those report, in parts of the
        true one.
    """
    gains = rng.normal(effect, 1, (runs, patients))
    means = gains.mean(axis=1)
    seen = means > stats.t.isf(0.025, patients - 1) * gains.std(axis=1, ddof=1) / np.sqrt(patients)
    return float(seen.mean()), float(means[seen].mean() / effect)
