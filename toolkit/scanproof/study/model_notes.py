"""What a reader must know of networks that were not trained in the study that tests them."""

from __future__ import annotations

from pathlib import Path

from scanproof.errors import ScanproofError
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.definition import ReconstructionPlan, Study
from scanproof.study.external_model import ExternalModel
from scanproof.study.fingerprint import method_version
from scanproof.study.model_description import SavedModel
from scanproof.study.model_source import is_registered


def check_dimensions(study: Study, saved: SavedModel, *, file: Path, key: str) -> None:
    """Refuse a network for slices in a study of volumes, and the other way round.

    Args:
        study: that is to test it.
        saved: the network.
        file: study file.
        key: where it names the network.

    Raises:
        ScanproofError: it was trained in other dimensions.
    """
    trained, acquired = saved.description.sampling.dimensions, study.acquisition.dimensions
    if trained != acquired:
        rule = f"must be a network for acquisition.dimensions {acquired}, which is what the study acquires"
        raise ScanproofError(rule, file=file, key=key, value=trained)


def model_notes(study: Study) -> list[str]:
    """For each loaded reconstruction, where it comes from and whether it is tested as it was trained."""
    notes = []
    for plan in study.reconstruction:
        if plan.saved is not None:
            origin = _origin(plan.name, plan.saved)
            differs = _differences(study, plan, plan.saved)
            notes.append(f"{origin} {_warning(differs)}" if differs else origin)
    return notes


def other_notes(study: Study) -> list[str]:
    """For each loaded classifier and each model of another origin, where it comes from and what was trusted."""
    notes = []
    for name, external in other_models(study).items():
        trust = f" It executes code when it is opened ({external.reason}), and was trusted." if external.reason else ""
        notes.append(
            f"{name} was trained by others: a model of format {external.files.format} (sha256 "
            f"{external.sha256[:12]}). What it was trained on is not known here.{trust}"
        )
    for plan in study.classification:
        for key, saved in plan.saved.items():
            description = saved.description
            what = saved.reference if is_registered(saved.reference) else f"a saved {description.network}"
            sites = ", ".join(sorted(description.data_sha256))
            notes.append(
                f"{plan.name}, {key}, was not trained in this study: it is {what} (weights "
                f"{description.model_sha256[:12]}), trained in study {description.study} at {sites} on "
                f"{description.images.reconstruction} images."
            )
    return notes


def trusted_models(study: Study) -> dict[str, str]:
    """Name of each model that may execute code to the hash of its files."""
    return {name: external.sha256 for name, external in other_models(study).items() if external.reason}


def other_models(study: Study) -> dict[str, ExternalModel]:
    """Models of another origin, by the name of their entry."""
    readers = [(plan.name, plan.external) for plan in study.classification]
    methods = [(plan.name, plan.external) for plan in study.reconstruction]
    return {name: external for name, external in [*methods, *readers] if external is not None}


def model_warnings(study: Study) -> list[str]:
    """For each loaded reconstruction that is not tested as it was trained, how it differs."""
    return [
        f"{plan.name}: {_warning(differs)}"
        for plan in study.reconstruction
        if plan.saved is not None and (differs := _differences(study, plan, plan.saved))
    ]


def _origin(name: str, saved: SavedModel) -> str:
    description = saved.description
    what = saved.reference if is_registered(saved.reference) else f"a saved {description.method}"
    sampling = description.sampling
    return (
        f"{name} was not trained in this study: it is {what} (weights {description.model_sha256[:12]}), trained in "
        f"study {description.study} at {', '.join(sorted(description.data_sha256))} for R = {sampling.acceleration:g} "
        f"with {sampling.mask} lines."
    )


def _warning(differences: list[str]) -> str:
    return f"It is tested on what it was not trained for: {'; '.join(differences)}."


def _differences(study: Study, plan: ReconstructionPlan, saved: SavedModel) -> list[str]:
    """How the study samples k-space, or what it runs, unlike the training of the model."""
    trained, tested = saved.description.sampling, study.acquisition
    found = []
    others = [factor for factor in tested.accelerations if factor != trained.acceleration]
    if others:
        factors = ", ".join(f"{factor:g}" for factor in others)
        found.append(f"R = {factors}, not {trained.acceleration:g}")
    if tested.mask != trained.mask:
        found.append(f"{tested.mask} lines, not {trained.mask}")
    if tested.center_fraction != trained.center_fraction:
        found.append(f"a share of {tested.center_fraction:g} around the centre, not {trained.center_fraction:g}")
    package = method_version(RECONSTRUCTORS.location(plan.method))
    if package != saved.description.package:
        found.append(f"code of version {package}, not {saved.description.package}")
    return found
