"""Claims: what a chapter asserts, measured where the reader can see it, and collected by ``medsr run``.

``check`` shows ✓ or ✗ and never raises. Kinds:

* ``learned`` – needs training; must come out false in the null run;
* ``physics`` – a property of an operator; tested with one wrong implementation each;
* ``invariant`` – holds for any weights;
* ``safety`` – "never worse than …": also true of doing nothing, so never evidence of learning.
"""

import ast
import html
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.teaching import durations, predictions
from medsr_course.types import PathLike

KINDS = ("learned", "physics", "invariant", "safety")
MIME = "application/vnd.medsr.claim+json"

_made: list["Claim"] = []


@dataclass(frozen=True)
class Claim:
    """One claim and its outcome; ``ok`` is None where it could not be measured (``why`` says so)."""

    claim: str
    kind: str
    value: float | None
    bound: str
    ok: bool | None
    why: str = ""

    @property
    def mark(self) -> str:
        """✓, ✗ or – (not measured)."""
        return {True: "✓", False: "✗", None: "–"}[self.ok]

    def __str__(self):
        if self.ok is None:
            return f"{self.mark} {self.claim} – not measured: {self.why}"
        return f"{self.mark} {self.claim}: {_number(self.value)} ({self.bound}, {self.kind})"

    def _ipython_display_(self):
        """Nothing: ``check`` has shown it, also where it is the last expression of a cell."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        colour = {True: "#1a7f37", False: "#b3261e", None: "#6e6e6e"}[self.ok]
        body = html.escape(str(self)[2:])
        finite = self.value if self.value is not None and np.isfinite(self.value) else None  # JSON knows no NaN
        return {
            "text/plain": str(self),
            "text/html": f'<div class="medsr-claim" style="margin:.3em 0"><b style="color:{colour}">'
            f"{self.mark}</b> {body}</div>",
            MIME: asdict(self) | {"value": finite},
        }


def check(
    claim: str,
    value: float | None,
    *,
    at_least: float | dict[str, float] | None = None,
    at_most: float | dict[str, float] | None = None,
    kind: str = "learned",
    why: str = "",
) -> Claim:
    """Compare a measured value with its bound, show the outcome and record it.

    Parameters
    ----------
    claim : str
        The sentence that is claimed; a literal in the notebook, unique within the chapter.
    value : float, bool or None
        What was measured. NaN and infinities fail. None could not be measured here; ``why`` then says why.
    at_least, at_most : float or dict
        The bound, or one bound per profile: ``{"smoke": 0.1, "lesson": 0.5, "full": 0.5}``. A yes-or-no
        claim has ``at_least=1``.
    kind : {"learned", "physics", "invariant", "safety"}
    why : str
        What this machine may lack, as for :func:`skip`.

    Raises
    ------
    ValueError
        For another kind, where there is no bound, and where there is neither a value nor a reason.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    low, high = _bound(at_least), _bound(at_most)
    if low is None and high is None:
        raise ValueError("a claim needs a bound: give at_least or at_most")
    if value is None:
        if not why:
            raise ValueError("a claim that was not measured needs a reason: give why")
        return skip(claim, why, kind=kind)
    value = float(value)
    ok = bool(np.isfinite(value) and (low is None or value >= low) and (high is None or value <= high))
    limits = [f"at least {_number(low)}"] if low is not None else []
    limits += [f"at most {_number(high)}"] if high is not None else []
    return _record(Claim(claim, kind, value, " and ".join(limits), ok))


def skip(claim: str, why: str, *, kind: str = "learned") -> Claim:
    """Record that a claim could not be measured here, and why (no real scans, no network …)."""
    return _record(Claim(claim, kind, None, "", None, why))


def receipt() -> None:
    """Show every claim this kernel has made so far, as the chapter's closing list, and the reader's predictions."""
    from IPython.display import Markdown, display

    lines = [f"- {c.mark} {c.claim}: **{_number(c.value)}** ({c.bound})" for c in _made if c.ok is not None]
    lines += [f"- – {c.claim}: not measured, {c.why}" for c in _made if c.ok is None]
    display(Markdown("\n".join(lines) or "No claim has been checked in this kernel yet."))
    if chapter := predictions.chapter():
        display(predictions.record(chapter))


def reset() -> None:
    """Forget the claims of this kernel (``runtime.start`` does it)."""
    _made.clear()


runtime.at_start += [reset, durations.announce]


def declared(notebook: PathLike) -> list[str]:
    """Return the names of the claims a notebook makes, read from its cells tagged ``claim`` without running it."""
    names = []
    for cell in json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]:
        if "claim" not in cell["metadata"].get("tags", []):
            continue
        tree = ast.parse("".join(cell["source"]))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in ("claims.check", "claims.skip"):
                names.append(ast.literal_eval(node.args[0]))
    return list(dict.fromkeys(names))


def collect(executed: PathLike, source: PathLike | None = None) -> list[dict[str, Any]]:
    """Return the claims recorded in an executed notebook, as the rows of ``claims.json``.

    A claim that ``source`` (default: ``executed``) declares and that left no record is a row with
    ``ok: False``.
    """
    executed = Path(executed)
    chapter = executed.stem.split("_")[0]
    rows = []
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get(MIME)
            if data:
                rows.append({"chapter": chapter, **data})
    seen = {row["claim"] for row in rows}
    for name in declared(source or executed):
        if name not in seen:
            missing = Claim(name, "missing", None, "", False, "the cell that makes it did not finish")
            rows.append({"chapter": chapter, **asdict(missing)})
    return rows


def _bound(bound):
    return bound[runtime.profile()] if isinstance(bound, dict) else bound


def _number(value):
    if value is None:
        return "–"
    if np.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3g}"


def _record(claim):
    _made.append(claim)
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is not None and get_ipython() is not None:
        display(claim._repr_mimebundle_(), raw=True)
    else:
        print(claim)
    return claim
