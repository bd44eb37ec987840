"""Who takes part: scans, methods, and the classical filters that noisy scans are also judged by."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import methods
from medsr_course.runtime import CourseError
from medsr_course.scans import datasets

SCALES = (2, 4)
NOISES = {2: (0, 3, 6), 4: (0,)}  # %, by scale
DATA = ("cohort", "real", "all")
CONTRASTS = (*datasets.CONTRASTS, "CT")
TUNING_SUBJECTS = 2  # of the cohort's validation subjects, on which the filters' strengths are chosen
COHORT, VALIDATION, REPORT, CT = "cohort, test", "real MR, validation", "real MR, test", "real CT, test"
GROUPS = (COHORT, VALIDATION, REPORT, CT)


@dataclass(frozen=True)
class Scan:
    """One scan of one subject, and why it is here.

    Attributes
    ----------
    data, split, subject, contrast : str
        Data set, its split, ``"sub-0005"``, ``"T1w"``.
    read : callable
        Returns the nibabel image.
    """

    data: str
    split: str
    subject: str
    contrast: str
    read: Callable

    @property
    def group(self):
        """Which of :data:`GROUPS` it belongs to."""
        return group(self.data, self.split, self.contrast)


def group(data, split, contrast):
    """Which of :data:`GROUPS` a scan belongs to.

    >>> group("real-scans", "test", "T2w")
    'real MR, test'
    """
    if data == "cohort":
        return COHORT
    if contrast == "CT":
        return CT
    return VALIDATION if split == "validation" else REPORT


def scans(data="all", *, seed=0, subjects=24):
    """What is measured, and what the filters' strengths are chosen on.

    Parameters
    ----------
    data : {"cohort", "real", "all"}
        The cohort's test subjects; the validation subjects of ds002748 and the single real scans; or both, where
        "all" goes without the real ones if they are not here.
    seed, subjects : int
        Of the cohort.

    Returns
    -------
    measured, tuning : list of Scan
        Validation scans of real people are in both.

    Raises
    ------
    CourseError
        If there are no such scans.
    """
    if data not in DATA:
        raise CourseError(f"--data {data!r} is unknown: choose one of {', '.join(DATA)}")
    measured, tuning = [], []
    if data != "real":
        cohort = datasets.load("cohort", n_subjects=subjects, seed=seed)
        if not cohort.select("test"):
            raise CourseError(f"a cohort of {subjects} has no test subject: give --subjects 6 or more")
        measured += _of("cohort", cohort.select("test"))
        tuning += _of("cohort", cohort.select("validation")[:TUNING_SUBJECTS])
    if data != "cohort":
        real = _real()
        if not real and data == "real":
            raise CourseError(
                "there are no real scans here: `medsr data get ds002748`, or name a folder in MEDSR_REAL_DATA"
            )
        measured += real
        tuning += [scan for scan in real if scan.split == "validation"]
    return measured, tuning


def _of(name, subjects):
    return [
        Scan(name, subject.split, subject.id, contrast, lambda s=subject, c=contrast: s.contrasts[c])
        for subject in subjects
        for contrast in CONTRASTS
        if contrast in subject.contrasts
    ]


def _real():
    found = []
    if any(row.present for row in datasets.available() if row.name == "ds002748"):  # else it would be downloaded
        found += _of("ds002748", datasets.load("ds002748").select("validation"))
    if datasets.real_folder():
        with contextlib.suppress(CourseError):  # a folder with ds002748 alone
            found += _of("real-scans", datasets.load("real-scans"))
    return found


@dataclass(frozen=True)
class Filter:
    """A classical filter after zero-filling, for noisy scans.

    Attributes
    ----------
    name, title : str
    apply : callable
        ``apply(stack, sigma, strength)``; sigma (n,), the standard deviation of the noise in each slice.
    strengths : tuple of float
        What is tried.
    rician : bool
        Afterwards the noise's share of the squared magnitude, 2σ², is taken off (Gudbjartsson & Patz 1995): smoothing
        alone leaves air as bright as the mean of its noise.
    """

    name: str
    title: str
    apply: Callable
    strengths: tuple
    rician: bool = False

    def finish(self, smooth, sigma):
        """What :attr:`apply` gave, with the Rician mean taken off where this filter does so."""
        if not self.rician:
            return smooth
        return np.sqrt(np.maximum(smooth**2 - 2 * np.reshape(sigma, (-1, 1, 1)) ** 2, 0))


def gaussian(stack, sigma, strength):
    """Gaussian filter, slice by slice; strength: its standard deviation in pixels."""
    from scipy import ndimage

    return ndimage.gaussian_filter(stack, (0, strength, strength))


def nlm(stack, sigma, strength):
    """Non-local means (Buades et al. 2005), 5×5 patches within ±4 pixels; strength: h in parts of sigma.

    It is told the true sigma, which a method in use would have to estimate.
    """
    from skimage.restoration import denoise_nl_means

    def one(slice_and_sigma):
        image, s = slice_and_sigma
        return denoise_nl_means(image, patch_size=5, patch_distance=4, h=strength * s, sigma=s, fast_mode=True)

    with ThreadPoolExecutor(runtime.cpu_count()) as pool:
        return np.stack(list(pool.map(one, zip(stack, sigma, strict=True))))


FILTERS = {
    f.name: f
    for f in (
        Filter("zip-gaussian", "ZIP + Gaussian", gaussian, (0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5)),
        Filter("zip-nlm", "ZIP + NLM", nlm, (0.5, 0.7, 0.9, 1.1, 1.3)),
        Filter("zip-nlm-rician", "ZIP + NLM, Rician", nlm, (0.5, 0.7, 0.9, 1.1, 1.3), rician=True),
    )
}
BEST = "-best"  # suffix: each number at the strength that is best for this very scan, judged by its truth


def title(name):
    """A method's or filter's name as tables and figures show it."""
    if name.removesuffix(BEST) in FILTERS:
        return FILTERS[name.removesuffix(BEST)].title + (" (best)" if name.endswith(BEST) else "")
    return methods.get(name).title if name in methods.names() else name


def order():
    """Names of everything that has rows, in the order of tables."""
    filters = [name + end for name in FILTERS for end in ("", BEST)]
    return [*methods.names(learned=False), *filters, *methods.names(learned=True)]


def select(wanted=None, scales=SCALES):
    """Names of the methods to measure, ZIP always among them.

    Raises
    ------
    CourseError
        If one is unknown; the message lists what there is.
    """
    known = [n for n in methods.names() if any(methods.get(n).can(s) for s in scales)] + list(FILTERS)
    if not wanted:
        return known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        able = " or ".join(f"×{s}" for s in scales)
        raise CourseError(f"there is no method {unknown[0]!r} for {able}; there are: {', '.join(known)}")
    return [name for name in known if name in wanted or name == "zip"]
