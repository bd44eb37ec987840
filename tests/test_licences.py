"""Licences of what the lock pins: each stated, none of them the GPL, those that ask for it named in NOTICE."""

import re

import pytest
from conftest import ROOT

from tools import licences


@pytest.fixture(scope="module")
def rows():
    return licences.table(licences.LOCK.read_text(encoding="utf-8"))


def test_every_package_of_the_lock_may_be_handed_on(rows):
    assert len(rows) > 200
    assert [(row.name, row.licence, row.problem) for row in rows if row.problem] == []


def test_notice_names_packages_whose_source_must_be_offered(rows):
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    weak = [row.name for row in rows if re.search("MPL|Mozilla|LGPL|Lesser", row.licence)]
    assert {"certifi", "tqdm"} <= set(weak)
    assert [name for name in weak if not re.search(rf"\b{re.escape(name)}\b", notice)] == []


def test_tables_hold_nothing_that_is_no_longer_in_the_lock(rows):
    names = {row.name for row in rows}
    assert set(licences.STATED) | set(licences.ALLOWED) <= names
    assert all(licences.ALLOWED.values())


@pytest.mark.parametrize(
    "licence",
    ["GPL-3.0-or-later", "MIT AND GPL-2.0-only", "AGPL-3.0", "GNU General Public License v3 (GPLv3)", "LGPL-2.1-only"],
)
def test_what_is_refused(licence):
    assert licences.problem("some-package", licence)


def test_a_package_that_states_nothing_or_hides_something_is_refused():
    assert licences.stated("surely-not-installed") == ""
    assert "states no licence" in licences.problem("surely-not-installed", "")
    assert "FFTW" in licences.problem("finufft", "Apache-2.0")


def test_the_lock_is_read_whole():
    text = "a==1.0 \\\n    --hash=sha256:0\nb-c==2 ; python_version < '3.12' \\\n    --hash=sha256:0\n    # via a\n"
    assert licences.locked(text) == {"a": "1.0", "b-c": "2"}
