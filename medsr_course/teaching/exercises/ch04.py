"""Exercises of chapter 04: resolution, noise and quality."""

import numpy as np
from scipy import special

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped


def psnr_inside(target, image, mask):
    """PSNR in dB: error inside the mask, range = maximum of the whole target."""
    mse = np.mean((target[mask] - image[mask]) ** 2)
    return 10 * np.log10(target.max() ** 2 / mse)


def _psnr_by_rmse(target, image, mask):
    error = np.where(mask, target - image, 0)
    return 20 * np.log10(target.max() / np.sqrt((error**2).sum() / np.count_nonzero(mask)))


_PSNR_MISTAKES = {
    "range of the mask": (
        lambda t, x, mask: psnr_inside(t, x, mask) + 20 * np.log10(t[mask].max() / t.max()),
        "the range is taken inside the mask only; it is the maximum of the whole target.",
    ),
    "error of the full field": (
        lambda t, x, mask: 10 * np.log10(t.max() ** 2 / np.mean((t - x) ** 2)),
        "the error is averaged over all voxels; average it inside the mask only.",
    ),
    "divided by all voxels": (
        lambda t, x, mask: 10 * np.log10(t.max() ** 2 / np.mean((mask * (t - x)) ** 2)),
        "the error outside the mask is set to zero but still counted in the mean: divide by the number of "
        "voxels inside.",
    ),
    "20 log10 of squares": (
        lambda t, x, mask: 2 * psnr_inside(t, x, mask),
        "twice too large: it is 10·log10 of R²/MSE, or 20·log10 of R/RMSE, not a mixture.",
    ),
    "natural logarithm": (
        lambda t, x, mask: psnr_inside(t, x, mask) * np.log(10),
        "np.log is the natural logarithm; decibels need np.log10.",
    ),
    "RMSE for MSE": (
        lambda t, x, mask: 10 * np.log10(t.max() ** 2 / np.sqrt(np.mean((t[mask] - x[mask]) ** 2))),
        "the root of the error was taken: divide R² by the MSE itself.",
    ),
}


def _check_psnr(fn):
    rng = np.random.default_rng(41)
    for h, w in ((24, 31), (17, 20)):
        target = rng.uniform(0, 500, (h, w))
        mask = np.zeros((h, w), bool)
        mask[4:-5, 3:-6] = True
        target[0, 0] = 900.0  # the brightest voxel lies outside the mask
        image = target + rng.normal(0, 25, (h, w)) * np.where(mask, 1, 2)
        got = answer(fn, target.copy(), image.copy(), mask.copy())
        if np.ndim(got) != 0:
            raise Wrong(f"return one number; yours has shape {np.shape(got)}.")
        if np.isclose(got, psnr_inside(target, image, mask), atol=1e-6):
            continue
        recognise(got, ((wrong(target, image, mask), why) for wrong, why in _PSNR_MISTAKES.values()), atol=1e-6)
        raise Wrong(f"expected {psnr_inside(target, image, mask):.2f} dB, got {float(got):.2f} dB.")


def true_amplitude(magnitudes, sigma):
    """Amplitude (h, w) from repeated magnitudes (n, h, w) of noise sigma."""
    power = np.mean(magnitudes**2, axis=0) - 2 * sigma**2
    return np.sqrt(np.maximum(power, 0))


def _amplitude_by_variance(magnitudes, sigma):
    second_moment = magnitudes.var(axis=0) + magnitudes.mean(axis=0) ** 2
    return np.sqrt(np.clip(second_moment - 2 * sigma**2, 0, None))


def _amplitude_no_clip(magnitudes, sigma):
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.mean(magnitudes**2, axis=0) - 2 * sigma**2)


_AMPLITUDE_MISTAKES = {
    "σ² once": (
        lambda m, sigma: np.sqrt(np.maximum(np.mean(m**2, axis=0) - sigma**2, 0)),
        "σ² was subtracted once; two channels, real and imaginary, bring σ² each.",
    ),
    "mean before square": (
        lambda m, sigma: np.sqrt(np.maximum(np.mean(m, axis=0) ** 2 - 2 * sigma**2, 0)),
        "the mean was squared; take the mean of the squares, M² first.",
    ),
    "floor subtracted": (
        lambda m, sigma: np.maximum(np.mean(m, axis=0) - sigma * np.sqrt(np.pi / 2), 0),
        "the background's mean σ√(π/2) was subtracted everywhere; in bright voxels the bias is far smaller.",
    ),
    "no root": (
        lambda m, sigma: np.maximum(np.mean(m**2, axis=0) - 2 * sigma**2, 0),
        "this is the amplitude squared: take the root.",
    ),
    "abs for clipping": (
        lambda m, sigma: np.sqrt(np.abs(np.mean(m**2, axis=0) - 2 * sigma**2)),
        "a negative estimate was folded over by abs; it means 0.",
    ),
}


def _check_amplitude(fn):
    rng = np.random.default_rng(42)
    for (h, w), sigma in (((9, 14), 4.0), ((12, 7), 0.5)):
        truth = np.linspace(0, 6 * sigma, h * w).reshape(h, w)
        truth[: h // 3] = 0
        noise = rng.standard_normal((30, h, w)) + 1j * rng.standard_normal((30, h, w))
        magnitudes = np.abs(truth + sigma * noise)
        got = np.asarray(answer(fn, magnitudes.copy(), sigma))
        expected = true_amplitude(magnitudes, sigma)
        shaped(got, expected.shape, f"the shape is {{}}, not {expected.shape}: average over the first axis.")
        if np.isnan(got).any():
            raise Wrong("there are NaNs where the estimate of A² is negative: set it to 0 before the root.")
        if np.allclose(got, expected, atol=1e-9):
            continue
        recognise(got, ((wrong(magnitudes, sigma), why) for wrong, why in _AMPLITUDE_MISTAKES.values()), atol=1e-9)
        error = np.abs(got - expected).max() / sigma
        raise Wrong(f"off by up to {error:.2g} σ from √(mean of M² − 2σ²).")


def mtf(spread, spacing):
    """Frequencies (cycles per mm) and MTF of an edge-spread function."""
    line_spread = np.diff(spread)
    transfer = np.abs(np.fft.rfft(line_spread))
    return np.fft.rfftfreq(len(line_spread), spacing), transfer / transfer[0]


def _mtf_full_transform(spread, spacing):
    line_spread = np.gradient(spread, spacing)
    half = len(line_spread) // 2
    transfer = np.abs(np.fft.fft(line_spread))[:half]
    return np.arange(half) / (len(line_spread) * spacing), transfer / transfer.max()


def _mtf_of_the_edge(spread, spacing):
    transfer = np.abs(np.fft.rfft(spread))
    return np.fft.rfftfreq(len(spread), spacing), transfer / transfer[0]


def _check_mtf(fn):
    for n, spacing, width in ((121, 0.25, 0.9), (200, 0.1, 0.5)):
        # An edge seen through a Gaussian: ESF and MTF are known in closed form.
        position = (np.arange(n) - n // 2) * spacing
        spread = 40 + 250 * special.ndtr(position / width)
        got = answer(fn, spread.copy(), spacing)
        if not isinstance(got, tuple | list) or len(got) != 2 or np.shape(got[0]) != np.shape(got[1]):
            raise Wrong("return two arrays of one length: frequencies and MTF.")
        frequency, transfer = np.asarray(got[0]), np.asarray(got[1])
        if np.iscomplexobj(transfer):
            raise Wrong("the MTF is complex: take the absolute value; the phase only says where the edge lies.")
        if frequency[0] != 0 or np.any(np.diff(frequency) <= 0):
            raise Wrong("frequencies should begin at 0 and rise: use np.fft.rfft and np.fft.rfftfreq.")
        if not np.isclose(transfer[0], 1):
            raise Wrong(f"the MTF at frequency 0 is {transfer[0]:.3g}; divide by it, so that it is 1.")
        step, expected_step = frequency[1], 1 / (n * spacing)
        if np.isclose(step, expected_step * spacing, rtol=0.05):
            raise Wrong("frequencies are in cycles per sample: give the spacing in mm to rfftfreq.")
        if np.isclose(step, 2 * np.pi * expected_step, rtol=0.05):
            raise Wrong("frequencies are angular, 2π too large: cycles per mm are asked for.")
        known = np.exp(-2 * (np.pi * frequency * width) ** 2)
        if np.abs(transfer - known).max() < 0.02:
            continue
        if np.abs(transfer - known**2).max() < 0.02:
            raise Wrong("this is the MTF squared, a power spectrum: leave the square out.")
        if np.abs(transfer - _mtf_of_the_edge(spread, spacing)[1][: len(transfer)]).max() < 0.05:
            raise Wrong("the edge itself was transformed: differentiate it first (np.diff).")
        raise Wrong("the curve is not the MTF of this edge: differentiate, transform, absolute value, scale.")


def signal_of_coils(mean_square, sigma, coils):
    """Amplitude from the mean of M² of a root of sum of squares of several coils."""
    return np.sqrt(np.maximum(mean_square - 2 * coils * sigma**2, 0))


def _coils_where(mean_square, sigma, coils):
    power = mean_square - sigma**2 * 2 * coils
    return np.where(power > 0, np.abs(power) ** 0.5, 0.0)


def _coils_as_one(mean_square, sigma, coils):
    return np.sqrt(np.maximum(mean_square - 2 * sigma**2, 0))


def _coils_one_channel(mean_square, sigma, coils):
    return np.sqrt(np.maximum(mean_square - coils * sigma**2, 0))


def _coils_no_square(mean_square, sigma, coils):
    return np.sqrt(np.maximum(mean_square - 2 * coils * sigma, 0))


def _coils_no_root(mean_square, sigma, coils):
    return np.maximum(mean_square - 2 * coils * sigma**2, 0)


def _coils_absolute(mean_square, sigma, coils):
    return np.sqrt(np.abs(mean_square - 2 * coils * sigma**2))


_COILS_REASONS = (
    (_coils_as_one, "2σ² is the share of one coil; each of the N coils brings as much."),
    (_coils_one_channel, "each coil has two channels, real and imaginary, and each brings σ²."),
    (_coils_no_square, "σ was subtracted; the mean of M² holds its square."),
    (_coils_no_root, "this is the amplitude squared: take the root."),
    (_coils_absolute, "a negative estimate was folded over by abs; it means 0."),
)


def _check_coils(fn):
    rng = np.random.default_rng(44)
    for shape, sigma, coils in (((7, 9), 3.0, 8), ((5, 4), 0.5, 2)):
        truth = np.linspace(0, 9 * sigma, shape[0] * shape[1]).reshape(shape)
        scatter = rng.normal(0, 2 * sigma**2, shape)
        scatter.flat[0] = -(sigma**2)
        square = truth**2 + 2 * coils * sigma**2 + scatter
        got = np.asarray(answer(fn, square.copy(), sigma, coils))
        expected = signal_of_coils(square, sigma, coils)
        if got.shape != expected.shape:
            raise Wrong(f"the shape is {got.shape}, not {expected.shape}.")
        if np.isnan(got).any():
            raise Wrong("there are NaNs where the estimate of A² is negative: set it to 0 before the root.")
        if np.allclose(got, expected, atol=1e-9):
            continue
        for wrong, why in _COILS_REASONS:
            if np.allclose(got, wrong(square, sigma, coils), atol=1e-9):
                raise Wrong(why)
        raise Wrong("this is not √(mean of M² − 2Nσ²), with 0 where that is negative.")


EXERCISES = [
    Exercise(
        name="04-psnr-inside",
        task="psnr_inside(target, image, mask) → dB; error inside the mask, range of the whole target",
        check=_check_psnr,
        hint="target[mask] picks the voxels inside; the range is target.max(), without the mask.",
        reference=psnr_inside,
        alternatives=(_psnr_by_rmse,),
        mistakes={name: wrong for name, (wrong, _) in _PSNR_MISTAKES.items()},
    ),
    Exercise(
        name="04-true-amplitude",
        task="true_amplitude(magnitudes, sigma) → amplitude (h, w) from n repeated magnitudes (n, h, w)",
        check=_check_amplitude,
        hint="The mean of M² is A² + 2σ². Solve for A; nothing below 0 may reach the root.",
        reference=true_amplitude,
        alternatives=(_amplitude_by_variance,),
        mistakes={name: wrong for name, (wrong, _) in _AMPLITUDE_MISTAKES.items()}
        | {"not clipped": _amplitude_no_clip},
    ),
    Exercise(
        name="04-mtf",
        task="mtf(spread, spacing) → (frequencies in cycles per mm, MTF) of an edge-spread function",
        check=_check_mtf,
        hint="np.diff gives the line spread; np.fft.rfft and np.fft.rfftfreq(len(line_spread), spacing) the rest.",
        reference=mtf,
        alternatives=(_mtf_full_transform,),
        mistakes={
            "edge transformed": _mtf_of_the_edge,
            "not scaled": lambda s, mm: (np.fft.rfftfreq(len(s) - 1, mm), np.abs(np.fft.rfft(np.diff(s)))),
            "complex": lambda s, mm: (mtf(s, mm)[0], np.fft.rfft(np.diff(s)) / np.diff(s).sum()),
            "cycles per sample": lambda s, mm: (mtf(s, mm)[0] * mm, mtf(s, mm)[1]),
            "angular frequency": lambda s, mm: (2 * np.pi * mtf(s, mm)[0], mtf(s, mm)[1]),
            "squared": lambda s, mm: (mtf(s, mm)[0], mtf(s, mm)[1] ** 2),
        },
    ),
    Exercise(
        name="04-coils",
        task="signal_of_coils(mean_square, sigma, coils) → amplitude behind the mean of M² of N coils",
        check=_check_coils,
        hint="The mean of M² is A² + 2Nσ². Solve for A; nothing below 0 may reach the root.",
        reference=signal_of_coils,
        alternatives=(_coils_where,),
        mistakes={
            "one coil": _coils_as_one,
            "one channel": _coils_one_channel,
            "σ not squared": _coils_no_square,
            "no root": _coils_no_root,
            "abs for clipping": _coils_absolute,
        },
    ),
]
