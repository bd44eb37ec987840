"""Noise of images: how it is added, how it is distributed, how its bias is taken off and its strength measured.

"p %" of noise is complex Gaussian, with a standard deviation of p % of a slice's 99.5th percentile in each of the two
channels (:func:`noise_sigma`). The magnitude of such an image has the Rician distribution. σ = 0, as in a slice that
holds nothing, is no noise.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from medsr_course.physics import bands, checks, grid, noise_head
from medsr_course.types import Array, ArrayLike, Mask, Rng, Stack


def noise_sigma(stack: Stack, percent: float) -> Array:
    r"""Standard deviation that "p % noise" stands for, :math:`\sigma = \frac{p}{100}\, Q_{99.5}(|x|)` of each slice.

    Returns an array ``(..., 1, 1)`` that broadcasts against ``stack``.

    >>> noise_sigma(np.full((2, 8, 8), 50.0), 4).ravel()
    array([2., 2.])
    """
    level = np.percentile(np.abs(stack), 99.5, axis=(-2, -1), keepdims=True)
    return level * (percent / 100)


def add_complex_noise(stack: Stack, percent: float, rng: Rng) -> Stack:
    r"""Complex Gaussian noise of "p %" in each of the two channels: :math:`y = x + \sigma (n_1 + i n_2)`.

    σ is :func:`noise_sigma`. Take the magnitude of the result for a magnitude (Rician) image.

    >>> noisy = add_complex_noise(np.full((1, 64, 64), 100.0), 5, np.random.default_rng(0))
    >>> bool(abs(noisy.imag.std() - 5) < 0.2)
    True
    """
    sigma = noise_sigma(stack, percent)
    shape = np.shape(stack)
    return stack + sigma * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


def add_poisson_noise(stack: Stack, counts: float, rng: Rng) -> Stack:
    r"""Poisson noise of a counting detector (X-ray photons, PET or SPECT events): :math:`y = \mathrm{Pois}(c\,x)/c`.

    ``counts`` are those expected where a slice ``(..., h, w)`` reaches its 99.5th percentile: the dose. The result is
    in the unit of ``stack``: the counts, divided by c, the counts per unit. Negative values (an image after a filter,
    say) are a ``ValueError``: nothing emits −3 photons.

    >>> noisy = add_poisson_noise(np.full((1, 64, 64), 7.0), 100, np.random.default_rng(0))
    >>> bool(abs(noisy.std() - 0.7) < 0.03)  # 10 % of 100 counts
    True
    """
    stack = checks.finite(stack, "the stack")
    if stack.min() < 0:
        raise ValueError("counts cannot be negative: pass an image without negative values")
    level = np.percentile(stack, 99.5, axis=(-2, -1), keepdims=True)
    per_unit = counts / np.where(level > 0, level, 1)
    return rng.poisson(stack * per_unit) / per_unit


def rician_pdf(magnitude: ArrayLike, amplitude: ArrayLike, sigma: float) -> Array:
    r"""Density of a magnitude M when amplitude A is measured with σ > 0 in each complex channel, all in one unit.

    :math:`p(M) = \frac{M}{\sigma^2}\, e^{-(M^2 + A^2)/2\sigma^2}\, I_0(MA/\sigma^2)` (Rice 1944;
    Gudbjartsson & Patz 1995, eq. 1); with A = 0 the Rayleigh density.

    >>> round(float(rician_pdf(1.0, 0.0, 1.0)), 4)
    0.6065
    """
    sigma = checks.positive(sigma, "sigma")
    m, a = np.asarray(magnitude, float), np.asarray(amplitude, float)
    density = m / sigma**2 * np.exp(-((m - a) ** 2) / (2 * sigma**2)) * special.i0e(m * a / sigma**2)
    return np.where(m >= 0, density, 0)


def rician_mean(amplitude: ArrayLike, sigma: ArrayLike) -> Array:
    r"""Mean of a Rician magnitude: :math:`\sigma\sqrt{\pi/2}` where there is no signal, A where A ≫ σ.

    :math:`\sigma\sqrt{\pi/2}\,[(1 + x) I_0(x/2) + x I_1(x/2)]\, e^{-x/2}` with :math:`x = A^2/2\sigma^2`
    (Gudbjartsson & Patz 1995, the Laguerre polynomial written with Bessel functions).

    >>> round(float(rician_mean(0.0, 2.0)), 4)  # 2 √(π/2)
    2.5066
    """
    amplitude, sigma = np.asarray(amplitude, float), np.asarray(sigma)
    x = amplitude**2 / (2 * np.where(sigma > 0, sigma, 1) ** 2)
    mean = sigma * np.sqrt(np.pi / 2) * ((1 + x) * special.i0e(x / 2) + x * special.i1e(x / 2))
    return np.where(sigma > 0, mean, np.abs(amplitude))


def rician_std(amplitude: ArrayLike, sigma: ArrayLike) -> Array:
    r"""Standard deviation of a Rician magnitude: :math:`\sigma\sqrt{2 - \pi/2}` for A = 0, σ for A ≫ σ.

    :math:`\sqrt{2\sigma^2 + A^2 - \mu^2}`, μ the :func:`rician_mean`.
    """
    amplitude = np.asarray(amplitude, float)
    return np.sqrt(np.maximum(2 * np.square(sigma) + amplitude**2 - rician_mean(amplitude, sigma) ** 2, 0))


def unbiased(mean: ArrayLike, sigma: ArrayLike) -> Array:
    """The signal behind a mean magnitude: :func:`rician_mean` turned round (Koay & Basser 2006).

    A filter that averages magnitudes comes close to their mean, not to the signal: in air σ√(π/2) instead of 0, in
    tissue A + σ²/2A instead of A. ``mean`` ``(n, h, w)`` are filtered magnitudes, ``sigma`` (a number, or ``(n, 1,
    1)``) is that of the noise in each channel. Where the mean is below that of noise alone the signal is 0; where σ is
    0, the mean.

    >>> float(unbiased(np.sqrt(np.pi / 2), 1.0).round(6)), float(unbiased(10.05, 1.0).round(2))
    (0.0, 10.0)
    """
    mean, sigma = np.asarray(mean), np.asarray(sigma)
    signal = np.linspace(0, 12, 4001) ** 2 / 12  # dense where the mean hardly depends on the signal
    ratio = mean / np.where(sigma > 0, sigma, 1)
    close = np.interp(ratio, rician_mean(signal, 1.0), signal)
    # Beyond the table: the mean is A + 1/(2A) to a part in ten thousand.
    far = (ratio + np.sqrt(np.maximum(ratio**2 - 2, 0))) / 2
    found = np.where(ratio > rician_mean(signal[-1], 1.0), far, close) * sigma
    return np.where(sigma > 0, found, mean).astype(np.result_type(mean, np.float32))


def from_squares(mean_square: ArrayLike, sigma: ArrayLike) -> Array:
    r"""The signal behind a mean *squared* magnitude: :math:`\sqrt{\max(\overline{M^2} - 2\sigma^2, 0)}`.

    The bias of squared magnitudes is 2σ² whatever the signal, which is why networks and filters can work on them
    (Gudbjartsson & Patz 1995, eq. 8; Nowak 1999).

    >>> float(from_squares(102.0, 1.0))
    10.0
    """
    return np.sqrt(np.maximum(np.asarray(mean_square) - 2 * np.square(sigma), 0))


def background_noise(stack: Stack) -> float:
    r"""Standard deviation of the noise in each complex channel, measured where a magnitude image has no signal.

    There the magnitude of complex Gaussian noise has the Rayleigh distribution, of median :math:`\sigma\sqrt{2 \ln 2}`
    (Gudbjartsson & Patz 1995). Background: where the smoothed image is below a quarter of the 99.5th percentile, and
    at least 3 pixels from anything brighter. Slices that hold nothing but 0, as at the ends of a volume, do not count.

    Returns it in the unit of the magnitudes ``(n, h, w)``. 0 where less than 0.5 % of the pixels are background, where
    the background was set to zero, and where it is not Rayleigh's: its quartiles lie 0.77 medians apart, those of an
    image that was averaged or made coarser after its magnitude was taken much less. Such noise is part of the picture.

    >>> rng = np.random.default_rng(0)
    >>> head = np.zeros((1, 64, 64)); head[:, 20:44, 20:44] = 100
    >>> noisy = np.abs(head + 3 * (rng.standard_normal(head.shape) + 1j * rng.standard_normal(head.shape)))
    >>> bool(abs(background_noise(noisy) - 3) < 0.2)
    True
    """
    stack = np.abs(checks.stack(stack, "the stack").astype(np.float32))
    stack = stack[stack.any(axis=(1, 2))]
    if not len(stack):
        return 0.0
    level = np.percentile(stack[stack > 0], 99.5)
    # Smoothed, so that a single bright pixel of noise does not count as signal.
    signal = ndimage.gaussian_filter(stack, (0, 1.5, 1.5)) > 0.25 * level
    near = ndimage.binary_dilation(signal, np.ones((1, 3, 3), bool), iterations=3)
    background = stack[~near]
    if background.size < 0.005 * stack.size:
        return 0.0
    low, middle, high = np.percentile(background, [25, 50, 75])
    if high - low < 0.55 * middle:
        return 0.0
    return float(middle / np.sqrt(2 * np.log(2)))


# ------------------------------------------------------------------------------ several coils


def chi_mean(amplitude: ArrayLike, sigma: ArrayLike, coils: float) -> Array:
    r"""Mean of a non-central χ magnitude, the root of the sum of squares of N coils.

    :math:`\sigma\sqrt2\,\frac{\Gamma(N + 1/2)}{\Gamma(N)}\,{}_1F_1(-\tfrac12; N; -\tfrac{A^2}{2\sigma^2})`
    (Constantinides et al. 1997); with N = 1 the :func:`rician_mean`.

    Parameters
    ----------
    amplitude : array
        A, the root of the sum of squares without noise.
    sigma : array
        In each channel of each coil, above 0.
    coils : float
        N, at least 1.

    >>> round(float(chi_mean(0.0, 1.0, 8)), 4), round(float(chi_mean(0.0, 2.0, 1)), 4)
    (3.938, 2.5066)
    """
    amplitude, sigma = np.asarray(amplitude, float), np.asarray(sigma, float)
    air = np.sqrt(2) * np.exp(special.gammaln(coils + 0.5) - special.gammaln(coils))
    x = np.minimum(amplitude**2 / (2 * sigma**2), 600.0)
    mean = sigma * air * special.hyp1f1(-0.5, coils, -x)
    bright = amplitude + (2 * coils - 1) * sigma**2 / (2 * np.maximum(amplitude, sigma))
    return np.where(amplitude**2 / (2 * sigma**2) > 600, bright, mean)


def chi_std(amplitude: ArrayLike, sigma: ArrayLike, coils: float) -> Array:
    r"""Standard deviation of a non-central χ magnitude: :math:`\sqrt{A^2 + 2N\sigma^2 - \mu^2}`, μ = :func:`chi_mean`.

    >>> round(float(chi_std(0.0, 1.0, 1)), 4), round(float(chi_std(0.0, 1.0, 8)), 3)
    (0.6551, 0.701)
    """
    square = np.square(amplitude) + 2 * coils * np.square(sigma)
    return np.sqrt(np.maximum(square - chi_mean(amplitude, sigma, coils) ** 2, 0))


def without_floor(magnitude: ArrayLike, sigma: ArrayLike, coils: float = 1) -> Array:
    r"""The signal behind a root-mean-square magnitude: :math:`\sqrt{\max(M^2 - 2N\sigma^2, 0)}`, as E M² = A² + 2Nσ².

    >>> without_floor(np.array([1.0, 5.0]), 1.0, 8).tolist()
    [0.0, 3.0]
    """
    return np.sqrt(np.maximum(np.square(magnitude) - 2 * coils * np.square(sigma), 0))


def as_one_coil(magnitude: ArrayLike, sigma: ArrayLike, coils: float) -> Array:
    r"""A magnitude of N coils with the bias that one coil would have: :math:`\sqrt{\max(M^2 - 2(N - 1)\sigma^2, 0)}`.

    Its mean square is A² + 2σ², that of a Rician magnitude, so that what was made for one coil serves for several.

    >>> as_one_coil(np.array([1.0, 5.0]), 1.0, 9).tolist()
    [0.0, 3.0]
    """
    return without_floor(magnitude, sigma, coils - 1)


# ------------------------------------------------------------------------------ told from the image itself


@dataclass(frozen=True)
class NoiseEstimate:
    """What an image says of its own noise.

    Attributes
    ----------
    kind : {"rician", "chi", "interpolated", "none", "unknown"}
        "interpolated" goes before the number of coils: the outer band of k-space is empty, so that neighbours' noise is
        correlated. "none": below :data:`NONE` % of the image's scale, or an image of one value. "unknown": it cannot be
        told, for instance where the background was set to zero; ``sigma`` may be known none the less.
    sigma : float or None
        In each channel of each coil, unit of the image; on the native grid as on that of the file. None where it
        cannot be told.
    coils : float or None
        The effective N of a χ distribution with 2N channels; None where no background tells it.
    native : (float, float)
        Part of the band that is filled along rows' and columns' axes, (h, w); 1 for a native grid.
    between : (float, float) or None
        Where σ lies at least, told from the head alone; both are ``sigma`` where the air tells it. None where nothing
        is known, say of signed data.
    """

    kind: str
    sigma: float | None
    coils: float | None
    native: tuple[float, float]
    between: tuple[float, float] | None = None


NONE = 0.25  # % of the intensity scale: σ of the air below it is no noise
_SLICES = 12  # of a scan are looked at, evenly spread
_WINDOW, _LOWEST, _SLACK = 7, 20, 8.0  # chosen on development scans with noise of all kinds: σ within 3 % as a rule
_SURE = 0.6  # of the most that σ may be, is the least: then the head tells it


def estimate(stack: Stack) -> NoiseEstimate:
    r"""Kind and strength of the noise in magnitudes, from the air around the head or from the head itself.

    * **Band.** Where zero-filling made the grid finer, the power inside the head falls by a step at the end of the
      native band, see :mod:`.bands`.
    * **Air.** :math:`E[M]^2/E[M^2] = \Gamma(N + \tfrac12)^2 / (N\,\Gamma(N)^2)` there tells the number of coils N, π/4
      for one, and :math:`\sigma^2 = E[M^2]/2N`, where the air is quietest: ghosts and dim tissue are left out. The
      quartiles must tell the same N; otherwise the air holds more than noise, and says nothing.
    * **Head.** The finest wavelet details on the native grid, in the quietest part of the head, see
      :func:`noise_head.bounds`. Used where the air says nothing; where much of these details may be texture, σ is None
      and ``between`` says how much noise there may be.

    Air that was averaged after its magnitude was taken, as in a magnitude made coarser, looks like that of several
    coils.

    Parameters
    ----------
    stack : array (n, h, w)
        Magnitudes of one scan, 32 × 32 pixels at least.

    Returns
    -------
    NoiseEstimate
        Signed data, an image without a head, or slices too small are "unknown".

    >>> rng = np.random.default_rng(0)
    >>> head = np.zeros((4, 96, 96)); head[:, 24:72, 24:72] = 100
    >>> noisy = np.abs(head + 3 * (rng.standard_normal(head.shape) + 1j * rng.standard_normal(head.shape)))
    >>> found = estimate(noisy)
    >>> found.kind, bool(abs(found.sigma - 3) < 0.1), found.native
    ('rician', True, (1.0, 1.0))
    """
    stack = checks.stack(stack, "the stack")
    stack = stack[np.ptp(stack, axis=(1, 2)) > 0]
    nothing = NoiseEstimate("unknown", None, None, (1.0, 1.0))
    if not len(stack):
        return NoiseEstimate("none", 0.0, None, (1.0, 1.0), (0.0, 0.0))
    stack = stack[np.linspace(0, len(stack) - 1, min(len(stack), _SLICES)).round().astype(int)]
    offset, level = grid.intensity(stack)
    if offset or level <= 0 or min(stack.shape[1:]) < 32:
        return nothing
    inside = bands.inside(stack, level)
    native = bands.filled(stack, inside), bands.filled(stack.swapaxes(1, 2), inside.swapaxes(1, 2))
    coils, sigma = _from_air(stack, level)
    between = None if sigma is None else (sigma, sigma)
    if sigma is None and (found := _from_head(stack, inside, level, native)):
        least, likely, most = found
        between, sigma = (least, most), likely if least > _SURE * most else None
    kind = "interpolated" if min(native) < 1 else "unknown" if coils is None else "rician" if coils < 1.5 else "chi"
    if coils is not None and sigma is not None and sigma < NONE / 100 * level:
        kind = "none"
    return NoiseEstimate(kind, sigma, coils, native, between)


def _from_air(stack: Stack, level: float) -> tuple[float | None, float | None]:
    """Coils N and σ from the air of each slice, median over slices; None, None where it says nothing."""
    signal = ndimage.gaussian_filter(stack, (0, 1.5, 1.5)) > 0.25 * level
    near = ndimage.binary_dilation(signal, np.ones((1, 3, 3), bool), iterations=6)
    counts, sigmas, shapes = [], [], []
    enough = max(200, 0.005 * stack[0].size)

    def empty(values: Array) -> bool:
        return values.size < enough or (values == 0).mean() > 0.3

    for one, air in zip(stack, ~near, strict=True):
        if empty(one[air]) or empty(values := one[_quiet(one, air)]):
            continue
        n = _coils_of(values)
        low, middle, high = np.percentile(values, [25, 50, 75])
        counts.append(n)
        sigmas.append(np.sqrt(np.mean(values**2) / (2 * n)))
        shapes.append((high - low) / middle)
    if len(counts) < max(1, len(stack) // 3):
        return None, None
    n = float(np.median(counts))
    low, middle, high = np.sqrt(special.gammaincinv(n, [0.25, 0.5, 0.75]))
    if n < 0.75 or not 0.8 < np.median(shapes) * middle / (high - low) < 1.25:
        return None, None
    return n, float(np.median(sigmas))


def _quiet(one: Array, air: Mask) -> Mask:
    """The part of the air that holds noise alone: ghosts, fat and a neck are dim there, too, but brighter than noise.

    Local mean squares of noise scatter around one value (Aja-Fernández et al. 2009); windows far above their
    :data:`_LOWEST`-th percentile, by :data:`_SLACK` standard deviations of noise of N coils, hold something else.
    """
    power = ndimage.uniform_filter(one**2, _WINDOW)
    inner = ndimage.binary_erosion(air, np.ones((3, 3), bool), iterations=_WINDOW // 2, border_value=1)
    inner &= power > 0
    quiet, n = air, 1.0
    if inner.sum() < 200:
        return quiet
    lowest = np.percentile(power[inner], _LOWEST)
    for _ in range(3):  # N tells how much windows scatter, and they tell N
        quiet = inner & (power <= lowest * (1 + _SLACK / (_WINDOW * np.sqrt(n))))
        n = max(_coils_of(one[quiet]), 1.0)
    return quiet


_COUNTS = np.geomspace(0.25, 128, 2000)  # N, and E[M]²/E[M²] of each, which rises
_RATIOS = np.exp(2 * (special.gammaln(_COUNTS + 0.5) - special.gammaln(_COUNTS))) / _COUNTS


def _coils_of(values: Array) -> float:
    """N of the χ distribution with 2N channels that has E[M]²/E[M²] of these magnitudes."""
    return float(np.interp(values.mean() ** 2 / np.mean(values**2), _RATIOS, _COUNTS))


def _from_head(
    stack: Stack, inside: Mask, level: float, native: tuple[float, float]
) -> tuple[float, float, float] | None:
    """σ inside the head, on the native grid: at least, most likely, at most."""
    if min(native) < 1:
        for axis, part in zip((-2, -1), native, strict=True):
            stack = grid.crop_axis(stack, max(round(stack.shape[axis] * part), 8), axis)
        inside = bands.inside(stack, level)
    return noise_head.bounds(stack, inside)
