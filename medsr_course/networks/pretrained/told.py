"""What a network is told about the noise of an image, and the image in which it is told so.

Networks know one kind of noise: white, of one coil, σ in each channel. An image with another kind is brought close to
that, as far as :func:`noise.estimate` can tell from the image. How that is used, :class:`Use`, was chosen on
development scans, see ``results/levers.md``; ``python -m tools.levers`` chooses again when there are new weights.
"""

from dataclasses import dataclass

import numpy as np

from medsr_course.physics import grid, noise
from medsr_course.types import Stack

SIGNED = 0.05  # of the samples of signed data are negative; a resampled magnitude undershoots in fewer


@dataclass(frozen=True)
class Use:
    """How what is measured is used.

    Attributes
    ----------
    native : bool
        Where there is noise, and the outer band of k-space is empty, work on the native grid. Without noise that gains
        nothing (+0.00 dB at ×2, +0.03 at ×4, on development scans), and an axis may be taken for interpolated wrongly.
    one_coil : bool
        Of several coils, take off what the others add: :math:`\\sqrt{\\max(M^2 - 2(N-1)\\sigma^2, 0)}`.
    unknown : float
        What σ is taken for where only bounds are known: 0 the least, 1 the most it may be.
    least : float
        Less noise than this, in parts of the intensity scale, counts as none: the ringing beside a head looks like it.
    """

    native: bool = True
    one_coil: bool = True
    unknown: float = 0.5
    least: float = 0.005


USE = Use()


@dataclass(frozen=True, eq=False)
class Told:
    """An image as a network should see it: ``stack`` on the grid where its noise is white.

    Attributes
    ----------
    stack : array (n, h, w)
    sigma : float
        Of the noise in each channel, unit of the stack; 0 for none, and for less than ``use.least``.
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
    unit = like.unit if like else grid.intensity(stack)
    sigma = _sigma(found, use)
    if sigma <= use.least * unit[1]:  # a scan that was measured as clean is left as it is
        return Told(stack, 0.0, found, unit, False)
    if use.native and min(found.native) < 1:
        stack = _native(stack, found.native, sigma)
    if use.one_coil and found.coils is not None and found.coils > 1.5:
        stack = noise.as_one_coil(stack, sigma, found.coils)
    unit = like.unit if like else grid.intensity(stack)
    return Told(stack.astype(np.float32, copy=False), sigma, found, unit, False)


def plain(stack: Stack, like: Told | None = None) -> Told:
    """A stack as it is, with its intensity scale and nothing measured of its noise; ``like`` as for :func:`look`."""
    nothing = noise.NoiseEstimate("unknown", None, None, (1.0, 1.0))
    if like:
        return Told(stack, 0.0, nothing, like.unit, like.signed)
    return Told(stack, 0.0, nothing, grid.intensity(stack), is_signed(stack))


def _native(stack: Stack, native: tuple[float, float], sigma: float) -> Stack:
    """The stack on its native grid; as it is, where white noise fills the band that was taken for empty."""
    small, rest = stack, stack
    for axis, part in zip((-2, -1), native, strict=True):
        size = stack.shape[axis]
        small = grid.crop_axis(small, max(round(size * part), 8), axis)
        wider = grid.crop_axis(rest, min(max(round(size * (part + 0.06)), 8), size), axis)  # the end is not sharp
        rest = grid.pad_axis(wider, size, axis)
    bright = stack > 0.5 * grid.intensity(stack)[1]  # in air a magnitude fills any band
    filled = float(np.median(np.abs((stack - rest)[bright]))) / 0.6745 if bright.any() else 0.0
    return stack if sigma and filled > 0.5 * sigma * np.sqrt(1 - native[0] * native[1]) else small


def _sigma(found: noise.NoiseEstimate, use: Use) -> float:
    if found.sigma is not None:
        return found.sigma
    least, most = found.between or (0.0, 0.0)
    return least + use.unknown * (most - least)
