"""Whether a scan is one that the shipped networks are for: *in domain*, *caution* or *refused*, with reasons in words.

==================  ==============================================================================
:mod:`.judging`     :func:`judge`: everything below, for one scan
:mod:`.header`      what header, sidecar and name say
:mod:`.pixels`      what the voxels say: kind of values, noise, band, slices, face, likeness to heads
:mod:`.policy`      :func:`mixed`: one decision for a batch
:mod:`.verdict`     :class:`Verdict` and :class:`Reason`
==================  ==============================================================================

How often each of them is right: ``results/domain.md``, made by ``python -m tools.domain``.
"""

from medsr_course.scans.domain.judging import judge
from medsr_course.scans.domain.policy import POLICIES, Batch, Decision, mixed
from medsr_course.scans.domain.verdict import Reason, Verdict

__all__ = ["POLICIES", "Batch", "Decision", "Reason", "Verdict", "judge", "mixed"]
