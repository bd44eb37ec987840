"""Super-resolution by attention: what a pixel is given from its surroundings depends on the image, not only on weights.

:func:`swinir` is a small SwinIR (Liang et al. 2021): attention in windows, every second time in shifted ones, so that
the cost grows with the number of pixels and not with its square. As everywhere in the course the output scales with
the input, ``f(a·x) = a·f(x)`` for a ≥ 0: instead of layer normalisation, queries and keys have length 1 (Liu et al.
2022, Swin V2), so that the attention weights do not change with the intensity, and values have no bias.
"""

from typing import Any

import numpy as np

from medsr_course.networks.layers import Shape, Tensor
from medsr_course.networks.models.common import (
    check_scale,
    convolution,
    image_input,
    keras,
    last_convolution,
    layers,
    residual_tail,
)

ops = keras.ops
SHARPNESS = 10.0  # what the cosine of query and key is multiplied by at the start


@keras.saving.register_keras_serializable("medsr_course")
class WindowAttention(layers.Layer):
    r"""Attention among the ``window``² pixels of each window (Liu et al. 2021, Swin; cosines as in Swin V2).

    .. math:: y = \mathrm{softmax}(\tau\,\hat q \hat k^T + b)\, v\, W, \qquad (q, k, v) = x\, W_{qkv}

    with :math:`\hat q = q / \|q\|`, a bias b for each offset between two pixels and a sharpness τ for each head. The
    windows begin ``shift`` pixels before the image; beyond it there are zeros, as for a convolution. W starts at zero.

    The layer maps ``(n, h, w, c)`` to the same shape, for any h and w; ``heads`` must divide c.
    """

    def __init__(self, heads: int, window: int, shift: int = 0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.window, self.shift, self.seed = heads, window, shift, seed
        rows, columns = np.divmod(np.arange(window**2), window)
        across = [side[:, None] - side + window - 1 for side in (rows, columns)]
        self.offsets = (across[0] * (2 * window - 1) + across[1]).ravel()

    def build(self, input_shape: Shape) -> None:
        c = input_shape[-1]
        start = keras.initializers.GlorotUniform(seed=self.seed)
        self.qkv = self.add_weight(shape=(c, 3 * c), initializer=start, name="qkv")
        self.out = self.add_weight(shape=(c, c), initializer="zeros", name="out")
        self.bias = self.add_weight(shape=(self.heads, (2 * self.window - 1) ** 2), initializer="zeros", name="bias")
        sharp = keras.initializers.Constant(SHARPNESS)
        self.sharpness = self.add_weight(shape=(self.heads, 1, 1), initializer=sharp, name="sharpness")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def call(self, x: Tensor) -> Tensor:
        size, c = self.window**2, x.shape[-1]
        n, h, w, _ = ops.shape(x)
        tokens, rows, columns = self._cut(x)
        q, k, v = ops.split(
            ops.reshape(ops.matmul(tokens, self.qkv), (-1, size, 3 * self.heads, c // self.heads)), 3, 2
        )
        q, k, v = (ops.transpose(part, (0, 2, 1, 3)) for part in (q, k, v))  # (windows, heads, pixels, channels)
        alike = ops.matmul(_length_1(q), ops.transpose(_length_1(k), (0, 1, 3, 2)))
        bias = ops.reshape(ops.take(self.bias, self.offsets, axis=1), (self.heads, size, size))
        weights = ops.softmax(self.sharpness * alike + bias, axis=-1)
        mixed = ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (-1, size, c))
        return self._join(ops.matmul(mixed, self.out), n, rows, columns)[
            :, self.shift : self.shift + h, self.shift : self.shift + w
        ]

    def _cut(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Windows (count, window², c), and how many there are along each side."""
        size, c = self.window, x.shape[-1]
        around = (self.shift, size - 1)
        x = ops.pad(x, ((0, 0), around, around, (0, 0)))
        rows, columns = (side // size for side in ops.shape(x)[1:3])
        x = ops.reshape(x[:, : rows * size, : columns * size], (-1, rows, size, columns, size, c))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, size**2, c)), rows, columns

    def _join(self, tokens: Tensor, n: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        size, c = self.window, tokens.shape[-1]
        x = ops.transpose(ops.reshape(tokens, (n, rows, columns, size, size, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, rows * size, columns * size, c))

    def get_config(self) -> dict[str, Any]:
        own = {"heads": self.heads, "window": self.window, "shift": self.shift, "seed": self.seed}
        return {**super().get_config(), **own}


def _length_1(x: Tensor) -> Tensor:
    return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-8)


def swinir(
    scale: int,
    *,
    filters: int = 48,
    groups: int = 3,
    heads: int = 2,
    window: int = 8,
    noise_map: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Returns a small SwinIR (Liang et al. 2021): ``groups`` of two attention layers and a 3×3 convolution.

    The first layer of a group has windows of ``window``² coarse pixels, the second one windows shifted by half of that;
    after each a perceptron of two layers works on every pixel. ``heads`` must divide ``filters``.

    The model maps ``(n, h, w, 1)`` to the residual over zero-filling ``(n, scale·h, scale·w, 1)``.
    """
    check_scale(scale, groups=(groups, 1), window=(window, 2))
    if filters % heads:
        raise ValueError(f"{heads} heads do not divide {filters} filters")
    image = image_input("coarse", noise_map)
    x = start = convolution(filters, 5, seed, first=not noise_map, activation=None)(image)
    for group in range(groups):
        before = x
        for half in (0, 1):
            own = seed + 10 * group + 5 * half
            x = layers.Add()([x, WindowAttention(heads, window, half * (window // 2), seed=own + 1)(x)])
            y = convolution(2 * filters, 1, own + 2)(x)
            y = convolution(filters, 1, None, activation=None, kernel_initializer="zeros")(y)
            x = layers.Add()([x, y])
        x = layers.Add()([before, convolution(filters, 3, seed + 10 * group + 9, activation=None)(x)])
    x = convolution(filters, 3, seed + 10 * groups + 1)(x)
    x = layers.Add()([x, start])
    return keras.Model(image, residual_tail(x, last_convolution(scale**2, 3), scale), name=f"swinir_x{scale}")


ARCHITECTURES = {"swinir": swinir}
