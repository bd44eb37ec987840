"""The service, and what was tried against it: each attack is a test."""

import asyncio
import io
import os
import stat
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_enhance_batch import scan
from test_enhance_dicom import classic

from medsr_course.pipeline import service

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

TOKEN = "right-token"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
FAST = {"task": "super-resolution", "axes": "in-plane", "scale": "2", "quality": "fast"}
SMALL = service.Limits(upload=1 << 20, unpacked=4 << 20, memory=2 << 30, receiving=30, working=120)


def told(folder, options, unpacked):
    """Instead of the work: an answer, at once."""
    (Path(folder) / "result.zip").write_bytes(b"PK-made")
    return {"state": "done", "detail": ""}


class Still:
    """Instead of a process: one whose work ends when it is told to."""

    free = threading.Event()

    def __init__(self, *_):
        pass

    def give(self, function, *arguments):
        self.arguments = arguments

    def answer(self, seconds):
        self.free.wait(30)
        return told(*self.arguments)

    def kill(self):
        self.free.set()

    def end(self):
        pass


class Here(Still):
    """Instead of a process: work in this one."""

    def give(self, function, *arguments):
        self.made = function(*arguments)

    def answer(self, seconds):
        return self.made


@pytest.fixture
def here(monkeypatch):
    """A service that works in this process; where it keeps temporary files is undone afterwards."""
    monkeypatch.setattr(service.processes, "Process", Here)
    monkeypatch.setattr(service.tempfile, "tempdir", None)


def client_of(tmp_path, limits=SMALL, **options):
    from fastapi.testclient import TestClient

    made = service.app(TOKEN, tmp_path / "place", limits=limits, **options)
    return TestClient(made, base_url="http://127.0.0.1:8765", headers=RIGHT)


@pytest.fixture
def still(monkeypatch, tmp_path):
    """A service that takes scans and does not get on."""
    Still.free = threading.Event()
    monkeypatch.setattr(service.processes, "Process", Still)
    with client_of(tmp_path) as client:
        yield client
        Still.free.set()


def send(client, content=b"anything", name="x.nii.gz", data=None, **headers):
    return client.post("/scans", files={"scan": (name, content)}, data=data or {}, headers=headers)


def ended(client, name):
    while (now := client.get(f"/scans/{name}").json())["state"] in ("waiting", "working"):
        pass
    return now


def uploads(tmp_path):
    return [
        path for path in (tmp_path / "place").rglob("*") if path.is_file() and path.name not in ("lock", ".medsr.lock")
    ]


def easy(monkeypatch):
    monkeypatch.setattr(service.planning.domain, "judge", lambda *_, **__: service.planning.domain.Verdict())


def test_a_scan_goes_in_and_its_result_comes_out_once(tmp_path, monkeypatch, here):
    import nibabel

    easy(monkeypatch)
    content = scan(tmp_path / "head.nii.gz").read_bytes()
    with client_of(tmp_path) as client:
        taken = send(client, content, data=FAST)
        assert taken.status_code == 202
        now = ended(client, taken.json()["id"])
        assert now["state"] == "done", now
        assert [
            path.name for path in uploads(tmp_path) if path.name != "result.zip" and "result" not in path.parts
        ] == []
        made = client.get(f"/scans/{taken.json()['id']}/result")
        assert made.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
            assert {"NOTICE.txt", "outputs.tsv", "report.html", "result.nii.gz"} <= set(archive.namelist())
            assert service.NOTICE in archive.read("NOTICE.txt").decode()
            (tmp_path / "result.nii.gz").write_bytes(archive.read("result.nii.gz"))
        assert nibabel.load(tmp_path / "result.nii.gz").shape == (48, 48, 6)
        assert client.get(f"/scans/{taken.json()['id']}/result").status_code == 404
        assert not uploads(tmp_path)


def test_a_dicom_series_comes_back_as_series(tmp_path, monkeypatch, here):
    import pydicom

    easy(monkeypatch)
    classic(tmp_path / "series")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((tmp_path / "series").rglob("*.dcm")):
            archive.write(path, f"../{path.name}")  # names inside are not looked at either
    with client_of(tmp_path) as client:
        name = send(client, packed.getvalue(), data=FAST).json()["id"]
        assert ended(client, name)["state"] == "done", client.get(f"/scans/{name}").json()
        with zipfile.ZipFile(io.BytesIO(client.get(f"/scans/{name}/result").content)) as made:
            series = [
                file for file in made.namelist() if file.startswith("dicom/desc-medsr/") and file.endswith(".dcm")
            ]
            assert len(series) == 6
            assert "report.html" in made.namelist()
            item = pydicom.dcmread(io.BytesIO(made.read(series[0])))
    assert "not for diagnosis" in item.SeriesDescription


def test_the_page_says_what_it_is_not_and_runs_nothing_foreign(still):
    page = still.get("/", headers={"Authorization": ""})
    policy = page.headers["content-security-policy"]
    assert service.NOTICE in page.text
    assert page.status_code == 200
    assert "default-src 'none'" in policy
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert page.text.count(f'nonce="{nonce}"') == 2
    assert nonce not in still.get("/").text
    for name in ("scan", "task", "axes", "token"):  # every field has its label
        assert f'<label for="{name}">' in page.text
        assert f'id="{name}"' in page.text
    assert 'lang="en"' in page.text


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"bearer {TOKEN}",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer tökén",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/scans"), ("GET", "/scans/x"), ("GET", "/scans/x/result"), ("DELETE", "/scans/x")]
)
def test_a_missing_or_wrong_token_opens_nothing(still, tmp_path, given, method, path):
    done = still.request(
        method,
        path,
        headers={"Authorization": given.encode("latin-1")},
        files={"scan": b"x"} if method == "POST" else None,
    )
    assert done.status_code == 401
    assert service.NOTICE in done.text
    assert not uploads(tmp_path)


def test_a_token_elsewhere_is_none(still):
    assert still.get("/scans/x", headers={"Authorization": ""}, params={"token": TOKEN}).status_code == 401
    assert still.get("/scans/x", headers={"Authorization": "", "Cookie": f"token={TOKEN}"}).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", ""]
)
def test_another_host_is_refused_for_dns_rebinding(still, host):
    for path in ("/", "/scans/x"):
        assert still.get(path, headers={"Host": host, **RIGHT}).status_code == 400
    assert still.get("/", headers={"Host": host, "X-Forwarded-Host": "127.0.0.1"}).status_code == 400


def test_other_sites_get_no_cors(still):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (still.options("/scans", headers=asked), still.get("/", headers=asked), send(still, **asked)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert still.options("/scans", headers=asked).status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("PUT", "/scans", 405), ("DELETE", "/scans", 405), ("TRACE", "/", 405), ("POST", "/", 405), ("GET", "/docs", 404),
     ("GET", "/openapi.json", 404), ("GET", "/service.html", 404), ("GET", "/scans", 405)],
)  # fmt: skip
def test_other_methods_and_places_are_none(still, method, path, code):
    answer = still.request(method, path)
    assert answer.status_code == code
    assert answer.json()["notice"] == service.NOTICE
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "..\\..\\x",
        "%00",
        "lock",
        ".medsr.lock",
        "a" * 5000,
        "*",
    ],
)
def test_a_result_is_no_path(still, name):
    send(still)
    for path in (f"/scans/{name}", f"/scans/{name}/result"):
        assert still.get(path).status_code == 404


@pytest.mark.parametrize(
    "name",
    ["../../../../tmp/medsr-evil.nii", "/etc/medsr-evil", "C:\\evil.nii", "<script>alert(1)</script>.nii.gz", "a\0b",
     "lock", "result.zip", "x" * 3000, "Mustermann^Erika.nii.gz"],
)  # fmt: skip
def test_the_name_of_a_file_is_not_looked_at(still, tmp_path, name, caplog, capfd):
    assert send(still, b"content", name).status_code == 202
    assert [path.name for path in uploads(tmp_path)] == ["upload"]
    assert uploads(tmp_path)[0].read_bytes() == b"content"
    shown = capfd.readouterr()
    assert "evil" not in shown.out + shown.err + caplog.text
    assert "Erika" not in shown.out + shown.err + caplog.text


def test_nobody_else_on_the_machine_reads_uploads(still, tmp_path):
    send(still)
    if os.name != "nt":
        assert stat.S_IMODE(uploads(tmp_path)[0].parent.stat().st_mode) == 0o700


def test_six_at_once_are_one_too_many(still, tmp_path):
    answers = [send(still) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert answers[-1].headers["retry-after"]
    assert len(uploads(tmp_path)) == 5
    assert still.delete(f"/scans/{answers[2].json()['id']}").status_code == 204
    assert len(uploads(tmp_path)) == 4
    assert send(still).status_code == 202


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"task": "<script>"}, "choose one of"),
        ({"axes": "x"}, "choose one of"),
        ({"scale": "two"}, "two"),
        ({"task": "a" * 5000}, ""),
    ],
)
def test_wrong_fields_are_named(still, tmp_path, data, told):
    answer = send(still, data=data)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/json"
    assert told in answer.json()["detail"]
    assert not uploads(tmp_path)


@pytest.mark.parametrize(
    "how",
    [
        {"content": b"NIfTI", "headers": {"Content-Type": "application/octet-stream"}},
        {"json": {"scan": "x"}},
        {"data": {"scan": "no file"}},
        {"files": {"other": b"x"}},
        {"files": [("scan", b"x"), ("scan", b"y")]},
        {"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"content": b"", "headers": {"Content-Type": "multipart/form-data"}},
        {"files": [(f"field{k}", (None, "x")) for k in range(50)]},
    ],
)
def test_other_bodies_are_refused_and_leave_nothing(still, tmp_path, how):
    assert still.post("/scans", **how).status_code in (400, 422)
    assert not uploads(tmp_path)
    assert [send(still).status_code for _ in range(6)] == [202] * 5 + [429]  # none holds a place


def test_too_large_is_refused_by_what_it_says_and_by_what_comes(still, tmp_path):
    assert send(still, bytes(2 << 20)).status_code == 413

    def pieces():  # no length is given
        yield b'--x\r\nContent-Disposition: form-data; name="scan"; filename="s"\r\n\r\n'
        for _ in range(100):
            yield bytes(1 << 16)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert still.post("/scans", content=pieces(), headers=kind).status_code == 413
    assert not uploads(tmp_path)


def test_a_slow_upload_is_ended(tmp_path):
    import httpx

    limits = service.Limits(receiving=0.1)
    made = service.app(TOKEN, tmp_path / "place", limits=limits)

    async def drip():
        yield b'--x\r\nContent-Disposition: form-data; name="scan"; filename="s"\r\n\r\n'
        await asyncio.Event().wait()

    async def main():
        async with made.router.lifespan_context(made):
            transport = httpx.ASGITransport(made)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                headers = {**RIGHT, "Content-Type": "multipart/form-data; boundary=x"}
                return (await client.post("/scans", content=drip(), headers=headers)).status_code

    with ThreadPoolExecutor(1) as pool:  # a browser's tests may have left a loop running in this thread
        assert pool.submit(lambda: asyncio.run(main())).result() == 408
    assert not uploads(tmp_path)


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IM0001", bytes(16 << 20))
    return file.getvalue()


def liar():
    """A NIfTI file whose header promises 64 GiB."""
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float32)
    header["dim"][:4] = 3, 4096, 4096, 1024
    header["vox_offset"] = 352
    return header.binaryblock + bytes(4)


def climbing():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../climbed", b"x")
        archive.writestr("/climbed", b"x")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        bomb(),
        liar(),
        climbing(),
        b"",
        b"no image",
        b"\x1f\x8bno gzip",
        b"PK\3\4no zip",
        b"<svg onload=alert(1)>",
        bytes(400),
    ],
    ids=["zip bomb", "header lies", "zip climbs", "empty", "no image", "no gzip", "no zip", "script", "zeros"],
)
def test_hostile_files_fail_in_words_and_go(tmp_path, here, content):
    with client_of(tmp_path) as client:
        now = ended(client, send(client, content).json()["id"])
        assert now["state"] in ("failed", "refused")
        assert now["detail"]
        assert str(tmp_path) not in now["detail"]
        assert not uploads(tmp_path)
    assert not list(tmp_path.rglob("climbed"))


def test_work_that_takes_too_long_or_crashes_is_ended(tmp_path, monkeypatch):
    class Hanging(Still):
        def answer(self, seconds):
            if self.arguments[1]:
                return None  # it crashed
            raise TimeoutError

    monkeypatch.setattr(service.processes, "Process", Hanging)
    with client_of(tmp_path) as client:
        assert "longer than 120 s" in ended(client, send(client).json()["id"])["detail"]
        assert "process ended" in ended(client, send(client, data={"scale": "2"}).json()["id"])["detail"]
        assert not uploads(tmp_path)


def test_what_is_not_fetched_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(service.processes, "Process", Here)
    monkeypatch.setattr(service, "treat", told)
    with client_of(tmp_path, service.Limits(kept=0)) as client:
        name = send(client).json()["id"]
        while client.get(f"/scans/{name}").status_code == 200:
            pass
        assert not uploads(tmp_path)


def test_nothing_stays_when_it_ends(tmp_path, monkeypatch):
    Still.free = threading.Event()
    monkeypatch.setattr(service.processes, "Process", Still)
    with client_of(tmp_path) as client:
        send(client)
        assert uploads(tmp_path)
        Still.free.set()
    assert not uploads(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit")
def test_a_real_process_holds_to_its_limits_and_answers(tmp_path):
    content = scan(tmp_path / "head.nii.gz").read_bytes()
    with client_of(tmp_path) as client:
        now = ended(client, send(client, content, data=FAST).json()["id"])
    assert now["state"] in ("done", "refused"), now
    with client_of(tmp_path, service.Limits(memory=8 << 20)) as client:
        now = ended(client, send(client, content, data=FAST).json()["id"])
    assert now["state"] == "failed"
