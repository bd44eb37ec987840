"""The measurement protocol: what is compared with what, and by which numbers, wherever the course compares methods.

Ten axial slices of a scan are made coarser by k-space cropping, with or without noise; a method makes them fine
again; every score is of the whole stack of one scan. The classical methods are in :data:`METHODS`, by name.

>>> METHODS["zip"](np.ones((1, 3, 4), np.float32), 2).shape
(1, 6, 8)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr_course import runtime
from medsr_course.physics import grid, interpolation, metrics
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.noise import add_complex_noise
from medsr_course.scans import volumes

CT_RANGE = 400.0  # HU: the data range of PSNR and SSIM for CT


def pair(image, scale, *, noise=0.0, key=0):
    """Target and coarse stack of one scan.

    Parameters
    ----------
    image : nibabel image
    scale : int
    noise : float
        In %, see :func:`noise.noise_sigma`: complex Gaussian on the coarse stack, then the magnitude. Not for
        signed data.
    key : int or str
        Of the noise: same key, same noise.

    Returns
    -------
    target : float32 array (10, scale·h, scale·w)
    coarse : float32 array (10, h, w)
    """
    target = grid.trim(volumes.axial_slices(image), scale)
    coarse = kspace_crop(target, scale)
    if noise:
        coarse = np.abs(add_complex_noise(coarse, noise, runtime.rng("evaluation", key, round(noise * 1000))))
    return target, coarse.astype(np.float32)


def scores(target, result, coarse, *, contrast="", pixel_size=1.0):
    """All numbers of the protocol for one result.

    Parameters
    ----------
    target, result : arrays (n, scale·h, scale·w)
    coarse : array (n, h, w)
        What was measured.
    contrast : str
        "CT" is judged over a range of 400 HU, everything else over the target's maximum.
    pixel_size : float
        Of the target, mm.

    Returns
    -------
    dict
        ``psnr`` and ``psnr_head`` (dB; all voxels, and inside the head), ``ssim``, ``hfen``, and ``low_band``: how far
        the result, cropped again, is from what was measured, in parts of it.
    """
    span = CT_RANGE if contrast == "CT" else None
    scale = target.shape[-1] // coarse.shape[-1]
    return {
        **psnrs(target, result, contrast=contrast, pixel_size=pixel_size),
        "ssim": float(metrics.ssim(target, result, data_range=span)),
        "hfen": float(metrics.hfen(target, result)),
        "low_band": float(metrics.low_band_residual(coarse, result, scale)),
    }


def psnrs(target, result, *, contrast="", pixel_size=1.0):
    """``psnr`` and ``psnr_head`` of :func:`scores` alone, which are quick to compute."""
    span = CT_RANGE if contrast == "CT" else None
    head = metrics.head_mask(target, pixel_size)
    return {
        "psnr": float(metrics.psnr(target, result, data_range=span)),
        "psnr_head": float(metrics.psnr(target, result, data_range=span, mask=head)),
    }


# ---------------------------------------------------------------- classical methods


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
    scales : tuple of int or None
        The scales it can do; None for any.
    learned : bool
    parameters : int
        Of a trained network.
    """

    name: str
    title: str
    apply: Callable[[npt.NDArray, int], npt.NDArray]
    scales: tuple[int, ...] | None = None
    learned: bool = False
    parameters: int = 0

    def __call__(self, stack: npt.NDArray, scale: int) -> npt.NDArray:
        """Make ``(n, h, w)`` finer: ``(n, scale·h, scale·w)``, same unit, sample 0 in place.

        Raises
        ------
        ValueError
            If the method cannot do this scale.
        """
        if not self.can(scale):
            able = ", ".join(f"×{s}" for s in self.scales or ())
            raise ValueError(f"{self.title} cannot do ×{scale}, only {able}")
        return self.apply(stack, scale)

    def can(self, scale: int | None) -> bool:
        """Whether the method can do this scale; None stands for any."""
        return scale is None or self.scales is None or scale in self.scales


def _zip_hamming(stack, scale):
    return interpolation.zero_fill(stack, scale, window="hamming")


METHODS = {
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


def names(scale: int | None = None) -> list[str]:
    """Returns the names of the classical methods, or of those that can do a scale.

    >>> names(scale=3)
    ['nearest', 'linear', 'cubic', 'spline', 'lanczos', 'zip', 'zip-hamming']
    """
    return [method.name for method in METHODS.values() if method.can(scale)]
