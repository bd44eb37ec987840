"""From a coarse image to a fine one, with networks that predict the residual over zero-filling::

    result = ZIP(x) + P(scale · network((x − offset) / scale))

with P, where the card asks for it, data consistency: "hard" removes whatever contradicts the measured k-space,
"soft" as much of it as the measurement is more certain than the network. A magnitude is no complex measurement, and
what contradicts it may be right: cards ask for none, or for "soft". Signed data get "hard".
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from medsr_course.networks.pretrained import told, turns
from medsr_course.networks.pretrained.cards import Card
from medsr_course.networks.pretrained.common import (
    Network,
    batch_size,
    check_quality,
    checked_stack,
    where_there_is_something,
)
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.physics import grid
from medsr_course.types import Array, ArrayLike, Stack

OWN_ERROR = 0.01  # of a network in the measured band, in parts of the intensity scale, as far as no card says better
# A scan has that much noise of its own, and so has its fine version: what is taken for noise there is not made finer.
USE = told.Use(least=0.02)
SAME = "same"  # consistency of signed data: that of magnitudes


def super_resolve(name: str, stack: ArrayLike, quality: str = "standard") -> Stack:
    """Super-resolves a stack of slices with a shipped network.

    Parameters
    ----------
    name : str
        One of :func:`names`, e.g. ``"espcn-x4"``: a network and its scale s.
    stack : array (n, h, w)
        Coarse slices of one scan, in any unit, signed (HU) or not, any h and w. The intensity scale and the noise are
        taken from the whole stack, so give a scan's slices together.
    quality : {"standard", "best"}
        "best": the average over the eight flips and transposes of the image, for eight times the time.

    Returns
    -------
    float32 array (n, s·h, s·w)
        In the unit of ``stack``; sample 0 stays in place.

    Raises
    ------
    WeightError
        Unknown name, missing or altered weight file.
    ValueError
        If ``stack`` is not a finite, real array (n, h, w), or there is no such quality.
    """
    about = card(name, "super-resolution")
    check_quality(quality)
    return super_resolve_with(network(name, quick=True), stack, **usage(about), quality=quality)


def usage(about: Card) -> dict[str, Any]:
    """Returns the part of a card that says how :func:`super_resolve_with` uses the network, as keyword arguments."""
    use = about.usage
    return {
        "scale": use["scale"],
        "data_consistency": use["data_consistency"],
        "of_signed": "hard",
        "own_error": use["own_error"],
        "zero_filled": use["input"] == "zip",
        "noise_map": use["noise_map"],
        "most_noise": math.inf if use["most_noise"] is None else use["most_noise"],
    }


def super_resolve_with(
    network: Network,
    stack: ArrayLike,
    scale: int,
    data_consistency: str | None = "hard",
    *,
    of_signed: str | None = SAME,
    own_error: float = OWN_ERROR,
    zero_filled: bool = False,
    noise_map: bool = False,
    most_noise: float = math.inf,
    quality: str = "standard",
    use: told.Use = USE,
    like: told.Told | None = None,
) -> Stack:
    r"""Super-resolves a stack with any network that predicts the residual over zero-filling.

    Parameters
    ----------
    network : callable
        float32 ``(n, h, w, channels)`` to ``(n, scale·h, scale·w, 1)``: see :func:`network`.
    stack : array (n, h, w)
    scale : int
    data_consistency : {"hard", "soft", None}
        "hard": the result, cropped in k-space, is the input again. Right for complex or signed input without noise;
        with noise it keeps the noise, too. "soft": the cropped result is the mean of the input and of the network's
        prediction, weighted by the inverse of their variances, σ² and ``own_error``² = e² (Schlemper et al. 2018, eq.
        6, with λ = e² / σ²): :math:`\sigma^2 / (\sigma^2 + e^2)` of the residual stays. Where there is less noise than
        ``use.least``, soft is hard.
    of_signed : {"hard", "soft", None, "same"}
        The same for data of both signs.
    own_error : float
        Standard deviation of the network's error in the measured band, in parts of the intensity scale.
    zero_filled : bool
        The network reads the zero-filled image, ``(n, scale·h, scale·w, 1)``.
    noise_map : bool
        The network reads a second channel, σ of the noise in each channel, as :func:`told.look` finds it.
    most_noise : float
        The noise map holds no more than this, in parts of the intensity scale: the most its training held. A network
        that was trained without noise draws patterns where the map holds the true noise of a noisy image.
    quality : {"standard", "best"}
        See :func:`super_resolve`.
    use : told.Use
        How the measured noise is used.
    like : told.Told, optional
        What :func:`told.look` found in more slices of the same scan, of which ``stack`` is a part.

    Returns
    -------
    float32 array (n, scale·h, scale·w)
    """
    for mode in (data_consistency, of_signed):
        if mode not in ("hard", "soft", None, SAME):
            raise ValueError(f"data_consistency must be hard, soft or None, not {mode!r}")
    check_quality(quality)
    stack = checked_stack(stack)
    if of_signed != SAME and (like.signed if like else told.is_signed(stack)):
        data_consistency = of_signed
    fine = scale * stack.shape[1], scale * stack.shape[2]
    noisy = noise_map or data_consistency == "soft"
    seen = told.look(stack, use, like) if noisy else told.plain(stack, like)
    stack, sigma, (offset, unit) = seen.stack, seen.sigma, seen.unit
    n, h, w = stack.shape
    result = np.empty((n, *fine), np.float32)
    sigma = sigma / unit if sigma and unit else 0.0
    kept = 1.0 if data_consistency is None else 0.0  # of the residual, in the measured band
    if data_consistency == "soft" and sigma:
        kept = sigma**2 / (sigma**2 + own_error**2)

    def residual(batch: Array) -> Array:
        return where_there_is_something(network, batch, scale, 1 if zero_filled else scale)

    step = batch_size(h, w, scale**2 if zero_filled else 1)
    for part in (slice(start, start + step) for start in range(0, n, step)):
        zipped = resized(stack[part], scale * h, scale * w)
        if unit:  # of nothing but one value there is no detail to add
            batch = ((zipped if zero_filled else stack[part]) - offset)[..., None] / unit
            if noise_map:
                batch = np.concatenate([batch, np.full_like(batch, min(sigma, most_noise))], axis=-1)
            made = (turns.averaged(residual, batch) if quality == "best" else residual(batch)) * unit
            if kept < 1:
                made -= (1 - kept) * resized(resized(made, h, w), scale * h, scale * w)
            zipped += made
        result[part] = resized(zipped, *fine)  # from the native grid, where the network worked on that
    return result


def resized(stack: Stack, h: int, w: int) -> Stack:
    """Zero-filling, or its reverse, along both axes, by two products of matrices: quicker than Fourier transforms."""
    for size, axis in ((h, 1), (w, 2)):
        if stack.shape[axis] != size:
            matrix = _resizing(stack.shape[axis], size)
            stack = np.matmul(matrix, stack) if axis == 1 else np.matmul(stack, matrix.T)
    return stack


@lru_cache(maxsize=16)
def _resizing(before: int, after: int) -> Array:
    """The matrix (after, before) of :func:`grid.pad_axis`, or :func:`grid.crop_axis`."""
    resize = grid.pad_axis if after > before else grid.crop_axis
    return resize(np.eye(before), after, 0).astype(np.float32)
