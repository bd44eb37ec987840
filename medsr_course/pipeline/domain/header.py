"""What a scan's header, its sidecar and its name say, before any voxel is looked at."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from medsr_course.pipeline.domain.verdict import CAUTION, REFUSED, Reason
from medsr_course.types import Array

CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw")
OTHERS = "bold|dwi|swi|T2starw|angio|asl|sbref|epi|cbv|MTw|TOF|SWI"
MAPS = "T1map|T2map|T2starmap|R1map|R2map|R2starmap|PDmap|MTRmap|MTsat|Chimap|UNIT1|fieldmap|phasediff|B0|B0map|ADC|FA|CBF"
UNITS = ("s", "ms", "Hz", "rad/s", "1/s", "mm2/s", "mm^2/s", "ppm", "T", "uT")
HEAD = re.compile(r"head|brain|skull|cerebr|neuro|crane|kopf|schaedel|encephal", re.I)
OURS = re.compile(r"medsr|desc-zip|desc-added", re.I)
SIZES = 0.4, 2.5  # mm, of the pixels that networks were trained for, before and after they are made finer
THICK = 6.0  # mm
FIELDS = 1.0, 4.0  # T


def words(sidecar: Mapping[str, Any], *keys: str) -> str:
    """Returns entries of a sidecar as one text: lists are joined, missing ones are empty."""
    found = (sidecar.get(key) or "" for key in keys)
    return " ".join(" ".join(map(str, one)) if isinstance(one, list | tuple) else str(one) for one in found).strip()


def number(sidecar: Mapping[str, Any], key: str) -> float | None:
    """Returns an entry of a sidecar as a number; None where it is missing, or none."""
    try:
        value = float(sidecar[key])
    except (KeyError, TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def contrast(sidecar: Mapping[str, Any], name: str) -> str:
    """Returns T1w, T2w, FLAIR, PDw, a map's or another contrast's name, or "unknown", from name, then from timing.

    >>> contrast({}, "sub-01_T1w.nii.gz"), contrast({"RepetitionTime": 9, "EchoTime": 0.12, "InversionTime": 2.5}, "x")
    ('T1w', 'FLAIR')
    """
    known = "|".join((*CONTRASTS, MAPS, OTHERS))
    stem = re.sub(r"\.(nii(\.gz)?|nrrd|zip)$", "", name)
    if found := re.search(rf"(?:^|[_-])({known})$", stem, re.I):
        return next(one for one in known.split("|") if one.lower() == found[1].lower())
    if found := re.search(r"\b(ADC|FA|CBF|T1 MAP|T2 MAP|PHASE|FIELD_MAP)\b", words(sidecar, "ImageType").upper()):
        return found[1]
    repetition, echo, inversion = (number(sidecar, f"{key}Time") for key in ("Repetition", "Echo", "Inversion"))
    if not repetition or echo is None:
        return "unknown"
    unit = 1000.0 if repetition > 50 else 1.0  # DICOM has milliseconds, BIDS seconds
    repetition, echo, inversion = repetition / unit, echo / unit, (inversion or 0.0) / unit
    if inversion > 1.4 and echo > 0.05:
        return "FLAIR"
    if echo > 0.06:
        return "T2w"
    return "T1w" if repetition < 1.5 or inversion > 0.4 else "PDw" if echo < 0.04 else "unknown"


def findings(
    sizes: Array, sidecar: Mapping[str, Any], name: str, task: str, description: str, across: int
) -> Iterator[Reason]:
    """Yields what header, sidecar and name speak against; ``sizes`` of a voxel in mm, ``across`` the slices' axis."""
    told = words(sidecar, "DerivationDescription", "SeriesDescription", "GeneratedBy", "ImageType")
    if OURS.search(f"{name} {description} {told}"):
        yield Reason("enhanced", REFUSED, "This file was made by medsr: give the original scan, or what is invented "
                     "is taken for measured.")  # fmt: skip
    elif "DERIVED" in words(sidecar, "ImageType").upper():
        yield Reason("derived", CAUTION, "Its header says DERIVED: it was computed from other images; take the original "
                     "series if there is one.")  # fmt: skip
    kind = contrast(sidecar, name)
    if kind.upper() in (*MAPS.upper().split("|"), "T1 MAP", "T2 MAP", "FIELD_MAP") or words(sidecar, "Units") in UNITS:
        yield Reason("quantitative", REFUSED, "It is a map of a physical quantity, whose numbers a network would change: "
                     "enhance the images it was computed from.")  # fmt: skip
    elif kind.upper() == "PHASE" or re.search(r"part-phase|_phase\d?\b", name):
        yield Reason("phase", REFUSED, "It is a phase map: enhance its magnitude image.")
    elif task == "segment" and kind in ("T2w", "FLAIR", "PDw"):
        yield Reason("contrast", REFUSED, f"It is {kind}, but the network that segments reads T1w: give the T1w scan.")
    elif kind in OTHERS.split("|"):
        yield Reason("contrast", CAUTION, f"Its contrast, {kind}, is none that the networks were trained on "
                     f"({', '.join(CONTRASTS)}): compare with desc-zip.")  # fmt: skip
    modality = words(sidecar, "Modality").upper()
    if modality in ("PT", "NM", "US", "MG", "XA", "CR", "DX", "OT", "SC", "XC"):
        yield Reason("modality", REFUSED, f"Its modality is {modality}, but the networks know MR: use --force only to "
                     "try it.")  # fmt: skip
    part = words(sidecar, "BodyPartExamined")
    if part and not HEAD.search(part):
        yield Reason("body-part", CAUTION, f"The header says {part}, but the networks were trained on heads: "
                     "compare with desc-zip.")  # fmt: skip
    field = number(sidecar, "MagneticFieldStrength")
    if field and field < 50 and not FIELDS[0] <= field <= FIELDS[1]:
        yield Reason("field-strength", CAUTION, f"It was taken at {field:g} T, the networks' scans at 1.5 and 3 T: noise "
                     "and contrast differ, so compare with desc-zip.")  # fmt: skip
    yield from _voxels(sizes, across)


def _voxels(sizes: Array, across: int) -> Iterator[Reason]:
    pixel, thick = np.delete(sizes, across), sizes[across]
    if not SIZES[0] <= pixel.min() <= pixel.max() <= SIZES[1]:
        yield Reason("voxel-size", CAUTION, f"Its pixels of {pixel[0]:.2f} × {pixel[1]:.2f} mm are outside {SIZES[0]:g} to "
                     f"{SIZES[1]:g} mm, for which the networks were trained: check the header.")  # fmt: skip
    elif pixel.max() > 1.5 * pixel.min():
        yield Reason("voxel-size", CAUTION, f"Its pixels are not square, {pixel[0]:.2f} × {pixel[1]:.2f} mm: the networks "
                     "were trained on nearly square ones.")  # fmt: skip
    if thick > THICK:
        yield Reason("thick-slices", CAUTION, f"Its slices are {thick:.1f} mm apart, more than {THICK:g} mm: small things "
                     "are blurred together, and no network brings them back.")  # fmt: skip
