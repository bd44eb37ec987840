"""Scans over Dask: a scheduler and two workers, real processes, one of which is killed at work."""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest
from test_enhance_batch import QUICK, alone, contents, folder_of, here, hidden, table  # noqa: F401 (here: a fixture)

from medsr_course.pipeline import batch
from medsr_course.runtime import CourseError
from medsr_course.workers import cluster

pytest.importorskip("distributed", reason="the extra cluster is not installed")

# In each worker: a judge whom small images of nothing suit, and in one of them a kill in the middle of its first scan.
PRELOAD = """
import os, signal
from medsr_course.pipeline import batch, outputs
from medsr_course.scans import domain
domain.judge = lambda *_, **__: domain.Verdict()
def dask_setup(worker):  # once; the module itself is run twice
    write = outputs.write
    def writing(*arguments, **options):
        made = write(*arguments, **options)
        if "DOOMED" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return made
    outputs.write = writing
"""


@contextmanager
def dask(tmp_path, *workers):
    """Address of a scheduler with workers, each with these settings in its environment, and their processes."""
    (tmp_path / "preload.py").write_text(PRELOAD)
    with ExitStack() as held:

        def start(*words, **settings):
            command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
            pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
            process = subprocess.Popen(command, env={**os.environ, **settings}, cwd=tmp_path, **pipes)
            held.callback(process.stderr.close)
            held.callback(process.wait)
            held.callback(process.kill)
            return process

        def line(process, word):
            return next(line for line in process.stderr if word in line)

        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0")
        address = line(scheduler, "Scheduler at:").split()[-1]
        words = ("worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--preload", "preload.py")
        started = [start(*words, **settings) for settings in workers]
        for process in started:
            line(process, "Registered to")
        yield address, started


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_two_workers_one_killed_give_the_bytes_of_one_at_a_time(tmp_path, here):  # noqa: F811
    folder, out = folder_of(tmp_path, 6), tmp_path / "out"
    expected = alone(folder, tmp_path / "alone")
    (folder / "letter.nii").write_text("Dear Dr Smith")
    with dask(tmp_path, {}, {"DOOMED": "1"}) as (address, workers):
        found = batch.run(folder, out, QUICK, scheduler=address)
        assert workers[1].wait(60) == -9
        assert workers[0].poll() is None
    assert [one.outcome for one in found] == ["written"] * 6 + ["failed"]
    assert contents(out) == expected
    assert not hidden(out)
    assert len(table(out)) == 7


def test_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    folder = folder_of(tmp_path, 1)
    with pytest.raises(CourseError, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        batch.run(folder, tmp_path / "out", QUICK, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(CourseError, match="no Dask scheduler answers"):
        batch.run(folder, tmp_path / "out", QUICK, scheduler="nonsense://x")
    assert not contents(tmp_path / "out")


def test_without_dask_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CourseError, match=r"medsr-course\[cluster\]"):
        batch.run(folder_of(tmp_path, 1), tmp_path / "out", QUICK, scheduler="tcp://127.0.0.1:9")
