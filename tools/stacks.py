"""Three orthogonal stacks of thick slices against one: ``python -m tools.stacks`` writes ``results/stacks.*``.

The method, its rivals and the trial are those of ``medsr_course.tasks.orthogonal`` and of chapter 06. Rounds and
smoothness are chosen on validation subjects of the cohort; the scans kept for reporting are measured last, once.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medsr_course import resources, runtime
from medsr_course.physics import metrics
from medsr_course.scans import datasets
from medsr_course.tasks import orthogonal
from medsr_course.types import Image
from tools import command

ROOT = Path(__file__).resolve().parent.parent
SIDE, THICK, NOISE = 2, 4, 0.01  # voxels of the scan in one of ours; ours in a slice; of the 99.5th percentile
ROUNDS = range(1, 11)
DAMPINGS = (0.001, 0.003, 0.01, 0.03, 0.1)
DEVELOPMENT, REPORT = ("stroke-brain",), ("adult-brain", "adult-head", "studyforrest-sub-02")


def choose(images: list[tuple[str, Image]]) -> tuple[int, float]:
    """Rounds of back-projection and λ of the rivals, by the mean PSNR over volumes."""
    traces, rivals = [], []
    for name, image in images:
        volume = orthogonal.cubes(image, SIDE, THICK)
        stacks, _ = orthogonal.measure(volume, THICK, NOISE, runtime.rng("three stacks", name))
        motions = orthogonal.align(stacks, THICK)
        guess, trace = orthogonal.back_project(stacks, THICK, motions, 0), []
        for _ in ROUNDS:
            guess = orthogonal.back_project(stacks, THICK, motions, 1, start=guess)
            trace.append(metrics.psnr(volume, guess))
        traces.append(trace)
        rng = runtime.rng("parallel", name)
        rivals.append([orthogonal.best_parallel(volume, THICK, NOISE, rng, d) for d in DAMPINGS])
    return ROUNDS[int(np.mean(traces, axis=0).argmax())], DAMPINGS[int(np.mean(rivals, axis=0).argmax())]


def people() -> Iterator[tuple[str, str, Image]]:
    """Group, name and image: cohort subjects that chose nothing, then real scans where they are here."""
    cohort = datasets.load("cohort", n_subjects=24)
    for split in ("train", "test"):
        for subject in cohort.select(split):
            yield "cohort", subject.id, subject.contrasts["T1w"]
    try:
        scans = datasets.load("real-scans")
    except runtime.CourseError:
        return
    for group, names in (("development", DEVELOPMENT), ("report", REPORT)):
        for name in names:
            if name in scans.ids:
                yield group, name, scans[name].contrasts["T1w"]


def write(rows: list[dict], rounds: int, damping: float) -> None:
    """Writes ``results/stacks.csv`` and ``results/stacks.md``."""
    where, columns = resources.provenance(), ("moved", "error", *orthogonal.COMPARED)
    shown = ({**row, **{c: f"{row[c]:.3f}" for c in columns}, **where} for row in rows)
    names = ("group", "name", *columns, "machine", "commit", "date")
    runtime.write_table(ROOT / "results" / "stacks.csv", names, shown)
    lines = [
        "# Three orthogonal stacks",
        "",
        "Chapter 06: three stacks, axial, coronal and sagittal, each slice four voxels thick, "
        f"{100 * NOISE:g} % noise, up to 5° and 3 voxels of motion along each axis between them, registered and "
        f"back-projected ({rounds} rounds). *One stack*: measured three times, at rest, the best of three directions "
        "and two methods. *Three parallel*: at rest, a third of a slice apart, fused "
        f"(λ = {damping:g}). Rounds and λ were chosen on validation subjects of the cohort. All stacks are simulated: "
        "a voxel is the mean of two along each axis of the scan, 2 mm where those have 1 mm. T1w; PSNR of the whole "
        "field, dB; motion and registration error (mean over points of the head) in voxels.",
        "",
        "| group | scan | moved | registration error | " + " | ".join(orthogonal.COMPARED) + " |",
        "|---|---|---:|---:|" + "---:|" * len(orthogonal.COMPARED),
    ]
    cohort = [row for row in rows if row["group"] == "cohort"]
    if cohort:
        means = {c: np.mean([row[c] for row in cohort]) for c in columns}
        lines.append(_line({"group": "cohort", "name": f"mean of {len(cohort)}", **means}))
    lines += [_line(row) for row in rows if row["group"] != "cohort"]
    for rival in ("one stack", "three parallel"):
        if len(cohort) > 1:
            mean, low, high = metrics.student_interval([row["three"] - row[rival] for row in cohort])
            lines += ["", f"Three orthogonal over {rival}, cohort: {mean:+.2f} dB (95 % interval of Student's t over "
                          f"{len(cohort)} subjects: {low:+.2f} … {high:+.2f})."]  # fmt: skip
    if any(row["group"] == "report" for row in rows):
        lines += ["", "Scans of the group *report* were measured once, by the final code: one look."]
    lines += ["", "All values: `stacks.csv`.", "", resources.made_by("python -m tools.stacks"), ""]
    runtime.write_text(ROOT / "results" / "stacks.md", "\n".join(lines))


def _line(row: dict) -> str:
    numbers = [f"{row['moved']:.1f}", f"{row['error']:.3f}"]
    numbers += [f"{row[c]:.2f}" for c in orthogonal.COMPARED]
    return f"| {row['group']} | {row['name']} | " + " | ".join(numbers) + " |"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", type=int, default=2, metavar="N", help="validation subjects to choose by")
    tuning = parser.parse_args().tuning
    validation = datasets.load("cohort", n_subjects=24).select("validation")[:tuning]
    rounds, damping = choose([(s.id, s.contrasts["T1w"]) for s in validation])
    rows: list[dict] = []
    for group, name, image in people():
        volume = orthogonal.cubes(image, SIDE, THICK)
        found = orthogonal.trial(volume, name, THICK, NOISE, rounds, damping)
        rows.append({"group": group, "name": name, **found})
        print(group, name, {c: round(found[c], 2) for c in orthogonal.COMPARED}, flush=True)
    write(rows, rounds, damping)


if __name__ == "__main__":
    command.run(main)
