"""Chapter 06: its physics claims, each with an implementation that is wrong in one point; exercises; layout."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught
from scipy import ndimage
from skimage import transform
from skimage.registration import phase_cross_correlation

from medsr_course import resources
from medsr_course.physics import acquisition, interpolation, metrics
from medsr_course.tasks import multiframe, orthogonal
from medsr_course.teaching import claims, quizzes

NOTEBOOK = resources.checkout() / "notebooks" / "06_transforms_many_frames.ipynb"
FOUR = [(0, 0), (0, 1), (1, 0), (1, 1)]
SAME = [(0, 0)] * 4


@pytest.fixture(scope="module")
def chapter():
    """Functions that the chapter itself defines, by name, without running the rest of it."""
    space = {"np": np, "multiframe": multiframe, "orthogonal": orthogonal, "transform": transform}
    return taught("06", space, constants=("THICK, NOISE",))


@pytest.fixture(scope="module")
def head():
    """Folded bands inside an ellipse, and noise-free: edges of every direction."""
    y, x = np.mgrid[:92, :92] - 45.5
    bands = np.sin(x / 3.1 + 2.2 * np.sin(y / 7)) + np.cos(y / 2.7 + np.sin(x / 9))
    image = np.where((x / 36) ** 2 + (y / 41) ** 2 < 1, 2 + np.tanh(4 * bands), 0.0)
    return ndimage.gaussian_filter(image, 0.7) / 3


def noisy(frames, percent, seed=0):
    noise = np.random.default_rng(seed).normal(size=frames.shape)
    return frames + percent / 100 * noise


# -- transforms -------------------------------------------------------------------------------------


def test_rotate_about(chapter):
    mine, centre = chapter["rotate_about"], np.array([20.0, 31.0])
    there, back = (transform.AffineTransform(translation=s * centre) for s in (1, -1))
    theirs = (back + transform.AffineTransform(rotation=np.deg2rad(25)) + there).params
    assert np.abs(mine(25, centre) - theirs).max() < 1e-6
    assert np.allclose(mine(25, centre) @ [*centre, 1], [*centre, 1])
    wrong = (there + transform.AffineTransform(rotation=np.deg2rad(25)) + back).params  # composed the other way
    assert np.abs(wrong - theirs).max() > 1


def test_libraries_turn_alike(chapter, head):
    pull = np.linalg.inv(chapter["rotate_about"](25, (45.5, 45.5)))
    skimage = transform.warp(head, pull, order=1)
    scipy = ndimage.affine_transform(head, pull[[1, 0, 2]][:, [1, 0, 2]], order=1)
    forward = ndimage.affine_transform(head, np.linalg.inv(pull)[[1, 0, 2]][:, [1, 0, 2]], order=1)  # wrong
    unswapped = ndimage.affine_transform(head, pull, order=1)  # wrong
    middle = (slice(20, 72), slice(20, 72))
    assert np.abs(skimage - scipy)[middle].max() < 1e-5
    assert np.abs(skimage - forward)[middle].max() > 0.1
    assert np.abs(skimage - unswapped)[middle].max() > 0.1


@pytest.mark.parametrize("order", [1, 3])
def test_composed_turns_lose_less(chapter, head, order):
    chapter["centre"], chapter["inside"] = (45.5, 45.5), np.ones_like(head)
    core = np.hypot(*(np.indices(head.shape) - 45.5)) < 38

    def quality(angles):
        return metrics.psnr(head, chapter["travel"](head, angles, order)[-1], mask=core)

    assert quality([150, -150]) > quality(6 * [25] + 6 * [-25]) + 3
    assert quality([150, -145]) < quality(6 * [25] + 6 * [-25]) + 3  # wrong: a composition that misses


def test_a_geometric_enlargement_is_interpolation(head):
    low = acquisition.kspace_crop(head, 2)
    matrix = np.diag([0.5, 0.5])
    enlarged = ndimage.affine_transform(low, matrix, output_shape=head.shape, order=1, mode="mirror")
    assert np.abs(enlarged - interpolation.linear(low, 2)).max() < 1e-6
    aside = ndimage.affine_transform(low, matrix, -0.25, head.shape, order=1, mode="mirror")  # wrong: half a pixel
    assert np.abs(aside - interpolation.linear(low, 2)).max() > 0.05


# -- registration -----------------------------------------------------------------------------------


@pytest.mark.parametrize("detector", ["kspace", "box"])
def test_my_register(chapter, head, detector):
    mine = chapter["my_register"]
    for k, d in enumerate([(2.6, -3.3), (-0.4, 0.7), (0, 0), (3.9, 1.1)]):
        pair = noisy(multiframe.observe(head, 2, [(0, 0), d], detector), 3, k)
        theirs = phase_cross_correlation(*pair, upsample_factor=100, normalization=None)[0]
        assert np.abs(mine(*pair) - theirs).max() < 1e-6
        assert np.abs(2 * mine(*pair) - d).max() / 2 < 0.1
        whole = mine(*pair, upsample=1)  # wrong: whole pixels only
        assert np.abs(whole - np.round(whole)).max() < 1e-9
    assert np.abs(2 * mine(*pair, upsample=1) - d).max() / 2 > 0.04
    assert np.abs(2 * mine(*pair[::-1]) - d).max() > 1  # wrong: exchanged


def test_mutual_information_aligns_what_squared_differences_do_not(chapter):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    chapter["sitk"] = sitk
    z, y, x = np.mgrid[:40, :44, :48] - np.array([20, 22, 24])[:, None, None, None]
    inside = (z / 15) ** 2 + (y / 17) ** 2 + (x / 19) ** 2 < 1
    tissue = np.where(inside, 1 + (np.sin(x / 3) * np.cos(y / 4) + np.sin(z / 3 + x / 9) > 0), 0)
    t1 = ndimage.gaussian_filter(np.choose(tissue, [0.0, 30.0, 100.0]), 0.7)
    t2 = ndimage.gaussian_filter(np.choose(tissue, [0.0, 100.0, 20.0]), 0.7)
    fixed, other = (sitk.GetImageFromArray(v.astype(np.float32)) for v in (t1, t2))
    for image in (fixed, other):
        image.SetSpacing((2.0, 2.0, 2.0))
    true = sitk.Euler3DTransform((48.0, 44.0, 40.0), 0.05, -0.04, 0.06, (3.0, -4.0, 2.0))
    moving = sitk.Resample(other, fixed, true, sitk.sitkLinear)
    points = [fixed.TransformIndexToPhysicalPoint(p.tolist()) for p in np.argwhere(inside)[::400, ::-1]]

    def error(criterion):
        return chapter["target_error"](true, chapter["rigid"](fixed, moving, criterion), points)

    assert error("mutual information") < 0.5
    assert error("squared difference") > 2  # wrong: it wants equal intensities


# -- frames -----------------------------------------------------------------------------------------


def test_shifted_kspace_frames_hold_nothing_new(head):
    assert head.shape[0] // 2 % 2 == 0
    odd = head[:90, :90]
    fy, fx = np.fft.fftfreq(45)[:, None] / 2, np.fft.fftfreq(45) / 2

    def miss(detector):
        band = np.fft.fft2(multiframe.observe(odd, 2, FOUR, detector))
        phases = [np.exp(2j * np.pi * (fy * dy + fx * dx)) for dy, dx in FOUR]
        return np.abs(band - band[0] * phases).max() / np.abs(band[0]).max()

    assert miss("kspace") < 1e-6
    assert miss("box") > 1e-3  # wrong: a detector that aliases
    frames = {
        s: noisy(multiframe.observe(odd, 2, shifts, "kspace"), 3, k) for k, (s, shifts) in enumerate(SETS.items())
    }
    average = metrics.psnr(odd, interpolation.zero_fill(frames["unshifted"].mean(axis=0), 2))
    joint = metrics.psnr(odd, multiframe.fuse(frames["shifted"], 2, FOUR, 1e-6, detector="kspace"))
    assert abs(average - joint) < 0.2
    careless = metrics.psnr(odd, interpolation.zero_fill(frames["shifted"].mean(axis=0), 2))  # wrong: shifts ignored
    assert average - careless > 1
    clean = multiframe.fuse(multiframe.observe(odd, 2, FOUR, "kspace"), 2, FOUR, 1e-6, detector="kspace")
    once = interpolation.zero_fill(acquisition.kspace_crop(odd, 2), 2)
    assert metrics.psnr(odd, clean) - metrics.psnr(odd, once) < 0.01


SETS = {"shifted": FOUR, "unshifted": SAME}


def gain(head, percent, damping, detector="box", scale=2, sets=SETS):
    psnr = []
    for name, shifts in sets.items():
        frames = noisy(multiframe.observe(head, scale, shifts, detector), percent)
        out = multiframe.fuse(frames, scale, shifts, damping[name], detector=detector, roughness=True)
        psnr.append(metrics.psnr(head, out))
    return psnr[0] - psnr[1]


LOW = {"shifted": 1e-2, "unshifted": 1e-4}


def test_shifted_box_frames_gain_at_low_noise_and_lose_at_high(head):
    assert gain(head, 0.5, LOW) > 3
    assert gain(head, 0.5, LOW, detector="kspace") < 0.5  # wrong: a detector that does not alias
    assert gain(head, 8, LOW) < -1
    high = {"shifted": 0.3, "unshifted": 0.3}
    assert gain(head, 8, high) > -1
    assert gain(head, 8, high) > gain(head, 8, LOW) + 1  # wrong: λ of another noise level


def test_wrong_shifts_cost(head):
    frames = noisy(multiframe.observe(head, 2, FOUR), 0.5)
    rng = np.random.default_rng(1)

    def quality(shifts):
        return max(metrics.psnr(head, multiframe.fuse(frames, 2, shifts, d, roughness=True)) for d in (0.01, 0.1, 1))

    wrong = np.mean([quality(FOUR + rng.normal(0, 0.2, (4, 2))) for _ in range(4)])  # a tenth of a coarse pixel
    assert quality(FOUR) - wrong > 1
    measured = [2 * multiframe.register(frames[0], frame) for frame in frames]
    assert quality(FOUR) - quality(measured) < 1


def test_thick_slices(head):
    sets = {"shifted": [(k, 0) for k in range(4)], "unshifted": SAME}
    assert gain(head, 0.5, LOW, scale=(4, 1), sets=sets) > 3
    across = {"shifted": [(0, k) for k in range(4)], "unshifted": SAME}  # wrong: shifted within the slices
    assert gain(head, 0.5, LOW, scale=(4, 1), sets=across) < 1


@pytest.fixture(scope="module")
def body():
    """Folds inside an ellipsoid, in air: 48 × 44 × 40 voxels."""
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in (48, 44, 40)), indexing="ij")
    folds = np.sin(z / 2.3 + 1.5 * np.sin(y / 4)) + np.cos(y / 2.1 + np.sin(x / 5)) + np.sin(x / 1.9 + z / 6)
    image = np.where((z / 18) ** 2 + (y / 16) ** 2 + (x / 14) ** 2 < 1, 2 + np.tanh(2 * folds), 0.0)
    return ndimage.gaussian_filter(image, 0.7) / 3


@pytest.fixture(scope="module")
def three(body):
    """Stacks in three directions of a body that moved, its motions, and the PSNR of its best single stack."""
    stacks, true = orthogonal.measure(body, 4, 0.01, np.random.default_rng(5), degrees=4, voxels=1.5)
    return stacks, true, orthogonal.best_single(body, 4, 0.01, np.random.default_rng(6), 1e-2)


def test_my_three_stacks(chapter, three):
    stacks, true, _ = three
    mine, theirs = chapter["my_three_stacks"](stacks, true, 3), orthogonal.back_project(stacks, 4, true, 3)
    assert np.abs(mine - theirs).max() < 1e-6
    still = chapter["my_three_stacks"](stacks, 3 * [orthogonal.STILL], 3)  # wrong: nothing moves
    assert np.abs(still - theirs).max() > 0.1


def test_three_orthogonal_stacks_beat_the_best_single_one(body, three):
    stacks, true, single = three

    def gain(seen, motions, rounds=5, axes=orthogonal.AXES):
        return metrics.psnr(body, orthogonal.back_project(seen, 4, motions, rounds, axes)) - single

    found = orthogonal.align(stacks, 4)
    assert gain(stacks, found) > 3
    assert gain(stacks, 3 * [orthogonal.STILL]) < 0  # wrong: motion ignored
    assert gain(stacks, [-m for m in found]) < 0  # wrong: motion undone the other way
    assert gain(stacks, [m * [1, 1, 1, 0, 0, 0] for m in found]) < 0  # wrong: turned only
    assert gain(stacks, found, 0) < gain(stacks, found) - 2  # wrong: averaged, not back-projected
    noise = np.random.default_rng(7)
    alike = [orthogonal.acquire(body, 2, 4) for _ in range(3)]
    alike = [y + 0.01 * noise.standard_normal(y.shape) for y in alike]
    assert gain(alike, 3 * [orthogonal.STILL], 5, (2, 2, 2)) < 0.5  # wrong: three times the same direction


def test_stacks_are_registered_by_what_their_slices_would_show(body, three):
    stacks, true, _ = three
    points = np.argwhere(body > 0.3)[::20]

    def error(motions):
        pairs = zip(motions[1:], true[1:], strict=True)
        return max(orthogonal.apart(m, t, points, body.shape).mean() for m, t in pairs)

    found = orthogonal.align(stacks, 4)
    assert error(found) < 0.15
    assert error(3 * [np.zeros(6)]) > 1  # wrong: not registered
    with pytest.raises(ValueError, match="one value"):
        orthogonal.register(np.ones((48, 44, 10)), 2, 4, body)
    with pytest.raises(ValueError, match="divisible"):
        orthogonal.acquire(body[:, :, :39], 2, 4)


def test_a_motion_undone_is_home_again(body):
    motion = [3.0, -2.0, 4.0, 1.2, -0.7, 0.4]
    home = orthogonal.move_back(orthogonal.move(body, motion, order=3), motion, order=3)
    assert metrics.psnr(body, home) > 35
    twice = orthogonal.move(orthogonal.move(body, motion, order=3), motion, order=3)  # wrong: moved on, not back
    assert metrics.psnr(body, twice) < 25


def test_back_projection_and_when_to_stop(chapter, head):
    mine = chapter["my_back_project"]
    clean = multiframe.observe(head, 2, FOUR)
    assert np.abs(mine(clean, FOUR, 2, 7) - multiframe.back_project(clean, 2, FOUR, 7)).max() < 1e-6
    backwards = [(-dy, -dx) for dy, dx in FOUR]  # wrong: shifts the other way
    assert np.abs(mine(clean, backwards, 2, 7) - multiframe.back_project(clean, 2, FOUR, 7)).max() > 0.01

    def trace(frames):
        psnr, residual = [], []
        mine(frames, FOUR, 2, 80, lambda x, r: (psnr.append(metrics.psnr(head, x)), residual.append(r)))
        return np.array(psnr), np.array(residual)

    psnr, _ = trace(clean)
    assert psnr[-1] >= psnr.max()
    psnr, residual = trace(noisy(clean, 2))
    assert psnr.max() - psnr[-1] > 3
    stop = int(np.argmax(residual <= 0.02))
    assert psnr.max() - psnr[stop] < 2
    late = int(np.argmax(residual <= 0.002)) or 79  # wrong: a noise level ten times too low
    assert psnr.max() - psnr[late] > 3


def test_priors_beat_smoothness(chapter, head):
    from skimage.restoration import denoise_tv_chambolle

    frames = noisy(multiframe.observe(head, 2, FOUR), 3)
    smooth = max(metrics.psnr(head, multiframe.fuse(frames, 2, FOUR, d, roughness=True)) for d in (0.03, 0.1, 0.3))

    def tv(weight):
        out = chapter["plug_and_play"](frames, FOUR, lambda x: denoise_tv_chambolle(x, weight, max_num_iter=50))
        return metrics.psnr(head, out)

    assert max(tv(w) for w in (0.02, 0.04, 0.08)) > smooth + 0.4
    assert tv(2.0) < smooth  # wrong: far too strong
    assert tv(1e-4) < smooth  # wrong: next to nothing


# -- layout -----------------------------------------------------------------------------------------


def test_exercises_and_quiz_are_there():
    names = exercises_of("06")
    assert names == {"06-rigid-matrix", "06-find-shift", "06-adjoint"}
    assert 3 <= len(quizzes.questions("06")) <= 6
    centres = quiz_numbers("06")
    assert centres == pytest.approx([6.02, 4], abs=0.01)


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "Registration error",
        "nothing",
        "Four shifted box frames beat",
        "turns at a noise level",
        "real",
        "Three orthogonal",
    ):
        assert words in text
