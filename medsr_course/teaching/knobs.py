"""A knob to turn: a picture computed anew for any value while a kernel runs, and for chosen values on a page."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medsr_course.teaching import viewers
from medsr_course.teaching.figures import default_window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNATTENDED = "MEDSR_UNATTENDED"  # 1 where nobody turns the knob: `medsr run`, tests, the site


def turn(
    draw: "Callable[[Any], npt.ArrayLike | Figure]",
    values: Sequence[float],
    *,
    label: str,
    caption: str,
    window: tuple[float, float] | None = None,
    pixel_size: float | None = None,
    start: float | None = None,
) -> Any:
    """Return a picture with a slider: while a kernel runs, ``draw`` is called for whatever value the reader sets.

    On the site, and in executed copies, the slider steps through ``values``, which were computed beforehand.

    Parameters
    ----------
    draw : callable
        Value → slice (h, w), or a figure, with fixed limits of its axes.
    values : sequence of numbers
        Rising; the first and the last are the ends of the live slider. Whole numbers give whole steps.
    label : str
        What is turned, with its unit: ``"Noise σ (%)"``.
    caption : str
    window : (low, high), optional
        Intensity window of all pictures; by default that of the first.
    pixel_size : float, optional
        mm; draws a scale bar.
    start : number, optional
        The value shown first; by default the first one.

    Raises
    ------
    ValueError
        Fewer than two values, or values that do not rise.
    """
    if len(values) < 2 or any(b <= a for a, b in zip(values, values[1:], strict=False)):
        raise ValueError("values must rise, and there must be two at least")
    first = values[0] if start is None else start
    if not attended():
        frames = {f"{value:g}": draw(value) for value in values}
        return viewers.slider(
            frames, caption=caption, window=window, pixel_size=pixel_size, start=f"{first:g}", label=label
        )
    return _live(draw, values, first, label, caption, window)


def attended() -> bool:
    """Whether a kernel runs that somebody may turn the knob of."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None and os.environ.get(UNATTENDED, "0") in ("", "0")


def _live(draw, values, first, label, caption, window):
    import ipywidgets

    whole = all(isinstance(value, int) for value in values)
    kind, step = (ipywidgets.IntSlider, 1) if whole else (ipywidgets.FloatSlider, (values[-1] - values[0]) / 100)
    control = kind(
        value=first, min=values[0], max=values[-1], step=step, description=label, continuous_update=False,
        style={"description_width": "initial"}, layout={"width": "32em"},
    )  # fmt: skip
    picture, below = (
        ipywidgets.HTML(),
        ipywidgets.HTML(f"<i>{caption} Set any value: it is computed when you let go.</i>"),
    )

    def show(_=None):
        nonlocal window
        drawn = draw(control.value)
        figure = hasattr(drawn, "savefig")
        if window is None and not figure:
            window = default_window(np.asarray(draw(values[0])))
        look = "max-width:100%" if figure else "width:30em;image-rendering:pixelated"
        source = viewers.picture(drawn, window)
        picture.value = f'<img src="{source}" alt="{label} {control.value:g}" style="{look}">'

    control.observe(show, "value")
    show()
    return ipywidgets.VBox([control, picture, below])
