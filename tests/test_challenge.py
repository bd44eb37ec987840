"""The challenge's scorer: nothing gains nothing, a gain is the protocol's, cheats are caught; and the checklist."""

import json

import numpy as np
import pytest
from scipy import ndimage

from medsr_course.networks import pretrained
from medsr_course.physics import interpolation, metrics
from medsr_course.runtime import CourseError
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import challenge, checklist, superresolution


def person(name, seed):
    """A head with folds and texture, 1 mm."""
    rng = np.random.default_rng(seed)
    index = np.meshgrid(*[np.linspace(-1, 1, n) for n in (128, 144, 30)], indexing="ij")
    radius = np.sqrt(sum((axis / reach) ** 2 for axis, reach in zip(index, (0.85, 0.85, 2), strict=True)))
    folds = ndimage.gaussian_filter(rng.standard_normal(radius.shape), (2, 2, 1)) > 0.1
    data = (radius < 1) * (400 + 200 * (folds & (radius > 0.75)) + 6 * rng.standard_normal(radius.shape))
    return Subject(name, {"T1w": lambda: volumes.make_image(np.abs(data).astype(np.float32), np.eye(4))})


@pytest.fixture(scope="module")
def people():
    return [person(f"p{seed}", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def truths(people):
    pairs = [superresolution.pair(p.contrasts["T1w"], 2, key=f"{p.id} T1w") for p in people]
    return {pair.given.tobytes(): pair.target for pair in pairs}


def score(method, people, name="m"):
    return challenge.score(method, people, name, secret=1)


def test_doing_nothing_gains_exactly_nothing(people):
    found = score(interpolation.zero_fill, people)
    assert (found.gain, found.low, found.high, found.worst, found.altered) == (0, 0, 0, 0, 0)
    assert found.verdict == "no gain: it is ZIP"
    assert found.kept > 0.8
    assert found.people == 3


def test_a_network_has_the_gain_of_the_protocol(people):
    def network(coarse, scale):
        return pretrained.super_resolve("espcn-x2", coarse)

    found = score(network, people)
    gains = []
    for p in people:
        pair = superresolution.pair(p.contrasts["T1w"], 2, key=f"{p.id} T1w")
        plain = interpolation.zero_fill(pair.given, 2)
        gains.append(metrics.psnr(pair.target, network(pair.given, 2)) - metrics.psnr(pair.target, plain))
    assert found.gain == pytest.approx(np.mean(gains), abs=1e-3)
    assert found.worst == pytest.approx(min(gains), abs=1e-3)
    assert found.altered == pytest.approx(found.gain, abs=0.3)
    assert "caught" not in found.verdict


def test_worse_than_nothing_is_no_gain(people):
    found = score(interpolation.nearest, people)
    assert found.gain < 0
    assert found.verdict == "no gain"


def test_who_looks_truths_up_is_caught(people, truths):
    def peeking(coarse, scale):
        fine = interpolation.zero_fill(coarse, scale)
        return 0.85 * fine + 0.15 * truths.get(coarse.tobytes(), fine)

    found = score(peeking, people)
    assert 0.5 < found.gain < challenge.CEILING  # a gain that looks honest
    assert "may have seen" in found.verdict


def test_the_truth_itself_is_too_good(people, truths):
    def knowing(coarse, scale):
        return truths.get(coarse.tobytes(), interpolation.zero_fill(coarse, scale))

    found = score(knowing, people)
    assert found.gain == challenge.MOST
    assert "more than a coarse scan can tell" in found.verdict


def test_who_paints_a_known_head_loses_its_fresh_lesions(people):
    """Wrong in another way: smooth away everything small."""

    def smooth(coarse, scale):
        return ndimage.median_filter(interpolation.zero_fill(coarse, scale), (1, 15, 15))

    assert score(smooth, people).verdict == "caught: fresh lesions are not in its result"


def test_a_method_gets_copies(people):
    def greedy(coarse, scale):
        fine = interpolation.zero_fill(coarse, scale)
        coarse[:] = 0
        return fine

    assert score(greedy, people).gain == 0


@pytest.mark.parametrize("wrong", [lambda x, s: x, lambda x, s: interpolation.zero_fill(x, s) * np.nan])
def test_what_is_no_result_is_said(people, wrong):
    with pytest.raises(CourseError, match="the method returned"):
        score(wrong, people[:1])


def test_nobody_to_judge():
    with pytest.raises(CourseError, match="nobody"):
        score(interpolation.zero_fill, [])


def test_few_people_are_not_called_evidence():
    assert challenge._verdict(1.0, 0.8, 1.2, 1.0, 0.9, 3) == "gain, of 3 people only"
    assert challenge._verdict(1.0, 0.8, 1.2, 1.0, 0.9, 20) == "gain"
    assert challenge._verdict(1.0, -0.1, 2.1, 1.0, 0.9, 20) == "no gain that could be told from chance"


def test_the_scoreboard_keeps_the_last_score_of_a_name_and_puts_cheats_last(tmp_path):
    board = tmp_path / "mine" / "board.csv"
    assert challenge.standings(board) == []

    def row(name, gain, verdict):
        return challenge.Score(name, gain, gain, gain, gain, 1.0, gain, 0.9, 0.1, 4, verdict)

    challenge.enter(row("a", 0.5, "gain"), board)
    challenge.enter(row("cheat", 9.0, "caught: it knows"), board)
    challenge.enter(row("b", 1.5, "gain"), board)
    rows = challenge.enter(row("a", 0.7, "gain"), board)
    assert [(r["name"], r["gain"]) for r in rows] == [("b", "1.5"), ("a", "0.7"), ("cheat", "9.0")]
    assert challenge.standings(board) == rows


# ---------------------------------------------------------------- checklist


def test_the_checklist_reads_the_card():
    card = json.loads(pretrained.card("srresnet-x2").to_json())
    found = {item.question: answer for item, answer in checklist.check(card)}
    assert found["What is it for?"]
    assert "cohort" in found["How many people (or phantoms) taught it, and which?"]
    assert found["Age, sex, ancestry and disease of these people?"] == ""
    assert all(len(answer) <= 80 for answer in found.values())
    less = {key: value for key, value in card.items() if key != "intended_use"}
    assert dict((i.question, a) for i, a in checklist.check(less))["What is it for?"] == ""


def test_a_card_without_anything_answers_nothing():
    assert not any(answer for _, answer in checklist.check({"name": "empty"}))
    with pytest.raises(CourseError, match="mapping"):
        checklist.check("srresnet-x2")


def test_the_stored_table_says_what_was_measured():
    from tools import capstone

    row = capstone._row("observers", 3, "AUC, Hotelling", "LR", [0.8, 0.9, 1.0])
    assert row["mean"] == "+0.900"
    one = capstone._rounded("real, development", 1, "gain over ZIP (dB)", "zip", {"mean": 0.0, "low": float("-inf")})
    assert one["low"] == ""
    text = capstone.report([row, one | {"high": ""}])
    assert "| observers | 3 | AUC, Hotelling | LR | +0.900 |" in text
    assert "python -m tools.capstone" in text
