"""Measure what a reader waits for here, beside what else a person would use, to results/bench.csv and bench.md.

    python -m tools.bench [--only PART …] [--repeats 3] [--minutes 10] [--slices 24]

Parts: start-up, cohort, methods, training, inference, engines, volume, recipes (three trainings of --minutes each;
ours, keras.io, keras.io-pairs name them singly). Rows of parts that are not run stay as they are; each part is written
as soon as it is there, and an interrupted training of "recipes" goes on where it was.

PyTorch is compared where this Python has it, or the Python named in MEDSR_TORCH_PYTHON does. On another machine compare
the ratios, unit ×, not the seconds.
"""

import argparse
import csv
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import methods
from medsr_course.physics import acquisition
from medsr_course.scans import datasets, phantom, volumes
from medsr_course.types import Array
from tools import command

Rows: TypeAlias = Iterator[tuple[str, float, str]]  # what, value, unit
Found: TypeAlias = dict[tuple[str, str], float]  # framework and precision → seconds

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "results" / "bench.csv"
COLUMNS = ("part", "what", "value", "unit", "machine", "commit", "date")
NETWORK = {"scale": 2, "filters": 48, "blocks": 8, "noise_map": True}  # srresnet-x2
VOLUME = (181, 217, 181)  # slices, rows, columns
KERAS = "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import keras"


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Shortest of ``repeats`` runs: the others waited for something else."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def each(call: Callable[[Array], object], parts: list[Array]) -> None:
    """Call with one part after the other."""
    for part in parts:
        call(part)


# --- the parts: each yields (what, value, unit) ---------------------------------------------------


def start_up(options: argparse.Namespace) -> Rows:
    """The imports a reader waits for, each in a fresh process, less Python's own start."""

    def process(code: str) -> float:
        command = [sys.executable, "-c", code]
        return seconds(lambda: subprocess.run(command, check=True, stderr=subprocess.DEVNULL), options.repeats)

    bare = process("pass")
    imports = {"NumPy": "import numpy", "medsr_course": "import medsr_course", "Keras on TensorFlow": KERAS}
    for what, code in imports.items():
        yield f"import {what}", process(code) - bare, "s"


def cohort(options: argparse.Namespace) -> Rows:
    """One subject of the synthetic cohort, generated and written."""
    with tempfile.TemporaryDirectory() as folder:
        spent = seconds(lambda: phantom.make_cohort(folder, 1, seed=12345, workers=1), 1)
    yield "one cohort subject, one process", spent, "s"


def resampling(options: argparse.Namespace) -> Rows:
    """Every method at every scale it has, on ten slices of the template."""
    image = datasets.load("mni152")[0].contrasts["T1w"]
    fine = volumes.axial_slices(image, n=10)[:, :228, :192]
    for scale in (2, 4):
        coarse = acquisition.kspace_crop(fine, scale)
        spent = {}
        for name in methods.names(scale):
            method = methods.get(name)
            method(coarse[:1], scale)  # a session is made at the first call
            spent[name] = seconds(partial(method, coarse, scale), options.repeats)
            yield f"{name} ×{scale}", spent[name] / (fine.size / 1e6), "s per megavoxel"
        for name in spent:
            yield f"{name} ×{scale} / ZIP", spent[name] / spent["zip"], "×"


def training_speed(options: argparse.Namespace) -> Rows:
    """Patches per second of SRResNet ×2, batches of 16 patches 32 → 64, here and in plain PyTorch."""
    from medsr_course.networks import training

    with training.precision("auto") as fast:
        precisions = list(dict.fromkeys(("float32", fast)))
    rng = np.random.default_rng(0)
    x, y = rng.random((16, 32, 32, 2), np.float32), 0.05 * rng.standard_normal((16, 64, 64, 1), np.float32)
    found: Found = {}
    for _ in range(options.repeats):  # in turn, so that both see the machine's busy and quiet moments
        for precision in precisions:
            keep_least(found, ("Keras on TensorFlow", precision), _keras_step(x, y, precision, options.steps))
        for precision in ("float32", "bfloat16"):
            if told := torch_run(precision, options, x=x, y=y):
                keep_least(found, ("PyTorch", precision), float(told["training"]))
    for (framework, precision), step in found.items():
        yield f"SRResNet ×2 training, {framework}, {precision}", len(x) / step, "patches/s"
    yield from ratios("training", found, ("Keras on TensorFlow", "float32"))


def keep_least(found: Found, key: tuple[str, str], value: float) -> None:
    """Keep the shortest time of each framework and precision."""
    found[key] = min(value, found.get(key, np.inf))


def ratios(what: str, found: Found, plain: tuple[str, str]) -> Rows:
    """How many times as fast as PyTorch: ``plain`` beside it in float32, and the quickest of each."""
    ours = [spent for (framework, _), spent in found.items() if framework != "PyTorch"]
    torch = {precision: spent for (framework, precision), spent in found.items() if framework == "PyTorch"}
    if torch:
        yield f"SRResNet ×2 {what}, speed here / PyTorch, float32", torch["float32"] / found[plain], "×"
        yield f"SRResNet ×2 {what}, speed here / PyTorch, the best of each", min(torch.values()) / min(ours), "×"


def _keras_step(x: Array, y: Array, precision: str, steps: int) -> float:
    """Seconds of a training step, median: the course's own loop, clipping and averaging of weights included."""
    from medsr_course.networks import models, training

    stamps = []

    def batches(k: int) -> tuple[Array, Array]:
        stamps.append(time.perf_counter())
        return x, y

    with training.precision(precision):
        training.fit(models.srresnet(**NETWORK), batches, steps + 5, every=10**6)
    return float(np.median(np.diff(stamps)[4:]))


def engines(part: str) -> Callable[[argparse.Namespace], Rows]:
    """A part of ``bench_engines``."""

    def rows(options: argparse.Namespace) -> Rows:
        from tools import bench_engines

        yield from getattr(bench_engines, part)(options)

    return rows


def recipe(name: str) -> Callable[[argparse.Namespace], Rows]:
    """PSNR after --minutes of processor time, see ``bench_recipes``."""

    def rows(options: argparse.Namespace) -> Rows:
        from tools import bench_recipes

        yield from bench_recipes.run(name, options.minutes)

    return rows


PARTS = {
    "start-up": start_up,
    "cohort": cohort,
    "methods": resampling,
    "training": training_speed,
    "inference": engines("inference"),
    "engines": engines("gains"),
    "volume": engines("volume"),
    "ours": recipe("ours"),
    "keras.io": recipe("keras.io"),
    "keras.io-pairs": recipe("keras.io, our pairs"),
}
TOGETHER = {"recipes": ("ours", "keras.io", "keras.io-pairs")}


# --- SRResNet, and PyTorch ------------------------------------------------------------------------


def network() -> Any:
    """SRResNet ×2 with weights that are no longer zero; what they are does not matter to its speed."""
    from medsr_course.networks import models

    model = models.srresnet(**NETWORK)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.02 * rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def torch_python() -> str | None:
    """A Python that has PyTorch, or None."""
    chosen = os.environ.get("MEDSR_TORCH_PYTHON")
    if chosen:
        return chosen
    return sys.executable if importlib.util.find_spec("torch") else None


def torch_run(
    precision: str,
    options: argparse.Namespace,
    *,
    model: Any = None,
    x: Array | None = None,
    y: Array | None = None,
    slices: Array | None = None,
    at_once: int = 1,
    steps: int | None = None,
) -> dict[str, Array] | None:
    """What ``bench_torch`` measures, a dict; None where there is no PyTorch."""
    python = torch_python()
    if python is None:
        return None
    blank = np.zeros((1, 8, 8, 2), np.float32)
    model = model or network()
    given = {
        "x": blank if x is None else x,
        "y": np.zeros((1, 16, 16, 1), np.float32) if y is None else y,
        "slices": blank if slices is None else slices,
        "at_once": at_once,
        "scale": NETWORK["scale"],
        "threads": runtime.cpu_count(),
        **{f"w{i}": w for i, w in enumerate(model.get_weights())},
    }
    steps = max(1, options.steps if steps is None else steps)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(source, **given)
        script = ROOT / "tools" / "bench_torch.py"
        command = [python, str(script), str(source), str(target), precision, str(steps)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SystemExit(f"error: {python} cannot run the network in PyTorch ({last}): see MEDSR_TORCH_PYTHON")
        with np.load(target) as stored:
            return dict(stored)


# --- the table ------------------------------------------------------------------------------------


def read(table: Path) -> list[dict[str, str]]:
    """Rows measured before; none of a table that has other columns."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return list(reader) if tuple(reader.fieldnames or ()) == COLUMNS else []


def write(rows: list[dict[str, str]], table: Path) -> None:
    """Rows in the order of the parts, and their page; the old files or the new ones, never half of one."""
    order = list(PARTS)
    rows = sorted(rows, key=lambda row: order.index(row["part"]) if row["part"] in order else len(order))
    runtime.write_table(table, COLUMNS, rows)
    runtime.write_text(table.with_suffix(".md"), page(rows))


HEADINGS = {
    "start-up": "Start-up",
    "cohort": "The synthetic cohort",
    "training": "Training SRResNet ×2, beside plain PyTorch",
    "inference": "SRResNet ×2 on a volume, the network alone",
    "engines": "What the quicker engines cost",
    "volume": "SRResNet ×2, from image to image",
    "recipes": "ESPCN ×2 after the same processor time of training, beside keras.io's recipe",
}


def page(rows: list[dict[str, str]]) -> str:
    """The table for readers, Markdown: what the site shows of it. The methods one by one are in the CSV file only."""
    lines = ["# Speed", "", "Made by `make bench`. Ratios (unit ×) can be compared between machines, seconds cannot."]
    for section, heading in HEADINGS.items():
        shown = [row for row in rows if row["part"] in TOGETHER.get(section, (section,))]
        if not shown:
            continue
        lines += ["", f"## {heading}", "", "| what | value | unit |", "|---|---:|---|"]
        lines += [f"| {row['what']} | {row['value']} | {row['unit']} |" for row in shown]
        where = dict.fromkeys(f"{row['machine']}, commit {row['commit']}, {row['date']}" for row in shown)
        lines += ["", "; ".join(where) + "."]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="PART", choices=[*PARTS, *TOGETHER], default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--minutes", type=float, default=10, help="of processor time for each of the recipes")
    parser.add_argument("--steps", type=int, default=30, help="training steps whose median counts")
    parser.add_argument("--slices", type=int, default=24, help="slices for the speed of inference")
    parser.add_argument("--quick", action="store_true", help="only as many slices for the volume, too")
    parser.add_argument("--output", type=Path, default=TABLE, help="the table (%(default)s)")
    options = parser.parse_args(arguments)
    table = options.output.resolve()
    wanted = [part for name in options.only for part in TOGETHER.get(name, (name,))]
    if torch_python() is None and {"training", "inference"} & set(wanted):
        print("no PyTorch here: install it, or name a Python that has it in MEDSR_TORCH_PYTHON; going on without")
    where = command.provenance()
    failed = []
    try:
        for part in dict.fromkeys(wanted):
            print(f"{part} …", flush=True)
            made = []
            try:
                for what, value, unit in PARTS[part](options):
                    made.append({"part": part, "what": what, "value": f"{value:.4g}", "unit": unit, **where})
                    print(f"  {what:<64} {value:>10.4g} {unit}", flush=True)
            except runtime.CourseError as error:
                failed.append(part)
                print(f"  left out: {error}", file=sys.stderr)
                continue
            write([row for row in read(table) if row["part"] != part] + made, table)
    except KeyboardInterrupt:
        print("\ninterrupted: finished parts are kept, and the same command goes on with the training", file=sys.stderr)
        return 130
    print(f"written to {table}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
