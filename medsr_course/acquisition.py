"""Forward models of acquisition, their adjoints, and noise: what a scanner does to an object.

Stacks are ``(n, h, w)`` arrays (any leading axes do), real, signed or complex. Operators are linear and
never take a magnitude; noise functions say what they return.
"""

import numpy as np

from medsr_course import grid


def kspace_crop(stack, scale):
    """Keep the central 1/scale of k-space along both image axes: a slice measured ``scale`` × coarser.

    Parameters
    ----------
    stack : array (..., h, w)
        Any intensity unit. ``h`` and ``w`` must be divisible by ``scale`` (see :func:`grid.trim`).
    scale : int

    Returns
    -------
    array (..., h / scale, w / scale)
        The same unit and mean; sample 0 stays in place.

    Raises
    ------
    ValueError
        If a side is not divisible by ``scale``.

    >>> kspace_crop(np.ones((1, 4, 4)), 2)
    array([[[1., 1.],
            [1., 1.]]])
    """
    h, w = np.shape(stack)[-2:]
    out = grid.crop_axis(stack, grid.cropped_size(h, scale), -2)
    return grid.crop_axis(out, grid.cropped_size(w, scale), -1)


def kspace_crop_adjoint(stack, scale):
    """Adjoint of :func:`kspace_crop`: ``(..., h, w)`` to ``(..., scale·h, scale·w)``."""
    h, w = np.shape(stack)[-2:]
    out = grid.crop_axis_adjoint(stack, grid.padded_size(h, scale), -2)
    return grid.crop_axis_adjoint(out, grid.padded_size(w, scale), -1)


def block_average(stack, scale):
    """Mean over ``scale × scale`` blocks: a detector of square pixels (CT, projection X-ray).

    The samples lie at the *centres* of the blocks, (scale − 1)/2 HR pixels from the rule of
    :mod:`medsr_course.grid`: never compare the two without shifting one.
    """
    *lead, h, w = np.shape(stack)
    a, b = grid.cropped_size(h, scale), grid.cropped_size(w, scale)
    return np.reshape(stack, (*lead, a, scale, b, scale)).mean(axis=(-3, -1))


def block_average_adjoint(stack, scale):
    """Adjoint of :func:`block_average`."""
    spread = np.repeat(np.repeat(stack, scale, axis=-2), scale, axis=-1)
    return spread / scale**2


def to_kspace(image):
    """Unitary, centred 2-D Fourier transform over the last two axes (k = 0 in the middle)."""
    return _centred(np.fft.fft2, image)


def from_kspace(kspace):
    """Inverse, and adjoint, of :func:`to_kspace`."""
    return _centred(np.fft.ifft2, kspace)


def _centred(transform, x):
    axes = (-2, -1)
    return np.fft.fftshift(transform(np.fft.ifftshift(x, axes=axes), norm="ortho"), axes=axes)


def noise_sigma(stack, percent):
    """Standard deviation that "p % noise" stands for: p % of the 99.5th percentile of each slice.

    Returns an array that broadcasts against ``stack``.
    """
    level = np.percentile(np.abs(stack), 99.5, axis=(-2, -1), keepdims=True)
    return level * (percent / 100)


def add_complex_noise(stack, percent, rng):
    """Complex Gaussian noise of "p %" in each of the two channels (DESIGN: measurement protocol).

    Take the magnitude of the result for a magnitude (Rician) image.

    Parameters
    ----------
    stack : array (..., h, w)
    percent : float
        See :func:`noise_sigma`.
    rng : numpy.random.Generator
    """
    sigma = noise_sigma(stack, percent)
    shape = np.shape(stack)
    return stack + sigma * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
