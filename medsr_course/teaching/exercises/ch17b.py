"""Exercises of chapter 17b: what a log says, who owed what, the faults of a study plan."""

from collections.abc import Mapping

import numpy as np

from medsr_course.tasks import incident, studyplan
from medsr_course.teaching.exercises._core import Exercise, Wrong, answer

CARDS = {
    name: {"version": f"{k}.0", "checksum": f"{k}" * 8, "engine": "any"} for k, name in enumerate(incident.NETWORKS)
}


def _check_log(fn):
    for seed in np.random.default_rng().integers(10**6, size=3):
        rows = incident.log(CARDS, int(seed))
        got = answer(fn, [dict(row) for row in rows])
        want = incident.found(rows)
        if not isinstance(got, Mapping) or set(got) != set(want):
            raise Wrong(f"return a dict with the keys {', '.join(want)}")
        _judge_log({key: int(value) for key, value in got.items()}, want, rows)


def _judge_log(got, want, rows):
    scans = [row for row in rows if row["event"] == "enhanced"]
    minors = sum(int(row["age"]) < incident.ADULT for row in scans)
    unnamed = sum(row["contrast"] not in incident.CONTRASTS for row in scans)
    cautions = sum(row["domain"] == "caution" for row in scans)
    known = [
        ("update", want["update"] - 1, "that is the last row of the old network; the change is seen in the next one"),
        (
            "unaccepted",
            want["unaccepted"] + 1,
            "the row of the update, or of the acceptance, is no scan: look at event",
        ),
        ("unaccepted", sum(int(r["number"]) > want["update"] for r in scans), "count until the acceptance only"),
        ("outside", minors, "the intended use also names contrasts: PDw is none of them"),
        ("outside", unnamed, "the intended use also names an age: 18 years or more"),
        ("machine", cautions, "these are all cautions; most were confirmed by a person"),
        ("machine", cautions - want["machine"], "these were confirmed by a person; the others are asked for"),
        ("changed", len(rows), "check each row against the seal of the row before as it is *stored*, not recomputed"),
        ("changed", want["changed"] + 1, "that row fits; the row before it does not. Rows count from 1"),
        ("changed", want["changed"] - 1, "rows count from 1: give its number, not its index"),
    ]
    for key, wrong, why in known:
        if got[key] == wrong != want[key]:
            raise Wrong(f"{key}: {why}")
    for key, value in want.items():
        if got[key] != value:
            raise Wrong(f"{key} should be {value} for this log, not {got[key]}")


def found(rows):
    scans = [row for row in rows if row["event"] == "enhanced"]
    update = next(int(row["number"]) for row in rows if row["event"] == "update installed")
    accepted = next(int(row["number"]) for row in rows if row["event"] == "acceptance passed")
    before, changed = incident.START, 0
    for row in rows:
        if row["seal"] != incident.seal(row, before):
            changed = int(row["number"])
        before = row["seal"]
    return {
        "update": update,
        "unaccepted": len([row for row in scans if update < int(row["number"]) < accepted]),
        "outside": len([r for r in scans if int(r["age"]) < 18 or r["contrast"] not in ("T1w", "T2w", "FLAIR")]),
        "machine": len([row for row in scans if row["confirmed_by"] == "night-batch"]),
        "changed": changed,
    }


def _found_with(key, change):
    def wrong(rows):
        answers = found(rows)
        return answers | {key: change(answers, rows)}

    return wrong


def _check_owed(fn):
    got = answer(fn)
    if not isinstance(got, Mapping):
        raise Wrong("return a dict: what went wrong → who owed it")
    missing = [what for what in incident.OWED if what not in got]
    if missing:
        raise Wrong(f"{len(missing)} of {len(incident.OWED)} have no answer yet, the first: {missing[0]}")
    for what, (who, clause) in incident.OWED.items():
        if got[what] not in incident.PARTIES:
            raise Wrong(f"{got[what]!r} is nobody here: choose among {', '.join(incident.PARTIES)}")
        if got[what] != who:
            raise Wrong(f"{what}: {got[what]} is not right. {_why_not(got[what])} Read clause {clause}.")


def _why_not(who):
    return {
        "maker": "The maker does not run the department.",
        "hospital": "The hospital did not write the software, and does not read images.",
        "radiologist": "A radiologist answers for what she read, not for how it was sent, tested or sealed.",
        "nobody": "A document names somebody whose duty it was.",
    }[who]


def owed():
    return {what: who for what, (who, _) in incident.OWED.items()}


def _owed_by_hand():
    maker = list(incident.OWED)[:3]
    others = dict.fromkeys(list(incident.OWED)[3:8], "hospital") | {list(incident.OWED)[8]: "radiologist"}
    return dict.fromkeys(maker, "maker") | others | {list(incident.OWED)[9]: "nobody"}


def _owed_with(number, who):
    return lambda: owed() | {list(incident.OWED)[number]: who}


def _check_plan(fn):
    got = answer(fn)
    try:
        got = {int(number) for number in got}
    except (TypeError, ValueError):
        raise Wrong("return the numbers of the sentences, as a set: {1, 2}") from None
    for number in sorted(got - set(studyplan.FAULTS)):
        raise Wrong(FINE.get(number, f"there is no sentence {number}: they are numbered 1 to {len(studyplan.PLAN)}"))
    left = sorted(set(studyplan.FAULTS) - got)
    if left:
        raise Wrong(f"{len(got)} of 8 found, none of them wrong. Look again at sentence {left[0]}: {HINTS[left[0]]}")


FINE = {
    1: "sentence 1 is a question with a patient, a reader and a rival in it: nothing is wrong",
    2: "sentence 2 is as it should be: first the board, then the scans",
    3: "sentence 3 takes *all* scans of a year, and none that taught the network: that is sound",
    4: "sentence 4: it is right that those who decide the truth see later scans and do not read for the study",
    7: "sentence 7: four readers are few, but their experience is told and they do not talk: no fault in itself",
    10: "sentence 10: a rating on a scale is what an ROC curve needs",
    12: "sentence 12 names one main result beforehand: that is what protects from choosing it later",
    14: "sentence 14: leaving unreadable cases out would be the fault; they are kept",
    17: "sentence 17: several secondary results are allowed where their number is corrected for",
    18: "sentence 18 is what an ethics board asks for",
    19: "sentence 19: money from a maker is no fault if it is told and the maker cannot touch the data",
}
HINTS = {
    5: "what gain could so few patients show?",
    6: "how common are lesions in the clinic?",
    8: "what does a reader know who should not?",
    9: "what does a reader still know in the afternoon?",
    11: "on which cases is the threshold found, and on which is it judged?",
    13: "how many independent patients are that?",
    15: "who decides, and what is already known then?",
    16: "how often would a method that gains nothing be called better?",
}


def faults():
    return {5, 6, 8, 9, 11, 13, 15, 16}


def _faults_as_list():
    return sorted(studyplan.FAULTS)


EXERCISES = [
    Exercise(
        name="17b-log",
        task="Given the rows of a log, return what it says under five keys.",
        check=_check_log,
        hint="Go through the rows once; keep the seal of the row before. incident.seal(row, before) recomputes one.",
        reference=found,
        alternatives=(incident.found,),
        mistakes={
            "the last old row": _found_with("update", lambda a, rows: a["update"] - 1),
            "an event counted as a scan": _found_with("unaccepted", lambda a, rows: a["unaccepted"] + 1),
            "contrast forgotten": _found_with(
                "outside", lambda a, rows: sum(r["event"] == "enhanced" and int(r["age"]) < 18 for r in rows)
            ),
            "all cautions": _found_with("machine", lambda a, rows: sum(r["domain"] == "caution" for r in rows)),
            "an index": _found_with("changed", lambda a, rows: a["changed"] - 1),
        },
    ),
    Exercise(
        name="17b-owed",
        task="Return, for each thing that went wrong, who owed it: maker, hospital, radiologist or nobody.",
        check=_check_owed,
        hint="For each, look for the clause that names a duty, and then for whose name stands in it.",
        reference=owed,
        alternatives=(_owed_by_hand,),
        mistakes={
            "the maker accepts for the hospital": _owed_with(3, "maker"),
            "the radiologist sends images": _owed_with(5, "radiologist"),
            "the hospital tests for the maker": _owed_with(1, "hospital"),
            "nobody reads": _owed_with(8, "nobody"),
        },
    ),
    Exercise(
        name="17b-plan",
        task="Return the numbers of the eight sentences of the plan that are at fault.",
        check=_check_plan,
        hint="Ask of each sentence: what could come out only because of it, although the images are equally good?",
        reference=faults,
        alternatives=(_faults_as_list,),
        mistakes={
            "one missing": lambda: faults() - {9},
            "another missing": lambda: faults() - {13},
            "money is a fault": lambda: faults() | {19},
            "unreadable cases kept": lambda: faults() | {14},
        },
    ),
]
