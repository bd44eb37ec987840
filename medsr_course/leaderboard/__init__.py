"""Every method on the same scans: rows of scores, their means over subjects, paired tests, tables and a figure.

A task has a board, a :class:`~board.Board` in a module of :mod:`~leaderboard.boards`. ``medsr leaderboard`` calls
:func:`engine.run` for one of them. What that writes into ``results/`` the site shows and never computes again:
``leaderboard-TASK.csv``, a row per method and scan, and ``leaderboard-TASK.md``, the means. Super-resolution, the board
that is measured when no task is named, writes ``leaderboard.csv`` and ``leaderboard.md``, and besides
``leaderboard-means.csv``, ``leaderboard-tests.csv`` and ``leaderboard.png``.

Nothing here needs TensorFlow: trained networks run in ONNX Runtime.
"""
