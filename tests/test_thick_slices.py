"""Thick slices: operator and adjoint, profiles, back-projection, consistency; blocks, networks, windows."""

import numpy as np
import pytest

from medsr_course import resources, runtime
from medsr_course.networks import pretrained
from medsr_course.tasks import thick_slices

SLABS = [
    thick_slices.Slab(4, 4),
    thick_slices.Slab(4, 2),
    thick_slices.Slab(3, 5, "trapezoid"),
    thick_slices.Slab(2, 3, "box"),
    thick_slices.Slab(1, 1),
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("slab", SLABS, ids=str)
def test_adjoint(rng, slab):
    x = rng.normal(size=(9 * slab.spacing, 3, 2))
    y = thick_slices.thicken(x, slab)
    u = rng.normal(size=y.shape)
    back = thick_slices.thicken_adjoint(u, slab)
    assert y.shape == (9, 3, 2)
    assert back.shape == x.shape
    assert np.isclose((y * u).sum(), (x * back).sum())
    unequal = thick_slices.matrix(9, slab) * np.linspace(1, 1.01, 9)[:, None]  # an operator that is another one
    assert not np.isclose((np.tensordot(unequal, x, 1) * u).sum(), (x * back).sum(), rtol=1e-9)


@pytest.mark.parametrize("shape", thick_slices.SHAPES)
@pytest.mark.parametrize("fwhm", [2, 3, 4, 6.5])
def test_profile(shape, fwhm):
    weights = thick_slices.profile(thick_slices.Slab(4, fwhm, shape))
    assert weights.size % 2 == 1
    assert np.isclose(weights.sum(), 1)
    assert np.allclose(weights, weights[::-1])
    assert abs(thick_slices.width(weights) - fwhm) < 0.5
    depth = np.linspace(-20, 20, 40001)
    response = thick_slices.response(depth, thick_slices.Slab(4, fwhm, shape))
    assert thick_slices.width(response, 0.001) == pytest.approx(fwhm, abs=0.01)


def test_a_thick_slice_is_centred_on_its_thin_one(rng):
    line = np.arange(48.0)
    thick = thick_slices.thicken(line)
    assert np.allclose(thick[2:-2], line[::4][2:-2])
    assert np.allclose(thick_slices.thicken(np.ones((20, 2, 2))), 1)  # at the ends, too
    assert not np.allclose(line.reshape(-1, 4).mean(axis=1)[2:-2], line[::4][2:-2])  # blocks lie 1.5 samples off


def test_slab_says_what_it_is():
    assert thick_slices.Slab(4, 3).gap == 1
    assert "gap 1" in str(thick_slices.Slab(4, 3))
    assert "overlap 2" in str(thick_slices.Slab(4, 6))
    for wrong in ({"spacing": 2.5}, {"spacing": 0}, {"fwhm": 0}, {"fwhm": np.nan}, {"shape": "sinc"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            thick_slices.Slab(**wrong)


@pytest.mark.parametrize("kernel", thick_slices.KERNELS)
def test_back_projection_explains_the_measurement(rng, kernel):
    thick = rng.uniform(1, 2, (11, 4, 5))
    made = [thick_slices.back_project(thick, iterations=k, kernel=kernel) for k in (0, 8, 200)]
    off = [np.abs(thick_slices.thicken(stack) - thick).max() for stack in made]
    assert off[1] < 0.3 * off[0]
    assert off[2] < 1e-3
    one_by_one = thick_slices.cubic(thick)
    back = thick_slices.cubic if kernel == "cubic" else lambda y: 4 * thick_slices.thicken_adjoint(y)
    for _ in range(4):
        one_by_one = one_by_one + back(thick - thick_slices.thicken(one_by_one))
    assert np.allclose(one_by_one, thick_slices.back_project(thick, iterations=4, kernel=kernel))


def test_back_projection_undoes_some_of_the_blur():
    depth = np.arange(96)
    truth = (1 + np.sin(2 * np.pi * depth / 14))[:, None, None] * np.ones((1, 2, 2))
    thick = thick_slices.thicken(truth)
    error = [np.mean((stack - truth) ** 2) for stack in (thick_slices.cubic(thick), thick_slices.back_project(thick))]
    assert error[1] < 0.25 * error[0]
    wrong = thick_slices.back_project(thick, thick_slices.Slab(4, 6))  # through another profile
    assert np.mean((wrong - truth) ** 2) > 2 * error[1]


def test_consistent_is_the_nearest(rng):
    stack, thick = rng.normal(size=(24, 3)), rng.normal(size=(6, 3))
    near = thick_slices.consistent(stack, thick)
    assert np.allclose(thick_slices.thicken(near), thick)
    unseen = rng.normal(size=stack.shape)
    unseen = unseen - thick_slices.along(thick_slices.pseudo_inverse(6), thick_slices.thicken(unseen))
    assert np.allclose(thick_slices.thicken(unseen), 0)
    assert abs(((near - stack) * unseen).sum()) < 1e-9  # moved along nothing that thick slices do not see
    assert np.allclose(thick_slices.consistent(near, thick), near)


def test_smoothest_explanation(rng):
    line = np.linspace(1, 3, 40)[:, None]
    assert np.allclose(thick_slices.smooth(thick_slices.thicken(line), damping=1e-6), line, atol=1e-3)
    with pytest.raises(ValueError, match="damping"):
        thick_slices.smooth(rng.normal(size=(5, 1)), damping=0)


def test_steps_and_back(rng):
    stack = rng.normal(size=(12, 3, 5))
    steps = thick_slices.to_steps(stack)
    assert steps.shape == (3, 3, 5, 4)
    assert np.array_equal(steps[1, :, :, 2], stack[6])
    assert np.array_equal(thick_slices.from_steps(steps), stack)


def test_wrong_arguments(rng):
    with pytest.raises(ValueError, match="not divisible"):
        thick_slices.thicken(rng.normal(size=(10, 2)))
    with pytest.raises(ValueError, match="kernel"):
        thick_slices.back_project(rng.normal(size=(4, 2)), kernel="linear")
    assert thick_slices.cubic(np.ones((1, 2, 2))).shape == (4, 2, 2)
    assert thick_slices.back_project(np.ones((2, 2, 2), np.float32)).dtype == np.float32


def test_cine_moves_and_brightens():
    y, x = np.mgrid[:64, :64]
    image = np.where(np.hypot(y - 32, x - 32) < 24, 1 + 0.3 * np.sin(x / 2) * np.sin(y / 3), 0).astype(np.float32)
    still = thick_slices.cine(image, 8, amplitude=0, rate=(0, 0))
    assert np.abs(still - image).max() < 1e-5
    moving = thick_slices.cine(image, 8, amplitude=4, rate=(0, 0), cycles=1)
    assert np.abs(moving[2] - moving[6]).max() > 0.3
    bright = thick_slices.cine(image, 8, amplitude=0, rate=(0.4, 0.5), seed=1)
    assert bright[-1].max() > 1.15 * bright[0].max()
    assert np.array_equal(thick_slices.cine(image, 4, seed=3), thick_slices.cine(image, 4, seed=3))
    frames = thick_slices.every_second(still, 3, np.random.default_rng(0))
    assert frames.shape == (4, 64, 64)
    assert 0.01 < (frames - image)[:, 20:40, 20:40].std() < 0.06
    assert thick_slices.between_frames(frames, time=0.3, space=0.5).shape == (8, 64, 64)


# -- blocks and networks -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def volume():
    z, y, x = np.mgrid[:88, :60, :64].astype(np.float32)
    ball = (z - 44) ** 2 + (y - 30) ** 2 + (x - 32) ** 2 < 28**2
    return np.where(ball, 0.6 + 0.3 * np.tanh(3 * np.sin(z / 5 + x / 9) * np.cos(y / 6)), 0).astype(np.float32)


def test_blocks_are_made_from_thick_slices(volume):
    from medsr_course.networks.training import TrainingError
    from medsr_course.networks.training.thick_slices import Blocks

    clean = {"size": 24, "batch": 3, "noise": (1e-4, 1e-3), "soft": 0, "gamma": 1, "inverted": 0}
    blocks = Blocks([(volume, (0,))], **clean)
    steps, residual, weight = blocks(5)
    assert steps.shape == residual.shape == (3, 8, 24, 24, 4)
    thin = thick_slices.from_steps((steps + residual)[0])
    assert thin.min() > -0.01
    thick = thick_slices.thicken(thin)[2:-2]  # inside, where the ends of the block do not matter
    assert np.abs(thick_slices.thicken(thick_slices.from_steps(steps[0]))[2:-2] - thick).max() < 0.01
    assert np.allclose(weight, 1 / ((residual**2).mean(axis=(1, 2, 3, 4)) + 1e-5), rtol=0.5)
    assert all(np.array_equal(a, b) for a, b in zip(blocks(5), Blocks([(volume, (0,))], **clean)(5), strict=True))
    assert not np.array_equal(blocks(5)[0], blocks(6)[0])
    with pytest.raises(TrainingError, match="smaller blocks"):
        Blocks([(volume, (0,))], **{**clean, "size": 80})(0)
    with pytest.raises(TrainingError, match="no volumes"):
        Blocks([], **clean)


def test_series_are_made_from_every_second_frame(volume):
    from medsr_course.networks.training.thick_slices import Series

    still = Series([volume[40]], size=24, batch=2, noise=0.01)
    steps, residual, weight = still(0)
    assert steps.shape == residual.shape == (2, 8, 24, 24, 2)
    assert np.abs(residual[..., 0]).max() < 1e-2  # measured frames, hardly any noise
    assert (residual[..., 1] ** 2).sum() > (residual[..., 0] ** 2).sum()
    assert weight.shape == (2,)


def test_untrained_networks_add_nothing_and_any_size_will_do(rng):
    from medsr_course.networks import models

    for name in ("lstm", "convlstm", "cnn25d"):
        model = models.build(name)
        for shape in ((1, 5, 9, 12, 4), (2, 3, 6, 5, 4)):
            out = np.asarray(model(rng.random(shape).astype(np.float32)))
            assert out.shape == shape
            assert not out.any()


def test_a_line_alone_is_alone(rng):
    """The LSTM sees one line through the slices, the others their neighbours; only bidirectional ones see ahead."""
    from medsr_course.networks import models

    x = rng.random((1, 6, 9, 9, 4)).astype(np.float32)
    poked = x.copy()
    poked[0, 3, 4, 4, 1] += 1
    for name, options, beside, before in (
        ("lstm", {}, False, True),
        ("convlstm", {}, True, True),
        ("convlstm", {"directions": 1}, True, False),
        ("cnn25d", {}, True, True),
    ):
        model = models.build(name, width=8, **options)
        model.set_weights([rng.normal(0, 0.3, w.shape) for w in model.get_weights()])
        change = np.abs(np.asarray(model(poked)) - np.asarray(model(x)))[0].max(axis=-1)
        assert (change[:, 4, 5].max() > 1e-7) == beside, name
        assert (change[2].max() > 1e-7) == before, name
        assert change[4].max() > 1e-7, name


def test_equal_parameters():
    from medsr_course.networks import models

    a, b = models.convlstm().count_params(), models.cnn25d().count_params()
    assert abs(a / b - 1) < 0.05


def test_windows_give_what_one_pass_gives_where_nothing_is_remembered(rng):
    seen = []

    def network(batch):
        seen.append(batch.shape)
        return 2 * batch

    for n in (3, 8, 9, 17, 30):
        steps = rng.random((n, 5, 7, 4)).astype(np.float32)
        assert np.allclose(pretrained.thick_slices.in_windows(network, steps, 8), 2 * steps)
    assert {shape[1] for shape in seen} == {8}


def test_thin_scales_and_stays_consistent(rng, volume):
    thick = thick_slices.thicken(volume)

    def network(batch):
        return 0.05 * np.sin(40 * batch)

    result = pretrained.thin_slices_with(network, thick)
    assert result.shape == volume.shape
    assert np.abs(thick_slices.thicken(result) - thick).max() < 1e-5
    assert np.abs(result - thick_slices.back_project(thick)).max() > 1e-2
    assert np.abs(pretrained.thin_slices_with(network, 250 * thick) / 250 - result).max() < 1e-4  # unit of the scan
    free = pretrained.thin_slices_with(network, thick, consistent=False)
    assert np.abs(thick_slices.thicken(free) - thick).max() > 1e-3
    assert not pretrained.thin_slices_with(network, np.zeros((6, 4, 4))).any()
    with pytest.raises(ValueError, match="overlap"):
        pretrained.thin_slices_with(network, thick, overlap=4)


def test_wrong_stacks_are_refused():
    name = pretrained.names("slices")[0]
    for stack, word in (
        (np.ones((4, 4)), "n, h, w"),
        (np.full((2, 4, 4), np.nan), "NaN"),
        (np.ones((2, 4, 4), complex), "real"),
        (np.ones((0, 4, 4)), "n, h, w"),
    ):
        with pytest.raises(ValueError, match=word):
            pretrained.thin_slices(name, stack)
    with pytest.raises(pretrained.WeightError, match="thick slices"):
        pretrained.thin_slices("espcn-x4", np.ones((2, 4, 4)))


def test_shipped_networks_beat_back_projection_on_a_test_subject():
    from medsr_course.physics import metrics
    from medsr_course.scans import datasets, volumes

    runtime.start("smoke", 0)
    image = datasets.load("cohort", n_subjects=6).select("test")[0].contrasts["T1w"]
    thin = thick_slices.trim(volumes.to_stack(image).astype(np.float32))[40:104, 112:128, 50:114]
    thick = thick_slices.thicken(thin)
    base = metrics.psnr(thin, thick_slices.back_project(thick))
    gain = {name: metrics.psnr(thin, pretrained.thin_slices(name, thick)) - base for name in pretrained.names("slices")}
    assert set(gain) == {"lstm-z4", "cnn25d-z4", "convlstm-z4"}
    assert gain["convlstm-z4"] > 0.8
    assert gain["cnn25d-z4"] > 0.5
    assert gain["lstm-z4"] > 0.1
    for name in gain:
        assert resources.path("weights", f"{name}.onnx").stat().st_size < 2e6


def test_best_is_the_mean_over_the_eight_flips_of_the_volume():
    """Of a network that is the same from every side, "best" is "standard", but for the slices behind the last thick
    one; and one that is not the same upside down is brought to its mean, sample by sample."""
    rng = np.random.default_rng(0)
    stack = rng.random((5, 9, 8)).astype(np.float32)
    steps = {"iterations": 4, "sequence": 5, "consistent": False}

    def known(network, quality):
        return pretrained.thin_slices_with(network, stack, quality=quality, **steps)

    alike = [known(lambda batch: batch * 0.1, quality) for quality in ("standard", "best")]
    np.testing.assert_allclose(alike[1], alike[0], atol=1e-5)

    def ramp(batch):  # grows from row to row, column to column, and thin slice to thin slice
        _, n, h, w, s = batch.shape
        thin = np.arange(n * s).reshape(n, 1, 1, s)
        return (thin + 10.0 * np.arange(h)[:, None, None] + 100.0 * np.arange(w)[:, None])[None].astype(np.float32)

    plain, best = (known(ramp, quality) for quality in ("standard", "best"))
    base = thick_slices.back_project(stack, thick_slices.STANDARD, 4)
    middle = (best - base)[: 4 * 4 + 1]  # from the first thick slice's centre to the last one's
    assert np.ptp(middle) < 1e-3 * np.ptp(plain - base)
    with pytest.raises(ValueError, match="quality"):
        pretrained.thin_slices("convlstm-z4", stack, quality="fast")


def test_total_variation_keeps_an_edge_that_back_projection_rings_at():
    edge = np.repeat([0.0, 1.0], 16)[:, None, None] * np.ones((4, 4))
    thick = thick_slices.thicken(edge)
    base, found = thick_slices.back_project(thick), thick_slices.total_variation(thick, weight=1e-3)
    assert np.abs(found - edge).mean() < 0.6 * np.abs(base - edge).mean()
    assert np.abs(thick_slices.thicken(found) - thick).max() < 0.05
    assert np.allclose(thick_slices.total_variation(900 * thick, weight=1e-3), 900 * found, atol=0.1)  # no unit


def test_cross_talk_makes_slices_weaker_and_narrower():
    alone, talking = thick_slices.Slab(4, 4.0), thick_slices.Slab(4, 4.0, crosstalk=0.5)
    assert thick_slices.signal(alone) == 1
    assert thick_slices.signal(thick_slices.Slab(8, 4.0, crosstalk=0.5)) > 0.98  # neighbours far away
    assert thick_slices.signal(talking) < 0.85
    widths = [thick_slices.width(thick_slices.profile(slab)) for slab in (alone, talking)]
    assert widths[1] < widths[0] - 0.3
    assert thick_slices.profile(talking).sum() == pytest.approx(1)
    box = thick_slices.Slab(4, 4.0, "box", crosstalk=1)  # what does not overlap does not talk
    assert thick_slices.signal(box) == pytest.approx(1, abs=5e-3)
    with pytest.raises(ValueError, match="crosstalk"):
        thick_slices.Slab(crosstalk=1.5)
    assert "cross-talk 0.5" in str(talking)
