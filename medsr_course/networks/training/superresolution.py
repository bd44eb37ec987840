"""Super-resolution: the recipes, and how a network is trained and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

from medsr_course.networks.models.superresolution import deepen
from medsr_course.networks.pretrained import load, super_resolve_with
from medsr_course.networks.training import adversarial, sources
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import Degradation, Patches, Slices
from medsr_course.networks.training.recipe import Recipe, Task, summaries
from medsr_course.physics.interpolation import zero_fill
from medsr_course.tasks import superresolution
from medsr_course.tasks.pairs import setting
from medsr_course.types import Array, Image

# What files have been through before, and noise; see Degradation.
HISTORY = {"noisy": 0.4, "window": 0.3, "unfilled": 0.25, "resliced": 0.3, "bits": 0.3}
HARD = {**HISTORY, "stored": 0.85, "coils": 0.2, "interpolated": 0.15}
SETTINGS: dict[str, dict[str, int]] = {  # of each architecture, besides the scale and the noise map
    "srcnn": {},
    "espcn": {"filters": 48, "depth": 6},
    "srresnet": {"filters": 48, "blocks": 8},
}
PATCHES: dict[tuple[str, int], dict[str, int]] = {  # (architecture, scale) → its patches, where they are others
    ("srcnn", 4): {"size": 20},
    ("espcn", 4): {"size": 24, "batch": 24},
    ("srresnet", 4): {"size": 24, "batch": 20},
}
CLEAN = {**HARD, "noisy": 0.0}  # without noise added: what learns how detail looks would learn how noise looks
STORED = ("rician", 0)  # kind and noise of what a file holds


def _of(architecture: str, scale: int, **settings: int) -> dict[str, Any]:
    """What a recipe says of a network, with the patches it is trained on; ``settings`` are others than its own."""
    own = {"scale": scale, "noise_map": True, **SETTINGS[architecture], **settings}
    return {"architecture": architecture, "settings": own, **PATCHES.get((architecture, scale), {})}


_any = partial(Recipe, task="super-resolution", margin=3)
_recipe = partial(_any, share=sources.BROAD, version="2.0")
# The first stage knew signed pairs and T1w of healthy people only.
_stage = partial(_any, options={"degradation": HISTORY, "data_consistency": "soft"})


def equal(title: str, architecture: str, settings: dict[str, Any], **options: Any) -> Recipe:
    """A recipe of chapter 18: families at equal processor time, on the same patches, with the same schedule.

    Steps are such that each training took about :data:`MINUTES` minutes of processor time on the machine that
    ``results/beyond.md`` names; the learning rate is the best of the grid there.
    """
    same = {"task": "super-resolution", "share": sources.BROAD, "margin": 3, "size": 24, "batch": 16}
    return Recipe(title, architecture=architecture, settings=settings, **{**same, **options})


MINUTES = 4
_equal = partial(equal, options={"degradation": CLEAN})

RECIPES = {
    "srcnn-x2-stage1": _stage("SRCNN ×2, first stage", **_of("srcnn", 2), steps=2500),
    "srcnn-x4-stage1": _stage("SRCNN ×4, first stage", **_of("srcnn", 4), steps=2000),
    "espcn-x2-stage1": _stage("ESPCN ×2, first stage", **_of("espcn", 2), steps=6000),
    "espcn-x4-stage1": _stage("ESPCN ×4, first stage", **_of("espcn", 4), steps=4000),
    "srresnet-x2-stage1": _stage(
        "SRResNet ×2, first stage", **_of("srresnet", 2, blocks=5), steps=10000, learning_rate=1.5e-3
    ),
    "srresnet-x4-stage1": _stage(
        "SRResNet ×4, first stage", **_of("srresnet", 4, blocks=5), steps=6000, learning_rate=1.5e-3
    ),
    "srcnn-x2": _recipe("SRCNN ×2", **_of("srcnn", 2), steps=1000, start="srcnn-x2-stage1"),
    "srcnn-x4": _recipe("SRCNN ×4", **_of("srcnn", 4), steps=1000, start="srcnn-x4-stage1"),
    "espcn-x2": _recipe("ESPCN ×2", **_of("espcn", 2), steps=4000, start="espcn-x2-stage1"),
    "espcn-x4": _recipe("ESPCN ×4", **_of("espcn", 4), steps=3000, start="espcn-x4-stage1"),
    "srresnet-x2-stage2": _recipe(
        "SRResNet ×2, second stage",
        **_of("srresnet", 2),
        steps=10000,
        schedule=24000,
        learning_rate=1.2e-3,
        start="srresnet-x2-stage1",
    ),
    "srresnet-x2": _recipe(
        "SRResNet ×2",
        **_of("srresnet", 2),
        steps=5000,
        learning_rate=1.2e-3,
        seed=1,  # other batches than those of the second stage
        start="srresnet-x2-stage2",
    ),
    "srresnet-x4": _recipe(
        "SRResNet ×4", **_of("srresnet", 4), steps=6000, learning_rate=1.2e-3, start="srresnet-x4-stage1"
    ),
    "srgan-x4": _recipe(
        "SRGAN ×4",
        **{**_of("srresnet", 4), "batch": 8},
        steps=1000,
        learning_rate=2e-4,
        start="srresnet-x4",  # whose architecture and settings are the generator's
        players=adversarial.Players("features-tissue", scale=4, pixel=0.15, perceptual=1.0, adversarial=0.1),
        options={"degradation": CLEAN},
    ),
    "twin-x4": _equal(
        "CNN twin ×4", "srresnet", {"scale": 4, "filters": 48, "blocks": 3}, steps=3500, learning_rate=0.002
    ),
    "swinir-x4": _equal("Window attention ×4", "swinir", {"scale": 4}, steps=800, learning_rate=0.001),
    "liif-x4": _equal("Implicit field ×4", "liif", {"scale": 4}, steps=2400, learning_rate=0.002),
}
INTENDED_USE = (
    "Teaching: to see what a small network adds to zero-filling on axial brain MRI magnitudes that were made coarser "
    "by k-space cropping, and what it does not."
)
NOT_FOR = (
    "Diagnosis, treatment, or any decision about a person. Other body parts, CT, differently degraded images: measure "
    "first. Detail it adds beyond the measured frequencies is a guess from its training images."
)


def gains(
    network: Callable[[Array], Array],
    images: dict[str, Image],
    scale: int,
    *,
    noise: float = 0.0,
    kind: str = "rician",
    slices: int = 10,
    **usage: Any,
) -> list[dict[str, float]]:
    """Measures a network by the protocol: ten axial slices of each scan, cropped in k-space.

    Parameters
    ----------
    network, scale, **usage
        As for :func:`pretrained.super_resolve_with`.
    images : dict of str to nibabel image
        A scan whose name ends in "CT" is judged over 400 HU.
    noise, kind
        See :func:`superresolution.pair`; signed data are cropped signed.
    slices : int
        How many of the ten count, from the middle.

    Returns
    -------
    list of dict
        ``zip`` and ``network`` (PSNR, dB), ``gain`` (their difference) and ``gain_head`` (inside the head), per scan,
        and the share of slices that are better than with ZIP.
    """
    rows = []
    for scan, image in images.items():
        contrast = "CT" if scan.endswith("CT") else ""
        pair = superresolution.pair(
            image, scale, noise=noise, key=scan, contrast=contrast, kind="signed" if contrast else kind
        )
        first = (len(pair.target) - slices) // 2
        some = np.s_[first : first + slices]
        pair = replace(pair, target=pair.target[some], given=pair.given[some])
        filled, made = zero_fill(pair.given, scale), super_resolve_with(network, pair.given, scale, **usage)
        base, value = pair.psnrs(filled), pair.psnrs(made)
        gain = {"gain": value["psnr"] - base["psnr"], "gain_head": value["psnr_head"] - base["psnr_head"]}
        better = {"slices better than ZIP (%)": 100 * pair.better(made, filled)}
        rows.append({"zip": base["psnr"], "network": value["psnr"], **gain, **better})
    return rows


class SuperResolution(Task):
    """From a coarse patch to the residual over zero-filling; the options:

    * ``degradation``: settings of :class:`Degradation` besides the scale;
    * ``balanced``: see :class:`Patches`;
    * ``data_consistency``, ``own_error``: how the network is used, see :func:`pretrained.super_resolve_with`.
    """

    name, recipes = "super-resolution", RECIPES
    defaults = {"degradation": HARD, "balanced": True, "data_consistency": None, "own_error": 0.005}

    def degradation(self, recipe: Recipe) -> Degradation:
        """Returns what is done to the slices."""
        return Degradation(recipe.settings["scale"], **self.options(recipe)["degradation"])

    def begin(self, model: Model, start: Model) -> None:
        if model.count_params() == start.count_params():
            super().begin(model, start)
        else:
            deepen(model, start)

    def batches(self, recipe: Recipe, samples: Slices, weights: Array | None) -> Patches:
        return Patches(
            samples,
            self.degradation(recipe),
            weights=weights,
            size=recipe.size,
            batch=recipe.batch,
            balanced=self.options(recipe)["balanced"],
            zero_filled=_reads_zip(recipe) or recipe.players is not None,
            noise_map=recipe.settings.get("noise_map", False),
            seed=recipe.seed,
        )

    def loss(self, recipe: Recipe) -> dict[str, Any]:
        return {"margin": recipe.margin * recipe.settings["scale"]}

    def development(self, recipe: Recipe) -> Callable[[Model], float]:
        """Mean gain on stored slices of real development scans, three of each."""
        scans = sources.development()
        scale = recipe.settings["scale"]
        how = {key: value for key, value in self.how(recipe, self.build(recipe)).items() if key != "scale"}
        return lambda model: float(
            np.mean([row["gain"] for row in gains(model.predict_on_batch, scans, scale, slices=3, **how)])
        )

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        options = self.options(recipe)
        return {
            "scale": recipe.settings["scale"],
            "input": "zip" if _reads_zip(recipe) else "coarse",
            "data_consistency": options["data_consistency"],
            "noise_map": recipe.settings.get("noise_map", False),
            "most_noise": self.degradation(recipe).most_noise,
            "own_error": options["own_error"],
        }

    def augmentation(self, recipe: Recipe) -> dict[str, Any]:
        return asdict(self.degradation(recipe))

    def measure(self, model: Model, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """Means over subjects, per data set, contrast and :func:`pairs.setting`; single real scans by name.

        A title without a setting is of stored images. "cohort test" is of all its subjects, with an interval.
        """
        result: dict[str, dict[str, Any]] = {}
        groups, how = sources.measured_on(), self.how(recipe, model)
        for kind, noise in superresolution.CONDITIONS[recipe.settings["scale"]]:
            end = "" if (kind, noise) == STORED else f", {setting(kind, noise)}"
            # CT has no magnitudes.
            some = {title: group for title, group in groups.items() if kind == "signed" or not title.endswith("CT")}
            measured = partial(gains, model.predict_on_batch, noise=noise, kind=kind, **how)
            result |= summaries(some, measured, end)
        return result

    def perception(self, name: str, model: Model, recipe: Recipe) -> dict[str, Any]:
        """Perceptual distance and spectrum error on the cohort: group → ZIP, the start, and the network → both."""
        how, scale, start = self.how(recipe, model), recipe.settings["scale"], recipe.start or name
        before = load(start)
        runs = {
            "ZIP": lambda coarse: zero_fill(coarse, scale),
            start: lambda coarse: super_resolve_with(before.predict_on_batch, coarse, **how),
            name: lambda coarse: super_resolve_with(model.predict_on_batch, coarse, **how),
        }
        result = {}
        for title, group in sources.measured_on().items():
            if title.startswith("cohort"):
                pairs = [superresolution.pair(image, scale, key=scan) for scan, image in group.items()]
                result[title] = {
                    method: {"perceptual distance": round(distance, 4), "spectrum error": round(spectrum, 4)}
                    for method, (_, spectrum, distance) in adversarial.perceived(runs, pairs, scale).items()
                }
        return result

    def uses(self, recipe: Recipe) -> tuple[str, str]:
        clean = not self.degradation(recipe).noisy
        return INTENDED_USE, NOT_FOR + clean * " Noisy images: it was trained without noise, and loses to ZIP."


def _reads_zip(recipe: Recipe) -> bool:
    from medsr_course.networks import models

    return recipe.architecture in models.ON_ZIP


TASK = SuperResolution()
