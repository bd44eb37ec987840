"""Engines side by side, for ``make bench``: the same network in everything that can run it, and what it costs in dB."""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import engines, quantising
from medsr_course.networks.training import sources
from medsr_course.tasks import superresolution
from medsr_course.types import Array
from tools import bench

PLAIN = "ONNX Runtime", "float32"


def available(path: Path, sample: Array) -> dict[tuple[str, str], Callable[[Array], Array]]:
    """Returns (engine, precision) → a network from an ``.onnx`` file; ``sample`` is what int8 takes its ranges from."""
    found = {PLAIN: engines.onnx_runtime(path)}
    if importlib.util.find_spec("openvino"):
        found["OpenVINO", "float32"] = engines.openvino(path, "f32")
        if engines.has_bfloat16():
            found["OpenVINO", "bfloat16"] = engines.openvino(path, "bf16")
    if importlib.util.find_spec("onnx"):
        made = quantising.quantised(path, path.with_suffix(".int8.onnx"), list(sample[:, None]))
        found["ONNX Runtime", "int8"] = engines.onnx_runtime(made)
    return found


@cache
def exported() -> tuple[Any, Path, tempfile.TemporaryDirectory]:
    """Returns the network, its ONNX file, and the folder of that, which is removed when nothing holds it."""
    from medsr_course.networks.training import weights

    folder = tempfile.TemporaryDirectory()
    model, path = bench.network(), Path(folder.name) / "srresnet.onnx"
    weights.export(model, path)
    return model, path, folder


def inference(options: argparse.Namespace) -> bench.Rows:
    """SRResNet ×2 alone on slices of one volume with their edges wrapped round, in each engine and in PyTorch."""
    model, path, _ = exported()
    n, h, w = bench.VOLUME
    edge = 2 * pretrained.EDGE
    slices = np.random.default_rng(0).random((options.slices, h + edge, w + edge, 2), np.float32)
    parts = [slices[k : k + 1] for k in range(len(slices))]
    runs = available(path, slices[:4])
    runs["Keras on TensorFlow", "float32"] = model.predict_on_batch
    expected = np.concatenate([runs[PLAIN](part) for part in parts])
    found: bench.Found = {}
    for _ in range(options.repeats):  # in turn, so that all see the machine's busy and quiet moments
        for key, call in runs.items():
            call(parts[0])
            bench.keep_least(found, key, bench.seconds(partial(bench.each, call, parts), 1))
        for precision in ("float32", "bfloat16"):
            if told := bench.torch_run(precision, options, model=model, slices=slices, at_once=1, steps=0):
                bench.keep_least(found, ("PyTorch", precision), float(told["inference"]))
                gap = np.abs(told["result"] - expected).max() / np.abs(expected).max()
                if precision == "float32" and gap > 1e-3:
                    raise SystemExit(f"error: PyTorch's network is another one: its output differs by {gap:.2g}")
    for (engine, precision), spent in found.items():
        yield f"SRResNet ×2 network alone, {h}×{w}×{n}, {engine}, {precision}", spent * n / len(slices), "s"
    yield from bench.ratios("inference", found, PLAIN)


def gains(options: argparse.Namespace) -> bench.Rows:
    """What an engine changes in the gain over ZIP of the network for quality *fast*, on validation scans."""
    name = "espcn-x2"
    about, path = pretrained.card(name), resources.path("weights", f"{name}.onnx")
    pairs = [
        superresolution.pair(subject.contrasts["T1w"], 2, key=subject.id)
        for subject in sources.subjects("cohort", "validation")
    ]
    sample = pairs[0].given[:4, ..., None] / pairs[0].given.max()
    sample = np.concatenate([sample, np.zeros_like(sample)], axis=-1)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes())
        runs = available(copy, sample)
        usage = pretrained.usage(about)
        psnr = {
            key: np.mean([p.psnrs(pretrained.super_resolve_with(run, p.given, **usage))["psnr"] for p in pairs])
            for key, run in runs.items()
        }
    for (engine, precision), value in psnr.items():
        if (engine, precision) != PLAIN:
            what = f"{about.title}, {engine}, {precision}: gain on validation subjects, against float32"
            yield what, float(value - psnr[PLAIN]), "dB"


WHOLE_VOLUME = """
import sys, time
import numpy as np
from medsr_course.networks import pretrained

n, h, w = map(int, sys.argv[2:])
y, x = np.mgrid[:h, :w]
rng = np.random.default_rng(0)
stack = np.empty((n, h, w), np.float32)
for image in stack:
    noise = 5 * rng.standard_normal((2, h, w))
    image[:] = np.hypot(500 * (np.hypot(y - h / 2, x - w / 2) < w / 3) + noise[0], noise[1])
run = pretrained.session(sys.argv[1])
began = time.perf_counter()
pretrained.super_resolve_with(run, stack, 2, None, noise_map=True)
spent = time.perf_counter() - began
try:  # of this process alone; what getrusage says includes its parent's before it became this one
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 2**10
except OSError:
    try:
        import resource
    except ImportError:  # Windows
        peak = float("nan")
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
print(spent, peak)
"""


def volume(options: argparse.Namespace) -> bench.Rows:
    """A whole volume with noise in its air, image to image, in a process of its own: seconds and peak memory."""
    _, path, _ = exported()
    size = (options.slices if options.quick else bench.VOLUME[0], *bench.VOLUME[1:])
    command = [sys.executable, "-c", WHOLE_VOLUME, str(path), *map(str, size)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    name = "×".join(map(str, (*size[1:], size[0])))
    yield f"SRResNet ×2, image to image, {name} volume", float(told[0]), "s"
    yield f"SRResNet ×2, image to image, {name} volume: peak memory", float(told[1]), "MiB"
