"""Layers: where each sample lands, what they leave alone, and that they come back from their configuration."""

import numpy as np
import pytest

from medsr_course.networks import layers
from medsr_course.networks.framework import keras


def impulse(h, w, i, j):
    x = np.zeros((1, h, w, 1), np.float32)
    x[0, i, j, 0] = 1
    return x


def again(layer):
    """The layer as a loaded model would have it."""
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))


@pytest.mark.parametrize(("scale", "channels"), [(2, 1), (3, 1), (4, 1), (2, 3)])
def test_depth_to_space_by_its_rule(scale, channels):
    """Channel (a·s + b)·c + k of sample (i, j) is channel k of (s·i + a, s·j + b)."""
    x = np.random.default_rng(0).random((2, 3, 5, scale**2 * channels)).astype(np.float32)
    layer = layers.DepthToSpace(scale)
    out = np.asarray(layer(x))
    assert out.shape == layer.compute_output_shape(x.shape) == (2, 3 * scale, 5 * scale, channels)
    for a in range(scale):
        for b in range(scale):
            first = (a * scale + b) * channels
            np.testing.assert_array_equal(out[:, a::scale, b::scale], x[..., first : first + channels])
    np.testing.assert_array_equal(np.asarray(again(layer)(x)), out)
    assert layer.compute_output_shape((None, None, None, scale**2)) == (None, None, None, 1)


@pytest.mark.parametrize(("scale", "width"), [(2, 3), (2, 9), (3, 5), (3, 9), (4, 7), (4, 9)])
def test_deconvolution_puts_its_kernel_on_the_voxel_centre(scale, width):
    kernel = np.arange(1, width**2 + 1, dtype=np.float32).reshape(width, width, 1, 1)
    layer = layers.CentredDeconvolution(1, width, scale, use_bias=False)
    layer.build((None, None, None, 1))
    layer.set_weights([kernel])
    h, w, half = 9, 10, width // 2
    for i, j in ((4, 5), (5, 4)):
        out = np.asarray(layer(impulse(h, w, i, j)))[0, ..., 0]
        assert out.shape == (scale * h, scale * w)
        expected = np.zeros_like(out)
        around = np.s_[scale * i - half : scale * i + half + 1, scale * j - half : scale * j + half + 1]
        expected[around] = kernel[..., 0, 0]
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("i", "j"), [(0, 0), (4, 5)])
def test_deconvolution_keeps_its_place_in_the_corners(i, j):
    layer = layers.CentredDeconvolution(1, 5, 2, use_bias=False)
    layer.build((None, None, None, 1))
    kernel = np.zeros((5, 5, 1, 1), np.float32)
    kernel[2, 2] = 1
    layer.set_weights([kernel])
    out = np.asarray(layer(impulse(5, 6, i, j)))[0, ..., 0]
    assert out.shape == (10, 12)
    assert np.argwhere(out).tolist() == [[2 * i, 2 * j]]


def test_deconvolution_comes_back_from_its_configuration():
    layer = layers.CentredDeconvolution(3, 9, 4, use_bias=False, activation="relu", name="tail")
    other = again(layer)
    assert (other.filters, other.width, other.scale, other.name) == (3, 9, 4, "tail")
    x = np.random.default_rng(0).random((1, 4, 5, 2)).astype(np.float32)
    expected = np.asarray(layer(x))
    other(x)
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(other(x)), expected)
    assert layer.compute_output_shape((None, 4, None, 2)) == (None, 16, None, 3)


@pytest.mark.parametrize(("width", "scale"), [(4, 2), (3, 3), (5, 4)])
def test_deconvolution_with_holes_or_without_a_centre_is_refused(width, scale):
    with pytest.raises(ValueError, match=f"odd and at least {2 * scale - 1}"):
        layers.CentredDeconvolution(1, width, scale)


def test_difference_convolution_does_not_see_brightness():
    layer = layers.DifferenceConv2D(4, 3, padding="valid", use_bias=False)
    x = np.random.default_rng(0).random((1, 8, 9, 2)).astype(np.float32)
    out = np.asarray(layer(x))
    assert np.abs(out).max() > 0.1
    np.testing.assert_allclose(np.asarray(layer(x + 5)), out, atol=1e-4)
    np.testing.assert_allclose(np.asarray(layer(0 * x + 5)), 0, atol=1e-5)
    # The mean is taken off the kernel when it is used: the weight itself stays free.
    assert np.abs(layer.get_weights()[0].sum(axis=(0, 1, 2))).max() > 1e-3
    other = again(layer)
    other(x)
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(other(x)), out)


def test_a_saved_model_opens_with_its_layers(tmp_path):
    from medsr_course.networks import models

    for name in ("fsrcnn", "espcn"):
        model = models.build(name, scale=3)
        model.set_weights([np.full_like(w, 0.01) + w for w in model.get_weights()])
        model.save(tmp_path / f"{name}.keras")
        x = np.random.default_rng(0).random((1, 6, 7, 1)).astype(np.float32)
        loaded = keras.saving.load_model(tmp_path / f"{name}.keras")
        np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(model(x)), atol=1e-6)
