"""ISMRMRD files (Inati et al. 2017), the exchange format of raw MR data, by its own library."""

from pathlib import Path
from typing import Any

import numpy as np

from medsr_course.scans.rawfiles.arrays import EXTRA
from medsr_course.scans.rawfiles.raw import RawData, arranged
from medsr_course.scans.scanfiles import memory
from medsr_course.scans.scanfiles.errors import ScanError, first_line

_NO_IMAGE = ("NOISE_MEASUREMENT", "PHASECORR_DATA", "NAVIGATION_DATA", "DUMMYSCAN_DATA", "PARALLEL_CALIBRATION")


def read_mrd(path: Path, transform: str = "ifft2", fill: float | None = None) -> RawData:
    """Returns the lines of the first encoding, each in the place that the header gives it; averages are averaged."""
    try:
        import ismrmrd
    except ImportError:
        raise ScanError(f"{path.name} is read with the library ismrmrd: {EXTRA}") from None
    try:
        with ismrmrd.Dataset(str(path), "dataset", mode="r") as file:
            encoding = ismrmrd.xsd.CreateFromDocument(file.read_xml_header()).encoding[0]
            lines = [file.read_acquisition(k) for k in range(file.number_of_acquisitions())]
    except Exception as error:  # whatever a wild file makes h5py and the XML reader raise
        raise ScanError(f"{path.name} is damaged or no ISMRMRD file ({first_line(error)}): fetch it again") from None
    flags = [getattr(ismrmrd, f"ACQ_IS_{name}") for name in _NO_IMAGE]
    lines = [line for line in lines if not any(line.is_flag_set(flag) for flag in flags)]
    if not lines:
        raise ScanError(f"{path.name} holds no line of an image: it is empty, or was cut short")
    if any(line.is_flag_set(ismrmrd.ACQ_IS_REVERSE) for line in lines):
        raise ScanError(f"{path.name} holds lines read backwards (EPI), which need a phase correction: not read here")
    kspace = arranged(_placed(lines, encoding, path), "slices repetitions coils readout phase", path.name, fill)
    return RawData(kspace, transform, *_geometry(encoding))


def _placed(lines: list[Any], encoding: Any, path: Path) -> Any:
    matrix = encoding.encodedSpace.matrixSize
    counters = [line.idx for line in lines]
    kinds = ("kspace_encode_step_2", "contrast", "phase", "set")
    several = [kind for kind in kinds if len({getattr(idx, kind) for idx in counters}) > 1]
    if several:
        raise ScanError(f"{path.name} has more than 2-D slices (several of {', '.join(several)}): not read here")
    coils = {line.active_channels for line in lines}
    if len(coils) > 1:
        raise ScanError(f"{path.name}: its lines have {sorted(coils)} coils, not all the same number")
    shape = (
        1 + max(idx.slice for idx in counters),
        1 + max(idx.repetition for idx in counters),
        coils.pop(),
        int(matrix.x),
        int(matrix.y),
    )
    memory.need(path.name, 8 * int(np.prod(shape)))
    kspace, times = np.zeros(shape, np.complex64), np.zeros((*shape[:2], shape[-1]), int)
    limits = encoding.encodingLimits.kspace_encoding_step_1 if encoding.encodingLimits else None
    middle = limits.center if limits is not None else matrix.y // 2
    for line in lines:
        column = line.idx.kspace_encode_step_1 - middle + matrix.y // 2
        first = matrix.x // 2 - line.center_sample
        if not (0 <= column < matrix.y and 0 <= first <= matrix.x - line.number_of_samples):
            raise ScanError(f"{path.name}: a line lies outside the {matrix.x} × {matrix.y} samples of its header")
        place = line.idx.slice, line.idx.repetition
        kspace[(*place, slice(None), slice(first, first + line.number_of_samples), column)] += line.data
        times[(*place, column)] += 1
    return kspace / np.maximum(times, 1)[:, :, None, None, :]


def _geometry(encoding: Any) -> tuple[float, tuple[float, float] | None]:
    """Oversampling of the readout, and the pixel's size in mm."""
    encoded, image = encoding.encodedSpace, encoding.reconSpace
    fields = encoded.fieldOfView_mm, image.fieldOfView_mm
    if min(fields[0].x, fields[1].x, image.matrixSize.x, encoded.matrixSize.y) <= 0:
        return 1.0, None
    oversampling = fields[0].x / fields[1].x
    return oversampling, (fields[0].x / encoded.matrixSize.x, fields[0].y / encoded.matrixSize.y)
