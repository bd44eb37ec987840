"""The average head that every subject starts from, on the cohort's grid.

The ICBM 152 nonlinear symmetric 2009a template with its grey- and white-matter probability maps
(Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033), 1 mm. It is already skull-stripped; skull and
scalp are added in :mod:`.anatomy`.
"""

from dataclasses import dataclass
from functools import lru_cache

import nibabel as nib
import numpy as np
from scipy import ndimage

from medsr_course import resources

SHAPE = (192, 224, 176)  # (x, y, z) voxels of 1 mm: room for scalp, sizes that the FFT likes
ORIGIN = (-95.0, -129.0, -69.0)  # MNI mm of voxel (0, 0, 0)


@dataclass(frozen=True)
class Template:
    """Maps on the cohort's grid, float32.

    ``grey`` and ``white`` are probabilities (0–1) on the 1 mm grid; ``depth`` is the signed distance in
    mm from the brain's smoothed surface (negative inside) and ``core`` the white-matter probability
    smoothed over 4 mm, both on every second voxel.
    """

    grey: np.ndarray
    white: np.ndarray
    depth: np.ndarray
    core: np.ndarray


def affine():
    """Voxel → MNI mm, RAS, 1 mm."""
    matrix = np.eye(4)
    matrix[:3, 3] = ORIGIN
    return matrix


@lru_cache(maxsize=1)
def load():
    """Read the template's files once per process."""
    grey, white, t1 = (_on_grid(name) for name in ("gm", "wm", "t1"))
    brain = ndimage.binary_closing(t1[::2, ::2, ::2] > 0, iterations=2)
    depth = ndimage.distance_transform_edt(~brain) - ndimage.distance_transform_edt(brain)
    depth = ndimage.gaussian_filter(2 * depth.astype(np.float32), 1.0)
    core = ndimage.gaussian_filter(white, 4)[::2, ::2, ::2]
    return Template(grey, white, depth, np.ascontiguousarray(core))


def _on_grid(name):
    image = nib.load(resources.template(name))
    start = np.round(np.array(ORIGIN) - image.affine[:3, 3]).astype(int)
    x, y, z = (slice(a, a + n) for a, n in zip(start, SHAPE, strict=True))
    return np.asarray(image.dataobj)[x, y, z].astype(np.float32) / 255
