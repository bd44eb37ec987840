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
from medsr_course.teaching import exercises, notebooks, quizzes

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("MEDSR_RECORD", "0")  # tests leave the progress of whoever runs them alone


def code_cells(chapter):
    """Sources of a chapter's code cells, exercises left out; ``chapter``: ``"05"``."""
    cells = json.loads(notebooks.chapters()[chapter].read_text(encoding="utf-8"))["cells"]
    kept = (c for c in cells if c["cell_type"] == "code" and "exercise" not in c["metadata"].get("tags", []))
    return ["".join(c["source"]) for c in kept]


def exercises_of(chapter):
    """Names of a chapter's exercises."""
    return {name for name in exercises.names() if name.startswith(f"{chapter}-")}


def quiz_numbers(chapter):
    """Right answers of the numeric questions in a chapter's quiz, each the middle of the range that counts as right."""
    answers = [a for question in quizzes.questions(chapter) for a in question["answers"] if a.get("correct")]
    return [sum(a["range"]) / 2 for a in answers if a.get("type") == "range"]


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


# --- the website ----------------------------------------------------------------------------------

# One of each thing that a chapter shows, and words too long for a phone.
SAMPLES = {
    "markdown": "# 00 · Sampler\n\n$x_k = \\sum_n X_n$ and `a_name_that_is_far_too_long_for_the_width_of_a_phone`\n\n"
    "$$\\mathrm{PSNR} = 10\\log_{10}\\frac{R^2}{\\mathrm{MSE}} \\quad\\text{and much more of a formula than fits}$$",
    "figure": "from medsr_course import runtime\n"
    "from medsr_course.teaching import claims, exercises, figures, quizzes, viewers\n"
    "import numpy as np\nruntime.start('smoke', 0)\na, b = np.ones((60, 50)), np.zeros((60, 50))\n"
    "figures.show({'one': a, 'two': b, 'three': a, 'four': b}, 'Four panels.', window=(0, 1), pixel_size=1)",
    "viewer": "viewers.compare({'white': a, 'black': b}, caption='Drag.', window=(0, 1), pixel_size=1)",
    "slider": "viewers.slider({'0 %': b, '9 %': a}, caption='Drag.', window=(0, 1))",
    "claims": "print('x' * 200)\nclaims.check('so', 1, at_least=1)\nclaims.check('not so', 0, at_least=1)\n"
    "claims.skip('unknown', 'no scans')",
    "exercise": "from medsr_course.teaching.exercises._core import _say\n_say('○ 00-x: not answered yet')",
    "quiz": "from jupyterquiz import display_quiz\ndisplay_quiz([quizzes.choice('What is $x_k$?', ('a', 'yes'), "
    "{'b': 'no', 'c': 'no'}), quizzes.numeric('How many?', lambda: 4, tolerance=1, feedback='4')], colors='fdsp')",
    "large viewer": "noise = np.random.default_rng(0).random((2, 150, 150))\n"
    "viewers.compare({'first': noise[0], 'second': noise[1]}, caption='Noise.', window=(0, 1))",
}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of the built site: chapter 00 is a sampler that a kernel ran, the others are not executed."""
    import nbformat
    from nbclient import NotebookClient

    from book import build

    folder = tmp_path_factory.mktemp("site")
    cells = [
        nbformat.v4.new_markdown_cell(text) if name == "markdown" else nbformat.v4.new_code_cell(text)
        for name, text in SAMPLES.items()
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    sampler = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    NotebookClient(sampler, timeout=60).execute()
    nbformat.write(sampler, folder / "sampler.ipynb")
    build._executed = lambda path, profile: folder / "sampler.ipynb" if path.stem.startswith("00") else path
    return build.build("smoke", output=folder / "built", quiet=True)


@pytest.fixture
def visit(chromium, site):
    """``visit("index.html")``: a page, ``before`` whose scripts ours runs; afterwards fails on any foreign request
    or console error."""
    contexts, problems = [], []

    def visit(name, theme="light", before="", **options):
        context = chromium.new_context(color_scheme=theme, **options)
        contexts.append(context)
        context.add_init_script(before)
        page = context.new_page()
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda r: problems.append(f"missing: {r.url}"))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else problems.append(r.url))
        page.goto((site / name).as_uri())
        if page.locator("span.math, div.math").count():
            page.wait_for_selector("mjx-container", state="attached")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []
