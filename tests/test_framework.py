"""Keras: what a reader's own settings of it do to the course's networks."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from medsr_course.networks import models, pretrained
from medsr_course.networks.framework import keras
from medsr_course.networks.layers import CentredDeconvolution, DifferenceConv2D


def start(tmp_path, code="from medsr_course.networks import models", **settings):
    """Runs ``code`` in a process whose keras.json has these settings."""
    standard = {"floatx": "float32", "epsilon": 1e-7, "backend": "tensorflow", "image_data_format": "channels_last"}
    (tmp_path / "keras.json").write_text(json.dumps(standard | settings), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    environment["KERAS_HOME"] = str(tmp_path)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize(
    "settings", [{"image_data_format": "channels_first"}, {"floatx": "float16"}, {"backend": "theano"}], ids=str
)
def test_settings_that_do_not_fit_are_named_in_one_line(tmp_path, settings):
    done = start(tmp_path, **settings)
    told = done.stderr.strip().splitlines()[-1]
    assert done.returncode
    assert "CourseError: Keras" in told
    assert all(str(value) in told for value in settings.values())


def test_shipped_networks_run_whatever_keras_is_set_to(tmp_path):
    code = "import numpy as np; from medsr_course.networks import pretrained\n"
    code += "print(pretrained.super_resolve('espcn-x2', np.ones((1, 4, 5))).shape)"
    assert start(tmp_path, code, image_data_format="channels_first", floatx="float64").stdout.strip() == "(1, 8, 10)"


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


SMALL = {
    "srcnn": {"scale": 2, "filters": (4, 4)},
    "drcn": {"scale": 2, "filters": 4, "recursions": 2},
    "vdsr": {"scale": 2, "filters": 4, "depth": 3},
    "fsrcnn": {"scale": 2, "d": 4, "s": 4, "m": 1},
    "espcn": {"scale": 2, "filters": 4, "depth": 3},
    "srresnet": {"scale": 2, "filters": 4, "blocks": 1},
    "dncnn": {"filters": 4, "depth": 3, "fold": 2},
    "denoising_unet": {"filters": (4, 8), "blocks": (1, 1)},
    "autoencoder": {"filters": (4, 4)},
    "unet": {"classes": 3, "filters": (4, 8)},
    "tissue_features": {"filters": (4, 8)},
    "contrast_features": {"filters": (4, 8)},
    "lstm": {"filters": 4, "width": 4, "steps": 3},
    "convlstm": {"filters": 4, "width": 4, "steps": 3},
    "cnn25d": {"width": 4, "depth": 2, "steps": 3},
    "kspace_unet": {"filters": 4, "levels": 2},
    "cascade": {"filters": 4, "levels": 2, "iterations": 2},
    "crnn": {"filters": 4, "levels": 2, "iterations": 2, "hidden": 2},
    "swinir": {"scale": 2, "filters": 4, "groups": 1, "heads": 2, "window": 2},
    "liif": {"scale": 2, "filters": 4, "blocks": 1, "width": 4},
    "diffusion": {"scale": 2, "filters": (4, 8), "blocks": (1, 1)},
    "siren": {"width": 4, "depth": 2},
}


def outputs(name):
    """What a small network, weights drawn, makes of noise."""
    rng = np.random.default_rng(0)
    model = models.build(name, **SMALL[name])
    model.set_weights([0.3 * rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    shapes = [tuple(2 if k == 0 else side or 10 for k, side in enumerate(entry.shape)) for entry in model.inputs]
    entries = [rng.random(shape).astype(np.float32) for shape in shapes]
    made = model.predict_on_batch(entries if len(entries) > 1 else entries[0])
    return made if isinstance(made, list) else [made]


def test_every_architecture_is_tried():
    assert set(SMALL) == set(models.ARCHITECTURES)


@pytest.mark.parametrize("name", SMALL)
def test_networks_are_the_same_under_channels_first(name, request):
    usual = outputs(name)
    request.getfixturevalue("channels_first")
    for one, other in zip(usual, outputs(name), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_layers_and_judges_read_channels_last_under_channels_first(channels_first):
    x = np.random.default_rng(0).random((2, 12, 10, 3)).astype(np.float32)
    assert DifferenceConv2D(5, 3, padding="same")(x).shape == (2, 12, 10, 5)
    layer = CentredDeconvolution(4, 5, 2)
    assert layer(x).shape == CentredDeconvolution.from_config(layer.get_config())(x).shape == (2, 24, 20, 4)
    assert models.discriminator(filters=2)(x[..., :1]).shape == (2, 1)
    assert models.pair_discriminator(filters=2)(x[..., :2]).shape == (2, 1)


def test_a_shipped_network_loads_under_channels_first(channels_first):
    model = pretrained.load("espcn-x2")
    assert model.predict_on_batch(np.zeros((1, 8, 9, 2), np.float32)).shape == (1, 16, 18, 1)
