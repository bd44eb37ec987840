"""The warnings of ``medsr enhance`` in Chinese, from the catalogue that the Chinese pages are made from, too.

``data/chinese.csv`` has a key, the English text and the Chinese one in each row. A test holds that its English is that
of the program.
"""

import csv
import functools
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medsr_course import resources
from medsr_course.runtime import CourseError

if TYPE_CHECKING:
    from medsr_course.pipeline.plan import Plan
    from medsr_course.scans.domain import Reason

LANGUAGES = ("en", "zh")


@functools.cache
def catalogue() -> dict[str, tuple[str, str]]:
    """Key → the English and the Chinese text.

    >>> catalogue()["value.caution"]
    ('caution', '须谨慎')
    """
    with resources.path("chinese.csv").open(encoding="utf-8", newline="") as file:
        return {row["key"]: (row["english"], row["chinese"]) for row in csv.DictReader(file)}


@dataclass(frozen=True)
class Speaker:
    """Says things in a language, "en" or "zh"."""

    language: str

    def text(self, key: str) -> str:
        """The text of a key."""
        return catalogue()[key][self.language == "zh"]

    def plan(self, plan: "Plan") -> list[str]:
        """The lines of a plan, its verdict and the reasons for it in this language; the rest stays English."""
        if self.language == "en":
            return plan.lines()
        reasons = tuple(replace(reason, words=self.reason(reason)) for reason in plan.verdict.reasons)
        lines = replace(plan, verdict=replace(plan.verdict, reasons=reasons)).lines()
        said = f"domain    {plan.verdict.status}"
        there = lines.index(said)
        return [*lines[:there], f"{said} {self.value(plan.verdict.status)}", *lines[there + 1 :]]

    def reason(self, reason: "Reason") -> str:
        """One finding as a sentence."""
        key = f"domain.{reason.key}"
        if key not in catalogue():
            return reason.words
        return self.text(key).format(**{name: self.value(value) for name, value in reason.values})

    def value(self, value: object) -> object:
        """What stands in a sentence: words that have a translation, and all else as it is."""
        key = f"value.{value}"
        return self.text(key) if isinstance(value, str) and key in catalogue() else value


def speaker(language: str = "") -> Speaker:
    """Who speaks the language asked for, or that of the system where none is.

    Raises
    ------
    CourseError
        If the language is not spoken here.

    >>> speaker("zh").text("value.coronal")
    '冠状面'
    """
    if not language:
        system = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
        language = "zh" if system.startswith("zh") else "en"
    if language not in LANGUAGES:
        raise CourseError(f"--language {language}: choose one of {', '.join(LANGUAGES)}")
    return Speaker(language)
