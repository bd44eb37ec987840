"""What a scan's voxels say: labels, phase, HU, noise, band, a visible face, and whether it resembles a head."""

import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course import resources
from medsr_course.physics import bands, grid, likeness, noise
from medsr_course.pipeline.domain.header import status_of_signed
from medsr_course.pipeline.domain.verdict import CAUTION, NOTE, REFUSED, Reason, say
from medsr_course.types import Array, Stack

SLICES = 8
MOST_NOISE = 8.0  # % of the intensity scale: more than the networks were trained on
_AXES = "left-right", "front-back", "head-foot"


def middle(data: Array, axis: int, count: int = SLICES) -> Stack:
    """Returns up to ``count`` slices of (x, y, z) across an axis, from its middle; the other axes keep their order."""
    size = data.shape[axis]
    index = np.unique(np.linspace(0.35 * size, 0.72 * size, count).astype(int).clip(0, size - 1))
    return np.moveaxis(np.take(data, index, axis=axis), axis, 0).astype(np.float32)


def kind(stack: Stack) -> str:
    """Returns what the values are: magnitude, empty, labels, phase, ct, signed, or quantitative (as mm²/s)."""
    low, high = np.percentile(stack, [0.1, 99.9])
    if stack.min() == stack.max():
        return "empty"
    left, right = stack[..., 1:], stack[..., :-1]
    sample = stack.ravel()[:: max(1, stack.size // 20000)]
    values, counts = np.unique(sample, return_counts=True)
    usual = values[counts.argmax()]
    some = (left != usual) | (right != usual)
    if some.any() and np.mean(left[some] == right[some]) > 0.6:
        return "labels"
    if np.mean(np.abs(left - right) > 0.8 * (high - low)) > 0.008:
        return "phase"
    if grid.intensity(stack)[0]:
        return "ct" if np.percentile(stack, 0.5) < -500 and high < 5000 else "signed"
    return "quantitative" if 2e-4 < high < 1e-2 else "magnitude"


def findings(
    data: Array, sizes: Array, across: int, task: str, axes: str, measured: dict[str, Any]
) -> Iterator[Reason]:
    """Yields what the voxels of (x, y, z), RAS, speak against, and writes what is found into ``measured``."""
    stack = middle(data, across)
    measured["values"] = what = kind(stack)
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
    if face(data, sizes):
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
            detail = "" if part == 1 else f", {sizes[axis]:.2f} mm hold detail of about {sizes[axis] / part:.2f} mm"
            status = CAUTION if axis in wanted else NOTE
            yield say(f"interpolated-{'xyz'[axis]}", status, "interpolated", axis=_AXES[axis], detail=detail)


def interpolated(data: Array, axis: int, count: int = 4) -> tuple[float, bool]:
    """Returns which part of its band an axis of (x, y, z) fills, and whether it was resampled between its samples."""
    other = 0 if axis == 2 else 2  # slices that hold the axis
    planes = middle(data, other, count)
    planes = planes if axis == 0 else planes.swapaxes(1, 2)
    scale = grid.intensity(planes)[1]
    if min(planes.shape[1:]) < bands.LEAST or scale <= 0:
        return 1.0, False
    head = bands.inside(planes, scale)
    return bands.filled(planes, head), bands.resliced(planes, head)


@functools.cache
def _heads() -> tuple[Array, Array, float]:
    """Mean and covariance of what heads are like, and the distance that they stay below; made by tools.domain."""
    fitted = json.loads(resources.path("domain.json").read_text(encoding="utf-8"))
    return np.array(fitted["mean"]), np.array(fitted["covariance"]), float(fitted["limit"])


def _likeness(stack: Stack, measured: dict[str, Any]) -> Iterator[Reason]:
    mean, covariance, limit = _heads()
    like = likeness.features(stack)
    if like is None:
        yield say("not-measured", CAUTION)
        return
    distance = likeness.distance(like, mean, covariance)
    measured.update(distance=round(distance, 2), limit=limit)
    if distance > limit:
        yield say("unlike-heads", CAUTION, far=distance, most=limit)


def face(data: Array, sizes: Array) -> bool:
    """Returns whether the front edge at the height of the nose is about as far forward as the forehead.

    Of the middle sagittal slices of (x, y, z), RAS; a skull-stripped, a defaced or a cropped head has none there.
    """
    planes = middle(data, 0, 6)[:, :: max(1, round(2 / sizes[1])), :: max(1, round(2 / sizes[2]))]
    step = sizes[1:] * [max(1, round(2 / size)) for size in sizes[1:]]
    if min(planes.shape[1:]) < 16 or grid.intensity(planes)[1] <= 0:
        return False
    soft = ndimage.gaussian_filter(planes, (0, *(2 / step)))
    bright = ndimage.binary_opening((soft > 0.15 * grid.intensity(planes)[1]).any(axis=0))
    rows = np.flatnonzero(bright.sum(axis=0) * step[0] > 30)
    if not rows.size:
        return False
    below = (rows[-1] - np.arange(bright.shape[1])) * step[1]  # mm below the vertex
    front = np.where(bright.any(axis=0), bright.shape[0] - bright[::-1].argmax(axis=0), 0) * step[0]
    forehead, nose = front[(below > 30) & (below < 60)], front[(below > 100) & (below < 150)]
    return bool(forehead.size and nose.size and np.mean(nose > np.median(forehead) - 15) > 0.5)
