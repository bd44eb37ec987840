"""DICOM from the wild: each file read right, or refused in one line; nothing passed over without a word."""

import contextlib
import os
import warnings
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from conftest import load_tool
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from medsr_course.runtime import CourseError
from medsr_course.scans import datasets, scanfiles, volumes
from medsr_course.scans.scanfiles import ScanError, ScanWarning, memory

fuzz = load_tool("fuzz")
WHEEL = Path(pydicom.__file__).parent / "data"


def series(folder, n=4, edit=None, kind="single"):
    """Slices as the fuzzing script makes them, 3 mm apart, each changed by ``edit(item, k)``."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(n):
        item = fuzz.dicom_item(kind, k)
        if edit:
            edit(item, k)
        item.save_as(folder / f"s{k:03d}.dcm", enforce_file_format=True)
    return folder


def raw(item, keyword, value, vr="DS"):
    """An element written as it stands, whatever the standard says."""
    content = value.encode() + b" " * (len(value) % 2)
    tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(keyword))
    item[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(content), content, 0, False, True)


def refusal(source, **options):
    """The message of a refusal: one line."""
    with pytest.raises(ScanError) as caught:
        scanfiles.read_dicom(source, **options)
    message = str(caught.value)
    assert isinstance(caught.value, CourseError)
    assert "\n" not in message
    return message


def values(image):
    return np.asarray(image.dataobj)


# Nothing is passed over without a word


def test_files_without_the_preamble_are_read(tmp_path):
    folder = series(tmp_path / "half", 6)
    for k in (3, 4, 5):
        path = folder / f"s{k:03d}.dcm"
        path.write_bytes(path.read_bytes()[132:])
    whole = scanfiles.read_dicom(series(tmp_path / "whole", 6))
    assert np.array_equal(values(scanfiles.read_dicom(folder)), values(whole))
    for path in sorted(folder.iterdir())[:3]:
        path.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(values(scanfiles.read_dicom(folder)), values(whole))
    without_meta = series(tmp_path / "bare", 3)
    for path in without_meta.iterdir():
        item = pydicom.dcmread(path)
        item.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        item.save_as(path)
        start = path.read_bytes()
        path.write_bytes(start[start.index(b"\x08\0\x16\0") :])
    assert scanfiles.read_dicom(without_meta).shape == (40, 32, 3)


@pytest.mark.parametrize("keep", [0, 100, 200, 300, 400, 500])
def test_a_slice_cut_off_in_its_header_is_named(tmp_path, keep):
    """The last slice: without it the others would make an even, shorter volume."""
    folder = series(tmp_path, 6)
    path = folder / "s005.dcm"
    path.write_bytes(path.read_bytes()[:keep])
    message = refusal(folder)
    assert "s005.dcm" in message
    assert ("1 of 6 files" in message) == (keep < 500)


def test_damaged_files_are_counted(tmp_path):
    folder = series(tmp_path, 6)
    (folder / "s000.dcm").write_bytes(b"<html>log in first</html>" * 20)
    (folder / "s003.dcm").write_bytes(bytes(2000))
    (folder / "s004.dcm").write_bytes(b"")
    message = refusal(folder)
    assert "3 of 6 files" in message
    for name in ("s000.dcm (not DICOM inside)", "s003.dcm", "s004.dcm (empty)"):
        assert name in message


def test_an_image_without_rows_or_pixels_is_named(tmp_path):
    assert "s002.dcm" in refusal(series(tmp_path / "a", edit=lambda d, k: k == 2 and d.pop("Rows")))
    assert "s002.dcm" in refusal(series(tmp_path / "b", edit=lambda d, k: k == 2 and d.pop("PixelData")))


def test_what_lies_beside_a_series_is_told(tmp_path):
    folder = series(tmp_path)
    report = fuzz.dicom_item("single", 9)
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(report, keyword)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.save_as(folder / "report.dcm", enforce_file_format=True)
    (folder / "IM0007").write_bytes(bytes(500))
    (folder / "readme.txt").write_text("exported on Monday")
    with pytest.warns(ScanWarning, match="2 files without a DICOM image left out: IM0007, report.dcm") as told:
        assert scanfiles.read_dicom(folder).shape == (40, 32, 4)
    assert Path(told[0].filename) == Path(__file__)


# Numbers


NUMBERS = {
    "PixelSpacing": ("2", "1.0\\2.0"),
    "ImagePositionPatient": ("3", "0\\0\\5"),
    "ImageOrientationPatient": ("6", "1\\0\\0\\0\\1\\0"),
    "RescaleSlope": ("1", "2"),
    "RescaleIntercept": ("1", "2"),
    "SliceThickness": ("1", "2"),
    "Rows": ("1", "32"),
    "Columns": ("1", "40"),
    "NumberOfFrames": ("1", "1"),
    "SamplesPerPixel": ("1", "1"),
    "BitsAllocated": ("1", "16"),
    "BitsStored": ("1", "12"),
    "HighBit": ("1", "11"),
    "PixelRepresentation": ("1", "0"),
}


@pytest.mark.parametrize("keyword", NUMBERS)
def test_every_number_that_is_none(tmp_path, keyword):
    """Decimal comma, text, NaN, infinity, too many, huge: refused with the element's name; empty is missing."""
    _, good = NUMBERS[keyword]
    count = good.count("\\") + 1
    hostile = ["0,5", "abc", "nan", "inf", "1e400", "1e300", "7\\7\\7\\7\\7\\7\\7", "1 2", "−1"]
    for number, text in enumerate(hostile):
        text = text if "\\" in text else "\\".join([text] * count)
        for vr in ("DS", "LO"):
            folder = series(tmp_path / f"{number}{vr}", 2, edit=lambda d, k, t=text, v=vr: raw(d, keyword, t, v))
            assert keyword in refusal(folder), text
    for vr in ("DS", "UN", "IS"):
        folder = series(tmp_path / f"empty{vr}", 2, edit=lambda d, k, v=vr: raw(d, keyword, "", v))
        with contextlib.suppress(ScanError):
            scanfiles.read_dicom(folder)


def test_positions_written_as_text_are_read(tmp_path):
    folder = series(tmp_path, edit=lambda d, k: raw(d, "ImagePositionPatient", f"1\\2\\{3 * k}", "LO"))
    assert scanfiles.read_dicom(folder).affine[2, 2] == 3


@pytest.mark.parametrize("slope", ["0", "0.0", "1e-60"])
def test_a_slope_that_would_wipe_the_image(tmp_path, slope):
    assert "RescaleSlope" in refusal(series(tmp_path, edit=lambda d, k: raw(d, "RescaleSlope", slope)))


def test_a_negative_slope_is_applied(tmp_path):
    image = scanfiles.read_dicom(series(tmp_path, edit=lambda d, k: raw(d, "RescaleSlope", "-2")))
    assert values(image).min() == -2 * 1279 - 5


@pytest.mark.parametrize(
    "interpretation", ["PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "HSV", "ARGB", "palette color "]
)
def test_colour_is_not_intensity(tmp_path, interpretation):
    message = refusal(series(tmp_path, edit=lambda d, k: raw(d, "PhotometricInterpretation", interpretation, "CS")))
    assert "colour" in message


def test_values_behind_a_table_are_refused(tmp_path):
    def edit(item, k):
        item.ModalityLUTSequence = [fuzz._of(LUTExplanation="optical density")]

    assert "ModalityLUTSequence" in refusal(series(tmp_path, edit=edit))


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.66.4"])
def test_doses_and_segmentations_are_no_scans(tmp_path, uid):
    assert "not a scan" in refusal(series(tmp_path, edit=lambda d, k: setattr(d, "SOPClassUID", uid)))


@pytest.mark.parametrize("change", [-2, -1000, 4, 1280, 10000])
def test_pixels_of_the_wrong_length(tmp_path, change):
    def edit(item, k):
        size = len(item.PixelData) + change
        item.PixelData = (item.PixelData + b"\7" * 20000)[:size]

    message = refusal(series(tmp_path, edit=edit))
    assert "of pixels" in message
    assert "damaged" in message


def test_padding_behind_the_pixels_is_fine(tmp_path):
    folder = series(tmp_path, edit=lambda d, k: setattr(d, "PixelData", d.PixelData + bytes(64)))
    assert scanfiles.read_dicom(folder).shape == (40, 32, 4)


def test_bits_beyond_those_stored_are_no_part_of_a_value(tmp_path):
    """Old files keep overlays there."""

    def edit(item, k):
        item.PixelData = (np.frombuffer(item.PixelData, np.uint16) | 0x8000).tobytes()

    plain = scanfiles.read_dicom(series(tmp_path / "plain"))
    assert np.array_equal(values(scanfiles.read_dicom(series(tmp_path / "overlay", edit=edit))), values(plain))


@pytest.mark.parametrize("packed", [None, RLELossless])
def test_frames_as_large_as_dicom_allows(tmp_path, packed):
    def edit(item, k):
        if packed:
            item.compress(packed)
        item.Rows = item.Columns = 65535

    assert "damaged" in refusal(series(tmp_path, 2, edit=edit))


# Places


@pytest.mark.parametrize(("step", "digits"), [(0.66, 1), (0.325, 2), (1.25, 1), (0.9375, 2), (4.6, 0), (2.34, 1)])
def test_positions_rounded_by_the_exporter(tmp_path, step, digits):
    def edit(item, k):
        item.ImagePositionPatient = [0, 0, round(step * k, digits) if digits else round(step * k)]

    image = scanfiles.read_dicom(series(tmp_path, 9, edit=edit))
    assert abs(image.affine[2, 2] - step) < 0.5 * 10.0**-digits / 4


@pytest.mark.parametrize("digits", [0, 1, 3])
@pytest.mark.parametrize("n", [4, 5, 9, 30])
def test_rounding_hides_no_missing_slice(tmp_path, digits, n):
    folder = series(tmp_path, n, edit=lambda d, k: setattr(d, "ImagePositionPatient", [0, 0, round(k * 1.0, digits)]))
    for gone in range(1, n - 1):
        paths = [folder / f"s{k:03d}.dcm" for k in range(n) if k != gone]
        with pytest.raises(ScanError, match="1 slice missing"):
            scanfiles.read_dicom(paths)


def test_series_of_one_description_are_told_apart(tmp_path):
    def edit(uid):
        def change(item, k):
            item.SeriesDescription, item.SeriesInstanceUID = "t1 post", uid

        return change

    series(tmp_path / "a", edit=edit("1.2.3.4"))
    series(tmp_path / "b", edit=edit("1.2.3.5"))
    for options in ({}, {"series": "t1 post"}):
        message = refusal(tmp_path, **options)
        assert "1.2.3.4" in message
        assert "1.2.3.5" in message
    assert scanfiles.read_dicom(tmp_path, series="1.2.3.5").shape == (40, 32, 4)


def test_thicknesses_that_differ_are_told(tmp_path):
    def edit(item, k):
        item.SliceThickness = 3 if k < 4 else 7
        item.ImagePositionPatient = [0, 0, 3 * k if k < 4 else 9 + 7 * (k - 3)]

    folder = series(tmp_path, 8, edit=edit)
    message = refusal(folder)
    assert "3 mm: s000.dcm to s003.dcm; 7 mm: s004.dcm to s007.dcm" in message
    assert scanfiles.read_dicom(sorted(folder.iterdir())[:4]).shape == (40, 32, 4)


# Several slices in one file


def test_an_enhanced_file(tmp_path):
    image = scanfiles.read_dicom(series(tmp_path, 1, kind="enhanced"))
    stored = (np.arange(4 * 32 * 40) % 4000).reshape(4, 32, 40)
    assert np.array_equal(values(image), (2 * stored + np.arange(4)[:, None, None]).T)  # an intercept for each frame
    assert np.allclose(image.affine, [[-2, 0, 0, -1], [0, -1, 0, -2], [0, 0, 3, 0], [0, 0, 0, 1]])


def test_enhanced_frames_in_any_order(tmp_path):
    def edit(item, k):
        groups = list(item.PerFrameFunctionalGroupsSequence)
        item.PerFrameFunctionalGroupsSequence = [groups[n] for n in (2, 0, 3, 1)]

    image = scanfiles.read_dicom(series(tmp_path, 1, edit=edit, kind="enhanced"))
    stored = (np.arange(4 * 32 * 40) % 4000).reshape(4, 32, 40)[[1, 3, 0, 2]]
    assert np.array_equal(values(image), (2 * stored + np.arange(4)[:, None, None]).T)


def test_an_enhanced_file_of_two_volumes(tmp_path):
    """Two slices at two echoes, told apart by a dimension."""

    def edit(item, k):
        for n, group in enumerate(item.PerFrameFunctionalGroupsSequence):
            group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 3 * (n // 2)]
            group.FrameContentSequence[0].DimensionIndexValues = [n // 2 + 1, 2 - n % 2]
        item.DimensionIndexSequence.append(fuzz._of(DimensionIndexPointer=0x00189082))

    folder = series(tmp_path, 1, edit=edit, kind="enhanced")
    assert "volume=0" in refusal(folder)
    assert "0 to 1" in refusal(folder, volume=2)
    stored = (np.arange(4 * 32 * 40) % 4000).reshape(4, 32, 40)
    for volume, frames in ((0, [1, 3]), (1, [0, 2])):
        expected = (2 * stored[frames] + np.array(frames)[:, None, None]).T
        assert np.array_equal(values(scanfiles.read_dicom(folder, volume=volume)), expected)


def test_time_points_of_single_slices(tmp_path):
    for time in (0, 1):

        def edit(item, k, time=time):
            item.AcquisitionNumber = time
            item.PixelData = np.full((32, 40), 10 * time + k, np.uint16).tobytes()

        series(tmp_path / str(1 - time), edit=edit)
    assert "several images at one place" in refusal(tmp_path)
    for volume in (0, 1):
        image = values(scanfiles.read_dicom(tmp_path, volume=volume))
        assert np.array_equal(image[0, 0], 2 * (10 * volume + np.arange(4)) - 5)
    (tmp_path / "0" / "s001.dcm").unlink()
    assert "from 1 to 2" in refusal(tmp_path, volume=0)
    assert "one volume only" in refusal(tmp_path / "1", volume=1)


def test_frames_that_do_not_add_up(tmp_path):
    message = refusal(series(tmp_path, 1, edit=lambda d, k: setattr(d, "NumberOfFrames", 5), kind="enhanced"))
    assert "4 frames, but holds 5" in message


@pytest.mark.parametrize("down", [False, True])
def test_a_mosaic(tmp_path, down):
    """Against nibabel's reader of the same header."""
    from nibabel.nicom import dicomwrappers

    def edit(item, k):
        if down:
            tags = {
                "NumberOfImagesInMosaic": ["4"],
                "SliceNormalVector": ["0", "0", "-1"],
                "AcquisitionMatrixText": ["32*40"],
            }
            item[0x0029, 0x1010].value = fuzz.csa(**tags)

    path = series(tmp_path, 1, edit=edit, kind="mosaic") / "s000.dcm"
    image = volumes.to_ras(scanfiles.read_dicom(path))
    wrapper = dicomwrappers.wrapper_from_file(path)
    theirs = nibabel.Nifti1Image(wrapper.get_data().astype(np.float32), np.diag([-1, -1, 1, 1]) @ wrapper.affine)
    theirs = volumes.to_ras(theirs)
    assert image.shape == (40, 32, 4)
    assert np.allclose(image.affine, theirs.affine)
    assert np.array_equal(values(image), values(theirs))


def test_a_mosaic_that_does_not_say_how_many(tmp_path):
    for number, content in enumerate((b"", b"SV10junk" * 9, fuzz.csa(NumberOfImagesInMosaic=["4"]))):

        def edit(item, k, content=content):
            item[0x0029, 0x1010].value = content

        assert "several slices in one file" in refusal(series(tmp_path / str(number), 1, edit=edit, kind="mosaic"))


# Packed pixels


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("kind", ["single", "enhanced", "mosaic"])
def test_packed_pixels(tmp_path, syntax, kind):
    if syntax != RLELossless:
        pytest.importorskip("openjpeg" if syntax == JPEG2000Lossless else "jpeg_ls")
    count = 4 if kind == "single" else 1
    plain = scanfiles.read_dicom(series(tmp_path / "plain", count, kind=kind))
    packed = series(tmp_path / "packed", count, edit=lambda d, k: d.compress(syntax), kind=kind)
    assert np.array_equal(values(scanfiles.read_dicom(packed)), values(plain))
    for path in packed.iterdir():
        item = pydicom.dcmread(path)
        item.Rows, item.Columns = 2 * item.Rows, 2 * item.Columns
        item.save_as(path)
    assert "damaged" in refusal(packed)


def packed_as(folder, syntax):
    """A series with another transfer syntax in its header than its pixels have."""
    series(folder, edit=lambda d, k: d.compress(RLELossless))
    for path in folder.iterdir():
        content = path.read_bytes()
        meta = 144 + int.from_bytes(content[140:144], "little")
        start, uid = content[:meta], RLELossless.encode() + b"\0"
        new = syntax.encode() + b"\0" * (len(syntax) % 2)
        start = start.replace(bytes([len(uid), 0]) + uid, bytes([len(new), 0]) + new)
        start = start[:140] + (len(start) - 144).to_bytes(4, "little") + start[144:]
        path.write_bytes(start + content[meta:])
    return folder


def test_what_cannot_be_unpacked_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(Decoder, "is_available", property(lambda self: False))
    for number, package in (("90", "openjpeg"), ("80", "pyjpegls"), ("70", "python-gdcm"), ("50", "python-gdcm")):
        syntax = "1.2.840.10008.1.2.4." + number
        folder = packed_as(tmp_path / number, syntax)
        message = refusal(folder)
        assert package in message
        assert "pip install" in message
        assert "pylibjpeg-libjpeg" not in message  # GPL


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.94", "1.2.3.4.5", "nonsense"])
def test_transfer_syntaxes_nobody_reads(tmp_path, syntax):
    assert syntax in refusal(packed_as(tmp_path, syntax)) or syntax.startswith("1.2.840")


# Larger than memory


def test_a_series_larger_than_memory(tmp_path, monkeypatch):
    folder = series(tmp_path)
    monkeypatch.setattr(memory, "free", lambda: 15000)
    assert "does not fit into memory" in refusal(folder)


def test_zeros_behind_the_pixels_are_not_read(tmp_path):
    path = series(tmp_path, 1) / "s000.dcm"
    os.truncate(path, 2_000_000_000)  # a sparse file
    assert scanfiles.read_dicom(path, flat=True).shape == (40, 32, 1)


def test_a_deflated_bomb(tmp_path):
    import zlib

    path = series(tmp_path, 1, edit=lambda d, k: setattr(d.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2.1.99"))
    path = path / "s000.dcm"
    assert scanfiles.read_dicom(path, flat=True).shape == (40, 32, 1)
    content = path.read_bytes()
    begin = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(zlib.decompress(content[begin:], -15))
    for _ in range(40):
        bomb += packer.compress(bytes(1 << 24))
    path.write_bytes(content[:begin] + bomb + packer.flush())
    assert "unpacks to more than" in refusal(path, flat=True)


def test_free_memory_is_known_here():
    assert memory.free() is None or memory.free() > 1 << 20


# Files of others


def read_or_refused(path):
    """An image, or None where the file is refused in one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return scanfiles.read_dicom(path, flat=True)
        except ScanError as error:
            message = str(error)
        assert "\n" not in message
        assert Path(path).name in message
        return scanfiles.read_dicom(path, flat=True, volume=0) if "volume=0" in message else None


def itk(path):
    """Values (z, y, x) as SimpleITK reads them, or None where it does not."""
    sitk = pytest.importorskip("SimpleITK")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError:
        return None


def test_every_file_in_the_wheel_of_pydicom():
    """Read with SimpleITK's values, or refused."""
    files = [p for name in ("test_files", "charset_files", "palettes") for p in sorted((WHEEL / name).rglob("*"))]
    files = [p for p in files if p.is_file() and p.suffix not in (".py", ".pyc")]
    read = []
    for path in files:
        image = read_or_refused(path)
        if image is not None:
            read.append(path)
            theirs = itk(path)
            assert theirs is None or np.allclose(values(image).T, theirs, rtol=1e-6, atol=1e-3), path.name
    packed = {"693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"}
    wheel = len([p for p in read if p.name not in packed])
    assert wheel >= 32, f"{wheel} of {len(files)} files are read"


@pytest.fixture
def shared(tmp_path):
    """The DICOM archives beside the real scans, unpacked."""
    from conftest import require

    real = datasets.real_folder()
    folder = None if real is None else next((f for f in (real / "dicom", real.parent / "dicom") if f.is_dir()), None)
    require("real", folder, "needs the DICOM archives beside the real scans")
    for path in folder.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / path.stem)
    return tmp_path


@pytest.mark.real
def test_real_files_one_by_one(shared):
    read = 0
    for path in sorted(shared.rglob("*.dcm")):
        image = read_or_refused(path)
        theirs = None if image is None else itk(path)
        read += image is not None
        if theirs is not None and "mosaic" not in str(path):
            assert np.allclose(values(image).T, theirs[: image.shape[2]], rtol=1e-6, atol=1e-3), path.name
    assert read >= 37


@pytest.mark.real
def test_real_series(shared):
    head = sorted(shared.glob("ct-head*/*.dcm"))
    assert "4 mm: 01.dcm to 14.dcm; 7 mm: 15.dcm to 28.dcm" in refusal(head[0].parent)
    tilted = scanfiles.read_dicom(head[:14])
    assert tilted.shape == (512, 512, 14)
    row, column, step = tilted.affine[:3, :3].T
    assert np.allclose(step, [0, 0, 4.22], atol=1e-6)
    assert abs(abs(np.degrees(np.arcsin(column @ step / np.linalg.norm(column) / 4.22))) - 18.5) < 0.01
    field = next(shared.rglob("IM_0027_fMAP.dcm"))
    assert "FIELD_MAP" in refusal(field)
    hertz = scanfiles.read_dicom(field, volume=1)
    assert -500 < values(hertz).min() < 0 < values(hertz).max() < 500
    times = sorted(shared.rglob("6_?.dcm"))
    for k, path in enumerate(times):
        assert np.array_equal(values(scanfiles.read_dicom(times[::-1], volume=k)), values(scanfiles.read_dicom(path)))
    mosaic = scanfiles.read_dicom(next(shared.rglob("IM-0008-0005.dcm")))
    assert mosaic.shape == (64, 64, 40)
    assert np.allclose(volumes.voxel_sizes(mosaic), [3.203125, 3.203125, 3.6])
