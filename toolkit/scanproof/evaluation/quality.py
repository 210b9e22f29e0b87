"""Mean image quality of every reconstruction at every site and severity, with intervals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap, Estimate, FloatArray
from scanproof.evaluation.grid import Grid, site_grids
from scanproof.evaluation.image_metrics import FINDING_METRICS
from scanproof.evaluation.table import ALL_SITES, CONDITION

#: least and largest value that metrics can have, where there is one
LIMITS = {
    "ssim": (-1.0, 1.0),
    "ms_ssim": (0.0, 1.0),
    "nrmse": (0.0, np.inf),
    "vif": (0.0, np.inf),
    "finding_error": (0.0, np.inf),
}
#: what a mean is taken for, at each site
QUALITY_ROW = ("reconstruction", "acceleration", *CONDITION, "metric")


def of_cases_with_findings(case_metrics: pd.DataFrame) -> pd.DataFrame:
    """Leave out the metrics of findings where there is no finding.

    A case counts where its finding shows under every condition, so that conditions are compared on the same cases:
    rendered again in another shape, a subject's smallest finding may vanish.

    Args:
        case_metrics: image quality of each case under every condition, with a value of NaN where a metric of
            :data:`~scanproof.evaluation.image_metrics.FINDING_METRICS` has no finding to measure.

    Returns:
        The other rows.

    Raises:
        ScanproofError: a metric that no case has.

    Example:
        >>> cases = pd.DataFrame({"site": "north", "subject": "a", "case": ["a1", "a2"], "metric": "finding_error",
        ...     "value": [0.1, float("nan")]})
        >>> of_cases_with_findings(cases)["case"].tolist()
        ['a1']
    """
    partial = case_metrics["metric"].isin(FINDING_METRICS)
    if not partial.any():
        return case_metrics
    found = case_metrics[partial]
    case = [found[column] for column in ("site", "subject", "case", "metric")]
    rows = pd.concat([case_metrics[~partial], found[found["value"].notna().groupby(case).transform("all")]])
    if lost := sorted(set(found["metric"]) - set(rows["metric"])):
        raise ScanproofError(
            "needs a test case whose finding shows under every condition",
            key="evaluation.image_metrics",
            value=", ".join(lost),
            hint="test more subjects, or leave this metric out",
        )
    return rows


def quality_rows(case_metrics: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """Means over the cases of each site, and the mean of the sites.

    The site "all" weighs every site alike, however many cases it has; its replicates are the means of the sites'
    replicates, which are independent because each site draws its own subjects.

    A metric of :data:`~scanproof.evaluation.image_metrics.FINDING_METRICS` belongs to the cases with a finding alone:
    its means are taken over them, their subjects are what is resampled, and "all" is the mean of the sites that have
    one. Every other metric must be given for every case.

    Args:
        case_metrics: image quality of each case: site, subject, case, shift, severity, reconstruction,
            acceleration, metric, value; not empty.
        bootstrap: how intervals are made.

    Returns:
        site, shift, severity, reconstruction, acceleration, metric, value, lower, upper, n.

    Raises:
        ScanproofError: a case that stands twice or not at all in a condition, or sites with different conditions.

    Example:
        >>> cases = pd.DataFrame({"site": "north", "subject": ["a", "b"], "case": ["a1", "b1"], "shift": "none",
        ...     "severity": 0, "reconstruction": "unet", "acceleration": 4.0, "metric": "ssim", "value": [0.5, 0.75]})
        >>> quality_rows(cases, Bootstrap(seed=1, resamples=100))[["site", "metric", "value", "lower", "n"]]
            site metric  value  lower  n
        0  north   ssim  0.625    0.5  2
        1    all   ssim  0.625    0.5  2
    """
    partial = case_metrics["metric"].isin(FINDING_METRICS)
    tables = [table for table in (case_metrics[~partial], case_metrics[partial]) if not table.empty]
    return pd.concat([_site_means(table, bootstrap) for table in tables], ignore_index=True)


def _site_means(case_metrics: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """The rows of metrics that all of these cases have."""
    return site_means(site_grids(case_metrics, by=QUALITY_ROW, value="value", name="case_metrics").items(), bootstrap)


def site_means(grids: Iterable[tuple[str, Grid]], bootstrap: Bootstrap) -> pd.DataFrame:
    """The rows of :func:`quality_rows` of cases that come site by site, of which one is held in memory at a time.

    Args:
        grids: site and its cases, spread by :data:`QUALITY_ROW`; all with the same rows, at least one.
        bootstrap: how intervals are made.
    """
    frames, total, cases, people, sites = [], np.zeros(()), 0, 0, 0
    for site, grid in grids:
        samples = weighted_means(grid.values, bootstrap.weights(site, grid.cases["subject"].to_numpy(object)))
        subjects = grid.cases["subject"].nunique()
        estimate = bootstrap.estimate(samples, freedom=max(subjects - 1, 1))
        rows = grid.rows
        frames.append(_rows(rows, site, estimate, len(grid.cases)))
        total, cases, people, sites = total + samples, cases + len(grid.cases), people + subjects, sites + 1
    estimate = bootstrap.estimate(total / sites, freedom=max(people - sites, 1))
    frames.append(_rows(rows, ALL_SITES, estimate, cases))
    return pd.concat(frames, ignore_index=True)


def weighted_means(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted means, ``(rows, n)`` and ``(resamples, n)`` to ``(rows, resamples)``."""
    # not a BLAS product, whose last bit may depend on the number of threads
    total: FloatArray = np.einsum("cn,nr->cr", values, np.ascontiguousarray(weights.T))
    total /= weights.sum(axis=1)
    return total


def _rows(rows: pd.DataFrame, site: str, estimate: Estimate, cases: int) -> pd.DataFrame:
    """Rows with their intervals, which stay within what a metric can be where they were widened beyond."""
    least, most = np.array([LIMITS.get(metric, (-np.inf, np.inf)) for metric in rows["metric"]]).T
    bounds = {"lower": np.clip(estimate.lower, least, most), "upper": np.clip(estimate.upper, least, most)}
    return rows.assign(site=site, value=estimate.value, **bounds, n=cases)
