"""Try damaged scan files, tables and archives on the readers, to results/fuzz.csv and fuzz.md.

    python tools/fuzz.py [--cases 5000] [--seed 0] [--kind nifti|dicom|bids|archives …] [--first 0]

Each case is a small good file with one to three faults, drawn from the seed, the kind and the case's number alone: a
case that fails can be made again by ``--kind dicom --first 1234 --cases 1``. It counts as read (and what was read is
checked: finite numbers, an affine that can be inverted), as refused in one line (CourseError), or as a raw exception.
Rows of kinds that are not run stay as they are.
"""

import argparse
import collections
import csv
import gzip
import io
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from medsr_course import resources
from medsr_course.runtime import CourseError
from medsr_course.scans import datasets, scanfiles
from medsr_course.scans.archives import unpack

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "results" / "fuzz.csv"
COLUMNS = ("kind", "cases", "seed", "read", "refused", "raw exceptions", "longest s", "machine", "commit", "date")
AFFINE = np.array([[-2, 0, 0, 10], [0, 2, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1.0]])


# --- faults --------------------------------------------------------------------------------------


def damaged(raw, rng):
    """Bytes with one fault: flipped, cut, doubled, zeroed, moved, lengthened."""
    raw, size = bytearray(raw), max(1, len(raw))
    at = int(rng.integers(size))
    match int(rng.integers(7)):
        case 0:
            for place in rng.integers(size, size=int(rng.integers(1, 9))):
                if place < len(raw):
                    raw[place] = int(rng.integers(256))
        case 1:
            del raw[at:]
        case 2:
            raw[at:at] = raw[at : at + int(rng.integers(1, 64))]
        case 3:
            length = int(rng.integers(1, 64))
            raw[at : at + length] = bytes(len(raw[at : at + length]))
        case 4:
            del raw[at : at + int(rng.integers(1, 64))]
        case 5:
            raw += rng.bytes(int(rng.integers(1, 256)))
        case _:
            raw[at : at + 4] = HOSTILE_BYTES[int(rng.integers(len(HOSTILE_BYTES)))]
    return bytes(raw)


HOSTILE_BYTES = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\x7f",
    b"\0\0\xc0\x7f",
    b"\0\0\x80\x7f",
    b"\xfe\xff\xdd\xe0",
)
HOSTILE_NUMBERS = (0, -1, 1, 2, 3, 255, 32767, -32768, 65535, np.nan, np.inf, -np.inf, 1e-40, 1e38, -0.5, 0.1)


# --- NIfTI ---------------------------------------------------------------------------------------


def nifti(rng, folder):
    """A NIfTI file with faults in its header's fields or anywhere, perhaps packed."""
    dtype = rng.choice(["uint8", "int16", "float32", "float64", "uint16", "int32"])
    shape = tuple(int(n) for n in rng.integers(1, 7, int(rng.integers(3, 5))))
    data = rng.integers(0, 100, shape).astype(dtype)
    kind = nibabel.Nifti2Image if rng.random() < 0.2 else nibabel.Nifti1Image
    raw = bytearray(kind(data, AFFINE).to_bytes())
    fields = kind.header_class.template_dtype.fields
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.7:
            field, offset = fields[str(rng.choice(sorted(fields)))]
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if field.base.kind in "iuf":
                    value = np.array(rng.choice(HOSTILE_NUMBERS)).astype(field.base).tobytes()
                else:
                    value = rng.bytes(field.base.itemsize)
            place = offset + field.base.itemsize * int(rng.integers(max(1, field.itemsize // field.base.itemsize)))
            raw[place : place + len(value)] = value
        else:
            raw = bytearray(damaged(raw, rng))
    packed = rng.random() < 0.5
    content = gzip.compress(bytes(raw), 1) if packed else bytes(raw)
    if rng.random() < 0.2:
        content = damaged(content, rng)
    path = folder / ("scan.nii.gz" if packed else "scan.nii")
    path.write_bytes(content)
    options = {"labels": bool(rng.random() < 0.2), "flat": bool(rng.random() < 0.2)}
    if rng.random() < 0.5:
        options["volume"] = int(rng.integers(-1, 3))
    if rng.random() < 0.3:
        options["fill"] = 0
    return lambda: scanfiles.read(path, **options)


# --- DICOM ---------------------------------------------------------------------------------------

NUMBERS = [
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient", "SliceThickness", "SpacingBetweenSlices", "InstanceNumber", "AcquisitionNumber",
    "EchoTime", "PlanarConfiguration", "DimensionIndexValues",
]  # fmt: skip
HOSTILE_VALUES = (
    None, "", "abc", "0", "-1", "nan", "inf", "-inf", "1e400", "1e-400", "0,5", "1\\2", "1\\2\\3", "65535",
    "1\\2\\3\\4\\5\\6\\7", "4294967295", "999999999999", "0.00001", "1A", " ", "\\", "1\\\\2", "\x00", "−1", "1 2",
)  # fmt: skip
SYNTAXES = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.94",
    "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.201", "1.2.3.4", "", "no UID",
)  # fmt: skip


def dicom_item(kind, k):
    """One slice of a series, or a file that holds all its slices."""
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SOPClassUID = EnhancedMRImageStorage if kind == "enhanced" else MRImageStorage
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k + 1}"
    item.SeriesInstanceUID, item.Modality, item.InstanceNumber = "1.2.3", "MR", k + 1
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 12, 11, 0
    item.RescaleSlope, item.RescaleIntercept, item.SliceThickness = 2, -5, 2
    place = {
        "ImagePositionPatient": [1, 2, 3 * k],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [1, 2],
    }
    if kind == "enhanced":
        item.NumberOfFrames = 4
        item.PerFrameFunctionalGroupsSequence = Sequence([_group(n) for n in range(4)])
        shared = Dataset()
        shared.PixelMeasuresSequence = Sequence([_of(PixelSpacing=[1, 2], SliceThickness=2)])
        shared.PlaneOrientationSequence = Sequence([_of(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
        item.SharedFunctionalGroupsSequence = Sequence([shared])
        item.DimensionIndexSequence = Sequence([_of(DimensionIndexPointer=0x00209057)])
        shape = (4, 32, 40)
    else:
        for keyword, value in place.items():
            setattr(item, keyword, value)
        shape = (64, 80) if kind == "mosaic" else (32, 40)
    if kind == "mosaic":
        item.ImageType, item.SpacingBetweenSlices = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"], 3
        item.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
        item.add_new(
            0x00291010,
            "OB",
            csa(NumberOfImagesInMosaic=["4"], SliceNormalVector=["0", "0", "1"], AcquisitionMatrixText=["32*40"]),
        )
    item.Rows, item.Columns = shape[-2:]
    item.PixelData = (np.arange(np.prod(shape)) % 4000).astype(np.uint16).tobytes()
    item["PixelData"].VR = "OW"  # pydicom asks BitsAllocated else, which may be spoilt
    return item


def _of(**elements):
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _group(n):
    group = Dataset()
    group.PlanePositionSequence = Sequence([_of(ImagePositionPatient=[1, 2, 3 * n])])
    group.FrameContentSequence = Sequence([_of(DimensionIndexValues=[n + 1])])
    group.PixelValueTransformationSequence = Sequence([_of(RescaleSlope=2, RescaleIntercept=n)])
    return group


def csa(**tags):
    """Siemens' private header ("SV10") with a few tags."""
    out = b"SV10\4\3\2\1" + np.array([len(tags), 77], "<u4").tobytes()
    for name, values in tags.items():
        out += (
            name.encode().ljust(64, b"\0")
            + np.array([len(values)], "<i4").tobytes()
            + (b"FD\0\0" if name != "AcquisitionMatrixText" else b"SH\0\0")
        )
        out += np.array([0, len(values), 77], "<i4").tobytes()
        for value in values:
            text = value.encode() + b"\0"
            out += np.array([len(text), len(text), 77, len(text)], "<i4").tobytes() + text.ljust(
                -(-len(text) // 4) * 4, b"\0"
            )
    return out + bytes(-len(out) % 4)


def dicom(rng, folder):
    """A DICOM series with faults in its elements, its transfer syntax, its pixels or anywhere in a file."""
    kind = str(rng.choice(["single", "enhanced", "mosaic"]))
    count = 3 if kind == "single" else 1
    wrong = int(rng.integers(count))
    packed = rng.choice([None, None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
    for k in range(count):
        item = dicom_item(kind, k)
        if packed is not None:
            try:
                item.compress(str(packed))
            except Exception:  # nothing that packs is installed
                packed = None
        everywhere = rng.random() < 0.3
        faults = int(rng.integers(1, 3)) if k == wrong or everywhere else 0
        for _ in range(faults):
            spoil(item, rng)
        raw = io.BytesIO()
        try:
            item.save_as(raw, enforce_file_format=True)
        except Exception:  # not even pydicom writes this one
            raw = io.BytesIO()
            dicom_item(kind, k).save_as(raw, enforce_file_format=True)
            faults = 0
        content = raw.getvalue()
        if k == wrong and (not faults or rng.random() < 0.3):
            content = damaged(content, rng) if rng.random() < 0.8 else content[132:]
        (folder / f"{k}.dcm").write_bytes(content)
    options = {"flat": bool(rng.random() < 0.3)}
    if rng.random() < 0.2:
        options["volume"] = int(rng.integers(0, 2))
    return lambda: scanfiles.read_dicom(folder, **options)


def spoil(item, rng):
    """One fault in a dataset's elements."""
    draw = rng.random()
    if draw < 0.65:
        where = item
        inner = [one for name in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
                 for group in item.get(name) or () for one in [s.value[0] for s in group if s.VR == "SQ"]]  # fmt: skip
        if inner and rng.random() < 0.6:
            where = inner[int(rng.integers(len(inner)))]
        known = [name for name in NUMBERS if name in where] or NUMBERS
        tag = pydicom.datadict.tag_for_keyword(str(rng.choice(known if rng.random() < 0.8 else NUMBERS)))
        value = HOSTILE_VALUES[int(rng.integers(len(HOSTILE_VALUES)))]
        if rng.random() < 0.2:
            where.pop(tag, None)
        elif rng.random() < 0.3 and tag in where and where.get_item(tag).VR in ("US", "UL", "FD"):
            where.add_new(tag, where.get_item(tag).VR, int(rng.choice([0, 1, 2, 7, 255, 65535])))
        else:
            text = (value or "").encode()
            text += b" " * (len(text) % 2)
            vr = str(rng.choice(["DS", "DS", "IS", "LO", "UN", "US", "FD"]))
            where[tag] = RawDataElement(pydicom.tag.Tag(tag), vr, len(text), text, 0, False, True)
    elif draw < 0.75:
        item.file_meta.TransferSyntaxUID = str(rng.choice(SYNTAXES))
    elif draw < 0.9 and "PixelData" in item:
        item["PixelData"].value = damaged(item.PixelData, rng)
    else:
        name = str(
            rng.choice(["PhotometricInterpretation", "SOPClassUID", "SeriesInstanceUID", "ImageType", "PixelData"])
        )
        value = str(rng.choice(["", "PALETTE COLOR", "1.2.3", "MOSAIC", "MONOCHROME1"]))
        if name == "PixelData" or rng.random() < 0.3:
            item.pop(pydicom.datadict.tag_for_keyword(name), None)
        else:
            setattr(item, name, value)


# --- BIDS ----------------------------------------------------------------------------------------


def bids(rng, folder):
    """A small BIDS folder with faults in its tables, its names and its scans."""
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"]))
    lines = ["participant_id\tage\tsite\tsplit"]
    lines += [f"sub-{n:02}\t{20 + n}\tKöln\t{rng.choice(['train', 'test', 'dev', 'n/a', ''])}" for n in (1, 2)]
    content = str(rng.choice(["\n", "\r\n", "\r"])).join(lines).encode(encoding)
    if rng.random() < 0.6:
        content = damaged(content, rng)
    if rng.random() < 0.9:
        (folder / "participants.tsv").write_bytes(content)
    if rng.random() < 0.9:
        description = b'{"Name": "fuzz", "BIDSVersion": "1.9.0"}'
        (folder / "dataset_description.json").write_bytes(
            damaged(description, rng) if rng.random() < 0.3 else description
        )
    for n in (1, 2):
        anat = folder / f"sub-{n:02}" / "anat"
        anat.mkdir(parents=True)
        scan = nibabel.Nifti1Image(rng.integers(0, 9, (4, 5, 6)).astype(np.int16), AFFINE).to_bytes()
        for suffix in ("T1w", "T2w", "dseg")[: int(rng.integers(0, 4))]:
            raw = damaged(scan, rng) if rng.random() < 0.4 else scan
            name = f"sub-{n:02}_{suffix}.nii" + str(rng.choice(["", ".gz"]))
            (anat / name).write_bytes(gzip.compress(raw, 1) if name.endswith("gz") else raw)
        if rng.random() < 0.3:
            (anat / f"sub-{n:02}_dseg.tsv").write_bytes(damaged(b"index\tname\n1\tgrey\n2\twhite\n", rng))
        if rng.random() < 0.1:
            (anat / f"sub-{n:02}_T1w.nii.gz").unlink(missing_ok=True)
            (anat / f"sub-{n:02}_T1w.nii.gz").mkdir()

    def read():
        image = None
        for subject in datasets.load("bids", path=folder):
            for name in subject.contrasts:
                image = subject.contrasts[name]
            image = subject.labels or image
        return image

    return read


# --- archives ------------------------------------------------------------------------------------


def archives(rng, folder):
    """A tar file with faults and hostile members, unpacked as a downloaded one is."""
    raw = io.BytesIO()
    mode = str(rng.choice(["w", "w:gz", "w:bz2", "w:xz"]))
    with tarfile.open(fileobj=raw, mode=mode) as tar:
        for n in range(int(rng.integers(1, 5))):
            name = str(
                rng.choice(["scan.nii", "a/b.nii", "../out", "/abs", "a/../../out", "a", "C:\\out", "x\ny", "." * 300])
            )
            member = tarfile.TarInfo(name + (str(n) if rng.random() < 0.7 else ""))
            member.type = bytes(rng.choice([tarfile.REGTYPE] * 5 + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE,
                                            tarfile.FIFOTYPE, tarfile.CHRTYPE, b"Z"]))  # fmt: skip
            member.linkname = str(rng.choice(["", "/etc/passwd", "../..", "a"]))
            member.mode = int(rng.choice([0o644, 0, 0o7777]))
            content = rng.bytes(int(rng.integers(0, 2000)))
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    content = raw.getvalue()
    if rng.random() < 0.6:
        content = damaged(content, rng)
    archive = folder / "download" / "scans.tar"
    archive.parent.mkdir()
    archive.write_bytes(content)
    before = {path for path in folder.parent.rglob("*") if archive.parent not in path.parents}

    def read():
        unpack(archive, archive.parent / "unpacked")
        after = {path for path in folder.parent.rglob("*") if archive.parent not in path.parents}
        assert after == before, f"written outside its folder: {sorted(after - before)}"
        links = [path for path in archive.parent.rglob("*") if path.is_symlink()]
        assert not links, f"a link was made: {links}"

    return read


KINDS = {"nifti": nifti, "dicom": dicom, "bids": bids, "archives": archives}


# --- counting ------------------------------------------------------------------------------------


def outcome(call):
    """What became of a case: "read", "refused", or the raw exception as text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = call()
    except CourseError as error:
        message = str(error)
        return "refused" if message and "\n" not in message and len(message) < 1000 else f"no one line: {message!r}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    if image is not None:
        data = np.asarray(image.dataobj)
        if not (np.isfinite(data).all() and abs(np.linalg.det(image.affine)) > 0 and data.ndim == 3):
            return "read, but not an image of finite numbers with a place"
    return "read"


def cases(kind, count, seed=0, first=0):
    """Run cases of a kind: counts of "read" and "refused", the failures as (number, text), the longest time in s."""
    counts, failures, longest = collections.Counter(), [], 0.0
    state = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        for number in range(first, first + count):
            rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), number])
            with tempfile.TemporaryDirectory() as top:
                folder = Path(top) / "case"
                folder.mkdir()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    call = KINDS[kind](rng, folder)
                began = time.perf_counter()
                what = outcome(call)
                longest = max(longest, time.perf_counter() - began)
            if what in ("read", "refused"):
                counts[what] += 1
            else:
                failures.append((number, what))
    finally:
        pydicom.config.settings.writing_validation_mode = state
    return counts, failures, longest


def main(arguments=None):
    """Run the kinds asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case; then nothing is written")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args(arguments)
    where = resources.provenance()
    rows = {}
    if TABLE.exists():
        with open(TABLE, encoding="utf-8", newline="") as file:
            rows = {row["kind"]: row for row in csv.DictReader(file)}
    failed = 0
    for kind in options.kind:
        counts, failures, longest = cases(kind, options.cases, options.seed, options.first)
        failed += len(failures)
        print(
            f"{kind}: {counts['read']} read, {counts['refused']} refused, {len(failures)} raw, longest {longest:.1f} s"
        )
        for number, what in failures[:20]:
            print(f"  case {number}: {what}")
        rows[kind] = dict(
            zip(
                COLUMNS,
                (kind, options.cases, options.seed, counts["read"], counts["refused"], len(failures), f"{longest:.1f}",
                 where["machine"], where["commit"], where["date"]),
                strict=True,
            )
        )  # fmt: skip
    if not options.first:
        write(rows)
    return int(failed > 0)


def write(rows):
    """Write the table as CSV and as Markdown."""
    with open(TABLE, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[kind] for kind in KINDS if kind in rows)
    lines = [
        "# Damaged files on the readers",
        "",
        "Made by `python tools/fuzz.py`: small good files with one to three faults each. Read: what came out is finite "
        "and has a place. Refused: one line that says what is wrong (`CourseError`). Anything else is a raw exception.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" * len(COLUMNS),
        *("| " + " | ".join(str(rows[kind][name]) for name in COLUMNS) + " |" for kind in KINDS if kind in rows),
    ]
    TABLE.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
