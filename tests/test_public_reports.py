"""Small inputs from public bug reports of other packages, where the developers' folder of them is at hand."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from medsr_course.tasks import parallel, reconstruction

CASES = sorted((ROOT.parent / "shared" / "cases").glob("[!_]*.py"))


@pytest.mark.skipif(not CASES, reason="the cases are not beside this checkout")
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_reported_input_is_handled_or_refused_in_one_line(case, tmp_path):
    """Each case exits with 0 where its input is read rightly, or refused in the package's own words."""
    done = subprocess.run(
        [sys.executable, str(case)], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_function_that_moved_is_found_under_its_former_address():
    assert reconstruction.sense is parallel.sense
    with pytest.raises(AttributeError, match="no attribute 'sens'"):
        _ = reconstruction.sens
