"""Training of reconstruction from k-space: strips of rows, whole lines of phase encoding; and the shipped recipes."""

from dataclasses import dataclass, field

import numpy as np

from medsr_course.networks.training import learning
from medsr_course.networks.training.loop import fit
from medsr_course.networks.training.pairs import Degradation, Pool, TrainingError
from medsr_course.networks.training.sources import SHARE, material, measured_on, origin
from medsr_course.physics import metrics
from medsr_course.physics.grid import IN_HEAD
from medsr_course.tasks import reconstruction as task
from medsr_course.tasks.reconstruction import cartesian_mask, smooth_phase, zero_filled

# What files have been through before (see Degradation); noise is added in k-space here.
HISTORY = {"reference_noise": (0.05, 0.5), "shrink": 1.3, "window": 0.3, "unfilled": 0.2, "resliced": 0.2, "bits": 0.2}
MARGIN = 4  # rows at the borders of a strip that the loss leaves out: there the network lacks surroundings


class Strips:
    """Batches for reconstruction networks: ``strips(k)`` is batch number k, a function of (seed, k) alone.

    The readout is complete, so rows can be transformed one by one: a strip of rows is a training sample as good as an
    image, and cheaper. All strips of a batch have one width; the mask is drawn anew for each.

    Parameters
    ----------
    slices : sequence of array (h, w)
        Magnitudes, divided by their scan's 99.5th percentile.
    weights : array, optional
        Probability of each slice.
    rows : int
        Height of a strip.
    batch : int
    widths : tuple of int
        One of them per batch, at random; images are cut or filled up with air to it.
    factors : tuple of float
        R, one of them per strip.
    noise : (float, float)
        In %, drawn log-uniformly.
    history : dict
        Settings of :class:`Degradation`, which here only prepares the magnitudes.
    pool, renew : int
        As in :class:`Patches`.
    seed : int

    Returns
    -------
    [zero_filled, lines] : float32 arrays (batch, rows, width, 2), (batch, 1, width)
    residual : float32 array (batch, rows, width, 2)
        True image less zero-filled one.
    weight : float32 array (batch,)
        1 / energy of the residual: the loss is the share of zero-filling's error that is left.
    """

    def __init__(
        self,
        slices,
        *,
        weights=None,
        rows=24,
        batch=2,
        widths=(176, 208, 248),
        factors=(4, 8),
        noise=(0.3, 3.0),
        history=None,
        pool=96,
        renew=2,
        seed=0,
    ):
        if not len(slices):
            raise TrainingError("there are no slices to train on: check the data sets of the recipe")
        self.slices, self.weights, self.rows, self.batch = slices, weights, rows, batch
        self.widths, self.factors, self.noise, self.seed = widths, factors, noise, seed
        self.degradation = Degradation(1, **(HISTORY if history is None else history))
        self.pool = Pool(self._slice, pool, renew)

    def __call__(self, k):
        rng = np.random.default_rng([self.seed, 1, k])
        width = int(rng.choice(self.widths))
        drawn = [self._strip(prepared, width, rng) for prepared in self.pool.draw(k, self.batch, rng)]
        start, lines, residual, weight = (np.stack(part) for part in zip(*drawn, strict=True))
        return [start, lines], residual, weight

    def _slice(self, j):
        rng = np.random.default_rng([self.seed, 0, j])
        index = rng.choice(len(self.slices), p=self.weights)
        _, image, _ = self.degradation.pair(np.asarray(self.slices[index], np.float32), rng)
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
        sigma = np.exp(rng.uniform(*np.log(self.noise))) / 100
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


def row_loss(target, output):
    """Mean squared error without the outer rows of a strip, one value per sample."""
    from medsr_course.networks.models import keras

    inner = np.s_[:, MARGIN:-MARGIN]
    return keras.ops.mean(keras.ops.square(target[inner] - output[inner]), axis=(1, 2, 3))


@dataclass(frozen=True)
class ReconstructionRecipe:
    """All that decides a shipped weight.

    Attributes
    ----------
    architecture, settings
        For ``models.build``.
    steps : int
    share : dict of str to float
        Data set → its share of the slices.
    """

    title: str
    architecture: str
    settings: dict
    steps: int
    share: dict = field(default_factory=lambda: dict(SHARE))
    batch: int = 2
    rows: int = 24
    learning_rate: float = 2e-3
    factors: tuple = (4, 8)
    seed: int = 0


RECIPES = {
    "unet-kspace": ReconstructionRecipe(
        "U-Net on zero-filled images", "kspace_unet", {"filters": 48, "levels": 2}, 30000, learning_rate=1e-3
    ),
    "cascade-kspace": ReconstructionRecipe(
        "Unrolled cascade", "cascade", {"filters": 32, "levels": 2, "iterations": 5}, 5000
    ),
    "crnn-kspace": ReconstructionRecipe(
        "Convolutional-recurrent unrolling", "crnn", {"filters": 32, "levels": 2, "iterations": 5, "hidden": 8}, 4500
    ),
}


def exported(model):
    """What goes into the .onnx file: the block, which has no Fourier transform inside."""
    from medsr_course.networks.models.reconstruction import block_of

    return block_of(model)


def make(name, *, steps=None, checkpoint=None, share=None):
    """Train the network of a recipe and measure it; goes on from ``checkpoint`` where there is one.

    Returns
    -------
    keras.Model, in float32
    about : dict
        Its card, as far as it is not about files.
    """
    from medsr_course.networks import pretrained
    from medsr_course.networks.models.reconstruction import block_of, multiplications, trust_of

    recipe = learning.find(name, RECIPES)
    share, steps = share or recipe.share, steps or recipe.steps
    slices, weights, trained_on = material(share)
    batches = Strips(
        slices, weights=weights, rows=recipe.rows, batch=recipe.batch, factors=recipe.factors, seed=recipe.seed
    )
    options = {"learning_rate": recipe.learning_rate, "loss": row_loss, "checkpoint": checkpoint}
    model, learned = learning.learn(
        recipe.architecture, recipe.settings, lambda model: fit(model, batches, steps, **options), seed=recipe.seed
    )
    iterations = recipe.settings.get("iterations", 1)
    about = {
        "title": recipe.title,
        "task": "reconstruction",
        **learned,
        "multiplications_per_pixel": round(multiplications(model, iterations)),
        "usage": {"trust": trust_of(model), "factors": list(recipe.factors), "noise": list(batches.noise)},
        **origin(share, trained_on),
        "augmentation": dict(HISTORY),
        "seed": recipe.seed,
        "steps": steps,
        "batch": recipe.batch,
        "intended_use": (
            "Teaching: images from k-space of one coil that lacks three of four or seven of eight lines of phase "
            "encoding (random, denser in the middle, readout complete), with noise of 0.3 to 3 %. Trained on "
            "magnitudes of brain MRI that were given a simulated smooth phase: not on measured k-space."
        ),
        "not_for": (
            "Diagnosis, treatment, or any decision about a person. Measured k-space has what the training had not: "
            "several coils, other phases, motion, off-resonance. Detail in what was not measured is a guess."
        ),
    }
    block = block_of(model)
    about["metrics"] = measure(block.predict_on_batch, pretrained.usage(learning.card_of(about)))
    return model, about


def measure(block, usage):
    """The card's numbers: mean PSNR over the scans of each group, four slices of each, 1 % noise, R = 4 and 8.

    Parameters
    ----------
    block, usage
        For :func:`pretrained.reconstruct_with`.
    """
    from medsr_course.networks import pretrained

    result = {}
    for title, group in measured_on().items():
        if title.endswith("CT"):  # has no k-space
            continue
        row = {"scans": len(group)}
        for factor in (4, 8):
            base, value = [], []
            for scan_name, image in group.items():
                pair = task.pair(image, factor, key=scan_name, slices=4)
                base.append(metrics.psnr(pair.target, np.abs(zero_filled(pair.given))))
                found = pretrained.reconstruct_with(block, pair.given, pair.mask, **usage)
                value.append(metrics.psnr(pair.target, np.abs(found)))
            row[f"R = {factor}, zero-filled (dB)"] = round(float(np.mean(base)), 2)
            row[f"R = {factor} (dB)"] = round(float(np.mean(value)), 2)
        result[title] = row
    return result
