"""Three stacks of thick slices, in three directions, made one volume of small voxels; the patient moves between them.

A volume is ``(x, y, z)`` of cubic voxels. A *stack* of it has the same field of view, but is ``thickness`` times
coarser along one axis: a slice is the mean over the voxels that it covers, number 0 over 0 … thickness − 1. Each of
three orthogonal stacks holds, along its two fine axes, what another one lacks along its thick axis.

A *motion* is six numbers: rotations about the axes x, y, z in degrees (as a rotation vector), about the centre of the
volume, and shifts in voxels. It takes a point of the moved volume to where it lay in the volume at rest. Motion
*within* a stack, from one slice to the next, isn't modelled.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.physics import checks, metrics
from medsr_course.scans import volumes
from medsr_course.tasks import multiframe
from medsr_course.types import Array, Image, Rng

AXES = (2, 1, 0)  # the thick axis of axial, coronal and sagittal slices
COMPARED = ("one stack", "three parallel", "three, motion ignored", "three, mean", "three")  # see :func:`trial`
STILL = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

Motion = Sequence[float] | Array


def cubes(image: Image, side: int, thickness: int) -> Array:
    """A scan as a volume of larger voxels, float32, its 99.5th percentile 1: means over ``side`` voxels each way.

    The axes are those of RAS; sides are trimmed until slices of ``thickness`` voxels fill them, and one slice of air is
    laid around, so that little leaves the field of view when the head moves.
    """
    from skimage.measure import block_reduce

    values = np.asarray(volumes.to_ras(image).dataobj, np.float32)
    size = tuple(slice(n // (side * thickness) * side * thickness) for n in values.shape)
    volume = block_reduce(values[size], side, np.mean)
    return np.pad(volume / np.percentile(volume, 99.5), thickness)


def move(volume: Array, motion: Motion, order: int = 1) -> Array:
    """The volume after a motion, by splines of ``order``; what comes in from outside is 0.

    >>> move(np.arange(8.0).reshape(2, 2, 2), (0, 0, 0, 1, 0, 0))[0]
    array([[4., 5.],
           [6., 7.]])
    """
    if not np.any(motion):
        return volume
    turn, offset = _points(motion, volume.shape)
    return ndimage.affine_transform(volume, turn, offset, order=order)


def move_back(volume: Array, motion: Motion, order: int = 1) -> Array:
    """The inverse motion, up to interpolation: what :func:`move` took away comes home."""
    if not np.any(motion):
        return volume
    turn, offset = _points(motion, volume.shape)
    return ndimage.affine_transform(volume, turn.T, -turn.T @ offset, order=order)


def acquire(volume: Array, axis: int, thickness: int, motion: Motion = STILL, order: int = 1) -> Array:
    """A noise-free stack, thick along ``axis``, of a volume that has moved.

    ``ValueError`` if the side isn't divisible by the thickness.

    >>> acquire(np.arange(4.0).reshape(1, 1, 4), 2, 2)
    array([[[0.5, 2.5]]])
    """
    side = volume.shape[axis]
    if side % thickness:
        raise ValueError(f"{side} voxels along axis {axis} are not divisible by {thickness}: drop the last ones first")
    return _mean(move(volume, motion, order), axis, thickness)


def measure(
    volume: Array, thickness: int, noise: float, rng: Rng, *, degrees: float = 5, voxels: float = 3
) -> tuple[list[Array], list[Array]]:
    """Three orthogonal stacks of a volume as they would be measured, and their true motions, the first at rest.

    Motions are uniform within ± ``degrees`` and ± ``voxels``, and carried out by splines of degree 5, so that nothing
    that knows the motion and interpolates linearly explains them to the last digit. ``noise`` is the standard deviation
    of the Gaussian noise of each voxel, in the unit of the volume.
    """
    motions = [np.zeros(6)]
    for _ in AXES[1:]:
        motions.append(np.concatenate([rng.uniform(-degrees, degrees, 3), rng.uniform(-voxels, voxels, 3)]))
    clean = [acquire(volume, axis, thickness, m, order=5) for axis, m in zip(AXES, motions, strict=True)]
    return [(y + noise * rng.standard_normal(y.shape)).astype(volume.dtype) for y in clean], motions


def stretch(stack: Array, axis: int, thickness: int) -> Array:
    """Cubic-spline interpolation along the thick axis, constant beyond the centres of the first and last slice.

    >>> stretch(np.array([[[0.0, 4.0, 8.0]]]), 2, 2).round(3)
    array([[[0., 1., 3., 5., 7., 8.]]])
    """
    from scipy.interpolate import CubicSpline

    n = stack.shape[axis]
    if n == 1:
        return np.repeat(stack, thickness, axis)
    at = (np.arange(n * thickness) - (thickness - 1) / 2) / thickness
    weights = CubicSpline(np.arange(n), np.eye(n), bc_type="natural")(np.clip(at, 0, n - 1)).astype(stack.dtype)
    return np.moveaxis(np.tensordot(weights, stack, (1, axis)), 0, axis)


def smooth(stack: Array, axis: int, thickness: int, damping: float) -> Array:
    """The smoothest volume that explains a single stack: :func:`multiframe.fuse` of one frame, with its box known."""
    frame = np.moveaxis(stack, axis, -2)[None]
    return np.moveaxis(multiframe.fuse(frame, (thickness, 1), [(0, 0)], damping, roughness=True), -2, axis)


def best_single(volume: Array, thickness: int, noise: float, rng: Rng, damping: float) -> float:
    """PSNR in dB of the best volume from *one* stack, in a time equal to that of three.

    The rival gets every chance: three measurements averaged, so that its noise is √3 times lower; no motion; of three
    directions and two methods, :func:`stretch` and :func:`smooth`, the best by the truth itself.
    """
    scores = []
    for axis in AXES:
        clean = acquire(volume, axis, thickness)
        stack = (clean + noise / np.sqrt(3) * rng.standard_normal(clean.shape)).astype(volume.dtype)
        for made in (stretch(stack, axis, thickness), smooth(stack, axis, thickness, damping)):
            scores.append(metrics.psnr(volume, made))
    return max(scores)


def best_parallel(volume: Array, thickness: int, noise: float, rng: Rng, damping: float) -> float:
    """PSNR in dB of three *parallel* stacks, each a third of a slice further, fused; the best of three directions.

    A rival that is as costly as three orthogonal stacks, and is spared the motion: nobody moves, all shifts are known.
    """
    shifts = [(k * thickness / 3, 0.0) for k in range(3)]
    scores = []
    for axis in AXES:
        turned = np.moveaxis(volume, axis, -2)
        frames = multiframe.observe(turned, (thickness, 1), shifts)
        frames = (frames + noise * rng.standard_normal(frames.shape)).astype(volume.dtype)
        fused = multiframe.fuse(frames, (thickness, 1), shifts, damping, roughness=True)
        scores.append(metrics.psnr(turned, fused))
    return max(scores)


def trial(volume: Array, key: str, thickness: int, noise: float, rounds: int, damping: float) -> dict[str, float]:
    """Three orthogonal stacks against the best single one, for one volume: PSNRs in dB and the registration error.

    Same ``key``, same motions and noise. Returns "one stack" (:func:`best_single`), "three parallel"
    (:func:`best_parallel`), "three, mean" (orthogonal, aligned and averaged), "three" (back-projected too), "three,
    motion ignored", and "error": the mean distance, in voxels, between where points of the head are put and where they
    belong, of the worse of the two stacks that moved; "moved", the same before registration, of the lesser.
    """
    rng = runtime.rng("three stacks", key)
    stacks, true = measure(volume, thickness, noise, rng)
    found = align(stacks, thickness)
    points = np.argwhere(volume > 0.3 * np.percentile(volume, 99.5))[::500]
    errors = [apart(f, t, points, volume.shape).mean() for f, t in zip(found[1:], true[1:], strict=True)]
    moved = [apart(STILL, t, points, volume.shape).mean() for t in true[1:]]
    average = back_project(stacks, thickness, found, 0)
    made = {
        "three, mean": average,
        "three": back_project(stacks, thickness, found, rounds, start=average),
        "three, motion ignored": back_project(stacks, thickness, [STILL] * 3, rounds),
    }
    scores = {name: metrics.psnr(volume, image) for name, image in made.items()}
    scores["one stack"] = best_single(volume, thickness, noise, rng, damping)
    scores["three parallel"] = best_parallel(volume, thickness, noise, rng, damping)
    return scores | {"error": float(max(errors)), "moved": float(min(moved))}


def back_project(
    stacks: Sequence[Array],
    thickness: int,
    motions: Sequence[Motion],
    rounds: int,
    axes: Sequence[int] = AXES,
    start: Array | None = None,
) -> Array:
    r"""One volume that explains all stacks: iterative back-projection (Irani & Peleg 1991) through motion and slices.

    A round simulates each stack, gives what it lacks back to the voxels of its slices, moves that back and adds the
    mean over stacks. The inverse motion takes the place of its adjoint. Stop early: later rounds explain noise, and
    errors of interpolation.

    Parameters
    ----------
    stacks : sequence of arrays
        Each is ``thickness`` times coarser along its axis of ``axes``.
    thickness : int
        Of a slice, in voxels of the volume.
    motions : sequence of six numbers each
        Of the stacks, see the module's head.
    rounds : int
        0: the start alone.
    start : array (x, y, z), optional
        To go on from; by default the mean of the stacks, each stretched and moved back.

    >>> x = np.random.default_rng(0).random((4, 4, 4))
    >>> stacks = [acquire(x, axis, 2) for axis in AXES]
    >>> found = back_project(stacks, 2, [STILL] * 3, 200)
    >>> max(float(abs(acquire(found, a, 2) - y).max()) for a, y in zip(AXES, stacks, strict=True)) < 1e-3
    True
    """
    seen = list(zip(stacks, axes, motions, strict=True))
    for stack in stacks:
        checks.finite(stack, "a stack")
    if start is None:
        start = np.mean([move_back(stretch(y, a, thickness), m) for y, a, m in seen], axis=0)
    volume: Array = start
    for _ in range(rounds):
        lacking = [move_back(np.repeat(y - acquire(volume, a, thickness, m), thickness, a), m) for y, a, m in seen]
        volume = volume + np.mean(lacking, axis=0)
    return volume


def register(
    stack: Array, axis: int, thickness: int, volume: Array, start: Motion = STILL, rounds: int = 8, step: int = 2
) -> Array:
    r"""Motion of a stack against a volume: the one whose simulated stack comes nearest to it, by Gauss–Newton.

    Minimises :math:`\sum (A(m)\,x - y)^2` over the six numbers m of the motion, so the same contrast and scale are
    assumed. Every ``step``-th voxel along the two fine axes is looked at; ``volume`` may be blurred.

    Returns
    -------
    array (6,)

    >>> z, y, x = np.mgrid[:24, :24, :24] - 11.5
    >>> ball = np.exp(-((z / 6) ** 2 + (y / 8) ** 2 + ((x - 3) / 4) ** 2))
    >>> true = np.array([0, 0, 0, 1.5, -0.5, 1.0])
    >>> found = register(acquire(ball, 2, 4, true, order=3), 2, 4, ball)
    >>> bool(np.abs(found - true)[3:].max() < 0.1)
    True
    """
    if np.ptp(checks.finite(stack, "the stack")) == 0:
        raise ValueError("a stack of one value cannot be registered: it could lie anywhere")
    sparse = tuple(slice(None) if a == axis else slice(None, None, step) for a in range(3))
    measured = np.asarray(stack[sparse], float).ravel()

    def simulated(motion: Array) -> Array:
        stride = np.array([1 if a == axis else step for a in range(3)])
        turn, offset = _points(motion, volume.shape)
        shape = tuple(len(range(0, n, s)) for n, s in zip(volume.shape, stride, strict=True))
        seen = ndimage.affine_transform(volume, turn * stride, offset, output_shape=shape, order=1)
        return np.asarray(_mean(seen, axis, thickness), float).ravel()

    motion = np.array(start, float)
    for _ in range(rounds):
        now = simulated(motion)
        slope = np.stack([(simulated(motion + e) - now) / 0.2 for e in 0.2 * np.eye(6)], axis=1)
        change = np.linalg.lstsq(slope, measured - now, rcond=None)[0]
        motion = motion + np.clip(change, -4, 4)
        if np.abs(change).max() < 0.01:
            break
    return motion


def align(stacks: Sequence[Array], thickness: int, rounds: int = 4, axes: Sequence[int] = AXES) -> list[Array]:
    """Motions of all stacks against the first, each found against a volume that the *others* make.

    The second against the first alone, the third against both; then each once more against the other two.
    """
    motions = [np.zeros(6)]
    for k in range(1, len(stacks)):
        volume = back_project(stacks[:k], thickness, motions, rounds, axes[:k])
        motions.append(register(stacks[k], axes[k], thickness, volume))
    for k in range(1, len(stacks)):
        others = [j for j in range(len(stacks)) if j != k]
        seen, thick = [stacks[j] for j in others], [axes[j] for j in others]
        volume = back_project(seen, thickness, [motions[j] for j in others], rounds, thick)
        motions[k] = register(stacks[k], axes[k], thickness, volume, motions[k])
    return motions


def apart(one: Motion, other: Motion, points: Array, shape: Sequence[int]) -> Array:
    """How far apart two motions put points ``(n, 3)`` of a volume, in voxels, ``(n,)``: the registration error.

    >>> apart(STILL, (0, 0, 0, 3, 4, 0), np.zeros((1, 3)), (8, 8, 8))
    array([5.])
    """
    (first, a), (second, b) = (_points(m, shape) for m in (one, other))
    return np.linalg.norm(points @ (first - second).T + (a - b), axis=1)


def _points(motion: Motion, shape: Sequence[int]) -> tuple[Array, Array]:
    """Matrix and offset that take voxels of the moved volume to voxels of the one at rest."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_rotvec(np.deg2rad(np.asarray(motion[:3], float))).as_matrix()
    centre = (np.array(shape) - 1) / 2
    return turn, centre - turn @ centre + np.asarray(motion[3:], float)


def _mean(volume: Array, axis: int, thickness: int) -> Array:
    """Mean over groups of ``thickness`` voxels along an axis."""
    *before, side = volume.shape[: axis + 1]
    return volume.reshape(*before, side // thickness, thickness, *volume.shape[axis + 1 :]).mean(axis=axis + 1)
