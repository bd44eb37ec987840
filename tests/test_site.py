"""The website: built with warnings as errors, asks nobody for anything, readable everywhere."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from book import build, pages
from medsr_course import resources
from medsr_course.runtime import CourseError
from medsr_course.teaching import exercises, notebooks

pytestmark = pytest.mark.xdist_group("site")  # one worker builds the site, once

BOOK = resources.checkout() / "book"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}

# One of each thing that a chapter shows, and words too long for a phone.
SAMPLES = {
    "markdown": "# 00 · Sampler\n\n$x_k = \\sum_n X_n$ and `a_name_that_is_far_too_long_for_the_width_of_a_phone`\n\n"
    "$$\\mathrm{PSNR} = 10\\log_{10}\\frac{R^2}{\\mathrm{MSE}} \\quad\\text{and much more of a formula than fits}$$",
    "figure": "from medsr_course import runtime\n"
    "from medsr_course.teaching import claims, exercises, figures, quizzes, viewers\n"
    "import numpy as np\nruntime.start('smoke', 0)\na, b = np.ones((60, 50)), np.zeros((60, 50))\n"
    "figures.show({'one': a, 'two': b, 'three': a, 'four': b}, 'Four panels.', window=(0, 1), pixel_size=1)",
    "viewer": "viewers.compare({'white': a, 'black': b}, caption='Drag.', window=(0, 1), pixel_size=1)",
    "slider": "viewers.slider({'0 %': b, '9 %': a}, caption='Drag.', window=(0, 1))",
    "claims": "print('x' * 200)\nclaims.check('so', 1, at_least=1)\nclaims.check('not so', 0, at_least=1)\n"
    "claims.skip('unknown', 'no scans')",
    "exercise": "from medsr_course.teaching.exercises._core import _say\n_say('○ 00-x: not answered yet')",
    "quiz": "from jupyterquiz import display_quiz\ndisplay_quiz([quizzes.choice('What is $x_k$?', ('a', 'yes'), "
    "{'b': 'no', 'c': 'no'}), quizzes.numeric('How many?', lambda: 4, tolerance=1, feedback='4')], colors='fdsp')",
}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of the built site: chapter 00 is a sampler that a kernel ran, the others are not executed."""
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("site")
    cells = [
        nbformat.v4.new_markdown_cell(text) if name == "markdown" else nbformat.v4.new_code_cell(text)
        for name, text in SAMPLES.items()
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    sampler = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    NotebookClient(sampler, timeout=60).execute()
    nbformat.write(sampler, folder / "sampler.ipynb")
    build._executed = lambda path, profile: folder / "sampler.ipynb" if path.stem.startswith("00") else path
    return build.build("smoke", output=folder, quiet=True)


@pytest.fixture
def visit(chromium, site):
    """``visit("index.html")``: a page; afterwards fails on any foreign request or console error."""
    contexts, problems = [], []

    def visit(name, theme="light", **options):
        context = chromium.new_context(color_scheme=theme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda r: problems.append(f"missing: {r.url}"))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else problems.append(r.url))
        page.goto((site / name).as_uri())
        if page.locator("span.math, div.math").count():
            page.wait_for_selector("mjx-container", state="attached")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


def html_files(site):
    names = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    return [name for name in names if not name.startswith("_static")]


@pytest.mark.browser
def test_no_page_asks_another_server_for_anything_or_is_wider_than_a_phone(site, visit):
    assert {"index.html", "search.html", "solutions.html"} <= set(html_files(site))
    for name in html_files(site):
        page = visit(name, **PHONE)  # which fails afterwards on any request that leaves the site
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


@pytest.mark.browser
def test_formulas_are_drawn_with_fonts_of_the_site(visit):
    page = visit("notebooks/00_start_here.html")
    assert page.locator("mjx-container").count() >= 2
    assert page.locator("mjx-merror").count() == 0
    loaded = page.evaluate(
        "document.fonts.ready.then(() => [...document.fonts].filter(f => f.family.includes('MJX') "
        "&& f.status === 'loaded').length)"
    )
    assert loaded > 0


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_and_grey_values_are_untouched(visit, theme):
    page = visit("notebooks/00_start_here.html", theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    for selector in (".medsr-claim", ".medsr-exercise", ".medsr-figure figcaption", ".medsr-hint", "p"):
        colours = page.locator(f".bd-article {selector}").first.evaluate(
            """node => { const text = getComputedStyle(node).color;
                 while (getComputedStyle(node).backgroundColor === 'rgba(0, 0, 0, 0)') node = node.parentElement;
                 return [text, getComputedStyle(node).backgroundColor]; }"""
        )
        assert contrast(*colours) > 4.5, (selector, colours)
    marks = page.locator(".medsr-claim b")
    ground = "rgb(18, 18, 18)" if theme == "dark" else "rgb(255, 255, 255)"
    for k in range(marks.count()):
        assert contrast(marks.nth(k).evaluate("node => getComputedStyle(node).color"), ground) > 4.5
    picture = screenshot(page.locator(".medsr-figure:not(.medsr-viewer) img").first)
    assert picture[10:-10, 10].min() == 255  # a white margin around the panels
    viewer = screenshot(page.locator(".medsr-stage[data-drawn]").first)
    assert viewer[int(0.8 * len(viewer)), 40] == 255  # white in the window stays white in the dark


@pytest.mark.browser
def test_viewers_move_in_a_chapter_and_on_the_landing_page(visit):
    for name in ("notebooks/00_start_here.html", "index.html"):
        page = visit(name)
        stage = page.locator(".medsr-stage[data-drawn]").first
        stage.scroll_into_view_if_needed()
        before, box = screenshot(stage), stage.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 10, box["y"] + box["height"] / 2, steps=3)
        page.mouse.up()
        assert np.abs(screenshot(stage) - before).mean() > 3, name
    page = visit("notebooks/00_start_here.html")
    page.get_by_label("Frame").press("End")
    assert screenshot(page.locator(".medsr-stage[data-drawn]").nth(1)).mean() > 250


@pytest.mark.browser
def test_quizzes_answer(visit):
    page = visit("notebooks/00_start_here.html")
    page.locator("label.MCButton", has_text="b").click()
    page.locator(".Feedback", has_text="no").wait_for()


@pytest.mark.browser
def test_solutions_are_there_and_folded(visit):
    page = visit("solutions.html")
    listed = [path.stem.split("_")[0] for path in pages.chapters()]
    names = [name for name in exercises.names() if name.split("-")[0] in listed]
    for name in names:
        assert page.get_by_role("heading", name=re.compile(re.escape(name))).count() == 1
    assert page.locator(".admonition.toggle-hidden").count() == 2 * len(names)
    if names:
        code = page.locator(".admonition pre").first
        assert not code.is_visible()
        page.get_by_text("Solution", exact=True).first.click()
        code.wait_for()


def test_contents_are_the_notebooks_in_their_order():
    assert pages.chapters() == list(notebooks.chapters().values())


def test_the_map_knows_every_chapter_and_says_what_is_planned():
    drawn = pages.course_map(pages.chapters())
    for chapter, path in notebooks.chapters().items():
        assert f"[{pages.title(path)}](notebooks/{path.name})" in drawn, chapter
    assert drawn.count("(planned)") == len(pages.rows("course")) - len(notebooks.chapters())
    for line in drawn.splitlines():
        assert line.endswith("*(planned)*</span>") or "](notebooks/" in line or not line.startswith("- ")


def test_a_chapter_that_is_listed_and_missing_is_named(monkeypatch):
    monkeypatch.setattr(pages, "contents", lambda: ["how-to-use", "notebooks/77_nothing"])
    with pytest.raises(CourseError, match=r"77_nothing\.ipynb"):
        pages.chapters()


def test_copies_for_the_site_hold_no_foreign_script_and_no_record_of_the_machine():
    cell = {"cell_type": "code", "metadata": {"tags": ["claim"], "papermill": {"duration": 1}}, "source": "1"}
    injected = cell | {"metadata": {"tags": ["injected-parameters"]}}
    script = cell | {"outputs": [{"data": {"application/javascript": f"script.src = '{build.CDN}'"}}]}
    notebook = {"cells": [cell, injected, script], "metadata": {"papermill": {"input_path": "/opt/x"}}}
    made = json.loads(build.for_site(json.dumps(notebook), {}))
    assert [c["metadata"] for c in made["cells"]] == [{"tags": ["claim"]}] * 2
    assert "papermill" not in made["metadata"]
    assert "cdn" not in json.dumps(made)


def test_a_place_for_whole_volumes_comes_after_a_cell_that_asks_for_it():
    cells = [{"cell_type": "markdown", "metadata": {"tags": tags}, "source": "x"} for tags in (["volume"], [])]
    text = json.dumps({"cells": cells, "metadata": {}})
    made = [cell["source"] for cell in json.loads(build.for_site(text, {"niivue": 1e6, "template": 3e5}))["cells"]]
    assert '<div class="medsr-volume" data-weight="1.3 MB">' in made[0]
    assert made[1] == "x"
    assert "div" not in build.for_site(text, {})


def test_the_landing_page_opens_on_coarse_against_network():
    images = "".join(f'<img alt="{name}">' for name in ("coarse", "ZIP", "network", "truth"))
    viewer = f'<figure data-config="{{&quot;start&quot;: [1, 3]}}">{images}</figure>'
    assert "&quot;start&quot;: [0, 2]}" in pages._before_and_after(viewer)


def test_every_page_is_in_the_contents():
    listed = set(pages.contents()) | {"index", "solutions", "results"}
    assert {path.stem for path in BOOK.glob("*.md")} <= listed
    assert yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))["root"] == "index"


def test_the_page_of_cards_has_every_network_and_what_was_measured(monkeypatch):
    from medsr_course.networks import pretrained

    about = {"intended_use": "x", "not_for": "patients", "version": "1.2"}
    dice, sharp = pretrained.card("unet-tissue"), pretrained.card("espcn-x2")
    gain = {"zip (dB)": 30.0, "gain (dB)": 1.0, "gain_head (dB)": 0.5}
    twin = {"metrics": {"cohort": {"gain (dB)": 0.75}}}
    cards = {
        "dice": replace(dice, name="dice", metrics={"cohort": {"Dice": 0.9}, "real": {"found (%)": 50}}, **about),
        "sharp": replace(sharp, name="sharp", metrics={"cohort": gain}, twin=twin, **about),
    }
    monkeypatch.setattr(pretrained, "names", lambda task: list(cards))
    monkeypatch.setattr(pretrained, "card", cards.get)
    page = pages.networks()
    assert page.index("(`sharp`)") < page.index("(`dice`)")
    assert "| cohort | 30.00 | +1.00 | +0.50 | +0.75 |" in page
    assert "| cohort | 0.9 |  |" in page
    assert "| real |  | 50 |" in page
    assert page.count("**Not for**: patients") == 2
    assert page.count(" 1.2 (sha256 ") == 2


HOSTILE = "<script>alert(1)</script> [x](y) {raw}`html` | **b** $x$ ![i](j)"


def rendered(markdown):
    """HTML as MyST makes it of a page."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").render(markdown)


def test_names_cards_and_tables_are_text_on_a_page_and_never_markup(tmp_path, monkeypatch):
    from medsr_course.networks import pretrained

    words = dict.fromkeys(("title", "licence", "intended_use", "not_for", "version"), HOSTILE)
    card = replace(pretrained.card("unet-tissue"), **words, data=[HOSTILE], metrics={HOSTILE: {HOSTILE: 1.0}})
    monkeypatch.setattr(pretrained, "names", lambda task: ["bad"])
    monkeypatch.setattr(pretrained, "card", lambda name: card)
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "BOOK", tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "source").mkdir()
    quoted = '"' + HOSTILE + '"'
    (tmp_path / "results" / "a[b](y) $d$.csv").write_text(f"# {HOSTILE}\n{quoted},n\n{quoted},1\n")
    (tmp_path / "course.csv").write_text(f"part,number,slug,title,summary\n{quoted},98,x,{quoted},{quoted}\n")
    (tmp_path / "results" / "leaderboard.md").write_text("# Board\n\n| method |\n|---|\n| <script>x</script> `<b>` |\n")
    made = [pages.networks(), pages.results(tmp_path / "source"), pages.course_map([])]
    assert "<td>&lt;script&gt;x&lt;/script&gt; <code>&lt;b&gt;</code></td>" in rendered(
        pages.leaderboards(tmp_path / "source")
    )
    for page in made:
        html = rendered(page).replace("*(planned)*", "")
        assert "&lt;script&gt;" in html
        assert not re.search("<(script|a href=.y|img|strong>b)", html), html
        assert not re.search(r"(?<!\\)[{$]", page)  # neither a role nor a formula of MyST
    assert rendered(made[1]).count("<td>") == 2
    assert "<h2>A[b](y) $d$</h2>" in rendered(made[1])


def screenshot(locator):
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("L"), float)


def contrast(text, ground):
    """WCAG 2 contrast ratio of two CSS colours ``rgb(r, g, b)``."""

    def luminance(colour):
        c = np.array([float(v) for v in re.findall(r"[\d.]+", colour)[:3]]) / 255
        return np.dot([0.2126, 0.7152, 0.0722], np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4))

    light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
