"""Helper package of the course *Deep learning for medical super-resolution imaging*.

``import medsr_course`` is light: modules load when first used, TensorFlow only when a network needs
it.

>>> import medsr_course
>>> medsr_course.grid.padded_size(5, 2)
10
"""

from importlib import import_module

__version__ = "0.1.0"

_MODULES = (
    "acquisition",
    "catalogue",
    "claims",
    "classical",
    "datasets",
    "denoising",
    "evaluation",
    "exercises",
    "figures",
    "grid",
    "layers",
    "leaderboard",
    "losses",
    "methods",
    "metrics",
    "models",
    "multiframe",
    "phantom",
    "pretrained",
    "quizzes",
    "reconstruction",
    "resources",
    "runtime",
    "scanfiles",
    "segmentation",
    "slices",
    "tomography",
    "training",
    "viewers",
    "volumes",
)

__all__ = ["__version__", *_MODULES]


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
