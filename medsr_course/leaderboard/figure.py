"""The figure of a board: the gain of every method, by group of subjects."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import statistics
from medsr_course.leaderboard.methods import order, title
from medsr_course.leaderboard.scans import CT, GROUPS
from medsr_course.teaching import figures

if TYPE_CHECKING:
    from medsr_course.leaderboard.board import Board, Row

COLOURS = dict(zip(GROUPS, (figures.BLUE, figures.GREEN, figures.ORANGE, figures.GREY), strict=True))
SHOWN_FROM = -4.0  # dB: the left end of the axes


def figure(board: Board, rows: list[Row], path: Path) -> None:
    """Draw the gain over ZIP of every method on MR: means over subjects, intervals of the cohort, subjects as dots.

    A panel for each scale and kind of input; full field without added noise, inside the head with it. What
    lies below :data:`SHOWN_FROM` is a triangle at the edge. CT, a single phantom, is in the tables alone.
    """
    import matplotlib

    full, head = (statistics.differences(board, rows, ("zip",), key).items() for key in ("psnr", "psnr_head"))
    found = {where: people for where, people in full if "noise" not in where[2]}
    found |= {where: people for where, people in head if "noise" in where[2]}  # there, the field is mostly about air
    panels = list(dict.fromkeys((scale, setting) for _, scale, setting, _ in found))
    groups = [kind for kind in GROUPS if any(where[0] == kind for where in found) and kind != CT]
    methods = {}
    for panel in panels:
        present = {m for _, *place, m in found if tuple(place) == panel and m != "zip"}
        methods[panel] = [name for name in order() if name in present]
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    tall = [max(len(methods[p]) for p in panels[k : k + columns]) for k in range(0, len(panels), columns)]
    with matplotlib.rc_context({"backend": "Agg"}):
        size, ratios = (4.9 * columns, 1.1 * lines + 0.3 * sum(tall)), [0.6 + 0.3 * n for n in tall]
        fig, axes = figures.subplots(lines, columns, size=size, squeeze=False, height_ratios=ratios)
        for ax in axes.flat[len(panels) :]:
            ax.axis("off")
        for ax, panel in zip(axes.flat, panels, strict=False):
            _panel(ax, panel, methods[panel], groups, found)
        line = partial(matplotlib.lines.Line2D, [], [], marker="o", ms=5, lw=2)
        handles = [line(color=COLOURS[kind], label=kind) for kind in groups]
        fig.legend(handles=handles, loc="outside lower center", ncols=len(groups), frameon=False)
        with runtime.atomic_write(path) as part:
            fig.savefig(part, format="png", dpi=120, facecolor="white", metadata={"Software": None})
        matplotlib.pyplot.close(fig)


def _panel(ax: Any, panel: tuple, names: list[str], groups: list[str], found: statistics.Differences) -> None:
    scale, setting = panel
    for k, kind in enumerate(groups):
        offset = (k - (len(groups) - 1) / 2) * 0.7 / len(groups)
        for y, name in enumerate(names):
            people = [float(np.mean(own)) for own in found.get((kind, scale, setting, name), {}).values()]
            if not people:
                continue
            mean, low, high = statistics.interval(people, kind) or (0, None, None)
            style = {"color": COLOURS[kind], "clip_on": mean >= SHOWN_FROM}
            if mean < SHOWN_FROM:
                ax.plot(SHOWN_FROM, y + offset, "<", ms=6, **style)
                continue
            ax.plot(people, np.full(len(people), y + offset), ".", ms=4, alpha=0.4, mec="none", **style)
            if low is not None:
                ax.plot([low, high], [y + offset] * 2, lw=2, **style)
            ax.plot(mean, y + offset, "o", ms=5, **style)
    ax.axvline(0, color="black", lw=0.8)
    for y in range(1, len(names)):
        ax.axhline(y - 0.5, color="0.92", lw=0.8, zorder=0)
    ax.set_yticks(range(len(names)), [title(name) for name in names])
    where = ", inside the head (dB)" if "noise" in setting else " (dB)"
    ax.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"gain over ZIP in PSNR{where}")
    low, high = ax.get_xlim()
    ax.set_xlim(max(low, SHOWN_FROM), max(high, 0.1))
    ax.set_title(f"×{scale}, {setting}")
