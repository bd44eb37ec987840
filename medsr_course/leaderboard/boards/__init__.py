"""The boards, each in a module of this folder as ``BOARD``; nothing has to be entered anywhere else."""

from importlib import import_module
from pkgutil import iter_modules

from medsr_course.leaderboard.board import Board

DEFAULT = "super-resolution"  # what is measured when no task is named


def every() -> dict[str, Board]:
    """Returns the boards by task, the default first."""
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    return {
        board.task: board for board in sorted((m.BOARD for m in modules), key=lambda b: (b.task != DEFAULT, b.task))
    }
