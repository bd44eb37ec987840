"""Images larger than memory: kept on disk, worked on in blocks and tiles, and how much all of it takes."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course.networks.pretrained.common import Network, to_numpy
from medsr_course.runtime import CourseError
from medsr_course.types import Array, Stack

BASE = 350 << 20  # bytes that Python, its libraries and a loaded network take
MARGIN = 32  # pixels that tiles share with their neighbours on every side: no shipped network reaches farther
BLOCK = 1 << 22  # pixels of the result that are worked on at a time
BAND = 3 * BLOCK  # the same for bands of rows, which need margins
TILE = 1 << 18  # pixels that go through a network at a time at most; usual batches are smaller
LEAST_TILE = 1 << 14  # pixels, margins included
NETWORK_BYTES = 1600  # for each pixel that goes through a network at a time: measured, the largest one ships with
BLOCK_BYTES = 48  # for each pixel of the result in a block: complex transforms along both axes, and their copies
TEMPORARY = 2 * 4  # bytes on disk for each voxel of the result while it is made: it and ZIP, float32


class Spool:
    """An image ``(x, y, z)`` of float32 on disk, written by slices: what nibabel calls a proxy, an image's ``dataobj``.

    Parameters
    ----------
    shape : (int, int, int)
        Of the image.
    axes : (int, int, int)
        Axes of the image in the order slice, row, column of a stack. Columns should come before rows in the image.
    folder : path, optional
        Where the file lies; it has no name and is gone when this object is.
    """

    is_proxy = True
    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, ...], axes: tuple[int, int, int], folder: Path | None = None) -> None:
        self.shape, self.axes = tuple(shape), axes
        self.n, self.h, self.w = (shape[axis] for axis in axes)
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".medsr-")  # noqa: SIM115 (lives as long as this)
        self._lock = threading.Lock()  # a place in the file and what is read there belong together

    def write(self, first: int, block: Stack) -> None:
        """Puts slices ``(k, h, w)`` into their place, the first of them at number ``first``."""
        self._put(first * self.h * self.w, np.ascontiguousarray(block, np.float32))

    def write_rows(self, first: int, block: Stack) -> None:
        """Puts rows of all slices, ``(n, k, w)``, into their place, the first of them at number ``first``."""
        for k, rows in enumerate(np.ascontiguousarray(block, np.float32)):
            self._put((k * self.h + first) * self.w, rows)

    def rows(self, k: int, first: int, stop: int) -> Array:
        """Returns rows ``first`` to ``stop`` of slice ``k``."""
        with self._lock:
            self._file.seek(4 * (k * self.h + first) * self.w)
            content = self._file.read(4 * (stop - first) * self.w)
        return np.frombuffer(content, np.float32).reshape(stop - first, self.w)

    def _put(self, place: int, values: Array) -> None:
        with self._lock:
            self._file.seek(4 * place)
            self._file.write(values.data)

    def __getitem__(self, key: Any) -> Array:
        """Returns a part of the image, by whole numbers and slices; only that part is read."""
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in key:
            at = key.index(Ellipsis)
            key = (*key[:at], *[slice(None)] * (4 - len(key)), *key[at + 1 :])
        key = (*key, *[slice(None)] * (3 - len(key)))
        picked = [np.arange(size)[part] for size, part in zip(self.shape, key, strict=True)]
        slices, rows, columns = (np.atleast_1d(picked[axis]) for axis in self.axes)
        out = np.empty((len(slices), len(rows), len(columns)), np.float32)
        if out.size:
            low, high = int(rows.min()), int(rows.max()) + 1
            for place, k in enumerate(slices):
                out[place] = self.rows(int(k), low, high)[rows - low][:, columns]
        out = out.transpose(np.argsort(self.axes))
        return out[tuple(0 if part.ndim == 0 else slice(None) for part in picked)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("this image lies on disk: reading it makes a copy")
        return self[()].astype(dtype or np.float32, copy=False)


def blocks(count: int, each: int, most: int = BLOCK, together: int = 1) -> Iterator[slice]:
    """Returns slices of ``count`` pieces of ``each`` pixels: blocks of at most ``most`` pixels, or one.

    Pieces stay ``together`` in groups of that many, counted from the first.
    """
    step = together * max(1, most // max(1, each * together))
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


def tiled(network: Network, most: int, margin: int = MARGIN) -> Network:
    """Returns a network that takes large images in tiles: equal to the whole, wherever it reaches less than ``margin``.

    Parameters
    ----------
    network : callable
        ``(n, h, w, c)`` to ``(n, f·h, f·w, c')``, made of convolutions that see zeros beyond the border.
    most : int
        Pixels, margins included, that go through at a time; an image of fewer goes through whole.
    margin : int
        Pixels that a tile shares with its neighbours on every side.
    """

    def run(batch: Array) -> Array:
        n, h, w, _ = batch.shape
        if n * h * w <= most:
            return to_numpy(network(batch))
        if n > 1:
            return np.concatenate([run(batch[k : k + 1]) for k in range(n)])
        side = max(1, int(most**0.5) - 2 * margin)
        out: Array | None = None
        for top in range(0, h, side):
            for left in range(0, w, side):
                y, x = max(0, top - margin), max(0, left - margin)
                part = batch[:, y : top + side + margin, x : left + side + margin]
                made = to_numpy(network(np.ascontiguousarray(part)))
                f = made.shape[1] // part.shape[1]
                if out is None:
                    out = np.empty((1, f * h, f * w, made.shape[-1]), made.dtype)
                bottom, right = min(top + side, h), min(left + side, w)
                out[:, f * top : f * bottom, f * left : f * right] = made[
                    :, f * (top - y) : f * (bottom - y), f * (left - x) : f * (right - x)
                ]
        assert out is not None
        return out

    return run


def shares(base: int, most: int | None, block: int, least: int) -> tuple[int, int]:
    """Returns how many pixels may be in a block and in a tile, so that all takes at most ``most`` bytes.

    Parameters
    ----------
    base : int
        Bytes that are taken whatever the blocks are.
    most : int or None
        Bytes; None: as suits.
    block, least : int
        Pixels of a usual block, and of the smallest there can be.

    Raises
    ------
    CourseError
        If it cannot be done.
    """
    block, usual = max(block, least), taken(max(block, least), TILE)
    if most is None or base + usual <= most:
        return block, TILE
    small = base + taken(least, LEAST_TILE)
    if most < small:
        raise CourseError(f"--max-memory {text(most)} is too little: this scan takes {text(small)} at least")
    part = (most - small) / (base + usual - small)
    return int(least + part * (block - least)), int(LEAST_TILE + part * (TILE - LEAST_TILE))


def taken(block: int, tile: int) -> int:
    """Returns the bytes that blocks and tiles of so many pixels take."""
    return block * BLOCK_BYTES + tile * NETWORK_BYTES


def text(size: float) -> str:
    """Returns bytes in words.

    >>> text(3 << 30), text(200e6)
    ('3.0 GiB', '191 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
