"""How strong the noise is, told from inside a head: for images whose air was set to zero, or that have none."""

import numpy as np
from scipy import ndimage

from medsr_course.types import Mask, Stack

QUIET = 3  # % of the head that count: where its own texture is weakest
SPREAD = 2.0  # pixels over which squared details are averaged before the quietest are taken
ALONE = {
    1: 0.503,
    2: 0.428,
}  # octave → what is then the quietest in noise of σ = 1 alone, measured
# Finest details of an object without noise, in parts of the second-finest, both in the quietest part of the head. On
# development scans and validation subjects 0.23 to 0.48, which holds the scans' own noise; the more, the less noise.
TEXTURE = {"least": 0.5, "typical": 0.38, "most": 0.2}


def bounds(stack: Stack, inside: Mask) -> tuple[float, float, float] | None:
    r"""Returns σ of white noise in each channel as (at least, most likely, at most), or None where too little is seen.

    White noise is as strong in the finest diagonal wavelet details as in the second-finest (Donoho & Johnstone 1994),
    texture is t times as strong: :math:`\sigma^2 = (f^2 - t^2 c^2)/(1 - t^2)`, f and c the strength of both in the
    quietest part of the head, t one of :data:`TEXTURE`.

    Parameters
    ----------
    stack : array (n, h, w)
        Magnitudes on their native grid.
    inside : bool array (n, h, w)
        The head, without its border.

    >>> noise = np.random.default_rng(0).normal(100, 3, (4, 128, 128))
    >>> [round(s, 1) for s in bounds(noise, np.ones(noise.shape, bool))]
    [3.0, 3.0, 3.0]
    """
    if inside.sum() < 200:
        return None
    fine, coarse = (_quietest(_diagonal(stack, octave), inside, octave) for octave in (1, 2))
    found = [np.sqrt(max(fine**2 - (t * coarse) ** 2, 0) / (1 - t**2)) for t in TEXTURE.values()]
    return float(found[0]), float(found[1]), float(max(found))


def _quietest(details: Stack, inside: Mask, octave: int) -> float:
    """σ that white noise would have, whose mean squared details are as small in the quietest part of the head."""
    square = ndimage.gaussian_filter(details**2, (0, SPREAD, SPREAD))[inside]
    return float(np.sqrt(np.percentile(square, QUIET) / ALONE[octave]))


def _diagonal(stack: Stack, octave: int) -> Stack:
    """Undecimated diagonal wavelet details (Daubechies 4) of ``(n, h, w)``; white noise keeps its σ."""
    import pywt

    low, high = (np.array(f) for f in pywt.Wavelet("db4").filter_bank[:2])
    if octave == 2:
        spread = np.zeros(2 * len(high) - 1)
        spread[::2] = high
        high = np.convolve(low, spread)
    return ndimage.convolve1d(ndimage.convolve1d(stack, high, -1, mode="mirror"), high, -2, mode="mirror")
