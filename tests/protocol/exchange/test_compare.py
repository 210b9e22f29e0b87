from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from statsmodels.stats.meta_analysis import combine_effects

from scanproof.errors import ScanproofError
from scanproof.protocol.exchange.compare import compare_endpoints, contrasts_of, interactions
from scanproof.protocol.exchange.intake import SiteExport, import_exports, imported_sites
from scanproof.protocol.exchange.log import COMPARISON, IMPORTED, log_import
from scanproof.protocol.exchange.run import compare_sites
from scanproof.tracking.client import quiet
from scanproof.tracking.runs import KIND
from scanproof.tracking.uri import default_tracking_uri


@pytest.fixture(scope="module")
def root(sent: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared") / "mlruns"
    import_exports(sent, root=root)
    return root


@pytest.fixture(scope="module")
def sites(root: Path) -> list[SiteExport]:
    return imported_sites(root, "p1")


def test_endpoints_are_pooled_on_the_logit_scale(sites: list[SiteExport]) -> None:
    [found] = compare_endpoints(sites)
    assert found.scale == "logit"
    assert found.pooled is not None
    table = found.table
    logits = np.log(table["estimate"] / (1 - table["estimate"]))
    errors = table["standard_error"] / (table["estimate"] * (1 - table["estimate"]))
    other = combine_effects(logits.to_numpy(), errors.to_numpy() ** 2, method_re="dl")
    assert found.pooled.analysis.q == pytest.approx(other.q)
    assert table["weight"].sum() == pytest.approx(1)
    assert 0 < found.pooled.lower < found.pooled.estimate < found.pooled.upper < 1
    assert found.pooled.analysis.p_value < 0.01  # one site reads much worse
    assert found.worst is not None
    assert found.worst["site"] == "süd"
    low, high = found.pooled.prediction or (math.nan, math.nan)
    assert low < found.pooled.lower
    assert high > found.pooled.upper


def test_site_by_norm_is_the_heterogeneity_of_differences(sites: list[SiteExport]) -> None:
    contrasts = contrasts_of(sites)
    table = interactions(contrasts)
    assert set(table["shift"]) == {"none", "all", "ghosting", "complex_noise"}
    assert (table["sites"] == 3).all()
    row = table.query("shift == 'ghosting' and measure == 'change'").iloc[0]
    own = contrasts.query("shift == 'ghosting' and measure == 'change'")
    weights = 1 / own["standard_error"] ** 2
    mean = (weights * own["difference"]).sum() / weights.sum()
    assert row["q"] == pytest.approx((weights * (own["difference"] - mean) ** 2).sum())
    assert row["difference"] > 0  # ghosting costs batch normalization more, at every site
    assert (table["p_holm"].dropna() >= table.loc[table["p_holm"].notna(), "p_interaction"] - 1e-12).all()
    assert table.query("shift in ['all', 'none']")["p_holm"].isna().all()


def test_planted_interaction_is_found() -> None:
    rows = [
        {"site": site, "reconstruction": "unet", "acceleration": 4.0, "classifier": "c", "norm": "group"}
        | {"reference": "batch", "measure": "change", "shift": shift, "standard_error": 0.02}
        | {"difference": value, "lower": value - 0.04, "upper": value + 0.04}
        for shift, values in (("ghosting", (0.3, 0.0, 0.02)), ("spike", (0.05, 0.06, 0.04)))
        for site, value in zip("abc", values, strict=True)
    ]
    table = interactions(pd.DataFrame(rows)).set_index("shift")
    assert table.loc["ghosting", "p_holm"] < 0.001
    assert table.loc["spike", "p_holm"] > 0.5


def test_one_site_is_not_pooled(sites: list[SiteExport]) -> None:
    [found] = compare_endpoints(sites[:1])
    assert found.pooled is None
    assert found.worst is None
    assert interactions(contrasts_of(sites[:1])).empty


def test_page_and_tables(root: Path) -> None:
    found = compare_sites(root, "p1", command="scanproof compare --protocol p1")
    text = found.page.read_text()
    assert text == compare_sites(root, "p1", command="scanproof compare --protocol p1").page.read_text()
    assert "hardly known how far sites differ" in text
    assert "St. Elsewhere" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    pooled = pd.read_csv(root / "comparisons" / "p1" / "pooled.csv")
    assert pooled["sites"].tolist() == [3]
    assert pd.read_csv(root / "comparisons" / "p1" / "endpoints.csv")["site"].tolist() == [
        "St. Elsewhere",
        "north",
        "süd",
    ]
    assert "no evidence that there is none" in " ".join(found.sentences)


def test_unknown_protocols_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ScanproofError, match="did you mean 'p1'"):
        compare_sites(root, "p11", command="")
    with pytest.raises(ScanproofError, match="import first: scanproof import"):
        compare_sites(tmp_path, "p1", command="")


def test_each_site_and_the_comparison_have_runs(root: Path, sites: list[SiteExport]) -> None:
    uri = default_tracking_uri(root)
    runs = [log_import(site, uri=uri, artifact_root=root / "artifacts") for site in sites]
    assert [log_import(site, uri=uri, artifact_root=root / "artifacts") for site in sites] == runs
    for _ in range(2):
        compare_sites(root, "p1", tracking_uri=uri, command="")
    with quiet():
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("p1")
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], max_results=1000)
    kinds = [run.data.tags[KIND] for run in found]
    assert kinds.count(IMPORTED) == 3
    assert kinds.count("chain") == 6
    assert kinds.count(COMPARISON) == 1
    parent = next(run for run in found if run.info.run_id == runs[0])
    assert parent.data.tags["protocol_sha256"] == sites[0].contents.protocol_sha256
    assert parent.data.tags["verdict"] == sites[0].validation.verdict
    assert parent.data.metrics["endpoint/robust"] == pytest.approx(sites[0].validation.primary.estimate or 0)
    nested = [run for run in found if run.data.tags.get("mlflow.parentRunId") == runs[0]]
    assert {run.data.tags["norm"] for run in nested} == {"batch", "group"}
    assert all("ghosting/auroc" in run.data.metrics for run in nested)
