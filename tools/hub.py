"""A class on one machine: memory and time of JupyterHub with many users. ``python -m tools.hub --hub FOLDER``

FOLDER is the environment that JupyterHub lies in (classroom/hub/README.md makes it); configurable-http-proxy must be
on the path. Starts a hub with the recipe of ``classroom/hub`` (spawner "simple"), logs students in one after another,
and runs the first cells of chapter 00 for all of them at once: for as many as memory allows, and the table says for how
many. Writes ``results/hub.csv`` and ``results/hub.md``.
"""

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import requests
import websocket

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.teaching import notebooks
from tools import command

ROOT = Path(__file__).resolve().parent.parent
PORT = 18_000
BROKEN = (
    "*Kernels started anew*: a connection broke, or a kernel did not answer. The student then started another, as by\n"
    "*Restart kernel*. *Failed* are students who did not get through all the same."
)
CELLS = 4  # code cells of chapter 00: settings, imports, the four images, the errors
TRIES = 3  # kernels before a student has failed


@contextlib.contextmanager
def hub(environment: Path, folder: Path, token: str) -> Iterator[psutil.Process]:
    """JupyterHub running, with an administrator's token."""
    config = folder / "config.py"
    recipe = ROOT / "classroom" / "hub" / "jupyterhub_config.py"
    config.write_text(
        f"__file__ = {str(recipe)!r}\nexec(open(__file__).read())\n"
        f"c.JupyterHub.bind_url = 'http://127.0.0.1:{PORT}'\n"
        f"c.JupyterHub.hub_port = {PORT + 1}\n"
        f"c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{PORT + 2}'\n"
        f"c.JupyterHub.services = [{{'name': 'measure', 'api_token': {token!r}}}]\n"
        "c.JupyterHub.load_roles = [{'name': 'measure', 'services': ['measure'], 'scopes': "
        "['admin:users', 'admin:servers', 'access:servers']}]\n"
    )
    settings = {
        "MEDSR_COURSE": str(ROOT), "MEDSR_SHARED": str(runtime.cache_dir()), "MEDSR_PASSWORD": secrets.token_hex(8),
        "MEDSR_SPAWNER": "simple", "MEDSR_HOMES": str(folder / "homes"), "MEDSR_HUB_BIN": str(environment / "bin"),
    }  # fmt: skip
    words = [str(environment / "bin" / "jupyterhub"), "-f", str(config)]
    with (folder / "hub.log").open("w") as log:
        process = subprocess.Popen(words, cwd=folder, env=os.environ | settings, stdout=log, stderr=log)
        try:
            _wait(lambda: requests.get(_api(""), timeout=5).ok, 180, "JupyterHub did not start")
            yield psutil.Process(process.pid)
        finally:
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            for child in children:
                with contextlib.suppress(psutil.Error):
                    child.kill()


def _api(path: str) -> str:
    return f"http://127.0.0.1:{PORT}/hub/api{path}"


def _wait(ready: Any, seconds: float, trouble: str) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        with contextlib.suppress(requests.RequestException):
            if ready():
                return
        time.sleep(0.5)
    raise CourseError(trouble)


class Student:
    """One student: a server, a kernel, and the first cells of chapter 00."""

    def __init__(self, number: int, token: str) -> None:
        self.name = f"student{number:02d}"
        self.heads = {"Authorization": f"token {token}"}
        self.seconds: dict[str, float] = {}
        self.again = 0  # kernels started anew
        self.error = ""

    def start(self) -> None:
        """Log in: the server is there when this returns."""
        began = time.perf_counter()
        requests.post(_api(f"/users/{self.name}"), headers=self.heads, timeout=30)
        requests.post(_api(f"/users/{self.name}/server"), headers=self.heads, timeout=30)

        def ready() -> bool:
            about = requests.get(_api(f"/users/{self.name}"), headers=self.heads, timeout=30).json()
            return bool(about.get("servers", {}).get("", {}).get("ready"))

        _wait(ready, 300, f"the server of {self.name} did not start")
        self.seconds["server"] = time.perf_counter() - began

    def work(self, cells: list[str]) -> None:
        """Start a kernel and run cells; where one fails, another. What is wrong in the end is kept in ``error``."""
        began = time.perf_counter()
        for tried in range(1, TRIES + 1):
            try:
                self._run(cells)
                break
            except (requests.RequestException, websocket.WebSocketException, OSError) as error:
                if tried == TRIES:
                    self.error = str(error)
                else:
                    self.again += 1
            except RuntimeError as error:  # a cell's own
                self.error = str(error)
                break
        self.seconds["cells"] = time.perf_counter() - began

    def _run(self, cells: list[str]) -> None:
        base = f"127.0.0.1:{PORT}/user/{self.name}/api/kernels"
        answer = requests.post(f"http://{base}", headers=self.heads, json={"name": "python3"}, timeout=120)
        answer.raise_for_status()
        channels = f"ws://{base}/{answer.json()['id']}/channels?session_id={uuid.uuid4().hex}"
        head = [f"Authorization: {self.heads['Authorization']}"]
        with contextlib.closing(websocket.create_connection(channels, header=head, timeout=400)) as socket:
            for cell in cells:
                _execute(socket, cell)


def _execute(socket: websocket.WebSocket, code: str) -> None:
    """Send a cell and wait for its reply; RuntimeError where it raised."""
    number = uuid.uuid4().hex
    head = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": number, "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    message = {"header": head, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    socket.send(json.dumps(message))
    while True:
        told = json.loads(socket.recv())
        if told.get("parent_header", {}).get("msg_id") == number and told["msg_type"] == "execute_reply":
            if told["content"]["status"] != "ok":
                raise RuntimeError(f"{told['content'].get('ename')}: {told['content'].get('evalue')}")
            return


def memory(process: psutil.Process) -> float:
    """MiB of a process and all its children; pages that several share count once (PSS)."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += one.memory_full_info().pss
    return total / 2**20


def _at_once(calls: list[Callable[[], None]], process: psutil.Process) -> tuple[float, float]:
    """Make all calls at the same time; the seconds until the last is done, and the highest memory in between."""
    threads = [threading.Thread(target=call) for call in calls]
    began, peak = time.perf_counter(), 0.0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, memory(process))
        time.sleep(3)
    return time.perf_counter() - began, peak


def measure(environment: Path, users: int, spare: float) -> tuple[dict[str, Any], list[Student]]:
    """The rows of the table, and the students."""
    chapter = json.loads(notebooks.chapters()["00"].read_text(encoding="utf-8"))["cells"]
    cells = ["".join(cell["source"]) for cell in chapter if cell["cell_type"] == "code"][:CELLS]
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder, hub(environment, Path(folder), token) as process:
        empty = memory(process)
        students = [Student(number, token) for number in range(1, users + 1)]
        _at_once([student.start for student in students], process)
        idle = memory(process)
        first = students[0]
        first.work(cells)  # alone: what one needs, and how long it takes
        alone, one = first.seconds["cells"], memory(process) - idle
        room = int((psutil.virtual_memory().available / 2**20 - 1024 * spare) / max(one, 1))
        working = students[1 : 1 + max(0, min(users - 1, room))]
        took, peak = _at_once([partial(student.work, cells) for student in working], process)
        after = memory(process)
    times = sorted(student.seconds["cells"] for student in working) or [alone]
    starts = sorted(student.seconds["server"] for student in students)
    found = {
        "servers": users,
        "kernels at once": len(working) + 1,
        "kernels started anew": sum(student.again for student in students),
        "failed": sum(bool(student.error) for student in students),
        "hub alone (MiB)": empty,
        "a server (MiB)": (idle - empty) / users,
        "a kernel after the cells (MiB)": (after - idle) / (len(working) + 1),
        "all together, highest (MiB)": max(peak, after),
        "servers, all at once: median (s)": starts[len(starts) // 2],
        "servers, all at once: last (s)": starts[-1],
        "cells, one student alone (s)": alone,
        "cells, all at once: median (s)": times[len(times) // 2],
        "cells, all at once: last (s)": took if working else alone,
    }
    return found, students


def page(found: dict[str, Any], where: dict[str, str], beside: str) -> str:
    """The table in Markdown."""
    lines = [
        "# A class on one machine",
        "",
        "JupyterHub with the recipe of `classroom/hub`, made by `python -m tools.hub`. Each student has a server of",
        "JupyterLab; then they run the first cells of chapter 00 (imports, four images, their errors) at once.",
        "Memory is PSS: pages that several processes share count once. No limits were set (spawner `simple`).",
        "",
        "| what | value |",
        "|---|---:|",
        *(f"| {what} | {value:.0f} |" for what, value in found.items()),
        "",
        *([BROKEN, ""] if found["kernels started anew"] or found["failed"] else []),
        f"{where['machine']}, commit {where['commit']}, {where['date']}.{' ' + beside if beside else ''}",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hub", type=Path, required=True, help="environment with JupyterHub")
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--spare", type=float, default=3, help="GiB that must stay free")
    parser.add_argument("--beside", default="", help="a sentence on what else ran on the machine")
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    found, students = measure(options.hub.absolute(), options.users, options.spare)
    for student in students:
        if student.error:
            print(f"{student.name}: {student.error}")
    where = command.provenance()
    rows = [{"what": what, "value": round(float(value), 1)} | where for what, value in found.items()]
    command.write(options.output, "hub", rows, page(found, where, options.beside))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    command.run(main)
