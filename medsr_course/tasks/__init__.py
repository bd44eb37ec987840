"""Per task how a pair is made, its classical methods, and how a result is scored; no framework below here."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "audit",
        "denoising",
        "emission",
        "fusion",
        "low_field",
        "multiframe",
        "noncartesian",
        "orthogonal",
        "parallel",
        "partial_fourier",
        "probe",
        "reconstruction",
        "segmentation",
        "superresolution",
        "thick_slices",
    ],
)
