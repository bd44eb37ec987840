"""The page that runs a network on the reader's own image: equal to Python, polite, and silent towards the network."""

import base64
import functools
import gzip
import http.server
import io
import json
import shutil
import threading
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from conftest import require
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

from book import libraries
from medsr_course.networks import pretrained
from medsr_course.physics import coils, grid, interpolation, likeness, noise
from medsr_course.runtime import CourseError
from medsr_course.scans import datasets, scanfiles, volumes
from medsr_course.scans.domain import pixels
from tools import site_report

pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of one page."""
    site = tmp_path_factory.mktemp("own") / "under" / "a path"
    sizes = libraries.place(site)
    require("npm", set(libraries.OWN_IMAGE) <= set(sizes), "the libraries could not be had from npm")
    (site / "own-image.html").write_text(
        f"<!doctype html><html lang='en'><meta charset='utf-8'><link rel='icon' href='data:,'><title>t</title><body>"
        f"{libraries.own_image(sizes)}",
        encoding="utf-8",
    )
    (site / "chapters").mkdir()
    (site / "chapters" / "volume.html").write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><link rel='icon' href='data:,'><title>t</title><body>"
        + libraries.whole_volume(sizes, "../"),
        encoding="utf-8",
    )
    return site


def wrong(message):
    return message.type in ("error", "warning") and "GPU stall" not in message.text  # a word of the driver's


@pytest.fixture
def visit(chromium, folder):
    """``visit()``: the page opened from its folder; fails on errors, and on any request that leaves it."""
    contexts, problems = [], []

    def visit(address=None, script="", name="own-image.html", **options):
        context = chromium.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: problems.append(m.text) if wrong(m) else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        start = address or folder.as_uri()
        own = (start, "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(own) else problems.append(r.url))
        if script:
            page.add_init_script(script)
        page.goto(f"{start}/{name}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


@functools.cache
def cases():
    """Slices of every kind that is treated in its own way: name → float32 (h, w)."""
    rng = np.random.default_rng(0)
    fine = grid.trim(volumes.axial_slices(datasets.load("mni152")[0].contrasts["T1w"], n=1)[0], 2)
    clean = coils.stored(fine[None], 2, "template")[0]
    level = np.percentile(clean, 99.5)

    def made(image, sigma, kind):
        return coils.magnitude(image[None].astype(complex), sigma * level, rng, kind)[0]

    masked = np.where(clean < 0.06 * level, 0, made(clean, 0.06, "rician"))
    return {
        "clean": clean,
        "noisy": made(clean, 0.05, "rician"),
        "several coils": made(clean, 0.04, "chi"),
        "interpolated": made(fine[::2, ::2][:96, :80], 0.06, "interpolated"),
        "air set to 0": masked,
        "signed": clean - np.median(clean),
        "odd sides": made(clean[3:70, 5:58], 0.03, "rician"),
    }


def sent(values):
    """An array as text that JavaScript turns into a Float64Array."""
    return base64.b64encode(np.asarray(values, np.float64).tobytes()).decode()


ARRAYS = """
    const array = (text) => new Float64Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
    const text = (values) => {
        const bytes = new Uint8Array(Float64Array.from(values).buffer);
        let out = "";
        for (let k = 0; k < bytes.length; k += 8192) out += String.fromCharCode(...bytes.subarray(k, k + 8192));
        return btoa(out);
    };
"""


def received(text, shape):
    return np.frombuffer(base64.b64decode(text)).reshape(shape)


@pytest.mark.browser
@pytest.mark.slow
def test_the_page_equals_python_for_every_kind_of_slice(visit):
    page = visit()
    usage = json.loads(page.locator("#medsr-own").get_attribute("data-usage"))
    for name, image in cases().items():
        image = image.astype(np.float32)
        run = f"async ([values, h, w, usage]) => {{ {ARRAYS} const a = array(values); const out = await "
        run += (
            "medsrEngine.run(a, h, w, usage); return [noiseOf(a, h, w), text(out.made.result), text(out.made.zip)]; }"
        )
        found, result, zipped = page.evaluate(run, [sent(image), *image.shape, usage])
        expected = pretrained.super_resolve(libraries.NETWORK, image[None])[0]
        fine = interpolation.zero_fill(image[None].astype(float), 2)[0]
        spread = np.ptp(expected)
        assert np.abs(received(result, expected.shape) - expected).max() < 1e-5 * spread, name
        assert np.abs(received(zipped, fine.shape) - fine).max() < 1e-10 * spread, name
        assert np.abs(expected - fine).max() > 0.01 * spread, name  # the network adds something
        told = noise.estimate(image)
        assert found["kind"] == told.kind, name
        assert found["native"] == pytest.approx(told.native), name
        assert found["sigma"] == (None if told.sigma is None else pytest.approx(told.sigma, rel=1e-6)), name
        assert found["between"] == (None if told.between is None else pytest.approx(told.between, rel=1e-6)), name


@pytest.mark.browser
def test_likeness_to_heads_is_measured_as_in_python(visit):
    page = visit()
    run = f"([a, h, w]) => {{ {ARRAYS} const found = featuresOf(array(a), h, w); "
    run += "return [found, distanceFromHeads(found, medsrHeads)]; }"
    mean, covariance, limit = pixels.heads()
    rng = np.random.default_rng(0)
    stripes = 100 + 90 * np.sin(np.arange(60) / 3) * np.ones((50, 1)) + rng.normal(0, 9, (50, 60))
    far = {}
    for name, image in {**cases(), "stripes": stripes}.items():
        if name == "signed":
            continue
        features, far[name] = page.evaluate(run, [sent(image), *image.shape])
        expected = likeness.features(np.asarray(image, float)[None])
        assert features == pytest.approx(expected, rel=1e-6, abs=1e-6), name
        assert far[name] == pytest.approx(likeness.distance(expected, mean, covariance), rel=1e-6)
    assert far["clean"] < far["stripes"]
    assert far["stripes"] > limit


@pytest.mark.browser
def test_tiles_leave_no_seam(visit):
    page = visit()
    image = np.random.default_rng(0).uniform(0, 1, (70, 90)).astype(np.float32)
    tiles = """
        const mean = async (batch, h, w) => { // of 65 × 65 pixels, zeros beyond the border
            const out = new Float32Array(4 * h * w), sums = new Float64Array((h + 1) * (w + 1));
            for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) sums[(y + 1) * (w + 1) + x + 1] = batch[y * w + x]
                + sums[y * (w + 1) + x + 1] + sums[(y + 1) * (w + 1) + x] - sums[y * (w + 1) + x];
            const at = (y, x) => sums[Math.max(0, Math.min(h, y)) * (w + 1) + Math.max(0, Math.min(w, x))];
            for (let y = 0; y < 2 * h; y++) for (let x = 0; x < 2 * w; x++) {
                const [b, a] = [y >> 1, x >> 1];
                out[y * 2 * w + x] = at(b + 33, a + 33) - at(b - 32, a + 33) - at(b + 33, a - 32) + at(b - 32, a - 32);
            }
            return out;
        };
        const whole = await mean(Float32Array.from(array(values)), h, w);
        TILE.most = 72;
        let most = 0;
        const parts = [], network = tiled(mean, 2, 1, (part) => parts.push(part));
        const made = await network(Float32Array.from(array(values)), h, w);
        whole.forEach((v, k) => { most = Math.max(most, Math.abs(v - made[k])); });
        return [most, parts.length, parts.at(-1)];
    """
    page.add_script_tag(path=libraries.BROWSER / "superresolution.js")
    most, count, last = page.evaluate(f"async ([values, h, w]) => {{ {ARRAYS} {tiles} }}", [sent(image), *image.shape])
    assert most < 1e-3
    assert count > 9
    assert last == 1


@pytest.mark.browser
def test_zero_filling_and_its_reverse_are_those_of_python_for_every_parity(visit):
    page = visit()
    rng = np.random.default_rng(0)
    for shape, after in (
        ((8, 9), (16, 18)),
        ((7, 12), (21, 36)),
        ((30, 17), (19, 8)),
        ((16, 10), (8, 5)),
        ((5, 6), (5, 7)),
    ):
        image = rng.standard_normal(shape)
        resized = coils.to_native(image, (min(shape[0], after[0]), min(shape[1], after[1])))
        expected = coils.from_native(resized, after)
        run = f"([a, ...sides]) => {{ {ARRAYS} return text(resizeImage(array(a), ...sides)); }}"
        assert received(page.evaluate(run, [sent(image), *shape, *after]), after) == pytest.approx(expected, abs=1e-12)


def dicom(image, **tags):
    """A DICOM file of unsigned values (h, w) or (frames, h, w), without compression unless ``syntax`` says so.

    RLE is made here; what else is compressed, ``packed`` holds.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID, packed = tags.pop("syntax", ExplicitVRLittleEndian), tags.pop("packed", None)
    data = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, (data.Rows, data.Columns) = "MR", image.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelSpacing, data.RescaleSlope, data.RescaleIntercept = [1.5, 2], "0.5", "3"
    code = pydicom.Dataset()
    code.CodeValue = "1"
    data.ProcedureCodeSequence = [code]  # a sequence before the pixels
    for name, value in ({"SeriesInstanceUID": "2.25.1"} | tags).items():
        setattr(data, name, value)
    data.PixelData = image.astype(f"<u{data.BitsAllocated // 8}").tobytes()
    if meta.TransferSyntaxUID == RLELossless:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif meta.TransferSyntaxUID.is_compressed:
        data.PixelData = pydicom.encaps.encapsulate(packed or [data.PixelData], has_bot=False)
    data["ProcedureCodeSequence"].is_undefined_length = True
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def choose(page, name, content):
    page.get_by_label("Image: PNG").set_input_files({"name": name, "mimeType": "", "buffer": content})
    page.wait_for_function("!document.querySelector('.medsr-own-status').textContent.startsWith('Choose')")


def read(page, name, content, index=0):
    """What the page reads of a file: (h, w), and what it knows besides."""
    run = f"""async ([content, index]) => {{ {ARRAYS}
        const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
        const file = await medsrFiles.read(new Blob([bytes]));
        return [text(file.slice(index)), {{ ...file, slice: null }}]; }}"""
    values, about = page.evaluate(run, [base64.b64encode(content).decode(), index])
    return received(values, (about["h"], about["w"])), about


@pytest.mark.browser
def test_dicom_without_compression_is_decoded_in_the_page(visit):
    page = visit()
    image = np.random.default_rng(0).integers(0, 4096, (20, 24))
    for syntax in (None, ImplicitVRLittleEndian):
        tags = {"syntax": syntax} if syntax else {}
        values, about = read(page, "x.dcm", dicom(image, BodyPartExamined="KNEE", **tags))
        assert values[::-1] == pytest.approx(image * 0.5 + 3)  # row 0 is at the bottom
        assert about["pixel"] == [2, 1.5]
        assert about["notes"] == ["body-part"]
    choose(page, "x.dcm", dicom(image, syntax=JPEG2000Lossless))
    said = page.locator(".medsr-own-status").inner_text()
    for words in ("(JPEG 2000)", "dcm2niix", "medsr enhance"):
        assert words in said
    assert page.get_by_role("button", name="Make it twice as fine").is_disabled()
    choose(page, "x.dcm", dicom(image, PhotometricInterpretation="PALETTE COLOR"))
    page.get_by_text("is in colour").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize("bits", [8, 16])
def test_rle_is_unpacked_as_by_pydicom(visit, bits):
    page = visit()
    frames = np.random.default_rng(0).integers(0, 2 ** (bits - 1), (3, 21, 23))
    frames[:, 3:9] = 7  # runs beside what does not repeat
    allocated = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1, "RescaleIntercept": "0"}
    packed = dicom(frames, syntax=RLELossless, NumberOfFrames=3, RescaleSlope="1", **allocated)
    for k, frame in enumerate(frames):
        values, about = read(page, "x.dcm", packed, index=k)
        np.testing.assert_array_equal(values[::-1], frame.astype(np.float32))
        assert (about["count"], about["notes"]) == (3, [])
    choose(page, "x.dcm", packed[:-200])
    page.get_by_text("cannot be unpacked").wait_for()


def as_pydicom(content, index=0):
    item = pydicom.dcmread(io.BytesIO(content))
    pixels = item.pixel_array.reshape(-1, item.Rows, item.Columns)[index]
    return pixels * float(item.get("RescaleSlope", 1)) + float(item.get("RescaleIntercept", 0))


@pytest.mark.browser
def test_a_scanner_s_rle_is_read_as_by_pydicom(visit):
    page = visit()
    content = Path(get_testdata_file("MR_small_RLE.dcm", download=False)).read_bytes()
    np.testing.assert_array_equal(read(page, "x.dcm", content)[0][::-1], as_pydicom(content))


@pytest.mark.browser
@pytest.mark.real
def test_shared_compressed_files_are_read_as_by_pydicom_or_refused_in_words(visit):
    folder = datasets.real_folder()
    archive = folder and folder.parent / "dicom" / "dicom_compressed_and_burntin.zip"
    require("real", archive and archive.is_file(), "needs the DICOM archives beside the real scans")
    page = visit()
    refused = {"693_J2KR": "JPEG 2000", "JPEG-LL": "JPEG Lossless", "emri_small_jpeg_ls_lossless": "JPEG-LS"}
    with zipfile.ZipFile(archive) as files:
        rle = files.read("emri_small_RLE.dcm")
        for name, kind in refused.items():
            choose(page, "x.dcm", files.read(f"{name}.dcm"))
            page.get_by_text(f"({kind}): convert it").wait_for()
    for k in (0, 9):
        np.testing.assert_array_equal(read(page, "x.dcm", rle, index=k)[0][::-1], as_pydicom(rle, k))


@pytest.mark.browser
def test_jpeg_of_8_bits_inside_dicom_is_read_by_the_browser(visit):
    page = visit()
    image = 120 + 90 * np.sin(np.arange(42) / 5)[:, None] * np.cos(np.arange(51) / 7)
    whole, eight = png(image, "JPEG"), {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    half = len(whole) // 4 * 2
    for packed in ([whole], [whole[:half], whole[half:]]):
        content = dicom(image, syntax=JPEGBaseline8Bit, packed=packed, **eight)
        values, about = read(page, "x.dcm", content)
        assert np.abs(values[::-1] - as_pydicom(content)).max() <= 1  # decoders round differently, by a grey level
        assert about["notes"] == ["jpeg"]
    two = dicom(image, syntax=JPEGBaseline8Bit, packed=[whole, png(255 - image, "JPEG")], NumberOfFrames=2, **eight)
    assert np.abs(read(page, "x.dcm", two, index=1)[0][::-1] - as_pydicom(two, 1)).max() <= 1
    choose(page, "x.dcm", dicom(image, syntax=JPEGBaseline8Bit, packed=[b"no JPEG "], **eight))
    page.get_by_text("cannot be unpacked").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize("codes", ["RAS", "LPS", "ASL", "PIR"])
def test_nifti_is_turned_as_python_turns_it(visit, codes):
    page = visit()
    data = np.random.default_rng(0).integers(0, 999, (18, 20, 16)).astype(np.int16)
    image = nibabel.Nifti1Image(data, np.diag([1, 1, 3, 1.0]))
    image = image.as_reoriented(nibabel.orientations.axcodes2ornt(codes))
    image.header.set_slope_inter(2, 1)
    for form in (1, 0):  # by its matrix, and by its quaternion alone
        image.header["sform_code"] = form
        values, about = read(page, "x.nii.gz", gzip.compress(image.to_bytes()), index=5)
        expected = volumes.to_stack(nibabel.Nifti1Image.from_bytes(image.to_bytes()))[5]
        assert values == pytest.approx(expected)
        assert (about["count"], about["about"]) == (16, {"plane": "axial"})


@pytest.mark.browser
@pytest.mark.slow
def test_a_slice_goes_in_and_what_is_kept_equals_python(visit, tmp_path):
    page = visit()
    image = cases()["noisy"].astype(np.float32)
    nifti = nibabel.Nifti1Image(image.T[..., None], np.diag([2, 2, 2, 1.0]))
    choose(page, "Ward 3 (new).nii.gz", gzip.compress(nifti.to_bytes()))
    page.get_by_role("button", name="Make it twice as fine").click()
    page.get_by_text("Done in").wait_for(timeout=120_000)
    kept = {}
    for name in ("result", "zip", "added"):
        with page.expect_download() as started:
            page.get_by_role("link", name=name, exact=True).click()
        assert started.value.suggested_filename == f"Ward-3-new_desc-{name}.nii"
        started.value.save_as(tmp_path / f"{name}.nii")
        made = nibabel.load(tmp_path / f"{name}.nii")
        kept[name] = np.asarray(made.dataobj).squeeze().T
        assert made.header.get_zooms()[:2] == (1, 1)
    expected = pretrained.super_resolve(libraries.NETWORK, image[None])[0]
    assert np.abs(kept["result"] - expected).max() < 1e-5 * np.ptp(expected)
    assert kept["added"] == pytest.approx(kept["result"] - kept["zip"], abs=float(1e-5 * np.ptp(expected)))
    assert page.locator(".medsr-viewer[data-ready]").count() == 2
    assert "measured on this slice alone" in page.locator(".medsr-own-result").inner_text()


def png(values, kind="PNG", mode=None):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8), mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.browser
def test_what_speaks_against_an_image_is_said_before_anything_is_computed(visit):
    page = visit()
    rng = np.random.default_rng(0)
    grey = rng.normal(120, 20, (40, 50)).clip(0, 255)
    values, about = read(page, "x.png", png(grey))
    assert (values[::-1] == grey.astype(np.uint8)).all()
    choose(page, "x.jpg", png(rng.integers(0, 255, (40, 50, 3)), "JPEG"))
    said = page.locator(".medsr-own-findings").first.inner_text()
    for words in ("not for photographs", "JPEG leaves traces", "It is in colour"):
        assert words in said
    go = page.get_by_role("button", name="Make it twice as fine")
    assert go.is_enabled()
    labels = np.kron(rng.integers(0, 4, (5, 5)), np.ones((8, 8)))
    for content, words in ((png(labels * 60), "labels or a mask"), (png(np.full((40, 40), 7)), "one value")):
        choose(page, "x.png", content)
        page.get_by_text(words).wait_for()
        assert go.is_disabled()
    thick = nibabel.Nifti1Image(grey.astype(np.float32)[..., None], np.diag([3, 3, 3, 1]))
    choose(page, "x.nii", thick.to_bytes())
    page.get_by_text("pixels of 3.00 × 3.00 mm are not square, or not 0.4 to 2.5 mm").wait_for()
    for content, words in ((b"hello " * 99, "no PNG"), (png(np.zeros((8, 8))), "too small"), (b"\x1f\x8b1", "cut off")):
        choose(page, "x", content)
        page.get_by_text(words).wait_for()
        assert go.is_disabled()


@pytest.mark.browser
def test_without_webassembly_the_page_says_so(visit):
    page = visit(script="delete window.WebAssembly")
    assert "has no WebAssembly" in page.locator("#medsr-own").inner_text()
    assert page.locator("#medsr-own button").count() == 0


@pytest.mark.browser
def test_nothing_large_comes_before_the_click(folder, visit):
    page = visit()
    asked = []
    page.on("request", lambda r: asked.append(r.url))
    page.reload()
    assert page.locator("#medsr-own[data-ready]").count() == 1
    assert not [url for url in asked if "/packed/" in url]
    first = sum(path.stat().st_size for path in (folder / "browser").glob("*.js"))
    assert first < 140_000
    click = sum((folder / "browser" / "packed" / f"{name}.js").stat().st_size for name in libraries.OWN_IMAGE)
    assert click < 6.5e6
    assert f"{click / 1e6:.1f} MB" in page.locator(".medsr-own-status").inner_text()


@pytest.mark.browser
def test_a_server_under_a_sub_path_serves_it_and_no_name_begins_with_an_underscore(folder, visit):
    assert not [path for path in folder.rglob("_*")]  # which some hosts leave out
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.func.log_message = lambda *args: None
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            page = visit(f"http://127.0.0.1:{server.server_port}/a%20path")
            page.get_by_role("button", name="Or take a brain template").click()
            page.get_by_text("NIfTI, 98 × 116 pixels, 94 slices").wait_for()
            assert page.get_by_label("Slice", exact=False).first.is_visible()
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.browser
def test_a_whole_volume_is_shown_and_the_wheel_stays_with_the_page(visit):
    page = visit(name="chapters/volume.html", viewport={"width": 1366, "height": 768})
    page.get_by_role("button", name="Show the whole volume").click()
    shown = page.locator(".medsr-volume-stage[data-shown='template.nii']")
    shown.wait_for(timeout=60_000)
    picture = np.asarray(Image.open(io.BytesIO(shown.screenshot())).convert("L"), float)
    assert picture.std() > 20  # a head on black
    before = page.locator(".medsr-volume-status").inner_text()
    box = shown.bounding_box()
    page.mouse.click(box["x"] + 0.42 * box["width"], box["y"] + 0.3 * box["height"])
    page.get_by_text("mm to the right").wait_for()
    assert page.locator(".medsr-volume-status").inner_text() != before
    height = int(page.locator(".medsr-volume-status").inner_text().split(" mm")[0].split(", ")[2])
    page.locator(".medsr-volume-stage canvas").press("PageUp")
    said = "z => parseInt(document.querySelector('.medsr-volume-status').textContent.split(', ')[2]) > z"
    page.wait_for_function(said, arg=height)
    page.get_by_label("Show", exact=False).last.select_option("coronal")
    page.evaluate("document.body.style.height = '3000px'")
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 100")
    data = np.random.default_rng(0).integers(0, 99, (20, 20, 20)).astype(np.int16)
    nifti = nibabel.Nifti1Image(data, np.eye(4)).to_bytes()
    page.get_by_label("a NIfTI file").set_input_files({"name": "mine.nii", "mimeType": "", "buffer": nifti})
    page.locator(".medsr-volume-stage[data-shown='mine.nii']").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize("by", ["folder on a disk", "server"])
def test_a_dicom_series_of_the_course_is_shown(folder, visit, by):
    with site_report.served(folder) as server:
        page = visit(server.address.rstrip("/") if by == "server" else None, name="chapters/volume.html")
        page.get_by_role("button", name="Show a DICOM series").click()
        shown = page.locator(".medsr-volume-stage[data-shown='series.nii']")
        shown.wait_for(timeout=60_000)
        picture = np.asarray(Image.open(io.BytesIO(shown.screenshot())).convert("L"), float)
        assert picture.std() > 20
        page.get_by_text("94 slices, 98 × 116, put in order by their places.").wait_for()


def assembled(page, files):
    """NIfTI that the page makes of files, and what it says; or the error in words."""
    run = """async (files) => {
        const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        try {
            const made = await medsrSeries.read(files.map((text) => new Blob([bytes(text)])));
            let out = "";
            for (const byte of new Uint8Array(made.bytes)) out += String.fromCharCode(byte);
            return [btoa(out), made.said];
        } catch (error) { return [null, error.message]; } }"""
    made, said = page.evaluate(run, [base64.b64encode(file).decode() for file in files])
    return made and nibabel.Nifti1Image.from_bytes(base64.b64decode(made)), said


def series(stack, turned=((1, 0, 0), (0, 1, 0)), step=(0, 0, 3), **tags):
    """Files of a stack (k, h, w), the last slice first."""
    make = functools.partial(
        dicom, ImageOrientationPatient=[*turned[0], *turned[1]], SeriesInstanceUID="2.25.1", **tags
    )
    places = [[10.0 + k * v for v in step] for k in range(len(stack))]
    return [make(image, ImagePositionPatient=place) for image, place in zip(stack, places, strict=True)][::-1]


@pytest.mark.browser
@pytest.mark.parametrize("turned", [((1, 0, 0), (0, 1, 0)), ((0, 1, 0), (0, 0, -1)), ((0.6, 0.8, 0), (0, 0, -1))])
def test_a_series_equals_what_python_reads(visit, tmp_path, turned):
    page = visit(name="chapters/volume.html")
    step = 3 * np.cross(*turned) + (np.array([0, 0.5, 0]) if turned[0][0] == 1 else 0)  # the first as a tilted gantry's
    files = series(np.random.default_rng(0).integers(0, 4096, (7, 20, 24)), turned, np.round(step, 6))
    for k, file in enumerate(files):
        (tmp_path / f"{k}.dcm").write_bytes(file)
    expected = volumes.to_ras(scanfiles.read_dicom(tmp_path))
    made, said = assembled(page, files)
    assert said == "7 slices, 24 × 20, put in order by their places."
    made = volumes.to_ras(made)
    np.testing.assert_allclose(np.asarray(made.dataobj), np.asarray(expected.dataobj))
    np.testing.assert_allclose(made.affine, expected.affine, atol=1e-4)


@pytest.mark.browser
def test_of_a_folder_the_largest_series_is_taken_and_the_rest_is_counted(visit):
    page = visit(name="chapters/volume.html")
    stack = np.random.default_rng(0).integers(0, 4096, (6, 20, 24))
    whole, other = series(stack), series(stack[:2], EchoTime=80)
    small = dicom(stack[0], SeriesInstanceUID="2.25.9")
    _, said = assembled(page, [*whole, small, b"a letter", b""])
    assert said.endswith("by their places; 3 files were left out.")
    _, said = assembled(page, [*whole[:2], *whole[3:]])
    assert "5 slices" in said
    assert "distances differ" in said
    _, said = assembled(page, [*whole, *other])
    assert "of 8 images, the first at each place" in said
    for files, why in (
        ([dicom(stack[0], syntax=JPEG2000Lossless)], "are compressed"),
        ([b"a letter", b"x"], "no DICOM file"),
        (whole[:1], "one slice is no volume"),
        ([whole[0], whole[0]], "all slices lie in one place"),
        ([dicom(stack[0]), dicom(stack[1])], "does not say where"),
        ([dicom(stack, NumberOfFrames=6)], "several slices"),
    ):
        made, said = assembled(page, files)
        assert made is None
        assert why in said


@pytest.mark.browser
def test_the_folder_button_takes_a_series_out_of_sub_folders_and_foreign_files(visit, tmp_path):
    page = visit(name="chapters/volume.html")
    grid_ = np.indices((9, 40, 44)).astype(float)
    ball = 1500 * np.exp(-sum((g - n / 2) ** 2 / (n / 4) ** 2 for g, n in zip(grid_, (9, 40, 44), strict=True)))
    disc = tmp_path / "disc" / "A B"
    for name in ("series/first", "series/second", "other", "empty"):
        (disc / name).mkdir(parents=True)
    for k, content in enumerate(series(ball.astype(int))):
        (disc / "series" / ("second" if k % 2 else "first") / f"IM{k}").write_bytes(content)  # no suffix, as on discs
    (disc / "other" / "scout.dcm").write_bytes(dicom(ball[0].astype(int), SeriesInstanceUID="2.25.9"))
    shutil.copy(get_testdata_file("dicomdirtests/DICOMDIR", download=False), disc)  # DICOM that holds no image
    for name, content in (("letter.txt", b"Dear colleague"), ("viewer.exe", b"MZ" * 200), ("other/none", b"")):
        (disc / name).write_bytes(content)
    page.get_by_label("a folder of DICOM files").set_input_files(tmp_path / "disc")
    shown = page.locator(".medsr-volume-stage[data-shown='series.nii']")
    shown.wait_for(timeout=60_000)
    said = "9 slices, 44 × 40, put in order by their places; 5 files were left out: This DICOM file holds no image."
    page.get_by_text(said, exact=False).wait_for()
    picture = np.asarray(Image.open(io.BytesIO(shown.screenshot())).convert("L"), float)
    assert picture.std() > 20
    assert page.get_by_label("a folder of DICOM files").input_value() == ""  # the same folder may be chosen again
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("Dear colleague")
    page.get_by_label("a folder of DICOM files").set_input_files(tmp_path / "letters")
    page.get_by_text("there is no DICOM file among them").wait_for()
    assert shown.is_visible()  # what was there stays


@pytest.mark.browser
def test_without_webgl_the_slices_are_pointed_to(visit):
    script = "HTMLCanvasElement.prototype.getContext = () => null"
    page = visit(name="chapters/volume.html", script=script)
    page.get_by_role("button", name="Show the whole volume").click()
    page.get_by_text("no WebGL 2. Its slices are above.").wait_for()


def test_libraries_are_pinned_and_a_wrong_one_is_refused(tmp_path, monkeypatch):
    for entry in libraries.known():
        assert entry["integrity"].startswith("sha512-")
        assert entry["licence"] in ("MIT", "BSD-2-Clause", "OFL-1.1")
        assert entry["name"] in (libraries.BOOK.parent / "NOTICE").read_text(encoding="utf-8")
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    entry = libraries.known()[0]
    kept = tmp_path / "libraries" / f"{entry['name']}-{entry['version']}.tgz"
    kept.parent.mkdir()
    kept.write_bytes(b"something else")
    with pytest.raises(CourseError, match="checksum"):
        libraries.library(entry["name"])


def test_without_npm_the_page_says_that_it_is_not_there():
    assert "built without" in libraries.own_image({"template": 1})
