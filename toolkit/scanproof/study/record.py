"""What is told about a finished study: its sites and trainings, read from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanproof.data.cohort import SPLITS
from scanproof.data.labels import label_columns
from scanproof.study.plan import Plan, Task
from scanproof.study.saved_model import hash_weights
from scanproof.study.store import Payload, Store
from scanproof.study.tasks.cohort import read_cohort

if TYPE_CHECKING:
    from scanproof.reporting.model import SiteFacts
    from scanproof.tracking.model import TrainingRecord

#: parameters of a training that a reader of MLflow wants to see
_TRAINING_PARAMS = (
    "task",
    "examples",
    "width",
    "classifier",
    "network",
    "norm",
    "dimensions",
    "training_seed",
    "method",
    "mask",
    "acceleration",
    "center_fraction",
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "patience",
    "seed",
    "threads",
)


def training_name(params: Mapping[str, Any]) -> str:
    """What a reader calls a training.

    Example:
        >>> training_name({"classifier": "resnet18", "norm": "group", "training_seed": 2})
        'train group, seed 2: resnet18'
    """
    if "examples" in params:
        seed = f", seed {params['training_seed']}"
        return f"train {params['task']}, N = {params['examples']}, width {params['width']}{seed}"
    if "classifier" in params:
        return f"train {params['norm']}, seed {params['training_seed']}: {params['classifier']}"
    mode = f" ({params['options']['training']})" if "training" in params["options"] else ""
    seed = f", seed {params['training_seed']}" if params["training_seed"] else ""
    return f"train {params['method']}{mode}, R = {params['acceleration']:g}{seed}"


def training_params(params: Mapping[str, Any]) -> dict[str, object]:
    """Settings of a training, flat."""
    chosen = {name: params[name] for name in _TRAINING_PARAMS if name in params}
    return {**chosen, **params.get("options", {})}


def training_records(plan: Plan, store: Store) -> list[TrainingRecord]:
    """One record a trained network."""
    return [training_record(task, store.get(task.key)) for task in [*plan.fits, *plan.classifiers]]


def training_record(task: Task, payload: Payload) -> TrainingRecord:
    """The record of a training from what it left in the store."""
    from scanproof.tracking.model import TrainingRecord

    return TrainingRecord(
        key=task.key,
        name=training_name(task.params),
        kind="classifier" if "classifier" in task.params else "reconstruction",
        params={**training_params(task.params), **_counted(payload)},
        history=payload.tables["history"],
        model_sha256=hash_weights(payload.arrays),
    )


def _counted(payload: Payload) -> dict[str, object]:
    """How many normalization layers a classifier has, e.g. ``GroupNorm x 20``."""
    layers = payload.facts.get("norm_layers")
    if not isinstance(layers, dict):
        return {}
    return {"norm_layers": ", ".join(f"{kind} x {count}" for kind, count in layers.items())}


def cohort_tables(plan: Plan, store: Store) -> dict[str, pd.DataFrame]:
    """Site to its case table: pseudonyms, splits and labels."""
    return {site: store.get(task.key).tables["cases"] for site, task in plan.cohorts.items()}


def data_hashes(plan: Plan, store: Store) -> dict[str, str]:
    """Site to a hash of its images and labels."""
    return {site: data_hash(store.get(task.key)) for site, task in plan.cohorts.items()}


def data_hash(cohort: Payload) -> str:
    """Hash of the images, measured k-space and labels that a ``cohort`` task gave."""
    digest = hashlib.sha256(cohort.arrays["images"].tobytes())
    for row in cohort.arrays.get("kspace", ()):  # one by one: it need not fit into memory
        digest.update(row.tobytes())
    digest.update(cohort.tables["cases"].to_csv(index=False).encode())
    return digest.hexdigest()


def site_facts(plan: Plan, store: Store) -> list[SiteFacts]:
    """What the report tells about each site."""
    from scanproof.reporting.model import SiteFacts, SplitCounts

    facts = []
    for site, task in plan.cohorts.items():
        cohort = read_cohort(store.get(task.key))
        acquisition = cohort.acquisition
        counts: dict[str, SplitCounts] = {}
        for split in SPLITS:
            rows = cohort.cases[cohort.cases["split"] == split]
            if len(rows):
                labels = rows[label_columns(rows)]
                known = len(labels.columns) == 1 and not labels.isna().to_numpy().any()
                positives = int(labels.sum().sum()) if known else None
                counts[split] = SplitCounts(subjects=rows["subject"].nunique(), cases=len(rows), positives=positives)
        facts.append(
            SiteFacts(
                name=site,
                acquisition={
                    **acquisition.facts,
                    "receive coils": str(acquisition.coils),
                    "signal-to-noise ratio": acquisition.snr,
                    "voxel (mm)": " × ".join(f"{v:g}" for v in acquisition.spacing),
                },
                role="training" if "train" in counts else "external",
                counts=counts,
            )
        )
    return facts
