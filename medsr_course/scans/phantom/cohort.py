"""Folders of subjects in the Brain Imaging Data Structure: made in parallel, resumable, never half a file.

Each subject is written into a temporary sibling, flushed to the disk and renamed when complete, so a folder
``sub-0007`` is either whole or absent; :func:`is_complete` alone judges that. Workers are separate Python
processes that are told one index at a time over a pipe: that works alike on Linux, macOS and Windows, in
scripts, consoles and Jupyter.
"""

import contextlib
import gzip
import json
import math
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib

from medsr_course import runtime
from medsr_course.scans.phantom.anatomy import LABELS
from medsr_course.scans.phantom.subject import CONTRASTS, make_subject
from medsr_course.scans.phantom.version import VERSION
from medsr_course.types import Array, PathLike

BYTES_PER_SUBJECT = 40e6  # on disk, compressed, generous
MAX_WORKERS = 3  # each needs up to 0.9 GiB


def make_cohort(
    folder: PathLike,
    subjects: int | Iterable[int],
    seed: int = 0,
    workers: int | None = None,
    told: Callable[[int, int], object] | None = None,
) -> Path:
    """Make the subjects that ``folder`` lacks, or holds damaged.

    Parameters
    ----------
    folder : path
        A BIDS folder; made if need be. Subjects that it already has are left alone.
    subjects : int or iterable of int
        How many, from index 0; or their indices.
    seed : int
        Subject *i* depends on (``seed``, *i*) only, whatever else is made.
    workers : int, optional
        Processes at a time; by default one per core, at most three (memory). 1 works in this process.
    told : callable, optional
        Called with (made, of how many) at the start and after each subject, in place of a progress bar. The work is
        then always done by other processes: this one only waits, and may do so in a thread.

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
        missing = [i for i in _indices(subjects) if not is_complete(folder, i)]
        if missing:
            _check_space(folder, len(missing))
            workers = workers or min(runtime.cpu_count(), MAX_WORKERS)
            workers = max(1, min(workers, len(missing)))
            make = _make_here if workers == 1 and told is None else _make_in_processes
            made = make(folder, seed, missing, workers)
            if told is None:
                for _ in runtime.progress(made, "Synthetic cohort", len(missing), "subject"):
                    pass
            else:
                told(0, len(missing))
                for count, _ in enumerate(made, 1):
                    told(count, len(missing))
        _write_participants(folder)
    except OSError as error:
        raise runtime.CourseError(
            f"the cohort cannot be made: {runtime.disk_trouble(error, folder)}; finished subjects are kept"
        ) from error
    return folder


def name(index: int) -> str:
    """Returns the BIDS name of a subject.

    >>> name(7)
    'sub-0007'
    """
    return f"sub-{index:04d}"


def is_complete(folder: PathLike, index: int) -> bool:
    """Returns whether a subject is there, with every scan and label image and none of its files empty or cut short."""
    return _is_whole(Path(folder), name(index))


def _indices(subjects: int | Iterable[int]) -> Iterable[int]:
    return range(subjects) if isinstance(subjects, int) else subjects


def complete(folder: PathLike, subjects: int | Iterable[int] | None = None) -> list[str]:
    """Returns the names of the complete subjects of a cohort, of ``subjects`` (see :func:`make_cohort`) or of all."""
    folder = Path(folder)
    if not _is_filled(folder / "derivatives" / "labels" / "dseg.tsv"):  # without it no label has a name
        return []
    wanted = sorted(p.name for p in folder.glob("sub-*")) if subjects is None else map(name, _indices(subjects))
    return [sub for sub in wanted if _is_whole(folder, sub)]


def _is_whole(folder: Path, sub: str) -> bool:
    scans, truth = folder / sub / "anat", folder / "derivatives" / "labels" / sub / "anat"
    needed = [scans / f"{sub}_{contrast}.nii.gz" for contrast in CONTRASTS]
    needed += [truth / f"{sub}_dseg.nii.gz", truth / f"{sub}_label-lesion_mask.nii.gz"]
    return all(map(_is_whole_scan, needed)) and all(map(_is_filled, scans.glob("*.json")))


def _is_filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _is_whole_scan(path: Path) -> bool:
    """Whether a compressed scan has its end: the last four bytes of a gzip file are its length, unpacked."""
    try:
        with open(path, "rb") as raw, gzip.GzipFile(fileobj=raw) as file:
            header = nib.Nifti1Header.from_fileobj(file)
            raw.seek(-4, os.SEEK_END)
            length = int.from_bytes(raw.read(4), "little")
        size = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
        return length == int(header.get_data_offset()) + size
    except Exception:  # whatever gzip and nibabel raise over a damaged file
        return False


def write_subject(folder: PathLike, seed: int, index: int) -> None:
    """Make one subject and put it into the BIDS folder, all or nothing; a damaged one makes place."""
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
        for written in (scans, truth):
            runtime.flush_to_disk(written)
        if not is_complete(folder, index):  # else another process was faster: its identical copy stays
            _replace(temporary / "truth", folder / "derivatives" / "labels" / sub)
            _replace(temporary / "scans", folder / sub)
            runtime.flush_to_disk(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(source: Path, target: Path) -> None:
    """Rename a folder into place of a damaged one; where another process was faster its identical copy stays."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _write_nifti(path: Path, volume: Array, affine: Array) -> None:
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="aligned")
    image.set_qform(affine, code="aligned")
    # No name and no time in the gzip header: the same subject, the same bytes.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file:
        file.write(image.to_bytes())
    runtime.flush_to_disk(path)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _write_text(path: Path, text: str) -> None:
    with runtime.atomic_write(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


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
    if _is_filled(path):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["GeneratedBy"]
        except (ValueError, KeyError, TypeError):
            found = None
        if found != description["GeneratedBy"]:
            raise runtime.CourseError(
                f"{folder} holds something else than the cohort of seed {seed}, version {VERSION}: "
                "choose another folder, or delete it (`medsr data clean`)"
            )
    else:
        _write_json(path, description)
    _write_json(labels / "dataset_description.json", description | {"DatasetType": "derivative"})
    rows = ["index\tname", *(f"{i}\t{text}" for i, text in LABELS.items())]
    _write_text(labels / "dseg.tsv", "\n".join(rows) + "\n")


def _write_participants(folder):
    rows = ["participant_id\tlesion\tskull_stripped"]
    for sub in sorted(p.name for p in folder.glob("sub-*") if p.is_dir()):
        try:
            about = json.loads((folder / sub / "anat" / f"{sub}_{CONTRASTS[0]}.json").read_text(encoding="utf-8"))
            rows.append(f"{sub}\t{about['Synthetic']['lesion']}\t{'yes' if about['SkullStripped'] else 'no'}")
        except (OSError, ValueError, KeyError, TypeError):  # somebody's file was lost or changed: the scans are there
            rows.append(f"{sub}\tn/a\tn/a")
    _write_text(folder / "participants.tsv", "\n".join(rows) + "\n")


def _check_space(folder, subjects):
    free = shutil.disk_usage(folder).free
    needed = subjects * BYTES_PER_SUBJECT
    if free < needed:
        raise runtime.CourseError(
            f"{subjects} subjects need about {needed / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free: "
            "make room, ask for fewer subjects, or set MEDSR_CACHE to another disk"
        )


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
    environment.pop("PYTHONPATH", None)
    command = [*_python_as_here(), "medsr_course.scans.phantom.worker", str(folder), str(seed)]
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


def _python_as_here() -> list[str]:
    """How to start a module in a new process with this package and its dependencies, and nothing else in front.

    Neither the working folder nor PYTHONPATH is searched: a file ``random.py`` there would be run in place of
    Python's own. Where the package and its dependencies lie is handed over by name.
    """
    specs = [find_spec(package) for package in ("medsr_course", "numpy", "scipy", "nibabel", "nilearn")]
    places = dict.fromkeys(str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin)
    code = (
        "import os, runpy, sys; own, *others = sys.argv.pop(1).split(os.pathsep); sys.path.insert(0, own); "
        "sys.path += [p for p in others if p not in sys.path]; runpy.run_module(sys.argv.pop(1), run_name='__main__')"
    )
    return [sys.executable, "-P", "-c", code, os.pathsep.join(places)]


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
