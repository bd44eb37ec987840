"""Fusion on real scans: ``python -m tools.fusion`` writes ``results/fusion.md`` and ``results/fusion.csv``.

Chapter 16's questions, put to development scans: does a T1w guide that helps on the cohort help real T2w scans, and do
SUVmax and lesion volume of a measured PET survive another grid. The networks are trained here as in the chapter.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course import resources, runtime
from medsr_course.leaderboard import markdown, methods
from medsr_course.networks import models, training
from medsr_course.networks.training import guided
from medsr_course.physics import interpolation
from medsr_course.scans import datasets, scanfiles, volumes
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import fusion
from medsr_course.types import Image
from tools import command

ROOT = Path(__file__).resolve().parent.parent
SCALE, STEPS, FILTERS, DEPTH = 4, 400, 32, 4  # as in the chapter
GUIDES = {"alone": "none", "guided": "own", "trained with another person's guide": "another"}
PET = "sts001_PET"
Row = dict[str, Any]


def trained(people: list[guided.Slices], guides: str, steps: int, seed: int, keep: Path | None) -> Any:
    """A network of chapter 16, trained as there; from its checkpoint in ``keep``, where there is one."""
    model = models.guided(SCALE, filters=FILTERS, depth=DEPTH, seed=10 * seed)
    batches = training.GuidedPatches(people, SCALE, guides=guides, seed=seed)
    checkpoint = keep / f"{guides}-{seed}-{steps}.npz" if keep else None
    training.fit(model, batches, steps, learning_rate=2e-3, margin=2 * SCALE, checkpoint=checkpoint, every=50)
    return model


def patients() -> dict[str, fusion.Pair]:
    """The real development pairs of T2w and T1w: one on one grid, one whose T1w is brought to the grid of its T2w."""
    pairs = {"stroke-brain": fusion.pair(datasets.load("real-scans")["stroke-brain"], SCALE)}
    visit = next((s for s in datasets.load("clinical") if {"T1w", "T2w"} <= set(s.contrasts)), None)
    if visit is not None:
        fine = visit.contrasts["T2w"]
        guide = volumes.resample(visit.contrasts["T1w"], shape=fine.shape, affine=fine.affine)
        pairs[visit.id] = fusion.pair(Subject(visit.id, {"T2w": lambda: fine, "T1w": lambda: guide}), SCALE)
    return pairs


def brains(seeds: int, steps: int, keep: Path | None = None) -> list[Row]:
    """Gains over ZIP of the networks, alone and guided, and of the classical guide, on the real pairs."""
    cohort = datasets.load("cohort", n_subjects=24)
    people = [guided.slices(person) for person in runtime.progress(list(cohort.select("train")), "people")]
    checked = [fusion.pair(person, SCALE) for person in cohort.select("validation")]
    options = fusion.tuned("detail injection", checked, SCALE)
    pairs, rows = patients(), []
    for seed in range(seeds):
        taught = {title: trained(people, guides, steps, seed, keep) for title, guides in GUIDES.items()}
        for scan, pair in pairs.items():
            base = pair.psnrs(interpolation.zero_fill(pair.given, SCALE))["psnr"]
            guides = {"alone": 0 * pair.guide}
            made = {t: guided.super_resolve(m, pair.given, guides.get(t, pair.guide)) for t, m in taught.items()}
            turned = pair.guide[::-1]
            made["guided, at test by other slices"] = guided.super_resolve(taught["guided"], pair.given, turned)
            made["detail injection"] = fusion.inject(pair.given, pair.guide, SCALE, **options)  # type: ignore[arg-type]
            for title, image in made.items():
                gain = pair.psnrs(image)["psnr"] - base
                rows.append({"table": "brains", "scan": scan, "method": title, "seed": seed, "zip": base, "gain": gain})
    return rows


def suv(folder: Path) -> list[Row]:
    """What a report states of the measured lesion, on its own grid and on finer ones."""
    image, mask = (scanfiles.read(folder / f"{PET}_{part}.nii.gz") for part in ("image", "mask"))
    stack, region = volumes.to_stack(image), volumes.to_stack(mask) > 0
    region = ndimage.binary_dilation(region, np.ones((1, 3, 3)))
    rows = [{"table": "suv", "grid": "as stored", "method": "none", **fusion.uptake(stack, region, _voxel(image))}]
    for scale in (2, 4):
        fine = np.repeat(np.repeat(region, scale, axis=1), scale, axis=2)
        for name in ("nearest", "linear", "cubic", "zip", f"srresnet-x{scale}"):
            method = methods.get(name)
            found = fusion.uptake(method(stack.astype(np.float32), scale), fine, _voxel(image) / scale**2)
            rows.append({"table": "suv", "grid": f"×{scale}", "method": method.title, **found})
    return rows


def _voxel(image: Image) -> float:
    return float(np.prod(volumes.voxel_sizes(image)))


def report(rows: list[Row], seeds: int, steps: int) -> str:
    """The tables as Markdown."""
    lines = ["# Fusion: real scans", "",
             "Chapter 16's questions, put to development scans. Single scans, so points and no intervals.", "",
             f"## T2w guided by T1w (×{SCALE}, stored input)", "",
             f"Networks trained on the cohort as in the chapter ({steps} steps); gain over ZIP in dB; seeds: {seeds} "
             "(mean, least and greatest). The T1w of `ms-long01` was brought to the grid of its T2w by the "
             "positions in the two headers.", ""]  # fmt: skip
    cells = []
    some = [row for row in rows if row["table"] == "brains"]
    for scan, method in dict.fromkeys((row["scan"], row["method"]) for row in some):
        mine = [row for row in some if (row["scan"], row["method"]) == (scan, method)]
        values = [row["gain"] for row in mine]
        spread = "" if min(values) == max(values) else f" ({min(values):+.2f} … {max(values):+.2f})"
        cells.append([scan, f"{mine[0]['zip']:.2f}", method, f"{np.mean(values):+.2f}{spread}"])
    lines += markdown.table(["scan", "ZIP (dB)", "method", "gain (dB)"], cells)
    lines += ["", "## A measured lesion, FDG-PET (`sts001`, CC BY 3.0)", "",
              "A soft-tissue sarcoma; pixels of 4.69 mm, made finer in-plane. *Mean* and *volume* are of what is above "
              "40 % of the maximum, inside the lesion's mask dilated by a pixel. There is no truth: the question is "
              "whether a report's numbers depend on the grid.", ""]  # fmt: skip
    lines += markdown.table(
        ["grid", "method", "SUVmax", "SUVmean", "volume (mL)"],
        [[r["grid"], r["method"], f"{r['max']:.2f}", f"{r['mean']:.2f}", f"{r['volume']:.1f}"]
         for r in rows if r["table"] == "suv"])  # fmt: skip
    return "\n".join([*lines, "", resources.made_by("python -m tools.fusion"), ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--keep", type=Path, help="a folder for checkpoints: an interrupted run goes on from there")
    options = parser.parse_args()
    real = datasets.real_folder()
    if real is None:
        raise runtime.CourseError("there are no real scans here: name their folder in MEDSR_REAL_DATA")
    rows = [*suv(real.parent / "fusion"), *brains(options.seeds, options.steps, options.keep)]
    command.write(options.output, "fusion", rows, report(rows, options.seeds, options.steps))


if __name__ == "__main__":
    command.run(main)
