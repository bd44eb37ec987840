"""Volumes with a place in the body: orientation, voxel sizes, volume ↔ stack, resampling.

An image is a nibabel image: an array ``(x, y, z)`` and a 4×4 affine that takes a voxel index to
millimetres in the body, RAS+ (x grows to the patient's Right, y to Anterior, z to Superior). This is the
only module of the course that moves axes.

Grids follow :mod:`medsr_course.physics.grid`: when the voxel size is divided by *s*, sample 0 stays in place.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medsr_course.types import Array, ArrayLike, Image, Stack

if TYPE_CHECKING:  # nibabel is loaded where it is used
    import nibabel

PLANES = ("axial", "sagittal", "coronal")
# Axes of the RAS volume in the order (slice, row, column) of a stack.
_STACK_AXES = {"axial": (2, 1, 0), "sagittal": (0, 2, 1), "coronal": (1, 2, 0)}


def voxel_sizes(image: Image) -> Array:
    """Return the edge lengths of a voxel in mm, along the image's own array axes: array (3,)."""
    return _lengths(image.affine)


def to_ras(image: Image) -> Image:
    """Return the same image with its axes flipped and swapped to the nearest to Right, Anterior, Superior.

    No value is interpolated and every voxel keeps its place in mm: an oblique image stays oblique.

    Parameters
    ----------
    image : nibabel image, 3-D

    Returns
    -------
    nibabel.Nifti1Image
        ``image`` itself where it is RAS already.
    """
    from nibabel import orientations

    _check_3d(image)
    now = orientations.io_orientation(image.affine)
    if np.array_equal(now, [[0, 1], [1, 1], [2, 1]]):
        return image
    data = orientations.apply_orientation(np.asanyarray(image.dataobj), now)
    affine = image.affine @ orientations.inv_ornt_aff(now, image.shape)
    return make_image(data, affine, like=image)


def to_stack(image: Image, plane: str = "axial") -> Stack:
    """Return the slices of a volume, as the course's methods take them.

    Parameters
    ----------
    image : nibabel image, 3-D, any orientation
    plane : {"axial", "sagittal", "coronal"}

    Returns
    -------
    array (n, h, w)
        Of the RAS volume, without flips: axial (z, y, x), sagittal (x, z, y), coronal (y, z, x). So
        row 0 of an axial slice is posterior; the course's figures draw it at the bottom.
    """
    data = np.asanyarray(to_ras(image).dataobj)
    return np.ascontiguousarray(data.transpose(_axes(plane)))


def from_stack(stack: Stack, like: Image, plane: str = "axial", scale: float = 1, *, thinner: int = 1) -> Image:
    """Return a stack to its place: the inverse of :func:`to_stack`, also after super-resolution.

    Parameters
    ----------
    stack : array (n, h, w)
    like : nibabel image
        The image the stack was taken from.
    plane : {"axial", "sagittal", "coronal"}
    scale : float
        How many times finer the stack's rows and columns are than ``like`` (1/2: twice as coarse).
    thinner : int
        How many slices there are for each of ``like``: thick slice k lies where thin slice ``thinner``·k does.

    Returns
    -------
    nibabel.Nifti1Image
        RAS; sample 0 where it was, in-plane voxel size divided by ``scale``, distance of slices by ``thinner``.

    Raises
    ------
    ValueError
        If the stack has another number of slices, or is larger than ``scale`` allows. Rows and columns
        trimmed at the high end are fine: sample 0 has not moved.
    """
    stack = np.asanyarray(stack)
    axes = _axes(plane)
    like = to_ras(like)
    if stack.ndim != 3 or stack.shape[0] != thinner * like.shape[axes[0]]:
        count = thinner * like.shape[axes[0]]
        raise ValueError(f"the {plane} stack must be (n, h, w) with n = {count}, not {stack.shape}")
    for size, axis in zip(stack.shape[1:], axes[1:], strict=True):
        if size > np.ceil(scale * like.shape[axis]):
            raise ValueError(f"a side of {size} is more than {scale} × {like.shape[axis]}: wrong scale?")
    affine = scaled_affine(scaled_affine(like.affine, scale, axes[1:]), thinner, axes[:1])
    return make_image(stack.transpose(np.argsort(axes)), affine, like=like)


def stack_affine(image: Image, plane: str = "axial", scale: float = 1) -> Array:
    """Return the matrix (4, 4) from an index (slice, row, column) of :func:`to_stack` to mm.

    With ``scale``, of a stack whose rows and columns are that many times finer, as :func:`from_stack` takes it.

    >>> from nibabel import Nifti1Image
    >>> stack_affine(Nifti1Image(np.zeros((4, 4, 4)), np.diag([1, 2, 3, 1])), scale=2) @ [1, 2, 4, 1]
    array([2., 2., 3., 1.])
    """
    axes = _axes(plane)
    return scaled_affine(to_ras(image).affine, scale, axes[1:])[:, [*axes, 3]]


def finest_plane(image: Image) -> str:
    """Return the plane of :data:`PLANES` whose slices lie along the longest voxel edge; axial where edges are alike.

    >>> from nibabel import Nifti1Image
    >>> finest_plane(Nifti1Image(np.zeros((4, 4, 4)), np.diag([5, 1, 1, 1])))
    'sagittal'
    """
    sizes = voxel_sizes(to_ras(image))
    return max(PLANES, key=lambda plane: round(sizes[_axes(plane)[0]] / min(sizes), 1))


def pixel_size(image: Image, plane: str = "axial") -> float:
    """Return the edge length in mm of a pixel of :func:`to_stack`: the mean of rows and columns."""
    return float(voxel_sizes(to_ras(image))[list(_axes(plane)[1:])].mean())


def slice_spacing(image: Image, plane: str = "axial") -> float:
    """Return the distance in mm from one slice of :func:`to_stack` to the next."""
    return float(voxel_sizes(to_ras(image))[_axes(plane)[0]])


def evenly(count: int, n: int, between: tuple[float, float]) -> Array:
    """Returns the numbers of at most ``n`` of ``count`` slices, evenly spread between two fractions of them.

    >>> evenly(100, 3, (0.4, 0.6)).tolist(), evenly(2, 5, (0.0, 1.0)).tolist()
    ([40, 50, 60], [0, 1])
    """
    index = np.linspace(between[0] * count, between[1] * count, n).astype(int)
    return np.unique(np.clip(index, 0, count - 1))


def axial_slices(image: Image, n: int = 10, between: tuple[float, float] = (0.35, 0.72)) -> Stack:
    """Return the axial slices that the course measures on: evenly spread over the middle of the head.

    Parameters
    ----------
    image : nibabel image, 3-D
    n : int
        How many; fewer come back from a volume that has fewer in that range.
    between : (float, float)
        First and last slice as fractions of the number of slices.

    Returns
    -------
    float32 array (n, y, x)
    """
    ras = to_ras(image)
    data = np.asanyarray(ras.dataobj)[:, :, evenly(ras.shape[2], n, between)]
    return np.ascontiguousarray(data.transpose(2, 1, 0), dtype=np.float32)


def scaled_affine(affine: ArrayLike, scale: float, axes: Sequence[int] = (0, 1, 2)) -> Array:
    """Return the affine of a grid ``scale`` × finer along ``axes``; sample 0 stays in place.

    >>> scaled_affine(np.diag([1.0, 1.0, 3.0, 1.0]), 2, axes=(0, 1)).diagonal()
    array([0.5, 0.5, 3. , 1. ])
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, not {scale!r}")
    affine = np.array(affine, dtype=float)
    affine[:3, list(axes)] /= scale
    return affine


def resample(
    image: Image,
    voxel_size: float | Sequence[float] | None = None,
    shape: Sequence[int] | None = None,
    affine: ArrayLike | None = None,
    *,
    labels: bool = False,
) -> Image:
    """Resample an image on another grid.

    Cubic splines; going coarser, a Gaussian first removes what the new grid cannot hold. Fourier methods
    (``interpolation.zero_fill``, ``acquisition.kspace_crop``) are exact on grids that divide; this function
    goes to any grid.

    Parameters
    ----------
    image : nibabel image, 3-D
    voxel_size : float or 3 floats, optional
        New voxel size in mm along the image's own axes; sample 0 stays in place.
    shape : 3 ints, optional
        New shape. Without ``affine`` and ``voxel_size`` the field of view is kept.
    affine : array (4, 4), optional
        Any new grid, e.g. another image's, with its ``shape``.
    labels : bool
        For label images: each voxel takes the label with the largest share (linear interpolation of each
        label's mask, so borders move to neither side), and the integer type is kept.

    Returns
    -------
    nibabel.Nifti1Image
        float32 (labels: as before). Up to one voxel outside the old grid the border value continues;
        beyond, 0.

    Raises
    ------
    ValueError
        If the grid is not described, or described twice.
    """
    _check_3d(image)
    old_shape = np.array(image.shape)
    if affine is not None:
        if voxel_size is not None:
            raise ValueError("give affine or voxel_size, not both")
        shape = image.shape if shape is None else shape
    elif voxel_size is not None:
        ratio = np.broadcast_to(np.asarray(voxel_size, float), 3) / voxel_sizes(image)
        if not (np.isfinite(ratio).all() and (ratio > 0).all()):
            raise ValueError(f"voxel_size must be positive, in mm, not {voxel_size!r}")
        affine = image.affine @ np.diag([*ratio, 1.0])
        if shape is None:
            shape = np.maximum(1, np.floor(old_shape / ratio + 1e-6)).astype(int).tolist()
    elif shape is not None:
        affine = image.affine @ np.diag([*(old_shape / _checked_shape(shape)), 1.0])
    else:
        raise ValueError("give voxel_size, shape, or affine")
    shape = _checked_shape(shape)

    # Index of the old grid for an index of the new one: old = matrix @ new + offset.
    step = np.linalg.solve(image.affine, np.asarray(affine, float))
    matrix, offset = step[:3, :3], step[:3, 3]
    data = np.asanyarray(image.dataobj)
    if labels:
        out = _resample_labels(data, matrix, offset, shape)
    else:
        out = _transform(data.astype(np.float32), matrix, offset, shape, order=3)
    _clear_outside(out, matrix, offset, image.shape)
    return make_image(out, affine, like=image)


def _checked_shape(shape):
    sizes = tuple(int(size) for size in shape)
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(f"shape must be three positive whole numbers, not {sizes}")
    return sizes


def _resample_labels(data, matrix, offset, shape):
    if not np.issubdtype(data.dtype, np.integer) and data.dtype != bool:
        if not np.array_equal(data, np.rint(data)):
            raise ValueError("labels=True needs whole numbers")
        if not (np.abs(data) < 2**31).all():
            raise ValueError("labels=True needs whole numbers that fit into 32 bits")
        data = np.rint(data).astype(np.int32)
    best = np.zeros(shape, np.float32)
    out = np.zeros(shape, data.dtype)
    for value in np.unique(data):
        share = _transform((data == value).astype(np.float32), matrix, offset, shape, order=1)
        wins = share > best
        out[wins] = value
        best[wins] = share[wins]
    return out


def _transform(data, matrix, offset, shape, order):
    from scipy import ndimage

    # Going coarser: a Gaussian of standard deviation (r − 1)/2 old voxels for steps of r old voxels,
    # scikit-image's choice.
    sigma = np.maximum(0, (np.linalg.norm(matrix, axis=1) - 1) / 2)
    if sigma.max() > 0.01:
        data = ndimage.gaussian_filter(data, np.where(sigma > 0.01, sigma, 0), mode="nearest")
    return ndimage.affine_transform(
        data, matrix, offset, output_shape=shape, output=np.float32, order=order, mode="nearest"
    )


def _clear_outside(out, matrix, offset, old_shape):
    """Set to 0 what lies a voxel or more outside the old grid (``mode="nearest"`` goes on for ever)."""
    index = np.ogrid[tuple(slice(size) for size in out.shape)]
    outside = np.zeros(out.shape, bool)
    for row, shift, size in zip(matrix, offset, old_shape, strict=True):
        position = sum(step * i for step, i in zip(row, index, strict=True)) + shift
        outside |= np.broadcast_to((position < -1 + 1e-6) | (position > size - 1e-6), out.shape)
    out[outside] = 0


def centroid_mm(image: Image) -> Array:
    """Return the centre of intensity in mm, RAS: what must stay put when an image changes its grid.

    Parameters
    ----------
    image : nibabel image, 3-D, with a sum that is not 0

    Returns
    -------
    array (3,)
    """
    _check_3d(image)
    data = np.asarray(image.dataobj, dtype=np.float64)
    total = data.sum()
    if total == 0:
        raise ValueError("an image whose values sum to 0 has no centroid")
    index = [
        np.dot(np.arange(size), data.sum(axis=tuple(a for a in range(3) if a != axis))) / total
        for axis, size in enumerate(data.shape)
    ]
    return image.affine[:3, :3] @ index + image.affine[:3, 3]


def make_image(data: ArrayLike, affine: ArrayLike, like: Image | None = None) -> "nibabel.Nifti1Image":
    """Make a NIfTI image in mm.

    Parameters
    ----------
    data : array (x, y, z)
        Its type is kept where NIfTI has it; boolean becomes uint8, 64-bit integers int32, half precision
        float32, long double float64.
    affine : array (4, 4)
    like : nibabel image, optional
        Whose description and coordinate codes (scanner, template …) are taken over; both 0 (orientation not known)
        stay 0.

    Returns
    -------
    nibabel.Nifti1Image
        The data with this affine.

    Raises
    ------
    ValueError
        Complex numbers, colours, text, or integers beyond 32 bits.
    """
    import nibabel

    data = _storable(np.asanyarray(data))
    affine = np.asarray(affine, float)
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    sform, qform = 2, 0
    if like is not None and isinstance(like.header, nibabel.Nifti1Header):
        image.header["descrip"] = like.header["descrip"]
        sform, qform = int(like.header["sform_code"]), int(like.header["qform_code"])
        if not (sform or qform):  # what is not known of the original is not known of this
            image.header["sform_code"] = image.header["qform_code"] = 0
            return image
    # On the header, not the image: there the affine would be rounded to float32.
    image.header.set_sform(affine, sform or qform)
    # A qform holds rotations and voxel sizes only: a sheared affine lives in the sform alone.
    rotation = affine[:3, :3] / _lengths(affine)
    image.header.set_qform(affine, qform if np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-4) else 0)
    return image


def _storable(data):
    """The same values in a type that NIfTI and its viewers have."""
    if data.dtype == bool:
        return data.astype(np.uint8)
    if data.dtype in (np.int64, np.uint64):  # most viewers cannot read 64-bit integers
        limits = np.iinfo(np.int32)
        if data.size and not (limits.min <= data.min() and data.max() <= limits.max):
            raise ValueError(
                f"values from {data.min()} to {data.max()} do not fit into 32 bits: scale them, or use float64"
            )
        return data.astype(np.int32)
    if data.dtype.kind == "f" and data.dtype.itemsize not in (4, 8):  # half precision, long double
        return data.astype(np.float32 if data.dtype.itemsize < 4 else np.float64)
    if data.dtype.kind not in "iuf":
        raise ValueError(f"an image holds real numbers, not {data.dtype}: take the magnitude, or one channel")
    return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))


def _lengths(affine):
    return np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)


def _axes(plane):
    if plane not in _STACK_AXES:
        raise ValueError(f"plane must be one of {', '.join(PLANES)}, not {plane!r}")
    return _STACK_AXES[plane]


def _check_3d(image):
    if len(image.shape) != 3:
        raise ValueError(f"a 3-D image is needed, not one of shape {image.shape}")
