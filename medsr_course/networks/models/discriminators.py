"""Judges of patches: measured or generated? And: does it go with the image it was made from?"""

from medsr_course.networks.models.common import CHANNELS_LAST, Tensor, keras, layers

GAIN = 10  # grain and noise are a few per cent of the image


def discriminator(*, filters: int = 32, seed: int = 0) -> keras.Model:
    """Returns SRGAN's judge of patches (Ledig et al. 2017, without batch normalisation): real or generated?

    ``filters`` are those of the first layers; every second layer halves the resolution, and channels double.

    The model maps ``(n, H, W, 1)``, divided by the intensity scale, to one logit each, ``(n, 1)``: positive for "real".
    """
    image = keras.Input((None, None, 1), name="fine")
    return keras.Model(image, _judged(image, filters, 6, seed), name="discriminator")


def pair_discriminator(*, filters: int = 16, depth: int = 4, seed: int = 0) -> keras.Model:
    """Returns a conditional discriminator (Isola et al. 2017) that reads differences of two images.

    It reads an image and the noisy one it was made from, and forms two pictures that hold no anatomy when all is
    well: the image less its 3×3 mean (its grain), and the noisy one less the image (what was taken away). Learning
    these small differences takes long where brightness and folds are a hundred times stronger.

    The model, of ``depth`` convolutions as in :func:`discriminator`, maps ``(n, H, W, 2)``, image and noisy image in
    parts of the intensity scale, to one logit each, ``(n, 1)``: positive for "measured".
    """
    pair = keras.Input((None, None, 2), name="pair")
    image, noisy = pair[..., :1], pair[..., 1:]
    grain = image - layers.AveragePooling2D(3, strides=1, padding="same", **CHANNELS_LAST)(image)
    x = layers.Concatenate()([image, GAIN * grain, GAIN * (noisy - image)])
    return keras.Model(pair, _judged(x, filters, depth, seed), name="pair_discriminator")


def _judged(x: Tensor, filters: int, depth: int, seed: int) -> Tensor:
    """Convolutions, every second of which halves the resolution, their mean over the image, and its logit."""
    for i in range(depth):
        options = {"strides": 1 + i % 2, "kernel_initializer": keras.initializers.HeNormal(seed=seed + i)}
        x = layers.Conv2D(2 ** (i // 2) * filters, 3, padding="same", **options, **CHANNELS_LAST)(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.GlobalAveragePooling2D(**CHANNELS_LAST)(x)
    x = layers.Dense(4 * filters, kernel_initializer=keras.initializers.HeNormal(seed=seed + depth))(x)
    x = layers.LeakyReLU(0.2)(x)
    start = keras.initializers.GlorotUniform(seed=seed + depth + 1)
    return layers.Dense(1, kernel_initializer=start, dtype="float32")(x)
