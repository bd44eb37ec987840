"""Forward models by property, noise by its known statistics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medsr_course.physics import acquisition, grid, interpolation, noise

OPERATORS = {
    "kspace_crop": (acquisition.kspace_crop, acquisition.kspace_crop_adjoint),
    "block_average": (acquisition.block_average, acquisition.block_average_adjoint),
    "blur_decimate": (acquisition.blur_decimate, acquisition.blur_decimate_adjoint),
    "bicubic_decimate": (acquisition.bicubic_decimate, acquisition.bicubic_decimate_adjoint),
}


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from([*OPERATORS, "zero_fill"]),
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    scale=st.sampled_from([2, 3, 4]),
    seed=st.integers(0, 99),
)
def test_adjoints(name, h, w, scale, seed):
    rng = np.random.default_rng(seed)
    small, large = rng.standard_normal((2, h, w)), rng.standard_normal((2, scale * h, scale * w))
    if name == "zero_fill":
        up, down = interpolation.zero_fill, interpolation.zero_fill_adjoint
        left, right = np.vdot(up(small, scale), large), np.vdot(small, down(large, scale))
    else:
        down, up = OPERATORS[name]
        left, right = np.vdot(down(large, scale), small), np.vdot(large, up(small, scale))
    assert abs(left - right) <= 1e-5 * max(abs(left), 1)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_flat_images_stay_flat(name, scale):
    out = OPERATORS[name][0](np.full((5 * scale, 6 * scale), 7.0), scale)
    assert out.shape == (5, 6)
    np.testing.assert_allclose(out, 7, rtol=1e-6)


@pytest.mark.parametrize("name", OPERATORS)
def test_sides_must_divide(name):
    with pytest.raises(ValueError, match="not divisible"):
        OPERATORS[name][0](np.zeros((9, 10)), 4)


@pytest.mark.parametrize(("name", "offset"), [("kspace_crop", 0), ("blur_decimate", 0), ("block_average", 1.5)])
def test_where_the_samples_lie(name, offset):
    # A wide Gaussian blob keeps its shape under every model; its centre tells the grid.
    y = np.arange(96)
    blob = np.exp(-((y[:, None] - 40) ** 2 + (y - 52) ** 2) / (2 * 9.0**2))
    low = OPERATORS[name][0](blob, 4)
    index = np.arange(24)
    centre = (low.sum(axis=1) @ index * 4 / low.sum(), low.sum(axis=0) @ index * 4 / low.sum())
    np.testing.assert_allclose(centre, (40 - offset, 52 - offset), atol=0.01)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_samples_lie_at_block_centres(scale):
    ramp = np.tile(np.arange(12.0 * scale), (12 * scale, 1))
    low = acquisition.bicubic_decimate(ramp, scale)
    np.testing.assert_allclose(low[6, 3:-3], np.arange(3, 9) * scale + (scale - 1) / 2, atol=1e-9)


def test_bicubic_agrees_with_pillow():
    pillow = pytest.importorskip("PIL.Image")
    x = np.random.default_rng(0).random((24, 36)).astype(np.float32)
    other = np.asarray(pillow.fromarray(x).resize((12, 8), pillow.Resampling.BICUBIC))
    own = acquisition.bicubic_decimate(x, 3)
    # Pillow renormalises at the border instead of mirroring; inside, the two are the same filter.
    np.testing.assert_allclose(own[2:-2, 2:-2], other[2:-2, 2:-2], atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(h=st.integers(1, 12), w=st.integers(1, 12), seed=st.integers(0, 99))
def test_kspace_is_unitary(h, w, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, h, w)) + 1j * rng.standard_normal((2, h, w))
    k = acquisition.to_kspace(x)
    assert np.isclose(np.linalg.norm(k), np.linalg.norm(x))
    np.testing.assert_allclose(acquisition.from_kspace(k), x, atol=1e-12)
    y = rng.standard_normal((2, h, w)) + 0j
    assert np.isclose(np.vdot(k, y), np.vdot(x, acquisition.from_kspace(y)))


@pytest.mark.parametrize("shape", [(8, 8), (7, 9)])
def test_kspace_is_centred(shape):
    k = acquisition.to_kspace(np.ones(shape))
    assert np.unravel_index(np.abs(k).argmax(), shape) == (shape[0] // 2, shape[1] // 2)


def test_cropping_keeps_the_energy_below_nyquist():
    low = np.random.default_rng(0).standard_normal((9, 11))
    fine = interpolation.zero_fill(low, 2)
    assert np.isclose((fine**2).mean(), (low**2).mean())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_cropping_divides_noise_by_the_scale(scale):
    # Odd LR sizes: even ones sum two coefficients at −N/2, which adds a little variance there.
    noise = np.random.default_rng(0).standard_normal((20, 39 * scale, 41 * scale))
    low = acquisition.kspace_crop(noise, scale)
    assert np.isclose(low.std(), 1 / scale, rtol=0.02)
    unitary = low * scale  # a wrong normalisation would leave σ alone
    assert not np.isclose(unitary.std(), 1 / scale, rtol=0.02)


# ---------------------------------------------------------------- noise


def test_percent_noise_is_percent_of_each_slice():
    stack = np.stack([np.full((64, 64), 100.0), np.full((64, 64), 1000.0)])
    np.testing.assert_allclose(noise.noise_sigma(stack, 3).ravel(), [3, 30])
    noisy = noise.add_complex_noise(stack, 3, np.random.default_rng(0)) - stack
    for part in (noisy.real, noisy.imag):
        np.testing.assert_allclose(part.std(axis=(1, 2)), [3, 30], rtol=0.05)


@pytest.mark.parametrize("ratio", [0, 0.5, 1, 3, 30])
def test_rician_moments(ratio):
    sigma, n = 2.0, 400_000
    rng = np.random.default_rng(int(10 * ratio))
    m = np.abs(ratio * sigma + sigma * (rng.standard_normal(n) + 1j * rng.standard_normal(n)))
    assert np.isclose(m.mean(), noise.rician_mean(ratio * sigma, sigma), rtol=4e-3)
    assert np.isclose(m.std(), noise.rician_std(ratio * sigma, sigma), rtol=6e-3)
    assert np.isclose((m**2).mean(), (ratio * sigma) ** 2 + 2 * sigma**2, rtol=6e-3)


def test_rician_limits():
    assert np.isclose(noise.rician_mean(0, 3), 3 * np.sqrt(np.pi / 2))
    assert np.isclose(noise.rician_std(0, 3), 3 * np.sqrt(2 - np.pi / 2))
    assert np.isclose(noise.rician_mean(300, 3), 300, rtol=1e-4)
    assert np.isclose(noise.rician_std(300, 3), 3, rtol=1e-3)


@pytest.mark.parametrize("amplitude", [0, 1.5, 40])
def test_rician_density_is_scipys(amplitude):
    m = np.linspace(-1, 50, 400)
    expected = stats.rice.pdf(m, amplitude / 2, scale=2)
    np.testing.assert_allclose(noise.rician_pdf(m, amplitude, 2), expected, atol=1e-12)


@pytest.mark.parametrize("counts", [2, 50])
def test_poisson_variance_is_the_mean(counts):
    image = np.full((1, 300, 300), 80.0)
    noisy = noise.add_poisson_noise(image, counts, np.random.default_rng(0))
    assert np.isclose(noisy.mean(), 80, rtol=0.01)
    in_counts = noisy * counts / 80
    assert np.isclose(in_counts.var(), in_counts.mean(), rtol=0.02)
    np.testing.assert_allclose(in_counts, np.rint(in_counts), atol=1e-9)


def test_poisson_refuses_negative_and_survives_empty():
    with pytest.raises(ValueError, match="negative"):
        noise.add_poisson_noise(np.array([[[-1.0, 1.0]]]), 10, np.random.default_rng(0))
    assert noise.add_poisson_noise(np.zeros((1, 4, 4)), 10, np.random.default_rng(0)).max() == 0


def test_default_blur_is_as_wide_as_the_scale():
    point = np.zeros((64, 64))
    point[32, 32] = 1
    wide = acquisition.blur_decimate(point, 1, fwhm=4)
    assert np.isclose(wide[32, 34] / wide[32, 32], 0.5, rtol=1e-6)
    np.testing.assert_allclose(acquisition.blur_decimate(point, 4), acquisition.blur_decimate(point, 4, fwhm=4), atol=0)
    assert grid.cropped_size(64, 4) == acquisition.blur_decimate(point, 4).shape[0]
