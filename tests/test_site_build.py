"""How the site is put together: what the build deletes, what becomes of a chapter, what is handed out."""

import base64
import io
import json
import re
import runpy
import subprocess
import zipfile

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from book import archive, build, charts, copies, icons, landing, pages
from medsr_course.runtime import CourseError

# --- the build --------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """A build whose chapters and Sphinx are a stub: ``quick["pages"]`` are the pages that it makes."""
    state = {"pages": ["index"], "fails": False}

    def assemble(source, profile, execute, quiet):
        source.mkdir(parents=True)
        return {}

    def sphinx(builder, source, output, doctrees, quiet):
        if state["fails"]:
            raise CourseError("Sphinx found something to mend")
        (output / "_sources" / "notebooks").mkdir(parents=True)
        for name in state["pages"]:
            (output / f"{name}.html").write_text(name)

    monkeypatch.setattr(build, "_assemble", assemble)
    monkeypatch.setattr(build, "_sphinx", sphinx)
    monkeypatch.setattr(icons, "keep_shown", lambda site: [])
    return state


def test_a_page_that_is_no_longer_made_is_gone_and_a_failed_build_changes_nothing(tmp_path, quick):
    quick["pages"] = ["index", "old"]
    site = build.build(output=tmp_path / "made")
    assert {path.name for path in site.glob("*.html")} == {"index.html", "old.html"}
    quick["pages"] = ["index"]
    build.build(output=tmp_path / "made")
    assert {path.name for path in site.glob("*.html")} == {"index.html"}
    quick["fails"] = True
    with pytest.raises(CourseError):
        build.build(output=tmp_path / "made")
    assert (site / "index.html").exists()


def test_a_build_deletes_nothing_that_it_did_not_make(tmp_path, quick):
    for name in ("source", "html"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("three years")
    with pytest.raises(CourseError, match="new or empty folder"):
        build.build(output=tmp_path)
    assert all((tmp_path / name / "thesis.txt").exists() for name in ("source", "html"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(CourseError):
        build.build(output=tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert build.build(output=tmp_path / "empty").exists()


def test_the_foot_of_a_page_names_the_day_and_the_commit(monkeypatch):
    about = {"date": "2026-11-27", "commit": "abc1234", "changed": False}
    monkeypatch.setattr(build.resources, "provenance", lambda: about)
    assert build._built() == "Built on 2026-11-27 from commit abc1234."
    monkeypatch.setattr(build.resources, "provenance", lambda: about | {"commit": ""})
    assert build._built() == "Built on 2026-11-27."


def test_a_doi_is_asked_for_at_its_register():
    asked = runpy.run_path(str(ROOT / "book" / "conf.py"))["asked"]
    assert asked(None, "https://doi.org/10.1016/S1053-8119(09)70884-5").startswith(
        "https://doi.org/api/handles/10.1016/"
    )
    assert asked(None, "https://example.org/10.1016/x") is None


# --- chapters ---------------------------------------------------------------------------------------


def picture(kind="png"):
    """HTML of a picture of random grey values, and those values."""
    values = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **({"lossless": True} if kind == "webp" else {}))
    return f'<img alt="a" src="data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}">', values


def shown(html, folder, source="1"):
    cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": [{"data": {"text/html": html}}]}
    made = json.loads(copies.shown(json.dumps({"cells": [cell], "metadata": {}}), folder, {}))["cells"][0]
    return made["outputs"][0]["data"]["text/html"], made["metadata"].get("tags", [])


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_figures_become_files_without_loss_that_load_when_they_are_near(tmp_path, kind):
    html, values = picture(kind)
    html, _ = shown(f"<figure>{html}</figure>", tmp_path)
    name = re.search(r'src="\.\./_static/figures/([0-9a-f]{16}\.webp)"', html)[1]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name).convert("L")), values)
    assert 'width="60" height="40" loading="lazy"' in html


def test_pictures_of_viewers_stay_in_the_page_without_loss(tmp_path):
    html, values = picture()
    more = html.replace("src=", "data-slices=")
    html, _ = shown(f'<figure class="medsr-viewer">{html}{more}</figure>', tmp_path)
    assert html.count("data:image/webp") == 2
    data = base64.b64decode(re.search(r"image/webp;base64,([^\"]+)", html)[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("L")), values)
    assert list(tmp_path.iterdir()) == []


def test_a_large_viewer_is_a_script_of_its_own_that_holds_all_of_it(tmp_path):
    filled = picture("webp")[0] + "x" * copies.LATER_FROM
    viewer = f'<figure class="medsr-viewer">{filled}<figcaption>Drag.</figcaption></figure>'
    html, _ = shown(viewer, tmp_path)
    name = re.search(r'id="(viewer-\w+)" data-script="\.\./_static/figures/(.*?)\.js"', html)
    assert name[1] == name[2]
    said = (tmp_path / f"{name[1]}.js").read_text(encoding="utf-8")
    place, made = json.loads(f"[{said.removeprefix('medsrPlace(').removesuffix(');' + chr(10))}]")
    assert (place, made) == (name[1], viewer)
    assert "<noscript><p>Here is a viewer, which needs JavaScript.</p><figcaption>Drag.</figcaption></noscript>" in html


def test_a_line_across_in_what_a_cell_displays_is_no_transition(tmp_path):
    said = ["**Document 1**\n", "\n", "---\n", "\n", "Heading\n", "---\n", "| a |\n", "|---|\n"]
    cell = {"cell_type": "code", "metadata": {}, "source": "", "outputs": [{"data": {"text/markdown": said}}]}
    made = json.loads(copies.shown(json.dumps({"cells": [cell], "metadata": {}}), tmp_path, {}))["cells"][0]
    text = "".join(made["outputs"][0]["data"]["text/markdown"])
    assert text == "**Document 1**\n\n<hr>\n\nHeading\n---\n| a |\n|---|\n"


DRAWS = """fig, ax = figures.subplots()
for k in range(3):
    ax.plot(x, k * x)
    ax.axvline(k)
    ax.text(k, 0, "here")
ax.set(xlabel="x", ylabel="y")
ax.legend()
figures.finish(fig, "Three lines.")"""


def test_code_that_draws_is_folded_and_code_that_teaches_is_not(tmp_path):
    assert shown("", tmp_path, DRAWS)[1] == ["hide-input"]
    for teaches in (
        DRAWS + "\nclaims.check('so', 1, at_least=1)",
        DRAWS + "\nprint(k)",
        "def f(x):\n    return 2 * x\n" + DRAWS,
        "\n".join(f"x = my_step(x, {k})" for k in range(9)) + "\n" + DRAWS,
        "\n".join(DRAWS.splitlines()[-3:]),  # short
        "%matplotlib inline\n" + DRAWS,
    ):
        assert shown("", tmp_path, teaches)[1] == [], teaches


def test_some_cells_of_the_course_are_folded_and_few():
    sources = ["".join(b["source"]) for p in pages.chapters() for b in pages.cells(p) if b["cell_type"] == "code"]
    folded = sum(map(copies.mostly_draws, sources))
    assert 10 <= folded <= len(sources) / 10


# --- what is handed out -----------------------------------------------------------------------------


def test_the_archive_is_what_git_tracks_and_the_same_every_time(tmp_path):
    size = archive.write(tmp_path / "course.zip")
    if not size:
        pytest.skip("this copy of the course is no checkout of git")
    assert archive.write(tmp_path / "again.zip") == size
    assert (tmp_path / "course.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "course.zip") as made:
        names = {name.removeprefix("medsr-course/") for name in made.namelist()}
        assert made.testzip() is None
        assert made.read("medsr-course/course.py") == (ROOT / "course.py").read_bytes()
    assert {"course.py", "Makefile", "requirements.lock", "notebooks/00_start_here.ipynb"} <= names
    assert not [name for name in names if name.startswith(("../", "/")) or re.search(r"\.(nii|dcm)(\.gz)?$", name)]


def test_a_readers_own_files_are_never_handed_on(tmp_path, monkeypatch):
    (tmp_path / "patient.nii.gz").write_bytes(b"a face")
    monkeypatch.setattr(archive, "ROOT", tmp_path)
    assert archive.write(tmp_path / "course.zip") == 0  # no git: nobody can tell
    if subprocess.run(["git", "init", "-q", str(tmp_path)]).returncode == 0:
        (tmp_path / "a.py").write_text("1")
        subprocess.run(["git", "-C", str(tmp_path), "add", "a.py"], check=True)
        assert archive.write(tmp_path / "course.zip") > 0
        assert zipfile.ZipFile(tmp_path / "course.zip").namelist() == ["medsr-course/a.py"]


def test_the_landing_page_says_how_to_get_the_course(monkeypatch):
    monkeypatch.delenv("MEDSR_REPO_URL", raising=False)
    assert "git clone" not in landing._get(27_000_000)
    assert "(27 MB)" in landing._get(27_000_000)
    assert "course.zip" not in landing._get(0)
    monkeypatch.setenv("MEDSR_REPO_URL", "https://example.org/course/")
    assert landing._get(27_000_000).endswith("Or `git clone https://example.org/course`.")
    assert landing._get(0) == "With git: `git clone https://example.org/course`."


def test_the_honest_number_is_of_real_scans_as_they_are_stored(monkeypatch):
    from medsr_course.leaderboard import stored

    gains = [row["psnr"] for row in stored.gains(landing.NETWORK, 2, split="test", data="real-scans")[0].values()]
    least, most = map(float, re.match(r"\*\*([+\d.]+) to ([+\d.]+) dB", landing.honest_number()).groups())
    assert (least, most) == (round(min(gains), 2), round(max(gains), 2))
    flattering = stored.gains(landing.NETWORK, 2, split="test", data="real-scans", setting="signed")[0]
    assert most < max(row["psnr"] for row in flattering.values())
    monkeypatch.setattr(
        stored, "gains", lambda *a, **k: ({("a", "T1w"): {"psnr": -0.5}, ("b", "T1w"): {"psnr": 10}}, "x; d")
    )
    assert "**−0.50 to +10.00 dB.**" in landing.honest_number()
    assert "−12 to 90 % less" in landing.honest_number()


def test_the_hours_are_those_of_the_words(tmp_path):
    text = {"cell_type": "markdown", "source": ["one two\n", "three"]}
    code = {"cell_type": "code", "source": ["a b c d"]}
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": [text, code, text]}))
    assert landing.words(tmp_path / "x.ipynb") == 6


def test_gain_against_time_has_every_method_that_the_board_has(tmp_path):
    said = charts.gain_against_time(ROOT / "results" / "leaderboard.csv", tmp_path)
    drawn = (tmp_path / "gain-seconds.svg").read_text(encoding="utf-8")
    for name in ("ZIP", "SRResNet", "ESPCN", "Lanczos"):
        assert re.search(rf">([^<]+, )?{name}[,<]", drawn), name
    assert "*Input: " in said
    assert charts.gain_against_time(tmp_path / "missing.csv", tmp_path) == ""


def test_a_point_is_the_median_time_and_the_mean_over_people():
    def row(method, subject, contrast, psnr, seconds):
        about = {"method": method, "subject": subject, "contrast": contrast}
        return about | {"psnr": psnr, "seconds_per_megavoxel": seconds}

    rows = [row("zip", "a", "T1w", 30, 1), row("zip", "a", "T2w", 30, 1), row("zip", "b", "T1w", 20, 1)]
    rows += [row("net", "a", "T1w", 31, 2), row("net", "a", "T2w", 33, 4), row("net", "b", "T1w", 20, 9)]
    assert charts._point(rows, "net") == (4, 1.0)  # a: +2, b: 0; scans as the unit would give 4/3


def test_icons_that_pages_show_are_kept_and_a_change_of_the_theme_is_noticed(tmp_path):
    script = tmp_path / icons.SCRIPT
    script.parent.mkdir(parents=True)
    theme = 'var a={"no-bars":[512,512,[9680],"f042","M4 4z"],bars:[448,512,["navicon"],"f0c9","M0 96z"]}'
    script.write_text(theme)
    (tmp_path / "a.html").write_text('<i class="fa-solid fa-bars fa-lg"></i><p>fa-nonsense</p>')
    assert icons.keep_shown(tmp_path) == ["fa-bars"]
    assert "M0 96z" in script.read_text()
    assert "M4 4z" not in script.read_text()
    script.write_text(theme.replace("448,512", "448;512"))
    with pytest.raises(CourseError, match="no icon fa-bars"):
        icons.keep_shown(tmp_path)


def test_names_of_points_that_coincide_share_a_label_and_crowded_ones_change_sides():
    points = {"a": (0.01, -0.5), "b": (0.0105, -0.51), "c": (0.03, -0.5), "d": (0.01, 1.0)}
    labels = charts._labels(points)
    assert labels == {(0.01, -0.5): ["a", "b"], (0.03, -0.5): ["c"], (0.01, 1.0): ["d"]}
    assert {point: charts._crowded(point, labels) for point in labels} == {
        (0.01, -0.5): True,
        (0.03, -0.5): False,
        (0.01, 1.0): False,
    }
