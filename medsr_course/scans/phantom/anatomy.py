"""A head as layers of tissue with partial volume: each subject folds its own cortex.

Surfaces are level sets of smooth fields: where a field φ, in mm from the surface, crosses zero, the
fraction of the voxel that is tissue runs from 0 to 1 over one voxel. So edges lie anywhere between
voxels, without stairs, at the price of one field at 1 mm.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course.scans.phantom import fields, template, warp
from medsr_course.types import Array, Rng

LABELS = {  # number → name, as in dseg.tsv
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

NUMBER = {name: number for number, name in LABELS.items()}

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

_EYES = ((-33.0, 62.0, -38.0), (33.0, 62.0, -38.0))  # centres, MNI mm


@dataclass
class Anatomy:
    """One subject's head before it meets a scanner.

    Attributes
    ----------
    layers : list of (tissue, box, fraction)
        Painted in order, each over the ones before. ``box`` is a tuple of slices of the volume and
        ``fraction`` the share of each of its voxels that the tissue covers, 0–1, float32.
    box : tuple of slices
        Where the brain is; the maps below cover it.
    brain, white : array
        Fractions of parenchyma and of white matter.
    inner : array
        Signed distance, mm, from the brain's smoothed surface, negative inside.
    jacobian_range : (float, float)
        Extremes of the deformation's Jacobian determinant.
    """

    layers: list[tuple[str, Any, Array]] = field(default_factory=list)
    box: Any = None
    brain: Any = None
    white: Any = None
    inner: Any = None
    jacobian_range: Any = None

    def add(self, tissue: str, fraction: Array) -> None:
        """Paint over the brain's box."""
        self.layers.append((tissue, self.box, fraction))


def build(rng: Rng) -> Anatomy:
    """Make one subject's anatomy on the template's grid.

    Smooth surfaces (skull, scalp) are worked out on every second voxel and interpolated; the brain is
    worked out at full size inside its bounding box.
    """
    source = template.load()
    at, jacobian = _deform(rng, template.SHAPE)
    inner = ndimage.map_coordinates(source.depth, at / 2, order=1, mode="nearest")
    mni = [a + np.float32(o) for a, o in zip(at, template.ORIGIN, strict=True)]
    box, half = _bounding_box(inner)

    vault = ndimage.map_coordinates(source.vault, at / 2, order=1, mode="nearest")
    vault += (inner - vault) * fields.ramp(mni[2], 5, -20)

    head = Anatomy(box=box, jacobian_range=jacobian)
    _outside_brain(rng, head, vault, mni)
    del vault

    at = [double(a[half]) for a in at]
    white_p = ndimage.map_coordinates(source.white, at, order=1, mode="nearest")
    grey_p = ndimage.map_coordinates(source.grey, at, order=1, mode="nearest")
    core = ndimage.map_coordinates(source.core, [a / 2 for a in at], order=1, mode="nearest")
    deep = double(_deep_weight([m[half] for m in mni]))
    head.inner = double(inner[half])
    del at, mni, inner

    phi = _white_surface(rng, white_p, core, head.inner, deep)
    head.white = np.clip(phi / _edge_width(rng, phi.shape) + 0.5, 0, 1)
    head.brain = _brain_fraction(rng, phi, white_p + grey_p, head.inner, deep)
    np.maximum(head.brain, head.white, out=head.brain)

    head.add("cortex", head.brain)
    head.add("white_superficial", head.white)
    head.add("white_deep", head.white * fields.ramp(core, 0.55, 0.95))
    # Deep nuclei are mixtures in the template (pallidum, thalamus): keep their mixture, sharpened.
    share = grey_p / np.maximum(grey_p + white_p, 0.05)
    head.add("deep_grey", head.brain * deep * fields.ramp(share, 0.15, 0.85))
    _vessels(rng, head)
    return head


def double(array: Array) -> Array:
    """Linear interpolation to twice the size along each axis; the last voxel is repeated."""
    for axis in range(array.ndim):
        a = np.moveaxis(array, axis, 0)
        out = np.empty((2 * len(a), *a.shape[1:]), np.float32)
        out[::2] = a
        out[1:-1:2] = 0.5 * (a[:-1] + a[1:])
        out[-1] = a[-1]
        array = np.moveaxis(out, 0, axis)
    return np.ascontiguousarray(array)


def _deform(rng, shape):
    """Template coordinates (in 1 mm voxels) of every second voxel, and the extremes of the Jacobian."""
    v = warp.velocity(rng, shape, smoothness=float(rng.uniform(12, 16)), size=float(rng.uniform(2.0, 3.2)))
    u = warp.exponential(v)
    matrix = warp.linear(rng, scaling=0.03, degrees=2.5)
    jacobian = warp.jacobian(u) * np.linalg.det(matrix)
    centre = -np.array(template.ORIGIN) + (0, -18, 8)  # middle of the brain
    at = warp.coordinates(u, matrix, shape, centre, step=2)
    return at, (float(jacobian.min()), float(jacobian.max()))


def _bounding_box(inner, margin=4):
    """Slices of the full grid, and of the half grid, that hold the brain and ``margin`` mm round it."""
    full, half = [], []
    for axis, n in enumerate(inner.shape):
        other = tuple(i for i in range(3) if i != axis)
        (where,) = np.nonzero((inner < margin).any(axis=other))
        low, high = where[0], where[-1] + 1
        high = min(n, low + -(-(high - low) // 4) * 4)  # sizes in steps of 8 keep the FFT fast
        low = max(0, high - -(-(high - low) // 4) * 4)
        half.append(slice(int(low), int(high)))
        full.append(slice(2 * int(low), 2 * int(high)))
    return tuple(full), tuple(half)


def _deep_weight(mni):
    """1 in the basal ganglia, thalamus and brain stem, 0 in the cortex: there the folding stays away."""

    def ellipsoid(centre, radii):
        r = sum(((a - c) / r) ** 2 for a, c, r in zip(mni, centre, radii, strict=True))
        return fields.ramp(np.sqrt(r), 1.08, 0.92)

    return np.maximum(ellipsoid((0, -8, 4), (36, 42, 24)), ellipsoid((0, -28, -35), (20, 20, 40)))


def _white_surface(rng, white_p, core, inner, deep):
    """Signed field (about mm, positive inside) of white matter: template certainty plus folding noise."""
    folds = _folds(rng, inner)
    free = (1 - deep) * fields.ramp(core, 0.97, 0.7)
    p = np.clip(white_p, 0.01, 0.99)
    level = np.log(p / (1 - p))
    level += free * (np.float32(rng.uniform(1.8, 2.4)) * folds + np.float32(rng.uniform(0.0, 0.4)))
    level -= 4 * fields.ramp(inner, -4.5, -2.0)  # a crown of cortex always covers the white matter
    phi = level / np.maximum(fields.slope(level), 0.4)
    phi = np.minimum(_drop_islands(phi), -2 - inner)  # none outside, however noisy the folds are there
    return np.clip(phi, -8, 8)


def _edge_width(rng, shape):
    """Over how many mm a border fades, place by place: 1 is a sharp border in a voxel's partial volume.

    Myelin thins out gradually in some cortex and stops abruptly in other; were every border equally
    sharp, fine detail could be predicted from coarse edges, which in real scans it hardly can.
    """
    varied = np.float32(rng.uniform(0.8, 1.1)) * fields.band(rng, shape, 5, 20)
    return np.clip(np.exp(varied) * np.float32(rng.uniform(1.2, 1.8)), 0.8, 5)


def _folds(rng, inner):
    """Folding noise: constant, by and large, along the way from the surface inwards, as sulci are.

    A field of one wavelength is read off at the nearest point of the brain's surface, so that its
    ridges become sheets that stand on the surface; a second field makes them irregular.
    """
    shape = inner.shape
    wavelength = rng.uniform(10.0, 13.0)
    surface = fields.band(rng, shape, wavelength * 0.8, wavelength * 1.3)
    step = np.stack(np.gradient(inner))
    square = np.maximum((step**2).sum(0), 0.3)
    step *= np.clip(inner, -22, 0) * np.float32(0.85) / square
    at = np.indices(shape, dtype=np.float32)
    at -= step
    sheets = ndimage.map_coordinates(surface, at, order=1, mode="nearest")
    return np.float32(0.9) * sheets + np.float32(0.45) * fields.band(rng, shape, 7, 12)


def _drop_islands(phi, smallest=250):
    """Remove islands of white matter and holes in it that are too small to be anatomy."""
    for sign in (1, -1):
        parts, _ = ndimage.label(sign * phi > 0)
        small = np.bincount(parts.ravel()) < smallest
        small[0] = False
        phi[small[parts]] = np.float32(-0.6 * sign)
    return phi


def _brain_fraction(rng, phi, parenchyma_p, inner, deep):
    """Fraction of parenchyma: a ribbon 2–4 mm thick round the white matter; sulci where it ends.

    The distance to white matter is exact to a fraction of a voxel: the distance transform finds the
    nearest white voxel, whose own φ says how far inside the surface its centre lies.
    """
    shape = phi.shape
    outside = phi <= 0
    distance, nearest = ndimage.distance_transform_edt(outside, return_indices=True)
    distance = np.where(outside, distance.astype(np.float32) - np.minimum(phi[tuple(nearest)], 0.5), -phi)
    del nearest
    distance = ndimage.gaussian_filter(distance, 0.6)

    certain = fields.ramp(parenchyma_p, 0.45, 1.0)
    thickness = np.float32(rng.uniform(2.3, 2.8)) + np.float32(rng.uniform(1.0, 1.6)) * certain
    thickness += np.float32(0.25) * fields.band(rng, shape, 15, 40)
    ribbon = np.clip((thickness - distance) / _edge_width(rng, shape) + 0.5, 0, 1)
    # Where two banks meet, the distance has a ridge: a thin sulcus, one of many widths.
    opening = np.float32(rng.uniform(0.55, 0.85)) + np.float32(0.15) * fields.band(rng, shape, 10, 30)
    ridge = np.clip((opening - fields.slope(distance)) / 0.35, 0, 1) * fields.ramp(distance, 1.6, 2.4)
    ribbon *= 1 - np.float32(0.85) * ridge

    # CSF that the template is sure of: ventricles, cisterns.
    edge = (parenchyma_p - 0.5) / np.maximum(fields.slope(parenchyma_p), 0.08)
    sure = np.clip(edge + 0.5, 0, 1)
    brain = deep * sure + (1 - deep) * ribbon * np.clip(edge + 2.0, 0, 1)
    brain *= np.clip(0.5 - inner, 0, 1)
    return brain


def _outside_brain(rng, head, vault, mni):
    """Skull, scalp, face, eyes and the fluid round the brain, from the outside in.

    ``vault`` (signed distance from the brain's hull, mm) and ``mni`` are on every second voxel.
    """
    x, y, z = mni
    shape, whole = vault.shape, (slice(None),) * 3

    def noise(shortest, longest):
        return fields.band(rng, shape, shortest / 2, longest / 2)

    def add(tissue, depth, weight=None):
        """Tissue where ``depth`` (mm) is negative, times a weight."""
        fraction = np.clip(0.5 - double(depth / width), 0, 1)
        head.layers.append((tissue, whole, fraction if weight is None else fraction * double(weight)))

    vary, jitter = noise(50, 140), noise(8, 20)
    width = np.clip(np.exp(np.float32(0.5) * noise(8, 40)) * np.float32(rng.uniform(1.0, 1.8)), 1, 3)
    fluid = np.float32(rng.uniform(0.5, 1.8)) + np.float32(0.5) * vary
    skull = np.maximum(np.float32(rng.uniform(4.5, 7.0)) + np.float32(0.6) * noise(40, 100), 2.5)
    scalp = np.maximum(np.float32(rng.uniform(4.0, 7.0)) - np.float32(0.8) * vary, 2.5)
    # Face and neck: an ellipsoid below the brow, joined to the shell.
    face = np.sqrt((x / 62) ** 2 + ((y - 18) / 72) ** 2 + ((z + 75) / 75) ** 2)
    outer = np.minimum(vault - fluid - skull - scalp, (face - 1) * np.float32(66))
    bone = vault - fluid - skull
    table = np.float32(1.3) + np.float32(0.25) * jitter

    add("skin", outer)
    add("fat", outer + 1.6)
    add("muscle", np.maximum(outer + 3.5, -4 * (noise(16, 40) + 0.7)), fields.ramp(z, 25, 0))  # below the temples
    for centre in _EYES:
        add("vitreous", np.sqrt(sum((a - c) ** 2 for a, c in zip(mni, centre, strict=True))) - np.float32(12))
    add("bone", bone)
    add("marrow", np.maximum(bone + table, fluid + table - vault), fields.ramp(skull, 3.5, 5.5))
    add("csf", vault - fluid)
    # Superior sagittal sinus, under the vault in the midline.
    add("vein", np.hypot(x / 1.3, vault - fluid + 1.0) - np.float32(3.2), fields.ramp(z, 0, 15))


def _vessels(rng, head):
    """Thin tubes: random curves are where two random fields vanish together.

    In the sulci and the subarachnoid space arteries and veins; in white matter fluid-filled
    perivascular spaces, thinner than a voxel.
    """
    shape = head.inner.shape
    a, b = fields.band(rng, shape, 12, 26), fields.band(rng, shape, 12, 26)
    where = fields.ramp(np.roll(a, 40, 0), 0.3, 1.0)  # perivascular spaces come in clusters
    a /= np.maximum(fields.slope(a), 0.02)
    b /= np.maximum(fields.slope(b), 0.02)
    far = np.hypot(a, b)
    fluid = np.clip(1.5 - head.inner, 0, 1) * (1 - head.brain)
    radius = np.float32(rng.uniform(0.6, 1.0)) + np.float32(0.3) * np.tanh(np.roll(b, 30, 1))
    head.add("vein", np.clip(radius - far + 0.5, 0, 1) * fluid)
    # Arteries: few, near the midline and the insula; bright where blood flows in fresh.
    bore = np.float32(rng.uniform(0.8, 1.3))
    sparse = fields.ramp(fields.band(rng, shape, 25, 60), 0.7, 1.1) * fields.ramp(head.inner, -32, -22)
    sparse *= np.clip(-0.5 - head.inner, 0, 1) * fluid
    head.add("artery", np.clip(bore - np.roll(far, 50, 2) + 0.5, 0, 1) * sparse)
    thin = np.float32(rng.uniform(0.1, 0.4))
    head.add("csf", np.clip(thin - far + 0.5, 0, 0.5) * head.white * where * fields.ramp(head.inner, -6, -12))
