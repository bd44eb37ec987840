"""Judges of patches: measured or generated? And: does it go with the image it was made from?"""

from medsr_course.networks.models.common import CHANNELS_LAST, keras, layers

GAIN = 10  # grain and noise are a few per cent of the image


def discriminator(*, filters: int = 32, seed: int = 0) -> keras.Model:
    """Returns SRGAN's judge of patches (Ledig et al. 2017, without batch normalisation): real or generated?

    Parameters
    ----------
    filters : int
        Of the first layer; every second layer halves the resolution and doubles the channels.

    The model maps ``(n, H, W, 1)``, divided by the intensity scale, to one logit each, ``(n, 1)``: positive for "real".
    """
    image = keras.Input((None, None, 1), name="fine")
    x = image
    for i, (width, stride) in enumerate(((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2))):
        start = keras.initializers.HeNormal(seed=seed + i)
        x = _convolution(width * filters, stride, start)(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.GlobalAveragePooling2D(**CHANNELS_LAST)(x)
    x = layers.Dense(4 * filters, kernel_initializer=keras.initializers.HeNormal(seed=seed + 6))(x)
    x = layers.LeakyReLU(0.2)(x)
    start = keras.initializers.GlorotUniform(seed=seed + 7)
    return keras.Model(image, layers.Dense(1, kernel_initializer=start, dtype="float32")(x), name="discriminator")


def pair_discriminator(*, filters: int = 16, depth: int = 4, seed: int = 0) -> keras.Model:
    """Returns a conditional discriminator (Isola et al. 2017) that reads differences of two images.

    It reads an image and the noisy one it was made from, and forms two pictures that hold no anatomy when all is
    well: the image less its 3×3 mean (its grain), and the noisy one less the image (what was taken away). Learning
    these small differences takes long where brightness and folds are a hundred times stronger.

    Parameters
    ----------
    filters : int
        Of the first layers; every second layer halves the resolution and doubles the channels.
    depth : int
        3×3 convolutions.

    The model maps ``(n, H, W, 2)``, image and noisy image in parts of the intensity scale, to one logit each,
    ``(n, 1)``: positive for "measured".
    """
    pair = keras.Input((None, None, 2), name="pair")
    image, noisy = pair[..., :1], pair[..., 1:]
    grain = image - layers.AveragePooling2D(3, strides=1, padding="same", **CHANNELS_LAST)(image)
    x = layers.Concatenate()([image, GAIN * grain, GAIN * (noisy - image)])
    for i in range(depth):
        start = keras.initializers.HeNormal(seed=seed + i)
        width, stride = 2 ** (i // 2) * filters, 1 + i % 2
        x = _convolution(width, stride, start)(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.GlobalAveragePooling2D(**CHANNELS_LAST)(x)
    x = layers.Dense(4 * filters, kernel_initializer=keras.initializers.HeNormal(seed=seed + depth))(x)
    x = layers.LeakyReLU(0.2)(x)
    start = keras.initializers.GlorotUniform(seed=seed + depth + 1)
    return keras.Model(pair, layers.Dense(1, kernel_initializer=start, dtype="float32")(x), name="pair_discriminator")


def _convolution(filters: int, stride: int, start: keras.initializers.Initializer) -> layers.Layer:
    return layers.Conv2D(filters, 3, strides=stride, padding="same", kernel_initializer=start, **CHANNELS_LAST)
