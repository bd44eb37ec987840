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
Differences = dict[tuple, dict[str, list[float]]]  # (group, conditions …, method) → subject → one per scan
UNSEEN = "cohort and real MR, test"  # for the paired tests: all people on whom nothing was chosen


def differences(board: Board, rows: Iterable[Row], reference: Collection[str], metric: str) -> Differences:
    """Returns the difference of every method to a reference, scan by scan, where both were measured.

    Of several methods in ``reference`` the best on this scan counts, if all were measured there, or the board says that
    some will do.
    """
    rows = [row for row in rows if row[metric] is not None]
    base: dict[tuple, list[float]] = {}
    for row in rows:
        if row["method"] in reference:
            base.setdefault(board.place(row), []).append(row[metric])
    found: Differences = {}
    for row in rows:
        rivals = base.get(board.place(row), ())
        if len(rivals) == len(reference) or (rivals and not board.every_rival):
            people = found.setdefault((*board.where(row), row["method"]), {})
            people.setdefault(row["subject"], []).append(row[metric] - max(rivals))
    return found


def means(board: Board, rows: Iterable[Row]) -> dict[tuple, list[Row]]:
    """Returns means over subjects, a subject's scans averaged first, and differences to what the board counts from.

    (group, conditions …) → list of dict, one per method: ``group``, the conditions, ``method, title, subjects, scans``;
    a mean (or None) for every metric; ``parameters`` and the median ``seconds_per_megavoxel`` (None if unknown); for
    each of :attr:`Board.over` the paired difference, say ``difference``, as :func:`interval` (None where it was not
    measured, and for the reference itself unless the board counts it), and ``least_difference``, of one scan.
    """
    over = {
        f"{key}{end}": (differences(board, rows, methods, metric), methods)
        for key, (_, methods) in board.over.items()
        for metric, end in board.compared.items()
    }
    found: dict[tuple, dict[str, list[Row]]] = {}
    for row in rows:
        found.setdefault(board.where(row), {}).setdefault(row["method"], []).append(row)
    result: dict[tuple, list[Row]] = {}
    for where, methods in found.items():
        for name, own in methods.items():
            people: dict[str, list[Row]] = {}
            for row in own:
                people.setdefault(row["subject"], []).append(row)
            line: Row = dict(zip(("group", *board.conditions), where, strict=True))
            line |= {"method": name, "title": own[0].get("title", name), "subjects": len(people), "scans": len(own)}
            for column in board.metrics:
                values = [_mean([row[column] for row in scans]) for scans in people.values()]
                line[column] = _mean(values)
            seconds = [row["seconds_per_megavoxel"] for row in own if row.get("seconds_per_megavoxel") is not None]
            line["seconds_per_megavoxel"] = float(np.median(seconds)) if seconds else None
            line["parameters"] = own[0].get("parameters")
            for key, (table, reference) in over.items():
                counted = board.counts_reference or reference != (name,)
                gains = list(table.get((*where, name), {}).values()) if counted else []
                line[key] = interval([_mean(one) for one in gains], where[0])
                line[f"least_{key}"] = min(itertools.chain(*gains), default=None)
            result.setdefault(where, []).append(line)
    return result


def _mean(values: Iterable[float | None]) -> Any:
    """The mean of what is not None; None if nothing is left."""
    kept = [value for value in values if value is not None]
    return float(np.mean(kept)) if kept else None


def interval(values: Sequence[float], group: str) -> Interval | None:
    """Returns ``(mean, low, high)`` over subjects: 95 %, Student's t, None where there is none to give.

    Only the cohort's subjects, three or more, have one: real scans are few, and each is of another kind.
    """
    if group != COHORT or len(values) < 3:
        return (float(np.mean(values)), None, None) if len(values) else None
    return metrics.student_interval(values)


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
    """Returns paired tests of trained networks against everything that the board counts from, one dict per test.

    The unit is the subject, the mean of its contrasts; p values by :func:`sign_flip`, corrected by :func:`holm` over
    the networks within one group, condition and reference. Test subjects, synthetic and real, are also tested
    together, as :data:`UNSEEN`. ``smallest_p`` is the least that so many subjects can give.
    """
    result = []
    for name, reference in board.over.values():
        families: dict[tuple, dict[str, list[float]]] = {}
        found = differences(board, rows, reference, next(iter(board.compared)))
        for (group, *conditions, method), people in found.items():
            for together in (group, UNSEEN) if group in (COHORT, REPORT) else (group,):
                if method in networks:
                    family = families.setdefault((together, *conditions), {})
                    family.setdefault(method, []).extend(map(_mean, people.values()))
        for where, family in families.items():
            p = [sign_flip(values) for values in family.values()]
            for (method, values), raw, corrected in zip(family.items(), p, holm(p), strict=True):
                line = dict(zip(("group", *board.conditions), where, strict=True)) | {"method": method}
                line |= {"reference": name, "subjects": len(values), "mean_gain": _mean(values), "p": raw}
                result.append(line | {"p_holm": corrected, "smallest_p": 2 / 2 ** len(values)})
    place = (*GROUPS, UNSEEN).index
    seen = list(dict.fromkeys(tuple(line[key] for key in board.conditions) for line in result))

    def order(line: Row) -> tuple:
        where = seen.index(tuple(line[key] for key in board.conditions))
        return where, line["reference"], place(line["group"]), line["method"]

    return sorted((line for line in result if line["subjects"] >= 3), key=order)
