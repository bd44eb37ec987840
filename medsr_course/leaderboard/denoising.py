"""The board of denoising: shipped networks and classical filters at their best, on test subjects and real scans."""

import time

from medsr_course import runtime
from medsr_course.leaderboard.tasks import Board
from medsr_course.networks import pretrained
from medsr_course.runtime import CourseError
from medsr_course.scans import datasets, volumes
from medsr_course.tasks import denoising

TUNING_SLICES = 2  # of each validation scan, on which the strengths are chosen
SLICES = 5  # of each scan that is measured
NOISY = "noisy"


def measure(subjects=24, seed=0):
    """Rows of the board: every method at 3, 6 and 9 % of Rician and of Gaussian noise.

    Parameters
    ----------
    subjects, seed : int
        Of the cohort.

    Returns
    -------
    list of dict
    """
    cohort = datasets.load("cohort", n_subjects=subjects, seed=seed)
    tuning = [image for _, _, _, image in _scans("", cohort.select("validation")[:1])]
    scans = list(_scans("cohort, test", cohort.select("test")))
    try:
        real = datasets.load("real-scans")
    except CourseError:
        real = ()  # a leaderboard can be made without them
    tuning += [image for _, _, _, image in _scans("", [s for s in real if s.split == "validation"])]
    scans += _scans("real MR, test", [s for s in real if s.split == "test"])
    rows = []
    for kind in denoising.KINDS:
        for level in denoising.LEVELS:
            methods = _methods(kind, level, tuning)
            for data, subject, contrast, image in runtime.progress(scans, f"{kind}, {level} %", unit="scan"):
                pair = denoising.pair(image, level, kind, key=f"{subject} {contrast}", slices=SLICES)
                for name, (title, method, about) in methods.items():
                    began = time.perf_counter()
                    result = method(pair)
                    seconds = time.perf_counter() - began
                    rows.append(
                        {
                            "method": name,
                            "title": title,
                            "data": data,
                            "setting": f"{'magnitudes' if kind == 'rician' else 'real channel'}, {level} % noise",
                            "subject": subject,
                            "contrast": contrast,
                            **pair.scores(result),
                            **about,
                            "seconds_per_megavoxel": seconds / (pair.given.size / 1e6),
                        }
                    )
    return rows


def _scans(data, subjects):
    """MR scans only: the protocol's noise is that of MRI."""
    return [
        (data, subject.id, contrast, subject.contrasts[contrast])
        for subject in subjects
        for contrast in subject.contrasts
        if contrast != "CT"
    ]


def _methods(kind, level, tuning):
    """Name → title, method, what is known of it."""
    pairs = [
        denoising.pair(volumes.axial_slices(image, n=TUNING_SLICES), level, kind, key=f"tuning {i}")
        for i, image in enumerate(tuning)
    ]
    methods = {NOISY: ("noisy", lambda pair: pair.given, {"parameters": 0})}
    for name, found in denoising.FILTERS.items():
        best = denoising.choose(name, pairs)
        methods[name] = found.title, best, {"parameters": 0, "strength": best.strength}
    for name in pretrained.names("denoising"):
        about = pretrained.card(name)
        if about.usage["kind"] == kind:
            known = {"parameters": about.parameters}
            methods[name] = name, lambda pair, n=name: pretrained.denoise(n, pair.given), known
    return methods


BOARD = Board(
    task="denoising",
    title="Denoising",
    intro=(
        "Noise is added to scans (complex Gaussian, σ in % of each slice's 99.5th percentile) and taken out again. "
        "**Magnitudes** have Rician noise; there, filters are corrected for its bias (Koay & Basser 2006). The **real "
        "channel** has Gaussian noise. Each filter has its best strength of seven, chosen on validation scans for each "
        "kind and level, and is told the true σ; the networks are told nothing. Five axial slices of each scan. Real "
        "scans carry noise of their own, which counts as truth."
    ),
    metrics={"psnr": ("PSNR (dB)", ".2f", "up"), "psnr_head": ("PSNR inside the head (dB)", ".2f", "up")},
    reference="nlm",
    measure=measure,
)
