"""From a finished study and a plan to a protocol file with its weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import PREDICTION_COLUMNS, conform
from scanproof.protocol.check import LIBRARIES, departures, present_code
from scanproof.protocol.definition import SHA256, FrozenModel, Origin, Protocol, protocol_hash
from scanproof.protocol.file import checked, protocol_text, read_protocol
from scanproof.protocol.minimum import make_minimum
from scanproof.protocol.models import frozen_entries, network_weights, write_models
from scanproof.protocol.plan import FreezePlan, all_endpoints, site_data
from scanproof.protocol.wording import statistical_plan
from scanproof.study.definition import Study
from scanproof.study.executor import execute
from scanproof.study.fields import plain_name
from scanproof.study.fingerprint import library_versions
from scanproof.study.reading import read_yaml
from scanproof.study.run import Workspace, definition_hash, plan_study
from scanproof.study.store import write_atomically
from scanproof.study.tasks.cohort import read_cohort

_UNFINISHED = "study must be finished with the code that is installed"


@dataclass(frozen=True)
class Frozen:
    """What freezing gave.

    Args:
        protocol: that was written.
        file: its file.
        new: whether it was not there before.
    """

    protocol: Protocol
    file: Path
    new: bool


def freeze_study(study: Study, plan: FreezePlan, workspace: Workspace, file: Path, *, command: str) -> Frozen:
    """Freeze a finished study: its definition, its weights, its code and what was agreed about it.

    Freezing the same study by the same plan again gives the same file. A file of the same version with another content
    is not replaced: what sites run must not change under its version.

    Args:
        study: that was run.
        plan: what was agreed.
        workspace: where it ran.
        file: of the protocol; weights go into a folder of the same name beside it.
        command: that runs the study, for the error.

    Raises:
        ScanproofError: a study that is not finished with this code, an endpoint or a minimum that it cannot give, what
            no site's data can have (contrast and anatomy of the demo cohort), or a file of this version with another
            content.
    """
    try:
        plain_name(file.stem)
    except ValueError as error:
        raise ScanproofError(f"name of a protocol file {error}", key="--output", value=file.stem) from None
    tasks, store = plan_study(study, workspace), workspace.store
    if tasks.result.key not in store:
        raise ScanproofError(_UNFINISHED, key=study.name, value="no results", hint=f"run: {command}")
    payload = store.get(tasks.result.key)
    results = payload.tables["results"]
    predictions = conform(payload.tables["predictions"], PREDICTION_COLUMNS, name="predictions")
    endpoints = all_endpoints(plan, study)
    weights = network_weights(study, tasks, store)
    models = {
        name: FrozenModel(kind=one.kind, folder=f"{file.stem}/models/{name}", sha256=one.sha256)
        for name, one in weights.items()
    }
    frozen = _definition(study, plan, models)
    minimum = make_minimum(
        plan.minimum,
        endpoints[0],
        results=results,
        predictions=predictions,
        confidence=study.evaluation.confidence,
    )
    if study.classification:  # without both, there is nothing to read
        both = {"positives": minimum.positives or 2, "negatives": minimum.negatives or 2}
        minimum = minimum.model_copy(update=both)
    first = next(iter(tasks.cohorts.values()))
    execute([first], store, workers=1)  # it is there, unless the store was tidied
    cohort = read_cohort(store.get(first.key))
    content: dict[str, Any] = {
        "name": plan.name,
        "version": plan.version,
        "title": plan.title,
        "description": plan.description or study.description,
        "study": frozen,
        "labels": list(cohort.targets) if study.classification else [],
        "models": models,
        "endpoints": endpoints,
        "minimum": minimum,
        "small_cell": plan.small_cell,
        "statistical_plan": statistical_plan(
            endpoints,
            study.evaluation,
            seed=study.seed,
            small_cell=plan.small_cell,
            classifies=bool(study.classification),
        ),
        "code": present_code(),
        "versions": library_versions(*LIBRARIES),
        "origin": Origin(
            study=study.name,
            study_sha256=definition_hash(study),
            results_sha256=hashlib.sha256(results.to_csv(index=False).encode()).hexdigest(),
        ),
        SHA256: "0" * 64,
    }
    protocol = Protocol(**content)
    new = _check_target(file, protocol)
    write_models(weights, models, beside=file.parent)
    return _write(protocol, file, new=new)


def renew_protocol(file: Path, *, version: str) -> Frozen:
    """Freeze a protocol anew with the code that is installed; weights and all that was agreed stay as they were.

    Args:
        file: of the protocol, which is replaced.
        version: of the new protocol.

    Raises:
        ScanproofError: a file or weights that are not as they were frozen, or the version that the file has already.
    """
    protocol = read_protocol(file)
    if version == protocol.version:
        raise ScanproofError("must be another version than that of the file", key="--version", value=version)
    wrong = [one for one in departures(protocol, path=file) if one.kind == "weights"]
    if wrong:
        raise ScanproofError("weights must be as they were frozen", file=file, key=wrong[0].name, value=wrong[0].here)
    renewed = protocol.model_copy(
        update={
            "version": version,
            "code": present_code(),
            "versions": library_versions(*LIBRARIES),
            "origin": protocol.origin.model_copy(update={"renewed_from": protocol.protocol_sha256}),
        }
    )
    return _write(renewed, file, new=True)


def _definition(study: Study, plan: FreezePlan, models: dict[str, FrozenModel]) -> dict[str, Any]:
    """The study as sites run it: named after the protocol, with saved networks, without the data it was made from."""
    content = study.model_dump(mode="json") | frozen_entries(study, models)
    data = site_data(study, plan)
    content |= {"name": plan.name, "description": plan.description or study.description, "claims": []}
    # what only the demo cohort can do is refused here rather than at a site
    checked(Study, {**content, "data": {**data, "manifest": "cohort.csv"}}, Path(f"protocol {plan.name}"))
    return {**content, "data": data}


def _check_target(file: Path, protocol: Protocol) -> bool:
    """Whether the file is new; refuses one of the same version with another content."""
    if not file.exists():
        return True
    content = read_yaml(file, what="protocol file")
    if protocol_hash(content) == protocol_hash(yaml.safe_load(protocol_text(protocol))):
        return False
    if str(content.get("version")) == protocol.version:
        changed = sorted(
            key
            for key, value in yaml.safe_load(protocol_text(protocol)).items()
            if key != SHA256 and content.get(key) != value
        )
        raise ScanproofError(
            f"version {protocol.version} of a protocol must not change once it is frozen",
            file=file,
            key=", ".join(changed),
            hint="raise the version in the plan, or remove the file if no site has it",
        )
    return True


def _write(protocol: Protocol, file: Path, *, new: bool) -> Frozen:
    if new:
        write_atomically(file, protocol_text(protocol).encode())
    return Frozen(read_protocol(file), file, new)
