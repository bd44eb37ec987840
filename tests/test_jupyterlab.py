"""Chapter 00 as the reader meets it: JupyterLab serves it, and it runs top to bottom in a browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from conftest import ROOT

TOKEN = "test-token"
RUN_ALL = """async () => {
  await jupyterapp.restored;
  const panel = jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  return await jupyterapp.commands.execute('notebook:run-all-cells');
}"""
OUTPUTS = """() => {
  const cells = jupyterapp.shell.currentWidget.content.model.cells;
  return Array.from({length: cells.length}, (_, i) => cells.get(i).toJSON()).filter(c => c.cell_type === 'code');
}"""
# Every code cell has run, or one stopped with an error.
DONE = """() => {
  const cells = jupyterapp.shell.currentWidget.content.model.cells;
  const code = Array.from({length: cells.length}, (_, i) => cells.get(i).toJSON()).filter(c => c.cell_type === 'code');
  const stopped = code.some(c => c.outputs.some(o => o.output_type === 'error'));
  return stopped || code.every(c => c.execution_count);
}"""


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab server on a copy of the chapters (Lab saves what it runs); its address."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--no-browser", f"--port={port}", "--ip=127.0.0.1", "--expose-app-in-browser", "--allow-root"]
    words += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={tmp_path}", "--ServerApp.port_retries=0"]
    environment = dict(os.environ, JUPYTER_PREFER_ENV_PATH="1", JUPYTER_CONFIG_DIR=str(tmp_path / "config"))
    environment.update(
        JUPYTERLAB_SETTINGS_DIR=str(tmp_path / "settings"), JUPYTERLAB_WORKSPACES_DIR=str(tmp_path / "ws")
    )
    log = (tmp_path / "log.txt").open("w")
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *words], stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(server, address, tmp_path / "log.txt")
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
        log.close()


def wait_for(server, address, log):
    """Until the server answers; its log where it does not."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(60):
        if server.poll() is not None:
            break
        try:
            opener.open(f"{address}/api?token={TOKEN}", timeout=1).close()
            return
        except OSError:
            pause(server)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def pause(server):
    """One second, or less where the server ends."""
    try:
        server.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return


@pytest.mark.browser
@pytest.mark.notebook
def test_chapter_00_runs_in_jupyterlab(lab, chromium):
    page = chromium.new_page(viewport={"width": 1200, "height": 1000})
    page.goto(f"{lab}/lab/tree/notebooks/00_start_here.ipynb?token={TOKEN}")
    page.wait_for_function(
        "window.jupyterapp?.shell?.currentWidget?.content?.model?.cells?.length > 5", timeout=120_000
    )
    page.wait_for_selector(".jp-Notebook .jp-MarkdownOutput h1", timeout=60_000)
    page.evaluate(RUN_ALL)
    page.wait_for_function(DONE, timeout=300_000, polling=1000)
    code = page.evaluate(OUTPUTS)
    assert all(cell["execution_count"] for cell in code)
    outputs = [o for cell in code for o in cell["outputs"]]
    assert [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"] == []
    claims = [
        o["data"]["application/vnd.medsr.claim+json"] for o in outputs if "claim+json" in str(o.get("data", {}).keys())
    ]
    assert claims
    assert [c for c in claims if c["ok"] is False] == []
    slider = page.locator(".medsr-viewer input[type=range]").first
    slider.scroll_into_view_if_needed()
    stage = page.locator(".medsr-stage[data-drawn]").first
    before = stage.screenshot()
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert stage.screenshot() != before
    page.close()
