"""Sphinx settings of the website. ``book.build`` assembles the source folder; Sphinx executes nothing.

Environment variables, each optional: ``MEDSR_REPO_URL`` and ``MEDSR_REPO_BRANCH``, for links to the repository;
``MEDSR_SITE_URL``, the address of the published site, for what must name it in full: site map, link previews and the
page "not found".
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from sphinx.search import languages
from sphinx.search.en import SearchEnglish

project = "Deep learning for medical super-resolution imaging"
author = "The medsr course developers"
copyright = author  # noqa: A001 (Sphinx wants this name)

extensions = [
    "myst_nb",
    "sphinx.ext.githubpages",  # .nojekyll: GitHub Pages would leave out folders that begin with "_"
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_external_toc",
    "sphinx_design",
    "sphinx_togglebutton",
    "sphinxcontrib.bibtex",
]
external_toc_path = "_toc.yml"
exclude_patterns = ["_build", "generated", "extra", "**.ipynb_checkpoints"]
bibtex_bibfiles = ["references.bib"]

nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # the default loads two scripts from a CDN
nb_merge_streams = True
nb_render_markdown_format = "myst"  # tables and math in outputs too
nb_code_prompt_show = "Show the code of this figure"
nb_code_prompt_hide = "Hide the code of this figure"
copybutton_exclude = ".linenos, .gp, .go"
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.mathjax", "mystnb.unknown_mime_type"]

# sphinx-mathjax-offline brings MathJax 3, fonts included; Sphinx 9 would take 4 from a CDN.
# jupyterquiz reads the first sign of MathJax.version, on a slow machine before MathJax has come and written it.
mathjax3_config = {
    "version": "",
    "chtml": {"displayAlign": "left", "displayIndent": "1.5em"},
    "options": {"enableMenu": False},
}

html_theme = "sphinx_book_theme"
html_title = "Medical super-resolution"
html_logo = "_static/logo.svg"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
# Copied as it is: what pages run in the browser, see libraries.py.
html_extra_path = ["extra"] if (Path(__file__).parent / "extra").exists() else []
html_css_files = ["custom.css", ("print.css", {"media": "print"})]
html_js_files = [("reading.js", {"defer": "defer"})]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = True  # the download button hands out the notebook
togglebutton_hint = "Show"
togglebutton_hint_hide = "Hide"

html_context = {"default_mode": "auto"}
html_theme_options = {
    "home_page_in_toc": False,
    "navbar_persistent": [],
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "footer_content_items": ["extra-footer.html"],
    "extra_footer": (
        "<p>Text and figures: CC BY 4.0. Code: MIT. Brain template: ICBM 2009a, © 1993–2004 Louis Collins, "
        "McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University.</p>"
        "<p>For teaching and research. Not a medical device.</p>"
        f"<p>{os.environ.get('MEDSR_BUILT', '')}</p>"
    ),
}

# Links to a repository only where there is one to link to. No button for Colab: see how-to-use.md.
_repository = os.environ.get("MEDSR_REPO_URL", "").rstrip("/")
if _repository:
    html_theme_options |= {
        "repository_url": _repository,
        "repository_branch": os.environ.get("MEDSR_REPO_BRANCH", "main"),
        "path_to_docs": "",  # the site's notebooks/ mirrors the repository's
        "use_repository_button": True,
        "use_issues_button": True,
    }

_site = os.environ.get("MEDSR_SITE_URL", "").rstrip("/")
if _site:
    extensions += ["sphinx_sitemap", "notfound.extension", "sphinxext.opengraph"]
    html_baseurl = f"{_site}/"
    sitemap_url_scheme = "{link}"
    sitemap_excludes = ["search.html", "genindex.html", "404.html"]
    notfound_urls_prefix = f"{urlsplit(_site).path}/"
    ogp_site_url = html_baseurl
    ogp_image = "_static/landing.png"
    ogp_image_alt = "A brain slice measured four times too coarse, and three ways to bring it back"
    ogp_social_cards = {"enable": False}

# `python -m book.build --links`, which a workflow runs every week.
linkcheck_anchors = False
linkcheck_timeout = 30
linkcheck_retries = 3
linkcheck_report_timeouts_as_broken = True
linkcheck_ignore = [r"https?://localhost", r"https?://127\.0\.0\.1", r"https://data\.invalid"]


def asked(app, uri):
    """Of a DOI, ask its register: publishers turn away whoever is no browser."""
    found = re.fullmatch(r"https://(?:dx\.)?doi\.org/(10\..+)", uri)
    return f"https://doi.org/api/handles/{found[1]}" if found else None


def setup(app):
    app.connect("linkcheck-process-uri", asked)


class EnglishAndChinese(SearchEnglish):
    """Splits English into words, and Chinese, which has no spaces, into pairs of neighbouring signs."""

    js_splitter_code = r"""
var splitQuery = query => query.split(/[^\p{Letter}\p{Number}_]+/u).flatMap(word =>
  word.split(/(\p{Script=Han}+)/u).filter(part => part).flatMap(part =>
    /\p{Script=Han}/u.test(part) && part.length > 2
      ? Array.from({length: part.length - 1}, (_, k) => part.slice(k, k + 2))
      : [part]));
"""

    def split(self, input: str) -> list[str]:  # noqa: A002 (Sphinx wants this name)
        """Words and pairs, as ``splitQuery`` has them."""
        parts = [part for word in super().split(input) for part in re.split(r"([\u3400-\u9fff]+)", word) if part]
        found: list[str] = []
        for part in parts:
            pairs = [part[k : k + 2] for k in range(len(part) - 1)] if re.match(r"[\u3400-\u9fff]{3}", part) else []
            found += pairs or [part]
        return found


languages["en"] = EnglishAndChinese
