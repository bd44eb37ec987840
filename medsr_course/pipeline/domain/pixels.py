"""What a scan's voxels say: labels, phase, HU, noise, band, a visible face, and whether it resembles a head."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course.physics import bands, grid, noise
from medsr_course.pipeline.domain import score
from medsr_course.pipeline.domain.verdict import CAUTION, NOTE, REFUSED, Reason
from medsr_course.types import Array, Stack

SLICES = 8
MOST_NOISE = 8.0  # % of the intensity scale: more than the networks were trained on
EMPTY = 0.85  # of the band: where more than that is filled, the axis counts as native


def middle(data: Array, axis: int, count: int = SLICES) -> Stack:
    """Returns up to ``count`` slices of (x, y, z) across an axis, from its middle; the other axes keep their order."""
    size = data.shape[axis]
    index = np.unique(np.linspace(0.35 * size, 0.72 * size, count).astype(int).clip(0, size - 1))
    return np.moveaxis(np.take(data, index, axis=axis), axis, 0).astype(np.float32)


def kind(stack: Stack) -> str:
    """Returns what the values are: empty, labels, phase, hu, signed or magnitude."""
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
    if np.mean(np.abs(left - right) > 0.8 * (high - low)) > 0.005:
        return "phase"
    if grid.intensity(stack)[0]:
        return "hu" if np.percentile(stack, 0.5) < -500 and high < 5000 else "signed"
    return "magnitude"


_KINDS = {
    "empty": (REFUSED, "All its voxels have one value: there is nothing to enhance."),
    "labels": (REFUSED, "Its values are labels or a mask, areas of one value: resample it with nearest neighbours, "
               "volumes.resample(labels=True)."),
    "phase": (REFUSED, "Its values jump from one end of their range to the other, as in a phase map: enhance the "
              "magnitude image."),
    "small": (REFUSED, "Its values are below 0.01, as in a diffusivity map in mm²/s: enhance the images it was computed "
              "from."),
}  # fmt: skip


def findings(data: Array, sizes: Array, across: int, task: str, axes: str, measured: dict[str, Any]) -> Iterator[Reason]:
    """Yields what the voxels of (x, y, z), RAS, speak against, and writes what is found into ``measured``."""
    stack = middle(data, across)
    measured["values"] = what = kind(stack)
    top = float(np.percentile(stack, 99.5))
    if what == "magnitude" and 2e-4 < top < 1e-2:
        what = "small"
    if what in _KINDS:
        yield Reason("quantitative" if what == "small" else what, *_KINDS[what])
        return
    if what in ("hu", "signed"):
        yield from _signed(what, task)
    yield from _slices(data.shape, across, axes)
    if what == "magnitude":
        yield from _noise(stack, task, measured)
    yield from _bands(data, sizes, across, axes, measured)
    distance = score.of(stack)
    measured["distance"], measured["limit"] = distance and round(distance, 2), score.limit()
    if distance is None:
        yield Reason("not-measured", CAUTION, "It is too small, or holds too little, to tell whether it is a head: "
                     "compare with desc-zip.")  # fmt: skip
    elif distance > score.limit():
        yield Reason("unlike-heads", CAUTION, f"It does not look like the heads the networks know (distance "
                     f"{distance:.1f}, heads below {score.limit():.1f}): compare with desc-zip.")  # fmt: skip
    if face(data, sizes):
        yield Reason("face", NOTE, "A face may be visible, which can identify a person: deface it before you share it.")


def _signed(what: str, task: str) -> Iterator[Reason]:
    status = CAUTION if task in ("super-resolution", "thin-slices") else REFUSED
    if what == "hu":
        yield Reason("ct", status, f"Its values are HU, a CT, but the networks know MR: {task} of a CT is "
                     f"{'a trial' if status == CAUTION else 'not offered'}; compare with desc-zip.")  # fmt: skip
    else:
        yield Reason("signed", status, "Its values are below and above 0, as in a field map, a difference or after "
                     "z-scoring: give the magnitude image.")  # fmt: skip


def _slices(shape: tuple[int, ...], across: int, axes: str) -> Iterator[Reason]:
    count = shape[across]
    if axes == "through-plane" and count < 8:
        yield Reason("few-slices", REFUSED, f"It has {count} slices: between so few none can be made; enhance in-plane.")
    elif count < 4:
        yield Reason("few-slices", CAUTION, f"It has {count} slices: noise and scale are measured on little; compare with "
                     "desc-zip.")  # fmt: skip
    if across != 2:
        plane = ("sagittal", "coronal")[across]
        yield Reason("orientation", CAUTION, f"Its slices are {plane}, the networks were trained on axial ones: compare "
                     "with desc-zip.")  # fmt: skip


def _noise(stack: Stack, task: str, measured: dict[str, Any]) -> Iterator[Reason]:
    found = noise.estimate(stack)
    level = grid.intensity(stack)[1]
    percent = None if found.sigma is None else round(100 * found.sigma / level, 2)
    measured.update(noise=found.kind, noise_percent=percent, coils=found.coils and round(found.coils, 1))
    if percent is None or (found.kind == "unknown" and task == "denoise"):
        yield Reason("noise", CAUTION, "Its noise cannot be told, as where the air was set to 0: what is removed or added "
                     "may be wrong; compare with desc-zip.")  # fmt: skip
    elif percent > MOST_NOISE:
        yield Reason("noise", CAUTION, f"Its noise of {percent:.0f} % is more than the networks were trained on "
                     f"({MOST_NOISE:g} %): denoise it first, and look at it.")  # fmt: skip


def _bands(data: Array, sizes: Array, across: int, axes: str, measured: dict[str, Any]) -> Iterator[Reason]:
    """Which axes were interpolated; those that are to be made finer are a reason, the others a note."""
    found, other = {}, {0: 2, 1: 2, 2: 0}
    for axis in range(3):
        if data.shape[axis] >= bands.LEAST and data.shape[other[axis]] >= 1:
            planes = middle(data, other[axis], 4)  # (n, …) of the two axes left, in order
            found[axis] = bands.filled(planes if axis < 2 and axis == 0 else np.swapaxes(planes, 1, 2))
    measured["filled"] = {"xyz"[axis]: round(one, 2) for axis, one in found.items()}
    wanted = {across} if axes == "through-plane" else {0, 1, 2} - {across}
    for axis, part in found.items():
        if part <= EMPTY:
            yield Reason(
                f"interpolated-{'xyz'[axis]}", CAUTION if axis in wanted else NOTE,
                f"Its {('left-right', 'front-back', 'head-foot')[axis]} axis was interpolated already: {sizes[axis]:.2f} mm "
                f"hold the detail of about {sizes[axis] / part:.2f} mm; enhance the original grid.",
            )  # fmt: skip


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
