"""The recipes of all shipped weights, and how a weight, its ONNX twin and its card are made from one."""

import argparse
import hashlib
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np

from medsr_course import resources, runtime
from medsr_course.networks.pretrained import Card, card, load
from medsr_course.networks.training import (
    denoising,
    denoising_gan,
    features,
    learning,
    reconstruction,
    segmentation,
    superresolution,
    thick_slices,
)
from medsr_course.networks.training.pairs import TrainingError

# One module per task: RECIPES, name → recipe with .steps, and make(name, steps=, checkpoint=) → (model, about).
TASKS = (features, superresolution, denoising, denoising_gan, thick_slices, segmentation, reconstruction)


def recipes():
    """Name → recipe of every weight that can be made, in a useful order: each after what it starts from."""
    return {name: recipe for task in TASKS for name, recipe in task.RECIPES.items()}


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
    Card
    """
    folder = Path(folder or resources.path("weights"))
    learning.find(name, recipes())
    task = next(task for task in TASKS if name in task.RECIPES)
    checkpoint = runtime.cache_dir() / "training" / f"{name}-{task.RECIPES[name].steps}.npz"
    model, about = task.make(name, checkpoint=checkpoint)
    about = learning.card_of({"name": name, **about, "recipe": f"make weights NAME={name}"})
    about = _publish(model, about, folder, getattr(task, "exported", None))
    checkpoint.unlink(missing_ok=True)
    return about


def train_twin(name, folder=None):
    """Train a shipped network again without real scans, and write what that one gains into the card, ``twin``.

    The difference to ``metrics`` is what training on real scans was worth. The twin itself is not kept.

    Returns
    -------
    Card
    """
    folder = Path(folder or resources.path("weights"))
    path = folder / f"{name}.json"
    if name not in superresolution.RECIPES or not path.exists():
        raise TrainingError(f"{name!r} has no card in {folder}: `make weights NAME={name}` first")
    synthetic = {source: part for source, part in superresolution.RECIPES[name].share.items() if source != "ds002748"}
    model, trained = superresolution.train(name, share=synthetic)
    about = Card.from_json(path.read_text(encoding="utf-8"), path.name)
    kept = ("share", "trained_on", "steps", "seconds", "curve")
    measured = superresolution.measure(model, learning.card_of(trained))
    about = replace(about, twin={**{key: trained[key] for key in kept}, "metrics": measured})
    _write_card(about, path)
    return about


def measure_again(name, folder=None):
    """Measure a shipped super-resolution network anew and put the numbers into its card; returns the card."""
    folder = Path(folder or resources.path("weights"))
    about, recipe = card(name), superresolution.RECIPES[name]
    about = replace(about, usage=superresolution.usage(recipe), **superresolution.uses(recipe))
    about = replace(about, metrics=superresolution.measure(load(name), about))
    _write_card(about, folder / f"{name}.json")
    return about


def _write_card(about, path):
    with runtime.atomic_write(path) as part:
        part.write_text(about.to_json(), encoding="utf-8")


def export(model, path):
    """Write a network as an ONNX file that takes any number of images, and any size where the network does."""
    from medsr_course.networks.models import keras

    entries = [keras.InputSpec(shape=(None, *entry.shape[1:]), dtype="float32") for entry in model.inputs]
    signature = entries if len(entries) == 1 else [entries]
    model.export(path, format="onnx", input_signature=signature, verbose=False)


def _round(model):
    """Round a network's weights to 16 bits, which costs it nothing that can be measured; single numbers stay exact."""
    model.set_weights([w.astype(np.float16).astype(np.float32) if w.ndim else w for w in model.get_weights()])


def _halve(path, halved):
    """Move a weight file to one that stores rounded weights in the 16 bits they need."""
    with h5py.File(path) as whole, h5py.File(halved, "w") as half:

        def copy(name, found):
            if isinstance(found, h5py.Dataset):
                value = found[()]
                new = half.create_dataset(name, data=value.astype(np.float16) if value.ndim else value)
            else:
                new = half.require_group(name)
            new.attrs.update(found.attrs)

        half.attrs.update(whole.attrs)
        whole.visititems(copy)
    path.unlink()


def _publish(model, about, folder, exported=None):
    """Write both weight files and, last, the card with their checksums; each appears whole or not at all.

    ``exported``: from the model to the part of it that becomes the .onnx file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = about.name
    with TemporaryDirectory(dir=folder) as scratch:
        scratch = Path(scratch)
        _round(model)
        model.save_weights(scratch / "all.weights.h5")
        _halve(scratch / "all.weights.h5", scratch / f"{name}.weights.h5")
        export(exported(model) if exported else model, scratch / f"{name}.onnx")
        files = sorted(scratch.iterdir())
        about = replace(about, files={f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
        for file in files:
            os.replace(file, folder / file.name)
    _write_card(about, folder / f"{name}.json")
    return about


def main(arguments=None):
    """``python -m medsr_course.networks.training [--twin | --measure] NAME …``: make these weights, all, or twins."""
    parser = argparse.ArgumentParser(
        prog="python -m medsr_course.networks.training", description="Make shipped weights anew."
    )
    parser.add_argument("name", nargs="*", help="all of them, where none is named")
    parser.add_argument("--twin", action="store_true", help="train without real scans, for the card of that weight")
    parser.add_argument("--measure", action="store_true", help="train nothing: measure again what is shipped")
    wanted = parser.parse_args(arguments)
    try:
        for name in wanted.name or (superresolution.RECIPES if wanted.twin or wanted.measure else recipes()):
            if wanted.measure:
                about = measure_again(name)
            else:
                about = train_twin(name) if wanted.twin else train_weight(name)
            found = about.twin if wanted.twin and about.twin else asdict(about)
            print(f"{name}: {found['steps']} steps, {found['seconds']} s")
            for data, row in found["metrics"].items():
                print(f"  {data}: {', '.join(f'{key} {value}' for key, value in row.items())}")
    except runtime.CourseError as error:
        sys.exit(f"error: {error}")
