"""Chapter 02: its LSTM against a loop written from the equations, and the numbers of its quiz."""

import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught
from scipy.special import expit

from medsr_course import resources
from medsr_course.teaching import claims, quizzes

NOTEBOOK = resources.checkout() / "notebooks" / "02_families_of_deep_learning.ipynb"


def by_hand(x, kernel, recurrent, bias, gates=(0, 1, 2, 3)):
    """One unit of an LSTM, number by number; ``gates`` says where input, forget, candidate and output lie."""
    h = c = 0.0
    for value in x:
        i, f, g, o = (value * kernel[k] + h * recurrent[k] + bias[k] for k in gates)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
    return h


def test_the_lstm_follows_its_equations():
    lstm = taught("02", {"np": np, "expit": expit}, {"my_lstm"})["my_lstm"]
    rng = np.random.default_rng(0)
    x, kernel, recurrent, bias = (rng.normal(size=shape) for shape in (7, 4, 4, 4))
    state, cells = lstm(x[None, :, None], kernel[None], recurrent[None], bias)
    assert cells.shape == (1, 7, 1)
    assert state[0, 0] == pytest.approx(by_hand(x, kernel, recurrent, bias))
    swapped = by_hand(x, kernel, recurrent, bias, gates=(1, 0, 2, 3))  # forget gate taken for the input gate
    assert abs(state[0, 0] - swapped) > 1e-2


def test_numbers_of_the_quiz():
    asked = quizzes.questions("02")
    assert 3 <= len(asked) <= 6
    assert quiz_numbers("02") == pytest.approx([7, 100 * 0.9**60])


def test_it_claims_what_the_syllabus_asks():
    assert exercises_of("02") == {"02-receptive-field", "02-forget-bias"}
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("CNN", "Receptive field", "Elman", "LSTM", "hidden pixels", "Masked features"):
        assert words in text
