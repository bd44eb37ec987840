"""Folders for what is not finished."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from medsr_course import runtime
from medsr_course.runtime import CourseError

LOCK, RUN = ".medsr.lock", ".medsr-run-"


@contextlib.contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """Makes a hidden folder for what is not finished, gone at the end; those of processes that were killed go first."""
    with contextlib.ExitStack() as held:
        with runtime.locked(parent / LOCK):
            for left in parent.glob(f"{RUN}*"):
                with contextlib.suppress(CourseError, OSError):
                    with runtime.locked(left / "lock", busy="its run goes on"):
                        pass
                    shutil.rmtree(left, ignore_errors=True)
            place = Path(tempfile.mkdtemp(prefix=RUN, dir=parent))
            held.callback(shutil.rmtree, place, ignore_errors=True)
            held.enter_context(runtime.locked(place / "lock"))
        yield place
