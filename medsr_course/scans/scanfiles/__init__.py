"""Scan files in and out: NIfTI and DICOM, read right or refused in one clear line.

Every reader returns a ``nibabel.Nifti1Image`` in mm with finite float32 data ``(x, y, z)`` and an affine
that can be inverted; every refusal is a :class:`ScanError` that says what was wrong and what to do.

================  ==============================================================================
:mod:`.errors`    the refusal, the warning, and what the operating system's errors mean
:mod:`.memory`    how much memory is free, asked before a file is unpacked
:mod:`.nifti`     ``.nii`` and ``.nii.gz``
:mod:`.dicom`     a DICOM series as a volume: which series, which volume, in what order and place
:mod:`.headers`   DICOM files found and opened, their numbers checked
:mod:`.frames`    the slices of a DICOM file: one, an enhanced multi-frame, a Siemens mosaic
:mod:`.pixels`    DICOM pixels decoded and rescaled
:mod:`.writing`   NIfTI files written whole or not at all
:mod:`.storing`   results in NIfTI, block by block, stored as the scan they were made of
:mod:`.derived`   results as DICOM series
:mod:`.nrrd`      NRRD files, read
================  ==============================================================================
"""

from medsr_course.scans.scanfiles.dicom import read_dicom, read_series
from medsr_course.scans.scanfiles.errors import ScanError, ScanWarning
from medsr_course.scans.scanfiles.nifti import read
from medsr_course.scans.scanfiles.writing import write

__all__ = ["ScanError", "ScanWarning", "read", "read_dicom", "read_series", "write"]
