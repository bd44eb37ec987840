"""One loader for every source of scans: subjects with contrasts, labels and lesions.

======================  ================================================================================
:mod:`.subjects`        what every source gives: :class:`Subjects` of :class:`Subject` with :class:`Images`
:mod:`.synthetic`       the synthetic cohort, and the template it is made from
:mod:`.folders`         BIDS folders, one's own and others', with their :mod:`.tables`
:mod:`.real`            real scans for development, one slice that is always here, one brain from the network
:mod:`.kspace`          raw k-space: low-field heads with 3 T partners, several coils, repetitions
:mod:`.downloads`       data sets of the catalogue, as their authors lay them out
:mod:`.availability`    what there is, whether it is here, whether it is sound
======================  ================================================================================

>>> subjects = load("mni152")
>>> subjects
<Subjects mni152: 1 subject (1 test), contrasts T1w>
>>> subjects[0].contrasts["T1w"].shape
(197, 233, 189)
"""

import inspect
from collections.abc import Callable
from typing import Any

from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue
from medsr_course.scans.datasets import downloads
from medsr_course.scans.datasets.availability import Source, available, check
from medsr_course.scans.datasets.folders import bids
from medsr_course.scans.datasets.kspace import LowFieldHead, low_field_heads, raw, repetitions
from medsr_course.scans.datasets.real import case, clinical, ds002748, partners_3t, real_folder, real_scans, real_slice
from medsr_course.scans.datasets.subjects import CONTRASTS, SPLITS, Images, Subject, Subjects
from medsr_course.scans.datasets.synthetic import (
    cohort,
    cohort_folder,
    cohort_size,
    cohort_split,
    make_in_background,
    mni152,
)

__all__ = [
    "CONTRASTS", "SPLITS", "Images", "LowFieldHead", "Source", "Subject", "Subjects", "available", "bids", "case",
    "check", "clinical", "cohort", "cohort_folder", "cohort_size", "cohort_split", "ds002748", "load",
    "low_field_heads", "make_in_background", "mni152", "partners_3t", "raw", "real_folder", "real_scans",
    "real_slice", "repetitions",
]  # fmt: skip

_LOADERS: dict[str, Callable[..., Subjects]] = {
    "mni152": mni152,
    "cohort": cohort,
    "bids": bids,
    "ds002748": ds002748,
    "real-scans": real_scans,
    "clinical": clinical,
    "partners-3t": partners_3t,
}


def load(name: str, **options: Any) -> Subjects:
    """Returns the subjects of a data set; makes or downloads what is not there yet.

    Parameters
    ----------
    name : str
        ``"mni152"``
            :func:`mni152`;
        ``"cohort"``
            :func:`cohort`, with ``n_subjects=24``, ``seed=0`` and ``split``;
        ``"bids"``
            :func:`bids`, with ``path``;
        ``"ds002748"``
            :func:`ds002748`;
        ``"real-scans"``
            :func:`real_scans`;
        ``"clinical"``, ``"partners-3t"``
            :func:`clinical`, :func:`partners_3t`;
        or a name of :func:`catalogue.entries` that has a loader, once it is downloaded.
    **options
        Of the data set, as above.

    Raises
    ------
    CourseError
        No such data set, folder, network, disk space …: in a line, with the remedy.
    """
    loader = _LOADERS.get(name)
    if loader is None:
        item = catalogue.entries().get(name)
        if item is None or item.loader is None:
            own = f": it is one file, {item.filename}; open it yourself" if item else ""
            known = [*_LOADERS, *(k for k, v in catalogue.entries().items() if v.loader and k not in _LOADERS)]
            raise CourseError(f"there is no data set {name!r} to load{own}: choose one of {', '.join(known)}")
        loader = downloads.loader(item)
    try:
        inspect.signature(loader).bind(**options)
    except TypeError:
        known = list(inspect.signature(loader).parameters)
        raise CourseError(
            f"data set {name!r} takes these options: {', '.join(known) or 'none'}; not {', '.join(options)}"
        ) from None
    return loader(**options)
