"""Training: patches degraded on the fly, one loop that survives a kill, and the recipes of the shipped weights.

``python -m medsr_course.training espcn-x4`` (or :func:`train_weight`) makes a weight from nothing. Batch k
is a function of (seed, k) alone; so a run that was interrupted goes on from its checkpoint as if nothing
had happened.
"""

import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from medsr_course import grid, resources, runtime
from medsr_course.acquisition import kspace_crop
from medsr_course.classical import zero_fill
from medsr_course.pretrained import enhance, intensity


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
    weights : array, optional
        Probability of each slice; by default all alike.
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

    def __init__(self, slices, degradation, *, weights=None, size=24, batch=16, per_slice=4, seed=0):
        if not len(slices):
            raise TrainingError("there are no slices to train on: check the data sets of the recipe")
        if batch % per_slice:
            raise ValueError(f"batch ({batch}) must be a multiple of per_slice ({per_slice})")
        self.slices, self.degradation, self.size = slices, degradation, size
        self.batch, self.per_slice, self.seed = batch, per_slice, seed
        self.weights = weights

    def __call__(self, k):
        rng = np.random.default_rng([self.seed, k])
        size, s = self.size, self.degradation.scale
        coarse, fine = [], []
        for _ in range(self.batch // self.per_slice):
            index = rng.choice(len(self.slices), p=self.weights)
            low, high = self.degradation.pair(np.asarray(self.slices[index], np.float32), rng)
            rows, columns = np.nonzero(low > 0.06)  # centres inside the head
            for _ in range(self.per_slice):
                pick = rng.integers(rows.size) if rows.size else None
                centre = (0, 0) if pick is None else (rows[pick], columns[pick])
                i, j = (int(np.clip(c - size // 2, 0, n - size)) for c, n in zip(centre, low.shape, strict=True))
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
    from medsr_course.models import keras, ops

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
    recent = []
    # The next batch is made while the network works on this one.
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(batches, first)
        for k in runtime.progress(range(first, last), model.name, unit="step"):
            x, y = coming.result()
            if k + 1 < last:
                coming = pool.submit(batches, k + 1)
            model.reset_metrics()  # else some versions return a running mean
            recent.append(float(model.train_on_batch(x, y)))
            if not np.isfinite(recent[-1]):
                raise TrainingError(f"the loss is {recent[-1]} at step {k}: lower the learning rate ({learning_rate})")
            if (k + 1) % every == 0 or k + 1 == last:
                history.append((k + 1, float(np.mean(recent))))
                recent.clear()
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


DS002748 = (
    "OpenNeuro ds002748 v1.0.5 (Bezmaternykh et al., CC0, doi 10.18112/openneuro.ds002748.v1.0.5): "
    "T1w of the subjects named under trained_on; axial slices"
)
COHORT_SUBJECTS = 12  # eight of them for training
COHORT = "the course's synthetic cohort (MIT; made from the ICBM 2009a template): T1w, T2w, PDw, FLAIR; axial slices"


@dataclass(frozen=True)
class Recipe:
    """All that decides a shipped weight.

    Attributes
    ----------
    architecture, settings
        For ``models.build``.
    steps : int
    share : dict of str to float
        Data set → its share of the patches.
    """

    title: str
    architecture: str
    settings: dict
    steps: int
    share: dict = field(default_factory=lambda: {"ds002748": 0.5, "cohort": 0.5})
    batch: int = 16
    size: int = 24
    learning_rate: float = 3e-3
    seed: int = 0
    data_consistency: str | None = "hard"


_RECIPES = {
    "espcn-x4": Recipe("ESPCN ×4", "espcn", {"scale": 4, "filters": 48, "depth": 6}, steps=4000),
}


def recipes():
    """Name → :class:`Recipe` of every weight that can be made."""
    return dict(_RECIPES)


def subjects(source, split):
    """Subjects of a recipe's data set, ``"cohort"`` or ``"ds002748"``; an error where there are none.

    Training needs all twelve subjects of ds002748 that the model card names: a BIDS folder ``ds002748`` inside the
    folder that MEDSR_REAL_DATA names.
    """
    from medsr_course import datasets

    options = {"n_subjects": COHORT_SUBJECTS} if source == "cohort" else {}
    found = datasets.load(source, **options).select(split)
    if not found:
        raise TrainingError(
            f"{source} has no subjects for {split} here: put its BIDS folder into the folder that MEDSR_REAL_DATA names"
        )
    return found


def material(share):
    """Training slices of the data sets in ``share``, and how often to draw each.

    Returns
    -------
    slices : list of float16 arrays (h, w)
        Divided by the 99.5th percentile of their scan.
    weights : array
        Probability of each slice.
    trained_on : dict of str to list of str
        Data set → subjects.
    """
    from medsr_course import volumes

    slices, weights, trained_on = [], [], {}
    for source, part in share.items():
        found = subjects(source, "train")
        first = len(slices)
        for subject in runtime.progress(found, source, unit="subject"):
            for image in subject.contrasts.values():
                stack = volumes.axial_slices(image, n=60, between=(0.2, 0.9))
                slices += list((stack / intensity(stack)[1]).astype(np.float16))
        trained_on[source] = [subject.id for subject in found]
        count = len(slices) - first
        weights += [part / max(count, 1)] * count
    return slices, np.array(weights) / np.sum(weights), trained_on


def gains(network, images, scale, data_consistency="hard"):
    """PSNR by the measurement protocol: ten axial slices of each scan, cropped in k-space.

    Parameters
    ----------
    network : callable
        As for :func:`pretrained.enhance`.
    images : dict of str to nibabel image

    Returns
    -------
    list of dict
        ``scan``, ``zip`` and ``network`` (PSNR, dB) and ``gain`` (their difference).
    """
    from medsr_course import metrics, volumes

    rows = []
    for scan, image in images.items():
        target = grid.trim(volumes.axial_slices(image), scale)
        coarse = kspace_crop(target, scale)
        base = metrics.psnr(target, zero_fill(coarse, scale))
        value = metrics.psnr(target, enhance(network, coarse, scale, data_consistency))
        rows.append({"scan": scan, "zip": base, "network": value, "gain": value - base})
    return rows


def train_weight(name, folder=None):
    """Make a shipped weight from its recipe: ``.weights.h5``, ``.onnx`` and card; resumes what was interrupted.

    Parameters
    ----------
    name : str
        One of :func:`recipes`.
    folder : path, optional
        Where the three files go; by default ``data/weights`` of the checkout.

    Returns
    -------
    dict
        The card.
    """
    if name not in _RECIPES:
        raise TrainingError(f"there is no recipe {name!r}; there are: {', '.join(_RECIPES)}")
    from medsr_course import models, phantom

    recipe = _RECIPES[name]
    scale = recipe.settings["scale"]
    folder = Path(folder or resources.path("weights"))
    slices, weights, trained_on = material(recipe.share)
    degradation = Degradation(scale)
    batches = Patches(slices, degradation, weights=weights, size=recipe.size, batch=recipe.batch, seed=recipe.seed)
    model = models.build(recipe.architecture, seed=recipe.seed, **recipe.settings)
    checkpoint = runtime.cache_dir() / "training" / f"{name}.npz"
    began = time.perf_counter()
    curve = fit(
        model,
        batches,
        recipe.steps,
        learning_rate=recipe.learning_rate,
        margin=4 * scale,
        checkpoint=checkpoint,
    )
    seconds = time.perf_counter() - began
    about = {
        "name": name,
        "title": recipe.title,
        "architecture": recipe.architecture,
        "settings": recipe.settings,
        "parameters": model.count_params(),
        "scale": scale,
        "data_consistency": recipe.data_consistency,
        "recipe": f"python -m medsr_course.training {name}",
        "data": [{"ds002748": DS002748, "cohort": COHORT}[source] for source in recipe.share],
        "share": recipe.share,
        "trained_on": trained_on,
        "cohort_version": phantom.VERSION,
        "degradation": asdict(degradation),
        "seed": recipe.seed,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "seconds": round(seconds),
        "curve": [[step, float(f"{value:.4g}")] for step, value in curve],
        "metrics": _measure(model, recipe),
        "licence": "MIT",
        "intended_use": INTENDED_USE,
        "not_for": NOT_FOR,
    }
    _publish(model, about, folder)
    checkpoint.unlink(missing_ok=True)
    return about


INTENDED_USE = (
    "Teaching: to see what a small network adds to zero-filling on axial brain MRI magnitudes that were made coarser "
    "by k-space cropping, and what it does not."
)
NOT_FOR = (
    "Diagnosis, treatment, or any decision about a person. Other body parts, CT, noisy or differently degraded images: "
    "measure first. Detail it adds beyond the measured frequencies is a guess from its training images."
)


def _measure(model, recipe):
    """The card's numbers: mean over subjects, per data set and contrast."""
    result = {}
    for title, source, split in (
        ("cohort test", "cohort", "test"),
        ("ds002748 validation", "ds002748", "validation"),
    ):
        if source not in recipe.share:
            continue
        found = subjects(source, split)
        for contrast in found[0].contrasts:
            images = {s.id: s.contrasts[contrast] for s in found}
            rows = gains(model.predict_on_batch, images, recipe.settings["scale"], recipe.data_consistency)
            mean = {key: round(float(np.mean([r[key] for r in rows])), 2) for key in ("zip", "network", "gain")}
            result[f"{title}, {contrast}"] = {
                "subjects": len(rows),
                **{f"{key} (dB)": value for key, value in mean.items()},
                "least gain (dB)": round(min(r["gain"] for r in rows), 2),
            }
    return result


def _publish(model, about, folder):
    """Write both weight files and, last, the card with their checksums; each appears whole or not at all."""
    from medsr_course.models import build, keras

    trained, model = model, build(about["architecture"], **about["settings"])  # without the optimizer's state
    model.set_weights(trained.get_weights())
    folder.mkdir(parents=True, exist_ok=True)
    name = about["name"]
    with TemporaryDirectory(dir=folder) as scratch:
        scratch = Path(scratch)
        model.save_weights(scratch / f"{name}.weights.h5")
        image = keras.InputSpec(shape=(None, None, None, 1), dtype="float32")
        model.export(scratch / f"{name}.onnx", format="onnx", input_signature=[image], verbose=False)
        files = sorted(scratch.iterdir())
        about["files"] = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
        card = scratch / f"{name}.json"
        card.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for file in (*files, card):
            os.replace(file, folder / file.name)


def main(arguments=None):
    """``python -m medsr_course.training NAME …``: make these weights, or all."""
    wanted = sys.argv[1:] if arguments is None else arguments
    try:
        for name in wanted or _RECIPES:
            about = train_weight(name)
            print(f"{name}: {about['steps']} steps, {about['seconds']} s")
            for data, row in about["metrics"].items():
                print(f"  {data}: {row['gain (dB)']:+.2f} dB over ZIP (least {row['least gain (dB)']:+.2f})")
    except runtime.CourseError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
