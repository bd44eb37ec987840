"""Truth without truth on real scans: ``python -m tools.trust`` writes ``results/trust.md`` and ``results/trust.csv``.

Three questions of chapter 14b, with the shipped networks: a fruit (a report scan, measured by the final code), two
repetitions of a low-field head, and two visits of one patient (both development scans).
"""

from pathlib import Path
from typing import Any

import numpy as np

from medsr_course import resources, runtime
from medsr_course.leaderboard import markdown, methods
from medsr_course.physics import coils, grid, interpolation, metrics
from medsr_course.scans import datasets, scanfiles, volumes
from medsr_course.tasks import trust
from medsr_course.types import Array, Image, Stack, Upscale
from tools import command

NAMES = ("zip", "espcn", "srresnet", "srgan")
LOOKS = {"fruit": 2}  # of report scans; the second because "quiet" had been partly "dark"
Row = dict[str, Any]


def those(scale: int) -> dict[str, Upscale]:
    """Title and method for a scale, ZIP first."""
    known = [methods.get("zip"), *(methods.get(f"{n}-x{scale}") for n in NAMES[1:] if n != "srgan" or scale == 4)]
    return {one.title.removesuffix(f" ×{scale}"): one for one in known}


def fruit(fine: Stack, scale: int = 4) -> list[Row]:
    """What each method draws into a fruit that was scanned."""
    return [
        {"table": "fruit", "method": title, **trust.drawn(method, fine, scale, "fruit")}
        for title, method in those(scale).items()
    ]


def repetitions(scale: int = 2) -> list[Row]:
    """Two repetitions of one low-field head, made finer each: there is no fine image of it."""
    rows = []
    for title, images in datasets.repetitions().items():
        first, second = np.abs(images).astype(np.float32)
        head = metrics.head_mask(coils.from_native(first + second, tuple(scale * n for n in first.shape[1:])))
        unit = grid.intensity(first)[1]
        for name, method in those(scale).items():
            a, b = method(first, scale), method(second, scale)
            detail = [interpolation.hidden(one, scale)[head] for one in (a, b)]
            floor = 50 * float(np.sqrt(np.mean((a - b)[head] ** 2))) / unit
            size = 100 * float(np.sqrt(np.mean(detail[0] ** 2))) / unit
            rows.append({"table": "repetitions", "scan": title, "method": name, "detail": size,
                         "repeats": trust.alike(*detail), "floor": floor})  # fmt: skip
    return rows


def visits(folder: Path, scale: int = 2) -> list[Row]:
    """Change between two visits of one patient, both measured finely: what the methods add to it."""
    before, after = (scanfiles.read(folder / f"ms-long01_study{k}_FLAIR.nii.gz") for k in (1, 2))
    fine = {"before": volumes.to_ras(before), "after": volumes.to_ras(after)}
    carry = _aligned(fine["before"], fine["after"])
    truth = _change(fine["before"], fine["after"], carry)
    head = metrics.head_mask(np.moveaxis(np.asarray(fine["before"].dataobj, float), 2, 0))
    unit = grid.intensity(np.asarray(fine["before"].dataobj))[1]
    rows = []
    for title, method in those(scale).items():
        made = {name: _through(method, image, scale, name) for name, image in fine.items()}
        invented = (_change(made["before"], made["after"], carry) - truth)[head]
        rows.append({"table": "visits", "method": title, "change": 100 * float(np.sqrt(np.mean(invented**2))) / unit,
                     "true": 100 * float(np.sqrt(np.mean(truth[head] ** 2))) / unit})  # fmt: skip
    return rows


def _through(method: Upscale, image: Image, scale: int, key: str) -> Image:
    """A scan made coarse in-plane and fine again, on its own grid."""
    fine = np.moveaxis(np.asarray(image.dataobj, np.float32), 2, 0).swapaxes(1, 2)
    made = np.concatenate([method(trust.acquired(fine[k : k + 8], scale, key, 0, 0.0), scale)
                           for k in range(0, len(fine), 8)])  # fmt: skip
    return volumes.make_image(made.swapaxes(1, 2).transpose(1, 2, 0), image.affine)


def _itk(image: Image) -> Any:
    import SimpleITK as sitk

    data = np.asarray(image.dataobj, np.float32)
    made = sitk.GetImageFromArray(data.transpose(2, 1, 0))
    sizes = volumes.voxel_sizes(image)
    directions = image.affine[:3, :3] / sizes
    made.SetSpacing([float(size) for size in sizes])
    made.SetDirection(directions.ravel().tolist())
    made.SetOrigin(image.affine[:3, 3].tolist())
    return made


def _aligned(fixed: Image, moving: Image) -> Any:
    """The rigid transform that takes the second scan to the first, found by mutual information of the fine images."""
    import SimpleITK as sitk

    a, b = _itk(fixed), _itk(moving)
    start = sitk.CenteredTransformInitializer(a, b, sitk.Euler3DTransform(),
                                              sitk.CenteredTransformInitializerFilter.MOMENTS)  # fmt: skip
    search = sitk.ImageRegistrationMethod()
    search.SetMetricAsMattesMutualInformation(50)
    search.SetMetricSamplingStrategy(search.REGULAR)
    search.SetMetricSamplingPercentage(0.1)
    search.SetInterpolator(sitk.sitkLinear)
    search.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200)
    search.SetOptimizerScalesFromPhysicalShift()
    search.SetShrinkFactorsPerLevel([4, 2, 1])
    search.SetSmoothingSigmasPerLevel([2, 1, 0])
    search.SetInitialTransform(start, inPlace=False)
    return search.Execute(a, b)


def _change(before: Image, after: Image, carry: Any) -> Array:
    """The second scan, carried to the first and in its unit, less the first: (z, x, y)."""
    import SimpleITK as sitk

    moved = sitk.GetArrayFromImage(sitk.Resample(_itk(after), _itk(before), carry, sitk.sitkLinear, 0.0))
    moved = np.moveaxis(moved.transpose(2, 1, 0), 2, 0).astype(float)
    first = np.moveaxis(np.asarray(before.dataobj, float), 2, 0)
    both = (moved > 0) & metrics.head_mask(first)
    gain = float((moved[both] * first[both]).sum() / (moved[both] ** 2).sum())
    return np.where(moved > 0, gain * moved - first, 0.0)


def _correlation(row: Row, name: str) -> str:
    """ZIP has no detail, whose correlation would be that of rounding errors."""
    return "–" if row["method"] == "ZIP" else f"{row[name]:.2f}"


def report(rows: list[Row]) -> str:
    """The tables as Markdown."""

    def of(name: str) -> list[Row]:
        return [row for row in rows if row["table"] == name]

    lines = ["# Truth without truth: real scans", "",
             "Chapter 14b's three questions, put to the shipped networks. Single scans, so points and no intervals.",
             "", "## A fruit that was scanned (×4)", "",
             "Detail in the smoother half of its inside, in % of the intensity scale. *True* holds the noise of the "
             f"scan itself. A report scan; number of looks: {LOOKS['fruit']}.", ""]  # fmt: skip
    lines += markdown.table(["method", "drawn", "true", "correlation of the two"],
                            [[r["method"], f"{r['drawn']:.2f}", f"{r['true']:.2f}", _correlation(r, "alike")]
                             for r in of("fruit")])  # fmt: skip
    lines += ["", "## One head twice, at 0.055 T (×2)", "",
              "Two repetitions, independent noise; nobody has the fine image. *Floor*: half of the root-mean-square "
              "difference, under which the mean error cannot be. All in % of the intensity scale.", ""]  # fmt: skip
    cells = [
        [r["scan"], r["method"], f"{r['detail']:.2f}", _correlation(r, "repeats"), f"{r['floor']:.2f}"]
        for r in of("repetitions")
    ]
    lines += markdown.table(["scan", "method", "detail", "detail repeats (correlation)", "floor"], cells)
    lines += [
        "",
        "## One patient at two visits (×2)",
        "",
        "FLAIR, visits on different grids, aligned by the fine images. *Invented*: root-mean-square difference "
        "between the change that a method shows and the change of the fine images, which stands beside it.",
        "",
    ]
    cells = [[r["method"], f"{r['change']:.2f}", f"{r['true']:.2f}"] for r in of("visits")]
    lines += markdown.table(["method", "invented change (%)", "change of the fine images (%)"], cells)
    return "\n".join([*lines, "", resources.made_by("python -m tools.trust"), ""])


def main() -> None:
    """Measure and write."""
    output, real = command.output(__doc__), datasets.real_folder()
    if real is None:
        raise runtime.CourseError("there are no real scans here: name their folder in MEDSR_REAL_DATA")
    rows = [*repetitions(), *visits(real.parent / "clinical")]
    fine = trust.real_fruit(4)
    rows += [] if fine is None else fruit(fine)
    command.write(output, "trust", rows, report(rows))


if __name__ == "__main__":
    command.run(main)
