"""Every checker accepts what is right and rejects each named mistake in its own words."""

import pytest

from medsr_course import runtime
from medsr_course.teaching import exercises, quizzes
from medsr_course.teaching.exercises._core import verdict

NAMES = exercises.names()
MISTAKES = [(name, mistake) for name in NAMES for mistake in exercises.find(name).mistakes]
QUIZZES = sorted({name.split("-")[0] for name in NAMES})


@pytest.mark.parametrize("name", NAMES)
def test_reference_and_alternatives_are_right(name):
    exercise = exercises.find(name)
    assert exercise.alternatives, "an exercise needs a right alternative"
    for fn in (exercise.reference, *exercise.alternatives):
        for _ in range(3):  # the inputs are fresh each time
            assert verdict(name, fn) == ("right", "right.")


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_mistakes_are_rejected(name, mistake):
    for _ in range(3):
        status, _message = verdict(name, exercises.find(name).mistakes[mistake])
        assert status == "wrong"


@pytest.mark.parametrize("name", NAMES)
def test_each_mistake_has_words_of_its_own(name):
    exercise = exercises.find(name)
    assert len(exercise.mistakes) >= 3
    messages = {verdict(name, wrong)[1] for wrong in exercise.mistakes.values()}
    assert len(messages) == len(exercise.mistakes)


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_is_not_answered_yet(name):
    assert verdict(name, lambda *args, **kwargs: None)[0] == "unanswered"


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_that_breaks_is_told_how(name):
    def broken(*args, **kwargs):
        raise KeyError("oops")

    status, message = verdict(name, broken)
    assert status == "wrong"
    assert "KeyError" in message


@pytest.mark.parametrize("name", NAMES)
def test_solution_and_hint_can_be_read(name):
    exercise = exercises.find(name)
    assert "def " in exercise.source()
    assert len(exercise.hint) > 10


def test_unknown_exercise_says_what_there_is():
    with pytest.raises(runtime.CourseError, match=NAMES[0]):
        exercises.find("99-nothing")


@pytest.mark.parametrize("chapter", QUIZZES)
def test_quiz(chapter):
    """Three to six questions; one right answer each; every answer is explained in words of its own."""
    questions = quizzes.questions(chapter)
    assert 3 <= len(questions) <= 6
    assert len({q["question"] for q in questions}) == len(questions)
    for question in questions:
        explained = [a["feedback"] for a in question["answers"]]
        assert all(len(text) > 15 for text in explained)
        assert len(set(explained)) == len(explained)
        assert sum(a.get("correct", False) for a in question["answers"]) == 1


@pytest.mark.parametrize("chapter", QUIZZES)
def test_numeric_answers_do_not_overlap_with_mistakes(chapter):
    for question in quizzes.questions(chapter):
        ranges = sorted(a["range"] for a in question["answers"] if a.get("type") == "range")
        assert all(low[1] < high[0] for low, high in zip(ranges, ranges[1:], strict=False))


def test_a_name_that_a_fresh_kernel_lacks_is_told_with_the_remedy():
    status, message = verdict(NAMES[0], lambda *args, **kwargs: nothing_of_that_name)  # noqa: F821
    assert status == "wrong"
    assert "nothing_of_that_name" in message
    assert "run the chapter's first code cells" in message


@pytest.mark.browser
@pytest.mark.parametrize("typed", ["6.25", "6,25", "6.25%", "6,25 %", "1/16", "0.0625%"[:-1] + "/0.01"])
def test_a_quiz_understands_how_people_write_numbers(chromium, monkeypatch, typed):
    asked = quizzes.numeric("How many percent are one in sixteen?", lambda: 100 / 16, tolerance=0.01, feedback="Yes.")
    monkeypatch.setattr("medsr_course.teaching.quizzes._core.questions", lambda chapter: [asked])
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda item, raw=False: shown.append(item))
    monkeypatch.setattr("jupyterquiz.dynamic.display.display", shown.append)
    quizzes.show("98")
    page = chromium.new_page()
    page.set_content("<body></body>")
    for item in shown:  # what a notebook does: HTML into the page, scripts run
        data = (
            item if isinstance(item, dict) else item._repr_mimebundle_() if hasattr(item, "_repr_mimebundle_") else {}
        )
        text = data.get("text/html") if data else getattr(item, "_repr_html_", lambda: "")()
        script = getattr(item, "_repr_javascript_", lambda: "")()
        page.evaluate(
            "([html, script]) => { const place = document.createElement('div'); document.body.append(place);"
            "place.append(document.createRange().createContextualFragment(html || ''));"
            "if (script) { const s = document.createElement('script'); s.textContent = script; place.append(s); } }",
            [text, script],
        )
    field = page.locator("input.Input-text")
    field.wait_for()
    assert field.get_attribute("aria-label")
    field.click()
    page.keyboard.type(typed)
    page.keyboard.press("Enter")
    assert page.get_by_text("Yes.").is_visible()
    page.close()
