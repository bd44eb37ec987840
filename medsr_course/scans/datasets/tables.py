"""Tables beside scans as people really write them: UTF-8, UTF-16 or a Windows code page, tabs, commas or semicolons."""

import csv
import re
from pathlib import Path

from medsr_course.runtime import CourseError

_MOST_BYTES = 64 << 20
_BINARY = {b"PK\x03\x04": "a spreadsheet or archive", b"\x1f\x8b": "compressed", b"\xd0\xcf\x11\xe0": "a spreadsheet"}
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a table with a heading, column → text; [] where there is no such file.

    Column names come in small letters; spaces and quotation marks around a cell are taken off; a cell that a row lacks
    is empty.

    Raises
    ------
    CourseError
        If the file cannot be opened, is no text, or has a row with more cells than the heading.
    """
    if path.is_symlink() and not path.exists():
        raise CourseError(f"{path} is a link to a file that is not here: get it (datalad get), or remove the link")
    if not path.is_file():
        return []
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= _MOST_BYTES else b""
    except OSError as error:
        raise CourseError(f"{path} cannot be opened ({error.strerror}): check its permissions") from None
    if size > _MOST_BYTES:
        raise CourseError(f"{path} has {size / 2**20:.0f} MiB: that is no table of subjects or labels")
    lines = [line for line in re.split(r"\r\n|\r|\n", _text(path, raw)) if line.strip()]
    if not lines:
        return []
    delimiter = max("\t;,", key=lines[0].count)
    columns = [cell.lower() for cell in _cells(lines[0], delimiter)]
    while columns and not columns[-1]:  # a delimiter at the end of the line
        columns.pop()
    if len(set(columns)) < len(columns):
        raise CourseError(f"{path}: two columns have the same name: {', '.join(columns)}")
    rows = []
    for line in lines[1:]:
        cells = _cells(line, delimiter)
        if any(cells[len(columns) :]):
            raise CourseError(f"{path}: a row has more cells than the heading: {line.strip()[:60]!r}")
        rows.append(dict(zip(columns, [*cells, *[""] * len(columns)], strict=False)))
    return rows


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing to say."""
    return cell.strip().lower() in ("", "n/a", "na", "nan", "none", "null")


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):  # a quotation mark that is one
        cells = line.split(delimiter)
    return [cell.strip() for cell in cells]


def _text(path: Path, raw: bytes) -> str:
    for magic, kind in _BINARY.items():
        if raw.startswith(magic):
            raise CourseError(f"{path} is {kind}, not a text: save the table as text with tabs (UTF-8)")
    try:
        text = raw.decode(_encoding(raw))
    except UnicodeDecodeError:
        raise CourseError(f"{path} is no text in any usual encoding: save it as UTF-8") from None
    if re.search(r"[\0-\x08\x0e-\x1f]", text):
        raise CourseError(f"{path} holds NUL or control characters: save the table as text with tabs (UTF-8)")
    return text


def _encoding(raw: bytes) -> str:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return encoding
    if raw.count(0) > len(raw) // 4:  # UTF-16 without its mark: every second byte of plain letters is 0
        return "utf-16-le" if raw[1::2].count(0) > raw[::2].count(0) else "utf-16-be"
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"
