"""Exercises of chapter 10: a thick slice, one step of a memory, the order of slices."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_thick_slice(fn):
    rng = np.random.default_rng()
    for total, spacing, reach in ((12, 4, 3), (15, 3, 2), (10, 2, 3), (20, 5, 4)):
        weights = rng.uniform(0.5, 1.5, reach + 1)
        weights = np.concatenate([weights[:0:-1], weights])
        weights /= weights.sum()
        stack = rng.uniform(1, 2, (total, 3, 4))
        _judge_thick_slice(np.asarray(answer(fn, stack.copy(), weights.copy(), spacing)), stack, weights, spacing)


def _judge_thick_slice(got, stack, weights, spacing):
    want = thick_slices(stack, weights, spacing)
    shaped(got, want.shape, f"{stack.shape[0]} thin slices {spacing} apart make {want.shape}, and yours is {{}}")
    if np.allclose(got, want):
        return
    if np.allclose(got, _darker_at_the_ends(stack, weights, spacing)):
        raise Wrong("the first slices are too dark: where the profile leaves the stack, divide by the weights inside")
    if np.allclose(got, _wrapped(stack, weights, spacing)):
        raise Wrong("your first slice holds some of the last ones: a stack does not go round")
    if np.allclose(got, _block_means(stack, weights, spacing)):
        raise Wrong("that is the plain mean of slices s·k … s·k + s − 1: centre the profile on s·k and use its weights")
    if np.allclose(got, stack[::spacing]):
        raise Wrong("you pick every s-th slice: that would be a thin slice with a wide gap")
    raise Wrong("thick slice k is the mean of slices s·k − r … s·k + r, weighted by the profile")


def thick_slices(stack, weights, spacing):
    reach = len(weights) // 2
    made = []
    for centre in range(0, len(stack), spacing):
        first, last = max(centre - reach, 0), min(centre + reach + 1, len(stack))
        inside = weights[first - centre + reach : last - centre + reach]
        made.append(np.tensordot(inside, stack[first:last], axes=1) / inside.sum())
    return np.stack(made)


def _by_convolution(stack, weights, spacing):
    from scipy import ndimage

    total = ndimage.correlate1d(stack, weights, axis=0, mode="constant")
    share = ndimage.correlate1d(np.ones(len(stack)), weights, mode="constant")
    return (total / share[:, None, None])[::spacing]


def _darker_at_the_ends(stack, weights, spacing):
    from scipy import ndimage

    return ndimage.correlate1d(stack, weights, axis=0, mode="constant")[::spacing]


def _wrapped(stack, weights, spacing):
    from scipy import ndimage

    return ndimage.correlate1d(stack, weights, axis=0, mode="wrap")[::spacing]


def _block_means(stack, weights, spacing):
    return stack.reshape(-1, spacing, *stack.shape[1:]).mean(axis=1)


def _check_memory_step(fn):
    rng = np.random.default_rng()
    for inputs, units in ((3, 4), (5, 2), (1, 3)):
        values = [rng.normal(size=shape) for shape in ((inputs,), (units,), (units,))]
        weights = [rng.normal(size=shape) for shape in ((inputs, 4 * units), (units, 4 * units), (4 * units,))]
        got = answer(fn, *[v.copy() for v in values], *[w.copy() for w in weights])
        _judge_memory_step(got, values, weights)


def _judge_memory_step(got, values, weights):
    try:
        state, memory = (np.asarray(part, float) for part in got)
    except (TypeError, ValueError):
        raise Wrong("return two arrays: the new state h and the new memory c") from None
    h, c = memory_step(*values, *weights)
    if state.shape != h.shape or memory.shape != c.shape:
        raise Wrong(f"state and memory have {h.size} numbers each, and yours have {state.shape} and {memory.shape}")
    if np.allclose(state, h) and np.allclose(memory, c):
        return
    for wrong, reason in _REASONS.items():
        if all(np.allclose(a, b) for a, b in zip((state, memory), wrong(*values, *weights), strict=True)):
            raise Wrong(reason)
    if np.allclose(memory, c):
        raise Wrong("the memory is right, the state is not: h = σ(o) · tanh(c)")
    raise Wrong("the memory is not right: c = σ(f) · old c + σ(i) · tanh(g), gates in the order i, f, g, o")


def memory_step(x, h, c, from_input, from_state, bias):
    take, keep, new, show = np.split(x @ from_input + h @ from_state + bias, 4)
    sigmoid = _sigmoid
    c = sigmoid(keep) * c + sigmoid(take) * np.tanh(new)
    return sigmoid(show) * np.tanh(c), c


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _by_one_matrix(x, h, c, from_input, from_state, bias):
    gates = np.concatenate([x, h, [1]]) @ np.vstack([from_input, from_state, bias])
    i, f, g, o = gates.reshape(4, -1)
    half = [(1 + np.tanh(v / 2)) / 2 for v in (i, f, o)]  # a sigmoid is a tanh in disguise
    memory = half[1] * c + half[0] * np.tanh(g)
    return half[2] * np.tanh(memory), memory


def _swapped(x, h, c, from_input, from_state, bias):
    keep, take, new, show = np.split(x @ from_input + h @ from_state + bias, 4)
    c = _sigmoid(keep) * c + _sigmoid(take) * np.tanh(new)
    return _sigmoid(show) * np.tanh(c), c


def _forgetful(x, h, c, from_input, from_state, bias):
    return memory_step(x, h, 0 * c, from_input, from_state, bias)


def _never_forgets(x, h, c, from_input, from_state, bias):
    take, _, new, show = np.split(x @ from_input + h @ from_state + bias, 4)
    c = c + _sigmoid(take) * np.tanh(new)
    return _sigmoid(show) * np.tanh(c), c


def _stateless(x, h, c, from_input, from_state, bias):
    return memory_step(x, 0 * h, c, from_input, from_state, bias)


_REASONS = {
    _swapped: "the gates are in the order i, f, g, o: you have taken the first for the one that keeps",
    _forgetful: "the old memory is gone: σ(f) · c is what makes it a memory",
    _never_forgets: "the memory only grows: the gate f decides how much of the old one is kept",
    _stateless: "the old state h has no say in your gates: add h @ from_state",
}


def _check_slice_order(fn):
    rng = np.random.default_rng()
    for n in (7, 12, 5, 9):
        frame, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        if frame[2, 2] > 0:  # so that the largest z is never simply the last slice
            frame[:, 2] *= -1
        normal = frame[:, 2]
        shuffled = rng.permutation(n)
        if np.array_equal(shuffled, np.sort(shuffled)):
            shuffled = shuffled[::-1]
        # A volume's slices may start at any row and column: only the way along the normal counts.
        sideways = rng.normal(0, 40, (n, 2)) @ frame[:, :2].T
        positions = 4.0 * shuffled[:, None] * normal + sideways + rng.normal(0, 50, 3)
        _judge_slice_order(np.asarray(answer(fn, positions.copy(), normal.copy())), positions, normal)


def _judge_slice_order(got, positions, normal):
    want = slice_order(positions, normal)
    if sorted(got.ravel().tolist()) != list(range(len(positions))):
        raise Wrong(f"return the numbers 0 … {len(positions) - 1}, each once, in the order of the slices")
    if np.array_equal(got, want):
        return
    if np.array_equal(got, np.arange(len(positions))):
        raise Wrong("that is the order of the files: interleaved slices are stored as they were measured")
    if np.array_equal(got, want[::-1]):
        raise Wrong("right, but backwards: the normal points to the last slice")
    if np.array_equal(got, np.argsort(positions[:, 2])):
        raise Wrong("the third coordinate alone orders axial slices only; these are oblique")
    if np.array_equal(got, _ranks(positions, normal)):
        raise Wrong("that is the place of each file; wanted is which file comes first, second …: argsort once")
    raise Wrong("take the distance of each position along the normal, position @ normal, and sort by it")


def slice_order(positions, normal):
    return np.argsort(positions @ normal)


def _by_sorting(positions, normal):
    distance = [sum(a * b for a, b in zip(p, normal, strict=True)) for p in positions]
    return np.array(sorted(range(len(distance)), key=distance.__getitem__))


def _ranks(positions, normal):
    return np.argsort(np.argsort(positions @ normal))


EXERCISES = [
    Exercise(
        "10-thick-slice",
        "Take thin slices (s·n, h, w), the weights of a profile (2r + 1) and s; return thick slices (n, h, w).",
        _check_thick_slice,
        "Near the ends, cut the weights off together with the slices, and divide by the sum of those that are left.",
        thick_slices,
        alternatives=(_by_convolution,),
        mistakes={
            "dark ends": _darker_at_the_ends,
            "wrapped round": _wrapped,
            "block means": _block_means,
            "every s-th slice": lambda stack, weights, spacing: stack[::spacing],
        },
    ),
    Exercise(
        "10-memory-step",
        "Take x, h, c and the weights W (x to gates), U (h to gates) and b; return the new h and c.",
        _check_memory_step,
        "Split x @ W + h @ U + b into four; i, f and o go through 1 / (1 + exp(−v)), g through tanh.",
        memory_step,
        alternatives=(_by_one_matrix,),
        mistakes={
            "i and f swapped": _swapped,
            "no memory": _forgetful,
            "never forgets": _never_forgets,
            "state left out": _stateless,
            "state without tanh": lambda x, h, c, w, u, b: _without_tanh(x, h, c, w, u, b),
        },
    ),
    Exercise(
        "10-slice-order",
        "Take the positions (n, 3) of slices in mm and their normal (3,); return the order (n,) along the normal.",
        _check_slice_order,
        "How far is each slice along the normal? np.argsort says which comes first.",
        slice_order,
        alternatives=(_by_sorting,),
        mistakes={
            "as the files come": lambda positions, normal: np.arange(len(positions)),
            "backwards": lambda positions, normal: slice_order(positions, normal)[::-1],
            "by z alone": lambda positions, normal: np.argsort(positions[:, 2]),
            "ranks": _ranks,
        },
    ),
]


def _without_tanh(x, h, c, from_input, from_state, bias):
    _, memory = memory_step(x, h, c, from_input, from_state, bias)
    show = np.split(x @ from_input + h @ from_state + bias, 4)[3]
    return _sigmoid(show) * memory, memory
