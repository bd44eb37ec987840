"""Exercises of chapter A1."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped


def _check_oihw(fn):
    rng = np.random.default_rng()
    torch = [rng.normal(size=shape) for shape in ((6, 4, 3, 3), (6,), (6, 6, 3, 5), (6,))]
    got = answer(fn, [array.copy() for array in torch])
    if not isinstance(got, list | tuple) or len(got) != len(torch):
        raise Wrong("return a list with as many arrays as there were")
    for part, array, want in zip(got, torch, from_torch(torch), strict=True):
        kind = (
            "a bias stays as it is, of shape {}" if array.ndim == 1 else "a kernel of ours is (height, width, in, out)"
        )
        part = shaped(part, want.shape, f"{kind.format(want.shape)}; yours has the shape {{}}")
        if np.array_equal(part, want):
            continue
        if array.ndim == 4:
            recognise(part, _mixed(array, want))
        raise Wrong("the shapes fit, but numbers lie in the wrong places")


def _mixed(array, want):
    yield (
        array.reshape(want.shape),
        "reshape only counts anew: the numbers keep their order, and axes must change theirs",
    )
    if array.shape[0] == array.shape[1]:
        yield want.swapaxes(2, 3), "in and out are exchanged: our kernels end with (in, out)"
    if array.shape[2] == array.shape[3]:
        yield want.swapaxes(0, 1), "height and width are exchanged: transpose(3, 2, 1, 0) would turn the kernel's image"
    yield want[::-1, ::-1], "no flip is needed: both libraries correlate"


def from_torch(arrays):
    return [array.transpose(2, 3, 1, 0) if array.ndim == 4 else array for array in arrays]


def _from_torch_by_moving(arrays):
    return [np.moveaxis(array, (0, 1), (3, 2)) if array.ndim == 4 else array for array in arrays]


def _oihw_with(change):
    def wrong(arrays):
        return [change(array) if array.ndim == 4 else array for array in arrays]

    return wrong


def _check_adam(fn):
    rng = np.random.default_rng()
    for keras in (False, True):
        slopes = rng.normal(size=(4, 5)) * 10.0 ** rng.uniform(-6, -4, 5)
        rate, epsilon = 0.01, 1e-6
        got = answer(fn, slopes.copy(), rate, epsilon, keras)
        got = shaped(got, (5,), "return one number per weight, shape (5,), not {}")
        _judge_adam(got, slopes, rate, epsilon, keras)


def _judge_adam(got, slopes, rate, epsilon, keras):
    want = adam_by_hand(slopes, rate, epsilon, keras)
    if np.allclose(got, want, rtol=1e-6):
        return
    known = [
        (-want, "the sign: weights go downhill, against the slope"),
        (adam_by_hand(slopes, rate, epsilon, not keras), "that is the other library's place of ε"),
        (adam_by_hand(slopes, rate, 0.0, keras), "ε is missing: these slopes are small enough to feel it"),
        (_uncorrected(slopes, rate, epsilon), "both means start at zero, and must be corrected by 1 − β**t"),
        (_last(slopes, rate, epsilon, keras), "that is the last step alone: add up all of them"),
    ]
    recognise(got, known, rtol=1e-6, atol=0)
    raise Wrong("compare with one step by hand: m = 0.1 g, v = 0.001 g², and then the correction")


def adam_by_hand(slopes, rate, epsilon, keras):
    m, v, moved = 0.0, 0.0, 0.0
    for t, g in enumerate(slopes, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        first, second = 1 - 0.9**t, 1 - 0.999**t
        if keras:
            moved = moved - rate * np.sqrt(second) / first * m / (np.sqrt(v) + epsilon)
        else:
            moved = moved - rate * (m / first) / (np.sqrt(v / second) + epsilon)
    return moved


def _adam_by_scaling_epsilon(slopes, rate, epsilon, keras):
    """Keras's place is PyTorch's with an ε that is larger by 1/√(1 − β₂**t)."""
    moved = np.zeros(slopes.shape[1])
    for t in range(1, len(slopes) + 1):
        ages = np.arange(t)[::-1, None]
        m = (0.1 * 0.9**ages * slopes[:t]).sum(axis=0) / (1 - 0.9**t)
        v = (0.001 * 0.999**ages * slopes[:t] ** 2).sum(axis=0) / (1 - 0.999**t)
        moved -= rate * m / (np.sqrt(v) + (epsilon / np.sqrt(1 - 0.999**t) if keras else epsilon))
    return moved


def _uncorrected(slopes, rate, epsilon):
    m, v, moved = 0.0, 0.0, 0.0
    for g in slopes:
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        moved = moved - rate * m / (np.sqrt(v) + epsilon)
    return moved


def _last(slopes, rate, epsilon, keras):
    return adam_by_hand(slopes, rate, epsilon, keras) - adam_by_hand(slopes[:-1], rate, epsilon, keras)


EXERCISES = [
    Exercise(
        name="A1-oihw",
        task="Turn the arrays of a PyTorch network (kernels OIHW) into those of a Keras network (HWIO).",
        check=_check_oihw,
        hint="A kernel has four axes, a bias one. Which axis of OIHW comes first in HWIO?",
        reference=from_torch,
        alternatives=(_from_torch_by_moving,),
        mistakes={
            "reshaped": _oihw_with(lambda w: w.reshape(*w.shape[2:], w.shape[1], w.shape[0])),
            "in and out": _oihw_with(lambda w: w.transpose(2, 3, 0, 1)),
            "height and width": _oihw_with(lambda w: w.transpose(3, 2, 1, 0)),
            "flipped": _oihw_with(lambda w: w.transpose(2, 3, 1, 0)[::-1, ::-1]),
        },
    ),
    Exercise(
        name="A1-adam",
        task="Return how far Adam moves each weight, with ε where PyTorch has it or where Keras has it.",
        check=_check_adam,
        hint="PyTorch: rate · (m / c₁) / (√(v / c₂) + ε). Keras: rate · √c₂ / c₁ · m / (√v + ε). c = 1 − β**t.",
        reference=adam_by_hand,
        alternatives=(_adam_by_scaling_epsilon,),
        mistakes={
            "uphill": lambda slopes, rate, epsilon, keras: -adam_by_hand(slopes, rate, epsilon, keras),
            "one place for both": lambda slopes, rate, epsilon, keras: adam_by_hand(slopes, rate, epsilon, True),
            "no epsilon": lambda slopes, rate, epsilon, keras: adam_by_hand(slopes, rate, 0.0, keras),
            "not corrected": lambda slopes, rate, epsilon, keras: _uncorrected(slopes, rate, epsilon),
            "the last step": _last,
        },
    ),
]
