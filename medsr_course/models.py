"""Super-resolution networks in Keras 3, written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch.

Every network maps a low-resolution batch ``(n, h, w, 1)``, divided by its intensity scale, to the **residual
over zero-filling** ``(n, scale·h, scale·w, 1)``: what to add to ``classical.zero_fill`` of the same image.
Zero-filling itself stays outside (a Fourier transform does not export everywhere); see
:mod:`medsr_course.pretrained` for the whole way from image to image.

Convolutions have no bias, so with ReLU the output scales with the input, ``f(a·x) = a·f(x)`` for a ≥ 0; the first
one sees differences only, so a uniform region stays as it is. The last layer starts at zero: an untrained
network *is* zero-filling.
"""

from medsr_course import runtime

runtime.quiet_frameworks()
with runtime.hushed():
    import keras
    from keras import layers, ops


@keras.saving.register_keras_serializable("medsr_course")
class DepthToSpace(layers.Layer):
    """Rearrange ``(n, h, w, s²·c)`` to ``(n, s·h, s·w, c)``: the sub-pixel layer (Shi et al. 2016, eq. 4).

    Channel ``(a·s + b)·c + k`` of LR sample ``(i, j)`` becomes channel k of HR sample ``(s·i + a, s·j + b)``: sample 0
    stays in place, as everywhere in this course.
    """

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        s = self.scale
        return (n, None if h is None else s * h, None if w is None else s * w, c // s**2)

    def call(self, x):
        s, c = self.scale, x.shape[-1] // self.scale**2
        n, h, w, _ = ops.shape(x)
        x = ops.transpose(ops.reshape(x, (n, h, w, s, s, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, s * h, s * w, c))

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("medsr_course")
class DifferenceConv2D(layers.Conv2D):
    """A convolution whose kernels sum to zero: it sees differences between pixels, not how bright the tissue is."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel - ops.mean(kernel, axis=(0, 1, 2), keepdims=True))


def espcn(scale, *, filters=48, depth=6, seed=0):
    """Efficient sub-pixel network (Shi et al. 2016), as a residual over zero-filling.

    All convolutions work on the coarse grid, where a pixel costs scale² times less; the last one makes scale²
    values per coarse pixel, and :class:`DepthToSpace` lays them out as fine pixels.

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
        ``(n, h, w, 1)`` to ``(n, scale·h, scale·w, 1)``, any h and w.

    Raises
    ------
    ValueError
        If ``scale`` or ``depth`` is below 2.
    """
    if scale < 2 or depth < 2:
        raise ValueError(f"scale and depth must be at least 2, not {scale} and {depth}")
    image = keras.Input((None, None, 1), name="coarse")
    x = image
    for i in range(depth - 1):
        convolution = layers.Conv2D if i else DifferenceConv2D
        start = keras.initializers.HeNormal(seed=seed + i)
        x = convolution(
            filters, 3 if i else 5, padding="same", use_bias=False, activation="relu", kernel_initializer=start
        )(x)
    x = layers.Conv2D(scale**2, 3, padding="same", use_bias=False, kernel_initializer="zeros")(x)
    # Adam moves every weight by about the learning rate; a tenth keeps its first steps from overshooting a residual
    # that is itself only a few per cent of the image.
    x = layers.Rescaling(0.1)(x)
    return keras.Model(image, DepthToSpace(scale, name="residual")(x), name=f"espcn_x{scale}")


ARCHITECTURES = {"espcn": espcn}


def build(architecture, **settings):
    """A network by name, as a model card states it: ``build("espcn", scale=4, filters=48, depth=6)``."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"there is no network {architecture!r}; there are: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture](**settings)
