"""Exercises of chapter 01: XOR by hand, back-propagation through a ReLU layer, early stopping."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped

_CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
_NAMED = {  # what the outputs at (0,0), (0,1), (1,0), (1,1) would be instead
    (0, 1, 1, 1): "that is OR: it says yes to (1, 1), too; the second hidden neuron has to veto that",
    (0, 0, 0, 1): "that is AND: yes to (1, 1) only",
    (1, 1, 1, 0): "that is NAND: it says yes to (0, 0), where neither input is on",
    (1, 0, 0, 1): "that is XNOR, the exact opposite: turn the signs of the output neuron round",
    (0, 0, 0, 0): "it never fires: the output neuron's bias is too low, or a hidden neuron never fires",
    (1, 1, 1, 1): "it always fires: the output neuron's bias is too high",
}


def _check_xor(fn):
    parts = answer(fn)
    try:
        w1, b1, w2, b2 = (np.asarray(part, float) for part in parts)
    except (TypeError, ValueError):
        raise Wrong("return four things: w1, b1, w2, b2") from None
    for name, part, shape in (("w1", w1, (2, 2)), ("b1", b1, (2,)), ("w2", w2, (2,)), ("b2", b2, ())):
        shaped(part, shape, f"{name} should have the shape {shape}, and yours has {{}}")
    hidden = (_CORNERS @ w1 + b1 > 0).astype(float)
    got = tuple((hidden @ w2 + b2 > 0).astype(int).tolist())
    if got == (0, 1, 1, 0):
        return
    if tuple(((_CORNERS @ w1 + b1) @ w2 + b2 > 0).astype(int).tolist()) == (0, 1, 1, 0):
        raise Wrong("right only if the hidden neurons are not thresholded: each gives 1 or 0, nothing else")
    raise Wrong(_NAMED.get(got, f"for (0,0), (0,1), (1,0), (1,1) it gives {got}, and XOR is (0, 1, 1, 0)"))


def xor_by_hand():
    w1 = np.array([[1.0, 1.0], [1.0, 1.0]])  # both hidden neurons add the inputs up
    b1 = np.array([-0.5, -1.5])  # the first fires for one or more, the second for both
    w2, b2 = np.array([1.0, -1.0]), -0.5  # one or more, but not both
    return w1, b1, w2, b2


def _one_without_the_other():
    return [[2, -2], [-2, 2]], [-1, -1], [1, 1], -0.5


def _check_relu(fn):
    rng = np.random.default_rng()
    for n, inputs, outputs in ((5, 3, 4), (8, 4, 2), (1, 6, 6)):
        x, w = rng.normal(size=(n, inputs)), rng.normal(size=(inputs, outputs))
        b, slope = rng.normal(size=outputs), rng.normal(size=(n, outputs))
        x[0] = np.abs(x[0])
        w[:, 0], w[:, 1] = -np.abs(w[:, 0]), np.abs(w[:, 1])  # one neuron off, one on, for the first example
        b[:2] = -0.1, 0.1
        _judge_relu(answer(fn, x.copy(), w.copy(), b.copy(), slope.copy()), x, w, b, slope)


def _judge_relu(got, x, w, b, slope):
    want = relu_layer_backward(x, w, b, slope)
    try:
        got = [np.asarray(part, float) for part in got]
    except (TypeError, ValueError):
        raise Wrong("return three arrays: the derivatives by x, by w and by b") from None
    if len(got) != 3:
        raise Wrong(f"return three arrays, by x, by w and by b, not {len(got)}")
    for name, part, right in zip("xwb", got, want, strict=True):
        shaped(part, right.shape, f"the derivative by {name} should have the shape of {name}, {right.shape}, not {{}}")
    if all(np.allclose(part, right) for part, right in zip(got, want, strict=True)):
        return
    straight = [slope @ w.T, x.T @ slope, slope.sum(axis=0)]
    if all(np.allclose(part, other) for part, other in zip(got, straight, strict=True)):
        raise Wrong("the bend is missing: where the layer's output is 0, the slope must not pass")
    by_slope = np.maximum(slope, 0)
    if np.allclose(got[2], by_slope.sum(axis=0)):
        raise Wrong("you cut negative *slopes*; it is the neurons that did not fire that pass nothing on")
    if np.allclose(got[2] * len(x), want[2]) and len(x) > 1:
        raise Wrong("the derivative by b is a mean over the examples; each of them moves the loss, so it is their sum")
    if np.allclose(got[0], want[0]) and np.allclose(got[2], want[2]):
        raise Wrong("the derivatives by x and b are right, by w not: it is xᵀ times what passes the bend")
    if np.allclose(got[1], want[1]) and np.allclose(got[2], want[2]):
        raise Wrong("the derivatives by w and b are right, by x not: what passes the bend goes back through wᵀ")
    raise Wrong("the values differ: first slope × (1 where x·w + b > 0, else 0), then the formulas of the chapter")


def relu_layer_backward(x, w, b, slope):
    delta = slope * (x @ w + b > 0)  # nothing passes a neuron that did not fire
    return delta @ w.T, x.T @ delta, delta.sum(axis=0)


def _relu_by_loops(x, w, b, slope):
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for i in range(len(x)):
        for j in range(len(b)):
            if x[i] @ w[:, j] + b[j] > 0:
                dx[i] += slope[i, j] * w[:, j]
                dw[:, j] += slope[i, j] * x[i]
                db[j] += slope[i, j]
    return [dx, dw, db]


def _relu_cut_slopes(x, w, b, slope):
    delta = np.maximum(slope, 0)
    return delta @ w.T, x.T @ delta, delta.sum(axis=0)


def _relu_mean_bias(x, w, b, slope):
    dx, dw, db = relu_layer_backward(x, w, b, slope)
    return dx, dw, db / len(x)


def _relu_unbent_weights(x, w, b, slope):
    dx, _, db = relu_layer_backward(x, w, b, slope)
    return dx, x.T @ slope, db


def _relu_unbent_inputs(x, w, b, slope):
    _, dw, db = relu_layer_backward(x, w, b, slope)
    return slope @ w.T, dw, db


_CURVES = (  # losses, patience
    ([1.0, 0.8, 0.6, 0.7, 0.5, 0.9, 0.8, 0.3, 0.2], 2),
    ([0.9, 0.5, 0.7, 0.6, 0.8, 0.4, 0.1], 3),
    ([0.9, 0.5, 0.7, 0.6, 0.4, 0.6, 0.5, 0.7], 3),
    ([3.0, 2.0, 1.0, 0.5], 1),
    ([0.5, 0.5, 0.4, 0.6, 0.3], 1),
    ([1.0, 2.0, 3.0, 0.5, 2.0, 2.0, 2.0, 0.1], 2),
)


def _check_early(fn):
    rng = np.random.default_rng()
    random = [(rng.permutation(np.linspace(1, 2, int(n))).tolist(), int(k)) for n, k in ((7, 2), (12, 3), (20, 4))]
    cases = (*_CURVES, *random)
    got = [answer(fn, list(losses), patience) for losses, patience in cases]
    want = [early_stopping(*case) for case in cases]
    if got == want:
        return
    for wrong, why in _EARLY_MISTAKES.values():  # the whole series tells mistakes apart, a single answer does not
        if got == [wrong(*case) for case in cases]:
            raise Wrong(why)
    k = next(i for i in range(len(cases)) if got[i] != want[i])
    losses, patience = cases[k]
    raise Wrong(f"losses {np.round(losses, 2).tolist()}, patience {patience}: keep epoch {want[k]}, not {got[k]}")


def early_stopping(losses, patience):
    best, waited = 0, 0
    for epoch in range(1, len(losses)):
        waited += 1
        if losses[epoch] < losses[best]:
            best, waited = epoch, 0
        if waited == patience:
            break
    return best


def _early_by_slices(losses, patience):
    for stop in range(1, len(losses) + 1):
        best = int(np.argmin(losses[:stop]))
        if stop - 1 - best == patience:
            return best
    return int(np.argmin(losses))


def _compared_with_last(losses, patience):
    waited, stop = 0, len(losses)
    for epoch in range(1, len(losses)):
        waited = 0 if losses[epoch] < losses[epoch - 1] else waited + 1
        if waited == patience:
            stop = epoch + 1
            break
    return int(np.argmin(losses[:stop]))


_EARLY_MISTAKES = {
    "best of all": (
        lambda losses, patience: int(np.argmin(losses)),
        "the best of *all* epochs may never be reached: training stops",
    ),
    "epoch of the stop": (
        lambda losses, patience: min(early_stopping(losses, patience) + patience, len(losses) - 1),
        "that is the epoch where training stops; keep the best one before it",
    ),
    "too patient": (
        lambda losses, patience: early_stopping(losses, patience + 1),
        "you wait one epoch longer than `patience`",
    ),
    "compared with the last": (
        _compared_with_last,
        "a loss counts as progress only below the *best* so far, not below the one before",
    ),
    "counted from 1": (
        lambda losses, patience: early_stopping(losses, patience) + 1,
        "one too high everywhere: epochs count from 0",
    ),
}

EXERCISES = [
    Exercise(
        "01-xor-by-hand",
        "Return weights and biases of two hidden threshold neurons and one output neuron that compute XOR.",
        _check_xor,
        "One hidden neuron for “at least one input is on”, one for “both are on”. Then: the first, but not the second.",
        xor_by_hand,
        alternatives=(_one_without_the_other,),
        mistakes={
            "OR": lambda: ([[1, 1], [1, 1]], [-0.5, -1.5], [1, 0], -0.5),
            "AND": lambda: ([[1, 1], [1, 1]], [-0.5, -1.5], [0, 1], -0.5),
            "opposite": lambda: ([[1, 1], [1, 1]], [-0.5, -1.5], [-1, 1], 0.5),
            "never fires": lambda: ([[1, 1], [1, 1]], [-0.5, -1.5], [1, -1], -1),
            "inputs and neurons swapped": lambda: ([[1, 1]], [-0.5, -1.5], [1, -1], -0.5),
        },
    ),
    Exercise(
        "01-relu-layer",
        "Take x, w, b and the slope of the loss by the layer's output; return the slopes by x, w and b.",
        _check_relu,
        "First let the slope through the bend: times 1 where the neuron fired, times 0 elsewhere. Then as for tanh.",
        relu_layer_backward,
        alternatives=(_relu_by_loops,),
        mistakes={
            "no bend": lambda x, w, b, slope: (slope @ w.T, x.T @ slope, slope.sum(axis=0)),
            "negative slopes cut": _relu_cut_slopes,
            "mean over examples": _relu_mean_bias,
            "weights without the bend": _relu_unbent_weights,
            "inputs without the bend": _relu_unbent_inputs,
        },
    ),
    Exercise(
        "01-early-stopping",
        "Take the validation losses and the patience; return the epoch whose weights are kept.",
        _check_early,
        "Keep two things: the best epoch so far, and how many epochs have passed since. Stop when that is `patience`.",
        early_stopping,
        alternatives=(_early_by_slices,),
        mistakes={name: wrong for name, (wrong, _) in _EARLY_MISTAKES.items()},
    ),
]
