"""Names for what crosses the package's edges: for annotations, and light to import.

``Stack`` and ``Array`` are both NumPy arrays of any number type; the first is ``(n, h, w)`` unless its docstring allows
more axes, the second may have any shape.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage as Image  # values, affine, header
else:
    Image = Any  # nibabel takes a while to import

Array: TypeAlias = NDArray[Any]
Stack: TypeAlias = NDArray[Any]  # (n, h, w)
Mask: TypeAlias = NDArray[np.bool_]
PathLike: TypeAlias = str | os.PathLike[str]
Rng: TypeAlias = np.random.Generator
Upscale: TypeAlias = Callable[[Stack, int], Stack]  # a coarse stack and a scale to the fine stack

__all__ = ["Array", "ArrayLike", "Image", "Mask", "PathLike", "Rng", "Stack", "Upscale"]
