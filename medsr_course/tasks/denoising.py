"""Noise in, noise out: the denoising task, its classical filters at their best, and the bias of magnitudes.

A stack ``(n, h, w)`` is noisy in one of two ways, :data:`KINDS`:

* ``"gaussian"`` – a real channel of a complex image whose phase was taken off: noise of mean zero, values of both
  signs;
* ``"rician"`` – the magnitude of a complex image: never negative, and too bright on average, the more so the darker.

"p %" of noise is complex Gaussian with σ = p % of a slice's 99.5th percentile in each channel
(:func:`noise.noise_sigma`). Filters are told the true σ, which is generous.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medsr_course import runtime
from medsr_course.physics import metrics
from medsr_course.physics.noise import add_complex_noise, noise_sigma, unbiased
from medsr_course.scans import volumes

KINDS = ("gaussian", "rician")
LEVELS = (3, 6, 9)  # %


@dataclass(frozen=True)
class Pair:
    """A clean stack and its noisy version.

    Attributes
    ----------
    target, noisy : float32 array (n, h, w)
    sigma : float32 array (n, 1, 1)
        Standard deviation of the noise in each channel, slice by slice.
    kind : {"gaussian", "rician"}
    pixel_size : float
        In-plane, mm.
    """

    target: np.ndarray
    noisy: np.ndarray
    sigma: np.ndarray
    kind: str
    pixel_size: float = 1.0

    @cached_property
    def head(self):
        """Where the head is in ``target``, bool array (n, h, w); found once, for all that is scored."""
        return metrics.head_mask(self.target, self.pixel_size)

    def scores(self, result):
        """``psnr`` and ``psnr_head`` (dB; whole field, and inside the head) of a result."""
        return {
            "psnr": metrics.psnr(self.target, result),
            "psnr_head": metrics.psnr(self.target, result, mask=self.head),
        }


def pair(image, percent, kind="rician", *, key=0, slices=10):
    """Clean and noisy axial slices of one scan, by the measurement protocol.

    Parameters
    ----------
    image : nibabel image or array (n, h, w)
        Magnitudes.
    percent : float
    kind : {"gaussian", "rician"}
    key : int or str
        Of the noise: same key, same noise.
    slices : int
        How many of them, spread evenly; of an array all are taken.

    Returns
    -------
    Pair
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if isinstance(image, np.ndarray):
        target, size = image, 1.0
    else:
        target, size = volumes.axial_slices(image, n=slices), volumes.pixel_size(image)
    target = np.asarray(target, np.float32)
    noisy = add_complex_noise(target, percent, runtime.rng("denoising", key, round(percent * 1000)))
    noisy = noisy.real if kind == "gaussian" else np.abs(noisy)
    return Pair(target, noisy.astype(np.float32), noise_sigma(target, percent).astype(np.float32), kind, size)


# ---------------------------------------------------------------- classical filters


def gaussian(stack, sigma, strength, edge="nearest"):
    """Gaussian filter; strength: its standard deviation in pixels; edge: how the image goes on beyond its edges."""
    from scipy import ndimage

    return ndimage.gaussian_filter(stack, (0, strength, strength), mode=edge)


def bayes_shrink(stack, sigma, strength):
    """Wavelet thresholds by BayesShrink (Chang, Yu & Vetterli 2000), mean over eight shifts of the image.

    The threshold of each band is chosen from its energy as if the noise were strength × sigma.
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


def total_variation(stack, sigma, strength):
    """Total variation (Rudin, Osher & Fatemi 1992; Chambolle 2004); strength: its weight in parts of sigma."""
    from skimage.restoration import denoise_tv_chambolle

    def one(image, s):
        return denoise_tv_chambolle(image / s, weight=strength, eps=1e-4, max_num_iter=100) * s

    return _slices(one, stack, sigma)


def non_local_means(stack, sigma, strength, reach=6):
    """Non-local means (Buades et al. 2005): 5×5 patches within ±reach pixels; strength: h in parts of sigma."""
    from skimage.restoration import denoise_nl_means

    def one(image, s):
        return denoise_nl_means(image, patch_size=5, patch_distance=reach, h=strength * s, sigma=s, fast_mode=True)

    return _slices(one, stack, sigma)


def _slices(one, stack, sigma):
    """``one(slice, its sigma)`` of every slice, on all cores."""
    sigmas = np.broadcast_to(np.ravel(sigma), len(stack)).tolist()
    with ThreadPoolExecutor(runtime.cpu_count()) as pool:
        return np.stack(list(pool.map(one, stack, sigmas))).astype(np.float32)


@dataclass(frozen=True)
class Filter:
    """A classical filter.

    Attributes
    ----------
    title : str
    apply : callable
        ``apply(stack, sigma, strength)`` to a stack; see above.
    strengths : tuple of float
        What :func:`choose` tries, in rising order.
    """

    title: str
    apply: Callable
    strengths: tuple

    def __call__(self, given, strength, correct=None):
        """Denoise a :class:`Pair`; ``correct``: take the Rician bias off, by default where there is one."""
        result = self.apply(given.noisy, given.sigma, strength)
        correct = given.kind == "rician" if correct is None else correct
        return unbiased(result, given.sigma) if correct else result


FILTERS = {
    "gaussian": Filter("Gaussian", gaussian, (0.35, 0.45, 0.55, 0.65, 0.8, 1.0, 1.25)),
    "bayes-shrink": Filter("BayesShrink", bayes_shrink, (0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.5)),
    "tv": Filter("TV", total_variation, (0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.3)),
    "nlm": Filter("NLM", non_local_means, (0.4, 0.55, 0.7, 0.8, 0.9, 1.05, 1.3)),
}


@dataclass(frozen=True)
class Choice:
    """The best strength of a filter for one kind and level of noise.

    Attributes
    ----------
    name : str
        Of the filter.
    strength : float
    correct : bool
        Whether the Rician bias is taken off afterwards.
    curve : dict of float to float
        Strength → mean PSNR (dB) on validation.
    at_edge : bool
        The best strength is the first or last one tried: then the true optimum may lie beyond.
    """

    name: str
    strength: float
    correct: bool
    curve: dict
    at_edge: bool

    def __call__(self, given):
        return FILTERS[self.name](given, self.strength, self.correct)


def choose(name, pairs, correct=None, strengths=None, *, score="psnr"):
    """The strength of a filter that is best on validation.

    Parameters
    ----------
    name : str
        Key of :data:`FILTERS`.
    pairs : sequence of Pair
        Of one kind and one level.
    correct : bool, optional
        Take the Rician bias off; by default where there is one.
    strengths : sequence of float, optional
        By default the filter's own.
    score : {"psnr", "psnr_head"}
        What is to be best: the whole field, or the inside of the head.

    Returns
    -------
    Choice
        Callable: a :class:`Pair` to its denoised stack.
    """
    correct = pairs[0].kind == "rician" if correct is None else correct
    curve = {}
    for strength in strengths or FILTERS[name].strengths:
        curve[strength] = float(
            np.mean([given.scores(FILTERS[name](given, strength, correct))[score] for given in pairs])
        )
    best = max(curve, key=curve.get)
    return Choice(name, best, correct, curve, best in (min(curve), max(curve)))
