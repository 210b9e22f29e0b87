"""Intervals of what a scaling law says: its exponents, its break, its asymptote and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanproof.evaluation.bootstrap import Bootstrap, Estimate
from scanproof.scaling.fits.fit import Fit, Form, fit
from scanproof.scaling.ladder import Draw, FloatArray, Ladder

#: what is estimated as a logarithm
_LOGARITHMS = frozenset({"break"})
#: what cannot be below 0
_POSITIVE = frozenset({"asymptote"})


@dataclass(frozen=True, kw_only=True)
class Law:
    """One form, fitted to a ladder and to all of its replicates.

    Attributes:
        form: of the law.
        ladder: that it is of.
        fit: of the points as they are, then of the replicates.
        bootstrap: that made the replicates.
        steps: how far each size was moved to learn what moves the fit, one standard error, shape ``(n,)``.
        moved: fits with each size moved down and up in turn, ``2n`` curves.
        of_subjects: covariance of the points by subjects, ``(n, n)``.
        draw: how trainings were drawn.
    """

    form: Form
    ladder: Ladder
    fit: Fit
    bootstrap: Bootstrap
    steps: FloatArray
    moved: Fit
    of_subjects: FloatArray
    draw: Draw

    def estimate(self, quantity: Callable[[Fit], FloatArray]) -> Estimate:
        """Value and interval of anything that can be computed from a fit.

        The interval is that of the replicates. An expanded one takes its degrees of freedom from the variance of the
        quantity, split into what subjects and what the trainings of each size give to it by linear propagation
        (Satterthwaite, Biometrics Bull. 2, 1946). Seeds that run through all sizes give one part of it together, with
        their number less one.

        Args:
            quantity: of fitted curves, ``(curves,)`` or ``(curves, m)``.

        Returns:
            Of shape ``()`` or ``(m,)``.
        """
        samples = np.moveaxis(quantity(self.fit), 0, -1)
        return self.bootstrap.estimate(samples, freedom=self.freedom(quantity))

    def freedom(self, quantity: Callable[[Fit], FloatArray]) -> FloatArray:
        """Degrees of freedom of the variance of a quantity; see :meth:`estimate`."""
        return self._freedom(np.moveaxis(quantity(self.moved), 0, -1))

    def estimates(self) -> dict[str, Estimate]:
        """The parameters of the form that mean something, by name; see :func:`quantities`."""
        return {name: _restored(name, self.estimate(of)) for name, of in quantities(self.form).items()}

    def _freedom(self, moved: FloatArray) -> FloatArray:
        down, up = np.split(moved, 2, axis=-1)
        slopes = np.nan_to_num((up - down) / (2 * self.steps))
        of_trainings, freedom = self._of_trainings(slopes)
        of_subjects = np.einsum("...i,ij,...j->...", slopes, self.of_subjects, slopes)
        subjects = max(len(set(self.ladder.subjects)) - 1, 1)
        whole = (of_subjects + of_trainings.sum(axis=-1)) ** 2
        parts = of_subjects**2 / subjects + (of_trainings**2 / np.maximum(freedom, 1)).sum(axis=-1)
        return np.asarray(np.where(parts > 0, whole / np.where(parts > 0, parts, 1), float(subjects)), np.float64)

    def _of_trainings(self, slopes: FloatArray) -> tuple[FloatArray, npt.NDArray[np.intp]]:
        """What trainings give to the variance of a quantity, in independent parts, and the freedom of each."""
        count, logs = self.ladder.trainings, self.ladder.logs
        if self.draw == "seed":
            seeds = np.atleast_2d(np.cov(np.stack(logs))) if count[0] > 1 else np.zeros((len(logs), len(logs)))
            return np.einsum("...i,ij,...j->...", slopes, seeds, slopes)[..., None] / count[0], count[:1] - 1
        scatter = np.array([one.var(ddof=1) if len(one) > 1 else 0.0 for one in logs])
        return slopes**2 * scatter / count, count - 1


def law(ladder: Ladder, form: Form, *, bootstrap: Bootstrap, draw: Draw = "training") -> Law:
    """Fit one form to a ladder and to replicates of it.

    The form is fitted anew to every replicate; the widths of the ladder stay those that were chosen.

    Args:
        ladder: what was measured.
        form: of the law.
        bootstrap: how replicates are made.
        draw: see :meth:`~scanproof.scaling.ladder.Ladder.samples`.

    Raises:
        ScanproofError: fewer sizes than the form has parameters.
    """
    samples = ladder.samples(bootstrap, draw=draw)
    means = np.stack([logs.mean(axis=0) for logs in ladder.by_subject(bootstrap)])
    steps = np.maximum(samples[1:].std(axis=0), 1e-9)
    moves = np.diag(steps)

    def fitted(curves: FloatArray) -> Fit:
        return fit(form, ladder.sizes, curves, ladder.weights, falls=ladder.axis.falls)

    return Law(
        form=form,
        ladder=ladder,
        fit=fitted(samples),
        bootstrap=bootstrap,
        steps=steps,
        moved=fitted(samples[0] + np.concatenate([-moves, moves])),
        of_subjects=np.atleast_2d(np.cov(means[:, 1:])),
        draw=draw,
    )


def quantities(form: Form) -> Mapping[str, Callable[[Fit], FloatArray]]:
    """What is reported of a form.

    Exponents are those of N with their sign: an error falls with a negative one. The exponent of a saturating law is
    that of the distance to the asymptote. ``flattening`` is how much less the local exponent is at the largest size
    than at the smallest, positive where the curve flattens.

    Example:
        >>> list(quantities("broken"))
        ['exponent_before', 'exponent_after', 'break', 'flattening']
    """

    def column(index: int) -> Callable[[Fit], FloatArray]:
        return lambda fitted: fitted.parameters[:, index]

    if form == "single":
        return {"exponent": column(1)}
    if form == "broken":
        return {
            "exponent_before": column(1),
            "exponent_after": column(2),
            "break": column(3),
            "flattening": lambda fitted: fitted.flattening,
        }
    return {
        "exponent": column(1),
        "asymptote": lambda fitted: np.exp(fitted.parameters[:, 2]),
        "flattening": lambda fitted: fitted.flattening,
    }


def point_estimates(ladder: Ladder, *, bootstrap: Bootstrap, draw: Draw = "training") -> Estimate:
    """The points of a ladder in units of its axis, with intervals by subjects and trainings, shape ``(n,)``."""
    subjects = len(set(ladder.subjects))
    freedom = [
        float(bootstrap.crossed(logs, axis=0, subjects=subjects).freedom) for logs in ladder.by_subject(bootstrap)
    ]
    found = bootstrap.estimate(ladder.samples(bootstrap, draw=draw).T, freedom=np.array(freedom))
    return Estimate(*(np.exp(part) for part in found))


def _restored(name: str, estimate: Estimate) -> Estimate:
    """An estimate in the units that a reader expects."""
    if name in _LOGARITHMS:
        return Estimate(*(np.exp(np.clip(part, -700, 700)) for part in estimate))
    if name in _POSITIVE:
        return Estimate(*(np.maximum(part, 0) for part in estimate))
    return estimate
