"""Boards of other tasks: right means, paired differences, files whole or not at all."""

import re
import sys
import types

import numpy as np
import pytest
from conftest import ROOT
from test_cli import medsr, one_line_error

from medsr_course import cli, runtime
from medsr_course.leaderboard import boards, engine, statistics, tables
from medsr_course.leaderboard.board import Board, Entry
from medsr_course.physics import metrics

METRICS = {"psnr": ("PSNR (dB)", ".1f", "up"), "error": ("error", ".3f", "down")}
BASE = {"a": 30.0, "b": 20.0, "c": 25.0}
GAIN = {"a": 1.0, "b": 2.0, "c": 4.0}


def row(method, subject, psnr, data="cohort, test", setting="6 % noise", **more):
    about = {"method": method, "title": method.upper(), "data": data, "setting": setting, "subject": subject}
    return about | {"psnr": psnr, "error": 0.5} | more


def measured(request=None):
    rows = [row("none", s, v, seconds_per_megavoxel=0.1) for s, v in BASE.items()]
    rows += [row("net", s, v + GAIN[s], parameters=1234, seconds_per_megavoxel=0.3) for s, v in BASE.items()]
    rows += [row("none", "person", 28.0, "real MR, test", ""), row("net", "person", 27.5, "real MR, test", "")]
    return rows


def toy(measure=measured, **changes):
    settings = {"task": "toy", "title": "A toy", "intro": "What it is.", "metrics": METRICS, "reference": "none"}
    return Board(**(settings | changes), measure=measure)


@pytest.fixture
def board(monkeypatch):
    """A board named ``toy``, found as others are."""
    module = types.ModuleType("medsr_course.leaderboard.boards.toy")
    module.BOARD = toy()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(boards, "iter_modules", lambda path: [types.SimpleNamespace(name="toy")])
    return module


def test_means_are_over_subjects_and_differences_paired():
    found = statistics.means(toy(), measured())
    none, net = found["cohort, test", "6 % noise"]
    assert (net["psnr"], net["subjects"], net["parameters"]) == (pytest.approx(np.mean([31, 22, 29])), 3, 1234)
    assert none["difference"] is None
    assert none["parameters"] is None
    assert net["difference"] == pytest.approx(metrics.student_interval([1, 2, 4]))
    assert found["real MR, test", ""][1]["difference"] == (-0.5, None, None)  # one subject has no interval


def test_a_subjects_scans_are_averaged_first_and_compared_one_by_one():
    rows = [row("none", "a", 10.0, contrast="T1w"), row("none", "a", 20.0, contrast="T2w"), row("none", "b", 30.0)]
    rows += [row("net", "a", 11.0, contrast="T1w"), row("net", "b", 33.0), row("net", "c", 99.0)]
    none, net = statistics.means(toy(), rows)["cohort, test", "6 % noise"]
    assert none["psnr"] == np.mean([15, 30])
    assert net["difference"][0] == np.mean([1, 3])  # c has no reference, T2w of a no result
    few = statistics.means(toy(), [*rows, row("blind", "a", None, contrast="T1w")])["cohort, test", "6 % noise"][-1]
    assert (few["psnr"], few["difference"]) == (None, None)


def test_files_are_written_and_say_who_and_where(board, tmp_path):
    _, rows, folder = engine.run("toy", tmp_path / "new")
    assert {p.name for p in folder.iterdir()} == {"leaderboard-toy.csv", "leaderboard-toy.md"}
    text = (folder / "leaderboard-toy.md").read_text(encoding="utf-8")
    assert text.startswith("# A toy\n\nWhat it is.\n\nMeasured by `medsr leaderboard --task toy`: ")
    assert "cohort, test: a, b, c; real MR, test: person." in text
    assert "## cohort, test: 6 % noise (3 subjects)" in text
    assert "## real MR, test (1 subject)" in text
    assert "| method | PSNR (dB) ↑ | error ↓ | PSNR over NONE (dB) | least | parameters | s per Mvoxel |" in text
    assert "| NET | 27.3 | 0.500 | +2.3 [-1.5, +6.1] | +1.0 | 1,234 | 0.300 |" in text
    assert "| NET | 27.5 | 0.500 | -0.5 | -0.5 |" in text
    table = (folder / "leaderboard-toy.csv").read_text(encoding="utf-8").splitlines()
    assert table[0].startswith("# Measured by")
    assert table[1].startswith("method,title,data,setting,subject,psnr,error")
    assert len(table) == 2 + len(rows)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rows: rows.clear(), "nothing"),
        (lambda rows: rows[0].pop("setting"), "no 'setting'"),
        (lambda rows: rows[0].update(psnr=float("inf")), "psnr = inf"),
        (lambda rows: rows.append(rows[-1]), "twice"),
        (lambda rows: [r.update(method="net2") for r in rows if r["method"] == "none"], "reference 'none'"),
    ],
)
def test_rows_that_are_no_rows_leave_the_old_files(board, tmp_path, spoil, said):
    engine.run("toy", tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    rows = measured()
    spoil(rows)
    board.BOARD = toy(lambda request: rows)
    with pytest.raises(ValueError, match=said):
        engine.run("toy", tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_metric_says_which_way_is_better():
    with pytest.raises(ValueError, match="must be"):
        toy(metrics={"psnr": ("PSNR", ".2f", "more")})
    with pytest.raises(ValueError, match="no metrics"):
        toy(metrics={})


def test_before_it_is_measured_it_is_refused(board, tmp_path, monkeypatch):
    board.BOARD = toy(lambda request: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    with pytest.raises(runtime.CourseError, match="--output"):
        engine.run("toy", tmp_path / "file" / "out")
    monkeypatch.setenv("MEDSR_NULL", "1")
    with pytest.raises(runtime.CourseError, match="MEDSR_NULL"):
        engine.run("toy", tmp_path)


def test_the_command(board, tmp_path, capsys):
    cli.leaderboard(
        task="toy", scale=None, data="all", methods="", output=tmp_path, cohort_seed=0, subjects=120, fresh=False
    )
    said = capsys.readouterr().out
    assert "cohort, test" in said
    assert "leaderboard-toy.csv" in said
    with pytest.raises(runtime.CourseError, match="leave them out"):
        cli.leaderboard(
            task="toy", scale=[2], data="all", methods="", output=tmp_path, cohort_seed=0, subjects=120, fresh=False
        )


def test_an_unknown_task_is_one_line():
    assert "choose one of super-resolution" in one_line_error(medsr("leaderboard", "--task", "dogs"))


@pytest.mark.parametrize("stem", boards.every())
def test_every_board_is_named_as_its_file(stem):
    found = engine.board(stem)
    assert isinstance(found, Board)
    assert found.task == stem
    assert found.intro


def parts(text):
    """A text's words, and its numbers with the size of their last digit."""
    found = re.findall(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", text)
    numbers = [float(number.replace(",", "")) for number in found]
    steps = [10.0 ** (int((n + "e0").split("e")[1]) - len(n.split("e")[0].partition(".")[2])) for n in found]
    return re.sub(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", "#", text), numbers, steps


@pytest.mark.parametrize("task", boards.every())
def test_the_committed_page_is_made_of_the_committed_rows(task):
    board = engine.board(task)
    page = (ROOT / "results" / f"{board.stem}.md").read_text(encoding="utf-8")
    rows, note = tables.read(ROOT / "results" / f"{board.stem}.csv", board)
    engine.check(board, rows)
    words, numbers, _ = parts(board.page(rows, note))
    expected, committed, steps = parts(page)
    assert words == expected
    # The file holds rounded numbers, of seconds four digits: a mean may differ by one in its last digit.
    for a, b, step in zip(numbers, committed, steps, strict=True):
        assert abs(a - b) <= max(1.01 * step, 5e-4 * abs(b))
    assert board.columns(rows) == (ROOT / "results" / f"{board.stem}.csv").read_text("utf-8").splitlines()[1].split(",")


def test_the_best_of_an_entry_is_the_same_network_with_quality_best():
    entry = Entry("net", "A network", lambda given, quality="standard": (given, quality), 7, {"strength": 2})
    best = entry.best()
    assert best.apply("x") == ("x", "best")
    assert (best.name, best.title, best.parameters, best.more) == ("net-best", "A network, best", 7, {"strength": 2})
