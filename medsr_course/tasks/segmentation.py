"""Segmentation without a network: what the labels are, a classical baseline, and how results are judged.

Label images are stacks ``(n, h, w)`` of whole numbers; images are stacks of the same shape, magnitudes in any unit.
The classes of the course's tissue networks are :data:`TISSUES`; what must not count (lesions, where tissue is judged)
is :data:`IGNORED`.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.physics import checks, metrics
from medsr_course.types import Array, ArrayLike, Mask, Stack

TISSUES = ("background", "cerebrospinal fluid", "grey matter", "white matter", "other")
BRAIN = (1, 2, 3)  # the classes that are judged
IGNORED = 255
# Number of the cohort's label (see phantom.LABELS) → tissue: cortex and deep nuclei are grey matter; vessel, skull,
# scalp and eye are "other"; lesions are nobody's tissue.
_MERGED = np.array([0, 1, 2, 3, 2, 4, 4, 4, 4, IGNORED], np.uint8)


def tissues(labels: ArrayLike) -> Array:
    """The cohort's ten labels, 0 … 9, merged into :data:`TISSUES`, uint8; lesions are :data:`IGNORED`.

    >>> tissues([0, 1, 4, 9])
    array([  0,   1,   2, 255], dtype=uint8)
    """
    labels = np.asarray(labels).astype(np.int64)
    if labels.size and (labels.min() < 0 or labels.max() >= len(_MERGED)):
        raise ValueError(f"expected the cohort's labels, 0 … {len(_MERGED) - 1}, got {labels.min()} … {labels.max()}")
    return _MERGED[labels]


# -- The classical baseline ------------------------------------------------------------------------


def bias_field(volume: Stack, mask: Mask, *, shrink: int = 6, iterations: Sequence[int] = (50, 30, 20)) -> Stack:
    """The smooth shading of a scan by N4 (Tustison et al. 2010), as SimpleITK has it.

    Parameters
    ----------
    volume : array (n, h, w)
        Magnitudes, neighbouring slices next to one another; ``ValueError`` for NaN or infinite values.
    mask : bool array (n, h, w)
        Where there is tissue.
    shrink : int
        The field is worked out on every ``shrink``-th voxel along each axis (slices: where there are enough).
    iterations : tuple of int
        Per level; each level halves the distance of the spline's knots.

    Returns
    -------
    float32 array (n, h, w)
        Positive, mean 1 inside the mask; divide by it.
    """
    try:
        import SimpleITK as sitk
    except ImportError:
        raise runtime.CourseError("N4 needs SimpleITK: `pip install SimpleITK`, or install the course whole") from None
    volume, mask = _masked(volume, mask)
    if not mask.any():
        return np.ones_like(volume)
    factors = [shrink, shrink, max(1, min(shrink, len(volume) // 16))]  # x, y, z
    image, where = sitk.GetImageFromArray(volume), sitk.GetImageFromArray(mask.astype(np.uint8))
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([int(i) for i in iterations])
    n4.Execute(sitk.Shrink(image, factors), sitk.Shrink(where, factors))
    field = np.exp(sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))).astype(np.float32)
    return field / field[mask].mean()


def mixture(
    stack: Stack,
    mask: Mask,
    *,
    field: Stack | None = None,
    components: int = 4,
    beta: float = 0.5,
    sweeps: int = 4,
    seed: int = 0,
) -> Stack:
    r"""Cerebrospinal fluid, grey and white matter by a bias-corrected Gaussian mixture of a T1-weighted scan.

    Each tissue's intensities are one normal distribution, or two (Wells et al. 1996). A Potts prior then asks
    neighbours to agree: every voxel takes the class k with the largest :math:`\log p(y\mid k) + \log\pi_k + \beta n_k`,
    where :math:`n_k` of its six neighbours are in k, a few times over (iterated conditional modes, Besag 1986).

    Parameters
    ----------
    stack : array (n, h, w)
        Magnitudes, T1-weighted: fluid dark, white matter bright. Slices next to one another.
    mask : bool array (n, h, w)
        The brain, fluid included. A mixture cannot tell scalp from brain; somebody must.
    field : array (n, h, w), optional
        Shading to divide by, see :func:`bias_field`: without it a mixture hardly works.
    components : int
        At least three. Where there are more, those between fluid and the second brightest belong to the tissue whose
        mean is nearer.
    beta : float
        0 for no prior.
    seed : int
        Of the voxels the mixture is fitted to.

    Returns
    -------
    uint8 array (n, h, w)
        1 … 3 inside the mask, 0 outside.

    >>> rng = np.random.default_rng(0)
    >>> truth = np.repeat([1, 2, 3], 512).reshape(3, 16, 32)
    >>> found = mixture(100 * truth + rng.normal(0, 5, truth.shape), truth > 0, components=3)
    >>> bool((found == truth).mean() > 0.99)
    True
    """
    stack, mask = _masked(stack, mask)
    if components < 3:
        raise ValueError(f"three tissues need at least three components, not {components}")
    result = np.zeros(stack.shape, np.uint8)
    if mask.sum() < 100 * components:
        return result
    image = stack / field if field is not None else stack
    fitted = _fit(image[mask], components, seed)
    evidence = _evidence(image[mask], fitted)
    result[mask] = 1 + evidence.argmax(axis=0)
    kernel = ndimage.generate_binary_structure(3, 1).astype(np.float32)
    kernel[1, 1, 1] = 0
    for _ in range(sweeps if beta else 0):
        votes = [ndimage.convolve((result == k).astype(np.float32), kernel, mode="nearest")[mask] for k in BRAIN]
        result[mask] = 1 + (evidence + beta * np.stack(votes)).argmax(axis=0)
    return result


def _masked(stack: Stack, mask: Mask) -> tuple[Stack, Mask]:
    """A finite float32 stack (n, h, w) and its mask."""
    checks.finite(stack, "the stack")
    stack, mask = np.asarray(stack, np.float32), np.asarray(mask, bool)
    if stack.shape != mask.shape or stack.ndim != 3:
        raise ValueError(f"expected a stack (n, h, w) and its mask, got {stack.shape} and {mask.shape}")
    return stack, mask


def _fit(values: Array, components: int, seed: int):
    """A Gaussian mixture of 20 000 of the values."""
    from sklearn.mixture import GaussianMixture

    sample = np.random.default_rng(seed).choice(values, min(values.size, 20_000), replace=False)
    return GaussianMixture(components, max_iter=200, random_state=seed).fit(sample[:, None].astype(np.float64))


def _evidence(values, fitted):
    """Logarithm of each tissue's density times its share, (3, values)."""
    order = np.argsort(fitted.means_[:, 0])
    means, spreads = fitted.means_[order, 0], np.sqrt(fitted.covariances_[order, 0, 0])
    densities = fitted.weights_[order] * np.exp(-0.5 * ((values[:, None] - means) / spreads) ** 2) / spreads
    tissue_of = _tissue_of(means)
    evidence = np.stack([densities[:, tissue_of == k].sum(axis=1) for k in BRAIN])
    # Beyond the extremes a wide normal distribution says nonsense: the darkest is fluid, the brightest white matter.
    evidence[:, values < means[0]] *= np.array([[1.0], [0.0], [0.0]])
    evidence[:, values > means[-1]] *= np.array([[0.0], [0.0], [1.0]])
    return np.log(evidence + 1e-12)


def _tissue_of(means):
    """Tissue of each component, means ascending: darkest, second brightest and brightest; others go to the nearer."""
    anchors = np.array([means[0], means[-2], means[-1]])
    return np.maximum.accumulate(1 + np.abs(means[:, None] - anchors).argmin(axis=1))


# -- How results are judged -------------------------------------------------------------------------


def dice(truth: Array, found: Array, label: int, *, where: Mask | None = None) -> float:
    r"""Overlap of one label, :math:`2|A\cap B|/(|A|+|B|)` (Dice 1945): 0 … 1; NaN where neither holds the label.

    Only ``where`` that is True counts; by default where ``truth`` is not :data:`IGNORED`.

    >>> dice(np.array([1, 1, 0]), np.array([1, 0, 0]), 1).__round__(4)
    0.6667
    """
    a, b = _masks(truth, found, label, where)
    total = a.sum() + b.sum()
    return float(2 * (a & b).sum() / total) if total else float("nan")


def hausdorff95(
    truth: Array, found: Array, label: int, *, spacing: Sequence[float] = (1.0, 1.0, 1.0), where: Mask | None = None
) -> float:
    r"""95th percentile of the distances between two surfaces, both ways, in mm; NaN where either of the two is empty.

    The percentile of :math:`\min_{b \in \partial B} |a - b|` over :math:`a \in \partial A`, and A and B exchanged.
    The largest distance would be that of one stray voxel. A mask's surface is its voxels with a neighbour outside it.
    ``spacing`` is in mm, one number per axis: slices, rows and columns; ``where`` is that of :func:`dice`.

    >>> cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    >>> hausdorff95(cross, cross, 1, spacing=(1.0, 1.0))
    0.0
    """
    a, b = _masks(truth, found, label, where)
    if len(spacing) != a.ndim or min(spacing) <= 0:
        raise ValueError(f"spacing must be {a.ndim} numbers above 0, one per axis, not {spacing!r}")
    if not a.any() or not b.any():
        return float("nan")
    # One voxel of margin where the image has it: the faces of a tight box would not count as surface.
    tight = ndimage.find_objects((a | b).astype(np.uint8))[0]
    box = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in tight)
    surfaces = [m[box] & ~ndimage.binary_erosion(m[box], border_value=1) for m in (a, b)]
    if not surfaces[0].any() or not surfaces[1].any():
        return float("nan")
    far = [ndimage.distance_transform_edt(~surface, sampling=spacing) for surface in surfaces]
    return float(np.percentile(np.concatenate([far[1][surfaces[0]], far[0][surfaces[1]]]), 95))


def volumes_ml(
    labels: ArrayLike, *, spacing: Sequence[float] = (1.0, 1.0, 1.0), classes: Sequence[int] = BRAIN
) -> dict[int, float]:
    """Volume of each class in millilitres: voxels × mm³ / 1000.

    >>> volumes_ml(np.full((10, 10, 10), 2), spacing=(2.0, 1.0, 1.0))
    {1: 0.0, 2: 2.0, 3: 0.0}
    """
    voxel = float(np.prod(spacing)) / 1000
    return {k: float((np.asarray(labels) == k).sum() * voxel) for k in classes}


def fractions(labels: ArrayLike, classes: Sequence[int] = BRAIN) -> dict[int, float]:
    """Share of each class in all of them; NaN where there is none of them.

    >>> fractions([1, 2, 2, 3, 0])
    {1: 0.25, 2: 0.5, 3: 0.25}
    """
    counts = np.array([(np.asarray(labels) == k).sum() for k in classes], float)
    total = counts.sum()
    return {k: float(c / total) if total else float("nan") for k, c in zip(classes, counts, strict=True)}


def bland_altman(reference: ArrayLike, measured: ArrayLike) -> tuple[float, float, float]:
    r"""Bias of paired measurements and its 95 % limits of agreement: bias, low, high (Bland & Altman 1986).

    Mean difference ``measured − reference``, and that ± 1.96 standard deviations (NaN for fewer than two pairs):
    :math:`\bar d \pm 1.96\, s_d`.

    >>> bland_altman([1.0, 2.0], [2.0, 3.0])
    (1.0, 1.0, 1.0)
    """
    reference, measured = checks.finite(reference, "the reference"), checks.finite(measured, "what was measured")
    if reference.shape != measured.shape:
        raise ValueError(f"expected pairs, got {reference.size} references and {measured.size} measured values")
    difference = measured - reference
    bias = float(difference.mean())
    spread = 1.96 * float(difference.std(ddof=1)) if difference.size > 1 else float("nan")
    return bias, bias - spread, bias + spread


def coherence(labels: Stack, classes: Sequence[int] = BRAIN) -> float:
    """How alike neighbouring slices are: mean Dice of each class between slice z and z + 1; NaN without any class.

    Anatomy changes from slice to slice, so the truth's own value is not 1; what lies far from it, below or above, was
    not made by anatomy. The slices ``(n, h, w)``, n ≥ 2, lie next to one another.

    >>> coherence(np.ones((3, 4, 4), int))
    1.0
    """
    labels = np.asarray(labels)
    if labels.ndim != 3 or len(labels) < 2:
        raise ValueError(f"expected at least two slices (n, h, w), got shape {labels.shape}")
    found = np.array([[dice(a, b, k) for k in classes] for a, b in zip(labels[:-1], labels[1:], strict=True)])
    return float("nan") if np.isnan(found).all() else float(np.nanmean(found))


def flicker(labels: Stack, classes: Sequence[int] = BRAIN) -> float:
    """Share of voxels whose label differs from both that above and that below, although those two agree.

    Of the voxels that are one of ``classes`` in any of the three slices. Thin sheets do that, and slices that were
    worked out one by one.

    >>> flicker(np.array([1, 2, 1]).reshape(3, 1, 1))
    1.0
    """
    labels = np.asarray(labels)
    if labels.ndim != 3 or len(labels) < 3:
        raise ValueError(f"expected at least three slices (n, h, w), got shape {labels.shape}")
    below, middle, above = labels[:-2], labels[1:-1], labels[2:]
    inside = np.isin(below, classes) | np.isin(middle, classes) | np.isin(above, classes)
    odd = (below == above) & (middle != below) & inside
    return float(odd.sum() / max(inside.sum(), 1))


def detected(truth: Mask, found: Mask, *, least: int = 5, overlap: float = 0.1) -> tuple[list[tuple[int, bool]], int]:
    """Lesion by lesion: which were found, and how much was found that is none.

    A lesion is a connected component (26 neighbours) of at least ``least`` voxels. It counts as found when at least
    ``overlap`` of it is marked. A marked component that touches no true lesion voxel is a false alarm.
    Returns the volume in voxels of each true lesion, and whether it was found; and the number of false alarms.

    >>> truth, found = np.zeros((2, 3, 9, 9), bool); truth[1, 2:5, 2:5] = True; found[1, 2:4, 2:4] = True
    >>> detected(truth, found)
    ([(9, True)], 0)
    """
    truth, found = np.asarray(truth, bool), np.asarray(found, bool)
    if truth.shape != found.shape:
        raise ValueError(f"expected two masks of one shape, got {truth.shape} and {found.shape}")
    near = np.ones((3,) * truth.ndim)
    parts, count = ndimage.label(truth, near)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    marked = np.bincount(parts[found], minlength=count + 1)[1:]
    hits = [
        (int(size), bool(inside >= overlap * size)) for size, inside in zip(sizes, marked, strict=True) if size >= least
    ]
    parts, count = ndimage.label(found, near)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    touched = np.bincount(parts[truth], minlength=count + 1)[1:]
    return hits, int(((sizes >= least) & (touched == 0)).sum())


def verdict(values: ArrayLike, margin: float) -> str:
    """Says what paired differences, one per subject, show: "equivalent", "different", both, or "undecided".

    "Different": the 95 % interval of their mean (:func:`metrics.student_interval`) does not hold 0. "Equivalent": the
    90 % interval lies within ±``margin``, which is the two one-sided tests at 5 % each (Schuirmann 1987). An effect
    that is real and smaller than the margin is both. ``margin`` is chosen before the values are seen; ``ValueError``
    unless it is above 0.

    >>> verdict([0.01, 0.02, 0.01, 0.02], 0.05), verdict([0.1, -0.1, 0.1, -0.1], 0.05)
    ('different and equivalent', 'undecided')
    """
    if not margin > 0:
        raise ValueError(f"margin must be above 0, not {margin!r}")
    _, low, high = metrics.student_interval(values)
    _, least, most = metrics.student_interval(values, level=0.9)
    words = ["different"] * (low > 0 or high < 0) + ["equivalent"] * (-margin < least and most < margin)
    return " and ".join(words) or "undecided"


def _masks(truth: ArrayLike, found: ArrayLike, label: int, where: Mask | None) -> tuple[Mask, Mask]:
    truth, found = np.asarray(truth), np.asarray(found)
    if truth.shape != found.shape:
        raise ValueError(f"expected two label images of one shape, got {truth.shape} and {found.shape}")
    keep = truth != IGNORED if where is None else np.asarray(where, bool)
    if keep.shape != truth.shape:
        raise ValueError(f"the mask {keep.shape} and the labels {truth.shape} differ in shape")
    return (truth == label) & keep, (found == label) & keep
