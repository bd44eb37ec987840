"""One door for every format of raw data."""

from collections.abc import Sequence
from pathlib import Path

from medsr_course.scans.rawfiles.arrays import read_mat, read_numpy
from medsr_course.scans.rawfiles.mrd import read_mrd
from medsr_course.scans.rawfiles.raw import RawData, arranged
from medsr_course.scans.rawfiles.siemens import read_twix
from medsr_course.scans.scanfiles import memory
from medsr_course.scans.scanfiles.errors import ScanError, reason
from medsr_course.types import PathLike

ARRAYS = {".mat": read_mat, ".npy": read_numpy, ".npz": read_numpy}
SCANNERS = {".dat": read_twix, ".h5": read_mrd, ".mrd": read_mrd}


def read(
    path: PathLike,
    *,
    axes: Sequence[str] | str | None = None,
    variable: str | None = None,
    transform: str = "ifft2",
    fill: float | None = None,
) -> RawData:
    """Read raw Cartesian k-space.

    Parameters
    ----------
    path : path
        ``.mat`` (any version), ``.npy``, ``.npz``; ``.dat`` (Siemens twix); ``.h5``, ``.mrd`` (ISMRMRD).
    axes : sequence of str or str, optional
        For arrays: the name of each axis in the file's own order, e.g. ``"readout phase slices"``, out of
        :data:`AXES`. An array of two axes is taken as (readout, phase). Scanners' formats name their axes themselves.
    variable : str, optional
        For ``.mat`` and ``.npz``: which array, where a file holds several complex ones.
    transform : {"ifft2", "fft2"}
        Which transform makes the image: see :class:`RawData`. No format states it.
    fill : float, optional
        Put this in place of samples that are NaN or infinite. By default they are refused.

    Returns
    -------
    RawData

    Raises
    ------
    ScanError
        In one line: no such file, an unknown kind, damaged or cut short, a library missing, wrong axes, real numbers,
        nothing but zeros, NaN.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/k.npy", np.ones((2, 6, 5), np.complex64))
    ...     read(f"{folder}/k.npy", axes="coils readout phase").sizes
    {'slices': 1, 'repetitions': 1, 'coils': 2, 'readout': 6, 'phase': 5}
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in ARRAYS and kind not in SCANNERS:
        raise ScanError(f"{path.name} is none of {', '.join([*ARRAYS, *SCANNERS])}: which format is it?")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ScanError(f"{path.name} cannot be read: {reason(error)}") from None
    if size == 0:
        raise ScanError(f"{path.name} is empty: fetch it again")
    memory.need(path.name, 2 * size)
    if kind in SCANNERS:
        if axes is not None or variable is not None:
            raise ScanError(f"{path.name} names its axes itself: leave axes and variable out")
        return SCANNERS[kind](path, transform, fill)
    return RawData(arranged(ARRAYS[kind](path, variable), axes, path.name, fill), transform)
