"""What will be done to a scan, decided before any of it is: the grid, the network, memory, time, and whether at all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.networks import pretrained
from medsr_course.pipeline import memory
from medsr_course.runtime import CourseError
from medsr_course.scans import domain, spool, volumes
from medsr_course.scans.domain import header
from medsr_course.types import Array, Image

TASKS = ("super-resolution", "denoise", "thin-slices", "segment")
AXES = ("in-plane", "through-plane", "auto")
QUALITIES = ("fast", "standard", "best")
ALIKE = 1.5  # axes whose steps differ by less are taken to be equally fine
THICK = 2.5  # times the pixel: slices at least that thick are what is made thinner
SPEED = 35e9  # multiplications a second and core, measured on two cores with ONNX Runtime
STARTING = 3.0  # seconds for imports and reading
EACH_VOXEL = 2e-7  # seconds for transforms, writing and packing a voxel of the result, of ZIP and of their difference


class Refusal(CourseError):
    """A scan that is not treated, or not treated like this; nothing is written."""


@dataclass(frozen=True)
class Options:
    """What is asked for.

    ``scale`` None is 2 in-plane and 4 through-plane. ``max_memory`` is in bytes. ``keep_grid`` returns the result on
    the grid of the input.
    """

    task: str = "super-resolution"
    scale: int | None = None
    axes: str = "auto"
    quality: str = "standard"
    keep_grid: bool = False
    max_memory: int | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("task", self.task, TASKS), ("axes", self.axes, AXES),
                                   ("quality", self.quality, QUALITIES)):  # fmt: skip
            if value not in known:
                raise CourseError(f"--{what} {value}: choose one of {', '.join(known)}")


@dataclass(frozen=True)
class Plan:
    """What will be done; :meth:`lines` says it in words.

    ``options`` have no "auto" and no None left but ``max_memory``; ``order`` are the axes of the image that are the
    slices, rows and columns of a stack; ``fine`` is the shape that is computed, ``shape`` and ``affine`` those of the
    result, which differ from it with ``keep_grid``; ``thickness`` is that of a slice in parts of the distance between
    slices; ``block`` and ``tile`` are in pixels, ``memory`` and ``disk`` in bytes, ``seconds`` a rough guess.
    """

    options: Options
    network: str
    order: tuple[int, int, int]
    shape_in: tuple[int, int, int]
    affine_in: Array
    fine: tuple[int, int, int]
    shape: tuple[int, int, int]
    affine: Array
    thickness: float
    block: int
    tile: int
    memory: int
    disk: int
    seconds: float
    verdict: domain.Verdict
    notes: tuple[str, ...] = ()

    @property
    def is_finer(self) -> bool:
        """Whether the result's grid is finer than the input's."""
        return self.shape != self.shape_in

    def lines(self) -> list[str]:
        """Returns the plan in words, a line each."""
        what = self.options.task
        if what == "super-resolution":
            what += f" ×{self.options.scale} {self.options.axes}"
        return [
            f"task      {what}, network {self.network}, quality {self.options.quality}",
            f"input     {_grid(self.shape_in, self.affine_in)}",
            f"output    {_grid(self.shape, self.affine)}",
            f"takes     about {self.seconds:.0f} s, {memory.text(self.memory)} of memory, "
            f"{memory.text(self.disk)} of disk (part of it only while it runs)",
            f"domain    {self.verdict.status}",
            *(f"          {reason.words}" for reason in self.verdict.reasons),
            *(f"note      {note}" for note in self.notes),
        ]


def plan(image: Image, options: Options, *, sidecar: Mapping[str, Any] | None = None, name: str = "") -> Plan:
    """Decides what will be done to a scan.

    Parameters
    ----------
    image : nibabel image, 3-D
    options : Options
    sidecar : mapping, optional
        What is known of the scan, as in a BIDS sidecar: SliceThickness and SpacingBetweenSlices in mm, Modality …
    name : str
        Of the file, for messages and hints.

    Raises
    ------
    Refusal
        If it is not clear which axes are meant, or the image has none that could be made finer.
    CourseError
        If no network does what is asked, or ``max_memory`` is too little.
    """
    sidecar = sidecar or {}
    shape, affine = tuple(int(size) for size in image.shape), np.asarray(image.affine, float)
    if len(shape) != 3 or 0 in shape:
        raise Refusal(f"{name or 'the image'} has the shape {shape}: give one volume of three axes")
    across = slice_axis(image, sidecar)
    thickness = _thickness(volumes.voxel_sizes(image)[across], sidecar)
    options = _resolved(options, image, across, thickness)
    rows, columns = sorted({0, 1, 2} - {across}, reverse=True)
    order = (2, 1, 0) if options.task == "segment" else (across, rows, columns)
    network = _network(options)
    scale = options.scale or 1
    finer = {"in-plane": (rows, columns), "through-plane": (across,)}[options.axes] if scale > 1 else ()
    a, b, c = (size * (scale if axis in finer else 1) for axis, size in enumerate(shape))
    fine = (a, b, c)
    kept = options.keep_grid or scale == 1
    count, voxels = int(np.prod(fine)), int(np.prod(shape))
    base = memory.BASE + 11 * voxels
    thin = options.axes == "through-plane"
    one = count // shape[rows if thin else across]  # pixels of the result in a row of all slices, or in a slice
    block, tile = memory.shares(base, options.max_memory, memory.BAND if thin else spool.BLOCK, one)
    times = (2 if thin else 1) * (8 if options.quality == "best" else 1)  # windows overlap; eight symmetries
    effort = times * pretrained.card(network).parameters * voxels
    seconds = STARTING + 1.3 * effort / (SPEED * runtime.cpu_count()) + EACH_VOXEL * count
    return Plan(
        options=options,
        network=network,
        order=order,
        shape_in=(shape[0], shape[1], shape[2]),
        affine_in=affine,
        fine=fine,
        shape=(shape[0], shape[1], shape[2]) if kept else fine,
        affine=affine if kept else volumes.scaled_affine(affine, scale, finer),
        thickness=thickness,
        block=block,
        tile=tile,
        memory=base + memory.taken(min(block, count), min(tile, 2 * voxels)),
        disk=memory.TEMPORARY * count + 3 * 4 * (voxels if kept else count),
        seconds=seconds,
        verdict=domain.judge(image, task=options.task, axes=options.axes, sidecar=dict(sidecar), name=name),
        notes=tuple(_notes(options, fine, affine, finer)),
    )


def slice_axis(image: Image, sidecar: Mapping[str, Any]) -> int:
    """Returns the axis of an image along which its slices follow each other.

    The one with a single sample; else the coarsest, where it is clearly coarser; else the one whose step the sidecar
    gives as the distance of the slices; else the one nearest to the body's long axis.
    """
    single = [axis for axis, size in enumerate(image.shape) if size == 1]
    if len(single) > 1:
        raise Refusal(f"an image of shape {tuple(image.shape)} is a line of voxels, not a slice")
    if single:
        return single[0]
    sizes = volumes.voxel_sizes(image)
    middle, largest = np.sort(sizes)[1:]
    if largest > 1.02 * middle:
        return int(np.argmax(sizes))
    step = _number(sidecar, "SpacingBetweenSlices") or _number(sidecar, "SliceThickness")
    fitting = [axis for axis in range(3) if step and abs(sizes[axis] - step) < 0.01 * step]
    if len(fitting) == 1:
        return fitting[0]
    return int(np.argmax(np.abs(np.asarray(image.affine)[2, :3] / sizes)))


def _thickness(step: float, sidecar: Mapping[str, Any]) -> float:
    """Thickness of a slice in parts of the distance between slices; 1 where the file does not say."""
    thick = _number(sidecar, "SliceThickness")
    return thick / float(step) if thick else 1.0


def _number(sidecar: Mapping[str, Any], key: str) -> float | None:
    value = header.number(sidecar, key)
    return value if value and 0 < value < 1e3 else None


def _resolved(options: Options, image: Image, across: int, thickness: float) -> Options:
    """The options without "auto" and None."""
    if options.task in ("denoise", "segment"):
        if options.scale not in (None, 1):
            raise CourseError(f"--task {options.task} keeps the grid: leave --scale out")
        return replace(options, axes="in-plane", scale=1)
    axes = options.axes
    if options.task == "thin-slices":
        if axes == "in-plane":
            raise CourseError("--task thin-slices works through-plane: leave --axes out")
        axes = "through-plane"
    if axes == "auto":
        axes = _decided(image, across, thickness)
    if axes == "through-plane" and image.shape[across] < 2:
        raise Refusal("a single slice cannot be made thinner: take --axes in-plane")
    return replace(options, axes=axes, scale=options.scale or (4 if axes == "through-plane" else 2))


def _decided(image: Image, across: int, thickness: float) -> str:
    """Which axes are made finer where nobody said."""
    sizes = volumes.voxel_sizes(image)
    step, (fine, coarse) = sizes[across], np.sort(np.delete(sizes, across))
    if image.shape[across] == 1:
        return "in-plane"
    slices = max(1.0, thickness) * step / coarse  # thicker than they are apart: overlapping, or interpolated
    if coarse < ALIKE * fine:
        if slices < ALIKE:
            return "in-plane"
        if slices >= THICK and thickness <= ALIKE:
            return "through-plane"
    told = " × ".join(f"{size:.3g}" for size in sizes) + " mm"
    thick = f", slices {thickness * step:.3g} mm thick" if abs(thickness - 1) > 0.01 else ""
    raise Refusal(
        f"voxels of {told}{thick}: it is not clear which axes to make finer; say --axes in-plane "
        "(the two finest) or --axes through-plane (the slices)"
    )


def _network(options: Options) -> str:
    """Name of the network for a task."""
    if options.task == "denoise":
        return "dncnn-magnitude"
    if options.task == "segment":
        return "unet-tissue"
    if options.axes == "through-plane":
        stem, known = "convlstm-z", pretrained.names("slices")
    else:
        stem, known = "espcn-x" if options.quality == "fast" else "srresnet-x", pretrained.names("super-resolution")
    if f"{stem}{options.scale}" not in known:
        scales = [name.removeprefix(stem) for name in known if name.startswith(stem)]
        able = " or ".join(scales)
        raise CourseError(f"--scale {options.scale}: there is no such network {options.axes}; take {able}")
    return f"{stem}{options.scale}"


def _notes(options: Options, fine: tuple[int, ...], affine: Array, finer: tuple[int, ...]) -> list[str]:
    """What the reader should know besides."""
    notes = []
    if finer:
        grown = (1 - 1 / (options.scale or 1)) * np.linalg.norm(affine[:3, :3], axis=0)[list(finer)]
        notes.append(
            "the first voxel's centre stays where it is; so the field of view ends "
            + " and ".join(f"{size:.3g} mm" for size in sorted(set(grown.round(6))))
            + " farther on at the other end, measured from centre to centre"
        )
    if options.keep_grid and finer:
        notes.append("the result goes back onto the input's grid: what is finer than its voxels is lost again")
    slow = options.task == "denoise" or options.axes == "through-plane"  # there is no smaller network
    if (options.task == "segment" and options.quality != "standard") or (slow and options.quality == "fast"):
        notes.append(f"there is one network for this: --quality {options.quality} changes nothing")
    return notes


def _grid(shape: tuple[int, ...], affine: Array) -> str:
    sizes = " × ".join(f"{size:.4g}" for size in np.linalg.norm(affine[:3, :3], axis=0))
    return f"{' × '.join(map(str, shape))} voxels of {sizes} mm"
