"""From a recipe to the files of a shipped weight: ``.weights.h5``, ``.onnx`` and card."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np

from medsr_course import resources, runtime
from medsr_course.networks.pretrained import Card, load
from medsr_course.networks.pretrained.weights import STAGES, is_stage
from medsr_course.networks.training.loop import Model
from medsr_course.networks.training.pairs import TrainingError
from medsr_course.networks.training.registry import TASKS, find, make, recipes, train
from medsr_course.types import PathLike


def train_weight(name: str, folder: PathLike | None = None) -> Card:
    """Makes the weight of one of :func:`recipes` and returns its card; resumes what was interrupted.

    The three files go into ``folder``, by default ``data/weights`` of the checkout.
    """
    recipe = find(name)
    checkpoint = runtime.cache_dir() / "training" / f"{name}-{recipe.steps}.npz"
    model, made = make(name, checkpoint=checkpoint)
    made = _publish(model, TASKS[recipe.task].exported(model), made, _folder(folder))
    checkpoint.unlink(missing_ok=True)
    return made


def train_twin(name: str, folder: PathLike | None = None) -> Card:
    """Trains a shipped network again without real scans; returns its card, with what the other one gains as ``twin``.

    The difference to ``metrics`` is what training on real scans was worth. The twin itself is not kept.
    """
    share = {source: part for source, part in find(name).share.items() if source != "ds002748"}
    if share == find(name).share:
        raise TrainingError(f"{name} was trained without real scans: it has no twin")
    shipped = _shipped(name, folder)
    _, twin = make(name, share=share)
    kept = ("share", "trained_on", "steps", "seconds", "curve", "metrics")
    return _write_card(replace(shipped, twin={key: getattr(twin, key) for key in kept}), _folder(folder))


def measure_again(name: str, folder: PathLike | None = None) -> Card:
    """Measures a shipped network anew and returns its card, with the new numbers."""
    recipe, shipped = find(name), _shipped(name, folder)
    task, model = TASKS[recipe.task], load(name)
    usage, (intended_use, not_for) = task.usage(recipe, model), task.uses(recipe)
    new = replace(shipped, usage=usage, intended_use=intended_use, not_for=not_for, metrics=task.measure(model, recipe))
    return _write_card(new, _folder(folder))


def try_out(name: str, steps: int = 20) -> Card:
    """Trains a network for a few steps on the cohort's training subjects, measures and writes nothing; returns a card.

    Its ``curve`` and ``development`` tell whether the network learns at all.
    """
    return train(name, steps=steps, share={"cohort": 1.0})[1]


def _folder(folder: PathLike | None) -> Path:
    return Path(folder or resources.path("weights"))


def _shipped(name: str, folder: PathLike | None) -> Card:
    path = _folder(folder) / f"{name}.json"
    if not path.exists():
        raise TrainingError(f"{name!r} has no card in {path.parent}: `make weights NAME={name}` first")
    return Card.from_json(path.read_text(encoding="utf-8"), path.name)


def _write_card(made: Card, folder: Path) -> Card:
    with runtime.atomic_write(folder / f"{made.name}.json") as part:
        part.write_text(made.to_json(), encoding="utf-8")
    return made


def export(model: Model, path: Path) -> None:
    """Writes a network as an ONNX file that takes any number of images, and any size where the network does."""
    from medsr_course.networks.models import keras

    entries = [keras.InputSpec(shape=(None, *entry.shape[1:]), dtype="float32") for entry in model.inputs]
    signature = entries if len(entries) == 1 else [entries]
    model.export(path, format="onnx", input_signature=signature, verbose=False)


def _round(model):
    """Rounds a network's weights to 16 bits, which costs it nothing that can be measured; single numbers stay exact."""
    model.set_weights([w.astype(np.float16).astype(np.float32) if w.ndim else w for w in model.get_weights()])


def _halve(path, halved):
    """Moves a weight file to one that stores rounded weights in the 16 bits they need."""
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


def _publish(model: Model, exported: Model, made: Card, folder: Path) -> Card:
    """Writes both weight files and, last, the card with their checksums; each appears whole or not at all.

    Those of a stage, which nobody runs, are without .onnx.
    """
    folder = folder / STAGES if is_stage(made.name) else folder
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as scratch:
        whole = Path(scratch, "all.weights.h5")
        _round(model)
        model.save_weights(whole)
        _halve(whole, whole.with_name(f"{made.name}.weights.h5"))
        if not is_stage(made.name):
            export(exported, whole.with_name(f"{made.name}.onnx"))
        files = sorted(Path(scratch).iterdir())
        checksums = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
        for file in files:
            os.replace(file, folder / file.name)
    return _write_card(replace(made, files=checksums), folder)


def _all(way: Callable) -> list[str]:
    """The recipes that are meant where none is named: those that ship, and to be made, their stages before them."""
    found = recipes().items()
    return [n for n, r in found if way is train_weight or "ds002748" in r.share and not is_stage(n)]


def main(arguments: list[str] | None = None) -> None:
    """``python -m medsr_course.networks.training [--twin | --measure | --try] NAME …``: makes these weights, or all."""
    program = "python -m medsr_course.networks.training"
    parser = argparse.ArgumentParser(prog=program, description="Make shipped weights anew.")
    parser.add_argument("name", nargs="*", help="all of them, where none is named")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--twin", action="store_true", help="train without real scans, for the card of that weight")
    ways.add_argument("--measure", action="store_true", help="train nothing: measure again what is shipped")
    ways.add_argument("--try", action="store_true", help="train 20 steps on the cohort, and write nothing")
    wanted = vars(parser.parse_args(arguments))
    way = next((f for key, f in _WAYS.items() if wanted[key]), train_weight)
    try:
        for name in wanted["name"] or _all(way):
            made = way(name)
            told = made.twin if way is train_twin and made.twin else vars(made)
            print(f"{name}: {told['steps']} steps, {told['seconds']} s, loss {told['curve'][-1][1]:.3g}")
            for step, gain in made.development if way is try_out else ():
                print(f"  after {step} steps: {gain:+.2f} dB on development scans")
            for data, row in told["metrics"].items():
                print(f"  {data}: {', '.join(f'{key} {value}' for key, value in row.items())}")
    except runtime.CourseError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in runtime.DISK_TROUBLE:
            raise
        sys.exit(f"error: {runtime.disk_trouble(error, error.filename or _folder(None))}")


_WAYS: dict[str, Callable[..., Card]] = {"twin": train_twin, "measure": measure_again, "try": try_out}
