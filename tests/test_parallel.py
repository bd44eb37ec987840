"""Several coils: maps, least squares, sparsity, SENSE; partial Fourier; beside SigPy where that is installed."""

import importlib
import importlib.util

import numpy as np
import pytest
from conftest import require

from medsr_course.physics import acquisition, metrics, nufft
from medsr_course.tasks import parallel, partial_fourier, reconstruction

COILS = 6


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def head():
    """Ellipses in air with a smooth phase, about 1 where bright, odd in one axis."""
    y, x = np.mgrid[:64, :71]
    image = 0.5 * (np.hypot((y - 32) / 26, (x - 35) / 28) < 1) + 0.4 * (np.hypot(y - 28, x - 30) < 10)
    image += 0.3 * (np.abs(x - 46) + np.abs(y - 38) < 9)
    return image * reconstruction.smooth_phase(image.shape, np.random.default_rng(1))


@pytest.fixture(scope="module")
def coils(head):
    """Sensitivities, Σ|s|² = 1."""
    maps = acquisition.coil_sensitivities(head.shape, COILS)
    return maps / np.sqrt((np.abs(maps) ** 2).sum(axis=0))


def noise(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def sigpy(part):
    require("sigpy", importlib.util.find_spec("sigpy"), "SigPy is not installed: nothing to compare with")
    return importlib.import_module(part)


# -- maps ------------------------------------------------------------------------------------------


def test_maps_are_the_sensitivities_and_zero_in_air(head, coils):
    kspace = acquisition.to_kspace(coils * head)
    kspace = kspace + 1e-4 * noise(np.random.default_rng(0), *kspace.shape)
    maps, value = parallel.espirit(kspace, calibration=20, kernel=5)
    body = np.abs(head) > 0.1
    assert np.allclose((np.abs(maps) ** 2).sum(axis=0)[body], 1, atol=1e-5)
    alike = np.abs((maps.conj() * coils).sum(axis=0))  # a phase of its own is free
    assert alike[body].min() > 0.99
    assert value[body].min() > 0.95
    assert value.min() >= 0
    assert value.max() <= 1 + 1e-9
    assert not maps[:, value <= 0.9].any()
    shuffled = np.abs((maps[::-1].conj() * coils).sum(axis=0))
    assert shuffled[body].min() < 0.9  # so that any maps would not do


def test_maps_are_those_of_sigpy(head, coils, rng):
    mri = sigpy("sigpy.mri")
    kspace = (acquisition.to_kspace(coils * head) + 0.01 * noise(rng, COILS, *head.shape)).astype(np.complex64)
    ours, value = parallel.espirit(kspace, calibration=20, kernel=5)
    theirs = mri.app.EspiritCalib(
        kspace, calib_width=20, thresh=0.02, kernel_width=5, crop=0.9, max_iter=200, show_pbar=False
    ).run()
    both = (value > 0.93) & (np.abs(theirs) > 0).any(axis=0)
    assert both.sum() > 0.9 * (value > 0.93).sum()
    assert np.percentile(np.abs((ours.conj() * theirs).sum(axis=0))[both], 1) > 0.999


def test_maps_need_a_middle_that_was_measured(head, coils):
    kspace = acquisition.to_kspace(coils * head)
    with pytest.raises(ValueError, match="must all be measured"):
        parallel.espirit(kspace * reconstruction.regular_mask(71, 2))
    with pytest.raises(ValueError, match="too few"):
        parallel.espirit(kspace, calibration=8)
    with pytest.raises(ValueError, match="between 1 and 64"):
        parallel.espirit(kspace, calibration=80)


# -- images ----------------------------------------------------------------------------------------


def test_the_adjoint_is_the_adjoint(head, coils, rng):
    mask = parallel.scattered_mask(head.shape, 4, rng, calibration=12)
    x, y = noise(rng, *head.shape), noise(rng, *coils.shape)
    one, two = np.vdot(y, parallel.heard(x, coils, mask)), np.vdot(parallel.combined(mask * y, coils), x)
    assert abs(one - two) < 1e-10 * abs(one)
    forgotten = np.vdot((coils * acquisition.from_kspace(mask * y)).sum(axis=0), x)  # without the conjugate
    assert abs(one - forgotten) > 1e-3 * abs(one)


def test_least_squares_is_exact_without_noise_and_zero_where_no_coil_hears(head, coils):
    mask = reconstruction.regular_mask(71, 2)
    silent = coils * (np.abs(head) > 0)
    found = parallel.least_squares(parallel.heard(head, silent, mask), silent, mask, 60)
    assert np.abs(found - head).max() < 1e-3
    assert not found[np.abs(head) == 0].any()
    assert not parallel.least_squares(0 * coils, 0 * coils, mask).any()


def test_sense_on_lines_is_least_squares(coils, rng):
    maps = coils[:, :, :68]
    image = noise(rng, *maps.shape[1:])
    mask = reconstruction.regular_mask(68, 2)
    kspace = parallel.heard(image, maps, mask)
    found, _ = parallel.sense(kspace, maps, 2)
    assert np.abs(found - parallel.least_squares(kspace, maps, mask, 80)).max() < 1e-3


def test_sparsity_beats_least_squares_on_noisy_data_and_any_weight_beats_none(head, coils, rng):
    mask = parallel.scattered_mask(head.shape, 6, rng, calibration=16)
    kspace = mask * (parallel.heard(head, coils) + 0.03 * noise(rng, *coils.shape))
    truth = np.abs(head)
    score = {
        iterations: metrics.psnr(truth, np.abs(parallel.least_squares(kspace, coils, mask, iterations)))
        for iterations in (3, 10, 30)
    }
    for prior in ("wavelet", "tv"):
        found = np.abs(parallel.sparse(kspace, coils, mask, 0.02, prior=prior))
        assert metrics.psnr(truth, found) > max(score.values()) + 1
    assert np.isfinite(parallel.sparse(0 * kspace, coils, mask, 0.02)).all()
    silent = coils * (truth > 0)  # zeros outside the body, and λ = 0: coefficients that are exactly 0
    assert np.isfinite(parallel.sparse(kspace, silent, mask, 0.0)).all()


def test_what_cannot_be_is_refused(coils):
    with pytest.raises(ValueError, match="both be"):
        parallel.least_squares(coils[0], coils, np.ones(71, bool))
    with pytest.raises(ValueError, match="NaN"):
        parallel.sparse(coils * np.nan, coils, np.ones(71, bool), 0.01)


@pytest.mark.parametrize("shape", [(64, 71), (48, 48)])
def test_scattered_masks(shape, rng):
    mask = parallel.scattered_mask(shape, 8, rng, calibration=12)
    assert mask.sum() == round(shape[0] * shape[1] / 8)
    assert mask[parallel.middle(shape, 12)].all()
    assert not mask[0, 0]
    with pytest.raises(ValueError, match="factor"):
        parallel.scattered_mask(shape, 60, rng, calibration=12)


# -- gridding beside SigPy -------------------------------------------------------------------------


def test_gridding_is_that_of_sigpy(head, rng):
    sp = sigpy("sigpy")
    points = rng.uniform(-np.pi, np.pi, (300, 2))
    theirs = sp.nufft(head, points * np.array(head.shape) / (2 * np.pi), oversamp=2, width=8)
    ours = nufft.forward(head, points)
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()
    samples = noise(rng, 300)
    back = sp.nufft_adjoint(samples, points * np.array(head.shape) / (2 * np.pi), head.shape, oversamp=2, width=8)
    assert np.abs(nufft.adjoint(samples, points, head.shape) - back).max() < 1e-4 * np.abs(back).max()


# -- partial Fourier -------------------------------------------------------------------------------


@pytest.fixture(params=[70, 71], ids=["even", "odd"])
def smooth(request, rng):
    """A real image with edges and a phase of low order, and its k-space."""
    image = np.zeros((64, request.param))
    image[12:52, 14:55], image[24:34, 25:40] = 0.6, 1.0
    y, x = np.linspace(-1, 1, 64)[:, None], np.linspace(-1, 1, request.param)
    image = image * np.exp(1j * (0.4 + 0.8 * x - 0.5 * y + 0.4 * x * y))
    return image, acquisition.to_kspace(image)


def test_partial_fourier_gives_back_what_zero_filling_blurs(smooth):
    image, kspace = smooth
    mask = partial_fourier.partial_mask(image.shape[1], 0.625)
    plain = metrics.psnr(np.abs(image), np.abs(acquisition.from_kspace(kspace * mask)))
    for method in (partial_fourier.homodyne, partial_fourier.pocs):
        assert metrics.psnr(np.abs(image), np.abs(method(kspace * mask, mask))) > plain + 3


def test_homodyne_of_a_real_image_is_exact(rng):
    """The weights of k and −k add up to 2; with a step instead of the ramp they would not at k = 0."""
    for width in (16, 17):
        image = rng.uniform(1, 2, (8, width))
        mask = partial_fourier.partial_mask(width, 0.7)
        found = partial_fourier.homodyne(acquisition.to_kspace(image) * mask, mask)
        assert np.allclose(found, image, atol=1e-9)
        step = acquisition.from_kspace(acquisition.to_kspace(image) * mask * 2).real
        assert not np.allclose(step, image, atol=1e-2)


def test_pocs_keeps_what_was_measured(smooth):
    image, kspace = smooth
    mask = partial_fourier.partial_mask(image.shape[1], 0.625)
    found = acquisition.to_kspace(partial_fourier.pocs(kspace * mask, mask))
    assert np.abs((found - kspace)[:, mask]).max() < 1e-9
    other = acquisition.to_kspace(partial_fourier.homodyne(kspace * mask, mask))
    assert np.abs((other - kspace)[:, mask]).max() > 1e-3  # which homodyne does not


def test_partial_masks_hold_more_than_half():
    for share in (0.5, 0.2, 1.2):
        with pytest.raises(ValueError, match="more than half"):
            partial_fourier.partial_mask(64, share)
    with pytest.raises(ValueError, match="middle line"):
        partial_fourier.pocs(np.ones((4, 8), complex), np.arange(8) > 2)
    assert not partial_fourier.homodyne(np.zeros((4, 8), complex), partial_fourier.partial_mask(8, 0.7)).any()
