"""DICOM files in the shapes of several vendors, of people who never lived: something to take names out of.

Each has its identity in other places: Siemens' text header in a private element, GE's private strings and nested
requests, Philips' enhanced file with private sequences in every frame, an ultrasound's name in the picture, a secondary
capture with an overlay in the unused bits. The values are invented; the places are those where real files have them.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course.scans import burnt
from medsr_course.types import Array, PathLike, Stack

if TYPE_CHECKING:  # pydicom is loaded where it is used
    from pydicom import Dataset

MR, ENHANCED, ULTRASOUND = (f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("4", "4.1", "6.1"))
ROOT = "1.3.6.1.4.1.99999"


@dataclass(frozen=True)
class Person:
    """Whom the files are of."""

    name: str = "Mustermann^Erika"
    id: str = "PAT-4711-0815"
    birth: str = "19640812"
    visit: str = "20240315"
    address: str = "Heidestrasse 17"
    hospital: str = "Klinikum Musterstadt"
    doctor: str = "Sommer^Clara"


def write(folder: PathLike, stack: Stack, person: Person | None = None) -> dict[str, list[Path]]:
    """Writes one series per vendor; returns vendor → files.

    Parameters
    ----------
    folder : path
        A folder per vendor is made in it.
    stack : array (n, h, w)
        Slices, row 0 at the bottom, in any unit; stored as 12 bits.
    person : Person, optional
    """
    person = Person() if person is None else person
    pixels = np.round(np.clip(stack / np.max(stack), 0, 1) * 4000).astype(np.uint16)[:, ::-1]
    return {vendor: _saved(Path(folder) / vendor, make(pixels, person)) for vendor, make in VENDORS.items()}


def _saved(folder: Path, items: "list[Dataset]") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, item in enumerate(items):
        path = folder / f"IM{k:04d}.dcm"
        item.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _item(person: Person, vendor: str, number: int, kind: str, pixels: Array, **elements: Any) -> "Dataset":
    """What all vendors write alike."""
    import pydicom

    item, code = pydicom.Dataset(), list(VENDORS).index(vendor) + 1
    item.SpecificCharacterSet = "ISO_IR 192"
    item.SOPClassUID, item.SOPInstanceUID = kind, f"{ROOT}.{code}.3.{number}"
    item.StudyInstanceUID, item.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.{code}.2"
    item.FrameOfReferenceUID = f"{ROOT}.5"
    item.PatientName, item.PatientID, item.PatientBirthDate = person.name, person.id, person.birth
    item.PatientSex, item.PatientAddress = "F", person.address
    item.StudyDate = item.SeriesDate = item.AcquisitionDate = item.ContentDate = person.visit
    item.StudyTime, item.AccessionNumber, item.StudyID = "101500", "ACC-20240315-77", "ST-4711"
    item.InstitutionName, item.ReferringPhysicianName = person.hospital, person.doctor
    item.Manufacturer, item.StationName, item.DeviceSerialNumber = vendor, "MRT-KELLER-2", "SN-0042-7788"
    item.StudyDescription = "Kopf, Frau Mustermann, Sturz vom Pferd"
    item.Modality, item.SeriesNumber, item.InstanceNumber = "US" if kind == ULTRASOUND else "MR", code, number + 1
    item.PatientPosition = "HFS"
    item.Rows, item.Columns = pixels.shape[-2:]
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 12, 11, 0
    item.PixelSpacing, item.SliceThickness, item.SpacingBetweenSlices = [1, 1], 3, 3
    item.ImageOrientationPatient, item.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * number]
    item.PixelData = pixels.astype("<u2").tobytes()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    item.file_meta = pydicom.dataset.FileMetaDataset()
    item.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID(kind)
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    item.file_meta.SourceApplicationEntityTitle = "KELLER2_AE"
    return item


def _nested(**elements: Any) -> "Dataset":
    import pydicom

    item = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _siemens(pixels: Array, person: Person) -> "list[Dataset]":
    """A text header in a private element, which repeats the patient; a slice refers to the others."""
    items = []
    for k, image in enumerate(pixels):
        item = _item(person, "SIEMENS", k, MR, image, ProtocolName="t1_mprage_ERIKA_M", RepetitionTime=2300, EchoTime=3)
        item.ReferencedImageSequence = [
            _nested(ReferencedSOPClassUID=MR, ReferencedSOPInstanceUID=f"{ROOT}.1.3.{j}")
            for j in range(len(pixels))
            if j != k
        ]
        header = f'### ASCCONV BEGIN ###\ntPatientName = "{person.name}"\ntPatientID = "{person.id}"\n'
        item.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x20, "OB", header.encode())
        items.append(item)
    return items


def _ge(pixels: Array, person: Person) -> "list[Dataset]":
    """Private strings, and the request with its own names, two levels down."""
    items = []
    for k, image in enumerate(pixels):
        item = _item(person, "GE MEDICAL SYSTEMS", k, MR, image, SeriesDescription=f"AX T1 {person.id}")
        code = _nested(CodeMeaning=f"MR of {person.name.split('^')[0]}")
        item.RequestAttributesSequence = [
            _nested(ScheduledProcedureStepDescription="call Dr Sommer first", RequestedProcedureCodeSequence=[code])
        ]
        block = item.private_block(0x0009, "GEMS_IDEN_01", create=True)
        block.add_new(0x01, "LO", person.hospital)
        block.add_new(0x30, "PN", person.name)
        item.preamble = person.id.encode().ljust(128, b"\0")
        items.append(item)
    return items


def _philips(pixels: Array, person: Person) -> "list[Dataset]":
    """One enhanced file: frames with dates of their own, and private sequences inside."""
    item = _item(person, "Philips", 0, ENHANCED, pixels, NumberOfFrames=len(pixels))
    for keyword in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "ImagePositionPatient"):
        delattr(item, keyword)
    orientation = _nested(ImageOrientationPatient=item.ImageOrientationPatient)
    del item.ImageOrientationPatient
    measures = _nested(PixelSpacing=[1, 1], SliceThickness=3, SpacingBetweenSlices=3)
    item.SharedFunctionalGroupsSequence = [
        _nested(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])
    ]
    frames = []
    for k in range(len(pixels)):
        content = _nested(FrameAcquisitionDateTime=f"{person.visit}101{k % 10}00", FrameComments=f"Fr. {person.name}")
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", k + 1, [1, k + 1]
        frame = _nested(FrameContentSequence=[content])
        frame.PlanePositionSequence = [_nested(ImagePositionPatient=[0, 0, 3 * k])]
        inner = _nested(OperatorsName="Pfleger^Paul")
        frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [inner])
        frames.append(frame)
    item.PerFrameFunctionalGroupsSequence = frames
    return [item]


def _ultrasound(pixels: Array, person: Person) -> "list[Dataset]":
    """The name is part of the picture."""
    words = f"{person.name.replace('^', ', ')} *{person.birth}"
    items = []
    for k, image in enumerate(pixels):
        item = _item(person, "Sonotron", k, ULTRASOUND, burnt.burn(image, words), BurnedInAnnotation="YES")
        items.append(item)
    return items


def _overlay(pixels: Array, person: Person) -> "list[Dataset]":
    """A drawing with the name in the bits above the twelve that the image uses."""
    items = []
    for k, image in enumerate(pixels):
        note = burnt.burn(np.zeros_like(image), person.name.replace("^", " "), level=1) << 12
        comment = f"copied {datetime.date(2024, 3, 15):%d.%m.%Y} for {person.doctor}"
        items.append(_item(person, "PACS export", k, MR, image | note, ImageComments=comment))
    return items


VENDORS: dict[str, Callable[[Array, Person], "list[Dataset]"]] = {
    "SIEMENS": _siemens,
    "GE MEDICAL SYSTEMS": _ge,
    "Philips": _philips,
    "Sonotron": _ultrasound,
    "PACS export": _overlay,
}
