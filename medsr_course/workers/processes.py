"""Work in processes of its own: one that crashes, hangs or takes too much memory takes nobody with it.

A process is told what to do by pickle, and answers in JSON: what a hostile file may have done to it is never unpickled
here. It ends when the process that started it ends, however that ends.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeVar

from medsr_course import runtime

Job = TypeVar("Job")
_CONTEXT = multiprocessing.get_context("spawn")  # alike on every system; a fork would copy locks that threads hold


class Process:
    """A process that does one thing after another.

    Parameters
    ----------
    cpus : int
        Cores it may use.
    memory : int, optional
        Bytes of address space it may take beyond what Python has taken when it starts. Linux holds it to that. macOS
        does so in part. Windows has no such limit: there only the checks before a file is read hold.
    """

    def __init__(self, cpus: int = 1, memory: int | None = None) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, cpus, memory), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Has it do something: a function of a module, by name."""
        with contextlib.suppress(BrokenPipeError):  # it is gone: ``answer`` tells
            self.pipe.send((function, arguments))

    def answer(self, seconds: float | None = None) -> Any:
        """Returns what came out, None if the process ended before.

        Raises
        ------
        TimeoutError
            If it took longer than ``seconds``.
        """
        try:
            if self.pipe.poll(seconds):
                return json.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            return None
        raise TimeoutError

    def kill(self) -> None:
        """Kills it; who waits for its answer gets None."""
        self._process.kill()

    def end(self) -> None:
        """Kills it, and lets go of what it held."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def each(
    function: Callable[[Job], Any], jobs: Sequence[Job], count: int, cpus: int = 1, memory: int | None = None
) -> Iterator[tuple[Job, Any]]:
    """Returns jobs, each with its answer, as ``count`` processes do them; None where a process ended before."""
    waiting, idle = deque(jobs), list[Process]()
    busy: dict[Any, tuple[Process, Job]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < count:
                process = idle.pop() if idle else Process(cpus, memory)
                busy[process.pipe] = process, waiting.popleft()
                process.give(function, busy[process.pipe][1])
            for pipe in connection.wait(list(busy)):
                process, job = busy.pop(pipe)
                answer = process.answer()
                if answer is None:
                    process.end()
                else:
                    idle.append(process)
                yield job, answer
    finally:
        for process in (*idle, *(process for process, _ in busy.values())):
            process.end()


def _serve(pipe: Any, cpus: int, memory: int | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us decides
    threading.Thread(target=_follow, daemon=True).start()
    runtime.use_cpus(cpus)
    limit(memory)
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, arguments = pipe.recv()
            pipe.send_bytes(json.dumps(function(*arguments)).encode())


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def limit(memory: int | None) -> None:
    """Holds this process to ``memory`` bytes of address space beyond what it has now, where the system can."""
    if memory is None or sys.platform == "win32":
        return
    import resource

    pages = 0
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = memory + pages * resource.getpagesize()
    with contextlib.suppress(ValueError, OSError):  # macOS refuses some values; a lower limit may hold already
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # nothing of a scan stays in a core dump


def forget_peak() -> None:
    """Begins to measure peak memory anew, on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> int:
    """Returns this process's peak memory in MiB since :func:`forget_peak`; elsewhere than on Linux since it began."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)
