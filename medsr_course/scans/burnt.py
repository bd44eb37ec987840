"""Text that is part of the picture: drawn, found without reading it, and blackened."""

import functools
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course.scans import stamping
from medsr_course.types import Array, Mask

Box = tuple[slice, slice]  # rows and columns
HEIGHTS = (5, 40)  # pixels: the least and the greatest height of a letter that is looked for
LETTERS = 4  # in a row, to be called text


def burn(image: Array, words: str, level: float | None = None, size: float = 0.06) -> Array:
    """An image (rows, columns), row 0 at the top, with words in its lower left corner.

    ``level`` is the letters' value, by default the image's greatest; ``size`` the text's height as a share of the rows.
    """
    rows, columns = image.shape
    text = stamping.drawn(words, rows, columns, size)
    return np.where(text, np.max(image) if level is None else level, image).astype(image.dtype)


def find(image: Array) -> list[Box]:
    """Boxes that look like lines of text: thin, bright, alike in height, in a row.

    It looks for shapes, not for letters, and needs no network: text as dark as its surroundings, larger or smaller than
    :data:`HEIGHTS` or of fewer than :data:`LETTERS` letters passes.

    Parameters
    ----------
    image : array (rows, columns)
        Grey values, row 0 at the top.
    """
    image = np.asarray(image, float)
    bright = image > 0.75 * image.max()  # text is burnt in near the greatest value
    thin = bright & ~ndimage.binary_opening(bright, np.ones((6, 6)))
    parts, _ = ndimage.label(thin, np.ones((3, 3)))
    letters = []
    for box in ndimage.find_objects(parts):
        height, width = (s.stop - s.start for s in box)
        filled = (parts[box] > 0).mean()
        if HEIGHTS[0] <= height <= HEIGHTS[1] and 1 <= width <= 2 * height and filled > 0.15:
            letters.append(box)
    return [line for line in _lines(letters) if line is not None]


def _lines(letters: list[Box]) -> list[Box | None]:
    """Letters that share a base line and stand close, joined to boxes; None for groups too short."""
    letters = sorted(letters, key=lambda box: (box[1].start, box[0].start))
    groups: list[list[Box]] = []
    for box in letters:
        height = box[0].stop - box[0].start
        for group in groups:
            last = group[-1]
            same = abs(last[0].stop - box[0].stop) <= 0.25 * height
            if same and box[1].start - last[1].stop <= 1.5 * height:
                group.append(box)
                break
        else:
            groups.append([box])
    return [_around(group) if len(group) >= LETTERS else None for group in groups]


def _around(group: list[Box]) -> Box:
    rows = slice(max(0, min(b[0].start for b in group) - 2), max(b[0].stop for b in group) + 2)
    return rows, slice(max(0, min(b[1].start for b in group) - 2), max(b[1].stop for b in group) + 2)


def blacken(image: Array, boxes: list[Box]) -> Array:
    """The image with its least value in these boxes."""
    out = np.array(image)
    for box in boxes:
        out[box] = out.min()
    return out


def covered(boxes: list[Box], text: Mask) -> float:
    """Share of a text's pixels that lie in one of the boxes."""
    inside = np.zeros(text.shape, bool)
    for box in boxes:
        inside[box] = True
    return float(inside[text].mean()) if text.any() else float("nan")


@functools.cache
def reader() -> Callable[[Array], Any] | None:
    """The OCR engine of the extra ``ocr`` (rapidocr, whose wheel holds its models); None where that is missing."""
    if find_spec("rapidocr") is None:
        return None
    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR()


def read(image: Array) -> list[str]:
    """The lines of text that :func:`reader` reads in an image; none without it."""
    engine = reader()
    if engine is None:
        return []
    grey = np.asarray(image, float)
    grey = (255 * (grey - grey.min()) / max(float(np.ptp(grey)), 1e-9)).astype(np.uint8)
    found = engine(np.repeat(grey[..., None], 3, axis=2))
    return list(getattr(found, "txts", None) or [])
