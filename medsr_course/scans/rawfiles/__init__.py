"""Raw k-space in: what scanners and their researchers store, with every axis named, or refused in one clear line.

:func:`read` takes MATLAB and NumPy files (whose axes the caller names), Siemens twix and ISMRMRD files (which name them
themselves), and returns a :class:`RawData`. Every refusal is a
:class:`~medsr_course.scans.scanfiles.ScanError` that says what was wrong and what to do.

===============  =====================================================================================
:mod:`.raw`      the type: complex k-space with five named axes, and the images it gives
:mod:`.arrays`   ``.mat`` (also version 7.3), ``.npy`` and ``.npz``
:mod:`.siemens`  twix files, ``.dat``
:mod:`.mrd`      ISMRMRD files, ``.h5`` and ``.mrd``
===============  =====================================================================================

Twix, ISMRMRD and MATLAB 7.3 need libraries of the extra ``raw``: ``pip install "medsr-course[raw]"``.
"""

from medsr_course.scans.rawfiles.raw import AXES, RawData
from medsr_course.scans.rawfiles.reading import read

__all__ = ["AXES", "RawData", "read"]
