"""Images with a place in the world: affines, files, data sets, and the phantom that makes the synthetic cohort."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "archives",
        "bids",
        "catalogue",
        "datasets",
        "domain",
        "phantom",
        "rawfiles",
        "scanfiles",
        "scansource",
        "spool",
        "stamping",
        "transfer",
        "volumes",
    ],
)
