"""Reconstruction from k-space: classical methods tuned on validation scans against the shipped networks."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from medsr_course import runtime
from medsr_course.leaderboard import scans
from medsr_course.leaderboard.board import Board, Entry, Row
from medsr_course.leaderboard.scans import CT, Request, Scan
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
METRICS = {"psnr": ("PSNR (dB)", ".2f", "up"), "ssim": ("SSIM", ".3f", "up"), "hfen": ("HFEN", ".3f", "down")}
TUNING = ("T1w", "T2w", "FLAIR")  # contrasts


def measure(request: Request) -> list[Row]:
    """Rows of all methods on the cohort's test subjects and the real MR scans, R = 4 and 8, 1 % noise."""
    measured, tuning = scans.find(request)
    chosen = _choose([scan for scan in tuning if scan.contrast in TUNING])
    rows = []
    for scan in runtime.progress([scan for scan in measured if scan.group != CT], "reconstruction", unit="scan"):
        image = scan.read()
        for factor in FACTORS:
            target, kspace, mask = _case(scan, image, factor)
            _, middle, _ = _case(scan, image, factor, pattern="middle")
            given = {"kspace": kspace, "mask": mask, "other": middle}
            given |= {prior: scans.choose(scan, chosen[factor, prior]) for prior in WEIGHTS}
            scores = partial(_scores, target)
            rows += [entry.row(scan, f"R = {factor}", given, scores, target.size) for entry in _entries()]
    return rows


def _case(scan: Scan, image: Any, factor: int, slices: int = SLICES, pattern: str = "random") -> tuple:
    return reconstruction.scan(image, factor, key=scan.key, slices=slices, pattern=pattern)


def _scores(target: npt.NDArray, result: npt.NDArray) -> Row:
    return {name: getattr(metrics, name)(target, np.abs(result)) for name in METRICS}


def _entries() -> list[Entry]:
    """The methods, from k-space, mask, other k-space with as many lines from the middle, and weights, to images."""
    entries = [
        Entry("zero-filled", "Zero-filled", lambda given: reconstruction.zero_filled(given["kspace"])),
        Entry("middle", "As many lines, all from the middle", lambda given: reconstruction.zero_filled(given["other"])),
    ]
    entries += [Entry(f"cs-{prior}", title, partial(_sensed, prior), parameters=1) for prior, title in TITLES.items()]
    for name in pretrained.names("reconstruction"):
        card = pretrained.card(name)
        entries.append(Entry(name, card.title, partial(_network, name), card.parameters))
    return entries


def _sensed(prior: str, given: dict[str, Any]) -> npt.NDArray:
    return reconstruction.compressed_sensing(given["kspace"], given["mask"], given[prior], prior=prior)


def _network(name: str, given: dict[str, Any]) -> npt.NDArray:
    return pretrained.reconstruct(name, given["kspace"], given["mask"])


def _choose(tuning: list[Scan]) -> dict[tuple[int, str], dict[Scan, dict[float, float]]]:
    """(factor, prior) → validation scan → weight → PSNR, on one slice each."""
    found: dict[tuple[int, str], dict[Scan, dict[float, float]]] = {}
    for scan in runtime.progress(tuning, "choosing λ", unit="scan"):
        image = scan.read()
        for factor in FACTORS:
            target, kspace, mask = _case(scan, image, factor, slices=1)
            given = {"kspace": kspace, "mask": mask}
            for prior, weights in WEIGHTS.items():
                results = {weight: _sensed(prior, given | {prior: weight}) for weight in weights}
                curve = {weight: metrics.psnr(target, np.abs(result)) for weight, result in results.items()}
                found.setdefault((factor, prior), {})[scan] = curve
    return found


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
    metrics=METRICS,
    reference="zero-filled",
    measure=measure,
)
