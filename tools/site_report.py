"""How heavy, how whole and how accessible the built site is: ``python -m tools.site_report [FOLDER]``

Serves ``book/_build/html`` (or FOLDER) under a sub-path, compressed as hosts do, opens every page in Chromium and
writes ``results/site.md`` and ``results/site.csv``. *First view* is what a browser without a cache receives until the
page rests, at 1366 × 768 and unscrolled. *Faults* are those that axe calls serious or critical, on a desktop and at 360
pixels, light and dark. *Foreign requests* are those to any other server. Links are those inside the site;
``python -m book.build --links`` asks the others.
"""

import argparse
import contextlib
import functools
import gzip
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from medsr_course import doctor, resources
from medsr_course.runtime import CourseError
from tools import command

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "/a/course/"
PACKED = {".html", ".css", ".js", ".json", ".svg", ".csv", ".txt", ".xml", ".map", ".ipynb", ".md"}
SCREENS = {"desktop": (1366, 768), "phone": (360, 740)}
THEMES = ("light", "dark")


# --- the folder -----------------------------------------------------------------------------------


class _Links(HTMLParser):
    """Addresses and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.to: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.to.add(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def page_names(site: Path) -> list[str]:
    """The pages of a built site, as paths from its root."""
    found = (path.relative_to(site) for path in sorted(site.rglob("*.html")))
    return [path.as_posix() for path in found if path.parts[0] != "_static"]


def links(site: Path) -> tuple[int, list[str]]:
    """How many links inside the site there are, and those that lead nowhere: "page → address"."""
    read: dict[str, _Links] = {}
    for name in page_names(site):
        read[name] = _Links()
        read[name].feed((site / name).read_text(encoding="utf-8"))
    count, broken = 0, []
    for name, page in read.items():
        for address in sorted(page.to):
            if urlsplit(address).scheme or address.startswith(("//", "/")):
                continue
            place, anchor = urldefrag(unquote(urljoin(name, address)))
            place = place.split("?")[0] or name
            count += 1
            missing = not (site / place).is_file()
            lost = place in read and anchor and anchor not in read[place].anchors
            if missing or lost:
                broken.append(f"{name} → {address}")
    return count, broken


# --- the browser ----------------------------------------------------------------------------------


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder under :data:`PREFIX`; text goes out compressed."""

    server: "_Server"

    def do_GET(self) -> None:
        path = Path(self.directory) / unquote(urlsplit(self.path).path).removeprefix(PREFIX)
        if not self.path.startswith(PREFIX) or not path.is_file():
            self.server.lost.append(self.path)
            self.send_error(404)
            return
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        if path.suffix in PACKED:
            body = gzip.compress(body, 6)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.server.sent[path.suffix] += len(body)
        with contextlib.suppress(OSError):  # the browser may have gone on
            self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    sent: Counter[str]  # ending of a file → bytes
    lost: list[str]  # what was asked for and is not there

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{PREFIX}"


@contextlib.contextmanager
def served(site: Path) -> Iterator[_Server]:
    """A server of the site under a sub-path, on this machine alone; counts what it sends."""
    with _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=str(site))) as server:
        server.sent, server.lost = Counter(), []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def rest(page: Any) -> None:
    """Wait until formulas are set and nothing is loading any more."""
    page.wait_for_load_state("networkidle")
    if page.locator("span.math, div.math").count():
        page.wait_for_selector("mjx-container", state="attached")


def faults(page: Any) -> list[str]:
    """What axe calls serious or critical on an open page: "rule: selector"."""
    from axe_playwright_python.sync_playwright import Axe

    # preload: axe would ask for the style sheets once more, which a browser refuses for pages from a folder
    found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
    grave = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    return [f"{rule['id']}: {node['target'][0]}" for rule in grave for node in rule["nodes"]]


def measure(browser: Any, site: Path, found: list[str]) -> list[dict[str, Any]]:
    """A row for every page: kilobytes, width on a phone, faults, foreign requests.

    ``found`` gets a line for each fault and each foreign address.
    """
    rows = []
    with served(site) as server:
        own = (server.address, "data:", "blob:")
        for name in page_names(site):
            row: dict[str, Any] = {"page": name}
            foreign: list[str] = []
            for screen, (width, height) in SCREENS.items():
                for theme in THEMES:
                    size = {"width": width, "height": height}
                    context = browser.new_context(viewport=size, color_scheme=theme, has_touch=screen == "phone")
                    page = context.new_page()
                    page.on("request", functools.partial(_note, own, foreign))
                    server.sent.clear()
                    page.goto(server.address + name)
                    rest(page)
                    if (screen, theme) == ("desktop", "light"):
                        row["html (kB)"] = round(server.sent[".html"] / 1000)
                        row["first view (kB)"] = round(sum(server.sent.values()) / 1000)
                    grave = faults(page)
                    found += [f"{name}, {screen}, {theme}: {fault}" for fault in grave]
                    row[f"faults, {screen}, {theme}"] = len(grave)
                    row[f"width, {screen}"] = page.evaluate("document.documentElement.scrollWidth")
                    context.close()
            row["foreign requests"] = len(foreign)
            found += [f"{name} asks {address}" for address in sorted(set(foreign))]
            print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            rows.append(row)
        if server.lost:
            raise CourseError(f"pages ask for what is not there: {', '.join(sorted(set(server.lost)))}")
    return rows


def _note(own: tuple[str, ...], foreign: list[str], request: Any) -> None:
    if not request.url.startswith(own):
        foreign.append(request.url)


def report(rows: list[dict[str, Any]], site: Path, found: list[str]) -> str:
    """The page of results; ``found`` from :func:`measure`."""
    count, broken = links(site)
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    heaviest = max(rows, key=lambda row: row["first view (kB)"])
    heavy = sum(row["first view (kB)"] > 1000 for row in rows)
    most = f"{heaviest['first view (kB)']} kB ({heaviest['page']})"
    wide = sum(row["width, phone"] > SCREENS["phone"][0] for row in rows)
    grave = sum(number for row in rows for key, number in row.items() if key.startswith("faults"))
    columns = list(rows[0])
    body = [f"| {' | '.join(str(row[key]) for key in columns)} |" for row in rows]
    lines = [
        "# The site",
        "",
        f"{len(rows)} pages, {total:.0f} MB in all. {count} links inside the site, {len(broken)} of them broken. First",
        "view: what a browser receives, compressed, until the page rests. Faults: serious or critical to axe.",
        "",
        f"- Heaviest first view: {most}; pages over 1,000 kB: {heavy}.",
        f"- Faults in all four looks together: {grave}.",
        f"- Requests to other servers: {sum(row['foreign requests'] for row in rows)}.",
        f"- Pages wider than a phone of 360 pixels: {wide}.",
        "",
        f"| {' | '.join(columns)} |",
        f"|---|{'---:|' * (len(columns) - 1)}",
        *body,
        "",
        *(f"- {entry}" for entry in [*broken, *found]),
        resources.made_by("python -m tools.site_report"),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the built site.")
    parser.add_argument("site", nargs="?", type=Path, default=ROOT / "book" / "_build" / "html")
    parser.add_argument("--output", type=Path, default=ROOT / "results", help="folder instead of results/")
    options = parser.parse_args()
    path = doctor.find_chromium()
    if not (options.site / "index.html").exists() or not path:
        raise CourseError("build the site first (make book), and install Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        found: list[str] = []
        rows = measure(browser, options.site, found)
        browser.close()
    rows.sort(key=lambda row: -row["first view (kB)"])
    command.write(options.output, "site", rows, report(rows, options.site, found))


if __name__ == "__main__":
    command.run(main)
