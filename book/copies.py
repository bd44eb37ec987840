"""Executed chapters as the site shows them and hands them out."""

import ast
import base64
import hashlib
import io
import json
import re
from pathlib import Path

from medsr_course.teaching.figures import LOSSLESS

# jupyterquiz falls back on this address where MathJax has not loaded yet; ours is on the site itself.
CDN = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-svg.js"
DRAWS = {"ax", "axes", "fig", "figures", "plt", "viewers"}  # names of what a picture is drawn with
DOES_MORE = {"claims", "print", "runtime"}
FOLDED_FROM = 8  # lines: a shorter cell is read at a glance
PICTURE = re.compile(r"data:image/(?:png|webp);base64,([A-Za-z0-9+/=]+)")
IN_A_FIGURE = re.compile(rf'src="{PICTURE.pattern}"')


def handed_out(text: str) -> str:
    """An executed notebook, whole in one file.

    Without the cell that papermill injects and its records, and with no address of another server.
    """
    notebook = json.loads(text)
    notebook["cells"] = [
        cell for cell in notebook["cells"] if "injected-parameters" not in cell["metadata"].get("tags", [])
    ]
    for cell in notebook["cells"]:
        cell["metadata"] = {key: cell["metadata"][key] for key in ("tags",) if key in cell["metadata"]}
    notebook["metadata"].pop("papermill", None)
    return json.dumps(notebook, indent=1, ensure_ascii=False).replace(CDN, "../_static/mathjax/tex-chtml.js")


def shown(text: str, figures: Path) -> str:
    """A notebook of :func:`handed_out` as its page shows it.

    Its figures are files in the folder ``figures``, loaded when the reader comes near. The pictures of viewers stay
    inside, where a script may read their values. Code that draws and does little else is folded.
    """
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        for output in cell.get("outputs", []):
            html = "".join(output.get("data", {}).get("text/html", ""))
            if "data:image/" in html:
                output["data"]["text/html"] = _lighter(html, figures)
        if mostly_draws("".join(cell["source"])):
            cell["metadata"]["tags"] = [*cell["metadata"].get("tags", []), "hide-input"]
    return json.dumps(notebook, indent=1, ensure_ascii=False)


def mostly_draws(source: str) -> bool:
    """Whether a cell is long, three fifths of its lines draw, and it defines, trains, prints and claims nothing."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a line for IPython
        return False
    lines = len([line for line in source.splitlines() if line.strip()])
    named = {node: _names(node) for node in body}
    if any(names & DOES_MORE for names in named.values()) or lines < FOLDED_FROM:
        return False
    defines = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    if any(isinstance(node, defines) for node in body):
        return False
    drawing = [node for node in body if named[node] & DRAWS]
    return 5 * sum((node.end_lineno or 0) - node.lineno + 1 for node in drawing) >= 3 * lines


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _lighter(html: str, figures: Path) -> str:
    """HTML of an output, its pictures as WebP: those of viewers inside it, all others as files."""

    def inside(found: re.Match[str]) -> str:
        return f"data:image/webp;base64,{base64.b64encode(_webp(base64.b64decode(found[1]))[0]).decode()}"

    def beside(found: re.Match[str]) -> str:
        data, (width, height) = _webp(base64.b64decode(found[1]))
        name = f"{hashlib.sha256(data).hexdigest()[:16]}.webp"
        (figures / name).write_bytes(data)
        return f'src="../_static/figures/{name}" width="{width}" height="{height}" loading="lazy" decoding="async"'

    return PICTURE.sub(inside, html) if "medsr-viewer" in html else IN_A_FIGURE.sub(beside, html)


def _webp(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """A picture as WebP without loss, and its width and height."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        if image.format == "WEBP":
            return data, image.size
        made = io.BytesIO()
        image.save(made, "webp", **LOSSLESS)
        return made.getvalue(), image.size
