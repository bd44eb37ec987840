"""Exercises of chapter 09: the inverse of the sub-pixel layer, how far a pixel reaches, data consistency."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_space_to_depth(fn):
    rng = np.random.default_rng()
    for n, h, w, c, s in ((2, 3, 4, 1, 2), (1, 5, 3, 2, 3), (3, 2, 2, 3, 2)):
        y = rng.normal(size=(n, s * h, s * w, c))
        _judge_space_to_depth(np.asarray(answer(fn, y.copy(), s)), y, s)


def _judge_space_to_depth(got, y, s):
    want = space_to_depth(y, s)
    shaped(got, want.shape, f"{y.shape} at s = {s} should come back as {want.shape}, and yours is {{}}")
    if np.array_equal(got, want):
        return
    if np.array_equal(got, _by_column(y, s)):
        raise Wrong("a and b are swapped: channel a·s + b holds row a, column b of each block")
    if np.array_equal(got, _tiled(y, s)):
        raise Wrong("your channels are quarters of the image: each needs every s-th sample, spread over all of it")
    if y.shape[-1] > 1 and np.array_equal(got, _colour_first(y, s)):
        raise Wrong(
            "with one channel it would be right; with several, the c values of a sample stay together: (a·s + b)·c + k"
        )
    if np.array_equal(got, y.reshape(want.shape)):
        raise Wrong("one reshape cannot do it: the s columns of a block lie side by side, but its rows lie far apart")
    raise Wrong("the shape is right, the order is not: y[:, a::s, b::s] belongs into channel a·s + b")


def space_to_depth(y, s):
    return np.concatenate([y[:, a::s, b::s] for a in range(s) for b in range(s)], axis=-1)


def _by_reshape(y, s):
    n, h, w, c = y.shape
    blocks = y.reshape(n, h // s, s, w // s, s, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, h // s, w // s, s * s * c)


def _by_column(y, s):
    return np.concatenate([y[:, a::s, b::s] for b in range(s) for a in range(s)], axis=-1)


def _tiled(y, s):
    rows = np.split(y, s, axis=1)
    return np.concatenate([part for row in rows for part in np.split(row, s, axis=2)], axis=-1)


def _colour_first(y, s):
    c = y.shape[-1]
    return np.concatenate([space_to_depth(y[..., k : k + 1], s) for k in range(c)], axis=-1)


def _check_reach(fn):
    rng = np.random.default_rng()
    cases = [([9, 1, 5], 2, False), ([5, 3, 3], 2, True), ([3], 4, True)]
    for _ in range(4):
        kernels = [int(k) for k in rng.choice([1, 3, 5, 7, 9], rng.integers(2, 6))]
        if max(kernels) == 1:
            kernels[0] = 3
        cases += [(kernels, int(rng.integers(2, 5)), bool(coarse)) for coarse in (False, True)]
    for kernels, scale, coarse in cases:
        _judge_reach(answer(fn, list(kernels), scale, coarse), kernels, scale, coarse)


def _judge_reach(got, kernels, scale, coarse):
    got, want = float(got), reach(kernels, scale, coarse)
    if got == want:
        return
    where = f"kernels {kernels}, ×{scale}, coarse={coarse}"
    if got == (scale if coarse else 1) * sum(kernels):
        raise Wrong(f"{where}: you add the sizes, but neighbouring kernels share a pixel: each adds k − 1")
    if coarse and got == scale * sum(k - 1 for k in kernels) + 1:
        raise Wrong(f"{where}: the one pixel you start from is a coarse one, too: it becomes a block of {scale}")
    if coarse and got == reach(kernels, scale, False):
        raise Wrong(f"{where}: that is in coarse pixels, and each of them becomes a block of fine ones")
    if not coarse and got == scale * reach(kernels, scale, False):
        raise Wrong(f"{where}: on the fine grid the scale does not matter")
    if got == max(kernels) * (scale if coarse else 1):
        raise Wrong(f"{where}: that is the largest kernel alone; the next one spreads what it has spread")
    if got == (scale if coarse else 1) * np.prod(kernels):
        raise Wrong(f"{where}: sizes do not multiply: a kernel widens what it is given by a fixed number of pixels")
    raise Wrong(f"{where}: {want:g} fine pixels, not {got:g}")


def reach(kernels, scale, coarse):
    pixels = 1 + sum(k - 1 for k in kernels)
    return scale * pixels if coarse else pixels


def _reach_by_pulse(kernels, scale, coarse):
    pulse = np.ones(1)
    for k in kernels:
        pulse = np.convolve(pulse, np.ones(k))
    return pulse.size * (scale if coarse else 1)


def _check_keep_measured(fn):
    rng = np.random.default_rng()
    for h, w, s in ((6, 8, 2), (5, 7, 3), (4, 5, 4)):
        fine = rng.normal(1, 1, (2, s * h, s * w))
        coarse = rng.normal(1, 1, (2, h, w))
        _judge_keep_measured(np.asarray(answer(fn, fine.copy(), coarse.copy(), s)), fine, coarse, s)


def _judge_keep_measured(got, fine, coarse, s):
    from medsr_course.physics.acquisition import kspace_crop
    from medsr_course.physics.interpolation import zero_fill

    shaped(got, fine.shape, f"the answer should be as fine as what came in, {fine.shape}, and yours is {{}}")
    if np.allclose(got, keep_measured(fine, coarse, s), atol=1e-6):
        return
    if np.allclose(got, fine, atol=1e-6):
        raise Wrong("you return what came in: cropped again, it still contradicts the measurement")
    if np.allclose(got, zero_fill(coarse, s), atol=1e-6):
        raise Wrong("that is ZIP alone: it agrees with the measurement and has lost everything beyond it")
    if np.allclose(got, fine + zero_fill(coarse, s), atol=1e-6):
        raise Wrong("the fine stack's own measured band is still in it: take that out before you add the measurement")
    if np.allclose(kspace_crop(got, s), coarse, atol=1e-6):
        raise Wrong("it agrees with the measurement, but frequencies beyond it have changed: leave those as they came")
    if np.allclose(got, fine - zero_fill(coarse - kspace_crop(fine, s), s), atol=1e-6):
        raise Wrong("the sign is wrong: add what the measurement has more, do not take it away")
    raise Wrong("cropped in k-space, your answer is not the measured stack")


def keep_measured(fine, coarse, scale):
    from medsr_course.physics.acquisition import kspace_crop
    from medsr_course.physics.interpolation import zero_fill

    return fine + zero_fill(coarse - kspace_crop(fine, scale), scale)


def _swap_bands(fine, coarse, scale):
    from medsr_course.physics.acquisition import kspace_crop
    from medsr_course.physics.interpolation import zero_fill

    beyond = fine - zero_fill(kspace_crop(fine, scale), scale)
    return zero_fill(coarse, scale) + beyond


def _zip_only(fine, coarse, scale):
    from medsr_course.physics.interpolation import zero_fill

    return zero_fill(coarse, scale)


def _by_cubic(fine, coarse, scale):
    """Right in the measured band, but spread by the wrong interpolation: not the nearest such stack."""
    from medsr_course.physics.acquisition import kspace_crop
    from medsr_course.physics.interpolation import cubic

    rough = fine + cubic(coarse - kspace_crop(fine, scale), scale)
    return keep_measured(rough, coarse, scale)


EXERCISES = [
    Exercise(
        "09-space-to-depth",
        "Take an array (n, s·h, s·w, c) and s; return (n, h, w, s²·c).",
        _check_space_to_depth,
        "my_depth_to_space wrote x[..., first : first + c] into y[:, a::s, b::s]. Go the other way.",
        space_to_depth,
        alternatives=(_by_reshape,),
        mistakes={
            "a and b swapped": _by_column,
            "quarters instead of phases": _tiled,
            "channels of a sample torn apart": _colour_first,
            "reshape alone": lambda y, s: y.reshape(len(y), y.shape[1] // s, y.shape[2] // s, -1),
        },
    ),
    Exercise(
        "09-reach",
        "Take kernel sizes, the scale, and where the convolutions run; return a width in fine pixels.",
        _check_reach,
        "A k × k kernel widens a single pixel to k pixels, and anything wider by k − 1.",
        reach,
        alternatives=(_reach_by_pulse,),
        mistakes={
            "sum of the sizes": lambda kernels, scale, coarse: sum(kernels) * (scale if coarse else 1),
            "in coarse pixels": lambda kernels, scale, coarse: reach(kernels, scale, False),
            "scaled on the fine grid, too": lambda kernels, scale, coarse: reach(kernels, scale, True),
            "largest kernel": lambda kernels, scale, coarse: max(kernels) * (scale if coarse else 1),
            "the first pixel not scaled": lambda kernels, scale, coarse: (
                (scale if coarse else 1) * sum(k - 1 for k in kernels) + 1
            ),
        },
    ),
    Exercise(
        "09-keep-measured",
        "Take a fine stack (n, s·h, s·w), the measured one (n, h, w) and s; return a fine stack.",
        _check_keep_measured,
        "Crop the fine stack, see what the measurement has more, and zero-fill that difference.",
        keep_measured,
        alternatives=(_swap_bands,),
        mistakes={
            "nothing done": lambda fine, coarse, scale: fine,
            "ZIP alone": _zip_only,
            "added twice": lambda fine, coarse, scale: fine + _zip_only(fine, coarse, scale),
            "other interpolation": _by_cubic,
            "wrong sign": lambda fine, coarse, scale: 2 * fine - keep_measured(fine, coarse, scale),
        },
    ),
]
