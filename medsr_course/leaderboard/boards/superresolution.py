"""The board of super-resolution: classical methods, trained networks and, on noisy scans, filters after zero-filling.

Rows are kept in the cache: a second run measures only what is new.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medsr_course import runtime
from medsr_course.leaderboard import cache, markdown, methods, scans, statistics, tables
from medsr_course.leaderboard.board import Board, Row, timed
from medsr_course.leaderboard.figure import figure
from medsr_course.leaderboard.methods import BEST, FILTERS
from medsr_course.leaderboard.scans import COHORT, CONTRASTS, GROUPS, Request, Scan
from medsr_course.physics.acquisition import noise_sigma
from medsr_course.physics.interpolation import zero_fill
from medsr_course.scans import phantom, volumes
from medsr_course.tasks import superresolution

NOISES = {2: (0, 3, 6), 4: (0,)}  # %, by scale
ROWS_VERSION = 2  # raise it when a row would come out differently: kept rows are then measured again
MODULES = (  # what a row depends on
    *("physics/acquisition", "physics/grid", "physics/interpolation", "physics/metrics"),
    *("scans/volumes", "tasks/denoising", "tasks/superresolution"),
)
PLAIN = ("zip", *(f"{name}{BEST}" for name, f in FILTERS.items() if not f.rician))
STRICT = ("zip", *(f"{name}{BEST}" for name in FILTERS))


class SuperResolution(Board):
    """A board whose conditions are scale and noise, and whose differences are gains over ZIP and over filters."""

    labels = ("method", "scale", "noise", "data", "split", "subject", "contrast")
    conditions = ("scale", "noise")
    files = (".csv", "-means.csv", "-tests.csv", ".md", ".png")
    stem = "leaderboard"
    over = {
        "gain": ("ZIP", ("zip",)),
        "over_best": ("plain filters", PLAIN),
        "over_strict": ("all filters", STRICT),
    }
    compared = {"psnr": "", "psnr_head": "_head"}
    counts_reference = True

    def group(self, row: Row) -> str:
        return scans.group(row["data"], row["split"], row["contrast"])

    def columns(self, rows: Iterable[Row]) -> list[str]:
        return [*self.labels, *self.metrics, "seconds_per_megavoxel", "parameters", "strength"]

    def about(self, request: Request, rows: Iterable[Row]) -> str:
        people: dict[str, dict[str, None]] = {kind: {} for kind in GROUPS}
        contrasts = {}
        for row in rows:
            people[self.group(row)][row["subject"]] = None
            contrasts |= {row["contrast"]: None} if self.group(row) == COHORT else {}
        told = []
        if count := len(people[COHORT]):
            told.append(
                f"{count} test subject{'s' * (count > 1)} of the synthetic cohort (generator version "
                f"{phantom.VERSION}, seed {request.seed}, {request.subjects} made) in {', '.join(contrasts)}"
            )
        told += [f"{kind}: {', '.join(people[kind])}" for kind in GROUPS[1:] if people[kind]]
        if request.data == "all" and not any(people[kind] for kind in GROUPS[1:]):
            told.append("no real scans are here, so that this is the cohort alone")
        return "; ".join(told) + "."

    def tables(self, rows: list[Row]) -> list[markdown.Table]:
        return markdown.gain_tables(summary(rows))

    def page(self, rows: list[Row], note: str) -> str:
        tested = [test for test in tests(rows) if test["group"] == statistics.UNSEEN]
        return markdown.gain_page(self, rows, summary(rows), tested, note)

    def write_more(self, rows: list[Row], folder: Path, note: str) -> None:
        figure(self, rows, folder / f"{self.stem}.png")
        gains = [f"{key}{end}" for key in self.over for end in self.compared.values()]
        flat = []
        for line in summary(rows):
            for key in gains:
                values = ["" if v is None else float(v) for v in line[key] or (None, None, None)]
                line |= dict(zip((key, f"{key}_low", f"{key}_high"), values, strict=True))
            flat.append(line)
        columns = ["group", *self.conditions, "method", "subjects", "scans", *self.metrics]
        columns += ["seconds_per_megavoxel", "parameters"]
        columns += [column for key in gains for column in (key, f"{key}_low", f"{key}_high", f"least_{key}")]
        tables.write(folder / f"{self.stem}-means.csv", flat, columns, note)
        columns = ["group", *self.conditions, "method", "reference", "subjects", "mean_gain"]
        tables.write(folder / f"{self.stem}-tests.csv", tests(rows), [*columns, "p", "p_holm", "smallest_p"], note)


def measure(request: Request) -> list[Row]:
    """Rows of every method on every scan; rows that were measured before come from the cache."""
    names = methods.select(request.names, request.scales)
    measured, tuning = scans.find(request)
    request.announce(BOARD.about(request, [_label(scan) for scan in measured]))
    filters = [name for name in names if name in FILTERS and 2 in request.scales]
    jobs: list[tuple[Scan, str, str, int, int]] = []
    for scan in [*(tuning if filters else []), *(scan for scan in measured if scan not in tuning or not filters)]:
        jobs += [(scan, "sweep", name, 2, noise) for name in filters for noise in _noises(2, scan) if noise]
        jobs += [(scan, "row", *job) for job in _jobs(scan, names, request.scales) if scan in measured]
    for scan in measured:
        jobs += [(scan, "filter", name, 2, noise) for name in filters for noise in _noises(2, scan) if noise]

    rows: list[Row] = []
    swept: dict[tuple, dict[Scan, dict[float, float]]] = {}
    benches: dict[Scan, _Bench] = {}
    last = None
    for scan, what, name, scale, noise in runtime.progress(jobs, "leaderboard", unit="row"):
        if last and scan is not last:
            benches[last].forget_image()
        last = scan
        if scan not in benches:
            benches[scan] = _Bench(scan, request.fresh)
        bench = benches[scan]
        if what == "sweep":
            found = bench.sweep(name, noise)
            swept.setdefault((name, noise), {})[scan] = {strength: full for strength, (full, _) in found.items()}
        elif what == "row":
            rows.append(bench.row(name, scale, noise))
        else:
            rows.append(bench.row(name, scale, noise, scans.choose(scan, swept[name, noise])))
            rows.append(bench.best_row(name, noise))
    place = {name: k for k, name in enumerate(methods.order())}

    def order(row):
        scan = GROUPS.index(BOARD.group(row)), row["data"], row["subject"], CONTRASTS.index(row["contrast"])
        return row["scale"], row["noise"], *scan, place[row["method"]]

    return sorted(rows, key=order)


def _jobs(scan: Scan, names: list[str], wanted: Iterable[int]) -> Iterator[tuple[str, int, int]]:
    """Method, scale and noise of the rows of a scan, filters left out."""
    for scale in wanted:
        for noise in _noises(scale, scan):
            for method in (methods.get(name) for name in names if name not in FILTERS):
                if method.can(scale) and (noise == 0 or method.name == "zip" or method.learned):
                    yield method.name, scale, noise


def _noises(scale: int, scan: Scan) -> tuple[int, ...]:
    """Added noise in %. None for CT: its noise is not that of a magnitude image."""
    return (0,) if scan.contrast == "CT" else NOISES.get(scale, (0,))


def _label(scan: Scan) -> Row:
    return {key: getattr(scan, key) for key in ("data", "split", "subject", "contrast")}


class _Bench:
    """Measures on one scan; what filters share is done once."""

    def __init__(self, scan: Scan, fresh: bool) -> None:
        self.scan, self._image = scan, scan.read()
        self._options = {"contrast": scan.contrast, "pixel_size": volumes.pixel_size(self._image)}
        self._pairs: dict[tuple, tuple] = {}
        self._smooth: dict[tuple, tuple] = {}
        voxels = np.ascontiguousarray(volumes.axial_slices(self._image)).tobytes()
        depends = (ROWS_VERSION, cache.code(MODULES), *self._options.values(), scan.subject)
        self._kept = cache.Kept(depends, voxels, fresh=fresh)

    def forget_image(self) -> None:
        self._image, self._pairs, self._smooth = None, {}, {}

    def row(self, name: str, scale: int, noise: int, strength: float | str = "") -> Row:
        """The row of a method, or of a filter at a strength."""

        def measure() -> Row:
            target, coarse = self._pair(scale, noise)
            if name in FILTERS:
                result, seconds = self._filtered(name, noise, strength)
            else:
                method = methods.get(name)
                if method.learned:
                    method(coarse[:1], scale)  # a session is made at the first call
                result, seconds = timed(method, coarse, scale)
            values = superresolution.scores(target, result, coarse, **self._options)
            return values | {"seconds_per_megavoxel": seconds / (target.size / 1e6)}

        values = self._kept.get(f"{methods.identity(name)} x{scale} {noise}% {strength}", measure)
        parameters = 0 if name in FILTERS else methods.get(name).parameters
        about = {"method": name, "scale": scale, "noise": noise, "strength": strength, "parameters": parameters}
        return values | about | _label(self.scan)

    def sweep(self, name: str, noise: int) -> dict[float, tuple[float, float]]:
        """PSNR full and inside the head of a filter, by strength."""
        strengths = FILTERS[name].strengths

        def measure() -> list[list[float]]:
            target, _ = self._pair(2, noise)
            results = (self._filtered(name, noise, strength)[0] for strength in strengths)
            return [list(superresolution.psnrs(target, result, **self._options).values()) for result in results]

        return dict(zip(strengths, self._kept.get(f"sweep {name} {strengths} {noise}%", measure), strict=True))

    def best_row(self, name: str, noise: int) -> Row:
        """Row of a filter at the strength that its own truth says is best; inside the head, at the best there."""
        swept = self.sweep(name, noise)
        row = self.row(name, 2, noise, max(swept, key=lambda strength: swept[strength][0]))
        return row | {"method": name + BEST, "psnr_head": max(head for _, head in swept.values())}

    def _pair(self, scale: int, noise: int) -> tuple[npt.NDArray, npt.NDArray]:
        if (scale, noise) not in self._pairs:
            if self._image is None:
                self._image = self.scan.read()
            self._pairs = {(scale, noise): superresolution.pair(self._image, scale, noise=noise, key=self.scan.key)}
        return self._pairs[scale, noise]

    def _filtered(self, name: str, noise: int, strength: Any) -> tuple[npt.NDArray, float]:
        """Result of a filter after zero-filling, and the seconds it took."""
        _, coarse = self._pair(2, noise)
        used, sigma = FILTERS[name], noise_sigma(coarse, noise).ravel()
        key = used.apply, noise, strength
        if key not in self._smooth:
            self._smooth[key] = timed(lambda: used.apply(zero_fill(coarse, 2), sigma, strength))
        smooth, seconds = self._smooth[key]
        return used.finish(smooth, sigma), seconds


BOARD = SuperResolution(
    task="super-resolution",
    title="Super-resolution",
    intro="![Gain over zero-filling by method, with 95 % intervals](leaderboard.png)",
    metrics={
        "psnr": ("PSNR (dB)", ".2f", "up"),
        "psnr_head": ("PSNR inside the head (dB)", ".2f", "up"),
        "ssim": ("SSIM", ".4f", "up"),
        "hfen": ("HFEN", ".3f", "down"),
        "low_band": ("low band", ".4f", "down"),
    },
    reference="zip",
    measure=measure,
)


def summary(rows: list[Row]) -> list[Row]:
    """Returns :func:`statistics.means` as a list: ``gain`` over ZIP and, with noise, ``over_best``, ``over_strict``.

    The latter two are over the best of ZIP and the plain filters at their best for the scan, or of all filters, the
    Rician one among them. All of these also inside the head: ``gain_head``, ``least_gain_head``, …
    """
    lines = [line for group in statistics.means(BOARD, rows).values() for line in group]
    return [line | {"title": methods.title(line["method"])} for line in lines]


def tests(rows: list[Row]) -> list[Row]:
    """Returns :func:`statistics.tests` of the trained networks."""
    return statistics.tests(BOARD, rows, methods.names(learned=True))
