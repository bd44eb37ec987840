"""A scan in, a scan out: the tool for one's own scans, ``medsr enhance``.

=================  =================================================================================
:mod:`.plan`       what will be done, on which grid, with how much memory and time, decided beforehand
:mod:`.enhancing`  the work: a network, block by block; beside it the same grid without a network
:mod:`.memory`     how much memory a plan takes
:mod:`.outputs`    results written, listed with checksums
:mod:`.report`     a result on one page, many on another
:mod:`.batch`      many scans, alike; again where it stopped
:mod:`.service`    ``medsr serve``
=================  =================================================================================

Scans of any kind are read by :mod:`medsr_course.scans.scansource` and judged by :mod:`medsr_course.scans.domain`.
What any software made of a scan is looked into by :mod:`medsr_course.tasks.audit` and :mod:`medsr_course.tasks.probe`.

>>> from medsr_course.pipeline import enhance
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["enhancing", "memory", "outputs", "plan"],
    submod_attrs={"enhancing": ["Result", "enhance", "run"], "plan": ["Options", "Plan"]},
)
