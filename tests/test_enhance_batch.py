"""Many scans at once: a folder of files, a BIDS folder, what is wrong with one of them, and going on after a kill."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from medsr_course import runtime
from medsr_course.pipeline import batch, outputs
from medsr_course.pipeline.plan import Options
from medsr_course.runtime import CourseError
from medsr_course.scans import domain, scansource
from medsr_course.workers import processes

QUICK = Options(quality="fast", axes="in-plane", scale=2)
WORDS = ("--quality", "fast", "--axes", "in-plane", "--scale", "2")
# The command, with a judge whom small images of nothing suit. {extra} breaks it off in the middle.
DRIVER = """
import os, signal
from medsr_course.pipeline import batch, outputs
from medsr_course.scans import domain
domain.judge = lambda *_, **__: domain.Verdict()
{extra}
if __name__ == "__main__":
    from medsr_course.cli import main
    main()
"""
KILLED = """
enter = outputs.enter
def entered(folder, rows):
    path = enter(folder, rows)
    if len(outputs.listed(folder)) == 6:  # the second scan is listed, and not yet in its place
        os.kill(os.getpid(), signal.SIGKILL)
    return path
outputs.enter = entered
"""
INTERRUPTED = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
put = batch._put
def putting(out, job, outcome):
    done = put(out, job, outcome)
    signal.raise_signal(signal.SIGINT)
    return done
batch._put = putting
"""


def scan(path, seed=0, shape=(24, 24, 6)):
    """Writes a smooth blob with a little noise."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    image = ((place**2).sum(0) < 0.8) * (600 + 300 * ndimage.gaussian_filter(rng.standard_normal(shape), 1.5))
    image = np.hypot(image + 5 * rng.standard_normal(shape), 5 * rng.standard_normal(shape))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(image.astype(np.int16), np.eye(4)), path)
    return path


def folder_of(tmp_path, count, name="in"):
    for k in range(count):
        scan(tmp_path / name / f"head{k}.nii.gz", k)
    return tmp_path / name


def bids(folder, *places):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    for k, place in enumerate(places):
        scan(folder / place, k)
    return folder


def serial(function, jobs, **_):
    """In this process, one after the other."""
    for job in jobs:
        yield job, function(job)


@pytest.fixture
def here(monkeypatch):
    """Everything in this process, with a judge whom small images of nothing suit."""
    monkeypatch.setattr(processes, "each", serial)
    monkeypatch.setattr(domain, "judge", lambda *_, **__: domain.Verdict())


def medsr(tmp_path, *words, extra=""):
    (tmp_path / "driver.py").write_text(DRIVER.format(extra=extra))
    command = [sys.executable, str(tmp_path / "driver.py"), *map(str, words)]
    env = dict(os.environ, MEDSR_PROGRESS="0", COLUMNS="200", PYTHONIOENCODING="utf-8")
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=env, timeout=600)


def table(out):
    with open(out / batch.TABLE, newline="", encoding="utf-8") as file:
        return {row["scan"]: row for row in csv.DictReader(file)}


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.nii.gz"))}


def hidden(folder):
    return [path.name for path in folder.glob(".*") if path.name != ".medsr.lock"]


def alone(folder, out, options=QUICK):
    """What the scans of a folder become one at a time."""
    from medsr_course.pipeline import enhancing
    from medsr_course.pipeline import plan as planning

    for path in sorted(folder.glob("*.nii.gz")):
        source = scansource.read(path)
        plan = planning.plan(source.image, options, name=path.name)
        outputs.write(enhancing.run(source.image, plan, progress=False), source, out / path.name)
    return contents(out)


def test_processes_give_the_same_bytes_and_bad_files_stop_nothing(tmp_path, here):
    folder = folder_of(tmp_path, 3)
    expected = alone(folder, tmp_path / "alone")
    (folder / "damaged.nii.gz").write_bytes((folder / "head0.nii.gz").read_bytes()[:3000])
    (folder / "letter.nii").write_text("Dear Dr Smith")
    done = medsr(tmp_path, "enhance", folder, tmp_path / "out", *WORDS, "--n-cpus", 2)
    rows = table(tmp_path / "out")
    assert done.returncode == 5, done.stdout + done.stderr
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "head0.nii.gz": "written", "head1.nii.gz": "written", "head2.nii.gz": "written",
        "damaged.nii.gz": "failed", "letter.nii": "failed",
    }  # fmt: skip
    assert contents(tmp_path / "out") == expected
    assert len(expected) == 9
    assert rows["head1.nii.gz"]["sha256"] == runtime.checksum(tmp_path / "out" / rows["head1.nii.gz"]["output"])
    assert float(rows["head1.nii.gz"]["seconds"]) > 0
    assert int(rows["head1.nii.gz"]["peak_mib"]) > 30
    assert str(tmp_path) not in (tmp_path / "out" / batch.TABLE).read_text(encoding="utf-8")
    assert not hidden(tmp_path / "out")
    assert "Traceback" not in done.stderr
    assert "3 written" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize(("extra", "code", "kept"), [(KILLED, -9, 1), (INTERRUPTED, 130, 1)], ids=["kill", "interrupt"])
def test_broken_off_in_the_middle_only_the_rest_is_done(tmp_path, here, extra, code, kept):
    folder, out = folder_of(tmp_path, 4), tmp_path / "out"
    expected = alone(folder, tmp_path / "alone")
    # Its processes hold its stdout, too: that this returns means that they have ended.
    done = medsr(tmp_path, "enhance", folder, out, *WORDS, "--n-cpus", 2, extra=extra)
    assert done.returncode == code, done.stdout + done.stderr
    assert sum(row["outcome"] == "written" for row in table(out).values()) == kept
    assert bool(hidden(out)) == (code == -9)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    found = batch.run(folder, out, QUICK)
    assert [one.outcome for one in found] == ["written"] * 4
    assert contents(out) == expected
    assert sum(path.stat().st_mtime_ns == before.get(path) for path in out.glob("*.nii.gz")) == 3 * kept
    assert not hidden(out)


def test_what_was_changed_or_lost_is_found_again(tmp_path, here, monkeypatch):
    folder, out = folder_of(tmp_path, 3), tmp_path / "out"
    batch.run(folder, out, QUICK)
    expected = contents(out)
    done = []
    monkeypatch.setattr(batch, "treat", lambda job: done.append(job.name) or batch._guarded(job, True))
    (out / "head1_desc-zip.nii.gz").unlink()
    assert [one.outcome for one in batch.run(folder, out, QUICK)] == ["written"] * 3
    assert done == ["head1.nii.gz"]
    assert contents(out) == expected
    (out / "head2.nii.gz").write_bytes(b"edited by hand")
    assert [one.outcome for one in batch.run(folder, out, QUICK)] == ["written", "written", "failed"]
    assert (out / "head2.nii.gz").read_bytes() == b"edited by hand"
    assert "--force" in table(out)["head2.nii.gz"]["reasons"]
    batch.run(folder, out, QUICK, force=True)
    assert contents(out) == expected
    with pytest.raises(CourseError, match="other options"):
        batch.run(folder, out, replace(QUICK, keep_grid=True))


def test_uniform_treats_all_alike_or_none(tmp_path, here, monkeypatch):
    folder, out = folder_of(tmp_path, 3), tmp_path / "out"
    colour = domain.Reason("colour", "refused", "It holds colours: save one channel.")

    def judge(image, *, name="", **_):
        return domain.Verdict("refused", (colour,)) if name == "head1.nii.gz" else domain.Verdict()

    monkeypatch.setattr(domain, "judge", judge)
    with pytest.raises(CourseError, match=r"1 of 3 scans.*head1.*per-scan"):
        batch.run(folder, out, QUICK)
    assert not contents(out)
    assert table(out)["head1.nii.gz"]["outcome"] == "odd"
    assert "colours" in table(out)["head1.nii.gz"]["reasons"]
    found = batch.run(folder, out, QUICK, policy="per-scan")
    assert [one.outcome for one in found] == ["written", "refused", "written"]
    assert batch.exit_code(found) == 5
    found = batch.run(folder, out, QUICK, force=True)
    assert [one.outcome for one in found] == ["written"] * 3
    assert {one.treatment for one in found} == {"super-resolution in-plane ×2 fast, espcn-x2"}


def test_the_group_level_tells_of_different_treatments(tmp_path, capsys):
    for label, treatment in (("sub-01", "×2"), ("sub-02", "×2"), ("sub-03", "×4")):
        batch._enter(tmp_path, batch.Outcome(label, "written", "in domain", treatment=treatment))
        code = batch.command(tmp_path, tmp_path, "group", QUICK)
        assert code == (5 if label == "sub-03" else 0)
    assert "×2; ×4" in capsys.readouterr().err


def test_scans_that_would_get_another_treatment_stop_a_uniform_batch(tmp_path, here):
    folder = folder_of(tmp_path, 2)
    thick = nibabel.load(folder / "head1.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(thick.dataobj), np.diag([1, 1, 5, 1])), folder / "thick.nii.gz")
    with pytest.raises(CourseError, match=r"1 of 3 scans.*thick"):
        batch.run(folder, tmp_path / "out", Options(quality="fast"), dry=True)
    assert [one.outcome for one in batch.run(folder, tmp_path / "out", QUICK, dry=True)] == ["planned"] * 3
    assert not (tmp_path / "out").exists()


def test_a_bids_folder_and_its_labels(tmp_path, here):
    places = [f"sub-{k}/ses-{s}/anat/sub-{k}_ses-{s}_T1w.nii.gz" for k in ("01", "02") for s in ("a", "b")]
    folder = bids(tmp_path / "in", *places, "sub-03/anat/sub-03_T2w.nii")
    scan(folder / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_label-lesion_mask.nii.gz")
    scan(folder / "derivatives" / "x" / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    assert set(batch.find(folder)) == {"sub-03_T2w", *(Path(place).name[:-7] for place in places)}
    assert set(batch.find(folder, ["02", "sub-03"])) == {"sub-03_T2w", "sub-02_ses-a_T1w", "sub-02_ses-b_T1w"}
    assert set(batch.find(folder, ["01"], ["b"])) == {"sub-01_ses-b_T1w"}
    with pytest.raises(CourseError, match="--participant-label 04"):
        batch.find(folder, ["01", "04"])
    with pytest.raises(CourseError, match="--session-label c"):
        batch.find(folder, (), ["c"])
    # Two runs, as of two jobs of an array, share a folder.
    for label in ("01", "02"):
        batch.run(folder, tmp_path / "out", QUICK, participants=[label], report=label == "01")
    assert {name: row["outcome"] for name, row in table(tmp_path / "out").items()} == dict.fromkeys(
        (Path(place).name[:-7] for place in places), "written"
    )
    made = tmp_path / "out" / "sub-01" / "ses-b" / "anat"
    assert set(contents(made)) == {f"sub-01_ses-b_res-x2_desc-{what}_T1w.nii.gz" for what in ("medsr", "zip", "added")}
    assert len(list(made.glob("*.json"))) == 3
    described = json.loads((tmp_path / "out" / "dataset_description.json").read_text(encoding="utf-8"))
    page = batch.group(tmp_path / "out").read_text(encoding="utf-8")
    assert "sub-02_ses-a_T1w" in page
    assert "sub-01_ses-b_res-x2_desc-medsr_T1w_report.html" in page
    assert (made / "sub-01_ses-b_res-x2_desc-medsr_T1w_report.html").is_file()
    assert described["DatasetLinks"] == {"raw": "../in"}
    assert not hidden(tmp_path / "out") or hidden(tmp_path / "out") == [".bidsignore"]
    assert {row["scan"] for row in outputs.listed(tmp_path / "out").values()} == set(table(tmp_path / "out"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["participants"], "participant or group"),
        (["participant", "--participant-label", "7", "8"], "--participant-label 7"),
        (["participant", "--policy", "mixed"], "--policy"),
        (["participant", "--session-label", "a"], "--session-label a"),
        (["participant", "--report", "--with-identifiers"], "leave it out"),
        (["group"], "holds no results"),
    ],
)
def test_wrong_words_get_one_line(tmp_path, words, told):
    from typer.testing import CliRunner

    from medsr_course.cli import app

    folder = bids(tmp_path / "in", "sub-01/anat/sub-01_T1w.nii.gz")
    done = CliRunner().invoke(app, ["enhance", str(folder), str(tmp_path / "out"), *words])
    assert done.exit_code == 1
    assert isinstance(done.exception, CourseError)
    assert told in str(done.exception)
    assert not contents(tmp_path / "out")


def test_a_folder_is_no_place_for_its_own_results(tmp_path, here):
    folder = folder_of(tmp_path, 1)
    with pytest.raises(CourseError, match="choose another"):
        batch.run(folder, folder, QUICK)
    scan(folder / "head0.nii", 7)  # would give the same name
    found = batch.run(folder, tmp_path / "out", QUICK)
    assert sorted(one.outcome for one in found) == ["failed", "written"]


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["written in domain"] * 2, 0),
        (["written in domain", "written caution"], 3),
        (["refused refused"] * 2, 4),
        (["written in domain", "refused refused"], 5),
        (["failed "] * 2, 1),
        (["failed ", "written caution"], 5),
    ],
)
def test_exit_codes(outcomes, code):
    made = [batch.Outcome("x", *one.split(" ", 1)) for one in outcomes]
    assert batch.exit_code(made) == code


def test_a_worker_of_another_version_does_nothing(tmp_path):
    path = scan(tmp_path / "head.nii.gz")
    answer = batch.treat(batch.Job("head", path, tmp_path / "part", Path("head.nii.gz"), QUICK, software="0.0"))
    assert answer["outcome"] == "failed"
    assert "0.0" in answer["reasons"]
    assert not (tmp_path / "part").exists()


def crash(what):
    if what == "crash":
        os._exit(7)
    return len(bytearray(int(what)))


def test_a_process_that_ends_takes_no_other_with_it():
    found = dict(processes.each(crash, ["1", "crash", "2", "3"], 2))
    assert found == {"1": 1, "crash": None, "2": 2, "3": 3}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit")
def test_a_process_keeps_to_its_memory():
    assert dict(processes.each(crash, [str(1 << 20)], 1, memory=256 << 20)) == {str(1 << 20): 1 << 20}
    assert dict(processes.each(crash, [str(1 << 30)], 1, memory=256 << 20)) == {str(1 << 30): None}
