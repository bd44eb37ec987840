"""The board of chapter 10: thin slices from thick ones."""

import numpy as np

from medsr_course import runtime
from medsr_course.leaderboard import scans
from medsr_course.leaderboard.board import Board, Entry, Row
from medsr_course.leaderboard.scans import CT, Request, Scan
from medsr_course.networks import pretrained
from medsr_course.physics import metrics
from medsr_course.scans import volumes
from medsr_course.tasks import superresolution, thick_slices

SLAB, ITERATIONS, ROWS = thick_slices.STANDARD, 16, 64
CLASSICAL = (
    Entry("cubic", "Cubic", lambda thick: thick_slices.cubic(thick, SLAB.spacing)),
    Entry(
        "back-projection",
        "Cubic + back-projection",
        lambda thick: thick_slices.back_project(thick, SLAB, ITERATIONS),
    ),
    Entry("smoothest", "Smoothest explanation", lambda thick: thick_slices.smooth(thick, SLAB)),
)


def measure(request: Request) -> list[Row]:
    """Rows of all methods on all MR scans; the middle :data:`ROWS` rows of each axial slice."""
    measured, _ = scans.find(request, real=("real-scans",))
    entries = [*CLASSICAL, *map(_network, pretrained.names("slices"))]
    rows = []
    for scan in runtime.progress([scan for scan in measured if scan.group != CT], "thin slices", unit="scan"):
        rows += _of_scan(scan, entries)
    return rows


def _network(name: str) -> Entry:
    card = pretrained.card(name)
    title = card["title"].split(",")[0]
    return Entry(name, title, lambda thick: pretrained.thin_slices(name, thick), card["parameters"])


def _of_scan(scan: Scan, entries: list[Entry]) -> list[Row]:
    image = scan.read()
    thin = thick_slices.trim(volumes.to_stack(image).astype(np.float32), SLAB.spacing)
    thin = thin[:, max(0, (thin.shape[1] - ROWS) // 2) :][:, :ROWS]
    thick = thick_slices.thicken(thin, SLAB)
    label = {"data": scan.group, "setting": "×4", "subject": scan.subject, "contrast": scan.contrast}

    def scores(result):
        # SSIM seen from the front, where the steps are.
        ssim = float(metrics.ssim(thin.swapaxes(0, 1), result.swapaxes(0, 1)))
        return superresolution.psnrs(thin, result, pixel_size=volumes.pixel_size(image)) | {"ssim": ssim}

    for entry in entries:
        entry.apply(thick[:8])  # a session is made at the first call
    return [entry.row(label, thick, scores, thin.size) for entry in entries]


BOARD = Board(
    task="slices",
    title="Thin slices from thick ones, ×4",
    intro=(
        f"Axial slices are made thick ({SLAB}, in slices of the scan) and restored. All slices count, and the middle "
        f"{ROWS} rows of each. PSNR over the whole of one scan, all voxels and inside the head; SSIM of coronal "
        "sections. Iterations of back-projection and the smoothness were chosen on validation scans. Networks were "
        "trained for just this profile."
    ),
    metrics={
        "psnr": ("PSNR (dB)", ".2f", "up"),
        "psnr_head": ("PSNR, head (dB)", ".2f", "up"),
        "ssim": ("SSIM", ".4f", "up"),
    },
    reference="back-projection",
    measure=measure,
)
