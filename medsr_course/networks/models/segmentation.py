"""Segmentation networks in Keras 3, written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch.

They map a batch ``(n, h, w, channels)``, divided by its intensity scale, to one *logit* per class and pixel ``(n, h, w,
classes)``: softmax makes probabilities of them, the largest is the label. Any height and width will do.
"""

from collections.abc import Sequence

from medsr_course.networks.layers import CropLike
from medsr_course.networks.models.common import CHANNELS_LAST, Tensor, keras, layers


def unet(classes: int, *, channels: int = 1, filters: Sequence[int] = (16, 32, 64), seed: int = 0) -> keras.Model:
    """Returns a U-Net (Ronneberger, Fischer & Brox 2015): down, up again, and a bridge at every level.

    Two 3 × 3 convolutions with ReLU at every level; pooling halves the sides; on the way up nearest-neighbour
    enlargement, and the maps of the way down beside it. Unlike the paper's it pads, so that the output is as large as
    the input, and it enlarges without a transposed convolution.

    The model maps ``(n, h, w, channels)`` to float32 logits of at least two classes, ``(n, h, w, classes)``;
    ``filters`` has one number per level, finest first.
    """
    if classes < 2:
        raise ValueError(f"there must be at least two classes, not {classes}")
    if not filters:
        raise ValueError("filters must name at least one level")
    seeds = iter(range(1000 * seed, 1000 * seed + 100))

    def twice(x: Tensor, width: int) -> Tensor:
        for _ in range(2):
            start = keras.initializers.HeNormal(seed=next(seeds))
            options = {"padding": "same", "activation": "relu", "kernel_initializer": start}
            x = layers.Conv2D(width, 3, **options, **CHANNELS_LAST)(x)
        return x

    image = keras.Input((None, None, channels), name="image")
    x, bridges = image, []
    for width in filters[:-1]:
        bridges.append(twice(x, width))
        x = layers.MaxPooling2D(2, padding="same", **CHANNELS_LAST)(bridges[-1])
    x = twice(x, filters[-1])
    for width, bridge in zip(filters[-2::-1], bridges[::-1], strict=True):
        x = CropLike()([layers.UpSampling2D(2, interpolation="nearest", **CHANNELS_LAST)(x), bridge])
        x = twice(layers.Concatenate()([bridge, x]), width)
    start = keras.initializers.HeNormal(seed=next(seeds))
    logits = layers.Conv2D(classes, 1, kernel_initializer=start, dtype="float32", name="logits", **CHANNELS_LAST)(x)
    return keras.Model(image, logits, name="unet")


ARCHITECTURES = {"unet": unet}
