"""Images as functions of place: a network that is asked for the value at any point, not for an array of pixels.

:func:`liif` learns from many scans and reads features of a convolutional network beside the place (Chen, Liu & Wang
2021, LIIF); its weights do not know the scale. :func:`siren` is one image and nothing else (Sitzmann et al. 2020).
"""

from typing import Any

import numpy as np

from medsr_course.networks.layers import Shape, Tensor
from medsr_course.networks.models.common import check_scale, convolution, image_input, keras, layers, residual_tail

ops = keras.ops


@keras.saving.register_keras_serializable("medsr_course")
class Field(layers.Layer):
    r"""The value at ``scale``² places in each pixel, from the pixel's features f and the place p, 0 ≤ p < 1.

    .. math:: y(p) = w_3^T\, \mathrm{relu}(W_2\, \mathrm{relu}(g(p) \odot W_1 f)), \quad g(p) = 1 + W_g \sin(W_p p + b)

    No place adds a constant, so that y scales with f. w₃ starts at zero. The layer maps ``(n, h, w, c)`` to
    ``(n, h, w, scale²)``, row by row, for :class:`~medsr_course.networks.layers.DepthToSpace`.
    """

    def __init__(self, scale: int, width: int = 48, waves: int = 32, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.width, self.waves, self.seed = scale, width, waves, seed

    def build(self, input_shape: Shape) -> None:
        he, normal = keras.initializers.HeNormal, keras.initializers.RandomNormal
        rows = {
            "first": ((input_shape[-1], self.width), he(seed=self.seed)),
            "frequency": ((2, self.waves), normal(stddev=np.pi, seed=self.seed + 1)),
            "phase": ((self.waves,), normal(stddev=np.pi, seed=self.seed + 2)),
            "gain": ((self.waves, self.width), normal(stddev=self.waves**-0.5, seed=self.seed + 3)),
            "second": ((self.width, self.width), he(seed=self.seed + 4)),
            "third": ((self.width, 1), "zeros"),
        }
        self.own = {name: self.add_weight(shape=s, initializer=i, name=name) for name, (s, i) in rows.items()}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.scale**2)

    def call(self, x: Tensor) -> Tensor:
        own = self.own
        places = np.stack(np.divmod(np.arange(self.scale**2), self.scale), axis=-1) / self.scale
        waves = ops.sin(ops.matmul(ops.cast(places, x.dtype), own["frequency"]) + own["phase"])
        gains = 1 + ops.matmul(waves, own["gain"])  # (scale², width)
        y = ops.relu(ops.expand_dims(ops.matmul(x, own["first"]), -2) * gains)
        y = ops.relu(ops.matmul(y, own["second"]))
        return ops.matmul(y, own["third"])[..., 0]

    def get_config(self) -> dict[str, Any]:
        own = {"scale": self.scale, "width": self.width, "waves": self.waves, "seed": self.seed}
        return {**super().get_config(), **own}


def liif(
    scale: int, *, filters: int = 48, blocks: int = 3, width: int = 48, noise_map: bool = False, seed: int = 0
) -> keras.Model:
    """Returns residual blocks on the coarse grid and a :class:`Field` behind them (Chen, Liu & Wang 2021, LIIF).

    The weights fit every ``scale``: trained at one, the network can be asked for another.

    The model maps ``(n, h, w, 1)`` to the residual over zero-filling ``(n, scale·h, scale·w, 1)``.
    """
    check_scale(scale, blocks=(blocks, 1))
    image = image_input("coarse", noise_map)
    x = start = convolution(filters, 5, seed, first=not noise_map, activation=None)(image)
    for i in range(blocks):
        y = convolution(filters, 3, seed + 2 * i + 1)(x)
        y = convolution(filters, 3, None, activation=None, kernel_initializer="zeros")(y)
        x = layers.Add()([x, y])
    x = convolution(filters, 3, seed + 2 * blocks + 1)(x)
    x = layers.Add()([x, start])
    field = Field(scale, width, seed=seed + 2 * blocks + 2)
    return keras.Model(image, residual_tail(x, field, scale), name=f"liif_x{scale}")


def siren(*, width: int = 64, depth: int = 3, frequency: float = 30.0, seed: int = 0) -> keras.Model:
    """Returns a network of sines from a place to a value (Sitzmann et al. 2020): its weights *are* the image.

    Places are from -1 to 1; ``frequency`` is ω₀, which the first layer multiplies them by: how fine the field can be.
    ``depth`` counts the hidden layers. The model maps ``(n, places, 2)`` to ``(n, places, 1)``.
    """
    place = keras.Input((None, 2), name="place")
    x = place
    for i in range(depth):
        inside = x.shape[-1]
        bound = 1 / inside if i == 0 else np.sqrt(6 / inside) / frequency
        start = keras.initializers.RandomUniform(-bound, bound, seed=seed + i)
        x = layers.Dense(width, kernel_initializer=start, bias_initializer=start)(x)
        x = ops.sin(frequency * x)
    bound = np.sqrt(6 / width) / frequency
    last = layers.Dense(1, kernel_initializer=keras.initializers.RandomUniform(-bound, bound, seed=seed + depth))
    return keras.Model(place, last(x), name="siren")


ARCHITECTURES = {"liif": liif, "siren": siren}
