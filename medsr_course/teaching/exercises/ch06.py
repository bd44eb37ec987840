"""Exercises of chapter 06: a rigid transform about a centre, a shift from a correlation, an adjoint."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _check_rigid(fn):
    rng = np.random.default_rng()
    for degrees in (30.0, -75.0, float(rng.uniform(100, 170))):
        centre, shift = rng.uniform(5, 40, 2), rng.uniform(-9, 9, 2)
        got = answer(fn, degrees, tuple(centre), tuple(shift))
        got = shaped(got, (3, 3), "a matrix for points (row, column, 1) is 3 × 3, and yours has shape {}", float)
        want = rigid_matrix(degrees, centre, shift)
        if np.allclose(got, want, atol=1e-6):
            continue
        if np.allclose(got, _rigid(degrees, centre, shift, radians=True), atol=1e-6):
            raise Wrong("the angle comes in degrees, and np.cos and np.sin want radians")
        if np.allclose(got, rigid_matrix(-degrees, centre, shift), atol=1e-6):
            raise Wrong("it turns the other way: at 90° about the origin (1, 0) must go to (0, 1)")
        if np.allclose(got, _rigid(degrees, (0, 0), shift), atol=1e-6):
            raise Wrong(
                "it turns about the origin, the corner of the image: the turn must leave the centre where it is"
            )
        if np.allclose(got, _rigid(degrees, -np.asarray(centre), shift), atol=1e-6):
            raise Wrong("the two moves are swapped: the centre goes to the origin first, and back after the turn")
        if np.allclose(got, _rigid(degrees, centre, shift, shift_first=True), atol=1e-6):
            raise Wrong("the shift is turned, too: it comes last, so its matrix stands on the left")
        if np.allclose(got, np.linalg.inv(want), atol=1e-6):
            raise Wrong("that is the inverse, from the new image to the old one: asked is where a point goes")
        raise Wrong(f"at {degrees:.0f}° the centre should go to {np.round(centre + shift, 2).tolist()}")


def rigid_matrix(degrees, centre, shift):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    to_origin, back = np.eye(3), np.eye(3)
    to_origin[:2, 2] = -np.asarray(centre)
    back[:2, 2] = np.asarray(centre) + shift
    return back @ turn @ to_origin


def _rigid_in_one(degrees, centre, shift):
    """R p + (c − R c + shift), without products of 3 × 3 matrices."""
    a = np.exp(1j * np.deg2rad(degrees))
    offset = complex(*centre) * (1 - a) + complex(*shift)
    return [[a.real, -a.imag, offset.real], [a.imag, a.real, offset.imag], [0, 0, 1]]


def _rigid(degrees, centre, shift, *, radians=False, shift_first=False):
    """A rigid transform with one thing done differently."""
    angle = np.rad2deg(degrees) if radians else degrees
    if shift_first:
        moved = np.eye(3)
        moved[:2, 2] = shift
        return rigid_matrix(angle, centre, (0, 0)) @ moved
    return rigid_matrix(angle, centre, shift)


def _check_shift(fn):
    rng = np.random.default_rng()
    for shape, shift in (((16, 21), (3, -5)), ((15, 12), (-4, 2)), ((20, 20), (-1, -7)), ((9, 14), (0, 6))):
        reference = rng.normal(size=shape)
        moved = np.roll(reference, [-d for d in shift], (0, 1)) + 0.1 * rng.normal(size=shape)
        why = "a shift is two numbers, (dy, dx), and yours has shape {}"
        got = shaped(answer(fn, reference, moved), (2,), why, float)
        want, size = np.array(shift), np.array(shape)
        if np.allclose(got, want):
            continue
        where = f"for images of {shape[0]} × {shape[1]} shifted by {shift} you found {tuple(got.tolist())}"
        if np.allclose(got, -want):
            raise Wrong(f"{where}: the sign is wrong; which of the two spectra is conjugated decides it")
        if np.allclose(got, want[::-1]):
            raise Wrong(f"{where}: rows and columns are swapped; the answer is (dy, dx)")
        if np.allclose(got, want % size):
            raise Wrong(f"{where}: a peak in the far half of the image means a negative shift, index − size")
        if np.allclose(got, -(-want % size)) or np.allclose(got, -want % size):
            raise Wrong(f"{where}: the sign is wrong, and peaks in the far half are not taken as negative")
        if np.allclose(np.abs(got), np.abs(want)):
            raise Wrong(f"{where}: sizes are right, signs are not")
        raise Wrong(f"{where}: correlate in Fourier space, F₀ times the conjugate of F₁, and find the maximum")


def find_shift(reference, moved):
    spectrum = np.fft.fft2(reference) * np.fft.fft2(moved).conj()
    correlation = np.fft.ifft2(spectrum).real
    peak = np.array(np.unravel_index(np.argmax(correlation), correlation.shape))
    size = np.array(correlation.shape)
    return np.where(peak > size // 2, peak - size, peak)


def _find_shift_slowly(reference, moved):
    h, w = reference.shape
    candidates = [(dy, dx) for dy in range(-(h // 2), (h + 1) // 2) for dx in range(-(w // 2), (w + 1) // 2)]
    return max(candidates, key=lambda d: (np.roll(reference, (-d[0], -d[1]), (0, 1)) * moved).sum())


def _peak_unwrapped(reference, moved):
    correlation = np.fft.ifft2(np.fft.fft2(reference) * np.fft.fft2(moved).conj()).real
    return np.unravel_index(np.argmax(correlation), correlation.shape)


def _check_adjoint(fn):
    rng = np.random.default_rng()
    for shape, scale, shift in (((6, 9), 2, (1, 0)), ((5, 4), 3, (-1, 2)), ((4, 7), 4, (3, 1))):
        frame = rng.normal(size=shape)
        want = back_project_one(frame, shift, scale)
        why = f"a {shape} frame at ×{scale} should come back as {want.shape}, and yours is {{}}"
        got = shaped(answer(fn, frame, shift, scale), want.shape, why, float)
        if np.allclose(got, want, atol=1e-6):
            continue
        if np.allclose(got, want * scale**2, atol=1e-6):
            raise Wrong("the adjoint of a mean over scale² pixels spreads 1/scale² to each of them")
        if np.allclose(got, want * scale, atol=1e-6):
            raise Wrong("divide by the number of pixels in a block, scale², not by scale")
        if np.allclose(got, _adjoint(frame, (-shift[0], -shift[1]), scale), atol=1e-6):
            raise Wrong("the shift has the wrong sign: the frame was made by moving back, so give back forwards")
        if np.allclose(got, _adjoint(frame, (0, 0), scale), atol=1e-6):
            raise Wrong("the shift is missing: each frame must give back to where it came from")
        if np.allclose(got, _adjoint(frame, shift, scale, spread=False), atol=1e-6):
            raise Wrong("only one pixel of each block gets something: a box collects from all of them")
        raise Wrong(f"⟨A x, y⟩ and ⟨x, Aᵀ y⟩ differ for a {shape} frame at ×{scale}, shift {shift}")


def back_project_one(frame, shift, scale):
    spread = np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1) / scale**2
    return np.roll(spread, shift, axis=(0, 1))


def _adjoint_by_kron(frame, shift, scale):
    fine = np.kron(frame, np.full((scale, scale), 1 / scale**2))
    rows, columns = (np.arange(n) - d for n, d in zip(fine.shape, shift, strict=True))
    return fine[np.ix_(rows % fine.shape[0], columns % fine.shape[1])]


def _adjoint(frame, shift, scale, *, spread=True):
    out = back_project_one(frame, (0, 0), scale)
    if not spread:
        out = np.zeros_like(out)
        out[::scale, ::scale] = frame
    return np.roll(out, shift, axis=(0, 1))


EXERCISES = [
    Exercise(
        "06-rigid-matrix",
        "Take degrees, a centre and a shift, both (row, column); return the 3 × 3 matrix for points (row, column, 1).",
        _check_rigid,
        "Three matrices, the first step on the right: centre to origin, turn, back to the centre and on by the shift.",
        rigid_matrix,
        alternatives=(_rigid_in_one,),
        mistakes={
            "radians": lambda d, c, t: _rigid(d, c, t, radians=True),
            "about the origin": lambda d, c, t: _rigid(d, (0, 0), t),
            "the other way": lambda d, c, t: rigid_matrix(-d, c, t),
            "moves swapped": lambda d, c, t: _rigid(d, -np.asarray(c), t),
            "shift first": lambda d, c, t: _rigid(d, c, t, shift_first=True),
            "inverse": lambda d, c, t: np.linalg.inv(rigid_matrix(d, c, t)),
        },
    ),
    Exercise(
        "06-find-shift",
        "Take two periodic images; return (dy, dx), whole numbers, with moved[i, j] = reference[i + dy, j + dx].",
        _check_shift,
        "The inverse transform of F₀ times the conjugate of F₁ peaks at the shift; beyond half a side it is negative.",
        find_shift,
        alternatives=(_find_shift_slowly,),
        mistakes={
            "sign": lambda a, b: -find_shift(a, b),
            "swapped": lambda a, b: find_shift(a, b)[::-1],
            "not unwrapped": _peak_unwrapped,
            "sign, not unwrapped": lambda a, b: _peak_unwrapped(b, a),
            "no correlation": lambda a, b: (0.5, 0.5),
        },
    ),
    Exercise(
        "06-adjoint",
        "Take a coarse frame, its shift in fine pixels and the scale; return the fine array of its back-projection.",
        _check_adjoint,
        "Undo the steps in reverse order, each replaced by its adjoint: a mean spreads, a roll rolls the other way.",
        back_project_one,
        alternatives=(_adjoint_by_kron,),
        mistakes={
            "not divided": lambda y, d, s: back_project_one(y, d, s) * s**2,
            "divided by scale": lambda y, d, s: back_project_one(y, d, s) * s,
            "shift backwards": lambda y, d, s: _adjoint(y, (-d[0], -d[1]), s),
            "no shift": lambda y, d, s: _adjoint(y, (0, 0), s),
            "one pixel only": lambda y, d, s: _adjoint(y, d, s, spread=False),
        },
    ),
]
