"""Exercises of chapter 13: volumes from probabilities, weights against imbalance, limits of agreement."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_soft_volumes(fn):
    rng = np.random.default_rng()
    for shape, voxel in (((2, 3, 5, 4), 1.0), ((3, 4, 4, 2), 0.45), ((1, 6, 7, 5), 2.4)):
        logits = rng.normal(0, 2, shape)
        _judge_soft_volumes(np.asarray(answer(fn, logits.copy(), voxel), float), logits, voxel)
    _judge_soft_volumes(np.asarray(answer(fn, logits + 2000, voxel), float), logits, voxel, large=True)


def _judge_soft_volumes(got, logits, voxel, large=False):
    want = soft_volumes(logits, voxel)
    shaped(got, want.shape, f"{logits.shape[-1]} classes need {want.shape[0]} volumes, and yours have the shape {{}}")
    if np.allclose(got, want, rtol=1e-3 if large else 1e-5):  # near 2000 a float32 steps by 1e-4
        return
    if large:
        raise Wrong("with logits of 2000 it overflows: subtract the largest logit of each voxel before np.exp")
    if np.allclose(got, _counted(logits, voxel)):
        raise Wrong("that counts likeliest classes; the question is for expected volumes, sums of probabilities")
    if np.allclose(got, 1000 * want, rtol=1e-5):
        raise Wrong("that is in mm³: a millilitre has 1000 of them")
    if np.allclose(got, want / voxel, rtol=1e-5):
        raise Wrong("the size of a voxel is missing")
    if np.allclose(got, _sigmoids(logits, voxel), rtol=1e-5):
        raise Wrong("sigmoids of the classes do not add up to 1 at a voxel: classes exclude each other, use softmax")
    if not np.isclose(got.sum(), want.sum(), rtol=1e-5):
        raise Wrong("your volumes do not add up to the volume of all voxels: probabilities sum to 1 over the classes")
    raise Wrong("the total is right, the shares are not: softmax runs over the last axis, at each voxel")


def soft_volumes(logits, voxel_mm3):
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p.sum(axis=(0, 1, 2)) * voxel_mm3 / 1000


def _by_logsumexp(logits, voxel_mm3):
    from scipy.special import logsumexp

    p = np.exp(logits - logsumexp(logits, axis=-1, keepdims=True))
    return p.reshape(-1, logits.shape[-1]).mean(axis=0) * p[..., 0].size * voxel_mm3 / 1000


def _in_float32(logits, voxel_mm3):
    return soft_volumes(np.asarray(logits, np.float32), voxel_mm3)


def _counted(logits, voxel_mm3):
    return np.bincount(logits.argmax(-1).ravel(), minlength=logits.shape[-1]) * voxel_mm3 / 1000


def _sigmoids(logits, voxel_mm3):
    return (1 / (1 + np.exp(-logits))).sum(axis=(0, 1, 2)) * voxel_mm3 / 1000


def _over_everything(logits, voxel_mm3):
    p = np.exp(logits - logits.max())
    return (p / p.sum()).sum(axis=(0, 1, 2)) * logits[..., 0].size * voxel_mm3 / 1000


def _overflowing(logits, voxel_mm3):
    with np.errstate(all="ignore"):
        p = np.exp(logits)
        p = p / p.sum(axis=-1, keepdims=True)
    return p.sum(axis=(0, 1, 2)) * voxel_mm3 / 1000


def _check_balanced_weights(fn):
    rng = np.random.default_rng()
    for shape, shares in (
        ((2, 8, 9), (0.9, 0.07, 0.03)),
        ((1, 12, 7), (0.5, 0.3, 0.15, 0.05)),
        ((3, 6, 6), (0.8, 0.2)),
    ):
        labels = rng.choice(len(shares), size=shape, p=shares)
        labels.flat[: len(shares)] = range(len(shares))
        labels.flat[len(shares) : len(shares) + 11] = 255
        _judge_balanced_weights(answer(fn, labels.copy(), len(shares)), labels, len(shares))
    _judge_balanced_weights(answer(fn, labels.copy(), len(shares) + 1), labels, len(shares) + 1)


def _judge_balanced_weights(got, labels, classes):
    got, want = np.asarray(got, float), balanced_weights(labels, classes)
    shaped(got, want.shape, f"{classes} classes need {classes} weights, and yours have the shape {{}}")
    if np.allclose(got, want):
        return
    missing = want == 0
    if missing.any() and not np.isfinite(got).all():
        raise Wrong("a class that does not occur gets weight 0: do not divide by its count")
    if missing.any() and np.any(got[missing] != 0):
        raise Wrong("a class that does not occur gets weight 0")
    if np.allclose(got, _with_ignored(labels, classes)):
        raise Wrong("pixels marked 255 do not count: neither for a class nor for the mean")
    if np.allclose(got, _as_common(labels, classes)):
        raise Wrong("the weights should be the inverse: the *rarer* a class, the larger its weight")
    if np.allclose(got / got[0], want / want[0]):
        raise Wrong("the proportions are right; scale them so that the mean over the pixels that count is 1")
    raise Wrong("weight times count should be the same for every class that occurs")


def balanced_weights(labels, classes):
    counts = np.bincount(labels[labels != 255], minlength=classes).astype(float)
    present = counts > 0
    weights = np.zeros(classes)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def _by_mean(labels, classes):
    kept = labels[labels != 255]
    raw = np.array([1 / (kept == k).mean() if (kept == k).any() else 0.0 for k in range(classes)])
    return raw / raw[kept].mean()


def _with_ignored(labels, classes):
    counts = np.array([(labels == k).sum() for k in range(classes)], float)
    present = counts > 0
    weights = np.zeros(classes)
    weights[present] = labels.size / (present.sum() * counts[present])
    return weights


def _as_common(labels, classes):
    counts = np.bincount(labels[labels != 255], minlength=classes).astype(float)
    kept = labels[labels != 255]
    return counts / counts[kept].mean()


def _unscaled(labels, classes):
    counts = np.bincount(labels[labels != 255], minlength=classes).astype(float)
    return np.where(counts > 0, 1 / np.maximum(counts, 1), 0)


def _smoothed(labels, classes):
    counts = np.bincount(labels[labels != 255], minlength=classes) + 1.0
    return counts.sum() / (classes * counts)


def _check_limits(fn):
    rng = np.random.default_rng()
    for n in (4, 7, 20):
        reference = rng.uniform(300, 700, n)
        measured = reference + rng.normal(rng.uniform(-30, 30), 12, n)
        got = np.asarray(answer(fn, reference.copy(), measured.copy()), float)
        _judge_limits(got, reference, measured)


def _judge_limits(got, reference, measured):
    want = np.array(limits_of_agreement(reference, measured))
    shaped(got, (3,), "three numbers, please: bias, lower and upper limit; yours have the shape {}")
    if np.allclose(got, want):
        return
    difference = measured - reference
    if np.allclose(got[0], -want[0]):
        raise Wrong("the sign: the difference is measured − reference")
    if not np.isclose(got[0], want[0]):
        raise Wrong("the bias is the mean of the differences")
    half = got[2] - got[0]
    if np.isclose(half, 1.96 * difference.std()):
        raise Wrong("few pairs: estimate the standard deviation divided by n − 1, ddof=1")
    if np.isclose(half, 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))):
        raise Wrong("that is an interval for the *bias*; the limits say where a single difference falls: no √n")
    if np.isclose(half, difference.std(ddof=1)):
        raise Wrong("one standard deviation holds two thirds of them; 95 % need 1.96")
    raise Wrong("the bias is right; the limits are bias ± 1.96 standard deviations of the differences")


def limits_of_agreement(reference, measured):
    difference = np.asarray(measured) - np.asarray(reference)
    half = 1.96 * difference.std(ddof=1)
    return difference.mean(), difference.mean() - half, difference.mean() + half


def _by_sums(reference, measured):
    d = [m - r for r, m in zip(reference, measured, strict=True)]
    bias = sum(d) / len(d)
    half = 1.96 * (sum((x - bias) ** 2 for x in d) / (len(d) - 1)) ** 0.5
    return [bias, bias - half, bias + half]


def _limits(scale, ddof=1, sign=1):
    def wrong(reference, measured):
        difference = sign * (np.asarray(measured) - np.asarray(reference))
        half = scale(len(difference)) * difference.std(ddof=ddof)
        return difference.mean(), difference.mean() - half, difference.mean() + half

    return wrong


EXERCISES = [
    Exercise(
        "13-soft-volumes",
        "Take logits (n, h, w, classes) and the voxel volume in mm³; return each class's expected volume in ml.",
        _check_soft_volumes,
        "Softmax over the last axis, sum over the others, times mm³, over 1000.",
        soft_volumes,
        alternatives=(_by_logsumexp, _in_float32),
        mistakes={
            "likeliest classes counted": _counted,
            "cubic millimetres": lambda logits, voxel: 1000 * soft_volumes(logits, voxel),
            "voxel size forgotten": lambda logits, voxel: soft_volumes(logits, 1.0),
            "sigmoids": _sigmoids,
            "softmax over all voxels": _over_everything,
            "overflow": _overflowing,
        },
    ),
    Exercise(
        "13-balanced-weights",
        "Take label images and the number of classes; return one weight per class.",
        _check_balanced_weights,
        "np.bincount of labels[labels != 255], then one over it where it is not zero.",
        balanced_weights,
        alternatives=(_by_mean,),
        mistakes={
            "ignored pixels counted": _with_ignored,
            "common ones favoured": _as_common,
            "not scaled": _unscaled,
            "absent classes weighted": _smoothed,
        },
    ),
    Exercise(
        "13-limits-of-agreement",
        "Take reference and measured volumes; return (bias, low, high).",
        _check_limits,
        "d = measured − reference; mean and standard deviation of d.",
        limits_of_agreement,
        alternatives=(_by_sums,),
        mistakes={
            "sign": _limits(lambda n: 1.96, sign=-1),
            "population standard deviation": _limits(lambda n: 1.96, ddof=0),
            "interval of the mean": _limits(lambda n: 1.96 / np.sqrt(n)),
            "one standard deviation": _limits(lambda n: 1.0),
        },
    ),
]
