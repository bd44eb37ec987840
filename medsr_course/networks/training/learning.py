"""What all recipes have in common: how one is found, how its network is taught, and what a card says of that."""

import time

from medsr_course.networks.pretrained import Card, load
from medsr_course.networks.pretrained.cards import FORMAT
from medsr_course.networks.training.loop import precision
from medsr_course.networks.training.pairs import TrainingError


def find(name, recipes):
    """The recipe of that name; :class:`TrainingError` where there is none."""
    if name not in recipes:
        raise TrainingError(f"there is no recipe {name!r}; there are: {', '.join(recipes)}")
    return recipes[name]


def learn(architecture, settings, teach, *, policy="auto", seed=0, start=None):
    """Build a network, teach it, and give it back in float32, without the optimizer.

    Parameters
    ----------
    architecture, settings
        For ``models.build``.
    teach : callable
        ``teach(model)`` trains it in place and returns the curve: rows of a step and one or more values.
    policy : str
        What it computes in meanwhile, see :func:`precision`.
    seed : int
        Of the initial weights.
    start : str, optional
        The shipped weight to start from instead.

    Returns
    -------
    keras.Model
    about : dict
        What a card says of any training: ``architecture``, ``settings``, ``parameters``, ``cohort_version``,
        ``precision``, ``seconds`` and ``curve``.
    """
    from medsr_course.networks import models
    from medsr_course.scans import phantom

    with precision(policy) as computed_in:
        trained = models.build(architecture, seed=seed, **settings)
        if start:
            trained.set_weights(load(start).get_weights())
        began = time.perf_counter()
        curve = teach(trained)
        seconds = time.perf_counter() - began
    model = models.build(architecture, **settings)
    model.set_weights(trained.get_weights())
    return model, {
        "architecture": architecture,
        "settings": settings,
        "parameters": model.count_params(),
        "cohort_version": phantom.VERSION,
        "precision": computed_in,
        "seconds": round(seconds),
        "curve": [[step, *(float(f"{value:.4g}") for value in values)] for step, *values in curve],
    }


def card_of(about):
    """Returns the card of a network about which this much is known; what is not known yet is empty."""
    texts = ("name", "title", "task", "architecture", "intended_use", "not_for", "recipe")
    numbers = ("parameters", "cohort_version", "seed", "steps", "batch", "seconds")
    groups = ("settings", "usage", "share", "trained_on", "metrics", "files")
    blank = {"format": FORMAT, "version": "1.0", "licence": "MIT", "data": [], "curve": []}
    blank |= dict.fromkeys(texts, "") | dict.fromkeys(numbers, 0) | {key: {} for key in groups}
    return Card(**{**blank, **about})
