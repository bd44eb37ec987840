"""What runs the networks: ONNX Runtime in float32; for the quickest, OpenVINO in bfloat16 where both are there.

ONNX Runtime is always there, and its results are the same bytes run after run. OpenVINO is the extra ``openvino``. In
float32 it is no quicker (``results/bench.md``); in bfloat16, on processors that have it, it takes half the time.
Neither calls out: the package that counts OpenVINO's users is kept from being imported.
"""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from medsr_course import runtime

QUICK = ("espcn",)  # architectures whose residual may be rounded to bfloat16: it costs below 0.01 dB


@dataclass(frozen=True)
class Engine:
    """A network ready to run: arrays in, arrays out; ``name`` says what runs it, in which precision."""

    name: str
    run: Callable[[list[Any]], list[Any]]

    def __call__(self, batch: Any) -> Any:
        """Takes an array, or a list of them for a network with several entries; returns one, or a list of several."""
        out = self.run(batch if isinstance(batch, list) else [batch])
        return out if len(out) > 1 else out[0]


@lru_cache(maxsize=8)
def session(path: Path | str, quick: bool = False) -> Engine:
    """Returns what runs an ``.onnx`` file; ``quick``: in bfloat16 where there is an engine for it, else in float32."""
    return openvino(path, "bf16") if quick and has_bfloat16() else onnx_runtime(path)


@lru_cache(maxsize=1)
def has_bfloat16() -> bool:
    """Tells whether OpenVINO is installed and this processor computes in bfloat16."""
    if importlib.util.find_spec("openvino") is None:
        return False
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def onnx_runtime(path: Path | str, threads: int | None = None) -> Engine:
    """Returns a network in ONNX Runtime, float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or runtime.cpu_count()
    made = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entries = [entry.name for entry in made.get_inputs()]
    return Engine(
        f"ONNX Runtime {onnxruntime.__version__}, float32",
        lambda batch: made.run(None, dict(zip(entries, batch, strict=True))),
    )


def openvino(path: Path | str, precision: str = "f32", threads: int | None = None) -> Engine:
    """Returns a network in OpenVINO; ``precision`` "f32" or "bf16"."""
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads or runtime.cpu_count()}
    made = _core().compile_model(str(path), "CPU", options)
    version = metadata.version("openvino")
    return Engine(
        f"OpenVINO {version}, {'bfloat16' if precision == 'bf16' else 'float32'}",
        lambda batch: list(made(batch).to_tuple()),
    )


@lru_cache(maxsize=1)
def _core() -> Any:
    # OpenVINO does without the package that counts its users, where that is not installed; so it is not there.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()
