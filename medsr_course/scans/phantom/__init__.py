"""The synthetic cohort: heads that never lived, with the truth about every voxel.

========================  ==========================================================================
:mod:`.template`          the ICBM 2009a average that every subject starts from, and its grid
:mod:`.fields`            random fields: band-limited, 1/f^α, the building blocks of all variety
:mod:`.warp`              smooth invertible deformations
:mod:`.anatomy`           tissue layers with partial volume: folded cortex, CSF, vessels, skull, scalp
:mod:`.lesions`           white-matter lesions, infarcts, tumours, with their masks
:mod:`.signal`            T1, T2, proton density → T1w, T2w, PDw, FLAIR by the sequences' equations
:mod:`.scanner`           phase, noise, k-space window, partial Fourier, stripping, reslicing, 8 bits
:mod:`.subject`           all of the above for one subject
:mod:`.cohort`            folders of subjects, made in parallel, resumable
========================  ==========================================================================

All subjects warp **one** template: their deep structures resemble each other more than those of real
people do. ``python -m tools.cohort_report`` measures how far the images resemble real ones.
"""

from medsr_course.scans.phantom.anatomy import LABELS, NUMBER
from medsr_course.scans.phantom.cohort import complete, make_cohort
from medsr_course.scans.phantom.subject import CONTRASTS, Subject, make_subject
from medsr_course.scans.phantom.version import VERSION

__all__ = ["CONTRASTS", "LABELS", "NUMBER", "VERSION", "Subject", "complete", "make_cohort", "make_subject"]
