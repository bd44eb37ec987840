"""Thick slices: how they are measured, and how classical methods make thin ones of them.

A stack of thick slices ``(n, h, w)`` is a matrix A, applied along the first axis, times a stack of thin ones
``(s·n, h, w)``: thick slice k is the mean of the thin slices around number s·k, weighted by the *slice profile*.
Sample 0 stays in place, as everywhere in this course. All lengths are in thin slices.

Everything here is linear, so every method is a matrix, too: :func:`matrix` (n, s·n), :func:`cubic_matrix` and
:func:`back_projection_matrix` (s·n, n).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from medsr_course.tasks import reconstruction
from medsr_course.types import Array, ArrayLike, Rng, Stack

SHAPES = ("gaussian", "trapezoid", "box")
RAMP = 0.25  # of the full width at half maximum: length of each slope of the trapezoid


@dataclass(frozen=True)
class Slab:
    r"""How thick slices are taken: ``spacing``, s, from the centre of one to the next, and the slice profile.

    ``fwhm``, the profile's full width at half maximum, is the nominal slice thickness. A trapezoid is what a good
    excitation pulse leaves, a Gaussian what a short one does.

    ``crosstalk``, 0 … 1, is the part of the magnetisation that has not recovered when the neighbours' pulses, which
    reach into this slice, are followed by its own: :math:`e^{-\Delta t / T_1}` for slices excited Δt after their
    neighbours. The profile is then :math:`p(t)\,(1 - c\,p(t - s))\,(1 - c\,p(t + s))`: weaker and narrower.
    """

    spacing: int = 4
    fwhm: float = 4.0
    shape: str = "gaussian"
    crosstalk: float = 0.0

    def __post_init__(self) -> None:
        if int(self.spacing) != self.spacing or self.spacing < 1:
            raise ValueError(f"spacing must be a whole number of at least 1, not {self.spacing!r}")
        if not 0 < self.fwhm < np.inf:
            raise ValueError(f"fwhm must be above 0, not {self.fwhm!r}")
        if self.shape not in SHAPES:
            raise ValueError(f"shape must be one of {', '.join(SHAPES)}, not {self.shape!r}")
        if not 0 <= self.crosstalk <= 1:
            raise ValueError(f"crosstalk must be between 0 and 1, not {self.crosstalk!r}")

    @property
    def gap(self) -> float:
        """Spacing less thickness: what lies between the slices; below 0 they overlap."""
        return self.spacing - self.fwhm

    def __str__(self) -> str:
        between = f"gap {self.gap:g}" if self.gap >= 0 else f"overlap {-self.gap:g}"
        talk = f", cross-talk {self.crosstalk:g}" if self.crosstalk else ""
        return f"{self.shape} profile, FWHM {self.fwhm:g}, spacing {self.spacing:g}, {between}{talk}"


STANDARD = Slab()


def profile(slab: Slab) -> Array:
    r"""Weights of the thin slices in a thick one.

    A thin slice is itself the mean over its width, so each weight is the mean of the profile over that width:
    :math:`w_j \propto \int_{j - 1/2}^{j + 1/2} p(t)\, dt`, float64 ``(2r + 1,)`` for the offsets −r … r from the
    centre; symmetric, of sum 1.

    >>> profile(Slab(2, 2.0, "box"))
    array([0.25, 0.5 , 0.25])
    """
    reach = int(np.ceil({"gaussian": 1.6, "trapezoid": 0.7, "box": 0.6}[slab.shape] * slab.fwhm))
    fine = 64  # points per thin slice
    t = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    weights = response(t, slab).reshape(-1, fine).mean(axis=1)
    weights = weights[np.flatnonzero(weights)[0] : np.flatnonzero(weights)[-1] + 1]
    return weights / weights.sum()


def response(t: ArrayLike, slab: Slab) -> Array:
    """The profile p itself at the distances t from the centre of the slice; without cross-talk 1 at its top.

    >>> response([0, 2, 4], Slab(4, 4.0))  # half its maximum at half its width
    array([1.    , 0.5   , 0.0625])
    >>> response([0, 2], Slab(4, 4.0, crosstalk=0.5))  # what the pulses of both neighbours leave of it
    array([0.93847656, 0.37463379])
    """
    t = np.asarray(t, float)
    alone = _alone(t, slab)
    if not slab.crosstalk:
        return alone
    before, after = (1 - slab.crosstalk * _alone(t + shift, slab) for shift in (-slab.spacing, slab.spacing))
    return alone * before * after


def signal(slab: Slab) -> float:
    """How much cross-talk leaves of a slice's signal in tissue that does not change with depth, 0 … 1.

    >>> round(signal(Slab(4, 4.0, crosstalk=0.5)), 2), signal(Slab(4, 4.0))
    (0.82, 1.0)
    """
    t = np.linspace(-3 * slab.fwhm, 3 * slab.fwhm, 3001)
    return float(response(t, slab).sum() / _alone(t, slab).sum())


def _alone(t: Array, slab: Slab) -> Array:
    """The profile of a slice without neighbours."""
    x = np.abs(t) / slab.fwhm
    if slab.shape == "gaussian":
        return np.exp(-4 * np.log(2) * x**2)
    if slab.shape == "box":
        return (x <= 0.5).astype(float)
    return np.clip((0.5 + RAMP / 2 - x) / RAMP, 0, 1)


def width(weights: ArrayLike, step: float = 1.0) -> float:
    """Full width at half maximum of a sampled peak, between samples by straight lines.

    >>> width([0, 1, 2, 1, 0])
    2.0
    """
    weights = np.asarray(weights, float)
    if not weights.size or not weights.max() > 0:
        raise ValueError("there is no peak: no weight is above 0")
    half = weights.max() / 2
    inside = np.flatnonzero(weights >= half)
    first, last = inside[0], inside[-1]
    padded = np.concatenate([[0.0], weights, [0.0]])
    left = (padded[first + 1] - half) / (padded[first + 1] - padded[first])
    right = (padded[last + 1] - half) / (padded[last + 1] - padded[last + 2])
    return float((last - first + left + right) * step)


@lru_cache(maxsize=64)
def matrix(n: int, slab: Slab = STANDARD) -> Array:
    """The forward operator A, (n, s·n) float64: thin slices to thick ones.

    Rows have the sum 1; at the ends of the stack a thick slice is the mean of what there is.

    >>> matrix(2, Slab(2, 2.0, "box")).round(2)
    array([[0.67, 0.33, 0.  , 0.  ],
           [0.  , 0.25, 0.5 , 0.25]])
    """
    weights, s = profile(slab), slab.spacing
    reach = len(weights) // 2
    forward = np.zeros((n, n * s + 2 * reach))
    for k in range(n):
        forward[k, s * k : s * k + len(weights)] = weights
    forward = forward[:, reach : reach + n * s]
    forward /= forward.sum(axis=1, keepdims=True)
    forward.setflags(write=False)
    return forward


@lru_cache(maxsize=64)
def cubic_matrix(n: int, spacing: int = 4) -> Array:
    """Cubic-spline interpolation from n slices to spacing·n, (spacing·n, n) float64; constant beyond the last.

    >>> cubic_matrix(2, 2).round(2)
    array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ],
           [0. , 1. ]])
    """
    from scipy.interpolate import CubicSpline

    if n == 1:
        return np.ones((spacing, 1))
    positions = np.minimum(np.arange(n * spacing) / spacing, n - 1)
    return CubicSpline(np.arange(n), np.eye(n), bc_type="natural")(positions)


KERNELS = ("adjoint", "cubic")


@lru_cache(maxsize=64)
def back_projection_matrix(n: int, slab: Slab = STANDARD, iterations: int = 16, kernel: str = "cubic") -> Array:
    """Cubic interpolation and :func:`back_project`, as one matrix (s·n, n) float64.

    >>> bool(np.allclose(matrix(6) @ back_projection_matrix(6, iterations=200), np.eye(6), atol=1e-2))
    True
    """
    forward, start = matrix(n, slab), cubic_matrix(n, slab.spacing)
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, not {kernel!r}")
    back = start if kernel == "cubic" else slab.spacing * forward.T
    result = start
    for _ in range(iterations):
        result = result + back @ (np.eye(n) - forward @ result)
    return result


@lru_cache(maxsize=64)
def smooth_matrix(n: int, slab: Slab = STANDARD, damping: float = 1e-3) -> Array:
    """The smoothest stack that explains the thick slices, (s·n, n) float64.

    Minimises ``|A x − y|² + damping·|D x|²`` with D the second difference.

    >>> smooth_matrix(3).sum(axis=1).round(6)[:3]  # constants stay
    array([1., 1., 1.])
    """
    forward = matrix(n, slab)
    if damping <= 0:
        raise ValueError("damping must be above 0: A alone does not say what lies between the slices")
    bend = np.diff(np.eye(n * slab.spacing), 2, axis=0)
    return np.linalg.solve(forward.T @ forward + damping * bend.T @ bend, forward.T)


def along(operator: Array, stack: ArrayLike) -> Array:
    """A matrix (m, n) applied along the first axis of an array (n, …); float32 stays float32."""
    stack = np.asarray(stack)
    if stack.shape[0] != operator.shape[1]:
        raise ValueError(f"the first axis must have {operator.shape[1]} slices, not {stack.shape[0]}")
    kind = np.result_type(stack.dtype, np.float32)
    flat = operator.astype(kind) @ stack.reshape(stack.shape[0], -1).astype(kind, copy=False)
    return flat.reshape(operator.shape[0], *stack.shape[1:])


def thicken(stack: ArrayLike, slab: Slab = STANDARD) -> Array:
    """Thick slices ``(n, …)`` of a real stack of thin ones ``(s·n, …)``: y = A x, A :func:`matrix`.

    ``ValueError`` if the number of slices is not divisible by the spacing: drop the last ones first (:func:`trim`).

    >>> thicken(np.array([1.0, 1.0, 1.0, 5.0]), Slab(2, 2.0, "box"))
    array([1., 2.])
    """
    total = np.shape(stack)[0]
    if total % slab.spacing or not total:
        raise ValueError(
            f"{total} slices are not divisible by {slab.spacing}: drop the last ones first (thick_slices.trim)"
        )
    return along(matrix(total // slab.spacing, slab), stack)


def thicken_adjoint(thick: ArrayLike, slab: Slab = STANDARD) -> Array:
    """Adjoint of :func:`thicken`: ``(n, …)`` to ``(s·n, …)``."""
    return along(matrix(np.shape(thick)[0], slab).T, thick)


def trim(stack: Array, spacing: int = 4) -> Array:
    """Drop the last slices until their number divides by ``spacing``."""
    return stack[: len(stack) - len(stack) % spacing]


def to_steps(stack: Stack, spacing: int = 4) -> Array:
    """Thin slices ``(s·n, h, w)`` as networks read them, ``(n, h, w, s)``: step k holds slices s·k … s·k + s − 1."""
    total, h, w = stack.shape
    return stack.reshape(total // spacing, spacing, h, w).transpose(0, 2, 3, 1)


def from_steps(steps: Array) -> Stack:
    """Inverse of :func:`to_steps`: ``(n, h, w, s)`` to ``(s·n, h, w)``."""
    n, h, w, s = steps.shape
    return steps.transpose(0, 3, 1, 2).reshape(n * s, h, w)


def cubic(thick: ArrayLike, spacing: int = 4) -> Array:
    """Cubic-spline interpolation between thick slices, ``(n, …)`` to ``(spacing·n, …)``; ignores the profile."""
    return along(cubic_matrix(np.shape(thick)[0], spacing), thick)


def back_project(thick: ArrayLike, slab: Slab = STANDARD, iterations: int = 16, kernel: str = "cubic") -> Array:
    r"""Cubic interpolation, then iterative back-projection through the slice profile, ``(n, …)`` to ``(s·n, …)``.

    :math:`x \leftarrow x + B (y - A x)`: what the simulated thick slices lack is given back (Irani & Peleg 1991). B,
    ``kernel``, is cubic interpolation of what is missing, or, "adjoint", s·Aᵀ.

    >>> back_project(np.full((3, 1), 2.0)).shape
    (12, 1)
    """
    return along(back_projection_matrix(np.shape(thick)[0], slab, iterations, kernel), thick)


def smooth(thick: ArrayLike, slab: Slab = STANDARD, damping: float = 1e-3) -> Array:
    """The smoothest thin slices that explain the thick ones, see :func:`smooth_matrix`."""
    return along(smooth_matrix(np.shape(thick)[0], slab, damping), thick)


def total_variation(thick: ArrayLike, slab: Slab = STANDARD, weight: float = 1e-3, iterations: int = 100) -> Array:
    r"""Thin slices of least total variation that explain the thick ones: :math:`\tfrac12\|Ax - y\|^2 + \lambda\,TV(x)`.

    TV over three axes, so that edges of the slice plane guide those between slices; by FISTA (Beck & Teboulle 2009)
    from :func:`back_project` on. ``weight`` is λ in parts of the 99.5th percentile; ``thick`` ``(n, h, w)``.

    >>> edge = np.repeat([0.0, 1.0], 8)[:, None, None] * np.ones((2, 2))
    >>> thick = thicken(edge)
    >>> [round(float(np.abs(x - edge).mean()), 2) for x in (back_project(thick), total_variation(thick))]
    [0.12, 0.04]
    """
    thick = np.asarray(thick, np.float32)
    unit = float(np.percentile(np.abs(thick), 99.5)) or 1.0
    thick, forward = thick / unit, matrix(len(thick), slab)
    curvature = float(np.linalg.norm(forward, 2) ** 2)  # FISTA wants 1: λ is divided by it, too

    def gradient(x: Array) -> Array:
        return along(forward.T, along(forward, x) - thick) / np.float32(curvature)

    start = back_project(thick, slab)
    result = reconstruction.fista(start, gradient, weight / curvature, iterations=iterations, axes=(0, 1, 2), inner=2)
    return (unit * result).astype(np.float32)


def consistent(stack: ArrayLike, thick: ArrayLike, slab: Slab = STANDARD) -> Array:
    """The nearest stack ``(s·n, …)`` whose thick slices are the measured ones: :math:`x + A^T (A A^T)^{-1} (y - A x)`.

    >>> thicken(consistent(np.zeros(12), np.array([1.0, 2.0, 3.0]))).round(6)
    array([1., 2., 3.])
    """
    lacking = np.asarray(thick) - thicken(stack, slab)
    return np.asarray(stack) + along(pseudo_inverse(np.shape(thick)[0], slab), lacking)


@lru_cache(maxsize=64)
def pseudo_inverse(n: int, slab: Slab = STANDARD) -> Array:
    """Aᵀ(AAᵀ)⁻¹, (s·n, n) float64."""
    forward = matrix(n, slab)
    return np.linalg.solve(forward @ forward.T, forward).T


# -- moving pictures ---------------------------------------------------------------------------------------------------


def cine(
    image: ArrayLike,
    frames: int = 16,
    *,
    cycles: float = 2.0,
    amplitude: float = 4.0,
    rate: tuple[float, float] = (0.0, 0.35),
    seed: int | Rng = 0,
) -> Stack:
    """A slice that breathes and takes up contrast agent, float32 ``(frames, h, w)``, made from one that does neither.

    A smooth displacement, mostly along the rows, swells and shrinks ``cycles`` times; a round region of random place
    brightens along the way, as tissue does after an injection. ``amplitude`` is the displacement's in pixels; now and
    then it is 1.6 times as large. ``rate``: the interval from which the region's final enhancement is drawn, in parts
    of its signal.

    >>> cine(np.ones((8, 8)), frames=4).shape
    (4, 8, 8)
    """
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    image = np.asarray(image, np.float32)
    h, w = image.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    phase, place = rng.uniform(0, 2 * np.pi, 4), rng.uniform(0.3, 0.7, 2)
    fade = np.exp(-(((y / h - place[0]) / 0.5) ** 2 + ((x / w - place[1]) / 0.5) ** 2))
    down = fade * (1 + 0.3 * np.sin(2 * np.pi * x / w + phase[0]))
    across = 0.4 * fade * np.sin(2 * np.pi * y / h + phase[1])
    spot = np.exp(-((np.hypot(y - h * rng.uniform(0.35, 0.65), x - w * rng.uniform(0.35, 0.65)) / (0.08 * h)) ** 4))
    gain, start = rng.uniform(*rate), rng.uniform(0.1, 0.5)
    made = []
    for t in np.arange(frames) / frames:
        swell = amplitude * (
            np.sin(2 * np.pi * cycles * t + phase[2]) + 0.25 * np.sin(4 * np.pi * cycles * t + phase[3])
        )
        uptake = gain * (1 - np.exp(-6 * max(t - start, 0)))
        bright = image * (1 + uptake * spot)
        made.append(ndimage.map_coordinates(bright, [y + swell * down, x + swell * across], order=1, mode="nearest"))
    return np.stack(made).astype(np.float32)


def every_second(series: Stack, noise: float, rng: Rng) -> Stack:
    """What is measured of a series: every second frame, a float32 magnitude with ``noise`` % of its 99.5th percentile.

    >>> every_second(np.arange(4.0).reshape(4, 1, 1), 0, np.random.default_rng(0)).ravel()
    array([0., 2.], dtype=float32)
    """
    frames = np.asarray(series)[::2]
    sigma = noise / 100 * np.percentile(frames, 99.5)
    real, imaginary = sigma * rng.standard_normal((2, *frames.shape), dtype=np.float32)
    return np.hypot(frames + real, imaginary).astype(np.float32)


def between_frames(frames: Stack, *, time: float = 0.0, space: float = 0.0) -> Stack:
    """A series of every second frame made whole, ``(n, h, w)`` to ``(2·n, h, w)``: cubic interpolation in time.

    A Gaussian against noise comes first, of standard deviations ``time``, in measured frames, and ``space``, in pixels.

    >>> between_frames(np.array([0.0, 4.0]).reshape(2, 1, 1)).ravel()
    array([0., 2., 4., 4.])
    """
    from scipy import ndimage

    if time or space:
        frames = ndimage.gaussian_filter(frames, (time, space, space), mode="nearest")
    return cubic(frames, 2)
