"""Lessons, the concept test, the bundle and the edition without solutions: what a teacher relies on."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from conftest import ROOT

from classroom import concepts, copies, lessons, pages, site
from medsr_course.runtime import CourseError
from medsr_course.scans import bundles, catalogue
from medsr_course.teaching import exercises, notebooks
from tools import hub

LESSONS = lessons.lessons()
EACH = pytest.mark.parametrize("number", LESSONS)
ASKED = [("vote", one.number, one.vote) for one in LESSONS.values()]
ASKED += [("ticket", one.number, ticket) for one in LESSONS.values() for ticket in one.tickets]
ASKED += [("test", k, one) for k, one in enumerate(concepts.questions(), 1)]


# --- what stands in the files ---------------------------------------------------------------------


@EACH
def test_a_lesson_has_ninety_minutes_and_every_part(number):
    lesson = LESSONS[number]
    assert sum(minutes for minutes, _, _ in lesson.steps) == lessons.MINUTES
    kinds = [what for _, what, _ in lesson.steps]
    assert set(kinds) == set(pages.KINDS)
    assert kinds[0] == "vote"
    assert kinds[-1] == "ticket"
    assert lesson.skip
    assert lesson.blind
    assert len(lesson.debrief) >= 3
    assert set(lesson.chapters) <= {row["number"] for row in rows("book/course.csv")}


def rows(name):
    with (ROOT / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("where", "number", "question"), ASKED, ids=[f"{w}-{n}-{k}" for k, (w, n, _) in enumerate(ASKED)]
)
def test_a_question_does_not_give_its_answer_away(where, number, question):
    assert len(question.wrong) >= (3 if where == "test" else 2)
    assert question.right not in question.wrong
    assert len(question.right) <= max(map(len, question.wrong)), "the longest answer is right: a hint"
    explained = [question.why, *question.wrong.values()]
    assert all(len(text) > 15 for text in explained)
    assert len(set(explained)) == len(explained)


def test_exercises_that_a_plan_names_are_in_its_notebook():
    for lesson in LESSONS.values():
        named = set(re.findall(r"\b\d\d[ab]?-[a-z-]+[a-z]", " ".join(text for _, _, text in lesson.steps)))
        assert named <= set(exercises.names())
        code = "".join("".join(cell["source"]) for cell in lessons.notebook(lesson)["cells"])
        assert [name for name in named if f'exercises.check("{name}"' not in code] == []


def test_the_concept_test_has_twenty_questions_over_all_lessons():
    entries = yaml.safe_load((ROOT / "classroom" / "concept-test.yml").read_text(encoding="utf-8"))
    assert len(entries) == 20
    assert {entry["lesson"] for entry in entries} == set(LESSONS)
    letters = concepts.letters()
    assert all(3 <= letters.count(letter) <= 7 for letter in "ABCD")


def test_sentences_are_short():
    text = " ".join((ROOT / "classroom" / name).read_text() for name in ("lessons.yml", "concept-test.yml"))
    text += (ROOT / "book" / "teach.md").read_text() + (ROOT / "classroom" / "hub" / "README.md").read_text()
    text = re.sub(r"```.*?```|^\|.*$|^#.*$", "", text, flags=re.S | re.M)
    long = [s for s in re.split(r"(?<=[.?!:;])\s|\n\n|\n *- ", text) if len(s.split()) > 30]
    assert long == []


# --- files of a lesson ----------------------------------------------------------------------------


@EACH
def test_the_files_of_a_lesson(number, tmp_path):
    files = {path.name: path.read_text(encoding="utf-8") for path in lessons.write(number, tmp_path)}
    assert len(files) == 4
    notebook = json.loads(files[f"lesson-{number}.ipynb"])
    tags = [tag for cell in notebook["cells"] for tag in cell["metadata"].get("tags", [])]
    assert tags.count("parameters") == 1
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert len(re.findall("^PROFILE = ", code, flags=re.M)) == 1
    lesson = LESSONS[number]
    for name in ("slides", "handout", "teacher"):
        page = files[f"lesson-{number}-{name}.html"]
        assert not re.search(r"(src|href)=|@import|url\(", page)  # nothing is loaded
        assert lesson.title in page
    handout, key = files[f"lesson-{number}-handout.html"], lesson.tickets[0].why
    assert pages.render(key)[3:-5] not in handout
    assert pages.render(key)[3:-5] in files[f"lesson-{number}-teacher.html"]
    assert all(pages.render(one.why)[3:-5] not in str(notebook) for one in (lesson.vote, *lesson.tickets))


@pytest.mark.notebook
@pytest.mark.parametrize("number", [pytest.param(n, marks=pytest.mark.xdist_group(f"lesson-{n}")) for n in LESSONS])
def test_a_lessons_notebook_runs(number, tmp_path, monkeypatch):
    """Core cells need nothing of the cells that were left out."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "1")
    (source,) = [path for path in lessons.write(number, tmp_path) if path.suffix == ".ipynb"]
    done = notebooks.execute_file(source, tmp_path / "executed.ipynb", "smoke", timeout=300)
    assert done["error"] == ""


@EACH
def test_what_a_lesson_tells_it_has_asked(number):
    """A prediction is told beside its answer only where the cell that asks is core, too."""
    code = "\n".join("".join(cell["source"]) for cell in lessons.notebook(LESSONS[number])["cells"])
    said = re.findall(r"predictions\.(ask|sketch|tell)\(\s*\"([\w-]+)", code)
    asked = set()
    for what, name in said:
        if what != "tell":
            asked.add(name)
        assert name in asked, name


def test_what_tells_of_a_cell_that_is_left_out_is_left_out(tmp_path):
    def cell(kind, name, source, *tags):
        return {"cell_type": kind, "id": name, "metadata": {"tags": list(tags)}, "source": source}

    cells = [
        cell("code", "a", "import numpy", "core"),
        cell("code", "b", "x = 1"),
        cell("markdown", "c", "So x is one.\n\n## The next thing\n\nWords.", "core"),
        cell("code", "d", "y = 2", "core"),
        cell("markdown", "e", "So y is two.\n\n## More\n", "core"),
        cell("markdown", "f", "Left out."),
        cell("code", "g", "z = 3", "core"),
    ]
    path = tmp_path / "98_a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    texts = ["".join(one["source"]) for one in lessons.core(path)]
    assert texts[1:4] == ["## The next thing\n\nWords.", "y = 2", "So y is two.\n\n## More\n"]
    assert texts[4:] == [lessons.LEFT_OUT, "z = 3"]


def test_a_lesson_without_core_cells_or_of_another_number_is_one_line(monkeypatch):
    with pytest.raises(CourseError, match="there is no lesson 7"):
        lessons.find(7)
    monkeypatch.setattr(lessons, "core", lambda chapter: [])
    with pytest.raises(CourseError, match="tag core"):
        lessons.notebook(LESSONS[1])
    assert lessons.main(["9"]) == 1


def test_markup_in_a_plan_stays_text():
    assert "<script" not in pages.render("a <script>alert(1)</script> b")
    assert "&lt;b&gt;" in pages.page("<b>", "")


@pytest.mark.browser
def test_slides_turn_with_the_keys(chromium, tmp_path):
    slides = next(path for path in lessons.write(1, tmp_path) if "slides" in path.name)
    page = chromium.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(slides.as_uri())
    shown = page.locator("section:visible")
    assert shown.count() == 1
    assert LESSONS[1].title in shown.inner_text()
    page.keyboard.press("ArrowRight")
    assert shown.inner_text().startswith("Vote")
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")  # there is none after the last
    assert shown.count() == 1
    assert "Exit ticket" in shown.inner_text()
    for _ in range(page.locator("section").count()):  # nothing runs out of a slide on a small projector
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight + 1"), shown.inner_text()
        page.keyboard.press("ArrowLeft")
    assert asked == [slides.as_uri()]
    page.close()


def test_the_teachers_pages_are_filled(tmp_path):
    for name in ("teach.md", "teach-lessons.md"):
        shutil.copy(ROOT / "book" / name, tmp_path)
    site.write(tmp_path)
    text = (tmp_path / "teach.md").read_text() + (tmp_path / "teach-lessons.md").read_text()
    assert "{{" not in text
    assert text.count("Plan, with keys") == len(LESSONS)


# --- the gain -------------------------------------------------------------------------------------


def answers(right, count=20):
    table = np.zeros(count, bool)
    table[:right] = True
    return table


def test_the_gain_is_over_students_and_of_what_there_was_to_win():
    before = {"a": answers(10), "b": answers(0), "c": answers(20), "d": answers(5)}
    after = {"a": answers(15), "b": answers(10), "c": answers(20), "e": answers(20)}
    found = concepts.gain(before, after)
    assert found.students == 2
    assert found.gain == pytest.approx(0.5)  # (0.75 − 0.5) / 0.5 and 0.5 / 1
    assert found.of_means == pytest.approx((0.625 - 0.25) / 0.75)  # another number, and not the mean over students
    assert len(found.left_out) == 3  # c had nothing to gain; d and e took one test
    assert "small sample" in concepts.told(found)


def test_no_learning_gains_nothing_and_its_interval_holds_zero():
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.3, 0.7, 40)
    before, after = ({str(k): rng.random(20) < p for k, p in enumerate(shares)} for _ in range(2))
    found = concepts.gain(before, after)
    assert found.low < 0 < found.high
    shuffled = concepts.gain(before, dict(zip(before, reversed(after.values()), strict=True)))
    assert shuffled.high - shuffled.low > found.high - found.low  # pairing counts: students differ


def test_a_table_of_answers_is_read_with_care(tmp_path):
    file = tmp_path / "a.csv"
    right = ",".join(concepts.letters())
    file.write_text(f"student,{','.join('q' * 20)}\nanna,{right}\nben,{right.lower()}\ncho,{',' * 19}\n", "utf-8-sig")
    table = concepts.read(file)
    assert table["anna"].all()
    assert table["ben"].all()
    assert not table["cho"].any()
    for text, said in {
        f"anna,{right}\nanna,{right}\n": "twice",
        f"anna,{right},A\n": "20 answers",
        f"anna,E{right[1:]}\n": "A, B, C, D",
    }.items():
        file.write_text(text)
        with pytest.raises(CourseError, match=said):
            concepts.read(file)
    with pytest.raises(CourseError, match="cannot be read"):
        concepts.read(tmp_path / "none.csv")
    with pytest.raises(CourseError, match="two students"):
        concepts.gain({"a": answers(1)}, {"a": answers(2)})


# --- copies ---------------------------------------------------------------------------------------


def test_the_edition_has_no_solutions_and_the_same_checkers(tmp_path):
    target = tmp_path / "students"
    assert copies.edition(target) > 200
    assert not (target / "classroom").exists()
    assert not (target / "tests").exists()
    assert not list((target / "book").glob("teach*"))
    assert "teach" not in (target / "book" / "_toc.yml").read_text()
    packed = sorted((target / "medsr_course" / "teaching" / "exercises").glob("ch*.py"))
    assert len(packed) == len(list((ROOT / "medsr_course" / "teaching" / "exercises").glob("ch*.py")))
    for name in exercises.names():  # no line of a solution anywhere in the exercises
        body = [line.strip() for line in exercises.find(name).source().splitlines()[1:] if len(line.strip()) > 25]
        assert not any(line in path.read_text(encoding="utf-8") for path in packed for line in body)
    code = (
        "from medsr_course.teaching import exercises\nfrom medsr_course.teaching.exercises._core import verdict\n"
        "from book import pages\nimport medsr_course, sys\nassert sys.argv[1] in medsr_course.__file__\n"
        "for name in exercises.names()[:12]:\n"
        "    one = exercises.find(name)\n    assert verdict(name, one.reference)[0] == 'right', name\n"
        "    assert all(verdict(name, wrong)[0] == 'wrong' for wrong in one.mistakes.values()), name\n"
        "    try:\n        print(one.source())\n"
        "    except Exception as error:\n        assert 'ask your teacher' in str(error)\n"
        "text = pages.solutions(pages.chapters())\nassert 'ask your teacher' in text and 'def ' not in text\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(target))
    words = [sys.executable, "-c", code, str(target)]
    done = subprocess.run(words, cwd=target, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_a_copy_does_not_write_into_a_folder_with_other_things(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CourseError, match="not empty"):
        copies.edition(tmp_path)
    assert copies.main(["edition", str(tmp_path)]) == 1


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with a small cohort and one download."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MEDSR_CACHE", str(folder))
    (folder / "cohort-v0-seed0" / "sub-0000").mkdir(parents=True)
    (folder / "cohort-v0-seed0" / "sub-0000" / "t1.nii.gz").write_bytes(b"scan")
    (folder / "cohort-v0-seed0" / ".lock").write_bytes(b"")
    return folder


def test_data_go_into_a_bundle_and_out_again(cache, tmp_path, monkeypatch):
    entry = next(iter(catalogue.entries().values()))
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(b"archive")
    monkeypatch.setattr(catalogue, "fetch", lambda name: catalogue.entry(name).path)
    lines = list(bundles.write(tmp_path / "stick", [entry.name]))
    assert entry.licence in lines[-1]
    assert not list((tmp_path / "stick").rglob(".lock"))
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "other"))
    fetched = []
    monkeypatch.setattr(catalogue, "fetch", lambda name: fetched.append((name, os.environ["MEDSR_MIRROR"])))
    monkeypatch.setenv("MEDSR_MIRROR", "")
    list(bundles.read(tmp_path / "stick"))
    assert (tmp_path / "other" / "cohort-v0-seed0" / "sub-0000" / "t1.nii.gz").read_bytes() == b"scan"
    assert fetched == [(entry.name, str(tmp_path / "stick" / "mirror"))]


def test_nothing_to_bundle_and_no_bundle_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "empty"))
    with pytest.raises(CourseError, match="medsr data make cohort"):
        list(bundles.write(tmp_path / "stick"))
    with pytest.raises(CourseError, match="holds no data"):
        list(bundles.read(tmp_path))
    with pytest.raises(CourseError, match="nothing called"):
        list(bundles.write(tmp_path / "stick", ["no-such-data"]))


def test_a_bundle_says_what_it_has_and_what_not(cache, tmp_path, monkeypatch):
    chapter = next(iter(notebooks.chapters()))
    monkeypatch.setattr(notebooks, "chapters", lambda: {"00": ROOT / "notebooks" / "00_start_here.ipynb", "01": ROOT})
    executed = tmp_path / "00_start_here.ipynb"
    executed.write_text("{}")
    monkeypatch.setattr(
        notebooks, "kept", lambda name: notebooks.Executed(name, executed, 1, 1, "", True) if name == chapter else None
    )
    lines = "\n".join(copies.bundle(tmp_path / "stick", []))
    assert "1 executed chapters; missing: 01" in lines
    guide = (tmp_path / "stick" / "README.txt").read_text()
    assert "python course.py setup /full/path/of/this/folder" in guide
    assert "executed/ holds notebooks" in guide
    built = (ROOT / "book" / "_build" / "html" / "index.html").exists()
    assert ("site/index.html is the whole course" in guide) is built  # it promises what is there
    assert (tmp_path / "stick" / "course" / "course.py").read_bytes() == (ROOT / "course.py").read_bytes()
    assert (tmp_path / "stick" / "executed" / "00_start_here.ipynb").exists()
    assert not list((tmp_path / "stick" / "course").rglob(".git"))


# --- the hub --------------------------------------------------------------------------------------


def config(monkeypatch, **settings):
    """The settings of the recipe, as JupyterHub would collect them."""

    class Collected(dict):
        def __getattr__(self, name):
            return self.setdefault(name, Collected())

        __setattr__ = dict.__setitem__

    for name, value in {"MEDSR_PASSWORD": "a-password", **settings}.items():
        monkeypatch.setenv(name, value)
    made = Collected()
    path = ROOT / "classroom" / "hub" / "jupyterhub_config.py"
    exec(compile(path.read_text(), str(path), "exec"), {"get_config": lambda: made, "__file__": str(path)})
    return made


def test_the_hub_limits_memory_and_writes_nothing_shared(monkeypatch):
    made = config(monkeypatch, MEDSR_COURSE="/srv/c", MEDSR_SHARED="/srv/s", MEDSR_MEMORY="2G")
    assert made.JupyterHub.authenticator_class == "shared-password"
    assert made.Authenticator.allow_all is True
    assert "admin_users" not in made.Authenticator  # nobody is admin unless a password for it was given
    assert made.SystemdSpawner.mem_limit == "2G"
    assert made.SystemdSpawner.readonly_paths == ["/srv/c", "/srv/s"]
    with_teacher = config(monkeypatch, MEDSR_TEACHER="t" * 32)
    assert with_teacher.Authenticator.admin_users == {"teacher"}
    simple = config(monkeypatch, MEDSR_SPAWNER="simple", MEDSR_HOMES="/srv/h")
    assert simple.SimpleLocalProcessSpawner.home_dir_template == "/srv/h/{username}"


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a shell")
def test_a_student_gets_notebooks_and_the_cohort_and_keeps_changes(tmp_path):
    course, shared, home = tmp_path / "course", tmp_path / "shared", tmp_path / "home"
    for folder in (course / "notebooks", shared / "cohort-v5-seed0", home, tmp_path / "bin"):
        folder.mkdir(parents=True)
    (course / "notebooks" / "00_a.ipynb").write_text("original")
    server = tmp_path / "bin" / "jupyterhub-singleuser"
    server.write_text('#!/bin/sh\necho "started $@ in $PWD"\n')
    server.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "MEDSR_COURSE": str(course)}
    environment |= {"MEDSR_SHARED": str(shared), "MEDSR_HUB_BIN": str(tmp_path / "bin")}
    words = [str(ROOT / "classroom" / "hub" / "start-student"), "--port=1"]
    for _ in range(2):
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert done.stdout == f"started --port=1 in {home}\n", done.stderr
        assert (home / ".cache" / "medsr-course" / "cohort-v5-seed0").resolve() == shared / "cohort-v5-seed0"
        (home / "notebooks" / "00_a.ipynb").write_text("changed")
    assert (home / "notebooks" / "00_a.ipynb").read_text() == "changed"


def test_a_simulated_student_starts_another_kernel(monkeypatch):
    """A kernel that does not answer costs time, not the student; a cell that raises is an error at once."""
    ran, lives = [], [2, 1, 9]  # messages that each connection carries

    class Socket:
        def __init__(self):
            self.left = lives.pop(0)

        def send(self, message):
            self.left -= 1
            if self.left < 1:
                raise hub.websocket.WebSocketConnectionClosedException("gone")
            self.message = json.loads(message)

        def recv(self):
            code = self.message["content"]["code"]
            ran.append(code)
            content = {"status": "error", "ename": "NameError", "evalue": "x"} if code == "bad" else {"status": "ok"}
            head = self.message["header"]
            return json.dumps({"parent_header": head, "msg_type": "execute_reply", "content": content})

        def close(self):
            pass

    class Answer:
        def raise_for_status(self):
            pass

        def json(self):
            return {"id": "kernel"}

    monkeypatch.setattr(hub.requests, "post", lambda *where, **how: Answer())
    monkeypatch.setattr(hub.websocket, "create_connection", lambda *where, **how: Socket())

    def student(cells, connections):
        lives[:] = connections
        one = hub.Student(1, "token")
        one.work(cells)
        return one.error, one.again

    assert student(["a", "b", "c"], [2, 1, 9]) == ("", 2)
    assert ran == ["a", "a", "b", "c"]
    assert student(["a"], [1] * hub.TRIES) == ("gone", hub.TRIES - 1)
    assert student(["bad", "a"], [9, 9]) == ("NameError: x", 0)
