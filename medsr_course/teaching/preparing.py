"""What a chapter needs later is begun early, beside the reader."""

import threading
import time

from IPython.display import Markdown, display

from medsr_course.scans import datasets
from medsr_course.teaching import knobs


def cohort(n_subjects: int = 24, seed: int = 0) -> threading.Thread | None:
    """Begins to make the synthetic cohort in the background, under a line that says how far it is.

    Parameters
    ----------
    n_subjects, seed : int
        As for :func:`datasets.cohort`.

    Returns
    -------
    threading.Thread or None
        Of :func:`datasets.make_in_background`. None, without a line, where the cohort is there, or nobody reads: then
        the cell that needs it makes it.
    """
    if not knobs.attended():
        return None
    missing = n_subjects - datasets.cohort_size(seed, n_subjects)
    if not missing:
        return None
    line, began = display(Markdown(how_far(0, missing, 0)), display_id=True), time.perf_counter()

    def told(made: int, of: int) -> None:
        line.update(Markdown(how_far(made, of, time.perf_counter() - began)))

    return datasets.make_in_background(n_subjects, seed, told)


def how_far(made: int, of: int, seconds: float) -> str:
    """Returns the line: how many are made, and what the rest takes on this machine.

    >>> how_far(0, 24, 0.1)
    'The synthetic cohort is being made in the background: 0 of 24 people. Read on.'
    >>> how_far(6, 24, 30)
    'The synthetic cohort is being made in the background: 6 of 24 people, about 90 s more. Read on.'
    >>> how_far(24, 24, 118)
    'The synthetic cohort is made: 24 people in 118 s.'
    """
    if made == of:
        return f"The synthetic cohort is made: {of} people in {seconds:.0f} s."
    left = f", about {seconds / made * (of - made):.0f} s more" if made else ""
    return f"The synthetic cohort is being made in the background: {made} of {of} people{left}. Read on."
