"""Denoisers in Keras 3: image to **what to add to it** ``(n, h, w, channels)``, the noise with its sign turned round.

No biases, ReLU: for a ≥ 0 the output scales with the input, ``f(a·x) = a·f(x)``, whatever the scanner's unit; and a
network trained on some levels of noise carries over to others better than one with biases (Mohan et al. 2020). The
last layer starts at zero: an untrained network leaves the image as it is. Any height and width will do.

With ``fold=2`` the first convolution has a stride of two and the last one a sub-pixel layer behind it: all between
them works on a grid of half the size, four times cheaper, and sees twice as far (Zhang, Zuo & Zhang 2018, FFDNet).
"""

from collections.abc import Sequence

from medsr_course.networks.layers import CropLike, DepthToSpace
from medsr_course.networks.models.common import (
    CHANNELS_LAST,
    Tensor,
    convolution,
    image_input,
    keras,
    last_convolution,
    layers,
)


def dncnn(*, filters: int = 64, depth: int = 8, fold: int = 1, noise_map: bool = False, seed: int = 0) -> keras.Model:
    """Returns a DnCNN (Zhang et al. 2017) without biases and batch normalisation: ``depth`` (≥ 2) 3×3 convolutions.

    ``filters`` are the channels of the hidden layers; ``fold=2`` works on half the grid. With ``noise_map`` a second
    channel holds the noise at every pixel; without it the network does not see the level.

    The model maps ``(n, h, w, 1)`` to ``(n, h, w, 1)``.
    """
    _checked(fold, depth)
    image = image_input("noisy", noise_map)
    x = _read(image, filters, fold, seed)
    for i in range(depth - 2):
        x = convolution(filters, 3, seed + 1 + i)(x)
    return keras.Model(image, _write(x, image, fold), name="dncnn")


def denoising_unet(
    *,
    filters: Sequence[int] = (24, 48, 64),
    blocks: Sequence[int] = (1, 1, 1),
    fold: int = 1,
    noise_map: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Returns a small U-Net of residual blocks (Ronneberger et al. 2015; Zhang et al. 2021, DRUNet).

    ``filters``: channels of each level; each next one has half the grid. ``blocks``: residual blocks of each level, on
    the way down and again on the way up; of the last one, in all. Everything else is as in :func:`dncnn`.
    """
    _checked(fold, len(filters) + 1)
    image = image_input("noisy", noise_map)
    seeds = iter(range(seed, seed + 10_000))
    x = _read(image, filters[0], fold, next(seeds), activation=None)
    skips = []
    for level, width in enumerate(filters):
        if level:
            x = convolution(width, 2, next(seeds), strides=2, activation=None)(x)
        for _ in range(blocks[level]):
            x = _block(x, width, next(seeds))
        skips.append(x)
    skips.pop()
    for level in reversed(range(len(skips))):
        # The sub-pixel layer costs less than a convolution on the larger grid.
        x = convolution(4 * filters[level], 1, next(seeds), activation=None)(x)
        x = CropLike()([DepthToSpace(2)(x), skips[level]])
        x = layers.Add()([x, skips[level]])
        for _ in range(blocks[level]):
            x = _block(x, filters[level], next(seeds))
    return keras.Model(image, _write(layers.ReLU()(x), image, fold), name="denoising_unet")


def autoencoder(*, filters: Sequence[int] = (16, 32), code: int = 4, seed: int = 0) -> keras.Model:
    """Returns an autoencoder: the image itself, not a residual, through ``code`` numbers per 4×4 pixels.

    ``filters`` are the channels on the way to the code; each halves the grid. The model maps ``(n, h, w, 1)`` to the
    denoised image ``(n, h, w, 1)``.
    """
    image = image_input("noisy", False)
    x = image
    for i, width in enumerate(filters):
        x = convolution(width, 4, seed + i, strides=2)(x)
        x = convolution(width, 3, seed + 10 + i)(x)
    x = convolution(code, 3, seed + 20, activation=None, name="code")(x)
    for i, width in enumerate(reversed(filters)):
        x = convolution(width, 3, seed + 30 + i)(x)
        x = DepthToSpace(2)(convolution(4 * width, 3, seed + 40 + i)(x))
    x = layers.Conv2D(1, 3, padding="same", use_bias=False, dtype="float32", **CHANNELS_LAST)(x)
    return keras.Model(image, CropLike(dtype="float32")([x, image]), name="autoencoder")


def _read(image: Tensor, filters: int, fold: int, seed: int, activation: str | None = "relu") -> Tensor:
    """The first convolution; an even kernel, because with an odd one a stride of two starts at another pixel for odd
    sides than for even ones."""
    if fold == 1:
        return convolution(filters, 3, seed, activation=activation)(image)
    return convolution(filters, 4, seed, activation=activation, strides=2)(image)


def _write(x: Tensor, image: Tensor, fold: int) -> Tensor:
    x = last_convolution(fold**2, 3)(x)
    if fold == 1:
        return x
    return CropLike(name="residual", dtype="float32")([DepthToSpace(fold, dtype="float32")(x), image])


def _block(x: Tensor, filters: int, seed: int) -> Tensor:
    y = convolution(filters, 3, seed)(x)
    y = convolution(filters, 3, None, activation=None, kernel_initializer="zeros")(y)
    return layers.Add()([x, y])


def _checked(fold: int, depth: int) -> None:
    if fold not in (1, 2) or depth < 2:
        raise ValueError(f"fold must be 1 or 2 and depth at least 2, not {fold} and {depth}")


ARCHITECTURES = {network.__name__: network for network in (dncnn, denoising_unet, autoencoder)}
