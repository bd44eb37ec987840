"""Names out of DICOM and NIfTI: a list of what may stay, and a search for what stayed all the same.

A list of what to remove is never complete: vendors invent elements. So here everything goes but :data:`KEEP`, what an
image needs to be read, placed and understood; text of any kind is not among it. UIDs are replaced alike wherever they
stand, and dates move by one number of days per patient, both by a secret key: who has it, and only who has it, can do
it again for the next scan. :func:`audit` then searches the bytes of the result.

This is no certified tool. It leaves the face (:mod:`~medsr_course.scans.defacing`), text in the pixels
(:mod:`~medsr_course.scans.burnt`) and the brain, which is personal, too. The standard's own list is DICOM PS3.15,
annex E.
"""

import contextlib
import copy
import datetime
import hashlib
import hmac
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course.scans import volumes
from medsr_course.types import Image, PathLike

if TYPE_CHECKING:  # pydicom is loaded where it is used
    from pydicom import Dataset

_KEPT = """
    SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID ReferencedSOPClassUID
    ReferencedSOPInstanceUID DimensionOrganizationUID Modality ImageType Manufacturer MagneticFieldStrength
    StudyDate SeriesDate AcquisitionDate ContentDate AcquisitionDateTime PatientName PatientID PatientBirthDate
    PatientSex PatientPosition StudyTime AccessionNumber StudyID ReferringPhysicianName SeriesNumber
    AcquisitionNumber InstanceNumber BodyPartExamined Laterality ScanningSequence SequenceVariant ScanOptions
    MRAcquisitionType SliceThickness SpacingBetweenSlices RepetitionTime EffectiveRepetitionTime EchoTime
    EffectiveEchoTime InversionTime FlipAngle NumberOfAverages EchoNumbers EchoTrainLength ImagingFrequency
    ImagedNucleus PixelBandwidth PercentSampling PercentPhaseFieldOfView AcquisitionMatrix
    InPlanePhaseEncodingDirection KVP GantryDetectorTilt DataCollectionDiameter
    ReconstructionDiameter ImagePositionPatient ImageOrientationPatient SliceLocation PositionReferenceIndicator
    SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns PixelSpacing
    ImagerPixelSpacing PixelAspectRatio BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue
    SmallestImagePixelValue LargestImagePixelValue RescaleIntercept RescaleSlope RescaleType WindowCenter
    WindowWidth LossyImageCompression PixelData FloatPixelData DoubleFloatPixelData
    RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor
    BluePaletteColorLookupTableDescriptor RedPaletteColorLookupTableData GreenPaletteColorLookupTableData
    BluePaletteColorLookupTableData FrameIncrementPointer FrameTime SharedFunctionalGroupsSequence
    PerFrameFunctionalGroupsSequence PixelMeasuresSequence PlanePositionSequence PlaneOrientationSequence
    PixelValueTransformationSequence FrameContentSequence FrameVOILUTSequence
    MRTimingAndRelatedParametersSequence MREchoSequence MRImageFrameTypeSequence FrameType DimensionIndexValues
    DimensionIndexSequence DimensionOrganizationSequence DimensionIndexPointer FunctionalGroupPointer StackID
    InStackPositionNumber FrameAcquisitionNumber TemporalPositionIndex ReferencedImageSequence
"""
KEEP = frozenset(_KEPT.split())  # keywords of elements
EMPTY = ("PatientBirthDate", "PatientSex", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName")
CODE = re.compile(r"[A-Z0-9_ \-]{0,16}")  # what a coded value looks like; anything else is somebody's text
STANDARD = "1.2.840.10008."  # UIDs below it name kinds of things, not things
_PHYSICS = """
    Modality Manufacturer MagneticFieldStrength ScanningSequence SequenceVariant MRAcquisitionType SliceThickness
    SpacingBetweenSlices RepetitionTime EchoTime InversionTime FlipAngle PixelBandwidth EchoTrainLength SkullStripped
"""
SIDECAR = tuple(_PHYSICS.split())  # fields of a BIDS sidecar; the times are echo and repetition times
_PALETTES = tuple(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))
NOT_OF_PEOPLE = ("PixelData", *_PALETTES, "Manufacturer", "ImplementationClassUID", "ImplementationVersionName")
SHORTEST = 4  # letters of a string that audit looks for: shorter ones stand everywhere by chance


def new_uid(uid: str, key: bytes) -> str:
    """Another UID for a UID: the same for the same key, and not to be traced back without it.

    Those that the standard gives to kinds of objects stay.

    >>> new_uid("1.2.3", b"secret") == new_uid("1.2.3", b"secret") != new_uid("1.2.3", b"other")
    True
    """
    if uid.startswith(STANDARD):
        return uid
    return f"2.25.{int.from_bytes(_code(uid, key)[:16], 'big')}"


def new_id(patient: str, key: bytes) -> str:
    """A pseudonym of twelve letters and digits for a patient's ID."""
    return _code("id " + patient, key).hex()[:12].upper()


def days(patient: str, key: bytes) -> int:
    """By how many days (1 to 1826, back) the dates of a patient move: all alike, so that intervals stay."""
    return -1 - int.from_bytes(_code("days " + patient, key)[:4], "big") % 1826


def shifted(date: str, by: int) -> str:
    """A DICOM date YYYYMMDD (of a longer value, its date alone) moved by days; what is no date becomes empty.

    >>> shifted("20240301", -1), shifted("20240301123000", -1), shifted("spring", -1)
    ('20240229', '20240229', '')
    """
    try:
        return f"{datetime.datetime.strptime(date[:8], '%Y%m%d').date() + datetime.timedelta(by):%Y%m%d}"
    except (ValueError, OverflowError):
        return ""


def _code(text: str, key: bytes) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def clean(item: "Dataset", key: bytes) -> "Dataset":
    """A DICOM data set without what could name somebody; the one given stays as it is.

    Parameters
    ----------
    item : pydicom.Dataset
        As ``pydicom.dcmread`` gives it, of any vendor.
    key : bytes
        A secret; one for all scans that are to stay together.

    Returns
    -------
    pydicom.Dataset
        With pseudonym, new UIDs and moved dates; unused high bits of the pixels, the preamble and what the file says of
        its sender are cleared. Private elements are gone, also those that a reader needs (Siemens mosaics). A name that
        somebody typed where a code belongs (capitals, at most 16, such as the body part) passes for one and stays.
    """
    import pydicom

    patient = str(item.get("PatientID", ""))
    out = _kept(item, key, days(patient, key))
    out.PatientName = out.PatientID = new_id(patient, key)
    for keyword in EMPTY:
        if keyword in out:
            out[keyword].value = ""
    out.PatientIdentityRemoved = "YES"
    out.DeidentificationMethod = "MEDSR KEEP LIST"
    out.LongitudinalTemporalInformationModified = "MODIFIED"
    _clear_unused_bits(out)
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = item.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = out.SOPClassUID, out.SOPInstanceUID
    out.file_meta, out.preamble = meta, bytes(128)
    return out


def _kept(item: "Dataset", key: bytes, by: int) -> "Dataset":
    import pydicom

    out = pydicom.Dataset()
    for element in item:
        if element.tag.is_private or element.keyword not in KEEP:
            continue
        element = copy.copy(element) if element.VR == "SQ" else copy.deepcopy(element)
        if element.VR == "SQ":
            element.value = pydicom.Sequence(_kept(one, key, by) for one in element.value)
        elif element.VR == "UI":
            element.value = _each(element.value, lambda uid: new_uid(str(uid), key))
        elif element.VR in ("DA", "DT"):
            element.value = _each(element.value, lambda date: shifted(str(date), by))
        elif element.VR == "CS":
            element.value = _each(element.value, lambda code: code if CODE.fullmatch(str(code)) else "")
        elif element.VR in ("LO", "SH", "ST", "LT", "UT", "PN", "TM") and element.keyword != "Manufacturer":
            element.value = ""
        out.add(element)
    return out


def _each(value: Any, change: Any) -> Any:
    if value is None or isinstance(value, str):
        return change(value or "")
    return [change(one) for one in value]


def _clear_unused_bits(item: "Dataset") -> None:
    """Bits above those stored once held overlays: drawings and text."""
    if "PixelData" not in item or item.get("BitsAllocated") != 16 or item.get("PixelData") is None:
        return
    if item["PixelData"].is_undefined_length or item.BitsStored >= 16 or item.HighBit + 1 != item.BitsStored:
        return
    words = np.frombuffer(item.PixelData, "<i2" if item.PixelRepresentation else "<u2")
    spare = 16 - item.BitsStored
    item["PixelData"].value = ((words << spare) >> spare).astype(words.dtype).tobytes()


def clean_sidecar(sidecar: dict[str, Any]) -> dict[str, Any]:
    """A BIDS sidecar with what says how was scanned, and nothing of who, when, where and by whom."""
    return {name: sidecar[name] for name in SIDECAR if name in sidecar}


def clean_nifti(image: Image) -> Image:
    """The same voxels, affine and units under a fresh header: no description, names or extensions.

    Write it with ``scanfiles.write``, under a name that says nothing: its compressed stream holds neither file name nor
    time, as gzip's otherwise does.
    """
    fresh = volumes.make_image(np.asanyarray(image.dataobj), image.affine, like=image)
    fresh.header["descrip"] = b""
    return fresh


# ---------------------------------------------------------------- looking for what stayed


def traces(item: "Dataset") -> set[str]:
    """Strings of a data set that may name somebody: all of its text, dates and UIDs, private and nested ones too.

    Values that :func:`clean` may leave (codes, the manufacturer, the standard's UIDs) and those shorter than
    :data:`SHORTEST` are left out. Of unknown private bytes, runs of printable characters count.
    """
    from pydicom.multival import MultiValue

    found: set[str] = set()
    for element in [*item.iterall(), *getattr(item, "file_meta", ())]:
        if element.keyword in NOT_OF_PEOPLE or element.VR in ("SQ", "CS", "DS", "IS"):
            continue
        several = isinstance(element.value, (list, tuple, MultiValue))  # a name is iterable, too, letter by letter
        for value in element.value if several else [element.value]:
            found.update(_words(value, element.VR))
    maker = str(item.get("Manufacturer", "")).lower()
    return {
        word for word in found if len(word) >= SHORTEST and not word.startswith(STANDARD) and word.lower() not in maker
    }


def _words(value: Any, kind: str) -> Iterator[str]:
    if isinstance(value, bytes):
        runs = re.findall(rb"[\x20-\x7e]{6,}", value)
        for run in runs:
            yield from (word.decode() for word in re.findall(rb"[A-Za-z]{4,}|\d{6,}", run))
    elif kind == "PN":
        yield from re.split(r"[\^=\s]+", str(value))
    elif kind in ("LO", "SH", "ST", "LT", "UT", "UC"):
        yield str(value)
        yield from re.findall(r"[^\W\d_]{5,}|\d{6,}", str(value))
    elif kind in ("UI", "DA", "DT", "TM", "AE"):
        yield str(value)


def audit(path: PathLike | bytes, strings: Iterable[str]) -> list[str]:
    """Which of these strings stand anywhere in a file, byte by byte, whatever the file says it holds.

    UTF-8, Latin-1 and both kinds of UTF-16 are tried, in upper and lower case; a gzip stream is opened first.

    Parameters
    ----------
    path : path, or the bytes themselves
    strings : iterable of str
        As :func:`traces` gives them, and whatever else is known of the patient.

    Returns
    -------
    list of str
        Those found, sorted. An empty list proves nothing about strings that were not asked for.
    """
    content = path if isinstance(path, bytes) else Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        content += zlib.decompress(content, 31)
    content = content.lower()
    return sorted({text for text in strings if any(form in content for form in _forms(text))})


def _forms(text: str) -> Iterator[bytes]:
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
        for written in (text, text.lower(), text.upper()):
            with contextlib.suppress(UnicodeEncodeError):  # bytes know only the case of A to Z
                yield written.encode(encoding).lower()
