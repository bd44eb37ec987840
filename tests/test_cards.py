"""Cards: one type for the networks of every task, checked when it is read."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from medsr_course import resources
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import Card, WeightError, cards
from tools import command, reproduce

ALL = pretrained.names(task=None)


def given(name="espcn-x2"):
    return json.loads(pretrained.card(name).to_json())


@pytest.mark.parametrize("name", ALL)
def test_cards_come_back_from_their_files(name):
    card, file = pretrained.card(name), resources.path("weights", f"{name}.json")
    assert card.to_json() == file.read_text(encoding="utf-8")
    assert Card.from_json(card.to_json()) == card
    assert set(card.usage) == set(cards.USAGE[card.task])
    assert sum(card.share.values()) == pytest.approx(1)
    assert set(card.share) == set(card.trained_on)
    assert {len(row) for row in card.curve} == {len(card.curve_columns)}
    assert card.provenance() == f"{name} {card.version} (sha256 {card.files[f'{name}.onnx'][:12]})"


def test_a_card_is_read_once_until_its_file_changes(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    file = tmp_path / "weights" / "espcn-x2.json"
    file.write_text(json.dumps(given()), encoding="utf-8")
    monkeypatch.setattr(resources, "path", lambda *parts: tmp_path.joinpath(*parts))
    first = pretrained.card("espcn-x2")
    assert pretrained.card("espcn-x2") is first
    file.write_text(replace(first, version="1.1").to_json(), encoding="utf-8")
    assert pretrained.card("espcn-x2").version == "1.1"
    file.write_text(replace(first, name="espcn-x3").to_json(), encoding="utf-8")
    with pytest.raises(WeightError, match=r"espcn-x2\.json is the card of espcn-x3"):
        pretrained.card("espcn-x2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stride": 2}, "unknown key 'stride'"),
        ({"steps": None}, "steps is None, expected int"),
        ({"steps": True}, "steps is True, expected int"),
        ({"share": {"cohort": "all"}}, "share"),
        ({"data": "heads"}, "data is 'heads', expected list"),
        ({"files": {"a": 3}}, "files"),
        ({"task": "singing"}, "task 'singing', expected one of super-resolution"),
        ({"usage": {"scale": 2}}, "usage: missing key 'data_consistency'"),
        ({"task": "denoising"}, "usage: unknown key"),
        ({"format": 3}, "format 3, this version of the course reads 2"),
    ],
)
def test_wrong_cards_are_refused_in_one_line_that_names_file_and_key(change, words):
    with pytest.raises(WeightError) as caught:
        Card.from_json(given() | change, "espcn-x2.json")
    assert str(caught.value).startswith("espcn-x2.json: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_card_lacks_is_named():
    about = given()
    del about["seed"], about["not_for"]
    with pytest.raises(WeightError, match="missing key 'not_for', 'seed'"):
        Card.from_json(about)
    about = given()
    about["usage"]["scale"] = 2.5
    with pytest.raises(WeightError, match=r"usage: scale is 2\.5, expected int"):
        Card.from_json(about)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{} {}"])
def test_what_is_no_card_is_refused_in_one_line(text):
    with pytest.raises(WeightError, match=r"^x\.json") as caught:
        Card.from_json(text, "x.json")
    assert "\n" not in str(caught.value)


def test_usage_is_what_the_function_of_the_task_takes():
    takers = {
        "super-resolution": pretrained.super_resolve_with,
        "denoising": pretrained.denoise_with,
        "diffusion": pretrained.sample_with,
        "slices": pretrained.thin_slices_with,
        "reconstruction": pretrained.reconstruct_with,
        "segmentation": pretrained.segment_with,
    }
    for name in ALL:
        card = pretrained.card(name)
        if card.task == "features":
            with pytest.raises(WeightError, match="no network of that task"):
                pretrained.usage(card)
        else:
            assert set(pretrained.usage(card)) <= set(takers[card.task].__annotations__)
    limits = {name: pretrained.usage(pretrained.card(name))["most_noise"] for name in pretrained.names()}
    clean = ("srgan-x4", "twin-x4", "swinir-x4", "liif-x4")
    assert limits == dict.fromkeys(pretrained.names(), 0.08) | dict.fromkeys(clean, 0.005)


# -- Numbers from the wild: a right result, or one line -------------------------------------------

BY_NAME = {  # task → a network, and what it is given of a stack
    "super-resolution": lambda stack: pretrained.super_resolve("srcnn-x2", stack),
    "denoising": lambda stack: pretrained.denoise("dncnn-magnitude", stack),
    "channels": lambda stack: pretrained.denoise("dncnn-complex", stack),
    "slices": lambda stack: pretrained.thin_slices("cnn25d-z4", stack),
    "segmentation": lambda stack: pretrained.segment("unet-tissue", stack, probabilities=True),
    "reconstruction": lambda stack: pretrained.reconstruct("cascade-kspace", stack + 0j, np.arange(18) % 2 == 0),
}


@pytest.fixture
def head():
    y, x = np.mgrid[-1:1:20j, -1:1:18j]
    return np.stack([(np.hypot(y, x) < 0.7) * (100 + 30 * np.sin(9 * x + k)) for k in range(4)]).round()


@pytest.mark.parametrize("task", BY_NAME)
@pytest.mark.parametrize("factor", [1e-14, 1e-9, 1e9, 1e12])
def test_results_scale_with_the_unit(task, factor, head):
    result, scaled = BY_NAME[task](head), BY_NAME[task](head * factor)
    factor = 1 if task == "segmentation" else factor
    np.testing.assert_allclose(scaled / factor, result, atol=2e-3 * np.abs(result).max())


@pytest.mark.parametrize("task", BY_NAME)
@pytest.mark.parametrize("factor", [1e300, 1e36, 1e17, 1e-20, 1e-40, 1e-300, 5e-324])
def test_numbers_that_float32_cannot_hold_are_refused_in_one_line(task, factor, head):
    with pytest.raises(ValueError, match="float32 cannot calculate with: multiply") as caught:
        BY_NAME[task](np.minimum(head * factor, np.finfo(float).max / 4))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", [task for task in BY_NAME if task != "reconstruction"])
def test_whole_numbers_and_booleans_are_numbers(task, head):
    for kind in (np.uint8, np.int16, np.uint16, np.int64, np.float16, bool):
        whole = head.astype(kind)
        expected = BY_NAME[task](whole.astype(np.float64))
        np.testing.assert_allclose(BY_NAME[task](whole), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("task", [task for task in BY_NAME if task not in ("channels", "reconstruction")])
def test_what_is_no_real_number_is_refused_in_one_line(task, head):
    structured = np.zeros(head.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for wrong in (head + 1j, head.astype(object), head.astype("m8[s]"), structured, head.astype(str)):
        with pytest.raises(ValueError, match=r"real numbers|magnitudes") as caught:
            BY_NAME[task](wrong)
        assert "\n" not in str(caught.value)


def test_a_faint_second_channel_is_no_reason_to_refuse(head):
    made = pretrained.denoise("dncnn-complex", head + 1e-30j * head)
    np.testing.assert_allclose(made.real, pretrained.denoise("dncnn-complex", head + 0j).real, atol=1e-3)


def test_measures_of_features_refuse_what_has_no_scale(head):
    from medsr_course.networks import losses

    eye = pretrained.load("features-tissue")
    with pytest.raises(ValueError, match="no positive value"):
        losses.perceptual_distance(eye, 0 * head, head)
    with pytest.raises(ValueError, match="float32"):
        losses.perceptual_distance(eye, 1e300 * head, head)


def test_weights_made_again_are_as_good_as_those_shipped():
    """The committed page is made of the committed rows, and these hold what the cards say today."""
    rows = list(csv.DictReader((command.RESULTS / "reproduction.csv").open(encoding="utf-8")))
    page = (command.RESULTS / "reproduction.md").read_text(encoding="utf-8")
    assert page == reproduce.page(rows)
    assert len({row["network"] for row in rows}) >= 2
    for row in rows:
        assert abs(float(row["again"]) - pretrained.card(row["network"]).metrics[row["data"]]["gain (dB)"]) <= (
            reproduce.WITHIN
        )
