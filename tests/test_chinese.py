"""Chinese readers: one catalogue for pages and warnings, its language marked, two signs found by the search."""

import csv
import json
import re
import string
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import nibabel
import numpy as np
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from book import build, chinese, fonts, libraries, pages
from medsr_course import cli
from medsr_course.commands import chinese as spoken
from medsr_course.runtime import CourseError
from medsr_course.scans import domain
from medsr_course.scans.domain.verdict import WORDS, say

HAN = re.compile(r"[\u3400-\u9fff]")
CATALOGUE = spoken.catalogue()


def fields(text):
    return sorted((name, form) for _, name, form, _ in string.Formatter().parse(text) if name is not None)


def test_every_warning_is_there_with_the_english_of_the_program():
    found = {key.removeprefix("domain."): texts for key, texts in CATALOGUE.items() if key.startswith("domain.")}
    assert {key: english for key, (english, _) in found.items()} == WORDS
    for key, (english, zh) in found.items():
        assert HAN.search(zh), key
        assert fields(english) == fields(zh), key  # the same values, in the same form


def test_every_chapter_has_a_summary_and_the_english_of_the_course():
    for row in pages.rows("course"):
        title, summary = CATALOGUE[f"chapter.{row['number']}.title"], CATALOGUE[f"chapter.{row['number']}.summary"]
        assert (title[0], summary[0]) == (row["title"], row["summary"])
        assert 100 <= len(summary[1]) <= 260, row["number"]
    numbers = {key.split(".")[1] for key in CATALOGUE if key.startswith("chapter.")}
    assert numbers == {row["number"] for row in pages.rows("course")}


def test_the_catalogue_is_used_and_has_no_holes():
    with (ROOT / "data" / "chinese.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["key"] for row in rows}) == len(rows)
    assert all(row["english"] and HAN.search(row["chinese"]) for row in rows)
    used = set()
    for page in (ROOT / "book").glob("zh*.md"):
        used |= set(chinese.PLACE.findall(page.read_text(encoding="utf-8")))
    code = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("medsr_course/commands/enhance.py",))
    for row in rows:
        kind = row["key"].split(".")[0]
        if kind in ("index", "use") and row["key"] != "index.long":  # which has values
            assert row["key"] in used, row["key"]
        if kind == "enhance":
            assert row["key"] in code, row["key"]
    assert used <= {row["key"] for row in rows}


def test_terms_are_those_of_the_glossary():
    """Of several names for one thing the texts take that of the glossary."""
    text = "".join(zh for _, zh in CATALOGUE.values()).replace("滤波器", "")  # a classical filter, and no kernel
    terms = pages.rows("glossary")
    recommended = [term["chinese"] for term in terms]
    wrong = []
    for term in terms:
        for rival in re.split(r"[,，;；、]\s*", term["also"]):
            longer = any(rival in name for name in recommended) or term["chinese"] in rival
            if len(rival) > 2 and HAN.search(rival) and not longer and rival in text:
                wrong.append(f"{rival}: the glossary says {term['chinese']}")
    assert wrong == []


# --- medsr enhance --------------------------------------------------------------------------------


def test_a_reason_is_said_with_its_values():
    speaker = spoken.speaker("zh")
    assert speaker.reason(say("thick-slices", "caution", mm=7)) == CATALOGUE["domain.thick-slices"][1].format(mm=7)
    assert "7.0 mm" in speaker.reason(say("thick-slices", "caution", mm=7))
    assert "冠状面" in speaker.reason(say("orientation", "caution", plane="coronal"))
    assert "coronal" not in speaker.reason(say("orientation", "caution", plane="coronal"))
    unknown = domain.Reason("new", "caution", "A new warning.")
    assert speaker.reason(unknown) == "A new warning."
    english = spoken.speaker("en")
    every = {key: {name: 1 if form else "x" for name, form in fields(text)} for key, text in WORDS.items()}
    for key, values in every.items():
        reason = say(key, "caution", **values)
        assert english.reason(reason) == reason.words
        assert not re.search(r"[{}]", speaker.reason(reason))


@pytest.mark.parametrize(
    ("settings", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "en_GB.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),  # LC_ALL is above LANG
        ({"LC_MESSAGES": "zh_TW", "LANG": "de_DE"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_systems_language_is_taken_where_none_is_named(settings, language, monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert spoken.speaker().language == language
    assert spoken.speaker("zh").language == "zh"
    with pytest.raises(CourseError, match="--language fr"):
        spoken.speaker("fr")


def test_enhance_warns_in_chinese_with_the_same_exit_code(tmp_path, monkeypatch):
    scan = tmp_path / "x_T1w.nii.gz"
    labels = np.random.default_rng(0).integers(0, 5, (6, 6, 5)).repeat(8, 0).repeat(8, 1)
    nibabel.save(nibabel.Nifti1Image(labels.astype(np.float32), np.diag([1, 1, 4, 1])), scan)
    words = ["enhance", str(scan), str(tmp_path / "out.nii.gz"), "--axes", "in-plane", "--dry-run"]
    monkeypatch.setenv("LC_ALL", "C")
    english = CliRunner().invoke(cli.app, words)
    zh = CliRunner().invoke(cli.app, [*words, "--language", "zh"])
    assert english.exit_code == zh.exit_code == 4
    assert WORDS["labels"] in english.stdout
    assert CATALOGUE["domain.labels"][1] in zh.stdout
    assert "domain    refused 拒绝处理" in zh.stdout
    assert WORDS["labels"] not in zh.stdout
    assert CATALOGUE["enhance.refused"][1] in zh.stderr
    assert not HAN.search(english.stdout + english.stderr)


# --- pages ----------------------------------------------------------------------------------------


def test_pages_are_filled_and_name_their_language(tmp_path):
    listed = pages.chapters()
    for page in (ROOT / "book").glob("zh*.md"):
        text = chinese.filled(page.read_text(encoding="utf-8"), listed)
        assert "{{" not in text
        for line in text.splitlines():
            bare = re.sub(r"\[[^\]]*\]\{\.language-zh-Hans\}|!\[[^\]]*\]\([^)]*\)", "", line)
            assert not HAN.search(bare), line  # no Chinese outside of what names its language
    text = chinese.summaries(listed)
    assert text.count("{.language-zh-Hans}") == 2 * len(pages.rows("course"))


def test_the_chinese_landing_page_says_how_to_get_the_course(monkeypatch):
    page, listed = (ROOT / "book" / "zh.md").read_text(encoding="utf-8"), pages.chapters()
    monkeypatch.delenv("MEDSR_REPO_URL", raising=False)
    assert '（34 MB）：]{.language-zh-Hans} <a href="course.zip">' in chinese.filled(page, listed, 34_000_000)
    assert "course.zip" not in chinese.filled(page, listed)
    monkeypatch.setenv("MEDSR_REPO_URL", "https://example.org/course")
    assert "`git clone https://example.org/course`" in chinese.filled(page, listed)
    assert f"共{len(listed)}章" in chinese.filled(page, listed)


def test_the_picture_has_chinese_words_where_a_font_has_them(tmp_path, monkeypatch):
    (tmp_path / "landing.png").write_bytes(b"english")
    drawn = []
    monkeypatch.setattr(build, "picture", lambda path, titles: drawn.append(titles))
    monkeypatch.setattr(fonts, "chinese", lambda: None)
    chinese.picture(tmp_path / "landing-zh.png")
    assert (tmp_path / "landing-zh.png").read_bytes() == b"english"
    monkeypatch.setattr(fonts, "chinese", lambda: "DejaVu Sans")
    chinese.picture(tmp_path / "landing-zh.png")
    assert len(drawn[0]) == len(build.TITLES)
    assert all(HAN.search(title) for title in drawn[0])


def test_a_font_that_is_there_draws_the_signs(recwarn):
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist} & set(fonts.KNOWN)
    if not there:
        pytest.skip("no Chinese font is installed")
    import matplotlib.pyplot as plt

    with plt.rc_context({"font.sans-serif": [fonts.chinese(), "DejaVu Sans"]}):
        fig = plt.figure()
        fig.text(0, 0, CATALOGUE["picture.zip"][1])
        fig.canvas.draw()
        plt.close(fig)
    assert [str(w.message) for w in recwarn if "Glyph" in str(w.message)] == []


def test_without_a_font_and_npm_the_build_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    monkeypatch.setattr(fonts, "KNOWN", ())
    monkeypatch.setattr(libraries.shutil, "which", lambda name: None)
    assert fonts.chinese() is None
    assert "English words" in capsys.readouterr().out


def test_a_font_package_with_another_checksum_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    monkeypatch.setattr(libraries.shutil, "which", lambda name: "npm")

    def pack(words, cwd, **kwargs):
        (Path(cwd) / "font.tgz").write_bytes(b"something else")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(libraries.subprocess, "run", pack)
    with pytest.raises(CourseError, match="not the checksum"):
        fonts.fetched()
    assert not list(tmp_path.rglob("*.ttf"))


# --- search ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_site(tmp_path_factory):
    """A site of the glossary and the Chinese pages alone."""
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("small")
    source = folder / "source"
    source.mkdir()
    for name in ("conf.py", "references.bib"):
        (source / name).write_text((ROOT / "book" / name).read_text(encoding="utf-8"), encoding="utf-8")
    (source / "_static").mkdir()
    for path in (ROOT / "book" / "_static").iterdir():
        (source / "_static" / path.name).write_bytes(path.read_bytes())
    from book import appendix

    terms = (
        (ROOT / "book" / "glossary.md").read_text(encoding="utf-8").replace("[the article](article-corrected.md)", "it")
    )
    made = appendix.glossary([])
    for place, text in made.items():
        terms = terms.replace(place, text)
    (source / "glossary.md").write_text(terms, encoding="utf-8")
    (source / "index.md").write_text("# Start\n\nNothing in Chinese.\n", encoding="utf-8")
    (source / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n  - file: glossary\n", encoding="utf-8")
    words = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(folder / "html")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def two_signs(term):
    """The first two neighbouring Chinese signs of a term."""
    found = re.search(r"[\u3400-\u9fff]{2}", term)
    return found[0] if found else None


@pytest.mark.slow
def test_two_signs_of_every_term_are_in_the_index(small_site):
    index = (small_site / "searchindex.js").read_text(encoding="utf-8")
    terms = json.loads(index[len("Search.setIndex(") : -1])["terms"]
    wanted = {two_signs(row["chinese"]) for row in pages.rows("glossary")} - {None}
    assert len(wanted) > 150
    assert sorted(wanted - set(terms)) == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("query", ["伪影", "去噪", "脑沟", "k空间", "零填充", "基线方法", "zero-filling"])
def test_the_search_finds_a_term_by_two_signs(chromium, small_site, query):
    page = chromium.new_page()
    page.goto(f"{(small_site / 'search.html').as_uri()}?q={quote(query)}")
    page.wait_for_selector("#search-results ul.search li", timeout=20_000)
    assert any(
        "glossary" in link for link in page.locator("#search-results li > a").evaluate_all("a => a.map(b => b.href)")
    )
    page.goto(f"{(small_site / 'search.html').as_uri()}?q={quote('龘靐')}")
    page.wait_for_function("!document.querySelector('#search-results').innerText.includes('Searching')", timeout=20_000)
    assert page.locator("#search-results ul.search li").count() == 0
    page.close()


@pytest.mark.browser
@pytest.mark.slow
def test_on_paper_the_signs_are_those_of_chinese(chromium, small_site):
    """Without ``lang`` a browser may take the Japanese forms of the same signs."""
    from matplotlib import font_manager

    if "Noto Sans CJK JP" not in {font.name for font in font_manager.fontManager.ttflist}:
        pytest.skip("needs the Noto CJK fonts, which have both forms")
    page = chromium.new_page()
    page.goto((small_site / "glossary.html").as_uri())
    names = set(re.findall(rb"/FontName /\w+\+(NotoSansCJK\w+)", page.pdf()))
    page.close()
    assert b"NotoSansCJKsc" in names


def test_replacing_keeps_the_verdict():
    """What is printed in Chinese is a copy: status and exit code are those of the English verdict."""
    verdict = domain.Verdict("caution", (say("face", "note"),), {})
    said = replace(verdict, reasons=tuple(replace(r, words=spoken.speaker("zh").reason(r)) for r in verdict.reasons))
    assert (said.status, said.exit_code) == (verdict.status, verdict.exit_code)
