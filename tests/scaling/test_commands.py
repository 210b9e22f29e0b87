from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scanproof.cli import app
from scanproof.errors import ScanproofError
from scanproof.scaling.axes import axis
from scanproof.scaling.planner import plan_table
from scanproof.scaling.target import parse_target


@pytest.fixture
def folder(sweep, tmp_path):
    # some shifted test cases: twice the error
    tested = sweep[(sweep["split"] == "test") & (sweep["metric"] == "mse")]
    shifted = tested.assign(shift="noise", severity=2, value=2 * tested["value"])
    decibels = shifted.assign(metric="psnr", value=-10 * np.log10(shifted["value"]))
    pd.concat([sweep, shifted, decibels]).to_parquet(tmp_path / "results.parquet")
    return tmp_path


def test_fit_writes_tables_a_page_and_a_picture(folder):
    done = CliRunner().invoke(app, ["scaling", "fit", str(folder), "--axis", "mse", "--resamples", "100"])
    assert done.exit_code == 0, done.output
    assert "denoising, simulated, none, Mean squared error: agree (the broken law is chosen" in done.output
    out = folder / "fits"
    fits = pd.read_csv(out / "fits.csv")
    row = fits.query("form == 'broken' and parameter == 'break' and shift == 'none'").iloc[0]
    assert row["chosen"]
    assert row["lower"] < 110 < row["upper"]
    points = pd.read_csv(out / "points.csv")
    assert set(points["width"]) == {8}
    assert set(points["edge"]) == {"inside"}
    by_shift = points.pivot(index="examples", columns="shift", values="value")
    assert (by_shift["noise"] / by_shift["none"]).tolist() == pytest.approx([2] * 8, rel=2e-3)
    assert set(pd.read_csv(out / "verdicts.csv")["verdict"]) == {"agree"}
    assert len(pd.read_csv(out / "choices.csv")) == 6
    page = (out / "README.md").read_text()
    assert "| denoising, simulated | clean | Mean squared error | broken power law | **agree** |" in page
    assert "exponent of the ratio" in page
    for name in ("laws", "widths", "robustness"):
        assert f"](figures/{name}.png)" in page
        assert (out / "figures" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    html = (out / "report.html").read_text()
    assert "scanproof scaling report" in html
    assert "agree for denoising" in html


def test_tables_for_a_manuscript_have_no_page_of_their_own(folder, tmp_path):
    out = tmp_path / "tables"
    done = CliRunner().invoke(app, ["scaling", "tables", str(folder), "-o", str(out), "--resamples", "100"])
    assert done.exit_code == 0, done.output
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {str(out / name) for name in files} == set(done.output.split())
    assert files == {
        "README.md",
        *(f"{name}.csv" for name in ("verdicts", "fits", "choices", "points", "robustness")),
        *(f"figures/{name}.png" for name in ("laws", "published", "widths", "robustness")),
    }


def test_plan_says_what_is_worth_it_and_refuses_the_rest(folder, tmp_path):
    out = tmp_path / "plan"
    done = CliRunner().invoke(
        app,
        ["scaling", "plan", str(folder), "--target-gain", "1dB", "--data-cost", "1", "--at", "2000",
         "--resamples", "100", "-o", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "on a doubling brings less than 1 dB, by the broken power law" in done.output
    assert "- examples 2000 to 4000: 4000 is beyond 2560: " in done.output
    rows = pd.read_csv(out / "doublings.csv")
    assert rows.query("start == 2000")["basis"].tolist() == ["refused"]
    # 1.8 dB a doubling before the break, 0.45 after it
    gains = rows.query("of == 'examples'").set_index("start")["gain"]
    assert gains[20] == pytest.approx(1.8, abs=0.2)
    assert gains[320] == pytest.approx(0.45, abs=0.1)
    enough = pd.read_csv(out / "enough.csv").iloc[0]
    assert 55 < enough["lower"] <= enough["examples"] <= enough["upper"] < 400


def test_wrong_calls_are_told(folder, sweep, bootstrap):
    for arguments, rule in (
        (["fit", str(folder), "--axis", "vif"], "unknown axis of this sweep, got 'vif'"),
        (["fit", str(folder / "none")], "results of a sweep must exist"),
        (["plan", str(folder), "--target-gain", "0.1dB", "--confidence", "2"], "confidence must be in"),
    ):
        done = CliRunner().invoke(app, ["scaling", *arguments])
        assert isinstance(done.exception, ScanproofError)
        assert rule in str(done.exception)
    with pytest.raises(ScanproofError, match="unknown axis"):
        axis("vif")
    two = sweep[sweep["examples"] <= 20]
    with pytest.raises(ScanproofError, match="a scaling law must have at least 3 sizes, got 2"):
        plan_table(two, parse_target("0.1dB"), bootstrap=bootstrap)
