"""Executed chapters as the site shows them and hands them out."""

import ast
import base64
import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

from book import libraries
from medsr_course.teaching.figures import LOSSLESS

# jupyterquiz falls back on this address where MathJax has not loaded yet; ours is on the site itself.
CDN = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-svg.js"
DRAWS = {"ax", "axes", "fig", "figures", "plt", "viewers"}  # names of what a picture is drawn with
DOES_MORE = {"claims", "print"}
LATER_FROM = 40_000  # characters of a viewer that comes when the reader is near
FOLDED_FROM = 8  # lines: a shorter cell is read at a glance
PICTURE = re.compile(r"data:image/(?:png|webp);base64,([A-Za-z0-9+/=]+)")
RULE = re.compile(r"(\n\n|\A) {0,3}([-*_])(?: *\2){2,} *$", re.M)  # a line across, in Markdown
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


def shown(text: str, figures: Path, loaded: Mapping[str, int]) -> str:
    """A notebook of :func:`handed_out` as its page shows it.

    After a cell tagged ``volume`` comes a place for whole volumes; ``loaded`` from :func:`libraries.place`. Figures and
    large viewers are files in the folder ``figures``, loaded when the reader comes near. The pictures of viewers stay
    inside them, where a script may read their values. Code that mostly draws is folded. A line across in Markdown that
    a cell displays is HTML, since Sphinx refuses one inside an output.
    """
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if "volume" in cell["metadata"].get("tags", []):
            cell["source"] = "".join(cell["source"]) + "\n\n" + libraries.whole_volume(loaded, "../")
        if cell["cell_type"] != "code":
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                data["text/markdown"] = RULE.sub(r"\1<hr>", "".join(data["text/markdown"]))
            html = "".join(data.get("text/html", ""))
            if "data:image/" in html:
                data["text/html"] = _lighter(html, figures)
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
    more = any(names & DOES_MORE for names in named.values()) or "runtime.steps" in source
    if more or lines < FOLDED_FROM:
        return False
    defines = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    if any(isinstance(node, defines) for node in body):
        return False
    drawing = [node for node in body if named[node] & DRAWS]
    return 5 * sum((node.end_lineno or 0) - node.lineno + 1 for node in drawing) >= 3 * lines


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def inside(html: str) -> str:
    """HTML of a viewer with its pictures as WebP, inside it."""
    return PICTURE.sub(lambda found: f"data:image/webp;base64,{_text(_webp(base64.b64decode(found[1]))[0])}", html)


def _lighter(html: str, figures: Path) -> str:
    """HTML of an output: pictures as files, and so a large viewer."""

    def beside(found: re.Match[str]) -> str:
        data, (width, height) = _webp(base64.b64decode(found[1]))
        name = f"{hashlib.sha256(data).hexdigest()[:16]}.webp"
        (figures / name).write_bytes(data)
        return f'src="../_static/figures/{name}" width="{width}" height="{height}" loading="lazy" decoding="async"'

    if "medsr-viewer" not in html:
        return IN_A_FIGURE.sub(beside, html)
    viewer = inside(html)
    return viewer if len(viewer) < LATER_FROM else _later(viewer, figures)


def _later(viewer: str, figures: Path) -> str:
    """A place for a viewer that reading.js fills: from a script, since a page in a folder may read no other file."""
    name = "viewer-" + hashlib.sha256(viewer.encode()).hexdigest()[:16]
    (figures / f"{name}.js").write_text(f"medsrPlace({json.dumps(name)}, {json.dumps(viewer)});\n", encoding="utf-8")
    caption = "".join(re.findall(r"<figcaption.*?</figcaption>", viewer, re.S))
    return (
        f'<div class="medsr-later" id="{name}" data-script="../_static/figures/{name}.js" style="min-height:30rem">'
        f"<noscript><p>Here is a viewer, which needs JavaScript.</p>{caption}</noscript></div>"
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _webp(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """A picture as WebP without loss, and its width and height."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        if image.format == "WEBP":
            return data, image.size
        made = io.BytesIO()
        image.save(made, "webp", **LOSSLESS)
        return made.getvalue(), image.size
