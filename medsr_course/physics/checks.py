"""What measures and estimators ask of their input; what does not fit is refused in one line that names the remedy."""

import numpy as np

from medsr_course.types import Array, ArrayLike


def finite(values: ArrayLike, name: str) -> Array:
    """Returns real, finite, non-empty values as float64."""
    array = np.asarray(values)
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}: there is nothing to measure")
    if np.iscomplexobj(array):
        raise ValueError(f"{name} is complex: pass its magnitude, np.abs, or one of its channels")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values: replace them first, e.g. by np.nan_to_num")
    return array


def stack(values: ArrayLike, name: str, least: int = 1) -> Array:
    """Returns :func:`finite` slices ``(n, h, w)``, sides ``least`` at least; an image ``(h, w)`` is one slice."""
    array = finite(values, name)
    if array.ndim not in (2, 3):
        raise ValueError(f"{name} must be a stack (n, h, w) or one image (h, w), not of shape {array.shape}")
    if min(array.shape[-2:]) < least:
        raise ValueError(f"{name} is too small, {array.shape}: both sides need {least} pixels at least")
    return array if array.ndim == 3 else array[None]


def positive(value: float, name: str) -> float:
    """Returns a number above 0."""
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be a number above 0, not {value!r}")
    return float(value)
