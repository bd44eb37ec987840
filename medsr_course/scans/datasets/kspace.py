"""Raw k-space that anyone can fetch: low-field heads with their 3 T partners, a brain of eight coils, a phantom of two.

Every file is looked for beside the folder of real scans first, then among the downloads of the catalogue.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue, rawfiles, scanfiles
from medsr_course.scans.datasets.downloads import unpacked
from medsr_course.scans.datasets.real import beside
from medsr_course.scans.rawfiles import RawData
from medsr_course.types import Array, Stack

LOW_FIELD = "low-field-heads"  # its name in the catalogue
CONTRASTS = {"T1w": "GRE", "T2w": "FSE", "FLAIR": "FLAIR"}  # → what its authors call it
_FIGURES = {"ulf-sub01": "6A", "ulf-sub02": "6B", "ulf-sub03": "7A", "ulf-sub04": "7B"}  # of their paper
_ARRAYS = {  # in the catalogue → pattern beside the real scans, axes
    "brain-8-coils": ("mc-brain8ch_*_kspace.npy", "coils readout phase"),
    "phantom-2-coils": ("mc-phantom2ch_*.dat", None),
}


@dataclass(frozen=True)
class LowFieldHead:
    """A patient's head at 0.055 T as raw k-space, and the clinical 3 T scan of the same slices.

    Attributes
    ----------
    id, split : str
        ``split`` is "train" for development, "test" for what is only reported.
    files, partners : dict of str to path
        Contrast ("T1w", "T2w", "FLAIR") → file.
    """

    id: str
    split: str
    files: dict[str, Path]
    partners: dict[str, Path]

    def raw(self, contrast: str) -> RawData:
        """Returns the k-space of four slices, one coil. ``fft2`` gives them the way round that :meth:`partner` is."""
        return rawfiles.read(self.files[contrast], axes="readout phase slices", transform="fft2")

    def partner(self, contrast: str) -> Stack:
        """Returns the 3 T magnitudes ``(4, h, w)``, row 0 at the bottom as in the course's figures.

        In a unit of their own, interpolated by that scanner, not registered; the pixel's size is not stored.
        """
        path = self.partners[contrast]
        if path.suffix == ".mat":  # as its authors published it: the same way round as fft2 of the k-space
            return _magnitudes(path)
        return np.asarray(scanfiles.read(path).dataobj, np.float32).transpose(2, 1, 0)[:, ::-1]


def low_field_heads() -> list[LowFieldHead]:
    """Returns four patients' heads at 0.055 T with their 3 T partners (Liu et al. 2021, CC0).

    Raises
    ------
    CourseError
        If they are not here: with the command that fetches them.
    """
    heads = []
    for name, figure in _FIGURES.items():
        place = f"*/Data for Figures in the Manuscript/Figure {figure}"
        files, partners = {}, {}
        for contrast, sequence in CONTRASTS.items():
            ours = contrast if contrast == sequence else contrast + sequence
            files[contrast] = _low_field(
                f"{name}_0p055T_{ours}_kspace.mat", f"{place}/0.055T/0.055T_{sequence}_kspace_postEMI.mat"
            )
            partners[contrast] = _low_field(f"{name}_3T_{contrast}.nii.gz", f"{place}/3T/3T_{contrast}.mat")
        heads.append(LowFieldHead(name, "test" if name == "ulf-sub04" else "train", files, partners))
    return heads


def raw(name: str) -> RawData:
    """Returns a scan of the catalogue as raw k-space.

    Parameters
    ----------
    name : {"brain-8-coils", "phantom-2-coils"}
        A brain, eight coils, one sample of eight measured (SigPy's tutorial); a structured phantom, two coils, every
        line measured (Siemens twix, of twixtools).

    Raises
    ------
    CourseError
        No such scan, or it is not here: with the command that fetches it.
    """
    if name not in _ARRAYS:
        raise CourseError(f"there is no raw scan {name!r}: choose one of {', '.join(_ARRAYS)}")
    pattern, axes = _ARRAYS[name]
    item = catalogue.entry(name)
    here = [*beside("kspace", pattern), *([item.path] if item.present else [])]
    if not here:
        raise CourseError(f"{name} is not here: `medsr data get {name}` downloads it first")
    return rawfiles.read(here[0], axes=axes)


def repetitions() -> dict[str, Array]:
    """Returns two repetitions of a low-field scan (0.055 T) each without and with shield, where they are here.

    "no shield", "shield" → complex images (2, n, h, w); {} where there are none.
    """
    found = {}
    for title, ours, theirs in (("no shield", "noshield", "No RF cage"), ("shield", "shield", "RF cage installed")):
        place = f"*/Data for Figures in the Manuscript/Supplementary Figure 3A/0.055T_FLAIR_{theirs}_2D kspace.mat"
        try:
            path = _low_field(f"ulf-noiseA_0p055T_FLAIR_{ours}_2rep_kspace.mat", place)
        except CourseError:
            continue
        scan = rawfiles.read(path, axes="readout phase slices repetitions", transform="fft2")
        found[title] = np.ascontiguousarray(scan.images()[:, :, 0].swapaxes(0, 1))
    return found


def _low_field(ours: str, theirs: str) -> Path:
    """A file beside the real scans, else in the archive of its authors."""
    here = beside("lowfield", ours)
    item = catalogue.entry(LOW_FIELD)
    if not here and item.present:
        here = sorted(unpacked(item).glob(theirs))
    if not here:
        raise CourseError(
            f"{LOW_FIELD} are not here: `medsr data get {LOW_FIELD} --accept-unverified` downloads them first"
        )
    return here[0]


def _magnitudes(path: Path) -> Stack:
    """The only array of a MATLAB file of images ``(h, w, n)``, as ``(n, h, w)``."""
    from medsr_course.scans.rawfiles.arrays import read_mat

    return np.abs(read_mat(path, None)).astype(np.float32).transpose(2, 0, 1)
