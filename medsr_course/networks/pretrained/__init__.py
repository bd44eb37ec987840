"""Networks that ship with the course: names, cards, and for each task one function from array to array.

None of these functions needs TensorFlow: the networks run in ONNX Runtime, what they do not learn (zero-filling, data
consistency, Fourier transforms) in NumPy around them.
"""

from medsr_course.networks.pretrained.cards import Card, WeightError
from medsr_course.networks.pretrained.common import BATCH_PIXELS, EDGE, beyond_edges, checked_stack
from medsr_course.networks.pretrained.denoising import denoise, denoise_with
from medsr_course.networks.pretrained.diffusion import sample, sample_with
from medsr_course.networks.pretrained.engines import session
from medsr_course.networks.pretrained.reconstruction import (
    LEAST_SQUARES,
    reconstruct,
    reconstruct_coils,
    reconstruct_coils_with,
    reconstruct_with,
)
from medsr_course.networks.pretrained.segmentation import segment, segment_with
from medsr_course.networks.pretrained.superresolution import OWN_ERROR, USE, super_resolve, super_resolve_with
from medsr_course.networks.pretrained.thick_slices import thin_slices, thin_slices_with
from medsr_course.networks.pretrained.told import Use
from medsr_course.networks.pretrained.using import usage
from medsr_course.networks.pretrained.weights import card, engine, load, names, network, verify

__all__ = [
    "BATCH_PIXELS",
    "Card",
    "EDGE",
    "LEAST_SQUARES",
    "OWN_ERROR",
    "USE",
    "Use",
    "WeightError",
    "beyond_edges",
    "card",
    "checked_stack",
    "denoise",
    "denoise_with",
    "engine",
    "load",
    "names",
    "network",
    "reconstruct",
    "reconstruct_coils",
    "reconstruct_coils_with",
    "reconstruct_with",
    "sample",
    "sample_with",
    "segment",
    "segment_with",
    "session",
    "super_resolve",
    "super_resolve_with",
    "thin_slices",
    "thin_slices_with",
    "usage",
    "verify",
]
