"""Chapter 15: its physics and invariant claims, each with an implementation that is wrong in one point; layout."""

import io
import threading
import warnings
from http import client, server

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught
from PIL import Image

from medsr_course import resources, runtime
from medsr_course.leaderboard import stored
from medsr_course.networks import models, pretrained, training
from medsr_course.networks.framework import keras
from medsr_course.networks.pretrained import engines, quantising
from medsr_course.networks.training import distillation
from medsr_course.physics import acquisition, grid, interpolation, metrics
from medsr_course.teaching import claims, exercises
from tools import small_and_fast

NOTEBOOK = resources.checkout() / "notebooks" / "15_small_and_fast.ipynb"
WANTED = ("stopwatch", "cost", "batches", "to_int8", "share", "delays", "packed", "unpacked", "Desk", "journey")


@pytest.fixture(scope="module")
def chapter():
    """Functions and classes that the chapter itself defines, by name, without running the rest of it."""
    space = {"np": np, "io": io, "keras": keras, "grid": grid, "Image": Image, "server": server, "SCALE": 2}
    return taught("15", {**space, "pretrained": pretrained, "lessons": []}, WANTED)


@pytest.fixture(scope="module")
def head():
    """Folded bands inside an ellipse, in 0 … 3."""
    y, x = np.mgrid[:208, :200] - 100
    bands = np.sin(x / 6.1 + 2.2 * np.sin(y / 14)) + np.cos(y / 5.7 + np.sin(x / 18))
    rough = 0.05 * np.random.default_rng(0).standard_normal(x.shape)
    return np.where((x / 80) ** 2 + (y / 90) ** 2 < 1, 2 + np.tanh(4 * bands) + rough, 0.0)[None].astype(np.float32)


@pytest.fixture(scope="module")
def batch(head):
    """The head as `espcn-x2` receives it."""
    image = acquisition.kspace_crop(head, 2) / 3
    return np.stack([image, np.zeros_like(image)], axis=-1).astype(np.float32)


@pytest.fixture(scope="module")
def plain():
    return resources.path("weights", "espcn-x2.onnx")


def touched(model, side=40):
    """How many coarse pixels wide the square is that one bright pixel changes, where nothing cancels."""
    model.set_weights([np.full(weight.shape, 0.1, np.float32) for weight in model.get_weights()])
    point = np.zeros((1, side, side, 2), np.float32)
    point[0, side // 2, side // 2, 0] = 1
    return (np.abs(model.predict_on_batch(point)[0, ..., 0]).max(axis=0) > 0).sum() / 2


def test_the_receptive_field_is_what_one_pixel_touches(chapter):
    model = models.srresnet(2, filters=4, blocks=2, noise_map=True)
    rows = chapter["cost"](model, 40, 40)
    assert rows[-1][3] == touched(model) == 17
    halves = 1 + sum(layer.kernel.shape[0] // 2 for layer in model.layers if hasattr(layer, "kernel"))
    assert halves != touched(model)  # the reach to one side alone


def test_what_a_convolution_costs(chapter):
    model = models.srresnet(2, filters=4, blocks=1, noise_map=True)
    want = exercises.find("15-cost").reference(30, 20, 5, 2, 4, 4)
    assert chapter["cost"](model, 30, 20)[0][1:3] == want
    wider = models.srresnet(2, filters=8, blocks=1, noise_map=True)
    assert chapter["cost"](wider, 30, 20)[1][1] == 4 * chapter["cost"](model, 30, 20)[1][1]


def test_zeros_save_no_multiplications_and_fewer_channels_do(chapter):
    dense = models.srresnet(2, filters=16, blocks=1, noise_map=True)
    before = sum(row[1] for row in chapter["cost"](dense, 30, 20))
    dense.set_weights([np.where(w < np.quantile(w, 0.9), 0, w) for w in dense.get_weights()])
    assert sum(row[1] for row in chapter["cost"](dense, 30, 20)) == before
    narrow = models.srresnet(2, filters=8, blocks=1, noise_map=True)
    assert sum(row[1] for row in chapter["cost"](narrow, 30, 20)) < 0.6 * before


def test_rounding_errs_by_a_step_over_root_twelve(chapter):
    weights = np.random.default_rng(0).normal(0, 0.1, (3, 3, 48, 48))
    numbers, step = chapter["to_int8"](weights, False)
    unit = step.item() / np.sqrt(12)

    def error(whole):
        return np.sqrt(np.mean((whole * step - weights) ** 2)) / unit

    assert 0.97 <= error(numbers) <= 1.03
    assert not 0.97 <= error(np.trunc(weights / step)) <= 1.03  # cut off, not rounded
    assert np.abs(numbers).max() == 127


def test_a_step_for_each_channel_errs_less(chapter):
    weights = np.random.default_rng(0).normal(size=(3, 3, 8, 8)) * np.logspace(-2, 0, 8)
    errors = []
    for per_channel in (False, True):
        numbers, step = chapter["to_int8"](weights, per_channel)
        errors.append(np.mean((numbers * step - weights) ** 2))
    assert errors[1] < 0.5 * errors[0]


def test_keras_quantises_dense_layers_and_no_convolution(batch):
    def changed(model, x):
        before = model.predict_on_batch(x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.quantize("int8")
        return np.abs(model.predict_on_batch(x) - before).max()

    assert changed(pretrained.load("espcn-x2"), batch[:, :32, :32]) == 0
    dense = keras.Sequential([keras.Input((16,)), keras.layers.Dense(16)])
    assert changed(dense, np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)) > 0


def test_int8_is_near_float32_where_it_was_calibrated_and_nowhere_else(plain, batch, tmp_path):
    float32 = engines.onnx_runtime(plain)
    right = quantising.quantised(plain, tmp_path / "right.onnx", [batch])
    wrong = quantising.quantised(plain, tmp_path / "wrong.onnx", [1000 * batch])  # the scanner's unit
    expected = float32(batch)

    def gap(path, factor=1.0):
        made = engines.onnx_runtime(path)(batch * np.float32(factor)) / factor
        return np.sqrt(np.mean((made - expected) ** 2) / np.mean(expected**2))

    assert gap(right) < 0.3
    assert gap(wrong) > 0.7
    assert gap(plain, 10) < 1e-5  # twice as bright in, twice as bright out
    assert gap(right, 10) > 0.5  # not any more
    assert right.stat().st_size < 0.4 * plain.stat().st_size


def test_the_package_quantises_as_the_chapter_does(plain, batch, tmp_path):
    from onnxruntime import InferenceSession, quantization

    space = {"engines": engines, "quantization": quantization, "InferenceSession": InferenceSession, "folder": tmp_path}
    mine = taught("15", space, ("Calibration", "my_int8"))["my_int8"]
    (tmp_path / "float32.onnx").write_bytes(plain.read_bytes())
    theirs = quantising.quantised(plain, tmp_path / "theirs.onnx", [batch])
    made = engines.onnx_runtime(theirs)(batch)
    assert np.array_equal(mine([batch], "mine")(batch), made)
    assert not np.array_equal(mine([batch], "coarser", per_channel=False)(batch), made)
    unsigned = quantising.quantised(plain, tmp_path / "unsigned.onnx", [batch], unsigned=True)
    assert unsigned.read_bytes() != theirs.read_bytes()


def test_without_a_sample_there_are_no_ranges(plain, tmp_path):
    with pytest.raises(ValueError, match="batches"):
        quantising.quantised(plain, tmp_path / "never.onnx", [])


def test_a_mixed_target_is_a_mixed_loss():
    student, teacher, truth = np.random.default_rng(0).normal(size=(3, 50))
    for trust in (0.0, 0.3, 1.0):

        def difference(s, trust=trust):
            mixed = trust * (s - teacher) ** 2 + (1 - trust) * (s - truth) ** 2
            return mixed - (s - (trust * teacher + (1 - trust) * truth)) ** 2

        np.testing.assert_allclose(difference(student), difference(0 * student), atol=1e-12)


def test_lessons_are_the_same_for_all_and_the_chapters_batches_the_packages(chapter, head):
    runtime.start("smoke", 0)

    def teacher(batch):
        return 0.5 * np.repeat(np.repeat(batch[..., :1], 2, axis=1), 2, axis=2)

    pairs = distillation.lessons([head[0] / 3], teacher, training.Degradation(2, stored=1.0), 3)
    assert [pair.image.shape[-1] for pair in pairs] == [2, 2, 2]
    assert not np.array_equal(pairs[0].image, pairs[1].image)
    for trust in (0.0, 0.5, 1.0):
        x, y = distillation.batches(pairs, trust, seed=3)(7)
        mine = chapter["batches"](pairs, trust, 3)(7)
        assert np.array_equal(x, mine[0])
        assert np.array_equal(y, mine[1])
    x, y = distillation.batches(pairs, 1.0, seed=3)(7)
    assert x.shape == (16, 24, 24, 2)
    np.testing.assert_allclose(y[:, ::2, ::2, 0], 0.5 * x[..., 0])  # the teacher's answer lies where the patch lies
    with pytest.raises(training.TrainingError):
        distillation.lessons([], teacher, training.Degradation(2), 1)


def test_a_queue_makes_more_frames_late_than_are_slow(chapter):
    service = np.where(np.random.default_rng(0).random(2000) < 0.1, 260.0, 60.0)
    assert service.mean() < 100
    assert np.mean(chapter["delays"](service, 100) > 100) >= 0.2
    assert np.mean(service > 100) < 0.2  # without the queue
    assert not np.any(chapter["delays"](np.full(2000, 80.0), 100) > 100)


def test_bytes_and_quality(chapter, head):
    packed, unpacked = chapter["packed"], chapter["unpacked"]
    coarse = np.maximum(acquisition.kspace_crop(head, 2), 0)
    whole = np.rint(coarse[0] * (4095 / 4))
    assert np.array_equal(np.rint(unpacked(packed(coarse[0], 4.0), 4095)), whole)  # without loss
    small = len(packed(coarse[0], 4.0))
    assert 2 <= len(packed(head[0], 4.0)) / small <= 4

    def jpeg(size):
        data = packed(head[0], 4.0, 2 * head[0].size / size)
        assert len(data) <= 1.02 * size
        return metrics.psnr(head, unpacked(data, 4.0)[None])

    zipped = metrics.psnr(head, interpolation.zero_fill(coarse, 2))
    assert jpeg(small) > zipped + 4
    assert jpeg(small / 16) < zipped + 4  # not at any size


def served(desk, data):
    made = server.HTTPServer(("127.0.0.1", 0), desk)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    line = client.HTTPConnection("127.0.0.1", made.server_port)
    line.request("POST", "/", data)
    answer = line.getresponse().read()
    line.close()
    made.shutdown()
    made.server_close()
    return answer


def test_over_the_line_and_at_home(chapter, head, plain, capfd):
    run = engines.onnx_runtime(plain)
    use = pretrained.usage(pretrained.card("espcn-x2"))
    chapter |= {"float32": run, "use": use}
    packed, unpacked = chapter["packed"], chapter["unpacked"]
    sent = packed(np.maximum(acquisition.kspace_crop(head, 2)[0], 0), 4.0)
    home = pretrained.super_resolve_with(run, unpacked(sent, 4095)[None], **use)[0]
    home = np.clip(np.rint(home), 0, 4095)
    assert np.abs(unpacked(served(chapter["Desk"], sent), 4095) - home).max() <= 1e-3
    assert capfd.readouterr().err == ""  # nothing is logged
    chapter["packed"] = lambda picture, top: packed(picture, top, 8)  # a service that answers with loss
    assert np.abs(unpacked(served(chapter["Desk"], sent), 4095) - home).max() > 1
    chapter["packed"] = packed


def test_a_journey(chapter):
    assert chapter["journey"]((2e6, 0.5), 1e6, 3) == pytest.approx(7.5)
    assert chapter["journey"]((2e6, 0.5), 1e6, 3, trips=2) == pytest.approx(8.0)


def test_what_is_kept_can_be_read():
    found, where = stored.rows("small-and-fast", "real scans")
    assert any("int8" in row["what"] for row in found)
    assert "commit" in where
    with pytest.raises(runtime.CourseError, match="no part"):
        stored.rows("small-and-fast", "nonsense")
    with pytest.raises(runtime.CourseError, match="checkout"):
        stored.rows("nonsense", "engines")


def test_parts_are_written_one_by_one(tmp_path, monkeypatch):
    parts = dict.fromkeys(small_and_fast.PARTS, lambda options: [("what", 1.0, "×")])
    monkeypatch.setattr(small_and_fast, "PARTS", parts)
    table = tmp_path / "t.csv"
    for part in ("distillation", "engines"):
        assert small_and_fast.main(["--only", part, "--output", str(table)]) == 0
    page = table.with_suffix(".md").read_text()
    assert page.index("## Engines") < page.index("## Distillation")


def test_exercises_and_quiz_are_there():
    names = exercises_of("15")
    assert names == {"15-quantise", "15-cost", "15-dropped"}
    assert quiz_numbers("15") == pytest.approx([2.5, 7.5])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in (
        "int8 keeps of the gain, unseen people (share)",
        "A student of the teacher beats ZIP",
        "With four pairs, the teacher's student is ahead",
        "Calibrated in the scanner's unit",
        "Time with 90 % zeros",
        "Mean in budget, and this share of the frames late",
        "Over the line and at home",
        "JPEG 2000 of the fine image is ahead",
        "real development scans",
    ):
        assert words in text
