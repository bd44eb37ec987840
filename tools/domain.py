"""What the judge of scans is worth: ``python -m tools.domain`` fits ``data/domain.json`` and writes ``results/domain.*``.

Development scans and the cohort only; the scans kept for reporting are measured last, as points, and nothing is chosen by
them. ``--report`` measures them and writes the results again without fitting. The unit is the person: the distance of a
person's scans comes from a fit without that person.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medsr_course import resources, runtime
from medsr_course.physics import bands, coils, grid
from medsr_course.pipeline.domain import pixels, score
from medsr_course.scans import datasets, scanfiles, volumes
from medsr_course.types import Array, Image, Stack

ROOT = Path(__file__).resolve().parent.parent
COHORT = 24  # subjects, one contrast each
ZOOMS = (1.25, 1.5, 2.0)
REFILLED = ("zero-filled", "zero-filled, windowed", "linear", "cubic")


class Case(NamedTuple):
    """One image: whether it is "head", "report", or a kind of image out of domain; whose; its slices."""

    group: str
    person: str
    name: str
    stack: Stack


# ------------------------------------------------------------------------------ images


def development(folder: Path) -> Iterator[tuple[str, str, Image]]:
    """Person, name and image of each development scan of a head."""
    real = folder / "real"
    for path in sorted(real.glob("ds002748/sub-*/anat/*_T1w.nii.gz")):
        yield path.name[:6], path.name[:-7], scanfiles.read(path)
    for path in sorted(real.glob("stroke-brain_*.nii.gz")):
        yield "stroke-brain", path.name[:-7], scanfiles.read(path)
    for path in sorted((folder / "clinical").glob("ms-long01_*.nii.gz")):
        yield "ms-long01", path.name[:-7], scanfiles.read(path)
    yield "t1w-child", "t1w-child", scanfiles.read(next((folder / "clinical").glob("t1w-child*.nii.gz")))
    yield "tumour-brain1", "tumour-brain1", _nrrd(folder / "clinical" / "tumour-brain1_image.nrrd")
    for path in sorted((folder / "lowfield").glob("ulf-sub0[123]_3T_*.nii.gz")):
        yield path.name[:9], path.name[:-7], scanfiles.read(path)


def reporting(folder: Path) -> Iterator[tuple[str, str, Image]]:
    """Person, name and image of each head that is kept for reporting."""
    for name in ("studyforrest-sub-02_T1w", "stroke-head_T2w", "adult-brain_T1w", "adult-head_T1w"):
        yield name.split("_")[0], name, scanfiles.read(folder / "real" / f"{name}.nii.gz")
    for path in sorted((folder / "clinical").glob("*-adult*.nii.gz")):
        yield path.name.split("_")[0], path.name[:-7], scanfiles.read(path)
    for path in sorted((folder / "lowfield").glob("ulf-sub04_3T_*.nii.gz")):
        yield "ulf-sub04", path.name[:-7], scanfiles.read(path)


def _nrrd(path: Path) -> Image:
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    return volumes.make_image(sitk.GetArrayFromImage(image).T.astype(np.float32), np.diag([*image.GetSpacing(), 1]))


def strangers(folder: Path) -> Iterator[tuple[str, str, Stack]]:
    """Kind, name and slices of images that are no heads, or not what a scanner's magnitude image holds."""
    yield from _photographs()
    yield from _made()
    for name in ("CT", "PET", "MR_T1"):
        image = scanfiles.read(folder / "fusion" / f"sts001_{name}_image.nii.gz")
        yield {"CT": "CT of a thigh", "PET": "PET", "MR_T1": "MR of a thigh"}[name], name, _slices(image)
    yield "CT of a head phantom", "phantom", _slices(scanfiles.read(folder / "real" / "head-phantom_CT.nii.gz"))
    yield from _lowfield(folder / "lowfield")


def _photographs() -> Iterator[tuple[str, str, Stack]]:
    import skimage.data
    from skimage import io

    home = Path(skimage.data.__file__).parent
    for name in ("astronaut.png", "camera.png", "coffee.png", "chelsea.png", "coins.png", "moon.png", "page.png",
                 "text.png", "brick.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "retina.jpg", "ihc.png",
                 "cell.png", "rocket.jpg", "motorcycle_left.png", "clock_motion.png"):  # fmt: skip
        if (home / name).exists():
            image = io.imread(home / name).astype(float)
            image = image[..., :3].mean(-1) if image.ndim == 3 else image
            yield "photographs", name, image[None, :320, :320]


def _made() -> Iterator[tuple[str, str, Stack]]:
    from medsr_course.networks.training.pairs import dead_leaves

    rng = np.random.default_rng(0)
    for k, leaves in enumerate(dead_leaves(8, size=192)):
        yield "dead leaves", f"leaves {k}", leaves.astype(float)[None]
    for k in range(4):
        yield "noise", f"noise {k}", np.abs(coils.complex_noise((2, 160, 160), rng))
    from skimage.data import shepp_logan_phantom

    phantom = shepp_logan_phantom()[None]
    yield "Shepp-Logan phantom", "phantom", np.abs(phantom + 0.02 * coils.complex_noise(phantom.shape, rng))


def _lowfield(folder: Path) -> Iterator[tuple[str, str, Stack]]:
    from scipy.io import loadmat

    for path in sorted(folder.glob("*.mat")):
        if "sub04" in path.name or "noiseA" in path.name:
            continue
        k = max((one for one in loadmat(path).values() if getattr(one, "ndim", 0) >= 2), key=np.size)
        image = np.abs(np.fft.fftshift(np.fft.fft2(k.reshape((*k.shape, 1)[:3]), axes=(0, 1)), axes=(0, 1)))
        kind = "phantom at 0.055 T" if "phantom" in path.name else "heads at 0.055 T"
        yield kind, path.stem, np.moveaxis(image, 2, 0)


def _slices(image: Image) -> Stack:
    """The slices that the judge takes the distance of."""
    data, _, across, _ = _opened(image)
    return pixels.middle(data, across)


def _opened(image: Image) -> Any:
    from medsr_course.pipeline.domain.judging import _opened as opened

    return opened(image)


def cohort() -> Iterator[tuple[str, str, Image]]:
    """One contrast of each synthetic subject, in turn."""
    for k, subject in enumerate(datasets.load("cohort", n_subjects=COHORT, seed=0)):
        contrast = list(datasets.CONTRASTS)[k % len(datasets.CONTRASTS)]
        yield subject.id, f"{subject.id} {contrast}", subject.contrasts[contrast]


# ------------------------------------------------------------------------------ bands


def native(planes: Stack, key: str) -> Array:
    """Planes (n, along, across), complex, on half the grid along both axes: filled to the end by construction."""
    phase = coils.smooth_phase(planes.shape[1:], runtime.rng("domain", key))
    z = planes * np.exp(1j * phase)
    for axis in (1, 2):
        size = int(z.shape[axis] * 0.5) // 2 * 2
        if size >= bands.LEAST:
            z = grid.crop_axis(z, size, axis)
    return z


def refilled(z: Array, how: str, zoom: float) -> Stack:
    """The magnitude of complex planes on a grid ``zoom`` × finer along axis 1, in one of the ways of :data:`REFILLED`."""
    from scipy.interpolate import make_interp_spline

    n = z.shape[1]
    if how.startswith("zero"):
        if how.endswith("windowed"):
            f = np.abs(np.fft.fftfreq(n)) * 2
            taper = np.where(f < 0.7, 1, 0.5 + 0.5 * np.cos(np.pi * (f - 0.7) / 0.3))
            z = np.fft.ifft(np.fft.fft(z, axis=1) * taper[None, :, None], axis=1)
        return np.abs(grid.pad_axis(z, round(n * zoom), 1))
    places = np.arange(int((n - 1) * zoom) + 1) / zoom
    return make_interp_spline(np.arange(n), np.abs(z), k=1 if how == "linear" else 3, axis=1)(places)
