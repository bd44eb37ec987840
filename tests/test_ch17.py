"""Chapter 17: its definitions against the package, its invariants each with something wrong; exercises; layout."""

import hashlib
import hmac
import zipfile

import numpy as np
import pydicom
import pytest
from conftest import exercises_of, quiz_numbers, require, taught
from pydicom.pixels import apply_color_lut
from scipy import ndimage, optimize, stats

from medsr_course import resources, runtime
from medsr_course.scans import burnt, datasets, defacing, deidentify, scanfiles, specimens, stamping, volumes
from medsr_course.scans.phantom import faces
from medsr_course.tasks import planting, privacy
from medsr_course.teaching import claims

NOTEBOOK = resources.checkout() / "notebooks" / "17_privacy_and_sharing.ipynb"
WANTED = {"my_new_uid", "my_kept", "my_depth", "averaged", "my_fedavg", "my_delta", "my_noise", "features", "filtered"}
KEY = b"a secret"


@pytest.fixture(scope="module")
def chapter():
    space = {
        "np": np,
        "hmac": hmac,
        "hashlib": hashlib,
        "pydicom": pydicom,
        "deidentify": deidentify,
        "stats": stats,
        "optimize": optimize,
        "runtime": runtime,
    }
    return taught("17", space, WANTED)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Series of five vendors: a round head with some texture."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96] - 48
    head = 0.6 * (np.hypot(x, y) < 40) * (1 + 0.1 * ndimage.gaussian_filter(rng.standard_normal((4, 96, 96)), 2))
    return specimens.write(tmp_path_factory.mktemp("dicom"), head)


def saved(item, path):
    item.save_as(path, enforce_file_format=True)
    return path


# ---------------------------------------------------------------- files


def test_nothing_known_is_left_and_a_renamed_file_keeps_nearly_all(files, tmp_path):
    for vendor, paths in files.items():
        for path in paths:
            item = pydicom.dcmread(path)
            strings = deidentify.traces(item)
            assert len(deidentify.audit(path, strings)) == len(strings) > 20, vendor
            clean = saved(deidentify.clean(item, KEY), tmp_path / "clean.dcm")
            assert deidentify.audit(clean, strings) == [], vendor
            item.PatientName = "ANONYMOUS"  # wrong: the name alone
            assert len(deidentify.audit(saved(item, tmp_path / "renamed.dcm"), strings)) > 0.8 * len(strings)


def test_private_elements_and_nested_ones_go(files, tmp_path):
    for paths in files.values():
        clean = pydicom.dcmread(saved(deidentify.clean(pydicom.dcmread(paths[0]), KEY), tmp_path / "clean.dcm"))
        assert not any(element.tag.is_private for element in clean.iterall())
        assert not any(
            element.VR == "PN" and element.value for element in clean.iterall() if element.keyword != "PatientName"
        )
        assert clean.preamble == bytes(128)
        assert "SourceApplicationEntityTitle" not in clean.file_meta


def test_references_survive_and_dates_keep_their_distance(files):
    cleaned = [deidentify.clean(pydicom.dcmread(path), KEY) for path in files["SIEMENS"]]
    here = {item.SOPInstanceUID for item in cleaned}
    assert {ref.ReferencedSOPInstanceUID for item in cleaned for ref in item.ReferencedImageSequence} == here
    other = [deidentify.clean(pydicom.dcmread(path), b"another") for path in files["SIEMENS"]]
    assert here.isdisjoint(item.SOPInstanceUID for item in other)  # wrong: a key for each file
    assert len({item.StudyInstanceUID for item in cleaned}) == 1
    by = deidentify.days("PAT-4711-0815", KEY)
    assert by < 0
    days = [
        np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}")
        for d in (deidentify.shifted(d, by) for d in ("20240315", "20240620"))
    ]
    assert int((days[1] - days[0]).astype(int)) == 97


def test_the_chapter_s_cleaning_is_the_package_s(chapter, files):
    for paths in files.values():
        item = pydicom.dcmread(paths[0])
        whole = deidentify.clean(item, KEY)
        for element in chapter["my_kept"](item, KEY, deidentify.days(item.PatientID, KEY)):
            if element.keyword not in ("PatientName", "PatientID", "PixelData"):
                assert element == whole[element.tag], element.keyword
    assert chapter["my_new_uid"]("1.2.3", KEY) == deidentify.new_uid("1.2.3", KEY)


def test_images_are_read_as_before_and_spare_bits_are_cleared(files, tmp_path):
    for vendor in ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips"):
        folder = tmp_path / vendor
        folder.mkdir()
        for k, path in enumerate(files[vendor]):
            saved(deidentify.clean(pydicom.dcmread(path), KEY), folder / f"{k}.dcm")
        one, two = scanfiles.read_dicom(files[vendor][0].parent), scanfiles.read_dicom(folder)
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(two.dataobj))
        np.testing.assert_allclose(one.affine, two.affine)
    item = pydicom.dcmread(files["PACS export"][0])
    before, after = (np.frombuffer(i.PixelData, "<u2") for i in (item, deidentify.clean(item, KEY)))
    assert (before >> 12).any()
    assert not (after >> 12).any()
    np.testing.assert_array_equal(before & 0x0FFF, after)


@pytest.mark.real
def test_real_files_of_four_makers(tmp_path):
    """Only words stay that also stand in a code or a number that may stay; pixels and geometry are the same."""
    real = datasets.real_folder()
    folder = None if real is None else next((f for f in (real / "dicom", real.parent / "dicom") if f.is_dir()), None)
    require("real", folder, "needs the DICOM archives beside the real scans")
    makers = set()
    for archive in folder.glob("*.zip"):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(tmp_path / archive.stem)
    for path in sorted(tmp_path.rglob("*.dcm")):
        item = pydicom.dcmread(path)
        makers.add(str(item.get("Manufacturer", "")).upper().partition(" ")[0])
        strings = deidentify.traces(item)
        assert set(deidentify.audit(path, strings)) == strings, path.name  # as it is: everything
        clean = pydicom.dcmread(saved(deidentify.clean(item, KEY), tmp_path / "clean"))
        stay = [str(e.value) for e in clean.iterall() if e.VR in ("CS", "DS", "IS")] + [clean.DeidentificationMethod]
        apart = (tmp_path / "clean").read_bytes().replace(clean.PixelData, b"")  # grey values look like words by chance
        left = deidentify.audit(apart, strings)
        assert all(word.lower() in " ".join(stay).lower() for word in left), (path.name, left)
        assert not any(element.tag.is_private for element in clean.iterall())
        np.testing.assert_array_equal(clean.pixel_array, pydicom.dcmread(path).pixel_array)
        for keyword in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope"):
            assert clean.get(keyword) == item.get(keyword), (path.name, keyword)
        if item.PhotometricInterpretation == "PALETTE COLOR":  # an ultrasound, its date at the upper right
            shades = np.mean(apply_color_lut(item.pixel_array, item), axis=-1)
            found = burnt.find(shades)
            date = np.zeros(shades.shape, bool)
            date[:12, 550:] = shades[:12, 550:] > 0.75 * shades.max()
            assert burnt.covered(found, date) > 0.9
    assert makers >= {"GE", "SIEMENS", "PHILIPS", "ALOKA"}


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_name_typed_as_a_code_stays(files):
    item = pydicom.dcmread(files["SIEMENS"][0])
    for typed, stays in (("MUSTERMANN", "MUSTERMANN"), ("Frau Mustermann", "")):
        item.BodyPartExamined = typed
        assert deidentify.clean(item, KEY).BodyPartExamined == stays


def test_the_audit_finds_text_in_other_encodings():
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
        assert deidentify.audit("xx MÜLLER yy".encode(encoding), ["Müller"]) == ["Müller"]
    assert deidentify.audit(b"xx MUELLER yy", ["Müller"]) == []


def test_nifti_and_sidecar(tmp_path):
    image = volumes.make_image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), np.diag([1, 2, 3, 1]))
    image.header["descrip"], image.header["db_name"] = b"MUSTERMANN", b"Klinikum"
    path = scanfiles.write(deidentify.clean_nifti(image), tmp_path / "sub-01.nii.gz")
    assert deidentify.audit(path, ["mustermann", "klinikum"]) == []
    again = scanfiles.read(path)
    np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(image.dataobj))
    np.testing.assert_allclose(again.affine, image.affine)
    assert deidentify.audit(image.to_bytes(), ["mustermann", "klinikum"]) == [
        "klinikum",
        "mustermann",
    ]  # wrong: as it is
    assert deidentify.clean_sidecar({"EchoTime": 0.1, "PatientID": "x", "AcquisitionTime": "10"}) == {"EchoTime": 0.1}


def test_bright_text_is_found_and_grey_text_is_not():
    y, x = np.mgrid[:240, :240] - 120
    head = 0.7 * (np.hypot(x, y) < 90)
    words = "Mustermann, Erika 1964"
    for size in (0.05, 0.08):
        letters = stamping.drawn(words, *head.shape, size)
        found = burnt.find(burnt.burn(head, words, 1.0, size))
        assert burnt.covered(found, letters) > 0.9
        assert not (burnt.blacken(burnt.burn(head, words, 1.0, size), found)[letters] > 0).mean() > 0.1
        assert burnt.find(burnt.burn(head, words, 0.4, size)) == []  # wrong: the assumption does not hold
    assert burnt.find(head) == []


# ---------------------------------------------------------------- faces and brains


def test_a_face_is_found_again_and_not_without_it():
    names = [f"test {k}" for k in range(5)]
    gallery = [privacy.depth_map(faces.face(name, faces.visit(name, 0))) for name in names]
    again = [faces.face(name, faces.visit(name, 1)) for name in names]
    apart = privacy.face_distances([privacy.depth_map(image) for image in again], gallery)
    assert privacy.first_hits(apart).all()
    assert np.diag(apart).max() < apart[~np.eye(5, dtype=bool)].min()
    gone = [privacy.depth_map(defacing.remove(image)) for image in again]
    assert np.nanmin(privacy.face_distances(gone, gallery)) > np.diag(apart).max()


def test_defacing_changes_the_mask_alone():
    image = faces.face("test", faces.Visit())
    mask, gone = defacing.mask(image), defacing.remove(image)
    one, two = np.asarray(image.dataobj), np.asarray(gone.dataobj)
    np.testing.assert_array_equal(one[~mask], two[~mask])
    assert not two[mask].any()
    np.testing.assert_array_equal(gone.affine, image.affine)
    soft = ndimage.gaussian_filter(np.where(mask, 0, one), 1)  # wrong: a soft edge
    assert (soft != one)[~mask].any()


def test_defacing_spares_the_template_s_brain():
    template = datasets.load("mni152")[0].contrasts["T1w"]
    assert not (np.asarray(template.dataobj)[defacing.mask(template)] > 0).any()


def test_the_depth_of_a_ball(chapter):
    x, y, z = np.mgrid[:41, :41, :41] - 20
    ball = (x**2 + y**2 + z**2 <= 15**2).astype(np.float32)
    depth = chapter["my_depth"](ball, 0.5)
    assert depth[20, 20] == 35
    assert depth[20, 29] == 20 + 12
    assert depth[0, 0] == 0


def test_a_brain_is_found_again_in_another_contrast():
    maps, again = [], []
    for k in range(4):
        rng = np.random.default_rng(k)
        x, y, z = np.mgrid[:48, :56, :40] - np.array([24, 28, 20])[:, None, None, None]
        inside = (x / 20) ** 2 + (y / 24) ** 2 + (z / 16) ** 2 < 1
        folds = ndimage.gaussian_filter(rng.standard_normal(inside.shape), 2) > 0
        maps.append(privacy.edge_map(np.where(inside, 1.0 + folds, 0), 2.0))
        again.append(privacy.edge_map(privacy.revisit(np.where(inside, 2.5 - folds, 0), rng), 2.0))
    apart = privacy.edge_distances(again, maps)
    assert privacy.first_hits(apart).all()
    assert (np.diag(apart) < 0.8 * apart[~np.eye(4, dtype=bool)].mean()).all()


# ---------------------------------------------------------------- networks


def test_federated_averaging_weighs_by_people(chapter):
    """With one exact local step the federation's mean of means is the pooled mean; unweighted it is not."""
    sources, sizes = {"a": 1.0, "b": 4.0}, {"a": 3, "b": 1}
    chapter["trained"] = lambda weights, source, first, steps: [0 * weights[0] + source]
    found = chapter["my_fedavg"]([np.zeros(2)], sources, sizes, 2, 1)[0]
    np.testing.assert_allclose(found, np.mean([1, 1, 1, 4]))
    assert np.abs(found - np.mean([1, 4])).max() > 0.5  # wrong: every hospital counts the same


def test_the_price_of_a_promise(chapter):
    x = np.linspace(-60, 60, 600_001)
    for epsilon, z in ((0.5, 2.0), (2.0, 1.0)):
        with_you, without = stats.norm.pdf(x, 1, z), stats.norm.pdf(x, 0, z)
        direct = np.maximum(with_you - np.exp(epsilon) * without, 0).sum() * (x[1] - x[0])
        assert chapter["my_delta"](epsilon, z) == pytest.approx(direct, abs=1e-6)
        wrong = stats.norm.cdf(0.5 / z - epsilon * z)  # wrong: the second world forgotten
        assert abs(wrong - direct) > 1e-3
    assert chapter["my_delta"](1.0, chapter["my_noise"](1.0)) == pytest.approx(1e-5, rel=1e-3)
    assert chapter["my_noise"](1.0) > chapter["my_noise"](3.0)


def test_sums_give_least_squares(chapter):
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(0, 1, (500, 8)), rng.normal(0, 1, (500, 4))
    square = (inputs.T @ inputs / 500)[np.triu_indices(8)]
    vector = np.concatenate([square, (inputs.T @ targets / 500).ravel()])
    np.testing.assert_allclose(chapter["filtered"](vector, 0), np.linalg.lstsq(inputs, targets)[0], atol=1e-6)
    flat = chapter["features"](np.ones((1, 5, 5)))
    assert flat.shape == (1, 5, 5, 8)
    assert not flat.any()


def test_the_interval_of_an_auc_covers():
    rng = np.random.default_rng(0)
    true, covered = stats.norm.cdf(1 / np.sqrt(2)), []
    for _ in range(400):
        low, high = privacy.auc_interval(planting.auc(rng.normal(1, 1, 8), rng.normal(0, 1, 20)), 8, 20)
        covered.append(low <= true <= high)
    assert 0.92 < np.mean(covered) <= 1
    assert privacy.auc_interval(1.0, 8, 8)[0] < 0.9
    assert privacy.auc_interval(0.5, 8, 20)[0] < 0.5 < privacy.auc_interval(0.5, 8, 20)[1]


# ---------------------------------------------------------------- layout


def test_exercises_and_quiz_are_there():
    assert exercises_of("17") == {"17-uids", "17-masks", "17-clip"}
    assert quiz_numbers("17") == pytest.approx([2.5, 10])


def test_it_claims_what_the_syllabus_asks():
    text = " ".join(claims.declared(NOTEBOOK))
    for words in ("Only the name removed", "After cleaning", "References", "burnt-in text", "NIfTI", "outside the mask",
                  "16 times coarser", "rank-1", "Federated less", "Overfitted", "Shipped", "δ by"):  # fmt: skip
        assert words in text


def test_names_are_looked_for_word_by_word():
    item = pydicom.Dataset()
    item.PatientName, item.OperatorsName = "Pfleger^Paul", ["Erika^Musterfrau", "Sam^Operator"]
    assert {"Pfleger", "Erika", "Musterfrau", "Operator"} <= deidentify.traces(item)
