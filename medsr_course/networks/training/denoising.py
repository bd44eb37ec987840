"""Recipes of the denoising networks: clean patches, made noisy anew each time a batch is cut."""

from dataclasses import asdict, dataclass, field

import numpy as np

from medsr_course.networks.pretrained import denoise_with, usage
from medsr_course.networks.training import learning
from medsr_course.networks.training.loop import fit
from medsr_course.networks.training.pairs import Degradation, Patches
from medsr_course.networks.training.sources import SHARE, material, measured_on, origin
from medsr_course.tasks import denoising

# What files have been through before anybody added noise to them.
HISTORY = {"window": 0.3, "unfilled": 0.25, "resliced": 0.3, "bits": 0.3}


class Noisy:
    """Batches for a denoiser: ``batches(k)`` is batch number k, with noise that was never used before.

    Parameters
    ----------
    clean : callable
        ``clean(k)`` to a tuple whose first entry is a batch of clean patches (n, h, w, 1), magnitudes in parts of
        the intensity scale: :class:`Patches` at scale 1.
    kind : {"gaussian", "rician"}
        See :mod:`medsr_course.tasks.denoising`. Patches for "gaussian" are one channel of a complex image: the
        magnitude times the cosine of a smooth phase, which is 0 for half of them.
    levels : (float, float)
        Of the noise, in %; drawn log-uniformly for each patch, or fixed where both are equal.
    target : {"residual", "clean", "noisy"}
        What the network is to predict: clean − noisy; the clean patch; or, never shown a clean one, a second noisy
        measurement of it (Lehtinen et al. 2018, Noise2Noise).
    power : float
        Each patch is weighed by 1 / level^power. 2 counts errors in parts of the noise that was added, and leaves
        faint noise, of which least can be removed, most of the say; about 1.3 counts decibels.
    noise_map : bool
        The input's second channel is the level.
    zeroed : float
        Share of patches in which everything below 5 % is set to 0 before noise is added: files whose air was masked.
    seed : int

    Returns
    -------
    noisy, target : float32 array (n, h, w, 1)
    weight : float32 array (n,)
        1 / level² in the middle of the levels: the loss is then about the share of the noise that is left.
    """

    def __init__(
        self, clean, kind, levels=(1, 12), *, target="residual", power=2.0, noise_map=False, zeroed=0.0, seed=0
    ):
        if kind not in denoising.KINDS or target not in ("residual", "clean", "noisy"):
            raise ValueError(f"there is no noise {kind!r} with target {target!r}")
        self.clean, self.kind, self.levels, self.target = clean, kind, levels, target
        self.power, self.noise_map, self.zeroed, self.seed = power, noise_map, zeroed, seed

    def __call__(self, k):
        clean = self.clean(k)[0].astype(np.float32, copy=False)
        rng = np.random.default_rng([self.seed, 2, k])
        low, high = np.log(self.levels)
        level = np.exp(rng.uniform(low, high, (len(clean), 1, 1, 1))).astype(np.float32) / 100
        if self.zeroed:
            clean = np.where((clean < 0.05) & (rng.random((len(clean), 1, 1, 1)) < self.zeroed), 0, clean)
        if self.kind == "gaussian":
            clean = clean * _cosines(clean.shape, rng)
        noisy = self._measure(clean, level, rng)
        if self.target == "noisy":
            target = self._measure(clean, level, rng)
        else:
            target = clean - noisy if self.target == "residual" else clean
        middle = np.exp((low + high) / 2) / 100
        weight = level.ravel() ** -self.power * middle ** (self.power - 2)
        if self.noise_map:
            noisy = np.concatenate([noisy, np.broadcast_to(level, noisy.shape)], axis=-1)
        return noisy, target, weight.astype(np.float32)

    def _measure(self, clean, level, rng):
        real = clean + level * rng.standard_normal(clean.shape, dtype=np.float32)
        if self.kind == "gaussian":
            return real
        return np.hypot(real, level * rng.standard_normal(clean.shape, dtype=np.float32))


def _cosines(shape, rng):
    """Cosine of a smooth phase: a wave of any direction, at most half a turn in 32 pixels; 1 for half of the batch."""
    n, h, w, _ = shape
    angle, start = rng.uniform(0, 2 * np.pi, (2, n, 1, 1, 1))
    speed = rng.uniform(0, np.pi / 32, (n, 1, 1, 1))
    y, x = np.arange(h)[None, :, None, None], np.arange(w)[None, None, :, None]
    wave = np.cos(start + speed * (np.cos(angle) * y + np.sin(angle) * x))
    return np.where(rng.random((n, 1, 1, 1)) < 0.5, 1, wave).astype(np.float32)


@dataclass(frozen=True)
class Recipe:
    """All that decides a shipped denoiser; see :class:`Noisy`.

    Attributes
    ----------
    architecture, settings
        For ``models.build``.
    residual : bool
        The network predicts what to add to the image, not the image.
    share : dict of str to float
        Data set → its share of the patches.
    degradation : dict
        What happens to a slice before noise is added: settings of :class:`Degradation`.
    finish : int
        Steps at a quarter of the rate that follow, with masked air in half of the patches: without them the network
        leaves a trace of noise in masked air, because training images never have any that is wholly black.
    start : str, optional
        The weight it starts from.
    """

    title: str
    kind: str
    architecture: str
    settings: dict
    steps: int
    finish: int = 150
    start: str | None = None
    levels: tuple = (1.0, 12.0)
    power: float = 1.3
    residual: bool = True
    share: dict = field(default_factory=lambda: dict(SHARE))
    degradation: dict = field(default_factory=lambda: dict(HISTORY))
    batch: int = 16
    size: int = 48
    margin: int = 4
    learning_rate: float = 2e-3
    precision: str = "auto"
    seed: int = 0


SHAPE = {"filters": (24, 48, 64), "blocks": (1, 1, 1)}
RECIPES = {
    "dncnn-magnitude": Recipe(
        "Denoiser for magnitudes",
        "rician",
        "denoising_unet",
        SHAPE,
        steps=10000,
        finish=600,
    ),
    "dncnn-complex": Recipe(
        "Denoiser for real and complex channels",
        "gaussian",
        "denoising_unet",
        SHAPE,
        steps=450,
        start="dncnn-magnitude",  # which already knows noise from structure
    ),
}
INTENDED_USE = {
    "rician": (
        "Teaching: to see what a small network takes out of magnitude images of the head (MRI) with 1 to 12 % of "
        "Rician noise, bias included, without being told how much there is."
    ),
    "gaussian": (
        "Teaching: to see what a small network takes out of real or complex image channels (MRI of the head) with 1 "
        "to 12 % of Gaussian noise, without being told how much there is."
    ),
}
NOT_FOR = (
    "Diagnosis, treatment, or any decision about a person. Noise that is not white (parallel imaging, interpolated or "
    "filtered images), CT, other body parts: measure first. It takes a faint, small structure for noise."
)


def train(name, *, recipe=None, share=None, steps=None, checkpoint=None):
    """Train the network of a recipe.

    Parameters
    ----------
    name : str
        One of :data:`RECIPES`.
    recipe : Recipe, optional
        Another than the one of that name.
    share : dict, optional
        Other data than the recipe's.
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
    slices, weights, trained_on = material(share)
    degradation = Degradation(1, **recipe.degradation)
    patches = Patches(slices, degradation, weights=weights, size=recipe.size, batch=recipe.batch, seed=recipe.seed)
    options = {
        "target": "residual" if recipe.residual else "clean",
        "power": recipe.power,
        "noise_map": recipe.settings.get("noise_map", False),
    }
    batches = Noisy(patches, recipe.kind, recipe.levels, seed=recipe.seed, **options)
    last = Noisy(patches, recipe.kind, recipe.levels, seed=recipe.seed + 1, zeroed=0.5, **options)
    rate, count = recipe.learning_rate, min(recipe.finish, steps)

    def teach(model):
        curve = fit(model, batches, steps, learning_rate=rate, margin=recipe.margin, checkpoint=checkpoint)
        rest = fit(model, last, count, learning_rate=rate / 4, margin=recipe.margin)
        return curve + [(steps + step, loss) for step, loss in rest]

    model, learned = learning.learn(
        recipe.architecture,
        recipe.settings,
        teach,
        policy=recipe.precision,
        seed=recipe.seed,
        start=recipe.start,
    )
    return model, {
        **learned,
        "task": "denoising",
        "usage": {"kind": recipe.kind, "residual": recipe.residual},
        "training": {"levels": list(recipe.levels), "power": recipe.power, "finish": count},
        **origin(share, trained_on),
        "augmentation": asdict(degradation),
        "seed": recipe.seed,
        "steps": steps + count,
        "start": recipe.start,
        "batch": recipe.batch,
    }


def make(name, *, steps=None, checkpoint=None):
    """Train a shipped denoiser and measure it.

    Returns
    -------
    keras.Model, in float32
    about : dict
        Its card, as far as it is not about files.
    """
    model, trained = train(name, steps=steps, checkpoint=checkpoint)
    recipe = RECIPES[name]
    return model, {
        "title": recipe.title,
        **trained,
        "metrics": measure(model.predict_on_batch, learning.card_of(trained)),
        "intended_use": INTENDED_USE[recipe.kind],
        "not_for": NOT_FOR,
    }


def measure(network, about, levels=denoising.LEVELS):
    """The card's numbers: PSNR of the noisy and of the denoised stack, mean over subjects, per data set and level.

    Five slices of each scan; the leaderboard measures ten.

    Parameters
    ----------
    network : callable
        See :func:`pretrained.denoise_with`.
    about : Card

    Returns
    -------
    dict
        Group, contrast and level → numbers. Against classical filters: ``results/leaderboard-denoising.md``.
    """
    result = {}
    for title, group in measured_on().items():
        if title.endswith("CT"):
            continue  # the protocol's noise is that of MRI
        for level in levels:
            rows = []
            for key, image in group.items():
                pair = denoising.pair(image, level, about.usage["kind"], key=key, slices=5)
                made = denoise_with(network, pair.given, **usage(about))
                before, after = pair.scores(pair.given), pair.scores(made)
                rows.append((before["psnr"], after["psnr"], before["psnr_head"], after["psnr_head"]))
            mean = [round(float(value), 2) for value in np.mean(rows, axis=0)]
            keys = ("noisy (dB)", "denoised (dB)", "noisy, head (dB)", "denoised, head (dB)")
            result[f"{title}, {level} % noise"] = {"subjects": len(rows), **dict(zip(keys, mean, strict=True))}
    return result
