"""Exercises of chapter 12: the players' losses, a detector's threshold, data consistency."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_losses(fn):
    rng = np.random.default_rng()
    for count in (4, 7, 16):
        real, made = rng.normal(1.0, 1.5, count), rng.normal(-1.0, 1.5, count)
        got = answer(fn, real.copy(), made.copy())
        shaped(got, (2,), "return two numbers, (discriminator_loss, generator_loss)")
        _judge_losses(np.asarray(got, float), real, made)


def _judge_losses(got, real, made):
    want = np.array(player_losses(real, made))
    if np.allclose(got, want, rtol=1e-5):
        return
    if np.allclose(got, want[::-1], rtol=1e-5):
        raise Wrong("both losses are right and stand in the wrong order: the discriminator's comes first")
    if np.isclose(got[1], want[1], rtol=1e-5):
        if np.isclose(got[0], 2 * want[0], rtol=1e-5):
            raise Wrong("the discriminator's loss is a mean over all patches: yours adds up the two halves' means")
        if np.isclose(got[0], np.mean(_softplus(np.r_[real, -made])), rtol=1e-5):
            raise Wrong("your discriminator is paid for being wrong: measured patches should get positive logits")
        raise Wrong(
            "the generator's loss is right, the discriminator's isn't: cross-entropy with 1 for real, 0 for made"
        )
    if np.isclose(got[1], -np.mean(_softplus(made)), rtol=1e-5):
        raise Wrong(
            "your generator minimises log(1 − p): that form has next to no gradient while the discriminator is winning"
        )
    if np.isclose(got[1], np.mean(_softplus(made)), rtol=1e-5):
        raise Wrong("your generator is paid for being caught: its patches should look real, so the label is 1")
    if np.isclose(got[1], np.mean(_softplus(-np.r_[real, made])), rtol=1e-5):
        raise Wrong("the generator's loss is over the patches that it made; measured ones do not depend on it")
    raise Wrong(f"the generator's loss should be {want[1]:.4f} here, yours is {got[1]:.4f}: softplus(−logit), mean")


def _softplus(x):
    return np.logaddexp(0, x)


def player_losses(real, made):
    correct = np.concatenate([np.logaddexp(0, -real), np.logaddexp(0, made)])  # −log p of the right answer
    return correct.mean(), np.logaddexp(0, -made).mean()


def _losses_by_probability(real, made):
    p, q = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-made))
    both = (-np.log(p).sum() - np.log(1 - q).sum()) / (len(p) + len(q))
    return both, -np.log(q).mean()


def _check_detection(fn):
    rng = np.random.default_rng(12)
    for count, alarms in ((400, 0.05), (333, 0.1), (1001, 0.02)):
        empty, lesions = rng.normal(0.01, 0.05, count), rng.normal(0.09, 0.06, count // 3)
        got = answer(fn, empty.copy(), lesions.copy(), alarms)
        shaped(got, (2,), "return two numbers, (threshold, rate)")
        _judge_detection(float(got[0]), float(got[1]), empty, lesions, alarms)


def _judge_detection(threshold, rate, empty, lesions, alarms):
    share = (empty > threshold).mean()
    if abs(share - alarms) > 1.5 / len(empty) + 1e-9:
        _judge_threshold(threshold, empty, lesions, alarms)
        raise Wrong(f"your threshold lets {share:.1%} of the empty places through, and {alarms:.0%} were asked for")
    if np.isclose(rate, (lesions > threshold).mean(), atol=1e-6):
        return
    if np.isclose(rate, 100 * (lesions > threshold).mean(), atol=1e-6):
        raise Wrong("the threshold is right; the rate should be a share between 0 and 1, not per cent")
    if np.isclose(rate, (lesions <= threshold).mean(), atol=1e-6):
        raise Wrong("the threshold is right; your rate is that of the lesions missed")
    raise Wrong("the threshold is right; the rate should be the share of lesions above it")


def _judge_threshold(threshold, empty, lesions, alarms):
    """Name the mistake behind a threshold that lets too many or too few through, if it is a known one."""
    if np.isclose(threshold, np.quantile(lesions, 1 - alarms), atol=1e-3):
        raise Wrong("your threshold comes from the lesions: a detector is set where there are none")
    if np.isclose(threshold, np.quantile(empty, alarms), atol=1e-3):
        raise Wrong("nearly every empty place is above your threshold: take the other end of the distribution")
    if np.isclose(threshold, np.quantile(np.abs(empty), 1 - alarms), atol=1e-4) or np.isclose(
        threshold, np.quantile(empty, 1 - alarms / 2), atol=1e-4
    ):
        raise Wrong("that is a two-sided threshold; only bright spots count, so all false alarms lie above it")


def detection_rate(empty, lesions, false_alarms):
    threshold = np.quantile(empty, 1 - false_alarms)
    return threshold, np.mean(lesions > threshold)


def _detection_by_sorting(empty, lesions, false_alarms):
    ranked = np.sort(empty)[::-1]
    threshold = ranked[round(false_alarms * len(ranked))]
    return threshold, sum(lesions > threshold) / len(lesions)


def _detection_with(quantile, share=lambda hits: hits.mean()):
    def wrong(empty, lesions, false_alarms):
        threshold = quantile(empty, lesions, false_alarms)
        return threshold, share(lesions > threshold)

    return wrong


def _top(empty, lesions, false_alarms):
    return np.quantile(empty, 1 - false_alarms)


def _check_consistent(fn):
    from medsr_course.physics.acquisition import kspace_crop

    rng = np.random.default_rng()
    for shape, scale in (((2, 5, 8), 2), ((1, 6, 7), 4), ((2, 9, 4), 3)):
        measured = rng.normal(1, 1, shape)
        n, h, w = shape
        image = rng.normal(1, 1, (n, scale * h, scale * w))
        got = np.asarray(answer(fn, image.copy(), measured.copy(), scale))
        shaped(got, image.shape, f"the result should be as fine as the image, {image.shape}, and yours is {{}}")
        want = make_consistent(image, measured, scale)
        if np.allclose(got, want, atol=1e-5):
            continue
        if not np.allclose(kspace_crop(got, scale), measured, atol=1e-5):
            _judge_inconsistent(got, image, measured, scale)
        raise Wrong("cropped, it is the measurement; but the hidden part of the image is gone or changed")


def _judge_inconsistent(got, image, measured, scale):
    from medsr_course.physics.acquisition import kspace_crop

    if np.allclose(got, image, atol=1e-5):
        raise Wrong("you return the image as it was: it still contradicts the measurement")
    seen = kspace_crop(got, scale)
    if np.allclose(seen, kspace_crop(image, scale) + measured, atol=1e-5):
        raise Wrong("the measured part is in it twice: take the image's own away before you add the measurement's")
    if np.allclose(seen, 2 * kspace_crop(image, scale) - measured, atol=1e-5):
        raise Wrong(
            "the correction has the wrong sign: cropped, your result is farther from the measurement than before"
        )
    if np.allclose(got[:, ::scale, ::scale], measured, atol=1e-5):
        raise Wrong(
            "every scale-th pixel is right, but cropping k-space is not picking pixels: other frequencies fold in"
        )
    raise Wrong("cropped in k-space, your result is not the measurement")


def make_consistent(image, measured, scale):
    from medsr_course.physics import acquisition, interpolation

    return image + interpolation.zero_fill(measured - acquisition.kspace_crop(image, scale), scale)


def _consistent_in_kspace(image, measured, scale):
    from medsr_course.physics import acquisition, interpolation

    hidden = image - interpolation.zero_fill(acquisition.kspace_crop(image, scale), scale)
    return interpolation.zero_fill(measured, scale) + hidden


def _consistent_twice(image, measured, scale):
    from medsr_course.physics import interpolation

    return image + interpolation.zero_fill(measured, scale)


def _consistent_wrong_sign(image, measured, scale):
    return 2 * image - make_consistent(image, measured, scale)


def _consistent_only_zip(image, measured, scale):
    from medsr_course.physics import interpolation

    return interpolation.zero_fill(measured, scale)


def _consistent_in_pixels(image, measured, scale):
    result = image.copy()
    result[:, ::scale, ::scale] = measured
    return result


EXERCISES = [
    Exercise(
        name="12-player-losses",
        task="Given logits of measured and of made-up patches, return the discriminator's and the generator's loss.",
        check=_check_losses,
        hint="−log sigmoid(x) = log(1 + e⁻ˣ), np.logaddexp(0, -x). The generator wants its patches to be called real.",
        reference=player_losses,
        alternatives=(_losses_by_probability,),
        mistakes={
            "order": lambda real, made: player_losses(real, made)[::-1],
            "sum of two means": lambda real, made: (2 * player_losses(real, made)[0], player_losses(real, made)[1]),
            "labels swapped": lambda real, made: (
                np.logaddexp(0, np.r_[real, -made]).mean(),
                np.logaddexp(0, -made).mean(),
            ),
            "vanishing gradient": lambda real, made: (player_losses(real, made)[0], -np.logaddexp(0, made).mean()),
            "paid for being caught": lambda real, made: (player_losses(real, made)[0], np.logaddexp(0, made).mean()),
        },
    ),
    Exercise(
        name="12-detection",
        task="Set a detector's threshold where there are no lesions, and return it with its detection rate.",
        check=_check_detection,
        hint="np.quantile(empty, 1 - false_alarms) is exceeded by a share false_alarms of the empty places.",
        reference=detection_rate,
        alternatives=(_detection_by_sorting,),
        mistakes={
            "set on the lesions": _detection_with(lambda e, l, a: np.quantile(l, 1 - a)),
            "wrong end": _detection_with(lambda e, l, a: np.quantile(e, a)),
            "two-sided": _detection_with(lambda e, l, a: np.quantile(e, 1 - a / 2)),
            "per cent": _detection_with(_top, lambda hits: 100 * hits.mean()),
            "missed": _detection_with(_top, lambda hits: 1 - hits.mean()),
        },
    ),
    Exercise(
        name="12-consistent",
        task="Return the image with its measured band replaced by the measurement.",
        check=_check_consistent,
        hint="What is the difference between the measurement and the cropped image? Zero-fill it and add it.",
        reference=make_consistent,
        alternatives=(_consistent_in_kspace,),
        mistakes={
            "measured part twice": _consistent_twice,
            "wrong sign": _consistent_wrong_sign,
            "hidden part lost": _consistent_only_zip,
            "unchanged": lambda image, measured, scale: image,
            "pixels instead of k-space": _consistent_in_pixels,
        },
    ),
]
