"""What is said of a scan: whether the shipped networks are for it, why not, and what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NOTE, CAUTION, REFUSED = "note", "caution", "refused"


@dataclass(frozen=True)
class Reason:
    """One finding.

    ``code`` is short ("colour"); ``status`` is "note" (to know, nothing speaks against the scan), "caution" or
    "refused"; ``words`` is one plain sentence with the remedy.
    """

    code: str
    status: str
    words: str


@dataclass(frozen=True)
class Verdict:
    """Whether a scan is one that the shipped networks are for.

    ``status`` is "in domain", "caution" or "refused": the gravest of its ``reasons``. ``measured`` holds what was
    found in the image: numbers, and words for what has no number.
    """

    status: str = "in domain"
    reasons: tuple[Reason, ...] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Returns 0 in domain, 3 with caution, 4 refused."""
        return {"in domain": 0, CAUTION: 3, REFUSED: 4}[self.status]


def verdict(reasons: list[Reason], measured: Mapping[str, Any]) -> Verdict:
    """Returns the verdict that follows from reasons: the gravest first, each code once."""
    once = {reason.code: reason for reason in reversed(reasons)}
    order = [REFUSED, CAUTION, NOTE]
    ranked = sorted(once.values(), key=lambda reason: order.index(reason.status))
    found = {reason.status for reason in ranked}
    status = next((grave for grave in (REFUSED, CAUTION) if grave in found), "in domain")
    return Verdict(status, tuple(ranked), dict(measured))
