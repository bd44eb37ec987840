"""Chapter 09: its physics and invariant claims, each with an implementation that is wrong in one point; layout."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught

from medsr_course import resources, runtime
from medsr_course.physics import acquisition, coils, interpolation
from medsr_course.physics.noise import add_complex_noise
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "09_cnn_super_resolution.ipynb"
WANTED = ("tiles", "my_depth_to_space", "Differences", "my_srcnn", "upscale", "gabor_bank", "Ways", "without_corners")
WAYS = ("magnitude", "blur", "noisy")


@pytest.fixture(scope="module")
def chapter():
    """Functions and classes that the chapter itself defines, by name, without running the rest of it."""
    from medsr_course.networks import models, pretrained

    keras = models.keras
    space = {
        "np": np,
        "keras": keras,
        "layers": keras.layers,
        "ops": keras.ops,
        "SEED": 0,
        "acquisition": acquisition,
        "coils": coils,
        "add_complex_noise": add_complex_noise,
        "pretrained": pretrained,
        "crop": acquisition.kspace_crop,
    }
    taught("09", space, (*WANTED, *WAYS))
    space["WAYS"] = {name: space[name] for name in WAYS}
    return space


@pytest.fixture(scope="module")
def head():
    """Folded bands inside an ellipse, in 0 … 3."""
    y, x = np.mgrid[:196, :200] - 98
    bands = np.sin(x / 6.1 + 2.2 * np.sin(y / 14)) + np.cos(y / 5.7 + np.sin(x / 18))
    return np.where((x / 80) ** 2 + (y / 90) ** 2 < 1, 2 + np.tanh(4 * bands), 0.0)[None].astype(np.float32)


def test_tiles_cut_squares(chapter, head):
    cut = chapter["tiles"](head).reshape(3, 3, 64, 64)
    assert np.array_equal(cut[1, 2], head[0, 64:128, 128:192])


def test_no_plane_is_nearer_than_the_principal_one():
    """The claim on the article's network rests on this; a plane chosen in any other way is farther away."""
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(60, 40)) @ rng.normal(size=(40, 40))
    patches -= patches.mean(axis=0)
    left_over = np.linalg.eigvalsh(patches.T @ patches)[:-8].sum()
    best, _, _ = np.linalg.svd(patches.T, full_matrices=False)
    assert np.isclose(((patches - patches @ best[:, :8] @ best[:, :8].T) ** 2).sum(), left_over)
    other, _ = np.linalg.qr(rng.normal(size=(40, 8)))
    assert ((patches - patches @ other @ other.T) ** 2).sum() > 1.1 * left_over


def test_my_depth_to_space(chapter):
    from medsr_course.networks.layers import DepthToSpace

    for s, c in ((2, 1), (3, 2)):
        x = np.random.default_rng(0).normal(size=(2, 5, 7, s * s * c)).astype(np.float32)
        want = np.asarray(DepthToSpace(s)(x))
        assert np.array_equal(chapter["my_depth_to_space"](x, s), want)
        wrong = x.reshape(2, 5 * s, 7 * s, c)  # a reshape alone
        assert np.abs(wrong - want).max() > 1


def test_my_srcnn_is_that_of_the_package(chapter):
    from medsr_course.networks import models

    mine, theirs = chapter["my_srcnn"](), models.srcnn(2)
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.1, w.shape) for w in mine.get_weights()]
    x = rng.normal(size=(1, 21, 26, 1)).astype(np.float32)
    mine.set_weights(weights), theirs.set_weights(weights)
    a, b = (np.asarray(model(x)) for model in (mine, theirs))
    assert np.abs(a - b).max() < 1e-6 * np.abs(b).max()
    theirs.set_weights([weights[0] * 1.1, *weights[1:]])
    assert np.abs(a - np.asarray(theirs(x))).max() > 1e-2 * np.abs(b).max()


def test_untrained_is_zero_filling_and_consistency_holds_for_any_weights(chapter, head):
    from medsr_course.networks import models
    from medsr_course.physics import metrics

    runtime.start("smoke", 0)
    coarse = acquisition.kspace_crop(head, 2)
    start = interpolation.zero_fill(coarse, 2)
    for name in ("srcnn", "srresnet"):
        model = models.build(name, scale=2)
        assert np.abs(chapter["upscale"](model, coarse) - start).max() < 1e-5
        rng = np.random.default_rng(1)
        model.set_weights([rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
        assert metrics.low_band_residual(coarse, chapter["upscale"](model, coarse, "hard"), 2) < 1e-5
        assert metrics.low_band_residual(coarse, chapter["upscale"](model, coarse), 2) > 1e-3  # without the rule


def test_gabor_filters_see_no_brightness_and_all_differ(chapter):
    bank = chapter["gabor_bank"]()[:, :, 0]
    assert bank.shape == (9, 9, 64)
    assert np.abs(bank.sum(axis=(0, 1))).max() < 1e-6
    flat = bank.reshape(81, 64) / np.linalg.norm(bank.reshape(81, 64), axis=0)
    alike = flat.T @ flat - np.eye(64)
    assert alike.max() < 0.99


def test_ways_make_pairs_on_one_grid(chapter, head):
    for name in WAYS:
        coarse, fine, _ = chapter["Ways"](name).pair(head[0], np.random.default_rng(0))
        assert fine.shape == (196, 196)
        assert coarse.shape == (98, 98)
        aside = np.roll(fine, 1, axis=1)[::2, ::2]
        assert np.mean((coarse - fine[::2, ::2]) ** 2) < 0.5 * np.mean((coarse - aside) ** 2)


def test_stored_ways_are_magnitudes_whose_truth_does_not_agree_with_them(chapter, head):
    """Why the chapter's networks have no hard consistency: the truth's own residual is not zero."""
    from medsr_course.physics import metrics

    for name in ("magnitude", "noisy"):
        coarse = chapter[name](head, np.random.default_rng(0)).astype(np.float32)
        assert coarse.min() >= 0
        assert metrics.low_band_residual(coarse, head, 2) > 0.005
    signed = acquisition.kspace_crop(head, 2)
    assert signed.min() < 0
    assert metrics.low_band_residual(signed, head, 2) < 1e-5  # of signed data it is


def test_corners_are_lost_and_the_rest_is_kept(chapter, head):
    whole = acquisition.kspace_crop(coils.object_of(head, "a"), 2)
    image, share = chapter["without_corners"](whole)
    assert share == pytest.approx(np.pi / 4, abs=0.01)
    before, after = (acquisition.to_kspace(x)[0] for x in (whole, image))
    assert np.abs(after[0, 0]) < 1e-6 < np.abs(before[0, 0])
    middle = np.s_[30:70, 30:70]
    assert np.allclose(after[middle], before[middle], atol=1e-4)
    unlike, half = before.copy(), before.shape[0] // 2
    unlike[:half] = 0  # half of the k-space, and not its corners, is another matter
    assert np.abs(acquisition.from_kspace(unlike) - image[0]).max() > 0.1


def test_exercises_and_quiz_are_there():
    assert exercises_of("09") == {
        "09-space-to-depth",
        "09-reach",
        "09-keep-measured",
    }
    assert quiz_numbers("09") == pytest.approx([19440])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "SRCNN trained here beats ZIP",
        "SRResNet trained here beats ZIP",
        "Shipped SRCNN beats ZIP",
        "Shipped SRResNet beats ZIP",
        "ahead of shipped SRCNN",
        "no real test scan below ZIP",
        "untrained network is zero-filling",
        "changes ZIP inside the head",
        "ZIP loses without the corners",
    ):
        assert words in text
