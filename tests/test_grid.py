"""The index rule: round trips, adjoints, and that each claim about it could fail."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsr_course.physics import acquisition, grid, interpolation

sizes = st.integers(1, 13)
scales = st.sampled_from([2, 3, 4])


def sample(seed, *shape, complex_=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if complex_ else x


@settings(max_examples=40, deadline=None)
@given(h=sizes, w=sizes, scale=scales, complex_=st.booleans(), seed=st.integers(0, 99))
def test_round_trip(h, w, scale, complex_, seed):
    x = sample(seed, 2, h, w, complex_=complex_)
    fine = interpolation.zero_fill(x, scale)
    assert fine.shape == (2, scale * h, scale * w)
    np.testing.assert_allclose(acquisition.kspace_crop(fine, scale), x, atol=1e-10)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (6, 11)])
def test_round_trip_float32(scale, shape):
    x = sample(1, *shape).astype(np.float32)
    back = acquisition.kspace_crop(interpolation.zero_fill(x, scale), scale)
    assert back.dtype == np.float32
    assert np.abs(back - x).max() < 1e-5


@settings(max_examples=40, deadline=None)
@given(h=sizes, w=sizes, scale=scales, seed=st.integers(0, 99))
def test_mean_is_kept(h, w, scale, seed):
    x = sample(seed, h, w)
    assert np.isclose(interpolation.zero_fill(x, scale).mean(), x.mean(), atol=1e-12)
    fine = sample(seed, scale * h, scale * w)
    assert np.isclose(acquisition.kspace_crop(fine, scale).mean(), fine.mean(), atol=1e-12)


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_samples_stay_where_they_were(size, scale):
    # A cosine below Nyquist is interpolated exactly: sample i of the coarse grid is sample s·i.
    k = (size - 1) // 2
    coarse = np.cos(2 * np.pi * k * np.arange(size) / size + 0.4)
    fine = grid.pad_axis(coarse, size * scale, 0)
    expected = np.cos(2 * np.pi * k * grid.positions(size, scale) / size + 0.4)
    np.testing.assert_allclose(fine, expected, atol=1e-12)
    np.testing.assert_allclose(fine[::scale], coarse, atol=1e-12)


@pytest.mark.parametrize("size", [6, 8])
def test_even_nyquist_is_split_and_summed(size):
    alternating = (-1.0) ** np.arange(size)
    fine = grid.pad_axis(alternating, 2 * size, 0)
    spectrum = np.fft.fft(fine) / fine.size
    half = size // 2
    np.testing.assert_allclose(spectrum[[half, -half]], [0.5, 0.5], atol=1e-12)
    np.testing.assert_allclose(grid.crop_axis(fine, size, 0), alternating, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 99))
def test_axis_adjoints(n, m, seed):
    n, m = sorted((n, m))
    x, y = sample(seed, n, complex_=True), sample(seed + 1, m, complex_=True)
    assert np.isclose(np.vdot(grid.pad_axis(x, m, 0), y), np.vdot(x, grid.pad_axis_adjoint(y, n, 0)))
    assert np.isclose(np.vdot(grid.crop_axis(y, n, 0), x), np.vdot(y, grid.crop_axis_adjoint(x, m, 0)))


def test_a_side_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="trim it at the high end"):
        acquisition.kspace_crop(np.zeros((7, 8)), 2)
    assert grid.trim(np.zeros((3, 7, 8)), 2).shape == (3, 6, 8)
    assert grid.trim(np.arange(7.0)[None], 1)[0, 0] == 0


@pytest.mark.parametrize("scale", [0, -1, 1.5])
def test_odd_scales_are_refused(scale):
    with pytest.raises(ValueError, match="whole number"):
        grid.padded_size(8, scale)
