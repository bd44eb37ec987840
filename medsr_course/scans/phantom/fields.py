"""Random fields on the cohort's grid, made in frequency space, float32, zero mean, unit variance."""

import numpy as np
from scipy import fft

from medsr_course.types import Array, Rng


def band(rng: Rng, shape: tuple[int, ...], shortest: float, longest: float) -> Array:
    """Returns a field whose wavelengths lie mostly between two lengths (log-normal band-pass).

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Voxels of 1 mm.
    shortest, longest : float
        mm.

    Notes
    -----
    White noise is drawn on a grid just fine enough for the shortest wavelength, filtered, and
    interpolated by zero-padding its spectrum: much cheaper than a full-size transform each way.
    """
    coarse = tuple(min(n, 2 * int(np.ceil(n * 2.2 / shortest / 2))) for n in shape)
    spectrum = fft.rfftn(rng.standard_normal(coarse, dtype=np.float32))
    radius = _radius(coarse, [n / m for n, m in zip(shape, coarse, strict=True)])
    centre, width = np.sqrt(shortest * longest), 0.5 * np.log(longest / shortest) + 1e-3
    with np.errstate(divide="ignore"):
        spectrum *= np.exp(-0.5 * (np.log(radius * centre) / width) ** 2)
    return unit(fft.irfftn(pad_spectrum(spectrum, coarse, shape), shape))


def power_law(rng: Rng, shape: tuple[int, ...], alpha: float, longest: float) -> Array:
    r"""Returns a texture with power :math:`\propto 1/f^\alpha`, without wavelengths beyond ``longest`` mm."""
    spectrum = fft.rfftn(rng.standard_normal(shape, dtype=np.float32))
    radius = _radius(shape, [1.0] * 3)
    radius[0, 0, 0] = 1
    gain = radius ** np.float32(-alpha / 2)
    gain *= 1 - np.exp(-((radius * longest) ** 2))
    gain[0, 0, 0] = 0
    spectrum *= gain
    return unit(fft.irfftn(spectrum, shape))


def pad_spectrum(spectrum: Array, coarse: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Returns the half-spectrum of ``rfftn`` of the ``coarse`` grid on ``shape``; the coarse Nyquist terms go."""
    out = np.zeros((*shape[:-1], shape[-1] // 2 + 1), spectrum.dtype)
    half = [n // 2 for n in coarse]
    for x in (slice(0, half[0]), slice(-half[0] + 1, None)):
        for y in (slice(0, half[1]), slice(-half[1] + 1, None)):
            out[x, y, : half[2]] = spectrum[x, y, : half[2]]
    return out


def interpolate(array: Array, shape: tuple[int, ...]) -> Array:
    """Returns the band-limited (periodic) interpolation of a smooth coarse field to ``shape``."""
    spectrum = fft.rfftn(array)
    gain = np.float32(np.prod(shape) / array.size)
    return fft.irfftn(pad_spectrum(spectrum, array.shape, shape) * gain, shape)


def slope(field: Array) -> Array:
    """Returns the gradient magnitude per voxel of a 3-D field, central differences."""
    total = np.zeros_like(field)
    for axis in range(field.ndim):
        step = np.gradient(field, axis=axis)
        step *= step
        total += step
    return np.sqrt(total, out=total)


def ramp(x: Array, low: float, high: float) -> Array:
    """Returns 0 below ``low``, 1 above ``high``, straight between (also for ``high < low``)."""
    out = (x - np.float32(low)) * np.float32(1 / (high - low))
    return np.clip(out, 0, 1, out=out) if isinstance(out, np.ndarray) else np.clip(out, 0, 1)


def unit(field: Array) -> Array:
    """Scale to zero mean and unit variance, in place; returns the field."""
    field -= field.mean(dtype=np.float64).astype(field.dtype)
    field /= field.std(dtype=np.float64).astype(field.dtype)
    return field


def _radius(shape, spacing):
    axes = [fft.fftfreq(n, d).astype(np.float32) for n, d in zip(shape[:-1], spacing[:-1], strict=True)]
    axes.append(fft.rfftfreq(shape[-1], spacing[-1]).astype(np.float32))
    x, y, z = np.ix_(*(axis**2 for axis in axes))
    return np.sqrt(x + y + z)
