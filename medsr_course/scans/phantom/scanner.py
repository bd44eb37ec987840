"""From an object to an image file: what scanners, and the people who share scans, do to it.

One physical chain: object with smooth phase → k-space with noise → window, partial Fourier or an
unfilled outer band → magnitude; then, for some subjects, sub-voxel reslicing, removal of everything
but the brain, eight bits.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import fft

from medsr_course.scans.phantom import fields
from medsr_course.types import Array, Rng


@dataclass(frozen=True)
class Chain:
    """Settings of one subject's chain (one contrast). Ranges: :func:`draw`."""

    blur: float  # Gaussian point-spread function before sampling, standard deviation in voxels
    noise: float  # standard deviation per channel, relative to the 99.5th percentile
    window: str  # none, tukey, hamming, fermi
    window_width: float
    fill: float  # filled share of k-space along y
    partial: float  # partial Fourier: acquired share along y, 1 = all
    reslice: tuple  # shift in voxels per axis before linear resampling back; zeros = none
    eight_bits: bool


def draw(rng: Rng, noise: tuple[float, float] = (0.003, 0.03), reslice: Any = None) -> Chain:
    """Draw a chain.

    Noise log-uniform between two limits (share of the 99.5th percentile); window: half none, else Tukey,
    Hamming or Fermi; one in five with partial Fourier (0.75–0.9), one in five with an unfilled outer band
    (0.8–0.95); one in four in eight bits.
    """
    window = "none" if rng.random() < 0.5 else ("tukey", "hamming", "fermi")[rng.integers(3)]
    return Chain(
        blur=float(rng.uniform(0.22, 0.45)),
        noise=float(np.exp(rng.uniform(*np.log(noise)))),
        window=window,
        window_width=float(rng.uniform(0.2, 0.7)),
        fill=float(rng.uniform(0.8, 0.95)) if rng.random() < 0.2 else 1.0,
        partial=float(rng.uniform(0.75, 0.9)) if rng.random() < 0.2 else 1.0,
        reslice=reslice or (0.0, 0.0, 0.0),
        eight_bits=bool(rng.random() < 0.25),
    )


def acquire(rng: Rng, image: Array, phase: Array, chain: Chain) -> Array:
    """Returns the image of an object.

    Parameters
    ----------
    image : array (x, y, z), float32
        Signed signal, any unit.
    phase : array (x, y, z), complex64
        Unit-modulus receiver phase.
    chain : Chain

    Returns
    -------
    array (x, y, z), float32
        Magnitude, not negative, in the unit of ``image``.
    """
    level = np.percentile(np.abs(image[::3, ::3, ::3]), 99.5)
    sigma = np.float32(chain.noise * level)
    kspace = fft.fftn(image * phase, norm="ortho", overwrite_x=True)
    for axis, n in enumerate(image.shape):  # the object's blur shapes the signal, not the noise
        kspace *= _along(np.exp(-2 * (np.pi * np.fft.fftfreq(n) * chain.blur) ** 2), axis)
    kspace.real += sigma * rng.standard_normal(image.shape, dtype=np.float32)
    kspace.imag += sigma * rng.standard_normal(image.shape, dtype=np.float32)
    for axis, n in enumerate(image.shape):
        kspace *= _along(filter_along(n, axis, chain), axis)
    out = np.abs(fft.ifftn(kspace, norm="ortho", overwrite_x=True))
    for axis, shift in enumerate(chain.reslice):
        if shift:  # linear resampling back to the grid that the object lies on
            out += np.float32(abs(shift)) * (np.roll(out, int(np.sign(shift)), axis) - out)
    return out


def _along(weight, axis):
    """A 1-D weight shaped to multiply a volume along ``axis``."""
    kind = np.complex64 if np.iscomplexobj(weight) else np.float32
    return weight.astype(kind).reshape([-1 if i == axis else 1 for i in range(3)])


def filter_along(n: int, axis: int, chain: Chain) -> Array:
    """Returns the complex weight of k-space along one axis of ``n`` samples (order of ``fftfreq``)."""
    f = np.fft.fftfreq(n)
    r = np.abs(f) * 2
    weight = np.ones(n, np.complex64)
    if chain.window == "tukey":
        w = chain.window_width
        weight *= np.where(r > 1 - w, 0.5 * (1 + np.cos(np.pi * np.clip((r - 1 + w) / w, 0, 1))), 1)
    elif chain.window == "hamming":
        weight *= 0.54 + 0.46 * np.cos(np.pi * r)
    elif chain.window == "fermi":
        weight *= 1 / (1 + np.exp((r - 0.9) / (0.12 * chain.window_width)))
    if axis == 1:
        weight *= r <= chain.fill
        weight *= f * 2 <= 2 * chain.partial - 1 if chain.partial < 1 else 1
    weight *= np.exp(2j * np.pi * f * chain.reslice[axis])  # undone by the resampling afterwards
    return weight.astype(np.complex64)


def receiver_phase(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Returns a unit-modulus smooth phase, a radian or so across the head (B0 and coil)."""
    radians = np.float32(rng.uniform(0.2, 0.8)) * fields.band(rng, shape, 80, 250)
    return np.exp(1j * radians).astype(np.complex64)


def bias_field(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Returns receive-coil shading, a smooth positive factor around 1."""
    return np.exp(np.float32(rng.uniform(0.02, 0.12)) * fields.band(rng, shape, 90, 300))


def quantise(volume: Array, chain: Chain, top: float | None = None) -> Array:
    """Returns whole numbers as files store them: up to 255, or the 99.9th percentile at 1000."""
    level = np.percentile(volume[::3, ::3, ::3], 99.9) if top is None else top
    high = 235 if chain.eight_bits else 1000
    out = np.rint(volume * np.float32(high / max(level, 1e-6)))
    return np.clip(out, 0, 255 if chain.eight_bits else 32767).astype(np.int16)


def describe(chain: Chain) -> dict[str, Any]:
    """Returns the settings as plain values, for a JSON sidecar."""
    return asdict(chain)
