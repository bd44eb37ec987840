"""Many scans at once: a folder of files, a BIDS folder, what is wrong with one of them, and going on after a kill."""

import csv
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from medsr_course import runtime
from medsr_course.pipeline import batch, domain, processes
from medsr_course.pipeline.plan import Options
from medsr_course.runtime import CourseError

QUICK = Options(quality="fast", axes="in-plane", scale=2)


def scan(path, seed=0, shape=(24, 24, 6), sizes=(4.0, 4.0, 4.0)):
    """Writes a smooth, head-like image with a little noise."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = (place**2).sum(0) < 0.8
    image = inside * (600 + 300 * ndimage.gaussian_filter(rng.standard_normal(shape), 1.5, mode="nearest"))
    image = np.hypot(image + 5 * rng.standard_normal(shape), 5 * rng.standard_normal(shape))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(image.astype(np.int16), np.diag([*sizes, 1])), path)
    return path


@pytest.fixture
def easy(monkeypatch):
    """A judge that finds nothing, where the images of a test are none of a head; for this process alone."""
    monkeypatch.setattr(domain, "judge", lambda *_, **__: domain.Verdict())


def medsr(*words, **environment):
    command = [sys.executable, "-m", "medsr_course", "enhance", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, MEDSR_PROGRESS="0", **environment))


def rows(out):
    with open(out / batch.TABLE, newline="", encoding="utf-8") as file:
        return {row["scan"]: row for row in csv.DictReader(file)}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.nii.gz")}


def test_a_folder_becomes_what_its_scans_become_alone(tmp_path):
    for k in range(3):
        scan(tmp_path / "in" / f"head{k}.nii.gz", k)
    done = medsr(tmp_path / "in", tmp_path / "out", "--quality", "fast", "--n-cpus", 2, "--force")
    print(done.stdout, done.stderr)
    assert done.returncode in (0, 3)
    for k in range(3):
        alone = medsr(tmp_path / "in" / f"head{k}.nii.gz", tmp_path / "alone" / f"head{k}.nii.gz", "--quality", "fast", "--force")
        assert alone.returncode == done.returncode
    assert len(contents(tmp_path / "out")) == 9
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
