"""What the methods of chapter 11b make of real raw data, to results/raw-data.csv and .md: ``python -m tools.raw_data``.

Steps of least squares and λ of sparsity are chosen on simulated validation subjects of the cohort, never on these
scans. ``ulf-sub04`` and the brain are report scans: run this for a released version of the code, not while changing it,
and add to :data:`LOOKS` what you saw them for.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medsr_course import resources, runtime
from medsr_course.physics import acquisition, metrics
from medsr_course.scans import datasets, volumes
from medsr_course.tasks import low_field, parallel, partial_fourier, reconstruction
from medsr_course.types import Array
from tools import command

ROOT = Path(__file__).resolve().parents[1]
STEPS = (2, 4, 6, 10, 20)
WEIGHTS = (0.0005, 0.0015, 0.005, 0.015, 0.05)
DRAWS = 5  # of the samples put aside
SHARES = (0.5625, 0.625, 0.75)  # of the lines, partial Fourier
LOOKS = (
    "Looks at report scans: `brain-8-coils` several times while maps and chapter were being written, and once for this "
    "table; `ulf-sub04` once, for this table. Neither has chosen anything: steps and λ come from simulated subjects."
)
COLUMNS = ("scan", "use", "what", "value", "unit")
Row = tuple[str, str, str, float, str]


def main() -> None:
    """Measure, and write both files."""
    runtime.start("full", 0)
    steps, weight = chosen()
    rows = [*low_field_rows(), *phantom_rows(), *brain_rows(steps, weight)]
    table = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    runtime.write_table(ROOT / "results" / "raw-data.csv", COLUMNS, table)
    runtime.write_text(ROOT / "results" / "raw-data.md", page(rows, steps, weight))


def chosen() -> tuple[int, float]:
    """Steps and λ with the best mean PSNR over the cohort's validation subjects: R = 8, eight coils, 1 % noise."""
    people = datasets.cohort(24, seed=0).select("validation")
    mean = np.mean([curve(person) for person in runtime.progress(people, "choosing", unit="subject")], axis=0)
    return STEPS[int(np.argmax(mean[: len(STEPS)]))], WEIGHTS[int(np.argmax(mean[len(STEPS) :]))]


def curve(person: datasets.Subject) -> list[float]:
    """PSNR of one subject at every step count, then at every weight."""
    case = parallel.case(volumes.axial_slices(person.contrasts["T1w"])[5].astype(float), 8, key=person.id)
    maps, _ = parallel.espirit(case.kspace)
    along: list[Array] = []
    parallel.least_squares(case.kspace, maps, case.mask, max(STEPS), watch=along.append)
    images = [along[n - 1] for n in STEPS]
    images += [parallel.sparse(case.kspace, maps, case.mask, weight) for weight in WEIGHTS]
    return [metrics.psnr(case.target, np.abs(image)) for image in images]


def low_field_rows() -> Iterator[Row]:
    """Which way round each head is most like its partner, and its noise."""
    for head in datasets.low_field_heads():
        use = "development" if head.split == "train" else "report"
        for contrast in head.files:
            images = head.raw(contrast).images()[:, 0, 0]
            scores = [
                low_field.likeness(np.abs(image), partner)
                for image, partner in zip(images, head.partner(contrast), strict=True)
            ]
            name = f"{head.id} {contrast}"
            yield name, use, "noise", low_field.noise_percent(images), "% of bright tissue"
            for way in low_field.WAYS:
                mean = float(np.mean([score[way] for score in scores]))
                yield name, use, f"likeness to 3 T, {way}", mean, "correlation"


def phantom_rows() -> Iterator[Row]:
    """Two coils in full: every second line, and partial Fourier, against the whole."""
    whole = datasets.raw("phantom-2-coils").without_oversampling().kspace[0, 0]
    maps, _ = parallel.espirit(whole)
    image = parallel.combined(whole, maps)
    full, name, width = np.abs(image), "phantom-2-coils", whole.shape[-1]
    half = reconstruction.regular_mask(width, 2, calibration=24)
    own, _ = parallel.espirit(whole * half)
    found = {"every second line, combined": parallel.combined(whole * half, own)}
    for n in (2, 4, 8):
        found[f"every second line, least squares, {n} steps"] = parallel.least_squares(whole * half, own, half, n)
    kspace = acquisition.to_kspace(image)
    for share in SHARES:
        mask = partial_fourier.partial_mask(width, share)
        inner = reconstruction.middle_mask(width, int(mask.sum()))
        found[f"{share:.4g} of the lines, zero-filled"] = acquisition.from_kspace(kspace * mask)
        found[f"{share:.4g} of the lines, all from the middle"] = acquisition.from_kspace(kspace * inner)
        found[f"{share:.4g} of the lines, homodyne"] = partial_fourier.homodyne(kspace * mask, mask)
        found[f"{share:.4g} of the lines, POCS"] = partial_fourier.pocs(kspace * mask, mask)
    for what, x in found.items():
        yield name, "development", what, metrics.psnr(full, np.abs(x)), "dB against every line"


def brain_rows(steps: int, weight: float) -> Iterator[Row]:
    """Eight coils, R = 8: error on samples put aside, mean over draws, and their range."""
    data = datasets.raw("brain-8-coils").kspace[0, 0]
    measured = (data != 0).any(axis=0)
    errors: dict[str, list[float]] = {}
    for draw in range(DRAWS):
        aside = parallel.put_aside(measured, runtime.rng("aside", draw))
        given, mask = np.where(aside, 0, data), measured & ~aside
        maps, _ = parallel.espirit(given)
        found = {
            "combined": parallel.combined(given, maps),
            f"least squares, {steps} steps": parallel.least_squares(given, maps, mask, steps),
            f"sparsity, λ = {weight:g}": parallel.sparse(given, maps, mask, weight),
        }
        for title, image in found.items():
            errors.setdefault(title, []).append(parallel.prediction_error(image, maps, data, aside))
    for title, values in errors.items():
        unit = f"share of energy, {DRAWS} draws ({min(values):.3f} – {max(values):.3f})"
        yield "brain-8-coils", "report", f"error on samples put aside, {title}", float(np.mean(values)), unit


def page(rows: list[Row], steps: int, weight: float) -> str:
    """The page: heads, phantom, brain."""
    heads = [name for name in dict.fromkeys(row[0] for row in rows) if name.startswith("ulf")]
    value = {(row[0], row[2]): row[3] for row in rows}
    use = {row[0]: row[1] for row in rows}
    ways = [f"likeness to 3 T, {way}" for way in low_field.WAYS]
    lines = [
        "# Raw data",
        "",
        "Real raw k-space of public data sets, reconstructed by the methods of chapter 11b.",
        "",
        "## Heads at 0.055 T",
        "",
        "Four slices of each scan. Noise: σ of a channel in % of the 99.5th percentile. Likeness: correlation with the "
        "same patient's 3 T slices for four ways to hold the head, mean over slices; the greatest tells the way.",
        "",
        f"| scan | use | noise (%) | {' | '.join(low_field.WAYS)} |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name in heads:
        cells = " | ".join(f"{value[name, way]:.3f}" for way in ways)
        lines.append(f"| {name} | {use[name]} | {value[name, 'noise']:.1f} | {cells} |")
    for title, scan, text in (
        ("A phantom, two coils", "phantom-2-coils", "PSNR against all lines, whose noise is in every row."),
        (
            "A brain, eight coils, R = 8",
            "brain-8-coils",
            f"A tenth of the measured samples was put aside and predicted. {steps} steps and λ = {weight:g} are the "
            "best on simulated validation subjects of the cohort.",
        ),
    ):
        lines += ["", f"## {title}", "", text, "", "| what | value | unit |", "|---|---:|---|"]
        lines += [f"| {what} | {x:.2f} | {unit} |" for name, _, what, x, unit in rows if name == scan]
    return "\n".join([*lines, "", LOOKS, "", resources.made_by("python -m tools.raw_data"), ""])


if __name__ == "__main__":
    command.run(main)
