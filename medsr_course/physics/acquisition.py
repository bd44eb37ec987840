"""Forward models of acquisition, their adjoints, and noise: what a scanner does to an object.

Stacks are ``(n, h, w)`` arrays (any leading axes do), real, signed or complex. Operators are linear and
never take a magnitude; noise functions say what they return.
"""

import numpy as np

from medsr_course.physics import grid


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
    :mod:`medsr_course.physics.grid`: never compare the two without shifting one.
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
    """Complex Gaussian noise of "p %" in each of the two channels.

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


# ---------------------------------------------------------------- image-domain degradations


def blur_decimate(stack, scale, *, fwhm=None):
    """Gaussian blur, then every ``scale``-th sample: the degradation of many papers.

    Parameters
    ----------
    stack : array (..., h, w)
        Any intensity unit; sides divisible by ``scale``.
    scale : int
    fwhm : float, optional
        Full width at half maximum of the Gaussian in HR pixels; by default ``scale``. The blur is
        periodic, as the Fourier operators are.

    Returns
    -------
    array (..., h / scale, w / scale)
        Sample 0 stays in place; the mean is kept only approximately, because decimation aliases.
    """
    h, w = np.shape(stack)[-2:]
    grid.cropped_size(h, scale), grid.cropped_size(w, scale)
    return _blur(stack, scale if fwhm is None else fwhm)[..., ::scale, ::scale]


def blur_decimate_adjoint(stack, scale, *, fwhm=None):
    """Adjoint of :func:`blur_decimate`: ``(..., h, w)`` to ``(..., scale·h, scale·w)``."""
    stack = np.asarray(stack)
    *lead, h, w = stack.shape
    spread = np.zeros((*lead, grid.padded_size(h, scale), grid.padded_size(w, scale)), stack.dtype)
    spread[..., ::scale, ::scale] = stack
    return _blur(spread, scale if fwhm is None else fwhm)


def _blur(stack, fwhm):
    """Periodic Gaussian blur over the last two axes; symmetric, hence its own adjoint."""
    from scipy import ndimage

    sigma = fwhm / np.sqrt(8 * np.log(2))
    return ndimage.gaussian_filter(stack, sigma, mode="wrap", axes=(-2, -1), truncate=6)


def bicubic_decimate(stack, scale, *, antialias=True):
    """Bicubic shrinking (Keys 1981, a = −1/2) as photographs are shrunk, borders mirrored.

    ``antialias=True`` stretches the kernel by ``scale``, as MATLAB's ``imresize`` and Pillow do;
    ``False`` takes four neighbours only, as OpenCV's ``INTER_CUBIC`` does, and aliases.

    Parameters
    ----------
    stack : array (..., h, w)
        Sides divisible by ``scale``.
    scale : int
    antialias : bool

    Returns
    -------
    array (..., h / scale, w / scale)
        Samples lie at the centres of ``scale × scale`` blocks, (scale − 1)/2 HR pixels from the rule
        of :mod:`medsr_course.physics.grid`: never compare the two without shifting one.
    """
    h, w = np.shape(stack)[-2:]
    rows, columns = (_bicubic_matrix(n, scale, antialias) for n in (h, w))
    return rows @ np.asarray(stack) @ columns.T


def bicubic_decimate_adjoint(stack, scale, *, antialias=True):
    """Adjoint of :func:`bicubic_decimate`: ``(..., h, w)`` to ``(..., scale·h, scale·w)``."""
    h, w = np.shape(stack)[-2:]
    rows, columns = (_bicubic_matrix(grid.padded_size(n, scale), scale, antialias) for n in (h, w))
    return rows.T @ np.asarray(stack) @ columns


def _bicubic_matrix(size, scale, antialias):
    """Weights (size / scale, size) of bicubic shrinking along one axis; each row sums to 1."""
    small = grid.cropped_size(size, scale)
    stretch = scale if antialias else 1
    centre = (np.arange(small)[:, None] + 0.5) * scale - 0.5
    taps = np.floor(centre) + np.arange(-2 * stretch, 2 * stretch + 2)
    x = np.abs(taps - centre) / stretch
    weight = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    weight = np.where(x < 2, weight, 0)
    weight /= weight.sum(axis=1, keepdims=True)
    period = 2 * size  # mirrored with the border sample repeated
    index = np.mod(taps.astype(int), period)
    index = np.where(index < size, index, period - 1 - index)
    matrix = np.zeros((small, size))
    np.add.at(matrix, (np.arange(small)[:, None], index), weight)
    return matrix


# ---------------------------------------------------------------- noise and its statistics


def rician_pdf(magnitude, amplitude, sigma):
    r"""Density of a magnitude M when amplitude A is measured with σ in each complex channel.

    :math:`p(M) = \frac{M}{\sigma^2}\, e^{-(M^2 + A^2)/2\sigma^2}\, I_0(MA/\sigma^2)` (Rice 1944;
    Gudbjartsson & Patz 1995, eq. 1); with A = 0 the Rayleigh density.

    Parameters
    ----------
    magnitude, amplitude : array
        Non-negative, one unit; broadcast against each other.
    sigma : float
        Same unit, above 0.

    >>> round(float(rician_pdf(1.0, 0.0, 1.0)), 4)
    0.6065
    """
    from scipy.special import i0e

    m, a = np.asarray(magnitude, float), np.asarray(amplitude, float)
    density = m / sigma**2 * np.exp(-((m - a) ** 2) / (2 * sigma**2)) * i0e(m * a / sigma**2)
    return np.where(m >= 0, density, 0)


def rician_mean(amplitude, sigma):
    r"""Mean of a Rician magnitude: :math:`\sigma\sqrt{\pi/2}` where there is no signal, A where A ≫ σ.

    Gudbjartsson & Patz 1995 (Laguerre polynomial written with Bessel functions).

    >>> round(float(rician_mean(0.0, 2.0)), 4)  # 2 √(π/2)
    2.5066
    """
    from scipy.special import i0e, i1e

    x = np.asarray(amplitude, float) ** 2 / (2 * sigma**2)
    return sigma * np.sqrt(np.pi / 2) * ((1 + x) * i0e(x / 2) + x * i1e(x / 2))


def rician_std(amplitude, sigma):
    r"""Standard deviation of a Rician magnitude: :math:`\sigma\sqrt{2 - \pi/2}` for A = 0, σ for A ≫ σ."""
    amplitude = np.asarray(amplitude, float)
    return np.sqrt(np.maximum(2 * sigma**2 + amplitude**2 - rician_mean(amplitude, sigma) ** 2, 0))


def add_poisson_noise(stack, counts, rng):
    """Poisson noise of a counting detector (X-ray photons, PET or SPECT events).

    Parameters
    ----------
    stack : array (..., h, w)
        Non-negative intensities, any unit.
    counts : float
        Expected counts where a slice reaches its 99.5th percentile: the dose.
    rng : numpy.random.Generator

    Returns
    -------
    float array (..., h, w)
        In the unit of ``stack``: the counts, divided by counts per unit.

    Raises
    ------
    ValueError
        If ``stack`` has negative values (an image after a filter, say): nothing emits −3 photons.
    """
    stack = np.asarray(stack, float)
    if stack.min() < 0:
        raise ValueError("counts cannot be negative: pass an image without negative values")
    level = np.percentile(stack, 99.5, axis=(-2, -1), keepdims=True)
    per_unit = counts / np.where(level > 0, level, 1)
    return rng.poisson(stack * per_unit) / per_unit


# ------------------------------------------------------------------------------ receive coils


def coil_sensitivities(shape, coils):
    """How strongly, and with which phase, each of several coils around a slice hears each pixel.

    A simple model: ``coils`` loops evenly spread on a circle around the slice; magnitude as on the axis of
    a loop, phase from the direction in which the loop lies (Roemer et al. 1990 treat the real thing).

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the slice.
    coils : int

    Returns
    -------
    complex128 array (coils, h, w)
        No unit; scaled so that the root of the sum of squares has a maximum of 1. It is not uniform: the
        middle is far from every coil.
    """
    h, w = shape
    y, x = np.mgrid[:h, :w]
    position = (x - (w - 1) / 2) / w + 1j * (y - (h - 1) / 2) / h
    places = 0.75 * np.exp(2j * np.pi * np.arange(coils) / coils)
    towards = position - places[:, None, None]
    loop = 0.5  # radius of a coil, in widths of the field of view
    heard = (1 + np.abs(towards / loop) ** 2) ** -1.5 * np.exp(1j * np.angle(towards))
    return heard / np.sqrt((np.abs(heard) ** 2).sum(axis=0)).max()


def sum_of_squares(coil_images):
    """Magnitude image from the images of several coils: the root of the sum of their squares.

    Needs no sensitivities; keeps the shading of the coils and loses the phase (Roemer et al. 1990).

    Parameters
    ----------
    coil_images : array (coils, h, w)
        Complex.

    Returns
    -------
    array (h, w)
    """
    return np.sqrt((np.abs(coil_images) ** 2).sum(axis=0))
