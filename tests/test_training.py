"""Training: what pairs and batches are made of, the loop, and going on after a kill."""

import errno
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from medsr_course import runtime
from medsr_course.networks import models, training
from medsr_course.networks.training import loop
from medsr_course.physics import acquisition, interpolation
from medsr_course.scans import datasets

SMALL = {"filters": 8, "depth": 3}
PLAIN = {"reference_noise": (1e-9, 1e-8), "shrink": 1.0, "gamma": 1.0, "inverted": 0.0}  # nothing but the cropping


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("MEDSR_PROGRESS", "0")


@pytest.fixture(scope="module")
def slices():
    """Discs on a dark field, of three sizes of image, one of them odd."""
    rng, images = np.random.default_rng(0), []
    for h, w in ((48, 40), (45, 51), (64, 64)):
        y, x = np.mgrid[:h, :w]
        image = np.zeros((h, w))
        for _ in range(6):
            a, b, r = rng.uniform(0.3, 0.7, 3) * (h, w, 14)
            image[np.hypot(y - a, x - b) < r] = rng.uniform(0.2, 1)
        images.append(image.astype(np.float16))
    return images


@pytest.fixture
def patches(slices):
    return training.Patches(slices, training.Degradation(2), size=8, batch=4, pool=6)


# ---------------------------------------------------------------- one pair


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_pair_is_a_slice_and_its_crop(scale):
    image = np.random.default_rng(0).random((26, 37)).astype(np.float32)
    coarse, fine, _ = training.Degradation(scale, **PLAIN).pair(image, np.random.default_rng(1))
    np.testing.assert_allclose(coarse, acquisition.kspace_crop(fine, scale), atol=1e-6)
    # Up to a turn or a flip, made before anything else, the fine image is the slice, trimmed at one end.
    turned = [turn[:, ::step] for k in range(4) for turn in (np.rot90(image, k),) for step in (1, -1)]
    h, w = fine.shape
    assert h % scale == w % scale == 0
    assert any(t.shape[0] >= h and np.allclose(t[:h, :w], fine, atol=1e-5) for t in turned if t[:h, :w].shape == (h, w))


def pairs(image, count=200, **settings):
    rng = np.random.default_rng(0)
    return [training.Degradation(2, **{**PLAIN, **settings}).pair(image, rng)[:2] for _ in range(count)]


FLAT = np.full((40, 40), 0.8, np.float32)  # bright: the magnitude of its noise is Gaussian


def test_reference_noise_is_in_both_images_and_within_its_interval():
    made = pairs(FLAT, reference_noise=(0.5, 2.0))
    sigmas = np.array([fine.std() for _, fine in made])
    assert 0.0045 < sigmas.min() < 0.0065
    assert 0.017 < sigmas.max() < 0.0215
    # Log-uniform: half of them below the geometric mean of the ends.
    assert abs(np.mean(sigmas < 0.01) - 0.5) < 0.12
    for coarse, fine in made[:20]:
        np.testing.assert_allclose(coarse, acquisition.kspace_crop(fine, 2), atol=1e-6)


def test_noise_of_its_own_in_a_share_of_the_coarse_images():
    made = pairs(FLAT, noisy=0.5, noise=(2.0, 6.0))
    own = np.array([np.std(coarse - acquisition.kspace_crop(fine, 2)) for coarse, fine in made])
    noisy = own > 1e-6
    assert abs(noisy.mean() - 0.5) < 0.12
    assert 0.017 < own[noisy].min() < 0.025
    assert 0.05 < own[noisy].max() < 0.066
    assert max(fine.std() for _, fine in made) < 1e-6  # the target stays clean
    assert not any(np.std(c - acquisition.kspace_crop(f, 2)) > 1e-6 for c, f in pairs(FLAT, 20, noisy=0.0))


def test_shares_and_contrast(slices):
    image = np.asarray(slices[2], np.float32)
    inverted = [fine for _, fine in pairs(image, inverted=0.3)]
    assert abs(np.mean([fine[0, 0] > 0.5 for fine in inverted]) - 0.3) < 0.1
    eight_bits = [fine for _, fine in pairs(image, 40, bits=1.0, reference_noise=(1.0, 1.01))]
    assert all(np.unique(fine).size <= 256 for fine in eight_bits)
    assert all(np.unique(fine).size > 256 for _, fine in pairs(image, 5, reference_noise=(1.0, 1.01)))
    powers = [np.log(fine.mean()) / np.log(0.8) for _, fine in pairs(FLAT, gamma=1.5)]
    assert 1 / 1.51 < min(powers) < 0.75 < 1.35 < max(powers) < 1.51


def test_coarser_k_space_comes_first(slices):
    sides = {fine.shape[0] for _, fine in pairs(np.asarray(slices[2], np.float32), shrink=1.5)}
    assert min(sides) == 42
    assert max(sides) == 64
    assert len(sides) == 12


@pytest.mark.parametrize("lever", ["window", "resliced"])
def test_windows_and_reslicing_soften_and_keep_the_mean(slices, lever):
    image = np.asarray(slices[2], np.float32)

    def high_band(fine):
        return np.std(fine - interpolation.zero_fill(acquisition.kspace_crop(fine, 2), 2))

    untouched = high_band(image)
    softer = [fine for _, fine in pairs(image, 30, **{lever: 1.0})]
    assert np.median([high_band(fine) for fine in softer]) < 0.85 * untouched
    assert max(high_band(fine) for fine in softer) <= 1.05 * untouched
    np.testing.assert_allclose([fine.mean() for fine in softer], image.mean(), rtol=0.03)


# ---------------------------------------------------------------- batches


def test_a_batch_holds_inputs_residuals_and_weights(patches):
    image, residual, weight = patches(0)
    assert image.shape == (4, 8, 8, 1)
    assert residual.shape == (4, 16, 16, 1)
    assert image.dtype == residual.dtype == weight.dtype == np.float32
    np.testing.assert_array_equal(weight, 1)


def test_a_batch_depends_on_seed_and_number_alone(slices, patches):
    in_order = [patches(k) for k in range(30)]
    fresh = training.Patches(slices, training.Degradation(2), size=8, batch=4, pool=6)
    for k in (29, 0, 13, 12, 13):
        for first, again in zip(in_order[k], fresh(k), strict=True):
            np.testing.assert_array_equal(first, again)
    other = training.Patches(slices, training.Degradation(2), size=8, batch=4, pool=6, seed=1)
    assert not np.array_equal(other(0)[0], in_order[0][0])
    assert not np.array_equal(in_order[0][0], in_order[1][0])


def test_the_pool_is_bounded_and_moves_on(patches):
    seen = set()
    for k in range(60):
        patches(k)
        assert len(patches.stock.made) <= patches.pool
        seen |= set(patches.stock.made)
    assert len(seen) > 3 * patches.pool


def test_zero_filled_input_and_residual_make_the_fine_image(slices):
    options = {"size": 8, "batch": 6, "pool": 4}
    coarse = training.Patches(slices, training.Degradation(2, **PLAIN), **options)(3)
    zipped = training.Patches(slices, training.Degradation(2, **PLAIN), zero_filled=True, **options)(3)
    assert zipped[0].shape == (6, 16, 16, 1)
    np.testing.assert_array_equal(coarse[1], zipped[1])
    fine = zipped[0] + zipped[1]
    values = np.unique(np.concatenate([np.asarray(s, np.float32).ravel() for s in slices]))
    nearest = np.abs(fine.ravel()[:, None] - values).min(axis=1)
    assert nearest.max() < 1e-4  # discs have few values, and no other one comes out
    # Sample 0 of the coarse patch is sample 0 of the fine one.
    np.testing.assert_allclose(np.mean((coarse[0] - zipped[0][:, ::2, ::2]) ** 2), 0, atol=1e-10)


def test_balanced_weights_are_one_over_what_is_to_gain():
    slices = [0.2 + amplitude * np.random.default_rng(0).random((32, 32)) for amplitude in (0.05, 0.5)]
    options = {"size": 16, "batch": 64, "pool": 16, "balanced": True}
    _, residual, weight = training.Patches(slices, training.Degradation(2, **PLAIN), **options)(0)
    # A patch is the whole slice here, so the pair's energy is the patch's.
    share = weight * (np.mean(residual**2, axis=(1, 2, 3)) + 1e-5)
    assert weight.max() > 50 * weight.min()
    np.testing.assert_allclose(share, share[0], rtol=1e-4)


def test_slices_are_drawn_by_weight():
    dark, bright = np.full((2, 20, 20), [[[0.2]], [[0.9]]], np.float32)
    options = {"size": 4, "batch": 400, "pool": 400, "weights": np.array([0.25, 0.75])}
    image, _, _ = training.Patches([dark, bright], training.Degradation(2, **PLAIN), **options)(0)
    assert abs(np.mean(image.mean(axis=(1, 2, 3)) > 0.5) - 0.75) < 0.1


def test_patches_lie_in_the_head():
    image = np.zeros((64, 64), np.float32)
    image[40:60, 40:60] = 0.8
    batch, _, _ = training.Patches([image], training.Degradation(2, **PLAIN), size=8, batch=32)(0)
    assert (batch.max(axis=(1, 2, 3)) > 0.4).all()


def test_no_slices_is_an_error_in_one_line():
    with pytest.raises(training.TrainingError, match="no slices") as caught:
        training.Patches([], training.Degradation(2))
    assert "\n" not in str(caught.value)


def test_slices_smaller_than_a_patch_are_refused_in_one_line():
    with pytest.raises(training.TrainingError, match="smaller than a patch") as caught:
        training.Patches([np.ones((20, 20))], training.Degradation(2), size=16)(0)
    assert "\n" not in str(caught.value)


def test_dead_leaves():
    images = training.dead_leaves(8, size=128, seed=3)
    again = training.dead_leaves(9, size=128, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(images, again[:8], strict=True))  # each depends on (seed, i)
    assert not np.array_equal(images[0], images[1])
    for image in images:
        assert image.shape == (128, 128)
        assert image.dtype == np.float16
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert 0.8 < image.max() < 3
        assert image.astype(float).std() > 0.05
    # Edges of leaves: an amplitude spectrum near 1/f, as photographs have.
    stack = np.array(images, float) - np.mean(images, axis=(1, 2), dtype=float)[:, None, None]
    power = np.mean(np.abs(np.fft.fft2(stack)) ** 2, axis=0)
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    bands = [power[(f >= a) & (f < 1.3 * a)].mean() for a in (0.04, 0.16)]
    slope = np.log(bands[0] / bands[1]) / np.log(4)
    assert 1.5 < slope < 3.5


# ---------------------------------------------------------------- the loop


def equal(first, second):
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", ["espcn", "srcnn"])
def test_resumed_training_equals_uninterrupted(slices, tmp_path, name):
    settings = {"espcn": SMALL, "srcnn": {"filters": (8, 4)}}[name]
    patches = training.Patches(slices, training.Degradation(2), size=8, batch=4, zero_filled=name in models.ON_ZIP)
    straight, resumed = (models.build(name, scale=2, **settings) for _ in range(2))
    whole = training.fit(straight, patches, 12, every=4)
    training.fit(resumed, patches, 12, every=4, checkpoint=tmp_path / "c.npz", stop_after=7)
    again = models.build(name, scale=2, seed=99, **settings)  # what a new process starts with does not matter
    history = training.fit(again, patches, 12, every=4, checkpoint=tmp_path / "c.npz")
    assert [step for step, _ in history] == [4, 7, 8, 12]
    assert whole[-1][0] == 12
    equal(straight, again)


CHILD = """
import sys
import numpy as np
from medsr_course.networks import models, training
slices = [np.random.default_rng(k).random((40, 40)).astype("f4") for k in range(3)]
patches = training.Patches(slices, training.Degradation(2), size=8, batch=4, pool=6)
def batches(k):
    print(k, flush=True)
    return patches(k)
model = models.espcn(2, filters=8, depth=3)
training.fit(model, batches, 90, every=3, checkpoint=sys.argv[1])
np.savez(sys.argv[2], *model.get_weights())
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_training_goes_on_as_if_nothing_had_happened(tmp_path):
    """SIGKILL at a random step; the next process finishes with the parameters of one that ran through."""
    at = int(np.random.default_rng(time.time_ns()).integers(6, 60))
    environment = dict(os.environ, MEDSR_PROGRESS="0", OMP_NUM_THREADS="1")

    def start(name):
        words = [sys.executable, "-c", CHILD, str(tmp_path / f"{name}.npz"), str(tmp_path / f"{name}-weights.npz")]
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    straight, child = start("straight"), start("killed")
    for line in child.stdout:
        if int(line) >= at:
            child.send_signal(signal.SIGKILL)
            break
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    again = start("killed")
    for process in (straight, again):
        said, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert 0 < int(said.split()[0]) < 90, "it began anew, or there was nothing left to do"
    with np.load(tmp_path / "killed-weights.npz") as a, np.load(tmp_path / "straight-weights.npz") as b:
        assert a.files == b.files
        for key in a.files:
            np.testing.assert_allclose(a[key], b[key], atol=1e-6, err_msg=f"killed at {at}")


@pytest.fixture
def checkpoint(patches, tmp_path):
    path = tmp_path / "c.npz"
    training.fit(models.espcn(2, **SMALL), patches, 4, every=2, checkpoint=path, stop_after=2)
    return path


def refused(path, patches, steps=4, match="delete or rename it", **settings):
    """Training from this checkpoint fails in one line and leaves file and network alone."""
    before = path.read_bytes()
    model = models.espcn(2, **{**SMALL, **settings})
    weights = model.get_weights()
    with pytest.raises(training.TrainingError, match=match) as caught:
        training.fit(model, patches, steps, checkpoint=path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


@pytest.mark.parametrize("settings", [{"filters": 4}, {"depth": 4}, {"depth": 2}])
def test_a_checkpoint_of_another_network_is_refused(checkpoint, patches, settings):
    refused(checkpoint, patches, match="another network", **settings)


def test_a_checkpoint_of_another_length_is_refused(checkpoint, patches):
    refused(checkpoint, patches, steps=5, match="another length")


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(checkpoint, patches, keep):
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: int(keep * len(data))])
    refused(checkpoint, patches, match="cannot be read")


def test_a_damaged_checkpoint_is_refused(checkpoint, patches):
    data = bytearray(checkpoint.read_bytes())
    for i in range(300, len(data) - 3000, 97):
        data[i] ^= 0xFF
    checkpoint.write_bytes(data)
    refused(checkpoint, patches, match="cannot be read")


def test_something_else_is_refused_as_checkpoint(tmp_path, patches):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    refused(tmp_path / "other.npz", patches)
    np.save(tmp_path / "array.npy", np.ones(3))
    refused(tmp_path / "array.npy", patches)
    (tmp_path / "text.npz").write_text("not a checkpoint")
    refused(tmp_path / "text.npz", patches, match="cannot be read")


def test_a_loss_that_is_not_a_number_is_reported_and_not_stored(patches, tmp_path):
    def batches(k):
        image, residual, weight = patches(k)
        return image * (np.nan if k == 5 else 1), residual, weight

    path = tmp_path / "c.npz"
    with pytest.raises(training.TrainingError, match="nan at step 5: lower the learning rate") as caught:
        training.fit(models.espcn(2, **SMALL), batches, 8, every=2, checkpoint=path)
    assert "\n" not in str(caught.value)
    with np.load(path) as stored:
        assert stored["history"][-1][0] == 4
        assert all(np.isfinite(stored[key]).all() for key in stored.files)


def test_a_flat_loss_is_reported_once():
    rng = np.random.default_rng(0)

    def batches(k):  # nothing to learn: the target does not depend on the input
        return rng.random((2, 8, 8, 1)).astype("f4"), np.where(k % 2, 1, -1) * np.ones((2, 16, 16, 1), "f4")

    with pytest.warns(training.TrainingWarning, match="the loss is .*does the target depend") as caught:
        training.fit(models.espcn(2, **SMALL), batches, 20, every=2, learning_rate=1e-5)
    assert len([w for w in caught if w.category is training.TrainingWarning]) == 1
    assert "\n" not in str(caught[0].message)


def test_a_falling_loss_is_not_called_flat(patches):
    x, y, _ = patches(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", training.TrainingWarning)
        history = training.fit(models.espcn(2, **SMALL), lambda k: (x, y), 60, every=5, learning_rate=1e-2)
    assert history[-1][1] < 0.9 * history[0][1]


def test_watching_changes_nothing_and_goes_on_with_the_checkpoint(patches, tmp_path):
    """The gain on development scans is measured evenly, with the averaged weights, and the training stays as it was."""
    seen = []

    def gain(model):
        seen.append([w.copy() for w in model.get_weights()])
        return len(seen)

    alone, watched, resumed = (models.espcn(2, **SMALL) for _ in range(3))
    training.fit(alone, patches, 12, every=2)
    watch = training.Watch(gain, times=3)
    training.fit(watched, patches, 12, every=2, watch=watch)
    equal(alone, watched)
    assert watch.rows == [(4, 1), (8, 2), (12, 3)]
    assert all(np.allclose(a, b, atol=1e-7) for a, b in zip(seen[-1], watched.get_weights(), strict=True))
    path, again = tmp_path / "c.npz", training.Watch(gain, times=3)
    training.fit(resumed, patches, 12, every=2, checkpoint=path, stop_after=6, watch=training.Watch(gain, times=3))
    training.fit(resumed, patches, 12, every=2, checkpoint=path, watch=again)
    assert [step for step, _ in again.rows] == [4, 8, 12]


def test_no_steps_no_change(patches):
    model = models.espcn(2, **SMALL)
    before = model.get_weights()
    assert training.fit(model, patches, 0) == []
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_single_step_is_a_training(patches):
    assert [step for step, _ in training.fit(models.espcn(2, **SMALL), patches, 1)] == [1]


def test_the_margin_is_left_out_of_the_loss(patches):
    """Whatever stands in the border of the targets, the training is the same."""
    inside, disturbed = models.espcn(2, **SMALL), models.espcn(2, **SMALL)
    x, y, _ = patches(0)
    bad = np.full_like(y, 100)
    bad[:, 4:-4, 4:-4] = y[:, 4:-4, 4:-4]
    training.fit(inside, lambda k: (x, y), 5, margin=4)
    training.fit(disturbed, lambda k: (x, bad), 5, margin=4)
    equal(inside, disturbed)


def test_weighted_patches_count_by_their_weight(patches):
    x, y, _ = patches(0)
    some, only = models.espcn(2, **SMALL), models.espcn(2, **SMALL)
    training.fit(some, lambda k: (x, y, np.array([2, 2, 0, 0], np.float32)), 5)
    training.fit(only, lambda k: (x[:2], y[:2]), 5)
    equal(some, only)


# ---------------------------------------------------------------- precision and recipes


def test_precision_holds_inside_only():
    from medsr_course.networks.models import keras

    before = keras.mixed_precision.global_policy().name
    with training.precision("mixed_bfloat16") as used:
        assert used == "mixed_bfloat16"
        assert models.espcn(2, **SMALL).layers[1].compute_dtype == "bfloat16"
    assert keras.mixed_precision.global_policy().name == before
    with pytest.raises(KeyError), training.precision("mixed_bfloat16"):
        raise KeyError
    assert keras.mixed_precision.global_policy().name == before


@pytest.mark.parametrize(
    ("gpus", "flags", "expected"),
    [
        (1, "fpu sse2", "mixed_bfloat16"),
        (0, "fpu avx512f avx512_bf16", "mixed_bfloat16"),
        (0, "fpu amx_bf16 amx_tile", "mixed_bfloat16"),
        (0, "fpu avx2 avx512f avx512_bf16x", "float32"),
        (0, "", "float32"),
    ],
)
def test_automatic_precision_asks_the_machine(monkeypatch, tmp_path, gpus, flags, expected):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(loop, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(loop, "_gpu", lambda: bool(gpus))
    with training.precision("auto") as used:
        assert used == expected
    monkeypatch.setattr(loop, "CPUINFO", tmp_path / "nowhere")  # not Linux
    with training.precision("auto") as used:
        assert used == ("mixed_bfloat16" if gpus else "float32")


def test_unknown_precisions_are_refused():
    with pytest.raises(ValueError, match="float32"), training.precision("float17"):
        pass


def test_recipes_are_automatic_and_buildable():
    recipes = training.superresolution.RECIPES
    assert {"srcnn-x2", "espcn-x2", "srresnet-x2", "srcnn-x4", "espcn-x4", "srresnet-x4"} <= set(recipes)
    for name, recipe in recipes.items():
        assert recipe.precision == "auto"
        assert name.split("-stage")[0].endswith(f"-x{recipe.settings['scale']}")
        assert recipe.architecture in models.ARCHITECTURES
        assert sum(recipe.share.values()) == pytest.approx(1)
        training.TASKS[recipe.task].degradation(recipe)
        assert recipe.size > 2 * recipe.margin


def test_unknown_recipes_are_refused():
    with pytest.raises(training.TrainingError, match="srresnet-x2"):
        training.train_weight("srresnet-x3")


def test_unknown_options_are_refused():
    recipe = training.Recipe("Toy", "denoising", "dncnn", {}, steps=1, options={"levles": (1, 2)})
    with pytest.raises(training.TrainingError, match="denoising has no option levles; there are: kind, levels"):
        training.TASKS["denoising"].usage(recipe, None)


@pytest.fixture
def toy(monkeypatch, tmp_path, slices):
    """A recipe of seconds: its material is the discs, and nothing is measured on scans."""
    from medsr_course.networks.training import sources, superresolution

    settings, share = {"scale": 2, **SMALL}, {"dead-leaves": 1.0}
    recipe = training.Recipe(
        "Toy", "super-resolution", "espcn", settings, steps=6, batch=4, size=8, margin=1, share=share
    )
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(superresolution.RECIPES, "toy-x2", recipe)
    monkeypatch.setattr(sources, "material", lambda share: (slices, None, {"dead-leaves": ["3 images"]}))
    monkeypatch.setattr(sources, "measured_on", lambda: {})
    monkeypatch.setattr(superresolution.SuperResolution, "development", lambda *_: lambda model: 1.25)


def test_a_card_is_measured_on_stored_and_signed_images_of_twenty_people(toy, monkeypatch, tmp_path):
    import nibabel as nib

    from medsr_course.networks.training import sources, superresolution

    rng = np.random.default_rng(0)
    volumes = [nib.Nifti1Image(rng.random((24, 24, 30)).astype(np.float32), np.eye(4)) for _ in range(20)]
    groups = {}
    for k, volume in enumerate(volumes):
        contrast = ("T1w", "T2w", "PDw", "FLAIR")[k % 4]
        groups.setdefault(f"cohort test, {contrast}", {})[f"sub-{k} {contrast}"] = volume
    groups["real validation: phantom, CT"] = {"phantom CT": volumes[0]}
    monkeypatch.setattr(sources, "measured_on", lambda: groups)
    recipe = superresolution.RECIPES["toy-x2"]
    found = superresolution.TASK.measure(superresolution.TASK.build(recipe), recipe)
    ends = ("", ", signed", ", one coil, 3 % noise", ", eight coils, 3 % noise", ", interpolated, 6 % noise")
    assert {f"cohort test{end}" for end in ends} <= set(found)
    assert {title for title in found if "CT" in title} == {"real validation: phantom, CT, signed"}
    whole, part = found["cohort test"], found["cohort test, T1w"]
    assert (whole["subjects"], part["subjects"]) == (20, 5)
    assert whole["gain, from (dB)"] <= whole["gain (dB)"] <= whole["gain, to (dB)"]
    assert "gain, from (dB)" not in part  # an interval over five people would be wide, and is not given
    assert 0 <= whole["slices better than ZIP (%)"] <= 100


def test_a_recipe_makes_both_files_and_the_card(toy, tmp_path):
    import hashlib
    import json

    from medsr_course.networks.pretrained import Card

    about = training.train_weight("toy-x2", tmp_path / "weights")
    assert sorted(p.name for p in (tmp_path / "weights").iterdir()) == [
        "toy-x2.json",
        "toy-x2.onnx",
        "toy-x2.weights.h5",
    ]
    card = Card.from_json((tmp_path / "weights" / "toy-x2.json").read_text(encoding="utf-8"))
    assert json.loads(card.to_json()) == json.loads(about.to_json())
    assert card.recipe == "make weights NAME=toy-x2"
    assert card.precision in ("float32", "mixed_bfloat16")
    assert card.curve[-1][0] == card.steps == 6
    assert card.development == [[6, 1.25]]
    for file, checksum in card.files.items():
        assert hashlib.sha256((tmp_path / "weights" / file).read_bytes()).hexdigest() == checksum
    assert not list((tmp_path / "cache").rglob("*.npz"))  # a finished training leaves no checkpoint


def test_the_same_recipe_makes_the_same_weights(toy):
    first, again = (training.train("toy-x2")[0] for _ in range(2))
    equal(first, again)
    assert first.layers[1].compute_dtype == "float32"  # whatever it was trained in


def test_data_sets_that_are_not_here_are_named(monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name, **options: datasets.Subjects([], name))
    with pytest.raises(training.TrainingError, match="ds002748 has no subjects for train here") as caught:
        training.subjects("ds002748", "train")
    assert isinstance(caught.value, runtime.CourseError)


def _full(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_no_checkpoint(monkeypatch, tmp_path):
    path = tmp_path / "run.npz"
    loop.store([np.ones(3)], 10, [(5, 1.0)], path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="No space left"):
        loop.store([np.zeros(3)], 10, [(6, 0.5)], path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]
    assert path.read_bytes() == before


def test_a_full_disk_costs_no_shipped_weight(monkeypatch, tmp_path):
    from medsr_course.networks.pretrained import card
    from medsr_course.networks.training import weights

    (tmp_path / "espcn-x2.onnx").write_text("the one that was there")
    model = models.espcn(2, filters=4, depth=2)
    monkeypatch.setattr(weights, "export", _full)
    with pytest.raises(OSError, match="No space left"):
        weights._publish(model, model, card("espcn-x2"), tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"espcn-x2.onnx": "the one that was there"}
    monkeypatch.setattr(weights, "train_weight", _full)
    with pytest.raises(SystemExit, match="error: no space left on the disk of .* free some space"):
        weights.main(["espcn-x2"])


def test_a_training_frees_the_networks_before_it(slices):
    """A chapter that trains fifteen small networks must not hold them all."""
    import weakref

    gone = models.build("espcn", scale=2, **SMALL)
    training.fit(gone, training.Patches(slices, training.Degradation(2, **PLAIN), size=8, batch=2, pool=2), 2)
    seen = weakref.ref(gone)
    del gone
    other = models.build("espcn", scale=2, **SMALL)
    training.fit(other, training.Patches(slices, training.Degradation(2, **PLAIN), size=8, batch=2, pool=2), 1)
    assert seen() is None
