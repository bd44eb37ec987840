"""Can a person be told from an image, or from a network? Matching of faces and brains, and membership.

Everything here attacks: a low number says that *this* attack failed, and no more.
"""

import numpy as np
from scipy import ndimage, optimize, stats
from scipy.spatial.transform import Rotation

from medsr_course.scans import volumes
from medsr_course.types import Array, ArrayLike, Image, Rng

SOFT = 1.5  # mm: a Gaussian against noise and ringing
CELL = 4.0  # mm: side of a cell of a depth map, and of a brain's edge map


def depth_map(image: Image, level: float = 0.35) -> Array:
    """How far forward the skin lies, seen from the front: what a face camera would measure.

    Each ray runs from the front to the back, and stops where the image first exceeds ``level`` times its bright end.

    Parameters
    ----------
    image : nibabel image in RAS+
        A head; its front is at the greatest y.
    level : float
        Share of the 99.5th percentile of positive voxels.

    Returns
    -------
    array (x, z)
        mm from the back of the volume, in cells of :data:`CELL` mm; 0 where a ray meets nothing.
    """
    data = np.asarray(image.dataobj, np.float32)
    data = ndimage.gaussian_filter(data, [SOFT / v for v in volumes.voxel_sizes(image)])
    threshold = level * np.percentile(data[data > 0], 99.5)
    rays = data[:, ::-1]  # from the front
    hit = (rays > threshold).argmax(axis=1)
    there = np.take_along_axis(rays, hit[:, None], 1)[:, 0]
    before = np.take_along_axis(rays, np.maximum(hit - 1, 0)[:, None], 1)[:, 0]
    part = np.clip((there - threshold) / np.maximum(there - before, 1e-6), 0, 1)
    sizes = volumes.voxel_sizes(image)
    depth = np.where(there > threshold, (data.shape[1] - 1 - hit + part) * sizes[1], 0)
    return _cells(depth, sizes[[0, 2]])


def _cells(image: Array, sizes: ArrayLike) -> Array:
    """Means over cells of about :data:`CELL` mm along every axis."""
    for axis, size in enumerate(np.asarray(sizes)):
        step = max(1, round(CELL / size))
        whole = image.shape[axis] // step * step
        moved = np.moveaxis(image, axis, 0)[:whole]
        image = np.moveaxis(moved.reshape(whole // step, step, *moved.shape[1:]).mean(axis=1), 0, axis)
    return image


def face_distances(probes: ArrayLike, gallery: ArrayLike, rounds: int = 6) -> Array:
    """How unlike the depth maps of two sets of faces are, after each probe was laid over each face of the gallery.

    A head lies otherwise at every visit. So the probe's skin, as points, is turned and moved until it fits the
    gallery's (Gauss-Newton steps of the six numbers of a rigid motion); the 30 % of points that fit worst do not count.

    Parameters
    ----------
    probes : array (n, x, z)
    gallery : array (m, x, z)
    rounds : int
        Steps of the fit.

    Returns
    -------
    array (n, m)
        Root-mean-square distance of what counts, mm.
    """
    known = np.asarray(gallery, float)
    return np.array([[_fitted(probe, face, rounds) for face in known] for probe in np.asarray(probes, float)])


def _fitted(probe: Array, face: Array, rounds: int) -> float:
    middle = np.array(face.shape) * CELL / 2
    i, k = np.nonzero(probe)
    if i.size < 60:
        return np.inf
    points = np.stack([i * CELL - middle[0], probe[i, k] - face.max(), k * CELL - middle[1]], axis=1)
    slopes = [g / CELL for g in np.gradient(face)]
    points[:, 1] += np.median(face[face > 0]) - np.median(probe[i, k])
    error = np.inf
    for _ in range(rounds + 1):
        at = (points[:, [0, 2]] + middle).T / CELL
        depth, dx, dz = (ndimage.map_coordinates(a, at, order=1, mode="constant") for a in (face, *slopes))
        normal = np.stack([-dx, np.ones_like(dx), -dz], axis=1)
        normal /= np.linalg.norm(normal, axis=1)[:, None]
        apart = (points[:, 1] + face.max() - depth) * normal[:, 1]
        apart = np.where(depth > 0, apart, np.inf)
        counts = np.abs(apart) <= np.partition(np.abs(apart), int(0.7 * apart.size))[int(0.7 * apart.size)]
        counts &= np.isfinite(apart)
        if counts.sum() < 60:
            return np.inf
        error = float(np.sqrt(np.mean(apart[counts] ** 2)))
        rows = np.concatenate([normal, np.cross(points, normal)], axis=1)[counts]
        step = np.linalg.lstsq(rows, -apart[counts], rcond=None)[0]
        points = points + step[:3] + np.cross(step[3:], points)
    return error


def revisit(volume: Array, rng: Rng, noise: float = 0.03) -> Array:
    """Another scan of a brain (x, y, z): turned by some degrees, moved by some voxels, with new noise."""
    turn = Rotation.from_euler("xyz", rng.normal(0, 2.5, 3), degrees=True).as_matrix()
    middle = (np.array(volume.shape) - 1) / 2
    offset = middle - turn @ middle + rng.normal(0, 1.5, 3)
    moved = ndimage.affine_transform(np.asarray(volume, np.float32), turn, offset, order=1)
    real, imaginary = rng.standard_normal((2, *moved.shape), np.float32) * noise * np.percentile(moved, 99.5)
    return np.where(moved > 0, np.hypot(moved + real, imaginary), 0)


def edge_map(volume: Array, size: float) -> Array:
    """Where a brain (x, y, z; voxels of ``size`` mm; 0 around it) has edges, whatever its contrast: mean 0, norm 1.

    The gradient's magnitude, each place relative to its surroundings, in cells of :data:`CELL` mm.
    """
    edges = ndimage.gaussian_gradient_magnitude(np.asarray(volume, np.float32), 2.0 / size)
    inside = ndimage.binary_erosion(volume > 0, iterations=max(1, round(4 / size)))
    around = ndimage.gaussian_filter(edges * inside, 10 / size) + 1e-6
    found = _cells(np.where(inside, np.minimum(edges / around, 10), 0), 3 * [size])
    found -= found.mean()
    return found / np.linalg.norm(found)


def edge_distances(probes: ArrayLike, gallery: ArrayLike) -> Array:
    """1 less the correlation of edge maps, at the best of all shifts: array (probes, gallery)."""
    known = np.conj(np.fft.rfftn(np.asarray(gallery, np.float32), axes=(1, 2, 3)))
    out = []
    for probe in np.asarray(probes, np.float32):
        found = np.fft.irfftn(np.fft.rfftn(probe) * known, probe.shape, axes=(1, 2, 3))
        out.append(1 - found.max(axis=(1, 2, 3)))
    return np.array(out)


def first_hits(distances: ArrayLike) -> Array:
    """Whether each probe's nearest in the gallery is the same person: bool array (n,); entry (k, k) is one person."""
    return np.asarray(distances).argmin(axis=1) == np.arange(len(np.asarray(distances)))


def auc_interval(auc: float, positives: int, negatives: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of an area under the ROC curve, honest for few cases and near 0 and 1.

    Newcombe's method 5 (2006): the areas whose own standard error, by Hanley and McNeil, would reach the one found.

    >>> [round(x, 2) for x in auc_interval(1.0, 8, 8)][1]
    1.0
    """
    z = float(stats.norm.ppf(0.5 + level / 2))
    extra = (positives + negatives) / 2 - 1

    def reached(area: float) -> float:
        spread = area * (1 - area) * (1 + extra * (1 - area) / (2 - area) + extra * area / (1 + area))
        return abs(area - auc) - z * float(np.sqrt(spread / (positives * negatives)))

    ends = []
    for end in (0.0, 1.0):
        inner = auc + (end - auc) * 1e-9
        ends.append(end if reached(end) <= 0 else float(optimize.brentq(reached, inner, end)))
    return ends[0], ends[1]
