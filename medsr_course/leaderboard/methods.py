"""One registry of methods: name → callable ``(stack, scale)``, classical and learned alike.

>>> import numpy as np
>>> get("zip")(np.ones((1, 3, 4), np.float32), 2).shape
(1, 6, 8)
"""

from collections.abc import Callable
from dataclasses import dataclass

from medsr_course.physics import interpolation
from medsr_course.runtime import CourseError


@dataclass(frozen=True)
class Method:
    """A way to make an image finer.

    Attributes
    ----------
    name : str
    title : str
        For tables and figures.
    apply : callable
        ``apply(stack, scale)``.
    learned : bool
    scales : tuple of int or None
        The scales it can do; None for any.
    """

    name: str
    title: str
    apply: Callable
    learned: bool = False
    scales: tuple | None = None

    def __call__(self, stack, scale):
        """Make ``(n, h, w)`` finer: ``(n, scale·h, scale·w)``, same unit, sample 0 in place.

        Raises
        ------
        ValueError
            If the method cannot do this scale.
        """
        if not self.can(scale):
            able = ", ".join(f"×{s}" for s in self.scales)
            raise ValueError(f"{self.title} cannot do ×{scale}, only {able}")
        return self.apply(stack, scale)

    def can(self, scale):
        """Whether the method can do this scale."""
        return self.scales is None or scale in self.scales


def _zip_hamming(stack, scale):
    return interpolation.zero_fill(stack, scale, window="hamming")


_CLASSICAL = {
    method.name: method
    for method in (
        Method("nearest", "nearest", interpolation.nearest),
        Method("linear", "linear", interpolation.linear),
        Method("cubic", "cubic", interpolation.cubic),
        Method("spline", "cubic B-spline", interpolation.spline),
        Method("lanczos", "Lanczos", interpolation.lanczos),
        Method("zip", "ZIP", interpolation.zero_fill),
        Method("zip-hamming", "ZIP, Hamming", _zip_hamming),
        Method("wavelet", "wavelet padding", interpolation.wavelet_zero_pad, scales=(2, 4, 8)),
    )
}


def names(scale=None, learned=None):
    """Names of the methods, classical ones first.

    Parameters
    ----------
    scale : int, optional
        Only those that can do this scale.
    learned : bool, optional
        Only the learned ones, or only the others.

    >>> names(scale=3, learned=False)
    ['nearest', 'linear', 'cubic', 'spline', 'lanczos', 'zip', 'zip-hamming']
    """
    known = list(_CLASSICAL.values())
    if learned is not False:
        known += _shipped().values()
    return [m.name for m in known if (scale is None or m.can(scale)) and learned in (None, m.learned)]


def get(name):
    """The :class:`Method` of that name.

    Raises
    ------
    CourseError
        If there is none; the message lists what there is.
    """
    if name in _CLASSICAL:
        return _CLASSICAL[name]
    shipped = _shipped()
    if name not in shipped:
        raise CourseError(f"there is no method {name!r}; there are: {', '.join([*_CLASSICAL, *shipped])}")
    return shipped[name]


def _shipped():
    """The trained networks; nothing is loaded before one is called."""
    from medsr_course.networks import pretrained

    return {name: _network(pretrained, name) for name in pretrained.names()}


def _network(pretrained, name):
    card = pretrained.card(name)

    def apply(stack, scale):
        return pretrained.super_resolve(name, stack)

    return Method(name, card.title, apply, learned=True, scales=(card.usage["scale"],))
