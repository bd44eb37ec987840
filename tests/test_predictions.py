"""Predictions in a real browser: asked, kept, compared with what was measured; and knobs with and without a kernel."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from medsr_course.teaching import figures, knobs, predictions, viewers

IMAGE = np.linspace(0, 1, 600).reshape(20, 30)


@pytest.fixture(autouse=True)
def fresh():
    predictions.reset()
    yield
    predictions.reset()


@pytest.fixture
def page(chromium, tmp_path):
    """``page(block, …)``: a page at an address of its own, so that it has storage; the same storage each time."""
    context, problems = chromium.new_context(), []

    def open_(*blocks):
        file = tmp_path / "page.html"
        body = "".join(block.html for block in blocks)
        file.write_text(f"<!doctype html><meta charset='utf-8'><body>{body}</body>", encoding="utf-8")
        opened = context.new_page()
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        opened.goto(file.as_uri())
        return opened

    yield open_
    context.close()
    assert problems == []


@pytest.mark.browser
def test_a_choice_is_kept_compared_and_listed(page):
    asked = predictions.ask("05-best", "Which is best?", ["cubic", "ZIP"])
    told = predictions.tell("05-best", "ZIP")
    record = predictions.record("05")
    opened = page(asked, told, record)
    text = opened.inner_text("body")
    assert "You predicted" not in text
    assert "You kept no prediction" in text
    opened.get_by_role("button", name="Keep").click()
    assert opened.get_by_text("Choose first.").is_visible()
    opened.get_by_label("cubic").check()
    opened.get_by_role("button", name="Keep").click()
    assert opened.get_by_text("You predicted cubic: ✗ not so.").is_visible()
    assert opened.get_by_text("0 of 1 right").is_visible()
    again = page(asked, told, record)  # another visit
    assert again.get_by_label("cubic").is_checked()
    again.get_by_label("ZIP").check()
    again.get_by_role("button", name="Keep").click()
    assert again.get_by_text("You predicted ZIP: ✓ right.").is_visible()
    assert again.get_by_text("1 of 1 right").is_visible()
    assert page(predictions.record("06")).get_by_text("You kept no prediction").is_visible()  # another chapter's


@pytest.mark.browser
def test_a_number_counts_as_right_within_a_tolerance(page):
    asked = predictions.ask("05-gain", "How many dB?", low=0, high=10, step=0.5, unit="dB")
    opened = page(asked, predictions.tell("05-gain", 3.1, close=0.5))
    opened.get_by_role("button", name="Keep").click()
    assert opened.get_by_text("Choose first.").is_visible()  # a slider that was not moved is no answer
    for value, words in (("3", "✓ right."), ("9", "✗ not so.")):
        opened.get_by_role("slider").fill(value)
        opened.get_by_role("button", name="Keep").click()
        assert opened.get_by_text(f"You predicted {value} dB: {words}").is_visible()


@pytest.mark.browser
def test_a_sketch_comes_back_on_the_measured_picture(page):
    asked = predictions.sketch("05-where", "Where is it wrong?", IMAGE)
    opened = page(asked, predictions.tell("05-where", 1 - IMAGE))
    area = opened.locator("canvas").first.bounding_box()
    opened.mouse.move(area["x"] + 40, area["y"] + 40)
    opened.mouse.down()
    opened.mouse.move(area["x"] + 120, area["y"] + 80, steps=5)
    opened.mouse.up()
    opened.get_by_role("button", name="Keep").click()
    assert opened.get_by_text("Measured, with your sketch:").is_visible()
    count = """() => { const c = document.querySelectorAll('canvas')[1], p = c.getContext('2d');
      const d = p.getImageData(0, 0, c.width, c.height).data; let n = 0;
      for (let k = 0; k < d.length; k += 4) n += d[k] > 240 && d[k + 2] < 60; return n; }"""
    opened.wait_for_function(f"({count})() > 200")  # yellow strokes


@pytest.mark.browser
def test_without_scripts_the_question_and_the_answer_stand_as_text(chromium):
    context = chromium.new_context(java_script_enabled=False)
    opened = context.new_page()
    asked = predictions.ask("05-best", "Which is best?", ["cubic", "ZIP"])
    opened.set_content(asked.html + predictions.tell("05-best", "ZIP").html)
    text = opened.inner_text("body")
    context.close()
    assert "Which is best? (cubic · ZIP)" in text
    assert "Measured: ZIP" in text


def test_what_cannot_be_asked_or_told():
    with pytest.raises(ValueError, match="two different choices"):
        predictions.ask("05-a", "?", ["one"])
    with pytest.raises(ValueError, match="low and high"):
        predictions.ask("05-a", "?", low=1, high=1)
    with pytest.raises(ValueError, match="was not asked"):
        predictions.tell("05-b", 1)
    predictions.ask("05-a", "?", ["one", "two"])
    with pytest.raises(ValueError, match="none of 'one', 'two'"):
        predictions.tell("05-a", "three")
    assert predictions.chapter() == "05"


def test_a_question_cannot_smuggle_in_html():
    asked = predictions.ask("05-a", "</script><b>?", ["<i>", "'\""])
    assert "<b>" not in asked.html
    assert "<i>" not in asked.html


def test_a_knob_steps_where_nobody_turns_it():
    made = []
    viewer = knobs.turn(lambda v: made.append(v) or v * IMAGE, [1, 2, 4], label="gain", caption="c")
    assert isinstance(viewer, viewers.Viewer)
    assert made == [1, 2, 4]
    with pytest.raises(ValueError, match="rise"):
        knobs.turn(lambda v: IMAGE, [2, 1], label="l", caption="c")


def test_a_live_knob_computes_what_is_set(monkeypatch):
    monkeypatch.setattr(knobs, "attended", lambda: True)
    made = []
    box = knobs.turn(lambda v: made.append(v) or v * IMAGE, [0.5, 2.0], label="gain", caption="c")
    control, picture, _ = box.children
    before = picture.value
    control.value = 1.25
    assert made[-1] == pytest.approx(1.25)
    assert picture.value != before
    assert len(made) == 3  # the first picture, the window, the one that was set


def test_a_live_knob_draws_figures_and_closes_them(monkeypatch):
    monkeypatch.setattr(knobs, "attended", lambda: True)
    plt.close("all")  # what other tests left open

    def draw(value):
        figure, ax = figures.subplots(size=(2, 1))
        ax.set(title=f"{value:g}")
        return figure

    control, picture, _ = knobs.turn(draw, [1, 5], label="gain", caption="c").children
    before = picture.value
    control.value = 4
    assert picture.value != before
    assert "pixelated" not in picture.value
    assert not plt.get_fignums()
