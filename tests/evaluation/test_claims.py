from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.claim import Claim
from scanproof.evaluation.claims import judge_claims, paired_differences

BOOTSTRAP = Bootstrap(seed=3, resamples=2000)
CONDITIONS = [("none", 0), ("motion", 1), ("motion", 3), ("adversarial", 5)]
CLAIM = Claim(text="It is better.", compare="good", against="bad", metric="psnr")


def cases(*, gap: float = 1.0, noise: float = 0.1, subjects: int = 40, seed: int = 1) -> pd.DataFrame:
    """Two methods at two sites; ``good`` is ``gap`` better when clean, twice as much under motion, worst attacked."""
    rng = np.random.default_rng(seed)
    rows = []
    for site in ("north", "south"):
        for number in range(subjects):
            base = rng.normal(30, 5)  # subjects differ much more than methods do
            for shift, severity in CONDITIONS:
                advantage = {"none": gap, "motion": 2 * gap, "adversarial": -50}[shift]
                for method, extra in (("good", advantage), ("bad", 0.0)):
                    rows += [
                        (site, f"{site}{number}", f"{site}{number}-{s}", shift, severity, method, base + extra + e)
                        for s, e in enumerate(rng.normal(0, noise, 2))
                    ]
    names = ["site", "subject", "case", "shift", "severity", "reconstruction", "value"]
    table = pd.DataFrame(rows, columns=names).assign(metric="psnr", acceleration=4.0)
    errors = table.assign(metric="nrmse", value=1 / table["value"])
    return pd.concat([table, errors], ignore_index=True)


def verdict(table: pd.DataFrame, **changes: object) -> str:
    return str(judge_claims(table, [replace(CLAIM, **changes)], bootstrap=BOOTSTRAP)["verdict"].iloc[0])


def test_a_paired_difference_is_found_where_subjects_differ_far_more():
    [row] = judge_claims(cases(), [CLAIM], bootstrap=BOOTSTRAP).to_dict("records")
    assert row["difference"] == pytest.approx(1, abs=0.05)
    assert row["upper"] - row["lower"] < 0.1
    assert (row["subjects"], row["cases"], row["verdict"]) == (80, 160, "agree")


def test_interval_agrees_with_that_of_a_paired_t_test():
    table = cases(noise=1.0)
    [row] = judge_claims(table, [replace(CLAIM, site="north")], bootstrap=BOOTSTRAP).to_dict("records")
    clean = table.query("site == 'north' and shift == 'none' and metric == 'psnr'")
    means = clean.pivot_table(index="subject", columns="reconstruction", values="value")
    expected = stats.ttest_rel(means["good"], means["bad"]).confidence_interval(0.95)
    assert row["lower"] == pytest.approx(expected.low, abs=0.1)
    assert row["upper"] == pytest.approx(expected.high, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "agree"),
        ({"compare": "bad", "against": "good"}, "disagree"),
        ({"metric": "nrmse"}, "agree"),  # a lower error is better
        ({"metric": "nrmse", "compare": "bad", "against": "good"}, "disagree"),
        ({"expect": "not_worse", "margin": 0.5}, "agree"),
        ({"compare": "bad", "against": "good", "expect": "not_worse", "margin": 1.5}, "agree"),
        ({"compare": "bad", "against": "good", "expect": "not_worse", "margin": 0.5}, "disagree"),
        ({"compare": "bad", "against": "good", "expect": "not_worse", "margin": 1.0}, "undecided"),
        ({"expect": "similar", "margin": 1.5}, "agree"),
        ({"expect": "similar", "margin": 0.5}, "disagree"),
        ({"expect": "similar", "margin": 1.0}, "undecided"),
        ({"shift": "motion", "severity": 3, "measure": "change"}, "agree"),
        ({"shift": "motion", "measure": "change", "compare": "bad", "against": "good"}, "disagree"),
        ({"shift": "adversarial"}, "disagree"),
        ({"shift": "all"}, "agree"),  # worst cases do not count
    ],
)
def test_verdicts(changes: dict, expected: str):
    assert verdict(cases(), **changes) == expected


def test_nothing_is_decided_where_nothing_differs():
    assert verdict(cases(gap=0.0, noise=1.0)) == "undecided"
    assert verdict(cases(gap=0.0, noise=0.0)) == "undecided"


def test_means_over_severities_and_changes_add_up():
    table = cases(noise=0.5)
    asked = [
        replace(CLAIM, shift="motion", severity=1),
        replace(CLAIM, shift="motion", severity=3),
        replace(CLAIM, shift="motion"),
        CLAIM,
        replace(CLAIM, shift="motion", measure="change"),
    ]
    one, three, both, clean, change = judge_claims(table, asked, bootstrap=BOOTSTRAP)["difference"]
    assert both == pytest.approx((one + three) / 2)
    assert change == pytest.approx(both - clean)


def test_order_of_rows_does_not_matter():
    table = cases(subjects=4)
    one, other = (judge_claims(t, [CLAIM], bootstrap=BOOTSTRAP) for t in (table, table.sample(frac=1, random_state=1)))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_paired_table_holds_what_claims_find():
    table = cases(noise=0.5)
    paired = paired_differences(table, against="bad", bootstrap=BOOTSTRAP)
    assert len(paired) == 2 * len(CONDITIONS)
    assert set(paired["reconstruction"]) == {"good"}
    columns = ["difference", "lower", "upper", "subjects", "cases"]
    for metric, shift, severity in [("psnr", "motion", 3), ("nrmse", "adversarial", 5)]:
        claim = replace(CLAIM, metric=metric, shift=shift, severity=severity)
        [expected] = judge_claims(table, [claim], bootstrap=BOOTSTRAP)[columns].to_numpy()
        found = paired.query("metric == @metric and shift == @shift and severity == @severity")[columns].to_numpy()
        np.testing.assert_allclose(found[0].astype(float), expected.astype(float))


def trainings(gaps: list[float], *, seed: int = 1) -> pd.DataFrame:
    """Pairs of trainings, ``good0`` and ``bad0`` and so on, with a gap each."""
    tables = []
    for number, gap in enumerate(gaps):
        table = cases(gap=gap, noise=0.0, seed=seed)
        tables.append(table.assign(reconstruction=table["reconstruction"] + str(number)))
    return pd.concat(tables, ignore_index=True)


def names(kind: str, count: int) -> tuple[str, ...]:
    return tuple(f"{kind}{number}" for number in range(count))


def test_several_trainings_are_averaged_and_drawn_anew():
    gaps = [0.5, 1.0, 3.0]
    claim = replace(CLAIM, compare=names("good", 3), against=names("bad", 3))
    [row] = judge_claims(trainings(gaps), [claim], bootstrap=BOOTSTRAP).to_dict("records")
    assert row["difference"] == pytest.approx(1.5)
    assert row["compare"] == "good0, good1, good2"
    # subjects have no noise of their own here, so that all the width is that of trainings
    drawn = np.random.default_rng(1).choice(gaps, (20_000, 3)).mean(axis=1)
    assert row["lower"] == pytest.approx(np.quantile(drawn, 0.025), abs=0.05)
    assert row["upper"] == pytest.approx(np.quantile(drawn, 0.975), abs=0.2)


def test_one_training_in_a_list_is_that_training():
    table = trainings([1.0])
    [alone] = judge_claims(table, [replace(CLAIM, compare="good0", against="bad0")], bootstrap=BOOTSTRAP).values
    [listed] = judge_claims(table, [replace(CLAIM, compare=("good0",), against=("bad0",))], bootstrap=BOOTSTRAP).values
    assert alone.tolist() == listed.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compare": ("a", "b"), "against": "c"}, r"as many as compare \(2\), got 'c'"),
        ({"compare": ("a", "b"), "against": ("c", "a")}, "against must be another one, got 'a'"),
        ({"compare": ("a", "a"), "against": ("c", "d")}, "compare: must name each once, got 'a, a'"),
        ({"compare": (), "against": ()}, "compare: must name each once"),
    ],
)
def test_lists_of_trainings_must_pair(changes: dict, message: str):
    with pytest.raises(ScanproofError, match=message):
        replace(CLAIM, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compare": "unet"}, r"claims\[0\]\.compare: unknown reconstruction, got 'unet'"),
        ({"shift": "noise"}, r"claims\[0\]\.shift"),
        ({"shift": "motion", "severity": 2}, r"claims\[0\]\.severity"),
        ({"site": "west"}, r"claims\[0\]\.site"),
        ({"metric": "ssim"}, r"claims\[0\]\.metric"),
    ],
)
def test_a_claim_about_what_was_not_tested(changes: dict, message: str):
    with pytest.raises(ScanproofError, match=message):
        verdict(cases(subjects=3), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "sharpness"}, "unknown metric, got 'sharpness'"),
        ({"expect": "best"}, "unknown expect, got 'best'"),
        ({"against": "good"}, "must be another one, got 'good'"),
        ({"measure": "change"}, "shift must not be none where measure is 'change'"),
        ({"severity": 2}, "severity must be left out where shift is 'none'"),
        ({"margin": 0.1}, "margin must be 0 where 'better' is expected"),
        ({"expect": "similar"}, "margin must be 0 where 'better' is expected, and positive"),
        ({"expect": "similar", "margin": float("nan")}, "must be finite"),
    ],
)
def test_a_claim_that_makes_no_sense(changes: dict, message: str):
    with pytest.raises(ScanproofError, match=message):
        replace(CLAIM, **changes)


def test_only_worst_cases_are_no_shifts():
    table = cases(subjects=3)
    with pytest.raises(ScanproofError, match=r"needs a shift in the study"):
        verdict(table[table["shift"].isin(["none", "adversarial"])], shift="all")
    with pytest.raises(ScanproofError, match=r"against: unknown reconstruction, got 'unet'"):
        paired_differences(table, against="unet", bootstrap=BOOTSTRAP)
