"""The report on a result: one HTML file that needs nothing else, and a page over many scans, worst first.

Nothing in it names a person, a date or a place on a disk, unless identifiers are asked for.
"""

import base64
import html as markup
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course import runtime
from medsr_course.networks.pretrained import sensitivity
from medsr_course.physics import coils, grid, interpolation, metrics
from medsr_course.pipeline.enhancing import Result
from medsr_course.scans import volumes
from medsr_course.tasks.audit import TRUTH
from medsr_course.teaching import figures, viewers
from medsr_course.types import Array, Image, PathLike, Stack

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = (0.5, 0.38, 0.62)  # slices, in parts of the stack
MOST_PIXELS = 300_000  # of a slice: of larger ones, one is shown, and no more of it than its middle
FAR = 5.0  # times the median deviation: a scan to look at first
ORDER = ("failed", "refused", "caution", "in domain")  # worst first
FAITHFUL = 0.7  # AUC from which on a map would be worth trusting a little


class _Shown:
    """A few slices of input, ZIP and result, (n, h, w) each, in one plane."""

    def __init__(self, result: Result) -> None:
        plan = result.plan
        self.through = plan.options.axes == "through-plane" and plan.options.task in ("super-resolution", "thin-slices")
        across, rows, columns = plan.order
        self.axes = (columns, across, rows) if self.through else (across, rows, columns)
        size = result.image.shape[self.axes[0]]
        few = np.prod([result.image.shape[axis] for axis in self.axes[1:]]) > MOST_PIXELS
        self.index = [min(int(part * size), size - 1) for part in SHOWN[: 1 if few or size < 3 else None]]
        self.labels = None if result.labels is None else self._stack(result.labels)
        self.fine, self.plain, self.given = (self._stack(x) for x in (result.image, result.zip, result.source))
        self.finer = self.fine.shape[1] // self.given.shape[1], self.fine.shape[2] // self.given.shape[2]
        # In-plane, on the finer grid, and not blank: what the course's measures are about
        measured = self.finer[0] == self.finer[1] and not self.through and self.given.any()
        self.scale = self.finer[0] if measured else 1
        self.pixel = float(volumes.voxel_sizes(result.image)[self.axes[1]])
        offset, unit = grid.intensity(self.given)
        self.signed, self.unit = offset != 0, unit or 1.0
        self.affine = np.asarray(result.image.affine)

    def _stack(self, image: Image) -> Stack:
        normal, rows, columns = self.axes
        slices = []
        for k in self.index:
            key = tuple(k if axis == normal else slice(None) for axis in range(3))
            one = np.asarray(image.dataobj[key], np.float32)
            slices.append(one if rows < columns else one.T)
        return np.stack(slices)

    def upright(self, image: Array) -> Array:
        """A slice as it is drawn: up and right are the body's, as far as they lie in the slice."""
        rows, columns = self.affine[:3, self.axes[1]], self.affine[:3, self.axes[2]]
        image = image if rows[np.argmax(np.abs(rows))] > 0 else image[::-1]
        image = image if columns[np.argmax(np.abs(columns))] > 0 else image[:, ::-1]
        image = image if np.argmax(np.abs(rows)) > np.argmax(np.abs(columns)) else image.T
        side = int(MOST_PIXELS**0.5)
        cut = [max(0, (n - side) // 2) if image.size > MOST_PIXELS else 0 for n in image.shape]
        return image[cut[0] : image.shape[0] - cut[0], cut[1] : image.shape[1] - cut[1]]


def numbers(result: Result) -> dict[str, float]:
    """Returns what the report measures, for tables: ``added`` and ``beyond``, ``consistency`` and ``truth``, in %.

    ``added`` is the root mean square of result − ZIP in parts of the result's. In-plane super-resolution has also
    ``beyond``, the part of the result's energy (its mean apart) beyond the measured band. Of magnitudes there are
    ``consistency``, how far the result cropped in k-space is from the scan, and ``truth``, how far it would be if the
    result were the truth and the scan its stored magnitude.
    """
    return _numbers(_Shown(result))


def _numbers(shown: _Shown) -> dict[str, float]:
    size = float(np.linalg.norm(shown.fine)) or 1.0
    found = {"added": 100 * float(np.linalg.norm(shown.fine - shown.plain)) / size}
    if shown.scale == 1:
        return found
    power = np.abs(np.fft.fft2(shown.fine)) ** 2
    power[:, 0, 0] = 0
    frequency = [np.abs(np.fft.fftfreq(n)) for n in shown.fine.shape[1:]]
    beyond = np.maximum(frequency[0][:, None], frequency[1]) > 0.5 / shown.scale * 1.02
    found["beyond"] = 100 * float(power[:, beyond].sum() / (power.sum() or 1.0))
    if shown.signed:  # no magnitude: the truth would differ by nothing but noise, and there is no scale to show
        return found
    stored = coils.stored(shown.fine, shown.scale, "report")
    return found | {
        "consistency": 100 * metrics.low_band_residual(shown.given, shown.fine, shown.scale),
        "truth": 100 * metrics.low_band_residual(stored, shown.fine, shown.scale),
    }


def html(result: Result, *, with_identifiers: bool = False) -> str:
    """Returns the report on a result: a page that opens anywhere, without a network.

    Parameters
    ----------
    result : enhancing.Result
    with_identifiers : bool
        Name the scan's file and what its header says of it.
    """
    shown = _Shown(result)
    found = _numbers(shown)
    parts = [
        _verdict(result, found),
        _section("Before and after", _before_and_after(result, shown)),
        _section("What was added", _added(shown, found)) if result.labels is None else "",
    ]
    if shown.scale > 1:
        parts += [
            "" if shown.signed else _section("Does it still agree with what was measured?", _consistency(found)),
            _section("Spectrum", _spectrum(shown, found)),
            _section("Sensitivity map", _sensitivity(shown)),
        ]
    parts.append(_section("What may be invented", _invented(result, shown)))
    parts.append(_section("For the paper", _provenance(result)))
    if with_identifiers:
        parts.append(_section("The scan", _table({"file": Path(result.source.get_filename() or "–").name,
                                                  "header": _description(result.source)})))  # fmt: skip
    return _page("Report on an enhanced scan", "\n".join(parts))


def write(result: Result, path: PathLike, *, with_identifiers: bool = False) -> Path:
    """Writes :func:`html`, whole or not at all; returns ``path``."""
    return runtime.write_text(path, html(result, with_identifiers=with_identifiers))


def group(rows: Sequence[Mapping[str, Any]], path: PathLike, *, with_identifiers: bool = False) -> Path:
    """Writes a page over many scans, worst first.

    Parameters
    ----------
    rows : sequence of mappings
        For each scan ``status`` (one of :data:`ORDER`), numbers under any names (as of :func:`numbers`), and, if there,
        ``why`` (words), ``report`` (a link relative to the page) and ``scan``, its name. Names and links are shown
        with identifiers only; else scans are numbered as they come.
    path : path
        Of the page.

    Returns
    -------
    Path
        ``path``.
    """
    names = list(dict.fromkeys(k for row in rows for k, v in row.items() if isinstance(v, int | float)))
    table = np.array([[float(row.get(name, np.nan)) for name in names] for row in rows]).reshape(len(rows), len(names))
    far = np.zeros(table.shape)
    for column, values in enumerate(table.T):
        kept = values[np.isfinite(values)]
        middle = np.median(kept) if kept.size else 0.0
        usual = np.median(np.abs(kept - middle)) if kept.size else 0.0
        far[:, column] = np.nan_to_num(np.abs(values - middle) / max(usual, 0.02 * abs(middle), 1e-12))
    worst = sorted(range(len(rows)), key=lambda n: (ORDER.index(rows[n]["status"]), -far[n].max(initial=0)))
    lines = []
    for n in worst:
        row = rows[n]
        label = markup.escape(str(row.get("scan", n + 1))) if with_identifiers else f"scan {n + 1}"
        if with_identifiers and row.get("report"):
            label = f'<a href="{markup.escape(str(row["report"]))}">{label}</a>'
        status, why = row["status"], markup.escape(str(row.get("why", "")))
        cells = [f'<th scope="row">{label}</th><td class="status {status}">{status}</td>']
        for value, away in zip(table[n], far[n], strict=True):
            mark = ' class="number far" title="far from the others"' if away > FAR else ' class="number"'
            cells.append(f"<td{mark}>{'–' if np.isnan(value) else f'{value:.3g}'}{' ▲' if away > FAR else ''}</td>")
        lines.append(f"<tr>{''.join(cells)}<td>{why}</td></tr>")
    count = ", ".join(f"{sum(row['status'] == status for row in rows)} {status}" for status in ORDER)
    head = "".join(f'<th scope="col" class="number">{markup.escape(name)}</th>' for name in names)
    count = f"{len(rows)} scans: {count}"
    body = _words("group", count=count, far=f"{FAR:g}", head=head, rows="\n".join(lines))
    return runtime.write_text(path, _page("Many scans: what to look at first", body))


# ---------------------------------------------------------------- sections


def _verdict(result: Result, found: Mapping[str, float]) -> str:
    verdict, said = result.plan.verdict, [reason.words for reason in result.plan.verdict.reasons]
    if found.get("consistency", 0) > 2 * TRUTH[1]:
        said.append("The result contradicts what was measured by more than a truth would: look for motion or clipping.")
    items = "".join(f"<li>{markup.escape(words)}</li>" for words in [*said, *result.plan.notes])
    kind = "caution" if said and verdict.status == "in domain" else verdict.status
    return f'<div class="verdict {kind}"><strong>{verdict.status.capitalize()}</strong><ul>{items}</ul></div>'


def _before_and_after(result: Result, shown: _Shown) -> str:
    viewer = []
    for n in range(len(shown.index)):
        given = np.repeat(np.repeat(shown.given[n], shown.finer[0], 0), shown.finer[1], 1)
        if shown.scale > 1:
            given = interpolation.nearest(shown.given[n : n + 1], shown.scale)[0]
        images = {"input": given}
        if shown.labels is None:
            classical = str(result.provenance.get("without_network") or "without a network")
            images |= {classical: shown.plain[n], "result": shown.fine[n]}
        else:
            images["labels"] = shown.labels[n] / (shown.labels.max() or 1) * shown.unit
        made = viewers.compare(
            {title: shown.upright(image) for title, image in images.items()},
            caption="Drag the divider, or focus it and press the arrow keys. All images have one window.",
            window=(0 if shown.given.min() >= 0 else float(shown.given.min()), shown.unit),
            pixel_size=shown.pixel,
            grid="edges",
            start=("input", list(images)[-1]),
        )
        height, width = shown.upright(images["input"]).shape
        viewer.append(f'<div class="viewer" style="--aspect:{width / height:.3f}">{made.html}</div>')
    more = "".join(viewer[1:])
    return viewer[0] + (f"<details><summary>Two more slices</summary>{more}</details>" if more else "")


def _added(shown: _Shown, found: Mapping[str, float]) -> str:
    difference = 100 * (shown.fine - shown.plain) / shown.unit
    limit = max(float(np.quantile(np.abs(difference), 0.999)), 0.1)
    words = _words("added", added=f"{found['added']:.2g}")
    return words + _maps(shown, difference, (-limit, limit), "RdBu_r", "difference, % of the scan's range")


def _consistency(found: Mapping[str, float]) -> str:
    left, truth = found["consistency"], found["truth"]
    top = max(10.0, 1.2 * left, 1.2 * truth)
    low, high, place = (round(40 + 600 * value / top) for value in (*TRUTH, left))
    marks = range(0, int(top) + 1, 5 * (1 + int(top // 50)))
    ticks = "".join(f'<text x="{40 + 600 * t / top:.0f}" y="84" text-anchor="middle">{t} %</text>' for t in marks)
    told = {"left": f"{left:.2g}", "truth": f"{truth:.2g}", "ticks": ticks}
    return _words("consistency", low=low, width=high - low, middle=(low + high) // 2, place=place, **told)


def _spectrum(shown: _Shown, found: Mapping[str, float]) -> str:
    fig, ax = figures.subplots(size=(7, 3.2))
    for title, stack, style in (("input", shown.given, "-"), ("without a network", shown.plain, "--"),
                                ("result", shown.fine, "-")):  # fmt: skip
        frequency, amplitude = metrics.spectrum(stack)
        coarse = shown.scale if title == "input" else 1
        ax.semilogy(frequency[1:] / coarse / shown.pixel, amplitude[1:] * coarse, style, label=title)
    top = ax.lines[2].get_ydata()
    ax.set_ylim(float(top.min()) / 5 or None, float(top.max()) * 2)
    ax.axvline(0.5 / shown.scale / shown.pixel, color=figures.GREY, ls=":", label="end of what was measured")
    ax.set(xlabel="frequency (cycles per mm)", ylabel="amplitude")
    ax.legend(fontsize=9)
    caption = "How strong each frequency is. Right of the dotted line nothing was measured."
    return _words("spectrum", beyond=f"{found['beyond']:.2g}") + _figure(fig, caption)


def _sensitivity(shown: _Shown) -> str:
    map_ = 100 * sensitivity.spread(shown.given, shown.scale)
    known = sensitivity.known(shown.scale)
    if known:
        low = min(known[name]["mean"] or 0 for name in ("lost", "removed")) < FAITHFUL
        areas = {name: _area(known[name]) for name in ("lost", "removed", "errors")}
        more = {"low": _words("low map") if low else "", "old": "" if known["current"] else _words("old map")}
        told = _words("known map", people=known["lost"]["people"], **areas, **more)
    else:
        told = _words("unknown map")
    limit = max(float(np.quantile(map_, 0.999)), 0.1)
    return _words("sensitivity") + told + _maps(shown, map_, (0, limit), "magma", "spread, % of the scan's range")


def _area(found: Mapping[str, Any]) -> str:
    if found["mean"] is None:
        return "not measured"
    return f"{found['mean']:.2f}" + ("" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})")


def _invented(result: Result, shown: _Shown) -> str:
    if result.labels is not None:
        said = _words("invented: labels")
    elif result.plan.options.task == "denoise":
        said = _words("invented: denoise")
    else:
        axis = result.plan.order[0 if shown.through else 1]
        least = 2 * float(volumes.voxel_sizes(result.source)[axis])
        where = "across the slices" if shown.through else "within the slices"
        said = _words("invented: finer", least=f"{least:.2g}", where=where)
    return said + _words("invented")


def _provenance(result: Result) -> str:
    about = {key: markup.escape(str(value)) for key, value in result.provenance.items()}
    before, after = (
        " × ".join(f"{size:.3g}" for size in volumes.voxel_sizes(image)) + " mm"
        for image in (result.source, result.image)
    )
    how = (
        f", voxels of {before}" if about["scale"] == "1" else f" ×{about['scale']} {about['axes']}, {before} to {after}"
    )
    settings = _table({key: value for key, value in result.provenance.items() if not key.startswith("note_")})
    about["without_network"] = about["without_network"] or "the input"
    return _words("paper", **about, how=how, settings=settings)


# ---------------------------------------------------------------- pieces


def _maps(shown: _Shown, stack: Stack, window: tuple[float, float], colours: str, label: str) -> str:
    """Slices in one scale, with its bar."""
    images = [shown.upright(image) for image in stack]
    fig, axes = figures.subplots(1, len(images), size=(3.1 * len(images) + 0.8, 3.4), squeeze=False)
    for ax, image in zip(axes[0], images, strict=True):
        drawn = ax.imshow(image, colours, vmin=window[0], vmax=window[1], origin="lower")
        ax.axis("off")
    fig.colorbar(drawn, ax=axes[0].tolist(), label=label, shrink=0.9)
    return _figure(fig, f"{label.capitalize()}; {len(images)} slice{'s' * (len(images) > 1)}, one scale for all.")


def _figure(fig: "Figure", caption: str) -> str:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    plt.close(fig)
    text, picture = markup.escape(caption), base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><div class="scroll" role="region" aria-label="{text}" tabindex="0"><img alt="{text}" '
        f'src="data:image/png;base64,{picture}"></div><figcaption>{text}</figcaption></figure>'
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _table(rows: Mapping[str, Any]) -> str:
    lines = (f"<dt>{markup.escape(str(k))}</dt><dd>{markup.escape(str(v))}</dd>" for k, v in rows.items() if str(v))
    return f"<dl>{''.join(lines)}</dl>"


def _description(image: Image) -> str:
    described = getattr(image.header, "get", lambda *_: b"")("descrip", b"")
    return bytes(np.asarray(described).item() or b"").decode("latin-1").strip("\0 ") if np.size(described) else ""


def _words(section: str, **values: Any) -> str:
    """A piece of ``sections.html``, its names replaced by values."""
    pieces = re.split(r"<!-- (.+?) -->\n", _read("sections.html"))
    return Template(dict(zip(pieces[1::2], pieces[2::2], strict=True))[section]).substitute(values)


def _page(title: str, body: str) -> str:
    return Template(_read("report.html")).substitute(title=title, style=_read("report.css"), body=body)


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
