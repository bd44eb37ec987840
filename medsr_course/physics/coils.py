r"""What a scanner's file holds: a magnitude made from complex data of one coil or several, or on a finer grid.

The object is complex, m e^{iφ} with a smooth phase; its *complex* k-space is cropped, every coil adds complex Gaussian
noise, and a magnitude is taken. Three kinds of noise, :data:`KINDS`:

* ``"rician"`` – one coil: Rice's distribution;
* ``"chi"`` – eight coils, the root of the sum of their squares: the non-central χ distribution;
* ``"interpolated"`` – one coil, measured on a native grid 1.5 times coarser and zero-filled as complex data before the
  magnitude: neighbours' noise is correlated.

Order of the axes: u runs along the columns and v along the rows, both from −1 to 1 over the field.
"""

import numpy as np

from medsr_course import runtime
from medsr_course.physics import grid
from medsr_course.physics.acquisition import kspace_crop
from medsr_course.physics.noise import noise_sigma
from medsr_course.types import Array, ArrayLike, Rng, Stack

KINDS = ("rician", "chi", "interpolated")
COILS = 8  # of "chi"
NATIVE = 1.5  # how many times coarser than its file an "interpolated" scan was measured


def _field(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Coordinates u, v from −1 to 1 over a field, ``(1, w)`` and ``(h, 1)``."""
    h, w = shape
    return np.linspace(-1, 1, w)[None, :], np.linspace(-1, 1, h)[:, None]


def smooth_phase(shape: tuple[int, int], rng: Rng) -> Array:
    r"""Phase of the object, :math:`\varphi = c_0 + 1.5 c_1 u + 1.5 c_2 v + c_3 uv + c_4 u^2 + c_5 v^2`, c ~ N(0, 1).

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the *fine* field.
    rng : numpy.random.Generator

    Returns
    -------
    array (h, w)
        Radians.

    >>> smooth_phase((5, 4), np.random.default_rng(0)).shape
    (5, 4)
    """
    c = rng.standard_normal(6)
    u, v = _field(shape)
    return c[0] + 1.5 * c[1] * u + 1.5 * c[2] * v + c[3] * u * v + c[4] * u**2 + c[5] * v**2


def sensitivities(shape: tuple[int, int], coils: int = COILS) -> Array:
    r"""How strongly each coil hears a pixel: :math:`e^{-|r - r_k|^2/1.6}`, scaled to :math:`\sum_k s_k^2 = 1`.

    The coils :math:`r_k` are evenly spread over the unit circle. As their squares add up to 1 everywhere, the root of
    the sum of squares of a noise-free image is the image itself.

    Returns
    -------
    array (coils, h, w)

    >>> bool(np.allclose((sensitivities((6, 7)) ** 2).sum(axis=0), 1))
    True
    """
    u, v = _field(shape)
    angle = 2 * np.pi * np.arange(coils)[:, None, None] / coils
    heard = np.exp(-((u - np.cos(angle)) ** 2 + (v - np.sin(angle)) ** 2) / 1.6)
    return heard / np.sqrt((heard**2).sum(axis=0))


def native_shape(shape: tuple[int, int], ratio: float = NATIVE) -> tuple[int, int]:
    """Rows and columns of a grid ``ratio`` times coarser, rounded.

    >>> native_shape((192, 161))
    (128, 107)
    """
    if not ratio >= 1:
        raise ValueError(f"the native grid must be coarser, ratio ≥ 1, not {ratio!r}")
    return max(round(shape[0] / ratio), 1), max(round(shape[1] / ratio), 1)


def to_native(stack: Stack, shape: tuple[int, int]) -> Stack:
    """The lowest frequencies of ``(..., h, w)`` alone, on the grid ``shape`` that holds just them; complex or real.

    >>> to_native(np.ones((1, 6, 9)), (4, 6)).shape
    (1, 4, 6)
    """
    return grid.crop_axis(grid.crop_axis(stack, shape[0], -2), shape[1], -1)


def from_native(stack: Stack, shape: tuple[int, int]) -> Stack:
    """Zero-filling to the finer grid ``shape``, as a scanner does it: of complex data, before the magnitude.

    >>> from_native(np.ones((1, 4, 6)), (6, 9)).shape
    (1, 6, 9)
    """
    return grid.pad_axis(grid.pad_axis(stack, shape[0], -2), shape[1], -1)


def complex_noise(shape: tuple[int, ...], rng: Rng) -> Array:
    """Complex Gaussian noise of σ = 1 in each channel, independent from sample to sample.

    >>> complex_noise((2, 3), np.random.default_rng(0)).shape
    (2, 3)
    """
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def magnitude(
    image: Stack, sigma: ArrayLike, rng: Rng, kind: str = "rician", *, coils: int = COILS, native: float = NATIVE
) -> Stack:
    r"""The magnitude that a file holds of a complex image, with noise of one of :data:`KINDS`.

    * rician: :math:`|x + \sigma n|`;
    * chi: :math:`\sqrt{\sum_k |s_k x + \sigma n_k|^2}`, s the :func:`sensitivities`;
    * interpolated: :math:`|Z (C x + \sigma n)|`, C crops to the native grid and Z zero-fills. Image and noise are
      band-limited; the root-mean-square noise per pixel stays σ.

    Parameters
    ----------
    image : complex array (n, h, w)
    sigma : array (n, 1, 1) or float
        Standard deviation in each channel of each coil, in the unit of ``image``.
    rng : numpy.random.Generator
    kind : {"rician", "chi", "interpolated"}
    coils : int
        For "chi".
    native : float
        For "interpolated": how many times coarser the native grid is.

    Returns
    -------
    array (n, h, w)
        Never negative.

    >>> magnitude(np.full((1, 2, 2), 3 + 4j), 0.0, np.random.default_rng(0), "chi").round(6)
    array([[[5., 5.],
            [5., 5.]]])
    """
    image = np.asarray(image)
    if kind == "rician":
        return np.abs(image + sigma * complex_noise(image.shape, rng))
    if kind == "interpolated":
        small = to_native(image.astype(complex), native_shape(image.shape[-2:], native))
        return np.abs(from_native(small + sigma * complex_noise(small.shape, rng), image.shape[-2:]))
    if kind == "chi":
        heard = sensitivities(image.shape[-2:], coils)
        each = (s * image + sigma * complex_noise(image.shape, rng) for s in heard)
        return np.sqrt(sum(np.abs(one) ** 2 for one in each))
    raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")


def object_of(fine: Stack, key: int | str = 0) -> Stack:
    r"""The complex object :math:`m\,e^{i\varphi}` of a magnitude ``(n, h, w)``; one :func:`smooth_phase` a key.

    >>> bool(np.allclose(np.abs(object_of(np.full((2, 4, 4), 3.0), "a")), 3))
    True
    """
    return fine * np.exp(1j * smooth_phase(np.shape(fine)[-2:], runtime.rng("phase", key)))


def stored(
    fine: Stack,
    scale: int,
    key: int | str = 0,
    *,
    noise: float = 0.0,
    kind: str = "rician",
    coils: int = COILS,
    native: float = NATIVE,
) -> Stack:
    r"""What a file holds of a scan ``scale`` × coarser: :math:`|\mathrm{crop}(m\,e^{i\varphi}) + \sigma n|`.

    A scanner's k-space is of a complex object, so that its crop is complex and the magnitude comes last. The
    :func:`acquisition.kspace_crop` of m itself is real and signed, which no file is.

    Parameters
    ----------
    fine : array (n, h, w)
        Magnitudes; sides divisible by ``scale``.
    scale : int
    key : int or str
        Of the scan: same key, same phase and same noise.
    noise : float
        In %: σ in each channel of each coil, in % of the 99.5th percentile of the clean coarse slice.
    kind, coils, native
        See :func:`magnitude`.

    Returns
    -------
    array (n, h / scale, w / scale)
        Never negative, the unit of ``fine``.

    >>> stored(np.ones((1, 6, 8)), 2, "a").shape
    (1, 3, 4)
    """
    coarse = kspace_crop(object_of(fine, key), scale)
    sigma = noise_sigma(coarse, noise)
    rng = runtime.rng("stored", key, kind, round(noise * 1000))
    return magnitude(coarse, sigma, rng, kind, coils=coils, native=native)
