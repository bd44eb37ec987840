"""The board of super-resolution: classical methods, trained networks and, on noisy scans, filters after zero-filling.

Rows are kept in the cache: a second run measures only what is new.
"""

from collections.abc import Iterable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import cache, markdown, methods, scans, statistics, tables
from medsr_course.leaderboard.board import Board, Row, timed
from medsr_course.leaderboard.figure import figure
from medsr_course.leaderboard.methods import FILTERS
from medsr_course.leaderboard.scans import COHORT, CONTRASTS, GROUPS, REPORT, Request, Scan
from medsr_course.physics.interpolation import zero_fill
from medsr_course.scans import phantom, volumes
from medsr_course.tasks import superresolution
from medsr_course.tasks.pairs import setting

ROWS_VERSION = 3  # raise it when a row would come out differently: kept rows are then measured again
MODULES = (  # what a row depends on
    *(f"physics/{name}" for name in ("acquisition", "coils", "grid", "interpolation", "metrics", "noise")),
    *("scans/volumes", "tasks/denoising", "tasks/pairs", "tasks/superresolution"),
)
RIVALS = ("zip", *FILTERS)  # in noise
ENDS = (("", ""), ("", "_low"), ("", "_high"), ("least_", ""))  # of the columns of a gain
QUICK = ("psnr", "psnr_head", "better")  # metrics of all rows; the others are of stored and signed images


class SuperResolution(Board):
    """A board whose conditions are scale and kind of input; differences are gains over ZIP and over filters."""

    labels = ("method", "scale", "setting", "data", "split", "subject", "contrast")
    conditions = ("scale", "setting")
    files = (".csv", "-means.csv", "-tests.csv", ".md", ".png")
    stem = "leaderboard"
    over = {"gain": ("ZIP", ("zip",)), "over_best": ("filters", RIVALS)}
    compared = {"psnr": "", "psnr_head": "_head"}
    counts_reference = True

    def group(self, row: Row) -> str:
        return scans.group(row["data"], row["split"], row["contrast"])

    def columns(self, rows: Iterable[Row]) -> list[str]:
        return [*self.labels, *self.metrics, "seconds_per_megavoxel", "parameters"]

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
            version = f"generator version {phantom.VERSION}, seed {request.seed}, every sixth of {request.subjects}"
            cohort = f"{count} test subject{'s' * (count > 1)} of the synthetic cohort ({version})"
            told.insert(0, f"{cohort}, each in one of {', '.join(contrasts)}")
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
    measured, _ = scans.find(request, tuning=0)
    request.announce(BOARD.about(request, [_label(scan) for scan in measured]))
    rows: list[Row] = []
    for scan in runtime.progress(measured, "leaderboard", unit="scan"):
        bench = _Bench(scan, request.fresh)
        for scale, name in product(request.scales, names):
            rows += [bench.row(name, scale, *condition) for condition in _conditions(name, scale, scan)]
        bench.forget()
    place = {name: k for k, name in enumerate(methods.order())}
    settings = [setting(*condition) for condition in superresolution.CONDITIONS[2]]

    def order(row: Row) -> tuple:
        scan = GROUPS.index(BOARD.group(row)), row["data"], row["subject"], CONTRASTS.index(row["contrast"])
        return row["scale"], settings.index(row["setting"]), *scan, place[row["method"]]

    return sorted(rows, key=order)


def _conditions(name: str, scale: int, scan: Scan) -> list[tuple[str, float]]:
    """Kinds of input and noise that a method is measured on: filters on noise, classical methods without it.

    CT is signed, and its own noise is not that of a magnitude image: it is measured signed and as it is.
    """
    found: list[tuple[str, float]] = []
    for kind, noise in superresolution.CONDITIONS[scale]:
        wanted = bool(noise) if name in FILTERS else methods.get(name).can(scale)
        if noise and name not in FILTERS:
            wanted = wanted and (name == "zip" or methods.get(name).learned)
        if name.endswith(methods.BEST):  # which takes eight times as long
            wanted = wanted and scan.data != "cohort" and (not noise or scan.group == REPORT)
        if wanted and (scan.contrast != "CT" or kind == "signed"):
            found.append((kind, noise))
    return found


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

    def row(self, name: str, scale: int, kind: str, noise: float) -> Row:
        """Returns the row of a method, or of a filter with each score at the strength that is best for it."""
        call = partial(self._filter if name in FILTERS else self._method, name, scale, kind, noise)
        tried = FILTERS[name].strengths if name in FILTERS else ""
        values = self._kept.get(f"{methods.identity(name)} x{scale} {setting(kind, noise)} {tried}", call)
        about = {"method": name, "scale": scale, "setting": setting(kind, noise)}
        parameters = 0 if name in FILTERS else methods.get(name).parameters
        return dict.fromkeys(BOARD.metrics) | values | about | _label(self.scan) | {"parameters": parameters}

    def _method(self, name: str, scale: int, kind: str, noise: float) -> Row:
        method, pair = methods.get(name), self._pair(scale, kind, noise)
        if method.learned:
            method(pair.given[:1], scale)  # a session is made at the first call
        result, seconds = timed(method, pair.given, scale)
        found = pair.psnrs(result) if noise else pair.scores(result)
        scores: Row = {key: value for key, value in found.items() if key in BOARD.metrics}
        scores["better"] = None if name == "zip" else 100 * pair.better(result, zero_fill(pair.given, scale))
        return scores | {"seconds_per_megavoxel": seconds / (pair.target.size / 1e6)}

    def _filter(self, name: str, scale: int, kind: str, noise: float) -> Row:
        pair, used, swept = self._pair(scale, kind, noise), FILTERS[name], []
        start, sigma = zero_fill(pair.given, scale), np.ravel(pair.sigma)
        for strength in used.strengths:
            key = used.apply, scale, kind, noise, strength
            if key not in self._made:
                self._made[key] = timed(used.apply, start, sigma, strength)
            smooth, seconds = self._made[key]
            result = used.finish(smooth, pair)
            swept.append(pair.psnrs(result) | {"better": 100 * pair.better(result, start)})
        best: Row = {key: max(row[key] for row in swept) for key in QUICK}
        return best | {"seconds_per_megavoxel": seconds / (pair.target.size / 1e6)}

    def _pair(self, scale: int, kind: str, noise: float) -> superresolution.Pair:
        if (scale, kind, noise) not in self._made:
            self._image = self._image or self.scan.read()
            self._made[scale, kind, noise] = superresolution.pair(
                self._image, scale, noise=noise, key=self.scan.key, contrast=self.scan.contrast, kind=kind
            )
        return self._made[scale, kind, noise]


BOARD = SuperResolution(
    task="super-resolution",
    title="Super-resolution",
    intro="![Gain over zero-filling by method, with 95 % intervals](leaderboard.png)",
    metrics={
        "psnr": ("PSNR", ".2f", "up"),
        "psnr_head": ("in head", ".2f", "up"),
        "ssim": ("SSIM", ".4f", "up"),
        "hfen": ("HFEN", ".3f", "down"),
        "better": ("slices better than ZIP (%)", ".1f", "up"),
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
