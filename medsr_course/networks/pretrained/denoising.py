"""Denoising with a shipped network: from stack to stack, magnitudes or complex images."""

from typing import Any

import numpy as np

from medsr_course.networks.pretrained.cards import Card
from medsr_course.networks.pretrained.common import Network, batch_size, beyond_edges, checked_shape, checked_stack
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.physics.grid import intensity
from medsr_course.types import ArrayLike, Stack


def denoise(name: str, stack: ArrayLike) -> Stack:
    """Takes the noise out of a stack of slices with a shipped network; errors are those of :func:`super_resolve`.

    Parameters
    ----------
    name : str
        One of ``names("denoising")``: those for magnitudes also take off what noise adds to a magnitude on average;
        those for channels want real images of both signs, or complex ones, whose two channels they treat alike.
    stack : array (n, h, w)
        Noisy slices of one scan, in any unit, any h and w. The intensity scale is taken from the whole stack, so give
        a scan's slices together. ``ValueError`` if it is not of the kind the network is for.

    Returns
    -------
    float32 array (n, h, w)
        In the unit of ``stack``; complex64 where that is complex.

    >>> clean = np.zeros((1, 5, 7)); bool((denoise("dncnn-magnitude", clean) == clean).all())
    True
    """
    about = card(name, "denoising")
    stack, run, options = np.asarray(stack), network(name), usage(about)
    if not np.iscomplexobj(stack):
        return denoise_with(run, stack, **options)
    if options["kind"] == "rician":
        raise ValueError(f"{name} is for magnitudes: give it np.abs(stack), or take a network for complex channels")
    stack = checked_shape(stack, "a stack")
    both = denoise_with(run, np.concatenate([stack.real, stack.imag]), **options)  # together: one intensity scale
    return (both[: len(stack)] + 1j * both[len(stack) :]).astype(np.complex64)


def usage(about: Card) -> dict[str, Any]:
    """Returns the part of a card that says how :func:`denoise_with` uses the network, as keyword arguments."""
    return dict(about.usage)


def denoise_with(
    network: Network, stack: ArrayLike, *, kind: str = "rician", residual: bool = True, unit: float | None = None
) -> Stack:
    """Takes the noise out of a stack with any network of :mod:`medsr_course.networks.models.denoising`.

    Parameters
    ----------
    network : callable
        float32 ``(n, h, w, 1)``, in parts of the intensity scale, to the same shape.
    stack : array (n, h, w)
    kind : {"gaussian", "rician"}
        Real channels of both signs, or magnitudes. The scale is the 99.5th percentile of |values|, or of the positive
        ones.
    residual : bool
        The network predicts what to add to the image, not the image.
    unit : float, optional
        Another intensity scale; the kind then does not matter.

    Returns
    -------
    float32 array (n, h, w)
    """
    stack = checked_stack(stack)
    if unit is None and kind == "rician":
        offset, unit = intensity(stack)
        if offset:
            raise ValueError(
                f"expected magnitudes, got values down to {stack.min():.4g}: take a network for real channels"
            )
    elif unit is None:
        unit = intensity(np.abs(stack))[1]
    result = stack.copy()
    if unit == 0:  # nothing there: no noise
        return result
    step = batch_size(*stack.shape[1:])
    for part in (slice(start, start + step) for start in range(0, len(stack), step)):
        made = beyond_edges(network, stack[part][..., None] / unit, 1, 1) * unit
        result[part] = stack[part] + made if residual else made
    return result
