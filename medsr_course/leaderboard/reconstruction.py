"""Reconstruction from k-space: classical methods tuned on validation scans against the shipped networks."""

import time

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard.entries import CT, scans
from medsr_course.leaderboard.tasks import Board
from medsr_course.networks import pretrained
from medsr_course.physics import metrics
from medsr_course.tasks import reconstruction

FACTORS = (4, 8)
SLICES = 3  # of each scan, spread over the brain: compressed sensing takes its time
WEIGHTS = {  # of compressed sensing, what is tried
    "wavelet": (0.0007, 0.002, 0.006, 0.02, 0.06, 0.2),
    "tv": (0.0003, 0.001, 0.003, 0.009, 0.03, 0.09),
}
TITLES = {"wavelet": "Compressed sensing, wavelets", "tv": "Compressed sensing, total variation"}
TUNING = ("T1w", "T2w", "FLAIR")  # contrasts


def measure():
    """Rows of all methods on the cohort's test subjects and the real MR scans, R = 4 and 8, 1 % noise."""
    measured, tuning = scans("all")
    chosen = _choose([scan for scan in tuning if scan.contrast in TUNING])
    networks = pretrained.names("reconstruction")
    rows = []
    for scan in runtime.progress([scan for scan in measured if scan.group != CT], "reconstruction", unit="scan"):
        image = scan.read()
        for factor in FACTORS:
            pair = _case(scan, image, factor)
            kspace, mask = pair.given, pair.mask
            label = {"data": scan.group, "setting": f"R = {factor}", "subject": scan.subject, "contrast": scan.contrast}
            middle = _case(scan, image, factor, pattern="middle").given
            calls = {
                ("zero-filled", "Zero-filled", 0): lambda k=kspace: reconstruction.zero_filled(k),
                ("middle", "As many lines, all from the middle", 0): lambda k=middle: reconstruction.zero_filled(k),
            }
            for prior, title in TITLES.items():
                weight = _best(chosen, scan, factor, prior)
                calls[f"cs-{prior}", title, 1] = lambda k=kspace, m=mask, w=weight, p=prior: (
                    reconstruction.compressed_sensing(k, m, w, prior=p)
                )
            for name in networks:
                about = pretrained.card(name)
                calls[name, about.title, about.parameters] = lambda n=name, k=kspace, m=mask: pretrained.reconstruct(
                    n, k, m
                )
            for (method, title, parameters), call in calls.items():
                began = time.perf_counter()
                result = call()
                seconds = time.perf_counter() - began
                rows.append(
                    {
                        **label,
                        "method": method,
                        "title": title,
                        **pair.scores(result),
                        "parameters": parameters,
                        "seconds_per_megavoxel": seconds / (pair.target.size / 1e6),
                    }
                )
    return rows


def _case(scan, image, factor, slices=SLICES, pattern="random"):
    key = f"{scan.subject} {scan.contrast}"
    return reconstruction.pair(image, factor, key=key, slices=slices, pattern=pattern)


def _choose(tuning):
    """(factor, prior) → validation scan → weight → PSNR, on one slice each."""
    found = {}
    for scan in runtime.progress(tuning, "choosing λ", unit="scan"):
        image = scan.read()
        for factor in FACTORS:
            pair = _case(scan, image, factor, slices=1)
            for prior, weights in WEIGHTS.items():
                found.setdefault((factor, prior), {})[scan] = {
                    weight: metrics.psnr(
                        pair.target,
                        np.abs(reconstruction.compressed_sensing(pair.given, pair.mask, weight, prior=prior)),
                    )
                    for weight in weights
                }
    return found


def _best(chosen, scan, factor, prior):
    """The weight that is best on the mean of the validation scans of this scan's kind, its own subject left out."""
    others = {s: curve for s, curve in chosen[factor, prior].items() if s.subject != scan.subject}
    alike = [curve for s, curve in others.items() if (s.data == "cohort") == (scan.data == "cohort")]
    pool = alike or list(others.values())
    return max(WEIGHTS[prior], key=lambda weight: np.mean([curve[weight] for curve in pool]))


BOARD = Board(
    task="reconstruction",
    title="Reconstruction from k-space",
    intro=(
        "One coil, Cartesian lines of phase encoding left out at random, denser in the middle; R = 4 and 8; 1 % noise. "
        f"{SLICES} axial slices of each scan, PSNR of the magnitudes over their stack. **Magnitude images that were "
        "given a simulated smooth phase, not measured k-space**: what a scanner adds (several coils, motion, "
        "off-resonance) is missing, and scans that were interpolated before they were published flatter everybody. "
        "Compare methods within a table, not with numbers from elsewhere. *As many lines, all from the middle* is what "
        "the same minutes give without any method: a coarser image. Compressed sensing: λ chosen among six on "
        "validation scans of the same kind, for each R. One network for both R."
    ),
    metrics={"psnr": ("PSNR (dB)", ".2f", "up"), "ssim": ("SSIM", ".3f", "up"), "hfen": ("HFEN", ".3f", "down")},
    reference="zero-filled",
    measure=measure,
)
