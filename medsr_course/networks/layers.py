"""Keras layers of the course, written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch."""

from medsr_course.networks.framework import keras, layers, ops


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


@keras.saving.register_keras_serializable("medsr_course")
class CentredDeconvolution(layers.Conv2DTranspose):
    """Transposed convolution ``(n, h, w, c)`` to ``(n, s·h, s·w, filters)``, its kernel centred on sample s·i.

    Parameters
    ----------
    kernel_size : int
        Odd, and at least 2·scale − 1.

    With ``padding="same"`` the kernel of LR sample i would sit beside s·i, and differently for each scale.
    """

    def __init__(self, filters, kernel_size, scale, **kwargs):
        if kernel_size % 2 == 0 or kernel_size < 2 * scale - 1:
            raise ValueError(f"kernel_size must be odd and at least {2 * scale - 1}, not {kernel_size}")
        super().__init__(filters, kernel_size, strides=scale, padding="valid", **kwargs)
        self.scale, self.width = scale, kernel_size

    def compute_output_shape(self, input_shape):
        n, h, w, _ = input_shape
        s = self.scale
        return (n, None if h is None else s * h, None if w is None else s * w, self.filters)

    def call(self, x):
        first, s = self.width // 2, self.scale
        h, w = ops.shape(x)[1:3]
        return super().call(x)[:, first : first + s * h, first : first + s * w]

    def get_config(self):
        config = super().get_config()
        for key in ("strides", "padding"):
            config.pop(key)
        return {**config, "kernel_size": self.width, "scale": self.scale}


@keras.saving.register_keras_serializable("medsr_course")
class CropLike(layers.Layer):
    """Cut ``x`` at its high end to the height and width of ``like``: ``CropLike()([x, like])``.

    A network that halves an image and doubles it again gives an odd side one pixel too many.
    """

    def compute_output_shape(self, input_shape):
        x, like = input_shape
        return (x[0], *like[1:3], x[3])

    def call(self, inputs):
        x, like = inputs
        h, w = ops.shape(like)[1:3]
        return x[:, :h, :w]
