"""What a scan's header, its sidecar and its name say, before any voxel is looked at."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from medsr_course.scans.domain.verdict import CAUTION, REFUSED, Reason, say
from medsr_course.types import Array

CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw")
OTHERS = ["bold", "dwi", "swi", "T2starw", "angio", "asl", "sbref", "epi", "cbv", "MTw", "TOF"]
MAPS = ("T1map", "T2map", "T2starmap", "R1map", "R2map", "R2starmap", "PDmap", "MTRmap", "MTsat", "Chimap", "UNIT1",
        "fieldmap", "phasediff", "B0map", "ADC", "FA", "CBF")  # fmt: skip
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
    known = {one.lower(): one for one in (*CONTRASTS, *MAPS, *OTHERS)}
    last = re.split(r"[_-]", re.sub(r"\.(nii(\.gz)?|nrrd|zip)$", "", name))[-1].lower()
    if last in known:
        return known[last]
    image_type = words(sidecar, "ImageType").upper().replace("\\", " ")
    if found := re.search(r"\b(ADC|FA|CBF|T1 MAP|T2 MAP|PHASE|FIELD_?MAP)\b", image_type):
        return known.get(found[1].lower().replace(" ", "").replace("_", ""), found[1])
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
    image_type = words(sidecar, "ImageType").upper()
    told = words(sidecar, "DerivationDescription", "SeriesDescription", "GeneratedBy")
    if OURS.search(f"{name} {description} {told} {image_type}"):
        yield say("enhanced", REFUSED)
    elif "DERIVED" in image_type:
        yield say("derived", CAUTION)
    kind = contrast(sidecar, name)
    if kind in MAPS or words(sidecar, "Units") in UNITS:
        yield say("quantitative", REFUSED)
    elif kind == "PHASE" or re.search(r"\bP\b", image_type) or re.search(r"part-phase|_phase\d?\b", name):
        yield say("phase", REFUSED)
    elif task == "segment" and kind in CONTRASTS[1:]:
        yield say("contrast", REFUSED, "contrast-segment", kind=kind)
    elif kind in OTHERS:
        yield say("contrast", CAUTION, kind=kind, known=", ".join(CONTRASTS))
    modality = words(sidecar, "Modality").upper()
    if modality == "CT":
        yield say("ct", status_of_signed(task), task=task)
    elif modality in ("PT", "NM", "US", "MG", "XA", "CR", "DX", "OT", "SC", "XC"):
        yield say("modality", REFUSED, modality=modality)
    part = words(sidecar, "BodyPartExamined")
    if part and not HEAD.search(part):
        yield say("body-part", CAUTION, part=part)
    field = number(sidecar, "MagneticFieldStrength")
    if field and field < 50 and not FIELDS[0] <= field <= FIELDS[1]:
        yield say("field-strength", CAUTION, field=field)
    pixel, thick = np.delete(sizes, across), float(sizes[across])
    if not (SIZES[0] <= pixel.min() <= pixel.max() <= SIZES[1]) or pixel.max() > 1.5 * pixel.min():
        yield say("voxel-size", CAUTION, a=pixel[0], b=pixel[1], least=SIZES[0], most=SIZES[1])
    if thick > THICK:
        yield say("thick-slices", CAUTION, mm=thick)


def status_of_signed(task: str) -> str:
    """Returns how grave it is that values are no magnitudes: denoising and segmentation make no sense there."""
    return CAUTION if task in ("super-resolution", "thin-slices") else REFUSED
