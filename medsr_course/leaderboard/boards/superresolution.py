"""The board of super-resolution: classical methods, trained networks and, on noisy scans, filters after zero-filling.

Rows are kept in the cache: a second run measures only what is new.
"""

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import cache, markdown, methods, scans, statistics, tables
from medsr_course.leaderboard.board import Board, Row, timed
from medsr_course.leaderboard.figure import figure
from medsr_course.leaderboard.methods import BEST, FILTERS
from medsr_course.leaderboard.scans import COHORT, CONTRASTS, GROUPS, Request, Scan
from medsr_course.physics.interpolation import zero_fill
from medsr_course.physics.noise import noise_sigma
from medsr_course.scans import phantom, volumes
from medsr_course.tasks import superresolution
from medsr_course.types import Stack

NOISES = {2: (0, 3, 6), 4: (0,)}  # %, by scale
ROWS_VERSION = 2  # raise it when a row would come out differently: kept rows are then measured again
MODULES = (  # what a row depends on
    *(f"physics/{name}" for name in ("acquisition", "grid", "interpolation", "metrics", "noise")),
    *("scans/volumes", "tasks/denoising", "tasks/pairs", "tasks/superresolution"),
)
PLAIN = ("zip", *(f"{name}{BEST}" for name, f in FILTERS.items() if not f.rician))
STRICT = ("zip", *(f"{name}{BEST}" for name in FILTERS))
ENDS = (("", ""), ("", "_low"), ("", "_high"), ("least_", ""))  # of the columns of a gain


class SuperResolution(Board):
    """A board whose conditions are scale and noise, and whose differences are gains over ZIP and over filters."""

    labels = ("method", "scale", "noise", "data", "split", "subject", "contrast")
    conditions = ("scale", "noise")
    files = (".csv", "-means.csv", "-tests.csv", ".md", ".png")
    stem = "leaderboard"
    over = {"gain": ("ZIP", ("zip",)), "over_best": ("plain filters", PLAIN), "over_strict": ("all filters", STRICT)}
    compared = {"psnr": "", "psnr_head": "_head"}
    counts_reference = True

    def group(self, row: Row) -> str:
        return scans.group(row["data"], row["split"], row["contrast"])

    def columns(self, rows: Iterable[Row]) -> list[str]:
        return [*self.labels, *self.metrics, "seconds_per_megavoxel", "parameters", "strength"]

    def about(self, request: Request, rows: Iterable[Row]) -> str:
        people: dict[str, dict[str, None]] = {kind: {} for kind in GROUPS}
        contrasts: dict[str, None] = {}
        for row in rows:
            people[self.group(row)][row["subject"]] = None
            contrasts |= {row["contrast"]: None} if self.group(row) == COHORT else {}
        told = [f"{kind}: {', '.join(people[kind])}" for kind in GROUPS[1:] if people[kind]]
        if request.data == "all" and not told:
            told = ["no real scans are here, so that this is the cohort alone"]
        if count := len(people[COHORT]):
            version = f"generator version {phantom.VERSION}, seed {request.seed}, {request.subjects} made"
            cohort = f"{count} test subject{'s' * (count > 1)} of the synthetic cohort ({version})"
            told.insert(0, f"{cohort} in {', '.join(contrasts)}")
        return "; ".join(told) + "."

    def tables(self, rows: list[Row]) -> list[markdown.Table]:
        return markdown.gain_tables(summary(rows))

    def page(self, rows: list[Row], note: str) -> str:
        tested = [test for test in tests(rows) if test["group"] == statistics.UNSEEN]
        return markdown.gain_page(self, rows, summary(rows), tested, note)

    def write_more(self, rows: list[Row], folder: Path, note: str) -> None:
        figure(self, rows, folder / f"{self.stem}.png")
        lines, gains = summary(rows), [f"{key}{end}" for key in self.over for end in self.compared.values()]
        for line, key in product(lines, gains):
            ends = (key, f"{key}_low", f"{key}_high")
            line |= dict(zip(ends, line[key] or (None, None, None), strict=True))
        start = ["group", *self.conditions, "method"]
        columns = [*start, "subjects", "scans", *self.metrics, "seconds_per_megavoxel", "parameters"]
        columns += [f"{a}{key}{b}" for key in gains for a, b in ENDS]
        tables.write(folder / f"{self.stem}-means.csv", lines, columns, note)
        columns = [*start, "reference", "subjects", "mean_gain", "p", "p_holm", "smallest_p"]
        tables.write(folder / f"{self.stem}-tests.csv", tests(rows), columns, note)


def measure(request: Request) -> list[Row]:
    """Rows of every method on every scan; rows that were measured before come from the cache."""
    names = methods.select(request.names, request.scales)
    measured, tuning = scans.find(request)
    request.announce(BOARD.about(request, [_label(scan) for scan in measured]))
    filters = [name for name in names if name in FILTERS and 2 in request.scales]
    plain = [methods.get(name) for name in names if name not in FILTERS]
    benches: dict[Scan, _Bench] = {}
    swept: dict[tuple, dict[Scan, dict[float, float]]] = {}
    for scan in runtime.progress(tuning, "strengths of filters", unit="scan") if filters else ():
        benches[scan] = bench = _Bench(scan, request.fresh)
        for name, noise in product(filters, _noises(2, scan)[1:]):
            curve = {strength: full for strength, (full, _) in bench.sweep(name, noise).items()}
            swept.setdefault((name, noise), {})[scan] = curve
        bench.forget()
    rows: list[Row] = []
    for scan in runtime.progress(measured, "leaderboard", unit="scan"):
        bench = benches.get(scan) or _Bench(scan, request.fresh)
        for scale, method in product(request.scales, plain):
            if method.can(scale):
                noises = _noises(scale, scan) if method.learned or method.name == "zip" else (0,)
                rows += [bench.row(method.name, scale, noise) for noise in noises]
        for name, noise in product(filters, _noises(2, scan)[1:]):
            rows.append(bench.row(name, 2, noise, scans.choose(scan, swept[name, noise])))
            rows.append(bench.best_row(name, noise))
        bench.forget()
    place = {name: k for k, name in enumerate(methods.order())}

    def order(row: Row) -> tuple:
        scan = GROUPS.index(BOARD.group(row)), row["data"], row["subject"], CONTRASTS.index(row["contrast"])
        return row["scale"], row["noise"], *scan, place[row["method"]]

    return sorted(rows, key=order)


def _noises(scale: int, scan: Scan) -> tuple[int, ...]:
    """Noise in %, first none. No noise is added to CT: its own is not that of a magnitude image."""
    return (0,) if scan.contrast == "CT" else NOISES[scale]


def _label(scan: Scan) -> Row:
    return {key: getattr(scan, key) for key in ("data", "split", "subject", "contrast")}


class _Bench:
    """Measures on one scan; what several methods need is made once."""

    def __init__(self, scan: Scan, fresh: bool) -> None:
        image = scan.read()
        self.scan, self._image = scan, image
        about = ROWS_VERSION, cache.code(MODULES), scan.contrast, volumes.pixel_size(image), scan.subject
        self._kept = cache.Kept(
            repr(about).encode() + np.ascontiguousarray(volumes.axial_slices(image)).tobytes(), fresh
        )
        self._made: dict[tuple, Any] = {}

    def forget(self) -> None:
        """Let go of the image and what was made of it."""
        self._image, self._made = None, {}

    def row(self, name: str, scale: int, noise: int, strength: float | str = "") -> Row:
        """Returns the row of a method, or of a filter at a strength."""
        method = None if name in FILTERS else methods.get(name)

        def measure() -> Row:
            pair = self._pair(scale, noise)
            if method and method.learned:
                method(pair.given[:1], scale)  # a session is made at the first call
            result, seconds = timed(method, pair.given, scale) if method else self._filtered(name, noise, strength)
            return pair.scores(result) | {"seconds_per_megavoxel": seconds / (pair.target.size / 1e6)}

        values = self._kept.get(f"{methods.identity(name)} x{scale} {noise}% {strength}", measure)
        about = {"method": name, "scale": scale, "noise": noise, "strength": strength}
        return values | about | _label(self.scan) | {"parameters": method.parameters if method else 0}

    def sweep(self, name: str, noise: int) -> dict[float, tuple[float, float]]:
        """Returns strength → PSNR, full and inside the head, of a filter."""
        strengths = FILTERS[name].strengths

        def measure() -> list[list[float]]:
            results = (self._filtered(name, noise, strength)[0] for strength in strengths)
            return [list(self._pair(2, noise).psnrs(result).values()) for result in results]

        return dict(zip(strengths, self._kept.get(f"sweep {name} {strengths} {noise}%", measure), strict=True))

    def best_row(self, name: str, noise: int) -> Row:
        """Returns the row of a filter at the strength that its own truth shows best; in the head, at the best there."""
        swept = self.sweep(name, noise)
        row = self.row(name, 2, noise, max(swept, key=lambda strength: swept[strength][0]))
        return row | {"method": name + BEST, "psnr_head": max(head for _, head in swept.values())}

    def _pair(self, scale: int, noise: int) -> superresolution.Pair:
        if (scale, noise) not in self._made:
            self._image = self._image or self.scan.read()
            self._made[scale, noise] = superresolution.pair(
                self._image, scale, noise=noise, key=self.scan.key, contrast=self.scan.contrast
            )
        return self._made[scale, noise]

    def _filtered(self, name: str, noise: int, strength: Any) -> tuple[Stack, float]:
        """Result of a filter after zero-filling, and the seconds it took."""
        coarse = self._pair(2, noise).given
        used, sigma = FILTERS[name], noise_sigma(coarse, noise).ravel()
        key = used.apply, noise, strength
        if key not in self._made:
            self._made[key] = timed(lambda: used.apply(zero_fill(coarse, 2), sigma, strength))
        smooth, seconds = self._made[key]
        return used.finish(smooth, sigma), seconds


BOARD = SuperResolution(
    task="super-resolution",
    title="Super-resolution",
    intro="![Gain over zero-filling by method, with 95 % intervals](leaderboard.png)",
    metrics={
        "psnr": ("PSNR", ".2f", "up"),
        "psnr_head": ("in head", ".2f", "up"),
        "ssim": ("SSIM", ".4f", "up"),
        "hfen": ("HFEN", ".3f", "down"),
        "low_band": ("low band", ".4f", "down"),
    },
    reference="zip",
    measure=measure,
)


def summary(rows: list[Row]) -> list[Row]:
    """Returns :func:`statistics.means` as a list: gains over what :attr:`SuperResolution.over` names."""
    lines = [line for group in statistics.means(BOARD, rows).values() for line in group]
    return [line | {"title": methods.title(line["method"])} for line in lines]


def tests(rows: list[Row]) -> list[Row]:
    """Returns :func:`statistics.tests` of the trained networks."""
    return statistics.tests(BOARD, rows, methods.names(learned=True))
