"""Reconstruction from k-space: operators by their properties, compressed sensing, networks, shipped weights."""

import numpy as np
import pytest

from medsr_course import resources
from medsr_course.leaderboard.boards import reconstruction as board
from medsr_course.networks import pretrained
from medsr_course.physics import acquisition, metrics, nufft
from medsr_course.tasks import noncartesian, parallel, reconstruction


def noise(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def brain():
    """Ellipses with a smooth phase, about 1 where bright."""
    y, x = np.mgrid[:64, :72]
    head = np.hypot((y - 32) / 28, (x - 36) / 30) < 1
    image = 0.5 * head + 0.4 * (np.hypot(y - 28, x - 30) < 10) + 0.3 * (np.abs(x - 46) + np.abs(y - 38) < 9)
    return image * reconstruction.smooth_phase(image.shape, np.random.default_rng(1))


# -- what is measured ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [64, 75, 197])
@pytest.mark.parametrize("factor", [1, 4, 8])
def test_masks_hold_a_share_of_the_lines_and_all_in_the_middle(width, factor, rng):
    mask = reconstruction.cartesian_mask(width, factor, rng)
    assert mask.shape == (width,)
    assert mask.sum() == round(width / factor)
    middle = round(reconstruction.CALIBRATION * mask.sum())
    assert mask[width // 2 - middle // 2 :][:middle].all()


def test_masks_are_denser_inside_and_random(rng):
    seen = np.mean([reconstruction.cartesian_mask(96, 4, rng) for _ in range(300)], axis=0)
    assert seen[48 - 20 : 48 + 20].mean() > 3 * seen[:10].mean() > 0
    assert (reconstruction.cartesian_mask(96, 4, rng) != reconstruction.cartesian_mask(96, 4, rng)).any()


@pytest.mark.parametrize("factor", [0.5, 500])
def test_masks_refuse_what_leaves_no_line(factor, rng):
    with pytest.raises(ValueError, match="factor"):
        reconstruction.cartesian_mask(96, factor, rng)


def test_phase_is_smooth_and_of_modulus_one(rng):
    phase = reconstruction.smooth_phase((90, 80), rng)
    assert np.allclose(np.abs(phase), 1, atol=1e-6)
    assert np.abs(np.angle(phase[1:] * phase[:-1].conj())).max() < 0.3
    assert np.std(np.angle(phase)) > 0.1


def test_noise_has_the_sigma_of_the_protocol(brain, rng):
    kspace = reconstruction.measure(brain, True, noise=5, rng=rng)
    error = kspace - acquisition.to_kspace(brain)
    assert error.real.std() == pytest.approx(0.05 * np.percentile(np.abs(brain), 99.5), rel=0.05)
    assert error.imag.std() == pytest.approx(error.real.std(), rel=0.1)


@pytest.mark.parametrize("shape", [(9, 12), (8, 13)])
def test_hard_consistency_keeps_every_sample_and_soft_ones_the_mean(shape, rng):
    image, other = noise(rng, 2, *shape), noise(rng, 2, *shape)
    mask = reconstruction.cartesian_mask(shape[1], 3, rng)
    kspace = reconstruction.measure(other, mask)
    found = acquisition.to_kspace(reconstruction.keep_measured(image, kspace, mask))
    assert np.allclose(found[..., mask], kspace[..., mask])
    assert np.allclose(found[..., ~mask], acquisition.to_kspace(image)[..., ~mask])
    half = acquisition.to_kspace(reconstruction.keep_measured(image, kspace, mask, 0.25))
    assert np.allclose(half[..., mask], (0.25 * kspace + 0.75 * acquisition.to_kspace(image))[..., mask])


def test_a_scan_is_the_same_for_the_same_key():
    from medsr_course.scans import datasets

    image = datasets.load("mni152")[0].contrasts["T1w"]
    one, two, other = (reconstruction.pair(image, 4, key=key, slices=2) for key in ("a", "a", "b"))
    assert np.array_equal(one.given, two.given)
    assert np.array_equal(one.mask, two.mask)
    assert not np.array_equal(one.given, other.given)
    target, kspace, mask = one.target, one.given, one.mask
    assert target.shape == kspace.shape == (2, *target.shape[1:])
    assert (kspace[..., ~mask] == 0).all()
    assert np.abs(reconstruction.zero_filled(kspace).imag).max() > 0.1 * target.max()  # it has a phase
    inner = reconstruction.pair(image, 4, key="a", slices=2, pattern="middle")
    middle, lines = inner.given, inner.mask
    assert lines.sum() == mask.sum()
    assert np.array_equal(middle[..., lines & mask], kspace[..., lines & mask])  # of one and the same k-space
    with pytest.raises(ValueError, match="random or middle"):
        reconstruction.pair(image, 4, pattern="spiral")


# -- parallel imaging ------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "factor"), [(24, 2), (24, 4), (30, 3), (20, 1)])
def test_sense_unfolds_exactly_without_noise(width, factor, rng):
    image, coils = noise(rng, 9, width), acquisition.coil_sensitivities((9, width), 8)
    kspace = reconstruction.measure(coils * image, reconstruction.regular_mask(width, factor))
    found, g = parallel.sense(kspace, coils, factor)
    assert np.allclose(found, image, atol=1e-6)
    assert g.min() > 1 - 1e-9
    if factor == 1:
        assert np.allclose(g, 1)


def test_sense_says_what_it_cannot_do():
    coils = acquisition.coil_sensitivities((4, 24), 3)
    for factor in (5, 4):
        with pytest.raises(ValueError, match="factor"):
            parallel.sense(coils, coils, factor)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_sense_with_maps_that_are_zero_outside_the_body(factor, rng):
    body = np.hypot(*np.mgrid[-6:6, -6:6]) < 5
    maps = acquisition.coil_sensitivities((12, 12), 6) * body
    image = noise(rng, 12, 12) * body
    kspace = reconstruction.measure(maps * image, reconstruction.regular_mask(12, factor))
    found, g = parallel.sense(kspace, maps, factor)
    assert np.abs(found - image).max() < 1e-6
    assert not found[~body].any()
    assert np.isfinite(g).all()
    assert g.min() > 1 - 1e-9
    nothing, g = parallel.sense(0 * kspace, 0 * maps, factor)
    assert not nothing.any()
    assert (g == 1).all()


def test_sense_refuses_coils_that_cannot_tell_pixels_apart(rng):
    alike = np.ones((4, 6, 12), complex)
    with pytest.raises(ValueError, match="cannot tell apart"):
        parallel.sense(alike, alike, 2)
    with pytest.raises(ValueError, match="finite"):
        parallel.sense(alike * np.nan, alike, 2)


# -- compressed sensing ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 48), (31, 45), (3, 33, 40)])
def test_no_threshold_changes_nothing_and_a_large_one_leaves_the_coarse_image(shape, rng):
    image = noise(rng, *shape)
    assert np.allclose(reconstruction.wavelet_shrink(image, 0, levels=2, shift=(3, 1)), image)
    smooth = reconstruction.wavelet_shrink(image, 1e9, levels=2)
    assert np.linalg.norm(smooth) < 0.6 * np.linalg.norm(image)


def test_shrinking_commutes_with_a_phase(rng):
    image = noise(rng, 32, 24)
    turned = reconstruction.wavelet_shrink(1j * image, 0.7)
    assert np.allclose(turned, 1j * reconstruction.wavelet_shrink(image, 0.7))


def test_total_variation_agrees_with_scikit_image_and_with_a_phase(rng):
    from skimage.restoration import denoise_tv_chambolle

    image = rng.normal(size=(30, 40))
    found, _ = reconstruction.tv_prox(image, 0.3, iterations=400)
    assert np.abs(found - denoise_tv_chambolle(image, 0.3, eps=0, max_num_iter=2000)).max() < 2e-3
    turned, _ = reconstruction.tv_prox(image * np.exp(0.7j), 0.3, iterations=400)
    assert np.allclose(turned, found * np.exp(0.7j), atol=1e-6)


def test_total_variation_is_a_minimiser(rng):
    image = noise(rng, 20, 18)
    found, _ = reconstruction.tv_prox(image, 0.4, iterations=500)

    def cost(x):
        return 0.5 * np.sum(np.abs(x - image) ** 2) + 0.4 * reconstruction.total_variation(x)

    for _ in range(20):
        assert cost(found) <= cost(found + 0.01 * noise(rng, 20, 18)) + 1e-3


@pytest.mark.parametrize("prior", ["tv", "wavelet"])
def test_compressed_sensing_beats_zero_filling_in_any_unit(prior, brain, rng):
    mask = reconstruction.cartesian_mask(brain.shape[1], 3, rng)
    kspace = reconstruction.measure(brain, mask, noise=1, rng=rng).astype(np.complex64)
    truth = np.abs(brain)
    found = reconstruction.compressed_sensing(kspace, mask, 0.005, prior=prior)
    assert found.dtype == np.complex64
    start = metrics.psnr(truth, np.abs(reconstruction.zero_filled(kspace)))
    assert metrics.psnr(truth, np.abs(found)) > start + (5 if prior == "tv" else 1)
    scaled = reconstruction.compressed_sensing(500 * kspace, mask, 0.005, prior=prior)
    assert np.allclose(scaled / 500, found, atol=1e-3)


def test_compressed_sensing_knows_its_priors(brain):
    with pytest.raises(ValueError, match="tv"):
        reconstruction.compressed_sensing(brain, np.ones(72, bool), 0.1, prior="hope")


# -- non-Cartesian ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(15, 16), (12, 9)])
def test_the_non_uniform_transform_on_the_grid_is_the_fft(shape, rng):
    image = noise(rng, *shape)
    frequencies = [2 * np.pi * (np.arange(n) - n // 2) / n for n in shape]
    points = np.stack([k.ravel() for k in np.meshgrid(*frequencies, indexing="ij")], axis=-1)
    found = nufft.forward(image, points)
    assert np.allclose(found, acquisition.to_kspace(image).ravel(), atol=1e-4)


def test_gridding_is_the_adjoint_and_least_squares_fit(brain, rng):
    points = noncartesian.radial(150, 128)
    assert np.abs(points).max() <= np.pi
    samples = nufft.forward(brain, points)
    other = noise(rng, len(points))
    back = nufft.adjoint(other, points, brain.shape)
    assert np.vdot(other, samples) == pytest.approx(np.vdot(back, brain), rel=1e-6)
    assert noncartesian.radial_density(points).sum() == pytest.approx(1, rel=0.05)
    found = noncartesian.least_squares(samples, points, brain.shape, 25)
    assert np.linalg.norm(found - brain) < 0.08 * np.linalg.norm(brain)
    assert not noncartesian.least_squares(0 * samples, points, brain.shape, 3).any()


@pytest.mark.parametrize("shape", [(15, 16), (12, 9), (1, 6), (48, 40)])
def test_the_non_uniform_transform_is_the_fourier_sum_and_its_adjoint_exact(shape, rng):
    points = rng.uniform(-4, 4, (200, 2))  # beyond ±π, too: the transform is periodic
    image, other = noise(rng, *shape), noise(rng, 200)
    y, x = (np.arange(n) - n // 2 for n in shape)
    plain = np.array([np.exp(-1j * a * y) @ image @ np.exp(-1j * b * x) for a, b in points]) / np.sqrt(image.size)
    transform = nufft.NonUniformFFT(points, shape)
    found, back = transform.forward(image), transform.adjoint(other)
    assert np.abs(found - plain).max() < 1e-6 * np.abs(plain).max()
    assert abs(np.vdot(other, found) - np.vdot(back, image)) < 1e-12 * np.linalg.norm(other) * np.linalg.norm(found)
    assert np.abs(nufft.NonUniformFFT(points, shape, width=10).forward(image) - plain).max() < 1e-8


def test_the_non_uniform_transform_names_what_does_not_fit():
    with pytest.raises(ValueError, match="pairs"):
        nufft.forward(np.ones((4, 4)), np.zeros(3))
    with pytest.raises(ValueError, match="shape"):
        nufft.NonUniformFFT(np.zeros((1, 2)), (4, 4)).forward(np.ones((4, 5)))
    with pytest.raises(ValueError, match="samples"):
        nufft.adjoint(np.ones(3), np.zeros((2, 2)), (4, 4))


# -- networks --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def networks():
    from medsr_course.networks import models

    settings = {"kspace_unet": {}, "cascade": {"iterations": 2}, "crnn": {"iterations": 2, "hidden": 3}}
    return {name: models.build(name, filters=6, levels=2, **more) for name, more in settings.items()}


def run(model, kspace, mask, iterations=1, hidden=0, **options):
    from medsr_course.networks.models.reconstruction import block_of, trust_of

    return pretrained.reconstruct_with(
        block_of(model).predict_on_batch,
        kspace,
        mask,
        iterations=iterations,
        hidden=hidden,
        trust=trust_of(model),
        **options,
    )


@pytest.mark.parametrize("shape", [(2, 16, 24), (1, 13, 17)])
@pytest.mark.parametrize("name", ["kspace_unet", "cascade", "crnn"])
def test_networks_untrained_are_zero_filling_and_the_unrolling_is_theirs(name, shape, networks, rng):
    from medsr_course.networks import models

    model = models.build(**{"architecture": name, "filters": 6, "levels": 2}, **more(name))
    image = noise(rng, *shape).astype(np.complex64)
    mask = reconstruction.cartesian_mask(shape[-1], 2, rng)
    kspace = reconstruction.measure(image, mask)
    start = reconstruction.zero_filled(kspace)
    assert np.allclose(run(model, kspace, mask, **more(name)), start, atol=1e-5)

    model.set_weights([w if w.ndim == 0 else rng.normal(0, 0.2, w.shape) for w in model.get_weights()])
    found = run(model, kspace, mask, **more(name))
    assert np.abs(found - start).max() > 1e-3
    unit = np.percentile(np.abs(start), 99.5)
    channels = np.stack([start.real, start.imag], axis=-1) / unit
    lines = np.broadcast_to(np.fft.ifftshift(mask), (shape[0], 1, shape[2]))
    inside = model.predict_on_batch([channels.astype("f4"), lines.astype("f4")])
    assert np.allclose(found, start + unit * (inside[..., 0] + 1j * inside[..., 1]), atol=1e-4)

    assert np.allclose(run(model, 7 * kspace, mask, **more(name)), 7 * found, atol=1e-3)  # no unit of its own
    hard = run(model, kspace, mask, **more(name), hard=True)
    assert np.abs(acquisition.to_kspace(hard) - kspace)[..., mask].max() < 1e-5 * np.abs(kspace).max()
    assert np.abs(acquisition.to_kspace(found) - kspace)[..., mask].max() > 1e-4 * np.abs(kspace).max()


def test_a_network_for_several_coils_begins_with_least_squares_and_its_unrolling_is_its_own(rng):
    from medsr_course.networks import models
    from medsr_course.networks.models.reconstruction import block_of, trust_of
    from medsr_course.networks.pretrained.reconstruction import LEAST_SQUARES

    model = models.cascade(filters=6, levels=2, iterations=3, coils=True)
    case = parallel.case(np.abs(noise(rng, 15, 22)), 2, coils=3, pattern="random")
    assert (case.mask == case.mask[:1]).all()  # whole lines

    def found(case):
        options = {"iterations": 3, "hidden": 0, "trust": trust_of(model)}
        block = block_of(model).predict_on_batch
        return pretrained.reconstruct_coils_with(block, case.kspace, case.maps, case.mask, **options)

    start = parallel.least_squares(case.kspace, case.maps, case.mask, LEAST_SQUARES)
    seen = parallel.combined(case.kspace, case.maps)
    unit = np.percentile(np.abs(start), 99.5)

    def channels(x):
        return np.stack([x.real, x.imag], axis=-1).astype("f4")[None]

    lines = np.fft.ifftshift(case.mask[:1]).astype("f4")[None]
    inputs = [channels(start / unit), lines, channels(seen / unit), channels(case.maps)]
    x, again = start, parallel.heard_again(case.maps, case.mask)  # the untrained block is 0: data consistency is left
    for _ in range(2):
        x = parallel.consistent(x, seen, again, trust_of(model))
    assert np.allclose(found(case), x, atol=1e-4 * unit)

    model.set_weights([w if w.ndim == 0 else rng.normal(0, 0.2, w.shape) for w in model.get_weights()])
    inside = model.predict_on_batch(inputs)[0]
    assert np.abs(inside).max() > 1e-3
    assert np.allclose(found(case), start + unit * (inside[..., 0] + 1j * inside[..., 1]), atol=1e-4 * unit)
    # Sensitivities that are 0 outside the body leave 0 there.
    body = np.arange(15)[:, None] > 3
    masked = parallel.Case(case.target, case.maps * body, case.mask, case.kspace)
    assert not found(masked)[:4].any()


def test_data_consistency_of_several_coils_is_the_minimiser(rng):
    case = parallel.case(np.abs(noise(rng, 12, 16)), 2, coils=4, pattern="random")
    seen, again = parallel.combined(case.kspace, case.maps), parallel.heard_again(case.maps, case.mask)
    image, trust = noise(rng, 12, 16), 0.6
    damping = (1 - trust) / trust

    def cost(x):
        gap = parallel.heard(x, case.maps, case.mask) - case.kspace
        return (np.abs(gap) ** 2).sum() + damping * (np.abs(x - image) ** 2).sum()

    found = parallel.consistent(image, seen, again, trust)
    for _ in range(5):
        assert cost(found) < cost(found + 0.05 * noise(rng, 12, 16))
    assert cost(found) < cost(image + trust * (seen - again(image)))  # one step of gradient descent
    exact = np.linalg.solve(
        np.stack([(again(e) + damping * e).ravel() for e in np.eye(192).reshape(192, 12, 16)], axis=1),
        (seen + damping * image).ravel(),
    )
    assert np.abs(found.ravel() - exact).max() < 0.05 * np.abs(exact).max()


def test_one_coil_that_hears_everything_is_no_special_case(rng):
    from medsr_course.networks import models

    alone, several = (models.cascade(filters=6, iterations=2, coils=coils) for coils in (False, True))
    weights = [w if w.ndim == 0 else rng.normal(0, 0.2, w.shape) for w in alone.get_weights()]
    alone.set_weights(weights), several.set_weights(weights)
    lines = (rng.random((1, 1, 20)) < 0.4).astype("f4")
    start = np.fft.ifft(lines * np.fft.fft(noise(rng, 1, 12, 20)))  # what the lines tell, and nothing else
    start = np.stack([start.real, start.imag], axis=-1).astype("f4")
    maps = np.zeros((1, 1, 12, 20, 2), "f4")
    maps[..., 0] = 1
    expected = alone.predict_on_batch([start, lines])
    assert np.allclose(several.predict_on_batch([start, lines, start, maps]), expected, atol=1e-4)


def more(name):
    return {"kspace_unet": {}, "cascade": {"iterations": 2}, "crnn": {"iterations": 2, "hidden": 3}}[name]


def test_a_network_learns_a_few_strips_by_heart(rng):
    from medsr_course.networks import models, training
    from medsr_course.networks.training.reconstruction import Strips, row_loss

    y, x = np.mgrid[:40, :44]
    slices = [np.where(np.hypot(y - 20, x - 22) < r, 0.9, 0.0).astype("f4") for r in (10, 14)]
    strips = Strips(slices, rows=16, batch=4, widths=(40,), factors=(3,), noise=(0.1, 0.2), pool=4)
    batch = strips(0)
    model = models.cascade(filters=8, iterations=2)
    history = training.fit(model, lambda k: batch, 120, loss=row_loss, learning_rate=3e-3, every=20)
    assert history[-1][1] < 0.6 * history[0][1]


def test_strips_are_a_function_of_their_number():
    from medsr_course.networks import training
    from medsr_course.networks.training.reconstruction import Strips

    y, x = np.mgrid[:50, :60]
    slices = [np.hypot(y - 25, x - 30) < 20]
    first, again = (Strips(slices, rows=16, batch=3, widths=(40, 72), pool=3, seed=1) for _ in range(2))
    first(0), first(1)
    (start, lines), residual, weight = first(7)
    for a, b in zip([start, lines, residual, weight], [*again(7)[0], *again(7)[1:]], strict=True):
        assert np.array_equal(a, b)
    assert start.shape == residual.shape == (3, 16, lines.shape[-1], 2)
    assert lines.shape == (3, 1, start.shape[2])
    spectrum = np.fft.fft(start[..., 0] + 1j * start[..., 1], axis=-1)
    assert np.abs(spectrum * (1 - lines)).max() < 1e-4  # nothing where nothing was measured
    assert lines[:, 0, 0].all()  # frequency 0 comes first, and is always measured
    assert set(np.round(lines.shape[-1] / lines.sum(axis=-1)).ravel().astype(int)) <= {4, 8}
    with pytest.raises(training.TrainingError, match="no slices"):
        Strips([])


def test_strips_of_several_coils_hold_what_they_measured():
    from medsr_course.networks.training.reconstruction import Strips

    y, x = np.mgrid[:50, :60]
    slices = [(np.hypot(y - 25, x - 30) < 20) * 0.8]
    strips = Strips(slices, rows=16, batch=4, widths=(48,), factors=(3,), noise=(0.01, 0.02), coils=4, pool=3)
    (start, lines, seen, maps), residual, weight = strips(3)
    assert start.shape == seen.shape == residual.shape == (4, 16, 48, 2)
    assert lines.shape == (4, 1, 48)
    assert maps.shape == (4, 4, 16, 48, 2)
    power = (maps**2).sum(axis=(1, -1))
    assert np.allclose(np.minimum(np.abs(power), np.abs(power - 1)), 0, atol=1e-5)  # 1, or nothing is heard
    truth = (start + residual)[..., 0] + 1j * (start + residual)[..., 1]
    s = maps[..., 0] + 1j * maps[..., 1]
    kspace = lines[:, None] * np.fft.fft(s * truth[:, None], axis=-1)
    again = (s.conj() * np.fft.ifft(kspace, axis=-1)).sum(axis=1)
    assert np.abs(again - (seen[..., 0] + 1j * seen[..., 1])).max() < 2e-3  # the noise
    assert (weight > 0).all()


def test_multiplications_are_counted_where_they_happen():
    from medsr_course.networks import models
    from medsr_course.networks.models.reconstruction import multiplications

    model = models.kspace_unet(filters=4, levels=1)
    # 2×2 to 4 channels at half resolution, two 3×3, and the last one with 8: each counts for a quarter of the pixels.
    assert multiplications(model) == (2 * 4 * 4 + 2 * 9 * 16 + 9 * 4 * 8) / 4
    assert multiplications(model, 3) == 3 * multiplications(model)


# -- shipped ---------------------------------------------------------------------------------------

SHIPPED = sorted(p.stem for p in resources.path("weights").glob("*-kspace.json"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_run_without_keras_and_keep_the_unit(name, brain, rng, monkeypatch):
    mask = reconstruction.cartesian_mask(brain.shape[1], 4, rng)
    kspace = reconstruction.measure(brain, mask, noise=1, rng=rng)[None]
    found = pretrained.reconstruct(name, kspace, mask)
    assert found.shape == kspace.shape
    assert found.dtype == np.complex64
    start = metrics.psnr(np.abs(brain), np.abs(reconstruction.zero_filled(kspace))[0])
    assert metrics.psnr(np.abs(brain), np.abs(found[0])) > start + 1
    assert np.allclose(pretrained.reconstruct(name, 900 * kspace, mask), 900 * found, atol=0.9)
    hard = acquisition.to_kspace(pretrained.reconstruct(name, kspace, mask, hard=True))
    assert np.abs(hard - kspace)[..., mask].max() < 1e-5 * np.abs(kspace).max()
    if name != "unet-kspace":
        model = pretrained.load(name)
        again = run(model, kspace, mask, **{k: v for k, v in settings(name).items() if k in ("iterations", "hidden")})
        assert np.allclose(again, found, atol=1e-4)


def settings(name):
    return pretrained.card(name).settings


@pytest.mark.parametrize("name", SHIPPED[:1])
def test_what_goes_in_is_checked(name):
    k, mask = np.ones((1, 8, 12), complex), np.arange(12) % 3 == 0
    for kspace, lines, word in (
        (k[0], mask, "add an axis"),
        (k.real, mask, "complex"),
        (k, mask[:-1], "one value per column"),
        (k, np.zeros(12, bool), "False everywhere"),
        (np.where(mask, np.nan, k), mask, "NaN"),
        (k[:0], mask, "shape"),
    ):
        with pytest.raises(ValueError, match=word):
            pretrained.reconstruct(name, kspace, lines)
    assert np.isfinite(pretrained.reconstruct(name, np.where(mask, k, np.nan), mask)).all()  # never looked at
    with pytest.raises(pretrained.WeightError, match="no network for k-space"):
        pretrained.reconstruct("srcnn-x2", k, mask)
    with pytest.raises(pretrained.WeightError, match="for one coil: use reconstruct"):
        pretrained.reconstruct_coils("cascade-kspace", k, k, mask)
    with pytest.raises(pretrained.WeightError, match="for several: use reconstruct_coils"):
        pretrained.reconstruct("cascade-coils", k, mask)


def test_the_board_tunes_without_the_scan_it_judges():
    from medsr_course.leaderboard.scans import Scan, choose

    mine = Scan("cohort", "validation", "sub-1", "T1w", None)
    other = Scan("cohort", "validation", "sub-2", "T1w", None)
    weights = board.WEIGHTS["tv"]
    peak = {s: {w: -abs(i - best) for i, w in enumerate(weights)} for s, best in ((mine, 0), (other, 3))}
    assert choose(mine, peak) == weights[3]
