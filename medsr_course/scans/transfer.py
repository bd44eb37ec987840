"""One file over the network, from servers of every kind: resumed, bounded in size and time, never through a link.

What a server sends is read in a thread of its own and handed over in pieces, so that no server can hold up the
reader: one that stalls or drips is left after :data:`_PATIENCE` seconds without a piece.
"""

import contextlib
import os
import queue
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urljoin

from medsr_course import runtime
from medsr_course.runtime import CourseError

_ATTEMPTS = 4
_PAUSE = 2.0  # seconds before the second attempt, doubled before each further one
_PIECE = 1 << 16  # bytes written at once, and the most that a cut transfer loses
_STEP = 1 << 20  # bytes between two steps of the progress bar
_TIMEOUT = (15, 60)  # seconds to connect, and between two packets
_PATIENCE = 90.0  # seconds for the answer to begin, and then for each piece: slower than 0.7 KiB/s is a drip
_LONGEST = 12 * 3600.0  # seconds for a whole file; the next call goes on
_REDIRECTS = 10
_MOST_UNKNOWN = 16 << 30  # bytes of a file whose size the catalogue does not know


class DownloadError(CourseError):
    """A data set that could not be fetched or verified: why, and what to do."""


class _Item(Protocol):
    """What a transfer must know of a file: a :class:`catalogue.Entry`."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def filename(self) -> str: ...
    @property
    def home(self) -> str: ...
    @property
    def size(self) -> int | None: ...


class _Retry(Exception):
    """Something that may go better at the next attempt."""


def source(item: _Item) -> str:
    """Returns where a file comes from: its address, or its place in ``MEDSR_MIRROR``."""
    mirror = os.environ.get("MEDSR_MIRROR", "").strip()
    return f"{mirror.rstrip('/')}/{item.name}/{item.filename}" if mirror else item.url


class Transfer:
    """Brings one file into a ``.part``, going on from what is there.

    Parameters
    ----------
    item : catalogue.Entry
        Name, address and size of the file.
    incoming : Path
        An existing folder for the part.
    has_checksum : bool
        Whether the result will be compared: only then is a part without a version tag gone on with.
    """

    def __init__(self, item: _Item, incoming: Path, has_checksum: bool):
        self.item, self.has_checksum, self.url = item, has_checksum, source(item)
        self.part = incoming / f"{item.filename}.part"
        self.tag = incoming / f"{item.filename}.part.tag"  # which version of the file the part is of

    def run(self) -> Path:
        """Returns the part when it is whole and of the size it should be.

        Raises
        ------
        DownloadError
            In one line, what the server did, and what to do.
        """
        import requests
        import urllib3

        ends, problem = time.monotonic() + _LONGEST, ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE * 2 ** (attempt - 1))
            try:
                if self._transfer(ends):
                    self._check()
                    self.tag.unlink(missing_ok=True)
                    return self.part
                problem = "the transfer was cut off"
            except _Retry as error:
                problem = str(error)
            except requests.exceptions.HTTPError as error:
                answer: Any = error.response
                code, reason = answer.status_code, answer.reason
                if code < 500 and code != 429:  # it will not get better by asking again
                    self._give_up(f"the server answered {code} {reason} to {self.url}")
                problem = f"the server answered {code} {reason}"
            except requests.exceptions.TooManyRedirects:
                self._give_up(f"{self.url} is redirected again and again")
            except requests.exceptions.SSLError:
                self._give_up(f"the certificate of {self.url} is not trusted")
            except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
                problem = "the server did not answer in time"
            except (urllib3.exceptions.HTTPError, requests.exceptions.ChunkedEncodingError):
                problem = "the transfer was cut off"
            except requests.exceptions.ConnectionError as error:
                broken = "aborted" in str(error) or "BadStatusLine" in str(error)
                problem = "the server hung up" if broken else "the server cannot be reached"
            except (requests.exceptions.RequestException, ValueError) as error:
                self._give_up(f"{self.url} cannot be fetched ({str(error).splitlines()[0]})")
        raise DownloadError(
            f"{self.item.name}: {problem}: check the network and run the same command again, it goes on from "
            "where it stopped"
        )

    def _give_up(self, problem: str) -> None:
        remedy = "correct or unset MEDSR_MIRROR" if self.url != self.item.url else f"look at {self.item.home}"
        raise DownloadError(f"{self.item.name}: {problem}: {remedy}") from None

    def _throw_away(self, problem: str) -> None:
        """Give up a part that is of another file."""
        for path in (self.part, self.tag):
            path.unlink(missing_ok=True)
        self._give_up(f"{problem}; it was thrown away")

    def _transfer(self, ends: float) -> bool:
        """Ask for what is missing; True when the file is whole."""
        have, tag = _size(self.part), self._read_tag()
        if have and not (tag or self.has_checksum) or self.item.size and have > self.item.size:
            have = 0  # nothing would tell whether the rest belongs to the same file
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if tag:
                headers["If-Range"] = tag
        with contextlib.closing(_Stream(self.url, headers)) as stream:
            status, answer = stream.take()
            if status == 416:  # nothing after what is there: whole, or another file
                if answer.get("Content-Range", "").rpartition("/")[2] == str(have):
                    return True
                self.part.unlink(missing_ok=True)
                return False
            if status == 206 and not answer.get("Content-Range", "").startswith(f"bytes {have}-"):
                self.part.unlink(missing_ok=True)
                return False
            have = have if status == 206 else 0
            length = int(answer.get("Content-Length") or -1)
            total = have + length if length >= 0 else None
            first = stream.take()
            if have == 0 and _is_page(first) and not self.item.filename.endswith((".html", ".htm")):
                self._throw_away("a web page came instead of the file (a login, or an error)")
            expected = self.item.size
            if expected and total not in (None, expected):
                self._throw_away(f"the server offers {total} bytes where {expected} belong")
            self._check_space(total, have)
            self._write_tag(answer)
            most = expected or total or _MOST_UNKNOWN
            with _opened(self.part, have) as file:
                steps = -(-length // _STEP) if length >= 0 else None
                pieces = self._store(first, stream, file, have, most, ends)
                for _ in runtime.progress(pieces, self.item.name, total=steps, unit="MiB"):
                    pass
        return _size(self.part) == total if total is not None else bool(_size(self.part))

    def _store(
        self, piece: bytes, stream: "_Stream", file: IO[bytes], have: int, most: int, ends: float
    ) -> Iterator[None]:
        """Write what arrives; yields once for each MiB."""
        written = 0
        while piece:
            have += len(piece)
            if have > most:
                self._throw_away(f"more than the {most} bytes that belong to it came")
            if time.monotonic() > ends:
                raise DownloadError(
                    f"{self.item.name}: the transfer takes longer than {_LONGEST / 3600:.0f} hours: run the same "
                    "command again, it goes on from where it stopped"
                )
            file.write(piece)
            written += len(piece)
            if written >= _STEP:
                written -= _STEP
                yield
            piece = stream.take()
        if written:
            yield

    def _check(self) -> None:
        """Refuse a part of another size than the catalogue's."""
        size = _size(self.part)
        if not size:
            self._throw_away("an empty file came")
        if self.item.size and size != self.item.size:
            self._throw_away(f"{size} bytes came where {self.item.size} belong")

    def _check_space(self, total: int | None, have: int) -> None:
        wanted = (total or self.item.size or 0) - have
        free = shutil.disk_usage(self.part.parent).free
        if wanted > free:
            raise DownloadError(
                f"{self.item.name} needs {wanted / 2**20:.0f} MiB, but {free / 2**20:.0f} MiB are free: free "
                "some space, or point MEDSR_CACHE at another disk"
            )

    def _read_tag(self) -> str:
        text = self.tag.read_text(encoding="utf-8", errors="replace") if _size(self.tag) else ""
        return text if text.isascii() and text.isprintable() else ""

    def _write_tag(self, answer: Any) -> None:
        etag = answer.get("ETag", "")
        tag = etag if etag and not etag.startswith("W/") else answer.get("Last-Modified", "")
        with runtime.atomic_write(self.tag) as fresh:
            fresh.write_text(tag, encoding="utf-8")


def _size(path: Path) -> int:
    """Bytes of a file that is ours to go on with; 0 for none, for a link, for what has another name elsewhere."""
    try:
        found = path.lstat()
    except OSError:
        return 0
    ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and ours else 0


def _opened(path: Path, have: int) -> IO[bytes]:
    """The part, to go on at its end or to begin anew; a link that somebody put there is removed, not followed."""
    if have:
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(path, flags), "ab")
    path.unlink(missing_ok=True)
    return open(path, "xb")


def _is_page(start: bytes) -> bool:
    """Whether bytes begin an HTML page."""
    start = start[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head")) or (start.startswith(b"<") and b"<html" in start)


class _Stream:
    """An answer and its pieces, read in a thread that nobody waits for longer than :data:`_PATIENCE`."""

    def __init__(self, url: str, headers: dict[str, str]):
        self._queue: queue.Queue[Any] = queue.Queue(4)
        self._closed = threading.Event()
        read = self._read_web if url.startswith(("http://", "https://")) else self._read_folder
        threading.Thread(target=self._run, args=(read, url, headers), daemon=True).start()

    def take(self) -> Any:
        """Returns (status, headers) first, then pieces of bytes, an empty one last; raises what went wrong."""
        try:
            found = self._queue.get(timeout=_PATIENCE)
        except queue.Empty:
            raise _Retry(f"the server sent next to nothing for {_PATIENCE:.0f} s") from None
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """Let the thread end at its next piece."""
        self._closed.set()

    def _run(self, read: Any, url: str, headers: dict[str, str]) -> None:
        try:
            for found in read(url, headers):
                self._put(found)
                if self._closed.is_set():
                    return
            self._put(b"")
        except Exception as error:
            self._put(error)

    def _put(self, found: Any) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(found, timeout=0.2)
                return

    def _read_web(self, url: str, headers: dict[str, str]) -> Iterator[Any]:
        import requests

        with requests.Session() as session:
            # Followed by hand: requests would read the body of each redirect, however long, into memory.
            session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
            for _ in range(_REDIRECTS):
                answer = session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
                with answer:
                    if answer.is_redirect:
                        url = urljoin(url, answer.headers["Location"])
                        continue
                    if answer.status_code != 416:
                        answer.raise_for_status()
                    yield answer.status_code, answer.headers
                    while piece := answer.raw.read(_PIECE, decode_content=False):  # as it lies on the server
                        yield piece
                    return
            raise requests.exceptions.TooManyRedirects

    def _read_folder(self, path: str, headers: dict[str, str]) -> Iterator[Any]:
        """A mirror that is a folder: the same, from the beginning."""
        file = Path(path).expanduser()
        if not file.is_file():
            raise DownloadError(f"MEDSR_MIRROR has no {file}: correct or unset it")
        with open(file, "rb") as content:
            yield 200, {"Content-Length": str(file.stat().st_size)}
            while piece := content.read(_PIECE):
                yield piece
