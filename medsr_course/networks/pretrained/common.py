"""What all networks are used with: checked stacks, images wrapped round at their edges."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from medsr_course.physics.grid import IN_HEAD
from medsr_course.types import Array, ArrayLike, Stack

Network: TypeAlias = Callable[[Any], Any]  # a Keras model, its predict_on_batch, or an ONNX session wrapped
BATCH_PIXELS = 2**16  # pixels that go through a network at a time: more take more memory, and no less time
EDGE = 12  # pixels wrapped round beyond each side; what lies farther out changes a residual by less than 0.5 % of it
REACH = 20  # pixels beyond the last one that is not 0 within which a residual is computed
QUALITIES = ("standard", "best")
RANGE = 1e-15, 1e15  # of the largest value: squares and sums of such numbers stay within float32


def checked_stack(stack: ArrayLike) -> Stack:
    """Returns ``stack`` as float32.

    Raises
    ------
    ValueError
        If it is not a finite, real array (n, h, w), or its largest value is out of :data:`RANGE`.
    """
    stack = checked_values(checked_shape(stack, "a stack"), "stack")
    if np.iscomplexobj(stack):
        raise ValueError(f"expected real numbers, got {stack.dtype}: take np.abs(stack)")
    return stack.astype(np.float32, copy=False)


def checked_shape(values: ArrayLike, what: str) -> Array:
    """Returns ``values`` as an array, if it is one (n, h, w) with something in it; ValueError otherwise."""
    values = np.asarray(values)
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"expected {what} (n, h, w), got shape {values.shape}: add an axis for a single slice")
    return values


def checked_values(values: Array, what: str, remedy: str = "replace them first, e.g. by np.nan_to_num") -> Array:
    """Returns ``values``, if they are finite numbers, real or complex, that fit float32; ValueError otherwise."""
    if values.dtype.kind not in "biufc":
        raise ValueError(f"expected real numbers, got {values.dtype}")
    if not np.isfinite(values).all():
        raise ValueError(f"the {what} holds NaN or infinite values: {remedy}")
    parts = (values.real, values.imag) if np.iscomplexobj(values) else (values,)
    peak = max(max(float(part.max()), -float(part.min())) for part in parts)
    if peak and not RANGE[0] <= peak <= RANGE[1]:
        raise ValueError(
            f"the largest value of the {what} is {peak:.3g}, which float32 cannot calculate with: multiply all by one "
            f"number, so that it lies between {RANGE[0]:g} and {RANGE[1]:g}"
        )
    return values


def to_numpy(out: Any) -> Array:
    """Returns a network's output as a NumPy array: Keras on PyTorch hands out tensors that keep gradients."""
    return np.asarray(out.detach() if hasattr(out, "detach") else out)


def check_quality(quality: str) -> None:
    """Raises ValueError where there is no such quality."""
    if quality not in QUALITIES:
        raise ValueError(f"quality must be {' or '.join(QUALITIES)}, not {quality!r}")


def batch_size(h: int, w: int, factor: int = 1, edge: int = EDGE) -> int:
    """Returns how many slices (h, w) go through a network at a time; it reads ``factor`` pixels for each of theirs."""
    return max(1, BATCH_PIXELS // ((h + 2 * edge) * (w + 2 * edge) * factor))


def beyond_edges(network: Network, batch: Array, scale: int, factor: int, edge: int = EDGE) -> Stack:
    """Returns the network's residual, with the image wrapped round beyond its edges.

    To a discrete Fourier transform an image is periodic: where a head is cut off, the ringing of its lower border comes
    in at the upper one. Convolutions that see what is there undo it; with zeros or a mirrored image instead, a CT
    cut at the border lost what the network had gained.

    Parameters
    ----------
    network : callable
        ``(n, h, w, c)`` to ``(n, factor·h, factor·w, 1)``.
    batch : float32 array (n, h, w, c)
    scale, factor : int
        Fine pixels per coarse one along a side; pixels that the network makes of one along a side.
    edge : int
        Coarse pixels that are wrapped round.
    """
    h, w = batch.shape[1:3]
    edge = edge * scale // factor
    out = to_numpy(network(np.pad(batch, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="wrap")))[..., 0]
    start = factor * edge
    return out[:, start : start + factor * h, start : start + factor * w]


def where_there_is_something(network: Network, batch: Array, scale: int, factor: int) -> Stack:
    """Returns what :func:`beyond_edges` does, without going through rows and columns in which the image is 0.

    Farther than :data:`REACH` from the last pixel that is not 0, the residual is taken for 0, as it is without biases.
    Where an image reaches its edges through air alone, half as much is wrapped round.
    """
    n, h, w, _ = batch.shape
    image = batch[..., 0]
    out = np.zeros((n, factor * h, factor * w), np.float32)
    if not np.any(image):
        return out
    margin = REACH * scale // factor
    filled = image != 0
    rows, columns = _window(filled.any(axis=(0, 2)), margin), _window(filled.any(axis=(0, 1)), margin)
    if rows is None and columns is None:
        edge = EDGE * scale // factor
        border = [image[:, :edge], image[:, -edge:], image[:, :, :edge], image[:, :, -edge:]]
        air = max(float(np.abs(strip).mean()) for strip in border) < IN_HEAD
        return beyond_edges(network, batch, scale, factor, EDGE // 2 if air else EDGE)
    rows, columns = (_around(size, margin) if k is None else k for k, size in ((rows, h), (columns, w)))
    made = to_numpy(network(batch[:, rows[:, None], columns]))[..., 0]
    fine = [(factor * k[:, None] + np.arange(factor)).ravel() for k in (rows, columns)]
    keep = [
        slice(factor * margin, -factor * margin) if len(k) > size else slice(None)
        for k, size in ((rows, h), (columns, w))
    ]
    out[:, fine[0][keep[0], None], fine[1][keep[1]]] = made[:, keep[0], keep[1]]
    return out


def _around(size: int, margin: int) -> Array:
    """Indices of a side, wrapped round by ``margin`` at both ends."""
    return np.arange(-margin, size + margin) % size


def _window(filled: Array, margin: int) -> Array | None:
    """Indices from ``margin`` before the first that is filled to as far after the last one; None where that is all."""
    where = np.flatnonzero(filled)
    first, last = int(where[0]) - margin, int(where[-1]) + 1 + margin
    return None if last - first >= len(filled) else np.arange(first, last) % len(filled)
