"""What may be said of a difference: p-values, margins, several comparisons at once, and how large it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from scanproof.errors import ScanproofError
from scanproof.evaluation.weighted_sums import FloatArray


def bootstrap_p_value(samples: npt.ArrayLike, *, null: float = 0.0, freedom: npt.ArrayLike | None = None) -> FloatArray:
    """Two-sided p-value of a difference: the level at which its bootstrap interval just reaches the null value.

    It agrees with the interval: below 0.05 where the 95 % interval leaves the null value out, up to the steps between
    replicates. Its least value is 2 / (resamples + 1).

    Args:
        samples: the value, then its replicates, shape ``(..., 1 + resamples)``; replicates of NaN are dropped.
        null: value that is tested.
        freedom: degrees of freedom, as :meth:`~scanproof.evaluation.bootstrap.Bootstrap.estimate` takes them for
            expanded intervals, broadcast to the shape of the values; without it the interval is the percentile one.

    Returns:
        Shape ``(...)``; NaN where the value is NaN or more than one replicate in twenty is.

    Raises:
        ScanproofError: no replicate, or degrees of freedom that are not positive.

    Example:
        >>> round(float(bootstrap_p_value(np.r_[0.5, np.linspace(-0.1, 1.1, 999)])), 3)
        0.17
    """
    from scanproof.evaluation.bootstrap import MAX_DROPPED

    table = np.asarray(samples, np.float64)
    if not table.ndim or table.shape[-1] < 2:
        raise ScanproofError("samples must hold a value and at least one replicate", value=table.shape)
    degrees = np.broadcast_to(np.inf if freedom is None else np.asarray(freedom, np.float64), table.shape[:-1])
    if not (degrees > 0).all():
        raise ScanproofError("freedom must be more than 0", value=float(degrees.min()))
    p_values = np.full(table.shape[:-1], np.nan)
    for index in np.ndindex(p_values.shape):
        value, replicates = table[index][0], table[index][1:]
        kept = np.sort(replicates[~np.isnan(replicates)])
        if not np.isnan(value) and len(kept) >= (1 - MAX_DROPPED) * len(replicates):
            p_values[index] = _inverted(float(value), kept, null, float(degrees[index]))
    return p_values


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """P-values corrected for their number: comparing each with 0.05 errs anywhere with probability 0.05 at most.

    Holm's step-down procedure (Scand. J. Stat. 6, 1979). It holds however the comparisons depend on each other.

    Args:
        p_values: in [0, 1], shape ``(comparisons,)``.

    Returns:
        Corrected ones in the same order, at most 1.

    Raises:
        ScanproofError: no p-value, or one outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])
    """
    values = np.asarray(p_values, np.float64)
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ScanproofError("p_values must be a list of numbers in [0, 1]", value=values.tolist())
    order = np.argsort(values, kind="stable")
    corrected = np.empty(len(values))
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return np.minimum(corrected, 1.0)


def non_inferior(lower: npt.ArrayLike, *, margin: float) -> npt.NDArray[np.bool_]:
    """Whether a difference, positive where the new is better, is shown to be no worse than minus the margin.

    With the lower bound of a two-sided 95 % interval the one-sided level is 2.5 %, as regulators ask (ICH E9). Where
    it is not shown, the new may be worse or the study too small. A bound of NaN shows nothing. Fix the margin before.

    Args:
        lower: lower bounds of intervals of the difference.
        margin: more than 0, in the unit of the difference.

    Raises:
        ScanproofError: a margin that is not positive and finite.

    Example:
        >>> non_inferior([-0.04, -0.06], margin=0.05)
        array([ True, False])
    """
    _check_margin(margin)
    return np.asarray(np.asarray(lower, np.float64) > -margin)


def equivalent(lower: npt.ArrayLike, upper: npt.ArrayLike, *, margin: float) -> npt.NDArray[np.bool_]:
    """Whether a difference is shown to be smaller than the margin either way: its interval lies within.

    With a 90 % interval these are two one-sided tests at 5 % (Schuirmann, 1987), with a 95 % interval at 2.5 %.

    Args:
        lower: lower bounds of intervals of the difference.
        upper: their upper bounds.
        margin: more than 0, in the unit of the difference.

    Raises:
        ScanproofError: a margin that is not positive and finite.

    Example:
        >>> equivalent([-0.04, -0.04], [0.01, 0.06], margin=0.05)
        array([ True, False])
    """
    _check_margin(margin)
    return np.asarray((np.asarray(lower, np.float64) > -margin) & (np.asarray(upper, np.float64) < margin))


def standardised_difference(differences: npt.ArrayLike, *, hedges: bool = True) -> FloatArray:
    """Mean difference of paired trainings over the standard deviation of their differences.

    This is Cohen's d of paired values (d_z, by n - 1), over training seeds: how large a difference is beside what
    training anew changes. It says nothing of subjects. Of few trainings it comes out too large; Hedges' factor
    (J. Educ. Stat. 6, 1981), exact for normal differences, corrects that.

    Args:
        differences: value of one model minus that of the other, training by training, shape ``(..., trainings)``.
        hedges: whether to correct for few trainings.

    Returns:
        Shape ``(...)``; NaN where the differences do not vary, and for two trainings, which no factor corrects.

    Raises:
        ScanproofError: fewer than two trainings.

    Example:
        >>> round(float(standardised_difference([0.02, 0.03, 0.04], hedges=False)), 3)
        3.0
    """
    table = np.asarray(differences, np.float64)
    if not table.ndim or table.shape[-1] < 2:
        raise ScanproofError("differences must be of at least two trainings", value=table.shape)
    degrees = table.shape[-1] - 1
    factor = 1.0
    if hedges:
        ratio = np.exp(special.gammaln(degrees / 2) - special.gammaln((degrees - 1) / 2)) if degrees > 1 else np.nan
        factor = float(ratio / np.sqrt(degrees / 2))
    mean, spread = table.mean(axis=-1), table.std(axis=-1, ddof=1)
    varies = spread > 1e-12 * np.abs(table).max(axis=-1)
    return np.asarray(np.where(varies, factor * mean / np.where(varies, spread, 1.0), np.nan), np.float64)


def _inverted(value: float, replicates: FloatArray, null: float, degrees: float) -> float:
    """Level at which the interval of sorted replicates reaches a null value."""
    if value == null:
        return 1.0
    side = replicates if value > null else -replicates[::-1]
    value, null = (value, null) if value > null else (-value, -null)
    tails = np.arange(1, len(side) + 1) / (len(side) + 1)
    inner = tails < 0.5  # beyond the middle, there is no interval
    factor = stats.t.isf(tails[inner], degrees) / stats.norm.isf(tails[inner]) if np.isfinite(degrees) else 1.0
    bounds = value - factor * np.maximum(value - side[inner], 0.0)
    return min(2 * (int((bounds <= null).sum()) + 1) / (len(side) + 1), 1.0)


def _check_margin(margin: float) -> None:
    if not 0 < margin < np.inf:
        raise ScanproofError("margin must be positive and finite", value=margin)
