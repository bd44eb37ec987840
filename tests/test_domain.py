"""The judge of scans: what is refused or treated with caution, in words; interpolated axes; one policy a batch."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from medsr_course.physics import bands, coils, grid, likeness
from medsr_course.runtime import CourseError
from medsr_course.scans import datasets, domain, volumes
from medsr_course.scans.domain import header

STATUS = {"in domain": 0, "caution": 3, "refused": 4}


@pytest.fixture(scope="module")
def head():
    """A synthetic T1w head with skin and noise in its air."""
    image = datasets.load("cohort")["sub-0000"].contrasts["T1w"]
    return volumes.make_image(np.asarray(image.dataobj, np.float32), image.affine, like=image)


def judge(data, affine=None, *, task="super-resolution", **about):
    image = data if hasattr(data, "affine") else nib.Nifti1Image(data, np.eye(4) if affine is None else affine)
    found = domain.judge(image, task=task, **about)
    assert found.exit_code == STATUS[found.status]
    for reason in found.reasons:
        assert reason.status in ("note", "caution", "refused")
        assert reason.words.endswith(".")
        assert ". " not in reason.words
        assert len(reason.words.split()) < 32
    grave = {reason.status for reason in found.reasons} - {"note"}
    assert found.status == ("refused" if "refused" in grave else "caution" if grave else "in domain")
    return found, {reason.code: reason.status for reason in found.reasons}


def like(head, data):
    return nib.Nifti1Image(np.asarray(data, np.float32), head.affine, head.header)


def test_a_head_is_in_domain(head):
    before = np.array(head.dataobj)
    about = {"MagneticFieldStrength": 3, "BodyPartExamined": "HEAD"}
    found, codes = judge(head, name="sub-01_T1w.nii.gz", sidecar=about)
    assert found.status == "in domain", codes
    assert codes == {"face": "note"}
    assert found.measured["contrast"] == "T1w"
    assert found.measured["noise"] == "rician"
    assert found.measured["distance"] < found.measured["limit"]
    assert np.array_equal(before, head.dataobj)


def phase(shape, rng):
    """A phase map: a wrapped slope in the head, noise in the air."""
    x, y, _ = np.indices(shape)
    wrapped = np.angle(np.exp(1j * (0.2 * x + 0.1 * y)))
    inside = np.hypot(x - shape[0] / 2, y - shape[1] / 2) < shape[0] / 3
    return np.where(inside, wrapped, rng.uniform(-np.pi, np.pi, shape)).astype(np.float32)


def labels(shape, rng, dtype=np.int16):
    return np.digitize(ndimage.gaussian_filter(rng.random(shape), 4), [0.49, 0.5, 0.51]).astype(dtype)


def disc(shape):
    x, y, _ = np.indices(shape)
    return np.hypot(x - shape[0] / 2, y - shape[1] / 2) < shape[0] / 3


def ct(shape, rng):
    soft = ndimage.gaussian_filter(np.where(disc(shape), 1040.0, 0), (1, 1, 0))
    return (soft - 1000).astype(np.int16) + rng.integers(-9, 10, shape, np.int16)


def fieldmap(shape, rng):
    return (disc(shape) * ndimage.gaussian_filter(rng.normal(0, 4000, shape), 6)).astype(np.float32)


def diffusivity(shape, rng):
    return (disc(shape) * rng.uniform(6e-4, 3e-3, shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("make", "task", "code", "status"),
    [
        (labels, "super-resolution", "labels", "refused"),
        (lambda s, r: labels(s, r, np.float32), "denoise", "labels", "refused"),
        (lambda s, r: disc(s).astype(np.uint8), "segment", "labels", "refused"),
        (phase, "super-resolution", "phase", "refused"),
        (lambda s, r: (phase(s, r) * 4095 / np.pi).astype(np.int16), "denoise", "phase", "refused"),
        (ct, "super-resolution", "ct", "caution"),
        (ct, "thin-slices", "ct", "caution"),
        (ct, "denoise", "ct", "refused"),
        (ct, "segment", "ct", "refused"),
        (fieldmap, "super-resolution", "signed", "caution"),
        (fieldmap, "denoise", "signed", "refused"),
        (diffusivity, "super-resolution", "quantitative", "refused"),
        (lambda s, r: np.zeros(s, np.float32), "super-resolution", "empty", "refused"),
        (lambda s, r: np.full(s, 7, np.int16), "denoise", "empty", "refused"),
        (lambda s, r: np.abs(coils.complex_noise(s, r)), "super-resolution", "unlike-heads", "caution"),
        (lambda s, r: np.full(s, np.nan, np.float32), "super-resolution", "not-finite", "refused"),
        (lambda s, r: np.where(disc(s), np.inf, 1).astype(np.float32), "super-resolution", "not-finite", "refused"),
        (lambda s, r: r.random((*s, 6), np.float32), "super-resolution", "several-volumes", "refused"),
        (lambda s, r: np.zeros(s, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "super-resolution", "colour", "refused"),
        (lambda s, r: r.integers(0, 255, (*s, 3), np.uint8), "super-resolution", "colour", "refused"),
        (lambda s, r: coils.complex_noise(s, r).astype(np.complex64), "super-resolution", "complex", "refused"),
    ],
)  # fmt: skip
def test_what_the_values_are(make, task, code, status):
    _, codes = judge(make((72, 72, 12), np.random.default_rng(0)), np.diag([2, 2, 4, 1]), task=task)
    assert codes[code] == status


@pytest.mark.parametrize(
    ("name", "sidecar", "task", "code", "status"),
    [
        ("sub-1_desc-medsr_T1w.nii.gz", {}, "super-resolution", "enhanced", "refused"),
        ("sub-1_desc-zip_T1w.nii.gz", {}, "denoise", "enhanced", "refused"),
        ("x.nii", {"ImageType": ["DERIVED", "SECONDARY", "M", "MEDSR"]}, "super-resolution", "enhanced", "refused"),
        ("x.nii", {"GeneratedBy": [{"Name": "medsr"}]}, "super-resolution", "enhanced", "refused"),
        ("x.nii", {"ImageType": ["DERIVED", "PRIMARY", "MPR"]}, "super-resolution", "derived", "caution"),
        ("x.nii", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "super-resolution", "phase", "refused"),
        ("sub-1_part-phase_bold.nii.gz", {}, "super-resolution", "phase", "refused"),
        ("sub-1_T1map.nii.gz", {}, "super-resolution", "quantitative", "refused"),
        ("sub-1_fieldmap.nii.gz", {}, "denoise", "quantitative", "refused"),
        ("x.nii", {"Units": "Hz"}, "super-resolution", "quantitative", "refused"),
        ("x.nii", {"ImageType": "DERIVED\\PRIMARY\\DIFFUSION\\ADC"}, "super-resolution", "quantitative", "refused"),
        ("sub-1_bold.nii.gz", {}, "super-resolution", "contrast", "caution"),
        ("sub-1_FLAIR.nii.gz", {}, "segment", "contrast", "refused"),
        ("x.nii", {"Modality": "PT"}, "super-resolution", "modality", "refused"),
        ("x.nii", {"Modality": "CT"}, "super-resolution", "ct", "caution"),
        ("x.nii", {"BodyPartExamined": "KNEE"}, "super-resolution", "body-part", "caution"),
        ("x.nii", {"MagneticFieldStrength": "0.055"}, "super-resolution", "field-strength", "caution"),
        ("x.nii", {"MagneticFieldStrength": 7}, "super-resolution", "field-strength", "caution"),
    ],
)  # fmt: skip
def test_what_header_and_name_say(name, sidecar, task, code, status):
    found = header.findings(np.array([1, 1, 3.0]), sidecar, name, task, "", 2)
    assert {reason.code: reason.status for reason in found}[code] == status


@pytest.mark.parametrize("place", ["descrip", "extension"])
def test_a_file_of_ours_says_so_itself(place):
    image = nib.Nifti1Image(np.random.default_rng(0).random((40, 40, 6), np.float32), np.diag([1, 1, 3, 1]))
    assert "enhanced" not in judge(image)[1]
    if place == "descrip":
        image.header["descrip"] = b"medsr-course 0.2 super-resolution"
    else:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b'{"medsr": {}}'))
    assert judge(image)[1]["enhanced"] == "refused"


@pytest.mark.parametrize(
    ("sizes", "across", "code"),
    [((3, 3, 3), 2, "voxel-size"), ((0.1, 0.1, 1), 2, "voxel-size"), ((0.8, 1.6, 3), 2, "voxel-size"),
     ((1, 1, 7), 2, "thick-slices"), ((6.5, 1, 1), 0, "thick-slices")],
)  # fmt: skip
def test_what_voxel_sizes_say(sizes, across, code):
    assert [one.code for one in header.findings(np.array(sizes), {}, "x.nii", "denoise", "", across)] == [code]
    assert not list(header.findings(np.array([0.9, 0.9, 1.0]), {}, "sub-1_T2w.nii", "denoise", "", 2))


@pytest.mark.parametrize(
    ("times", "expected"),
    [((0.5, 0.01, None), "T1w"), ((2.3, 0.003, 0.9), "T1w"), ((9, 0.12, 2.5), "FLAIR"), ((9000, 120, 2500), "FLAIR"),
     ((4, 0.1, None), "T2w"), ((3, 0.02, None), "PDw"), ((None, None, None), "unknown")],
)  # fmt: skip
def test_contrast_from_timing(times, expected):
    keys = ("RepetitionTime", "EchoTime", "InversionTime")
    assert header.contrast({k: v for k, v in zip(keys, times, strict=True) if v}, "scan.nii.gz") == expected


def test_noise_is_unknown_or_too_much_never_nothing(head):
    data = np.asarray(head.dataobj)
    bright = ndimage.binary_fill_holes(ndimage.gaussian_filter(data, 1) > 0.25 * np.percentile(data, 99.5))
    smooth = ndimage.gaussian_filter(data, 1.2) * bright
    found, codes = judge(like(head, smooth), name="x_T1w.nii", task="denoise")
    assert codes["noise"] == "caution"
    assert found.measured["noise_percent"] is None or found.measured["noise"] == "unknown"
    loud = np.abs(data + 0.12 * np.percentile(data, 99.5) * coils.complex_noise(data.shape, np.random.default_rng(0)))
    assert "more than the 8 %" in next(r.words for r in judge(like(head, loud))[0].reasons if r.code == "noise")


def native(head, axis, n=3):
    """Planes (n, along, across), complex, on half the grid."""
    data = np.asarray(head.dataobj, np.float32)
    planes = likeness.middle(data, 0 if axis == 2 else 2, n)
    planes = planes if axis == 0 else planes.swapaxes(1, 2)
    z = coils.object_of(planes, "native")
    z = grid.crop_axis(z, z.shape[1] // 4 * 2, 1)
    return z + 0.01 * np.percentile(planes, 99.5) * coils.complex_noise(z.shape, np.random.default_rng(axis))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_interpolated_axis_is_found_and_a_native_one_is_not(head, axis):
    z = native(head, axis)
    n = z.shape[1]
    plain = np.abs(z)

    def told(planes):
        inside = bands.inside(planes, grid.intensity(planes)[1])
        return bands.filled(planes, inside), bands.resliced(planes, inside)

    assert told(plain) == (1.0, False)
    for zoom in (1.25, 1.5, 2):
        part, between = told(np.abs(grid.pad_axis(z, round(n * zoom), 1)))
        assert part == pytest.approx(1 / zoom, abs=0.04)
        assert not between
        places = np.arange(int((n - 1) * zoom) + 1) / zoom
        linear = ndimage.map_coordinates(
            plain, np.stack(np.meshgrid(range(len(z)), places, range(z.shape[2]), indexing="ij")), order=1
        )
        assert told(linear)[1]
    # A filter of the raw data alone leaves no floor.
    taper = np.hanning(n + 2)[1:-1] * 0.9 + 0.1
    filtered = np.fft.ifft(np.fft.fft(z, axis=1) * np.fft.ifftshift(taper)[None, :, None], axis=1)
    assert told(np.abs(filtered)) == (1.0, False)


def test_an_interpolated_axis_is_a_reason_where_it_is_made_finer(head):
    data = np.asarray(head.dataobj, np.float32)
    coarse = grid.crop_axis(data.astype(complex), data.shape[2] // 4 * 2, 2)
    stretched = like(head, np.abs(grid.pad_axis(coarse, data.shape[2], 2)))
    found, codes = judge(stretched, name="x_T1w.nii", axes="in-plane")
    assert codes["interpolated-z"] == "note"
    assert "head-foot" in next(r.words for r in found.reasons if r.code == "interpolated-z")
    assert judge(stretched, name="x_T1w.nii", axes="through-plane")[1]["interpolated-z"] == "caution"


def test_a_face_is_mentioned_and_its_absence_is_not(head):
    data = np.array(head.dataobj)
    sizes = volumes.voxel_sizes(head)
    assert likeness.face(data, sizes)
    defaced = data.copy()
    defaced[:, data.shape[1] // 2 :, : data.shape[2] // 3] = 0
    assert not likeness.face(defaced, sizes)
    assert not likeness.face(data[:, :, data.shape[2] // 2 :], sizes)  # cropped above the nose
    assert not likeness.face(np.zeros_like(data), sizes)


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 1), (64, 64, 2), (1, 1, 1), (5, 4, 3), (1, 64, 64), (300, 2, 2)])
def test_odd_shapes_are_judged_without_an_error(shape):
    _, codes = judge(np.random.default_rng(0).random(shape, np.float32) * 100, np.diag([1, 1, 3, 1]))
    assert codes
    assert judge(np.ones(shape, np.int16), np.diag([1, 1, 3, 1]), axes="through-plane")[0].status == "refused"


def test_few_slices_and_other_orientations(head):
    data = np.asarray(head.dataobj)
    middle = data.shape[2] // 2
    assert judge(like(head, data[:, :, middle : middle + 2]))[1]["few-slices"] == "caution"
    assert judge(like(head, data[:, :, middle : middle + 5]), axes="through-plane")[1]["few-slices"] == "refused"
    sagittal = nib.Nifti1Image(data[::4], head.affine @ np.diag([4, 1, 1, 1]), head.header)
    found, codes = judge(sagittal)
    assert codes["orientation"] == "caution"
    assert found.measured["slices"] == "sagittal"
    nowhere = nib.Nifti1Image(data, None)
    nowhere.header["sform_code"] = nowhere.header["qform_code"] = 0
    assert judge(nowhere)[1]["orientation-unknown"] == "caution"
    assert judge(nib.spatialimages.SpatialImage(data, np.zeros((4, 4))))[1]["affine"] == "caution"


def test_likeness_does_not_depend_on_unit_or_flips(head):
    stack = volumes.axial_slices(head, n=3)
    values = likeness.features(stack)
    assert values.shape == (len(likeness.FEATURES),)
    assert np.isfinite(values).all()
    assert likeness.features(1000 * stack) == pytest.approx(values, rel=1e-3)
    assert likeness.features(stack[:, ::-1]) == pytest.approx(values, rel=0.02, abs=0.02)
    assert likeness.features(np.zeros((2, 64, 64))) is None
    assert likeness.features(stack[:, :20, :20]) is None
    assert likeness.distance(values, values, np.eye(len(values))) == 0
    assert likeness.distance(values + 1, values, np.eye(len(values))) == pytest.approx(1)


def verdict(status):
    reasons = () if status == "in domain" else (domain.Reason("x", status, f"Because of {status}."),)
    return domain.Verdict(status, reasons)


def test_a_batch_is_treated_alike_or_not_at_all():
    verdicts = {"a": verdict("in domain"), "b": verdict("caution"), "c": verdict("in domain")}
    alike = domain.mixed(verdicts, dict.fromkeys("abc", "×2 in-plane"))
    assert not alike.stops
    assert alike.words == ""
    assert [one.treated for one in alike.decisions] == [True] * 3
    assert alike.decisions[1].why == "Because of caution."
    other = domain.mixed(verdicts, {"a": "×2 in-plane", "b": "×4 through-plane", "c": "×2 in-plane"})
    assert other.stops
    assert [one.name for one in other.odd] == ["b"]
    assert "b (×4 through-plane)" in other.words
    assert "--policy per-scan" in other.words
    each = domain.mixed(verdicts, {"a": "×2 in-plane", "b": "×4 through-plane", "c": ""}, "per-scan")
    assert not each.stops
    assert [one.treated for one in each.decisions] == [True, True, False]


def test_a_refused_scan_stops_a_uniform_batch():
    verdicts = {name: verdict("in domain") for name in "abcdefgh"} | {name: verdict("refused") for name in "stuvwxyz"}
    batch = domain.mixed(verdicts, dict.fromkeys(verdicts, "×2"))
    assert {one.name for one in batch.odd} == set("stuvwxyz")
    assert "and 3 more" in batch.words
    assert all(not one.treated and one.treatment == "not treated" for one in batch.odd)
    nobody = domain.mixed({"a": verdict("refused")}, {"a": "×2"})
    assert nobody.stops
    assert not domain.mixed({}, {}).stops
    draw = domain.mixed({"b": verdict("in domain"), "a": verdict("in domain")}, {"a": "×2", "b": "×4"})
    assert [one.name for one in draw.odd] == ["b"]
    with pytest.raises(CourseError, match="policy"):
        domain.mixed({}, {}, "mixed")
    with pytest.raises(CourseError, match="no treatment"):
        domain.mixed({"a": verdict("in domain")}, {})
