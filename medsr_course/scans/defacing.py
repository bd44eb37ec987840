"""Take the face off a head: a mask drawn on the template, laid over an image by its affine.

The image must lie in MNI space, as the cohort does; a scan from elsewhere is registered to the template first. Other
tools: pydeface, mri_deface, fsl_deface, mri_reface.
"""

import numpy as np
from scipy import ndimage

from medsr_course.scans import volumes
from medsr_course.scans.phantom import template
from medsr_course.types import Array, Image, Mask

BROW = -14.0  # MNI mm: below it, a face
FRONT = 26.0  # MNI mm: in front of it, a face
FROM_BRAIN = 12.0  # mm that stay round the template's brain: no training subject of the cohort reaches farther


def mask(image: Image) -> Mask:
    """True where the template has its face: below the brow, in front of the ears, well away from the brain.

    Parameters
    ----------
    image : nibabel image in MNI mm

    Returns
    -------
    bool array of the image's shape
    """
    x, y, z = _millimetres(image)
    face = np.broadcast_to((y > FRONT) & (z < BROW), image.shape[:3]).copy()
    where = np.nonzero(face)
    at = [np.broadcast_to(a, image.shape[:3])[where] for a in (x, y, z)]
    voxels = [(a - o) / 2 for a, o in zip(at, template.ORIGIN, strict=True)]
    depth = template.load().depth  # on every second voxel; beyond its grid there is no brain
    face[where] = ndimage.map_coordinates(depth, voxels, order=1, mode="constant", cval=100.0) > FROM_BRAIN
    return face


def remove(image: Image) -> Image:
    """The image with 0 in the :func:`mask`; every other voxel, and the affine, stay as they are."""
    data = np.asanyarray(image.dataobj).copy()
    data[mask(image)] = 0
    return volumes.make_image(data, image.affine, like=image)


def _millimetres(image: Image) -> list[Array]:
    """World coordinates x, y, z of the voxels, mm; each broadcasts to the image's shape."""
    grid = np.ix_(*(np.arange(n, dtype=np.float32) for n in image.shape[:3]))
    matrix = np.asarray(image.affine, np.float32)
    return [sum(matrix[i, j] * grid[j] for j in range(3)) + matrix[i, 3] for i in range(3)]
