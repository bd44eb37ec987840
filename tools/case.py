"""Measure the real case that the chapters follow: ``python -m tools.case``, to ``results/case.csv`` and ``case.md``."""

from medsr_course import resources, runtime
from medsr_course.leaderboard import case, markdown
from medsr_course.scans import datasets
from tools import command

CHAPTERS = {"file": "03", "interpolation": "05", "noise": "07", "super-resolution": "09"}


def main() -> None:
    """Measure and write."""
    output, subject = command.output(__doc__), datasets.case()
    if subject is None:
        raise runtime.CourseError("the case is not here: name the folder of real scans in MEDSR_REAL_DATA")
    where = command.provenance()
    rows = [
        {"part": part, "what": what, "value": value, **where}
        for part in case.PARTS
        for what, value in case.numbers(part, subject)[0]
    ]
    lines = ["# One case through the chapters", "",
             "`stroke-brain`, a development scan: one brain, T1w, T2w and FLAIR on one grid, without skull, 8 bits "
             "(VolumeRenderingData, MIT). One person, so points and no intervals.", ""]  # fmt: skip
    for part, chapter in CHAPTERS.items():
        lines += [f"## {part.capitalize()} (chapter {chapter})", ""]
        lines += markdown.table(["what", "value"], [[r["what"], r["value"]] for r in rows if r["part"] == part])
        lines.append("")
    command.write(output, "case", rows, "\n".join([*lines, resources.made_by("python -m tools.case"), ""]))


if __name__ == "__main__":
    command.run(main)
