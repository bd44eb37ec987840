"""Fixtures every test may use."""

import importlib.util
import os
from pathlib import Path

import pytest

from medsr_course import doctor

ROOT = Path(__file__).resolve().parent.parent


def load_tool(name, folder="tools"):
    """Import a script of ``tools/`` (or another folder), which is no package, by its path."""
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
