"""What is told about a finished study: its sites, trainings and example images, read from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanproof.data.cohort import SPLITS
from scanproof.evaluation.table import CLEAN
from scanproof.study.plan import Plan, Task
from scanproof.study.saved_model import hash_weights
from scanproof.study.store import Payload, Store
from scanproof.study.tasks import read_cohort, read_images

if TYPE_CHECKING:
    from scanproof.reporting.model import ImagePanel, SiteFacts
    from scanproof.tracking.model import TrainingRecord

#: parameters of a training that a reader of MLflow wants to see
_TRAINING_PARAMS = (
    "classifier",
    "norm",
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
        kind="reconstruction" if task.kind == "fit_reconstruction" else "classifier",
        params=training_params(task.params),
        history=payload.tables["history"],
        model_sha256=hash_weights(payload.arrays),
    )


def cohort_tables(plan: Plan, store: Store) -> dict[str, pd.DataFrame]:
    """Site to its case table: pseudonyms, splits and labels."""
    return {site: store.get(task.key).tables["cases"] for site, task in plan.cohorts.items()}


def data_hashes(plan: Plan, store: Store) -> dict[str, str]:
    """Site to a hash of its images and labels."""
    return {site: data_hash(store.get(task.key)) for site, task in plan.cohorts.items()}


def data_hash(cohort: Payload) -> str:
    """Hash of the images and labels that a ``cohort`` task gave."""
    digest = hashlib.sha256(cohort.arrays["images"].tobytes())
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
                positives = None if rows["label"].isna().any() else int(rows["label"].sum())
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


def image_panels(plan: Plan, store: Store) -> list[ImagePanel]:
    """For each shift at its highest severity, one case of the first training site in every reconstruction.

    The case is the first with a positive label (the first of all where there are no labels). The disturbed image
    is the fully sampled reconstruction under the shift, or the study's first method where there is none.
    """
    from scanproof.reporting.model import ImagePanel

    tests = [task for task in plan.reconstructions if task.params["split"] == "test"]
    trained = [_site(cohort) for task in plan.fits for cohort in task.inputs["cohorts"]]
    site = trained[0] if trained else _site(tests[0].inputs["cohort"][0])
    tests = [task for task in tests if _site(task.inputs["cohort"][0]) == site]
    cohort = read_cohort(store.get(plan.cohorts[site].key)).select("test")
    positive = np.flatnonzero(cohort.cases["label"].fillna(0).to_numpy() == 1)
    case = int(positive[0]) if len(positive) else 0

    panels = []
    for shift in dict.fromkeys(str(task.params["shift"]) for task in tests):
        severity = max(_severity(task) for task in tests if task.params["shift"] == shift)
        chosen = [task for task in tests if task.params["shift"] == shift and _severity(task) == severity]
        # subjects that are rendered again are their own reference
        seen = read_cohort(store.get(chosen[0].inputs["cohort"][0].key)).select("test")
        reference = seen.images[case, 0]
        disturbed = next((task for task in chosen if task.params["method"] == "fully_sampled"), chosen[0])
        artifact = _image(store, disturbed, case)
        for task in _one_acceleration(chosen):
            image = _image(store, task, case)
            panels.append(
                ImagePanel(
                    title="no shift" if shift == CLEAN else f"{shift.replace('_', ' ')}, severity {severity}",
                    site=site,
                    shift=shift,
                    severity=severity,
                    reconstruction=str(task.params["reconstruction"]),
                    images={
                        "reference": reference,
                        "artifact": artifact,
                        "reconstruction": image,
                        "error": np.abs(image - reference),
                    },
                )
            )
    return panels


def _site(cohort: Task) -> str:
    return str(cohort.params["site"])


def _severity(task: Task) -> int:
    return int(str(task.params["severity"]))


def _one_acceleration(tasks: Sequence[Task]) -> list[Task]:
    """The highest acceleration of each method: what it does to an image shows best there."""
    best: dict[str, Task] = {}
    for task in tasks:
        name = str(task.params["reconstruction"])
        if name not in best or float(str(task.params["acceleration"])) > float(str(best[name].params["acceleration"])):
            best[name] = task
    return list(best.values())


def _image(store: Store, task: Task, case: int) -> np.ndarray:
    image: np.ndarray = read_images(store.get(task.key))[case, 0]
    return image
