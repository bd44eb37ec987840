"""The synthetic cohort: determinism, folders that are never half made, anatomy and contrast that make sense."""

import errno
import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medsr_course import runtime
from medsr_course.runtime import CourseError
from medsr_course.scans import phantom
from medsr_course.scans.phantom import cohort, fields, scanner, signal, template, warp
from tools import cohort_report

SEED, INDEX = 0, 2  # a whole head with lesions


@pytest.fixture(scope="module")
def subject():
    """One subject, made in this process."""
    return phantom.make_subject(SEED, INDEX)


@pytest.fixture
def small(monkeypatch):
    """Cohorts of tiny stand-ins for subjects: what is tested is the folder."""
    made = []

    def make(seed, index):
        made.append(index)
        volume = np.random.default_rng([seed, index]).integers(0, 99, (4, 5, 6)).astype(np.int16)
        about = {k: None for k in ("generator", "seed", "index", "lesion", "jacobian")}
        about |= {"skull_stripped": False, "chains": dict.fromkeys(phantom.CONTRASTS)}
        about["sequences_ms"] = {c: {"tr": 2000.0, "te": 20.0, "ti": None} for c in phantom.CONTRASTS}
        images = dict.fromkeys(phantom.CONTRASTS, volume)
        return phantom.Subject(images, volume.astype(np.uint8), volume.astype(np.uint8), np.eye(4), about)

    monkeypatch.setattr(cohort, "make_subject", make)
    return made


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_another_process_makes_the_same_subject(subject, tmp_path):
    command = [sys.executable, "-m", "medsr_course.scans.phantom.worker", str(tmp_path), str(SEED)]
    (tmp_path / "derivatives" / "labels").mkdir(parents=True)
    done = subprocess.run(command, input=f"{INDEX}\n", capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["done"]
    sub = cohort.name(INDEX)
    for contrast, volume in subject.images.items():
        path = tmp_path / sub / "anat" / f"{sub}_{contrast}.nii.gz"
        assert path.read_bytes()[4:8] == bytes(4), "the gzip header must not hold the time"
        image = nib.load(path)
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
        assert np.array_equal(np.asarray(image.dataobj), volume)
    truth = tmp_path / "derivatives" / "labels" / sub / "anat"
    for name, volume in (("dseg", subject.labels), ("label-lesion_mask", subject.lesion)):
        assert np.array_equal(np.asarray(nib.load(truth / f"{sub}_{name}.nii.gz").dataobj), volume)


def test_labels_cover_the_head(subject):
    image = subject.images["T1w"]
    bright = image > 0.3 * np.percentile(image, 99.5)
    assert (subject.labels[bright] > 0).mean() > 0.99
    present = set(np.unique(subject.labels))
    assert {0, 1, 2, 3, 4, 6, 7, 9} <= present <= set(phantom.LABELS)
    litres = {k: (subject.labels == k).sum() / 1e6 for k in (2, 3)}
    assert 0.3 < litres[2] < 1.0
    assert 0.3 < litres[3] < 0.9


def test_contrasts_are_ordered_as_in_a_textbook(subject):
    mean = {
        c: {k: v[subject.labels == k].mean() for k in (1, 2, 3)} for c, v in subject.images.items()
    }  # 1 CSF, 2 grey, 3 white
    assert mean["T1w"][1] < mean["T1w"][2] < mean["T1w"][3]
    assert mean["T2w"][1] > mean["T2w"][2] > mean["T2w"][3]
    assert mean["PDw"][2] > mean["PDw"][3]
    assert mean["FLAIR"][1] < mean["FLAIR"][3] < mean["FLAIR"][2]


def test_lesions_lie_in_the_brain_and_shine_on_flair(subject):
    lesion = subject.lesion > 0
    assert lesion.sum() > 100
    scalp = np.isin(subject.labels, (0, 6, 7, 8))
    assert not (lesion & scalp).any()
    white = subject.images["FLAIR"][subject.labels == 3]
    assert np.median(subject.images["FLAIR"][lesion]) > white.mean() + 1.5 * white.std()


def test_contrasts_lie_on_one_another(subject):
    brain = np.isin(subject.labels, (2, 3))
    slices = slice(60, 100)
    edges = {c: fields.slope(v[:, :, slices].astype(np.float32)) for c, v in subject.images.items()}
    where = brain[:, :, slices]
    for other in ("T2w", "FLAIR"):
        here = np.corrcoef(edges["T1w"][where], edges[other][where])[0, 1]
        moved = np.corrcoef(edges["T1w"][where], np.roll(edges[other], 2, 0)[where])[0, 1]
        assert here > moved + 0.05


@pytest.mark.parametrize("seed", range(4))
def test_warp_is_invertible(seed):
    rng = np.random.default_rng(seed)
    v = warp.velocity(rng, (96, 96, 96), smoothness=12, size=3.2)
    assert warp.jacobian(warp.exponential(v)).min() > 0
    there, back = warp.exponential(v), warp.exponential(-v)
    left = np.abs(there + _pull(back, there)).mean()
    assert left < 0.1  # mm: exp(−v) undoes exp(v), up to interpolation on the 4 mm grid
    assert left < np.abs(there + back).mean() / 3, "subtracting the displacement is no inverse"
    assert warp.jacobian(6 * v).min() < 0, "a displacement that folds over must be told apart"


def _pull(u, by):
    from scipy import ndimage

    at = np.indices(u.shape[1:]) + by / warp.SPACING
    return np.stack([ndimage.map_coordinates(c, at, order=1, mode="grid-wrap") for c in u])


def test_band_field_has_the_wavelengths_asked_for():
    field = fields.band(np.random.default_rng(0), (64, 64, 64), 8, 12)
    power = np.abs(np.fft.fftn(field)) ** 2
    f = np.fft.fftfreq(64)
    radius = np.sqrt(f[:, None, None] ** 2 + f[:, None] ** 2 + f**2)
    typical = 1 / (radius * power).sum() * power.sum()
    assert 7 < typical < 13
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-4)


def test_texture_has_the_slope_asked_for():
    field = fields.power_law(np.random.default_rng(0), (64, 64, 64), alpha=2.5, longest=1000)
    power = np.abs(np.fft.fftn(field)) ** 2
    f = np.fft.fftfreq(64)
    radius = np.sqrt(f[:, None, None] ** 2 + f[:, None] ** 2 + f**2)
    edges = np.geomspace(0.05, 0.45, 9)
    mean = [power[(radius >= a) & (radius < b)].mean() for a, b in zip(edges[:-1], edges[1:], strict=True)]
    slope = np.polyfit(np.log(np.sqrt(edges[:-1] * edges[1:])), np.log(mean), 1)[0]
    assert slope == pytest.approx(-2.5, abs=0.15)


def _chain(**changes):
    plain = {"blur": 0.0, "noise": 0.0, "window": "none", "window_width": 0.5, "fill": 1.0, "partial": 1.0}
    return scanner.Chain(**(plain | {"reslice": (0.0, 0.0, 0.0), "eight_bits": False} | changes))


def _blob(shape=(40, 44, 36), centre=(19.3, 21.6, 17.8), width=3.0):
    r2 = sum(
        (np.arange(n).reshape(s) - c) ** 2
        for n, s, c in zip(shape, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), centre, strict=True)
    )
    return np.exp(-r2 / (2 * width**2)).astype(np.float32)


def test_a_chain_that_does_nothing_changes_nothing():
    blob = _blob()
    out = scanner.acquire(np.random.default_rng(0), blob, np.complex64(1), _chain())
    assert np.abs(out - blob).max() < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"blur": 0.5},
        {"window": "hamming"},
        {"window": "tukey"},
        {"window": "fermi"},
        {"fill": 0.8},
        {"partial": 0.8},
        {"reslice": (0.4, -0.3, 0.2)},
    ],
)
def test_no_step_of_the_chain_moves_anything(changes):
    blob = _blob()
    out = scanner.acquire(np.random.default_rng(0), blob, np.complex64(1), _chain(**changes))
    index = np.indices(blob.shape)
    where = blob > 0.05
    for axis in range(3):
        before = (index[axis] * blob)[where].sum() / blob[where].sum()
        after = (index[axis] * out)[where].sum() / out[where].sum()
        assert abs(after - before) < 0.05  # mm


def test_noise_is_as_strong_as_it_says():
    image = np.ones((32, 32, 32), np.float32)
    out = scanner.acquire(np.random.default_rng(0), image, np.complex64(1), _chain(noise=0.02))
    assert out.std() == pytest.approx(0.02, rel=0.03)


def test_signals_follow_the_equations():
    flair = signal.Sequence(tr=9000, te=100, ti=2500)
    expected = 0.7 * (1 - 2 * np.exp(-2500 / 830) + np.exp(-9000 / 830)) * np.exp(-100 / 71)
    assert flair.signal(830, 71, 0.7) == pytest.approx(expected)
    assert signal.Sequence(tr=1000, te=0).signal(1000 / np.log(2), 80, 1) == pytest.approx(0.5)
    tissue = signal.tissues()
    assert set(tissue) >= {"csf", "cortex", "white_deep", "gliosis", "fat"}
    level, relaxation, density = signal.response(flair, tissue["cortex"])
    assert density == level
    longer = {"t1": tissue["cortex"]["t1"] * 1.05, "t2": tissue["cortex"]["t2"] * 1.05, "density": 0.82}
    assert signal.response(flair, longer)[0] == pytest.approx(level + 0.05 * relaxation, rel=0.01)


def test_a_folder_is_bids_and_the_same_twice(small, tmp_path):
    phantom.make_cohort(tmp_path / "a", 2, seed=3, workers=1)
    phantom.make_cohort(tmp_path / "b", 3, seed=3, workers=1)
    first, second = files(tmp_path / "a"), files(tmp_path / "b")
    shared = {p for p in first if p != "participants.tsv"}
    assert all(first[p] == second[p] for p in shared)
    assert "sub-0001/anat/sub-0001_FLAIR.nii.gz" in first
    assert "derivatives/labels/sub-0001/anat/sub-0001_label-lesion_mask.nii.gz" in first
    assert b"lesion" in first["derivatives/labels/dseg.tsv"]
    assert len(second["participants.tsv"].splitlines()) == 4
    sidecar = json.loads(first["sub-0000/anat/sub-0000_T2w.json"])
    assert sidecar["RepetitionTime"] == 2.0
    gzip.decompress(first["sub-0000/anat/sub-0000_T1w.nii.gz"])


def test_interrupted_it_leaves_no_half_subject_and_resumes(small, tmp_path, monkeypatch):
    write = cohort._write_nifti

    def interrupted(path, volume, affine):
        if "sub-0001_PDw" in path.name:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        write(path, volume, affine)

    monkeypatch.setattr(cohort, "_write_nifti", interrupted)
    with pytest.raises(KeyboardInterrupt):
        phantom.make_cohort(tmp_path, 3, workers=1)
    assert cohort.is_complete(tmp_path, 0)
    assert not [p for p in files(tmp_path) if "sub-0001" in p]
    monkeypatch.setattr(cohort, "_write_nifti", write)
    small.clear()
    phantom.make_cohort(tmp_path, 3, workers=1)
    assert small == [1, 2]


def test_what_a_killed_process_left_is_cleared_away(small, tmp_path):
    for name, age in ((".sub-0000-old", 7200), (".sub-0000-young", 0)):
        (tmp_path / name / "scans").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    phantom.make_cohort(tmp_path, 1, workers=1)
    assert cohort.is_complete(tmp_path, 0)
    assert not (tmp_path / ".sub-0000-old").exists()
    assert (tmp_path / ".sub-0000-young").exists(), "another process may be writing it"


def test_a_full_disk_is_said_in_one_line(small, tmp_path, monkeypatch):
    def full(path, volume, affine):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(cohort, "_write_nifti", full)
        with pytest.raises(CourseError, match="no space left.*MEDSR_CACHE"):
            phantom.make_cohort(tmp_path, 1, workers=1)
    assert not list(tmp_path.glob("*sub-*"))
    nearly = shutil_usage(free=1000)
    monkeypatch.setattr(cohort.shutil, "disk_usage", lambda _: nearly)
    with pytest.raises(CourseError, match="fewer subjects"):
        phantom.make_cohort(tmp_path, 1, workers=1)


@pytest.mark.parametrize("file", ["sub-0000_T1w.nii.gz", "sub-0000_FLAIR.nii.gz", "sub-0000_PDw.json"])
def test_empty_and_cut_files_are_made_anew(small, tmp_path, file):
    """A power cut leaves files with a name and nothing in them."""
    phantom.make_cohort(tmp_path, 2, workers=1)
    before = files(tmp_path)
    damaged = tmp_path / "sub-0000/anat" / file
    for content in (b"", before[f"sub-0000/anat/{file}"][:-3])[: 1 if file.endswith("json") else 2]:
        small.clear()
        damaged.write_bytes(content)
        assert not cohort.is_complete(tmp_path, 0)
        assert cohort.complete(tmp_path) == cohort.complete(tmp_path, 2) == ["sub-0001"]
        phantom.make_cohort(tmp_path, 2, workers=1)
        assert small == [0]
        assert files(tmp_path) == before
    for table in ("dataset_description.json", "participants.tsv", "derivatives/labels/dseg.tsv"):
        (tmp_path / table).write_bytes(b"")
    assert cohort.complete(tmp_path) == []
    phantom.make_cohort(tmp_path, 2, workers=1)
    assert files(tmp_path) == before


def test_every_file_is_on_the_disk_before_a_subject_counts(small, tmp_path, monkeypatch):
    flushed, flush, rename = set(), runtime.flush_to_disk, Path.rename

    def watched(path):
        flushed.add(Path(path).name)
        flush(path)

    def counted(source, target):
        if Path(target).name.startswith("sub-"):
            names = {p.name for p in source.rglob("*.nii.gz")}
            assert names <= flushed
            assert "anat" in flushed
        return rename(source, target)

    monkeypatch.setattr(runtime, "flush_to_disk", watched)
    monkeypatch.setattr(Path, "rename", counted)
    phantom.make_cohort(tmp_path, 1, workers=1)
    assert len([name for name in flushed if name.endswith(".nii.gz")]) == 6


def test_a_planted_link_is_replaced_and_not_followed(small, tmp_path):
    victim = tmp_path / "victim"
    (victim / "anat").mkdir(parents=True)
    (victim / "anat" / "mine").write_text("mine")
    folder = tmp_path / "cohort"
    (folder / "derivatives/labels").mkdir(parents=True)
    (folder / "sub-0000").symlink_to(victim)
    (folder / "derivatives/labels/sub-0000").symlink_to(victim)
    (folder / "participants.tsv").symlink_to(victim / "anat" / "mine")
    phantom.make_cohort(folder, 1, workers=1)
    assert files(victim) == {"anat/mine": b"mine"}
    assert not (folder / "sub-0000").is_symlink()
    assert cohort.complete(folder) == ["sub-0000"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_disk_that_fills_up_leaves_no_file_without_content(small, tmp_path, monkeypatch, where):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, where, full)
        with pytest.raises(CourseError, match="no space left.*MEDSR_CACHE"):
            phantom.make_cohort(tmp_path, 1, workers=1)
    assert [name for name, content in files(tmp_path).items() if not content] == []
    phantom.make_cohort(tmp_path, 1, workers=1)
    assert cohort.complete(tmp_path) == ["sub-0000"]


def test_workers_find_this_package_and_nothing_else_in_front(tmp_path, monkeypatch):
    """Neither the working folder nor PYTHONPATH is searched: a numpy.py there is not run."""
    for name in ("numpy", "random", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [*cohort._python_as_here(), "medsr_course.scans.phantom.worker", str(tmp_path), "0"],
        cwd=tmp_path, env=environment, input="", capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    given = []

    def popen(command, env, **options):
        given.append(env)
        raise OSError(errno.ENOENT, "stopped by the test")

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(cohort.subprocess, "Popen", popen)
    with pytest.raises(CourseError, match="cannot be made"):
        phantom.make_cohort(tmp_path / "out", 2, workers=2)
    assert "PYTHONPATH" not in given[0]


def shutil_usage(free):
    import shutil

    return shutil._ntuple_diskusage(total=10**12, used=10**12 - free, free=free)


def test_another_cohorts_folder_is_refused(small, tmp_path):
    phantom.make_cohort(tmp_path, 1, seed=0, workers=1)
    with pytest.raises(CourseError, match="another folder"):
        phantom.make_cohort(tmp_path, 1, seed=1, workers=1)


def test_a_worker_that_cannot_write_is_reported(tmp_path, monkeypatch):
    """Two real processes, stopped at once by a stand-in for the worker."""
    stub = tmp_path / "stub"
    stub.mkdir()
    (stub / "worker.py").write_text(
        "import sys\nfor line in sys.stdin: print('oserror 28 No space left', flush=True)\n"
    )
    real = subprocess.Popen
    monkeypatch.setattr(
        cohort.subprocess, "Popen", lambda command, **k: real([sys.executable, stub / "worker.py"], **k)
    )
    with pytest.raises(CourseError, match="no space left"):
        phantom.make_cohort(tmp_path / "out", 2, workers=2)
    (stub / "worker.py").write_text("import sys\nsys.stdin.readline()\nsys.exit('Killed by a test')\n")
    with pytest.raises(CourseError, match="Killed by a test"):
        phantom.make_cohort(tmp_path / "out", 2, workers=2)


def test_template_is_on_the_grid():
    head = template.load()
    assert head.grey.shape == head.white.shape == template.SHAPE
    centre = np.round(-np.array(template.ORIGIN)).astype(int)  # MNI (0, 0, 0) is inside the brain
    assert head.depth[tuple(centre // 2)] < -15
    assert head.grey[0].max() == head.grey[:, 0].max() == 0
    upper = np.s_[..., 25:]  # above the skull base, where it is used
    assert (head.vault <= head.depth + 2)[upper].all(), "the hull must hold the brain"


def test_report_measures_what_it_says():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    disc = (np.hypot(y - 64, x - 64) < 50).astype(float)
    noisy = np.stack([disc + 0.05 * rng.standard_normal(disc.shape) * disc for _ in range(10)])
    values = cohort_report.residual_statistics(noisy)
    assert values["kurtosis"] == pytest.approx(3, abs=0.6)  # Gaussian
    assert 0.25 < values["quiet"] < 0.5
    white = rng.standard_normal((10, 128, 128))
    assert np.abs(cohort_report.log_spectrum(white)).max() < 0.1  # flat
