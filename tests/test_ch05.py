"""Chapter 05: its physics claims, each with an implementation that is wrong in one point; exercises; layout."""

import numpy as np
import pytest
import pywt
from conftest import exercises_of, quiz_numbers, taught
from scipy import ndimage

from medsr_course import resources
from medsr_course.physics import acquisition, coils, interpolation, metrics, noise
from medsr_course.teaching import claims, quizzes

NOTEBOOK = resources.checkout() / "notebooks" / "05_interpolation_fourier_wavelets.ipynb"


@pytest.fixture(scope="module")
def chapter():
    """Functions that the chapter itself defines, by name, without running the rest of it."""
    space = {"np": np, "pywt": pywt, "ndimage": ndimage, "interpolation": interpolation, "acquisition": acquisition}
    return taught("05", space)


@pytest.fixture(scope="module")
def head():
    """Folded bands inside an ellipse: edges of every direction, about as sharp as the grid allows."""
    y, x = np.mgrid[:96, :96] - 47.5
    bands = np.sin(x / 3.1 + 2.2 * np.sin(y / 7)) + np.cos(y / 2.7 + np.sin(x / 9))
    image = np.where((x / 38) ** 2 + (y / 43) ** 2 < 1, 2 + np.tanh(4 * bands), 0.0)
    return ndimage.gaussian_filter(image, 0.6)[None].astype(np.float32)


def test_my_zero_fill(chapter):
    mine = chapter["my_zero_fill"]
    x = np.random.default_rng(0).normal(size=(6, 9))
    for scale in (2, 3, 4):
        assert np.abs(mine(x, scale) - interpolation.zero_fill(x, scale)).max() < 1e-6
        assert np.abs(acquisition.kspace_crop(mine(x, scale), scale) - x).max() < 1e-6
        assert np.abs(mine(x, scale, split=False) - interpolation.zero_fill(x, scale)).max() > 1e-2  # wrong
        assert np.abs(acquisition.kspace_crop(mine(x, scale, split=False), scale) - x).max() < 1e-6


def test_a_crop_that_drops_one_edge_does_not_undo_zero_filling():
    x = np.random.default_rng(0).normal(size=(6, 8))
    spectrum = np.fft.fftshift(np.fft.fft2(interpolation.zero_fill(x, 2)))
    wrong = np.fft.ifft2(np.fft.ifftshift(spectrum[3:9, 4:12])) / 4  # +N/2 forgotten
    assert np.abs(wrong - x).max() > 1e-2


def test_outside_is_what_was_not_measured(chapter, head):
    def share(image):
        return (chapter["outside"](image.astype(float), 4) ** 2).sum() / (head**2).sum()

    low = acquisition.kspace_crop(head, 4)
    assert share(interpolation.zero_fill(low, 4)) < 1e-10
    assert share(interpolation.cubic(low, 4)) > 1e-4  # wrong: it leaks


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4", "bior4.4"])
def test_my_wavelet_pad(chapter, wavelet):
    x = np.random.default_rng(0).normal(size=(16, 20))

    def gap(d):
        mine = chapter["my_wavelet_pad"](x, wavelet)
        moved = interpolation.shift(interpolation.shift(mine, -d, -1), -d, -2)
        return np.abs(moved - interpolation.wavelet_zero_pad(x, 2, wavelet)).max()

    d = chapter["my_offset"](wavelet)
    assert gap(d) < 1e-6
    assert gap(d + 0.5) > 0.1  # wrong: half a fine pixel aside
    if abs(d) > 0.1:
        assert gap(0) > 0.1  # wrong: left where the transform puts it
        assert gap(-d) > 0.1  # wrong: moved on
    unscaled = pywt.idwt2((x, (None, None, None)), wavelet, mode="periodization")  # wrong: the 2 forgotten
    assert np.abs(unscaled - chapter["my_wavelet_pad"](x, wavelet)).max() > 0.1


def test_only_signed_slices_hold_the_samples_of_the_truth(head):
    truth = head.astype(float)

    def miss(given):
        error = acquisition.kspace_crop(interpolation.zero_fill(given, 4), 4) - acquisition.kspace_crop(truth, 4)
        return np.linalg.norm(error) / np.linalg.norm(acquisition.kspace_crop(truth, 4))

    signed = acquisition.kspace_crop(truth, 4)
    assert miss(signed) < 1e-6
    assert miss(coils.stored(truth, 4, "template")) > 0.028
    assert miss(acquisition.block_average(truth, 4)) > 1e-6  # wrong: another degradation called signed
    assert miss(acquisition.kspace_crop(truth * np.exp(0.7j), 4).real / np.cos(0.7)) < 0.028  # wrong: no magnitude


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_order_of_methods(head, scale):
    low = acquisition.kspace_crop(head, scale)
    quality = [
        metrics.psnr(head, method(low, scale))
        for method in (
            interpolation.zero_fill,
            interpolation.spline,
            interpolation.cubic,
            interpolation.linear,
            interpolation.nearest,
        )
    ]
    assert quality[:4] == sorted(quality, reverse=True)[:4]
    assert quality[3] >= quality[4]
    aside = np.roll(interpolation.zero_fill(low, scale), 1, (-2, -1))  # wrong: one pixel aside
    assert metrics.psnr(head, aside) < quality[2]


def test_half_a_voxel_aside(head):
    low = acquisition.kspace_crop(head, 2)
    on_grid = metrics.psnr(head, interpolation.linear(low, 2))
    theirs = ndimage.zoom(low, (1, 2, 2), order=1, grid_mode=True, mode="nearest")
    assert on_grid - metrics.psnr(head, theirs) > 2
    assert metrics.psnr(head, interpolation.zero_fill(low, 2)) - on_grid < on_grid - metrics.psnr(head, theirs)
    back = interpolation.shift(interpolation.shift(theirs, -0.5, -1), -0.5, -2)
    assert metrics.psnr(head, back) - metrics.psnr(head, theirs) > 2
    further = interpolation.shift(interpolation.shift(theirs, 0.5, -1), 0.5, -2)  # wrong direction
    assert metrics.psnr(head, further) < metrics.psnr(head, theirs)


def test_noise_turns_the_order_round(head):
    low = acquisition.kspace_crop(head, 2)
    noisy = noise.add_complex_noise(low, 10, np.random.default_rng(0)).real

    def lead(stack):  # of linear over zero-filling
        return metrics.psnr(head, interpolation.linear(stack, 2)) - metrics.psnr(
            head, interpolation.zero_fill(stack, 2)
        )

    assert lead(noisy) > 0.5
    assert lead(low) < 0  # wrong: no noise


def test_one_filter_gains_nothing_a_bank_does(chapter, head):
    flipped = [head, head[:, ::-1], head[:, :, ::-1], head.transpose(0, 2, 1)]
    train = np.concatenate([np.ascontiguousarray(f) for f in flipped])
    zipped = interpolation.zero_fill(acquisition.kspace_crop(train, 2), 2)
    unseen = np.ascontiguousarray(head[:, ::-1, ::-1])
    start = interpolation.zero_fill(acquisition.kspace_crop(unseen, 2), 2)
    base = metrics.psnr(unseen, start)

    def gain(choose, buckets, truths):
        filters = chapter["learn"](zipped[: len(truths)], truths, choose, 2, buckets)
        added = chapter["outside"](chapter["refine"](start, filters, choose, 2), 2)
        return metrics.psnr(unseen, start + added) - base

    assert gain(chapter["alike"], 1, train) < 0.05
    assert gain(chapter["by_structure"], 72, train) > 0.2
    assert abs(gain(chapter["by_structure"], 72, train[:0])) < 1e-6  # nothing learned, nothing gained


def test_buckets_know_direction_but_not_sign(chapter):
    ramp = np.tile(np.linspace(0, 8, 40), (40, 1))
    middle = (0, 20, 20)
    direction = [
        chapter["by_structure"](image[None], 2)[middle] // 9
        for image in (ramp, -ramp, ramp.T, ramp + ramp.T, ramp - ramp.T)
    ]
    assert direction == [0, 0, 4, 2, 6]


def test_exercises_and_quiz_are_there():
    names = exercises_of("05")
    assert {"05-zero-fill", "05-cubic-weights", "05-half-voxel"} == names
    assert 3 <= len(quizzes.questions("05")) <= 6
    centres = quiz_numbers("05")
    assert centres == pytest.approx([6.25, 0.75])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("ZIP beats cubic", "Cubic beats linear", "Linear beats nearest", "Half a pixel", "filter bank"):
        assert words in text


def test_sub_voxel_shifts_calm_an_edge_and_keep_it_sharp():
    from dipy.denoise.gibbs import gibbs_removal

    row, column = np.mgrid[:1024, :1024] - 512
    disc = acquisition.kspace_crop((np.hypot(row, column) < 300).astype(float), 8)

    def overshoot_and_width(image):
        line = interpolation.zero_fill(image, 8)[512, 700:860][::-1]
        start, end = np.interp((0.1, 0.9), np.maximum.accumulate(line), np.arange(len(line)))
        return 100 * (image.max() - 1), end - start

    _, sharp = overshoot_and_width(disc)
    over, width = overshoot_and_width(gibbs_removal(disc.copy(), num_processes=1))
    assert over < 4
    assert width < 1.2 * sharp
    assert overshoot_and_width(disc)[0] > 6  # wrong: nothing done
    assert overshoot_and_width(interpolation.apply_window(disc, "hamming", 1.0))[1] > 1.6 * sharp  # wrong: blurred
