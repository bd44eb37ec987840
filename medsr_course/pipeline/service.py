"""``medsr serve``: upload a scan, get the result and its report (extra ``serve``).

For one person, or a few who trust each other, on one machine. Only loopback listens, unless told otherwise; there is no
TLS, so put a proxy with TLS before it for anybody else. A token opens it, compared in constant time; hosts are named
(against DNS rebinding), other sites get no CORS. Of an upload nothing is believed: not its name, not its type. It is
read and treated in a process of its own with limits on memory and time. Uploads go as soon as they are treated, results
when they are fetched, or after a quarter of an hour. Nothing of a scan is logged.
"""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsr_course import runtime
from medsr_course.pipeline import enhancing, outputs
from medsr_course.pipeline import plan as planning
from medsr_course.runtime import CourseError
from medsr_course.scans import scansource
from medsr_course.workers import processes
from medsr_course.workers.folders import run_folder

if TYPE_CHECKING:  # an extra
    from fastapi import FastAPI, Request

NOTICE = "Not a medical device. For research and teaching, not for diagnosis."
HOSTS = ("127.0.0.1", "localhost")
FIELDS = ("task", "scale", "axes", "quality")
_HELD = ("receiving", "waiting", "working", "done")  # states in which a scan takes disk
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Notice": NOTICE,
}
_CSP = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds; ``queue`` is how many scans are here at a time, results included."""

    upload: int = 1 << 30
    unpacked: int = 4 << 30
    memory: int = 4 << 30
    receiving: float = 300
    working: float = 1800
    kept: float = 900
    queue: int = 5


@dataclass
class Scan:
    """A scan on its way through."""

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    state: str = "receiving"
    detail: str = ""


class Desk:
    """Takes scans, treats them one after the other, and hands results out."""

    def __init__(self, limits: Limits, folder: Path) -> None:
        self.limits, self.folder = limits, folder
        self.scans: dict[str, Scan] = {}
        self.waiting: asyncio.Queue[str] = asyncio.Queue()
        self.process: tuple[str, processes.Process] | None = None

    def open(self) -> str:
        """Returns the name of a new scan, "" where the queue is full."""
        if sum(scan.state in _HELD for scan in self.scans.values()) >= self.limits.queue:
            return ""
        name = secrets.token_urlsafe(16)
        self.scans[name] = Scan(Path(tempfile.mkdtemp(dir=self.folder)))
        return name

    def drop(self, name: str) -> None:
        """Forgets a scan, with all its files."""
        scan = self.scans.pop(name, None)
        if self.process and self.process[0] == name:
            self.process[1].kill()
        if scan:
            shutil.rmtree(scan.folder, ignore_errors=True)

    async def work(self) -> None:
        """Treats what waits, for ever."""
        while True:
            name = await self.waiting.get()
            if scan := self.scans.get(name):
                scan.state = "working"
                answer = await asyncio.to_thread(self._treat, name, scan)
                if answer["state"] != "done":
                    shutil.rmtree(scan.folder, ignore_errors=True)
                scan.state, scan.detail = answer["state"], answer["detail"]
                asyncio.get_running_loop().call_later(self.limits.kept, self.drop, name)

    def _treat(self, name: str, scan: Scan) -> dict[str, str]:
        process = processes.Process(runtime.cpu_count(), self.limits.memory)
        self.process = name, process
        try:
            process.give(treat, str(scan.folder), scan.options, self.limits.unpacked)
            answer: dict[str, str] | None = process.answer(self.limits.working)
        except TimeoutError:
            return {"state": "failed", "detail": f"it takes longer than {self.limits.working:g} s"}
        except ValueError:  # an answer that is none
            answer = None
        finally:
            self.process = None
            process.end()
        return answer or {"state": "failed", "detail": "its process ended: too large, or damaged"}


def treat(folder: str, options: dict[str, Any], unpacked: int) -> dict[str, str]:
    """Treats the file ``upload`` of a folder into ``result.zip``; done in a process of its own."""
    place = Path(folder)
    tempfile.tempdir = folder  # what a process that is killed leaves goes with the folder
    try:
        source = scansource.read(_recognised(place, unpacked))
        plan = planning.plan(source.image, planning.Options(**options), sidecar=source.sidecar)
        words = "; ".join(reason.words for reason in plan.verdict.reasons)
        if plan.verdict.status == "refused":
            return {"state": "refused", "detail": words}
        made = place / "result"
        made.mkdir()
        target = made / "result.nii.gz"
        with contextlib.suppress(CourseError):  # what cannot be a derived series is a NIfTI file
            target = outputs.names(source, made / "dicom", plan)[0].parent
        result = enhancing.run(source.image, plan, progress=False, folder=place)
        outputs.write(result, source, target, page=made / "report.html")
        with zipfile.ZipFile(place / "result.zip", "w") as archive:
            archive.writestr("NOTICE.txt", f"{NOTICE}\n")
            for path in sorted(made.rglob("*")):
                archive.write(path, path.relative_to(made))
    except planning.Refusal as error:
        return {"state": "refused", "detail": str(error)}
    except (CourseError, ValueError) as error:
        return {"state": "failed", "detail": str(error).replace(folder, "").lstrip("/\\")}
    except MemoryError:
        return {"state": "failed", "detail": "it is too large for this service"}
    except Exception as error:  # whatever a wild file makes a decoder raise
        return {"state": "failed", "detail": f"it cannot be read ({type(error).__name__})"}
    finally:
        for path in place.glob("scan.*"):
            path.unlink()
    return {"state": "done", "detail": f"{plan.verdict.status}{words and ': '}{words}"}


def _recognised(place: Path, unpacked: int) -> Path:
    """The upload under a name that says what its first bytes say."""
    with open(place / "upload", "rb") as file:
        start = file.read(4)
    kinds = {b"PK\3\4": "zip", b"\x5c\1\0\0": "nii", b"\0\0\1\x5c": "nii", b"\x1c\2\0\0": "nii", b"\0\0\2\x1c": "nii"}
    ending = "nii.gz" if start.startswith(b"\x1f\x8b") else kinds.get(start)
    scan = (place / "upload").rename(place / f"scan.{ending or 'unknown'}")
    if ending is None:
        raise CourseError("this is neither a NIfTI file nor a .zip with a DICOM series")
    if ending == "zip":
        with zipfile.ZipFile(scan) as archive:  # it never gives more than it says
            if sum(member.file_size for member in archive.infolist()) > unpacked:
                raise CourseError("the .zip grows beyond what this service unpacks")
    return scan


async def receive(request: "Request", scan: Scan, limits: Limits) -> None:
    """Takes an upload: form fields, and the file ``scan``, whose name and type are not looked at.

    Raises
    ------
    HTTPException
        408, 413 or 422.
    """
    from fastapi import HTTPException, Request
    from starlette.concurrency import run_in_threadpool

    count = 0

    async def counted() -> Any:
        nonlocal count
        message = await request.receive()
        count += len(message.get("body", b""))
        if count > limits.upload:
            raise HTTPException(413, f"more than {limits.upload} bytes")
        return message

    if int(request.headers.get("content-length") or 0) > limits.upload:
        raise HTTPException(413, f"more than {limits.upload} bytes")
    try:
        async with asyncio.timeout(limits.receiving):
            async with Request(request.scope, counted).form(max_files=1, max_fields=8, max_part_size=1024) as form:
                given: dict[str, Any] = {key: form[key] for key in FIELDS if form.get(key)}
                upload: Any = form.get("scan")
                if not hasattr(upload, "file") or not all(isinstance(value, str) for value in given.values()):
                    raise HTTPException(422, "send a form (multipart/form-data) with the file as `scan`")
                with open(scan.folder / "upload", "xb") as file:
                    await run_in_threadpool(shutil.copyfileobj, upload.file, file)
        if "scale" in given:
            given["scale"] = int(given["scale"])
        planning.Options(**given)
        scan.options = given
    except TimeoutError:
        raise HTTPException(408, f"the upload took longer than {limits.receiving:g} s") from None
    except (CourseError, ValueError) as error:
        raise HTTPException(422, str(error)) from None


def app(token: str, folder: Path, *, limits: Limits = Limits(), hosts: tuple[str, ...] = HOSTS) -> "FastAPI":
    """Returns the service.

    Parameters
    ----------
    token : str
        What ``Authorization: Bearer …`` must say.
    folder : path
        Uploads and results lie here while they must.
    limits : Limits
    hosts : tuple of str
        Names under which it may be asked.
    """
    from fastapi import Depends, FastAPI, HTTPException, Request
    from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
    from starlette.background import BackgroundTask
    from starlette.exceptions import HTTPException as AnyHTTPException
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    page = Path(__file__).with_name("service.html").read_text(encoding="utf-8")
    desk: Desk

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal desk
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with run_folder(folder) as place:
            desk = Desk(limits, place)
            work = asyncio.create_task(desk.work())
            yield
            work.cancel()
            for name in list(desk.scans):
                desk.drop(name)

    def opened(request: Request) -> None:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not secrets.compare_digest(given, f"Bearer {token}".encode()):
            raise HTTPException(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})

    def known(name: str) -> Scan:
        if name not in desk.scans:
            raise HTTPException(404, "there is no such scan, or not any more")
        return desk.scans[name]

    service = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    service.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)

    @service.middleware("http")
    async def headers(request: Request, call: Any) -> Any:
        response = await call(request)
        response.headers.update(_HEADERS)
        return response

    @service.exception_handler(AnyHTTPException)
    def failed(_: Request, error: AnyHTTPException) -> JSONResponse:
        return JSONResponse({"detail": error.detail, "notice": NOTICE}, error.status_code, error.headers)

    @service.get("/")
    def index() -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        text = page.replace("{nonce}", nonce).replace("{notice}", NOTICE)
        return HTMLResponse(text, headers={"Content-Security-Policy": _CSP.format(nonce)})

    @service.post("/scans", status_code=202, dependencies=[Depends(opened)])
    async def take(request: Request) -> dict[str, str]:
        name = desk.open()
        if not name:
            raise HTTPException(429, f"{limits.queue} scans are here already: try later", {"Retry-After": "60"})
        try:
            await receive(request, desk.scans[name], limits)
        except BaseException:
            desk.drop(name)
            raise
        desk.scans[name].state = "waiting"
        desk.waiting.put_nowait(name)
        return {"id": name, "notice": NOTICE}

    @service.get("/scans/{name}", dependencies=[Depends(opened)])
    async def state(name: str) -> dict[str, str]:
        scan = known(name)
        return {"state": scan.state, "detail": scan.detail, "notice": NOTICE}

    @service.get("/scans/{name}/result", dependencies=[Depends(opened)])
    async def result(name: str) -> FileResponse:
        scan = known(name)
        if scan.state != "done":
            raise HTTPException(409, f"it is {scan.state}")
        done = BackgroundTask(desk.drop, name)
        return FileResponse(
            scan.folder / "result.zip", media_type="application/zip", filename="result.zip", background=done
        )

    @service.delete("/scans/{name}", status_code=204, dependencies=[Depends(opened)])
    async def forget(name: str) -> None:
        known(name)
        desk.drop(name)

    return service


def serve(host: str, port: int, names: tuple[str, ...], limits: Limits) -> None:
    """Serves until interrupted, and says where, with a new token."""
    try:
        import python_multipart  # noqa: F401 (FastAPI looks for it only when a form comes)
        import uvicorn

        token = secrets.token_urlsafe(32)
        made = app(token, runtime.cache_dir() / "service", limits=limits, hosts=(*HOSTS, *names))
    except ImportError:
        raise CourseError("medsr serve needs FastAPI: pip install 'medsr-course[serve]'") from None
    print(f"{NOTICE}\nOpen http://{host}:{port}/#{token}", flush=True)
    uvicorn.run(
        made, host=host, port=port, access_log=False, log_level="warning", proxy_headers=False, server_header=False,
        limit_concurrency=64, timeout_keep_alive=5,
    )  # fmt: skip
