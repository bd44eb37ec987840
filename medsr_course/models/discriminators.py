"""Judges of patches: measured or generated?"""

from medsr_course.models.common import keras, layers


def discriminator(*, filters=32, channels=1, seed=0):
    """SRGAN's judge of patches (Ledig et al. 2017, without batch normalisation): real or generated?

    Parameters
    ----------
    filters : int
        Of the first layer; every second layer halves the resolution and doubles the channels.
    channels : int
        2 for a conditional judge: the image, and the one it was made from (Isola et al. 2017).
    seed : int

    Returns
    -------
    keras.Model
        ``(n, H, W, channels)``, divided by the intensity scale, to one logit each, ``(n, 1)``: positive for "real".
    """
    image = keras.Input((None, None, channels), name="fine")
    x = image
    for i, (width, stride) in enumerate(((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2))):
        start = keras.initializers.HeNormal(seed=seed + i)
        x = layers.Conv2D(width * filters, 3, strides=stride, padding="same", kernel_initializer=start)(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(4 * filters, kernel_initializer=keras.initializers.HeNormal(seed=seed + 6))(x)
    x = layers.LeakyReLU(0.2)(x)
    start = keras.initializers.GlorotUniform(seed=seed + 7)
    return keras.Model(image, layers.Dense(1, kernel_initializer=start, dtype="float32")(x), name="discriminator")
