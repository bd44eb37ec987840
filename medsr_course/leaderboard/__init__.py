"""Every method on the same scans: rows of scores, their means over subjects, paired tests, tables and a figure.

``medsr leaderboard`` calls :func:`run`. What it writes into ``results/`` the site shows and never computes again:
``leaderboard.md`` and ``leaderboard.png``, and the tables ``leaderboard.csv`` (a row per method, scan, scale and
noise), ``leaderboard-means.csv`` and ``leaderboard-tests.csv``. Another task has a :class:`~tasks.Board` in a module
of its own in this folder; ``medsr leaderboard --task TASK`` writes ``leaderboard-TASK.csv`` and
``leaderboard-TASK.md``, which join the others on the same page of the site.

Nothing here needs TensorFlow: trained networks run in ONNX Runtime.
"""

from medsr_course.leaderboard.entries import DATA, NOISES, SCALES, Filter, Scan, group, scans, select, title
from medsr_course.leaderboard.measuring import choose, measure
from medsr_course.leaderboard.report import figure, overview, provenance, read, run, shown, table, text, write_rows
from medsr_course.leaderboard.statistics import gains, holm, interval, sign_flip, summary, tests
from medsr_course.leaderboard.tasks import Board

__all__ = [
    "Board",
    "DATA",
    "Filter",
    "NOISES",
    "SCALES",
    "Scan",
    "choose",
    "figure",
    "gains",
    "group",
    "holm",
    "interval",
    "measure",
    "overview",
    "provenance",
    "read",
    "run",
    "scans",
    "select",
    "shown",
    "sign_flip",
    "summary",
    "table",
    "tests",
    "text",
    "title",
    "write_rows",
]
