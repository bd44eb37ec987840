"""What an exercise is, and how an answer is judged."""

import html
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

from medsr_course.runtime import CourseError
from medsr_course.teaching import progress
from medsr_course.types import Array


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
        What helps without giving the answer away.
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
    check: Callable[[Callable], None]
    hint: str
    reference: Callable
    alternatives: tuple[Callable, ...] = ()
    mistakes: dict[str, Callable] = field(default_factory=dict)

    def source(self) -> str:
        """Return the source text of the reference solution.

        Raises
        ------
        CourseError
            In the edition without solutions.
        """
        try:
            return inspect.getsource(self.reference)
        except OSError:
            raise CourseError("this edition of the course holds no solutions: ask your teacher") from None


def names() -> list[str]:
    """Return the names of all exercises, in the order of the course."""
    return list(_all())


def find(name: str) -> Exercise:
    """Return the :class:`Exercise` called ``name``; :class:`CourseError` where there is none."""
    exercises = _all()
    if name not in exercises:
        raise CourseError(f"there is no exercise {name!r}; there are: {', '.join(exercises)}")
    return exercises[name]


def verdict(name: str, fn: Any) -> tuple[str, str]:
    """Return a judgement on an answer: status ("unanswered", "right" or "wrong") and message."""
    exercise = find(name)
    if not callable(fn):
        return "wrong", f"give the function itself: exercises.check({name!r}, my_function)"
    try:
        exercise.check(fn)
    except Wrong as reason:
        return ("unanswered", UNANSWERED) if reason.args == (None,) else ("wrong", str(reason))
    except NameError as error:
        return "wrong", f"{error}: run the chapter's first code cells (parameters, imports), then this cell again."
    except Exception as error:  # the reader's own code may fail in any way
        return "wrong", f"your function stopped with {type(error).__name__}: {error}"
    return "right", "right."


MARKS = {"right": "✓", "wrong": "✗", "unanswered": "○"}
COLOURS = {"right": "#1a7f37", "wrong": "#b3261e", "unanswered": "#6e6e6e"}
UNANSWERED = "not answered yet: your function returns None."


def answer(fn: Callable, *args: Any, **kwargs: Any) -> Any:
    """Return the result of the reader's function; ``Wrong(None)`` (not answered yet) where that is None."""
    result = fn(*args, **kwargs)
    if result is None:
        raise Wrong(None)
    return result


def shaped(got: Any, shape: tuple[int, ...], why: str, dtype: type | None = None) -> Array:
    """Return an answer as an array; ``Wrong(why)``, its ``{}`` the answer's shape, where that is not ``shape``."""
    got = np.asarray(got, dtype)
    if got.shape != shape:
        raise Wrong(why.format(got.shape))
    return got


def recognise(got: Any, known: Iterable[tuple[Any, str]], rtol: float = 1e-5, atol: float = 1e-8) -> None:
    """Raise ``Wrong(why)`` for the first pair (wrong answer, why) of ``known`` that the answer is close to."""
    for wrong, why in known:
        if np.allclose(got, wrong, rtol, atol):
            raise Wrong(why)


def check(name: str, fn: Any) -> None:
    """Check an answer and show in words: not answered yet, right, or wrong *because* …"""
    status, message = verdict(name, fn)
    lines = [f"{MARKS[status]} {name}: {message}"]
    if status != "right":
        lines.append(f'Stuck? exercises.hint("{name}") or exercises.solution("{name}")')
    if noted := _recorded(name, status):
        lines.append(noted)
    _say("\n".join(lines), COLOURS[status])


def _recorded(name: str, status: str) -> str:
    """Note the try in the reader's progress file, in a notebook only; words where that failed."""
    from IPython import get_ipython

    if status == "unanswered" or getattr(get_ipython(), "kernel", None) is None:
        return ""
    try:
        progress.record(name, status == "right")
    except (OSError, CourseError) as error:
        return f"(Not written into the progress file: {getattr(error, 'strerror', None) or error}.)"
    return ""


def hint(name: str) -> None:
    """Show the hint of an exercise."""
    _say(f"Hint: {find(name).hint}")


def solution(name: str) -> None:
    """Show the reference solution of an exercise."""
    from IPython.display import Code, display

    display(Code(find(name).source(), language="python"))


def _say(text: str, colour: str = "#6e6e6e") -> None:
    """Show lines of text; the first in bold type beside a bar of the colour, which a sign tells, too."""
    from IPython.display import display

    first, *more = (html.escape(line) for line in text.split("\n"))
    body = "".join(f"<div>{line}</div>" for line in (f"<b>{first}</b>", *more))
    frame = f"margin:.3em 0;padding:.2em .7em;border-left:4px solid {colour};max-width:46em"
    display({"text/html": f'<div class="medsr-exercise" style="{frame}">{body}</div>', "text/plain": text}, raw=True)


def _all():
    import medsr_course.teaching.exercises as package

    modules = sorted(m.name for m in iter_modules(package.__path__) if m.name.startswith("ch"))
    found = {}
    for module in modules:
        for exercise in import_module(f"medsr_course.teaching.exercises.{module}").EXERCISES:
            found[exercise.name] = exercise
    return found
