"""Which form of a scaling law the data ask for: by information criterion and by what they predict."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scanproof.errors import ScanproofError
from scanproof.scaling.fits.fit import FORMS, PARAMETERS, SIZES, Fit, Form, fit
from scanproof.scaling.ladder import Ladder

#: by how much the AICc of a form must be lower than that of the power law (Burnham and Anderson, 2002, section 2.6)
MARGIN = 2.0
#: how far a held-out size lies beyond the fitted ones, at least
REACH = 2.0
#: sizes that are held out, one after the other
ROUNDS = 2
#: mean squares of logarithms below which a fit counts as exact
_EXACT = 1e-24


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A size that was predicted without it and without any above half of it.

    Attributes:
        size: that was predicted.
        fitted: the largest size of the fit.
        predicted: in units of the axis.
        measured: in units of the axis.
    """

    size: float
    fitted: float
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Logarithm of predicted over measured."""
        return math.log(self.predicted / self.measured)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What speaks for a form.

    Attributes:
        form: of the law.
        aicc: corrected information criterion; infinite where there are too few trainings for the form.
        held_out: the largest sizes, predicted from the smaller ones.
        error: root mean square of their errors in logarithms; NaN where none can be held out.
        single: the same of the single power law, at the same sizes.
    """

    form: Form
    aicc: float
    held_out: tuple[HeldOut, ...]
    error: float
    single: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The form that is chosen, and all that were tried.

    Attributes:
        form: that is chosen.
        candidates: by form.
    """

    form: Form
    candidates: dict[Form, Candidate]


def choose(ladder: Ladder) -> Choice:
    """Choose between a single power law, one with a break and one with an asymptote.

    A curved form is chosen over the single power law only if two things say so: its AICc is lower by more than
    :data:`MARGIN`, and it predicts the largest sizes better, which it was fitted without. Of two such forms, the one
    with the lower AICc is chosen. A form that cannot be tested on held-out sizes, for want of sizes, is not chosen.

    Args:
        ladder: of at least three sizes.

    Raises:
        ScanproofError: fewer than three sizes.
    """
    forms = [form for form in FORMS if len(ladder.sizes) >= SIZES[form]]
    if not forms:
        raise ScanproofError(
            f"a scaling law must have at least {SIZES['single']} sizes", key=ladder.axis.name, value=len(ladder.sizes)
        )
    candidates = {form: _candidate(ladder, form) for form in forms}
    single = candidates["single"].aicc
    better = [one for one in candidates.values() if one.aicc < single - MARGIN and one.error < one.single]
    chosen = min(better, key=lambda one: one.aicc).form if better else "single"
    return Choice(form=chosen, candidates=candidates)


def fit_ladder(ladder: Ladder, form: Form) -> Fit:
    """One form, fitted to the points of a ladder."""
    return fit(form, ladder.sizes, ladder.points[None], ladder.weights, falls=ladder.axis.falls)


def aicc(ladder: Ladder, form: Form) -> float:
    r"""Akaike's information criterion, corrected for small samples (Hurvich and Tsai, Biometrika 76, 1989).

    .. math:: n \ln(S/n) + 2k + 2k(k+1)/(n-k-1)

    Observations are the ``n`` trainings, the logarithm of the mean over cases of each; ``S`` is the sum of their
    squared residuals, and ``k`` the number of parameters, the variance among them. All forms are fitted to the same
    logarithms, so that the numbers can be compared. Test cases are the same for all trainings and so shift all
    residuals alike; where trainings from different seeds share their examples, the luck of these examples is no part of
    the scatter between trainings and can look like curvature: hence the test on held-out sizes besides.

    Args:
        ladder: what was measured.
        form: of the law.

    Returns:
        Infinity where ``n`` is not above ``k + 1``.

    Example:
        >>> from scanproof.scaling.axes import axis
        >>> values = tuple(np.array([[v]]) for v in (1.0, 0.52, 0.25, 0.124, 0.0625))
        >>> sizes = np.array([10.0, 20.0, 40.0, 80.0, 160.0])
        >>> few = Ladder(axis=axis("mse"), sizes=sizes, values=values, subjects=np.array(["a"], object))
        >>> round(aicc(few, "single"), 2), aicc(few, "broken")
        (-11.74, inf)
    """
    observed = ladder.logs
    count, parameters = sum(len(logs) for logs in observed), PARAMETERS[form] + 1
    if count <= parameters + 1:
        return math.inf
    curve = fit_ladder(ladder, form).logs(ladder.sizes)[0]
    squares = sum(float(((logs - at) ** 2).sum()) for logs, at in zip(observed, curve, strict=True))
    correction = 2 * parameters * (parameters + 1) / (count - parameters - 1)
    return count * math.log(max(squares / count, _EXACT)) + 2 * parameters + correction


def held_out(ladder: Ladder, form: Form, *, rounds: int = ROUNDS) -> tuple[HeldOut, ...]:
    """The largest sizes, each predicted from a fit of the sizes up to half of it.

    So every prediction reaches over one doubling at least, which is what a planner asks of a fit.

    Args:
        ladder: what was measured.
        form: of the law.
        rounds: how many of the largest sizes to predict.

    Returns:
        The largest size first; without those below which too few sizes are left to fix the form.
    """
    found = []
    for index in range(len(ladder.sizes) - 1, max(len(ladder.sizes) - 1 - rounds, 0), -1):
        size = float(ladder.sizes[index])
        part = ladder.up_to(size / REACH)
        if len(part.sizes) < PARAMETERS[form]:
            break
        predicted = fit_ladder(part, form).values(np.array([size]))[0, 0]
        measured = math.exp(ladder.points[index])
        found.append(HeldOut(size=size, fitted=float(part.sizes[-1]), predicted=float(predicted), measured=measured))
    return tuple(found)


def _candidate(ladder: Ladder, form: Form) -> Candidate:
    tested = held_out(ladder, form)
    same = held_out(ladder, "single", rounds=len(tested))
    return Candidate(
        form=form,
        aicc=aicc(ladder, form),
        held_out=tested,
        error=_root_mean_square(tested),
        single=_root_mean_square(same),
    )


def _root_mean_square(tested: tuple[HeldOut, ...]) -> float:
    return math.sqrt(sum(one.error**2 for one in tested) / len(tested)) if tested else math.nan
