"""Keras layers of the course, written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch."""

from typing import Any

from medsr_course.networks.framework import keras, layers, ops

Tensor = Any  # of Keras, symbolic, or of the backend
Shape = tuple[Any, ...]


@keras.saving.register_keras_serializable("medsr_course")
class DepthToSpace(layers.Layer):
    r"""Rearranges ``(n, h, w, s²·c)`` to ``(n, s·h, s·w, c)``: the sub-pixel layer (Shi et al. 2016, eq. 4).

    .. math:: y_{s i + a,\; s j + b,\; k} = x_{i,\; j,\; (a s + b) c + k}, \quad 0 \le a, b < s

    Sample 0 stays in place, as everywhere in this course.
    """

    def __init__(self, scale: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        n, h, w, c = input_shape
        s = self.scale
        return (n, None if h is None else s * h, None if w is None else s * w, c // s**2)

    def call(self, x: Tensor) -> Tensor:
        s, c = self.scale, x.shape[-1] // self.scale**2
        n, h, w, _ = ops.shape(x)
        x = ops.transpose(ops.reshape(x, (n, h, w, s, s, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, s * h, s * w, c))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("medsr_course")
class DifferenceConv2D(layers.Conv2D):
    r"""Convolves with kernels that sum to zero, :math:`y = (K - \bar K) * x`: it sees differences, not brightness."""

    def __init__(self, *args: Any, data_format: str = "channels_last", **kwargs: Any) -> None:
        super().__init__(*args, data_format=data_format, **kwargs)

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return super().convolution_op(inputs, kernel - ops.mean(kernel, axis=(0, 1, 2), keepdims=True))


@keras.saving.register_keras_serializable("medsr_course")
class CentredDeconvolution(layers.Conv2DTranspose):
    """Convolves, transposed, ``(n, h, w, c)`` to ``(n, s·h, s·w, filters)``, the kernel centred on sample s·i.

    With ``padding="same"`` the kernel of LR sample i would sit beside s·i, and differently for each scale.
    ``kernel_size`` must be odd, and at least 2·scale − 1.
    """

    def __init__(self, filters: int, kernel_size: int, scale: int, **kwargs: Any) -> None:
        if kernel_size % 2 == 0 or kernel_size < 2 * scale - 1:
            raise ValueError(f"kernel_size must be odd and at least {2 * scale - 1}, not {kernel_size}")
        fixed = {"strides": scale, "padding": "valid", "data_format": "channels_last"}
        super().__init__(filters, kernel_size, **fixed, **kwargs)
        self.scale, self.width = scale, kernel_size

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        n, h, w, _ = input_shape
        s = self.scale
        return (n, None if h is None else s * h, None if w is None else s * w, self.filters)

    def call(self, x: Tensor) -> Tensor:
        first, s = self.width // 2, self.scale
        h, w = ops.shape(x)[1:3]
        return super().call(x)[:, first : first + s * h, first : first + s * w]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for key in ("strides", "padding", "data_format"):
            config.pop(key)
        return {**config, "kernel_size": self.width, "scale": self.scale}


@keras.saving.register_keras_serializable("medsr_course")
class CropLike(layers.Layer):
    """Cuts ``x`` at its high end to the height and width of ``like``: ``CropLike()([x, like])``.

    A network that halves an image and doubles it again gives an odd side one pixel too many.
    """

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        x, like = input_shape
        return (x[0], *like[1:3], x[3])

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, like = inputs
        h, w = ops.shape(like)[1:3]
        return x[:, :h, :w]
