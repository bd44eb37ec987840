"""What a file holds: statistics of every kind of noise against closed form, and one wrong implementation of each."""

import numpy as np
import pytest
from scipy import special

from medsr_course.physics import acquisition, coils, grid, interpolation, metrics, noise
from medsr_course.scans import datasets
from medsr_course.tasks import denoising, superresolution

SIGMA = 2.0


@pytest.fixture(scope="module")
def masked():
    """A cohort subject whose background was set to zero, as in most shared files."""
    return datasets.load("cohort")["sub-0001"].contrasts["T1w"]


def flat(amplitude, kind, seed=0, n=40, side=61, **more):
    """Magnitudes ``(n, side, side)`` of a flat object."""
    image = np.full((n, side, side), amplitude * np.exp(0.7j))
    return coils.magnitude(image, SIGMA, np.random.default_rng(seed), kind, **more)


def air_mean(n):
    """σ√2 Γ(N + ½)/Γ(N) for σ = 1."""
    return np.sqrt(2) * special.gamma(n + 0.5) / special.gamma(n)


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("amplitude", [0, 3.0, 40.0])
@pytest.mark.parametrize(("kind", "n"), [("rician", 1), ("chi", 8), ("interpolated", 1)])
def test_mean_and_second_moment_are_the_formulas(kind, n, amplitude):
    found = flat(amplitude, kind)
    assert found.min() >= 0
    second = amplitude**2 + 2 * n * SIGMA**2
    assert np.isclose((found**2).mean(), second, rtol=0.02)
    assert np.isclose(found.mean(), noise.chi_mean(amplitude, SIGMA, n), rtol=0.012)
    if kind == "rician":
        assert np.isclose(found.mean(), noise.rician_mean(amplitude, SIGMA), rtol=0.01)
    # wrong: noise in one channel only; the coils' noise not squared and summed
    rng = np.random.default_rng(1)
    wrong = np.abs(amplitude * np.exp(0.7j) + SIGMA * rng.standard_normal(found.shape))
    assert amplitude > 30 or not np.isclose((wrong**2).mean(), second, rtol=0.03)
    if kind == "chi":
        assert amplitude > 30 or not np.isclose((flat(amplitude, "rician") ** 2).mean(), second, rtol=0.012)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 32])
def test_air_of_n_coils(n):
    found = flat(0, "chi", coils=n)
    assert np.isclose(found.mean(), SIGMA * air_mean(n), rtol=0.005)
    assert np.isclose(found.std(), noise.chi_std(0, SIGMA, n), rtol=0.02)
    shrunk = found / np.sqrt(n)  # a mean over coils instead of their sum
    assert n == 1 or not np.isclose(shrunk.mean(), SIGMA * air_mean(n), rtol=0.005)


def test_chi_with_one_coil_is_rician_and_bright_is_gaussian():
    amplitude = np.array([0, 0.5, 2, 10, 60, 90, 500.0])
    np.testing.assert_allclose(noise.chi_mean(amplitude, 2.0, 1), noise.rician_mean(amplitude, 2.0), rtol=1e-5)
    np.testing.assert_allclose(noise.chi_std(500.0, 2.0, 8), 2, rtol=0.02)
    assert (np.diff(noise.chi_mean(np.linspace(0, 200, 999), 2.0, 8)) > 0).all()  # no jump between the two formulas


def test_without_floor_takes_the_mean_square_back_to_the_signal():
    for n, kind in ((1, "rician"), (8, "chi")):
        power = np.sqrt((flat(6.0, kind) ** 2).mean())
        assert np.isclose(noise.without_floor(power, SIGMA, n), 6, rtol=0.02)
    assert not np.isclose(noise.without_floor(power, SIGMA, 1), 6, rtol=0.02)  # σ² counted for one coil of eight


def kernel(distance, size, native):
    """Correlation of zero-filled white noise: the Dirichlet kernel, a sinc of the native spacing (native odd)."""
    x = np.pi * np.asarray(distance, float) / size
    return np.where(x == 0, 1, np.sin(native * x) / (native * np.sin(np.where(x == 0, 1, x))))


@pytest.mark.parametrize("ratio", [1.25, 1.5, 2])
def test_interpolated_noise_is_correlated_as_the_dirichlet_kernel(ratio):
    # Far above the noise the magnitude keeps the channel along the signal: its error is the complex noise's.
    side = {1.25: 61, 1.5: 61, 2: 98}[ratio]
    native = coils.native_shape((side, side), ratio)[0]
    assert native % 2
    error = flat(4000.0, "interpolated", n=160, side=side, native=ratio) - 4000
    assert np.isclose(error.std(), SIGMA, rtol=0.02)  # the power per pixel stays σ²
    for axis in (-1, -2):
        found = [np.mean(error * np.roll(error, d, axis)) / np.mean(error**2) for d in range(6)]
        np.testing.assert_allclose(found, kernel(range(6), side, native), atol=0.02)
    # wrong: linear interpolation of the native noise, and noise drawn on the fine grid
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((100, native))
    linear = np.stack([np.interp(np.arange(side) * native / side, np.arange(native), row) for row in coarse])
    fine = rng.standard_normal((100, side))
    for wrong in (linear, fine):
        found = [np.mean(wrong * np.roll(wrong, d, -1)) / np.mean(wrong**2) for d in range(6)]
        assert np.abs(found - kernel(range(6), side, native)).max() > 0.05


def test_complex_data_are_zero_filled_before_the_magnitude():
    # Wrong: zero-filling magnitudes; then air has Rayleigh's mean but neither its spread nor only positive values.
    right = flat(0, "interpolated", side=61)
    assert np.isclose(right.std(), noise.rician_std(0, SIGMA), rtol=0.02)
    small = np.abs(SIGMA * coils.complex_noise((40, 41, 41), np.random.default_rng(0)))
    wrong = coils.from_native(small, (61, 61))
    assert wrong.min() < 0 <= right.min()


# ---------------------------------------------------------------- phase and sensitivities


def test_phase_is_the_polynomial():
    c = np.random.default_rng(5).standard_normal(6)
    phase = coils.smooth_phase((5, 7), np.random.default_rng(5))
    assert np.isclose(phase[2, 3], c[0])
    assert np.isclose(phase[2, 6], c[0] + 1.5 * c[1] + c[4])  # u = 1
    assert np.isclose(phase[4, 3], c[0] + 1.5 * c[2] + c[5])  # v = 1
    assert np.isclose(phase[0, 6] - phase[4, 6] - phase[0, 0] + phase[4, 0], -4 * c[3])  # the mixed term
    assert not np.isclose(phase[2, 6], c[0] + c[1] + c[4])  # without the factor 1.5


def test_sensitivities_are_gaussians_on_the_unit_circle():
    s = coils.sensitivities((41, 41))
    np.testing.assert_allclose((s**2).sum(axis=0), 1)
    assert np.ptp(s[:, 20, 20]) < 1e-12  # the middle is as far from every coil
    # One coil at (1, 0), its opposite at (−1, 0): the ratio of two Gaussians knows their width.
    ratio = np.log(s[0] / s[4])[20, 30]  # at u = 0.5
    assert np.isclose(ratio, -(0.5**2 - 1.5**2) / 1.6)
    assert not np.isclose(ratio, -(0.5**2 - 1.5**2) / (2 * 1.6))  # 1.6 taken for a variance
    # With s summing to 1 instead of s², the noise-free image would not be the object.
    wrong = s / s.sum(axis=0)
    assert not np.allclose((wrong**2).sum(axis=0), 1, atol=0.1)


def test_the_crop_identities_hold_for_complex_objects():
    x = coils.object_of(np.random.default_rng(0).random((2, 15, 18)), "a")
    for s in (2, 3, 4):
        fine = interpolation.zero_fill(x, s)
        np.testing.assert_allclose(acquisition.kspace_crop(fine, s), x, atol=1e-5)
    for shape in ((20, 27), (21, 18)):
        np.testing.assert_allclose(coils.to_native(coils.from_native(x, shape), (15, 18)), x, atol=1e-9)
    assert not np.allclose(acquisition.kspace_crop(np.abs(interpolation.zero_fill(x, 2)), 2), np.abs(x), atol=1e-5)


# ---------------------------------------------------------------- on scans


@pytest.mark.parametrize("scale", [2, 4])
def test_signed_samples_are_negative_and_stored_ones_never(masked, scale):
    signed = superresolution.pair(masked, scale, kind="signed").given
    assert 0.14 <= (signed < 0).mean() <= 0.36
    for kind in coils.KINDS:
        stored = superresolution.pair(masked, scale, kind=kind, key="a")
        assert stored.given.min() >= 0
        assert stored.given.dtype == np.float32
        assert stored.given.shape == signed.shape
        np.testing.assert_array_equal(stored.target, superresolution.pair(masked, scale).target)


def test_the_crop_of_the_truth_is_not_what_a_file_holds(masked):
    pair = superresolution.pair(masked, 2, kind="rician", key="a")
    apart = metrics.low_band_residual(pair.given, pair.target, 2)
    assert 0.01 <= apart <= 0.05
    # Wrong: no magnitude, as in the signed crop; then they do not differ at all.
    assert metrics.low_band_residual(superresolution.pair(masked, 2, kind="signed").given, pair.target, 2) < 1e-5


def test_percent_is_of_the_clean_coarse_slice_in_each_channel_of_each_coil(masked):
    clean = superresolution.pair(masked, 2, kind="rician", key="a").given
    sigma = noise.noise_sigma(clean, 3)
    air = ~grid_mask(clean)
    for kind, n in (("rician", 1), ("chi", 8)):
        noisy = superresolution.pair(masked, 2, noise=3, kind=kind, key="a").given
        power = np.broadcast_to(2 * n * sigma**2, noisy.shape) + clean.astype(float) ** 2
        assert np.isclose((noisy[air].astype(float) ** 2).sum() / power[air].sum(), 1, rtol=0.02)
        wrong = power - np.broadcast_to((2 * n - 1) * sigma**2, noisy.shape)  # σ of all channels together
        assert not np.isclose((noisy[air].astype(float) ** 2).sum() / wrong[air].sum(), 1, rtol=0.02)


def grid_mask(stack):
    return stack > grid.IN_HEAD * grid.intensity(stack)[1]


def test_same_key_same_scan_and_todays_results_stay(masked):
    one, same, other = (superresolution.pair(masked, 2, noise=3, kind="chi", key=k).given for k in "aab")
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(
        superresolution.pair(masked, 2, noise=3, key="a").given,
        superresolution.pair(masked, 2, noise=3, key="a", kind="rician").given,
    )
    with pytest.raises(ValueError, match="kind must be one of signed"):
        superresolution.pair(masked, 2, kind="gaussian")
    with pytest.raises(ValueError, match="kind must be one of gaussian"):
        denoising.pair(masked, 2, kind="signed")
    with pytest.raises(ValueError, match="kind must be one of rician"):
        coils.magnitude(np.ones((1, 4, 4)), 1.0, np.random.default_rng(0), "rice")
    with pytest.raises(ValueError, match="coarser"):
        coils.native_shape((4, 4), 0.5)


def test_denoising_knows_the_coils_and_the_native_band(masked):
    chi = denoising.pair(masked, 3, "chi", key="a")
    assert chi.coils == 8
    np.testing.assert_allclose(chi.target, denoising.pair(masked, 3, key="a").target, atol=1e-3)
    interpolated = denoising.pair(masked, 3, "interpolated", key="a")
    assert interpolated.coils == 1
    again = denoising.pair(interpolated.target, 3, "interpolated", key="a").target
    full = metrics.psnr(chi.target, interpolated.target)
    assert metrics.psnr(interpolated.target, again) > full  # its truth lies in the native band, nearly
    # The floor of eight coils is taken off by its own formula: the air ends near 0, by one coil's it doesn't.
    air = chi.target == 0
    filtered = np.sqrt(denoising.gaussian(chi.given**2, chi.sigma, 3.0))
    right = noise.without_floor(filtered, chi.sigma, chi.coils)[air].mean()
    assert right < 0.5 * noise.unbiased(filtered, chi.sigma)[air].mean()
    kept = denoising.FILTERS["gaussian"](chi, 0.8, correct=False)
    mended = denoising.FILTERS["gaussian"](chi, 0.8)
    assert mended.dtype == kept.dtype == np.float32
    assert chi.scores(mended)["psnr"] > chi.scores(kept)["psnr"] + 3
