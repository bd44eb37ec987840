"""The board of denoising: shipped networks and tuned classical filters, on added noise and on real repetitions."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import cache, scans
from medsr_course.leaderboard.board import Board, Entry, Row
from medsr_course.leaderboard.scans import COHORT, REPORT, Request, Scan
from medsr_course.networks import pretrained
from medsr_course.physics import grid, noise
from medsr_course.scans import datasets, volumes
from medsr_course.tasks import denoising
from medsr_course.tasks.pairs import setting
from medsr_course.types import Array, Stack

SLICES = 5  # of each scan that is measured
MODULES = ("physics/coils", "physics/grid", "physics/metrics", "physics/noise", "scans/volumes", "tasks/denoising")
AVERAGED = "dncnn-magnitude"  # measured as the average over eight flips and transposes, too, on the report scans
NOISY = "noisy truth"  # of so much noise of its own that nothing is concluded
RIVALS = {f"{name}{end}": (name, bool(end)) for name in denoising.FILTERS for end in ("", "-unbiased")}
Sweep = dict[Scan, dict[float, float]]


class Denoising(Board):
    """A board whose differences are to the noisy image and, on each scan, to the best of the filters."""

    over = {"gain": ("noisy", ("noisy",)), "difference": ("the best filter", tuple(RIVALS))}
    every_rival = False  # complex images have no bias to take off


def measure(request: Request) -> list[Row]:
    """Rows of every method under :data:`denoising.CONDITIONS` on MR scans, and on repetitions of a low-field scan."""
    measured, tuning = scans.find(request, tuning=1)
    measured = [scan for scan in measured if scan.group in (COHORT, REPORT)]
    swept: dict[tuple, Sweep] = {}
    for scan in runtime.progress(tuning, "strengths of filters", unit="scan"):
        for key, curve in _sweep(scan, request.fresh).items():
            swept.setdefault(key, {})[scan] = curve
    rows = []
    for scan in runtime.progress(measured, "denoising", unit="scan"):
        image = scan.read()
        for kind, level in denoising.CONDITIONS:
            pair = denoising.pair(image, level, kind, key=scan.key, slices=SLICES)
            own = _own_noise(pair.target)
            where = setting(kind, level) + (f", {NOISY}" if level < 2 * own else "")
            strengths = {rival: scans.choose(scan, swept[rival, kind, level]) for rival in RIVALS}
            for entry in _entries(strengths, best=scan.group == REPORT):
                rows.append(entry.row(scan, where, pair, pair.scores, pair.given.size) | {"own_noise": own})
    return rows + _repetitions()


def _own_noise(target: Stack) -> float:
    """Noise of the target itself in %, 0 where nothing tells it."""
    level = grid.intensity(target)[1]
    return 100 * (noise.estimate(target).sigma or 0.0) / level if level else 0.0


def _sweep(scan: Scan, fresh: bool) -> dict[tuple, dict[float, float]]:
    """(rival, kind, level) → strength → PSNR inside the head, on the middle slice of a development scan."""
    stack = volumes.axial_slices(scan.read(), n=1)
    kept = cache.Kept(repr(("denoising", cache.code(MODULES), scan.key)).encode() + stack.tobytes(), fresh)

    def measure(rival: str, kind: str, level: float, strengths: tuple) -> list[float]:
        pair = denoising.pair(stack, level, kind, key=f"tuning {scan.key}")
        return [pair.scores(_filtered(rival, pair, strength))["psnr_head"] for strength in strengths]

    found = {}
    for rival, (kind, level) in product(RIVALS, denoising.CONDITIONS):
        strengths = _strengths(RIVALS[rival][0])
        scores = kept.get(f"{rival} {kind} {level} {strengths}", partial(measure, rival, kind, level, strengths))
        found[rival, kind, level] = dict(zip(strengths, scores, strict=True))
    return found


def _strengths(name: str) -> tuple[float, ...]:
    """What is tried: coloured and very strong noise wants more than white noise does."""
    usual = denoising.FILTERS[name].strengths
    return *usual, *(usual[-1] * more for more in (1.4, 2.0, 2.8))


def _filtered(rival: str, pair: denoising.Pair, strength: float) -> Stack:
    name, unbiased = RIVALS[rival]
    result = denoising.FILTERS[name](pair, strength, correct=False)
    return noise.without_floor(result, pair.sigma, pair.coils).astype(np.float32) if unbiased else result


def _entries(strengths: dict[str, float], best: bool) -> list[Entry]:
    """The methods for magnitudes: ``strengths`` of the rivals, and whether quality "best", slow, is one of them."""
    entries = [Entry("noisy", "noisy", lambda pair: pair.given)]
    for rival, (name, unbiased) in RIVALS.items():
        title, strength = denoising.FILTERS[name].title + ", bias off" * unbiased, strengths[rival]
        entries.append(Entry(rival, title, partial(_filtered, rival, strength=strength), more={"strength": strength}))
    networks = _networks("rician", _magnitudes)
    return [*entries, *networks, *(entry.best() for entry in networks if best and entry.name == AVERAGED)]


def _networks(kind: str, apply: Callable[[str, Any], Array]) -> list[Entry]:
    cards = [card for card in map(pretrained.card, pretrained.names("denoising")) if card.usage["kind"] == kind]
    return [Entry(card.name, card.name, partial(apply, card.name), card.parameters) for card in cards]


def _magnitudes(name: str, pair: denoising.Pair, quality: str = "standard") -> Stack:
    return pretrained.denoise(name, pair.given, quality)


def _channels(name: str, pair: denoising.Repeated) -> Array:
    real, imaginary = np.split(pretrained.denoise(name, pair.channels), 2)
    return real + 1j * imaginary


def _repetitions() -> list[Row]:
    """Rows of complex images: filters on both channels at the strength that is best for this very scan."""
    rows = []
    for shield, images in datasets.repetitions().items():
        pair = denoising.repeated(images)
        scan = Scan("low-field", "validation", "noiseA", shield, lambda: None)
        entries = [Entry("noisy", "noisy", lambda pair: pair.given)]
        for name, found in denoising.FILTERS.items():
            best = pair.strongest(name, _strengths(name))
            apply = partial(denoising.Repeated.filtered, name=name, strength=best)
            entries.append(Entry(name, found.title, apply, more={"strength": best}))
        for entry in [*entries, *_networks("gaussian", _channels)]:
            row = entry.row(scan, f"two repetitions, complex, {shield}", pair, pair.scores, pair.given.size)
            rows.append(row | {"data": "real low field, development", "own_noise": None})
    return rows


BOARD = Denoising(
    task="denoising",
    title="Denoising",
    intro=(
        "Magnitudes with noise of one coil, of eight coils, and of a native grid 1.5 times coarser (interpolated): "
        f"complex Gaussian, σ in % of each slice's 99.5th percentile. {SLICES} axial slices of each scan; read *inside "
        "the head* first. Each filter, with its magnitude bias taken off (√max(M² − 2Nσ², 0)) and without, has its "
        "best strength of ten, chosen inside the head on development scans, with noise of the same kind and level, "
        'and is told σ and the number of coils N; the networks receive the noisy image alone; ", best" is the '
        "average over its eight flips and transposes. *The best filter* is the best on each scan. Scans carry noise of "
        "their own, which counts as truth: taking that out, too, counts as an error. Where it is at least half of what "
        f"was added, the table says *{NOISY}*, and does not tell who is better. **Repetitions**: complex low-field "
        "images (0.055 T), measured twice. No truth is needed: the error left is E|d(x₁) − x₂|² − E|x₁ − x₂|²/2, PSNR "
        "is from that, and filters have the strength that is best for this very scan."
    ),
    metrics={"psnr_head": ("PSNR inside the head (dB)", ".2f", "up"), "psnr": ("PSNR (dB)", ".2f", "up")},
    reference="noisy",
    measure=measure,
)
