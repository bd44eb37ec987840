"""Chapter 16: its definitions against the package, its physics claims each with something wrong; exercises; layout."""

import numpy as np
import pytest
import pywt
from conftest import exercises_of, quiz_numbers, taught
from scipy import ndimage, sparse

from medsr_course import resources, runtime
from medsr_course.physics import interpolation, tomography
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.tasks import emission, fusion, multiframe
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "16_multimodal_fusion.ipynb"
WANTED = {"my_injection", "my_neighbours", "my_map_em", "my_fusion"}


@pytest.fixture(scope="module")
def chapter():
    space = {
        "np": np,
        "ndimage": ndimage,
        "sparse": sparse,
        "pywt": pywt,
        "interpolation": interpolation,
        "SCALE": 4,
    }
    return taught("16", space, WANTED)


def head(seed=0, size=96):
    """Two contrasts (3, h, w) of one round thing with inner edges: what is bright in one is dark in the other."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2
    fields = np.stack([ndimage.gaussian_filter(rng.standard_normal((size, size)), 4) for _ in range(3)])
    labels = np.where(np.hypot(y / 0.42, x / 0.36) < size, 1 + (fields > 0) + (fields > 0.06), 0)
    t1, t2 = (np.array(values)[labels] for values in ((0.02, 0.3, 0.6, 0.9), (0.05, 1.0, 0.7, 0.5)))
    return tuple(ndimage.gaussian_filter(one, (0, 0.7, 0.7)).astype(np.float32) for one in (t1, t2))


def disc():
    """A small phantom of PET: activity, anatomy (both (h, w)), camera."""
    y, x = np.mgrid[:24, :24] - 11.5
    inside = np.hypot(y, x) < 9
    activity, anatomy = inside * 1.0 + 3 * (np.hypot(y - 3, x) < 3), inside * 0.8 - 0.4 * (np.hypot(y - 3, x) < 3)
    return activity, anatomy, tomography.emission_system(24, np.arange(24) * 7.5, fwhm=2.0, counts_per_unit=20.0)


# ---------------------------------------------------------------- guides for MR


def test_injection_is_the_package_s(chapter):
    guide, target = head()
    coarse = np.abs(kspace_crop(target, 4))
    zipped = interpolation.zero_fill(coarse, 4)
    theirs = fusion.inject(coarse, guide, 4, 8, 1e-3)
    mine = [
        chapter["my_injection"](z.astype(float), g.astype(float), 8, 1e-3) for z, g in zip(zipped, guide, strict=True)
    ]
    np.testing.assert_allclose(mine, theirs, atol=1e-5)

    def error(image):
        return np.mean((image - target)[:, 32:64, 32:64] ** 2)  # away from the outline, which all heads share

    stranger = fusion.inject(coarse, head(5)[0], 4, 8, 1e-3)
    assert error(theirs) < 0.9 * error(zipped)
    assert error(theirs) < 0.9 * error(stranger)  # wrong: a guide of another person
    assert error(fusion.guided_filter(coarse, guide, 4, 3, 10.0)) > error(theirs)


def test_injection_translates_unit_and_sign():
    guide, _ = head()
    target = 5 - 2.5 * guide
    coarse = kspace_crop(target, 4)
    made = fusion.inject(coarse, guide, 4, 8, 1e-9)
    np.testing.assert_allclose(made, target, atol=0.02)
    wrong = interpolation.zero_fill(coarse, 4) + interpolation.hidden(guide, 4)  # wrong: the guide's own unit and sign
    assert np.abs(wrong - target).max() > 0.3


def test_a_motion_is_undone_by_registration_across_contrasts():
    guide, target = head()
    off = fusion.moved(guide, degrees=2, rows=3, columns=-2)
    back = fusion.moved(off, *fusion.register(target, off))
    inner = np.s_[:, 12:-12, 12:-12]
    assert np.abs(back - guide)[inner].mean() < 0.4 * np.abs(off - guide)[inner].mean()
    shift = -multiframe.register(target[1], off[1], upsample=10)  # wrong: the peak of a correlation
    again = fusion.moved(off, -2, *shift)
    assert np.abs(again - guide)[inner].mean() > np.abs(back - guide)[inner].mean()


def test_moved_says_which_way():
    image = np.zeros((1, 9, 9))
    image[0, 4, 6] = 1
    down = fusion.moved(image, rows=2)[0]
    assert np.unravel_index(down.argmax(), down.shape) == (6, 6)
    turned = fusion.moved(image, degrees=90, columns=1)[0]
    place = np.unravel_index(turned.argmax(), turned.shape)
    assert place[1] == 5
    np.testing.assert_allclose(fusion.carried([(4, 6)], image.shape, 90, 0, 1), [place], atol=1e-9)


def test_the_network_without_training_is_zero_filling_and_reads_its_guide():
    from medsr_course.networks import models
    from medsr_course.networks.training import guided

    model = models.guided(4, filters=4, depth=1)
    rng = np.random.default_rng(0)
    coarse, guide = rng.random((1, 10, 12)), rng.random((1, 40, 48))
    np.testing.assert_allclose(
        guided.super_resolve(model, coarse, guide), interpolation.zero_fill(coarse, 4), atol=1e-5
    )
    model.set_weights([0.2 * rng.standard_normal(w.shape) for w in model.get_weights()])
    one, other = (guided.super_resolve(model, coarse, g) for g in (guide, guide[:, ::-1]))
    assert np.abs(one - other).max() > 1e-3
    scaled = guided.super_resolve(model, 7 * coarse, guide)
    np.testing.assert_allclose(scaled, 7 * one, rtol=1e-4, atol=1e-4)


def test_batches_hold_the_guide_that_was_asked_for():
    from medsr_course.networks.training import GuidedPatches

    people = [tuple(reversed(head(seed))) for seed in range(3)]  # T2w, then its guide
    batches = {name: GuidedPatches(people, 4, guides=name, size=12, batch=6) for name in ("own", "another", "none")}
    (coarse, guide), residual = batches["own"](3)
    assert coarse.shape == (6, 12, 12, 1)
    assert guide.shape == residual.shape == (6, 48, 48, 1)
    for source in batches.values():
        (again, _), same = source(3)
        np.testing.assert_array_equal(again, coarse)  # nothing but the guide differs
        np.testing.assert_array_equal(same, residual)
    rolled = [(people[k][0], people[(k + 1) % 3][1]) for k in range(3)]
    wanted = GuidedPatches(rolled, 4, size=12, batch=6)(3)[0][1]
    np.testing.assert_array_equal(batches["another"](3)[0][1], wanted)
    assert np.abs(wanted - guide).max() > 0.1
    assert not batches["none"](3)[0][1].any()
    with pytest.raises(ValueError, match="guides must be"):
        GuidedPatches(people, 4, guides="any")


# ---------------------------------------------------------------- PET


def test_ties_are_the_package_s(chapter):
    anatomy = np.random.default_rng(0).random((9, 7))
    np.testing.assert_allclose(
        chapter["my_neighbours"](anatomy, 4).toarray(), emission.neighbours(anatomy, 4).toarray()
    )
    ties = emission.neighbours(anatomy, 8, 2)
    assert abs(ties - ties.T).max() == 0
    assert ties.sum() == 8 * anatomy.size


def test_guided_mlem_is_the_package_s_and_climbs(chapter):
    activity, anatomy, camera = disc()
    counts = np.random.default_rng(0).poisson(camera @ activity.ravel()).astype(float)
    ties = emission.neighbours(anatomy, 4)
    images = chapter["my_map_em"](camera, counts, 10, ties, 0.01)
    np.testing.assert_allclose(images[-1], emission.map_em(camera, counts, 10, ties, 0.01), rtol=1e-6)
    both = emission.map_em(camera, np.stack([counts, counts], axis=1), 10, ties, 0.01)
    np.testing.assert_allclose(both[:, 1], images[-1], rtol=1e-6)
    np.testing.assert_allclose(
        emission.map_em(camera, counts, 10, ties, 0.0), tomography.mlem(camera, counts, 10), rtol=1e-6, atol=1e-9
    )
    beta = 0.01 * (camera.T @ np.ones(camera.shape[0])).mean()

    def goal(x):
        rough = (ties.sum(axis=1) * x * x).sum() - x @ (ties @ x)
        return tomography.poisson_log_likelihood(counts, camera @ x) - beta / 2 * rough

    assert np.diff([goal(x) for x in images]).min() > -1e-9
    ends = [emission.map_em(camera, counts, 100, ties, strength) for strength in (0.01, 0.0)]
    assert goal(ends[0]) > goal(ends[1])  # wrong: steps of MLEM, which know no penalty


def test_a_guide_lowers_the_error_and_spreads_what_it_does_not_show():
    activity, anatomy, camera = disc()
    counts = np.random.default_rng(1).poisson(camera @ activity.ravel()[:, None], (camera.shape[0], 4)).astype(float)
    hot = activity > 2

    def found(guide, strength):
        x = emission.map_em(camera, counts, 80, emission.neighbours(guide, 4), strength)
        x = x.reshape(24, 24, -1)
        return np.sqrt(np.mean((x - activity[..., None]) ** 2)), x[hot].mean()

    plain, seen, blind = found(anatomy, 0.0), found(anatomy, 0.03), found((anatomy > 0.2) * 0.8, 0.03)
    assert seen[0] < plain[0]
    assert blind[1] < seen[1] - 0.1  # wrong guide: one in which the lesion is not there


def test_contrast_and_error_know_the_truth():
    truth = np.zeros((8, 8))
    truth[2:4, 2:4] = 3
    assert emission.contrast(truth, truth > 0, truth == 0) == 3
    assert emission.filtered(truth[..., None], 0).sum() == pytest.approx(12)
    assert emission.filtered(truth[..., None], 2).max() < 3


# ---------------------------------------------------------------- merged images


def test_wavelet_fusion_is_the_package_s_and_its_score_rises_while_it_is_wrong(chapter):
    activity, anatomy, _ = disc()
    pet = ndimage.gaussian_filter(activity, 1.5) / 4
    mine = chapter["my_fusion"](pet, anatomy)
    np.testing.assert_allclose(mine, fusion.wavelet_fusion(pet, anatomy), atol=1e-10)
    assert fusion.edge_score(pet, anatomy, mine) > fusion.edge_score(pet, anatomy, (pet + anatomy) / 2)
    assert np.corrcoef(mine.ravel(), activity.ravel())[0, 1] < np.corrcoef(pet.ravel(), activity.ravel())[0, 1]


def test_edge_score_is_high_for_a_source_and_low_for_noise():
    guide, target = (one[0].astype(float) for one in head())
    noise = np.random.default_rng(0).random(guide.shape)
    same, strange = fusion.edge_score(guide, guide, guide), fusion.edge_score(guide, target, noise)
    assert same > 0.95
    assert strange < 0.4


def test_uptake_of_a_known_lesion():
    image = np.ones((4, 10, 10))
    image[1:3, 2:6, 2:6] = 5.0
    found = fusion.uptake(image, np.ones(image.shape, bool), voxel=50.0)
    assert found == {"max": 5.0, "mean": 5.0, "volume": pytest.approx(32 * 50 / 1000)}
    assert fusion.uptake(image, np.ones(image.shape, bool), voxel=50.0, share=0.1)["volume"] == pytest.approx(20)


# ---------------------------------------------------------------- layout


def test_exercises_and_quiz_are_there():
    assert exercises_of("16") == {"16-detail", "16-neighbours", "16-gtm"}
    assert quiz_numbers("16") == pytest.approx([4, 8])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("same network alone", "another person's guide", "shift of 2 mm", "Registration gives back",
                  "PET-only lesion", "MR-only lesion", "Q^AB/F", "Error of activity", "SUVmax"):  # fmt: skip
        assert words in text


def test_registration_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    with pytest.raises(runtime.CourseError, match="SimpleITK"):
        fusion.register(*head())
