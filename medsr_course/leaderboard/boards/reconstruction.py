"""Reconstruction from k-space: classical methods tuned on validation scans against the shipped networks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import scans
from medsr_course.leaderboard.board import Board, Entry, Row
from medsr_course.leaderboard.scans import CT, Request, Scan
from medsr_course.networks import pretrained
from medsr_course.physics import metrics
from medsr_course.tasks import parallel, reconstruction
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
    """Rows of all methods on the cohort's test subjects and the real MR scans, one coil and eight, 1 % noise."""
    measured, tuning = scans.find(request)
    chosen = _choose([scan for scan in tuning if scan.contrast in TUNING])
    rows = []
    for scan in runtime.progress([scan for scan in measured if scan.group != CT], "reconstruction", unit="scan"):
        image = scan.read()
        for factor in FACTORS:
            for kind in KINDS:
                weights = {prior: scans.choose(scan, chosen[factor, kind, prior]) for prior in WEIGHTS}
                rows += kind.rows(scan, image, factor, weights)
    return rows


@dataclass(frozen=True, eq=False)
class Kind:
    """One coil, or several: what is measured of a scan, and the methods."""

    prefix: str  # of the setting
    coils: bool  # whether its networks are those for several coils
    case: Callable[..., Any]  # (image, factor, key=, slices=, pattern=) → what methods are given
    target: Callable[[Any], Array]
    methods: dict[str, tuple[str, Callable[[Any], Array]]]  # without a weight: name → title, method
    sensed: Callable[[str, float, Any], Array]
    applied: Callable[[str, Any], Array]

    def rows(self, scan: Scan, image: Image, factor: int, weights: dict[str, float]) -> list[Row]:
        """The rows of all methods on a scan."""
        given, middle = (
            self.case(image, factor, key=scan.key, slices=SLICES, pattern=pattern) for pattern in ("random", "middle")
        )
        target = self.target(given)
        found = [Entry(name, title, method) for name, (title, method) in self.methods.items()]
        last = found[-1].apply
        found.append(Entry("middle", "As many lines, all from the middle", lambda _: last(middle)))
        for prior, title in TITLES.items():
            found.append(Entry(f"cs-{prior}", title, partial(self.sensed, prior, weights[prior]), parameters=1))
        for name in pretrained.names("reconstruction"):
            card = pretrained.card(name)
            if bool(card.settings.get("coils")) == self.coils:
                found.append(Entry(name, card.title, partial(self.applied, name), card.parameters))
        setting, scores = f"{self.prefix}R = {factor}", partial(reconstruction.scores, target)
        return [entry.row(scan, setting, given, scores, target.size) for entry in found]


def _each(method: Callable[..., Array]) -> Callable[..., Array]:
    """A method whose last argument is a case, for a list of them."""
    return lambda *given: np.stack([method(*given[:-1], case) for case in given[-1]])


KINDS = (
    Kind(
        prefix="",
        coils=False,
        case=reconstruction.pair,
        target=lambda pair: pair.target,
        methods={"zero-filled": ("Zero-filled", lambda pair: reconstruction.zero_filled(pair.given))},
        sensed=lambda prior, weight, pair: reconstruction.compressed_sensing(
            pair.given, pair.mask, weight, prior=prior
        ),
        applied=lambda name, pair: pretrained.reconstruct(name, pair.given, pair.mask),
    ),
    Kind(
        prefix="eight coils, ",
        coils=True,
        case=parallel.cases,
        target=lambda cases: np.stack([c.target for c in cases]),
        methods={
            "zero-filled": ("Zero-filled", _each(lambda c: parallel.combined(c.kspace, c.maps))),
            "least-squares": (
                "Least squares",
                _each(lambda c: parallel.least_squares(c.kspace, c.maps, c.mask, pretrained.LEAST_SQUARES)),
            ),
        },
        sensed=_each(lambda prior, weight, c: parallel.sparse(c.kspace, c.maps, c.mask, weight, prior=prior)),
        applied=_each(lambda name, c: pretrained.reconstruct_coils(name, c.kspace, c.maps, c.mask)),
    ),
)


def _choose(tuning: list[Scan]) -> dict[tuple[int, Kind, str], dict[Scan, dict[float, float]]]:
    """(factor, kind, prior) → validation scan → weight → PSNR, on one slice each."""
    found: dict[tuple[int, Kind, str], dict[Scan, dict[float, float]]] = {}
    for scan in runtime.progress(tuning, "choosing λ", unit="scan"):
        image = scan.read()
        for factor, kind in product(FACTORS, KINDS):
            given = kind.case(image, factor, key=scan.key, slices=1)
            target = kind.target(given)
            for prior, weights in WEIGHTS.items():
                results = {weight: np.abs(kind.sensed(prior, weight, given)) for weight in weights}
                curve = {weight: metrics.psnr(target, result) for weight, result in results.items()}
                found.setdefault((factor, kind, prior), {})[scan] = curve
    return found


BOARD = Board(
    task="reconstruction",
    title="Reconstruction from k-space",
    intro=(
        "One coil or eight, Cartesian lines of phase encoding left out at random, denser in the middle; R = 4 and 8; "
        "1 % noise in each channel of each coil. The eight coils are simulated, and every method is told their "
        f"sensitivities; least squares stops after {pretrained.LEAST_SQUARES} steps. "
        f"{SLICES} axial slices of each scan, PSNR of the magnitudes over their stack. **Magnitude images that were "
        "given a simulated smooth phase, not measured k-space**: what a scanner adds (several coils, motion, "
        "off-resonance) is missing, and scans that were interpolated before they were published flatter everybody. "
        "Compare methods within a table, not with numbers from elsewhere. *As many lines, all from the middle* is what "
        "the same minutes give without any method: a coarser image. Compressed sensing: λ chosen among six on "
        "validation scans of the same kind, for each R and number of coils. One network for both R."
    ),
    metrics={"psnr": ("PSNR (dB)", ".2f", "up"), "ssim": ("SSIM", ".3f", "up"), "hfen": ("HFEN", ".3f", "down")},
    reference="zero-filled",
    measure=measure,
)
