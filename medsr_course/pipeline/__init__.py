"""A scan in, a scan out: the tool for one's own scans, ``medsr enhance``.

================  ====================================================================================
:mod:`.plan`      what will be done, on which grid, with how much memory and time, decided beforehand
:mod:`.enhancing` the work: a network, block by block; beside it the same grid without a network
:mod:`.memory`    results kept on disk, tiles without seams, what a plan takes
:mod:`.scansource` scans read, with what their files say of them
:mod:`.outputs`   results written, listed with checksums
:mod:`.report`    the report on a result, one HTML file, and a page over many
:mod:`.audit`     anyone's result beside the scan it was made from
:mod:`.probe`     known things planted into a scan, and what a software left of them
:mod:`.command`   ``medsr enhance`` on the command line; :mod:`.checks`: ``medsr probe`` and ``medsr audit``
================  ====================================================================================

>>> from medsr_course.pipeline import enhance
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["audit", "enhancing", "memory", "outputs", "plan", "probe", "report", "scansource"],
    submod_attrs={"enhancing": ["Result", "enhance", "run"], "plan": ["Options", "Plan"]},
)
