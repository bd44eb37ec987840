"""What networks are trained on, and what their cards measure them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.networks.training.pairs import TrainingError, dead_leaves, scaled_slices
from medsr_course.physics import grid
from medsr_course.scans import datasets
from medsr_course.types import Array, Image

DS002748 = (
    "OpenNeuro ds002748 v1.0.5 (Bezmaternykh et al., CC0, doi 10.18112/openneuro.ds002748.v1.0.5): T1w of the subjects "
    "named under trained_on"
)
COHORT = "the course's synthetic cohort (MIT; made from the ICBM 2009a template): T1w, T2w, PDw, FLAIR"
SOURCES = {
    "ds002748": f"{DS002748}; axial slices",
    "cohort": f"{COHORT}; axial slices",
    "dead-leaves": "images without anatomy, made by the course (MIT)",
    "clinical": "what clinics store: Open MS data, long-01 (Lesjak et al., CC BY 4.0), two visits, T1w, T2w and FLAIR "
    "of 3 to 4 mm, and a child's T1w of 0.9 mm (MIT): axial slices on the grid they were stored on",
    "partners-3t": "3 T T1w, T2w and FLAIR of the patients of bispmri's Ultra-low-field-MRI-Scanner (CC0): four "
    "slices each, cropped to 209×245 samples, since the scanner had interpolated them",
}
SHARE = {"ds002748": 0.45, "cohort": 0.4, "dead-leaves": 0.15}  # data set → its share of the patches
# With other contrasts and whole heads, as clinics store them
BROAD = {"ds002748": 0.3, "cohort": 0.2, "dead-leaves": 0.1, "clinical": 0.28, "partners-3t": 0.12}
COHORT_SUBJECTS = 12  # eight of them for training
TEST_SUBJECTS = 120  # every sixth is a test subject; the others are not made for it


def subjects(source: str, split: str, count: int = COHORT_SUBJECTS) -> datasets.Subjects:
    """Returns the subjects of a recipe's data set, ``"cohort"`` (the first ``count``) or ``"ds002748"``.

    Raises :class:`TrainingError` where there are none. Training needs all twelve subjects of ds002748 that the model
    card names: a BIDS folder ``ds002748`` inside the folder that MEDSR_REAL_DATA names.
    """
    options: dict[str, Any] = {"n_subjects": count, "split": split} if source == "cohort" else {}
    found = datasets.load(source, **options).select(split)
    if not found:
        raise TrainingError(
            f"{source} has no subjects for {split} here: put its BIDS folder into the folder that MEDSR_REAL_DATA names"
        )
    return found


# Interpolated by the scanner to up to 444×521 samples: what the coarsest of them has, all of them have.
PARTNERS_GRID = (245, 209)
COHORT_TEST = "cohort test"  # the group of all its test subjects, and what those of its contrasts begin with


def _slices(source: str, image: Image) -> list[Array]:
    if source != "partners-3t":
        return list(scaled_slices(image, 60))
    stack = scaled_slices(image, 4, between=(0, 1)).astype(np.float32)
    for axis, size in zip((-2, -1), PARTNERS_GRID, strict=True):
        stack = grid.crop_axis(stack, min(size, stack.shape[axis]), axis)
    return list(np.maximum(stack, 0).astype(np.float16))


def material(
    share: dict[str, float], cut: Callable[[str, Image], list] = _slices
) -> tuple[list, Array, dict[str, list[str]]]:
    """Returns samples of the data sets in ``share``, the probability of each, and data set → subjects.

    ``cut(source, image)`` makes samples of a scan: by default slices, float16 arrays (h, w), divided by the 99.5th
    percentile of their scan.
    """
    samples: list = []
    weights, trained_on = [], {}
    for source, part in share.items():
        first = len(samples)
        if source == "dead-leaves":
            samples += dead_leaves(300)
            trained_on[source] = ["300 images, seed 0"]
        else:
            found = subjects(source, "train")
            for subject in runtime.progress(found, source, unit="subject"):
                for image in subject.contrasts.values():
                    samples += cut(source, image)
            trained_on[source] = [subject.id for subject in found]
        count = len(samples) - first
        weights += [part / max(count, 1)] * count
    return samples, np.array(weights) / np.sum(weights), trained_on


def development() -> dict[str, Image]:
    """Returns scans of validation subjects, name → image: what trainings may be watched and settings chosen by.

    Real ones, or where there is no folder of real scans, two of the cohort.
    """
    if datasets.real_folder() is None:
        return {f"{s.id} T1w": s.contrasts["T1w"] for s in subjects("cohort", "validation")[:2]}
    scans = {f"{s.id} T1w": s.contrasts["T1w"] for s in subjects("ds002748", "validation")}
    for subject in datasets.load("real-scans").select("validation"):
        scans |= {f"{subject.id} {contrast}": image for contrast, image in subject.contrasts.items()}
    return scans


def cohort_test() -> dict[str, dict[str, Image]]:
    """Returns the cohort's twenty test subjects, each in one contrast, in turn: group title → scan name → image."""
    groups: dict[str, dict[str, Image]] = {}
    for k, subject in enumerate(subjects("cohort", "test", TEST_SUBJECTS)):
        contrast = datasets.CONTRASTS[k % len(datasets.CONTRASTS)]
        groups.setdefault(f"{COHORT_TEST}, {contrast}", {})[f"{subject.id} {contrast}"] = subject.contrasts[contrast]
    return groups


def measured_on() -> dict[str, dict[str, Image]]:
    """Returns what a card's numbers are measured on: group title → scan name → image."""
    groups = cohort_test()
    validation = subjects("ds002748", "validation")
    groups["ds002748 validation, T1w"] = {f"{s.id} T1w": s.contrasts["T1w"] for s in validation}
    try:
        scans = datasets.load("real-scans")
    except runtime.CourseError:
        return groups  # weights can be made again without them
    for scan in scans:
        for contrast, image in scan.contrasts.items():
            groups[f"real {scan.split}: {scan.id}, {contrast}"] = {f"{scan.id} {contrast}": image}
    return groups


def magnitudes() -> dict[str, dict[str, Image]]:
    """Returns the scans of :func:`measured_on` whose noise is that of MRI."""
    return {title: group for title, group in measured_on().items() if not title.endswith("CT")}
