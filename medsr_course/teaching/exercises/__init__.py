"""Exercises that check themselves: ``exercises.check("05-zero-fill", fn)`` answers in words.

One module per chapter (``ch05.py``) holds its exercises as :class:`Exercise` objects in ``EXERCISES``.
"""

from medsr_course.teaching.exercises._core import Exercise, Wrong, check, find, hint, names, solution

__all__ = ["Exercise", "Wrong", "check", "find", "hint", "names", "solution"]
