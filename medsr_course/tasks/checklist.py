"""A reporting checklist against a model card: what a reader of a study asks, and what the card answers.

The questions are a selection, in the course's own words, of what CLAIM (Mongan et al. 2020; 2024 update: Tejani et al.)
and TRIPOD+AI (Collins et al. 2024) ask for. A submission fills in the originals, 44 and 27 items. :data:`INTENDED_USE`
asks a statement of intended use in the same way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from medsr_course.runtime import CourseError

Card = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """One question: its ``part`` of a paper, and where a card answers it; ``answer(card)`` is "" where it doesn't."""

    part: str
    question: str
    answer: Callable[[Card], str]


def _field(*names: str) -> Callable[[Card], str]:
    """The text of a card's fields, one after the other."""

    def answer(card: Card) -> str:
        return "; ".join(str(card[name]) for name in names if card.get(name))

    return answer


def _nowhere(card: Card) -> str:
    """What no card of this course holds."""
    return ""


def _sources(card: Card) -> str:
    return "; ".join(card.get("data", []))


def _people(card: Card) -> str:
    return ", ".join(f"{source}: {len(people)}" for source, people in card.get("trained_on", {}).items())


def _gains(*words: str) -> Callable[[Card], str]:
    """The gains over ZIP of the groups of scans whose name holds one of the words."""

    def answer(card: Card) -> str:
        found = {group: row for group, row in card.get("metrics", {}).items() if any(word in group for word in words)}
        return ", ".join(f"{group}: {row['gain (dB)']:+.2f} dB" for group, row in found.items() if "gain (dB)" in row)

    return answer


def _test_people(card: Card) -> str:
    rows = {group: row for group, row in card.get("metrics", {}).items() if "test" in group}
    return ", ".join(f"{group}: {row['subjects']}" for group, row in rows.items() if "subjects" in row)


def _interval(card: Card) -> str:
    rows = {group: row for group, row in card.get("metrics", {}).items() if "gain, from (dB)" in row}
    found = (f"{group}: {row['gain, from (dB)']:+.2f} … {row['gain, to (dB)']:+.2f} dB" for group, row in rows.items())
    return ", ".join(found) or str(card.get("seeds") or "")


ITEMS = (
    Item("purpose", "What is it for?", _field("intended_use")),
    Item("purpose", "What is it not for?", _field("not_for")),
    Item("data", "Where do the training images come from, and under which licence?", _sources),
    Item("data", "How many people (or phantoms) taught it, and which?", _people),
    Item("data", "How were they chosen, and who was left out?", _nowhere),
    Item("data", "Age, sex, ancestry and disease of these people?", _nowhere),
    Item("data", "Scanner, field strength and sequence of each source?", _nowhere),
    Item("data", "How were the images prepared and varied?", _field("augmentation")),
    Item("reference", "What counts as the truth, and why that?", _nowhere),
    Item("partitions", "On how many people was it judged that it had not seen?", _test_people),
    Item("partitions", "Why so many test people, and not more or fewer?", _nowhere),
    Item("model", "Which architecture, with which settings?", _field("architecture", "settings")),
    Item("model", "Where did its weights start?", _field("start", "seed")),
    Item("training", "How long, with which batches and which command?", _field("steps", "batch", "recipe")),
    Item("training", "Was its progress watched on development scans?", _field("development")),
    Item("results", "How well does it do, against which rival?", _gains("cohort")),
    Item("results", "How sure is that: intervals, or repeated trainings?", _interval),
    Item("results", "How well on real scans of other sites?", _gains("real test")),
    Item("results", "How well for women and men, children, the old?", _nowhere),
    Item("results", "Where does it fail? Examples?", _nowhere),
    Item("results", "Was it tested with readers, or on patients' outcomes?", _nowhere),
    Item("sharing", "Can others get weights, code and licence?", _field("files", "licence", "version")),
    Item("sharing", "Who paid for it, and was the plan registered before?", _nowhere),
)

# What a statement of intended use must answer, so that a buyer, a reader and a court know what was promised.
INTENDED_USE = (
    Item("use", "What does it do, to which images?", _field("does", "intended_use")),
    Item("use", "Which body part, contrasts and field strengths?", _field("images")),
    Item("use", "For which patients?", _field("patients")),
    Item("use", "Who uses it, and where?", _field("user")),
    Item("use", "What is it not for?", _field("not_for")),
    Item("care", "What must a person do before a result is used?", _field("oversight")),
    Item("care", "What are its known limits?", _field("limits")),
    Item("care", "Who answers for it, and whom to tell?", _field("responsible")),
    Item("evidence", "On how many people was it tested, and on which?", _field("tested_on")),
    Item("evidence", "How well does it do, and how sure is that?", _field("result")),
    Item("evidence", "How well in each group of people?", _field("groups")),
    Item("evidence", "Which version do these answers hold for?", _field("version", "checksum")),
)


def check(card: Card, items: tuple[Item, ...] = ITEMS) -> list[tuple[Item, str]]:
    """Ask a card every question.

    Parameters
    ----------
    card : mapping
        The fields of a model card, as in its JSON file.
    items : tuple of Item

    Returns
    -------
    list of (Item, str)
        Each with the answer found, cut after 80 characters, or "".

    Raises
    ------
    CourseError
        If ``card`` is no mapping.
    """
    if not isinstance(card, Mapping):
        raise CourseError(f"a card is a mapping of names to values, not {type(card).__name__}: json.loads of its file")
    return [(item, _short(item.answer(card))) for item in items]


def _short(text: str, most: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
