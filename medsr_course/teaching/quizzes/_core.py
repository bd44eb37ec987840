"""Question builders in jupyterquiz's format."""

from importlib import import_module
from importlib.util import find_spec

from medsr_course.runtime import CourseError


def choice(question, right, wrong):
    """A question with one right answer.

    Parameters
    ----------
    question : str
        Plain text, or ``$math$``.
    right : (str, str)
        The answer and why it is right.
    wrong : dict of str to str
        Wrong answer → the misconception behind it, explained.
    """
    answers = [{"answer": right[0], "correct": True, "feedback": right[1]}]
    answers += [{"answer": text, "correct": False, "feedback": why} for text, why in wrong.items()]
    # The right answer must not always stand first; sorting by text is stable and gives nothing away.
    answers.sort(key=lambda entry: entry["answer"])
    return {"question": question, "type": "many_choice", "answers": answers}


def numeric(question, compute, *, tolerance, feedback, mistakes=None):
    """A question answered by a number.

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
    value = float(compute())
    answers = [
        {
            "type": "range",
            "range": [value - tolerance, value + tolerance],
            "correct": True,
            "feedback": feedback,
        }
    ]
    for wrong, why in (mistakes or {}).items():
        number = float(wrong())
        answers.append(
            {
                "type": "range",
                "range": [number - tolerance, number + tolerance],
                "correct": False,
                "feedback": why,
            }
        )
    answers.append({"type": "default", "feedback": "Not quite. Compute it step by step, then try again."})
    return {"question": question, "type": "numeric", "answers": answers}


def questions(chapter):
    """Questions of a chapter (``"05"``), a list of dicts."""
    name = f"medsr_course.teaching.quizzes.ch{chapter}"
    if find_spec(name) is None:
        raise CourseError(f"chapter {chapter} has no quiz")
    return import_module(name).QUESTIONS


def show(chapter):
    """Show the quiz of a chapter in the notebook and, kernel-free, on the site."""
    from jupyterquiz import display_quiz

    display_quiz(questions(chapter), colors="fdsp", max_width=800)
