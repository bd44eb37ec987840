"""Samples that lie on no grid: a radial trajectory, its density compensation, and least squares."""

from collections.abc import Callable

import numpy as np

from medsr_course.physics.nufft import NonUniformFFT
from medsr_course.tasks.reconstruction import conjugate_gradients
from medsr_course.types import Array


def radial(spokes: int, samples: int) -> Array:
    r"""Sampling points of a radial trajectory with golden angles, :math:`n\pi(\sqrt5 - 1)/2` (Winkelmann et al. 2007).

    ``samples`` along each spoke, a full diameter: (k_y, k_x) in radians per pixel, −π … π, ``(spokes·samples, 2)``.

    >>> (radial(1, 4)[:, 1] / np.pi).round(2)
    array([-1. , -0.5,  0. ,  0.5])
    """
    radius = np.pi * (np.arange(samples) - samples // 2) * 2 / samples
    angle = np.arange(spokes) * np.pi * (np.sqrt(5) - 1) / 2
    return np.stack([np.outer(np.sin(angle), radius), np.outer(np.cos(angle), radius)], axis=-1).reshape(-1, 2)


def radial_density(points: Array) -> Array:
    """Density compensation of :func:`radial`: the area each sample stands for, proportional to its distance from 0.

    >>> radial_density(radial(1, 4)).round(3)
    array([0.5  , 0.25 , 0.062, 0.25 ])
    """
    radius = np.hypot(*points.T)
    step = np.min(radius[radius > 1e-9])
    return np.maximum(radius, step / 4) / radius.sum()


def least_squares(
    samples: Array,
    points: Array,
    shape: tuple[int, int],
    iterations: int,
    *,
    damping: float = 0.0,
    watch: Callable[[Array], object] | None = None,
) -> Array:
    r"""Conjugate gradients on :math:`(A^H A + \lambda I) x = A^H y`, A of :mod:`nufft` (Pruessmann et al. 2001).

    Starts at 0; the number of iterations regularises, too. ``samples`` are complex, at ``points`` ``(m, 2)``; λ is
    ``damping``; ``watch(x)`` is called after each iteration. Returns a complex image of ``shape``.

    >>> points = radial(12, 16)
    >>> image = np.outer(np.hanning(8), np.hanning(8))
    >>> samples = NonUniformFFT(points, image.shape).forward(image)
    >>> bool(np.allclose(least_squares(samples, points, image.shape, 20), image, atol=1e-3))
    True
    """
    transform = NonUniformFFT(points, shape)

    def normal(x: Array) -> Array:
        return transform.adjoint(transform.forward(x)) + damping * x

    return conjugate_gradients(normal, transform.adjoint(samples), iterations, watch)
