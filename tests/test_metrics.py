"""Metrics against values known by hand, and against the mistakes people make with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medsr_course.physics import acquisition, grid, interpolation, metrics, noise


@pytest.fixture(scope="module")
def blobs():
    """Two slices of smooth blobs in a dark field, values up to about 1000."""
    from scipy import ndimage

    rng = np.random.default_rng(0)
    stack = np.stack([ndimage.gaussian_filter(rng.random((64, 72)) ** 8, 1.2) for _ in range(2)])
    y, x = np.mgrid[-1:1:64j, -1:1:72j]
    stack = stack * (y**2 + x**2 < 0.6)
    return 1000 * stack / stack.max()


def edge(width, angle=5.0, size=48, over=16):
    """A half-plane of value 1 seen by a square detector of ``width`` pixels (1/over steps)."""
    n = size * over
    y, x = (np.mgrid[:n, :n] + 0.5) / over - size / 2
    plane = (x * np.cos(np.deg2rad(angle)) + y * np.sin(np.deg2rad(angle)) > 0).astype(float)
    return acquisition.block_average(plane, int(over * width))


def test_psnr_known_value_and_conventions(blobs):
    noisy = blobs + 10
    assert np.isclose(metrics.psnr(blobs, noisy), 40)
    assert np.isclose(metrics.psnr(blobs, noisy, data_range=100), 20)
    inside = blobs > 100
    half = np.where(inside, blobs + 10, blobs)
    assert np.isclose(metrics.psnr(blobs, half, mask=inside), 40)
    assert metrics.psnr(blobs, half) > 40
    assert metrics.psnr(blobs, blobs) == np.inf


def test_psnr_is_over_the_stack_not_a_mean_of_slices():
    target = np.stack([np.full((8, 8), 100.0), np.full((8, 8), 10.0)])
    image = target + np.array([1.0, 1.0])[:, None, None]
    assert np.isclose(metrics.psnr(target, image), 40)
    per_slice = np.mean([metrics.psnr(t, x) for t, x in zip(target, image, strict=True)])
    assert np.isclose(per_slice, 30)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.psnr(np.zeros((4, 4)), np.zeros((4, 5)))


def test_ssim_is_scikit_images_with_the_stack_range(blobs):
    from skimage.metrics import structural_similarity

    noisy = blobs + np.random.default_rng(0).normal(0, 30, blobs.shape)
    expected = np.mean([structural_similarity(t, x, data_range=blobs.max()) for t, x in zip(blobs, noisy, strict=True)])
    assert np.isclose(metrics.ssim(blobs, noisy), expected)
    assert metrics.ssim(blobs, blobs) == 1


def test_hfen_sees_edges_not_offsets(blobs):
    assert metrics.hfen(blobs, blobs + 50) < 1e-4
    assert np.isclose(metrics.hfen(blobs, 0.5 * blobs), 0.5)
    assert metrics.hfen(blobs, blobs[:, ::-1]) > 0.5
    # slices do not mix
    assert np.isclose(metrics.hfen(blobs[:1], 0.7 * blobs[:1]), 0.3)


def test_low_band_residual(blobs):
    low = acquisition.kspace_crop(blobs, 2)
    assert metrics.low_band_residual(low, interpolation.zero_fill(low, 2), 2) < 1e-9
    assert metrics.low_band_residual(low, 1.1 * interpolation.zero_fill(low, 2), 2) == pytest.approx(0.1)


def test_head_mask_fills_and_dilates():
    image = np.zeros((1, 60, 60))
    image[0, 20:40, 20:40] = 100
    image[0, 28:32, 28:32] = 0
    mask = metrics.head_mask(image, pixel_size=1.0)
    assert mask[0, 30, 30]
    assert mask[0, 18, 30]
    assert not mask[0, 17, 30]
    assert metrics.head_mask(image[0]).shape == (60, 60)


def test_student_interval():
    values = [1.0, 2.0, 4.0, 4.5]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert metrics.student_interval(values) == pytest.approx((np.mean(values), *expected))
    assert metrics.student_interval([2.0, 2.0]) == (2, 2, 2)
    assert np.isnan(metrics.student_interval([2.0])[1:]).all()
    narrow, wide = (metrics.student_interval(values, level=level) for level in (0.5, 0.99))
    assert wide[1] < narrow[1] < narrow[0] < narrow[2] < wide[2]


@pytest.mark.parametrize("subjects", [3, 4, 20])
def test_the_interval_covers_what_it_says(subjects):
    """Of 4,000 samples 93 to 97 % of the intervals hold the true mean; the percentile bootstrap of four held 79 %."""
    samples = np.random.default_rng(subjects).normal(0.3, 1.0, (4000, subjects))
    held = [low <= 0.3 <= high for _, low, high in map(metrics.student_interval, samples)]
    assert 0.93 <= np.mean(held) <= 0.97


# ---------------------------------------------------------------- noise of the background


def magnitude(signal, sigma, seed=0):
    real, imaginary = sigma * np.random.default_rng(seed).standard_normal((2, *signal.shape))
    return np.hypot(signal + real, imaginary)


@pytest.fixture(scope="module")
def head():
    y, x = np.mgrid[:100, :90]
    return 1000.0 * np.stack([np.hypot(y - 50, x - 45) < radius for radius in (25, 30, 20)])


@pytest.mark.parametrize("percent", [0.5, 1, 3, 6])
def test_background_noise_is_that_of_a_channel(head, percent):
    found = noise.background_noise(magnitude(head, 10 * percent))
    assert found == pytest.approx(10 * percent, rel=0.03)
    assert noise.background_noise(1e-3 * magnitude(head, 10 * percent)) == pytest.approx(1e-3 * found, rel=1e-3)


def test_background_noise_is_measured_in_the_background(head):
    """The signal's own texture and its ringing do not count."""
    textured = head * (1 + 0.2 * np.random.default_rng(1).standard_normal(head.shape))
    assert noise.background_noise(magnitude(textured, 20)) == pytest.approx(20, rel=0.03)
    low = acquisition.kspace_crop(head, 2)
    assert noise.background_noise(magnitude(low, 20)) == pytest.approx(20, rel=0.15)


def test_no_background_no_noise(head):
    noisy = magnitude(head, 30)
    assert noise.background_noise(np.where(head > 0, noisy, 0)) == 0  # set to zero, as after skull-stripping
    assert noise.background_noise(noisy[:, 40:60, 38:52]) == 0  # nothing but head
    assert noise.background_noise(np.zeros((2, 20, 20))) == 0


# ---------------------------------------------------------------- Fourier ring correlation


@settings(max_examples=15, deadline=None)
@given(h=st.integers(8, 40), w=st.integers(8, 40), seed=st.integers(0, 99))
def test_frc_of_an_image_with_itself(h, w, seed):
    x = np.random.default_rng(seed).standard_normal((h, w))
    frequency, correlation = metrics.frc(x, x, pixel_size=2.0)
    np.testing.assert_allclose(correlation, 1, atol=1e-12)
    assert frequency[0] == 0
    assert frequency[-1] <= 0.25 + 1e-12
    np.testing.assert_allclose(metrics.frc(x, -3 * x)[1], -1, atol=1e-12)


def test_frc_of_independent_noise_is_about_zero():
    a, b = np.random.default_rng(0).standard_normal((2, 3, 65, 80))
    assert np.abs(metrics.frc(a, b)[1][5:]).max() < 0.25


def test_frc_of_a_zero_filled_image_falls_at_its_nyquist(blobs):
    image = interpolation.zero_fill(acquisition.kspace_crop(blobs, 2), 2)
    frequency, correlation = metrics.frc(blobs, image)
    inside, outside = frequency < 0.24, frequency > 0.36  # the corner of the square band is at 0.354
    np.testing.assert_allclose(correlation[inside], 1, atol=1e-9)
    assert np.abs(correlation[outside]).max() < 0.05
    assert 0.25 < metrics.crossing(frequency, correlation, 0.5) < 0.36


def test_frc_of_two_noisy_scans_follows_the_snr():
    # Equal spectral densities S and N give FRC = S / (S + N) in every ring.
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((20, 64, 64))
    first, second = (signal + rng.standard_normal(signal.shape) for _ in range(2))
    np.testing.assert_allclose(metrics.frc(first, second)[1][4:], 0.5, atol=0.06)


def test_crossing():
    assert metrics.crossing([0, 1, 2], [1, 1, 0], 0.5) == 1.5
    assert np.isnan(metrics.crossing([0, 1], [1, 0.9], 0.5))
    assert metrics.crossing([3, 4], [0.1, 0.9], 0.5) == 3


# ---------------------------------------------------------------- edge and MTF


@pytest.mark.parametrize("angle", [3.0, 5.0, 12.0])
def test_mtf_of_a_square_detector_is_a_sinc(angle):
    frequency, mtf = metrics.edge_mtf(*metrics.edge_spread(edge(1, angle)))
    band = frequency <= 0.5
    # a slanted edge sees the box at an angle
    slanted = np.sinc(frequency * np.cos(np.deg2rad(angle))) * np.sinc(frequency * np.sin(np.deg2rad(angle)))
    assert np.abs(mtf - np.abs(slanted))[band].max() < 0.03
    # and a Gaussian of the same width is another curve
    gauss = np.exp(-2 * (np.pi * frequency / np.sqrt(8 * np.log(2))) ** 2)
    assert np.abs(gauss - np.abs(slanted))[band].max() > 0.05


def test_mtf_in_cycles_per_mm():
    px, mm = (metrics.edge_mtf(*metrics.edge_spread(edge(1)), pixel_size=p) for p in (1.0, 0.5))
    np.testing.assert_allclose(mm[0], 2 * px[0])
    np.testing.assert_allclose(mm[1], px[1])


def test_edge_in_any_direction_and_polarity():
    reference = metrics.edge_mtf(*metrics.edge_spread(edge(1)))[1]
    for turned in (edge(1).T, edge(1)[:, ::-1], 5 - 3 * edge(1), edge(1)[::-1].T):
        np.testing.assert_allclose(metrics.edge_mtf(*metrics.edge_spread(turned))[1], reference, atol=1e-6)


def test_edge_position_and_height():
    position, spread = metrics.edge_spread(100 + 50 * edge(1))
    assert np.isclose(spread[position < -3], 100).all()
    assert np.isclose(spread[position > 3], 150).all()
    assert np.isclose(np.interp(0, position, spread), 125, atol=1)


def test_mtf_survives_noise():
    noisy = edge(1) + np.random.default_rng(0).normal(0, 0.02, (48, 48))
    frequency, mtf = metrics.edge_mtf(*metrics.edge_spread(noisy))
    assert np.isclose(metrics.crossing(frequency, mtf, 0.5), 0.603, atol=0.08)


def test_no_edge_is_refused():
    with pytest.raises(ValueError, match="edge"):
        metrics.edge_spread(np.ones((20, 20)))


# ---------------------------------------------------------------- contrast


def test_cnr():
    rng = np.random.default_rng(0)
    image = np.concatenate([rng.normal(10, 2, 20_000), rng.normal(20, 2, 20_000)])
    a = np.arange(40_000) < 20_000
    assert np.isclose(metrics.cnr(image, a, ~a), 5, rtol=0.03)
    assert np.isclose(metrics.cnr(image, a, ~a, noise=4), 2.5, rtol=0.03)
    # a linear window changes nothing
    assert np.isclose(metrics.cnr(3 * image - 7, a, ~a), metrics.cnr(image, a, ~a))
    with pytest.raises(ValueError, match="empty"):
        metrics.cnr(image, a, a & ~a)


def test_noise_that_was_there_before_the_crop_is_part_of_the_picture():
    """Cropped after the magnitude, a background is no longer Rayleigh's: nothing is to be taken away then."""
    rng = np.random.default_rng(3)
    head = np.zeros((2, 128, 128))
    head[:, 40:88, 40:88] = 100
    noisy = np.abs(head + 4 * (rng.standard_normal(head.shape) + 1j * rng.standard_normal(head.shape)))
    assert noise.background_noise(noisy) == pytest.approx(4, rel=0.05)
    assert noise.background_noise(acquisition.kspace_crop(noisy, 2)) == 0


# ---------------------------------------------------------------- what cannot be measured

STACK = np.abs(np.random.default_rng(5).normal(size=(2, 12, 12))) + 1
ALONE = {
    "head_mask": metrics.head_mask,
    "spectrum": metrics.spectrum,
    "edge_spread": metrics.edge_spread,
    "noise_power_spectrum": metrics.noise_power_spectrum,
    "student_interval": metrics.student_interval,
    "background_noise": noise.background_noise,
    "intensity": grid.intensity,
}
PAIRED = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "hfen": metrics.hfen,
    "frc": metrics.frc,
    "spectrum_error": lambda target, image: metrics.spectrum_error(target, image, 2),
    "crossing": lambda target, image: metrics.crossing(target, image, 0.5),
    "edge_mtf": metrics.edge_mtf,
    "low_band_residual": lambda target, image: metrics.low_band_residual(target, image, 1),
}
BAD = {
    "NaN": np.where(np.arange(12) == 3, np.nan, STACK),
    "infinite": np.where(np.arange(12) == 3, np.inf, STACK),
    "empty": np.zeros((0, 12, 12)),
    "complex": STACK * 1j,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", [*ALONE, *PAIRED])
def test_what_is_no_image_is_refused_in_words(name, bad):
    said = "NaN or infinite|is empty|is complex|nothing to measure"
    if name in ALONE:
        with pytest.raises(ValueError, match=said):
            ALONE[name](BAD[bad])
    else:
        for given in ((BAD[bad], STACK), (STACK, BAD[bad]), (BAD[bad], BAD[bad])):
            with pytest.raises(ValueError, match=said):
                PAIRED[name](*given)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["psnr", "ssim"])
@pytest.mark.parametrize("target", [STACK - 1000, 0 * STACK, np.where(STACK > 2, 40.0, -1000.0)])
def test_without_a_positive_range_data_range_is_asked_for(name, target):
    with pytest.raises(ValueError, match="pass data_range"):
        PAIRED[name](target, target + 1)
    assert np.isfinite(getattr(metrics, name)(target, target + 1, data_range=400))
    for wrong in (0, -1, np.nan):
        with pytest.raises(ValueError, match="above 0"):
            getattr(metrics, name)(target, target + 1, data_range=wrong)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1, 5, 40), (1, 6, 6), (1, 20, 20, 1), (20,)])
def test_ssim_refuses_in_its_own_words(shape):
    with pytest.raises(ValueError, match="7 pixels|must be a stack") as caught:
        metrics.ssim(np.ones(shape), np.ones(shape))
    assert "win_size" not in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_whole_numbers_and_truth_values_are_measured_as_numbers():
    target, image = (STACK > 2), (STACK > 1.5)
    for kind in (np.uint8, np.int16, np.float32, bool):
        a, b = target.astype(kind), image.astype(kind)
        assert metrics.psnr(a, b) == metrics.psnr(target.astype(float), image.astype(float))
        assert metrics.ssim(a, b) == pytest.approx(metrics.ssim(target.astype(float), image.astype(float)))
        assert metrics.head_mask(a).shape == a.shape
        assert grid.intensity(a) == (0.0, 1.0)
    picked = metrics.psnr(STACK, STACK + target, mask=image.astype(np.uint8))
    assert picked == metrics.psnr(STACK, STACK + target, mask=image)  # 0 and 1 are no indices


@pytest.mark.filterwarnings("error")
def test_constants_and_empty_regions():
    flat = np.full((2, 12, 12), 3.0)
    assert metrics.head_mask(flat).all()
    assert metrics.psnr(flat, flat) == np.inf
    assert metrics.ssim(flat, flat) == 1
    with pytest.raises(ValueError, match="HFEN"):
        metrics.hfen(flat, STACK)
    with pytest.raises(ValueError, match="mask is empty"):
        metrics.psnr(STACK, STACK + 1, mask=np.zeros(STACK.shape, bool))
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.psnr(STACK, STACK + 1, mask=np.ones((12, 24), bool))
    with pytest.raises(ValueError, match="nothing to compare"):
        metrics.low_band_residual(np.zeros((1, 4, 4)), np.ones((1, 8, 8)), 2)
    with pytest.raises(ValueError, match="beyond the band"):
        metrics.spectrum_error(flat, STACK, 2)
    with pytest.raises(ValueError, match="beyond the band"):
        metrics.spectrum_error(STACK, STACK, 1)
    with pytest.raises(ValueError, match="no edge"):
        metrics.edge_mtf(np.arange(9.0), np.ones(9))
    with pytest.raises(ValueError, match="pixel_size"):
        metrics.head_mask(STACK, 0)
    assert metrics.cnr(flat, flat > 0, flat > 0) == 0
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.cnr(flat, flat > 0, flat[0] > 0)
