"""What is asked for, and who is measured: the cohort's test subjects, and real scans where they are here."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medsr_course.runtime import CourseError
from medsr_course.scans import datasets

SCALES = (2, 4)  # of super-resolution
DATA = ("cohort", "real", "all")
REAL = ("ds002748", "real-scans")
CONTRASTS = (*datasets.CONTRASTS, "CT")
COHORT, VALIDATION, REPORT, CT = "cohort, test", "real MR, validation", "real MR, test", "real CT, development"
GROUPS = (COHORT, VALIDATION, REPORT, CT)


@dataclass(frozen=True)
class Request:
    """What is to be measured: all there is, or a part of it.

    Attributes
    ----------
    data : {"cohort", "real", "all"}
        The cohort's test subjects, real scans, or both, where "all" goes without the real ones if they are not here.
    scales, names : sequences of int and str
        Of super-resolution: scales, and methods, all of them if there is no name.
    seed, subjects : int
        Of the cohort; of so many every sixth is a test subject, and only those that are needed are made.
    fresh : bool
        Measure again what the cache holds, say for times on a machine that now does nothing else.
    announce : callable
        Receives a line on what is measured, before it is.
    """

    data: str = "all"
    scales: tuple[int, ...] = SCALES
    names: Sequence[str] = ()
    seed: int = 0
    subjects: int = 120
    fresh: bool = False
    announce: Callable[[str], None] = lambda line: None

    @property
    def whole(self) -> bool:
        """Whether this is all there is, whatever the cohort."""
        return self.data == "all" and self.scales == SCALES and not self.names


@dataclass(frozen=True)
class Scan:
    """One scan of one subject of a data set; ``read()`` and ``labels()`` return nibabel images."""

    data: str
    split: str
    subject: str
    contrast: str
    read: Callable[[], Any]
    labels: Callable[[], Any] = lambda: None

    @property
    def group(self) -> str:
        """Which of :data:`GROUPS` it belongs to."""
        return group(self.data, self.split, self.contrast)

    @property
    def key(self) -> str:
        """What the noise that is added to it is drawn by."""
        return f"{self.subject} {self.contrast}"


def group(data: str, split: str, contrast: str) -> str:
    """Returns which of :data:`GROUPS` a scan belongs to.

    >>> group("real-scans", "test", "T2w")
    'real MR, test'
    """
    if data == "cohort":
        return COHORT
    if contrast == "CT":
        return CT
    return VALIDATION if split == "validation" else REPORT


def find(
    request: Request, tuning: int = 2, real: Iterable[str] = REAL, contrasts: Sequence[str] = datasets.CONTRASTS
) -> tuple[list[Scan], list[Scan]]:
    """Returns the scans that are measured, and those that strengths are chosen on.

    Of the cohort: test subjects, each in one of the ``contrasts``, in turn, and the first ``tuning`` validation
    subjects in all of them. Of real people, from the data sets named in ``real``: the validation subjects of ds002748
    and all the single scans; validation scans are in both lists. A :class:`CourseError` if there is nothing to measure.
    """
    if request.data not in DATA:
        raise CourseError(f"--data {request.data!r} is unknown: choose one of {', '.join(DATA)}")
    measured, chosen_on = [], []
    if request.data != "real":
        test = datasets.load("cohort", n_subjects=request.subjects, seed=request.seed, split="test")
        if not test:
            raise CourseError(f"a cohort of {request.subjects} has no test subject: give --subjects 6 or more")
        for k, subject in enumerate(test):  # the unit is the person: another contrast of one person is no other person
            measured += _of("cohort", [subject], [contrasts[k % len(contrasts)]])
        if tuning:
            few = datasets.load("cohort", n_subjects=6 * tuning, seed=request.seed, split="validation")
            chosen_on += _of("cohort", few, contrasts)
    if request.data != "cohort":
        found = [scan for name in real for scan in _real(name)]
        if not found and request.data == "real":
            raise CourseError(
                "there are no real scans here: `medsr data get ds002748`, or name a folder in MEDSR_REAL_DATA"
            )
        measured += found
        chosen_on += [scan for scan in found if scan.split == "validation"]
    return measured, chosen_on


def _of(name: str, subjects: Iterable[datasets.Subject], contrasts: Sequence[str] = CONTRASTS) -> list[Scan]:
    def scan(subject: datasets.Subject, contrast: str) -> Scan:
        about = name, subject.split, subject.id, contrast
        return Scan(*about, lambda: subject.contrasts[contrast], lambda: subject.labels)

    return [scan(subject, contrast) for subject in subjects for contrast in subject.contrasts if contrast in contrasts]


def _real(name: str) -> list[Scan]:
    if name == "ds002748":  # loaded only where it is: else it would be downloaded
        here = any(row.present for row in datasets.available() if row.name == name)
        return _of(name, datasets.load(name).select("validation")) if here else []
    if datasets.real_folder():
        with contextlib.suppress(CourseError):  # a folder with ds002748 alone
            return _of(name, datasets.load(name))
    return []


def choose(scan: Scan, swept: dict[Scan, dict[float, float]]) -> float:
    """Returns the best strength for a scan: by validation scans of its kind, its own subject left out.

    ``swept``: scan → strength → score, more is better; of one method under one condition.
    """
    usable = {s: v for s, v in swept.items() if s.split == "validation" and s.subject != scan.subject}
    alike = [v for s, v in usable.items() if (s.data == "cohort") == (scan.data == "cohort")]
    pool = alike or list(usable.values())
    if not pool:
        raise CourseError("no validation scan is left to choose a filter's strength on: measure with --data all")
    return max(pool[0], key=lambda strength: np.mean([v[strength] for v in pool]))
