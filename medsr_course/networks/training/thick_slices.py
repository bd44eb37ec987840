"""Thick slices: blocks cut from volumes, made thick on the fly; the recipes, and how a network is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.networks.pretrained import thin_slices_with
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import (
    Slices,
    TrainingError,
    balance,
    log_uniform,
    magnitude_noise,
    refuse_nothing,
)
from medsr_course.networks.training.recipe import Recipe, Task, summary
from medsr_course.networks.training.sources import subjects
from medsr_course.physics import grid, metrics
from medsr_course.scans import volumes
from medsr_course.tasks import thick_slices
from medsr_course.types import Array, Image

ROWS = 48
AXES = {"cohort": (0, 1, 2), "ds002748": (1, 2)}  # of (z, y, x): ds002748's z is interpolated, nothing is lost there
_recipe = partial(
    Recipe,
    task="slices",
    settings={"scale": 4, "steps": 8},
    steps=1800,
    share={"cohort": 0.5, "ds002748": 0.5},
    batch=4,
)
RECIPES = {
    "lstm-z4": _recipe(
        "LSTM on profiles, slices ×4",
        architecture="lstm",
        settings={"scale": 4, "steps": 8, "filters": 24, "width": 32},
        steps=900,
    ),
    "cnn25d-z4": _recipe("2.5-D network, slices ×4", architecture="cnn25d"),
    "convlstm-z4": _recipe("ConvLSTM over slices, ×4", architecture="convlstm"),
}


@dataclass
class Blocks:
    """Batches of blocks from volumes: ``blocks(k)`` is batch number k, a function of (seed, k) alone.

    Returns
    -------
    steps : float32 array (batch, sequence, size, size, spacing)
        What back-projection makes of the thick slices, as the networks read it.
    residual : float32 array, the same shape
        What it misses.
    weight : float32 array (batch,)
        See :func:`balance`, of each block.
    """

    # Thick slices beyond a block's ends that are simulated and cut off: a volume goes on there
    AROUND: ClassVar[int] = 2

    # Sequence of (array (z, y, x), tuple of int): Thin slices, magnitudes, divided by the 99.5th percentile of their
    # scan; and the axes that may play the part of the slices
    volumes: Sequence[tuple[Array, tuple[int, ...]]]
    _: KW_ONLY
    weights: Array | None = None  # probability of each volume; by default all alike
    slab: thick_slices.Slab = thick_slices.STANDARD  # what the thick slices are
    iterations: int = 16  # of back-projection
    sequence: int = 8  # thick slices in a block
    # Side of a block in pixels, and blocks in a batch
    size: int = 32
    batch: int = 4
    noise: tuple[float, float] = (0.1, 2.0)  # of the thin slices in %, log-uniform
    soft: float = 0.4  # share of blocks that are smoothed a little, along each axis differently
    # As for :class:`Degradation`
    gamma: float = 1.3
    inverted: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_nothing(self.volumes, "volumes")

    def __call__(self, k: int) -> tuple[Array, ...]:
        blocks = [self._block(np.random.default_rng([self.seed, k, j])) for j in range(self.batch)]
        return tuple(np.stack(part) for part in zip(*blocks, strict=True))

    def _block(self, rng):
        s = self.slab.spacing
        thin = self._degraded(self._cut(rng), rng)
        base = thick_slices.back_project(thick_slices.thicken(thin, self.slab), self.slab, self.iterations)
        inner = slice(self.AROUND * s, -self.AROUND * s)
        base, residual = base[inner], (thin - base)[inner]
        return thick_slices.to_steps(base, s), thick_slices.to_steps(residual, s), balance(residual)

    def _degraded(self, thin, rng):
        """Another contrast, another sharpness and noise for a block: many scans from few."""
        if rng.random() < self.soft:
            thin = ndimage.gaussian_filter(thin, rng.uniform(0, 0.8, 3))
        thin = np.maximum(thin, 0) ** np.exp(rng.uniform(-1, 1) * np.log(self.gamma))
        if rng.random() < self.inverted:
            thin = np.maximum(1 - thin, 0)
        return magnitude_noise(thin, log_uniform(rng, self.noise) / 100, rng)

    def _cut(self, rng):
        volume, axes = self.volumes[rng.choice(len(self.volumes), p=self.weights)]
        axis = rng.choice(axes)
        others = [a for a in range(3) if a != axis]
        volume = volume.transpose(axis, *(others if rng.random() < 0.5 else others[::-1]))
        volume = volume[tuple(slice(None, None, rng.choice((1, -1))) for _ in range(3))]
        sides = ((self.sequence + 2 * self.AROUND) * self.slab.spacing, self.size, self.size)
        if any(n < side for n, side in zip(volume.shape, sides, strict=True)):
            raise TrainingError(f"a volume of {volume.shape} is smaller than a block {sides}: take smaller blocks")
        for _ in range(30):
            first = [int(rng.integers(n - side + 1)) for n, side in zip(volume.shape, sides, strict=True)]
            if volume[tuple(f + side // 2 for f, side in zip(first, sides, strict=True))] > grid.IN_HEAD:  # in the head
                break
        return volume[tuple(slice(f, f + side) for f, side in zip(first, sides, strict=True))].astype(np.float32)


@dataclass
class Series:
    """Batches of pieces of moving pictures, measured every other frame and with noise: ``series(k)`` is batch number k.

    Returns
    -------
    steps, residual : float32 arrays (batch, frames / 2, size, size, 2)
        What :func:`thick_slices.between_frames` makes of the measured frames, and what it misses.
    weight : float32 array (batch,)
        As for :class:`Blocks`.
    """

    AROUND: ClassVar[int] = 12  # pixels beyond a piece: what moves in must come from somewhere

    # Sequence of array (h, w): Magnitudes, divided by their intensity scale; what :func:`thick_slices.cine` sets in
    # motion
    images: Slices
    _: KW_ONLY
    frames: int = 16  # of a series; every second one is measured
    size: int = 32  # side of a piece
    batch: int = 4
    noise: float = 3.0  # of a measured frame, in %
    # ``time`` and ``space`` of :func:`thick_slices.between_frames`
    smoothing: dict[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_nothing(self.images, "images")

    def __call__(self, k: int) -> tuple[Array, ...]:
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
        return thick_slices.to_steps(base, 2), thick_slices.to_steps(residual, 2), balance(residual)


def error_left(margin: int) -> Callable[[Any, Any], Any]:
    """Returns a loss for ``fit``: squared error of ``(n, steps, h, w, c)`` without ``margin`` pixels at the border."""
    from medsr_course.networks.models import keras

    inner = (slice(None), slice(None), *(slice(margin, -margin or None),) * 2)

    def loss(target, output):
        return keras.ops.mean(keras.ops.square(target[inner] - output[inner]), axis=(1, 2, 3, 4))

    return loss


def scaled_volume(image: Image) -> Array:
    """Returns a scan as an axial stack (z, y, x) float16, divided by its intensity scale, the empty margins cut off."""
    stack = volumes.to_stack(image).astype(np.float32)
    stack = stack / grid.intensity(stack)[1]
    for axis in range(3):
        lit = np.flatnonzero((stack > grid.IN_HEAD).any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = max(lit[0] - 8, 0), min(lit[-1] + 9, stack.shape[axis])
        stack = np.take(stack, np.arange(first, last), axis=axis)
    return stack.astype(np.float16)


def gain(
    network: Callable[[Array], Array],
    image: Image,
    *,
    slab: thick_slices.Slab = thick_slices.STANDARD,
    iterations: int = 16,
    plane: str = "axial",
    rows: int = ROWS,
    **usage: Any,
) -> dict[str, float]:
    """PSNR of back-projection and of a network on one scan made thick.

    Parameters
    ----------
    network : callable
        As for :func:`pretrained.thin_slices_with`.
    image : nibabel image
    plane : str
        See :func:`volumes.to_stack`.
    rows : int
        Of the slices, from their middle: all slices and all columns count, a few rows suffice.
    slab, iterations, **usage
        For :func:`pretrained.thin_slices_with`.

    Returns
    -------
    dict
        ``baseline`` and ``network`` (PSNR, dB) and ``gain``.
    """
    thin = thick_slices.trim(volumes.to_stack(image, plane), slab.spacing).astype(np.float32)
    thin = thin[:, max(0, (thin.shape[1] - rows) // 2) :][:, :rows]
    thick = thick_slices.thicken(thin, slab)
    base = metrics.psnr(thin, thick_slices.back_project(thick, slab, iterations))
    value = metrics.psnr(thin, thin_slices_with(network, thick, slab, iterations=iterations, **usage))
    return {"baseline": base, "network": value, "gain": value - base}


def measured_on() -> dict[str, list[tuple[Image, str]]]:
    """Returns group → list of (image, plane) for cards: unseen subjects of the cohort, and every real scan there is.

    ds002748 through the planes in which its slices were measured, every other scan through its axial slices.
    """
    from medsr_course.scans import datasets

    groups: dict[str, list[tuple[Image, str]]] = {}
    for person in subjects("cohort", "test"):
        for contrast, image in person.contrasts.items():
            groups.setdefault(f"cohort test, {contrast}", []).append((image, "axial"))
    if datasets.real_folder():
        people = datasets.load("ds002748").select("validation")
        planes = ("sagittal", "coronal")
        groups["ds002748 validation, T1w"] = [(p.contrasts["T1w"], plane) for p in people for plane in planes]
        for person in datasets.load("real-scans"):
            for contrast, image in person.contrasts.items():
                if contrast != "CT":
                    groups[f"{person.id} {contrast}"] = [(image, "axial")]
    return groups


class ThickSlices(Task):
    """From back-projection of thick slices to what it misses; the options:

    * ``slab``, ``iterations``: what the thick slices are, and how they are back-projected;
    * ``noise``, ``soft``, ``gamma``, ``inverted``: see :class:`Blocks`.
    """

    name, recipes = "slices", RECIPES
    defaults = {
        "slab": thick_slices.STANDARD,
        "iterations": 16,
        "noise": (0.1, 2.0),
        "soft": 0.4,
        "gamma": 1.3,
        "inverted": 0.1,
    }
    sources = {
        "ds002748": (
            "OpenNeuro ds002748 v1.0.5 (Bezmaternykh et al., CC0, doi 10.18112/openneuro.ds002748.v1.0.5): T1w of the "
            "subjects named under trained_on; rows or columns of the axial slices play the part of the slices"
        ),
        "cohort": (
            "the course's synthetic cohort (MIT; made from the ICBM 2009a template): T1w, T2w, PDw, FLAIR; each axis "
            "in turn plays the part of the slices"
        ),
    }

    def gather(self, recipe: Recipe) -> tuple[list, Array, dict[str, list[str]]]:
        found: list = []
        weights: list[float] = []
        trained_on = {}
        for source, part in recipe.share.items():
            people = subjects(source, "train")
            scans = [image for person in people for image in person.contrasts.values()]
            found += [(scaled_volume(image), AXES[source]) for image in runtime.progress(scans, source, unit="scan")]
            weights += [part / len(scans)] * len(scans)
            trained_on[source] = [person.id for person in people]
        return found, np.array(weights) / np.sum(weights), trained_on

    def batches(self, recipe: Recipe, samples: Sequence, weights: Array | None) -> Blocks:
        shape = {"sequence": recipe.settings["steps"], "size": recipe.size, "batch": recipe.batch}
        return Blocks(samples, weights=weights, **shape, seed=recipe.seed, **self.options(recipe))

    def loss(self, recipe: Recipe) -> dict[str, Any]:
        return {"loss": error_left(recipe.margin)}

    def gain(self, model: Model, recipe: Recipe, image: Image) -> float:
        return gain(model.predict_on_batch, image, rows=16, **self.how(recipe, model))["gain"]

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        options = self.options(recipe)
        return {"slab": asdict(options["slab"]), "iterations": options["iterations"]}

    def augmentation(self, recipe: Recipe) -> dict[str, Any]:
        return {key: self.options(recipe)[key] for key in ("noise", "soft", "gamma", "inverted")}

    def measure(self, model: Model, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """Mean over the scans of each group; :data:`ROWS` rows of each."""
        how = self.how(recipe, model)
        return {
            title: summary([gain(model.predict_on_batch, image, plane=plane, **how) for image, plane in group], "scans")
            for title, group in measured_on().items()
        }

    def uses(self, recipe: Recipe) -> tuple[str, str]:
        return (
            f"Teaching: thin slices from thick ones of brain MRI magnitudes ({self.options(recipe)['slab']}, in thin "
            "slices; noise below 2 %), to see what a network adds to back-projection through the slice profile.",
            "Diagnosis, treatment, or any decision about a person. Other slice profiles, other body parts: measure "
            "first. Detail between the slices is a guess from the training images.",
        )


TASK = ThickSlices()
