"""Figures worth printing: one look, one intensity window for images that are compared, a caption.

Images are ``(h, w)`` slices of stacks ``(z, y, x)``; they are drawn with row 0 at the bottom, so that
anterior is up and the patient's left is on the left (neurological convention).
"""

import base64
import functools
import html
import io

import numpy as np

BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#6e6e6e"
PALETTE = (BLUE, ORANGE, GREEN, PINK, "#e69f00", "#56b4e9")  # Okabe & Ito 2008: colour-blind safe


def subplots(rows=1, columns=1, *, size=None, **kwargs):
    """``matplotlib.pyplot.subplots`` in the course's style; give the figure to :func:`finish`.

    Images (``ax.imshow``) are grey unless told otherwise.

    Parameters
    ----------
    size : (float, float), optional
        Width and height in inches; by default 3.2 × 2.8 per panel.
    """
    import matplotlib.pyplot as plt
    from cycler import cycler

    style = {
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


def finish(fig, caption):
    """Show a figure once, with its caption below it (also its text for screen readers), and close it."""
    import matplotlib.pyplot as plt
    from IPython.display import display

    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=fig.dpi, facecolor="white")
    width = int(fig.get_figwidth() * 96)
    plt.close(fig)
    text = html.escape(caption)
    picture = base64.b64encode(buffer.getvalue()).decode()
    body = (
        # On a narrow screen a wide figure scrolls sideways rather than shrink its words to nothing.
        f'<figure class="medsr-figure" style="margin:0 0 1em 0"><div style="overflow-x:auto"><img alt="{text}" '
        f'style="width:100%;min-width:{int(0.6 * width)}px;max-width:{width}px;height:auto;background:#fff" '
        f'src="data:image/png;base64,{picture}"></div>'
        f'<figcaption style="max-width:46em;font-size:.92em"><i>{text}</i></figcaption></figure>'
    )
    display({"text/html": body, "text/plain": f"Figure: {caption}"}, raw=True)


def show(images, caption, *, window=None, columns=None, pixel_size=None, panel=2.9, cmap="gray", bar=None):
    """Images side by side in **one** intensity window, titles above, caption below.

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
        mm = pixel_size.get(title) if isinstance(pixel_size, dict) else pixel_size
        if mm:
            scale_bar(ax, np.shape(image), mm)
    if bar:
        fig.colorbar(drawn, ax=axes, label=bar, shrink=0.8)
    finish(fig, caption)


def default_window(image):
    """Intensity window of :func:`show`: 0 (or the minimum, if signed) to the 99.8th percentile.

    Ringing below zero does not make a magnitude image signed: a minimum of less than a fifth of the
    upper end counts as 0, so that air stays black.
    """
    low, high = float(np.min(image)), float(np.percentile(image, 99.8))
    return (low if low < -0.2 * abs(high) else 0.0), high


def scale_bar(ax, shape, pixel_size):
    """A labelled scale bar in the lower left corner of an image drawn with ``origin="lower"``."""
    bars = ((50, "5 cm"), (20, "2 cm"), (5, "5 mm"))
    length, label = next((bar for bar in bars if bar[0] / pixel_size < 0.45 * shape[1]), bars[-1])
    x = 0.04 * shape[1]
    y = 0.04 * shape[0]
    ax.plot([x, x + length / pixel_size], [y, y], color="white", lw=2.5, solid_capstyle="butt")
    ax.text(x, y + 0.02 * shape[0], label, color="white", fontsize=8, va="bottom")
