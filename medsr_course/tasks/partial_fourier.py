r"""Partial Fourier: somewhat more than half of the lines of phase encoding, and a phase that is smooth.

A real image's k-space mirrors itself, :math:`\hat x(-k) = \overline{\hat x(k)}`. A real scan has a phase, which the
middle of k-space shows where it is smooth; with it taken off, the half that was not measured can be had from the other.
K-space is complex ``(..., h, w)``, unitary and centred; a mask ``(w,)``.
"""

import numpy as np

from medsr_course.physics.acquisition import from_kspace, to_kspace
from medsr_course.types import Array, Mask


def partial_mask(width: int, share: float) -> Mask:
    """The first ``share`` of the lines, more than half: the middle and one side.

    >>> partial_mask(8, 0.625).astype(int).tolist()
    [1, 1, 1, 1, 1, 0, 0, 0]
    """
    lines = round(share * width)
    if not width // 2 < lines <= width:
        raise ValueError(f"share must be more than half and at most 1, not {share!r}: {lines} of {width} lines")
    return np.arange(width) < lines


def low_phase(kspace: Array, mask: Mask) -> Array:
    """The phase of the image from the lines whose mirror was measured, too: complex, of modulus 1, ``(..., h, w)``.

    A Hann window over those lines, and as wide a one along the readout, keeps it smooth.
    """
    reach = _reach(mask)
    h, w = np.shape(kspace)[-2:]
    rows, columns = (np.abs(np.arange(n) - n // 2) for n in (h, w))
    windows = [np.where(k <= reach, np.cos(np.pi * k / (2 * (reach + 1))) ** 2, 0) for k in (rows, columns)]
    low = from_kspace(kspace * windows[0][:, None] * windows[1])
    return np.exp(1j * np.angle(low))


def homodyne(kspace: Array, mask: Mask) -> Array:
    """Homodyne detection (Noll, Nishimura & Macovski 1991): lines without a mirror count twice, then the real part.

    Over the lines whose mirror was measured, too, the weight rises from 0 to 2. Returns a complex image, its phase that
    of :func:`low_phase`.
    """
    reach, w = _reach(mask), np.shape(kspace)[-1]
    k = w // 2 - np.arange(w)  # positive on the side that was measured
    ramp = np.clip(1 + k / (reach + 0.5), 0, 2)
    if w % 2 == 0:
        ramp[0] = 1  # −w/2 is its own mirror
    phase = low_phase(kspace, mask)
    return (from_kspace(kspace * ramp * mask) * phase.conj()).real * phase


def pocs(kspace: Array, mask: Mask, iterations: int = 12) -> Array:
    """Projections onto convex sets (Haacke, Lindskog & Lin 1991): the smooth phase, then what was measured, in turn.

    Returns a complex image that agrees with every measured sample.
    """
    phase = low_phase(kspace, mask)
    image = from_kspace(kspace)
    for _ in range(iterations):
        guess = to_kspace(np.maximum((image * phase.conj()).real, 0) * phase)
        image = from_kspace(np.where(mask, kspace, guess))
    return image


def _reach(mask: Mask) -> int:
    """How far from the middle the lines are measured on both sides."""
    w = len(mask)
    if not mask[: w // 2 + 1].all() or not mask.any():
        raise ValueError("the mask must hold the middle line and all before it (partial_mask)")
    return int(mask.sum()) - 1 - w // 2
