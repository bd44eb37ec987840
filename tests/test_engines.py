"""What runs the networks: which engine, the same numbers in each, and no word to anybody."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import require

from medsr_course import resources
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import engines

BATCH = np.random.default_rng(0).random((1, 40, 36, 2)).astype(np.float32)


def file(name):
    return resources.path("weights", f"{name}.onnx")


@pytest.fixture
def openvino():
    found = importlib.util.find_spec("openvino")
    require("openvino", found, "needs the extra [openvino]: pip install openvino")


def test_standard_runs_in_float32_and_the_engine_is_named():
    assert pretrained.engine("srresnet-x2").startswith("ONNX Runtime")
    assert pretrained.engine("srresnet-x2").endswith("float32")
    assert pretrained.engine("dncnn-magnitude").endswith("float32")


@pytest.mark.parametrize("there", [True, False])
def test_the_quickest_take_bfloat16_only_where_it_is(there, monkeypatch):
    monkeypatch.setattr(engines, "has_bfloat16", lambda: there)
    monkeypatch.setattr(engines, "openvino", lambda path, precision: engines.Engine(precision, list))
    engines.session.cache_clear()
    assert (pretrained.engine("espcn-x2") == "bf16") is there
    assert pretrained.engine("srresnet-x2").endswith("float32")
    engines.session.cache_clear()


def test_without_openvino_there_is_no_bfloat16(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    engines.has_bfloat16.cache_clear()
    assert not engines.has_bfloat16()
    engines.has_bfloat16.cache_clear()


def test_the_same_bytes_run_after_run():
    first = engines.onnx_runtime(file("srresnet-x2"))
    second = engines.onnx_runtime(file("srresnet-x2"))
    assert first(BATCH).tobytes() == first(BATCH).tobytes() == second(BATCH).tobytes()


def test_engines_agree(openvino):
    plain = engines.onnx_runtime(file("espcn-x2"))(BATCH)
    scale = np.abs(plain).max()
    assert np.abs(engines.openvino(file("espcn-x2"))(BATCH) - plain).max() < 1e-4 * scale
    if engines.has_bfloat16():
        rough = engines.openvino(file("espcn-x2"), "bf16")(BATCH)
        assert 0 < np.abs(rough - plain).max() < 0.05 * scale
        assert rough.dtype == np.float32


SILENT = """
import socket, sys

def refuse(*arguments, **options):
    raise SystemExit(f"called out: {arguments}")

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
socket.socket.sendto = refuse
import numpy as np
from medsr_course.networks.pretrained import engines
run = engines.openvino(sys.argv[1])
run(np.zeros((1, 32, 32, 2), np.float32))
print(sys.modules["openvino_telemetry"] or "silent")
"""


def test_nothing_calls_home(openvino, tmp_path):
    command = [sys.executable, "-c", SILENT, str(file("espcn-x2"))]
    home = {name: str(tmp_path) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CONFIG_HOME")}
    told = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **home})
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() == "silent"
    assert not list(tmp_path.rglob("*"))  # nor is anybody given a number
