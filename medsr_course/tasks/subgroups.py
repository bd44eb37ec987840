"""Is a method as good for everybody? Groups of people, the gap between them, and what a study of so many can see."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from medsr_course.scans import phantom, volumes
from medsr_course.scans.datasets.subjects import Subject
from medsr_course.types import Array

INSIDE = ("cortical grey matter", "white matter", "deep grey matter", "lesion", "cerebrospinal fluid")


def about(subject: Subject) -> dict[str, float]:
    """What a cohort subject's labels say of the person.

    Returns
    -------
    dict
        ``brain`` and ``lesion``, volumes in ml, without fluid; ``fluid``, cerebrospinal fluid in parts of brain and
        fluid together, which rises with age in people; ``stripped``, 1 where the file holds the brain alone.

    Raises
    ------
    ValueError
        If the subject has no labels.
    """
    if subject.labels is None:
        raise ValueError(f"{subject.id} has no labels: take a subject of the cohort")
    labels = np.asarray(subject.labels.dataobj).astype(int)
    voxel = float(np.prod(volumes.voxel_sizes(subject.labels))) / 1000
    count = np.bincount(labels.ravel(), minlength=len(phantom.NUMBER))
    *solid, fluid = (int(count[phantom.NUMBER[name]]) for name in INSIDE)
    return {
        "brain": sum(solid) * voxel,
        "fluid": fluid / (sum(solid) + fluid),
        "lesion": int(count[phantom.NUMBER["lesion"]]) * voxel,
        "stripped": float(count[phantom.NUMBER["scalp and face"]] == 0),
    }


def gap(values: Array, group: Array) -> tuple[float, float, float, float]:
    """The difference of two groups of people, by Welch's t, whose spreads may differ.

    Parameters
    ----------
    values : array (n,)
        One number per person.
    group : bool array (n,)
        Who belongs to the first group; at least two people in either.

    Returns
    -------
    difference, low, high, p
        Mean of the first group less that of the second, its 95 % interval, and the two-sided p-value.
    """
    first, second = values[group], values[~group]
    if min(first.size, second.size) < 2:
        raise ValueError(f"a gap needs two people in each group, not {first.size} and {second.size}")
    test = stats.ttest_ind(first, second, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return float(first.mean() - second.mean()), float(low), float(high), float(test.pvalue)


def holm(p: Sequence[float] | Array) -> Array:
    """p-values adjusted for their number (Holm 1979), in the order given.

    If all below α are called, the chance of any false call is at most α.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return np.minimum(adjusted, 1)[np.argsort(order)]


def power(effect: float, first: int, second: int, alpha: float = 0.05) -> float:
    """The chance that a two-sided t-test calls a gap of ``effect`` standard deviations between two groups of people.

    >>> round(power(0.5, 64, 64), 2)
    0.8
    """
    freedom = first + second - 2
    centre = effect * np.sqrt(first * second / (first + second))
    edge = stats.t.isf(alpha / 2, freedom)
    return float(stats.nct.sf(edge, freedom, centre) + stats.nct.cdf(-edge, freedom, centre))
