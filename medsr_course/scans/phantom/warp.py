r"""Smooth, invertible deformations: the exponential of a stationary velocity field.

:math:`\varphi = \exp(v)` is computed by scaling and squaring (Arsigny et al. 2006,
doi:10.1007/11866565_113): divide *v* by :math:`2^k` until the step is small, then compose the step with
itself *k* times. A composition of small invertible steps is invertible.
"""

import numpy as np
from scipy import ndimage

from medsr_course.scans.phantom import fields
from medsr_course.types import Array, Rng

SPACING = 4  # voxels between samples of the velocity field


def velocity(rng: Rng, shape: tuple[int, ...], smoothness: float, size: float) -> Array:
    """Returns a random smooth velocity field.

    Parameters
    ----------
    shape : (int, int, int)
        Full grid; divisible by :data:`SPACING`.
    smoothness : float
        Standard deviation of the Gaussian, mm.
    size : float
        Standard deviation of each component, mm.

    Returns
    -------
    array (3, x, y, z) on the coarse grid, mm
    """
    coarse = tuple(n // SPACING for n in shape)
    noise = rng.standard_normal((3, *coarse), dtype=np.float32)
    smooth = [ndimage.gaussian_filter(c, smoothness / SPACING, mode="wrap") for c in noise]
    return np.stack([fields.unit(c) for c in smooth]) * np.float32(size)


def exponential(v: Array, squarings: int = 6) -> Array:
    """Returns the displacement field u of the flow, x → x + u(x), on the coarse grid (mm), by scaling and squaring."""
    u = v / np.float32(2**squarings)
    grid = np.indices(u.shape[1:], dtype=np.float32)
    for _ in range(squarings):
        at = grid + u / SPACING
        u = u + np.stack([ndimage.map_coordinates(c, at, order=1, mode="grid-wrap") for c in u])
    return u


def jacobian(u: Array) -> Array:
    """Returns the determinant of the deformation's Jacobian on the coarse grid: positive where nothing folds over."""
    gradient = np.stack([np.stack(np.gradient(c, SPACING)) for c in u])  # (component, axis, x, y, z)
    matrix = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3)
    return np.linalg.det(matrix)


def linear(rng: Rng, scaling: float, degrees: float) -> Array:
    """Returns a random 3×3 matrix: rotation by a few degrees about each axis times a scaling of each axis."""
    scale = np.exp(rng.normal(0, scaling, 3))
    a, b, c = np.radians(rng.normal(0, degrees, 3))
    x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.array(x) @ np.array(y) @ np.array(z) @ np.diag(scale)


def coordinates(u: Array, matrix: Array, shape: tuple[int, ...], centre: Array, step: int = 1) -> Array:
    """Returns the template voxel coordinates of a subject's voxels.

    Parameters
    ----------
    u : array (3, x, y, z)
        Coarse displacement, mm.
    matrix : array (3, 3)
    shape : (int, int, int)
        Of the full grid.
    centre : (3,) voxels
        Fixed point of the matrix.
    step : int
        Every how many-th voxel.

    Returns
    -------
    array (3, *shape / step), float32
    """
    sides = tuple(n // step for n in shape)
    out = np.empty((3, *sides), np.float32)
    index = np.ix_(*(np.arange(n, dtype=np.float32) * step - c for n, c in zip(sides, centre, strict=True)))
    for axis in range(3):
        out[axis] = fields.interpolate(u[axis], sides)
        for other in range(3):
            out[axis] += np.float32(matrix[axis, other]) * index[other]
        out[axis] += np.float32(centre[axis])
    return out
