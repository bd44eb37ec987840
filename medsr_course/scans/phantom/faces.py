"""Faces that never lived: a head's front as smooth bodies whose sizes are drawn per person.

The cohort's heads have no nose and no mouth. What is said about faces is measured on these instead. Sizes vary by 5 to
10 %, about as much as nose, jaw and cheeks of adults do; nobody's measurements are in them.
"""

from dataclasses import dataclass

import numpy as np

from medsr_course import runtime
from medsr_course.scans import volumes
from medsr_course.scans.phantom import fields
from medsr_course.types import Array, Image

SHAPE = (144, 112, 48)  # voxels (x, y, z): from ear to ear, from the temples to the tip of the nose, brow to chin
VOXEL = (1.0, 1.0, 3.0)  # mm
ORIGIN = (-72.0, 16.0, -132.0)  # MNI mm of voxel (0, 0, 0)
SIGNALS = {"T1w": (0.45, 1.0, 0.5), "T2w": (0.25, 0.6, 0.3)}  # skin, fat, muscle; air is 0


@dataclass(frozen=True)
class Visit:
    """One scan of a face: contrast, noise (σ per channel, share of the brightest tissue), how the head lay.

    ``degrees`` and ``shift`` (mm) turn and move the head about the middle of the volume.
    """

    contrast: str = "T1w"
    noise: float = 0.02
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


def affine() -> Array:
    """Returns the matrix voxel → MNI mm of a face's volume."""
    matrix = np.diag([*VOXEL, 1.0])
    matrix[:3, 3] = ORIGIN
    return matrix


def visit(person: str, number: int) -> Visit:
    """The number-th visit of a person: the first T1-weighted, the others T2-weighted, each lying in its own way."""
    rng = runtime.rng("face visit", person, number)
    degrees, shift = rng.normal(0, 2.5, 3), rng.normal(0, 3.0, 3)
    contrast = "T1w" if number == 0 else "T2w"
    return Visit(contrast, float(rng.uniform(0.01, 0.03)), tuple(degrees), tuple(shift))


def face(person: str, how: Visit | None = None) -> Image:
    """A person's face as a magnitude image; same person, same face.

    Parameters
    ----------
    person : str
        Any text; the face depends on it and on the seed of the run.
    how : Visit, optional
        By default the person's first visit.

    Returns
    -------
    nibabel image of :data:`SHAPE`, float32, about 0 to 1, in MNI mm
    """
    how = visit(person, 0) if how is None else how
    depth = _surface(person, _points(how))
    skin, fat, muscle = SIGNALS[how.contrast]
    inside = np.clip(0.5 - depth, 0, 1)
    signal = skin * inside + (fat - skin) * np.clip(-1.5 - depth, 0, 1) + (muscle - fat) * np.clip(-5.5 - depth, 0, 1)
    rng = runtime.rng("face noise", person, str(how))
    signal *= 1 + 0.08 * fields.band(rng, SHAPE, 6, 30)
    real, imaginary = rng.standard_normal((2, *SHAPE), dtype=np.float32) * np.float32(how.noise)
    return volumes.make_image(np.hypot(signal + real, imaginary).astype(np.float32), affine())


def _points(how: Visit) -> list[Array]:
    """Coordinates (mm) of every voxel in the head's own frame."""
    grid = np.ix_(*(np.arange(n) * v + o for n, v, o in zip(SHAPE, VOXEL, ORIGIN, strict=True)))
    centre = np.array(ORIGIN) + np.array(SHAPE) * VOXEL / 2
    a, b, c = np.radians(how.degrees)
    turn = (
        np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        @ np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    )
    at = [(p - o - s).astype(np.float32) for p, o, s in zip(grid, centre, how.shift, strict=True)]
    return [sum(float(turn[i, j]) * at[j] for j in range(3)) + float(centre[i]) for i in range(3)]


def _surface(person: str, at: list[Array]) -> Array:
    """Signed distance (mm, roughly) from the skin, negative inside."""
    rng = runtime.rng("face", person)

    def size(mean, spread=0.08):
        return mean * float(np.exp(rng.normal(0, spread)))

    def place(*mean):
        return [m + float(rng.normal(0, 2.0)) for m in mean]

    mirrored = [np.abs(at[0]), *at[1:]]
    brow, chin, eye, cheek = place(0, 78, -27), place(0, 72, -114), place(31, 87, -40), place(34, 60, -64)
    middle = _ellipsoid(at, (0, 46, -76), (size(48, 0.05), (front := size(44, 0.05)), size(44, 0.05)))
    front, root = 46 + front, brow[1] + 1
    skull = _ellipsoid(at, (0, 4, 12), (size(72, 0.03), size(86, 0.03), 92))
    jaw = _ellipsoid(at, (0, 20, -78), (size(58, 0.05), size(58, 0.04), size(54, 0.05)))
    out = _joined(_joined(skull, jaw, 14), middle, 14)
    out = _joined(out, _ellipsoid(at, chin, (size(20), size(16), size(14))), 12)
    out = _joined(out, _ellipsoid(mirrored, cheek, (size(20), size(20), size(18))), 16)
    out = _joined(out, _rod(mirrored, (size(10), *brow[1:]), (36, brow[1] - 8, brow[2]), size(7)), 10)
    out = -_joined(-out, _ellipsoid(mirrored, eye, (size(14), size(12), size(10))), 8)
    out = _joined(out, _ellipsoid(mirrored, (eye[0], eye[1] - 17, eye[2]), (12, 12, 12)), 2)
    tip = front + size(13, 0.15), -64 + float(rng.normal(0, 2.5))
    out = _joined(out, _rod(at, (0, root, brow[2] - 6), (0, tip[0] - 8, tip[1] + 4), size(8)), 7)
    out = _joined(out, _ellipsoid(at, (0, tip[0] - 9, tip[1]), (size(10), size(10), size(9))), 5)
    out = _joined(out, _ellipsoid(mirrored, (size(11), tip[0] - 14, tip[1] - 1), (size(7), size(10), size(7))), 4)
    mouth, wide = tip[1] - size(23), size(20)
    for height, thick in ((mouth + 4, size(5, 0.15)), (mouth - 5, size(5.5, 0.15))):
        out = _joined(out, _rod(mirrored, (0, front - 3, height), (wide, front - 12, height), thick), 3)
    return out


def _ellipsoid(at, centre, radii):
    scaled = sum(((a - c) / r) ** 2 for a, c, r in zip(at, centre, radii, strict=True))
    return (np.sqrt(scaled) - 1) * np.float32(min(radii))


def _rod(at, start, end, radius):
    way = [float(e - s) for e, s in zip(end, start, strict=True)]
    along = sum((a - s) * w for a, s, w in zip(at, start, way, strict=True)) / sum(w * w for w in way)
    along = np.clip(along, 0, 1)
    return np.sqrt(sum((a - s - along * w) ** 2 for a, s, w in zip(at, start, way, strict=True))) - np.float32(radius)


def _joined(one, other, width):
    """The union of two bodies, its seam rounded over ``width`` mm."""
    mix = np.clip(0.5 + 0.5 * (other - one) / width, 0, 1)
    return other + (one - other) * mix - width * mix * (1 - mix)
