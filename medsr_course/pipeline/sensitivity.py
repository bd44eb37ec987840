"""Where results depend on what should not matter: which way round the image is read, and which network reads it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from medsr_course import resources
from medsr_course.networks import pretrained
from medsr_course.physics import grid
from medsr_course.types import Stack

NETWORKS = ("espcn", "srresnet")


def symmetries() -> Iterator[tuple[Callable[[Stack], Stack], Callable[[Stack], Stack]]]:
    """The eight ways to turn and mirror a stack, each with its inverse; sample 0 stays where it is.

    >>> x = np.arange(6.0).reshape(1, 2, 3)
    >>> all((back(turn(x)) == x).all() for turn, back in symmetries()), sum(1 for _ in symmetries())
    (True, 8)
    """

    def mirrored(stack: Stack, axis: int) -> Stack:
        return np.roll(np.flip(stack, axis), 1, axis)

    for rows in (False, True):
        for columns in (False, True):
            for swapped in (False, True):

                def flip(x: Stack, rows: bool = rows, columns: bool = columns) -> Stack:
                    x = mirrored(x, 1) if rows else x
                    return mirrored(x, 2) if columns else x

                def turn(x: Stack, flip: Callable = flip, swapped: bool = swapped) -> Stack:
                    return flip(x).transpose(0, 2, 1) if swapped else flip(x)

                def back(x: Stack, flip: Callable = flip, swapped: bool = swapped) -> Stack:
                    return flip(x.transpose(0, 2, 1) if swapped else x)

                yield turn, back


def spread(stack: Stack, scale: int) -> Stack:
    """Standard deviation of what the networks of :data:`NETWORKS` make of a coarse stack, over all symmetries.

    Parameters
    ----------
    stack : array (n, h, w)
    scale : int

    Returns
    -------
    float32 array (n, scale·h, scale·w)
        In parts of the stack's intensity scale.
    """
    unit = grid.intensity(stack)[1] or 1.0
    total = square = np.zeros((), np.float64)
    members = [(name, *pair) for name in NETWORKS for pair in symmetries()]
    for name, turn, back in members:
        made = back(pretrained.super_resolve(f"{name}-x{scale}", turn(stack))) / unit
        total, square = total + made, square + made.astype(np.float64) ** 2
    mean = total / len(members)
    return np.sqrt(np.maximum(square / len(members) - mean**2, 0)).astype(np.float32)


def known(scale: int) -> dict[str, Any]:
    """What ``python -m tools.probe_report`` measured of this map: AUCs with intervals, and on how many people.

    ``current`` tells whether the networks are still those that were measured; empty where nothing was.
    """
    found = json.loads(resources.path("sensitivity.json").read_text(encoding="utf-8")).get(str(scale), {})
    cards = [pretrained.card(f"{name}-x{scale}") for name in NETWORKS] if found else []
    return found and found | {"current": found["networks"] == {card.name: dict(card.files) for card in cards}}
