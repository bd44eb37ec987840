"""How shipped networks are used: eight symmetries, noise that is measured, native grids, scans of every kind."""

import numpy as np
import pytest

from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import common, told, turns
from medsr_course.physics import coils, grid, interpolation, noise

NAME = "srresnet-x2"


def disc(n=2, h=60, w=54):
    """A head of two tissues, without noise."""
    y, x = np.mgrid[:h, :w]
    r = np.hypot(y - h / 2, x - w / 2)
    return np.stack([300.0 * (r < 20) + 200 * (np.hypot(y - 25 - k, x - 30) < 6) for k in range(n)])


def noisy(kind="rician", sigma=12.0, **size):
    """The same with noise, as a file holds it."""
    image = disc(**size)
    return coils.magnitude(image + 0j, sigma, np.random.default_rng(0), kind).astype(np.float32)


# ---------------------------------------------------------------- eight symmetries


@pytest.mark.parametrize("turn", turns.TURNS)
def test_turning_keeps_sample_0_and_comes_back(turn):
    stack = np.random.default_rng(0).random((2, 5, 8, 1))
    moved = turns.turned(stack, turn)
    assert (moved[:, 0, 0] == stack[:, 0, 0]).all()
    assert (turns.back(moved, turn) == stack).all()
    fine = interpolation.zero_fill(stack[..., 0], 2)  # turning commutes with what makes an image finer
    again = interpolation.zero_fill(moved[..., 0], 2)
    np.testing.assert_allclose(turns.turned(fine, turn), again, atol=1e-12)


def test_a_wrong_flip_is_noticed():
    stack = np.random.default_rng(0).random((1, 5, 8))
    fine, again = interpolation.zero_fill(stack, 2), interpolation.zero_fill(np.flip(stack, 1), 2)
    assert np.abs(np.flip(fine, 1) - again).max() > 0.1  # without the roll sample 0 does not stay


@pytest.mark.parametrize("turn", [(True, False, False), (False, True, True)])
def test_best_turns_with_the_image(turn):
    stack = noisy(n=1)
    best = pretrained.super_resolve("espcn-x2", stack, "best")
    moved = pretrained.super_resolve("espcn-x2", np.ascontiguousarray(turns.turned(stack, turn)), "best")
    np.testing.assert_allclose(turns.back(moved, turn), best, atol=0.02 * stack.max())
    standard = pretrained.super_resolve("espcn-x2", stack)
    assert 0 < np.abs(best - standard).max() < 0.2 * stack.max()


def test_best_averages_eight_runs_and_shifts_nothing():
    calls = []

    def network(batch):  # moves what it makes by one fine pixel along rows
        calls.append(batch.shape)
        return np.roll(np.repeat(np.repeat(batch[..., :1], 2, axis=1), 2, axis=2), 1, axis=1)

    stack = noisy(n=1)
    made = pretrained.super_resolve_with(network, stack, 2, None, quality="best")
    residual = (made - interpolation.zero_fill(stack, 2))[0]
    assert len(calls) == 8
    assert len(set(calls)) == 2  # transposed ones are another shape
    y = np.arange(residual.shape[0])[:, None]
    first = np.angle((residual * np.exp(-2j * np.pi * y / len(y))).sum())
    truth = interpolation.zero_fill(stack, 2)[0]
    assert first == pytest.approx(np.angle((truth * np.exp(-2j * np.pi * y / len(y))).sum()), abs=0.02)


def test_best_gives_the_same_bytes():
    stack = noisy(n=1)
    once, again = (pretrained.super_resolve(NAME, stack, "best") for _ in range(2))
    assert once.tobytes() == again.tobytes()


@pytest.mark.parametrize("use", [pretrained.super_resolve, pretrained.denoise])
def test_an_unknown_quality_is_refused(use):
    name = NAME if use is pretrained.super_resolve else "dncnn-magnitude"
    with pytest.raises(ValueError, match="standard or best") as caught:
        use(name, noisy(), "finest")
    assert "\n" not in str(caught.value)


def test_complex_images_are_denoised_in_their_unit():
    image = disc(n=1) * np.exp(0.3j)
    given = image + 12 * coils.complex_noise(image.shape, np.random.default_rng(0))
    for quality in pretrained.common.QUALITIES:
        made = pretrained.denoise("dncnn-complex", given, quality)
        assert made.dtype == np.complex64
        assert np.abs(made - image).mean() < 0.6 * np.abs(given - image).mean()


def test_with_little_noise_little_of_the_residual_counts():
    def network(batch):
        return 0 * batch - 0.1

    for sigma in (0.0, 6.0, 60.0):
        stack = noisy(sigma=sigma, h=96, w=90)
        seen = told.look(stack, told.Use(unknown=0))
        unit = grid.intensity(stack)[1]
        made = pretrained.denoise_with(network, stack, measured=True, own_error=0.02, use=told.Use(unknown=0))
        counts = seen.sigma**4 / (seen.sigma**4 + (0.02 * unit) ** 4)
        np.testing.assert_allclose(made, stack - 0.1 * counts * unit, atol=1e-3 * unit)
        assert (counts == 0) is (sigma == 0)


# ---------------------------------------------------------------- the noise that a network is told


@pytest.mark.parametrize(("kind", "n"), [("rician", 1), ("chi", 8)])
def test_the_noise_is_measured_and_other_coils_floor_comes_off(kind, n):
    stack = noisy(kind, n=3, h=96, w=90)
    seen = told.look(stack, told.Use(one_coil=True))
    assert seen.found.coils == pytest.approx(n, rel=0.15)
    assert seen.sigma == pytest.approx(12, rel=0.1)
    air = np.hypot(*np.mgrid[-48:48, -45:45]) > 38
    assert np.mean(seen.stack[:, air] ** 2) == pytest.approx(2 * 12**2, rel=0.1 if n == 1 else 1)  # not 2·8·σ²
    plain = told.look(stack, told.Use(one_coil=False))
    assert np.array_equal(plain.stack, stack)


def test_unknown_noise_is_not_no_noise():
    masked = np.where(disc(n=3, h=96, w=90) > 0, noisy(n=3, h=96, w=90, sigma=25.0), 0)
    seen = [told.look(masked, told.Use(unknown=part, head=1.0)) for part in (0.0, 0.5, 1.0)]
    assert seen[0].found.coils is None
    assert seen[2].sigma > 0.5 * 25
    assert seen[0].sigma <= seen[1].sigma <= seen[2].sigma
    assert told.look(masked, told.Use(head=0.5)).sigma == pytest.approx(seen[1].sigma / 2)


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (noise.NoiseEstimate("unknown", None, None, (1.0, 1.0), (0.0, 9.0)), 0),  # all of it may be texture
        (noise.NoiseEstimate("unknown", None, None, (1.0, 1.0), (4.0, 9.0)), 0.7 * 6.5),
        (noise.NoiseEstimate("unknown", 4.0, None, (1.0, 1.0), (3.5, 4.5)), 0.7 * 4),
        (noise.NoiseEstimate("unknown", 1.0, None, (1.0, 1.0), (0.9, 1.1)), 0),
        (noise.NoiseEstimate("rician", 4.0, 1.0, (1.0, 1.0), (4.0, 4.0)), 4),
        (noise.NoiseEstimate("unknown", None, None, (1.0, 1.0)), 0),
    ],
)
def test_what_the_head_tells_counts_less_than_what_the_air_does(monkeypatch, found, counts):
    monkeypatch.setattr(told.noise, "estimate", lambda stack: found)
    stack = disc(n=1) / disc(n=1).max() * 100
    assert told.look(stack, told.Use(least=0.02)).sigma == pytest.approx(counts)


def test_an_interpolated_scan_is_worked_on_where_it_was_measured():
    fine = np.random.default_rng(1).random((3, 96, 90)) * 80 * (disc(3, 96, 90) > 0) + disc(3, 96, 90)
    stack = coils.magnitude(fine + 0j, 12.0, np.random.default_rng(0), "interpolated").astype(np.float32)
    seen = told.look(stack, told.Use(native=True))
    assert seen.found.kind == "interpolated"
    assert np.abs(np.subtract(seen.stack.shape[1:], coils.native_shape((96, 90)))).max() <= 3
    shapes = []

    def network(batch):
        shapes.append(batch.shape)
        return np.repeat(np.repeat(0 * batch[..., :1], 2, axis=1), 2, axis=2)

    made = pretrained.super_resolve_with(network, stack, 2, None, noise_map=True, use=told.Use(native=True))
    assert made.shape == (3, 192, 180)
    assert max(shape[1] for shape in shapes) < 96
    back = grid.crop_axis(grid.crop_axis(made, 96, 1), 90, 2)
    assert np.corrcoef(back.ravel(), stack.ravel())[0, 1] > 0.98  # nothing moved
    kept = pretrained.super_resolve_with(network, stack, 2, None, noise_map=True, use=told.Use(native=False))
    np.testing.assert_allclose(kept, interpolation.zero_fill(stack, 2), atol=1e-3 * stack.max())


# ---------------------------------------------------------------- speed without another result


@pytest.mark.parametrize("shape", [(7, 10), (12, 9)])
@pytest.mark.parametrize("size", [14, 6])
def test_products_of_matrices_are_fourier_transforms(shape, size):
    stack = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    resize = [grid.pad_axis if size > k else grid.crop_axis for k in shape]
    expected = resize[1](resize[0](stack, size, 1), size, 2)
    np.testing.assert_allclose(pretrained.superresolution.resized(stack, size, size), expected, atol=1e-5)


@pytest.mark.parametrize("place", [(40, 35), (5, 50), (74, 2)])  # in the middle, over an edge, over two
def test_where_there_is_nothing_nothing_is_computed(place):
    y, x = np.mgrid[:80, :70]
    away = np.hypot((y - place[0] + 40) % 80 - 40, (x - place[1] + 35) % 70 - 35)
    image = (np.maximum(10 - away, 0) / 10).astype(np.float32)[None, ..., None]
    seen = []
    run = pretrained.network(NAME)

    def network(batch):
        seen.append(batch.shape)
        return run(batch)

    batch = np.concatenate([image, 0 * image], axis=-1)
    quick = common.where_there_is_something(network, batch, 2, 2)
    whole = common.beyond_edges(run, batch, 2, 2, 24)
    assert seen[0][1] * seen[0][2] < 80 * 70 or place != (40, 35)
    assert np.abs(quick - whole).max() < 1e-3  # of the intensity scale
    assert not common.where_there_is_something(network, 0 * batch, 2, 2).any()
    assert len(seen) == 1


# ---------------------------------------------------------------- scans of every kind


KINDS = {
    "a background of zeros": lambda: np.where(disc(n=3) > 0, noisy(n=3), 0),
    "no air at all": lambda: noisy(n=3)[:, 22:40, 18:38] + 1,
    "a single slice": lambda: noisy(n=1),
    "already magnified": lambda: interpolation.zero_fill(noisy(n=2)[:, ::2, ::2], 2),
    "one value": lambda: np.full((2, 40, 40), 7.0),
    "nothing": lambda: np.zeros((2, 40, 40)),
    "an empty slice": lambda: np.concatenate([noisy(n=2), np.zeros((1, 60, 54))]),
    "whole numbers": lambda: noisy(n=2).astype(np.int16),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [NAME, "dncnn-magnitude"])
def test_scans_of_every_kind_are_handled(kind, name):
    stack = KINDS[kind]()
    scale, use = (2, pretrained.super_resolve) if name == NAME else (1, pretrained.denoise)
    made = use(name, stack)
    assert made.shape == (len(stack), scale * stack.shape[1], scale * stack.shape[2])
    assert np.isfinite(made).all()
    base = interpolation.zero_fill(stack.astype(np.float32), scale)
    assert np.abs(made - base).mean() <= 0.15 * np.abs(base).mean() + 0.1 * np.abs(base).std()
    if kind in ("one value", "nothing"):
        assert np.abs(made - base).max() <= 0.03 * np.abs(base).max()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("use", [pretrained.super_resolve, pretrained.denoise])
def test_what_is_no_number_is_refused_in_one_line(value, use):
    stack = noisy()
    stack[0, 3, 4] = value
    with pytest.raises(ValueError, match="nan_to_num") as caught:
        use(NAME if use is pretrained.super_resolve else "dncnn-magnitude", stack)
    assert "\n" not in str(caught.value)


def test_what_noise_estimate_says_of_them():
    assert noise.estimate(KINDS["one value"]()).kind == "none"
    assert noise.estimate(KINDS["a background of zeros"]()).kind == "unknown"


# ---------------------------------------------------------------- parts of a scan


@pytest.mark.parametrize(("kind", "percent"), [("interpolated", 6), ("chi", 4), ("rician", 0)])
def test_a_part_of_a_scan_is_treated_as_the_whole_whatever_it_holds(kind, percent):
    y, x = np.mgrid[:96, :96]
    fine = np.stack([100.0 * (np.hypot(y - 48, x - 48 + k) < 36) for k in range(6)])
    given = coils.stored(fine, 1, "parts", noise=percent, kind=kind)
    whole = told.look(given, pretrained.USE)
    assert (whole.sigma > 0) == (percent > 0)
    assert (whole.stack.shape[1:] < given.shape[1:]) == (kind == "interpolated")
    part = told.look(given[:2], pretrained.USE, whole)
    np.testing.assert_array_equal(part.stack, whole.stack[:2])
    # White noise alone, which looked at by itself fills every band.
    other = told.look(np.abs(np.random.default_rng(0).standard_normal((1, 96, 96))), told.Use(), whole)
    assert other.stack.shape[1:] == whole.stack.shape[1:]
    assert (other.sigma, other.unit) == (whole.sigma, whole.unit)
