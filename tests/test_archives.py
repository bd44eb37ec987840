"""Archives from strangers: nothing outside the folder, nothing but regular files, no bombs, no damage unseen."""

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import tarfile

import numpy as np
import pytest

from medsr_course.scans import archives
from medsr_course.scans.archives import ArchiveError, unpack

FILES = {"a/scan.nii.gz": b"scan" * 1000, "a/b/labels.nii.gz": bytes(512), "read me.txt": b"hello"}


def member(name, content=b"", **more):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def tar(*members, mode="w", **options):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, **options) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


GOOD = tar(member("a", type=tarfile.DIRTYPE), *(member(*item) for item in FILES.items()))


@pytest.fixture
def put(tmp_path):
    """Write an archive, unpack it beside a file that it must not touch."""

    def _put(raw):
        place = tmp_path / "place"
        place.mkdir(exist_ok=True)
        (place / "archive.tar").write_bytes(raw)
        (tmp_path / "victim").write_text("untouched")
        try:
            return unpack(place / "archive.tar", place / "unpacked")
        finally:
            assert (tmp_path / "victim").read_text() == "untouched"
            assert {p.name for p in tmp_path.iterdir()} == {"place", "victim"}
            assert {p.name for p in place.iterdir()} <= {"archive.tar", "unpacked"}

    return _put


def refused(put, raw, *words):
    with pytest.raises(ArchiveError) as caught:
        put(raw)
    text = str(caught.value)
    assert "\n" not in text
    assert "cannot be unpacked" in text
    for word in words:
        assert word in text, text


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_a_good_archive_is_unpacked(put, pack):
    assert content(put(pack(GOOD))) == FILES


def test_names_of_every_kind_of_tar(put):
    names = ["ä/ü.nii", "x" * 90 + "/" + "y" * 90 + ".nii", "./dot/scan.nii", "a//b.nii"]
    members = [member(name, name.encode()) for name in names]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        folder = put(tar(*members, format=form))
        assert sorted(content(folder).values()) == sorted(name.encode() for name in names)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("../victim", {}),
        ("a/../../victim", {}),
        ("/tmp/victim", {}),
        ("..", {}),
        ("..\\victim", {}),
        ("C:\\victim", {}),
        ("C:victim", {}),
        ("\\\\server\\share\\victim", {}),
        ("../victim", {"type": tarfile.DIRTYPE}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "../victim"}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "read me.txt"}),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "../victim"}),
        ("device", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        ("device", {"type": tarfile.BLKTYPE}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
        ("sparse", {"type": tarfile.GNUTYPE_SPARSE}),
        ("odd", {"type": b"Q"}),
        ("", {}),
    ],
)
def test_what_leads_outside_or_is_no_file_is_refused(put, name, more):
    evil = b"" if more else b"evil"
    refused(put, tar(*(member(*item) for item in FILES.items()), member(name, evil, **more)))


def test_a_link_and_then_a_file_through_it(put):
    link, _ = member("out", type=tarfile.SYMTYPE, linkname="..")
    refused(put, tar((link, b""), member("out/victim", b"evil")), "link")


def test_a_file_twice(put):
    refused(put, tar(member("a", b"1"), member("a", b"2")), "twice")
    refused(put, tar(member("a", b"1"), member("a/b", b"2")))


def test_rights_are_not_taken_over(put):
    folder = put(tar(member("run.sh", b"#!/bin/sh", mode=0o4777, uid=12345)))
    assert (folder / "run.sh").stat().st_mode & 0o7111 == 0


def test_damage_is_never_unseen(put):
    packed = gzip.compress(GOOD)
    middle = len(GOOD) // 2 // 512 * 512
    second = GOOD.index(b"a/b/labels")
    header_gone = GOOD[:second] + b"\xff" * 40 + GOOD[second + 40 :]  # tarfile takes this for the end
    refused(put, header_gone, "damaged")
    refused(put, GOOD[:second], "damaged")  # cut between two files: tarfile takes this for the end, too
    for raw in (GOOD[:middle], GOOD[: middle + 100], packed[:-20], packed[:-4], packed[: len(packed) // 2]):
        refused(put, raw, "damaged")
    flipped = bytearray(packed)
    flipped[-6] ^= 1  # the checksum of gzip
    refused(put, bytes(flipped), "damaged")
    for raw in (b"", b"no tar file", b"<html>" * 200, b"PK\x03\x04" + bytes(600), GOOD + b"more"):
        refused(put, raw, "damaged")


def test_bombs(put, monkeypatch):
    monkeypatch.setattr(archives, "_ALWAYS", 1 << 20)
    zeros = tar(member("zeros", bytes(8 << 20)))
    refused(put, gzip.compress(zeros), "grows to more than")
    refused(put, lzma.compress(zeros), "grows to more than")
    assert len(content(put(zeros))["zeros"]) == 8 << 20  # as large packed as unpacked: no bomb


def test_bombs_in_headers(put):
    comment, name = "x" * (3 << 20), "n" * (3 << 20)
    refused(put, gzip.compress(tar(member("a", b"1", pax_headers={"comment": comment}))), "header")
    refused(put, gzip.compress(tar(member(name, b"1"), format=tarfile.GNU_FORMAT)), "header")
    claimed, _ = member("a", b"")
    claimed.size = 10**15
    refused(put, claimed.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    refused(put, tar(member("a", b"1", pax_headers={"size": "-1024"})))


def test_too_many_files(put, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 50)
    refused(put, tar(*(member(f"{i}", b"") for i in range(51))), "more than 50 files")


def test_a_full_disk_leaves_nothing(put, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused(put, GOOD, "no space left", "MEDSR_CACHE")
    assert content(put(GOOD)) == FILES


def test_mutations_are_unpacked_or_refused(put, monkeypatch):
    """Bytes changed, cut out, doubled: no other error than ours, and what is unpacked lies inside."""
    rng = np.random.default_rng(0)
    gnu = tar(member("x" * 150 + "/scan", b"1234" * 300), member("p", b"1"), format=tarfile.GNU_FORMAT)
    pax = tar(member("ä" * 100 + "/scan", b"1234" * 300), member("p", b"1"), format=tarfile.PAX_FORMAT)
    seeds = [GOOD[:6144], gnu[:5120], pax[:5632], gzip.compress(GOOD, 1), lzma.compress(GOOD)]
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # it takes its time
    messages = []
    for trial in range(200):
        raw = bytearray(seeds[trial % len(seeds)])
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(len(raw)))
            kind = rng.integers(4)
            if kind == 0:
                raw[at] = rng.integers(256)
            elif kind == 1:
                raw[at : at + int(rng.integers(1, 600))] = b""
            elif kind == 2:
                raw[at:at] = raw[at : at + int(rng.integers(1, 600))]
            else:
                raw[at : at + 4] = rng.bytes(4)
            raw = raw or bytearray(b"\0")
        try:
            shutil.rmtree(put(bytes(raw)))
        except ArchiveError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert not [message for message in messages if "\n" in message]
