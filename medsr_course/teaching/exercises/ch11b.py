"""Exercises of chapter 11b: readout oversampling, coils combined, the weights of homodyne detection."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _to_kspace(x, axis=0):
    return np.fft.fftshift(np.fft.fft(np.fft.ifftshift(x, axes=axis), axis=axis, norm="ortho"), axes=axis)


def _to_image(k, axis=0):
    return np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(k, axes=axis), axis=axis, norm="ortho"), axes=axis)


def _check_oversampling(fn):
    rng = np.random.default_rng()
    for readout, phase in ((16, 5), (24, 7)):
        k = rng.normal(size=(readout, phase)) + 1j * rng.normal(size=(readout, phase))
        got = np.asarray(answer(fn, k.copy()))
        shaped(got, (readout // 2, phase), f"{k.shape} should become {(readout // 2, phase)}, and yours is {{}}")
        _judge_oversampling(got, k)


def _judge_oversampling(got, k):
    if np.allclose(got, halve_readout(k)):
        return
    named = {
        "that is the middle of k-space: half the resolution, the same field of view; cut the image": _halve_in_kspace(
            k
        ),
        "every second sample folds the outer halves onto the middle: cut them off in the image": k[::2],
        "you kept the first half of the image: keep the middle half": _halve_first(k),
        "right, but you return the image: transform it back to k-space": _halved_image(k),
    }
    for message, wrong in named.items():
        if np.allclose(got, wrong):
            raise Wrong(message)
    raise Wrong("transform along the readout, keep the middle half of the image, transform back; both unitary")


def halve_readout(k):
    image = np.fft.ifft(np.fft.ifftshift(k, axes=0), axis=0, norm="ortho")
    image = np.fft.fftshift(image, axes=0)
    quarter = len(k) // 4
    image = image[quarter : quarter + len(k) // 2]
    k = np.fft.fft(np.fft.ifftshift(image, axes=0), axis=0, norm="ortho")
    return np.fft.fftshift(k, axes=0)


def _halve_by_matrix(k):
    n = len(k)
    place = np.arange(n) - n // 2
    image = np.exp(2j * np.pi * np.outer(place, place) / n) @ k / np.sqrt(n)
    image = image[n // 4 : n // 4 + n // 2]
    place = np.arange(n // 2) - n // 4
    return np.exp(-2j * np.pi * np.outer(place, place) / (n // 2)) @ image / np.sqrt(n // 2)


def _halved_image(k):
    return _to_image(k)[len(k) // 4 :][: len(k) // 2]


def _halve_first(k):
    return _to_kspace(_to_image(k)[: len(k) // 2])


def _halve_in_kspace(k):
    return k[len(k) // 4 :][: len(k) // 2]


def _check_combine(fn):
    rng = np.random.default_rng()
    for coils, h, w in ((3, 4, 5), (6, 2, 3)):
        maps = rng.normal(size=(coils, h, w)) + 1j * rng.normal(size=(coils, h, w))
        maps[:, 0, 0] = 0
        image = rng.normal(size=(h, w)) + 1j * rng.normal(size=(h, w))
        heard = maps * image + 0.1 * (rng.normal(size=maps.shape) + 1j * rng.normal(size=maps.shape))
        with np.errstate(all="ignore"):
            got = np.asarray(answer(fn, heard.copy(), maps.copy()))
        shaped(got, (h, w), f"one image {(h, w)} should come back, and yours is {{}}")
        _judge_combine(got, heard, maps)


def _judge_combine(got, heard, maps):
    if np.allclose(got, combine(heard, maps)):
        return
    if not np.isfinite(got).all():
        raise Wrong("where every coil is deaf you divide by zero: the image must be 0 there")
    power = np.where(maps.any(axis=0), (np.abs(maps) ** 2).sum(axis=0), 1)
    if np.allclose(got, (maps * heard).sum(axis=0) / power):
        raise Wrong("the phases of the coils add up instead of cancelling: take the conjugate of the sensitivities")
    if np.allclose(got, (maps.conj() * heard).sum(axis=0) / np.where(maps.any(axis=0), (maps**2).sum(axis=0), 1)):
        raise Wrong("s² of a complex number is not |s|²: divide by the sum of the squared magnitudes")
    if np.allclose(got, (maps.conj() * heard).sum(axis=0)):
        raise Wrong("bright where the coils are near: divide by the sum of their squared magnitudes")
    if np.allclose(got, np.sqrt((np.abs(heard) ** 2).sum(axis=0))):
        raise Wrong("that is the root of the sum of squares: it needs no sensitivities, and loses the phase")
    raise Wrong("for each pixel, the sum of conj(s)·x over the sum of |s|²")


def combine(heard, maps):
    power = (np.abs(maps) ** 2).sum(axis=0)
    return (np.conj(maps) * heard).sum(axis=0) / np.where(power > 0, power, 1)


def _combine_by_solving(heard, maps):
    image = np.zeros(heard.shape[1:], complex)
    for i, j in np.ndindex(image.shape):
        s = maps[:, i, j]
        if s.any():
            image[i, j] = np.linalg.lstsq(s[:, None], heard[:, i, j], rcond=None)[0][0]
    return image


def _check_weights(fn):
    for width, lines in ((16, 10), (15, 10), (8, 8), (20, 12)):
        got = np.asarray(answer(fn, width, lines), float)
        shaped(got, (width,), f"one weight for each of {width} columns, and yours is {{}}")
        _judge_weights(got, width, lines)


def _judge_weights(got, width, lines):
    where = f"{lines} of {width} lines"
    if np.allclose(got, mirror_weights(width, lines)):
        return
    if got[lines:].any():
        raise Wrong(f"{where}: a column that was not measured has weight 0")
    if np.allclose(got, 2.0 * (np.arange(width) < lines)):
        raise Wrong(f"{where}: columns whose mirror was measured, too, would count twice: they have weight 1")
    if np.allclose(got, 1.0 * (np.arange(width) < lines)):
        raise Wrong(f"{where}: that is zero-filling: a column without a measured mirror has to stand for it, too")
    if np.allclose(got, _mirrored_about_the_edge(width, lines)):
        raise Wrong(
            f"{where}: k = 0 stands at width // 2, so that the mirror of column c is (2·(width // 2) − c) mod width"
        )
    raise Wrong(f"{where}: 2 without a measured mirror, 1 with one, 0 where nothing was measured")


def mirror_weights(width, lines):
    column = np.arange(width)
    mirror = (2 * (width // 2) - column) % width
    measured = column < lines
    return np.where(measured, 2 - (mirror < lines), 0)


def _weights_by_loop(width, lines):
    weights = []
    for c in range(width):
        k = c - width // 2
        other = width // 2 - k
        has_mirror = other < lines or other == width and width % 2 == 0
        weights.append(0 if c >= lines else 1 if has_mirror else 2)
    return weights


def _mirrored_about_the_edge(width, lines):
    column = np.arange(width)
    return np.where(column < lines, 2 - (width - 1 - column < lines), 0)


EXERCISES = [
    Exercise(
        "11b-oversampling",
        "Take centred k-space (readout, phase), read out twice as wide as the image; return it without the surplus.",
        _check_oversampling,
        "Oversampling along k widens the field of view. So the surplus lies at both ends of the image.",
        halve_readout,
        alternatives=(_halve_by_matrix,),
        mistakes={
            "middle of k-space": _halve_in_kspace,
            "every second sample": lambda k: k[::2],
            "first half": _halve_first,
            "image returned": _halved_image,
        },
    ),
    Exercise(
        "11b-combine",
        "Take the coils' images and sensitivities, (coils, h, w) each; return the least-squares image (h, w).",
        _check_combine,
        "One unknown and several equations for each pixel: x_c = s_c · x. Where all s_c are 0, return 0.",
        combine,
        alternatives=(_combine_by_solving,),
        mistakes={
            "no conjugate": lambda x, s: (s * x).sum(0) / np.where(s.any(0), (np.abs(s) ** 2).sum(0), 1),
            "s² for |s|²": lambda x, s: (np.conj(s) * x).sum(0) / np.where(s.any(0), (s**2).sum(0), 1),
            "not divided": lambda x, s: (np.conj(s) * x).sum(0),
            "divides by zero": lambda x, s: (np.conj(s) * x).sum(0) / (np.abs(s) ** 2).sum(0),
            "root of sum of squares": lambda x, s: np.sqrt((np.abs(x) ** 2).sum(0)),
        },
    ),
    Exercise(
        "11b-mirror-weights",
        "Take a width and a number of lines, measured from the first column on; return a weight for each column.",
        _check_weights,
        "Of an even width, column 0 is its own mirror. Write down 8 columns with 5 lines by hand.",
        mirror_weights,
        alternatives=(_weights_by_loop,),
        mistakes={
            "all twice": lambda width, lines: 2.0 * (np.arange(width) < lines),
            "zero-filling": lambda width, lines: 1.0 * (np.arange(width) < lines),
            "mirrored about the edge": _mirrored_about_the_edge,
            "mirrors filled in": lambda width, lines: np.where(
                np.arange(width) < lines, mirror_weights(width, lines), 2
            ),
        },
    ),
]
