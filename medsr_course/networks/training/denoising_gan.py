"""Recipe of the denoiser that was taught by an opponent: the shipped one, trained on against a conditional judge."""

from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np

from medsr_course.networks import losses
from medsr_course.networks.pretrained import card, denoise_with, load, usage
from medsr_course.networks.pretrained import network as shipped_network
from medsr_course.networks.training import adversarial, denoising, learning
from medsr_course.networks.training.pairs import Degradation, Patches
from medsr_course.networks.training.sources import material, measured_on, origin
from medsr_course.physics import metrics
from medsr_course.tasks import denoising as task

BAND = 2  # the spectrum error counts frequencies beyond 1 / BAND of Nyquist


@dataclass(frozen=True)
class Recipe:
    """All that decides the weight.

    Attributes
    ----------
    start : str
        The shipped denoiser it starts from; it has the same architecture and is used in the same way.
    players : dict
        Settings of :func:`adversarial.teach`.
    seeds : tuple of int
        Of patches, noise and discriminator: trained once with each. The first one is shipped, the curves and scores
        of all are in the card.
    """

    title: str
    start: str
    players: dict
    steps: int
    levels: tuple = (3.0, 9.0)
    # The judge must see what a sharp scan looks like: no dead leaves, nothing windowed or resliced.
    share: dict = field(default_factory=lambda: {"ds002748": 0.5, "cohort": 0.5})
    degradation: dict = field(default_factory=dict)
    batch: int = 8
    size: int = 64
    margin: int = 4
    learning_rate: float = 4e-4
    precision: str = "auto"
    seeds: tuple = (0, 1, 2)

    @property
    def seed(self):
        """Of the weight that is shipped."""
        return self.seeds[0]


RECIPES = {
    "dncnn-gan-magnitude": Recipe(
        "DnCNN for magnitudes, taught on by a GAN",
        "dncnn-magnitude",
        {"features": None, "filters": 20, "pixel": 0.1, "adversarial": 0.3, "discriminator_rate": 2e-3},
        steps=600,
    ),
}
INTENDED_USE = (
    "Teaching: to see what an adversarial loss does to a denoiser of magnitude images of the head (MRI) with 3 to 9 % "
    "of Rician noise: the grain of a scan comes back, and the error grows."
)
NOT_FOR = denoising.NOT_FOR + " Part of the texture it leaves is invented: measure nothing in it."


def train(name, seed, *, recipe=None, steps=None, checkpoint=None):
    """Train the network of a recipe with one seed.

    Parameters
    ----------
    name : str
        One of :data:`RECIPES`.
    seed : int
    recipe : Recipe, optional
        Another than the one of that name.
    steps : int, optional
        Another length.
    checkpoint : path, optional
        Where the run puts what it needs to go on after an interruption.

    Returns
    -------
    keras.Model, in float32
    about : dict
        What a card says of the training.
    """
    recipe = recipe or learning.find(name, RECIPES)
    begin, steps = card(recipe.start), recipe.steps if steps is None else steps
    slices, weights, trained_on = material(recipe.share)
    degradation = Degradation(1, **recipe.degradation)
    patches = Patches(slices, degradation, weights=weights, size=recipe.size, batch=recipe.batch, seed=seed)
    batches = denoising.Noisy(patches, begin.usage["kind"], recipe.levels, seed=seed)
    teach = partial(
        adversarial.teach,
        scale=1,
        conditional=True,
        seed=seed,
        learning_rate=recipe.learning_rate,
        margin=recipe.margin,
        checkpoint=checkpoint,
        **recipe.players,
    )
    model, learned = learning.learn(
        begin.architecture,
        begin.settings,
        lambda model: teach(model, batches, steps),
        policy=recipe.precision,
        start=recipe.start,
    )
    return model, {
        **learned,
        "task": "denoising",
        "usage": {"kind": begin.usage["kind"], "residual": True},
        "start": recipe.start,
        "training": {"levels": list(recipe.levels), "players": {**recipe.players, "conditional": True}},
        **origin(recipe.share, trained_on),
        "augmentation": asdict(degradation),
        "seed": seed,
        "steps": steps,
        "batch": recipe.batch,
        "curve_columns": list(adversarial.COLUMNS),
    }


def make(name, *, steps=None, checkpoint=None):
    """Train the weight with each seed of its recipe, and measure each; the first one is returned.

    Returns
    -------
    keras.Model, in float32
    about : dict
        Its card, as far as it is not about files. ``seeds`` holds, by seed, ``curve``, ``seconds`` and ``trade``
        (:func:`trade`, of each contrast of the cohort's unseen subjects).
    """
    recipe = RECIPES[name]
    groups = {title: group for title, group in measured_on().items() if not title.endswith("CT")}
    cohort = {title: group for title, group in groups.items() if title.startswith("cohort")}
    shipped, seeds = None, {}
    for seed in recipe.seeds:
        part = checkpoint and checkpoint.with_name(f"{checkpoint.stem}-{seed}{checkpoint.suffix}")
        model, trained = train(name, seed, steps=steps, checkpoint=part)
        about = learning.card_of(trained)
        shipped = shipped or (model, trained)
        seeds[str(seed)] = {
            "seconds": trained["seconds"],
            "curve": trained["curve"],
            "trade": {title: trade(model.predict_on_batch, about, group) for title, group in cohort.items()},
        }
    for seed in recipe.seeds:
        if checkpoint:
            checkpoint.with_name(f"{checkpoint.stem}-{seed}{checkpoint.suffix}").unlink(missing_ok=True)
    model, trained = shipped
    about = learning.card_of(trained)
    return model, {
        "title": recipe.title,
        **trained,
        "seeds": seeds,
        "perception": {title: trade(model.predict_on_batch, about, group) for title, group in groups.items()},
        "metrics": denoising.measure(model.predict_on_batch, about),
        "intended_use": INTENDED_USE,
        "not_for": NOT_FOR,
    }


def trade(network, about, images, *, level=6, slices=4, judge="features-judge"):
    """What the opponent's pupil paid and won against the network it started from, means over scans.

    Parameters
    ----------
    network : callable
        As for :func:`pretrained.denoise_with`.
    about : Card
        Its card; ``start`` names the other network.
    images : dict of str to nibabel image
    level : float
        Of the noise, in %.
    slices : int
        Of each scan.
    judge : str
        The feature network that measures; it must not be the one that taught.

    Returns
    -------
    dict
        ``PSNR loss (dB)``; ``spectrum error`` (:func:`metrics.spectrum_error`, frequencies beyond half of Nyquist) and
        ``perceptual distance``, each followed by that of the start.
    """
    eye, run = load(judge), {"after": network, "before": shipped_network(about.start)}
    rows = []
    for key, image in images.items():
        pair = task.pair(image, level, about.usage["kind"], key=key, slices=slices)
        row = []
        for side in run.values():
            made = denoise_with(side, pair.given, **usage(about))
            row += [
                metrics.psnr(pair.target, made),
                metrics.spectrum_error(pair.target, made, BAND),
                losses.perceptual_distance(eye, pair.target, made),
            ]
        rows.append(row)
    psnr, spectrum, distance, psnr0, spectrum0, distance0 = np.mean(rows, axis=0)
    return {
        "PSNR loss (dB)": round(float(psnr0 - psnr), 3),
        "spectrum error": round(float(spectrum), 4),
        "spectrum error, start": round(float(spectrum0), 4),
        "perceptual distance": round(float(distance), 4),
        "perceptual distance, start": round(float(distance0), 4),
    }
