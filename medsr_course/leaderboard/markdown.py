"""Boards as Markdown: the page of any board, and that of super-resolution, which shows gains by groups of subjects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from medsr_course.leaderboard.methods import title
from medsr_course.leaderboard.scans import COHORT, CT, GROUPS, REPORT, VALIDATION
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
    over = {
        key: f"{heading.removesuffix(unit).strip()} over {titles.get(name, name)} {unit}".strip()
        for key, (name, _) in board.over.items()
    }
    metrics = {column: f"{name} {ARROWS[better]}" for column, (name, _, better) in board.metrics.items()}
    costs = {"parameters": ("parameters", ",.0f"), "seconds_per_megavoxel": ("s per Mvoxel", ".3f")}
    made = []
    for (data, *conditions), lines in means.items():
        known = {key: about for key, about in costs.items() if any(line[key] is not None for line in lines)}
        against = [name for title in over.values() for name in (title, "least")]
        columns = ["method", *metrics.values(), *against, *(name for name, _ in known.values())]
        cells = [
            [
                line["title"],
                *(number(line[column], about[1]) for column, about in board.metrics.items()),
                *(cell for key in over for cell in (shown(line[key], form), _least(line, key, form))),
                *(number(line[key], form_) for key, (_, form_) in known.items()),
            ]
            for line in lines
        ]
        people = max(line["subjects"] for line in lines)
        where = ": ".join([data, *filter(None, conditions)])
        made.append((f"{where} ({people} subject{'s' * (people > 1)})", columns, cells))
    return made


def _least(line: Row, key: str, form: str) -> str:
    return number(line[f"least_{key}"] if line[key] else None, f"+{form}")


def page(board: Board, means: dict[tuple, list[Row]], note: str) -> str:
    """Returns a board as a Markdown page."""
    lines = [f"# {board.title}", "", board.intro.strip(), "", note, ""]
    lines += ["↑: more is better, ↓: less is better. Means over subjects; in brackets the 95 % interval (Student's t)"]
    lines += ["of the paired difference over the cohort's subjects. Real scans are few, of many kinds: no interval."]
    for heading, columns, cells in tables(board, means):
        lines += ["", f"## {heading}", "", *table(columns, cells)]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- super-resolution


CELL = (  # what stands in a cell of the tables of gains
    "In a cell: the mean over subjects [95 % interval of the cohort, Student's t]; the least gain of a scan; the share "
    "of slices better than ZIP. ZIP shows its PSNR."
)


def gain_page(board: Board, rows: list[Row], means: list[Row], tested: list[Row], note: str) -> str:
    """Returns the page of super-resolution: by scale and kind of input means, real scans one by one; paired tests."""
    lines = [f"# {board.title}", "", note, "", board.intro, "", CELL]
    networks = {row["method"] for row in rows if row["parameters"]}
    for scale, setting, part in _parts(means):
        areas = {"": "full field", "_head": "inside the head"}
        lines += ["", f"## ×{scale}, {setting}"]
        for end, where in areas.items():
            lines += ["", f"**Gain over ZIP in PSNR (dB), {where}**", "", *table(*overview(part, f"gain{end}"))]
        if "noise" in setting:  # there, the full field is mostly about air, and ZIP alone a weak opponent
            learned = [m for m in part if m["method"] in networks and m["over_best"]]
            for end, where in reversed(areas.items()) if learned else ():
                lines += ["", f"**Networks over the best of ZIP and the filters (dB), {where}**", ""]
                lines += table(*overview(learned, f"over_best{end}"))
            continue
        kinds = [kind for kind in (REPORT, VALIDATION, COHORT, CT) if any(m["group"] == kind for m in part)]
        lines += ["", f"**Other measures: {kinds[0]}**", ""]
        lines += _details(board, [m for m in part if m["group"] == kinds[0]])
        real = [r for r in rows if (r["scale"], r["setting"]) == (scale, setting) and r["data"] != "cohort"]
        if any(row["method"] in networks for row in real):
            lines += ["", "**Real scans, one by one**", "", *_scans(board, real, networks)]
    if tested:
        lines += ["", "## Paired tests", "", *_tests(tested)]
    return "\n".join(lines) + "\n"


def gain_tables(means: list[Row]) -> list[Table]:
    """Returns the gain over ZIP as tables of text, one per scale and kind of input."""
    made = []
    for scale, setting, part in _parts(means):
        where, end = (", inside the head", "_head") if "noise" in setting else ("", "")
        made.append((f"×{scale}, {setting}: gain over ZIP in dB{where}. {CELL}", *overview(part, f"gain{end}")))
    return made


def _parts(means: list[Row]) -> Iterator[tuple[int, str, list[Row]]]:
    """Scale, kind of input, and the means of both."""
    for where in dict.fromkeys((m["scale"], m["setting"]) for m in means):
        yield *where, [m for m in means if (m["scale"], m["setting"]) == where]


def overview(means: list[Row], key: str) -> tuple[list[str], list[list[str]]]:
    """Returns columns, "method" and the groups, and a line for every method: its title, its ``means`` of ``key``."""
    groups = [kind for kind in GROUPS if any(m["group"] == kind for m in means)]
    found: dict[str, dict[str, Row]] = {}
    for m in means:
        found.setdefault(m["method"], {})[m["group"]] = m
    return ["method", *groups], [
        [next(iter(own.values()))["title"], *(_cell(own.get(k), key) for k in groups)] for own in found.values()
    ]


def _cell(m: Row | None, key: str) -> str:
    if m is None or m[key] is None:
        return "–"
    if m["method"] == "zip" and key.startswith("gain"):
        return f"({m['psnr_head' if key.endswith('head') else 'psnr']:.2f} dB)"
    share = "" if key.endswith("head") or m["better"] is None else f"; {m['better']:.0f} %"
    return f"{shown(m[key])}; {m[f'least_{key}']:+.2f}{share}"


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
    columns = ["network", "scale", "input", "against", "subjects", "mean gain (dB)", "p", "p, Holm", "smallest p"]
    cells = [
        [
            *(title(t["method"]), f"×{t['scale']}", t["setting"], t["reference"], t["subjects"]),
            *(f"{t['mean_gain']:+.2f}", f"{t['p']:.3g}", f"{t['p_holm']:.3g}", f"{t['smallest_p']:.3g}"),
        ]
        for t in tested
    ]
    return table(columns, cells)
