"""The board of chapter 10: thin slices from thick ones."""

from functools import partial

import numpy as np
import numpy.typing as npt

from medsr_course import runtime
from medsr_course.leaderboard import scans
from medsr_course.leaderboard.board import Board, Entry, Row
from medsr_course.leaderboard.scans import CT, Request, Scan
from medsr_course.networks import pretrained
from medsr_course.physics import metrics
from medsr_course.scans import volumes
from medsr_course.tasks import superresolution, thick_slices
from medsr_course.types import Image

SLAB, ROWS = thick_slices.STANDARD, 64
BACK_PROJECT = partial(thick_slices.back_project, slab=SLAB, iterations=16)
CLASSICAL = (
    Entry("cubic", "Cubic", partial(thick_slices.cubic, spacing=SLAB.spacing)),
    Entry("back-projection", "Cubic + back-projection", BACK_PROJECT),
    Entry("smoothest", "Smoothest explanation", partial(thick_slices.smooth, slab=SLAB)),
)
AVERAGED = "convlstm-z4"  # measured as the average over eight flips, too
WEIGHTS = (1e-4, 3e-4, 1e-3, 3e-3)  # λ of total variation, what is tried


def measure(request: Request) -> list[Row]:
    """Rows of all methods on all MR scans; the middle :data:`ROWS` rows of each axial slice."""
    measured, tuning = scans.find(request, tuning=1, real=("real-scans",))
    chosen = {scan: _curve(scan) for scan in runtime.progress(tuning, "choosing λ", unit="scan")}
    entries = []
    for name in pretrained.names("slices"):
        card = pretrained.card(name)
        apply = partial(pretrained.thin_slices, name)
        entries.append(Entry(name, card.title.split(",")[0], apply, card.parameters))
    entries += [entry.best() for entry in entries if entry.name == AVERAGED]
    rows = []
    for scan in runtime.progress([scan for scan in measured if scan.group != CT], "thin slices", unit="scan"):
        image = scan.read()
        thin, thick = _pair(image, ROWS)
        scores = partial(_scores, thin, volumes.pixel_size(image))
        varied = partial(thick_slices.total_variation, slab=SLAB, weight=scans.choose(scan, chosen))
        for entry in (*CLASSICAL, Entry("cs-tv", "Total variation", varied, parameters=1), *entries):
            entry.apply(thick[:8])  # a session is made at the first call
            rows.append(entry.row(scan, "×4", thick, scores, thin.size))
    return rows


def _pair(image: Image, rows: int) -> tuple[npt.NDArray, npt.NDArray]:
    """Thin slices, their middle rows, and thick ones of them."""
    thin = thick_slices.trim(volumes.to_stack(image).astype(np.float32), SLAB.spacing)
    thin = thin[:, max(0, (thin.shape[1] - rows) // 2) :][:, :rows]
    return thin, thick_slices.thicken(thin, SLAB)


def _curve(scan: Scan) -> dict[float, float]:
    thin, thick = _pair(scan.read(), 16)
    return {weight: metrics.psnr(thin, thick_slices.total_variation(thick, SLAB, weight)) for weight in WEIGHTS}


def _scores(thin: npt.NDArray, pixel_size: float, result: npt.NDArray) -> Row:
    # SSIM seen from the front, where the steps are.
    ssim = float(metrics.ssim(thin.swapaxes(0, 1), result.swapaxes(0, 1)))
    return superresolution.psnrs(thin, result, pixel_size=pixel_size) | {"ssim": ssim}


BOARD = Board(
    task="slices",
    title="Thin slices from thick ones, ×4",
    intro=(
        f"Axial slices are made thick ({SLAB}, in slices of the scan) and restored. All slices count, and the middle "
        f"{ROWS} rows of each. PSNR over the whole of one scan, all voxels and inside the head; SSIM of coronal "
        "sections. Iterations of back-projection, the smoothness and (for each kind of scan) λ of total variation were "
        "chosen on validation scans. Networks were trained for just this profile; *best* is the average over the eight "
        "flips of the volume."
    ),
    metrics={
        "psnr": ("PSNR (dB)", ".2f", "up"),
        "psnr_head": ("PSNR, head (dB)", ".2f", "up"),
        "ssim": ("SSIM", ".4f", "up"),
    },
    reference="back-projection",
    measure=measure,
)
