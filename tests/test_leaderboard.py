"""The leaderboard: right rows, right statistics, nothing measured twice, nothing half-written."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT
from scipy import ndimage
from test_cli import medsr, one_line_error

from book import pages
from medsr_course import runtime
from medsr_course.leaderboard import engine, markdown, methods, scans, statistics, tables
from medsr_course.leaderboard.boards import superresolution as board_module
from medsr_course.leaderboard.scans import Request, find
from medsr_course.networks import pretrained
from medsr_course.physics import interpolation, metrics
from medsr_course.scans import datasets
from medsr_course.tasks import superresolution

KEYS = ("method", "scale", "setting", "subject")
SETTINGS = ["stored", "signed", "one coil, 3 % noise", "eight coils, 3 % noise", "interpolated, 6 % noise"]


def pretend_scan(subject):
    """The image of :func:`scan`."""
    return scan("real-scans", "test", subject).read()


def scan(data, split, subject, contrast="T1w"):
    """A head-like blob with texture, small: 28 × 32 × 30 mm."""
    seed = sum(map(ord, subject + contrast))
    x, y, z = np.mgrid[:28, :32, :30]
    head = ((x - 14) / 10) ** 2 + ((y - 16) / 12) ** 2 + ((z - 15) / 20) ** 2 < 1
    noise = np.random.default_rng(seed).normal(size=head.shape)
    volume = 100 * ndimage.gaussian_filter(head * (1 + ndimage.gaussian_filter(noise, 1)), 0.7)
    image = nib.Nifti1Image(volume.astype(np.float32), np.eye(4))
    return scans.Scan(data, split, subject, contrast, lambda: image)


def pretend(patch, cache):
    """Two cohort test subjects, validation and test scans, and one pretend network that counts its calls."""
    patch.setenv("MEDSR_CACHE", str(cache))
    patch.setenv("MEDSR_PROGRESS", "0")
    calls = []
    files = {"tiny-x2.onnx": "a"}
    card = replace(pretrained.card("espcn-x2"), name="tiny-x2", title="tiny ×2", parameters=7, files=files)

    def super_resolve(name, stack, quality="standard"):
        calls.append(len(stack))
        return 1.01 * interpolation.zero_fill(stack, 2)

    patch.setattr(pretrained, "names", lambda task="super-resolution": [] if task == "diffusion" else ["tiny-x2"])
    patch.setattr(pretrained, "card", lambda name: card)
    patch.setattr(pretrained, "super_resolve", super_resolve)
    both = [scan("ds002748", "validation", "sub-66"), scan("real-scans", "validation", "sub-b", "T2w")]
    measured = [scan("cohort", "test", "sub-0005", c) for c in ("T1w", "FLAIR")] + [scan("cohort", "test", "sub-0011")]
    measured += [*both, scan("real-scans", "test", "head", "CT"), scan("real-scans", "test", "person")]
    tuning = [scan("cohort", "validation", "sub-0004"), *both]
    patch.setattr(scans, "find", lambda request, **options: (measured, tuning))
    return {"measured": measured, "calls": calls, "card": card}


@pytest.fixture
def board(monkeypatch, tmp_path):
    """The pretend scans and network, and no figure, which takes longer than all the rest."""
    monkeypatch.setattr(board_module, "figure", lambda board, rows, path: path.write_bytes(b""))
    return pretend(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Rows and folder of a whole leaderboard of pretend scans, and its paired tests."""
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch, tmp_path_factory.mktemp("cache"))
        rows, folder = run(tmp_path_factory.mktemp("whole"))
        yield rows, folder, board_module.tests(rows)


def run(folder, **options):
    return engine.run("super-resolution", folder, Request(**options))[1:]


def fixed(rows):
    """Rows without what the clock says."""
    return [{k: v for k, v in row.items() if k != "seconds_per_megavoxel"} for row in rows]


def test_a_row_is_what_the_protocol_says(board, tmp_path):
    rows, _ = run(tmp_path / "out", names=["cubic"])
    (row,) = (r for r in rows if [r[k] for k in KEYS] == ["cubic", 4, "stored", "person"])
    pair = superresolution.pair(board["measured"][-1].read(), 4, key="person T1w", kind="rician")
    made, base = interpolation.cubic(pair.given, 4), interpolation.zero_fill(pair.given, 4)
    expected = pair.scores(made)
    assert {k: row[k] for k in ("psnr", "psnr_head", "ssim", "hfen")} == pytest.approx(
        {k: v for k, v in expected.items() if k != "low_band"}
    )
    worse = [np.mean((a - t) ** 2) >= np.mean((b - t) ** 2) for a, b, t in zip(made, base, pair.target, strict=True)]
    assert row["better"] == pytest.approx(100 - 100 * np.mean(worse))
    assert {r["method"] for r in rows} == {"zip", "cubic"}  # gains are counted from ZIP
    ct = next(r for r in rows if r["contrast"] == "CT" and r["method"] == "zip" and r["scale"] == 2)
    pair = superresolution.pair(board["measured"][-2].read(), 2, contrast="CT")
    target, coarse = pair.target, pair.given
    assert ct["psnr"] == pytest.approx(metrics.psnr(target, interpolation.zero_fill(coarse, 2), data_range=400))


def test_files_are_whole_and_read_back(whole):
    rows, folder, _ = whole
    assert {p.name for p in folder.iterdir()} == {
        *("leaderboard.csv", "leaderboard.md", "leaderboard.png", "leaderboard-tests.csv", "leaderboard-means.csv")
    }
    again, note = tables.read(folder / "leaderboard.csv", board_module.BOARD)
    assert "commit" in note or (ROOT / ".git").exists() is False
    assert "cores" in note
    assert "2 test subjects" in note
    assert len(again) == len(rows)
    for one, other in zip(rows, again, strict=True):
        assert other["psnr"] == pytest.approx(one["psnr"], abs=6e-4)
        assert (other["method"], other["setting"], other["parameters"]) == tuple(
            one[k] for k in ("method", "setting", "parameters")
        )
    text = (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert text == board_module.BOARD.page(again, note), "the page is made of other numbers than the rows' file holds"
    assert "tiny ×2" in text
    assert "CT" in text


def test_noise_is_for_zip_filters_and_networks_on_magnitudes(whole):
    rows, _, _ = whole
    noisy = [r for r in rows if "noise" in r["setting"]]
    assert {r["method"] for r in noisy} == {"zip", "tiny-x2", *methods.FILTERS}
    assert list(dict.fromkeys(r["setting"] for r in rows)) == SETTINGS
    assert {r["scale"] for r in noisy} == {2}
    assert {r["setting"] for r in rows if r["contrast"] == "CT"} == {"signed"}
    assert {r["parameters"] for r in rows if r["method"] == "tiny-x2"} == {7}
    assert all((r["better"] is None) == (r["method"] == "zip") for r in rows)


def test_a_filter_has_the_strength_that_is_best_for_the_scan_and_its_bias_off_or_not(whole):
    where = "eight coils, 3 % noise"
    rows = {r["method"]: r for r in whole[0] if (r["subject"], r["setting"]) == ("person", where)}
    pair = superresolution.pair(pretend_scan("person"), 2, noise=3, key="person T1w", kind="chi")
    start = interpolation.zero_fill(pair.given, 2)
    for name, used in methods.FILTERS.items():
        tried = [pair.psnrs(used.finish(used.apply(start, pair.sigma.ravel(), s), pair)) for s in used.strengths]
        for key in ("psnr", "psnr_head"):
            assert rows[name][key] == pytest.approx(max(one[key] for one in tried), abs=1e-4)
    assert rows["zip-gaussian"]["psnr"] >= rows["zip"]["psnr"]  # strength 0 is ZIP itself
    assert rows["zip-gaussian-unbiased"]["psnr"] > rows["zip-gaussian"]["psnr"] + 1


@pytest.mark.parametrize("coils", [1, 8])
def test_taking_the_bias_off_takes_off_the_mean_of_the_noise(coils):
    rng = np.random.default_rng(0)
    air = np.sqrt(np.sum(rng.normal(size=(2 * coils, 1, 64, 64)) ** 2, axis=0))
    pair = superresolution.Pair(air, air, sigma=np.ones((1, 1, 1)), coils=coils)
    smooth = np.sqrt(ndimage.uniform_filter(air**2, (0, 15, 15)))
    assert smooth.mean() > 1.3 * np.sqrt(coils)
    assert methods.FILTERS["zip-nlm-unbiased"].finish(smooth, pair).mean() < 0.4 * np.sqrt(coils)
    assert methods.FILTERS["zip-nlm"].finish(smooth, pair) is smooth


def test_a_strength_is_never_chosen_on_the_subject_itself():
    a, b = scan("ds002748", "validation", "a"), scan("real-scans", "validation", "b")
    cohort, test = scan("cohort", "validation", "c"), scan("real-scans", "test", "t")
    swept = {s: {1: 0, 2: 0, 3: 0, 4: 0} for s in (a, b, cohort, test)}
    for s, strength in ((a, 1), (b, 2), (cohort, 3), (test, 4)):
        swept[s] = swept[s] | {strength: 1 + (s is b)}
    assert scans.choose(a, swept) == 2
    assert scans.choose(b, swept) == 1
    assert scans.choose(test, swept) == 2  # both real ones, of which b gains more
    assert scans.choose(scan("cohort", "test", "d"), swept) == 3
    assert scans.choose(test, {cohort: swept[cohort]}) == 3
    with pytest.raises(runtime.CourseError, match="--data all"):
        scans.choose(a, {a: swept[a]})


def test_a_second_run_measures_nothing_and_says_the_same(board, tmp_path, monkeypatch):
    options = {"names": ["tiny-x2", "zip-gaussian", "cubic"]}
    first, _ = run(tmp_path / "one", **options)
    count = len(board["calls"])
    assert count > 0
    monkeypatch.setattr(superresolution, "scores", lambda *a, **k: pytest.fail("measured twice"))
    second, _ = run(tmp_path / "two", **options)
    assert second == first
    assert len(board["calls"]) == count
    for name in ("leaderboard.csv", "leaderboard-means.csv", "leaderboard.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_fresh_measures_again(board, tmp_path):
    run(tmp_path / "out", names=["tiny-x2"], scales=(2,))
    count = len(board["calls"])
    run(tmp_path / "out", names=["tiny-x2"], scales=(2,), fresh=True)
    assert len(board["calls"]) == 2 * count


def test_without_the_cache_all_but_the_times_is_the_same(board, tmp_path, monkeypatch):
    first, _ = run(tmp_path / "one", names=["zip-gaussian"], scales=(2,))
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "other"))
    second, _ = run(tmp_path / "two", names=["zip-gaussian"], scales=(2,))
    assert fixed(first) == fixed(second)


def test_new_weights_are_measured_again_and_old_rows_stay(board, tmp_path):
    run(tmp_path / "out", names=["tiny-x2", "cubic"], scales=(2,))
    count = len(board["calls"])
    board["card"].files["tiny-x2.onnx"] = "b"
    kept = {p: json.loads(p.read_text()) for p in (tmp_path / "cache" / "leaderboard").iterdir()}
    run(tmp_path / "out", names=["tiny-x2", "cubic"], scales=(2,))
    assert len(board["calls"]) == 2 * count
    for path, rows in kept.items():
        now = json.loads(path.read_text())
        assert {k: now[k] for k in rows} == rows


def test_interrupted_it_goes_on_and_leaves_the_old_table(board, tmp_path, monkeypatch):
    run(tmp_path / "out", names=["cubic"], scales=(2,))
    before = (tmp_path / "out" / "leaderboard.csv").read_bytes()
    real, done = superresolution.scores, []

    def stops(*a, **k):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return real(*a, **k)

    monkeypatch.setattr(superresolution, "scores", stops)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", names=["linear"], scales=(2,))
    assert (tmp_path / "out" / "leaderboard.csv").read_bytes() == before
    done.clear()
    monkeypatch.setattr(superresolution, "scores", lambda *a, **k: done.append(1) or real(*a, **k))
    rows, folder = run(tmp_path / "out", names=["linear"], scales=(2,))
    magnitudes = [scan for scan in board["measured"] if scan.contrast != "CT"]
    assert len(done) == 2 * len(magnitudes) + 1 - 3  # stored and signed, of CT signed
    assert {r["method"] for r in rows} == {"zip", "linear"}
    assert not list(folder.glob("*.part"))


def test_a_damaged_cache_is_measured_again(board, tmp_path):
    first, _ = run(tmp_path / "out", names=["cubic"], scales=(2,))
    for path in (tmp_path / "cache" / "leaderboard").iterdir():
        path.write_text('{"half')
    second, _ = run(tmp_path / "out", names=["cubic"], scales=(2,))
    assert fixed(first) == fixed(second)


def test_the_summary_averages_contrasts_then_subjects():
    def row(subject, contrast, method, psnr, data="cohort"):
        numbers = dict.fromkeys(("psnr_head", "ssim", "hfen", "better", "seconds_per_megavoxel"), 1.0)
        about = {"scale": 2, "setting": "stored", "data": data, "split": "test", "parameters": 0}
        return {"method": method, "subject": subject, "contrast": contrast, "psnr": psnr} | about | numbers

    gains = {("a", "T1w"): 1, ("a", "T2w"): 3, ("b", "T1w"): 5, ("c", "T1w"): -1}
    rows = [row(s, c, "zip", 30.0) for s, c in gains] + [row(s, c, "cubic", 30.0 + g) for (s, c), g in gains.items()]
    line = next(m for m in board_module.summary(rows) if m["method"] == "cubic")
    assert line["gain"] == pytest.approx(metrics.student_interval([2, 5, -1]))
    assert (line["subjects"], line["scans"], line["least_gain"]) == (3, 4, -1)
    assert line["psnr"] == pytest.approx(32)
    assert line["over_best"] is None  # no filters were measured
    few = board_module.summary([r for r in rows if r["subject"] != "c"])
    assert [m["gain"][1] for m in few] == [None, None]
    assert markdown.shown(line["gain"]).startswith("+2.00 [-5.45")
    real = board_module.summary([r | {"data": "real-scans"} for r in rows])
    assert [m["gain"][1:] for m in real] == [(None, None)] * 2  # few, and each of another kind: points


def test_paired_tests(whole):
    assert statistics.sign_flip([1, 1, 1, 1, 1, 1]) == 2 / 2**6
    assert statistics.sign_flip([1, -1]) == 1
    many = np.random.default_rng(0).normal(0.5, 1, 17)  # too many for every combination
    assert statistics.sign_flip(many) == pytest.approx(statistics.sign_flip(many[:16]), abs=0.05)
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1, 1]
    _, _, tested = whole
    unseen = [t for t in tested if t["group"] == statistics.UNSEEN]
    assert {t["method"] for t in tested} == {"tiny-x2"}
    assert {(t["setting"], t["reference"]) for t in unseen} == {
        (s, r) for s in SETTINGS for r in ("ZIP", "filters") if "noise" in s or r == "ZIP"
    }
    assert list(dict.fromkeys(t["setting"] for t in tested)) == SETTINGS
    assert all(t["subjects"] == 3 and t["p"] >= t["smallest_p"] == 0.25 for t in unseen)  # two synthetic, one real


def test_only_unseen_people_count_as_unseen():
    assert scans.group("ds002748", "validation", "T1w") == scans.VALIDATION
    assert scans.group("real-scans", "test", "CT") == scans.CT
    assert scans.group("cohort", "test", "T1w") == scans.COHORT


def test_real_scans_are_measured_where_they_are(monkeypatch, tmp_path):
    class Person:
        def __init__(self, id, split, *contrasts):
            self.id, self.split, self.contrasts = id, split, dict.fromkeys(contrasts)

    class People(list):
        def select(self, split):
            return People(p for p in self if p.split == split)

    cohort = People(Person(f"sub-{i:04d}", datasets.cohort_split(i), *datasets.CONTRASTS) for i in range(24))
    known = {
        "cohort": cohort,
        "ds002748": People([Person("sub-52", "train", "T1w"), Person("sub-66", "validation", "T1w")]),
    }
    known["real-scans"] = People([Person("x", "test", "T1w", "T1w_run-2"), Person("stroke", "validation", "T2w")])

    def load(name, n_subjects=24, seed=0, split=""):
        return People(p for p in known[name][:n_subjects] if split in ("", p.split))

    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.setattr(datasets, "real_folder", lambda: tmp_path)
    there = [datasets.Source("ds002748", "", "", "", True)]
    monkeypatch.setattr(datasets, "available", lambda: there)
    measured, tuning = find(Request("all"))
    assert [(s.subject, s.contrast) for s in measured[4:]] == [
        ("sub-66", "T1w"),
        ("x", "T1w"),
        ("stroke", "T2w"),
    ]
    assert [(s.subject, s.contrast) for s in measured[:4]] == [
        ("sub-0005", "T1w"),
        ("sub-0011", "T2w"),
        ("sub-0017", "PDw"),
        ("sub-0023", "FLAIR"),
    ]
    assert [s.contrast for s in find(Request("cohort"), tuning=0, contrasts=("T1w",))[0]] == ["T1w"] * 4
    assert {s.subject for s in tuning} == {"sub-0004", "sub-0010", "sub-66", "stroke"}
    monkeypatch.setattr(datasets, "real_folder", lambda: None)
    there.clear()
    assert {s.data for s in find(Request("all"))[0]} == {"cohort"}
    assert "the cohort alone" in board_module.BOARD.about(Request("all"), map(board_module._label, measured[:4]))
    with pytest.raises(runtime.CourseError, match="MEDSR_REAL_DATA"):
        find(Request("real"))
    known["cohort"] = People(cohort[:5])
    with pytest.raises(runtime.CourseError, match="--subjects 6"):
        find(Request("cohort", subjects=5))


def test_a_null_run_is_refused(board, monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSR_NULL", "1")
    with pytest.raises(runtime.CourseError, match="MEDSR_NULL"):
        run(tmp_path / "out", names=["cubic"])


def test_a_part_does_not_replace_the_whole(board, tmp_path, monkeypatch):
    monkeypatch.setattr(engine.resources, "checkout", lambda: tmp_path)
    assert run(None, names=["cubic"], scales=(2,))[1] == tmp_path / "out" / "leaderboard"
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--methods", "bicubic"), "there are: nearest, linear, cubic"),
        (("--methods", "espcn-x4", "--scale", "2"), "espcn-x4"),
        (("--data", "dogs"), "choose one of cohort, real, all"),
        (("--scale", "3"), "choose 2 or 4"),
    ],
)
def test_mistakes_are_one_line(words, said, tmp_path):
    assert said in one_line_error(medsr("leaderboard", *words, "--output", str(tmp_path), MEDSR_CACHE=str(tmp_path)))


def test_an_output_that_cannot_be_written(board, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(runtime.CourseError, match="--output"):
        run(tmp_path / "file" / "out", names=["cubic"])


def test_the_site_shows_every_board(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "source").mkdir()
    assert "Nothing has been measured" in pages.leaderboards(tmp_path / "source")["{{BOARDS}}"]
    (folder / "leaderboard.md").write_text("# One\n\n![x](leaderboard.png)")
    (folder / "leaderboard.csv").write_text("a,b\n1,2\n")
    (folder / "leaderboard.png").write_bytes(b"")
    (folder / "leaderboard-denoising.md").write_text("# Two")
    (folder / "leaderboard-denoising.csv").write_text("a,b\n1,2\n")
    made = pages.leaderboards(tmp_path / "source")
    page = made["{{BOARDS}}"]
    assert page.index("(leaderboard)=") < page.index("## One") < page.index("](results/leaderboard.png)")
    assert page.index("](results/leaderboard.png)") < page.index("(leaderboard-denoising)=") < page.index("## Two")
    files = "{download}`leaderboard-denoising.csv <results/leaderboard-denoising.csv>`"
    assert f"| [Two](#leaderboard-denoising) | – | 0 | {files} |" in made["{{OVERVIEW}}"]
    assert (tmp_path / "source" / "results" / "leaderboard.png").exists()
    assert "leaderboard" in pages.contents()


@pytest.mark.browser
def test_tables_sort_by_a_click(chromium, tmp_path):
    cells = [("b", "+0.91 [+0.8, +1.0]", "1,200", "x"), ("a", "-2.10", "–", "x"), ("ZIP", "(33.1 dB)", "91", "x")]
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in cells)
    table = f"<table><thead><tr><th>m</th><th>g</th><th>p</th><th>x</th></tr></thead><tbody>{body}</tbody></table>"
    script = (ROOT / "book" / "_static" / "tables.js").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(
        f"<meta charset=utf-8><div class=bd-article>{table}</div><script>{script}</script>", encoding="utf-8"
    )
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())

    def click(column):
        page.locator("th button").nth(column).click()
        return page.locator("tbody tr td:first-child").all_inner_texts()

    assert click(1) == ["b", "ZIP", "a"]  # ZIP's own PSNR is no gain
    assert click(1) == ["a", "ZIP", "b"]
    assert click(2) == ["b", "ZIP", "a"]
    assert click(2) == ["ZIP", "b", "a"]  # what is unknown stays last
    assert click(0) == ["ZIP", "b", "a"]
    page.close()


def test_what_a_row_depends_on_is_hashed():
    names = {f"{m}.py" for m in board_module.MODULES}
    folder = ROOT / "medsr_course"
    assert names <= {p.relative_to(folder).as_posix() for p in folder.glob("*/*.py")}
    assert methods.get("zip").apply is interpolation.zero_fill


def test_quality_best_is_measured_on_real_scans_and_in_noise_on_report_scans_alone():
    name = next(name for name in pretrained.names() if methods.get(name).can(2))
    report, tuning, made = (scan(*about, "a") for about in (("real-scans", "test"), ("real-scans", "validation"),
                                                             ("cohort", "test")))  # fmt: skip
    assert board_module._conditions(f"{name}-best", 2, report) == board_module._conditions(name, 2, report)
    assert board_module._conditions(f"{name}-best", 2, tuning) == [("rician", 0), ("signed", 0)]
    assert board_module._conditions(f"{name}-best", 2, made) == []
    assert len(board_module._conditions(name, 2, report)) > 2
