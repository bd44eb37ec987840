"""The measurement protocol: what is compared with what, and by which numbers, wherever the course compares methods.

Ten axial slices of a scan are made coarser by k-space cropping, with or without noise; a method makes them fine
again; every score is of the whole stack of one scan.
"""

from dataclasses import dataclass

import numpy as np

from medsr_course import runtime
from medsr_course.physics import grid, metrics
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.noise import add_complex_noise
from medsr_course.scans import volumes
from medsr_course.tasks import pairs
from medsr_course.types import Image, Mask, Stack

CT_RANGE = 400.0  # HU: the data range of PSNR and SSIM for CT


@dataclass(frozen=True, eq=False)
class Pair(pairs.Pair):
    """A fine stack and what a coarse scan holds of it, ``given`` (n, h / scale, w / scale).

    Attributes
    ----------
    contrast : str
        "CT" is judged over a range of 400 HU, everything else over the target's maximum.
    """

    contrast: str = ""

    def scores(self, result: Stack) -> dict[str, float]:
        """Returns all numbers of the protocol, see :func:`scores`."""
        return scores(self.target, result, self.given, contrast=self.contrast, head=self.head)

    def psnrs(self, result: Stack) -> dict[str, float]:
        """Returns ``psnr`` and ``psnr_head`` alone, which are quick to compute."""
        return psnrs(self.target, result, contrast=self.contrast, head=self.head)


def pair(image: Image, scale: int, *, noise: float = 0.0, key: int | str = 0, contrast: str = "") -> Pair:
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
    contrast : str
        See :class:`Pair`.

    Returns
    -------
    Pair
        ``target`` (10, scale·h, scale·w) and ``given`` (10, h, w), both float32.
    """
    target = grid.trim(volumes.axial_slices(image), scale)
    coarse = kspace_crop(target, scale)
    if noise:
        coarse = np.abs(add_complex_noise(coarse, noise, runtime.rng("evaluation", key, round(noise * 1000))))
    return Pair(target, coarse.astype(np.float32), contrast, pixel_size=volumes.pixel_size(image))


def scores(
    target: Stack,
    result: Stack,
    coarse: Stack,
    *,
    contrast: str = "",
    pixel_size: float = 1.0,
    head: Mask | None = None,
) -> dict[str, float]:
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
    head : bool array, optional
        Where the head is, by default :func:`metrics.head_mask` of the target.

    Returns
    -------
    dict
        ``psnr`` and ``psnr_head`` (dB; all voxels, and inside the head), ``ssim``, ``hfen``, and ``low_band``: how far
        the result, cropped again, is from what was measured, in parts of it.
    """
    span = CT_RANGE if contrast == "CT" else None
    scale = target.shape[-1] // coarse.shape[-1]
    return {
        **psnrs(target, result, contrast=contrast, pixel_size=pixel_size, head=head),
        "ssim": metrics.ssim(target, result, data_range=span),
        "hfen": metrics.hfen(target, result),
        "low_band": metrics.low_band_residual(coarse, result, scale),
    }


def psnrs(
    target: Stack, result: Stack, *, contrast: str = "", pixel_size: float = 1.0, head: Mask | None = None
) -> dict[str, float]:
    """``psnr`` and ``psnr_head`` of :func:`scores` alone, which are quick to compute."""
    span = CT_RANGE if contrast == "CT" else None
    head = metrics.head_mask(target, pixel_size) if head is None else head
    return {
        "psnr": metrics.psnr(target, result, data_range=span),
        "psnr_head": metrics.psnr(target, result, data_range=span, mask=head),
    }
