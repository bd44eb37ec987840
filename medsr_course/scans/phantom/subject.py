"""One subject: from two numbers to four registered contrasts, labels and a lesion mask."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsr_course.scans.phantom import anatomy, fields, lesions, scanner, signal, template
from medsr_course.scans.phantom.version import VERSION

CONTRASTS = ("T1w", "T2w", "PDw", "FLAIR")
# Standard deviation per channel, share of the brightest tissue; drawn log-uniformly.
NOISE = {"T1w": (0.01, 0.026), "T2w": (0.015, 0.04), "PDw": (0.015, 0.04), "FLAIR": (0.02, 0.045)}
STRIPPED = 0.6  # share of subjects of which only the brain is left, as in many shared files


@dataclass
class Subject:
    """One head: ``images`` (contrast → int16), ``labels`` (uint8), ``lesion`` (uint8 mask), ``about``."""

    images: dict
    labels: np.ndarray
    lesion: np.ndarray
    affine: np.ndarray
    about: dict


def make_subject(seed: int, index: int) -> Subject:
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
    objects, keep, labels, mask, about = _make_object(*streams[:3])
    images, about["chains"] = _scan(streams[3], objects, keep)
    about |= {"generator": f"medsr_course.phantom {VERSION}", "seed": seed, "index": index}
    return Subject(images, labels, mask, template.affine(), about)


def _make_object(shape_rng, tissue_rng, file_rng):
    """What lies in the scanner: signed signal per contrast; the brain's mask or None; the truth."""
    shape = template.SHAPE
    head = anatomy.build(shape_rng)
    kind, lesion = lesions.add(shape_rng, head)
    labels = _label(head)
    mask = np.zeros(shape, np.uint8)
    mask[head.box] = lesion >= 0.5
    keep = _brain_mask(file_rng, head)
    if file_rng.random() < STRIPPED:
        labels[keep["T1w"] < 0.5] = 0
    else:
        keep = None
    jacobian, layers = head.jacobian_range, head.layers
    del head, lesion

    texture = _textures(tissue_rng, shape)
    tissue = signal.draw_tissues(tissue_rng)
    sequences = {c: signal.draw_sequence(tissue_rng, c) for c in CONTRASTS}
    objects = _paint(tissue_rng, layers, tissue, sequences, texture, shape)
    about = {
        "lesion": kind,
        "skull_stripped": keep is not None,
        "jacobian": jacobian,
        "sequences_ms": {c: vars(s) for c, s in sequences.items()},
    }
    return objects, keep, labels, mask, about


def _scan(rng, objects, keep):
    """Whole-number images of all contrasts, and the chains that made them; empties ``objects``."""
    shape = template.SHAPE
    phase = scanner.receiver_phase(rng, shape)
    bias = scanner.bias_field(rng, shape)
    images, chains = {}, {}
    for contrast in CONTRASTS:
        shift = (0.0, 0.0, 0.0)
        if contrast != "T1w" and rng.random() < 0.25:  # the others are often resliced to T1w
            shift = tuple(float(s) for s in rng.uniform(-0.4, 0.4, 3))
        chain = scanner.draw(rng, noise=NOISE[contrast], reslice=shift)
        volume = objects.pop(contrast)
        volume *= bias
        volume = scanner.acquire(rng, volume, phase, chain)
        if keep is not None:
            volume *= keep["T1w" if contrast == "T1w" else "other"]
        images[contrast] = scanner.quantise(volume, chain)
        chains[contrast] = scanner.describe(chain)
    return images, chains


def _textures(rng, shape):
    """Two 1/f^α textures (relaxation, density), relative, standard deviation a few per cent."""
    out = []
    for low, high in ((0.03, 0.07), (0.015, 0.04)):
        field = fields.power_law(rng, shape, alpha=float(rng.uniform(1.8, 2.8)), longest=25)
        out.append(field * np.float32(rng.uniform(low, high)))
    return out


# Flowing blood, relative to white matter: spin echoes lose it (void); an inversion-prepared gradient echo
# sees spins that were never inverted, brighter than any tissue.
_FLOW = {
    "vein": {"T1w": (0.5, 1.3), "T2w": (0.0, 0.4), "PDw": (0.0, 0.5), "FLAIR": (0.0, 0.4)},
    "artery": {"T1w": (1.4, 3.2), "T2w": (0.0, 0.2), "PDw": (0.0, 0.3), "FLAIR": (0.0, 0.2)},
}
_TEXTURED = ("csf", "cortex", "white_superficial", "white_deep", "deep_grey", "gliosis", "muscle", "fat")


def _paint(rng, layers, tissue, sequences, texture, shape):
    """Signed signal of every contrast: layers painted in order, tissue texture included."""
    objects = {c: np.zeros(shape, np.float32) for c in sequences}
    fat = float(rng.uniform(0.25, 0.6))  # partly suppressed or shifted away, as in most head protocols
    while layers:
        name, box, fraction = layers.pop(0)
        for contrast, sequence in sequences.items():
            if name in _FLOW:
                white = signal.response(sequence, tissue["white_deep"])[0]
                flow = _FLOW[name]["T2w" if sequence.is_spin_echo else contrast]
                level, relax, dens = white * float(rng.uniform(*flow)), 0.0, 0.0
            else:
                level, relax, dens = signal.response(sequence, tissue[name])
                level *= fat if name in ("fat", "marrow") else 1
            below = objects[contrast][box]
            if name in _TEXTURED:
                change = texture[0][box] * np.float32(relax)
                change += texture[1][box] * np.float32(dens)
                change += np.float32(level)
                change -= below
            else:
                change = np.float32(level) - below
            change *= fraction
            below += change
    return objects


def _label(head):
    """The tissue that covers most of each voxel (the last painted with more than half)."""
    labels = np.zeros(template.SHAPE, np.uint8)
    for name, box, fraction in head.layers:
        labels[box][fraction > 0.5] = anatomy.LABEL_OF[name]
    return labels


def _brain_mask(rng, head):
    """What a skull-stripping program leaves, 0–1: parenchyma and some of the fluid in the sulci.

    The T1w scan, on which it is found, has a rim between hard and a little soft; the other contrasts were
    resampled onto it and have softer ones.
    """
    mask = (ndimage.gaussian_filter(head.brain, 2.0) > rng.uniform(0.3, 0.5)) | (head.inner < -6)
    masks = {}
    for name, softness in (("T1w", rng.uniform(0.3, 1.0)), ("other", rng.uniform(0.6, 1.1))):
        soft = ndimage.gaussian_filter(mask.astype(np.float32), softness)
        masks[name] = np.zeros(template.SHAPE, np.float32)
        masks[name][head.box] = np.where(soft < 0.05, 0, soft)
    return masks
