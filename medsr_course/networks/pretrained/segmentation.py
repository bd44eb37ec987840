"""From a stack of slices to labels, with networks that give one logit per class and pixel."""

from typing import Any

import numpy as np

from medsr_course.networks.pretrained.cards import Card
from medsr_course.networks.pretrained.common import Network, batch_size, checked_stack, to_numpy
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.physics.grid import intensity
from medsr_course.types import Array, ArrayLike


def segment(name: str, stack: ArrayLike, *, probabilities: bool = False) -> Array:
    """Segments a stack of slices with a shipped network; errors are those of :func:`super_resolve`.

    Parameters
    ----------
    name : str
        One of ``names("segmentation")``, e.g. ``"unet-tissue"``; its card says which contrast it reads.
    stack : array (n, h, w)
        Axial slices of one scan, pixels of about 1 mm, in any unit. The intensity scale is taken from the whole stack,
        so give a scan's slices together.
    probabilities : bool
        Give each class's probability instead of the likeliest class.

    Returns
    -------
    uint8 array (n, h, w), or float32 array (n, h, w, classes)
        Classes as in the card's ``classes``.
    """
    about = card(name, "segmentation")
    return segment_with(network(name), stack, probabilities=probabilities, **usage(about))


def usage(about: Card) -> dict[str, Any]:
    """Returns what :func:`segment_with` needs of a card, as keyword arguments: nothing."""
    return {}


def segment_with(
    network: Network, stack: ArrayLike, *, probabilities: bool = False, unit: float | None = None
) -> Array:
    r"""Segments a stack with any network: divides by the intensity scale, takes the class of the largest logit.

    The probability of class c is :math:`p_c = e^{z_c} / \sum_k e^{z_k}`, z the logits: ``network`` maps float32
    ``(n, h, w, 1)`` to ``(n, h, w, classes)``. ``unit`` is the intensity scale, where it is known from more slices.
    """
    stack = checked_stack(stack)
    offset, scale = (0.0, unit) if unit else intensity(stack)
    batch = ((stack - offset) / (scale or 1.0))[..., None].astype(np.float32)
    step, parts = batch_size(*stack.shape[1:]), []
    for start in range(0, len(stack), step):
        logits = to_numpy(network(batch[start : start + step]))
        parts.append(_softmax(logits) if probabilities else logits.argmax(axis=-1).astype(np.uint8))
    return np.concatenate(parts)


def _softmax(logits: Array) -> Array:
    grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)
