"""The board of tissue segmentation: what a scan has been through before the shipped U-Net sees it; the mixture."""

import time

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard.tasks import Board
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import segment_with
from medsr_course.physics import acquisition, grid, interpolation
from medsr_course.scans import datasets, volumes
from medsr_course.tasks import segmentation

SCALE = 4
SLICES = 24  # a block of neighbours, from 45 % of the way up
NETWORK = "unet-tissue"
FORMS = {  # name → title, and how the block comes back from its coarse version
    "lr": ("U-Net on LR, pixels as blocks", lambda coarse: interpolation.nearest(coarse, SCALE)),
    "zip": ("U-Net on ZIP", lambda coarse: interpolation.zero_fill(coarse, SCALE)),
    "srresnet": ("U-Net on SRResNet ×4", lambda coarse: pretrained.super_resolve("srresnet-x4", coarse)),
    "srgan": ("U-Net on SRGAN ×4", lambda coarse: pretrained.super_resolve("srgan-x4", coarse)),
}


def measure():
    """Rows of the board: the cohort's test subjects against their labels, real scans against the fine scan's labels."""
    people = [("cohort, test", s) for s in datasets.load("cohort", n_subjects=24).select("test")]
    try:
        scans = datasets.load("real-scans")
    except runtime.CourseError:
        scans = []
    people += [(f"real, {s.split}", s) for s in scans if "T1w" in s.contrasts]
    rows = []
    for data, subject in runtime.progress(people, "segmentation", unit="subject"):
        rows += _of_subject(data, subject)
    return rows


def _of_subject(data, subject):
    scan = subject.contrasts["T1w"]
    whole = volumes.to_stack(scan).astype(np.float32)
    unit = grid.intensity(whole)[1]
    spacing = (volumes.slice_spacing(scan), volumes.pixel_size(scan), volumes.pixel_size(scan))
    first = int(0.45 * len(whole))
    part = np.s_[first : first + SLICES, : whole.shape[1] // SCALE * SCALE, : whole.shape[2] // SCALE * SCALE]
    block = whole[part]
    network = pretrained.network(NETWORK)
    coarse = acquisition.kspace_crop(block, SCALE)
    found, seconds = {}, {}
    for name, (_, restore) in FORMS.items():
        restored = restore(coarse)
        began = time.perf_counter()
        found[name] = segment_with(network, restored, unit=unit)
        seconds[name] = time.perf_counter() - began
    fine = segment_with(network, block, unit=unit)
    if data.startswith("cohort"):
        every = segmentation.tissues(volumes.to_stack(subject.labels).astype(np.uint8))
        truth, found["hr"] = every[part], fine
        inside = np.isin(every, (*segmentation.BRAIN, segmentation.IGNORED))
        mask, field = inside[part], segmentation.bias_field(whole, inside)[part]
    else:  # nobody labelled these: the reference is what the network says of the fine scan
        truth, mask = fine, np.isin(fine, segmentation.BRAIN)
        field = segmentation.bias_field(block, mask)
    began = time.perf_counter()
    found["mixture"] = segmentation.mixture(block, mask, field=field, components=3, beta=0.5)
    seconds["mixture"] = time.perf_counter() - began
    titles = {name: title for name, (title, _) in FORMS.items()} | {
        "hr": "U-Net on HR",
        "mixture": "Gaussian mixture on HR, N4, brain given",
    }
    counted = truth != segmentation.IGNORED
    true_volume = segmentation.volumes_ml(truth, spacing=spacing)
    parameters = pretrained.card(NETWORK).parameters
    rows = []
    for name, labels in found.items():
        overlap = {k: segmentation.dice(truth, labels, k) for k in segmentation.BRAIN}
        volume = segmentation.volumes_ml(np.where(counted, labels, 0), spacing=spacing)
        rows.append(
            {
                "method": name,
                "title": titles[name],
                "data": data,
                "setting": "T1w, ×4 in the slice",
                "subject": subject.id,
                "contrast": "T1w",
                "dice": float(np.mean(list(overlap.values()))),
                "dice_csf": overlap[1],
                "dice_grey": overlap[2],
                "dice_white": overlap[3],
                "hd95_white": segmentation.hausdorff95(truth, labels, 3, spacing=spacing),
                "volume_grey": 100 * abs(volume[2] / true_volume[2] - 1) if true_volume[2] else None,
                "flicker": 100 * segmentation.flicker(np.where(counted, labels, 0)),
                "parameters": 0 if name == "mixture" else parameters,
                "seconds_per_megavoxel": 1e6 * seconds[name] / block.size if name in seconds else None,
            }
        )
    return rows


BOARD = Board(
    task="segmentation",
    title="Segmentation",
    intro=(
        f"Cerebrospinal fluid, grey and white matter of T1-weighted scans by the network `{NETWORK}`, trained on "
        f"fine images; {SLICES} neighbouring axial slices a scan, made {SCALE} times coarser within the slice by "
        "k-space cropping and brought back by each method. **Cohort:** against the true labels. **Real scans:** nobody "
        "labelled them, so the reference is what the same network says of the fine scan; this measures agreement, not "
        "truth. The Gaussian mixture reads the fine image and is told where the brain is (cohort: the truth; real "
        "scans: the network's brain)."
    ),
    metrics={
        "dice": ("Dice, mean of three", ".3f", "up"),
        "dice_csf": ("Dice CSF", ".3f", "up"),
        "dice_grey": ("Dice grey matter", ".3f", "up"),
        "dice_white": ("Dice white matter", ".3f", "up"),
        "hd95_white": ("HD95 white matter (mm)", ".2f", "down"),
        "volume_grey": ("grey matter volume, error (%)", ".1f", "down"),
        "flicker": ("flicker (%)", ".2f", "down"),
    },
    reference="zip",
    measure=measure,
)
