"""Reading studies with model observers; and the reading study for people, in a real browser."""

import json

import numpy as np
import pytest

from medsr_course.physics import interpolation
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import observing, planting
from medsr_course.teaching import viewers


def person(name="p1", side=120):
    """A person whose brain is even white matter with a little texture."""
    rng = np.random.default_rng(len(name))
    inside = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij")) < 0.9
    head = inside[..., None] * (100 + rng.standard_normal((side, side, 20)))
    labels = np.where(inside[..., None], 3, 0) * np.ones((side, side, 20))
    images = {"FLAIR": lambda: volumes.make_image(head.astype(np.float32), np.eye(4))}
    return Subject(name, images, labels=lambda: volumes.make_image(labels.astype(np.int16), np.eye(4)))


@pytest.fixture(scope="module")
def cases():
    task = observing.Task(size=2.0, contrast=0.3, noise=1.0)
    return observing.cases(person(), task, {"ZIP": interpolation.zero_fill}, slices=4, each=6)


def test_half_of_the_places_have_a_lesion_in_their_centre(cases):
    assert cases.lesion.sum() == pytest.approx(len(cases.lesion) / 2, abs=1)
    assert {kind: p.shape[1:] for kind, p in cases.patches.items()} == {"LR": (13, 13), "HR": (25, 25), "ZIP": (25, 25)}
    for kind, step in (("LR", 1), ("ZIP", 2), ("HR", 2)):
        found = cases.patches[kind]
        assert np.abs(found.mean(axis=(1, 2))).max() < 1e-5
        middle = found.shape[1] // 2
        change = found[cases.lesion].mean(axis=0) - found[~cases.lesion].mean(axis=0)
        assert 0.2 < change[middle, middle] < 0.5, kind  # coarse images ring
        assert change[middle, middle + 3 * step] < 0.1, kind


def test_places_lie_on_the_coarse_grid_and_apart():
    white = np.zeros((160, 160), bool)
    white[20:140, 10:150] = True
    for scale in (2, 4):
        spots = np.array(observing.places(white, 6, scale, np.random.default_rng(0)))
        assert len(spots)
        assert not (spots % scale).any()
        reach = observing.REACH * scale
        assert spots.min() >= reach
        assert spots.max() < 160 - reach
        gaps = [np.hypot(*(a - b)) for k, a in enumerate(spots) for b in spots[:k]]
        assert min(gaps, default=99) > 1.5 * reach
    assert observing.places(np.zeros((64, 64), bool), 6, 2, np.random.default_rng(0)) == []


def test_channels_are_orthonormal_where_they_are_well_sampled():
    channels = observing.laguerre_gauss(101, 20.0)
    np.testing.assert_allclose(channels.T @ channels, np.eye(6), atol=1e-3)


def test_the_matched_filter_weighs_a_disc_against_its_ring():
    template = observing.matched_filter(25, 2.0)
    assert template.sum() == pytest.approx(0)
    image = np.full((1, 25, 25), 7.0)
    assert observing.ratings(image, template)[0] == pytest.approx(0)
    image[0] += 0.5 * np.pad(planting.shape("lesion", 2.0, 2), 4)
    assert 0.35 < observing.ratings(image, template)[0] < 0.5  # the rim counts less


def test_a_study_finds_the_lesion_and_keeps_people_apart(cases):
    task = observing.Task(size=2.0, contrast=0.3, noise=1.0)
    methods = {"ZIP": interpolation.zero_fill, "blank": lambda x, s: 0 * interpolation.zero_fill(x, s)}
    other = observing.cases(person("p22"), task, methods, slices=4, each=6)
    found = observing.study([other], [cases], task.size)
    assert min(found["matched filter"]["HR"]) > 0.95
    assert min(found["matched filter"]["LR"]) > 0.9
    with pytest.raises(ValueError, match="learnt from the same person"):
        observing.study([cases], [cases])
    assert np.abs(other.patches["blank"]).max() == 0  # wrong: a method that shows nothing


PATCHES = {"LR": np.linspace(0, 1, 4 * 9).reshape(4, 3, 3), "HR": np.linspace(0, 1, 4 * 25).reshape(4, 5, 5)}
LESION = np.array([True, False, True, False])


def study(**more):
    return viewers.reading(PATCHES, LESION, caption="c", window=(0, 1), name="test", **more)


def test_a_reading_study_needs_both_kinds_and_as_many_answers():
    with pytest.raises(ValueError, match="with a lesion and cases without"):
        viewers.reading(PATCHES, LESION | True, caption="c", window=(0, 1), name="t")
    with pytest.raises(ValueError, match="'LR' has 4 patches, and there are 3 cases"):
        viewers.reading(PATCHES, LESION[:3], caption="c", window=(0, 1), name="t")


@pytest.mark.browser
def test_a_person_reads_and_sees_hits_false_alarms_and_seconds(chromium):
    context = chromium.new_context()
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith("data:") else problems.append(r.url))
    body = study(beside=[("LR", "1 of 2", "0 of 2")]).html
    page.set_content(f"<!doctype html><meta charset='utf-8'><body>{body}</body>")
    assert page.get_by_role("button", name="Lesion", exact=True).is_disabled()
    page.get_by_role("button", name="Begin").click()
    for k in range(8):
        assert f"Case {k + 1} of 8" in page.locator(".medsr-hint").first.inner_text()
        page.get_by_role("button", name="Lesion", exact=True).click()
    rows = [row.inner_text().split("\t") for row in page.locator(".medsr-reading tbody tr").all()]
    assert [row[:3] for row in rows] == [["LR", "2 of 2", "2 of 2"], ["HR", "2 of 2", "2 of 2"]]
    assert rows[0][4:] == ["1 of 2", "0 of 2"]
    assert float(rows[0][3]) >= 0
    answers = json.loads(page.locator("textarea").input_value())
    assert len(answers) == 8
    assert all(a["said"] for a in answers)
    assert sum(a["lesion"] for a in answers) == 4
    assert {a["type"] for a in answers} == {"LR", "HR"}
    page.get_by_role("button", name="Once more").click()
    page.get_by_role("button", name="No lesion").click()
    assert "Case 2 of 8" in page.locator(".medsr-hint").first.inner_text()
    context.close()
    assert problems == []


@pytest.mark.browser
def test_without_scripts_every_case_stands_there_with_its_truth(chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(f"<!doctype html><meta charset='utf-8'><body>{study().html}</body>")
    assert page.locator("img").count() == 8
    assert page.get_by_text("LR, case 1: lesion", exact=True).is_visible()
    assert page.get_by_text("HR, case 2: no lesion", exact=True).is_visible()
    context.close()
