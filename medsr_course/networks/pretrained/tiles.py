"""Large images through a network in tiles, without seams."""

import numpy as np

from medsr_course.networks.pretrained.common import Network, to_numpy
from medsr_course.types import Array

MARGIN = 32  # pixels that tiles share with their neighbours on every side: no shipped network reaches farther


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
