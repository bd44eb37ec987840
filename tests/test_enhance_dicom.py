"""Derived DICOM series: valid, in the right place, nothing clipped, nothing stale, nothing lost."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pydicom
import pytest
from conftest import require
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from medsr_course.pipeline import dicom
from medsr_course.runtime import CourseError
from medsr_course.scans import datasets, scanfiles, volumes

NAMES = ("desc-medsr", "desc-zip", "desc-added")
STUDY, SERIES, FRAME = (generate_uid(entropy_srcs=[word]) for word in ("study", "series", "frame"))
TILT = np.radians(20)
OBLIQUE = np.linalg.qr(np.array([[1, 0.2, -0.3], [-0.1, 1, 0.4], [0.2, -0.3, 1]]))[0] * [-1, -1, -1]
PLANES = {  # direction of a row, of a column
    "axial": ((1, 0, 0), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "oblique": (OBLIQUE[:, 0], OBLIQUE[:, 1]),
}


def of(**elements):
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def header(kind, sop_class):
    """What every image has of patient, study, series, frame of reference and scanner."""
    item = of(
        SOPClassUID=sop_class,
        SpecificCharacterSet="ISO_IR 192",
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=SERIES,
        FrameOfReferenceUID=FRAME,
        PositionReferenceIndicator="",
        PatientName="Müller^Zoë",
        PatientID="77",
        PatientBirthDate="19700101",
        PatientSex="O",
        StudyDate="20240102",
        StudyTime="101112",
        SeriesDate="20240102",
        SeriesTime="101113",
        AcquisitionDate="20240102",
        AcquisitionTime="101114",
        AccessionNumber="",
        ReferringPhysicianName="",
        StudyID="1",
        SeriesNumber=5,
        SeriesDescription="t1 größer",
        Modality=kind,
        Manufacturer="Maker",
        ManufacturerModelName="Model",
        DeviceSerialNumber="123",
        SoftwareVersions="1",
        PatientPosition="HFS",
        BodyPartExamined="HEAD",
        LossyImageCompression="01",
        LossyImageCompressionRatio=8,
        LossyImageCompressionMethod="ISO_10918_1",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
    )
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return item


def save(item, path, number):
    item.SOPInstanceUID = generate_uid(entropy_srcs=["instance", str(number)])
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    item.save_as(path, enforce_file_format=True)


def places(plane, n, spacing=3.5, reverse=False):
    row, column = np.array(PLANES[plane], float)
    normal = np.cross(row, column) * (-1 if reverse else 1)
    return [np.array([-20.5, 31.25, 7.125]) + k * spacing * normal for k in range(n)], [*row, *column]


def stored(n=6, shape=(14, 12)):
    z, y, x = np.meshgrid(*map(np.arange, (n, *shape)), indexing="ij")
    return (100 + 40 * z + 7 * y + 3 * x + 50 * ((x + y + z) % 3)).astype(np.uint16)


def classic(folder, kind="MR", plane="axial", n=6, reverse=False, edit=None):
    """A classic series, one file a slice, that dciodvfy finds no fault with."""
    folder.mkdir(parents=True)
    positions, orientation = places(plane, n, reverse=reverse)
    pixels = stored(n)
    for k in range(n):
        item = header(kind, MRImageStorage if kind == "MR" else CTImageStorage)
        item.ImageType = ["ORIGINAL", "PRIMARY", "M" if kind == "MR" else "AXIAL"]
        item.InstanceNumber, item.AcquisitionNumber = k + 1, 1
        item.Rows, item.Columns = pixels.shape[1:]
        item.PixelSpacing, item.SliceThickness = [0.9, 0.8], 3
        item.ImagePositionPatient = [dicom._decimal(value) for value in positions[k]]
        item.ImageOrientationPatient = [dicom._decimal(value) for value in orientation]
        item.SliceLocation = dicom._decimal(k * 3.5)
        item.WindowCenter, item.WindowWidth = 200, 400
        item.SmallestImagePixelValue, item.LargestImagePixelValue = int(pixels[k].min()), int(pixels[k].max())
        item.add_new(0x00290010, "LO", "MAKER")
        item.add_new(0x00291001, "LO", "secret")
        if kind == "MR":
            item.ScanningSequence, item.SequenceVariant, item.ScanOptions = "GR", "SP", ""
            item.MRAcquisitionType, item.RepetitionTime, item.EchoTime, item.EchoTrainLength = "2D", 500, 5, 1
            item.MagneticFieldStrength, item.FlipAngle, item.SpacingBetweenSlices = 3, 30, 3.5
        else:
            item.KVP, item.RescaleIntercept, item.RescaleSlope, item.RescaleType = 120, -1024, 1, "HU"
        item.PixelData = pixels[k].tobytes()
        if edit:
            edit(item, k)
        save(item, folder / f"{k}.dcm", k)
    return folder


def enhanced(folder, plane="axial", n=6):
    """The same as one enhanced multi-frame file."""
    folder.mkdir(parents=True)
    positions, orientation = places(plane, n)
    pixels = stored(n)
    item = header("MR", EnhancedMRImageStorage)
    kind = {
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "MAGNITUDE",
        "AcquisitionContrast": "T1",
    }
    for keyword, value in kind.items():
        setattr(item, keyword, value)
    item.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    item.InstanceNumber, item.NumberOfFrames = 1, n
    item.ContentDate, item.ContentTime, item.AcquisitionDateTime = "20240102", "101115", "20240102101114"
    item.Rows, item.Columns = pixels.shape[1:]
    item.BurnedInAnnotation, item.PresentationLUTShape = "NO", "IDENTITY"
    item.MagneticFieldStrength, item.ResonantNucleus, item.KSpaceFiltering = 3, "1H", "NONE"
    item.ApplicableSafetyStandardAgency, item.AcquisitionDuration = "IEC", 100.0
    item.AcquisitionContextSequence = []
    organization = generate_uid(entropy_srcs=["organization"])
    item.DimensionOrganizationSequence = [of(DimensionOrganizationUID=organization)]
    item.DimensionIndexSequence = [
        of(
            DimensionIndexPointer=0x00200032,
            FunctionalGroupPointer=0x00209113,
            DimensionOrganizationUID=organization,
        )
    ]
    derivation = of(
        DerivationDescription="averaged",
        DerivationCodeSequence=[
            of(CodeValue="113049", CodingSchemeDesignator="DCM", CodeMeaning="Pixel by pixel mean")
        ],
        SourceImageSequence=[],
    )
    anatomy = of(CodeValue="69536005", CodingSchemeDesignator="SCT", CodeMeaning="Head")
    item.SharedFunctionalGroupsSequence = [
        of(
            PixelMeasuresSequence=[of(PixelSpacing=[0.9, 0.8], SliceThickness=3, SpacingBetweenSlices=3.5)],
            PlaneOrientationSequence=[of(ImageOrientationPatient=[dicom._decimal(value) for value in orientation])],
            MRImageFrameTypeSequence=[of(FrameType=item.ImageType, **kind)],
            PixelValueTransformationSequence=[of(RescaleIntercept=-10, RescaleSlope=0.5, RescaleType="US")],
            FrameVOILUTSequence=[of(WindowCenter=200, WindowWidth=400)],
            FrameAnatomySequence=[of(FrameLaterality="U", AnatomicRegionSequence=[anatomy])],
            DerivationImageSequence=[derivation],
            MRTimingAndRelatedParametersSequence=[of(RepetitionTime=500.0, FlipAngle=30.0)],
        )
    ]
    item.PerFrameFunctionalGroupsSequence = [
        of(
            FrameContentSequence=[of(DimensionIndexValues=[k + 1], FrameAcquisitionNumber=1)],
            PlanePositionSequence=[of(ImagePositionPatient=[dicom._decimal(value) for value in positions[k]])],
        )
        for k in range(n)
    ]
    item.PixelData = pixels.tobytes()
    save(item, folder / "all.dcm", "all")
    return folder


def source_of(folder, **options):
    image, frames = scanfiles.read_series(folder, **options)
    return SimpleNamespace(path=folder, kind="dicom", image=image, frames=frames)


def result_of(source, factors=(2, 2, 1), change=lambda data: data, task="super-resolution"):
    """What the core makes, without a network: each voxel repeated, a pattern added."""
    data = np.asarray(source.image.dataobj)
    for axis, factor in enumerate(factors):
        data = np.repeat(data, factor, axis)
    affine = source.image.affine @ np.diag([*(1 / np.array(factors)), 1])
    added = np.zeros_like(data)
    added[::2] = 3
    fine = change(data + added)
    image, plain, difference = (nibabel.Nifti1Image(d, affine) for d in (fine, data, fine - data))
    return SimpleNamespace(
        image=image,
        zip=plain,
        added=difference,
        source=source.image,
        labels=None,
        plan=SimpleNamespace(options=SimpleNamespace(task=task, scale=max(factors))),
        provenance={
            "task": task,
            "network": "srresnet-x2",
            "checksum": "ab" * 32,
            "software": "medsr 0.2",
            "without_network": "zero-filling (ZIP)",
        },
    )


def written(tmp_path, source, result=None, **options):
    result = result or result_of(source)
    dicom.write_series(result, source, tmp_path / "out", **options)
    return result, tmp_path / "out"


def items(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def errors(path):
    """What dciodvfy says is wrong with a file."""
    require("dciodvfy", shutil.which("dciodvfy"), "needs dciodvfy: install dicom3tools")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace")
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


CASES = {
    "mr": lambda folder: classic(folder),
    "ct": lambda folder: classic(folder, "CT"),
    "enhanced": lambda folder: enhanced(folder),
}
FACTORS = {"super-resolution": (2, 2, 1), "denoise": (1, 1, 1), "thin-slices": (1, 1, 4)}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("task", FACTORS)
def test_dciodvfy_finds_no_error(tmp_path, kind, task):
    folder = CASES[kind](tmp_path / "in")
    for path in folder.iterdir():
        assert kind == "enhanced" or not errors(path), "the source"
    source = source_of(folder)
    _, out = written(tmp_path, source, result_of(source, FACTORS[task], task=task))
    for name in NAMES:
        for path in sorted((out / name).iterdir())[:2]:
            assert not errors(path)
