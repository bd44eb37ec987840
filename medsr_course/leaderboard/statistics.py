"""From rows to means over subjects, intervals and paired tests."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course.leaderboard.scans import COHORT, GROUPS, REPORT
from medsr_course.physics import metrics

if TYPE_CHECKING:
    from medsr_course.leaderboard.board import Board, Row

Interval = tuple[float, float | None, float | None]
UNSEEN = "cohort and real MR, test"  # for the paired tests: all people on whom nothing was chosen


def gains(board: Board, rows: Iterable[Row], reference: Sequence[str], key: str) -> dict[tuple, dict[str, list[float]]]:
    """Differences of every method to a reference, scan by scan.

    Parameters
    ----------
    board : Board
    rows : list of dict
    reference : sequence of str
        Methods; where there are several, the best of them on this scan, if all were measured there.
    key : str
        A column; where it is None in one of two rows, there is no difference.

    Returns
    -------
    dict
        (group, conditions …, method) → subject → list of differences, one per scan.
    """
    base: dict[tuple, list[float]] = {}
    for row in rows:
        if row["method"] in reference and row[key] is not None:
            base.setdefault(board.place(row), []).append(row[key])
    found: dict[tuple, dict[str, list[float]]] = {}
    for row in rows:
        rivals = base.get(board.place(row), ())
        if len(rivals) == len(reference) and row[key] is not None:
            where = *board.where(row), row["method"]
            found.setdefault(where, {}).setdefault(row["subject"], []).append(row[key] - max(rivals))
    return found


def means(board: Board, rows: Iterable[Row]) -> dict[tuple, list[Row]]:
    """Means over subjects, a subject's scans averaged first, and differences to what the board counts from.

    Parameters
    ----------
    board : Board
    rows : list of dict

    Returns
    -------
    dict
        (group, conditions …) → list of dict, one per method: ``group``, the conditions, ``method, title, subjects,
        scans``; a mean (or None) for every metric; ``parameters`` and the median ``seconds_per_megavoxel`` (None if
        unknown); and for each of :attr:`Board.over` the paired difference, say ``difference``, as :func:`interval`
        (None where it was not measured, and for the reference itself unless the board counts it), with
        ``least_difference``, the smallest of one scan.
    """
    over = {
        f"{key}{end}": (gains(board, rows, methods, metric), methods)
        for key, (_, methods) in board.over.items()
        for metric, end in board.compared.items()
    }
    found: dict[tuple, dict[str, list[Row]]] = {}
    for row in rows:
        found.setdefault(board.where(row), {}).setdefault(row["method"], []).append(row)
    result: dict[tuple, list[Row]] = {}
    for where, methods in found.items():
        for name, own in methods.items():
            line: Row = dict(zip(("group", *board.conditions), where, strict=True))
            line |= {"method": name, "title": own[0].get("title", name), "scans": len(own)}
            line["subjects"] = len({row["subject"] for row in own})
            for column in board.metrics:
                people: dict[str, list[float]] = {}
                for row in own:
                    if row[column] is not None:
                        people.setdefault(row["subject"], []).append(row[column])
                line[column] = _mean([_mean(values) for values in people.values()])
            seconds = [row["seconds_per_megavoxel"] for row in own if row.get("seconds_per_megavoxel") is not None]
            line["seconds_per_megavoxel"] = float(np.median(seconds)) if seconds else None
            line["parameters"] = own[0].get("parameters")
            for key, (table, reference) in over.items():
                counted = board.counts_reference or reference != (name,)
                values = list(table.get((*where, name), {}).values()) if counted else []
                line[key] = interval([_mean(one) for one in values])
                line[f"least_{key}"] = min(itertools.chain(*values), default=None)
            result.setdefault(where, []).append(line)
    return result


def _mean(values: Sequence[float]) -> Any:
    return float(np.mean(values)) if values else None


def interval(values: Sequence[float]) -> Interval | None:
    """Returns ``(mean, low, high)``, the 95 % bootstrap interval over subjects.

    ``low`` and ``high`` are None where there are fewer than three subjects; all is None without any.
    """
    if not len(values):
        return None
    if len(values) < 3:
        return float(np.mean(values)), None, None
    return metrics.bootstrap_interval(values)


def sign_flip(differences: Sequence[float]) -> float:
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


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of several p values (Holm 1979), in their order.

    >>> [round(v, 3) for v in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, float)
    order = np.argsort(values)
    stepped = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1)
    return corrected.tolist()


def tests(board: Board, rows: Iterable[Row], networks: Collection[str]) -> list[Row]:
    """Paired tests of trained networks against everything that the board counts from.

    The unit is the subject, the mean of its contrasts; p values by :func:`sign_flip`, corrected by :func:`holm` over
    the networks within one group, condition and reference. Test subjects, synthetic and real, are also tested
    together, as :data:`UNSEEN`.

    Returns
    -------
    list of dict
        ``group``, the conditions, ``method, reference, subjects, mean_gain, p, p_holm, smallest_p``.
    """
    result = []
    metric = next(iter(board.compared))
    for name, reference in board.over.values():
        families: dict[tuple, dict[str, dict[tuple, float]]] = {}
        for (group, *conditions, method), people in gains(board, rows, reference, metric).items():
            if method in networks:
                values = {(group, subject): _mean(own) for subject, own in people.items()}
                for together in (group, UNSEEN) if group in (COHORT, REPORT) else (group,):
                    families.setdefault((together, *conditions), {}).setdefault(method, {}).update(values)
        for where, family in families.items():
            values = [list(people.values()) for people in family.values()]
            if len(values[0]) < 3:
                continue
            p = [sign_flip(own) for own in values]
            for method, own, raw, corrected in zip(family, values, p, holm(p), strict=True):
                line = dict(zip(("group", *board.conditions), where, strict=True)) | {"method": method}
                line |= {"reference": name, "subjects": len(own), "mean_gain": _mean(own), "p": raw}
                result.append(line | {"p_holm": corrected, "smallest_p": 2 / 2 ** len(own)})
    place = (*GROUPS, UNSEEN).index
    order = (*board.conditions, "reference")
    return sorted(result, key=lambda r: (*(r[key] for key in order), place(r["group"]), r["method"]))
