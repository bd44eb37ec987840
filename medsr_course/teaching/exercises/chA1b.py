"""Exercises of chapter A1b."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped


def _check_padding(fn):
    for size, kernel, stride in ((96, 4, 2), (96, 3, 2), (97, 3, 2), (20, 4, 1), (21, 5, 3), (96, 1, 4), (96, 5, 4)):
        got = answer(fn, size, kernel, stride)
        try:
            before, after = (int(part) for part in got)
        except (TypeError, ValueError):
            raise Wrong("return two whole numbers, (before, after)") from None
        _judge_padding((before, after), size, kernel, stride)


def _judge_padding(got, size, kernel, stride):
    want = same_padding(size, kernel, stride)
    if got == want:
        return
    where = f"size {size}, kernel {kernel}, stride {stride}"
    if min(got) < 0:
        raise Wrong(f"{where}: a negative number of zeros would cut the image; where nothing is needed, it is 0")
    if got == want[::-1]:
        raise Wrong(f"{where}: the extra zero comes after the image, not before")
    if got == same_padding(size, kernel, 1):
        raise Wrong(f"{where}: that is for a stride of 1; with larger steps the last window ends elsewhere")
    if got == (kernel // 2, kernel // 2):
        raise Wrong(f"{where}: that is PyTorch's usual padding, the same on both sides")
    raise Wrong(f"{where}: the last of ⌈size / stride⌉ windows begins at (number − 1) · stride; where does it end?")


def same_padding(size, kernel, stride):
    number = -(-size // stride)
    total = max((number - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _padding_by_remainder(size, kernel, stride):
    """TensorFlow's own words: by what is left when the size is divided by the stride."""
    total = max(kernel - (size % stride or stride), 0)
    return total // 2, (total + 1) // 2


def _padding_never_zero(size, kernel, stride):
    total = (-(-size // stride) - 1) * stride + kernel - size
    return total // 2, total - total // 2


def _check_flatten(fn):
    rng = np.random.default_rng()
    for shape in ((3, 4, 5), (4, 4, 4)):
        kernel, image = rng.normal(size=(np.prod(shape), 6)), rng.normal(size=shape)
        got = answer(fn, kernel.copy(), shape)
        got = shaped(got, kernel.shape, f"return a kernel of shape {kernel.shape}, not {{}}")
        _judge_flatten(got, kernel, image)


def _judge_flatten(got, kernel, image):
    want = for_channels_first(kernel, image.shape)
    if np.array_equal(got, want):
        return
    h, w, c = image.shape
    recognise(got, [
        (kernel, "unchanged: the rows still stand in the order of channels last"),
        (kernel.reshape(c, h, w, -1).transpose(1, 2, 0, 3).reshape(kernel.shape), "that is the way back"),
        (kernel.reshape(h, w, c, -1).transpose(2, 1, 0, 3).reshape(kernel.shape), "height and width changed places"),
        (kernel[::-1], "the rows are reversed; they must be sorted"),
    ])  # fmt: skip
    raise Wrong("image.transpose(2, 0, 1).ravel() @ yours should be image.ravel() @ kernel")


def for_channels_first(kernel, shape):
    return kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)


def _flatten_by_places(kernel, shape):
    places = np.arange(np.prod(shape)).reshape(shape)
    return kernel[places.transpose(2, 0, 1).ravel()]


def _flatten_back(kernel, shape):
    h, w, c = shape
    return kernel.reshape(c, h, w, -1).transpose(1, 2, 0, 3).reshape(kernel.shape)


EXERCISES = [
    Exercise(
        name="A1b-padding",
        task="Return how many zeros TensorFlow's padding “same” puts before and after an axis.",
        check=_check_padding,
        hint="The last window begins at (number − 1) · stride. How much of it lies outside?",
        reference=same_padding,
        alternatives=(_padding_by_remainder,),
        mistakes={
            "the extra one before": lambda size, kernel, stride: same_padding(size, kernel, stride)[::-1],
            "stride forgotten": lambda size, kernel, stride: same_padding(size, kernel, 1),
            "as in PyTorch": lambda size, kernel, stride: (kernel // 2, kernel // 2),
            "negative": _padding_never_zero,
        },
    ),
    Exercise(
        name="A1b-flatten",
        task="Return the dense kernel that goes with images flattened with channels first.",
        check=_check_flatten,
        hint="Give the rows their three axes back, kernel.reshape(*shape, -1), and sort those.",
        reference=for_channels_first,
        alternatives=(_flatten_by_places,),
        mistakes={
            "unchanged": lambda kernel, shape: kernel,
            "the way back": _flatten_back,
            "height and width": lambda kernel, shape: (
                kernel.reshape(*shape, -1).transpose(2, 1, 0, 3).reshape(kernel.shape)
            ),
            "reversed": lambda kernel, shape: kernel[::-1],
        },
    ),
]
