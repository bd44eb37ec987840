"""Chapter A1: its NumPy network, its batches, the processes of the backends; what a wrong step does; exercises."""

import csv
import importlib.util

import numpy as np
import pytest
from conftest import exercises_of, functions, quiz_numbers, require, taught
from scipy import signal

from medsr_course import resources, runtime
from medsr_course.networks import backends
from medsr_course.teaching import claims
from medsr_course.teaching.exercises import chA1
from tools import frameworks

NOTEBOOK = resources.checkout() / "notebooks" / "A1_frameworks.ipynb"
SGD = ("SGD", 2**-4, [0.9, 0.999], [1, 5])
ADAM = ("Adam", 2**-10, [1 - 2**-3, 1 - 2**-10], [1, 5])


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """The chapter's functions, in a module of its own, so that their source can be sent."""
    space = taught("A1", {"np": np, "runtime": runtime}, {"new_weights"}, constants={"MISTAKES", "OIHW"})
    return {**vars(functions("A1", tmp_path_factory.mktemp("chapter"))), **space}


@pytest.fixture(scope="module")
def tensorflow():
    backend = backends.Backend("tensorflow")
    yield backend
    backend.end()


@pytest.fixture(scope="module")
def torch():
    require("torch", importlib.util.find_spec("torch"), "needs the extra [torch]: pip install torch")
    backend = backends.Backend("torch")
    yield backend
    backend.end()


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.random((5, 2, 8, 8, 1)), 0.1 * rng.standard_normal((5, 2, 16, 16, 1))


# ---------------------------------------------------------------- NumPy is right


def test_convolution_is_scipy_s_correlation(chapter):
    rng = np.random.default_rng(0)
    x, kernel, bias = rng.random((1, 9, 7, 2)), rng.standard_normal((3, 3, 2, 1)), np.array([0.3])
    want = sum(signal.correlate(x[0, ..., c], kernel[..., c, 0], "same") for c in range(2)) + 0.3
    np.testing.assert_allclose(chapter["convolve"](x, kernel, bias)[0, ..., 0], want)
    wrong = sum(signal.convolve(x[0, ..., c], kernel[..., c, 0], "same") for c in range(2)) + 0.3
    assert np.abs(want - wrong).max() > 0.1


def test_depth_to_space_lays_four_channels_out(chapter):
    x = np.arange(2 * 3 * 4.0).reshape(1, 2, 3, 4)
    fine = chapter["numpy_network"]([np.eye(4)[None, None], np.zeros(4)], x)
    assert fine.shape == (1, 4, 6, 1)
    for a, b in np.ndindex(2, 2):
        np.testing.assert_array_equal(fine[0, a::2, b::2, 0], x[0, ..., 2 * a + b])


def test_every_mistake_loads_without_an_error_and_changes_the_output(chapter):
    weights, x = chapter["new_weights"]("test"), np.random.default_rng(0).random((1, 8, 8, 1))
    right = chapter["numpy_network"](weights, x)
    for name, change in chapter["MISTAKES"].items():
        wrong = chapter["mistaken"](weights, change)
        assert [w.shape for w in wrong] == [w.shape for w in weights], name
        gap = np.abs(chapter["numpy_network"](wrong, x) - right).max() / np.abs(right).max()
        assert (gap == 0) == (name == "right"), name
        assert name == "right" or gap > 0.05, name


# ---------------------------------------------------------------- five stacks


@pytest.mark.slow
@pytest.mark.xdist_group("backends")
def test_outputs_and_steps_agree_and_a_wrong_step_does_not(chapter, tensorflow, torch, data):
    """Each claim of equality with one wrong implementation that must fail it."""
    weights, (x, y) = chapter["new_weights"]("test"), data
    exact = chapter["numpy_network"](weights, x[0])
    for backend, name in ((tensorflow, "tensorflow"), (torch, "torch"), (torch, "keras")):
        out = backend.run(chapter[f"output_{name}"], weights, x[0])
        assert np.abs(out - exact).max() < 1e-12 * np.abs(exact).max()
    for settings in (SGD, ADAM):
        ways = {n: b.run(chapter[f"train_{n}"], weights, x, y, *settings) for n, b in (("tensorflow", tensorflow),
                                                                                     ("torch", torch))}  # fmt: skip
        assert chapter["spread"](ways).max() < 1e-9
        twice = torch.run(chapter["train_torch"], weights, x, y, settings[0], 2 * settings[1], *settings[2:])
        assert chapter["spread"](ways | {"torch": twice}).min() > 0.1  # wrong: a loss summed over two images, say


@pytest.mark.slow
@pytest.mark.xdist_group("backends")
def test_keras_keeps_constants_in_32_bits(chapter, tensorflow, data):
    weights, (x, y) = chapter["new_weights"]("test"), data
    apart = {}
    for name, betas in (("usual", [0.9, 0.999]), ("exact", ADAM[2])):
        ways = {n: tensorflow.run(chapter[f"train_{n}"], weights, x, y, *ADAM[:2], betas, ADAM[3]) for n in
                ("keras", "tensorflow")}  # fmt: skip
        apart[name] = chapter["spread"](ways).max()
    assert apart["exact"] < 1e-7 < 1e-6 < apart["usual"]


# ---------------------------------------------------------------- processes of the backends


def helper(x):
    return 2 * x


def sent(array, words):
    print("said there")
    return {"twice": helper(array), "words": [words, None, (1, 2.5)]}


def endless(n):
    return endless(n - 1) if n else helper(1)


def test_a_function_goes_with_those_it_calls():
    assert backends.with_helpers(sent).count("def ") == 2
    assert backends.with_helpers(endless).count("def endless") == 1


def test_what_is_packed_comes_back():
    value = {"a": [np.arange(3, dtype=np.float32), np.float64(0.1)], 5: ("x", None, True)}
    again = backends._unpacked(backends._packed(value))
    assert again["a"][0].dtype == np.float32
    np.testing.assert_array_equal(again["a"][0], value["a"][0])
    assert (float(again["a"][1]), again[5]) == (0.1, ["x", None, True])


@pytest.mark.slow
@pytest.mark.xdist_group("backends")
def test_a_process_answers_prints_and_names_what_failed(tensorflow, capsys):
    found = tensorflow.run(sent, np.ones(2), "é")
    assert capsys.readouterr().out == "said there\n"
    assert found["twice"].tolist() == [2, 2]
    assert found["words"] == ["é", None, [1, 2.5]]
    with pytest.raises(runtime.CourseError, match=r"helper on tensorflow: TypeError"):
        tensorflow.run(helper, None)
    assert tensorflow.run(helper, 4) == 8  # it lives on


# ---------------------------------------------------------------- stored table, exercises, layout


def row(claim, value, ok=True, why=""):
    return {"chapter": "A1", "claim": claim, "kind": "invariant", "bound": "at most 1", "value": value, "ok": ok,
            "why": why}  # fmt: skip


def test_the_stored_table_keeps_the_range_and_refuses_gaps():
    (found,) = frameworks.summary([[row("a", 0.5)], [row("a", 2.0, False)]])
    assert (found["least"], found["most"], found["held"], found["seeds"]) == ("0.5", "2", 1, 2)
    with pytest.raises(runtime.CourseError, match="not measured: a: no torch"):
        frameworks.summary([[row("a", None, None, "no torch")]])


def test_the_stored_table_holds_what_the_chapters_claim():
    with (resources.checkout() / "results" / "frameworks.csv").open(encoding="utf-8", newline="") as file:
        stored = list(csv.DictReader(file))
    for chapter in frameworks.CHAPTERS:
        (notebook,) = NOTEBOOK.parent.glob(f"{chapter}_*.ipynb")
        kept = [r["claim"] for r in stored if r["chapter"] == chapter]
        assert kept == claims.declared(notebook), "python -m tools.frameworks"
    assert [r["claim"] for r in stored if r["held"] != r["seeds"]] == []


def test_adam_of_the_exercise_is_numpy_s_and_differs_by_library():
    slopes = np.full((3, 1), 1e-6)
    there, here = (chA1.adam_by_hand(slopes, 1.0, 1e-7, keras)[0] for keras in (False, True))
    assert there == pytest.approx(-3 / 1.1, rel=1e-6)
    assert abs(here) < 0.6 * abs(there)


def test_exercises_and_quiz_are_there():
    assert exercises_of("A1") == {"A1-oihw", "A1-adam"}
    assert quiz_numbers("A1") == pytest.approx([2, 31.6], rel=0.01)


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("Five stacks and NumPy", "20 steps of SGD", "20 steps of Adam", "Losses of five stacks",
                  "ONNX Runtime"):  # fmt: skip
        assert words in text
