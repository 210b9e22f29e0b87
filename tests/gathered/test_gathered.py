from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from scanproof.cli import app
from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.quality import quality_rows
from scanproof.evaluation.table import RESULT_COLUMNS, check_table, conform, results_schema
from scanproof.gathered import folder as gathered_folder
from scanproof.gathered.folder import cases_in, gather, summary_in
from scanproof.gathered.quality import gathered_means
from scanproof.gathered.query import aggregate, parse_where
from scanproof.gathered.report import DRAWN_SITES, report_gathered

BOOTSTRAP = Bootstrap(seed=3, resamples=100, interval="expanded")
SITES = ("north", "St. Elsewhere / 2", "west=1")
CONDITIONS = (("none", 0), ("noise", 1), ("noise", 3))


def site_table(site: str, *, cases: int = 12) -> pd.DataFrame:
    """Cases of one site, two a subject, and their means."""
    rng = np.random.default_rng(len(site))
    rows = [
        {"site": site, "subject": f"{site}-{case // 2}", "case": f"{site}-{case}", "shift": shift, "severity": severity}
        | {"reconstruction": "unet", "acceleration": 4.0, "metric": metric, "value": rng.uniform(0.2, 0.9)}
        for case in range(cases)
        for shift, severity in CONDITIONS
        for metric in ("ssim", "nrmse")
    ]
    table = pd.DataFrame(rows)
    means = quality_rows(table, BOOTSTRAP)
    whole = pd.concat([table.assign(n=1), means[means["site"] == site]], ignore_index=True).assign(study="many")
    return conform(whole, RESULT_COLUMNS)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders as a study leaves them, one a site."""
    root = tmp_path_factory.mktemp("sites")
    lock = {"study": "many", "study_sha256": "0", "code_version": "1", "versions": {}}
    folders = []
    for number, site in enumerate(SITES):
        folders.append(root / str(number))
        folders[-1].mkdir()
        site_table(site).to_parquet(folders[-1] / "results.parquet", index=False)
        content = lock | {"definition": {"name": "many", "data": {"kind": "demo"}}}
        (folders[-1] / "study.lock.yaml").write_text(yaml.safe_dump(content))
    return folders


@pytest.fixture(scope="module")
def everything(tables: list[Path]) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(folder / "results.parquet") for folder in tables], ignore_index=True)


@pytest.fixture(scope="module")
def gathered(tables: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gathered")
    assert gather(tables, folder) == len(tables)
    return folder


def test_every_row_is_there_once(gathered: Path, everything: pd.DataFrame) -> None:
    cases = cases_in(gathered).to_table().to_pandas().drop(columns="source")
    of_cases = everything["case"].notna()
    pd.testing.assert_frame_equal(conform(cases, RESULT_COLUMNS), conform(everything[of_cases], RESULT_COLUMNS))
    pd.testing.assert_frame_equal(
        conform(summary_in(gathered), RESULT_COLUMNS), conform(everything[~of_cases], RESULT_COLUMNS)
    )


def test_small_batches_give_the_same(
    tables: list[Path], gathered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered_folder, "BATCH_ROWS", 7)
    gather(tables, tmp_path)
    means = [gathered_means(folder, study="many", bootstrap=BOOTSTRAP) for folder in (tmp_path, gathered)]
    pd.testing.assert_frame_equal(*means, check_exact=True)


def test_means_are_those_of_all_cases_at_once(gathered: Path, everything: pd.DataFrame) -> None:
    cases = everything[everything["case"].notna()]
    columns = ["site", "subject", "case", "shift", "severity", "reconstruction", "acceleration", "metric", "value"]
    expected = conform(quality_rows(cases[columns], BOOTSTRAP).assign(study="many"), RESULT_COLUMNS)
    expected = check_table(expected, results_schema(), name="expected")
    found = gathered_means(gathered, study="many", bootstrap=BOOTSTRAP)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize(
    ("where", "by"),
    [
        ([], []),
        ([], ["site", "metric"]),
        (["metric=ssim"], ["shift", "severity"]),
        (["site=west=1", "site=north", "severity=3"], ["site"]),
        (["acceleration=4"], ["subject", "metric"]),
    ],
)
def test_answers_are_those_of_pandas(gathered: Path, everything: pd.DataFrame, where: list[str], by: list[str]) -> None:
    asked = parse_where(where)
    cases = everything[everything["case"].notna()]
    for name, values in asked.items():
        cases = cases[cases[name].isin(values)]
    groups = cases.groupby(by) if by else cases.groupby(lambda row: 0)
    expected = groups["value"].agg(["count", "mean", "std", "min", "max"]).reset_index(drop=not by)
    found = aggregate(gathered, where=asked, by=by)
    assert list(found.columns) == [*by, "rows", "mean", "sd", "min", "max"]
    for name in by:
        assert found[name].tolist() == expected[name].tolist()
    numbers = expected[["count", "mean", "std", "min", "max"]].to_numpy(float)
    np.testing.assert_allclose(found[["rows", "mean", "sd", "min", "max"]].to_numpy(float), numbers, rtol=1e-12)


def test_a_table_is_taken_in_once(gathered: Path, tables: list[Path], tmp_path: Path) -> None:
    assert gather(tables[:1], gathered) == 0
    changed = site_table(SITES[0], cases=4)
    changed.to_parquet(tmp_path / "results.parquet", index=False)
    with pytest.raises(ScanproofError, match=r"a site of a study must be told of by one table, got 'many, north'"):
        gather([tmp_path], gathered)
    assert not list((gathered / "partial").iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"severity": 7}, "results.parquet: severity: must hold"),
        ({"note": "x"}, "results.parquet: note: table must have only declared columns"),
    ],
)
def test_wrong_tables_leave_nothing(tmp_path: Path, change: dict[str, object], message: str) -> None:
    site_table("north").assign(**change).to_parquet(tmp_path / "results.parquet", index=False)
    with pytest.raises(ScanproofError, match=message):
        gather([tmp_path / "results.parquet"], tmp_path / "out")
    with pytest.raises(ScanproofError, match="folder must hold gathered results"):
        cases_in(tmp_path / "out")


def test_commands(tables: list[Path], tmp_path: Path) -> None:
    run = CliRunner().invoke
    folder = str(tmp_path / "all")
    added = run(app, ["gathered", "add", *map(str, tables), "--to", folder])
    assert added.output.endswith("3 new, 0 there already\n"), added.output
    asked = ["gathered", "query", folder, "--where", "metric=ssim", "--by", "shift,severity"]
    assert run(app, [*asked, "-o", str(tmp_path / "a.csv")]).exit_code == 0
    assert len(pd.read_csv(tmp_path / "a.csv")) == len(CONDITIONS)
    wrong = run(app, ["gathered", "query", folder, "--where", "place=north"])
    assert isinstance(wrong.exception, ScanproofError)
    assert "unknown column" in str(wrong.exception)
    told = run(app, ["gathered", "report", folder, "-o", str(tmp_path / "page"), "--resamples", "100"])
    assert told.exit_code == 0, told.exception
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "36 cases of 3 sites" in page
    assert len(pd.read_parquet(tmp_path / "page" / "means.parquet")) == 4 * 2 * len(CONDITIONS)


def test_of_more_sites_than_can_be_drawn_the_page_shows_the_mean(tables: list[Path], tmp_path: Path) -> None:
    gathered, page = tmp_path / "all", tmp_path / "page"
    for number in range(DRAWN_SITES + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        site_table(f"site {number}", cases=4).to_parquet(folder / "results.parquet", index=False)
        (folder / "study.lock.yaml").write_bytes((tables[0] / "study.lock.yaml").read_bytes())
        gather([folder], gathered)
    text = report_gathered(gathered, page, study="many", bootstrap=BOOTSTRAP, command="")[0].read_text()
    assert f"of {DRAWN_SITES + 1} sites" in text
    assert "site 3" not in text
    assert pd.read_parquet(page / "means.parquet")["site"].nunique() == DRAWN_SITES + 2
