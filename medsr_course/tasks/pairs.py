"""What every task compares methods on: the truth, what is given in its place, and the numbers of a result."""

from dataclasses import dataclass, field
from functools import cached_property

from medsr_course.physics import metrics
from medsr_course.types import Array, Mask, Stack

TITLES = {  # kind of input → its name in tables, cards and figures
    "signed": "signed",
    "gaussian": "real channel",
    "rician": "one coil",
    "chi": "eight coils",
    "interpolated": "interpolated",
}


def setting(kind: str, noise: float) -> str:
    """Returns the name of a kind of input with so many % of noise, wherever results are told apart by it.

    >>> setting("rician", 0), setting("signed", 0), setting("chi", 3)
    ('stored', 'signed', 'eight coils, 3 % noise')
    """
    if noise == 0:
        return "stored" if kind == "rician" else TITLES[kind]
    return f"{TITLES[kind]}, {noise:g} % noise"


@dataclass(frozen=True, eq=False)
class Pair:
    """A truth and what was measured of it; each task adds what it needs to know besides.

    Attributes
    ----------
    target : float32 array (n, h, w)
        The truth.
    given : array
        What methods receive: the coarse stack, the noisy stack, or k-space.
    pixel_size : float
        Of the target, in-plane, mm.
    """

    target: Stack
    given: Array
    pixel_size: float = field(default=1.0, kw_only=True)

    @cached_property
    def head(self) -> Mask:
        """Where the head is in ``target``, bool array (n, h, w); found once, for all that is scored."""
        return metrics.head_mask(self.target, self.pixel_size)

    def scores(self, result: Array) -> dict[str, float]:
        """Returns the numbers of the measurement protocol for a result, by name."""
        raise NotImplementedError
