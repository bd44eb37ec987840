"""Derived DICOM series: valid, in the right place, nothing clipped, nothing stale, nothing lost."""

import shutil
import subprocess
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

from medsr_course.runtime import CourseError
from medsr_course.scans import datasets, scanfiles, volumes
from medsr_course.scans.scanfiles import derived

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
        item.ImagePositionPatient = [derived._decimal(value) for value in positions[k]]
        item.ImageOrientationPatient = [derived._decimal(value) for value in orientation]
        item.SliceLocation = derived._decimal(k * 3.5)
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
            PlaneOrientationSequence=[of(ImageOrientationPatient=[derived._decimal(value) for value in orientation])],
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
            PlanePositionSequence=[of(ImagePositionPatient=[derived._decimal(value) for value in positions[k]])],
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
        provenance={
            "task": task,
            "scale": max(factors),
            "network": "srresnet-x2",
            "checksum": "ab" * 32,
            "software": "medsr 0.2",
            "without_network": "zero-filling (ZIP)",
        },
    )


def written(tmp_path, source, result=None, **options):
    result = result or result_of(source)
    images = {"by a network": result.image, "without": result.zip, "added": result.added}
    options |= {"provenance": result.provenance}
    derived.write_series(images, source.frames, source.image, tmp_path / "out", **options)
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


def corners(shape):
    return np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])


def itk(folder):
    """Values (x, y, z) and a function from indices to millimetres RAS, as SimpleITK reads a series."""
    sitk = pytest.importorskip("SimpleITK")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()

    def world(index):
        return np.array(image.TransformIndexToPhysicalPoint([int(i) for i in index])) * [-1, -1, 1]

    return sitk.GetArrayFromImage(image).T, world


def niix(folder, out):
    """The image that dcm2niix makes of a series."""
    program = shutil.which("dcm2niix")
    require("dcm2niix", program, "needs dcm2niix: install it")
    out.mkdir()
    subprocess.run(
        [program, "-b", "n", "-z", "n", "-f", "x", "-o", str(out), str(folder)], check=True, capture_output=True
    )
    (path,) = out.glob("*.nii")
    return nibabel.load(path)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("task", ["super-resolution", "thin-slices"])
def test_every_voxel_in_its_place(tmp_path, plane, task, reverse):
    """Our reader, SimpleITK and dcm2niix find the same values at the same millimetres, to 0.01."""
    source = source_of(classic(tmp_path / "in", plane=plane, reverse=reverse))
    result, out = written(tmp_path, source, result_of(source, FACTORS[task], task=task))
    expected = np.asarray(result.image.dataobj)

    back = scanfiles.read_dicom(out / "desc-medsr")
    assert np.abs(back.affine - result.image.affine).max() < 1e-4
    assert np.array_equal(np.asarray(back.dataobj), expected)

    theirs, world = itk(out / "desc-medsr")
    for index in corners(expected.shape):
        place = (result.image.affine @ index)[:3]
        found = np.array([np.linalg.norm(world(one[:3]) - place) for one in corners(expected.shape)])
        one = corners(expected.shape)[found.argmin()][:3]
        assert found.min() < 0.01
        assert theirs[tuple(one)] == expected[tuple(index[:3])]

    image = niix(out / "desc-medsr", tmp_path / "niix")
    turn = np.rint(np.linalg.inv(image.affine) @ result.image.affine)
    for index in np.ndindex(*np.minimum(expected.shape, 4)):
        there = (turn @ [*index, 1]).astype(int)
        assert np.linalg.norm((image.affine @ there - result.image.affine @ [*index, 1])[:3]) < 0.01
        assert np.asarray(image.dataobj)[tuple(there[:3])] == expected[index]


@pytest.mark.parametrize("reverse", [False, True])
def test_numbers_run_as_in_the_source(tmp_path, reverse):
    source = source_of(classic(tmp_path / "in", reverse=reverse))
    _, out = written(tmp_path, source, result_of(source, (1, 1, 4), task="thin-slices"))
    found = sorted(items(out / "desc-medsr"), key=lambda item: item.InstanceNumber)
    assert [item.InstanceNumber for item in found] == list(range(1, 25))
    rising = np.diff([item.ImagePositionPatient[2] for item in found])
    assert (rising < 0).all() if reverse else (rising > 0).all()


@pytest.mark.parametrize("kind", CASES)
def test_geometry_elements_are_recomputed(tmp_path, kind):
    source = source_of(CASES[kind](tmp_path / "in"))
    for task, size, spacing, between, thick in (
        ("super-resolution", (28, 24), (0.45, 0.4), 3.5, 3),
        ("thin-slices", (14, 12), (0.9, 0.8), 0.875, 0.875),
        ("denoise", (14, 12), (0.9, 0.8), 3.5, 3),
    ):
        _, out = written(tmp_path / task, source, result_of(source, FACTORS[task], task=task))
        for name in NAMES:
            for item in items(out / name):
                assert (item.Rows, item.Columns) == size
                assert np.allclose(item.PixelSpacing, spacing)
                assert np.isclose(item.SpacingBetweenSlices, between)
                assert np.isclose(item.SliceThickness, thick)
                assert np.isclose(item.SliceLocation, item.ImagePositionPatient[2], atol=1e-6)


def test_what_is_kept_and_what_is_new(tmp_path):
    def edit(item, k):
        item.add_new(0x60000010, "US", 14)
        item.add_new(0x50000005, "US", 1)
        item.IconImageSequence = [of(Rows=1, Columns=1)]
        item.PixelPaddingValue = 0
        item.BurnedInAnnotation = "NO"

    source = source_of(classic(tmp_path / "in", edit=edit))
    _, out = written(tmp_path, source)
    uids, series = set(), set()
    before = source.frames[0].file.item
    for number, name in enumerate(NAMES, 1):
        for item in items(out / name):
            for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID", "StudyDate",
                            "AcquisitionTime", "SpecificCharacterSet", "Modality", "Manufacturer", "SOPClassUID",
                            "RepetitionTime", "LossyImageCompression", "LossyImageCompressionRatio",
                            "LossyImageCompressionMethod", "BurnedInAnnotation"):  # fmt: skip
                assert item[keyword].value == before[keyword].value, keyword
            uids.add(item.SOPInstanceUID)
            series.add(item.SeriesInstanceUID)
            assert item.SeriesNumber == 500 + number
            assert list(item.ImageType[:3]) == ["DERIVED", "SECONDARY", "M"]
            assert item.SeriesDescription.startswith("t1 größer")
            assert item.SeriesDescription.endswith("research - not for diagnosis")
            assert len(item.SeriesDescription) <= 64
            assert "srresnet-x2" in item.DerivationDescription
            assert item.DerivationCodeSequence[0].CodeValue == "113085"
            sources = {one.ReferencedSOPInstanceUID for one in item.SourceImageSequence}
            assert sources == {frame.file.item.SOPInstanceUID for frame in source.frames}
            for keyword in ("WindowCenter", "WindowWidth", "SmallestImagePixelValue", "LargestImagePixelValue",
                            "IconImageSequence", "PixelPaddingValue", "ContentDate", "SeriesDate"):  # fmt: skip
                assert keyword not in item
            assert not [tag for tag in item.keys() if tag.is_private or tag.group >> 8 in (0x50, 0x60)]  # noqa: SIM118
    assert len(series) == 3
    assert len(uids) == 3 * 6
    assert not (uids | series) & {SERIES, *(frame.file.item.SOPInstanceUID for frame in source.frames)}


@pytest.mark.parametrize("title", ["", "x" * 64, "ß" * 64, "T1\tfine"])
def test_the_description_is_never_too_long(tmp_path, title):
    def edit(item, k):
        item.SeriesDescription = title

    source = source_of(classic(tmp_path / "in", edit=edit))
    _, out = written(tmp_path, source)
    for name in NAMES:
        found = items(out / name)[0].SeriesDescription
        assert len(found) <= 64
        assert found.endswith(derived.MARK)


def test_a_stamp_is_burnt_in(tmp_path):
    source = source_of(classic(tmp_path / "in"))
    _, out = written(tmp_path, source, stamp=True)
    found = [items(out / name)[0].get("BurnedInAnnotation") for name in NAMES]
    assert found == ["YES", None, None]


# Values

RANGES = {
    "as they were": (lambda data: data, True),
    "below what was": (lambda data: data - 3000, True),
    "beyond 16 bits": (lambda data: data * 300, False),
    "far below zero": (lambda data: -data * 300, False),
    "constant": (lambda data: np.zeros_like(data), True),
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("case", RANGES)
def test_nothing_is_clipped(tmp_path, kind, case):
    change, kept = RANGES[case]
    source = source_of(CASES[kind](tmp_path / "in"))
    result, out = written(tmp_path, source, result_of(source, change=change))
    for name, image in zip(NAMES, (result.image, result.zip, result.added), strict=True):
        expected = np.asarray(image.dataobj)
        found = np.asarray(scanfiles.read_dicom(out / name).dataobj)
        item = items(out / name)[0]
        step = float(item.get("RescaleSlope", 1))
        assert np.abs(found - expected).max() <= 0.51 * abs(step) + 1e-3
        assert step <= max(abs(float(source.frames[0].slope)), np.abs(expected).max() / 32700)
        if kept and name == "desc-medsr":
            assert step == source.frames[0].slope
    theirs, _ = itk(out / "desc-medsr")
    if kind == "ct":
        assert np.isclose(theirs.min(), np.asarray(result.image.dataobj).min(), atol=step)


def test_slices_of_several_scales(tmp_path):
    def edit(item, k):
        item.RescaleSlope, item.RescaleIntercept = 1 + k, -k

    source = source_of(classic(tmp_path / "in", "CT", edit=edit))
    result, out = written(tmp_path, source)
    found, expected = (np.asarray(i.dataobj) for i in (scanfiles.read_dicom(out / "desc-medsr"), result.image))
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


# Again, and instead


def test_the_same_again_is_the_same_and_else_is_not(tmp_path):
    def uids(place, **options):
        source = source_of(tmp_path / "in")
        _, out = written(tmp_path / place, source, result_of(source, **options))
        files = sorted((out / "desc-medsr").iterdir())
        return {pydicom.dcmread(path).SOPInstanceUID for path in files}, [path.read_bytes() for path in files]

    classic(tmp_path / "in")
    first = uids("a")
    assert uids("b") == first
    for place, options in (
        ("c", {"change": lambda data: data + 1}),
        ("d", {"factors": (1, 1, 2)}),
        ("e", {"task": "denoise"}),
    ):
        assert not uids(place, **options)[0] & first[0], options


def test_a_folder_is_replaced_with_force_only(tmp_path):
    source = source_of(classic(tmp_path / "in"))
    _, out = written(tmp_path, source, result_of(source, (1, 1, 4)))
    (out / "mine.txt").write_text("kept", encoding="utf-8")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(CourseError, match="--force") as caught:
        written(tmp_path, source)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    written(tmp_path, source, force=True)
    assert len(list((out / "desc-medsr").iterdir())) == 6
    assert (out / "mine.txt").read_text(encoding="utf-8") == "kept"
    assert sorted(path.name for path in out.iterdir()) == sorted((*NAMES, "mine.txt"))


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    source = source_of(classic(tmp_path / "in"))
    save, count = Dataset.save_as, []

    def full(*arguments, **options):
        count.append(1)
        if len(count) > 8:
            raise OSError(28, "No space left on device")
        save(*arguments, **options)

    monkeypatch.setattr(Dataset, "save_as", full)
    with pytest.raises(CourseError, match="No space"):
        written(tmp_path, source)
    assert not list((tmp_path / "out").iterdir())


# Refused


def tilted(item, k):
    item.ImagePositionPatient = [0, k * 3.5 * np.tan(TILT).round(6), k * 3.5]


def uneven(item, k):
    item.ImagePositionPatient = [0, 0, k * 3.5 + (2 if k > 3 else 0)]


def other(item, k):
    item.Modality = "PT"


@pytest.mark.parametrize(("edit", "message"), [(tilted, r"20\.0 degrees"), (uneven, "uneven"), (other, "PT")])
def test_refused_in_one_line_with_nothing_written(tmp_path, edit, message):
    folder = classic(tmp_path / "in", edit=edit)
    with pytest.raises(CourseError, match=message) as caught:
        written(tmp_path, source_of(folder))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_labels_and_turned_results_are_refused(tmp_path):
    source = source_of(classic(tmp_path / "in"))
    with pytest.raises(CourseError, match="labels"):
        written(tmp_path, source, result_of(source, task="segment"))
    result = result_of(source)
    result.image = volumes.to_ras(nibabel.as_closest_canonical(result.image))
    with pytest.raises(CourseError, match="turned"):
        written(tmp_path, source, result)
    assert not (tmp_path / "out").exists()


# The whole way


def test_a_sidecar_tells_how_it_was_acquired(tmp_path):
    for kind, keys in (("mr", {"EchoTime": 0.005, "ScanningSequence": "GR"}), ("enhanced", {"SliceThickness": 3})):
        found = derived.sidecar(source_of(CASES[kind](tmp_path / kind)).frames)
        assert found | {"RepetitionTime": 0.5, "FlipAngle": 30, "MagneticFieldStrength": 3, **keys} == found
        assert not [key for key in found if "Patient" in key or "Date" in key or "UID" in key]


@pytest.mark.parametrize("packed", [False, True])
def test_from_a_folder_or_a_zip_to_a_series(tmp_path, packed):
    from medsr_course.pipeline import Options, enhancing, outputs
    from medsr_course.pipeline import plan as planning
    from medsr_course.scans import scansource

    path = classic(tmp_path / "in")
    if packed:
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", path))
    source = scansource.read(path)
    plan = planning.plan(source.image, Options(axes="in-plane", quality="fast"), sidecar=source.sidecar)
    outputs.check(source, tmp_path / "out", plan)
    result = enhancing.run(source.image, plan, progress=False)
    files = outputs.write(result, source, tmp_path / "out")
    assert len(files) == 3 * 6 + 1
    assert files[-1].name == "outputs.tsv"
    back = scanfiles.read_dicom(tmp_path / "out" / "desc-medsr")
    assert np.allclose(back.affine, plan.affine, atol=1e-6)
    assert np.abs(np.asarray(back.dataobj) - np.asarray(result.image.dataobj)).max() <= 0.5
    with pytest.raises(CourseError, match="--force"):
        outputs.check(source, tmp_path / "out", plan)
    if not packed:
        with pytest.raises(CourseError, match="folder of the scan itself"):
            outputs.check(source, path / "out", plan)


REAL = {
    "siemens enhanced": ("dicom_enhanced_Philips_Siemens/6_1.dcm", {}),
    "philips enhanced": ("dicom_enhanced_Philips_Siemens/IM_0027_fMAP.dcm", {"volume": 0}),
    "siemens mosaic": ("dicom_mosaic_Siemens/IM-0008-0005.dcm", {}),
}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The DICOM archives beside the real scans, unpacked."""
    found = datasets.real_folder()
    folder = None if found is None else next((f for f in (found / "dicom", found.parent / "dicom") if f.is_dir()), None)
    require("real", folder, "needs the DICOM archives beside the real scans")
    place = tmp_path_factory.mktemp("dicom")
    for path in folder.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(place / path.stem)
    return place


@pytest.mark.real
@pytest.mark.parametrize("case", REAL)
def test_real_series(real, tmp_path, case):
    name, options = REAL[case]
    source = source_of(real / name, **options)
    for task, factors in FACTORS.items():
        result, out = written(tmp_path / task, source, result_of(source, factors, task=task))
        back = scanfiles.read_dicom(out / "desc-medsr")
        assert np.abs(back.affine - result.image.affine).max() < 0.001
        step = float(items(out / "desc-medsr")[0].get("RescaleSlope", 1))
        assert np.abs(np.asarray(back.dataobj) - np.asarray(result.image.dataobj)).max() <= 0.51 * step
    before = set(errors(real / name))
    assert set(errors(next((out / "desc-medsr").iterdir()))) <= before


@pytest.mark.real
def test_a_real_tilted_gantry_is_refused(real, tmp_path):
    head = sorted(real.glob("ct-head*/*.dcm"))[:14]
    with pytest.raises(CourseError, match=r"18\.5 degrees"):
        written(tmp_path, source_of(head))


def test_a_derived_series_is_known_again(tmp_path):
    from medsr_course.scans import domain, scansource

    _, out = written(tmp_path, source_of(classic(tmp_path / "in")))
    source = scansource.read(out / "desc-medsr")
    verdict = domain.judge(source.image, task="super-resolution", sidecar=source.sidecar, name="x")
    assert "enhanced" in [reason.code for reason in verdict.reasons]
    assert verdict.status == "refused"
