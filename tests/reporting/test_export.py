from __future__ import annotations

import pandas as pd

from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.claim import Claim
from scanproof.evaluation.claims import judge_claims, paired_differences
from scanproof.evaluation.evaluate import evaluate
from scanproof.evaluation.table import PREDICTION_COLUMNS
from scanproof.reporting.export import mean_table, slice_table, summary_page, write_tables

BOOTSTRAP = Bootstrap(seed=1, resamples=200)


def results() -> pd.DataFrame:
    rows = [
        {"site": site, "subject": f"{site}{n}", "case": f"{site}{n}", "shift": shift, "severity": severity}
        | {"reconstruction": method, "acceleration": 4.0, "metric": metric, "value": scale * (value + 0.01 * n)}
        for site in ("north", "south")
        for n in range(4)
        for shift, severity in (("none", 0), ("motion", 3))
        for method, value in (("unet", 0.9), ("cs_tv", 0.8 - 0.1 * severity))
        for metric, scale in (("ssim", 1), ("psnr", 30))
    ]
    nothing = pd.DataFrame(columns=list(PREDICTION_COLUMNS))
    return evaluate(nothing, pd.DataFrame(rows).assign(study="s"), study="s", seed=1, resamples=200).results


def test_pages_and_files_say_the_same(tmp_path):
    table = results()
    claim = Claim(text="A | B", compare="cs_tv", against="unet", metric="ssim", shift="motion", severity=3)
    claims = judge_claims(table, [claim], bootstrap=BOOTSTRAP)
    paired = paired_differences(table, against="unet", bootstrap=BOOTSTRAP)
    page = summary_page(
        table,
        paired,
        claims,
        title="my_study",
        command="scanproof run my.yaml",
        metrics=["ssim"],
        against="unet",
        level=0.95,
    )
    assert "| A \\| B | cs tv − unet, SSIM; motion 3, all sites | −0.400 (−0.400 to −0.400) | above 0 | 8 |" in page
    assert "**disagree**" in page
    assert "| condition | cs tv | unet |" in page
    clean = next(line for line in page.splitlines() if line.startswith("| no shift"))
    assert clean.startswith("| no shift | 0.815 (")
    assert "| motion 3 | **−0.400** (−0.400 to −0.400) |" in page
    assert "## PSNR" not in page
    written = write_tables(
        tmp_path / "new", tables={"slices": slice_table(table), "means": mean_table(table), "claims": claims}, page=page
    )
    assert [path.name for path in written] == ["README.md", "slices.csv", "means.csv", "claims.csv"]
    slices = pd.read_csv(tmp_path / "new" / "slices.csv")
    assert len(slices) == 2 * 4 * 2 * 2
    one = slices.query("case == 'south2' and shift == 'motion' and reconstruction == 'unet'")
    assert one[["psnr", "ssim"]].to_numpy().tolist() == [[27.6, 0.92]]
    means = pd.read_csv(tmp_path / "new" / "means.csv")
    assert set(means["site"]) == {"north", "south", "all"}


def test_accelerations_are_kept_apart():
    twice = results()
    twice = pd.concat([twice, twice.assign(acceleration=8.0)])
    page = summary_page(twice, None, None, title="s", command="", metrics=["ssim"], against=None, level=0.95)
    head = next(line for line in page.splitlines() if line.startswith("| condition"))
    assert head.count("|") == 6
    assert "unet R\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}8" in head
