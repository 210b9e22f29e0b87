"""Reading a study file, with errors that name the file, the key, the rule and the value."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from scanproof.data.bids import is_bids
from scanproof.data.folder import kind_of
from scanproof.errors import ScanproofError
from scanproof.study.classifier_description import SavedClassifier
from scanproof.study.data_plans import DemoData, ImageData, KspaceData, SimulatedData, SiteData, VolumeData
from scanproof.study.definition import Study
from scanproof.study.external_model import ExternalModel, with_external
from scanproof.study.loaded_classifiers import find_model
from scanproof.study.model_description import SavedModel
from scanproof.study.model_notes import check_dimensions
from scanproof.study.model_source import ModelSource, with_model
from scanproof.study.reading import explain, read_yaml
from scanproof.study.shift_plans import CompositionPlan, ShiftPlan

#: which model of several a part of an error's location stands for; no key has such a name
_VARIANTS: dict[str, type[BaseModel]] = {
    "demo": DemoData,
    "volumes": VolumeData,
    "images": ImageData,
    "kspace": KspaceData,
    "single": ShiftPlan,
    "composition": CompositionPlan,
}


def load_study(
    path: Path, *, data: Path | None = None, manifest: Path | None = None, models: ModelSource | None = None
) -> Study:
    """Read and check a study file.

    Args:
        path: YAML file.
        data: folder of volumes, of images or of raw data to run the study on instead of its own data.
        manifest: CSV of that folder; default ``cohort.csv`` in it. A folder of images may have a folder a class
            instead, one of volumes may be a BIDS dataset.
        models: where saved reconstructions are looked up; default below ``mlruns``.

    Returns:
        The definition with every default filled in, paths made absolute and saved reconstructions found.

    Raises:
        ScanproofError: unreadable file, YAML error, unknown key, wrong value, unknown method, or a saved
            reconstruction that is not there or must not be read.
    """
    return resolve_study(read_yaml(path), path=path, data=data, manifest=manifest, models=models)


def resolve_study(
    content: dict[str, object],
    *,
    path: Path,
    data: Path | None = None,
    manifest: Path | None = None,
    models: ModelSource | None = None,
) -> Study:
    """Check the content of a study file, or of the part of another file that holds a study.

    Args:
        content: as YAML gives it.
        path: the file; what is relative in it is relative to its folder.
        data: see :func:`load_study`; so are the others.
        manifest: likewise.
        models: likewise.

    Raises:
        ScanproofError: see :func:`load_study`.
    """
    content = _with_presets(content, base=path.parent)
    models = models or ModelSource()
    content, saved = _with_models(content, path=path, models=models)
    content, classifiers = _with_classifiers(content, path=path, models=models)
    if manifest is not None and data is None:
        raise ScanproofError("--manifest needs --data", value=str(manifest))
    if data is not None:
        content = {**content, "data": _local_data(content.get("data"), data, manifest)}
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise explain(error, path, root=Study, variants=_VARIANTS) from None
    except ScanproofError as error:
        raise ScanproofError(error.rule, file=path, key=error.key, value=error.value, hint=error.hint) from None
    for number, plan in enumerate(study.reconstruction):
        found = saved.get(plan.name)
        if isinstance(found, SavedModel):
            check_dimensions(study, found, file=path, key=f"reconstruction[{number}].model")
    plans = [plan.with_saved(saved.get(plan.name)) for plan in study.reconstruction]
    readers = [plan.with_saved(classifiers.get(plan.name, {})) for plan in study.classification]
    section = resolve_data(study.data, base=path.parent)
    return study.model_copy(update={"reconstruction": plans, "classification": readers, "data": section})


def _local_data(own: object, data: Path, manifest: Path | None) -> dict[str, object]:
    """The data section for a local folder; image geometry is taken over from the study's own section."""
    if not data.is_dir():
        raise ScanproofError("must be an existing folder", key="--data", value=str(data))
    file = (manifest or data / "cohort.csv").resolve()
    kind = kind_of(data, file)
    by_itself = manifest is None and not file.exists() and (kind == "images" or is_bids(data))
    section: dict[str, object] = {}
    if isinstance(own, dict):
        section = {key: value for key, value in own.items() if key in _shared(str(own.get("kind")), kind)}
    return {**section, "kind": kind, "root": str(data.resolve()), "manifest": None if by_itself else str(file)}


def _shared(own: str, kind: str) -> set[str]:
    """Keys that a section of data of one kind takes over from one of another."""
    keys = set(_VARIANTS[kind].model_fields) - {"training_sites"}
    if own == kind:
        return keys
    if own == "demo":
        return keys & {"slices", "matrix"}
    both = SiteData if "kspace" in (own, kind) else SimulatedData
    return keys & set(both.model_fields)


def _with_presets(content: dict[str, object], *, base: Path) -> dict[str, object]:
    """The content with the options that preset files hold, so that a definition says all that it depends on."""
    plans = content.get("reconstruction")
    if not isinstance(plans, list):
        return content
    return {**content, "reconstruction": [_with_preset(plan, base=base) for plan in plans]}


def _with_preset(plan: object, *, base: Path) -> object:
    options = plan.get("options") if isinstance(plan, dict) else None
    preset = options.get("preset") if isinstance(options, dict) else None
    if not isinstance(plan, dict) or not isinstance(options, dict) or not isinstance(preset, str):
        return plan
    if not preset.endswith((".yaml", ".yml")):
        return plan
    from scanproof.reconstruction.untrained.presets import read_preset_file

    own = {name: value for name, value in options.items() if name != "preset"}
    return {**plan, "options": {**read_preset_file(base / preset), **own}}


def _with_models(
    content: dict[str, object], *, path: Path, models: ModelSource
) -> tuple[dict[str, object], dict[str, SavedModel | ExternalModel]]:
    """The content with what saved reconstructions say of themselves, and these by the entry's name."""
    plans = content.get("reconstruction")
    saved: dict[str, SavedModel | ExternalModel] = {}
    if not isinstance(plans, list):
        return content, saved
    filled: list[object] = []
    for number, plan in enumerate(plans):
        if isinstance(plan, dict) and isinstance(plan.get("model"), str):
            key = f"reconstruction[{number}]"
            name = str(plan.get("name"))
            try:
                external = models.find_external(
                    plan["model"], base=path.parent, name=name, definition=plan.get("network_def")
                )
                found = external or models.find(plan["model"], base=path.parent)
            except ScanproofError as error:
                raise ScanproofError(str(error), file=path, key=f"{key}.model") from None
            try:
                plan = with_model(plan, found) if isinstance(found, SavedModel) else with_external(plan, found)
            except ScanproofError as error:
                raise ScanproofError(str(error), file=path, key=key) from None
            saved[name] = found
        filled.append(plan)
    return {**content, "reconstruction": filled}, saved


def _with_classifiers(
    content: dict[str, object], *, path: Path, models: ModelSource
) -> tuple[dict[str, object], dict[str, dict[str, SavedClassifier] | ExternalModel]]:
    """The content with what saved classifiers say of themselves, and these by the entry's name."""
    plans = content.get("classification")
    saved: dict[str, dict[str, SavedClassifier] | ExternalModel] = {}
    if not isinstance(plans, list):
        return content, saved
    filled: list[object] = []
    for number, plan in enumerate(plans):
        if isinstance(plan, dict) and isinstance(plan.get("model"), str):
            try:
                plan, saved[str(plan.get("name"))] = find_model(plan, base=path.parent, models=models)
            except ScanproofError as error:
                raise ScanproofError(str(error), file=path, key=f"classification[{number}]") from None
        filled.append(plan)
    return {**content, "classification": filled}, saved


def resolve_data(data: DemoData | SiteData, *, base: Path) -> DemoData | SiteData:
    """A data section whose paths, relative to a study file's folder, are made absolute."""
    if not isinstance(data, SiteData):
        return data
    manifest = None if data.manifest is None else (base / data.manifest).resolve()
    root = (base / data.root).resolve() if data.root else manifest and manifest.parent
    return data.model_copy(update={"manifest": manifest, "root": root})
