"""Networks of chapter 09 at equal processor time: ``python -m tools.architectures`` writes ``results/architectures``.

Each network is trained from nothing on the same stored ×2 pairs for the same processor time, since time is what a
reader has: a cheap network gets more steps. Learning rates are chosen for each on validation subjects of the cohort, in
trainings of :data:`TRY` of that time. Parts, see ``--only``: "controls" change one thing in one small network (pooling,
a dense layer, neighbouring slices, k-space without its corners); "architectures" are six published networks; "longer"
gives the two deep ones on the fine grid more time. Rows are written as they come; a run that was cut off goes
on. Minutes on one thread: about ``seconds`` / 60 for each of 17 + 18 trainings, and half as much again.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.leaderboard import markdown
from medsr_course.leaderboard.stored import by_seed
from medsr_course.networks import models, training
from medsr_course.networks.framework import keras, layers
from medsr_course.networks.models import common
from medsr_course.networks.pretrained import EDGE
from medsr_course.networks.training import pairs, sources
from medsr_course.physics import acquisition, coils, grid, interpolation, metrics
from medsr_course.scans import datasets, volumes
from medsr_course.tasks import superresolution
from medsr_course.types import Array, Image, Rng
from tools import command

SCALE, BATCH, MARGIN = 2, 16, 6  # patches in a batch; their margin that the loss leaves out, in fine pixels
RATES = (2e-3, 5e-3)
TRY = 0.4  # of the time of a training: how long a learning rate is tried
PAIRS = 192  # slices of a seed that patches are cut from, the same for every network
BLOCK = 12  # side of the block that the dense layer reads, in coarse pixels; sides are padded to a multiple of it
PEOPLE = 8  # test subjects of the cohort
INPUTS = ("rectangle", "ellipse")
LONGER = 4  # times the processor time, for the deep networks on the fine grid
Row = dict[str, Any]


def control(kind: str = "plain", slices: int = 1, seed: int = 0) -> Any:
    """Returns five convolutions on the coarse grid, "pooled" or with a "dense" layer in their midst, or "plain".

    "pooled": a 2 × 2 maximum after the first convolution, and its values repeated before the last. "dense": every block
    of 12 × 12 coarse pixels is squeezed into 128 numbers, and these make its fine pixels, as in the article's network;
    a dense layer on a block is a convolution with a kernel of its size. Maps ``(n, h, w, slices)`` to the residual over
    zero-filling of the middle slice, ``(n, 2h, 2w, 1)``.
    """
    image = keras.Input((None, None, slices), name="coarse")
    x = common.convolution(32, 5, seed, first=True)(image)
    x = layers.MaxPooling2D(2)(x) if kind == "pooled" else x
    for k in range(3):
        x = common.convolution(32, 3, seed + 1 + k)(x)
    x = layers.UpSampling2D(2)(x) if kind == "pooled" else x
    last, factor = common.last_convolution(SCALE**2, 3), SCALE
    if kind == "dense":
        x = common.convolution(128, BLOCK, seed + 4, strides=BLOCK)(x)
        factor = SCALE * BLOCK
        last = common.last_convolution(factor**2, 1)
    return keras.Model(image, common.residual_tail(x, last, factor), name=kind)


@dataclass(frozen=True)
class Entry:
    """A network that is compared: its title, how it is built from a seed, what it reads, and what it is trained on."""

    title: str
    build: Callable[[int], Any]
    slices: int = 1  # neighbouring slices that it reads
    ellipse: bool = False  # trained on k-space without corners
    rate_of: str = ""  # the network whose learning rate it takes
    times: float = 1  # the processor time

    def reads(self, coarse: Array, zipped: Array) -> Array:
        """What the network receives of a coarse ``(…, 3, h, w)`` and a zero-filled image: ``(…, h, w, channels)``."""
        if self.zero_filled:
            return zipped[..., None]
        return np.moveaxis(coarse if self.slices == 3 else coarse[..., 1:2, :, :], -3, -1)

    @property
    def zero_filled(self) -> bool:
        """Whether the network reads the zero-filled image."""
        return self.title.split(",")[0].lower() in models.ON_ZIP

    @property
    def size(self) -> int:
        """Side of a patch in coarse pixels: smaller where every pixel costs four times as much, as in the chapter."""
        return 16 if self.zero_filled else 24


def _built(name: str, **settings: int) -> Callable[[int], Any]:
    return lambda seed: models.build(name, scale=SCALE, seed=seed, **settings)


ARCHITECTURES = {
    "srcnn": Entry("SRCNN", _built("srcnn")),
    "fsrcnn": Entry("FSRCNN", _built("fsrcnn")),
    "espcn": Entry("ESPCN", _built("espcn")),
    "vdsr": Entry("VDSR", _built("vdsr")),
    "drcn": Entry("DRCN", _built("drcn")),
    "srresnet": Entry("small SRResNet", _built("srresnet", filters=32, blocks=2)),
}
CONTROLS = {
    "plain": Entry("plain convolutions", lambda seed: control(seed=seed)),
    "pooled": Entry("with pooling", lambda seed: control("pooled", seed=seed)),
    "dense": Entry("with a dense layer", lambda seed: control("dense", seed=seed)),
    "slices": Entry("three slices", lambda seed: control(slices=3, seed=seed), slices=3, rate_of="plain"),
    "ellipse": Entry("trained without corners", lambda seed: control(seed=seed), ellipse=True, rate_of="plain"),
}
LONG = {
    f"{name}-long": replace(ARCHITECTURES[name], title=f"{ARCHITECTURES[name].title}, longer", rate_of=name,
                            times=LONGER) for name in ("vdsr", "drcn")
}  # fmt: skip
PARTS = {"controls": CONTROLS, "architectures": ARCHITECTURES, "longer": LONG}
NETWORKS = {name: entry for part in PARTS.values() for name, entry in part.items()}


def without_corners(image: Array) -> Array:
    """Keeps of the k-space of a complex ``(…, h, w)`` the ellipse that just fits into its rectangle."""
    h, w = image.shape[-2:]
    return acquisition.from_kspace(acquisition.to_kspace(image) * acquisition.ellipse((h, w)))


def stored(fine: Array, phase: Array, ellipse: bool) -> Array:
    """What a file holds of ``(…, h, w)`` measured twice as coarse: a magnitude, with or without k-space's corners."""
    coarse = acquisition.kspace_crop(fine * np.exp(1j * phase), SCALE)
    return np.abs(without_corners(coarse) if ellipse else coarse).astype(np.float32)


def triples(image: Image, n: int, between: tuple[float, float]) -> Array:
    """Axial slices of :func:`volumes.axial_slices`, each between its two neighbours: float32 ``(n, 3, h, w)``."""
    ras = volumes.to_ras(image)
    count = ras.shape[2]
    near = np.clip(volumes.evenly(count, n, between)[:, None] + np.array([-1, 0, 1]), 0, count - 1)
    return np.moveaxis(np.asanyarray(ras.dataobj)[:, :, near], (2, 3), (0, 1)).swapaxes(2, 3).astype(np.float32)


# --- training -------------------------------------------------------------------------------------


@cache
def material() -> tuple[list[Array], Array]:
    """Triples of training subjects, cohort and ds002748, and their probabilities: half of the draws from each."""
    found: list[Array] = []
    share: list[float] = []
    for source, n in (("cohort", 8), ("ds002748", 20)):
        some: list[Array] = []
        for subject in sources.subjects(source, "train"):
            for image in subject.contrasts.values():
                stack = triples(image, n, pairs.BETWEEN)
                some += list((stack / grid.intensity(stack)[1]).astype(np.float16))
        found, share = found + some, share + [0.5 / len(some)] * len(some)
    return found, np.array(share)


def drawn(rng: Rng, ellipse: bool) -> tuple[Array, Array, Array, Array, np.float32]:
    """A coarse triple, the zero-filled middle, its residual, pixels that patches are cut around, and a weight."""
    image = pairs.chosen(*material(), rng)
    image = np.rot90(image, int(rng.integers(4)), axes=(1, 2))
    image = image[..., ::-1] if rng.random() < 0.5 else image
    image = pairs.another_contrast(grid.trim(image, SCALE), 1.3, 0.0, rng)
    coarse = stored(image, coils.smooth_phase(image.shape[-2:], rng), ellipse)
    zipped = interpolation.zero_fill(coarse[1], SCALE).astype(np.float32)
    residual, inside = image[1] - zipped, coarse[1] > grid.IN_HEAD
    centres = np.flatnonzero(inside if inside.any() else np.ones_like(inside))
    return coarse, zipped, residual, centres, pairs.balance(residual)


@cache
def pool(seed: int, ellipse: bool) -> list:
    """The pairs of a seed."""
    return [drawn(np.random.default_rng([seed, j]), ellipse) for j in range(PAIRS)]


def batches(entry: Entry, seed: int) -> Callable[[int], tuple[Array, Array, Array]]:
    """Returns batch k of patches: what the network reads, the residual, and weights."""
    size = entry.size

    def batch(k: int) -> tuple[Array, Array, Array]:
        rng, samples = np.random.default_rng([seed, 1, k]), []
        for j in rng.integers(PAIRS, size=BATCH):
            coarse, zipped, residual, centres, weight = pool(seed, entry.ellipse)[j]
            h, w = coarse.shape[-2:]
            row, column = divmod(int(rng.choice(centres)), w)
            i, k = (int(np.clip(c - size // 2, 0, n - size)) for c, n in ((row, h), (column, w)))
            fine = np.s_[SCALE * i : SCALE * (i + size), SCALE * k : SCALE * (k + size)]
            patch = entry.reads(coarse[:, i : i + size, k : k + size], zipped[fine])
            samples.append((patch, residual[fine][..., None], weight))
        images, residuals, weights = (np.stack(part) for part in zip(*samples, strict=True))
        return images, residuals, weights

    return batch


def trained(entry: Entry, seed: int, rate: float, steps: int) -> tuple[Any, float]:
    """Returns a network after so many steps, and the processor seconds of a step, the first ones left out."""
    model, clock = entry.build(seed), []
    make = batches(entry, seed)
    pool(seed, entry.ellipse)

    def timed(k: int) -> tuple[Array, Array, Array]:
        clock.append(time.process_time())
        return make(k)

    training.fit(model, timed, steps, learning_rate=rate, margin=MARGIN)
    return model, (clock[-1] - clock[4]) / (len(clock) - 5)


# --- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exam:
    """A scan's fine slices, and coarse triples of them ``(n, 3, h, w)`` by their kind of input."""

    pair: superresolution.Pair
    given: dict[str, Array]

    def gains(self, entry: Entry, model: Any, kind: str) -> Row:
        """Returns gains over zero-filling of the same input: all voxels, and inside the head, dB."""
        base = self.pair.psnrs(interpolation.zero_fill(self.given[kind][:, 1], SCALE))
        made = self.pair.psnrs(upscaled(entry, model, self.given[kind]))
        return {"gain": made["psnr"] - base["psnr"], "gain_head": made["psnr_head"] - base["psnr_head"]}


def exam(image: Image, key: str) -> Exam:
    """The fifth of the protocol's ten slices."""
    fine = grid.trim(triples(image, 10, (0.35, 0.72))[4:5], SCALE)
    phase = coils.smooth_phase(fine.shape[-2:], runtime.rng("phase", key))  # that of coils.object_of
    given = {kind: stored(fine, phase, kind == "ellipse") for kind in INPUTS}
    size = volumes.pixel_size(image)
    return Exam(superresolution.Pair(fine[:, 1], given["rectangle"][:, 1], pixel_size=size), given)


@cache
def exams(group: str) -> dict[str, Exam]:
    """Scan → exam: "validation" and "test" of the cohort, one contrast a person in turn, or "development" scans."""
    if group == "development":
        return {scan: exam(image, scan) for scan, image in sources.development().items()}
    count = sources.TEST_SUBJECTS if group == "test" else 24
    people = sources.subjects("cohort", group, count)[:PEOPLE]
    chosen = {f"{s.id} {c}": s.contrasts[c] for s, c in zip(people, datasets.CONTRASTS * 3, strict=False)}
    return {scan: exam(image, scan) for scan, image in chosen.items()}


def upscaled(entry: Entry, model: Any, coarse: Array) -> Array:
    """Makes triples ``(n, 3, h, w)`` fine, ``(n, 2h, 2w)``; edges are wrapped round to sides that any network takes."""
    n, _, h, w = coarse.shape
    unit = grid.intensity(coarse[:, 1])[1]
    zipped = interpolation.zero_fill(coarse[:, 1], SCALE)
    sides = [(EDGE, EDGE + (-side) % BLOCK) for side in (h, w)]
    wide = np.pad(coarse / unit, ((0, 0), (0, 0), *sides), mode="wrap")
    fine = np.pad(zipped / unit, ((0, 0), *((SCALE * a, SCALE * b) for a, b in sides)), mode="wrap")
    residual = np.concatenate([model.predict_on_batch(entry.reads(wide[k : k + 1], fine[k : k + 1])) for k in range(n)])
    return zipped + unit * residual[:, SCALE * EDGE :, SCALE * EDGE :, 0][:, : SCALE * h, : SCALE * w]


# --- the run --------------------------------------------------------------------------------------


def tried(name: str, seconds: float) -> Iterator[Row]:
    """One row per learning rate: what it gains on validation subjects after a part of the time."""
    entry = NETWORKS[name]
    cost = trained(entry, 0, RATES[0], 12)[1]
    for rate in RATES:
        steps = max(round(TRY * seconds / cost), 10)
        model, _ = trained(entry, 0, rate, steps)
        gain = np.mean([e.gains(entry, model, "rectangle")["gain"] for e in exams("validation").values()])
        yield {"kind": "rate", "network": name, "rate": rate, "steps": steps, "cost": cost, "gain": float(gain)}


def scored(name: str, seed: int, rate: float, cost: float, seconds: float) -> Iterator[Row]:
    """Rows of one training: gains on test people and development scans."""
    entry = NETWORKS[name]
    steps = max(round(entry.times * seconds / cost), 10)
    model, each = trained(entry, seed, rate, steps)
    about = {"kind": "score", "network": name, "seed": seed, "rate": rate, "steps": steps, "cost": each,
             "seconds": steps * each, "weights": model.count_params()}  # fmt: skip
    for kind in INPUTS if name in ("plain", "ellipse") else INPUTS[:1]:
        for group in ("test", "development"):
            for scan, one in exams(group).items():
                yield {**about, "input": kind, "group": group, "scan": scan, **one.gains(entry, model, kind)}


def work(rows: list[Row], parts: list[str], seconds: float, seeds: int) -> Iterator[list[Row]]:
    """Yields the new rows of what ``rows`` lack, one training after the other; a network's rates before its first."""
    jobs = [(name, seed) for part in parts for seed in range(seeds if part != "longer" else 1) for name in PARTS[part]]
    done = {(row["network"], str(row["seed"])) for row in rows if row["kind"] == "score"}
    rates = [row for row in rows if row["kind"] == "rate"]
    for name, seed in jobs:
        if (name, str(seed)) in done:
            continue
        tuned = NETWORKS[name].rate_of or name
        if not any(row["network"] == tuned for row in rates):
            new = list(tried(tuned, seconds))
            rates += new
            yield new
        choice = max((row for row in rates if row["network"] == tuned), key=lambda row: float(row["gain"]))
        yield list(scored(name, seed, float(choice["rate"]), float(choice["cost"]), seconds))


def main() -> None:
    """Train, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--seconds", type=float, default=20, help="processor time of a training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=command.RESULTS)
    options = parser.parse_args()
    runtime.start("lesson", 0)
    table = options.output / "architectures.csv"
    rows: list[Row] = []
    if table.exists():
        with table.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    with training.precision("auto"):
        for new in work(list(rows), options.only, options.seconds, options.seeds):
            rows += new
            print(time.strftime("%X"), new[0]["network"], new[0].get("seed", ""), new[0]["steps"],
                  f"{np.mean([row['gain'] for row in new]):+.3f}", flush=True)  # fmt: skip
            command.write(options.output, "architectures", rows, report(rows))  # what survives a cut


# --- the page -------------------------------------------------------------------------------------

INTRO = (
    "×2, stored input, trained from nothing for equal processor time on one thread. Test people of the cohort: one "
    "slice and one contrast each, gain over ZIP of the same input in dB, the mean over people of the mean over seeds "
    "(95 %, Student's t). Development: the mean over {scans} real scans, one slice each; single scans, so no interval. "
    "No report scan was looked at."
)
CONTROL = (
    "Five convolutions of 32 channels on the coarse grid, changed in one thing. *Less plain*: the same people, "
    "tested on the same input, less the plain network (95 %, Student's t)."
)
CORNERS = "Gain over ZIP of the same input, plain convolutions: rows are what was trained on, columns are tests."
CHOSEN = (
    "Gain over ZIP (dB) on validation subjects of the cohort after {share:.0%} of the time of a training, seed 0. "
    "Three slices and ellipse take the plain network's learning rate, longer trainings that of the short ones."
)


def gains(rows: list[Row], name: str, *, kind: str = "rectangle", group: str = "test", of: str = "gain") -> Array:
    """Gains of a network, ``(seeds, scans)``."""
    mine = (r for r in rows if r["network"] == name and r.get("group") == group and r["input"] == kind)
    return by_seed(mine, of)


def _interval(values: Array) -> str:
    middle, low, high = metrics.student_interval(values)
    return f"{middle:+.2f} ({low:+.2f} … {high:+.2f})"


def _line(rows: list[Row], name: str) -> list[str]:
    """A network's line of a table."""
    one = next(row for row in rows if row["kind"] == "score" and row["network"] == name)
    kind = "ellipse" if name == "ellipse" else "rectangle"
    found, head = gains(rows, name, kind=kind), gains(rows, name, kind=kind, of="gain_head")
    spread = f"{found.mean(axis=1).std(ddof=1):.2f}" if len(found) > 1 else "–"
    real = f"{gains(rows, name, kind=kind, group='development').mean():+.2f}"
    seconds = np.mean([float(r["seconds"]) for r in rows if r["kind"] == "score" and r["network"] == name])
    about = [NETWORKS[name].title, f"{int(one['weights']):,}", f"{int(one['steps']):,}", f"{seconds:.0f}"]
    scores = [_interval(found.mean(axis=0)), spread, _interval(head.mean(axis=0)), real]
    return [*about, f"{float(one['rate']):g}", str(len(found)), *scores]


def report(rows: list[Row]) -> str:
    """The tables as Markdown, of the parts that are there."""
    there = dict.fromkeys(row["network"] for row in rows if row["kind"] == "score")
    head = ["network", "weights", "steps", "processor s", "rate", "seeds", "gain, test people", "SD over seeds"]
    head += ["inside the head", "development"]
    scans = max((gains(rows, name, group="development").shape[1] for name in there), default=0)
    lines = ["# Architectures of chapter 09, and controls", "", INTRO.format(scans=scans), ""]
    nets = [name for name in (*ARCHITECTURES, *LONG) if name in there]
    if nets:
        lines += ["## Six architectures", "", *markdown.table(head, [_line(rows, name) for name in nets]), ""]
    if "plain" in there:
        lines += ["## Pooling, a dense layer, neighbouring slices", "", CONTROL, ""]
        cells, base = [], gains(rows, "plain").mean(axis=0)
        for name in (name for name in CONTROLS if name in there and name != "ellipse"):
            less = gains(rows, name).mean(axis=0) - base
            cells.append([*_line(rows, name), "–" if name == "plain" else _interval(less)])
        lines += [*markdown.table([*head, "less plain"], cells), ""]
        lines += ["## Without the corners of k-space", "", CORNERS, ""]
        cells = []
        for trained_on in (name for name in ("plain", "ellipse") if name in there):
            scores = [_interval(gains(rows, trained_on, kind=kind).mean(axis=0)) for kind in INPUTS]
            cells.append([{"plain": "rectangle"}.get(trained_on, trained_on), *scores])
        lines += [*markdown.table(["trained on", *INPUTS], cells), ""]
    lines += ["## Learning rates", "", CHOSEN.format(share=TRY), ""]
    tries = [row for row in rows if row["kind"] == "rate"]
    cells = [[r["network"], f"{float(r['rate']):g}", r["steps"], f"{float(r['gain']):+.2f}"] for r in tries]
    lines += markdown.table(["network", "learning rate", "steps", "gain"], cells)
    return "\n".join([*lines, "", resources.made_by("python -m tools.architectures"), ""])


if __name__ == "__main__":
    command.run(main)
