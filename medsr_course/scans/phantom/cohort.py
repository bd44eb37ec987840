"""Folders of subjects in the Brain Imaging Data Structure: made in parallel, resumable, never half a file.

Each subject is written into a temporary sibling and renamed when complete, so a folder ``sub-0007`` is
either whole or absent. Workers are separate Python processes that are told one index at a time over a
pipe: that works alike on Linux, macOS and Windows, in scripts, consoles and Jupyter.
"""

import contextlib
import errno
import gzip
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nibabel as nib

from medsr_course import runtime
from medsr_course.scans.phantom.anatomy import LABELS
from medsr_course.scans.phantom.subject import CONTRASTS, make_subject
from medsr_course.scans.phantom.version import VERSION

BYTES_PER_SUBJECT = 40e6  # on disk, compressed, generous
MAX_WORKERS = 3  # each needs up to 0.9 GiB


def make_cohort(folder, n_subjects, seed=0, workers=None):
    """Make the subjects 0 … ``n_subjects`` − 1 that ``folder`` lacks.

    Parameters
    ----------
    folder : path
        A BIDS folder; made if need be. Subjects that it already has are left alone.
    n_subjects : int
    seed : int
        Subject *i* depends on (``seed``, *i*) only, whatever ``n_subjects`` is.
    workers : int, optional
        Processes at a time; by default one per core, at most three (memory). 1 works in this process.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    runtime.CourseError
        No space or no permission to write; the folder holds a cohort of another seed or version.
    """
    folder = Path(folder)
    try:
        _prepare(folder, seed)
        missing = [i for i in range(n_subjects) if not is_complete(folder, i)]
        if missing:
            _check_space(folder, len(missing))
            workers = workers or min(runtime.cpu_count(), MAX_WORKERS)
            workers = max(1, min(workers, len(missing)))
            make = _make_here if workers == 1 else _make_in_processes
            for _ in runtime.progress(
                make(folder, seed, missing, workers), "Synthetic cohort", len(missing), "subject"
            ):
                pass
        _write_participants(folder)
    except OSError as error:
        raise _mendable(error, folder) from error
    return folder


def name(index):
    """BIDS name of a subject.

    >>> name(7)
    'sub-0007'
    """
    return f"sub-{index:04d}"


def is_complete(folder, index):
    """Whether a subject is there: its folder is renamed into place last of all."""
    return (Path(folder) / name(index)).is_dir()


def write_subject(folder, seed, index):
    """Make one subject and put it into the BIDS folder, all or nothing."""
    folder, sub = Path(folder), name(index)
    made = make_subject(seed, index)
    temporary = Path(tempfile.mkdtemp(prefix=f".{sub}-", dir=folder))
    try:
        scans, truth = temporary / "scans" / "anat", temporary / "truth" / "anat"
        scans.mkdir(parents=True)
        truth.mkdir(parents=True)
        for contrast, volume in made.images.items():
            _write_nifti(scans / f"{sub}_{contrast}.nii.gz", volume, made.affine)
            _write_json(scans / f"{sub}_{contrast}.json", _sidecar(made.about, contrast))
        _write_nifti(truth / f"{sub}_dseg.nii.gz", made.labels, made.affine)
        _write_nifti(truth / f"{sub}_label-lesion_mask.nii.gz", made.lesion, made.affine)
        labels = folder / "derivatives" / "labels" / sub
        _replace(temporary / "truth", labels)
        _replace(temporary / "scans", folder / sub)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(source, target):
    """Rename a folder into place; where another process was faster its identical copy stays."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _write_nifti(path, volume, affine):
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="aligned")
    image.set_qform(affine, code="aligned")
    # No name and no time in the gzip header: the same subject, the same bytes.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file:
        file.write(image.to_bytes())


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def _sidecar(about, contrast):
    """BIDS sidecar (seconds), with everything that was drawn for this contrast."""
    timing = about["sequences_ms"][contrast]
    names = {"tr": "RepetitionTime", "te": "EchoTime", "ti": "InversionTime"}
    out = {names[k]: round(v / 1000, 5) for k, v in timing.items() if v is not None}
    out |= {"MagneticFieldStrength": 3.0, "SkullStripped": about["skull_stripped"]}
    keep = ("generator", "seed", "index", "lesion", "jacobian")
    out["Synthetic"] = {k: about[k] for k in keep} | {"chain": about["chains"][contrast]}
    return out


def _prepare(folder, seed):
    """The files that make a folder a BIDS data set."""
    labels = folder / "derivatives" / "labels"
    labels.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".sub-*"):  # of a process that was killed; another one's are younger
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    description = {
        "Name": "Synthetic heads of the medsr course",
        "BIDSVersion": "1.9.0",
        "License": "CC-BY-4.0",
        "GeneratedBy": [{"Name": "medsr_course.phantom", "Version": str(VERSION), "Seed": seed}],
        "Acknowledgements": "Deformed from the ICBM 2009a template (Fonov et al. 2011).",
    }
    path = folder / "dataset_description.json"
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["GeneratedBy"]
        except (ValueError, KeyError):
            found = None
        if found != description["GeneratedBy"]:
            raise runtime.CourseError(
                f"{folder} holds something else than the cohort of seed {seed}, version {VERSION}: "
                "choose another folder, or delete it (`medsr data clean`)"
            )
    else:
        _write_atomically(path, description)
    _write_atomically(labels / "dataset_description.json", description | {"DatasetType": "derivative"})
    rows = ["index\tname", *(f"{i}\t{text}" for i, text in LABELS.items())]
    (labels / "dseg.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def _write_atomically(path, content):
    handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    os.close(handle)
    _write_json(Path(temporary), content)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def _write_participants(folder):
    rows = ["participant_id\tlesion\tskull_stripped"]
    for sub in sorted(p.name for p in folder.glob("sub-*") if p.is_dir()):
        about = json.loads((folder / sub / "anat" / f"{sub}_{CONTRASTS[0]}.json").read_text(encoding="utf-8"))
        rows.append(f"{sub}\t{about['Synthetic']['lesion']}\t{'yes' if about['SkullStripped'] else 'no'}")
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def _check_space(folder, subjects):
    free = shutil.disk_usage(folder).free
    needed = subjects * BYTES_PER_SUBJECT
    if free < needed:
        raise runtime.CourseError(
            f"{subjects} subjects need about {needed / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free: "
            "make room, ask for fewer subjects, or set MEDSR_CACHE to another disk"
        )


def _mendable(error, folder):
    if error.errno == errno.ENOSPC:
        return runtime.CourseError(
            f"no space left on the disk of {folder}: make room or set MEDSR_CACHE to another disk, then repeat; "
            "finished subjects are kept"
        )
    return runtime.CourseError(f"cannot write the cohort to {folder} ({error}): set MEDSR_CACHE to another place")


def _make_here(folder, seed, indices, workers):
    for index in indices:
        write_subject(folder, seed, index)
        yield index


def _make_in_processes(folder, seed, indices, workers):
    """Yield indices as worker processes finish them; leave no process behind, whatever happens."""
    todo, done = queue.SimpleQueue(), queue.SimpleQueue()
    for index in indices:
        todo.put(index)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "medsr_course.scans.phantom.worker", str(folder), str(seed)]
    processes = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        for _ in range(workers)
    ]
    for process in processes:
        threading.Thread(target=_feed, args=(process, todo, done), daemon=True).start()
    try:
        for _ in indices:
            answer = done.get()
            if isinstance(answer, Exception):
                raise answer
            yield answer
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):  # an index may still wait in the pipe of a killed process
                    pipe.close()


def _feed(process, todo, done):
    """Hand one worker indices until there are none, passing on what it says."""
    try:
        while True:
            try:
                index = todo.get_nowait()
            except queue.Empty:
                return
            process.stdin.write(f"{index}\n")
            process.stdin.flush()
            answer = process.stdout.readline().split(maxsplit=1)
            if answer and answer[0] == "done":
                done.put(index)
                continue
            if answer and answer[0] == "oserror":
                number, text = answer[1].split(maxsplit=1)
                done.put(OSError(int(number), text.strip()))
                return
            last = process.stderr.read().strip().splitlines()[-1:] or ["it was ended from outside; out of memory?"]
            done.put(
                runtime.CourseError(
                    f"a worker stopped while making {name(index)} ({last[0]}): repeat with workers=1; "
                    "finished subjects are kept"
                )
            )
            return
    except (OSError, ValueError) as error:  # the pipe closed: we are being stopped
        done.put(runtime.CourseError(f"lost a worker process ({error}): repeat; finished subjects are kept"))
