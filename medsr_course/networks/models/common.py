"""What the networks share: the framework, imported quietly, inputs, bias-free convolutions and tails."""

from medsr_course.networks.framework import keras, layers
from medsr_course.networks.layers import DepthToSpace, DifferenceConv2D


def image_input(name, noise_map):
    """An image ``(h, w, 1)``; with ``noise_map`` a second channel, the noise at every pixel."""
    return keras.Input((None, None, 2 if noise_map else 1), name=name)


def convolution(filters, size, seed, *, first=False, activation="relu", **options):
    """A bias-free convolution that keeps height and width; ``first``: it sees differences only."""
    kind = DifferenceConv2D if first else layers.Conv2D
    options.setdefault("kernel_initializer", keras.initializers.HeNormal(seed=seed))
    return kind(filters, size, padding="same", use_bias=False, activation=activation, **options)


def residual_tail(x, last, scale=None):
    """The tail: starts at zero, computes in full precision, and ends on the fine grid."""
    x = last(x)
    # Adam moves every weight by about the learning rate; a tenth keeps its first steps from overshooting a residual
    # that is itself only a few per cent of the image.
    x = layers.Rescaling(0.1, dtype="float32")(x)
    return DepthToSpace(scale, name="residual", dtype="float32")(x) if scale else x


def last_convolution(filters, size):
    """A convolution that starts at zero and computes in full precision: an untrained network then adds nothing."""
    return layers.Conv2D(filters, size, padding="same", use_bias=False, kernel_initializer="zeros", dtype="float32")


def check_scale(scale, **least):
    """ValueError where ``scale`` is below 2, or one of ``name=(value, bound)`` below its bound."""
    if scale < 2:
        raise ValueError(f"scale must be at least 2, not {scale}")
    for name, (value, bound) in least.items():
        if value < bound:
            raise ValueError(f"{name} must be at least {bound}, not {value}")
