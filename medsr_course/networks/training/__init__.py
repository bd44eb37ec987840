"""Training: patches degraded on the fly, one loop that survives a kill, and the recipes of the shipped weights.

``python -m medsr_course.networks.training espcn-x2`` (or :func:`train_weight`) makes a weight from nothing.
"""

from medsr_course.networks.training.loop import TrainingWarning, fit, precision
from medsr_course.networks.training.pairs import Degradation, Patches, TrainingError, dead_leaves
from medsr_course.networks.training.sources import SOURCES, material, subjects
from medsr_course.networks.training.superresolution import Recipe, gains
from medsr_course.networks.training.weights import main, recipes, train_weight

__all__ = [
    "Degradation",
    "Patches",
    "Recipe",
    "SOURCES",
    "TrainingError",
    "TrainingWarning",
    "dead_leaves",
    "fit",
    "gains",
    "main",
    "material",
    "precision",
    "recipes",
    "subjects",
    "train_weight",
]
