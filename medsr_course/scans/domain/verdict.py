"""What is said of a scan: whether the shipped networks are for it, why not, and what was measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NOTE, CAUTION, REFUSED = "note", "caution", "refused"

WORDS = {
    "affine": "Its header gives no place in the body: correct its affine first.",
    "body-part": "The header says {part}, but the networks were trained on heads: compare with desc-zip.",
    "colour": "It holds colours, not intensities: save one channel, or a grey version.",
    "complex": "It holds complex numbers: save its magnitude, numpy.abs.",
    "contrast": "Its contrast, {kind}, is none that the networks were trained on ({known}): compare with desc-zip.",
    "contrast-segment": "It is {kind}, but the network that segments reads T1w: give the T1w scan.",
    "ct": "It is a CT, in HU, but the networks know MR: {task} of it is a trial at best, so compare with desc-zip.",
    "derived": "Its header says DERIVED, computed from other images: take the original series if there is one.",
    "empty": "All its voxels have one value, or there are none: there is nothing to enhance.",
    "enhanced": "This file was made by medsr: give the original scan, or what is invented is taken for measured.",
    "face": "A face may be visible, which can identify a person: deface the scan before you share it.",
    "few-slices": "It has {count} slices, on which noise and scale are hardly measured: compare with desc-zip.",
    "few-slices-between": "It has {count} slices, too few to make others between them: enhance in-plane.",
    "field-strength": "It was taken at {field:g} T, not at 1.5 or 3 T, so its noise differs: compare with desc-zip.",
    "interpolated": "Its {axis} axis was interpolated already: give it on the grid it was measured on.",
    "interpolated-finer": "Its {axis} axis was interpolated already, {size:.2f} mm hold detail of about {fine:.2f} mm: "
    "give it on the grid it was measured on.",
    "labels": "Its values are labels or a mask, areas of one value each: resample it with nearest neighbours instead.",
    "modality": "Its modality is {modality}, but the networks know MR: use --force only to try it.",
    "noise-much": "Its noise of {percent:.0f} % is more than the {most:g} % of the training: compare with desc-zip.",
    "noise-unknown": "Its noise cannot be told, as where the air was set to 0: compare the result with desc-zip.",
    "not-finite": "It holds NaN or infinite values: replace them first, for instance by 0.",
    "not-measured": "It is too small, or holds too little, to tell whether it is a head: compare with desc-zip.",
    "orientation": "Its slices are {plane}, but the networks were trained on axial ones: compare with desc-zip.",
    "orientation-unknown": "Its header does not tell left from right: compare the result with the original scan.",
    "phase": "It is a phase map, or jumps like one from end to end of its range: enhance the magnitude image.",
    "quantitative": "It is a map of a quantity, whose numbers a network would change: enhance what it was made from.",
    "several-volumes": "It holds several volumes, shape {shape}: save the one you want as a 3-D file.",
    "signed": "Its values lie on both sides of 0, as in a field map or after z-scoring: give the magnitude image.",
    "thick-slices": "Its slices are {mm:.1f} mm apart: what they blur, no network brings back.",
    "unlike-heads": "It is unlike the heads of the training, {far:.1f} away, limit {most:.1f}: compare with desc-zip.",
    "voxel-size": "Its pixels of {a:.2f} × {b:.2f} mm are not square, or not {least:g} to {most:g} mm: check them.",
}


@dataclass(frozen=True)
class Reason:
    """One finding.

    ``code`` is short ("colour"); ``status`` is "note" (to know, nothing speaks against the scan), "caution" or
    "refused"; ``words`` is one plain sentence with the remedy. ``key`` names that sentence in :data:`WORDS`, and
    ``values`` are what stands in it, so that it can be said in another language.
    """

    code: str
    status: str
    words: str
    key: str = ""
    values: tuple[tuple[str, Any], ...] = ()


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


def say(code: str, status: str, words: str = "", **values: Any) -> Reason:
    """Returns a reason in the words of :data:`WORDS`, those of ``words`` or of its code.

    >>> say("thick-slices", CAUTION, mm=7).words
    'Its slices are 7.0 mm apart: what they blur, no network brings back.'
    """
    key = words or code
    return Reason(code, status, WORDS[key].format(**values), key, tuple(values.items()))


def verdict(reasons: Iterable[Reason], measured: Mapping[str, Any]) -> Verdict:
    """Returns the verdict that follows from reasons: the gravest first, each code once."""
    order = [REFUSED, CAUTION, NOTE]
    ranked = sorted(reasons, key=lambda reason: order.index(reason.status))
    once = tuple({reason.code: reason for reason in reversed(ranked)}.values())[::-1]
    found = {reason.status for reason in once}
    status = next((grave for grave in (REFUSED, CAUTION) if grave in found), "in domain")
    return Verdict(status, once, dict(measured))
