"""Measure what chapter 15 keeps: engines, int8 on real scans, distillation; to results/small-and-fast.csv and .md.

    python -m tools.small_and_fast [--only PART …] [--seeds 5] [--repeats 60]

Parts: engines (LiteRT besides those of the chapter), cohort, real scans, distillation. Rows of parts that are not run
stay. Settings were chosen on validation subjects and development scans; the report scans are measured by the final code
once per run of that part, and ``looks`` counts these runs.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from medsr_course import resources, runtime
from medsr_course.networks import models, pretrained, training
from medsr_course.networks.pretrained import engines, quantising
from medsr_course.networks.training import distillation, sources
from medsr_course.networks.training.weights import export
from medsr_course.physics import grid, interpolation, metrics
from medsr_course.scans import datasets, volumes
from medsr_course.tasks import superresolution
from medsr_course.types import Array, Image
from tools import bench, command

TABLE = Path(__file__).resolve().parent.parent / "results" / "small-and-fast.csv"
NAME, SCALE, CONTRASTS = "srresnet-x2", 2, ("T1w", "FLAIR")
Network = Callable[[Array], Array]
Stacks = dict[tuple[str, str], tuple[Array, Array]]


def stacks(subjects: datasets.Subjects, contrasts: tuple[str, ...] = CONTRASTS) -> Stacks:
    """Returns (person, contrast) → three fine slices of the protocol's ten, and what is stored of them."""
    found = {}
    for subject in subjects:
        for contrast in contrasts:
            pair = superresolution.pair(subject.contrasts[contrast], SCALE, key=f"{subject.id} {contrast}")
            found[subject.id, contrast] = pair.target[1::3], pair.given[1::3]
    return found


@cache
def cohort(split: str) -> Stacks:
    """Returns the cohort's test subjects, 20 of 120, or the validation subjects of the chapter."""
    made = datasets.cohort(120, split="test") if split == "test" else datasets.cohort(24).select(split)
    return stacks(made)


def gains(network: Network, group: Stacks) -> Array:
    """Returns the gain over ZIP of each person, dB: the mean over the contrasts."""
    use, found = pretrained.usage(pretrained.card(NAME)), {}
    for (person, _), (fine, coarse) in group.items():
        made = pretrained.super_resolve_with(network, coarse, **use)
        base = metrics.psnr(fine, interpolation.zero_fill(coarse, SCALE))
        found.setdefault(person, []).append(metrics.psnr(fine, made) - base)
    return np.array([np.mean(values) for values in found.values()])


def sample() -> list[Array]:
    """Returns the sample that int8 takes its ranges from: six training subjects of the cohort, two contrasts each."""
    made = []
    train = datasets.cohort(24).select("train")[:6]
    for k, (_, coarse) in enumerate(stacks(train).values()):
        image = np.pad(coarse[0] / grid.intensity(coarse)[1], pretrained.EDGE, mode="wrap")
        made.append(np.stack([image, np.full_like(image, (0.0, 0.01, 0.03)[k % 3])], axis=-1)[None])
    return made


@cache
def networks() -> tuple[dict[str, Network], dict[str, Path], tempfile.TemporaryDirectory]:
    """Returns title → network, title → file, and the folder of the files."""
    folder = tempfile.TemporaryDirectory()
    plain = resources.path("weights", f"{NAME}.onnx")
    files = {"float32": plain}
    for title, unsigned in (("int8", False), ("int8 unsigned", True)):
        files[title] = quantising.quantised(plain, Path(folder.name) / f"{title}.onnx", sample(), unsigned=unsigned)
    runs: dict[str, Network] = {f"ONNX Runtime, {title}": engines.onnx_runtime(path) for title, path in files.items()}
    with contextlib.suppress(ImportError):
        runs["OpenVINO, float32"] = engines.openvino(plain, "f32")
        if engines.has_bfloat16():
            runs["OpenVINO, bfloat16"] = engines.openvino(plain, "bf16")
    return runs, files, folder


def litert(batch: Array, quantised: bool) -> tuple[Network, int]:
    """Returns the network in LiteRT for batches of this shape, and the size of its file, bytes."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = pretrained.load(NAME)
    call = tf.function(lambda image: model(image))
    frozen = convert_variables_to_constants_v2(call.get_concrete_function(tf.TensorSpec(batch.shape, tf.float32)))
    with contextlib.redirect_stderr(io.StringIO()):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        if quantised:
            h, w = batch.shape[1:3]
            like = [image[:, :h, :w] for image in sample()]
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: iter([[image] for image in like])
        content = converter.convert()
        made = tf.lite.Interpreter(model_content=content, num_threads=runtime.cpu_count())
    made.allocate_tensors()
    entry, end = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]

    def run(image: Array) -> Array:
        made.set_tensor(entry, image)
        made.invoke()
        return made.get_tensor(end)

    return run, len(content)


# --- the parts: each yields (what, value, unit) ---------------------------------------------------


def engines_side_by_side(options: argparse.Namespace) -> bench.Rows:
    """One frame in every engine, taking turns: median time against ONNX Runtime, tail, change of the residual."""
    batch = sample()[0][:, :120, :112]
    runs, files, _ = networks()
    runs, sizes = dict(runs), {f"ONNX Runtime, {title}": path.stat().st_size for title, path in files.items()}
    runs["Keras, float32"] = pretrained.load(NAME).predict_on_batch
    for title, quantised in (("LiteRT, float32", False), ("LiteRT, int8", True)):
        runs[title], sizes[title] = litert(batch, quantised)
    spent: dict[str, list[float]] = {title: [] for title in runs}
    for k in range(options.repeats + 1):
        for title, run in runs.items():
            began = time.perf_counter()
            run(batch)
            if k:
                spent[title].append(time.perf_counter() - began)
    first, plain = np.median(spent["ONNX Runtime, float32"]), runs["ONNX Runtime, float32"](batch)
    yield "ONNX Runtime, float32: median", 1e3 * float(first), "ms"
    for title, times in spent.items():
        middle, late = np.percentile(times, [50, 95])
        yield f"{title}: median time", float(middle / first), "× ONNX Runtime, float32"
        yield f"{title}: 95th percentile", float(late / middle), "× its median"
        change = np.sqrt(np.mean((runs[title](batch) - plain) ** 2) / np.mean(plain**2))
        yield f"{title}: change of the residual", 100 * float(change), "%"
        if title in sizes:
            yield f"{title}: file", sizes[title] / 1e3, "kB"


def on_cohort(options: argparse.Namespace) -> bench.Rows:
    """What each precision gains over ZIP on twenty unseen subjects of the cohort."""
    runs = networks()[0]
    plain = gains(runs["ONNX Runtime, float32"], cohort("test"))
    for title, run in runs.items():
        found = gains(run, cohort("test"))
        mean, low, high = metrics.student_interval(found)
        yield f"{title}, {found.size} subjects: gain over ZIP", mean, f"dB ({low:.2f} … {high:.2f})"
        yield f"{title}: least share of float32's gain", 100 * float(np.min(found / plain)), "%"


def on_real_scans(options: argparse.Namespace) -> bench.Rows:
    """What int8, with ranges from the cohort, gains on real scans: by name, development first."""
    groups = {"development": sources.development(), "report": _report_scans()}
    if not groups["report"]:
        raise runtime.CourseError("there are no real scans here: set MEDSR_REAL_DATA")
    runs = {title: run for title, run in networks()[0].items() if title in _SHOWN}
    for group, scans in groups.items():
        found: dict[str, list[float]] = {title: [] for title in runs}
        for scan, image in scans.items():
            pair = superresolution.pair(image, SCALE, key=scan)
            base = pair.psnrs(interpolation.zero_fill(pair.given, SCALE))["psnr"]
            for title, run in runs.items():
                made = pretrained.super_resolve_with(run, pair.given, **pretrained.usage(pretrained.card(NAME)))
                found[title].append(pair.psnrs(made)["psnr"] - base)
                yield f"{scan} ({group}), {_SHOWN[title]}: gain over ZIP", found[title][-1], "dB"
        for title in runs:
            share = np.mean(found[title]) / np.mean(found["ONNX Runtime, float32"])
            yield f"{group} scans, mean, {_SHOWN[title]}: of float32's gain", 100 * float(share), "%"
    yield "looks at the report scans by this part", options.looks, "runs"


_SHOWN = {"ONNX Runtime, float32": "float32", "ONNX Runtime, int8": "int8", "OpenVINO, bfloat16": "bfloat16"}


def _report_scans() -> dict[str, Image]:
    """Real scans by which nothing was chosen, name → image; CT has no magnitudes, and is left out."""
    if datasets.real_folder() is None:
        return {}
    people = [s for s in datasets.load("real-scans") if s.split == "test"]
    return {f"{s.id} {c}": image for s in people for c, image in s.contrasts.items() if c != "CT"}


def distilled(options: argparse.Namespace) -> bench.Rows:
    """Students of the teacher against students of the truth: equal steps, each at its better rate, over seeds."""
    slices = []
    for subject in datasets.cohort(24).select("train")[:8]:
        for image in subject.contrasts.values():
            stack = volumes.axial_slices(image, n=3, between=(0.25, 0.8))
            slices += list(stack / grid.intensity(stack)[1])
    plain = networks()[0]["ONNX Runtime, float32"]
    pairs = distillation.lessons(slices, plain, training.Degradation(SCALE, stored=1.0), 96)

    def student(trust: float, rate: float, seed: int, some: list[distillation.Lesson]) -> Network:
        model = models.srresnet(SCALE, filters=16, blocks=2, noise_map=True, seed=seed)
        training.fit(model, distillation.batches(some, trust, seed=seed), 500, learning_rate=rate, margin=6)
        path = Path(networks()[2].name) / f"student-{trust:g}-{rate:g}-{seed}-{len(some)}.onnx"
        export(model, path)
        return engines.onnx_runtime(path)

    ways = {"the truth": 0.0, "the teacher": 1.0}
    best = {}
    for title, trust in ways.items():
        tuned = {r: gains(student(trust, r, 0, pairs), cohort("validation")).mean() for r in (3e-3, 6e-3)}
        best[title] = max(tuned, key=lambda rate: tuned[rate])
        yield f"student of {title}: better learning rate, on validation subjects", best[title], "of 0.003 and 0.006"
    for some, words in ((pairs, "96 pairs"), (pairs[:4], "4 pairs")):
        scores = {}
        for title, trust in ways.items():
            runs = [student(trust, best[title], seed, some) for seed in range(options.seeds)]
            scores[title] = np.array([gains(run, cohort("test")) for run in runs])  # (seed, person)
            mean, low, high = metrics.student_interval(scores[title].mean(axis=0))
            yield f"{words}, student of {title}: gain over ZIP", mean, f"dB ({low:.2f} … {high:.2f} over subjects)"
        ahead = scores["the teacher"] - scores["the truth"]
        mean, low, high = metrics.student_interval(ahead.mean(axis=0))
        yield f"{words}, the teacher's ahead by", mean, f"dB ({low:.2f} … {high:.2f} over {ahead.shape[1]} subjects)"
        yield f"{words}, ahead by, least of {len(ahead)} seeds", float(ahead.mean(axis=1).min()), "dB"
        yield f"{words}, ahead by, standard deviation over seeds", float(ahead.mean(axis=1).std(ddof=1)), "dB"


PARTS: dict[str, Callable[[argparse.Namespace], bench.Rows]] = {
    "engines": engines_side_by_side,
    "cohort": on_cohort,
    "real scans": on_real_scans,
    "distillation": distilled,
}
WORDS = {
    "engines": "SRResNet ×2 on one frame of 120 × 112 coarse pixels; the engines take turns, so that ratios are fair.",
    "cohort": "Three slices of T1w and FLAIR each, subjects that no network was trained on; intervals by Student's t.",
    "real scans": "The protocol's ten slices, stored input; int8 has its ranges from six training subjects of the "
    "cohort. Nothing was chosen by the report scans.",
    "distillation": "Students of 16 filters and 2 blocks after 500 steps; the same pairs and batches for both.",
}


def page(rows: list[dict[str, str]]) -> str:
    """Returns the table for readers, in Markdown."""
    lines = ["# Small and fast", "", "Made by `python -m tools.small_and_fast`; chapter 15 explains it."]
    for part in PARTS:
        shown = [row for row in rows if row["part"] == part]
        if shown:
            lines += ["", f"## {part.capitalize()}", "", WORDS[part], "", "| what | value | unit |", "|---|---:|---|"]
            lines += [f"| {row['what']} | {row['value']} | {row['unit']} |" for row in shown]
            where = dict.fromkeys(f"{row['machine']}, commit {row['commit']}, {row['date']}" for row in shown)
            lines += ["", "; ".join(where) + "."]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--seeds", type=int, default=5, help="students of each kind")
    parser.add_argument("--repeats", type=int, default=60, help="frames whose times count")
    parser.add_argument("--looks", type=int, default=1, help="how often the report scans have been measured by this")
    parser.add_argument("--output", type=Path, default=TABLE, help="the table (%(default)s)")
    options = parser.parse_args(arguments)
    runtime.start("lesson", 0)
    where = command.provenance()
    for part in options.only:
        made = []
        for what, value, unit in PARTS[part](options):
            made.append({"part": part, "what": what, "value": f"{value:.3g}", "unit": unit, **where})
            print(f"  {what:<72} {value:>8.3g} {unit}", flush=True)
        kept = [row for row in bench.read(options.output) if row["part"] != part]
        rows = sorted(kept + made, key=lambda row: list(PARTS).index(row["part"]))
        runtime.write_table(options.output, bench.COLUMNS, rows)
        runtime.write_text(options.output.with_suffix(".md"), page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
