"""Thick slices: blocks cut from volumes, made thick on the fly; the recipes, and how a network is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy import ndimage

from medsr_course.networks.pretrained import thin_slices_with
from medsr_course.networks.training import pairs, sources
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import Slices, TrainingError
from medsr_course.networks.training.recipe import Recipe, Task, summary
from medsr_course.physics import grid, metrics
from medsr_course.scans import volumes
from medsr_course.tasks import thick_slices
from medsr_course.types import Array, Image

ROWS = 48
AXES = {"cohort": (0, 1, 2), "ds002748": (1, 2)}  # of (z, y, x): ds002748's z is interpolated, nothing is lost there
VARIED = {"noise": (0.1, 2.0), "soft": 0.4, "gamma": 1.3, "inverted": 0.1}  # see :class:`Blocks`
SHARE = {"cohort": 0.5, "ds002748": 0.5}
_recipe = partial(Recipe, task="slices", settings={"scale": 4, "steps": 8}, steps=1800, share=SHARE, batch=4)
RECIPES = {
    "lstm-z4": _recipe(
        "LSTM on profiles, slices ×4",
        architecture="lstm",
        settings={"scale": 4, "steps": 8, "filters": 24, "width": 32},
        steps=900,
    ),
    "cnn25d-z4": _recipe("2.5-D network, slices ×4", architecture="cnn25d"),
    "convlstm-z4": _recipe("ConvLSTM over slices, ×4", architecture="convlstm", steps=6000, version="2.0"),
}


@dataclass
class Blocks:
    """Batches of blocks from volumes.

    Returns
    -------
    steps : float32 array (batch, sequence, size, size, spacing)
        What back-projection makes of the thick slices, as the networks read it.
    residual : float32 array, the same shape
        What it misses.
    weight : float32 array (batch,)
        See :func:`pairs.balance`, of each block.
    """

    AROUND: ClassVar[int] = 2  # thick slices beyond a block's ends, simulated and cut off: a volume goes on there

    # Thin slices (z, y, x), magnitudes, divided by the 99.5th percentile of their scan; and the axes that may play the
    # part of the slices
    volumes: Sequence[tuple[Array, tuple[int, ...]]]
    _: KW_ONLY
    weights: Array | None = None  # probability of each volume; by default all alike
    slab: thick_slices.Slab = thick_slices.STANDARD  # what the thick slices are
    iterations: int = 16  # of back-projection
    sequence: int = 8  # thick slices in a block
    size: int = 32  # side of a block in pixels
    batch: int = 4  # blocks in a batch
    noise: tuple[float, float] = (0.1, 2.0)  # of the thin slices in %, log-uniform
    soft: float = 0.4  # share of blocks that are smoothed a little, along each axis differently
    gamma: float = 1.3  # this and ``inverted``: as for :class:`pairs.Degradation`
    inverted: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        pairs.refuse_nothing(self.volumes, "volumes")

    def __call__(self, k: int) -> tuple[Array, ...]:
        return pairs.stacked(self._block(np.random.default_rng([self.seed, k, j])) for j in range(self.batch))

    def _block(self, rng):
        s = self.slab.spacing
        thin = self._degraded(self._cut(rng), rng)
        base = thick_slices.back_project(thick_slices.thicken(thin, self.slab), self.slab, self.iterations)
        inner = slice(self.AROUND * s, -self.AROUND * s)
        return _sample(thin[inner], base[inner], s)

    def _degraded(self, thin, rng):
        """Another contrast, another sharpness and noise for a block: many scans from few."""
        if rng.random() < self.soft:
            thin = ndimage.gaussian_filter(thin, rng.uniform(0, 0.8, 3))
        thin = pairs.another_contrast(thin, self.gamma, self.inverted, rng)
        return pairs.magnitude_noise(thin, pairs.log_uniform(rng, self.noise) / 100, rng)

    def _cut(self, rng):
        volume, axes = self.volumes[rng.choice(len(self.volumes), p=self.weights)]
        axis = rng.choice(axes)
        others = [a for a in range(3) if a != axis]
        volume = volume.transpose(axis, *(others if rng.random() < 0.5 else others[::-1]))
        volume = volume[tuple(slice(None, None, rng.choice((1, -1))) for _ in range(3))]
        sides = ((self.sequence + 2 * self.AROUND) * self.slab.spacing, self.size, self.size)
        if any(n < side for n, side in zip(volume.shape, sides, strict=True)):
            raise TrainingError(f"a volume of {volume.shape} is smaller than a block {sides}: take smaller blocks")
        return pairs.in_head(volume, sides, rng)


@dataclass
class Series:
    """Batches of pieces of moving pictures, measured every other frame and with noise.

    What :func:`thick_slices.between_frames` makes of the measured frames, and what it misses, float32 (batch,
    frames / 2, size, size, 2); and the weights, as for :class:`Blocks`.
    """

    AROUND: ClassVar[int] = 12  # pixels beyond a piece: what moves in must come from somewhere

    images: (
        Slices  # (h, w), magnitudes, divided by their intensity scale: what :func:`thick_slices.cine` sets in motion
    )
    _: KW_ONLY
    frames: int = 16  # of a series; every second one is measured
    size: int = 32  # side of a piece
    batch: int = 4
    noise: float = 3.0  # of a measured frame, in %
    smoothing: dict[str, float] = field(default_factory=dict)  # for :func:`thick_slices.between_frames`
    seed: int = 0

    def __post_init__(self) -> None:
        pairs.refuse_nothing(self.images, "images")

    def __call__(self, k: int) -> tuple[Array, ...]:
        return pairs.stacked(self._piece(np.random.default_rng([self.seed, k, j])) for j in range(self.batch))

    def _piece(self, rng):
        image = np.rot90(self.images[rng.integers(len(self.images))], rng.integers(4))
        piece = pairs.in_head(image, (self.size + 2 * self.AROUND,) * 2, rng)
        motion = {"cycles": rng.uniform(1, 3), "amplitude": rng.uniform(0, 5)}
        inner = (slice(None), *(slice(self.AROUND, -self.AROUND),) * 2)
        truth = thick_slices.cine(piece, self.frames, **motion, seed=rng)[inner]
        base = thick_slices.between_frames(thick_slices.every_second(truth, self.noise, rng), **self.smoothing)
        return _sample(truth, base, 2)


def _sample(truth, base, s):
    """A first guess and what it misses, as steps of ``s`` slices; and the weight of the sample."""
    residual = truth - base
    return thick_slices.to_steps(base, s), thick_slices.to_steps(residual, s), pairs.balance(residual)


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
    """Returns the PSNR of back-projection (``baseline``) and of a network on one scan made thick, and the ``gain``, dB.

    Of each slice of the ``plane`` (see :func:`volumes.to_stack`) the middle ``rows`` suffice; all slices and columns
    count. The other arguments are those of :func:`pretrained.thin_slices_with`.
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
    for title, scans in sources.cohort_test().items():
        groups[title] = [(image, "axial") for image in scans.values()]
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
    defaults = {"slab": thick_slices.STANDARD, "iterations": 16, **VARIED}
    sources = {
        "ds002748": f"{sources.DS002748}; rows or columns of the axial slices play the part of the slices",
        "cohort": f"{sources.COHORT}; each axis in turn plays the part of the slices",
    }

    def gather(self, recipe: Recipe) -> tuple[list, Array, dict[str, list[str]]]:
        return sources.material(recipe.share, lambda source, image: [(scaled_volume(image), AXES[source])])

    def batches(self, recipe: Recipe, samples: Sequence, weights: Array | None) -> Blocks:
        shape = {"sequence": recipe.settings["steps"], "size": recipe.size, "batch": recipe.batch}
        return Blocks(samples, weights=weights, **shape, seed=recipe.seed, **self.options(recipe))

    def loss(self, recipe: Recipe) -> dict[str, Any]:
        return {"loss": error_left(recipe.margin)}

    def gain(self, model: Model, recipe: Recipe, image: Image) -> float:
        return gain(model.predict_on_batch, image, rows=16, **self.how(recipe, model))["gain"]

    def usage(self, recipe: Recipe, model: Model) -> dict[str, Any]:
        return {"slab": asdict(self.options(recipe)["slab"]), "iterations": self.options(recipe)["iterations"]}

    def augmentation(self, recipe: Recipe) -> dict[str, Any]:
        return {key: self.options(recipe)[key] for key in VARIED}

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
