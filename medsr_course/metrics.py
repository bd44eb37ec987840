"""How good is an image? Fidelity against a known truth, by the course's measurement protocol.

All functions take ``(n, h, w)`` stacks (a single ``(h, w)`` image counts as one slice), target first,
in any intensity unit. Subjects, not slices, are the unit of every mean: see :func:`bootstrap_interval`.
"""

import numpy as np
from scipy import ndimage


def psnr(target, image, *, data_range=None, mask=None):
    r"""Peak signal-to-noise ratio in dB over the whole stack, :math:`10\log_{10}(R^2/\mathrm{MSE})`.

    Parameters
    ----------
    target, image : array (n, h, w)
    data_range : float, optional
        R; by default the target stack's maximum (as fastMRI does). For CT pass 400 (HU).
    mask : bool array (n, h, w), optional
        Where to measure the error, e.g. :func:`head_mask`; the range stays the whole target's.

    >>> round(psnr(np.ones((1, 8, 8)), np.full((1, 8, 8), 0.9)), 3)
    20.0
    """
    target, image = _pair(target, image)
    error = (target - image) ** 2
    mse = error.mean() if mask is None else error[np.reshape(mask, error.shape)].mean()
    if mse == 0:
        return float("inf")
    return float(10 * np.log10(_range(target, data_range) ** 2 / mse))


def ssim(target, image, *, data_range=None):
    """Mean structural similarity over slices: scikit-image's 7×7 window (Wang et al. 2004)."""
    from skimage.metrics import structural_similarity

    target, image = _pair(target, image)
    span = _range(target, data_range)
    return float(
        np.mean([structural_similarity(t, x, data_range=span) for t, x in zip(target, image, strict=True)])
    )


def hfen(target, image):
    """High-frequency error norm ‖LoG(x − y)‖ / ‖LoG(y)‖, 15×15, σ = 1.5 px (Ravishankar & Bresler 2011)."""
    target, image = _pair(target, image)

    def log(stack):
        return ndimage.gaussian_laplace(stack, sigma=(0, 1.5, 1.5), truncate=7 / 1.5)

    return float(np.linalg.norm(log(image - target)) / np.linalg.norm(log(target)))


def low_band_residual(measured, image, scale):
    """‖crop(image) − measured‖ / ‖measured‖: how far an image contradicts its own low-resolution input."""
    from medsr_course.acquisition import kspace_crop

    measured = np.asarray(measured, np.float64)
    return float(np.linalg.norm(kspace_crop(image, scale) - measured) / np.linalg.norm(measured))


def head_mask(target, pixel_size=1.0):
    """Voxels of the head: Otsu threshold over the stack, holes filled slice by slice, dilated by 2 mm.

    Parameters
    ----------
    target : array (n, h, w)
    pixel_size : float
        In-plane, mm.

    Returns
    -------
    bool array (n, h, w)
    """
    from skimage.filters import threshold_otsu

    target = np.asarray(target)
    stack = target if target.ndim == 3 else target[None]
    inside = stack > threshold_otsu(stack)
    reach = int(np.ceil(2 / pixel_size))
    yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (yy**2 + xx**2) * pixel_size**2 <= 2**2
    mask = np.stack([ndimage.binary_dilation(ndimage.binary_fill_holes(s), disc) for s in inside])
    return mask.reshape(target.shape)


def bootstrap_interval(values, *, level=0.95, resamples=10_000, rng=None):
    """Mean over subjects and its percentile-bootstrap interval.

    For a paired comparison pass the differences, one per subject.

    Returns
    -------
    mean, low, high : float
    """
    values = np.asarray(values, float)
    rng = rng or np.random.default_rng(0)
    picks = rng.integers(0, values.size, (resamples, values.size))
    low, high = np.quantile(values[picks].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


def _pair(target, image):
    target, image = np.asarray(target, np.float64), np.asarray(image, np.float64)
    if target.shape != image.shape:
        raise ValueError(f"target {target.shape} and image {image.shape} differ in shape: crop or resample one")
    if target.ndim == 2:
        target, image = target[None], image[None]
    return target, image


def _range(target, data_range):
    return float(target.max()) if data_range is None else float(data_range)
