"""Interpolation, zero-filling and wavelet padding: what they promise, by property.

Each promise has an implementation that is wrong in one point and must break it.
"""

import numpy as np
import pytest
import pywt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medsr_course.physics import acquisition, grid, interpolation

METHODS = {
    "nearest": interpolation.nearest,
    "linear": interpolation.linear,
    "cubic": interpolation.cubic,
    "spline": interpolation.spline,
    "lanczos": interpolation.lanczos,
    "zip": interpolation.zero_fill,
    "hamming": lambda x, s: interpolation.zero_fill(x, s, "hamming"),
    "tukey": lambda x, s: interpolation.zero_fill(x, s, "tukey", 0.4),
    "fermi": lambda x, s: interpolation.zero_fill(x, s, "fermi"),
    "wavelet": interpolation.wavelet_zero_pad,
    "haar": lambda x, s: interpolation.wavelet_zero_pad(x, s, "haar"),
    "db2": lambda x, s: interpolation.wavelet_zero_pad(x, s, "db2"),
}
WAVELETS = ("wavelet", "haar", "db2")
CASES = [(name, scale) for name in METHODS for scale in (2, 3, 4) if name not in WAVELETS or scale != 3]
INTERPOLATING = [(n, s) for n, s in CASES if n in ("nearest", "linear", "cubic", "spline", "lanczos", "zip")]

sizes = st.tuples(st.integers(2, 13), st.integers(2, 13))
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=15, deadline=None)


def signed(seed, shape):
    return np.random.default_rng(seed).normal(-0.3, 1, shape)


def blob(shape=(40, 37), centre=(18.3, 17.6), width=3.5):
    y, x = np.indices(shape)
    return np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * width**2))


def displacement(method, scale, pixel=1.0):
    """How far a blob moves, in mm, where coarse pixels measure ``pixel``."""
    before = np.array(ndimage.center_of_mass(blob()))
    after = np.array(ndimage.center_of_mass(np.asarray(method(blob(), scale)))) / scale
    return np.abs(after - before).max() * pixel


def centre_aligned(x, scale):
    return ndimage.zoom(x, scale, order=1, grid_mode=True, mode="grid-constant")


# -- what holds for all of them ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "scale"), CASES)
@given(size=sizes, seed=seeds)
@few
def test_linear(name, scale, size, seed):
    x, y = signed(seed, (2, *size))
    method = METHODS[name]
    assert np.allclose(method(2 * x - 3 * y, scale), 2 * method(x, scale) - 3 * method(y, scale), atol=1e-9)


def test_a_magnitude_would_not_be_linear():
    x, y = signed(0, (2, 8, 8))

    def wrong(image, scale):
        return np.abs(interpolation.zero_fill(image, scale))

    assert not np.allclose(wrong(2 * x - 3 * y, 2), 2 * wrong(x, 2) - 3 * wrong(y, 2), atol=1e-9)


@pytest.mark.parametrize(("name", "scale"), CASES)
@given(size=sizes, level=st.floats(-1000, 1000))
@few
def test_a_constant_stays(name, scale, size, level):
    out = METHODS[name](np.full(size, level), scale)
    assert out.shape == (size[0] * scale, size[1] * scale)
    assert np.allclose(out, level, atol=1e-9 * (1 + abs(level)))


def test_lanczos_weights_left_as_they_are_would_change_a_constant():
    at = np.arange(2)[:, None] / 2
    raw = interpolation.lanczos_kernel(at - np.arange(-2, 4)).sum(axis=1)
    assert np.abs(raw - 1).max() > 1e-3


@pytest.mark.parametrize(("name", "scale"), CASES)
@given(size=sizes, seed=seeds)
@few
def test_leading_axes_and_precision(name, scale, size, seed):
    stack = signed(seed, (2, 3, *size)).astype(np.float32)
    out = METHODS[name](stack, scale)
    assert out.dtype == np.float32
    assert out.shape == (2, 3, size[0] * scale, size[1] * scale)
    assert np.allclose(out[1, 2], METHODS[name](stack[1, 2], scale), atol=1e-5)


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_complex_is_its_two_parts(name, scale):
    x, y = signed(1, (2, 7, 8))
    whole = METHODS[name](x + 1j * y, scale)
    assert np.allclose(whole, METHODS[name](x, scale) + 1j * METHODS[name](y, scale), atol=1e-9)


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_whole_numbers_are_welcome(name, scale):
    x = np.arange(48, dtype=np.int16).reshape(6, 8) - 20
    assert np.allclose(METHODS[name](x, scale), METHODS[name](x.astype(float), scale), atol=1e-4)


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_a_blob_stays_in_place(name, scale):
    assert displacement(METHODS[name], scale) < 0.05


@pytest.mark.parametrize(
    ("wrong", "scale"),
    [
        (centre_aligned, 2),
        (centre_aligned, 3),
        (lambda x, s: np.repeat(np.repeat(x, s, -2), s, -1), 2),
        (lambda x, s: interpolation.nearest(x, s, ties="low"), 4),
        (lambda x, s: pywt.idwt2((2 * x, (None,) * 3), "haar", mode="periodization"), 2),
    ],
    ids=["centre-aligned ×2", "centre-aligned ×3", "repeated", "ties to one side", "plain Haar"],
)
def test_wrong_grids_move_it(wrong, scale):
    assert displacement(wrong, scale) > 0.1


@pytest.mark.parametrize(("name", "scale"), INTERPOLATING)
@given(size=sizes, seed=seeds)
@few
def test_measured_samples_come_back(name, scale, size, seed):
    x = signed(seed, size)
    assert np.allclose(METHODS[name](x, scale)[::scale, ::scale], x, atol=1e-9)


def test_smoothers_do_not_return_the_samples():
    x = signed(0, (9, 9))
    for wrong in (METHODS["hamming"], lambda x, s: interpolation.interpolate(x, s, interpolation.spline_kernel, 2)):
        assert not np.allclose(wrong(x, 2)[::2, ::2], x, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("scale", [0, 1.5, -2])
def test_a_scale_is_a_whole_number(name, scale):
    with pytest.raises(ValueError, match="whole number"):
        METHODS[name](np.ones((4, 4)), scale)


# -- kernels ----------------------------------------------------------------------------------------


@given(size=st.integers(2, 20), scale=st.integers(2, 4), seed=seeds)
@few
def test_linear_is_numpys(size, scale, seed):
    x = signed(seed, size)
    ours = interpolation.linear(x[None], scale, border="edge")[0]
    assert np.allclose(ours, np.interp(grid.positions(size, scale), np.arange(size), x))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_cubic_reproduces_parabolas(scale):
    x = np.arange(12.0)
    at = grid.positions(12, scale)
    inside = slice(2 * scale, -3 * scale)

    def made(a):
        kernel = lambda t: interpolation.keys(t, a)  # noqa: E731
        return interpolation.interpolate((x**2 - 3 * x)[None], scale, kernel, 2)[0]

    assert np.allclose(made(-0.5)[inside], (at**2 - 3 * at)[inside])
    assert not np.allclose(made(-0.75)[inside], (at**2 - 3 * at)[inside], atol=1e-2)  # OpenCV's


@pytest.mark.parametrize("border", ["mirror", "wrap"])
@pytest.mark.parametrize("size", [5, 8])
def test_spline_is_scipys(border, size):
    x = signed(2, (size, size + 2))
    at = np.meshgrid(grid.positions(size, 2), grid.positions(size + 2, 2), indexing="ij")
    theirs = ndimage.map_coordinates(x, at, order=3, mode={"mirror": "mirror", "wrap": "grid-wrap"}[border])
    assert np.allclose(interpolation.spline(x, 2, border), theirs)


def test_nearest_for_labels_makes_no_new_value():
    labels = np.random.default_rng(0).integers(0, 5, (6, 7)) * 10
    for scale in (2, 3, 4):
        out = interpolation.nearest(labels, scale, ties="low")
        assert out.dtype == labels.dtype
        assert out.shape == (6 * scale, 7 * scale)
        assert np.array_equal(out[::scale, ::scale], labels)
        assert set(np.unique(out)) <= set(np.unique(labels))
    assert not set(np.unique(interpolation.nearest(labels, 2))) <= set(np.unique(labels))  # shared ties do


def test_nearest_at_two_is_linear():
    x = signed(3, (5, 6))
    assert np.allclose(interpolation.nearest(x, 2), interpolation.linear(x, 2))
    assert not np.allclose(interpolation.nearest(x, 3), interpolation.linear(x, 3))


@pytest.mark.parametrize("name", ["nearest", "linear", "cubic", "spline", "lanczos"])
def test_borders(name):
    """Wrapped, a method commutes with rolling; mirrored and repeated borders do not, and each is itself."""
    method = getattr(interpolation, name)
    x = signed(4, (9, 10))
    rolled = np.roll(x, (2, 3), (0, 1))
    assert np.allclose(method(rolled, 3, border="wrap"), np.roll(method(x, 3, border="wrap"), (6, 9), (0, 1)))
    assert not np.allclose(method(rolled, 3), np.roll(method(x, 3), (6, 9), (0, 1)))
    ramp = np.tile(np.arange(20.0), (20, 1))
    last = [method(ramp, 3, border=border)[30, -1] for border in ("mirror", "edge", "wrap")]
    assert last[0] <= last[1] + 0.2
    assert last[2] < last[0]
    with pytest.raises(ValueError, match="mirror, edge, wrap"):
        method(x, 2, border="reflect101")


def test_edge_border_repeats_the_last_value():
    x = signed(5, (6, 6))
    room = [(12, 12)] * 2
    for name in ("linear", "cubic", "spline", "lanczos"):
        method = getattr(interpolation, name)
        padded = method(np.pad(x, room, mode="edge"), 2)[24:-24, 24:-24]
        assert np.allclose(method(x, 2, border="edge"), padded, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1)])
@pytest.mark.parametrize("border", ["mirror", "edge", "wrap"])
def test_a_single_row_or_column(shape, border):
    for name in ("nearest", "linear", "cubic", "spline", "lanczos"):
        out = getattr(interpolation, name)(np.full(shape, 2.0), 3, border=border)
        assert out.shape == (3 * shape[0], 3 * shape[1])
        assert np.allclose(out, 2)


def test_ties_are_checked():
    with pytest.raises(ValueError, match="ties"):
        interpolation.nearest(np.ones((3, 3)), 2, ties="up")


# -- Fourier ----------------------------------------------------------------------------------------


@given(size=sizes, scale=st.integers(2, 4), seed=seeds)
@few
def test_cropping_undoes_zero_filling(size, scale, seed):
    x = signed(seed, size)
    assert np.allclose(acquisition.kspace_crop(interpolation.zero_fill(x, scale), scale), x, atol=1e-9)


def test_cropping_does_not_undo_a_window_or_cubic():
    x = signed(0, (8, 9))
    for wrong in (METHODS["tukey"], interpolation.cubic):
        assert not np.allclose(acquisition.kspace_crop(wrong(x, 2), 2), x, atol=1e-3)


@pytest.mark.parametrize("size", [(8, 9), (10, 10)])
def test_zero_filling_adds_no_frequency(size):
    x = signed(1, size)

    def beyond(y):
        rest = y - interpolation.zero_fill(acquisition.kspace_crop(y, 3), 3)
        return (rest**2).sum() / (y**2).sum()

    assert beyond(interpolation.zero_fill(x, 3)) < 1e-20
    assert beyond(interpolation.lanczos(x, 3)) > 1e-3


@pytest.mark.parametrize("name", interpolation.WINDOWS)
def test_window_response(name):
    f = np.linspace(0, 1, 101)
    for strength in (0.1, 0.5, 1.0):
        weight = interpolation.window_response(name, f, strength)
        assert np.isclose(weight[0], 1)
        assert np.all(np.diff(weight) <= 1e-12)
        assert np.all(weight >= -1e-12)
        assert np.allclose(weight, interpolation.window_response(name, -f, strength))
    assert np.array_equal(interpolation.window_response(name, f, 0), np.ones(101))
    ends = [interpolation.window_response(name, 1.0, s) for s in np.linspace(0, 1, 6)]
    assert ends[-1] < 0.1


@pytest.mark.parametrize("name", interpolation.WINDOWS)
@pytest.mark.parametrize("size", [(8, 9), (7, 12)])
def test_window_keeps_the_mean_and_is_its_response(name, size):
    x = signed(2, size)
    out = interpolation.apply_window(x, name, 0.7)
    assert np.isclose(out.mean(), x.mean())
    waves = np.cos(2 * np.pi * 2 * np.arange(size[1]) / size[1])[None] * np.ones((size[0], 1))
    gain = interpolation.window_response(name, 2 * 2 / size[1], 0.7)
    assert np.allclose(interpolation.apply_window(waves, name, 0.7), gain * waves)
    assert np.array_equal(interpolation.apply_window(x, name, 0).round(12), x.round(12))
    shifted = np.fft.fftshift(interpolation.window_response(name, 2 * np.fft.fftfreq(size[1]), 0.7))
    wrong = np.fft.ifft(np.fft.fft(x, axis=-1) * shifted, axis=-1).real  # the window's middle at the edge
    assert not np.isclose(wrong.mean(), x.mean(), atol=1e-3)


def overshoot(window, samples=64):
    step = np.repeat([0.0, 1.0, 0.0], [10 * samples, 20 * samples, 10 * samples])[None]
    low = grid.crop_axis(step, samples, -1)
    if window:
        low = interpolation.apply_window(low, window)
    return grid.pad_axis(low, step.size, -1).max() - 1


def test_gibbs_overshoot_does_not_depend_on_resolution_and_a_window_ends_it():
    assert overshoot(None, 64) == pytest.approx(0.0895, abs=0.003)
    assert overshoot(None, 128) == pytest.approx(0.0895, abs=0.003)
    assert overshoot("hamming") < 0.01
    assert overshoot("tukey") < 0.01
    assert overshoot("fermi") < 0.07


def test_windows_refuse_nonsense():
    with pytest.raises(ValueError, match="hamming, tukey, fermi"):
        interpolation.zero_fill(np.ones((4, 4)), 2, window="hann")
    with pytest.raises(ValueError, match="between 0 and 1"):
        interpolation.zero_fill(np.ones((4, 4)), 2, window="tukey", strength=1.2)


# -- wavelets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("wavelet", ["bior4.4", "bior2.2"])
def test_symmetric_wavelets_are_pywt_untouched(wavelet):
    x = signed(3, (12, 15))
    plain = pywt.idwt2((2 * x, (None,) * 3), wavelet, mode="periodization")
    assert np.allclose(interpolation.wavelet_zero_pad(x, 2, wavelet), plain)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4", "sym4", "coif1", "bior4.4"])
def test_wavelet_offset_is_what_a_blob_shows(wavelet):
    plain = pywt.idwt2((2 * blob(), (None,) * 3), wavelet, mode="periodization")
    moved = np.array(ndimage.center_of_mass(plain)) - 2 * np.array(ndimage.center_of_mass(blob()))
    assert np.allclose(moved, interpolation.wavelet_offset(wavelet), atol=0.02)
    assert displacement(lambda x, s: interpolation.wavelet_zero_pad(x, s, wavelet), 4) < 0.05


@pytest.mark.parametrize("scale", [3, 6])
def test_wavelets_only_double(scale):
    with pytest.raises(ValueError, match="2, 4, 8"):
        interpolation.wavelet_zero_pad(np.ones((4, 4)), scale)


@given(size=st.integers(3, 17), samples=st.floats(-3, 3), seed=seeds)
@few
def test_shift_and_back(size, samples, seed):
    x = signed(seed, (4, size))
    moved = interpolation.shift(x, samples, -1)
    assert np.isrealobj(moved)
    assert np.isclose(moved.mean(), x.mean())
    if size % 2:  # an even side has a coefficient at −N/2 that a fractional shift weakens
        assert np.allclose(interpolation.shift(moved, -samples, -1), x)
    assert np.allclose(interpolation.shift(x, round(samples), -1), np.roll(x, round(samples), -1))
