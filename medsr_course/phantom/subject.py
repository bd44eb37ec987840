"""One subject: from two numbers to four registered contrasts, labels and a lesion mask."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsr_course.phantom import anatomy, fields, lesions, scanner, signal, template
from medsr_course.phantom.version import VERSION

CONTRASTS = ("T1w", "T2w", "PDw", "FLAIR")


@dataclass
class Subject:
    """One head: ``images`` (contrast → int16), ``labels`` (uint8), ``lesion`` (uint8 mask), ``about``."""

    images: dict
    labels: np.ndarray
    lesion: np.ndarray
    affine: np.ndarray
    about: dict


def make_subject(seed, index):
    """Make subject ``index`` of the cohort ``seed``: depends on these two numbers only.

    Parameters
    ----------
    seed, index : int
        Not negative.

    Returns
    -------
    Subject
        Volumes (192, 224, 176) of 1 mm voxels, RAS.
    """
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(4)]
    shape_rng, tissue_rng, scan_rng, file_rng = streams
    shape = template.SHAPE
    head = anatomy.build(shape_rng)
    kind, lesion = lesions.add(shape_rng, shape, head)
    labels = _label(head)
    stripped = bool(file_rng.random() < 0.6)
    keep = _brain_mask(file_rng, head) if stripped else None
    jacobian = head.jacobian_range
    layers = head.layers
    del head

    texture = _textures(tissue_rng, shape)
    tissue = signal.draw_tissues(tissue_rng)
    sequences = {c: signal.draw_sequence(tissue_rng, c) for c in CONTRASTS}
    objects = _paint(tissue_rng, layers, tissue, sequences, texture, shape)
    del layers, texture

    phase = scanner.receiver_phase(scan_rng, shape)
    bias = scanner.bias_field(scan_rng, shape)
    images, chains = {}, {}
    for contrast in CONTRASTS:
        shift = (0.0, 0.0, 0.0)
        if contrast != "T1w" and file_rng.random() < 0.35:  # the others are often resliced to T1w
            shift = tuple(float(s) for s in file_rng.uniform(-0.5, 0.5, 3))
        chain = scanner.draw(scan_rng, reslice=shift)
        volume = objects.pop(contrast)
        volume *= bias
        volume = scanner.acquire(scan_rng, volume, phase, chain)
        if stripped:
            volume *= keep
        images[contrast] = scanner.quantise(volume, chain)
        chains[contrast] = scanner.describe(chain)
    if stripped:
        labels *= keep
    about = {
        "generator": f"medsr_course.phantom {VERSION}",
        "seed": seed,
        "index": index,
        "lesion": kind,
        "skull_stripped": stripped,
        "jacobian": jacobian,
        "sequences_ms": {c: vars(s) for c, s in sequences.items()},
        "chains": chains,
    }
    return Subject(images, labels, (lesion >= 0.5).astype(np.uint8), template.affine(), about)


def _textures(rng, shape):
    """Two 1/f^α textures (relaxation, density), relative, standard deviation a few per cent."""
    out = []
    for low, high in ((0.02, 0.05), (0.01, 0.03)):
        field = fields.power_law(rng, shape, alpha=float(rng.uniform(2.0, 3.0)), longest=25)
        out.append(field * np.float32(rng.uniform(low, high)))
    return out


# Flowing blood: spin echoes lose it (void), an inversion-prepared gradient echo sees fresh spins bright.
_FLOW = {"T1w": (0.5, 1.6), "T2w": (0.0, 0.3), "PDw": (0.0, 0.4), "FLAIR": (0.0, 0.3)}
_TEXTURED = ("cortex", "white_superficial", "white_deep", "deep_grey", "gliosis", "muscle", "fat")


def _paint(rng, layers, tissue, sequences, texture, shape):
    """Signed signal of every contrast: layers painted in order, tissue texture included."""
    objects = {c: np.zeros(shape, np.float32) for c in sequences}
    for name, fraction in layers:
        for contrast, sequence in sequences.items():
            if name in ("vein", "artery"):
                white = signal.response(sequence, tissue["white_deep"])[0]
                level, relax, dens = white * float(rng.uniform(*_FLOW[contrast])), 0.0, 0.0
            else:
                level, relax, dens = signal.response(sequence, tissue[name])
            value = np.float32(level)
            if name in _TEXTURED:
                value = texture[0] * np.float32(relax)
                value += texture[1] * np.float32(dens)
                value += np.float32(level)
            change = value - objects[contrast]
            change *= fraction
            objects[contrast] += change
    return objects


def _label(head):
    """The tissue that covers most of each voxel (the last painted with more than half)."""
    labels = np.zeros(template.SHAPE, np.uint8)
    for name, fraction in head.layers:
        labels[fraction > 0.5] = anatomy.LABEL_OF[name]
    return labels


def _brain_mask(rng, head):
    """What a skull-stripping program leaves: parenchyma and a thin rim of CSF, uint8."""
    near = ndimage.gaussian_filter(head.brain, 2.0)
    mask = near > rng.uniform(0.2, 0.4)
    mask |= ndimage.binary_fill_holes(ndimage.binary_closing(mask[::2, ::2, ::2], iterations=4)).repeat(2, 0).repeat(
        2, 1
    ).repeat(2, 2) & (head.inner < -6)
    return mask.astype(np.uint8)
