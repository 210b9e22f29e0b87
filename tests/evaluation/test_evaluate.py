from __future__ import annotations

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import trapezoid
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from threadpoolctl import threadpool_limits

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.chain_rows import UNBOUNDED
from scanproof.evaluation.chains import CLASSIFICATION_METRICS
from scanproof.evaluation.evaluate import CASE_METRIC_COLUMNS, evaluate
from scanproof.evaluation.table import CHAIN, PREDICTION_COLUMNS, RESULT_COLUMNS, results_schema

NO_PREDICTIONS = pd.DataFrame(columns=list(PREDICTION_COLUMNS))
NO_CASE_METRICS = pd.DataFrame(columns=list(CASE_METRIC_COLUMNS))
RESAMPLES = 200


def run(study, **options) -> pd.DataFrame:
    defaults = {"study": "simulated", "seed": 3, "resamples": RESAMPLES}
    return evaluate(study.predictions, study.case_metrics, **(defaults | options)).results


@pytest.fixture(scope="module")
def results(study) -> pd.DataFrame:
    return run(study)


def test_table_is_valid_and_every_row_is_named_once(results):
    results_schema().validate(results)
    assert list(results.columns) == list(RESULT_COLUMNS)
    names = [c for c in RESULT_COLUMNS if c not in ("value", "lower", "upper", "n")]
    assert not results.duplicated(names).any()
    assert not results.loc[results["case"].isna(), ["lower", "upper"]].isna().any(axis=None)


def test_table_holds_the_rows_it_promises(results, study):
    about_site = results[results["subject"].isna()]
    counts = about_site.groupby("metric").size().to_dict()
    conditions, shifts, sites, seeds, chains = 5, 2, 3, 3, 2  # seeds and sites with their means
    assert counts == {
        **dict.fromkeys(("ssim", "psnr"), conditions * sites),
        **dict.fromkeys(CLASSIFICATION_METRICS, conditions * sites * seeds * chains),
        **dict.fromkeys(("auroc_clean", "auroc_drop", "auroc_worst", "auroc_worst_shift"), sites * chains),
        **dict.fromkeys(("mce", "relative_mce"), sites * chains),
        **dict.fromkeys(("corruption_error", "relative_corruption_error"), shifts * sites * chains),
        **dict.fromkeys(("auroc_shifted", "weighted_degradation", "severity_auc"), (shifts + 1) * sites * chains),
        "auroc_worst_site": chains,
        "auroc_gap_to_best": chains - 1,
    }
    summaries = results[results["shift"].eq("all") | results["metric"].isin(["corruption_error", "severity_auc"])]
    assert summaries["severity"].isna().all()
    assert summaries["seed"].isna().all()
    assert about_site.groupby("site")["n"].unique().map(list).to_dict() == {"all": [96], "north": [48], "south": [48]}
    assert len(results[results["case"].notna()]) == len(study.case_metrics)


def test_case_rows_are_the_input(results, study):
    names = list(CASE_METRIC_COLUMNS)
    passed = results.loc[results["case"].notna(), names].sort_values(names[:-1], ignore_index=True)
    given = study.case_metrics[names].sort_values(names[:-1], ignore_index=True)
    pd.testing.assert_frame_equal(passed, given, check_dtype=False)


def naive_threshold(labels, scores, target: float) -> float:
    _, rates, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    return float(thresholds[np.flatnonzero(rates >= target)[0]])


def naive_metrics(part: pd.DataFrame, threshold: float) -> dict[str, float]:
    labels, scores = part["label"].to_numpy(), part["probability"].to_numpy()
    read = scores >= threshold
    scores_in_bins = np.minimum(scores + 1e-9, 1)  # scikit-learn's bins are closed above, ours below
    observed, _ = calibration_curve(labels, scores_in_bins, n_bins=10)
    bins = np.minimum((scores_in_bins * 10).astype(int), 9)
    share = np.bincount(bins, minlength=10) / len(bins)
    predicted = np.bincount(bins, scores, minlength=10)[share > 0] / np.bincount(bins, minlength=10)[share > 0]
    return {
        "auroc": roc_auc_score(labels, scores),
        "balanced_accuracy": balanced_accuracy_score(labels, read),
        "sensitivity": recall_score(labels, read),
        "specificity": recall_score(labels, read, pos_label=0),
        "ece": share[share > 0] @ np.abs(observed - predicted),
        "auprc": average_precision_score(labels, scores),
        "brier": brier_score_loss(labels, scores),
        "nll": log_loss(labels, scores),
    }


@pytest.fixture(scope="module")
def naive(study) -> pd.DataFrame:
    """Every number about classification by scikit-learn and pandas, one group of rows at a time."""
    reader = [*CHAIN, "seed"]
    rows = []
    for names, part in study.predictions.groupby(reader):
        val = part[part["split"] == "val"]
        threshold = naive_threshold(val["label"], val["probability"], 0.9)
        for where, test in part[part["split"] == "test"].groupby(["site", "shift", "severity"]):
            place = dict(zip([*reader, "site", "shift", "severity"], [*names, *where], strict=True))
            rows += [place | {"metric": m, "value": v} for m, v in naive_metrics(test, threshold).items()]
    table = pd.DataFrame(rows)
    by = [c for c in table if c not in ("seed", "value")]
    table = pd.concat([table, table.groupby(by, as_index=False)["value"].mean().assign(seed=-1)])
    by = [c for c in table if c not in ("site", "value")]
    return pd.concat([table, table.groupby(by, as_index=False)["value"].mean().assign(site="all")])


def test_every_classification_value_agrees_with_scikit_learn(results, naive):
    keys = ["site", "shift", "severity", *CHAIN, "seed", "metric"]
    ours = results[results["metric"].isin(naive["metric"].unique())].assign(seed=lambda t: t["seed"].fillna(-1))
    both = ours.astype({"severity": "int64", "seed": "int64"}).merge(
        naive, on=keys, how="outer", suffixes=("", "_naive")
    )
    assert len(both) == len(ours) == len(naive)
    np.testing.assert_allclose(both["value"], both["value_naive"], atol=1e-12)


def test_every_summary_agrees_with_its_definition(results, naive):
    auroc = naive[(naive["metric"] == "auroc") & (naive["seed"] == -1)]
    found = results[results["shift"] == "all"].set_index(["site", "norm", "metric"])["value"]
    shifted_all = {}
    for (site, norm), part in auroc.groupby(["site", "norm"]):
        clean = part.loc[part["shift"] == "none", "value"].item()
        shifted = part.loc[part["shift"] != "none", "value"]
        assert found[site, norm, "auroc_clean"] == pytest.approx(clean, abs=1e-12)
        assert found[site, norm, "auroc_shifted"] == pytest.approx(shifted.mean(), abs=1e-12)
        assert found[site, norm, "auroc_drop"] == pytest.approx(clean - shifted.mean(), abs=1e-12)
        assert found[site, norm, "auroc_worst"] == pytest.approx(shifted.min(), abs=1e-12)
        shifted_all[site, norm] = shifted.mean()
    for norm in ("batch", "instance"):
        lowest = min(shifted_all[site, norm] for site in ("north", "south"))
        assert found["all", norm, "auroc_worst_site"] == pytest.approx(lowest, abs=1e-12)
    gap = shifted_all["all", "batch"] - shifted_all["all", "instance"]
    assert found["all", "batch", "auroc_gap_to_best"] == pytest.approx(gap, abs=1e-12)


def test_every_summary_over_severities_agrees_with_its_definition(results, naive):
    """Error ratios of Hendrycks and Dietterich, weights of ROOD-MRI and areas, each written as in its paper."""
    auroc = naive[(naive["metric"] == "auroc") & (naive["seed"] == -1)]
    curves = auroc.set_index(["site", "norm", "shift", "severity"])["value"].to_dict()
    found = results.set_index(["site", "norm", "shift", "metric"])["value"].to_dict()
    for site, norm in itertools.product(("north", "south", "all"), ("batch", "instance")):
        clean, of_batch = 1 - curves[site, norm, "none", 0], 1 - curves[site, "batch", "none", 0]
        own: dict[str, list[float]] = {}
        for shift in ("ghosting", "motion"):
            errors, others = ({k: 1 - curves[site, n, shift, k] for k in (1, 3)} for n in (norm, "batch"))
            weights = {k: (2 / 3) ** k for k in errors}
            weighted = sum(weights[k] * (errors[k] - clean) for k in errors) / sum(weights.values())
            heights = [1 - clean, 1 - errors[1], 1 - errors[3]]
            expected = {
                "auroc_shifted": 1 - sum(errors.values()) / 2,
                "corruption_error": sum(errors.values()) / sum(others.values()),
                "relative_corruption_error": (sum(errors.values()) - 2 * clean) / (sum(others.values()) - 2 * of_batch),
                "weighted_degradation": weighted,
                "severity_auc": trapezoid(heights, [0, 1, 3]) / 3,
            }
            for metric, value in expected.items():
                assert found[site, norm, shift, metric] == pytest.approx(value, abs=1e-12), (site, norm, shift, metric)
                own.setdefault(metric, []).append(value)
        assert found[site, norm, "all", "auroc_worst_shift"] == pytest.approx(min(own["auroc_shifted"]), abs=1e-12)
        names = {"corruption_error": "mce", "relative_corruption_error": "relative_mce"}
        for metric in ("corruption_error", "relative_corruption_error", "weighted_degradation", "severity_auc"):
            mean = found[site, norm, "all", names.get(metric, metric)]
            assert mean == pytest.approx(np.mean(own[metric]), abs=1e-12), (site, norm, metric)
    of_reference = results[(results["norm"] == "batch") & results["metric"].str.contains("mce|corruption")]
    assert of_reference[["value", "lower", "upper"]].eq(1).all(axis=None)


def test_intervals_stay_within_what_a_metric_can_be(make_study):
    """Few subjects that are read nearly rightly: intervals that are expanded would leave [0, 1]."""
    results = run(make_study(subjects=8, seeds=(1, 2, 3)))
    rows = results[results["norm"].notna()]
    bounded = rows[~rows["metric"].isin(UNBOUNDED) & (rows["metric"] != "auroc_gap_to_best")]
    assert bounded[["lower", "upper"]].stack().between(0, 1).all()
    assert ((bounded["upper"] == 1) & (bounded["value"] < 1)).any()
    assert ((bounded["lower"] == 0) & (bounded["value"] > 0)).any()
    beyond = (
        rows[rows["metric"].isin(UNBOUNDED)].groupby("metric")[["lower", "upper"]].agg({"lower": "min", "upper": "max"})
    )
    assert beyond.loc["auroc_drop", "lower"] < 0
    assert beyond.loc["weighted_degradation", "lower"] < 0
    assert beyond.loc["nll", "upper"] > 1


def test_intervals_agree_with_scikit_learn_resample_by_resample(study):
    """The drop of one chain over both sites and the seeds drawn, each replicate by roc_auc_score on weighted cases."""
    bootstrap = Bootstrap(seed=3, resamples=100)
    trainings = bootstrap.training_weights(2)[1:]
    test = study.predictions.query("split == 'test' and norm == 'batch'")
    replicates = []
    for site, at_site in test.groupby("site"):
        cases = at_site[["subject", "case", "label"]].drop_duplicates().sort_values(["subject", "case"])
        weights = bootstrap.weights(site, cases["subject"].to_numpy(object))[1:]
        drops = []
        for _, part in at_site.groupby("seed"):
            wide = part.pivot_table(index=["shift", "severity"], columns=["subject", "case"], values="probability")
            area = {
                name: np.array([roc_auc_score(cases["label"], row, sample_weight=w) for w in weights])
                for name, row in zip(wide.index, wide.to_numpy(), strict=True)
            }
            clean = area.pop(("none", 0))
            drops.append(clean - np.mean(list(area.values()), axis=0))
        replicates.append((trainings * np.transpose(drops)).sum(axis=1) / trainings.sum(axis=1))
    expected = np.quantile(np.mean(replicates, axis=0), [0.025, 0.975])
    rows = run(study, resamples=100, interval="percentile")
    row = rows.query("site == 'all' and norm == 'batch' and metric == 'auroc_drop'").iloc[0]
    np.testing.assert_allclose([row["lower"], row["upper"]], expected, atol=1e-12)


def test_image_quality_means_and_intervals(study):
    bootstrap = Bootstrap(seed=3, resamples=RESAMPLES)
    results = run(study, interval="percentile")
    part = study.case_metrics.query("shift == 'motion' and severity == 3 and metric == 'ssim'")
    found = results.query("shift == 'motion' and severity == 3 and metric == 'ssim'")
    found = found[found["case"].isna()].set_index("site")
    replicates = []
    for site, cases in part.sort_values(["subject", "case"]).groupby("site"):
        weights = bootstrap.weights(site, cases["subject"].to_numpy(object))[1:]
        replicates.append([np.average(cases["value"], weights=w) for w in weights])
        assert found.loc[site, "value"] == pytest.approx(cases["value"].mean(), abs=1e-12)
        np.testing.assert_allclose(
            found.loc[site, ["lower", "upper"]].astype(float), np.quantile(replicates[-1], [0.025, 0.975])
        )
    assert found.loc["all", "value"] == pytest.approx(part.groupby("site")["value"].mean().mean(), abs=1e-12)
    combined = np.quantile(np.mean(replicates, axis=0), [0.025, 0.975])
    np.testing.assert_allclose(found.loc["all", ["lower", "upper"]].astype(float), combined)


def test_hand_computed_study():
    """Four cases, one a subject; thresholds, areas and rates worked out by hand."""
    rows = []
    for split, shift, severity, scores in [
        ("val", "none", 0, (0.1, 0.6, 0.5, 0.9)),  # both positives needed for 0.9: threshold 0.5
        ("test", "none", 0, (0.1, 0.2, 0.6, 0.9)),  # perfect
        ("test", "motion", 2, (0.1, 0.7, 0.7, 0.4)),  # pairs won: 1 + 1/2 + 1 + 0 of 4
    ]:
        for case, (label, score) in enumerate(zip((0, 0, 1, 1), scores, strict=True)):
            rows.append((f"{split}{case}", split, shift, severity, label, score))
    table = pd.DataFrame(rows, columns=["case", "split", "shift", "severity", "label", "probability"]).assign(
        study="tiny",
        site="n",
        reconstruction="zf",
        acceleration=1,
        classifier="net",
        norm="group",
        seed=5,
        target="lesion",
    )
    results = evaluate(table.assign(subject=table["case"]), NO_CASE_METRICS, study="tiny", seed=1).results
    value = results[(results["site"] == "n") & results["seed"].isna()].set_index(["shift", "metric"])["value"]
    assert value["none", "auroc"] == 1
    assert value["none", "sensitivity"] == value["none", "specificity"] == 1
    assert value["motion", "auroc"] == 0.625
    assert value["motion", "sensitivity"] == 0.5
    assert value["motion", "specificity"] == 0.5
    assert value["motion", "ece"] == pytest.approx((0.1 + 2 * 0.2 + 0.6) / 4)
    assert value["all", "auroc_drop"] == 0.375
    # a quarter of the resamples, of three of the four subjects, lack a class: too many for an interval
    assert results.loc[results["metric"] == "auroc", ["lower", "upper"]].isna().all(axis=None)
    assert results.loc[results["metric"] == "ece", ["lower", "upper"]].notna().all(axis=None)


def as_bytes(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


def test_same_bytes_for_any_order_of_rows_and_number_of_threads(results, study):
    shuffled = type(study)(*(table.sample(frac=1, random_state=4) for table in study))
    with threadpool_limits(2):
        again = run(shuffled)
    with threadpool_limits(1):
        single = run(study)
    assert as_bytes(again) == as_bytes(results) == as_bytes(single)


def test_seed_moves_intervals_alone(results, study):
    other = run(study, seed=4)
    drawn = results["metric"].str.endswith("_retuned")  # whose threshold others found is drawn, too
    pd.testing.assert_series_equal(other.loc[~drawn, "value"], results.loc[~drawn, "value"])
    assert (other["lower"] != results["lower"])[results["metric"] == "auroc"].any()


def test_more_confidence_is_a_wider_interval(results, study):
    width = (results["upper"] - results["lower"]).fillna(0)
    narrow = run(study, confidence=0.5)
    assert ((narrow["upper"] - narrow["lower"]).fillna(0) <= width + 1e-12).all()


def test_curves_fall_with_severity_and_a_more_sensitive_point_is_less_specific(results, study):
    auroc = results.query("site == 'all' and metric == 'auroc' and norm == 'batch'")
    by_severity = auroc[auroc["seed"].isna()].groupby("severity")["value"].mean()
    assert by_severity.is_monotonic_decreasing
    assert by_severity.index.tolist() == [0, 1, 3]
    lax = run(study, sensitivity=0.5)
    for metric, sign in (("sensitivity", 1), ("specificity", -1)):
        change = sign * (results["value"] - lax["value"])[results["metric"] == metric]
        assert (change >= 0).all()
        assert (change > 0).any()


def test_study_without_classification_and_study_without_images(results, study):
    images = evaluate(NO_PREDICTIONS, study.case_metrics, study="simulated", seed=3, resamples=RESAMPLES)
    reads = evaluate(study.predictions, NO_CASE_METRICS, study="simulated", seed=3, resamples=RESAMPLES)
    quality = results["metric"].isin(["ssim", "psnr"])
    pd.testing.assert_frame_equal(images.results, results[quality].reset_index(drop=True))
    pd.testing.assert_frame_equal(reads.results, results[~quality].reset_index(drop=True))


def test_one_site_is_its_own_mean(make_study):
    results = run(make_study(sites=("only",), seeds=(9,)))
    keys = [c for c in RESULT_COLUMNS if c not in ("site", "subject", "case", "value", "lower", "upper", "n")]
    rows = results[results["case"].isna() & ~results["metric"].isin(["auroc_gap_to_best", "auroc_worst_site"])]
    only, mean = (rows[rows["site"] == s].sort_values(keys)[["value", "lower", "upper", "n"]] for s in ("only", "all"))
    np.testing.assert_array_equal(only.to_numpy(float), mean.to_numpy(float))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda t: t.drop(columns=["probability", "norm"]),
            "predictions: table lacks the columns norm, probability .its",
        ),
        (lambda t: t.assign(age=50), "predictions: table must not have the columns age"),
        (
            lambda t: t.assign(probability=t["probability"].where(t.index != 7)),
            "predictions: probability: .*not_nullable",
        ),
        (
            lambda t: t.assign(probability=t["probability"] + 1),
            r"predictions: probability: must hold: in_range\(0, 1\)",
        ),
        (
            lambda t: t.assign(subject=t["subject"].str.replace("-test-", "-val-")),
            "predictions: subject: a subject must stand in one split only, one of site 'north' .*, got 'north-val-",
        ),
        (lambda t: t.assign(label="ill"), "predictions: label: must hold values of type Int64"),
        (lambda t: t.assign(study="other"), "predictions: study: study must be 'simulated', got 'other'"),
        (lambda t: t.assign(site="all"), "predictions: site: site must not be named 'all'"),
        (lambda t: t.assign(shift="all"), "predictions: shift: shift must not be named 'all'"),
        (lambda t: t.assign(severity=1), "predictions: severity: severity must be 0 where shift is 'none', got 1"),
    ],
)
def test_wrong_predictions_are_refused(study, spoil, message):
    with pytest.raises(ScanproofError, match=message):
        evaluate(spoil(study.predictions), study.case_metrics, study="simulated", seed=1, resamples=100)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="value"), "case_metrics: table lacks the columns value"),
        (lambda t: t.assign(classifier="x"), "case_metrics: table must not have the columns classifier"),
        (lambda t: t.assign(subject=None), "case_metrics: subject: subject must be given in every row"),
        (lambda t: t.assign(severity=None), "case_metrics: severity: severity must be given in every row"),
        (lambda t: t.assign(value=np.inf), "case_metrics: value: value must be finite, got inf"),
        (lambda t: t.assign(value=np.nan), "case_metrics: value: must hold: not_nullable"),
        (lambda t: t.assign(severity=9), r"case_metrics: severity: must hold: in_range\(0, 5\), got 9"),
        (lambda t: t.iloc[1:], "case_metrics: north: every case must stand exactly once"),
        (lambda t: t[(t["site"] == "north") | (t["shift"] == "none")], "case_metrics: south: every site must"),
    ],
)
def test_wrong_case_metrics_are_refused(study, spoil, message):
    with pytest.raises(ScanproofError, match=message):
        evaluate(NO_PREDICTIONS, spoil(study.case_metrics), study="simulated", seed=1, resamples=100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 95}, r"confidence must be in \(0, 1\), got 95"),
        ({"resamples": 10}, "resamples must be at least 100, got 10"),
        ({"sensitivity": 0}, r"sensitivity must be in \(0, 1\], got 0"),
        ({"sensitivity": 1.01}, r"sensitivity must be in \(0, 1\], got 1.01"),
    ],
)
def test_wrong_options_are_refused(study, options, message):
    with pytest.raises(ScanproofError, match=message):
        run(study, **options)


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(ScanproofError, match="must not both be empty"):
        evaluate(NO_PREDICTIONS, NO_CASE_METRICS, study="simulated", seed=1)
