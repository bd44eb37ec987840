"""The eight flips and transposes of an image, sample 0 in place: what quality "best" averages over."""

from collections.abc import Callable
from itertools import product
from typing import TypeAlias

import numpy as np

from medsr_course.types import Array

Turn: TypeAlias = tuple[bool, bool, bool]  # flipped along rows' axis, along columns' axis, then transposed
TURNS: tuple[Turn, ...] = tuple((a, b, c) for a, b, c in product((False, True), repeat=3))


def averaged(residual: Callable[[Array], Array], batch: Array) -> Array:
    """Returns the mean of ``residual`` over the eight symmetries of the grid.

    A flip is about sample 0, index i to −i modulo the side: it is rolled by one sample, so that sample 0 of the coarse
    grid stays sample 0 of the fine one. Each result is turned back before it is averaged.

    Parameters
    ----------
    residual : callable
        ``(n, h, w, c)`` to ``(n, s·h, s·w)``, for any h and w.
    batch : array (n, h, w, c)
    """
    found = (back(residual(np.ascontiguousarray(turned(batch, turn))), turn) for turn in TURNS)
    total = sum(found, np.zeros((), batch.dtype))
    return total / np.float32(len(TURNS))


def turned(stack: Array, turn: Turn) -> Array:
    """Returns ``(n, h, w, …)`` flipped and transposed.

    >>> turned(np.arange(4).reshape(1, 1, 4), (False, True, False))
    array([[[0, 3, 2, 1]]])
    """
    stack = _flipped(stack, turn)
    return stack.swapaxes(1, 2) if turn[2] else stack


def back(stack: Array, turn: Turn) -> Array:
    """Returns what :func:`turned` was given."""
    return _flipped(stack.swapaxes(1, 2) if turn[2] else stack, turn)


def _flipped(stack: Array, turn: Turn) -> Array:
    for axis, flip in zip((1, 2), turn, strict=False):
        if flip:
            stack = np.roll(np.flip(stack, axis), 1, axis)
    return stack
