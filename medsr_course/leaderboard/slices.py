"""The board of chapter 10: thin slices from thick ones."""

import time

import numpy as np

from medsr_course.leaderboard.tasks import Board
from medsr_course.networks import pretrained
from medsr_course.physics import metrics
from medsr_course.runtime import CourseError
from medsr_course.scans import datasets, volumes
from medsr_course.tasks import superresolution, thick_slices

SLAB, ITERATIONS, ROWS = thick_slices.STANDARD, 16, 64
CLASSICAL = {
    "cubic": ("Cubic", lambda thick: thick_slices.cubic(thick, SLAB.spacing)),
    "back-projection": ("Cubic + back-projection", lambda thick: thick_slices.back_project(thick, SLAB, ITERATIONS)),
    "smoothest": ("Smoothest explanation", lambda thick: thick_slices.smooth(thick, SLAB)),
}


def methods():
    """Name → (title, function of the thick slices, parameters)."""
    found = {name: (title, apply, 0) for name, (title, apply) in CLASSICAL.items()}
    for name in pretrained.names("slices"):
        card = pretrained.card(name)
        title = card.title.split(",")[0]
        found[name] = title, lambda thick, name=name: pretrained.thin_slices(name, thick), card.parameters
    return found


def scans():
    """What is measured: (data, subject, contrast, nibabel image) of test subjects and real MR scans."""
    for person in datasets.load("cohort", n_subjects=24).select("test"):
        for contrast, image in person.contrasts.items():
            yield "cohort, test", person.id, contrast, image
    try:
        people = datasets.load("real-scans")
    except CourseError:
        return
    for person in people:
        for contrast, image in person.contrasts.items():
            if contrast != "CT":
                yield f"real MR, {person.split}", person.id, contrast, image


def measure():
    """Rows of all methods on all scans; the middle :data:`ROWS` rows of each axial slice."""
    rows, every = [], methods()
    for data, subject, contrast, image in scans():
        thin = thick_slices.trim(volumes.to_stack(image).astype(np.float32), SLAB.spacing)
        thin = thin[:, max(0, (thin.shape[1] - ROWS) // 2) :][:, :ROWS]
        thick = thick_slices.thicken(thin, SLAB)
        for name, (title, apply, parameters) in every.items():
            apply(thick[:8])  # a session is made at the first call
            began = time.perf_counter()
            result = apply(thick)
            seconds = time.perf_counter() - began
            rows.append(
                {
                    "method": name,
                    "title": title,
                    "data": data,
                    "setting": "×4",
                    "subject": subject,
                    "contrast": contrast,
                    **superresolution.psnrs(thin, result, pixel_size=volumes.pixel_size(image)),
                    # Seen from the front, where the steps are.
                    "ssim": float(metrics.ssim(thin.swapaxes(0, 1), result.swapaxes(0, 1))),
                    "seconds_per_megavoxel": seconds / (thin.size / 1e6),
                    "parameters": parameters,
                }
            )
    return rows


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
