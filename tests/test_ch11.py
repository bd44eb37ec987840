"""Chapter 11: its physics and invariant claims, each with an implementation that is wrong in one point; layout."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught

from medsr_course import resources
from medsr_course.physics import acquisition
from medsr_course.tasks import parallel, reconstruction
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "11_reconstruction_from_kspace.ipynb"
WANTED = ("mirror", "my_shrink", "my_fista", "Consistency", "my_cascade")


@pytest.fixture(scope="module")
def chapter():
    """Functions and classes that the chapter itself defines, by name, without running the rest of it."""
    import pywt

    from medsr_course.networks import models
    from medsr_course.networks.models.reconstruction import unet_block

    keras = models.keras
    space = {"np": np, "pywt": pywt, "acquisition": acquisition, "keras": keras, "unet_block": unet_block, "SEED": 0}
    space |= {"layers": keras.layers, "ops": keras.ops}
    return taught("11", space, WANTED)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(8, 10), (7, 10), (9, 11)])
def test_the_mirror_of_a_real_image_is_its_own_k_space(chapter, shape, rng):
    real = acquisition.to_kspace(rng.normal(size=shape))
    assert np.allclose(chapter["mirror"](real), real)
    assert not np.allclose(np.conj(real[::-1, ::-1]), real) or all(n % 2 for n in shape)  # even sides need the roll
    turned = acquisition.to_kspace(rng.normal(size=shape) * np.exp(1j * np.arange(shape[1]) / 3))
    assert not np.allclose(chapter["mirror"](turned), turned)


def test_my_fista_is_that_of_the_package(chapter, rng):
    image = rng.normal(size=(64, 72)) * reconstruction.smooth_phase((64, 72), rng)
    mask = reconstruction.cartesian_mask(72, 3, rng)
    kspace = reconstruction.measure(image.astype(complex), mask)
    unit = np.percentile(np.abs(reconstruction.zero_filled(kspace)), 99.5)
    mine = chapter["my_fista"](kspace, mask, 0.02 * unit, 10)
    theirs = reconstruction.compressed_sensing(kspace, mask, 0.02, prior="wavelet", iterations=10)
    assert np.abs(mine - theirs).max() < 1e-6 * np.abs(theirs).max()
    other = reconstruction.compressed_sensing(kspace, mask, 0.03, prior="wavelet", iterations=10)
    assert np.abs(mine - other).max() > 1e-3 * np.abs(theirs).max()


def test_noise_of_sense_is_root_r_times_g(rng):
    """The claim rests on the map; without the factor √R, or with the trace instead of the inverse, it would fail."""
    coils = acquisition.coil_sensitivities((6, 24), 8)
    lines = reconstruction.regular_mask(24, 3)
    noise = rng.normal(size=(300, *coils.shape)) + 1j * rng.normal(size=(300, *coils.shape))
    found = [parallel.sense(n * lines, coils, 3) for n in noise]
    measured = np.sqrt(np.mean([np.abs(x) ** 2 for x, _ in found], axis=0) / 2)
    ratio = measured * np.sqrt((np.abs(coils) ** 2).sum(axis=0)) / np.sqrt(3)
    assert np.median(ratio / found[0][1]) == pytest.approx(1, abs=0.03)
    assert found[0][1].max() > 1.2  # so that a map of ones would not pass


def test_zero_padding_leaves_empty_lines(rng):
    """Why an interpolated file flatters: half of what a mask leaves out is empty anyway."""
    kspace = acquisition.to_kspace(5 + rng.normal(size=(16, 20)))
    padded = np.pad(kspace, ((8, 8), (10, 10)))
    stored = np.abs(reconstruction.zero_filled(padded))
    energy = (np.abs(acquisition.to_kspace(stored - stored.mean())) ** 2).sum(axis=0)
    assert energy[:8].sum() + energy[-8:].sum() < 0.1 * energy.sum()
    coarse = np.abs(reconstruction.zero_filled(kspace))
    honest = (np.abs(acquisition.to_kspace(coarse - coarse.mean())) ** 2).sum(axis=0)
    assert honest[:4].sum() + honest[-4:].sum() > 0.3 * honest.sum()


def test_my_cascade_is_that_of_the_package(chapter, rng):
    from medsr_course.networks import models

    mine, theirs = chapter["my_cascade"](6, 2), models.cascade(filters=6, iterations=2)
    weights = [rng.normal(0, 0.2, w.shape) if w.ndim else w for w in mine.get_weights()]
    mine.set_weights(weights), theirs.set_weights(weights)
    x = rng.normal(size=(1, 13, 21, 2)).astype(np.float32)
    m = (rng.random((1, 1, 21)) < 0.4).astype(np.float32)
    a, b = (model.predict_on_batch([x, m]) for model in (mine, theirs))
    assert np.abs(a - b).max() < 1e-5 * np.abs(x).max()
    assert np.abs(a - theirs.predict_on_batch([x, np.roll(m, 1, axis=-1)])).max() > 1e-3  # another line measured


def test_exercises_and_quiz_are_there():
    assert exercises_of("11") == {"11-soft-threshold", "11-ghosts", "11-merge"}
    assert quiz_numbers("11") == pytest.approx([3])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "Hard data consistency: measured samples",
        "Shipped cascade over shipped U-Net at R = 4 (dB)",
        "Shipped cascade over shipped U-Net at R = 8 (dB)",
        "Shipped cascade over as many lines from the middle, R = 4",
        "Shipped cascade over as many lines from the middle, R = 8",
        "Shipped cascade over compressed sensing at R = 8",
        "Real test scans",
    ):
        assert words in text
