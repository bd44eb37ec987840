"""What the judge of scans is worth: ``python -m tools.domain`` fits ``data/domain.json``, writes ``results/domain.*``.

Fitted on development scans and the cohort only; the scans kept for reporting are measured last, as points, and nothing
is chosen by them. The unit is the person: the distance of a person's scans comes from a fit without that person.
"""

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.physics import bands, coils, grid, likeness, metrics
from medsr_course.scans import datasets, scanfiles, volumes
from medsr_course.scans.domain import pixels
from medsr_course.scans.domain.judging import opened
from medsr_course.tasks import planting
from medsr_course.types import Array, Image, Stack
from tools import command

ROOT = Path(__file__).resolve().parent.parent
COHORT = 24  # subjects, one contrast each
ZOOMS = (1.25, 1.5, 2.0)
REFILLED = ("zero-filled", "zero-filled, windowed", "linear", "cubic")


def development(folder: Path) -> Iterator[tuple[str, str, Image]]:
    """Person, name and image of each development scan of a head."""
    real = folder / "real"
    for path in sorted(real.glob("ds002748/sub-*/anat/*_T1w.nii.gz")):
        yield path.name[:6], path.name[:-7], scanfiles.read(path)
    for path in sorted(real.glob("stroke-brain_*.nii.gz")):
        yield "stroke-brain", path.name[:-7], scanfiles.read(path)
    for path in sorted((folder / "clinical").glob("ms-long01_*.nii.gz")):
        yield "ms-long01", path.name[:-7], scanfiles.read(path)
    yield "t1w-child", "t1w-child", scanfiles.read(next((folder / "clinical").glob("t1w-child*.nii.gz")))
    yield "tumour-brain1", "tumour-brain1", _nrrd(folder / "clinical" / "tumour-brain1_image.nrrd")
    for path in sorted((folder / "lowfield").glob("ulf-sub0[123]_3T_*.nii.gz")):
        yield path.name[:9], path.name[:-7], scanfiles.read(path)


def reporting(folder: Path) -> Iterator[tuple[str, str, Image]]:
    """Person, name and image of each head that is kept for reporting."""
    for name in ("studyforrest-sub-02_T1w", "stroke-head_T2w", "adult-brain_T1w", "adult-head_T1w"):
        yield name.split("_")[0], name, scanfiles.read(folder / "real" / f"{name}.nii.gz")
    for path in sorted((folder / "clinical").glob("*-adult*.nii.gz")):
        yield path.name.split("_")[0], path.name[:-7], scanfiles.read(path)
    for path in sorted((folder / "lowfield").glob("ulf-sub04_3T_*.nii.gz")):
        yield "ulf-sub04", path.name[:-7], scanfiles.read(path)


def _nrrd(path: Path) -> Image:
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    return volumes.make_image(sitk.GetArrayFromImage(image).T.astype(np.float32), np.diag([*image.GetSpacing(), 1]))


def strangers(folder: Path) -> Iterator[tuple[str, str, Stack]]:
    """Kind, name and slices of images that are no heads, or not what a scanner's magnitude image holds."""
    yield from _photographs()
    yield from _made()
    for name in ("CT", "PET", "MR_T1"):
        image = scanfiles.read(folder / "fusion" / f"sts001_{name}_image.nii.gz")
        yield {"CT": "CT of a thigh", "PET": "PET", "MR_T1": "MR of a thigh"}[name], name, _slices(image)
    yield "CT of a head phantom", "phantom", _slices(scanfiles.read(folder / "real" / "head-phantom_CT.nii.gz"))
    yield from _lowfield(folder / "lowfield")


def _photographs() -> Iterator[tuple[str, str, Stack]]:
    import skimage.data
    from skimage import io

    home = Path(skimage.data.__file__).parent
    for name in ("astronaut.png", "camera.png", "coffee.png", "chelsea.png", "coins.png", "moon.png", "page.png",
                 "text.png", "brick.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "retina.jpg", "ihc.png",
                 "cell.png", "rocket.jpg", "motorcycle_left.png", "clock_motion.png"):  # fmt: skip
        if (home / name).exists():
            image = io.imread(home / name).astype(float)
            image = image[..., :3].mean(-1) if image.ndim == 3 else image
            yield "photographs", name, image[None, :320, :320]


def _made() -> Iterator[tuple[str, str, Stack]]:
    from medsr_course.networks.training.pairs import dead_leaves

    rng = np.random.default_rng(0)
    for k, leaves in enumerate(dead_leaves(8, size=192)):
        yield "dead leaves", f"leaves {k}", leaves.astype(float)[None]
    for k in range(4):
        yield "noise", f"noise {k}", np.abs(coils.complex_noise((2, 160, 160), rng))
    from skimage.data import shepp_logan_phantom

    phantom = shepp_logan_phantom()[None]
    yield "Shepp-Logan phantom", "phantom", np.abs(phantom + 0.02 * coils.complex_noise(phantom.shape, rng))


def _lowfield(folder: Path) -> Iterator[tuple[str, str, Stack]]:
    from scipy.io import loadmat

    for path in sorted(folder.glob("*.mat")):
        if "sub04" in path.name or "noiseA" in path.name:
            continue
        k = max((one for one in loadmat(path).values() if getattr(one, "ndim", 0) >= 2), key=np.size)
        image = np.abs(np.fft.fftshift(np.fft.fft2(k.reshape((*k.shape, 1)[:3]), axes=(0, 1)), axes=(0, 1)))
        kind = "phantom at 0.055 T" if "phantom" in path.name else "heads at 0.055 T"
        yield kind, path.stem, np.moveaxis(image, 2, 0)


def _slices(image: Image) -> Stack:
    """The slices that the judge measures the likeness on."""
    data, _, across, _ = opened(image)
    return likeness.middle(data, across, pixels.SLICES)


def cohort() -> Iterator[tuple[str, str, Image]]:
    """One contrast of each synthetic subject, in turn."""
    for k, subject in enumerate(datasets.load("cohort", n_subjects=COHORT, seed=0)):
        contrast = list(datasets.CONTRASTS)[(k + k // 4) % len(datasets.CONTRASTS)]
        yield subject.id, f"{subject.id} {contrast}", subject.contrasts[contrast]


def native(planes: Stack, key: str) -> Array:
    """Planes (n, along, across), complex, on half the grid along both axes: filled to the end by construction.

    The scanner filled the 3 T partners (ulf) to much finer grids than they were measured on: 0.28 of theirs.
    """
    part = 0.28 if key.startswith("ulf") else 0.5
    phase = coils.smooth_phase(planes.shape[1:], runtime.rng("domain", key))
    z = planes * np.exp(1j * phase)
    for axis in (1, 2):
        size = int(z.shape[axis] * part) // 2 * 2
        if size >= bands.LEAST:
            z = grid.crop_axis(z, size, axis)
    return z


def refilled(z: Array, how: str, zoom: float) -> Stack:
    """The magnitude of complex planes on a grid ``zoom`` × finer along axis 1, in a way of :data:`REFILLED`."""
    from scipy.interpolate import make_interp_spline

    n = z.shape[1]
    if how.startswith("zero"):
        if how.endswith("windowed"):
            f = np.abs(np.fft.fftfreq(n)) * 2
            taper = np.where(f < 0.7, 1, 0.5 + 0.5 * np.cos(np.pi * (f - 0.7) / 0.3))
            z = np.fft.ifft(np.fft.fft(z, axis=1) * taper[None, :, None], axis=1)
        return np.abs(grid.pad_axis(z, round(n * zoom), 1))
    places = np.arange(int((n - 1) * zoom) + 1) / zoom
    return make_interp_spline(np.arange(n), np.abs(z), k=1 if how == "linear" else 3, axis=1)(places)


def found(planes: Stack) -> bool:
    """Whether axis 1 of (n, h, w) is called interpolated."""
    head = bands.inside(planes, grid.intensity(planes)[1])
    return bands.filled(planes, head) < 1 or bands.resliced(planes, head)


def tried(data: Array, name: str, turn: int) -> Iterator[dict[str, Any]]:
    """The finder on each axis of a scan (x, y, z): native by construction, and interpolated by one zoom in turn."""
    for axis in range(3):
        other = 0 if axis == 2 else 2
        planes = likeness.middle(data, other, 3)
        planes = planes if axis == 0 else planes.swapaxes(1, 2)
        z = native(planes, name)
        if z.shape[1] < bands.LEAST:
            continue
        about = {"scan": name, "axis": "xyz"[axis]}
        level = np.percentile(np.abs(z), 99.5)
        for noise in (0, 2):  # % that is added
            noisy = z + noise / 100 * level * coils.complex_noise(z.shape, runtime.rng("domain noise", name, axis))
            yield about | {"how": "native", "zoom": 1.0, "noise": noise, "called": found(np.abs(noisy))}
        zoom = ZOOMS[(turn + axis) % len(ZOOMS)]
        for how in REFILLED:
            yield about | {"how": how, "zoom": zoom, "noise": 2, "called": found(refilled(noisy, how, zoom))}


def fit(values: Array, persons: list[str], real: Array) -> tuple[Array, Array]:
    """Mean and covariance: real people weigh as much as the cohort, each person as any other of their group."""
    weight = np.zeros(len(values))
    for group in (real, ~real):
        names = [persons[i] for i in np.flatnonzero(group)]
        for i in np.flatnonzero(group):
            weight[i] = 1 / names.count(persons[i]) / len(set(names))
    weight /= weight.sum()
    mean = weight @ values
    spread = (values - mean).T @ ((values - mean) * weight[:, None])
    return mean, 0.9 * spread + 0.1 * np.diag(np.diag(spread))


def left_out(values: Array, persons: list[str], real: Array) -> Array:
    """Each scan's distance, by a fit without its person."""
    out = np.empty(len(values))
    for person in set(persons):
        mine = np.array([one == person for one in persons])
        rest = [one for one in persons if one != person]
        mean, spread = fit(values[~mine], rest, real[~mine])
        for i in np.flatnonzero(mine):
            out[i] = likeness.distance(values[i], mean, spread)
    return out


def auc(heads: Array, persons: list[str], others: Array) -> tuple[float, float, float]:
    """Chance that a stranger is farther than a head, and its 95 % interval: Student's t over persons."""
    whose = np.array(persons)
    mean, low, high = metrics.student_interval(
        [planting.auc(others, heads[whose == one]) for one in sorted(set(persons))]
    )
    return mean, max(low, 0.0), min(high, 1.0)


def limit(distances: Array, persons: list[str]) -> float:
    """The distance that 95 % of people stay below, each with the mean of their scans' shares."""
    for candidate in np.sort(distances):
        inside = [np.mean([d <= candidate for d, p in zip(distances, persons, strict=True) if p == one])
                  for one in set(persons)]  # fmt: skip
        if np.mean(inside) >= 0.95:
            return round(float(candidate) + 0.005, 2)
    raise AssertionError("the largest distance holds all")


def measure(scans: Iterator[tuple[str, str, Image]], group: str, *, axes: bool) -> tuple[list[dict], list[dict]]:
    """What each scan is like, what its axes fill, whether a face shows; and the finder's trials."""
    rows, trials = [], []
    for person, name, image in scans:
        data, sizes, across, _ = opened(image)
        like = likeness.features(likeness.middle(data, across, pixels.SLICES))
        row = {"group": group, "person": person, "name": name, "like": like, "face": likeness.face(data, sizes)}
        row["filled"] = {"xyz"[axis]: pixels.interpolated(data, axis) for axis in range(3)}
        rows.append(row)
        if axes:
            trials += [one | {"person": person} for one in tried(data, name, len(rows))]
        print(f"{name}: {row['filled']}, face {row['face']}", flush=True)
    return rows, trials


def main() -> None:
    """Measures, fits and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds real/, clinical/, lowfield/, fusion/")
    options = parser.parse_args()
    real = datasets.real_folder()
    folder = options.data or (real.parent if real else None)
    if folder is None:
        raise runtime.CourseError("there are no real scans here: name their folder with --data")
    heads, trials = measure(development(folder), "development", axes=True)
    synthetic, _ = measure(cohort(), "cohort", axes=False)
    known = [row for row in heads + synthetic if row["like"] is not None]
    values = np.array([row["like"] for row in known])
    persons, is_real = [row["person"] for row in known], np.array([row["group"] == "development" for row in known])
    distances = left_out(values, persons, is_real)
    for row, one in zip(known, distances, strict=True):
        row["distance"] = one
    mean, spread = fit(values, persons, is_real)
    most = limit(distances[is_real], [p for p, r in zip(persons, is_real, strict=True) if r])
    fitted = {"features": list(likeness.FEATURES), "mean": mean.round(5).tolist(),
              "covariance": spread.round(7).tolist(), "limit": most, "made_by": "python -m tools.domain"}  # fmt: skip
    runtime.write_text(ROOT / "data" / "domain.json", json.dumps(fitted, indent=1) + "\n")
    others = [{"group": kind, "person": name, "name": name, "like": likeness.features(stack)}
              for kind, name, stack in strangers(folder)]  # fmt: skip
    report, report_trials = measure(reporting(folder), "report", axes=True)
    for row in others + report:
        row["distance"] = np.nan if row["like"] is None else likeness.distance(row["like"], mean, spread)
    write(heads + synthetic + others + report, trials, report_trials, most)


def write(rows: list[dict], trials: list[dict], report_trials: list[dict], most: float) -> None:
    """Writes ``results/domain.csv`` and ``results/domain.md``."""
    where = resources.provenance()
    with (
        runtime.atomic_write(ROOT / "results" / "domain.csv") as part,
        open(part, "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["group", "person", "name", "distance", "limit", "filled x", "filled y", "filled z", "resliced",
                        "face", *likeness.FEATURES, "machine", "commit", "date"])  # fmt: skip
        for row in rows:
            axes = row.get("filled", {})
            like = ["" if row["like"] is None else f"{one:.4g}" for one in
                    (row["like"] if row["like"] is not None else likeness.FEATURES)]  # fmt: skip
            table.writerow([row["group"], row["person"], row["name"], f"{row.get('distance', np.nan):.2f}", most,
                            *(f"{axes[a][0]:.2f}" if axes else "" for a in "xyz"),
                            "".join(a for a in axes if axes[a][1]), row.get("face", ""), *like,
                            where["machine"], where["commit"], where["date"]])  # fmt: skip
    text = "\n".join([*_about(), *_strangers(rows, most), *_axes(rows, trials, report_trials), *_faces(rows), ""])
    runtime.write_text(ROOT / "results" / "domain.md", f"{text}\n{resources.made_by('python -m tools.domain')}\n")


def _about() -> list[str]:
    return ["# What the judge of scans is worth", "",
            "`medsr enhance` looks at a scan before it writes anything (`medsr_course.scans.domain`). Thresholds "
            "come from development scans and the cohort. Report scans were measured once, at the end.", ""]  # fmt: skip


def _strangers(rows: list[dict], most: float) -> list[str]:
    heads = [row for row in rows if row["group"] == "development" and row["like"] is not None]
    distances, persons = np.array([row["distance"] for row in heads]), [row["person"] for row in heads]
    people = len(set(persons))
    lines = ["## Is it a head? (`unlike-heads`)", "",
             f"Mahalanobis distance of ten numbers: {'; '.join(likeness.FEATURES.values())}. Of development scans "
             f"({len(heads)} of {people} people) each distance comes from a fit without that person. Limit {most:.2f}: "
             f"95 % of people stay below it. It was chosen on these people, so their share below it is no result.", "",
             "AUC: the chance that such an image is farther away than a development scan, mean over people, with the "
             "95 % interval of Student's t over them; the images out of domain count as given.", "",
             "| images | number | called unlike heads | AUC (95 %) | distance: least, median |",
             "|---|---|---|---|---|"]  # fmt: skip
    known = ("development", "cohort", "report")
    kinds = list(dict.fromkeys(row["group"] for row in rows if row["group"] not in known))
    pooled = np.array([row["distance"] for row in rows if row["group"] in kinds and row["like"] is not None])
    for kind in ("all of these", *kinds):
        far = pooled
        if kind != "all of these":
            far = np.array([row["distance"] for row in rows if row["group"] == kind and row["like"] is not None])
        if far.size:
            mean, low, high = auc(distances, persons, far)
            lines.append(f"| {kind} | {far.size} | {np.mean(far > most):.0%} | {mean:.3f} ({low:.3f} … {high:.3f}) | "
                         f"{far.min():.1f}, {np.median(far):.1f} |")  # fmt: skip
    for group, title in (("development", "development heads"), ("cohort", "cohort heads"), ("report", "report heads")):
        near = [row["distance"] for row in rows if row["group"] == group and row["like"] is not None]
        lines.append(f"| {title} | {len(near)} | {np.mean(np.array(near) > most):.0%} | – | {min(near):.1f}, "
                     f"{np.median(near):.1f} |")  # fmt: skip
    missing = [row["name"] for row in rows if row["like"] is None]
    lines += ["", f"Report heads, one by one: {_points(rows)}."]
    return [*lines, f"Not measured (no object, a caution, too): {', '.join(missing)}." if missing else "", ""]


def _points(rows: list[dict]) -> str:
    return ", ".join(f"{row['name']} {row['distance']:.1f}" for row in rows if row["group"] == "report")


def _axes(rows: list[dict], trials: list[dict], report_trials: list[dict]) -> list[str]:
    lines = ["## Was an axis interpolated? (`interpolated-x`, `-y`, `-z`)", "",
             "Each axis of each scan, cropped in k-space to half its grid as complex data, is native by construction "
             "(3 T partners, ulf: 0.28 of their grid, as the scanner had made it much finer; with half of it 7 of "
             "170 axes were called interpolated, all of them theirs); from there it is made finer, each axis by one of "
             "three zooms in turn. Shares of axes called interpolated, and the people behind them. Noise: 2 % added "
             "before (native: without and with).", "",
             "| axis is | zoom | development: in-plane | slice axis | people | report scans |",
             "|---|---|---|---|---|---|"]  # fmt: skip

    def share(some: list[dict]) -> str:
        return f"{sum(one['called'] for one in some)}/{len(some)}" if some else "–"

    for how, zoom in (("native", 1.0), *((how, zoom) for how in REFILLED for zoom in ZOOMS)):
        mine, kept = ([one for one in some if (one["how"], one["zoom"]) == (how, zoom)]
                      for some in (trials, report_trials))  # fmt: skip
        people = len({one["person"] for one in mine})
        lines.append(f"| {how} | {zoom:g} | {share([one for one in mine if one['axis'] != 'z'])} | "
                     f"{share([one for one in mine if one['axis'] == 'z'])} | {people} | {share(kept)} |")  # fmt: skip
    wrong = [np.mean([one["called"] for one in trials if one["how"] == "native" and one["person"] == person])
             for person in sorted({one["person"] for one in trials})]  # fmt: skip
    names = sorted({f"{one['scan']} {one['axis']}" for one in trials + report_trials
                    if one["how"] == "native" and one["called"]})  # fmt: skip
    lines += ["", f"False alarms: {', '.join(names) or 'none'}. Per axis, mean over {len(wrong)} people: "
              f"{np.mean(wrong):.1%}. The thresholds were set on part of these axes, so the report scans' share is the "
              "fairer one.", "",
              "The files as they are, axes called interpolated (part of the band that is filled; r: resampled between "
              "its samples). Of ds002748 z was zero-filled, of the 3 T partners (ulf) the scanner interpolated both "
              "axes, stroke-brain T2w and FLAIR were resliced; of the others it is not known.", ""]  # fmt: skip
    for group in ("development", "report"):
        told = []
        for row in rows:
            if row["group"] == group:
                axes = [f"{a} {part:.2f}{' r' * between}" for a, (part, between) in row["filled"].items()
                        if part < 1 or between]  # fmt: skip
                told.append(f"{row['name']}: {', '.join(axes) or 'none'}")
        lines += [f"* {group}: {'; '.join(told)}"]
    clean = [row for row in rows if row["group"] == "cohort"]
    alarms = [row["name"] for row in clean if any(part < 1 or between for part, between in row["filled"].values())]
    return [*lines, f"* cohort: {len(alarms)} of {len(clean)} have an axis called interpolated"
            f"{' (' + ', '.join(alarms) + ')' if alarms else ''}; some of them were made with an empty outer band or "
            "resliced", ""]  # fmt: skip


def _faces(rows: list[dict]) -> list[str]:
    """By eye: of the development scans only tumour-brain1 shows a face; the cohort's say whether they were stripped."""
    real = [row for row in rows if row["group"] == "development"]
    made = [row for row in rows if row["group"] == "cohort"]
    right = [row["face"] == (row["name"] == "tumour-brain1") for row in real]
    seen = [row["name"] for row in rows if row["group"] == "report" and row["face"]]
    return ["## Is there a face? (`face`, a note)", "",
            f"Right on {sum(right)} of {len(right)} development scans, judged by eye: one shows a face, the others are "
            "skull-stripped, defaced, cropped above the nose, or four slices. So few faces say little on how many are "
            f"missed. Of {len(made)} cohort heads {sum(row['face'] for row in made)} are said to have one. Report "
            f"scans said to have one: {', '.join(seen) or 'none'}; studyforrest-sub-02 is described as "
            "defaced."]  # fmt: skip


if __name__ == "__main__":
    command.run(main)
