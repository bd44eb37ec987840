"""Public data sets, and downloads that can be trusted: resumed, verified, never half there.

What there is stands in ``data/catalogue.json``. A download goes to ``cache_dir()/downloads/NAME``; it gets
its final name only when it is whole and its checksum is right.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from medsr_course import resources, runtime
from medsr_course.runtime import CourseError

_ATTEMPTS = 4
_PAUSE = 2.0  # seconds before the second attempt, doubled before each further one
_PIECE = 1 << 16  # bytes written at once, and the most that a cut transfer loses
_STEP = 1 << 20  # bytes between two steps of the progress bar
_TIMEOUT = (15, 60)  # seconds to connect, and between two pieces


class DownloadError(CourseError):
    """A data set that could not be fetched or verified: why, and what to do."""


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
    def checksum(self):
        """The expected checksum as ``"sha256:…"`` or ``"md5:…"``, or None."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"md5:{self.md5}" if self.md5 else None

    @property
    def path(self):
        """Where the file lies, or will lie."""
        return folder(self.name) / self.filename

    @property
    def present(self):
        """Whether the file is there (whole: it got its name last)."""
        return self.path.is_file()


def entries():
    """The catalogue: name → :class:`Entry`.

    >>> entries()["ds002748"].licence
    'CC0'
    """
    rows = json.loads(_catalogue_file().read_text(encoding="utf-8"))
    return {row["name"]: Entry(**row) for row in rows}


def entry(name):
    """One entry; CourseError with the list of names where there is none such."""
    known = entries()
    if name not in known:
        raise CourseError(f"there is nothing called {name!r} to download: choose one of {', '.join(known)}")
    return known[name]


def folder(name):
    """Folder of a download in the cache."""
    return runtime.cache_dir() / "downloads" / name


def fetch(name, force=False, *, sha256=None, accept_unverified=False):
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
        No network, no disk space, wrong checksum, no checksum known. Nothing stands under the final name
        then but what stood there before. ``KeyboardInterrupt`` passes through; the next call goes on.
    """
    item = entry(name)
    checksum = f"sha256:{sha256.lower()}" if sha256 else item.checksum
    if item.present and not force:
        if sha256 and _digest(item.path, "sha256") != sha256.lower():
            raise DownloadError(f"{item.path} has another checksum: fetch it again with force=True")
        return item.path
    if checksum is None and not accept_unverified:
        raise DownloadError(
            f"no checksum is known for {name}: pass sha256=…, or accept_unverified=True to take what comes"
        )
    incoming = folder(name) / "incoming"
    try:
        incoming.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot make {incoming} ({error.strerror}): point MEDSR_CACHE at another folder") from None
    with locked(folder(name) / ".lock"):
        if item.present and not force:  # another process has just fetched it
            return item.path
        try:
            _download(item, checksum, incoming)
        except OSError as error:
            raise DownloadError(_disk_trouble(error, incoming)) from None
        shutil.rmtree(incoming, ignore_errors=True)
    return item.path


def verify(name):
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
    if _digest(item.path, kind) != wanted:
        raise DownloadError(f"{name} has changed or is damaged: `medsr data get {name} --force`")
    return source


@contextlib.contextmanager
def locked(path, busy=""):
    """Let one process at a time into a block; the lock falls when its holder ends, however it ends.

    Parameters
    ----------
    path : Path
        A file made for the purpose; it stays behind, empty.
    busy : str
        The message of the CourseError raised where another process is inside; by default this one waits.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        if os.name == "nt":
            import msvcrt

            while True:
                try:
                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK if busy else msvcrt.LK_LOCK, 1)
                    break
                except OSError:  # LK_LOCK gives up after ten seconds
                    if busy:
                        raise CourseError(busy) from None
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
            except BlockingIOError:
                raise CourseError(busy) from None
            yield  # closing the file lets go


def _catalogue_file():
    return resources.path("catalogue.json")


def _kept_checksum(item):
    return item.path.with_name(item.filename + ".sha256")


def _digest(path, kind):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _download(item, checksum, incoming):
    import pooch

    pooch.get_logger().setLevel("ERROR")  # progress is shown by ours
    try:
        arrived = pooch.retrieve(
            item.url,
            checksum,
            fname=item.filename,
            path=incoming,
            downloader=_Resuming(item, incoming / f"{item.filename}.part", checksum is not None),
        )
    except ValueError:  # pooch: the checksum differs; it has deleted what came
        raise DownloadError(
            f"{item.name} came with a wrong checksum and was thrown away: try again; if it happens again, the "
            f"file at {item.url} has changed: look at {item.home}"
        ) from None
    digest = _digest(arrived, "sha256")
    _kept_checksum(item).write_text(f"{digest}  {item.filename}\n", encoding="ascii")
    os.replace(arrived, item.path)


class _Resuming:
    """A downloader for pooch that goes on from a ``.part`` file."""

    def __init__(self, item, part, has_checksum):
        self.item, self.part, self.has_checksum = item, part, has_checksum
        self.tag = part.with_name(part.name + ".tag")  # which version of the file the part is of

    def __call__(self, url, output_file, _pooch, check_only=False):
        import requests

        problem = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE * 2 ** (attempt - 1))
            try:
                if self._transfer(url):
                    os.replace(self.part, output_file)
                    self.tag.unlink(missing_ok=True)
                    return
                problem = "the transfer was cut off"
            except requests.exceptions.HTTPError as error:
                code = error.response.status_code
                if code < 500 and code != 429:  # it will not get better by asking again
                    raise DownloadError(
                        f"{self.item.name}: the server answered {code} {error.response.reason} to {url}: "
                        f"look at {self.item.home}"
                    ) from None
                problem = f"the server answered {code} {error.response.reason}"
            except requests.exceptions.Timeout:
                problem = "the server did not answer in time"
            except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
                problem = "the transfer was cut off"
            except requests.exceptions.ConnectionError:
                problem = "the server cannot be reached"
            except requests.exceptions.RequestException as error:
                raise DownloadError(f"{self.item.name}: {url} cannot be fetched: {error}") from None
        raise DownloadError(
            f"{self.item.name}: {problem}: check the network and run the same command again, it goes on from "
            "where it stopped"
        )

    def _transfer(self, url):
        """Ask for what is missing; True when the file is whole."""
        import requests

        have = self.part.stat().st_size if self.part.exists() else 0
        tag = self.tag.read_text(encoding="utf-8") if self.tag.exists() else ""
        if have and not (tag or self.has_checksum):
            have = 0  # nothing would tell whether the rest belongs to the same file
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if tag:
                headers["If-Range"] = tag
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == 416:  # nothing after what is there: whole, or another file
                total = response.headers.get("Content-Range", "").rpartition("/")[2]
                if total == str(have):
                    return True
                self.part.unlink()
                return False
            response.raise_for_status()
            if response.status_code == 206:
                if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                    self.part.unlink()
                    return False
            else:
                have = 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            self._check_space(total, have)
            etag = response.headers.get("ETag", "")
            tag = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
            self.tag.write_text(tag, encoding="utf-8")
            with open(self.part, "ab" if have else "wb") as file:
                steps = -(-int(length) // _STEP) if length else None
                for _ in runtime.progress(_store(response, file), self.item.name, total=steps, unit="MiB"):
                    pass
        return total is None or self.part.stat().st_size == total

    def _check_space(self, total, have):
        wanted = (total or self.item.size or 0) - have
        free = shutil.disk_usage(self.part.parent).free
        if wanted > free:
            raise DownloadError(
                f"{self.item.name} needs {wanted / 2**20:.0f} MiB, but {free / 2**20:.0f} MiB are free: free "
                "some space, or point MEDSR_CACHE at another disk"
            )


def _store(response, file):
    """Write what arrives; yields once for each MiB."""
    written = 0
    for piece in response.iter_content(_PIECE):
        file.write(piece)
        written += len(piece)
        if written >= _STEP:
            written -= _STEP
            yield
    if written:
        yield


def _disk_trouble(error, place):
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {place} is full: free some space, or point MEDSR_CACHE at another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{place} cannot be written: point MEDSR_CACHE at another folder"
    return f"{place}: {error}: check the disk, or point MEDSR_CACHE at another folder"
