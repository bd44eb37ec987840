"""What every command of ``tools/`` that measures does alike: say in one line what is wrong, and write its two files."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medsr_course import resources, runtime

RESULTS = Path(__file__).resolve().parent.parent / "results"


def output(about: str) -> Path:
    """Reads the command line of a command whose only option is ``--output``; ``about`` is its module's docstring."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args().output


def provenance() -> dict[str, str]:
    """Machine, commit and date of a row."""
    where = resources.provenance()
    machine = "{system} {machine}, {cores} cores, Python {python}".format(**where)
    return {"machine": machine, "commit": where["commit"], "date": where["date"]}


def run(main: Callable[[], object]) -> None:
    """Runs a command; what is wrong with its input or its machine is one line, and no traceback."""
    try:
        main()
    except runtime.CourseError as error:
        raise SystemExit(f"error: {error}") from None


def write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], page: str) -> None:
    """Writes ``NAME.csv``, floats with four decimals and columns in the order of their appearance, and ``NAME.md``."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    shown = ({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    runtime.write_table(folder / f"{name}.csv", columns, shown)
    runtime.write_text(folder / f"{name}.md", page)
