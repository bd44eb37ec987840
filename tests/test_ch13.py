"""Chapter 13: its definitions against the package, its physics claim with something wrong; exercises; layout."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught

from medsr_course import resources, runtime
from medsr_course.tasks import segmentation, thick_slices
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "13_segmentation.ipynb"


@pytest.fixture(scope="module")
def chapter():
    from medsr_course.networks import models

    space = {"np": np, "seg": segmentation, "keras": models.keras, "layers": models.keras.layers}
    space |= {"ops": models.keras.ops, "SEED": 0, "runtime": runtime}
    wanted = {"my_dice", "rows", "CropLike", "my_unet", "my_losses", "mean_dice", "forward", "step", "torch_unet"}
    wanted |= {"torch_step", "thin_again"}
    return taught("13", space, wanted, constants={"SMALL"})


def test_my_dice(chapter):
    truth = np.random.default_rng(0).integers(0, 4, (3, 8, 9))
    truth[0, 0] = segmentation.IGNORED
    found = np.roll(truth, 1, axis=1)
    for k in (1, 2, 3):
        assert chapter["my_dice"](truth, found, k) == pytest.approx(segmentation.dice(truth, found, k))
        jaccard = (((truth == k) & (found == k)).sum()) / ((truth == k) | (found == k)).sum()
        assert abs(jaccard - chapter["my_dice"](truth, found, k)) > 1e-3 or jaccard == 0


def test_the_listing_mixes_up_images(chapter):
    """Rows of 320 from a batch of 16: the reshaped array against a count of values; and a view that is right."""
    for side in (16, 27, 28, 31, 36, 63, 64):
        left = ((side - 4) // 2 - 4) // 2
        assert chapter["rows"](side) == 16 * 20 * left**2 // 320
    assert [side for side in range(16, 257) if chapter["rows"](side) == 16] == [28, 29, 30, 31]
    assert chapter["rows"](64, images=3) is None  # wrong: another batch size, and it raises
    flat = np.zeros((16, 20, 13, 13)).reshape(16, -1)  # what it should have done
    assert len(flat) == 16


def test_my_unet_is_that_of_the_package(chapter):
    from medsr_course.networks import models

    mine, theirs = chapter["my_unet"](3, (4, 6, 8)), models.unet(3, filters=(4, 6, 8))
    theirs.set_weights(mine.get_weights())
    x = np.random.default_rng(0).random((1, 11, 14, 1)).astype("f4")
    a, b = np.asarray(mine(x)), np.asarray(theirs(x))
    assert np.array_equal(a, b)
    weights = mine.get_weights()
    weights[0] = weights[0] * 1.1  # wrong: one kernel is another
    theirs.set_weights(weights)
    assert np.abs(np.asarray(theirs(x)) - a).max() > 1e-4


def test_my_losses_are_those_of_the_package(chapter):
    from medsr_course.networks import losses

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 6, 7, 3)).astype("f4")
    truth = rng.integers(0, 3, (1, 6, 7))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    mine = chapter["my_losses"](truth, p)
    theirs = {"cross-entropy": losses.cross_entropy, "Dice": losses.soft_dice, "focal": losses.focal}
    for name, loss in theirs.items():
        assert mine[name] == pytest.approx(float(loss(truth, logits)[0]), abs=1e-5)
    assert mine["Dice"] != pytest.approx(float(losses.soft_dice(truth, logits, background=False)[0]), abs=1e-5)


def test_a_raw_step_is_that_of_keras(chapter):
    tf = pytest.importorskip("tensorflow")
    from medsr_course.networks import losses, models

    chapter["tf"] = tf
    model = chapter["my_unet"](5, chapter["SMALL"])
    start = model.get_weights()
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 13, 18, 1)).astype("f4"), rng.integers(0, 5, (2, 13, 18)).astype("i4")
    y[0, :3] = segmentation.IGNORED
    weights = [tf.Variable(w) for w in start]
    loss, _ = chapter["step"](weights, [tf.Variable(tf.zeros_like(w)) for w in weights], x, y)
    model.compile(models.keras.optimizers.SGD(0.1, 0.9), losses.cross_entropy, jit_compile=False)
    assert float(loss) == pytest.approx(float(model.train_on_batch(x, y)), rel=1e-5)
    for mine, theirs in zip(weights, model.get_weights(), strict=True):
        assert np.allclose(mine, theirs, atol=1e-5)
    moved = max(np.abs(a - b).max() for a, b in zip(start, model.get_weights(), strict=True))
    assert moved > 1e-4  # wrong: no step at all would agree, too


def test_the_torch_twin(chapter):
    pytest.importorskip("torch")
    model = chapter["my_unet"](3, (4, 6, 8))
    x = np.random.default_rng(0).random((1, 11, 14, 1)).astype("f4")
    weights = model.get_weights()
    for factor, agree in ((1, True), (1.1, False)):  # wrong: one kernel is another
        twin = chapter["torch_unet"]([weights[0] * factor, *weights[1:]], levels=3)
        out = twin(twin.layers[0].weight.new_tensor(x.transpose(0, 3, 1, 2)))
        gap = np.abs(out.detach().numpy().transpose(0, 2, 3, 1) - model.predict_on_batch(x)).max()
        assert (gap < 1e-5) == agree


@pytest.mark.parametrize("wrong", [None, "no momentum", "gradients add up"])
def test_the_torch_step_is_that_of_tensorflow(chapter, wrong):
    torch, tf = pytest.importorskip("torch"), pytest.importorskip("tensorflow")
    chapter["tf"] = tf
    start = chapter["my_unet"](5, chapter["SMALL"]).get_weights()
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 13, 18, 1)).astype("f4"), rng.integers(0, 5, (2, 13, 18)).astype("i4")
    y[0, :3] = segmentation.IGNORED
    weights = [tf.Variable(w) for w in start]
    velocity = [tf.Variable(tf.zeros_like(w)) for w in weights]
    twin = chapter["torch_unet"](start, levels=3)
    descent = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0 if wrong == "no momentum" else 0.9)
    if wrong == "gradients add up":
        descent.zero_grad = lambda: None
    for _ in range(3):
        chapter["step"](weights, velocity, x, y)
        chapter["torch_step"](twin, descent, torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(y).long())
    moved = [w.detach().numpy() for w in twin.parameters()]
    moved = [w.transpose(2, 3, 1, 0) if w.ndim == 4 else w for w in moved]
    gap = max(np.abs(a - b.numpy()).max() for a, b in zip(moved, weights, strict=True))
    assert (gap < 1e-4) == (wrong is None)


def test_thin_slices_stand_where_the_true_ones_do(chapter, monkeypatch):
    """On a scan that is a ramp along the slices, every method is right; half a thick slice off, none is."""
    from medsr_course.networks import pretrained

    monkeypatch.setattr(pretrained, "thin_slices", lambda name, thick: thick_slices.back_project(thick))
    chapter |= {"pretrained": pretrained, "thick_slices": thick_slices}
    scan = np.broadcast_to(np.arange(80.0)[:, None, None], (80, 4, 4))
    made = chapter["thin_again"](scan, 20, 16)
    assert all(len(stack) == 16 for stack in made.values())
    for title in ("cubic", "back-projection", "network", "thin"):
        assert np.abs(made[title] - scan[20:36]).max() < 0.2
        assert np.abs(made[title] - scan[22:38]).max() > 1  # wrong: half a thick slice off
    assert np.abs(made["nearest thick slice"] - scan[20:36]).max() <= 2


def test_a_verdict_tells_none_from_too_few():
    rng = np.random.default_rng(0)
    none, real = rng.normal(0, 0.01, 20), rng.normal(0.05, 0.01, 20)
    assert segmentation.verdict(none - none.mean(), 0.02) == "equivalent"
    assert segmentation.verdict(real, 0.02) == "different"
    assert segmentation.verdict(real, 0.1) == "different and equivalent"
    assert segmentation.verdict(np.array([-0.1, 0.1, 0.05]), 0.02) == "undecided"  # wrong: "no difference"
    with pytest.raises(ValueError, match="margin"):
        segmentation.verdict(real, 0)
    # Of two means just outside the margin, one in twenty is called equivalent, no more: the size of the test.
    called = [
        segmentation.verdict(np.random.default_rng(k).normal(0.02, 0.02, 8), 0.02).endswith("equivalent")
        for k in range(400)
    ]
    assert np.mean(called) < 0.08


def test_exercises_and_quiz_are_there():
    names = exercises_of("13")
    assert names == {"13-soft-volumes", "13-balanced-weights", "13-limits-of-agreement"}
    assert quiz_numbers("13") == pytest.approx([0.8])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "beats the mixture",
        "raw TensorFlow",
        "PyTorch and raw",
        "raw step alone",
        "ZIP − LR",
        "Thick slices",
    ):
        assert words in text
