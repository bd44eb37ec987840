"""The comparison of architectures in chapter 09: what is measured, what a control is, and a run that was cut off."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from medsr_course.leaderboard import stored
from medsr_course.physics import acquisition, coils, interpolation
from medsr_course.tasks import superresolution
from tools import architectures


@pytest.fixture
def head():
    """Three neighbouring slices of folded bands, (1, 3, 64, 72)."""
    y, x = np.mgrid[:64, :72] - 32
    bands = [np.where(x**2 + y**2 < 900, 2 + np.sin(x / 3 + k) + np.cos(y / 4), 0) for k in range(3)]
    return np.array(bands, np.float32)[None]


@pytest.fixture
def small(head, monkeypatch):
    """The tool with one head for everything, and few pairs."""
    monkeypatch.setattr(architectures, "PAIRS", 4)
    monkeypatch.setattr(architectures, "material", lambda: ([head[0] / 4] * 2, np.array([0.5, 0.5])))
    phase = coils.smooth_phase((64, 72), np.random.default_rng(0))
    given = {kind: architectures.stored(head, phase, kind == "ellipse") for kind in architectures.INPUTS}
    one = architectures.Exam(superresolution.Pair(head[:, 1], given["rectangle"][:, 1]), given)
    monkeypatch.setattr(architectures, "exams", lambda group: {f"{group} {k}": one for k in range(3)})
    architectures.pool.cache_clear()
    yield one
    architectures.pool.cache_clear()


def test_corners_are_not_measured():
    coarse = np.random.default_rng(0).normal(size=(1, 32, 36))
    once = architectures.without_corners(coarse)
    left = np.abs(acquisition.to_kspace(once))[0]
    assert left[0, 0] < 1e-9
    assert np.mean(left > 1e-9) == pytest.approx(np.pi / 4, abs=0.03)
    assert np.allclose(architectures.without_corners(once), once)


@pytest.mark.parametrize("name", ["srcnn", "espcn", "pooled", "dense", "slices"])
def test_untrained_is_zero_filling_for_any_sides(small, name):
    entry = architectures.NETWORKS[name]
    coarse = small.given["rectangle"][..., :29, :31]
    made = architectures.upscaled(entry, entry.build(0), coarse)
    assert np.allclose(made, interpolation.zero_fill(coarse[:, 1], 2), atol=1e-5)


def test_a_control_differs_in_one_thing():
    plain, pooled = architectures.control(), architectures.control("pooled")
    assert plain.count_params() == pooled.count_params()
    names = [type(layer).__name__ for layer in pooled.layers]
    assert "MaxPooling2D" in names
    assert "MaxPooling2D" not in [type(layer).__name__ for layer in plain.layers]
    dense = architectures.control("dense")
    assert 128 in [layer.filters for layer in dense.layers if hasattr(layer, "filters")]
    extra = architectures.control(slices=3).count_params() - plain.count_params()
    assert extra == 2 * 5 * 5 * 32  # its first layer reads three channels


def test_patches_are_what_the_network_reads(small):
    for name, channels in (("srcnn", 1), ("espcn", 1), ("slices", 3)):
        entry = architectures.NETWORKS[name]
        images, residuals, weights = architectures.batches(entry, 0)(0)
        side = 2 * entry.size if entry.zero_filled else entry.size
        assert images.shape == (architectures.BATCH, side, side, channels)
        assert residuals.shape == (architectures.BATCH, 2 * entry.size, 2 * entry.size, 1)
        assert (weights > 0).all()
        again = architectures.batches(entry, 0)(0)
        assert np.array_equal(images, again[0])
        assert not np.array_equal(images, architectures.batches(entry, 1)(0)[0])


def test_a_run_that_was_cut_off_goes_on(small, tmp_path, monkeypatch):
    few = {name: architectures.NETWORKS[name] for name in ("espcn",)}
    controls = {name: architectures.NETWORKS[name] for name in ("plain", "slices", "ellipse")}
    longer = {"espcn-long": replace(few["espcn"], title="ESPCN, longer", rate_of="espcn", times=2)}
    monkeypatch.setattr(architectures, "ARCHITECTURES", few)
    monkeypatch.setattr(architectures, "CONTROLS", controls)
    monkeypatch.setattr(architectures, "LONG", longer)
    parts = {"controls": controls, "architectures": few, "longer": longer}
    monkeypatch.setattr(architectures, "PARTS", parts)
    monkeypatch.setattr(architectures, "NETWORKS", {**few, **controls, **longer})
    done = []

    def learned(entry, seed, rate, steps):
        done.append((entry.title, seed))
        return entry.build(seed), 0.1

    monkeypatch.setattr(architectures, "trained", learned)
    monkeypatch.setattr("sys.argv", ["architectures", "--seconds", "1", "--output", str(tmp_path)])
    architectures.main()
    assert done.count(("ESPCN", 2)) == 1
    assert done.count(("ESPCN, longer", 0)) == 1
    with (tmp_path / "architectures.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert architectures.gains(rows, "espcn").shape == (3, 3)
    assert architectures.gains(rows, "ellipse", kind="ellipse").shape == (3, 3)
    page = (tmp_path / "architectures.md").read_text()
    for title in ("ESPCN, longer", "three slices", "| ellipse |", "Made by `python -m tools.architectures`"):
        assert title in page
    done.clear()
    architectures.main()
    assert not done
    assert (tmp_path / "architectures.md").read_text() == page


def test_a_training_gains(small):
    """The recipe learns: after some steps on one head, that head is nearer to the truth than with ZIP."""
    entry = architectures.NETWORKS["plain"]
    model, cost = architectures.trained(entry, 0, 4e-3, 60)
    assert cost > 0
    assert small.gains(entry, model, "rectangle")["gain"] > 0.1


def test_what_chapter_09_says_is_in_the_table():
    """Pooling costs most of the gain and a dense layer nearly all, whatever the seed; either k-space wants its own."""
    rows, _ = stored.table("architectures")
    gains = {name: architectures.gains(rows, name) for name in architectures.CONTROLS}
    plain = gains["plain"].mean(axis=1)
    assert len(plain) == 3
    assert gains["plain"].shape[1] >= 8
    assert plain.min() > 0.2
    assert gains["pooled"].mean(axis=1).max() < 0.5 * plain.min()
    assert gains["dense"].mean(axis=1).max() < 0.25 * plain.min()
    assert abs(gains["slices"].mean() - plain.mean()) < np.ptp(gains["slices"].mean(axis=1))  # no gain to speak of
    round_one = architectures.gains(rows, "ellipse", kind="ellipse").mean()
    assert round_one > architectures.gains(rows, "plain", kind="ellipse").mean() > 0.1
