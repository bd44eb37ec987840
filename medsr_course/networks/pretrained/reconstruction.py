"""From incomplete k-space to an image with networks that predict the residual over zero-filling.

The networks' blocks run in ONNX Runtime, image to correction; Fourier transforms and data consistency in NumPy around
them::

    x ← zero-filled;   repeat: x ← D(x + block(x)),   D: k ← k + τ · mask · (measured − k)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from medsr_course.networks.pretrained.cards import Card
from medsr_course.networks.pretrained.common import Network, checked_shape, checked_values, to_numpy
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.tasks import reconstruction
from medsr_course.types import Array, ArrayLike, Mask, Stack

PIXELS = 2**16  # that go through a network at a time: larger batches are slower, their maps leave the cache


def reconstruct(name: str, kspace: ArrayLike, mask: ArrayLike, *, hard: bool = False) -> Stack:
    """Reconstructs complex images from incomplete k-space with a shipped network.

    Parameters
    ----------
    name : str
        One of ``names("reconstruction")``, e.g. ``"cascade-kspace"``.
    kspace : complex array (n, h, w)
        Centred and unitary (:func:`acquisition.to_kspace`), in any unit; what stands where the mask is False is
        ignored. Rows complete, any h and w.
    mask : bool array (w,)
        Which columns, lines of phase encoding, were measured; the middle one is ``w // 2``.
    hard : bool
        End with hard data consistency: the measured samples come back as they are, noise and all.

    Returns
    -------
    complex64 array (n, h, w)
        In the unit of ``kspace``; show its magnitude.

    Raises
    ------
    WeightError
        Unknown name, missing or altered weight file.
    ValueError
        If ``kspace`` is not a finite, complex array (n, h, w), or the mask does not fit it.
    """
    about = card(name, "reconstruction")
    return reconstruct_with(network(name, _block), kspace, mask, **usage(about), hard=hard)


def _block(model: Any) -> Any:
    from medsr_course.networks.models.reconstruction import block_of  # imports Keras

    return block_of(model)


def usage(about: Card) -> dict[str, Any]:
    """Returns the part of a card that says how :func:`reconstruct_with` uses the block, as keyword arguments."""
    return {
        "iterations": about.settings.get("iterations", 1),
        "hidden": about.settings.get("hidden", 0),
        "trust": about.usage["trust"],
    }


def reconstruct_with(
    block: Network,
    kspace: ArrayLike,
    mask: ArrayLike,
    *,
    iterations: int = 1,
    hidden: int = 0,
    trust: float | None = None,
    hard: bool = False,
    watch: Callable[[Array], Any] | None = None,
) -> Stack:
    """Reconstructs complex images with the block of any network of :mod:`models.reconstruction`.

    Parameters
    ----------
    block : callable
        float32 ``(n, h, w, 2 + hidden)`` to the same shape: correction and state.
    kspace, mask
        As for :func:`reconstruct`.
    iterations : int
    hidden : int
        Channels of the state, which starts at 0.
    trust : float, optional
        τ of the data consistency after each iteration; None: there is none.
    hard : bool
        One more data consistency at the end, with τ = 1.
    watch : callable, optional
        ``watch(image)`` after each iteration, with what goes through the network at a time.

    Returns
    -------
    complex64 array (n, h, w)
    """
    kspace, mask = checked(kspace, mask)
    start = reconstruction.zero_filled(kspace)
    unit = float(np.percentile(np.abs(start), 99.5)) or 1.0
    result = np.empty(start.shape, np.complex64)
    some = max(1, PIXELS // (start.shape[1] * start.shape[2]))
    for first in range(0, len(start), some):
        part = slice(first, first + some)
        measured = kspace[part] / unit
        x: Array = (start[part] / unit).astype(np.complex64)
        state = np.zeros((*x.shape, hidden), np.float32)
        for _ in range(iterations):
            channels = np.concatenate([np.stack([x.real, x.imag], axis=-1), state], axis=-1)
            out = to_numpy(block(channels.astype(np.float32)))
            x, state = x + out[..., 0] + 1j * out[..., 1], out[..., 2:]
            if trust is not None:
                x = reconstruction.keep_measured(x, measured, mask, trust)
            if watch is not None:
                watch(unit * x)
        if hard:
            x = reconstruction.keep_measured(x, measured, mask)
        result[part] = unit * x
    return result


def checked(kspace: ArrayLike, mask: ArrayLike) -> tuple[Array, Mask]:
    """Returns ``kspace`` with 0 where nothing was measured, and the mask, if :func:`reconstruct` can use them."""
    kspace, mask = checked_shape(kspace, "k-space"), np.asarray(mask)
    if not np.iscomplexobj(kspace):
        raise ValueError(f"expected complex numbers, got {kspace.dtype}: k-space of an image is acquisition.to_kspace")
    if mask.shape != kspace.shape[-1:]:
        raise ValueError(f"expected a mask ({kspace.shape[-1]},), one value per column of k-space, got {mask.shape}")
    mask = mask.astype(bool)
    if not mask.any():
        raise ValueError("the mask is False everywhere: nothing was measured")
    kspace = checked_values(np.where(mask, kspace, 0), "measured k-space", "leave those lines out of the mask")
    return kspace, mask
