"""The synthetic cohort and the template that it is made from."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
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
    wanted = _wanted(n_subjects, seed, split)
    folder = _made(wanted, seed)
    splits = {_cohort_id(i): cohort_split(i) for i in wanted}
    return Subjects(folders.subjects_in(folder, splits) if splits else [], "cohort")


def make_in_background(
    n_subjects: int = 24, seed: int = 0, told: Callable[[int, int], object] = lambda made, of: None
) -> threading.Thread | None:
    """Begins to make what the cohort lacks, beside whatever this process does; :func:`cohort` waits for it.

    Parameters
    ----------
    n_subjects, seed : int
        As for :func:`cohort`.
    told : callable
        Called from another thread with (made, of how many), at the start and after each subject.

    Returns
    -------
    threading.Thread or None
        Ends when all are made, and with this process; None where nothing is to be made. What goes wrong is logged:
        :func:`cohort` meets it again, and says it.
    """
    wanted = _wanted(n_subjects, seed, "")
    if not _missing(cohort_folder(seed), wanted):
        return None

    def make() -> None:
        try:
            _made(wanted, seed, told)
        except CourseError as error:
            _log.warning("the cohort is not being made: %s", error)

    thread = threading.Thread(target=make, name="cohort", daemon=True)
    thread.start()
    return thread


def _wanted(n_subjects: int, seed: int, split: str) -> list[int]:
    n_subjects = _whole(n_subjects, "n_subjects", 1)
    _whole(seed, "seed", 0)
    if split and split not in SPLITS:
        raise CourseError(f"there is no split {split!r}: choose one of {', '.join(SPLITS)}")
    return [i for i in range(n_subjects) if split in ("", cohort_split(i))]


def _missing(folder: Path, wanted: list[int]) -> int:
    """How many of these subjects are not there, or not whole."""
    from medsr_course.scans import phantom

    return len(wanted) - len(phantom.complete(folder, wanted))


def _made(wanted: list[int], seed: int, told: Callable[[int, int], object] | None = None) -> Path:
    """The folder with all that is wanted: made here, or waited for while another makes it, in the background or not."""
    from medsr_course.scans import phantom

    folder, missing = cohort_folder(seed), len(wanted)
    try:
        while missing := _missing(folder, wanted):
            try:
                with runtime.locked(folder / ".lock", busy="another is making the cohort"):
                    _log.info("making %d subjects of the cohort in %s", missing, folder)
                    phantom.make_cohort(folder, wanted, int(seed), told=told)
                break
            except runtime.BusyError:
                for _ in runtime.progress(_made_by_another(folder, wanted), "Synthetic cohort", missing, "subject"):
                    pass
    except OSError as error:
        raise CourseError(
            f"{len(wanted) - missing} of {len(wanted)} subjects of the cohort are here, and the others cannot be made: "
            f"{runtime.disk_trouble(error, folder)}"
        ) from None
    return folder


def _made_by_another(folder: Path, wanted: list[int]) -> Iterator[None]:
    """Yields once for each subject that appears; ends with the last one, or when nobody works on them."""
    missing = _missing(folder, wanted)
    while missing:
        time.sleep(0.3)
        before, missing = missing, _missing(folder, wanted)
        yield from [None] * (before - missing)
        with contextlib.suppress(runtime.BusyError), runtime.locked(folder / ".lock", busy="still"):
            return


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
