"""Reconstruction networks in Keras 3, written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch.

Every network maps ``[image, lines]`` to the **residual over zero-filling**, what to add to ``image``: two channels,
real and imaginary part. ``image`` ``(n, h, w, 2)`` is the zero-filled one, divided by an intensity scale; ``lines``
``(n, 1, w)`` is 1 where a line of phase encoding (along w) was measured, frequency 0 first as in an FFT. Rows ``h`` may
be a strip of the image: phase encoding mixes pixels along w only. With several coils, ``image`` is that of least
squares, and two more inputs tell what was measured, see :func:`cascade`.

All are made of one **block**, a small U-Net from image (and hidden state) to a correction, shared by all iterations; it
has no Fourier transform inside, so it exports: :func:`block_of` gives it, :mod:`~medsr_course.networks.pretrained`
runs the iterations around it in NumPy. No biases, leaky ReLUs, and linear data consistency: the result scales with the
input. The last layer starts at zero: an untrained network *is* zero-filling. Any height and width will do.
"""

from typing import Any

from medsr_course.networks.layers import CropLike, DepthToSpace
from medsr_course.networks.models.common import Tensor, convolution, keras, last_convolution, layers, residual_tail
from medsr_course.tasks.parallel import CONSISTENT

ops = keras.ops
TINY = 1e-12  # an empty strip would divide 0 by 0
LEAKY = "leaky_relu"  # haze has both signs; plain ReLUs began to learn later, or never


@keras.saving.register_keras_serializable("medsr_course")
class DataConsistency(layers.Layer):
    r"""Puts what was measured back, with a learned trust: ``[image, seen, lines]`` or ``[image, seen, lines, maps]``.

    .. math:: x = \arg\min_u \|A u - y\|^2 + \lambda\, \|u - z\|^2, \quad A = m F S,
        \quad \tau = 1 / (1 + \lambda) = \sigma(\text{weight})

    z is ``image``, ``seen`` is :math:`A^H y`, the samples y as an image; m is ``lines``. With one coil (:math:`S = 1`)
    the measured samples of z become :math:`(1 - \tau)\,k + \tau\,y`. With several, S are their ``maps`` ``(n, coils, h,
    w, 2)``, :math:`\sum|s|^2 = 1`, and :data:`parallel.CONSISTENT` steps of conjugate gradients come close (MoDL). The
    trust τ, between 0 and 1, learns how noisy the samples are.
    """

    def build(self, input_shape: Any) -> None:
        start = keras.initializers.Constant(3.0)  # sigmoid(3) = 0.95
        self.logit = self.add_weight(shape=(), initializer=start, name="trust", dtype="float32")

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    @property
    def trust(self) -> float:
        """The number between 0 and 1."""
        return float(ops.convert_to_numpy(ops.sigmoid(self.logit)))

    def call(self, inputs: list[Tensor]) -> Tensor:
        image, seen, lines, *maps = (ops.cast(tensor, "float32") for tensor in inputs)
        trust = ops.sigmoid(self.logit)
        if not maps:
            return image + trust * (seen - _measured(image, lines))
        return image + _solved(maps[0], lines, (1 - trust) / trust, seen - _again(image, maps[0], lines))


def _again(image: Tensor, maps: Tensor, lines: Tensor) -> Tensor:
    """What several coils measure of an image ``(n, h, w, 2)``, as an image."""
    coil_images = _measured(_times(image[:, None], maps), lines[:, None])
    return ops.sum(_times(maps * ops.array([1.0, -1.0]), coil_images), axis=1)


def _solved(maps: Tensor, lines: Tensor, damping: Tensor, right: Tensor) -> Tensor:
    """Conjugate gradients as :func:`reconstruction.conjugate_gradients`, for each sample of a batch."""

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return ops.sum(a * b, axis=(1, 2, 3), keepdims=True) + TINY

    x, r, p, energy = ops.zeros_like(right), right, right, inner(right, right)
    for _ in range(CONSISTENT):
        ap = _again(p, maps, lines) + damping * p
        a = energy / inner(p, ap)
        x, r = x + a * p, r - a * ap
        before, energy = energy, inner(r, r)
        p = r + energy / before * p
    return x


def _times(a: Tensor, b: Tensor) -> Tensor:
    """Complex product of real and imaginary parts, the last axis of both."""
    real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    return ops.stack([real, a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]], axis=-1)


def _measured(image: Tensor, lines: Tensor) -> Tensor:
    """The image ``(..., h, w, 2)`` with the other lines of its k-space set to 0."""
    real, imaginary = ops.fft((image[..., 0], image[..., 1]))
    real, imaginary = real * lines, imaginary * lines
    # An inverse transform by a forward one: conjugate, transform, conjugate, divide by w.
    real, imaginary = ops.fft((real, -imaginary))
    return ops.stack([real, -imaginary], axis=-1) / ops.cast(ops.shape(image)[-2], "float32")


def unet_block(filters: int, levels: int, hidden: int = 0, seed: int = 0) -> keras.Model:
    """Returns what all networks here are made of: a small U-Net, image to correction (Ronneberger et al. 2015).

    ``hidden`` are the channels of a state that it reads besides the image, and writes anew; the rest is as in
    :func:`kspace_unet`. The model maps ``(n, h, w, 2 + hidden)`` to the same shape; called "block".
    """
    state = keras.Input((None, None, 2 + hidden), name="state")
    # Half resolution from the start: 2×2 pixels become channels, nothing is lost, everything costs a quarter.
    x = convolution(filters, 2, seed, strides=2, activation=None)(state)
    skips = []
    for level in range(levels):
        width = filters * 2**level
        if level:
            skips.append(x)
            x = convolution(width, 2, seed + 10 * level, strides=2, activation=None)(x)
        x = convolution(width, 3, seed + 10 * level + 1, activation=LEAKY)(x)
        x = convolution(width, 3, seed + 10 * level + 2, activation=LEAKY)(x)
    for level in reversed(range(levels - 1)):
        width = filters * 2**level
        x = convolution(4 * width, 1, seed + 10 * level + 3, activation=None)(x)
        x = CropLike()([DepthToSpace(2)(x), skips[level]])
        x = layers.Concatenate()([x, skips[level]])
        x = convolution(width, 3, seed + 10 * level + 4, activation=LEAKY)(x)
        x = convolution(width, 3, seed + 10 * level + 5, activation=LEAKY)(x)
    outputs = residual_tail(x, last_convolution(8, 3), 2)
    if hidden:
        memory = DepthToSpace(2)(convolution(4 * hidden, 3, seed + 6, activation=LEAKY)(x))
        outputs = layers.Concatenate(dtype="float32")([outputs, memory])
    return keras.Model(state, CropLike(dtype="float32")([outputs, state]), name="block")


def _inputs() -> tuple[Tensor, Tensor]:
    return keras.Input((None, None, 2), name="zero_filled"), keras.Input((1, None), name="lines")


def kspace_unet(*, filters: int = 48, levels: int = 3, seed: int = 0) -> keras.Model:
    """Returns a U-Net on the zero-filled image (Zbontar et al. 2018): one block, no data consistency.

    ``filters`` are the channels at half resolution, doubled at every one of the ``levels``: 1/2, 1/4 … of the
    resolution.

    The model maps ``[(n, h, w, 2), (n, 1, w)]`` to ``(n, h, w, 2)``; it does not use the lines.
    """
    start, lines = _inputs()
    return keras.Model([start, lines], unet_block(filters, levels, seed=seed)(start), name="kspace_unet")


def cascade(
    *, filters: int = 32, levels: int = 2, iterations: int = 5, hidden: int = 0, coils: bool = False, seed: int = 0
) -> keras.Model:
    """Returns an unrolled network: block and data consistency in turn, again and again, with one set of weights.

    Iterations of gradient descent with the prior learned (Schlemper et al. 2018; weights shared as in MoDL, Aggarwal,
    Mani & Jacob 2019). The block has the last word, as in the variational network of Sriram et al. 2020: samples put
    back at the very end would bring their noise, and haze, back with them. With ``hidden`` channels the block also
    hands a state to its next iteration: recurrent over iterations (Qin et al. 2019). It maps as :func:`kspace_unet`,
    whose ``filters`` and ``levels`` it shares; with ``coils``, it maps ``[image, lines, seen, maps]``: the image of
    least squares, :math:`A^H y` ``(n, h, w, 2)`` and the sensitivities ``(n, coils, h, w, 2)`` besides.
    """
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, not {iterations}")
    start, lines = _inputs()
    seen, maps = start, []
    if coils:
        seen = keras.Input((None, None, 2), name="seen")
        maps = [keras.Input((None, None, None, 2), name="maps")]
    block = unet_block(filters, levels, hidden, seed)
    consistent = DataConsistency(name="consistency", dtype="float32")
    image, memory = start, None
    if hidden:
        memory = layers.Concatenate(dtype="float32")([0 * start] * (-(-hidden // 2)))[..., :hidden]
    for iteration in range(iterations):
        if iteration:
            image = consistent([image, seen, lines, *maps])
        out = block(layers.Concatenate(dtype="float32")([image, memory]) if hidden else image)
        if hidden:
            out, memory = out[..., :2], out[..., 2:]
        image = image + out
    inputs = [start, lines, seen, *maps] if coils else [start, lines]
    return keras.Model(inputs, image - start, name="crnn" if hidden else "cascade")


def crnn(*, filters: int = 32, levels: int = 2, iterations: int = 5, hidden: int = 8, seed: int = 0) -> keras.Model:
    """Returns a convolutional-recurrent network: :func:`cascade` with a hidden state."""
    return cascade(filters=filters, levels=levels, iterations=iterations, hidden=hidden, seed=seed)


def block_of(model: keras.Model) -> keras.Model:
    """Returns a network's block: ``(n, h, w, 2 + hidden)`` to the same shape, without Fourier transform."""
    return model.get_layer("block")


def trust_of(model: keras.Model) -> float | None:
    """Returns how much weight a network gives the measured samples, 0 … 1; None without data consistency."""
    names = [layer.name for layer in model.layers]
    return model.get_layer("consistency").trust if "consistency" in names else None


def multiplications(model: keras.Model, iterations: int = 1) -> float:
    """Returns the real multiplications per pixel of a network's block times its iterations (convolutions only)."""
    total, scale = 0.0, 1.0
    place: dict[str, float] = {}  # part of the pixels at which each layer's output lives
    for layer in block_of(model).layers:
        parents = [place[t._keras_history.operation.name] for t in _list(layer.input)] if layer.name != "state" else []
        scale = parents[0] if parents else 1.0
        if isinstance(layer, layers.Conv2D):
            scale /= layer.strides[0] * layer.strides[1]
            total += scale * layer.count_params()
        elif type(layer).__name__ == "DepthToSpace":
            scale *= layer.scale**2
        place[layer.name] = scale
    return total * iterations


def _list(x: Any) -> Any:
    return x if isinstance(x, (list, tuple)) else [x]


ARCHITECTURES = {network.__name__: network for network in (kspace_unet, cascade, crnn)}
