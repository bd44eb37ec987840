"""Forward models of acquisition and their adjoints: what a scanner does to an object, noise apart.

Stacks are ``(n, h, w)`` arrays (any leading axes do), real, signed or complex. Operators are linear and
never take a magnitude; noise is in :mod:`medsr_course.physics.noise`.
"""

from collections.abc import Callable

import numpy as np

from medsr_course.physics import grid
from medsr_course.types import Array, Mask, Stack


def kspace_crop(stack: Stack, scale: int) -> Stack:
    r"""Keep the central 1/scale of k-space along both image axes: a slice measured ``scale`` × coarser.

    :math:`y = \frac1s F_{h/s,\,w/s}^H\, C\, F_{h,w}\, x` with unitary transforms F and C, which picks the coefficients.
    ``(..., h, w)`` in any unit to ``(..., h / scale, w / scale)``: same unit and mean, sample 0 stays in place.
    ``ValueError`` if a side is not divisible by ``scale`` (see :func:`grid.trim`).

    >>> kspace_crop(np.ones((1, 4, 4)), 2)
    array([[[1., 1.],
            [1., 1.]]])
    """
    h, w = np.shape(stack)[-2:]
    out = grid.crop_axis(stack, grid.cropped_size(h, scale), -2)
    return grid.crop_axis(out, grid.cropped_size(w, scale), -1)


def kspace_crop_adjoint(stack: Stack, scale: int) -> Stack:
    """Adjoint of :func:`kspace_crop`: ``(..., h, w)`` to ``(..., scale·h, scale·w)``."""
    h, w = np.shape(stack)[-2:]
    out = grid.crop_axis_adjoint(stack, grid.padded_size(h, scale), -2)
    return grid.crop_axis_adjoint(out, grid.padded_size(w, scale), -1)


def block_average(stack: Stack, scale: int) -> Stack:
    r"""Mean over ``scale × scale`` blocks: a detector of square pixels (CT, projection X-ray).

    :math:`y_{ij} = s^{-2} \sum_{a,b=0}^{s-1} x_{si+a,\,sj+b}`.
    The samples lie at the *centres* of the blocks, (scale − 1)/2 HR pixels from the rule of
    :mod:`medsr_course.physics.grid`: never compare the two without shifting one.

    >>> block_average(np.arange(8.0).reshape(1, 2, 4), 2)
    array([[[2.5, 4.5]]])
    """
    *lead, h, w = np.shape(stack)
    a, b = grid.cropped_size(h, scale), grid.cropped_size(w, scale)
    return np.reshape(stack, (*lead, a, scale, b, scale)).mean(axis=(-3, -1))


def block_average_adjoint(stack: Stack, scale: int) -> Stack:
    """Adjoint of :func:`block_average`: each value spread over its block, divided by ``scale²``."""
    spread = np.repeat(np.repeat(stack, scale, axis=-2), scale, axis=-1)
    return spread / scale**2


def ellipse(shape: tuple[int, int]) -> Mask:
    """Which samples of centred k-space ``(h, w)`` lie in the ellipse that just fits in: scanners leave out the corners.

    >>> ellipse((3, 5)).astype(int)
    array([[0, 1, 1, 1, 0],
           [1, 1, 1, 1, 1],
           [0, 1, 1, 1, 0]])
    """
    rows, columns = ((np.arange(n) - n // 2) / (n / 2) for n in shape)
    return rows[:, None] ** 2 + columns**2 <= 1


def to_kspace(image: Array) -> Array:
    r"""Unitary, centred 2-D Fourier transform over the last two axes (k = 0 in the middle).

    :math:`\hat x_k = (hw)^{-1/2} \sum_n x_n\, e^{-2\pi i\, k \cdot n}`, n and k counted from the middle, ``size // 2``.

    >>> to_kspace(np.ones((3, 3))).real[1].round(6)
    array([0., 3., 0.])
    """
    return _centred(np.fft.fft2, image)


def from_kspace(kspace: Array) -> Array:
    """Inverse, and adjoint, of :func:`to_kspace`."""
    return _centred(np.fft.ifft2, kspace)


def _centred(transform: Callable, x: Array) -> Array:
    axes = (-2, -1)
    return np.fft.fftshift(transform(np.fft.ifftshift(x, axes=axes), norm="ortho"), axes=axes)


# ---------------------------------------------------------------- image-domain degradations


def blur_decimate(stack: Stack, scale: int, *, fwhm: float | None = None) -> Stack:
    r"""Gaussian blur, then every ``scale``-th sample: the degradation of many papers.

    :math:`y_{ij} = (g_\sigma * x)_{si,\,sj}` with :math:`\sigma = \mathrm{FWHM} / \sqrt{8 \ln 2}`; FWHM, in HR pixels,
    is ``scale`` by default. The blur is periodic, as the Fourier operators are. ``(..., h, w)``, sides divisible by
    ``scale``, to ``(..., h / scale, w / scale)``: sample 0 stays in place; the mean only nearly, because decimation
    aliases.

    >>> blur_decimate(np.ones((1, 4, 4)), 2).round(6)
    array([[[1., 1.],
            [1., 1.]]])
    """
    h, w = np.shape(stack)[-2:]
    grid.cropped_size(h, scale), grid.cropped_size(w, scale)
    return _blur(stack, scale if fwhm is None else fwhm)[..., ::scale, ::scale]


def blur_decimate_adjoint(stack: Stack, scale: int, *, fwhm: float | None = None) -> Stack:
    """Adjoint of :func:`blur_decimate`: ``(..., h, w)`` to ``(..., scale·h, scale·w)``; it keeps the sum."""
    stack = np.asarray(stack)
    *lead, h, w = stack.shape
    spread = np.zeros((*lead, grid.padded_size(h, scale), grid.padded_size(w, scale)), stack.dtype)
    spread[..., ::scale, ::scale] = stack
    return _blur(spread, scale if fwhm is None else fwhm)


def _blur(stack: Stack, fwhm: float) -> Stack:
    """Periodic Gaussian blur over the last two axes; symmetric, hence its own adjoint."""
    from scipy import ndimage

    sigma = fwhm / np.sqrt(8 * np.log(2))
    return ndimage.gaussian_filter(stack, sigma, mode="wrap", axes=(-2, -1), truncate=6)


def bicubic_decimate(stack: Stack, scale: int, *, antialias: bool = True) -> Stack:
    r"""Bicubic shrinking (Keys 1981, a = −1/2) as photographs are shrunk, borders mirrored.

    :math:`y = B_h\, x\, B_w^T`, the rows of B shifted samples of the cubic kernel, each of sum 1.
    ``antialias=True`` stretches the kernel by ``scale``, as MATLAB's ``imresize`` and Pillow do;
    ``False`` takes four neighbours only, as OpenCV's ``INTER_CUBIC`` does, and aliases.
    Sides must be divisible by ``scale``; samples lie at the centres of blocks, as those of :func:`block_average`.

    >>> bicubic_decimate(np.full((1, 2, 4), 3.0), 2).round(6)
    array([[[3., 3.]]])
    """
    h, w = np.shape(stack)[-2:]
    rows, columns = (_bicubic_matrix(n, scale, antialias) for n in (h, w))
    return rows @ np.asarray(stack) @ columns.T


def bicubic_decimate_adjoint(stack: Stack, scale: int, *, antialias: bool = True) -> Stack:
    """Adjoint of :func:`bicubic_decimate`: ``(..., h, w)`` to ``(..., scale·h, scale·w)``; it keeps the sum."""
    h, w = np.shape(stack)[-2:]
    rows, columns = (_bicubic_matrix(grid.padded_size(n, scale), scale, antialias) for n in (h, w))
    return rows.T @ np.asarray(stack) @ columns


def _bicubic_matrix(size: int, scale: int, antialias: bool) -> Array:
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


# ------------------------------------------------------------------------------ receive coils


def coil_sensitivities(
    shape: tuple[int, int], coils: int, *, turn: float = 0.0, distance: float = 0.75, radius: float = 0.5
) -> Array:
    r"""How strongly, and with which phase, each of several coils around a slice hears each pixel.

    A simple model: ``coils`` loops evenly spread on a circle around the slice; magnitude as on the axis of
    a loop, phase from the direction in which the loop lies (Roemer et al. 1990 treat the real thing):
    :math:`c_k(r) \propto (1 + |r - r_k|^2/a^2)^{-3/2}\, e^{i \arg(r - r_k)}`. The circle has the radius ``distance``, a
    loop the ``radius`` a, both in widths of the field of view; ``turn`` (radians) is where on it the first coil lies.

    Returns a complex128 array ``(coils, h, w)`` without unit, the root of its sum of squares 1 at most. That is not
    uniform: the middle is far from every coil.

    >>> coil_sensitivities((8, 9), 4).shape
    (4, 8, 9)
    """
    h, w = shape
    y, x = np.mgrid[:h, :w]
    position = (x - (w - 1) / 2) / w + 1j * (y - (h - 1) / 2) / h
    places = distance * np.exp(2j * np.pi * np.arange(coils) / coils + 1j * turn)
    towards = position - places[:, None, None]
    heard = (1 + np.abs(towards / radius) ** 2) ** -1.5 * np.exp(1j * np.angle(towards))
    return heard / np.sqrt((np.abs(heard) ** 2).sum(axis=0)).max()


def sum_of_squares(coil_images: Array) -> Array:
    r"""Magnitude image ``(h, w)`` from several coils' complex ``(coils, h, w)``: :math:`\sqrt{\sum_k |x_k|^2}`.

    Needs no sensitivities; keeps the shading of the coils and loses the phase (Roemer et al. 1990).

    >>> sum_of_squares(np.array([[[3.0]], [[4j]]]))
    array([[5.]])
    """
    return np.sqrt((np.abs(coil_images) ** 2).sum(axis=0))
