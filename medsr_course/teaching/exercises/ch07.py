"""Exercises of chapter 07: the signal behind squared magnitudes, hiding pixels, tuning a filter."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_signal_behind(fn):
    rng = np.random.default_rng()
    for shape, sigma in (((4, 5), 1.0), ((7,), 0.3), ((2, 3, 3), 12.0)):
        signal = sigma * rng.uniform(0.5, 8, shape)
        mean_square = signal**2 + 2 * sigma**2
        mean_square.flat[0] = 1.5 * sigma**2  # averaged too little: less than noise alone has on average
        _judge_signal_behind(np.asarray(answer(fn, mean_square.copy(), sigma)), mean_square, sigma)


def _judge_signal_behind(got, mean_square, sigma):
    want = signal_behind(mean_square, sigma)
    shaped(got, want.shape, f"{want.shape} went in, {{}} came back: one value for each one given")
    if np.allclose(got, want, rtol=1e-5, atol=1e-9):
        return
    if not np.isfinite(got).all():
        raise Wrong("NaN: where the mean square is below 2σ², the root has no real value; the signal there is 0")
    bare = np.sqrt(mean_square)
    if np.allclose(got, np.sqrt(np.maximum(mean_square - sigma**2, 0)), rtol=1e-5):
        raise Wrong("you take off σ², but noise sits in two channels, real and imaginary: 2σ²")
    if np.allclose(got, np.maximum(bare - np.sqrt(2) * sigma, 0), rtol=1e-5):
        raise Wrong("take the root last: squares have a bias of 2σ² whatever the signal, roots have not")
    if np.allclose(got, np.maximum(mean_square - 2 * sigma**2, 0), rtol=1e-5):
        raise Wrong("that is the square of the signal: the root is missing")
    if np.allclose(got, bare, rtol=1e-5):
        raise Wrong("that is the root alone: the noise's share of the mean square is still in it")
    raise Wrong("a magnitude's mean square is signal² + 2σ²: solve for the signal, and never go below 0")


def signal_behind(mean_square, sigma):
    return np.sqrt(np.maximum(mean_square - 2 * sigma**2, 0))


def _signal_by_where(mean_square, sigma):
    excess = mean_square - 2 * sigma**2
    return np.where(excess > 0, np.abs(excess) ** 0.5, 0)


def _signal_with_nan(mean_square, sigma):
    with np.errstate(invalid="ignore"):
        return np.sqrt(mean_square - 2 * sigma**2)


def _check_hide(fn):
    rng = np.random.default_rng()
    for h, w in ((6, 8), (5, 7), (9, 4)):
        image = rng.normal(1, 1, (h, w))
        hidden = rng.random((h, w)) < 0.3
        hidden[0, :2] = hidden[h - 1, w // 2] = True  # borders, too, and neighbours
        hidden[1, 1] = False
        _judge_hide(np.asarray(answer(fn, image.copy(), hidden.copy())), image, hidden)


def _judge_hide(got, image, hidden):
    want = hide(image, hidden)
    shaped(got, image.shape, f"the image is {image.shape}, and yours came back as {{}}")
    if np.allclose(got, want):
        return
    if np.allclose(got, image):
        raise Wrong("you return the image as it came: the network could simply copy the pixels you ask for")
    if np.allclose(got, np.where(hidden, 0, image)):
        raise Wrong(
            "zeros tell the network where the holes are, and nothing of what is around them: use the neighbours"
        )
    if np.allclose(got, _neighbours(image)):
        raise Wrong("every pixel was replaced: where hidden is false, the image stays")
    if np.allclose(got, hide(image, ~hidden)):
        raise Wrong("the other way round: you replaced the pixels that are not hidden")
    if np.allclose(got, _with_itself(image, hidden)):
        raise Wrong("the pixel itself is in your mean: then it is not hidden, and its noise gets through")
    if any(np.allclose(got, _hide_in_place(image, hidden, order)) for order in "CF"):
        raise Wrong("you overwrote pixels that are neighbours of others: read from the image, write to a copy")
    inner = np.zeros_like(hidden)
    inner[1:-1, 1:-1] = True
    if np.allclose(got[inner], want[inner]):
        raise Wrong("inside it is right; at the border the image goes on with its opposite side (np.roll does that)")
    raise Wrong("where hidden is true, put the mean of the four neighbours: up, down, left, right")


def _neighbours(image):
    return sum(np.roll(image, step, axis) for step in (-1, 1) for axis in (0, 1)) / 4


def hide(image, hidden):
    neighbours = sum(np.roll(image, step, axis) for step in (-1, 1) for axis in (0, 1)) / 4
    return np.where(hidden, neighbours, image)


def _hide_by_pad(image, hidden):
    p = np.pad(image, 1, mode="wrap")
    mean = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4
    result = image.copy()
    result[hidden] = mean[hidden]
    return result


def _with_itself(image, hidden):
    return np.where(hidden, (4 * _neighbours(image) + image) / 5, image)


def _hide_in_place(image, hidden, order="C"):
    """Pixel by pixel, rows ("C") or columns ("F") first, in the image that the neighbours are read from."""
    image = image.copy()
    h, w = image.shape
    places = np.argwhere(hidden) if order == "C" else np.argwhere(hidden.T)[:, ::-1]
    for i, j in places:
        image[i, j] = (image[i - 1, j] + image[(i + 1) % h, j] + image[i, j - 1] + image[i, (j + 1) % w]) / 4
    return image


def _hide_at_border(image, hidden):
    p = np.pad(image, 1, mode="edge")
    mean = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4
    return np.where(hidden, mean, image)


def _check_tune(fn):
    rng = np.random.default_rng()
    for best, count in ((0, 5), (4, 5), (2, 6), (3, 7)):
        strengths = np.cumsum(rng.uniform(0.1, 0.5, count))
        psnrs = 35 - 8 * np.abs(strengths - strengths[best]) + rng.uniform(0, 0.01)
        got = answer(fn, strengths.tolist(), psnrs.tolist())
        try:
            strength, at_edge = got
        except (TypeError, ValueError):
            raise Wrong("return two things: the best strength, and True or False for “at an edge”") from None
        _judge_tune(float(strength), bool(at_edge), strengths, psnrs, best)


def _judge_tune(strength, at_edge, strengths, psnrs, best):
    edge = best in (0, len(strengths) - 1)
    if np.isclose(strength, strengths[best]) and at_edge == edge:
        return
    if np.isclose(strength, best) and not np.isclose(strength, strengths[best]):
        raise Wrong("that is the position of the best, not the strength that stands there")
    if np.isclose(strength, psnrs[best]):
        raise Wrong("that is the best PSNR, not the strength that reached it")
    if np.isclose(strength, strengths[np.argmin(psnrs)]):
        raise Wrong("that is the worst strength: PSNR in dB is better the higher it is")
    if np.isclose(strength, strengths[best]) and edge and best == 0:
        raise Wrong("the lowest strength tried is an edge, too: a still lower one might be better")
    if np.isclose(strength, strengths[best]) and edge:
        raise Wrong("the best is the last one tried, and you call that settled: a higher one might be better still")
    if np.isclose(strength, strengths[best]):
        raise Wrong("the strength is right, but it has worse ones on both sides: it is not at an edge")
    raise Wrong(f"PSNR is best at {strengths[best]:.3g}, not at {strength:.3g}")


def tune(strengths, psnrs):
    best = int(np.argmax(psnrs))
    return strengths[best], best in (0, len(strengths) - 1)


def _tune_by_sorting(strengths, psnrs):
    best = max(zip(psnrs, strengths, strict=True))[1]
    return best, best == min(strengths) or best == max(strengths)


EXERCISES = [
    Exercise(
        "07-signal-behind",
        "Take mean squared magnitudes (an array) and σ; return the signal, an array of the same shape.",
        _check_signal_behind,
        "The mean of M² is A² + 2σ². And what is a negative A²?",
        signal_behind,
        alternatives=(_signal_by_where,),
        mistakes={
            "σ² instead of 2σ²": lambda m, s: np.sqrt(np.maximum(m - s**2, 0)),
            "root first": lambda m, s: np.maximum(np.sqrt(m) - np.sqrt(2) * s, 0),
            "no root": lambda m, s: np.maximum(m - 2 * s**2, 0),
            "no correction": lambda m, s: np.sqrt(m),
            "negative under the root": _signal_with_nan,
        },
    ),
    Exercise(
        "07-hide",
        "Take an image (h, w) and a bool array `hidden` of the same shape; return it with hidden pixels replaced.",
        _check_hide,
        "np.roll(image, 1, axis=0) brings the upper neighbour to each pixel; np.where chooses.",
        hide,
        alternatives=(_hide_by_pad,),
        mistakes={
            "nothing hidden": lambda image, hidden: image,
            "zeros": lambda image, hidden: np.where(hidden, 0, image),
            "all replaced": lambda image, hidden: _neighbours(image),
            "the wrong ones": lambda image, hidden: hide(image, ~hidden),
            "pixel itself in the mean": _with_itself,
            "in place": _hide_in_place,
            "border repeated": _hide_at_border,
        },
    ),
    Exercise(
        "07-tune",
        "Take strengths (rising) and the PSNR at each; return (best strength, whether it lies at an edge).",
        _check_tune,
        "np.argmax gives the position; the first and the last position are edges.",
        tune,
        alternatives=(_tune_by_sorting,),
        mistakes={
            "position": lambda s, p: (int(np.argmax(p)), int(np.argmax(p)) in (0, len(s) - 1)),
            "worst": lambda s, p: (s[int(np.argmin(p))], True),
            "PSNR": lambda s, p: (max(p), False),
            "only the upper edge": lambda s, p: (tune(s, p)[0], tune(s, p)[0] == s[-1]),
            "only the lower edge": lambda s, p: (tune(s, p)[0], tune(s, p)[0] == s[0]),
        },
    ),
]
