"""The built site, read as people read it: by keyboard and by ear, on paper, under a sub-path, found again."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

from book import pages
from tools import site_report

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.browser]
CHAPTER = "notebooks/00_start_here.html"
ALL_LOOKS = (CHAPTER, "index.html", "how-to-use.html", "solutions.html", "search.html")
A4 = {"width": 688, "height": 1000}  # CSS pixels between the margins of print.css


@pytest.mark.slow
def test_axe_finds_no_serious_fault_on_any_page(site, visit):
    """At the width where most scrolls; of the chapters that were not executed, one stands for all."""
    names = [name for name in site_report.page_names(site) if not name.startswith("notebooks/")]
    assert set(ALL_LOOKS) <= {CHAPTER, *names}
    found = []
    for name in (CHAPTER, "notebooks/05_interpolation_fourier_wavelets.html", *names):
        page = visit(name, "light", viewport={"width": 390, "height": 844}, has_touch=True)
        site_report.rest(page)
        found += [f"{name}: {fault}" for fault in site_report.faults(page)]
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_any_look(visit, theme):
    found = []
    for name in ALL_LOOKS:
        for size in ({"width": 1366, "height": 768}, {"width": 360, "height": 740}):
            page = visit(name, theme, viewport=size)
            site_report.rest(page)
            page.wait_for_timeout(150)  # reading.js answers to what the quizzes add
            found += [f"{name} {size['width']}: {fault}" for fault in site_report.faults(page)]
    assert found == []


def test_axe_would_find_a_field_without_a_name(visit):
    page = visit("how-to-use.html")
    page.evaluate("document.querySelector('.bd-article').insertAdjacentHTML('beforeend', '<input type=text>')")
    assert any(fault.startswith("label") for fault in site_report.faults(page))


def test_the_field_of_a_quiz_is_named_by_its_question(visit):
    page = visit(CHAPTER)
    assert page.get_by_label("How many?").is_visible()


def test_a_quiz_may_be_there_before_mathjax(site, chromium):
    page, errors = chromium.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route(lambda address: "mathjax" in address, lambda route: route.abort())
    with page.expect_console_message(lambda message: message.text.startswith("After sleep")):
        page.goto((site / CHAPTER).as_uri())
    page.evaluate("1")  # what the message's function did next is over
    page.close()
    assert errors == []


def test_wide_things_can_be_reached_with_the_keyboard(visit):
    page = visit(CHAPTER, viewport={"width": 360, "height": 740})
    page.wait_for_function("document.querySelector('.medsr-figure > div[tabindex]')")
    assert page.locator(".bd-article .output pre[tabindex]").count() >= 1


# On a busy machine the five seconds after which all viewers come may be over before the test looks.
NEVER_LATER = (
    "const soon = setTimeout; window.setTimeout = (f, ms, ...more) => ms < 5000 || !ms ? soon(f, ms, ...more) : 0;"
)


def test_a_large_viewer_comes_when_the_reader_is_near_and_in_the_end_for_paper(visit):
    page = visit(CHAPTER, before=NEVER_LATER, viewport={"width": 1366, "height": 300})
    place = page.locator(".medsr-later").last
    assert place.locator(".medsr-stage").count() == 0
    place.scroll_into_view_if_needed()
    place.locator(".medsr-stage").wait_for()
    assert place.locator("select").count() >= 2  # its controls live
    page = visit(CHAPTER, before=NEVER_LATER, viewport={"width": 1366, "height": 300})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.locator(".medsr-later .medsr-stage").last.wait_for(state="attached")


@pytest.mark.parametrize("name", [CHAPTER, "leaderboard.html", "networks.html", "solutions.html"])
def test_nothing_is_cut_on_paper(visit, name):
    page = visit(name, viewport=A4)
    page.emulate_media(media="print")
    cut = page.evaluate(CUT)
    assert cut == []
    assert page.evaluate("document.documentElement.scrollWidth") <= A4["width"]
    assert page.locator(".bd-sidebar-primary").is_hidden()
    assert page.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")
    assert page.evaluate("[...document.images].filter((i) => i.loading === 'lazy' && !i.complete).length") == 0


@pytest.mark.parametrize(("media", "size"), [("print", A4), ("screen", {"width": 360, "height": 740})])
def test_no_number_and_no_name_of_a_file_is_broken_over_lines(visit, media, size):
    page = visit("leaderboard.html", viewport=size)
    page.emulate_media(media=media)
    broken = page.evaluate(
        """() => [...document.querySelectorAll('.bd-article td')].flatMap((cell) => {
            const whole = /^[+−-]?[\\d.,]+$/.test(cell.innerText.trim()) ? [cell] : [];
            return [...whole, ...cell.querySelectorAll('a.download .pre')];
        }).filter((node) => {
            const range = document.createRange();
            range.selectNodeContents(node.querySelector('p') || node);  // of text alone: its lines
            return new Set([...range.getClientRects()].map((line) => Math.round(line.top / 4))).size > 1;
        }).map((node) => node.innerText)"""
    )
    if media == "print":
        broken = [text for text in broken if not text.endswith(".csv")]  # long names of files may break on paper
    assert broken == []


def test_the_landing_page_begins_with_the_picture_on_a_phone(visit):
    page = visit("index.html", viewport={"width": 360, "height": 740})
    stage = page.locator(".medsr-hero .medsr-stage[data-drawn]").first
    stage.wait_for()
    box, lead = stage.bounding_box(), page.locator(".bd-article p").first.bounding_box()
    assert box["y"] + box["height"] / 2 < 740  # seen without scrolling
    assert abs(box["x"] - lead["x"]) < 3  # in line with the text
    assert page.locator(".medsr-hero .medsr-bar").first.bounding_box()["y"] > box["y"]


# Boxes of the text that hide a part of what they hold, or whose text runs out of the page.
CUT = """() => [...document.querySelectorAll('.bd-article, .bd-article *')].filter((box) => {
    const style = getComputedStyle(box);
    if (/none|inline$/.test(style.display) || box.closest('svg, mjx-container, .medsr-live, details')) return false;
    const hides = style.overflowX !== 'visible' && box.scrollWidth > box.clientWidth + 2;
    return box.clientWidth > 1 && (hides || box.getBoundingClientRect().left + box.scrollWidth > innerWidth + 1);
}).map((box) => `${box.tagName}.${box.className} ${box.scrollWidth} > ${box.clientWidth}`)"""


def test_paper_without_our_rules_would_cut(visit):
    page = visit(CHAPTER, viewport=A4)
    page.evaluate("for (const link of document.querySelectorAll('link[href*=\"print.css\"]')) link.remove()")
    page.emulate_media(media="print")
    assert page.evaluate(CUT) != []


def test_the_site_works_under_a_sub_path_and_all_its_links_lead_somewhere(site, chromium):
    count, broken = site_report.links(site)
    assert count > 1000
    assert broken == []
    with site_report.served(site) as server:
        page = chromium.new_page()
        for name in ("index.html", CHAPTER, "search.html?q=zero-filling"):
            page.goto(server.address + name)
            site_report.rest(page)
        page.locator("#search-results li").first.wait_for()
        page.close()
        assert server.lost == []
    assert (site / ".nojekyll").exists()  # else GitHub Pages leaves out _static


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="#x">1</a><a href="#y">2</a><a href="b.html">3</a><a href="?">4</a>'
    )
    assert site_report.links(tmp_path) == (4, ["a.html → #y", "a.html → b.html"])


def test_the_report_counts_faults_and_requests_to_other_servers(chromium, tmp_path):
    head = "<!doctype html><html lang='en'><title>t</title><link rel='icon' href='data:,'><main><h1>t</h1>"
    (tmp_path / "good.html").write_text(f"{head}<p>All is well.</p></main>")
    (tmp_path / "bad.html").write_text(f"{head}<input><img alt='x' src='http://127.0.0.1:9/x.png'></main>")
    found = []
    rows = {row["page"]: row for row in site_report.measure(chromium, tmp_path, found)}
    assert rows["good.html"]["foreign requests"] == rows["good.html"]["faults, phone, dark"] == 0
    assert rows["bad.html"]["foreign requests"] == 4  # one in each look
    assert rows["bad.html"]["faults, desktop, light"] == 1
    assert "bad.html asks http://127.0.0.1:9/x.png" in found
    assert "bad.html, phone, dark: label: input" in found
    page = site_report.report(list(rows.values()), tmp_path, found)
    assert "Faults in all four looks together: 4." in page
    assert "Requests to other servers: 4." in page
    assert "over 1,000 kB: 0." in page


def test_the_first_view_of_a_page_is_under_a_megabyte(site, chromium):
    with site_report.served(site) as server:
        for name in ("index.html", CHAPTER, "leaderboard.html"):
            page = chromium.new_page(viewport={"width": 1366, "height": 768})
            server.sent.clear()
            page.goto(server.address + name)
            site_report.rest(page)
            assert 50_000 < sum(server.sent.values()) < 1_000_000, (name, dict(server.sent))
            page.close()


def test_tables_are_filtered_and_sorted(visit):
    page = visit("leaderboard.html")
    shown = page.locator(".medsr-sortable tbody tr:visible")
    whole = shown.count()
    page.get_by_label("Show only rows with").fill("srresnet")
    assert 0 < shown.count() < whole
    assert all("SRResNet" in text for text in shown.all_inner_texts())
    assert page.get_by_role("status").inner_text() == f"{shown.count()} rows"
    page.get_by_label("Show only rows with").fill("")
    assert shown.count() == whole


def test_boards_and_networks_have_an_overview_with_downloads(site, visit):
    from medsr_course.networks import pretrained

    page = visit("leaderboard.html")
    first = page.locator(".bd-article table").first
    assert first.locator("tbody tr").count() == len(list((ROOT / "results").glob("leaderboard*.md")))
    assert first.locator("a.download").count() >= 5
    assert page.locator("img[src*='gain-seconds']").count() == 1
    page = visit("networks.html")
    rows = page.locator(".bd-article table").first.locator("tbody tr")
    assert rows.count() == len(pretrained.names(task=None))
    offered = rows.locator("a.download").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(offered) >= 2 * rows.count() - 2
    assert all((site / path).is_file() for path in offered)


def test_the_contents_of_a_published_site_name_its_address(tmp_path):
    """A page of its own, built as for https://example.org/course: the whole site would say no more."""
    (tmp_path / "_static").mkdir()
    for name in ("custom.css", "print.css", "reading.js", "landing.png", "logo.svg", "favicon.svg"):
        (tmp_path / "_static" / name).write_bytes((pages.BOOK / "_static" / name).read_bytes())
    (tmp_path / "conf.py").write_bytes((pages.BOOK / "conf.py").read_bytes())
    (tmp_path / "references.bib").write_text("")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters: [{file: other}]\n")
    (tmp_path / "index.md").write_text("# Home\n\nA course about images.\n")
    (tmp_path / "other.md").write_text("# Other\n\n```python\n1\n```\n")
    more = {"MEDSR_SITE_URL": "https://example.org/course", "MEDSR_BUILT": "Built on a day.", "MEDSR_REPO_URL": ""}
    command = [sys.executable, "-m", "sphinx", "-W", "-q", str(tmp_path), str(tmp_path / "html")]
    done = subprocess.run(command, env=os.environ | more, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "html").glob("*.html")}
    listed = re.findall("<loc>(.*?)</loc>", (tmp_path / "html" / "sitemap.xml").read_text())
    assert sorted(listed) == ["https://example.org/course/index.html", "https://example.org/course/other.html"]
    assert 'href="/course/_static/' in html["404.html"]
    assert 'property="og:url" content="https://example.org/course/index.html"' in html["index.html"]
    assert 'property="og:image" content="https://example.org/course/_static/landing.png"' in html["index.html"]
    assert "Built on a day." in html["other.html"]
    assert "copybutton.js" in html["other.html"]
    assert "colab" not in html["index.html"].lower()
