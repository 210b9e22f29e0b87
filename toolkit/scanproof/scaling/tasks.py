"""The tasks of a sweep: find a learning rate, train a network, test it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanproof.data.cohort import SPLITS, Cohort
from scanproof.seeds import derive_seed, generator
from scanproof.study.store import Payload, Store
from scanproof.study.tasks.cohort import read_cohort
from scanproof.study.tasks.context import Context, Inputs, Params

if TYPE_CHECKING:
    import torch

    from scanproof.scaling.degradation import Degradation, Objects
    from scanproof.scaling.networks import ScalingUnet
    from scanproof.scaling.training import Data, Protocol

#: columns of the table of a test
COLUMNS = ("split", "shift", "severity", "subject", "case", "metric", "value")


def scale_rate(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Find the learning rate of a network on so many examples, by short trainings from the same weights."""
    from scanproof.scaling.rates import doubling_search
    from scanproof.scaling.training import DivergedError, train_network

    search = params["search"]
    protocol = dataclasses.replace(_protocol(params), steps=search["steps"])
    data, degradation = _data(params, inputs, context.store), _degradation(params)

    def score(rate: float) -> float:
        network = _network(params, context)
        try:
            found = train_network(network, data, degradation, protocol, rate=rate, seed=_seed(params))
        except DivergedError:
            return math.inf
        return float(found.history["val_loss"].min())

    found = doubling_search(score, start=search["start"], most=search["most"], factor=search["factor"])
    table = pd.DataFrame(found.tried, columns=["learning_rate", "val_loss"])
    return Payload(tables={"tried": table}, facts={"rate": found.rate, "at_edge": found.at_edge})


def scale_train(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Train a network on a nested set of examples."""
    from scanproof.scaling.networks import count_parameters
    from scanproof.scaling.training import train_network

    rate = params["rate"]
    if rate is None:
        rate = context.store.get(inputs["rate"][0]).facts["rate"]
    network = _network(params, context)
    result = train_network(
        network,
        _data(params, inputs, context.store),
        _degradation(params),
        _protocol(params),
        rate=float(rate),
        seed=_seed(params),
        checkpoint=context.store.unfinished(key),
        handlers=context.handlers(key, params) if context.handlers else (),
    )
    return Payload(
        arrays={name: tensor.numpy() for name, tensor in result.weights.items()},
        tables={"history": result.history},
        facts={
            "best_round": result.best_round,
            "rate": rate,
            "parameters": count_parameters(network),
            "seconds": float(result.history["seconds"].iloc[-1]),
            "device": context.local.get("device", "cpu"),
        },
    )


def scale_test(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Measure a trained network on validation and test images, and on test images under shifts."""
    import torch

    from scanproof.evaluation.image_metrics import image_metrics
    from scanproof.scaling.networks import build_network
    from scanproof.scaling.training import predict

    network = build_network(params["task"], params["width"], seed=0)
    weights = context.store.get(inputs["network"][0]).arrays
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    named = [name for name in params["metrics"] if name != "mse"]
    conditions = [("val", "none", 0), ("test", "none", 0), *(("test", *one) for one in params["shifts"])]
    tables = []
    for split, shift, severity in conditions:
        given = _given(params, inputs, context.store, split, shift=shift, severity=severity)
        estimate = predict(network, given.inputs)
        values = image_metrics(estimate, given.references, metrics=named)
        if "mse" in params["metrics"]:
            values["mse"] = (estimate - given.references).double().square().mean((1, 2, 3)).numpy()
        measured = given.cases.assign(**{name: values[name] for name in params["metrics"]})
        long = measured.melt(id_vars=["subject", "case"], value_vars=params["metrics"], var_name="metric")
        tables.append(long.assign(split=split, shift=shift, severity=severity)[list(COLUMNS)])
    return Payload(tables={"cases": pd.concat(tables, ignore_index=True)})


@dataclasses.dataclass(frozen=True)
class _Given:
    """What networks are tested on: degraded images, references and who they are of."""

    inputs: torch.Tensor
    references: torch.Tensor
    cases: pd.DataFrame


def _seed(params: Params) -> int:
    """Of a training: weights, batches and noise."""
    return derive_seed(params["seed"], "scaling", params["task"], params["training_seed"])


def _network(params: Params, context: Context) -> ScalingUnet:
    from scanproof.scaling.networks import build_network
    from scanproof.training.devices import train_on, training_device

    network = build_network(params["task"], params["width"], seed=_seed(params))
    with train_on(context.local.get("device", "cpu")):
        return network.to(training_device())


def _protocol(params: Params) -> Protocol:
    from scanproof.scaling.training import Protocol

    return Protocol(**params["protocol"])


def _data(params: Params, inputs: Inputs, store: Store) -> Data:
    """Training examples and validation images."""
    from scanproof.scaling.examples import check_disjoint, nested_subset
    from scanproof.scaling.training import Data

    cohorts = tuple(inputs["cohorts"])
    cases = {split: _cases(store, cohorts, split) for split in SPLITS}
    check_disjoint({split: found["subject"].tolist() for split, found in cases.items()})
    subjects = cases["train"]["subject"].tolist()
    chosen = nested_subset(subjects, size=params["examples"], seed=derive_seed(params["seed"], params["training_seed"]))
    objects, references = _objects(store, cohorts, "train", *_degrading(params))
    validation = _given(params, inputs, store, "val")
    rows = chosen.tolist()
    return Data(
        objects=objects[rows], references=references[rows], inputs=validation.inputs, targets=validation.references
    )


def _given(
    params: Params, inputs: Inputs, store: Store, split: str, *, shift: str = "none", severity: int = 0
) -> _Given:
    return _degraded(store, tuple(inputs["cohorts"]), split, *_degrading(params), shift, severity)


def _degrading(params: Params) -> tuple[str, str, int]:
    """What degraded images depend on: task, options and the study's seed."""
    return params["task"], json.dumps(params["options"], sort_keys=True), params["seed"]


def _degradation(params: Params) -> Degradation:
    from scanproof.scaling.degradation import make_degradation

    return make_degradation(params["task"], params["options"])


@lru_cache(maxsize=4)
def _cohort(store: Store, key: str) -> Cohort:
    return read_cohort(store.get(key))


def _cases(store: Store, cohorts: Sequence[str], split: str) -> pd.DataFrame:
    """Site, subject and case of a split of several sites."""
    found = [_cohort(store, key).select(split) for key in cohorts]
    tables = [cohort.cases[["subject", "case"]].assign(site=cohort.site) for cohort in found]
    return pd.concat(tables, ignore_index=True)


@lru_cache(maxsize=4)
def _objects(
    store: Store, cohorts: tuple[str, ...], split: str, task: str, options: str, seed: int
) -> tuple[Objects, torch.Tensor]:
    """The objects of a split and their references: magnitude images whose maximum is one."""
    import torch

    from scanproof.scaling.degradation import make_degradation

    images = torch.from_numpy(np.concatenate([_cohort(store, key).select(split).images for key in cohorts]))
    references = images / images.amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    names = _cases(store, cohorts, split)[["site", "case"]].itertuples(index=False)
    seeds = [derive_seed(seed, "object", str(site), str(case)) for site, case in names]
    return make_degradation(task, json.loads(options)).objects(references, seeds=seeds), references


@lru_cache(maxsize=128)
def _degraded(
    store: Store, cohorts: tuple[str, ...], split: str, task: str, options: str, seed: int, shift: str, severity: int
) -> _Given:
    """Degraded images of a split: the same for every network, and the same noise under every shift."""
    import torch

    from scanproof.scaling.degradation import make_degradation
    from scanproof.transforms import SHIFTS

    degradation = make_degradation(task, json.loads(options))
    objects, references = _objects(store, cohorts, split, task, options, seed)
    cases = _cases(store, cohorts, split)
    artifact = None if shift == "none" else SHIFTS.create(shift, {"severity": severity})
    spacing = {cohort.site: cohort.acquisition.spacing for cohort in (_cohort(store, key) for key in cohorts)}
    inputs = []
    for row, (site, case) in enumerate(cases[["site", "case"]].itertuples(index=False)):
        noise = generator(seed, "noise", task, str(site), str(case))
        disturb: list[Callable[[torch.Tensor], torch.Tensor]] | None = None
        if artifact is not None:
            pattern = derive_seed(seed, "shift", shift, str(site), str(case))
            disturb = [partial(artifact, spacing=spacing[site], seed=pattern)]
        inputs.append(degradation.inputs(objects[[row]], generator=noise, disturb=disturb))
    return _Given(torch.cat(inputs), references, cases)
