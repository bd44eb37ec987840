"""Training: samples made on the fly, one loop that survives a kill, and the recipes of the shipped weights.

``python -m medsr_course.networks.training espcn-x2`` (or :func:`train_weight`) makes a weight from nothing. A
:class:`Recipe` decides, a :class:`Task` gives samples, loss and numbers, :func:`make` yields network and card.
"""

from medsr_course.networks.training.guided import GuidedPatches
from medsr_course.networks.training.loop import TrainingWarning, Watch, fit, precision
from medsr_course.networks.training.mixing import Mixed
from medsr_course.networks.training.pairs import Degradation, Patches, TrainingError, dead_leaves
from medsr_course.networks.training.recipe import Recipe, Task
from medsr_course.networks.training.registry import TASKS, make, recipes, train
from medsr_course.networks.training.sources import SOURCES, material, subjects
from medsr_course.networks.training.superresolution import gains
from medsr_course.networks.training.weights import main, train_weight

__all__ = [
    "Degradation",
    "GuidedPatches",
    "Mixed",
    "Patches",
    "Recipe",
    "SOURCES",
    "TASKS",
    "Task",
    "TrainingError",
    "TrainingWarning",
    "Watch",
    "dead_leaves",
    "fit",
    "gains",
    "main",
    "make",
    "material",
    "precision",
    "recipes",
    "subjects",
    "train",
    "train_weight",
]
