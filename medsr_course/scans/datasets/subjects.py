"""Subjects: one person or phantom each, with images that are read when they are asked for."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from medsr_course.runtime import CourseError
from medsr_course.types import Image

Reader = Callable[[], Image]

SPLITS = ("train", "validation", "test")
CONTRASTS = ("T1w", "T2w", "PDw", "FLAIR")


class Images(Mapping[str, Image]):
    """Contrast name → nibabel image, read from disk when asked for.

    An image that is still in use is not read twice; one that is no longer in use frees its memory.
    """

    def __init__(self, readers: Mapping[str, Reader]):
        self._readers = dict(readers)
        self._alive: weakref.WeakValueDictionary[str, Image] = weakref.WeakValueDictionary()

    def __getitem__(self, name: str) -> Image:
        if name not in self._readers:
            raise CourseError(f"there is no contrast {name!r}: there is {', '.join(self._readers) or 'none'}")
        image = self._alive.get(name)
        if image is None:
            self._alive[name] = image = self._readers[name]()
        return image

    def get(self, name: str, default: Any = None) -> Any:
        """Returns an image, or ``default`` where there is none of that name."""
        return self[name] if name in self._readers else default

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __repr__(self) -> str:
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

    def __init__(
        self,
        id: str,
        contrasts: Mapping[str, Reader],
        *,
        labels: Reader | None = None,
        lesions: Reader | None = None,
        split: str = "test",
        label_names: Mapping[int, str] | None = None,
    ):
        if split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, not {split!r}")
        self.id, self.split = id, split
        self.contrasts = Images(contrasts)
        self.label_names = dict(label_names or {})
        self._extra = Images({k: v for k, v in (("labels", labels), ("lesions", lesions)) if v is not None})

    @property
    def labels(self) -> Image | None:
        """Tissue labels, read on access."""
        return self._extra.get("labels")

    @property
    def lesions(self) -> Image | None:
        """The lesion mask, read on access."""
        return self._extra.get("lesions")

    def __repr__(self) -> str:
        return f"<Subject {self.id} ({self.split}): {', '.join([*self.contrasts, *self._extra])}>"


class Subjects(Sequence[Subject]):
    """Subjects of one data set; index by number, slice, or id."""

    def __init__(self, subjects: Iterable[Subject], name: str):
        self._subjects, self.name = tuple(subjects), name

    @overload
    def __getitem__(self, key: int | str) -> Subject: ...
    @overload
    def __getitem__(self, key: slice) -> Subjects: ...

    def __getitem__(self, key: int | str | slice) -> Subject | Subjects:
        if isinstance(key, slice):
            return Subjects(self._subjects[key], self.name)
        if isinstance(key, str):
            for subject in self._subjects:
                if subject.id == key:
                    return subject
            raise CourseError(f"{self.name} has no subject {key!r}: there is {_listed(self.ids)}")
        return self._subjects[key]

    def __len__(self) -> int:
        return len(self._subjects)

    @property
    def ids(self) -> list[str]:
        """The subjects' names, in order."""
        return [subject.id for subject in self._subjects]

    def select(self, split: str) -> Subjects:
        """Returns the subjects of one split: ``"train"``, ``"validation"`` or ``"test"``."""
        if split not in SPLITS:
            raise CourseError(f"there is no split {split!r}: choose one of {', '.join(SPLITS)}")
        return Subjects((s for s in self._subjects if s.split == split), self.name)

    def __repr__(self) -> str:
        counts = [f"{n} {s}" for s in SPLITS if (n := sum(x.split == s for x in self._subjects))]
        contrasts = dict.fromkeys(name for s in self._subjects for name in s.contrasts)
        noun = "subject" if len(self) == 1 else "subjects"
        return (
            f"<Subjects {self.name}: {len(self)} {noun} ({', '.join(counts) or 'none'}), "
            f"contrasts {', '.join(contrasts) or 'none'}>"
        )


def _listed(names: Iterable[str], most: int = 8) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" … {names[-1]}" if len(names) > most else "")
