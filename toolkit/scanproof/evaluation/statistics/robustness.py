"""What the robustness field sums a severity curve up with, replicate by replicate.

Arrays are bootstrap samples as :class:`~scanproof.evaluation.bootstrap.Bootstrap` takes them: the last axis holds the
value, then its replicates, and the axis before it the severities, artifacts or sites that are summed up. Every formula
runs along it, so that its result is samples again, and differences between models stay paired. Errors are lower for
the better model, e.g. one minus the AUROC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError
from scanproof.evaluation.weighted_sums import FloatArray

#: least mean degradation of the reference at which a relative corruption error is defined
MIN_DEGRADATION = 0.01
#: how much less each severity weighs than the one before in ROOD-MRI
ROOD_ALPHA = 2 / 3


def corruption_error(errors: npt.ArrayLike, reference: npt.ArrayLike) -> FloatArray:
    """Error under an artifact relative to that of a reference model, both summed over severities.

    Equation 1 of Hendrycks and Dietterich (ICLR 2019), as a ratio, not in percent. Below 1 the model errs less.

    Args:
        errors: of the model, 0 or more, shape ``(..., severities, samples)``.
        reference: of the reference model on the same images, shape as the errors.

    Returns:
        Shape ``(..., samples)``; NaN where the reference makes no error at all.

    Raises:
        ScanproofError: arrays of different or too few axes.

    Example:
        >>> corruption_error([[0.1], [0.3]], [[0.2], [0.6]])
        array([0.5])
    """
    model, other = _alike(errors, reference)
    return _ratio(model.sum(axis=-2), other.sum(axis=-2), above=0.0)


def relative_corruption_error(
    errors: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    clean: npt.ArrayLike,
    reference_clean: npt.ArrayLike,
    minimum: float = MIN_DEGRADATION,
) -> FloatArray:
    """What an artifact adds to the error relative to what it adds to that of a reference model.

    Equation 2 of Hendrycks and Dietterich (ICLR 2019). Where the artifact hardly harms the reference, the ratio says
    nothing: it is NaN where the reference's mean degradation over severities is below ``minimum``, in each replicate
    by itself. An interval then exists only where nearly every replicate shows that the reference is harmed.

    Args:
        errors: of the model, shape ``(..., severities, samples)``.
        reference: of the reference model on the same images, shape as the errors.
        clean: error of the model on clean images, shape ``(..., samples)``.
        reference_clean: error of the reference model on clean images, shape ``(..., samples)``.
        minimum: in the unit of the error, more than 0.

    Returns:
        Shape ``(..., samples)``.

    Raises:
        ScanproofError: arrays of different or too few axes, or a minimum that is not positive.

    Example:
        >>> relative_corruption_error([[0.2], [0.3]], [[0.3], [0.5]], clean=[0.1], reference_clean=[0.1]).round(3)
        array([0.5])
        >>> relative_corruption_error([[0.2]], [[0.104]], clean=[0.1], reference_clean=[0.1])
        array([nan])
    """
    if not minimum > 0:
        raise ScanproofError("minimum must be more than 0", value=minimum)
    model, other = _alike(errors, reference)
    gained = (model - _clean(clean, model)).mean(axis=-2)
    return _ratio(gained, (other - _clean(reference_clean, other)).mean(axis=-2), above=minimum)


def mean_corruption_error(errors: npt.ArrayLike) -> FloatArray:
    """Mean of the corruption errors, relative or not, of several artifacts.

    Artifacts whose own value is undefined are left out; say how many. What a replicate lacks besides makes its mean
    NaN.

    Args:
        errors: of :func:`corruption_error` or :func:`relative_corruption_error`, shape ``(..., artifacts, samples)``.

    Returns:
        Shape ``(..., samples)``; NaN where no artifact is left.

    Raises:
        ScanproofError: an array of too few axes.

    Example:
        >>> mean_corruption_error([[0.5, 0.25], [1.0, np.nan], [np.nan, 2.0]])
        array([0.75,  nan])
    """
    table = _table(errors, "errors")
    counted = ~np.isnan(table[..., :1])
    count = counted.sum(axis=-2)
    total = np.where(counted, table, 0.0).sum(axis=-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def weighted_degradation(
    errors: npt.ArrayLike, *, clean: npt.ArrayLike, severities: Sequence[float], alpha: float = ROOD_ALPHA
) -> FloatArray:
    """Mean degradation from clean images, in which severity s weighs alpha to the power of s.

    The weighted mean degradation of ROOD-MRI (Boone et al., arXiv 2203.06060, 2022) with its alpha of 2/3, since mild
    artifacts are more common than severe ones.

    Args:
        errors: shape ``(..., severities, samples)``.
        clean: error on clean images, shape ``(..., samples)``.
        severities: of the second last axis, 1 or more.
        alpha: in (0, 1]; 1 weighs all severities alike.

    Returns:
        Shape ``(..., samples)``, in the unit of the error.

    Raises:
        ScanproofError: arrays of other shapes, a severity below 1 or given twice, or an alpha outside (0, 1].

    Example:
        >>> weighted_degradation([[0.2], [0.4]], clean=[0.1], severities=[1, 2]).round(2)
        array([0.18])
    """
    table, weights = _table(errors, "errors"), _rood_weights(severities, alpha)
    _check_severities(severities, table, least=1)
    return np.asarray(((table - _clean(clean, table)) * weights).sum(axis=-2) / weights.sum(), np.float64)


def weighted_error(
    errors: npt.ArrayLike, *, clean: npt.ArrayLike, severities: Sequence[float], alpha: float = ROOD_ALPHA
) -> FloatArray:
    """Mean error over clean images and all severities, weighted as in :func:`weighted_degradation`, clean ones with 1.

    The weighted mean of ROOD-MRI. Arguments, shapes and errors are those of :func:`weighted_degradation`.

    Example:
        >>> weighted_error([[0.2], [0.4]], clean=[0.1], severities=[1, 2]).round(4)
        array([0.1947])
    """
    degradation = weighted_degradation(errors, clean=clean, severities=severities, alpha=alpha)
    share = _rood_weights(severities, alpha).sum()
    return np.asarray(np.asarray(clean, np.float64) + degradation * share / (1 + share), np.float64)


def curve_area(values: npt.ArrayLike, *, severities: Sequence[float]) -> FloatArray:
    """Area under a curve over severity by the trapezoidal rule, divided by the range of severities: a mean height.

    Args:
        values: of any metric, in the order of the severities, the clean condition first, shape
            ``(..., severities, samples)``.
        severities: that were tested, rising, 0 first, at least two.

    Returns:
        Shape ``(..., samples)``, in the unit of the metric.

    Raises:
        ScanproofError: severities that do not fit the values, do not rise, or do not begin with 0.

    Example:
        >>> curve_area([[0.9], [0.8], [0.5]], severities=[0, 1, 5]).round(4)
        array([0.69])
    """
    table = _table(values, "values")
    _check_severities(severities, table, least=0)
    if len(severities) < 2 or severities[0] != 0:
        raise ScanproofError("severities must be at least two and begin with 0", value=list(severities))
    return np.asarray(np.trapezoid(table, severities, axis=-2) / (severities[-1] - severities[0]), np.float64)


class Worst(NamedTuple):
    """The worst of several artifacts or sites.

    Attributes:
        position: which one, by the values on the cases as they are; of equals the first. Shape ``(...)``.
        samples: its samples, shape ``(..., samples)``.
        frequency: share of the replicates in which it is the worst, equals counting in full, shape ``(...)``; NaN
            without replicates.
    """

    position: npt.NDArray[np.intp]
    samples: FloatArray
    frequency: FloatArray


def worst(samples: npt.ArrayLike, *, higher_is_better: bool) -> Worst:
    """The worst of several artifacts or sites, and how sure it is that it is this one.

    It is chosen on the same cases that tell how bad it is, so that its value looks worse than new cases would make it
    and its interval takes no account of the choice. A low ``frequency`` says that others may be the worst as well.

    Args:
        samples: of a metric, shape ``(..., artifacts or sites, samples)``, without NaN among the values.
        higher_is_better: whether more of the metric is better.

    Returns:
        Which one, its samples, and in what share of the replicates it is the worst.

    Raises:
        ScanproofError: an array of too few axes, or a value that is NaN.

    Example:
        >>> worst([[0.9, 0.8, 0.9], [0.7, 0.9, 0.6]], higher_is_better=True)
        Worst(position=array(1), samples=array([0.7, 0.9, 0.6]), frequency=array(0.5))
    """
    table = _table(samples, "samples") * (1 if higher_is_better else -1)
    if np.isnan(table[..., 0]).any():
        raise ScanproofError("samples must have a value for each of what is compared", value=float("nan"))
    index = np.asarray(table[..., 0].argmin(axis=-1))
    chosen = np.take_along_axis(table, index[..., None, None], axis=-2)[..., 0, :]
    lowest = np.fmin.reduce(table[..., 1:], axis=-2)
    count = lowest.shape[-1]
    frequency = (chosen[..., 1:] <= lowest).sum(axis=-1) / count if count else np.full(index.shape, np.nan)
    return Worst(index, chosen * (1 if higher_is_better else -1), np.asarray(frequency, np.float64))


def _table(values: npt.ArrayLike, name: str) -> FloatArray:
    table = np.asarray(values, np.float64)
    if table.ndim < 2 or not table.shape[-2] or not table.shape[-1]:
        rule = f"{name} must have at least two axes, none of the last two empty: what is summed up, and samples"
        raise ScanproofError(rule, value=table.shape)
    return table


def _alike(errors: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    model, other = _table(errors, "errors"), _table(reference, "reference")
    if model.shape != other.shape:
        raise ScanproofError(f"reference must have the shape of the errors, {model.shape}", value=other.shape)
    return model, other


def _clean(clean: npt.ArrayLike, table: FloatArray) -> FloatArray:
    """Clean errors, ready to be subtracted from those of every severity."""
    values, shape = np.asarray(clean, np.float64), (*table.shape[:-2], table.shape[-1])
    if values.shape != shape:
        raise ScanproofError(f"clean errors must have shape {shape}", value=values.shape)
    return values[..., None, :]


def _rood_weights(severities: Sequence[float], alpha: float) -> FloatArray:
    if not 0 < alpha <= 1:
        raise ScanproofError("alpha must be in (0, 1]", value=alpha)
    return np.asarray(alpha ** np.asarray(severities, np.float64)[:, None], np.float64)


def _check_severities(severities: Sequence[float], table: FloatArray, *, least: float) -> None:
    levels = np.asarray(severities, np.float64)
    if levels.shape != (table.shape[-2],):
        raise ScanproofError(f"severities must be {table.shape[-2]}, one a row", value=list(severities))
    if not (np.diff(levels) > 0).all() or not levels[0] >= least:
        raise ScanproofError(f"severities must rise, from {least:g} or more", value=list(severities))


def _ratio(numerator: FloatArray, denominator: FloatArray, *, above: float) -> FloatArray:
    """Quotient, NaN where the denominator is not positive or below a minimum."""
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=(denominator > 0) & (denominator >= above))
    return quotient
