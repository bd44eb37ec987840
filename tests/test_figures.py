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
