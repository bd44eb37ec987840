"""Noise in, noise out: the denoising task, its classical filters at their best, and the bias of magnitudes.

A stack ``(n, h, w)`` is noisy in one of four ways, :data:`KINDS` and :data:`MORE_KINDS`:

* ``"gaussian"`` – a real channel of a complex image whose phase was taken off: noise of mean zero, values of both
  signs;
* ``"rician"`` – the magnitude of a complex image: never negative, and too bright on average, the more so the darker;
* ``"chi"`` – the root of the sum of squares of eight coils: brighter still in the dark (:mod:`physics.coils`);
* ``"interpolated"`` – the magnitude of complex data that were zero-filled from a grid 1.5 times coarser: the noise of
  neighbours is correlated. The truth is what that native grid holds.

"p %" of noise is complex Gaussian with σ = p % of a slice's 99.5th percentile in each channel
(:func:`noise.noise_sigma`). Filters receive the true σ, which is generous.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from medsr_course import runtime
from medsr_course.physics import checks, coils, metrics
from medsr_course.physics.noise import add_complex_noise, noise_sigma, unbiased, without_floor
from medsr_course.scans import volumes
from medsr_course.tasks import pairs
from medsr_course.types import Array, ArrayLike, Image, Stack

KINDS = ("gaussian", "rician")  # of one channel, and of one coil
MORE_KINDS = ("chi", "interpolated")  # which :func:`noise.estimate` brings near to one coil
LEVELS = (3, 6, 9)  # %
CONDITIONS = (  # (kind, noise in %) of magnitudes, on which denoisers are measured
    *(("rician", 1), ("rician", 3), ("rician", 6)),
    *(("chi", 3), ("interpolated", 3), ("interpolated", 6)),
)


@dataclass(frozen=True, eq=False)
class Pair(pairs.Pair):
    """A clean stack and its noisy version, ``given``.

    ``sigma``, float32 ``(n, 1, 1)``, is the standard deviation of the noise in each channel, slice by slice; 0 in a
    slice that holds nothing. ``kind`` is one of :data:`KINDS` or :data:`MORE_KINDS`.
    """

    sigma: Array
    kind: str

    @property
    def coils(self) -> int:
        """How many coils measured it, N in E M² = A² + 2Nσ²."""
        return coils.COILS if self.kind == "chi" else 1

    def scores(self, result: Stack) -> dict[str, float]:
        """Returns ``psnr`` and ``psnr_head`` (dB; whole field, and inside the head) of a result."""
        return {
            "psnr": metrics.psnr(self.target, result),
            "psnr_head": metrics.psnr(self.target, result, mask=self.head),
        }


def pair(image: Image | Stack, percent: float, kind: str = "rician", *, key: int | str = 0, slices: int = 10) -> Pair:
    """Clean and noisy axial slices of one scan, by the measurement protocol.

    Parameters
    ----------
    image : nibabel image or array (n, h, w)
        Magnitudes.
    percent : float
    kind : {"gaussian", "rician", "chi", "interpolated"}
    key : int or str
        Of the scan: same key, same noise.
    slices : int
        How many of them, spread evenly; of an array all are taken.
    """
    if kind not in (*KINDS, *MORE_KINDS):
        raise ValueError(f"kind must be one of {', '.join((*KINDS, *MORE_KINDS))}, not {kind!r}")
    if isinstance(image, np.ndarray):
        target, size = image, 1.0
    else:
        target, size = volumes.axial_slices(image, n=slices), volumes.pixel_size(image)
    target = np.asarray(target, np.float32)
    checks.stack(target, "the stack")
    if kind in MORE_KINDS:
        return _pair_of_coils(target, percent, kind, key, size)
    noisy = add_complex_noise(target, percent, runtime.rng("denoising", key, round(percent * 1000)))
    noisy = noisy.real if kind == "gaussian" else np.abs(noisy)
    sigma = noise_sigma(target, percent).astype(np.float32)
    return Pair(target, noisy.astype(np.float32), sigma, kind, pixel_size=size)


@dataclass(frozen=True, eq=False)
class Repeated(pairs.Pair):
    """Two measurements of one scan, complex ``(n, h, w)``: ``given`` to methods, and ``again``, which no method sees.

    ``target``, the magnitude of their mean, tells where the head is and what range PSNR has; it is not the truth.
    ``rows`` is what filters see each row divided by, a number or ``(h, 1)``: where some rows hold more noise than
    others, that of each. ``sigma`` ``(n, 1, 1)`` is that of the noise in each channel after that.
    """

    again: Array
    sigma: Array
    rows: Array | float = 1.0

    @property
    def channels(self) -> Stack:
        """Real and imaginary channels of what is given, over ``rows``: float32 ``(2 n, h, w)``."""
        given = self.given / self.rows
        return np.concatenate([given.real, given.imag]).astype(np.float32)

    def filtered(self, name: str, strength: float) -> Array:
        """Both channels after a filter of :data:`FILTERS`, as a complex stack."""
        real, imaginary = np.split(FILTERS[name].apply(self.channels, np.tile(self.sigma, (2, 1, 1)), strength), 2)
        return self.rows * (real + 1j * imaginary)

    def strongest(self, name: str, strengths: Sequence[float]) -> float:
        """The strength of a filter that is best inside the head on this very scan: more than anybody could know."""
        return max(strengths, key=lambda strength: self.scores(self.filtered(name, strength))["psnr_head"])

    def scores(self, result: Array) -> dict[str, float]:
        r"""Returns ``psnr`` and ``psnr_head`` (dB) from the error left, :math:`E|d(x_1)-x_2|^2 - E|x_1-x_2|^2/2`.

        The noise of x₂ is independent of d(x₁), so that it can be taken off (Lehtinen et al. 2018). At most 60 dB:
        less than nothing is left where a method has seen x₂.
        """
        found, scale = {}, float(self.target.max()) ** 2
        for name, area in (("psnr", np.ones(self.head.shape, bool)), ("psnr_head", self.head)):
            left, noise = (np.mean(np.abs(one - self.again)[area] ** 2) for one in (result, self.given))
            found[name] = float(10 * np.log10(scale / max(left - noise / 2, 1e-6 * scale)))
        return found


def repeated(images: Array, *, rows: Array | float = 1.0, pixel_size: float = 1.6) -> Repeated:
    """A pair of two repetitions ``(2, n, h, w)``, complex; ``rows`` see :class:`Repeated`; pixel size in mm."""
    first, again = images
    sigma = np.sqrt(np.mean(np.abs((first - again) / rows) ** 2, axis=(1, 2), keepdims=True) / 4)
    target = np.abs(first + again).astype(np.float32) / 2
    return Repeated(target, first, again, sigma, rows, pixel_size=pixel_size)


def row_noise(images: Array) -> Array:
    """Noise of each row, σ of a channel, float ``(h, 1)``, from two repetitions ``(2, n, h, w)``, complex.

    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(2, 4, 2, 9000)) + 1j * rng.normal(size=(2, 4, 2, 9000))
    >>> row_noise(noise * [[1], [3]]).round(1).ravel()
    array([1., 3.])
    """
    first, again = images
    return np.sqrt(np.mean(np.abs(first - again) ** 2, axis=(0, 2)) / 4)[:, None]


def _pair_of_coils(target: Stack, percent: float, kind: str, key: int | str, size: float) -> Pair:
    """The kinds of :mod:`physics.coils` that need more than the magnitude of one complex image."""
    rng = runtime.rng("denoising", key, round(percent * 1000), kind)
    image = coils.object_of(target, key)
    sigma = noise_sigma(target, percent)
    noisy = coils.magnitude(image, sigma, rng, kind)
    truth = coils.magnitude(image, 0.0, rng, kind)  # of "interpolated": the native band
    truth, noisy, sigma = (a.astype(np.float32) for a in (truth, noisy, sigma))
    return Pair(truth, noisy, sigma, kind, pixel_size=size)


# ---------------------------------------------------------------- classical filters


def gaussian(stack: Stack, sigma: ArrayLike, strength: float, edge: str = "nearest") -> Stack:
    """Gaussian filter; strength: its standard deviation in pixels; edge: ndimage's mode beyond the image's edges."""
    from scipy import ndimage

    return ndimage.gaussian_filter(stack, (0, strength, strength), mode=edge)


def bayes_shrink(stack: Stack, sigma: ArrayLike, strength: float) -> Stack:
    r"""Wavelet thresholds by BayesShrink (Chang, Yu & Vetterli 2000), mean over eight shifts of the image.

    The threshold of each band is :math:`\sigma^2 / \sqrt{\overline{d^2} - \sigma^2}`, d its coefficients, as if the
    noise were strength × sigma.
    """
    from skimage.restoration import denoise_wavelet

    def one(image, s):
        total = 0.0
        for shift in ((0, 0), (1, 2), (2, 5), (3, 7), (4, 1), (5, 4), (6, 6), (7, 3)):  # cycle spinning
            moved = np.roll(image, shift, (0, 1))
            options = {"method": "BayesShrink", "mode": "soft", "wavelet": "sym4", "wavelet_levels": 3}
            total = total + np.roll(denoise_wavelet(moved, sigma=strength * s, **options), [-d for d in shift], (0, 1))
        return total / 8

    return _slices(one, stack, sigma)


def total_variation(stack: Stack, sigma: ArrayLike, strength: float) -> Stack:
    r"""Total variation (Rudin, Osher & Fatemi 1992; Chambolle 2004); strength: its weight in parts of sigma.

    Minimises :math:`\tfrac12 \|x - y\|^2 + \lambda\sigma \sum |\nabla x|`.
    """
    from skimage.restoration import denoise_tv_chambolle

    def one(image, s):
        return denoise_tv_chambolle(image / s, weight=strength, eps=1e-4, max_num_iter=100) * s

    return _slices(one, stack, sigma)


def non_local_means(stack: Stack, sigma: ArrayLike, strength: float, reach: int = 6) -> Stack:
    r"""Non-local means (Buades et al. 2005): 5×5 patches within ±reach pixels; strength: h in parts of sigma.

    :math:`\hat x_i = \sum_j w_{ij} y_j`, :math:`w_{ij} \propto e^{-\max(d_{ij}^2 - 2\sigma^2, 0)/h^2}`, d the distance
    of two patches.

    >>> non_local_means(np.full((1, 8, 8), 2.0), 1.0, 0.8)[0, 0, :3]
    array([2., 2., 2.], dtype=float32)
    """
    from skimage.restoration import denoise_nl_means

    def one(image, s):
        return denoise_nl_means(image, patch_size=5, patch_distance=reach, h=strength * s, sigma=s, fast_mode=True)

    return _slices(one, stack, sigma)


def _slices(one: Callable[[Array, float], Array], stack: Stack, sigma: ArrayLike) -> Stack:
    """``one(slice, its sigma)`` of every slice, on all cores; a slice without noise, say an empty one, stays."""
    checks.stack(stack, "the stack")
    sigmas = checks.finite(sigma, "sigma").ravel()
    if sigmas.size not in (1, len(stack)) or sigmas.min() < 0:
        raise ValueError(f"sigma must be one number, or one for each of the {len(stack)} slices, and not below 0")

    def cleaned(image: Array, s: float) -> Array:
        return one(image, s) if s > 0 else image

    with ThreadPoolExecutor(runtime.cpu_count()) as pool:
        found = pool.map(cleaned, stack, np.broadcast_to(sigmas, len(stack)).tolist())
        return np.stack(list(found)).astype(np.float32)


@dataclass(frozen=True)
class Filter:
    """A classical filter: ``apply(stack, sigma, strength)``, and the strengths :func:`choose` tries, rising."""

    title: str
    apply: Callable[[Stack, ArrayLike, float], Stack]
    strengths: tuple[float, ...]

    def __call__(self, pair: Pair, strength: float, correct: bool | None = None) -> Stack:
        """Denoise a :class:`Pair`; ``correct``: take the magnitude's bias off, by default where there is one."""
        result = self.apply(pair.given, pair.sigma, strength)
        correct = pair.kind != "gaussian" if correct is None else correct
        if correct and pair.coils > 1:
            return without_floor(result, pair.sigma, pair.coils).astype(np.float32)
        return unbiased(result, pair.sigma) if correct else result


FILTERS = {
    "gaussian": Filter("Gaussian", gaussian, (0.35, 0.45, 0.55, 0.65, 0.8, 1.0, 1.25)),
    "bayes-shrink": Filter("BayesShrink", bayes_shrink, (0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.5)),
    "tv": Filter("TV", total_variation, (0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.3)),
    "nlm": Filter("NLM", non_local_means, (0.4, 0.55, 0.7, 0.8, 0.9, 1.05, 1.3)),
}


@dataclass(frozen=True)
class Choice:
    """The best strength of a filter for one kind and level of noise.

    ``correct`` tells whether the Rician bias is taken off afterwards. ``curve`` maps strengths to the mean PSNR (dB) on
    validation. ``at_edge``: the best strength is the first or last one tried; then the true optimum may lie beyond.
    """

    name: str
    strength: float
    correct: bool
    curve: dict[float, float]
    at_edge: bool

    def __call__(self, pair: Pair) -> Stack:
        return FILTERS[self.name](pair, self.strength, self.correct)


def choose(
    name: str,
    known: Sequence[Pair],
    correct: bool | None = None,
    strengths: Sequence[float] | None = None,
    *,
    score: str = "psnr",
) -> Choice:
    """The strength of a filter that is best on validation: a :class:`Choice`, which maps a pair to its denoised stack.

    Parameters
    ----------
    name : str
        Key of :data:`FILTERS`.
    known : sequence of Pair
        Of one kind and one level. ``ValueError`` where there is none, or no noise in them.
    correct : bool, optional
        Take the Rician bias off; by default where there is one.
    strengths : sequence of float, optional
        By default the filter's own.
    score : {"psnr", "psnr_head"}
        What is to be best: the whole field, or the inside of the head.
    """
    if not known:
        raise ValueError("no pair was given to choose a strength on")
    correct = known[0].kind != "gaussian" if correct is None else correct
    curve: dict[float, float] = {}
    for strength in strengths or FILTERS[name].strengths:
        found = [pair.scores(FILTERS[name](pair, strength, correct))[score] for pair in known]
        curve[strength] = float(np.mean(found))
    if not np.isfinite(list(curve.values())).all():
        raise ValueError("these pairs hold no noise, so that no strength is the best")
    best = max(curve, key=lambda strength: curve[strength])
    return Choice(name, best, correct, curve, best in (min(curve), max(curve)))
