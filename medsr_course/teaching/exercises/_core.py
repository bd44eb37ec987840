"""What an exercise is, and how an answer is judged."""

import html
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules

from medsr_course.runtime import CourseError


class Wrong(Exception):
    """Raised by a checker: the answer is wrong *because* of what the message says."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes
    ----------
    name : str
        ``"05-zero-fill"``: the chapter's number, then a slug.
    task : str
        One sentence: what ``fn`` takes and returns.
    check : callable
        ``check(fn)`` tries the answer on fresh seeded inputs; returns None when right, raises
        :class:`Wrong` with the reason when not.
    hint : str
    reference : callable
        The solution; its source is what the reader is shown.
    alternatives : tuple of callable
        Other right answers, which the checker must accept too.
    mistakes : dict of str to callable
        Name of a mistake → answer with just that mistake. At least three; every one is rejected with
        a message of its own (a test holds this).
    """

    name: str
    task: str
    check: Callable
    hint: str
    reference: Callable
    alternatives: tuple = ()
    mistakes: dict = field(default_factory=dict)

    def source(self):
        """Source text of the reference solution."""
        return inspect.getsource(self.reference)


def names():
    """Names of all exercises, in the order of the course."""
    return list(_all())


def find(name):
    """The :class:`Exercise` called ``name``; a clear error where there is none."""
    exercises = _all()
    if name not in exercises:
        raise CourseError(f"there is no exercise {name!r}; there are: {', '.join(exercises)}")
    return exercises[name]


def verdict(name, fn):
    """Judge an answer: ``(status, message)`` with status "unanswered", "right" or "wrong"."""
    exercise = find(name)
    if not callable(fn):
        return "wrong", f"give the function itself: exercises.check({name!r}, my_function)"
    try:
        exercise.check(fn)
    except Wrong as reason:
        return ("unanswered", UNANSWERED) if reason.args == (None,) else ("wrong", str(reason))
    except Exception as error:  # the reader's own code may fail in any way
        return "wrong", f"your function stopped with {type(error).__name__}: {error}"
    return "right", "right."


UNANSWERED = "not answered yet: your function returns None."


def answer(fn, *args, **kwargs):
    """Call the reader's function; ``Wrong(None)`` (not answered yet) where it returns None."""
    result = fn(*args, **kwargs)
    if result is None:
        raise Wrong(None)
    return result


def check(name, fn):
    """Check an answer and say in words: not answered yet, right, or wrong *because* …"""
    status, message = verdict(name, fn)
    mark = {"right": "✓", "wrong": "✗", "unanswered": "○"}[status]
    more = "" if status == "right" else f' Stuck? exercises.hint("{name}") or exercises.solution("{name}")'
    _say(f"{mark} {name}: {message}{more}")


def hint(name):
    """Show the hint of an exercise."""
    _say(f"Hint: {find(name).hint}")


def solution(name):
    """Show the reference solution of an exercise."""
    from IPython.display import Code, display

    display(Code(find(name).source(), language="python"))


def _say(text):
    from IPython.display import display

    body = f'<div class="medsr-exercise" style="margin:.3em 0">{html.escape(text)}</div>'
    display({"text/html": body, "text/plain": text}, raw=True)


def _all():
    import medsr_course.teaching.exercises as package

    modules = sorted(m.name for m in iter_modules(package.__path__) if m.name.startswith("ch"))
    found = {}
    for module in modules:
        for exercise in import_module(f"medsr_course.teaching.exercises.{module}").EXERCISES:
            found[exercise.name] = exercise
    return found
