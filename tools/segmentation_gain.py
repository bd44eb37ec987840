"""What super-resolution is worth to a segmentation: ``python -m tools.segmentation_gain`` writes ``results/`` of it.

The cohort's twenty test subjects, who taught no network and chose nothing; the shipped U-Nets of chapter 13, trained on
fine images. A difference is judged by its 95 % interval, equivalence by the 90 % interval within ±:data:`MARGIN`, which
was set before anything was measured: chapter 13 asks as much of its U-Net over the mixture.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.leaderboard import markdown
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import segment_with
from medsr_course.networks.training import segmentation as labels
from medsr_course.networks.training.sources import TEST_SUBJECTS, subjects
from medsr_course.physics import acquisition, coils, grid, interpolation, metrics
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import segmentation, thick_slices
from medsr_course.types import Stack
from tools import command

ROOT = Path(__file__).resolve().parent.parent
MARGIN = 0.02  # Dice
SCALE, BLOCK, BESIDE = 4, 16, 8  # BESIDE: slices on either side of a block that its thick slices see
NETWORK = "cnn25d-z4"


def in_slices(block: Stack, key: str, stored: bool) -> dict[str, Stack]:
    """A block made coarse within its slices, and fine again by each method; the fine one itself beside them."""
    low = coils.stored(block, SCALE, key).astype(np.float32) if stored else acquisition.kspace_crop(block, SCALE)
    made = {"ZIP": interpolation.zero_fill(low, SCALE)}
    made |= {title: pretrained.super_resolve(f"{title.lower()}-x4", low) for title in ("SRResNet", "SRGAN")}
    return {**made, "HR": block}


def through_slices(scan: Stack, first: int, count: int) -> dict[str, Stack]:
    """``count`` slices of a scan from ``first`` on, seen by thick slices, and thin again by each method."""
    thin = scan[first - BESIDE : first + count + BESIDE]
    thick = thick_slices.thicken(thin)
    nearest = np.minimum((np.arange(len(thin)) + SCALE // 2) // SCALE, len(thick) - 1)
    made = {
        "nearest slice": thick[nearest],
        "cubic": thick_slices.cubic(thick, SCALE),
        "back-projection": thick_slices.back_project(thick),
        "network": pretrained.thin_slices(NETWORK, thick),
        "thin": thin,
    }
    return {title: stack[BESIDE : BESIDE + count] for title, stack in made.items()}


def _whole(stack: Stack) -> Stack:
    return stack[:, : stack.shape[1] // SCALE * SCALE, : stack.shape[2] // SCALE * SCALE]


def measure(subject: Subject, tissue: Callable, lesion: Callable) -> Iterator[dict[str, Any]]:
    """Rows of one subject: mean Dice of three tissues, and of lesions the Dice, the share found and false alarms."""
    scan = _whole(volumes.to_stack(subject.contrasts["T1w"]).astype(np.float32))
    first, unit = int(0.45 * len(scan)), grid.intensity(scan)[1]
    block = slice(first, first + BLOCK)
    truth = _whole(labels.truth(subject, "tissue"))[block]
    forms = {f"{'stored' if s else 'signed'} ×4": in_slices(scan[block], subject.id, s) for s in (True, False)}
    forms["thick slices"] = through_slices(scan, first, BLOCK)
    for question, made in forms.items():
        for title, stack in made.items():
            found = segment_with(tissue, stack, unit=unit)
            dice = [np.nan_to_num(segmentation.dice(truth, found, k)) for k in segmentation.BRAIN]
            yield {"subject": subject.id, "of": question, "method": title, "tissue Dice": float(np.mean(dice))}
    scan = _whole(volumes.to_stack(subject.contrasts["FLAIR"]).astype(np.float32))
    first, count, unit = int(0.45 * len(scan)), BLOCK, grid.intensity(scan)[1]
    mask = _whole(labels.truth(subject, "lesion"))[first : first + count] == 1
    if not mask.any():
        return
    for title, stack in through_slices(scan, first, count).items():
        found = segment_with(lesion, stack, unit=unit) == 1
        hits, alarms = segmentation.detected(mask, found)
        share = float(np.mean([hit for _, hit in hits])) if hits else float("nan")
        row = {"lesion Dice": segmentation.dice(mask, found, 1), "lesions found": share, "false alarms": alarms}
        yield {"subject": subject.id, "of": "thick slices, lesions", "method": title, **row}


def differences(rows: list[dict[str, Any]], question: str, score: str, one: str, other: str) -> np.ndarray:
    """One score's difference between two methods, a value per subject."""
    of = {(row["subject"], row["method"]): row[score] for row in rows if row["of"] == question}
    people = dict.fromkeys(row["subject"] for row in rows if row["of"] == question)
    values = np.array([of[s, one] - of[s, other] for s in people], float)
    return values[np.isfinite(values)]


def report(rows: list[dict[str, Any]]) -> str:
    """Means, differences and verdicts as Markdown."""
    people = len(dict.fromkeys(row["subject"] for row in rows))
    lines = [
        "# What super-resolution is worth to a segmentation",
        "",
        f"{people} test subjects of the cohort, whom no network has seen and who chose nothing; the U-Nets "
        "`unet-tissue` (T1w) and `unet-lesion` (FLAIR), trained on fine images. Brackets: 95 % interval of the mean "
        "(Student's t). *Different*: that interval does not hold 0. *Equivalent*: the 90 % interval lies within "
        f"±{MARGIN} Dice, a margin set before the measurement (two one-sided tests at 5 %).",
    ]
    pairs = {
        "stored ×4": [("SRResNet", "ZIP"), ("SRGAN", "ZIP"), ("SRGAN", "SRResNet"), ("HR", "SRResNet")],
        "thick slices": [("network", "cubic"), ("network", "back-projection"), ("thin", "network")],
    }
    pairs["signed ×4"], pairs["thick slices, lesions"] = pairs["stored ×4"], pairs["thick slices"]
    for question, compared in pairs.items():
        mine = [row for row in rows if row["of"] == question]
        scores = [name for name in dict.fromkeys(k for row in mine for k in row) if "Dice" in name or "s f" in name]
        lines += ["", f"## {question[0].upper()}{question[1:]}", ""]
        cells = []
        for method in dict.fromkeys(row["method"] for row in mine):
            means = [np.nanmean([row[name] for row in mine if row["method"] == method]) for name in scores]
            cells.append([method, *(f"{value:.3f}" for value in means)])
        lines += [*markdown.table(["method", *scores], cells), ""]
        cells = []
        for one, other in compared:
            for name in scores:
                values = differences(rows, question, name, one, other)
                three = "{:+.4f} ({:+.4f} … {:+.4f})".format(*metrics.student_interval(values))
                cells.append([f"{one} − {other}", name, three, segmentation.verdict(values, MARGIN), len(values)])
        lines += markdown.table(["difference", "of", "mean and interval", "verdict", "subjects"], cells)
    return "\n".join([*lines, "", resources.made_by("python -m tools.segmentation_gain"), ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=20, help="of the cohort's test subjects")
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    networks = pretrained.network("unet-tissue"), pretrained.network("unet-lesion")
    people = subjects("cohort", "test", TEST_SUBJECTS)[: options.subjects]
    rows = [row for subject in runtime.progress(people, "subjects") for row in measure(subject, *networks)]
    command.write(options.output, "segmentation-gain", rows, report(rows))


if __name__ == "__main__":
    command.run(main)
