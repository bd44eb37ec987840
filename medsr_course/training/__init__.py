"""Training: patches degraded on the fly, one loop that survives a kill, and the recipes of the shipped weights.

``python -m medsr_course.training espcn-x2`` (or :func:`train_weight`) makes a weight from nothing.
"""

from medsr_course.training.loop import TrainingWarning, fit, precision
from medsr_course.training.pairs import Degradation, Patches, TrainingError, dead_leaves
from medsr_course.training.weights import Recipe, gains, main, material, recipes, subjects, train_weight

__all__ = [
    "Degradation",
    "Patches",
    "Recipe",
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
