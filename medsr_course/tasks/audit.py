"""Is a result what it claims to be? Anyone's super-resolved image beside the scan that it was made from.

Nothing but the two images is needed: where the header puts the result, where its values lie, whether it still agrees
with what was measured, what its spectrum holds beyond that, and what became of the intensities.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsr_course.physics import grid
from medsr_course.runtime import CourseError
from medsr_course.scans import volumes
from medsr_course.types import Array, Image

EXIT = {"ok": 0, "caution": 3, "wrong": 4}
NEAR = 0.15  # fine voxels
BLOCK = 96  # voxels along each axis, in the middle of the image, on which the shift is measured
TRUTH = 1.0, 5.0  # %: how far the truth itself is from a stored magnitude (measured on development scans, ×2)
SPIKE = 5.0  # times the frequencies beside it: a pattern
EMPTY, FULL = 0.02, 4.0  # of the energy that the input's spectrum, continued, has beyond the measured band


@dataclass(frozen=True)
class Finding:
    """What was found: ``code`` names it, ``status`` is "ok", "caution" or "wrong", ``values`` are the numbers."""

    code: str
    status: str
    words: str
    values: tuple[float, ...] = ()


def audit(before: Image, after: Image) -> list[Finding]:
    """Compare a result with its input.

    Parameters
    ----------
    before, after : nibabel image, 3-D
        The scan, and what a software made of it.

    Returns
    -------
    list of Finding
        ``grid``, ``header``, ``position``, ``consistency``, ``spectrum`` (one for each finer axis), ``intensity`` and
        what else is odd about the values. What cannot be measured says so, with "ok".

    Raises
    ------
    CourseError
        If the two do not show the same part of the world.
    """
    before, after = volumes.to_ras(before), volumes.to_ras(after)
    steps = volumes.voxel_sizes(before), volumes.voxel_sizes(after)
    factors = steps[0] / steps[1]
    finer = [axis for axis in range(3) if factors[axis] > 1.05]
    found = [_grid(before, after, factors, finer)]
    start = np.linalg.solve(after.affine, before.affine[:, 3])[:3]
    found.append(_header(start, factors, finer, steps[1]))
    shift, gain, offset = _moved(before, after, factors)
    found.append(_position(shift, factors, steps[1]))
    found.append(_consistency(before, after, factors, finer, start + shift, (gain, offset)))
    found += [_spectrum(after, axis, factors[axis]) for axis in finer]
    return found + list(_intensity(before, after, gain, offset))


def worst(found: list[Finding]) -> int:
    """Returns the exit code of the worst finding: 0, 3 or 4."""
    return max(EXIT[finding.status] for finding in found)


def _grid(before: Image, after: Image, factors: Array, finer: list[int]) -> Finding:
    """Voxel sizes, directions and the field."""
    turned = (before.affine[:3, :3] / volumes.voxel_sizes(before)).T @ (
        after.affine[:3, :3] / volumes.voxel_sizes(after)
    )
    angle = float(np.degrees(np.arccos(np.clip(np.diag(turned), -1, 1))).max())
    times = " × ".join(f"{factor:.3g}" for factor in factors)
    words = f"{times} finer along R, A, S; {' × '.join(map(str, after.shape))} voxels"
    if angle > 0.1:
        return Finding("grid", "wrong", f"{words}; its axes are turned by {angle:.2g}° against the scan's", (angle,))
    missing = np.array(before.shape) * factors - after.shape
    if np.abs(missing).max() > np.maximum(factors, 1).max():
        return Finding("grid", "caution", f"{words}: not the field of the scan", tuple(missing))
    if not finer:
        return Finding("grid", "caution", f"{words}: no axis is finer than the scan's", tuple(factors))
    return Finding("grid", "ok", words, tuple(factors))


def _header(start: Array, factors: Array, finer: list[int], step: Array) -> Finding:
    """Where the header puts the scan's first voxel in the result: at 0, or at (f − 1)/2 where edges stay in place."""
    half = (factors - 1) / 2
    if np.abs(start).max() < NEAR:
        return Finding("header", "ok", "the header keeps the first voxel's centre in place", tuple(start))
    if np.abs(start - half).max() < NEAR:
        return Finding("header", "ok", "the header keeps the edges of the field in place", tuple(start))
    moved = " × ".join(f"{x:.2f}" for x in np.abs(start * step))
    return Finding("header", "wrong", f"the header moves the first voxel by {moved} mm, by no known rule", tuple(start))


def _moved(before: Image, after: Image, factors: Array) -> tuple[Array, float, float]:
    """How far the values lie from where the header has them (fine voxels), and gain and offset (Gauss–Newton).

    ``after(x) = gain · before(x − shift) + offset``, both smoothed to what the scan can hold.
    """
    size = np.minimum(after.shape, BLOCK)
    low = (np.array(after.shape) - size) // 2
    part = tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))
    blur = np.where(np.array(after.shape) > 1, np.maximum(factors, 1) / 1.5, 0)
    found = ndimage.gaussian_filter(np.asarray(after.dataobj[part], float), blur, mode="nearest")
    shift, gain, offset = np.zeros(3), 1.0, 0.0
    inner = tuple(slice(min(4, n // 4), n - min(4, n // 4)) for n in size)
    moving = [axis for axis in range(3) if size[axis] > 4]
    for _ in range(6):
        affine = after.affine.copy()
        affine[:3, 3] = affine[:3, :3] @ (low - shift) + affine[:3, 3]
        expected = np.asarray(volumes.resample(before, shape=size.tolist(), affine=affine).dataobj, float)
        expected = ndimage.gaussian_filter(expected, blur, mode="nearest")
        slopes = [np.gradient(expected, axis=axis)[inner].ravel() for axis in moving]
        basis = np.stack([expected[inner].ravel(), np.ones(expected[inner].size), *(-slope for slope in slopes)])
        if np.ptp(basis[0]) == 0:
            raise CourseError("the two images do not show the same part of the world: is it the result of this scan?")
        gain, offset, *step = np.linalg.lstsq(basis.T, found[inner].ravel(), rcond=None)[0]
        if not gain > 0:
            raise CourseError("the result's values have nothing to do with the scan's: is it the result of this scan?")
        shift[moving] += np.clip(np.array(step) / gain, -1, 1)
    return shift, float(gain), float(offset)


def _position(shift: Array, factors: Array, step: Array) -> Finding:
    half = (factors - 1) / 2
    if np.abs(shift).max() < NEAR:
        return Finding("position", "ok", "the values lie where the header has them", tuple(shift))
    told = ", ".join(f"{x:+.2f}" for x in shift)
    words = f"the values lie {told} fine voxels ({np.linalg.norm(shift * step):.2f} mm) from where the header has them"
    for sign in (1, -1):
        if np.abs(shift - sign * half).max() < NEAR:
            words += ": (f − 1)/2, as where one keeps edges in place and the other the first voxel's centre"
            break
    return Finding("position", "wrong", words, tuple(shift))


def _consistency(
    before: Image, after: Image, factors: Array, finer: list[int], start: Array, scale: tuple[float, float]
) -> Finding:
    """The result cropped in k-space, less the scan, in parts of it, on up to eight slices."""
    whole = np.round(factors).astype(int)
    fits = tuple(whole * before.shape) == tuple(after.shape) and len(finer) == 2
    if not fits or np.abs(factors - whole).max() > 0.01:
        return Finding("consistency", "ok", "consistency is not measured: that takes whole factors in-plane alone")
    across = next(axis for axis in range(3) if axis not in finer)
    chosen = np.unique(np.linspace(0.3, 0.7, 8) * before.shape[across]).astype(int)
    measured = np.moveaxis(np.asarray(before.dataobj, float).take(chosen, across), across, 0)
    fine = np.moveaxis(np.asarray(after.dataobj, float).take(chosen, across), across, 0)
    spectrum = ndimage.fourier_shift(np.fft.fftn(fine, axes=(1, 2)), [0, *(-start[axis] for axis in finer)])
    again = np.fft.ifftn(spectrum, axes=(1, 2)).real
    for axis, other in ((1, finer[0]), (2, finer[1])):
        again = grid.crop_axis(again, before.shape[other], axis)
    least, most = TRUTH
    left = 100 * float(np.linalg.norm((again - scale[1]) / scale[0] - measured) / np.linalg.norm(measured))
    words = f"cropped again, the result differs from the scan by {left:.2g} %; "
    words += f"the truth itself would by {least:g} to {most:g} %"
    if left > 2 * most:
        return Finding("consistency", "wrong", f"{words}: it contradicts what was measured", (left,))
    return Finding("consistency", "caution" if left > most else "ok", words, (left,))


def _spectrum(after: Image, axis: int, factor: float) -> Finding:
    """Energy beyond the measured band, in parts of what the band's own fall, continued, would have there."""
    data = np.asarray(after.dataobj, float)
    n = data.shape[axis]
    lines = np.moveaxis(data, axis, -1)
    lines = lines[tuple(slice(int(0.3 * m), max(int(0.7 * m), int(0.3 * m) + 1)) for m in lines.shape[:2])]
    power = (np.abs(np.fft.rfft(lines * np.hanning(n), axis=-1)) ** 2).mean(axis=(0, 1))
    frequency, edge = np.fft.rfftfreq(n), 0.5 / factor
    inside = (frequency > 0.4 * edge) & (frequency < 0.9 * edge)
    beyond = frequency > 1.15 * edge
    name = "RAS"[axis]
    if inside.sum() < 4 or not beyond.any() or not power[inside].all():
        return Finding("spectrum", "ok", f"the spectrum along {name} is not measured: too few samples")
    slope, level = np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)
    ratio = float(power[beyond].sum() / np.exp(level + slope * np.log(frequency[beyond])).sum())
    words = f"beyond the measured band the spectrum along {name} holds {ratio:.2g} of what its fall lets expect"
    peaks = np.where(beyond, power / np.maximum(ndimage.median_filter(power, 11), 1e-30 * power.max()), 0)
    if ratio > EMPTY and peaks.max() > SPIKE:
        period = 1 / frequency[np.argmax(peaks)]
        return Finding(
            "spectrum", "caution", f"along {name} a pattern repeats every {period:.3g} voxels", (ratio, period)
        )
    if ratio < EMPTY:
        return Finding("spectrum", "caution", f"{words}: as good as empty, no finer than the scan", (ratio,))
    if ratio > FULL:
        return Finding("spectrum", "caution", f"{words}: more than such an image holds; noise or patterns", (ratio,))
    return Finding("spectrum", "ok", words, (ratio,))


def _intensity(before: Image, after: Image, gain: float, offset: float) -> Iterator[Finding]:
    data, scan = np.asarray(after.dataobj), np.asarray(before.dataobj)
    unit = grid.intensity(scan)[1] or 1.0
    words = f"intensities are {gain:.3g} times the scan's, {100 * offset / unit:+.2g} % of its range added"
    kept = abs(gain - 1) < 0.03 and abs(offset) < 0.02 * unit
    yield Finding("intensity", "ok" if kept else "caution", words, (gain, offset))
    top = float((data == data.max()).sum() / max((data > data.mean()).sum(), 1))
    if top > 0.002 and top > 2 * float((scan == scan.max()).mean()):
        yield Finding(
            "clipped", "caution", f"{100 * top:.2g} % of the bright voxels have the largest value: clipped", (top,)
        )
    if scan.min() >= 0 and data.min() < -0.1 * gain * unit:
        yield Finding("negative", "caution", f"values go down to {data.min():.3g}, and the scan has none below 0")
    levels = np.unique(data[:: max(1, data.shape[0] // 16)]).size
    if levels < 200 <= np.unique(scan).size:
        yield Finding("levels", "caution", f"{levels} different values: rounded coarser than the scan", (levels,))
