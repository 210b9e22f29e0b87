"""The cases that shift misleads: read rightly as they are, wrongly when disturbed."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from scanproof.evaluation.table import CLEAN
from scanproof.reporting.curves import stated
from scanproof.reporting.sections.operating import natural

#: cases that are worth a reader's time
MOST = 12


class Misread(NamedTuple):
    """A case, how many of its disturbed readings went wrong, and the shift under which most did.

    ``readings`` counts those by trainings that read the undisturbed case rightly. The probabilities are means.
    """

    site: str
    case: str
    target: str | None
    positive: bool
    wrong: int
    readings: int
    shift: str
    clean: float
    shifted: float


def misread_cases(calls: pd.DataFrame, *, most: int = MOST) -> list[Misread]:
    """The cases most often misread under shift by trainings that read them rightly without.

    Args:
        calls: of :func:`~scanproof.reporting.sections.operating.called`, of one chain.
        most: longest list.

    Returns:
        The largest share of wrong readings first; of equals the first by site and case. Cases that were never misread
        are left out.

    Example:
        >>> row = {"site": "north", "subject": "a", "case": "a1", "seed": 1, "label": 1}
        >>> rows = [row | {"shift": shift, "severity": s, "probability": p, "positive": p > 0.5}
        ...     for shift, s, p in (("none", 0, 0.9), ("noise", 1, 0.8), ("noise", 2, 0.3), ("spike", 2, 0.2))]
        >>> [found] = misread_cases(pd.DataFrame(rows))
        >>> found.wrong, found.readings, found.shift
        (2, 3, 'noise')
    """
    keys = ["site", "subject", "case", *(["target"] if "target" in calls else [])]
    rows = calls.assign(
        wrong=calls["positive"].astype(bool) != (calls["label"] == 1),
        probability=calls["probability"].astype("float64"),
    )
    clean = rows[rows["shift"] == CLEAN]
    # a training is asked about a case only where it can read it at all
    able = clean.loc[~clean["wrong"], [*keys, "seed", "probability"]].rename(columns={"probability": "clean"})
    seen = natural(rows).merge(able, on=[*keys, "seed"], how="inner")
    if seen.empty:
        return []
    found = []
    for names, own in seen.groupby(keys, dropna=False, observed=True, sort=True):
        if not own["wrong"].any():
            continue
        known = dict(zip(keys, names, strict=True))
        by_shift = own.groupby("shift", observed=True, sort=True)["wrong"].sum()
        found.append(
            Misread(
                str(known["site"]),
                str(known["case"]),
                stated(known.get("target")),
                bool((own["label"] == 1).iloc[0]),
                int(own["wrong"].sum()),
                len(own),
                str(by_shift.idxmax()),
                float(own["clean"].mean()),
                float(own["probability"].mean()),
            )
        )
    return sorted(found, key=lambda one: (-one.wrong / one.readings, one.site, one.case, one.target or ""))[:most]
