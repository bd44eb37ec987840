"""NIfTI files written whole or not at all."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from medsr_course import runtime
from medsr_course.scans import volumes
from medsr_course.scans.scanfiles.errors import ScanError, first_line, reason
from medsr_course.types import Image, PathLike

if TYPE_CHECKING:  # nibabel is loaded where it is used
    import nibabel


def write(image: Image, path: PathLike, overwrite: bool = False) -> Path:
    """Write a NIfTI file so that it is there whole or not at all.

    The same image gives the same bytes. Affine, units and coordinate codes go with it; data are stored in
    their own type, unscaled. An image that was read without knowing left from right (both coordinate codes 0)
    is written that way again: its axes turned to where readers put such a file, its origin lost.

    Parameters
    ----------
    image : nibabel image, 3-D
    path : str or Path
        Ends in ``.nii`` or ``.nii.gz``; its folder exists.
    overwrite : bool
        Replace a file that is there already.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ScanError
        No such folder, name taken, disk full, not writable, NaN in the data. Nothing is left behind.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ScanError(f"{path.name}: a scan's name ends in .nii.gz or .nii")
    if not path.parent.is_dir():
        raise ScanError(f"the folder {path.parent} does not exist: make it first")
    if path.is_dir():
        raise ScanError(f"{path} is a folder: choose another name")
    if path.exists() and not overwrite:
        raise ScanError(f"{path} exists: choose another name, or overwrite it with overwrite=True")
    data = np.asanyarray(image.dataobj)
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise ScanError(f"{path.name} would hold NaN or infinite voxels: replace them (numpy.nan_to_num)")
    try:
        content = _content(volumes.make_image(data, image.affine, like=image))
    except Exception as error:  # complex numbers, colours, more than 32767 voxels along an axis
        raise ScanError(f"{path.name} cannot hold this image: {first_line(error)}") from None
    with new_file(path) as file:
        file.write(content)
    return path


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file to write, packed where it ends in ``.gz``, that appears when all is written, or not at all.

    The same content gives the same bytes.
    """
    try:
        with runtime.atomic_write(path) as part, open(part, "wb") as file:
            if path.name.lower().endswith(".gz"):
                # Neither name nor time inside; a higher level takes several times as long for a tenth less.
                with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield file
    except OSError as error:
        raise ScanError(f"{path} cannot be written: {reason(error)}") from None


def _content(image: "nibabel.Nifti1Image") -> bytes:
    """Bytes of an image; one of unknown orientation keeps both its codes at 0."""
    import nibabel
    from nibabel import orientations

    if int(image.header["sform_code"]) or int(image.header["qform_code"]):
        return image.to_bytes()
    # Readers flip x of such a file: L, A, S. nibabel would call any other affine known.
    turn = orientations.ornt_transform(
        orientations.io_orientation(image.affine), orientations.axcodes2ornt(("L", "A", "S"))
    )
    data = orientations.apply_orientation(np.asanyarray(image.dataobj), turn)
    sizes = volumes.voxel_sizes(image)[np.argsort(turn[:, 0])]
    header = image.header.copy()
    header.set_data_shape(data.shape)
    header.set_zooms(sizes)
    return nibabel.Nifti1Image(data, None, header).to_bytes()
