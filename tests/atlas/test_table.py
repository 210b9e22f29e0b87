from __future__ import annotations

import io
import json
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from scanproof.atlas.console import console_table
from scanproof.atlas.measure import Level, Spread
from scanproof.atlas.table import SeverityTable, as_csv, as_json, as_markdown, frame
from scanproof.atlas.write import TABLES, check_output, write_table
from scanproof.errors import ScanproofError
from scanproof.transforms.severity import parameters

COMMAND = "scanproof severity-table -o table.md"


def spread(mean: float) -> Spread:
    return Spread(mean, round(mean / 2, 5), round(mean * 1.5, 5))


@pytest.fixture(scope="module")
def table() -> SeverityTable:
    levels = [
        Level(
            shift=name,
            severity=s,
            parameters=parameters(name, s),
            cases=36,
            nrmse=spread(round(0.03111 * s + 0.01 * i, 5)),
            ssim=spread(round(0.9 - 0.1 * s, 5)),
        )
        for i, name in enumerate(("rigid_motion", "spike"))
        for s in range(1, 6)
    ]
    return SeverityTable(levels=levels, anatomies="two slices", command=COMMAND)


@pytest.fixture
def broken(table):
    levels = list(table.levels)
    levels[3] = replace(levels[3], nrmse=spread(0.001))
    return replace(table, levels=levels)


def test_csv_comes_back_as_it_was(table):
    back = pd.read_csv(io.StringIO(as_csv(table)))
    pd.testing.assert_frame_equal(back, frame(table), check_dtype=False)
    assert len(back) == 10
    assert back["rises"].all()
    assert set(back["command"]) == {COMMAND}
    row = back.iloc[2]
    assert (row["family"], row["shift"], row["severity"]) == ("Motion", "rigid_motion", 3)
    found = {key: float(value) for key, value in (pair.split("=") for pair in row["parameters"].split("; "))}
    assert found == parameters("rigid_motion", 3)
    assert row["units"].startswith("rotation=degrees, either sense; translation=mm")


def test_markdown_tables_hold_every_number(table):
    text = as_markdown(table)
    assert f"`{COMMAND}`" in text
    assert "two slices" in text
    sections = text.split("\n## ")[2:]
    assert [section.splitlines()[0] for section in sections] == ["Rigid motion", "Spike"]
    rows = []
    for section in sections:
        lines = [line for line in section.splitlines() if line.startswith("|")]
        widths = {line.count("|") for line in lines}
        assert len(widths) == 1
        rows += [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    for cells, level in zip(rows, table.levels, strict=True):
        assert int(cells[0]) == level.severity
        assert [float(cell) for cell in cells[1:-2]] == list(level.parameters.values())
        for cell, wanted in zip(cells[-2:], (level.nrmse, level.ssim), strict=True):
            mean, low, high = (float(x) for x in cell.replace("(", " ").replace(")", "").replace("–", " ").split())
            assert (mean, low, high) == pytest.approx(wanted, abs=5.1e-4)
    overview = text.split("## Overview")[1].split("\n## ")[0]
    assert "| Motion | [rigid motion](#rigid-motion) | 0.031 / 0.80 |" in overview


def test_json_holds_the_same(table):
    found = json.loads(as_json(table))
    assert found["command"] == COMMAND
    assert len(found["levels"]) == 10
    for entry, level in zip(found["levels"], table.levels, strict=True):
        assert entry["parameters"] == dict(level.parameters)
        assert Spread(**entry["nrmse"]) == level.nrmse
        assert Spread(**entry["ssim"]) == level.ssim


def printed(table: SeverityTable, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(console_table(table))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_shows_every_level(table, width):
    text = printed(table, width)
    for level in table.levels:
        assert f"{level.nrmse.mean:.2f} ({level.nrmse.low:.2f}–{level.nrmse.high:.2f})" in text
    assert "NOT MONOTONE" not in text


def test_a_level_that_falls_is_marked_everywhere(broken):
    fault = "rigid_motion: NRMSE 0.001 at severity 4 is not above 0.093 at severity 3"
    text = as_markdown(broken)
    assert f"**{fault}**" in text
    assert text.count("not above") == 3
    assert frame(broken)["rises"].tolist() == [True] * 3 + [False] + [True] * 6
    assert [level["rises"] for level in json.loads(as_json(broken))["levels"]].index(False) == 3
    assert printed(broken, 100).count("NOT MONOTONE") == 1


@pytest.mark.parametrize("suffix", [*TABLES, ".MD"])
def test_the_suffix_chooses_the_format(table, tmp_path, suffix):
    path = write_table(table, tmp_path / f"table{suffix}")
    kinds = {".md": as_markdown, ".csv": as_csv, ".json": as_json}
    assert path.read_text(encoding="utf-8") == kinds[suffix.lower()](table)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ScanproofError, match=r"unknown kind of output file, got '.txt' \(.*known: .csv, .json, .md\)"):
        check_output(tmp_path / "table.txt", TABLES)
    with pytest.raises(ScanproofError, match=r"none/table.md: folder of the output must exist"):
        check_output(tmp_path / "none" / "table.md", TABLES)
