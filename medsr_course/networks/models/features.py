"""Encoders: networks whose feature maps judge images."""

from collections.abc import Sequence

from medsr_course.networks.models.common import CHANNELS_LAST, convolution, keras, layers


def tissue_features(*, filters: Sequence[int] = (16, 32, 48), seed: int = 0) -> keras.Model:
    """Returns an encoder as in VGG (Simonyan & Zisserman 2015): pairs of 3×3 convolutions, max-pooling between them.

    The model maps ``(n, H, W, 1)``, divided by the intensity scale, to one feature map per level,
    ``(n, H/2ˡ, W/2ˡ, filters[l])``.
    """
    image = keras.Input((None, None, 1), name="fine")
    x, maps = image, []
    for i, width in enumerate(filters):
        if i:
            x = layers.MaxPooling2D(padding="same", **CHANNELS_LAST)(x)
        x = convolution(width, 3, seed + 2 * i, first=i == 0)(x)
        x = convolution(width, 3, seed + 2 * i + 1)(x)
        maps.append(x)
    return keras.Model(image, maps, name="tissue_features")


def contrast_features(*, filters: Sequence[int] = (24, 40, 56, 64), seed: int = 0) -> keras.Model:
    """Returns an encoder of single 5×5 convolutions, strides of two instead of pooling, and smooth activations.

    The model maps as :func:`tissue_features` does.
    """
    image = keras.Input((None, None, 1), name="fine")
    x, maps = image, []
    for i, width in enumerate(filters):
        start = keras.initializers.HeNormal(seed=seed + i)
        options = {"strides": 2 if i else 1, "padding": "same", "kernel_initializer": start}
        x = layers.Conv2D(width, 5, **options, **CHANNELS_LAST)(x)
        x = keras.ops.gelu(x, approximate=True)  # by tanh, which ONNX has
        maps.append(x)
    return keras.Model(image, maps, name="contrast_features")


ARCHITECTURES = {network.__name__: network for network in (tissue_features, contrast_features)}
