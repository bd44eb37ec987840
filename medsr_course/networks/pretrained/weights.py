"""Shipped networks: their names, their cards, their files, checked, and what runs them."""

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsr_course import resources, runtime
from medsr_course.networks.pretrained import engines
from medsr_course.networks.pretrained.cards import TASKS, Card, WeightError

if TYPE_CHECKING:
    import keras

STAGES = "stages"  # folder, inside that of the weights


def names(task: str | None = "super-resolution") -> list[str]:
    """Returns the names of the shipped networks for a task, e.g. ``["espcn-x4"]``.

    Parameters
    ----------
    task : str or None
        "super-resolution", "denoising", "slices", "reconstruction", "segmentation", "features" (encoders that losses
        and judges use), or None for all.

    >>> names("features")
    ['features-judge', 'features-tissue']
    """
    found = sorted(resources.path("weights").glob("*.json"))
    return [path.stem for path in found if task is None or _read(path, path.stat().st_mtime_ns).task == task]


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> Card:  # ``changed``: a file that was written anew is read anew
    about = Card.from_json(path.read_text(encoding="utf-8"), path.name)
    if about.name != path.stem:
        raise WeightError(f"{path.name} is the card of {about.name}: restore it, or reinstall the course")
    return about


def card(name: str, task: str | None = None) -> Card:
    """Returns the model card of a shipped network; with ``task``, only of one for that task.

    Cards are read once: treat what they hold as fixed.

    Raises
    ------
    WeightError
        If there is no network of that name, or it is for another task, or its card is damaged.

    >>> card("espcn-x4").usage["scale"]
    4
    """
    path = weight_file(name, ".json")
    if not path.exists():
        raise WeightError(f"there is no trained network {name!r}; there are: {', '.join(names(task=None))}")
    about = _read(path, path.stat().st_mtime_ns)
    if task and about.task != task:
        raise WeightError(f"{name} is no {TASKS[task]}; there are: {', '.join(names(task))}")
    return about


def is_stage(name: str) -> bool:
    """Tells whether a name is of a stage, e.g. "srresnet-x2-stage1": weights that only start another training."""
    return bool(re.search(r"-stage\d+$", name))


def weight_file(name: str, suffix: str) -> Path:
    """Returns where a network's file lies or would lie; those of stages have a folder of their own."""
    return resources.path("weights").joinpath(*([STAGES] if is_stage(name) else []), name + suffix)


def verify(name: str) -> Card:
    """Checks a network's files against its card; returns the card, raises :class:`WeightError` if one is altered."""
    about = card(name)
    for file in about.files:
        _verified(name, file.removeprefix(name))
    return about


def load(name: str) -> "keras.Model":
    """Returns a shipped network as a Keras model (imports Keras): coarse image to residual over ZIP.

    Those for the task "features" take a fine image to a list of feature maps. In a null run the weights are freshly
    initialised instead.

    Raises
    ------
    WeightError
        If the name is unknown, or the file is not the one the card describes.
    """
    from medsr_course.networks import models

    about = card(name)
    model = models.build(about.architecture, **about.settings)
    if not runtime.is_null():
        model.load_weights(_verified(name, ".weights.h5"))
    return model


def network(
    name: str, part: "Callable[[keras.Model], keras.Model] | None" = None, *, quick: bool = False
) -> Callable[[Any], Any]:
    """Returns the callable behind a name, from arrays to arrays.

    It runs in ONNX Runtime in float32, or with ``quick``, where its architecture is one of :data:`engines.QUICK`, in
    the quickest engine there is; in Keras where there is no .onnx file, and in a null run, with fresh weights.

    A network with several entries takes a list of arrays, one with several exits returns a list. Where the .onnx file
    holds a part of the network only, ``part`` gets that from the Keras model.
    """
    if runtime.is_null() or f"{name}.onnx" not in card(name).files:
        model = load(name)
        return (part(model) if part else model).predict_on_batch
    return engines.session(_verified(name, ".onnx"), quick and card(name).architecture in engines.QUICK)


def engine(name: str) -> str:
    """Returns what runs a shipped network from image to image here, e.g. ``"ONNX Runtime 1.26, float32"``."""
    run = network(name, quick=True)
    return run.name if isinstance(run, engines.Engine) else "Keras, float32"


def _verified(name: str, suffix: str) -> Path:
    """Returns the path of a weight file whose sha256 is the card's."""
    file = f"{name}{suffix}"
    expected = card(name).files.get(file)
    path = weight_file(name, suffix)
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise WeightError(f"{file} is not the file its card describes (checksum): restore it, or reinstall the course")
    return path
