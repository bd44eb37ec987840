"""Public data sets, and downloads that can be trusted: resumed, verified, never half there.

What there is stands in ``data/catalogue.json``. A download goes to ``cache_dir()/downloads/NAME``; it gets
its final name only when it is whole and its checksum is right. Where ``MEDSR_MIRROR`` is set (an address, or a
folder that a classroom shares), files come from ``MEDSR_MIRROR/NAME/FILENAME`` instead.
"""

import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from medsr_course import resources, runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import transfer
from medsr_course.scans.transfer import DownloadError

_log = logging.getLogger(__name__)
UNPACKED = "unpacked"  # folder beside an archive, with its contents


@dataclass(frozen=True)
class Entry:
    """One downloadable file of the catalogue.

    Attributes
    ----------
    name, what : str
    url, filename : str
    size : int or None
        In bytes, where known.
    sha256, md5 : str or None
        Checksum the download is held against; ``checksum_from`` says whose word that is.
    licence, citation, home : str
        ``home`` is the page to read before using the data.
    loader : str or None
        How :func:`datasets.load` reads it; None: open the file yourself.
    """

    name: str
    what: str
    url: str
    filename: str
    licence: str
    citation: str
    home: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    checksum_from: str | None = None
    loader: str | None = None

    @property
    def checksum(self) -> str | None:
        """The expected checksum as ``"sha256:…"`` or ``"md5:…"``, or None."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"md5:{self.md5}" if self.md5 else None

    @property
    def path(self) -> Path:
        """Where the file lies, or will lie."""
        return folder(self.name) / self.filename

    @property
    def present(self) -> bool:
        """Whether the file is there (whole: it got its name last; an empty one is none)."""
        return self.path.is_file() and self.path.stat().st_size > 0


def entries() -> dict[str, Entry]:
    """Returns the catalogue: name → :class:`Entry`.

    >>> entries()["ds002748"].licence
    'CC0'
    """
    rows = json.loads(_catalogue_file().read_text(encoding="utf-8"))
    return {row["name"]: Entry(**row) for row in rows}


def entry(name: str) -> Entry:
    """Returns one entry; CourseError with the list of names where there is none such."""
    known = entries()
    if name not in known:
        raise CourseError(f"there is nothing called {name!r} to download: choose one of {', '.join(known)}")
    return known[name]


def folder(name: str) -> Path:
    """Returns the folder of a download in the cache."""
    return runtime.cache_dir() / "downloads" / name


def fetch(name: str, force: bool = False, *, sha256: str | None = None, accept_unverified: bool = False) -> Path:
    """Download a data set unless it is there; resume what an earlier call began.

    Parameters
    ----------
    name : str
        See :func:`entries`.
    force : bool
        Download again what is there; the old file stays until the new one is verified.
    sha256 : str, optional
        Checksum to use instead of the catalogue's.
    accept_unverified : bool
        Take a file for which the catalogue knows no checksum; its own is kept for :func:`verify`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DownloadError
        No network, no disk space, wrong size or checksum, no checksum known. Nothing stands under the final name
        then but what stood there before. ``KeyboardInterrupt`` passes through; the next call goes on.
    """
    item = entry(name)
    checksum = f"sha256:{sha256.lower()}" if sha256 else item.checksum
    if item.present and not force:
        if sha256 and runtime.checksum(item.path, "sha256") != sha256.lower():
            raise DownloadError(f"{item.path} has another checksum: fetch it again with force=True")
        return item.path
    if checksum is None and not accept_unverified:
        raise DownloadError(
            f"no checksum is known for {name}: pass sha256=…, or accept_unverified=True to take what comes"
        )
    incoming = folder(name) / "incoming"
    try:
        if incoming.is_symlink():  # not ours: what is written must stay in the cache
            incoming.unlink()
        incoming.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot make {incoming} ({error.strerror}): point MEDSR_CACHE at another folder") from None
    try:
        with runtime.locked(folder(name) / ".lock"):
            if item.present and not force:  # another process has just fetched it
                return item.path
            _download(item, checksum, incoming)
            shutil.rmtree(incoming, ignore_errors=True)
    except OSError as error:
        raise DownloadError(runtime.disk_trouble(error, incoming)) from None
    return item.path


def verify(name: str) -> str:
    """Compare a downloaded file with its checksum.

    Returns
    -------
    str
        What was compared, for people.

    Raises
    ------
    DownloadError
        The file is missing or differs.
    """
    item = entry(name)
    if not item.present:
        raise DownloadError(f"{name} is not here: `medsr data get {name}`")
    if item.checksum:
        kind, wanted = item.checksum.split(":")
        source = f"{kind} agrees with {item.checksum_from or 'the catalogue'}"
    else:
        kept = _kept_checksum(item)
        if not kept.is_file():
            raise DownloadError(f"{name} has no checksum to compare with: fetch it again with force=True")
        kind, wanted = "sha256", kept.read_text(encoding="ascii").split()[0]
        source = "as it was downloaded (the catalogue knows no checksum)"
    if runtime.checksum(item.path, kind) != wanted:
        raise DownloadError(f"{name} has changed or is damaged: `medsr data get {name} --force`")
    return source


def _catalogue_file():
    return resources.path("catalogue.json")


def _kept_checksum(item):
    return item.path.with_name(item.filename + ".sha256")


def _download(item: Entry, checksum: str | None, incoming: Path) -> None:
    """Bring a file, look at it, and only then give it its name."""
    _log.info("downloading %s from %s", item.name, transfer.source(item))
    part = transfer.Transfer(item, incoming, has_checksum=checksum is not None).run()
    kind, _, wanted = checksum.partition(":") if checksum else ("sha256", "", "")
    if wanted and runtime.checksum(part, kind) != wanted:
        part.unlink()
        raise DownloadError(
            f"{item.name} came with a wrong checksum and was thrown away: try again; if it happens again, the "
            f"file at {item.url} has changed: look at {item.home}"
        )
    kept, line = _kept_checksum(item), f"{runtime.checksum(part, 'sha256')}  {item.filename}\n"
    runtime.flush_to_disk(part)
    kept.unlink(missing_ok=True)  # never the old file's checksum beside the new file
    os.replace(part, item.path)
    _log.info("%s is whole and kept as %s", item.name, item.path)
    shutil.rmtree(item.path.with_name(UNPACKED), ignore_errors=True)  # it came out of the old file
    with runtime.atomic_write(kept) as fresh:
        fresh.write_text(line, encoding="ascii")
