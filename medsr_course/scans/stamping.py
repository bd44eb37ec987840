"""A line of text in a corner of every slice: an image that was made by a network says so wherever it is shown."""

from typing import Any

import numpy as np

from medsr_course.scans.spool import Proxy
from medsr_course.types import Array, Image, Mask

WORDS = "AI-ENHANCED - RESEARCH, NOT FOR DIAGNOSIS"
HEIGHT = 0.05  # of a slice: the text's, where the line then is no wider than the slice


class Stamped(Proxy):
    """An image with text over it, drawn where it is read."""

    def __init__(self, data: Any, text: Mask, high: float) -> None:
        self.data, self.text, self.high, self.shape = data, text, high, data.shape

    def __getitem__(self, key: Any) -> Array:
        """Returns a part of the image: text at the greatest value, around it the image."""
        text = np.broadcast_to(self.text, self.shape)[key]
        return np.where(text, np.float32(self.high), self.data[key])


def stamp(image: Image, order: tuple[int, int, int], high: float) -> Image:
    """Returns an image that carries :data:`WORDS` in the lower left corner of every slice.

    ``order`` are the axes of slices, rows and columns; ``high``, the image's greatest value, is what the letters get.
    The text reads as slices are shown: the patient's left on the right, feet or back down.
    """
    rows, columns = (image.shape[axis] for axis in order[1:])
    text = drawn(WORDS, rows, columns)
    for place, axis in enumerate(order[1:]):
        if _grows_towards(image, axis) in "RAS":
            text = np.flip(text, place)
    text = np.expand_dims(text, 0).transpose(np.argsort(order))
    stamped: Any = Stamped(image.dataobj, text, high)
    return type(image)(stamped, image.affine, image.header)


def _grows_towards(image: Image, axis: int) -> str:
    import nibabel

    return str(nibabel.aff2axcodes(image.affine)[axis])


def drawn(words: str, rows: int, columns: int, height: float = HEIGHT) -> Mask:
    """Words as a mask (rows, columns), row 0 at the top: in the last rows, ``height`` of them high if they fit."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    size = max(6.0, height * rows)
    size *= min(1.0, columns / ImageFont.load_default(size).getlength(words))
    canvas = Pillow.new("L", (columns, rows))
    ImageDraw.Draw(canvas).text((0, rows), words, fill=255, font=ImageFont.load_default(max(4.0, size)), anchor="ld")
    return np.asarray(canvas) > 127
