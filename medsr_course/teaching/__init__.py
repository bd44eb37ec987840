"""What a notebook talks to: claims, figures, viewers, exercises, quizzes; and the notebooks themselves."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["claims", "exercises", "figures", "notebooks", "quizzes", "viewers"]
)
