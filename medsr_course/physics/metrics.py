"""How good is an image? Fidelity against a known truth, by the course's measurement protocol.

All functions take ``(n, h, w)`` stacks (a single ``(h, w)`` image counts as one slice), target first,
in any intensity unit. Subjects, not slices, are the unit of every mean: see :func:`student_interval`.
What cannot be measured (NaN, an empty mask, a range that is not above 0) is refused with a ``ValueError``.
"""

import numpy as np
from scipy import ndimage, special

from medsr_course.physics import checks
from medsr_course.types import Array, ArrayLike, Mask, Stack


def psnr(target: Stack, image: Stack, *, data_range: float | None = None, mask: Mask | None = None) -> float:
    r"""Peak signal-to-noise ratio in dB over the whole stack, :math:`10\log_{10}(R^2/\mathrm{MSE})`.

    R, ``data_range``, is by default the target stack's maximum (as fastMRI does). For CT pass 400 (HU): a maximum is no
    range where values are negative. ``mask`` ``(n, h, w)`` tells where to measure the error, e.g. :func:`head_mask`;
    the range stays the whole target's.

    >>> round(psnr(np.ones((1, 8, 8)), np.full((1, 8, 8), 0.9)), 3)
    20.0
    """
    target, image = _pair(target, image)
    error = (target - image) ** 2
    if mask is not None:
        mask = np.asarray(mask, bool)
        if np.squeeze(mask).shape != np.squeeze(error).shape:
            raise ValueError(f"the mask {mask.shape} and the images {error.shape} differ in shape")
        error = error[mask.reshape(error.shape)]
        if not error.size:
            raise ValueError("the mask is empty: there is nothing to measure")
    mse = error.mean()
    if mse == 0:
        return float("inf")
    return float(10 * np.log10(_range(target, data_range) ** 2 / mse))


def ssim(target: Stack, image: Stack, *, data_range: float | None = None) -> float:
    r"""Mean structural similarity over slices: scikit-image's 7×7 window (Wang et al. 2004), 1 for equal images.

    :math:`\frac{(2\mu_x\mu_y + c_1)(2\sigma_{xy} + c_2)}{(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}` in
    each window, :math:`c_i = (k_i R)^2`, R as in :func:`psnr`. Both sides need 7 pixels at least.

    >>> x = np.random.default_rng(0).random((1, 16, 16))
    >>> round(ssim(x, x), 6), ssim(x, 1 - x) < 0
    (1.0, True)
    """
    from skimage.metrics import structural_similarity

    target, image = _stacks(target, image, 7)
    span = _range(target, data_range)
    return float(np.mean([structural_similarity(t, x, data_range=span) for t, x in zip(target, image, strict=True)]))


def hfen(target: Stack, image: Stack) -> float:
    """High-frequency error norm ‖LoG(x − y)‖ / ‖LoG(y)‖, 15×15, σ = 1.5 px (Ravishankar & Bresler 2011).

    >>> x = np.random.default_rng(0).random((1, 16, 16))
    >>> hfen(x, x), round(hfen(x, np.zeros_like(x)), 6)
    (0.0, 1.0)
    """
    target, image = _stacks(target, image)
    if np.ptp(target, axis=(1, 2)).max() == 0:
        raise ValueError("every slice of the target has one value: without detail there is no HFEN")

    def log(stack):  # slice by slice: σ = 0 along the first axis would add the blurred image itself
        return np.stack([ndimage.gaussian_laplace(image, sigma=1.5, truncate=7 / 1.5) for image in stack])

    return float(np.linalg.norm(log(image - target)) / np.linalg.norm(log(target)))


def low_band_residual(measured: Stack, image: Stack, scale: int) -> float:
    """‖crop(image) − measured‖ / ‖measured‖: how far an image contradicts its own low-resolution input.

    >>> low_band_residual(np.full((1, 2, 2), 2.0), np.full((1, 4, 4), 3.0), 2)
    0.5
    """
    from medsr_course.physics.acquisition import kspace_crop

    checks.finite(image, "the image")
    measured, again = _pair(measured, kspace_crop(image, scale), "what was measured", "the cropped image")
    size = np.linalg.norm(measured)
    if size == 0:
        raise ValueError("what was measured is 0 everywhere: nothing to compare with")
    return float(np.linalg.norm(again - measured) / size)


def head_mask(target: Stack, pixel_size: float = 1.0) -> Mask:
    """Voxels of the head: Otsu threshold over the stack, holes filled slice by slice, dilated by 2 mm.

    ``pixel_size`` is in-plane, mm. True everywhere for a stack of one value, in which nothing tells a head from air.

    >>> head = np.zeros((1, 16, 16)); head[:, 5:11, 5:11] = 9
    >>> int(head_mask(head).sum())  # 6 × 6 pixels, and two more around them
    88
    """
    from skimage.filters import threshold_otsu

    stack = checks.stack(target, "the target")
    target = np.asarray(target)
    if stack.min() == stack.max():
        return np.ones(target.shape, bool)
    stack = stack if target.dtype == bool else target.reshape(stack.shape)
    inside = stack > threshold_otsu(stack)
    reach = int(np.ceil(2 / checks.positive(pixel_size, "pixel_size")))
    yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (yy**2 + xx**2) * pixel_size**2 <= 2**2
    mask = np.stack([ndimage.binary_dilation(ndimage.binary_fill_holes(s), disc) for s in inside])
    return mask.reshape(target.shape)


def student_interval(values: ArrayLike, *, level: float = 0.95) -> tuple[float, float, float]:
    r"""Mean over subjects and its interval by Student's t: mean, low, high; two NaN for a single subject.

    :math:`\bar x \pm t_{n-1}\, s / \sqrt n` (Student 1908). For a paired comparison pass the differences, one per
    subject. (A percentile bootstrap of four subjects covers 79 % where it says 95 %; this covers 95 %.)

    >>> [round(end, 3) for end in student_interval([1.0, 2.0, 3.0, 4.0])]
    [2.5, 0.446, 4.554]
    """
    values = checks.finite(values, "the list of values")
    if values.ndim != 1 or not 0 < level < 1:
        raise ValueError(f"expected one value per subject, and a level between 0 and 1; got {values.shape}, {level!r}")
    mean = float(values.mean())
    if values.size < 2:
        return mean, float("nan"), float("nan")
    half = float(special.stdtrit(values.size - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(values.size))
    return mean, mean - half, mean + half


def _pair(target: ArrayLike, image: ArrayLike, *names: str) -> tuple[Array, Array]:
    """Two float64 arrays of one shape, finite."""
    one, other = names or ("target", "image")
    target, image = checks.finite(target, one), checks.finite(image, other)
    if target.shape != image.shape:
        raise ValueError(f"{one} {target.shape} and {other} {image.shape} differ in shape: crop or resample one")
    return target, image


def _stacks(target: Array, image: Array, least: int = 1) -> tuple[Stack, Stack]:
    """Two stacks of one shape, sides ``least`` at least."""
    target, image = _pair(target, image)
    return checks.stack(target, "target", least), checks.stack(image, "image", least)


def _range(target: Array, data_range: float | None) -> float:
    if data_range is not None:
        return checks.positive(data_range, "data_range")
    if target.max() <= 0 or target.min() < -10 * target.max():
        raise ValueError("the target has no range of its own, nothing or little above 0: pass data_range (CT: 400 HU)")
    return float(target.max())


# ---------------------------------------------------------------- resolution


def frc(first: Stack, second: Stack, *, pixel_size: float = 1.0, taper: float = 0.0) -> tuple[Array, Array]:
    r"""Fourier ring correlation: how well two images agree at each spatial frequency.

    :math:`\mathrm{FRC}(k) = \sum \mathrm{Re}(F_1 F_2^*) / \sqrt{\sum |F_1|^2 \sum |F_2|^2}`, sums over a ring
    of radius k (and over the slices of a stack). Saxton & Baumeister 1982. Against a truth it says which
    frequencies an image got right; between two scans with independent noise, which are above the noise.

    Parameters
    ----------
    first, second : array (n, h, w) or (h, w)
    pixel_size : float
        mm.
    taper : float
        Fraction of each side faded out by a Tukey window: use 0.25 when the object touches the border.

    Returns
    -------
    frequency, correlation : array (k,)
        Cycles per mm, from 0 to Nyquist; −1 … 1, 0 in rings where one image holds no energy.

    >>> x = np.random.default_rng(0).random((8, 8))
    >>> frc(x, x)[1]
    array([1., 1., 1., 1., 1.])
    """
    first, second = _stacks(first, second)
    checks.positive(pixel_size, "pixel_size")
    h, w = first.shape[-2:]
    if taper:
        from scipy.signal.windows import tukey

        window = tukey(h, taper)[:, None] * tukey(w, taper)
        first, second = first * window, second * window
    n = max(h, w)
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w))
    ring = np.rint(radius * n).astype(int).ravel()
    a, b = np.fft.fft2(first), np.fft.fft2(second)

    def ring_sum(power):
        return np.bincount(ring, power.sum(axis=0).ravel())[: n // 2 + 1]

    cross, aa, bb = ring_sum((a * b.conj()).real), ring_sum(np.abs(a) ** 2), ring_sum(np.abs(b) ** 2)
    # A zero-filled band holds rounding errors, whose correlation would be arbitrary.
    empty = (aa <= 1e-20 * aa.sum()) | (bb <= 1e-20 * bb.sum())
    correlation = np.where(empty, 0.0, cross / np.sqrt(np.where(empty, 1.0, aa * bb)))
    return np.arange(n // 2 + 1) / (n * pixel_size), correlation


def crossing(frequency: ArrayLike, curve: ArrayLike, level: float) -> float:
    """First frequency at which a curve falls below ``level`` (linear between samples); NaN if it never does.

    Usual levels: 0.5 for an MTF ("MTF50") or an FRC against the truth, 1/7 for an FRC between two halves
    of the data (Rosenthal & Henderson 2003).

    >>> float(crossing([0, 1, 2], [1.0, 0.8, 0.0], 0.4))
    1.5
    """
    frequency, curve = _pair(frequency, curve, "frequency", "curve")
    below = np.flatnonzero(curve < level)
    if below.size == 0:
        return float("nan")
    i = below[0]
    if i == 0:
        return float(frequency[0])
    part = (curve[i - 1] - level) / (curve[i - 1] - curve[i])
    return float(frequency[i - 1] + part * (frequency[i] - frequency[i - 1]))


def edge_spread(image: Array, *, oversample: int = 4) -> tuple[Array, Array]:
    r"""Edge-spread function of an image of one straight, slightly slanted edge (ISO 12233).

    Each row crosses a slanted edge at another sub-pixel position; sorted by their distance from the edge,
    the pixels of all rows together sample it ``oversample`` times finer than the grid does:
    :math:`\mathrm{ESF}(d) = \overline{x(r)}` over the pixels at distance d.

    Parameters
    ----------
    image : array (h, w)
        Two flat regions and the edge between them, 3° to 12° from an image axis (then the MTF of 48 rows
        is right to 0.03 up to Nyquist). ``ValueError`` if no edge crosses all rows (or columns).
    oversample : int
        Bins per pixel.

    Returns
    -------
    position, spread : array (m,)
        Distance from the edge in pixels, the brighter side positive; mean intensity at that distance.

    >>> y, x = np.mgrid[:32, :32]
    >>> position, spread = edge_spread(np.clip(x - 16 - y / 10, -0.5, 0.5))
    >>> float(spread[0].round(2)), float(spread[-1].round(2))
    (-0.5, 0.5)
    """
    image = checks.stack(image, "the image", 6)
    if len(image) != 1:
        raise ValueError(f"expected one image (h, w), got {len(image)} slices")
    image = image[0]
    vertical, horizontal = (np.abs(np.diff(image.mean(axis=1 - axis))).sum() for axis in (0, 1))
    if vertical > horizontal:
        image = image.T
    if image[:, 0].mean() > image[:, -1].mean():
        image = image[:, ::-1]
    h, w = image.shape
    slope = np.diff(image, axis=1)
    rows, middle = np.arange(h), np.arange(w - 1) + 0.5
    centre = np.full(h, w / 2)
    for reach in (w, w / 4):  # second pass: only near the edge, where noise does not pull
        near = np.where(np.abs(middle - centre[:, None]) <= reach, slope, 0)
        total = near.sum(axis=1)
        if np.any(total <= 0):
            raise ValueError("no edge crosses every row: cut out a region with one straight edge")
        line = np.polyfit(rows, near @ middle / total, 1)
        centre = np.polyval(line, rows)
    if centre.min() < 2 or centre.max() > w - 3:
        raise ValueError("the edge leaves the image: cut out a wider region or a less slanted edge")
    # As many rows as take the edge across whole pixels, so that every sub-pixel phase counts alike.
    whole = int(h * abs(line[0]))
    h = round(whole / abs(line[0])) if whole else h
    image, centre = image[:h], centre[:h]
    distance = (np.arange(w) - centre[:, None]) / np.hypot(1, line[0])
    # Only distances that every row reaches: further out few rows would fill a bin.
    reach = int(min(-distance[:, 0].max(), distance[:, -1].min()) * oversample)
    index = np.rint(distance * oversample).astype(int) + reach
    inside = (index >= 0) & (index <= 2 * reach)
    count = np.bincount(index[inside], minlength=2 * reach + 1)
    total = np.bincount(index[inside], image[inside], minlength=2 * reach + 1)
    position = (np.arange(2 * reach + 1) - reach) / oversample
    filled = count > 0
    return position, np.interp(position, position[filled], total[filled] / count[filled])


def edge_mtf(position: ArrayLike, spread: ArrayLike, *, pixel_size: float = 1.0) -> tuple[Array, Array]:
    r"""Modulation transfer function from an edge-spread function: its derivative, Fourier-transformed.

    :math:`\mathrm{MTF}(f) = |\mathcal F(\mathrm{ESF}')(f)| / |\mathcal F(\mathrm{ESF}')(0)|`.
    ``position`` and ``spread`` are those of :func:`edge_spread`; ``pixel_size`` is in mm.

    Returns
    -------
    frequency, mtf : array (k,)
        Cycles per mm, from 0 to 1 / pixel_size (twice Nyquist); 1 at frequency 0. The smoothing by bins and finite
        differences is divided out.

    >>> position = np.arange(-32, 33) / 4
    >>> float(edge_mtf(position, 1.0 * (position > 0))[1].min().round(3))  # a perfectly sharp edge
    1.0
    """
    position, spread = _pair(position, spread, "position", "spread")
    pixel_size = checks.positive(pixel_size, "pixel_size")
    if spread.ndim != 1 or spread.size < 3 or spread[0] == spread[-1]:
        raise ValueError("spread must rise or fall over three samples at least: there is no edge")
    step = position[1] - position[0]
    line = np.diff(spread)
    middle = position[:-1] + step / 2
    line = line * np.cos(np.pi * middle / (2 * np.abs(middle).max() + step)) ** 2  # Hann, about the edge
    frequency = np.fft.rfftfreq(line.size, step)
    transfer = np.abs(np.fft.rfft(line))
    transfer = transfer / transfer[0] / np.sinc(frequency * step) ** 2
    keep = frequency <= 1
    return frequency[keep] / pixel_size, transfer[keep]


# ---------------------------------------------------------------- contrast


def cnr(image: Array, region: Mask, background: Mask, *, noise: float | None = None) -> float:
    r"""Contrast-to-noise ratio :math:`|\bar x_A - \bar x_B| / \sigma` of two regions of an image of any shape and unit.

    σ, ``noise``, may be measured elsewhere (say from the difference of two scans). By default it is the pooled standard
    deviation within the two regions, which also counts real variation of the tissue as noise.

    >>> x = np.array([1.0, 3.0, 6.0, 8.0])
    >>> cnr(x, x > 4, x < 4)
    5.0
    """
    image = checks.finite(image, "the image")
    region, background = np.asarray(region, bool), np.asarray(background, bool)
    if not image.shape == region.shape == background.shape:
        raise ValueError(f"image {image.shape}, region {region.shape}, background {background.shape} differ in shape")
    a, b = image[region], image[background]
    if not a.size or not b.size:
        raise ValueError("a region is empty: there is nothing to measure")
    if noise is None:
        noise = np.sqrt((a.var() + b.var()) / 2)
    contrast = abs(a.mean() - b.mean())
    return float(contrast / noise) if noise > 0 else float("inf") if contrast else 0.0


# ---------------------------------------------------------------- spectrum


def spectrum(image: Stack) -> tuple[Array, Array]:
    r"""Amplitude of a stack at each spatial frequency, on square rings: k-space is cropped in squares, too.

    Returns
    -------
    frequency, amplitude : array (k,)
        Larger of the two frequencies, cycles per pixel, 0 to 0.5; root mean square of the Fourier coefficients of that
        ring (unitary transform), over all slices: :math:`\sqrt{\overline{|\hat x_k|^2}}`.

    >>> spectrum(np.ones((4, 4)))[1]
    array([4., 0., 0.])
    """
    image = checks.stack(image, "the image", 2)
    h, w = image.shape[-2:]
    power = (np.abs(np.fft.fft2(image, norm="ortho")) ** 2).mean(axis=0)
    radius = np.maximum(np.abs(np.fft.fftfreq(h))[:, None], np.abs(np.fft.fftfreq(w)))
    n = min(h, w) // 2
    ring = np.minimum(np.rint(radius * 2 * n).astype(int), n).ravel()
    return np.arange(n + 1) / (2 * n), np.sqrt(np.bincount(ring, power.ravel()) / np.bincount(ring))


def noise_power_spectrum(realisations: Stack, *, pixel_size: float = 1.0) -> tuple[Array, Array]:
    r"""How the noise of an image is spread over spatial frequencies, from repeated images of one object.

    :math:`\mathrm{NPS}(f) = \frac{a^2}{hw} \frac{1}{n-1} \sum_i |\mathcal F(x_i - \bar x)|^2`, mean over the ring of
    frequency f (Siewerdsen et al. 2002; the mean over realisations takes the object away, which costs one degree of
    freedom). White noise of variance σ² has the same value everywhere, σ²·a². What a denoiser leaves is coloured: most
    of it is coarse-grained and looks like blotches. Where noise differs from place to place, this is an average.

    Parameters
    ----------
    realisations : array (n, h, w)
        The same region, n ≥ 2 times, each with noise of its own; 64 of them give a ring of 100 coefficients to 2 %.
    pixel_size : float
        a, mm.

    Returns
    -------
    frequency, power : array (k,)
        Cycles per mm, above 0 and up to Nyquist (the noise of the mean, at frequency 0, is one coefficient); in squared
        units of the images times mm².

    >>> noise = np.random.default_rng(0).normal(0, 3, (64, 32, 32))
    >>> frequency, power = noise_power_spectrum(noise, pixel_size=0.5)
    >>> bool(np.allclose(power, 9 * 0.25, rtol=0.15)), float(frequency[-1])
    (True, 1.0)
    """
    x, pixel_size = checks.stack(realisations, "the stack", 2), checks.positive(pixel_size, "pixel_size")
    if len(x) < 2:
        raise ValueError(f"expected at least two realisations (n, h, w), got shape {np.shape(realisations)}")
    n, h, w = x.shape
    power = (np.abs(np.fft.fft2(x - x.mean(axis=0))) ** 2).sum(axis=0) / (n - 1) * pixel_size**2 / (h * w)
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w))
    size = min(h, w)
    ring = np.rint(radius * size).astype(int).ravel()
    rings = np.arange(1, size // 2 + 1)
    return rings / (size * pixel_size), (np.bincount(ring, power.ravel()) / np.bincount(ring))[rings]


def spectrum_error(target: Stack, image: Stack, scale: float) -> float:
    """How wrong the amplitudes beyond the measured band are: Σ|A − A_target| / Σ A_target over its rings.

    The band ends at 0.5 / scale cycles per pixel. 1 for an image with nothing beyond, as zero-filling makes it; 0 where
    every frequency is as strong as it should be, wherever in the image.

    >>> x = np.random.default_rng(0).random((1, 16, 16))
    >>> spectrum_error(x, np.zeros_like(x), 2)
    1.0
    """
    target, image = _stacks(target, image, 2)
    frequency, wanted = spectrum(target)
    found = spectrum(image)[1]
    beyond = frequency > 0.5 / scale * 1.02  # the edge itself is shared by both sides
    total = wanted[beyond].sum()
    if total <= 1e-12 * wanted.sum():
        raise ValueError(f"the target holds nothing beyond the band measured at scale {scale!r}: no error to tell")
    return float(np.abs(found - wanted)[beyond].sum() / total)
