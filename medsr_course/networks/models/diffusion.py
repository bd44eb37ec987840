"""A network that takes noise off, step by step, until an image is left that fits a coarse one (Saharia et al. 2021).

What it makes is the residual over zero-filling, divided by its unit, in the layout of the sub-pixel layer: the scale²
fine pixels of a coarse one are channels, so that all layers work on the coarse grid. See
:mod:`medsr_course.networks.pretrained.diffusion` for the steps.
"""

from collections.abc import Sequence

import numpy as np

from medsr_course.networks.layers import CropLike, DepthToSpace
from medsr_course.networks.models.common import (
    Tensor,
    check_scale,
    convolution,
    image_input,
    keras,
    last_convolution,
    layers,
)

ops = keras.ops
WAVES = 16  # sines, and as many cosines, that tell the level of the noise


def diffusion(
    scale: int, *, filters: Sequence[int] = (40, 80), blocks: Sequence[int] = (2, 1), seed: int = 0
) -> keras.Model:
    """Returns a U-Net that sees a coarse image, a noisy residual and its level, and tells velocity (Ho et al. 2020).

    ``filters``: channels of each level; each next one has half the grid. ``blocks``: residual blocks of each level, on
    the way down and again on the way up; of the last one, in all.

    The model maps ``[(n, h, w, 1), (n, h, w, scale²), (n, 1)]``, the last one from 0 (no noise) to 1 (nothing else), to
    ``(n, h, w, scale²)``: :math:`v = \\alpha \\varepsilon - \\sigma x` (Salimans & Ho 2022).
    """
    check_scale(scale)
    image = image_input("coarse", False)
    noisy = keras.Input((None, None, scale**2), name="noisy")
    level = keras.Input((1,), name="level")
    seeds = iter(range(seed, seed + 10_000))
    told = _told(level, next(seeds))
    x = convolution(filters[0], 5, next(seeds), first=True, activation=None)(image)
    x = layers.Add()([x, convolution(filters[0], 3, next(seeds), activation=None)(noisy)])
    skips = []
    for depth, width in enumerate(filters):
        if depth:
            x = convolution(width, 2, next(seeds), strides=2, activation=None)(x)
        for _ in range(blocks[depth]):
            x = _block(x, told, width, next(seeds))
        skips.append(x)
    skips.pop()
    for depth in reversed(range(len(skips))):
        x = DepthToSpace(2)(convolution(4 * filters[depth], 1, next(seeds), activation=None)(x))
        x = layers.Add()([CropLike()([x, skips[depth]]), skips[depth]])
        for _ in range(blocks[depth]):
            x = _block(x, told, filters[depth], next(seeds))
    x = last_convolution(scale**2, 3)(layers.ReLU()(x))
    return keras.Model([image, noisy, level], x, name=f"diffusion_x{scale}")


def _told(level: Tensor, seed: int) -> Tensor:
    """The level as 64 numbers, from waves of many lengths."""
    waves = level * (np.pi * np.geomspace(0.5, 50, WAVES)).astype(np.float32)
    waves = layers.Concatenate()([ops.sin(waves), ops.cos(waves)])
    return layers.Dense(64, activation="relu", kernel_initializer=keras.initializers.HeNormal(seed=seed))(waves)


def _block(x: Tensor, told: Tensor, filters: int, seed: int) -> Tensor:
    """A residual block; the level multiplies its channels and shifts them (Perez et al. 2018, FiLM)."""
    y = convolution(filters, 3, seed, activation=None)(x)
    both = layers.Dense(2 * filters, kernel_initializer="zeros")(told)
    factor, shift = ops.split(ops.reshape(both, (-1, 1, 1, 2 * filters)), 2, axis=-1)
    y = ops.relu(y * (1 + factor) + shift)
    y = convolution(filters, 3, None, activation=None, kernel_initializer="zeros")(y)
    return layers.Add()([x, y])


ARCHITECTURES = {"diffusion": diffusion}
