"""Raw k-space: every format read with its axes in their places, and what cannot be used refused in one line."""

import importlib
import importlib.util
import sys

import numpy as np
import pytest
from conftest import require
from scipy import io
from skimage.transform import resize

from medsr_course.physics.acquisition import from_kspace, to_kspace
from medsr_course.runtime import CourseError
from medsr_course.scans import catalogue, datasets, rawfiles
from medsr_course.scans.datasets import kspace as raw_datasets
from medsr_course.scans.datasets import real
from medsr_course.scans.scanfiles import ScanError

SLICES, COILS, READOUT, PHASE = 2, 3, 12, 10
REAL = pytest.mark.real


@pytest.fixture
def kspace():
    """(slices, coils, readout, phase), all different."""
    rng = np.random.default_rng(0)
    shape = SLICES, COILS, READOUT, PHASE
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


@pytest.fixture
def put(tmp_path):
    def write(name, array, **more):
        path = tmp_path / name
        if path.suffix == ".mat":
            io.savemat(path, {"ksp": array, **more})
        elif path.suffix == ".npz":
            np.savez(path, ksp=array, **more)
        else:
            np.save(path, array, allow_pickle=True)
        return path

    return write


def needed(name, reason):
    """A library of the extra ``raw``; skips where it is not installed."""
    require(name, importlib.util.find_spec(name), reason)
    return importlib.import_module(name)


def refuses(path, *words, **options):
    with pytest.raises(ScanError) as caught:
        rawfiles.read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message or "axes must be" in message
    for word in words:
        assert word in message, message


# -- arrays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["k.mat", "k.npy", "k.npz"])
def test_arrays_in_any_order_of_axes(name, put, kspace):
    path = put(name, kspace.transpose(2, 3, 0, 1))
    found = rawfiles.read(path, axes="readout phase slices coils")
    assert found.kspace.dtype == np.complex64
    assert np.array_equal(found.kspace[:, 0], kspace)
    assert found.sizes == {"slices": 2, "repetitions": 1, "coils": 3, "readout": 12, "phase": 10}
    assert np.array_equal(
        rawfiles.read(put(name, kspace[0, 0])).kspace[0, 0, 0], kspace[0, 0]
    )  # two axes need no names


def test_matlab_7_3(tmp_path, kspace, monkeypatch):
    h5py = needed("h5py", "MATLAB 7.3 is HDF5")
    path = tmp_path / "k.mat"
    pairs = np.empty(kspace.T.shape, [("real", np.float32), ("imag", np.float32)])  # as MATLAB does: axes backwards
    pairs["real"], pairs["imag"] = kspace.T.real, kspace.T.imag
    with h5py.File(path, "w", userblock_size=512) as file:
        file["ksp"] = pairs
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    found = rawfiles.read(path, axes=["slices", "coils", "readout", "phase"])
    assert np.array_equal(found.kspace[:, 0], kspace)
    monkeypatch.setitem(sys.modules, "h5py", None)
    refuses(path, "7.3", "medsr-course[raw]", "-v7")


def test_one_variable_among_several(put, kspace):
    path = put("k.mat", kspace[0, 0], noise=kspace[0, 1], mask=np.ones((12, 10)))
    refuses(path, "several", "ksp (12, 10)", "noise (12, 10)", "variable=")
    assert np.array_equal(rawfiles.read(path, variable="noise").kspace[0, 0, 0], kspace[0, 1])
    refuses(path, "no variable 'data'", variable="data")
    only = put("one.npz", kspace[0, 0], mask=np.ones((12, 10)))  # the only complex one
    assert np.array_equal(rawfiles.read(only).kspace[0, 0, 0], kspace[0, 0])


def test_axes_that_cannot_be(put, kspace):
    path = put("k.npy", kspace[0])
    refuses(path, "3 axes (3, 12, 10)", "axes='coils readout phase'")
    refuses(path, "2 were named", axes="coils readout")
    refuses(path, "12 coils", "3 × 10", "another axis", axes="readout coils phase")
    for wrong in ("coils readout time", "coils readout readout", "coils slices phase"):
        refuses(path, "axes must be different names", axes=wrong)


def test_numbers_that_are_no_k_space(put, kspace):
    refuses(put("a.npy", np.abs(kspace[0, 0])), "real numbers", "complex")
    refuses(put("b.npy", 0 * kspace[0, 0]), "nothing but zeros")
    refuses(put("c.npy", kspace[0, 0][:0]), "empty")
    broken = kspace[0, 0].copy()
    broken[3, 4] = np.nan
    path = put("d.npy", broken)
    refuses(path, "1 of 120", "fill=0")
    assert rawfiles.read(path, fill=0).kspace[0, 0, 0, 3, 4] == 0


@pytest.mark.parametrize("name", ["k.mat", "k.npy", "k.npz"])
def test_files_cut_short_and_files_of_another_kind(name, put, kspace, tmp_path):
    path = put(name, kspace)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"not what the name says" * 9):
        path.write_bytes(content)
        refuses(path, "damaged", axes="slices coils readout phase")
    path.write_bytes(b"")
    refuses(path, "is empty")
    path.unlink()
    refuses(path, "cannot be read")


def test_pickles_are_not_opened(put):
    refuses(put("k.npy", np.array([{"a": 1}, None], object)), "damaged or no NumPy file")


def test_a_name_that_says_nothing(tmp_path):
    refuses(tmp_path / "k.raw", ".mat", ".dat", "which format")


# -- the type --------------------------------------------------------------------------------------


def test_the_transform_is_stated_and_the_other_one_turns_the_image(kspace):
    image = from_kspace(kspace)
    right = rawfiles.RawData(to_kspace(image)[:, None]).images()[:, 0]
    assert np.allclose(right, image, atol=1e-5)
    other = rawfiles.RawData(to_kspace(image)[:, None], transform="fft2").images()[:, 0]
    assert np.allclose(other[..., 1:, 1:], image[..., :0:-1, :0:-1], atol=1e-5)  # by 180°, sample 0 aside
    with pytest.raises(ScanError, match="ifft2 or fft2"):
        rawfiles.RawData(kspace[:, None], transform="fft")
    with pytest.raises(ScanError, match="4 axes, not 5"):
        rawfiles.RawData(kspace)


@pytest.mark.parametrize("transform", ["ifft2", "fft2"])
def test_oversampling_is_cut_off_in_the_image(transform, kspace):
    image = np.zeros((1, 1, 1, 24, PHASE), np.complex64)
    image[..., 6:18, :] = from_kspace(kspace[:1, None, :1])
    back = {"ifft2": to_kspace, "fft2": from_kspace}[transform]
    scan = rawfiles.RawData(back(image).astype(np.complex64), transform, oversampling=2)
    assert np.allclose(scan.images(), image[..., 6:18, :], atol=1e-6)
    less = scan.without_oversampling()
    assert less.kspace.shape[-2:] == (12, PHASE)
    assert np.allclose(less.images(), scan.images(), atol=1e-6)


def test_what_was_measured(kspace):
    kspace[..., ::2] = 0
    measured = rawfiles.RawData(kspace[:, None]).measured
    assert measured.shape == (READOUT, PHASE)
    assert measured[:, 1::2].all()
    assert not measured[:, ::2].any()


# -- scanners' formats -----------------------------------------------------------------------------


HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <experimentalConditions><H1resonanceFrequency_Hz>128000000</H1resonanceFrequency_Hz></experimentalConditions>
  <encoding>
    <encodedSpace><matrixSize><x>{nx}</x><y>{ny}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>480</x><y>200</y><z>5</z></fieldOfView_mm></encodedSpace>
    <reconSpace><matrixSize><x>{half}</x><y>{ny}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>240</x><y>200</y><z>5</z></fieldOfView_mm></reconSpace>
    <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{last}</maximum><center>{middle}</center>
      </kspace_encoding_step_1></encodingLimits>
    <trajectory>cartesian</trajectory>
  </encoding>
</ismrmrdHeader>"""


@pytest.fixture
def mrd(tmp_path):
    """Writes an ISMRMRD file with the format's own library: (slices, repetitions, coils, readout, phase), its lines."""
    ismrmrd = needed("ismrmrd", "the library of the format writes the test file")

    def write(kspace, *, columns=None, samples=slice(None), averages=1, **flags):
        _, _, coils, nx, ny = kspace.shape
        header = HEADER.format(nx=nx, ny=ny, half=nx // 2, last=ny - 1, middle=ny // 2)
        path = tmp_path / "scan.h5"
        path.unlink(missing_ok=True)
        with ismrmrd.Dataset(str(path), "dataset") as file:
            file.write_xml_header(header.encode())
            for s, r in np.ndindex(kspace.shape[:2]):
                for column in range(ny) if columns is None else columns:
                    for average in range(averages):
                        data = np.ascontiguousarray(kspace[s, r, :, samples, column])
                        line = ismrmrd.Acquisition.from_array(data.astype(np.complex64))
                        line.center_sample = nx // 2 - (samples.start or 0)
                        line.idx.slice, line.idx.repetition, line.idx.average = s, r, average
                        line.idx.kspace_encode_step_1 = column
                        for flag in flags.get("flag", ()):
                            line.set_flag(getattr(ismrmrd, flag))
                        file.append_acquisition(line)
        return path

    return write


def test_ismrmrd(mrd, kspace):
    whole = kspace[:, None] * np.array([1, 2])[:, None, None, None]
    found = rawfiles.read(mrd(whole))
    assert np.allclose(found.kspace, whole)
    assert found.oversampling == 2
    assert found.spacing == (40, 20)
    assert found.images().shape == (2, 2, 3, 6, 10)


def test_ismrmrd_places_partial_lines_and_averages(mrd, kspace):
    found = rawfiles.read(mrd(kspace[:1, None], columns=range(4, 10), samples=slice(3, None), averages=2))
    assert np.allclose(found.kspace[0, 0, :, 3:, 4:], kspace[0, :, 3:, 4:])
    assert not found.measured[:3].any()
    assert not found.measured[:, :4].any()


def test_ismrmrd_that_cannot_be_used(mrd, kspace, monkeypatch):
    refuses(mrd(kspace[:1, None], flag=["ACQ_IS_REVERSE"]), "EPI")
    refuses(mrd(kspace[:1, None], flag=["ACQ_IS_NOISE_MEASUREMENT"]), "no line of an image")
    path = mrd(kspace[:1, None])
    refuses(path, "names its axes itself", axes="readout phase")
    path.write_bytes(path.read_bytes()[:3000])
    refuses(path, "damaged or no ISMRMRD file")
    monkeypatch.setitem(sys.modules, "ismrmrd", None)
    refuses(path, "medsr-course[raw]")


def test_a_file_that_is_no_siemens_file(tmp_path, monkeypatch):
    needed("twixtools", "reads Siemens raw data")
    path = tmp_path / "meas.dat"
    for content in (b"\0" * 20_000, b"what is this" * 500):
        path.write_bytes(content)
        refuses(path, "damaged or no Siemens raw data")
    monkeypatch.setitem(sys.modules, "twixtools", None)
    refuses(path, "medsr-course[raw]")


# -- data sets -------------------------------------------------------------------------------------


def test_what_is_not_here_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    monkeypatch.setattr(real, "real_folder", lambda: None)
    with pytest.raises(CourseError, match="medsr data get low-field-heads"):
        datasets.low_field_heads()
    with pytest.raises(CourseError, match="medsr data get brain-8-coils"):
        datasets.raw("brain-8-coils")
    with pytest.raises(CourseError, match="choose one of"):
        datasets.raw("brain")
    assert datasets.repetitions() == {}
    assert {raw_datasets.LOW_FIELD, "brain-8-coils", "phantom-2-coils"} <= set(catalogue.entries())


def test_downloads_are_found_where_the_catalogue_puts_them(tmp_path, monkeypatch, kspace):
    import tarfile

    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(real, "real_folder", lambda: None)
    item = catalogue.entry("brain-8-coils")
    item.path.parent.mkdir(parents=True)
    np.save(item.path, kspace[0])
    assert np.array_equal(datasets.raw("brain-8-coils").kspace[0, 0], kspace[0])
    item = catalogue.entry(raw_datasets.LOW_FIELD)
    item.path.parent.mkdir(parents=True)
    with tarfile.open(item.path, "w:gz") as archive:
        for figure in ("6A", "6B", "7A", "7B"):
            folder = f"scanner-1/Data for Figures in the Manuscript/Figure {figure}"
            for sequence in ("GRE", "FSE", "FLAIR"):
                _add(
                    archive,
                    f"{folder}/0.055T/0.055T_{sequence}_kspace_postEMI.mat",
                    kspace[0].transpose(1, 2, 0),
                    tmp_path,
                )
            for contrast in ("T1w", "T2w", "FLAIR"):
                _add(archive, f"{folder}/3T/3T_{contrast}.mat", np.abs(kspace[1]).transpose(1, 2, 0), tmp_path)
    head = datasets.low_field_heads()[3]
    assert (head.id, head.split) == ("ulf-sub04", "test")
    assert np.array_equal(head.raw("T2w").kspace[:, 0, 0], kspace[0])
    assert np.allclose(head.partner("FLAIR"), np.abs(kspace[1]))


def _add(archive, name, array, folder):
    io.savemat(folder / "one.mat", {"data": array})
    archive.add(folder / "one.mat", name)


@REAL
def test_low_field_heads_and_their_partners():
    require("real", real.beside("lowfield", "ulf-sub01*"), "no low-field scans beside the real ones")
    heads = datasets.low_field_heads()
    assert [head.split for head in heads] == ["train", "train", "train", "test"]
    scan = heads[0].raw("T2w")
    assert scan.sizes == {"slices": 4, "repetitions": 1, "coils": 1, "readout": 128, "phase": 126}
    image, partner = _head(np.abs(scan.images()[1, 0, 0])), _head(heads[0].partner("T2w")[1])
    # The tumour of this patient lies on one side; ifft2 puts it on the other, and turns the head upside down.
    turned = _head(np.abs(rawfiles.RawData(scan.kspace, "ifft2").images()[1, 0, 0]))
    likeness = [np.corrcoef(one.ravel(), partner.ravel())[0, 1] for one in (image, image[:, ::-1], turned)]
    assert likeness[0] > max(likeness[1:]) + 0.02


def _head(image):
    """The rectangle around a head on a grid of 64 × 64."""
    inside = image > 0.15 * np.percentile(image, 99)
    rows, columns = (np.flatnonzero(inside.mean(axis=axis) > 0.1) for axis in (1, 0))
    cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return resize(cut / np.percentile(cut, 99), (64, 64), anti_aliasing=True)


@REAL
def test_scanners_files():
    require("real", real.beside("kspace", "mc-*"), "no raw data beside the real scans")
    needed("twixtools", "reads Siemens raw data")
    phantom = datasets.raw("phantom-2-coils")
    assert phantom.sizes == {"slices": 1, "repetitions": 1, "coils": 2, "readout": 320, "phase": 160}
    assert (phantom.oversampling, phantom.spacing) == (2, (1.25, 1.25))
    assert phantom.images().shape[-2:] == (160, 160)
    brain = datasets.raw("brain-8-coils")
    assert brain.sizes["coils"] == 8
    assert 0.12 < brain.measured.mean() < 0.13
    rest = datasets.repetitions()
    assert rest["shield"].shape == (2, 4, 128, 117)
