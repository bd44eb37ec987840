"""Super-resolution networks in Keras 3, written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch.

Every generator maps a batch ``(n, h, w, 1)``, divided by its intensity scale, to the **residual over zero-filling**
``(n, scale·h, scale·w, 1)``: what to add to ``classical.zero_fill`` of the same image. Those with a tail that makes
pixels (:func:`fsrcnn`, :func:`espcn`, :func:`srresnet`) read the coarse image; :func:`srcnn`, :func:`vdsr` and
:func:`drcn` read the zero-filled one, ``(n, scale·h, scale·w, 1)``: :data:`ON_ZIP` names them. Zero-filling itself
stays outside (a Fourier transform does not export everywhere); see :mod:`medsr_course.pretrained` for the whole way
from image to image.

Convolutions have no bias, so with ReLU the output scales with the input, ``f(a·x) = a·f(x)`` for a ≥ 0; the first
one sees differences only, so a uniform region stays as it is. The last layer starts at zero: an untrained
network *is* zero-filling. Any height and width will do.

With ``noise_map=True`` a network reads a second channel, the standard deviation of the noise at every pixel in the same
unit (Zhang, Zuo & Zhang 2018, FFDNet): it need not guess whether a speck is noise. Its first convolution sees
brightness, too, because the bias of magnitude noise depends on it.
"""

from medsr_course import runtime

runtime.quiet_frameworks()
with runtime.hushed():
    import keras
    from keras import layers

    from medsr_course.layers import CentredDeconvolution, DepthToSpace, DifferenceConv2D


ON_ZIP = ("srcnn", "vdsr", "drcn")


def _input(name, noise_map):
    return keras.Input((None, None, 2 if noise_map else 1), name=name)


def _convolution(filters, size, seed, *, first=False, activation="relu", **options):
    """A bias-free convolution that keeps height and width; ``first``: it sees differences only."""
    kind = DifferenceConv2D if first else layers.Conv2D
    options.setdefault("kernel_initializer", keras.initializers.HeNormal(seed=seed))
    return kind(filters, size, padding="same", use_bias=False, activation=activation, **options)


def _residual(x, convolution, scale=None):
    """The tail: starts at zero, computes in full precision, and ends on the fine grid."""
    x = convolution(x)
    # Adam moves every weight by about the learning rate; a tenth keeps its first steps from overshooting a residual
    # that is itself only a few per cent of the image.
    x = layers.Rescaling(0.1, dtype="float32")(x)
    return DepthToSpace(scale, name="residual", dtype="float32")(x) if scale else x


def _last(filters, size):
    return layers.Conv2D(filters, size, padding="same", use_bias=False, kernel_initializer="zeros", dtype="float32")


def _checked(scale, **least):
    if scale < 2:
        raise ValueError(f"scale must be at least 2, not {scale}")
    for name, (value, bound) in least.items():
        if value < bound:
            raise ValueError(f"{name} must be at least {bound}, not {value}")


def srcnn(scale, *, filters=(64, 32), sizes=(9, 1, 5), noise_map=False, seed=0):
    """The first convolutional network for super-resolution (Dong et al. 2014), as a residual over zero-filling.

    Patch extraction, non-linear mapping, reconstruction; all three on the fine grid.

    Parameters
    ----------
    scale : int
        Of the zero-filled image it is given; it does not change the network.
    filters : (int, int)
    sizes : (int, int, int)
        Kernel sizes; the paper's are 9-1-5, 9-3-5 and 9-5-5.
    seed : int
        Of the initial weights.

    Returns
    -------
    keras.Model
        ``(n, H, W, 1)``, zero-filled, to its residual of the same shape.
    """
    _checked(scale)
    image = _input("zip", noise_map)
    x = _convolution(filters[0], sizes[0], seed, first=not noise_map)(image)
    x = _convolution(filters[1], sizes[1], seed + 1)(x)
    return keras.Model(image, _residual(x, _last(1, sizes[2])), name=f"srcnn_x{scale}")


def fsrcnn(scale, *, d=56, s=12, m=4, noise_map=False, seed=0):
    """FSRCNN(d, s, m): shrink, map, expand on the coarse grid, then a deconvolution (Dong et al. 2016).

    Parameters
    ----------
    scale : int
        At most 5: the deconvolution is 9×9.
    d, s, m : int
        Channels outside, channels inside, number of mapping layers.
    seed : int
    """
    _checked(scale, m=(m, 1))
    image = _input("coarse", noise_map)
    x = _convolution(d, 5, seed, first=not noise_map)(image)
    x = _convolution(s, 1, seed + 1)(x)
    for i in range(m):
        x = _convolution(s, 3, seed + 2 + i)(x)
    x = _convolution(d, 1, seed + 2 + m)(x)
    tail = CentredDeconvolution(1, 9, scale, use_bias=False, kernel_initializer="zeros", dtype="float32")
    return keras.Model(image, _residual(x, tail), name=f"fsrcnn_x{scale}")


def espcn(scale, *, filters=48, depth=6, noise_map=False, seed=0):
    """Efficient sub-pixel network (Shi et al. 2016), as a residual over zero-filling.

    All convolutions work on the coarse grid, where a pixel costs scale² times less; the last one makes scale²
    values per coarse pixel, and :class:`~medsr_course.layers.DepthToSpace` lays them out as fine pixels.

    Parameters
    ----------
    scale : int
    filters : int
        Channels of the hidden layers.
    depth : int
        Convolutions in all, at least 2: one 5×5, the others 3×3.
    seed : int
        Of the initial weights.

    Returns
    -------
    keras.Model
        ``(n, h, w, 1)`` to ``(n, scale·h, scale·w, 1)``.

    Raises
    ------
    ValueError
        If ``scale`` or ``depth`` is below 2.
    """
    _checked(scale, depth=(depth, 2))
    image = _input("coarse", noise_map)
    x = image
    for i in range(depth - 1):
        x = _convolution(filters, 3 if i else 5, seed + i, first=i == 0 and not noise_map)(x)
    return keras.Model(image, _residual(x, _last(scale**2, 3), scale), name=f"espcn_x{scale}")


def vdsr(scale, *, filters=64, depth=20, noise_map=False, seed=0):
    """Very deep: ``depth`` 3×3 convolutions on the zero-filled image (Kim, Lee & Lee 2016a)."""
    _checked(scale, depth=(depth, 2))
    image = _input("zip", noise_map)
    x = image
    for i in range(depth - 1):
        x = _convolution(filters, 3, seed + i, first=i == 0 and not noise_map)(x)
    return keras.Model(image, _residual(x, _last(1, 3)), name=f"vdsr_x{scale}")


def drcn(scale, *, filters=32, recursions=9, noise_map=False, seed=0):
    """Deeply recursive: one 3×3 convolution applied again and again (Kim, Lee & Lee 2016b).

    Every recursion hands its features to the same reconstruction; the output is their average with learned weights,
    a 1×1 convolution without bias.
    """
    _checked(scale, recursions=(recursions, 1))
    image = _input("zip", noise_map)
    x = _convolution(filters, 3, seed, first=not noise_map)(image)
    x = _convolution(filters, 3, seed + 1)(x)
    again = _convolution(filters, 3, seed + 2, name="recursion")
    rebuild = _convolution(filters, 3, seed + 3, name="reconstruction")
    outputs = []
    for _ in range(recursions):
        x = again(x)
        outputs.append(rebuild(x))
    x = layers.Concatenate()(outputs) if recursions > 1 else outputs[0]
    return keras.Model(image, _residual(x, _last(1, 1)), name=f"drcn_x{scale}")


def srresnet(scale, *, filters=48, blocks=6, noise_map=False, seed=0):
    """Residual blocks on the coarse grid, without batch normalisation (Ledig et al. 2017; Lim et al. 2017, EDSR).

    Parameters
    ----------
    scale : int
    filters : int
    blocks : int
        Two 3×3 convolutions each; a skip connection spans each block, and one more spans them all.
    seed : int

    Returns
    -------
    keras.Model
        ``(n, h, w, 1)`` to ``(n, scale·h, scale·w, 1)``.
    """
    _checked(scale, blocks=(blocks, 1))
    image = _input("coarse", noise_map)
    x = start = _convolution(filters, 5, seed, first=not noise_map, activation=None)(image)
    for i in range(blocks):
        y = _convolution(filters, 3, seed + 2 * i + 1)(x)
        # A block that starts at zero starts as the identity: deep networks then train like shallow ones.
        y = _convolution(filters, 3, None, activation=None, kernel_initializer="zeros")(y)
        x = layers.Add()([x, y])
    x = _convolution(filters, 3, seed + 2 * blocks + 1)(x)
    x = layers.Add()([x, start])
    return keras.Model(image, _residual(x, _last(scale**2, 3), scale), name=f"srresnet_x{scale}")


def discriminator(*, filters=32, seed=0):
    """SRGAN's judge of patches (Ledig et al. 2017, without batch normalisation): real or generated?

    Parameters
    ----------
    filters : int
        Of the first layer; every second layer halves the resolution and doubles the channels.
    seed : int

    Returns
    -------
    keras.Model
        ``(n, H, W, 1)``, divided by the intensity scale, to one logit each, ``(n, 1)``: positive for "real".
    """
    image = keras.Input((None, None, 1), name="fine")
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


def tissue_features(*, filters=(16, 32, 48), seed=0):
    """An encoder as in VGG (Simonyan & Zisserman 2015): pairs of 3×3 convolutions, max-pooling between them.

    Parameters
    ----------
    filters : tuple of int
        Channels of each level.
    seed : int

    Returns
    -------
    keras.Model
        ``(n, H, W, 1)``, divided by the intensity scale, to one feature map per level, ``(n, H/2ˡ, W/2ˡ, filters[l])``.
    """
    image = keras.Input((None, None, 1), name="fine")
    x, maps = image, []
    for i, width in enumerate(filters):
        if i:
            x = layers.MaxPooling2D(padding="same")(x)
        x = _convolution(width, 3, seed + 2 * i, first=i == 0)(x)
        x = _convolution(width, 3, seed + 2 * i + 1)(x)
        maps.append(x)
    return keras.Model(image, maps, name="tissue_features")


def contrast_features(*, filters=(24, 40, 56, 64), seed=0):
    """An encoder built otherwise: single 5×5 convolutions, a stride of two instead of pooling, smooth activations.

    Parameters
    ----------
    filters : tuple of int
        Channels of each level.
    seed : int

    Returns
    -------
    keras.Model
        As :func:`tissue_features`.
    """
    image = keras.Input((None, None, 1), name="fine")
    x, maps = image, []
    for i, width in enumerate(filters):
        start = keras.initializers.HeNormal(seed=seed + i)
        x = layers.Conv2D(width, 5, strides=2 if i else 1, padding="same", kernel_initializer=start)(x)
        x = keras.ops.gelu(x, approximate=True)  # by tanh, which ONNX has
        maps.append(x)
    return keras.Model(image, maps, name="contrast_features")


FEATURES = {network.__name__: network for network in (tissue_features, contrast_features)}
ARCHITECTURES = {network.__name__: network for network in (srcnn, fsrcnn, espcn, vdsr, drcn, srresnet)}


def build(architecture, **settings):
    """A network by name, as a model card states it: ``build("espcn", scale=4, filters=48, depth=6)``."""
    known = {**ARCHITECTURES, **FEATURES}
    if architecture not in known:
        raise ValueError(f"there is no network {architecture!r}; there are: {', '.join(known)}")
    return known[architecture](**settings)
