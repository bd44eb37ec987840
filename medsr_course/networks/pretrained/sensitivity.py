"""Where results depend on what should not matter: which way round the image is read, and which network reads it."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.networks.pretrained import turns
from medsr_course.networks.pretrained.superresolution import super_resolve
from medsr_course.networks.pretrained.weights import card
from medsr_course.physics import grid
from medsr_course.types import Stack

if TYPE_CHECKING:
    import keras

NETWORKS = ("espcn", "srresnet")


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
    members = [(f"{name}-x{scale}", turn) for name in NETWORKS for turn in turns.TURNS]
    for name, turn in members:
        made = turns.back(super_resolve(name, turns.turned(stack, turn)), turn) / unit
        total, square = total + made, square + made.astype(np.float64) ** 2
    mean = total / len(members)
    return np.sqrt(np.maximum(square / len(members) - mean**2, 0)).astype(np.float32)


def known(scale: int) -> dict[str, Any]:
    """What ``python -m tools.probe_report`` measured of this map: AUCs with intervals, and on how many people.

    ``current`` tells whether the networks are still those that were measured; empty where nothing was.
    """
    found = json.loads(resources.path("sensitivity.json").read_text(encoding="utf-8")).get(str(scale), {})
    cards = [card(f"{name}-x{scale}") for name in NETWORKS] if found else []
    return found and found | {"current": found["networks"] == {about.name: dict(about.files) for about in cards}}


def shuffled(model: "keras.Model", key: int | str = 0) -> "keras.Model":
    """Returns a network like ``model`` with the weights of each layer in random order, so that their sizes stay.

    What an explanation says of it as well, does not depend on what was learned (Adebayo et al. 2018). Same key, same
    order.
    """
    from medsr_course.networks.framework import keras

    plain = keras.Model(model.inputs, model.outputs)  # without what it was compiled with
    twin, rng = keras.models.clone_model(plain), runtime.rng("shuffled", key)
    twin.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in model.get_weights()])
    return twin
