"""One loader for every source: the same subjects, whatever they come from."""

import errno
import gzip
import io
import json
import multiprocessing
import shutil
import tarfile
import threading
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from conftest import require

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue, datasets, phantom, scanfiles, volumes
from medsr_course.scans.datasets import real
from medsr_course.scans.phantom import cohort


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEDSR_PROGRESS", "0")
    return tmp_path / "cache"


def image(value=1.0, dtype=np.float32):
    return volumes.make_image(np.full((3, 4, 5), value, dtype), np.eye(4))


def put(path, value=1.0, dtype=np.float32):
    path.parent.mkdir(parents=True, exist_ok=True)
    return scanfiles.write(image(value, dtype), path)


def make_small_subject(folder, index):
    name = f"sub-{index:04d}"
    for number, contrast in enumerate(datasets.CONTRASTS):
        put(folder / name / "anat" / f"{name}_{contrast}.nii.gz", 10 * index + number)
    truth = folder / "derivatives" / "labels" / name / "anat"
    put(truth / f"{name}_dseg.nii.gz", 2, np.uint8)
    put(truth / f"{name}_label-lesion_mask.nii.gz", 1, np.uint8)
    (folder / "derivatives" / "labels" / "dseg.tsv").write_text("index\tname\n0\tbackground\n2\tgrey matter\n")


@pytest.fixture
def generator(monkeypatch):
    """A quick stand-in for the phantom, and the list of what it was asked for."""
    calls = []

    def make_cohort(folder, subjects, seed=0, workers=None, told=None):
        for index in subjects:
            if not cohort.is_complete(folder, index):
                shutil.rmtree(folder / f"sub-{index:04d}", ignore_errors=True)
                shutil.rmtree(folder / f"derivatives/labels/sub-{index:04d}", ignore_errors=True)
                calls.append((index, seed))
                make_small_subject(folder, index)

    monkeypatch.setattr(phantom, "make_cohort", make_cohort)
    return calls


# The template


def test_mni152():
    subjects = datasets.load("mni152")
    (subject,) = subjects
    t1w = subject.contrasts["T1w"]
    assert t1w.shape == subject.labels.shape == (197, 233, 189)
    assert t1w.get_data_dtype() == np.float32
    assert np.array_equal(t1w.affine, subject.labels.affine)
    assert subject.lesions is None
    labels, values = np.asarray(subject.labels.dataobj), np.asarray(t1w.dataobj)
    assert labels.dtype == np.int16
    assert set(np.unique(labels)) == set(subject.label_names) == {0, 1, 2, 3}
    means = [values[labels == label].mean() for label in range(4)]
    assert means[0] == 0 < means[1] < means[2] < means[3]  # T1: fluid dark, grey in between, white bright
    counts = np.bincount(labels.ravel())
    assert 0.9e6 < counts[2] < 1.3e6  # mm³ of grey matter in the template
    assert 0.5e6 < counts[3] < 0.8e6


# The cohort


def test_cohort_makes_what_is_missing(generator, cache):
    subjects = datasets.load("cohort", n_subjects=7, seed=3)
    assert generator == [(i, 3) for i in range(7)]
    assert subjects.ids == [f"sub-{i:04d}" for i in range(7)]
    assert [s.split for s in subjects] == ["train"] * 4 + ["validation", "test", "train"]
    assert (cache / f"cohort-v{phantom.VERSION}-seed3" / "sub-0000").is_dir()
    assert datasets.cohort_size(seed=3) == 7
    assert datasets.cohort_size(seed=3, n_subjects=24) == 7
    assert datasets.cohort_size(seed=3, n_subjects=2) == 2
    assert datasets.cohort_size() == 0
    generator.clear()
    assert len(datasets.load("cohort", n_subjects=5, seed=3)) == 5
    assert generator == []
    datasets.load("cohort", n_subjects=8, seed=3)
    assert generator == [(7, 3)]


def test_of_the_cohort_one_split_alone_is_made(generator, cache):
    test = datasets.load("cohort", n_subjects=18, split="test")
    assert generator == [(5, 0), (11, 0), (17, 0)]
    assert (test.ids, {s.split for s in test}) == (["sub-0005", "sub-0011", "sub-0017"], {"test"})
    assert [s.split for s in datasets.load("cohort", n_subjects=5, split="validation")] == ["validation"]
    assert len(datasets.load("cohort", n_subjects=3, split="test")) == 0
    with pytest.raises(CourseError, match="no split 'exam'"):
        datasets.load("cohort", split="exam")
    generator.clear()
    datasets.load("cohort", n_subjects=6)
    assert generator == [(i, 0) for i in range(4)]


def test_cohort_subjects_are_complete(generator):
    subject = datasets.load("cohort", n_subjects=2)[1]
    assert list(subject.contrasts) == ["T1w", "T2w", "PDw", "FLAIR"]
    for number, contrast in enumerate(datasets.CONTRASTS):
        assert np.all(np.asarray(subject.contrasts[contrast].dataobj) == 10 + number)
    assert np.asarray(subject.labels.dataobj).dtype == np.int16
    assert np.all(np.asarray(subject.lesions.dataobj) == 1)
    assert subject.label_names == {0: "background", 2: "grey matter"}


def test_a_subject_with_a_file_missing_is_made_anew(generator, cache):
    datasets.load("cohort", n_subjects=3)
    generator.clear()
    folder = datasets.cohort_folder()
    (folder / "derivatives/labels/sub-0001/anat/sub-0001_dseg.nii.gz").unlink()
    assert datasets.cohort_size() == 2
    assert len(datasets.load("cohort", n_subjects=3)) == 3
    assert generator == [(1, 0)]


@pytest.mark.parametrize("damage", ["empty", "cut", "no gzip", "a folder", "a link to nowhere"])
@pytest.mark.parametrize("part", ["sub-0001/anat/sub-0001_T2w", "derivatives/labels/sub-0001/anat/sub-0001_dseg"])
def test_a_subject_with_a_damaged_file_is_made_anew(generator, damage, part):
    datasets.cohort(2)
    generator.clear()
    path = datasets.cohort_folder() / f"{part}.nii.gz"
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage == "a link to nowhere":
        path.symlink_to("nowhere")
    else:
        path.write_bytes({"empty": b"", "cut": whole[:-1], "no gzip": b"<html>"}[damage])
    assert datasets.cohort_size() == 1
    datasets.cohort(2)
    assert generator == [(1, 0)]
    assert path.read_bytes() == whole


def read_only(*args, **options):
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_shared_cache_that_is_only_read_gives_what_it_has(generator, monkeypatch):
    datasets.cohort(2)
    monkeypatch.setattr(runtime, "locked", read_only)
    monkeypatch.setattr(phantom, "make_cohort", read_only)
    assert len(datasets.cohort(2)) == 2
    with pytest.raises(CourseError, match=r"^2 of 3 subjects .*cannot be written.*MEDSR_CACHE") as caught:
        datasets.cohort(3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [0, -1, 2.5, float("nan"), float("inf"), "many", None])
def test_the_cohort_takes_whole_numbers(generator, number):
    with pytest.raises(CourseError, match="n_subjects must be a whole number"):
        datasets.cohort(n_subjects=number)
    if number != 0:
        with pytest.raises(CourseError, match="seed must be a whole number"):
            datasets.cohort(n_subjects=1, seed=number)


def test_each_source_is_a_function_and_load_its_facade(generator, tmp_path, monkeypatch):
    assert datasets.load("cohort", n_subjects=2).ids == datasets.cohort(2).ids
    put(tmp_path / "real" / "head_T1w.nii.gz")
    put(tmp_path / "real/ds002748/sub-52/anat/sub-52_T1w.nii.gz")
    monkeypatch.setenv("MEDSR_REAL_DATA", str(tmp_path / "real"))
    for name, loader in (("real-scans", datasets.real_scans), ("ds002748", datasets.ds002748)):
        assert datasets.load(name).ids == loader().ids
    assert datasets.load("bids", path=tmp_path / "real/ds002748").ids == ["sub-52"]
    assert repr(datasets.load("mni152")) == repr(datasets.mni152())


def test_a_real_slice_is_on_every_machine(monkeypatch):
    image = datasets.real_slice()
    assert image.shape == (256, 256)
    assert image.dtype == np.float32
    assert 0.1 < (image > 0).mean() < 0.3  # a head without skull, in air
    monkeypatch.setattr("medsr_course.resources.find_spec", lambda name: None)
    with pytest.raises(CourseError, match="dipy is not installed"):
        datasets.real_slice()


def test_two_notebooks_make_each_subject_once(generator, monkeypatch):
    make = phantom.make_cohort
    started = threading.Event()

    def slowly(*args, **kwargs):
        started.set()
        make(*args, **kwargs)

    monkeypatch.setattr(phantom, "make_cohort", slowly)
    found = []
    threads = [threading.Thread(target=lambda: found.append(datasets.load("cohort", n_subjects=3))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started.is_set()
    assert generator == [(0, 0), (1, 0), (2, 0)]
    assert [len(subjects) for subjects in found] == [3, 3, 3]


def test_the_background_makes_and_the_foreground_waits(generator, monkeypatch):
    make, go, said = phantom.make_cohort, threading.Event(), []

    def slowly(folder, subjects, seed=0, told=None):
        told(0, 2)
        go.wait()
        make(folder, subjects, seed)

    monkeypatch.setattr(phantom, "make_cohort", slowly)
    thread = datasets.make_in_background(2, told=lambda *numbers: said.append(numbers))
    waiting = threading.Thread(target=datasets.cohort, args=(2,))
    waiting.start()
    waiting.join(0.4)
    assert waiting.is_alive()
    go.set()
    waiting.join()
    thread.join()
    assert generator == [(0, 0), (1, 0)]
    assert said == [(0, 2)]
    assert datasets.make_in_background(2) is None


def test_what_goes_wrong_in_the_background_is_said_by_the_foreground(generator, monkeypatch, caplog):
    monkeypatch.setattr(phantom, "make_cohort", read_only)
    datasets.make_in_background(2).join()
    assert "Read-only" in caplog.text or "cannot be made" in caplog.text
    with pytest.raises(CourseError, match="cannot be made"):
        datasets.cohort(2)


def _count(folder, start):
    start.wait()
    for _ in range(150):
        with runtime.locked(folder / ".lock"):
            number = int((folder / "number").read_text())
            (folder / "number").write_text(str(number + 1))


def _hold(folder, ready):
    with runtime.locked(folder / ".lock"):
        ready.set()
        threading.Event().wait()


def test_the_lock_holds_between_processes_and_falls_with_its_holder(tmp_path):
    context = multiprocessing.get_context("spawn")
    (tmp_path / "number").write_text("0")
    start, ready = context.Event(), context.Event()
    counters = [context.Process(target=_count, args=(tmp_path, start)) for _ in range(2)]
    dying = context.Process(target=_hold, args=(tmp_path, ready))
    for process in counters:
        process.start()
    start.set()
    for process in counters:
        process.join()
    assert (tmp_path / "number").read_text() == "300"  # without the lock some steps are lost
    dying.start()
    assert ready.wait(60)
    dying.kill()
    dying.join()
    with runtime.locked(tmp_path / ".lock"):  # would hang if the dead still held it
        pass


def test_cohort_refuses_nonsense(generator, cache):
    for number in (0, -1, 2.5):
        with pytest.raises(CourseError, match="at least 1"):
            datasets.load("cohort", n_subjects=number)
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where the cache should be")
    with pytest.raises(CourseError, match="MEDSR_CACHE"):
        datasets.load("cohort", n_subjects=1)


# Subjects and images


def test_images_are_read_late_and_not_twice(tmp_path):
    reads = []

    def reader():
        reads.append(1)
        return image()

    subject = datasets.Subject("sub-1", {"T1w": reader})
    assert "T1w" in subject.contrasts
    assert repr(subject) == "<Subject sub-1 (test): T1w>"
    assert reads == []
    held = subject.contrasts["T1w"]
    assert subject.contrasts["T1w"] is held
    assert len(reads) == 1
    del held
    subject.contrasts["T1w"]
    assert len(reads) == 2  # nobody held it: the memory was free
    assert subject.contrasts.get("T2w") is None
    assert subject.labels is None
    with pytest.raises(CourseError, match="no contrast 'T2w': there is T1w"):
        subject.contrasts["T2w"]
    with pytest.raises(ValueError, match="split"):
        datasets.Subject("sub-1", {}, split="dev")


def test_subjects_are_a_sequence(generator):
    subjects = datasets.load("cohort", n_subjects=12)
    assert repr(subjects) == (
        "<Subjects cohort: 12 subjects (8 train, 2 validation, 2 test), contrasts T1w, T2w, PDw, FLAIR>"
    )
    assert subjects.select("test").ids == ["sub-0005", "sub-0011"]
    assert subjects.select("validation").ids == ["sub-0004", "sub-0010"]
    parts = [set(subjects.select(split).ids) for split in datasets.SPLITS]
    assert set.union(*parts) == set(subjects.ids)
    assert sum(map(len, parts)) == 12
    assert subjects[-1].id == "sub-0011"
    assert subjects[2:4].ids == ["sub-0002", "sub-0003"]
    assert subjects["sub-0003"] is subjects[3]
    with pytest.raises(CourseError, match="no subject 'sub-3'.*sub-0000, sub-0001.*… sub-0011"):
        subjects["sub-3"]
    with pytest.raises(CourseError, match="train, validation, test"):
        subjects.select("dev")


# BIDS folders


def test_bids_folder(tmp_path):
    put(tmp_path / "sub-b/anat/sub-b_T1w.nii.gz", 1)
    put(tmp_path / "sub-b/anat/sub-b_T2w.nii", 2)
    put(tmp_path / "sub-a/ses-2/anat/sub-a_ses-2_run-1_T1w.nii.gz", 3)
    put(tmp_path / "sub-a/ses-2/anat/sub-a_ses-2_run-2_T1w.nii.gz", 4)
    put(tmp_path / "sub-a/ses-1/anat/sub-a_ses-1_FLAIR.nii.gz", 5)
    put(tmp_path / "sub-b/anat/sub-b_mod-T1w_defacemask.nii.gz", 1)
    put(tmp_path / "sub-b/func/sub-b_bold.nii.gz", 1)
    put(tmp_path / "derivatives/x/sub-b/anat/sub-b_label-lesion_mask.nii.gz", 1, np.uint8)
    put(tmp_path / "derivatives/x/sub-b/anat/sub-b_label-brain_mask.nii.gz", 0, np.uint8)
    (tmp_path / "sub-c").mkdir()
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsplit\nsub-b\t31\ttrain\n")
    subjects = datasets.load("bids", path=tmp_path)
    assert subjects.ids == ["sub-a_ses-1", "sub-a_ses-2", "sub-b"]
    assert [s.split for s in subjects] == ["test", "test", "train"]
    assert list(subjects[1].contrasts) == ["T1w", "run-2_T1w"]
    assert list(subjects[2].contrasts) == ["T1w", "T2w"]
    assert np.all(np.asarray(subjects[2].contrasts["T2w"].dataobj) == 2)
    assert np.all(np.asarray(subjects[2].lesions.dataobj) == 1)
    assert subjects[2].labels is None


def test_bids_folder_refused(tmp_path):
    with pytest.raises(CourseError, match="is not a folder"):
        datasets.load("bids", path=tmp_path / "none")
    with pytest.raises(CourseError, match="is it a BIDS folder"):
        datasets.load("bids", path=tmp_path)
    put(tmp_path / "sub-b/anat/sub-b_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text("participant_id\tsplit\nsub-b\tdev\n")
    with pytest.raises(CourseError, match="split 'dev' is unknown"):
        datasets.load("bids", path=tmp_path)


def test_the_cohort_is_a_bids_folder(generator):
    datasets.load("cohort", n_subjects=2)
    subjects = datasets.load("bids", path=datasets.cohort_folder())
    assert subjects.ids == ["sub-0000", "sub-0001"]
    assert subjects[0].labels is not None
    assert subjects[0].lesions is not None


# Tables as other tools write them


def bids_folder(tmp_path, participants=None, labels=None, people=("sub-01", "sub-02")):
    for name in people:
        put(tmp_path / name / "anat" / f"{name}_T1w.nii.gz")
        put(tmp_path / "derivatives/x" / name / "anat" / f"{name}_dseg.nii.gz", 1, np.uint8)
    if participants is not None:
        (tmp_path / "participants.tsv").write_bytes(participants)
    if labels is not None:
        (tmp_path / "derivatives/x/dseg.tsv").write_bytes(labels)
    return tmp_path


PEOPLE = "participant_id\tsite\tsplit\nsub-01\tMünchen\ttrain\nsub-02\tKöln\tvalidation\n"


@pytest.mark.parametrize(
    "table",
    [
        *(PEOPLE.encode(e) for e in ("utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be")),
        PEOPLE.encode("utf-32"),
        PEOPLE.replace("\n", "\r\n").encode(),
        PEOPLE.replace("\n", "\r").encode(),
        PEOPLE.replace("\t", ",").encode(),
        PEOPLE.replace("\t", ";").encode("cp1252"),
        PEOPLE.replace("\t", "\t ").upper().replace("SUB", "sub").encode(),
        PEOPLE.replace("sub-", "").encode(),
        PEOPLE.replace("\n", "\t\n").encode(),
        PEOPLE.replace("München", '"München, Bogenhausen"').encode(),
        PEOPLE.replace("München", '5" monitor').replace("Köln", '"oben').encode(),
        PEOPLE.encode() + b"\n\n  \n",
        PEOPLE.encode() + b"n/a\tn/a\tn/a\nsub-03\t\n",
    ],
)
def test_tables_of_every_kind_are_read(tmp_path, table):
    subjects = datasets.bids(bids_folder(tmp_path, table))
    assert [s.split for s in subjects] == ["train", "validation"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (PEOPLE.encode() + b"sub-01\tx\ttest\n", "two splits"),
        (PEOPLE.encode() + b"sub-03\tx\ttest\tmore\n", "more cells"),
        (PEOPLE.replace("participant_id", "who").encode(), "whose split"),
        (PEOPLE.replace("site", "split").encode(), "same name"),
        (PEOPLE.replace("train", "dev").encode(), "split 'dev' is unknown"),
        (PEOPLE.encode() + b"\0\0", "NUL"),
        (b"PK\x03\x04 a spreadsheet", "spreadsheet"),
        (gzip.compress(PEOPLE.encode(), mtime=0), "compressed"),
        (b"\xff\xfe\x00\xd8 no UTF-16", "encoding"),
    ],
)
def test_tables_that_cannot_be_used_are_refused_by_name(tmp_path, table, words):
    with pytest.raises(CourseError) as caught:
        datasets.bids(bids_folder(tmp_path, table))
    assert "participants.tsv" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", [b"", b"\n", b"\xef\xbb\xbf", b"participant_id\tage\nsub-01\t7\n", b"who\nsub-01\n"])
def test_tables_that_say_nothing_of_splits_change_nothing(tmp_path, table):
    assert [s.split for s in datasets.bids(bids_folder(tmp_path, table))] == ["test", "test"]


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (b"index\tname\nn/a\tx\n1\tGM\n", {1: "GM"}),
        (b"index\tname\n1.0\tGM\n2.0\tWM\n", {1: "GM", 2: "WM"}),
        (b"\xef\xbb\xbfINDEX\tName\n1\tGM\n", {1: "GM"}),
        ("index\tname\n1\tgräu\n".encode("cp1252"), {1: "gräu"}),
        ("index,name\n1,gräu\n".encode("utf-16"), {1: "gräu"}),
        (b"index\tabbreviation\n1\tGM\n", {1: "GM"}),
        (b"index\tname\n3000000000\tfar\n-1\tless\n", {3000000000: "far", -1: "less"}),
        (b"index\tname\n1\n", {1: ""}),
        (b"index\tname\n", {}),
    ],
)
def test_label_tables(tmp_path, table, names):
    assert datasets.bids(bids_folder(tmp_path, labels=table))[0].label_names == names


@pytest.mark.parametrize(
    "table",
    [b"name\nGM\n", b"index\tcolour\n1\tred\n", b"index\tname\none\tGM\n", b"index\tname\n1.5\tGM\n",
     b"index\tname\n1e999\tGM\n", b"index\tname\ninf\tGM\n", b"index\tname\n1\tGM\n1\tWM\n", b"\0\0\0"],
)  # fmt: skip
def test_label_tables_refused(tmp_path, table):
    with pytest.raises(CourseError, match="dseg.tsv") as caught:
        datasets.bids(bids_folder(tmp_path, labels=table))
    assert "\n" not in str(caught.value)


def test_mutated_tables_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    folder, messages = bids_folder(tmp_path), []
    seeds = [PEOPLE.encode(), PEOPLE.encode("utf-16"), b"index\tname\n0\tnone\n1\tGM\n", PEOPLE.encode("cp1252")]
    for trial in range(400):
        raw = bytearray(seeds[trial % len(seeds)])
        for _ in range(rng.integers(1, 8)):
            at = int(rng.integers(len(raw)))
            raw[at : at + int(rng.integers(0, 3))] = rng.choice([b"\0", b'"', b"\t", b"\r", b"\xff", b"1e9", b",", b""])
            raw = raw or bytearray(b"x")
        for table in ("participants.tsv", "derivatives/x/dseg.tsv"):
            (folder / table).write_bytes(raw)
            try:
                datasets.bids(folder)
            except CourseError as error:
                messages.append(str(error))
            (folder / table).unlink()
    assert messages
    assert not [message for message in messages if "\n" in message]


def test_a_table_that_is_not_here_yet(tmp_path):
    folder = bids_folder(tmp_path)
    (folder / "participants.tsv").symlink_to(".git/annex/objects/none")
    with pytest.raises(CourseError, match="participants.tsv is a link to a file that is not here"):
        datasets.bids(folder)


def test_labels_that_are_not_packed_are_found(tmp_path):
    put(tmp_path / "sub-[1]/anat/sub-[1]_T1w.nii")
    put(tmp_path / "derivatives/x/sub-[1]/anat/sub-[1]_dseg.nii", 3, np.uint8)
    (subject,) = datasets.bids(tmp_path)
    assert np.all(np.asarray(subject.labels.dataobj) == 3)


@pytest.mark.parametrize("value", [3_000_000_000, 2**31, 2**63, -(2**31) - 1])
def test_labels_beyond_32_bits_are_refused(tmp_path, value):
    folder = bids_folder(tmp_path)
    path = folder / "derivatives/x/sub-01/anat/sub-01_dseg.nii.gz"
    kind = np.int64 if value < 0 else np.uint64 if value >= 2**63 else np.uint32
    nibabel.save(nibabel.Nifti1Image(np.full((3, 4, 5), value, kind), np.eye(4), dtype=kind), path)
    subject = datasets.bids(folder)[0]
    with pytest.raises(CourseError, match="sub-01_dseg.nii.gz.*32 bits"):
        _ = subject.labels


@pytest.mark.parametrize("slope", [1 / 255, 0.00392157, 0.003921569])
def test_scaled_masks_are_labels(tmp_path, slope):
    folder = bids_folder(tmp_path)
    mask = (np.arange(60).reshape(3, 4, 5) % 2 * 255).astype(np.uint8)
    stored = nibabel.Nifti1Image(mask, np.eye(4))
    raw = bytearray(stored.to_bytes())
    raw[112:120] = np.array([slope, 0], "<f4").tobytes()  # scl_slope, scl_inter
    (folder / "derivatives/x/sub-01/anat/sub-01_dseg.nii.gz").write_bytes(gzip.compress(bytes(raw)))
    labels = np.asarray(datasets.bids(folder)[0].labels.dataobj)
    assert np.array_equal(labels, mask // 255)


def test_labels_with_nan_or_fractions_are_refused_in_words(tmp_path):
    folder = bids_folder(tmp_path)
    path = folder / "derivatives/x/sub-01/anat/sub-01_dseg.nii.gz"
    values = np.ones((3, 4, 5), np.float32)
    for odd, word in ((np.nan, "NaN"), (1.4, "fractions")):
        values[0, 0, 0] = odd
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
        with pytest.raises(CourseError, match=f"sub-01_dseg.nii.gz.*{word}"):
            _ = datasets.bids(folder)[0].labels


# Real scans


@pytest.fixture
def no_real(monkeypatch, tmp_path):
    monkeypatch.setattr(real, "resources", SimpleNamespace(checkout=lambda: None))
    monkeypatch.delenv("MEDSR_REAL_DATA", raising=False)


def test_real_folder(tmp_path, monkeypatch, no_real):
    assert datasets.real_folder() is None
    monkeypatch.setenv("MEDSR_REAL_DATA", str(tmp_path))
    assert datasets.real_folder() == tmp_path
    monkeypatch.setenv("MEDSR_REAL_DATA", str(tmp_path / "none"))
    with pytest.raises(CourseError, match="MEDSR_REAL_DATA"):
        datasets.real_folder()


def test_ds002748_from_a_folder(tmp_path, monkeypatch):
    for name in ("sub-52", "sub-66", "sub-71"):
        put(tmp_path / f"ds002748/{name}/anat/{name}_T1w.nii.gz")
    monkeypatch.setenv("MEDSR_REAL_DATA", str(tmp_path))
    subjects = datasets.load("ds002748")
    assert [s.split for s in subjects] == ["train", "validation", "validation"]


def test_ds002748_from_the_network(tmp_path, monkeypatch, no_real):
    arrived = put(tmp_path / "sub-71_T1w.nii.gz", 7)
    monkeypatch.setattr(catalogue, "fetch", lambda name: arrived)
    (subject,) = datasets.load("ds002748")
    assert (subject.id, subject.split) == ("sub-71", "validation")
    assert np.all(np.asarray(subject.contrasts["T1w"].dataobj) == 7)


# Single real scans


def test_real_scans_are_files_beside_the_folders(tmp_path, monkeypatch):
    for number, name in enumerate(("stroke-brain_T1w", "stroke-brain_FLAIR", "a-head_with_words_T2w", "phantom_CT")):
        put(tmp_path / f"{name}.nii.gz", number)
    put(tmp_path / "ds002748/sub-52/anat/sub-52_T1w.nii.gz")
    put(tmp_path / "nocontrast.nii.gz")
    monkeypatch.setenv("MEDSR_REAL_DATA", str(tmp_path))
    scans = datasets.load("real-scans")
    assert {s.id: (s.split, sorted(s.contrasts)) for s in scans} == {
        "a-head_with_words": ("test", ["T2w"]),
        "phantom": ("test", ["CT"]),
        "stroke-brain": ("validation", ["FLAIR", "T1w"]),
    }
    assert np.all(np.asarray(scans["phantom"].contrasts["CT"].dataobj) == 3)
    assert scans.select("train").ids == []  # nothing to train on


@pytest.mark.parametrize("folder", ["none", "empty"])
def test_no_real_scans_is_said_with_the_remedy(tmp_path, monkeypatch, no_real, folder):
    if folder == "empty":
        monkeypatch.setenv("MEDSR_REAL_DATA", str(tmp_path))
    with pytest.raises(CourseError, match="MEDSR_REAL_DATA") as caught:
        datasets.load("real-scans")
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_the_real_scans_here_can_be_read():
    require("real", datasets.real_folder(), "needs real scans: name their folder in MEDSR_REAL_DATA")
    scans = datasets.load("real-scans")
    assert "stroke-brain" in scans.select("validation").ids
    assert not {"stroke-brain"} & set(scans.select("test").ids)
    image = scans.select("validation")[0].contrasts["T1w"]
    assert volumes.axial_slices(image).shape[0] == 10


# Downloaded archives, as their authors lay them out


def packed(name, files):
    """Put a tar file where the catalogue would have downloaded it."""
    path = catalogue.entry(name).path
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as archive:
        for inside, content in files.items():
            member = tarfile.TarInfo(inside)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def nii(value, dtype=np.float32, shape=(3, 4, 5)):
    stored = nibabel.Nifti1Image(np.full(shape, value, dtype), np.eye(4))
    return gzip.compress(stored.to_bytes())


def test_ixi():
    packed("ixi-t2", {"IXI002-Guys-0828-T2.nii.gz": nii(5), "IXI012-HH-1211-T2.nii.gz": nii(6)})
    subjects = datasets.load("ixi-t2")
    assert subjects.ids == ["IXI002", "IXI012"]
    assert np.all(np.asarray(subjects[1].contrasts["T2w"].dataobj) == 6)


def test_what_is_unpacked_is_used_where_nothing_can_be_written(monkeypatch):
    path = packed("ixi-t2", {"IXI002-Guys-0828-T2.nii.gz": nii(5)})
    monkeypatch.setattr(runtime, "locked", read_only)
    with pytest.raises(CourseError, match=r"cannot be unpacked.*cannot be written.*MEDSR_CACHE"):
        datasets.load("ixi-t2")
    monkeypatch.undo()
    monkeypatch.setenv("MEDSR_CACHE", str(path.parents[2]))
    datasets.load("ixi-t2")
    monkeypatch.setattr(runtime, "locked", read_only)
    assert datasets.load("ixi-t2").ids == ["IXI002"]


def test_decathlon():
    root = "Task04_Hippocampus"
    packed(
        "decathlon-hippocampus",
        {
            f"{root}/imagesTr/hippocampus_001.nii.gz": nii(5),
            f"{root}/imagesTr/._hippocampus_001.nii.gz": b"left by a Mac",
            f"{root}/labelsTr/hippocampus_001.nii.gz": nii(1, np.uint8),
        },
    )
    (subject,) = datasets.load("decathlon-hippocampus")
    assert subject.id == "hippocampus_001"
    assert np.all(np.asarray(subject.labels.dataobj) == 1)


def test_neurite_oasis_2d():
    flat = (160, 192)
    packed(
        "neurite-oasis-2d",
        {
            "OASIS_OAS1_0001_MR1/slice_norm.nii.gz": nii(0.5, shape=flat),
            "OASIS_OAS1_0001_MR1/slice_seg24.nii.gz": nii(3, shape=flat),
            "subjects.txt": b"OASIS_OAS1_0001_MR1",
        },
    )
    (subject,) = datasets.load("neurite-oasis-2d")
    assert subject.contrasts["T1w"].shape == subject.labels.shape == (160, 192, 1)


def test_brainweb():
    path = catalogue.entry("brainweb-t1").path
    path.parent.mkdir(parents=True)
    stored = np.zeros((181, 217, 181), np.uint8)  # z, y, x: x fastest
    stored[72, 126, 90] = 200
    path.write_bytes(gzip.compress(stored.tobytes(), 1))
    (subject,) = datasets.load("brainweb-t1")
    assert np.allclose(volumes.centroid_mm(subject.contrasts["T1w"]), 0)
    path.write_bytes(gzip.compress(b"<html>"))
    with pytest.raises(CourseError, match="not BrainWeb's raw format"):
        datasets.load("brainweb-t1")[0].contrasts["T1w"]


def test_archives_that_are_not_what_they_should_be(tmp_path):
    with pytest.raises(CourseError, match="medsr data get ixi-t2"):
        datasets.load("ixi-t2")
    path = packed("ixi-t2", {"../../escape-IXI.nii.gz": nii(1)})
    with pytest.raises(CourseError, match="cannot be unpacked"):
        datasets.load("ixi-t2")
    assert not list(tmp_path.rglob("escape*"))
    path.write_bytes(b"no tar file")
    with pytest.raises(CourseError, match="cannot be unpacked"):
        datasets.load("ixi-t2")
    assert not path.with_name("unpacked").exists()
    path.unlink()
    path.parent.joinpath(".lock").unlink()
    path.parent.rmdir()
    packed("ixi-t2", {"README": b"nothing here"})
    with pytest.raises(CourseError, match="holds no scan"):
        datasets.load("ixi-t2")


# What there is


def test_names_and_options_that_do_not_exist():
    listed = "mni152, cohort, bids, ds002748, real-scans, clinical, partners-3t, neurite-oasis-2d"
    with pytest.raises(CourseError, match=f"no data set 'mni'.*{listed}"):
        datasets.load("mni")
    with pytest.raises(CourseError, match="options: n_subjects, seed, split; not n"):
        datasets.load("cohort", n=3)
    with pytest.raises(CourseError, match="options: path"):
        datasets.load("bids")
    with pytest.raises(CourseError, match="one file, organcmnist_128.npz"):
        datasets.load("medmnist-organc-128")


def test_available_and_check(generator, no_real):
    rows = {row.name: row for row in datasets.available()}
    assert {"mni152", "cohort", *catalogue.entries()} == set(rows)
    assert [name for name, row in rows.items() if row.present] == ["mni152"]
    assert all(row.what and row.licence and row.where for row in rows.values())
    assert "medsr data get ds002748" in rows["ds002748"].where

    datasets.load("cohort", n_subjects=2)
    assert {row.name for row in datasets.available() if row.present} == {"mni152", "cohort"}
    assert all(ok for _, ok, _ in datasets.check())
    ((what, ok, detail),) = datasets.check("cohort")
    assert (what, ok) == (datasets.cohort_folder().name, True)
    assert "12 files" in detail
    broken = datasets.cohort_folder() / "sub-0001/anat/sub-0001_PDw.nii.gz"
    broken.write_bytes(broken.read_bytes()[:50])
    ((_, ok, detail),) = datasets.check("cohort")
    assert not ok
    assert "sub-0001_PDw.nii.gz" in detail
    ((_, ok, detail),) = datasets.check("ixi-t2")
    assert not ok
    assert "not here" in detail
    with pytest.raises(CourseError, match="choose one of mni152"):
        list(datasets.check("nothing"))


def test_check_compares_downloads_with_their_checksum(no_real):
    path = catalogue.entry("ds002748").path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    ((what, ok, detail),) = datasets.check("ds002748")
    assert (what, ok) == ("ds002748", False)
    assert "changed or is damaged" in detail


def test_the_first_real_scan_is_the_one_in_the_catalogue():
    """Where the development scans are, the catalogue's size and checksum are theirs."""
    real = datasets.real_folder()
    if real is None or not (real / "ds002748").is_dir():
        pytest.skip("needs the real scans: MEDSR_REAL_DATA or ../shared/data/real")
    item = catalogue.entry("ds002748")
    path = real / "ds002748/sub-71/anat" / item.filename
    assert path.stat().st_size == item.size
    assert runtime.checksum(path) == item.sha256
    assert json.loads((real / "ds002748/dataset_description.json").read_text())["License"] == item.licence


# The case that the chapters follow


def test_the_case_is_there_or_is_told_as_it_was(tmp_path, monkeypatch):
    from medsr_course.leaderboard import case

    monkeypatch.setenv("MEDSR_REAL_DATA", str(tmp_path))
    assert datasets.case() is None
    for part in case.PARTS:
        rows, note = case.numbers(part, None)
        assert rows
        assert all(what and value for what, value in rows)
        assert note.startswith("Measured before: ")
    put(tmp_path / "a-head_T2w.nii.gz")
    assert datasets.case() is None
    for contrast in ("T1w", "T2w", "FLAIR"):
        put(tmp_path / f"stroke-brain_{contrast}.nii.gz")
    assert sorted(datasets.case().contrasts) == ["FLAIR", "T1w", "T2w"]
    assert datasets.case().split == "validation"  # for development: never what weights learn from, never a report


@pytest.mark.real
def test_the_case_measured_now_is_the_case_as_it_was():
    from medsr_course.leaderboard import case

    subject = datasets.case()
    if subject is None:
        pytest.skip("the case is not here")
    for part in ("file", "interpolation"):
        assert case.numbers(part, subject)[0] == case.numbers(part, None)[0]
