"""The tables of a report: who was tested, how chains rank, what happens at the operating point."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from scanproof.reporting.curves import Curve, Curves, chain_order, site_order
from scanproof.reporting.headline import is_behind
from scanproof.reporting.model import SPLITS, SiteFacts, SplitCounts
from scanproof.reporting.ranking import Ranking
from scanproof.reporting.vocabulary import Chain, Estimate


class FlowRow(NamedTuple):
    """A site with what it listed and what was evaluated, by split."""

    site: str
    role: str
    listed: dict[str, SplitCounts]
    evaluated: dict[str, SplitCounts]

    @property
    def partial(self) -> bool:
        """Whether some listed cases were not evaluated."""
        return any(split in self.listed and self.listed[split] != seen for split, seen in self.evaluated.items())

    def cell(self, split: str, what: str) -> str:
        """Subjects, cases or positives of a split; both numbers where some listed cases were not evaluated.

        Example:
            >>> listed, seen = SplitCounts(subjects=9, cases=20, positives=5), SplitCounts(subjects=9, cases=18)
            >>> FlowRow("north", "training", {"test": listed}, {"test": seen}).cell("test", "cases")
            '18 of 20'
        """
        listed, seen = (getattr(counts.get(split), what, None) for counts in (self.listed, self.evaluated))
        if listed is None and seen is None:
            return "–"
        if listed is None or seen is None or listed == seen:
            return str(listed if seen is None else seen)
        return f"{seen} of {listed}"


class RankRow(NamedTuple):
    """A chain in the ranking; ``standing`` says what the gap's interval supports."""

    rank: int
    chain: Chain
    clean: Estimate | None
    shifted: Estimate | None
    loss: Estimate | None
    gap: Estimate | None
    standing: str


class Change(NamedTuple):
    """A metric without shift, and the lowest it falls to at the highest severity, with the shift that does it."""

    clean: Estimate | None
    lowest: Estimate | None
    shift: str | None
    severity: int | None


class OperatingRow(NamedTuple):
    """Sensitivity and specificity of a chain at a site."""

    site: str
    chain: Chain
    sensitivity: Change
    specificity: Change


def flow_rows(predictions: pd.DataFrame, sites: Sequence[SiteFacts]) -> list[FlowRow]:
    """Participant flow: what each site listed and what the evaluation saw.

    Args:
        predictions: per-case probabilities; may be empty.
        sites: the sites of the study.
    """
    # a case of which several findings are asked counts once, as positive where it has any of them
    cases = predictions.groupby(["site", "split", "subject", "case"], observed=True)["label"].max().reset_index()
    seen: dict[tuple[str, str], SplitCounts] = {}
    for (site, split), group in cases.groupby(["site", "split"], observed=True):
        seen[str(site), str(split)] = SplitCounts(
            subjects=int(group["subject"].nunique()), cases=len(group), positives=int((group["label"] == 1).sum())
        )
    known = {facts.name: facts for facts in sites}
    names = [*known, *sorted({site for site, _ in seen} - known.keys())]
    return [
        FlowRow(
            name,
            known[name].role if name in known else "not stated",
            dict(known[name].counts) if name in known else {},
            {split: counts for (site, split), counts in seen.items() if site == name},
        )
        for name in names
    ]


def flow_splits(rows: Iterable[FlowRow]) -> list[str]:
    """The splits that any site has, in reading order."""
    found = {split for row in rows for split in (*row.listed, *row.evaluated)}
    return [split for split in SPLITS if split in found] + sorted(found - SPLITS.keys())


def ranking_rows(ranking: Ranking) -> list[RankRow]:
    """The ranking with a plain statement per chain."""
    rows = []
    for place, ranked in enumerate(ranking.chains, start=1):
        if place == 1:
            standing = "highest" if len(ranking.chains) > 1 else "only one"
        elif ranked.gap is None or not ranked.gap.has_interval:
            standing = "no interval"
        else:
            standing = "worse" if is_behind(ranked) else "cannot be told apart"
        rows.append(RankRow(place, ranked.chain, ranked.clean, ranked.shifted, ranked.loss, ranked.gap, standing))
    return rows


def operating_rows(curves: Curves, sites: Sequence[str] = ()) -> list[OperatingRow]:
    """Sensitivity and specificity of every chain at every site, clean and at the highest severity.

    Of several shifts the one that lowers the metric most is named, for each metric by itself.

    Args:
        curves: curves of a study.
        sites: order of the sites.
    """
    found: defaultdict[tuple[Chain, str], defaultdict[str, list[tuple[str, Curve]]]]
    found = defaultdict(lambda: defaultdict(list))
    for key, curve in curves.items():
        if key.metric in ("sensitivity", "specificity"):
            found[key.chain, key.facet.site][key.metric].append((key.facet.shift, curve))
    return [
        OperatingRow(site, chain, _change(by_metric["sensitivity"]), _change(by_metric["specificity"]))
        for (chain, site), by_metric in sorted(
            found.items(), key=lambda item: (chain_order(item[0][0]), site_order(item[0][1], sites))
        )
    ]


def smallest_test(rows: Iterable[FlowRow]) -> tuple[str, SplitCounts] | None:
    """The site with the fewest positive cases (or cases, without labels) to test on.

    Example:
        >>> row = FlowRow("north", "external", {"test": SplitCounts(subjects=9, cases=20, positives=5)}, {})
        >>> smallest_test([row])[0]
        'north'
    """
    tests = [(row.site, row.evaluated.get("test") or row.listed.get("test")) for row in rows]
    found = [(site, counts) for site, counts in tests if counts is not None]
    return min(found, key=lambda item: item[1].cases if item[1].positives is None else item[1].positives, default=None)


def _change(curves: Sequence[tuple[str, Curve]]) -> Change:
    clean = next((curve[0] for _, curve in curves if 0 in curve), None)
    ends = [(curve[max(curve)], shift, max(curve)) for shift, curve in curves if max(curve) > 0]
    if not ends:
        return Change(clean, None, None, None)
    lowest, shift, severity = min(ends, key=lambda end: end[0].value)
    return Change(clean, lowest, shift, severity)
