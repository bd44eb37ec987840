"""Training: patches degraded on the fly, one loop that survives a kill, and the recipes of the shipped weights.

``python -m medsr_course.training espcn-x4`` (or :func:`train_weight`) makes a weight from nothing. Batch k
is a function of (seed, k) alone; so a run that was interrupted goes on from its checkpoint as if nothing
had happened.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medsr_course import grid, runtime
from medsr_course.acquisition import kspace_crop
from medsr_course.classical import zero_fill


class TrainingError(runtime.CourseError):
    """A training that cannot go on; the message says what to change."""


# ---------------------------------------------------------------------------------------------------------------
# Patches


@dataclass(frozen=True)
class Degradation:
    """How a training pair is made from a slice: always the slice first, then the patch.

    Attributes
    ----------
    scale : int
    noise : (float, float)
        Reference noise in %, drawn log-uniformly; the coarse image is cropped from the *same* noisy k-space.
    shrink : float
        A slice is first made up to this much coarser (by k-space cropping), so that edges come in many widths.
    gamma : float
        Contrast is raised to a power drawn log-uniformly from 1/gamma … gamma.
    inverted : float
        Share of slices whose contrast is inverted.
    """

    scale: int
    noise: tuple = (0.1, 2.0)
    shrink: float = 1.5
    gamma: float = 1.3
    inverted: float = 0.1

    def pair(self, image, rng):
        """A coarse slice and its residual over zero-filling, both (h, w) and in the range of a network."""
        image = np.rot90(image, rng.integers(4))
        image = image[:, ::-1] if rng.random() < 0.5 else image
        side = min(image.shape)
        size = rng.integers(int(side / self.shrink), side + 1)
        for axis in (0, 1):  # the same factor both ways, or nearly
            image = grid.crop_axis(image, round(image.shape[axis] * size / side), axis)
        image = grid.trim(np.abs(image), self.scale) ** np.exp(rng.uniform(-1, 1) * np.log(self.gamma))
        top = max(float(np.percentile(image, 99.5)), 1e-6)
        image = image / top
        if rng.random() < self.inverted:
            image = np.maximum(1 - image, 0)
        low, high = np.log(self.noise)
        sigma = np.exp(rng.uniform(low, high)) / 100
        image = np.abs(image + sigma * (rng.standard_normal(image.shape) + 1j * rng.standard_normal(image.shape)))
        image = image.astype(np.float32)
        coarse = kspace_crop(image, self.scale)
        return coarse, image - zero_fill(coarse, self.scale)


class Patches:
    """Batches of patches from a list of slices: ``patches(k)`` is batch number k.

    Parameters
    ----------
    slices : sequence of array (h, w)
        HR slices, magnitudes, each divided by its scan's 99.5th percentile.
    degradation : Degradation
    size : int
        Side of a coarse patch.
    batch : int
        Patches in a batch, a multiple of ``per_slice``.
    per_slice : int
        Patches cut from one degraded slice (the Fourier transforms cost more than the cutting).
    seed : int

    Returns
    -------
    coarse, residual : float32 arrays (batch, size, size, 1) and (batch, scale·size, scale·size, 1)
    """

    def __init__(self, slices, degradation, *, size=28, batch=32, per_slice=4, seed=0):
        if not len(slices):
            raise TrainingError("there are no slices to train on: check the data sets of the recipe")
        if batch % per_slice:
            raise ValueError(f"batch ({batch}) must be a multiple of per_slice ({per_slice})")
        self.slices, self.degradation, self.size = slices, degradation, size
        self.batch, self.per_slice, self.seed = batch, per_slice, seed

    def __call__(self, k):
        rng = np.random.default_rng([self.seed, k])
        size, s = self.size, self.degradation.scale
        coarse, fine = [], []
        for _ in range(self.batch // self.per_slice):
            low, high = self.degradation.pair(self.slices[rng.integers(len(self.slices))], rng)
            rows, columns = np.nonzero(low > 0.06)  # centres inside the head
            for _ in range(self.per_slice):
                pick = rng.integers(rows.size) if rows.size else None
                centre = (0, 0) if pick is None else (rows[pick], columns[pick])
                i, j = (
                    int(np.clip(c - size // 2, 0, n - size)) for c, n in zip(centre, low.shape, strict=True)
                )
                coarse.append(low[i : i + size, j : j + size])
                fine.append(high[s * i : s * (i + size), s * j : s * (j + size)])
        return np.stack(coarse)[..., None], np.stack(fine)[..., None]


# ---------------------------------------------------------------------------------------------------------------
# The loop


def fit(model, batches, steps, *, learning_rate=1e-3, margin=0, checkpoint=None, every=200, stop_after=None):
    """Train with Adam, a cosine schedule and averaged weights, on the mean squared error.

    Parameters
    ----------
    model : keras.Model
        Trained in place; ends with the exponential average of its weights.
    batches : callable
        ``batches(k) -> (inputs, targets)``, a function of k alone.
    steps : int
        Total length; with 0 nothing happens.
    learning_rate : float
        Its peak, reached after 5 % of the steps; it then falls to 0 as a cosine.
    margin : int
        Border of the outputs that the loss leaves out: there the network lacks surroundings.
    checkpoint : path, optional
        Written every ``every`` steps; where it exists, training goes on from it.
    stop_after : int, optional
        Stop at this step all the same (as a kill would; for tests).

    Returns
    -------
    list of (int, float)
        Step and mean loss since the previous entry.

    Raises
    ------
    TrainingError
        If the loss is not finite, or the checkpoint belongs to another network or length.
    """
    if steps == 0:
        return []
    import keras
    from keras import ops

    def loss(target, output):
        inner = (slice(None), slice(margin, -margin or None), slice(margin, -margin or None))
        return ops.mean(ops.square(target[inner] - output[inner]), axis=(1, 2, 3))

    warm = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps - warm, warmup_target=learning_rate, warmup_steps=warm)
    optimizer = keras.optimizers.Adam(
        schedule, use_ema=True, ema_momentum=min(0.999, 1 - 10 / max(steps, 20)), global_clipnorm=1.0
    )
    model.compile(optimizer=optimizer, loss=loss)
    optimizer.build(model.trainable_variables)
    history = _restore(model, optimizer, steps, checkpoint)
    first = history[-1][0] if history else 0
    last = min(steps, stop_after or steps)
    # The next batch is made while the network works on this one.
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(batches, first)
        for k in runtime.progress(range(first, last), model.name, unit="step"):
            x, y = coming.result()
            if k + 1 < last:
                coming = pool.submit(batches, k + 1)
            value = float(model.train_on_batch(x, y))
            if not np.isfinite(value):
                raise TrainingError(f"the loss is {value} at step {k}: lower the learning rate ({learning_rate})")
            if (k + 1) % every == 0 or k + 1 == last:
                history.append((k + 1, value))
                model.reset_metrics()
                if checkpoint:
                    _store(model, optimizer, steps, history, checkpoint)
    if last == steps:
        optimizer.finalize_variable_values(model.trainable_variables)
    return history


def _store(model, optimizer, steps, history, path):
    """Everything the next process needs, in one file that is either the old one or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"v{i}": np.asarray(v) for i, v in enumerate(_variables(model, optimizer))}
    partial = path.with_name(path.name + ".part")
    with open(partial, "wb") as file:
        np.savez(file, steps=steps, history=np.array(history), **arrays)
    os.replace(partial, path)


def _restore(model, optimizer, steps, path):
    if path is None or not Path(path).exists():
        return []
    with np.load(path) as stored:
        variables = _variables(model, optimizer)
        shapes = [stored[f"v{i}"].shape for i in range(len(stored.files) - 2)]
        if int(stored["steps"]) != steps or shapes != [tuple(v.shape) for v in variables]:
            raise TrainingError(f"{path} belongs to another network or another length: delete or rename it")
        for i, variable in enumerate(variables):
            variable.assign(stored[f"v{i}"])
        return [(int(k), float(value)) for k, value in stored["history"]]


def _variables(model, optimizer):
    return [*model.weights, *optimizer.variables]


# ---------------------------------------------------------------------------------------------------------------
# Recipes


@dataclass(frozen=True)
class Recipe:
    """All that decides a shipped weight."""

    architecture: str
    settings: dict
    steps: int
    data: dict = field(default_factory=lambda: {"ds002748": 0.5, "cohort": 0.5})
    batch: int = 32
    size: int = 28
    learning_rate: float = 1e-3
    seed: int = 0
    data_consistency: str | None = "hard"
