"""The board of denoising: shipped networks and classical filters at their best, on test subjects and real scans."""

from functools import partial

from medsr_course import runtime
from medsr_course.leaderboard import scans
from medsr_course.leaderboard.board import Board, Entry, Row
from medsr_course.leaderboard.scans import COHORT, REPORT, Request
from medsr_course.networks import pretrained
from medsr_course.scans import volumes
from medsr_course.tasks import denoising
from medsr_course.types import Stack

TUNING_SLICES = 2  # of each validation scan, on which the strengths are chosen
SLICES = 5  # of each scan that is measured


def measure(request: Request) -> list[Row]:
    """Rows of every method at 3, 6 and 9 % of Rician and of Gaussian noise, on MR scans: the noise is that of MRI."""
    measured, validation = scans.find(request, tuning=1, real=("real-scans",))
    measured = [scan for scan in measured if scan.group in (COHORT, REPORT)]
    tuning = [volumes.axial_slices(scan.read(), n=TUNING_SLICES) for scan in validation]
    rows = []
    for kind in denoising.KINDS:
        for level in denoising.LEVELS:
            entries = _entries(kind, level, tuning)
            setting = f"{'magnitudes' if kind == 'rician' else 'real channel'}, {level} % noise"
            for scan in runtime.progress(measured, f"{kind}, {level} %", unit="scan"):
                pair = denoising.pair(scan.read(), level, kind, key=scan.key, slices=SLICES)
                rows += [entry.row(scan, setting, pair, pair.scores, pair.given.size) for entry in entries]
    return rows


def _entries(kind: str, level: float, tuning: list) -> list[Entry]:
    pairs = [denoising.pair(stack, level, kind, key=f"tuning {i}") for i, stack in enumerate(tuning)]
    entries = [Entry("noisy", "noisy", lambda pair: pair.given)]
    for name, found in denoising.FILTERS.items():
        best = denoising.choose(name, pairs)
        entries.append(Entry(name, found.title, best, more={"strength": best.strength}))
    for name in pretrained.names("denoising"):
        card = pretrained.card(name)
        if card.usage["kind"] == kind:
            apply = partial(_network, name)
            entries.append(Entry(name, name, apply, card.parameters))
    return entries


def _network(name: str, pair: denoising.Pair) -> Stack:
    return pretrained.denoise(name, pair.given)


BOARD = Board(
    task="denoising",
    title="Denoising",
    intro=(
        "Noise is added to scans (complex Gaussian, σ in % of each slice's 99.5th percentile) and taken out again. "
        "**Magnitudes** have Rician noise; there, filters are corrected for its bias (Koay & Basser 2006). The **real "
        "channel** has Gaussian noise. Each filter has its best strength of seven, chosen on validation scans for each "
        "kind and level, and receives the true σ; the networks receive the noisy image alone. Five axial slices of "
        "each scan. Real scans carry noise of their own, which counts as truth."
    ),
    metrics={"psnr": ("PSNR (dB)", ".2f", "up"), "psnr_head": ("PSNR inside the head (dB)", ".2f", "up")},
    reference="nlm",
    measure=measure,
)
