"""What a network is told about the noise of an image, and the image in which it is told so.

Networks know one kind of noise: white, of one coil, σ in each channel. An image with another kind is brought close to
that, as far as :func:`noise.estimate` can tell from the image. :data:`USE` was chosen on development scans, see
``results/levers.md``; ``python -m tools.levers`` chooses again when there are new weights.
"""

from dataclasses import dataclass

import numpy as np

from medsr_course.physics import grid, noise
from medsr_course.types import Stack

LEAST_NOISE = 0.005  # in parts of the intensity scale: the ringing beside a head looks like that much noise
SIGNED = 0.05  # of the samples of signed data are negative; a resampled magnitude undershoots in fewer


@dataclass(frozen=True)
class Use:
    """How what is measured is used.

    Attributes
    ----------
    native : bool
        Where the outer band of k-space is empty, work on the native grid.
    one_coil : bool
        Of several coils, take off what the others add: :math:`\\sqrt{\\max(M^2 - 2(N-1)\\sigma^2, 0)}`.
    unknown : float
        What σ is taken for where only bounds are known: 0 the least, 1 the most it may be.
    """

    native: bool = True
    one_coil: bool = True
    unknown: float = 0.5


USE = Use()


@dataclass(frozen=True, eq=False)
class Told:
    """An image as a network should see it: ``stack`` on the grid where its noise is white.

    Attributes
    ----------
    stack : array (n, h, w)
    sigma : float
        Of the noise in each channel, unit of the stack; 0 for none, and for less than :data:`LEAST_NOISE`.
    found : NoiseEstimate
        What was measured.
    unit : (float, float)
        Offset and intensity scale, :func:`grid.intensity`.
    signed : bool
        See :func:`is_signed`.
    """

    stack: Stack
    sigma: float
    found: noise.NoiseEstimate
    unit: tuple[float, float]
    signed: bool


def is_signed(stack: Stack) -> bool:
    """Tells whether a stack holds signed data, not magnitudes: values of both signs, as HU or a crop of k-space have.

    >>> is_signed(np.array([[[-1.0, 2.0]]])), is_signed(np.array([[[0.0, 2.0]]]))
    (True, False)
    """
    return float((stack < 0).mean()) > SIGNED


def look(stack: Stack, use: Use = USE, like: Told | None = None) -> Told:
    """Measures the noise of a stack ``(n, h, w)`` of one scan; of signed data nothing is known, and nothing changed.

    ``like`` is what was found in more slices of the same scan: then nothing is measured, and the stack treated alike.
    """
    if like.signed if like else is_signed(stack):
        return plain(stack, like)
    found = like.found if like else noise.estimate(stack)
    sigma = _sigma(found, use)
    if use.native and min(found.native) < 1:
        for axis, part in zip((-2, -1), found.native, strict=True):
            stack = grid.crop_axis(stack, max(round(stack.shape[axis] * part), 8), axis)
    if use.one_coil and found.coils is not None and found.coils > 1.5 and sigma:
        stack = noise.without_floor(stack, sigma, found.coils - 1)
    unit = like.unit if like else grid.intensity(stack)
    sigma = sigma if sigma > LEAST_NOISE * unit[1] else 0.0
    return Told(stack.astype(np.float32, copy=False), sigma, found, unit, False)


def plain(stack: Stack, like: Told | None = None) -> Told:
    """A stack as it is, with its intensity scale and nothing measured of its noise; ``like`` as for :func:`look`."""
    nothing = noise.NoiseEstimate("unknown", None, None, (1.0, 1.0))
    if like:
        return Told(stack, 0.0, nothing, like.unit, like.signed)
    return Told(stack, 0.0, nothing, grid.intensity(stack), is_signed(stack))


def _sigma(found: noise.NoiseEstimate, use: Use) -> float:
    if found.sigma is not None:
        return found.sigma
    least, most = found.between or (0.0, 0.0)
    return least + use.unknown * (most - least)
