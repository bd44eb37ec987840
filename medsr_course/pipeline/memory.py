"""Images larger than memory, worked on in blocks and tiles, and how much all of it takes."""

from medsr_course.runtime import CourseError
from medsr_course.scans import spool

BASE = 350 << 20  # bytes that Python, its libraries and a loaded network take
BAND = 3 * spool.BLOCK  # the same for bands of rows, which need margins
TILE = 1 << 18  # pixels that go through a network at a time at most; usual batches are smaller
LEAST_TILE = 1 << 14  # pixels, margins included
NETWORK_BYTES = 1600  # for each pixel that goes through a network at a time: measured, the largest one ships with
BLOCK_BYTES = 48  # for each pixel of the result in a block: complex transforms along both axes, and their copies
TEMPORARY = 2 * 4  # bytes on disk for each voxel of the result while it is made: it and ZIP, float32


def shares(base: int, most: int | None, block: int, least: int) -> tuple[int, int]:
    """Returns how many pixels may be in a block and in a tile, so that all takes at most ``most`` bytes.

    Parameters
    ----------
    base : int
        Bytes that are taken whatever the blocks are.
    most : int or None
        Bytes; None: as suits.
    block, least : int
        Pixels of a usual block, and of the smallest there can be.

    Raises
    ------
    CourseError
        If it cannot be done.
    """
    block, usual = max(block, least), taken(max(block, least), TILE)
    if most is None or base + usual <= most:
        return block, TILE
    small = base + taken(least, LEAST_TILE)
    if most < small:
        raise CourseError(f"--max-memory {text(most)} is too little: this scan takes {text(small)} at least")
    part = (most - small) / (base + usual - small)
    return int(least + part * (block - least)), int(LEAST_TILE + part * (TILE - LEAST_TILE))


def taken(block: int, tile: int) -> int:
    """Returns the bytes that blocks and tiles of so many pixels take."""
    return block * BLOCK_BYTES + tile * NETWORK_BYTES


def text(size: float) -> str:
    """Returns bytes in words.

    >>> text(3 << 30), text(200e6)
    ('3.0 GiB', '191 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
