"""Control charts: has what is measured of scan after scan changed, and how long until the chart says so?

All charts are given standardised numbers, z = (x − mean) / standard deviation, both from a *first phase* during which
all was well. Each turns them into a statistic that is never negative, and calls where it passes a limit. Their mean run
lengths, for normal numbers, come from theory, so that charts can be compared at the same rate of false alarms.
"""

from collections.abc import Callable

import numpy as np
from scipy import optimize, signal, stats

from medsr_course.types import Array

WEIGHT = 0.2  # of the newest scan in an EWMA
SLACK = 0.5  # of a CUSUM, in standard deviations: half of the shift that it is best for
STATES = 201  # of the Markov chains that give mean run lengths


def shewhart(z: Array) -> Array:
    """The distance of each number from the mean (Shewhart 1931).

    >>> shewhart(np.array([0.5, -3.0])).tolist()
    [0.5, 3.0]
    """
    return np.abs(z)


def ewma(z: Array, weight: float = WEIGHT) -> Array:
    """Distance of the exponentially weighted moving average, in its own standard deviations (Roberts 1959).

    ``z`` (..., n) is in order of time; the average starts at 0.
    """
    mean = signal.lfilter([weight], [1, weight - 1], z, axis=-1)
    return np.abs(mean) / np.sqrt(weight / (2 - weight))


def cusum(z: Array, slack: float = SLACK) -> Array:
    """The larger of two cumulative sums, of what lies above ``slack`` and of what lies below −``slack`` (Page 1954).

    ``z`` (..., n) is in order of time; both sums start at 0 and never fall below it.
    """
    z = np.asarray(z, float)
    up, down, out = np.zeros(z.shape[:-1]), np.zeros(z.shape[:-1]), np.empty(z.shape)
    for k in range(z.shape[-1]):
        up = np.maximum(0, up + z[..., k] - slack)
        down = np.maximum(0, down - z[..., k] - slack)
        out[..., k] = np.maximum(up, down)
    return out


CHARTS: dict[str, Callable[[Array], Array]] = {"Shewhart": shewhart, "EWMA": ewma, "CUSUM": cusum}


def run_length(statistic: Array, limit: float) -> Array:
    """How many scans until the first alarm, 1 for the first scan; infinity where there is none.

    ``statistic`` is (..., n), the answer (...).

    >>> run_length(np.array([[1, 4, 9], [1, 1, 1]]), 3).tolist()
    [2.0, inf]
    """
    over = np.asarray(statistic) > limit
    return np.where(over.any(axis=-1), over.argmax(axis=-1) + 1.0, np.inf)


def mean_run_length(chart: str, limit: float, shift: float = 0.0) -> float:
    """The mean run length of a chart for normal numbers whose mean lies ``shift`` standard deviations off.

    Exact for Shewhart's chart; by a Markov chain of :data:`STATES` states for the others (Brook & Evans 1972).

    >>> round(mean_run_length("Shewhart", 3), 1)
    370.4
    """
    if chart == "Shewhart":
        return float(1 / (stats.norm.sf(limit - shift) + stats.norm.cdf(-limit - shift)))
    if chart == "EWMA":
        edge = limit * np.sqrt(WEIGHT / (2 - WEIGHT))
        width = 2 * edge / STATES
        centres = -edge + width * (np.arange(STATES) + 0.5)
        middle = (centres[None] - (1 - WEIGHT) * centres[:, None]) / WEIGHT - shift
        stay = stats.norm.cdf(middle + width / 2 / WEIGHT) - stats.norm.cdf(middle - width / 2 / WEIGHT)
        return float(np.linalg.solve(np.eye(STATES) - stay, np.ones(STATES))[STATES // 2])
    sides = [_one_sided(limit, sign * shift) for sign in (1, -1)]
    return 1 / (1 / sides[0] + 1 / sides[1])


def _one_sided(limit: float, shift: float) -> float:
    """Of a CUSUM that watches one side only, started at 0."""
    width = 2 * limit / (2 * STATES - 1)
    centres = width * np.arange(STATES)
    step = centres[None] - centres[:, None] + SLACK - shift
    stay = stats.norm.cdf(step + width / 2) - stats.norm.cdf(step - width / 2)
    stay[:, 0] = stats.norm.cdf(step[:, 0] + width / 2)
    return float(np.linalg.solve(np.eye(STATES) - stay, np.ones(STATES))[0])


def limit_for(chart: str, length: float) -> float:
    """The limit at which a chart calls once in ``length`` scans, on average, while nothing has changed.

    >>> round(limit_for("Shewhart", 370.4), 2)
    3.0
    """
    return float(optimize.brentq(lambda limit: np.log(mean_run_length(chart, limit) / length), 0.5, 12))
