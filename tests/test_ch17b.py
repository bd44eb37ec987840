"""Chapter 17b: its definitions against the package, its physics claims each with something wrong; exercises; layout."""

import re
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from conftest import exercises_of, quiz_numbers, taught
from scipy import stats

from medsr_course import resources
from medsr_course.networks import pretrained
from medsr_course.physics import metrics
from medsr_course.pipeline import enhancing, plan
from medsr_course.scans import phantom
from medsr_course.tasks import charts, checklist, incident, studyplan, subgroups
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "17b_responsibility_and_law.ipynb"
WANTED = {"my_broken", "my_ewma", "my_cusum", "my_holm", "my_coverage", "detail", "added", "in_spreads"}
CARDS = {name: {"version": "1", "checksum": name, "engine": "any"} for name in incident.NETWORKS}


@pytest.fixture(scope="module")
def chapter():
    from medsr_course.physics import interpolation

    space = {"np": np, "incident": incident, "interpolation": interpolation, "metrics": metrics}
    return taught("17b", space, WANTED)


# ---------------------------------------------------------------- the incident


def test_seals_find_a_change_and_not_a_log_that_is_sealed_anew(chapter):
    rows = incident.log(CARDS, 3)
    changed = incident.found(rows)["changed"]
    assert chapter["my_broken"](rows) == [str(changed)]
    rows[changed - 1]["domain"] = "caution"  # what it had said
    assert chapter["my_broken"](rows) == []
    for field in incident.FIELDS[:-1]:
        forged = [dict(row) for row in rows]
        forged[40][field] += "x"
        assert len(chapter["my_broken"](forged)) == 1, field
    short = [*rows[:50], *rows[51:]]  # a row taken out
    assert chapter["my_broken"](short) == [rows[51]["number"]]
    incident._sealed(forged)
    assert chapter["my_broken"](forged) == []
    loose = [row | {"seal": incident.seal(row, "")} for row in rows]  # wrong: seals that do not hold each other
    assert [row["seal"] == incident.seal(row, "") for row in [*loose[:50], *loose[51:]]].count(False) == 0


def test_the_log_has_the_columns_of_the_tool_s_receipt():
    data = np.random.default_rng(0).random((32, 32, 8), np.float32)
    image = nibabel.Nifti1Image(data, np.diag([1, 1, 1, 1]))
    provenance = enhancing._provenance(plan.plan(image, plan.Options(axes="in-plane", quality="fast")))
    assert set(incident.RECEIPT) <= set(provenance)
    row = next(row for row in incident.log(CARDS, 0) if row["event"] == "enhanced")
    assert row["not_for"] == provenance["not_for"]
    assert list(row) == list(incident.FIELDS)
    assert all(name in pretrained.names() for name in incident.NETWORKS)


@pytest.mark.parametrize("seed", range(8))
def test_every_log_holds_what_is_asked(seed):
    rows = incident.log(CARDS, seed)
    assert rows == incident.log(CARDS, seed)
    found = incident.found(rows)
    assert found["update"] < found["changed"] <= len(rows) == 200
    assert min(found.values()) > 0
    assert rows != incident.log(CARDS, seed + 1)


def test_each_duty_stands_in_a_document():
    texts = incident.documents()
    assert len(texts) == 5
    clauses = re.findall(r"^(\d\.\d) ", "\n".join(texts), flags=re.M)
    assert {clause for _, clause in incident.OWED.values()} <= set(clauses)
    assert {who for who, _ in incident.OWED.values()} == set(incident.PARTIES)
    assert len(clauses) == len(set(clauses))


# ---------------------------------------------------------------- charts


def test_charts_are_the_package_s(chapter):
    z = np.random.default_rng(0).standard_normal(300)
    np.testing.assert_allclose(chapter["my_ewma"](z), charts.ewma(z))
    np.testing.assert_allclose(chapter["my_cusum"](z), charts.cusum(z))
    assert charts.cusum(np.full(3, -1.0)).tolist() == [0.5, 1.0, 1.5]  # it watches both sides
    one_sided = np.maximum.accumulate(np.maximum(0, np.cumsum(np.full(3, -1.0) - 0.5)))  # wrong
    assert one_sided.max() == 0


@pytest.mark.parametrize("name", charts.CHARTS)
def test_mean_run_lengths_are_those_of_theory(name):
    rng, limit = np.random.default_rng(0), charts.limit_for(name, 100)
    for shift, length in ((0, 1500), (1, 500)):
        z = shift + rng.standard_normal((4000, length))
        simulated = np.minimum(charts.run_length(charts.CHARTS[name](z), limit), length).mean()
        assert simulated == pytest.approx(charts.mean_run_length(name, limit, shift), rel=0.06)
    assert charts.mean_run_length(name, 0.9 * limit) < 0.85 * 100  # wrong: a limit that is too low


def test_known_run_lengths():
    """Of textbooks: Shewhart's three sigma 370, CUSUM with 5 and 1/2: 465 and 10.4, EWMA 0.2 with 2.962: 500."""
    assert charts.mean_run_length("Shewhart", 3) == pytest.approx(370.4, abs=0.1)
    assert charts.mean_run_length("CUSUM", 5) == pytest.approx(465, abs=1)
    assert charts.mean_run_length("CUSUM", 5, 1) == pytest.approx(10.38, abs=0.05)
    assert charts.mean_run_length("EWMA", 2.962) == pytest.approx(500, abs=2)


def test_a_short_first_phase_gives_false_alarms():
    rng, limit = np.random.default_rng(0), charts.limit_for("CUSUM", 200)
    shares = {}
    for first in (10, 60, 2000):
        phase, z = rng.standard_normal((2, 3000, max(first, 60)))
        phase = phase[:, :first]
        z = (z[:, :60] - phase.mean(axis=1, keepdims=True)) / phase.std(axis=1, ddof=1, keepdims=True)
        shares[first] = np.isfinite(charts.run_length(charts.cusum(z), limit)).mean()
    assert shares[10] > 1.5 * shares[60] > 1.5 * shares[2000]


def test_what_is_watched(chapter):
    rng = np.random.default_rng(0)
    coarse = rng.random((2, 32, 32)) + 1
    from medsr_course.tasks.sites import windowed

    soft = np.abs(windowed(coarse, 0.5))
    assert (chapter["detail"](soft) < chapter["detail"](coarse)).all()
    np.testing.assert_allclose(chapter["detail"](3 * coarse), chapter["detail"](coarse))  # whatever the unit
    np.testing.assert_allclose(chapter["added"](coarse, 0.98 * coarse), np.log(2))
    np.testing.assert_allclose(chapter["added"](coarse, coarse), np.log(0.01))
    assert chapter["in_spreads"](np.array([3.0, 3.0]), np.array([0.0, 2.0])) == pytest.approx(np.sqrt(2))


# ---------------------------------------------------------------- groups


def test_holm_by_hand_and_what_it_keeps(chapter):
    p = [0.04, 0.01, 0.03, 0.5]
    np.testing.assert_allclose(subgroups.holm(p), [0.09, 0.04, 0.09, 0.5])
    np.testing.assert_allclose(chapter["my_holm"](p), subgroups.holm(p))
    draws = np.random.default_rng(0).random((5000, 8))
    assert np.mean([subgroups.holm(row).min() < 0.05 for row in draws]) == pytest.approx(0.05, abs=0.01)
    assert np.mean(draws.min(axis=1) < 0.05) == pytest.approx(1 - 0.95**8, abs=0.03)  # wrong: not corrected


def test_power_is_what_is_counted():
    rng = np.random.default_rng(0)
    for size in (4, 16):
        called = stats.ttest_ind(rng.normal(1, 1, (6000, size)), rng.normal(0, 1, (6000, 28)), axis=1).pvalue < 0.05
        assert called.mean() == pytest.approx(subgroups.power(1, size, 28), abs=0.02)
    normal = stats.norm.cdf(np.sqrt(4 * 4 / 8) - stats.norm.isf(0.025))  # wrong: as if the spread were known
    assert normal > subgroups.power(1, 4, 4) + 0.05
    assert subgroups.power(0, 20, 20) == pytest.approx(0.05)


def test_the_worst_of_equal_groups():
    """The least of eight standard normals lies at −1.4236 on average."""
    worst = np.random.default_rng(0).standard_normal((20000, 8, 4)).mean(axis=2).min(axis=1).mean()
    assert worst == pytest.approx(-1.4236 / 2, abs=0.01)


def test_a_gap_has_an_interval_and_needs_people():
    rng = np.random.default_rng(0)
    group = np.arange(40) < 12
    held = []
    for _ in range(2000):
        values = np.where(group, 1 + 2 * rng.standard_normal(40), 0.5 * rng.standard_normal(40))
        middle, low, high, p = subgroups.gap(values, group)
        held.append(low <= 1 <= high)
        assert (p < 0.05) == (not low <= 0 <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    with pytest.raises(ValueError, match="two people"):
        subgroups.gap(np.arange(3.0), np.array([True, False, False]))


def test_what_labels_say_of_a_person():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[:5] = phantom.NUMBER["white matter"]
    labels[5, :5] = phantom.NUMBER["lesion"]
    labels[6, :5] = phantom.NUMBER["cerebrospinal fluid"]
    subject = SimpleNamespace(id="s", labels=nibabel.Nifti1Image(labels, np.diag([2, 1, 1, 1])))
    found = subgroups.about(subject)
    assert found == pytest.approx({"brain": 1.1, "fluid": 50 / 600, "lesion": 0.1, "stripped": 1})
    with pytest.raises(ValueError, match="no labels"):
        subgroups.about(SimpleNamespace(id="s", labels=None))


# ---------------------------------------------------------------- the study plan


def test_slices_are_no_people(chapter):
    rng = np.random.default_rng(0)
    person, slice_ = studyplan.coverage(2.0, 1.0, 12, 20, 3000, rng)
    assert person == pytest.approx(0.95, abs=0.015)
    # The variance of the mean is 4/12 + 1/240, but is taken for (4 + 1)/240
    width = stats.t.isf(0.025, 239) * np.sqrt(5 / 240) / np.sqrt(4 / 12 + 1 / 240)
    assert slice_ == pytest.approx(1 - 2 * stats.norm.sf(width), abs=0.03)
    alone = studyplan.coverage(0.0, 1.0, 12, 20, 3000, rng)
    assert alone[1] == pytest.approx(0.95, abs=0.015)  # where people do not differ, slices may count
    mine = [chapter["my_coverage"](2.0, 1.0, 12, 20, 600, rng, unit) for unit in ("person", "slice")]
    np.testing.assert_allclose(mine, [person, slice_], atol=0.06)


def test_each_fault_makes_a_gain_out_of_nothing():
    rng, n = np.random.default_rng(0), 20000
    honest, planted = studyplan.fixed_order(0.3, 4, 12, n, rng)
    assert (honest, planted) == pytest.approx((0, 0.3 * 0.3), abs=0.005)
    honest, planted = studyplan.wishful(0.4, 12, n, rng)
    assert (honest, planted) == pytest.approx((0, stats.norm.cdf(0.9) - stats.norm.cdf(0.5)), abs=0.005)
    honest, planted = studyplan.excluded(0.25, 4, n, rng)
    assert (honest, planted) == pytest.approx((0, 1.0294 / 3), abs=0.01)  # the least of four lies at −1.0294
    honest, planted = studyplan.one_sided(12, n, rng)
    assert (honest, planted) == pytest.approx((0.025, 0.05), abs=0.006)
    honest, planted = studyplan.chosen_threshold(12, 4000, rng)
    assert honest == pytest.approx(0.5, abs=0.01)
    assert planted > 0.6
    assert studyplan.chosen_threshold(400, 50, rng)[1] < 0.56  # with many cases the choice matters little
    seen, times = studyplan.too_few(0.5, 12, n, rng)
    exact = stats.nct.sf(stats.t.isf(0.025, 11), 11, 0.5 * np.sqrt(12))
    assert seen == pytest.approx(exact, abs=0.01)
    assert times > 1.3
    assert studyplan.too_few(0.5, 200, 500, rng)[1] < 1.05
    assert studyplan.predictive_value(0.9, 0.1, 0.5) == pytest.approx(0.9)


def test_the_plan_has_eight_faults_and_each_other_sentence_its_reason():
    from medsr_course.teaching.exercises import ch17b

    assert len(studyplan.FAULTS) == 8
    numbers = set(range(1, len(studyplan.PLAN) + 1))
    assert set(ch17b.FINE) | set(studyplan.FAULTS) == numbers
    assert not set(ch17b.FINE) & set(studyplan.FAULTS)
    assert set(ch17b.HINTS) == set(studyplan.FAULTS)


# ---------------------------------------------------------------- statement, layout


def test_a_statement_is_asked_everything():
    empty = [answer for _, answer in checklist.check({}, checklist.INTENDED_USE)]
    assert empty == [""] * 12
    full = dict.fromkeys(
        ("does", "images", "patients", "user", "not_for", "oversight", "limits", "responsible", "tested_on", "result",
         "groups", "version"), "said")  # fmt: skip
    assert all(answer for _, answer in checklist.check(full, checklist.INTENDED_USE))
    for name in full:
        left = [answer for _, answer in checklist.check(full | {name: ""}, checklist.INTENDED_USE)]
        assert left.count("") == 1, name


def test_exercises_and_quiz_are_there():
    assert exercises_of("17b") == {"17b-log", "17b-owed", "17b-plan"}
    numbers = quiz_numbers("17b")
    assert numbers == pytest.approx([100 * 0.018 / 0.116, 100 * (1 - 0.95**10)])


def test_it_claims_what_the_syllabus_asks_and_holds_no_date_of_law():
    text = " ".join(claims.declared(NOTEBOOK))
    wanted = (
        "seals find|Mean run lengths|The scanner changed|The network was updated|limits of 10|lower end over people"
    )
    for words in [*wanted.split("|"), "after Holm", "group of four", "over slices", "statement answers"]:
        assert words in text
    source = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"2024/|2025/|2017/745|MDR|HIPAA|PIPL", source)
