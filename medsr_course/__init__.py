"""Helper package of the course *Deep learning for medical super-resolution imaging*.

Five wings, named as the field names them; each imports from the ones before it only:

* :mod:`~medsr_course.physics` – arrays in, arrays out: grids, acquisition, noise, metrics;
* :mod:`~medsr_course.scans` – images with a place in the world: files, affines, data sets, the phantom;
* :mod:`~medsr_course.tasks` – per task how a pair is made, its classical methods, how it is scored;
* :mod:`~medsr_course.networks` – the Keras side: layers, losses, models, training, shipped networks;
* :mod:`~medsr_course.teaching` – what a notebook talks to: claims, figures, viewers, exercises, quizzes.

Above them :mod:`~medsr_course.pipeline` (a scan in, a scan out) and :mod:`~medsr_course.leaderboard`.
``import medsr_course`` is light: modules load when first used, TensorFlow only when a network needs it.

>>> import medsr_course
>>> medsr_course.physics.grid.padded_size(5, 2)
10
"""

import lazy_loader

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        *("doctor", "leaderboard", "networks", "physics", "pipeline", "resources"),
        *("runtime", "scans", "tasks", "teaching"),
    ],
)
