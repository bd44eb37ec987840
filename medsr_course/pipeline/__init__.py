"""A scan in, a scan out: the tool for one's own scans, ``medsr enhance``.

=================  ==========================================================================
>>> from medsr_course.pipeline import enhance
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["audit", "enhancing", "memory", "outputs", "plan", "probe", "report", "scansource"],
    submod_attrs={"enhancing": ["Result", "enhance", "run"], "plan": ["Options", "Plan"]},
)
