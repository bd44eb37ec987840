"""K-space that somebody saved as an array: MATLAB and NumPy files."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course.scans.scanfiles.errors import ScanError, first_line, listed
from medsr_course.types import Array

EXTRA = 'pip install "medsr-course[raw]"'


def read_mat(path: Path, variable: str | None) -> Array:
    """Returns an array of a MATLAB file, also of version 7.3, its axes in MATLAB's order."""
    from scipy import io
    from scipy.io.matlab import MatReadError

    if _is_hdf5(path):
        return _read_hdf5(path, variable)
    try:
        content = io.loadmat(path)
    except (MatReadError, ValueError, TypeError, KeyError, OSError, EOFError, OverflowError, zlib.error) as error:
        raise ScanError(f"{path.name} is damaged or no MATLAB file ({first_line(error)}): fetch it again") from None
    return _chosen(content, variable, path)


def read_numpy(path: Path, variable: str | None) -> Array:
    """Returns the array of a ``.npy`` file, or one of an ``.npz`` file; objects (pickles) are refused."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            return _chosen({name: content[name] for name in content.files}, variable, path)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise ScanError(f"{path.name} is damaged or no NumPy file ({first_line(error)}): fetch it again") from None


def _chosen(content: Mapping[str, Any], variable: str | None, path: Path) -> Array:
    """The variable that was asked for, else the only complex one, else the only one."""
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray) and value.ndim > 1}
    if variable is not None and variable in arrays:
        return arrays[variable]
    complex_ones = [name for name, value in arrays.items() if np.iscomplexobj(value)]
    for names in (complex_ones, list(arrays)):
        if variable is None and len(names) == 1:
            return arrays[names[0]]
    if not arrays:
        raise ScanError(f"{path.name} holds no array: is it another file?")
    shapes = [f"{name} {value.shape}" for name, value in arrays.items()]
    asked = f"holds no variable {variable!r}" if variable is not None else "holds several arrays"
    raise ScanError(f"{path.name} {asked}: choose one with variable=…, of {listed(shapes)}")


def _is_hdf5(path: Path) -> bool:
    """MATLAB 7.3 is HDF5 behind a header of 512 bytes; others write HDF5 without it."""
    with path.open("rb") as file:
        start = file.read(520)
    return b"\x89HDF\r\n\x1a\n" in (start[:8], start[512:520])


def _read_hdf5(path: Path, variable: str | None) -> Array:
    try:
        import h5py
    except ImportError:
        raise ScanError(f"{path.name} is MATLAB 7.3, which needs h5py: {EXTRA}; or save it with -v7") from None
    try:
        with h5py.File(path) as file:
            found = {name: value for name, value in file.items() if isinstance(value, h5py.Dataset) and value.ndim > 1}
            content = {name: _joined(value[()]).T for name, value in found.items()}  # MATLAB counts its axes backwards
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ScanError(f"{path.name} is damaged or no HDF5 file ({first_line(error)}): fetch it again") from None
    return _chosen(content, variable, path)


def _joined(value: Array) -> Array:
    """Complex numbers, which MATLAB writes as pairs."""
    if value.dtype.names == ("real", "imag"):
        return value["real"] + 1j * value["imag"]
    return value
