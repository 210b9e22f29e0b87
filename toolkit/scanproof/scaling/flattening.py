"""The claim "a steep power law at first, flattening at moderate N", decided by intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scanproof.evaluation.bootstrap import Estimate
from scanproof.evaluation.claim import Verdict
from scanproof.scaling.choice import Choice
from scanproof.scaling.fits.fit import Fit, Form
from scanproof.scaling.intervals import Law

CLAIM = "a steep power law at first, flattening at a moderate number of examples"
#: share of the exponent whose loss would still be no flattening worth the name
SHARE = 0.25


class Finding(NamedTuple):
    """What a sweep says of the claim, and why."""

    verdict: Verdict
    why: str


def first_rate(fitted: Fit) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Local exponent at the smallest size, positive where more examples help."""
    return np.asarray(fitted.rates(np.array([fitted.smallest]))[:, 0], np.float64)


def decide(choice: Choice, laws: Mapping[Form, Law]) -> Finding:
    """Decide the claim.

    *Agree*: a curved form is chosen over the single power law, by AICc and by held-out sizes
    (:func:`~scanproof.scaling.choice.choose`); the interval of its local exponent at the smallest size is above 0; the
    interval of its flattening (the exponent there less that at the largest size) is above 0; and, for a broken law,
    the interval of the break lies inside the sizes that were tried.

    *Disagree*: the interval of the exponent at the smallest size is not above 0 at any end; or a curved form is
    chosen, and the interval of its flattening is below 0: it gets steeper; or the single law is chosen, and all curved
    forms that were fitted have an interval of the flattening that ends below :data:`SHARE` of the single law's
    exponent: there is no room for a flattening that would matter.

    *Undecided*: all else; with fewer than four sizes always, unless more examples do not help at all.

    Args:
        choice: of the form.
        laws: fitted forms, the single one among them.
    """
    chosen = laws[choice.form]
    start = chosen.estimate(first_rate)
    curved: dict[Form, Estimate] = {
        form: one.estimates()["flattening"] for form, one in laws.items() if form != "single"
    }
    if start.upper <= 0:
        return Finding("disagree", f"more examples do not help: exponent at the smallest N {_span(start)}")
    if choice.form != "single":
        return _of_curved(choice.form, chosen, start, curved[choice.form])
    room = SHARE * abs(float(laws["single"].estimates()["exponent"].value))
    if curved and all(float(one.upper) < room for one in curved.values()):
        most = max(float(one.upper) for one in curved.values())
        return Finding("disagree", f"a single power law; the exponent falls by {most:.3g} at most")
    if not curved:
        return Finding("undecided", "too few sizes to tell a curve from a line")
    return Finding("undecided", f"a single power law is not beaten, but flattening may be {_spans(curved)}")


def _of_curved(form: Form, chosen: Law, start: Estimate, flattening: Estimate) -> Finding:
    if flattening.upper < 0:
        return Finding("disagree", f"the {form} law gets steeper: flattening {_span(flattening)}")
    doubts = []
    if not start.lower > 0:
        doubts.append(f"the exponent at the smallest N may be 0: {_span(start)}")
    if not flattening.lower > 0:
        doubts.append(f"flattening may be 0: {_span(flattening)}")
    where = ""
    if form == "broken":
        at = chosen.estimates()["break"]
        where = f", break at N = {_span(at)}"
        if not (at.lower > chosen.fit.smallest and at.upper < chosen.fit.largest):
            doubts.append(f"the break is not known to lie inside the sizes: {_span(at)}")
    if doubts:
        return Finding("undecided", f"the {form} law is chosen, but " + "; ".join(doubts))
    return Finding("agree", f"the {form} law is chosen: the exponent falls by {_span(flattening)}{where}")


def _span(estimate: Estimate) -> str:
    value, lower, upper = (float(part) for part in estimate)
    return f"{value:.3g} ({lower:.3g} to {upper:.3g})"


def _spans(estimates: Mapping[Form, Estimate]) -> str:
    return ", ".join(f"{_span(estimate)} ({form})" for form, estimate in estimates.items())
