"""The board of tissue segmentation: the shipped U-Net on scans restored in several ways; the mixture."""

from collections.abc import Callable

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import scans
from medsr_course.leaderboard.board import Board, Row, timed
from medsr_course.leaderboard.scans import Request, Scan
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import segment_with
from medsr_course.physics import acquisition, grid, interpolation
from medsr_course.scans import volumes
from medsr_course.tasks import segmentation

SCALE = 4
SLICES = 24  # a block of neighbours, from 45 % of the way up
NETWORK = "unet-tissue"
FORMS: dict[str, tuple[str, Callable]] = {  # name → title, and how the block comes back from its coarse version
    "lr": ("U-Net on LR, pixels as blocks", lambda coarse: interpolation.nearest(coarse, SCALE)),
    "zip": ("U-Net on ZIP", lambda coarse: interpolation.zero_fill(coarse, SCALE)),
    "srresnet": ("U-Net on SRResNet ×4", lambda coarse: pretrained.super_resolve("srresnet-x4", coarse)),
    "srgan": ("U-Net on SRGAN ×4", lambda coarse: pretrained.super_resolve("srgan-x4", coarse)),
}


def measure(request: Request) -> list[Row]:
    """Rows of the board: the cohort's test subjects against their labels, real scans against the fine scan's labels."""
    measured, _ = scans.find(request, tuning=0, real=("real-scans",), contrasts=("T1w",))
    rows = []
    for scan in runtime.progress([s for s in measured if s.contrast == "T1w"], "segmentation", unit="subject"):
        rows += _of_scan(scan)
    return rows


def _of_scan(scan: Scan) -> list[Row]:
    image = scan.read()
    whole = volumes.to_stack(image).astype(np.float32)
    unit = grid.intensity(whole)[1]
    spacing = (volumes.slice_spacing(image), volumes.pixel_size(image), volumes.pixel_size(image))
    first = int(0.45 * len(whole))
    part = np.s_[first : first + SLICES, : whole.shape[1] // SCALE * SCALE, : whole.shape[2] // SCALE * SCALE]
    block = whole[part]
    network = pretrained.network(NETWORK)
    coarse = acquisition.kspace_crop(block, SCALE)
    found: dict[str, tuple] = {}  # name → title, labels, seconds
    for name, (title, restore) in FORMS.items():
        restored = restore(coarse)
        found[name] = title, *timed(lambda stack=restored: segment_with(network, stack, unit=unit))
    fine = segment_with(network, block, unit=unit)
    if scan.data == "cohort":
        every = segmentation.tissues(volumes.to_stack(scan.labels()).astype(np.uint8))
        truth, found["hr"] = every[part], ("U-Net on HR", fine, None)
        inside = np.isin(every, (*segmentation.BRAIN, segmentation.IGNORED))
        mask, field = inside[part], segmentation.bias_field(whole, inside)[part]
    else:  # nobody labelled these: the reference is what the network finds in the fine scan
        truth, mask = fine, np.isin(fine, segmentation.BRAIN)
        field = segmentation.bias_field(block, mask)
    mixed, seconds = timed(lambda: segmentation.mixture(block, mask, field=field, components=3, beta=0.5))
    found["mixture"] = "Gaussian mixture on HR, N4, brain given", mixed, seconds
    counted = truth != segmentation.IGNORED
    true_volume = segmentation.volumes_ml(truth, spacing=spacing)
    parameters = pretrained.card(NETWORK).parameters
    rows: list[Row] = []
    for name, (title, labels, seconds) in found.items():
        overlap = {k: segmentation.dice(truth, labels, k) for k in segmentation.BRAIN}
        volume = segmentation.volumes_ml(np.where(counted, labels, 0), spacing=spacing)
        row: Row = {"method": name, "title": title, "data": scan.group.replace("real MR", "real")}
        row |= {"setting": "T1w, ×4 in the slice", "subject": scan.subject, "contrast": scan.contrast}
        row |= {"dice": float(np.mean(list(overlap.values())))}
        row |= {"dice_csf": overlap[1], "dice_grey": overlap[2], "dice_white": overlap[3]}
        row["hd95_white"] = segmentation.hausdorff95(truth, labels, 3, spacing=spacing)
        row["volume_grey"] = 100 * abs(volume[2] / true_volume[2] - 1) if true_volume[2] else None
        row["flicker"] = 100 * segmentation.flicker(np.where(counted, labels, 0))
        row["parameters"] = 0 if name == "mixture" else parameters
        row["seconds_per_megavoxel"] = None if seconds is None else 1e6 * seconds / block.size
        rows.append(row)
    return rows


BOARD = Board(
    task="segmentation",
    title="Segmentation",
    intro=(
        f"Cerebrospinal fluid, grey and white matter of T1-weighted scans by the network `{NETWORK}`, trained on "
        f"fine images; {SLICES} neighbouring axial slices a scan, made {SCALE} times coarser within the slice by "
        "k-space cropping and brought back by each method. **Cohort:** against the true labels. **Real scans:** nobody "
        "labelled them, so the reference is what the same network finds in the fine scan; this measures agreement, not "
        "truth. The Gaussian mixture receives the fine image and a mask of the brain (cohort: the truth; real scans: "
        "the network's brain)."
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
