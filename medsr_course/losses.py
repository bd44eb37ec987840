"""Losses beyond the squared error: distance in the eyes of a network, and the two players of an adversarial training.

Written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch, inside a model and outside.
"""

import numpy as np

from medsr_course import runtime

runtime.quiet_frameworks()
with runtime.hushed():
    from keras import ops


def feature_distance(target, output, *, least=1e-2):
    r"""Relative squared distance of two lists of feature maps, mean over the maps.

    :math:`\frac1L \sum_l \|\phi_l(x) - \phi_l(y)\|^2 / \|\phi_l(y)\|^2`, y the target: a perceptual loss (Johnson et
    al. 2016, eq. 2), each map divided by its own energy so that none outvotes the others.

    Parameters
    ----------
    target, output : sequence of arrays (n, h, w, c)
        What one encoder says of two images, e.g. :func:`models.tissue_features`.
    least : float
        Added to the mean energy below the line: empty patches have none.

    Returns
    -------
    array (n,)
    """
    total = 0.0
    for wanted, found in zip(target, output, strict=True):
        wanted, found = ops.cast(wanted, "float32"), ops.cast(found, "float32")
        gap = ops.mean(ops.square(found - wanted), axis=(1, 2, 3))
        total = total + gap / (ops.mean(ops.square(wanted), axis=(1, 2, 3)) + least)
    return total / len(target)


def perceptual_distance(features, target, image, *, unit=None):
    """How far two stacks are apart in the eyes of a feature network: :func:`feature_distance`, mean over slices.

    Parameters
    ----------
    features : keras.Model or callable
        ``(n, h, w, 1)`` to a list of maps, e.g. ``pretrained.load("features-judge")``.
    target, image : arrays (n, h, w)
    unit : float, optional
        Intensity scale; by default the 99.5th percentile of the target's positive voxels.

    Returns
    -------
    float
        0 for equal images; small is good.
    """
    target, image = np.asarray(target, np.float32), np.asarray(image, np.float32)
    if target.shape != image.shape or target.ndim != 3:
        raise ValueError(f"expected two stacks (n, h, w) of one shape, got {target.shape} and {image.shape}")
    unit = unit or float(np.percentile(target[target > 0], 99.5))
    values = []
    for wanted, found in zip(target / unit, image / unit, strict=True):  # one slice at a time: the maps are large
        maps = features(np.stack([wanted, found])[..., None])
        values += list(ops.convert_to_numpy(feature_distance([m[:1] for m in maps], [m[1:] for m in maps])))
    return float(np.mean(values))


def says(logit, label):
    """Cross-entropy of a logit with a label, 1 for "measured", 0 for "made up": ``(n, 1)`` to ``(n,)``.

    The discriminator minimises it with the true labels; the generator with the label 1 for what it made (Goodfellow et
    al. 2014: the form whose gradient does not vanish while the discriminator is winning).
    """
    logit = ops.cast(logit, "float32")[:, 0]
    return ops.softplus(logit) - label * logit
