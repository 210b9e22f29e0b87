"""The tables of a study, and what they say of its claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scanproof.data.labels import labels_of
from scanproof.study.store import Payload, Store
from scanproof.study.tasks.context import Context, Inputs, Params
from scanproof.study.tasks.readings import DRIFT
from scanproof.study.tasks.units import volume_cases

_CASE = ("site", "subject", "case", "shift", "severity", "reconstruction", "acceleration")
#: what the drift of layers is told for: the mean over training seeds
_LAYER = ("site", "shift", "severity", "reconstruction", "acceleration", "classifier", "norm", "layer", "name")


def evaluate_study(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """All tables of a study."""
    from scanproof.evaluation.evaluate import evaluate
    from scanproof.evaluation.quality import of_cases_with_findings
    from scanproof.evaluation.table import PREDICTION_COLUMNS, conform

    images = _Images(context.store)
    names: list[str] = params["image_metrics"]
    quality = [
        images.cases(task).melt(id_vars=list(_CASE), value_vars=names, var_name="metric")
        for task in inputs["reconstructions"]
    ]
    predictions, layers = [], []
    for task in inputs["predictions"]:
        payload = context.store.get(task)
        predictions.append(_predictions(payload, images))
        layers.append(_layers(payload, images))
    empty = pd.DataFrame(columns=list(PREDICTION_COLUMNS))
    all_predictions = pd.concat(predictions, ignore_index=True) if predictions else empty
    all_predictions = conform(all_predictions.assign(study=params["study"]), PREDICTION_COLUMNS)
    found = evaluate(
        all_predictions,
        of_cases_with_findings(pd.concat(quality, ignore_index=True)).assign(study=params["study"]),
        study=params["study"],
        seed=params["seed"],
        **{name: params[name] for name in ("confidence", "interval", "resamples", "sensitivity")},
        given=_given(params),
    )
    tables = {"results": found.results, "predictions": all_predictions, "comparisons": found.comparisons}
    return Payload(tables={**tables, "layers": _mean_over_seeds(layers)})


def judge(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """What the tables say of the study's claims."""
    from scanproof.evaluation.bootstrap import Bootstrap
    from scanproof.evaluation.claim import Claim
    from scanproof.evaluation.claims import judge_claims

    tables = context.store.get(inputs["tables"][0]).tables
    claims = judge_claims(
        tables["results"],
        [Claim(**claim) for claim in params["claims"]],
        predictions=tables["predictions"],
        bootstrap=Bootstrap(**{name: params[name] for name in ("seed", "resamples", "confidence", "interval")}),
        sensitivity=params["sensitivity"],
        given=_given(params),
    )
    return Payload(tables={"claims": claims})


def _given(params: Params) -> pd.DataFrame | None:
    """Operating points that came with saved classifiers."""
    rows = params.get("operating_points")
    return pd.DataFrame(rows).astype({"seed": "Int64", "threshold": "float64"}) if rows else None


class _Images:
    """The cases of reconstructions, each read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._cases: dict[str, pd.DataFrame] = {}

    def facts(self, task: str) -> Mapping[str, Any]:
        """Site, split and what was done to the images."""
        self.cases(task)
        return self._facts[task]

    def cases(self, task: str) -> pd.DataFrame:
        """Case table with labels, image metrics and the facts as columns."""
        if task not in self._cases:
            payload = self._store.get(task)
            columns = ("site", "split", "shift", "severity", "reconstruction", "acceleration")
            self._facts[task] = {name: payload.facts[name] for name in columns}
            self._cases[task] = payload.tables["cases"].assign(**self._facts[task])
        return self._cases[task]


def _predictions(payload: Payload, images: _Images) -> pd.DataFrame:
    """One row a case and target."""
    facts: Mapping[str, Any] = payload.facts
    cases = images.cases(facts["images"])
    if facts["dimensions"] == 3:
        cases = volume_cases(cases)
    labels, targets = labels_of(cases), facts["targets"]
    chain = {name: facts[name] for name in ("classifier", "norm", "seed")}
    rows = np.repeat(np.arange(len(cases)), len(targets))
    return (
        cases[[*_CASE, "split"]]
        .iloc[rows]
        .assign(
            **chain,
            target=np.tile(np.asarray(targets, object), len(cases)),
            label=labels.reshape(-1),
            probability=payload.arrays["probability"].reshape(-1),
        )
    )


def _layers(payload: Payload, images: _Images) -> pd.DataFrame:
    """How far what the layers saw of test images lies from what they saw of validation images, one row a layer."""
    facts: Mapping[str, Any] = payload.facts
    where = images.facts(facts["images"])
    if where["split"] != "test" or "drift" not in payload.arrays:
        return pd.DataFrame()
    names = facts["layers"]
    chain = {name: facts[name] for name in ("classifier", "norm")}
    keys = {name: where[name] for name in ("site", "shift", "severity", "reconstruction", "acceleration")}
    table = pd.DataFrame(payload.arrays["drift"], columns=list(DRIFT))
    return table.assign(layer=range(len(names)), name=names, **keys, **chain)


def _mean_over_seeds(layers: Sequence[pd.DataFrame]) -> pd.DataFrame:
    found = [table for table in layers if len(table)]
    if not found:
        return pd.DataFrame(columns=[*_LAYER, *DRIFT])
    return pd.concat(found, ignore_index=True).groupby(list(_LAYER), sort=True, as_index=False).mean()
