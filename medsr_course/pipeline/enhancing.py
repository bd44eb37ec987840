"""The work itself: an image through a network, block by block, and the same grid without a network beside it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsr_course import __version__, runtime
from medsr_course.networks import pretrained
from medsr_course.networks.pretrained import told
from medsr_course.networks.pretrained.common import Network, batch_size
from medsr_course.networks.pretrained.superresolution import resized
from medsr_course.networks.pretrained.tiles import tiled
from medsr_course.physics import grid
from medsr_course.pipeline.plan import Options, Plan, Refusal, plan
from medsr_course.scans import volumes
from medsr_course.scans.scanfiles.storing import finer_header
from medsr_course.scans.spool import Difference, Spool, blocks
from medsr_course.tasks import thick_slices
from medsr_course.types import Image, Stack

if TYPE_CHECKING:  # nibabel is loaded where it is used
    import nibabel

MOST_MEASURED = 1 << 23  # voxels from which intensity scale and noise are taken: of larger images, evenly spread slices
REACH = 16  # pixels: farther no network for thick slices reaches in eight steps
CLASSICAL = {  # what ``Result.zip`` is
    "in-plane": "zero-filling (ZIP)",
    "through-plane": "back-projection through the slice profile",
    "denoise": "the input",
}


@dataclass(frozen=True, eq=False)
class Result:
    """What came out of a plan.

    ``image``, ``zip`` (the classical method, without a network) and ``added``, their difference, are nibabel images
    on one grid, float32; ``source`` is the input. ``labels`` is what a segmentation gives instead, uint8, and the
    three are then the input itself, twice, and nothing added. ``provenance`` says what was done, in plain words and
    numbers.
    """

    image: Image
    zip: Image
    added: Image
    source: Image
    plan: Plan
    provenance: dict[str, str | int | float]
    labels: Image | None = None


def enhance(
    image: Image,
    task: str = "super-resolution",
    *,
    scale: int | None = None,
    axes: str = "auto",
    quality: str = "standard",
    keep_grid: bool = False,
    max_memory: int | None = None,
) -> "nibabel.Nifti1Image":
    """Returns a scan made finer, cleaner, thinner or segmented, in its place in the world.

    Parameters
    ----------
    image : nibabel image, 3-D, real, finite
    task : {"super-resolution", "denoise", "thin-slices", "segment"}
    scale : int, optional
        How many times finer; by default 2 in-plane, 4 through-plane.
    axes : {"auto", "in-plane", "through-plane"}
        "auto" decides from the voxel sizes, and refuses where they do not tell.
    quality : {"standard", "fast", "best"}
    keep_grid : bool
        Return the result on the input's grid.
    max_memory : int, optional
        In bytes.

    Returns
    -------
    nibabel.Nifti1Image
        float32 (labels: uint8), in memory, in the input's orientation: the centre of voxel (0, 0, 0) stays in place.

    Raises
    ------
    Refusal
        If the image is none that can be treated, or "auto" cannot decide.
    CourseError
        If no network does what is asked.
    """
    result = run(image, plan(image, Options(task, scale, axes, quality, keep_grid, max_memory)), progress=False)
    found = result.image if result.labels is None else result.labels
    return volumes.make_image(np.asarray(found.dataobj), found.affine, like=image)


def run(image: Image, plan: Plan, *, progress: bool = True, folder: Path | None = None) -> Result:
    """Carries out a plan for the image it was made for.

    Parameters
    ----------
    image : nibabel image
    plan : Plan
    progress : bool
        Show a bar.
    folder : path, optional
        Where the result lies, without a name, until it is written; by default the system's folder for such files.

    Returns
    -------
    Result
        Its images lie on disk: what is indexed is read.
    """
    stack = np.asanyarray(image.dataobj).transpose(plan.order)
    if np.iscomplexobj(stack) or stack.dtype.kind not in "biuf":
        raise Refusal(f"expected real numbers, got {stack.dtype}: take the magnitude, or one channel")
    provenance = _provenance(plan)
    if plan.options.task == "segment":
        return _segmented(image, plan, provenance, progress)
    fine, classical = (Spool(plan.shape, plan.order, folder) for _ in range(2))
    if plan.options.task == "denoise":
        _denoise(stack, plan, fine, classical, progress)
    elif plan.options.axes == "through-plane":
        kept = _thin(stack, plan, fine, classical, progress)
    else:
        kept = _finer(stack, plan, fine, classical, progress)
    if plan.options.keep_grid and plan.fine != plan.shape:
        provenance["kept"] = f"{100 * kept:.2g} % (root mean square) of what the network added is left on this grid"
    made, plain, added = (_image(data, plan, image) for data in (fine, classical, Difference(fine, classical)))
    return Result(made, plain, added, image, plan, provenance)


def _image(data: Any, plan: Plan, like: Image) -> "nibabel.Nifti1Image":
    """An image on the plan's grid, whose header follows the input's."""
    import nibabel

    header = finer_header(like, plan.shape)
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    header.set_data_dtype(data.dtype)
    header.set_slope_inter(1, 0)
    return kind(data, plan.affine, header)


def _measured(stack: Stack) -> Stack:
    """The slices from which intensity scale and noise are taken, float32."""
    step = -(-stack.size // MOST_MEASURED)
    chosen = stack[step // 2 :: step] if step < len(stack) else stack[len(stack) // 2 :][:1]
    return pretrained.checked_stack(chosen)


def _finer(stack: Stack, plan: Plan, fine: Spool, classical: Spool, progress: bool) -> float:
    """In-plane super-resolution; the share of what was added that is left on the input's grid."""
    scale = plan.options.scale or 1
    options = pretrained.usage(pretrained.card(plan.network)) | {"quality": _quality(plan)}
    like = told.look(_measured(stack), pretrained.USE)
    network = tiled(_network(plan), plan.tile)
    _, h, w = stack.shape
    # Blocks of whole batches: what a network is given at a time does not depend on the blocks.
    together = batch_size(like.stack.shape[1], like.stack.shape[2], scale**2 if options["zero_filled"] else 1)
    like = replace(like, stack=like.stack[:0])
    left = added = 0.0
    for part in _bar(len(stack), scale**2 * h * w, plan, progress, together):
        block = pretrained.checked_stack(stack[part])
        plain = resized(block, scale * h, scale * w)
        made = pretrained.super_resolve_with(network, block, like=like, **options)
        if plan.options.keep_grid:
            added += float(np.square(made - plain, dtype=np.float64).mean())
            made, plain = resized(made, h, w), block
            left += float(np.square(made - plain, dtype=np.float64).mean())
        fine.write(part.start, made)
        classical.write(part.start, plain)
    return (left / added) ** 0.5 if added else 0.0


def _denoise(stack: Stack, plan: Plan, fine: Spool, classical: Spool, progress: bool) -> None:
    options = pretrained.usage(pretrained.card(plan.network)) | {"quality": _quality(plan)}
    like = told.look(_measured(stack))
    like = replace(like, stack=like.stack[:0])
    network = tiled(_network(plan), plan.tile)
    for part in _bar(len(stack), stack[0].size, plan, progress):
        block = pretrained.checked_stack(stack[part])
        fine.write(part.start, pretrained.denoise_with(network, block, like=like, **options))
        classical.write(part.start, block)


def _network(plan: Plan) -> Network:
    """The network in the engine that :func:`pretrained.engine` names."""
    return pretrained.network(plan.network, quick=True)


def _quality(plan: Plan) -> str:
    """The quality as networks know it: for "fast" there is another network."""
    return "best" if plan.options.quality == "best" else "standard"


def _thin(stack: Stack, plan: Plan, fine: Spool, classical: Spool, progress: bool) -> float:
    """Thin slices, in bands of rows; the share of what was added that is left on the input's grid."""
    scale = plan.options.scale or 1
    options = pretrained.usage(pretrained.card(plan.network)) | {"quality": _quality(plan)}
    slab: thick_slices.Slab = options.pop("slab")
    slab = thick_slices.Slab(slab.spacing, float(np.clip(plan.thickness, 0.5, 1.5)) * slab.spacing, slab.shape)
    unit = grid.intensity(_measured(stack))
    network = _network(plan)
    forward = thick_slices.matrix(len(stack), slab)
    n, h, w = stack.shape
    left = added = 0.0
    # A window of few slices still fills the network: its pixels bound the rows, too.
    row = max(scale * n * w, options["sequence"] * w * plan.block // (3 * plan.tile))
    for part in _bar(h, row, plan, progress):
        first, stop = max(0, part.start - REACH), min(h, part.stop + REACH)
        band = pretrained.checked_stack(stack[:, first:stop])
        inner = slice(part.start - first, part.stop - first)
        made = pretrained.thin_slices_with(network, band, slab, unit=unit, **options)[:, inner]
        band = band[:, inner]
        plain = thick_slices.back_project(band, slab, options["iterations"])
        if plan.options.keep_grid:
            added += float(np.square(made - plain, dtype=np.float64).sum()) / scale
            made, plain = np.tensordot(forward, made, 1).astype(np.float32), band
            left += float(np.square(made - plain, dtype=np.float64).sum())
        fine.write_rows(part.start, made)
        classical.write_rows(part.start, plain)
    return (left / added) ** 0.5 if added else 0.0


def _segmented(image: Image, plan: Plan, provenance: dict[str, str | int | float], progress: bool) -> Result:
    import nibabel

    stack = volumes.to_stack(image)
    offset, unit = grid.intensity(_measured(stack))
    labels = np.zeros(stack.shape, np.uint8)
    network = tiled(_network(plan), plan.tile)
    for part in _bar(len(stack), stack[0].size, plan, progress):
        block = pretrained.checked_stack(stack[part])
        labels[part] = pretrained.segment_with(network, block, unit=unit or None)
    ras: Any = volumes.from_stack(labels, image)
    ours, theirs = (nibabel.io_orientation(one.affine) for one in (ras, image))
    turned = ras.as_reoriented(nibabel.orientations.ornt_transform(ours, theirs))
    made = _image(np.asanyarray(turned.dataobj), plan, image)
    nothing = _image(np.zeros(plan.shape, np.float32), plan, image)
    return Result(image, image, nothing, image, plan, provenance, labels=made)


def _bar(count: int, each: int, plan: Plan, progress: bool, together: int = 1) -> Any:
    parts = list(blocks(count, each, plan.block, together))
    return runtime.progress(parts, plan.options.task, unit="block") if progress else parts


def _provenance(plan: Plan) -> dict[str, str | int | float]:
    """What is done, by what, in plain words and numbers."""
    about, options = pretrained.card(plan.network), plan.options
    file = next((name for name in (f"{about.name}.onnx", f"{about.name}.weights.h5") if name in about.files), "")
    found: dict[str, str | int | float] = {
        "task": options.task,
        "axes": options.axes,
        "scale": options.scale or 1,
        "quality": options.quality,
        "keep_grid": int(options.keep_grid),
        "network": about.name,
        "version": about.version,
        "checksum": about.files.get(file, ""),
        "engine": pretrained.engine(about.name),
        "software": f"medsr {__version__}",
        "without_network": CLASSICAL.get(options.task, CLASSICAL.get(options.axes, "")),
        "domain": plan.verdict.status,
        "not_for": "research, not for diagnosis",
    }
    for count, note in enumerate((*(reason.words for reason in plan.verdict.reasons), *plan.notes), 1):
        found[f"note_{count}"] = note
    return found
