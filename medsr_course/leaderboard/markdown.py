"""Boards as Markdown: the page of any board, and that of super-resolution, which shows gains by groups of subjects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from medsr_course.leaderboard.methods import title
from medsr_course.leaderboard.scans import COHORT, GROUPS, REPORT, VALIDATION
from medsr_course.leaderboard.statistics import Interval

if TYPE_CHECKING:
    from medsr_course.leaderboard.board import Board, Row

Table = tuple[str, list[str], list[list[str]]]  # heading, columns, cells
ARROWS = {"up": "↑", "down": "↓"}


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Returns the lines of a Markdown table; cells that are no text are shown by ``str``."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]


def number(value: float | None, form: str) -> str:
    """Returns a number in a format, or a dash for None."""
    return "–" if value is None else f"{value:{form}}"


def shown(value: Interval | None, form: str = ".2f") -> str:
    """Returns a mean with its interval: ``+0.52 [+0.31, +0.70]``; a mean alone, or a dash, where there is no more."""
    if value is None:
        return "–"
    mean, low, high = value
    return f"{mean:+{form}}" + (f" [{low:+{form}}, {high:+{form}}]" if low is not None else "")


# ---------------------------------------------------------------- any board


def tables(board: Board, means: dict[tuple, list[Row]]) -> list[Table]:
    """Returns :func:`statistics.means` as tables of text, one per group and condition."""
    heading, form, _ = next(iter(board.metrics.values()))
    titles = {line["method"]: line["title"] for lines in means.values() for line in lines}
    unit = heading[heading.find("(") :] if "(" in heading else ""
    against = f"{heading.removesuffix(unit).strip()} over {titles[board.reference]} {unit}".strip()
    metrics = {column: f"{name} {ARROWS[better]}" for column, (name, _, better) in board.metrics.items()}
    costs = {"parameters": ("parameters", ",.0f"), "seconds_per_megavoxel": ("s per Mvoxel", ".3f")}
    made = []
    for (data, *conditions), lines in means.items():
        known = {key: about for key, about in costs.items() if any(line[key] is not None for line in lines)}
        columns = ["method", *metrics.values(), against, *(name for name, _ in known.values())]
        cells = [
            [
                line["title"],
                *(number(line[column], about[1]) for column, about in board.metrics.items()),
                shown(line["difference"], form),
                *(number(line[key], form_) for key, (_, form_) in known.items()),
            ]
            for line in lines
        ]
        people = max(line["subjects"] for line in lines)
        where = ": ".join([data, *filter(None, conditions)])
        made.append((f"{where} ({people} subject{'s' * (people > 1)})", columns, cells))
    return made


def page(board: Board, means: dict[tuple, list[Row]], note: str) -> str:
    """Returns a board as a Markdown page."""
    lines = [f"# {board.title}", "", board.intro.strip(), "", note, ""]
    lines += ["↑: more is better, ↓: less is better. Means over subjects; in brackets the 95 % bootstrap interval over"]
    lines += ["subjects of the paired difference, where there are three or more."]
    for heading, columns, cells in tables(board, means):
        lines += ["", f"## {heading}", "", *table(columns, cells)]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- super-resolution


def gain_page(board: Board, rows: list[Row], means: list[Row], tested: list[Row], note: str) -> str:
    """Returns the page of super-resolution: means and intervals, real scans one by one, noise, paired tests."""
    lines = [f"# {board.title}", "", note, "", board.intro]
    networks = {row["method"] for row in rows if row["parameters"]}
    for scale in sorted({row["scale"] for row in rows}):
        clean = [m for m in means if m["scale"] == scale and m["noise"] == 0]
        lines += ["", f"## ×{scale}: gain over ZIP in PSNR (dB)", "", *_overview(clean, "gain"), ""]
        lines += [f"**Inside the head, ×{scale}**", "", *_overview(clean, "gain_head"), ""]
        kinds = [kind for kind in (REPORT, VALIDATION, COHORT) if any(m["group"] == kind for m in clean)]
        for kind in kinds[:1]:
            lines += [f"**Other measures, ×{scale}: {kind}**", ""]
            lines += _details(board, [m for m in clean if m["group"] == kind])
        real = [r for r in rows if r["scale"] == scale and r["noise"] == 0 and r["data"] != "cohort"]
        if any(row["method"] in networks for row in real):
            lines += ["", f"## ×{scale}: real scans, one by one", "", *_scans(board, real, networks)]
    noisy = [m for m in means if m["noise"]]
    areas = {"_head": "inside the head", "": "full field"}
    if noisy:
        lines += ["", "## ×2 with noise", ""]
        for end, where in areas.items():
            lines += [f"**Gain over ZIP in PSNR (dB), {where}**", "", *_overview(noisy, f"gain{end}"), ""]
        for key, rivals in (("over_best", "the plain filters"), ("over_strict", "all filters, the Rician one too")):
            learned = [m for m in noisy if m["method"] in networks and m[key]]
            for end, where in areas.items() if learned else ():
                lines += [f"**Networks over the best of ZIP and {rivals}, {where}**", ""]
                lines += [*_overview(learned, f"{key}{end}", least=f"least_{key}{end}"), ""]
    if tested:
        lines += ["", "## Paired tests", "", *_tests(tested)]
    return "\n".join(lines) + "\n"


def gain_tables(means: list[Row]) -> list[Table]:
    """Returns the gain over ZIP as tables of text, one per scale and one with noise."""
    made = []
    for where in dict.fromkeys("×2 with noise" if m["noise"] else f"×{m['scale']}" for m in means):
        noisy = where.endswith("noise")
        part = [m for m in means if bool(m["noise"]) == noisy and (noisy or f"×{m['scale']}" == where)]
        groups, lines = overview(part, "gain")
        cells = [[m["title"] + (f", {m['noise']} %" if noisy else ""), *values] for m, values in lines]
        made.append((f"{where}: gain over ZIP in dB [95 % interval over subjects]", ["method", *groups], cells))
    return made


def overview(means: list[Row], key: str) -> tuple[list[str], list[tuple[Row, list[str]]]]:
    """Returns the groups, and of every noise level and method one of its ``means`` with a column's values by group.

    ZIP, from which gains are counted, shows its PSNR.
    """
    groups = [kind for kind in GROUPS if any(m["group"] == kind for m in means)]
    found: dict[tuple, dict[str, Row]] = {}
    for m in means:
        found.setdefault((m["noise"], m["method"]), {})[m["group"]] = m
    return groups, [(next(iter(own.values())), [_cell(own.get(k), key) for k in groups]) for own in found.values()]


def _cell(m: Row | None, key: str) -> str:
    if m and m["method"] == "zip" and key.startswith("gain"):
        return f"({m['psnr_head' if key.endswith('head') else 'psnr']:.2f} dB)"
    return shown(m[key] if m else None)


def _overview(means: list[Row], key: str, least: str = "") -> list[str]:
    groups, lines = overview(means, key)
    noisy = any(m["noise"] for m in means)
    columns = ["method", *(["noise"] if noisy else []), *groups, *(["least of all scans"] if least else [])]
    cells = []
    for m, values in lines:
        alike = [n[least] for n in means if least and (n["noise"], n["method"]) == (m["noise"], m["method"])]
        end = [f"{min(alike):+.2f}"] if least else []
        cells.append([m["title"], *([f"{m['noise']} %"] if noisy else []), *values, *end])
    return table(columns, cells)


def _scans(board: Board, rows: list[Row], networks: set[str]) -> list[str]:
    """Real scans by trained networks: gain over ZIP, full field and inside the head."""
    by: dict[tuple, dict[str, Row]] = {}
    for r in rows:
        by.setdefault((f"{r['subject']} {r['contrast']}", board.group(r)), {})[r["method"]] = r
    columns = {r["method"]: title(r["method"]) for r in rows if r["method"] in networks}
    cells = []
    for where, own in by.items():
        base = own["zip"]
        gains = [[own[name][key] - base[key] for key in ("psnr", "psnr_head")] for name in columns]
        cells.append([*where, f"{base['psnr']:.2f}", *(f"{full:+.2f} / {head:+.2f}" for full, head in gains)])
    caption = ["Gain over ZIP in dB: full field / inside the head.", ""]
    return caption + table(["scan", "group", "PSNR of ZIP", *columns.values()], cells)


def _details(board: Board, means: list[Row]) -> list[str]:
    forms = {column: (heading, form) for column, (heading, form, _) in board.metrics.items()}
    forms |= {"least_gain": ("least gain", "+.2f"), "seconds_per_megavoxel": ("s per Mvoxel", ".3f")}
    cells = [
        [m["title"], *(number(m[key], form) for key, (_, form) in forms.items()), number(m["parameters"] or None, ",")]
        for m in means
    ]
    return table(["method", *(heading for heading, _ in forms.values()), "parameters"], cells)


def _tests(tested: list[Row]) -> list[str]:
    columns = ["network", "scale", "noise", "against", "subjects", "mean gain (dB)", "p", "p, Holm", "smallest p"]
    cells = [
        [
            *(title(t["method"]), f"×{t['scale']}", f"{t['noise']} %", t["reference"], t["subjects"]),
            *(f"{t['mean_gain']:+.2f}", f"{t['p']:.3g}", f"{t['p_holm']:.3g}", f"{t['smallest_p']:.3g}"),
        ]
        for t in tested
    ]
    return table(columns, cells)
