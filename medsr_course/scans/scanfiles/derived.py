"""A derived DICOM series: what is kept of the source, what is computed anew, and what is dropped.

Of the patient, the study, the scanner and the acquisition everything stays as the source has it. Pixels, their place
and their scale are new. What no longer holds (windows, extremes, overlays, icons, private elements) goes.
"""

import copy
import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import volumes
from medsr_course.scans.scanfiles import storing
from medsr_course.scans.scanfiles.frames import Frame
from medsr_course.scans.scanfiles.headers import text
from medsr_course.types import Array, Image, PathLike

if TYPE_CHECKING:  # pydicom is loaded where it is used
    from pydicom import Dataset

NAMES = ("desc-medsr", "desc-zip", "desc-added")  # folders of the three series
MARK = "research - not for diagnosis"
_WORDS = {"super-resolution": "super-resolved", "denoise": "denoised", "thin-slices": "thin slices"}
_KINDS = (  # of series: its name, "" for that of its task; code, scheme and meaning of what was done
    ("", "NETWORK", "99MEDSR", "Estimated by a neural network"),
    ("without network", "CLASSICAL", "99MEDSR", "Classical method without a network"),
    ("added by network", "113062", "DCM", "Pixel by pixel subtraction"),
)
_STALE = """
    WindowCenter WindowWidth WindowCenterWidthExplanation VOILUTFunction VOILUTSequence RealWorldValueMappingSequence
    IconImageSequence PixelAspectRatio ImagesInAcquisition InstanceCreationDate InstanceCreationTime InstanceCreatorUID
    SeriesDate SeriesTime SourceImageSequence DerivationCodeSequence MACParametersSequence RescaleSlope
    RescaleIntercept ContentDate ContentTime NumberOfFrames ReferencedImageEvidenceSequence ConcatenationUID
    InConcatenationNumber InConcatenationTotalNumber ConcatenationFrameOffsetNumber SOPInstanceUIDOfConcatenationSource
    DimensionOrganizationType DimensionOrganizationSequence DimensionIndexSequence SourceImageEvidenceSequence
"""
_CLASSIC = {"MR": "1.2.840.10008.5.1.4.1.1.4", "CT": "1.2.840.10008.5.1.4.1.1.2"}  # SOP classes
# Elements of a sidecar; BIDS has its times in seconds.
_SIDECAR = """
    Modality Manufacturer MagneticFieldStrength BodyPartExamined ScanningSequence SequenceVariant ImageType
    MRAcquisitionType SliceThickness SpacingBetweenSlices AcquisitionMatrix PercentSampling FlipAngle
    PhotometricInterpretation BurnedInAnnotation ConvolutionKernel KVP RepetitionTime InversionTime EffectiveEchoTime
    EchoTime ManufacturerModelName ProtocolName SeriesDescription DerivationDescription
"""
_RENAMED = {"EffectiveEchoTime": "EchoTime", "ManufacturerModelName": "ManufacturersModelName"}


def sidecar(frames: Sequence[Frame]) -> dict[str, Any]:
    """Returns how a series was acquired, by the names and in the units of a BIDS sidecar: no name, date or UID."""
    item, found = frames[0].file.item, {}
    groups = [element for group in _groups(frames[0]) for element in group if element.VR == "SQ"]
    places = [item, *(one for element in groups for one in element.value[:1])]
    for keyword in _SIDECAR.split():
        words = next((words for place in places if (words := text(place, keyword))), "")
        values: list[Any] = []
        for word in filter(None, words.split("\\")):
            try:
                values.append(float(word) / (1000 if keyword.endswith("Time") else 1))
            except ValueError:
                values.append(word)
        if values:
            found[_RENAMED.get(keyword, keyword)] = values if len(values) > 1 else values[0]
    return found


def write_series(
    images: Mapping[str, Image],
    frames: Sequence[Frame],
    source: Image,
    folder: PathLike,
    *,
    provenance: Mapping[str, Any],
    stamp: bool = False,
    force: bool = False,
) -> list[Path]:
    """Writes result, classical result and their difference as derived series in the study of their source.

    Files are classic ones, a slice each, also where the source is a mosaic or an enhanced file. UIDs are computed from
    the source's UIDs, the provenance, the place and the pixels themselves: the same run again gives the same files,
    which an archive knows for copies, and other pixels never come under a UID that was used before. That is why no date
    of creation is written. Values keep the source's rescale slope and intercept where all of them fit into 16 bits
    that way, else they get a slope with which they do; nothing is clipped.

    Parameters
    ----------
    images : mapping
        What each is, in words, and its image: in the order of :data:`NAMES`, the folders that they get.
    frames, source : sequence of Frame, nibabel image
        The DICOM series they were made of, as :func:`read_series` gives it.
    folder : path
    provenance : mapping
        What was done: ``task``, ``scale``, and whatever else is to be told.
    stamp : bool
        Something was written into the pixels of the result.
    force : bool
        Replace these folders where they are there.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    CourseError
        Labels, neither MR nor CT, a tilted gantry, a result that is turned against its source, a folder that is
        there. Nothing is written then.
    """
    check(frames, provenance["task"])
    turned = [image.affine[:3, :3] / volumes.voxel_sizes(image) for image in (*images.values(), source)]
    if np.ptp(turned, axis=0).max() > 1e-4:
        raise CourseError("the result is turned against its source: a derived series keeps the source's slices")
    folder = runtime.writable_folder(folder, "output folder")
    there = [name for name in NAMES if (folder / name).exists()]
    if there and not force:
        raise CourseError(f"{folder} holds {', '.join(there)} already: choose another folder, or replace with --force")
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=".part") as part:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's, about faults that the source has
                headers = [_cleaned(_of_one_slice(frame)) for frame in frames]
            for number, (what, image) in enumerate(images.items()):
                series = _Series(number, what, image, frames, provenance, image.shape != source.shape, stamp)
                place = Path(part) / NAMES[number]
                place.mkdir()
                for k, item in enumerate(series.items(headers), 1):
                    item.save_as(place / f"IM{k:05}.dcm", enforce_file_format=True)
            for name in NAMES:
                if (folder / name).exists():
                    (folder / name).rename(Path(part) / f"old-{name}")
                (Path(part) / name).rename(folder / name)
    except OSError as error:
        raise CourseError(f"{folder} cannot be written ({error.strerror or error}): choose another folder") from None
    return [path for name in NAMES for path in sorted((folder / name).iterdir())]


def check(frames: Sequence[Frame], task: str) -> None:
    """Find out before the work begins whether its result can be written as DICOM.

    Raises
    ------
    CourseError
        Labels, neither MR nor CT, a tilted gantry: with the remedy.
    """
    modality = text(frames[0].file.item, "Modality") or "no modality"
    if task == "segment" or modality not in _CLASSIC:
        what = "labels are" if task == "segment" else f"a series of {modality} is"
        raise CourseError(f"{what} not written as DICOM, only images of MR and CT: name OUT.nii.gz instead")
    normal = np.cross(frames[0].orientation[:3], frames[0].orientation[3:])
    along = frames[-1].position - frames[0].position
    aside = float(np.linalg.norm(along - (along @ normal) * normal))
    tilt = float(np.degrees(np.arctan2(aside, along @ normal)))
    if aside > 0.1 and tilt > 0.1:
        raise CourseError(
            f"the slices are tilted by {tilt:.1f} degrees against their stack (a tilted gantry): make them upright "
            "first, e.g. with dcm2niix, and enhance that NIfTI file"
        )


class _Series:
    """One derived series: its pixels, their place, and what is said of it."""

    def __init__(
        self,
        number: int,
        what: str,
        image: Image,
        frames: Sequence[Frame],
        provenance: Mapping[str, Any],
        finer: bool,
        stamp: bool,
    ) -> None:
        from pydicom.uid import generate_uid

        first = frames[0].file.item
        self.frames, self.image, self.number, self.stamp = frames, image, number, stamp and number == 0
        self.affine = np.diag([-1.0, -1, 1, 1]) @ image.affine  # LPS
        self.steps = np.linalg.norm(self.affine[:3, :3], axis=0)  # from a column, a row, a slice to the next
        self.count = image.shape[2]
        self.places = np.array([frame.position for frame in frames])
        between = float(np.linalg.norm(self.places[-1] - self.places[0])) / max(len(frames) - 1, 1)
        step = self.steps[2]
        as_before = abs(step - between) < 1e-3 * step or not between
        self.thickness = (frames[0].thickness if as_before else 0) or step
        self.scale, self.signed = _scale(*storing.extremes(image.dataobj), frames)

        short, *code = _KINDS[number]
        short = short or _WORDS.get(provenance["task"], provenance["task"])
        short += f" x{provenance['scale']}" if finer and number < 2 else ""
        told = (f"{key}: {value}" for key, value in provenance.items() if not key.startswith("not"))
        before = text(first, "DerivationDescription")
        self.words = f"{what}; {'; '.join(told)}; {MARK}{before and f'; before: {before}'}"[:1024]
        title = text(first, "SeriesDescription") or text(first, "ProtocolName")
        self.title = f"{title[: 62 - len(short) - len(MARK)].strip()} {short} {MARK}".strip()
        self.codes = [*[_code("113085", "DCM", "Spatial resampling")] * finer, _code(*code)]
        digest = hashlib.sha256(repr((self.affine.tolist(), self.scale, self.stamp, self.words)).encode())
        for k in range(self.count):
            digest.update(self.pixels(k))
        sources = [f"{text(frame.file.item, 'SOPInstanceUID')} {frame.index}" for frame in frames]
        self.uid = generate_uid(entropy_srcs=[*sources, digest.hexdigest()])
        self.sources = _references(frames)

    def slice(self, k: int) -> Array:
        """Values (row, column) of a slice."""
        return np.asarray(self.image.dataobj[:, :, k], np.float64).T

    def pixels(self, k: int) -> bytes:
        """A slice as it is stored."""
        stored = np.rint((self.slice(k) - self.scale[1]) / self.scale[0])
        return stored.astype("<i2" if self.signed else "<u2").tobytes()

    def place(self, k: int) -> Array:
        """Millimetres, LPS, of a slice's first pixel."""
        return self.affine[:3] @ [0, 0, k, 1]

    def items(self, headers: "list[Dataset]") -> "Iterator[Dataset]":
        """The files, a slice each, as they are to be written, from the cleaned headers of the source's slices."""
        numbers = [text(self.frames[k].file.item, "InstanceNumber") for k in (0, -1)]
        falling = all(number.isdigit() for number in numbers) and int(numbers[0]) > int(numbers[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, about faults that the source has
            for k in range(self.count):
                nearest = np.linalg.norm(self.places - self.place(k), axis=1).argmin()
                item = copy.deepcopy(headers[nearest])
                self._identify(item, k)
                item.InstanceNumber = self.count - k if falling else k + 1
                self._put_in_place(item, k)
                item.add_new("PixelData", "OW", self.pixels(k))
                yield item

    def _identify(self, item: "Dataset", k: int) -> None:
        """Say in a header of the source what the new series is."""
        from pydicom.dataset import FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid

        old = text(item, "SeriesNumber")
        item.SeriesNumber = (int(old) % 10**6 if old.isdigit() else 0) * 100 + self.number + 1
        item.SeriesInstanceUID, item.SeriesDescription = self.uid, self.title
        item.SOPInstanceUID = generate_uid(entropy_srcs=[self.uid, str(k)])
        kinds = [word for word in text(item, "ImageType").split("\\")[2:] if word != "MOSAIC"]
        item.ImageType = ["DERIVED", "SECONDARY", *(kinds or ["OTHER"]), "MEDSR"]
        item.DerivationDescription, item.DerivationCodeSequence = self.words, self.codes
        item.SourceImageSequence = self.sources
        purpose = [_code("109102", "DCM", "Processing Equipment")]
        by = _dataset(Manufacturer="medsr_course", ContributionDescription=MARK, PurposeOfReferenceCodeSequence=purpose)
        item.ContributingEquipmentSequence = [*(item.get("ContributingEquipmentSequence") or ()), by]
        if self.stamp:
            item.BurnedInAnnotation = "YES"
        item.file_meta = FileMetaDataset()
        item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian

    def _put_in_place(self, item: "Dataset", k: int) -> None:
        """Size, place and scale of a slice."""
        item.Columns, item.Rows = self.image.shape[:2]
        item.BitsAllocated, item.BitsStored, item.HighBit = 16, 16, 15
        item.PixelRepresentation = int(self.signed)
        if self.scale != (1, 0) or item.Modality == "CT" or "RescaleType" in item:
            item.RescaleSlope, item.RescaleIntercept = map(_decimal, self.scale)
        across, down, step = self.steps
        item.SliceThickness, item.SpacingBetweenSlices = _decimal(self.thickness), _decimal(step)
        item.PixelSpacing = [_decimal(down), _decimal(across)]
        directions = self.affine[:3, :2] / self.steps[:2]
        item.ImageOrientationPatient = [_decimal(value) for value in directions.T.ravel()]
        item.ImagePositionPatient = [_decimal(value) for value in self.place(k)]
        item.SliceLocation = _decimal(float(np.cross(*directions.T) @ self.place(k)))


def _scale(low: float, high: float, frames: Sequence[Frame]) -> tuple[tuple[float, float], bool]:
    """Slope and intercept with which every value fits into 16 bits, and whether they are signed."""
    scales = {(float(frame.slope), float(frame.intercept)) for frame in frames}
    if len(scales) == 1:
        slope, intercept = scales.pop()
        ends = np.rint(sorted(((low - intercept) / slope, (high - intercept) / slope)))
        for signed, least, most in ((False, 0, 2**16), (True, -(2**15), 2**15)):
            if least <= ends[0] and ends[1] < most:
                return (slope, intercept), signed
    # As DICOM stores it, with 16 characters: the pixels are computed with what a reader finds.
    return (float(str(_decimal(1.000001 * max(-low, high, 1e-12) / (2**15 - 1)))), 0.0), True


def _of_one_slice(frame: Frame) -> "Dataset":
    """A copy of the header of a slice's file; of an enhanced one as if the slice were alone in a classic file."""
    item = copy.deepcopy(frame.file.item[:0x52000000])  # behind lie functional groups, overlays, signatures, pixels
    groups = _groups(frame)
    if not groups:
        return item
    for element in copy.deepcopy([each for group in groups for each in group if each.VR == "SQ" and each.value]):
        # Of MR and CT, and what a conversion found no place for: how it was acquired
        if element.keyword.startswith(("MR", "CT", "Unassigned")) and "FrameType" not in element.keyword:
            item.update(element.value[0])
    item.SOPClassUID = _CLASSIC[item.Modality]
    pulse = {"SPIN": "SE", "GRADIENT": "GR", "BOTH": ["SE", "GR"]}.get(text(item, "EchoPulseSequence"), "RM")
    needed = {
        "MR": {"ScanningSequence": pulse, "SequenceVariant": "NONE", "ScanOptions": "", "MRAcquisitionType": "",
               "EchoTime": item.get("EffectiveEchoTime", ""), "EchoTrainLength": "", "RepetitionTime": ""},
        "CT": {"KVP": "", "AcquisitionNumber": ""},
    }  # fmt: skip
    for keyword, value in needed[item.Modality].items():
        if keyword not in item:
            setattr(item, keyword, _decimal(value) if isinstance(value, float) else value)
    if "IR" not in text(item, "ScanningSequence"):
        item.pop("InversionTime", None)
    if "InPlanePhaseEncodingDirection" in item:
        item.InPlanePhaseEncodingDirection = item.InPlanePhaseEncodingDirection.replace("COLUMN", "COL")
    return item


def _groups(frame: Frame) -> "list[Dataset]":
    """The functional groups of a frame of an enhanced file: those all share, and its own."""
    shared, own = (frame.file.item.get(f"{which}FunctionalGroupsSequence") or () for which in ("Shared", "PerFrame"))
    return [*shared, *own[frame.index : frame.index + 1]]


def _cleaned(item: "Dataset") -> "Dataset":
    """A header without what does not hold for other pixels."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    try:
        item.remove_private_tags()
    except Exception as error:  # whatever a damaged element makes pydicom say
        raise CourseError(f"the source's header cannot be taken over ({error}): name OUT.nii.gz instead") from None
    for tag in list(item.keys()):  # noqa: SIM118 (a Dataset yields elements)
        # Grey values (extremes, padding): of another kind where the pixels get a sign
        grey = dictionary_has_tag(tag) and dictionary_VR(tag) == "US or SS"
        if grey or tag.group >> 8 == 0x50 or tag.element == 0:  # a curve, the length of a group
            del item[tag]
    for keyword in _STALE.split():
        item.pop(keyword, None)
    return item


def _references(frames: Sequence[Frame]) -> "list[Dataset]":
    """References to every image of the source: the grey scale of all of them went into each result."""
    out = []
    for path, item in {frame.file.path: frame.file.item for frame in frames}.items():
        purpose = _code("121322", "DCM", "Source image for image processing operation")
        out.append(_dataset(ReferencedSOPClassUID=item.SOPClassUID, ReferencedSOPInstanceUID=item.SOPInstanceUID))
        out[-1].PurposeOfReferenceCodeSequence = [purpose]
        if "PerFrameFunctionalGroupsSequence" in item:
            out[-1].ReferencedFrameNumber = sorted(f.index + 1 for f in frames if f.file.path == path)
    return out


def _decimal(value: float) -> Any:
    """A number as DICOM writes it, in 16 characters at most."""
    from pydicom.valuerep import DSfloat

    return DSfloat(0.0 if abs(value) < 1e-12 else float(value), auto_format=True)


def _code(value: str, scheme: str, meaning: str) -> "Dataset":
    return _dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _dataset(**elements: Any) -> "Dataset":
    from pydicom import Dataset

    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
