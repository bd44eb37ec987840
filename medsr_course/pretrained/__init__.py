"""Networks that ship with the course: names, cards, and for each task one function from array to array.

None of these functions needs TensorFlow: the networks run in ONNX Runtime, what they do not learn (zero-filling, data
consistency, Fourier transforms) in NumPy around them.
"""

from medsr_course.pretrained.common import BATCH_PIXELS, EDGE, beyond_edges, checked_stack, intensity
from medsr_course.pretrained.denoising import denoise
from medsr_course.pretrained.reconstruction import reconstruct, unroll
from medsr_course.pretrained.segmentation import segment
from medsr_course.pretrained.slices import thin, thin_slices
from medsr_course.pretrained.superresolution import LEAST_NOISE, OWN_ERROR, consistency, enhance, super_resolve
from medsr_course.pretrained.weights import WeightError, card, load, names, network, session, verify

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
    "intensity",
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
