"""Predictions: asked before a cell answers them, kept in the reader's own browser, compared with what was measured.

``ask`` shows a question with a box for each answer, or a slider; ``sketch`` lets the reader draw on a picture;
``tell``, in the cell that measures it, shows both beside each other; ``record`` lists those of a chapter. Like viewers,
each is one piece of HTML that needs no kernel. What is kept lies in the browser's local storage and is sent nowhere;
where scripts may not run, the question stands as text.
"""

import html
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from medsr_course import runtime
from medsr_course.teaching import viewers

_asked: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Shown:
    """A question or an answer as HTML; as the last line of a cell it is shown, elsewhere ``display`` it."""

    html: str = field(repr=False)
    text: str

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"text/html": self.html, "text/plain": self.text}, raw=True)


def ask(
    name: str,
    question: str,
    choices: Sequence[str] = (),
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    unit: str = "",
) -> Shown:
    """Ask for a prediction: one of several answers, or a number on a slider.

    Parameters
    ----------
    name : str
        The chapter's number, then a slug: ``"05-baseline"``.
    question : str
    choices : sequence of str
        Two or more answers; empty for a number.
    low, high, step : float
        Ends and step of the slider; by default a hundredth of the range. It starts in the middle, and moving it is
        part of the answer.
    unit : str
        ``"dB"``, ``"%"``, ``"mm"``.

    Raises
    ------
    ValueError
        Neither two choices nor a range.
    """
    asked: dict[str, Any] = {"kind": "choice" if choices else "number", "name": name, "question": question}
    if choices:
        if len(set(choices)) < 2:
            raise ValueError(f"{name}: give at least two different choices")
        asked["choices"] = [str(choice) for choice in choices]
    elif low is None or high is None or not high > low:
        raise ValueError(f"{name}: give choices, or low and high of a range")
    else:
        asked |= {"low": low, "high": high, "step": step or (high - low) / 100, "unit": unit}
    _asked[name] = asked
    options = " · ".join(choices) if choices else f"a number from {low:g} to {high:g} {unit}".rstrip()
    return _shown(asked, f"Your prediction: {question} ({options})")


def sketch(
    name: str,
    question: str,
    image: npt.ArrayLike,
    *,
    window: tuple[float, float] | None = None,
) -> Shown:
    """Ask where something is: the reader draws on a picture.

    Parameters
    ----------
    name, question : str
        As in :func:`ask`.
    image : array (h, w)
        What is drawn upon; row 0 is at the bottom.
    window : (low, high), optional
        Its intensity window.
    """
    asked = {"kind": "sketch", "name": name, "question": question, "source": viewers.picture(image, window)}
    _asked[name] = asked
    return _shown(asked, f"Your prediction: {question} (draw it on the picture)")


def tell(
    name: str,
    measured: str | float | npt.ArrayLike,
    *,
    close: float | None = None,
    window: tuple[float, float] | None = None,
) -> Shown:
    """Show what was measured beside what the reader predicted, if she did.

    Parameters
    ----------
    name : str
        Of the question.
    measured : str, float or array (h, w)
        One of the choices; the number; or the picture on which the reader's sketch is laid.
    close : float, optional
        How far from a measured number a prediction may be to count as right; by default a tenth of the slider's range.
    window : (low, high), optional
        Of the picture.

    Raises
    ------
    ValueError
        For a question that was not asked in this kernel, and for a measured choice that was not among its choices.
    """
    if name not in _asked:
        raise ValueError(f"{name} was not asked: run the cell with predictions.ask or predictions.sketch first")
    asked = _asked[name]
    told: dict[str, Any] = {"kind": "told", "name": name, "question": asked["question"], "asked": asked["kind"]}
    if asked["kind"] == "sketch":
        told |= {"source": viewers.picture(measured, window)}
        return _shown(told, "Measured: see the picture.")
    if asked["kind"] == "choice":
        if measured not in asked["choices"]:
            raise ValueError(f"{name}: {measured!r} is none of {', '.join(map(repr, asked['choices']))}")
        told |= {"measured": str(measured)}
        return _shown(told, f"Measured: {measured!s}")
    value = float(measured)  # type: ignore[arg-type]
    tolerance = (asked["high"] - asked["low"]) / 10 if close is None else close
    told |= {"measured": value, "close": tolerance, "unit": asked["unit"]}
    return _shown(told, f"Measured: {value:.3g} {asked['unit']}".rstrip())


def record(chapter: str) -> Shown:
    """List what the reader predicted in a chapter (``"05"``), and what was measured."""
    return _shown({"kind": "record", "name": f"{chapter}-"}, "")


def chapter() -> str:
    """Returns the chapter whose questions this kernel has asked, ``"05"``; empty where there was none."""
    return next(iter(_asked), "").split("-")[0]


def reset() -> None:
    """Forget the questions of this kernel (``runtime.start`` does it); what the browser keeps stays."""
    _asked.clear()


runtime.at_start.append(reset)


def _shown(config: dict[str, Any], text: str) -> Shown:
    """The block as HTML. The script builds the form and hides the plain text."""
    here = Path(__file__)
    key = f"medsr-{uuid.uuid4().hex[:12]}"
    script = here.with_suffix(".js").read_text(encoding="utf-8").strip().rstrip(";")
    css = here.with_suffix(".css").read_text(encoding="utf-8")
    body = (
        f'<div class="medsr-prediction" data-medsr-prediction="{key}" data-config="{html.escape(json.dumps(config))}">'
        f'<style>{css}</style><div class="medsr-plain">{html.escape(text)}</div>'
        f'<script>({script})("{key}")</script></div>'
    )
    return Shown(body, text)
