"""Rows of the leaderboard, measured or taken from the cache."""

import hashlib
import json
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import methods
from medsr_course.leaderboard.entries import BEST, CONTRASTS, FILTERS, GROUPS, NOISES, SCALES, group, order
from medsr_course.networks import pretrained
from medsr_course.physics.interpolation import zero_fill
from medsr_course.physics.noise import noise_sigma
from medsr_course.runtime import CourseError
from medsr_course.scans import volumes
from medsr_course.tasks import superresolution

COLUMNS = (
    *("method", "scale", "noise", "data", "split", "subject", "contrast"),
    *("psnr", "psnr_head", "ssim", "hfen", "low_band", "seconds_per_megavoxel", "parameters", "strength"),
)
ROWS_VERSION = 1  # raise it when a row would come out differently: kept rows are then measured again
_PACKAGE = Path(__file__).parent.parent
_MODULES = (
    *(f"physics/{name}" for name in ("acquisition", "grid", "interpolation", "metrics", "noise")),
    *("scans/volumes", "tasks/superresolution"),
)


def measure(measured, tuning, names, scales=SCALES, fresh=False):
    """Rows of every method on every scan; rows that were measured before come from the cache.

    Parameters
    ----------
    measured, tuning : list of Scan
        See :func:`entries.scans`.
    names : list of str
        See :func:`entries.select`.
    scales : sequence of int
    fresh : bool
        Measure all again, say for times on a machine that now does nothing else.

    Returns
    -------
    list of dict
        With the keys :data:`COLUMNS`.
    """
    if runtime.is_null():
        raise CourseError("the leaderboard measures the shipped weights as they are: unset MEDSR_NULL")
    filters = [name for name in names if name in FILTERS and 2 in scales]
    jobs = []
    for scan in [*(tuning if filters else []), *(scan for scan in measured if scan not in tuning or not filters)]:
        jobs += [(scan, "sweep", name, 2, noise) for name in filters for noise in _noises(2, scan) if noise]
        jobs += [(scan, "row", *job) for job in _jobs(scan, names, scales) if scan in measured]
    for scan in measured:
        jobs += [(scan, "filter", name, 2, noise) for name in filters for noise in _noises(2, scan) if noise]

    rows, swept, stores, last = [], {}, {}, None
    for scan, what, name, scale, noise in runtime.progress(jobs, "leaderboard", unit="row"):
        if last and scan is not last:
            stores[last].forget_image()
        last = scan
        if scan not in stores:
            stores[scan] = _Store(scan, fresh)
        store = stores[scan]
        if what == "sweep":
            swept.setdefault((name, noise), {})[scan] = store.sweep(name, noise)
        elif what == "row":
            rows.append(store.row(name, scale, noise))
        else:
            rows.append(store.row(name, scale, noise, choose(scan, swept[name, noise])))
            rows.append(store.best_row(name, noise))
    place = {name: k for k, name in enumerate(order())}
    return sorted(rows, key=lambda row: _order(row, place))


def _jobs(scan, names, scales):
    """Method, scale and noise of the rows of a scan, filters left out."""
    for scale in scales:
        for noise in _noises(scale, scan):
            for method in (methods.get(name) for name in names if name not in FILTERS):
                if method.can(scale) and (noise == 0 or method.name == "zip" or method.learned):
                    yield method.name, scale, noise


def _noises(scale, scan):
    """Added noise in %. None for CT: its noise is not that of a magnitude image."""
    return (0,) if scan.contrast == "CT" else NOISES.get(scale, (0,))


def choose(scan, swept):
    """Strength of a filter for a scan: best mean PSNR over validation scans of its kind, its own subject left out.

    Parameters
    ----------
    scan : Scan
    swept : dict of Scan to dict of float to (float, float)
        Strength → PSNR, PSNR inside the head; of one filter at one noise level.

    Returns
    -------
    float
    """
    usable = {s: v for s, v in swept.items() if s.split == "validation" and s.subject != scan.subject}
    alike = [v for s, v in usable.items() if (s.data == "cohort") == (scan.data == "cohort")]
    pool = alike or list(usable.values())
    if not pool:
        raise CourseError("no validation scan is left to choose a filter's strength on: measure with --data all")
    return max(pool[0], key=lambda strength: np.mean([v[strength][0] for v in pool]))


def _order(row, place):
    kind = GROUPS.index(group(row["data"], row["split"], row["contrast"]))
    contrast = CONTRASTS.index(row["contrast"])
    return row["scale"], row["noise"], kind, row["data"], row["subject"], contrast, place[row["method"]]


class _Store:
    """Measures on one scan, and keeps what it measured in the cache, under the hash of all it depends on."""

    def __init__(self, scan, fresh):
        image = scan.read()
        self.scan, self._image, self._pixel = scan, image, volumes.pixel_size(image)
        self._pairs, self._smooth = {}, {}
        digest = hashlib.sha256(repr((_code(), self._pixel, scan.contrast, scan.subject)).encode())
        digest.update(np.ascontiguousarray(volumes.axial_slices(image)).tobytes())
        self._path = runtime.cache_dir() / "leaderboard" / f"{digest.hexdigest()[:20]}.json"
        try:
            self._known = {} if fresh else json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def forget_image(self):
        self._image, self._pairs, self._smooth = None, {}, {}

    def row(self, name, scale, noise, strength=""):
        """The row of a method, or of a filter at a strength."""

        def measure():
            pair = self._pair(scale, noise)
            if name in FILTERS:
                result, seconds = self._filtered(name, noise, strength)
            else:
                method = methods.get(name)
                if method.learned:
                    method(pair.given[:1], scale)  # a session is made at the first call
                result, seconds = self._timed(lambda: method(pair.given, scale))
            return pair.scores(result) | {"seconds_per_megavoxel": seconds / (pair.target.size / 1e6)}

        key = f"{_identity(name)} x{scale} {noise}% {strength}"
        return self._labelled(self._remembered(key, measure), name, scale, noise, strength)

    def sweep(self, name, noise):
        """PSNR full and inside the head of a filter, by strength."""

        def measure():
            pair, strengths = self._pair(2, noise), FILTERS[name].strengths
            return [list(pair.psnrs(self._filtered(name, noise, s)[0]).values()) for s in strengths]

        key = f"sweep {name} {FILTERS[name].strengths} {noise}%"
        return dict(zip(FILTERS[name].strengths, self._remembered(key, measure), strict=True))

    def best_row(self, name, noise):
        """Row of a filter at the strength that its own truth says is best; inside the head, at the best there."""
        swept = self.sweep(name, noise)
        strength = max(swept, key=lambda s: swept[s][0])
        row = self.row(name, 2, noise, strength)
        return row | {"method": name + BEST, "psnr_head": max(head for _, head in swept.values())}

    def _pair(self, scale, noise):
        if (scale, noise) not in self._pairs:
            if self._image is None:
                self._image = self.scan.read()
            key = f"{self.scan.subject} {self.scan.contrast}"
            options = {"noise": noise, "key": key, "contrast": self.scan.contrast}
            self._pairs = {(scale, noise): superresolution.pair(self._image, scale, **options)}
        return self._pairs[scale, noise]

    def _filtered(self, name, noise, strength):
        """Result of a filter after zero-filling, and the seconds it took; what filters share is done once."""
        coarse = self._pair(2, noise).given
        filter, sigma = FILTERS[name], noise_sigma(coarse, noise).ravel()
        key = filter.apply, noise, strength
        if key not in self._smooth:
            self._smooth[key] = self._timed(lambda: filter.apply(zero_fill(coarse, 2), sigma, strength))
        smooth, seconds = self._smooth[key]
        return filter.finish(smooth, sigma), seconds

    def _timed(self, call):
        began = time.perf_counter()
        return call(), time.perf_counter() - began

    def _labelled(self, values, name, scale, noise, strength):
        about = {"method": name, "scale": scale, "noise": noise, "strength": strength}
        about |= {key: getattr(self.scan, key) for key in ("data", "split", "subject", "contrast")}
        learned = name not in FILTERS and methods.get(name).learned
        return values | about | {"parameters": pretrained.card(name).parameters if learned else 0}

    def _remembered(self, key, measure):
        if key not in self._known:
            self._known[key] = measure()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with runtime.atomic_write(self._path) as part:
                part.write_text(json.dumps(self._known), encoding="utf-8")
        return self._known[key]


def _identity(name):
    """What a row of a method depends on: the weight's checksum and how it is used."""
    if name in FILTERS or not methods.get(name).learned:
        return name
    card = pretrained.card(name)
    code = [(_PACKAGE / "networks" / "pretrained" / file).read_bytes() for file in ("common.py", "superresolution.py")]
    use = hashlib.sha256(b"".join(code)).hexdigest()[:12]
    return f"{name} {card.checksum} {pretrained.usage(card)} {use}"


def _code():
    """Checksum of the code and the packages that a row depends on."""
    digest = hashlib.sha256(str(ROWS_VERSION).encode())
    for name in _MODULES:
        digest.update((_PACKAGE / f"{name}.py").read_bytes())
    for name in ("numpy", "scipy", "scikit-image", "PyWavelets", "onnxruntime"):
        try:
            digest.update(f"{name} {version(name)}".encode())
        except PackageNotFoundError:
            continue
    return digest.hexdigest()
