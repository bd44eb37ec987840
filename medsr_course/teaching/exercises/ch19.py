"""Exercises of chapter 19."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer


def _check_mean(fn):
    stack = np.random.default_rng().normal(3, 1, (2, 5, 4))
    got = answer(fn, stack)
    if np.ndim(got):
        raise Wrong("the mean of the whole stack is one number, and yours is an array")
    if np.isclose(got, np.median(stack)):
        raise Wrong("that is the median; the mean adds everything up and divides")
    if not np.isclose(got, stack.mean()):
        raise Wrong("the number is not the sum of all voxels divided by how many there are")


def my_mean(stack):
    return stack.mean()


def _check_size(fn):
    for n, scale in ((5, 2), (8, 3), (7, 4)):
        got = answer(fn, n, scale)
        if got == n:
            raise Wrong("that is the size before zero-filling")
        if got == n // scale:
            raise Wrong("that is what cropping leaves; zero-filling makes the grid finer")
        if got != n * scale:
            raise Wrong(f"{n} samples at scale {scale} become {n * scale}, not {got}")


def my_size(n, scale):
    return n * scale


EXERCISES = [
    Exercise(
        "19-mean",
        "Return the mean of a stack.",
        _check_mean,
        "NumPy arrays have a method for it.",
        my_mean,
        alternatives=(lambda stack: np.sum(stack) / np.size(stack),),
        mistakes={
            "median": lambda stack: np.median(stack),
            "per slice": lambda stack: stack.mean(axis=(1, 2)),
            "sum": lambda stack: stack.sum(),
        },
    ),
    Exercise(
        "19-size",
        "Return the number of samples after zero-filling.",
        _check_size,
        "Zero-filling by 2 gives two samples where there was one.",
        my_size,
        alternatives=(lambda n, scale: sum(n for _ in range(scale)),),
        mistakes={
            "unchanged": lambda n, scale: n,
            "cropping": lambda n, scale: n // scale,
            "one short": lambda n, scale: n * scale - 1,
        },
    ),
]
