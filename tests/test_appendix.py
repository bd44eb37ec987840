"""The appendix: glossary, the article corrected, bibliography, law; each complete, and true of what is there."""

import csv
import json
import re
from collections import Counter
from urllib.parse import unquote

import pytest
from pybtex.database import parse_file

from book import appendix, pages
from medsr_course import resources
from medsr_course.teaching import exercises

BOOK = resources.checkout() / "book"
HAN = re.compile(r"[\u4e00-\u9fff]")
SPAN = re.compile(r'<span lang="zh-Hans">[^<]*</span>|\[[^\]]*\]\{\.language-zh-Hans\}')
PAGES = ("glossary", "article-corrected", "law")
SECTIONS = [*(f"{chapter}.{part}" for chapter in range(1, 7) for part in range(1, 4)), "A"]

# Names that were wrong once, and what the article and the first two chapters use.
NAMES = {
    "logit": "对数几率",
    "slice spacing": "层面中心间距",
    "slice gap": "层间隙",
    "slice profile": "层面剖面",
    "forward model": "正向模型",
    "noise map": "噪声水平图",
    "adversarial training": "对抗式训练",
    "wrap-around": "卷褶",
    "SENSE, sensitivity encoding": "敏感度编码",
    "perceptron": "感知机",
    "back-propagation": "反向传播",
    "gradient descent": "梯度下降",
    "restricted Boltzmann machine, RBM": "受限玻尔兹曼机",
    "deep belief network, DBN": "深度信念网络",
    "reinforcement learning": "强化学习",
    "pooling layer": "池化层",
    "fully connected layer": "全连接层",
    "augmentation": "数据增强",
    "generalisation": "泛化",
    "explainability": "可解释性",
    "model compression": "模型压缩",
    "fusion": "融合",
    "ethics review": "伦理审查",
    "accountability": "问责",
    "telemedicine": "远程医疗",
    "epoch": "训练轮次",
    "batch": "批次",
    "learning rate": "学习率",
    "optimiser": "优化器",
    "overfitting": "过拟合",
    "ReLU": "线性整流函数",
    "softmax": "softmax函数",
    "sub-pixel layer": "亚像素卷积层",
    "exponential moving average, EMA": "指数移动平均",
    "fftshift": "零频移中",
    "padding": "填充",
    "channel": "通道",
    "ONNX": "开放神经网络交换格式",
}


@pytest.fixture(scope="module")
def terms():
    return pages.rows("glossary")


@pytest.fixture(scope="module")
def entries():
    return parse_file(str(BOOK / "references.bib")).entries


# --- glossary -------------------------------------------------------------------------------------


def faults(term):
    """What is wrong with a row of the glossary, in words."""
    chapters = {row["number"] for row in pages.rows("course")}
    found = [f"no {field}" for field in ("english", "chinese", "pinyin", "chapter", "definition") if not term[field]]
    name = re.sub("（.*?）", "", term["chinese"])
    latin = re.findall(r"[\w.]+", HAN.sub(" ", name))
    syllables = [part for part in term["pinyin"].split() if part not in latin]
    if len(syllables) != len(HAN.findall(name)):
        found.append(f"{len(syllables)} syllables for {len(HAN.findall(name))} characters")
    if term["chapter"] not in chapters:
        found.append("no such chapter")
    if term["section"] not in ["", "title", "abstract", *SECTIONS]:
        found.append("no such section")
    if len(term["definition"].split()) >= 30 or not term["definition"].endswith("."):
        found.append("not a definition of under 30 words with a full stop")
    return found


def test_no_term_of_the_glossary_lacks_anything(terms):
    assert {term["english"]: faults(term) for term in terms if faults(term)} == {}
    assert len(terms) > 250
    for field in ("english", "chinese", "definition"):
        assert [text for text, count in Counter(term[field] for term in terms).items() if count > 1] == []
    names = [term["english"].lower() for term in terms]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("pinyin", "gǎn zhī", "2 syllables for 3 characters"),
        ("chapter", "99", "no such chapter"),
        ("definition", "word " * 30 + ".", "not a definition of under 30 words with a full stop"),
    ],
)
def test_a_faulty_term_is_told(terms, field, value, fault):
    perceptron = next(term for term in terms if term["english"] == "perceptron")
    assert faults(perceptron) == []
    assert faults(perceptron | {field: value}) == [fault]


def test_names_that_were_wrong_are_right_and_those_of_the_article_are_there(terms):
    chinese = {term["english"]: term["chinese"] for term in terms}
    assert {name: chinese.get(name) for name in NAMES} == NAMES
    assert {term["section"] for term in terms} >= set(SECTIONS) - {"3.3", "5.3"}  # which bring no new terms


def test_the_index_is_in_the_order_of_pinyin(terms):
    index = appendix.by_pinyin(terms)
    assert index.count("{term}`") == len(terms)
    ordered = ("白质", "变分自编码器", "标签", "层", "激活函数", "卷积", "噪声", "早停")
    places = [index.index(f">{word}<") for word in ordered]
    assert places == sorted(places)
    assert sorted(["bō", "bǎ ya", "bà xi"], key=appendix.spelt) == ["bà xi", "bǎ ya", "bō"]
    assert sorted(["lǜ", "lú"], key=appendix.spelt) == ["lú", "lǜ"]


def test_chinese_text_says_that_it_is_chinese(terms):
    made = "\n".join(appendix.glossary(pages.chapters()).values())
    for text in [made, *((BOOK / f"{name}.md").read_text(encoding="utf-8") for name in PAGES)]:
        assert SPAN.search(text)
        assert HAN.findall(SPAN.sub("", text)) == []


def test_a_chapter_that_is_planned_is_no_link(terms):
    assert "(notebooks/" not in appendix.by_english(terms, {})
    assert "chapter 05 (planned)" in appendix.links([]).values()
    assert "(notebooks/" in appendix.links(pages.chapters())["{{05}}"]


# --- the article ----------------------------------------------------------------------------------


def test_every_statement_of_the_article_has_its_place_and_a_claim_or_a_task():
    chapters = {row["number"] for row in pages.rows("course")}
    rows = appendix.traced(pages.chapters())
    assert [row.row["section"] for row in rows] == sorted((row.row["section"] for row in rows), key=SECTIONS.index)
    assert {row.row["section"] for row in rows} == set(SECTIONS)
    assert {row.row["chapter"] for row in rows} <= chapters
    known = {*exercises.names(), appendix.SOURCES, ""}
    without = [
        f"{found.row['section']} {found.row['says']}: nothing in chapter {found.row['chapter']}"
        for found in rows
        if found.notebook and not (found.places and (found.claims or found.row["task"]))
    ]
    assert without == [], "change the patterns of book/article.csv so that they find phrases of coverage.csv and claims"
    assert [row.row["task"] for row in rows if row.notebook and row.row["task"] not in known] == []


def test_a_statement_that_no_cell_treats_finds_nothing(monkeypatch):
    row = {"section": "1.1", "says": "x", "chapter": "01", "coverage": "no such phrase", "claim": "", "task": ""}
    tables = pages.rows
    monkeypatch.setattr(pages, "rows", lambda name: [row] if name == "article" else tables(name))
    (found,) = appendix.traced(pages.chapters())
    assert (found.places, found.claims) == ([], [])


def test_where_nothing_is_written_everything_is_planned():
    table = appendix.article([])
    assert "(notebooks/" not in table
    assert table.count(appendix.PLANNED) == len(pages.rows("article"))


def test_sections_of_a_chapter_and_their_claims(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": "# 98 · `Mine`\n\n## One\n\ntext\n\n## One\n\nmore"},
        {"cell_type": "code", "source": 'claims.check("It holds", 1)\nclaims.check(f"{x}", 2)\nother.check("no", 3)'},
        {"cell_type": "code", "source": "%magic\n# not a heading"},
    ]
    notebook = tmp_path / "98_mine.ipynb"
    notebook.write_text(json.dumps({"cells": cells}))
    found = appendix.places(notebook)
    assert [place.anchor for place in found] == ["", "98--mine", "one", "one-1"]
    assert [place.claims for place in found] == [[], [], [], ["It holds"]]


def test_the_page_names_its_origin_and_fits_what_the_chapters_do():
    text = " ".join((BOOK / "article-corrected.md").read_text(encoding="utf-8").split())
    assert "《深度学习在医学超分辨率成像中的图像质量提升》" in text
    assert {f"§{section}" for section in ("1.1", "1.2", "1.3", "2.2", "4.1", "4.2", "4.3", "6.2", "6.3")} <= set(
        re.findall(r"§\d\.\d", text)
    )
    headings = {place.heading for notebook in pages.chapters() for place in appendix.places(notebook)}
    quoted = re.findall(r'\{\{\w+\}\}, "([^"]+)"', text)
    assert len(quoted) > 15
    assert [name for name in quoted if not any(heading.startswith(name) for heading in headings)] == []


# --- bibliography ---------------------------------------------------------------------------------


def cited():
    """All that chapters, pages and the package say, in small letters, addresses decoded."""
    root = resources.checkout()
    patterns = ("notebooks/*.ipynb", "book/*.md", "medsr_course/**/*.py", "results/*.md")
    files = [path for pattern in patterns for path in root.glob(pattern)]
    return unquote("\n".join(path.read_text(encoding="utf-8") for path in files)).lower()


def test_references_are_well_formed_and_cited(entries):
    text = cited()
    for key, entry in entries.items():
        doi, url = entry.fields.get("doi", ""), entry.fields.get("url", "")
        assert re.fullmatch(r"10\.\d{4,9}/\S+", doi) or (not doi and url), key
        assert "doi.org" not in url, f"{key}: give its DOI as doi"
        assert any(name and name.lower() in text for name in (doi, url)), f"nothing cites {key}"


def test_what_chapters_and_pages_cite_is_in_the_bibliography(entries):
    known = {entry.fields.get("doi", "").lower() for entry in entries.values()}
    root = resources.checkout()
    for path in [*root.glob("notebooks/*.ipynb"), *BOOK.glob("*.md")]:
        found = re.findall(r"\]\(https://doi\.org/([^\s)\"\\]+)", path.read_text(encoding="utf-8"))
        found = [unquote(doi).lower() for doi in found]  # cut off at a bracket that belongs to the DOI
        assert [doi for doi in found if not any(name.startswith(doi) for name in known)] == [], path.name


def test_what_the_bibliography_had_wrong_is_right(entries):
    assert "K183202" in entries["fda2019dlir"].fields["url"]  # the first clearance, not K193170
    assert entries["pruessmann1999sense"].fields["doi"].endswith("42:5<952::AID-MRM16>3.0.CO;2-S")
    assert entries["georgescu2023attention"].fields["year"] == "2023"
    for key, entry in entries.items():  # the style puts all of a title in small letters that no braces hold
        bare = re.sub(r"\{[^{}]*\}", "", re.sub(r"\{[^{}]*\}", "", entry.fields["title"]))
        if entry.type != "book":
            assert [word for word in bare.split()[1:] if re.search("[A-Z]", word)] == [], key


# --- law, and how the pages are written -----------------------------------------------------------


def test_the_law_is_dated_and_no_advice():
    text = (BOOK / "law.md").read_text(encoding="utf-8")
    assert re.search(r"Last checked on \d+ \w+ 20\d\d", text)
    assert "not legal advice" in text
    assert [f"| {k} |" for k in range(1, 19) if f"\n| {k} | " not in text] == []
    for heading in ("China", "European Union", "United States"):
        part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        assert {"**Data.**", "](http"} <= {name for name in ("**Data.**", "](http") if name in part}, heading
    assert {"2026", "18 August 2025", "2024/2853", "2025/327", "Article 28"} <= set(
        re.findall(r"2026|18 August 2025|2024/2853|2025/327|Article 28", text)
    )


def unsourced(text):
    """Paragraphs and points about the three places that name no source; a list or table goes with what stands above."""
    found, above = [], False
    for part in re.split(r"\n## ", text)[1:]:
        if part.split("\n")[0] not in ("China", "European Union", "United States"):
            continue
        for block in re.split(r"\n\s*\n", part)[1:]:
            goes_with = block.startswith(("|", "-", "###")) or block.startswith(("We did not", "The left column"))
            sourced = "](http" in block
            if not sourced and not (goes_with and above):
                found.append(block)
            above = sourced or (goes_with and above)
    return found


def test_every_statement_of_the_law_has_a_source():
    text = (BOOK / "law.md").read_text(encoding="utf-8")
    assert unsourced(text) == []
    wrong = text.replace("([article 26](https://overview.legal/laws/ai-act/art-26))", "(article 26)")
    assert unsourced(wrong) == []  # the paragraph has others
    bare = re.sub(r"\]\(https?://[^)]*803-medical[^)]*\)", "]", text)
    assert [block[:12] for block in unsourced(bare)] == ["**Reports.** "[:12]]


def test_a_list_of_the_law_without_a_source_is_told():
    text = "\n## China\n\n**Data.** See [it](http://a).\n\n- one\n- two\n\n**Fees.** None.\n\n- three\n"
    assert unsourced(text) == ["**Fees.** None.", "- three\n"]


@pytest.mark.parametrize("name", PAGES)
def test_sentences_are_short(name):
    text = re.sub(r"<[^>]*>|\]\([^)]*\)", "", (BOOK / f"{name}.md").read_text(encoding="utf-8"))
    blocks = re.split(r"\n\s*\n|\n(?=[-#\d])|\|", text)
    sentences = [s for block in blocks for s in re.split(r"(?<=[.?!:])[\"”*)]*\s+", " ".join(block.split()))]
    assert [s for s in sentences if len(s.split()) > 30] == []


def test_tables_have_as_many_cells_in_every_row():
    for name in ("glossary", "article"):
        with (BOOK / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert {len(row) for row in csv.reader(file)} == {7 if name == "glossary" else 6}
