from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from scanproof.reporting.curves import Facet, extract_curves
from scanproof.reporting.headline import headline, is_behind
from scanproof.reporting.ranking import Loss, RankedChain, Ranking, rank_chains, worst_loss
from scanproof.reporting.vocabulary import Chain, Estimate

BEST = RankedChain(
    Chain("unet", 4.0, "resnet18", "group"),
    clean=Estimate(0.9, 0.87, 0.93),
    shifted=Estimate(0.8, 0.76, 0.84),
    loss=Estimate(0.1, 0.07, 0.13),
    gap=None,
)
LOSS = Loss(Facet("south", "rigid_motion"), 5, Estimate(0.9, 0.85, 0.95), Estimate(0.62, 0.55, 0.69))


def rival(gap: Estimate | None, norm: str = "batch") -> RankedChain:
    shifted = Estimate(0.8 + (gap.value if gap else -0.01), 0.7, 0.85)
    return RankedChain(Chain("unet", 4.0, "resnet18", norm), None, shifted, None, gap)


def say(*rivals: RankedChain, best: RankedChain = BEST, loss: Loss | None = LOSS, site: str = "all") -> Any:
    found = headline(Ranking("auroc", site, (best, *rivals)), loss, level=0.9)
    return type(found)(plain_spaces(found.verdict), tuple(plain_spaces(point) for point in found.points))


def plain_spaces(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_decided_against_every_other_chain() -> None:
    verdict, points = say(rival(Estimate(-0.03, -0.05, -0.01)), rival(Estimate(-0.1, -0.2, -0.01), "layer"))
    assert verdict == (
        "The sturdiest chain over all sites was unet at R = 4 read by resnet18 with group norm: it had the highest "
        "mean AUROC under shift, and the interval of its lead over every other chain excludes zero."
    )
    assert points[2] == (
        "The runner-up, unet at R = 4 read by resnet18 with batch norm, did worse: difference −0.030 "
        "(90% interval −0.050 to −0.010), an interval that excludes zero."
    )


def test_decided_between_two_at_one_site() -> None:
    verdict, _ = say(rival(Estimate(-0.03, -0.05, -0.01)), site="south")
    assert verdict.startswith("The sturdiest chain at south was")
    assert verdict.endswith("the interval of its lead over the other chain excludes zero.")


def test_undecided_claims_no_winner() -> None:
    verdict, points = say(rival(Estimate(-0.01, -0.03, 0.01)), rival(Estimate(-0.02, -0.05, 0.0), "layer"))
    assert verdict == (
        "No single sturdiest chain can be named: unet at R = 4 read by resnet18 with group norm had the highest "
        "mean AUROC under shift over all sites, but it cannot be told apart from any other chain."
    )
    assert points[2].endswith(
        "cannot be told apart from it: difference −0.010 (90% interval −0.030 to 0.010), "
        "an interval that contains zero."
    )


def test_partly_decided_counts_both_kinds() -> None:
    verdict, _ = say(
        rival(Estimate(-0.01, -0.03, 0.01)),
        rival(Estimate(-0.05, -0.07, -0.03), "layer"),
        rival(Estimate(-0.06, -0.08, -0.04), "none"),
    )
    assert verdict.endswith("but 1 other chain cannot be told apart from it; the remaining 2 did worse.")


def test_a_missing_interval_is_never_a_difference() -> None:
    verdict, points = say(rival(Estimate(-0.2)))
    assert verdict.endswith("no interval of the differences was computed, so no chain is claimed to be better.")
    assert points[2].endswith("with batch norm, differed by −0.200.")
    mixed, _ = say(rival(Estimate(-0.2)), rival(Estimate(-0.3, -0.4, -0.2), "layer"))
    assert "1 other chain cannot be told apart from it" in mixed
    assert not is_behind(rival(None))


@pytest.mark.parametrize(
    ("gap", "behind"), [((-0.02, -0.04, -1e-9), True), ((-0.02, -0.04, 0.0), False), ((-0.02, -0.04, 0.02), False)]
)
def test_behind_means_that_the_interval_lies_below_zero(gap: Sequence[float], behind: bool) -> None:
    assert is_behind(rival(Estimate(*gap))) is behind


def test_the_scores_of_the_best_chain_and_its_worst_place() -> None:
    _, points = say(rival(Estimate(-0.03, -0.05, -0.01)))
    assert points[0] == (
        "Its mean AUROC over all shifts and severities was 0.800 (90% interval 0.760 to 0.840), against 0.900 "
        "(90% interval 0.870 to 0.930) without shift; shift cost it 0.100 (90% interval 0.070 to 0.130)."
    )
    assert points[1] == (
        "It lost most under rigid motion of severity 5 at south: AUROC went from 0.900 (90% interval 0.850 to 0.950) "
        "without shift to 0.620 (90% interval 0.550 to 0.690)."
    )


def test_a_loss_that_may_be_zero_and_a_score_that_may_be_guessing_are_called_so() -> None:
    best = BEST._replace(loss=Estimate(0.01, -0.01, 0.03))
    _, points = say(best=best, loss=LOSS._replace(shifted=Estimate(0.55, 0.48, 0.62)))
    assert points[0].endswith("an average loss that cannot be told from zero.")
    assert points[-1].endswith("where it cannot be told from guessing.")
    assert say(loss=None).points[-1] == "No shift made its AUROC worse at any site."


def test_worse_than_guessing_is_called_so() -> None:
    _, points = say(loss=LOSS._replace(shifted=Estimate(0.3, 0.2, 0.4)))
    assert points[-1].endswith("0.300 (90% interval 0.200 to 0.400), worse than guessing.")


def test_behind_fully_sampled_chains_the_first_accelerated_one_is_named() -> None:
    full = BEST._replace(chain=Chain("fully_sampled", 1.0, "resnet18", "group"))
    second = rival(Estimate(-0.01, -0.02, 0.01))._replace(chain=full.chain._replace(norm="batch"))
    third = rival(Estimate(-0.05, -0.07, -0.03), "layer")
    _, points = say(second, third, best=full)
    assert points[3] == (
        "The first of the accelerated chains, unet at R = 4 read by resnet18 with layer norm, did worse: difference "
        "−0.050 (90% interval −0.070 to −0.030), an interval that excludes zero."
    )
    # the runner-up is not named twice
    assert not any("accelerated" in point for point in say(third, best=full).points)
    assert not any("accelerated" in point for point in say(second, best=full).points)


def test_one_chain_is_no_ranking() -> None:
    verdict, points = say()
    assert verdict.startswith("Only one chain was tested, so there is no ranking: unet")
    assert not any("runner-up" in point for point in points)


def test_nothing_was_shifted() -> None:
    verdict, points = say(rival(None)._replace(clean=Estimate(0.7), shifted=None), best=BEST._replace(shifted=None))
    assert "highest AUROC without shift" in verdict
    assert points[0].startswith("No shift was tested")
    assert len(points) == 2


def test_reconstructions_alone_are_ranked_without_claims(images_only: Any) -> None:
    curves = extract_curves(images_only.results)
    ranking = rank_chains(images_only.results, curves)
    verdict, points = headline(ranking, worst_loss(curves, ranking.chains[0].chain, "ssim"))
    assert plain_spaces(verdict) == (
        "The highest mean SSIM under shift over all sites was that of deep decoder at R = 4; no interval of the "
        "differences was computed, so no reconstruction is claimed to be better."
    )
    assert "No interval was computed for these means." in points[0]
    assert "read by" not in " ".join((verdict, *points))


@pytest.mark.parametrize(("half_width", "decided"), [(0.001, True), (0.5, False)])
def test_the_table_decides_the_wording(study_of: Callable[..., Any], half_width: float, decided: bool) -> None:
    results = study_of(gap_half_width=half_width).results
    verdict = headline(rank_chains(results, extract_curves(results)), None).verdict
    assert verdict.startswith("The sturdiest chain") is decided
    assert verdict.startswith("No single sturdiest chain") is not decided


@pytest.mark.parametrize(
    ("trainings", "said"),
    [(1, "not what another training would have given"), (3, "trained 3 times, and the mean is shown. The intervals")],
)
def test_says_whether_intervals_cover_training(trainings: int, said: str) -> None:
    ranking = Ranking("auroc", "all", (RankedChain(Chain("unet", 4.0, "resnet18", "group"), None, None, None, None),))
    assert said in headline(ranking, None, trainings=trainings).points[-1]
    assert not any("trained" in point for point in headline(ranking, None).points)
