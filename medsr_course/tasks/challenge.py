"""A challenge with a scorer: anyone's method on people that it has never seen, by the course's protocol.

A method is a function ``method(coarse, scale)`` from a stored coarse stack (n, h, w) to a fine one. It is given copies
of coarse stacks, and nothing else. Besides its gain over ZIP the scorer measures it on *altered* scans, which lie on no
disk: mirrored, in another unit, with fresh lesions in them. A method that looks truths up fails there.
"""

import csv
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from medsr_course import runtime
from medsr_course.physics import coils, metrics
from medsr_course.physics.interpolation import zero_fill
from medsr_course.runtime import CourseError
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import planting, superresolution
from medsr_course.types import Array, Stack, Upscale

ENOUGH = 20  # people from which on an interval above 0 is called a gain
MOST = 60.0  # dB
AGREE = 0.5  # dB: an honest method gains about as much on altered scans
LEAST_KEPT = 0.5  # of the planted lesions' contrast
LARGE = 2.0  # coarse voxels: lesions of this diameter and more every honest method shows
CEILING = 6.0  # dB: three quarters of the energy that no coarse scan holds; no network comes near


@dataclass(frozen=True)
class Score:
    """What the scorer found.

    ``gain`` over ZIP in dB, mean over people with its 95 % interval ``low`` to ``high``, ``worst`` of them; ``better``
    the share of slices with a smaller error than ZIP's; ``altered`` the gain on altered scans; ``kept`` the contrast
    that fresh lesions have in the result, in parts of their true one; ``seconds`` for a slice; ``verdict`` in words.
    """

    name: str
    gain: float
    low: float
    high: float
    worst: float
    better: float
    altered: float
    kept: float
    seconds: float
    people: int
    verdict: str


def score(
    method: Upscale,
    subjects: Sequence[Subject],
    name: str,
    *,
    scale: int = 2,
    contrast: str = "T1w",
    secret: int | None = None,
) -> Score:
    """Score a method on held-out people.

    Parameters
    ----------
    method : callable
        ``method(coarse, scale)``: float32 (n, h, w) → (n, scale·h, scale·w), same unit, sample 0 in place.
    subjects : sequence of Subject
        At least one; the unit of the interval is the person.
    name : str
        For the scoreboard.
    scale : int
    contrast : str
    secret : int, optional
        What alters the altered scans; by default something nobody knows.

    Raises
    ------
    CourseError
        If the method returns no such stack, or there is nobody to judge it on.
    """
    if not subjects:
        raise CourseError("there is nobody to judge the method on: give at least one subject")
    dice = np.random.default_rng(secret)
    gains: list[float] = []
    better: list[float] = []
    again: list[tuple[float, float]] = []  # gain and kept lesions on the altered scans
    seconds, slices = 0.0, 0
    for subject in subjects:
        pair = superresolution.pair(subject.contrasts[contrast], scale, key=f"{subject.id} {contrast}")
        start = time.perf_counter()
        result = _run(method, pair.given, scale)
        seconds += time.perf_counter() - start
        slices += len(result)
        plain = zero_fill(pair.given, scale)
        gains.append(_gain(pair.target, result, plain))
        better.append(pair.better(result, plain))
        again.append(_altered(method, pair.target, scale, dice))
    few = len(gains) == 1
    gain, low, high = (gains[0], -math.inf, math.inf) if few else metrics.student_interval(gains)
    altered, kept = np.mean(again, axis=0).tolist()
    return Score(
        name,
        gain=round(gain, 4),
        low=round(low, 4),
        high=round(high, 4),
        worst=round(min(gains), 4),
        better=round(float(np.mean(better)), 4),
        altered=round(altered, 4),
        kept=round(kept, 4),
        seconds=round(seconds / slices, 4),
        people=len(gains),
        verdict=_verdict(gain, low, high, altered, kept, len(gains)),
    )


def _run(method: Upscale, coarse: Stack, scale: int) -> Stack:
    """What the method makes of a copy of the coarse stack, checked."""
    result = np.asarray(method(coarse.copy(), scale))
    n, h, w = coarse.shape
    if result.shape != (n, scale * h, scale * w):
        raise CourseError(f"the method returned {result.shape}; expected {(n, scale * h, scale * w)}")
    if not np.issubdtype(result.dtype, np.number) or np.iscomplexobj(result) or not np.isfinite(result).all():
        raise CourseError("the method returned something else than finite real numbers")
    return result.astype(np.float32)


def _gain(target: Stack, result: Stack, plain: Stack) -> float:
    """In dB; of the very truth, whose PSNR is infinite, :data:`MOST`."""
    return min(metrics.psnr(target, result) - metrics.psnr(target, plain), MOST)


def _altered(method: Upscale, target: Stack, scale: int, dice: np.random.Generator) -> tuple[float, float]:
    """Gain and kept lesions on a scan that lies nowhere: mirrored, in another unit, with fresh lesions."""
    key = int(dice.integers(1 << 31))
    clean = np.ascontiguousarray(target[:, :, ::-1]) * np.float32(dice.uniform(0.4, 2.5))
    planned = planting.targets(clean[:, ::scale, ::scale], scale, key, apart=1)
    patches, discs, fine = [], [], clean.copy()
    rows, columns = (axis.ravel().astype(int) for axis in planting.offsets(scale))
    for spot in planned:
        if spot.kind == "lesion" and spot.size >= LARGE:
            k, i, j = spot.place
            patches.append(np.ix_(np.array([k]), i + rows, j + columns))
            discs.append(planting.shape("lesion", spot.size, scale) * spot.contrast * spot.level)
            fine[patches[-1]] += discs[-1].astype(np.float32)
    coarse = coils.stored(fine, scale, key).astype(np.float32)
    result = _run(method, coarse, scale)
    share = [_share(result[where][0] - clean[where][0], disc) for where, disc in zip(patches, discs, strict=True)]
    return _gain(fine, result, zero_fill(coarse, scale)), float(np.median(share))


def _share(change: Array, disc: Array) -> float:
    """What of a planted disc stands in the change."""
    return float((change * disc).sum() / (disc**2).sum())


def _verdict(gain: float, low: float, high: float, altered: float, kept: float, people: int) -> str:
    if max(gain, altered) > CEILING:
        return "caught: it knows more than a coarse scan can tell"
    if gain - altered > AGREE:
        return "caught: it gains only on scans that it may have seen"
    if kept < LEAST_KEPT:
        return "caught: fresh lesions are not in its result"
    if gain == 0 and low == high == 0:
        return "no gain: it is ZIP"
    if high < 0 or gain <= 0:
        return "no gain"
    if people < ENOUGH:
        return f"gain, of {people} people only"
    return "gain" if low > 0 else "no gain that could be told from chance"


# ---------------------------------------------------------------- scoreboard


def enter(found: Score, board: Path) -> list[dict[str, str]]:
    """Write a score into a scoreboard, a CSV file of one's own; of a name only the last score stays.

    Returns
    -------
    list of dict
        All rows, honest ones first, the largest gain on top.
    """
    rows = {row["name"]: row for row in standings(board)}
    rows[found.name] = {key: str(value) for key, value in asdict(found).items()}
    runtime.writable_folder(board.parent, "folder for the scoreboard")
    runtime.write_table(board, [field.name for field in fields(Score)], _sorted(rows.values()))
    return standings(board)


def standings(board: Path) -> list[dict[str, str]]:
    """Returns the rows of a scoreboard, none where there is no such file."""
    if not board.exists():
        return []
    with board.open(encoding="utf-8", newline="") as file:
        return _sorted(csv.DictReader(file))


def _sorted(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(rows, key=lambda row: (row["verdict"].startswith("caught"), -float(row["gain"])))
