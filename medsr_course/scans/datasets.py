"""One loader for every source of scans: subjects with contrasts, labels and lesions.

>>> subjects = load("mni152")
>>> subjects
<Subjects mni152: 1 subject (1 test), contrasts T1w>
>>> subjects[0].contrasts["T1w"].shape
(197, 233, 189)
"""

import csv
import functools
import gzip
import inspect
import os
import shutil
import tarfile
import weakref
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medsr_course import resources, runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue, scanfiles, volumes

SPLITS = ("train", "validation", "test")
CONTRASTS = ("T1w", "T2w", "PDw", "FLAIR")


class Images(Mapping):
    """Contrast name → nibabel image, read from disk when asked for.

    An image that is still in use is not read twice; one that is no longer in use frees its memory.
    """

    def __init__(self, readers):
        self._readers = dict(readers)
        self._alive = weakref.WeakValueDictionary()

    def __getitem__(self, name):
        if name not in self._readers:
            raise CourseError(f"there is no contrast {name!r}: there is {', '.join(self._readers) or 'none'}")
        image = self._alive.get(name)
        if image is None:
            self._alive[name] = image = self._readers[name]()
        return image

    def get(self, name, default=None):
        return self[name] if name in self._readers else default

    def __contains__(self, name):
        return name in self._readers

    def __iter__(self):
        return iter(self._readers)

    def __len__(self):
        return len(self._readers)

    def __repr__(self):
        return f"<Images {', '.join(self)}>"


class Subject:
    """One person (or phantom): registered images and what is known about them.

    Attributes
    ----------
    id : str
        E.g. ``"sub-0003"``.
    contrasts : mapping of str to nibabel.Nifti1Image
        ``"T1w"``, ``"T2w"``, ``"PDw"``, ``"FLAIR"``: those there are; float32; read on access.
    labels : nibabel.Nifti1Image or None
        Tissue labels, whole numbers.
    label_names : dict of int to str
    lesions : nibabel.Nifti1Image or None
        Lesion mask, 0 or 1.
    split : {"train", "validation", "test"}
    """

    def __init__(self, id, contrasts, *, labels=None, lesions=None, split="test", label_names=None):
        if split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, not {split!r}")
        self.id, self.split = id, split
        self.contrasts = Images(contrasts)
        self.label_names = dict(label_names or {})
        self._extra = Images({k: v for k, v in (("labels", labels), ("lesions", lesions)) if v is not None})

    @property
    def labels(self):
        return self._extra.get("labels")

    @property
    def lesions(self):
        return self._extra.get("lesions")

    def __repr__(self):
        return f"<Subject {self.id} ({self.split}): {', '.join([*self.contrasts, *self._extra])}>"


class Subjects(Sequence):
    """Subjects of one data set; index by number, slice, or id."""

    def __init__(self, subjects, name):
        self._subjects, self.name = tuple(subjects), name

    def __getitem__(self, key):
        if isinstance(key, slice):
            return Subjects(self._subjects[key], self.name)
        if isinstance(key, str):
            for subject in self._subjects:
                if subject.id == key:
                    return subject
            raise CourseError(f"{self.name} has no subject {key!r}: there is {_listed(self.ids)}")
        return self._subjects[key]

    def __len__(self):
        return len(self._subjects)

    @property
    def ids(self):
        """The subjects' names, in order."""
        return [subject.id for subject in self._subjects]

    def select(self, split):
        """The subjects of one split: ``"train"``, ``"validation"`` or ``"test"``."""
        if split not in SPLITS:
            raise CourseError(f"there is no split {split!r}: choose one of {', '.join(SPLITS)}")
        return Subjects((s for s in self._subjects if s.split == split), self.name)

    def __repr__(self):
        counts = [f"{n} {s}" for s in SPLITS if (n := sum(x.split == s for x in self._subjects))]
        contrasts = dict.fromkeys(name for s in self._subjects for name in s.contrasts)
        noun = "subject" if len(self) == 1 else "subjects"
        return (
            f"<Subjects {self.name}: {len(self)} {noun} ({', '.join(counts) or 'none'}), "
            f"contrasts {', '.join(contrasts) or 'none'}>"
        )


def _listed(names, most=8):
    names = list(names)
    return ", ".join(names[:most]) + (f" … {names[-1]}" if len(names) > most else "")


def load(name, **options):
    """The subjects of a data set; makes or downloads what is not there yet.

    Parameters
    ----------
    name : str
        ``"mni152"``
            the ICBM 2009a average of 152 brains that nilearn brings along: smooth, and nobody's brain;
        ``"cohort"``
            the synthetic cohort. Options: ``n_subjects=24``, ``seed=0``. Made at first use, kept in the cache;
        ``"bids"``
            your own. Option: ``path``, a folder laid out by BIDS (``sub-…/anat/sub-…_T1w.nii.gz``);
        ``"ds002748"``
            real brains, CC0: the folder of :func:`real_folder` where there is one, else one subject
            from the network;
        or a name of :func:`catalogue.entries` that has a loader, once it is downloaded.
    **options
        Of the data set, as above.

    Returns
    -------
    Subjects

    Raises
    ------
    CourseError
        No such data set, folder, network, disk space …: in a line, with the remedy.
    """
    if name in _LOADERS:
        loader = _LOADERS[name]
    else:
        item = catalogue.entries().get(name)
        if item is None or item.loader is None:
            own = f": it is one file, {item.filename}; open it yourself" if item else ""
            known = [*_LOADERS, *(k for k, v in catalogue.entries().items() if v.loader and k not in _LOADERS)]
            raise CourseError(f"there is no data set {name!r} to load{own}: choose one of {', '.join(known)}")
        loader = _from_catalogue(item)
    try:
        inspect.signature(loader).bind(**options)
    except TypeError:
        known = ", ".join(inspect.signature(loader).parameters) or "none"
        raise CourseError(f"data set {name!r} takes these options: {known}; not {', '.join(options)}") from None
    return loader(**options)


def _load_mni152():
    subject = Subject(
        "mni152",
        {"T1w": lambda: scanfiles.read(resources.template("t1"))},
        labels=_mni152_labels,
        split="test",
        label_names={0: "background", 1: "CSF and other", 2: "grey matter", 3: "white matter"},
    )
    return Subjects([subject], "mni152")


def _mni152_labels():
    """Tissue with the largest share, from the template's grey- and white-matter maps (0 to 255)."""
    head, grey, white = (scanfiles.read(resources.template(name)) for name in ("t1", "gm", "wm"))
    shares = [np.asarray(image.dataobj) for image in (grey, white)]
    shares.insert(0, 255 - shares[0] - shares[1])
    labels = np.where(np.asarray(head.dataobj) > 0, np.argmax(shares, axis=0) + 1, 0)
    return volumes.make_image(labels.astype(np.int16), head.affine, like=head)


# The synthetic cohort


def cohort_folder(seed=0):
    """Where the cohort of a seed is kept; the generator's version is in its name."""
    from medsr_course.scans import phantom

    return runtime.cache_dir() / f"cohort-v{phantom.VERSION}-seed{int(seed)}"


def cohort_size(seed=0, n_subjects=None):
    """How many subjects of the cohort are there already (among the first ``n_subjects``)."""
    folder = cohort_folder(seed)
    present = [path for path in folder.glob("sub-*") if path.is_dir() and _is_whole(folder, path.name)]
    if n_subjects is None:
        return len(present)
    wanted = {_cohort_id(i) for i in range(n_subjects)}
    return sum(path.name in wanted for path in present)


def _load_cohort(n_subjects=24, seed=0):
    if int(n_subjects) != n_subjects or n_subjects < 1:
        raise CourseError(f"n_subjects must be a whole number of at least 1, not {n_subjects!r}")
    from medsr_course.scans import phantom

    folder = cohort_folder(seed)
    if cohort_size(seed, n_subjects) < n_subjects:
        try:
            # A second notebook waits here, and finds the subjects made.
            with catalogue.locked(folder / ".lock"):
                if cohort_size(seed, n_subjects) < n_subjects:
                    _drop_damaged(folder)
                    phantom.make_cohort(folder, n_subjects, seed)
        except OSError as error:
            raise CourseError(
                f"the cohort cannot be made in {folder} ({error.strerror or error}): "
                "free some space, or point MEDSR_CACHE at another folder"
            ) from None
    splits = {_cohort_id(i): cohort_split(i) for i in range(n_subjects)}
    return Subjects(_bids_subjects(folder, splits), "cohort")


def cohort_split(index):
    """Split of cohort subject ``index``: every sixth for validation, every sixth for the test.

    >>> [cohort_split(i) for i in range(6)]
    ['train', 'train', 'train', 'train', 'validation', 'test']
    """
    return {4: "validation", 5: "test"}.get(index % 6, "train")


def _cohort_id(index):
    return f"sub-{index:04d}"


def _drop_damaged(folder):
    """Remove subjects that somebody took a file from, so that they are made anew."""
    for path in folder.glob("sub-*"):
        if path.is_dir() and not _is_whole(folder, path.name):
            shutil.rmtree(path)
            shutil.rmtree(folder / "derivatives" / "labels" / path.name, ignore_errors=True)


def _is_whole(folder, name):
    anat = folder / name / "anat"
    labels = folder / "derivatives" / "labels" / name / "anat"
    return all((anat / f"{name}_{c}.nii.gz").is_file() for c in CONTRASTS) and all(
        (labels / f"{name}_{suffix}.nii.gz").is_file() for suffix in ("dseg", "label-lesion_mask")
    )


# BIDS folders, one's own and others'


def _load_bids(path):
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise CourseError(f"{folder} is not a folder: give the folder that holds sub-…")
    subjects = _bids_subjects(folder, _participant_splits(folder))
    if not subjects:
        raise CourseError(
            f"{folder} holds no sub-…/anat/sub-…_T1w.nii.gz or the like: is it a BIDS folder? "
            "A single scan is read with scanfiles.read"
        )
    return Subjects(subjects, folder.name)


def _bids_subjects(folder, splits):
    """Subjects (and sessions) of a BIDS folder; those in ``splits`` only, where it is not empty."""
    subjects = []
    for person in sorted(path for path in folder.glob("sub-*") if path.is_dir()):
        if splits and person.name not in splits:
            continue
        places = [person, *sorted(path for path in person.glob("ses-*") if path.is_dir())]
        for place in places:
            contrasts = _contrasts(place / "anat")
            if not contrasts:
                continue
            inside = place.relative_to(folder)
            found = {
                kind: next(iter(sorted(folder.glob(f"derivatives/*/{inside.as_posix()}/anat/{pattern}"))), None)
                for kind, pattern in (("labels", "*_dseg.nii.gz"), ("lesions", "*_label-lesion*_mask.nii.gz"))
            }
            subjects.append(
                Subject(
                    "_".join(inside.parts),
                    {name: _reader(path) for name, path in contrasts.items()},
                    labels=_reader(found["labels"], labels=True),
                    lesions=_reader(found["lesions"], labels=True),
                    split=splits.get(person.name, "test"),
                    label_names=_label_names(found["labels"]),
                )
            )
    return subjects


def _contrasts(anat):
    """Contrast name → file. Of several of one contrast (run-2 …) the first has the plain name."""
    found = {}
    for path in sorted(anat.glob("sub-*.nii*")):
        entities, _, suffix = path.name.split(".nii")[0].rpartition("_")
        if path.name.endswith((".nii", ".nii.gz")) and not suffix.endswith(("mask", "dseg", "roi")):
            extra = [part for part in entities.split("_") if not part.startswith(("sub-", "ses-"))]
            found["_".join([*extra, suffix]) if suffix in found else suffix] = path
    return {name: found[name] for name in (*(c for c in CONTRASTS if c in found), *found)}


def _reader(path, labels=False):
    return None if path is None else functools.partial(scanfiles.read, path, labels=labels)


def _label_names(labels):
    """Names from the ``dseg.tsv`` beside a label image, or anywhere above it in its derivative."""
    if labels is None:
        return {}
    for folder in labels.parents[:4]:
        for table in (folder / labels.name.replace(".nii.gz", ".tsv"), folder / "dseg.tsv"):
            if table.is_file():
                return {int(row["index"]): row["name"] for row in _tsv(table) if row.get("index")}
    return {}


def _participant_splits(folder):
    """Splits from a column ``split`` of ``participants.tsv``, where there is one."""
    table = folder / "participants.tsv"
    rows = _tsv(table) if table.is_file() else []
    splits = {row["participant_id"]: row["split"] for row in rows if row.get("split") and row.get("participant_id")}
    wrong = set(splits.values()) - set(SPLITS)
    if wrong:
        raise CourseError(f"{table}: split {sorted(wrong)[0]!r} is unknown: use {', '.join(SPLITS)}")
    # A person the table does not name is still a subject.
    everyone = {path.name: "test" for path in folder.glob("sub-*") if path.is_dir()}
    return {**everyone, **splits}


def _tsv(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def real_folder():
    """Folder of real scans for development: ``MEDSR_REAL_DATA``, else ``../shared/data/real``; or None."""
    chosen = os.environ.get("MEDSR_REAL_DATA")
    if chosen:
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            raise CourseError(f"MEDSR_REAL_DATA names {folder}, which is not a folder: correct or unset it")
        return folder
    root = resources.checkout()
    folder = root.parent / "shared" / "data" / "real" if root else None
    return folder if folder and folder.is_dir() else None


def _load_ds002748():
    real = real_folder()
    if real and (real / "ds002748").is_dir():
        subjects = _bids_subjects(real / "ds002748", {})
        for subject in subjects:
            subject.split = "validation" if subject.id in ("sub-66", "sub-71") else "train"
        if subjects:
            return Subjects(subjects, "ds002748")
    path = catalogue.fetch("ds002748")
    return Subjects([Subject("sub-71", {"T1w": _reader(path)}, split="validation")], "ds002748")


def _load_real_scans():
    """Scans beside ds002748, NAME_CONTRAST.nii.gz: the stroke brain for validation, the others for tests."""
    real = real_folder()
    files = sorted(real.glob("*_*.nii.gz")) if real else []
    if not files:
        raise CourseError(
            "there are no real scans here: put NAME_T1w.nii.gz … into a folder and name it in MEDSR_REAL_DATA"
        )
    people = {}
    for path in files:
        person, _, contrast = path.name.removesuffix(".nii.gz").rpartition("_")
        people.setdefault(person, {})[contrast] = _reader(path)
    splits = {"stroke-brain": "validation"}
    return Subjects([Subject(p, c, split=splits.get(p, "test")) for p, c in people.items()], "real-scans")


def _from_catalogue(item):
    """A loader for a catalogue entry; called, it unpacks what was downloaded and lists its subjects."""

    def loader():
        if not item.present:
            raise CourseError(f"{item.name} is not here: `medsr data get {item.name}` downloads it first")
        subjects = _CATALOGUE_LOADERS[item.loader](item)
        if not subjects:
            raise CourseError(f"{item.path} holds no scan where {item.home} says: fetch it again with force=True")
        return Subjects(subjects, item.name)

    return loader


def _unpacked(item):
    """Folder with the contents of a downloaded tar file; unpacked once."""
    target = item.path.with_name("unpacked")
    with catalogue.locked(item.path.with_name(".lock")):
        if not target.is_dir():
            part = item.path.with_name("unpacking")
            shutil.rmtree(part, ignore_errors=True)
            try:
                with tarfile.open(item.path) as archive:
                    archive.extractall(part, filter="data")
            except (OSError, tarfile.TarError) as error:
                raise CourseError(
                    f"{item.path} cannot be unpacked ({error}): check the disk, or fetch it again with force=True"
                ) from None
            part.rename(target)
    return target


def _ixi(item):
    contrast = item.filename.split("-")[1].split(".")[0] + "w"
    files = sorted(_unpacked(item).rglob("IXI*.nii.gz"))
    return [Subject(path.name.split("-")[0], {contrast: _reader(path)}) for path in files]


def _decathlon(item):
    root = _unpacked(item)
    subjects = []
    for path in sorted(root.rglob("imagesTr/[!.]*.nii.gz")):
        labels = path.parent.with_name("labelsTr") / path.name
        reader = _reader(labels, labels=True) if labels.is_file() else None
        subjects.append(Subject(path.name.split(".")[0], {"T1w": _reader(path)}, labels=reader))
    return subjects


def _neurite_oasis_2d(item):
    subjects = []
    for folder in sorted(_unpacked(item).rglob("OASIS_*")):
        if (image := folder / "slice_norm.nii.gz").is_file():
            labels = folder / "slice_seg24.nii.gz"
            reader = functools.partial(scanfiles.read, labels, labels=True, flat=True) if labels.is_file() else None
            contrast = {"T1w": functools.partial(scanfiles.read, image, flat=True)}
            subjects.append(Subject(folder.name, contrast, labels=reader))
    return subjects


def _brainweb(item):
    """Bytes, x fastest, 1 mm; sample 0 at (−90, −126, −72) mm, as BrainWeb's page says."""

    def read():
        try:
            raw = gzip.decompress(item.path.read_bytes())
            data = np.frombuffer(raw, np.uint8).reshape(181, 217, 181).T
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise CourseError(f"{item.path} is not BrainWeb's raw format ({error}): look at {item.home}") from None
        affine = np.eye(4)
        affine[:3, 3] = -90, -126, -72
        return volumes.make_image(data.astype(np.float32), affine)

    return [Subject("brainweb", {"T1w": read})]


_CATALOGUE_LOADERS = {
    "ixi": _ixi,
    "decathlon": _decathlon,
    "neurite-oasis-2d": _neurite_oasis_2d,
    "brainweb": _brainweb,
}
_LOADERS = {
    "mni152": _load_mni152,
    "cohort": _load_cohort,
    "bids": _load_bids,
    "ds002748": _load_ds002748,
    "real-scans": _load_real_scans,
}


# What there is


@dataclass(frozen=True)
class Source:
    """A row of :func:`available`: a data set, its licence, and whether it is here."""

    name: str
    what: str
    licence: str
    where: str
    present: bool


def available():
    """Every data set of the course.

    Returns
    -------
    list of Source
        ``where`` is the folder of what is here, else what to do to get it.
    """
    rows = [
        Source(
            "mni152",
            "average of 152 brains, T1-weighted, 1 mm, with tissue labels",
            "MNI notice: use, copy and modify freely, keep the notice",
            "comes with nilearn",
            True,
        )
    ]
    made = cohort_size()
    rows.append(
        Source(
            "cohort",
            "synthetic brains in four contrasts with labels and lesions"
            + (f"; {made} made with seed 0" if made else ""),
            "as the course, and the MNI notice",
            str(cohort_folder()) if made else "`medsr data make cohort`",
            made > 0,
        )
    )
    real = real_folder()
    for item in catalogue.entries().values():
        local = real / item.name if real and item.name == "ds002748" else None
        here = local if local and local.is_dir() else item.path if item.present else None
        size = f" ({item.size / 1e6:.1f} MB)" if item.size else ""
        where = str(here) if here else f"`medsr data get {item.name}`{size}"
        rows.append(Source(item.name, item.what, item.licence, where, here is not None))
    return rows


def check(name=None):
    """Verify data sets that are here: downloads by checksum, the others by reading every file.

    Parameters
    ----------
    name : str, optional
        One data set; all that are here when none is named.

    Yields
    ------
    (str, bool, str)
        What was checked, whether it is sound, and a word on it.
    """
    rows = {row.name: row for row in available()}
    if name is not None and name not in rows:
        raise CourseError(f"there is no data set {name!r}: choose one of {', '.join(rows)}")
    for row in rows.values():
        if name not in (None, row.name) or not (row.present or name):
            continue
        if not row.present:
            yield row.name, False, f"not here: {row.where}"
        elif row.name == "cohort":
            for folder in sorted(runtime.cache_dir().glob("cohort-v*-seed*")):
                yield folder.name, *_check_files(sorted(folder.rglob("sub-*.nii.gz")))
        elif row.name == "mni152":
            yield row.name, *_check_files([resources.template(part) for part in ("t1", "gm", "wm")])
        elif catalogue.entry(row.name).present:
            try:
                yield row.name, True, catalogue.verify(row.name)
            except CourseError as error:
                yield row.name, False, str(error)
        else:
            yield row.name, *_check_files(sorted(Path(row.where).rglob("sub-*.nii.gz")))


def _check_files(paths):
    for path in runtime.progress(paths, "checking", unit="file"):
        try:
            scanfiles.read(path)
        except CourseError as error:
            return False, f"{error} (delete {path}, it will be made or fetched again)"
    return True, f"{len(paths)} files read"
