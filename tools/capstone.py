"""Chapter 19's study and challenge on more people than a lesson has time for: ``python -m tools.capstone``

Model observers on twenty test subjects of the cohort, taught by training subjects that no network has seen; the
challenge on the same twenty, and on real development scans where they are. Writes ``results/capstone.csv``, a row for
each number, and ``results/capstone.md``. Report scans are not touched.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medsr_course import resources, runtime
from medsr_course.leaderboard import markdown, methods
from medsr_course.networks import pretrained
from medsr_course.physics import metrics
from medsr_course.scans import datasets
from medsr_course.tasks import challenge, observing
from tools import command

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ("espcn-x2", "srresnet-x2")
ENTRIES = ("zip", "cubic", *NETWORKS)
TASK = observing.Task(size=0.5, contrast=0.4, scale=2, noise=3.0)
COLUMNS = ("part", "people", "what", "images or method", "mean", "low", "high", "note")
COHORT, REAL = "cohort, test", "real, development"


def observers(test: list[datasets.Subject], slices: int) -> Iterator[dict[str, Any]]:
    """AUCs over people, and paired differences to the coarse image."""
    seen = {person for name in NETWORKS for person in pretrained.card(name).trained_on["cohort"]}
    fresh = [s for s in datasets.load("cohort").select("train") if s.id not in seen]
    shown = {"ZIP": methods.get("zip"), **{name: methods.get(name) for name in NETWORKS}}
    taught, judged = (
        [observing.cases(s, TASK, shown, slices=slices) for s in runtime.progress(group, "observers")]
        for group in (fresh, test)
    )
    for observer, areas in observing.study(taught, judged, TASK.size).items():
        for kind, values in areas.items():
            yield _row("observers", len(judged), f"AUC, {observer}", kind, values)
        for kind, values in areas.items():
            if kind != observing.COARSE:
                change = [a - b for a, b in zip(values, areas[observing.COARSE], strict=True)]
                yield _row("observers", len(judged), f"AUC less that on LR, {observer}", kind, change)


def entries(people: list[datasets.Subject], part: str) -> Iterator[dict[str, Any]]:
    """The challenge's scores."""
    for name in runtime.progress(ENTRIES, part):
        found = challenge.score(methods.get(name), people, name, secret=19)
        numbers = {"mean": found.gain, "low": found.low, "high": found.high}
        note = f"altered {found.altered:+.2f} dB, lesions kept {found.kept:.0%}; {found.verdict}"
        yield _rounded(part, found.people, "gain over ZIP (dB)", name, numbers) | {"note": note}


def _row(part: str, people: int, what: str, kind: str, values: list[float]) -> dict[str, Any]:
    mean, low, high = metrics.student_interval(values)
    return _rounded(part, people, what, kind, {"mean": mean, "low": low, "high": high})


def _rounded(part: str, people: int, what: str, kind: str, numbers: dict[str, float]) -> dict[str, Any]:
    shown = {key: f"{value:+.3f}" if math.isfinite(value) else "" for key, value in numbers.items()}
    return {"part": part, "people": people, "what": what, "images or method": kind, **shown, "note": ""}


def real() -> list[datasets.Subject]:
    """Real development scans with a T1w image, where they are here."""
    if datasets.real_folder() is None:
        return []
    found = list(datasets.load("ds002748").select("validation"))
    return found + [s for s in datasets.load("real-scans").select("validation") if "T1w" in s.contrasts]


def report(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "# Capstone: can it be seen, and the challenge",
        "",
        f"Lesions {TASK.size:g} coarse voxels across, {TASK.contrast:.0%} brighter than white matter, FLAIR, "
        f"×{TASK.scale}, {TASK.noise:g} % noise. LR is the coarse image, HR the fine one without the added noise.",
        "",
        "Observers learn from training people whom no network has seen. Intervals are Student's t (95 %) over people; "
        "real scans are few, and their intervals say little.",
        "",
    ]
    lines += markdown.table(COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
    return "\n".join([*lines, "", resources.made_by("python -m tools.capstone"), ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=120, help="of the cohort; every sixth is a test subject")
    parser.add_argument("--slices", type=int, default=10, help="of each person, for the observers")
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    test = list(datasets.load("cohort", n_subjects=options.subjects, split="test"))
    rows = [*observers(test, options.slices), *entries(test, COHORT)]
    people = real()
    rows += entries(people, REAL) if people else []
    runtime.write_table(options.output / "capstone.csv", COLUMNS, rows)
    runtime.write_text(options.output / "capstone.md", report(rows))


if __name__ == "__main__":
    command.run(main)
