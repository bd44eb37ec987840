"""Denoising: clean patches, made noisy anew each time a batch is cut; the recipes, and how a network is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from medsr_course.networks.pretrained import denoise_with
from medsr_course.networks.pretrained import network as shipped
from medsr_course.networks.training import adversarial, sources
from medsr_course.networks.training.loop import Batches, Model, fit
from medsr_course.networks.training.pairs import Degradation, Patches, Slices
from medsr_course.networks.training.recipe import Recipe, Task, summaries
from medsr_course.physics import coils
from medsr_course.tasks import denoising
from medsr_course.tasks.pairs import setting
from medsr_course.types import Array, Image

# What files have been through before anybody added noise to them.
HISTORY = {"window": 0.3, "unfilled": 0.25, "resliced": 0.3, "bits": 0.3}


@dataclass
class Noisy:
    """Batches for a denoiser, each with noise that was never used before: noisy patches, targets and weights.

    All are float32, of shape (n, h, w, 1) and (n,). The weight is 1 / level² in the middle of the levels: the loss is
    then about the share of the noise that is left.
    """

    # ``clean(k)`` to a tuple whose first entry is a batch of clean patches (n, h, w, 1), magnitudes in parts of the
    # intensity scale: :class:`Patches` at scale 1
    clean: Batches
    # One of :data:`tasks.denoising.KINDS`. Patches for "gaussian" are one channel of a complex image: the magnitude
    # times the cosine of a smooth phase, which is 0 for half of them
    kind: str
    levels: tuple[float, float] = (1, 12)  # of the noise, in %, drawn log-uniformly for each patch
    _: KW_ONLY
    # {"residual", "clean", "noisy"}: What the network is to predict: clean − noisy; the clean patch; or, never shown a
    # clean one, a second noisy measurement of it (Lehtinen et al. 2018, Noise2Noise)
    target: str = "residual"
    # Each patch is weighed by 1 / level^power. 2 counts errors in parts of the noise that was added, and leaves faint
    # noise, of which least can be removed, most of the weight; about 1.3 counts decibels
    power: float = 2.0
    # The input's second channel is the level, as well as it can be measured, to 5 %
    noise_map: bool = False
    # Share of patches in which everything below 5 % is set to 0 before noise is added: files whose air was masked
    zeroed: float = 0.0
    # Of magnitudes: share of the patches that 2 … 32 coils measured, with the bias of one (:func:`noise.as_one_coil`)
    coils: float = 0.0
    # Of magnitudes: share of the patches that were zero-filled to a grid 1.25 … 2 times finer before the magnitude, and
    # cropped to their own grid again, as :func:`pretrained.denoise` does with an interpolated scan
    interpolated: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in denoising.KINDS or self.target not in ("residual", "clean", "noisy"):
            raise ValueError(f"there is no noise {self.kind!r} with target {self.target!r}")

    def __call__(self, k: int) -> tuple[Array, Array, Array]:
        clean = self.clean(k)[0].astype(np.float32, copy=False)
        rng = np.random.default_rng([self.seed, 2, k])
        low, high = np.log(self.levels)
        level = np.exp(rng.uniform(low, high, (len(clean), 1, 1, 1))).astype(np.float32) / 100
        if self.zeroed:
            clean = np.where((clean < 0.05) & (rng.random((len(clean), 1, 1, 1)) < self.zeroed), 0, clean)
        if self.kind == "gaussian":
            clean = clean * _cosines(clean.shape, rng)
        noisy = self._measure(clean, level, rng)
        if self.interpolated:
            self._interpolated(clean, noisy, level[..., 0], rng)
        target = self._measure(clean, level, rng) if self.target == "noisy" else clean
        if self.target == "residual":
            target = clean - noisy
        middle = np.exp((low + high) / 2) / 100
        weight = level.ravel() ** -self.power * middle ** (self.power - 2)
        if self.noise_map:
            measured = level * np.exp(rng.normal(0, 0.05, level.shape)).astype(np.float32)
            noisy = np.concatenate([noisy, np.broadcast_to(measured, noisy.shape)], axis=-1)
        return noisy, target, weight.astype(np.float32)

    def _measure(self, clean, level, rng):
        real = clean + level * rng.standard_normal(clean.shape, dtype=np.float32)
        if self.kind == "gaussian":
            return real
        square = (level * rng.standard_normal(clean.shape, dtype=np.float32)) ** 2
        several = rng.random(len(clean)) < self.coils if self.coils else ()
        for i in np.flatnonzero(several):  # 2N channels, of which one holds the signal
            n, sigma = int(np.exp(rng.uniform(np.log(2), np.log(32.99)))), level[i]
            extra = sigma**2 * rng.chisquare(2 * n - 2, clean[i].shape).astype(np.float32)
            taken = 2 * (n - 1) * (sigma * np.exp(rng.normal(0, 0.05))) ** 2
            square[i] = np.maximum(square[i] + extra - taken, -(real[i] ** 2))
        return np.sqrt(real**2 + square)

    def _interpolated(self, clean, noisy, level, rng):
        """Replaces some of the patches, in place, by what a finer grid's magnitudes hold of them."""
        for i in np.flatnonzero(rng.random(len(clean)) < self.interpolated):
            own = clean.shape[1:3]
            fine = tuple(round(side * rng.uniform(1.25, 2)) for side in own)
            signal = clean[i, ..., 0] * np.exp(0.3j * coils.smooth_phase(own, rng))
            measured = signal + level[i] * coils.complex_noise((*own, 1), rng)[..., 0]
            clean[i, ..., 0], noisy[i, ..., 0] = (
                coils.to_native(np.abs(coils.from_native(image, fine)), own) for image in (signal, measured)
            )


@dataclass
class Repetitions:
    """Batches of real noise, Noise2Noise: patches of one repetition, and what to add to reach the other.

    ``scans`` are complex, each ``(2, n, h, w)``: two repetitions of n slices, of any sizes and units, best of one
    strength of noise. Returns given and wanted, float32 ``(2 · batch, size, size, 1)``: each patch's real and its
    imaginary channel, after a turn of the phase. Flipped at random, and either repetition may be the one that is given.
    """

    scans: Sequence[Array]
    size: int = 48
    batch: int = 4
    seed: int = 0

    def __call__(self, k: int) -> tuple[Array, Array]:
        rng = np.random.default_rng([self.seed, 5, k])
        channels = []
        for _ in range(self.batch):
            scan = self.scans[int(rng.integers(len(self.scans)))]
            y, x = (rng.integers(side - self.size + 1) for side in scan.shape[2:])
            both = scan[:, rng.integers(scan.shape[1]), y : y + self.size, x : x + self.size]
            order, up, left = (slice(None, None, int(way)) for way in rng.choice((-1, 1), 3))
            both = both[order, up, left] * np.exp(2j * np.pi * rng.random())
            channels += [both.real, both.imag]
        given, other = np.swapaxes(channels, 0, 1).astype(np.float32)[..., None]
        return given, other - given


def _cosines(shape, rng):
    """Cosine of a smooth phase: a wave of any direction, at most half a turn in 32 pixels; 1 for half of the batch."""
    n, h, w, _ = shape
    angle, start = rng.uniform(0, 2 * np.pi, (2, n, 1, 1, 1))
    speed = rng.uniform(0, np.pi / 32, (n, 1, 1, 1))
    y, x = np.arange(h)[None, :, None, None], np.arange(w)[None, None, :, None]
    wave = np.cos(start + speed * (np.cos(angle) * y + np.sin(angle) * x))
    return np.where(rng.random((n, 1, 1, 1)) < 0.5, 1, wave).astype(np.float32)


UNET = {"filters": (24, 48, 64), "blocks": (1, 1, 1)}
_recipe = partial(Recipe, task="denoising", architecture="denoising_unet", settings=UNET)
RECIPES = {
    "dncnn-magnitude-stage1": _recipe(  # knew noise of one coil, on its own grid
        "Denoiser for magnitudes, first stage", steps=10000, size=48, options={"kind": "rician", "finish": 600}
    ),
    "dncnn-magnitude-stage2": _recipe(
        "Denoiser for magnitudes, second stage",
        steps=12000,
        size=48,
        learning_rate=8e-4,
        share=sources.BROAD,
        start="dncnn-magnitude-stage1",
        options={"kind": "rician", "coils": 0.25, "interpolated": 0.25, "finish": 600},
        version="2.0",
    ),
    "dncnn-magnitude": _recipe(  # is told how strong the noise is: without, it leaves more in air
        "Denoiser for magnitudes",
        settings={**UNET, "noise_map": True},
        steps=6000,
        size=48,
        learning_rate=8e-4,
        seed=1,
        share=sources.BROAD,
        start="dncnn-magnitude-stage2",
        options={"kind": "rician", "coils": 0.2, "interpolated": 0.2, "finish": 1000},
        version="2.0",
    ),
    "dncnn-complex": _recipe(  # starts from a network that already tells noise from structure
        "Denoiser for real and complex channels",
        steps=2000,
        size=48,
        share=sources.BROAD,
        start="dncnn-magnitude-stage2",
        options={"kind": "gaussian", "levels": (0.5, 25.0)},
        version="2.0",
    ),
    "dncnn-gan-magnitude": _recipe(
        "DnCNN for magnitudes, taught on by a GAN",
        steps=600,
        # The discriminator must see what a sharp scan looks like: no dead leaves, nothing windowed or resliced.
        share={"ds002748": 0.5, "cohort": 0.5},
        batch=8,
        size=64,
        learning_rate=4e-4,
        repeats=(1, 2),
        start="dncnn-magnitude-stage1",
        players=adversarial.Players(filters=20, pixel=0.1, adversarial=0.3, conditional=True, discriminator_rate=2e-3),
        options={"kind": "rician", "levels": (3.0, 9.0), "power": 2.0, "finish": 0, "degradation": {}},
    ),
}
INTENDED_USE = {
    "rician": "Teaching: to see what a small network takes out of magnitude images of the head (MRI) with 1 to 12 % of "
    "Rician noise, bias included, without being told how much there is.",
    "gaussian": "Teaching: to see what a small network takes out of real or complex image channels (MRI of the head) "
    "with 1 to 12 % of Gaussian noise, without being told how much there is.",
    "adversarial": "Teaching: to see what an adversarial loss does to a denoiser of magnitude images of the head (MRI) "
    "with 3 to 9 % of Rician noise: the grain of a scan comes back, and the error grows.",
}
NOT_FOR = (
    "Diagnosis, treatment, or any decision about a person. Noise that is not white (parallel imaging, interpolated or "
    "filtered images), CT, other body parts: measure first. It takes a faint, small structure for noise."
)


class Denoising(Task):
    """From a noisy patch to what must be added to it; the options:

    * ``kind``, ``levels``, ``power``: see :class:`Noisy`;
    * ``coils``, ``interpolated``: see :class:`Noisy`;
    * ``residual``: the network predicts what to add to the image, not the image;
    * ``degradation``: what happens to a slice before noise is added, settings of :class:`Degradation`;
    * ``finish``: steps at a quarter of the rate that follow, with masked air in half of the patches: without them the
      network leaves a trace of noise in masked air, because training images never have any that is wholly black.
    """

    name, recipes = "denoising", RECIPES
    defaults = {
        "kind": "rician",
        "levels": (1.0, 12.0),
        "power": 1.3,
        "residual": True,
        "degradation": HISTORY,
        "finish": 150,
        "coils": 0.0,
        "interpolated": 0.0,
    }

    def begin(self, model: Model, start: Model) -> None:
        """Starts from the weights of ``start``; a noise map that this did not read has no say at first."""
        pairs = zip(model.get_weights(), start.get_weights(), strict=True)
        model.set_weights(
            [np.pad(old, [(0, n - m) for n, m in zip(new.shape, old.shape, strict=True)]) for new, old in pairs]
        )

    def batches(
        self, recipe: Recipe, samples: Slices, weights: Array | None, *, later: int = 0, zeroed: float = 0.0
    ) -> Noisy:
        """Returns batches; ``later`` is added to the seed of the noise, ``zeroed`` see :class:`Noisy`."""
        options = self.options(recipe)
        degradation = Degradation(1, **options["degradation"])
        return Noisy(
            Patches(samples, degradation, weights=weights, size=recipe.size, batch=recipe.batch, seed=recipe.seed),
            options["kind"],
            options["levels"],
            target="residual" if options["residual"] else "clean",
            power=options["power"],
            noise_map=recipe.settings.get("noise_map", False),
            zeroed=zeroed,
            coils=options["coils"],
            interpolated=options["interpolated"],
            seed=recipe.seed + later,
        )

    def teach(
        self, model: Model, recipe: Recipe, samples: Slices, weights: Array | None, **options: Any
    ) -> list[tuple]:
        curve = super().teach(model, recipe, samples, weights, **options)
        last = self.batches(recipe, samples, weights, later=1, zeroed=0.5)
        rest = fit(model, last, self._finish(recipe), learning_rate=recipe.learning_rate / 4, margin=recipe.margin)
        return curve + [(recipe.steps + step, loss) for step, loss in rest]

    def _finish(self, recipe: Recipe) -> int:
        return min(self.options(recipe)["finish"], recipe.steps)

    def development(self, recipe: Recipe) -> Callable[[Model], float]:
        """Mean gain inside the head, at 1, 3 and 6 %, on two slices of each real development scan."""
        scans = sources.development()

        def gain(model: Model) -> float:
            found = [
                self._psnrs(model, recipe, image, level, key=key, slices=2)
                for (key, image), level in product(scans.items(), (1, 3, 6))
            ]
            return float(np.mean([row["gain"] for row in found]))

        return gain

    def _psnrs(
        self, model: Model, recipe: Recipe, image: Image, level: float, kind: str = "", **options: Any
    ) -> dict[str, float]:
        pair = denoising.pair(image, level, kind or self.options(recipe)["kind"], **options)
        made = denoise_with(model.predict_on_batch, pair.given, **self.how(recipe, model))
        before, after = pair.scores(pair.given), pair.scores(made)
        whole = {"noisy": before["psnr"], "denoised": after["psnr"]}
        head = {"noisy, head": before["psnr_head"], "denoised, head": after["psnr_head"]}
        return whole | head | {"gain": after["psnr_head"] - before["psnr_head"]}

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        return {key: self.options(recipe)[key] for key in ("kind", "residual")}

    def augmentation(self, recipe: Recipe) -> dict[str, Any]:
        return asdict(Degradation(1, **self.options(recipe)["degradation"]))

    def training(self, recipe: Recipe) -> dict[str, Any]:
        options = self.options(recipe)
        kept = {key: options[key] for key in ("power", "coils", "interpolated")}
        return {"levels": list(options["levels"]), **kept, "finish": self._finish(recipe)}

    def measure(self, model: Model, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """PSNR before and after, and the gain inside the head; means over subjects, per data set, contrast and noise.

        Three slices of each scan. Against classical filters: ``results/leaderboard-denoising.md``.
        """
        own = self.options(recipe)["kind"]
        conditions = [(own, level) for level in denoising.LEVELS] if own == "gaussian" else denoising.CONDITIONS
        result: dict[str, dict[str, Any]] = {}
        groups = sources.magnitudes()
        for kind, level in conditions:

            def measured(group: dict[str, Image], kind: str = kind, level: float = level) -> list[dict[str, float]]:
                return [self._psnrs(model, recipe, i, level, kind, key=key, slices=3) for key, i in group.items()]

            result |= summaries(groups, measured, f", {setting(kind, level)}")
        return result

    def perception(self, name: str, model: Model, recipe: Recipe) -> dict[str, Any]:
        how, start = self.how(recipe, model), recipe.start or name
        return {t: trade(model.predict_on_batch, start, group, **how) for t, group in sources.magnitudes().items()}

    def uses(self, recipe: Recipe) -> tuple[str, str]:
        if recipe.players:
            never = " Part of the texture it leaves is invented: measure nothing in it."
            return INTENDED_USE["adversarial"], NOT_FOR + never
        return INTENDED_USE[self.options(recipe)["kind"]], NOT_FOR


def trade(
    network: Callable[[Array], Array], start: str, images: dict[str, Image], *, kind: str = "rician", **usage: Any
) -> dict[str, float]:
    """Returns what adversarial training cost and gained against the network ``start``: 6 % noise, four slices a scan.

    The arguments are those of :func:`pretrained.denoise_with`, alike for both networks, and scans by name. The loss is
    in PSNR; the spectrum error counts what is beyond half of Nyquist; see :func:`adversarial.perceived`.
    """
    runs = {
        name: partial(denoise_with, one, kind=kind, **usage) for name, one in (("", network), ("start", shipped(start)))
    }
    pairs = [denoising.pair(image, 6, kind, key=key, slices=4) for key, image in images.items()]
    seen = adversarial.perceived(runs, pairs, 2)
    (psnr, spectrum, distance), (psnr0, spectrum0, distance0) = seen.values()
    return {
        "PSNR loss (dB)": round(psnr0 - psnr, 3),
        "spectrum error": round(spectrum, 4),
        "spectrum error, start": round(spectrum0, 4),
        "perceptual distance": round(distance, 4),
        "perceptual distance, start": round(distance0, 4),
    }


TASK = Denoising()
