"""From thick slices to thin ones, with networks that predict the residual over back-projection::

    result = C(B y + scale · network(B y / scale))

with B iterative back-projection through the slice profile, and C the smallest change after which the result's thick
slices are the measured ones.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from medsr_course.networks.pretrained.cards import Card
from medsr_course.networks.pretrained.common import Network, check_quality, checked_stack, to_numpy
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.physics.grid import intensity
from medsr_course.tasks import thick_slices
from medsr_course.types import Array, ArrayLike, Stack

EDGE = 8  # pixels repeated beyond each side: a network sees zeros farther out
OVERLAP = 2  # thick slices at a window's end that the next window predicts better


def thin_slices(name: str, stack: ArrayLike, quality: str = "standard") -> Stack:
    """Makes thin slices of thick ones with a shipped network; errors are those of :func:`super_resolve`.

    Parameters
    ----------
    name : str
        One of ``names("slices")``, e.g. ``"convlstm-z4"``. Its card says under ``slab`` what thick slices it is for:
        spacing, FWHM and shape of the slice profile.
    stack : array (n, h, w)
        Thick slices of one scan in their order, magnitudes in any unit, any n, h and w.
    quality : {"standard", "best"}
        "best": the average over the eight flips of the volume, for eight times the time; on development scans with
        ``convlstm-z4`` worth 0.1 dB.

    Returns
    -------
    float32 array (s·n, h, w)
        In the unit of ``stack``; thick slice k is centred on thin slice s·k.
    """
    about = card(name, "slices")
    return thin_slices_with(network(name), stack, quality=quality, **usage(about))


def usage(about: Card) -> dict[str, Any]:
    """Returns the part of a card that says how :func:`thin_slices_with` uses the network, as keyword arguments."""
    return {
        "slab": thick_slices.Slab(**about.usage["slab"]),
        "iterations": about.usage["iterations"],
        "sequence": about.settings["steps"],
    }


def thin_slices_with(
    network: Network,
    stack: ArrayLike,
    slab: thick_slices.Slab = thick_slices.STANDARD,
    *,
    iterations: int = 16,
    sequence: int = 8,
    overlap: int = OVERLAP,
    consistent: bool = True,
    unit: tuple[float, float] | None = None,
    quality: str = "standard",
) -> Stack:
    """Makes thin slices of thick ones with any network of :mod:`models.thick_slices`.

    Parameters
    ----------
    network : callable
        float32 ``(1, sequence, h, w, s)`` to the residual of the same shape.
    stack : array (n, h, w)
    slab : slices.Slab
        What the thick slices are.
    iterations : int
        Of back-projection.
    sequence : int
        Thick slices that go through the network at a time. Longer stacks go through in windows that overlap.
    overlap : int
        Thick slices at a window's end that are taken from its neighbour; less than half of ``sequence``.
    consistent : bool
        End with the nearest stack whose thick slices are the measured ones.
    unit : (float, float), optional
        Offset and intensity scale, where they are known from more of the scan; by default :func:`grid.intensity`.
    quality : {"standard", "best"}
        See :func:`thin_slices`.

    Returns
    -------
    float32 array (s·n, h, w)
    """
    if not 0 <= 2 * overlap < sequence:
        raise ValueError(f"overlap must be less than half of {sequence}, not {overlap}")
    check_quality(quality)
    stack = checked_stack(stack)
    offset, span = unit or intensity(stack)
    result = thick_slices.back_project(stack, slab, iterations)
    if span == 0:  # nothing but one value: no detail to add
        return result

    def residual(thin: Stack) -> Stack:
        steps = thick_slices.to_steps((thin - offset) / span, slab.spacing)
        return thick_slices.from_steps(in_windows(network, steps, sequence, overlap))

    result += span * (_averaged(residual, result, slab.spacing) if quality == "best" else residual(result))
    return thick_slices.consistent(result, stack, slab) if consistent else result


def _averaged(residual: Callable[[Stack], Stack], thin: Stack, spacing: int) -> Stack:
    """Mean of a residual over the eight flips of thin slices ``(s·n, h, w)``.

    Upside down, thick slices must stay at every s-th thin one, so that the flip is about the middle between the first
    and the last of them. The s − 1 thin slices behind the last have no counterpart.
    """
    last = len(thin) - spacing
    upside_down = np.concatenate([thin[last::-1], np.repeat(thin[:1], spacing - 1, axis=0)])
    axes: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))
    same, turned = (
        np.mean([np.flip(residual(np.flip(stack, axis)), axis) for axis in axes], axis=0)
        for stack in (thin, upside_down)
    )
    same[: last + 1] = (same[: last + 1] + turned[last::-1]) / 2
    return same


def in_windows(network: Network, steps: Array, sequence: int, overlap: int = OVERLAP) -> Array:
    """Returns a network's output for ``(n, h, w, c)``, for any n, from windows of ``sequence`` steps that overlap."""
    n, h, w, _ = steps.shape
    padded = np.pad(steps, ((0, max(0, sequence - n)), (EDGE, EDGE), (EDGE, EDGE), (0, 0)), mode="edge")
    total, stride = len(padded), sequence - 2 * overlap
    out = np.empty_like(steps)
    for first in range(0, max(total - sequence, 0) + stride, stride):
        first = min(first, total - sequence)
        made = to_numpy(network(padded[None, first : first + sequence]))[0]
        start = 0 if first == 0 else overlap
        stop = min(first + sequence, n)
        out[first + start : stop] = made[start : stop - first, EDGE : EDGE + h, EDGE : EDGE + w]
        if first == total - sequence:
            break
    return out
