"""What the networks share: inputs, bias-free convolutions and tails."""

from typing import Any, TypeAlias

from medsr_course.networks.framework import keras, layers
from medsr_course.networks.layers import DepthToSpace, DifferenceConv2D

Tensor: TypeAlias = Any  # of Keras, symbolic, or of the backend
CHANNELS_LAST = {"data_format": "channels_last"}  # whatever Keras is set to when a network is built


def image_input(name: str, noise_map: bool) -> Tensor:
    """Returns the entry for an image ``(h, w, 1)``; with ``noise_map`` a second channel, the noise at every pixel."""
    return keras.Input((None, None, 2 if noise_map else 1), name=name)


def convolution(
    filters: int, size: int, seed: int | None, *, first: bool = False, activation: str | None = "relu", **options: Any
) -> layers.Layer:
    """Returns a bias-free convolution that keeps height and width; ``first``: it sees differences only."""
    kind = DifferenceConv2D if first else layers.Conv2D
    options.setdefault("kernel_initializer", keras.initializers.HeNormal(seed=seed))
    return kind(filters, size, padding="same", use_bias=False, activation=activation, **CHANNELS_LAST, **options)


def residual_tail(x: Tensor, last: layers.Layer, scale: int | None = None) -> Tensor:
    """Returns the output of the tail: it starts at zero, computes in full precision, and ends on the fine grid."""
    x = last(x)
    # Adam moves every weight by about the learning rate; a tenth keeps its first steps from overshooting a residual
    # that is itself only a few per cent of the image.
    x = layers.Rescaling(0.1, dtype="float32")(x)
    return DepthToSpace(scale, name="residual", dtype="float32")(x) if scale else x


def last_convolution(filters: int, size: int) -> layers.Layer:
    """Returns a convolution that starts at zero and computes in full precision: untrained, a network adds nothing."""
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "zeros", "dtype": "float32"}
    return layers.Conv2D(filters, size, **options, **CHANNELS_LAST)


def check_scale(scale: int, **least: tuple[int, int]) -> None:
    """Raises ValueError where ``scale`` is below 2, or one of ``name=(value, bound)`` below its bound."""
    if scale < 2:
        raise ValueError(f"scale must be at least 2, not {scale}")
    for name, (value, bound) in least.items():
        if value < bound:
            raise ValueError(f"{name} must be at least {bound}, not {value}")
