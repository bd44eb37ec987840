"""What a scan's voxels say: labels, phase, HU, noise, band, a visible face, and whether it resembles a head."""

import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from medsr_course import resources
from medsr_course.physics import bands, grid, likeness, noise
from medsr_course.scans.domain.header import status_of_signed
from medsr_course.scans.domain.verdict import CAUTION, NOTE, REFUSED, Reason, say
from medsr_course.types import Array, Stack

SLICES = 8
MOST_NOISE = 8.0  # % of the intensity scale: more than the networks were trained on
_AXES = "left-right", "front-back", "head-foot"


def findings(
    data: Array, sizes: Array, across: int, task: str, axes: str, measured: dict[str, Any]
) -> Iterator[Reason]:
    """Yields what the voxels of (x, y, z), RAS, speak against, and writes what is found into ``measured``."""
    stack = likeness.middle(data, across, SLICES)
    measured["values"] = what = likeness.values(stack)
    if what in ("empty", "labels", "phase", "quantitative"):
        yield say(what, REFUSED)
        return
    if what != "magnitude":
        yield say(what, status_of_signed(task), task=task)
    count = data.shape[across]
    if axes == "through-plane" and count < 8:
        yield say("few-slices", REFUSED, "few-slices-between", count=count)
    elif count < 4:
        yield say("few-slices", CAUTION, count=count)
    if across != 2:
        yield say("orientation", CAUTION, plane=("sagittal", "coronal")[across])
    if what == "magnitude":
        yield from _noise(stack, task, measured)
    yield from _bands(data, sizes, across, axes, measured)
    yield from _likeness(stack, measured)
    if measured.get("distance", np.inf) <= heads()[2] and likeness.face(data, sizes):
        yield say("face", NOTE)


def _noise(stack: Stack, task: str, measured: dict[str, Any]) -> Iterator[Reason]:
    found = noise.estimate(stack)
    percent = None if found.sigma is None else round(100 * found.sigma / grid.intensity(stack)[1], 2)
    measured.update(noise=found.kind, noise_percent=percent, coils=found.coils and round(found.coils, 1))
    if percent is None or (found.kind == "unknown" and task == "denoise"):
        yield say("noise", CAUTION, "noise-unknown")
    elif percent > MOST_NOISE:
        yield say("noise", CAUTION, "noise-much", percent=percent, most=MOST_NOISE)


def _bands(data: Array, sizes: Array, across: int, axes: str, measured: dict[str, Any]) -> Iterator[Reason]:
    """Which axes were interpolated; those that are to be made finer are a reason, the others a note."""
    found = {axis: interpolated(data, axis) for axis in range(3)}
    measured["filled"] = {"xyz"[axis]: round(part, 2) for axis, (part, _) in found.items()}
    measured["resliced"] = "".join("xyz"[axis] for axis, (_, between) in found.items() if between)
    wanted = {across} if axes == "through-plane" else {0, 1, 2} - {across}
    for axis, (part, between) in found.items():
        if part < 1 or between:
            words = "interpolated" if part == 1 else "interpolated-finer"
            status, size = CAUTION if axis in wanted else NOTE, float(sizes[axis])
            yield say(f"interpolated-{'xyz'[axis]}", status, words, axis=_AXES[axis], size=size, fine=size / part)


def interpolated(data: Array, axis: int, count: int = 4) -> tuple[float, bool]:
    """Returns which part of its band an axis of (x, y, z) fills, and whether it was resampled between its samples."""
    other = 0 if axis == 2 else 2  # slices that hold the axis
    planes = likeness.middle(data, other, count)
    planes = planes if axis == 0 else planes.swapaxes(1, 2)
    scale = grid.intensity(planes)[1]
    if min(planes.shape[1:]) < bands.LEAST or scale <= 0:
        return 1.0, False
    head = bands.inside(planes, scale)
    return bands.filled(planes, head), bands.resliced(planes, head)


@functools.cache
def heads() -> tuple[Array, Array, float]:
    """Returns mean and covariance of what heads are like, and the distance they stay below; made by tools.domain."""
    fitted = json.loads(resources.path("domain.json").read_text(encoding="utf-8"))
    return np.array(fitted["mean"]), np.array(fitted["covariance"]), float(fitted["limit"])


def _likeness(stack: Stack, measured: dict[str, Any]) -> Iterator[Reason]:
    mean, covariance, limit = heads()
    like = likeness.features(stack)
    if like is None:
        yield say("not-measured", CAUTION)
        return
    distance = likeness.distance(like, mean, covariance)
    measured.update(distance=round(distance, 2), limit=limit)
    if distance > limit:
        yield say("unlike-heads", CAUTION, far=distance, most=limit)
