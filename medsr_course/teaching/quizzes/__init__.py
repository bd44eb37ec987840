"""Quizzes, shown by jupyterquiz: ``quizzes.show("05")``. One module per chapter holds ``QUESTIONS``."""

from medsr_course.teaching.quizzes._core import choice, numeric, questions, show

__all__ = ["choice", "numeric", "questions", "show"]
