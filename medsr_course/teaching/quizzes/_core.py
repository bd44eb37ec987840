"""Question builders in jupyterquiz's format."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medsr_course.runtime import CourseError


def choice(question: str, right: tuple[str, str], wrong: Mapping[str, str]) -> dict[str, Any]:
    """Return a question with one right answer, in jupyterquiz's format.

    Parameters
    ----------
    question : str
        Plain text, or ``$math$``.
    right : (str, str)
        The answer and why it is right.
    wrong : dict of str to str
        Wrong answer → the misconception behind it, explained.
    """
    answers: list[dict[str, Any]] = [{"answer": right[0], "correct": True, "feedback": right[1]}]
    answers += [{"answer": text, "correct": False, "feedback": why} for text, why in wrong.items()]
    # The right answer must not always stand first; sorting by text is stable and gives nothing away.
    answers.sort(key=lambda entry: entry["answer"])
    return {"question": question, "type": "many_choice", "answers": answers}


def numeric(
    question: str,
    compute: Callable[[], float],
    *,
    tolerance: float,
    feedback: str,
    mistakes: Mapping[Callable[[], float], str] | None = None,
) -> dict[str, Any]:
    """Return a question answered by a number, in jupyterquiz's format.

    Parameters
    ----------
    compute : callable
        Returns the right answer: it is computed, never typed.
    tolerance : float
        Half width of the accepted range.
    feedback : str
        Why this is the answer.
    mistakes : dict of callable to str, optional
        Computation of a tempting wrong number → the misconception behind it.
    """
    answers: list[dict[str, Any]] = []
    for value, why in {compute: feedback, **(mistakes or {})}.items():
        number = float(value())
        entry = {"type": "range", "range": [number - tolerance, number + tolerance], "correct": value is compute}
        answers.append(entry | {"feedback": why})
    answers.append({"type": "default", "feedback": "Not quite. Compute it step by step, then try again."})
    return {"question": question, "type": "numeric", "answers": answers}


def questions(chapter: str) -> list[dict[str, Any]]:
    """Return the questions of a chapter (``"05"``); :class:`CourseError` where it has none."""
    name = f"medsr_course.teaching.quizzes.ch{chapter}"
    if find_spec(name) is None:
        raise CourseError(f"chapter {chapter} has no quiz")
    return import_module(name).QUESTIONS


def show(chapter: str) -> None:
    """Show the quiz of a chapter in the notebook and, kernel-free, on the site.

    Its fields understand "6.25", "6,25", "6.25 %" and "1/16", where jupyterquiz alone takes digits, "." and "/".
    """
    from IPython.display import display
    from jupyterquiz import display_quiz

    display_quiz(questions(chapter), colors="fdsp", max_width=800)
    script = Path(__file__).with_name("answers.js").read_text(encoding="utf-8")
    display({"text/html": f"<script>{script}</script>", "text/plain": ""}, raw=True)
