"""Siemens raw data (twix, ``.dat``), by the library ``twixtools``.

A twix file's header names patient, study and place, where nobody has taken them out. Nothing of that is read here, and
:class:`RawData` keeps none of it.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course.scans.rawfiles.arrays import EXTRA
from medsr_course.scans.rawfiles.raw import RawData, arranged
from medsr_course.scans.scanfiles.errors import ScanError, first_line

_NAMES = {"Sli": "slices", "Rep": "repetitions", "Cha": "coils", "Col": "readout", "Lin": "phase"}


def read_twix(path: Path, transform: str = "ifft2", fill: float | None = None) -> RawData:
    """Returns the image lines of the last measurement in a file; averages are averaged, missing lines are 0."""
    try:
        import twixtools
    except ImportError:
        raise ScanError(f"{path.name} is Siemens raw data, which needs twixtools: {EXTRA}") from None
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            measurements = twixtools.map_twix(twixtools.read_twix(str(path), keep_syncdata=False, verbose=False))
            scan = measurements[-1]["image"]
            scan.flags["remove_os"] = False
            scan.flags["zf_missing_lines"] = True
            scan.flags["average"]["Ave"] = scan.flags["average"]["Seg"] = True
            dims, data = tuple(scan.dims), scan[:]
            header = measurements[-1]["hdr"]
    except Exception as error:  # whatever a wild header makes the library raise
        raise ScanError(
            f"{path.name} is damaged or no Siemens raw data ({first_line(error)}): fetch it again"
        ) from None
    many = [f"{n} × {axis}" for axis, n in zip(dims, data.shape, strict=True) if n > 1 and axis not in _NAMES]
    if many:
        raise ScanError(f"{path.name} has more than 2-D slices ({', '.join(many)}): that is not read here")
    kept = [axis for axis in dims if axis in _NAMES]
    data = np.squeeze(data, tuple(k for k, axis in enumerate(dims) if axis not in _NAMES))
    kspace = arranged(data, [_NAMES[axis] for axis in kept], path.name, fill)
    return RawData(kspace, transform, *_geometry(header, kspace.shape[-2]))


def _geometry(header: dict[str, Any], samples: int) -> tuple[float, tuple[float, float] | None]:
    """Oversampling of the readout, and the pixel's size in mm, where the header tells them."""
    try:
        base = float(header["Config"]["BaseResolution"])
        field = header["MeasYaps"]["sSliceArray"]["asSlice"][0]
        lines = float(header["Config"]["PhaseEncodingLines"])
        return samples / base, (float(field["dReadoutFOV"]) / base, float(field["dPhaseFOV"]) / lines)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return 1.0, None
