"""Reconstruction from k-space: strips of rows, whole lines of phase encoding; the recipes, and how one is measured."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course.networks.pretrained import LEAST_SQUARES, reconstruct_coils_with, reconstruct_with
from medsr_course.networks.training import sources
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import Degradation, Pool, Slices, chosen, log_uniform, refuse_nothing, stacked
from medsr_course.networks.training.recipe import Recipe, Task, summary
from medsr_course.physics import acquisition, metrics
from medsr_course.physics.coils import complex_noise
from medsr_course.physics.grid import IN_HEAD
from medsr_course.tasks import parallel
from medsr_course.tasks import reconstruction as task
from medsr_course.tasks.reconstruction import cartesian_mask, smooth_phase, zero_filled
from medsr_course.types import Array, Image

# What files have been through before (see Degradation); noise is added in k-space here.
HISTORY = {"reference_noise": (0.05, 0.5), "shrink": 1.3, "window": 0.3, "unfilled": 0.2, "resliced": 0.2, "bits": 0.2}
TINY = 1e-8  # below a square root, whose slope at 0 is infinite
MARGIN = 4  # rows at the borders of a strip that the loss leaves out: there the network lacks surroundings


@dataclass
class Strips:
    """Batches for reconstruction networks.

    The readout is complete, so rows can be transformed one by one: a strip of rows is a training sample as good as an
    image, and cheaper. All strips of a batch have one width; the mask is drawn anew for each.

    Returns
    -------
    [zero_filled, lines] : float32 arrays (batch, rows, width, 2), (batch, 1, width)
        With ``coils`` ``[least_squares, lines, seen, maps]``, as :func:`models.cascade` takes them.
    residual : float32 array (batch, rows, width, 2)
        True image less zero-filled one, or that of least squares.
    weight : float32 array (batch,)
        1 / energy of the residual: the loss is the share of this error that is left.
    """

    slices: Slices  # sequence of array (h, w): Magnitudes, divided by their scan's 99.5th percentile
    _: KW_ONLY
    weights: Array | None = None  # probability of each slice
    rows: int = 24  # height of a strip
    batch: int = 2
    widths: tuple[int, ...] = (176, 208, 248)  # one of them per batch; images are cut or filled up with air to it
    factors: tuple[float, ...] = (4, 8)  # R, one of them per strip
    noise: tuple[float, float] = (0.3, 3.0)  # in %, drawn log-uniformly
    coils: int | None = None  # None: one coil that hears everything
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
        *inputs, residual, weight = stacked(self._strip(prepared, width, rng) for prepared in drawn)
        return inputs, residual, weight

    def _slice(self, j):
        rng = np.random.default_rng([self.seed, 0, j])
        _, image, _ = self._degradation.pair(chosen(self.slices, self.weights, rng), rng)
        rows = np.flatnonzero((image > IN_HEAD).mean(axis=1) > 0.05)
        return image, (rows if rows.size else np.arange(len(image)))

    def _strip(self, prepared, width, rng):
        image, rows = prepared
        image = _fit_width(image, width)
        first = int(np.clip(rng.choice(rows) - self.rows // 2, 0, max(0, len(image) - self.rows)))
        inside = np.s_[first : first + self.rows]
        strip = self._filled(image[inside] * smooth_phase(image.shape, rng)[inside])
        mask = cartesian_mask(width, float(rng.choice(self.factors)), rng)
        maps = self._maps(image, inside, rng)
        strip = strip * (np.abs(maps).max(axis=0) > 0)
        sigma = log_uniform(rng, self.noise) / 100
        kspace = parallel.heard(strip, maps, mask) + mask * sigma * complex_noise(maps.shape, rng)
        seen = parallel.combined(kspace, maps)
        start = seen if len(maps) == 1 else parallel.least_squares(kspace, maps, mask, LEAST_SQUARES)
        residual = strip - start
        weight = 1 / (np.mean(np.abs(residual) ** 2) + 1e-5)
        lines = np.fft.ifftshift(mask)[None].astype(np.float32)
        known = [] if self.coils is None else [_channels(seen), _channels(maps)]
        return _channels(start), lines, *known, _channels(residual), np.float32(weight)

    def _filled(self, strip):
        return np.pad(strip, [*[(0, 0)] * (strip.ndim - 2), (0, self.rows - strip.shape[-2]), (0, 0)])

    def _maps(self, image, inside, rng):
        """Sensitivities on a strip: 1 for one coil; of several, they may be 0 in air, as ESPIRiT's are."""
        if self.coils is None:
            return np.ones((1, self.rows, image.shape[1]))
        maps = acquisition.coil_sensitivities(
            image.shape,
            self.coils,
            turn=rng.uniform(0, 2 * np.pi),
            distance=rng.uniform(0.6, 0.9),
            radius=rng.uniform(0.3, 0.6),
        )
        maps = maps / acquisition.sum_of_squares(maps)
        if rng.random() < 0.5:
            maps = maps * (ndimage.gaussian_filter(image, 2) > 0.03)
        return self._filled(maps[:, inside])


def _fit_width(image, width):
    """Cut at both sides, or fill up with zeros."""
    spare = image.shape[1] - width
    if spare > 0:
        return image[:, spare // 2 : spare // 2 + width]
    return np.pad(image, [(0, 0), (-spare // 2, -spare - -spare // 2)])


def _channels(image):
    return np.stack([image.real, image.imag], axis=-1).astype(np.float32)


def row_loss(target: Any, output: Any) -> Any:
    r"""Returns half the mean squared error and half the mean absolute one, one value per sample.

    Of the complex residual, without the outer rows of a strip. The absolute error counts in the unit of the squared
    one, :math:`\tfrac12 \overline{|e|^2} + \tfrac12 \overline{|e|}\;\overline{|t|^2} / \overline{|t|}`, so that an
    untrained network, :math:`e = t`, begins with :math:`\overline{|t|^2}`. Squares alone leave a haze in air, too faint
    to cost anything.
    """
    from medsr_course.networks.models import keras

    ops, inner = keras.ops, np.s_[:, MARGIN:-MARGIN]
    target, output = target[inner], output[inner]
    squared = ops.sum(ops.square(target - output), axis=-1)
    energy = ops.sum(ops.square(target), axis=-1)
    mean = partial(ops.mean, axis=(1, 2))
    absolute = mean(ops.sqrt(squared + TINY)) * mean(energy) / mean(ops.sqrt(energy + TINY))
    return (mean(squared) + absolute) / 2


UNROLLED = {"filters": 32, "levels": 3, "iterations": 6}
_recipe = partial(Recipe, task="reconstruction", batch=2, size=24, margin=MARGIN)
_long = partial(_recipe, size=32, steps=10000, learning_rate=1e-3, share=sources.BROAD, version="2.0")
RECIPES = {
    "unet-kspace": _recipe(
        "U-Net on zero-filled images",
        architecture="kspace_unet",
        settings={"filters": 48, "levels": 2},
        steps=30000,
        learning_rate=1e-3,
    ),
    "cascade-kspace": _long("Unrolled cascade", architecture="cascade", settings=UNROLLED),
    "crnn-kspace": _long("Convolutional-recurrent unrolling", architecture="crnn", settings={**UNROLLED, "hidden": 8}),
    "cascade-coils": _long(
        "Unrolled cascade, several coils",
        architecture="cascade",
        settings={**UNROLLED, "coils": True},
        start="cascade-kspace",
        steps=7000,
        version="2.0",
        options={"coils": 8},
    ),
}


class Reconstruction(Task):
    """From zero-filled strips to true ones; for the options see :class:`Strips`."""

    name, recipes = "reconstruction", RECIPES
    defaults = {"factors": (4, 8), "noise": (0.3, 3.0), "coils": None, "history": HISTORY}

    def batches(self, recipe: Recipe, samples: Slices, weights: Array | None) -> Strips:
        options = self.options(recipe)
        return Strips(samples, weights=weights, rows=recipe.size, batch=recipe.batch, seed=recipe.seed, **options)

    def loss(self, recipe: Recipe) -> dict[str, Any]:
        return {"loss": row_loss}

    def gain(self, model: Model, recipe: Recipe, image: Image) -> float:
        base, value = self._psnrs(model, recipe, image, (4,), key="development", slices=2).values()
        return value - base

    def _psnrs(self, model: Model, recipe: Recipe, image: Image, factors: tuple, **options: Any) -> dict[str, float]:
        """Returns the PSNR of zero-filling, or least squares, and of the network at each R of ``factors``."""
        block, how, found = self.exported(model).predict_on_batch, self.how(recipe, model), {}
        for factor in factors:
            if recipe.settings.get("coils"):
                cases = parallel.cases(image, factor, pattern="random", **options)
                target, base = np.stack([c.target for c in cases]), "least squares"
                plain = np.stack([parallel.least_squares(c.kspace, c.maps, c.mask, LEAST_SQUARES) for c in cases])
                made = np.stack([reconstruct_coils_with(block, c.kspace, c.maps, c.mask, **how) for c in cases])
            else:
                pair = task.pair(image, factor, **options)
                target, base, plain = pair.target, "zero-filled", zero_filled(pair.given)
                made = reconstruct_with(block, pair.given, pair.mask, **how)
            found[f"R = {factor}, {base}"] = metrics.psnr(target, np.abs(plain))
            found[f"R = {factor}"] = metrics.psnr(target, np.abs(made))
        return found

    def begin(self, model: Model, start: Model) -> None:
        """The block only: how far to trust the samples is another question with several coils."""
        self.exported(model).set_weights(self.exported(start).get_weights())

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
        coils = self.options(recipe)["coils"]
        heard = f"{coils} coils with known sensitivities" if coils else "one coil"
        given = "sensitivities and a smooth phase, both simulated" if coils else "a simulated smooth phase"
        lacking = "sensitivities that were estimated" if coils else "several coils"
        return (
            f"Teaching: images from k-space of {heard} that lacks three of four or seven of eight lines of phase "
            "encoding (random, denser in the middle, readout complete), with noise of 0.3 to 3 %. Trained on "
            f"magnitudes of brain MRI that were given {given}: not on measured k-space.",
            "Diagnosis, treatment, or any decision about a person. Measured k-space has what the training had not: "
            f"{lacking}, other phases, motion, off-resonance. Detail in what was not measured is a guess.",
        )


TASK = Reconstruction()
