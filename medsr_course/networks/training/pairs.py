"""Training pairs: HR slices made coarse on the fly, and patches cut from them.

Pair j is a function of (seed, j) alone and batch k of (seed, k): a training that was interrupted goes on from its
checkpoint as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from scipy import fft

from medsr_course import runtime
from medsr_course.physics import coils, grid
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.interpolation import zero_fill
from medsr_course.physics.noise import as_one_coil
from medsr_course.scans import volumes
from medsr_course.types import Array, Image, Rng

Slices = Sequence[Array]
BETWEEN = (0.2, 0.9)  # which part of a scan training slices are taken from


class TrainingError(runtime.CourseError):
    """A training that cannot go on; the message says what to change."""


@dataclass(frozen=True)
class Degradation:
    """How a training pair is made from a slice: always the slice first, then the patch."""

    scale: int
    # Noise of the reference in %, drawn log-uniformly; the coarse image is cropped from the *same* noisy k-space
    reference_noise: tuple[float, float] = (0.1, 2.0)
    noisy: float = 0.0  # share of pairs whose coarse image gets noise of its own: the network must take it away again
    # That noise in %, complex Gaussian before the magnitude, drawn log-uniformly
    noise: tuple[float, float] = (0.5, 8.0)
    # Share of pairs whose coarse image is what a file stores: the fine one gets a smooth phase, its complex k-space is
    # cropped and the magnitude comes last (:mod:`physics.coils`). The others are signed, as no file is
    stored: float = 0.0
    coils: float = 0.0  # share of the stored ones that eight coils measured, combined by their squares
    interpolated: float = 0.0  # share of the stored ones measured on a coarser grid and zero-filled to this one
    native: tuple[float, float] = (1.25, 2.0)  # how many times coarser that grid was, drawn uniformly
    # A slice is first made up to this much coarser (by k-space cropping), so that edges come in many widths
    shrink: float = 1.5
    window: float = 0.0  # share of slices whose k-space is apodised, as scanners do
    # Share of slices whose outer k-space is empty, beyond 0.5 … 1 of Nyquist with a soft edge (Fermi): scans that were
    # interpolated, or reconstructed with a smooth kernel. Nothing can be gained there, and much be lost
    unfilled: float = 0.0
    resliced: float = 0.0  # share of slices moved by a part of a voxel with linear interpolation, which softens them
    bits: float = 0.0  # share of slices rounded to 8 bits
    gamma: float = 1.3  # contrast is raised to a power drawn log-uniformly from 1/gamma … gamma
    inverted: float = 0.1  # share of slices whose contrast is inverted

    @property
    def most_noise(self) -> float:
        """The strongest noise a noise map holds, as a part of the intensity scale."""
        return max(self.reference_noise[1] / self.scale, self.noise[1] if self.noisy else 0) / 100

    def pair(self, image: Array, rng: Rng) -> tuple[Array, Array, float]:
        """Returns a coarse slice (h, w), the fine one (scale·h, scale·w), and the noise measurable in the coarse one.

        The noise, as a part of the intensity scale, is the coarse slice's own, with or without that of the reference:
        backgrounds may be zeroed.
        """
        image = np.rot90(image, int(rng.integers(4)))
        image = image[:, ::-1] if rng.random() < 0.5 else image
        image = self._history(image, rng)
        image = another_contrast(grid.trim(image, self.scale), self.gamma, self.inverted, rng)
        reference = log_uniform(rng, self.reference_noise) / 100
        fine = magnitude_noise(image, reference, rng)
        if rng.random() < self.bits:
            step = fine.max() / 255
            fine = np.round(fine / step) * step
        stored = bool(self.stored) and rng.random() < self.stored
        phase = np.exp(1j * coils.smooth_phase(fine.shape, rng)) if stored else 1
        coarse = kspace_crop(fine * phase, self.scale)
        known, own = reference / self.scale if rng.random() < 0.5 else 0.0, 0.0
        if rng.random() < self.noisy:
            own = log_uniform(rng, self.noise) / 100
        if stored:
            kind = rng.choice(coils.KINDS, p=[1 - self.coils - self.interpolated, self.coils, self.interpolated])
            coarse = coils.magnitude(coarse, own, rng, kind, native=rng.uniform(*self.native)).astype(np.float32)
            if kind == "chi":  # as networks receive it, see there
                coarse = as_one_coil(coarse, float(own * np.exp(rng.normal(0, 0.05))), coils.COILS)
        elif own:
            coarse = magnitude_noise(coarse, own, rng)
        if own:
            known = float(np.hypot(known, own)) * np.exp(rng.normal(0, 0.05))
        return coarse, fine, known

    def _history(self, image, rng):
        """What a file may have been through before anybody made it public: coarser k-space, a window, reslicing."""
        side = min(image.shape)
        size = rng.integers(int(side / self.shrink), side + 1) / side
        for axis in (0, 1):  # the same factor both ways, or nearly
            image = grid.crop_axis(image, round(image.shape[axis] * size), axis)
        if rng.random() < self.window:
            strength = rng.uniform(0.2, 1.0)
            spectrum = fft.rfft2(image)
            for axis in (0, 1):
                f = fft.fftfreq(image.shape[0]) if axis == 0 else fft.rfftfreq(image.shape[1])
                taper = 1 - strength * (1 - np.cos(np.pi * f))  # 1 in the centre, 1 − strength at the edge
                spectrum *= np.expand_dims(taper, 1 - axis)
            image = fft.irfft2(spectrum, image.shape)
        if rng.random() < self.unfilled:
            edge, width = rng.uniform(0.5, 1.0, 2) / 2, rng.uniform(0.005, 0.04)
            rows, columns = fft.fftfreq(image.shape[0])[:, None] / edge[0], fft.rfftfreq(image.shape[1]) / edge[1]
            fermi = 1 / (1 + np.exp(np.clip((np.hypot(rows, columns) - 1) * edge.mean() / width, -50, 50)))
            image = fft.irfft2(fft.rfft2(image) * fermi, image.shape)
        if rng.random() < self.resliced:
            for axis in (0, 1):
                part = rng.uniform(0, 0.5)
                image = (1 - part) * image + part * np.roll(image, 1, axis)
        return image


def magnitude_noise(image: Array, sigma: float, rng: Rng) -> Array:
    """Returns the magnitude of an image with complex Gaussian noise of standard deviation ``sigma``."""
    real, imaginary = sigma * rng.standard_normal((2, *image.shape), dtype=np.float32)
    return np.hypot(image + real, imaginary).astype(np.float32)


def another_contrast(image: Array, gamma: float, inverted: float, rng: Rng) -> Array:
    """Returns an image raised to a power from 1/gamma … gamma, and inverted with a probability."""
    image = np.maximum(image, 0) ** np.exp(rng.uniform(-1, 1) * np.log(gamma))
    return np.maximum(1 - image, 0) if rng.random() < inverted else image


def log_uniform(rng: Rng, interval: tuple[float, float]) -> float:
    """Returns a number between two others, drawn log-uniformly."""
    low, high = np.log(interval)
    return np.exp(rng.uniform(low, high))


@dataclass
class Pool:
    """Things that are costly to make and get used many times: the oldest is replaced every ``renew`` batches."""

    make: Callable[[int], Any]  # ``make(j)`` makes thing number j, a function of j alone
    size: int  # things held at a time
    renew: int  # batches between two new ones
    made: dict[int, Any] = field(default_factory=dict)

    def draw(self, k: int, n: int, rng: Rng) -> list:
        """Returns ``n`` things for batch number k, with repetition; those that are too old are let go."""
        newest = k // self.renew
        for j in [j for j in self.made if not newest <= j < newest + self.size]:
            del self.made[j]
        drawn = [int(j) for j in newest + rng.integers(self.size, size=n)]
        for j in drawn:
            if j not in self.made:
                self.made[j] = self.make(j)
        return [self.made[j] for j in drawn]


@dataclass
class Patches:
    """Batches of patches from a list of slices.

    Patches come from a pool of degraded slices: the Fourier transforms of a pair cost more than many cuttings.

    Returns
    -------
    image : float32 array (batch, size, size, 1), or (batch, s·size, s·size, 1) if ``zero_filled``
        With a second channel if ``noise_map``.
    residual : float32 array (batch, s·size, s·size, 1)
        Fine image less zero-filled coarse one.
    weight : float32 array (batch,)
        1 unless ``balanced``.
    """

    slices: Slices  # sequence of array (h, w): HR slices, magnitudes, each divided by its scan's 99.5th percentile
    degradation: Degradation
    _: KW_ONLY
    weights: Array | None = None  # probability of each slice; by default all alike
    size: int = 24  # side of a coarse patch
    batch: int = 16  # patches in a batch
    pool: int = 128  # degraded slices held at a time
    renew: int = 2  # steps between two new ones
    # Weigh each patch by :func:`balance` of its pair's residual: the loss is then the share of zero-filling's error
    # that is left, as PSNR in dB counts it, and noisy pairs do not drown the others
    balanced: bool = False
    zero_filled: bool = False  # the input is the zero-filled image, for networks that read it (:data:`models.ON_ZIP`)
    noise_map: bool = False  # the input has a second channel, the noise of the coarse image
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_nothing(self.slices)
        self.stock = Pool(self._pair, self.pool, self.renew)

    def __call__(self, k: int) -> tuple[Array, Array, Array]:
        rng = np.random.default_rng([self.seed, 1, k])
        images, residuals, weights = [], [], []
        for zipped, coarse, residual, centres, weight, known in self.stock.draw(k, self.batch, rng):
            s, size = self.degradation.scale, self.size
            row, column = divmod(int(centres[rng.integers(centres.size)]), coarse.shape[1])
            i, k = (int(np.clip(c - size // 2, 0, n - size)) for c, n in zip((row, column), coarse.shape, strict=True))
            fine = np.s_[s * i : s * (i + size), s * k : s * (k + size)]
            image = zipped[fine] if self.zero_filled else coarse[i : i + size, k : k + size]
            channels = [image, np.full_like(image, known)] if self.noise_map else [image]
            images.append(np.stack(channels, axis=-1))
            residuals.append(residual[fine])
            weights.append(weight)
        return np.stack(images), np.stack(residuals)[..., None], np.array(weights, np.float32)

    def _pair(self, j):
        rng = np.random.default_rng([self.seed, 0, j])
        coarse, fine, known = self.degradation.pair(chosen(self.slices, self.weights, rng), rng)
        if min(coarse.shape) < self.size:
            raise TrainingError(
                f"a coarse slice of {coarse.shape[0]}×{coarse.shape[1]} is smaller than a patch ({self.size}×"
                f"{self.size}): take smaller patches, a smaller scale, or larger slices"
            )
        zipped = zero_fill(coarse, self.degradation.scale)
        residual = fine - zipped
        inside = coarse > grid.IN_HEAD  # patch centres inside the head
        centres = np.flatnonzero(inside if inside.any() else np.ones_like(inside))
        weight = balance(residual[residual != 0] if residual.any() else residual) if self.balanced else 1.0
        return zipped, coarse, residual, centres, weight, known


def refuse_nothing(samples: Sequence, what: str = "slices") -> None:
    """Raises :class:`TrainingError` where there are no samples."""
    if not len(samples):
        raise TrainingError(f"there are no {what} to train on: check the data sets of the recipe")


def chosen(slices: Slices, weights: Array | None, rng: Rng) -> Array:
    """Returns one of the slices, drawn with these probabilities."""
    return np.asarray(slices[rng.choice(len(slices), p=weights)], np.float32)


def in_head(array: Array, sides: Sequence[int], rng: Rng) -> Array:
    """Returns a block of these sides at a random place, with its centre in the head if one of 30 is."""
    for _ in range(30):
        first = [int(rng.integers(n - side + 1)) for n, side in zip(array.shape, sides, strict=True)]
        block = array[tuple(slice(f, f + side) for f, side in zip(first, sides, strict=True))]
        if block[tuple(side // 2 for side in sides)] > grid.IN_HEAD:
            break
    return block.astype(np.float32)


def stacked(samples: Iterable[tuple]) -> tuple[Array, ...]:
    """Returns a batch of samples, each a tuple of arrays."""
    return tuple(np.stack(part) for part in zip(*samples, strict=True))


def balance(residual: Array) -> np.float32:
    """Returns 1 / (mean squared residual + (0.3 %)²): so weighed, the loss is the share of the error that is left."""
    return np.float32(1 / (float(np.mean(residual**2)) + 1e-5))


def scaled_slices(image: Image, n: int, between: tuple[float, float] = BETWEEN) -> Array:
    """Returns ``n`` axial slices of a scan, (n, h, w), divided by their intensity scale: what trainings cut up."""
    stack = volumes.axial_slices(image, n=n, between=between)
    return (stack / grid.intensity(stack)[1]).astype(np.float16)


def dead_leaves(n: int, size: int = 256, seed: int = 0) -> list[Array]:
    """Makes images without anatomy: discs and polygons that cover one another, as leaves on the ground do.

    Radii follow 1/r³, which gives natural images' spectrum (Lee, Mumford & Huang 2001). Each leaf has a grey value, a
    texture and, one in four, a gradient. float16 (size, size), 0 … about 1.2; background 0 in half of them.
    """
    from skimage.draw import disk, polygon

    images = []
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        image = np.full((size, size), 0.0 if rng.random() < 0.5 else rng.uniform(0.1, 0.9), np.float32)
        low, high = rng.uniform(1.0, 2.5), rng.uniform(20, 70)
        u = rng.random(int(rng.integers(150, 900)))
        radii = np.sort((low**-2 + u * (high**-2 - low**-2)) ** -0.5)[::-1]
        for radius in radii:  # small ones last, or the large ones would cover them all
            centre = rng.uniform(0, size, 2)
            if rng.random() < 0.5:
                rows, columns = disk(centre, radius, shape=image.shape)
            else:
                angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
                corners = centre[0] + radius * np.sin(angles), centre[1] + radius * np.cos(angles)
                rows, columns = polygon(*corners, image.shape)
            if not rows.size:
                continue
            value = np.full(rows.size, rng.uniform(0.0, 1.1), np.float32)
            if rng.random() < 0.25:
                value += rng.normal(0, 0.3) * (rows - centre[0]) / radius
            image[rows, columns] = value
        f = np.hypot(fft.fftfreq(size)[:, None], fft.rfftfreq(size))
        spectrum = fft.rfft2(rng.standard_normal(image.shape))
        texture = fft.irfft2(spectrum / np.maximum(f, 1 / size) ** rng.uniform(0.8, 1.8))
        image *= 1 + rng.uniform(0, 0.1) * texture / texture.std()
        # Antialiased, and as soft as a scan: leaves are drawn with hard pixel edges.
        softness = rng.uniform(0.5, 1.5)
        image = fft.irfft2(fft.rfft2(image) * np.exp(-2 * (np.pi * softness * f) ** 2), image.shape)
        images.append(np.maximum(image, 0).astype(np.float16))
    return images
