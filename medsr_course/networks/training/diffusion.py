"""Diffusion: the recipe, and how a network learns to tell noise from a residual, given a coarse image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from medsr_course.networks.pretrained import diffusion as sampling
from medsr_course.networks.training import sources, superresolution
from medsr_course.networks.training.loop import Batches, Model
from medsr_course.networks.training.pairs import Degradation, Patches, Slices
from medsr_course.networks.training.recipe import Recipe, Task, summaries
from medsr_course.types import Array

UNIT = 0.05  # of residuals: about their standard deviation in the head at ×4, in parts of the intensity scale
RECIPES = {
    "diffusion-x4": superresolution.equal(
        "Diffusion ×4", "diffusion", {"scale": 4}, task="diffusion", steps=2900, learning_rate=0.004
    ),
}


class Diffusion(Task):
    """From a coarse patch, a noisy residual and its level to the velocity; the option ``degradation`` as elsewhere."""

    name, recipes = "diffusion", RECIPES
    defaults = {"degradation": superresolution.CLEAN, "steps": 12}

    def batches(self, recipe: Recipe, samples: Slices, weights: Array | None) -> Batches:
        scale = recipe.settings["scale"]
        patches = Patches(
            samples, self._degradation(recipe), weights=weights, size=recipe.size, batch=recipe.batch, seed=recipe.seed
        )

        def batch(k: int) -> tuple[list[Array], Array]:
            coarse, residual, _ = patches(k)
            rng = np.random.default_rng([recipe.seed, 2, k])
            clean = sampling.to_coarse(residual, scale) / UNIT
            noise = rng.standard_normal(clean.shape, np.float32)
            level = (np.arange(len(clean)) + rng.random()) / len(clean)  # evenly, so that losses differ less
            alpha, sigma = (part[:, None, None, None].astype(np.float32) for part in sampling.mixed(level))
            return [
                coarse,
                alpha * clean + sigma * noise,
                level[:, None].astype(np.float32),
            ], alpha * noise - sigma * clean

        return batch

    def development(self, recipe: Recipe) -> Callable[[Model], float]:
        """Mean gain of the guess from noise alone, in one step, on stored slices of real development scans."""
        scans = sources.development()
        return lambda model: float(np.mean([row["gain"] for row in self._gains(model, recipe, scans, steps=1)]))

    def _gains(
        self, model: Model, recipe: Recipe, scans: dict[str, Any], steps: int | None = None
    ) -> list[dict[str, float]]:
        how = self.how(recipe, model)
        how |= {"steps": steps or how["steps"]}
        draw = sampling.drawing(model.predict_on_batch, rng=np.random.default_rng(0), **how)
        return superresolution.gains(draw, scans, how["scale"], data_consistency=None, slices=3 if steps else 10)

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        return {"scale": recipe.settings["scale"], "unit": UNIT, "steps": self.options(recipe)["steps"]}

    def augmentation(self, recipe: Recipe) -> dict[str, Any]:
        return asdict(self._degradation(recipe))

    def measure(self, model: Model, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """One sample of each scan's stored slices, as for :class:`superresolution.SuperResolution`."""
        scans = {title: group for title, group in sources.measured_on().items() if not title.endswith("CT")}
        return summaries(scans, partial(self._gains, model, recipe))

    def uses(self, recipe: Recipe) -> tuple[str, str]:
        more = " One sample is one possibility, not what is there; what differs between samples was made up."
        return superresolution.INTENDED_USE, superresolution.NOT_FOR + more

    def _degradation(self, recipe: Recipe) -> Degradation:
        return Degradation(recipe.settings["scale"], **self.options(recipe)["degradation"])


TASK = Diffusion()
