"""Scans handed to the workers of a Dask cluster, ``medsr enhance … --scheduler tcp://…`` (extra ``cluster``).

Scheduler, workers and this machine share a file system, with the same paths, and have the same version of medsr.
Whoever reaches a port of Dask runs code there: keep it on a private network, or use TLS (``tls://…``, with certificates
in Dask's own configuration, ``distributed.comm.tls``). Start workers with ``--nthreads 1``: each takes one scan
at a time, on one core. A scan whose worker is lost goes to another one; after three of them it has failed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from medsr_course import runtime
from medsr_course.runtime import CourseError

Job = TypeVar("Job")
PATIENCE = 10  # seconds until a scheduler must have answered


def each(function: Callable[[Job], Any], jobs: Sequence[Job], address: str) -> Iterator[tuple[Job, Any]]:
    """Has a cluster do jobs; returns each with its answer as it is done, None if no worker outlived it.

    Raises
    ------
    CourseError
        If Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise CourseError("--scheduler needs Dask: pip install 'medsr-course[cluster]'") from None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError):
        raise CourseError(
            f"no Dask scheduler answers at {address}: start `dask scheduler`, check the address"
        ) from None
    with client:  # closing it takes back what is not done
        futures = {client.submit(_alone, function, job, pure=False): job for job in jobs}
        for future in as_completed(futures, loop=client.loop):
            yield futures[future], future.result() if future.status == "finished" else None


def _alone(function: Callable[[Job], Any], job: Job) -> Any:
    runtime.use_cpus(1)
    return function(job)
