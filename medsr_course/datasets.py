"""One loader for every source of scans: subjects with contrasts, labels and lesions.

>>> subjects = load("mni152")
>>> subjects
<Subjects mni152: 1 subject (1 test), contrasts T1w>
>>> subjects[0].contrasts["T1w"].shape
(197, 233, 189)
"""

import weakref
from collections.abc import Mapping, Sequence

import numpy as np

from medsr_course import resources, scanfiles, volumes
from medsr_course.runtime import CourseError

SPLITS = ("train", "validation", "test")


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
    """The subjects of a data set.

    Parameters
    ----------
    name : str
        ``"mni152"``: the ICBM 2009a average of 152 heads, skull-stripped, that nilearn brings along.
    **options
        Of the data set.

    Returns
    -------
    Subjects
    """
    if name not in _LOADERS:
        raise CourseError(f"there is no data set {name!r}: choose one of {', '.join(_LOADERS)}")
    return _LOADERS[name](**options)


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


_LOADERS = {"mni152": _load_mni152}
