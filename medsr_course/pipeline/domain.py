"""Whether a scan is one that the shipped networks are for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medsr_course.types import Image


@dataclass(frozen=True)
class Reason:
    """One thing that speaks against it: a short ``code``, "caution" or "refused", and words with the remedy."""

    code: str
    status: str
    words: str


@dataclass(frozen=True)
class Verdict:
    """ "in domain", "caution" or "refused", why, and what was measured."""

    status: str = "in domain"
    reasons: tuple[Reason, ...] = ()
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0, 3 or 4."""
        return {"in domain": 0, "caution": 3, "refused": 4}[self.status]


def judge(
    image: Image, *, task: str, axes: str = "in-plane", sidecar: Mapping[str, Any] | None = None, name: str = ""
) -> Verdict:
    """Returns what is known of a scan; until the detector is here, nothing speaks against any."""
    return Verdict()
