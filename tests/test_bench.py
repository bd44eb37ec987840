"""The benchmark's tables and its stand-ins for what others use; no speed is judged here."""

import csv

import numpy as np
import pytest
from conftest import require

from medsr_course import runtime
from medsr_course.networks import models, training
from medsr_course.physics import acquisition
from medsr_course.scans import volumes
from tools import bench, bench_recipes


@pytest.fixture
def recipes(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEDSR_PROGRESS", "0")
    return bench_recipes


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def parts(monkeypatch):
    def first(options):
        yield "one", 1.23456, "s"
        yield "one / two", 2, "×"

    def second(options):
        yield "two", 3.0, "dB"

    monkeypatch.setattr(bench, "PARTS", {"first": first, "second": second})
    monkeypatch.setattr(bench, "TOGETHER", {"both": ("first", "second")})
    return bench


def test_every_row_says_what_where_and_when(parts, tmp_path):
    table = tmp_path / "bench.csv"
    assert parts.main(["--output", str(table)]) == 0
    found = rows(table)
    assert [(r["part"], r["what"], r["value"], r["unit"]) for r in found] == [
        ("first", "one", "1.235", "s"),
        ("first", "one / two", "2", "×"),
        ("second", "two", "3", "dB"),
    ]
    for row in found:
        assert row["machine"]
        assert row["date"].count("-") == 2


def test_the_page_names_machine_and_day_of_each_section():
    where = {"machine": "M", "commit": "c", "date": "2000-01-01"}
    rows = [
        {"part": part, "what": f"what {part}", "value": "1.5", "unit": "×", **where, "date": f"2000-01-0{k}"}
        for k, part in enumerate(("training", "methods", "ours", "keras.io"), 1)
    ]
    page = bench.page(rows)
    assert [line for line in page.splitlines() if line.startswith("##")] == [
        f"## {bench.HEADINGS[part]}" for part in ("training", "recipes")
    ]
    assert "| what ours | 1.5 | × |" in page
    assert "M, commit c, 2000-01-03; M, commit c, 2000-01-04." in page
    assert "what methods" not in page  # too many for a page: they are in the CSV file


def test_a_part_alone_leaves_the_others(parts, tmp_path, monkeypatch):
    table = tmp_path / "bench.csv"
    parts.main(["--only", "both", "--output", str(table)])
    monkeypatch.setitem(parts.PARTS, "first", lambda options: iter([("one", 9.0, "s")]))
    parts.main(["--only", "first", "--output", str(table)])
    assert [(r["what"], r["value"]) for r in rows(table)] == [("one", "9"), ("two", "3")]


def test_an_interrupted_run_keeps_what_is_finished(parts, tmp_path, monkeypatch, capsys):
    def stopped(options):
        yield "half", 1.0, "s"
        raise KeyboardInterrupt

    monkeypatch.setitem(parts.PARTS, "second", stopped)
    table = tmp_path / "bench.csv"
    assert parts.main(["--output", str(table)]) == 130
    assert [r["what"] for r in rows(table)] == ["one", "one / two"]
    assert "interrupted" in capsys.readouterr().err


def test_a_part_without_its_data_is_left_out(parts, tmp_path, monkeypatch, capsys):
    def lacking(options):
        yield "never kept", 1.0, "s"
        raise runtime.CourseError("there are no scans here: put some there")

    monkeypatch.setitem(parts.PARTS, "first", lacking)
    table = tmp_path / "bench.csv"
    assert parts.main(["--output", str(table)]) == 1
    assert [r["what"] for r in rows(table)] == ["two"]
    assert "there are no scans here" in capsys.readouterr().err


def test_unknown_parts_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--only", "nonsense"])
    assert "recipes" in capsys.readouterr().err


def test_pytorch_is_said_to_be_missing(parts, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("MEDSR_TORCH_PYTHON", raising=False)
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(bench.PARTS, "training", lambda options: iter([]))
    assert bench.main(["--only", "training", "--output", str(tmp_path / "b.csv")]) == 0
    assert "MEDSR_TORCH_PYTHON" in capsys.readouterr().out


def test_a_python_without_pytorch_is_an_error_in_one_line(monkeypatch):
    import sys

    monkeypatch.setenv("MEDSR_TORCH_PYTHON", sys.executable)
    monkeypatch.setattr(bench, "ROOT", bench.ROOT / "nowhere")  # no script to run: any failure reads alike
    with pytest.raises(SystemExit, match="MEDSR_TORCH_PYTHON") as caught:
        bench.torch_run("float32", bench.argparse.Namespace(steps=1))
    assert "\n" not in str(caught.value)


def test_the_network_in_pytorch_is_the_same():
    found = bench.torch_python() and bench.torch_run(
        "float32", bench.argparse.Namespace(steps=1), slices=np.random.default_rng(0).random((2, 9, 11, 2), np.float32)
    )
    require("torch", found, "needs the extra [torch]: pip install torch")
    expected = bench.network().predict_on_batch(np.random.default_rng(0).random((2, 9, 11, 2), np.float32))
    np.testing.assert_allclose(found["result"], expected, atol=1e-5 * np.abs(expected).max())
    assert found["training"] > 0
    assert found["inference"] > 0


@pytest.mark.parametrize("scale", [2, 3])
def test_block_averages_come_back_to_sample_0(recipes, scale):
    """A network taught with block averages takes sample i for the block's centre: what it makes lies too far on."""

    def blob(late):
        y, x = np.mgrid[:72, :60]
        return np.exp(-((y - 35.3 - late) ** 2 + (x - 28.1 - late) ** 2) / 50)

    offset = (scale - 1) / 2
    # Block averages are samples at the blocks' centres …
    coarse = acquisition.block_average(blob(0), scale)
    np.testing.assert_allclose(coarse, blob(-offset)[::scale, ::scale], atol=0.03)
    # … so that from samples s·i it makes the image that has them at s·i + offset.
    np.testing.assert_allclose(recipes.shifted(blob(offset), scale), blob(0), atol=1e-4)


def test_keras_io_network_is_as_described(recipes):
    model = recipes.network(3)
    convolutions = [layer for layer in model.layers if hasattr(layer, "kernel_size")]
    assert [(c.filters, c.kernel_size[0], c.activation.__name__) for c in convolutions] == [
        (64, 5, "relu"),
        (64, 3, "relu"),
        (32, 3, "relu"),
        (9, 3, "relu"),
    ]
    kernel = convolutions[1].get_weights()[0].reshape(-1, 64)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(64), atol=1e-4)
    assert model.predict_on_batch(np.ones((1, 5, 7, 1), np.float32)).shape == (1, 15, 21, 1)


@pytest.mark.parametrize("ours", [False, True])
def test_crops_are_pairs(recipes, ours):
    slices = [np.random.default_rng(k).random((190, 200)).astype(np.float16) for k in range(3)]
    plain = {"reference_noise": (1e-9, 1e-8), "gamma": 1.0, "inverted": 0.0}
    batches = recipes.crops(slices, None, training.Degradation(2, **plain) if ours else None)
    coarse, fine = batches(4)
    assert coarse.shape == (4, *(n // 2 for n in fine.shape[1:3]), 1)
    assert fine.shape[1] >= 120
    np.testing.assert_array_equal(coarse, batches(4)[0])
    if not ours:
        np.testing.assert_allclose(coarse[..., 0], acquisition.block_average(fine[..., 0], 2), atol=1e-6)


def test_training_for_a_time_goes_on_after_an_interruption(recipes, tmp_path):
    slices = [np.random.default_rng(k).random((190, 200)).astype(np.float32) for k in range(2)]
    batches = recipes.crops(slices, None, None)
    checkpoint = tmp_path / "c.npz"

    def interrupted(k):
        if k == 2:
            raise KeyboardInterrupt
        return batches(k)

    with pytest.raises(KeyboardInterrupt):
        recipes.train_for(recipes.network(), interrupted, 1e6, checkpoint)
    seen = []

    def watched(k):
        seen.append(k)
        return batches(k)

    with np.load(checkpoint) as stored:
        used = stored["history"][0, 1]
    steps, total = recipes.train_for(recipes.network(), watched, used + 0.01, checkpoint)
    assert seen == list(range(2, steps))
    assert total >= used


def recipe_of(settings, **options):
    """A small ESPCN's recipe."""
    return training.Recipe(
        "ESPCN", "super-resolution", "espcn", settings, steps=1, batch=2, size=8, margin=3, **options
    )


def test_the_recipe_runs_within_its_time(recipes, monkeypatch, tmp_path):
    slices = [np.random.default_rng(k).random((96, 96)).astype(np.float32) for k in range(3)]
    small = recipe_of({"scale": 2, "filters": 8, "depth": 3}, precision="float32")
    monkeypatch.setattr(training, "recipes", lambda: {"espcn-x2": small})
    model, recipe, steps, seconds = recipes.train_ours(slices, None, 2, tmp_path)
    assert recipe is small
    assert steps >= 2
    assert seconds > 0
    assert model.count_params() == models.espcn(2, filters=8, depth=3).count_params()
    assert any(w.any() for w in model.get_weights()[-1:])  # the last layer started at zero


def test_every_recipe_is_trained_measured_and_cleared_away(recipes, monkeypatch, tmp_path):
    slices = [np.random.default_rng(k).random((180, 176)).astype(np.float32) for k in range(2)]
    image = volumes.make_image(np.random.default_rng(0).random((40, 42, 30)).astype(np.float32), np.eye(4))
    small = recipe_of({"scale": 2, "filters": 4, "depth": 2})
    monkeypatch.setattr(training, "recipes", lambda: {"espcn-x2": small})
    monkeypatch.setattr(training, "material", lambda share: (slices, None, {}))
    monkeypatch.setattr(recipes, "scans", lambda: {"validation": {"a T1w": image}})
    for name, title in recipes.RUNS.items():
        found = {(what, unit): value for what, value, unit in recipes.run(name, 0.01)}
        assert list(found) == [
            (f"{title}: training", "CPU min"),
            (f"{title}: training", "steps"),
            (f"{title}, validation", "dB"),
            (f"{title}, validation, over ZIP", "dB"),
        ]
        assert all(np.isfinite(value) for value in found.values())
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_every_engine_runs_the_same_network(tmp_path):
    from medsr_course import resources
    from tools import bench_engines

    path = tmp_path / "espcn.onnx"
    path.write_bytes(resources.path("weights", "espcn-x2.onnx").read_bytes())
    sample = np.random.default_rng(0).random((2, 24, 20, 2)).astype(np.float32)
    runs = bench_engines.available(path, sample)
    plain = runs[bench_engines.PLAIN](sample[:1])
    assert ("ONNX Runtime", "int8") in runs
    for (engine, precision), run in runs.items():
        limit = {"float32": 1e-4, "bfloat16": 0.05, "int8": 0.5}[precision]
        assert np.abs(run(sample[:1]) - plain).max() <= limit * np.abs(plain).max(), (engine, precision)
