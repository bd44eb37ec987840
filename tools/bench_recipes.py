"""PSNR after some processor minutes of training, all cores added up: this course's ESPCN recipe and keras.io's.

keras.io's example "Image Super-Resolution using an Efficient Sub-Pixel CNN", written anew from its description: four
convolutions 5×5·64, 3×3·64, 3×3·32, 3×3·s², all with ReLU and orthogonal start, depth to space; inputs made by area
averaging; Adam at 1e-3, mean squared error, batches of 4 crops. Here it gets the same slices as the course's recipe.

Area averaging puts samples (s − 1)/2 fine pixels away from where k-space cropping has them; the result is moved back
by a Fourier shift before it is measured. A third run trains keras.io's network on the course's own pairs.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from medsr_course import runtime
from medsr_course.networks import models, pretrained, training
from medsr_course.networks.training import loop
from medsr_course.physics import acquisition, grid, interpolation
from medsr_course.tasks import superresolution
from medsr_course.types import Array, Image, Stack

Batches: TypeAlias = Callable[[int], tuple[Array, Array]]  # step → inputs and targets, channels last
SHARE = {"ds002748": 0.5, "cohort": 0.5}
SCALE = 2
CROP = 160  # fine pixels: the largest crop, divisible by ×2 and ×4, that every slice has room for
BATCH = 4


def network(scale: int = SCALE, seed: int = 0) -> Any:
    """keras.io's ESPCN: coarse image to fine image."""
    from medsr_course.networks.layers import DepthToSpace
    from medsr_course.networks.models import keras

    image = x = keras.Input((None, None, 1))
    for k, (filters, size) in enumerate(((64, 5), (64, 3), (32, 3), (scale**2, 3))):
        start = keras.initializers.Orthogonal(seed=seed + k)
        x = keras.layers.Conv2D(filters, size, padding="same", activation="relu", kernel_initializer=start)(x)
    return keras.Model(image, DepthToSpace(scale)(x), name="keras_io_espcn")


def crops(slices: list[Array], weights: Array | None, degradation: Any, scale: int = SCALE, seed: int = 0) -> Batches:
    """Batches for keras.io's network: by area averaging, or by the course's ``degradation``."""

    def batches(k: int) -> tuple[Array, Array]:
        rng = np.random.default_rng([seed, k])
        inputs: list[Array] = []
        targets: list[Array] = []
        while len(inputs) < BATCH:
            image = np.asarray(slices[rng.choice(len(slices), p=weights)], np.float32)
            if degradation is None:
                i, j = (int(rng.integers(n - CROP + 1)) for n in image.shape)
                fine = image[i : i + CROP, j : j + CROP]
                coarse = acquisition.block_average(fine, scale)
            else:
                coarse, fine, *_ = degradation.pair(image, rng)
                size = min(CROP // scale, *coarse.shape)
                i, j = (int(rng.integers(n - size + 1)) for n in coarse.shape)
                coarse = coarse[i : i + size, j : j + size]
                fine = fine[scale * i : scale * (i + size), scale * j : scale * (j + size)]
            if inputs and coarse.shape != inputs[0].shape:
                continue
            inputs.append(coarse)
            targets.append(fine)
        return np.stack(inputs)[..., None], np.stack(targets)[..., None]

    return batches


def shifted(stack: Stack, scale: int) -> Stack:
    """Moved by −(scale − 1)/2 pixels along both axes: from block centres back to sample 0."""
    offset = (scale - 1) / 2
    return interpolation.shift(interpolation.shift(stack, -offset, -2), -offset, -1)


def train_for(model: Any, batches: Batches, seconds: float, checkpoint: Path) -> tuple[int, float]:
    """Adam at 1e-3 until ``seconds`` of processor time are used up; goes on from its checkpoint.

    Returns
    -------
    steps : int
    seconds : float
    """
    from medsr_course.networks.models import keras

    optimizer = keras.optimizers.Adam(1e-3)
    model.compile(optimizer=optimizer, loss="mse", jit_compile=False)
    optimizer.build(model.trainable_variables)
    variables = [*model.weights, *optimizer.variables]
    history = loop.restore(variables, 0, checkpoint)
    k, used = (history[-1][0], history[-1][1]) if history else (0, 0.0)
    bar = _Bar(model.name, seconds, used)
    began, stored = time.process_time() - used, used
    try:
        while (used := time.process_time() - began) < seconds:
            model.train_on_batch(*batches(k))
            k += 1
            bar.at(used)
            if used - stored > 20:
                loop.store(variables, 0, [(k, used)], checkpoint)
                stored = used
    finally:
        bar.close()
        loop.store(variables, 0, [(k, time.process_time() - began)], checkpoint)
    return k, used


class _Bar:
    """A progress bar of seconds of processor time."""

    def __init__(self, name: str, total: float, used: float) -> None:
        self.bar: Any = runtime.progress(range(int(total)), name, unit="CPU s")
        if hasattr(self.bar, "update"):
            self.bar.update(int(used))

    def at(self, used: float) -> None:
        if hasattr(self.bar, "update") and int(used) > self.bar.n:
            self.bar.update(int(used) - self.bar.n)

    def close(self) -> None:
        if hasattr(self.bar, "close"):
            self.bar.close()


def train_ours(slices: list[Array], weights: Array | None, seconds: float, folder: Path) -> tuple[Any, Any, int, float]:
    """The course's ESPCN recipe, as long as the time allows: its schedule needs to know how many steps that is.

    Returns
    -------
    model, recipe, steps, seconds
    """
    recipe = training.recipes()[f"espcn-x{SCALE}"]
    batches = training.TASKS[recipe.task].batches(recipe, slices, weights)
    options = {"learning_rate": recipe.learning_rate, "margin": recipe.margin * SCALE}
    notes = folder / "ours.json"
    with training.precision(recipe.precision):
        model = models.build(recipe.architecture, seed=recipe.seed, **recipe.settings)
        if notes.exists():
            told = json.loads(notes.read_text())
        else:
            told = {"steps": _steps(recipe, batches, options, seconds), "seconds": 0.0}
            notes.write_text(json.dumps(told))
        began = time.process_time()
        try:
            training.fit(model, batches, told["steps"], checkpoint=folder / "ours.npz", every=50, **options)
        finally:
            told["seconds"] += time.process_time() - began
            notes.write_text(json.dumps(told))
    exact = models.build(recipe.architecture, **recipe.settings)  # in float32, as the shipped ones
    exact.set_weights(model.get_weights())
    return exact, recipe, told["steps"], told["seconds"]


def _steps(recipe: Any, batches: Batches, options: dict[str, Any], seconds: float) -> int:
    """How many steps fit into the processor time: measured on a twin, filling the pool and compiling apart."""
    twin = models.build(recipe.architecture, seed=recipe.seed, **recipe.settings)
    stamps = []

    def timed(k: int) -> tuple[Array, Array]:
        stamps.append(time.process_time())
        return batches(k)

    began = time.process_time()
    count = 12 if seconds < 60 else 120
    training.fit(twin, timed, count, **options)
    third = count // 3
    step = (stamps[-1] - stamps[third]) / (len(stamps) - 1 - third)
    start = max(0.0, stamps[third] - began - third * step)  # to be spent again: the network compiles anew
    return max(2, int((seconds - start) / step))


def psnr(apply: Callable[[Stack], Stack], scans: dict[str, Image]) -> tuple[float, float]:
    """Mean PSNR over scans by the measurement protocol, and that of zero-filling."""
    values = []
    for name, image in scans.items():
        pair = superresolution.pair(image, SCALE, key=name)
        result = [interpolation.zero_fill(pair.given, SCALE), apply(pair.given)]
        values.append([pair.psnrs(x)["psnr"] for x in result])
    zipped, mean = np.mean(values, axis=0)
    return float(mean), float(zipped)


def scans() -> dict[str, dict[str, Image]]:
    """Group title → scan name → image: ds002748 validation and cohort test, all contrasts."""
    cohort = training.subjects("cohort", "test")
    return {
        "ds002748 validation": {s.id: s.contrasts["T1w"] for s in training.subjects("ds002748", "validation")},
        "cohort test": {f"{s.id} {c}": image for s in cohort for c, image in s.contrasts.items()},
    }


def run(name: str, minutes: float) -> Iterator[tuple[str, float, str]]:
    """Train one of :data:`RUNS` and measure it; an interrupted one goes on from its checkpoint.

    Yields
    ------
    (str, float, str)
        What, value, unit.
    """
    folder = runtime.cache_dir() / "bench" / f"recipes-{minutes:g}"
    folder.mkdir(parents=True, exist_ok=True)
    slices, weights, _ = training.material(SHARE)
    if name == "ours":
        model, recipe, steps, used = train_ours(slices, weights, 60 * minutes, folder)
        options = training.TASKS[recipe.task].how(recipe, model)

        def apply(coarse: Stack) -> Stack:
            return pretrained.super_resolve_with(model.predict_on_batch, coarse, **options)
    else:
        degradation = None
        if name == "keras.io, our pairs":
            degradation = training.superresolution.TASK.degradation(training.recipes()[f"espcn-x{SCALE}"])
        model = network()
        checkpoint = folder / f"{name.replace('.', '').replace(', ', '-').replace(' ', '-')}.npz"
        steps, used = train_for(model, crops(slices, weights, degradation), 60 * minutes, checkpoint)

        def apply(coarse: Stack) -> Stack:
            _, unit = grid.intensity(coarse)
            out = np.concatenate([model.predict_on_batch(x[None, ..., None] / unit) for x in coarse])[..., 0] * unit
            return out if degradation else shifted(out, SCALE)

    yield f"{RUNS[name]}: training", used / 60, "CPU min"
    yield f"{RUNS[name]}: training", steps, "steps"
    for group, images in scans().items():
        mean, zipped = psnr(apply, images)
        yield f"{RUNS[name]}, {group}", mean, "dB"
        yield f"{RUNS[name]}, {group}, over ZIP", mean - zipped, "dB"
    for path in folder.glob("ours*" if name == "ours" else f"{checkpoint.stem}.npz"):
        path.unlink()  # measured: the next run begins anew


RUNS = {
    "ours": "ESPCN ×2, this course's recipe",
    "keras.io": "ESPCN ×2, keras.io's recipe",
    "keras.io, our pairs": "ESPCN ×2, keras.io's network on this course's pairs",
}
