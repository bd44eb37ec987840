"""The measurement protocol: what is compared with what, and by which numbers, wherever the course compares methods.

Ten axial slices of a scan are made coarser by k-space cropping, with or without noise; a method makes them fine
again; every score is of the whole stack of one scan.
"""

import numpy as np

from medsr_course import runtime
from medsr_course.physics import grid, metrics
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
