"""The report of ``medsr enhance``: one file that opens anywhere, says what may be invented, and names nobody."""

import io
import re

import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medsr_course.cli import app
from medsr_course.networks.pretrained import sensitivity
from medsr_course.pipeline import enhancing, report
from medsr_course.pipeline.plan import Options, plan

SECRET = "DOE^JANE 1970-01-01"


def scan(shape=(40, 48, 6), sizes=(2.0, 2.0, 4.0), codes="RAS"):
    """Half a bright ellipsoid: lopsided on purpose, so that a flipped picture shows."""
    index = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = (sum(axis**2 for axis in index[:2]) < 0.7) * (1 + 0.8 * (index[0] > 0) + 0.3 * (index[1] > 0))
    data = 300 * ndimage.gaussian_filter(inside, 0.7) + np.random.default_rng(0).random(shape)
    image = nibabel.Nifti1Image(data.astype(np.float32), np.diag([*sizes, 1.0]))
    image.header["descrip"] = SECRET.encode()
    ornt = nibabel.orientations
    turn = ornt.ornt_transform(ornt.io_orientation(image.affine), ornt.axcodes2ornt(codes))
    return image.as_reoriented(turn)


def done(image=None, **options):
    image = image or scan()
    options = Options(**({"quality": "fast", "axes": "in-plane"} | options))
    return enhancing.run(image, plan(image, options, name="jane.nii.gz"), progress=False)


@pytest.fixture(scope="module")
def result():
    return done()


@pytest.fixture(scope="module")
def page(result):
    return report.html(result)


def test_it_is_one_small_file_that_asks_for_nothing(page):
    assert len(page.encode()) < 3e6
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/\S+", "", page)
    assert "$" not in re.sub(r"<script>.*?</script>|base64,[^\"]+", "", page, flags=re.S)


def test_it_says_what_was_asked_of_it(page, result):
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles == [
        "Before and after",
        "What was added",
        "Does it still agree with what was measured?",
        "Spectrum",
        "Sensitivity map",
        "What may be invented",
        "For the paper",
    ]
    assert "1 to 5 %" in page  # the truth's own residual, as the scale
    assert "4 mm and more within the slices" in page
    assert result.provenance["checksum"] in page
    assert str(result.provenance["engine"]) in page
    assert "not for diagnosis" in page


def test_it_names_nobody_unless_told_to(result, tmp_path):
    nibabel.save(result.source, tmp_path / "jane.nii.gz")
    named = done(nibabel.load(tmp_path / "jane.nii.gz"))
    plain, told = report.html(named), report.html(named, with_identifiers=True)
    for words in ("jane", "JANE", "1970", str(tmp_path)):
        assert words not in plain
    assert "jane.nii.gz" in told
    assert SECRET in told
    assert str(tmp_path) not in told


def test_the_numbers_are_those_of_the_images(result):
    found = report.numbers(result)
    assert set(found) == {"added", "beyond", "consistency", "truth"}
    assert 0 < found["consistency"] < 5
    assert 0 < found["truth"] < 10
    same = report.numbers(
        enhancing.Result(*(result.zip,) * 2, result.added, result.source, result.plan, result.provenance)
    )
    assert same["added"] == 0
    assert same["beyond"] < 1e-6
    assert same["consistency"] < 0.1
    doubled = nibabel.Nifti1Image(2 * np.asarray(result.image.dataobj), result.image.affine)
    other = enhancing.Result(doubled, result.zip, result.added, result.source, result.plan, result.provenance)
    assert report.numbers(other)["consistency"] == pytest.approx(100, abs=3)
    assert "contradicts what was measured by more" in report.html(other)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "IAL"])
def test_slices_are_drawn_upright_in_any_orientation(codes):
    image = scan(codes=codes)
    shown = report._Shown(done(image))
    drawn = shown.upright(shown.fine[0])
    assert drawn.shape == (96, 80)  # anterior is up, right is right
    right, left = drawn[:, 40:].mean(), drawn[:, :40].mean()
    front, back = drawn[48:].mean(), drawn[:48].mean()
    assert right > 1.3 * left
    assert front > 1.05 * back


@pytest.mark.parametrize(
    ("options", "says", "silent"),
    [
        ({"task": "denoise"}, "drawn as structure", "Spectrum"),
        ({"task": "segment"}, "border between tissues", "What was added"),
        ({"task": "thin-slices", "axes": "auto"}, "8 mm and more across the slices", "Sensitivity map"),
        ({"keep_grid": True}, "may be missing", "Sensitivity map"),
    ],
    ids=["denoise", "segment", "thin slices", "the input's grid"],
)
def test_every_task_has_its_report(options, says, silent):
    text = report.html(done(**options))
    assert says in text
    assert f"<h2>{silent}</h2>" not in text


@pytest.mark.parametrize(
    ("change", "absent"),
    [
        (lambda x: 0 * x, "<h2>Spectrum<"),
        (lambda x: x - 1000, "still agree"),
        (lambda x: x[:, :, :1], "Two more slices"),
    ],
    ids=["blank", "signed", "one slice"],
)
def test_odd_scans_have_a_report_without_what_makes_no_sense(change, absent):
    image = scan()
    odd = nibabel.Nifti1Image(change(np.asarray(image.dataobj)), image.affine)
    text = report.html(done(odd))
    assert "Before and after" in text
    assert absent not in text


def test_what_the_map_is_worth_is_said(result, monkeypatch):
    area = {"mean": 0.55, "low": 0.5, "high": 0.6, "people": 9}
    known = {"lost": area, "removed": area | {"mean": None, "low": None}, "errors": area | {"mean": 0.91}}
    monkeypatch.setattr(sensitivity, "known", lambda scale: known | {"current": False})
    text = report.html(result)
    assert "9 people" in text
    assert "0.55 (0.50 to 0.60)" in text
    assert "a quiet map does not mean safe" in text
    assert "earlier version of the networks" in text
    good = {name: area | {"mean": 0.9} for name in known}
    monkeypatch.setattr(sensitivity, "known", lambda scale: good | {"current": True})
    text = report.html(result)
    assert "does not mean safe" not in text
    assert "earlier version" not in text
    monkeypatch.setattr(sensitivity, "known", lambda scale: {})
    assert "a quiet map does not mean safe" in report.html(result)


def test_the_group_page_has_the_worst_first_and_no_names(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{"scan": f"sub-{n:02d}", "status": "in domain", "consistency": 2 + rng.random()} for n in range(12)]
    rows[4] |= {"consistency": 30.0, "report": "sub-04.html"}
    rows[7] |= {"status": "failed", "why": "cut <short>"}
    del rows[7]["consistency"]
    rows[9]["status"] = "caution"
    text = report.group(rows, tmp_path / "group.html").read_text(encoding="utf-8")
    order = re.findall(r'<th scope="row">scan (\d+)</th>', text)
    assert order[:3] == ["8", "10", "5"]
    assert len(order) == 12
    assert re.findall(r">([\d.]+) ▲</td>", text) == ["30"]
    assert "cut &lt;short&gt;" in text
    assert "sub-" not in text
    named = report.group(rows, tmp_path / "named.html", with_identifiers=True).read_text(encoding="utf-8")
    assert '<a href="sub-04.html">sub-04</a>' in named
    assert report.group([], tmp_path / "none.html").exists()


def test_the_command_writes_it_beside_the_result_and_lists_it(tmp_path):
    from typer.testing import CliRunner

    nibabel.save(scan(), tmp_path / "jane.nii.gz")
    words = [
        "enhance",
        tmp_path / "jane.nii.gz",
        tmp_path / "out.nii.gz",
        "--report",
        "--quality",
        "fast",
        "--axes",
        "in-plane",
    ]
    ran = CliRunner().invoke(app, [str(word) for word in words])
    assert ran.exit_code in (0, 3), ran.output
    assert "jane" not in (tmp_path / "out_report.html").read_text(encoding="utf-8")
    assert "out_report.html" in (tmp_path / "outputs.tsv").read_text(encoding="utf-8")
    again = CliRunner().invoke(app, [str(word) for word in words])
    assert "exists" in str(again.exception)


# ---------------------------------------------------------------- in a browser


@pytest.fixture
def opened(chromium, page, tmp_path):
    """Opens the report at a size; anything it asks for, and any complaint, fails the test."""
    path, problems, contexts = tmp_path / "report.html", [], []
    path.write_text(page, encoding="utf-8")

    def open_(width, height):
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}))
        tab = contexts[-1].new_page()
        tab.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("request", lambda r: None if r.url.startswith(("data:", "file:")) else problems.append(r.url))
        tab.goto(path.as_uri())
        tab.wait_for_selector(".medsr-stage[data-drawn]")
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1366, 768), (360, 740)], ids=["laptop", "telephone"])
def test_it_fits_the_screen(opened, width, height):
    tab = opened(width, height)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    box = tab.locator(".medsr-stage").first.bounding_box()
    assert 200 < box["width"] <= width
    assert box["height"] <= height
    for n in range(tab.locator("img").count()):
        assert tab.locator("img").nth(n).get_attribute("alt")


@pytest.mark.browser
def test_dragging_changes_the_picture_and_so_do_the_arrow_keys(opened):
    tab = opened(1366, 768)

    def grey():
        return np.asarray(Image.open(io.BytesIO(tab.locator(".medsr-stage").first.screenshot())).convert("L"), float)

    tab.get_by_label("Divider").first.press("Home")
    fine = grey()
    tab.get_by_label("Divider").first.press("End")
    assert np.abs(grey() - fine).mean() > 0.5


@pytest.mark.browser
def test_everything_is_reached_by_keyboard_has_a_name_and_enough_contrast(opened):
    tab = opened(1366, 768)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "To the report"
    nameless = tab.evaluate("""() => [...document.querySelectorAll("button, select, input, [role=img], [role=region]")]
      .filter(e => !(e.textContent.trim() || e.getAttribute("aria-label") || e.title || e.labels?.length)).length""")
    assert nameless == 0
    tab.get_by_role("button", name="Copy this paragraph").press("Enter")
    assert "Images were processed" in tab.evaluate("getSelection().toString()")
    levels = tab.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1
    faint = tab.evaluate("""() => {
      const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => { v /= 255;
        return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
      const paper = e => { const c = getComputedStyle(e).backgroundColor;
        return c.startsWith("rgba(0, 0, 0, 0") ? (e.parentElement ? paper(e.parentElement) : "rgb(255, 255, 255)") : c;
      };
      return [...document.querySelectorAll("main :is(p, li, h2, figcaption, summary, button, blockquote, dd, dt)")]
        .filter(e => { const [a, b] = [light(getComputedStyle(e).color), light(paper(e))].sort((x, y) => y - x);
          return (a + .05) / (b + .05) < 4.5; }).map(e => e.outerHTML.slice(0, 80)); }""")
    assert faint == []
