"""The same networks, weights and training steps on every Keras backend, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import require

from medsr_course.networks import pretrained

# Writes name → what the backend makes of one input, and of a few training steps. Weights come from NumPy: the
# backends' own random numbers differ.
CODE = """
import sys
import numpy as np
from medsr_course.networks import models, pretrained, training

SMALL = {
    "srcnn": {"filters": (8, 4), "sizes": (5, 1, 3)}, "fsrcnn": {"d": 8, "s": 4, "m": 1},
    "espcn": {"filters": 8, "depth": 3}, "vdsr": {"filters": 8, "depth": 3},
    "drcn": {"filters": 8, "recursions": 2}, "srresnet": {"filters": 8, "blocks": 1},
    "unet": {"classes": 4, "filters": (8, 12)}, "kspace_unet": {"filters": 8, "levels": 2},
    "cascade": {"filters": 8, "iterations": 2}, "crnn": {"filters": 8, "iterations": 2, "hidden": 4},
    "lstm": {"filters": 4, "width": 8, "steps": 3}, "convlstm": {"filters": 4, "width": 8, "steps": 3},
    "cnn25d": {"width": 8, "steps": 3}, "swinir": {"scale": 2, "filters": 8, "groups": 1, "window": 4},
    "liif": {"scale": 2, "filters": 8, "blocks": 1, "width": 8}, "siren": {"width": 8, "frequency": 5.0},
    "diffusion": {"scale": 2, "filters": (8, 12), "blocks": (1, 1)},
}


def mean_square(target, output):
    return models.keras.ops.mean(models.keras.ops.square(target - output), axis=tuple(range(1, len(output.shape))))


def randomised(model):
    rng = np.random.default_rng(0)
    shapes = [w.shape for w in model.get_weights()]
    model.set_weights([rng.standard_normal(shape) / np.sqrt(max(np.prod(shape[:-1]), 1)) for shape in shapes])
    return model


y, x = np.mgrid[:48, :40]
slices = [np.where(np.hypot(y - 24, x - 20) < radius, 0.8, 0.1).astype("f4") for radius in (8, 12, 16)]
found = {}
for name in models.superresolution.ARCHITECTURES:
    rng = np.random.default_rng(0)
    model = randomised(models.build(name, scale=2, **SMALL[name]))
    found[name] = model.predict_on_batch(rng.random((2, 11, 14, 1)).astype("f4"))
    batches = training.Patches(
        slices, training.Degradation(2), size=10, batch=4, pool=4, zero_filled=name in models.ON_ZIP, balanced=True
    )
    found[name + " loss"] = [loss for _, loss in training.fit(model, batches, 5, every=1, margin=2)]
    found[name + " trained"] = np.concatenate([w.ravel() for w in model.get_weights()])
for name in sorted(set(models.ARCHITECTURES) - set(models.superresolution.ARCHITECTURES)):
    model = randomised(models.build(name, **SMALL.get(name, {})))
    rng = np.random.default_rng(0)
    entries = [rng.random((4, *(n or 11 for n in entry.shape[1:]))).astype("f4") for entry in model.inputs]
    entries = entries if len(entries) > 1 else entries[0]
    out = model.predict_on_batch(entries)
    found[name] = np.concatenate([np.ravel(x) for x in (out if isinstance(out, list) else [out])])
    if not isinstance(out, list):  # encoders are trained with a layer behind them
        training.fit(model, lambda k: (entries, np.zeros_like(out)), 3, loss=mean_square)
        found[name + " trained"] = np.concatenate([w.ravel() for w in model.get_weights()])
for name in pretrained.names():
    card = pretrained.card(name)
    use = card.usage
    factor = use["scale"] if use["input"] == "zip" else 1
    x = np.random.default_rng(0).random((1, 12 * factor, 13 * factor, 2 if use["noise_map"] else 1))
    found["shipped " + name] = pretrained.load(name).predict_on_batch(x.astype("f4"))
    found["onnx " + name] = pretrained.network(name)(x.astype("f4"))
    stack = np.random.default_rng(1).random((1, 9, 10))
    options = pretrained.usage(card)
    found["image " + name] = pretrained.super_resolve_with(pretrained.load(name), stack, **options)
np.savez(sys.argv[1], **found)
"""


def results(backend, path):
    environment = dict(os.environ, KERAS_BACKEND=backend, MEDSR_NULL="", MEDSR_PROGRESS="0", TF_CPP_MIN_LOG_LEVEL="3")
    done = subprocess.run([sys.executable, "-c", CODE, str(path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    with np.load(path) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def tensorflow(tmp_path_factory):
    return results("tensorflow", tmp_path_factory.mktemp("backends") / "tensorflow.npz")


def near(value, expected, tolerance):
    """Equal within a part of the largest expected value."""
    np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.xdist_group("backends")
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_keras_backends_agree(backend, request, tmp_path):
    require(backend, importlib.util.find_spec(backend), f"needs the extra [{backend}]: pip install {backend}")
    tensorflow = request.getfixturevalue("tensorflow")
    found = results(backend, tmp_path / "found.npz")
    assert found.keys() == tensorflow.keys()
    for name, value in found.items():
        near(value, tensorflow[name], 1e-3 if name.endswith((" loss", " trained")) else 1e-4)
    for name in pretrained.names():
        near(found[f"shipped {name}"], found[f"onnx {name}"], 1e-4)
