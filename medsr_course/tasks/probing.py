"""What does a software do to things of known size? Targets planted into a scan, and what its result shows of them.

:func:`make` puts lesions and fine patterns into a coarse scan, and keeps a control without them; any super-resolution
software is run on both; :func:`score` says what survived, what was lost and what was invented. The two results differ
by nothing but the targets, so that anatomy and noise cancel where they are subtracted.

A result is read where its header says that it lies, in any orientation and on any grid, and where its *values* lie:
many programs keep the edges of the field in place instead of sample 0, (scale − 1)/2 fine voxels away, in the header,
in the values, or in one of the two.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import ndimage, stats

from medsr_course.physics import metrics
from medsr_course.physics.interpolation import zero_fill
from medsr_course.runtime import CourseError
from medsr_course.scans import volumes
from medsr_course.tasks import planting
from medsr_course.types import Array, Image

NOTHING = (float("nan"),) * 3  # the mean and its interval where nothing was planted

FORMAT = "medsr probe 1"
LIKE = 0.15  # fine voxels: a shift nearer than this to a known one is that one


def make(
    image: Image, *, scale: int = 2, seed: int = 0, plane: str | None = None, apart: int = 3
) -> tuple[Image, Image, dict[str, Any]]:
    """Plant known lesions and patterns into a scan.

    Parameters
    ----------
    image : nibabel image, 3-D
        The coarse scan, as the software would get it.
    scale : int
        How many times finer, in-plane, the software's result will be.
    seed : int
    plane : {"axial", "sagittal", "coronal"}, optional
        Of the slices; by default across the longest edge of the voxels.
    apart : int
        Slices from which on two targets may lie above each other; 1 for slices that are far apart.

    Returns
    -------
    (image, image, dict)
        The scan with targets and the control without, float32 in RAS+ orientation; and the key, plain numbers and
        words for JSON: no image, no name.

    Raises
    ------
    CourseError
        If the scan is too small or has too few quiet places.
    """
    if scale < 2:
        raise CourseError(f"--scale {scale}: a probe is for results 2 or more times finer")
    plane = plane or volumes.finest_plane(image)
    control = volumes.to_stack(image, plane).astype(np.float32)
    try:
        put = planting.targets(control, scale, seed, apart=apart)
        planted = planting.plant(control, put, scale, seed)
    except ValueError as error:
        raise CourseError(str(error)) from None
    zipped = _patches_of_zip(planted, put, scale), _patches_of_zip(control, put, scale)
    key = {
        "format": FORMAT,
        "scale": scale,
        "plane": plane,
        "seed": seed,
        "affine": volumes.stack_affine(image, plane, scale).tolist(),
        "shape": [len(control), *(scale * side for side in control.shape[1:])],
        "targets": [
            {**vars(target), "zip": _measure(target, with_, without, scale), "zip_mean": float(without.mean())}
            for target, with_, without in zip(put, *zipped, strict=True)
        ],
    }
    return volumes.from_stack(planted, image, plane), volumes.from_stack(control, image, plane), key


def _patches_of_zip(stack: Array, put: list[planting.Target], scale: int) -> list[Array]:
    """What ZIP, the classical method without a network, shows around each target."""
    reach, fine = planting.REACH * scale, {}
    for k in {target.place[0] for target in put}:
        fine[k] = zero_fill(stack[k : k + 1], scale)[0]
    places = [target.place for target in put]
    return [fine[k][i - reach : i + reach + 1, j - reach : j + reach + 1] for k, i, j in places]


def _measure(target: planting.Target, result: Array, control: Array, scale: int) -> dict[str, Any]:
    """The numbers of one target: ``kept``, and evidence in parts of the signal around it, a lesion's own sign up."""
    if target.kind == "empty":
        return {"evidence": [planting.evidence(control, size, scale) / target.level for size in planting.SIZES]}
    found: dict[str, Any] = {"kept": planting.kept(target, result - control, scale)}
    if target.kind == "lesion":
        sign = np.sign(target.contrast)
        found["evidence"] = float(sign * planting.evidence(result, target.size, scale) / target.level)
    return found


def score(key: Mapping[str, Any], result: Image, control: Image) -> dict[str, Any]:
    """Tell what survived, what was lost, what was invented.

    Parameters
    ----------
    key : dict
        From :func:`make`.
    result, control : nibabel image, 3-D
        What the software made of the scan with targets, and of the control.

    Returns
    -------
    dict
        ``shift`` (fine voxels along rows and columns, of the values against the header), ``gain`` of the intensities;
        ``lesions`` and ``patterns``, a row for each size or period; ``lost``, ``gained`` and ``invented`` with Wilson's
        intervals; ``notes`` in words. Rates and means are over the targets of this one scan.

    Raises
    ------
    CourseError
        If the key is none, or the results do not lie where the scan was.
    """
    if key.get("format") != FORMAT:
        raise CourseError("this is no key of `medsr probe make`, or one of another version: make the probe anew")
    if result.shape != control.shape or not np.allclose(result.affine, control.affine, atol=1e-3):
        raise CourseError(
            "the two results lie on different grids: run the software on both scans with the same options"
        )
    scale = int(key["scale"])
    put = [planting.Target(**{k: v for k, v in row.items() if not k.startswith("zip")}) for row in key["targets"]]
    to_result, notes = _matrix(key, put, result)
    reader = _reader(to_result, scale)
    shift = _shift(put, result, control, reader, scale)
    shift, words = _named(shift, scale)
    without = [reader(control, target.place, shift) for target in put]
    gain = _gain([row["zip_mean"] for row in key["targets"]], [float(patch.mean()) for patch in without])
    rows = [
        _measure(target, reader(result, target.place, shift) / gain, patch / gain, scale)
        for target, patch in zip(put, without, strict=True)
    ]
    if abs(gain - 1) > 0.02:
        words.append(f"the result's intensities are {gain:.3g} times the scan's; they were divided by that")
    return {
        "shift": [round(float(x), 3) for x in shift],
        "gain": round(gain, 4),
        "scale": scale,
        **_summary(put, rows, [row["zip"] for row in key["targets"]]),
        "notes": notes + words,
    }


def _matrix(key: Mapping[str, Any], put: list[planting.Target], result: Image) -> tuple[Array, list[str]]:
    """From an index of the fine stack to one of the result's array, and what had to be assumed for it."""
    fine = np.asarray(key["affine"], float)
    matrix = np.linalg.solve(result.affine, fine)
    centres = np.array([[*target.place, 1] for target in put]) @ matrix.T
    inside = ((centres[:, :3] > -1) & (centres[:, :3] < result.shape)).all(axis=1)
    if inside.mean() > 0.9:
        step = np.linalg.norm(matrix[:3, :3], axis=0)
        if np.allclose(step, 1, atol=0.01):
            return matrix, []
        words = " × ".join(f"{x:.3g}" for x in 1 / step)
        expected = f"those of a result {key['scale']} times finer in {key['plane']} slices"
        return matrix, [f"the result's voxels are {words} times (slice, row, column) {expected}"]
    order = np.argmax(np.abs(fine[:3, :3]), axis=0)  # RAS axis of slice, row and column
    if tuple(np.array(result.shape)[order]) != tuple(key["shape"]):
        raise CourseError("the result does not lie where the scan was: compare the affines with `medsr audit`")
    matrix = np.eye(4)[:, [*order, 3]]
    return matrix, ["the result's header is wrong; its array has the expected shape, so it was read as the fine grid"]


def _reader(matrix: Array, scale: int) -> Callable[[Image, tuple[int, int, int], Array], Array]:
    """Returns what reads the fine patch around a place, from any grid, by cubic splines."""
    rows, columns = planting.offsets(scale)
    rows, columns = np.broadcast_arrays(rows, columns)
    arrays: dict[int, Array] = {}

    def read(image: Image, place: tuple[int, int, int], shift: Array) -> Array:
        data = arrays.setdefault(id(image), np.asanyarray(image.dataobj))
        index = [np.full(rows.shape, place[0]), place[1] + rows + shift[0], place[2] + columns + shift[1]]
        points = np.tensordot(matrix[:3, :3], np.array(index, float), 1) + matrix[:3, 3, None, None]
        low, high = np.floor(points.min(axis=(1, 2)) + 0.01), np.ceil(points.max(axis=(1, 2)) - 0.01)
        flat = low == high  # the patch lies within one slice of the result
        low, high = np.where(flat, low, np.maximum(low - 8, 0)).astype(int), high.astype(int) + np.where(flat, 1, 9)
        low = np.clip(low, 0, np.array(data.shape) - 1)
        part = data[tuple(slice(a, max(b, a + 1)) for a, b in zip(low, high, strict=True))]
        part, points = part.reshape(np.array(part.shape)[~flat]).astype(float), (points - low[:, None, None])[~flat]
        return ndimage.map_coordinates(part, points, order=3, mode="nearest")

    return read


def _shift(put: list[planting.Target], result: Image, control: Image, reader: Callable, scale: int) -> Array:
    """How far the values lie from where the header has them, in fine voxels, from the large lesions (Gauss–Newton)."""
    shift = np.zeros(2)
    large = [t for t in put if t.kind == "lesion" and t.size >= 2 and abs(t.contrast) > 0.2]
    shapes = {t.size: ndimage.gaussian_filter(planting.shape("lesion", t.size, scale), scale / 2) for t in large}
    for _ in range(8):
        normal, right = np.zeros((3, 3)), np.zeros(3)
        for target in large:
            change = reader(result, target.place, shift) - reader(control, target.place, shift)
            change = ndimage.gaussian_filter(change / (target.contrast * target.level), scale / 2)
            slopes = np.gradient(shapes[target.size])
            basis = np.array([shapes[target.size], -slopes[0], -slopes[1]]).reshape(3, -1)
            normal += basis @ basis.T
            right += basis @ change.ravel()
        size, *step = np.linalg.solve(normal, right)
        if size < 0.05:  # of what was planted: nothing is left to be found
            return np.zeros(2)
        shift = shift + np.clip(np.array(step) / size, -1, 1)
    return shift


def _named(shift: Array, scale: int) -> tuple[Array, list[str]]:
    """The shift as one of the known ones, where it is near one, and what it means."""
    half = (scale - 1) / 2
    if np.abs(shift).max() < LIKE:
        return np.zeros(2), ["values and header of the result agree on where it lies"]
    for sign in (1, -1):
        if np.abs(shift - sign * half).max() < LIKE:
            return np.full(2, sign * half), [
                f"the values lie {sign * half:+g} fine voxels, (scale − 1)/2, from where the header has them, along "
                "rows and columns: one keeps the field's edges in place, the other sample 0; read where the values lie"
            ]
    where = " and ".join(f"{x:+.2f}" for x in shift)
    return shift, [f"the values lie {where} fine voxels from where the header has them, by no known rule; read there"]


def _gain(expected: list[float], found: list[float]) -> float:
    """How many times larger the result's intensities are, an offset apart."""
    if np.std(expected) < 0.05 * abs(np.mean(expected)):
        gain = float(np.median(found) / np.median(expected))
    else:
        gain = float(stats.theilslopes(found, expected).slope)
    if not gain > 0:
        raise CourseError(
            "the result's intensities have nothing to do with the scan's: is it the result of this probe?"
        )
    return gain


def _summary(put: list[planting.Target], rows: list[dict], zips: list[dict]) -> dict[str, Any]:
    """Rates and means, the result beside ZIP."""
    empty = [n for n, target in enumerate(put) if target.kind == "empty"]
    called: dict[str, dict[int, bool]] = {}
    for name, table in (("result", rows), ("zip", zips)):
        quiet = np.abs([table[n]["evidence"] for n in empty])
        limits = np.maximum(planting.VISIBLE, np.quantile(quiet, 0.95, axis=0))
        limit = dict(zip(planting.SIZES, limits, strict=True))
        called[name] = {
            n: table[n]["evidence"] > limit[target.size] for n, target in enumerate(put) if target.kind == "lesion"
        }
    both = [(called["zip"][n], called["result"][n]) for n in called["zip"]]
    seen, unseen = [after for before, after in both if before], [after for before, after in both if not before]
    found = np.abs([rows[n]["evidence"] for n in empty])
    more = np.abs(np.subtract([rows[n]["evidence"] for n in empty], [zips[n]["evidence"] for n in empty]))
    invented = ((found > planting.VISIBLE) & (more > planting.VISIBLE / 2)).any(axis=1)

    def means(chosen):
        if not chosen:
            return {"result": NOTHING, "zip": NOTHING}
        tables = {"result": rows, "zip": zips}
        return {k: metrics.student_interval([table[n]["kept"] for n in chosen]) for k, table in tables.items()}

    lesions, patterns = [], []
    for size in planting.SIZES:
        chosen = [n for n, target in enumerate(put) if target.kind == "lesion" and target.size == size]
        rates = {k: planting.wilson(sum(v[n] for n in chosen), len(chosen)) for k, v in called.items()}
        lesions.append({"size": size, "planted": len(chosen), "kept": means(chosen), "called": rates})
    for period in planting.PERIODS:
        chosen = [n for n, target in enumerate(put) if target.kind in planting.PATTERNS and target.size == period]
        patterns.append({"period": period, "planted": len(chosen), "measured": period > 2, "kept": means(chosen)})
    return {
        "lesions": lesions,
        "patterns": patterns,
        "lost": planting.wilson(seen.count(False), len(seen)) + (len(seen),),
        "gained": planting.wilson(sum(unseen), len(unseen)) + (len(unseen),),
        "invented": planting.wilson(int(invented.sum()), len(empty)) + (len(empty),),
    }
