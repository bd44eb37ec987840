"""How much memory is free, asked before a file is unpacked into it."""

import os
from pathlib import Path

from medsr_course.scans.scanfiles.errors import ScanError

_CGROUPS = (  # (limit, used) of a container, version 2 and version 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def free() -> int | None:
    """Return the bytes of memory that may be used, or None where the system does not tell."""
    found = [value for value in (_meminfo() or _sysconf(), _container()) if value is not None]
    return max(0, min(found)) if found else None


def need(name: str, size: int, remedy: str = "crop it, or use a larger machine") -> None:
    """Refuse a file that would need more memory than is free.

    Parameters
    ----------
    name : str
        The file's name, for the message.
    size : int
        Bytes that reading it takes.
    remedy : str
        What the reader can do instead.

    Raises
    ------
    ScanError
        If less than ``size`` is free.
    """
    here = free()
    if here is not None and size > here:
        raise ScanError(f"{name} does not fit into memory (it takes {_text(size)}, {_text(here)} are free): {remedy}")


def _text(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 5e7 else f"{size / 1e6:.1f} MB"


def _meminfo() -> int | None:
    """Linux: MemAvailable counts what caches can give back."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _sysconf() -> int | None:
    """Elsewhere on POSIX: free pages, or half of all there are where the system counts no free ones (macOS)."""
    for pages, share in (("SC_AVPHYS_PAGES", 1.0), ("SC_PHYS_PAGES", 0.5)):
        try:
            count = os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            continue
        if count > 0:
            return int(count * share)
    return None


def _container() -> int | None:
    for limit, used in _CGROUPS:
        try:
            most, now = Path(limit).read_text().strip(), int(Path(used).read_text())
        except (OSError, ValueError):
            continue
        if most.isdigit() and int(most) < 1 << 60:
            return int(most) - now
    return None
