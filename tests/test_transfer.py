"""A server on this machine that lies in every way: each time one line with the cause, and nothing under the name."""

import errno
import hashlib
import multiprocessing
import os
import socket
import threading
import time

import pytest
from test_catalogue import write_catalogue

from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue, transfer

CONTENT = bytes(range(256)) * 1200  # 300 KiB: five pieces
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"


class Liar:
    """Accepts connections and lets a function do what it likes with each."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.asked, self.over = self.socket.getsockname()[1], 0, threading.Event()
        self.behave = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.over.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.asked += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                request = connection.recv(4096)
                self.behave(self, connection.sendall, request.decode("latin-1"))
            except OSError:
                pass  # the client hung up, as it should

    def close(self):
        self.over.set()
        self.socket.close()


@pytest.fixture
def liar(tmp_path, monkeypatch):
    server = Liar()
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEDSR_PROGRESS", "0")
    monkeypatch.delenv("MEDSR_MIRROR", raising=False)
    monkeypatch.setattr(transfer, "_PAUSE", 0)
    monkeypatch.setattr(transfer, "_ATTEMPTS", 2)
    monkeypatch.setattr(transfer, "_PATIENCE", 0.25)
    monkeypatch.setattr(transfer, "_MOST_UNKNOWN", 2 << 20)
    url = f"http://127.0.0.1:{server.port}/scan.bin"
    write_catalogue(monkeypatch, tmp_path, url, sha256=SHA256, size=len(CONTENT))
    yield server
    server.close()


def head(status="200 OK", length=307200, **more):
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    lines += [f"Content-Length: {length}"] if length is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def stall(server, send, request):
    server.over.wait(20)


def stall_after_the_head(server, send, request):
    send(head() + CONTENT[:1000])
    server.over.wait(20)


def drip(server, send, request, start=head):
    send(start() if start else b"")
    for byte in CONTENT * 10:
        send(bytes([byte]))
        if server.over.wait(0.02):
            return


def drip_in_the_head(server, send, request):
    drip(server, send, request, start=lambda: b"HTTP/1.1 200 OK\r\nX-Slow: ")


def truncate(server, send, request):
    send(head() + CONTENT[:5000])


def wrong_bytes(server, send, request):
    send(head() + CONTENT[::-1])


def short_file(server, send, request):
    send(head(length=10) + CONTENT[:10])


def page(server, send, request):
    send(head(length=len(PAGE), Content_Type="text/html") + PAGE)


def redirect_in_a_circle(server, send, request):
    send(head("302 Found", 0, Location="/again"))


def redirect_without_end(server, send, request):
    send(head("302 Found", 10**12, Location="/again"))
    endless_bytes(server, send)


def redirect_to_a_file(server, send, request):
    send(head("302 Found", 0, Location="file:///etc/passwd"))


def endless_bytes(server, send):
    while not server.over.is_set():
        send(CONTENT)


def endless(server, send, request):
    send(head(length=None))
    endless_bytes(server, send)


def endless_chunks(server, send, request):
    send(head(length=None, Transfer_Encoding="chunked"))
    while not server.over.is_set():
        send(f"{len(CONTENT):x}\r\n".encode() + CONTENT + b"\r\n")


def terabyte(server, send, request):
    send(head(length=10**12))
    endless_bytes(server, send)


def not_there(server, send, request):
    send(head("404 Not Found", len(PAGE)) + PAGE)


def broken(server, send, request):
    send(head("500 Internal Server Error", len(PAGE)) + PAGE)


def hang_up(server, send, request):
    pass


def no_http(server, send, request):
    send(b"220 ftp.example.org FTP server ready\r\n")


def nonsense_length(server, send, request):
    send(head(length="many") + CONTENT)


def nothing(server, send, request):
    send(head(length=0))


LIES = {
    stall: "next to nothing",
    stall_after_the_head: "next to nothing",
    drip: "next to nothing",
    drip_in_the_head: "next to nothing",
    truncate: "cut off",
    wrong_bytes: "wrong checksum",
    short_file: "10 bytes where 307200 belong",
    page: "a web page came",
    redirect_in_a_circle: "redirected again and again",
    redirect_without_end: "redirected again and again",
    redirect_to_a_file: "cannot be fetched",
    endless: "more than the 307200 bytes",
    endless_chunks: "more than the 307200 bytes",
    terabyte: "offers 1000000000000 bytes",
    not_there: "404 Not Found",
    broken: "500 Internal Server Error",
    hang_up: "hung up",
    no_http: "hung up",
    nonsense_length: "",
    nothing: "0 bytes where 307200 belong",
}


def refused(name="scan", **options):
    with pytest.raises(CourseError) as caught:
        catalogue.fetch(name, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(name)
    item = catalogue.entry(name)
    assert not item.present
    assert not item.path.exists()
    return text


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lying_server_is_survived(liar, lie):
    liar.behave = lie
    began = time.perf_counter()
    assert LIES[lie] in refused()
    assert time.perf_counter() - began < 5
    part = catalogue.folder("scan") / "incoming" / "scan.bin.part"
    assert not part.exists() or CONTENT.startswith(part.read_bytes())  # what is gone on with is of the file
    liar.behave = lambda server, send, request: send(head() + CONTENT)
    assert catalogue.fetch("scan").read_bytes() == CONTENT


@pytest.mark.parametrize("lie", [endless, endless_chunks, page, nothing], ids=lambda lie: lie.__name__)
def test_without_size_and_checksum_there_are_bounds_still(liar, lie):
    liar.behave = lie
    text = refused("unsigned", accept_unverified=True)
    assert {"page": "web page", "nothing": "empty"}.get(lie.__name__, "more than the 2097152 bytes") in text


def test_the_whole_takes_no_longer_than_its_time(liar, monkeypatch):
    monkeypatch.setattr(transfer, "_LONGEST", -1.0)
    liar.behave = lambda server, send, request: send(head() + CONTENT)
    assert "takes longer" in refused()


def test_a_slow_but_honest_server_is_waited_for(liar):
    def slow(server, send, request):
        send(head())
        for start in range(0, len(CONTENT), transfer._PIECE):
            send(CONTENT[start : start + transfer._PIECE])
            time.sleep(0.1)

    liar.behave = slow
    assert catalogue.fetch("scan").read_bytes() == CONTENT
    assert liar.asked == 1


def test_bytes_are_kept_as_they_lie_on_the_server(liar):
    """Servers that call a .tar.gz "gzip-encoded" are many: it must not be unpacked on its way."""
    liar.behave = lambda server, send, request: send(head(Content_Encoding="gzip") + CONTENT)
    assert catalogue.fetch("scan").read_bytes() == CONTENT


def test_a_mirror_is_asked_instead(liar, monkeypatch, tmp_path):
    paths = []

    def mirror(server, send, request):
        paths.append(request.split()[1])
        send(head() + CONTENT)

    liar.behave = mirror
    monkeypatch.setenv("MEDSR_MIRROR", f"http://127.0.0.1:{liar.port}/medsr/")
    assert catalogue.fetch("scan").read_bytes() == CONTENT
    assert paths == ["/medsr/scan/scan.bin"]
    liar.behave = not_there
    assert "MEDSR_MIRROR" in refused("unsigned", accept_unverified=True)
    asked = liar.asked
    monkeypatch.setenv("MEDSR_MIRROR", str(tmp_path / "share"))
    assert "MEDSR_MIRROR has no" in refused_with_any_start("unsigned")
    (tmp_path / "share" / "unsigned").mkdir(parents=True)
    (tmp_path / "share" / "unsigned" / "scan.bin").write_bytes(CONTENT)
    assert catalogue.fetch("unsigned", accept_unverified=True).read_bytes() == CONTENT
    assert liar.asked == asked


def refused_with_any_start(name):
    with pytest.raises(CourseError) as caught:
        catalogue.fetch(name, accept_unverified=True)
    return str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("kind", ["symbolic", "hard", "folder", "tag"])
def test_links_planted_in_the_cache_are_not_written_through(liar, tmp_path, kind):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "scan.bin.part").write_bytes(CONTENT[:10])
    before = {path: path.read_bytes() for path in victim.iterdir()}
    incoming = catalogue.folder("scan") / "incoming"
    incoming.parent.mkdir(parents=True)
    if kind == "folder":
        incoming.symlink_to(victim)
    else:
        incoming.mkdir()
        name = "scan.bin.part.tag" if kind == "tag" else "scan.bin.part"
        (os.link if kind == "hard" else os.symlink)(victim / "scan.bin.part", incoming / name)
    liar.behave = lambda server, send, request: send(head(ETag='"one"') + CONTENT)
    assert catalogue.fetch("scan").read_bytes() == CONTENT
    assert not catalogue.entry("scan").path.is_symlink()
    assert {path: path.read_bytes() for path in victim.iterdir()} == before


def test_an_empty_file_is_fetched_anew(liar):
    path = catalogue.entry("scan").path
    path.parent.mkdir(parents=True)
    path.touch()
    liar.behave = lambda server, send, request: send(head() + CONTENT)
    assert catalogue.fetch("scan").read_bytes() == CONTENT


@pytest.mark.parametrize("where", ["fsync", "write", "replace"])
def test_a_full_disk_leaves_nothing_under_the_name(liar, monkeypatch, where):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        write = full

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            pass

    liar.behave = lambda server, send, request: send(head() + CONTENT)
    with monkeypatch.context() as patch:
        if where == "write":
            patch.setattr(transfer, "_opened", lambda *args: Full())
        else:
            patch.setattr(os, where, full)
        with pytest.raises(CourseError, match=r"no space left.*MEDSR_CACHE"):
            catalogue.fetch("scan")
    assert not catalogue.entry("scan").path.exists()
    assert catalogue.fetch("scan").read_bytes() == CONTENT


def test_a_cache_that_is_only_read_gives_what_it_has(liar, monkeypatch):
    liar.behave = lambda server, send, request: send(head() + CONTENT)
    path = catalogue.fetch("scan")

    def read_only(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(transfer.Transfer, "run", read_only)
    assert catalogue.fetch("scan") == path
    with pytest.raises(CourseError, match=r"cannot be written.*MEDSR_CACHE"):
        catalogue.fetch("scan", force=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot fork")
def test_a_download_that_is_killed_leaves_nothing_under_the_name_and_is_done_again(liar):
    half_sent = threading.Event()

    def stalls(server, send, request):
        send(head() + CONTENT[: len(CONTENT) // 2])
        half_sent.set()
        server.over.wait(5)

    liar.behave = stalls
    child = multiprocessing.get_context("fork").Process(target=catalogue.fetch, args=("scan",))
    child.start()
    assert half_sent.wait(10)
    child.kill()
    child.join(10)
    assert child.exitcode == -9
    assert not catalogue.entry("scan").path.exists()
    liar.behave = lambda server, send, request: send(head() + CONTENT)
    assert catalogue.fetch("scan").read_bytes() == CONTENT
