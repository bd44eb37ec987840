"""Segmentation: metrics against cases worked out by hand, the mixture, patches, losses, the network and its use."""

import numpy as np
import pytest
from scipy import ndimage

from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import segment_with
from medsr_course.tasks import segmentation


def ball(radius, shape=(24, 40, 40), centre=None):
    index = np.indices(shape)
    centre = centre or [n // 2 for n in shape]
    return sum((i - c) ** 2 for i, c in zip(index, centre, strict=True)) <= radius**2


def test_tissues_merge_the_ten_labels():
    merged = segmentation.tissues(np.arange(10))
    assert merged.tolist() == [0, 1, 2, 3, 2, 4, 4, 4, 4, segmentation.IGNORED]
    with pytest.raises(ValueError, match="0 … 9"):
        segmentation.tissues(np.array([10]))


def test_dice():
    truth = np.zeros((1, 6, 6), int)
    truth[0, :2] = 1
    found = np.roll(truth, 1, axis=1)
    assert segmentation.dice(truth, truth, 1) == 1
    assert segmentation.dice(truth, found, 1) == pytest.approx(0.5)
    assert np.isnan(segmentation.dice(truth, found, 3))
    truth[0, 0] = segmentation.IGNORED  # what is left: row 1 against rows 1 and 2
    assert segmentation.dice(truth, found, 1) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="one shape"):
        segmentation.dice(truth, found[:, :3], 1)


def test_hausdorff_sees_the_surface_on_the_faces_of_the_box_round_both_masks():
    inner, outer = np.zeros((2, 11, 11, 11), int)
    inner[4:7, 4:7, 4:7] = outer[2:9, 2:9, 2:9] = 1
    # From the small cube's surface it is 2 everywhere; from a corner of the large one √12, from few voxels more than 3.
    assert segmentation.hausdorff95(inner, outer, 1) == segmentation.hausdorff95(outer, inner, 1)
    assert 2 < segmentation.hausdorff95(inner, outer, 1) <= np.sqrt(12)
    # A box that ends where the image does is treated as before: the mask may go on beyond.
    assert np.isnan(segmentation.hausdorff95(inner[2:9, 2:9, 2:9], outer[2:9, 2:9, 2:9], 1))


def test_hausdorff_is_in_millimetres_and_forgives_a_stray_voxel():
    truth = ball(9).astype(int)
    larger = ball(12).astype(int)
    assert segmentation.hausdorff95(truth, truth, 1) == 0
    assert segmentation.hausdorff95(truth, larger, 1) == pytest.approx(3, abs=0.5)
    twice = segmentation.hausdorff95(truth, larger, 1, spacing=(2, 2, 2))
    assert twice == pytest.approx(2 * segmentation.hausdorff95(truth, larger, 1))
    stray = truth.copy()
    stray[0, 0, 0] = 1
    assert segmentation.hausdorff95(truth, stray, 1) == 0
    assert np.isnan(segmentation.hausdorff95(truth, 0 * truth, 1))


def test_volumes_and_fractions():
    labels = np.array([[[1, 1, 2, 3]]])
    assert segmentation.volumes_ml(labels, spacing=(5, 10, 10)) == {1: 1.0, 2: 0.5, 3: 0.5}
    assert segmentation.fractions(labels) == {1: 0.5, 2: 0.25, 3: 0.25}
    assert np.isnan(segmentation.fractions(0 * labels)[1])


def test_bland_altman():
    bias, low, high = segmentation.bland_altman([10, 20, 30], [11, 23, 32])
    assert bias == pytest.approx(2)
    assert (low, high) == pytest.approx((2 - 1.96, 2 + 1.96))


def test_coherence_and_flicker():
    smooth = np.stack([ball(10 + z % 2 * 0)[12] for z in range(6)]) * 3
    assert segmentation.coherence(smooth) == 1
    assert segmentation.flicker(smooth) == 0
    comb = smooth.copy()
    comb[1::2] = np.where(ndimage.binary_dilation(comb[0] == 3), 3, 0)
    assert segmentation.coherence(comb) < 0.97
    ring = (comb[1] == 3).sum() - (smooth[0] == 3).sum()
    assert segmentation.flicker(comb) == pytest.approx(ring / (comb[1] == 3).sum())
    with pytest.raises(ValueError, match="at least two"):
        segmentation.coherence(smooth[:1])
    with pytest.raises(ValueError, match="at least three"):
        segmentation.flicker(smooth[:2])


def test_detected():
    truth = ball(4, centre=(12, 10, 10)) | ball(3, centre=(12, 30, 30))
    found = ball(2, centre=(12, 10, 10)) | ball(2, centre=(5, 20, 35))
    hits, alarms = segmentation.detected(truth, found)
    assert [hit for _, hit in sorted(hits)] == [False, True]
    assert alarms == 1
    assert segmentation.detected(truth, truth)[1] == 0
    assert segmentation.detected(0 * truth, 0 * truth) == ([], 0)


@pytest.fixture(scope="module")
def brain():
    """A made-up T1-weighted brain of three shells, with noise and shading; truth and shading."""
    rng = np.random.default_rng(0)
    shape = (24, 64, 64)
    truth = np.zeros(shape, np.uint8)
    for k, radius in ((1, 28), (2, 24), (3, 15)):
        truth[ball(radius, shape, (12, 32, 32))] = k
    field = 1 + 0.45 * np.linspace(-1, 1, 64)[None, None, :] * np.ones(shape)
    image = np.array([0, 30, 70, 100.0])[truth] * field + rng.normal(0, 4, shape)
    return np.abs(image).astype(np.float32), truth, field


def test_mixture_needs_the_bias_field(brain):
    image, truth, field = brain
    mask = truth > 0
    right = segmentation.mixture(image, mask, field=field.astype(np.float32), components=3)
    wrong = segmentation.mixture(image, mask, components=3)
    assert min(segmentation.dice(truth, right, k) for k in (1, 2, 3)) > 0.95
    assert segmentation.dice(truth, wrong, 2) < segmentation.dice(truth, right, 2) - 0.02
    assert not right[~mask].any()


def test_neighbours_quieten_a_mixture(brain):
    image, truth, field = brain
    noisy = image / field + np.random.default_rng(1).normal(0, 12, image.shape)
    alone, together = (segmentation.mixture(noisy, truth > 0, components=3, beta=b) for b in (0, 1))
    assert segmentation.dice(truth, together, 2) > segmentation.dice(truth, alone, 2) + 0.02


def test_mixture_of_nothing_and_wrong_input(brain):
    image, truth, _ = brain
    assert not segmentation.mixture(image, truth > 9).any()
    with pytest.raises(ValueError, match="three components"):
        segmentation.mixture(image, truth > 0, components=2)
    with pytest.raises(ValueError, match="its mask"):
        segmentation.mixture(image, truth[:3] > 0)


def test_n4_finds_the_shading(brain):
    pytest.importorskip("SimpleITK")
    image, truth, field = brain
    found = segmentation.bias_field(image, truth > 0, shrink=2)
    inside = truth == 3
    assert np.corrcoef(found[inside], field[inside])[0, 1] > 0.9
    assert found[truth > 0].mean() == pytest.approx(1, abs=1e-3)
    assert np.array_equal(segmentation.bias_field(image, truth > 9), np.ones_like(image))


# -- Losses, network, training, use -----------------------------------------------------------------


@pytest.fixture(scope="module")
def ops():
    from medsr_course.networks import models

    return models.keras.ops


def test_losses(ops):
    from medsr_course.networks import losses

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 5, 6, 3)).astype("f4")
    target = rng.integers(0, 3, (2, 5, 6))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    right = np.take_along_axis(p, target[..., None], -1)[..., 0]
    by_hand = -np.log(right).mean((1, 2))
    assert np.allclose(losses.cross_entropy(target, logits), by_hand, atol=1e-5)
    assert np.allclose(losses.focal(target, logits, gamma=0.0), by_hand, atol=1e-5)
    assert np.allclose(losses.focal(target, logits), (-((1 - right) ** 2) * np.log(right)).mean((1, 2)), atol=1e-5)
    weighted = losses.cross_entropy(target, logits, weights=[0, 0, 3])
    assert np.allclose(weighted, [-np.log(r[t == 2]).mean() for r, t in zip(right, target, strict=True)], atol=1e-4)
    sure = 50 * np.eye(3)[target].astype("f4")
    assert float(losses.soft_dice(target, sure)[0]) < 1e-4
    assert float(losses.soft_dice(target, -sure)[0]) > 0.3


def test_ignored_pixels_change_no_loss(ops):
    from medsr_course.networks import losses

    rng = np.random.default_rng(1)
    logits = rng.normal(size=(1, 4, 8, 3)).astype("f4")
    target = rng.integers(0, 3, (1, 4, 8))
    target[..., 5:] = segmentation.IGNORED
    other = logits.copy()
    other[..., 5:, :] = rng.normal(size=(1, 4, 3, 3))
    for loss in (losses.cross_entropy, losses.focal, losses.soft_dice):
        assert np.allclose(loss(target, logits), loss(target, other))


@pytest.mark.parametrize("size", [(16, 24), (13, 21), (7, 9)])
def test_unet_takes_any_size(size):
    from medsr_course.networks import models

    model = models.unet(4, channels=2, filters=(4, 6, 8))
    out = np.asarray(model(np.random.default_rng(0).random((2, *size, 2)).astype("f4")))
    assert out.shape == (2, *size, 4)
    assert np.isfinite(out).all()


def test_unet_refuses_nonsense():
    from medsr_course.networks import models

    with pytest.raises(ValueError, match="two classes"):
        models.unet(1)
    with pytest.raises(ValueError, match="at least one level"):
        models.unet(2, filters=())


@pytest.fixture(scope="module")
def discs():
    images, labels = [], []
    for radius in (10, 14, 18):
        y, x = np.mgrid[:72, :64]
        inside = np.hypot(y - 34, x - 30) < radius
        images.append(np.where(inside, 0.9, 0.3).astype(np.float16))
        labels.append(inside.astype(np.uint8))
    return images, labels


def test_patches_keep_image_and_label_together(discs):
    from medsr_course.networks.training.segmentation import Change, Labelled

    calm = Change(gamma=1, gain=0, shade=0, soft=0, noise=0)
    batches = Labelled(*discs, size=32, batch=6, change=calm)
    image, target = batches(5)
    assert image.shape == (6, 32, 32, 1)
    assert target.dtype == np.int32
    again = batches(5)
    assert np.array_equal(image, again[0])
    assert not np.array_equal(image, batches(6)[0])
    bright = image[..., 0] > 0.6
    assert (bright == (target == 1)).mean() > 0.98
    assert 0.1 < target.mean() < 0.9


def test_rare_classes_are_looked_for(discs):
    from medsr_course.networks.training.segmentation import Labelled

    images, labels = discs
    seldom = [np.zeros_like(mark) for mark in labels]
    seldom[1][40:42, 20:22] = 1
    for share, least in ((0.0, 0), (1.0, 8)):
        _, target = Labelled(images, seldom, size=16, batch=8, rare=1, share=share)(0)
        assert (target == 1).any(axis=(1, 2)).sum() >= least


def test_no_slices():
    from medsr_course.networks.training import TrainingError
    from medsr_course.networks.training.segmentation import Labelled

    with pytest.raises(TrainingError, match="no slices"):
        Labelled([], [])


def test_it_learns_discs(discs):
    from medsr_course.networks import models, training
    from medsr_course.networks.training.segmentation import Change, Labelled, overlap_loss

    batches = Labelled(*discs, size=32, batch=8, change=Change())
    model = models.unet(2, filters=(6, 8, 12))
    before, *_, after = training.fit(model, batches, 60, loss=overlap_loss, learning_rate=1e-2, every=10)
    assert after[1] < 0.5 * before[1]
    images = np.stack(discs[0]).astype("f4")
    found = segment_with(model.predict_on_batch, images, unit=1.0)
    assert segmentation.dice(np.stack(discs[1]), found, 1) > 0.8


def test_label_is_softmax_and_argmax_at_any_unit():
    logits = np.random.default_rng(0).normal(size=(3, 8, 9, 4)).astype("f4")

    def network(batch):
        network.seen.append(float(batch.max()))
        return logits[: len(batch)]

    network.seen = []
    stack = np.random.default_rng(1).random((3, 8, 9)).astype("f4")
    p = segment_with(network, 700 * stack, probabilities=True)
    assert np.allclose(p.sum(-1), 1, atol=1e-5)
    assert np.array_equal(p.argmax(-1), segment_with(network, stack))
    assert network.seen[0] == pytest.approx(network.seen[1], rel=1e-5)
    assert segment_with(network, np.zeros((1, 8, 9))).shape == (1, 8, 9)
    for wrong in (stack[0], stack * 1j, np.full_like(stack, np.nan), stack[:0]):
        with pytest.raises(ValueError, match=r"expected|NaN"):
            segment_with(network, wrong)


@pytest.mark.parametrize("name", pretrained.names("segmentation"))
def test_shipped(name):
    """ONNX and Keras say the same; the card says what it is."""
    card = pretrained.card(name)
    assert len(card.usage["classes"]) == card.settings["classes"]
    x = np.random.default_rng(0).random((2, 45, 52)).astype("f4")
    fast = pretrained.segment(name, x, probabilities=True)
    slow = segment_with(pretrained.load(name), x, probabilities=True)
    assert fast.shape == (2, 45, 52, len(card.usage["classes"]))
    assert np.abs(fast - slow).max() < 1e-4
    assert pretrained.segment(name, x).max() < len(card.usage["classes"])


def test_only_segmentation_networks_segment():
    with pytest.raises(pretrained.WeightError, match="no segmentation network"):
        pretrained.segment("espcn-x2", np.ones((1, 8, 8)))
