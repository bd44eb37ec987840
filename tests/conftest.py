"""Fixtures every test may use."""

import ast
import importlib.util
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from medsr_course import doctor
from medsr_course.teaching import notebooks

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("MEDSR_RECORD", "0")  # tests leave the progress of whoever runs them alone


def code_cells(chapter):
    """Sources of a chapter's code cells, exercises left out; ``chapter``: ``"05"``."""
    cells = json.loads(notebooks.chapters()[chapter].read_text(encoding="utf-8"))["cells"]
    kept = (c for c in cells if c["cell_type"] == "code" and "exercise" not in c["metadata"].get("tags", []))
    return ["".join(c["source"]) for c in kept]


def taught(chapter, space, names=None, constants=()):
    """What a chapter itself defines, without running the rest of it.

    Parameters
    ----------
    chapter : str
        ``"05"``.
    space : dict
        What the definitions need by name, ``{"np": np}``; they are added to it.
    names : collection of str, optional
        Of functions and classes that must be there; by default every function.
    constants : collection of str
        Left-hand sides of assignments to be made, too: ``"HIDDEN"``, ``"ky, kx"``.

    Returns
    -------
    dict
        ``space``.
    """
    for source in code_cells(chapter):
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign):
                wanted = ast.unparse(node.targets[0]).strip("()") in constants
            elif isinstance(node, ast.FunctionDef) and names is None:
                wanted = True
            else:
                wanted = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in (names or ())
            if wanted:
                exec(compile(ast.Module([node], []), f"chapter {chapter}", "exec"), space)
    missing = set(names or ()) - set(space)
    assert not missing, f"chapter {chapter} no longer defines {', '.join(sorted(missing))}"
    return space


def functions(chapter, folder):
    """A chapter's functions as a module in a file, so that their source can be sent to another process."""
    nodes = [node for source in code_cells(chapter) for node in ast.parse(source).body]
    sources = [ast.unparse(node) for node in nodes if isinstance(node, ast.FunctionDef)]
    path = Path(folder) / f"chapter_{chapter}.py"
    path.write_text("\n\n\n".join(["import numpy as np", *sources]), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def changed(image, header=0.0, values=0.0, do=lambda data: data):
    """A result whose header, or whose values, lie some fine voxels off along both image axes; ``do`` to the values."""
    data = ndimage.shift(np.asarray(image.dataobj, float), (values, values, 0), order=5, mode="nearest")
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [header, header, 0]
    return nibabel.Nifti1Image(do(data).astype(np.float32), affine)


def turned(image, codes):
    """The same image with its array in another orientation, say "LPS"."""
    ornt = nibabel.orientations
    return image.as_reoriented(ornt.ornt_transform(ornt.io_orientation(image.affine), ornt.axcodes2ornt(codes)))


def require(name, found, reason):
    """Skip with a reason where ``found`` is false, or fail where ``MEDSR_REQUIRE`` names it."""
    if found:
        return
    if name in os.environ.get("MEDSR_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(f"{name} is required here (MEDSR_REQUIRE): {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium():
    """Headless Chromium of the system, driven by Playwright; one for the whole session."""
    path = doctor.find_chromium()
    require("chromium", path, "needs Chromium: install it with the system's package manager")
    playwright = pytest.importorskip("playwright.sync_api") if path else None
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
