"""What this machine has, what works, and what to do about what does not."""

import errno
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medsr_course import __version__, resources, runtime

_TITLES = {"_disk": "Cache", "_cohort": "Synthetic cohort", "_weights": "Trained networks", "_kernel": "Jupyter kernel"}


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``status`` is "ok", "note" (works, with less) or "problem".

    ``where`` is a path of this machine; the ``detail`` of an "ok" holds none, so a page can show it.
    """

    what: str
    status: str
    detail: str
    remedy: str = ""
    where: str = ""


def report() -> list[Finding]:
    """Everything worth knowing before starting, as a list of :class:`Finding`."""
    looks = (_python, _packages, _keras, _jupyter, _machine, _gpu, _disk, _template, _weights, _cohort, _real_scans)
    return [_looked(look) for look in (*looks, _kernel, _chromium)]


def _looked(look: Callable[[], Finding]) -> Finding:
    """A finding, also where the look itself fails: one wrong setting does not hide all the rest."""
    try:
        return look()
    except (RuntimeError, OSError) as error:
        what = look.__name__.strip("_").replace("_", " ").capitalize()
        return Finding(_TITLES.get(look.__name__, what), "problem", str(error).splitlines()[0], "mend what it names")


def as_dict() -> dict[str, Any]:
    """The report as JSON-ready dict: version, ``ok`` (no problem found) and the findings."""
    findings = report()
    return {
        "medsr_course": __version__,
        "checkout": str(resources.checkout() or ""),
        "ok": all(f.status != "problem" for f in findings),
        "findings": [asdict(f) for f in findings],
    }


def _python() -> Finding:
    version = platform.python_version()
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("Python", "problem", version, "use Python 3.11, 3.12 or 3.13")
    return Finding("Python", "ok", version, where=sys.prefix)


def _packages() -> Finding:
    names = ("numpy", "scipy", "nibabel", "nilearn", "scikit-image", "onnxruntime")
    versions = {name: _version(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return Finding("Core packages", "problem", f"missing: {', '.join(missing)}", "run `make lab`")
    return Finding("Core packages", "ok", ", ".join(f"{n} {v}" for n, v in versions.items()))


def _keras() -> Finding:
    keras = _version("keras")
    there = [name for name in ("tensorflow", "jax", "torch") if find_spec(name)]
    if not keras or not there:
        return Finding("Keras", "note", "not installed: shipped networks run, training does not", "run `make lab`")
    file, settings = _keras_settings()
    chosen, by = str(settings.get("backend") or "tensorflow"), "keras.json"
    if os.environ.get("KERAS_BACKEND"):
        chosen, by = os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    detail = f"{keras} on {chosen}" + (f", chosen by {by}" if chosen != "tensorflow" else "")
    if chosen not in ("tensorflow", "jax", "torch"):
        return Finding(
            "Keras", "problem", f"{detail}: no backend of the course", f"change {by}: tensorflow, jax or torch"
        )
    if chosen not in there:
        return Finding("Keras", "problem", f"{detail}, which is not installed", f"install {chosen}, or change {by}")
    usual = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
    odd = [f"{key} {settings[key]}" for key, value in usual.items() if settings.get(key, value) != value]
    if odd:
        remedy = "delete these lines from the file, or the file"
        return Finding("Keras", "problem", f"{detail}; keras.json sets {', '.join(odd)}", remedy, str(file))
    return Finding("Keras", "ok", f"{detail}; installed: {', '.join(f'{n} {_version(n)}' for n in there)}")


def _keras_settings() -> tuple[Path, dict[str, Any]]:
    """Keras' file of settings and its content, found as Keras finds it; importing Keras would take seconds."""
    home = os.environ.get("KERAS_HOME")
    base = os.path.expanduser("~")
    folder = Path(home) if home else Path(base if os.access(base, os.W_OK) else "/tmp") / ".keras"
    try:
        found = json.loads((folder / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras passes over it, too
        found = {}
    return folder / "keras.json", found if isinstance(found, dict) else {}


def _jupyter() -> Finding:
    lab = _version("jupyterlab")
    return Finding("JupyterLab", "ok", lab) if lab else Finding("JupyterLab", "note", "not installed", "run `make lab`")


def _machine() -> Finding:
    memory = _memory_gib()
    detail = f"{platform.system()} {platform.machine()}, {runtime.cpu_count()} cores"
    detail += f", {memory:.1f} GiB of memory" if memory else ""
    if memory and memory < 6:
        return Finding("Machine", "note", detail, "close other programs: the course needs about 4 GiB")
    return Finding("Machine", "ok", detail)


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool:
        try:
            asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
            answer = subprocess.run(asked, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            answer = None
        if answer is not None and answer.returncode == 0 and answer.stdout.strip():
            return Finding("GPU", "ok", "; ".join(answer.stdout.strip().splitlines()))
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Finding("GPU", "ok", "Apple silicon")
    return Finding("GPU", "ok", "none: every chapter is timed on two cores without one")


def _disk() -> Finding:
    cache = runtime.cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        probe = cache / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        if cache.is_dir() and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            detail = f"{error.strerror}: what is in it is used, nothing is added"
            return Finding("Cache", "note", detail, "set MEDSR_CACHE to a writable folder", str(cache))
        return Finding("Cache", "problem", str(error.strerror), "set MEDSR_CACHE to a writable folder", str(cache))
    free = shutil.disk_usage(cache).free / 2**30
    if free < 2:
        return Finding("Cache", "problem", f"{free:.1f} GiB free", "free 2 GiB, or set MEDSR_CACHE", str(cache))
    return Finding("Cache", "ok", f"{free:.0f} GiB free", where=str(cache))


def _template() -> Finding:
    try:
        found = resources.template("t1")
    except runtime.CourseError as error:
        return Finding("Brain template", "problem", str(error))
    return Finding("Brain template", "ok", f"ICBM 2009a in nilearn {_version('nilearn')} ({found.name})")


def _weights() -> Finding:
    from medsr_course.networks import pretrained

    bad = []
    for name in pretrained.names(task=None):
        try:
            pretrained.verify(name)
        except runtime.CourseError as error:
            bad.append(str(error))
    if bad:
        return Finding("Trained networks", "problem", bad[0], "restore data/weights from the repository")
    return Finding("Trained networks", "ok", f"{', '.join(pretrained.names(task=None))} (checksums right)")


def _cohort() -> Finding:
    from medsr_course.scans import datasets

    made = datasets.cohort_size()
    if made:
        return Finding("Synthetic cohort", "ok", f"{made} subjects in the cache")
    return Finding("Synthetic cohort", "ok", "not made yet: chapters make it at first use (a minute or two)")


def _real_scans() -> Finding:
    from medsr_course.scans import datasets

    folder = datasets.real_folder()
    if folder and not any(folder.glob("*_*.nii.gz")) and not any(folder.glob("ds002748/sub-*/anat/*.nii*")):
        return Finding("Real scans", "note", "none in their folder", "put NAME_T1w.nii.gz … there", where=str(folder))
    if folder:
        return Finding("Real scans", "ok", "there", where=str(folder))
    return Finding("Real scans", "note", "none: claims about them are left open", "medsr data get ds002748")


def _kernel() -> Finding:
    try:
        os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        return Finding("Jupyter kernel", "note", "Jupyter is not installed", "run `make lab`")
    specs = KernelSpecManager().find_kernel_specs()
    if "python3" not in specs:
        return Finding("Jupyter kernel", "problem", "none registered", "run `make lab`")
    try:
        words = json.loads((Path(specs["python3"]) / "kernel.json").read_text(encoding="utf-8"))["argv"]
        program = str(words[0])
    except (OSError, ValueError, LookupError, TypeError):
        return Finding(
            "Jupyter kernel", "problem", "its kernel.json cannot be used", "run `make lab`", specs["python3"]
        )
    if not program or (Path(program).is_absolute() and not Path(program).exists()):
        return Finding(
            "Jupyter kernel", "problem", "it starts no Python that is here", "run `make lab`", specs["python3"]
        )
    return Finding("Jupyter kernel", "ok", "registered", where=specs["python3"])


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome of the system, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def _chromium() -> Finding:
    found = find_chromium()
    if found:
        return Finding("Chromium", "ok", "there", where=found)
    return Finding("Chromium", "ok", "none: only the browser tests need it, and skip without")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory_gib() -> float | None:
    """Memory in GiB: the machine's, or what the container it runs in may use."""
    found = [_machine_memory_gib()]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path(limit).read_text()) / 2**30)
        except (OSError, ValueError):  # no such limit: "max"
            continue
    return min(filter(None, found), default=None)


def _machine_memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        if find_spec("psutil"):
            import psutil

            return psutil.virtual_memory().total / 2**30
    return None
