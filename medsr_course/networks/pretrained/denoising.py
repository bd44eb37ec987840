"""Denoising with a shipped network: from stack to stack, magnitudes or complex images."""

from typing import Any

import numpy as np

from medsr_course.networks.pretrained import told, turns
from medsr_course.networks.pretrained.cards import Card
from medsr_course.networks.pretrained.common import (
    Network,
    batch_size,
    beyond_edges,
    check_quality,
    checked_shape,
    checked_stack,
)
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.physics import grid
from medsr_course.types import Array, ArrayLike, Stack

# Of a network that is not told the noise, in parts of the intensity scale. On development scans it takes away the harm
# at 1 % to scans that are as noisy themselves, and costs nothing at 3 %; σ² in place of σ⁴ does one of the two at best.
OWN_ERROR = 0.0125
EDGE = 16  # pixels wrapped round beyond each side: these networks see farther than those that make an image finer


def denoise(name: str, stack: ArrayLike, quality: str = "standard") -> Stack:
    """Takes the noise out of a stack of slices with a shipped network; errors are those of :func:`super_resolve`.

    Parameters
    ----------
    name : str
        One of ``names("denoising")``: those for magnitudes also take off what noise adds to a magnitude on average;
        those for channels want real images of both signs, or complex ones, whose two channels they treat alike.
    stack : array (n, h, w)
        Noisy slices of one scan, in any unit, any h and w. The intensity scale and the noise are taken from the whole
        stack, so give a scan's slices together. ``ValueError`` if it is not of the kind the network is for.
    quality : {"standard", "best"}
        "best": the average over the eight flips and transposes of the image, for eight times the time.

    Returns
    -------
    float32 array (n, h, w)
        In the unit of ``stack``; complex64 where that is complex.

    >>> clean = np.zeros((1, 5, 7)); bool((denoise("dncnn-magnitude", clean) == clean).all())
    True
    """
    about = card(name, "denoising")
    stack, run, options = np.asarray(stack), network(name), {**usage(about), "quality": quality}
    if not np.iscomplexobj(stack):
        return denoise_with(run, stack, **options)
    if options["kind"] == "rician":
        raise ValueError(f"{name} is for magnitudes: give it np.abs(stack), or take a network for complex channels")
    stack = checked_shape(stack, "a stack")
    both = denoise_with(run, np.concatenate([stack.real, stack.imag]), **options)  # together: one intensity scale
    return (both[: len(stack)] + 1j * both[len(stack) :]).astype(np.complex64)


def usage(about: Card) -> dict[str, Any]:
    """Returns the part of a card that says how :func:`denoise_with` uses the network, as keyword arguments."""
    told_so = about.settings.get("noise_map", False)
    return {**about.usage, "noise_map": told_so, "measured": True, "own_error": 0.0 if told_so else OWN_ERROR}


def denoise_with(
    network: Network,
    stack: ArrayLike,
    *,
    kind: str = "rician",
    residual: bool = True,
    unit: float | None = None,
    noise_map: bool = False,
    measured: bool = False,
    own_error: float = 0.0,
    quality: str = "standard",
    use: told.Use = told.USE,
    like: told.Told | None = None,
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
    noise_map : bool
        The network reads a second channel, σ of the noise in each channel.
    measured : bool
        Of magnitudes: measure the noise, and give the network an image whose noise is white and of one coil, see
        :func:`told.look`. Otherwise a network without a noise map sees the image as it is, as in training.
    own_error : float
        Noise e with which the network's own error is as large as what it gains, in parts of the intensity scale. Where
        the noise was measured, σ⁴/(σ⁴ + e⁴) of the residual counts: with little noise there is more to lose than to
        gain.
    quality : {"standard", "best"}
        See :func:`denoise`.
    use : told.Use
        How the measured noise is used.
    like : told.Told, optional
        What :func:`told.look` found in more slices of the same scan, of which ``stack`` is a part.

    Returns
    -------
    float32 array (n, h, w)
    """
    check_quality(quality)
    stack = checked_stack(stack)
    magnitudes = unit is None and kind == "rician"
    if magnitudes and (like.unit if like else grid.intensity(stack))[0]:
        raise ValueError(f"expected magnitudes, got values down to {stack.min():.4g}: take a network for real channels")
    seen = told.look(stack, use, like) if magnitudes and (measured or noise_map) else None
    image, sigma = (seen.stack, seen.sigma) if seen else (stack, 0.0)
    if seen:
        unit = seen.unit[1]
    elif unit is None:
        unit = grid.intensity(image if kind == "rician" else np.abs(image))[1]
    if unit == 0:  # nothing there: no noise
        return stack.copy()

    counts = 1.0  # of the residual
    if seen and seen.found.between and own_error:  # of an image too small to tell anything, all of it counts
        counts = sigma**4 / (sigma**4 + (own_error * unit) ** 4)

    def cleaned(batch: Array) -> Array:
        return beyond_edges(network, batch, 1, 1, EDGE)

    result = image.copy()
    step = batch_size(image.shape[1], image.shape[2], edge=EDGE)
    for part in (slice(start, start + step) for start in range(0, len(image), step)):
        batch = image[part][..., None] / unit
        if noise_map:
            batch = np.concatenate([batch, np.full_like(batch, sigma / unit)], axis=-1)
        made = (turns.averaged(cleaned, batch) if quality == "best" else cleaned(batch)) * unit
        result[part] = image[part] + counts * (made if residual else made - image[part])
    for axis in (1, 2):  # from the native grid, where the network worked on that
        if result.shape[axis] != stack.shape[axis]:
            result = grid.pad_axis(result, stack.shape[axis], axis)
    return result.astype(np.float32, copy=False)
