"""The synthetic cohort and the template that it is made from."""

import logging
import math
from pathlib import Path

import numpy as np

from medsr_course import resources, runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import scanfiles, volumes
from medsr_course.scans.datasets import folders
from medsr_course.scans.datasets.subjects import SPLITS, Subject, Subjects
from medsr_course.types import Image

_log = logging.getLogger(__name__)


def mni152() -> Subjects:
    """Returns the ICBM 2009a average of 152 brains that nilearn brings along: smooth, and nobody's brain."""
    subject = Subject(
        "mni152",
        {"T1w": lambda: scanfiles.read(resources.template("t1"))},
        labels=_mni152_labels,
        split="test",
        label_names={0: "background", 1: "CSF and other", 2: "grey matter", 3: "white matter"},
    )
    return Subjects([subject], "mni152")


def _mni152_labels() -> Image:
    """Tissue with the largest share, from the template's grey- and white-matter maps (0 to 255)."""
    head, grey, white = (scanfiles.read(resources.template(name)) for name in ("t1", "gm", "wm"))
    shares = [np.asarray(image.dataobj) for image in (grey, white)]
    shares.insert(0, 255 - shares[0] - shares[1])
    labels = np.where(np.asarray(head.dataobj) > 0, np.argmax(shares, axis=0) + 1, 0)
    return volumes.make_image(labels.astype(np.int16), head.affine, like=head)


def cohort(n_subjects: int = 24, seed: int = 0, split: str = "") -> Subjects:
    """Returns the synthetic cohort; what is not there yet is made and kept in the cache.

    Parameters
    ----------
    n_subjects : int
        At least 1; subject *i* does not depend on it.
    seed : int
        Another seed, other people.
    split : {"", "train", "validation", "test"}
        Only the subjects of this split are made and returned: 20 of 120 for the test.

    Returns
    -------
    Subjects
        Four contrasts, labels and lesions each; splits by :func:`cohort_split`.

    Raises
    ------
    CourseError
        If ``n_subjects`` or ``split`` is none of these, or something must be made and the cache has no room or cannot
        be written.
    """
    n_subjects, seed = _whole(n_subjects, "n_subjects", 1), _whole(seed, "seed", 0)
    from medsr_course.scans import phantom

    if split and split not in SPLITS:
        raise CourseError(f"there is no split {split!r}: choose one of {', '.join(SPLITS)}")
    folder = cohort_folder(seed)
    wanted = [i for i in range(n_subjects) if split in ("", cohort_split(i))]
    here = len(phantom.complete(folder, wanted))
    if here < len(wanted):
        try:
            # A second notebook waits here, and finds the subjects made.
            with runtime.locked(folder / ".lock"):
                if len(phantom.complete(folder, wanted)) < len(wanted):
                    _log.info("making %d subjects of the cohort in %s", len(wanted) - here, folder)
                    phantom.make_cohort(folder, wanted, seed)
        except OSError as error:
            raise CourseError(
                f"{here} of {len(wanted)} subjects of the cohort are here, and the others cannot be made: "
                f"{runtime.disk_trouble(error, folder)}"
            ) from None
    splits = {_cohort_id(i): cohort_split(i) for i in wanted}
    return Subjects(folders.subjects_in(folder, splits) if splits else [], "cohort")


def _whole(value: int, what: str, least: int) -> int:
    try:
        fine = not math.isnan(value) and int(value) == value >= least
    except (TypeError, ValueError, OverflowError):
        fine = False
    if not fine:
        raise CourseError(f"{what} must be a whole number of at least {least}, not {value!r}")
    return int(value)


def cohort_folder(seed: int = 0) -> Path:
    """Returns where the cohort of a seed is kept; the generator's version is in its name."""
    from medsr_course.scans import phantom

    return runtime.cache_dir() / f"cohort-v{phantom.VERSION}-seed{int(seed)}"


def cohort_size(seed: int = 0, n_subjects: int | None = None) -> int:
    """Returns how many whole subjects of the cohort are there already (among the first ``n_subjects``)."""
    from medsr_course.scans import phantom

    return len(phantom.complete(cohort_folder(seed), n_subjects))


def cohort_split(index: int) -> str:
    """Returns the split of cohort subject ``index``: every sixth for validation, every sixth for the test.

    >>> [cohort_split(i) for i in range(6)]
    ['train', 'train', 'train', 'train', 'validation', 'test']
    """
    return {4: "validation", 5: "test"}.get(index % 6, "train")


def _cohort_id(index: int) -> str:
    return f"sub-{index:04d}"
