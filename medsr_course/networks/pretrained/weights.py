"""Shipped networks: their names, their cards, their files, checked, and what runs them."""

import hashlib
import json
from functools import lru_cache

from medsr_course import resources, runtime


class WeightError(runtime.CourseError):
    """A weight that is unknown, incomplete or not the one its card describes."""


def names(task="super-resolution"):
    """Names of the shipped networks for a task, e.g. ``["espcn-x4"]``.

    Parameters
    ----------
    task : str or None
        "super-resolution", "features" (encoders that losses and judges use), or None for all.
    """
    found = sorted(resources.path("weights").glob("*.json"))
    return [path.stem for path in found if task is None or _task(_read(path)) == task]


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _task(about):
    return about.get("task", "super-resolution")


TASKS = {  # task → what its networks are called where one is asked for and another given
    "super-resolution": "super-resolution network",
    "denoising": "denoiser",
    "slices": "network for thick slices",
    "reconstruction": "network for k-space",
    "segmentation": "segmentation network",
    "features": "feature network",
}


def card(name, task=None):
    """The model card of a shipped network, a dict; with ``task``, only of one for that task.

    Holds ``architecture`` and its ``settings``, ``scale``, ``data_consistency`` ("hard" or None), ``recipe`` (the
    command that made it), ``data``, ``seed``, ``steps``, ``curve``, ``metrics``, ``intended_use``, ``not_for`` and
    ``files`` (file name → sha256).

    Raises
    ------
    WeightError
        If there is no network of that name, or it is for another task.
    """
    if name not in names(task=None):
        raise WeightError(f"there is no trained network {name!r}; there are: {', '.join(names(task=None))}")
    about = _read(resources.path("weights", f"{name}.json"))
    if task and _task(about) != task:
        raise WeightError(f"{name} is no {TASKS[task]}; there are: {', '.join(names(task))}")
    return about


def verify(name):
    """Check a network's files against its card; returns the card, raises :class:`WeightError` if one is altered."""
    about = card(name)
    for file in about["files"]:
        _verified(name, file.removeprefix(name))
    return about


def load(name):
    """A shipped network as a Keras model (imports Keras): coarse image in, residual over ZIP out.

    Those for the task "features" take a fine image to a list of feature maps.

    In a null run the weights are freshly initialised instead.

    Raises
    ------
    WeightError
        If the name is unknown, or the file is not the one the card describes.
    """
    from medsr_course.networks import models

    about = card(name)
    model = models.build(about["architecture"], **about["settings"])
    if not runtime.is_null():
        model.load_weights(_verified(name, ".weights.h5"))
    return model


def network(name, part=None):
    """The callable behind a name, arrays in and out.

    It runs in ONNX Runtime; in Keras where there is no .onnx file, and in a null run, with fresh weights.

    A network with several entries takes a list of arrays, one with several exits returns a list. Where the .onnx file
    holds a part of the network only, ``part`` gets that from the Keras model.
    """
    if runtime.is_null() or f"{name}.onnx" not in card(name)["files"]:
        model = load(name)
        return (part(model) if part else model).predict_on_batch
    return session(_verified(name, ".onnx"))


@lru_cache(maxsize=8)
def session(path):
    """What runs an ``.onnx`` file: a callable as :func:`network` returns."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.cpu_count()
    made = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entries = [entry.name for entry in made.get_inputs()]

    def run(batch):
        out = made.run(None, dict(zip(entries, batch if isinstance(batch, list) else [batch], strict=True)))
        return out if len(out) > 1 else out[0]

    return run


def _verified(name, suffix):
    """Path of a weight file whose sha256 is the card's."""
    file = f"{name}{suffix}"
    expected = card(name)["files"].get(file)
    path = resources.path("weights", file)
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise WeightError(f"{file} is not the file its card describes (checksum): restore it, or reinstall the course")
    return path
