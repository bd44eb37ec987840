"""Super-resolution without learning: interpolation, zero-filling, wavelets.

Every method takes ``(n, h, w)`` (any leading axes), signed or not, in any unit, and returns
``(n, scale·h, scale·w)`` on the grid of :mod:`medsr_course.grid`: sample 0 stays in place.
"""

import numpy as np

from medsr_course import grid


def zero_fill(stack, scale):
    """Zero-filling (ZIP): Fourier interpolation, the exact inverse of ``acquisition.kspace_crop``.

    Parameters
    ----------
    stack : array (..., h, w)
        Real (result real, signed) or complex.
    scale : int

    Returns
    -------
    array (..., scale·h, scale·w)
        Same unit, same mean.
    """
    h, w = np.shape(stack)[-2:]
    out = grid.pad_axis(stack, grid.padded_size(h, scale), -2)
    return grid.pad_axis(out, grid.padded_size(w, scale), -1)


def zero_fill_adjoint(stack, scale):
    """Adjoint of :func:`zero_fill`: ``(..., h, w)`` to ``(..., h / scale, w / scale)``."""
    h, w = np.shape(stack)[-2:]
    out = grid.pad_axis_adjoint(stack, grid.cropped_size(h, scale), -2)
    return grid.pad_axis_adjoint(out, grid.cropped_size(w, scale), -1)
