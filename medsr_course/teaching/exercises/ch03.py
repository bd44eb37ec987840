"""Exercises of chapter 03: Hounsfield units, the null of an inversion, voxels to millimetres, coils."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, shaped


def _same_shape(out, expected, what):
    shape = np.shape(expected)
    out = shaped(out, shape, f"the result has shape {{}}; {what} has shape {shape}.")
    if not np.all(np.isfinite(out)):
        raise Wrong("the result holds NaN or infinity.")
    return out


def _close(a, b, rtol=1e-6):
    return np.allclose(a, b, rtol=rtol, atol=rtol * np.max(np.abs(b)))


def to_hounsfield(mu, mu_water):
    """1000 times the relative difference from water: water is 0, empty space −1000."""
    return 1000 * (np.asarray(mu) - mu_water) / mu_water


def _hounsfield_ratio(mu, mu_water):
    return (np.asarray(mu) / mu_water - 1) * 1000


def _check_hounsfield(fn):
    rng = np.random.default_rng(31)
    for shape, water in (((6, 7), 0.0193), ((3, 4, 5), 0.0206), ((9,), 0.0184)):
        mu = water * rng.uniform(0, 3, shape)
        right = to_hounsfield(mu, water)
        out = _same_shape(answer(fn, mu.copy(), water), right, "the map of μ")
        if _close(out, right):
            continue
        if _close(out, -right):
            raise Wrong("bone comes out below water: the difference is μ − μ_water, not the other way round.")
        if _close(out * 1000, right):
            raise Wrong("the numbers are a thousand times too small: Hounsfield units are *thousandths* of water.")
        if _close(out, right * water):
            raise Wrong("the difference from water is not yet relative: divide it by μ_water.")
        if _close(out, 1000 * mu / water):
            raise Wrong("water comes out as 1000, but it has to be 0: subtract it first.")
        raise Wrong("water should come out as 0, empty space (μ = 0) as −1000, and μ = 2·μ_water as 1000.")


def null_time(t1, tr):
    """TI at which 1 − 2·exp(−TI/T1) + exp(−TR/T1) is zero, in the unit of ``t1``."""
    return t1 * (np.log(2) - np.log1p(np.exp(-tr / t1)))


def _null_by_bisection(t1, tr):
    low, high = 0.0, tr
    for _ in range(100):
        middle = (low + high) / 2
        if 1 - 2 * np.exp(-middle / t1) + np.exp(-tr / t1) < 0:
            low = middle
        else:
            high = middle
    return middle


def _check_null(fn):
    for t1, tr in ((4160.0, 9000.0), (370.0, 5000.0), (1300.0, 2500.0)):
        right = null_time(t1, tr)
        out = float(np.asarray(answer(fn, t1, tr)))
        if abs(out - right) < 0.1:
            continue
        if abs(out - t1 * np.log(2)) < 0.1:
            raise Wrong(
                f"for T1 = {t1:g}, TR = {tr:g} ms you give T1·ln 2: right only for endless TR. "
                "Keep the term exp(−TR/T1)."
            )
        if abs(out - t1 * (np.log10(2) - np.log10(1 + np.exp(-tr / t1)))) < 0.1:
            raise Wrong("that is the logarithm to base 10; exp is undone by the natural one, np.log.")
        if abs(out + right) < 0.1:
            raise Wrong("the time is negative: ln((1 + e)/2) has the wrong sign, turn the fraction over.")
        if abs(out - t1 * (np.log(2) - np.log(1 - np.exp(-tr / t1)))) < 0.1:
            raise Wrong("check the sign of exp(−TR/T1): it stands with a plus in the signal equation.")
        left = 1 - 2 * np.exp(-out / t1) + np.exp(-tr / t1)
        raise Wrong(f"for T1 = {t1:g}, TR = {tr:g} ms your TI = {out:.0f} ms leaves a signal of {left:.3f}, not 0.")


def where(affine, index):
    """Millimetres of a voxel: the affine applied to (i, j, k, 1)."""
    return (np.asarray(affine) @ np.append(index, 1.0))[:3]


def _where_in_parts(affine, index):
    affine = np.asarray(affine)
    return affine[:3, :3].dot(index) + affine[:3, 3]


def _oblique(rng):
    """An affine with a rotation, unequal voxel sizes, a flip and an offset."""
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = rotation * rng.uniform(0.5, 4, 3)
    affine[:3, 3] = rng.uniform(-120, 120, 3)
    return affine


def _check_where(fn):
    rng = np.random.default_rng(33)
    for _ in range(4):
        affine, index = _oblique(rng), rng.integers(1, 200, 3)
        right = where(affine, index)
        out = _same_shape(answer(fn, affine.copy(), tuple(int(i) for i in index)), right, "a place in mm")
        turn, shift = affine[:3, :3], affine[:3, 3]
        if _close(out, right):
            continue
        if _close(out, turn @ index):
            raise Wrong("you forgot the last column of the affine: where voxel (0, 0, 0) is.")
        if _close(out, np.linalg.norm(turn, axis=0) * index + shift):
            raise Wrong("you used the voxel sizes only: this scan is tilted, so all nine numbers matter.")
        if _close(out, np.diag(turn) * index + shift):
            raise Wrong("you used the diagonal only: this scan is tilted, so all nine numbers matter.")
        if _close(out, (np.append(index, 1.0) @ affine)[:3]):
            raise Wrong("a row vector times the affine: that uses its columns, and loses where voxel (0, 0, 0) is.")
        if _close(out, turn.T @ index + shift):
            raise Wrong("that is the transposed matrix: the affine stands on the left, the index on the right.")
        if _close(out, np.linalg.solve(affine, np.append(index, 1.0))[:3]):
            raise Wrong("that is the inverse: it takes millimetres to a voxel, not a voxel to millimetres.")
        raise Wrong(f"voxel {tuple(map(int, index))} lies at {np.round(right, 1)} mm, not at {np.round(out, 1)}.")


def combine(images, sensitivities):
    """Least-squares image from several coils with known sensitivities."""
    images, heard = np.asarray(images), np.asarray(sensitivities)
    return (heard.conj() * images).sum(axis=0) / (np.abs(heard) ** 2).sum(axis=0)


def _combine_with_einsum(images, sensitivities):
    weight = np.einsum("c...,c...->...", np.conj(sensitivities), sensitivities).real
    return np.einsum("c...,c...->...", np.conj(sensitivities), images) / weight


def _check_combine(fn):
    rng = np.random.default_rng(34)

    def random(*shape):
        return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)

    for coils, h, w in ((4, 8, 8), (3, 7, 9), (1, 5, 6)):
        heard, image = random(coils, h, w) + 0.5, random(h, w)
        images = heard * image
        # Noise makes the coils disagree: then only weighing them by what they hear is right.
        images = images + 0.3 * random(coils, h, w)
        right = combine(images, heard)
        out = _same_shape(answer(fn, images.copy(), heard.copy()), right, "the image")
        power = (np.abs(heard) ** 2).sum(axis=0)
        if _close(out, right):
            continue
        if _close(out, right * power):
            raise Wrong("the image is still shaded: divide by the sum of the squared sensitivities.")
        if _close(out, (heard * images).sum(axis=0) / power):
            raise Wrong("the coils' phases add up instead of cancelling: take the complex conjugate of s.")
        if _close(out, (heard.conj() * images).sum(axis=0) / (heard**2).sum(axis=0)):
            raise Wrong("s² of a complex number is not |s|²: divide by the sum of the squared *magnitudes*.")
        if _close(out, np.sqrt((np.abs(images) ** 2).sum(axis=0))):
            raise Wrong("that is the sum of squares: it ignores the sensitivities you were given, and the phase.")
        if _close(out, np.abs(right)):
            raise Wrong("the phase of the image is gone: leave the magnitude to the last step of all.")
        if _close(out, (images / heard).mean(axis=0)):
            raise Wrong(
                "you divide coil by coil: where a coil hears little that is mostly noise. "
                "Weigh each coil by what it hears."
            )
        raise Wrong(f"wrong for {coils} coils of {h} × {w}: Σ conj(s)·m over the coils, then divide by Σ |s|².")


EXERCISES = (
    Exercise(
        name="03-hounsfield",
        task="to_hounsfield(mu, mu_water): a map of attenuation (1/mm) in Hounsfield units.",
        check=_check_hounsfield,
        hint="How far is μ from water, as a fraction of water, in thousandths?",
        reference=to_hounsfield,
        alternatives=(_hounsfield_ratio,),
        mistakes={
            "sign": lambda mu, w: 1000 * (w - mu) / w,
            "no thousand": lambda mu, w: (mu - w) / w,
            "not relative": lambda mu, w: 1000 * (mu - w),
            "water not subtracted": lambda mu, w: 1000 * mu / w,
        },
    ),
    Exercise(
        name="03-null-time",
        task="null_time(t1, tr): the inversion time (ms) at which a tissue gives no signal.",
        check=_check_null,
        hint="Set 1 − 2·exp(−TI/T1) + exp(−TR/T1) to zero and solve for exp(−TI/T1), then for TI.",
        reference=null_time,
        alternatives=(_null_by_bisection,),
        mistakes={
            "endless TR": lambda t1, tr: t1 * np.log(2),
            "base 10": lambda t1, tr: t1 * (np.log10(2) - np.log10(1 + np.exp(-tr / t1))),
            "negative": lambda t1, tr: t1 * np.log((1 + np.exp(-tr / t1)) / 2),
            "sign of TR term": lambda t1, tr: t1 * (np.log(2) - np.log(1 - np.exp(-tr / t1))),
        },
    ),
    Exercise(
        name="03-where",
        task="where(affine, index): the millimetres (x, y, z) of voxel (i, j, k).",
        check=_check_where,
        hint="Write the index as (i, j, k, 1): then one matrix product does it.",
        reference=where,
        alternatives=(_where_in_parts,),
        mistakes={
            "no offset": lambda a, i: a[:3, :3] @ np.asarray(i),
            "voxel sizes only": lambda a, i: np.linalg.norm(a[:3, :3], axis=0) * i + a[:3, 3],
            "diagonal only": lambda a, i: np.diag(a)[:3] * i + a[:3, 3],
            "transposed": lambda a, i: np.asarray(i) @ a[:3, :3] + a[:3, 3],
            "row vector": lambda a, i: (np.append(i, 1.0) @ a)[:3],
            "inverse": lambda a, i: np.linalg.solve(a, np.append(i, 1.0))[:3],
        },
    ),
    Exercise(
        name="03-combine",
        task="combine(images, sensitivities): one complex image (h, w) from coil images (coils, h, w).",
        check=_check_combine,
        hint="Least squares for one pixel with m_c = s_c·x: x = Σ conj(s_c)·m_c / Σ |s_c|².",
        reference=combine,
        alternatives=(_combine_with_einsum,),
        mistakes={
            "no conjugate": lambda m, s: (s * m).sum(axis=0) / (np.abs(s) ** 2).sum(axis=0),
            "s² for |s|²": lambda m, s: (s.conj() * m).sum(axis=0) / (s**2).sum(axis=0),
            "still shaded": lambda m, s: (s.conj() * m).sum(axis=0),
            "sum of squares": lambda m, s: np.sqrt((np.abs(m) ** 2).sum(axis=0)),
            "magnitude": lambda m, s: np.abs(combine(m, s)),
            "coil by coil": lambda m, s: (m / s).mean(axis=0),
        },
    ),
)
