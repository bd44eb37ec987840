"""Many frames: adjoints, exactness of the joint solution, convergence, what a wrong shift does."""

import numpy as np
import pytest

from medsr_course.physics import acquisition, interpolation, metrics
from medsr_course.tasks import multiframe

SHIFTS = [(0, 0), (0.3, 0), (0, -1.7), (1, 1)]
CASES = [("box", 2, (12, 18)), ("box", (4, 1), (24, 7)), ("box", 3, (9, 12)), ("kspace", 2, (10, 14))]
CASES += [("kspace", (3, 1), (18, 5)), ("kspace", 2, (12, 16))]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("detector", "scale", "shape"), CASES)
def test_adjoint(rng, detector, scale, shape):
    x = rng.normal(size=(2, *shape))
    y = multiframe.observe(x, scale, SHIFTS, detector)
    u = rng.normal(size=y.shape)
    back = multiframe.observe_adjoint(u, scale, SHIFTS, detector)
    assert np.isclose((y * u).sum(), (x * back).sum())
    assert y.shape[:2] == (4, 2)
    assert back.shape == x.shape


@pytest.mark.parametrize(("detector", "scale", "shape"), CASES)
@pytest.mark.parametrize("roughness", [False, True])
def test_fuse_is_the_damped_least_squares_solution(rng, detector, scale, shape, roughness):
    """Against a dense matrix: fractions of a pixel, −N/2, aliases, all of it."""
    eye = np.eye(np.prod(shape)).reshape(-1, *shape)
    matrix = np.stack([multiframe.observe(e, scale, SHIFTS, detector).ravel() for e in eye], axis=1)
    frames = rng.normal(size=multiframe.observe(eye[0], scale, SHIFTS, detector).shape)
    towards = rng.normal(size=shape)
    penalty = np.eye(len(eye))
    if roughness:
        steps = [(e - np.roll(e, 1, axis)).ravel() for axis in (0, 1) for e in eye]
        steps = np.reshape(steps, (2, len(eye), -1))
        penalty = steps[0] @ steps[0].T + steps[1] @ steps[1].T + 1e-6 * penalty
    right = matrix.T @ frames.ravel() + 0.1 * penalty @ towards.ravel()
    want = np.linalg.solve(matrix.T @ matrix + 0.1 * penalty, right).reshape(shape)
    got = multiframe.fuse(frames, scale, SHIFTS, 0.1, detector=detector, towards=towards, roughness=roughness)
    assert np.abs(got - want).max() < 1e-10


def test_frames_are_what_the_acquisition_module_measures(rng):
    x = rng.normal(size=(8, 12))
    first, moved = multiframe.observe(x, 2, [(0, 0), (1, -2)], "box")
    assert np.allclose(first, acquisition.block_average(x, 2))
    assert np.allclose(moved, acquisition.block_average(np.roll(x, (-1, 2), (0, 1)), 2))
    assert np.allclose(multiframe.observe(x, 2, [(0, 0)], "kspace")[0], acquisition.kspace_crop(x, 2))


def test_back_projection_reaches_what_fuse_computes(rng):
    x = rng.normal(size=(12, 10))
    shifts = [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)]
    frames = multiframe.observe(x, 2, shifts) + 0.1 * rng.normal(size=(5, 6, 5))
    iterated = multiframe.back_project(frames, 2, shifts, 3000)
    exact = multiframe.fuse(frames, 2, shifts, 1e-9)
    explained = [np.linalg.norm(frames - multiframe.observe(image, 2, shifts)) for image in (iterated, exact)]
    assert explained[0] == pytest.approx(explained[1], rel=1e-3)


def test_back_projection_can_be_watched_and_stopped(rng):
    frames = multiframe.observe(rng.normal(size=(8, 8)), 2, [(0, 0), (1, 1)])
    sizes = []

    def watch(x, residual):
        sizes.append(np.linalg.norm(residual))
        return len(sizes) == 4

    start = np.zeros((8, 8))
    out = multiframe.back_project(frames, 2, [(0, 0), (1, 1)], 50, start=start, watch=watch)
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 4
    assert np.allclose(out, multiframe.back_project(frames, 2, [(0, 0), (1, 1)], 3))
    assert not start.any()
    diverging = multiframe.back_project(frames, 2, [(0, 0), (1, 1)], 50, step=2.1 * 4)
    assert np.abs(diverging).max() > 1e3


def test_register_finds_a_shift_of_the_frames(rng):
    y, x = np.mgrid[:64, :64]
    image = np.exp(-((y - 30) ** 2 + (x - 35) ** 2) / 200) * (1 + 0.5 * np.sin(x / 3 + y / 5))
    pair = multiframe.observe(image, 2, [(0, 0), (2.6, -3.3)], "kspace")
    assert np.allclose(2 * multiframe.register(*pair), (2.6, -3.3), atol=0.05)


def test_float32_stays(rng):
    frames = multiframe.observe(rng.normal(size=(8, 8)).astype(np.float32), 2, [(0, 0), (0.5, 0)])
    assert frames.dtype == np.float32
    assert multiframe.fuse(frames, 2, [(0, 0), (0.5, 0)], 0.1).dtype == np.float32
    assert multiframe.back_project(frames, 2, [(0, 0), (0.5, 0)], 3).dtype == np.float32


def test_wrong_arguments(rng):
    x = rng.normal(size=(8, 9))
    with pytest.raises(ValueError, match="divisible"):
        multiframe.observe(x, 2, [(0, 0)])
    with pytest.raises(ValueError, match="detector must be one of"):
        multiframe.observe(x[:, :8], 2, [(0, 0)], "lens")
    with pytest.raises(ValueError, match="damping must be above 0"):
        multiframe.fuse(x[None], 2, [(0, 0)], 0)


def test_all_shifts_of_a_box_restore_an_image_and_none_does_not(rng):
    x = interpolation.apply_window(rng.normal(size=(32, 32)), "hamming")
    four = [(0, 0), (0, 1), (1, 0), (1, 1)]
    good, plain = (
        metrics.psnr(x, multiframe.fuse(multiframe.observe(x, 2, s), 2, s, 1e-6)) for s in (four, 4 * [(0, 0)])
    )
    assert good > plain + 10
