"""Plug and play: a denoiser that never saw a coarse image, put to work as what is known of fine ones.

Half-quadratic splitting (Zhang et al. 2021, DPIR): in turn, the denoiser takes away what looks like noise of a standard
deviation that falls from step to step, and the measured k-space is put back (Venkatakrishnan, Bouman & Wohlberg 2013).
"""

import numpy as np

from medsr_course.networks.pretrained.common import Network, checked_stack, to_numpy
from medsr_course.networks.pretrained.superresolution import resized
from medsr_course.networks.pretrained.weights import network
from medsr_course.physics import grid
from medsr_course.types import Array, ArrayLike, Stack

# First and last σ, in parts of the intensity scale, and how many steps: the best of eight tried on four validation
# subjects of the cohort
STRENGTHS = (0.2, 0.02)
STEPS = 8


def plug_and_play(
    stack: ArrayLike,
    scale: int,
    *,
    denoiser: str = "dncnn-magnitude",
    strengths: tuple[float, float] = STRENGTHS,
    steps: int = STEPS,
) -> Stack:
    """Makes a stack of magnitudes finer with a shipped denoiser that reads a noise map.

    Parameters
    ----------
    stack : array (n, h, w)
        As for :func:`super_resolve`, with the same errors.
    scale : int
    denoiser : str
    strengths : (float, float)
        σ that the denoiser is told in the first and in the last of the ``steps``, in parts of the intensity scale;
        between them it falls by the same factor at each step.

    Returns
    -------
    float32 array (n, scale·h, scale·w)
        Cropped in k-space, it is the input again.
    """
    stack, run = checked_stack(stack), network(denoiser)
    unit = grid.intensity(stack)[1]
    fine = scale * stack.shape[1], scale * stack.shape[2]
    x = resized(stack, *fine)
    for sigma in np.geomspace(*strengths, steps) if unit else ():
        x = measured_again(denoised(run, x / unit, sigma) * unit, stack)
    return x.astype(np.float32)


def denoised(network: Network, image: Array, sigma: float) -> Array:
    """Returns what a denoiser with a noise map makes of images ``(n, h, w)`` whose intensity scale is 1."""
    told = np.stack([image, np.full_like(image, sigma)], axis=-1).astype(np.float32)
    return image + np.concatenate([to_numpy(network(one[None])) for one in told])[..., 0]


def measured_again(image: Stack, coarse: Stack) -> Stack:
    """Returns the image with its low frequencies replaced by those of the coarse one: hard data consistency."""
    return image + resized(coarse - resized(image, *coarse.shape[1:]), *image.shape[1:])
