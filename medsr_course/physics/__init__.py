"""Arrays in, arrays out: grids and interpolation, acquisition and its adjoints, tomography, metrics."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        *("acquisition", "checks", "coils", "grid", "interpolation", "metrics", "noise", "nufft"),
        "tomography",
    ],
)
