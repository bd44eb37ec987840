"""One decision for many scans: mixed treatment would fake differences between groups."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from medsr_course.runtime import CourseError
from medsr_course.scans.domain.verdict import REFUSED, Verdict

POLICIES = ("uniform", "per-scan")


@dataclass(frozen=True)
class Decision:
    """What happens to one scan of a batch: whether it is ``treated``, how, its ``verdict``'s status, and why."""

    name: str
    treated: bool
    treatment: str
    verdict: str
    why: str


@dataclass(frozen=True)
class Batch:
    """The decisions for a batch, in the order of its scans; ``odd`` are those that would be treated otherwise."""

    decisions: tuple[Decision, ...]
    odd: tuple[Decision, ...] = ()

    @property
    def stops(self) -> bool:
        """Returns whether nothing is to be done, as not all scans can be treated alike."""
        return bool(self.odd)

    @property
    def words(self) -> str:
        """Returns one line on why the batch stops, with the remedy; empty where it goes on."""
        if not self.odd:
            return ""
        listed = ", ".join(f"{one.name} ({one.treatment})" for one in self.odd[:5])
        more = f" and {len(self.odd) - 5} more" if len(self.odd) > 5 else ""
        return (
            f"{len(self.odd)} of {len(self.decisions)} scans would be treated otherwise: {listed}{more}: "
            "leave them out, or take --policy per-scan"
        )


def mixed(verdicts: Mapping[str, Verdict], treatments: Mapping[str, str], policy: str = "uniform") -> Batch:
    """Decides what happens to the scans of a batch.

    Parameters
    ----------
    verdicts, treatments : mappings by the scans' names
        The verdict on each, and in words how it would be treated (task, network, scale, axes, quality), "" for one
        that cannot be planned. A refused scan is not treated, whatever is said of it.
    policy : {"uniform", "per-scan"}
        "uniform": all alike; where some differ from the most frequent treatment, the batch stops and lists them, the
        first in the order of names winning a draw. "per-scan": each as it would be alone.

    Raises
    ------
    CourseError
        Unknown policy, or a scan without its treatment.

    >>> a, b = Verdict(), Verdict("refused")
    >>> mixed({"1": a, "2": a, "3": b}, dict.fromkeys("123", "×2")).words
    '1 of 3 scans would be treated otherwise: 3 (not treated): leave them out, or take --policy per-scan'
    >>> mixed({"1": a, "2": b}, dict.fromkeys("12", "×2"), "per-scan").stops
    False
    """
    if policy not in POLICIES:
        raise CourseError(f"--policy {policy!r} is unknown: choose one of {', '.join(POLICIES)}")
    if missing := verdicts.keys() - treatments.keys():
        raise CourseError(f"{sorted(missing)[0]} has no treatment: plan it first")
    decisions = tuple(_decision(name, one, treatments[name]) for name, one in verdicts.items())
    if policy == "per-scan" or not decisions:
        return Batch(decisions)
    counts = Counter(one.treatment for one in sorted(decisions, key=lambda one: one.name) if one.treated)
    usual = max(counts, key=counts.__getitem__, default="")
    return Batch(decisions, tuple(one for one in decisions if not one.treated or one.treatment != usual))


def _decision(name: str, verdict: Verdict, treatment: str) -> Decision:
    treated = bool(treatment) and verdict.status != REFUSED
    why = "; ".join(reason.words for reason in verdict.reasons if reason.status != "note")
    return Decision(name, treated, treatment if treated else "not treated", verdict.status, why)
