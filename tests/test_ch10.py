"""Chapter 10: its own definitions against the package's, each claim with a version wrong in one point."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught

from medsr_course import resources
from medsr_course.physics import metrics
from medsr_course.tasks import thick_slices
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "10_lstm_reconstruction.ipynb"
WANTED = ("my_matrix", "my_back_project", "field", "sequences", "MyConvLSTM", "my_network", "shuffled")


@pytest.fixture(scope="module")
def chapter():
    """Functions and classes that the chapter itself defines, by name, without running the rest of it."""
    from medsr_course.networks import models

    keras = models.keras
    space = {"np": np, "keras": keras, "layers": keras.layers, "ops": keras.ops, "thick_slices": thick_slices}
    return taught("10", space, WANTED)


def test_my_matrix_is_that_of_the_package(chapter):
    for n in (3, 10, 21):
        mine = chapter["my_matrix"](n)
        assert np.abs(mine - thick_slices.matrix(n)).max() < 1e-12
        assert np.abs(chapter["my_matrix"](n, fwhm=4.2) - thick_slices.matrix(n)).max() > 1e-3
        assert np.abs(np.roll(mine, 1, axis=1) - thick_slices.matrix(n)).max() > 1e-3


def test_my_back_projection_is_that_of_the_package(chapter):
    thick = np.random.default_rng(0).uniform(1, 2, (9, 4, 3))
    mine = chapter["my_back_project"](thick, thick_slices.STANDARD, 16)
    assert np.abs(mine - thick_slices.back_project(thick, iterations=16)).max() < 1e-9
    assert np.abs(thick_slices.thicken(mine) - thick).max() < 1e-3
    assert np.abs(thick_slices.thicken(thick_slices.cubic(thick)) - thick).max() > 1e-2  # without iterations


def test_back_projection_beats_cubic_on_the_template(chapter):
    from medsr_course.scans import datasets, volumes

    stack = chapter["field"](volumes.to_stack(datasets.load("mni152")[0].contrasts["T1w"]), 8)
    thick = thick_slices.thicken(stack)
    base = metrics.psnr(stack, thick_slices.cubic(thick))
    assert metrics.psnr(stack, thick_slices.back_project(thick)) > base + 0.5
    assert (
        metrics.psnr(stack, thick_slices.back_project(thick, thick_slices.Slab(4, 8))) < base
    )  # through a wrong profile


def test_sequences_keep_pixels_together(chapter):
    stack = np.random.default_rng(0).random((64, 70, 40))
    cut = chapter["sequences"](stack)
    assert cut.shape == (2 * 2 * 1, 8, 4 * 32 * 32)
    assert np.array_equal(cut[3, 2].reshape(4, 32, 32), stack[32 + 8 : 32 + 12, 32:64, :32])


def test_my_memory_is_that_of_keras_and_of_the_package(chapter):
    from medsr_course.networks import models

    ops, rng = models.keras.ops, np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 4, 3, 2)).astype(np.float32)
    own, package = chapter["MyConvLSTM"](3, 3, True), models.thick_slices.ConvLSTM(3, 3, True)
    own(x), package(x)
    a, b, c = (rng.normal(0, 0.3, w.shape) for w in own.get_weights())
    own.set_weights([a, b, c])
    package.set_weights([a, c, b])
    assert np.abs(ops.convert_to_numpy(own(x) - package(x))).max() < 1e-6
    forwards = models.thick_slices.ConvLSTM(3, 3, False)
    forwards(x)
    forwards.set_weights([a, c, b])
    assert np.abs(ops.convert_to_numpy(own(x) - forwards(x))).max() > 1e-3  # the other way round


def test_my_network_is_that_of_the_package(chapter):
    from medsr_course.networks import models

    mine, theirs = chapter["my_network"](), models.convlstm(4, steps=8)
    rng = np.random.default_rng(0)
    values = [rng.normal(0, 0.1, w.shape) for w in theirs.get_weights()]
    theirs.set_weights(values)
    order = (0, 1, 2, 4, 3, 5, 7, 6, 8, 9)
    x = rng.random((2, 8, 32, 32, 4)).astype(np.float32)
    want = np.asarray(theirs(x))
    mine.set_weights([values[k] for k in order])
    assert np.abs(np.asarray(mine(x)) - want).max() > 1e-3 * np.abs(want).max()  # brightness still has a say
    values[0] -= values[0].mean(axis=(0, 1, 2))
    mine.set_weights([values[k] for k in order])
    assert np.abs(np.asarray(mine(x)) - want).max() < 1e-5 * np.abs(want).max()


def test_shuffling_draws_an_order_for_every_window_and_puts_the_answers_back(chapter):
    seen = []
    chapter["draws"] = np.random.default_rng(0)
    chapter["network"] = lambda x: seen.append(x[0, :, 0, 0, 0].astype(int).tolist()) or 2 * x
    x = np.arange(8.0).reshape(1, 8, 1, 1, 1)
    for _ in range(6):
        assert np.array_equal(chapter["shuffled"](x), 2 * x)
    assert all(sorted(order) == list(range(8)) for order in seen)
    assert len({tuple(order) for order in seen}) > 3  # not one order for all


def test_back_projection_with_the_wrong_profile_does_the_damage(chapter):
    """What the chapter blames: thin slices with gaps, undone with too wide a profile, fall below cubic."""
    from medsr_course.scans import datasets, volumes

    stack = chapter["field"](volumes.to_stack(datasets.load("mni152")[0].contrasts["T1w"]), 8)
    gap = thick_slices.Slab(4, 1.5)
    thick = thick_slices.thicken(stack, gap)
    base = metrics.psnr(stack, thick_slices.cubic(thick))
    assert metrics.psnr(stack, thick_slices.back_project(thick, gap)) > base - 0.1
    assert metrics.psnr(stack, thick_slices.back_project(thick)) < base - 0.5


def test_exercises_and_quiz_are_there():
    assert exercises_of("10") == {
        "10-thick-slice",
        "10-memory-step",
        "10-slice-order",
    }
    assert quiz_numbers("10") == pytest.approx([1, 27712])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "Shipped ConvLSTM beats back-projection, unseen",
        "ConvLSTM trained here beats back-projection",
        "Shuffling the slices costs",
        "Shipped 2.5-D network beats back-projection",
        "weights differ by",
        "no real test scan below back-projection",
        "Told the true profile, the ConvLSTM leads at a gap",
        "through time beats",
        "Three trainings: ConvLSTM over the 2.5-D network",
    ):
        assert words in text
