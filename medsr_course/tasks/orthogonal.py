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

from medsr_course.physics import checks
from medsr_course.tasks import multiframe
from medsr_course.types import Array

AXES = (2, 1, 0)  # the thick axis of axial, coronal and sagittal slices
STILL = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

Motion = Sequence[float] | Array


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


def back_project(
    stacks: Sequence[Array], thickness: int, motions: Sequence[Motion], rounds: int, axes: Sequence[int] = AXES
) -> Array:
    r"""One volume that explains all stacks: iterative back-projection (Irani & Peleg 1991) through motion and slices.

    Starts with the mean of the stacks, each stretched and moved back. A round simulates each stack, gives what it lacks
    back to the voxels of its slices, moves that back and adds the mean over stacks. The inverse motion takes the place
    of the adjoint of the motion. Stop early: later rounds explain noise, and errors of interpolation.

    Parameters
    ----------
    stacks : sequence of arrays
        Each is ``thickness`` times coarser along its axis of ``axes``.
    thickness : int
        Of a slice, in voxels of the volume.
    motions : sequence of six numbers each
        Of the stacks, see the module's head.
    rounds : int
        0: the mean of the stacks alone.

    >>> x = np.random.default_rng(0).random((4, 4, 4))
    >>> stacks = [acquire(x, axis, 2) for axis in AXES]
    >>> found = back_project(stacks, 2, [STILL] * 3, 200)
    >>> max(float(abs(acquire(found, a, 2) - y).max()) for a, y in zip(AXES, stacks, strict=True)) < 1e-3
    True
    """
    seen = list(zip(stacks, axes, motions, strict=True))
    for stack in stacks:
        checks.finite(stack, "a stack")
    volume = sum(move_back(stretch(y, a, thickness), m) for y, a, m in seen) / len(seen)
    for _ in range(rounds):
        lacking = (
            move_back(np.repeat(y - acquire(volume, a, thickness, m), thickness, a), m) for y, a, m in seen
        )
        volume = volume + sum(lacking) / len(seen)
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
        rest = [j for j in range(len(stacks)) if j != k]
        there, moved, thick = ([row[j] for j in rest] for row in (stacks, motions, axes))
        volume = back_project(there, thickness, moved, rounds, thick)
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
