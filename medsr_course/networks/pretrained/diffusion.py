r"""Samples of what a coarse image may have been, by a diffusion network (Ho, Jain & Abbeel 2020; Saharia et al. 2021).

The network was taught to see what is noise in a residual over zero-filling to which noise was added. To make a
residual, noise alone is taken, and at each of some steps the network takes a part of it away (Song, Meng & Ermon 2021,
DDIM). With

.. math:: x_t = \alpha_t x + \sigma_t \varepsilon, \qquad \alpha_t = \cos(\pi t/2), \quad \sigma_t = \sin(\pi t/2)

and the velocity :math:`v = \alpha_t \varepsilon - \sigma_t x` that the network tells (Salimans & Ho 2022), a step from
t to u is :math:`x_u = \alpha_u (\alpha_t x_t - \sigma_t v) + \sigma_u (\sigma_t x_t + \alpha_t v)`.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from medsr_course.networks.pretrained.cards import Card
from medsr_course.networks.pretrained.common import Network, to_numpy
from medsr_course.networks.pretrained.superresolution import super_resolve_with
from medsr_course.networks.pretrained.weights import card, network
from medsr_course.types import Array, ArrayLike, Stack


def sample(name: str, stack: ArrayLike, samples: int = 1, *, seed: int = 0) -> Array:
    """Draws fine images that may belong to a stack of coarse slices, with a shipped diffusion network.

    Parameters
    ----------
    name : str
        One of ``names("diffusion")``.
    stack : array (n, h, w)
        As for :func:`super_resolve`, with the same errors.
    samples : int
        How many, at least 1 (``ValueError``): each from other noise.
    seed : int
        Of that noise.

    Returns
    -------
    float32 array (samples, n, s·h, s·w)
        In the unit of ``stack``; their mean over the first axis is the image with the least expected squared error.
    """
    about = card(name, "diffusion")
    return sample_with(network(name), stack, samples=samples, seed=seed, **usage(about))


def usage(about: Card) -> dict[str, Any]:
    """Returns the part of a card that says how :func:`sample_with` uses the network, as keyword arguments."""
    return dict(about.usage)


def sample_with(
    network: Callable[[Any], Any],
    stack: ArrayLike,
    scale: int,
    *,
    unit: float,
    steps: int,
    samples: int = 1,
    seed: int = 0,
) -> Array:
    """Draws fine images with any network of :mod:`medsr_course.networks.models.diffusion`; see :func:`sample`.

    ``unit`` is what residuals were divided by in the training, in parts of the intensity scale; ``steps`` how often the
    network is asked for one sample.
    """
    if samples < 1 or steps < 1:
        raise ValueError(f"samples and steps must be at least 1, not {samples} and {steps}")
    draw = drawing(network, scale, unit=unit, steps=steps, rng=np.random.default_rng(seed))
    return np.stack([super_resolve_with(draw, stack, scale, None) for _ in range(samples)])


def drawing(network: Callable[[Any], Any], scale: int, *, unit: float, steps: int, rng: np.random.Generator) -> Network:
    """Returns a function from a coarse batch ``(n, h, w, 1)`` to one sample of its residual ``(n, s·h, s·w, 1)``."""

    def draw(batch: Array) -> Stack:
        x = rng.standard_normal((*batch.shape[:3], scale**2), np.float32)
        for now, then in pairwise(np.linspace(1, 0, steps + 1)):
            level = np.full((len(batch), 1), now, np.float32)
            x = step(x, to_numpy(network([batch, x, level])), now, then)
        return unit * to_fine(x, scale)

    return draw


def mixed(level: Array | float) -> tuple[Array, Array]:
    """Returns α and σ, the parts of image and noise at a level from 0 to 1: α² + σ² = 1."""
    angle = np.pi / 2 * np.asarray(level)
    return np.cos(angle), np.sin(angle)


def step(x: Array, velocity: Array, now: float, then: float) -> Array:
    """Returns the image at level ``then`` that goes with ``x`` at level ``now`` and the velocity told of it."""
    (alpha, sigma), (alpha_then, sigma_then) = mixed(now), mixed(then)
    clean, noise = alpha * x - sigma * velocity, sigma * x + alpha * velocity
    return (alpha_then * clean + sigma_then * noise).astype(np.float32)


def to_fine(x: Array, scale: int) -> Array:
    """Returns ``(n, h, w, s²)`` as ``(n, s·h, s·w, 1)``: the sub-pixel layer.

    >>> to_fine(np.arange(4.0).reshape(1, 1, 1, 4), 2)[0, ..., 0]
    array([[0., 1.],
           [2., 3.]])
    """
    n, h, w, _ = x.shape
    x = x.reshape(n, h, w, scale, scale).transpose(0, 1, 3, 2, 4)
    return x.reshape(n, scale * h, scale * w, 1)


def to_coarse(x: Array, scale: int) -> Array:
    """Returns ``(n, s·h, s·w, 1)`` as ``(n, h, w, s²)``: :func:`to_fine` undone."""
    n, h, w, _ = x.shape
    x = x.reshape(n, h // scale, scale, w // scale, scale).transpose(0, 1, 3, 2, 4)
    return x.reshape(n, h // scale, w // scale, scale**2)
