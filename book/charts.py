"""Figures of the website that are drawn from ``results/`` when it is built."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from medsr_course.runtime import CourseError

Point = tuple[float, float]  # seconds, dB
LEAST = -2.5  # dB: where the axis begins
SAME = (0.1, 0.05)  # decades, dB
NEAR = (0.7, 0.12)  # decades, dB: a name with another point so close on its right stands on the left


def gain_against_time(table: Path, target: Path) -> str:
    """Draw what methods gain on the real test scans against the time they take, into ``target``; returns Markdown.

    Nothing is drawn, and "" returned, where the ``table``, ``results/leaderboard.csv``, has no such scans.
    """
    from medsr_course.leaderboard import engine, methods, tables

    try:
        rows, _ = tables.read(table, engine.board("super-resolution"))
    except (CourseError, OSError):
        return ""
    rows = [row for row in rows if row["data"] == "real-scans" and row["split"] == "test" and row["contrast"] != "CT"]
    settings = [setting for setting in ("stored", "signed") if any(row["setting"] == setting for row in rows)]
    if not settings:
        return ""
    panels = {}
    for scale in sorted({row["scale"] for row in rows}):
        part = [row for row in rows if (row["scale"], row["setting"]) == (scale, settings[0])]
        panels[scale] = {name: _point(part, name) for name in methods.order() if any(r["method"] == name for r in part)}
    _draw(panels, target / "gain-seconds.svg")
    people = len({row["subject"] for row in rows})
    return (
        "![Gain over ZIP against seconds for a million voxels, every method](results/gain-seconds.svg)\n\n"
        f"*Input: {settings[0]}. Mean over {people} people, real MR test scans, full field. Time: the median for a "
        "million voxels of the result, on the machine of the tables below. Orange: networks. Methods more than "
        f"{-LEAST:g} dB below ZIP are left out.*"
    )


def _point(rows: list[dict], name: str) -> Point:
    """Seconds for a million voxels, the median; the gain over ZIP in dB, the mean over people."""
    zips = {(row["subject"], row["contrast"]): row["psnr"] for row in rows if row["method"] == "zip"}
    gains: dict[str, list[float]] = {}
    mine = [row for row in rows if row["method"] == name]
    for row in mine:
        gains.setdefault(row["subject"], []).append(row["psnr"] - zips[row["subject"], row["contrast"]])
    seconds = float(np.median([row["seconds_per_megavoxel"] for row in mine]))
    return seconds, float(np.mean([np.mean(values) for values in gains.values()]))


def _draw(panels: dict[int, dict[str, Point]], path: Path) -> None:
    import matplotlib

    from medsr_course.leaderboard import methods
    from medsr_course.teaching import figures

    with matplotlib.rc_context({"backend": "Agg", "svg.fonttype": "none", "svg.hashsalt": "medsr"}):
        fig, axes = figures.subplots(1, len(panels), size=(5 * len(panels), 3.8), sharey=True, squeeze=False)
        for ax, (scale, points) in zip(axes[0], panels.items(), strict=True):
            shown = {name: point for name, point in points.items() if point[1] >= LEAST}
            learned = set(methods.names(learned=True))
            for name, point in shown.items():
                ax.plot(*point, "o", ms=6, color=figures.ORANGE if name in learned else figures.BLUE)
            labels = _labels(shown)
            for point, names in labels.items():
                left = _crowded(point, labels)
                look = {"xytext": (-6 if left else 6, 0), "ha": "right" if left else "left", "va": "center"}
                text = ", ".join(methods.title(name).replace(f" ×{scale}", "") for name in names)
                ax.annotate(text, point, textcoords="offset points", fontsize=8, **look)
            ax.axhline(0, color=figures.GREY, lw=1, ls="--")
            times = [seconds for seconds, _ in shown.values()]
            ax.set(title=f"×{scale}", xlabel="seconds for a million voxels", xscale="log")
            ax.set_xlim(min(times) / 60, max(times) * 60)  # room for the names
        axes[0, 0].set_ylabel("gain over ZIP (dB)")
        fig.savefig(path, facecolor="white", metadata={"Date": None})
        matplotlib.pyplot.close(fig)


def _labels(points: dict[str, Point]) -> dict[Point, list[str]]:
    """Names by the place of their label: those of points that all but coincide share one."""
    made: dict[Point, list[str]] = {}
    for name, point in sorted(points.items(), key=lambda item: item[1]):
        same = (at for at in made if np.log10(point[0] / at[0]) < SAME[0] and abs(at[1] - point[1]) < SAME[1])
        made.setdefault(next(same, point), []).append(name)
    return made


def _crowded(point: Point, others: Iterable[Point]) -> bool:
    ahead = (np.log10(other[0] / point[0]) for other in others if abs(other[1] - point[1]) < NEAR[1])
    return any(0 < decades < NEAR[0] for decades in ahead)
