"""The measurement protocol: what is compared, with which noise, over which range."""

import numpy as np
import pytest

from medsr_course.physics import acquisition, interpolation, metrics
from medsr_course.scans import volumes
from medsr_course.tasks import superresolution


@pytest.fixture(scope="module")
def scan():
    """A bright ball with a dark core, its sides odd in every direction."""
    x, y, z = np.mgrid[-1:1:45j, -1:1:51j, -1:1:61j]
    radius = np.sqrt(x**2 + y**2 + z**2)
    data = 900.0 * (radius < 0.8) * np.where(radius < 0.3, 0.5, 1) + 20 * np.sin(20 * x) * (radius < 0.8)
    return volumes.make_image(data.astype(np.float32), np.diag([0.9, 0.9, 1.0, 1.0]))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_pair_is_ten_axial_slices_and_their_crop(scan, scale):
    pair = superresolution.pair(scan, scale, kind="signed")
    target, coarse = pair.target, pair.given
    n, h, w = target.shape
    assert (n, h, w) == (10, 51 - 51 % scale, 45 - 45 % scale)
    assert coarse.shape == (10, h // scale, w // scale)
    assert target.dtype == coarse.dtype == np.float32
    np.testing.assert_array_equal(target, volumes.axial_slices(scan)[:, :h, :w])
    np.testing.assert_allclose(coarse, acquisition.kspace_crop(target, scale), atol=1e-3)


def test_by_default_a_pair_is_what_a_file_holds(scan):
    stored, signed = superresolution.pair(scan, 2, key="a"), superresolution.pair(scan, 2, key="a", kind="signed")
    np.testing.assert_array_equal(stored.given, superresolution.pair(scan, 2, key="a", kind="rician").given)
    assert stored.given.min() >= 0 > signed.given.min()
    ct = superresolution.pair(scan, 2, key="a", contrast="CT")  # a file of CT holds values of both signs
    np.testing.assert_array_equal(ct.given, signed.given)
    with pytest.raises(ValueError, match='CT has values of both signs.*"signed"'):
        superresolution.pair(scan, 2, contrast="CT", kind="rician")


def test_noise_is_the_protocols_and_depends_on_the_key_alone(scan):
    pair, again = superresolution.pair(scan, 2), superresolution.pair(scan, 2, noise=3, key="a")
    clean, noisy = pair.given, again.given
    np.testing.assert_array_equal(pair.target, again.target)  # the truth has none
    np.testing.assert_array_equal(noisy, superresolution.pair(scan, 2, noise=3, key="a").given)
    assert not np.array_equal(noisy, superresolution.pair(scan, 2, noise=3, key="b").given)
    assert noisy.min() >= 0
    # p % of the 99.5th percentile, in each of the two channels; in a bright region the magnitude keeps it.
    bright = clean > 800
    sigma = 0.03 * np.percentile(clean, 99.5, axis=(1, 2)).mean()
    assert np.std((noisy - clean)[bright]) == pytest.approx(sigma, rel=0.1)
    double = superresolution.pair(scan, 2, noise=6, key="a").given
    assert np.std((double - clean)[bright]) == pytest.approx(2 * sigma, rel=0.1)


def test_scores_are_those_of_the_metrics(scan):
    pair = superresolution.pair(scan, 2)
    target, coarse = pair.target, pair.given
    zipped = interpolation.zero_fill(coarse, 2)
    found = superresolution.scores(target, zipped, coarse, pixel_size=0.9)
    head = metrics.head_mask(target, 0.9)
    assert found == {
        "psnr": pytest.approx(metrics.psnr(target, zipped)),
        "psnr_head": pytest.approx(metrics.psnr(target, zipped, mask=head)),
        "ssim": pytest.approx(metrics.ssim(target, zipped)),
        "hfen": pytest.approx(metrics.hfen(target, zipped)),
        "low_band": pytest.approx(0, abs=1e-6),
    }
    assert superresolution.psnrs(target, zipped, pixel_size=0.9) == {k: found[k] for k in ("psnr", "psnr_head")}
    assert pair.pixel_size == pytest.approx(0.9)
    assert pair.scores(zipped) == found
    assert pair.psnrs(zipped) == superresolution.psnrs(target, zipped, pixel_size=0.9)


def test_low_band_sees_a_result_that_contradicts_its_input(scan):
    pair = superresolution.pair(scan, 2)
    target, coarse = pair.target, pair.given
    found = superresolution.scores(target, 1.1 * interpolation.zero_fill(coarse, 2), coarse)
    assert found["low_band"] == pytest.approx(0.1, rel=1e-3)


def test_ct_has_a_range_of_400_hu(scan):
    pair = superresolution.pair(scan, 2, kind="signed")
    target, coarse = pair.target, pair.given
    zipped = interpolation.zero_fill(coarse, 2)
    ct, mr = (superresolution.scores(target, zipped, coarse, contrast=c) for c in ("CT", "T1w"))
    assert superresolution.pair(scan, 2, contrast="CT").scores(zipped) == ct
    gap = 20 * np.log10(target.max() / 400)
    assert mr["psnr"] - ct["psnr"] == pytest.approx(gap)
    assert mr["psnr_head"] - ct["psnr_head"] == pytest.approx(gap)
    assert ct["ssim"] == pytest.approx(metrics.ssim(target, zipped, data_range=400.0))
    assert ct["hfen"] == mr["hfen"]


def test_air_counts_in_the_full_field_only(scan):
    target = superresolution.pair(scan, 2).target
    result = target.copy()
    result[:, :3, :3] += 300
    found = superresolution.psnrs(target, result)
    assert found["psnr_head"] == np.inf
    assert found["psnr"] < 60
