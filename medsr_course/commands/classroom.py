"""``medsr progress`` and ``medsr marks`` on the command line."""

from pathlib import Path
from typing import Annotated

import typer

from medsr_course.runtime import CourseError


def progress(
    output: Annotated[Path | None, typer.Option(help="Copy the file there, to hand it in.")] = None,
) -> None:
    """Say which exercises were solved on this account, and which file holds that."""
    from medsr_course.teaching import exercises
    from medsr_course.teaching import progress as record

    file = record.path()
    if file is None:
        raise CourseError(f"nothing is recorded here: {record.VARIABLE} is 0, or this user has no home folder")
    found = record.read(file) if file.exists() else record.Marks(file.stem, {})
    if found.trouble:
        raise CourseError(f"{file} cannot be read ({found.trouble}): move it away, and a new one begins")
    for name in exercises.names():
        one = found.records.get(name)
        mark = "○" if one is None else "✓" if one.right else "✗"
        tried = f"  {one.tries} tries" if one else ""
        day = f", right {one.right}" if one and one.right else ""
        print(f"{mark} {name}{tried}{day}")
    print(f"{len(found.solved & set(exercises.names()))} of {len(exercises.names())} solved; the file: {file}")
    if output:
        if output.exists():
            raise CourseError(f"{output} is there already: name another file")
        record.write(found.records, output)
        print(f"written to {output}")


def marks(
    folder: Annotated[Path, typer.Argument(help="With one .json file for each student, named after the student.")],
    output: Annotated[Path, typer.Option(help="The table.")] = Path("marks.csv"),
) -> None:
    """Make one table of the progress files of a class.

    Files that are no progress files are listed with what is wrong, and count nothing; exit code 1 where there are any.
    """
    from medsr_course.teaching import exercises
    from medsr_course.teaching import progress as record

    found = record.collect(folder)
    record.table(found, exercises.names(), output)
    broken = [one for one in found if one.trouble]
    for one in broken:
        print(f"✗ {record.cell(one.student)}: {one.trouble}")
    print(f"{len(found) - len(broken)} students, {len(broken)} files that could not be read; written to {output}")
    if broken:
        raise typer.Exit(1)
