"""Exercises of chapter 00: a PSNR, an intensity window, block averages."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped


def _check_psnr(fn):
    rng = np.random.default_rng()
    for shape in ((8, 8), (7, 5), (3, 6, 9)):
        target = 40 + rng.random(shape) * 260
        image = target * 1.3 + 20 * rng.standard_normal(shape)
        why = "the PSNR of an image is one number, and yours is an array: average the squared error"
        got, right = shaped(answer(fn, target, image), (), why), my_psnr(target, image)
        if np.isclose(got, right, rtol=1e-6):
            continue
        error = image - target
        mse, top = np.mean(error**2), target.max()
        tempting = (
            (10 * np.log10(image.max() ** 2 / mse), "the range is the target's maximum, not the image's"),
            (
                10 * np.log10((top - target.min()) ** 2 / mse),
                "the range here is the target's maximum, not maximum − minimum: the scale begins at 0",
            ),
            (10 * np.log10(top / mse), "the range is squared, as the error is: R² over the mean squared error"),
            (10 * np.log(top**2 / mse), "decibels take the logarithm to base 10: np.log is the natural one"),
            (10 * np.log10(mse / top**2), "the fraction is upside down: a smaller error must give a larger PSNR"),
            (20 * np.log10(top / np.mean(np.abs(error))), "average the squared error, not the absolute one"),
            (10 * np.log10(top / np.sqrt(mse)), "10 goes with the squares; with their roots it is 20"),
        )
        recognise(got, tempting, rtol=1e-6)
        raise Wrong(f"expected {right:.3f} dB for a {shape} image, and got {float(got):.3f}")


def my_psnr(target, image):
    mse = np.mean((target - image) ** 2)
    return 10 * np.log10(target.max() ** 2 / mse)


def _psnr_by_roots(target, image):
    return 20 * np.log10(np.max(target)) - 10 * np.log10(np.square(image - target).mean())


def _check_window(fn):
    rng = np.random.default_rng()
    for shape, low, high in (((6, 8), -160.0, 240.0), ((5, 7), 20.0, 80.0), ((4, 4), 0.0, 1.0)):
        image = rng.uniform(low - (high - low), high + (high - low), shape)
        before = image.copy()
        got, right = answer(fn, image, low, high), my_window(before, low, high)
        if not np.array_equal(image, before):
            raise Wrong("the image you were given has changed: work on a copy")
        shaped(got, shape, f"a {shape} image must come back as {shape}, and yours is {{}}")
        if np.allclose(got, right, atol=1e-6):
            continue
        free = (before - low) / (high - low)
        tempting = (
            (free, "values below the window must become 0 and values above it 1: clip them"),
            (1 - right, "dark and bright are exchanged: low becomes 0, high becomes 1"),
            (np.clip(before, low, high), "clipped, but not yet brought to 0 … 1: subtract low, divide by the width"),
            (np.clip((before - low) / high, 0, 1), "divide by the width of the window, high − low, not by high"),
            (np.clip(before / (high - low), 0, 1), "subtract low first, so that it becomes 0"),
        )
        recognise(got, tempting, atol=1e-6)
        raise Wrong(f"in the window {low} … {high} the values are not (image − low) / (high − low), clipped to 0 … 1")


def my_window(image, low, high):
    return np.clip((image - low) / (high - low), 0, 1)


def _window_by_interp(image, low, high):
    return np.interp(image, [low, high], [0, 1])


def _check_block_mean(fn):
    rng = np.random.default_rng()
    for (h, w), scale in (((8, 12), 4), ((9, 6), 3), ((10, 14), 2)):
        image = rng.random((h, w))
        got, right = np.asarray(answer(fn, image, scale)), my_block_mean(image, scale)
        if got.shape == (w // scale, h // scale) and h != w:
            raise Wrong("rows and columns are exchanged")
        shaped(got, right.shape, f"a {h} × {w} image in blocks of {scale} × {scale} has shape {right.shape}, not {{}}")
        if np.allclose(got, right, atol=1e-6):
            continue
        tempting = (
            (right * scale**2, "that is the sum over each block: divide by the number of its pixels"),
            (right * scale, "each block has scale² pixels: you divided by scale only"),
            (image[::scale, ::scale], "you kept one pixel of each block and ignored the others: take their mean"),
            (_block(image, scale, np.max), "that is the largest value of each block, not the mean"),
            (
                image.reshape(scale, h // scale, scale, w // scale).mean((0, 2)),
                "neighbouring pixels do not end up in one block: reshape to (h / scale, scale, w / scale, scale)",
            ),
            (
                image.reshape(h // scale, w // scale, scale**2).mean(2),
                "reshape takes pixels along rows: these are runs of scale² pixels, not blocks of scale × scale",
            ),
        )
        recognise(got, tempting, atol=1e-6)
        raise Wrong(f"the values are not the means of blocks of {scale} × {scale} pixels")


def my_block_mean(image, scale):
    h, w = image.shape
    blocks = image.reshape(h // scale, scale, w // scale, scale)
    return blocks.mean(axis=(1, 3))


def _block(image, scale, reduce):
    h, w = image.shape
    return reduce(image.reshape(h // scale, scale, w // scale, scale), axis=(1, 3))


def _block_mean_by_slices(image, scale):
    parts = [image[a::scale, b::scale] for a in range(scale) for b in range(scale)]
    return np.mean(parts, axis=0)


EXERCISES = [
    Exercise(
        name="00-psnr",
        task="fn(target, image) returns the PSNR in dB; the range is the target's maximum.",
        check=_check_psnr,
        hint="Mean squared error first; then ten times the base-10 logarithm of the squared range over it.",
        reference=my_psnr,
        alternatives=(_psnr_by_roots,),
        mistakes={
            "range of the wrong image": lambda t, x: 10 * np.log10(x.max() ** 2 / np.mean((t - x) ** 2)),
            "range max − min": lambda t, x: 10 * np.log10(np.ptp(t) ** 2 / np.mean((t - x) ** 2)),
            "range not squared": lambda t, x: 10 * np.log10(t.max() / np.mean((t - x) ** 2)),
            "natural logarithm": lambda t, x: 10 * np.log(t.max() ** 2 / np.mean((t - x) ** 2)),
            "absolute error": lambda t, x: 20 * np.log10(t.max() / np.mean(np.abs(t - x))),
            "factor 10 with roots": lambda t, x: 10 * np.log10(t.max() / np.sqrt(np.mean((t - x) ** 2))),
            "upside down": lambda t, x: -my_psnr(t, x),
            "no average": lambda t, x: 10 * np.log10(t.max() ** 2 / (t - x) ** 2),
        },
    ),
    Exercise(
        name="00-window",
        task="fn(image, low, high) returns the image with low … high brought to 0 … 1, clipped.",
        check=_check_window,
        hint="Subtract low, divide by (high − low), then np.clip.",
        reference=my_window,
        alternatives=(_window_by_interp,),
        mistakes={
            "not clipped": lambda x, low, high: (x - low) / (high - low),
            "inverted": lambda x, low, high: 1 - my_window(x, low, high),
            "clipped only": lambda x, low, high: np.clip(x, low, high),
            "divided by high": lambda x, low, high: np.clip((x - low) / high, 0, 1),
            "low not subtracted": lambda x, low, high: np.clip(x / (high - low), 0, 1),
        },
    ),
    Exercise(
        name="00-block-mean",
        task="fn(image, scale) returns the means of blocks of scale × scale pixels.",
        check=_check_block_mean,
        hint="image.reshape(h // scale, scale, w // scale, scale) puts a block's pixels on axes 1 and 3.",
        reference=my_block_mean,
        alternatives=(_block_mean_by_slices,),
        mistakes={
            "sum": lambda x, s: my_block_mean(x, s) * s**2,
            "divided by scale only": lambda x, s: my_block_mean(x, s) * s,
            "one pixel of each block": lambda x, s: x[::s, ::s],
            "largest value": lambda x, s: _block(x, s, np.max),
            "wrong reshape": lambda x, s: x.reshape(s, len(x) // s, s, -1).mean((0, 2)),
            "runs, not blocks": lambda x, s: x.reshape(len(x) // s, -1, s * s).mean(2),
            "transposed": lambda x, s: my_block_mean(x, s).T,
        },
    ),
]
