"""Exercises of chapter 08: what a conditional judge is shown, noise power, how many answers there are."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_judge(fn):
    rng = np.random.default_rng()
    for shape in ((3, 5, 7, 1), (2, 8, 8, 1), (1, 4, 6, 1)):
        noisy, clean, made = rng.normal(size=(3, *shape))
        got = answer(fn, noisy.copy(), clean.copy(), made.copy())
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Wrong("return two arrays, (images, answers)")
        _judge_judge(np.asarray(got[0], float), np.asarray(got[1], float), noisy, clean, made)


def _judge_judge(images, answers, noisy, clean, made):
    n, h, w, _ = noisy.shape
    if images.shape == (2 * n, h, w, 1):
        raise Wrong("your judge sees the candidates only: put each one's noisy image beside it, as a second channel")
    if images.shape != (2 * n, h, w, 2):
        raise Wrong(f"the images should be {(2 * n, h, w, 2)} here, yours are {images.shape}")
    if answers.shape != (2 * n, 1):
        raise Wrong(f"the answers should be {(2 * n, 1)} here, yours are {answers.shape}")
    want, labels = for_the_judge(noisy, clean, made)
    if np.allclose(images, want[..., ::-1]):
        raise Wrong("the two channels stand the wrong way round: the candidate comes first")
    if np.allclose(images, np.roll(want, n, axis=0)) or np.allclose(answers, 1 - labels):
        raise Wrong("measured images are labelled 1, made-up ones 0, and the measured half comes first")
    if np.allclose(images[..., 0], want[..., 0]) and np.allclose(images[..., 1], np.r_[clean, made][..., 0]):
        raise Wrong("your second channel is the candidate again; it should be the noisy image it belongs to")
    if np.allclose(images[..., 0], want[..., 0]) and np.allclose(images[..., 1], np.r_[noisy, clean][..., 0]):
        raise Wrong("a made-up image stands beside the clean one: the judge has only to compare the two, and wins")
    if not np.allclose(answers, labels):
        raise Wrong("the images are right; the answers should be 1 for the first half and 0 for the second")
    if not np.allclose(images, want):
        raise Wrong("first half: clean beside noisy; second half: made beside noisy, image by image")


def for_the_judge(noisy, clean, made):
    measured = np.concatenate([clean, noisy], axis=-1)
    made_up = np.concatenate([made, noisy], axis=-1)
    answers = np.repeat([[1.0], [0.0]], len(noisy), axis=0)
    return np.concatenate([measured, made_up]), answers


def _judge_by_stacking(noisy, clean, made):
    candidates, given = np.concatenate([clean, made]), np.concatenate([noisy, noisy])
    answers = np.array([1.0] * len(clean) + [0.0] * len(made))
    return np.stack([candidates[..., 0], given[..., 0]], axis=-1), answers[:, None]


def _judge_with(images=lambda want, noisy, clean, made: want, answers=lambda labels: labels):
    def wrong(noisy, clean, made):
        want, labels = for_the_judge(noisy, clean, made)
        return images(want, noisy, clean, made), answers(labels)

    return wrong


def _check_power(fn):
    rng = np.random.default_rng()
    for (h, w), a in (((6, 8), 0.6), ((7, 5), 1.7), ((8, 9), 0.9)):
        first, second = 30 * rng.random((h, w)) + rng.normal(0, 2, (2, h, w))
        got = np.asarray(answer(fn, first.copy(), second.copy(), a))
        shaped(got, (h, w), f"the spectrum should be {(h, w)} here, one value for each coefficient; yours is {{}}")
        _judge_power(got, first, second, a)


def _judge_power(got, first, second, a):
    want = noise_power(first, second, a)
    if np.iscomplexobj(got) or (got < -1e-9).any():
        raise Wrong("power is a squared magnitude: real, and never negative")
    if np.allclose(got, want, rtol=1e-6):
        return
    if np.allclose(got, 2 * want, rtol=1e-6):
        raise Wrong("the ½ is missing: a difference holds the noise of both scans, twice the variance of one")
    if np.allclose(got, want / 2, rtol=1e-6):
        raise Wrong("a half too much: a quarter would be right for the noise of the *mean* of two scans, not of one")
    if np.allclose(got, noise_power(first, -second, a), rtol=1e-6):
        raise Wrong("that is the power of the sum, object included: in the difference the object is gone")
    if np.allclose(got, want / a**2, rtol=1e-6):
        raise Wrong("a pixel's area is missing: × a², else the spectrum depends on the grid")
    if np.allclose(got, want / a, rtol=1e-6):
        raise Wrong("you count the pixel's side once; in two dimensions its area counts, a²")
    if np.allclose(got, want * first.size, rtol=1e-6):
        raise Wrong("np.fft.fft2 adds up all pixels: divide by their number, h·w")
    raise Wrong("|FFT of the difference|², times ½, times a² / (h·w)")


def noise_power(first, second, a):
    return np.abs(np.fft.fft2(first - second)) ** 2 / 2 * a**2 / first.size


def _power_with_mean(first, second, a):
    # The chapter's definition with n = 2: a mean image can be taken, too.
    images = np.stack([first, second])
    spread = np.abs(np.fft.fft2(images - images.mean(axis=0), norm="ortho")) ** 2
    return spread.sum(axis=0) * a**2


def _check_effective(fn):
    rng = np.random.default_rng()
    for answers in (rng.integers(0, 8, 60), rng.choice([2, 5, 9], 41, p=[0.7, 0.2, 0.1]), np.full(12, 4)):
        _judge_effective(answer(fn, answers.tolist()), answers)


def _judge_effective(got, answers):
    shaped(got, (), "return one number")
    want = effective_answers(answers)
    if np.isclose(got, want, rtol=1e-6):
        return
    shares = np.bincount(answers) / len(answers)
    shares = shares[shares > 0]
    entropy = -(shares * np.log(shares)).sum()
    if not np.isfinite(got):
        raise Wrong("an answer that never comes gives 0 · log 0: leave it out, its contribution is 0")
    if np.isclose(got, len(shares)) and not np.isclose(want, len(shares)):
        raise Wrong("you count the different answers; a rare one should not weigh as much as one that comes often")
    if np.isclose(got, entropy):
        raise Wrong("that is the entropy H itself: return exp(H)")
    if np.isclose(got, 1 / (shares**2).sum()):
        raise Wrong("1 / Σp² is another such measure (Simpson's); here it is exp(H), H = −Σ p log p")
    if np.isclose(got, np.exp(entropy / np.log(2))):
        raise Wrong("logarithm and exponential need one base: log with exp, or log2 with 2**")
    if np.isclose(got, 1 / want):
        raise Wrong("the sign of the entropy is missing: H = −Σ p log p is never negative")
    raise Wrong(f"here it should be {want:.4f}, yours is {float(got):.4f}: shares first, then exp(−Σ p log p)")


def effective_answers(answers):
    shares = np.unique(answers, return_counts=True)[1] / len(answers)
    return np.exp(-(shares * np.log(shares)).sum())


def _effective_by_product(answers):
    result = 1.0
    for share in np.unique(answers, return_counts=True)[1] / len(answers):
        result *= share**-share
    return result


def _effective_with(final):
    def wrong(answers):
        shares = np.unique(answers, return_counts=True)[1] / len(answers)
        return final(shares)

    return wrong


def _entropy(p):
    return -(p * np.log(p)).sum()


EXERCISES = [
    Exercise(
        name="08-for-the-judge",
        task="Given noisy, clean and made images, return the conditional judge's batch, and the answers.",
        check=_check_judge,
        hint="np.concatenate([clean, noisy], axis=-1) is the measured half; one half goes on top of the other.",
        reference=for_the_judge,
        alternatives=(_judge_by_stacking,),
        mistakes={
            "candidates only": _judge_with(lambda want, noisy, clean, made: want[..., :1]),
            "channels swapped": _judge_with(lambda want, noisy, clean, made: want[..., ::-1]),
            "labels swapped": _judge_with(answers=lambda labels: 1 - labels),
            "candidate twice": _judge_with(lambda want, noisy, clean, made: np.repeat(want[..., :1], 2, axis=-1)),
            "given the truth": _judge_with(
                lambda want, noisy, clean, made: np.concatenate([want[..., :1], np.r_[noisy, clean]], axis=-1)
            ),
            "flat answers": _judge_with(answers=lambda labels: labels[:, 0]),
        },
    ),
    Exercise(
        name="08-noise-power",
        task="From two scans of one thing and the pixel size, return the noise power at each coefficient of k-space.",
        check=_check_power,
        hint="What is in the difference of the two, what is not, and what is its variance beside that of one scan?",
        reference=noise_power,
        alternatives=(_power_with_mean,),
        mistakes={
            "no half": lambda first, second, a: 2 * noise_power(first, second, a),
            "a quarter": lambda first, second, a: noise_power(first, second, a) / 2,
            "sum": lambda first, second, a: noise_power(first, -second, a),
            "no pixel area": lambda first, second, a: noise_power(first, second, 1.0),
            "side instead of area": lambda first, second, a: noise_power(first, second, a) / a,
            "not divided by pixels": lambda first, second, a: noise_power(first, second, a) * first.size,
        },
    ),
    Exercise(
        name="08-effective-answers",
        task="Return the effective number of answers, exp of the entropy of their shares.",
        check=_check_effective,
        hint="np.unique(answers, return_counts=True) counts them.",
        reference=effective_answers,
        alternatives=(_effective_by_product,),
        mistakes={
            "number of different ones": _effective_with(len),
            "entropy itself": _effective_with(_entropy),
            "Simpson": _effective_with(lambda p: 1 / (p**2).sum()),
            "mixed bases": _effective_with(lambda p: np.exp(_entropy(p) / np.log(2))),
            "sign lost": _effective_with(lambda p: np.exp(-_entropy(p))),
        },
    ),
]
