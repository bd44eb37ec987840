"""Figures worth printing: one look, one intensity window for images that are compared, a caption.

Images are ``(h, w)`` slices of stacks ``(z, y, x)``; they are drawn with row 0 at the bottom, so that
anterior is up and the patient's left is on the left (neurological convention).
"""

import base64
import functools
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course.types import Array, ArrayLike

if TYPE_CHECKING:  # Matplotlib is loaded with the first figure
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#6e6e6e"
DENSITY = 2  # pixels of a figure for each pixel of a page, which has 96 to the inch
LOSSLESS = {"lossless": True, "quality": 60, "method": 2}  # WebP, half the size of PNG in the same time
PALETTE = (BLUE, ORANGE, GREEN, PINK, "#e69f00", "#56b4e9")  # Okabe & Ito 2008: colour-blind safe


def subplots(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] | None = None, **kwargs: Any
) -> tuple["Figure", Any]:
    """Return ``matplotlib.pyplot.subplots`` in the course's style; give the figure to :func:`finish`.

    Images (``ax.imshow``) are grey unless told otherwise.

    Parameters
    ----------
    size : (float, float), optional
        Width and height in inches; by default 3.2 × 2.8 per panel.
    """
    import matplotlib.pyplot as plt
    from cycler import cycler

    style: dict[Any, Any] = {
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 11,
        "font.size": 10,
        "figure.dpi": 110,
    }
    with plt.rc_context(style):
        fig, axes = plt.subplots(
            rows, columns, figsize=size or (3.2 * columns, 2.8 * rows), layout="constrained", **kwargs
        )
    for ax in fig.axes:
        ax.imshow = _grey(ax.imshow)  # a style has no say any more when an image is drawn
    return fig, axes


def _grey(imshow):
    @functools.wraps(imshow)
    def drawn(image, cmap="gray", *args, **kwargs):
        return imshow(image, cmap, *args, **kwargs)

    return drawn


def finish(fig: "Figure", caption: str) -> None:
    """Show a figure once, with its caption below it (also its text for screen readers), and close it."""
    import matplotlib.pyplot as plt
    from IPython.display import display

    buffer = io.BytesIO()
    fig.savefig(buffer, format="webp", dpi=96 * DENSITY, facecolor="white", pil_kwargs=LOSSLESS)
    width = int(fig.get_figwidth() * 96)
    plt.close(fig)
    text = html.escape(caption)
    picture = base64.b64encode(buffer.getvalue()).decode()
    body = (
        # On a narrow screen a wide figure scrolls sideways rather than shrink its words to nothing.
        f'<figure class="medsr-figure" style="margin:0 0 1em 0"><div style="overflow-x:auto"><img alt="{text}" '
        f'style="width:100%;min-width:{int(0.6 * width)}px;max-width:{width}px;height:auto;background:#fff" '
        f'src="data:image/webp;base64,{picture}"></div>'
        f'<figcaption style="max-width:46em;font-size:.92em"><i>{text}</i></figcaption></figure>'
    )
    display({"text/html": body, "text/plain": f"Figure: {caption}"}, raw=True)


def show(
    images: Mapping[str, Any],
    caption: str,
    *,
    window: tuple[float, float] | None = None,
    columns: int | None = None,
    pixel_size: float | Mapping[str, float] | None = None,
    panel: float = 2.9,
    cmap: Any = "gray",
    bar: str | None = None,
) -> None:
    """Show images side by side in **one** intensity window, titles above, caption below.

    Parameters
    ----------
    images : dict of str to array (h, w)
        Title → image.
    caption : str
        What is seen, and what to look at.
    window : (low, high), optional
        By default :func:`default_window` of the first image.
    pixel_size : float or dict, optional
        mm; draws a 5 cm scale bar (2 cm or 5 mm where that does not fit).
    panel : float
        Panel width, inches.
    bar : str, optional
        Label of a colour bar, for maps with a unit.
    """
    window = window or default_window(next(iter(images.values())))
    columns = columns or min(len(images), 4)
    rows = -(-len(images) // columns)
    h, w = np.shape(next(iter(images.values())))
    lines = max(title.count("\n") for title in images) + 1
    size = (panel * columns, (panel * h / w + 0.15 + 0.2 * lines) * rows)
    fig, axes = subplots(rows, columns, size=size, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, image) in zip(axes.flat, images.items(), strict=False):
        drawn = ax.imshow(image, vmin=window[0], vmax=window[1], cmap=cmap, origin="lower")
        ax.set_title(title)
        mm: Any = pixel_size.get(title) if isinstance(pixel_size, Mapping) else pixel_size
        if mm:
            scale_bar(ax, np.shape(image), mm)
    if bar:
        fig.colorbar(drawn, ax=axes, label=bar, shrink=0.8)
    finish(fig, caption)


def curves(
    lines: Mapping[str, Any],
    caption: str,
    *,
    xlabel: str | Sequence[str] = "",
    ylabel: str | Sequence[str] = "",
    title: str = "",
    style: str = "-",
    level: float | None = None,
    size: tuple[float, float] | None = None,
    **axis: Any,
) -> None:
    """Draw curves with a legend; a dict of dicts gives panels side by side, each titled by its key.

    Parameters
    ----------
    lines : dict of str to array (n,), or to (x, y)
        Label → curve. Where y is (repeats, n), their mean is drawn, and a band from the least to the greatest. An empty
        curve (nothing was trained) is left out.
    xlabel, ylabel : str or one per panel
    style : str
        Matplotlib's: ``"-"``, or ``"o-"`` with a dot for each measurement.
    level : float, optional
        A dashed grey line to compare with.
    size : (float, float), optional
        Width and height in inches.
    axis
        For ``Axes.set``: ``xscale="log"``, ``ylim=(0, 1)``, ``xticks=widths`` (which are then the only ticks).
    """
    panels = lines if isinstance(next(iter(lines.values())), Mapping) else {title: lines}
    fig, axes = subplots(1, len(panels), size=size or (4.6 * len(panels) + 1, 3), squeeze=False)
    said: list[str] = []  # by the legend of the panel before
    for k, (ax, (heading, drawn)) in enumerate(zip(axes[0], panels.items(), strict=True)):
        for label, curve in drawn.items():
            x, y = curve if isinstance(curve, tuple) else (np.arange(np.shape(curve)[-1]), curve)
            repeats = np.atleast_2d(y)
            if not repeats.size:
                continue
            (line,) = ax.plot(x, repeats.mean(axis=0), style, ms=4, label=label)
            if len(repeats) > 1:
                ax.fill_between(x, repeats.min(axis=0), repeats.max(axis=0), color=line.get_color(), alpha=0.15)
        if level is not None:
            ax.axhline(level, color=GREY, lw=1, ls="--")
        names = [label if isinstance(label, str) else label[k] for label in (xlabel, ylabel)]
        ax.set(title=heading, xlabel=names[0], ylabel=names[1], **axis)
        if "xticks" in axis:
            ax.set_xticks(axis["xticks"], [f"{tick:g}" for tick in axis["xticks"]])
            ax.minorticks_off()
        labels = ax.get_legend_handles_labels()[1]
        if labels and labels != said:
            ax.legend(fontsize=8)
        said = labels
    finish(fig, caption)


def matrix(
    values: ArrayLike, rows: Sequence[str], columns: Sequence[str], caption: str, *, bar: str, **axis: Any
) -> None:
    """Draw a matrix of signed numbers: blue above zero, red below, the number in each field.

    Parameters
    ----------
    values : array (rows, columns)
    rows, columns : sequence of str
        Their names, from the top and from the left.
    bar : str
        What the numbers are, and their unit.
    axis
        For ``Axes.set``: ``xlabel="tested on"``.
    """
    fig, ax = subplots(size=(1.2 * len(columns) + 1.6, 0.8 * len(rows) + 1.4))
    limit = max(1.0, float(np.abs(values).max()))
    drawn = ax.imshow(values, "RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.6 * limit else "black"
        ax.text(j, i, f"{value:+.1f}".replace("-", "−"), ha="center", va="center", color=colour)
    ax.set(xticks=range(len(columns)), xticklabels=columns, yticks=range(len(rows)), yticklabels=rows, **axis)
    fig.colorbar(drawn, label=bar)
    finish(fig, caption)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], above: str = "") -> None:
    """Show a table: ``head`` names its columns, every row has a cell for each; ``above`` says what it holds."""
    from IPython.display import Markdown, display

    lines = [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]
    display(Markdown("\n".join([above, "", *lines] if above else lines)))


def default_window(image: Array) -> tuple[float, float]:
    """Return the intensity window of :func:`show`: 0 (or the minimum, if signed) to the 99.8th percentile.

    Ringing below zero does not make a magnitude image signed: a minimum of less than a fifth of the
    upper end counts as 0, so that air stays black.
    """
    low, high = float(np.min(image)), float(np.percentile(image, 99.8))
    return (low if low < -0.2 * abs(high) else 0.0), high


def scale_bar(ax: "Axes", shape: Sequence[int], pixel_size: float) -> None:
    """Draw a labelled scale bar in the lower left corner of an image drawn with ``origin="lower"``."""
    bars = ((50, "5 cm"), (20, "2 cm"), (5, "5 mm"))
    length, label = next((bar for bar in bars if bar[0] / pixel_size < 0.45 * shape[1]), bars[-1])
    x, y = 0.04 * shape[1], 0.04 * shape[0]
    ax.plot([x, x + length / pixel_size], [y, y], color="white", lw=2.5, solid_capstyle="butt")
    ax.text(x, y + 0.02 * shape[0], label, color="white", fontsize=8, va="bottom")
