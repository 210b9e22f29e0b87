"""Image metrics that a study asks for, from its file to the tables, figures and names made of them."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from scanproof.errors import ScanproofError
from scanproof.evaluation.image_metrics import DEFAULT_METRICS, IMAGE_METRICS
from scanproof.reporting.static import degradation_figure
from scanproof.reporting.vocabulary import METRICS
from scanproof.study.load import load_study
from scanproof.study.plan import Plan, make_plan
from scanproof.study.run import Finished, Workspace, run_study
from scanproof.tracking import metrics as tracking

ALL = list(IMAGE_METRICS)


@pytest.fixture
def planned(small, write_study):
    def plan(**evaluation: object) -> Plan:
        data = {**small["data"], "matrix": [64, 48]}
        return make_plan(load_study(write_study({**small, "data": data, "evaluation": evaluation})))

    return plan


def keys(plan: Plan, kind: str) -> set[str]:
    return {task.key for task in plan.tasks if task.kind == kind}


def test_another_choice_measures_the_test_images_and_trains_nothing(planned) -> None:
    first, second = planned(), planned(image_metrics=["ssim", "vif"])
    for kind in ("cohort", "fit_reconstruction", "train_classifier"):
        assert keys(first, kind) == keys(second, kind)
    new = [t for t in second.tasks if t.kind == "reconstruct" and t.key not in keys(first, "reconstruct")]
    assert {t.key for t in new} == {t.key for t in second.reconstructions}
    assert {tuple(t.params["image_metrics"]) for t in new} == {("ssim", "vif")}
    others = [t for t in second.tasks if t.kind == "reconstruct" and t.params["split"] != "test"]
    assert others
    assert all(t.params["image_metrics"] == [] for t in others)


def test_order_of_names_measures_nothing_anew_and_the_default_is_three(planned) -> None:
    first, turned = planned(), planned(image_metrics=["nrmse", "ssim", "psnr"])
    assert keys(first, "reconstruct") == keys(turned, "reconstruct")
    assert {tuple(t.params["image_metrics"]) for t in first.reconstructions} == {DEFAULT_METRICS}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["vfi"], r"study.yaml: evaluation.image_metrics: unknown image metric, got 'vfi' \(did you mean 'vif'\?"),
        (["vif"], r"study.yaml: evaluation.image_metrics: metric vif needs .* 41 x 41 pixels, got '48 x 40'"),
        (["ssim", "ssim"], r"evaluation.image_metrics: image metric must be listed once, got 'ssim' twice"),
        ([], r"evaluation.image_metrics: .*at least 1 item"),
    ],
)
def test_wrong_choices_are_named_when_the_file_is_read(small, write_study, names: list[str], message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        load_study(write_study({**small, "evaluation": {"image_metrics": names}}))


def test_local_data_have_no_findings(small, write_study, tmp_path: Path) -> None:
    path = write_study({**small, "evaluation": {"image_metrics": ["ssim", "finding_error"]}})
    assert load_study(path).evaluation.image_metrics == ["ssim", "finding_error"]
    with pytest.raises(ScanproofError, match=r"study.yaml: evaluation.image_metrics: needs data that say where"):
        load_study(path, data=tmp_path)


def test_every_metric_has_words_and_the_same_good_direction_everywhere() -> None:
    assert set(tracking.IMAGE_METRICS) == set(IMAGE_METRICS) <= set(METRICS)
    assert {name: METRICS[name].higher_is_better for name in ALL} == tracking.IMAGE_METRICS


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A study of two reconstructions of demo images, with every metric."""
    import yaml

    folder = tmp_path_factory.mktemp("measured")
    content = {
        "name": "measured",
        "data": {
            "kind": "demo",
            "sites": ["north", "south"],
            "matrix": [96, 80],
            "slices": 2,
            "subjects": {"train": 2, "val": 2, "test": 4},
        },
        "shifts": [{"name": "complex_noise", "severities": [2, 5]}, {"name": "anatomy", "severities": [5]}],
        "reconstruction": [{"name": "fully_sampled"}, {"name": "zero_filled"}],
        "evaluation": {"resamples": 100, "image_metrics": ALL},
    }
    (folder / "measured.yaml").write_text(yaml.safe_dump(content))
    study = load_study(folder / "measured.yaml")
    return run_study(study, Workspace(root=folder / "mlruns"), workers=1, tracking_uri=None, command="test")


def means(results: pd.DataFrame, site: str = "all") -> pd.DataFrame:
    rows = results[(results["site"] == site) & results["case"].isna()]
    index = ["reconstruction", "shift", "severity"]
    return rows.pivot_table(index=index, columns="metric", values="value").astype(float)


def test_results_hold_every_metric_and_findings_of_cases_that_have_one(measured: Finished) -> None:
    results = measured.results
    assert set(results["metric"]) == set(ALL)
    cases = results[results["case"].notna()].groupby(["site", "metric"])["case"].nunique()
    assert (cases[:, "ssim"] == 8).all()
    assert ((cases[:, "finding_error"] >= 1) & (cases[:, "finding_error"] < 8)).all()
    assert not results["value"].isna().any()


def test_noise_makes_every_metric_worse(measured: Finished) -> None:
    table = means(measured.results).loc["fully_sampled"]
    for name in ALL:
        values = [table.loc[place, name] for place in (("none", 0), ("complex_noise", 2), ("complex_noise", 5))]
        assert sorted(values, reverse=METRICS[name].higher_is_better) == values, name
    undersampled = means(measured.results).loc["zero_filled"]
    assert (undersampled["finding_error"] > table["finding_error"]).all()


def test_the_report_shows_and_explains_every_metric(measured: Finished) -> None:
    report = unescape((measured.folder / "report.html").read_text())
    for name in ALL:
        assert METRICS[name].title in report
        assert METRICS[name].meaning in report
        assert len(degradation_figure(measured.results, reconstruction="zero_filled", metric=name).axes) == 6


def test_tracking_names_curves_and_summaries_of_every_metric(measured: Finished) -> None:
    rows = tracking.site_rows(measured.results, "north")
    chains = tracking.chains_in(rows)
    own = {chain: tracking.chain_rows(rows, chain) for chain in chains}
    for chain in chains:
        curves = {(point.key, point.step) for point in tracking.curve_points(own[chain])}
        assert {(f"complex_noise/{name}", severity) for name in ALL for severity in (0, 2, 5)} <= curves
    summary = tracking.summarise_site(rows, {chain: tracking.summary_points(own[chain]) for chain in chains})
    best = {point.key: point.value for point in summary.points}
    for name in ALL:
        assert (best[f"{name}_clean.best"] > best[f"{name}_clean.worst"]) == METRICS[name].higher_is_better, name


@pytest.mark.parametrize("name", ["finding_error", "vif"])
def test_a_study_of_one_metric_is_ranked_by_it(measured: Finished, name: str) -> None:
    from scanproof.reporting.curves import extract_curves
    from scanproof.reporting.ranking import rank_chains

    results = measured.results[measured.results["metric"] == name]
    ranking = rank_chains(results, extract_curves(results))
    assert ranking.metric == name
    assert [ranked.chain.reconstruction for ranked in ranking.chains] == ["fully_sampled", "zero_filled"]
    rows = tracking.site_rows(results, "south")
    points = {c: tracking.summary_points(tracking.chain_rows(rows, c)) for c in tracking.chains_in(rows)}
    ranked = tracking.summarise_site(rows, points).ranking
    assert [chain.reconstruction for chain in ranked] == ["fully_sampled", "zero_filled"]
