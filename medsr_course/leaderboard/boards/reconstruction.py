"""Reconstruction from k-space: classical methods tuned on validation scans against the shipped networks."""

from functools import partial

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import scans
from medsr_course.leaderboard.board import Board, Entry, Row
from medsr_course.leaderboard.scans import CT, Request, Scan
from medsr_course.networks import pretrained
from medsr_course.physics import metrics
from medsr_course.tasks import reconstruction
from medsr_course.types import Array, Image

FACTORS = (4, 8)
SLICES = 3  # of each scan, spread over the brain: compressed sensing takes its time
WEIGHTS = {  # of compressed sensing, what is tried
    "wavelet": (0.0007, 0.002, 0.006, 0.02, 0.06, 0.2),
    "tv": (0.0003, 0.001, 0.003, 0.009, 0.03, 0.09),
}
TITLES = {"wavelet": "Compressed sensing, wavelets", "tv": "Compressed sensing, total variation"}
TUNING = ("T1w", "T2w", "FLAIR")  # contrasts


def measure(request: Request) -> list[Row]:
    """Rows of all methods on the cohort's test subjects and the real MR scans, R = 4 and 8, 1 % noise."""
    measured, tuning = scans.find(request)
    chosen = _choose([scan for scan in tuning if scan.contrast in TUNING])
    rows = []
    for scan in runtime.progress([scan for scan in measured if scan.group != CT], "reconstruction", unit="scan"):
        image = scan.read()
        for factor in FACTORS:
            pair = _case(scan, image, factor)
            other = _case(scan, image, factor, pattern="middle").given
            weights = {prior: scans.choose(scan, chosen[factor, prior]) for prior in WEIGHTS}
            entries = _entries(other, weights)
            rows += [entry.row(scan, f"R = {factor}", pair, pair.scores, pair.target.size) for entry in entries]
    return rows


def _case(scan: Scan, image: Image, factor: int, slices: int = SLICES, pattern: str = "random") -> reconstruction.Pair:
    return reconstruction.pair(image, factor, key=scan.key, slices=slices, pattern=pattern)


def _entries(other: Array, weights: dict[str, float]) -> list[Entry]:
    """The methods, from a pair to images; ``other`` is k-space with as many lines, all from the middle."""
    entries = [
        Entry("zero-filled", "Zero-filled", lambda pair: reconstruction.zero_filled(pair.given)),
        Entry("middle", "As many lines, all from the middle", lambda pair: reconstruction.zero_filled(other)),
    ]
    for prior, title in TITLES.items():
        entries.append(Entry(f"cs-{prior}", title, partial(_sensed, prior, weights[prior]), parameters=1))
    for name in pretrained.names("reconstruction"):
        card = pretrained.card(name)
        if card.settings.get("coils"):
            continue  # k-space of one coil here
        entries.append(Entry(name, card.title, partial(_network, name), card.parameters))
    return entries


def _sensed(prior: str, weight: float, pair: reconstruction.Pair) -> Array:
    return reconstruction.compressed_sensing(pair.given, pair.mask, weight, prior=prior)


def _network(name: str, pair: reconstruction.Pair) -> Array:
    return pretrained.reconstruct(name, pair.given, pair.mask)


def _choose(tuning: list[Scan]) -> dict[tuple[int, str], dict[Scan, dict[float, float]]]:
    """(factor, prior) → validation scan → weight → PSNR, on one slice each."""
    found: dict[tuple[int, str], dict[Scan, dict[float, float]]] = {}
    for scan in runtime.progress(tuning, "choosing λ", unit="scan"):
        image = scan.read()
        for factor in FACTORS:
            pair = _case(scan, image, factor, slices=1)
            for prior, weights in WEIGHTS.items():
                results = {weight: np.abs(_sensed(prior, weight, pair)) for weight in weights}
                curve = {weight: metrics.psnr(pair.target, result) for weight, result in results.items()}
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
    metrics={"psnr": ("PSNR (dB)", ".2f", "up"), "ssim": ("SSIM", ".3f", "up"), "hfen": ("HFEN", ".3f", "down")},
    reference="zero-filled",
    measure=measure,
)
