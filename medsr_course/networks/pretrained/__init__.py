"""Networks that ship with the course: names, cards, and for each task one function from array to array.

None of these functions needs TensorFlow: the networks run in ONNX Runtime, what they do not learn (zero-filling, data
consistency, Fourier transforms) in NumPy around them.
"""

from medsr_course.networks.pretrained.common import BATCH_PIXELS, EDGE, beyond_edges, checked_stack
from medsr_course.networks.pretrained.denoising import denoise
from medsr_course.networks.pretrained.reconstruction import reconstruct, unroll
from medsr_course.networks.pretrained.segmentation import segment
from medsr_course.networks.pretrained.superresolution import LEAST_NOISE, OWN_ERROR, consistency, enhance, super_resolve
from medsr_course.networks.pretrained.thick_slices import thin, thin_slices
from medsr_course.networks.pretrained.weights import WeightError, card, load, names, network, session, verify

__all__ = [
    "BATCH_PIXELS",
    "EDGE",
    "LEAST_NOISE",
    "OWN_ERROR",
    "WeightError",
    "beyond_edges",
    "card",
    "checked_stack",
    "consistency",
    "denoise",
    "enhance",
    "load",
    "names",
    "network",
    "reconstruct",
    "segment",
    "session",
    "super_resolve",
    "thin",
    "thin_slices",
    "unroll",
    "verify",
]
