"""Networks in Keras 3, written with ``keras.ops``: they run on TensorFlow, JAX and PyTorch, for any height and width.

One module per task; :func:`build` makes a network by the name and settings that a model card states.
"""

from typing import Any

from medsr_course.networks.models import (
    attention,
    denoising,
    diffusion,
    features,
    implicit,
    reconstruction,
    segmentation,
    superresolution,
    thick_slices,
)
from medsr_course.networks.models.attention import swinir
from medsr_course.networks.models.common import keras
from medsr_course.networks.models.discriminators import discriminator, pair_discriminator
from medsr_course.networks.models.features import contrast_features, tissue_features
from medsr_course.networks.models.fusion import guided
from medsr_course.networks.models.implicit import liif, siren
from medsr_course.networks.models.reconstruction import cascade, crnn, kspace_unet
from medsr_course.networks.models.segmentation import unet
from medsr_course.networks.models.superresolution import ON_ZIP, drcn, espcn, fsrcnn, srcnn, srresnet, vdsr
from medsr_course.networks.models.thick_slices import cnn25d, convlstm, lstm

TASKS = (
    superresolution,
    attention,
    implicit,
    diffusion,
    features,
    denoising,
    thick_slices,
    segmentation,
    reconstruction,
)
ARCHITECTURES = {name: network for task in TASKS for name, network in task.ARCHITECTURES.items()}


def build(architecture: str, **settings: Any) -> keras.Model:
    """Returns a network by name, as a model card states it: ``build("espcn", scale=4, filters=48, depth=6)``.

    Raises
    ------
    ValueError
        If there is no architecture of that name.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"there is no network {architecture!r}; there are: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture](**settings)


__all__ = [
    "ARCHITECTURES",
    "ON_ZIP",
    "build",
    "cascade",
    "cnn25d",
    "contrast_features",
    "convlstm",
    "crnn",
    "discriminator",
    "drcn",
    "espcn",
    "fsrcnn",
    "guided",
    "keras",
    "kspace_unet",
    "liif",
    "lstm",
    "pair_discriminator",
    "siren",
    "srcnn",
    "srresnet",
    "swinir",
    "tissue_features",
    "unet",
    "vdsr",
]
