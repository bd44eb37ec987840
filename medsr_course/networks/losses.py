"""Losses beyond the squared error: distance of feature maps, and the two players of an adversarial training.

Written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch, inside a model and outside.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from medsr_course.networks.framework import ops
from medsr_course.networks.pretrained.common import checked_stack
from medsr_course.tasks.segmentation import IGNORED
from medsr_course.types import ArrayLike

Tensor = Any  # of Keras or of NumPy


def feature_distance(target: Sequence[Tensor], output: Sequence[Tensor], *, least: float = 1e-2) -> Tensor:
    r"""Returns the relative squared distance of two lists of feature maps, mean over the maps, ``(n,)``.

    :math:`\frac1L \sum_l \|\phi_l(x) - \phi_l(y)\|^2 / \|\phi_l(y)\|^2`, y the target: a perceptual loss (Johnson et
    al. 2016, eq. 2), each map divided by its own energy so that none outvotes the others.

    The maps ``(n, h, w, c)`` are those of two images by one encoder, e.g. :func:`models.tissue_features`. ``least`` is
    added to the mean energy below the line: empty patches have none.
    """
    total = 0.0
    for wanted, found in zip(target, output, strict=True):
        wanted, found = ops.cast(wanted, "float32"), ops.cast(found, "float32")
        gap = ops.mean(ops.square(found - wanted), axis=(1, 2, 3))
        total = total + gap / (ops.mean(ops.square(wanted), axis=(1, 2, 3)) + least)
    return total / len(target)


def perceptual_distance(
    features: Callable[[Any], Any], target: ArrayLike, image: ArrayLike, *, unit: float | None = None
) -> float:
    """Returns how far two stacks are apart for a feature network: :func:`feature_distance`, mean over slices.

    Parameters
    ----------
    features : keras.Model or callable
        ``(n, h, w, 1)`` to a list of maps, e.g. ``pretrained.load("features-judge")``.
    target, image : arrays (n, h, w)
    unit : float, optional
        Intensity scale; by default the 99.5th percentile of the target's positive voxels.
    """
    target, image = checked_stack(target), checked_stack(image)
    if target.shape != image.shape:
        raise ValueError(f"expected two stacks (n, h, w) of one shape, got {target.shape} and {image.shape}")
    if unit is None:
        positive = target[target > 0]
        if not positive.size:
            raise ValueError("the target holds no positive value, so it has no intensity scale: give unit")
        unit = float(np.percentile(positive, 99.5))
    values = []
    for wanted, found in zip(target / unit, image / unit, strict=True):  # one slice at a time: the maps are large
        maps = features(np.stack([wanted, found])[..., None])
        values += list(ops.convert_to_numpy(feature_distance([m[:1] for m in maps], [m[1:] for m in maps])))
    return float(np.mean(values))


def adversarial_loss(logit: Tensor, label: float) -> Tensor:
    r"""Returns the cross-entropy of a logit z with a label t, 1 "measured" or 0 "made up": ``(n, 1)`` to ``(n,)``.

    .. math:: \log(1 + e^z) - t z

    The discriminator minimises it with the true labels; the generator with the label 1 for what it made (Goodfellow et
    al. 2014: the form whose gradient does not vanish while the discriminator is winning).
    """
    logit = ops.cast(logit, "float32")[:, 0]
    return ops.softplus(logit) - label * logit


# -- Segmentation: logits (n, h, w, classes) against labels (n, h, w) -----------------------------


def cross_entropy(target: Tensor, logits: Tensor, *, weights: Sequence[float] | None = None) -> Tensor:
    r"""Returns the mean of :math:`-\log p_y` over the pixels that count, ``(n,)``.

    ``target``, whole numbers ``(n, h, w)``, holds classes, :data:`IGNORED` where a pixel does not count; ``logits`` are
    ``(n, h, w, classes)``. ``weights``, one per class, are large for a rare one.
    """
    hot, counts, log_p = _against(target, logits, weights)
    return _mean(-ops.sum(hot * log_p, axis=-1), counts)


def focal(target: Tensor, logits: Tensor, *, gamma: float = 2.0, weights: Sequence[float] | None = None) -> Tensor:
    r"""Returns the mean of :math:`-(1-p_y)^\gamma\log p_y`: what is already right counts little (Lin et al. 2017).

    Parameters and result as for :func:`cross_entropy`, which it is for ``gamma=0``.
    """
    hot, counts, log_p = _against(target, logits, weights)
    log_right = ops.sum(hot * log_p, axis=-1)
    return _mean(-((1 - ops.exp(log_right)) ** gamma) * log_right, counts)


def soft_dice(target: Tensor, logits: Tensor, *, least: float = 1.0, background: bool = True) -> Tensor:
    r"""Returns one minus the Dice overlap of probabilities with the truth, mean over classes (Milletari et al. 2016).

    :math:`1-\frac{2\sum p\,t+\varepsilon}{\sum p+\sum t+\varepsilon}`, sums over the pixels of the **whole batch**: a
    class need not occur in every patch. How common a class is cancels out. ``least`` is ε, in pixels; ``background``
    tells whether class 0 counts. The result ``(n,)`` has the same value for each.
    """
    hot, counts, log_p = _against(target, logits)
    first = 0 if background else 1
    p = (ops.exp(log_p) * counts[..., None])[..., first:]
    hot = (hot * counts[..., None])[..., first:]
    both, either = ops.sum(hot * p, axis=(0, 1, 2)), ops.sum(hot + p, axis=(0, 1, 2))
    value = 1 - ops.mean((2 * both + least) / (either + least))
    return value + 0 * counts[:, 0, 0]


def _against(target: Tensor, logits: Tensor, weights: Sequence[float] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Returns targets one-hot, how much each pixel counts (1 or 0, times its class's weight), and log-probabilities."""
    target = ops.cast(target, "int32")
    counts = ops.not_equal(target, IGNORED)
    hot = ops.one_hot(ops.where(counts, target, ops.zeros_like(target)), logits.shape[-1], dtype="float32")
    counts = ops.cast(counts, "float32")
    if weights is not None:
        counts = counts * ops.sum(hot * ops.convert_to_tensor(np.asarray(weights, np.float32)), axis=-1)
    return hot, counts, ops.log_softmax(ops.cast(logits, "float32"), axis=-1)


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    return ops.sum(values * counts, axis=(1, 2)) / (ops.sum(counts, axis=(1, 2)) + 1e-6)
