"""What the tasks of a plan do: pure functions of their parameters and their inputs' payloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanproof.data.cohort import Acquisition, Cohort
from scanproof.errors import ScanproofError
from scanproof.study.store import Payload, Store

if TYPE_CHECKING:
    from torch import Tensor

    from scanproof.reconstruction.base import Reconstructor
    from scanproof.study.acquire import Sampling, ScanMemory

Params = Mapping[str, Any]
#: slices that are reconstructed together: few enough for their k-space to stay in a core's cache
BATCH = 4


@dataclass(frozen=True)
class Context:
    """What a task may use that does not change its result.

    Args:
        store: where inputs are read from.
        local: the task's ``local`` values.
        handlers: makes MONAI handlers that watch a training, given its task key, name, kind and parameters.
    """

    store: Store
    local: Mapping[str, Any] = field(default_factory=dict)
    handlers: Callable[[str, Params], Sequence[Any]] | None = None


def run_task(kind: str, key: str, params: Params, inputs: Mapping[str, Sequence[str]], context: Context) -> Payload:
    """Compute a task's payload.

    Threads are set to what the definition says, so that the result does not depend on the machine's load or on
    how many workers there are.
    """
    with cpu_threads(int(params["threads"])):
        return _FUNCTIONS[kind](key, params, inputs, context)


def _cohort(key: str, params: Params, inputs: Mapping[str, Sequence[str]], context: Context) -> Payload:
    if params["source"] == "demo":
        from scanproof.data.demo.generator import demo_cohort
        from scanproof.data.demo.shape import HeadShape

        rendering = params.get("rendering", {})
        cohort = demo_cohort(
            params["site"],
            subjects=params["subjects"],
            slices=params["slices"],
            matrix=params["matrix"],
            seed=params["seed"],
            adjacent=params["adjacent"],
            shape=HeadShape(**rendering.get("anatomy", {})),
            **rendering.get("contrast", {}),
        )
    else:
        from scanproof.data.nifti import nifti_cohort

        paths = context.local["paths"]
        cohort = nifti_cohort(
            params["site"],
            [(v["subject"], paths[v["sha256"]], v["label"], v["split"]) for v in params["volumes"]],
            slices=params["slices"],
            extent=tuple(params["extent"]),
            matrix=params["matrix"],
            spacing=tuple(params["spacing"]),
            coils=params["coils"],
            snr=params["snr"],
            adjacent=params["adjacent"],
        )
    acquisition = cohort.acquisition
    facts = {
        "site": cohort.site,
        "coils": acquisition.coils,
        "snr": acquisition.snr,
        "spacing": list(acquisition.spacing),
        "slice_distance": acquisition.slice_distance,
        "facts": acquisition.facts,
    }
    arrays = {"images": cohort.images}
    if cohort.findings is not None:
        arrays["findings"] = cohort.findings
    return Payload(arrays=arrays, tables={"cases": cohort.cases}, facts=facts)


def read_cohort(payload: Payload) -> Cohort:
    """The cohort in the payload of a ``cohort`` task."""
    facts: Mapping[str, Any] = payload.facts
    return Cohort(
        site=facts["site"],
        images=payload.arrays["images"],
        findings=payload.arrays.get("findings"),
        cases=payload.tables["cases"],
        acquisition=Acquisition(
            coils=facts["coils"],
            snr=facts["snr"],
            spacing=tuple(facts["spacing"]),
            slice_distance=facts["slice_distance"],
            facts=facts["facts"],
        ),
    )


def _sampling(params: Params) -> Sampling:
    from scanproof.study.acquire import Sampling

    return Sampling(
        mask=params["mask"],
        acceleration=params["acceleration"],
        center_fraction=params["center_fraction"],
        dimensions=params["dimensions"],
    )


def _fit_reconstruction(key: str, params: Params, inputs: Mapping[str, Sequence[str]], context: Context) -> Payload:
    from scanproof.reconstruction import RECONSTRUCTORS
    from scanproof.seeds import derive_seed
    from scanproof.study.acquire import AcquiredCohort

    cohorts = [_load_cohort(context.store, cohort) for cohort in inputs["cohorts"]]
    samples = {
        split: [
            sample
            for cohort in cohorts
            for sample in AcquiredCohort(cohort.select(split), sampling=_sampling(params), seed=params["seed"])
        ]
        for split in ("train", "val")
    }
    method = RECONSTRUCTORS.create(params["method"], params["options"]).in_dimensions(params["dimensions"])
    another = [params["training_seed"]] if params["training_seed"] else []
    result = method.fit(
        samples["train"],
        samples["val"],
        seed=derive_seed(params["seed"], "fit", params["method"], params["acceleration"], *another),
        handlers=context.handlers(key, params) if context.handlers else (),
        checkpoint=context.store.unfinished(key),
    )
    return _trained(result)


def _load_reconstruction(key: str, params: Params, inputs: Mapping[str, Sequence[str]], context: Context) -> Payload:
    from scanproof.study.saved_model import read_model

    return Payload(arrays=read_model(Path(context.local["folder"]), model_sha256=params["model_sha256"]))


def _reconstruct(key: str, params: Params, inputs: Mapping[str, Sequence[str]], context: Context) -> Payload:
    import torch

    from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
    from scanproof.evaluation.image_metrics import image_metrics
    from scanproof.reconstruction import RECONSTRUCTORS
    from scanproof.seeds import derive_seed
    from scanproof.study.acquire import AcquiredCohort, Changes, collate, quantise

    cohort = _load_cohort(context.store, inputs["cohort"][0]).select(params["split"])
    changes = params["changes"]
    artifacts = tuple((str(name), int(severity)) for name, severity in changes["artifacts"])
    acquired = AcquiredCohort(
        cohort,
        sampling=_sampling(params["sampling"]),
        seed=params["seed"],
        changes=Changes(artifacts=artifacts, coils=changes["coils"], snr=changes["snr"]),
        memory=_scans(),
        identity=inputs["cohort"][0],
    )
    dimensions = int(params["sampling"]["dimensions"])
    method = RECONSTRUCTORS.create(params["method"], params["options"]).in_dimensions(dimensions)
    if method.trainable:
        weights = context.store.get(inputs["model"][0]).arrays
        method.load({name: torch.from_numpy(array) for name, array in weights.items()})
    findings = None if cohort.findings is None else torch.from_numpy(cohort.findings)
    images, metrics = [], []
    together = BATCH if dimensions == 2 else 1  # volumes may differ in depth
    for start in range(0, len(acquired), together):
        chosen = range(start, min(start + together, len(acquired)))
        samples = [acquired[index] for index in chosen]
        if changes["adversarial"] > 0:
            samples = [
                _attacked(
                    sample,
                    method,
                    strength=changes["adversarial"],
                    seed=derive_seed(params["seed"], "adversarial", cohort.site, acquired.name(index)),
                )
                for sample, index in zip(samples, chosen, strict=True)
            ]
        batch = collate(samples)
        image = _as_cases(method(batch[KSPACE], batch[MASK], batch[SENSITIVITIES]), dimensions)
        images.append(image.numpy())
        rows = slice(acquired.rows[chosen[0]].start, acquired.rows[chosen[-1]].stop)
        where = None if findings is None else findings[rows]
        reference = _as_cases(batch[REFERENCE], dimensions)
        metrics.append(image_metrics(image, reference, metrics=params["image_metrics"], findings=where))
    integers, slopes = quantise(np.concatenate(images))
    table = cohort.cases[["subject", "case", "label"]].assign(
        **{name: np.concatenate([m[name] for m in metrics]) for name in params["image_metrics"]}
    )
    facts = {
        "site": cohort.site,
        "split": params["split"],
        "shift": params["shift"],
        "severity": params["severity"],
        "reconstruction": params["reconstruction"],
        "acceleration": params["acceleration"],
    }
    return Payload(arrays={"images": integers, "slopes": slopes}, tables={"cases": table}, facts=facts)


def _as_cases(images: Tensor, dimensions: int) -> Tensor:
    """One image a case, (N, 1, H, W), of slices (N, 1, H, W) or volumes (N, 1, D, H, W)."""
    return images if dimensions == 2 else images.movedim(2, 1).flatten(0, 1)


def _attacked(sample: Mapping[str, Tensor], method: Reconstructor, *, strength: float, seed: int) -> dict[str, Tensor]:
    """A sample whose k-space has the perturbation that does most to this method's image."""
    from scanproof.data.keys import KSPACE, MASK, SENSITIVITIES
    from scanproof.reconstruction.adversarial import perturb

    arguments = (sample[KSPACE], sample[MASK], sample[SENSITIVITIES])
    return {**sample, KSPACE: perturb(method, *arguments, strength=strength, seed=seed)}


def read_images(payload: Payload) -> np.ndarray:
    """Images, float32 (N, 1, H, W), in the payload of a ``reconstruct`` task."""
    from scanproof.study.acquire import restore

    return restore(payload.arrays["images"], payload.arrays["slopes"])


def _train_classifier(key: str, params: Params, inputs: Mapping[str, Sequence[str]], context: Context) -> Payload:
    from scanproof.classification.classifier import train_classifier
    from scanproof.classification.networks import build_classifier
    from scanproof.seeds import derive_seed
    from scanproof.training.engine import TrainingOptions

    def data(role: str) -> tuple[np.ndarray, list[int]]:
        payloads = [context.store.get(images) for images in inputs[role]]
        labels = pd.concat([payload.tables["cases"]["label"] for payload in payloads])
        return np.concatenate([read_images(payload) for payload in payloads]), [int(label) for label in labels]

    # the same seed for every norm: they start from the same weights and see the same batches
    seed = derive_seed(params["seed"], "classifier", params["classifier"], params["training_seed"])
    network, counts = build_classifier(params["classifier"], norm=params["norm"], seed=seed, options=params["options"])
    names = ("epochs", "batch_size", "learning_rate", "weight_decay", "patience")
    result = train_classifier(
        network,
        training=data("training"),
        validation=data("validation"),
        options=TrainingOptions(**{name: params[name] for name in names}),
        seed=seed,
        handlers=context.handlers(key, params) if context.handlers else (),
    )
    trained = _trained(result)
    model = {name: params[name] for name in ("classifier", "norm", "training_seed", "options")}
    return Payload(
        arrays=trained.arrays, tables=trained.tables, facts={**trained.facts, **model, "norm_layers": counts}
    )


def _trained(result: Any) -> Payload:
    weights = {name: tensor.numpy() for name, tensor in result.weights.items()}
    return Payload(arrays=weights, tables={"history": result.history}, facts={"best_epoch": result.best_epoch})


def _predict(key: str, params: Params, inputs: Mapping[str, Sequence[str]], context: Context) -> Payload:
    from scanproof.classification.classifier import probabilities

    network, facts = _load_classifier(context.store, inputs["model"][0])
    payload = context.store.get(inputs["images"][0])
    return Payload(
        arrays={"probability": probabilities(network, read_images(payload))},
        facts={
            "classifier": facts["classifier"],
            "norm": facts["norm"],
            "seed": facts["training_seed"],
            "images": inputs["images"][0],
        },
    )


def _evaluate(key: str, params: Params, inputs: Mapping[str, Sequence[str]], context: Context) -> Payload:
    from scanproof.evaluation.evaluate import evaluate
    from scanproof.evaluation.quality import of_cases_with_findings
    from scanproof.evaluation.table import PREDICTION_COLUMNS, conform

    cases: dict[str, pd.DataFrame] = {}

    def read_cases(reconstruction: str) -> pd.DataFrame:
        if reconstruction not in cases:
            payload = context.store.get(reconstruction)
            facts: Mapping[str, Any] = payload.facts
            cases[reconstruction] = payload.tables["cases"].assign(**facts)
        return cases[reconstruction]

    names: list[str] = params["image_metrics"]
    quality = [
        read_cases(task).melt(
            id_vars=["site", "subject", "case", "shift", "severity", "reconstruction", "acceleration"],
            value_vars=names,
            var_name="metric",
        )
        for task in inputs["reconstructions"]
    ]
    predictions = []
    for task in inputs["predictions"]:
        payload = context.store.get(task)
        chain: Mapping[str, Any] = {name: payload.facts[name] for name in ("classifier", "norm", "seed")}
        table = read_cases(str(payload.facts["images"])).drop(columns=names, errors="ignore")  # validation has none
        predictions.append(table.assign(**chain, probability=payload.arrays["probability"]))
    empty = pd.DataFrame(columns=list(PREDICTION_COLUMNS))
    all_predictions = pd.concat(predictions, ignore_index=True) if predictions else empty
    all_predictions = conform(all_predictions.assign(study=params["study"]), PREDICTION_COLUMNS)
    results = evaluate(
        all_predictions,
        of_cases_with_findings(pd.concat(quality, ignore_index=True)).assign(study=params["study"]),
        study=params["study"],
        confidence=params["confidence"],
        resamples=params["resamples"],
        seed=params["seed"],
        sensitivity=params["sensitivity"],
    )
    return Payload(tables={"results": results, "predictions": all_predictions})


_FUNCTIONS: dict[str, Callable[[str, Params, Mapping[str, Sequence[str]], Context], Payload]] = {
    "cohort": _cohort,
    "fit_reconstruction": _fit_reconstruction,
    "load_reconstruction": _load_reconstruction,
    "reconstruct": _reconstruct,
    "train_classifier": _train_classifier,
    "predict": _predict,
    "evaluate": _evaluate,
}


@lru_cache(maxsize=4)
def _load_cohort(store: Store, key: str) -> Cohort:
    return read_cohort(store.get(key))


@lru_cache(maxsize=1)
def _scans() -> ScanMemory:
    """One memory a process."""
    from scanproof.study.acquire import ScanMemory

    return ScanMemory()


@lru_cache(maxsize=8)
def _load_classifier(store: Store, key: str) -> tuple[Any, Mapping[str, Any]]:
    import torch

    from scanproof.classification.networks import build_classifier

    payload = store.get(key)
    facts: Mapping[str, Any] = payload.facts
    network, counts = build_classifier(facts["classifier"], norm=facts["norm"], seed=0, options=facts["options"])
    if counts != facts["norm_layers"]:
        raise ScanproofError(f"classifier must have the norm layers {facts['norm_layers']}", key=key, value=counts)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in payload.arrays.items()})
    return network.eval(), facts


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Compute with so many threads of PyTorch in a ``with`` block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
