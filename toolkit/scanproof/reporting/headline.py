"""What a study found, in sentences that claim no more than the intervals support."""

from __future__ import annotations

from typing import NamedTuple

from scanproof.evaluation.table import ALL_SITES
from scanproof.reporting.ranking import Loss, RankedChain, Ranking
from scanproof.reporting.vocabulary import Chain, Estimate, counted, metric, plain, signed, site_name


class Headline(NamedTuple):
    """The finding in one sentence, and the sentences that support or limit it."""

    verdict: str
    points: tuple[str, ...]


def headline(ranking: Ranking, loss: Loss | None, *, level: float = 0.95, trainings: int = 0) -> Headline:
    """Say which chain is sturdiest, how surely, and where it is weakest.

    A difference is called a difference only where its interval lies wholly below zero.

    Args:
        ranking: chains, best first.
        loss: where the best chain loses most, ``None`` if nowhere.
        level: coverage of the intervals.
        trainings: how often each classifier was trained; zero where none was.

    Example:
        >>> chains = [Chain("unet", 4.0, "resnet18", norm) for norm in ("group", "batch")]
        >>> best = RankedChain(chains[0], Estimate(0.9, 0.87, 0.93), Estimate(0.8, 0.76, 0.84), Estimate(0.1), None)
        >>> other = RankedChain(chains[1], None, Estimate(0.79, 0.75, 0.83), None, Estimate(-0.01, -0.03, 0.01))
        >>> headline(Ranking("auroc", "all", (best, other)), None).verdict[:41]
        'No single sturdiest chain can be named: u'
        >>> headline(Ranking("auroc", "all", (best, other)), None).verdict[-49:]
        'but it cannot be told apart from the other chain.'
    """
    best, rivals = ranking.chains[0], ranking.chains[1:]
    points = [_score(ranking, best, level)]
    points += [_weakest(ranking, loss, level)] if best.shifted else []
    points += [_runner_up(ranking, rivals, level)] if rivals else []
    points += _accelerated(ranking, level)
    points += [_trained(trainings)] if trainings else []
    return Headline(_verdict(ranking, best, rivals), tuple(points))


def _trained(trainings: int) -> str:
    if trainings == 1:
        return (
            "Each classifier was trained once. The intervals cover who was tested, not what another training would "
            "have given, and that can change the order of close chains."
        )
    return (
        f"Each classifier was trained {trainings} times, and the mean is shown. The intervals cover who was tested and "
        "how the trainings differ; of few trainings they know little, and are too narrow rather than too wide."
    )


def is_behind(rival: RankedChain) -> bool:
    """Whether the interval of a chain's gap to the best one excludes zero."""
    return rival.gap is not None and rival.gap.upper is not None and rival.gap.upper < 0


def _verdict(ranking: Ranking, best: RankedChain, rivals: tuple[RankedChain, ...]) -> str:
    thing = _thing(best.chain)
    extreme = "highest" if metric(ranking.metric).higher_is_better else "lowest"
    score = f"the {extreme} {_score_name(ranking, best)}"
    if not rivals:
        return f"Only one {thing} was tested, so there is no ranking: {best.chain}."
    if not any(rival.gap and rival.gap.has_interval for rival in rivals):
        return (
            f"T{score[1:]} {_where(ranking)} was that of {best.chain}; "
            f"no interval of the differences was computed, so no {thing} is claimed to be better."
        )
    tied = sum(not is_behind(rival) for rival in rivals)
    if tied == 0:
        others = f"every other {thing}" if len(rivals) > 1 else f"the other {thing}"
        return (
            f"The sturdiest {thing} {_where(ranking)} was {best.chain}: it had {score}, "
            f"and the interval of its lead over {others} excludes zero."
        )
    unsure = f"No single sturdiest {thing} can be named: {best.chain} had {score} {_where(ranking)}, but"
    if tied == len(rivals):
        return f"{unsure} it cannot be told apart from {f'any other {thing}' if tied > 1 else f'the other {thing}'}."
    rest = len(rivals) - tied
    return (
        f"{unsure} {counted(tied, f'other {thing}')} cannot be told apart from it; "
        f"the remaining {rest if rest > 1 else 'one'} did worse."
    )


def _score(ranking: Ranking, best: RankedChain, level: float) -> str:
    digits, label = metric(ranking.metric).digits, metric(ranking.metric).title
    clean = "" if best.clean is None else with_interval(best.clean, level, digits)
    if best.shifted is None:
        return f"No shift was tested: chains are ranked by their {label} without shift, {clean} for this one."
    text = f"Its mean {label} over all shifts and severities was {with_interval(best.shifted, level, digits)}"
    if clean:
        text += f", against {clean} without shift"
    if best.loss and best.loss.has_interval:
        text += f"; shift cost it {with_interval(best.loss, level, digits)}"
        if best.loss.lower is not None and best.loss.lower <= 0:
            text += ", an average loss that cannot be told from zero"
    if not best.shifted.has_interval:
        text += ". No interval was computed for these means"
    return f"{text}."


def _weakest(ranking: Ranking, loss: Loss | None, level: float) -> str:
    wording = metric(ranking.metric)
    if loss is None:
        return f"No shift made its {wording.title} worse at any site."
    text = (
        f"It lost most under {plain(loss.facet.shift)} of severity {loss.severity} at {site_name(loss.facet.site)}: "
        f"{wording.title} went from {with_interval(loss.clean, level, wording.digits)} without shift "
        f"to {with_interval(loss.shifted, level, wording.digits)}"
    )
    _, lower, upper = loss.shifted
    if wording.chance is not None and lower is not None and upper is not None and lower <= wording.chance:
        text += ", worse than guessing" if upper < wording.chance else ", where it cannot be told from guessing"
    return f"{text}."


def _runner_up(ranking: Ranking, rivals: tuple[RankedChain, ...], level: float) -> str:
    return f"The runner-up, {rivals[0].chain}, {_against_best(ranking, rivals[0], level)}."


def _accelerated(ranking: Ranking, level: float) -> list[str]:
    """The best chain that saves scan time, where a fully sampled one leads and comes second."""
    found = [ranked for ranked in ranking.chains if ranked.chain.acceleration > 1]
    if not found or found[0] in ranking.chains[:2]:
        return []
    first, things = found[0], f"{_thing(found[0].chain)}s"
    return [f"The first of the accelerated {things}, {first.chain}, {_against_best(ranking, first, level)}."]


def _against_best(ranking: Ranking, rival: RankedChain, level: float) -> str:
    digits = metric(ranking.metric).digits
    if rival.gap is None:
        return f"had {rival.score.number(digits)}"
    gap = with_interval(rival.gap, level, digits)
    if not rival.gap.has_interval:
        return f"differed by {gap}"
    if is_behind(rival):
        return f"did worse: difference {gap}, an interval that excludes zero"
    return f"cannot be told apart from it: difference {gap}, an interval that contains zero"


def with_interval(estimate: Estimate, level: float, digits: int) -> str:
    """A value with its interval in brackets, or alone where none was computed.

    Example:
        >>> with_interval(Estimate(0.9, 0.85, 0.94), 0.95, 2)
        '0.90 (95% interval 0.85 to 0.94)'
    """
    interval = estimate.interval(digits)
    brackets = f" ({100 * level:g}% interval {interval})" if interval else ""
    return f"{signed(estimate.value, digits)}{brackets}"


def _thing(chain: Chain) -> str:
    return "chain" if chain.classifier else "reconstruction"


def _score_name(ranking: Ranking, best: RankedChain) -> str:
    label = metric(ranking.metric).label
    return f"mean {label} under shift" if best.shifted else f"{label} without shift"


def _where(ranking: Ranking) -> str:
    return "over all sites" if ranking.site == ALL_SITES else f"at {ranking.site}"
