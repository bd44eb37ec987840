"""One real case that returns in the chapters, :func:`datasets.case`: what each chapter measures of it.

:func:`numbers` measures where this machine has the scans, and else returns what was measured before, with its date:
``results/case.csv``, which ``python -m tools.case`` makes.

>>> rows, note = numbers("file", None)
>>> rows[0]
['size', '124 × 160 × 140 voxels of 1.00 × 1.00 × 1.00 mm']
"""

from collections.abc import Callable, Iterator

import numpy as np

from medsr_course.leaderboard import methods, stored
from medsr_course.networks import pretrained
from medsr_course.physics import grid, interpolation, metrics, noise
from medsr_course.scans import volumes
from medsr_course.scans.datasets import Subject
from medsr_course.tasks import denoising, superresolution

Row = tuple[str, str]  # what, and its value with its unit
NETWORK = "srresnet-x2"


def numbers(part: str, subject: Subject | None) -> tuple[list[list[str]], str]:
    """Returns rows of what was measured and its value, and where and when.

    Parameters
    ----------
    part : {"file", "interpolation", "noise", "super-resolution"}
    subject : Subject or None
        :func:`datasets.case`. None: what was measured before.

    Raises
    ------
    CourseError
        No scans here and no ``results/``.
    """
    if subject is None:
        rows, note = stored.rows("case", part)
        return [[row["what"], row["value"]] for row in rows], f"Measured before: {note}."
    return [list(row) for row in PARTS[part](subject)], "Measured now, on this machine."


def file(subject: Subject) -> Iterator[Row]:
    """What the file of the T1w scan says, and what it does not say."""
    image = subject.contrasts["T1w"]
    size = " × ".join(f"{side:.2f}" for side in volumes.voxel_sizes(image))
    yield "size", " × ".join(map(str, image.shape)) + f" voxels of {size} mm"
    steps = image.affine[:3, :3] / volumes.voxel_sizes(image)
    tilt = np.degrees(np.arccos(steps[2, 2]))
    yield "angle between the slices' axis and the scanner's z", f"{tilt:.1f}°"
    values = np.asarray(image.dataobj)
    yield "different values in the file", f"{len(np.unique(values))}"
    yield "voxels that are exactly zero", f"{100 * np.mean(values == 0):.0f} %"


def interpolated(subject: Subject) -> Iterator[Row]:
    """How near classical methods come at ×2, from what is stored of it."""
    pair = superresolution.pair(subject.contrasts["T1w"], 2, key=f"{subject.id} T1w")
    for name in methods.names(2, learned=False):
        method = methods.get(name)
        yield method.title, f"{pair.psnrs(method(pair.given, 2))['psnr']:.2f} dB"


def noisy(subject: Subject) -> Iterator[Row]:
    """What its contrasts say of their own noise, and what a network makes of more."""
    for contrast, image in subject.contrasts.items():
        found = noise.estimate(volumes.axial_slices(image))
        level = grid.intensity(volumes.axial_slices(image))[1]
        low, high = found.between or (np.nan, np.nan)
        yield f"{contrast}: its own noise lies between", f"{100 * low / level:.1f} and {100 * high / level:.1f} %"
        pair = denoising.pair(image, 6, "rician", key=f"{subject.id} {contrast}", slices=3)
        made = pair.scores(pretrained.denoise("dncnn-magnitude", pair.given))["psnr_head"]
        gain = made - pair.scores(pair.given)["psnr_head"]
        yield f"{contrast}, 6 % added: the network over no filter, inside the head", f"{gain:+.2f} dB"


def finer(subject: Subject) -> Iterator[Row]:
    """What the shipped network gains at ×2, and where it does harm."""
    for contrast, image in subject.contrasts.items():
        pair = superresolution.pair(image, 2, key=f"{subject.id} {contrast}")
        base, made = interpolation.zero_fill(pair.given, 2), pretrained.super_resolve(NETWORK, pair.given)
        first, then = pair.psnrs(base), pair.psnrs(made)
        gains = [f"{then[key] - first[key]:+.2f}" for key in ("psnr", "psnr_head")]
        yield f"{contrast}: gain over ZIP, whole field / inside the head", " / ".join(gains) + " dB"
        inside = metrics.head_mask(pair.target, pair.pixel_size)
        farther = np.abs(made - pair.target)[inside] > np.abs(base - pair.target)[inside]
        yield f"{contrast}: voxels of the head that it moved away from the truth", f"{100 * farther.mean():.0f} %"
        kept = np.linalg.norm((made - pair.target)[inside]) / np.linalg.norm((base - pair.target)[inside])
        yield f"{contrast}: error inside the head that is left", f"{100 * kept:.0f} % of ZIP's"


PARTS: dict[str, Callable[[Subject], Iterator[Row]]] = {
    "file": file,
    "interpolation": interpolated,
    "noise": noisy,
    "super-resolution": finer,
}
