"""Super-resolution networks in Keras 3, written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch.

Every generator maps a batch ``(n, h, w, 1)``, divided by its intensity scale, to the **residual over zero-filling**
``(n, scale·h, scale·w, 1)``: what to add to ``interpolation.zero_fill`` of the same image. Those with a tail that makes
pixels (:func:`fsrcnn`, :func:`espcn`, :func:`srresnet`) read the coarse image; :func:`srcnn`, :func:`vdsr` and
:func:`drcn` read the zero-filled one, ``(n, scale·h, scale·w, 1)``: :data:`ON_ZIP` names them. Zero-filling itself
stays outside (a Fourier transform does not export everywhere); see :mod:`~medsr_course.networks.pretrained` for the
whole way from image to image.

Convolutions have no bias, so with ReLU the output scales with the input, ``f(a·x) = a·f(x)`` for a ≥ 0; the first
one sees differences only, so a uniform region stays as it is. The last layer starts at zero: an untrained
network *is* zero-filling. Any height and width will do.

With ``noise_map=True`` a network reads a second channel, the standard deviation of the noise at every pixel in the same
unit (Zhang, Zuo & Zhang 2018, FFDNet): it need not guess whether a speck is noise. Its first convolution sees
brightness, too, because the bias of magnitude noise depends on it.
"""

from collections.abc import Sequence

from medsr_course.networks.layers import CentredDeconvolution
from medsr_course.networks.models.common import (
    check_scale,
    convolution,
    image_input,
    keras,
    last_convolution,
    layers,
    residual_tail,
)

ON_ZIP = ("srcnn", "vdsr", "drcn")


def srcnn(
    scale: int,
    *,
    filters: Sequence[int] = (64, 32),
    sizes: Sequence[int] = (9, 1, 5),
    noise_map: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Returns the first convolutional network for super-resolution (Dong et al. 2014), a residual over zero-filling.

    Patch extraction, non-linear mapping, reconstruction; all three on the fine grid. ``scale`` is that of the
    zero-filled image and does not change the network; ``sizes`` are the kernels', 9-1-5, 9-3-5 and 9-5-5 in the paper.

    The model maps ``(n, H, W, 1)``, zero-filled, to its residual of the same shape.
    """
    check_scale(scale)
    image = image_input("zip", noise_map)
    x = convolution(filters[0], sizes[0], seed, first=not noise_map)(image)
    x = convolution(filters[1], sizes[1], seed + 1)(x)
    return keras.Model(image, residual_tail(x, last_convolution(1, sizes[2])), name=f"srcnn_x{scale}")


def fsrcnn(scale: int, *, d: int = 56, s: int = 12, m: int = 4, noise_map: bool = False, seed: int = 0) -> keras.Model:
    """Returns an FSRCNN(d, s, m): shrink, map, expand on the coarse grid, then a deconvolution (Dong et al. 2016).

    ``d`` and ``s`` are channels outside and inside, ``m`` the number of mapping layers. The deconvolution is 9×9, so
    that ``scale`` is 5 at most.
    """
    check_scale(scale, m=(m, 1))
    image = image_input("coarse", noise_map)
    x = convolution(d, 5, seed, first=not noise_map)(image)
    x = convolution(s, 1, seed + 1)(x)
    for i in range(m):
        x = convolution(s, 3, seed + 2 + i)(x)
    x = convolution(d, 1, seed + 2 + m)(x)
    tail = CentredDeconvolution(1, 9, scale, use_bias=False, kernel_initializer="zeros", dtype="float32")
    return keras.Model(image, residual_tail(x, tail), name=f"fsrcnn_x{scale}")


def espcn(scale: int, *, filters: int = 48, depth: int = 6, noise_map: bool = False, seed: int = 0) -> keras.Model:
    """Returns an efficient sub-pixel network (Shi et al. 2016), as a residual over zero-filling.

    All convolutions work on the coarse grid, where a pixel costs scale² times less; the last one makes scale²
    values per coarse pixel, and :class:`~medsr_course.networks.layers.DepthToSpace` lays them out as fine pixels.
    ``depth`` counts the convolutions in all, at least 2: one 5×5, the others 3×3.

    The model maps ``(n, h, w, 1)`` to ``(n, scale·h, scale·w, 1)``.
    """
    check_scale(scale, depth=(depth, 2))
    image = image_input("coarse", noise_map)
    x = image
    for i in range(depth - 1):
        x = convolution(filters, 3 if i else 5, seed + i, first=i == 0 and not noise_map)(x)
    return keras.Model(image, residual_tail(x, last_convolution(scale**2, 3), scale), name=f"espcn_x{scale}")


def vdsr(scale: int, *, filters: int = 64, depth: int = 20, noise_map: bool = False, seed: int = 0) -> keras.Model:
    """Returns a very deep network: ``depth`` 3×3 convolutions on the zero-filled image (Kim, Lee & Lee 2016a)."""
    check_scale(scale, depth=(depth, 2))
    image = image_input("zip", noise_map)
    x = image
    for i in range(depth - 1):
        x = convolution(filters, 3, seed + i, first=i == 0 and not noise_map)(x)
    return keras.Model(image, residual_tail(x, last_convolution(1, 3)), name=f"vdsr_x{scale}")


def drcn(scale: int, *, filters: int = 32, recursions: int = 9, noise_map: bool = False, seed: int = 0) -> keras.Model:
    """Returns a deeply recursive network: one 3×3 convolution applied again and again (Kim, Lee & Lee 2016b).

    Every recursion hands its features to the same reconstruction; the output is their average with learned weights,
    a 1×1 convolution without bias.
    """
    check_scale(scale, recursions=(recursions, 1))
    image = image_input("zip", noise_map)
    x = convolution(filters, 3, seed, first=not noise_map)(image)
    x = convolution(filters, 3, seed + 1)(x)
    again = convolution(filters, 3, seed + 2, name="recursion")
    rebuild = convolution(filters, 3, seed + 3, name="reconstruction")
    outputs = []
    for _ in range(recursions):
        x = again(x)
        outputs.append(rebuild(x))
    x = layers.Concatenate()(outputs) if recursions > 1 else outputs[0]
    return keras.Model(image, residual_tail(x, last_convolution(1, 1)), name=f"drcn_x{scale}")


def srresnet(scale: int, *, filters: int = 48, blocks: int = 6, noise_map: bool = False, seed: int = 0) -> keras.Model:
    """Returns residual blocks on the coarse grid, no batch normalisation (Ledig et al. 2017; Lim et al. 2017, EDSR).

    Two 3×3 convolutions in each of the ``blocks``; a skip connection spans each block, and one more spans them all.

    The model maps ``(n, h, w, 1)`` to ``(n, scale·h, scale·w, 1)``.
    """
    check_scale(scale, blocks=(blocks, 1))
    image = image_input("coarse", noise_map)
    x = start = convolution(filters, 5, seed, first=not noise_map, activation=None)(image)
    for i in range(blocks):
        y = convolution(filters, 3, seed + 2 * i + 1)(x)
        # A block that starts at zero starts as the identity: deep networks then train like shallow ones.
        y = convolution(filters, 3, None, activation=None, kernel_initializer="zeros")(y)
        x = layers.Add()([x, y])
    x = convolution(filters, 3, seed + 2 * blocks + 1)(x)
    x = layers.Add()([x, start])
    return keras.Model(image, residual_tail(x, last_convolution(scale**2, 3), scale), name=f"srresnet_x{scale}")


def deepen(model: keras.Model, start: keras.Model) -> None:
    """Gives an :func:`srresnet` the weights of one with as many blocks or fewer; the blocks it has more stay as built.

    Such a block is the identity, so that the deeper network begins where the other one ended (Chen, Goodfellow &
    Shlens 2016, Net2Net). ``ValueError`` where the layers are not of the same shapes.
    """
    new, old = model.get_weights(), start.get_weights()
    tail = 2  # the convolution after the blocks, and the last one
    weights = [*old[:-tail], *new[len(old) - tail : -tail], *old[-tail:]]
    model.set_weights(weights)


ARCHITECTURES = {network.__name__: network for network in (srcnn, fsrcnn, espcn, vdsr, drcn, srresnet)}
