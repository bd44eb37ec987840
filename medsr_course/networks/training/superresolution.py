"""Recipes of the super-resolution networks, and how one is trained and measured."""

from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np

from medsr_course.networks import pretrained
from medsr_course.networks.training import adversarial, learning
from medsr_course.networks.training.loop import fit
from medsr_course.networks.training.pairs import Degradation, Patches
from medsr_course.networks.training.sources import SHARE, material, measured_on, origin
from medsr_course.physics.interpolation import zero_fill
from medsr_course.tasks import superresolution

HARD = {
    "noisy": 0.4,
    "window": 0.3,
    "unfilled": 0.25,
    "resliced": 0.3,
    "bits": 0.3,
}  # what files have been through, and noise
SRRESNET_X4 = {"scale": 4, "noise_map": True, "filters": 48, "blocks": 5}  # SRGAN's generator starts from its weights


@dataclass(frozen=True)
class Recipe:
    """All that decides a shipped weight.

    Attributes
    ----------
    architecture, settings
        For ``models.build``.
    steps : int
    share : dict of str to float
        Data set → its share of the patches.
    degradation : dict
        Settings of :class:`Degradation` besides the scale.
    balanced : bool
        See :class:`Patches`.
    margin : int
        Coarse pixels at a patch's border that the loss leaves out.
    precision : {"auto", "float32", "mixed_bfloat16"}
        What the training computes in, see :func:`precision`; the weights are float32.
    data_consistency : {"hard", "soft", None}
        How the network is used, see :func:`pretrained.super_resolve_with`.
    start : str, optional
        The weight it starts from.
    players : dict, optional
        Train adversarially, with these settings of :func:`adversarial.teach`.
    """

    title: str
    architecture: str
    settings: dict
    steps: int
    share: dict = field(default_factory=lambda: dict(SHARE))
    degradation: dict = field(default_factory=lambda: dict(HARD))
    batch: int = 16
    size: int = 32
    margin: int = 3
    learning_rate: float = 2e-3
    balanced: bool = True
    precision: str = "auto"
    seed: int = 0
    data_consistency: str | None = "soft"
    own_error: float = 0.005
    start: str | None = None
    players: dict | None = None


RECIPES = {
    "srcnn-x2": Recipe("SRCNN ×2", "srcnn", {"scale": 2, "noise_map": True}, steps=2500),
    "srcnn-x4": Recipe("SRCNN ×4", "srcnn", {"scale": 4, "noise_map": True}, steps=2000, size=20),
    "espcn-x2": Recipe("ESPCN ×2", "espcn", {"scale": 2, "noise_map": True, "filters": 48, "depth": 6}, steps=6000),
    "espcn-x4": Recipe(
        "ESPCN ×4", "espcn", {"scale": 4, "noise_map": True, "filters": 48, "depth": 6}, steps=4000, size=24, batch=24
    ),
    "srresnet-x2": Recipe(
        "SRResNet ×2",
        "srresnet",
        {"scale": 2, "noise_map": True, "filters": 48, "blocks": 5},
        steps=10000,
        learning_rate=1.5e-3,
    ),
    "srresnet-x4": Recipe(
        "SRResNet ×4",
        "srresnet",
        SRRESNET_X4,
        steps=6000,
        size=24,
        batch=20,
        learning_rate=1.5e-3,
    ),
    "srgan-x4": Recipe(
        "SRGAN ×4",
        "srresnet",
        SRRESNET_X4,
        steps=2000,
        batch=8,
        size=24,
        learning_rate=2e-4,
        degradation={**HARD, "noisy": 0.0},  # the discriminator must not be taught what noise looks like
        start="srresnet-x4",
        players={"features": "features-tissue", "pixel": 0.15, "perceptual": 1.0, "adversarial": 0.1},
    ),
}


def gains(network, images, scale, *, noise=0.0, **consistency):
    """PSNR by the measurement protocol: ten axial slices of each scan, cropped in k-space.

    Parameters
    ----------
    network : callable
        As for :func:`pretrained.super_resolve_with`.
    images : dict of str to nibabel image
        A scan whose name ends in "CT" is judged over 400 HU.
    noise : float
        In %, see :func:`superresolution.pair`.
    **consistency
        For :func:`pretrained.super_resolve_with`.

    Returns
    -------
    list of dict
        ``scan``, ``zip`` and ``network`` (PSNR, dB), ``gain`` (their difference) and ``gain_head`` (inside the head).
    """
    rows = []
    for scan, image in images.items():
        contrast = "CT" if scan.endswith("CT") else ""
        pair = superresolution.pair(image, scale, noise=noise, key=scan, contrast=contrast)
        base = pair.psnrs(zero_fill(pair.given, scale))
        value = pair.psnrs(pretrained.super_resolve_with(network, pair.given, scale, **consistency))
        rows.append(
            {
                "scan": scan,
                "zip": base["psnr"],
                "network": value["psnr"],
                "gain": value["psnr"] - base["psnr"],
                "gain_head": value["psnr_head"] - base["psnr_head"],
            }
        )
    return rows


def degradation(recipe):
    """What happens to its slices."""
    return Degradation(recipe.settings["scale"], **recipe.degradation)


def patches(recipe, slices, weights):
    """The batches a recipe trains on, :class:`Patches` of ``slices`` drawn with probability ``weights``."""
    return Patches(
        slices,
        degradation(recipe),
        weights=weights,
        size=recipe.size,
        batch=recipe.batch,
        balanced=recipe.balanced,
        zero_filled=_reads_zip(recipe) or recipe.players is not None,
        noise_map=recipe.settings.get("noise_map", False),
        seed=recipe.seed,
    )


def usage(recipe):
    """What a card says of how the network is used, from which :func:`pretrained.usage` reads it."""
    return {
        "scale": recipe.settings["scale"],
        "input": "zip" if _reads_zip(recipe) else "coarse",
        "data_consistency": recipe.data_consistency,
        "noise_map": recipe.settings.get("noise_map", False),
        "most_noise": degradation(recipe).most_noise,
        "own_error": recipe.own_error,
    }


def _reads_zip(recipe):
    from medsr_course.networks import models

    return recipe.architecture in models.ON_ZIP


def train(name, *, recipe=None, share=None, steps=None, checkpoint=None):
    """Train the network of a recipe.

    Parameters
    ----------
    name : str
        One of :data:`RECIPES`.
    recipe : Recipe, optional
        Another than the one of that name.
    share : dict, optional
        Other data than the recipe's, e.g. ``{"cohort": 1.0}`` for a synthetic-only twin.
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
    share, steps = share or recipe.share, steps or recipe.steps
    scale = recipe.settings["scale"]
    slices, weights, trained_on = material(share)
    batches = patches(recipe, slices, weights)
    teach = fit if recipe.players is None else partial(adversarial.teach, scale=scale, **recipe.players)
    options = {"learning_rate": recipe.learning_rate, "margin": recipe.margin * scale, "checkpoint": checkpoint}
    model, learned = learning.learn(
        recipe.architecture,
        recipe.settings,
        lambda model: teach(model, batches, steps, **options),
        policy=recipe.precision,
        seed=recipe.seed,
        start=recipe.start,
    )
    about = {
        **learned,
        "task": "super-resolution",
        "usage": usage(recipe),
        **origin(share, trained_on),
        "augmentation": asdict(batches.degradation),
        "seed": recipe.seed,
        "steps": steps,
        "batch": recipe.batch,
    }
    if recipe.players is not None:
        about["start"], about["training"] = recipe.start, {"players": recipe.players}
        about["curve_columns"] = list(adversarial.COLUMNS)
    return model, about


def make(name, *, steps=None, checkpoint=None):
    """Train a shipped network and measure it.

    Returns
    -------
    keras.Model, in float32
    about : dict
        Its card, as far as it is not about files.
    """
    model, trained = train(name, steps=steps, checkpoint=checkpoint)
    recipe = RECIPES[name]
    about = {
        "title": recipe.title,
        **trained,
        "metrics": measure(model, learning.card_of(trained)),
        **uses(recipe),
    }
    if recipe.players is not None:
        about["perception"] = adversarial.perception(
            model.predict_on_batch, learning.card_of({"name": name, **about}), measured_on()
        )
    return model, about


INTENDED_USE = (
    "Teaching: to see what a small network adds to zero-filling on axial brain MRI magnitudes that were made coarser "
    "by k-space cropping, and what it does not."
)
NOT_FOR = (
    "Diagnosis, treatment, or any decision about a person. Other body parts, CT, differently degraded images: measure "
    "first. Detail it adds beyond the measured frequencies is a guess from its training images."
)


def uses(recipe):
    """What the card says the network is for, and not for."""
    never = "" if recipe.degradation.get("noisy") else " Noisy images: it was trained without noise, and loses to ZIP."
    return {"intended_use": INTENDED_USE, "not_for": NOT_FOR + never}


def measure(model, about, noises=(0, 3, 6)):
    """The card's numbers: mean over subjects, per data set, contrast and noise; single real scans by name."""
    result = {}
    for title, group in measured_on().items():
        for noise in noises:
            if noise and title.endswith("CT"):
                continue  # the protocol's noise ends in a magnitude, which signed data have not
            rows = gains(model.predict_on_batch, group, noise=noise, **pretrained.usage(about))
            keys = ("zip", "network", "gain", "gain_head")
            mean = {key: round(float(np.mean([r[key] for r in rows])), 2) for key in keys}
            result[f"{title}, {noise} % noise" if noise else title] = {
                "subjects": len(rows),
                **{f"{key} (dB)": value for key, value in mean.items()},
                "least gain (dB)": round(min(r["gain"] for r in rows), 2),
            }
    return result
