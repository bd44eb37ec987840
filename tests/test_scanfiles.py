"""Hostile files: each is read right, or refused in one clear line."""

import errno
import gzip
import os
import struct
import sys
import zlib

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from medsr_course.runtime import CourseError
from medsr_course.scans import scanfiles, scansource, volumes
from medsr_course.scans.scanfiles import ScanError, ScanWarning, memory

AFFINE = np.array([[-0.9, 0, 0, 40], [0, 1.1, 0, -60.5], [0, 0, 2.5, 12.25], [0, 0, 0, 1]])
DATA = np.random.default_rng(0).normal(100, 30, (6, 7, 5)).astype(np.float32)
HEADER_SIZE = 352


def save(path, data=DATA, affine=AFFINE, **fields):
    """A NIfTI file with header fields as wanted, however wrong."""
    image = nibabel.Nifti1Image(data, affine)
    image.set_qform(affine, 1)
    raw = bytearray(image.to_bytes())
    dtype = nibabel.Nifti1Header().template_dtype
    for name, value in fields.items():
        kind, offset = dtype.fields[name]
        raw[offset : offset + kind.itemsize] = np.array(value, kind.base).tobytes()
    path.write_bytes(gzip.compress(bytes(raw)) if path.suffix == ".gz" else bytes(raw))
    return path


def values(image):
    return np.asarray(image.dataobj)


def refuses(path, *words, **options):
    """The message of a refusal: one line that names the file and holds the words."""
    with pytest.raises(ScanError) as caught:
        scanfiles.read(path, **options)
    message = str(caught.value)
    assert isinstance(caught.value, CourseError)
    assert "\n" not in message
    assert len(message) < 250
    assert path.name in message
    for word in words:
        assert word in message, message
    return message


@pytest.fixture
def nii(tmp_path):
    return tmp_path / "scan.nii.gz"


# Read right


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_reads_what_is_there(tmp_path, name):
    image = scanfiles.read(save(tmp_path / name))
    assert isinstance(image, nibabel.Nifti1Image)
    assert np.array_equal(values(image), DATA)
    assert image.get_data_dtype() == np.float32 == values(image).dtype
    assert np.allclose(image.affine, AFFINE)
    assert (image.header["sform_code"], image.header["qform_code"]) == (2, 1)
    assert image.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float64"])
def test_every_number_type(nii, dtype):
    data = np.clip(DATA, 0, 120).astype(dtype)
    image = nibabel.Nifti1Image(data, AFFINE, dtype=dtype)
    image.to_filename(nii)
    read = scanfiles.read(nii)
    assert values(read).dtype == np.float32
    assert np.allclose(values(read), data, rtol=1e-6)


def test_scaled_integers(nii):
    stored = np.arange(210, dtype=np.int16).reshape(6, 7, 5)
    read = scanfiles.read(save(nii, stored, scl_slope=0.5, scl_inter=-10.0))
    assert np.allclose(values(read), stored * 0.5 - 10)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_of_zero_or_nan_means_unscaled(nii, slope):
    stored = np.arange(210, dtype=np.int16).reshape(6, 7, 5)
    assert np.array_equal(values(scanfiles.read(save(nii, stored, scl_slope=slope))), stored)


def test_big_endian(nii):
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    data = np.arange(210, dtype=np.int16).reshape(6, 7, 5)
    nibabel.Nifti1Image(data, AFFINE, header).to_filename(nii)
    assert gzip.decompress(nii.read_bytes())[:4] == struct.pack(">i", 348)
    image = scanfiles.read(nii)
    assert np.array_equal(values(image), data)
    assert values(image).dtype.isnative
    assert np.allclose(image.affine, AFFINE)


def test_nifti_2(nii):
    nibabel.Nifti2Image(DATA, AFFINE).to_filename(nii)
    image = scanfiles.read(nii)
    assert type(image) is nibabel.Nifti1Image
    assert np.array_equal(values(image), DATA)


def test_four_dimensions(nii):
    save(nii, DATA[..., None])
    assert scanfiles.read(nii).shape == (6, 7, 5)
    save(nii, np.stack([DATA, 2 * DATA, 3 * DATA], axis=-1))
    refuses(nii, "4-D", "3 volumes", "volume=0")
    assert np.array_equal(values(scanfiles.read(nii, volume=2)), 3 * DATA)
    refuses(nii, "0 to 2", volume=3)
    save(nii)
    refuses(nii, "one volume", volume=1)
    save(nii, np.zeros((3, 3, 3, 2, 2), np.float32))
    refuses(nii, "5-D")


def test_two_dimensions(nii):
    save(nii, DATA[..., 0])
    refuses(nii, "2-D", "flat=True")
    image = scanfiles.read(nii, flat=True)
    assert image.shape == (6, 7, 1)
    assert np.array_equal(values(image)[..., 0], DATA[..., 0])
    save(nii, DATA[:, 0, 0])
    refuses(nii, "1-D", flat=True)


def test_voxels_that_are_no_numbers(nii):
    data = DATA.copy()
    data[0, 0, 0], data[1, 2, 3] = np.nan, np.inf
    save(nii, data)
    refuses(nii, "2 voxels", "fill=0")
    filled = values(scanfiles.read(nii, fill=0))
    assert filled[0, 0, 0] == filled[1, 2, 3] == 0
    assert np.isfinite(filled).all()
    save(nii, np.full((3, 3, 3), 1e300))  # infinite as float32
    refuses(nii, "27 voxels")


def test_units_become_millimetres(nii):
    for code, factor in ((1, 1e-3), (2, 1.0), (3, 1e3), (0, 1.0)):
        affine = AFFINE.copy()
        affine[:3] *= factor
        image = scanfiles.read(save(nii, affine=affine, xyzt_units=code))
        assert np.allclose(image.affine, AFFINE, rtol=1e-5)
        assert image.header.get_xyzt_units()[0] == "mm"


def test_a_unit_that_does_not_exist_is_taken_for_mm(nii):
    path = save(nii, xyzt_units=5)
    for image in (scanfiles.read(path), scansource.read(path).image):
        assert np.allclose(image.affine, AFFINE, rtol=1e-5)


def test_a_sheared_sform_is_kept(nii):
    affine = AFFINE.copy()
    affine[1, 2] = 0.7
    assert np.allclose(scanfiles.read(save(nii, affine=affine)).affine, affine)


def test_labels(nii):
    labels = np.arange(210, dtype=np.uint8).reshape(6, 7, 5)
    image = scanfiles.read(save(nii, labels), labels=True)
    assert values(image).dtype == np.int16
    assert np.array_equal(values(image), labels)
    save(nii, labels.astype(np.int32) * 1000)
    assert values(scanfiles.read(nii, labels=True)).dtype == np.int32
    save(nii)
    refuses(nii, "fractions", labels=True)


def test_sform_saves_a_file_with_zero_pixdim(nii):
    assert np.allclose(scanfiles.read(save(nii, pixdim=[1, 0, 0, 0, 0, 0, 0, 0])).affine, AFFINE)


# Refused


def test_missing_empty_folder(tmp_path):
    refuses(tmp_path / "none.nii.gz", "does not exist")
    folder = tmp_path / "folder.nii.gz"
    folder.mkdir()
    refuses(folder, "folder", "read_dicom")
    empty = tmp_path / "empty.nii.gz"
    empty.touch()
    refuses(empty, "empty", "download it again")
    hollow = tmp_path / "hollow.nii.gz"
    hollow.write_bytes(gzip.compress(b""))
    refuses(hollow, "not a NIfTI")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_no_permission(nii, monkeypatch):
    save(nii).chmod(0)
    if os.access(nii, os.R_OK):  # root may read everything: say what the system would say
        monkeypatch.setattr("builtins.open", raising(PermissionError(errno.EACCES, "Permission denied")))
    refuses(nii, "permission")


@pytest.mark.parametrize("keep", [0.999, 0.9, 0.5, 0.05])
def test_truncated_gzip(nii, keep):
    save(nii)
    whole = nii.read_bytes()
    nii.write_bytes(whole[: int(len(whole) * keep)])
    refuses(nii, "cut short", "download it again")


def test_truncated_in_its_last_bytes(nii):
    """All voxels are there, the checksum is not: something was lost, so it is refused."""
    save(nii)
    nii.write_bytes(nii.read_bytes()[:-3])
    refuses(nii, "cut short")


def test_flipped_bit(nii):
    save(nii)
    whole = bytearray(nii.read_bytes())
    whole[len(whole) // 2] ^= 0x10
    nii.write_bytes(whole)
    refuses(nii, "damaged")


def test_truncated_without_gzip(tmp_path):
    path = save(tmp_path / "scan.nii")
    path.write_bytes(path.read_bytes()[:-100])
    refuses(path, "cut short", f"of {HEADER_SIZE + DATA.nbytes} bytes")
    path.write_bytes(path.read_bytes()[:200])
    refuses(path, "damaged")


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_header_that_promises_terabytes(tmp_path, name):
    path = save(tmp_path / name, dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])
    refuses(path, "promises", "bytes")


def test_text_and_other_formats(tmp_path, nii):
    nii.write_text("subject,age\n1,20\n" * 100)
    refuses(nii, "not a NIfTI")
    nii.write_bytes(gzip.compress(b"<html>404 not found</html>" * 100))
    refuses(nii, "not a NIfTI", "dcm2niix")
    pair = tmp_path / "pair.img"
    nibabel.Nifti1Pair(DATA, AFFINE).to_filename(pair)
    refuses(tmp_path / "pair.hdr", "half of")
    nibabel.AnalyzeImage(DATA, np.diag([-1, 1, 1, 1])).to_filename(tmp_path / "old.img")
    refuses(tmp_path / "old.hdr", "Analyze")
    dicom = make_series(tmp_path / "dicom", n=1)[0]
    refuses(dicom, "DICOM", "read_dicom")


def test_complex_and_colour(nii):
    nibabel.Nifti1Image(DATA.astype(np.complex64), AFFINE).to_filename(nii)
    refuses(nii, "complex", "magnitude")
    rgb = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.Nifti1Image(rgb, AFFINE).to_filename(nii)
    refuses(nii, "colours", "one channel")
    save(nii, datatype=1234)
    refuses(nii, "1234", "unknown")


def test_voxel_size_zero(nii):
    flat = AFFINE.copy()
    flat[:, 2] = 0
    save(nii)
    raw = bytearray(gzip.decompress(nii.read_bytes()))
    rows = np.array(flat[:3], "<f4").tobytes()
    offset = nibabel.Nifti1Header().template_dtype.fields["srow_x"][1]
    raw[offset : offset + len(rows)] = rows
    nii.write_bytes(gzip.compress(raw))
    refuses(nii, "voxel size", "0.9 × 1.1 × 0 mm")
    save(nii, sform_code=0, pixdim=[1, 0.9, 1.1, 0, 0, 0, 0, 0])
    refuses(nii, "voxel size", "0.9 × 1.1 × 0 mm")
    save(nii, sform_code=0, qform_code=0, pixdim=[1, np.nan, 1, 1, 0, 0, 0, 0])
    refuses(nii, "voxel size", "nan")


def test_singular_and_impossible_affines(nii):
    save(nii, srow_y=[0, 0, 1.1, 0], srow_z=[0, 0, 2.2, 0])
    refuses(nii, "voxel size")  # the second column is empty
    save(nii, srow_x=[1, 1, 0, 0], srow_y=[1, 1, 0, 0])
    refuses(nii, "singular")
    save(nii, srow_x=[np.nan, 0, 0, 0])
    refuses(nii, "NaN")
    save(nii, sform_code=0, quatern_b=1.0, quatern_c=1.0, quatern_d=1.0)
    refuses(nii, "cannot be used", "dcm2niix")


@pytest.mark.parametrize(
    "dim", [[0] * 8, [9, 6, 7, 5, 1, 1, 1, 1], [3, 6, -7, 5, 1, 1, 1, 1], [3, 6, 0, 5, 1, 1, 1, 1]]
)
def test_impossible_dimensions(nii, dim):
    refuses(save(nii, dim=dim), "scan.nii.gz")


def test_offsets_that_lead_nowhere(nii):
    save(nii, vox_offset=np.nan)
    refuses(nii, "data at byte nan")
    save(nii, vox_offset=-16)
    refuses(nii, "data at byte -16")
    save(nii, vox_offset=1e6)
    refuses(nii, "promises" if os.path.getsize(nii) * 1032 < 1e6 else "cut short")


def test_nothing_reaches_stderr(nii, capfd):
    for fault in ({"pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, {"qform_code": -7}, {"bitpix": 0}):
        save(nii, **fault)  # nibabel would log that it mends this
        scanfiles.read(nii)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("offset", [0, 1, 100, 347, 348, 351, 352.5])
def test_data_inside_the_header(tmp_path, offset):
    path = save(tmp_path / "scan.nii", vox_offset=offset)
    refuses(path, f"data at byte {offset:g}")
    header = nibabel.Nifti2Image(DATA, AFFINE).to_bytes()
    where = nibabel.Nifti2Header.template_dtype.fields["vox_offset"][1]
    path.write_bytes(header[:where] + np.array(int(offset), "<i8").tobytes() + header[where + 8 :])
    refuses(path, f"data at byte {int(offset)}")


def test_a_data_type_of_another_size(nii):
    """nibabel would mend either without a word; which one is wrong, the file does not tell."""
    save(nii, bitpix=8)
    refuses(nii, "8 bits per voxel", "float32")


def test_an_image_that_does_not_tell_left_from_right(tmp_path):
    path = save(tmp_path / "scan.nii", sform_code=0, qform_code=0)
    with pytest.warns(ScanWarning, match="left from right") as told:
        image = scanfiles.read(path)
    assert told[0].filename == __file__
    for changed in (
        image,
        volumes.to_ras(image),
        volumes.resample(image, voxel_size=2),
        volumes.from_stack(2 * volumes.to_stack(image, "coronal"), image, "coronal"),
    ):
        again = scanfiles.write(changed, tmp_path / "again.nii", overwrite=True)
        header = nibabel.load(again).header
        assert (header["sform_code"], header["qform_code"]) == (0, 0)
        with pytest.warns(ScanWarning):
            read = scanfiles.read(again)
        assert np.allclose(values(volumes.to_ras(read)), values(volumes.to_ras(changed)))
        assert np.allclose(volumes.voxel_sizes(volumes.to_ras(read)), volumes.voxel_sizes(volumes.to_ras(changed)))


def test_one_code_is_enough(tmp_path, recwarn):
    for codes in ({"sform_code": 0}, {"qform_code": 0}):
        scanfiles.read(save(tmp_path / "scan.nii", **codes))
    assert [w for w in recwarn if issubclass(w.category, ScanWarning)] == []


def test_labels_beyond_32_bits(nii):
    save(nii, np.full((3, 3, 3), 3_000_000_000, np.uint32))
    refuses(nii, "3000000000", "32 bits", labels=True)
    assert values(scanfiles.read(nii)).max() == np.float32(3e9)


@pytest.mark.parametrize("slope", [1 / 255, 0.00392157])
def test_labels_behind_a_rounded_slope(nii, slope):
    mask = (np.arange(27).reshape(3, 3, 3) % 2 * 255).astype(np.uint8)
    assert np.array_equal(values(scanfiles.read(save(nii, mask, scl_slope=slope), labels=True)), mask // 255)


def test_labels_that_are_no_numbers(nii):
    labels = np.ones((3, 3, 3), np.float32)
    labels[1, 1, 1] = np.nan
    save(nii, labels)
    refuses(nii, "NaN", "fill=0", labels=True)
    assert values(scanfiles.read(nii, labels=True, fill=0)).sum() == 26


# Larger than memory


def bomb(path, shape, zeros):
    """A packed file with a header and millions of zeros."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header.set_sform(AFFINE, 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with open(path, "wb") as file:
        file.write(packer.compress(header.binaryblock + bytes(4)))
        for _ in range(zeros >> 20):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    return path


def test_a_scan_that_grows_beyond_memory(nii, monkeypatch):
    bomb(nii, (400, 400, 100), 32 << 20)
    assert scanfiles.read(nii).shape == (400, 400, 100)
    monkeypatch.setattr(memory, "free", lambda: 100_000_000)
    refuses(nii, "does not fit into memory", "0.1 GB are free")


def test_bytes_behind_the_last_voxel(tmp_path, nii):
    bomb(nii, (4, 4, 4), 8 << 20)
    assert scanfiles.read(nii).shape == (4, 4, 4)
    bomb(nii, (4, 4, 4), 80 << 20)
    refuses(nii, "behind its last voxel")
    sparse = save(tmp_path / "sparse.nii")
    os.truncate(sparse, 6_000_000_000)
    refuses(sparse, "behind its last voxel")


def test_one_volume_of_many_needs_the_memory_of_one(nii, monkeypatch):
    save(nii, np.stack([DATA + k for k in range(50)], axis=-1))
    monkeypatch.setattr(memory, "free", lambda: 30 * DATA.nbytes)
    for volume in (0, 49):
        assert np.array_equal(values(scanfiles.read(nii, volume=volume)), DATA + volume)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    refuses(tmp_path / "pipe.nii", "pipe")


def raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


# Writing


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
def test_what_is_written_is_read(tmp_path, name):
    image = scanfiles.read(save(tmp_path / "in.nii.gz", descrip=b"a scan"))
    path = scanfiles.write(image, tmp_path / name)
    assert path == tmp_path / name
    again = scanfiles.read(path)
    assert np.array_equal(values(again), values(image))
    assert np.allclose(again.affine, image.affine, atol=1e-6)
    for field in ("sform_code", "qform_code", "descrip", "xyzt_units"):
        assert again.header[field] == image.header[field]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["in.nii.gz", name])


def test_integers_stay_integers(tmp_path):
    labels = volumes.make_image(np.arange(27, dtype=np.uint8).reshape(3, 3, 3), np.eye(4))
    stored = nibabel.load(scanfiles.write(labels, tmp_path / "a.nii.gz"))
    assert stored.get_data_dtype() == np.uint8
    assert np.array_equal(stored.get_fdata(), labels.dataobj)


def test_same_image_same_bytes(tmp_path):
    image = volumes.make_image(DATA, AFFINE)
    a, b = (scanfiles.write(image, tmp_path / name) for name in ("a.nii.gz", "b.nii.gz"))
    assert a.read_bytes() == b.read_bytes()


def test_write_refuses(tmp_path):
    image = volumes.make_image(DATA, AFFINE)
    path = scanfiles.write(image, tmp_path / "a.nii.gz")
    before = path.read_bytes()
    other = volumes.make_image(2 * DATA, AFFINE)
    with pytest.raises(ScanError, match="overwrite=True"):
        scanfiles.write(other, path)
    assert path.read_bytes() == before
    scanfiles.write(other, path, overwrite=True)
    assert np.array_equal(values(scanfiles.read(path)), 2 * DATA)
    with pytest.raises(ScanError, match=r"ends in \.nii\.gz"):
        scanfiles.write(image, tmp_path / "a.png")
    with pytest.raises(ScanError, match="make it first"):
        scanfiles.write(image, tmp_path / "no" / "a.nii.gz")
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(ScanError, match="is a folder"):
        scanfiles.write(image, tmp_path / "folder.nii", overwrite=True)
    with pytest.raises(ScanError, match="nan_to_num"):
        scanfiles.write(volumes.make_image(np.full((2, 2, 2), np.nan), AFFINE), tmp_path / "b.nii")
    with pytest.raises(ScanError, match="cannot hold"):
        scanfiles.write(nibabel.Nifti1Image(DATA.astype(np.complex64), AFFINE), tmp_path / "c.nii")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "no permission"),
        (OSError(errno.EROFS, "Read-only"), "read-only"),
        (OSError(errno.EIO, "Input/output error"), "check the file and the disk"),
    ],
)
def test_disk_trouble_leaves_nothing_behind(tmp_path, monkeypatch, error, words):
    path = scanfiles.write(volumes.make_image(DATA, AFFINE), tmp_path / "a.nii.gz")
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", raising(error))
    with pytest.raises(ScanError, match=words):
        scanfiles.write(volumes.make_image(2 * DATA, AFFINE), path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]
    assert path.read_bytes() == before


def test_interrupt_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        scanfiles.write(volumes.make_image(DATA, AFFINE), tmp_path / "a.nii.gz")
    assert list(tmp_path.iterdir()) == []


# DICOM

SHAPE = (9, 11)  # rows, columns
OBLIQUE = ([0.96, 0.28, 0.0], [-0.168, 0.576, -0.8])  # two unit vectors at a right angle


def make_series(folder, n=7, row=(1, 0, 0), column=(0, 1, 0), spacing=2.5, tilt=0.0, series=None, **fields):
    """A synthetic CT series: a blob in HU, file names in random order."""
    folder.mkdir(parents=True, exist_ok=True)
    row, column = np.array(row, float), np.array(column, float)
    normal = np.cross(row, column)
    series, order = series or generate_uid(), np.random.default_rng(1).permutation(n)
    pixels = dicom_pixels(n)
    paths = []
    for k in range(n):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID = CTImageStorage
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID = generate_uid()
        item.SeriesInstanceUID, item.SeriesDescription, item.Modality = series, "synthetic", "CT"
        item.Rows, item.Columns = SHAPE
        item.PixelSpacing = [0.8, 1.2]
        item.SliceThickness = 1.0  # thinner than the distance, as scanners often have it
        item.ImageOrientationPatient = [*row, *column]
        place = np.array([-31.0, 12.5, 100.0]) + k * (spacing * normal + tilt * column)
        item.ImagePositionPatient = [f"{value:.6f}" for value in place]
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 1
        item.RescaleSlope, item.RescaleIntercept = 2, -1024
        item.PixelData = pixels[k].tobytes()
        for keyword, value in fields.items():
            if value is None:
                delattr(item, keyword)
            else:
                setattr(item, keyword, value(k) if callable(value) else value)
        path = folder / f"IM{order[k]:04d}"
        item.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def dicom_pixels(n):
    k, i, j = np.indices((n, *SHAPE))
    distance = (k - 0.47 * n) ** 2 / 2 + (i - 4.2) ** 2 / 3 + (j - 5.6) ** 2 / 4
    return np.rint(512 + 3000 * np.exp(-distance)).astype(np.int16)


def refuses_dicom(source, *words, **options):
    with pytest.raises(ScanError) as caught:
        scanfiles.read_dicom(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("axes", [((1, 0, 0), (0, 1, 0)), ((0, 1, 0), (0, 0, -1)), OBLIQUE])
@pytest.mark.parametrize("tilt", [0.0, 0.7])
def test_a_series_lies_where_dicom_says(tmp_path, axes, tilt):
    """Every voxel against the standard's own equation (PS3.3, C.7.6.2.1-1), turned from LPS to RAS."""
    paths = make_series(tmp_path / "series", row=axes[0], column=axes[1], tilt=tilt)
    image = scanfiles.read_dicom(tmp_path / "series")
    assert image.shape == (11, 9, 7)
    assert image.get_data_dtype() == np.float32
    assert image.header["sform_code"] == 1
    assert np.allclose(values(image), 2.0 * dicom_pixels(7).transpose(2, 1, 0) - 1024)
    for k in (0, 3, 6):
        item = pydicom.dcmread(paths[k])
        row, column = np.array(item.ImageOrientationPatient, float).reshape(2, 3)
        for i, j in ((0, 0), (10, 8), (4, 7)):
            lps = np.array(item.ImagePositionPatient, float) + row * 1.2 * i + column * 0.8 * j
            ras = image.affine @ [i, j, k, 1]
            assert np.allclose(ras[:3], lps * [-1, -1, 1], atol=1e-4)


@pytest.mark.parametrize("axes", [((1, 0, 0), (0, 1, 0)), OBLIQUE])
def test_dicom_to_nifti_and_back_moves_nothing(tmp_path, axes):
    paths = make_series(tmp_path / "series", row=axes[0], column=axes[1])
    image = scanfiles.read_dicom(paths)
    above = volumes.make_image(values(image) + 1024, image.affine)
    again = scanfiles.read(scanfiles.write(above, tmp_path / "a.nii.gz"))
    assert np.linalg.norm(volumes.centroid_mm(above) - volumes.centroid_mm(again)) < 0.05
    ras = volumes.to_ras(again)
    assert np.linalg.norm(volumes.centroid_mm(above) - volumes.centroid_mm(ras)) < 0.05
    assert nibabel.aff2axcodes(ras.affine) == ("R", "A", "S")


def test_other_files_beside_the_series(tmp_path):
    make_series(tmp_path / "series")
    (tmp_path / "series" / "README.txt").write_text("exported on Monday")
    (tmp_path / "series" / "empty").touch()
    assert scanfiles.read_dicom(tmp_path / "series").shape == (11, 9, 7)


def test_slope_per_slice(tmp_path):
    """PET scanners choose a slope for each slice."""
    make_series(tmp_path, RescaleSlope=lambda k: 1 + k, RescaleIntercept=0)
    stored = dicom_pixels(7).transpose(2, 1, 0).astype(float)
    assert np.allclose(values(scanfiles.read_dicom(tmp_path)), stored * np.arange(1, 8))


def test_several_series(tmp_path):
    make_series(tmp_path / "a", SeriesDescription="T1")
    make_series(tmp_path / "b", n=4, SeriesDescription="T2")
    refuses_dicom(tmp_path, "2 series", "T1 (7 images)", "T2 (4 images)", "series=")
    assert scanfiles.read_dicom(tmp_path, series="T2").shape == (11, 9, 4)
    refuses_dicom(tmp_path, "no series 'PD'", series="PD")


def test_missing_and_repeated_slices(tmp_path):
    paths = make_series(tmp_path, n=9)
    paths[4].unlink()
    refuses_dicom(tmp_path, "uneven slice distances", "2.50 to 5.00 mm", "1 slice missing")
    paths[3].unlink()
    refuses_dicom(tmp_path, "2 slices missing")
    twice = make_series(tmp_path / "echoes", n=4, series="1.2.3")
    for number, path in enumerate(twice):
        item = pydicom.dcmread(path)
        item.save_as(tmp_path / "echoes" / f"echo2-{number}")
    refuses_dicom(tmp_path / "echoes", "several images at one place")


def test_localiser_and_mixed_sizes(tmp_path):
    make_series(tmp_path / "a", series="1.2.3")
    make_series(tmp_path / "a" / "b", series="1.2.3", row=(0, 1, 0), column=(0, 0, -1))
    refuses_dicom(tmp_path / "a", "several orientations")
    make_series(tmp_path / "c", PixelSpacing=lambda k: [0.8, 1.2 + 0.1 * (k == 3)])
    refuses_dicom(tmp_path / "c", "several sizes")


def test_single_slice(tmp_path):
    path = make_series(tmp_path, n=1)[0]
    refuses_dicom(path, "single slice", "flat=True")
    image = scanfiles.read_dicom(path, flat=True)
    assert image.shape == (11, 9, 1)
    assert np.allclose(volumes.voxel_sizes(image), [1.2, 0.8, 1.0])
    make_series(tmp_path, n=1, SliceThickness=None)
    refuses_dicom(path, "no SliceThickness", flat=True)


def test_what_is_no_stack_of_slices(tmp_path):
    cases = {
        "position": ({"ImagePositionPatient": None}, "no ImagePositionPatient"),
        "spacing": ({"PixelSpacing": None}, "no PixelSpacing"),
        "zero": ({"PixelSpacing": [0, 1]}, "PixelSpacing of 0"),
        "frames": ({"NumberOfFrames": 20}, "several slices in one file"),
        "mosaic": ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "several slices in one file"),
        "colour": ({"SamplesPerPixel": 3}, "colour"),
        "vectors": ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "unit vectors"),
        "pixels": ({"PixelData": b"\0\0\0\0"}, "damaged"),
        "staggered": (
            {"ImagePositionPatient": lambda k: [5.0 * (k % 2), 0, 2.5 * k]},
            "do not lie on one line",
        ),
    }
    for name, (fields, words) in cases.items():
        make_series(tmp_path / name, **fields)
        refuses_dicom(tmp_path / name, words)


def test_compressed(tmp_path):
    for path in make_series(tmp_path / "rle"):
        item = pydicom.dcmread(path)
        item.compress(RLELossless)
        item.save_as(path)
    assert scanfiles.read_dicom(tmp_path / "rle").shape == (11, 9, 7)
    for path in make_series(tmp_path / "jpeg"):
        item = pydicom.dcmread(path)
        item.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.91"  # JPEG 2000, in name only
        item.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
        item["PixelData"].is_undefined_length = True
        item.save_as(path)
    refuses_dicom(tmp_path / "jpeg", "JPEG 2000", "dcm2niix")


def test_no_dicom_at_all(tmp_path):
    refuses_dicom(tmp_path / "none", "does not exist")
    refuses_dicom(tmp_path, "no DICOM images")
    refuses_dicom(save(tmp_path / "scan.nii.gz"), "no DICOM images")
