"""From a coarse image to a fine one, with networks that predict the residual over zero-filling::

    result = ZIP(x) + P(scale · network((x − offset) / scale))

with P, where the card asks for it, data consistency: "hard" removes whatever contradicts the measured k-space,
"soft" as much of it as the measurement is more certain than the network.
"""

import math
from typing import Any

import numpy as np

from medsr_course.networks.pretrained.cards import Card
from medsr_course.networks.pretrained.common import Network, batch_size, beyond_edges, checked_stack
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.physics import noise
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.grid import intensity
from medsr_course.physics.interpolation import zero_fill
from medsr_course.types import ArrayLike, Stack

LEAST_NOISE = 0.005  # in parts of the intensity scale: the ringing beside a head looks like that much noise
OWN_ERROR = 0.01  # of a network in the measured band, in parts of the intensity scale, as far as no card says better


def super_resolve(name: str, stack: ArrayLike) -> Stack:
    """Super-resolves a stack of slices with a shipped network.

    Parameters
    ----------
    name : str
        One of :func:`names`, e.g. ``"espcn-x4"``: a network and its scale s.
    stack : array (n, h, w)
        Coarse slices of one scan, in any unit, signed (HU) or not, any h and w. The intensity scale is
        taken from the whole stack, so give a scan's slices together.

    Returns
    -------
    float32 array (n, s·h, s·w)
        In the unit of ``stack``; sample 0 stays in place.

    Raises
    ------
    WeightError
        Unknown name, missing or altered weight file.
    ValueError
        If ``stack`` is not a finite, real array (n, h, w).
    """
    about = card(name, "super-resolution")
    return super_resolve_with(network(name), stack, **usage(about))


def usage(about: Card) -> dict[str, Any]:
    """Returns the part of a card that says how :func:`super_resolve_with` uses the network, as keyword arguments."""
    use = about.usage
    return {
        "scale": use["scale"],
        "data_consistency": use["data_consistency"],
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
    own_error: float = OWN_ERROR,
    zero_filled: bool = False,
    noise_map: bool = False,
    most_noise: float = math.inf,
    unit: tuple[float, float] | None = None,
    sigma: float | None = None,
) -> Stack:
    r"""Super-resolves a stack with any network that predicts the residual over zero-filling.

    Parameters
    ----------
    network : callable
        float32 ``(n, h, w, channels)`` to ``(n, scale·h, scale·w, 1)``: see :func:`network`.
    stack : array (n, h, w)
    scale : int
    data_consistency : {"hard", "soft", None}
        "hard": the result, cropped in k-space, is the input again. Right for input without noise; with noise it keeps
        the noise, too. "soft": the cropped result is the mean of the input and of the network's prediction, weighted by
        the inverse of their variances, σ² and ``own_error``² = e² (Schlemper et al. 2018, eq. 6, with λ = e² / σ²):
        :math:`\sigma^2 / (\sigma^2 + e^2)` of the residual stays. σ is measured in the background of a magnitude image,
        :func:`noise.background_noise`. Where there is none, or no magnitude, or less noise than :data:`LEAST_NOISE`,
        it is 0, and soft is hard.
    own_error : float
        Standard deviation of the network's error in the measured band, in parts of the intensity scale.
    zero_filled : bool
        The network reads the zero-filled image, ``(n, scale·h, scale·w, 1)``.
    noise_map : bool
        The network reads a second channel, the noise measured as for "soft".
    most_noise : float
        The noise map holds no more than this, in parts of the intensity scale: the most its training held. A network
        that was trained without noise draws patterns where the map holds the true noise of a noisy image.
    unit : (float, float), optional
        Offset and intensity scale, where they are known from more slices; by default :func:`grid.intensity`.
    sigma : float, optional
        Standard deviation of the noise, in the unit of ``stack``, where it is known from more slices.

    Returns
    -------
    float32 array (n, scale·h, scale·w)
    """
    if data_consistency not in ("hard", "soft", None):
        raise ValueError(f"data_consistency must be hard, soft or None, not {data_consistency!r}")
    stack = checked_stack(stack)
    n, h, w = stack.shape
    offset, span = unit or intensity(stack)
    result = np.empty((n, scale * h, scale * w), np.float32)
    level = 0.0
    if (noise_map or data_consistency == "soft") and span and offset == 0:
        level = (noise.background_noise(stack) if sigma is None else sigma) / span
        level = level if level > LEAST_NOISE else 0.0
    kept = 1.0 if data_consistency is None else 0.0  # of the residual, in the measured band
    if data_consistency == "soft" and level:
        kept = level**2 / (level**2 + own_error**2)
    step = batch_size(h, w, scale**2 if zero_filled else 1)
    for part in (slice(start, start + step) for start in range(0, n, step)):
        result[part] = zero_fill(stack[part], scale)
        if span == 0:  # nothing but one value: no detail to add
            continue
        batch = ((result if zero_filled else stack)[part] - offset)[..., None] / span
        if noise_map:
            batch = np.concatenate([batch, np.full_like(batch, min(level, most_noise))], axis=-1)
        residual = beyond_edges(network, batch, scale, 1 if zero_filled else scale) * span
        if kept < 1:
            residual -= (1 - kept) * zero_fill(kspace_crop(residual, scale), scale)
        result[part] += residual
    return result
