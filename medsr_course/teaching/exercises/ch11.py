"""Exercises of chapter 11: complex soft thresholding, where ghosts appear, data consistency with known noise."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_soft_threshold(fn):
    rng = np.random.default_rng()
    for shape in ((7,), (4, 6), (3, 5, 5)):
        c = rng.normal(0, 1, shape) + 1j * rng.normal(0, 1, shape)
        c.flat[0] = 0
        for t in (0.0, 0.8):
            with np.errstate(all="ignore"):
                got = np.asarray(answer(fn, c.copy(), t))
            _judge_soft_threshold(got, c, t)


def _judge_soft_threshold(got, c, t):
    shaped(got, c.shape, f"{c.shape} coefficients should come back as {c.shape}, and yours is {{}}")
    if not np.isfinite(got).all():
        raise Wrong("a coefficient of exactly 0 has no phase to divide by: it must come back as 0")
    if np.allclose(got, soft_threshold(c, t)):
        return
    if np.allclose(got, np.where(np.abs(c) > t, c, 0)):
        raise Wrong("that is hard thresholding: what survives must also lose t of its magnitude")
    if np.allclose(got, _by_parts(c, t)):
        raise Wrong("you shrink real and imaginary part apart, which turns the phase: shrink the magnitude")
    if np.allclose(got, np.maximum(np.abs(c) - t, 0)):
        raise Wrong("the magnitudes are right, but the phases are gone")
    if np.allclose(got, c * (1 - t / np.where(c == 0, 1, np.abs(c)))):
        raise Wrong("magnitudes below t must become 0; yours come out at the opposite phase")
    raise Wrong("a coefficient of magnitude a should come out with magnitude max(a − t, 0), its phase unchanged")


def soft_threshold(c, t):
    size = np.abs(c)
    return c * np.maximum(1 - t / np.where(size > 0, size, 1), 0)


def _by_angle(c, t):
    return np.maximum(np.abs(c) - t, 0) * np.exp(1j * np.angle(c))


def _by_parts(c, t):
    def shrink(x):
        return np.sign(x) * np.maximum(np.abs(x) - t, 0)

    return shrink(c.real) + 1j * shrink(c.imag)


def _check_ghosts(fn):
    rng = np.random.default_rng()
    cases = [(0, 12, 4), (11, 12, 3), (5, 10, 1)]
    for _ in range(6):
        factor = int(rng.integers(2, 6))
        w = factor * int(rng.integers(3, 30))
        cases.append((int(rng.integers(w)), w, factor))
    for x, w, factor in cases:
        got = answer(fn, x, w, factor)
        _judge_ghosts([int(p) for p in got], x, w, factor)


def _judge_ghosts(got, x, w, factor):
    want = ghosts(x, w, factor)
    where = f"x = {x}, w = {w}, R = {factor}"
    if got == want:
        return
    if sorted(got) == want:
        raise Wrong(f"{where}: the right columns, but not sorted")
    if any(not 0 <= p < w for p in got):
        raise Wrong(
            f"{where}: column {next(p for p in got if not 0 <= p < w)} is outside: the image is periodic, mod w"
        )
    if got == sorted({(x + j * factor) % w for j in range(w // factor)}):
        raise Wrong(
            f"{where}: ghosts R apart belong to w/R measured lines side by side; every R-th line puts them w/R apart"
        )
    if x not in got:
        raise Wrong(f"{where}: the dot itself is one of them")
    if len(got) != factor:
        raise Wrong(f"{where}: {factor} copies, not {len(got)}")
    raise Wrong(f"{where}: expected {want}, got {got}")


def ghosts(x, w, R):
    return sorted((x + j * w // R) % w for j in range(R))


def _ghosts_by_transform(x, w, R):
    dot = np.zeros(w)
    dot[x] = 1
    k = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(dot)))
    k[(np.arange(w) - w // 2) % R != 0] = 0
    seen = np.abs(np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(k))))
    return [int(p) for p in np.flatnonzero(seen > 0.5 / R)]


def _check_merge(fn):
    rng = np.random.default_rng()
    for h, w in ((5, 8), (4, 7)):
        k, y = rng.normal(size=(2, h, w)) + 1j * rng.normal(size=(2, h, w))
        mask = rng.random(w) < 0.5
        mask[0], mask[1] = True, False
        for e, s in ((0.3, 0.1), (0.1, 0.4), (0.2, 0.0)):
            got = np.asarray(answer(fn, k.copy(), np.where(mask, y, 0), mask.copy(), e, s))
            _judge_merge(got, k, np.where(mask, y, 0), mask, e, s)


def _judge_merge(got, k, y, mask, e, s):
    shaped(got, k.shape, f"k-space {k.shape} should come back as {k.shape}, and yours is {{}}")
    if not np.isfinite(got).all():
        raise Wrong("with s = 0 you divide by zero: write the weights as e²/(e² + s²) and s²/(e² + s²)")
    if np.allclose(got, merge(k, y, mask, e, s)):
        return
    if not np.allclose(got[:, ~mask], k[:, ~mask]):
        raise Wrong(
            "where nothing was measured, the network's k-space must stay as it is: y is 0 there, not a measurement"
        )
    if np.allclose(got, np.where(mask, y, k)):
        raise Wrong("that is hard data consistency: it believes the measurement whatever its noise")
    if np.allclose(got, _swapped(k, y, mask, e, s)):
        raise Wrong("the weights are swapped: the noisier of the two counts less")
    if np.allclose(got, _by_sigma(k, y, mask, e, s)):
        raise Wrong("weights go by the variances, e² and s², not by the standard deviations")
    raise Wrong("a measured sample should become (e²·y + s²·k) / (e² + s²)")


def merge(k, y, mask, e, s):
    return np.where(mask, (e**2 * y + s**2 * k) / (e**2 + s**2), k)


def _merge_by_step(k, y, mask, e, s):
    trust = 1 / (1 + (s / e) ** 2)
    return k + trust * mask * (y - k)


def _swapped(k, y, mask, e, s):
    return np.where(mask, (s**2 * y + e**2 * k) / (e**2 + s**2), k)


def _by_sigma(k, y, mask, e, s):
    return np.where(mask, (e * y + s * k) / (e + s), k)


EXERCISES = [
    Exercise(
        "11-soft-threshold",
        "Take an array of complex coefficients and a threshold; return the shrunk coefficients.",
        _check_soft_threshold,
        "Multiply c by a real number between 0 and 1 that depends on abs(c) only; mind abs(c) = 0.",
        soft_threshold,
        alternatives=(_by_angle,),
        mistakes={
            "hard threshold": lambda c, t: np.where(np.abs(c) > t, c, 0),
            "real and imaginary part apart": _by_parts,
            "phase lost": lambda c, t: np.maximum(np.abs(c) - t, 0),
            "no lower end": lambda c, t: c * (1 - t / np.where(c == 0, 1, np.abs(c))),
            "divides by zero": lambda c, t: c / np.abs(c) * np.maximum(np.abs(c) - t, 0),
        },
    ),
    Exercise(
        "11-ghosts",
        "Take a column, the width and R; return the sorted list of columns on which a dot appears.",
        _check_ghosts,
        "Sampling k-space with a step of R repeats the image every w/R pixels, around the edge as well.",
        ghosts,
        alternatives=(_ghosts_by_transform,),
        mistakes={
            "R apart": lambda x, w, R: sorted({(x + j * R) % w for j in range(w // R)}),
            "not around the edge": lambda x, w, R: [x + j * w // R for j in range(R)],
            "without the dot itself": lambda x, w, R: sorted((x + j * w // R) % w for j in range(1, R + 1) if j != R),
            "not sorted": lambda x, w, R: sorted(((x + j * w // R) % w for j in range(R)), reverse=True),
        },
    ),
    Exercise(
        "11-merge",
        "Take k-space k, measurement y, the mask and two standard deviations; return k-space.",
        _check_merge,
        "Two measurements of one number: weights 1/e² and 1/s², divided by their sum; multiply through by e²·s².",
        merge,
        alternatives=(_merge_by_step,),
        mistakes={
            "hard": lambda k, y, mask, e, s: np.where(mask, y, k),
            "weights swapped": _swapped,
            "standard deviations": _by_sigma,
            "mask forgotten": lambda k, y, mask, e, s: (e**2 * y + s**2 * k) / (e**2 + s**2),
            "divides by zero": lambda k, y, mask, e, s: np.where(
                mask, (y * np.float64(s) ** -2.0 + k / e**2) / (np.float64(s) ** -2.0 + 1 / e**2), k
            ),
        },
    ),
]
