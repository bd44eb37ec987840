"""The registry of methods."""

from dataclasses import replace

import numpy as np
import pytest

from medsr_course import runtime
from medsr_course.leaderboard import methods
from medsr_course.networks import pretrained
from medsr_course.physics import interpolation


@pytest.fixture
def shipped(monkeypatch):
    """One pretend network, which counts how often it is used."""
    calls = []

    def super_resolve(name, stack, quality="standard"):
        calls.append(name)
        return interpolation.zero_fill(stack, 3) + 1

    monkeypatch.setattr(pretrained, "names", lambda task="super-resolution": [] if task == "diffusion" else ["tiny-x3"])
    card = pretrained.card("espcn-x2")
    card = replace(card, name="tiny-x3", usage=card.usage | {"scale": 3})
    monkeypatch.setattr(pretrained, "card", lambda name: card)
    monkeypatch.setattr(pretrained, "super_resolve", super_resolve)
    return calls


def test_classical_methods_come_first_and_know_their_scales(shipped):
    assert methods.names()[:4] == ["nearest", "linear", "cubic", "spline"]
    assert methods.names()[-1] == "tiny-x3"
    assert "wavelet" in methods.names(2)
    assert "wavelet" not in methods.names(3)
    assert methods.names(3, learned=True) == ["tiny-x3"]
    assert methods.names(2, learned=True) == []
    assert "tiny-x3" not in methods.names(learned=False)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_classical_method_runs(scale):
    stack = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
    for name in methods.names(scale, learned=False):
        method = methods.get(name)
        assert method.name == name
        assert method.title
        assert not method.learned
        out = method(stack, scale)
        assert out.shape == (2, 5 * scale, 8 * scale)
        assert out.dtype == np.float32


def test_zip_is_zero_filling():
    stack = np.random.default_rng(0).normal(size=(1, 6, 7))
    assert np.array_equal(methods.get("zip")(stack, 2), interpolation.zero_fill(stack, 2))


def test_a_learned_method_is_used_only_when_called(shipped):
    method = methods.get("tiny-x3")
    assert method.learned
    assert shipped == []
    stack = np.ones((1, 4, 4), np.float32)
    assert np.allclose(method(stack, 3), 2)
    assert shipped == ["tiny-x3"]


def test_a_scale_out_of_reach_is_refused(shipped):
    for name, able in (("wavelet", "×2, ×4, ×8"), ("tiny-x3", "×3")):
        with pytest.raises(ValueError, match=f"only {able}"):
            methods.get(name)(np.ones((1, 4, 4)), 5)


def test_an_unknown_name_says_what_there_is(shipped):
    with pytest.raises(runtime.CourseError, match="nearest.*zip.*tiny-x3"):
        methods.get("bicubic")
