"""Run chapters A1 and A1b with several seeds, and keep what they claimed: ``results/frameworks.csv`` and ``.md``.

    python -m tools.frameworks [--seeds 3] [--profile lesson]

TensorFlow, PyTorch and JAX must be installed. The numbers are those that readers get, for the chapters themselves run.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from medsr_course import resources, runtime
from medsr_course.networks import backends
from medsr_course.teaching import claims, notebooks
from tools import command

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ("A1", "A1b")
TIMES = "× TensorFlow"  # stands in the table of times of chapter A1
NAMES = (*backends.NAMES, "keras", "onnxruntime", "numpy")


def executed(chapter: str, seed: int, profile: str, folder: Path) -> Path:
    """Runs a chapter with a seed; returns its executed copy."""
    os.environ |= {"JUPYTER_PREFER_ENV_PATH": "1", "MEDSR_PROGRESS": "0"} | runtime.folder_settings()
    import papermill

    source, target = notebooks.chapters()[chapter], folder / f"{chapter}_{seed}.ipynb"
    papermill.execute_notebook(
        source, target, {"PROFILE": profile, "SEED": seed}, kernel_name="python3", progress_bar=False,
        cwd=source.parent,
        extra_arguments=["--IPKernelApp.log_level=50"],  # nothing about unencrypted local TCP
    )  # fmt: skip
    return target


def summary(runs: Iterable[list[dict]]) -> list[dict]:
    """Returns a row per claim: its least and its greatest value over runs, and how often it held."""
    rows: dict[tuple[str, str], dict] = {}
    for number, run in enumerate(runs, 1):
        for claim in run:
            if claim["value"] is None:
                raise runtime.CourseError(f"not measured: {claim['claim']}: {claim['why'] or 'it failed'}")
            row = rows.setdefault(
                (claim["chapter"], claim["claim"]),
                {name: claim[name] for name in ("chapter", "claim", "kind", "bound")} | {"values": [], "held": 0},
            )
            row["values"].append(claim["value"])
            row["held"] += bool(claim["ok"])
            row["seeds"] = number
    for row in rows.values():
        values = row.pop("values")
        row |= {"least": f"{min(values):.3g}", "most": f"{max(values):.3g}"}
    return list(rows.values())


def times(path: Path) -> str:
    """Returns the table of times from an executed copy of chapter A1, in Markdown."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            text = "".join(output.get("data", {}).get("text/markdown", ""))
            if TIMES in text:
                return text
    raise runtime.CourseError(f"{path.name} shows no table of times")


def page(rows: list[dict], seeds: int, profile: str, clock: str) -> str:
    """Returns the page for readers, in Markdown."""
    lines = [
        "# Frameworks",
        "",
        f"What chapters A1 and A1b claim, measured with all five stacks (seeds: {seeds}, profile {profile}): "
        + ", ".join(f"{name} {version(name)}" for name in NAMES)
        + ".",
    ]
    for chapter in CHAPTERS:
        lines += [
            "",
            f"## Chapter {chapter}",
            "",
            "| claim | bound | least | most | held |",
            "|---|---|---:|---:|---:|",
        ]
        for row in (row for row in rows if row["chapter"] == chapter):
            lines.append("| {claim} | {bound} | {least} | {most} | {held} of {seeds} |".format(**row))
    lines += ["", "## Times, last seed", "", clock, "", resources.made_by("python -m tools.frameworks"), ""]
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--profile", choices=runtime.PROFILES, default="lesson")
    parser.add_argument("--output", type=Path, default=ROOT / "results", help="folder (%(default)s)")
    options = parser.parse_args()
    missing = set(backends.NAMES) - set(backends.installed())
    if missing:
        raise runtime.CourseError(f"{', '.join(sorted(missing))} is not installed here: pip install torch jax")
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            paths = [executed(chapter, seed, options.profile, Path(folder)) for chapter in CHAPTERS]
            runs.append(
                [row for path, chapter in zip(paths, CHAPTERS, strict=True) for row in collected(path, chapter)]
            )
            print(f"seed {seed}: {sum(bool(row['ok']) for row in runs[-1])} of {len(runs[-1])} claims hold", flush=True)
        clock = times(paths[0])
    rows = [row | resources.provenance() for row in summary(runs)]
    command.write(options.output, "frameworks", rows, page(rows, options.seeds, options.profile, clock))


def collected(path: Path, chapter: str) -> list[dict]:
    """Returns the claims of an executed copy."""
    return [row | {"chapter": chapter} for row in claims.collect(path, notebooks.chapters()[chapter])]


if __name__ == "__main__":
    command.run(main)
