"""Exercises of chapter 18: shifted windows, one step of a diffusion, what was measured put back."""

import numpy as np

from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.interpolation import zero_fill
from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped


def _check_windows(fn):
    rng = np.random.default_rng()
    for shape, size, shift in (((8, 12), 4, 0), ((7, 10), 4, 2), ((9, 6), 3, 1)):
        image = rng.random(shape)
        want = windows(image, size, shift)
        got = np.asarray(answer(fn, image.copy(), size, shift))
        if got.shape == want.shape and np.allclose(got, want):
            continue
        _judge_windows(got, want, image, size, shift)


def _judge_windows(got, want, image, size, shift):
    whole = image[: image.shape[0] // size * size, : image.shape[1] // size * size]
    known = [
        (
            windows(whole, size, shift),
            "what is left at the lower and right end belongs to windows, too: pad with zeros",
        ),
        (
            windows(np.roll(image, (shift, shift), (0, 1)), size, 0),
            "you moved the image round: pixels of the other side enter the windows; beyond the image there is 0",
        ),
        (windows(image, size, 0), "the windows should begin `shift` pixels before the image, and yours begin with it"),
    ]
    for other, why in known:
        if got.shape == other.shape and np.allclose(got, other):
            raise Wrong(why)
    if got.shape != want.shape:
        raise Wrong(f"expected {len(want)} windows of {size} × {size}, an array {want.shape}, and yours is {got.shape}")
    if np.allclose(got, want.swapaxes(1, 2)):
        raise Wrong("each window is transposed: its first axis should run along the image's rows")
    if np.array_equal(np.sort(got, axis=None), np.sort(want, axis=None)):
        raise Wrong("the right windows in another order: row by row, from left to right")
    raise Wrong(f"for an image {image.shape}, windows of {size} and a shift of {shift} some pixels stand elsewhere")


def windows(image, size, shift):
    ends = [-(n + shift) % size for n in image.shape]
    padded = np.pad(image, [(shift, end) for end in ends])
    rows, columns = (n // size for n in padded.shape)
    return padded.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)


def _windows_by_loops(image, size, shift):
    found = []
    for top in range(-shift, image.shape[0], size):
        for left in range(-shift, image.shape[1], size):
            window = np.zeros((size, size))
            for i in range(size):
                for j in range(size):
                    if 0 <= top + i < image.shape[0] and 0 <= left + j < image.shape[1]:
                        window[i, j] = image[top + i, left + j]
            found.append(window)
    return np.array(found)


def _windows_of_whole(image, size, shift):
    return windows(image[: image.shape[0] // size * size, : image.shape[1] // size * size], size, shift)


def _check_step(fn):
    rng = np.random.default_rng()
    for now, then in ((1.0, 0.75), (0.5, 0.25), (0.3, 0.0)):
        clean, noise = rng.normal(size=(2, 3, 5))
        x, velocity = _at(clean, noise, now), np.cos(np.pi / 2 * now) * noise - np.sin(np.pi / 2 * now) * clean
        got = shaped(answer(fn, x.copy(), velocity.copy(), now, then), x.shape, "return an array like x, not {}", float)
        if np.allclose(got, _at(clean, noise, then)):
            continue
        alpha, sigma = np.cos(np.pi / 2 * then), np.sin(np.pi / 2 * then)
        recognise(got, [
            (clean, "that is the clean image, all the way to level 0: mix noise back in for the level `then`"),
            (alpha * clean, "you left the noise out: what is at level `then` holds sin(π/2·then) of it"),
            (sigma * clean + alpha * noise, "α and σ of the new level have changed places"),
            (one_step(x, -velocity, now, then), "a sign of the velocity: clean = α·x − σ·v, noise = σ·x + α·v"),
            (x - (now - then) * velocity, "a straight step along the velocity leaves the circle α² + σ² = 1"),
        ])  # fmt: skip
        raise Wrong(f"from level {now} to {then} the image should be α′·clean + σ′·noise of the new level")


def _at(clean, noise, level):
    return np.cos(np.pi / 2 * level) * clean + np.sin(np.pi / 2 * level) * noise


def one_step(x, velocity, now, then):
    alpha, sigma = np.cos(np.pi / 2 * now), np.sin(np.pi / 2 * now)
    clean, noise = alpha * x - sigma * velocity, sigma * x + alpha * velocity
    return np.cos(np.pi / 2 * then) * clean + np.sin(np.pi / 2 * then) * noise


def _step_as_rotation(x, velocity, now, then):
    angle = np.pi / 2 * (then - now)
    return np.cos(angle) * x + np.sin(angle) * velocity


def _check_measured(fn):
    rng = np.random.default_rng()
    for scale, (h, w) in ((2, (6, 9)), (4, (5, 6))):
        image, coarse = rng.random((1, scale * h, scale * w)), rng.random((1, h, w))
        got = shaped(
            answer(fn, image.copy(), coarse.copy(), scale), image.shape, "return an image like the first, not {}"
        )
        if np.allclose(got, put_back(image, coarse, scale), atol=1e-6):
            continue
        zipped, low = zero_fill(coarse, scale), zero_fill(kspace_crop(image, scale), scale)
        recognise(got, [
            (zipped, "that is zero-filling: the image's own high frequencies are gone"),
            (image + zipped, "the image's own low frequencies are still in it: take them off before you add"),
            (image - low, "you took the low frequencies off; now put the measured ones there"),
            ((image + zipped) / 2, "the mean of both keeps half of what contradicts the measurement"),
        ], atol=1e-6)  # fmt: skip
        raise Wrong(
            "the result, cropped again, should be the coarse image, and its high frequencies those of the image"
        )


def put_back(image, coarse, scale):
    return image + zero_fill(coarse - kspace_crop(image, scale), scale)


def _put_back_by_parts(image, coarse, scale):
    return zero_fill(coarse, scale) + image - zero_fill(kspace_crop(image, scale), scale)


EXERCISES = [
    Exercise(
        name="18-windows",
        task="Cut an image (h, w) into windows that begin `shift` pixels before it; return (count, size, size).",
        check=_check_windows,
        hint="np.pad by shift in front, behind by what is missing to a multiple of size; then reshape and swapaxes.",
        reference=windows,
        alternatives=(_windows_by_loops,),
        mistakes={
            "shift forgotten": lambda image, size, shift: windows(image, size, 0),
            "rolled": lambda image, size, shift: windows(np.roll(image, (shift, shift), (0, 1)), size, 0),
            "the rest dropped": _windows_of_whole,
            "columns first": lambda image, size, shift: windows(image.T, size, shift).swapaxes(1, 2),
            "transposed": lambda image, size, shift: windows(image, size, shift).swapaxes(1, 2),
        },
    ),
    Exercise(
        name="18-step",
        task="Return the image at level `then` that goes with x at level `now` and its velocity.",
        check=_check_step,
        hint="First the clean image and the noise: two equations in two unknowns. Then mix them for the new level.",
        reference=one_step,
        alternatives=(_step_as_rotation,),
        mistakes={
            "all the way": lambda x, v, now, then: one_step(x, v, now, 0),
            "no noise": lambda x, v, now, then: np.cos(np.pi / 2 * then) * one_step(x, v, now, 0),
            "parts changed round": lambda x, v, now, then: one_step(x, v, now, 1 - then),
            "sign of the velocity": lambda x, v, now, then: one_step(x, -v, now, then),
            "straight": lambda x, v, now, then: x - (now - then) * v,
        },
    ),
    Exercise(
        name="18-measured",
        task="Return an image (1, s·h, s·w) with its low frequencies replaced by those of the coarse one (1, h, w).",
        check=_check_measured,
        hint="kspace_crop(image, scale) is what the image says; coarse is what was measured; zero_fill the difference.",
        reference=put_back,
        alternatives=(_put_back_by_parts,),
        mistakes={
            "zero-filling": lambda image, coarse, scale: zero_fill(coarse, scale),
            "added": lambda image, coarse, scale: image + zero_fill(coarse, scale),
            "only taken off": lambda image, coarse, scale: image - zero_fill(kspace_crop(image, scale), scale),
            "the mean of both": lambda image, coarse, scale: (image + zero_fill(coarse, scale)) / 2,
        },
    ),
]
