"""Adversarial training: frozen where it should be, resumable, NaN caught; perceptual distance; feature networks."""

import numpy as np
import pytest
from scipy import ndimage

from medsr_course.networks import losses, models, pretrained, training
from medsr_course.networks.training import adversarial, features
from medsr_course.physics import metrics

SCALE = 4


@pytest.fixture(scope="module")
def slices():
    return [image.astype(np.float32) for image in training.dead_leaves(4, 64)]


def cast():
    """A generator, a discriminator and a feature network, all small and fresh."""
    generator = models.srresnet(SCALE, filters=8, blocks=1, noise_map=True)
    return generator, models.discriminator(filters=4), models.tissue_features(filters=(4, 6))


def run(slices, steps, players=None, **options):
    players, how = players or cast(), adversarial.Players(scale=SCALE, margin=8)
    batches = training.Patches(
        slices, training.Degradation(SCALE), size=12, batch=2, pool=4, zero_filled=True, noise_map=True
    )
    history = adversarial.fit(*players, batches, steps, how, every=1, **options)
    return players, history


def test_both_players_learn_and_the_feature_network_does_not(slices):
    players = cast()
    before = [[w.copy() for w in player.get_weights()] for player in players]
    _, history = run(slices, 3, players)
    changed = [
        any((a != b).any() for a, b in zip(old, player.get_weights(), strict=True))
        for old, player in zip(before, players, strict=True)
    ]
    assert changed == [True, True, False]
    assert [row[0] for row in history] == [1, 2, 3]
    assert all(len(row) == len(adversarial.COLUMNS) for row in history)
    assert np.isfinite(history).all()


def test_no_steps_no_change(slices):
    players = cast()
    before = players[0].get_weights()
    assert run(slices, 0, players)[1] == []
    assert all((a == b).all() for a, b in zip(before, players[0].get_weights(), strict=True))


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(slices, tmp_path):
    whole, history = run(slices, 4)
    path = tmp_path / "half.npz"
    run(slices, 4, stop_after=2, checkpoint=path)
    resumed, again = run(slices, 4, checkpoint=path)
    for a, b in zip(whole[:2], resumed[:2], strict=True):
        assert max(np.abs(x - y).max() for x, y in zip(a.get_weights(), b.get_weights(), strict=True)) < 1e-6
    np.testing.assert_allclose(history, again, rtol=1e-4)


def test_a_checkpoint_of_another_length_is_refused(slices, tmp_path):
    path = tmp_path / "half.npz"
    run(slices, 4, stop_after=1, checkpoint=path)
    with pytest.raises(training.TrainingError, match="another"):
        run(slices, 6, checkpoint=path)


def test_a_loss_that_is_not_finite_stops_it(slices):
    players = cast()
    players[0].set_weights([w + np.nan for w in players[0].get_weights()])
    with pytest.raises(training.TrainingError, match="not finite"):
        run(slices, 2, players)


def test_it_can_do_without_a_feature_network(slices):
    generator, discriminator, _ = cast()
    _, history = run(slices, 1, (generator, discriminator, None))
    assert history[0][2] == 0


def test_the_players_losses():
    logit = np.array([[3.0], [-3.0]], np.float32)
    right, wrong = np.asarray(losses.adversarial_loss(logit, 1.0))
    assert right == pytest.approx(np.log1p(np.exp(-3)), rel=1e-5)
    assert wrong == pytest.approx(np.log1p(np.exp(3)), rel=1e-5)
    assert np.asarray(losses.adversarial_loss(logit, 0.0))[0] == pytest.approx(wrong, rel=1e-5)


@pytest.mark.parametrize("architecture", list(models.features.ARCHITECTURES))
def test_encoders_take_any_size(architecture):
    encoder = models.build(architecture)
    for h, w in ((32, 32), (17, 23)):
        maps = encoder(np.zeros((2, h, w, 1), np.float32))
        for level, m in enumerate(maps):
            assert m.shape[:3] == (2, -(-h // 2**level), -(-w // 2**level))


@pytest.mark.parametrize("name", ["features-tissue", "features-judge"])
def test_feature_networks_ship_with_a_card(name):
    card = pretrained.card(name)
    assert card.task == "features"
    assert name in training.recipes()
    assert name not in pretrained.names()
    row = card.metrics["cohort test"]
    assert row["right answers (%)"] > 1.5 * row["always the commonest answer (%)"]
    with pytest.raises(pretrained.WeightError, match="no super-resolution"):
        pretrained.super_resolve(name, np.zeros((1, 8, 8)))


def test_teacher_and_judge_differ():
    teacher, judge = (pretrained.card(n) for n in ("features-tissue", "features-judge"))
    assert teacher.architecture != judge.architecture
    assert teacher.usage["question"] != judge.usage["question"]
    users = [r.players for r in training.recipes().values() if r.players]
    assert users
    assert all(players.features != "features-judge" for players in users)


@pytest.mark.parametrize("name", ["features-tissue", "features-judge"])
def test_distance_grows_with_damage_and_not_with_brightness(name, slices):
    """0 for the same image; more blur, more distance; the unit does not matter."""
    eye = pretrained.load(name)
    stack = np.stack(slices[:2]) + 0.01
    assert losses.perceptual_distance(eye, stack, stack) == pytest.approx(0, abs=1e-9)
    blurred = [losses.perceptual_distance(eye, stack, ndimage.gaussian_filter(stack, (0, s, s))) for s in (0.7, 1.5, 3)]
    assert blurred == sorted(blurred)
    assert blurred[0] > 0
    soft = ndimage.gaussian_filter(stack, (0, 1.5, 1.5))
    assert losses.perceptual_distance(eye, 50 * stack, 50 * soft) == pytest.approx(blurred[1], rel=1e-3)


def test_stacks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        losses.perceptual_distance(None, np.ones((1, 8, 8)), np.ones((1, 8, 9)))


def test_spectrum_error():
    rng = np.random.default_rng(0)
    x = rng.random((2, 33, 48))
    assert metrics.spectrum_error(x, x, 2) == 0
    assert metrics.spectrum_error(x, np.zeros_like(x), 4) == pytest.approx(1)
    assert metrics.spectrum_error(x, 3 * x, 4) == pytest.approx(2)
    elsewhere = np.roll(x, (5, 7), (1, 2))  # as strong, and somewhere else
    assert metrics.spectrum_error(x, elsewhere, 2) == pytest.approx(0, abs=1e-9)


def test_damage_is_done():
    rng = np.random.default_rng(0)
    patch = ndimage.gaussian_filter(rng.random((96, 96)), 1).astype(np.float32)
    made = [features.damaged(patch, k, np.random.default_rng(1)) for k in range(len(features.DAMAGES))]
    assert made[0] is patch
    assert all(m.shape == patch.shape and np.abs(m - patch).max() > 1e-3 for m in made[1:])
