"""What the site's own pages run in a browser: scripts of this folder, two libraries, a network and a brain.

The libraries come from npm when the site is built: one version each, and its checksum, in ``browser/libraries.json``.
They lie on the site itself, in a folder without a leading ``_``, which some web hosts leave out. Large files are packed
in scripts: see ``browser/packed.js``.
"""

import base64
import gzip
import hashlib
import html
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from book.pages import BOOK
from medsr_course import resources, runtime
from medsr_course.networks import pretrained
from medsr_course.runtime import CourseError
from medsr_course.scans.domain import header, pixels
from medsr_course.scans.domain.verdict import WORDS
from medsr_course.teaching import viewers

if TYPE_CHECKING:
    import nibabel

BROWSER = BOOK / "browser"
NETWORK = "srresnet-x2"
OWN_IMAGE = ("worker", "glue", "runtime", "network")  # what a click on the page "your own image" loads
OWN_SCRIPTS = (
    "packed",
    "engine",
    "fourier",
    "measuring",
    "words",
    "likeness",
    "judging",
    "frames",
    "files",
    "viewers",
    "own-image",
)
VOLUME = ("niivue", "template")  # what a click on a whole volume loads; "series" instead of "template" on another
VOLUME_SCRIPTS = ("packed", "frames", "files", "series", "volume")
ENGINE = ("fourier.js", "measuring.js", "superresolution.js", "worker.js")


def place(site: Path) -> dict[str, int]:
    """Puts the folder ``browser`` into a site.

    Parameters
    ----------
    site : path
        The folder of its pages.

    Returns
    -------
    dict of str to int
        Bytes of each packed file; without those of a library that could not be had, which the pages then do without.
    """
    target = site / "browser"
    shutil.rmtree(target, ignore_errors=True)
    (target / "packed").mkdir(parents=True)
    for script in scripts():
        shutil.copy2(script, target)
    (target / "viewers.css").write_text(viewers.style(), encoding="utf-8")
    (target / "viewers.js").write_text(f"const medsrViewer = {viewers.script()};\n", encoding="utf-8")
    judging = f"const medsrWords = {json.dumps(words())};\nconst medsrHeads = {json.dumps(_heads())};\n"
    (target / "words.js").write_text(judging, encoding="utf-8")
    return {name: _pack(target / "packed" / f"{name}.js", name, content) for name, content in contents().items()}


def scripts() -> list[Path]:
    """Scripts and styles of the pages, those of the course's viewers among them."""
    teaching = resources.checkout() / "medsr_course" / "teaching"
    own = [path for path in sorted(BROWSER.iterdir()) if path.suffix in (".js", ".css")]
    return [*own, teaching / "fourier.js"]


@lru_cache(maxsize=1)
def contents() -> dict[str, bytes]:
    """What is packed: name → content."""
    template = _template()
    found = {"template": template.to_bytes(), "series": _series(template)}
    network = resources.path(f"weights/{NETWORK}.onnx")
    try:
        onnx, niivue = library("onnxruntime-web"), library("@niivue/niivue")
    except CourseError as error:
        print(f"book: {error}; the site's pages do without what runs in the browser")
        return found
    folders = {path.name: path for path in scripts()}
    engine = [onnx["ort.wasm.min.js"], *(folders[name].read_bytes() for name in ENGINE)]
    return found | {
        "worker": b"\n".join(engine),
        "glue": onnx["ort-wasm-simd-threaded.mjs"],
        "runtime": onnx["ort-wasm-simd-threaded.wasm"],
        "network": network.read_bytes(),
        "niivue": niivue["niivue.umd.js"],
    }


def words() -> dict[str, str]:
    """What is said of an image, by a short name: the sentences of the course's own judging, and those of this page."""
    judged = {code: text.replace("desc-zip", "ZIP") for code, text in WORDS.items()}
    own = json.loads((BROWSER / "words.json").read_text(encoding="utf-8"))
    return judged | {"noise": judged["noise-unknown"]} | own


def _heads() -> dict[str, Any]:
    """What heads are like, as the course judges it: ten numbers' mean, inverse covariance and limit; pixels in mm."""
    import numpy as np

    mean, covariance, limit = pixels.heads()
    return {"mean": mean.tolist(), "inverse": np.linalg.inv(covariance).tolist(), "limit": limit, "sizes": header.SIZES}


def weight(sizes: Mapping[str, int], names: Iterable[str]) -> str:
    """How much a click loads, in words: "6.0 MB"; empty where something of it could not be had."""
    return f"{sum(sizes[name] for name in names) / 1e6:.1f} MB" if set(names) <= set(sizes) else ""


def own_image(sizes: Mapping[str, int]) -> str:
    """HTML of the page that runs the network, without its words; ``sizes`` from :func:`place`."""
    loaded = weight(sizes, OWN_IMAGE)
    if not loaded:
        return '<p class="medsr-own">This copy of the site was built without the libraries that this page needs.</p>'
    about = pretrained.card(NETWORK)
    if about.usage["data_consistency"] is not None or about.usage["input"] != "coarse":
        raise CourseError(f"{NETWORK} is used otherwise than book/browser/superresolution.js does it")
    usage = {key: about.usage[key] for key in ("scale", "noise_map", "most_noise")}
    styles = "".join(f'<link rel="stylesheet" href="browser/{name}.css">' for name in ("viewers", "own-image"))
    parts = "".join(f'<script src="browser/{name}.js"></script>' for name in OWN_SCRIPTS)
    return (
        f'{styles}<div id="medsr-own" class="medsr-own" data-usage="{html.escape(json.dumps(usage))}" '
        f'data-weight="{loaded}">This page needs JavaScript: without it, <code>medsr enhance</code> does the same.'
        "</div>"
        f"{parts}"
    )


def whole_volume(sizes: Mapping[str, int], root: str) -> str:
    """HTML of a place where a click shows a whole volume in NiiVue; or a word that it could not be had.

    ``root`` leads from the page to that of the site: "../" from a chapter.
    """
    loaded = weight(sizes, VOLUME)
    if not loaded:
        return "*This copy of the site was built without it.*"
    parts = "".join(f'<script src="{root}browser/{name}.js"></script>' for name in VOLUME_SCRIPTS)
    style = f'<link rel="stylesheet" href="{root}browser/volume.css">'
    return (
        f'{style}<div class="medsr-volume" data-weight="{loaded}" data-series="{weight(sizes, ("niivue", "series"))}">'
        f"</div>{parts}"
    )


def library(name: str) -> dict[str, bytes]:
    """The files that the site takes from a library, by their names; from npm, or from an earlier build.

    Raises
    ------
    CourseError
        Without npm, without a network, or where the package is not the one that was written down.
    """
    about = next(entry for entry in known() if entry["name"] == name)
    kept = runtime.cache_dir() / "libraries" / f"{name.replace('/', '-').lstrip('@')}-{about['version']}.tgz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            _download(f"{name}@{about['version']}", Path(folder), about["integrity"]).replace(kept)
    _verify(kept, about["integrity"])
    with tarfile.open(kept) as archive:
        return {Path(path).name: archive.extractfile(path).read() for path in about["files"]}  # type: ignore[union-attr]


def known() -> list[dict[str, Any]]:
    """The libraries: name, version, licence, checksum, and the files that are used."""
    return json.loads((BROWSER / "libraries.json").read_text(encoding="utf-8"))


def _download(package: str, folder: Path, integrity: str) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise CourseError(f"{package} is not here, and npm, which fetches it, is not installed")
    done = subprocess.run([npm, "pack", package, "--silent"], cwd=folder, capture_output=True, text=True)
    found = list(folder.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        raise CourseError(f"npm could not fetch {package}: {done.stderr.strip()[-300:] or 'no reason given'}")
    _verify(found[0], integrity)
    return found[0]


def _verify(path: Path, integrity: str) -> None:
    kind, expected = integrity.split("-", 1)
    if base64.b64encode(hashlib.new(kind, path.read_bytes()).digest()).decode() != expected:
        raise CourseError(f"{path.name} has not the checksum that book/browser/libraries.json holds: delete it")


def _template() -> "nibabel.Nifti1Image":
    """The brain template at 2 mm, as if measured so, in 8 bits: small enough for a click."""
    import nibabel
    import numpy as np

    from medsr_course.physics import grid
    from medsr_course.scans import datasets, volumes

    image = volumes.to_ras(datasets.load("mni152")[0].contrasts["T1w"])
    data = np.asarray(image.dataobj, np.float32)
    for axis in range(3):
        data = grid.crop_axis(np.take(data, range(data.shape[axis] // 2 * 2), axis), data.shape[axis] // 2, axis)
    grey = np.clip(data / np.percentile(data[data > 0], 99.5) * 240, 0, 255).round().astype(np.uint8)
    return nibabel.Nifti1Image(grey, volumes.scaled_affine(image.affine, 0.5))


def _series(image: "nibabel.Nifti1Image") -> bytes:
    """A volume (RAS+) as a DICOM series, in an order that means nothing; before each file its length in four bytes."""
    import numpy as np
    import pydicom
    from nibabel.affines import apply_affine

    voxels, affine = np.asarray(image.dataobj), image.affine
    last = [n - 1 for n in voxels.shape[:2]]
    files = []
    for k in range(voxels.shape[2]):
        item = pydicom.Dataset()
        item.SOPClassUID, item.SOPInstanceUID = pydicom.uid.MRImageStorage, f"2.25.1{k:03d}"
        item.StudyInstanceUID, item.SeriesInstanceUID, item.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
        item.Modality, item.PatientName, item.PatientID = "MR", "Template^ICBM", "152"
        right, front, top = apply_affine(affine, [*last, k])
        item.ImagePositionPatient = [-float(right), -float(front), float(top)]
        item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        item.PixelSpacing = [float(affine[1, 1]), float(affine[0, 0])]
        pixels = voxels[::-1, ::-1, k].T
        item.Rows, item.Columns = pixels.shape
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 8, 8, 7, 0
        item.PixelData = pixels.tobytes()
        item.file_meta = pydicom.dataset.FileMetaDataset()
        item.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        buffer = io.BytesIO()
        item.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    shuffled = (files[k] for k in np.random.default_rng(0).permutation(len(files)))
    return b"".join(len(file).to_bytes(4, "little") + file for file in shuffled)


def _pack(path: Path, name: str, content: bytes) -> int:
    text = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    path.write_text(f'medsrPacked.take("{name}", "{text}");\n', encoding="ascii")
    return path.stat().st_size
