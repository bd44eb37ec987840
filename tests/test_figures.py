"""Figures: one window, grey images, a caption that can be read aloud."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from medsr_course.teaching import figures


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: outputs.append(bundle))
    return outputs


def test_images_are_grey_unless_told_otherwise():
    _, axes = figures.subplots(1, 2)
    assert axes[0].imshow(np.eye(3)).get_cmap().name == "gray"
    assert axes[1].imshow(np.eye(3), "magma").get_cmap().name == "magma"


def test_ringing_below_zero_leaves_air_black_and_signed_images_keep_their_range():
    magnitude = np.linspace(0, 100, 1001)
    assert figures.default_window(magnitude - 3)[0] == 0
    assert figures.default_window(magnitude)[1] == pytest.approx(99.8)
    assert figures.default_window(magnitude - 1000)[0] == -1000  # Hounsfield units
    assert figures.default_window(magnitude - 50)[0] == -50


def test_images_compared_share_one_window(shown):
    image = np.full((20, 20), 0.5)
    figures.show({"first": image * 2, "second": image}, "Half as bright.", window=(0, 1))
    picture = re.search(r"base64,([^\"]+)", shown[0]["text/html"])[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("L"), float)
    middle = pixels[pixels.shape[0] // 2]
    assert middle[len(middle) // 4] == 255
    assert middle[3 * len(middle) // 4] == pytest.approx(127, abs=2)


def test_a_caption_is_text_and_nothing_else(shown):
    figures.finish(figures.subplots()[0], 'a < b & "c"')
    assert shown[0]["text/plain"] == 'Figure: a < b & "c"'
    assert 'alt="a &lt; b &amp; &quot;c&quot;"' in shown[0]["text/html"]


@pytest.fixture
def drawn(monkeypatch):
    """Matplotlib figures as they are given to ``finish``."""
    kept = []
    monkeypatch.setattr(figures, "finish", lambda fig, caption: kept.append(fig))
    return kept


def test_curves_share_one_panel_and_empty_ones_are_left_out(drawn):
    figures.curves({"a": [1, 2, 3], "b": ([10, 20], [5, 6]), "untrained": ([], [])}, "Three.", level=2, xlabel="step")
    (ax,) = drawn[0].axes
    assert [line.get_label() for line in ax.lines[:2]] == ["a", "b"]
    assert ax.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert ax.lines[1].get_xdata().tolist() == [10, 20]
    assert ax.lines[2].get_ydata() == [2, 2]
    assert len(ax.lines) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_repeats_become_a_mean_and_a_band(drawn):
    figures.curves({"a": ([1, 2], [[0, 4], [2, 8]])}, "A band.", xscale="log", xticks=[1, 2])
    (ax,) = drawn[0].axes
    assert ax.lines[0].get_ydata().tolist() == [1, 6]
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 8)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2"]


def test_panels_of_curves_have_titles_and_labels_of_their_own(drawn):
    figures.curves({"left": {"a": [1, 2]}, "right": {"a": [3, 4]}}, "Two.", xlabel=["x", "y"], ylabel="dB")
    assert [ax.get_title() for ax in drawn[0].axes] == ["left", "right"]
    assert [ax.get_xlabel() for ax in drawn[0].axes] == ["x", "y"]
    assert [ax.get_ylabel() for ax in drawn[0].axes] == ["dB", "dB"]


def test_a_matrix_shows_its_numbers_around_zero(drawn):
    figures.matrix([[0.5, -4.0]], ["trained"], ["one", "two"], "A row.", bar="dB", xlabel="tested on")
    ax, bar = drawn[0].axes
    assert [text.get_text() for text in ax.texts] == ["+0.5", "−4.0"]
    assert ax.images[0].get_clim() == (-4, 4)
    assert bar.get_ylabel() == "dB"


def test_a_table_is_markdown(monkeypatch):
    seen = []
    monkeypatch.setattr("IPython.display.display", seen.append)
    figures.table(["method", "dB"], [["ZIP", 3]], "Gain:")
    assert seen[0].data == "Gain:\n\n| method | dB |\n| --- | --- |\n| ZIP | 3 |"
