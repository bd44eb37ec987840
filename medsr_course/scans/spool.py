"""Images that do not lie in memory: kept on disk, or worked out where they are read; nibabel calls them proxies."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course.types import Array, Stack

BLOCK = 1 << 22  # pixels that are worked on at a time


class Proxy:
    """What an image's ``dataobj`` has to be: an array (x, y, z) of float32 of which parts can be read."""

    is_proxy = True
    ndim = 3
    dtype = np.dtype(np.float32)
    shape: tuple[int, ...]

    def __getitem__(self, key: Any) -> Array:
        """Returns a part of the image."""
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("this image does not lie in memory: reading it makes a copy")
        return self[...].astype(dtype or np.float32, copy=False)


class Difference(Proxy):
    """An image less another."""

    def __init__(self, image: Any, less: Any) -> None:
        self.image, self.less, self.shape = image, less, image.shape

    def __getitem__(self, key: Any) -> Array:
        return self.image[key] - self.less[key]


class Spool(Proxy):
    """An image on disk, written by the slices or the rows of a stack.

    Parameters
    ----------
    shape : (int, int, int)
        Of the image.
    axes : (int, int, int)
        Axes of the image in the order slice, row, column of a stack. Columns should come before rows in the image.
    folder : path, optional
        Where the file lies; it has no name and is gone when this object is.
    """

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

    def _put(self, place: int, values: Array) -> None:
        with self._lock:
            self._file.seek(4 * place)
            self._file.write(values.data)

    def _rows(self, k: int, first: int, stop: int) -> Array:
        with self._lock:
            self._file.seek(4 * (k * self.h + first) * self.w)
            content = self._file.read(4 * (stop - first) * self.w)
        return np.frombuffer(content, np.float32).reshape(stop - first, self.w)

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
                out[place] = self._rows(int(k), low, high)[rows - low][:, columns]
        out = out.transpose(np.argsort(self.axes))
        return out[tuple(0 if part.ndim == 0 else slice(None) for part in picked)]


def blocks(count: int, each: int, most: int = BLOCK, together: int = 1) -> Iterator[slice]:
    """Returns slices of ``count`` pieces of ``each`` pixels: blocks of at most ``most`` pixels, or one.

    Pieces stay ``together`` in groups of that many, counted from the first.
    """
    step = together * max(1, most // max(1, each * together))
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


def parts(data: Any) -> Iterator[Array]:
    """Returns the slices of an image (x, y, z), block by block."""
    return (data[..., part] for part in blocks(data.shape[2], data.shape[0] * data.shape[1]))
