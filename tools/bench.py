"""Measure what a reader waits for on this machine, to results/bench.csv.

    python tools/bench.py [--repeats 3]

Start-up, one cohort subject, and every registered method in seconds per megavoxel of output; the ratio to
zero-filling is what can be compared between machines.
"""

import argparse
import csv
import datetime
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from medsr_course import acquisition, datasets, methods, phantom, runtime, volumes

ROOT = Path(__file__).resolve().parent.parent


def seconds(call, repeats):
    """Shortest of ``repeats`` runs: the others waited for something else."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def start_up(repeats):
    """Rows for the imports a reader waits for, each in a fresh process, less Python's own start."""

    def process(code):
        return seconds(
            lambda: subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL), repeats
        )

    bare = process("pass")
    for what, code in {
        "NumPy": "import numpy",
        "medsr_course": "import medsr_course",
        "Keras on TensorFlow": KERAS,
    }.items():
        yield {"what": f"import {what}", "seconds": process(code) - bare}


KERAS = "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import keras"


def cohort():
    """Row for one subject of the synthetic cohort, generated and written."""
    with tempfile.TemporaryDirectory() as folder:
        spent = seconds(lambda: phantom.make_cohort(folder, 1, seed=12345, workers=1), 1)
    yield {"what": "one cohort subject, one process", "seconds": spent}


def resampling(repeats):
    """Rows for every method at every scale it has, on ten slices of the template."""
    image = datasets.load("mni152")[0].contrasts["T1w"]
    fine = volumes.axial_slices(image, n=10)[:, :228, :192]
    for scale in (2, 4):
        coarse = acquisition.kspace_crop(fine, scale)
        rows = []
        for name in methods.names(scale):
            method = methods.get(name)
            method(coarse[:1], scale)  # a session is made at the first call
            spent = seconds(lambda method=method, coarse=coarse: method(coarse, scale), repeats)  # noqa: B023
            rows.append({"what": f"{name} ×{scale}", "seconds": spent, "per_megavoxel": spent / (fine.size / 1e6)})
        zip_seconds = next(row["seconds"] for row in rows if row["what"].startswith("zip "))
        for row in rows:
            yield row | {"times_zip": row["seconds"] / zip_seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    machine = (
        f"{platform.system()} {platform.machine()}, {runtime.cpu_count()} cores, Python {platform.python_version()}"
    )
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    where = {"machine": machine, "commit": told.stdout.strip(), "date": datetime.date.today().isoformat()}
    columns = ["what", "seconds", "per_megavoxel", "times_zip", *where]
    target = ROOT / "results" / "bench.csv"
    part = target.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for row in (*start_up(repeats), *cohort(), *resampling(repeats)):
            shown = {k: f"{v:.4g}" if isinstance(v, float | np.floating) else v for k, v in row.items()}
            writer.writerow(shown | where)
            print("  ".join(f"{k} {v}" if k != "what" else f"{v:<36}" for k, v in shown.items()), flush=True)
    part.replace(target)
    print(f"written to {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
