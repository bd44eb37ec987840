"""Chapter 00: its physics claims fail with a wrong implementation; what it promises is there."""

import re

import numpy as np
import pytest
from conftest import taught

from medsr_course import doctor
from medsr_course.networks import pretrained
from medsr_course.physics import acquisition, interpolation, metrics
from medsr_course.scans import datasets, volumes


@pytest.fixture(scope="module")
def fine():
    return volumes.axial_slices(datasets.load("mni152")[0].contrasts["T1w"])[:, :228, :196]


@pytest.fixture(scope="module")
def my_downsample():
    """The chapter's own function, taken from its cell."""
    return taught("00", {"np": np}, {"my_downsample"})["my_downsample"]


@pytest.mark.parametrize(("scale", "h", "w"), [(2, 97, 91), (3, 75, 65), (4, 57, 49)])
def test_four_lines_agree_with_the_package(my_downsample, fine, scale, h, w):
    image = fine[0, : scale * h, : scale * w].astype(float)
    np.testing.assert_allclose(
        my_downsample(image, scale), acquisition.kspace_crop(image, scale), atol=1e-9 * image.max()
    )


def test_a_window_off_the_middle_is_noticed(my_downsample, fine):
    """One sample aside in k-space is far outside the claim's bound."""
    image = fine[4].astype(float)
    h, w = 57, 49
    kspace = np.fft.fftshift(np.fft.fft2(image))
    top, left = image.shape[0] // 2 - h // 2 + 1, image.shape[1] // 2 - w // 2
    wrong = np.fft.ifft2(np.fft.ifftshift(kspace[top : top + h, left : left + w])).real / 16
    assert np.abs(wrong - acquisition.kspace_crop(image, 4)).max() / image.max() > 1e-2


def test_cubic_is_no_inverse_of_cropping(fine):
    coarse = acquisition.kspace_crop(fine, 4)
    assert np.abs(acquisition.kspace_crop(interpolation.cubic(coarse, 4), 4) - coarse).max() / fine.max() > 1e-3


def test_zip_half_a_pixel_aside_does_not_beat_cubic(fine):
    coarse = acquisition.kspace_crop(fine, 4)
    cubic = metrics.psnr(fine, interpolation.cubic(coarse, 4))
    assert metrics.psnr(fine, np.roll(interpolation.zero_fill(coarse, 4), 2, axis=-1)) < cubic + 0.2


def test_the_egg_box_is_measured_and_the_network_spoils_it():
    """The chapter's failure is the network's, not that of ZIP, and data consistency does not see it."""
    y, x = np.mgrid[:228, :196]
    bumps = 50 * (np.cos(np.pi * y / 10) * np.cos(np.pi * x / 10))[None]
    low = acquisition.kspace_crop(bumps, 4)
    base = metrics.psnr(bumps, interpolation.zero_fill(low, 4))
    result = pretrained.super_resolve("espcn-x4", low)
    assert base > 24
    assert metrics.psnr(bumps, result) < base - 2
    assert metrics.low_band_residual(low, result, 4) < 1e-5


def test_the_table_about_the_machine_shows_no_path_of_it():
    """The site shows it to everybody; paths have a place of their own in the report."""
    for row in doctor.report():
        assert not re.search(r"(^|\s)([A-Z]:\\|[/~])\S", row.detail), row
