"""Denoising: noise and its bias, filters and their choice, networks, batches, shipped weights."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from medsr_course import runtime
from medsr_course.networks import pretrained
from medsr_course.physics import metrics, noise
from medsr_course.tasks import denoising

SMALL = {"filters": 6, "depth": 3}


@pytest.fixture(scope="module")
def head():
    """Two slices of folded bands inside an ellipse, in 0 … 3, one side odd."""
    y, x = np.mgrid[:72, :81] - 38
    bands = np.sin(x / 3.1 + 2.2 * np.sin(y / 7)) + np.cos(y / 2.7 + np.sin(x / 9))
    image = np.where((x / 30) ** 2 + (y / 33) ** 2 < 1, 2 + np.tanh(4 * bands), 0.0).astype(np.float32)
    return np.stack([image, 2 * image])


# ---------------------------------------------------------------- noise


def test_a_pair_has_the_noise_it_says(head):
    for kind in denoising.KINDS:
        pair = denoising.pair(head, 5, kind)
        level = np.percentile(head[0], 99.5)
        np.testing.assert_allclose(pair.sigma.ravel(), [0.05 * level, 0.1 * level], rtol=1e-5)
        inside = head > 0
        spread = ((pair.given - head) / pair.sigma)[inside].std()
        assert 0.93 < spread < 1.07
        air = (pair.given / pair.sigma)[~inside]
        if kind == "gaussian":
            assert abs(air.mean()) < 0.05
        else:
            assert air.min() >= 0
            assert abs(air.mean() - np.sqrt(np.pi / 2)) < 0.03


def test_same_key_same_noise(head):
    a, b, other = (denoising.pair(head, 5, key=k).given for k in ("x", "x", "y"))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, other)
    with pytest.raises(ValueError, match="gaussian, rician"):
        denoising.pair(head, 5, "poisson")


def test_unbiased_turns_the_rician_mean_round():
    signal = np.concatenate([np.linspace(0.2, 11.9, 200), np.linspace(12, 200, 50)])
    for sigma in (1.0, 0.03):
        back = noise.unbiased(noise.rician_mean(sigma * signal, sigma), sigma)
        np.testing.assert_allclose(back, sigma * signal, rtol=2e-4, atol=2e-3 * sigma)
    assert noise.unbiased(1.0, 1.0) == 0  # less than noise alone has on average
    # The rule for squares is another one: on a mean of magnitudes it takes off too much.
    wrong = noise.from_squares(noise.rician_mean(signal, 1.0) ** 2, 1.0)
    assert np.abs(wrong - signal)[signal < 3].max() > 0.15


def test_from_squares_is_unbiased_for_any_signal():
    rng = np.random.default_rng(0)
    for signal in (0.5, 1.0, 4.0):
        channels = rng.standard_normal((2, 400_000))
        mean_square = ((signal + channels[0]) ** 2 + channels[1] ** 2).mean()
        assert abs(noise.from_squares(mean_square, 1.0) - signal) < 0.02
        assert abs(np.sqrt(mean_square) - signal) > 0.1  # without the correction


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize("name", list(denoising.FILTERS))
def test_filters_gain_at_their_best_and_correct_the_bias(head, name):
    for kind in denoising.KINDS:
        pair = denoising.pair(head, 6, kind)
        found = denoising.choose(name, [pair])
        before, after = pair.scores(pair.given), pair.scores(found(pair))
        assert after["psnr"] > before["psnr"] + 1
        if kind == "rician":
            plain = pair.scores(denoising.FILTERS[name](pair, found.strength, False))
            assert after["psnr"] > plain["psnr"] + 0.5


def test_filters_scale_with_the_image(head):
    pair = denoising.pair(head, 6)
    louder = denoising.Pair(50 * pair.target, 50 * pair.given, 50 * pair.sigma, "rician")
    for name, filter in denoising.FILTERS.items():
        strength = filter.strengths[3]
        a, b = 50 * filter(pair, strength), filter(louder, strength)
        assert np.abs(a - b).max() < 0.02 * b.max(), name


def test_choose_finds_the_hump_and_says_when_it_is_outside(head):
    pairs = [denoising.pair(head, 6, "gaussian", key=k) for k in range(2)]
    found = denoising.choose("gaussian", pairs)
    assert found.curve[found.strength] == max(found.curve.values())
    assert not found.at_edge
    assert len(found.curve) >= 5
    assert denoising.choose("gaussian", pairs, strengths=(2.0, 3.0, 4.0)).at_edge


# ---------------------------------------------------------------- real repetitions


def repetitions(sigma=0.1):
    """A complex image measured twice, and the image."""
    rng = np.random.default_rng(4)
    truth = np.zeros((3, 64, 64))
    truth[:, 12:52, 12:52] = 1 + ndimage.gaussian_filter(rng.normal(size=(3, 40, 40)), (0, 3, 3))
    truth = truth * np.exp(1j * np.linspace(0, 2, 64))
    noisy = rng.standard_normal((2, *truth.shape)) + 1j * rng.standard_normal((2, *truth.shape))
    return truth, denoising.repeated(truth + sigma * noisy, pixel_size=1.0)


def test_what_is_left_of_the_noise_needs_no_truth():
    truth, pair = repetitions()
    assert pair.sigma.ravel() == pytest.approx(0.1, rel=0.05)
    for result in (pair.given, pair.filtered("gaussian", 1.0), 0.9 * truth):
        left = np.mean(np.abs(result - truth) ** 2)
        expected = 10 * np.log10(pair.target.max() ** 2 / left)
        assert pair.scores(result)["psnr"] == pytest.approx(expected, abs=0.5)
    assert pair.scores(truth)["psnr"] > 35


def test_a_method_that_saw_the_second_repetition_would_be_found_out():
    _, pair = repetitions()
    assert pair.scores(pair.again)["psnr"] == pytest.approx(60)  # less than nothing is left


def test_rows_of_their_own_noise():
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((2, 3, 64, 64)) + 1j * rng.standard_normal((2, 3, 64, 64))
    strength = np.where(np.arange(64) < 20, 2.0, 0.1)[:, None]
    truth = np.zeros((64, 64))
    truth[12:52, 12:52] = 1
    images = truth + strength * noise
    rows = denoising.row_noise(images)
    np.testing.assert_allclose(rows, strength, rtol=0.3)
    even = denoising.repeated(images, rows=rows)
    assert even.sigma.ravel() == pytest.approx(1, rel=0.05)
    assert even.channels[:, :20].std() == pytest.approx(1, rel=0.2)  # of channels, the disturbed rows, too
    np.testing.assert_allclose(even.filtered("gaussian", 1e-3), images[0], rtol=1e-3, atol=1e-3)  # in their own unit


def test_the_strongest_is_the_best_of_those_tried():
    _, pair = repetitions()
    tried = (0.3, 1.0, 8.0)
    scores = [pair.scores(pair.filtered("gaussian", strength))["psnr_head"] for strength in tried]
    assert pair.strongest("gaussian", tried) == tried[int(np.argmax(scores))]


def test_batches_of_repetitions_hold_one_scan_and_the_way_to_the_other():
    from medsr_course.networks.training.denoising import Repetitions

    clean = np.arange(3 * 40 * 50).reshape(3, 40, 50)
    batches = Repetitions([np.stack([clean, clean + 1e6])], size=16, batch=5, seed=3)
    given, wanted = batches(7)
    assert given.shape == wanted.shape == (10, 16, 16, 1)
    real, imaginary = wanted[::2], wanted[1::2]  # 10⁶ either way, in a phase of its own in each patch
    np.testing.assert_allclose(np.hypot(real, imaginary), 1e6, rtol=1e-3)
    assert np.ptp(real, axis=(1, 2)).max() < 1e3
    assert np.array_equal(batches(7)[0], given)
    assert not np.array_equal(batches(8)[0], given)
    still = Repetitions([np.stack([clean, clean])], size=16)(0)[1]
    assert np.abs(still).max() < 1e-2 * clean.max()


# ---------------------------------------------------------------- the board


def test_rivals_are_tuned_on_development_scans_of_their_kind(head, monkeypatch, tmp_path):
    from medsr_course.leaderboard import scans
    from medsr_course.leaderboard.boards import denoising as board

    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    monkeypatch.setenv("MEDSR_PROGRESS", "0")
    monkeypatch.setattr(board.denoising, "CONDITIONS", (("rician", 6), ("chi", 3)))
    filters = {"gaussian": denoising.FILTERS["gaussian"]}
    monkeypatch.setattr(board.denoising, "FILTERS", filters)
    monkeypatch.setattr(board, "RIVALS", {"gaussian": ("gaussian", False), "gaussian-unbiased": ("gaussian", True)})
    image = nib.Nifti1Image(np.moveaxis(head[:, ::-1], 0, -1).repeat(8, axis=-1), np.eye(4))
    people = [("cohort", "test", "a"), ("cohort", "validation", "b"), ("real-scans", "test", "c")]
    people = [scans.Scan(*who, "T1w", lambda: image) for who in people]
    monkeypatch.setattr(scans, "find", lambda request, **options: (people[::2], people[1:2]))
    monkeypatch.setattr(board.datasets, "repetitions", dict)
    monkeypatch.setattr(board.pretrained, "names", lambda task: [])
    rows = board.measure(scans.Request())
    assert {r["subject"] for r in rows} == {"a", "c"}  # what taught the strengths is not measured
    assert {r["setting"].split(", no harm")[0] for r in rows} == {"one coil, 6 % noise", "eight coils, 3 % noise"}
    best = {(r["setting"], r["method"]): r["psnr_head"] for r in rows if r["subject"] == "a"}
    chi = {m: v for (s, m), v in best.items() if s.startswith("eight")}
    assert chi["gaussian-unbiased"] > chi["gaussian"] > 0
    swept = board._sweep(people[1], False)
    monkeypatch.setattr(board, "_filtered", lambda *a: pytest.fail("measured twice"))
    assert board._sweep(people[1], False) == swept
    for row in rows:
        if row["method"] in board.RIVALS:
            kind = ("rician", 6) if row["setting"].startswith("one") else ("chi", 3)
            curve = swept[row["method"], *kind]
            assert row["strength"] == max(curve, key=curve.get)


def test_a_target_as_noisy_as_half_the_level_is_judged_by_harm(monkeypatch):
    from medsr_course.leaderboard.boards import denoising as board

    clean = np.zeros((3, 96, 96))
    clean[:, 24:72, 24:72] = 100
    rng = np.random.default_rng(0)
    noisy = np.abs(clean + 2 * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape)))
    assert board._own_noise(noisy) == pytest.approx(2, rel=0.1)
    assert board._own_noise(np.zeros((3, 96, 96))) == 0


# ---------------------------------------------------------------- networks and batches


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dncnn", SMALL),
        ("dncnn", {**SMALL, "fold": 2}),
        ("denoising_unet", {"filters": (4, 6, 8), "blocks": (1, 1, 1)}),
        ("denoising_unet", {"filters": (4, 6), "blocks": (1, 1), "fold": 2}),
        ("autoencoder", {"filters": (4, 4), "code": 2}),
    ],
)
def test_networks_take_any_size_and_scale_with_the_image(name, settings):
    from medsr_course.networks import models

    model, rng = models.build(name, **settings), np.random.default_rng(0)
    x = rng.normal(size=(1, 21, 26, 1)).astype(np.float32)
    if name != "autoencoder":
        assert np.abs(np.asarray(model(x))).max() == 0  # untrained: nothing is added
    model.set_weights([rng.normal(0, 0.2, w.shape) for w in model.get_weights()])
    for h, w in ((21, 26), (8, 8), (9, 12)):
        part = x[:, :h, :w]
        y = np.asarray(model(part))
        assert y.shape == (1, h, w, 1)
        np.testing.assert_allclose(np.asarray(model(3 * part)), 3 * y, atol=1e-4 * np.abs(y).max())


def test_a_folded_network_sees_odd_and_even_sides_alike():
    """With an odd kernel a stride of two would start one pixel later for odd sides."""
    from medsr_course.networks import models

    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 16, 97, 1)).astype(np.float32)
    for name, settings in (("dncnn", {**SMALL, "fold": 2}), ("denoising_unet", {"filters": (4, 6, 8)})):
        model = models.build(name, **settings)
        model.set_weights([rng.normal(0, 0.2, w.shape) for w in model.get_weights()])
        whole, part = np.asarray(model(x)), np.asarray(model(x[:, :, :96]))
        np.testing.assert_allclose(part[:, :, :32], whole[:, :, :32], atol=1e-5 * np.abs(whole).max())


def test_settings_that_make_no_network_are_refused():
    from medsr_course.networks import models

    for settings in ({"fold": 3}, {"depth": 1}):
        with pytest.raises(ValueError, match="fold must be 1 or 2"):
            models.build("dncnn", **settings)


def flat(k):
    return (np.full((64, 16, 16, 1), 0.5, np.float32),)


def test_batches_hold_the_noise_they_say():
    from medsr_course.networks.training.denoising import Noisy

    noisy, residual, weight = Noisy(flat, "rician", (2, 8))(0)
    level = residual.std(axis=(1, 2, 3))
    assert level.min() < 0.03
    assert level.max() > 0.06
    np.testing.assert_allclose(noisy + residual, 0.5, atol=1e-6)
    order = np.argsort(level)
    assert np.corrcoef(np.log(level[order]), np.log(weight[order]))[0, 1] < -0.98
    again = Noisy(flat, "rician", (2, 8))(0)
    assert np.array_equal(noisy, again[0])
    assert not np.array_equal(noisy, Noisy(flat, "rician", (2, 8))(1)[0])


def test_a_second_measurement_has_noise_of_its_own():
    from medsr_course.networks.training.denoising import Noisy

    one, other, _ = Noisy(flat, "rician", (5, 5), target="noisy")(0)
    a, b = one - one.mean(), other - other.mean()
    assert abs((a * b).mean()) < 0.02 * a.var()
    assert abs(a.std() - 0.05) < 0.003
    clean = Noisy(flat, "rician", (5, 5), target="clean")(0)[1]
    assert np.array_equal(clean, flat(0)[0])
    with pytest.raises(ValueError, match="target"):
        Noisy(flat, "rician", target="nothing")


def test_channels_have_both_signs_and_a_map_the_level():
    from medsr_course.networks.training.denoising import Noisy

    noisy, residual, _ = Noisy(flat, "gaussian", (5, 5), noise_map=True)(0)
    assert noisy.shape[-1] == 2
    told = noisy[..., 1]  # as well as it can be measured
    assert np.ptp(told, axis=(1, 2)).max() == 0
    assert 0.02 < (told[:, 0, 0] / 0.05 - 1).std() < 0.1
    np.testing.assert_allclose(told, 0.05, rtol=0.25)
    clean = noisy[..., :1] + residual
    assert clean.min() < -0.3  # where the phase has turned
    assert np.isclose(clean, 0.5, atol=1e-6).all(axis=(1, 2, 3)).mean() == pytest.approx(0.5, abs=0.2)
    assert abs(residual.mean()) < 0.002  # no bias


def test_a_network_learns_to_denoise():
    """On one flat patch: what is left of the noise falls well below what came in."""
    from medsr_course.networks import models, training
    from medsr_course.networks.training.denoising import Noisy

    model = models.build("dncnn", filters=8, depth=3)
    batches = Noisy(flat, "gaussian", (6, 6))
    training.fit(model, lambda k: tuple(part[:16] for part in batches(k)), 150, learning_rate=5e-3)
    noisy, residual, _ = batches(1000)
    left = residual - np.asarray(model.predict_on_batch(noisy))
    assert left.std() < 0.6 * residual.std()


# ---------------------------------------------------------------- shipped weights

NAMES = pretrained.names("denoising")


def test_there_is_one_for_each_kind():
    assert {pretrained.card(name).usage["kind"] for name in NAMES} == set(denoising.KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_networks_denoise_any_unit_and_size(head, name):
    kind = pretrained.card(name).usage["kind"]
    pair = denoising.pair(head, 6, kind)
    made = pretrained.denoise(name, pair.given)
    assert made.shape == head.shape
    assert metrics.psnr(head, made) > metrics.psnr(head, pair.given) + 1
    np.testing.assert_allclose(pretrained.denoise(name, 70 * pair.given), 70 * made, atol=2e-3 * made.max() * 70)
    assert np.array_equal(pretrained.denoise(name, np.zeros((1, 9, 12))), np.zeros((1, 9, 12)))


@pytest.mark.parametrize("name", NAMES)
def test_onnx_equals_keras(head, name):
    pytest.importorskip("keras")
    kind = pretrained.card(name).usage["kind"]
    noisy = denoising.pair(head, 6, kind).given
    model, about = pretrained.load(name), pretrained.card(name)
    from medsr_course.networks.pretrained import denoise_with, usage

    by_keras = denoise_with(model.predict_on_batch, noisy, **usage(about))
    assert np.abs(by_keras - pretrained.denoise(name, noisy)).max() < 1e-4 * by_keras.max()


def test_complex_images_keep_their_phase(head):
    phase = np.exp(0.9j)
    given = noise.add_complex_noise(head * phase, 6, np.random.default_rng(0))
    made = pretrained.denoise("dncnn-complex", given)
    assert made.dtype == np.complex64
    assert np.linalg.norm(made - head * phase) < 0.7 * np.linalg.norm(given - head * phase)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (np.zeros((4, 4)), "expected a stack"),
        (np.zeros((0, 4, 4)), "expected a stack"),
        (np.full((1, 8, 8), np.nan), "NaN"),
        (np.ones((1, 8, 8), complex), "np.abs"),
        (np.random.default_rng(0).normal(size=(1, 16, 16)), "expected magnitudes"),
        (np.array([[["a"]]]), "real numbers"),
    ],
)
def test_bad_input_is_refused_in_one_line(stack, message):
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        pretrained.denoise("dncnn-magnitude", stack)
    assert "\n" not in str(raised.value)


def test_other_networks_are_no_denoisers(head):
    with pytest.raises(pretrained.WeightError, match="is no denoiser"):
        pretrained.denoise("espcn-x2", head)


def test_a_null_run_leaves_the_image_alone(head, monkeypatch):
    monkeypatch.setenv("MEDSR_NULL", "1")
    assert runtime.is_null()
    noisy = denoising.pair(head, 6).given
    np.testing.assert_allclose(pretrained.denoise("dncnn-magnitude", noisy), noisy, atol=1e-6)


# ---------------------------------------------------------------- slices that hold nothing


@pytest.fixture(scope="module")
def with_empty():
    y, x = np.mgrid[:64, :64]
    disc = (np.hypot(y - 32, x - 32) < 22) * (100 + 20 * np.sin(x / 3))
    return np.stack([disc, np.zeros_like(disc), disc]).astype(np.float32)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", denoising.KINDS)
@pytest.mark.parametrize("name", denoising.FILTERS)
def test_an_empty_slice_stays_empty_and_does_not_change_the_others(name, kind, with_empty):
    pair, filter = denoising.pair(with_empty, 6, kind), denoising.FILTERS[name]
    found = filter(pair, filter.strengths[2])
    assert np.isfinite(found).all()
    assert not found[1].any()
    few = denoising.Pair(pair.target[::2], pair.given[::2], pair.sigma[::2], kind)
    np.testing.assert_array_equal(found[::2], filter(few, filter.strengths[2]))
    chosen = denoising.choose(name, [pair], strengths=filter.strengths[1:3])
    assert np.isfinite(list(chosen.curve.values())).all()


def test_nothing_to_choose_on_is_refused(with_empty):
    with pytest.raises(ValueError, match="no pair"):
        denoising.choose("tv", [])
    with pytest.raises(ValueError, match="no noise"):
        denoising.choose("tv", [denoising.pair(with_empty, 0)])
    with pytest.raises(ValueError, match="NaN"):
        denoising.pair(np.where(with_empty > 0, with_empty, np.nan), 6)
    with pytest.raises(ValueError, match="one for each"):
        denoising.FILTERS["tv"].apply(with_empty, np.ones(2), 0.5)


@pytest.mark.filterwarnings("error")
def test_noise_of_strength_zero_is_none(with_empty):
    np.testing.assert_array_equal(noise.unbiased(with_empty, 0.0), with_empty)
    np.testing.assert_array_equal(noise.rician_mean(with_empty, 0.0), with_empty)
    assert not noise.rician_std(with_empty, np.zeros((3, 1, 1))).any()
    padded = np.concatenate([denoising.pair(with_empty, 6).given, np.zeros((20, 64, 64))])
    assert noise.background_noise(padded) == noise.background_noise(padded[[0, 2]]) > 0
