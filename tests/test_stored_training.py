"""Trainings on what files hold: stored pairs, several coils, interpolated scans; stages, and networks grown deeper."""

import numpy as np
import pytest

from medsr_course.networks import models, pretrained, training
from medsr_course.networks.models.superresolution import deepen
from medsr_course.networks.pretrained import weights
from medsr_course.networks.training import loop, sources
from medsr_course.networks.training.denoising import Noisy
from medsr_course.physics import acquisition, metrics

PLAIN = {"reference_noise": (1e-9, 1e-8), "shrink": 1.0, "gamma": 1.0, "inverted": 0.0}


@pytest.fixture
def head():
    """A bright disc with a dark rim in black air."""
    y, x = np.mgrid[:64, :72]
    r = np.hypot(y - 32, x - 36)
    return np.where(r < 20, 0.8, np.where(r < 24, 0.3, 0)).astype(np.float32)


def pairs(image, n=40, **settings):
    degradation = training.Degradation(2, **PLAIN, **settings)
    return [degradation.pair(image, np.random.default_rng([7, k])) for k in range(n)]


def test_stored_images_are_magnitudes_and_not_the_signed_crop(head):
    for coarse, fine, known in pairs(head, stored=1.0):
        assert coarse.dtype == np.float32
        assert coarse.min() >= 0
        assert known <= 1e-8
        assert not np.allclose(coarse, np.abs(acquisition.kspace_crop(fine, 2)), atol=1e-3)
    assert all(coarse.min() < 0 for coarse, _, _ in pairs(head, stored=0.0))


def test_a_share_of_the_pairs_is_stored(head):
    share = np.mean([coarse.min() >= 0 for coarse, _, _ in pairs(head, 200, stored=0.7)])
    assert 0.6 < share < 0.8


def test_several_coils_come_with_the_bias_of_one():
    flat = np.full((64, 64), 0.5, np.float32)
    settings = {"stored": 1.0, "noisy": 1.0, "noise": (8.0, 8.001)}
    made = {coils: pairs(flat, 20, coils=coils, **settings) for coils in (0.0, 1.0)}
    # The middle: the edges ring, since the phase does not join there.
    square = {c: np.mean([coarse[8:-8, 8:-8] ** 2 for coarse, _, _ in some]) for c, some in made.items()}
    assert square[0.0] == pytest.approx(0.25 + 2 * 0.08**2, rel=0.01)
    assert square[1.0] == pytest.approx(square[0.0], rel=0.01)  # eight coils alone: 0.25 + 16 · 0.08²


def test_noise_of_an_interpolated_scan_is_smooth():
    flat = np.full((96, 96), 0.5, np.float32)

    def roughness(**share):
        settings = {"stored": 1.0, "noisy": 1.0, "noise": (3.0, 3.001)}
        rows = [coarse[8:-8, 8:-8] for coarse, _, _ in pairs(flat, 20, **settings, **share)]
        return np.mean([np.var(np.diff(row, axis=0)) / np.var(row) for row in rows])

    assert roughness() > 1.7  # 2 for independent neighbours
    assert roughness(interpolated=1.0) < 1.2


@pytest.mark.parametrize("share", [{"coils": 1.0}, {"interpolated": 1.0}])
def test_the_denoiser_sees_the_noise_it_is_to_take_away(share):
    clean = np.full((128, 48, 48, 1), 0.5, np.float32)
    noisy, residual, _ = Noisy(lambda k: (clean.copy(),), "rician", (4, 4.001), **share)(0)
    inner = np.s_[:, 6:-6, 6:-6]
    assert residual[inner].std() == pytest.approx(0.04, rel=0.12)
    truth = (noisy + residual)[inner]
    assert metrics.psnr(truth, noisy[inner]) == pytest.approx(20 * np.log10(truth.max() / 0.04), abs=1)
    assert (
        abs((noisy[inner] ** 2).mean() - (truth**2).mean() - 2 * 0.04**2) < 1e-3
    )  # 0.03 with the floor of the other coils


def test_a_network_grown_deeper_begins_where_the_other_ended():
    shallow = models.build("srresnet", scale=2, filters=8, blocks=2, noise_map=True, seed=1)
    shallow.set_weights([np.random.default_rng(k).normal(0, 0.1, w.shape) for k, w in enumerate(shallow.get_weights())])
    deep = models.build("srresnet", scale=2, filters=8, blocks=5, noise_map=True, seed=2)
    batch = np.random.default_rng(0).random((2, 12, 10, 2)).astype(np.float32)
    before = deep.predict_on_batch(batch)
    deepen(deep, shallow)
    np.testing.assert_allclose(deep.predict_on_batch(batch), shallow.predict_on_batch(batch), atol=1e-5)
    assert np.abs(before - shallow.predict_on_batch(batch)).max() > 0.01
    with pytest.raises(ValueError, match="shape"):
        deepen(deep, models.build("srresnet", scale=2, filters=6, blocks=2, noise_map=True))


def test_stages_start_other_trainings_and_are_not_shipped():
    recipes = training.recipes()
    stages = [name for name in recipes if weights.is_stage(name)]
    assert stages
    for name in stages:
        assert name not in pretrained.names(None)
        card = pretrained.verify(name)
        assert card.steps >= recipes[name].steps
        assert set(card.files) == {f"{name}.weights.h5"}
        assert any(recipe.start == name for recipe in recipes.values())
        assert pretrained.load(name).count_params() == card.parameters


def test_every_start_is_there_and_made_before():
    made = list(training.recipes())
    for name, recipe in training.recipes().items():
        if recipe.start:
            assert made.index(recipe.start) < made.index(name)
            assert pretrained.card(recipe.start).parameters


def test_a_stage_may_end_before_its_schedule():
    """Its rate has not fallen yet: what it learns per step does not fade as it does in a whole training."""

    def moved(**options):
        model = models.build("srcnn", scale=2, filters=(4, 4), sizes=(3, 1, 3))
        rng = np.random.default_rng(0)
        batches = [(rng.random((4, 8, 8, 1)), rng.random((4, 8, 8, 1))) for _ in range(40)]
        before = model.get_weights()
        loop.fit(model, lambda k: batches[k], 40, learning_rate=1e-3, every=40, **options)
        return sum(float(np.abs(a - b).sum()) for a, b in zip(model.get_weights(), before, strict=True))

    assert moved(schedule=400) < moved() < moved(schedule=60)


def test_trainings_are_watched_on_validation_subjects_alone(monkeypatch):
    known = set(sources.development())
    assert not {name for name in known if any(person in name for person in ("adult", "studyforrest"))}
    monkeypatch.setattr(sources.datasets, "real_folder", lambda: None)
    validation = {f"{s.id} T1w" for s in sources.subjects("cohort", "validation")}
    assert set(sources.development()) <= validation
