"""Make, check and wrap chapters.

python -m tools.notebooks new 06 spatial_transforms "Spatial transforms and many frames"
python -m tools.notebooks lint [NOTEBOOK …]
python -m tools.notebooks wrap [NOTEBOOK …]

Without a notebook, lint and wrap take all of them.
"""

import sys
from pathlib import Path

from tools.notebooks.lint import ROOT, lint
from tools.notebooks.new import new
from tools.notebooks.wrap import wrap


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code: 1 where the linter found something, 2 for a wrong call."""
    command, *rest = arguments or ["help"]
    if command == "new" and len(rest) == 3:
        print("\n".join(new(*rest)))
        return 0
    if command not in ("lint", "wrap"):
        print(__doc__)
        return 2
    paths = [Path(name) for name in rest] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    if command == "wrap":
        changed = [path.name for path in paths if wrap(path)]
        print("\n".join(changed) or f"{len(paths)} notebooks, all wrapped")
        return 0
    problems = [f"{path.name}: {problem}" for path in paths for problem in lint(path)]
    print("\n".join(problems) or f"{len(paths)} notebooks, nothing to mend")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
