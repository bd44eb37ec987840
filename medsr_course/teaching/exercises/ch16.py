"""Exercises of chapter 16: detail of a guide, Bowsher's choice of neighbours, the geometric transfer matrix."""

import numpy as np
from scipy import ndimage

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped

# ---------------------------------------------------------------- detail of a guide


def _check_detail(fn):
    rng = np.random.default_rng()
    for shape in ((9, 7), (6, 12)):
        soft = rng.normal(1, 0.3, shape)
        guide = soft + rng.normal(0, 0.2, shape)
        zipped = 3 - rng.uniform(0.8, 1.6) * soft + rng.normal(0, 0.1, shape)  # contrast turned round, as in T2w
        got = answer(fn, zipped.copy(), guide.copy(), soft.copy())
        _judge_detail(shaped(got, shape, f"return an image of shape {shape}, not {{}}", float), zipped, guide, soft)


def _judge_detail(got, zipped, guide, soft):
    want = detail(zipped, guide, soft)
    if np.allclose(got, want):
        return
    slope = _slope(zipped, soft)
    recognise(got, [
        (zipped + guide - soft, "the guide's detail is in the guide's unit and sign: multiply it by the slope"),
        (zipped + abs(slope) * (guide - soft), "the slope has a sign: where contrast is turned round, it is negative"),
        (zipped + slope * guide, "add only what the coarse guide lacks, guide - soft, or everything is there twice"),
        (zipped + (guide - soft) / slope, "the slope is upside down: how far does zipped go when soft goes by 1?"),
        (zipped + (zipped * soft).sum() / (soft**2).sum() * (guide - soft),
         "take the means away before you compute the slope: else it tells of brightness, not of contrast"),
    ])  # fmt: skip
    raise Wrong("the result is zipped + slope · (guide − soft), with the slope of the line through (soft, zipped)")


def _slope(zipped, soft):
    return ((zipped - zipped.mean()) * (soft - soft.mean())).sum() / ((soft - soft.mean()) ** 2).sum()


def detail(zipped, guide, soft):
    x, y = soft - soft.mean(), zipped - zipped.mean()
    slope = (x * y).sum() / (x**2).sum()
    return zipped + slope * (guide - soft)


def _detail_by_fitting(zipped, guide, soft):
    slope, _ = np.polyfit(soft.ravel(), zipped.ravel(), 1)
    return zipped + slope * (guide - soft)


# ---------------------------------------------------------------- Bowsher's choice


def _check_chosen(fn):
    rng = np.random.default_rng()
    for count, keep in ((8, 4), (24, 8), (8, 2)):
        middle, around, known = _told_apart(rng, count, keep)
        got = answer(fn, middle, around.copy(), keep)
        got = shaped(got, (count,), f"return {count} values, True or False, not an array of shape {{}}").astype(bool)
        if np.array_equal(got, chosen(middle, around, keep)):
            continue
        recognise(got, known)
        raise Wrong(f"{keep} of the {count} should be True: those with the smallest |around - middle|")


def _told_apart(rng, count, keep):
    """A pixel, its neighbours and what mistakes return, drawn until no two of these are the same."""
    while True:
        middle, around = rng.uniform(0.4, 0.6), rng.random(count)
        known = [
            (np.argsort(np.argsort(-around)) < keep, "those are the brightest: chosen are those most like the middle"),
            (np.argsort(np.argsort(around)) < keep, "those are the darkest: take the absolute difference"),
            (~chosen(middle, around, count - keep), "those are the least alike: the prior ties a pixel to its likes"),
            (chosen(middle, around, keep + 1), f"that is one too many: exactly {keep} are kept"),
        ]
        if len({mask.tobytes() for mask, _ in known} | {chosen(middle, around, keep).tobytes()}) == 5:
            return middle, around, known


def chosen(middle, around, keep):
    return np.argsort(np.argsort(np.abs(around - middle))) < keep


def _chosen_by_limit(middle, around, keep):
    gaps = np.abs(around - middle)
    return gaps <= np.sort(gaps)[keep - 1]


# ---------------------------------------------------------------- geometric transfer matrix


def _check_gtm(fn):
    rng = np.random.default_rng()
    for count, width in ((2, 1.5), (3, 1.0)):
        labels = rng.integers(0, count, (4, 4)).repeat(5, axis=0).repeat(5, axis=1)
        labels[0, :count] = range(count)  # each is there
        masks = np.stack([labels == k for k in range(count)]).astype(float)
        activity = rng.uniform(1, 5, count)
        blur = _blurred(width)
        observed = blur(np.tensordot(activity, masks, 1))
        got = answer(fn, observed.copy(), masks.copy(), blur)
        got = shaped(got, (count,), f"return {count} numbers, one for each region, not an array of shape {{}}", float)
        _judge_gtm(got, observed, masks, blur)


def _blurred(width):
    return lambda image: ndimage.gaussian_filter(image, width, mode="nearest")


def _judge_gtm(got, observed, masks, blur):
    if np.allclose(got, gtm(observed, masks, blur)):
        return
    means = np.array([observed[mask > 0].mean() for mask in masks])
    matrix = np.array([[blur(other)[mask > 0].mean() for other in masks] for mask in masks])
    recognise(got, [
        (means, "those are the means as observed: activity has gone to neighbours and come from them"),
        (np.linalg.solve(matrix.T, means), "the matrix lies on its side: row i holds what region i gets from each j"),
        (means / np.diag(matrix), "you give back what each region lost, and forget what came in from its neighbours"),
        (matrix @ means, "that blurs the means once more: the matrix has to be inverted (np.linalg.solve)"),
    ])  # fmt: skip
    raise Wrong("solve G x = means, with G[i, j] the mean over region i of the blurred mask of region j")


def gtm(observed, masks, blur):
    means = [observed[mask > 0].mean() for mask in masks]
    matrix = [[blur(other)[mask > 0].mean() for other in masks] for mask in masks]
    return np.linalg.solve(matrix, means)


def _gtm_by_sums(observed, masks, blur):
    flat = masks.reshape(len(masks), -1)
    spread = np.stack([blur(mask) for mask in masks]).reshape(len(masks), -1)
    return np.linalg.inv(flat @ spread.T) @ (flat @ observed.ravel())


def _gtm_with(change):
    def wrong(observed, masks, blur):
        means = np.array([observed[mask > 0].mean() for mask in masks])
        matrix = np.array([[blur(other)[mask > 0].mean() for other in masks] for mask in masks])
        return change(means, matrix)

    return wrong


EXERCISES = [
    Exercise(
        name="16-detail",
        task="Return the zero-filled image with the detail of a guide, in the image's own unit and sign.",
        check=_check_detail,
        hint="np.polyfit(soft.ravel(), zipped.ravel(), 1) returns slope and level of a line. What does soft lack?",
        reference=detail,
        alternatives=(_detail_by_fitting,),
        mistakes={
            "no slope": lambda zipped, guide, soft: zipped + guide - soft,
            "no sign": lambda zipped, guide, soft: zipped + abs(_slope(zipped, soft)) * (guide - soft),
            "the whole guide": lambda zipped, guide, soft: zipped + _slope(zipped, soft) * guide,
            "upside down": lambda zipped, guide, soft: zipped + (guide - soft) / _slope(zipped, soft),
            "means not taken away": lambda zipped, guide, soft: (
                zipped + (zipped * soft).sum() / (soft**2).sum() * (guide - soft)
            ),
        },
    ),
    Exercise(
        name="16-neighbours",
        task="Return which neighbours Bowsher's prior ties to a pixel, as True and False.",
        check=_check_chosen,
        hint="np.argsort(np.argsort(x)) is the rank of each x, 0 for the smallest.",
        reference=chosen,
        alternatives=(_chosen_by_limit,),
        mistakes={
            "the brightest": lambda middle, around, keep: np.argsort(np.argsort(-around)) < keep,
            "the darkest": lambda middle, around, keep: np.argsort(np.argsort(around)) < keep,
            "the least alike": lambda middle, around, keep: ~chosen(middle, around, len(around) - keep),
            "one too many": lambda middle, around, keep: chosen(middle, around, keep + 1),
        },
    ),
    Exercise(
        name="16-gtm",
        task="Return the true activity of regions from an image that a known blur has mixed.",
        check=_check_gtm,
        hint="If region j alone had activity 1, what would region i show? These numbers are a matrix; np.linalg.solve.",
        reference=gtm,
        alternatives=(_gtm_by_sums,),
        mistakes={
            "as observed": _gtm_with(lambda means, matrix: means),
            "transposed": _gtm_with(lambda means, matrix: np.linalg.solve(matrix.T, means)),
            "recovery alone": _gtm_with(lambda means, matrix: means / np.diag(matrix)),
            "multiplied": _gtm_with(lambda means, matrix: matrix @ means),
        },
    ),
]
