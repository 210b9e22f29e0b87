"""Operating points, and what every single case was called at them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from scanproof.evaluation.chains import is_shifted
from scanproof.evaluation.classification_metrics import operating_threshold
from scanproof.evaluation.statistics.two_by_two import proportion_interval
from scanproof.evaluation.table import CHAIN, CLEAN
from scanproof.reporting.curves import stated
from scanproof.reporting.vocabulary import Chain, Estimate


class CrossTable(NamedTuple):
    """Calls against the truth: of one training, at one site, under one condition."""

    chain: Chain
    target: str | None
    seed: int | None
    site: str
    shift: str
    severity: int
    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int
    sensitivity: Estimate
    specificity: Estimate


class Condition(NamedTuple):
    """A shift and its severity."""

    shift: str
    severity: int


def called(predictions: pd.DataFrame, *, chain: Chain, sensitivity: float) -> pd.DataFrame:
    """The test cases of a chain, each with what it was called at the operating point of its training and finding.

    The operating point is the highest threshold that reaches the sensitivity on the clean validation cases of all
    sites; the results table uses the same.

    Args:
        predictions: per-case probabilities.
        chain: with its norm.
        sensitivity: that the operating point reaches on clean validation cases, in (0, 1].

    Returns:
        The rows of the test split with the column ``positive``, as called; none without validation cases.

    Example:
        >>> row = {"reconstruction": "unet", "acceleration": 4.0, "classifier": "resnet18", "norm": "batch", "seed": 1,
        ...     "shift": "none", "severity": 0}
        >>> rows = [row | {"split": split, "label": label, "probability": p} for split, label, p in
        ...     (("val", 1, 0.6), ("val", 0, 0.2), ("test", 1, 0.5), ("test", 0, 0.7))]
        >>> called(pd.DataFrame(rows), chain=Chain("unet", 4.0, "resnet18", "batch"), sensitivity=0.9)["positive"]
        2    False
        3     True
        Name: positive, dtype: bool
    """
    own = predictions
    for name, value in zip(CHAIN, chain, strict=True):
        own = own[own[name].isna() if value is None else own[name] == value]
    parts = []
    for _, rows in own.groupby(_readers(own), dropna=False, observed=True):
        clean = rows[(rows["split"] == "val") & (rows["shift"] == CLEAN)]
        test = rows[rows["split"] == "test"]
        if (clean["label"] == 1).any() and len(test):
            labels, scores = clean["label"].to_numpy(np.int64), clean["probability"].to_numpy(np.float64)
            threshold = operating_threshold(labels, scores, sensitivity=sensitivity)
            parts.append(test.assign(positive=test["probability"].to_numpy(np.float64) >= threshold))
    return pd.concat(parts) if parts else own.iloc[:0].assign(positive=False)


def cross_tables(calls: pd.DataFrame, *, chain: Chain, worst: Condition | None, level: float) -> list[CrossTable]:
    """Two-by-two tables without shift and under the worst condition, by finding, training and site.

    The intervals are those of Wilson (J. Am. Stat. Assoc. 22, 1927). They take cases for independent, which those of
    one subject are not, and are too narrow where a subject gives several.

    Args:
        calls: of :func:`called`.
        chain: whose they are.
        worst: condition beside the clean one.
        level: coverage of the intervals, in (0, 1).
    """
    wanted = [Condition(CLEAN, 0), *([worst] if worst else [])]
    by = [*_readers(calls), "site"]
    found = []
    for condition in wanted:
        rows = calls[(calls["shift"] == condition.shift) & (calls["severity"] == condition.severity)]
        for names, own in rows.groupby(by, dropna=False, observed=True, sort=True):
            known = dict(zip(by, names, strict=True))
            found.append(_table(own, chain, known, condition, level))
    return sorted(found, key=lambda one: (one.target or "", one.seed or 0, one.site, one.shift != CLEAN))


def wilson(count: int, total: int, *, level: float) -> Estimate:
    """A share with Wilson's score interval; NaN without an interval where the total is zero.

    Args:
        count: of the total.
        total: at least ``count``.
        level: nominal coverage, in (0, 1).

    Example:
        >>> wilson(8, 10, level=0.95).interval(3)
        '0.490 to 0.943'
    """
    if not total:
        return Estimate(float("nan"))
    return Estimate(count / total, *proportion_interval(count, total, confidence=level))


def natural(calls: pd.DataFrame) -> pd.DataFrame:
    """The rows under a shift of severity 1 or more that a scanner may cause."""
    return calls[is_shifted(calls)]


def _readers(rows: pd.DataFrame) -> list[str]:
    """Columns that tell readings with operating points of their own apart."""
    return [*(["target"] if "target" in rows else []), "seed"]


def _table(
    rows: pd.DataFrame, chain: Chain, known: dict[str, object], condition: Condition, level: float
) -> CrossTable:
    truth, said = rows["label"].to_numpy(np.int64) == 1, rows["positive"].to_numpy(bool)
    tp, fn, fp, tn = (int(np.count_nonzero((truth == t) & (said == s))) for t, s in ((1, 1), (1, 0), (0, 1), (0, 0)))
    seed = stated(known["seed"])
    return CrossTable(
        chain,
        stated(known.get("target")),
        None if seed is None else int(float(seed)),
        str(known["site"]),
        condition.shift,
        condition.severity,
        tp,
        fn,
        fp,
        tn,
        wilson(tp, tp + fn, level=level),
        wilson(tn, tn + fp, level=level),
    )
