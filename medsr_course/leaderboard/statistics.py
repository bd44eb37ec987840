"""From rows to means over subjects, intervals and paired tests."""

import itertools

import numpy as np

from medsr_course.leaderboard import methods
from medsr_course.leaderboard.entries import BEST, COHORT, FILTERS, GROUPS, REPORT, group, title
from medsr_course.physics import metrics

PLAIN = ("zip", *(f"{name}{BEST}" for name, f in FILTERS.items() if not f.rician))
STRICT = ("zip", *(f"{name}{BEST}" for name in FILTERS))
OVER = {"gain": ("zip",), "over_best": PLAIN, "over_strict": STRICT}  # what a gain is counted from
NUMBERS = ("psnr", "psnr_head", "ssim", "hfen", "low_band", "seconds_per_megavoxel")
UNSEEN = "cohort and real MR, test"  # for the paired tests: all people on whom nothing was chosen


def learned(name):
    """Whether a row's method is a trained network."""
    return name in methods.names(learned=True)


def gains(rows, *, reference=("zip",), key="psnr"):
    """Gain of every method over a reference, scan by scan.

    Parameters
    ----------
    rows : list of dict
    reference : sequence of str
        Methods; where there are several, the best of them on this scan, if all were measured there.
    key : str
        A column.

    Returns
    -------
    dict
        (group, scale, noise, method) → subject → list of gains, one per contrast.
    """

    def condition(row):
        return tuple(row[k] for k in ("scale", "noise", "data", "subject", "contrast"))

    base = {}
    for row in rows:
        if row["method"] in reference:
            base.setdefault(condition(row), []).append(row[key])
    found = {}
    for row in rows:
        if len(base.get(condition(row), ())) == len(reference):
            where = group(row["data"], row["split"], row["contrast"]), row["scale"], row["noise"], row["method"]
            gain = row[key] - max(base[condition(row)])
            found.setdefault(where, {}).setdefault(row["subject"], []).append(gain)
    return found


def summary(rows):
    """Means over subjects of every method in every group, with intervals.

    Returns
    -------
    list of dict
        ``group, scale, noise, method, title, subjects, scans``; means over subjects (a subject's contrasts averaged
        first) ``psnr, psnr_head, ssim, hfen, low_band``, the median ``seconds_per_megavoxel``, ``parameters``;
        ``gain`` over ZIP and, with noise, ``over_best``, over the best of ZIP and the plain filters at their best for
        the scan, and ``over_strict``, the Rician filter among them: each ``(mean, low, high)``, the 95 % bootstrap
        interval over subjects, None where fewer than three; ``least_gain`` and so on, the smallest of one scan. All
        of these also inside the head: ``gain_head``, ``least_gain_head``, …
    """
    by = {}
    for row in rows:
        where = group(row["data"], row["split"], row["contrast"]), row["scale"], row["noise"], row["method"]
        by.setdefault(where, []).append(row)
    over = {
        f"{name}{end}": gains(rows, reference=reference, key=f"psnr{end}")
        for name, reference in OVER.items()
        for end in ("", "_head")
    }
    result = []
    for where, found in sorted(by.items(), key=lambda item: (item[0][1], item[0][2], GROUPS.index(item[0][0]))):
        people = {}
        for row in found:
            people.setdefault(row["subject"], []).append(row)
        means = {
            key: float(np.mean([np.mean([row[key] for row in own]) for own in people.values()])) for key in NUMBERS[:-1]
        }
        line = dict(zip(("group", "scale", "noise", "method"), where, strict=True)) | means
        line |= {"title": title(line["method"]), "subjects": len(people), "scans": len(found)}
        line["seconds_per_megavoxel"] = float(np.median([row["seconds_per_megavoxel"] for row in found]))
        line["parameters"] = found[0]["parameters"]
        for key, table in over.items():
            values = table.get(where, {})
            line[key] = interval([np.mean(own) for own in values.values()])
        for key, table in over.items():
            own = [v for values in table.get(where, {}).values() for v in values]
            line[f"least_{key}"] = min(own, default=None)
        result.append(line)
    return result


def interval(values):
    """``(mean, low, high)`` over subjects; low and high None where there are fewer than three; None without any."""
    if not len(values):
        return None
    if len(values) < 3:
        return float(np.mean(values)), None, None
    return metrics.bootstrap_interval(values)


def sign_flip(differences):
    """Two-sided p of the paired permutation test: how often does flipping signs give a mean as large?

    Exact up to 16 subjects, else 100 000 random flips. With n subjects p is never below 2/2ⁿ.

    >>> sign_flip([1, 2, 3, 4])
    0.125
    """
    values = np.asarray(differences, float)
    if values.size <= 16:
        signs = np.array(list(itertools.product((1, -1), repeat=values.size)))
    else:
        signs = np.random.default_rng(0).choice((1, -1), (100_000, values.size))
        signs[0] = 1
    return float(np.mean(np.abs(signs @ values) >= abs(values.sum()) * (1 - 1e-12)))


def holm(p):
    """Holm's step-down correction of several p values (Holm 1979), in their order.

    >>> [round(v, 3) for v in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected.tolist()


def tests(rows):
    """Paired tests of every trained network against ZIP and, with noise, against the best of ZIP and the filters.

    The unit is the subject, the mean of its contrasts; p values by :func:`sign_flip`, corrected by :func:`holm` over
    the networks within one group, scale, noise level and reference.

    Returns
    -------
    list of dict
        ``group, scale, noise, method, reference, subjects, mean_gain, p, p_holm, smallest_p``.
    """
    result = []
    for name, reference in zip(("ZIP", "plain filters", "all filters"), OVER.values(), strict=True):
        families = {}
        for (kind, scale, noise, method), people in gains(rows, reference=reference).items():
            if not learned(method):
                continue
            values = {(kind, subject): np.mean(own) for subject, own in people.items()}
            families.setdefault((kind, scale, noise), {}).setdefault(method, {}).update(values)
            if kind in (COHORT, REPORT):
                families.setdefault((UNSEEN, scale, noise), {}).setdefault(method, {}).update(values)
        for (kind, scale, noise), networks in families.items():
            values = [list(people.values()) for people in networks.values()]
            if len(values[0]) < 3:
                continue
            p = [sign_flip(v) for v in values]
            for method, own, raw, corrected in zip(networks, values, p, holm(p), strict=True):
                about = {"group": kind, "scale": scale, "noise": noise, "method": method, "reference": name}
                about |= {"subjects": len(own), "mean_gain": float(np.mean(own)), "p": raw, "p_holm": corrected}
                result.append(about | {"smallest_p": 2 / 2 ** len(own)})
    place = (*GROUPS, UNSEEN).index
    return sorted(result, key=lambda r: (r["scale"], r["noise"], r["reference"], place(r["group"]), r["method"]))
