"""A super-resolution network with two entries: the coarse image, and a fine guide of another contrast on its fine grid.

The coarse image ``(n, h, w, 1)`` and the guide ``(n, scale·h, scale·w, 1)``, each divided by its own intensity scale,
become the **residual over zero-filling** ``(n, scale·h, scale·w, 1)``, as in
:mod:`~medsr_course.networks.models.superresolution`. Convolutions have no bias and the first ones see differences only;
the last layer starts at zero, so that an untrained network *is* zero-filling.
"""

from medsr_course.networks.models.common import (
    check_scale,
    convolution,
    image_input,
    keras,
    last_convolution,
    layers,
    residual_tail,
)


def guided(scale: int, *, filters: int = 48, depth: int = 5, seed: int = 0) -> keras.Model:
    """Returns a network that reads a guide: both images become features of the coarse grid, and go on together.

    The guide enters through a convolution of size 2·scale and stride ``scale``: each coarse pixel has its fine pixels
    and as many around them as features. ``depth`` counts the 3×3 convolutions behind, at least 1.

    The model maps ``[(n, h, w, 1), (n, scale·h, scale·w, 1)]`` to ``(n, scale·h, scale·w, 1)``.
    """
    check_scale(scale, depth=(depth, 1))
    coarse, guide = image_input("coarse", False), image_input("guide", False)
    own = convolution(filters, 5, seed, first=True)(coarse)
    lent = convolution(filters, 2 * scale, seed + 1, first=True, strides=scale)(guide)
    x = layers.Concatenate()([own, lent])
    for k in range(depth):
        x = convolution(filters, 3, seed + 2 + k)(x)
    return keras.Model([coarse, guide], residual_tail(x, last_convolution(scale**2, 3), scale), name=f"guided_x{scale}")
