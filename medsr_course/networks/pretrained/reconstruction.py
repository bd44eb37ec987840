"""From incomplete k-space to an image with networks that predict the residual over a classical image.

The networks' blocks run in ONNX Runtime, image to correction; Fourier transforms and data consistency in NumPy around
them::

    x ← zero-filled, or least squares;   x ← x + block(x);   repeat: x ← D(x);  x ← x + block(x)

    D: x ← argmin ‖A u − y‖² + λ ‖u − x‖², τ = 1 / (1 + λ); with one coil k ← k + τ · mask · (measured − k)
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from medsr_course.networks.pretrained.cards import Card, WeightError
from medsr_course.networks.pretrained.common import Network, checked_shape, checked_values, to_numpy
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.tasks import parallel, reconstruction
from medsr_course.types import Array, ArrayLike, Mask, Stack

PIXELS = 2**16  # that go through a network at a time: larger batches are slower, their maps leave the cache
LEAST_SQUARES = 6  # its iterations, from whose image networks for several coils begin: more bring noise


def reconstruct(name: str, kspace: ArrayLike, mask: ArrayLike, *, hard: bool = False) -> Stack:
    """Reconstructs complex images from incomplete k-space of one coil with a shipped network.

    Parameters
    ----------
    name : str
        One of ``names("reconstruction")`` for one coil, e.g. ``"cascade-kspace"``.
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
        Unknown name, one for several coils, missing or altered weight file.
    ValueError
        If ``kspace`` is not a finite, complex array (n, h, w), or the mask does not fit it.
    """
    about = _card(name, coils=False)
    return reconstruct_with(network(name, _block), kspace, mask, **usage(about), hard=hard)


def reconstruct_coils(name: str, kspace: Array, maps: Array, mask: Mask) -> Array:
    """Reconstructs a complex image from incomplete k-space of several coils with a shipped network.

    Parameters
    ----------
    name : str
        One of ``names("reconstruction")`` for several coils: ``"cascade-coils"``.
    kspace, maps : complex arrays (coils, h, w)
        As for :func:`parallel.least_squares`, whose image after :data:`LEAST_SQUARES` iterations the network begins
        with; sensitivities with Σ|s|² = 1, or 0 outside the body (:func:`parallel.espirit`).
    mask : bool array (w,) or (h, w)
        Which samples were measured. Networks were trained for whole lines, the columns.

    Returns
    -------
    complex64 array (h, w)
        In the unit of ``kspace``; 0 where no coil hears anything.

    Raises
    ------
    WeightError
        Unknown name, one for a single coil, missing or altered weight file.
    ValueError
        If k-space and maps are not finite arrays of one shape (coils, h, w), or the mask does not fit them.
    """
    about = _card(name, coils=True)
    return reconstruct_coils_with(network(name, _block), kspace, maps, mask, **usage(about))


def _card(name: str, *, coils: bool) -> Card:
    about = card(name, "reconstruction")
    if coils != bool(about.settings.get("coils")):
        raise WeightError(
            f"{name} is for one coil: use reconstruct" if coils else f"{name} is for several: use reconstruct_coils"
        )
    return about


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
    """Reconstructs complex images with the block of any network of :mod:`models.reconstruction` for one coil.

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
        τ of the data consistency between iterations; None: there is none.
    hard : bool
        Data consistency at the end, too, with τ = 1.
    watch : callable, optional
        ``watch(image)`` after each iteration, with what goes through the network at a time.

    Returns
    -------
    complex64 array (n, h, w)
    """
    kspace, mask = checked(kspace, mask)
    start = reconstruction.zero_filled(kspace)
    unit = _unit(start)
    result = np.empty(start.shape, np.complex64)
    some = max(1, PIXELS // (start.shape[1] * start.shape[2]))
    for first in range(0, len(start), some):
        part = slice(first, first + some)
        measured = kspace[part] / unit

        def consistent(x: Array, trust: float | None = trust, measured: Array = measured) -> Array:
            return x if trust is None else reconstruction.keep_measured(x, measured, mask, trust)

        steps = _unrolled(block, start[part] / unit, consistent, iterations, hidden)
        for x in steps:
            if watch is not None:
                watch(unit * x)
        result[part] = unit * (consistent(x, 1.0) if hard else x)
    return result


def reconstruct_coils_with(
    block: Network, kspace: Array, maps: Array, mask: Mask, *, iterations: int, hidden: int, trust: float
) -> Array:
    """Reconstructs a complex image ``(h, w)`` with the block of a network for several coils; see its use above."""
    start = parallel.least_squares(kspace, maps, mask, LEAST_SQUARES)
    unit = _unit(start)
    seen, again = parallel.combined(mask * kspace, maps) / unit, parallel.heard_again(maps, mask)

    def consistent(x: Array) -> Array:
        return parallel.consistent(x[0], seen, again, trust)[None]

    *_, x = _unrolled(block, start[None] / unit, consistent, iterations, hidden)
    return (unit * x[0] * (np.abs(maps).max(axis=0) > 0)).astype(np.complex64)


def _unit(image: Array) -> float:
    return float(np.percentile(np.abs(image), 99.5)) or 1.0


def _unrolled(
    block: Network, start: Array, consistent: Callable[[Array], Array], iterations: int, hidden: int
) -> Iterator[Array]:
    """Yields the images ``(n, h, w)`` of a network's iterations; the block has the last word."""
    x = start.astype(np.complex64)
    state = np.zeros((*x.shape, hidden), np.float32)
    for iteration in range(iterations):
        if iteration:
            x = consistent(x)
        channels = np.concatenate([np.stack([x.real, x.imag], axis=-1), state], axis=-1)
        out = to_numpy(block(channels.astype(np.float32)))
        x, state = (x + out[..., 0] + 1j * out[..., 1]).astype(np.complex64), out[..., 2:]
        yield x


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
