"""Downloads from a server on this machine that does what bad servers do."""

import errno
import functools
import hashlib
import json
import shutil
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue, transfer

CONTENT = bytes(range(256)) * 12_000  # 3 MB: three pieces
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; ``plan`` holds what to do wrong, one item a request."""

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        plan = self.server.plan.pop(0) if self.server.plan else "serve"
        content = self.server.content
        if isinstance(plan, int):
            self.send_error(plan)
            return
        start = 0
        wanted = self.headers.get("Range")
        fresh = self.headers.get("If-Range", self.server.etag) == self.server.etag
        if wanted and fresh and plan != "no ranges":
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        self.end_headers()
        if plan == "cut":
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # a client that hangs up is part of the tests


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server, and a catalogue that points to it."""
    httpd = QuietServer(("127.0.0.1", 0), Server)
    httpd.plan, httpd.ranges, httpd.etag, httpd.content = [], [], '"one"', CONTENT
    thread = threading.Thread(target=functools.partial(httpd.serve_forever, poll_interval=0.01))
    thread.start()
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "_PAUSE", 0)
    write_catalogue(monkeypatch, tmp_path, f"http://127.0.0.1:{httpd.server_port}/scan.bin")
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def write_catalogue(monkeypatch, tmp_path, url, **more):
    row = {
        "name": "scan",
        "what": "a test",
        "url": url,
        "filename": "scan.bin",
        "licence": "CC0",
        "citation": "none",
        "home": "http://home.invalid/",
    }
    rows = [row | {"sha256": SHA256}, row | {"name": "unsigned"}]
    rows[0] |= more
    (tmp_path / "catalogue.json").write_text(json.dumps(rows))
    monkeypatch.setattr(catalogue, "_catalogue_file", lambda: tmp_path / "catalogue.json")


def files(name="scan"):
    """What lies in the folder of a download, but for the lock."""
    return sorted(
        str(path.relative_to(catalogue.folder(name)))
        for path in catalogue.folder(name).rglob("*")
        if path.is_file() and path.name != ".lock"
    )


def refuses(*words, **options):
    with pytest.raises(CourseError) as caught:
        catalogue.fetch(options.pop("name", "scan"), **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_download(server, capfd):
    path = catalogue.fetch("scan")
    assert path.read_bytes() == CONTENT
    assert files() == ["scan.bin", "scan.bin.sha256"]
    assert catalogue.fetch("scan") == path
    assert server.ranges == [None]  # the second call asked for nothing
    assert "sha256" in catalogue.verify("scan")
    assert "Traceback" not in capfd.readouterr().err


def test_cut_transfers_are_resumed(server):
    server.plan = ["cut", "cut", "serve"]
    assert catalogue.fetch("scan").read_bytes() == CONTENT
    asked = [int(r.removeprefix("bytes=").rstrip("-")) for r in server.ranges[1:]]
    # What arrived is not asked for again, but for the last unfinished piece.
    assert np.allclose(asked, [len(CONTENT) / 2, len(CONTENT) * 3 / 4], atol=2 * transfer._PIECE)


def test_the_next_call_goes_on(server):
    server.plan = ["cut", 503, 503, 503]
    refuses("503", "goes on from where it stopped")
    assert files() == ["incoming/scan.bin.part", "incoming/scan.bin.part.tag"]  # no half file under the name
    assert not catalogue.entry("scan").present
    have = (catalogue.folder("scan") / "incoming" / "scan.bin.part").stat().st_size
    assert have > len(CONTENT) / 2 - transfer._PIECE
    server.ranges.clear()
    assert catalogue.fetch("scan").read_bytes() == CONTENT
    assert server.ranges == [f"bytes={have}-"]
    assert files() == ["scan.bin", "scan.bin.sha256"]


def test_always_cut(server):
    server.plan = ["cut"] * 4
    refuses("cut off", "check the network")
    assert not catalogue.entry("scan").present


def test_a_server_without_ranges(server):
    server.plan = ["cut", "no ranges"]
    assert catalogue.fetch("scan").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_starts_over(server):
    server.plan = ["cut", 503, 503, 503]
    refuses("503")
    server.etag = '"two"'
    assert catalogue.fetch("scan").read_bytes() == CONTENT


def test_a_part_that_is_whole_already(server):
    incoming = catalogue.folder("scan") / "incoming"
    incoming.mkdir(parents=True)
    (incoming / "scan.bin.part").write_bytes(CONTENT)
    assert catalogue.fetch("scan").read_bytes() == CONTENT
    (incoming).mkdir()
    (incoming / "scan.bin.part").write_bytes(CONTENT + b"too much")
    assert catalogue.fetch("scan", force=True).read_bytes() == CONTENT


def test_wrong_bytes(server):
    server.content = CONTENT[:-1] + b"?"
    refuses("wrong checksum", "thrown away", "http://home.invalid/")
    assert files() == []
    server.content = CONTENT
    assert catalogue.fetch("scan").read_bytes() == CONTENT


def test_force_keeps_the_old_file_until_the_new_one_is_good(server):
    path = catalogue.fetch("scan")
    server.content = b"nonsense"
    refuses("wrong checksum", force=True)
    assert path.read_bytes() == CONTENT
    server.content = CONTENT
    path.write_bytes(b"damaged")
    with pytest.raises(CourseError, match="damaged"):
        catalogue.verify("scan")
    assert catalogue.fetch("scan", force=True).read_bytes() == CONTENT


def test_no_checksum_known(server):
    refuses("no checksum is known", "accept_unverified=True", name="unsigned")
    assert server.ranges == []
    refuses("wrong checksum", name="unsigned", sha256="0" * 64)
    path = catalogue.fetch("unsigned", sha256=SHA256.upper())
    assert path.read_bytes() == CONTENT
    refuses("another checksum", name="unsigned", sha256="0" * 64)
    catalogue.fetch("unsigned", force=True, accept_unverified=True)
    assert "as it was downloaded" in catalogue.verify("unsigned")
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(CourseError, match="changed or is damaged"):
        catalogue.verify("unsigned")


def test_unverified_parts_are_not_glued_blindly(server):
    server.etag = ""
    server.plan = ["cut", 503, 503, 503]
    refuses("503", name="unsigned", accept_unverified=True)
    server.ranges.clear()
    assert catalogue.fetch("unsigned", accept_unverified=True).read_bytes() == CONTENT
    assert server.ranges == [None]


@pytest.mark.parametrize("code", [403, 404])
def test_an_answer_that_will_not_change_is_asked_once(server, code):
    server.plan = [code] * 9
    refuses(str(code), "http://home.invalid/")
    assert len(server.ranges) == 1


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "_PAUSE", 0)
    write_catalogue(monkeypatch, tmp_path, "http://127.0.0.1:9/scan.bin")  # nobody listens on "discard"
    refuses("cannot be reached", "check the network")
    assert not catalogue.entry("scan").present


def test_disk_too_small(server, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    refuses("needs 3 MiB", "1 MiB are free", "MEDSR_CACHE")
    assert not catalogue.entry("scan").present


def test_disk_full_while_writing(server, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(catalogue.os, "replace", full)
    refuses("disk", "full", "MEDSR_CACHE")
    assert not catalogue.entry("scan").present


def test_cache_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "file"))
    refuses("cannot make", "MEDSR_CACHE")


def test_interrupt_and_go_on(server, monkeypatch):
    def impatient(pieces, *args, **kwargs):
        for number, piece in enumerate(pieces):
            if number == 1:  # the second MiB has been written
                raise KeyboardInterrupt
            yield piece

    with monkeypatch.context() as patch:
        patch.setattr(catalogue.runtime, "progress", impatient)
        with pytest.raises(KeyboardInterrupt):
            catalogue.fetch("scan")
    assert not catalogue.entry("scan").present
    assert catalogue.fetch("scan").read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={2 << 20}-"]


def test_two_at_once_download_once(server):
    threads = [threading.Thread(target=catalogue.fetch, args=("scan",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.ranges == [None]
    assert catalogue.verify("scan")


def test_unknown_names(server):
    refuses("there is nothing called 'scam'", "scan, unsigned", name="scam")
    with pytest.raises(CourseError, match="medsr data get scan"):
        catalogue.verify("scan")


def test_the_catalogue_itself():
    """Every entry says what a reader must know before using the data."""
    entries = catalogue.entries()
    assert {"ds002748", "neurite-oasis-2d", "ixi-t2", "brainweb-t1"} <= set(entries)
    for name, item in entries.items():
        assert item.name == name
        assert item.url.startswith(("https://", "http://"))
        assert "/" not in item.filename
        assert item.licence
        assert item.citation
        assert item.home.startswith(("https://", "http://"))
        assert item.size is None or item.size > 0
        if item.checksum:
            kind, digest = item.checksum.split(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[kind]
            int(digest, 16)
            assert item.checksum_from, f"{name}: whose checksum is it?"
