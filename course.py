#!/usr/bin/env python3
"""Set up and run the course: setup, lab, test, book, bench, weights; for teachers lesson, bundle, edition, wheels.

    python course.py lab [JupyterLab arguments]

Needs nothing but Python's standard library; the Makefile calls it, Windows runs it directly. It makes
``.venv`` beside this file, installs the versions pinned in ``requirements.lock``, and remembers that it
did, so that the next call starts at once. Exit codes: 0 success, 1 something to mend, 2 wrong usage, 130 interrupted.
"""

import contextlib
import errno
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python" + (".exe" if os.name == "nt" else ""))
LOCK = os.path.join(ROOT, "requirements.lock")
STAMP = os.path.join(VENV, "medsr-installed")
TURN = os.path.join(ROOT, ".setup.lock")
OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_GIB = 5


class SetupError(Exception):
    """What was wrong and what to do, in one or two lines."""


def main(arguments):
    commands = {"lab": lab, "test": test, "book": book, "bench": bench, "weights": weights, "wheels": wheels}
    commands |= {"setup": setup, "lesson": lesson, "bundle": bundle, "edition": edition}
    if not arguments or arguments[0] not in commands:
        print("usage: python course.py {" + ",".join(commands) + "} [arguments]")
        return 2
    try:
        use_supported_python(arguments)
        if arguments[0] == "setup" and arguments[1:]:
            use_bundle(arguments[1])
        if arguments[0] != "wheels":
            set_up()
        return commands[arguments[0]](arguments[1:])
    except SetupError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncourse: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


# --- the commands ---------------------------------------------------------------------------------


def lab(arguments):
    """JupyterLab on the first chapter; with --cohort the simulated people are made first."""
    words = shlex.split(os.environ.get("LAB_ARGS", "")) + arguments
    if "--cohort" in words:
        words.remove("--cohort")
        code = run_python("-m", "medsr_course", "data", "make", "cohort")
        if code:
            return code
    else:
        print("course: chapter 00 makes the simulated people while you read; `lab --cohort` makes them first")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.insert(0, "--allow-root")  # containers; Jupyter refuses to start otherwise
    first = os.path.join("notebooks", "00_start_here.ipynb")
    return run_python("-m", "jupyterlab", first, *words)


def test(arguments):
    """Every test; the cohort that the notebooks use is made once before them."""
    words = shlex.split(os.environ.get("TEST_ARGS", "")) + arguments
    code = run_python("-m", "medsr_course", "data", "make", "cohort", "--subjects", "6")
    if code:
        return code
    return run_python("-m", "pytest", *(words or ["-n", "2", "--dist", "loadgroup"]))


def book(arguments):
    """Execute the notebooks and build the website to book/_build/html."""
    profile = os.environ.get("PROFILE") or "lesson"  # make exports it empty where it is not given
    return run_python("-m", "book.build", "--profile", profile, *arguments)


def bench(arguments):
    """Measure speed on this machine, to results/bench.csv."""
    return run_python("-m", "tools.bench", *arguments)


def weights(arguments):
    """Retrain shipped weights from their recipes (all, or NAME=…)."""
    names = shlex.split(os.environ.get("NAME", "")) + arguments
    return run_python("-m", "medsr_course.networks.training", *names)


def setup(arguments):
    """Nothing but the set-up; with the folder of a bundle, from there, its data included."""
    if not arguments:
        return 0
    return run_python("-m", "medsr_course", "data", "unbundle", os.path.join(os.path.abspath(arguments[0]), "data"))


def lesson(arguments):
    """Notebook, slides and handout of a lesson of 90 minutes."""
    return run_python("-m", "classroom.lessons", *arguments)


def edition(arguments):
    """A copy of the course without solutions, tests and teachers' pages."""
    return run_python("-m", "classroom.copies", "edition", *map(os.path.abspath, arguments[:1]))


def bundle(arguments):
    """All that a room without a network needs, in one folder: packages, course, data, executed chapters, site."""
    if not arguments:
        raise SetupError("name a folder outside the course, and data sets to add if you like: bundle FOLDER [NAME …]")
    folder = os.path.abspath(arguments[0])
    if os.path.commonpath([folder, ROOT]) == ROOT:
        raise SetupError(f"{folder} lies in the course itself: name a folder outside")
    download(os.path.join(folder, "wheels"))
    return run_python("-m", "classroom.copies", "bundle", folder, *arguments[1:])


def wheels(arguments):
    """Download every package into a folder, for classrooms on a closed network."""
    folder = os.path.abspath(arguments[0] if arguments else os.path.join(ROOT, "wheels"))
    download(folder)
    print("Copy the folder to the classroom's machines and run there, with its full path on that machine:")
    print(f"    PIP_NO_INDEX=1 PIP_FIND_LINKS={folder} make lab")
    return 0


def download(folder):
    """Every pinned package into a folder."""
    check_disk(os.path.dirname(folder) if os.path.isdir(os.path.dirname(folder)) else ROOT, 2)
    pip(sys.executable, "download", "--require-hashes", "-r", LOCK, "-d", folder)


def use_bundle(folder):
    """Have pip take its packages from the folder of a bundle alone."""
    packages = os.path.join(os.path.abspath(folder), "wheels")
    if not os.path.isdir(packages):
        raise SetupError(f"{packages} is not there: give the full path of the folder that `course.py bundle` made")
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=packages)


def run_python(*words):
    """Run the environment's Python from the course's root; Ctrl-C goes to the child alone."""
    process = subprocess.Popen([PYTHON] + list(words), cwd=ROOT, env=environment(JUPYTER_PREFER_ENV_PATH="1"))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            time.sleep(0.1)  # the child got the signal too and is closing


def environment(without=(), **more):
    """The variables for a Python of .venv: without those that would have it load packages from elsewhere."""
    foreign = {"PYTHONPATH", "PYTHONHOME", *without}
    return {**{name: value for name, value in os.environ.items() if name not in foreign}, **more}


# --- setting up -----------------------------------------------------------------------------------


def use_supported_python(arguments):
    """Go on with a Python that the course supports; look for one where this is not."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other:
            sys.exit(subprocess.call([other, os.path.abspath(__file__)] + arguments))
    raise SetupError(
        f"this is Python {sys.version_info[0]}.{sys.version_info[1]}, and the course needs 3.{OLDEST[1]} to "
        f"3.{NEWEST[1]}: install one of these and run it again"
    )


def set_up():
    """Make .venv and install the lock, unless that is done already."""
    state = fingerprint()
    if stamp() == state:
        return
    with turn():
        if stamp() != state:  # another set-up may have done it while this one waited
            install(state)


@contextlib.contextmanager
def turn():
    """Let one set-up at a time into this checkout: two would write over each other's files in .venv."""
    try:
        file = open(TURN, "a+b")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise SetupError(f"{TURN} cannot be written ({error.strerror}): is {ROOT} writable?") from None
    with file:  # closing it lets go, and so does the end of the process, however it ends
        if not taken(file):
            print("another set-up is at work in this folder: waiting for it …", flush=True)
            while not taken(file):
                time.sleep(0.5)
        yield


def taken(file):
    """Take the lock on an open file; False where another process has it."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A disk that knows no locks goes without one.
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True


def install(state):
    """Make .venv, install the lock into it, and write down that this was done."""
    began = time.time()
    check_disk(ROOT, NEEDED_GIB)
    if not environment_works():
        step(1, "making .venv")
        make_environment()
    step(2, "installing the pinned packages (about 0.8 GB to download; once)")
    pip(PYTHON, "install", "--no-compile", "--require-hashes", "-r", LOCK)
    pip(PYTHON, "install", "--no-compile", "--quiet", "--no-deps", "--no-build-isolation", "-e", ROOT)
    step(3, "compiling, so that later starts are quick")
    # Not `pip --compile`: it uses one core, and PYTHONDONTWRITEBYTECODE may be set.
    subprocess.call(
        [
            PYTHON,
            "-m",
            "compileall",
            "-q",
            "-q",
            "-j",
            "0",
            os.path.join(VENV, "Lib" if os.name == "nt" else "lib"),
        ],
        env=environment(without=["PYTHONDONTWRITEBYTECODE"]),
        stdout=subprocess.DEVNULL,
    )
    step(4, "registering the kernel")
    kernel = ["-m", "ipykernel", "install", "--sys-prefix", "--name", "python3"]
    made = subprocess.run(
        [PYTHON] + kernel + ["--display-name", "Python 3 (medsr course)"],
        capture_output=True,
        text=True,
        env=environment(),
    )
    if made.returncode:
        raise SetupError("the Jupyter kernel could not be registered: " + last_line(made.stderr))
    with open(STAMP, "w") as file:
        file.write(state)
    print(f"Ready after {time.time() - began:.0f} s.", flush=True)


def fingerprint():
    """What the installation depends on; the folder too, since scripts in .venv hold its path."""
    digest = hashlib.sha256(ROOT.encode())
    for name in (LOCK, os.path.join(ROOT, "pyproject.toml")):
        with open(name, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def stamp():
    try:
        with open(STAMP) as file:
            return file.read()
    except OSError:
        return None


def environment_works():
    """True where .venv has a Python of a supported version, and pip, and lies where it was made."""
    if not os.path.exists(PYTHON):
        return False
    question = "import pip, sys; print(sys.prefix, *sys.version_info[:2], sep='|')"
    try:
        answer = subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, timeout=60, env=environment())
        prefix, major, minor = answer.stdout.strip().split("|")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    return os.path.samefile(prefix, VENV) and OLDEST <= (int(major), int(minor)) <= NEWEST


def make_environment():
    try:
        import ensurepip  # noqa: F401  (Debian ships Python without it)
        import venv
    except ImportError:
        raise SetupError(
            "this Python has no venv module: install it (Debian and Ubuntu: sudo apt install python3-venv)"
        ) from None
    try:
        venv.create(VENV, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"making .venv failed ({error}): is {ROOT} writable?") from None


def check_disk(folder, gib):
    free = shutil.disk_usage(folder).free / 2**30
    if free < gib:
        raise SetupError(
            f"only {free:.1f} GiB free on the disk of {folder}, and {gib} are needed: free some space and run it again"
        )


def pip(python, *words):
    """Run pip with its progress shown; turn its failures into one line."""
    check_links()
    command = [python, "-m", "pip", "--disable-pip-version-check", words[0], "--retries", "2"] + list(words[1:])
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment())
    told = []
    for line in process.stderr:
        told.append(line.strip())
    if process.wait() == 0:
        return
    text = "\n".join(told)
    if any(sign in text for sign in ("No space left", "Errno 28", "WinError 112")):
        raise SetupError(f"the disk filled up while installing: free {NEEDED_GIB} GiB and run it again")
    offline = ("NewConnectionError", "name resolution", "getaddrinfo", "Network is unreachable", "ProxyError")
    offline += (
        "ConnectTimeout",
        "Could not find a version",
        "No matching distribution",
        "ReadTimeout",
        "resolve host",
    )
    if any(sign in text for sign in offline):
        raise SetupError(
            "the packages could not be downloaded: check the network and run it again; without one, run on a machine\n"
            "that has one `python course.py bundle FOLDER`, and here `python course.py setup FULL-PATH-OF-THAT-FOLDER`"
        )
    if "hash" in text.lower() and "mismatch" in text.lower():
        raise SetupError("a downloaded package is not the pinned one (wrong hash): run it again, or ask your proxy")
    errors = [line for line in told if line.startswith("ERROR")] or told or ["no message"]
    raise SetupError("pip failed: " + errors[-1])


def check_links():
    """Without a network, PIP_FIND_LINKS must name folders that are there: pip passes over others in silence."""
    if not os.environ.get("PIP_NO_INDEX"):
        return
    for place in os.environ.get("PIP_FIND_LINKS", "").split():
        if "://" not in place and not os.path.exists(place):
            raise SetupError(
                f"PIP_FIND_LINKS is {place}, and {os.path.abspath(place)} is not there: give the full path"
            )


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def step(number, what):
    print(f"[{number}/4] {what} …", flush=True)


if __name__ == "__main__":
    # A Windows console in a legacy code page must not stop on an ellipsis.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.exit(main(sys.argv[1:]))
