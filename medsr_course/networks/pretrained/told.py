"""What a network is told about the noise of an image, and the image in which it is told so.

Networks know one kind of noise: white, of one coil, σ in each channel. An image with another kind is brought close to
that, as far as :func:`noise.estimate` can tell from the image. How that is used, :class:`Use`, was chosen on
development scans, see ``results/levers.md``; ``python -m tools.levers`` chooses again when there are new weights.
"""

from dataclasses import dataclass

import numpy as np

from medsr_course.physics import coils, grid, noise
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
        What σ is taken for where only bounds are known: 0 the least, 1 the most it may be; 0 if that may be the least.
    head : float
        Part of σ that counts where the head alone tells it. A scan's own noise is there too, and its fine texture; on
        clean development scans all of σ loses up to 0.8 dB, and on noisy ones 0.7 of it is as good as all.
    least : float
        Less noise than this, in parts of the intensity scale, counts as none: the ringing beside a head looks like it.
    """

    native: bool = True
    one_coil: bool = True
    unknown: float = 0.5
    head: float = 0.7
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

    ``like`` is what was found in more slices of the same scan: then nothing is measured, and the stack treated alike,
    on the same grid with the same σ, whatever ``use`` says of them.
    """
    if like.signed if like else is_signed(stack):
        return plain(stack, like)
    found = like.found if like else noise.estimate(stack)
    sigma = like.sigma if like else _sigma(found, use, grid.intensity(stack)[1])
    if sigma:  # a scan that was measured as clean is left as it is
        stack = coils.to_native(stack, like.stack.shape[1:] if like else _working_shape(stack, found, sigma, use))
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


def _working_shape(stack: Stack, found: noise.NoiseEstimate, sigma: float, use: Use) -> tuple[int, int]:
    """The native grid; that of the file where ``use`` says so, or white noise fills the band taken for empty."""
    sides = stack.shape[1], stack.shape[2]
    if not use.native or min(found.native) == 1:
        return sides
    small = tuple(max(round(side * part), 8) for side, part in zip(sides, found.native, strict=True))
    wider = tuple(  # the end is not sharp
        min(max(round(side * (part + 0.06)), 8), side) for side, part in zip(sides, found.native, strict=True)
    )
    bright = stack > 0.5 * grid.intensity(stack)[1]  # in air a magnitude fills any band
    rest = stack - coils.from_native(coils.to_native(stack, wider), sides)
    filled = float(np.median(np.abs(rest[bright]))) / 0.6745 if bright.any() else 0.0
    white = filled > 0.5 * sigma * np.sqrt(1 - found.native[0] * found.native[1])
    return sides if white else (small[0], small[1])


def _sigma(found: noise.NoiseEstimate, use: Use, unit: float) -> float:
    """σ as it is told: between its bounds where it is not known, 0 where it is too little to count."""
    least, most = found.between or (0.0, 0.0)
    sigma = found.sigma
    if sigma is None:  # where there may be no noise at all, texture may be all there is
        sigma = least + use.unknown * (most - least) if least else 0.0
    if sigma <= use.least * unit:
        return 0.0
    return sigma if found.coils is not None else use.head * sigma
