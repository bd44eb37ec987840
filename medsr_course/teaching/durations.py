"""How long a chapter will take in profile "full", said before it begins.

>>> at_most("09", 300).startswith("PROFILE full: the trainings of chapter 09 take up to ")
True
"""

import ast
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from medsr_course import resources, runtime

LESSON = 360  # seconds that a chapter may take in profile "lesson", on two cores


def ratios(source: Path) -> list[float]:
    """Returns for each ``runtime.steps`` of a notebook by how much ``full`` is longer than ``lesson``."""
    found = []
    for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            found += list(_in("".join(cell["source"])))
    return found


def _in(code: str) -> Iterator[float]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "runtime.steps":
            lengths = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
            yield lengths["full"] / lengths["lesson"]


def measured(chapter: str) -> float | None:
    """Returns the seconds that a chapter's last run in profile ``lesson`` took on this machine; None without one."""
    facts = (runtime.cache_dir() / "executed").glob(f"{chapter}-lesson-*/facts.json")
    newest = max(facts, key=lambda path: path.stat().st_mtime, default=None)
    return float(json.loads(newest.read_text(encoding="utf-8"))["seconds"]) if newest else None


def at_most(chapter: str, seconds: float | None = None) -> str:
    """Returns the sentence: all of a chapter's lesson time, times the most that any of its trainings grows by.

    Parameters
    ----------
    chapter : str
        "09"; an unknown one gives "".
    seconds : float, optional
        Of its run in profile "lesson"; by default :func:`measured`, and without that what such a run may take.
    """
    root = resources.checkout()
    source = next(iter((root / "notebooks").glob(f"{chapter}_*.ipynb")), None) if root else None
    if source is None:
        return ""
    most = max([1.0, *ratios(source)])
    if most == 1:
        return f"PROFILE full: chapter {chapter} has no training that is longer than in lesson."
    seconds = seconds or measured(chapter)
    lesson = f"Lesson took {_words(seconds)} here" if seconds else f"Lesson may take {_words(LESSON)} on two cores"
    return (
        f"PROFILE full: the trainings of chapter {chapter} take up to {most:.0f} times as many steps as in lesson. "
        f"{lesson}, so expect up to {_words(most * (seconds or LESSON))}, and less with a GPU."
    )


def _words(seconds: float) -> str:
    """Returns a time in the unit that suits it.

    >>> _words(40), _words(360), _words(5.5 * 3600)
    ('40 s', '6 minutes', '5.5 hours')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def announce() -> None:
    """Prints the sentence where a notebook is begun in profile "full" and JupyterLab tells which one it is."""
    name = re.match(r"([0-9A]\d[a-z]?)_", Path(os.environ.get("JPY_SESSION_NAME", "")).name)
    if runtime.profile() == "full" and name and (sentence := at_most(name[1])):
        print(sentence)
