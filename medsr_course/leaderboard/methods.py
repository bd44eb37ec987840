"""Everything that makes an image finer, by name: classical methods, trained networks, and filters for noisy scans."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr_course.networks import pretrained
from medsr_course.physics.noise import from_squares
from medsr_course.runtime import CourseError
from medsr_course.tasks import denoising, superresolution
from medsr_course.tasks.superresolution import Method


def names(scale: int | None = None, learned: bool | None = None) -> list[str]:
    """Returns the names of the methods that can do a scale, or all: classical ones, then learned ones, or one kind.

    >>> names(scale=3, learned=False)
    ['nearest', 'linear', 'cubic', 'spline', 'lanczos', 'zip', 'zip-hamming']
    """
    classical = [] if learned else superresolution.names(scale)
    trained = [] if learned is False else pretrained.names()
    return [*classical, *(name for name in trained if get(name).can(scale))]


def get(name: str) -> Method:
    """Returns the :class:`Method` of that name; a network is not loaded before it is called.

    A :class:`CourseError` that lists what there is, if there is none.
    """
    if name in superresolution.METHODS:
        return superresolution.METHODS[name]
    if name not in pretrained.names():
        raise CourseError(f"there is no method {name!r}; there are: {', '.join(names())}")
    card = pretrained.card(name)

    def apply(stack: npt.NDArray, scale: int) -> npt.NDArray:
        return pretrained.super_resolve(name, stack)

    return Method(name, card.title, apply, (card.usage["scale"],), learned=True, parameters=card.parameters)


def identity(name: str) -> str:
    """Returns what the results of a method depend on: of a network its weights' checksum and how it is used."""
    if name in FILTERS or not get(name).learned:
        return name
    card = pretrained.card(name)
    folder = Path(pretrained.__file__).parent
    code = b"".join((folder / file).read_bytes() for file in ("common.py", "superresolution.py", "told.py", "turns.py"))
    return f"{name} {card.checksum} {pretrained.usage(card)} {hashlib.sha256(code).hexdigest()[:12]}"


@dataclass(frozen=True)
class Filter:
    """A classical filter after zero-filling, for noisy scans.

    ``apply(stack, sigma, strength)`` has the true standard deviation of the noise in each slice; all ``strengths`` are
    tried. ``rician``: afterwards the noise's share of the squared magnitude, 2σ², is taken off (Gudbjartsson & Patz
    1995): smoothing alone leaves air as bright as the mean of its noise.
    """

    title: str
    apply: Callable[[npt.NDArray, npt.NDArray, float], npt.NDArray]
    strengths: tuple[float, ...]
    rician: bool = False

    def finish(self, smooth: npt.NDArray, sigma: npt.NDArray) -> npt.NDArray:
        """Returns what :attr:`apply` gave, with the Rician mean taken off where this filter does so."""
        return from_squares(smooth**2, np.reshape(sigma, (-1, 1, 1))) if self.rician else smooth


_gaussian = partial(denoising.gaussian, edge="reflect")
_nlm = partial(denoising.non_local_means, reach=4)
FILTERS = {
    "zip-gaussian": Filter("ZIP + Gaussian", _gaussian, (0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5)),
    "zip-nlm": Filter("ZIP + NLM", _nlm, (0.5, 0.7, 0.9, 1.1, 1.3)),
    "zip-nlm-rician": Filter("ZIP + NLM, Rician", _nlm, (0.5, 0.7, 0.9, 1.1, 1.3), rician=True),
}
BEST = "-best"  # suffix: each number at the strength that is best for this very scan, judged by its truth


def title(name: str) -> str:
    """Returns a method's or filter's name as tables and figures show it."""
    plain = name.removesuffix(BEST)
    if plain in FILTERS:
        return FILTERS[plain].title + (" (best)" if name.endswith(BEST) else "")
    return get(name).title if name in names() else name


def order() -> list[str]:
    """Returns the names of everything that has rows, in the order of tables."""
    filters = [name + end for name in FILTERS for end in ("", BEST)]
    return [*names(learned=False), *filters, *names(learned=True)]


def select(wanted: Sequence[str], scales: Sequence[int]) -> list[str]:
    """Returns the names of what is to be measured: what is wanted and ZIP, or all that can do one of the scales.

    A :class:`CourseError` that lists what there is, if one is unknown.
    """
    known = [name for name in names() if any(get(name).can(s) for s in scales)] + list(FILTERS)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        able = " or ".join(f"×{s}" for s in scales)
        raise CourseError(f"there is no method {unknown[0]!r} for {able}; there are: {', '.join(known)}")
    return [name for name in known if not wanted or name in wanted or name == "zip"]
