"""How far does the synthetic cohort resemble real scans? ``python -m tools.cohort_report``

Compares the cohort with the development scans (skull-stripped T1w of OpenNeuro ds002748, and one stroke
patient in T1w, T2w and FLAIR) and writes ``results/cohort-report.md``, ``results/cohort-report.csv`` and
``results/cohort-slices.png``. Never looks at any other real scan: those are for reporting.

All numbers are of ten axial slices between 35 and 72 % of z, scaled by the 99.5th percentile of their
positive voxels. HF = image − ZIP at ×2, the part that a ×2 super-resolution has to invent.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from medsr_course import resources
from medsr_course.physics import acquisition, grid, interpolation, metrics
from medsr_course.scans import datasets, phantom, volumes
from medsr_course.types import Array, Image, Stack

ROOT = Path(__file__).resolve().parent.parent
EDGES = np.linspace(0.1, 0.9, 17)  # of Nyquist
STATISTICS = {
    "kurtosis": "kurtosis of HF inside the head (Gaussian: 3)",
    "correlation": "correlation of log LF gradient with log local HF energy",
    "quiet": "share of HF energy in the quietest half of the head",
    "inside": "share of HF energy inside the head",
    "psnr_x2": "PSNR of ZIP at x2, full field, dB",
    "psnr_x4": "PSNR of ZIP at x4, full field, dB",
    "psnr_head_x2": "PSNR of ZIP at x2, inside the head, dB",
    "psnr_head_x4": "PSNR of ZIP at x4, inside the head, dB",
}


def normalised(image: Image) -> Stack:
    """Measurement slices of an image, trimmed to multiples of four, 99.5th percentile at 1."""
    stack = grid.trim(volumes.axial_slices(image), 4)
    return stack / np.percentile(stack[stack > 0], 99.5)


def residual_statistics(stack: Stack) -> dict[str, float]:
    """The four statistics of HF. Head: value > grid.IN_HEAD, eroded by 2 voxels."""
    low = interpolation.zero_fill(acquisition.kspace_crop(stack, 2), 2)
    high = stack - low
    head = np.stack([ndimage.binary_erosion(s > grid.IN_HEAD, iterations=2) for s in stack])
    slope = np.stack([ndimage.gaussian_gradient_magnitude(s, 1.5) for s in low])[head]
    energy = np.stack([ndimage.gaussian_filter(s**2, 1.5) for s in high])[head]
    inside = high[head]
    quiet = energy <= np.median(energy)
    return {
        "kurtosis": float(np.mean(inside**4) / np.mean(inside**2) ** 2),
        "correlation": float(np.corrcoef(np.log(slope + 1e-6), np.log(energy + 1e-9))[0, 1]),
        "quiet": float(energy[quiet].sum() / energy.sum()),
        "inside": float((inside**2).sum() / (high**2).sum()),
    }


def zip_psnr(stack: Stack) -> dict[str, float]:
    """PSNR of zero-filling at ×2 and ×4, over the full field and inside the head."""
    head, out = metrics.head_mask(stack), {}
    for scale in (2, 4):
        image = interpolation.zero_fill(acquisition.kspace_crop(stack, scale), scale)
        out[f"psnr_x{scale}"] = metrics.psnr(stack, image)
        out[f"psnr_head_x{scale}"] = metrics.psnr(stack, image, mask=head)
    return out


def log_spectrum(stack: Stack) -> Array:
    """log10 of the radial mean power per bin of :data:`EDGES`, slices at equal power at 0.05–0.1."""
    h, w = stack.shape[1:]
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None]) * 2
    power = np.abs(np.fft.rfft2(stack)) ** 2
    power /= power[:, (radius >= 0.05) & (radius < 0.1)].mean(axis=1)[:, None, None]
    rings = [(radius >= a) & (radius < b) for a, b in zip(EDGES[:-1], EDGES[1:], strict=True)]
    return np.log10([power[:, ring].mean() for ring in rings])


def measure(image: Image) -> tuple[dict[str, float], Array]:
    """Everything above for one image."""
    stack = normalised(image)
    return residual_statistics(stack) | zip_psnr(stack), log_spectrum(stack)


def development_scans() -> list[tuple[str, str, Path]]:
    """(name, contrast, path) of the scans that may be looked at."""
    folder = datasets.real_folder()
    if folder is None:
        sys.exit("the development scans are not here: set MEDSR_REAL_DATA to their folder")
    found = sorted(folder.glob("ds002748/sub-*/anat/*_T1w.nii.gz")) + sorted(folder.glob("stroke-brain_*"))
    return [(p.name.split(".")[0], p.name.split(".")[0].rsplit("_", 1)[1], p) for p in found]


def cohort_scans(n_subjects: int, seed: int) -> Iterator[tuple[str, str, Path, bool]]:
    """(name, contrast, path, stripped) of the cohort's scans."""
    datasets.load("cohort", n_subjects=n_subjects, seed=seed)
    folder = datasets.cohort_folder(seed)
    with open(folder / "participants.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))[:n_subjects]
    for row in rows:
        sub = row["participant_id"]
        for contrast in phantom.CONTRASTS:
            path = folder / sub / "anat" / f"{sub}_{contrast}.nii.gz"
            yield f"{sub}_{contrast}", contrast, path, row["skull_stripped"] == "yes"


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)

    rows = []
    for name, contrast, path in development_scans():
        values, spectrum = measure(nib.Nifti1Image.from_filename(path))
        rows.append({"source": "real", "scan": name, "contrast": contrast, "stripped": True, **values})
        rows[-1]["spectrum"] = spectrum
    for name, contrast, path, stripped in cohort_scans(options.subjects, options.seed):
        values, spectrum = measure(nib.Nifti1Image.from_filename(path))
        rows.append({"source": "cohort", "scan": name, "contrast": contrast, "stripped": stripped, **values})
        rows[-1]["spectrum"] = spectrum

    text = report(rows, options)
    print(text)
    (options.output / "cohort-report.md").write_text(text, encoding="utf-8")
    write_csv(rows, options.output / "cohort-report.csv")
    draw(options, options.output / "cohort-slices.png")


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The comparison as Markdown."""
    real = [r for r in rows if r["source"] == "real"]
    cohort = [r for r in rows if r["source"] == "cohort"]
    lines = [
        "# The synthetic cohort beside real scans",
        "",
        f"{options.subjects} subjects, seed {options.seed}, generator version {phantom.VERSION}, against "
        f"{len(real)} development scans ({sum(r['contrast'] == 'T1w' for r in real)} of them T1w; all "
        "skull-stripped). Each cell: mean (smallest … largest).",
        "",
        "## Residual HF = image − ZIP at x2, and PSNR of ZIP",
        "",
        "| statistic | real | cohort | mean in range | scans in range |",
        "|---|---|---|---|---|",
    ]
    groups = [("all contrasts", real, cohort)]
    for contrast in phantom.CONTRASTS:
        mine = [r for r in cohort if r["contrast"] == contrast]
        groups.append((contrast, [r for r in real if r["contrast"] == contrast], mine))
    stripped = [r for r in cohort if r["contrast"] == "T1w" and r["stripped"]]
    groups.append(("T1w, stripped like the real ones", groups[1][1], stripped))
    for title, theirs, ours in groups:
        if not ours:
            continue
        lines.append(f"| **{title}** ({len(theirs)} real, {len(ours)} cohort) | | | | |")
        for key, label in STATISTICS.items():
            lines.append(_row(key, label, theirs, ours, [r[key] for r in real]))
    lines += ["", "## Spectrum: cohort − real, log10 of power per bin", ""]
    lines.append("| fraction of Nyquist | " + " | ".join(f"{(a + b) / 2:.2f}" for a, b in _bins()) + " |")
    lines.append("|" + "---|" * (len(EDGES)))
    for title, theirs, ours in groups:
        if not ours:
            continue
        gap = np.mean([r["spectrum"] for r in ours], axis=0)
        gap = gap - np.mean([r["spectrum"] for r in theirs or real], axis=0)
        cells = " | ".join(f"{g:+.2f}" if abs(g) <= 0.2 else f"**{g:+.2f}**" for g in gap)
        lines.append(f"| {title} | {cells} |")
    lines += [
        "",
        "Range: smallest to largest of all real scans, whatever their contrast (there is no real PDw scan and one "
        "each of T2w and FLAIR). PSNR rows say instead whether the means differ by at most 1 dB, and by how much. "
        "Bold: more than 0.2 apart. PDw is compared with all real scans.",
        "",
        resources.made_by("python -m tools.cohort_report"),
        "",
    ]
    return "\n".join(lines)


def _row(
    key: str, label: str, theirs: list[dict[str, Any]], ours: list[dict[str, Any]], everything: list[float]
) -> str:
    mine = [r[key] for r in ours]
    other = [r[key] for r in theirs]
    digits = 1 if key == "kurtosis" or key.startswith("psnr") else 2
    low, high = min(everything), max(everything)
    shown = _summary(other, digits) if other else "–"
    if key.startswith("psnr"):
        gap = np.mean(mine) - np.mean(other or everything)
        verdict = f"{'yes' if abs(gap) <= 1 else 'no'} ({gap:+.1f} dB)"
    else:
        verdict = "yes" if low <= np.mean(mine) <= high else "**no**"
    inside = sum(low <= v <= high for v in mine)
    return f"| {label} | {shown} | {_summary(mine, digits)} | {verdict} | {inside}/{len(mine)} |"


def _summary(values: list[float], digits: int) -> str:
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def _bins() -> list[tuple[float, float]]:
    return list(zip(EDGES[:-1], EDGES[1:], strict=True))


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    """One line per scan, spectrum included."""
    names = ["source", "scan", "contrast", "stripped", *STATISTICS]
    bins = [f"log10_power_{(a + b) / 2:.3f}" for a, b in _bins()]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names + bins)
        for row in rows:
            numbers = [f"{row[k]:.4f}" for k in STATISTICS]
            writer.writerow([*(row[k] for k in names[:4]), *numbers, *(f"{v:.3f}" for v in row["spectrum"])])


def draw(options: argparse.Namespace, path: Path) -> None:
    """Eight cohort slices beside eight real ones, all in one window."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    scans = development_scans()
    real = [(scans[i][2], k, scans[i][1]) for i, k in ((1, 2), (4, 5), (7, 6), (9, 8), (2, 4))]
    real += [(path, 4, contrast) for _, contrast, path in scans[-3:]]
    mine = list(cohort_scans(options.subjects, options.seed))
    wanted = [("T1w", True), ("T1w", True), ("T1w", False), ("T1w", False)]
    wanted += [("T1w", True), ("FLAIR", True), ("T1w", False), ("T2w", True)]
    chosen, used = [], set()
    for (contrast, stripped), k in zip(wanted, (2, 5, 6, 8, 4, 4, 4, 4), strict=True):
        for name, c, file, s in mine:
            if c == contrast and s == stripped and name not in used:
                used.add(name)
                chosen.append((file, k, contrast))
                break
    fig, axes = plt.subplots(4, 4, figsize=(9, 11.4), layout="constrained")
    for title, half, items in (("real", axes[:, :2], real), ("cohort", axes[:, 2:], chosen)):
        for ax, (file, k, contrast) in zip(half.flat, items, strict=False):
            ax.imshow(
                _square(normalised(nib.Nifti1Image.from_filename(file))[k]),
                cmap="gray",
                vmin=0,
                vmax=1.1,
                origin="lower",
            )
            ax.set_title(f"{title} {contrast}", fontsize=9)
    for ax in axes.flat:
        ax.axis("off")
    fig.savefig(path, dpi=80, facecolor="white", pil_kwargs={"optimize": True})
    plt.close(fig)


def _square(image: Array, margin: int = 8) -> Array:
    """The head with a margin: the fields of view differ."""
    y, x = np.nonzero(ndimage.binary_opening(image > 0.15, iterations=2))
    return image[
        max(y.min() - margin, 0) : y.max() + margin,
        max(x.min() - margin, 0) : x.max() + margin,
    ]


if __name__ == "__main__":
    main()
