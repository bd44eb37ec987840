r"""One contrast guides another: pairs with a guide, guides that lie wrong, classical methods, scores of fused images.

A guide is an image of the same head in another contrast, on the fine grid. Stacks are ``(n, h, w)``; every function of
two images wants them on one grid.

Sources: He, Sun & Tang, *IEEE Trans. Pattern Anal. Mach. Intell.* 35 (2013) 1397, the guided filter; Viola & Wells,
*Int. J. Comput. Vis.* 24 (1997) 137, registration by mutual information; Xydeas & Petrović, *Electron. Lett.* 36
(2000) 308, the edge score.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.physics import checks, grid, interpolation
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import superresolution
from medsr_course.types import Array, ArrayLike, Image, Stack

# ---------------------------------------------------------------- pairs with a guide


@dataclass(frozen=True, eq=False)
class Pair(superresolution.Pair):
    """A pair of super-resolution with a ``guide`` ``(n, scale·h, scale·w)`` beside it, divided by its own scale."""

    guide: Stack = field(kw_only=True)


def pair(
    subject: Subject, scale: int, *, contrast: str = "T2w", guide: str = "T1w", key: int | str | None = None
) -> Pair:
    """Ten axial slices of one contrast, what a file holds of them ``scale`` times too coarse, and the same of a guide.

    The two contrasts must be on one grid. ``key``, by default the subject's id, is that of
    :func:`superresolution.pair`.
    """
    image = subject.contrasts[contrast]
    made = superresolution.pair(image, scale, key=subject.id if key is None else key, contrast=contrast)
    return Pair(
        made.target, made.given, contrast, pixel_size=made.pixel_size, guide=guide_of(subject.contrasts[guide], scale)
    )


def guide_of(image: Image, scale: int, n: int = 10) -> Stack:
    """Axial slices of a scan as a guide: cut to sides that divide by ``scale``, divided by their intensity scale."""
    stack = grid.trim(volumes.axial_slices(image, n=n), scale)
    return (stack / grid.intensity(stack)[1]).astype(np.float32)


# ---------------------------------------------------------------- a guide that lies wrong, and registration


def moved(stack: Stack, degrees: float = 0.0, rows: float = 0.0, columns: float = 0.0) -> Stack:
    """A stack turned about its middle and then shifted, within the plane, by cubic splines; zero comes in from outside.

    >>> moved(np.eye(3)[None], rows=1)[0].round().astype(int)
    array([[0, 0, 0],
           [1, 0, 0],
           [0, 1, 0]])
    """
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.array(np.shape(stack)[-2:]) - 1) / 2
    offset = middle - turn @ (middle + [rows, columns])
    out = [ndimage.affine_transform(np.asarray(image, np.float32), turn, offset, order=3) for image in stack]
    return np.stack(out)


def carried(
    points: ArrayLike, shape: tuple[int, ...], degrees: float = 0.0, rows: float = 0.0, columns: float = 0.0
) -> Array:
    """Where :func:`moved` takes points (n, 2), rows and columns, of images of a shape (…, h, w).

    >>> carried([[3, 5]], (1, 9, 9), rows=2)
    array([[5., 5.]])
    """
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.array(shape[-2:]) - 1) / 2
    return (np.asarray(points, float) - middle) @ turn + middle + [rows, columns]


def register(fixed: Stack, moving: Stack) -> tuple[float, float, float]:
    """Degrees, rows and columns that :func:`moved` needs to lay ``moving`` over ``fixed``, by mutual information.

    The images may be of different contrast (Viola & Wells 1997). One motion for all: the median of those of the first,
    the middle and the last slice.

    Raises
    ------
    CourseError
        If SimpleITK is not installed.
    """
    try:
        import SimpleITK as sitk
    except ImportError:
        raise runtime.CourseError("registration needs SimpleITK: `pip install SimpleITK`") from None
    found = []
    for k in sorted({0, len(fixed) // 2, len(fixed) - 1}):
        a, b = (sitk.GetImageFromArray(np.asarray(one[k], np.float32)) for one in (fixed, moving))
        h, w = fixed.shape[-2:]
        start = sitk.Euler2DTransform((((w - 1) / 2), (h - 1) / 2), 0.0, (0.0, 0.0))
        found.append(_parameters(_searched(sitk, a, b, start)))
    degrees, rows, columns = np.median(found, axis=0)
    return float(degrees), float(rows), float(columns)


def _searched(sitk: Any, fixed: Any, moving: Any, start: Any) -> Any:
    search = sitk.ImageRegistrationMethod()
    search.SetMetricAsMattesMutualInformation(32)
    search.SetInterpolator(sitk.sitkLinear)
    search.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 100)
    search.SetOptimizerScalesFromPhysicalShift()
    search.SetShrinkFactorsPerLevel([4, 2, 1])
    search.SetSmoothingSigmasPerLevel([2, 1, 0])
    search.SetInitialTransform(start, inPlace=True)
    search.Execute(fixed, moving)
    return start


def _parameters(found: Any) -> tuple[float, float, float]:
    """SimpleITK's transform takes places of ``fixed`` to those of ``moving``; :func:`moved` says how far things go."""
    angle, x, y = found.GetParameters()
    turn = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )  # of (x, y), whose order turns the sign of the angle
    shift = -turn.T @ [x, y]
    return float(-np.rad2deg(angle)), float(shift[1]), float(shift[0])


# ---------------------------------------------------------------- classical methods with a guide


def local_line(image: Stack, guide: Stack, radius: int, damping: float) -> tuple[Stack, Stack]:
    r"""The line :math:`a\,g + b` that fits an image best around each pixel: slope and level, averaged over windows.

    :math:`a = \mathrm{cov}(g, x) / (\mathrm{var}(g) + \varepsilon)` in windows of ``2·radius + 1`` pixels a side
    (He et al. 2013, eq. 5 and 6). ``damping`` is ε, in squared units of the guide.
    """
    size = (1, 2 * radius + 1, 2 * radius + 1)

    def mean(x: Array) -> Array:
        return ndimage.uniform_filter(x, size, mode="nearest")

    g, x = np.asarray(guide, float), np.asarray(image, float)
    slope = (mean(g * x) - mean(g) * mean(x)) / (mean(g * g) - mean(g) ** 2 + damping)
    return mean(slope), mean(mean(x) - slope * mean(g))


def guided_filter(coarse: Stack, guide: Stack, scale: int, radius: int = 4, damping: float = 1e-3) -> Stack:
    """ZIP, replaced by the line through the guide that fits it best around each pixel (He et al. 2013, eq. 8)."""
    slope, level = local_line(interpolation.zero_fill(coarse, scale), guide, radius, damping)
    return slope * guide + level


def inject(coarse: Stack, guide: Stack, scale: int, radius: int = 4, damping: float = 1e-3) -> Stack:
    """ZIP, and what the guide holds beyond the coarse band, times the local slope of ZIP against the coarse guide."""
    zipped, fine = interpolation.zero_fill(coarse, scale), interpolation.hidden(guide, scale)
    return zipped + local_line(zipped, guide - fine, radius, damping)[0] * fine


METHODS = {"guided filter": guided_filter, "detail injection": inject}
RADII, DAMPINGS = (1, 4, 8, 16), (1e-4, 1e-3, 1e-2, 1e-1)


def tuned(name: str, pairs: Sequence[Pair], scale: int) -> dict[str, float]:
    """Radius and damping of a method of :data:`METHODS` with the best mean PSNR on these pairs."""
    best: tuple[float, dict[str, float]] = (-np.inf, {})
    for radius in RADII:
        for damping in DAMPINGS:
            options = {"radius": radius, "damping": damping}
            made = [METHODS[name](p.given, p.guide, scale, **options) for p in pairs]  # type: ignore[arg-type]
            score = float(np.mean([p.psnrs(image)["psnr"] for p, image in zip(pairs, made, strict=True)]))
            best = max(best, (score, options), key=lambda entry: entry[0])
    return best[1]


# ---------------------------------------------------------------- fused images and their scores


def wavelet_fusion(first: ArrayLike, second: ArrayLike, wavelet: str = "db2", levels: int = 3) -> Array:
    """Two images (h, w) as one: coarsest wavelet coefficients averaged, of each two details the larger in magnitude.

    >>> x = np.random.default_rng(0).random((16, 16))
    >>> bool(np.allclose(wavelet_fusion(x, x), x))
    True
    """
    import pywt

    one, other = (pywt.wavedec2(np.asarray(x, float), wavelet, "periodization", levels) for x in (first, second))
    fused: list[Any] = [(one[0] + other[0]) / 2]
    for a, b in zip(one[1:], other[1:], strict=True):
        fused.append(tuple(np.where(np.abs(x) >= np.abs(y), x, y) for x, y in zip(a, b, strict=True)))
    h, w = np.shape(first)
    return pywt.waverec2(fused, wavelet, "periodization")[:h, :w]


def mutual_information(first: ArrayLike, second: ArrayLike, bins: int = 32) -> float:
    r"""What one image tells about the other, in bits: :math:`\sum p_{ij}\log_2 (p_{ij} / p_i p_j)` of their histogram.

    >>> x = np.arange(64) % 4
    >>> mutual_information(x, x, 4), mutual_information(x, np.arange(64) // 16, 4)
    (2.0, 0.0)
    """
    joint, _, _ = np.histogram2d(np.ravel(first), np.ravel(second), bins)
    p = joint / joint.sum()
    alone = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    some = p > 0
    return float(np.sum(p[some] * np.log2(p[some] / alone[some])))


def edge_score(first: ArrayLike, second: ArrayLike, fused: ArrayLike) -> float:
    r"""Q^{AB/F}: how much of the edges of two images a fused one holds, 0 … 1 (Xydeas & Petrović 2000).

    Strength and direction of Sobel edges are compared pixel by pixel; each source counts where its edges are strong.
    """
    sources = [_edges(checks.finite(np.asarray(x, float), "the image")) for x in (first, second)]
    own = _edges(np.asarray(fused, float))
    total = weight = 0.0
    for strength, angle in sources:
        ratio = np.minimum(strength, own[0]) / np.maximum(np.maximum(strength, own[0]), 1e-12)
        apart = np.abs(np.abs(np.abs(angle - own[1]) - np.pi / 2)) / (np.pi / 2)
        kept = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (apart - 0.8)))
        total, weight = total + float((kept * strength).sum()), weight + float(strength.sum())
    return total / weight


def _edges(image: Array) -> tuple[Array, Array]:
    """Strength and direction (−π/2 … π/2) of Sobel edges."""
    x, y = (ndimage.sobel(image, axis=axis, mode="nearest") for axis in (1, 0))
    return np.hypot(x, y), np.arctan(y / np.where(x == 0, 1e-12, x))


def uptake(image: Array, region: Array, voxel: float, share: float = 0.4) -> dict[str, float]:
    """What a report states of a hot lesion: "max", "mean" and "volume" (mL) of what is above a share of its maximum.

    Parameters
    ----------
    image : array
        Activity or SUV.
    region : bool array
        Where the lesion lies, generously.
    voxel : float
        Volume of a voxel, mm³ (of a slice: area times thickness).
    share : float
        0.4: the threshold of 40 % of the maximum that many reports use.
    """
    peak = float(image[region].max())
    inside = region & (image >= share * peak)
    return {"max": peak, "mean": float(image[inside].mean()), "volume": float(inside.sum() * voxel / 1000)}
