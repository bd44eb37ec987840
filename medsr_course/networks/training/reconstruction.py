"""Reconstruction from k-space: strips of rows, whole lines of phase encoding; the recipes, and how one is measured."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from medsr_course.networks.pretrained import reconstruct_with
from medsr_course.networks.training import sources
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import Degradation, Pool, Slices, chosen, log_uniform, refuse_nothing, stacked
from medsr_course.networks.training.recipe import Recipe, Task, summary
from medsr_course.physics import metrics
from medsr_course.physics.grid import IN_HEAD
from medsr_course.tasks import reconstruction as task
from medsr_course.tasks.reconstruction import cartesian_mask, smooth_phase, zero_filled
from medsr_course.types import Array, Image

# What files have been through before (see Degradation); noise is added in k-space here.
HISTORY = {"reference_noise": (0.05, 0.5), "shrink": 1.3, "window": 0.3, "unfilled": 0.2, "resliced": 0.2, "bits": 0.2}
MARGIN = 4  # rows at the borders of a strip that the loss leaves out: there the network lacks surroundings


@dataclass
class Strips:
    """Batches for reconstruction networks.

    The readout is complete, so rows can be transformed one by one: a strip of rows is a training sample as good as an
    image, and cheaper. All strips of a batch have one width; the mask is drawn anew for each.

    Returns
    -------
    [zero_filled, lines] : float32 arrays (batch, rows, width, 2), (batch, 1, width)
    residual : float32 array (batch, rows, width, 2)
        True image less zero-filled one.
    weight : float32 array (batch,)
        1 / energy of the residual: the loss is the share of zero-filling's error that is left.
    """

    slices: Slices  # sequence of array (h, w): Magnitudes, divided by their scan's 99.5th percentile
    _: KW_ONLY
    weights: Array | None = None  # probability of each slice
    rows: int = 24  # height of a strip
    batch: int = 2
    widths: tuple[int, ...] = (176, 208, 248)  # one of them per batch; images are cut or filled up with air to it
    factors: tuple[float, ...] = (4, 8)  # R, one of them per strip
    noise: tuple[float, float] = (0.3, 3.0)  # in %, drawn log-uniformly
    history: dict[str, Any] = field(default_factory=lambda: dict(HISTORY))  # of the magnitudes, as Degradation's
    pool: int = 96  # this and ``renew``: as in :class:`Patches`
    renew: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_nothing(self.slices)
        self._degradation = Degradation(1, **self.history)
        self.stock = Pool(self._slice, self.pool, self.renew)

    def __call__(self, k: int) -> tuple[list[Array], Array, Array]:
        rng = np.random.default_rng([self.seed, 1, k])
        width = int(rng.choice(self.widths))
        drawn = self.stock.draw(k, self.batch, rng)
        start, lines, residual, weight = stacked(self._strip(prepared, width, rng) for prepared in drawn)
        return [start, lines], residual, weight

    def _slice(self, j):
        rng = np.random.default_rng([self.seed, 0, j])
        _, image, _ = self._degradation.pair(chosen(self.slices, self.weights, rng), rng)
        rows = np.flatnonzero((image > IN_HEAD).mean(axis=1) > 0.05)
        return image, (rows if rows.size else np.arange(len(image)))

    def _strip(self, prepared, width, rng):
        image, rows = prepared
        image = _fit_width(image, width)
        first = int(np.clip(rng.choice(rows) - self.rows // 2, 0, max(0, len(image) - self.rows)))
        phase = smooth_phase(image.shape, rng)[first : first + self.rows]
        strip = image[first : first + self.rows] * phase
        if len(strip) < self.rows:
            strip = np.pad(strip, [(0, self.rows - len(strip)), (0, 0)])
        lines = np.fft.ifftshift(cartesian_mask(width, float(rng.choice(self.factors)), rng))
        sigma = log_uniform(rng, self.noise) / 100
        noise = sigma * (rng.standard_normal(strip.shape) + 1j * rng.standard_normal(strip.shape))
        start = np.fft.ifft(np.fft.fft(strip + noise, axis=-1) * lines, axis=-1)
        residual = strip - start
        weight = 1 / (np.mean(np.abs(residual) ** 2) / 2 + 1e-5)
        return _channels(start), lines[None].astype(np.float32), _channels(residual), np.float32(weight)


def _fit_width(image, width):
    """Cut at both sides, or fill up with zeros."""
    spare = image.shape[1] - width
    if spare > 0:
        return image[:, spare // 2 : spare // 2 + width]
    return np.pad(image, [(0, 0), (-spare // 2, -spare - -spare // 2)])


def _channels(image):
    return np.stack([image.real, image.imag], axis=-1).astype(np.float32)


def row_loss(target: Any, output: Any) -> Any:
    """Returns the mean squared error without the outer rows of a strip, one value per sample."""
    from medsr_course.networks.models import keras

    inner = np.s_[:, MARGIN:-MARGIN]
    return keras.ops.mean(keras.ops.square(target[inner] - output[inner]), axis=(1, 2, 3))


_recipe = partial(Recipe, task="reconstruction", batch=2, size=24, margin=MARGIN)
RECIPES = {
    "unet-kspace": _recipe(
        "U-Net on zero-filled images",
        architecture="kspace_unet",
        settings={"filters": 48, "levels": 2},
        steps=30000,
        learning_rate=1e-3,
    ),
    "cascade-kspace": _recipe(
        "Unrolled cascade",
        architecture="cascade",
        settings={"filters": 32, "levels": 2, "iterations": 5},
        steps=5000,
    ),
    "crnn-kspace": _recipe(
        "Convolutional-recurrent unrolling",
        architecture="crnn",
        settings={"filters": 32, "levels": 2, "iterations": 5, "hidden": 8},
        steps=4500,
    ),
}


class Reconstruction(Task):
    """From zero-filled strips to true ones; the options ``factors``, ``noise``, ``history``: see :class:`Strips`."""

    name, recipes = "reconstruction", RECIPES
    defaults = {"factors": (4, 8), "noise": (0.3, 3.0), "history": HISTORY}

    def batches(self, recipe: Recipe, samples: Slices, weights: Array | None) -> Strips:
        options = self.options(recipe)
        return Strips(samples, weights=weights, rows=recipe.size, batch=recipe.batch, seed=recipe.seed, **options)

    def loss(self, recipe: Recipe) -> dict[str, Any]:
        return {"loss": row_loss}

    def gain(self, model: Model, recipe: Recipe, image: Image) -> float:
        base, value = self._psnrs(model, recipe, image, (4,), key="development", slices=2).values()
        return value - base

    def _psnrs(self, model: Model, recipe: Recipe, image: Image, factors: tuple, **options: Any) -> dict[str, float]:
        """Returns the PSNR of zero-filling and of the network at each R of ``factors``."""
        block, how, found = self.exported(model).predict_on_batch, self.how(recipe, model), {}
        for factor in factors:
            pair = task.pair(image, factor, **options)
            made = reconstruct_with(block, pair.given, pair.mask, **how)
            found[f"R = {factor}, zero-filled"] = metrics.psnr(pair.target, np.abs(zero_filled(pair.given)))
            found[f"R = {factor}"] = metrics.psnr(pair.target, np.abs(made))
        return found

    def exported(self, model: Model) -> Model:
        """Returns the block, which has no Fourier transform inside."""
        from medsr_course.networks.models.reconstruction import block_of

        return block_of(model)

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        from medsr_course.networks.models.reconstruction import trust_of

        options = self.options(recipe)
        return {"trust": trust_of(model), "factors": list(options["factors"]), "noise": list(options["noise"])}

    def multiplications(self, recipe: Recipe, model: Model) -> int | None:
        from medsr_course.networks.models.reconstruction import multiplications

        return round(multiplications(model, recipe.settings.get("iterations", 1)))

    def augmentation(self, recipe: Recipe) -> dict[str, Any]:
        return dict(self.options(recipe)["history"])

    def measure(self, model: Model, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """Mean PSNR over the scans of each group, four slices of each, 1 % noise, R = 4 and 8."""
        result = {}
        for title, group in sources.magnitudes().items():  # CT has no k-space
            rows = [self._psnrs(model, recipe, image, (4, 8), key=key, slices=4) for key, image in group.items()]
            result[title] = summary(rows, "scans")
        return result

    def uses(self, recipe: Recipe) -> tuple[str, str]:
        return (
            "Teaching: images from k-space of one coil that lacks three of four or seven of eight lines of phase "
            "encoding (random, denser in the middle, readout complete), with noise of 0.3 to 3 %. Trained on "
            "magnitudes of brain MRI that were given a simulated smooth phase: not on measured k-space.",
            "Diagnosis, treatment, or any decision about a person. Measured k-space has what the training had not: "
            "several coils, other phases, motion, off-resonance. Detail in what was not measured is a guess.",
        )


TASK = Reconstruction()
