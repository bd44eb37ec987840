"""A few thousand damaged files on every reader: read, or refused in one line; never a raw exception."""

import pytest
from conftest import load_tool

fuzz = load_tool("fuzz")
BLOCKS = [("nifti", 200), ("dicom", 100), ("bids", 75), ("archives", 75)]


@pytest.mark.parametrize("block", range(8))
@pytest.mark.parametrize(("kind", "count"), BLOCKS)
def test_no_raw_exception(kind, count, block):
    counts, failures, longest = fuzz.cases(kind, count, seed=1, first=block * count)
    assert failures == []
    assert counts["refused"] > 0
    assert counts["read"] > 0
    assert longest < 20


def test_a_case_can_be_made_again(tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        fuzz.dicom(fuzz.np.random.default_rng([0, 7]), tmp_path / name)
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert contents[0] == contents[1]


def test_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuzz, "TABLE", tmp_path / "fuzz.csv")
    assert fuzz.main(["--cases", "3", "--kind", "nifti"]) == 0
    assert fuzz.main(["--cases", "2", "--kind", "dicom"]) == 0
    lines = (tmp_path / "fuzz.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [["nifti", "3", "0"], ["dicom", "2", "0"]]
    assert "| nifti | 3 | 0 |" in (tmp_path / "fuzz.md").read_text()
