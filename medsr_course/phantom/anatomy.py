"""A head as layers of tissue with partial volume: each subject folds its own cortex.

Surfaces are level sets of smooth fields: where a field φ, in mm from the surface, crosses zero, the
fraction of the voxel that is tissue runs from 0 to 1 over one voxel. So edges lie anywhere between
voxels, without stairs, at the price of one field at 1 mm.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from medsr_course.phantom import fields, template, warp

LABELS = {
    0: "background",
    1: "cerebrospinal fluid",
    2: "cortical grey matter",
    3: "white matter",
    4: "deep grey matter",
    5: "vessel",
    6: "skull",
    7: "scalp and face",
    8: "eye",
    9: "lesion",
}

# tissue → label
LABEL_OF = {
    "csf": 1,
    "cortex": 2,
    "white_superficial": 3,
    "white_deep": 3,
    "deep_grey": 4,
    "artery": 5,
    "vein": 5,
    "bone": 6,
    "marrow": 6,
    "fat": 7,
    "muscle": 7,
    "skin": 7,
    "vitreous": 8,
    "gliosis": 9,
    "cavity": 9,
}

_EYES = ((-33.0, 62.0, -38.0), (33.0, 62.0, -38.0))  # centres, MNI mm; radius 12 mm


@dataclass
class Anatomy:
    """One subject's head before it meets a scanner.

    ``layers`` is painted in order, each over the ones before: a list of (tissue, fraction) with
    fractions in 0–1, float32. ``brain`` is the fraction of parenchyma, ``inner`` the signed depth (mm)
    from the brain's smoothed surface, ``white`` the fraction of white matter.
    """

    layers: list = field(default_factory=list)
    brain: np.ndarray = None
    white: np.ndarray = None
    inner: np.ndarray = None
    mni: tuple = None
    jacobian_range: tuple = None


def build(rng, lesion_painter=None):
    """Make one subject's anatomy.

    Parameters
    ----------
    rng : numpy.random.Generator

    Returns
    -------
    Anatomy
    """
    shape = template.SHAPE
    source = template.load()
    at, jacobian = _deform(rng, shape)

    white_p = ndimage.map_coordinates(source.white, at, order=1, mode="nearest")
    grey_p = ndimage.map_coordinates(source.grey, at, order=1, mode="nearest")
    half = at * np.float32(0.5)
    inner = ndimage.map_coordinates(source.depth, half, order=1, mode="nearest")
    core = ndimage.map_coordinates(source.core, half, order=1, mode="nearest")
    del half
    mni = tuple(a + np.float32(o) for a, o in zip(at, template.ORIGIN, strict=True))
    del at

    deep = _deep_weight(mni)
    phi = _white_surface(rng, shape, white_p, core, inner, deep)
    white = np.clip(phi + 0.5, 0, 1)
    brain, distance = _pial_surface(rng, shape, phi, white_p + grey_p, inner, deep)
    np.maximum(brain, white, out=brain)

    head = Anatomy(brain=brain, white=white, inner=inner, mni=mni, jacobian_range=jacobian)
    _outside_brain(rng, shape, head)
    head.layers.append(("cortex", brain))
    head.layers.append(("white_superficial", white))
    head.layers.append(("white_deep", white * fields.ramp(core, 0.55, 0.95)))
    # Deep nuclei are mixtures in the template (pallidum, thalamus): keep their mixture, sharpened.
    share = grey_p / np.maximum(grey_p + white_p, 0.05)
    head.layers.append(("deep_grey", brain * deep * fields.ramp(share, 0.15, 0.85)))
    _vessels(rng, shape, head)
    return head


def _deform(rng, shape):
    """Template voxel coordinates of the subject's voxels, and the extremes of the Jacobian."""
    v = warp.velocity(rng, shape, smoothness=float(rng.uniform(12, 16)), size=float(rng.uniform(2.0, 3.2)))
    u = warp.exponential(v)
    matrix = warp.linear(rng, scaling=0.03, degrees=2.5)
    jacobian = warp.jacobian(u) * np.linalg.det(matrix)
    centre = -np.array(template.ORIGIN) + (0, -18, 8)  # middle of the brain
    return warp.coordinates(u, matrix, shape, centre), (float(jacobian.min()), float(jacobian.max()))


def _deep_weight(mni):
    """1 in the basal ganglia, thalamus and brain stem, 0 in the cortex: there the folding stays away."""
    x, y, z = mni

    def ellipsoid(centre, radii):
        r = sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True))
        return fields.ramp(np.sqrt(r), 1.08, 0.92)

    return np.maximum(ellipsoid((0, -8, 4), (36, 42, 24)), ellipsoid((0, -28, -35), (20, 20, 40)))


def _white_surface(rng, shape, white_p, core, inner, deep):
    """Signed field (about mm, positive inside) of white matter: template certainty plus folding noise."""
    shortest = rng.uniform(7.5, 9.0)
    folds = fields.band(rng, shape, shortest, shortest * 1.6)
    free = (1 - deep) * fields.ramp(core, 0.95, 0.6)
    p = np.clip(white_p, 0.01, 0.99)
    level = np.log(p / (1 - p))
    level += free * (np.float32(rng.uniform(1.5, 2.0)) * folds + np.float32(rng.uniform(0.3, 0.7)))
    level -= 4 * fields.ramp(inner, -3.5, -1.0)  # a crown of cortex always covers the white matter
    phi = level / np.maximum(fields.slope(level), 0.4)
    return np.clip(_drop_islands(phi), -8, 8)


def _drop_islands(phi, smallest=250):
    """Remove islands of white matter and holes in it that are too small to be anatomy."""
    parts, _ = ndimage.label(phi > 0)
    phi[(np.bincount(parts.ravel()) < smallest)[parts] & (parts > 0)] = -0.6
    parts, _ = ndimage.label(phi <= 0)
    phi[(np.bincount(parts.ravel()) < smallest)[parts] & (parts > 0)] = 0.6
    return phi


def _pial_surface(rng, shape, phi, parenchyma_p, inner, deep):
    """Fraction of parenchyma: a ribbon 2–4 mm thick round the white matter; sulci where it ends.

    The distance to white matter is exact to a fraction of a voxel: the distance transform finds the
    nearest white voxel, whose own φ says how far inside the surface its centre lies.
    """
    outside = phi <= 0
    distance, nearest = ndimage.distance_transform_edt(outside, return_indices=True)
    distance = distance.astype(np.float32)
    distance -= np.minimum(phi[tuple(nearest)], 0.5) * outside
    del nearest
    distance = np.where(outside, distance, -phi)
    distance = ndimage.gaussian_filter(distance, 0.6)

    certain = fields.ramp(parenchyma_p, 0.45, 1.0)
    thickness = np.float32(rng.uniform(2.1, 2.6)) + np.float32(rng.uniform(1.2, 2.0)) * certain
    thickness += np.float32(0.25) * fields.band(rng, shape, 15, 40)
    ribbon = np.clip(thickness - distance + 0.5, 0, 1)
    # Where two banks meet, the distance has a ridge: a thin sulcus, one of many widths.
    opening = np.float32(rng.uniform(0.5, 0.8)) + np.float32(0.15) * fields.band(rng, shape, 10, 30)
    ridge = np.clip((opening - fields.slope(distance)) / 0.35, 0, 1) * fields.ramp(distance, 1.6, 2.4)
    ribbon *= 1 - np.float32(0.85) * ridge

    # CSF that the template is sure of: ventricles, cisterns.
    edge = (parenchyma_p - 0.5) / np.maximum(fields.slope(parenchyma_p), 0.08)
    sure = np.clip(edge + 0.5, 0, 1)
    brain = deep * sure + (1 - deep) * ribbon * np.clip(edge + 2.0, 0, 1)
    brain *= np.clip(0.5 - inner, 0, 1)
    return brain, distance


def _outside_brain(rng, shape, head):
    """CSF space, skull, scalp, face and eyes, from the outside in."""
    x, y, z = head.mni
    inner = head.inner
    vary = fields.band(rng, shape, 30, 90)
    fluid = np.float32(rng.uniform(0.8, 2.5)) + np.float32(0.5) * vary
    skull = np.float32(rng.uniform(4.5, 7.0)) + np.float32(0.7) * fields.band(rng, shape, 25, 80)
    skull = np.maximum(skull, 2.5)
    scalp = np.float32(rng.uniform(4.0, 7.0)) - np.float32(0.8) * vary
    scalp = np.maximum(scalp, 2.5)

    # Face and neck: an ellipsoid below the brow, joined to the shell.
    face = np.sqrt((x / 62) ** 2 + ((y - 18) / 72) ** 2 + ((z + 75) / 75) ** 2)
    face = (face - 1) * np.float32(66)
    skin_depth = np.minimum(inner - fluid - skull - scalp, face)
    jitter = fields.band(rng, shape, 6, 18)

    def inside(depth, limit=0.0):
        return np.clip(limit - depth + 0.5, 0, 1)

    add = head.layers.append
    add(("skin", inside(skin_depth)))
    add(("fat", inside(skin_depth, -1.6)))
    deep_soft = inside(skin_depth, -3.5) * np.clip(0.5 + 2 * (jitter + 0.4), 0, 1)
    temple = fields.ramp(z, 25, 0)  # muscle only below the temporal line
    add(("muscle", deep_soft * temple))
    for centre in _EYES:
        r = np.sqrt(sum((a - c) ** 2 for a, c in zip((x, y, z), centre, strict=True)))
        add(("vitreous", np.clip(12 - r + 0.5, 0, 1)))
    bone_depth = inner - fluid - skull
    add(("bone", inside(bone_depth)))
    table = np.float32(1.3) + np.float32(0.25) * jitter
    add(("marrow", inside(bone_depth, -table) * inside(fluid + table - inner) * fields.ramp(skull, 3.5, 5.5)))
    add(("csf", inside(inner - fluid)))
    # Superior sagittal sinus, under the vault in the midline.
    sinus = np.hypot(x / 1.3, inner - fluid + 1.0) - np.float32(3.2)
    add(("vein", inside(sinus) * fields.ramp(z, 0, 15)))


def _vessels(rng, shape, head):
    """Thin tubes: random curves are where two random fields vanish together.

    In the sulci and the subarachnoid space arteries and veins; in white matter fluid-filled
    perivascular spaces, thinner than a voxel.
    """
    a, b = fields.band(rng, shape, 12, 26), fields.band(rng, shape, 12, 26)
    a /= np.maximum(fields.slope(a), 0.02)
    b /= np.maximum(fields.slope(b), 0.02)
    far = np.hypot(a, b, out=a)
    outer = np.clip(1.5 - head.inner, 0, 1) * (1 - head.brain)
    radius = np.float32(rng.uniform(0.6, 1.0)) + np.float32(0.5) * np.clip(b, -0.5, 1)
    head.layers.append(("vein", np.clip(radius - far + 0.5, 0, 1) * outer))
    thin = np.float32(rng.uniform(0.25, 0.5))
    head.layers.append(("csf", np.clip(thin - far + 0.5, 0, 0.6) * head.white * fields.ramp(head.inner, -6, -12)))
