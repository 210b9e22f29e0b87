from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scanproof.errors import ScanproofError
from scanproof.reporting.curves import CurveKey, Facet, extract_curves
from scanproof.reporting.ranking import has_readings, rank_chains, worst_loss
from scanproof.reporting.vocabulary import Chain, Estimate


def test_chains_are_ranked_by_their_score_under_shift_over_all_sites(standard: Any) -> None:
    ranking = rank_chains(standard.results, extract_curves(standard.results))
    rows = standard.results
    rows = rows[(rows["metric"] == "auroc_shifted") & (rows["site"] == "all")].sort_values("value", ascending=False)
    assert ranking.site == "all"
    assert [ranked.chain[0] for ranked in ranking.chains] == rows["reconstruction"].tolist()
    assert [ranked.score.value for ranked in ranking.chains] == rows["value"].tolist()
    assert ranking.chains[0].gap is None
    assert all(ranked.gap is not None and ranked.gap.value <= 0 for ranked in ranking.chains[1:])


def test_the_worst_loss_is_the_largest_fall_at_a_real_site(standard: Any) -> None:
    curves = extract_curves(standard.results)
    best = rank_chains(standard.results, curves).chains[0].chain
    loss = worst_loss(curves, best, "auroc")
    rows = standard.results
    rows = rows[
        (rows["metric"] == "auroc") & rows["seed"].isna() & (rows["site"] != "all")
        & (rows["reconstruction"] == best.reconstruction) & (rows["norm"] == best.norm)
    ]  # fmt: skip
    clean = rows[rows["shift"] == "none"].set_index("site")["value"]
    falls = rows["site"].map(clean) - rows["value"]
    worst = rows.loc[falls.idxmax()]
    assert loss is not None
    assert (loss.facet, loss.severity) == (Facet(worst["site"], worst["shift"]), worst["severity"])
    assert loss.clean.value - loss.shifted.value == pytest.approx(falls.max())


def test_no_loss_where_nothing_got_worse() -> None:
    chain, place = Chain("unet", 4.0), Facet("a", "noise")
    assert worst_loss({CurveKey("ssim", chain, place): {0: Estimate(0.8), 3: Estimate(0.9)}}, chain, "ssim") is None
    # an error that falls is no loss, one that grows is
    falling = {CurveKey("nrmse", chain, place): {0: Estimate(0.3), 3: Estimate(0.2)}}
    assert worst_loss(falling, chain, "nrmse") is None
    growing = worst_loss({CurveKey("nrmse", chain, place): {0: Estimate(0.2), 3: Estimate(0.3)}}, chain, "nrmse")
    assert growing is not None
    assert growing.severity == 3


def test_without_classifiers_reconstructions_are_ranked_by_mean_ssim(images_only: Any) -> None:
    results = images_only.results
    assert not has_readings(results)
    ranking = rank_chains(results, extract_curves(results))
    rows = results[(results["metric"] == "ssim") & results["case"].isna() & (results["site"] != "all")]
    shifted = rows[rows["severity"] > 0].groupby("reconstruction")["value"].mean().sort_values(ascending=False)
    clean = rows[rows["severity"] == 0].groupby("reconstruction")["value"].mean()
    assert ranking.metric == "ssim"
    assert [ranked.chain.reconstruction for ranked in ranking.chains] == shifted.index.tolist()
    for ranked in ranking.chains:
        name = ranked.chain.reconstruction
        assert ranked.shifted is not None
        assert ranked.clean is not None
        assert ranked.loss is not None
        assert ranked.shifted.value == pytest.approx(shifted[name])
        assert ranked.clean.value == pytest.approx(clean[name])
        assert ranked.loss.value == pytest.approx(clean[name] - shifted[name])
        assert not ranked.shifted.has_interval


def test_where_only_an_error_was_measured_the_smallest_is_best(images_only: Any) -> None:
    results = images_only.results[images_only.results["metric"] == "nrmse"]
    ranking = rank_chains(results, extract_curves(results))
    scores = [ranked.score.value for ranked in ranking.chains]
    assert scores == sorted(scores)
    assert all(ranked.loss is not None and ranked.loss.value > 0 for ranked in ranking.chains)


def test_a_single_site_stands_for_all(study_of: Callable[..., Any]) -> None:
    results = study_of(sites=("north",)).results
    ranking = rank_chains(results, extract_curves(results))
    assert ranking.site == "north"
    assert all(ranked.gap is not None for ranked in ranking.chains[1:])
    alone = results[results["site"] != "all"]
    assert rank_chains(alone, extract_curves(alone)).site == "north"


def test_several_sites_without_their_mean_cannot_be_ranked(standard: Any) -> None:
    results = standard.results[standard.results["site"] != "all"]
    with pytest.raises(ScanproofError, match="must hold summary rows of site 'all'"):
        rank_chains(results, extract_curves(results))


def test_nothing_to_rank_by_is_an_error(standard: Any) -> None:
    for results in (
        standard.results.iloc[:0],
        standard.results[standard.results["shift"] != "all"],
    ):
        with pytest.raises(ScanproofError, match="must hold a summary row for every chain"):
            rank_chains(results, extract_curves(results))


def test_worst_cases_count_in_no_mean(images_only: Any) -> None:
    results = images_only.results
    curves = extract_curves(results)
    attacked = {
        CurveKey(key.metric, key.chain, Facet(key.facet.site, "adversarial")): {0: curve[0], 5: Estimate(-1.0)}
        for key, curve in curves.items()
    }
    with_attack = rank_chains(results, curves | attacked)
    assert with_attack == rank_chains(results, curves)
    chain = with_attack.chains[0].chain
    assert worst_loss(curves | attacked, chain, "ssim") == worst_loss(curves, chain, "ssim")
    alone = rank_chains(results, attacked)
    assert {ranked.chain for ranked in alone.chains} == {ranked.chain for ranked in with_attack.chains}
    assert all(ranked.shifted is None and ranked.clean is not None for ranked in alone.chains)
