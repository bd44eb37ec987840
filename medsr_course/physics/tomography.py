r"""Images from projections: X-ray CT and nuclear imaging, in float64, with exact adjoints.

An image is a square ``(size, size)`` array; a **sinogram** is ``(views, bins)``, one row per angle,
with ``bins = size`` detector elements as wide as a pixel. Both are centred: the axis of rotation passes
through the middle of the image, coordinate (size − 1)/2. A view at angle θ sums along the direction in
which :math:`t = x\cos\theta - y\sin\theta` is constant (x = column, y = row): θ = 0 sums over rows. Odd sizes
share all of this with ``skimage.transform.radon``, whose sinograms are transposed.

Sources: Kak & Slaney, *Principles of Computerized Tomographic Imaging* (1988), chapter 3; Shepp & Vardi,
*IEEE Trans. Med. Imaging* 1 (1982) 113 for MLEM.
"""

from collections.abc import Callable

import numpy as np
from scipy import fft, sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from medsr_course.types import Array, ArrayLike, Rng

# ---------------------------------------------------------------------------------- projection


def projector(size: int, angles: ArrayLike, *, spacing: float = 1.0) -> sparse.csr_array:
    r"""Line integrals :math:`\int \mu\, ds` as a sparse matrix A: ``sinogram.ravel() = A @ image.ravel()``.

    Every pixel is a small square of constant value; its shadow on the detector, a trapezoid, is shared
    out exactly among the bins it falls on (the *strip* model). So each view of an object inside the
    inscribed circle keeps the total, and ``A.T`` is the exact adjoint, to rounding.

    Parameters
    ----------
    size : int
        Pixels along a side of the image, and bins along the detector.
    angles : array (views,)
        Degrees.
    spacing : float
        Side of a pixel. With the image in 1/mm and ``spacing`` in mm, line integrals have no unit.

    Returns
    -------
    scipy.sparse.csr_array, float64, (views · size, size²)

    >>> A = projector(5, [0.0, 90.0])
    >>> image = np.zeros((5, 5)); image[3, 1] = 2.0
    >>> np.round(A @ image.ravel()).reshape(2, 5)
    array([[0., 2., 0., 0., 0.],
           [0., 2., 0., 0., 0.]])
    """
    angles = np.atleast_1d(np.asarray(angles, np.float64))
    centre = (size - 1) / 2
    y, x = np.mgrid[:size, :size].reshape(2, -1) - centre
    rows, columns, weights = [], [], []
    pixel = np.arange(size * size)
    for view, angle in enumerate(np.deg2rad(angles)):
        t = x * np.cos(angle) - y * np.sin(angle) + centre  # shadow of the pixel's middle, in bins
        first = np.floor(t).astype(int) - 1  # a shadow is at most √2 wide: it meets these four bins
        edges = _shadow(first - 0.5 - t, angle)
        for step in range(4):
            bin_ = first + step
            edges, left = _shadow(bin_ + 0.5 - t, angle), edges
            weight = edges - left
            keep = (weight > 1e-12) & (bin_ >= 0) & (bin_ < size)
            rows.append(view * size + bin_[keep])
            columns.append(pixel[keep])
            weights.append(weight[keep] * spacing)
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array(entries, shape=(angles.size * size, size * size))


def _shadow(u: Array, angle: float) -> Array:
    """Share of a unit pixel's shadow below ``u``: the integral of two boxes convolved (a trapezoid)."""
    a, b = np.maximum(np.abs([np.cos(angle), np.sin(angle)]), 1e-5)  # 1e-5: no division by zero at 0°

    def ramp(v):
        return np.maximum(v, 0) ** 2 / 2

    return (ramp(u + (a + b) / 2) - ramp(u + (a - b) / 2) - ramp(u - (a - b) / 2) + ramp(u - (a + b) / 2)) / (a * b)


def adjoint_gap(forward: Callable[[Array], Array], adjoint: Callable[[Array], Array], n: int, rng: Rng) -> float:
    r"""The dot-product test: how far ``adjoint`` is from that of the real ``forward``, ``(n,)`` to ``(m,)``.

    For random x and y it compares :math:`\langle Ax, y\rangle` with :math:`\langle x, A^T y\rangle`, which are equal
    for every pair exactly when the two belong together. Half of y is Ax itself, so that the two numbers are large and
    the test is sharp. Returns their relative difference: rounding, 1e-12 or less, for a matched pair.

    >>> rng, A = np.random.default_rng(0), np.array([[1.0, 2.0], [0.0, 3.0]])
    >>> adjoint_gap(lambda x: A @ x, lambda y: A.T @ y, 2, rng) < 1e-12
    True
    """
    x = rng.standard_normal(n)
    projected = forward(x)
    y = projected + rng.standard_normal(projected.shape) * np.std(projected)
    left, right = np.vdot(projected, y).real, np.vdot(x, adjoint(y)).real
    return float(abs(left - right) / abs(left))


# ------------------------------------------------------------------------------------- X-rays


def photon_counts(line_integrals: ArrayLike, photons: float, rng: Rng | None = None) -> Array:
    """Photons that arrive behind an object: Beer–Lambert, :math:`I = I_0 e^{-p}`, with Poisson noise.

    p are :func:`line_integrals`, without unit; I₀ is ``photons``, per ray, that would arrive without the object.
    Without ``rng`` the mean is returned, noise-free.

    >>> float(photon_counts(np.log(2), 1000).round(6))
    500.0
    """
    mean = photons * np.exp(-np.asarray(line_integrals, np.float64))
    return mean if rng is None else rng.poisson(mean).astype(np.float64)


def line_integrals(counts: ArrayLike, photons: float) -> Array:
    r"""Inverse of :func:`photon_counts`: :math:`p = -\ln(I/I_0)`; a ray with no photon counts as half of one."""
    return -np.log(np.maximum(counts, 0.5) / photons)


def fbp(sinogram: ArrayLike, angles: ArrayLike, *, spacing: float = 1.0, window: str = "ramp") -> Array:
    r"""Filtered back-projection (Kak & Slaney, section 3.3): :math:`\int_0^\pi (p_\theta * h)(t)\, d\theta`.

    Each view is convolved with the band-limited ramp (their eq. 61) and smeared back along its rays with
    linear interpolation; the sum over views times π/views approximates the integral over angle.

    Parameters
    ----------
    sinogram : array (views, bins)
        Line integrals.
    angles : array (views,)
        Degrees, evenly spread over 180° (or 360°).
    spacing : float
        Width of a bin, e.g. mm: the result is then in 1/mm.
    window : {"ramp", "hann"}
        "hann" tapers the ramp to zero at the highest frequency: less noise, less resolution.

    Returns
    -------
    array (bins, bins), float64
        Zero outside the inscribed circle, where not every view has seen the object.

    >>> angles, disc = np.arange(180.0), np.hypot(*np.mgrid[-15:16, -15:16]) < 8
    >>> sinogram = (projector(31, angles) @ disc.ravel()).reshape(180, 31)
    >>> bool(abs(fbp(sinogram, angles)[15, 15] - 1) < 0.02)
    True
    """
    sinogram = np.asarray(sinogram, np.float64)
    views, bins = sinogram.shape
    if views != np.size(angles):
        raise ValueError(f"{views} views but {np.size(angles)} angles")
    if window not in ("ramp", "hann"):
        raise ValueError(f"window must be 'ramp' or 'hann', not {window!r}")
    length = fft.next_fast_len(2 * bins, real=True)  # padded: the ramp is as long as the detector twice
    response = fft.rfft(_ramp(length))
    if window == "hann":
        response = response * (0.5 + 0.5 * np.cos(np.pi * np.arange(response.size) / (length / 2)))
    filtered = fft.irfft(fft.rfft(sinogram, length, axis=1) * response, length, axis=1)[:, :bins] / spacing
    y, x = np.mgrid[:bins, :bins] - (bins - 1) / 2
    out = np.zeros((bins, bins))
    for view, angle in zip(filtered, np.deg2rad(np.ravel(angles)), strict=True):
        t = x * np.cos(angle) - y * np.sin(angle) + (bins - 1) / 2
        out += np.interp(t, np.arange(bins), view, left=0, right=0)
    return np.where(np.hypot(x, y) <= bins / 2, out * np.pi / views, 0)


def _ramp(length: int) -> Array:
    """Impulse response of the band-limited ramp on a circle of ``length`` bins of width 1."""
    n = np.arange(length)
    n = np.minimum(n, length - n)
    odd = n % 2 == 1
    kernel = np.zeros(length)
    kernel[odd] = -1 / (np.pi * n[odd]) ** 2
    kernel[0] = 0.25
    return kernel


# ---------------------------------------------------------------------------- nuclear imaging


def detector_blur(bins: int, fwhm: float) -> sparse.csr_array:
    """Blur of each view by a Gaussian point-spread function, ``fwhm`` bins wide: a sparse ``(bins, bins)`` matrix.

    Columns sum to 1 in the middle of the detector: the blur moves counts, it makes none. A width of 0 is none.

    >>> float(detector_blur(9, 2.0)[:, [4]].sum().round(6))
    1.0
    """
    if fwhm == 0:
        return sparse.eye_array(bins, format="csr")
    reach = int(np.ceil(1.5 * fwhm))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-4 * np.log(2) * (offsets / fwhm) ** 2)
    kernel /= kernel.sum()
    return sparse.diags_array(kernel, offsets=offsets, shape=(bins, bins)).tocsr()


def emission_system(size: int, angles: ArrayLike, *, fwhm: float = 0.0, counts_per_unit: float = 1.0) -> LinearOperator:
    """Expected counts of an activity image: projection, then detector blur, as one linear operator.

    ``system @ activity.ravel()`` are the expected counts of all views; ``system.T @ counts`` is the exact adjoint,
    because both are products of the same matrices. No attenuation, scatter or randoms. ``size``, ``angles`` and the
    shape are those of :func:`projector`, ``fwhm`` that of :func:`detector_blur`; ``counts_per_unit`` are the counts per
    view from one unit of activity in one pixel: dose × time × sensitivity.
    """
    views = np.size(angles)
    blur = sparse.kron(sparse.eye_array(views), detector_blur(size, fwhm), format="csr")
    return counts_per_unit * (aslinearoperator(blur) @ aslinearoperator(projector(size, angles)))


def poisson_log_likelihood(counts: ArrayLike, expected: ArrayLike) -> float:
    r"""Log-likelihood :math:`\sum_i y_i\ln\lambda_i-\lambda_i` of counts y given means λ (without the constant ln y!).

    Minus infinity where a count was seen and none was expected.

    >>> poisson_log_likelihood([0, 1], [2.0, 1.0])
    -3.0
    """
    counts, expected = np.asarray(counts, np.float64), np.asarray(expected, np.float64)
    seen = counts > 0
    with np.errstate(divide="ignore"):
        return float(np.sum(counts[seen] * np.log(expected[seen])) - expected.sum())


def mlem(
    system: Array | sparse.sparray | LinearOperator,
    counts: ArrayLike,
    iterations: int,
    *,
    start: ArrayLike | None = None,
    watch: Callable[[int, Array, Array], object] | None = None,
) -> Array:
    r"""Maximum-likelihood expectation maximisation for Poisson counts (Shepp & Vardi 1982).

    .. math:: x \leftarrow \frac{x}{A^T 1}\, A^T \frac{y}{A x}

    The image stays non-negative, the expected total equals the measured one after every step, and the
    likelihood never falls – as long as :math:`A^T` is the adjoint of the A in the denominator.

    Parameters
    ----------
    system : matrix or LinearOperator (m, n)
        Non-negative.
    counts : array (m,)
    iterations : int
    start : array (n,), optional
        Positive; by default uniform.
    watch : callable, optional
        ``watch(k, image, expected)`` after iteration k = 1, 2, …; ``expected`` belongs to ``image``.

    Returns
    -------
    array (n,), float64

    >>> mlem(np.eye(2), [3.0, 5.0], 1)
    array([3., 5.])
    """
    counts = np.asarray(counts, np.float64).ravel()
    sensitivity = system.T @ np.ones(system.shape[0])
    seen = sensitivity > 0
    image = np.where(seen, 1.0 if start is None else np.asarray(start, np.float64).ravel(), 0.0)
    expected = system @ image
    for k in range(1, iterations + 1):
        ratio = np.divide(counts, expected, out=np.zeros_like(counts), where=expected > 0)
        image = np.divide(image * (system.T @ ratio), sensitivity, out=np.zeros_like(image), where=seen)
        expected = system @ image
        if watch is not None:
            watch(k, image, expected)
    return image
