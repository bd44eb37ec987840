"""BIDS folders: the scans they hold with what their sidecars say, and results as a derivative dataset."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsr_course import __version__, runtime
from medsr_course.runtime import CourseError
from medsr_course.types import PathLike

VERSION = "1.10.0"  # of BIDS
README = """Results of `medsr enhance`: research, not for diagnosis.

desc-medsr: what a network estimated. desc-zip: the same grid without a network. desc-added: the first less the second,
so what the network added. Do a study on desc-zip, too: what only shows on desc-medsr was not measured.
"""
IGNORED = "*.html\n*.csv\noutputs.tsv\n"
_NAME = re.compile(r"((?:[a-z]+-[a-zA-Z0-9]+_)+)([a-zA-Z0-9]+)(\.nii(?:\.gz)?|\.json)")
_PERSONAL = re.compile(
    "Patient(?!Position)|Date|UID|Serial|Instit|Operator|Physician|Accession|StudyID|AcquisitionTime|Station|Name$|Comment"
)
_STALE = re.compile("SliceTiming|IntendedFor|AcquisitionMatrix|ReconMatrix|BaseResolution|Source|Description$")


@dataclass(frozen=True, eq=False)
class Scan:
    """An image of a BIDS dataset: its ``entities`` (sub, ses, acq …) in order, its suffix (T1w …), its metadata."""

    path: Path
    root: Path
    entities: dict[str, str]
    suffix: str
    sidecar: dict[str, Any]

    @property
    def inside(self) -> str:
        """Its place in the dataset."""
        return self.path.relative_to(self.root).as_posix()


def scans(folder: PathLike, datatypes: tuple[str, ...] = ("anat",)) -> list[Scan]:
    """Returns the images of a BIDS dataset, sorted by subject and name; derivatives in it are not searched.

    Parameters
    ----------
    folder : path
        Holds ``sub-…/[ses-…/]anat/sub-…_T1w.nii.gz`` and the like.
    datatypes : tuple of str
        Folders of a subject to look into.

    Raises
    ------
    CourseError
        If there is none, or a sidecar cannot be read.
    """
    root = Path(folder)
    found = []
    for path in sorted(root.glob("sub-*/**/*.nii*")):
        match = _NAME.fullmatch(path.name)
        if match and path.parent.name in datatypes and path.is_file():
            entities = _entities(match)
            found.append(Scan(path, root, entities, match[2], _metadata(root, path, entities, match[2])))
    if not found:
        raise CourseError(f"{root} holds no sub-…/{datatypes[0]}/sub-…_T1w.nii.gz or the like: is it a BIDS dataset?")
    return found


def names(scan: Scan, out: Path, *, finer: str = "", labels: bool = False) -> list[Path]:
    """Returns the image files of a result in a derivative dataset, the result first.

    Parameters
    ----------
    scan : Scan
    out : Path
        Folder of the derivative dataset.
    finer : str
        What ``res-`` says of it, e.g. "x2"; "" on the scan's own grid.
    labels : bool
        The result is a segmentation, which is one file.

    Raises
    ------
    CourseError
        If the folder is a dataset of another kind, or the scan's own.
    """
    if out.resolve() == scan.root.resolve():
        own = out / "derivatives" / "medsr"
        raise CourseError(f"{out} is the dataset itself: name a folder of its own, e.g. {own}")
    _described(scan, out)
    kept = {key: value for key, value in scan.entities.items() if key not in ("res", "desc")}
    if resolution := scan.entities.get("res", "") + finer:
        kept["res"] = resolution
    stem = "_".join(f"{key}-{value}" for key, value in kept.items()) + f"_desc-{scan.entities.get('desc', '')}"
    folder = out / scan.path.parent.relative_to(scan.root)
    if labels:
        return [folder / f"{stem}medsr_dseg.nii.gz"]
    return [folder / f"{stem}{what}_{scan.suffix}.nii.gz" for what in ("medsr", "zip", "added")]


def describe(
    scan: Scan,
    out: Path,
    images: Mapping[Path, str],
    *,
    provenance: Mapping[str, Any],
    resolution: str = "",
    spacing: float | None = None,
) -> list[Path]:
    """Writes what belongs to the images of a result: their sidecars, and the description of the dataset.

    An existing derivative dataset is added to: its description keeps what it says. ``SkullStripped``, which BIDS asks
    for, is False where the source does not say.

    Parameters
    ----------
    scan : Scan
        What they were made of.
    out : Path
        Folder of the derivative dataset.
    images : mapping
        What each of the files is, in words.
    provenance : mapping
        What was done.
    resolution : str
        The voxels in words, where they are finer than the scan's.
    spacing : float, optional
        Distance between slices in mm, where they were made thinner.

    Returns
    -------
    list of Path
        The sidecars.
    """
    introduce(scan, out)
    kept = {key: value for key, value in scan.sidecar.items() if not (_PERSONAL.search(key) or _STALE.search(key))}
    if spacing:
        kept |= {key: spacing for key in ("SliceThickness", "SpacingBetweenSlices") if key in kept}
    about = {
        **kept,
        "Sources": [f"bids:raw:{scan.inside}"],
        "SkullStripped": bool(scan.sidecar.get("SkullStripped", False)),
        "Provenance": dict(provenance),
        **({"Resolution": resolution} if resolution else {}),
    }
    sidecars = {file.with_name(file.name.replace(".nii.gz", ".json")): what for file, what in images.items()}
    for file, what in sidecars.items():
        _put_json(file, {"Description": f"{what}; research, not for diagnosis", **about})
    return list(sidecars)


def introduce(scan: Scan, out: Path) -> None:
    """Write what a derivative dataset says of itself; what it says already stays."""
    for name, content in (("README", README), (".bidsignore", IGNORED)):
        if not (out / name).exists():
            runtime.write_text(out / name, content)
    described = _described(scan, out)
    if described != _read(out / "dataset_description.json"):
        _put_json(out / "dataset_description.json", described)


def _described(scan: Scan, out: Path) -> dict[str, Any]:
    """The description of the derivative dataset, as it has to be; what it says already stays."""
    file = out / "dataset_description.json"
    found = _read(file)
    if found and found.get("DatasetType") != "derivative":
        raise CourseError(f"{out} holds a dataset that is no derivative: choose another folder")
    try:
        place = Path(os.path.relpath(scan.root.resolve(), out.resolve())).as_posix()
    except ValueError:  # another drive
        place = scan.root.resolve().as_uri()
    links = found.get("DatasetLinks", {})
    if links.get("raw", place) != place:
        raise CourseError(f"{out} holds results of another dataset ({links['raw']}): choose another folder")
    by = {"Name": "medsr", "Version": __version__, "Description": "medsr enhance: research, not for diagnosis"}
    raw = _read(scan.root / "dataset_description.json")
    origin = {"URL": place, **({"DOI": raw["DatasetDOI"]} if raw.get("DatasetDOI") else {})}
    generated, sources = found.get("GeneratedBy", []), found.get("SourceDatasets", [])
    return {
        "Name": f"{raw.get('Name') or scan.root.resolve().name}, enhanced",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        **({"License": raw["License"]} if raw.get("License") else {}),
        **found,
        "GeneratedBy": generated + [by] * (by not in generated),
        "SourceDatasets": sources + [origin] * (origin not in sources),
        "DatasetLinks": {**links, "raw": place},
    }


def _entities(match: "re.Match[str]") -> dict[str, str]:
    return dict(part.split("-", 1) for part in match[1].rstrip("_").split("_"))


def _metadata(root: Path, path: Path, entities: dict[str, str], suffix: str) -> dict[str, Any]:
    """What the sidecars of an image and of the folders above it say: the nearer, the more particular, wins."""
    found: dict[str, Any] = {}
    levels = [folder for folder in (path.parent, *path.parent.parents) if folder == root or root in folder.parents]
    for folder in reversed(levels):
        fitting = []
        for file in folder.glob(f"*{suffix}.json"):
            match = _NAME.fullmatch(file.name)
            theirs = _entities(match) if match and match[2] == suffix else {}
            if (theirs or file.name == f"{suffix}.json") and theirs.items() <= entities.items():
                fitting.append((len(theirs), file.name, file))
        for *_, file in sorted(fitting):
            found |= _read(file)
    return found


def _read(file: Path) -> dict[str, Any]:
    """What a JSON file says; nothing where it is missing."""
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise CourseError(f"{file} cannot be read ({error}): correct it") from None
    if not isinstance(found, dict):
        raise CourseError(f"{file} holds no names with values: correct it")
    return found


def _put_json(file: Path, content: dict[str, Any]) -> None:
    runtime.write_text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
