"""Complex k-space with five named axes, and the images it gives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medsr_course.physics.acquisition import from_kspace, to_kspace
from medsr_course.scans.scanfiles.errors import ScanError
from medsr_course.types import Array, Mask

AXES = ("slices", "repetitions", "coils", "readout", "phase")
TRANSFORMS = {"ifft2": from_kspace, "fft2": to_kspace}


@dataclass(frozen=True, eq=False)
class RawData:
    """Cartesian 2-D k-space of one scan, k = 0 in the middle of its last two axes.

    Attributes
    ----------
    kspace : complex array (slices, repetitions, coils, readout, phase)
        In the scanner's unit; 0 where nothing was measured.
    transform : {"ifft2", "fft2"}
        Which transform makes the image. The sign of the exponent is a convention that no array states. The wrong one
        turns the image by 180°: beside a scan that is the right way up, left and right are swapped.
    oversampling : float
        How many times wider than the image the readout was sampled (2 on most scanners). :meth:`images` cuts it off.
    spacing : (float, float) or None
        Size of an image's pixel along readout and phase, in mm, where the file tells it.
    """

    kspace: Array
    transform: str = "ifft2"
    oversampling: float = 1.0
    spacing: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            raise ScanError(f"transform must be ifft2 or fft2, not {self.transform!r}")
        if np.ndim(self.kspace) != len(AXES):
            raise ScanError(f"k-space has {np.ndim(self.kspace)} axes, not {len(AXES)}: {', '.join(AXES)}")

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each axis by its name."""
        return dict(zip(AXES, self.kspace.shape, strict=True))

    @property
    def measured(self) -> Mask:
        """Where k-space was measured, ``(readout, phase)``: False where every coil, slice and repetition holds 0."""
        return (self.kspace != 0).any(axis=(0, 1, 2))

    def images(self) -> Array:
        """Returns complex images ``(slices, repetitions, coils, h, w)`` by a centred, unitary transform.

        ``h`` is the readout without its oversampling, ``w`` the phase encoding; the type of numbers stays.
        """
        images = TRANSFORMS[self.transform](self.kspace).astype(self.kspace.dtype, copy=False)
        return _middle(images, self.oversampling)

    def without_oversampling(self) -> "RawData":
        """Returns the k-space of :meth:`images`: fewer samples along the readout, the same pixels."""
        back = {"ifft2": to_kspace, "fft2": from_kspace}[self.transform]
        kspace = back(self.images()).astype(self.kspace.dtype, copy=False)
        return replace(self, kspace=kspace, oversampling=1.0)


def _middle(images: Array, oversampling: float) -> Array:
    long = images.shape[-2]
    h = round(long / oversampling)
    first = long // 2 - h // 2
    return images[..., first : first + h, :]


def arranged(array: Array, axes: Sequence[str] | str | None, name: str, fill: float | None = None) -> Array:
    """Returns an array as ``(slices, repetitions, coils, readout, phase)``, checked; axes that it lacks have length 1.

    Parameters
    ----------
    array : array
    axes : sequence of str, str or None
        The name of each axis in the array's own order, ``"readout phase slices"``. None: ``(readout, phase)``.
    name : str
        The file's, for messages.
    fill : float, optional
        Put this where a sample is NaN or infinite. By default such a file is refused.

    Raises
    ------
    ScanError
        In one line: wrong rank, unknown or missing names, coils in the wrong axis, real numbers, only zeros, NaN.
    """
    array = np.asarray(array)
    names = _names(axes, array.shape, name)
    if not np.iscomplexobj(array):
        raise ScanError(
            f"{name} holds real numbers {array.shape}, and k-space is complex: is it an image? Two channels are joined "
            "by data[..., 0] + 1j * data[..., 1]"
        )
    order = [names.index(axis) for axis in AXES if axis in names]
    missing = [k for k, axis in enumerate(AXES) if axis not in names]
    kspace = np.expand_dims(np.transpose(array, order), missing)
    _plausible(kspace, name)
    bad = int(np.size(kspace) - np.isfinite(kspace).sum())
    if bad and fill is None:
        raise ScanError(
            f"{name}: {bad} of {kspace.size} samples are NaN or infinite: read it with fill=0 to put 0 there"
        )
    if bad and fill is not None:
        kspace = np.where(np.isfinite(kspace), kspace, fill).astype(kspace.dtype)
    if not kspace.any():
        raise ScanError(f"{name} holds nothing but zeros: nothing was measured, or another variable holds the data")
    return np.ascontiguousarray(kspace)


def _names(axes: Sequence[str] | str | None, shape: tuple[int, ...], name: str) -> list[str]:
    names = axes.replace(",", " ").split() if isinstance(axes, str) else list(axes or ())
    if not names and len(shape) == 2:
        return ["readout", "phase"]
    if not names:
        raise ScanError(
            f"{name} has {len(shape)} axes {shape}: name them in order, e.g. axes='coils readout phase'; "
            f"there are {', '.join(AXES)}"
        )
    if len(names) != len(shape):
        raise ScanError(f"{name} has {len(shape)} axes {shape}, and {len(names)} were named: {', '.join(names)}")
    strange = [axis for axis in names if axis not in AXES]
    if strange or len(set(names)) < len(names) or not {"readout", "phase"} <= set(names):
        raise ScanError(
            f"axes must be different names out of {', '.join(AXES)}, readout and phase among them, "
            f"not {', '.join(names)}"
        )
    return names


def _plausible(kspace: Array, name: str) -> None:
    """Refuse what is empty, and coils that are more than the samples of an axis: they stand in the wrong place."""
    _, _, coils, readout, phase = kspace.shape
    if min(kspace.shape) == 0:
        raise ScanError(f"{name} is empty: an axis of {dict(zip(AXES, kspace.shape, strict=True))} has no entry")
    if coils > 1 and coils > min(readout, phase):
        raise ScanError(
            f"{name} would have {coils} coils and {readout} × {phase} samples: the coils are another axis; "
            "name the axes in the file's own order"
        )
