"""Networks for thick slices: blocks cut from volumes, made thick on the fly, and the recipes of the shipped weights."""

from dataclasses import asdict, dataclass, field

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.networks.training import learning
from medsr_course.networks.training.loop import fit
from medsr_course.networks.training.pairs import TrainingError
from medsr_course.networks.training.sources import subjects
from medsr_course.physics import grid, metrics
from medsr_course.scans import volumes
from medsr_course.tasks import thick_slices

SOURCES = {
    "ds002748": (
        "OpenNeuro ds002748 v1.0.5 (Bezmaternykh et al., CC0, doi 10.18112/openneuro.ds002748.v1.0.5): T1w of the "
        "subjects named under trained_on; rows or columns of the axial slices play the part of the slices"
    ),
    "cohort": (
        "the course's synthetic cohort (MIT; made from the ICBM 2009a template): T1w, T2w, PDw, FLAIR; each axis in "
        "turn plays the part of the slices"
    ),
}
ROWS = 48
AXES = {"cohort": (0, 1, 2), "ds002748": (1, 2)}  # of (z, y, x): ds002748's z is interpolated, nothing is lost there


@dataclass(frozen=True)
class Recipe:
    """All that decides a shipped weight.

    Attributes
    ----------
    architecture, settings
        For ``models.build``; the number of steps is set here.
    slab : slices.Slab
        What the thick slices are.
    iterations : int
        Of back-projection.
    share : dict of str to float
        Data set → its share of the blocks.
    steps : int
        Of training.
    sequence : int
        Thick slices in a block.
    size, margin : int
        Side of a block, and pixels at its border that the loss leaves out.
    noise : (float, float)
        Of the thin slices in %, log-uniform.
    soft : float
        Share of blocks that are smoothed a little, along each axis differently.
    gamma, inverted : float
        As for :class:`Degradation`.
    """

    title: str
    architecture: str
    settings: dict = field(default_factory=dict)
    slab: thick_slices.Slab = thick_slices.STANDARD
    iterations: int = 16
    share: dict = field(default_factory=lambda: {"cohort": 0.5, "ds002748": 0.5})
    steps: int = 1800
    sequence: int = 8
    batch: int = 4
    size: int = 32
    margin: int = 4
    learning_rate: float = 2e-3
    noise: tuple = (0.1, 2.0)
    soft: float = 0.4
    gamma: float = 1.3
    inverted: float = 0.1
    precision: str = "auto"
    seed: int = 0


RECIPES = {
    "lstm-z4": Recipe("LSTM on profiles, slices ×4", "lstm", {"filters": 24, "width": 32}, steps=900),
    "cnn25d-z4": Recipe("2.5-D network, slices ×4", "cnn25d"),
    "convlstm-z4": Recipe("ConvLSTM over slices, ×4", "convlstm"),
}


class Blocks:
    """Batches of blocks from volumes: ``blocks(k)`` is batch number k, a function of (seed, k) alone.

    Parameters
    ----------
    volumes : sequence of (array (z, y, x), tuple of int)
        Thin slices, magnitudes, divided by the 99.5th percentile of their scan; and the axes that may play the part of
        the slices.
    recipe : Recipe
    weights : array, optional
        Probability of each volume; by default all alike.

    Returns
    -------
    steps : float32 array (batch, sequence, size, size, spacing)
        What back-projection makes of the thick slices, as the networks read it.
    residual : float32 array, the same shape
        What it misses.
    weight : float32 array (batch,)
        1 / (mean squared residual of the block + (0.3 %)²): the loss is the share of the error that is left.
    """

    AROUND = 2  # thick slices beyond a block's ends that are simulated and cut off: a volume goes on there

    def __init__(self, volumes, recipe, weights=None):
        if not len(volumes):
            raise TrainingError("there are no volumes to train on: check the data sets of the recipe")
        self.volumes, self.recipe, self.weights = volumes, recipe, weights

    def __call__(self, k):
        blocks = [self._block(np.random.default_rng([self.recipe.seed, k, j])) for j in range(self.recipe.batch)]
        return tuple(np.stack(part) for part in zip(*blocks, strict=True))

    def _block(self, rng):
        r, s = self.recipe, self.recipe.slab.spacing
        thin = degrade(self._cut(rng), r, rng)
        thick = thick_slices.thicken(thin, r.slab)
        base = thick_slices.back_project(thick, r.slab, r.iterations)
        inner = slice(self.AROUND * s, -self.AROUND * s)
        base, residual = base[inner], (thin - base)[inner]
        energy = float(np.mean(residual**2))
        return thick_slices.to_steps(base, s), thick_slices.to_steps(residual, s), np.float32(1 / (energy + 1e-5))

    def _cut(self, rng):
        r = self.recipe
        volume, axes = self.volumes[rng.choice(len(self.volumes), p=self.weights)]
        axis = rng.choice(axes)
        others = [a for a in range(3) if a != axis]
        volume = volume.transpose(axis, *(others if rng.random() < 0.5 else others[::-1]))
        volume = volume[tuple(slice(None, None, rng.choice((1, -1))) for _ in range(3))]
        sides = ((r.sequence + 2 * self.AROUND) * r.slab.spacing, r.size, r.size)
        if any(n < side for n, side in zip(volume.shape, sides, strict=True)):
            raise TrainingError(f"a volume of {volume.shape} is smaller than a block {sides}: take smaller blocks")
        for _ in range(30):
            first = [int(rng.integers(n - side + 1)) for n, side in zip(volume.shape, sides, strict=True)]
            if volume[tuple(f + side // 2 for f, side in zip(first, sides, strict=True))] > grid.IN_HEAD:  # in the head
                break
        return volume[tuple(slice(f, f + side) for f, side in zip(first, sides, strict=True))].astype(np.float32)


class Series:
    """Batches of pieces of moving pictures, measured every other frame and with noise: ``series(k)`` is batch number k.

    Parameters
    ----------
    images : sequence of array (h, w)
        Magnitudes, divided by their intensity scale; what :func:`thick_slices.cine` sets in motion.
    frames : int
        Of a series; every second one is measured.
    size : int
        Side of a piece.
    noise : float
        Of a measured frame, in %.
    smoothing : dict, optional
        ``time`` and ``space`` of :func:`thick_slices.between_frames`.

    Returns
    -------
    steps, residual : float32 arrays (batch, frames / 2, size, size, 2)
        What :func:`thick_slices.between_frames` makes of the measured frames, and what it misses.
    weight : float32 array (batch,)
        As for :class:`Blocks`.
    """

    AROUND = 12  # pixels beyond a piece: what moves in must come from somewhere

    def __init__(self, images, *, frames=16, size=32, batch=4, noise=3.0, smoothing=None, seed=0):
        if not len(images):
            raise TrainingError("there are no images to train on")
        self.images, self.frames, self.size = images, frames, size
        self.batch, self.noise, self.seed, self.smoothing = batch, noise, seed, smoothing or {}

    def __call__(self, k):
        pieces = [self._piece(np.random.default_rng([self.seed, k, j])) for j in range(self.batch)]
        return tuple(np.stack(part) for part in zip(*pieces, strict=True))

    def _piece(self, rng):
        side = self.size + 2 * self.AROUND
        image = np.rot90(self.images[rng.integers(len(self.images))], rng.integers(4))
        for _ in range(30):
            first = [int(rng.integers(n - side + 1)) for n in image.shape]
            piece = image[tuple(slice(f, f + side) for f in first)]
            if piece[side // 2, side // 2] > grid.IN_HEAD:  # in the head
                break
        motion = {"cycles": rng.uniform(1, 3), "amplitude": rng.uniform(0, 5)}
        inner = (slice(None), *(slice(self.AROUND, -self.AROUND),) * 2)
        truth = thick_slices.cine(piece.astype(np.float32), self.frames, **motion, seed=rng)[inner]
        base = thick_slices.between_frames(thick_slices.every_second(truth, self.noise, rng), **self.smoothing)
        residual = truth - base
        weight = np.float32(1 / (float(np.mean(residual**2)) + 1e-5))
        return thick_slices.to_steps(base, 2), thick_slices.to_steps(residual, 2), weight


def degrade(thin, recipe, rng):
    """Another contrast, another sharpness and noise for a block: many scans from few."""
    if rng.random() < recipe.soft:
        thin = ndimage.gaussian_filter(thin, rng.uniform(0, 0.8, 3))
    thin = np.maximum(thin, 0) ** np.exp(rng.uniform(-1, 1) * np.log(recipe.gamma))
    if rng.random() < recipe.inverted:
        thin = np.maximum(1 - thin, 0)
    sigma = np.exp(rng.uniform(*np.log(recipe.noise))) / 100
    real, imaginary = sigma * rng.standard_normal((2, *thin.shape), dtype=np.float32)
    return np.hypot(thin + real, imaginary).astype(np.float32)


def error_left(margin):
    """Mean squared error of steps ``(n, steps, h, w, c)`` without ``margin`` pixels at each border, for ``fit``."""
    from medsr_course.networks.models import keras

    inner = (slice(None), slice(None), *(slice(margin, -margin or None),) * 2)

    def loss(target, output):
        return keras.ops.mean(keras.ops.square(target[inner] - output[inner]), axis=(1, 2, 3, 4))

    return loss


def scaled_volume(image):
    """A scan as an axial stack (z, y, x) float16, divided by its intensity scale, the empty margins cut off."""
    stack = volumes.to_stack(image).astype(np.float32)
    stack = stack / grid.intensity(stack)[1]
    for axis in range(3):
        lit = np.flatnonzero((stack > grid.IN_HEAD).any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = max(lit[0] - 8, 0), min(lit[-1] + 9, stack.shape[axis])
        stack = np.take(stack, np.arange(first, last), axis=axis)
    return stack.astype(np.float16)


def material(share):
    """Training volumes of the data sets in ``share``, for :class:`Blocks`: volumes with axes, weights, subjects."""
    found, weights, trained_on = [], [], {}
    for source, part in share.items():
        people = subjects(source, "train")
        scans = [image for person in people for image in person.contrasts.values()]
        found += [(scaled_volume(image), AXES[source]) for image in runtime.progress(scans, source, unit="scan")]
        weights += [part / len(scans)] * len(scans)
        trained_on[source] = [person.id for person in people]
    return found, np.array(weights) / np.sum(weights), trained_on


def make(name, *, steps=None, checkpoint=None, share=None):
    """Train a shipped network and measure it.

    Returns
    -------
    keras.Model, in float32
    about : dict
        Its card, as far as it is not about files.
    """
    recipe = learning.find(name, RECIPES)
    share, steps = share or recipe.share, steps or recipe.steps
    found, weights, trained_on = material(share)
    settings = {"scale": recipe.slab.spacing, "steps": recipe.sequence, **recipe.settings}
    blocks, loss = Blocks(found, recipe, weights), error_left(recipe.margin)
    options = {"learning_rate": recipe.learning_rate, "loss": loss, "checkpoint": checkpoint}
    model, learned = learning.learn(
        recipe.architecture,
        settings,
        lambda model: fit(model, blocks, steps, **options),
        policy=recipe.precision,
        seed=recipe.seed,
    )
    about = {
        "title": recipe.title,
        "task": "slices",
        **learned,
        "usage": {"slab": asdict(recipe.slab), "iterations": recipe.iterations},
        "data": [SOURCES[source] for source in share],
        "share": share,
        "trained_on": trained_on,
        "seed": recipe.seed,
        "steps": steps,
        "batch": recipe.batch,
        "intended_use": (
            f"Teaching: thin slices from thick ones of brain MRI magnitudes ({recipe.slab}, in thin slices; noise "
            "below 2 %), to see what a network adds to back-projection through the slice profile."
        ),
        "not_for": (
            "Diagnosis, treatment, or any decision about a person. Other slice profiles, other body parts: measure "
            "first. Detail between the slices is a guess from the training images."
        ),
    }
    about["metrics"] = measure(model.predict_on_batch, learning.card_of(about))
    return model, about


def gain(network, image, about, *, plane="axial", rows=ROWS):
    """PSNR of back-projection and of a network on one scan made thick.

    Parameters
    ----------
    network : callable
        See :func:`pretrained.thin_slices_with`.
    image : nibabel image
    about : Card
    rows : int
        Of the slices, from their middle: all slices and all columns count, a few rows say enough.

    Returns
    -------
    dict
        ``baseline`` and ``network`` (PSNR, dB) and ``gain``.
    """
    from medsr_course.networks import pretrained

    slab = thick_slices.Slab(**about.usage["slab"])
    thin = thick_slices.trim(volumes.to_stack(image, plane), slab.spacing).astype(np.float32)
    thin = thin[:, max(0, (thin.shape[1] - rows) // 2) :][:, :rows]
    thick = thick_slices.thicken(thin, slab)
    base = metrics.psnr(thin, thick_slices.back_project(thick, slab, about.usage["iterations"]))
    value = metrics.psnr(thin, pretrained.thin_slices_with(network, thick, slab, iterations=about.usage["iterations"]))
    return {"baseline": base, "network": value, "gain": value - base}


def measured_on():
    """Group → list of (name, image, plane) for cards: unseen subjects of the cohort, and every real scan there is.

    ds002748 through the planes in which its slices were measured, every other scan through its axial slices.
    """
    from medsr_course.scans import datasets

    groups = {}
    for person in subjects("cohort", "test"):
        for contrast, image in person.contrasts.items():
            groups.setdefault(f"cohort test, {contrast}", []).append((person.id, image, "axial"))
    if datasets.real_folder():
        for person in datasets.load("ds002748").select("validation"):
            for plane in ("sagittal", "coronal"):
                groups.setdefault("ds002748 validation, T1w", []).append((person.id, person.contrasts["T1w"], plane))
        for person in datasets.load("real-scans"):
            for contrast, image in person.contrasts.items():
                if contrast != "CT":
                    groups[f"{person.id} {contrast}"] = [(person.id, image, "axial")]
    return groups


def measure(network, about):
    """The card's numbers: mean over the scans of each group; :data:`ROWS` rows of each."""
    result = {}
    for title, group in measured_on().items():
        rows = [gain(network, image, about, plane=plane) for _, image, plane in group]
        result[title] = {
            "scans": len(rows),
            **{f"{key} (dB)": round(float(np.mean([r[key] for r in rows])), 2) for key in rows[0]},
            "least gain (dB)": round(min(r["gain"] for r in rows), 2),
        }
    return result
