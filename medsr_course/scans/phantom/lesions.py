"""Lesions, each with its mask: white-matter lesions, an old infarct, or a tumour with its oedema."""

import numpy as np

from medsr_course.scans.phantom import fields
from medsr_course.scans.phantom.anatomy import Anatomy
from medsr_course.types import Array, Rng

KINDS = ("none", "white matter", "infarct", "tumour")
_CHANCES = (0.15, 0.45, 0.2, 0.2)


def add(rng: Rng, head: Anatomy) -> tuple[str, Array]:
    """Paint lesions over an :class:`.anatomy.Anatomy`.

    Returns
    -------
    kind : str
        One of :data:`KINDS`.
    mask : array, float32
        Fraction of each voxel of ``head.box`` that is lesion.
    """
    kind = KINDS[rng.choice(len(KINDS), p=_CHANCES)]
    shape = head.inner.shape
    mask = np.zeros(shape, np.float32)
    if kind == "none":
        return kind, mask
    rough = fields.band(rng, shape, 9, 24)
    if kind == "white matter":
        for _ in range(int(rng.integers(6, 25))):
            radius = float(np.exp(rng.uniform(np.log(1.5), np.log(6))))
            centre = _place(rng, head.white, head.inner, depth=(-60, -12))
            _blob(mask, rough, centre, radius, roughness=0.25)
        mask *= head.white
        head.add("gliosis", mask)
        return kind, mask
    radius = float(rng.uniform(11, 20))
    depth = (-25, -8) if kind == "infarct" else (-45, -14)
    centre = _place(rng, head.white, head.inner, depth=depth)
    _blob(mask, rough, centre, radius, roughness=0.22)
    mask *= head.brain
    core = np.zeros(shape, np.float32)
    share = rng.uniform(0.5, 0.75) if kind == "infarct" else rng.uniform(0.3, 0.6)
    _blob(core, rough, centre, radius * share, roughness=0.3)
    core *= mask
    head.add("gliosis", mask * np.float32(rng.uniform(0.75, 1.0)))
    head.add("cavity" if kind == "infarct" else "cortex", core)
    return kind, mask


def _place(rng, white, inner, depth):
    """A random voxel of white matter between two depths (mm, negative inside)."""
    candidates = np.flatnonzero((white > 0.9) & (inner > depth[0]) & (inner < depth[1]))
    return np.unravel_index(candidates[rng.integers(candidates.size)], white.shape)


def _blob(mask, rough, centre, radius, roughness):
    """Union of ``mask`` with a ball whose surface is displaced by ``roughness`` × radius × noise."""
    reach = int(radius * (1 + 3 * roughness) + 3)
    box = tuple(slice(max(c - reach, 0), c + reach + 1) for c in centre)
    r = np.sqrt(sum((np.ogrid[box][i] - centre[i]) ** 2 for i in range(3)))
    inside = np.clip(radius * (1 + roughness * rough[box]) - r + 0.5, 0, 1)
    np.maximum(mask[box], inside, out=mask[box])
