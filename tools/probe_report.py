"""What networks do to planted lesions, and whether a sensitivity map finds out: ``python -m tools.probe_report``

Runs ``medsr probe`` (chapter 12's laboratory for any scan) on development scans only: the cohort's validation and test
subjects, and the real validation scans where they are. Writes ``results/probe.csv``, a row for each scan and method,
``results/probe.md``, means over people, and ``data/sensitivity.json``, which reports of ``medsr enhance`` quote.

The map is the spread of two networks' results over the eight symmetries. Each AUC is how often the map is higher at a
place of the first kind than at one of the second:

* lost: planted lesions that the result does not show (evidence below 10 %), against places where nothing was planted;
* removed: where a lesion of the cohort was filled in before the scan was made coarser, against the same empty places;
* errors: the 5 % of the voxels in the head with the largest error, against the others.
"""

import argparse
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course import resources, runtime
from medsr_course.leaderboard import markdown
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import sensitivity
from medsr_course.physics import coils, grid, interpolation, metrics
from medsr_course.scans import datasets, volumes
from medsr_course.scans.datasets.subjects import Subject
from medsr_course.tasks import planting, probing
from medsr_course.types import Image, Stack
from tools import command

ROOT = Path(__file__).resolve().parent.parent
MAPS = {
    "map: lost": "planted lesions that are lost",
    "map: removed": "lesions taken out",
    "map: errors": "largest errors",
}
NOISE = 1.0  # %
CONTRASTS = ("FLAIR", "T1w", "T2w")  # the first that a person has


def slices(image: Image, scale: int) -> Stack:
    """Fine slices of a scan, enough of them for the targets to find room."""
    return grid.trim(volumes.axial_slices(image, n=3 * scale, between=(0.4, 0.72)), scale)


def people(subjects: int) -> Iterator[tuple[str, Subject]]:
    """Development subjects: ("cohort" or "real", subject)."""
    cohort = datasets.load("cohort", n_subjects=subjects)
    yield from (("cohort", subject) for subject in cohort if subject.split != "train")
    if datasets.real_folder():
        for name in ("ds002748", "real-scans"):
            yield from (("real", subject) for subject in datasets.load(name) if subject.split == "validation")


def measure(group: str, subject: Subject, scale: int) -> list[dict[str, Any]]:
    """Rows of one subject: one for each method, and the AUCs of the map with the network's."""
    contrast = next(name for name in CONTRASTS if name in subject.contrasts)
    fine = slices(subject.contrasts[contrast], scale)
    coarse = coils.stored(fine, scale, subject.id, noise=NOISE).astype(np.float32)
    scan, control, key = probing.make(_image(coarse), scale=scale, plane="axial", apart=1)
    rows, shown = [], {}
    methods = {"zip": interpolation.zero_fill, "cubic": interpolation.cubic}
    for name in sensitivity.NETWORKS:
        methods[f"{name}-x{scale}"] = functools.partial(_network, f"{name}-x{scale}")
    for name, method in methods.items():
        shown[name] = [method(volumes.to_stack(image), scale) for image in (scan, control)]
        images = [volumes.from_stack(stack, scan, scale=scale) for stack in shown[name]]
        row = {"group": group, "subject": subject.id, "contrast": contrast, "scale": scale, "method": name}
        rows.append(row | _numbers(probing.score(key, *images)))
    best = shown[f"srresnet-x{scale}"]
    map_ = sensitivity.spread(volumes.to_stack(scan), scale)
    rows[-1] |= _aucs(key, map_, best, fine)
    if subject.lesions is not None and contrast == "FLAIR":
        rows[-1]["map: removed"] = _removed(subject, fine, scale, map_, key)
    return rows


def _image(stack: Stack) -> Image:
    return volumes.make_image(stack.transpose(2, 1, 0), np.eye(4))


def _network(name: str, stack: Stack, scale: int) -> Stack:
    return pretrained.super_resolve(name, stack)


def _numbers(found: dict[str, Any]) -> dict[str, float]:
    row = {f"lesions {line['size']:g}": line["kept"]["result"][0] for line in found["lesions"]}
    row |= {f"called {line['size']:g}": line["called"]["result"][0] for line in found["lesions"]}
    row |= {f"patterns {line['period']:g}": line["kept"]["result"][0] for line in found["patterns"]}
    return row | {name: found[name][0] for name in ("lost", "gained", "invented")}


def _value(map_: Stack, place: tuple[int, int, int], size: float, scale: int) -> float:
    """Mean of the map in the disc of a lesion."""
    rows, columns = planting.offsets(scale)
    k, i, j = place
    patch = map_[k, i + rows[0, 0] : i + rows[-1, 0] + 1, j + columns[0, 0] : j + columns[0, -1] + 1]
    return float(patch[np.hypot(rows, columns) <= max(size * scale / 2, 1)].mean())


def _at_empty(map_: Stack, key: dict[str, Any], size: float) -> list[float]:
    places = [row["place"] for row in key["targets"] if row["kind"] == "empty"]
    return [_value(map_, place, size, key["scale"]) for place in places]


def _weighted(values: list[tuple[float, int]]) -> float:
    """Mean of AUCs, each of one size of lesion, by how many lesions it is of; NaN where there are none."""
    kept = [(value, count) for value, count in values if count]
    if not kept:
        return float("nan")
    areas, counts = zip(*kept, strict=True)
    return float(np.average(areas, weights=counts))


def _aucs(key: dict[str, Any], map_: Stack, result: list[Stack], fine: Stack) -> dict[str, float]:
    scale, aucs = key["scale"], []
    rows, columns = planting.offsets(scale)
    for size in planting.SIZES:
        values = []
        for row in (r for r in key["targets"] if r["kind"] == "lesion" and r["size"] == size):
            k, i, j = row["place"]
            patch = result[0][k][i + rows, j + columns]
            seen = np.sign(row["contrast"]) * planting.evidence(patch, size, scale) / row["level"]
            if seen < planting.VISIBLE:
                values.append(_value(map_, row["place"], size, scale))
        aucs.append((planting.auc(values, _at_empty(map_, key, size)), len(values)))
    head = metrics.head_mask(fine)
    error, spread = np.abs(result[1] - fine)[head], map_[head]
    large = error > np.quantile(error, 0.95)
    return {"map: lost": _weighted(aucs), "map: errors": planting.auc(spread[large], spread[~large])}


def _removed(subject: Subject, fine: Stack, scale: int, map_: Stack, key: dict[str, Any]) -> float:
    """AUC of the map at lesions that were filled in with white matter as chapter 12 does it."""
    lesions, labels = slices(subject.lesions, scale), slices(subject.labels, scale)
    white, clean, rng = np.round(labels) == 3, fine.copy(), runtime.rng("fill", subject.id)
    places: dict[float, list[tuple[int, int, int]]] = {}
    edge = planting.REACH * scale
    for k, mask in enumerate(lesions > 0.5):
        hole = ndimage.binary_dilation(mask, iterations=2)
        known = (white[k] & ~hole).astype(float)
        smooth = ndimage.gaussian_filter(fine[k] * known, 4) / (ndimage.gaussian_filter(known, 4) + 1e-6)
        texture = np.std((fine[k] - smooth)[known > 0])
        clean[k] = np.where(hole, smooth + texture * rng.standard_normal(hole.shape), fine[k])
        labelled, number = ndimage.label(mask)
        for n in range(1, number + 1):
            area = (labelled == n).sum()
            i, j = np.round(ndimage.center_of_mass(labelled == n)).astype(int)
            if 6 <= area <= 150 and min(i, j, mask.shape[0] - i - 1, mask.shape[1] - j - 1) > edge:
                size = min(planting.SIZES, key=lambda s: abs(s * scale - 2 * np.sqrt(area / np.pi)))
                places.setdefault(size, []).append((k, int(i), int(j)))
    if not places:
        return float("nan")
    coarse = coils.stored(clean, scale, subject.id, noise=NOISE).astype(np.float32)
    after = sensitivity.spread(coarse, scale)
    aucs = []
    for size, found in places.items():
        values = [_value(after, place, size, scale) for place in found]
        aucs.append((planting.auc(values, _at_empty(map_, key, size)), len(values)))
    return _weighted(aucs)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=24, help="of the cohort")
    parser.add_argument("--scale", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for scale in options.scale:
        for group, subject in runtime.progress(list(people(options.subjects)), f"×{scale}"):
            try:
                rows += measure(group, subject, scale)
            except runtime.CourseError as error:  # too small a scan at this scale
                print(f"{subject.id}, ×{scale}, is left out: {error}")
    command.write(options.output, "probe", rows, report(rows))
    quoted = resources.path("weights").parent / "sensitivity.json"  # scales that were not measured now stay
    known = json.loads(quoted.read_text(encoding="utf-8")) if quoted.exists() else {}
    known |= {str(scale): _quoted([row for row in rows if row["scale"] == scale], scale) for scale in options.scale}
    runtime.write_text(quoted, json.dumps(known, indent=1) + "\n")


def _quoted(rows: list[dict[str, Any]], scale: int) -> dict[str, Any]:
    cards = [pretrained.card(f"{name}-x{scale}") for name in sensitivity.NETWORKS]
    found: dict[str, Any] = {name.removeprefix("map: "): _over_people(rows, name) for name in MAPS}
    return found | {"networks": {card.name: dict(card.files) for card in cards}}


def _over_people(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    values = [row[name] for row in rows if row.get(name) is not None and np.isfinite(row[name])]
    interval = metrics.student_interval(values) if values else probing.NOTHING
    mean, low, high = (round(x, 3) if np.isfinite(x) else None for x in interval)
    return {"mean": mean, "low": low, "high": high, "people": len(values)}


def report(rows: list[dict[str, Any]]) -> str:
    """Means over people as Markdown."""
    lines = [
        "# Planted lesions: what is left of them, and does a sensitivity map tell",
        "",
        "Each cell: mean over people (95 % interval, Student's t). Sizes and periods are in coarse voxels; noise "
        f"{NOISE:g} %, stored magnitudes. Each person is one scan; lesions lie in quiet places of the head.",
    ]
    columns = [name for name in rows[0] if name.startswith(("lesions", "patterns"))] + ["lost", "gained", "invented"]
    for scale in sorted({row["scale"] for row in rows}):
        for group in sorted({row["group"] for row in rows}):
            mine = [row for row in rows if (row["scale"], row["group"]) == (scale, group)]
            count = len({row["subject"] for row in mine})
            lines += ["", f"## ×{scale}, {group}, {count} people: share of contrast or amplitude left (%)", ""]
            cells = []
            for method in dict.fromkeys(row["method"] for row in mine):
                own = [row for row in mine if row["method"] == method]
                cells.append([method, *(_cell(_over_people(own, name), 100) for name in columns)])
            lines += markdown.table(["method", *columns], cells)
        mine = [row for row in rows if row["scale"] == scale]
        groups = {kind: [row for row in mine if row["group"] == kind] for kind in ("cohort", "real")} | {"all": mine}
        cells = [
            [words, *(_cell(_over_people(own, name), 1) for own in groups.values())] for name, words in MAPS.items()
        ]
        lines += ["", f"## ×{scale}: AUC of the sensitivity map", "", *markdown.table(["", *groups], cells)]
    lines += [
        "",
        "0.5 is a coin. Lost and gained are against ZIP, of the lesions that ZIP shows and does not show; "
        "invented: empty places where the result without lesions holds a spot that its scan does not.",
    ]
    return "\n".join([*lines, "", resources.made_by("python -m tools.probe_report"), ""])


def _cell(found: dict[str, Any], times: int) -> str:
    if found["mean"] is None:
        return "–"
    digits = 0 if times == 100 else 2
    interval = (
        "" if found["low"] is None else f" ({found['low'] * times:.{digits}f} … {found['high'] * times:.{digits}f})"
    )
    return f"{found['mean'] * times:.{digits}f}{interval}"


if __name__ == "__main__":
    command.run(main)
