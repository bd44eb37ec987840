"""A scan in, a scan out: the tool for one's own scans, ``medsr enhance``.

=================  =================================================================================
:mod:`.plan`       what will be done, on which grid, with how much memory and time, decided beforehand
:mod:`.domain`     whether the networks are for such a scan
:mod:`.enhancing`  the work: a network, block by block; beside it the same grid without a network
:mod:`.memory`     results kept on disk, tiles without seams, what a plan takes
:mod:`.scansource` scans read, with what their files say of them; :mod:`.nrrd` those of that format
:mod:`.outputs`    results written, listed with checksums; :mod:`.dicom`, :mod:`.bids` in those forms
:mod:`.stamping`   a line of text over a result
:mod:`.report`     a result on one page
:mod:`.audit`      anyone's result looked into; :mod:`.probe` by what is planted
:mod:`.command`    ``medsr enhance``; :mod:`.checks` ``medsr probe`` and ``medsr audit``
:mod:`.batch`      many scans, in :mod:`.processes` or on a :mod:`.cluster`
:mod:`.service`    ``medsr serve``
=================  =================================================================================

>>> from medsr_course.pipeline import enhance
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["enhancing", "memory", "outputs", "plan", "scansource"],
    submod_attrs={"enhancing": ["Result", "enhance", "run"], "plan": ["Options", "Plan"]},
)
