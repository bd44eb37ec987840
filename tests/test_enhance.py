"""``medsr enhance``: plans, the work in blocks and tiles, files in and out, the command."""

import csv
import hashlib
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsr_course import cli, pipeline
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import tiles
from medsr_course.physics import grid, interpolation
from medsr_course.pipeline import enhancing, outputs
from medsr_course.pipeline.plan import Options, Refusal, plan
from medsr_course.runtime import CourseError
from medsr_course.scans import domain, scansource, spool, volumes
from medsr_course.scans.scanfiles import storing
from medsr_course.tasks import thick_slices

ORIENTATIONS = [
    "".join(pair[flip] for pair, flip in zip(pairs, flips, strict=True))
    for pairs in itertools.permutations(["LR", "PA", "IS"])
    for flips in itertools.product((0, 1), repeat=3)
]


@pytest.fixture(autouse=True)
def _all_in_domain(monkeypatch):
    """What is small and synthetic is no head: whether a scan is in domain has tests of its own."""
    monkeypatch.setenv("MEDSR_PROGRESS", "0")
    monkeypatch.setattr(domain, "judge", lambda *_, **__: domain.Verdict())


@pytest.fixture
def invoke():
    from typer.testing import CliRunner

    return lambda *words: CliRunner().invoke(cli.app, ["enhance", *map(str, words)])


@pytest.fixture
def idle(monkeypatch):
    """Networks that add nothing: geometry does not depend on them."""

    def network(name, quick=False):
        factor = pretrained.card(name).usage.get("scale", 1)
        return lambda batch: np.zeros_like(batch[..., :1]).repeat(factor, 1).repeat(factor, 2)

    monkeypatch.setattr(pretrained, "network", network)


def head(shape=(20, 24, 6), sizes=(1.0, 1.0, 1.2), dtype=np.int16, peak=1000, affine=None):
    """A smooth ellipsoid with a little texture, of a type, in place."""
    index = np.meshgrid(*[np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape], indexing="ij")
    radius = sum(axis**2 for axis in index)
    wave = 1 + 0.3 * np.sin(7 * index[0]) * np.cos(5 * index[1])
    values = peak * np.exp(-2 * radius) * wave
    affine = np.diag([*sizes, 1.0]) if affine is None else affine
    return nibabel.Nifti1Image(values.astype(dtype), affine)


def save(image, path):
    nibabel.save(image, path)
    return path


# ---------------------------------------------------------------- geometry


def places(path, indices):
    """Where SimpleITK finds voxels, in RAS mm."""
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    points = [image.TransformContinuousIndexToPhysicalPoint([float(i) for i in index]) for index in indices]
    return np.array(points) * [-1, -1, 1]


def check_places(scan, written, factors):
    """Voxel i of the scan is voxel factors·i of the result, to SimpleITK and to nibabel, to 0.01 mm."""
    shape = nibabel.load(scan).shape
    corners = np.array(list(itertools.product(*[(0, size - 1) for size in shape])), float)
    fine = corners * factors
    assert np.abs(places(scan, corners) - places(written, fine)).max() < 0.01
    before, after = (
        nibabel.affines.apply_affine(nibabel.load(p).affine, at) for p, at in ((scan, corners), (written, fine))
    )
    assert np.abs(before - after).max() < 0.01
    assert nibabel.load(written).shape == tuple(np.multiply(shape, factors))


@pytest.mark.parametrize("axes", ["in-plane", "through-plane"])
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation(tmp_path, invoke, idle, codes, axes):
    image = head((5, 6, 4), (0.9, 1.1, 3.0))
    image = image.__class__(
        image.dataobj, image.affine + np.array([[0, 0, 0, 11], [0, 0, 0, -7], [0, 0, 0, 5], [0] * 4])
    )
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
    )
    scan = save(image.as_reoriented(turn), tmp_path / "in.nii.gz")
    done = invoke(scan, tmp_path / "out.nii.gz", "--axes", axes)
    assert done.exit_code in (0, 3), done.output
    slices = [letter in "IS" for letter in codes]
    factors = np.where(slices, 1, 2) if axes == "in-plane" else np.where(slices, 4, 1)
    for name in ("out.nii.gz", "out_desc-zip.nii.gz", "out_desc-added.nii.gz"):
        check_places(scan, tmp_path / name, factors)
    assert nibabel.aff2axcodes(nibabel.load(tmp_path / "out.nii.gz").affine) == tuple(codes)


@settings(max_examples=15, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
    form=st.sampled_from("sqb"),
)
def test_oblique(tmp_path_factory, angles, origin, form):
    from scipy.spatial.transform import Rotation

    folder = tmp_path_factory.mktemp("oblique")
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * [0.7, 0.9, 2.0]
    affine[:3, 3] = origin
    image = head((5, 6, 4), affine=affine)
    image.set_sform(affine, 1 if form in "sb" else 0)
    image.set_qform(affine, 1 if form in "qb" else 0)
    scan = save(image, folder / "in.nii")
    source = scansource.read(scan)
    planned = plan(source.image, Options(axes="in-plane", quality="fast"))
    outputs.write(enhancing.run(source.image, planned, progress=False), source, folder / "out.nii")
    check_places(scan, folder / "out.nii", (2, 2, 1))
    header = nibabel.load(folder / "out.nii").header
    assert [int(header[key]) for key in ("sform_code", "qform_code")] == [form in "sb", form in "qb"]


def test_two_transforms_stay_two(tmp_path, invoke, idle):
    image = head()
    image.set_sform(np.diag([1.1, 1.0, 1.2, 1]) + np.eye(4, k=3) * 9, 4)  # a template's space
    image.set_qform(np.diag([1.0, 1.0, 1.2, 1]) - np.eye(4, k=3) * 5, 1)  # the scanner's
    scan = save(image, tmp_path / "in.nii")
    assert invoke(scan, tmp_path / "out.nii", "--axes", "in-plane").exit_code in (0, 3)
    before, after = (nibabel.load(tmp_path / name).header for name in ("in.nii", "out.nii"))
    for get in ("get_sform", "get_qform"):
        (old, code), (new, kept) = getattr(before, get)(coded=True), getattr(after, get)(coded=True)
        assert code == kept
        assert np.allclose(new, volumes.scaled_affine(old, 2, (0, 1)), atol=1e-5)


def test_a_blob_stays_where_it_is():
    index = np.indices((24, 28, 16)).astype(float)
    blob = np.exp(-sum((i - c) ** 2 for i, c in zip(index, (11.3, 14.2, 8.1), strict=True)) / 8)
    affine = nibabel.affines.from_matvec(np.diag([-0.8, 0.9, 1.1]), (20, -30, 5))
    image = nibabel.Nifti1Image((1000 * blob).astype(np.float32), affine)
    for axes, limit in (("in-plane", 0.01), ("through-plane", 0.05)):
        result = enhancing.run(image, plan(image, Options(axes=axes, quality="fast")), progress=False)
        assert np.abs(volumes.centroid_mm(result.zip) - volumes.centroid_mm(image)).max() < limit


# ---------------------------------------------------------------- what is decided


@pytest.mark.parametrize(
    ("sizes", "shape", "sidecar", "axes"),
    [
        ((1, 1, 1), (9, 9, 9), {}, "in-plane"),
        ((0.9, 1.0, 1.2), (9, 9, 9), {}, "in-plane"),
        ((0.9, 0.9, 5), (9, 9, 9), {}, "through-plane"),
        ((5, 0.9, 0.9), (9, 9, 9), {}, "through-plane"),
        ((0.9, 0.9, 5), (9, 9, 1), {}, "in-plane"),
        ((0.9, 0.9, 5), (9, 9, 9), {"SliceThickness": 4, "SpacingBetweenSlices": 5}, "through-plane"),
        ((1, 1, 2), (9, 9, 9), {}, None),
        ((0.87, 0.87, 1), (9, 9, 9), {"SliceThickness": 2}, None),  # interpolated between the slices
        ((1, 2.5, 1), (9, 9, 9), {"SliceThickness": 5}, None),
        ((0.5, 1, 1), (9, 9, 9), {}, None),
    ],
)
def test_auto(sizes, shape, sidecar, axes):
    image = head(shape, sizes)
    if axes is None:
        with pytest.raises(Refusal, match="--axes in-plane .* or --axes through-plane"):
            plan(image, Options(), sidecar=sidecar)
    else:
        assert plan(image, Options(), sidecar=sidecar).options.axes == axes


def test_gaps_reach_the_slice_profile():
    planned = plan(head((9, 9, 9), (0.9, 0.9, 5)), Options(), sidecar={"SliceThickness": 4, "SpacingBetweenSlices": 5})
    assert planned.thickness == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "sharpen"}, "choose one of super-resolution"),
        ({"quality": "good"}, "choose one of fast"),
        ({"axes": "in-plane", "scale": 3}, "take 2 or 4"),
        ({"axes": "through-plane", "scale": 2}, "take 4"),
        ({"task": "denoise", "scale": 2}, "leave --scale out"),
        ({"task": "thin-slices", "axes": "in-plane"}, "leave --axes out"),
        ({"axes": "in-plane", "max_memory": 1 << 20}, "at least"),
    ],
)
def test_what_cannot_be_done(options, words):
    with pytest.raises(CourseError, match=words):
        plan(head(), Options(**options))


@pytest.mark.parametrize("shape", [(1, 1, 9), (9, 1, 1), (4, 4, 4, 2), (0, 4, 4)])
def test_no_volume(shape):
    with pytest.raises(Refusal):
        plan(nibabel.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), Options(axes="in-plane"))


# ---------------------------------------------------------------- the work


@pytest.mark.parametrize("quality", ["fast", "standard"])
def test_super_resolution_is_that_of_the_network(quality):
    image = head((22, 26, 5))
    planned = plan(image, Options(axes="in-plane", quality=quality))
    result = enhancing.run(image, planned, progress=False)
    stack = np.asarray(image.dataobj).T.astype(np.float32)
    expected = pretrained.super_resolve(planned.network, stack).T
    assert np.allclose(result.image.dataobj, expected, atol=1e-3)
    assert np.allclose(result.zip.dataobj, interpolation.zero_fill(stack, 2).T, atol=1e-3)
    assert np.allclose(result.added.dataobj, expected - interpolation.zero_fill(stack, 2).T, atol=2e-3)
    assert float(np.abs(result.added.dataobj).max()) > 1
    assert np.array_equal(
        np.asarray(pipeline.enhance(image, axes="in-plane", quality=quality).dataobj), result.image.dataobj
    )


def test_thin_slices_are_those_of_the_network():
    image = head((22, 26, 7), (1, 1, 4))
    expected = pretrained.thin_slices("convlstm-z4", np.asarray(image.dataobj).transpose(2, 1, 0).astype(np.float32))
    result = enhancing.run(image, plan(image, Options(task="thin-slices")), progress=False)
    assert result.image.shape == (22, 26, 28)
    assert np.allclose(result.image.dataobj, expected.transpose(2, 1, 0), atol=1e-3)
    again = thick_slices.matrix(7) @ np.asarray(result.image.dataobj).reshape(-1, 28).T
    assert np.allclose(again.T.reshape(image.shape), image.dataobj, atol=1)


def test_denoising_and_labels_keep_the_grid():
    image = head((22, 26, 5))
    clean = enhancing.run(image, plan(image, Options(task="denoise")), progress=False)
    expected = pretrained.denoise("dncnn-magnitude", np.asarray(image.dataobj).T.astype(np.float32)).T
    assert np.allclose(clean.image.dataobj, expected, atol=1e-3)
    assert np.array_equal(clean.zip.dataobj, np.asarray(image.dataobj, np.float32))
    turned = image.as_reoriented(np.array([[1, -1], [2, 1], [0, -1]]))
    labels = pipeline.enhance(image, "segment")
    other = pipeline.enhance(turned, "segment")
    assert labels.get_data_dtype() == np.uint8
    assert np.array_equal(volumes.to_stack(labels), volumes.to_stack(other))
    assert np.allclose(other.affine, turned.affine)


@pytest.mark.parametrize("options", [{"axes": "in-plane"}, {"task": "thin-slices"}])
def test_keep_grid(options):
    image = head((20, 24, 6), (1, 1, 4))
    result = enhancing.run(image, plan(image, Options(keep_grid=True, **options)), progress=False)
    assert result.image.shape == image.shape
    assert np.allclose(result.image.affine, image.affine)
    assert np.allclose(result.zip.dataobj, image.dataobj, atol=1e-2)
    assert "% (root mean square)" in result.provenance["kept"]


@pytest.mark.parametrize(
    ("quality", "axes"), [("fast", "in-plane"), ("standard", "in-plane"), ("standard", "through-plane")]
)
def test_blocks_and_tiles_leave_no_seams(monkeypatch, quality, axes):
    """Small blocks and tiles give what the whole gives, to a millionth of the range."""
    image = head((120, 100, 2) if axes == "in-plane" else (40, 70, 5), (1, 1, 4), np.float32, 1.0)
    whole = plan(image, Options(axes=axes, quality=quality))
    parts = whole.__class__(**{**whole.__dict__, "block": 4 * 120 * 20, "tile": 110 * 110})
    first, second = (enhancing.run(image, one, progress=False) for one in (whole, parts))
    for which in ("image", "zip", "added"):
        one, other = (np.asarray(getattr(result, which).dataobj) for result in (first, second))
        assert np.abs(one - other).max() < 1e-6 * np.abs(np.asarray(first.image.dataobj)).max()


WORK = {
    "fast": {"axes": "in-plane", "quality": "fast"},
    "standard": {"axes": "in-plane"},
    "denoise": {"task": "denoise"},
    "thin-slices": {"task": "thin-slices"},
    "segment": {"task": "segment"},
}


@pytest.mark.parametrize("work", WORK)
def test_the_engine_that_is_named_is_the_one_that_ran(monkeypatch, work):
    """Whatever engines there are here: the provenance speaks of the one that the work used."""
    get, used = pretrained.network, []

    def network(*arguments, **options):
        used.append(get(*arguments, **options))
        return used[-1]

    monkeypatch.setattr(pretrained, "network", network)
    image = head((20, 24, 5), (1, 1, 4))
    result = enhancing.run(image, plan(image, Options(**WORK[work])), progress=False)
    assert [one.name for one in used] == [result.provenance["engine"]]


@pytest.mark.parametrize("quality", ["fast", "standard"])
def test_the_same_bytes_again_and_block_by_block(quality):
    image = head((130, 150, 7), dtype=np.float32)
    whole = plan(image, Options(axes="in-plane", quality=quality))
    one, again, parts = (
        np.asarray(enhancing.run(image, each, progress=False).image.dataobj)
        for each in (whole, whole, replace(whole, block=1))
    )
    assert np.array_equal(one, again)
    assert np.array_equal(one, parts)


def test_tiles_do_go_through_one_by_one():
    seen = []

    def network(batch):
        seen.append(batch.shape)
        return batch[..., :1].repeat(2, 1).repeat(2, 2)

    batch = np.random.default_rng(0).random((2, 130, 150, 2), np.float32)
    out = tiles.tiled(network, 100 * 100)(batch)
    assert len(seen) > 8
    assert max(h * w for _, h, w, _ in seen) <= 100 * 100
    assert np.array_equal(out, batch[..., :1].repeat(2, 1).repeat(2, 2))


def test_a_spool_reads_like_an_array():
    values = np.random.default_rng(0).random((3, 4, 5), np.float32)
    for axes in itertools.permutations(range(3)):
        spooled = spool.Spool(values.shape, axes)
        stack = values.transpose(axes)
        spooled.write(0, stack[:1])
        spooled.write(1, stack[1:])
        for key in (
            np.s_[...],
            np.s_[1],
            np.s_[..., 2:4],
            np.s_[:, 1, ::2],
            np.s_[-1, -2, -3],
            np.s_[2:0:-1, :, 3],
            np.s_[1:1],
        ):
            assert np.array_equal(spooled[key], values[key])
        assert np.array_equal(np.asarray(spooled), values)
        spooled.write_rows(1, -stack[:, 1:3])
        assert np.array_equal(spooled[()].transpose(axes)[:, 1:3], -stack[:, 1:3])


def test_a_lower_limit_of_memory_means_smaller_parts():
    image = nibabel.Nifti1Image(np.zeros((300, 300, 60), np.int16), np.eye(4))
    usual = plan(image, Options(axes="in-plane"))
    less = plan(image, Options(axes="in-plane", max_memory=usual.memory - (100 << 20)))
    assert less.block < usual.block
    assert less.tile < usual.tile


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.uint16, np.int32, np.float32, np.float64, ">i2"])
@pytest.mark.parametrize(("slope", "inter"), [(1, 0), (0.5, -100)])
def test_type_and_scale_are_kept(tmp_path, idle, dtype, slope, inter):
    kind = np.dtype(dtype)
    if kind.kind == "f":
        slope, inter = 1, 0
    image = head(dtype=dtype, peak=100 if kind.itemsize == 1 else 3000)
    header = image.header.as_byteswapped(">") if kind.byteorder == ">" else image.header
    scan = save(nibabel.Nifti1Image(image.dataobj, image.affine, header), tmp_path / "in.nii")
    content = bytearray(scan.read_bytes())
    content[112:120] = np.array([slope, inter], ">f4" if kind.byteorder == ">" else "<f4").tobytes()
    scan.write_bytes(content)
    source = scansource.read(scan)
    result = enhancing.run(source.image, plan(source.image, Options(axes="in-plane")), progress=False)
    outputs.write(result, source, tmp_path / "out.nii")
    written = nibabel.load(tmp_path / "out.nii")
    truth = np.asarray(result.image.dataobj)
    scale = written.dataobj.slope
    if kind.itemsize == 1 and (truth.min() < inter or truth.max() > inter + 255 * slope):
        kind = np.dtype(np.int16)  # 8 bits cannot hold what is added
    assert written.get_data_dtype() == kind
    if kind != np.uint16:  # which has no room below 0
        assert (scale, written.dataobj.inter) == (slope, inter)
    step = 0 if kind.kind == "f" else scale
    assert np.abs(written.get_fdata() - truth).max() <= 0.51 * step + 1e-6 * np.abs(truth).max()


@pytest.mark.parametrize("low_high", [(0, 65535), (-40000, 40000), (-1, 3), (0, 0)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_nothing_wraps(dtype, low_high):
    stored = storing.fitting(storing.Stored(np.dtype(dtype)), *low_high)
    values = np.linspace(*low_high, 1001)
    back = storing.numbers(values, stored).astype(float) * stored.slope + stored.inter
    assert np.abs(back - values).max() <= max(0.51, (low_high[1] - low_high[0]) / 65000)


def test_what_is_written_beside(tmp_path, invoke):
    image = head()
    image.header["descrip"] = b"a spin echo"
    scan = save(image, tmp_path / "in.nii.gz")
    before = hashlib.sha256(scan.read_bytes()).hexdigest()
    done = invoke(scan, tmp_path / "new" / "out.nii.gz", "--quality", "fast", "--stamp")
    assert done.exit_code in (0, 3), done.output
    folder = tmp_path / "new"
    rows = list(csv.DictReader((folder / "outputs.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t"))
    assert [row["path"] for row in rows] == ["out.nii.gz", "out_desc-added.nii.gz", "out_desc-zip.nii.gz"]
    for row in rows:
        content = (folder / row["path"]).read_bytes()
        assert (row["sha256"], int(row["bytes"])) == (hashlib.sha256(content).hexdigest(), len(content))
    assert sorted(path.name for path in folder.iterdir()) == sorted([*(row["path"] for row in rows), "outputs.tsv"])
    assert hashlib.sha256(scan.read_bytes()).hexdigest() == before
    written = nibabel.load(folder / "out.nii.gz")
    about = json.loads(written.header.extensions[0].get_content())["medsr"]
    assert about["network"] == "espcn-x2"
    assert about["checksum"] == pretrained.card("espcn-x2").files["espcn-x2.onnx"]
    assert about["engine"]
    assert about["original_description"] == "a spin echo"
    assert b"espcn-x2" in bytes(written.header["descrip"].item())
    fine, plain, added = (
        nibabel.load(folder / f"out{part}.nii.gz").get_fdata() for part in ("", "_desc-zip", "_desc-added")
    )
    differ = np.abs(fine - plain - added) > 1.5
    assert 0 < differ.mean() < 0.05  # the stamp's letters, and nothing else
    assert set(np.unique(fine[differ])) == {fine.max()}


def test_without_a_stamp_the_parts_add_up(tmp_path, invoke):
    scan = save(head(), tmp_path / "in.nii")
    assert invoke(scan, tmp_path / "out.nii", "--quality", "fast").exit_code in (0, 3)
    fine, plain, added = (
        nibabel.load(tmp_path / f"out{part}.nii").get_fdata() for part in ("", "_desc-zip", "_desc-added")
    )
    assert np.abs(fine - plain - added).max() <= 1


def test_nothing_is_replaced_unless_asked(tmp_path, invoke, idle):
    scan = save(head(), tmp_path / "in.nii")
    (tmp_path / "out_desc-zip.nii").write_text("mine")
    done = invoke(scan, tmp_path / "out.nii")
    assert isinstance(done.exception, CourseError)
    assert "--force" in str(done.exception)
    assert not (tmp_path / "out.nii").exists()
    assert (tmp_path / "out_desc-zip.nii").read_text() == "mine"
    assert invoke(scan, tmp_path / "out.nii", "--force").exit_code in (0, 3)
    assert nibabel.load(tmp_path / "out_desc-zip.nii").shape == (40, 48, 6)
    done = invoke(scan, scan, "--force")
    assert "the scan itself" in str(done.exception)


def test_a_dry_run_writes_nothing(tmp_path, invoke):
    scan = save(head(), tmp_path / "in.nii")
    done = invoke(scan, tmp_path / "out.nii", "--dry-run")
    assert "40 × 48 × 6 voxels of 0.5 × 0.5 × 1.2 mm" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["in.nii"]


def test_a_full_disk_is_found_before_the_work(tmp_path, invoke, monkeypatch):
    import shutil

    scan = save(head(), tmp_path / "in.nii")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    monkeypatch.setattr(enhancing, "run", lambda *_, **__: pytest.fail("it began"))
    assert "disk" in str(invoke(scan, tmp_path / "out.nii").exception)


def odd(kind):
    image = head()
    values = np.asarray(image.dataobj)
    if kind == "4-D":
        return nibabel.Nifti1Image(np.stack([values] * 2, -1), image.affine)
    if kind == "complex":
        return nibabel.Nifti1Image(values.astype(np.complex64), image.affine)
    if kind == "colour":
        return nibabel.Nifti1Image(np.zeros(values.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")]), image.affine)
    return nibabel.Nifti1Image(values[:, :1, :1], image.affine)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("4-D", "save the one you want"), ("complex", "magnitude"), ("colour", "colours"), ("line", "line of voxels")],
)
def test_what_is_refused_in_one_line(tmp_path, monkeypatch, capsys, kind, words):
    scan = save(odd(kind), tmp_path / "in.nii")
    monkeypatch.setattr(sys, "argv", ["medsr", "enhance", str(scan), str(tmp_path / "out.nii"), "--axes", "in-plane"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code in (1, 4)
    assert words in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out.nii").exists()


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 1), (1, 20, 24), (2, 3, 4), (40, 2, 3)])
def test_small_ones_are_taken(tmp_path, shape):
    image = head((*shape, 1)[:3])
    values = np.asarray(image.dataobj).reshape(shape)
    scan = save(nibabel.Nifti1Image(values, image.affine), tmp_path / "in.nii")
    source = scansource.read(scan)
    result = enhancing.run(source.image, plan(source.image, Options(axes="in-plane", quality="fast")), progress=False)
    outputs.write(result, source, tmp_path / "out.nii")
    assert np.isfinite(nibabel.load(tmp_path / "out.nii").get_fdata()).all()


def test_nothing_in_nothing_out_and_nan(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((8, 8, 4), np.float32), np.eye(4))
    assert not np.asarray(pipeline.enhance(image).dataobj).any()
    image = head(dtype=np.float32)
    image.dataobj[:4] = np.nan
    source = scansource.read(save(image, tmp_path / "in.nii"))
    assert source.notes == ("576 voxels are NaN or infinite: read as 0",)
    with pytest.raises(ValueError, match="NaN"):
        pipeline.enhance(image, axes="in-plane")


@pytest.mark.parametrize("ending", ["raw", "gzip"])
@pytest.mark.parametrize("space", ["left-posterior-superior", "RAS"])
def test_nrrd(tmp_path, ending, space):
    import zlib

    values = (np.arange(4 * 5 * 6).reshape(4, 5, 6) * 3).astype(">i2")
    text = f"NRRD0004\n# a comment: here\ntype: short\ndimension: 3\nspace: {space}\nsizes: 4 5 6\n" + (
        "space directions: (0.5,0.1,0) (0,-0.75,0) (0,0,3)\nkinds: domain domain domain\nendian: big\n"
        f"encoding: {ending}\nspace origin: (-10,20,30)\n\n"
    )
    raw = values.tobytes(order="F")
    packer = zlib.compressobj(wbits=31)
    content = packer.compress(raw) + packer.flush() if ending == "gzip" else raw
    (tmp_path / "in.nrrd").write_bytes(text.encode() + content)
    source = scansource.read(tmp_path / "in.nrrd")
    assert (source.kind, source.stored.dtype) == ("nrrd", np.int16)
    assert np.array_equal(np.asarray(source.image.dataobj), values)
    indices = [(0, 0, 0), (3, 4, 5)]
    ours = nibabel.affines.apply_affine(source.image.affine, indices)
    if space == "RAS":
        assert np.allclose(ours[1], [-10 + 1.5, 20 + 0.3 - 3, 30 + 15])
    else:
        assert np.abs(ours - places(tmp_path / "in.nrrd", indices)).max() < 1e-4
    (tmp_path / "in.nrrd").write_bytes((text.encode() + content)[:-9])
    with pytest.raises(CourseError):
        scansource.read(tmp_path / "in.nrrd")


def test_an_archive_leads_nowhere(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("../../evil", b"x" * 100)
    with pytest.raises(CourseError):
        scansource.read(tmp_path / "in.zip")
    assert not list(tmp_path.parent.glob("evil"))
    (tmp_path / "in.zip").write_bytes(b"PK\3\4 no")
    with pytest.raises(CourseError, match="no archive"):
        scansource.read(tmp_path / "in.zip")


def test_without_tensorflow(tmp_path):
    """The core install has neither TensorFlow nor Keras."""
    scan = save(head(), tmp_path / "in.nii.gz")
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'SimpleITK', 'torch', 'jax')))\n"
        f"sys.argv = ['medsr', 'enhance', {str(scan)!r}, {str(tmp_path / 'out.nii.gz')!r}]\n"
        "sys.argv += ['--quality', 'fast', '--force']\n"
        "from medsr_course.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert (tmp_path / "out.nii.gz").exists()


@pytest.mark.parametrize(("text", "size"), [("2G", 2 << 30), ("800 MiB", 800 << 20), ("1.5g", 3 << 29), ("1024", 1024)])
def test_bytes_in_words(text, size):
    from medsr_course.commands import enhance

    assert enhance.size(text) == size


def test_the_scale_is_that_of_the_whole_scan(monkeypatch):
    """Of a very large scan, evenly spread slices tell the intensity scale."""
    monkeypatch.setattr(enhancing, "MOST_MEASURED", 20 * 24 * 4)
    image = head((20, 24, 16))
    stack = np.asarray(image.dataobj).T.astype(np.float32)
    assert grid.intensity(enhancing._measured(stack))[1] == pytest.approx(grid.intensity(stack)[1], rel=0.1)
    assert len(enhancing._measured(stack)) == 4
