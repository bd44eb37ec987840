"""Pictures to drag, without a kernel: one piece of HTML that works in JupyterLab and on a web page.

Images enter as 8-bit PNGs inside the output itself, after **one** intensity window; nothing is
requested from anywhere. Where scripts may not run (a notebook that is not trusted), the images stand
side by side instead. As in :mod:`~medsr_course.teaching.figures`, row 0 is at the bottom.
"""

import base64
import html
import io
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from medsr_course.teaching.figures import default_window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRIDS = ("first sample", "edges")
HERE = Path(__file__).parent
PARTS = ("fourier.js", "viewers_scene.js", "viewers_tools.js", "viewers_reading.js", "viewers.js")


@dataclass(frozen=True)
class Viewer:
    """A viewer as HTML that needs nothing else. As the last line of a cell it is shown; elsewhere ``display`` it."""

    html: str = field(repr=False)
    caption: str

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"text/html": self.html, "text/plain": f"Viewer: {self.caption}"}, raw=True)


def compare(
    images: Mapping[str, npt.ArrayLike],
    *,
    caption: str,
    window: tuple[float, float] | None = None,
    pixel_size: float | Mapping[str, float] | None = None,
    start: tuple[str, str] | None = None,
    grid: str = "first sample",
    cmap: str = "gray",
) -> Viewer:
    """Return a viewer of any two of several images: drag the divider, blink, see the difference, k-space, a profile.

    Images of different matrix sizes cover the same field of view and are drawn in square pixels,
    without smoothing unless the reader asks for it. Values are read from 8 bits: to 1/255 of the window.

    Parameters
    ----------
    images : dict of str to array (h, w) or (n, h, w)
        Title → slice, or n slices to step through; at least two. Values outside the window are clipped, NaN is drawn
        as its lower end.
    caption : str
        What is seen, and what to look at.
    window : (low, high), optional
        Intensity window of *all* images; by default that of :func:`medsr_course.teaching.figures.show`.
    pixel_size : float or dict of str to float, optional
        mm, of the image with the most pixels (or per title); draws a scale bar that follows the zoom.
    start : (str, str), optional
        Titles of the left and right image at first; by default the first and the last.
    grid : {"first sample", "edges"}
        How a coarse image lies over a fine one: pixel *centres* of sample 0 in the same place (k-space
        cropping, the course's grid), or image *edges* in the same place (block averages). The
        difference is half a coarse pixel less half a fine one.
    cmap : str
        Name of a matplotlib colour map.

    Raises
    ------
    ValueError
        Fewer than two images, images of other dimensions or of different numbers of slices, or an unknown title.
    """
    if len(images) < 2:
        raise ValueError(f"compare needs at least two images, not {len(images)}")
    arrays = {str(title): np.asarray(image) for title, image in images.items()}
    for title, image in arrays.items():
        if image.ndim not in (2, 3) or not image.size:
            raise ValueError(f"{title!r} has shape {image.shape}: give one slice, an array (h, w), or slices (n, h, w)")
    stacks = {title: image.reshape((-1, *image.shape[-2:])) for title, image in arrays.items()}
    if len({len(stack) for stack in stacks.values()}) > 1:
        raise ValueError("the images have different numbers of slices: give the same of each")
    titles = list(arrays)
    pair = tuple(start or (titles[0], titles[-1]))
    if len(pair) != 2 or not set(pair) <= set(titles):
        raise ValueError(f"start={pair!r}: give two of {', '.join(map(repr, titles))}")
    if grid not in GRIDS:
        raise ValueError(f"grid={grid!r}: give one of {', '.join(map(repr, GRIDS))}")
    limits = _window(window, arrays[titles[0]])
    finest = max(titles, key=lambda title: arrays[title].size)
    count = len(stacks[finest])
    mm = _pixel_size(pixel_size, finest)
    pictures = []
    for title, stack in stacks.items():
        slices = [_png(_to_bytes(image, limits, cmap)) for image in stack]
        picture = {"title": title, "source": slices[count // 2], "slices": slices if count > 1 else []}
        pictures.append(picture | _place(stack[0], stacks[finest][0], grid))
    config = {
        "kind": "compare",
        "start": [titles.index(title) for title in pair],
        "slices": count,
        **_slices(stacks[finest][0], limits, mm, cmap),
    }
    return Viewer(_html(config, pictures, caption), caption)


def slider(
    frames: "Mapping[str, npt.ArrayLike | Figure]",
    *,
    caption: str,
    window: tuple[float, float] | None = None,
    pixel_size: float | Mapping[str, float] | None = None,
    start: str | None = None,
    label: str = "Frame",
    grid: str = "first sample",
    cmap: str = "gray",
) -> Viewer:
    """Return a viewer that steps through frames with a slider: "drag the noise level".

    Where all frames are slices, k-space, a profile, values, zoom and brightness are there as in :func:`compare`.

    Parameters
    ----------
    frames : dict of str to (array or matplotlib.figure.Figure)
        Label → frame: a slice (h, w), drawn in the common window; a colour image (h, w, 3), uint8 or
        floats from 0 to 1, row 0 at the top; or a figure, which is closed. Make figures of one size
        and with fixed axis limits: what moves is then what changed.
    caption : str
    window : (low, high), optional
        As in :func:`compare`.
    pixel_size : float or dict of str to float, optional
        mm, of the frame with the most pixels (slices only); draws a scale bar.
    start : str, optional
        Label of the frame shown at first; by default the first.
    label : str
        What the slider changes, with its unit: "Noise σ (%)".
    grid, cmap
        As in :func:`compare`.

    Raises
    ------
    ValueError
        Fewer than two frames, a frame of another kind, or an unknown label.
    """
    if len(frames) < 2:
        raise ValueError(f"slider needs at least two frames, not {len(frames)}")
    drawn: dict[str, Any] = {
        str(title): frame if hasattr(frame, "savefig") else np.asarray(frame) for title, frame in frames.items()
    }
    titles = list(drawn)
    first = titles[0] if start is None else str(start)
    if first not in drawn:
        raise ValueError(f"start={first!r}: give one of {', '.join(map(repr, titles))}")
    if grid not in GRIDS:
        raise ValueError(f"grid={grid!r}: give one of {', '.join(map(repr, GRIDS))}")
    slices = {title: frame for title, frame in drawn.items() if getattr(frame, "ndim", None) == 2}
    if slices:
        limits = _window(window, next(iter(slices.values())))
        finest = max(slices, key=lambda title: slices[title].size)
        rows, columns = slices[finest].shape
    pictures: list[dict[str, Any]] = []
    aspect, most = 1.0, None
    for title, frame in drawn.items():
        picture: dict[str, Any] = {"title": title, "left": 0.0, "bottom": 0.0}
        if hasattr(frame, "savefig"):
            picture["source"], aspect, most = _figure_png(frame)
        elif title in slices:
            picture["source"], aspect = _png(_to_bytes(frame, limits, cmap)), columns / rows
            picture |= _place(frame, slices[finest], grid)
        elif frame.ndim == 3 and frame.shape[2] in (3, 4):
            colours = frame if frame.dtype == np.uint8 else (np.clip(frame, 0, 1) * 255 + 0.5).astype(np.uint8)
            picture["source"], aspect = _png(colours), frame.shape[1] / frame.shape[0]
        else:
            raise ValueError(f"{title!r} has shape {frame.shape}: give (h, w), (h, w, 3) or a figure")
        pictures.append(picture)
    mm = _pixel_size(pixel_size, finest) if slices else None
    config = {"kind": "slider", "start": [titles.index(first)], "label": label, "aspect": aspect, "most": most}
    if len(slices) == len(drawn):
        config |= _slices(slices[finest], limits, mm, cmap)
    return Viewer(_html(config, pictures, caption), caption)


def reading(
    patches: Mapping[str, npt.ArrayLike],
    lesion: npt.ArrayLike,
    *,
    caption: str,
    window: tuple[float, float],
    name: str,
    beside: Sequence[tuple[str, str, str]] = (),
) -> Viewer:
    """Return a reading study: patches one at a time, a button for "lesion" and one for "no lesion", a clock.

    Answers stay in the browser (its local storage) and are sent nowhere; at the end a table shows hits, false alarms
    and seconds per case of each image type, and a text to be pasted into a notebook. Without scripts, all patches
    stand side by side, with the truth below.

    Parameters
    ----------
    patches : dict of str to array (n, side, side)
        Image type → the same n cases.
    lesion : bool array (n,)
        Which of them have a lesion in the centre.
    caption : str
    window : (low, high)
        Intensity window of all patches.
    name : str
        Under which answers are kept; another study needs another name.
    beside : sequence of (str, str, str)
        What another reader found of these cases, to compare with: image type, hits, false alarms.

    Raises
    ------
    ValueError
        Patches of another number than ``lesion``, or no case with or without one.
    """
    truth = np.asarray(lesion, bool)
    if truth.all() or not truth.any():
        raise ValueError("a reading study needs cases with a lesion and cases without")
    pictures: list[dict[str, Any]] = []
    cases: list[dict[str, Any]] = []
    for kind, stack in patches.items():
        images = np.asarray(stack)
        if len(images) != len(truth):
            raise ValueError(f"{kind!r} has {len(images)} patches, and there are {len(truth)} cases")
        for k, patch in enumerate(images):
            title = f"{kind}, case {k + 1}: {'lesion' if truth[k] else 'no lesion'}"
            picture = _png(_to_bytes(patch, window, "gray"))
            pictures.append({"title": title, "source": picture, "left": 0.0, "bottom": 0.0})
            cases.append({"type": kind, "case": k, "lesion": bool(truth[k])})
    config = {
        "kind": "reading",
        "aspect": 1.0,
        "most": 320,
        "pixelated": True,
        "name": name,
        "cases": cases,
        "beside": [list(row) for row in beside],
    }
    return Viewer(_html(config, pictures, caption), caption)


def picture(image: "npt.ArrayLike | Figure", window: tuple[float, float] | None = None) -> str:
    """Returns a slice (h, w), row 0 at the bottom, or a figure, as the address of a PNG (``data:image/png…``)."""
    if hasattr(image, "savefig"):
        return _figure_png(cast("Figure", image))[0]
    array = np.asarray(image)
    return _png(_to_bytes(array, _window(window, array), "gray"))


def _place(image: npt.NDArray, finest: npt.NDArray, grid: str) -> dict[str, float]:
    """Offset in percent of the field of view that puts sample 0 over sample 0 of the image with the most pixels."""
    centred = grid == "first sample"
    (height, width), (rows, columns) = finest.shape, image.shape
    left, bottom = 50 / width - 50 / columns, 50 / height - 50 / rows
    return {"left": left if centred else 0.0, "bottom": bottom if centred else 0.0}


def _slices(finest: npt.NDArray, limits: tuple[float, float], mm: float | None, cmap: str) -> dict[str, Any]:
    """What the viewer must know of slices, that of the most pixels (h, w), to measure on them."""
    rows, columns = finest.shape
    colours = "" if cmap == "gray" else "".join(f"{r:02x}{g:02x}{b:02x}" for r, g, b in _colours(cmap))
    return {
        "aspect": columns / rows,
        "mm": mm * columns if mm else None,
        "pixelated": True,
        "shape": [rows, columns],
        "window": list(limits),
        "colours": colours,
    }


def _colours(cmap: str) -> npt.NDArray[np.uint8]:
    """The 256 colours of a map, (256, 3)."""
    from matplotlib import colormaps

    return (colormaps[cmap](np.arange(256))[:, :3] * 255 + 0.5).astype(np.uint8)


def _window(window: tuple[float, float] | None, first: npt.NDArray) -> tuple[float, float]:
    low, high = window or default_window(np.nan_to_num(np.asarray(first, dtype=float)))
    if not high > low:
        high = low + 1.0  # a constant image: any window shows it
    return float(low), float(high)


def _pixel_size(pixel_size: float | Mapping[str, float] | None, finest: str) -> float | None:
    return pixel_size.get(finest) if isinstance(pixel_size, Mapping) else pixel_size


def _to_bytes(image: npt.NDArray, window: tuple[float, float], cmap: str) -> npt.NDArray[np.uint8]:
    """uint8 (h, w) or (h, w, 3), flipped so that row 0 comes last (at the bottom)."""
    low, high = window
    scaled = (np.nan_to_num(np.asarray(image, dtype=float)[::-1], nan=low) - low) / (high - low)
    grey = (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)
    return grey if cmap == "gray" else _colours(cmap)[grey]


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _figure_png(figure: "Figure") -> tuple[str, float, int]:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, facecolor="white")
    width, height = figure.get_size_inches()
    plt.close(figure)
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return source, float(width / height), int(width * 96)


def _html(config: dict[str, Any], pictures: list[dict[str, Any]], caption: str) -> str:
    """The viewer as HTML. The script builds the controls from the images of the fallback and hides it."""
    key = f"medsr-{uuid.uuid4().hex[:12]}"  # several viewers, of several notebooks, may share one page
    shown = "".join(
        f'<div style="margin:0 .5em .5em 0;max-width:16em"><img alt="{html.escape(p["title"])}" '
        f'data-left="{p["left"]:.6g}" data-bottom="{p["bottom"]:.6g}" src="{p["source"]}" '
        + (f'data-slices="{" ".join(p["slices"])}" ' if p.get("slices") else "")
        + f'style="width:100%;image-rendering:{"pixelated" if config.get("pixelated") else "auto"}">'
        f"<div>{html.escape(p['title'])}</div></div>"
        for p in pictures
    )
    settings = html.escape(json.dumps(config))
    return (
        f'<figure class="medsr-figure medsr-viewer" data-medsr-viewer="{key}" data-config="{settings}" '
        f'style="margin:0 0 1em 0">'
        f"<style>{style()}</style>"
        f'<div class="medsr-fallback" style="display:flex;flex-wrap:wrap">{shown}</div>'
        f'<figcaption style="max-width:46em;font-size:.92em"><i>{html.escape(caption)}</i></figcaption>'
        f'<script>({script()})("{key}")</script></figure>'
    )


def style() -> str:
    """Return the style of all viewers, CSS."""
    return (HERE / "viewers.css").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def script() -> str:
    """Return the function, JavaScript, that brings the figures of a key to life; without comments and indents."""
    parts = "\n".join((HERE / name).read_text(encoding="utf-8") for name in PARTS)
    lines = (line.strip() for line in parts.splitlines())
    kept = "\n".join(line for line in lines if line and not line.startswith("//"))
    return f'function (key) {{\n"use strict";\n{kept}\nbuildAll(key);\n}}'
