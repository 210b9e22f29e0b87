"""The two commands from end to end, on a small image."""

from __future__ import annotations

import json
import re
from types import MappingProxyType

import pandas as pd
import pytest
from typer.testing import CliRunner

from scanproof.cli import app
from scanproof.transforms import severity

RUNNER = CliRunner()


@pytest.fixture
def image(nifti):
    return str(nifti((26, 24, 20)))


def test_the_table_is_printed_and_written_in_several_formats(image, tmp_path):
    files = [tmp_path / f"table{suffix}" for suffix in (".md", ".csv", ".json")]
    outputs = [part for file in files for part in ("-o", str(file))]
    shifts = ["--shift", "bias_field", "--shift", "slice_thickness"]
    result = RUNNER.invoke(app, ["severity-table", "--input", image, *shifts, *outputs])
    assert result.exit_code == 0, result.output
    assert "bias field" in result.output
    found = pd.read_csv(files[1])
    assert found["shift"].tolist() == ["bias_field"] * 5 + ["slice_thickness"] * 5
    levels = json.loads(files[2].read_text(encoding="utf-8"))["levels"]
    assert [level["nrmse"]["mean"] for level in levels] == found["nrmse"].tolist()
    for level in levels:
        assert f"| {level['nrmse']['mean']:.3f} (" in files[0].read_text(encoding="utf-8")
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "scanproof severity-table --input IMAGE --shift bias_field" in text
        assert not re.search("doe", text, re.IGNORECASE)


def test_levels_that_do_not_rise_are_told_after_writing_and_end_in_code_one(image, tmp_path, monkeypatch):
    grading = severity.GRADINGS["bias_field"]
    swapped = severity.Grading(levels=grading.levels[::-1], units=grading.units, source=grading.source)
    monkeypatch.setattr(severity, "GRADINGS", MappingProxyType({**severity.GRADINGS, "bias_field": swapped}))
    path = tmp_path / "table.csv"
    result = RUNNER.invoke(app, ["severity-table", "--input", image, "--shift", "bias_field", "-o", str(path)])
    assert result.exit_code == 1
    assert pd.read_csv(path)["rises"].tolist() == [True] + [False] * 4
    assert result.stderr.count("scanproof: not monotone: bias_field: NRMSE") == 4
    assert "NOT MONOTONE" in result.stdout


@pytest.mark.parametrize("suffix", [".html", ".png", ".pdf"])
def test_a_gallery_shows_the_chosen_slice_and_hides_whose_it_is(image, tmp_path, suffix):
    path = tmp_path / f"gallery{suffix}"
    options = ["--input", image, "--slice", "7", "--shift", "ghosting", "--output", str(path)]
    result = RUNNER.invoke(app, ["gallery", *options])
    assert result.exit_code == 0, result.output
    content = path.read_bytes()
    assert len(content) > 5000
    assert not re.search(rb"doe.jane", content, re.IGNORECASE)
    if suffix == ".html":
        assert b"Axial slice 7 of the given image" in content
        assert b"scanproof gallery --input IMAGE --slice 7 --shift ghosting --output" in content
