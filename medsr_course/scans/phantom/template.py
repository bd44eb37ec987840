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
from medsr_course.types import Array

SHAPE = (208, 240, 160)  # (x, y, z) voxels of 1 mm: room for scalp and air, sizes that the FFT likes
ORIGIN = (-104.0, -138.0, -60.0)  # MNI mm of voxel (0, 0, 0)


@dataclass(frozen=True)
class Template:
    """Maps on the cohort's grid, float32.

    ``grey`` and ``white`` are probabilities (0–1) on the 1 mm grid; ``depth`` is the signed distance in
    mm from the brain's smoothed surface (negative inside), ``vault`` that from its hull without the
    hollows that the skull does not follow, ``core`` the white-matter probability
    smoothed over 4 mm; these three on every second voxel.
    """

    grey: np.ndarray
    white: np.ndarray
    depth: np.ndarray
    vault: np.ndarray
    core: np.ndarray


def affine() -> Array:
    """Returns the matrix voxel → MNI mm, RAS, 1 mm."""
    matrix = np.eye(4)
    matrix[:3, 3] = ORIGIN
    return matrix


@lru_cache(maxsize=1)
def load() -> Template:
    """Read the template's files once per process."""
    grey, white, t1 = (_on_grid(name) for name in ("gm", "wm", "t1"))
    brain = ndimage.binary_closing(t1[::2, ::2, ::2] > 0, iterations=2)
    core = ndimage.gaussian_filter(white, 4)[::2, ::2, ::2]
    hull = ndimage.binary_closing(brain, iterations=8)
    return Template(grey, white, _signed_distance(brain), _signed_distance(hull, 2.0), np.ascontiguousarray(core))


def _signed_distance(inside, smoothing=1.0):
    """mm, negative inside, slightly smoothed; ``inside`` is on every second voxel."""
    distance = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    return ndimage.gaussian_filter(2 * distance.astype(np.float32), smoothing)


def _on_grid(name):
    """A file of the template cut or padded with zeros to the cohort's grid."""
    image = nib.load(resources.template(name))
    start = np.round(np.array(ORIGIN) - image.affine[:3, 3]).astype(int)
    out = np.zeros(SHAPE, np.float32)
    to, of = [], []
    for a, n, m in zip(start, SHAPE, image.shape, strict=True):
        of.append(slice(max(a, 0), min(a + n, m)))
        to.append(slice(max(-a, 0), max(-a, 0) + of[-1].stop - of[-1].start))
    out[tuple(to)] = np.asarray(image.dataobj)[tuple(of)].astype(np.float32) / 255
    return out
