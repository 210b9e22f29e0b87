"""Mean image quality of every reconstruction at every site and severity, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scanproof.evaluation.bootstrap import Bootstrap, FloatArray
from scanproof.evaluation.grid import site_grids
from scanproof.evaluation.table import ALL_SITES, CONDITION

#: what a mean is taken for, at each site
QUALITY_ROW = ("reconstruction", "acceleration", *CONDITION, "metric")


def quality_rows(case_metrics: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """Means over the cases of each site, and the mean of the sites.

    The site "all" weighs every site alike, however many cases it has; its replicates are the means of the sites'
    replicates, which are independent because each site draws its own subjects.

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
    grids = site_grids(case_metrics, by=QUALITY_ROW, value="value", name="case_metrics")
    frames, total, cases = [], np.zeros(()), 0
    for site, grid in grids.items():
        samples = _mean(grid.values, bootstrap.weights(site, grid.cases["subject"].to_numpy(object)))
        frames.append(_rows(grid.rows, site, samples, len(grid.cases), bootstrap))
        total, cases = total + samples, cases + len(grid.cases)
    rows = next(iter(grids.values())).rows
    frames.append(_rows(rows, ALL_SITES, total / len(grids), cases, bootstrap))
    return pd.concat(frames, ignore_index=True)


def _mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted means, ``(rows, n)`` and ``(resamples, n)`` to ``(rows, resamples)``."""
    # not a BLAS product, whose last bit may depend on the number of threads
    total: FloatArray = np.einsum("cn,nr->cr", values, np.ascontiguousarray(weights.T))
    total /= weights.sum(axis=1)
    return total


def _rows(rows: pd.DataFrame, site: str, samples: FloatArray, cases: int, bootstrap: Bootstrap) -> pd.DataFrame:
    return rows.assign(site=site, **bootstrap.estimate(samples)._asdict(), n=cases)
