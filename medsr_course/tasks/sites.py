"""Sites: places that make scans in their own way, and what a scan looks like whose patient moved.

A :class:`Site` makes training pairs (:meth:`Site.pair`) and test images (:meth:`Site.given`) from fine magnitudes. It
holds what differs between hospitals, one factor at a time: kind and strength of the noise, the window over k-space, the
phase. :func:`moved` is motion between the lines of k-space.
"""

from dataclasses import dataclass

import numpy as np

from medsr_course import runtime
from medsr_course.physics import coils, grid, interpolation
from medsr_course.physics.acquisition import from_kspace, kspace_crop, to_kspace
from medsr_course.types import Array, Rng, Stack


@dataclass(frozen=True)
class Site:
    """How a place makes a coarse scan from a fine magnitude, and how a training there varies its slices.

    The first four fields are physics and hold for training pairs and test images alike; the others are augmentation and
    touch training pairs only.
    """

    scale: int = 2
    noise: float = 0.0  # σ in each channel, in % of the slices' intensity scale
    kind: str = "rician"  # of the noise: one of physics.coils.KINDS
    window: float = 0.0  # strength of a Hann window over the coarse k-space: 0 none, 1 down to zero at its edge
    phase: bool = True  # the object has a smooth phase, as every scanner's has; without, it is real
    turns: bool = False  # turned and mirrored at random, before it is made coarse
    pairs_mirrored: bool = False  # half of the finished *pairs* are mirrored: wrong, since sample 0 does not stay
    gamma: float = 1.0  # contrast raised to a power drawn log-uniformly from 1 / gamma … gamma
    inverted: float = 0.0  # share of slices whose contrast is inverted
    noises: tuple[float, float] = (0.0, 0.0)  # σ in %, drawn uniformly in place of ``noise`` where not (0, 0)

    def made(self, fine: Array, rng: Rng, noise: float | None = None) -> Array:
        """The coarse magnitude (..., h, w) that is stored of a fine one (..., scale·h, scale·w) at this site."""
        noise = self.noise if noise is None else noise
        phase = np.exp(1j * coils.smooth_phase(fine.shape[-2:], rng)) if self.phase else 1.0
        coarse = kspace_crop(fine * phase, self.scale).astype(complex)
        if self.window:
            coarse = windowed(coarse, self.window)
        return coils.magnitude(coarse, noise / 100 * grid.intensity(fine)[1], rng, self.kind).astype(np.float32)

    def given(self, fine: Stack, key: int | str = 0) -> Stack:
        """The coarse stack (n, h, w) that a file of this site holds; same key, same phase and noise."""
        return self.made(fine, runtime.rng("site", key))

    def pair(self, image: Array, rng: Rng) -> tuple[Array, Array, float]:
        """A coarse slice, the fine one, and 0 (these networks are told of no noise): for ``training.Patches``."""
        fine = np.asarray(image, np.float32)
        if self.turns:
            fine = np.rot90(fine, int(rng.integers(4)))
            fine = fine[:, ::-1] if rng.random() < 0.5 else fine
        fine = np.maximum(grid.trim(fine, self.scale), 0) ** np.exp(rng.uniform(-1, 1) * np.log(self.gamma))
        if rng.random() < self.inverted:
            fine = np.maximum(1 - fine, 0)
        noise = float(rng.uniform(*self.noises)) if self.noises[1] else self.noise
        coarse = self.made(fine, rng, noise)
        if self.pairs_mirrored and rng.random() < 0.5:
            coarse, fine = coarse[:, ::-1], fine[:, ::-1]
        return coarse, fine, 0.0


def windowed(image: Stack, strength: float) -> Array:
    """An image (..., h, w) whose k-space was multiplied by a Hann window of a strength from 0 (none) to 1."""
    if not 0 <= strength <= 1:
        raise ValueError(f"the strength of a window lies between 0 and 1, not {strength!r}")
    return interpolation.weighted(image, lambda frequency: 1 - strength * 0.5 * (1 - np.cos(np.pi * frequency)))


def moved(image: Array, shifts: Array) -> Array:
    """The complex image of a slice whose patient moved while its lines were read.

    Parameters
    ----------
    image : array (h, w)
        Without motion, real or complex.
    shifts : array (h, 2)
        Where the patient lay when line k was read, in rows and columns (pixels, fractions allowed); lines in order of
        frequency, from the most negative one. One line is a row of k-space, so ghosts appear along the columns' axis.

    Raises
    ------
    ValueError
        If there is not one shift for every line.
    """
    h, w = image.shape
    if np.shape(shifts) != (h, 2):
        raise ValueError(f"give one shift (rows, columns) for each of the {h} lines, not {np.shape(shifts)}")
    rows = (np.arange(h) - h // 2)[:, None] / h
    columns = (np.arange(w) - w // 2)[None, :] / w
    down, across = np.asarray(shifts, float).T[..., None]
    return from_kspace(to_kspace(image) * np.exp(-2j * np.pi * (rows * down + columns * across)))
