"""The viewers in a real browser: what is dragged really changes the picture."""

import ast
import base64
import io
import shutil
import subprocess

import numpy as np
import pytest
from conftest import code_cells, require
from PIL import Image

from book import libraries
from medsr_course.teaching import notebooks, viewers

WHITE, BLACK = np.ones((40, 60)), np.zeros((40, 60))


@pytest.fixture
def open_page(chromium):
    """``open_page(html, …)``: a page that fails the test on any request, console error or exception."""
    contexts, problems = [], []

    def open_(body, script=True, **options):
        context = chromium.new_context(java_script_enabled=script, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith("data:") else problems.append(r.url))
        page.set_content(f"<!doctype html><meta charset='utf-8'><body>{body}</body>")
        if script:
            page.wait_for_function("!document.querySelector('.medsr-scene:not([data-drawn])')")
        return page

    yield open_
    for context in contexts:
        context.close()
    # A test that waits for a pixel reads the canvas again and again, and Chromium remarks on that.
    assert [text for text in problems if "willReadFrequently" not in text] == []


def grey(page, selector=".medsr-stage"):
    """Screenshot of the stage, grey values (h, w)."""
    page.wait_for_function("Array.from(document.images).every(i => i.complete)")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).first.screenshot())).convert("L"), float)


def share_white(page):
    """Share of the stage that the white image covers, along a row free of labels and handle."""
    picture = grey(page)
    return (picture[int(0.8 * len(picture))] > 128).mean()


@pytest.mark.browser
def test_dragging_the_divider_moves_the_border_between_the_images(open_page):
    viewer = viewers.compare({"white": WHITE, "black": BLACK}, caption="c", window=(0, 1))
    page = open_page(viewer.html)
    assert share_white(page) == pytest.approx(0.5, abs=0.02)
    box = page.locator(".medsr-stage").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=4)
    page.mouse.up()
    assert share_white(page) == pytest.approx(0.8, abs=0.02)
    page.get_by_role("button", name="Reset").click()
    assert share_white(page) == pytest.approx(0.5, abs=0.02)


@pytest.mark.browser
def test_a_finger_moves_the_divider(open_page):
    viewer = viewers.compare({"white": WHITE, "black": BLACK}, caption="c", window=(0, 1))
    page = open_page(viewer.html, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    box = page.locator(".medsr-stage").bounding_box()
    session = page.context.new_cdp_session(page)
    y = box["y"] + box["height"] / 2
    for kind, part in (("touchStart", 0.5), ("touchMove", 0.4), ("touchMove", 0.25)):
        point = {"x": box["x"] + box["width"] * part, "y": y}
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert share_white(page) == pytest.approx(0.25, abs=0.03)


@pytest.mark.browser
def test_the_keyboard_moves_the_divider_and_zooms(open_page):
    viewer = viewers.compare({"white": WHITE, "black": BLACK}, caption="c", window=(0, 1))
    page = open_page(viewer.html)
    page.get_by_label("Divider").focus()
    page.keyboard.press("Home")
    assert share_white(page) < 0.03
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    assert share_white(page) == pytest.approx(0.3, abs=0.02)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    # Without the mark on the focused element itself, JupyterLab takes the arrow keys for its cells.
    focusable = page.locator(".medsr-live :is(input, select, button, [tabindex])")
    assert focusable.count() == 14
    assert page.locator(".medsr-live [data-lm-suppress-shortcuts]").count() == 15  # and the word "Brightness"
    page.locator(".medsr-stage").focus()
    page.keyboard.press("ArrowLeft")  # where nothing is zoomed, the arrows move the divider
    assert share_white(page) == pytest.approx(0.29, abs=0.02)
    page.keyboard.press("+")
    assert page.get_by_label("Zoom", exact=True).inner_text() == "1.5×"
    page.keyboard.press("0")
    assert page.get_by_label("Zoom", exact=True).inner_text() == "1×"


@pytest.mark.browser
def test_the_drop_downs_choose_the_images(open_page):
    viewer = viewers.compare({"white": WHITE, "black": BLACK, "mid": 0.5 * WHITE}, caption="c", window=(0, 1))
    page = open_page(viewer.html)
    row = int(0.8 * len(grey(page)))
    assert grey(page)[row, -20] == pytest.approx(128, abs=2)  # the last image is on the right
    page.get_by_label("Left image", exact=True).select_option("black")
    page.get_by_label("Right image", exact=True).select_option("white")
    assert grey(page)[row, 20] < 3
    assert grey(page)[row, -20] > 252


@pytest.mark.browser
def test_zoom_and_pan_show_single_pixels_sharp(open_page):
    image = np.zeros((16, 16))
    image[::2, ::2] = 1
    viewer = viewers.compare({"a": image, "b": image}, caption="c", window=(0, 1), pixel_size=1.0)
    page = open_page(viewer.html)
    assert page.locator(".medsr-scale").inner_text() == "2 mm"
    assert page.locator(".medsr-scale").evaluate("node => getComputedStyle(node).outlineColor") == "rgb(0, 0, 0)"
    before = grey(page)
    for _ in range(4):
        page.get_by_role("button", name="Zoom in").click()
    assert page.locator(".medsr-scale").inner_text() == "0.5 mm"
    page.get_by_label("Divider").press("Home")
    zoomed = grey(page)
    assert np.abs(zoomed - before).mean() > 20
    between = ((zoomed > 30) & (zoomed < 225)).mean()
    assert between < 0.06  # smoothing would fill the picture with greys
    box = page.locator(".medsr-stage").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 300 + 110, box["y"] + 300, steps=3)
    page.mouse.up()
    assert np.abs(grey(page) - zoomed).mean() > 20
    zoom = page.get_by_label("Zoom", exact=True).inner_text()
    page.mouse.wheel(0, -300)  # belongs to the page, also after a click into the image
    assert page.get_by_label("Zoom", exact=True).inner_text() == zoom
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    assert page.get_by_label("Zoom", exact=True).inner_text() > zoom


@pytest.mark.browser
@pytest.mark.parametrize("ratio", [1, 1.25, 2.625])
def test_every_sample_gets_the_same_whole_number_of_screen_pixels(open_page, ratio):
    image = np.indices((37, 53)).sum(axis=0) % 2  # at 2.46 pixels a sample a chessboard shows false texture
    viewer = viewers.compare({"a": image, "b": image}, caption="c", window=(0, 1))
    page = open_page(f'<div style="margin-left: 7.3px">{viewer.html}</div>', device_scale_factor=ratio)
    page.add_style_tag(content=".medsr-divider, .medsr-name { display: none } body { background: #000 }")
    page.get_by_label("Divider").press("Home")
    pixels = drawn(page)
    assert set(np.unique(pixels)) == {0, 255}
    each = pixels.shape[1] // 53
    assert pixels.shape == (37 * each, 53 * each)
    assert each >= 2
    assert (pixels[::each, ::each] == 255 * image[::-1]).all()
    assert (pixels == pixels[::each, ::each].repeat(each, 0).repeat(each, 1)).all()
    left = page.locator(".medsr-scene > canvas").evaluate("n => n.getBoundingClientRect().left * devicePixelRatio")
    assert left == pytest.approx(round(left), abs=0.02)
    page.get_by_role("button", name="Zoom in").click()
    assert set(np.unique(drawn(page))) == {0, 255}
    page.get_by_label("Smooth").check()
    assert len(np.unique(drawn(page))) > 20


def drawn(page):
    """The canvas itself, grey values (h, w), in screen pixels."""
    source = page.locator(".medsr-scene > canvas").first.evaluate("node => node.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("L"))


def centres(page, rows):
    """Every sample of the finest image, read in the middle of its square."""
    pixels = drawn(page)
    each = len(pixels) // rows
    return pixels[each // 2 :: each, each // 2 :: each][::-1].astype(float)


@pytest.mark.browser
def test_the_difference_is_right_minus_left_times_the_gain(open_page):
    a = np.random.default_rng(0).uniform(0.2, 0.4, (24, 20))
    b = a + np.random.default_rng(1).uniform(-0.1, 0.1, a.shape)
    viewer = viewers.compare({"a": a, "b": b}, caption="c", window=(0, 1))
    page = open_page(viewer.html)
    page.get_by_label("Show").select_option("difference")
    page.get_by_label("Gain").select_option("4")
    assert (centres(page, 24) - 127.5) / 127.5 == pytest.approx(4 * (b - a), abs=0.03)
    assert page.locator(".medsr-name-right").inner_text() == "b − a, ×4"
    page.locator(".medsr-stage").press("d")
    assert page.get_by_label("Show").input_value() == "image"


@pytest.mark.browser
def test_key_b_blinks_between_the_images_and_every_state_is_spoken(open_page):
    viewer = viewers.compare({"white": WHITE, "black": BLACK}, caption="c", window=(0, 1))
    page = open_page(viewer.html)
    stage = page.locator(".medsr-stage")
    shares = []
    for _ in range(3):
        stage.press("b")
        shares.append((drawn(page) > 128).mean())
    assert shares == [1, 0, 1]
    spoken = page.locator("[aria-live=polite]")
    page.wait_for_function("node => node.textContent === 'Only white, zoom 1×'", arg=spoken.element_handle())
    page.get_by_label("Divider").press("Home")
    said = "white left, black right, divided at 0 percent, zoom 1×"
    page.wait_for_function("([n, t]) => n.textContent === t", arg=[spoken.element_handle(), said])


@pytest.mark.browser
def test_values_are_read_under_the_pointer_and_by_keys(open_page):
    image = np.arange(12.0).reshape(3, 4) * 10
    viewer = viewers.compare({"a": image, "b": image + 5}, caption="c", window=(0, 255))
    page = open_page(viewer.html)
    box = page.locator(".medsr-stage").bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"])  # row 0 is at the bottom
    assert page.locator(".medsr-value").inner_text() == "row 0, column 3: a 30 · b 35 · difference 5"
    page.locator(".medsr-stage").press("Shift+ArrowUp")
    page.locator(".medsr-stage").press("Shift+ArrowLeft")
    assert page.locator(".medsr-value").inner_text() == "row 1, column 2: a 60 · b 65 · difference 5"
    page.wait_for_function("document.querySelector('.medsr-spoken').textContent.startsWith('row 1, column 2')")
    page.get_by_label("Profile").check()
    assert page.get_by_role("img", name="Values along row 1").is_visible()


@pytest.mark.browser
def test_level_and_width_change_brightness_alone(open_page):
    ramp = np.tile(np.arange(0, 256, 8.0), (16, 1))
    viewer = viewers.slider({"one": ramp, "two": ramp}, caption="c", window=(0, 255))
    page = open_page(viewer.html)
    page.get_by_text("Brightness").click()
    page.get_by_label("Level").fill("100")
    page.get_by_label("Width").fill("50")
    assert centres(page, 16) == pytest.approx(255 * np.clip((ramp - 100) / 50 + 0.5, 0, 1), abs=1)
    assert page.get_by_label("Level").get_attribute("aria-valuetext") == "100"


@pytest.mark.browser
def test_kspace_is_that_of_the_image_and_a_coarse_one_fills_the_middle(open_page):
    rng = np.random.default_rng(0)
    fine, coarse = np.round(rng.uniform(0, 255, (36, 30))), np.round(rng.uniform(0, 255, (18, 15)))
    viewer = viewers.compare({"fine": fine, "coarse": coarse}, caption="c", window=(0, 255))
    page = open_page(viewer.html)
    page.locator(".medsr-stage").press("k")
    for image, key in ((fine, "End"), (coarse, "Home")):
        page.get_by_label("Divider").press(key)
        log = np.log10(np.abs(np.fft.fftshift(np.fft.fft2(image[::-1]))) + 1e-9)
        expected = np.zeros((36, 30))
        top, left = 18 - len(log) // 2, 15 - log.shape[1] // 2
        expected[top : top + len(log), left : left + log.shape[1]] = (log - log.max() + 4) / 4
        assert centres(page, 36)[::-1] / 255 == pytest.approx(np.clip(expected, 0, 1), abs=0.01)


@pytest.mark.browser
def test_stacks_have_a_slider_for_the_slice(open_page):
    stack = np.arange(5.0)[:, None, None] * np.ones((5, 8, 8))
    viewer = viewers.compare({"a": stack, "b": stack + 1}, caption="c", window=(0, 255))
    page = open_page(viewer.html)
    slider = page.get_by_label("Slice")
    assert slider.input_value() == "2"
    slider.press("End")
    page.get_by_label("Divider").press("End")
    page.wait_for_function(
        "document.querySelector('.medsr-scene > canvas').getContext('2d').getImageData(5,5,1,1).data[0] === 4"
    )
    assert slider.get_attribute("aria-valuetext") == "4"


@pytest.mark.browser
def test_colours_are_read_back_as_values(open_page):
    image = np.linspace(0, 1, 64).reshape(8, 8)
    page = open_page(viewers.compare({"a": image, "b": image}, caption="c", window=(0, 1), cmap="magma").html)
    for _ in range(2):
        page.locator(".medsr-stage").press("Shift+ArrowUp")
    told = page.locator(".medsr-value").inner_text()
    assert told.startswith("row 6, column 4: a ")
    assert float(told.split()[5]) == pytest.approx(image[6, 4], abs=1 / 255)


@pytest.mark.browser
@pytest.mark.parametrize("size", [{"width": 1366, "height": 768}, {"width": 1366, "height": 650}])
def test_a_viewer_fits_a_laptop_and_its_controls_a_phone(open_page, size):
    image = np.ones((233, 197))
    viewer = viewers.compare({"left image": image, "right image": image}, caption="c", window=(0, 1))
    page = open_page(f"<div style='width: 700px'>{viewer.html}</div>", viewport=size)
    first, last = page.locator(".medsr-bar").first.bounding_box(), page.locator(".medsr-value").bounding_box()
    assert last["y"] + last["height"] - first["y"] <= size["height"]
    page = open_page(viewer.html, viewport={"width": 360, "height": 740}, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    unnamed = page.locator(".medsr-live").evaluate(
        "node => [...node.querySelectorAll('input, select, button')].filter(n => !n.labels?.length && "
        "!n.getAttribute('aria-label') && !n.textContent).length"
    )
    assert unnamed == 0


@pytest.mark.browser
@pytest.mark.parametrize("grid", viewers.GRIDS)
def test_a_coarse_image_lies_over_the_fine_one_as_its_grid_says(open_page, grid):
    fine, coarse = np.zeros((40, 40)), np.zeros((10, 10))
    fine[20, 20] = 1
    coarse[5, 5] = 1  # sample 5 of the coarse grid is sample 20 of the fine one
    viewer = viewers.compare({"fine": fine, "coarse": coarse}, caption="c", window=(0, 1), grid=grid)
    page = open_page(viewer.html)
    page.add_style_tag(content=".medsr-divider, .medsr-name { display: none } body { background: #000 }")

    def centre(position):
        page.get_by_label("Divider").press(position)
        picture = grey(page)
        rows, columns = np.nonzero(picture > 128)
        return np.array([len(picture) - rows.mean() - 0.5, columns.mean() + 0.5]) * 40 / len(picture)

    assert centre("End") == pytest.approx([20.5, 20.5], abs=0.1)  # row 0 is at the bottom
    expected = 20.5 if grid == "first sample" else 22
    assert centre("Home") == pytest.approx([expected, expected], abs=0.1)


@pytest.mark.browser
def test_the_slider_shows_the_frame_it_names(open_page):
    import matplotlib.pyplot as plt

    plt.close("all")  # what other tests left open
    levels = viewers.slider(
        {"0 %": BLACK, "5 %": 0.5 * WHITE, "10 %": WHITE}, caption="c", window=(0, 1), label="Noise σ"
    )
    figures = [plt.subplots(figsize=(3, 2))[0] for _ in range(2)]
    lettered = viewers.slider(dict(zip("ab", figures, strict=True)), caption="c", start="b")
    assert plt.get_fignums() == []
    page = open_page(levels.html + lettered.html)
    slider = page.get_by_label("Noise σ")
    slider.focus()
    for expected, name in ((128, "5 %"), (255, "10 %")):
        page.keyboard.press("ArrowRight")
        assert np.median(grey(page)) == pytest.approx(expected, abs=2)
        assert slider.get_attribute("aria-valuetext") == name
    assert page.get_by_label("Frame").get_attribute("aria-valuetext") == "b"


@pytest.mark.browser
def test_many_viewers_on_a_page_do_not_disturb_each_other(open_page):
    two = [viewers.compare({"white": WHITE, "black": BLACK}, caption="c", window=(0, 1)) for _ in range(2)]
    page = open_page(two[0].html + two[1].html)
    page.get_by_label("Divider").nth(1).press("End")
    assert share_white(page) == pytest.approx(0.5, abs=0.02)
    assert page.locator(".medsr-live").count() == 2


@pytest.mark.browser
def test_without_scripts_the_images_stand_side_by_side(open_page):
    viewer = viewers.compare({"white": WHITE, "black": BLACK}, caption="c", window=(0, 1))
    page = open_page(viewer.html, script=False)
    boxes = [page.get_by_role("img", name=name).bounding_box() for name in ("white", "black")]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


def test_images_go_through_one_window_and_are_flipped():
    image = np.array([[0.0, 1.0], [2.0, np.nan]])
    shown = viewers.compare({"a <b>": image, "b": image}, caption="1 < 2", window=(0, 2))
    assert "a &lt;b&gt;" in shown.html
    assert "1 &lt; 2" in shown.html
    picture = shown.html.split("base64,")[1].split('"')[0]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))))
    assert pixels.tolist() == [[255, 0], [0, 128]]


def test_a_viewer_is_shown_once_as_html_and_in_words(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    viewer = viewers.compare({"white": WHITE, "black": BLACK}, caption="c", window=(0, 1))
    assert shown == []
    viewer._ipython_display_()
    assert shown == [{"text/html": viewer.html, "text/plain": "Viewer: c"}]
    assert "<figure" not in repr(viewer)


def calls(tree):
    found = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [name for name in found if name in ("viewers.compare", "viewers.slider", "viewers.reading")]


def test_every_viewer_of_a_chapter_is_shown():
    """A viewer that is neither a cell's last line nor given to ``display`` would be made and not seen."""
    for chapter in notebooks.chapters():
        for source in code_cells(chapter):
            tree = ast.parse(source)
            given = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "display"]
            last = [tree.body[-1]] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
            assert len(calls(tree)) == sum(len(calls(node)) for node in given + last), (chapter, source)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="at least two"):
        viewers.compare({"a": WHITE}, caption="c")
    with pytest.raises(ValueError, match="one slice"):
        viewers.compare({"a": WHITE, "b": np.zeros(3)}, caption="c")
    with pytest.raises(ValueError, match="different numbers of slices"):
        viewers.compare({"a": WHITE, "b": np.zeros((2, 3, 4))}, caption="c")
    with pytest.raises(ValueError, match="give two of 'a', 'b'"):
        viewers.compare({"a": WHITE, "b": BLACK}, caption="c", start=("a", "z"))
    with pytest.raises(ValueError, match="grid"):
        viewers.compare({"a": WHITE, "b": BLACK}, caption="c", grid="centre")
    with pytest.raises(ValueError, match="at least two"):
        viewers.slider({"a": WHITE}, caption="c")
    with pytest.raises(ValueError, match="or a figure"):
        viewers.slider({"a": WHITE, "b": np.zeros(3)}, caption="c")


SCRIPTS = sorted([*viewers.HERE.glob("viewers*.js"), viewers.HERE / "fourier.js", *libraries.BROWSER.glob("*.js")])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_well_formed_short_and_ask_no_other_server(path):
    require("npm", shutil.which("node"), "needs Node.js")
    done = subprocess.run(["node", "--check", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 400
    assert max(map(len, lines)) <= 125
    assert "://" not in path.read_text(encoding="utf-8")
