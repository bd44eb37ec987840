"""What an image says of its own noise: kind, σ, coils, native band; bounds from 20 scans (cohort, development)."""

import numpy as np
import pytest
from scipy import ndimage

from medsr_course.physics import coils, grid, noise, noise_head
from medsr_course.scans import datasets, volumes


@pytest.fixture(scope="module")
def slices():
    """Five slices of a cohort subject without noise in its air."""
    return grid.trim(volumes.axial_slices(datasets.load("cohort")["sub-0001"].contrasts["T1w"], n=5), 2)


def file(slices, kind, percent, scale=2):
    """A stored stack, and the σ of its noise."""
    clean = coils.stored(slices, scale, "a")
    return coils.stored(slices, scale, "a", noise=percent, kind=kind), noise.noise_sigma(clean, percent).mean()


def masked(stack):
    """With its air set to zero."""
    head = stack > 0.25 * grid.intensity(stack)[1]
    return stack * np.stack([ndimage.binary_fill_holes(one) for one in head])


@pytest.mark.parametrize(
    ("kind", "percent", "n"),
    [
        ("rician", 1, 1),
        ("rician", 3, 1),
        ("rician", 6, 1),
        ("chi", 3, 8),
        ("interpolated", 3, 1),
        ("interpolated", 6, 1),
    ],
)
def test_the_kinds_are_told_apart_and_sigma_is_found(slices, kind, percent, n):
    stack, sigma = file(slices, kind, percent)
    found = noise.estimate(stack)
    assert found.kind == kind
    assert found.sigma == pytest.approx(sigma, rel=0.1)
    assert found.coils == pytest.approx(n, rel=0.15)
    if kind == "interpolated":
        assert found.native == pytest.approx((2 / 3, 2 / 3), abs=0.03)
    else:
        assert found.native == (1, 1)


@pytest.mark.parametrize(("kind", "n"), [("rician", 1), ("chi", 8), ("interpolated", 1)])
@pytest.mark.parametrize("strength", [0.08, 0.2])
def test_ghosts_and_dim_tissue_in_the_air_do_not_count_as_noise(slices, kind, n, strength):
    ghost = slices + strength * np.roll(slices, slices.shape[1] // 2, axis=1)  # half a field away, as motion makes it
    stack, _ = file(ghost, kind, 3)
    found = noise.estimate(stack)
    assert found.sigma == pytest.approx(noise.noise_sigma(coils.stored(ghost, 2, "a"), 3).mean(), rel=0.08)
    assert found.coils == pytest.approx(n, rel=0.1)


@pytest.mark.parametrize("native", [1.25, 1.5, 2.0])
def test_the_native_band_is_found(slices, native):
    stack = coils.stored(slices, 2, "a", noise=3, kind="interpolated", native=native)
    found = noise.estimate(stack)
    assert found.kind == "interpolated"
    assert found.native == pytest.approx((1 / native, 1 / native), abs=0.035)
    one_axis = coils.magnitude(slices[:, ::2, ::2] + 0j, 0.0, np.random.default_rng(0))
    one_axis = np.abs(
        grid.pad_axis(grid.crop_axis(one_axis + 0j, round(one_axis.shape[1] / native), 1), one_axis.shape[1], 1)
    )
    assert noise.estimate(one_axis).native[1] == 1
    assert noise.estimate(one_axis).native[0] == pytest.approx(1 / native, abs=0.035)


def test_the_quietest_details_of_noise_alone():
    alone = np.random.default_rng(1).normal(0, 1, (4, 300, 300))
    for octave, value in noise_head.ALONE.items():
        spread = (0, noise_head.SPREAD, noise_head.SPREAD)
        square = ndimage.gaussian_filter(noise_head._diagonal(alone, octave) ** 2, spread)
        assert np.percentile(square, noise_head.QUIET) == pytest.approx(value, rel=0.03)


@pytest.mark.parametrize("percent", [3, 6])
@pytest.mark.parametrize("kind", ["rician", "chi", "interpolated"])
def test_without_air_sigma_lies_between_its_bounds(slices, kind, percent):
    stack, sigma = file(slices, kind, percent)
    found = noise.estimate(masked(stack))
    assert found.between[0] < sigma < 1.02 * found.between[1]


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("kind", ["rician", "chi"])
def test_from_the_head_alone(slices, kind, scale):
    stack, sigma = file(slices, kind, 6 if scale == 2 else 3, scale)
    found = noise.estimate(masked(stack))
    assert found.kind == "unknown"  # one coil or eight: only air could tell
    assert found.coils is None
    assert found.sigma == pytest.approx(sigma, rel=0.3)
    assert noise.background_noise(masked(stack)) == 0  # which "unknown" replaces
    assert found.between[0] < found.sigma < found.between[1]
    assert found.between[0] < sigma < 1.02 * found.between[1]


def test_where_it_cannot_tell_it_says_so(slices):
    clean = masked(coils.stored(slices, 2, "a"))
    found = noise.estimate(clean)
    assert (found.kind, found.sigma, found.coils) == ("unknown", None, None)
    assert found.between[0] == 0 < found.between[1]  # not "none": there may be as much
    low, _ = file(slices, "rician", 1)
    assert noise.estimate(masked(low)).sigma is None
    hidden, _ = file(slices, "interpolated", 3)
    assert noise.estimate(masked(hidden)).kind == "interpolated"  # the band is known even so


def test_texture_in_the_air_is_not_noise(slices):
    # Ghosts and ringing are heavy-tailed; their quartiles and their moments tell different numbers of coils.
    rng = np.random.default_rng(0)
    stack, _ = file(slices, "rician", 3)
    shape = stack.shape
    ghost = np.exp(1.5 * rng.standard_normal(shape)) * 2
    spoilt = np.where(stack > 0.25 * grid.intensity(stack)[1], stack, ghost)
    assert noise.estimate(spoilt).coils is None


def test_what_is_no_scan_is_handled():
    rng = np.random.default_rng(0)
    for flat in (np.zeros((2, 64, 64)), np.full((2, 64, 64), 7.0)):
        assert noise.estimate(flat) == noise.NoiseEstimate("none", 0.0, None, (1.0, 1.0), (0.0, 0.0))
    assert noise.estimate(rng.random((1, 12, 12))).kind == "unknown"
    assert noise.estimate(rng.normal(0, 500, (1, 64, 64))).kind == "unknown"  # signed
    assert noise.estimate(100 + rng.random((64, 64))).coils is None  # no air at all
    head = np.zeros((64, 64))
    head[16:48, 16:48] = 100
    assert noise.estimate(np.hypot(head, 0.1 * rng.standard_normal((64, 64)))).kind in ("none", "unknown")
    wide = np.pad(head, 32)
    whole = rng.random(wide.shape) < np.where(np.arange(128) < 28, 0.1, 1)  # zeros where the air is quietest
    assert noise.estimate(np.where(wide > 0, wide, whole * rng.uniform(3, 6, wide.shape))).coils is None
    quiet = np.abs(head + 0.1 * coils.complex_noise(head.shape, rng))
    assert noise.estimate(quiet).kind == "none"
    for bad, why in ((np.full((1, 64, 64), np.nan), "NaN"), (head + 1j, "complex"), (np.zeros((2, 2, 2, 2)), "stack")):
        with pytest.raises(ValueError, match=why):
            noise.estimate(bad)


def test_native_scans_are_not_called_interpolated():
    # How often real ones are: the false alarms in results/domain.md.
    alarms = []
    for subject in ("sub-0000", "sub-0001", "sub-0004"):
        for contrast in ("T1w", "T2w", "FLAIR"):
            fine = grid.trim(volumes.axial_slices(datasets.load("cohort")[subject].contrasts[contrast], n=3), 2)
            alarms.append(min(noise.estimate(coils.stored(fine, 2, subject, noise=2)).native) < 1)
    assert not any(alarms)
