"""The website: built with warnings as errors, asks nobody for anything, readable everywhere, on paper, and by ear."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from book import copies, landing, pages
from medsr_course import resources
from medsr_course.runtime import CourseError
from medsr_course.teaching import exercises, notebooks
from tools import site_report

pytestmark = pytest.mark.xdist_group("site")  # one worker builds the site, once

BOOK = resources.checkout() / "book"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.mark.browser
def test_no_page_asks_another_server_for_anything_or_is_wider_than_a_phone(site, visit):
    assert {"index.html", "search.html", "solutions.html"} <= set(site_report.page_names(site))
    for name in site_report.page_names(site):
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
    drawn = landing.course_map(pages.chapters())
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
    script = cell | {"outputs": [{"data": {"application/javascript": f"script.src = '{copies.CDN}'"}}]}
    notebook = {"cells": [cell, injected, script], "metadata": {"papermill": {"input_path": "/opt/x"}}}
    made = json.loads(copies.handed_out(json.dumps(notebook)))
    assert [c["metadata"] for c in made["cells"]] == [{"tags": ["claim"]}] * 2
    assert "papermill" not in made["metadata"]
    assert "cdn" not in json.dumps(made)


def test_a_place_for_whole_volumes_comes_after_a_cell_that_asks_for_it(tmp_path):
    cells = [{"cell_type": "markdown", "metadata": {"tags": tags}, "source": "x"} for tags in (["volume"], [])]
    text = json.dumps({"cells": cells, "metadata": {}})
    page = json.loads(copies.shown(text, tmp_path, {"niivue": 1_000_000, "template": 300_000}))
    made = [cell["source"] for cell in page["cells"]]
    assert '<div class="medsr-volume" data-weight="1.3 MB"' in made[0]
    assert made[1] == "x"
    assert "div" not in copies.shown(text, tmp_path, {})


def test_the_landing_page_opens_on_coarse_against_network():
    images = "".join(f'<img alt="{name}">' for name in ("coarse", "ZIP", "network", "truth"))
    viewer = f'<figure data-config="{{&quot;start&quot;: [1, 3]}}">{images}</figure>'
    assert "&quot;start&quot;: [0, 2]}" in landing._before_and_after(viewer)


def test_every_page_is_in_the_contents():
    listed = set(pages.contents()) | {"index", "solutions", "results"}
    assert {path.stem for path in BOOK.glob("*.md")} <= listed
    assert yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))["root"] == "index"


def test_the_page_of_cards_has_every_network_and_what_was_measured(tmp_path, monkeypatch):
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
    made = pages.networks(tmp_path)
    page = made["{{CARDS}}"]
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
    card = replace(
        pretrained.card("unet-tissue"), name="bad", **words, data=[HOSTILE], metrics={HOSTILE: {HOSTILE: 1.0}}
    )
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
    made = ["\n\n".join(pages.networks(tmp_path).values()), pages.results(tmp_path / "source"), landing.course_map([])]
    boards = rendered(pages.leaderboards(tmp_path / "source")["{{BOARDS}}"])
    assert "<td>&lt;script&gt;x&lt;/script&gt; <code>&lt;b&gt;</code></td>" in boards
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
