"""What the leaderboard writes: tables, a text, a figure; each whole or not at all."""

import csv
from pathlib import Path

import numpy as np

from medsr_course import resources, runtime
from medsr_course.leaderboard import entries, measuring, statistics
from medsr_course.leaderboard.entries import COHORT, CT, GROUPS, REPORT, SCALES, VALIDATION
from medsr_course.runtime import CourseError
from medsr_course.teaching import figures

_GAINS = [f"{name}{end}" for name in statistics.OVER for end in ("", "_head")]
MEAN_COLUMNS = (
    *("group", "scale", "noise", "method", "subjects", "scans", *statistics.NUMBERS, "parameters"),
    *(column for gain in _GAINS for column in (gain, f"{gain}_low", f"{gain}_high", f"least_{gain}")),
)
TEST_COLUMNS = (
    *("group", "scale", "noise", "method", "reference", "subjects", "mean_gain"),
    *("p", "p_holm", "smallest_p"),
)
COLOURS = dict(zip(GROUPS, (figures.BLUE, figures.GREEN, figures.ORANGE, figures.GREY), strict=True))
SHOWN_FROM = -4.0  # dB: the left end of the figure's axes


def run(output=None, *, scales=SCALES, data="all", names=None, seed=0, subjects=24, fresh=False, made=print):
    """Measure, and write the leaderboard's files.

    Parameters
    ----------
    output : path, optional
        Folder; by default ``results`` of the course for a whole leaderboard, ``out/leaderboard`` for a part of one.
    scales, data, names, seed, subjects
        See :func:`entries.scans` and :func:`entries.select`.
    fresh : bool
        See :func:`measuring.measure`.
    made : callable
        Gets a line on what is measured, before it is.

    Returns
    -------
    rows : list of dict
    folder : Path

    Raises
    ------
    CourseError
        Unknown method or data, no scans, a folder that cannot be written: before anything is measured.
    """
    part = bool(names) or data != "all" or tuple(scales) != SCALES
    names = entries.select(names, scales)
    root = resources.checkout() or Path.cwd()
    folder = writable(output or root / ("out/leaderboard" if part else "results"))
    measured, tuning = entries.scans(data, seed=seed, subjects=subjects)
    note = _what(measured, data, seed, subjects)
    made(note)
    rows = measuring.measure(measured, tuning, names, scales, fresh)
    note = f"Measured by `medsr leaderboard`: {provenance()}. {note}"
    tested = statistics.tests(rows)
    figure(rows, folder / "leaderboard.png")
    write_rows(folder / "leaderboard.csv", rows, measuring.COLUMNS, note)
    write_rows(folder / "leaderboard-means.csv", map(_flat, statistics.summary(rows)), MEAN_COLUMNS, note)
    write_rows(folder / "leaderboard-tests.csv", tested, TEST_COLUMNS, note)
    write_text(folder / "leaderboard.md", text(rows, tested, note))
    return rows, folder


def writable(folder):
    """Make a folder that files can be written into; a :class:`CourseError` where none can be."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "leaderboard.tmp", "")
        (folder / "leaderboard.tmp").unlink()
    except OSError as error:
        raise CourseError(f"cannot write into {folder} ({error.strerror}): choose another --output") from None
    return folder


def _flat(line):
    """A line of :func:`statistics.summary` with intervals as three columns."""
    flat = dict(line)
    for key in _GAINS:
        values = ["" if v is None else float(v) for v in line[key] or (None, None, None)]
        flat |= dict(zip((key, f"{key}_low", f"{key}_high"), values, strict=True))
    return flat


def _what(measured, data, seed, subjects):
    """What is measured, in words: how many people of which kind, and what is missing."""
    from medsr_course.scans import phantom

    people = {kind: dict.fromkeys(s.subject for s in measured if s.group == kind) for kind in GROUPS}
    said = []
    if people[COHORT]:
        count, contrasts = len(people[COHORT]), dict.fromkeys(s.contrast for s in measured if s.group == COHORT)
        said.append(
            f"{count} test subject{'s' * (count > 1)} of the synthetic cohort (generator version {phantom.VERSION}, "
            f"seed {seed}, {subjects} made) in {', '.join(contrasts)}"
        )
    said += [f"{kind}: {', '.join(people[kind])}" for kind in GROUPS[1:] if people[kind]]
    absent = data == "all" and not any(people[kind] for kind in GROUPS[1:])
    said += ["no real scans are here, so that this is the cohort alone"] if absent else []
    return "; ".join(said) + "."


def provenance():
    """Machine, commit and day, in a line."""
    where = resources.provenance()
    commit = f"commit {where['commit']}{' with changes' * where['changed']}; " if where["commit"] else ""
    machine = "{system} {machine}, {cores} cores, Python {python}".format(**where)
    return f"{machine}; {commit}{where['date']}"


def write_rows(path, rows, columns, note=""):
    """Write a table whole or not at all; ``note`` becomes a first line that starts with ``#``."""
    lines = [f"# {note}\n"] if note else []
    with runtime.atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.writelines(lines)
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: _shown(k, v) for k, v in row.items()} for row in rows)


def _shown(key, value):
    if not isinstance(value, float):
        return value
    decibel = key.startswith(("psnr", "gain", "over", "least", "mean_gain"))
    return f"{value:.3f}" if decibel else f"{value:.4g}"


def read(path):
    """Rows of ``leaderboard.csv``, numbers as numbers, and its first line.

    Returns
    -------
    rows : list of dict
    note : str
    """
    text = Path(path).read_text(encoding="utf-8").splitlines()
    note = text[0].lstrip("# ") if text and text[0].startswith("#") else ""
    rows = list(csv.DictReader(line for line in text if not line.startswith("#")))
    for row in rows:
        row |= {key: float(row[key]) for key in statistics.NUMBERS} | {k: int(row[k]) for k in ("scale", "noise")}
        row["parameters"] = int(row["parameters"] or 0)
    return rows, note


def write_text(path, text):
    """Write a text whole or not at all."""
    with runtime.atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------- text


def text(rows, tested, note):
    """The leaderboard as Markdown: means and intervals, real scans one by one, noise, paired tests."""
    means = statistics.summary(rows)
    lines = ["# Super-resolution", "", note, ""]
    lines += ["![Gain over zero-filling by method, with 95 % intervals](leaderboard.png)"]
    for scale in sorted({row["scale"] for row in rows}):
        clean = [m for m in means if m["scale"] == scale and m["noise"] == 0]
        lines += ["", f"## ×{scale}: gain over ZIP in PSNR (dB)", "", *_overview(clean, "gain"), ""]
        lines += [f"**Inside the head, ×{scale}**", "", *_overview(clean, "gain_head"), ""]
        kinds = [kind for kind in (COHORT, VALIDATION, REPORT) if any(m["group"] == kind for m in clean)]
        if kinds:
            lines += [f"**Other measures, ×{scale}: {kinds[-1]}**", ""]
            lines += _details([m for m in clean if m["group"] == kinds[-1]])
        one_by_one = _scans(rows, scale)
        if one_by_one:
            lines += ["", f"## ×{scale}: real scans, one by one", "", *one_by_one]
    noisy = [m for m in means if m["noise"]]
    if noisy:
        lines += ["", "## ×2 with noise", ""]
        for end, where in (("_head", "inside the head"), ("", "full field")):
            lines += [f"**Gain over ZIP in PSNR (dB), {where}**", "", *_overview(noisy, f"gain{end}"), ""]
        for key, rivals in (("over_best", "the plain filters"), ("over_strict", "all filters, the Rician one too")):
            learned = [m for m in noisy if statistics.learned(m["method"]) and m[key]]
            for end, where in (("_head", "inside the head"), ("", "full field")) if learned else ():
                lines += [f"**Networks over the best of ZIP and {rivals}, {where}**", ""]
                lines += [*_overview(learned, f"{key}{end}", least=f"least_{key}{end}"), ""]
    unseen = [t for t in tested if t["group"] == statistics.UNSEEN]
    if unseen:
        lines += ["", "## Paired tests", "", *_tests(unseen)]
    return "\n".join(lines) + "\n"


def table(columns, rows):
    """Lines of a Markdown table; cells that are no text are shown by ``str``."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]


def shown(value, form=".2f"):
    """A mean with its interval: ``+0.52 [+0.31, +0.70]``; a mean alone, or a dash, where there is no more."""
    if value is None:
        return "–"
    mean, low, high = value
    return f"{mean:+{form}}" + (f" [{low:+{form}}, {high:+{form}}]" if low is not None else "")


def overview(means, key="gain"):
    """Methods by groups.

    Parameters
    ----------
    means : list of dict
        Of :func:`statistics.summary`, of one scale.
    key : str
        ``"gain"``, ``"gain_head"`` or ``"over_best"``.

    Returns
    -------
    groups : list of str
    lines : list of (dict, list of str)
        A method's first entry of ``means``, and its values by group; one line per noise level and method. ZIP, from
        which gains are counted, shows its PSNR.
    """
    groups = [kind for kind in GROUPS if any(m["group"] == kind for m in means)]
    found = {}
    for m in means:
        found.setdefault((m["noise"], m["method"]), {})[m["group"]] = m
    place = {name: k for k, name in enumerate(entries.order())}
    lines = []
    for (_, _), own in sorted(found.items(), key=lambda item: (item[0][0], place.get(item[0][1], 99))):
        lines.append((next(iter(own.values())), [_cell(own.get(k), key) for k in groups]))
    return groups, lines


def _cell(m, key):
    if m and m["method"] == "zip" and key.startswith("gain"):
        return f"({m['psnr_head' if key.endswith('head') else 'psnr']:.2f} dB)"
    return shown(m and m[key])


def _overview(means, key, *, least=None):
    groups, lines = overview(means, key)
    noisy = any(m["noise"] for m in means)
    columns = ["method", *(["noise"] if noisy else []), *groups]
    columns += ["least of all scans"] if least else []
    cells = []
    for m, values in lines:
        row = [m["title"], *([f"{m['noise']} %"] if noisy else []), *values]
        if least:
            alike = [n for n in means if (n["noise"], n["method"]) == (m["noise"], m["method"])]
            row.append(f"{min(n[least] for n in alike):+.2f}")
        cells.append(row)
    return table(columns, cells)


def _scans(rows, scale):
    """Real scans by trained networks: gain over ZIP, full field and inside the head."""
    chosen = [r for r in rows if r["scale"] == scale and r["noise"] == 0 and r["data"] != "cohort"]
    networks = list(dict.fromkeys(r["method"] for r in chosen if statistics.learned(r["method"])))
    by = {}
    for r in chosen:
        kind = entries.group(r["data"], r["split"], r["contrast"])
        by.setdefault((kind, r["subject"], r["contrast"]), {})[r["method"]] = r
    if not by or not networks:
        return []
    cells = []
    for (kind, subject, contrast), own in by.items():
        cell = [f"{subject} {contrast}", kind, f"{own['zip']['psnr']:.2f}"]
        for name in networks:
            full, head = (own[name][k] - own["zip"][k] for k in ("psnr", "psnr_head"))
            cell.append(f"{full:+.2f} / {head:+.2f}")
        cells.append(cell)
    titles = [entries.title(name) for name in networks]
    caption = ["Gain over ZIP in dB: full field / inside the head.", ""]
    return caption + table(["scan", "group", "PSNR of ZIP", *titles], cells)


def _tests(tested):
    columns = ["network", "scale", "noise", "against", "subjects", "mean gain (dB)", "p", "p, Holm", "smallest p"]
    return table(
        columns,
        [
            [
                *(entries.title(t["method"]), f"×{t['scale']}", f"{t['noise']} %", t["reference"], t["subjects"]),
                *(f"{t['mean_gain']:+.2f}", f"{t['p']:.3g}", f"{t['p_holm']:.3g}", f"{t['smallest_p']:.3g}"),
            ]
            for t in tested
        ],
    )


def _details(means):
    columns = ["method", "PSNR", "in head", "SSIM", "HFEN", "low band", "least gain", "s per Mvoxel", "parameters"]
    return table(
        columns,
        [
            [
                *(m["title"], f"{m['psnr']:.2f}", f"{m['psnr_head']:.2f}", f"{m['ssim']:.4f}", f"{m['hfen']:.3f}"),
                *(f"{m['low_band']:.4f}", "–" if m["least_gain"] is None else f"{m['least_gain']:+.2f}"),
                *(f"{m['seconds_per_megavoxel']:.3f}", f"{m['parameters']:,}" if m["parameters"] else "–"),
            ]
            for m in sorted(means, key=lambda m: entries.order().index(m["method"]))
        ],
    )


# ---------------------------------------------------------------- figure


def figure(rows, path):
    """Draw the gain over ZIP of every method on MR: means over subjects, 95 % bootstrap intervals, subjects as dots.

    Full field without added noise, inside the head with it. What lies below :data:`SHOWN_FROM` is a triangle at the
    edge. CT, a single phantom, is in the tables alone.
    """
    import matplotlib

    found = {where: people for where, people in statistics.gains(rows).items() if where[2] == 0}
    head = statistics.gains(rows, key="psnr_head").items()  # with noise, the full field is mostly about air
    found |= {where: people for where, people in head if where[2]}
    panels = sorted({(scale, noise) for _, scale, noise, _ in found}, key=lambda p: (p[1], p[0]))
    groups = [kind for kind in GROUPS if any(where[0] == kind for where in found) and kind != CT]
    methods = {}
    for scale, noise in panels:
        present = {m for _, s, n, m in found if (s, n) == (scale, noise) and m != "zip"}
        methods[scale, noise] = [name for name in entries.order() if name in present]
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    tall = [max(len(methods[p]) for p in panels[k : k + columns]) for k in range(0, len(panels), columns)]
    with matplotlib.rc_context({"backend": "Agg"}):
        fig, axes = figures.subplots(
            lines,
            columns,
            size=(4.9 * columns, 1.1 * lines + 0.3 * sum(tall)),
            squeeze=False,
            height_ratios=[0.6 + 0.3 * n for n in tall],
        )
        for ax in axes.flat[len(panels) :]:
            ax.axis("off")
        for ax, panel in zip(axes.flat, panels, strict=False):
            _panel(ax, panel, methods[panel], groups, found)
        handles = [
            matplotlib.lines.Line2D([], [], color=COLOURS[kind], marker="o", ms=5, lw=2, label=kind) for kind in groups
        ]
        fig.legend(handles=handles, loc="outside lower center", ncols=len(groups), frameon=False)
        with runtime.atomic_write(path) as part:
            fig.savefig(part, format="png", dpi=120, facecolor="white", metadata={"Software": None})
        matplotlib.pyplot.close(fig)


def _panel(ax, panel, names, groups, found):
    scale, noise = panel
    for k, kind in enumerate(groups):
        offset = (k - (len(groups) - 1) / 2) * 0.7 / len(groups)
        for y, name in enumerate(names):
            people = [np.mean(own) for own in found.get((kind, scale, noise, name), {}).values()]
            if not people:
                continue
            mean, low, high = statistics.interval(people)
            style = {"color": COLOURS[kind], "clip_on": True}
            if mean < SHOWN_FROM:
                ax.plot(SHOWN_FROM, y + offset, "<", ms=6, clip_on=False, color=COLOURS[kind])
                continue
            ax.plot(people, np.full(len(people), y + offset), ".", ms=4, alpha=0.4, mec="none", **style)
            if low is not None:
                ax.plot([low, high], [y + offset] * 2, lw=2, **style)
            ax.plot(mean, y + offset, "o", ms=5, **style)
    ax.axvline(0, color="black", lw=0.8)
    for y in range(1, len(names)):
        ax.axhline(y - 0.5, color="0.92", lw=0.8, zorder=0)
    ax.set_yticks(range(len(names)), [entries.title(name) for name in names])
    ax.set(
        ylim=(len(names) - 0.4, -0.6), xlabel="gain over ZIP in PSNR" + (", inside the head (dB)" if noise else " (dB)")
    )
    low, high = ax.get_xlim()
    ax.set_xlim(max(low, SHOWN_FROM), max(high, 0.1))
    ax.set_title(f"×{scale}" + (f", {noise} % noise" if noise else ", no noise added"))
