"""The Keras side: layers, losses, models, their training, and the networks that ship with the course."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["backends", "layers", "losses", "models", "pretrained", "training"]
)
