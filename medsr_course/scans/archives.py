"""Tar archives from strangers: regular files only, inside their folder, bounded in size and number.

Python's own ``extractall(filter="data")`` follows links and has let archives write outside their folder in versions
that are still in use; this walker needs no filter, because it takes nothing but the bytes of regular files.
"""

import bz2
import gzip
import io
import lzma
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from medsr_course import runtime
from medsr_course.runtime import CourseError

MOST_BYTES = 64 << 30  # unpacked
MOST_RATIO = 200  # unpacked bytes per packed one, beyond the first 64 MiB
MOST_FILES = 200_000
_ALWAYS = 64 << 20  # bytes that any archive may unpack to
_LONGEST_HEADER = 1 << 20  # bytes that are read at once: a header is a few KiB
_PIECE = 1 << 20
_MAGIC = ((b"\x1f\x8b", gzip.open), (b"\xfd7zXZ\0", lzma.open), (b"BZh", bz2.open))


class ArchiveError(CourseError):
    """An archive that is damaged, or that holds what it must not: nothing of it is unpacked."""


def unpack(archive: str | os.PathLike[str], target: str | os.PathLike[str]) -> Path:
    """Unpack a tar file (also ``.tar.gz``, ``.tar.xz``, ``.tar.bz2``) into a folder that is there whole or not at all.

    Parameters
    ----------
    archive : path
    target : path
        The folder to make; its parent exists.

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    ArchiveError
        In one line: damaged or cut short; a link, a device or a path that leads outside; more than
        :data:`MOST_BYTES`, :data:`MOST_RATIO` or :data:`MOST_FILES` allow, or than the disk has room for.
    """
    archive, target = Path(archive), Path(target)
    try:
        for left in target.parent.glob(".unpacking-*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
        try:
            with open(archive, "rb") as file:
                _walk(_Bounded(file, budget(archive, archive.parent)), part)
            part.chmod(0o755)
            runtime.flush_to_disk(part)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except ArchiveError as error:
        raise ArchiveError(f"{archive} cannot be unpacked: {error}") from None
    except OSError as error:
        if error.errno in runtime.DISK_TROUBLE:
            raise ArchiveError(f"{archive} cannot be unpacked: {runtime.disk_trouble(error, target.parent)}") from None
        raise _damaged(archive, error) from None
    except Exception as error:  # whatever a wild header makes tarfile and the decoders raise
        raise _damaged(archive, error) from None
    return target


def _damaged(archive: Path, error: BaseException) -> ArchiveError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ArchiveError(f"{archive} cannot be unpacked: it is damaged or no tar file ({reason}): fetch it again")


def budget(archive: Path, folder: Path) -> int:
    """Returns how many bytes an archive may unpack to, on the disk of a folder."""
    free = shutil.disk_usage(folder).free
    return min(MOST_BYTES, archive.stat().st_size * MOST_RATIO + _ALWAYS, free)


class _Bounded:
    """The unpacked bytes of an archive, as far as its budget goes; forwards, in pieces of sensible size."""

    def __init__(self, file: io.BufferedReader, budget: int):
        start = file.read(6)
        file.seek(0)
        opener = next((opener for magic, opener in _MAGIC if start.startswith(magic)), None)
        self._file: Any = opener(file) if opener else file
        self._budget, self._packed = budget, opener is not None
        self.last = b""  # what was read last

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise ArchiveError("a header of more than 1 MiB: it is damaged, or made to do harm")
        self.last = self._file.read(size)
        self._check(self._file.tell())
        return self.last

    def seek(self, place: int) -> int:
        if place < self.tell():
            raise ArchiveError("a header points backwards: it is damaged, or made to do harm")
        self._check(place)
        return self._file.seek(place)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, place: int) -> None:
        if self._packed and place > self._budget:
            raise ArchiveError(
                f"it grows to more than {self._budget / 2**20:.0f} MiB, which is more than it should or than is free"
            )


def _walk(stream: _Bounded, folder: Path) -> None:
    """Write the regular files of an archive; read it to its very end."""
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
        total, seen = 0, 0
        free = shutil.disk_usage(folder).free
        while (member := archive.next()) is not None:
            archive.members = []  # or every header would be kept in memory
            total, seen = total + member.size, seen + 1
            path = folder.joinpath(*_parts(member))
            if seen > MOST_FILES:
                raise ArchiveError(f"it holds more than {MOST_FILES} files")
            if total > min(MOST_BYTES, free):
                raise ArchiveError(f"it holds {total / 2**20:.0f} MiB or more, which is more than is free or allowed")
            if not member.isdir():
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(archive, member, path)
        _check_end(stream)


def _parts(member: tarfile.TarInfo) -> tuple[str, ...]:
    """The path of a member, if it is a regular file or a folder that stays inside."""
    name = member.name
    shown = ascii(name[:80])
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise ArchiveError(f"{shown} is a link, a device or the like, not a regular file")
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    outside = posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or ".." in posix.parts
    if outside or "\0" in name or "\\" in name or (not posix.parts and not member.isdir()):
        raise ArchiveError(f"{shown} leads outside its folder")
    return posix.parts


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = archive.extractfile(member)
    left = member.size
    if os.path.lexists(path):
        raise ArchiveError(f"{ascii(member.name[:80])} is in it twice")
    with open(path, "xb") as file:  # never over what is there, never through a link
        while left:
            piece = content.read(min(left, _PIECE)) if content else b""
            if not piece:
                raise tarfile.ReadError("it ends in the middle of a file")
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())


def _check_end(stream: _Bounded) -> None:
    """A whole archive ends in zeros; tarfile itself takes a damaged header for its end, without a word.

    Reading on to the end has gzip and xz compare their checksums, too.
    """
    if len(stream.last) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("its end is missing")
    piece = stream.last
    while piece:
        if piece.strip(b"\0"):
            raise tarfile.ReadError("a header in the middle is damaged")
        piece = stream.read(_PIECE)
