"""Chapter 01: what its exercises accept, and that its own network code is right."""

import numpy as np
import pytest
from conftest import taught

from medsr_course import runtime
from medsr_course.teaching.exercises._core import verdict
from medsr_course.teaching.exercises.ch01 import early_stopping, relu_layer_backward


@pytest.fixture(scope="module")
def chapter():
    """Functions and plain constants of the notebook, without running the rest of it."""
    return taught("01", {"np": np, "runtime": runtime}, constants={"BENDS", "RAW, STANDARD"})


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    return rng.normal(size=(20, 3)), np.eye(3)[rng.integers(0, 3, 20)]


@pytest.mark.parametrize("sizes", [(3, 3), (3, 5, 3), (3, 4, 6, 3)])
def test_gradient_by_definition(chapter, data, sizes):
    x, y = data
    network = chapter["new_network"](sizes)
    slopes = chapter["backward"](network, chapter["forward"](network, x), y)
    ours = np.concatenate([part.ravel() for layer in slopes for part in layer])
    assert ours == pytest.approx(chapter["nudged"](network, x, y, "tanh", 1e-5), rel=1e-6, abs=1e-9)


def test_gradient_check_notices_a_wrong_gradient(chapter, data):
    """One wrong implementation: the derivative of tanh left out."""
    x, y = data
    network = chapter["new_network"]((3, 5, 3))
    outputs = chapter["forward"](network, x)
    first = x.T @ ((np.exp(chapter["log_softmax"](outputs[-1])) - y) / len(x) @ network[1][0].T)
    definition = chapter["nudged"](network, x, y, "tanh", 1e-5)[: first.size]
    assert np.linalg.norm(first.ravel() - definition) > 1e-2 * np.linalg.norm(definition)


def test_many_networks_at_once_are_the_same_as_one_by_one(chapter, data):
    x, y = data
    many = chapter["new_network"]((3, 4, 3), copies=(2, 5))
    slopes = chapter["backward"](many, chapter["forward"](many, x), y)
    for k in np.ndindex(2, 5):
        one = [[part[k] for part in layer] for layer in many]
        alone = chapter["backward"](one, chapter["forward"](one, x), y)
        for layer, single in zip(slopes, alone, strict=True):
            for part, expected in zip(layer, single, strict=True):
                assert part[k] == pytest.approx(expected, abs=1e-12)


def test_log_softmax_survives_huge_logits(chapter):
    assert np.exp(chapter["log_softmax"](np.array([[1000.0, 0.0, -1000.0]]))) == pytest.approx(np.array([[1, 0, 0]]))


def test_first_step_of_adam_is_the_learning_rate_in_size(chapter):
    """Kingma & Ba 2015, section 2.1: with bias correction the first step is ± the rate, whatever the slope."""
    for slope in (1e-4, 1.0, 300.0):
        assert chapter["adam"]({}, np.array([slope, -slope]), 1) == pytest.approx([1, -1], rel=1e-3)


def test_perceptron_stops_when_it_makes_no_mistake(chapter):
    x = np.array([[-2.0, 1], [-1, 1], [1, 1], [2, 1]])
    weights, mistakes = chapter["perceptron"](x, np.array([-1, -1, 1, 1]), 100)
    assert mistakes[-1] == 0
    assert len(mistakes) < 100
    assert len(weights) == len(mistakes) + 1


def test_relu_layer_by_definition():
    rng = np.random.default_rng(1)
    x, w, b, slope = rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), rng.normal(size=2), rng.normal(size=(4, 2))
    parts = [x, w, b]
    for part, derivative in zip(parts, relu_layer_backward(x, w, b, slope), strict=True):
        for i in np.ndindex(part.shape):
            kept, values = part[i], []
            for h in (1e-6, -1e-6):
                part[i] = kept + h
                values.append((np.maximum(x @ w + b, 0) * slope).sum())
            part[i] = kept
            assert derivative[i] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("losses", "patience", "kept"),
    [([3, 2, 1], 1, 2), ([1, 2, 3, 0], 2, 0), ([1, 2, 3, 0], 3, 3), ([1, 2, 3, 4, 0], 3, 0), ([2, 2, 1], 1, 0)],
)
def test_early_stopping(losses, patience, kept):
    assert early_stopping(losses, patience) == kept


def test_xor_accepts_any_right_answer():
    assert verdict("01-xor-by-hand", lambda: ([[-5, 3], [-5, 3]], [2, -4], [-1, -1], 0.5)) == ("right", "right.")


def test_momentum_wins_in_a_long_valley_only(chapter):
    def speed(rule, condition):
        rates = np.geomspace(0.01, 2, 40) / condition
        return min(chapter["steps_in_valley"](rule, rate, np.array([1, condition])) for rate in rates)

    plain, momentum = chapter["plain"], chapter["momentum"]
    assert speed(plain, 100) > 3 * speed(momentum, 100)
    assert speed(plain, 1) < 0.5 * speed(momentum, 1)
    for no_op in (lambda memory, g, t: g, lambda memory, g, t: memory.setdefault("v", 0 * g) + g):  # wrong: no memory
        assert speed(plain, 100) < 3 * speed(no_op, 100)


def test_the_trainer_counts_the_voxels_it_looks_at(chapter, data):
    x, y = data
    looked = {None: [], 6: []}
    for batch, counts in looked.items():
        chapter["train"](chapter["new_network"]((3, 3)), x, y, chapter["plain"], 0.1, 4, batch=batch, looked=counts)
    assert looked == {None: [20] * 4, 6: [6] * 4}  # wrong, and caught: SGD that takes all voxels
