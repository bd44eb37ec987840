"""Networks that are trained on one scan and on nothing else, while it waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from medsr_course.networks.pretrained import checked_stack, super_resolve_with
from medsr_course.networks.pretrained.plug_and_play import measured_again
from medsr_course.networks.training.loop import fit
from medsr_course.networks.training.pairs import Degradation, Patches
from medsr_course.physics import grid
from medsr_course.physics.interpolation import zero_fill
from medsr_course.types import Array, ArrayLike, Stack

FREQUENCY = 20.0  # ω₀ of a field, the best of three tried on a validation subject
# What a coarse scan is made coarser with: as it was stored itself, without noise, hardly varied
SAME: dict[str, Any] = {"reference_noise": (1e-4, 2e-4), "stored": 1.0, "inverted": 0.0, "shrink": 1.2, "gamma": 1.05}


def zero_shot(stack: ArrayLike, scale: int, steps: int = 300, *, seed: int = 0) -> Stack:
    """Makes a coarse stack finer with a network that saw this very stack made coarser (Shocher et al. 2018, ZSSR).

    A small ESPCN for ×2 learns from the stack cropped in k-space once more; the result is ×2 by the network and, for
    ``scale`` 4, the rest by zero-filling: a second turn of the network lost on validation subjects.

    Parameters
    ----------
    stack : array (n, h, w)
        As for :func:`pretrained.super_resolve`, at least 36 samples high and wide.
    scale : int
        A multiple of 2 (``ValueError``).
    steps : int
        Of the training.

    Returns
    -------
    float32 array (n, scale·h, scale·w)
    """
    from medsr_course.networks import models

    if scale % 2:
        raise ValueError(f"scale must be a multiple of 2, not {scale}")
    stack = checked_stack(stack)
    model = models.espcn(2, filters=24, depth=4, seed=seed)
    scaled = list(stack / (grid.intensity(stack)[1] or 1))
    patches = Patches(scaled, Degradation(2, **SAME), size=14, pool=40, balanced=True, seed=seed)
    fit(model, patches, steps, learning_rate=4e-3, margin=4)
    twice = super_resolve_with(model.predict_on_batch, stack, 2, None)
    return zero_fill(twice, scale // 2) if scale > 2 else twice


def field(
    coarse: ArrayLike, scale: int, steps: int = 200, *, frequency: float = FREQUENCY, width: int = 64, seed: int = 0
) -> Array:
    """Makes one coarse slice finer as a field of sines that was fitted to it (Sitzmann et al. 2020, SIREN).

    The field is drawn on the fine grid, cropped in k-space, and compared with what was measured; at the end the
    measured frequencies are put back.

    Parameters
    ----------
    coarse : array (h, w)
    scale, steps : int
    frequency : float
        ω₀: how fine the field may be.

    Returns
    -------
    float32 array (scale·h, scale·w)
    """
    from medsr_course.networks import models

    coarse = checked_stack(np.asarray(coarse)[None])
    unit = grid.intensity(coarse)[1] or 1.0
    fine = scale * coarse.shape[1], scale * coarse.shape[2]
    model, places = models.siren(width=width, frequency=frequency, seed=seed), on_grid(*fine)[None]
    batch = places, coarse / unit
    fit(model, lambda k: batch, steps, learning_rate=1e-3, loss=misfit(coarse.shape[1:], fine))
    image = np.asarray(model.predict_on_batch(places)).reshape(1, *fine) * unit
    return measured_again(image.astype(np.float32), coarse)[0]


def on_grid(height: int, width: int) -> Array:
    """Returns the places of an image's pixels, row by row, each side from -1 to 1: ``(height·width, 2)``, float32."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, side) for side in (height, width)), indexing="ij")
    return np.stack([rows, columns], axis=-1).reshape(-1, 2).astype(np.float32)


def misfit(coarse: tuple[int, int], fine: tuple[int, int]) -> Callable[[Any, Any], Any]:
    """Returns a loss for :func:`fit`: of values ``(1, H·W, 1)`` on the fine grid, cropped, against ``(1, h, w)``."""
    from medsr_course.networks.models import keras

    ops = keras.ops
    rows, columns = (grid.crop_axis(np.eye(m), n, 0).astype(np.float32) for n, m in zip(coarse, fine, strict=True))

    def loss(measured: Any, values: Any) -> Any:
        image = ops.reshape(values, (1, *fine))
        cropped = ops.matmul(ops.matmul(rows, image), columns.T)
        return ops.mean(ops.square(cropped - measured), axis=(1, 2))

    return loss
