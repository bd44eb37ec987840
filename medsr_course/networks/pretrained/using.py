"""How a card has its network used, for every task."""

from typing import Any

from medsr_course.networks.pretrained import (
    denoising,
    diffusion,
    reconstruction,
    segmentation,
    superresolution,
    thick_slices,
)
from medsr_course.networks.pretrained.cards import Card, WeightError

_PARTS = {
    "super-resolution": superresolution.usage,
    "diffusion": diffusion.usage,
    "denoising": denoising.usage,
    "slices": thick_slices.usage,
    "reconstruction": reconstruction.usage,
    "segmentation": segmentation.usage,
}


def usage(card: Card) -> dict[str, Any]:
    """Returns the keyword arguments with which a task's ``…_with`` function uses a network, as its card has them.

    ``super_resolve_with(load(name), stack, **usage(card(name)))`` is ``super_resolve(name, stack)``, and so on.

    Raises
    ------
    WeightError
        If no function takes an image through networks for that task, as for "features".
    """
    if card.task not in _PARTS:
        raise WeightError(f"{card.name} is for {card.task}: no network of that task is used from image to image")
    return _PARTS[card.task](card)
