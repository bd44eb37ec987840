"""Everything that makes an image finer, by name: classical methods, trained networks, and filters for noisy scans."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr_course.networks import pretrained
from medsr_course.physics.noise import without_floor
from medsr_course.runtime import CourseError
from medsr_course.tasks import denoising, superresolution
from medsr_course.tasks.superresolution import Method

BEST = "-best"  # what the name of a network ends in that is used with quality "best"


def names(scale: int | None = None, learned: bool | None = None) -> list[str]:
    """Returns the names of the methods that can do a scale, or all: classical ones, then learned ones, or one kind.

    >>> names(scale=3, learned=False)
    ['nearest', 'linear', 'cubic', 'spline', 'lanczos', 'zip', 'zip-hamming']
    """
    classical = [] if learned else superresolution.names(scale)
    networks = [] if learned is False else [*pretrained.names(), *pretrained.names("diffusion")]
    trained = [n for name in networks for n in ([name, name + BEST] if name.startswith("srresnet") else [name])]
    return [*classical, *(name for name in trained if get(name).can(scale))]


def get(name: str) -> Method:
    """Returns the :class:`Method` of that name; a network is not loaded before it is called.

    A :class:`CourseError` that lists what there is, if there is none.
    """
    if name in superresolution.METHODS:
        return superresolution.METHODS[name]
    network = name.removesuffix(BEST)
    if name in pretrained.names("diffusion"):
        return _sampling(name)
    if network not in pretrained.names():
        raise CourseError(f"there is no method {name!r}; there are: {', '.join(names())}")
    card = pretrained.card(network)
    quality = "standard" if name == network else "best"

    def apply(stack: npt.NDArray, scale: int) -> npt.NDArray:
        return pretrained.super_resolve(network, stack, quality)

    title = card.title + ", best" * (quality == "best")
    return Method(name, title, apply, (card.usage["scale"],), learned=True, parameters=card.parameters)


def _sampling(name: str) -> Method:
    """One sample of a diffusion network, always the same one."""
    card = pretrained.card(name)

    def apply(stack: npt.NDArray, scale: int) -> npt.NDArray:
        return pretrained.sample(name, stack)[0]

    title = f"{card.title}, one sample"
    return Method(name, title, apply, (card.usage["scale"],), learned=True, parameters=card.parameters)


def identity(name: str) -> str:
    """Returns what the results of a method depend on: of a network its weights' checksum and how it is used."""
    if name in FILTERS or not get(name).learned:
        return name
    card = pretrained.card(name.removesuffix(BEST))
    folder, files = Path(pretrained.__file__).parent, ["common.py", "superresolution.py", "told.py", "turns.py"]
    files += ["diffusion.py"] if card.task == "diffusion" else []
    code = b"".join((folder / file).read_bytes() for file in files)
    return f"{name} {card.checksum} {pretrained.usage(card)} {hashlib.sha256(code).hexdigest()[:12]}"


@dataclass(frozen=True)
class Filter:
    """A classical filter after zero-filling, for noisy scans; it is told σ and the number of coils.

    Each score is that of the one of its ``strengths`` which is best for that very scan, judged by its truth: more than
    any method in use can know. ``unbiased``: the magnitude's bias is taken off afterwards, see
    :func:`noise.without_floor`; smoothing alone leaves air as bright as the mean of its noise.
    """

    title: str
    apply: Callable[[npt.NDArray, npt.NDArray, float], npt.NDArray]
    strengths: tuple[float, ...]
    unbiased: bool = False

    def finish(self, smooth: npt.NDArray, pair: superresolution.Pair) -> npt.NDArray:
        """Returns what :attr:`apply` gave, with the bias taken off where this filter does so."""
        return without_floor(smooth, pair.sigma, pair.coils).astype(np.float32) if self.unbiased else smooth


_gaussian = partial(denoising.gaussian, edge="reflect"), (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0)
_nlm = partial(denoising.non_local_means, reach=4), (0.5, 0.8, 1.1, 1.5, 2.0)
FILTERS = {  # strength 0 of the Gaussian filter is ZIP itself
    "zip-gaussian": Filter("ZIP + Gaussian", *_gaussian),
    "zip-gaussian-unbiased": Filter("ZIP + Gaussian, bias off", *_gaussian, unbiased=True),
    "zip-nlm": Filter("ZIP + NLM", *_nlm),
    "zip-nlm-unbiased": Filter("ZIP + NLM, bias off", *_nlm, unbiased=True),
}


def title(name: str) -> str:
    """Returns a method's or filter's name as tables and figures show it."""
    if name in FILTERS:
        return FILTERS[name].title
    return get(name).title if name in names() else name


def order() -> list[str]:
    """Returns the names of everything that has rows, in the order of tables."""
    return [*names(learned=False), *FILTERS, *names(learned=True)]


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
