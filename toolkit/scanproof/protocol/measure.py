"""What the results of a site say of each endpoint: an estimate, its interval and a p-value at the rule's bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from scanproof.evaluation.bootstrap import Bootstrap, FloatArray
from scanproof.evaluation.chain_rows import within
from scanproof.evaluation.chains import (
    CLASSIFICATION_METRICS,
    Chain,
    is_clean,
    is_shifted,
    operating_points,
    read_chains,
    reading_grids,
)
from scanproof.evaluation.claims import Difference, claim_samples
from scanproof.evaluation.grid import site_grids
from scanproof.evaluation.quality import LIMITS, QUALITY_ROW, weighted_means
from scanproof.evaluation.statistics.decisions import bootstrap_p_value
from scanproof.evaluation.table import ALL_SHIFTS
from scanproof.protocol.endpoint import Endpoint


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An endpoint as the results of one site measure it.

    Args:
        estimate: of the chain in the unit of the metric; of a comparison positive in favour of what is compared.
        lower: bound of its interval; NaN where there is none.
        upper: likewise.
        confidence: of the interval.
        p_value: two-sided, at the bound of the rule; NaN where there is none.
        subjects: behind it.
        cases: likewise.
    """

    estimate: float
    lower: float
    upper: float
    confidence: float
    p_value: float
    subjects: int
    cases: int


def measure_endpoints(
    endpoints: Sequence[Endpoint],
    *,
    results: pd.DataFrame,
    predictions: pd.DataFrame,
    bootstrap: Bootstrap,
    sensitivity: float,
    given: pd.DataFrame | None = None,
) -> list[Measured]:
    """Measure endpoints by the results of one site.

    An endpoint about one chain averages the trainings of a frozen network and speaks of new subjects. One that compares
    is measured as a claim is (:func:`~scanproof.evaluation.claims.claim_samples`).

    Args:
        endpoints: to measure.
        results: results table with the image quality of every case.
        predictions: per-case probability table; may be empty.
        bootstrap: of the study.
        sensitivity: of the study's operating points.
        given: those that came with the classifiers.

    Returns:
        One an endpoint, in their order.

    Raises:
        ScanproofError: an endpoint about what the results do not hold.
    """
    reader = _Reader(results, predictions, bootstrap, sensitivity, given)
    found = []
    for endpoint in endpoints:
        samples = _compared(reader, endpoint) if endpoint.compares else reader.value(endpoint)
        confidence = endpoint.confidence or bootstrap.confidence
        maker = replace(bootstrap, confidence=confidence)
        estimate = maker.estimate(samples.samples, freedom=samples.freedom)
        if not endpoint.compares and endpoint.measure == "quality":
            if endpoint.metric in CLASSIFICATION_METRICS:
                estimate = within(estimate, endpoint.metric)
            least, most = LIMITS.get(endpoint.metric, (-np.inf, np.inf))
            estimate = estimate._replace(
                lower=np.clip(estimate.lower, least, most), upper=np.clip(estimate.upper, least, most)
            )
        value, lower, upper = (float(number) for number in estimate)
        found.append(
            Measured(
                estimate=value,
                lower=lower,
                upper=upper,
                confidence=confidence,
                p_value=_p_value(endpoint, samples, value),
                subjects=samples.subjects,
                cases=samples.cases,
            )
        )
    return found


def _p_value(endpoint: Endpoint, samples: Difference, value: float) -> float:
    """Two-sided p-value of the estimate at the bound; of a similarity, the larger of those at its two bounds."""
    bounds = {"similar": [-endpoint.bound, endpoint.bound], "not_worse": [-endpoint.bound]}
    nulls = bounds.get(endpoint.rule, [endpoint.bound])
    p_values = [float(bootstrap_p_value(samples.samples, null=null, freedom=samples.freedom)) for null in nulls]
    inside = endpoint.rule == "similar" and abs(value) < endpoint.bound
    return max(p_values) if inside else min(p_values)


def _compared(reader: _Reader, endpoint: Endpoint) -> Difference:
    [found] = claim_samples(
        reader.results,
        [endpoint.claim()],
        bootstrap=reader.bootstrap,
        predictions=reader.predictions,
        sensitivity=reader.sensitivity,
        given=reader.given,
    )
    return found


class _Reader:
    """The tables of one site, and chains made when they are first asked for."""

    def __init__(
        self,
        results: pd.DataFrame,
        predictions: pd.DataFrame,
        bootstrap: Bootstrap,
        sensitivity: float,
        given: pd.DataFrame | None,
    ) -> None:
        self.results, self.predictions = results, predictions
        self.bootstrap, self.sensitivity, self.given = bootstrap, sensitivity, given

    @cached_property
    def chains(self) -> list[Chain]:
        grids = reading_grids(self.predictions)
        thresholds = operating_points(self.predictions, sensitivity=self.sensitivity, given=self.given)
        return list(read_chains(grids, thresholds, self.bootstrap, sensitivity=self.sensitivity))

    def value(self, endpoint: Endpoint) -> Difference:
        """Samples of a metric of one chain, or of the mean of several."""
        return self._read(endpoint) if endpoint.metric in CLASSIFICATION_METRICS else self._image(endpoint)

    def _image(self, endpoint: Endpoint) -> Difference:
        cases = self.results[self.results["case"].notna() & (self.results["metric"] == endpoint.metric)]
        chosen = cases[cases["reconstruction"] == endpoint.reconstruction]
        [(site, grid)] = site_grids(chosen, by=QUALITY_ROW, value="value", name="results").items()
        people = grid.cases["subject"].to_numpy(object)
        samples = weighted_means(grid.values, self.bootstrap.weights(site, people))
        subjects = len(set(people))
        return Difference(_contrast(samples, grid.rows, endpoint), max(subjects - 1, 1), subjects, len(people))

    def _read(self, endpoint: Endpoint) -> Difference:
        asked = {name: getattr(endpoint, name) for name in ("reconstruction", "classifier", "norm")}
        chains = [
            chain
            for chain in self.chains
            if all(value is None or chain.names[name] == value for name, value in asked.items())
        ]
        of_chains = [
            _contrast(chain.samples(endpoint.metric)[0].mean(axis=0), chain.conditions, endpoint) for chain in chains
        ]
        [readings] = next(iter(chains[0].readings.values()))
        return Difference(
            np.asarray(np.mean(of_chains, axis=0), np.float64),
            float(chains[0].freedom[0]),
            len(set(readings.subjects)),
            len(readings.labels),
        )


def _contrast(samples: FloatArray, conditions: pd.DataFrame, endpoint: Endpoint) -> FloatArray:
    """Samples ``(conditions, 1 + resamples)`` under the endpoint's condition, or their change from the clean one."""
    if endpoint.shift == ALL_SHIFTS:
        where = is_shifted(conditions)
    else:
        where = (conditions["shift"] == endpoint.shift).to_numpy(bool)
    if endpoint.severity is not None:
        where = where & (conditions["severity"] == endpoint.severity).to_numpy(bool)
    found = samples[where].mean(axis=0)
    if endpoint.measure == "change":
        found = found - samples[is_clean(conditions)].mean(axis=0)
    return np.asarray(found, np.float64)
