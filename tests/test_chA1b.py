"""Chapter A1b: its formulas, its conventions with one wrong implementation each; exercises; layout."""

import importlib.util

import numpy as np
import pytest
from conftest import exercises_of, functions, quiz_numbers, require, taught

from medsr_course import resources, runtime
from medsr_course.networks import backends
from medsr_course.teaching import claims
from medsr_course.teaching.exercises import chA1b

NOTEBOOK = resources.checkout() / "notebooks" / "A1b_frameworks_conventions.ipynb"


@pytest.fixture(scope="module")
def chapter():
    names = {"Node", "slope", "simpler", "size", "compiled", "convolve", "arriving", "apart"}
    return taught("A1b", {"np": np, "runtime": runtime}, names)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """(framework, operation, *arguments) → its answer, from the functions of the chapter."""
    require("torch", importlib.util.find_spec("torch"), "needs the extra [torch]: pip install torch")
    module = functions("A1b", tmp_path_factory.mktemp("chapter"))
    there = {name: backends.Backend(name) for name in ("tensorflow", "torch")}

    def ask(framework, operation, *arguments):
        function = getattr(module, f"{operation}_{framework}")
        return there["torch" if framework == "torch" else "tensorflow"].run(function, *arguments)

    yield ask
    for backend in there.values():
        backend.end()


# ---------------------------------------------------------------- formulas


def test_a_formula_differentiates_itself(chapter):
    node = chapter["Node"]
    w, x, y = node("w"), node("x"), node("y")
    for formula in (w * w * w, (w * x + y) * (w + x), x * y):
        raw = chapter["slope"](formula, "w")
        short = chapter["simpler"](raw)
        at = {"x": 0.3, "y": -0.7, "w": 1.1}
        value = chapter["compiled"](formula)
        nudge = (value(**(at | {"w": 1.1 + 1e-6})) - value(**(at | {"w": 1.1 - 1e-6}))) / 2e-6
        assert chapter["compiled"](short)(**at) == pytest.approx(nudge, abs=1e-8)
        assert chapter["compiled"](raw)(**at) == pytest.approx(chapter["compiled"](short)(**at), abs=1e-14)
        assert chapter["size"](short) < chapter["size"](raw)


def test_the_nudge_notices_a_wrong_product_rule(chapter):
    node = chapter["Node"]
    w, x = node("w"), node("x")
    wrong = chapter["slope"](w, "w") * chapter["slope"](w * x, "w")  # the product of the slopes
    assert chapter["compiled"](wrong)(1, 0, 2) != pytest.approx(chapter["compiled"](w * x + w * x)(1, 0, 2))


# ---------------------------------------------------------------- conventions


@pytest.mark.slow
@pytest.mark.xdist_group("backends")
def test_padding_shuffle_and_resizing(chapter, both):
    rng = np.random.default_rng(0)
    apart = chapter["apart"]
    x, kernel = rng.random((1, 12, 12, 1)).astype("f4"), rng.standard_normal((3, 3, 1, 1)).astype("f4")
    same = both("tensorflow", "strided", x, kernel)
    assert apart(both("torch", "strided", x, kernel, *chA1b.same_padding(12, 3, 2)), same) < 1e-5
    assert apart(both("torch", "strided", x, kernel, 1, 1), same) > 0.05  # wrong: as PyTorch does it
    odd = x[:, :11, :11]
    assert apart(both("torch", "strided", odd, kernel, 1, 1), both("tensorflow", "strided", odd, kernel)) < 1e-5
    deep = rng.random((1, 4, 4, 8)).astype("f4")
    laid = both("tensorflow", "shuffle", deep)
    assert apart(both("torch", "shuffle", deep.reshape(1, 4, 4, 4, 2).swapaxes(3, 4).reshape(deep.shape)), laid) == 0
    assert apart(both("torch", "shuffle", deep), laid) > 0.1  # wrong: not sorted
    half = both("tensorflow", "resize", x, "bilinear", False)
    assert apart(both("torch", "resize", x, "bilinear", False), half) < 1e-5
    assert apart(both("torch", "resize", x, "bilinear", True), half) > 0.05  # wrong: corners aligned
    kept = both("tensorflow", "resize", x, "bilinear", True)
    np.testing.assert_allclose(kept[:, ::2, ::2], x, atol=1e-6)  # sample 0, and every second one, stay
    assert np.abs(half[:, ::2, ::2] - x).max() > 0.05


@pytest.mark.slow
@pytest.mark.xdist_group("backends")
def test_normalisation_and_adam(chapter, both):
    apart, x = chapter["apart"], 3 + 0.05 * np.random.default_rng(0).standard_normal((16, 5)).astype("f4")
    keras, matched, usual = (
        both("keras", "norm", x),
        both("torch", "norm", x, 0.01, 1e-3),
        both("torch", "norm", x, 0.1, 1e-5),
    )
    assert apart(matched[0], keras[0]) < 1e-4
    assert apart(usual[0], keras[0]) > 0.05  # wrong: as delivered
    np.testing.assert_allclose(matched[1], keras[1], rtol=1e-4)
    slopes = np.array([1e-7, 1e-6, 1e-3])
    hat = 1e-7 / np.sqrt(1 - (1 - 2**-10))
    assert apart(both("torch", "adam", slopes, float(hat)), both("keras", "adam", slopes, 1e-7)) < 1e-5
    assert apart(both("torch", "adam", slopes, 1e-7), both("keras", "adam", slopes, 1e-7)) > 0.2  # wrong: the same ε


def test_a_wider_start_lets_more_of_the_image_through(chapter):
    rng = np.random.default_rng(0)

    def layers(spread):
        return [part for _ in range(4) for part in (spread * rng.standard_normal((3, 3, 32, 32)), np.zeros(32))]

    wide, narrow = (chapter["arriving"](layers(spread / np.sqrt(288)))[-1] for spread in (1, 1 / np.sqrt(3)))
    assert wide / narrow == pytest.approx(9, rel=0.2)  # √3 for each of four layers


# ---------------------------------------------------------------- exercises, layout


def test_same_padding_is_that_of_tensorflow_s_words():
    for size, kernel, stride in np.ndindex(20, 6, 4):
        before, after = chA1b.same_padding(size + 1, kernel + 1, stride + 1)
        assert 0 <= before <= after <= before + 1
        number = (size + 1 + before + after - kernel - 1) // (stride + 1) + 1
        assert number >= -(-(size + 1) // (stride + 1))


def test_exercises_and_quiz_are_there():
    assert exercises_of("A1b") == {"A1b-padding", "A1b-flatten"}
    assert quiz_numbers("A1b") == pytest.approx([63, 1.732], rel=0.01)


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("Stride 2", "channels sorted", "SciPy's correlation", "First kernels", "Batch normalisation",
                  "Keras's first step", "Half-pixel centres", "Bicubic", "formula's slope"):  # fmt: skip
        assert words in text
