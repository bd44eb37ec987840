"""What is begun early, beside the reader."""

import os

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

from medsr_course.scans import datasets
from medsr_course.teaching import preparing

CELL = """
import time
from medsr_course.scans import phantom
from medsr_course.teaching import preparing

def slow(folder, subjects, seed=0, told=None):
    told(0, 2)
    time.sleep(0.3)
    told(1, 2)

phantom.make_cohort = slow
thread = preparing.cohort(2)
print("the kernel is free")
"""


def test_nobody_reads_so_nothing_begins():
    assert preparing.cohort() is None


@pytest.mark.parametrize("unattended", ["", "1"])
def test_a_line_tells_how_far_it_is_while_the_kernel_is_free(tmp_path, monkeypatch, unattended):
    monkeypatch.setenv("MEDSR_CACHE", str(tmp_path))
    monkeypatch.setenv("MEDSR_UNATTENDED", unattended)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    cells = [nbformat.v4.new_code_cell(CELL), nbformat.v4.new_code_cell("time.sleep(0.8)")]
    NotebookClient(notebook := nbformat.v4.new_notebook(cells=cells), timeout=60, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    said = [entry.data["text/markdown"] for entry in outputs if entry.output_type == "display_data"]
    assert [entry.text for entry in outputs if entry.output_type == "stream"] == ["the kernel is free\n"]
    assert len(said) == (not unattended)
    assert all("1 of 2 people, about 0 s more" in line for line in said)


def test_where_all_are_there_nothing_begins(monkeypatch):
    monkeypatch.setattr(datasets, "cohort_size", lambda seed, n_subjects: n_subjects)
    monkeypatch.setattr(preparing.knobs, "attended", lambda: True)
    assert preparing.cohort() is None
