"""One scan judged, by its header and its voxels."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from medsr_course.physics import likeness
from medsr_course.scans import volumes
from medsr_course.scans.domain import header, pixels
from medsr_course.scans.domain.verdict import CAUTION, REFUSED, Reason, Verdict, say, verdict
from medsr_course.scans.scanfiles import storing
from medsr_course.types import Array, Image


def judge(
    image: Image, *, task: str, axes: str = "in-plane", sidecar: Mapping[str, Any] | None = None, name: str = ""
) -> Verdict:
    """Judges whether a scan is one that the shipped networks are for; odd images are refused, never an error.

    Parameters
    ----------
    image : nibabel image
        Of any shape and type. A few slices of it are measured.
    task : {"super-resolution", "denoise", "thin-slices", "segment"}
    axes : {"in-plane", "through-plane"}
        Which axes are to be made finer.
    sidecar : mapping, optional
        What is known of the scan, with the names of BIDS or DICOM: Modality, BodyPartExamined, ImageType …
    name : str
        Of the file: ``_T1w``, ``desc-medsr`` and the like are read from it.
    """
    refusal = _shape(image)
    if refusal:
        return verdict([refusal], {})
    data, sizes, across, reasons = opened(image)
    if not np.isfinite(likeness.middle(data, across, pixels.SLICES)).all():
        return verdict([say("not-finite", REFUSED)], {})
    sidecar = sidecar or {}
    measured: dict[str, Any] = {
        "contrast": header.contrast(sidecar, name),
        "voxel_mm": [round(float(size), 3) for size in sizes],
        "slices": ("sagittal", "coronal", "axial")[across],
    }
    description = ""
    if (about := _nifti(image)) is not None:
        comments = [one.get_content() for one in about.extensions if one.get_code() == storing.COMMENT]
        description = f"{bytes(about['descrip'].item())!r} {comments}"
    reasons += header.findings(sizes, sidecar, name, task, description, across)
    reasons += pixels.findings(data, sizes, across, task, axes, measured)
    return verdict(reasons, measured)


def _shape(image: Image) -> Reason | None:
    """Why an image cannot be looked at, if so."""
    shape, dtype = tuple(image.shape), np.dtype(image.get_data_dtype())
    if dtype.kind not in "biufc" or (len(shape) > 3 and shape[-1] in (3, 4) and dtype == np.uint8):
        return say("colour", REFUSED)
    if dtype.kind == "c":
        return say("complex", REFUSED)
    if int(np.prod(shape[3:], initial=1)) > 1:
        return say("several-volumes", REFUSED, shape=shape)
    return say("empty", REFUSED) if len(shape) < 2 or 0 in shape else None


def opened(image: Image) -> tuple[Array, Array, int, list[Reason]]:
    """Returns the array (x, y, z) in RAS, a voxel's edges in mm, the axis across slices, and what the affine lacks."""
    data = np.asanyarray(image.dataobj)
    data = data.reshape((*data.shape, 1)[:3])
    affine = np.asarray(np.eye(4) if image.affine is None else image.affine, float)
    reasons = []
    about = _nifti(image)
    if about is not None and not (int(about["sform_code"]) or int(about["qform_code"])):
        reasons.append(say("orientation-unknown", CAUTION))
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3] / np.maximum(lengths, 1e-12))) < 1e-4:
        reasons.append(say("affine", CAUTION))
        affine = np.eye(4)
    image = volumes.to_ras(volumes.make_image(data, affine))
    data, sizes = np.asanyarray(image.dataobj), volumes.voxel_sizes(image)
    thickest = int(sizes.argmax())
    return data, sizes, thickest if sizes[thickest] > 1.5 * np.median(sizes) else 2, reasons


def _nifti(image: Image) -> Any:
    """The header, if it is one of NIfTI."""
    import nibabel

    return image.header if isinstance(image.header, nibabel.Nifti1Header) else None
