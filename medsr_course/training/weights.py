"""The recipes of the shipped weights, and how a weight, its ONNX twin and its card are made from one."""

import argparse
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from medsr_course import evaluation, resources, runtime, volumes
from medsr_course.classical import zero_fill
from medsr_course.pretrained import card, consistency, enhance, load
from medsr_course.training import adversarial, features
from medsr_course.training.loop import fit, precision
from medsr_course.training.pairs import Degradation, Patches, TrainingError, dead_leaves, scaled_slices

SOURCES = {
    "ds002748": (
        "OpenNeuro ds002748 v1.0.5 (Bezmaternykh et al., CC0, doi 10.18112/openneuro.ds002748.v1.0.5): "
        "T1w of the subjects named under trained_on; axial slices"
    ),
    "cohort": (
        "the course's synthetic cohort (MIT; made from the ICBM 2009a template): T1w, T2w, PDw, FLAIR; axial slices"
    ),
    "dead-leaves": "images without anatomy, made by the course (MIT)",
}
COHORT_SUBJECTS = 12  # eight of them for training
HARD = {
    "noisy": 0.4,
    "window": 0.3,
    "unfilled": 0.25,
    "resliced": 0.3,
    "bits": 0.3,
}  # what files have been through, and noise
SRRESNET_X4 = {"scale": 4, "noise_map": True, "filters": 48, "blocks": 5}  # SRGAN's generator starts from its weights


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
    degradation : dict
        Settings of :class:`Degradation` besides the scale.
    balanced : bool
        See :class:`Patches`.
    margin : int
        Coarse pixels at a patch's border that the loss leaves out.
    precision : {"auto", "float32", "mixed_bfloat16"}
        What the training computes in, see :func:`precision`; the weights are float32.
    data_consistency : {"hard", "soft", None}
        How the network is used, see :func:`pretrained.enhance`.
    start : str, optional
        The weight it starts from.
    players : dict, optional
        Train adversarially, with these settings of :func:`adversarial.teach`.
    """

    title: str
    architecture: str
    settings: dict
    steps: int
    share: dict = field(default_factory=lambda: {"ds002748": 0.45, "cohort": 0.4, "dead-leaves": 0.15})
    degradation: dict = field(default_factory=lambda: dict(HARD))
    batch: int = 16
    size: int = 32
    margin: int = 3
    learning_rate: float = 2e-3
    balanced: bool = True
    precision: str = "auto"
    seed: int = 0
    data_consistency: str | None = "soft"
    own_error: float = 0.005
    start: str | None = None
    players: dict | None = None


_RECIPES = {
    "srcnn-x2": Recipe("SRCNN ×2", "srcnn", {"scale": 2, "noise_map": True}, steps=2500),
    "srcnn-x4": Recipe("SRCNN ×4", "srcnn", {"scale": 4, "noise_map": True}, steps=2000, size=20),
    "espcn-x2": Recipe("ESPCN ×2", "espcn", {"scale": 2, "noise_map": True, "filters": 48, "depth": 6}, steps=6000),
    "espcn-x4": Recipe(
        "ESPCN ×4", "espcn", {"scale": 4, "noise_map": True, "filters": 48, "depth": 6}, steps=4000, size=24, batch=24
    ),
    "srresnet-x2": Recipe(
        "SRResNet ×2",
        "srresnet",
        {"scale": 2, "noise_map": True, "filters": 48, "blocks": 5},
        steps=10000,
        learning_rate=1.5e-3,
    ),
    "srresnet-x4": Recipe(
        "SRResNet ×4",
        "srresnet",
        SRRESNET_X4,
        steps=6000,
        size=24,
        batch=20,
        learning_rate=1.5e-3,
    ),
    "srgan-x4": Recipe(
        "SRGAN ×4",
        "srresnet",
        SRRESNET_X4,
        steps=2000,
        batch=8,
        size=24,
        learning_rate=2e-4,
        degradation={**HARD, "noisy": 0.0},  # the discriminator must not be taught what noise looks like
        start="srresnet-x4",
        players={"features": "features-tissue", "pixel": 0.15, "perceptual": 1.0, "adversarial": 0.1},
    ),
}


def recipes():
    """Name → :class:`Recipe` or :class:`features.FeatureRecipe` of every weight that can be made, in a useful order."""
    return {**features.RECIPES, **_RECIPES}


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
    slices, weights, trained_on = [], [], {}
    for source, part in share.items():
        first = len(slices)
        if source == "dead-leaves":
            slices += dead_leaves(300)
            trained_on[source] = ["300 images, seed 0"]
        else:
            found = subjects(source, "train")
            for subject in runtime.progress(found, source, unit="subject"):
                for image in subject.contrasts.values():
                    slices += list(scaled_slices(image, 60))
            trained_on[source] = [subject.id for subject in found]
        count = len(slices) - first
        weights += [part / max(count, 1)] * count
    return slices, np.array(weights) / np.sum(weights), trained_on


def gains(network, images, scale, *, noise=0.0, **consistency):
    """PSNR by the measurement protocol: ten axial slices of each scan, cropped in k-space.

    Parameters
    ----------
    network : callable
        As for :func:`pretrained.enhance`.
    images : dict of str to nibabel image
        A scan whose name ends in "CT" is judged over 400 HU.
    noise : float
        In %, see :func:`evaluation.pair`.
    **consistency
        For :func:`pretrained.enhance`.

    Returns
    -------
    list of dict
        ``scan``, ``zip`` and ``network`` (PSNR, dB), ``gain`` (their difference) and ``gain_head`` (inside the head).
    """
    rows = []
    for scan, image in images.items():
        target, coarse = evaluation.pair(image, scale, noise=noise, key=scan)
        options = {
            "contrast": "CT" if scan.endswith("CT") else "",
            "pixel_size": volumes.pixel_size(image),
        }
        base = evaluation.psnrs(target, zero_fill(coarse, scale), **options)
        value = evaluation.psnrs(target, enhance(network, coarse, scale, **consistency), **options)
        rows.append(
            {
                "scan": scan,
                "zip": base["psnr"],
                "network": value["psnr"],
                "gain": value["psnr"] - base["psnr"],
                "gain_head": value["psnr_head"] - base["psnr_head"],
            }
        )
    return rows


def make(name, *, recipe=None, share=None, steps=None):
    """Train the network of a recipe; the run resumes what was interrupted.

    Parameters
    ----------
    name : str
        One of :func:`recipes`.
    recipe : Recipe, optional
        Another than the one of that name.
    share : dict, optional
        Other data than the recipe's, e.g. ``{"cohort": 1.0}`` for a synthetic-only twin.
    steps : int, optional
        Another length.

    Returns
    -------
    keras.Model, in float32
    about : dict
        What a card says of the training.
    """
    from medsr_course import models, phantom

    if name not in _RECIPES:
        raise TrainingError(f"there is no recipe {name!r}; there are: {', '.join(_RECIPES)}")
    changed = recipe is not None or share is not None
    recipe = recipe or _RECIPES[name]
    share, steps = share or recipe.share, steps or recipe.steps
    scale = recipe.settings["scale"]
    slices, weights, trained_on = material(share)
    degradation = Degradation(scale, **recipe.degradation)
    zero_filled = recipe.architecture in models.ON_ZIP
    batches = Patches(
        slices,
        degradation,
        weights=weights,
        size=recipe.size,
        batch=recipe.batch,
        balanced=recipe.balanced,
        zero_filled=zero_filled or recipe.players is not None,
        noise_map=recipe.settings.get("noise_map", False),
        seed=recipe.seed,
    )
    # A variant is short: it starts again.
    checkpoint = None if changed else runtime.cache_dir() / "training" / f"{name}-{steps}.npz"
    with precision(recipe.precision) as computed_in:
        model = models.build(recipe.architecture, seed=recipe.seed, **recipe.settings)
        if recipe.start:
            model.set_weights(load(recipe.start).get_weights())
        teach = fit if recipe.players is None else partial(adversarial.teach, scale=scale, **recipe.players)
        began = time.perf_counter()
        curve = teach(
            model,
            batches,
            steps,
            learning_rate=recipe.learning_rate,
            margin=recipe.margin * scale,
            checkpoint=checkpoint,
        )
        seconds = time.perf_counter() - began
    trained, model = model, models.build(recipe.architecture, **recipe.settings)  # in float32, without the optimizer
    model.set_weights(trained.get_weights())
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    about = {
        "parameters": model.count_params(),
        "scale": scale,
        "input": "zip" if zero_filled else "coarse",
        "data_consistency": recipe.data_consistency,
        "noise_map": recipe.settings.get("noise_map", False),
        "own_error": recipe.own_error,
        "recipe": f"make weights NAME={name}",
        "data": [SOURCES[source] for source in share],
        "share": share,
        "trained_on": trained_on,
        "cohort_version": phantom.VERSION,
        "degradation": asdict(degradation),
        "seed": recipe.seed,
        "steps": steps,
        "batch": recipe.batch,
        "precision": computed_in,
        "seconds": round(seconds),
        "curve": [[step, *(float(f"{value:.4g}") for value in values)] for step, *values in curve],
    }
    if recipe.players is not None:
        about["start"], about["players"] = recipe.start, recipe.players
        about["curve_columns"] = list(adversarial.COLUMNS)
    return model, about


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
    folder = Path(folder or resources.path("weights"))
    if name in features.RECIPES:
        return _train_features(name, folder)
    model, trained = make(name)
    recipe = _RECIPES[name]
    about = {
        "name": name,
        "title": recipe.title,
        "task": "super-resolution",
        "architecture": recipe.architecture,
        "settings": recipe.settings,
        **trained,
        "metrics": _measure(model, trained),
        "licence": "MIT",
        **_uses(recipe),
    }
    if recipe.players is not None:
        about["perception"] = adversarial.perception(model.predict_on_batch, about, measured_on())
    _publish(model, about, folder)
    return about


def train_twin(name, folder=None):
    """Train a shipped network again without real scans, and write what that one gains into the card, ``twin``.

    The difference to ``metrics`` is what training on real scans was worth. The twin itself is not kept.

    Returns
    -------
    dict
        The card.
    """
    folder = Path(folder or resources.path("weights"))
    path = folder / f"{name}.json"
    if name not in _RECIPES or not path.exists():
        raise TrainingError(f"{name!r} has no card in {folder}: `make weights NAME={name}` first")
    synthetic = {source: part for source, part in _RECIPES[name].share.items() if source != "ds002748"}
    model, trained = make(name, share=synthetic)
    about = json.loads(path.read_text(encoding="utf-8"))
    kept = ("share", "trained_on", "steps", "seconds", "curve")
    about["twin"] = {**{key: trained[key] for key in kept}, "metrics": _measure(model, trained)}
    _replace_card(about, path)
    return about


def measure_again(name, folder=None):
    """Measure a shipped super-resolution network anew and put the numbers into its card; returns the card."""
    folder = Path(folder or resources.path("weights"))
    about = card(name)
    about.update(metrics=_measure(load(name), about), **_uses(_RECIPES[name]))
    _replace_card(about, folder / f"{name}.json")
    return about


def _replace_card(about, path):
    unfinished = path.with_suffix(".part")
    unfinished.write_text(_as_json(about), encoding="utf-8")
    os.replace(unfinished, path)


def _as_json(card):
    return json.dumps(card, indent=1, ensure_ascii=False) + "\n"


def _train_features(name, folder):
    from medsr_course import phantom

    recipe = features.RECIPES[name]
    checkpoint = runtime.cache_dir() / "training" / f"{name}-{recipe.steps}.npz"
    encoder, trained = features.make(
        name, subjects("cohort", "train"), subjects("cohort", "test"), checkpoint=checkpoint
    )
    checkpoint.unlink(missing_ok=True)
    about = {
        "name": name,
        "title": recipe.title,
        "task": "features",
        "architecture": recipe.architecture,
        "settings": recipe.settings,
        "recipe": f"make weights NAME={name}",
        "data": [SOURCES["cohort"]],
        "cohort_version": phantom.VERSION,
        **trained,
        "licence": "MIT",
        "intended_use": features.INTENDED_USE[name],
        "not_for": "Anything outside this course: it names tissues, contrasts and damages of synthetic heads.",
    }
    _publish(encoder, about, folder)
    return about


INTENDED_USE = (
    "Teaching: to see what a small network adds to zero-filling on axial brain MRI magnitudes that were made coarser "
    "by k-space cropping, and what it does not."
)
NOT_FOR = (
    "Diagnosis, treatment, or any decision about a person. Other body parts, CT, differently degraded images: measure "
    "first. Detail it adds beyond the measured frequencies is a guess from its training images."
)


def _uses(recipe):
    """What the card says the network is for, and not for."""
    never = "" if recipe.degradation.get("noisy") else " Noisy images: it was trained without noise, and loses to ZIP."
    return {"intended_use": INTENDED_USE, "not_for": NOT_FOR + never}


def _measure(model, about, noises=(0, 3, 6)):
    """The card's numbers: mean over subjects, per data set, contrast and noise; single real scans by name."""
    result = {}
    for title, group in measured_on().items():
        for noise in noises:
            if noise and title.endswith("CT"):
                continue  # the protocol's noise ends in a magnitude, which signed data have not
            rows = gains(model.predict_on_batch, group, about["scale"], noise=noise, **consistency(about))
            keys = ("zip", "network", "gain", "gain_head")
            mean = {key: round(float(np.mean([r[key] for r in rows])), 2) for key in keys}
            result[f"{title}, {noise} % noise" if noise else title] = {
                "subjects": len(rows),
                **{f"{key} (dB)": value for key, value in mean.items()},
                "least gain (dB)": round(min(r["gain"] for r in rows), 2),
            }
    return result


def measured_on():
    """What a card measures a network on: group title → scan name → image."""
    from medsr_course import datasets

    groups = {}
    test = subjects("cohort", "test")
    for contrast in test[0].contrasts:
        groups[f"cohort test, {contrast}"] = {s.id: s.contrasts[contrast] for s in test}
    groups["ds002748 validation, T1w"] = {s.id: s.contrasts["T1w"] for s in subjects("ds002748", "validation")}
    try:
        scans = datasets.load("real-scans")
    except runtime.CourseError:
        return groups  # weights can be made again without them
    for scan in scans:
        for contrast, image in scan.contrasts.items():
            groups[f"real {scan.split}: {scan.id}, {contrast}"] = {f"{scan.id} {contrast}": image}
    return groups


def _publish(model, about, folder):
    """Write both weight files and, last, the card with their checksums; each appears whole or not at all."""
    from medsr_course.models import keras

    folder.mkdir(parents=True, exist_ok=True)
    name = about["name"]
    with TemporaryDirectory(dir=folder) as scratch:
        scratch = Path(scratch)
        model.save_weights(scratch / f"{name}.weights.h5")
        channels = 2 if about.get("noise_map") else 1
        image = keras.InputSpec(shape=(None, None, None, channels), dtype="float32")
        model.export(scratch / f"{name}.onnx", format="onnx", input_signature=[image], verbose=False)
        files = sorted(scratch.iterdir())
        about["files"] = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
        described = scratch / f"{name}.json"
        described.write_text(_as_json(about), encoding="utf-8")
        for file in (*files, described):
            os.replace(file, folder / file.name)


def main(arguments=None):
    """``python -m medsr_course.training [--twin | --measure] NAME …``: make these weights, or all; or their twins."""
    parser = argparse.ArgumentParser(prog="python -m medsr_course.training", description="Make shipped weights anew.")
    parser.add_argument("name", nargs="*", help="all of them, where none is named")
    parser.add_argument("--twin", action="store_true", help="train without real scans, for the card of that weight")
    parser.add_argument("--measure", action="store_true", help="train nothing: measure again what is shipped")
    wanted = parser.parse_args(arguments)
    try:
        for name in wanted.name or (_RECIPES if wanted.twin or wanted.measure else recipes()):
            if wanted.measure:
                about = measure_again(name)
            else:
                about = train_twin(name)["twin"] if wanted.twin else train_weight(name)
            print(f"{name}: {about['steps']} steps, {about['seconds']} s")
            for data, row in about["metrics"].items():
                if "gain (dB)" not in row:
                    print(f"  {data}: {row}")
                    continue
                print(f"  {data}: {row['gain (dB)']:+.2f} dB over ZIP, inside the head {row['gain_head (dB)']:+.2f}")
    except runtime.CourseError as error:
        sys.exit(f"error: {error}")
